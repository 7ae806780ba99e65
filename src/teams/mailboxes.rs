//! Mailboxes: the addresses at which mail arrives, the queue, language and name each stands for, how answers from there are
//! signed, and what becomes of answers to tickets that are closed. No mailbox is also a person's address, or mail would
//! go round in circles (LP-08).

use chrono::TimeDelta;
use diesel::prelude::*;
use serde_json::json;

use crate::audit;
use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::one_text::one_text;
use crate::db::schema::{mailboxes, person_addresses};
use crate::db::types::{Language, MailboxId, PersonId, QueueId, text_enum};
use crate::error::{Error, FieldErrors, Result};
use crate::i18n::Locale;
use crate::mail::address::EmailAddress;
use crate::mail::reply_address;
use crate::people::fields;
use crate::secret::random_handle;

text_enum! {
    /// What becomes of a customer's message to a ticket that is closed.
    pub enum ClosedTickets {
        /// The ticket is open again, however long it was closed.
        Reopen = "reopen",
        /// It is open again if it was closed some days ago; later a new one goes on from it.
        ReopenWithin = "reopen_within",
        /// It stays closed, and a new one goes on from it.
        FollowUp = "follow_up",
    }
}

/// Days for which a closed ticket opens again, unless somebody decides otherwise.
pub const REOPEN_DAYS: i32 = 30;
/// The most days that may be asked for: ten years.
pub const LONGEST_REOPEN_DAYS: i32 = 3_650;

/// A mailbox as it stands in the database.
#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
pub struct Mailbox {
    pub id: MailboxId,
    pub handle: String,
    /// The address to write from, as it was given.
    pub address: String,
    /// The address to compare by.
    pub canonical: String,
    pub display_name: String,
    pub queue_id: QueueId,
    pub language: Language,
    /// Whether new tickets that arrive here are acknowledged.
    pub acknowledges: bool,
    /// Whether what belongs to no mailbox arrives and leaves here; there is one.
    pub is_default: bool,
    /// Whether From names the agent who answers, with the display name behind it.
    pub names_agents: bool,
    /// Markdown below each answer to customers; empty for none.
    pub signature: String,
    pub closed_tickets: ClosedTickets,
    /// Days for which [`ClosedTickets::ReopenWithin`] opens a closed ticket again.
    pub reopen_days: i32,
}

impl Mailbox {
    /// Whether a ticket that was closed then stays so whatever its customer writes now, so that a new one goes on from it.
    pub fn stays_closed(&self, closed_at: UtcTime, now: UtcTime) -> bool {
        match self.closed_tickets {
            ClosedTickets::Reopen => false,
            ClosedTickets::ReopenWithin => closed_at < now.minus(TimeDelta::days(self.reopen_days.into())),
            ClosedTickets::FollowUp => true,
        }
    }

    /// What From shows for an answer of `agent`.
    pub fn sender_name(&self, agent: &str) -> String {
        if self.names_agents { format!("{agent} ({})", self.display_name) } else { self.display_name.clone() }
    }
}

/// What an administrator decides about a mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailboxDescription {
    pub address: EmailAddress,
    pub display_name: String,
    pub queue: QueueId,
    pub language: Locale,
    pub acknowledges: bool,
    pub names_agents: bool,
    /// Markdown.
    pub signature: String,
    pub closed_tickets: ClosedTickets,
    pub reopen_days: i32,
}

impl MailboxDescription {
    /// A mailbox as most are: requests are acknowledged, agents named, and old tickets stay closed.
    pub fn new(address: EmailAddress, display_name: &str, queue: QueueId, language: Locale) -> MailboxDescription {
        MailboxDescription {
            address,
            display_name: display_name.to_owned(),
            queue,
            language,
            acknowledges: true,
            names_agents: true,
            signature: String::new(),
            closed_tickets: ClosedTickets::ReopenWithin,
            reopen_days: REOPEN_DAYS,
        }
    }
}

type Columns = (
    mailboxes::id,
    mailboxes::handle,
    mailboxes::address,
    mailboxes::canonical,
    mailboxes::display_name,
    mailboxes::queue_id,
    mailboxes::language,
    mailboxes::acknowledges,
    mailboxes::is_default,
    mailboxes::names_agents,
    mailboxes::signature,
    mailboxes::closed_tickets,
    mailboxes::reopen_days,
);

