//! The life of a consent as one table: where it stands, what may happen there, and where that leads. The schema's own
//! table (triggers on `consent_requests` and `consent_grants`) says the same; a test compares the two.

use crate::db::types::text_enum;

text_enum! {
    /// Where a question stands, as the database has it.
    pub enum RequestState {
        Requested = "requested",
        /// One of the organisation approved; another must.
        AwaitingSecond = "awaiting_second",
        Granted = "granted",
        Refused = "refused",
        /// Nobody answered in time.
        Lapsed = "lapsed",
        /// The agent took it back.
        Cancelled = "cancelled",
    }
}

text_enum! {
    /// Where a grant stands, as the database has it.
    pub enum GrantState {
        Active = "active",
        Ended = "ended",
    }
}

text_enum! {
    /// Why a grant ended.
    pub enum EndReason {
        /// The customer withdrew it.
        Withdrawn = "withdrawn",
        /// Its time was over.
        Expired = "expired",
        /// An agent needed no more.
        StoppedByOperator = "stopped_by_operator",
        TicketClosed = "ticket_closed",
        /// Nobody takes care of the ticket any more.
        Unassigned = "unassigned",
        /// What was looked for was seen.
        Reproduced = "reproduced",
        /// Nobody looked at it for as long as was agreed.
        Unread = "unread",
        /// The clock went back: nobody knows what time it is.
        ClockDoubt = "clock_doubt",
        /// Who granted it is no longer somebody who may.
        MembershipEnded = "membership_ended",
    }
}

/// Where a consent stands, from the question to the destruction of what was captured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Standing {
    Unasked,
    Requested,
    AwaitingSecond,
    Active,
    Ended,
    Destroyed,
    Refused,
    Lapsed,
    Cancelled,
}

impl Standing {
    pub const ALL: [Standing; 9] = [
        Standing::Unasked,
        Standing::Requested,
        Standing::AwaitingSecond,
        Standing::Active,
        Standing::Ended,
        Standing::Destroyed,
        Standing::Refused,
        Standing::Lapsed,
        Standing::Cancelled,
    ];

    /// Where a question stands that has this row, and no grant yet if it was granted.
    pub fn of_request(state: RequestState) -> Standing {
        match state {
            RequestState::Requested => Standing::Requested,
            RequestState::AwaitingSecond => Standing::AwaitingSecond,
            RequestState::Granted => Standing::Active,
            RequestState::Refused => Standing::Refused,
            RequestState::Lapsed => Standing::Lapsed,
            RequestState::Cancelled => Standing::Cancelled,
        }
    }
}

/// What may happen to a consent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// An agent asks.
    Ask,
    /// The first of two approves.
    Approve,
    /// It is granted: by one, or by the second of two.
    Grant,
    Refuse,
    Lapse,
    Cancel,
    /// It ends, for whatever reason.
    End,
    /// What was captured is gone.
    Destroy,
}

impl Step {
    pub const ALL: [Step; 8] =
        [Step::Ask, Step::Approve, Step::Grant, Step::Refuse, Step::Lapse, Step::Cancel, Step::End, Step::Destroy];
}

/// Where `step` leads from `standing`; nothing where it is not possible.
pub fn after(standing: Standing, step: Step) -> Option<Standing> {
    use Standing::{Active, AwaitingSecond, Cancelled, Destroyed, Ended, Lapsed, Refused, Requested, Unasked};
    match (standing, step) {
        (Unasked, Step::Ask) => Some(Requested),
        (Requested, Step::Approve) => Some(AwaitingSecond),
        (Requested | AwaitingSecond, Step::Grant) => Some(Active),
        (Requested | AwaitingSecond, Step::Refuse) => Some(Refused),
        (Requested | AwaitingSecond, Step::Lapse) => Some(Lapsed),
        (Requested | AwaitingSecond, Step::Cancel) => Some(Cancelled),
        (Active, Step::End) => Some(Ended),
        (Ended, Step::Destroy) => Some(Destroyed),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_life_of_a_consent_has_these_steps_and_no_others() {
        use Standing::{Active, AwaitingSecond, Cancelled, Destroyed, Ended, Lapsed, Refused, Requested, Unasked};
        let legal = [
            (Unasked, Step::Ask, Requested),
            (Requested, Step::Approve, AwaitingSecond),
            (Requested, Step::Grant, Active),
            (Requested, Step::Refuse, Refused),
            (Requested, Step::Lapse, Lapsed),
            (Requested, Step::Cancel, Cancelled),
            (AwaitingSecond, Step::Grant, Active),
            (AwaitingSecond, Step::Refuse, Refused),
            (AwaitingSecond, Step::Lapse, Lapsed),
            (AwaitingSecond, Step::Cancel, Cancelled),
            (Active, Step::End, Ended),
            (Ended, Step::Destroy, Destroyed),
        ];
        for standing in Standing::ALL {
            for step in Step::ALL {
                let expected = legal.iter().find(|(from, by, _)| (*from, *by) == (standing, step)).map(|(.., to)| *to);
                assert_eq!(after(standing, step), expected, "{standing:?} {step:?}");
            }
        }
    }

    #[test]
    fn cn_08_nothing_leads_back_to_active() {
        for standing in [Standing::Ended, Standing::Destroyed, Standing::Refused, Standing::Lapsed, Standing::Cancelled]
        {
            let mut reached = vec![standing];
            for _ in Standing::ALL {
                let next: Vec<Standing> =
                    reached.iter().flat_map(|from| Step::ALL.iter().filter_map(|step| after(*from, *step))).collect();
                reached.extend(next);
            }
            assert!(!reached.contains(&Standing::Active), "{standing:?}");
        }
    }
}
