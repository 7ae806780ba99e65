//! A request that came by telephone, fax or letter, logged by an agent (B1). First the address of who asks, so that the
//! second page knows their organisation, sites and environments. Who writes a letter may have none.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Query};
use askama::Template;
use chrono::{NaiveDateTime, TimeZone};
use serde::Deserialize;

use crate::app::App;
use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::types::OrganisationId;
use crate::error::{Error, FieldErrors, Result};
use crate::html::file_name::is_blank;
use crate::i18n::Texts;
use crate::mail::address::{EmailAddress, shown_address};
use crate::people::environments::{self, Environment};
use crate::people::memberships;
use crate::people::organisations::{self, Information, Organisation, OrganisationKind};
use crate::people::person::{self, Origin, Person};
use crate::people::sites::{self, Site};
use crate::secret::random_handle;
use crate::teams::mailboxes;
use crate::teams::queues::{self, Queue};
use crate::tickets::contacts::NewContact;
use crate::tickets::idempotency::{self, Claim};
use crate::tickets::messages::{Channel, NewMessage};
use crate::tickets::opening::{self, NewTicket};
use crate::tickets::priority::Priority;
use crate::web::agent::ticket::priority_key;
use crate::web::conversation::channel_key;
use crate::web::forms::Upload;
use crate::web::kept_files::{self, KeptFile};
use crate::web::navigation::Place;
use crate::web::page::{Choice, Page};
use crate::web::page_error::PageResult;
use crate::web::respond;
use crate::web::signed_in::Agent;

/// How dates are written in forms (HTML, `datetime-local`).
pub(super) const FORM_TIME: &str = "%Y-%m-%dT%H:%M";
/// The longest call that is believed: a day.
const LONGEST_CALL: i32 = 1_440;

/// Who asks.
#[derive(Deserialize)]
pub struct NewQuery {
    address: Option<String>,
    organisation: Option<String>,
    #[serde(default)]
    without_address: bool,
    /// Somebody known who has no address.
    person: Option<String>,
}

/// The whole form. Texts as typed, so that they can be shown again.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ByHandForm {
    address: String,
    /// They have no address; `person` says who it is if they are known.
    without_address: bool,
    person: String,
    /// Where a letter reaches somebody without an address.
    address_lines: String,
    name: String,
    organisation: String,
    channel: String,
    received_at: String,
    number: String,
    withheld: bool,
    duration: String,
    reached: String,
    queue: String,
    subject: String,
    text: String,
    priority: String,
    site: String,
    environment: String,
    is_private: bool,
    assign_to_me: bool,
    once: String,
    kept: Vec<String>,
}

/// What is known of who asks.
#[derive(Default)]
struct Known {
    person: Option<Person>,
    organisations: Vec<Organisation>,
    organisation: Option<Organisation>,
    sites: Vec<Site>,
    environments: Vec<Environment>,
    queues: Vec<Queue>,
}

#[derive(Template)]
#[template(path = "agent/new_address.html")]
struct AddressPage {
    p: Page,
    errors: FieldErrors,
    address: String,
}

#[derive(Template)]
#[template(path = "agent/new_ticket.html")]
struct NewTicketPage {
    p: Page,
    errors: FieldErrors,
    form: ByHandForm,
    known: Option<String>,
    organisation_name: String,
    organisations: Vec<Choice>,
    channels: Vec<Choice>,
    queues: Vec<Choice>,
    priorities: Vec<Choice>,
    sites: Vec<Choice>,
    environments: Vec<Choice>,
    kept: Vec<KeptFile>,
    once: String,
}

/// `GET /tickets/new`
pub async fn start(app: Data<App>, agent: Agent, query: Query<NewQuery>) -> PageResult {
    let NewQuery { address, organisation, without_address, person } = query.into_inner();
    let p = agent.page(&app, "nav-new-ticket", Place::NewTicket);
    if address.is_none() && !without_address {
        return respond::page(&AddressPage { p, errors: FieldErrors::default(), address: String::new() });
    }
    let typed = address.filter(|_| !without_address).unwrap_or_default();
    let now = app.clock.now();
    let local = now.to_datetime().with_timezone(&agent.signed_in.person.zone());
    let form = ByHandForm {
        address: typed.clone(),
        without_address,
        person: person.unwrap_or_default(),
        organisation: organisation.unwrap_or_default(),
        channel: if without_address { Channel::Letter } else { Channel::Telephone }.as_str().to_owned(),
        received_at: local.format(FORM_TIME).to_string(),
        reached: agent.signed_in.person.display_name(),
        priority: Priority::Normal.as_str().to_owned(),
        assign_to_me: true,
        ..ByHandForm::default()
    };
    match look_up(&app, &agent, &form).await {
        Ok(known) => {
            let number = known.person.as_ref().map(|person| person.telephone.clone()).unwrap_or_default();
            let form = ByHandForm { number, ..form };
            show(p, form, known, FieldErrors::default(), Vec::new(), StatusCode::OK)
        }
        Err(Error::Invalid(errors)) => respond::form_again(&AddressPage { p, errors, address: typed }),
        Err(other) => Err(other.into()),
    }
}

