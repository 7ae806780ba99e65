//! Granting and refusing: by somebody of the customer who is signed in, after the text they read. Less than was asked may
//! be granted, never more; two must agree before a whole organisation is looked at most closely.

use chrono::TimeDelta;
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::access::{self, Actor, CustomerActor};
use crate::clock::UtcTime;
use crate::consent::asking::{self, Answering, ConsentRequest, Terms};
use crate::consent::grants::{self, Grant};
use crate::consent::life::{self, GrantState, RequestState, Standing, Step};
use crate::consent::receipt;
use crate::consent::register::{self, By, EventKind, NewEvent};
use crate::consent::scope::{Level, Scope, Subject};
use crate::consent::wording::{self, Notice};
use crate::db::DbConnection;
use crate::db::dialect;
use crate::db::schema::{consent_grants, consent_requests};
use crate::db::types::{GrantId, Json, PersonId};
use crate::error::{Error, FieldErrors, Result};
use crate::i18n::{Locale, Message};
use crate::keys::Keys;
use crate::secret::random_handle;
use crate::tickets::status::Status;
use crate::tickets::ticket;

/// What somebody grants of what was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    pub scope: Scope,
    /// Their own use instead of the whole organisation's.
    pub own_use: bool,
    pub duration_minutes: i32,
    pub retention_days: i32,
    pub exports_allowed: bool,
    /// Another of the organisation is to agree too, although nothing demands it.
    pub wants_second: bool,
}

impl Choice {
    /// All of it.
    pub fn as_asked(terms: &Terms) -> Choice {
        Choice {
            scope: terms.scope.clone(),
            own_use: false,
            duration_minutes: terms.duration_minutes,
            retention_days: terms.retention_days,
            exports_allowed: terms.exports_allowed,
            wants_second: false,
        }
    }

    /// What is granted by this choice of `person`, or what is wrong with it: it may only be less.
    pub fn of(&self, asked: &Terms, person: PersonId) -> Result<Terms> {
        let mut errors = FieldErrors::default();
        if self.scope.is_empty() {
            errors.add("components", "error-consent-components");
        }
        if !asked.scope.covers(&self.scope) {
            errors.add("components", "error-consent-more");
        }
        if !(1..=asked.duration_minutes).contains(&self.duration_minutes) {
            errors.add("duration", "error-consent-more");
        }
        if !(1..=asked.retention_days).contains(&self.retention_days) {
            errors.add("retention", "error-consent-more");
        }
        if self.exports_allowed && !asked.exports_allowed {
            errors.add("exports", "error-consent-more");
        }
        errors.into_result()?;
        Ok(Terms {
            subject: if self.own_use { Subject::Person(person) } else { asked.subject },
            scope: self.scope.clone(),
            duration_minutes: self.duration_minutes,
            retention_days: self.retention_days,
            exports_allowed: self.exports_allowed,
            ..asked.clone()
        })
    }
}

/// What the first of two approved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    pub choice: Choice,
    pub by: PersonId,
    pub at: UtcTime,
}

/// What came of an approval.
#[derive(Clone, Debug)]
pub enum Outcome {
    Granted(Box<Grant>),
    /// Another of the organisation must agree.
    AwaitsSecond,
}

/// What is on the table: what was asked, or what the first of two made of it.
pub fn terms_offered(request: &ConsentRequest) -> Result<Terms> {
    match &request.pending {
        Some(pending) if request.state == RequestState::AwaitingSecond => pending.choice.of(&request.terms, pending.by),
        _ => Ok(request.terms.clone()),
    }
}

/// The text that somebody who may answer reads, in their language.
pub fn notice_for(db: &mut DbConnection, request: &ConsentRequest, locale: Locale) -> Result<Notice> {
    let ticket = ticket::by_id(db, request.ticket_id)?;
    let terms = terms_offered(request)?;
    wording::notice(db, &ticket, &terms, locale)
}

/// Whether two of the organisation must agree to this.
pub fn needs_two(terms: &Terms) -> bool {
    terms.subject == Subject::Organisation && terms.scope.level() == Level::Trace
}

