//! Grants as they stand, and how the rest of the program finds them: by question, by who is concerned, and all that are
//! live, for whoever captures. What a grant opens never changes; it only ends.

use diesel::prelude::*;
use serde_json::json;

use crate::access::{self, CustomerActor};
use crate::audit;
use crate::clock::UtcTime;
use crate::consent::asking;
use crate::consent::life::{EndReason, GrantState};
use crate::consent::manifest::Manifest;
use crate::consent::scope::{Basis, Recipients, Scope, Subject, SubjectKind};
use crate::db::one_text::one_text;
use crate::db::schema::{consent_grants, organisations};
use crate::db::types::{ConsentRequestId, GrantId, Json, OrganisationId, PersonId, TicketId};
use crate::db::{DbConnection, dialect};
use crate::error::{Error, Result};
use crate::tickets::Ticket;

/// A grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    pub id: GrantId,
    pub organisation_id: OrganisationId,
    pub ticket_id: TicketId,
    pub request_id: ConsentRequestId,
    pub handle: String,
    pub subject: Subject,
    pub basis: Basis,
    pub granted_by: PersonId,
    pub seconded_by: Option<PersonId>,
    pub scope: Scope,
    pub duration_minutes: i32,
    pub retention_days: i32,
    pub exports_allowed: bool,
    pub stop_condition: String,
    pub idle_minutes: Option<i32>,
    pub state: GrantState,
    pub end_reason: Option<EndReason>,
    pub granted_at: UtcTime,
    pub expires_at: UtcTime,
    pub last_viewed_at: Option<UtcTime>,
    pub ended_at: Option<UtcTime>,
    /// Until when what was captured is kept; known once the grant has ended.
    pub kept_until: Option<UtcTime>,
    pub destroyed_at: Option<UtcTime>,
    pub version: i64,
}

impl Grant {
    /// Whether it opens anything at `now`: the row may say so a moment longer than the time it was given for.
    pub fn is_live(&self, now: UtcTime) -> bool {
        self.state == GrantState::Active && now < self.expires_at
    }

    /// Whether what it captured is still there, or may be.
    pub fn is_kept(&self) -> bool {
        self.destroyed_at.is_none()
    }

    /// Whether `customer` has the say over it now: of their own use whoever it is of, for an organisation whoever may grant
    /// for it. They may let products send under it, and have what was captured destroyed.
    pub fn belongs_to(&self, customer: &CustomerActor) -> bool {
        match self.subject {
            Subject::Person(person) => person == customer.person,
            Subject::Organisation => access::may_grant_for(customer, self.organisation_id),
        }
    }

    /// Whether `customer` may end it: whoever has the say over it, and whoever granted it, also if they no longer may; an
    /// end is never the wrong way to err.
    pub fn may_be_withdrawn_by(&self, customer: &CustomerActor) -> bool {
        let granted = self.granted_by == customer.person || self.seconded_by == Some(customer.person);
        granted || self.belongs_to(customer)
    }
}

#[derive(Queryable)]
struct Row {
    id: GrantId,
    organisation_id: OrganisationId,
    ticket_id: TicketId,
    request_id: ConsentRequestId,
    handle: String,
    subject_kind: SubjectKind,
    subject_id: Option<PersonId>,
    basis: Basis,
    granted_by: PersonId,
    seconded_by: Option<PersonId>,
    scope: Json<Scope>,
    duration_minutes: i32,
    retention_days: i32,
    exports_allowed: bool,
    stop_condition: String,
    idle_minutes: Option<i32>,
    state: GrantState,
    end_reason: Option<EndReason>,
    granted_at: UtcTime,
    expires_at: UtcTime,
    last_viewed_at: Option<UtcTime>,
    ended_at: Option<UtcTime>,
    kept_until: Option<UtcTime>,
    destroyed_at: Option<UtcTime>,
    version: i64,
}

impl From<Row> for Grant {
    fn from(row: Row) -> Self {
        Grant {
            id: row.id,
            organisation_id: row.organisation_id,
            ticket_id: row.ticket_id,
            request_id: row.request_id,
            handle: row.handle,
            subject: Subject::from_columns(row.subject_kind, row.subject_id),
            basis: row.basis,
            granted_by: row.granted_by,
            seconded_by: row.seconded_by,
            scope: row.scope.0,
            duration_minutes: row.duration_minutes,
            retention_days: row.retention_days,
            exports_allowed: row.exports_allowed,
            stop_condition: row.stop_condition,
            idle_minutes: row.idle_minutes,
            state: row.state,
            end_reason: row.end_reason,
            granted_at: row.granted_at,
            expires_at: row.expires_at,
            last_viewed_at: row.last_viewed_at,
            ended_at: row.ended_at,
            kept_until: row.kept_until,
            destroyed_at: row.destroyed_at,
            version: row.version,
        }
    }
}

