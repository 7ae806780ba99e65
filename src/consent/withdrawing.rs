//! Withdrawing, and every other end of a grant. As easy as granting: one press, no reason, from the ticket, the account,
//! the banner or the mail. What was captured is destroyed at once unless the customer asks to keep it until its date.

use chrono::TimeDelta;
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::access::{Actor, CustomerActor};
use crate::clock::UtcTime;
use crate::consent::asking::{self, ConsentRequest, Terms};
use crate::consent::grants::{self, Grant};
use crate::consent::life::{self, EndReason, GrantState, RequestState, Standing, Step};
use crate::consent::receipt::{self, Counts};
use crate::consent::register::{self, By, EventKind, NewEvent};
use crate::consent::unrecorded::{End, Ender};
use crate::db::schema::consent_grants;
use crate::db::types::{ConsentRequestId, PersonId};
use crate::db::{DbConnection, dialect};
use crate::error::{Error, Result};
use crate::i18n::Message;
use crate::keys::Keys;
use crate::people::person;

/// What becomes of what was captured when a grant is withdrawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kept {
    /// It is destroyed at once.
    No,
    /// It is kept until the date that was agreed.
    UntilItsDate,
}

impl Kept {
    /// The same as far as it is `customer`'s to decide: whoever granted it and no longer may can only end it.
    pub fn by(self, customer: &CustomerActor, grant: &Grant) -> Kept {
        if grant.belongs_to(customer) { self } else { Kept::UntilItsDate }
    }
}

/// How somebody withdrew, for the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    Page,
    /// The stop link of a mail, without signing in.
    Link,
}

/// Withdraws, as somebody signed in. Withdrawing twice withdraws once. A question that is still open is refused by it: of a
/// grant and a withdrawal at the same moment, the withdrawal wins.
pub fn withdraw(db: &mut DbConnection, request: &ConsentRequest, kept: Kept, by: &Actor, now: UtcTime) -> Result<()> {
    let Actor::Customer(customer) = by else { return Err(Error::Forbidden) };
    let request = asking::hold(db, request.id)?;
    if let Some(grant) = grants::of_request(db, request.id)? {
        if !grant.may_be_withdrawn_by(customer) {
            return Err(Error::Forbidden);
        }
        return withdraw_grant(db, &grant, kept, customer, Way::Page, now);
    }
    match request.state {
        RequestState::Requested | RequestState::AwaitingSecond => {
            crate::consent::granting::refuse(db, &request, by, now)
        }
        _ => Ok(()),
    }
}

/// Withdraws by the stop link of a mail to `customer`, which is worth as much as being signed in, for this one thing.
pub fn withdraw_by_link(
    db: &mut DbConnection,
    request: ConsentRequestId,
    kept: Kept,
    customer: &CustomerActor,
    now: UtcTime,
) -> Result<()> {
    asking::hold(db, request)?;
    let grant = grants::granted(db, request)?;
    withdraw_grant(db, &grant, kept, customer, Way::Link, now)
}

fn withdraw_grant(
    db: &mut DbConnection,
    grant: &Grant,
    kept: Kept,
    customer: &CustomerActor,
    way: Way,
    now: UtcTime,
) -> Result<()> {
    let (by, kept) = (By::Customer(customer.person), kept.by(customer, grant));
    let detail = json!({
        "way": match way { Way::Page => "page", Way::Link => "link" },
        "kept": kept == Kept::UntilItsDate,
    });
    let is_ours = end(db, grant, EndReason::Withdrawn, kept, by, detail, now)?;
    // It had ended otherwise meanwhile, and what it captured would be kept, though whoever presses was told otherwise.
    if !is_ours && kept == Kept::No {
        keep_no_longer(db, grant, now)?;
    }
    Ok(())
}

/// Records an end that could not be recorded when it was decided. Nobody is asked again whether they may, since they were
/// then; recorded twice, it ended once. Nothing follows from it for a grant that is not there.
pub fn record(db: &mut DbConnection, noted: &End, now: UtcTime) -> Result<()> {
    let Some(grant) = grants::find_by_handle(db, &noted.grant)? else { return Ok(()) };
    let by = match &noted.by {
        Ender::System => By::System,
        Ender::Customer(handle) => person_of(db, handle)?.map_or(By::System, By::Customer),
        Ender::Staff(handle) => person_of(db, handle)?.map_or(By::System, By::Staff),
    };
    let detail = json!({ "way": noted.way, "kept": noted.kept == Kept::UntilItsDate, "asked_at": noted.at.rfc3339() });
    let is_ours = end(db, &grant, noted.reason, noted.kept, by, detail, now)?;
    if !is_ours && noted.kept == Kept::No {
        keep_no_longer(db, &grant, now)?;
    }
    Ok(())
}

fn person_of(db: &mut DbConnection, handle: &str) -> Result<Option<PersonId>> {
    Ok(person::find_by_handle(db, handle)?.map(|person| person.id))
}