const COLUMNS: Columns = (
    mailboxes::id,
    mailboxes::handle,
    mailboxes::address,
    mailboxes::canonical,
    mailboxes::display_name,
    mailboxes::queue_id,
    mailboxes::language,
    mailboxes::acknowledges,
    mailboxes::is_default,
    mailboxes::names_agents,
    mailboxes::signature,
    mailboxes::closed_tickets,
    mailboxes::reopen_days,
);

/// Every mailbox, the default one first, then by address.
pub fn all(db: &mut DbConnection) -> Result<Vec<Mailbox>> {
    Ok(one_text!(
        mailboxes::table.order((mailboxes::is_default.desc(), mailboxes::canonical, mailboxes::id)).select(COLUMNS)
    )
    .load(db)?)
}

/// The mailbox at which mail to `recipient` arrives.
pub fn find_by_canonical(db: &mut DbConnection, recipient: &EmailAddress) -> Result<Option<Mailbox>> {
    Ok(one_text!(mailboxes::table.filter(mailboxes::canonical.eq(recipient.canonical())).select(COLUMNS))
        .first(db)
        .optional()?)
}

/// The mailbox of that id; ids come from the database, so a missing one is a fault.
pub fn by_id(db: &mut DbConnection, id: MailboxId) -> Result<Mailbox> {
    Ok(one_text!(mailboxes::table.find(id).select(COLUMNS)).first(db)?)
}

/// The mailbox with that public name.
pub fn find_by_handle(db: &mut DbConnection, handle: &str) -> Result<Option<Mailbox>> {
    Ok(mailboxes::table.filter(mailboxes::handle.eq(handle)).select(COLUMNS).first(db).optional()?)
}

/// The mailbox for what belongs to no other; none only before the installation is set up.
pub fn find_default(db: &mut DbConnection) -> Result<Option<Mailbox>> {
    Ok(one_text!(mailboxes::table.filter(mailboxes::is_default.eq(true)).select(COLUMNS)).first(db).optional()?)
}

/// The mailbox from which tickets of `queue` are written: its own, the default one if it has several, else the default.
pub fn find_for_queue(db: &mut DbConnection, queue: QueueId) -> Result<Option<Mailbox>> {
    let own = one_text!(
        mailboxes::table
            .filter(mailboxes::queue_id.eq(queue))
            .order((mailboxes::is_default.desc(), mailboxes::id))
            .select(COLUMNS)
    )
    .first(db)
    .optional()?;
    match own {
        Some(mailbox) => Ok(Some(mailbox)),
        None => find_default(db),
    }
}

/// The mailbox that a conversation is held with: the one it came to, else that of its queue.
pub fn of_conversation(db: &mut DbConnection, mailbox: Option<MailboxId>, queue: QueueId) -> Result<Mailbox> {
    if let Some(mailbox) = mailbox {
        return by_id(db, mailbox);
    }
    find_for_queue(db, queue)?.ok_or_else(no_default)
}

/// The addresses of all mailboxes in the form to compare by: mail from one of them is a loop (LP-01).
pub fn canonical_addresses(db: &mut DbConnection) -> Result<Vec<String>> {
    Ok(one_text!(mailboxes::table.order(mailboxes::id).select(mailboxes::canonical)).load(db)?)
}

/// Adds a mailbox. The first one is the default.
pub fn create(
    db: &mut DbConnection,
    description: &MailboxDescription,
    by: Option<PersonId>,
    now: UtcTime,
) -> Result<Mailbox> {
    let mut errors = FieldErrors::default();
    let (display_name, signature) = check(db, description, None, &mut errors)?;
    errors.into_result()?;
    let is_first = find_default(db)?.is_none();
    let mailbox: Mailbox = diesel::insert_into(mailboxes::table)
        .values((
            mailboxes::handle.eq(random_handle()),
            mailboxes::address.eq(description.address.as_str()),
            mailboxes::canonical.eq(description.address.canonical()),
            mailboxes::display_name.eq(display_name),
            mailboxes::queue_id.eq(description.queue),
            mailboxes::language.eq(Language(description.language)),
            mailboxes::acknowledges.eq(description.acknowledges),
            mailboxes::names_agents.eq(description.names_agents),
            mailboxes::signature.eq(signature),
            mailboxes::closed_tickets.eq(description.closed_tickets),
            mailboxes::reopen_days.eq(description.reopen_days),
            mailboxes::is_default.eq(is_first),
            mailboxes::created_at.eq(now),
            mailboxes::updated_at.eq(now),
        ))
        .returning(COLUMNS)
        .get_result(db)?;
    record(db, "mailbox_created", &mailbox.handle, by, now)?;
    Ok(mailbox)
}

