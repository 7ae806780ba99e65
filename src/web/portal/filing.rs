//! What the forms of the customer's side have in common: files put into storage before anything is written, what is
//! recorded of the connection, the forms' keys against double sending.

use actix_web::HttpRequest;
use actix_web::http::header;
use actix_web::web::Data;

use crate::app::App;
use crate::carry;
use crate::error::FieldErrors;
use crate::tickets::attachments::{self, NewAttachment};
use crate::tickets::connection_context::ConnectionContext;
use crate::web::forms::UploadedFile;
use crate::web::page_error::PageError;
use crate::web::request::{client_ip, header_text};

/// Files in one form.
const FILES: usize = 20;

/// Stores the files of a form. Nothing refers to them until the form is taken.
pub async fn store(app: &Data<App>, files: Vec<UploadedFile>) -> Result<Vec<NewAttachment>, PageError> {
    if files.is_empty() {
        return Ok(Vec::new());
    }
    if files.len() > FILES {
        return Err(PageError::too_large());
    }
    let storage = app.storage.clone();
    let stored = carry::blocking(move || {
        files.iter().map(|file| attachments::store(&storage, &file.file_name, &file.bytes, None)).collect()
    })
    .await;
    let stored: crate::error::Result<Vec<NewAttachment>> =
        stored.map_err(|_| PageError::fault("files could not be stored: the thread ended"))?;
    Ok(stored?)
}

/// From where the request was made (A1). The page is given by the caller, for a path can hold somebody's key.
pub fn context(request: &HttpRequest, app: &App, page: &str, time_zone: &str) -> ConnectionContext {
    ConnectionContext::of_request(
        &ip_address(request, app),
        &header_text(request, header::ACCEPT_LANGUAGE),
        &header_text(request, header::USER_AGENT),
        &format!("{}{page}", app.config.http.base_url),
        time_zone,
    )
}

/// The client's address in text, or nothing.
pub fn ip_address(request: &HttpRequest, app: &App) -> String {
    client_ip(request, &app.config.http.trusted_proxies).map(|ip| ip.to_string()).unwrap_or_default()
}

/// Browsers do not keep the files of a form that comes back, so it says that they are to be chosen again.
pub fn ask_for_files_again(errors: &mut FieldErrors, had_files: bool) {
    if had_files {
        errors.add("files", "files-choose-again");
    }
}

/// Whether the form was sent before with other words, so that it needs a key of its own from now on.
pub fn needs_new_key(errors: &FieldErrors) -> bool {
    errors.of("").is_some()
}
