//! Tickets for programs: listed by when they last changed, read, opened.

use actix_web::web::Path;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::access::Actor;
use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::types::{OrganisationId, PersonId};
use crate::error::{Error, FieldErrors, Result};
use crate::i18n::{Locale, Message};
use crate::mail::address::{EmailAddress, shown_address};
use crate::people::api_tokens::Scope;
use crate::people::person::{self, Origin, Person};
use crate::people::{environments, memberships, organisations, sites};
use crate::teams::mailboxes;
use crate::teams::queues::{self, QueueKind};
use crate::tickets::messages::{Channel, NewMessage};
use crate::tickets::opening::{self, NewTicket};
use crate::tickets::overview::{self, Filter, Overview};
use crate::tickets::priority::Priority;
use crate::tickets::status::Status;
use crate::tickets::{Ticket, tags};
use crate::web::api::answers::{created, ok, once_only};
use crate::web::api::authenticated::{Acting, Caller};
use crate::web::api::errors::{ApiResult, Failure};
use crate::web::api::input::{Body, Parameters, Text, cursor, page_size};

/// A ticket. Fields for staff are left out for customers.
#[derive(Debug, Serialize, ToSchema)]
pub struct TicketJson {
    reference: String,
    subject: String,
    /// `waiting_for_us`, `waiting_for_customer` or `closed`.
    #[schema(value_type = String)]
    status: Status,
    /// `low`, `normal`, `high` or `urgent`.
    #[schema(value_type = String)]
    priority: Priority,
    /// How it came: `web`, `email`, `telephone`, `fax`, `letter` or `api`.
    #[schema(value_type = String)]
    channel: Channel,
    /// `fr` or `en`.
    language: &'static str,
    /// Hidden from colleagues of the requester.
    private: bool,
    queue: QueueJson,
    organisation: Named,
    requester: RequesterJson,
    /// For staff.
    #[serde(skip_serializing_if = "Option::is_none")]
    assignee: Option<Named>,
    #[serde(skip_serializing_if = "Option::is_none")]
    site: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    environment: Option<String>,
    /// For staff, when one ticket is read.
    #[serde(skip_serializing_if = "Option::is_none")]
    tags: Option<Vec<String>>,
    #[schema(value_type = String, format = DateTime)]
    created_at: UtcTime,
    /// When it last changed; for customers, when something was last said that they can read.
    #[schema(value_type = String, format = DateTime)]
    updated_at: UtcTime,
    /// Since when it stands where it stands.
    #[schema(value_type = String, format = DateTime)]
    waiting_since: UtcTime,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    first_answered_at: Option<UtcTime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    closed_at: Option<UtcTime>,
    /// For staff: how many messages there are, notes included. A reply says how many were seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    message_count: Option<i32>,
}

/// Something with a public name.
#[derive(Debug, Serialize, ToSchema)]
pub struct Named {
    pub handle: String,
    pub name: String,
}

/// The queue of a ticket.
#[derive(Debug, Serialize, ToSchema)]
pub struct QueueJson {
    handle: String,
    /// `support`, `sales`, `general`, `billing`, `complaint`, `privacy` or `intervention`.
    kind: String,
}

/// Who asks.
#[derive(Debug, Serialize, ToSchema)]
pub struct RequesterJson {
    handle: String,
    name: String,
    address: String,
}

/// A page of tickets, the latest change first.
#[derive(Debug, Serialize, ToSchema)]
pub struct TicketList {
    items: Vec<TicketJson>,
    /// The `cursor` of the next page, if there is one.
    next: Option<String>,
}

/// What a list of tickets is narrowed to.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct TicketQuery {
    /// `waiting_for_us`, `waiting_for_customer` or `closed`; may be given several times.
    #[serde(default)]
    #[param(value_type = Vec<String>)]
    status: Vec<Status>,
    /// A queue's handle or kind.
    queue: Option<String>,
    /// An organisation's handle.
    organisation: Option<String>,
    /// A person's handle.
    requester: Option<String>,
    /// Only what changed at this time or later (RFC 3339).
    #[param(value_type = Option<String>)]
    updated_since: Option<UtcTime>,
    /// Where the page begins: `next` of the page before.
    cursor: Option<String>,
    /// 1 to 100; 25 by default.
    limit: Option<i64>,
}

