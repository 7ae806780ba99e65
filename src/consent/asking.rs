//! Asking: what an agent wants to see, for what, how long, and who would read it. The question stands in a ticket, waits
//! 72 hours, and is answered by the customer alone; the agent may take it back.

use chrono::TimeDelta;
use diesel::dsl::exists;
use diesel::prelude::*;
use serde_json::json;

use crate::access::{self, Actor, CustomerActor};
use crate::clock::UtcTime;
use crate::consent::granting::Pending;
use crate::consent::life::{self, RequestState, Standing, Step};
use crate::consent::manifest::{self, Manifest};
use crate::consent::register::{self, By, EventKind, NewEvent};
use crate::consent::scope::{Component, Level, PurposeCode, Recipients, Scope, Subject, SubjectKind};
use crate::consent::wording;
use crate::db::DbConnection;
use crate::db::schema::{consent_grants, consent_requests, tickets};
use crate::db::types::{ConsentRequestId, GrantId, Json, Language, OrganisationId, PersonId, TicketId};
use crate::error::{Error, FieldErrors, Result};
use crate::i18n::{Locale, Message};
use crate::people::fields;
use crate::people::memberships::{self, Membership};
use crate::people::person::{self, PersonState};
use crate::secret::random_handle;
use crate::tickets::assignment;
use crate::tickets::status::Status;
use crate::tickets::ticket::{self, Ticket};

/// How long a question waits for an answer.
pub const WAITS: TimeDelta = TimeDelta::hours(72);
/// What a question asks for unless the agent says otherwise.
pub const USUAL_MINUTES: i32 = 60;
pub const USUAL_DAYS: i32 = 7;
/// The most that can be asked for; the schema says the same.
pub const MOST_MINUTES: i32 = 24 * 60;
pub const MOST_DAYS: i32 = 30;
/// The longest purpose, in characters: it has to be read.
const PURPOSE_LENGTH: usize = 600;
/// The longest text that ends a capture when it is seen.
const CONDITION_LENGTH: usize = 200;

/// What is asked, or granted: everything the answer depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    pub subject: Subject,
    pub purpose: String,
    pub purpose_code: PurposeCode,
    pub scope: Scope,
    pub duration_minutes: i32,
    pub retention_days: i32,
    pub recipients: Recipients,
    /// Whether what is captured may be downloaded by agents.
    pub exports_allowed: bool,
    /// The capture ends when a record says this; empty when it does not end so.
    pub stop_condition: String,
    /// The capture ends when nobody has looked at it for so long.
    pub idle_minutes: Option<i32>,
}

impl Terms {
    /// The terms made fit to keep, or everything that is wrong with them.
    pub fn check(&self, errors: &mut FieldErrors) -> Terms {
        let purpose = fields::optional_lines(errors, "purpose", &self.purpose);
        if purpose.trim().is_empty() {
            errors.add("purpose", "error-mandatory");
        } else if purpose.chars().count() > PURPOSE_LENGTH {
            errors.add("purpose", Message::new("error-too-long").with("longest", PURPOSE_LENGTH));
        }
        if self.scope.is_empty() {
            errors.add("components", "error-consent-components");
        }
        let is_wrong = |name: &String| !manifest::is_attribute_name(name);
        if self.scope.attributes.len() > manifest::ATTRIBUTES || self.scope.attributes.iter().any(is_wrong) {
            errors.add("attributes", "error-consent-attributes");
        }
        if !(1..=MOST_MINUTES).contains(&self.duration_minutes) {
            errors.add("duration", "error-consent-duration");
        }
        if !(1..=MOST_DAYS).contains(&self.retention_days) {
            errors.add("retention", "error-consent-retention");
        }
        if self.idle_minutes.is_some_and(|minutes| !(5..=MOST_MINUTES).contains(&minutes)) {
            errors.add("idle", "error-consent-duration");
        }
        let stop_condition = fields::optional_line(errors, "stop_condition", &self.stop_condition, CONDITION_LENGTH);
        Terms { purpose, stop_condition, ..self.clone() }
    }
}

