//! Failures as JSON: a stable code, what happened in the reader's language, and what is wrong by field. The counterpart
//! of `web::page_error`; `web::guard` writes the body, for it sees every answer of `/api/`.

use std::collections::BTreeMap;
use std::fmt;

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::ServiceResponse;
use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, ResponseError};
use serde::Serialize;
use utoipa::ToSchema;

use crate::error::Error;
use crate::i18n::{Locale, Message, Texts};
use crate::secret::random_handle;
use crate::web::page_error::{PageError, status_of};
use crate::web::request::header_text;

/// What handlers of the interface return.
pub type ApiResult = Result<HttpResponse, ApiError>;

/// Why there is no answer.
#[derive(Debug)]
pub enum ApiError {
    /// The capability's answer.
    Domain(Error),
    /// The request itself is wrong, whatever it asks for; the text says more where there is more to say.
    Request { status: StatusCode, code: &'static str, key: &'static str, text: String },
}

/// Every code of a request that goes no further than the door, with its status and its text.
macro_rules! refusals {
    ($($(#[$doc:meta])* $name:ident $status:ident $code:literal $key:literal;)*) => {
        impl ApiError {
            $($(#[$doc])*
            pub fn $name(text: impl Into<String>) -> ApiError {
                ApiError::Request { status: StatusCode::$status, code: $code, key: $key, text: text.into() }
            })*
        }

        /// The codes above, for the description of the interface.
        const REQUEST_CODES: &[(&str, StatusCode, &str)] = &[$(($code, StatusCode::$status, $key),)*];
    };
}

refusals! {
    /// What was sent is no JSON.
    malformed_json BAD_REQUEST "malformed_json" "api-malformed-json";
    /// The body has a field that this request does not take, or one twice.
    unknown_field BAD_REQUEST "unknown_field" "api-unknown-field";
    /// A field is missing, or is of another type.
    invalid_body UNPROCESSABLE_ENTITY "invalid_body" "api-invalid-body";
    /// The address has a parameter that this request does not take, or one of another form.
    invalid_parameter BAD_REQUEST "invalid_parameter" "api-invalid-parameter";
    /// The key is empty, too long or not plain.
    invalid_idempotency_key BAD_REQUEST "invalid_idempotency_key" "api-invalid-idempotency-key";
    /// The key was used for another request.
    idempotency_key_reused UNPROCESSABLE_ENTITY "idempotency_key_reused" "api-idempotency-key-reused";
    /// There is no token, or it is not one of ours, or no longer in force.
    unauthorized UNAUTHORIZED "unauthorized" "api-unauthorized";
    /// The token does not allow this.
    insufficient_scope FORBIDDEN "insufficient_scope" "api-insufficient-scope";
    /// Another method is to be used with this address.
    method_not_allowed METHOD_NOT_ALLOWED "method_not_allowed" "api-method-not-allowed";
    /// Not the media type that this request takes.
    unsupported_media_type UNSUPPORTED_MEDIA_TYPE "unsupported_media_type" "api-unsupported-media-type";
    /// More bytes than are taken.
    too_large PAYLOAD_TOO_LARGE "too_large" "error-too-large";
    /// The body came too slowly, or not to its end (FT-14).
    too_slow REQUEST_TIMEOUT "too_slow" "error-too-slow";
    /// A host name that is not ours.
    misdirected MISDIRECTED_REQUEST "misdirected" "error-misdirected";
    /// The request is wrong in another way.
    bad_request BAD_REQUEST "bad_request" "api-bad-request";
}

/// The codes of what capabilities answer.
const DOMAIN_CODES: [(&str, StatusCode, &str); 9] = [
    ("not_found", StatusCode::NOT_FOUND, "api-not-found"),
    ("forbidden", StatusCode::FORBIDDEN, "error-forbidden"),
    ("invalid", StatusCode::UNPROCESSABLE_ENTITY, "api-invalid"),
    ("conflict", StatusCode::CONFLICT, "api-conflict"),
    ("too_many_requests", StatusCode::TOO_MANY_REQUESTS, "error-too-often"),
    ("busy", StatusCode::SERVICE_UNAVAILABLE, "error-busy"),
    ("storage_full", StatusCode::INSUFFICIENT_STORAGE, "error-storage-full"),
    ("file_damaged", StatusCode::SERVICE_UNAVAILABLE, "error-file-damaged"),
    ("internal", StatusCode::INTERNAL_SERVER_ERROR, "error-internal"),
];

/// Every code with its status and the key of its text, for the description of the interface.
pub fn codes() -> Vec<(&'static str, u16, &'static str)> {
    let codes = REQUEST_CODES.iter().copied().chain(DOMAIN_CODES);
    let mut codes: Vec<_> = codes.map(|(code, status, key)| (code, status.as_u16(), key)).collect();
    codes.sort_by_key(|(code, status, _)| (*status, *code));
    codes
}

/// The body of every failure.
#[derive(Debug, Serialize, ToSchema)]
pub struct Failure {
    /// A stable name for programs to branch on.
    pub code: &'static str,
    /// What happened, in the language of `Accept-Language`, English without it.
    pub message: String,
    /// What is wrong, by field of the body; for the code `invalid`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<&'static str, FieldFailure>,
    /// To be given when writing to us about a fault of ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
}

/// What is wrong with one field.
#[derive(Debug, Serialize, ToSchema)]
pub struct FieldFailure {
    /// A stable name for programs to branch on.
    pub code: &'static str,
    pub message: String,
}

impl ApiError {
    fn code(&self) -> &'static str {
        match self {
            ApiError::Request { code, .. } => code,
            ApiError::Domain(error) => match error {
                Error::NotFound => "not_found",
                Error::Forbidden => "forbidden",
                Error::Invalid(_) => "invalid",
                Error::Conflict(_) => "conflict",
                Error::TooMany { .. } => "too_many_requests",
                Error::Busy => "busy",
                Error::StorageFull => "storage_full",
                Error::FileDamaged(_) => "file_damaged",
                Error::Internal(_) => "internal",
            },
        }
    }

    fn message(&self) -> Message {
        match self {
            ApiError::Request { key, .. } => Message::new(key),
            ApiError::Domain(error) => match error {
                Error::NotFound => Message::new("api-not-found"),
                Error::Forbidden => Message::new("error-forbidden"),
                Error::Invalid(_) => Message::new("api-invalid"),
                Error::Conflict(message) => message.clone(),
                Error::TooMany { .. } => Message::new("error-too-often"),
                Error::Busy => Message::new("error-busy"),
                Error::StorageFull => Message::new("error-storage-full"),
                Error::FileDamaged(_) => Message::new("error-file-damaged"),
                Error::Internal(_) => Message::new("error-internal"),
            },
        }
    }

    fn body(&self, texts: &Texts, reference: Option<String>) -> Failure {
        let mut message = texts.message(&self.message());
        if let ApiError::Request { text, .. } = self
            && !text.is_empty()
        {
            message = format!("{message} {text}");
        }
        let mut fields = BTreeMap::new();
        if let ApiError::Domain(Error::Invalid(errors)) = self {
            for (field, message) in errors.iter() {
                let failure = FieldFailure { code: message.key, message: texts.message(message) };
                fields.entry(field).or_insert(failure);
            }
        }
        Failure { code: self.code(), message, fields, reference }
    }
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        ApiError::Domain(error)
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ApiError::Domain(error) => error.fmt(f),
            ApiError::Request { code, .. } => f.write_str(code),
        }
    }
}