/// A ticket to be opened.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTicketJson {
    #[serde(default)]
    #[schema(value_type = String)]
    subject: Text,
    #[serde(default)]
    #[schema(value_type = String)]
    text: Text,
    /// A queue's handle or kind; by default the one that the secret is limited to, or else `support`.
    #[schema(value_type = Option<String>)]
    queue: Option<Text>,
    /// Who asks. Staff say it; customers ask for themselves.
    requester: Option<NewRequester>,
    /// The organisation's handle; by default where the requester is at home.
    #[schema(value_type = Option<String>)]
    organisation: Option<Text>,
    /// For staff: `low`, `normal`, `high` or `urgent`.
    #[schema(value_type = Option<String>)]
    priority: Option<Priority>,
    /// `fr` or `en`; the requester's by default.
    #[schema(value_type = Option<String>)]
    language: Option<Text>,
    /// Hidden from colleagues of the requester.
    #[serde(default)]
    private: bool,
    /// A site's handle; an intervention needs one.
    #[schema(value_type = Option<String>)]
    site: Option<Text>,
    /// An environment's handle.
    #[schema(value_type = Option<String>)]
    environment: Option<Text>,
    /// For staff.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    tags: Vec<Text>,
}

/// Somebody by their handle, or by an address that need not be known yet.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRequester {
    #[schema(value_type = Option<String>)]
    handle: Option<Text>,
    #[schema(value_type = Option<String>)]
    address: Option<Text>,
    #[serde(default)]
    #[schema(value_type = String)]
    name: Text,
}

/// Lists the tickets that the token's person may see, the latest change first.
#[utoipa::path(
    get, path = "/api/v1/tickets", tag = "tickets", operation_id = "list-tickets", params(TicketQuery),
    security(("token" = ["tickets:read"])),
    responses(
        (status = 200, body = TicketList), (status = 400, body = Failure),
        (status = 401, body = Failure), (status = 403, body = Failure),
    ),
)]
pub async fn list(caller: Caller, query: Parameters<TicketQuery>) -> ApiResult {
    let Parameters(query) = query;
    let (size, after) = (page_size(query.limit)?, cursor(query.cursor.as_deref())?);
    let list = caller
        .read(Scope::TicketsRead, move |db, acting| {
            let Some(filter) = filter(db, acting, &query)? else {
                return Ok(TicketList { items: Vec::new(), next: None });
            };
            let page = overview::page(db, &acting.actor, &filter, after, size)?;
            let next = page.next.map(|next| next.to_text());
            let items = page.rows.into_iter().map(|row| ticket_json(row, &acting.actor, None)).collect();
            Ok(TicketList { items, next })
        })
        .await?;
    ok(&list)
}

/// Opens a ticket.
///
/// With an `Idempotency-Key` the ticket is opened once, however often the request is sent.
#[utoipa::path(
    post, path = "/api/v1/tickets", tag = "tickets", operation_id = "open-ticket",
    params(("Idempotency-Key" = Option<String>, Header, description = "Recognises the request for two days")),
    request_body = NewTicketJson,
    security(("token" = ["tickets:write"])),
    responses(
        (status = 201, body = TicketJson), (status = 400, body = Failure), (status = 401, body = Failure),
        (status = 403, body = Failure), (status = 415, body = Failure), (status = 422, body = Failure),
    ),
)]
pub async fn create(caller: Caller, body: Body<NewTicketJson>) -> ApiResult {
    let Body { value: new, once } = body;
    let made = caller
        .write(Scope::TicketsWrite, move |db, acting| {
            once_only(db, acting, once.as_ref(), |db| {
                let ticket = open(db, acting, &new)?;
                let location = format!("/api/v1/tickets/{}", ticket.reference);
                Ok((location, one(db, &ticket, &acting.actor)?))
            })
        })
        .await?;
    created(made)
}

/// Reads a ticket.
#[utoipa::path(
    get, path = "/api/v1/tickets/{reference}", tag = "tickets", operation_id = "read-ticket",
    params(("reference" = String, Path, description = "As in ACC-7Q4KD2WM9K")),
    security(("token" = ["tickets:read"])),
    responses(
        (status = 200, body = TicketJson), (status = 401, body = Failure), (status = 403, body = Failure),
        (status = 404, body = Failure),
    ),
)]
pub async fn show(caller: Caller, reference: Path<String>) -> ApiResult {
    let reference = reference.into_inner();
    let ticket = caller
        .read(Scope::TicketsRead, move |db, acting| {
            let ticket = acting.ticket(db, &reference)?;
            one(db, &ticket, &acting.actor)
        })
        .await?;
    ok(&ticket)
}

