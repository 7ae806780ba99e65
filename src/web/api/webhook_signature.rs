//! Requests that prove themselves by a signature over their body, its time and a number used once, as Standard Webhooks
//! describes it (version 1, symmetric; <https://www.standardwebhooks.com>): `webhook-id`, `webhook-timestamp` in seconds, and
//! `webhook-signature`, of which one of several has to hold.

use actix_web::http::header::HeaderMap;
use chrono::TimeDelta;
use data_encoding::BASE64;
use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::clock::UtcTime;
use crate::secret::Secret;

/// How far the time of a request may be from ours, either way.
const TOLERANCE: TimeDelta = TimeDelta::seconds(300);
/// How long a signature may be good in all, from the earliest clock to the latest.
pub const GOOD_FOR: TimeDelta = TimeDelta::seconds(600);
/// Characters of an id that are believed; longer ones come from nobody.
const LONGEST_ID: usize = 256;
/// HMAC-SHA256.
const SIGNATURE_BYTES: usize = 32;
/// Signatures of one request that are tried: several while a key is changed.
const MOST_SIGNATURES: usize = 10;

/// What the header of a request says, before its body is known.
#[derive(Debug)]
pub struct Claim {
    /// Used once for a request; the same again for its repetition.
    pub id: String,
    timestamp: String,
    /// What may be a signature, for it is as long as one.
    signatures: Vec<Vec<u8>>,
}

impl Claim {
    /// Reads it; nothing when the request claims no signature, or one that cannot hold now.
    pub fn read(headers: &HeaderMap, now: UtcTime) -> Option<Claim> {
        let one = |name: &str| {
            let mut values = headers.get_all(name);
            values.next().filter(|_| values.next().is_none())?.to_str().ok()
        };
        let (id, timestamp) = (one("webhook-id")?, one("webhook-timestamp")?);
        let offered = one("webhook-signature")?.split(' ').take(MOST_SIGNATURES);
        let offered = offered.filter_map(|one| BASE64.decode(one.strip_prefix("v1,")?.as_bytes()).ok());
        let signatures: Vec<Vec<u8>> = offered.filter(|signature| signature.len() == SIGNATURE_BYTES).collect();
        let seconds: i64 = timestamp.parse().ok()?;
        let is_timely = now.seconds().abs_diff(seconds) <= TOLERANCE.num_seconds().unsigned_abs();
        let is_plain = !id.is_empty() && id.len() <= LONGEST_ID && !id.contains('.');
        let may_hold = is_timely && is_plain && !signatures.is_empty();
        may_hold.then(|| Claim { id: id.to_owned(), timestamp: timestamp.to_owned(), signatures })
    }

    /// Whether somebody who has the key signed this body. That is gone through once, however many signatures are offered.
    pub fn holds(&self, key: &Secret<Vec<u8>>, body: &[u8]) -> bool {
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key.expose()) else { return false };
        for part in [self.id.as_bytes(), b".", self.timestamp.as_bytes(), b".", body] {
            mac.update(part);
        }
        self.signatures.iter().any(|signature| mac.clone().verify_slice(signature).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};

    use super::*;

    // Computed by Python's `hmac`, from the specification's words.
    const ID: &str = "mail-2026-1";
    const TIME: i64 = 1_796_000_000;
    const SIGNATURE: &str = "v1,1Jz6zMLrZvWVXUD7hTAO9d103b2mi9OeP5geJ+gQv+s=";
    const BODY: &[u8] = b"From: claire@acme.example\r\n\r\nBonjour.\r\n";

    fn key() -> Secret<Vec<u8>> {
        Secret::new(b"a key of twenty-four byt".to_vec())
    }

    fn headers(id: &str, time: &str, signature: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in [("webhook-id", id), ("webhook-timestamp", time), ("webhook-signature", signature)] {
            headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    fn holds(headers: &HeaderMap, seconds: i64, body: &[u8]) -> bool {
        Claim::read(headers, UtcTime::from_seconds(seconds)).is_some_and(|claim| claim.holds(&key(), body))
    }

    #[test]
    fn s_05_a_signature_holds_for_its_body_id_and_time_and_no_other() {
        let time = TIME.to_string();
        let right = headers(ID, &time, SIGNATURE);
        assert!(holds(&right, TIME, BODY));
        assert!(!holds(&right, TIME, b"From: claire@acme.example\r\n\r\nBonsoir.\r\n"));
        assert!(!holds(&headers("mail-2026-2", &time, SIGNATURE), TIME, BODY));
        assert!(!holds(&headers(ID, &(TIME + 1).to_string(), SIGNATURE), TIME, BODY));
        assert!(holds(&headers(ID, &time, &format!("v1,AAAA v1a,x {SIGNATURE}")), TIME, BODY), "one of several");
        assert!(!holds(&headers(ID, &time, &SIGNATURE.replace("v1,", "v2,")), TIME, BODY));
        assert!(!holds(&headers(ID, &time, "v1,"), TIME, BODY));
    }

    #[test]
    fn s_05_a_signature_is_good_for_five_minutes_either_way() {
        let right = headers(ID, &TIME.to_string(), SIGNATURE);
        for (away, wanted) in [(-301, false), (-300, true), (300, true), (301, false)] {
            assert_eq!(holds(&right, TIME + away, BODY), wanted, "{away}");
        }
        for odd in ["", "now", "9223372036854775807", "-9223372036854775808", "1796000000.5"] {
            assert!(!holds(&headers(ID, odd, SIGNATURE), TIME, BODY), "{odd}");
        }
    }

    #[test]
    fn s_05_ten_signatures_cost_what_one_does_and_an_eleventh_is_not_looked_at() {
        let other = |number: u8| format!("v1,{}", BASE64.encode(&[number; SIGNATURE_BYTES]));
        let before = |count: u8| (0..count).map(other).collect::<Vec<_>>().join(" ");
        let time = TIME.to_string();
        assert!(holds(&headers(ID, &time, &format!("{} {SIGNATURE}", before(9))), TIME, BODY));
        assert!(!holds(&headers(ID, &time, &format!("{} {SIGNATURE}", before(10))), TIME, BODY));
        let body = vec![b'x'; 2 << 20];
        let took = |signatures: &str| {
            let claim = Claim::read(&headers(ID, &time, signatures), UtcTime::from_seconds(TIME)).unwrap();
            let once = || {
                let began = std::time::Instant::now();
                assert!(!claim.holds(&key(), &body));
                began.elapsed()
            };
            (0..5).map(|_| once()).min().unwrap()
        };
        assert!(took(&before(10)) < took(&before(1)) * 4);
    }

    #[test]
    fn s_05_what_could_be_read_in_two_ways_is_no_claim() {
        let mut twice = headers(ID, &TIME.to_string(), SIGNATURE);
        twice.append(HeaderName::from_static("webhook-id"), HeaderValue::from_static("another"));
        assert!(!holds(&twice, TIME, BODY));
        assert!(!holds(&headers("a.b", &TIME.to_string(), SIGNATURE), TIME, BODY), "the parts are joined by dots");
        assert!(!holds(&headers(&"x".repeat(257), &TIME.to_string(), SIGNATURE), TIME, BODY));
    }
}