/// `POST /tickets`
pub async fn create(app: Data<App>, agent: Agent, upload: Upload<ByHandForm>) -> PageResult {
    let Upload { form, files } = upload;
    let me = agent.signed_in.person.clone();
    require_queue(&app, &agent, &form.queue).await?;
    let files = kept_files::gather(&app, &me.handle, &form.kept, files).await?;
    let (actor, now, zone) = (agent.actor().clone(), app.clock.now(), me.zone());
    let (asked, stored) = (form.clone(), files.clone());
    let outcome = app
        .database
        .write(move |db| {
            let key = format!("by-hand:{}", asked.once);
            if !asked.once.is_empty()
                && let Claim::Done { body, .. } = idempotency::claim(db, me.id, &key, key.as_bytes(), now)?
            {
                return Ok(body);
            }
            let mut new = read_form(db, &asked, &me, zone, now)?;
            new.message.attachments = stored.clone();
            let opened = opening::open(db, new, &actor, now)?;
            idempotency::complete(db, me.id, &key, 303, &opened.ticket.reference)?;
            Ok(opened.ticket.reference)
        })
        .await;
    match outcome {
        Ok(reference) => Ok(respond::redirect_saying(&format!("/tickets/{reference}"), "said-ticket-opened")),
        Err(Error::Invalid(errors)) => {
            let p = agent.page(&app, "nav-new-ticket", Place::NewTicket);
            let kept = kept_files::keep(&app, &agent.signed_in.person.handle, &files);
            match look_up(&app, &agent, &form).await {
                Ok(known) => show(p, form, known, errors, kept, StatusCode::UNPROCESSABLE_ENTITY),
                Err(Error::Invalid(errors)) => respond::form_again(&AddressPage { p, errors, address: form.address }),
                Err(other) => Err(other.into()),
            }
        }
        Err(other) => Err(other.into()),
    }
}

/// Before files are stored: who does not work in the queue stores nothing. A queue that does not exist is the form's matter.
async fn require_queue(app: &App, agent: &Agent, queue: &str) -> Result<()> {
    let queue = queue.to_owned();
    let found = app.database.read(move |db| queues::find_by_handle(db, &queue)).await?;
    if found.is_none_or(|queue| agent.staff.works_in(queue.id)) { Ok(()) } else { Err(Error::Forbidden) }
}

async fn look_up(app: &App, agent: &Agent, form: &ByHandForm) -> Result<Known> {
    let (asked, organisation) = (form.clone(), form.organisation.clone());
    let staff = agent.staff.clone();
    app.database
        .read(move |db| {
            let address = requester_address(db, &asked)?;
            let mut queues = queues::all(db)?;
            queues.retain(|queue| staff.works_in(queue.id));
            let Some(person) = find_known(db, &asked, address.as_ref())? else {
                return Ok(Known { queues, ..Known::default() });
            };
            let mut of_person = Vec::new();
            for membership in memberships::of_person(db, person.id)? {
                of_person.push(organisations::by_id(db, membership.organisation_id)?);
            }
            let chosen = of_person.iter().find(|known| known.handle == organisation).or(of_person.first()).cloned();
            let (sites, environments) = match &chosen {
                Some(chosen) => (sites::of_organisation(db, chosen.id)?, environments::of_organisation(db, chosen.id)?),
                None => (Vec::new(), Vec::new()),
            };
            Ok(Known {
                person: Some(person),
                organisations: of_person,
                organisation: chosen,
                sites,
                environments,
                queues,
            })
        })
        .await
}

fn parse_address(db: &mut DbConnection, typed: &str) -> Result<EmailAddress> {
    let address = EmailAddress::of_somebody(typed.trim());
    let address = address.ok_or_else(|| Error::invalid("address", "error-address"))?;
    if mailboxes::find_by_canonical(db, &address)?.is_some() {
        return Err(Error::invalid("address", "error-address-of-mailbox"));
    }
    Ok(address)
}

