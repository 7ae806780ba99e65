//! A mail as it came, for agents: as a file, and as text.

use actix_web::HttpResponse;
use actix_web::http::header;
use actix_web::web::{Data, Path};
use askama::Template;

use crate::app::App;
use crate::error::Error;
use crate::html::file_name::FileName;
use crate::journal::unprocessed;
use crate::tickets::messages;
use crate::web::attachment_download::{self, DOWNLOAD_POLICY};
use crate::web::navigation::Place;
use crate::web::page::Page;
use crate::web::page_error::{PageError, PageResult};
use crate::web::respond;
use crate::web::signed_in::Agent;

/// Bytes of an original shown as text; the download has all of it.
const SHOWN_SOURCE: usize = 512 * 1024;

/// `GET /messages/{handle}/original`: as a file.
pub async fn download(app: Data<App>, agent: Agent, handle: Path<String>) -> PageResult {
    let (reference, bytes) = load(&app, &agent, handle.into_inner()).await?;
    let name = FileName::new(&format!("{reference}.eml"));
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "message/rfc822"))
        .insert_header((header::CONTENT_DISPOSITION, name.content_disposition()))
        .insert_header((header::CONTENT_SECURITY_POLICY, DOWNLOAD_POLICY))
        .body(bytes))
}

#[derive(Template)]
#[template(path = "agent/source.html")]
struct SourcePage {
    p: Page,
    reference: String,
    handle: String,
    source: String,
    is_cut: bool,
}

/// `GET /messages/{handle}/source`: as text, with the servers it passed through (B1).
pub async fn show(app: Data<App>, agent: Agent, handle: Path<String>) -> PageResult {
    let handle = handle.into_inner();
    let (reference, bytes) = load(&app, &agent, handle.clone()).await?;
    let shown = &bytes[..bytes.len().min(SHOWN_SOURCE)];
    let text = String::from_utf8_lossy(shown).replace("\r\n", "\n");
    let mut p = agent.page(&app, "source-title", Place::Tickets);
    p.title = format!("{} · {reference}", p.title);
    let source: String = text.chars().filter(|c| *c == '\n' || *c == '\t' || !c.is_control()).collect();
    respond::page(&SourcePage { p, reference, handle, source, is_cut: bytes.len() > SHOWN_SOURCE })
}

async fn load(app: &App, agent: &Agent, handle: String) -> Result<(String, Vec<u8>), PageError> {
    let actor = agent.actor().clone();
    let (reference, original) = app
        .database
        .read(move |db| {
            let (ticket, message) = messages::find_readable(db, &actor, &handle)?.ok_or(Error::NotFound)?;
            let ingest = message.ingest_id.ok_or(Error::NotFound)?;
            Ok((ticket.reference, unprocessed::original(db, ingest)?))
        })
        .await?;
    let bytes = match original {
        unprocessed::Original::Bytes(bytes) => bytes,
        unprocessed::Original::Stored(hash) => attachment_download::read_stored(app, hash).await?,
    };
    Ok((reference, bytes))
}
