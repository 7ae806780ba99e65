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
use crate::db::types::ConsentRequestId;
use crate::error::Result;

/// Ends the grants whose time is over; gives how many.
pub fn expire_due(db: &mut DbConnection, now: UtcTime) -> Result<usize> {
    let mut ended = 0;
    for grant in grants::all_active(db)?.into_iter().filter(|grant| !grant.is_live(now)) {
        let is_ours = withdrawing::end(db, &grant, EndReason::Expired, Kept::UntilItsDate, By::System, json!({}), now)?;
        ended += usize::from(is_ours);
    }
    Ok(ended)
}

/// Lets the questions lapse that waited long enough; gives how many.
pub fn lapse_due(db: &mut DbConnection, now: UtcTime) -> Result<usize> {
    let due: Vec<ConsentRequestId> = consent_requests::table
        .filter(consent_requests::state.eq_any([RequestState::Requested, RequestState::AwaitingSecond]))
        .filter(consent_requests::expires_at.le(now))
        .order(consent_requests::id)
        .select(consent_requests::id)
        .load(db)?;
    let mut lapsed = 0;
    for id in due {
        let request = asking::hold(db, id)?;
        if asking::close(db, &request, Step::Lapse, None, now)? {
            let request = asking::by_id(db, id)?;
            asking::record(db, &request, EventKind::Lapsed, By::System, now)?;
            lapsed += 1;
        }
    }
    Ok(lapsed)
}
