//! Where a ticket stands: waiting for us, waiting for the customer, or closed.

use crate::access::{self, Actor};
use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::types::text_enum;
use crate::error::{Error, Result};
use crate::i18n::Message;
use crate::tickets::events::{self, Details, EventKind, NewEvent};
use crate::tickets::ticket::{self, Change, Ticket};

text_enum! {
    /// Whose turn it is.
    pub enum Status {
        WaitingForUs = "waiting_for_us",
        WaitingForCustomer = "waiting_for_customer",
        Closed = "closed",
    }
}

/// Why a status changes, which decides what it may become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// An agent says so.
    ByAgent,
    /// The customer says so.
    ByCustomer,
    /// A message of the customer came.
    CustomerMessage,
    /// An agent's reply goes out.
    Reply,
}

impl Occasion {
    /// Every occasion, for tests of the whole table.
    pub const ALL: [Occasion; 4] =
        [Occasion::ByAgent, Occasion::ByCustomer, Occasion::CustomerMessage, Occasion::Reply];
}

/// Whether a ticket may go from one status to another on that occasion. What stays is no change and always
/// allowed, except by hand, where it means that somebody else was faster.
pub fn may_become(from: Status, to: Status, occasion: Occasion) -> bool {
    use Status::{Closed, WaitingForCustomer, WaitingForUs};
    match (occasion, from, to) {
        (Occasion::CustomerMessage, _, to) => to == WaitingForUs,
        (Occasion::Reply, _, _) => true,
        (Occasion::ByAgent, Closed, WaitingForCustomer) => false,
        (Occasion::ByAgent, from, to) => from != to,
        (Occasion::ByCustomer, WaitingForUs | WaitingForCustomer, Closed) => true,
        (Occasion::ByCustomer, Closed, WaitingForUs) => true,
        (Occasion::ByCustomer, _, _) => false,
    }
}

/// Sets the status: agents as their table allows, customers close and reopen.
pub fn set(db: &mut DbConnection, ticket: &Ticket, to: Status, by: &Actor, now: UtcTime) -> Result<()> {
    let occasion = match by {
        Actor::Customer(_) => Occasion::ByCustomer,
        Actor::LinkHolder { .. } => return Err(Error::Forbidden),
        Actor::Staff(_) | Actor::System if access::can_work_on(by, &ticket.facts()) => Occasion::ByAgent,
        Actor::Staff(_) | Actor::System => return Err(Error::Forbidden),
    };
    if !may_become(ticket.status, to, occasion) {
        return Err(Error::Conflict(Message::new("ticket-status-not-possible")));
    }
    ticket::change(db, ticket, change_to(ticket, to, now), now)?;
    record_change(db, ticket, to, NewEvent::by(by, EventKind::StatusChanged), now)
}

/// The changes of the row that go with a new status.
pub(super) fn change_to(ticket: &Ticket, to: Status, now: UtcTime) -> Change {
    if ticket.status == to {
        return Change::default();
    }
    Change {
        status: Some(to),
        waiting_since: Some(now),
        closed_at: Some((to == Status::Closed).then_some(now)),
        ..Change::default()
    }
}

/// Records that the status of `ticket`, which is as it was before, became `to`.
pub(super) fn record_change(
    db: &mut DbConnection,
    ticket: &Ticket,
    to: Status,
    event: NewEvent,
    now: UtcTime,
) -> Result<()> {
    let details = Details {
        from: Some(ticket.status.as_str().to_owned()),
        to: Some(to.as_str().to_owned()),
        ..Details::default()
    };
    events::record(db, ticket, NewEvent { kind: EventKind::StatusChanged, details, ..event }, now)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn x_04_a_status_changes_only_as_the_table_says() {
        use Occasion::{ByAgent, ByCustomer, CustomerMessage, Reply};
        use Status::{Closed, WaitingForCustomer, WaitingForUs};
        let legal = [
            (ByAgent, WaitingForUs, WaitingForCustomer),
            (ByAgent, WaitingForUs, Closed),
            (ByAgent, WaitingForCustomer, WaitingForUs),
            (ByAgent, WaitingForCustomer, Closed),
            (ByAgent, Closed, WaitingForUs),
            (ByCustomer, WaitingForUs, Closed),
            (ByCustomer, WaitingForCustomer, Closed),
            (ByCustomer, Closed, WaitingForUs),
            (CustomerMessage, WaitingForUs, WaitingForUs),
            (CustomerMessage, WaitingForCustomer, WaitingForUs),
            (CustomerMessage, Closed, WaitingForUs),
            (Reply, WaitingForUs, WaitingForUs),
            (Reply, WaitingForUs, WaitingForCustomer),
            (Reply, WaitingForUs, Closed),
            (Reply, WaitingForCustomer, WaitingForUs),
            (Reply, WaitingForCustomer, WaitingForCustomer),
            (Reply, WaitingForCustomer, Closed),
            (Reply, Closed, WaitingForUs),
            (Reply, Closed, WaitingForCustomer),
            (Reply, Closed, Closed),
        ];
        for occasion in Occasion::ALL {
            for from in Status::ALL {
                for to in Status::ALL {
                    assert_eq!(
                        may_become(*from, *to, occasion),
                        legal.contains(&(occasion, *from, *to)),
                        "{occasion:?} {from} {to}"
                    );
                }
            }
        }
    }
}