/// Grants `choice` of the question, as `by` read it: `seen` is the SHA-256 of the text that stood on their page. Granting
/// twice grants once. Who `by` is comes from their session, and nothing but a customer can grant.
#[expect(clippy::too_many_arguments, reason = "each is a fact of its own: who, what, which text, which language, when")]
pub fn grant(
    db: &mut DbConnection,
    keys: &Keys,
    request: &ConsentRequest,
    choice: Option<&Choice>,
    seen: &str,
    locale: Locale,
    by: &Actor,
    now: UtcTime,
) -> Result<Outcome> {
    let Actor::Customer(customer) = by else { return Err(Error::Forbidden) };
    let request = asking::hold(db, request.id)?;
    let answering = asking::answering(db, customer, &request)?.ok_or(Error::NotFound)?;
    if answering == Answering::Reading {
        return Err(Error::Forbidden);
    }
    if request.state == RequestState::Granted {
        let grant =
            grants::of_request(db, request.id)?.ok_or_else(|| Error::internal("a granted question has no grant"))?;
        let is_theirs = grant.granted_by == customer.person || grant.seconded_by == Some(customer.person);
        return if is_theirs && grant.state == GrantState::Active {
            Ok(Outcome::Granted(Box::new(grant)))
        } else {
            Err(Error::Conflict(Message::new("conflict-consent-decided")))
        };
    }
    if life::after(Standing::of_request(request.state), Step::Grant).is_none() {
        return Err(Error::Conflict(Message::new("conflict-consent-decided")));
    }
    if now >= request.expires_at {
        return Err(Error::Conflict(Message::new("conflict-consent-lapsed")));
    }
    let ticket = ticket::by_id(db, request.ticket_id)?;
    if ticket.status == Status::Closed || ticket.assignee_id.is_none() {
        return Err(Error::Conflict(Message::new("conflict-consent-ticket-closed")));
    }
    let notice = notice_for(db, &request, locale)?;
    if notice.sha256 != seen {
        return Err(Error::Conflict(Message::new("conflict-consent-wording")));
    }
    wording::keep(db, &notice, now)?;
    if request.state == RequestState::AwaitingSecond {
        return second(db, keys, &request, customer, answering, &notice, now);
    }
    let as_asked = Choice::as_asked(&request.terms);
    let choice = choice.unwrap_or(&as_asked);
    let choice = Choice { own_use: choice.own_use && request.terms.subject == Subject::Organisation, ..choice.clone() };
    if answering == Answering::OwnUse && !choice.own_use {
        return Err(Error::Forbidden);
    }
    let terms = choice.of(&request.terms, customer.person)?;
    let by_two = terms.subject == Subject::Organisation && (needs_two(&terms) || choice.wants_second);
    if by_two {
        approve(db, &request, &terms, choice, customer.person, &notice, now)?;
        return Ok(Outcome::AwaitsSecond);
    }
    let grant = make(db, &request, &terms, customer.person, None, now)?;
    finish(db, keys, &request, &grant, &terms, By::Customer(customer.person), &notice, now)
}

/// The first of two approves: nothing is opened yet.
fn approve(
    db: &mut DbConnection,
    request: &ConsentRequest,
    terms: &Terms,
    choice: Choice,
    by: PersonId,
    notice: &Notice,
    now: UtcTime,
) -> Result<()> {
    let others = asking::grantors(db, request.organisation_id)?;
    if !others.iter().any(|person| *person != by) {
        return Err(Error::Conflict(Message::new("conflict-consent-no-second")));
    }
    let pending = Pending { choice, by, at: now };
    diesel::update(consent_requests::table.find(request.id))
        .set((
            consent_requests::state.eq(RequestState::AwaitingSecond),
            consent_requests::pending_choice.eq(Json(pending)),
        ))
        .execute(db)?;
    let request = asking::by_id(db, request.id)?;
    let event = NewEvent {
        kind: EventKind::Approved,
        by: By::Customer(by),
        request: &request,
        grant: None,
        terms,
        notice: Some((&notice.sha256, notice.language)),
        detail: json!({}),
    };
    register::append(db, &event, now)
}

/// The second of two agrees to what the first approved, and to nothing else. The first approving again changes nothing.
fn second(
    db: &mut DbConnection,
    keys: &Keys,
    request: &ConsentRequest,
    customer: &CustomerActor,
    answering: Answering,
    notice: &Notice,
    now: UtcTime,
) -> Result<Outcome> {
    let pending = request.pending.as_ref().ok_or_else(|| Error::internal("nothing was approved yet"))?;
    if pending.by == customer.person {
        return Ok(Outcome::AwaitsSecond);
    }
    if answering != Answering::Whole {
        return Err(Error::Forbidden);
    }
    let first_may_still = match access::actor_of(db, pending.by)? {
        Actor::Customer(first) => {
            first.memberships.iter().any(|own| own.organisation_id == request.organisation_id && own.grants_tracing)
        }
        _ => false,
    };
    if !first_may_still {
        return Err(Error::Conflict(Message::new("conflict-consent-first-gone")));
    }
    let terms = pending.choice.of(&request.terms, pending.by)?;
    let grant = make(db, request, &terms, pending.by, Some(customer.person), now)?;
    finish(db, keys, request, &grant, &terms, By::Customer(customer.person), notice, now)
}

