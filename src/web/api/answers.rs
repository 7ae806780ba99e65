//! What programs are answered: JSON, and 201 with its address for what was made. A request with a key is done once; when
//! it comes again it gets the first answer.

use actix_web::HttpResponse;
use actix_web::http::header;
use serde::Serialize;

use crate::db::DbConnection;
use crate::error::{Error, Result};
use crate::tickets::idempotency::{self, Claim};
use crate::web::api::authenticated::Acting;
use crate::web::api::errors::{ApiError, ApiResult};
use crate::web::api::input::Once;

/// What came of a request that makes something.
pub enum Made {
    /// Where it is, and its JSON; made now, or when the request came first.
    Answer { location: String, body: String },
    /// The key of the request was another request's.
    KeyReused,
}

/// 200 with this.
pub fn ok<T: Serialize>(value: &T) -> ApiResult {
    Ok(HttpResponse::Ok().json(value))
}

/// 201 with what was made and where it is.
pub fn created(made: Made) -> ApiResult {
    match made {
        Made::Answer { location, body } => Ok(HttpResponse::Created()
            .insert_header((header::LOCATION, location))
            .content_type("application/json")
            .body(body)),
        Made::KeyReused => Err(ApiError::idempotency_key_reused("")),
    }
}

/// Makes something, unless the request with this key made it already. `make` gives where it is and what it is.
pub fn once_only<T: Serialize>(
    db: &mut DbConnection,
    acting: &Acting,
    once: Option<&Once>,
    make: impl FnOnce(&mut DbConnection) -> Result<(String, T)>,
) -> Result<Made> {
    let claimed = once.map(|once| (key_of_secret(&acting.secret, &once.key), &once.digest));
    if let Some((key, digest)) = &claimed {
        match idempotency::claim(db, acting.person, key, digest, acting.now)? {
            Claim::New => {}
            Claim::OtherRequest => return Ok(Made::KeyReused),
            Claim::Done { body, .. } => {
                let (location, body) = body.split_once('\n').unwrap_or_default();
                return Ok(Made::Answer { location: location.to_owned(), body: body.to_owned() });
            }
        }
    }
    let (location, made) = make(db)?;
    let body = serde_json::to_string(&made).map_err(|error| Error::internal(format!("no JSON of it: {error}")))?;
    if let Some((key, _)) = &claimed {
        idempotency::complete(db, acting.person, key, 201, &format!("{location}\n{body}"))?;
    }
    Ok(Made::Answer { location, body })
}

/// Under what a key is kept: programs of one person know nothing of each other's keys, and what one secret may read
/// another may not.
fn key_of_secret(secret: &str, key: &str) -> String {
    format!("{secret} {key}")
}
