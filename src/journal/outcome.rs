//! What became of a mail, recorded in the transaction in which it happens; the raw bytes leave the row in that same
//! transaction (J-01).

use std::collections::HashMap;

use diesel::prelude::*;
use serde::{Deserialize, Serialize};

use super::claiming::is_waiting;
use super::{Delivery, State};
use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::one_of::one_of;
use crate::db::one_text::one_text;
use crate::db::prepared_once::prepared_once;
use crate::db::schema::journal;
use crate::db::types::{JournalId, Json, MailboxId, OrganisationId, QueueId, TicketId};
use crate::error::{Error, Result};
use crate::mail::sender_check::Checks;

/// What is recorded of a mail that a program made and in which it passes on what a person wrote: agents are told of it.
pub const PASSED_ON: &str = "passed_on";

/// How a mail was understood, for those who ask later why it went where it went. No address, no text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Record {
    /// The row of the decision table.
    pub rule: String,
    /// What was done: `append`, `new_ticket`, `hold`, `duplicate` …
    pub decision: String,
    /// What was odd: `disagreement`, `not_genuine`, `same_id_other_content`, `card_number` …
    pub flags: Vec<String>,
    /// The limits that the mail went past.
    pub cut: Vec<String>,
    /// How much of it could be read: `full`, `headers`, `nothing`.
    pub read: String,
    pub authentication: String,
    /// What the single checks found, where they were made here.
    #[serde(skip_serializing_if = "Checked::is_empty")]
    pub checked: Checked,
    pub duration_ms: u64,
    /// Whether a machine may answer the request that it opened (LP-01, LP-02).
    pub may_acknowledge: bool,
}

/// What was found by each way of finding out whether the domain of a sender stands by a mail: `pass`, `fail`, `temperror` and
/// the other names of RFC 8601; nothing for one that was not asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Checked {
    pub dkim: String,
    pub spf: String,
    pub dmarc: String,
}

impl Checked {
    /// Whether nothing was asked.
    pub fn is_empty(&self) -> bool {
        *self == Checked::default()
    }
}

impl From<Checks> for Checked {
    fn from(checks: Checks) -> Checked {
        let Checks { dkim, spf, dmarc } = checks;
        Checked { dkim: dkim.to_owned(), spf: spf.to_owned(), dmarc: dmarc.to_owned() }
    }
}

/// The end of a mail's way.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub state: State,
    pub record: Record,
    pub organisation: Option<OrganisationId>,
    pub ticket: Option<TicketId>,
    /// The hash of what the mail says, however it travelled (J-05).
    pub content_sha256: Option<Vec<u8>>,
    /// The mail's own Message-ID.
    pub mail_id: Option<String>,
    /// Where the original is kept in storage.
    pub original_hash: Option<String>,
}

/// Records the outcome of a mail that `worker` holds. Fails, and with it the transaction, when the mail is no longer
/// held: somebody else has processed it meanwhile.
pub fn finish(db: &mut DbConnection, delivery: &Delivery, worker: &str, outcome: &Outcome, now: UtcTime) -> Result<()> {
    // The bytes go once they are in storage. In the same statement, for SQLite would write them again in one before.
    let raw = outcome.original_hash.is_some().then(|| journal::raw.eq(None::<Vec<u8>>));
    let finish =
        diesel::update(journal::table.find(delivery.id).filter(is_waiting()).filter(journal::leased_by.eq(worker)))
            .set((
                journal::state.eq(outcome.state),
                journal::record.eq(Json(outcome.record.clone())),
                journal::organisation_id.eq(outcome.organisation),
                journal::ticket_id.eq(outcome.ticket),
                journal::content_sha256.eq(&outcome.content_sha256),
                journal::mail_id.eq(&outcome.mail_id),
                journal::original_hash.eq(&outcome.original_hash),
                journal::leased_until.eq(None::<UtcTime>),
                journal::last_error.eq(None::<String>),
                journal::finished_at.eq(now),
                raw,
            ))
            .returning(journal::id);
    if prepared_once(finish).load::<JournalId>(db)?.is_empty() {
        return Err(Error::internal(format!("mail {} was processed by somebody else", delivery.handle)));
    }
    Ok(())
}

/// A mail with the same Message-ID and content, as it came before.
#[derive(Clone, Debug)]
pub struct Same {
    pub id: JournalId,
    pub ticket: TicketId,
    /// The one queue whose tickets it reached, where it was so limited.
    pub only_queue: Option<QueueId>,
    /// The hash by which its bytes are known, with its reach ([`super::hash_of`]).
    pub(crate) raw_sha256: Vec<u8>,
    pub record: Record,
}

