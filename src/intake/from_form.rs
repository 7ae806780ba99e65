//! A request filed on a page, by somebody signed in or by a stranger who gives an address. A stranger's word is not
//! proof: until the mailbox is confirmed, nothing of what was typed is mailed there, and no colleague sees it.

use crate::access::{self, Actor};
use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::types::{EnvironmentId, OrganisationId, PersonId, QueueId, SiteId};
use crate::error::{Error, Result};
use crate::i18n::Locale;
use crate::mail::address::EmailAddress;
use crate::people::organisations;
use crate::people::person::{self, Origin, Person};
use crate::teams::mailboxes;
use crate::tickets::attachments::NewAttachment;
use crate::tickets::connection_context::ConnectionContext;
use crate::tickets::messages::{Channel, NewMessage};
use crate::tickets::opening::{self, NewTicket, Opened};

/// Who files.
#[derive(Clone, Debug)]
pub enum Filer {
    /// Somebody signed in, in one of their organisations or the one they are at home in.
    SignedIn { person: PersonId, organisation: Option<OrganisationId> },
    /// Somebody who typed a name and an address.
    Stranger { address: EmailAddress, name: String, language: Locale },
}

/// A form filled in.
#[derive(Clone, Debug)]
pub struct Request {
    pub filer: Filer,
    pub queue: QueueId,
    pub subject: String,
    pub text: String,
    pub files: Vec<NewAttachment>,
    pub site: Option<SiteId>,
    pub environment: Option<EnvironmentId>,
    /// Hidden from colleagues.
    pub is_private: bool,
    pub context: ConnectionContext,
}

/// Opens the ticket. What is wrong with the form comes back by field.
pub fn file(db: &mut DbConnection, request: Request, now: UtcTime) -> Result<Opened> {
    let (person, organisation, actor, is_confirmed) = match &request.filer {
        Filer::SignedIn { person, organisation } => {
            let actor = access::actor_of(db, *person)?;
            let person = person::by_id(db, *person)?;
            let organisation = match organisation {
                Some(organisation) => *organisation,
                None => home(db, &person, now)?,
            };
            // Staff who ask for themselves do so as anybody; that they work in the queue does not matter.
            let actor = if actor.is_staff() { Actor::System } else { actor };
            (person, organisation, actor, true)
        }
        Filer::Stranger { address, name, language } => {
            let mailboxes = mailboxes::canonical_addresses(db)?;
            if mailboxes.iter().any(|mailbox| mailbox == address.canonical()) {
                return Err(Error::invalid("address", "error-address-of-mailbox"));
            }
            let person = person::find_or_create_by_address(db, address, name, Origin::Form, *language, now)?;
            let organisation = home(db, &person, now)?;
            (person, organisation, Actor::System, false)
        }
    };
    let from_name = match &request.filer {
        Filer::Stranger { name, .. } => name.clone(),
        Filer::SignedIn { .. } => person.display_name(),
    };
    let message = NewMessage {
        attachments: request.files,
        context: Some(request.context),
        ..NewMessage::text(Channel::Web, person.id, &from_name, &person.address, &request.text)
    };
    let new = NewTicket {
        mailbox: mailboxes::find_for_queue(db, request.queue)?.map(|mailbox| mailbox.id),
        language: person.language.0,
        is_private: request.is_private || !is_confirmed,
        site: request.site,
        environment: request.environment,
        address_confirmed: is_confirmed,
        ..NewTicket::new(organisation, person.id, request.queue, &request.subject, message)
    };
    opening::open(db, new, &actor, now)
}

fn home(db: &mut DbConnection, person: &Person, now: UtcTime) -> Result<OrganisationId> {
    match organisations::home_of(db, person.id)? {
        Some(home) => Ok(home),
        None => organisations::create_individual(db, person.id, &person.display_name(), person.language.0, now),
    }
}
