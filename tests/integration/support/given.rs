//! The smallest valid things, made as the program makes them, and a small cast: Anne administers Logiciels Garonne, its
//! agents have first names only.

use accord::access::{self, Actor};
use accord::db::types::{OrganisationId, PersonId, QueueId};
use accord::error::FieldErrors;
use accord::i18n::Locale;
use accord::mail::address::EmailAddress;
use accord::people::api_tokens::{NewApiToken, Scope};
use accord::people::memberships::Rights;
use accord::people::organisations::{self, Contract, Information, Organisation};
use accord::people::person::{self, NewPerson, Origin};
use accord::people::roles::{self, BuiltinRole};
use accord::people::sessions::{self, Limits, Place};
use accord::people::setup::{self, SetupForm};
use accord::people::{Person, staff};
use accord::teams::queues::{self, QueueKind};
use accord::teams::{defaults, members};
use accord::tickets::messages::{Channel, CustomerMessage, NewMessage, NewNote, Words};
use accord::tickets::opening::{self, NewTicket};
use accord::tickets::{Ticket, messages, ticket};

use super::app::TestApp;
use super::browser::Browser;

/// A secret of a day, which nothing but its scopes limits.
pub fn secret_of_a_day(scopes: &[Scope]) -> NewApiToken {
    NewApiToken { name: "Test".to_owned(), scopes: scopes.to_vec(), organisation: None, queue: None, days: 1 }
}

/// What a test begins with.
pub struct Given<'a> {
    pub test: &'a TestApp,
}

impl TestApp {
    /// An installation that is set up, with its administrator Anne, its queues and its mailbox.
    pub fn set_up() -> TestApp {
        let test = TestApp::empty();
        test.given().administrator();
        test
    }

    pub fn given(&self) -> Given<'_> {
        Given { test: self }
    }

    /// The rights of somebody as they stand now.
    pub fn actor(&self, person: PersonId) -> Actor {
        self.read(|db| access::actor_of(db, person))
    }

    /// The queue of that kind.
    pub fn queue(&self, kind: QueueKind) -> QueueId {
        self.read(|db| queues::find_by_kind(db, kind)).expect("a queue of each kind").id
    }

    /// A browser in which `person` is signed in.
    pub async fn browser_of(&self, person: PersonId) -> Browser {
        let (limits, now) = (Limits::from(&self.app.config.security), self.now());
        let place = Place { ip_address: "192.0.2.7".to_owned(), user_agent: String::new() };
        let token = self.write(move |db| sessions::begin(db, person, false, &place, &limits, now));
        let browser = self.browser().await;
        browser.set_session(token.expose());
        browser
    }
}