/// A question as it stands.
#[derive(Clone, Debug)]
pub struct ConsentRequest {
    pub id: ConsentRequestId,
    pub organisation_id: OrganisationId,
    pub ticket_id: TicketId,
    pub handle: String,
    pub requested_by: PersonId,
    pub terms: Terms,
    pub manifest: Manifest,
    /// The text in the language of the ticket, as it was when the question was asked.
    pub wording_sha256: String,
    pub language: Locale,
    pub state: RequestState,
    /// What the first of two approved.
    pub pending: Option<Pending>,
    pub created_at: UtcTime,
    pub expires_at: UtcTime,
    pub decided_by: Option<PersonId>,
    pub decided_at: Option<UtcTime>,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = consent_requests)]
struct Row {
    id: ConsentRequestId,
    organisation_id: OrganisationId,
    ticket_id: TicketId,
    handle: String,
    requested_by: PersonId,
    subject_kind: SubjectKind,
    subject_id: Option<PersonId>,
    purpose: String,
    purpose_code: PurposeCode,
    scope: Json<Scope>,
    manifest: String,
    duration_minutes: i32,
    retention_days: i32,
    recipients: Json<Recipients>,
    exports_allowed: bool,
    stop_condition: String,
    idle_minutes: Option<i32>,
    wording_sha256: String,
    language: Language,
    state: RequestState,
    pending_choice: Option<Json<Pending>>,
    created_at: UtcTime,
    expires_at: UtcTime,
    decided_by: Option<PersonId>,
    decided_at: Option<UtcTime>,
}

impl From<Row> for ConsentRequest {
    fn from(row: Row) -> Self {
        ConsentRequest {
            id: row.id,
            organisation_id: row.organisation_id,
            ticket_id: row.ticket_id,
            handle: row.handle,
            requested_by: row.requested_by,
            terms: Terms {
                subject: Subject::from_columns(row.subject_kind, row.subject_id),
                purpose: row.purpose,
                purpose_code: row.purpose_code,
                scope: row.scope.0,
                duration_minutes: row.duration_minutes,
                retention_days: row.retention_days,
                recipients: row.recipients.0,
                exports_allowed: row.exports_allowed,
                stop_condition: row.stop_condition,
                idle_minutes: row.idle_minutes,
            },
            manifest: Manifest::parse(&row.manifest),
            wording_sha256: row.wording_sha256,
            language: row.language.0,
            state: row.state,
            pending: row.pending_choice.map(|pending| pending.0),
            created_at: row.created_at,
            expires_at: row.expires_at,
            decided_by: row.decided_by,
            decided_at: row.decided_at,
        }
    }
}

macro_rules! request_columns {
    () => {
        (
            consent_requests::id,
            consent_requests::organisation_id,
            consent_requests::ticket_id,
            consent_requests::handle,
            consent_requests::requested_by,
            consent_requests::subject_kind,
            consent_requests::subject_id,
            consent_requests::purpose,
            consent_requests::purpose_code,
            consent_requests::scope,
            consent_requests::manifest,
            consent_requests::duration_minutes,
            consent_requests::retention_days,
            consent_requests::recipients,
            consent_requests::exports_allowed,
            consent_requests::stop_condition,
            consent_requests::idle_minutes,
            consent_requests::wording_sha256,
            consent_requests::language,
            consent_requests::state,
            consent_requests::pending_choice,
            consent_requests::created_at,
            consent_requests::expires_at,
            consent_requests::decided_by,
            consent_requests::decided_at,
        )
    };
}

