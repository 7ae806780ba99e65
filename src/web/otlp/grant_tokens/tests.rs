//! Tokens of grants against whoever makes their own (U-07, ADV-34).

use data_encoding::BASE64URL_NOPAD;
use ed25519_dalek::{Signer as _, SigningKey};
use hmac::{Hmac, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use super::*;
use crate::web::api::token::TokenKeys;

const ISSUER: &str = "https://desk.example";
const HEADER: &str = r#"{"typ":"JWT","alg":"EdDSA","kid":"k1"}"#;

struct Forge {
    keys: Keys,
    tokens: GrantTokens,
    key: SigningKey,
    now: UtcTime,
}

impl Forge {
    fn new() -> Forge {
        let keys = Keys::ephemeral();
        let key = keys.signing(Purpose::Otlp).remove(0).1;
        Forge { tokens: GrantTokens::new(&keys, ISSUER), key, keys, now: UtcTime::from_seconds(1_795_000_000) }
    }

    fn claims(&self) -> Value {
        let now = self.now.seconds();
        json!({
            "typ": "otlp", "iss": ISSUER, "aud": "accord-otlp", "sub": "organisation", "jti": "grant", "gv": 1,
            "iat": now, "nbf": now, "exp": now + 3_600,
        })
    }

    fn with(&self, claim: &str, value: Value) -> String {
        let mut claims = self.claims();
        claims[claim] = value;
        self.signed_under(HEADER, &claims.to_string())
    }

    fn without(&self, claim: &str) -> String {
        let mut claims = self.claims();
        claims.as_object_mut().unwrap().remove(claim);
        self.signed_under(HEADER, &claims.to_string())
    }

    /// Any header and claims, signed with the right key.
    fn signed_under(&self, header: &str, claims: &str) -> String {
        let signed = unsigned(header, claims);
        format!("{signed}.{}", BASE64URL_NOPAD.encode(&self.key.sign(signed.as_bytes()).to_bytes()))
    }

    fn accepts(&self, token: &str) -> bool {
        self.tokens.verify(token, self.now).is_some()
    }
}

fn unsigned(header: &str, claims: &str) -> String {
    format!("{}.{}", BASE64URL_NOPAD.encode(header.as_bytes()), BASE64URL_NOPAD.encode(claims.as_bytes()))
}

#[test]
fn u_07_a_grant_token_is_taken_from_its_first_second_to_its_last_without_leeway() {
    let forge = Forge::new();
    let token = forge.signed_under(HEADER, &forge.claims().to_string());
    let claimed = Claimed { organisation: "organisation".to_owned(), grant: "grant".to_owned(), version: 1 };
    assert_eq!(forge.tokens.verify(&token, forge.now), Some(claimed));
    let at = |seconds: i64| forge.tokens.verify(&token, forge.now.plus(TimeDelta::seconds(seconds))).is_some();
    assert!(at(3_599) && !at(3_600), "no leeway for exp");
    assert!(!at(-1), "no leeway for iat and nbf");
    assert!(!forge.accepts(&forge.with("nbf", json!(forge.now.seconds() + 1))));
}

#[test]
fn u_07_a_grant_token_has_one_algorithm_and_one_form_of_header() {
    let forge = Forge::new();
    let claims = forge.claims().to_string();
    for alg in ["none", "None", "HS256", "RS256", "ES256", "EDDSA", "eddsa", ""] {
        let header = format!(r#"{{"typ":"JWT","alg":"{alg}","kid":"k1"}}"#);
        assert!(!forge.accepts(&forge.signed_under(&header, &claims)), "{alg}");
        assert!(!forge.accepts(&format!("{}.", unsigned(&header, &claims))), "{alg} without signature");
    }
    let signed = unsigned(r#"{"typ":"JWT","alg":"HS256","kid":"k1"}"#, &claims);
    let public = forge.key.verifying_key();
    let mac = Hmac::<Sha256>::new_from_slice(public.as_bytes()).unwrap().chain_update(&signed).finalize();
    let confused = format!("{signed}.{}", BASE64URL_NOPAD.encode(&mac.into_bytes()));
    assert!(!forge.accepts(&confused), "the public key is no secret of an HMAC");
    for more in [r#""jku":"https://evil.example""#, r#""x5u":"https://evil.example""#, r#""crit":["exp"]"#] {
        let header = format!(r#"{{"typ":"JWT","alg":"EdDSA","kid":"k1",{more}}}"#);
        assert!(!forge.accepts(&forge.signed_under(&header, &claims)), "{more}");
    }
    for kid in ["k2", "", "../../keys.json", "K1"] {
        let header = json!({ "typ": "JWT", "alg": "EdDSA", "kid": kid }).to_string();
        assert!(!forge.accepts(&forge.signed_under(&header, &claims)), "{kid}");
    }
    for garbage in ["", ".", "..", "a.b.c", "é.é.é", &"x".repeat(100_000)] {
        assert!(!forge.accepts(garbage));
    }
}

#[test]
fn u_07_adv_34_claims_of_a_grant_token_are_all_there_with_their_types() {
    let forge = Forge::new();
    let now = forge.now.seconds();
    for (claim, value) in [
        ("typ", json!("api")),
        ("aud", json!("accord-api")),
        ("aud", json!(["accord-otlp"])),
        ("iss", json!("https://evil.example")),
        ("sub", json!("")),
        ("sub", json!(null)),
        ("jti", json!("")),
        ("gv", json!("1")),
        ("gv", json!(1.5)),
        ("scope", json!("everything")),
    ] {
        assert!(!forge.accepts(&forge.with(claim, value.clone())), "{claim} {value}");
    }
    for claim in ["typ", "iss", "aud", "sub", "jti", "gv", "iat", "nbf", "exp"] {
        assert!(!forge.accepts(&forge.without(claim)), "without {claim}");
        if matches!(claim, "iat" | "nbf" | "exp") {
            for value in [json!((now + 60).to_string()), json!([now]), json!(now as f64 + 0.5), json!(null)] {
                assert!(!forge.accepts(&forge.with(claim, value.clone())), "{claim} {value}");
            }
        }
    }
    for exp in [json!(now + 86_401), json!(i64::MAX), json!(u64::MAX), json!(now)] {
        assert!(!forge.accepts(&forge.with("exp", exp.clone())), "{exp}");
    }
}

/// Keys of different purposes have nothing in common, though they have the same names.
#[test]
fn u_07_a_grant_token_is_no_token_of_the_interface_and_the_other_way_round() {
    let forge = Forge::new();
    let of_interface = TokenKeys::new(&forge.keys, ISSUER);
    let token = forge.signed_under(HEADER, &forge.claims().to_string());
    assert_eq!(of_interface.verify(&token, forge.now), None);
    let api_key = forge.keys.signing(Purpose::Api).remove(0).1;
    let signed = unsigned(HEADER, &forge.claims().to_string());
    let by_api = format!("{signed}.{}", BASE64URL_NOPAD.encode(&api_key.sign(signed.as_bytes()).to_bytes()));
    assert!(!forge.accepts(&by_api));
}

#[test]
fn u_07_grant_tokens_outlast_one_rotation_of_the_keys() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    let now = UtcTime::from_seconds(1_795_000_000);
    let load = || GrantTokens::new(&Keys::load_or_create(&path, now).unwrap(), ISSUER);
    let before = load();
    let claims = Forge { now, ..Forge::new() }.claims();
    let token = before.signer.sign(&claims).unwrap();
    Keys::rotate(&path, now).unwrap();
    let once = load();
    assert!(once.verify(&token, now).is_some());
    assert_eq!(once.public_keys().map(|(id, _)| id).collect::<Vec<_>>(), ["k1", "k2"]);
    Keys::rotate(&path, now).unwrap();
    assert!(load().verify(&token, now).is_none());
}
