//! The least around a grant of products: an operator, an agent who asks, a customer who grants. For processes of their
//! own and for measurements, which have no cast.

use accord::access;
use accord::clock::UtcTime;
use accord::consent::asking::{self, Terms};
use accord::consent::granting::{self, Outcome};
use accord::consent::scope::{PurposeCode, Recipients};
use accord::consent::{Component, ConsentRequest, Grant, Level, Scope, Subject};
use accord::db::DbConnection;
use accord::db::types::{OrganisationId, PersonId};
use accord::error::{FieldErrors, Result};
use accord::i18n::Locale;
use accord::keys::Keys;
use accord::mail::address::EmailAddress;
use accord::people::memberships::Rights;
use accord::people::organisations::{self, Contract, Information};
use accord::people::person::{self, NewPerson, Origin};
use accord::people::setup::{self, SetupForm};
use accord::people::staff;
use accord::teams::defaults;
use accord::teams::queues::{self, QueueKind};
use accord::tickets::messages::{Channel, NewMessage};
use accord::tickets::opening::{self, NewTicket};

/// Who is there.
#[derive(Clone, Debug)]
pub struct Granted {
    pub organisation: OrganisationId,
    /// The organisation's public name.
    pub handle: String,
    pub customer: PersonId,
    pub agent: PersonId,
}

/// Sets an empty desk up: an administrator who answers, and a customer who may grant for her company.
pub fn set_up(db: &mut DbConnection, now: UtcTime) -> Result<Granted> {
    let form = SetupForm {
        operator_name: "Lumenor".to_owned(),
        first_name: "Nora".to_owned(),
        last_name: "Blin".to_owned(),
        email: "nora@vendor.example".to_owned(),
        support_address: "aide@vendor.example".to_owned(),
        time_zone: "Europe/Paris".to_owned(),
    };
    let mut errors = FieldErrors::default();
    let setup = form.check(&mut errors, Locale::Fr, now).expect("a form without faults");
    let agent = setup::create_first(db, &setup, now)?;
    defaults::create_defaults(db, &setup.support_address, Locale::Fr, now)?;
    staff::accept_undertaking(db, agent, now)?;
    company(db, agent, "Vignobles Arnaud", "claire@arnaud.example", now)
}

/// A company with one member, who may grant for it, and the agent who asks.
pub fn company(db: &mut DbConnection, agent: PersonId, name: &str, address: &str, now: UtcTime) -> Result<Granted> {
    let information = Information::named(name, Locale::Fr);
    let organisation = organisations::create(db, &information, Contract::NONE, Some(agent), now)?;
    let address = EmailAddress::parse(address).expect("an address");
    let new = NewPerson { address_confirmed_at: Some(now), ..NewPerson::at(address, Locale::Fr, Origin::Staff) };
    let customer = person::create(db, &new, Some((organisation.id, Rights::ALL)), None, now)?.id;
    Ok(Granted { organisation: organisation.id, handle: organisation.handle, customer, agent })
}

impl Granted {
    /// The customer opens a ticket, the agent asks in it, the customer grants: products, for a day.
    pub fn grant(&self, db: &mut DbConnection, keys: &Keys, now: UtcTime) -> Result<Grant> {
        let scope = Scope::of(&[Component::Products], Level::Info, vec!["invoice.id".to_owned()]);
        self.grant_of(db, keys, scope, now)
    }

    /// The same as [`Granted::grant`], of `scope`.
    pub fn grant_of(&self, db: &mut DbConnection, keys: &Keys, scope: Scope, now: UtcTime) -> Result<Grant> {
        let by = access::actor_of(db, self.customer)?;
        let request = self.ask(db, scope, now)?;
        let seen = granting::notice_for(db, &request, Locale::Fr)?.sha256;
        match granting::grant(db, keys, &request, None, &seen, Locale::Fr, &by, now)? {
            Outcome::Granted(grant) => Ok(*grant),
            Outcome::AwaitsSecond => panic!("one is enough at this level"),
        }
    }

    /// The customer opens a ticket and the agent asks in it.
    pub fn ask(&self, db: &mut DbConnection, scope: Scope, now: UtcTime) -> Result<ConsentRequest> {
        let queue = queues::find_by_kind(db, QueueKind::Support)?.expect("a queue of each kind");
        let customer = person::by_id(db, self.customer)?;
        let message = NewMessage::text(Channel::Web, self.customer, "Claire", &customer.address, "Rien ne s'affiche.");
        let new = NewTicket {
            address_confirmed: true,
            ..NewTicket::new(self.organisation, self.customer, queue.id, "Écran noir", message)
        };
        let by = access::actor_of(db, self.customer)?;
        let ticket = opening::open(db, new, &by, now)?.ticket;
        let terms = Terms {
            subject: Subject::Organisation,
            purpose: "Comprendre pourquoi l'écran reste noir".to_owned(),
            purpose_code: PurposeCode::Fault,
            scope,
            duration_minutes: 24 * 60,
            retention_days: 7,
            recipients: Recipients::Queue(ticket.queue_id),
            exports_allowed: true,
            stop_condition: String::new(),
            idle_minutes: None,
        };
        let agent = access::actor_of(db, self.agent)?;
        asking::ask(db, &ticket, &terms, &agent, now)
    }
}
