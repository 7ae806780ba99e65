//! Files of a form that has to be shown again: browsers do not send them a second time, so they are stored at once and
//! the form carries a sealed note of each, good for this person and a day.

use chrono::TimeDelta;
use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::carry;
use crate::clock::UtcTime;
use crate::error::{Error, Result};
use crate::keys::Purpose;
use crate::storage;
use crate::tickets::attachments::{self, NewAttachment};
use crate::web::forms::UploadedFile;
use crate::web::page_error::PageError;

const VALID: TimeDelta = TimeDelta::days(1);
/// What the seal of a note covers beside it, so that it is good for nothing else.
const LABEL: &[u8] = b"kept file";
/// Files of one message.
const AT_MOST: usize = 20;

/// A file that a form carries.
#[derive(Clone, Debug)]
pub struct KeptFile {
    /// The value of the hidden field `kept`.
    pub note: String,
    pub name: String,
    pub size: i64,
}

/// Nothing but this, whoever signed it: a key that leaked signs notes, and no more than notes (ADV-35).
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Note {
    whose: String,
    until: i64,
    name: String,
    kind: String,
    size: i64,
    hash: String,
}

/// Stores what was uploaded and adds it to what the form carried already.
pub async fn gather(
    app: &App,
    whose: &str,
    notes: &[String],
    uploads: Vec<UploadedFile>,
) -> std::result::Result<Vec<NewAttachment>, PageError> {
    let now = app.clock.now();
    let noted: Vec<NewAttachment> = notes.iter().filter_map(|note| read(app, whose, note, now)).collect();
    let storage = app.storage.clone();
    // What a form carries is wanted, and is not removed while it does.
    let at_hand = carry::blocking(move || {
        let touched = noted.into_iter().map(|file| Ok((storage.touch(&file.content_hash)?, file)));
        touched.collect::<Result<Vec<_>>>()
    });
    let at_hand = if notes.is_empty() { Vec::new() } else { at_hand.await.map_err(|_| Error::Busy)?? };
    let mut files: Vec<NewAttachment> =
        at_hand.into_iter().filter(|(is_there, _)| *is_there).map(|(_, file)| file).collect();
    if files.len() + uploads.len() > AT_MOST {
        return Err(Error::invalid("files", "files-too-many").into());
    }
    if !uploads.is_empty() {
        let storage = app.storage.clone();
        let stored = carry::blocking(move || {
            let store = |file: &UploadedFile| attachments::store(&storage, &file.file_name, &file.bytes, None);
            uploads.iter().map(store).collect::<Result<Vec<_>>>()
        });
        files.extend(stored.await.map_err(|_| Error::Busy)??);
    }
    Ok(files)
}

/// What the form carries when it is shown again.
pub fn keep(app: &App, whose: &str, files: &[NewAttachment]) -> Vec<KeptFile> {
    let until = app.clock.now().plus(VALID).seconds();
    files
        .iter()
        .map(|file| {
            let note = Note {
                whose: whose.to_owned(),
                until,
                name: file.file_name.clone(),
                kind: file.media_type.clone(),
                size: file.size,
                hash: file.content_hash.clone(),
            };
            let json = serde_json::to_vec(&note).unwrap_or_default();
            let proof = app.keys.mac(Purpose::Form, &[LABEL, &json]);
            KeptFile {
                note: format!("{}.{}", BASE64URL_NOPAD.encode(&json), BASE64URL_NOPAD.encode(&proof)),
                name: file.file_name.clone(),
                size: file.size,
            }
        })
        .collect()
}

fn read(app: &App, whose: &str, note: &str, now: UtcTime) -> Option<NewAttachment> {
    let (json, proof) = note.split_once('.')?;
    let json = BASE64URL_NOPAD.decode(json.as_bytes()).ok()?;
    let proof = BASE64URL_NOPAD.decode(proof.as_bytes()).ok()?;
    if !app.keys.verifies(Purpose::Form, &[LABEL, &json], &proof) {
        return None;
    }
    let note: Note = serde_json::from_slice(&json).ok()?;
    let is_good = note.whose == whose && now.seconds() < note.until && storage::is_name(&note.hash);
    is_good.then_some(NewAttachment {
        file_name: note.name,
        media_type: note.kind,
        size: note.size,
        content_hash: note.hash,
        content_id: None,
    })
}
