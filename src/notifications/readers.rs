//! To whom an agent's answer is mailed. The mails and the page that names their readers before it is sent both ask here, so
//! that neither promises what the other does not do.

use crate::db::DbConnection;
use crate::db::types::PersonId;
use crate::error::Result;
use crate::mail::address::EmailAddress;
use crate::notifications::Letterhead;
use crate::people::person::{self, Person, PersonState};
use crate::teams::mailboxes;
use crate::tickets::participants::{self, Participant};
use crate::tickets::ticket::Ticket;

/// Somebody whom an answer is mailed to.
#[derive(Clone, Debug)]
pub struct Reader {
    pub participant: Participant,
    pub person: Person,
    /// Where their mail goes.
    pub address: EmailAddress,
}

/// Every active participant that mail can be sent to (B3), except the answer's `author`.
pub fn of_answers(
    db: &mut DbConnection,
    letterhead: &Letterhead,
    ticket: &Ticket,
    author: Option<PersonId>,
) -> Result<Vec<Reader>> {
    let mailboxes = mailboxes::canonical_addresses(db)?;
    let mut readers = Vec::new();
    for participant in participants::active(db, ticket)? {
        if Some(participant.person_id) == author {
            continue;
        }
        let person = person::by_id(db, participant.person_id)?;
        if let Some(address) = address_of(letterhead, &mailboxes, &person) {
            readers.push(Reader { participant, person, address });
        }
    }
    Ok(readers)
}

/// Where mail to `person` goes: their stored address, unless they are disabled, it is none that mail can be sent to
/// (OUT-04), mails to it came back (BN-03), or it is one of ours (LP-08). `mailboxes` are the canonical addresses of ours.
pub(super) fn address_of(letterhead: &Letterhead, mailboxes: &[String], person: &Person) -> Option<EmailAddress> {
    let address = EmailAddress::parse(&person.address)?;
    let is_there = person.address_suppressed_at.is_none();
    (person.state == PersonState::Active && is_there && !letterhead.is_ours(&address, mailboxes)).then_some(address)
}
