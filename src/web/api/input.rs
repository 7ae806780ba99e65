//! What programs send: bodies of JSON and parameters of the address, read into a type of each request's own, unknown
//! names refused. Texts arrive without NUL, which no text needs and PostgreSQL does not keep.

use std::fmt;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::web::BytesMut;
use actix_web::{FromRequest, HttpRequest};
use futures_util::{Future, StreamExt};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::error::Category;
use sha2::{Digest, Sha256};

use crate::db::paging::{Cursor, PAGE_SIZE};
use crate::tickets::idempotency::LONGEST_KEY;
use crate::web::api::errors::ApiError;

/// The largest body; texts of messages are far smaller.
const BODY_BYTES: usize = 1024 * 1024;
/// The longest page that can be asked for.
pub const LONGEST_PAGE: i64 = 100;
/// The header by which a request is recognised when it comes again.
const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// A body of JSON, with what recognises it when it comes again.
#[derive(Debug)]
pub struct Body<T> {
    pub value: T,
    pub once: Option<Once>,
}

/// A key that the program gave its request, and the digest of the request.
#[derive(Clone, Debug)]
pub struct Once {
    pub key: String,
    pub digest: Vec<u8>,
}

/// Parameters of the address.
#[derive(Debug)]
pub struct Parameters<T>(pub T);

impl<T: DeserializeOwned + 'static> FromRequest for Body<T> {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let request = request.clone();
        let mut payload = payload.take();
        Box::pin(async move {
            if !is_json(&request) {
                return Err(ApiError::unsupported_media_type("application/json"));
            }
            let key = idempotency_key(&request)?;
            let mut body = BytesMut::new();
            while let Some(chunk) = payload.next().await {
                let chunk = chunk.map_err(|_| ApiError::bad_request(""))?;
                if body.len() + chunk.len() > BODY_BYTES {
                    return Err(ApiError::too_large(""));
                }
                body.extend_from_slice(&chunk);
            }
            let value = parse(&body)?;
            let once = key.map(|key| {
                let parts = [request.method().as_str().as_bytes(), request.path().as_bytes(), &body];
                Once { key, digest: Sha256::digest(parts.join(&b'\n')).to_vec() }
            });
            Ok(Body { value, once })
        })
    }
}

fn is_json(request: &HttpRequest) -> bool {
    let Some(Ok(value)) = request.headers().get(header::CONTENT_TYPE).map(header::HeaderValue::to_str) else {
        return false;
    };
    let essence = value.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json") && !request.headers().contains_key(header::CONTENT_ENCODING)
}

fn idempotency_key(request: &HttpRequest) -> Result<Option<String>, ApiError> {
    let mut keys = request.headers().get_all(IDEMPOTENCY_KEY);
    let Some(key) = keys.next() else { return Ok(None) };
    let key = key.to_str().unwrap_or_default();
    let is_plain = (1..=LONGEST_KEY).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_plain || keys.next().is_some() {
        return Err(ApiError::invalid_idempotency_key(""));
    }
    Ok(Some(key.to_owned()))
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|error| {
        let text = error.to_string();
        match error.classify() {
            Category::Data if text.starts_with("unknown field") || text.starts_with("duplicate field") => {
                ApiError::unknown_field(text)
            }
            Category::Data => ApiError::invalid_body(text),
            Category::Io | Category::Syntax | Category::Eof => ApiError::malformed_json(text),
        }
    })
}

impl<T: DeserializeOwned + 'static> FromRequest for Parameters<T> {
    type Error = ApiError;
    type Future = std::future::Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let value = serde_html_form::from_str(request.query_string())
            .map(Parameters)
            .map_err(|error| ApiError::invalid_parameter(error.to_string()));
        std::future::ready(value)
    }
}

/// How many items a page has: as many as asked for, within bounds.
pub fn page_size(limit: Option<i64>) -> Result<i64, ApiError> {
    match limit {
        None => Ok(PAGE_SIZE),
        Some(limit) if (1..=LONGEST_PAGE).contains(&limit) => Ok(limit),
        Some(_) => Err(ApiError::invalid_parameter(format!("limit: 1 to {LONGEST_PAGE}"))),
    }
}

/// Where a page begins, from what the page before it said.
pub fn cursor(after: Option<&str>) -> Result<Option<Cursor>, ApiError> {
    match after {
        None => Ok(None),
        Some(after) => Cursor::parse(after).map(Some).ok_or_else(|| ApiError::invalid_parameter("cursor")),
    }
}

/// A text as it is kept: without NUL.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Text(pub String);

impl Text {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut text = String::deserialize(deserializer)?;
        if text.contains('\0') {
            text.retain(|character| character != '\0');
        }
        Ok(Text(text))
    }
}
