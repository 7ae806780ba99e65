//! Mail that an administrator brought from another desk or mailbox. The decision table decides as ever, with nothing known
//! of authentication; what is different is that all of it is old: it keeps its date, nobody is told, nothing counts as a
//! flood, a bounce or an answer of a machine, and what went out from the mailbox is our answer.

use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::types::EventId;
use crate::error::Result;
use crate::intake::evidence::Gathered;
use crate::journal::{Imported, Record, State};
use crate::mail::address::EmailAddress;
use crate::mail::reply_text;
use crate::mail::threading::{Decision, Evidence, Outcome, Sender, TicketState, decide};
use crate::people::person::{self, Origin, Person};
use crate::people::staff;
use crate::search;
use crate::tickets::importing::{self, Spoken};
use crate::tickets::mail_ids;
use crate::tickets::messages::Remark;
use crate::tickets::opening::NewTicket;
use crate::tickets::ticket::{self, Ticket};
use crate::tickets::{events, participants};

use super::{Applied, ByHand, Mail};

/// Message-IDs of a mail that are looked up, the nearest ones.
const IDS: usize = 20;
/// People in To and Cc who are looked at.
const ADDRESSEES: usize = 50;

impl Mail<'_> {
    /// Does what the mail does as one of before. What a sender's mail usually brings, a mail of before need not bring.
    pub(super) fn import(&self, db: &mut DbConnection, imported: Imported, gathered: &Gathered) -> Result<Applied> {
        let evidence = Evidence { ticket: TicketState::Current, usually_passes: false, ..gathered.evidence };
        let decision = decide(&evidence);
        let mut record = Record { rule: decision.rule.name().to_owned(), ..self.record("") };
        record.flags.push(self.imported_flag().to_owned());
        if self.is_of_ours(db, imported, gathered.person.as_ref())? {
            return self.import_ours(db, gathered, record);
        }
        self.import_received(db, gathered, &decision, record)
    }

    /// Does what somebody decided about the mail, as one of before: nobody is told of it by that either.
    pub(super) fn import_by_hand(
        &self,
        db: &mut DbConnection,
        imported: Imported,
        by_hand: ByHand,
        mut record: Record,
    ) -> Result<Applied> {
        record.flags.push(self.imported_flag().to_owned());
        let sender = self.sender_person(db)?;
        let is_ours = self.is_of_ours(db, imported, Some(&sender))?;
        let spoken = if is_ours { Spoken::ByUs } else { Spoken::ByCustomer };
        // The mailbox itself is nobody.
        let author = if is_ours && !staff::is_staff(db, sender.id)? { None } else { Some(&sender) };
        let (decision, ticket) = match by_hand {
            ByHand::OpenAsNew => {
                let addressee = if is_ours { self.addressees(db)?.into_iter().next() } else { None };
                let requester = addressee.as_ref().unwrap_or(&sender);
                ("new_ticket", self.open_imported(db, requester, author, spoken, None)?)
            }
            ByHand::AddTo(ticket) => {
                self.add_imported(db, &ticket, author, spoken, Some(Remark::Accepted))?;
                ("append", *ticket)
            }
        };
        let record = Record { decision: decision.to_owned(), ..record };
        Ok(Applied { state: State::Applied, record, ticket: Some(ticket) })
    }

    fn is_adopted(&self) -> bool {
        self.delivery.is_adopted == Some(true)
    }

    /// As what it was brought, by the name under which that is recorded.
    fn imported_flag(&self) -> &'static str {
        if self.is_adopted() { "adopted" } else { "imported" }
    }

    /// When it was written, as its sender's clock said; a date to come is none.
    fn written_at(&self) -> UtcTime {
        let received_at = self.delivery.received_at;
        self.reading.mail.date.filter(|date| *date <= received_at).unwrap_or(received_at)
    }

    /// Whether we wrote it: it stood among what was sent, and one of us or the mailbox is its sender. Anybody may write our
    /// names above what they send, and a line in a mail that begins the next one in a file of many.
    fn is_of_ours(&self, db: &mut DbConnection, imported: Imported, person: Option<&Person>) -> Result<bool> {
        let Some(identity) = &self.reading.mail.from.identity else { return Ok(false) };
        if imported != Imported::Sent {
            return Ok(false);
        }
        let is_one_of_us = match person {
            Some(person) => staff::is_staff(db, person.id)?,
            None => false,
        };
        Ok(is_one_of_us || self.is_ours(db, identity)?)
    }

    fn import_received(
        &self,
        db: &mut DbConnection,
        gathered: &Gathered,
        decision: &Decision,
        record: Record,
    ) -> Result<Applied> {
        let person = gathered.person.clone().map_or_else(|| self.sender_person(db), Ok)?;
        let done = |decision: &str, ticket| Applied {
            state: State::Applied,
            record: Record { decision: decision.to_owned(), ..record.clone() },
            ticket: Some(ticket),
        };
        let (spoken, remark, name) = match decision.outcome {
            // Somebody may have attached a mail that they made up: an agent looks at it first.
            Outcome::Append if self.is_adopted() => {
                (Spoken::InDoubt, Some(Remark::NotAuthenticated), "append_restricted")
            }
            Outcome::Append => (Spoken::ByCustomer, None, "append"),
            Outcome::AttachAutomatic => (Spoken::Aside, Some(Remark::Automatic), "automatic"),
            // What would wait for a decision among thousands of its kind waits with its ticket, where staff reads it.
            Outcome::AppendRestricted | Outcome::Hold | Outcome::AppendAsAgent => {
                let remark = match gathered.evidence.sender {
                    Sender::Unknown | Sender::None => Remark::DifferentSender,
                    Sender::Participant | Sender::Agent | Sender::AgentWithoutAccess => Remark::NotAuthenticated,
                };
                (Spoken::Aside, Some(remark), "append_restricted")
            }
            Outcome::NewTicket => (Spoken::ByCustomer, decision.automatic.then_some(Remark::Automatic), "new_ticket"),
        };
        if let (true, Some(ticket)) = (decision.outcome != Outcome::NewTicket, &gathered.ticket) {
            self.add_imported(db, ticket, Some(&person), spoken, remark)?;
            return Ok(done(name, ticket.clone()));
        }
        let remark = if decision.outcome == Outcome::NewTicket { remark } else { None };
        let ticket = self.open_imported(db, &person, Some(&person), Spoken::ByCustomer, remark)?;
        Ok(done("new_ticket", ticket))
    }

    /// What we wrote goes to the ticket that it answers: for all to read where it was written to somebody who takes part
    /// there, else for staff.
    fn import_ours(&self, db: &mut DbConnection, gathered: &Gathered, record: Record) -> Result<Applied> {
        let applied = |state, decision: &str, ticket| Applied {
            state,
            record: Record { decision: decision.to_owned(), rule: "import".to_owned(), ..record.clone() },
            ticket,
        };
        let author = match &gathered.person {
            Some(person) if staff::is_staff(db, person.id)? => Some(person),
            // The mailbox itself is nobody.
            _ => None,
        };
        let addressees = self.addressees(db)?;
        let is_automatic = self.reading.mail.headers.iter().any(|(name, value)| {
            name == "auto-submitted" && !value.trim().get(..2).is_some_and(|no| no.eq_ignore_ascii_case("no"))
        });
        match self.answered(db, &addressees)? {
            Some((ticket, reaches_customer)) => {
                let spoken = if reaches_customer && !is_automatic { Spoken::ByUs } else { Spoken::Aside };
                let remark = is_automatic.then_some(Remark::Automatic);
                self.add_imported(db, &ticket, author, spoken, remark)?;
                let name = match (spoken, is_automatic) {
                    (Spoken::ByUs | Spoken::ByCustomer, _) => "append",
                    (Spoken::InDoubt | Spoken::Aside, true) => "automatic",
                    (Spoken::InDoubt | Spoken::Aside, false) => "append_restricted",
                };
                Ok(applied(State::Applied, name, Some(ticket)))
            }
            None => match addressees.first() {
                Some(requester) => {
                    let remark = is_automatic.then_some(Remark::Automatic);
                    let ticket = self.open_imported(db, requester, author, Spoken::ByUs, remark)?;
                    Ok(applied(State::Applied, "new_ticket", Some(ticket)))
                }
                // Among ourselves: whose matter it is, an administrator may know.
                None => Ok(applied(State::Held, "hold", None)),
            },
        }
    }

    /// The customers whom it was written to.
    fn addressees(&self, db: &mut DbConnection) -> Result<Vec<Person>> {
        let mail = &self.reading.mail;
        let mut people: Vec<Person> = Vec::new();
        for named in mail.to.iter().chain(&mail.cc).take(ADDRESSEES) {
            let Some(address) = &named.identity else { continue };
            if self.is_ours(db, address)? {
                continue;
            }
            let person = self.known_as(db, address, &named.display_name)?;
            if !staff::is_staff(db, person.id)? && !people.iter().any(|known| known.id == person.id) {
                people.push(person);
            }
        }
        Ok(people)
    }

    fn known_as(&self, db: &mut DbConnection, address: &EmailAddress, name: &str) -> Result<Person> {
        person::find_or_create_by_address(db, address, name, Origin::Mail, self.mailbox.language.0, self.now)
    }

    /// The ticket of the nearest mail that this one answers, and whether one of `addressees` takes part in it. Anybody may
    /// have sent a mail with the same id, so a ticket of somebody who was written to comes first (J-05).
    fn answered(&self, db: &mut DbConnection, addressees: &[Person]) -> Result<Option<(Ticket, bool)>> {
        let mail = &self.reading.mail;
        let mut other = None;
        for id in mail.in_reply_to.iter().chain(mail.references.iter().rev()).take(IDS) {
            for stored in mail_ids::find(db, id)? {
                if stored.mailbox_id != self.mailbox.id {
                    continue;
                }
                for person in addressees {
                    let participant = participants::find(db, stored.ticket_id, person.id)?;
                    if participant.is_some_and(|participant| participant.takes_part()) {
                        return Ok(Some((ticket::by_id(db, stored.ticket_id)?, true)));
                    }
                }
                other.get_or_insert(stored.ticket_id);
            }
        }
        other.map(|id| Ok((ticket::by_id(db, id)?, false))).transpose()
    }

    fn open_imported(
        &self,
        db: &mut DbConnection,
        requester: &Person,
        author: Option<&Person>,
        spoken: Spoken,
        remark: Option<Remark>,
    ) -> Result<Ticket> {
        let organisation = self.organisation_for(db, requester)?;
        let (text, folded) = self.text(reply_text::split_signature);
        let new = NewTicket {
            mailbox: Some(self.mailbox.id),
            language: requester.language.0,
            address_confirmed: requester.address_confirmed_at.is_some(),
            remark,
            ..NewTicket::new(
                organisation,
                requester.id,
                self.mailbox.queue_id,
                &self.subject(),
                self.said_by(author, text, folded),
            )
        };
        let opened = importing::open(db, new, spoken, self.written_at(), self.now)?;
        if remark.is_none() {
            self.remember_id(db, &opened.ticket, opened.message)?;
        }
        index(db, opened.event)?;
        Ok(opened.ticket)
    }

    fn add_imported(
        &self,
        db: &mut DbConnection,
        ticket: &Ticket,
        author: Option<&Person>,
        spoken: Spoken,
        remark: Option<Remark>,
    ) -> Result<()> {
        let (text, folded) = self.text(reply_text::split);
        let message = self.said_by(author, text, folded);
        let (message, event) = importing::add(db, ticket, message, spoken, remark, self.written_at(), self.now)?;
        if matches!(spoken, Spoken::ByCustomer | Spoken::ByUs) {
            self.remember_id(db, ticket, message)?;
        }
        index(db, event)
    }
}

fn index(db: &mut DbConnection, event: EventId) -> Result<()> {
    match events::find(db, event)? {
        Some(event) => search::follow_event(db, &event),
        None => Ok(()),
    }
}