fn one(db: &mut DbConnection, ticket: &Ticket, actor: &Actor) -> Result<TicketJson> {
    let tags = if actor.is_staff() { Some(tags::of_ticket(db, ticket)?) } else { None };
    Ok(ticket_json(overview::of_ticket(db, ticket.id)?, actor, tags))
}

fn ticket_json(ticket: Overview, actor: &Actor, tags: Option<Vec<String>>) -> TicketJson {
    let for_staff = actor.is_staff();
    TicketJson {
        reference: ticket.reference,
        subject: ticket.subject,
        status: ticket.status,
        priority: ticket.priority,
        channel: ticket.channel,
        language: ticket.language.0.code(),
        private: ticket.is_private,
        queue: QueueJson { handle: ticket.queue, kind: ticket.queue_kind },
        organisation: Named { handle: ticket.organisation, name: ticket.organisation_name },
        requester: RequesterJson {
            handle: ticket.requester,
            name: ticket.requester_name,
            address: shown_address(&ticket.requester_address).to_owned(),
        },
        assignee: ticket.assignee.filter(|_| for_staff).map(|(handle, name)| Named { handle, name }),
        site: ticket.site,
        environment: ticket.environment,
        tags,
        created_at: ticket.created_at,
        updated_at: if for_staff { ticket.updated_at } else { ticket.last_message_at },
        waiting_since: ticket.waiting_since,
        first_answered_at: ticket.first_answered_at,
        closed_at: ticket.closed_at,
        message_count: for_staff.then_some(ticket.message_count),
    }
}

/// The filter in internal terms; nothing when it names what does not exist, so that it finds nothing.
fn filter(db: &mut DbConnection, acting: &Acting, query: &TicketQuery) -> Result<Option<Filter>> {
    let mut filter = Filter {
        statuses: query.status.clone(),
        since: query.updated_since,
        organisation: acting.only,
        ..Filter::default()
    };
    if let Some(queue) = &query.queue {
        let Some(queue) = queues::find_by_name(db, queue)? else { return Ok(None) };
        filter.queue = Some(queue.id);
    }
    if let Some(organisation) = &query.organisation {
        let Some(organisation) = organisations::find_by_handle(db, organisation)? else { return Ok(None) };
        if !acting.reaches(organisation.id) {
            return Ok(None);
        }
        filter.organisation = Some(organisation.id);
    }
    if let Some(requester) = &query.requester {
        let Some(requester) = person::find_by_handle(db, requester)? else { return Ok(None) };
        filter.requester = Some(requester.id);
    }
    Ok(Some(filter))
}

