//! Which organisation a job works for: its ticket's, or the one of the person it is about. A job that is about no
//! organisation is never captured.

use crate::app::App;
use crate::db::DbConnection;
use crate::db::types::{OrganisationId, PersonId};
use crate::error::Result;
use crate::gate::{self, GATE};
use crate::people::memberships;
use crate::people::notices::{self, Notice};
use crate::queue::Job;
use crate::tickets::events::{self, TICKET_CHANGED, TicketChanged};
use crate::tickets::links::{LINK_WANTED, LinkWanted};
use crate::tickets::ticket;

/// Runs `work` for the organisation that the job is for.
pub fn for_job<R>(app: &App, job: &Job, work: impl FnOnce() -> R) -> R {
    // While nobody is traced nothing is looked up, and in doubt the job is for nobody.
    let organisation =
        if GATE.level() == 0 { None } else { app.database.read_now(|db| organisation_of(db, job)).ok().flatten() };
    for_organisation(organisation, work)
}

/// Runs `work` for an organisation, if there is one.
pub fn for_organisation<R>(organisation: Option<OrganisationId>, work: impl FnOnce() -> R) -> R {
    match organisation {
        Some(organisation) => gate::scope(organisation.0, None, work),
        None => gate::outside(work),
    }
}

fn organisation_of(db: &mut DbConnection, job: &Job) -> Result<Option<OrganisationId>> {
    match job.name.as_str() {
        TICKET_CHANGED => {
            let Ok(changed) = serde_json::from_str::<TicketChanged>(&job.payload) else { return Ok(None) };
            let Some(event) = events::find(db, changed.event)? else { return Ok(None) };
            Ok(Some(ticket::by_id(db, event.ticket_id)?.organisation_id))
        }
        LINK_WANTED => {
            // What somebody typed need not be a ticket of theirs, so it is for nobody.
            let Ok(LinkWanted::Renewed { ticket, .. }) = serde_json::from_str(&job.payload) else { return Ok(None) };
            Ok(Some(ticket::by_id(db, ticket)?.organisation_id))
        }
        notices::JOB => {
            let Ok(notice) = serde_json::from_str::<Notice>(&job.payload) else { return Ok(None) };
            notice.person().map_or(Ok(None), |person| only_organisation(db, person))
        }
        _ => Ok(None),
    }
}

/// Of somebody with several it is not known which one it is for.
fn only_organisation(db: &mut DbConnection, person: PersonId) -> Result<Option<OrganisationId>> {
    Ok(match memberships::of_person(db, person)?.as_slice() {
        [only] => Some(only.organisation_id),
        _ => None,
    })
}
