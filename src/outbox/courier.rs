//! What one process remembers of a relay while it sends: whether it answers, whose turn it is, which domains are slow. It is
//! only in memory: another process finds out for itself.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::TimeDelta;

use crate::clock::UtcTime;
use crate::db::types::OrganisationId;

/// Connections to the relay at a time (O-07).
pub const CONNECTIONS: usize = 5;
/// The time between two mails: ten a second (O-07). Evenly, since a burst would have several mails under way at once, and
/// each of them would be repeated if the process were killed just then (FT-02).
const BETWEEN_MAILS: Duration = Duration::from_millis(100);
/// Pauses while the relay does not answer: at most 30 attempts an hour (FT-07).
const PAUSES_SECS: [i64; 4] = [15, 30, 60, 150];
const LONGEST_PAUSE: TimeDelta = TimeDelta::seconds(PAUSES_SECS[PAUSES_SECS.len() - 1]);
/// Deferrals in a row after which a domain gets one connection only, a fifth of all (O-07).
const SLOW_AFTER: u32 = 3;
/// Domains remembered at most.
const DOMAINS: usize = 10_000;

/// See the module.
#[derive(Default)]
pub struct Courier {
    memory: Mutex<Memory>,
}

#[derive(Default)]
struct Memory {
    failures: usize,
    /// Whether the relay answered when it was last asked; not before it was.
    works: bool,
    closed_again_at: Option<UtcTime>,
    probing: bool,
    in_flight: usize,
    last_organisation: Option<OrganisationId>,
    domains: HashMap<String, Domain>,
    next_mail_at: Option<Instant>,
}

#[derive(Default)]
struct Domain {
    in_flight: u32,
    deferrals: u32,
}

/// Leave to send one mail. It is given back when dropped.
pub struct Permit<'a> {
    courier: &'a Courier,
    domain: Option<String>,
    probe: bool,
}

