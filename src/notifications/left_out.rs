//! Mails that could not be written while the others of their kind could: kept among those that did not arrive, each with a job
//! put aside that writes it anew when somebody says so.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::types::EventId;
use crate::error::Result;
use crate::outbox::State;
use crate::outbox::listing::{self, Outgoing};
use crate::queue;

/// The job that writes such a mail anew.
pub const WRITE_AGAIN: &str = "mail.write_again";

/// Which one it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// What it tells of.
    pub event: EventId,
    /// Its public name among outgoing mail.
    pub mail: String,
}

/// Puts aside that the mail is to be written anew.
pub(super) fn note(db: &mut DbConnection, left_out: &LeftOut, reason: &str, now: UtcTime) -> Result<()> {
    queue::set_aside(db, WRITE_AGAIN, left_out, reason, now)
}

/// The public names of those that wait for somebody to say so.
pub fn waiting(db: &mut DbConnection) -> Result<HashSet<String>> {
    let put_aside = queue::failed_called(db, WRITE_AGAIN)?;
    Ok(put_aside.iter().filter_map(|(_, payload)| mail_of(payload)).collect())
}

/// Has a mail that did not arrive sent again: the same bytes, or, where it never had any, written anew. `false` where neither can
/// be done.
pub fn retry(db: &mut DbConnection, mail: &Outgoing, now: UtcTime) -> Result<bool> {
    if listing::retry(db, mail, now)? {
        return Ok(true);
    }
    if mail.state != State::Dead || mail.has_bytes {
        return Ok(false);
    }
    let put_aside = queue::failed_called(db, WRITE_AGAIN)?;
    match put_aside.into_iter().find(|(_, payload)| mail_of(payload).as_ref() == Some(&mail.handle)) {
        Some((job, _)) => queue::retry(db, job, now),
        None => Ok(false),
    }
}

fn mail_of(payload: &str) -> Option<String> {
    serde_json::from_str(payload).ok().map(|left_out: LeftOut| left_out.mail)
}
