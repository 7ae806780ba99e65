//! Mail accepted and not lost. The raw bytes stand in a journal row, durable, before anybody is told that the mail was
//! taken (J-01); what happens to them afterwards is work that may fail, be repeated and be looked at. What a mail means
//! is not known here: `intake` reads it and records the outcome.

pub mod claiming;
pub mod handling;
pub mod imap;
pub mod outcome;
pub mod unprocessed;

use diesel::prelude::*;
use sha2::{Digest, Sha256};

use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::dialect::on_each_backend;
use crate::db::schema::journal;
use crate::db::types::{Json, MailboxId, QueueId, text_enum};
use crate::error::Result;
use crate::mail::client::Client;
use crate::mail::incoming::parse_within;
use crate::secret::random_handle;

pub use claiming::Delivery;
pub use outcome::{Checked, Outcome, Record};
pub use unprocessed::Original;

text_enum! {
    /// How a mail reached us.
    pub enum Way {
        Lmtp = "lmtp",
        Pipe = "pipe",
        Http = "http",
        Imap = "imap",
    }
}

text_enum! {
    /// What an imported mail was to the mailbox that it comes from. It does what is old news: nobody is told of it.
    pub enum Imported {
        /// It had come there.
        Received = "received",
        /// It had gone out from there.
        Sent = "sent",
    }
}

text_enum! {
    /// How far a mail has come.
    pub enum State {
        /// Durable, not yet read.
        Accepted = "accepted",
        /// Read once; carrying out the decision failed and is tried again.
        Parsed = "parsed",
        /// It did what it does, and is done with.
        Applied = "applied",
        /// An agent decides.
        Held = "held",
        /// It could not be processed; an administrator sees it.
        Failed = "failed",
        /// Somebody looked at it and wanted nothing done.
        Rejected = "rejected",
    }
}

/// One mail as it was handed over, for one or several mailboxes.
#[derive(Clone, Debug)]
pub struct NewMail {
    pub recipients: Vec<Recipient>,
    /// The envelope sender; empty for bounces, and when the way in does not tell.
    pub envelope_from: String,
    pub way: Way,
    /// The account from which it was fetched.
    pub imap_account: Option<String>,
    /// Set where it is brought from elsewhere.
    pub imported: Option<Imported>,
    /// Whether it may be older than the account's first look; such a mail is not acknowledged.
    pub is_from_before: bool,
    /// The machine that delivered it, where the way in tells.
    pub client: Option<Client>,
    /// The one queue whose tickets it reaches, where whoever handed it over speaks for no other.
    pub only_queue: Option<QueueId>,
    /// Whether its original was found among the stored files and nothing tells how it came: a file that somebody attached may be a
    /// mail too, so what it says of its sender is proven by nothing.
    pub is_adopted: bool,
    raw: Vec<u8>,
    /// See [`hash_of`].
    pub(crate) raw_sha256: Vec<u8>,
}

/// The hash by which the same mail is known when it comes again (J-05): of its bytes, and of the queue where it reaches one alone,
/// for who may say less must not keep out the same mail from who may say more.
pub(crate) fn hash_of(raw: &[u8], only_queue: Option<QueueId>) -> Vec<u8> {
    within_queue(&Sha256::digest(raw), only_queue)
}

/// Whether two deliveries, each known by its hash and its reach, are of the same bytes. Of two that reach different queues nobody
/// can tell.
pub(crate) fn is_same_bytes(one: (&[u8], Option<QueueId>), other: (&[u8], Option<QueueId>)) -> bool {
    match (one, other) {
        ((whole, None), (within, queue)) | ((within, queue), (whole, None)) => within_queue(whole, queue) == within,
        ((one, one_queue), (other, other_queue)) => one_queue == other_queue && one == other,
    }
}

fn within_queue(raw_sha256: &[u8], only_queue: Option<QueueId>) -> Vec<u8> {
    match only_queue {
        Some(queue) => Sha256::new().chain_update(raw_sha256).chain_update(queue.0.to_be_bytes()).finalize().to_vec(),
        None => raw_sha256.to_vec(),
    }
}

/// Whom the mail was handed over for, and whose mailbox that is.
#[derive(Clone, Debug)]
pub struct Recipient {
    pub mailbox: MailboxId,
    pub address: String,
}

/// What became of a mail for one recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acceptance {
    /// It stands in the journal.
    Accepted,
    /// The same bytes came for the same mailbox before, with the same reach: acknowledged, and nothing more to do (J-05).
    AlreadyKnown,
}

impl NewMail {
    /// The hash is taken here, outside of any transaction (DB-05).
    pub fn new(recipients: Vec<Recipient>, envelope_from: String, way: Way, raw: Vec<u8>) -> NewMail {
        let raw_sha256 = hash_of(&raw, None);
        NewMail {
            recipients,
            envelope_from,
            way,
            imap_account: None,
            imported: None,
            is_from_before: false,
            client: None,
            only_queue: None,
            is_adopted: false,
            raw,
            raw_sha256,
        }
    }

    /// The same for a mail that was fetched from an account.
    pub fn fetched(recipient: Recipient, envelope_from: String, account: &str, raw: Vec<u8>) -> NewMail {
        let mail = NewMail::new(vec![recipient], envelope_from, Way::Imap, raw);
        NewMail { imap_account: Some(account.to_owned()), ..mail }
    }

    /// The same mail, as one that is brought from elsewhere.
    pub fn imported(self, imported: Imported) -> NewMail {
        NewMail { imported: Some(imported), ..self }
    }