/// Asks for `terms` in the ticket. Who asks takes care of the ticket if nobody does, so that the customer knows whom they
/// deal with, and the capture has somebody to end with.
pub fn ask(db: &mut DbConnection, ticket: &Ticket, terms: &Terms, by: &Actor, now: UtcTime) -> Result<ConsentRequest> {
    let Actor::Staff(agent) = by else { return Err(Error::Forbidden) };
    if !access::can_work_on(by, &ticket.facts()) {
        return Err(Error::Forbidden);
    }
    if life::after(Standing::Unasked, Step::Ask).is_none() || ticket.status == Status::Closed {
        return Err(Error::Conflict(Message::new("conflict-consent-ticket-closed")));
    }
    let mut errors = FieldErrors::default();
    let terms = terms.check(&mut errors);
    if let Subject::Person(person) = terms.subject
        && !is_member(db, person, ticket.organisation_id)?
    {
        errors.add("subject", "error-consent-subject");
    } else if let Subject::Person(person) = terms.subject
        && person::by_id(db, person)?.state != PersonState::Active
    {
        errors.add("subject", "error-consent-subject-disabled");
    }
    errors.into_result()?;
    // A button pressed twice asks once.
    if let Some(same) = open_with(db, ticket, &terms, agent.person, now)? {
        return Ok(same);
    }
    if ticket.assignee_id.is_none() {
        assignment::assign(db, ticket, Some(agent.person), by, now)?;
    }
    let notice = wording::notice(db, ticket, &terms, ticket.language.0)?;
    wording::keep(db, &notice, now)?;
    let manifest = Manifest::of(&terms.scope);
    let id: ConsentRequestId = diesel::insert_into(consent_requests::table)
        .values((
            (
                consent_requests::organisation_id.eq(ticket.organisation_id),
                consent_requests::ticket_id.eq(ticket.id),
                consent_requests::handle.eq(random_handle()),
                consent_requests::requested_by.eq(agent.person),
                consent_requests::subject_kind.eq(terms.subject.kind()),
                consent_requests::subject_id.eq(terms.subject.person()),
                consent_requests::purpose.eq(&terms.purpose),
                consent_requests::purpose_code.eq(terms.purpose_code),
                consent_requests::scope.eq(Json(terms.scope.clone())),
                consent_requests::level.eq(terms.scope.level()),
                consent_requests::manifest.eq(manifest.text()),
                consent_requests::manifest_sha256.eq(manifest.sha256()),
            ),
            (
                consent_requests::duration_minutes.eq(terms.duration_minutes),
                consent_requests::retention_days.eq(terms.retention_days),
                consent_requests::recipients.eq(Json(terms.recipients)),
                consent_requests::exports_allowed.eq(terms.exports_allowed),
                consent_requests::stop_condition.eq(&terms.stop_condition),
                consent_requests::idle_minutes.eq(terms.idle_minutes),
                consent_requests::wording_sha256.eq(&notice.sha256),
                consent_requests::language.eq(ticket.language),
                consent_requests::state.eq(RequestState::Requested),
                consent_requests::created_at.eq(now),
                consent_requests::expires_at.eq(now.plus(WAITS)),
            ),
        ))
        .returning(consent_requests::id)
        .get_result(db)?;
    let request = by_id(db, id)?;
    record(db, &request, EventKind::Requested, By::of(by), now)?;
    Ok(request)
}

/// The open question of the same agent with the very same terms, if there is one.
fn open_with(
    db: &mut DbConnection,
    ticket: &Ticket,
    terms: &Terms,
    by: PersonId,
    now: UtcTime,
) -> Result<Option<ConsentRequest>> {
    let rows: Vec<Row> = consent_requests::table
        .filter(consent_requests::ticket_id.eq(ticket.id))
        .filter(consent_requests::state.eq(RequestState::Requested))
        .filter(consent_requests::expires_at.gt(now))
        .filter(consent_requests::requested_by.eq(by))
        .order(consent_requests::id.desc())
        .select(request_columns!())
        .load(db)?;
    Ok(rows.into_iter().map(ConsentRequest::from).find(|request| request.terms == *terms))
}

