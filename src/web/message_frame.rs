//! The HTML form of a mail, in a document of its own that can do nothing (H-02): sanitized, sandboxed by the frame and by
//! its own policy, without scripts, forms or an origin. Images of other servers are asked for only when the reader wants
//! them for this message (H-04).

use std::sync::LazyLock;

use actix_web::HttpResponse;
use actix_web::http::header::{self, HeaderName};
use actix_web::web::{Data, Path, Query};
use askama::Template;
use chrono::TimeDelta;
use data_encoding::{BASE64, BASE64URL_NOPAD};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::access::{self, Actor};
use crate::app::App;
use crate::carry;
use crate::clock::UtcTime;
use crate::error::Error;
use crate::html::{sanitize_mail, sanitize_mail_with_remote_images};
use crate::i18n::Texts;
use crate::keys::Purpose;
use crate::people::person::{self, PersonState};
use crate::tickets::attachments::{self, Attachment, SHOWN_IMAGES};
use crate::tickets::messages;
use crate::web::lookups;
use crate::web::page_error::{PageError, PageResult};
use crate::web::signed_in::SignedIn;

/// The value of `sandbox` on the frame: links open in a tab of their own, and nothing else happens.
pub const SANDBOX: &str = "allow-popups allow-popups-to-escape-sandbox";

/// The frame's own style sheet; its hash stands in the policy, so that no other style counts. Its ground is its own, for
/// the page around it may be light when this is dark.
const STYLE: &str = "\
:root{color-scheme:light dark;background:Canvas;color:CanvasText;font:16px/1.5 system-ui,sans-serif}\
body{margin:0;padding:12px;overflow-wrap:anywhere}\
img{max-width:100%;height:auto}table{max-width:100%;border-collapse:collapse}\
blockquote{margin:0 0 0 .5em;padding-left:.8em;border-left:3px solid #8886}\
pre{white-space:pre-wrap}a{color:LinkText}\
.note{margin:0 0 12px;padding:8px 12px;border-radius:8px;background:#8882}";

/// The largest image that stands in the document itself (H-02).
const INLINE_BYTES: i64 = 1024 * 1024;
/// How long the address of a larger image is good.
const IMAGE_VALID: TimeDelta = TimeDelta::minutes(5);

/// What the proof of an address covers beside it, so that it is good for nothing else.
const LABEL: &[u8] = b"inline image";

#[derive(Template)]
#[template(path = "agent/frame.html")]
struct Frame {
    t: Texts,
    style: &'static str,
    /// Nothing when the HTML is beyond what is safely shown.
    html: Option<String>,
    load_images: Option<String>,
}

/// What a frame is asked for.
#[derive(Deserialize)]
pub struct FrameQuery {
    pub images: Option<String>,
}

/// `GET /messages/{handle}/frame`
pub async fn show(app: Data<App>, reader: SignedIn, handle: Path<String>, query: Query<FrameQuery>) -> PageResult {
    let (texts, ip) = (reader.texts(), reader.ip);
    serve(&app, reader.actor.clone(), ip, texts, handle.into_inner(), query.images.is_some(), "").await
}

