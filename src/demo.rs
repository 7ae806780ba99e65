//! The demonstration: a believable French software vendor's desk, made through the same verbs as everything else. Every
//! start on an empty folder makes the same desk, told in days before the present.

mod cast;
mod stories;

use chrono::TimeDelta;

use crate::access::{self, Actor};
use crate::app::App;
use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::types::{EnvironmentId, OrganisationId, QueueId, SiteId, TicketId};
use crate::error::{Error, FieldErrors, Result};

use crate::i18n::Locale;
use crate::mail::address::EmailAddress;
use crate::people::environments::{self, Component, ComponentKind, EnvironmentDescription};
use crate::people::memberships::Rights;
use crate::people::organisations::{self, Contract, Information, OrganisationStatus};
use crate::people::passwords::{self, StoredHash};
use crate::people::person::{self, NewPerson, Origin};
use crate::people::roles::{self, BuiltinRole};
use crate::people::setup::{self, SetupForm};
use crate::people::sites::{self, SiteDescription};
use crate::people::{Person, staff};
use crate::secret::Secret;
use crate::teams::queues::QueueKind;
use crate::teams::{self, members, queues};
use crate::tickets::connection_context::ConnectionContext;
use crate::tickets::messages::{self, Channel, CustomerMessage, NewMessage, NewNote, NewReply, ReplyOutcome, Words};
use crate::tickets::opening::{self, NewTicket};
use crate::tickets::priority::Priority;
use crate::tickets::status::{self, Status};
use crate::tickets::{assignment, tags, ticket};
use cast::{Member, Role};
use stories::{Ending, Story};

/// The password of everybody in the demonstration; the banner of every page tells it.
pub const PASSWORD: &str = "accord-demonstration";
/// How many tickets the desk has.
const TICKETS: usize = 200;
/// How long ago the first of them was opened.
const DAYS: i64 = 75;

/// Fills the desk, unless somebody lives in it already. Gives whether it did.
pub fn fill(app: &App) -> Result<bool> {
    let needed = app.database.read_now(setup::is_needed)?;
    if !needed {
        return Ok(false);
    }
    let hash = passwords::hash(&Secret::new(PASSWORD.to_owned()))?;
    let now = app.clock.now();
    app.database.write_now(move |db| make_installation(db, &hash, now))?;
    // In portions, so that the first page does not wait for the last ticket.
    for first in (0..TICKETS).step_by(50) {
        app.database.write_now(move |db| {
            let desk = Desk::load(db)?;
            for number in first..(first + 50).min(TICKETS) {
                tell(db, &desk, number, now)?;
            }
            Ok(())
        })?;
    }
    Ok(true)
}

