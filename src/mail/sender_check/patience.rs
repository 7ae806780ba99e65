//! How long mail may wait for DNS. Each mail waits for some seconds at most (FT-31); all of them together, and those of one
//! organisation, for so many in a minute. Whoever has mail looked up in names that never answer uses that up and no more: the
//! mail behind goes on, and what is remembered of its senders still counts.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

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
    /// For how long any mail was waiting, however many at a time: those that wait side by side hold up the others once.
    all: Duration,
    of: HashMap<String, Duration>,
    /// Mails that wait now, and since when there is one.
    waiting: u32,
    waiting_since: Option<Instant>,
}

impl Patience {
    /// How long a mail of `organisation` may wait from now on; it does until [`Patience::end`].
    pub(super) fn begin(&self, organisation: &str, now: UtcTime, at: Instant) -> Duration {
        let mut spent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        spent.renew(now, at);
        let of_organisation = spent.of.get(organisation).copied().unwrap_or_default();
        let under_way = spent.waiting_since.map_or(Duration::ZERO, |since| at.saturating_duration_since(since));
        let left = OF_ALL.saturating_sub(spent.all + under_way).min(OF_AN_ORGANISATION.saturating_sub(of_organisation));
        spent.waiting += 1;
        spent.waiting_since.get_or_insert(at);
        left.clamp(LEAST, OF_A_MAIL)
    }

    /// A mail of `organisation` has waited so long.
    pub(super) fn end(&self, organisation: &str, waited: Duration, now: UtcTime, at: Instant) {
        let mut spent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        spent.renew(now, at);
        spent.waiting = spent.waiting.saturating_sub(1);
        if spent.waiting == 0
            && let Some(since) = spent.waiting_since.take()
        {
            let together = at.saturating_duration_since(since);
            if together > LEAST / 2 {
                spent.all += together;
            }
        }
        // What is remembered costs next to nothing, and would make the list long.
        if waited > LEAST / 2 {
            *spent.of.entry(organisation.to_owned()).or_default() += waited;
        }
    }
}

impl Spent {
    fn renew(&mut self, now: UtcTime, at: Instant) {
        let is_over = self.since.is_none_or(|since| {
            let age = now.since(since);
            age >= TimeDelta::minutes(1) || age < TimeDelta::zero()
        });
        if is_over {
            let waiting_since = self.waiting_since.map(|_| at);
            *self = Spent { since: Some(now), waiting: self.waiting, waiting_since, ..Spent::default() };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Mails one after another, each waiting as long as it may.
    fn wait(patience: &Patience, organisation: &str, now: UtcTime, at: &mut Instant) -> Duration {
        let left = patience.begin(organisation, now, *at);
        *at += left;
        patience.end(organisation, left, now, *at);
        left
    }

    fn left(patience: &Patience, organisation: &str, now: UtcTime, at: Instant) -> Duration {
        let left = patience.begin(organisation, now, at);
        patience.end(organisation, Duration::ZERO, now, at);
        left
    }

    #[test]
    fn ft_31_one_sender_s_slow_names_leave_time_for_everybody_else() {
        let (patience, now, mut at) = (Patience::default(), UtcTime::from_seconds(1_800_000_000), Instant::now());
        for _ in 0..10 {
            wait(&patience, "slow.example", now, &mut at);
        }
        assert_eq!(left(&patience, "slow.example", now, at), LEAST);
        assert_eq!(left(&patience, "acme.example", now, at), OF_A_MAIL);
    }

    #[test]
    fn ft_31_mails_that_wait_side_by_side_take_no_more_of_everybody_s_patience_than_one() {
        let (patience, now, mut at) = (Patience::default(), UtcTime::from_seconds(1_800_000_000), Instant::now());
        for mail in 0..16 {
            assert_eq!(patience.begin(&format!("slow{mail}.example"), now, at), OF_A_MAIL);
        }
        at += OF_A_MAIL;
        for mail in 0..16 {
            patience.end(&format!("slow{mail}.example"), OF_A_MAIL, now, at);
        }
        assert_eq!(left(&patience, "acme.example", now, at), OF_A_MAIL);
        for mail in 0..16 {
            patience.begin(&format!("slow{mail}.example"), now, at);
        }
        at += OF_ALL;
        assert_eq!(left(&patience, "acme.example", now, at), LEAST, "those under way count");
    }

    #[test]
    fn ft_31_however_many_senders_have_slow_names_mail_waits_for_part_of_a_minute_and_again_in_the_next() {
        let (patience, now, mut at) = (Patience::default(), UtcTime::from_seconds(1_800_000_000), Instant::now());
        let mut waited = Duration::ZERO;
        for sender in 0..1_000 {
            waited += wait(&patience, &format!("slow{sender}.example"), now, &mut at);
        }
        assert!(waited < OF_ALL + OF_A_MAIL + LEAST * 1_000, "{waited:?}");
        assert_eq!(left(&patience, "acme.example", now, at), LEAST);
        assert_eq!(left(&patience, "acme.example", now.plus(TimeDelta::minutes(1)), at), OF_A_MAIL);
    }

    #[test]
    fn ft_31_a_clock_that_went_back_does_not_make_mail_impatient() {
        let (patience, now, at) = (Patience::default(), UtcTime::from_seconds(1_800_000_000), Instant::now());
        patience.begin("acme.example", now, at);
        patience.end("acme.example", OF_ALL, now, at + OF_ALL);
        assert_eq!(left(&patience, "acme.example", now.plus(TimeDelta::hours(-3)), at + OF_ALL), OF_A_MAIL);
    }
}