impl Given<'_> {
    /// Makes the installation and Anne, its first administrator.
    pub fn administrator(&self) -> PersonId {
        let now = self.test.now();
        self.test.write(move |db| {
            let form = SetupForm {
                operator_name: "Logiciels Garonne".to_owned(),
                first_name: "Anne".to_owned(),
                last_name: "Martin".to_owned(),
                email: "anne@garonne.example".to_owned(),
                support_address: "support@garonne.example".to_owned(),
                time_zone: String::new(),
            };
            let mut errors = FieldErrors::default();
            let setup = form.check(&mut errors, Locale::Fr, now).expect("a form without faults");
            let administrator = setup::create_first(db, &setup, now)?;
            let support = EmailAddress::parse("support@garonne.example").expect("an address");
            defaults::create_defaults(db, &support, Locale::Fr, now)?;
            Ok(administrator)
        })
    }

    /// A customer company.
    pub fn organisation(&self, name: &'static str) -> Organisation {
        let now = self.test.now();
        self.test.write(move |db| {
            organisations::create(db, &Information::named(name, Locale::Fr), Contract::NONE, None, now)
        })
    }

    /// Somebody who asks: `Jean Dupont`, with an address of their own and no organisation but their own.
    pub fn customer(&self, name: &'static str) -> Person {
        self.person(name, None)
    }

    /// The same as a member of `organisation` with these rights.
    pub fn member(&self, name: &'static str, organisation: OrganisationId, rights: Rights) -> Person {
        self.person(name, Some((organisation, rights)))
    }

    fn person(&self, name: &'static str, organisation: Option<(OrganisationId, Rights)>) -> Person {
        let now = self.test.now();
        self.test.write(move |db| {
            let (first_name, last_name) = name.split_once(' ').unwrap_or((name, "Agent"));
            let mailbox: String = name.to_lowercase().chars().filter(char::is_ascii_alphabetic).collect();
            let address = EmailAddress::parse(&format!("{mailbox}@client.example")).expect("an address");
            let new = NewPerson {
                first_name: first_name.to_owned(),
                last_name: last_name.to_owned(),
                address_confirmed_at: Some(now),
                ..NewPerson::at(address, Locale::Fr, Origin::Staff)
            };
            person::create(db, &new, organisation, None, now)
        })
    }

    /// An agent who has accepted the undertaking and works in these queues.
    pub fn agent(&self, name: &'static str, works_in: &[QueueKind]) -> PersonId {
        self.staff(name, &[BuiltinRole::Agent], works_in)
    }

    /// Staff with these roles, who have accepted the undertaking.
    pub fn staff(&self, name: &'static str, given: &'static [BuiltinRole], works_in: &[QueueKind]) -> PersonId {
        let now = self.test.now();
        let operator = self.test.read(organisations::find_operator).expect("the operator's organisation");
        let nothing = Rights { sees_all_tickets: false, manages_organisation: false, grants_tracing: false };
        let person = self.member(name, operator, nothing).id;
        let works_in = works_in.to_vec();
        self.test.write(move |db| {
            let roles = given.iter().map(|role| roles::builtin(db, *role)).collect::<Result<Vec<_>, _>>()?;
            staff::set_roles(db, person, &roles, None, now)?;
            staff::accept_undertaking(db, person, now)?;
            for kind in &works_in {
                let queue = queues::find_by_kind(db, *kind)?.expect("a queue of each kind");
                members::add(db, &queue, person, None, now)?;
            }
            Ok(person)
        })
    }

    /// A ticket that `requester` opened on the web in the support queue.
    pub fn ticket(&self, requester: &Person, subject: &str, text: &str) -> Ticket {
        let (now, requester) = (self.test.now(), requester.clone());
        let (subject, text) = (subject.to_owned(), text.to_owned());
        let queue = self.test.queue(QueueKind::Support);
        self.test.write(move |db| {
            let organisation = organisations::home_of(db, requester.id)?.expect("everybody has an organisation");
            let message =
                NewMessage::text(Channel::Web, requester.id, &requester.display_name(), &requester.address, &text);
            let new = NewTicket {
                address_confirmed: true,
                ..NewTicket::new(organisation, requester.id, queue, &subject, message)
            };
            let by = access::actor_of(db, requester.id)?;
            Ok(opening::open(db, new, &by, now)?.ticket)
        })
    }

    /// Another message of the ticket's requester, by mail.
    pub fn customer_message(&self, ticket: &Ticket, text: &str) {
        let (now, id, text) = (self.test.now(), ticket.id, text.to_owned());
        self.test.write(move |db| {
            let ticket = ticket::by_id(db, id)?;
            let requester = person::by_id(db, ticket.requester_id)?;
            let by = access::actor_of(db, requester.id)?;
            let message =
                NewMessage::text(Channel::Email, requester.id, &requester.display_name(), &requester.address, &text);
            messages::add_customer_message(db, &ticket, CustomerMessage::ordinary(message), &by, now).map(drop)
        });
    }

    /// A note among staff.
    pub fn note(&self, ticket: &Ticket, agent: PersonId, text: &str) {
        let (now, id, text) = (self.test.now(), ticket.id, text.to_owned());
        self.test.write(move |db| {
            let ticket = ticket::by_id(db, id)?;
            let by = access::actor_of(db, agent)?;
            let note = NewNote { words: Words::on_page(&text), attachments: Vec::new(), mail_id: None, ingest: None };
            messages::add_note(db, &ticket, note, &by, now).map(drop)
        });
    }
}

/// A member who sees what colleagues ask.
pub const SEES_ALL: Rights = Rights { sees_all_tickets: true, manages_organisation: false, grants_tracing: false };

/// Makes an organisation let its members see each other's tickets.
pub fn share_tickets(test: &TestApp, organisation: &Organisation) {
    let (organisation, now) = (organisation.clone(), test.now());
    test.write(move |db| {
        let information =
            Information { colleagues_see_tickets: true, ..Information::named(&organisation.name, Locale::Fr) };
        organisations::update(db, &organisation, organisation.version, &information, None, now)
    });
}