fn make_installation(db: &mut DbConnection, hash: &StoredHash, now: UtcTime) -> Result<()> {
    let begin = now.minus(TimeDelta::days(DAYS + 30));
    let mut errors = FieldErrors::default();
    let administrator = cast::ADMINISTRATOR;
    let form = SetupForm {
        operator_name: cast::OPERATOR.to_owned(),
        first_name: administrator.first_name.to_owned(),
        last_name: administrator.last_name.to_owned(),
        email: administrator.address.to_owned(),
        support_address: cast::SUPPORT_ADDRESS.to_owned(),
        time_zone: "Europe/Paris".to_owned(),
    };
    let setup = form.check(&mut errors, Locale::Fr, begin).ok_or(Error::Invalid(errors))?;
    let first = setup::create_first(db, &setup, begin)?;
    teams::defaults::create_defaults(db, &setup.support_address, Locale::Fr, begin)?;
    let operator = organisations::find_operator(db)?.ok_or_else(|| Error::internal("the operator is missing"))?;
    passwords::set(db, first, hash, begin)?;
    staff::accept_undertaking(db, first, begin)?;
    for member in cast::STAFF {
        let person = make_person(db, member, operator, begin)?;
        passwords::set(db, person.id, hash, begin)?;
        let role = match member.role {
            Role::Supervisor => BuiltinRole::Supervisor,
            Role::PrivacyOfficer => BuiltinRole::PrivacyOfficer,
            _ => BuiltinRole::Agent,
        };
        let role = roles::builtin(db, role)?;
        staff::set_roles(db, person.id, &[role], Some(first), begin)?;
        staff::accept_undertaking(db, person.id, begin)?;
        for kind in member.queues {
            let queue = queue_of(db, *kind)?;
            let queue = queues::by_id(db, queue)?;
            members::add(db, &queue, person.id, Some(first), begin)?;
        }
    }
    for customer in cast::ORGANISATIONS {
        let information = Information {
            address_lines: customer.address.to_owned(),
            postal_code: customer.postal_code.to_owned(),
            city: customer.city.to_owned(),
            country: customer.country.to_owned(),
            vat_number: customer.vat_number.to_owned(),
            telephone: customer.telephone.to_owned(),
            ..Information::named(customer.name, customer.language)
        };
        let contract = Contract {
            status: OrganisationStatus::Customer,
            started_on: Some(begin.date() - TimeDelta::days(400)),
            ..Contract::NONE
        };
        let organisation = organisations::create(db, &information, contract, Some(first), begin)?;
        for member in customer.members {
            let person = make_person(db, member, organisation.id, begin)?;
            passwords::set(db, person.id, hash, begin)?;
        }
        for site in customer.sites {
            let description = SiteDescription {
                name: site.name.to_owned(),
                address: site.address.to_owned(),
                person_in_charge: site.person_in_charge.to_owned(),
                telephone: site.telephone.to_owned(),
            };
            let made = sites::create(db, organisation.id, &description, begin)?;
            let part = |kind, parts: &[(&str, &str)]| -> Vec<Component> {
                parts
                    .iter()
                    .map(|(name, version)| Component { kind, name: (*name).to_owned(), version: (*version).to_owned() })
                    .collect()
            };
            let mut components = part(ComponentKind::Product, site.products);
            components.extend(part(ComponentKind::Component, site.components));
            let environment = EnvironmentDescription {
                name: site.environment.to_owned(),
                site: made.handle,
                operating_system: site.operating_system.to_owned(),
                remarks: String::new(),
                components,
            };
            environments::create(db, organisation.id, &environment, begin)?;
        }
    }
    Ok(())
}

fn make_person(db: &mut DbConnection, member: &Member, home: OrganisationId, now: UtcTime) -> Result<Person> {
    let address =
        EmailAddress::parse(member.address).ok_or_else(|| Error::internal("an address of the demo is wrong"))?;
    let new = NewPerson {
        first_name: member.first_name.to_owned(),
        last_name: member.last_name.to_owned(),
        job_title: member.job_title.to_owned(),
        telephone: member.telephone.to_owned(),
        address_confirmed_at: Some(now),
        ..NewPerson::at(address, member.language, Origin::Staff)
    };
    let manages = member.role == Role::Manager;
    let rights = Rights { sees_all_tickets: manages, manages_organisation: manages, grants_tracing: manages };
    person::create(db, &new, Some((home, rights)), None, now)
}

fn queue_of(db: &mut DbConnection, kind: QueueKind) -> Result<QueueId> {
    let queue = queues::find_by_kind(db, kind)?;
    queue.map(|queue| queue.id).ok_or_else(|| Error::internal("a queue of the demo is missing"))
}

/// The people and places that stories happen to.
struct Desk {
    agents: Vec<(Person, Actor)>,
    customers: Vec<Customer>,
}

struct Customer {
    person: Person,
    organisation: OrganisationId,
    site: Option<SiteId>,
    environment: Option<EnvironmentId>,
    product: String,
}