/// The questions that nobody has decided.
pub fn undecided(db: &mut DbConnection) -> Result<Vec<ConsentRequestId>> {
    Ok(consent_requests::table
        .filter(consent_requests::state.eq_any([RequestState::Requested, RequestState::AwaitingSecond]))
        .order(consent_requests::id)
        .select(consent_requests::id)
        .load(db)?)
}

/// Takes the question back. Doing it twice does nothing more; what was answered meanwhile stays answered.
pub fn cancel(db: &mut DbConnection, request: &ConsentRequest, by: &Actor, now: UtcTime) -> Result<()> {
    let ticket = ticket::by_id(db, request.ticket_id)?;
    if !access::can_work_on(by, &ticket.facts()) {
        return Err(Error::Forbidden);
    }
    let request = hold(db, request.id)?;
    if request.state == RequestState::Cancelled {
        return Ok(());
    }
    if !close(db, &request, Step::Cancel, by.person(), now)? {
        return Err(Error::Conflict(Message::new("conflict-consent-decided")));
    }
    let request = by_id(db, request.id)?;
    record(db, &request, EventKind::Cancelled, By::of(by), now)
}

/// Ends a question without a grant by `step`; says whether it could still be ended.
pub(super) fn close(
    db: &mut DbConnection,
    request: &ConsentRequest,
    step: Step,
    by: Option<PersonId>,
    now: UtcTime,
) -> Result<bool> {
    let state = match life::after(Standing::of_request(request.state), step) {
        Some(Standing::Refused) => RequestState::Refused,
        Some(Standing::Lapsed) => RequestState::Lapsed,
        Some(Standing::Cancelled) => RequestState::Cancelled,
        _ => return Ok(false),
    };
    let open = consent_requests::table.find(request.id).filter(consent_requests::state.eq(request.state));
    let changed = diesel::update(open)
        .set((
            consent_requests::state.eq(state),
            consent_requests::decided_by.eq(by),
            consent_requests::decided_at.eq(now),
        ))
        .execute(db)?;
    Ok(changed == 1)
}

/// Records a step that changed nothing about what was asked.
pub(super) fn record(
    db: &mut DbConnection,
    request: &ConsentRequest,
    kind: EventKind,
    by: By,
    now: UtcTime,
) -> Result<()> {
    let event = NewEvent { kind, by, request, grant: None, terms: &request.terms, notice: None, detail: json!({}) };
    register::append(db, &event, now)
}

/// The question as it is now, held until the transaction ends, so that answers to it come one after the other.
pub(super) fn hold(db: &mut DbConnection, id: ConsentRequestId) -> Result<ConsentRequest> {
    // Writing the row as it is takes its lock on PostgreSQL; SQLite has one writer.
    diesel::update(consent_requests::table.find(id))
        .set(consent_requests::pending_choice.eq(consent_requests::pending_choice))
        .execute(db)?;
    by_id(db, id)
}

/// The question of that id, which comes from the database.
pub fn by_id(db: &mut DbConnection, id: ConsentRequestId) -> Result<ConsentRequest> {
    let row: Row = consent_requests::table.find(id).select(request_columns!()).first(db)?;
    Ok(row.into())
}

/// The question of that public name, for jobs.
pub fn find_by_handle(db: &mut DbConnection, handle: &str) -> Result<Option<ConsentRequest>> {
    let row: Option<Row> = consent_requests::table
        .filter(consent_requests::handle.eq(handle))
        .select(request_columns!())
        .first(db)
        .optional()?;
    Ok(row.map(ConsentRequest::from))
}

/// The questions asked in a ticket, the newest first.
pub fn of_ticket(db: &mut DbConnection, ticket: &Ticket, limit: i64) -> Result<Vec<ConsentRequest>> {
    let rows: Vec<Row> = consent_requests::table
        .filter(consent_requests::ticket_id.eq(ticket.id))
        .filter(consent_requests::organisation_id.eq(ticket.organisation_id))
        .order(consent_requests::id.desc())
        .limit(limit)
        .select(request_columns!())
        .load(db)?;
    Ok(rows.into_iter().map(ConsentRequest::from).collect())
}