/// Has what an ended grant captured destroyed from now on.
pub(super) fn keep_no_longer(db: &mut DbConnection, grant: &Grant, now: UtcTime) -> Result<()> {
    let later = consent_grants::table
        .find(grant.id)
        .filter(consent_grants::destroyed_at.is_null())
        .filter(consent_grants::kept_until.gt(now));
    diesel::update(later)
        .set((consent_grants::kept_until.eq(now), consent_grants::version.eq(consent_grants::version + 1)))
        .execute(db)?;
    Ok(())
}

/// Ends a grant and records why; says whether it was this that ended it. Ended twice, it ended once.
pub(super) fn end(
    db: &mut DbConnection,
    grant: &Grant,
    reason: EndReason,
    kept: Kept,
    by: By,
    detail: Value,
    now: UtcTime,
) -> Result<bool> {
    let request = asking::hold(db, grant.request_id)?;
    // What expired ended when its time was over, however late that is noticed.
    let ended_at = if reason == EndReason::Expired { grant.expires_at.min(now) } else { now };
    let kept_until = match kept {
        Kept::No => ended_at,
        Kept::UntilItsDate => ended_at.plus(TimeDelta::days(i64::from(grant.retention_days))),
    };
    let active = consent_grants::table.find(grant.id).filter(consent_grants::state.eq(GrantState::Active));
    let changed = diesel::update(active)
        .set((
            consent_grants::state.eq(GrantState::Ended),
            consent_grants::end_reason.eq(reason),
            consent_grants::ended_at.eq(ended_at),
            consent_grants::kept_until.eq(kept_until),
            consent_grants::version.eq(consent_grants::version + 1),
        ))
        .execute(db)?;
    if changed == 0 {
        return Ok(false);
    }
    dialect::tell_of_grants(db)?;
    let grant = grants::by_id(db, grant.id)?;
    let kind = match reason {
        EndReason::Withdrawn => EventKind::Withdrawn,
        EndReason::Expired => EventKind::Expired,
        _ => EventKind::Stopped,
    };
    append(db, kind, by, &request, &grant, json!({ "reason": reason, "more": detail }), now)?;
    Ok(true)
}

fn append(
    db: &mut DbConnection,
    kind: EventKind,
    by: By,
    request: &ConsentRequest,
    grant: &Grant,
    detail: Value,
    now: UtcTime,
) -> Result<()> {
    let terms = terms_of(request, grant);
    let event = NewEvent { kind, by, request, grant: Some(grant), terms: &terms, notice: None, detail };
    register::append(db, &event, now)
}

/// What was granted, in the words of what was asked.
pub fn terms_of(request: &ConsentRequest, grant: &Grant) -> Terms {
    Terms {
        subject: grant.subject,
        scope: grant.scope.clone(),
        duration_minutes: grant.duration_minutes,
        retention_days: grant.retention_days,
        exports_allowed: grant.exports_allowed,
        stop_condition: grant.stop_condition.clone(),
        idle_minutes: grant.idle_minutes,
        ..request.terms.clone()
    }
}

/// Has what was captured destroyed now rather than at its date ("delete now").
pub fn destroy_early(db: &mut DbConnection, request: &ConsentRequest, by: &Actor, now: UtcTime) -> Result<()> {
    let Actor::Customer(customer) = by else { return Err(Error::Forbidden) };
    asking::hold(db, request.id)?;
    let grant = grants::granted(db, request.id)?;
    if !grant.belongs_to(customer) {
        return Err(Error::Forbidden);
    }
    if grant.state == GrantState::Active {
        return Err(Error::Conflict(Message::new("conflict-consent-still-running")));
    }
    keep_no_longer(db, &grant, now)
}

/// Records that the key and everything it sealed are gone, and gives the certificate out. Called by whoever destroyed
/// them, in the transaction in which they did; doing it twice records it once.
pub fn destroyed(db: &mut DbConnection, keys: &Keys, grant: &Grant, counts: &Counts, now: UtcTime) -> Result<()> {
    let request = asking::hold(db, grant.request_id)?;
    let standing = if grant.state == GrantState::Ended { Standing::Ended } else { Standing::Active };
    if life::after(standing, Step::Destroy).is_none() {
        return Err(Error::internal("a capture was destroyed that had not ended"));
    }
    let there = consent_grants::table.find(grant.id).filter(consent_grants::destroyed_at.is_null());
    let changed = diesel::update(there)
        .set((consent_grants::destroyed_at.eq(now), consent_grants::version.eq(consent_grants::version + 1)))
        .execute(db)?;
    if changed == 0 {
        return Ok(());
    }
    let grant = grants::by_id(db, grant.id)?;
    append(db, EventKind::Destroyed, By::System, &request, &grant, counts.to_json(), now)?;
    receipt::certify(db, keys, &request, &grant, counts, now)
}