impl Desk {
    fn load(db: &mut DbConnection) -> Result<Desk> {
        let mut agents = Vec::new();
        for member in cast::STAFF.iter().filter(|member| member.role == Role::Agent) {
            let person = by_address(db, member.address)?;
            let actor = access::actor_of(db, person.id)?;
            agents.push((person, actor));
        }
        let mut customers = Vec::new();
        for organisation in cast::ORGANISATIONS {
            for (index, member) in organisation.members.iter().enumerate() {
                let person = by_address(db, member.address)?;
                let home = organisations::home_of(db, person.id)?
                    .ok_or_else(|| Error::internal("somebody of the demo has no organisation"))?;
                let places = sites::of_organisation(db, home)?;
                let set_ups = environments::of_organisation(db, home)?;
                let site = places.get(index % places.len().max(1));
                let environment = set_ups.get(index % set_ups.len().max(1));
                let product = environment
                    .and_then(|environment| environment.of_kind(ComponentKind::Product).next())
                    .map(|product| format!("{} {}", product.name, product.version))
                    .unwrap_or_default();
                customers.push(Customer {
                    person,
                    organisation: home,
                    site: site.map(|site| site.id),
                    environment: environment.map(|environment| environment.id),
                    product,
                });
            }
        }
        Ok(Desk { agents, customers })
    }
}

fn by_address(db: &mut DbConnection, address: &str) -> Result<Person> {
    let address = EmailAddress::parse(address).ok_or_else(|| Error::internal("an address of the demo is wrong"))?;
    person::find_by_address(db, &address)?.ok_or_else(|| Error::internal("somebody of the demo is missing"))
}

/// Tells one story as it happened.
fn tell(db: &mut DbConnection, desk: &Desk, number: usize, now: UtcTime) -> Result<()> {
    // Steps that share no factor with the lengths, so that people, stories and hours mix.
    let customer = &desk.customers[(number * 7 + number / 24) % desk.customers.len()];
    let in_language: Vec<&Story> =
        stories::ALL.iter().filter(|story| story.language == customer.person.language.0).collect();
    let story = in_language[(number * 5 + number / 9) % in_language.len()];
    let (agent, agent_actor) = &desk.agents[(number * 3 + number / 11) % desk.agents.len()];
    let age =
        TimeDelta::days(DAYS) * i32::try_from(TICKETS - number).unwrap_or(0) / i32::try_from(TICKETS).unwrap_or(1);
    let begin = now.minus(age).plus(TimeDelta::minutes((number as i64 * 37) % 300));
    let begin = begin.min(now.minus(TimeDelta::minutes(20)));
    let at = |minutes: i64| begin.plus(TimeDelta::minutes(minutes)).min(now);

    let by_mail = !number.is_multiple_of(3);
    let channel = if by_mail { Channel::Email } else { Channel::Web };
    let name = customer.person.display_name();
    let fill = |text: &str| {
        text.replace("{product}", &customer.product)
            .replace("{agent}", &agent.first_name)
            .replace("{customer}", &customer.person.first_name)
            .replace("{number}", &(4_100 + number * 13).to_string())
    };
    let say = |text: &str| {
        let text = format!("{}\n\n{}", fill(text), name);
        NewMessage::text(channel, customer.person.id, &name, &customer.person.address, &text)
    };
    let mut message = say(story.question);
    if !by_mail {
        message.context = Some(context(number, customer.person.language.0));
    }
    let queue = queue_of(db, story.queue)?;
    let mut new = NewTicket::new(customer.organisation, customer.person.id, queue, &fill(story.subject), message);
    new.language = customer.person.language.0;
    new.address_confirmed = true;
    new.site = if story.queue == QueueKind::Intervention { customer.site } else { None };
    new.environment = customer.environment.filter(|_| story.queue == QueueKind::Support);
    new.priority = if number.is_multiple_of(17) { Priority::Urgent } else { story.priority };
    let opened = opening::open(db, new, &Actor::System, at(0))?;
    let id = opened.ticket.id;
    for tag in story.tags {
        let current = ticket::by_id(db, id)?;
        tags::add(db, &current, tag, &Actor::System, at(1))?;
    }

    // The last ones have only just come in; older ones ended, most of them.
    let recent = number + 28 >= TICKETS;
    if recent && number.is_multiple_of(3) {
        return Ok(());
    }
    let current = ticket::by_id(db, id)?;
    assignment::assign(db, &current, Some(agent.id), &Actor::System, at(12))?;
    if let Some(note) = story.note {
        let note = NewNote { words: Words::on_page(&fill(note)), attachments: Vec::new(), mail_id: None, ingest: None };
        let current = ticket::by_id(db, id)?;
        messages::add_note(db, &current, note, agent_actor, at(25))?;
    }
    if recent && number % 3 == 1 {
        return Ok(());
    }
    reply(db, id, &fill(story.answer), (agent_actor, &agent.display_name()), Status::WaitingForCustomer, at(40))?;
    if recent && number.is_multiple_of(2) {
        return Ok(());
    }
    match story.ending {
        Ending::Thanks(thanks) => {
            let current = ticket::by_id(db, id)?;
            let thanks = CustomerMessage::ordinary(say(thanks));
            let writer = access::actor_of(db, customer.person.id)?;
            messages::add_customer_message(db, &current, thanks, &writer, at(190))?;
            if !recent {
                let current = ticket::by_id(db, id)?;
                status::set(db, &current, Status::Closed, agent_actor, at(240))?;
            }
        }
        Ending::MoreToSay(question, answer) => {
            let current = ticket::by_id(db, id)?;
            let question = CustomerMessage::ordinary(say(question));
            let writer = access::actor_of(db, customer.person.id)?;
            messages::add_customer_message(db, &current, question, &writer, at(300))?;
            if !recent {
                let after = if number.is_multiple_of(9) { Status::WaitingForCustomer } else { Status::Closed };
                reply(db, id, &fill(answer), (agent_actor, &agent.display_name()), after, at(420))?;
            }
        }
        Ending::Silence => {
            if !recent && !number.is_multiple_of(6) {
                let current = ticket::by_id(db, id)?;
                status::set(db, &current, Status::Closed, agent_actor, at(10_000))?;
            }
        }
    }
    Ok(())
}

