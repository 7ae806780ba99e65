//! What an agent or administrator decides about a mail that was held or failed: a ticket of its own, a message of a
//! ticket, another try, or nothing.

use crate::access::{self, Actor};
use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::types::JournalId;
use crate::error::{Error, Result};
use crate::i18n::Message;
use crate::intake::from_email::{Applied, ByHand, apply_by_hand};
use crate::intake::{House, Reading};
use crate::journal::{Delivery, unprocessed};
use crate::tickets::ticket::Ticket;

/// Opens a ticket for the mail. The mail was read outside of this transaction.
pub fn open_as_new(
    db: &mut DbConnection,
    house: &House,
    delivery: &Delivery,
    reading: &Reading,
    by: &Actor,
    now: UtcTime,
) -> Result<Applied> {
    carry_out(db, house, delivery, reading, ByHand::OpenAsNew, by, now)
}

/// Adds the mail to a ticket of somebody who works on it.
pub fn add_to(
    db: &mut DbConnection,
    house: &House,
    delivery: &Delivery,
    reading: &Reading,
    ticket: Ticket,
    by: &Actor,
    now: UtcTime,
) -> Result<Applied> {
    if !access::can_work_on(by, &ticket.facts()) {
        return Err(Error::Forbidden);
    }
    carry_out(db, house, delivery, reading, ByHand::AddTo(Box::new(ticket)), by, now)
}

/// Leaves the mail as it is, off the list.
pub fn reject(db: &mut DbConnection, mail: JournalId, now: UtcTime) -> Result<()> {
    if unprocessed::reject(db, mail, now)? { Ok(()) } else { Err(decided_meanwhile()) }
}

/// Has the mail processed again from the start.
pub fn reprocess(db: &mut DbConnection, mail: JournalId, now: UtcTime) -> Result<()> {
    if unprocessed::reprocess(db, mail, now)? { Ok(()) } else { Err(decided_meanwhile()) }
}

fn carry_out(
    db: &mut DbConnection,
    house: &House,
    delivery: &Delivery,
    reading: &Reading,
    by_hand: ByHand,
    by: &Actor,
    now: UtcTime,
) -> Result<Applied> {
    let person = by.person().ok_or(Error::Forbidden)?;
    let who = format!("person-{}", person.0);
    if !unprocessed::take_by_hand(db, delivery.id, &who, now)? {
        return Err(decided_meanwhile());
    }
    apply_by_hand(db, house, delivery, reading, by_hand, &who, now)
}

fn decided_meanwhile() -> Error {
    Error::Conflict(Message::new("mail-decided-meanwhile"))
}