macro_rules! grant_columns {
    () => {
        (
            consent_grants::id,
            consent_grants::organisation_id,
            consent_grants::ticket_id,
            consent_grants::request_id,
            consent_grants::handle,
            consent_grants::subject_kind,
            consent_grants::subject_id,
            consent_grants::basis,
            consent_grants::granted_by,
            consent_grants::seconded_by,
            consent_grants::scope,
            consent_grants::duration_minutes,
            consent_grants::retention_days,
            consent_grants::exports_allowed,
            consent_grants::stop_condition,
            consent_grants::idle_minutes,
            consent_grants::state,
            consent_grants::end_reason,
            consent_grants::granted_at,
            consent_grants::expires_at,
            consent_grants::last_viewed_at,
            consent_grants::ended_at,
            consent_grants::kept_until,
            consent_grants::destroyed_at,
            consent_grants::version,
        )
    };
}

fn read(rows: Vec<Row>) -> Vec<Grant> {
    rows.into_iter().map(Grant::from).collect()
}

/// The grant of that id, which comes from the database.
pub fn by_id(db: &mut DbConnection, id: GrantId) -> Result<Grant> {
    let row: Row = consent_grants::table.find(id).select(grant_columns!()).first(db)?;
    Ok(row.into())
}

/// The grant as it is now, held until the transaction ends, in the order of locks that `consent` names: its question first.
pub fn hold(db: &mut DbConnection, id: GrantId) -> Result<Grant> {
    let request: ConsentRequestId = consent_grants::table.find(id).select(consent_grants::request_id).first(db)?;
    asking::hold(db, request)?;
    dialect::hold_grant(db, id)?;
    by_id(db, id)
}

/// The grant of that public name.
pub fn find_by_handle(db: &mut DbConnection, handle: &str) -> Result<Option<Grant>> {
    let row: Option<Row> = consent_grants::table
        .filter(consent_grants::handle.eq(handle))
        .select(grant_columns!())
        .first(db)
        .optional()?;
    Ok(row.map(Grant::from))
}

/// The grant of that public name, with the public name of its organisation.
pub fn find_with_organisation(db: &mut DbConnection, handle: &str) -> Result<Option<(Grant, String)>> {
    let found: Option<(Row, String)> = consent_grants::table
        .inner_join(organisations::table)
        .filter(consent_grants::handle.eq(handle))
        .select((grant_columns!(), organisations::handle))
        .first(db)
        .optional()?;
    Ok(found.map(|(row, organisation)| (row.into(), organisation)))
}

/// What came of the question, if it was granted.
pub fn of_request(db: &mut DbConnection, request: ConsentRequestId) -> Result<Option<Grant>> {
    let row: Option<Row> = consent_grants::table
        .filter(consent_grants::request_id.eq(request))
        .select(grant_columns!())
        .first(db)
        .optional()?;
    Ok(row.map(Grant::from))
}

/// The grants of a ticket, the newest first.
pub fn of_ticket(db: &mut DbConnection, ticket: &Ticket) -> Result<Vec<Grant>> {
    let rows: Vec<Row> = one_text!(
        consent_grants::table
            .filter(consent_grants::ticket_id.eq(ticket.id))
            .filter(consent_grants::organisation_id.eq(ticket.organisation_id))
            .order(consent_grants::id.desc())
            .select(grant_columns!())
    )
    .load(db)?;
    Ok(read(rows))
}

/// The grants that the database holds for active, whatever the time: what ends them looks at each.
pub fn all_active(db: &mut DbConnection) -> Result<Vec<Grant>> {
    let rows: Vec<Row> = consent_grants::table
        .filter(consent_grants::state.eq(GrantState::Active))
        .order(consent_grants::id)
        .select(grant_columns!())
        .load(db)?;
    Ok(read(rows))
}

/// The active grant of a subject: there is at most one.
pub fn active_of(db: &mut DbConnection, organisation: OrganisationId, subject: Subject) -> Result<Option<Grant>> {
    let mut query = consent_grants::table
        .filter(consent_grants::state.eq(GrantState::Active))
        .filter(consent_grants::subject_kind.eq(subject.kind()))
        .select(grant_columns!())
        .into_boxed();
    query = match subject {
        Subject::Person(person) => query.filter(consent_grants::subject_id.eq(person)),
        Subject::Organisation => query.filter(consent_grants::organisation_id.eq(organisation)),
    };
    let row: Option<Row> = query.first(db).optional()?;
    Ok(row.map(Grant::from))
}

/// A grant as whoever captures needs it.
#[derive(Clone, Debug)]
pub struct Live {
    pub grant: Grant,
    /// The fields that may be kept.
    pub manifest: Manifest,
    pub recipients: Recipients,
}

/// Every grant that opens something at `now`.
pub fn live(db: &mut DbConnection, now: UtcTime) -> Result<Vec<Live>> {
    let mut live = Vec::new();
    for grant in all_active(db)?.into_iter().filter(|grant| grant.is_live(now)) {
        live.push(with_manifest(db, grant)?);
    }
    Ok(live)
}

