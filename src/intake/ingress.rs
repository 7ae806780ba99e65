//! How much mail is taken from one sender, from one domain and for one mailbox before the mail server that hands it over is
//! asked to wait (S-08). Nothing is lost by that: whoever hands mail over keeps what is not taken, and tries again. Counted
//! in each process and forgotten when it ends, for a count in the database would cost every mail a commit: this keeps a
//! program that runs wild from filling the disk, and what mail does once it is in has limits of its own (`intake::floods`).

use std::hash::BuildHasher;
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::Reference;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};

use crate::clock::Clock;
use crate::config::limits::LimitsConfig;
use crate::db::types::MailboxId;
use crate::mail::address::EmailAddress;

/// Names remembered before those whose buckets are empty again are forgotten.
const REMEMBERED: usize = 10_000;

/// Our clock, as the library asks it.
#[derive(Clone)]
struct Running(Clock);

impl governor::clock::Clock for Running {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Nanos::from(self.0.monotonic_nanos())
    }
}

/// Buckets by the hash of what they are for, of one size: so much at once, and as much again over an hour.
struct Buckets {
    limiter: RateLimiter<u64, HashMapStateStore<u64>, Running, NoOpMiddleware<Nanos>>,
    clock: Running,
}

impl Buckets {
    fn new(an_hour: NonZeroU32, clock: &Clock) -> Buckets {
        let clock = Running(clock.clone());
        let limiter = RateLimiter::new(Quota::per_hour(an_hour), HashMapStateStore::default(), clock.clone());
        Buckets { limiter, clock }
    }

    fn take(&self, key: u64) -> Result<(), Duration> {
        if self.limiter.len() > REMEMBERED {
            self.limiter.retain_recent();
        }
        self.limiter.check_key(&key).map_err(|not_yet| {
            let wait = not_yet.earliest_possible().duration_since(governor::clock::Clock::now(&self.clock));
            wait.into()
        })
    }
}

/// All of them.
pub struct Ingress {
    senders: Buckets,
    domains: Buckets,
    mailboxes: Buckets,
    hasher: std::hash::RandomState,
}

impl Ingress {
    /// Empty ones.
    pub fn new(limits: &LimitsConfig, clock: &Clock) -> Ingress {
        Ingress {
            senders: Buckets::new(limits.mails_per_sender_hour, clock),
            domains: Buckets::new(limits.mails_per_domain_hour, clock),
            mailboxes: Buckets::new(limits.mails_per_mailbox_hour, clock),
            hasher: std::hash::RandomState::new(),
        }
    }

    /// Counts a mail of this sender by its envelope, or says for how long to wait. The null sender is everybody's, and so
    /// is what is no address: there the mailbox alone counts.
    pub fn take_from(&self, envelope_from: &str) -> Result<(), Duration> {
        let Some(sender) = EmailAddress::parse(envelope_from) else { return Ok(()) };
        self.senders.take(self.hasher.hash_one(sender.canonical()))?;
        self.domains.take(self.hasher.hash_one(sender.domain()))
    }

    /// Counts a mail for this mailbox, or says for how long to wait.
    pub fn take_for(&self, mailbox: MailboxId) -> Result<(), Duration> {
        self.mailboxes.take(self.hasher.hash_one(mailbox.0))
    }
}

impl std::fmt::Debug for Ingress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ingress").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::clock::UtcTime;

    fn limits() -> LimitsConfig {
        let number = |number| NonZeroU32::new(number).unwrap();
        LimitsConfig {
            mail_bytes: 0,
            upload_bytes: 0,
            sign_in_attempts_per_hour: 0,
            mails_per_sender_hour: number(60),
            mails_per_domain_hour: number(100),
            mails_per_mailbox_hour: number(150),
        }
    }

    #[test]
    fn s_08_a_sender_waits_after_as_many_as_an_hour_allows_and_goes_on_at_that_pace() {
        let clock = Clock::at(UtcTime::from_seconds(0));
        let ingress = Ingress::new(&limits(), &clock);
        let taken = |from: &str| (0..1_000).take_while(|_| ingress.take_from(from).is_ok()).count();
        assert_eq!(taken("machine@acme.example"), 60);
        let wait = ingress.take_from("Machine@ACME.example").unwrap_err();
        assert_eq!(wait.as_secs(), 60);
        // A colleague has their own, as long as the domain has.
        assert_eq!(taken("claire@acme.example"), 40);
        assert_eq!(taken("luc@acme.example"), 0);
        assert_eq!(taken("odette@elsewhere.example"), 60);
        clock.advance(TimeDelta::minutes(1));
        assert_eq!(taken("machine@acme.example"), 1);
        clock.advance(TimeDelta::hours(1));
        assert_eq!(taken("machine@acme.example"), 60);
    }

    #[test]
    fn s_08_the_null_sender_is_everybody_and_a_mailbox_has_an_end_too() {
        let ingress = Ingress::new(&limits(), &Clock::at(UtcTime::from_seconds(0)));
        assert!((0..1_000).all(|_| ingress.take_from("<>").is_ok()));
        let taken = |mailbox| (0..1_000).take_while(|_| ingress.take_for(MailboxId(mailbox)).is_ok()).count();
        assert_eq!((taken(1), taken(1), taken(2)), (150, 0, 150));
    }

    #[test]
    fn s_08_who_is_long_gone_is_forgotten() {
        let clock = Clock::at(UtcTime::from_seconds(0));
        let ingress = Ingress::new(&limits(), &clock);
        for number in 0..=REMEMBERED {
            ingress.take_from(&format!("x@d{number}.example")).unwrap();
        }
        clock.advance(TimeDelta::hours(2));
        ingress.take_from("x@d.example").unwrap();
        assert_eq!(ingress.senders.limiter.len(), 1);
        assert_eq!(ingress.domains.limiter.len(), 1);
    }
}
