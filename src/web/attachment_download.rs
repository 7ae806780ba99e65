//! Handing out files: always as a download, never as something a browser runs (H-09). Who asks must be able to read the
//! message the file came with, each time.

use actix_web::HttpResponse;
use actix_web::http::header;
use actix_web::web::{Data, Path};

use crate::access::Actor;
use crate::app::App;
use crate::carry;
use crate::error::Error;
use crate::html::file_name::FileName;
use crate::tickets::attachments;
use crate::web::lookups;
use crate::web::page_error::{PageError, PageResult};
use crate::web::signed_in::SignedIn;

/// What a download may do in a browser: nothing.
pub const DOWNLOAD_POLICY: &str = "sandbox; default-src 'none'";

/// `GET /attachments/{handle}`
pub async fn download(app: Data<App>, reader: SignedIn, handle: Path<String>) -> PageResult {
    serve(&app, reader.actor.clone(), reader.ip, handle.into_inner()).await
}

/// The file for whoever `actor` is.
pub async fn serve(app: &App, actor: Actor, ip: Option<std::net::IpAddr>, handle: String) -> PageResult {
    let find = move |db: &mut crate::db::DbConnection| attachments::find(db, &actor, &handle)?.ok_or(Error::NotFound);
    let file = lookups::limited(app, ip, find).await?;
    let content = read_stored(app, file.content_hash).await?;
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, file.media_type))
        .insert_header((header::CONTENT_DISPOSITION, FileName::new(&file.file_name).content_disposition()))
        .insert_header((header::CONTENT_SECURITY_POLICY, DOWNLOAD_POLICY))
        .body(content))
}

/// The bytes of that hash, read where waiting for the disk stops nobody else.
pub async fn read_stored(app: &App, hash: String) -> Result<Vec<u8>, PageError> {
    let storage = app.storage.clone();
    let read = carry::blocking(move || storage.get(&hash)).await;
    Ok(read.map_err(|_| Error::Busy)??)
}
