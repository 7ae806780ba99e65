//! Files that came with messages. Their bytes are in `storage`, made durable before the row that names them; a file is
//! reached by a random name of 128 bits, and whoever asks must be able to read its message.

use diesel::prelude::*;
use serde::{Deserialize, Serialize};

use crate::access::Actor;
use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::one_text::one_text;
use crate::db::schema::{ticket_attachments, ticket_messages};
use crate::db::types::{MessageId, OrganisationId, TicketId};
use crate::error::Result;
use crate::html::file_name::FileName;
use crate::secret::random_long_handle;
use crate::storage::Storage;
use crate::tickets::messages;
use crate::tickets::ticket::Ticket;

/// Kinds of file that are named as what they are when they are handed out (H-09); all others are just bytes. None of
/// them runs anything in a browser, and each is handed out as a download all the same.
const KNOWN_TYPES: [&str; 14] = [
    "image/png",
    "image/jpeg",
    "image/gif",
    "image/webp",
    "application/pdf",
    "application/zip",
    "application/gzip",
    "application/x-7z-compressed",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "application/vnd.oasis.opendocument.text",
    "application/vnd.oasis.opendocument.spreadsheet",
    "video/mp4",
];

/// Kinds of image which a page may show inside a message (H-09).
pub const SHOWN_IMAGES: [&str; 4] = ["image/png", "image/jpeg", "image/gif", "image/webp"];

/// What a file is when nothing better is certain.
pub const UNKNOWN_TYPE: &str = "application/octet-stream";

/// A file whose bytes are stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewAttachment {
    pub file_name: String,
    pub media_type: String,
    pub size: i64,
    pub content_hash: String,
    /// The Content-ID, without angle brackets, by which an HTML mail shows it inside.
    pub content_id: Option<String>,
}

/// A file of a message.
#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
pub struct Attachment {
    pub message_id: MessageId,
    pub handle: String,
    pub file_name: String,
    pub media_type: String,
    pub size: i64,
    pub content_hash: String,
    pub content_id: Option<String>,
}

macro_rules! attachment_columns {
    () => {
        (
            ticket_attachments::message_id,
            ticket_attachments::handle,
            ticket_attachments::file_name,
            ticket_attachments::media_type,
            ticket_attachments::size,
            ticket_attachments::content_hash,
            ticket_attachments::content_id,
        )
    };
}

/// Stores the bytes of a file and says what it is by its first bytes, never by what it was called (ADV-18). Before the
/// transaction, for it waits for the disk (DB-05).
pub fn store(storage: &Storage, name: &str, content: &[u8], content_id: Option<&str>) -> Result<NewAttachment> {
    Ok(NewAttachment {
        file_name: FileName::new(name).as_str().to_owned(),
        media_type: media_type(content).to_owned(),
        size: i64::try_from(content.len()).unwrap_or(i64::MAX),
        content_hash: storage.put(content)?,
        content_id: content_id.map(|id| messages::clean_line(id.trim_matches(['<', '>']), 250)),
    })
}

/// The kind of a file by its first bytes, if it is one that we name.
pub fn media_type(content: &[u8]) -> &'static str {
    let found = infer::get(content).map_or(UNKNOWN_TYPE, |kind| kind.mime_type());
    KNOWN_TYPES.into_iter().find(|known| *known == found).unwrap_or(UNKNOWN_TYPE)
}

/// The files of all messages of the ticket, in the order of their messages; callers pair them with the messages which
/// their reader may read.
pub fn of_ticket(db: &mut DbConnection, ticket: &Ticket) -> Result<Vec<Attachment>> {
    Ok(one_text!(
        ticket_attachments::table
            .filter(ticket_attachments::ticket_id.eq(ticket.id))
            .order((ticket_attachments::message_id, ticket_attachments::id))
            .limit(messages::ALL)
            .select(attachment_columns!())
    )
    .load(db)?)
}

/// The files of one message.
pub fn of_message(db: &mut DbConnection, ticket: TicketId, message: MessageId) -> Result<Vec<Attachment>> {
    Ok(one_text!(
        ticket_attachments::table
            .filter(ticket_attachments::ticket_id.eq(ticket))
            .filter(ticket_attachments::message_id.eq(message))
            .order(ticket_attachments::id)
            .select(attachment_columns!())
    )
    .load(db)?)
}

/// The file of that name, if `actor` may read the message it came with; otherwise nothing is told apart.
pub fn find(db: &mut DbConnection, actor: &Actor, handle: &str) -> Result<Option<Attachment>> {
    let found: Option<(Attachment, String)> = ticket_attachments::table
        .inner_join(ticket_messages::table.on(ticket_messages::id.eq(ticket_attachments::message_id)))
        .filter(ticket_attachments::handle.eq(handle))
        .select((attachment_columns!(), ticket_messages::handle))
        .first(db)
        .optional()?;
    let Some((attachment, message)) = found else { return Ok(None) };
    Ok(messages::find_readable(db, actor, &message)?.map(|_| attachment))
}

/// The names under which the bytes of all files are stored, each once.
pub fn content_hashes(db: &mut DbConnection) -> Result<Vec<String>> {
    Ok(ticket_attachments::table.select(ticket_attachments::content_hash).distinct().load(db)?)
}

/// The organisation of the ticket that the file of that name came with, whoever may read it.
pub fn organisation_of(db: &mut DbConnection, handle: &str) -> Result<Option<OrganisationId>> {
    Ok(ticket_attachments::table
        .filter(ticket_attachments::handle.eq(handle))
        .select(ticket_attachments::organisation_id)
        .first(db)
        .optional()?)
}

pub(super) fn insert(
    db: &mut DbConnection,
    ticket: &Ticket,
    message: MessageId,
    new: &NewAttachment,
    now: UtcTime,
) -> Result<()> {
    diesel::insert_into(ticket_attachments::table)
        .values((
            ticket_attachments::organisation_id.eq(ticket.organisation_id),
            ticket_attachments::ticket_id.eq(ticket.id),
            ticket_attachments::message_id.eq(message),
            ticket_attachments::handle.eq(random_long_handle()),
            ticket_attachments::file_name.eq(&new.file_name),
            ticket_attachments::media_type.eq(&new.media_type),
            ticket_attachments::size.eq(new.size),
            ticket_attachments::content_hash.eq(&new.content_hash),
            ticket_attachments::content_id.eq(&new.content_id),
            ticket_attachments::created_at.eq(now),
        ))
        .execute(db)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adv_18_what_a_browser_could_run_is_just_bytes() {
        let html = b"<!DOCTYPE html><html><script>alert(1)</script></html>";
        let svg = b"<?xml version=\"1.0\"?><svg xmlns=\"http://www.w3.org/2000/svg\" onload=\"alert(1)\"/>";
        for content in [&html[..], &svg[..], b"<html xmlns=\"http://www.w3.org/1999/xhtml\"/>", b"plain <b>", b""] {
            assert_eq!(media_type(content), UNKNOWN_TYPE);
        }
        assert_eq!(media_type(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"), "image/png");
        assert_eq!(media_type(b"%PDF-1.7 <script>"), "application/pdf");
    }
}
