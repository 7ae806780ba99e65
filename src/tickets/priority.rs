//! How urgent a ticket is.

use crate::access::{self, Actor};
use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::types::text_enum;
use crate::error::{Error, Result};
use crate::tickets::events::{self, Details, EventKind, NewEvent};
use crate::tickets::ticket::{self, Change, Ticket};

text_enum! {
    /// How urgent it is.
    pub enum Priority {
        Low = "low",
        Normal = "normal",
        High = "high",
        Urgent = "urgent",
    }
}

/// Sets the priority; one that stands already is no change.
pub fn set(db: &mut DbConnection, ticket: &Ticket, to: Priority, by: &Actor, now: UtcTime) -> Result<()> {
    if !access::can_work_on(by, &ticket.facts()) {
        return Err(Error::Forbidden);
    }
    if ticket.priority == to {
        return Ok(());
    }
    ticket::change(db, ticket, Change { priority: Some(to), ..Change::default() }, now)?;
    let details = Details {
        from: Some(ticket.priority.as_str().to_owned()),
        to: Some(to.as_str().to_owned()),
        ..Details::default()
    };
    events::record(db, ticket, NewEvent::by(by, EventKind::PriorityChanged).with(details), now)?;
    Ok(())
}