/// The questions of a ticket that wait for an answer.
pub(super) fn open_in_ticket(db: &mut DbConnection, ticket: &Ticket) -> Result<Vec<ConsentRequestId>> {
    Ok(consent_requests::table
        .filter(consent_requests::ticket_id.eq(ticket.id))
        .filter(consent_requests::organisation_id.eq(ticket.organisation_id))
        .filter(consent_requests::state.eq_any([RequestState::Requested, RequestState::AwaitingSecond]))
        .select(consent_requests::id)
        .load(db)?)
}

/// The question of that name in a ticket which the agent may see.
pub fn in_ticket(db: &mut DbConnection, ticket: &Ticket, handle: &str) -> Result<ConsentRequest> {
    find_by_handle(db, handle)?.filter(|request| request.ticket_id == ticket.id).ok_or(Error::NotFound)
}

/// What somebody of the customer may do about a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answering {
    /// Grant it, or less; refuse it.
    Whole,
    /// Grant it for their own use only.
    OwnUse,
    /// Read it.
    Reading,
}

/// What `customer` may do about the question; nothing when it is none of their business. Staff may never answer: this
/// takes a customer.
pub fn answering(
    db: &mut DbConnection,
    customer: &CustomerActor,
    request: &ConsentRequest,
) -> Result<Option<Answering>> {
    let membership = customer.memberships.iter().find(|own| own.organisation_id == request.organisation_id);
    let Some(membership) = membership else {
        // What is of somebody's own use stays theirs, wherever they belong now; they may read it, and stop it.
        return Ok(granted_own_use(db, customer.person, request)?.then_some(Answering::Reading));
    };
    if let Subject::Person(person) = request.terms.subject {
        let sees = membership.grants_tracing;
        return Ok(match person == customer.person {
            true => Some(Answering::Whole),
            false => sees.then_some(Answering::Reading),
        });
    }
    if membership.grants_tracing {
        return Ok(Some(Answering::Whole));
    }
    let actor = Actor::Customer(customer.clone());
    if ticket::is_visible(db, &actor, request.ticket_id)? {
        return Ok(Some(Answering::OwnUse));
    }
    // Whoever is traced by what was granted may read what it is.
    let traced: Option<i32> = consent_grants::table
        .filter(consent_grants::request_id.eq(request.id))
        .filter(consent_grants::subject_kind.eq(SubjectKind::Organisation))
        .select(consent_grants::duration_minutes)
        .first(db)
        .optional()?;
    if traced.is_some() || granted_own_use(db, customer.person, request)? {
        return Ok(Some(Answering::Reading));
    }
    Ok(None)
}

/// Whether `person` granted the question for their own use.
fn granted_own_use(db: &mut DbConnection, person: PersonId, request: &ConsentRequest) -> Result<bool> {
    let own: Option<GrantId> = consent_grants::table
        .filter(consent_grants::request_id.eq(request.id))
        .filter(consent_grants::subject_id.eq(person))
        .select(consent_grants::id)
        .first(db)
        .optional()?;
    Ok(own.is_some())
}

/// The question of that name as `customer` may see it, with what they may do.
pub fn for_customer(
    db: &mut DbConnection,
    customer: &CustomerActor,
    handle: &str,
) -> Result<(ConsentRequest, Answering)> {
    let request = find_by_handle(db, handle)?.ok_or(Error::NotFound)?;
    let answering = answering(db, customer, &request)?.ok_or(Error::NotFound)?;
    Ok((request, answering))
}

