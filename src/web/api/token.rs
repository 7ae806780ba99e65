//! Tokens of the interface (U-07): an API secret is exchanged for a JWT of fifteen minutes, with typed claims that are
//! compared with our own clock, so that a claim of the wrong type is never taken for absent.

use actix_web::HttpResponse;
use actix_web::web::Data;
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::App;
use crate::clock::UtcTime;
use crate::keys::{Keys, Purpose};
use crate::people::api_tokens::{self, Scope};
use crate::people::person;
use crate::throttle::{self, Rate};
use crate::web::api::errors::{ApiError, ApiResult, Failure};
use crate::web::api::input::{Body, Text};
use crate::web::jwt::Signer;
use crate::web::request::client_ip;

/// How long a token lasts (U-07).
const LIFE: TimeDelta = TimeDelta::minutes(15);
/// How far the clocks of several processes may be apart, for `iat` and `nbf` only.
const LEEWAY: TimeDelta = TimeDelta::seconds(5);
const AUDIENCE: &str = "accord-api";
const KIND: &str = "api";
/// Wrong secrets from one address before it has to wait.
const WRONG: Rate = Rate { times: 20, within: TimeDelta::minutes(1) };

/// A secret to be exchanged.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenRequest {
    /// An API secret, `acc_…`.
    #[schema(value_type = String)]
    secret: Text,
}

/// A token for the header `Authorization: Bearer …`.
#[derive(Debug, Serialize, ToSchema)]
pub struct TokenAnswer {
    token: String,
    token_type: &'static str,
    /// Seconds.
    expires_in: i64,
    scopes: Vec<&'static str>,
}

/// Exchanges an API secret for a token that lasts fifteen minutes.
#[utoipa::path(
    post, path = "/api/v1/token", tag = "token", operation_id = "exchange-secret",
    request_body = TokenRequest,
    responses(
        (status = 200, body = TokenAnswer),
        (status = 401, body = Failure, description = "The secret is not one of ours, or no longer in force"),
        (status = 429, body = Failure),
    ),
)]
pub async fn create(
    app: Data<App>,
    keys: Data<TokenKeys>,
    request: actix_web::HttpRequest,
    body: Body<TokenRequest>,
) -> ApiResult {
    let now = app.clock.now();
    let ip = client_ip(&request, &app.config.http.trusted_proxies);
    let place = throttle::neighbourhood(&ip.map_or_else(String::new, |ip| ip.to_string()));
    let wrong = throttle::name("api_token", &place);
    let (secret, asked) = (body.value.secret.0, wrong.clone());
    let found = app
        .database
        .read(move |db| {
            if !throttle::allows(db, &asked, WRONG, now)? {
                return Err(crate::error::Error::TooMany { retry_after_secs: 60 });
            }
            match api_tokens::find_by_secret(db, &secret, now)? {
                Some(token) => Ok(Some((person::by_id(db, token.person_id)?.handle, token))),
                None => Ok(None),
            }
        })
        .await?;
    let Some((person, secret)) = found else {
        app.database.write(move |db| throttle::take(db, &wrong, WRONG, now)).await?;
        return Err(ApiError::unauthorized(""));
    };
    if api_tokens::is_worth_noting(&secret, now) {
        let id = secret.id;
        app.database.write(move |db| api_tokens::note_use(db, id, now)).await?;
    }
    // A token does not outlive the secret it was made from.
    let expires_at = now.plus(LIFE).min(secret.expires_at);
    let answer = TokenAnswer {
        token: keys.sign(&person, &secret.handle, now, expires_at)?,
        token_type: "Bearer",
        expires_in: expires_at.since(now).num_seconds(),
        scopes: secret.scopes.0.iter().copied().map(Scope::as_str).collect(),
    };
    Ok(HttpResponse::Ok().json(answer))
}

/// What a token says. Every claim must be there, with its type, once.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Claims {
    typ: String,
    iss: String,
    aud: String,
    /// The person's public name.
    sub: String,
    /// The public name of the secret that the token was made from; it is looked up at each use, so that revoking the
    /// secret ends its tokens.
    jti: String,
    iat: i64,
    exp: i64,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    nbf: Option<i64>,
}

/// A claim that may be left out, but not be null.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    i64::deserialize(deserializer).map(Some)
}