impl Courier {
    /// Leave to send one mail, unless the relay does not answer for now or all connections are in use.
    pub fn permit(&self, now: UtcTime) -> Option<Permit<'_>> {
        let mut memory = self.memory();
        let probe = match memory.closed_again_at {
            // One later than any pause is from before the clock was set back (FT-06).
            Some(at) if now < at && at.since(now) <= LONGEST_PAUSE => return None,
            // One mail tries; the others wait for how it fares.
            Some(_) if memory.probing => return None,
            Some(_) => true,
            None => false,
        };
        if memory.in_flight >= CONNECTIONS {
            return None;
        }
        memory.in_flight += 1;
        memory.probing |= probe;
        Some(Permit { courier: self, domain: None, probe })
    }

    /// The organisation whose mail went last: the next one's turn comes first.
    pub fn last_organisation(&self) -> Option<OrganisationId> {
        self.memory().last_organisation
    }

    /// Remembers whose mail goes.
    pub fn goes_for(&self, organisation: Option<OrganisationId>) {
        if organisation.is_some() {
            self.memory().last_organisation = organisation;
        }
    }

    /// The relay did not answer, or not as a relay. Gives when to try again.
    pub fn relay_failed(&self, now: UtcTime) -> UtcTime {
        let mut memory = self.memory();
        let pause = PAUSES_SECS[memory.failures.min(PAUSES_SECS.len() - 1)];
        memory.failures += 1;
        memory.works = false;
        let at = now.plus(TimeDelta::seconds(pause));
        memory.closed_again_at = Some(at);
        at
    }

    /// The relay answered.
    pub fn relay_works(&self) {
        let mut memory = self.memory();
        memory.failures = 0;
        memory.works = true;
        memory.closed_again_at = None;
    }

    /// Whether this process knows that the relay answers: it did when it was last asked.
    pub fn is_known_to_work(&self) -> bool {
        self.memory().works
    }

    /// Whether the relay is being left alone for now, and until when.
    pub fn paused_until(&self, now: UtcTime) -> Option<UtcTime> {
        self.memory().closed_again_at.filter(|at| *at > now)
    }

    /// How long to wait before the next mail, so that there are not too many in a second (O-07). Counts that mail.
    pub fn pace(&self) -> Duration {
        self.pace_at(Instant::now())
    }

    fn pace_at(&self, now: Instant) -> Duration {
        let mut memory = self.memory();
        let at = memory.next_mail_at.map_or(now, |next| next.max(now));
        memory.next_mail_at = Some(at + BETWEEN_MAILS);
        at - now
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit<'_> {
    /// Whether a mail to this domain may go with this permit: a slow domain keeps one connection busy, not all.
    pub fn admits(&mut self, domain: &str) -> bool {
        let mut memory = self.courier.memory();
        if memory.domains.len() > DOMAINS {
            memory.domains.retain(|_, domain| domain.in_flight > 0 || domain.deferrals >= SLOW_AFTER);
        }
        let entry = memory.domains.entry(domain.to_owned()).or_default();
        if entry.deferrals >= SLOW_AFTER && entry.in_flight > 0 {
            return false;
        }
        entry.in_flight += 1;
        drop(memory);
        self.leave_domain();
        self.domain = Some(domain.to_owned());
        true
    }

    /// Remembers whether the domain took the mail.
    pub fn was_deferred(&self, deferred: bool) {
        let Some(name) = &self.domain else { return };
        if let Some(domain) = self.courier.memory().domains.get_mut(name) {
            domain.deferrals = if deferred { domain.deferrals.saturating_add(1) } else { 0 };
        }
    }

    fn leave_domain(&mut self) {
        let Some(name) = self.domain.take() else { return };
        if let Some(domain) = self.courier.memory().domains.get_mut(&name) {
            domain.in_flight = domain.in_flight.saturating_sub(1);
        }
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.leave_domain();
        let mut memory = self.courier.memory();
        memory.in_flight = memory.in_flight.saturating_sub(1);
        if self.probe {
            memory.probing = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ft_07_a_relay_that_is_down_is_tried_at_most_30_times_an_hour() {
        let courier = Courier::default();
        let start = UtcTime::from_seconds(1_800_000_000);
        let mut tries = 0;
        for second in 0..3_600 {
            let now = start.plus(TimeDelta::seconds(second));
            if courier.permit(now).is_some() {
                tries += 1;
                courier.relay_failed(now);
            }
        }
        assert!((20..=30).contains(&tries), "{tries}");
        let later = start.plus(TimeDelta::hours(2));
        assert!(courier.permit(later).is_some());
        courier.relay_works();
        assert!(courier.paused_until(later).is_none());
    }

    #[test]
    fn o_04_one_mail_at_a_time_tries_a_relay_that_was_down() {
        let courier = Courier::default();
        let start = UtcTime::from_seconds(1_800_000_000);
        courier.relay_failed(start);
        let later = start.plus(TimeDelta::minutes(5));
        let probe = courier.permit(later).unwrap();
        assert!(courier.permit(later).is_none());
        drop(probe);
        assert!(courier.permit(later).is_some());
    }

    #[test]
    fn o_07_five_connections_and_one_for_a_slow_domain() {
        let courier = Courier::default();
        let now = UtcTime::from_seconds(1_800_000_000);
        for _ in 0..3 {
            let mut permit = courier.permit(now).unwrap();
            assert!(permit.admits("slow.example"));
            permit.was_deferred(true);
        }
        let mut permits: Vec<_> = (0..5).map(|_| courier.permit(now).unwrap()).collect();
        assert!(courier.permit(now).is_none());
        assert!(permits[0].admits("slow.example"));
        assert!(!permits[1].admits("slow.example"));
        assert!(permits[1].admits("quick.example"));
        permits.remove(0);
        assert!(permits[1].admits("slow.example"));
    }

    #[test]
    fn o_07_mails_go_a_tenth_of_a_second_apart() {
        let courier = Courier::default();
        let start = Instant::now();
        let waits: Vec<_> = (0..4).map(|_| courier.pace_at(start).as_millis()).collect();
        assert_eq!(waits, [0, 100, 200, 300]);
        assert_eq!(courier.pace_at(start + Duration::from_millis(350)).as_millis(), 50);
        assert_eq!(courier.pace_at(start + Duration::from_secs(9)), Duration::ZERO, "a pause saves nothing up");
    }
}