/// The questions that `customer` may see, the newest first.
pub fn of_customer(
    db: &mut DbConnection,
    customer: &CustomerActor,
    limit: i64,
) -> Result<Vec<(ConsentRequest, Answering)>> {
    let of = |own: &dyn Fn(&&Membership) -> bool| -> Vec<OrganisationId> {
        customer.memberships.iter().filter(own).map(|own| own.organisation_id).collect()
    };
    let (own, granting) = (of(&|_| true), of(&|own| own.grants_tracing));
    let actor = Actor::Customer(customer.clone());
    let grants_of_it = || consent_grants::table.filter(consent_grants::request_id.eq(consent_requests::id));
    let granted_whole = exists(grants_of_it().filter(consent_grants::subject_kind.eq(SubjectKind::Organisation)));
    let granted_own = exists(grants_of_it().filter(consent_grants::subject_id.eq(customer.person)));
    let asks_all = consent_requests::subject_kind.eq(SubjectKind::Organisation);
    let of_it = consent_requests::table.filter(consent_requests::ticket_id.eq(tickets::id));
    let seen: Vec<TicketId> =
        access::visible_to(&actor).filter(exists(of_it.filter(asks_all))).select(tickets::id).load(db)?;
    let of_whole = asks_all.and(consent_requests::ticket_id.eq_any(seen).or(granted_whole));
    // The same as `answering` says of each, or the newest of others would keep older ones of theirs from the list.
    let is_theirs = of_whole.or(consent_requests::subject_id.eq(customer.person));
    let rows: Vec<Row> = consent_requests::table
        .order(consent_requests::id.desc())
        .limit(limit)
        .select(request_columns!())
        .filter(
            consent_requests::organisation_id
                .eq_any(granting)
                .or(granted_own)
                .or(consent_requests::organisation_id.eq_any(own).and(is_theirs)),
        )
        .load(db)?;
    let mut seen = Vec::new();
    for row in rows {
        let request = ConsentRequest::from(row);
        if let Some(answering) = answering(db, customer, &request)? {
            seen.push((request, answering));
        }
    }
    Ok(seen)
}

/// Everybody whom the question is put to: the person concerned; or the members who may grant for the organisation, and
/// the requester, who may for their own use.
pub fn people_asked(db: &mut DbConnection, request: &ConsentRequest) -> Result<Vec<PersonId>> {
    if let Subject::Person(person) = request.terms.subject {
        return Ok(vec![person]);
    }
    let mut people = grantors(db, request.organisation_id)?;
    let ticket = ticket::by_id(db, request.ticket_id)?;
    if !people.contains(&ticket.requester_id) && is_member(db, ticket.requester_id, request.organisation_id)? {
        people.push(ticket.requester_id);
    }
    Ok(people)
}

/// The members who may grant tracing of the whole organisation.
pub fn grantors(db: &mut DbConnection, organisation: OrganisationId) -> Result<Vec<PersonId>> {
    /// Of those who may, so many are asked; more would be a crowd.
    const MOST: i64 = 100;
    memberships::grantors(db, organisation, MOST)
}

/// Whether `person` belongs to `organisation` and is no member of the operator's staff.
pub(super) fn is_member(db: &mut DbConnection, person: PersonId, organisation: OrganisationId) -> Result<bool> {
    Ok(match access::actor_of(db, person)? {
        Actor::Customer(customer) => customer.is_member_of(organisation),
        _ => false,
    })
}

/// The components and the level that a form chose, where both are known.
pub fn chosen(components: &[String], level: &str, attributes: &str) -> Scope {
    let components: Vec<Component> = components.iter().filter_map(|name| Component::parse(name)).collect();
    let level = Level::parse(level).unwrap_or(Level::Error);
    let attributes = if components.contains(&Component::Products) {
        let mut names: Vec<String> = attributes
            .split([',', '\n', '\r', ' ', ';'])
            .map(str::trim)
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect();
        names.dedup();
        names
    } else {
        Vec::new()
    };
    Scope::of(&components, level, attributes)
}