/// Makes the grant, unless another of the same subject runs: then the question goes on waiting, and says so.
fn make(
    db: &mut DbConnection,
    request: &ConsentRequest,
    terms: &Terms,
    granted_by: PersonId,
    seconded_by: Option<PersonId>,
    now: UtcTime,
) -> Result<Grant> {
    if grants::active_of(db, request.organisation_id, terms.subject)?.is_some() {
        return Err(Error::Conflict(Message::new("conflict-consent-running")));
    }
    let until = now.plus(TimeDelta::minutes(i64::from(terms.duration_minutes)));
    let row = (
        (
            consent_grants::organisation_id.eq(request.organisation_id),
            consent_grants::ticket_id.eq(request.ticket_id),
            consent_grants::request_id.eq(request.id),
            consent_grants::handle.eq(random_handle()),
            consent_grants::subject_kind.eq(terms.subject.kind()),
            consent_grants::subject_id.eq(terms.subject.person()),
            consent_grants::basis.eq(terms.subject.basis()),
            consent_grants::granted_by.eq(granted_by),
            consent_grants::seconded_by.eq(seconded_by),
            consent_grants::scope.eq(Json(terms.scope.clone())),
            consent_grants::level.eq(terms.scope.level()),
        ),
        (
            consent_grants::duration_minutes.eq(terms.duration_minutes),
            consent_grants::retention_days.eq(terms.retention_days),
            consent_grants::exports_allowed.eq(terms.exports_allowed),
            consent_grants::stop_condition.eq(terms.stop_condition.clone()),
            consent_grants::idle_minutes.eq(terms.idle_minutes),
            consent_grants::state.eq(GrantState::Active),
            consent_grants::granted_at.eq(now),
            consent_grants::expires_at.eq(until),
            consent_grants::version.eq(1_i64),
        ),
    );
    // The grant answers its question: the schema writes that down with it. Of two grants made at the same moment it lets
    // one be.
    let made: Result<GrantId, diesel::result::Error> = db.transaction(|db| {
        diesel::insert_into(consent_grants::table).values(row).returning(consent_grants::id).get_result(db)
    });
    match made {
        Ok(id) => {
            dialect::tell_of_grants(db)?;
            grants::by_id(db, id)
        }
        Err(error) if dialect::is_unique_violation(&error) => {
            Err(Error::Conflict(Message::new("conflict-consent-running")))
        }
        Err(error) => Err(error.into()),
    }
}

#[expect(clippy::too_many_arguments, reason = "what was granted, by whom, after which text, when")]
fn finish(
    db: &mut DbConnection,
    keys: &Keys,
    request: &ConsentRequest,
    grant: &Grant,
    terms: &Terms,
    by: By,
    notice: &Notice,
    now: UtcTime,
) -> Result<Outcome> {
    let is_all = *terms == request.terms;
    let request = asking::by_id(db, request.id)?;
    let event = NewEvent {
        kind: if is_all { EventKind::Granted } else { EventKind::GrantedNarrower },
        by,
        request: &request,
        grant: Some(grant),
        terms,
        notice: Some((&notice.sha256, notice.language)),
        detail: json!({ "by_two": grant.seconded_by.is_some() }),
    };
    register::append(db, &event, now)?;
    receipt::issue(db, keys, &request, grant, notice, now)?;
    Ok(Outcome::Granted(Box::new(grant.clone())))
}

/// Refuses. Refusing twice refuses once; nothing else follows from it for the ticket.
pub fn refuse(db: &mut DbConnection, request: &ConsentRequest, by: &Actor, now: UtcTime) -> Result<()> {
    let Actor::Customer(customer) = by else { return Err(Error::Forbidden) };
    let request = asking::hold(db, request.id)?;
    let answering = asking::answering(db, customer, &request)?.ok_or(Error::NotFound)?;
    if answering != Answering::Whole {
        return Err(Error::Forbidden);
    }
    if request.state == RequestState::Refused {
        return Ok(());
    }
    if !asking::close(db, &request, Step::Refuse, Some(customer.person), now)? {
        return Err(Error::Conflict(Message::new("conflict-consent-decided")));
    }
    let request = asking::by_id(db, request.id)?;
    asking::record(db, &request, EventKind::Refused, By::Customer(customer.person), now)
}
