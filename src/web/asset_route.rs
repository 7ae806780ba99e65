//! Serves style sheet, script and pictures under their hashed names, for browsers to keep for ever.

use actix_web::HttpResponse;
use actix_web::http::header;
use actix_web::web::Path;

use crate::error::Error;
use crate::web::assets;
use crate::web::page_error::PageResult;

/// `GET /assets/{name}`
pub async fn show(name: Path<String>) -> PageResult {
    let asset = assets::find(&name).ok_or(Error::NotFound)?;
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, asset.media_type))
        .insert_header((header::CACHE_CONTROL, "public, max-age=31536000, immutable"))
        .body(asset.content))
}
