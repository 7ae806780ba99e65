//! People in copy of a mail: proposed as participants, or taking part where their organisation has it so (TH-07).

use super::Mail;
use crate::db::DbConnection;
use crate::db::types::PersonId;
use crate::error::Result;
use crate::intake::addressing::is_unattended;
use crate::mail::address::EmailAddress;
use crate::mail::authentication::Authentication;
use crate::mail::automatic::Class;
use crate::people::person::{self, Origin, Person};
use crate::people::{copied_domain, organisations, staff};
use crate::tickets::events::Maker;
use crate::tickets::participants;
use crate::tickets::ticket::Ticket;

/// People in copy of one mail who are proposed or take part (TH-07).
const PROPOSED: usize = 20;

impl Mail<'_> {
    /// In copy are proposed whom a person, not a machine, put there (TH-07).
    fn may_propose(&self) -> bool {
        self.reading.class == Class::Human && self.reading.mail.from.identity.is_some()
    }

    /// Whom the sender put in copy is proposed, or takes part where the sender's organisation has it so (TH-07).
    pub(super) fn take_in_copied(&self, db: &mut DbConnection, ticket: &Ticket, sender: &Person) -> Result<()> {
        if !self.may_propose() {
            return Ok(());
        }
        let people = self.people_in_copy(db, sender.id)?;
        let domain = if people.is_empty() { None } else { self.copied_domain(db, ticket, sender)? };
        for (person, address) in people {
            if domain.as_deref() == Some(address.domain())
                && copied_domain::lets_in(db, ticket.organisation_id, person)?
            {
                participants::let_in_from_copy(db, ticket, person, self.now)?;
            } else {
                participants::propose(db, ticket, person, Maker::Mail, self.now)?;
            }
        }
        Ok(())
    }

    /// The domain at which people in copy take part by themselves: that of a member of the ticket's organisation, who is proven
    /// to have written from there.
    fn copied_domain(&self, db: &mut DbConnection, ticket: &Ticket, sender: &Person) -> Result<Option<String>> {
        let from = self.reading.mail.from.identity.as_ref();
        let is_proven = self.reading.authentication == Authentication::Pass;
        let Some(from) = from.filter(|_| is_proven) else { return Ok(None) };
        if organisations::home_of(db, sender.id)? != Some(ticket.organisation_id) {
            return Ok(None);
        }
        Ok(copied_domain::find(db, ticket.organisation_id)?.filter(|domain| domain == from.domain()))
    }

    /// Those in To and Cc who may be participants: no mailbox of ours, no machine, no staff, not the sender.
    fn people_in_copy<'m>(
        &'m self,
        db: &mut DbConnection,
        sender: PersonId,
    ) -> Result<Vec<(PersonId, &'m EmailAddress)>> {
        let mail = &self.reading.mail;
        let mut people: Vec<(PersonId, &EmailAddress)> = Vec::new();
        for named in mail.to.iter().chain(&mail.cc) {
            let Some(address) = &named.identity else { continue };
            if self.is_ours(db, address)? || is_unattended(address.local_part()) {
                continue;
            }
            let language = self.mailbox.language.0;
            let person =
                person::find_or_create_by_address(db, address, &named.display_name, Origin::Mail, language, self.now)?;
            let is_new = person.id != sender && people.iter().all(|(known, _)| *known != person.id);
            if is_new && !staff::is_staff(db, person.id)? {
                people.push((person.id, address));
            }
            if people.len() == PROPOSED {
                break;
            }
        }
        Ok(people)
    }
}
