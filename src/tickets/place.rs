//! Where a matter is at home: the site of an intervention (E3) and the environment (configuration data) it concerns.

use diesel::prelude::*;

use crate::access::{self, Actor};
use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::schema::{environments, sites};
use crate::db::types::{EnvironmentId, OrganisationId, QueueId, SiteId};
use crate::error::{Error, FieldErrors, Result};
use crate::teams::queues::{self, QueueKind};
use crate::tickets::events::{self, EventKind, NewEvent};
use crate::tickets::messages::Channel;
use crate::tickets::ticket::{self, Change, Ticket};

/// Says where the matter is at home; both must be the organisation's.
pub fn set(
    db: &mut DbConnection,
    ticket: &Ticket,
    site: Option<SiteId>,
    environment: Option<EnvironmentId>,
    by: &Actor,
    now: UtcTime,
) -> Result<()> {
    if !access::can_work_on(by, &ticket.facts()) {
        return Err(Error::Forbidden);
    }
    check(db, ticket.organisation_id, ticket.queue_id, ticket.channel, site, environment)?.into_result()?;
    if (ticket.site_id, ticket.environment_id) == (site, environment) {
        return Ok(());
    }
    let change = Change { site_id: Some(site), environment_id: Some(environment), ..Change::default() };
    ticket::change(db, ticket, change, now)?;
    events::record(db, ticket, NewEvent::by(by, EventKind::PlaceChanged), now)?;
    Ok(())
}

/// What is wrong with a place: it is another organisation's, or an intervention names no site (E3). A mail, a fax or a
/// letter cannot be sent back to have its site filled in, so there an agent adds it.
pub(super) fn check(
    db: &mut DbConnection,
    organisation: OrganisationId,
    queue: QueueId,
    channel: Channel,
    site: Option<SiteId>,
    environment: Option<EnvironmentId>,
) -> Result<FieldErrors> {
    let mut errors = FieldErrors::default();
    if let Some(site) = site {
        let of: Option<OrganisationId> = sites::table.find(site).select(sites::organisation_id).first(db).optional()?;
        if of != Some(organisation) {
            errors.add("site", "site-unknown");
        }
    } else if matches!(channel, Channel::Web | Channel::Api | Channel::Telephone)
        && queues::by_id(db, queue)?.kind == QueueKind::Intervention
    {
        errors.add("site", "site-required");
    }
    if let Some(environment) = environment {
        let of: Option<OrganisationId> =
            environments::table.find(environment).select(environments::organisation_id).first(db).optional()?;
        if of != Some(organisation) {
            errors.add("environment", "environment-unknown");
        }
    }
    Ok(errors)
}