fn open(db: &mut DbConnection, acting: &Acting, new: &NewTicketJson) -> Result<Ticket> {
    let mut errors = FieldErrors::default();
    let by_staff = acting.actor.is_staff();
    let requester = requester(db, acting, new, &mut errors)?;
    let queue = match (&new.queue, acting.only_queue) {
        (Some(named), _) => queues::find_by_name(db, named.as_str())?,
        (None, Some(only)) => Some(queues::by_id(db, only)?),
        (None, None) => queues::find_by_kind(db, QueueKind::Support)?,
    };
    // Customers choose among the queues that the form offers them.
    let queue = queue.filter(|queue| by_staff || queue.on_form);
    let queue = queue.filter(|queue| acting.only_queue.is_none_or(|only| only == queue.id));
    if queue.is_none() {
        errors.add("queue", "error-choice");
    }
    if !by_staff && new.priority.is_some_and(|priority| priority != Priority::Normal) {
        errors.add("priority", "api-for-staff");
    }
    if !by_staff && !new.tags.is_empty() {
        errors.add("tags", "api-for-staff");
    }
    let language = new.language.as_ref().map(|language| Locale::parse(language.as_str()));
    if language == Some(None) {
        errors.add("language", "error-choice");
    }
    let (Some(requester), Some(queue)) = (requester, queue) else { return Err(Error::Invalid(errors)) };
    let organisation = organisation(db, acting, &requester, new.organisation.as_ref(), &mut errors)?;
    let Some(organisation) = organisation else { return Err(Error::Invalid(errors)) };
    let site = match &new.site {
        Some(handle) => {
            let site = sites::find(db, organisation, handle.as_str())?;
            if site.is_none() {
                errors.add("site", "site-unknown");
            }
            site.map(|site| site.id)
        }
        None => None,
    };
    let environment = match &new.environment {
        Some(handle) => {
            let environment = environments::find(db, organisation, handle.as_str())?;
            if environment.is_none() {
                errors.add("environment", "environment-unknown");
            }
            environment.map(|environment| environment.id)
        }
        None => None,
    };
    errors.into_result()?;
    let address = shown_address(&requester.address);
    let message = NewMessage::text(Channel::Api, requester.id, &requester.display_name(), address, new.text.as_str());
    let ticket = NewTicket {
        mailbox: mailboxes::find_for_queue(db, queue.id)?.map(|mailbox| mailbox.id),
        priority: new.priority.unwrap_or(Priority::Normal),
        language: language.flatten().unwrap_or(requester.language.0),
        is_private: new.private,
        site,
        environment,
        address_confirmed: requester.address_confirmed_at.is_some(),
        tags: new.tags.iter().map(|tag| tag.0.clone()).collect(),
        ..NewTicket::new(organisation, requester.id, queue.id, new.subject.as_str(), message)
    };
    Ok(opening::open(db, ticket, &acting.actor, acting.now)?.ticket)
}

/// Who asks: the token's person, or whom staff names.
fn requester(
    db: &mut DbConnection,
    acting: &Acting,
    new: &NewTicketJson,
    errors: &mut FieldErrors,
) -> Result<Option<Person>> {
    let mut wrong = |message: Message| errors.add("requester", message);
    if !acting.actor.is_staff() {
        let own = person::by_id(db, acting.person)?;
        if let Some(named) = &new.requester {
            let is_own = named.handle.as_ref().is_none_or(|handle| handle.as_str() == own.handle)
                && named.address.as_ref().is_none_or(|address| address.as_str() == own.address);
            if !is_own {
                wrong("api-only-yourself".into());
            }
        }
        return Ok(Some(own));
    }
    let found = match &new.requester {
        Some(NewRequester { handle: Some(handle), address: None, .. }) => person::find_by_handle(db, handle.as_str())?,
        Some(NewRequester { handle: None, address: Some(address), name }) => {
            let Some(address) = EmailAddress::of_somebody(address.as_str()) else {
                wrong("error-address".into());
                return Ok(None);
            };
            let language = new.language.as_ref().and_then(|language| Locale::parse(language.as_str()));
            let language = language.unwrap_or_default();
            Some(person::find_or_create_by_address(db, &address, name.as_str(), Origin::Api, language, acting.now)?)
        }
        _ => {
            wrong("api-requester-required".into());
            return Ok(None);
        }
    };
    if found.is_none() {
        wrong("api-person-unknown".into());
    }
    Ok(found)
}

/// Where the ticket belongs: an organisation of the requester's that is within the token's reach.
fn organisation(
    db: &mut DbConnection,
    acting: &Acting,
    requester: &Person,
    named: Option<&Text>,
    errors: &mut FieldErrors,
) -> Result<Option<OrganisationId>> {
    let organisation = match (named, acting.only) {
        (Some(handle), _) => organisations::find_by_handle(db, handle.as_str())?.map(|organisation| organisation.id),
        (None, Some(only)) => Some(only),
        (None, None) => organisations::home_of(db, requester.id)?,
    };
    let organisation = organisation.filter(|organisation| acting.reaches(*organisation));
    let is_member = match organisation {
        Some(organisation) => belongs(db, acting, requester.id, organisation)?,
        None => false,
    };
    if is_member {
        return Ok(organisation);
    }
    errors.add("organisation", "requester-not-member");
    Ok(None)
}

fn belongs(db: &mut DbConnection, acting: &Acting, person: PersonId, organisation: OrganisationId) -> Result<bool> {
    if let Actor::Customer(customer) = &acting.actor {
        return Ok(customer.is_member_of(organisation));
    }
    let memberships = memberships::of_person(db, person)?;
    Ok(memberships.iter().any(|membership| membership.organisation_id == organisation))
}
