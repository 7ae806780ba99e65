//! Where to go after signing in: a page of ours or the front door, never elsewhere. What was asked for is taken
//! apart, compared with the route table, and written anew.

use actix_web::HttpRequest;
use actix_web::http::{Method, header};
use url::form_urlencoded;

use crate::web::router;

/// The longest way back that is kept.
const LONGEST: usize = 500;

/// `wanted` written anew if it is a page of ours, else `/`.
pub fn destination(wanted: &str) -> String {
    page_of_ours(wanted).unwrap_or_else(|| "/".to_owned())
}

/// The page from which a form of ours was sent, as its `Referer` says, else `otherwise`.
pub fn back(request: &HttpRequest, base_url: &str, otherwise: &str) -> String {
    let referer = request.headers().get(header::REFERER).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let path = referer.strip_prefix(base_url).filter(|rest| rest.starts_with('/'));
    path.and_then(page_of_ours).unwrap_or_else(|| otherwise.to_owned())
}

fn page_of_ours(wanted: &str) -> Option<String> {
    if wanted.len() > LONGEST || !wanted.bytes().all(is_plain) {
        return None;
    }
    let (path, query) = wanted.split_once('?').map_or((wanted, ""), |(path, query)| (path, query));
    let segments: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
    if !segments.iter().all(|segment| is_plain_segment(segment)) {
        return None;
    }
    // Pages behind a key of their own are reached by that key, not by a way back.
    if matches!(segments.first(), Some(&("l" | "setup" | "assets" | "api"))) {
        return None;
    }
    let is_page = |entry: &router::Entry| entry.method == Method::GET && fits(entry.path, &segments);
    if !router::table().iter().any(is_page) {
        return None;
    }
    let mut page = format!("/{}", segments.join("/"));
    if !query.is_empty() {
        // What the last action had to say has been said.
        let pairs = form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name != "said");
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        if !query.is_empty() {
            page.push('?');
            page.push_str(&query);
        }
    }
    Some(page)
}

/// The characters that a path and query of ours are made of. A percent sign is not among those of a path.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~/?=&%+".contains(&byte)
}

fn is_plain_segment(segment: &str) -> bool {
    segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_~.".contains(&byte))
        && !segment.bytes().all(|byte| byte == b'.')
}

/// Whether a path of these segments is one that `pattern` describes.
fn fits(pattern: &str, segments: &[&str]) -> bool {
    let parts: Vec<&str> = pattern.trim_start_matches('/').split('/').collect();
    if parts == [""] {
        return segments == [""];
    }
    parts.len() == segments.len()
        && parts.iter().zip(segments).all(|(part, segment)| {
            match part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) {
                None => part == segment,
                Some(parameter) => match parameter.split_once(':') {
                    None => !segment.is_empty(),
                    Some((_, choices)) => choices.split('|').any(|choice| choice == *segment),
                },
            }
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_ours_are_gone_back_to() {
        for page in ["/", "/account", "/account/security", "/fr/registration", "/account?a=b"] {
            assert_eq!(destination(page), page);
        }
        assert_eq!(destination("/account?said=said-account-saved"), "/account");
        assert_eq!(destination("/account?a=b%2Fc&d"), "/account?a=b%2Fc&d=");
    }

    #[test]
    fn a_form_leads_back_to_the_page_it_stood_on() {
        let from = |referer: &'static str| {
            let request = actix_web::test::TestRequest::post().insert_header((header::REFERER, referer));
            back(&request.to_http_request(), "https://desk.example", "/account")
        };
        assert_eq!(from("https://desk.example/account/security?said=said-x"), "/account/security");
        for elsewhere in [
            "",
            "https://evil.example/account/security",
            "https://desk.example.evil/",
            "https://desk.example@evil.example/",
        ] {
            assert_eq!(from(elsewhere), "/account", "{elsewhere}");
        }
    }

    #[test]
    fn r_01_adv_31_everything_else_leads_to_the_front_door() {
        let elsewhere = [
            "",
            " ",
            "account",
            "//evil.example",
            "///evil.example",
            "////evil.example",
            "/\\evil.example",
            "\\/evil.example",
            "\\\\evil.example",
            "/\\/evil.example",
            "/%5cevil.example",
            "/%5Cevil.example",
            "/%5c%5cevil.example",
            "%5c%5cevil.example",
            "/%2fevil.example",
            "/%2f%2fevil.example",
            "%2f%2fevil.example",
            "/%09/evil.example",
            "/\t/evil.example",
            "\t//evil.example",
            "\n//evil.example",
            "/\nevil.example",
            "/\r\nLocation: https://evil.example",
            "/%0d%0aLocation:%20https://evil.example",
            "/%0aevil",
            "/account%0d%0aSet-Cookie:%20x=y",
            "/account\r\nSet-Cookie: x=y",
            "/account\0",
            "/account%00",
            "http://evil.example",
            "https://evil.example",
            "HTTPS://evil.example",
            "https:evil.example",
            "https:/evil.example",
            "http:\\\\evil.example",
            "ftp://evil.example",
            "javascript:alert(1)",
            "JaVaScRiPt:alert(1)",
            "java\nscript:alert(1)",
            "data:text/html,<script>alert(1)</script>",
            "vbscript:x",
            "mailto:a@evil.example",
            "evil.example",
            "@evil.example",
            "/@evil.example",
            "//user@evil.example",
            "https://desk.example@evil.example",
            "https://desk.example.evil.example",
            "/account@evil.example",
            "/.evil.example/..//",
            "/..//evil.example",
            "/../../evil.example",
            "/./account",
            "/account/..",
            "/account/../../evil.example",
            "/account//security",
            "/account/",
            "/%61ccount",
            "/account;evil",
            "/account#@evil.example",
            "/accöunt",
            "／／evil.example",
            "/\u{2028}evil.example",
            "/\u{202e}account",
            "/l/sign-in/abc",
            "/setup/abc",
            "/assets/accord.css",
            "/no-such-page",
            "/sign-out",
            "/account?x=\u{0}",
            "/account?x=a@b",
            "/account?next=https://evil.example",
            "?x=y",
            "#",
            "/fr/evil",
            "/de/registration",
        ];
        assert!(elsewhere.len() >= 60);
        for wanted in elsewhere {
            assert_eq!(destination(wanted), "/", "{wanted:?}");
        }
        assert_eq!(destination(&format!("/account?x={}", "a".repeat(600))), "/");
    }
}