impl std::error::Error for ApiError {}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        match self {
            ApiError::Domain(error) => status_of(error),
            ApiError::Request { status, .. } => *status,
        }
    }

    fn error_response(&self) -> HttpResponse<BoxBody> {
        let mut response = HttpResponse::build(self.status_code());
        match self {
            ApiError::Domain(Error::TooMany { retry_after_secs }) => {
                response.insert_header((header::RETRY_AFTER, retry_after_secs.to_string()));
            }
            ApiError::Domain(Error::Busy) => {
                response.insert_header((header::RETRY_AFTER, "5"));
            }
            ApiError::Request { status: StatusCode::UNAUTHORIZED, .. } => {
                response.insert_header((header::WWW_AUTHENTICATE, "Bearer"));
            }
            _ => {}
        }
        response.finish()
    }
}

/// Whether a request is one of a program.
pub fn is_for_programs(request: &HttpRequest) -> bool {
    request.path().starts_with("/api/")
}

/// Puts the JSON of the failure where the answer has only its status.
pub fn with_body(request: &HttpRequest, response: ServiceResponse<BoxBody>) -> ServiceResponse<BoxBody> {
    let status = response.status();
    let is_empty = matches!(response.response().body().size(), BodySize::None | BodySize::Sized(0));
    if !(status.is_client_error() || status.is_server_error()) || !is_empty {
        return response;
    }
    let texts = Texts::in_language(language(request));
    let failure = response.response().error();
    let body = if let Some(error) = failure.and_then(|failure| failure.as_error::<ApiError>()) {
        let reference = match error {
            ApiError::Domain(Error::Internal(cause)) => Some(log_fault(cause)),
            _ => None,
        };
        error.body(&texts, reference)
    } else {
        without_cause(status, failure.and_then(|failure| failure.as_error::<PageError>())).body(&texts, None)
    };
    let json = serde_json::to_string(&body).unwrap_or_default();
    let (request, mut response) = response.into_parts();
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    ServiceResponse::new(request, response.set_body(BoxBody::new(json)))
}

/// What the framework or a part shared with pages refused.
fn without_cause(status: StatusCode, failure: Option<&PageError>) -> ApiError {
    if let Some(PageError::Domain(Error::TooMany { retry_after_secs })) = failure {
        return ApiError::Domain(Error::TooMany { retry_after_secs: *retry_after_secs });
    }
    match status {
        StatusCode::NOT_FOUND => ApiError::Domain(Error::NotFound),
        StatusCode::FORBIDDEN => ApiError::Domain(Error::Forbidden),
        StatusCode::METHOD_NOT_ALLOWED => ApiError::method_not_allowed(""),
        StatusCode::PAYLOAD_TOO_LARGE => ApiError::too_large(""),
        StatusCode::REQUEST_TIMEOUT => ApiError::too_slow(""),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => ApiError::unsupported_media_type(""),
        StatusCode::MISDIRECTED_REQUEST => ApiError::misdirected(""),
        StatusCode::SERVICE_UNAVAILABLE => ApiError::Domain(Error::Busy),
        StatusCode::INSUFFICIENT_STORAGE => ApiError::Domain(Error::StorageFull),
        other if other.is_server_error() => ApiError::Domain(Error::internal(format!("answered with {other}"))),
        _ => ApiError::bad_request(""),
    }
}

fn log_fault(cause: &anyhow::Error) -> String {
    let reference = random_handle();
    tracing::error!(
        target: "accord::web", reference, error = format!("{cause:#}"), cause = ?cause, "A request failed"
    );
    reference
}

/// Programs say in which language they want texts, or get English.
fn language(request: &HttpRequest) -> Locale {
    let asked = header_text(request, header::ACCEPT_LANGUAGE);
    if asked.is_empty() { Locale::En } else { Locale::from_accept_language(&asked) }
}