/// The keys by which tokens are signed and verified.
pub struct TokenKeys {
    signer: Signer,
    issuer: String,
}

impl TokenKeys {
    /// The keys of this installation, which is reached at `base_url`.
    pub fn new(keys: &Keys, base_url: &str) -> TokenKeys {
        TokenKeys { signer: Signer::new(keys, Purpose::Api), issuer: base_url.to_owned() }
    }

    fn sign(&self, person: &str, secret: &str, now: UtcTime, expires_at: UtcTime) -> Result<String, ApiError> {
        let claims = Claims {
            typ: KIND.to_owned(),
            iss: self.issuer.clone(),
            aud: AUDIENCE.to_owned(),
            sub: person.to_owned(),
            jti: secret.to_owned(),
            iat: now.seconds(),
            exp: expires_at.seconds(),
            nbf: None,
        };
        Ok(self.signer.sign(&claims)?)
    }

    /// The public name of the secret that the token was made from, if the token is genuine and of this hour.
    pub fn verify(&self, token: &str, now: UtcTime) -> Option<String> {
        let claims: Claims = self.signer.claims(token)?;
        let is_ours = claims.typ == KIND && claims.aud == AUDIENCE && claims.iss == self.issuer;
        let latest = now.plus(LEEWAY).seconds();
        let lasts = claims.exp.checked_sub(claims.iat)?;
        let is_of_now = now.seconds() < claims.exp
            && claims.iat <= latest
            && claims.nbf.is_none_or(|nbf| nbf <= latest)
            && (0..=LIFE.num_seconds()).contains(&lasts);
        (is_ours && is_of_now && !claims.sub.is_empty()).then_some(claims.jti)
    }
}

#[cfg(test)]
mod tests {
    use data_encoding::BASE64URL_NOPAD;
    use ed25519_dalek::{Signer, SigningKey};
    use hmac::{Hmac, Mac};
    use serde_json::{Value, json};
    use sha2::Sha256;

    use super::*;
    use crate::web::jwt::LONGEST_TOKEN;

    const ISSUER: &str = "https://desk.example";

    struct Forge {
        keys: TokenKeys,
        key: SigningKey,
        now: UtcTime,
    }

    impl Forge {
        fn new() -> Forge {
            let keys = Keys::ephemeral();
            let key = keys.signing(Purpose::Api).remove(0).1;
            Forge { keys: TokenKeys::new(&keys, ISSUER), key, now: UtcTime::from_seconds(1_795_000_000) }
        }

        fn claims(&self) -> Value {
            let now = self.now.seconds();
            json!({
                "typ": "api", "iss": ISSUER, "aud": "accord-api", "sub": "person", "jti": "secret",
                "iat": now, "exp": now + 900,
            })
        }

        /// The claims with one of them changed, or removed by null.
        fn with(&self, claim: &str, value: Value) -> String {
            let mut claims = self.claims();
            claims[claim] = value;
            self.signed(&claims.to_string())
        }

        fn without(&self, claim: &str) -> String {
            let mut claims = self.claims();
            claims.as_object_mut().unwrap().remove(claim);
            self.signed(&claims.to_string())
        }

        fn signed(&self, claims: &str) -> String {
            self.signed_under(r#"{"typ":"JWT","alg":"EdDSA","kid":"k1"}"#, claims)
        }

        /// Any header and claims, signed with the right key.
        fn signed_under(&self, header: &str, claims: &str) -> String {
            let signed = self.unsigned(header, claims);
            let signature = self.key.sign(signed.as_bytes()).to_bytes();
            format!("{signed}.{}", BASE64URL_NOPAD.encode(&signature))
        }

        fn unsigned(&self, header: &str, claims: &str) -> String {
            format!("{}.{}", BASE64URL_NOPAD.encode(header.as_bytes()), BASE64URL_NOPAD.encode(claims.as_bytes()))
        }

        fn accepts(&self, token: &str) -> bool {
            self.keys.verify(token, self.now).is_some()
        }
    }

