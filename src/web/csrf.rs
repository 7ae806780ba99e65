//! Against forged requests (C-01, C-03): every unsafe method needs a page of ours as its origin, and a form a token
//! that is bound to the session, or, before signing in, signed and expiring, for then there is no cookie to bind to.

use actix_web::HttpRequest;
use actix_web::http::{Method, header};
use chrono::TimeDelta;
use data_encoding::BASE64URL_NOPAD;

use crate::clock::UtcTime;
use crate::keys::{Keys, Purpose};
use crate::secret::hash_token;

/// How long a form may lie open before somebody who is not signed in must send it.
const FORM_LIFE: TimeDelta = TimeDelta::hours(24);

/// The token for forms of the session whose cookie is `session`.
pub fn session_token(keys: &Keys, session: &str) -> String {
    BASE64URL_NOPAD.encode(&keys.mac(Purpose::Form, &[b"session", &hash_token(session)]))
}

/// A token for forms of somebody who is not signed in.
pub fn form_token(keys: &Keys, now: UtcTime) -> String {
    let made_at = now.seconds().to_be_bytes();
    let mac = keys.mac(Purpose::Form, &[b"form", &made_at]);
    BASE64URL_NOPAD.encode(&[made_at.as_slice(), mac.as_slice()].concat())
}

/// Whether `token` is the one that a form of this reader carries.
pub fn is_genuine(keys: &Keys, session: Option<&str>, token: &str, now: UtcTime) -> bool {
    let Ok(bytes) = BASE64URL_NOPAD.decode(token.as_bytes()) else { return false };
    if let Some(session) = session {
        return keys.verifies(Purpose::Form, &[b"session", &hash_token(session)], &bytes);
    }
    let Some((made_at, mac)) = bytes.split_first_chunk::<8>() else { return false };
    let age = now.since(UtcTime::from_seconds(i64::from_be_bytes(*made_at)));
    age >= TimeDelta::minutes(-5) && age <= FORM_LIFE && keys.verifies(Purpose::Form, &[b"form", made_at], mac)
}

/// Whether the browser says that the request comes from a page of ours. `Origin` stands on every unsafe request of
/// today's browsers; without it, `Sec-Fetch-Site` must say so.
pub fn is_same_origin(request: &HttpRequest, base_url: &str) -> bool {
    let headers = request.headers();
    let site = headers.get("sec-fetch-site").and_then(|value| value.to_str().ok());
    if site.is_some_and(|site| !matches!(site, "same-origin" | "none")) {
        return false;
    }
    let mut origins = headers.get_all(header::ORIGIN);
    match (origins.next(), origins.next()) {
        (Some(origin), None) => origin.to_str().is_ok_and(|origin| origin.eq_ignore_ascii_case(base_url)),
        (None, _) => site == Some("same-origin"),
        (Some(_), Some(_)) => false,
    }
}

/// Whether `method` may change something.
pub fn is_unsafe(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    const BASE: &str = "https://desk.example";

    #[test]
    fn c_01_only_pages_of_ours_may_send_forms() {
        let accepts = |headers: &[(&str, &str)]| {
            let mut request = TestRequest::post();
            for (name, value) in headers {
                request = request.append_header((*name, *value));
            }
            is_same_origin(&request.to_http_request(), BASE)
        };
        assert!(accepts(&[("origin", BASE)]));
        assert!(accepts(&[("sec-fetch-site", "same-origin")]));
        assert!(!accepts(&[]));
        assert!(!accepts(&[("origin", "null")]));
        assert!(!accepts(&[("origin", "https://evil.example")]));
        assert!(!accepts(&[("origin", "https://desk.example.evil.example")]));
        assert!(!accepts(&[("origin", "https://sub.desk.example")]));
        assert!(!accepts(&[("origin", BASE), ("sec-fetch-site", "cross-site")]));
        assert!(!accepts(&[("origin", BASE), ("origin", BASE)]));
    }

    #[test]
    fn c_03_tokens_are_bound_to_the_session_and_expire_without_one() {
        let keys = Keys::ephemeral();
        let now = UtcTime::from_seconds(1_000_000);
        let bound = session_token(&keys, "one");
        assert!(is_genuine(&keys, Some("one"), &bound, now));
        assert!(!is_genuine(&keys, Some("two"), &bound, now));
        assert!(!is_genuine(&keys, None, &bound, now));
        let free = form_token(&keys, now);
        assert!(is_genuine(&keys, None, &free, now.plus(TimeDelta::hours(23))));
        assert!(!is_genuine(&keys, None, &free, now.plus(TimeDelta::hours(25))));
        assert!(!is_genuine(&keys, Some("one"), &free, now));
        assert!(!is_genuine(&keys, None, "", now));
    }
}