/// A grant with what of it may be kept.
pub fn with_manifest(db: &mut DbConnection, grant: Grant) -> Result<Live> {
    let request = asking::by_id(db, grant.request_id)?;
    // What was asked for and not granted is not in the manifest of what was granted.
    let granted = Manifest::of(&grant.scope);
    Ok(Live { manifest: granted.within(&request.manifest), recipients: request.terms.recipients, grant })
}

/// Whether products of an organisation have anything to send at `now`: under its grant, or under that of one of its
/// people.
pub fn opens_products(db: &mut DbConnection, organisation: OrganisationId, now: UtcTime) -> Result<bool> {
    let rows: Vec<Row> = consent_grants::table
        .filter(consent_grants::organisation_id.eq(organisation))
        .filter(consent_grants::state.eq(GrantState::Active))
        .filter(consent_grants::expires_at.gt(now))
        .select(grant_columns!())
        .load(db)?;
    Ok(read(rows).iter().any(|grant| grant.scope.products().is_some()))
}

/// The grants that concern somebody of the customer now: the one of their own use first, then those of organisations of
/// theirs, and those that they granted.
pub fn running_for(db: &mut DbConnection, customer: &CustomerActor, now: UtcTime) -> Result<Vec<Grant>> {
    let organisations: Vec<OrganisationId> =
        customer.memberships.iter().map(|membership| membership.organisation_id).collect();
    let whole = consent_grants::subject_kind
        .eq(SubjectKind::Organisation)
        .and(consent_grants::organisation_id.eq_any(organisations));
    let rows: Vec<Row> = consent_grants::table
        .filter(consent_grants::state.eq(GrantState::Active))
        .filter(consent_grants::expires_at.gt(now))
        .filter(
            consent_grants::subject_id.eq(customer.person).or(whole).or(consent_grants::granted_by.eq(customer.person)),
        )
        .order(consent_grants::id)
        .select(grant_columns!())
        .load(db)?;
    let mut running = read(rows);
    running.sort_by_key(|grant| (grant.subject != Subject::Person(customer.person), grant.id));
    Ok(running)
}

/// Grants whose captures are to be destroyed at `now`, for whoever keeps them.
pub fn to_be_destroyed(db: &mut DbConnection, now: UtcTime, after: GrantId, limit: i64) -> Result<Vec<Grant>> {
    let rows: Vec<Row> = consent_grants::table
        .filter(consent_grants::id.gt(after))
        .filter(consent_grants::state.eq(GrantState::Ended))
        .filter(consent_grants::destroyed_at.is_null())
        .filter(consent_grants::kept_until.le(now))
        .order(consent_grants::id)
        .limit(limit)
        .select(grant_columns!())
        .load(db)?;
    Ok(read(rows))
}

/// Grants that run, or of which something is kept.
pub fn with_captures(db: &mut DbConnection) -> Result<Vec<Grant>> {
    let rows: Vec<Row> = consent_grants::table
        .filter(consent_grants::destroyed_at.is_null())
        .order(consent_grants::id)
        .select(grant_columns!())
        .load(db)?;
    Ok(read(rows))
}

/// Whether `person` granted anything for the organisation, or was the second who agreed.
pub fn was_granted_by(db: &mut DbConnection, organisation: OrganisationId, person: PersonId) -> Result<bool> {
    let theirs = consent_grants::table
        .filter(consent_grants::organisation_id.eq(organisation))
        .filter(consent_grants::granted_by.eq(person).or(consent_grants::seconded_by.assume_not_null().eq(person)))
        .select(consent_grants::id)
        .limit(1);
    Ok(theirs.first::<GrantId>(db).optional()?.is_some())
}

/// Somebody looked at what it captured.
pub fn seen(db: &mut DbConnection, grant: GrantId, now: UtcTime) -> Result<()> {
    let active = consent_grants::table.find(grant).filter(consent_grants::state.eq(GrantState::Active));
    diesel::update(active).set(consent_grants::last_viewed_at.eq(now)).execute(db)?;
    Ok(())
}

/// Puts on record that `by` asked for a token with which products send under the grant; the token itself is kept nowhere.
pub fn note_token(db: &mut DbConnection, grant: &Grant, by: PersonId, now: UtcTime) -> Result<()> {
    let entry = audit::Entry {
        kind: "grant_token_created",
        actor: Some(by),
        subject: grant.subject.person(),
        organisation: Some(grant.organisation_id),
        detail: json!({ "handle": grant.handle }),
    };
    audit::record(db, &entry, now)
}

/// The grant behind a question which must have one.
pub fn granted(db: &mut DbConnection, request: ConsentRequestId) -> Result<Grant> {
    of_request(db, request)?.ok_or(Error::NotFound)
}