    #[test]
    fn u_07_a_token_of_ours_is_taken_until_it_expires() {
        let forge = Forge::new();
        let now = forge.now;
        let token = forge.keys.sign("person", "secret", now, now.plus(LIFE)).unwrap();
        assert_eq!(forge.keys.verify(&token, now).as_deref(), Some("secret"));
        assert!(forge.accepts(&forge.signed(&forge.claims().to_string())), "the forge makes what we make");
        assert!(forge.keys.verify(&token, now.plus(TimeDelta::seconds(899))).is_some());
        assert!(forge.keys.verify(&token, now.plus(TimeDelta::seconds(900))).is_none(), "no leeway for exp");
        assert!(forge.keys.verify(&token, now.minus(TimeDelta::seconds(5))).is_some(), "leeway for iat");
        assert!(forge.keys.verify(&token, now.minus(TimeDelta::seconds(6))).is_none());
    }

    #[test]
    fn u_07_only_one_algorithm_is_known() {
        let forge = Forge::new();
        let claims = forge.claims().to_string();
        for alg in ["none", "None", "nOnE", "NONE", "HS256", "HS512", "RS256", "ES256", "PS256", "EDDSA", "eddsa", ""] {
            let header = format!(r#"{{"typ":"JWT","alg":"{alg}","kid":"k1"}}"#);
            assert!(!forge.accepts(&forge.signed_under(&header, &claims)), "{alg}");
            assert!(!forge.accepts(&format!("{}.", forge.unsigned(&header, &claims))), "{alg} without signature");
        }
        // The public key as the secret of an HMAC.
        let public = forge.key.verifying_key();
        let signed = forge.unsigned(r#"{"typ":"JWT","alg":"HS256","kid":"k1"}"#, &claims);
        let mac = Hmac::<Sha256>::new_from_slice(public.as_bytes()).unwrap().chain_update(&signed).finalize();
        let confused = format!("{signed}.{}", BASE64URL_NOPAD.encode(&mac.into_bytes()));
        assert!(!forge.accepts(&confused));
    }

    #[test]
    fn u_07_a_signature_must_be_there_and_fit() {
        let forge = Forge::new();
        let token = forge.signed(&forge.claims().to_string());
        let (signed, signature) = token.rsplit_once('.').unwrap();
        assert!(!forge.accepts(&format!("{signed}.")));
        assert!(!forge.accepts(signed));
        assert!(!forge.accepts(&format!("{signed}.{}", &signature[..signature.len() - 4])));
        assert!(!forge.accepts(&format!("{signed}.{}", BASE64URL_NOPAD.encode(&[0; 64]))));
        let other = Forge::new();
        assert!(!forge.accepts(&other.signed(&other.claims().to_string())));
        for garbage in ["", ".", "..", "...", "a.b.c", "é.é.é", " "] {
            assert!(!forge.accepts(garbage), "{garbage}");
        }
    }

    #[test]
    fn u_07_one_kind_of_token_is_not_taken_for_another() {
        let forge = Forge::new();
        for (claim, value) in [
            ("typ", json!("otlp")),
            ("typ", json!("API")),
            ("typ", json!(["api"])),
            ("aud", json!("accord-otlp")),
            ("aud", json!(["accord-api"])),
            ("aud", json!(["accord-api", "accord-otlp"])),
            ("iss", json!("https://evil.example")),
            ("iss", json!([ISSUER])),
            ("sub", json!("")),
            ("sub", json!(7)),
            ("jti", json!(null)),
            ("scope", json!("everything")),
            ("admin", json!(true)),
        ] {
            assert!(!forge.accepts(&forge.with(claim, value.clone())), "{claim} {value}");
        }
        for claim in ["typ", "iss", "aud", "sub", "jti", "iat", "exp"] {
            assert!(!forge.accepts(&forge.without(claim)), "without {claim}");
        }
    }

    #[test]
    fn u_07_adv_34_times_of_wrong_types_are_not_taken_for_absent() {
        let forge = Forge::new();
        let now = forge.now.seconds();
        for claim in ["exp", "iat", "nbf"] {
            for value in [
                json!((now + 60).to_string()),
                json!([now + 60]),
                json!({ "time": now + 60 }),
                json!(now as f64 + 60.5),
                json!(null),
                json!(true),
                json!(-1e300),
            ] {
                assert!(!forge.accepts(&forge.with(claim, value.clone())), "{claim} {value}");
            }
        }
        assert!(forge.accepts(&forge.with("nbf", json!(now))));
        assert!(forge.accepts(&forge.with("nbf", json!(now + 5))));
        assert!(!forge.accepts(&forge.with("nbf", json!(now + 6))));
        assert!(!forge.accepts(&forge.with("exp", json!(now))));
        assert!(!forge.accepts(&forge.with("exp", json!(now - 1))));
    }

    #[test]
    fn u_07_huge_numbers_and_long_lives_are_refused() {
        let forge = Forge::new();
        let now = forge.now.seconds();
        for exp in [json!(i64::MAX), json!(u64::MAX), json!(now + 901), json!(1e18)] {
            assert!(!forge.accepts(&forge.with("exp", exp.clone())), "{exp}");
        }
        for iat in [json!(i64::MIN), json!(i64::MAX), json!(0), json!(now + 6)] {
            assert!(!forge.accepts(&forge.with("iat", iat.clone())), "{iat}");
        }
        let huge = forge.claims().to_string().replace("\"exp\":", "\"exp\":99999999999999999999999999999999999");
        assert!(!forge.accepts(&forge.signed(&huge)));
        assert!(!forge.accepts(&forge.with("jti", json!("x".repeat(LONGEST_TOKEN)))));
    }

    #[test]
    fn u_07_a_claim_that_stands_twice_is_refused() {
        let forge = Forge::new();
        for twice in [r#""exp":9999999999"#, r#""typ":"api""#, r#""jti":"other""#, r#""aud":"accord-api""#] {
            let claims = forge.claims().to_string();
            assert!(!forge.accepts(&forge.signed(&claims.replacen('{', &format!("{{{twice},"), 1))), "{twice} first");
            let last = format!("{},{twice}}}", &claims[..claims.len() - 1]);
            assert!(!forge.accepts(&forge.signed(&last)), "{twice} last");
        }
        let header = r#"{"typ":"JWT","alg":"none","alg":"EdDSA","kid":"k1"}"#;
        assert!(!forge.accepts(&forge.signed_under(header, &forge.claims().to_string())));
    }

    #[test]
    fn u_07_a_key_is_named_and_nothing_else_is_followed() {
        let forge = Forge::new();
        let claims = forge.claims().to_string();
        for kid in ["k2", "", "../../keys.json", "/dev/null", "k1' OR '1'='1", "k1\u{0}", "K1", " k1"] {
            let header = json!({ "typ": "JWT", "alg": "EdDSA", "kid": kid }).to_string();
            assert!(!forge.accepts(&forge.signed_under(&header, &claims)), "{kid}");
        }
        for more in [
            r#""jku":"https://evil.example/keys""#,
            r#""x5u":"https://evil.example/certificate""#,
            r#""jwk":{"kty":"OKP","crv":"Ed25519","x":"AAAA"}"#,
            r#""x5c":["AAAA"]"#,
            r#""crit":["exp"]"#,
            r#""b64":false"#,
            r#""cty":"JWT""#,
        ] {
            let header = format!(r#"{{"typ":"JWT","alg":"EdDSA","kid":"k1",{more}}}"#);
            assert!(!forge.accepts(&forge.signed_under(&header, &claims)), "{more}");
        }
        assert!(!forge.accepts(&forge.signed_under(r#"{"typ":"JWT","alg":"EdDSA"}"#, &claims)), "no key named");
        assert!(!forge.accepts(&forge.signed_under(r#"{"typ":"JWT","alg":"EdDSA","kid":1}"#, &claims)));
    }

    #[test]
    fn u_07_tokens_outlast_one_rotation_of_the_keys() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.json");
        let now = UtcTime::from_seconds(1_795_000_000);
        let before = TokenKeys::new(&Keys::load_or_create(&path, now).unwrap(), ISSUER);
        let token = before.sign("person", "secret", now, now.plus(LIFE)).unwrap();
        Keys::rotate(&path, now).unwrap();
        assert!(TokenKeys::new(&Keys::load_or_create(&path, now).unwrap(), ISSUER).verify(&token, now).is_some());
        Keys::rotate(&path, now).unwrap();
        assert!(TokenKeys::new(&Keys::load_or_create(&path, now).unwrap(), ISSUER).verify(&token, now).is_none());
    }
}
