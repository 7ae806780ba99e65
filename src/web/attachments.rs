//! Files of tickets as browsers get them (H-09): under the same rules as the page that names them, always to
//! be saved, never run, sniffed or shown in a page of ours. Images inside a mail are the exception, in the mail's own frame.

use actix_web::HttpResponse;
use actix_web::http::header::{self, HeaderName};
use actix_web::web::{Data, Path, block};
use chrono::TimeDelta;
use data_encoding::BASE64URL_NOPAD;

use crate::access;
use crate::app::App;
use crate::clock::UtcTime;
use crate::error::Error;
use crate::html::file_name::FileName;
use crate::keys::{Keys, Purpose};
use crate::people::person::{self, Person, PersonState};
use crate::tickets::attachments::{self, Attachment, SHOWN_IMAGES};
use crate::web::page_error::{PageError, PageResult};
use crate::web::signed_in::SignedIn;

/// How long an address of an image inside a mail is good for.
const IMAGE_LIFE: TimeDelta = TimeDelta::minutes(5);

/// `GET /attachments/{handle}`
pub async fn show(app: Data<App>, reader: SignedIn, path: Path<String>) -> PageResult {
    let (actor, handle) = (reader.actor.clone(), path.into_inner());
    let found = app.database.read(move |db| attachments::find(db, &actor, &handle)?.ok_or(Error::NotFound)).await?;
    download(&app, found).await
}

/// `GET /inline/{token}`: an image inside a mail, for the frame that cannot say who it is (H-02). The token names the
/// reader, who must still be able to read the message.
pub async fn show_inline(app: Data<App>, path: Path<String>) -> PageResult {
    let now = app.clock.now();
    let (image, reader) = read_token(&app.keys, &path, now).ok_or(Error::NotFound)?;
    let found = app
        .database
        .read(move |db| {
            let person = person::find_by_handle(db, &reader)?
                .filter(|person| person.state == PersonState::Active)
                .ok_or(Error::NotFound)?;
            let actor = access::actor_of(db, person.id)?;
            attachments::find(db, &actor, &image)?
                .filter(|image| SHOWN_IMAGES.contains(&image.media_type.as_str()))
                .ok_or(Error::NotFound)
        })
        .await?;
    let bytes = content(&app, &found).await?;
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, found.media_type))
        .insert_header((header::CONTENT_SECURITY_POLICY, FILE_POLICY))
        // The frame has an origin of its own, so for the browser it is another site.
        .insert_header((HeaderName::from_static("cross-origin-resource-policy"), "cross-origin"))
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        .body(bytes))
}

/// What a browser may do with a file that it opens all the same: nothing.
const FILE_POLICY: &str = "sandbox; default-src 'none'";

/// The file, to be saved under its name.
pub async fn download(app: &Data<App>, attachment: Attachment) -> PageResult {
    let bytes = content(app, &attachment).await?;
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, attachment.media_type))
        .insert_header((header::CONTENT_DISPOSITION, FileName::new(&attachment.file_name).content_disposition()))
        .insert_header((header::CONTENT_SECURITY_POLICY, FILE_POLICY))
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        .body(bytes))
}

/// The bytes of a file, read where waiting for the disk keeps nobody else waiting.
async fn content(app: &Data<App>, attachment: &Attachment) -> Result<Vec<u8>, PageError> {
    let (storage, hash) = (app.storage.clone(), attachment.content_hash.clone());
    let read = block(move || storage.get(&hash)).await;
    Ok(read.map_err(|_| PageError::fault("a file could not be read: the thread ended"))??)
}

/// The address of an image for the frame that `reader` looks at now.
pub fn inline_path(keys: &Keys, image: &str, reader: &Person, now: UtcTime) -> String {
    let until = now.plus(IMAGE_LIFE).seconds();
    let mac = keys.mac(Purpose::Form, &signed(image, &reader.handle, until).each_ref().map(|part| part.as_slice()));
    format!("/inline/{image}.{}.{until}.{}", reader.handle, BASE64URL_NOPAD.encode(&mac))
}

fn read_token(keys: &Keys, token: &str, now: UtcTime) -> Option<(String, String)> {
    let mut parts = token.split('.');
    let (image, reader, until, mac) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let until: i64 = until.parse().ok()?;
    let mac = BASE64URL_NOPAD.decode(mac.as_bytes()).ok()?;
    let genuine =
        keys.verifies(Purpose::Form, &signed(image, reader, until).each_ref().map(|part| part.as_slice()), &mac);
    (genuine && parts.next().is_none() && now.seconds() <= until).then(|| (image.to_owned(), reader.to_owned()))
}

fn signed(image: &str, reader: &str, until: i64) -> [Vec<u8>; 4] {
    [b"image".to_vec(), image.as_bytes().to_vec(), reader.as_bytes().to_vec(), until.to_be_bytes().to_vec()]
}
