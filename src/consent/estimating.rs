//! What an agent and a customer are told to expect of a grant, from what grants before it captured. Counts only: nothing of
//! what was captured is looked at.

use diesel::prelude::*;

use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::schema::{consent_grants, trace_counters};
use crate::db::types::OrganisationId;
use crate::error::Result;

/// The latest grants looked at.
const LATEST: i64 = 20;

/// How much there may be to record, from what grants before this one captured: counts, no content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Estimate {
    /// Records an hour.
    pub hourly: i64,
    /// Whether it comes from grants of this very organisation.
    pub is_own: bool,
}

/// What grants so far captured in an hour: the organisation's own, else everybody's; nothing when there were none.
pub fn estimate(db: &mut DbConnection, organisation: OrganisationId) -> Result<Option<Estimate>> {
    for is_own in [true, false] {
        let mut query = trace_counters::table
            .inner_join(consent_grants::table)
            .filter(consent_grants::ended_at.is_not_null())
            .order(consent_grants::id.desc())
            .limit(LATEST)
            .select((trace_counters::captured, consent_grants::granted_at, consent_grants::ended_at.assume_not_null()))
            .into_boxed();
        if is_own {
            query = query.filter(consent_grants::organisation_id.eq(organisation));
        }
        let counted: Vec<(i64, UtcTime, UtcTime)> = query.load(db)?;
        let seconds: i64 = counted.iter().map(|(_, from, to)| to.since(*from).num_seconds().max(60)).sum();
        let records: i64 = counted.iter().map(|(records, ..)| records).sum();
        if seconds > 0 {
            return Ok(Some(Estimate { hourly: records.saturating_mul(3_600) / seconds, is_own }));
        }
    }
    Ok(None)
}