/// Mails of the same content that are looked at, the latest first.
pub const SAME: usize = 20;
/// In the record of a mail that did nothing, for it had come before. Somebody may send one again and again.
const DID_NOTHING: &str = "%\"decision\":\"duplicate\"%";

/// The mails with the same Message-ID, or without one, and the same content that became part of a ticket through the same
/// mailbox, and did something there (J-05); the latest first.
pub fn find_same_content(
    db: &mut DbConnection,
    mailbox: MailboxId,
    mail_id: Option<&str>,
    content_sha256: &[u8],
    except: JournalId,
) -> Result<Vec<Same>> {
    type Row = (JournalId, Option<TicketId>, Option<QueueId>, Vec<u8>, Json<Record>);
    /// The query; its type has no name.
    macro_rules! same {
        ($of_id:expr) => {
            one_text!(
                journal::table
                    .filter(journal::content_sha256.eq(content_sha256))
                    .filter($of_id)
                    .filter(journal::mailbox_id.eq(mailbox))
                    .filter(journal::id.ne(except))
                    .filter(journal::state.eq(State::Applied))
                    .filter(journal::ticket_id.is_not_null())
                    .filter(journal::record.not_like(DID_NOTHING))
                    .order(journal::id.desc())
                    .limit(SAME as i64)
                    .select((
                        journal::id,
                        journal::ticket_id,
                        journal::only_queue_id,
                        journal::raw_sha256,
                        journal::record
                    ))
            )
        };
    }
    let found: Vec<Row> = match mail_id {
        Some(mail_id) => same!(journal::mail_id.eq(mail_id)).load(db)?,
        None => same!(journal::mail_id.is_null()).load(db)?,
    };
    let same = |(id, ticket, only_queue, raw_sha256, record): Row| {
        ticket.map(|ticket| Same { id, ticket, only_queue, raw_sha256, record: record.0 })
    };
    Ok(found.into_iter().filter_map(same).collect())
}

/// Whether another mail with this Message-ID came through the same mailbox, with other content or with one that is not known.
pub fn knows_mail_id(
    db: &mut DbConnection,
    mailbox: MailboxId,
    mail_id: &str,
    content_sha256: &[u8],
    except: JournalId,
) -> Result<bool> {
    let differs = journal::content_sha256.is_null().or(journal::content_sha256.ne(content_sha256));
    let known: i64 = one_text!(
        journal::table
            .filter(journal::mail_id.eq(mail_id))
            .filter(journal::mailbox_id.eq(mailbox))
            .filter(journal::id.ne(except))
            .filter(differs)
            .count()
    )
    .get_result(db)?;
    Ok(known > 0)
}

/// The kept originals of a ticket's mails, with how each was understood; the oldest first.
pub fn of_ticket(db: &mut DbConnection, ticket: TicketId) -> Result<Vec<(JournalId, Option<String>, Record)>> {
    let rows: Vec<(JournalId, Option<String>, Json<Record>)> = journal::table
        .filter(journal::ticket_id.eq(ticket))
        .order(journal::id)
        .select((journal::id, journal::original_hash, journal::record))
        .load(db)?;
    Ok(rows.into_iter().map(|(id, hash, record)| (id, hash, record.0)).collect())
}

/// How each of these mails was understood.
pub fn records(
    db: &mut DbConnection,
    mails: impl IntoIterator<Item = JournalId>,
) -> Result<HashMap<JournalId, Record>> {
    let recorded: Vec<(JournalId, Json<Record>)> = journal::table
        .filter(one_of(journal::id, mails.into_iter().map(|id| id.0)))
        .select((journal::id, journal::record))
        .load(db)?;
    Ok(recorded.into_iter().map(|(id, record)| (id, record.0)).collect())
}

/// Whether the mail of that row was brought from elsewhere: it is old news, and nobody is told of it.
pub fn is_imported(db: &mut DbConnection, id: JournalId) -> Result<bool> {
    Ok(one_text!(journal::table.find(id).select(journal::imported.is_not_null())).first(db)?)
}

/// How the mail of that row was understood.
pub fn record_of(db: &mut DbConnection, id: JournalId) -> Result<Record> {
    let record: Json<Record> = one_text!(journal::table.find(id).select(journal::record)).first(db)?;
    Ok(record.0)
}