fn reply(
    db: &mut DbConnection,
    id: TicketId,
    text: &str,
    by: (&Actor, &str),
    status: Status,
    at: UtcTime,
) -> Result<()> {
    let current = ticket::by_id(db, id)?;
    let text = format!("{text}\n\n{}", by.1);
    let reply = NewReply {
        words: Words::on_page(&text),
        attachments: Vec::new(),
        seen: current.message_count,
        status,
        mail_id: None,
        ingest: None,
    };
    match messages::add_reply(db, &current, reply, by.0, at)? {
        ReplyOutcome::Sent(_) => Ok(()),
        ReplyOutcome::Stale(_) => Err(Error::internal("the demo answered over news")),
    }
}

fn context(number: usize, language: Locale) -> ConnectionContext {
    let browsers = [("Firefox", "145.0", "Windows 11"), ("Chrome", "142.0", "Windows 10"), ("Safari", "19.1", "macOS")];
    let (browser, version, system) = browsers[number % browsers.len()];
    ConnectionContext {
        // 198.51.100.0/24 is reserved for documentation (RFC 5737).
        ip_address: format!("198.51.100.{}", number % 250 + 1),
        preferred_language: if language == Locale::Fr { "fr-FR" } else { "en-GB" }.to_owned(),
        browser: browser.to_owned(),
        browser_version: version.to_owned(),
        operating_system: system.to_owned(),
        requested_url: "/requests/new".to_owned(),
        time_zone: if language == Locale::Fr { "Europe/Paris" } else { "Europe/London" }.to_owned(),
    }
}