/// The address that was given; nothing for somebody who has none.
fn requester_address(db: &mut DbConnection, form: &ByHandForm) -> Result<Option<EmailAddress>> {
    if form.without_address { Ok(None) } else { parse_address(db, &form.address).map(Some) }
}

/// Who asks, if they are known: by their address, or as one of those who have none.
fn find_known(db: &mut DbConnection, form: &ByHandForm, address: Option<&EmailAddress>) -> Result<Option<Person>> {
    match (address, form.person.as_str()) {
        (Some(address), _) => person::find_by_address(db, address),
        (None, "") => Ok(None),
        (None, handle) => {
            let known = person::find_by_handle(db, handle)?;
            known.filter(|known| shown_address(&known.address).is_empty()).ok_or(Error::NotFound).map(Some)
        }
    }
}

/// Makes somebody known who has no address, with where a letter reaches them.
fn know_without_address(db: &mut DbConnection, form: &ByHandForm, me: &Person, now: UtcTime) -> Result<Person> {
    let locale = me.language.0;
    let address = EmailAddress::nowhere(&random_handle()).ok_or_else(|| Error::internal("a name that is none"))?;
    let person = person::find_or_create_by_address(db, &address, &form.name, Origin::Staff, locale, now)?;
    if !is_blank(&form.address_lines)
        && let Some(home) = organisations::home_of(db, person.id)?
    {
        let own = organisations::by_id(db, home)?;
        let information =
            Information { address_lines: form.address_lines.clone(), ..Information::named(&own.name, locale) };
        organisations::update(db, &own, own.version, &information, Some(me.id), now)?;
    }
    Ok(person)
}

fn read_form(
    db: &mut DbConnection,
    form: &ByHandForm,
    me: &Person,
    zone: chrono_tz::Tz,
    now: UtcTime,
) -> Result<NewTicket> {
    let mut errors = FieldErrors::default();
    let address = requester_address(db, form)?;
    let known = find_known(db, form, address.as_ref())?;
    if known.is_none() && address.is_none() && is_blank(&form.name) {
        errors.add("name", "error-mandatory");
    }
    let channel = Channel::parse(&form.channel)
        .filter(|channel| matches!(channel, Channel::Telephone | Channel::Fax | Channel::Letter));
    let channel = channel.unwrap_or_else(|| {
        errors.add("channel", "error-mandatory");
        Channel::Telephone
    });
    let received_at = parse_time(&form.received_at, zone).ok().filter(|time| *time <= now).unwrap_or_else(|| {
        errors.add("received_at", "received-at-invalid");
        now
    });
    let duration = match form.duration.trim() {
        "" => None,
        text => match text.parse::<i32>() {
            Ok(minutes) if (0..=LONGEST_CALL).contains(&minutes) => Some(minutes),
            _ => {
                errors.add("duration", "duration-invalid");
                None
            }
        },
    };
    let queue = queues::find_by_handle(db, &form.queue)?;
    if queue.is_none() {
        errors.add("queue", "error-mandatory");
    }
    let priority = Priority::parse(&form.priority).unwrap_or(Priority::Normal);
    if is_blank(&form.subject) {
        errors.add("subject", "subject-required");
    }
    if is_blank(&form.text) {
        errors.add("text", "text-required");
    }
    let Some(queue) = queue.filter(|_| errors.is_empty()) else { return Err(Error::Invalid(errors)) };
    let person = match (known, address) {
        (Some(person), _) => person,
        (None, Some(address)) => {
            let locale = me.language.0;
            person::find_or_create_by_address(db, &address, &form.name, Origin::Staff, locale, now)?
        }
        (None, None) => know_without_address(db, form, me, now)?,
    };
    let organisation = organisation_of(db, &person, &form.organisation)?;
    let site = match form.site.as_str() {
        "" => None,
        handle => sites::find(db, organisation, handle)?.map(|site| site.id),
    };
    let environment = match form.environment.as_str() {
        "" => None,
        handle => environments::find(db, organisation, handle)?.map(|environment| environment.id),
    };
    let name = person.display_name();
    let message = NewMessage::text(channel, person.id, &name, &person.address, &form.text);
    let number = form.number.trim();
    let new = NewTicket::new(organisation, person.id, queue.id, &form.subject, message);
    Ok(NewTicket {
        mailbox: mailboxes::find_for_queue(db, queue.id)?.map(|mailbox| mailbox.id),
        priority,
        language: person.language.0,
        is_private: form.is_private,
        site,
        environment,
        // The agent spoke with them: mails with text may go where they said.
        address_confirmed: true,
        assignee: form.assign_to_me.then_some(me.id),
        contact: Some(NewContact {
            received_at,
            telephone: (!form.withheld && !number.is_empty()).then(|| number.to_owned()),
            duration_minutes: duration.filter(|_| channel == Channel::Telephone),
            reached: if channel == Channel::Telephone { form.reached.clone() } else { String::new() },
        }),
        ..new
    })
}

