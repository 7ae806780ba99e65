//! The public keys of grant tokens (RFC 7517), for products and proxies that want to check a token before they send
//! anything with it. What they cannot check is whether the grant still stands; only asking us tells that.

use actix_web::HttpResponse;
use actix_web::http::header;
use actix_web::web::Data;
use data_encoding::BASE64URL_NOPAD;
use serde_json::json;

use crate::web::otlp::grant_tokens::GrantTokens;

/// `GET /.well-known/jwks.json`
pub async fn show(tokens: Data<GrantTokens>) -> HttpResponse {
    let keys: Vec<_> = tokens
        .public_keys()
        .map(|(id, public)| {
            json!({
                "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": id,
                "x": BASE64URL_NOPAD.encode(public),
            })
        })
        .collect();
    // Keys change when somebody rotates them; after five minutes everybody knows.
    HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "public, max-age=300"))
        .content_type("application/jwk-set+json")
        .body(json!({ "keys": keys }).to_string())
}