/// Describes a mailbox anew.
pub fn update(
    db: &mut DbConnection,
    mailbox: &Mailbox,
    description: &MailboxDescription,
    by: Option<PersonId>,
    now: UtcTime,
) -> Result<()> {
    let mut errors = FieldErrors::default();
    let (display_name, signature) = check(db, description, Some(mailbox.id), &mut errors)?;
    errors.into_result()?;
    diesel::update(mailboxes::table.find(mailbox.id))
        .set((
            mailboxes::address.eq(description.address.as_str()),
            mailboxes::canonical.eq(description.address.canonical()),
            mailboxes::display_name.eq(display_name),
            mailboxes::queue_id.eq(description.queue),
            mailboxes::language.eq(Language(description.language)),
            mailboxes::acknowledges.eq(description.acknowledges),
            mailboxes::names_agents.eq(description.names_agents),
            mailboxes::signature.eq(signature),
            mailboxes::closed_tickets.eq(description.closed_tickets),
            mailboxes::reopen_days.eq(description.reopen_days),
            mailboxes::updated_at.eq(now),
        ))
        .execute(db)?;
    record(db, "mailbox_changed", &mailbox.handle, by, now)
}

/// Makes this the mailbox for what belongs to no other.
pub fn make_default(db: &mut DbConnection, mailbox: &Mailbox, by: Option<PersonId>, now: UtcTime) -> Result<()> {
    diesel::update(mailboxes::table.filter(mailboxes::is_default.eq(true)))
        .set((mailboxes::is_default.eq(false), mailboxes::updated_at.eq(now)))
        .execute(db)?;
    diesel::update(mailboxes::table.find(mailbox.id))
        .set((mailboxes::is_default.eq(true), mailboxes::updated_at.eq(now)))
        .execute(db)?;
    record(db, "default_mailbox_changed", &mailbox.handle, by, now)
}

/// Gives the display name and the signature as they are kept, and says what is wrong with the rest.
fn check(
    db: &mut DbConnection,
    description: &MailboxDescription,
    itself: Option<MailboxId>,
    errors: &mut FieldErrors,
) -> Result<(String, String)> {
    let address = &description.address;
    let of_person: i64 =
        person_addresses::table.filter(person_addresses::canonical.eq(address.canonical())).count().get_result(db)?;
    if of_person > 0 {
        errors.add("address", "error-address-of-person");
    }
    if find_by_canonical(db, address)?.is_some_and(|other| Some(other.id) != itself) {
        errors.add("address", "error-address-of-mailbox");
    }
    if reply_address::resembles(address.local_part()) {
        errors.add("address", "error-address-reserved");
    }
    if !(1..=LONGEST_REOPEN_DAYS).contains(&description.reopen_days) {
        errors.add("reopen_days", "error-reopen-days");
    }
    let signature = fields::optional_lines(errors, "signature", &description.signature);
    let display_name = fields::mandatory_line(errors, "display_name", &description.display_name, fields::NAME_LENGTH);
    Ok((display_name, signature))
}

fn record(db: &mut DbConnection, kind: &'static str, handle: &str, by: Option<PersonId>, now: UtcTime) -> Result<()> {
    let detail = json!({ "mailbox": handle });
    audit::record(db, &audit::Entry { kind, actor: by, subject: None, organisation: None, detail }, now)
}

/// The mailbox that must be there in an installation that was set up.
pub fn default(db: &mut DbConnection) -> Result<Mailbox> {
    find_default(db)?.ok_or_else(no_default)
}

fn no_default() -> Error {
    Error::internal("the installation has no default mailbox")
}