fn organisation_of(db: &mut DbConnection, person: &Person, handle: &str) -> Result<OrganisationId> {
    let chosen = match handle {
        "" => None,
        handle => organisations::find_by_handle(db, handle)?.map(|organisation| organisation.id),
    };
    let memberships = memberships::of_person(db, person.id)?;
    let is_member = |id: OrganisationId| memberships.iter().any(|membership| membership.organisation_id == id);
    match chosen.filter(|id| is_member(*id)) {
        Some(id) => Ok(id),
        None => organisations::home_of(db, person.id)?
            .ok_or_else(|| Error::internal("somebody known belongs to no organisation")),
    }
}

/// The time that a field of a form holds, by the clocks of `zone`.
pub(super) fn parse_time(text: &str, zone: chrono_tz::Tz) -> Result<UtcTime, NoTime> {
    let local = NaiveDateTime::parse_from_str(text.trim(), FORM_TIME).map_err(|_| NoTime::Unreadable)?;
    // An hour that comes twice is the first.
    let time = zone.from_local_datetime(&local).earliest().ok_or(NoTime::Skipped)?;
    Ok(UtcTime::from_seconds(time.timestamp()))
}

/// Why a field holds no time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoTime {
    Unreadable,
    /// The clocks are put forward over it on that day.
    Skipped,
}

fn show(
    p: Page,
    form: ByHandForm,
    known: Known,
    errors: FieldErrors,
    kept: Vec<KeptFile>,
    status: StatusCode,
) -> PageResult {
    let t = p.t;
    let name = |organisation: &Organisation| organisation_name(&t, organisation);
    let chosen = known.organisation.as_ref();
    let page = NewTicketPage {
        known: known.person.as_ref().map(Person::display_name),
        organisation_name: chosen.map(name).unwrap_or_default(),
        organisations: if known.organisations.len() > 1 {
            Choice::list(
                known.organisations.iter().map(|known| (known.handle.clone(), name(known))),
                chosen.map_or("", |chosen| &chosen.handle),
            )
        } else {
            Vec::new()
        },
        channels: Choice::list(
            [Channel::Telephone, Channel::Fax, Channel::Letter].map(|of| (of.as_str(), t.say(channel_key(of)))),
            &form.channel,
        ),
        queues: Choice::list(
            known.queues.iter().map(|queue| (queue.handle.clone(), queue.name(t.locale).to_owned())),
            &form.queue,
        ),
        priorities: Choice::list(
            Priority::ALL.iter().map(|of| (of.as_str(), t.say(priority_key(*of)))),
            &form.priority,
        ),
        sites: Choice::list(known.sites.iter().map(|site| (site.handle.clone(), site.name.clone())), &form.site),
        environments: Choice::list(
            known.environments.iter().map(|known| (known.handle.clone(), known.name.clone())),
            &form.environment,
        ),
        kept,
        once: random_handle(),
        p,
        errors,
        form,
    };
    respond::page_with(&page, status)
}

fn organisation_name(t: &Texts, organisation: &Organisation) -> String {
    if organisation.kind == OrganisationKind::Individual {
        t.say("organisation-none")
    } else {
        organisation.name.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_in_a_form_is_the_agent_s_local_time() {
        let paris = chrono_tz::Europe::Paris;
        let time = parse_time("2026-11-23T09:30", paris).unwrap();
        assert_eq!(time.rfc3339(), "2026-11-23T08:30:00Z");
        assert_eq!(parse_time("2026-03-29T02:30", paris), Err(NoTime::Skipped));
        assert_eq!(parse_time("2026-10-25T02:30", paris).unwrap().rfc3339(), "2026-10-25T00:30:00Z", "it comes twice");
        assert_eq!(parse_time("yesterday", paris), Err(NoTime::Unreadable));
    }
}