    /// The same mail, as one whose original was found among the stored files.
    pub fn adopted(self) -> NewMail {
        NewMail { is_adopted: true, ..self.imported(Imported::Received) }
    }

    /// The same for one that may be older than the account's first look.
    pub fn from_before(self) -> NewMail {
        NewMail { is_from_before: true, ..self }
    }

    /// The same, delivered by that machine.
    pub fn delivered_by(self, client: Option<Client>) -> NewMail {
        NewMail { client, ..self }
    }

    /// The same for one that reaches the tickets of this queue alone, if one is named.
    pub fn within(self, only_queue: Option<QueueId>) -> NewMail {
        NewMail { raw_sha256: within_queue(&self.raw_sha256, only_queue), only_queue, ..self }
    }

    /// When it was written, as its header says.
    pub fn date(&self) -> Option<UtcTime> {
        parse_within(&self.raw, 0).date
    }

    /// The length of the mail in bytes.
    pub fn size(&self) -> usize {
        self.raw.len()
    }
}

/// Writes the mail down, one row for each recipient's mailbox, and tells for each recipient what became of it. Only when
/// the transaction around this has been committed may anybody be told that the mail was taken (J-01, J-06).
pub fn accept(db: &mut DbConnection, mail: &NewMail, now: UtcTime) -> Result<Vec<Acceptance>> {
    let mut acceptances = Vec::with_capacity(mail.recipients.len());
    for recipient in &mail.recipients {
        let row = (
            journal::handle.eq(random_handle()),
            journal::mailbox_id.eq(recipient.mailbox),
            journal::recipient.eq(&recipient.address),
            journal::envelope_from.eq(&mail.envelope_from),
            journal::way.eq(mail.way),
            journal::raw.eq(&mail.raw),
            journal::raw_sha256.eq(&mail.raw_sha256),
            journal::size.eq(i64::try_from(mail.raw.len()).unwrap_or(i64::MAX)),
            journal::state.eq(State::Accepted),
            journal::attempts.eq(0),
            journal::strikes.eq(0),
            journal::next_at.eq(now),
            journal::record.eq(Json(Record::default())),
            journal::received_at.eq(now),
            journal::imap_account.eq(&mail.imap_account),
            journal::imported.eq(mail.imported),
            journal::is_from_before.eq(mail.is_from_before.then_some(true)),
            journal::client_address.eq(mail.client.as_ref().map(|client| client.address().to_string())),
            journal::client_name.eq(mail.client.as_ref().map(Client::kept_name)),
            journal::only_queue_id.eq(mail.only_queue),
            journal::is_adopted.eq(mail.is_adopted.then_some(true)),
        );
        let added = on_each_backend!(db, db => diesel::insert_into(journal::table)
            .values(row)
            .on_conflict((journal::mailbox_id, journal::raw_sha256))
            .do_nothing()
            .execute(db))?;
        acceptances.push(if added > 0 { Acceptance::Accepted } else { Acceptance::AlreadyKnown });
    }
    Ok(acceptances)
}

/// Whether a mail of these bytes came for that mailbox before.
pub fn knows(db: &mut DbConnection, mailbox: MailboxId, raw_sha256: &[u8]) -> Result<bool> {
    let known: i64 = journal::table
        .filter(journal::mailbox_id.eq(mailbox))
        .filter(journal::raw_sha256.eq(raw_sha256))
        .count()
        .get_result(db)?;
    Ok(known > 0)
}

/// The names under which originals are stored, each once.
pub fn original_hashes(db: &mut DbConnection) -> Result<Vec<String>> {
    let hashes: Vec<Option<String>> = journal::table
        .filter(journal::original_hash.is_not_null())
        .select(journal::original_hash)
        .distinct()
        .load(db)?;
    Ok(hashes.into_iter().flatten().collect())
}

/// The names of originals that are known already to whoever looks for those that nobody knows in that mailbox: all, save those
/// that were adopted into others. A mail for two mailboxes is one original (J-06).
pub fn original_hashes_known_in(db: &mut DbConnection, mailbox: MailboxId) -> Result<Vec<String>> {
    let hashes: Vec<Option<String>> = journal::table
        .filter(journal::original_hash.is_not_null())
        .filter(journal::is_adopted.is_null().or(journal::mailbox_id.eq(mailbox)))
        .select(journal::original_hash)
        .distinct()
        .load(db)?;
    Ok(hashes.into_iter().flatten().collect())
}

/// The names of originals whose files need not be any message's: of mails that did nothing in a ticket, or nothing yet, and of
/// those that were adopted.
pub fn original_hashes_of_unsaid(db: &mut DbConnection) -> Result<Vec<String>> {
    let is_unsaid = journal::state.ne(State::Applied).or(journal::ticket_id.is_null());
    let hashes: Vec<Option<String>> = journal::table
        .filter(journal::original_hash.is_not_null())
        .filter(is_unsaid.or(journal::is_adopted.is_not_null()))
        .select(journal::original_hash)
        .distinct()
        .load(db)?;
    Ok(hashes.into_iter().flatten().collect())
}

/// Whether the original of some mail is the content of that name.
pub fn keeps_original(db: &mut DbConnection, hash: &str) -> Result<bool> {
    let kept = journal::table.filter(journal::original_hash.eq(hash));
    Ok(diesel::select(diesel::dsl::exists(kept)).get_result(db)?)
}