/// The frame for whoever `actor` is; `base` stands before its address.
pub async fn serve(
    app: &App,
    actor: Actor,
    ip: Option<std::net::IpAddr>,
    t: Texts,
    handle: String,
    with_images: bool,
    base: &str,
) -> PageResult {
    let load_images = format!("{base}/messages/{handle}/frame?images=1");
    let asking = actor.clone();
    let (html, files, reader) = lookups::limited(app, ip, move |db| {
        let (ticket, message) = messages::find_readable(db, &asking, &handle)?.ok_or(Error::NotFound)?;
        let html = messages::html_of(db, message.id)?.ok_or(Error::NotFound)?;
        // Who holds a link takes part, so their images are found by what they may see as a person.
        let reader = asking.person().map(|id| person::by_id(db, id)).transpose()?;
        Ok((html, attachments::of_message(db, ticket.id, message.id)?, reader.map(|person| person.handle)))
    })
    .await?;
    let mut images = Vec::new();
    for file in files.into_iter().filter(|file| SHOWN_IMAGES.contains(&file.media_type.as_str())) {
        let Some(id) = file.content_id.clone() else { continue };
        if let Some(address) = image_address(app, &file, reader.as_deref()).await? {
            images.push((id, address));
        }
    }
    // Parsing takes milliseconds at worst (its input is limited), yet not on the thread that serves everybody.
    let safe = carry::blocking(move || {
        let cid = |wanted: &str| images.iter().find(|(id, _)| id == wanted).map(|(_, address)| address.clone());
        if with_images { sanitize_mail_with_remote_images(&html, &cid) } else { sanitize_mail(&html, &cid) }
    })
    .await
    .map_err(|_| Error::Busy)?;
    let offers_images = !with_images && safe.as_ref().is_some_and(|safe| safe.has_remote_images());
    let frame =
        Frame { t, style: STYLE, html: safe.map(|safe| safe.html), load_images: offers_images.then_some(load_images) };
    let body = frame.render().map_err(|error| PageError::fault(&format!("a frame could not be made: {error}")))?;
    let remote = if with_images { " https:" } else { "" };
    static STYLE_HASH: LazyLock<String> = LazyLock::new(|| BASE64.encode(&Sha256::digest(STYLE.as_bytes())));
    let policy = format!(
        "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; img-src data: 'self'{remote}; \
         style-src 'sha256-{}'; form-action 'none'; frame-ancestors 'self'",
        *STYLE_HASH
    );
    Ok(HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .insert_header((header::CONTENT_SECURITY_POLICY, policy))
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        .body(body))
}

/// An image of the mail: in the document itself, or by an address for this reader and five minutes, as the frame sends
/// no cookies.
async fn image_address(app: &App, file: &Attachment, reader: Option<&str>) -> Result<Option<String>, PageError> {
    if file.size <= INLINE_BYTES {
        let content = super::attachment_download::read_stored(app, file.content_hash.clone()).await;
        // A lost file leaves a gap in the mail, not an error in its place (FT-11).
        return Ok(content.ok().map(|content| format!("data:{};base64,{}", file.media_type, BASE64.encode(&content))));
    }
    Ok(reader.map(|reader| {
        let until = app.clock.now().plus(IMAGE_VALID).seconds();
        let proof = BASE64URL_NOPAD.encode(&proof(app, &file.handle, reader, until));
        format!("/inline/{}?reader={reader}&until={until}&proof={proof}", file.handle)
    }))
}

fn proof(app: &App, file: &str, reader: &str, until: i64) -> [u8; 32] {
    app.keys.mac(Purpose::Form, &[LABEL, file.as_bytes(), reader.as_bytes(), &until.to_be_bytes()])
}

/// What proves that a frame asks for an image.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InlineQuery {
    reader: String,
    until: i64,
    proof: String,
}

/// `GET /inline/{handle}`: an image inside a mail, for the reader whom its address was made for.
pub async fn inline_image(app: Data<App>, handle: Path<String>, query: Option<Query<InlineQuery>>) -> PageResult {
    // Without its proof an address is no address.
    let query = query.ok_or(Error::NotFound)?;
    let handle = handle.into_inner();
    let claimed = BASE64URL_NOPAD.decode(query.proof.as_bytes()).unwrap_or_default();
    let parts: [&[u8]; 4] = [LABEL, handle.as_bytes(), query.reader.as_bytes(), &query.until.to_be_bytes()];
    let is_genuine = app.keys.verifies(Purpose::Form, &parts, &claimed);
    if !is_genuine || app.clock.now() >= UtcTime::from_seconds(query.until) {
        return Err(Error::NotFound.into());
    }
    let reader = query.into_inner().reader;
    let file = app
        .database
        .read(move |db| {
            let reader = person::find_by_handle(db, &reader)?
                .filter(|reader| reader.state == PersonState::Active)
                .ok_or(Error::NotFound)?;
            let actor = access::actor_of(db, reader.id)?;
            attachments::find(db, &actor, &handle)?.ok_or(Error::NotFound)
        })
        .await?;
    if !SHOWN_IMAGES.contains(&file.media_type.as_str()) {
        return Err(Error::NotFound.into());
    }
    let content = super::attachment_download::read_stored(&app, file.content_hash).await?;
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, file.media_type))
        .insert_header((header::CONTENT_SECURITY_POLICY, super::attachment_download::DOWNLOAD_POLICY))
        // The frame has no origin, so to it this server is another one.
        .insert_header((HeaderName::from_static("cross-origin-resource-policy"), "cross-origin"))
        .body(content))
}
