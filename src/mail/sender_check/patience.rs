//! How long mail may wait for DNS. Each mail waits for some seconds at most (FT-31); all of them together, and those of one
//! organisation, for so many in a minute. Whoever has mail looked up in names that never answer uses that up and no more: the
//! mail behind goes on, and what is remembered of its senders still counts.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::TimeDelta;

use crate::clock::UtcTime;

/// All look-ups for one mail.
const OF_A_MAIL: Duration = Duration::from_secs(5);
/// The same in a minute, for mail of one organisation, and for all mail.
const OF_AN_ORGANISATION: Duration = Duration::from_secs(6);
const OF_ALL: Duration = Duration::from_secs(24);
/// What is left when nothing is left: for what is remembered.
const LEAST: Duration = Duration::from_millis(50);

/// What was spent in a minute.
#[derive(Default)]
pub(super) struct Patience(Mutex<Spent>);

#[derive(Default)]
struct Spent {
    /// When the minute began.
    since: Option<UtcTime>,
    all: Duration,
    of: HashMap<String, Duration>,
}

impl Patience {
    /// How long a mail of `organisation` may wait now.
    pub(super) fn left(&self, organisation: &str, now: UtcTime) -> Duration {
        let mut spent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        spent.renew(now);
        let of_organisation = spent.of.get(organisation).copied().unwrap_or_default();
        let left = OF_ALL.saturating_sub(spent.all).min(OF_AN_ORGANISATION.saturating_sub(of_organisation));
        left.clamp(LEAST, OF_A_MAIL)
    }

    /// A mail of `organisation` has waited so long.
    pub(super) fn spend(&self, organisation: &str, waited: Duration, now: UtcTime) {
        let mut spent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        spent.renew(now);
        // What is remembered costs next to nothing, and would make the list long.
        if waited > LEAST / 2 {
            spent.all += waited;
            *spent.of.entry(organisation.to_owned()).or_default() += waited;
        }
    }
}

impl Spent {
    fn renew(&mut self, now: UtcTime) {
        let is_over = self.since.is_none_or(|since| {
            let age = now.since(since);
            age >= TimeDelta::minutes(1) || age < TimeDelta::zero()
        });
        if is_over {
            *self = Spent { since: Some(now), ..Spent::default() };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ft_31_one_sender_s_slow_names_leave_time_for_everybody_else() {
        let (patience, now) = (Patience::default(), UtcTime::from_seconds(1_800_000_000));
        for _ in 0..10 {
            patience.spend("slow.example", patience.left("slow.example", now), now);
        }
        assert_eq!(patience.left("slow.example", now), LEAST);
        assert_eq!(patience.left("acme.example", now), OF_A_MAIL);
    }

    #[test]
    fn ft_31_however_many_senders_have_slow_names_mail_waits_for_part_of_a_minute_and_again_in_the_next() {
        let (patience, now) = (Patience::default(), UtcTime::from_seconds(1_800_000_000));
        let mut waited = Duration::ZERO;
        for sender in 0..1_000 {
            let organisation = format!("slow{sender}.example");
            let left = patience.left(&organisation, now);
            patience.spend(&organisation, left, now);
            waited += left;
        }
        assert!(waited < OF_ALL + OF_A_MAIL + LEAST * 1_000, "{waited:?}");
        assert_eq!(patience.left("acme.example", now), LEAST);
        assert_eq!(patience.left("acme.example", now.plus(TimeDelta::minutes(1))), OF_A_MAIL);
    }

    #[test]
    fn ft_31_a_clock_that_went_back_does_not_make_mail_impatient() {
        let (patience, now) = (Patience::default(), UtcTime::from_seconds(1_800_000_000));
        patience.spend("acme.example", OF_ALL, now);
        assert_eq!(patience.left("acme.example", now.plus(TimeDelta::hours(-3))), OF_A_MAIL);
    }
}
