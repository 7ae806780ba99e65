//! What ends by itself: a grant when its time is over, a question that nobody answered. Grants are looked at by time of
//! day at each use too; this writes down what has already come true.

use diesel::prelude::*;
use serde_json::json;

use crate::clock::UtcTime;
use crate::consent::asking;
use crate::consent::grants;
use crate::consent::life::{EndReason, RequestState, Step};
use crate::consent::register::{By, EventKind};
use crate::consent::withdrawing::{self, Kept};
use crate::db::DbConnection;
use crate::db::schema::consent_requests;
use crate::db::types::{ConsentRequestId, GrantId};
use crate::error::Result;

/// The grants whose time is over. Each is for [`expire`], in a transaction of its own.
pub fn due(db: &mut DbConnection, now: UtcTime) -> Result<Vec<GrantId>> {
    let over = grants::all_active(db)?.into_iter().filter(|grant| !grant.is_live(now));
    Ok(over.map(|grant| grant.id).collect())
}

/// Ends a grant whose time is over.
pub fn expire(db: &mut DbConnection, grant: GrantId, now: UtcTime) -> Result<()> {
    let grant = grants::hold(db, grant)?;
    if grant.is_live(now) {
        return Ok(());
    }
    withdrawing::end(db, &grant, EndReason::Expired, Kept::UntilItsDate, By::System, json!({}), now).map(drop)
}

/// The questions that waited long enough. Each is for [`lapse`], in a transaction of its own.
pub fn unanswered(db: &mut DbConnection, now: UtcTime) -> Result<Vec<ConsentRequestId>> {
    Ok(consent_requests::table
        .filter(consent_requests::state.eq_any([RequestState::Requested, RequestState::AwaitingSecond]))
        .filter(consent_requests::expires_at.le(now))
        .order(consent_requests::id)
        .select(consent_requests::id)
        .load(db)?)
}

/// Lets a question lapse that waited long enough.
pub fn lapse(db: &mut DbConnection, request: ConsentRequestId, now: UtcTime) -> Result<()> {
    let request = asking::hold(db, request)?;
    if now >= request.expires_at && asking::close(db, &request, Step::Lapse, None, now)? {
        let request = asking::by_id(db, request.id)?;
        asking::record(db, &request, EventKind::Lapsed, By::System, now)?;
    }
    Ok(())
}
