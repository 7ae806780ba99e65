//! The record of how one mail was handled, for those who ask why it went where it went.

use diesel::prelude::*;

use super::{Imported, Original, Record, State, Way, unprocessed};
use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::schema::journal;
use crate::db::types::{JournalId, Json, MailboxId};
use crate::error::Result;

/// How a mail came, and what became of it.
#[derive(Clone, Debug)]
pub struct Handling {
    pub way: Way,
    /// Set where it was brought from elsewhere.
    pub imported: Option<Imported>,
    /// The address that it was handed over for.
    pub recipient: String,
    /// The sender of the envelope; empty for bounces, and when the way in does not tell.
    pub envelope_from: String,
    /// The address of the machine that delivered it, where the way in told.
    pub client_address: Option<String>,
    /// In bytes.
    pub size: i64,
    pub state: State,
    /// How often it was taken up, the last time included.
    pub attempts: i32,
    pub record: Record,
    pub received_at: UtcTime,
    pub finished_at: Option<UtcTime>,
    /// How often the same mail came once more by another path (J-05).
    pub copies: i64,
    pub original: Original,
}

/// Of the mail of that row.
pub fn of(db: &mut DbConnection, id: JournalId) -> Result<Handling> {
    #[derive(Queryable)]
    struct Row {
        way: Way,
        imported: Option<Imported>,
        recipient: String,
        envelope_from: String,
        client_address: Option<String>,
        size: i64,
        state: State,
        attempts: i32,
        record: Json<Record>,
        received_at: UtcTime,
        finished_at: Option<UtcTime>,
        mailbox: MailboxId,
        mail_id: Option<String>,
        content_sha256: Option<Vec<u8>>,
    }
    let row: Row = journal::table
        .find(id)
        .select((
            journal::way,
            journal::imported,
            journal::recipient,
            journal::envelope_from,
            journal::client_address,
            journal::size,
            journal::state,
            journal::attempts,
            journal::record,
            journal::received_at,
            journal::finished_at,
            journal::mailbox_id,
            journal::mail_id,
            journal::content_sha256,
        ))
        .first(db)?;
    let copies = match (&row.mail_id, &row.content_sha256) {
        (Some(mail_id), Some(content)) => journal::table
            .filter(journal::mail_id.eq(mail_id))
            .filter(journal::mailbox_id.eq(row.mailbox))
            .filter(journal::content_sha256.eq(content))
            .filter(journal::id.ne(id))
            .count()
            .get_result(db)?,
        _ => 0,
    };
    Ok(Handling {
        way: row.way,
        imported: row.imported,
        recipient: row.recipient,
        envelope_from: row.envelope_from,
        client_address: row.client_address,
        size: row.size,
        state: row.state,
        attempts: row.attempts,
        record: row.record.0,
        received_at: row.received_at,
        finished_at: row.finished_at,
        copies,
        original: unprocessed::original(db, id)?,
    })
}

/// Forgets from which machines the mails came that were received before then, and how those greeted. What is still to be read
/// keeps it, for SPF is about it.
pub fn forget_clients(db: &mut DbConnection, before: UtcTime) -> Result<usize> {
    let known = journal::table
        .filter(journal::client_address.is_not_null())
        .filter(journal::received_at.lt(before))
        .filter(journal::state.ne_all([State::Accepted, State::Parsed]));
    Ok(diesel::update(known)
        .set((journal::client_address.eq(None::<String>), journal::client_name.eq(None::<String>)))
        .execute(db)?)
}
