//! Mail to be sent: frozen bytes, written in the transaction of what they tell (O-01, O-02), sent by a worker outside of
//! any transaction, again and again until they arrive or their time is over. What a mail says is composed in
//! `notifications`; what its end means for a ticket is noted there too.

pub mod bouncing;
pub mod courier;
pub mod crew;
pub mod folding;
pub mod listing;
pub mod relays;
pub mod sending;

use chrono::TimeDelta;
use diesel::prelude::*;

use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::dialect::on_each_backend;
use crate::db::schema::outbox;
use crate::db::types::{MailboxId, MessageId, OrganisationId, OutboxId, PersonId, TicketId, text_enum};
use crate::error::Result;
use crate::secret::random_handle;

pub use courier::Courier;
pub use relays::Relays;
pub use sending::{Letter, Sending, Settled};

text_enum! {
    /// What a mail is for.
    pub enum Kind {
        /// An agent's answer to a customer.
        Reply = "reply",
        /// Says that a request has arrived.
        Acknowledgement = "acknowledgement",
        /// Tells staff or participants that something happened.
        Notification = "notification",
        SignIn = "sign_in",
        Password = "password",
        Invitation = "invitation",
        /// Asks whether an address is its owner's.
        Confirmation = "confirmation",
    }
}

impl Kind {
    /// How long sending is tried (O-05); mails with a token live as long as the token, which their sender knows.
    pub fn lifetime(self) -> TimeDelta {
        match self {
            Kind::Reply | Kind::Acknowledgement => TimeDelta::days(5),
            Kind::Notification => TimeDelta::hours(24),
            Kind::SignIn => TimeDelta::minutes(10),
            Kind::Password => TimeDelta::minutes(30),
            Kind::Invitation | Kind::Confirmation => TimeDelta::hours(72),
        }
    }

    /// Whether the mail is worth nothing once its time is over, so that nobody need hear of it.
    fn dies_quietly(self) -> bool {
        matches!(self, Kind::Notification | Kind::SignIn | Kind::Password)
    }
}

text_enum! {
    /// How far a mail has come.
    pub enum State {
        Queued = "queued",
        /// A worker is sending it.
        Leased = "leased",
        Sent = "sent",
        /// It was refused for now, and is tried again.
        Deferred = "deferred",
        /// It did not arrive, and will not by itself.
        Dead = "dead",
        /// It was not sent, and nobody misses it.
        Suppressed = "suppressed",
    }
}

/// A finished mail.
#[derive(Clone, Debug)]
pub struct NewLetter {
    pub kind: Kind,
    pub organisation: Option<OrganisationId>,
    pub ticket: Option<TicketId>,
    pub message: Option<MessageId>,
    pub person: Option<PersonId>,
    /// From which it leaves, and so by whose relay; by the installation's for none.
    pub mailbox: Option<MailboxId>,
    /// One address (OUT-04).
    pub recipient: String,
    /// Empty for mails that nobody may answer by machine (OUT-05).
    pub envelope_from: String,
    /// With its angle brackets.
    pub mail_id: String,
    pub subject: String,
    /// The bytes, as they will be sent each time.
    pub mime: Vec<u8>,
    /// When sending is given up.
    pub expires_at: UtcTime,
}

/// Has the mail sent after the transaction around this. The same mail to the same recipient is kept once, so that a
/// repeated job does not mail twice.
pub fn enqueue(db: &mut DbConnection, letter: &NewLetter, now: UtcTime) -> Result<()> {
    insert(db, letter, State::Queued, Some(&letter.mime), None, now).map(drop)
}

/// Keeps a mail that could not be written among those that did not arrive, and gives its public name. It has no bytes, and those
/// are not to be sent again.
pub fn keep_dead(db: &mut DbConnection, letter: &NewLetter, reason: &str, now: UtcTime) -> Result<String> {
    let reason: String = reason.chars().take(500).collect();
    insert(db, letter, State::Dead, None, Some(reason), now)
}

fn insert(
    db: &mut DbConnection,
    letter: &NewLetter,
    state: State,
    mime: Option<&Vec<u8>>,
    last_error: Option<String>,
    now: UtcTime,
) -> Result<String> {
    let handle = random_handle();
    let row = (
        outbox::handle.eq(&handle),
        outbox::kind.eq(letter.kind),
        outbox::organisation_id.eq(letter.organisation),
        outbox::ticket_id.eq(letter.ticket),
        outbox::message_id.eq(letter.message),
        outbox::person_id.eq(letter.person),
        outbox::mailbox_id.eq(letter.mailbox),
        outbox::recipient.eq(&letter.recipient),
        outbox::envelope_from.eq(&letter.envelope_from),
        outbox::mail_id.eq(&letter.mail_id),
        outbox::subject.eq(&letter.subject),
        outbox::mime.eq(mime),
        outbox::state.eq(state),
        outbox::attempts.eq(0),
        outbox::strikes.eq(0),
        outbox::next_at.eq(now),
        outbox::expires_at.eq(letter.expires_at),
        outbox::created_at.eq(now),
        outbox::last_error.eq(last_error),
    );
    on_each_backend!(db, db => diesel::insert_into(outbox::table)
        .values(row)
        .on_conflict((outbox::mail_id, outbox::recipient))
        .do_nothing()
        .execute(db))?;
    Ok(handle)
}

/// What could not be written was written anew, and goes out as another mail.
pub fn forget_unwritten(db: &mut DbConnection, id: OutboxId) -> Result<()> {
    let unwritten = outbox::table.find(id).filter(outbox::state.eq(State::Dead)).filter(outbox::mime.is_null());
    diesel::delete(unwritten).execute(db)?;
    Ok(())
}

/// What could not be written is for nobody any more.
pub fn suppress_unwritten(db: &mut DbConnection, id: OutboxId) -> Result<()> {
    let unwritten = outbox::table.find(id).filter(outbox::state.eq(State::Dead)).filter(outbox::mime.is_null());
    diesel::update(unwritten).set(outbox::state.eq(State::Suppressed)).execute(db)?;
    Ok(())
}
