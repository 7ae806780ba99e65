//! Failures as a page: a status, what happened and what to do in the reader's language, and a reference number where
//! the fault is ours. Handlers fail with [`PageError`]; `web::guard` makes the page, for only it knows the reader.

use std::fmt;

use actix_web::body::BoxBody;
use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, ResponseError};

use crate::error::Error;
use crate::i18n::Message;

/// What handlers of pages return.
pub type PageResult = Result<HttpResponse, PageError>;

/// Why there is no page, or which page is the right one instead.
#[derive(Debug)]
pub enum PageError {
    /// The capability's answer.
    Domain(Error),
    /// The request itself is wrong, whatever it asks for.
    Request { status: StatusCode, key: &'static str },
    /// Somewhere else first: signing in, accepting the undertaking.
    Elsewhere(String),
}

impl PageError {
    /// The form cannot be read, or has fields that it should not.
    pub fn bad_request() -> Self {
        PageError::Request { status: StatusCode::BAD_REQUEST, key: "error-bad-request" }
    }

    /// The form's token is missing, old or somebody else's.
    pub fn forged() -> Self {
        PageError::Request { status: StatusCode::FORBIDDEN, key: "error-form-expired" }
    }

    /// More bytes than are taken.
    pub fn too_large() -> Self {
        PageError::Request { status: StatusCode::PAYLOAD_TOO_LARGE, key: "error-too-large" }
    }

    /// The body came too slowly, or not to its end (FT-14).
    pub fn too_slow() -> Self {
        PageError::Request { status: StatusCode::REQUEST_TIMEOUT, key: "error-too-slow" }
    }

    /// Not a media type that is read here.
    pub fn unsupported() -> Self {
        PageError::Request { status: StatusCode::UNSUPPORTED_MEDIA_TYPE, key: "error-unsupported" }
    }

    /// A grant was ended, and only the record of it is missing still.
    pub fn stopped_not_recorded() -> Self {
        PageError::Request { status: StatusCode::SERVICE_UNAVAILABLE, key: "error-stopped-not-recorded" }
    }

    /// A host name that is not ours.
    pub fn misdirected() -> Self {
        PageError::Request { status: StatusCode::MISDIRECTED_REQUEST, key: "error-misdirected" }
    }

    /// As much is under way of the reader already as anybody may have at a time; the text says of what.
    pub fn under_way(key: &'static str) -> Self {
        PageError::Request { status: StatusCode::TOO_MANY_REQUESTS, key }
    }

    /// A fault of ours.
    pub fn fault(text: &str) -> Self {
        PageError::Domain(Error::internal(text))
    }

    /// What to tell the reader.
    pub fn message(&self) -> Message {
        match self {
            PageError::Domain(error) => match error {
                Error::NotFound => Message::new("error-not-found"),
                Error::Forbidden => Message::new("error-forbidden"),
                Error::Invalid(errors) => {
                    errors.iter().next().map_or(Message::new("error-bad-request"), |(_, message)| message.clone())
                }
                Error::Conflict(message) => message.clone(),
                Error::TooMany { .. } => Message::new("error-too-often"),
                Error::Busy => Message::new("error-busy"),
                Error::StorageFull => Message::new("error-storage-full"),
                Error::FileDamaged(_) => Message::new("error-file-damaged"),
                Error::Internal(_) => Message::new("error-internal"),
            },
            PageError::Request { key, .. } => Message::new(key),
            PageError::Elsewhere(_) => Message::new("error-elsewhere"),
        }
    }
}

impl From<Error> for PageError {
    fn from(error: Error) -> Self {
        PageError::Domain(error)
    }
}

impl fmt::Display for PageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PageError::Domain(error) => error.fmt(f),
            PageError::Request { key, .. } => f.write_str(key),
            PageError::Elsewhere(path) => write!(f, "see {path}"),
        }
    }
}

impl std::error::Error for PageError {}

impl ResponseError for PageError {
    fn status_code(&self) -> StatusCode {
        match self {
            PageError::Domain(error) => status_of(error),
            PageError::Request { status, .. } => *status,
            PageError::Elsewhere(_) => StatusCode::SEE_OTHER,
        }
    }

    fn error_response(&self) -> HttpResponse<BoxBody> {
        let mut response = HttpResponse::build(self.status_code());
        match self {
            PageError::Elsewhere(path) => {
                response.insert_header((header::LOCATION, path.as_str()));
            }
            PageError::Domain(Error::TooMany { retry_after_secs }) => {
                response.insert_header((header::RETRY_AFTER, retry_after_secs.to_string()));
            }
            PageError::Domain(Error::Busy) | PageError::Request { status: StatusCode::TOO_MANY_REQUESTS, .. } => {
                response.insert_header((header::RETRY_AFTER, "5"));
            }
            _ => {}
        }
        response.finish()
    }
}

/// The HTTP status of each kind of failure, for pages and for the API.
pub fn status_of(error: &Error) -> StatusCode {
    match error {
        Error::NotFound => StatusCode::NOT_FOUND,
        Error::Forbidden => StatusCode::FORBIDDEN,
        Error::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
        Error::Conflict(_) => StatusCode::CONFLICT,
        Error::TooMany { .. } => StatusCode::TOO_MANY_REQUESTS,
        Error::Busy => StatusCode::SERVICE_UNAVAILABLE,
        Error::StorageFull => StatusCode::INSUFFICIENT_STORAGE,
        Error::FileDamaged(_) => StatusCode::SERVICE_UNAVAILABLE,
        Error::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
