//! A mail as it was formatted (H-01, H-02, H-04): what our policy leaves of its HTML, in a document of its own, which the
//! page shows in a sandboxed frame. The policy of the HTML, that of the document and that of the frame each hold alone.

use std::collections::HashMap;
use std::sync::LazyLock;

use actix_web::HttpResponse;
use actix_web::http::header;
use actix_web::web::{Data, Path, Query, block};
use askama::Template;
use data_encoding::BASE64;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::access::Actor;
use crate::app::App;
use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::error::{Error, Result};
use crate::html::{from_text, sanitize_mail, sanitize_mail_with_remote_images};
use crate::i18n::Texts;
use crate::people::person::{Person, Theme};
use crate::tickets::attachments::{self, Attachment, SHOWN_IMAGES};
use crate::tickets::messages;
use crate::web::attachments::inline_path;
use crate::web::page_error::{PageError, PageResult};
use crate::web::signed_in::SignedIn;

const STYLE: &str = include_str!("../../templates/assets/mail_frame.css");

/// The value of `sandbox` on the frame: links open in a tab of their own, and nothing else happens.
pub const SANDBOX: &str = "allow-popups allow-popups-to-escape-sandbox";

/// An image up to this size stands in the document itself; a larger one is fetched by a signed address.
const LARGEST_INSIDE: i64 = 1024 * 1024;
/// All such images together.
const INSIDE_TOGETHER: i64 = 6 * 1024 * 1024;

/// What may be asked of a frame.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FrameQuery {
    /// `remote`: the reader wants the images of this message from other servers.
    #[serde(default)]
    images: String,
}

/// `GET /messages/{handle}/html`
pub async fn show(app: Data<App>, reader: SignedIn, path: Path<String>, Query(query): Query<FrameQuery>) -> PageResult {
    frame(&app, reader.actor.clone(), reader.person.clone(), reader.texts(), path.into_inner(), query).await
}

/// The document of a message for `reader`, who acts as `actor`.
pub async fn frame(
    app: &Data<App>,
    actor: Actor,
    reader: Person,
    texts: Texts,
    handle: String,
    query: FrameQuery,
) -> PageResult {
    let mail = app.database.read(move |db| load(db, &actor, &handle)).await?;
    let now = app.clock.now();
    let with_remote_images = query.images == "remote";
    let theme = reader.theme;
    let html = {
        let app = app.clone();
        block(move || render(&app, &mail, &reader, with_remote_images, now))
            .await
            .map_err(|_| PageError::fault("a mail could not be shown: the thread ended"))??
    };
    let document = Document {
        language: texts.locale.code(),
        theme: match theme {
            Theme::System => "system",
            Theme::Light => "light",
            Theme::Dark => "dark",
        },
        title: texts.say("mail-frame-title"),
        style: STYLE,
        html,
    };
    let body = document.render().map_err(|error| PageError::fault(&format!("a mail could not be shown: {error}")))?;
    Ok(HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .insert_header((header::CONTENT_SECURITY_POLICY, policy(with_remote_images)))
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        .body(body))
}

/// What the document may load: images in it and ours; those of other servers only when the reader asked.
fn policy(with_remote_images: bool) -> String {
    static STYLE_HASH: LazyLock<String> = LazyLock::new(|| BASE64.encode(&Sha256::digest(STYLE)));
    let remote = if with_remote_images { " https:" } else { "" };
    format!(
        "sandbox {SANDBOX}; default-src 'none'; img-src data: 'self'{remote}; style-src 'sha256-{}'; form-action 'none'; \
         base-uri 'none'; frame-ancestors 'self'",
        *STYLE_HASH
    )
}

struct Mail {
    html: Option<String>,
    text: String,
    images: Vec<Attachment>,
}

fn load(db: &mut DbConnection, actor: &Actor, handle: &str) -> Result<Mail> {
    let (ticket, message) = messages::find_readable(db, actor, handle)?.ok_or(Error::NotFound)?;
    let images = attachments::of_message(db, ticket.id, message.id)?
        .into_iter()
        .filter(|file| file.content_id.is_some() && SHOWN_IMAGES.contains(&file.media_type.as_str()))
        .collect();
    let text = format!("{}\n\n{}", message.body_text, message.quoted_text);
    Ok(Mail { html: messages::html_of(db, message.id)?, text, images })
}

fn render(app: &App, mail: &Mail, reader: &Person, with_remote_images: bool, now: UtcTime) -> Result<String> {
    let Some(html) = &mail.html else { return Ok(from_text(&mail.text)) };
    let mut together = 0;
    let mut addresses = HashMap::new();
    for image in &mail.images {
        let Some(id) = &image.content_id else { continue };
        let fits = image.size <= LARGEST_INSIDE && together + image.size <= INSIDE_TOGETHER;
        // Only what the HTML shows is worth reading.
        let address = if fits && html.contains(id.as_str()) {
            together += image.size;
            format!("data:{};base64,{}", image.media_type, BASE64.encode(&app.storage.get(&image.content_hash)?))
        } else {
            inline_path(&app.keys, &image.handle, reader, now)
        };
        addresses.insert(id.clone(), address);
    }
    let of_id = |id: &str| addresses.get(id).cloned();
    let safe =
        if with_remote_images { sanitize_mail_with_remote_images(html, &of_id) } else { sanitize_mail(html, &of_id) };
    // Over the limits of what we take apart, the text says the same.
    Ok(safe.map_or_else(|| from_text(&mail.text), |safe| safe.html))
}

#[derive(Template)]
#[template(path = "layout/mail_frame.html")]
struct Document {
    language: &'static str,
    theme: &'static str,
    title: String,
    style: &'static str,
    html: String,
}
