//! Who is in a ticket: participants let in and removed, and the requester it belongs to.

use actix_web::web::{Data, Path};
use serde::Deserialize;

use crate::access::{self, Actor};
use crate::app::App;
use crate::db::DbConnection;
use crate::db::types::OrganisationId;
use crate::error::{Error, Result};
use crate::mail::address::EmailAddress;
use crate::people::person::{self, Origin, Person};
use crate::people::{memberships, organisations, suppression};
use crate::teams::mailboxes;
use crate::tickets::ticket::Ticket;
use crate::tickets::{moving, participants};
use crate::web::agent::changes::{NoForm, change};
use crate::web::forms::Form;
use crate::web::page_error::PageResult;
use crate::web::signed_in::Agent;

/// Somebody by their address.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ParticipantForm {
    participant: String,
}

/// `POST /tickets/{reference}/participants`
pub async fn add(app: Data<App>, agent: Agent, reference: Path<String>, form: Form<ParticipantForm>) -> PageResult {
    let typed = form.0.participant;
    let verb = move |db: &mut DbConnection, ticket: &Ticket, by: &Actor, now| {
        let person = by_typed_address(db, &typed, "participant", ticket, now)?;
        participants::approve(db, ticket, person.id, by, now)
    };
    change(&app, &agent, reference.into_inner(), None, "said-participant-added", verb).await
}

/// `POST /tickets/{reference}/participants/{person}/approval`
pub async fn approve(app: Data<App>, agent: Agent, path: Path<(String, String)>, _form: Form<NoForm>) -> PageResult {
    let (reference, handle) = path.into_inner();
    let verb = move |db: &mut DbConnection, ticket: &Ticket, by: &Actor, now| {
        let person = in_ticket(db, ticket, &handle)?;
        participants::approve(db, ticket, person.id, by, now)
    };
    change(&app, &agent, reference, None, "said-participant-added", verb).await
}

/// `POST /tickets/{reference}/participants/{person}/removal`
pub async fn remove(app: Data<App>, agent: Agent, path: Path<(String, String)>, _form: Form<NoForm>) -> PageResult {
    let (reference, handle) = path.into_inner();
    let verb = move |db: &mut DbConnection, ticket: &Ticket, by: &Actor, now| {
        let person = in_ticket(db, ticket, &handle)?;
        participants::remove(db, ticket, person.id, by, now)
    };
    change(&app, &agent, reference, None, "said-participant-removed", verb).await
}

/// `POST /tickets/{reference}/participants/{person}/mail`: mail to them arrives again, says who knows it (BN-05).
pub async fn mail_again(app: Data<App>, agent: Agent, path: Path<(String, String)>, _form: Form<NoForm>) -> PageResult {
    let (reference, handle) = path.into_inner();
    let verb = move |db: &mut DbConnection, ticket: &Ticket, by: &Actor, now| {
        if !access::can_work_on(by, &ticket.facts()) {
            return Err(Error::Forbidden);
        }
        let person = in_ticket(db, ticket, &handle)?;
        suppression::lift(db, person.id, by.person(), now)
    };
    change(&app, &agent, reference, None, "said-mailed-again", verb).await
}

/// Another requester by their address.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequesterForm {
    requester: String,
    version: i64,
}

/// `POST /tickets/{reference}/requester`
pub async fn set_requester(
    app: Data<App>,
    agent: Agent,
    reference: Path<String>,
    form: Form<RequesterForm>,
) -> PageResult {
    let RequesterForm { requester, version } = form.0;
    let verb = move |db: &mut DbConnection, ticket: &Ticket, by: &Actor, now| {
        let person = by_typed_address(db, &requester, "requester", ticket, now)?;
        let organisation = organisation_for(db, &person, ticket.organisation_id)?;
        moving::to_requester(db, ticket, person.id, organisation, by, now)
    };
    change(&app, &agent, reference.into_inner(), Some(version), "said-requester-changed", verb).await
}

/// The organisation of a ticket which `person` asks: the present one if they belong to it, else their first.
fn organisation_for(db: &mut DbConnection, person: &Person, present: OrganisationId) -> Result<OrganisationId> {
    let memberships = memberships::of_person(db, person.id)?;
    if memberships.iter().any(|membership| membership.organisation_id == present) {
        return Ok(present);
    }
    let home = organisations::home_of(db, person.id)?;
    home.ok_or_else(|| Error::invalid("requester", "requester-not-member"))
}

/// Who has that address, made known if nobody has; never a mailbox of ours, which would answer itself.
fn by_typed_address(
    db: &mut DbConnection,
    typed: &str,
    field: &'static str,
    ticket: &Ticket,
    now: crate::clock::UtcTime,
) -> Result<Person> {
    let address = EmailAddress::of_somebody(typed.trim());
    let address = address.ok_or_else(|| Error::invalid(field, "error-address"))?;
    if mailboxes::find_by_canonical(db, &address)?.is_some() {
        return Err(Error::invalid(field, "error-address-of-mailbox"));
    }
    person::find_or_create_by_address(db, &address, "", Origin::Staff, ticket.language.0, now)
}

fn in_ticket(db: &mut DbConnection, ticket: &Ticket, handle: &str) -> Result<Person> {
    let person = person::find_by_handle(db, handle)?.ok_or(Error::NotFound)?;
    participants::find(db, ticket.id, person.id)?.ok_or(Error::NotFound)?;
    Ok(person)
}
