//! Files of answers that were thrown away. Their bytes may be another's too, for the same content is stored once, and a form
//! that still stands open may carry them; so they are written down here, and removed once a day has passed and nothing
//! names them. What is not written down here is never removed.

use chrono::TimeDelta;
use diesel::prelude::*;

use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::schema::{thrown_away_files, ticket_attachments};
use crate::error::Result;
use crate::journal;
use crate::storage::Storage;
use crate::tickets::attachments::NewAttachment;
use crate::tickets::planned;

/// Longer than any form is good for that carries a file (`web::kept_files`, a day).
const WAIT: TimeDelta = TimeDelta::hours(26);

/// Whoever had these files threw them away, or said something else instead.
pub(super) fn note(db: &mut DbConnection, files: &[NewAttachment], now: UtcTime) -> Result<()> {
    for file in files {
        diesel::insert_into(thrown_away_files::table)
            .values((thrown_away_files::content_hash.eq(&file.content_hash), thrown_away_files::thrown_away_at.eq(now)))
            .execute(db)?;
    }
    Ok(())
}

/// What was thrown away long enough ago, as the names of contents.
pub fn due(db: &mut DbConnection, now: UtcTime) -> Result<Vec<String>> {
    Ok(thrown_away_files::table
        .filter(thrown_away_files::thrown_away_at.lt(now.minus(WAIT)))
        .select(thrown_away_files::content_hash)
        .distinct()
        .load(db)?)
}

/// All that was thrown away and is not removed yet, as the names of contents.
pub fn waiting(db: &mut DbConnection) -> Result<Vec<String>> {
    Ok(thrown_away_files::table.select(thrown_away_files::content_hash).distinct().load(db)?)
}

/// Whether anything names the content. A planned answer's files become a message's, never the other way: who is not found
/// in the first question is found in the second.
pub fn is_named(db: &mut DbConnection, hash: &str) -> Result<bool> {
    if planned::content_hashes(db)?.iter().any(|named| named == hash) {
        return Ok(true);
    }
    let attached = ticket_attachments::table.filter(ticket_attachments::content_hash.eq(hash));
    Ok(diesel::select(diesel::dsl::exists(attached)).get_result(db)? || journal::keeps_original(db, hash)?)
}

/// Removes the bytes, unless somebody stored the same or showed a form with them meanwhile; gives whether they are gone.
pub fn remove(storage: &Storage, hash: &str, now: UtcTime) -> Result<bool> {
    storage.remove_untouched(hash, now.minus(WAIT))
}

/// Nothing is left to be done about the content, unless it was thrown away once more meanwhile.
pub fn forget(db: &mut DbConnection, hash: &str, now: UtcTime) -> Result<()> {
    let done = thrown_away_files::table
        .filter(thrown_away_files::content_hash.eq(hash))
        .filter(thrown_away_files::thrown_away_at.lt(now.minus(WAIT)));
    diesel::delete(done).execute(db)?;
    Ok(())
}
