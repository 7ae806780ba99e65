//! Forms as handlers take them: parsed, with unknown fields refused, after their token was checked.

use std::pin::Pin;

use actix_multipart::Multipart;
use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::web::{BytesMut, Data};
use actix_web::{FromRequest, HttpRequest};
use futures_util::{Future, StreamExt};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::app::App;
use crate::web::csrf;
use crate::web::page_error::PageError;
use crate::web::signed_in::session_cookie;

/// The largest form without files.
const FORM_BYTES: usize = 512 * 1024;
/// Fields and files in one form.
const FIELDS: usize = 200;
/// The name of the field that carries the token.
const TOKEN_FIELD: &str = "csrf";

/// A form sent as `application/x-www-form-urlencoded`.
#[derive(Debug)]
pub struct Form<T>(pub T);

/// A form sent as `multipart/form-data`, with its files.
#[derive(Debug)]
pub struct Upload<T> {
    pub form: T,
    pub files: Vec<UploadedFile>,
}

/// A form with only a button.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// The one line that a mail program sends whose user wants no more of such mails (RFC 8058), and nothing beside it. There is
/// no page of ours that it could have a token from.
#[derive(Debug)]
pub struct OneClick;

/// A file as the browser sent it; its name is not yet safe (`html::file_name`), nor is its type to be believed.
#[derive(Debug)]
pub struct UploadedFile {
    /// The form field it came in.
    pub field: String,
    pub file_name: String,
    pub media_type: String,
    pub bytes: Vec<u8>,
}

impl<T: DeserializeOwned + 'static> FromRequest for Form<T> {
    type Error = PageError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, PageError>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let request = request.clone();
        let payload = payload.take();
        Box::pin(async move {
            let fields = read_fields(&request, payload).await?;
            checked(&request, fields).map(Form)
        })
    }
}

async fn read_fields(request: &HttpRequest, mut payload: Payload) -> Result<Vec<(String, String)>, PageError> {
    if !has_type(request, "application/x-www-form-urlencoded") {
        return Err(PageError::unsupported());
    }
    let mut body = BytesMut::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_| PageError::bad_request())?;
        if body.len() + chunk.len() > FORM_BYTES {
            return Err(PageError::too_large());
        }
        body.extend_from_slice(&chunk);
    }
    serde_html_form::from_bytes(&body).map_err(|_| PageError::bad_request())
}

impl FromRequest for OneClick {
    type Error = PageError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, PageError>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let request = request.clone();
        let payload = payload.take();
        Box::pin(async move {
            let fields = if has_type(&request, "multipart/form-data") {
                read_parts(Multipart::new(request.headers(), payload), 0).await?.0
            } else {
                read_fields(&request, payload).await?
            };
            match fields.as_slice() {
                [(name, value)] if name == "List-Unsubscribe" && value == "One-Click" => Ok(OneClick),
                _ => Err(PageError::forged()),
            }
        })
    }
}

impl<T: DeserializeOwned + 'static> FromRequest for Upload<T> {
    type Error = PageError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, PageError>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let request = request.clone();
        let payload = payload.take();
        Box::pin(async move {
            if !has_type(&request, "multipart/form-data") {
                return Err(PageError::unsupported());
            }
            let limit = app(&request)?.config.limits.upload_bytes;
            let (fields, files) = read_parts(Multipart::new(request.headers(), payload), limit).await?;
            checked(&request, fields).map(|form| Upload { form, files })
        })
    }
}

type Parts = (Vec<(String, String)>, Vec<UploadedFile>);

async fn read_parts(mut multipart: Multipart, limit: usize) -> Result<Parts, PageError> {
    let (mut fields, mut files) = (Vec::new(), Vec::new());
    let mut total = 0;
    while let Some(part) = multipart.next().await {
        let mut part = part.map_err(|_| PageError::bad_request())?;
        if fields.len() + files.len() >= FIELDS {
            return Err(PageError::too_large());
        }
        let disposition = part.content_disposition().ok_or_else(PageError::bad_request)?;
        let field = disposition.get_name().unwrap_or_default().to_owned();
        let file_name = disposition.get_filename().map(str::to_owned);
        let media_type = part.content_type().map(ToString::to_string).unwrap_or_default();
        let mut bytes = Vec::new();
        while let Some(chunk) = part.next().await {
            let chunk = chunk.map_err(|_| PageError::bad_request())?;
            total += chunk.len();
            if total > limit + FORM_BYTES || (file_name.is_none() && bytes.len() + chunk.len() > FORM_BYTES) {
                return Err(PageError::too_large());
            }
            bytes.extend_from_slice(&chunk);
        }
        match file_name {
            // A file field left empty is sent as a file without name and content.
            Some(name) if name.is_empty() && bytes.is_empty() => {}
            Some(file_name) => files.push(UploadedFile { field, file_name, media_type, bytes }),
            None => fields.push((field, String::from_utf8(bytes).map_err(|_| PageError::bad_request())?)),
        }
    }
    Ok((fields, files))
}

fn checked<T: DeserializeOwned>(request: &HttpRequest, fields: Vec<(String, String)>) -> Result<T, PageError> {
    let app = app(request)?;
    let (tokens, fields): (Vec<_>, Vec<_>) = fields.into_iter().partition(|(name, _)| name == TOKEN_FIELD);
    let session = session_cookie(request, &app);
    let genuine = match tokens.as_slice() {
        [(_, token)] => csrf::is_genuine(&app.keys, session.as_deref(), token, app.clock.now()),
        _ => false,
    };
    if !genuine {
        return Err(PageError::forged());
    }
    // PostgreSQL keeps no NUL in text, and no form needs one.
    let fields: Vec<_> = fields.into_iter().map(|(name, value)| (name, value.replace('\0', ""))).collect();
    let text = serde_html_form::to_string(&fields).map_err(|_| PageError::bad_request())?;
    serde_html_form::from_str(&text).map_err(|error| {
        tracing::debug!(target: "accord::web", %error, "A form did not have the fields it should");
        PageError::bad_request()
    })
}

fn app(request: &HttpRequest) -> Result<Data<App>, PageError> {
    request.app_data::<Data<App>>().cloned().ok_or_else(|| PageError::fault("the application is not set up"))
}

fn has_type(request: &HttpRequest, wanted: &str) -> bool {
    let Some(Ok(value)) = request.headers().get(header::CONTENT_TYPE).map(header::HeaderValue::to_str) else {
        return false;
    };
    let essence = value.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case(wanted) && !request.headers().contains_key(header::CONTENT_ENCODING)
}
