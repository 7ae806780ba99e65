//! Records that were looked up, for as long as they hold; or all that there are, where there is no DNS to ask.

use std::borrow::Borrow;
use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use chrono::TimeDelta;
use mail_auth::common::parse::TxtRecordParser;
use mail_auth::common::verify::DomainKey;
use mail_auth::dmarc::Dmarc;
use mail_auth::hickory_resolver::proto::op::ResponseCode;
use mail_auth::spf::Spf;
use mail_auth::{DnsError, Error, MX, RecordSet, ResolverCache, Txt};

use crate::clock::UtcTime;

/// However short a record says that it holds, or how long (AU-04).
const SHORTEST: TimeDelta = TimeDelta::minutes(15);
const LONGEST: TimeDelta = TimeDelta::hours(24);
/// Records remembered at most. A sender makes as many as they like, each as large as they like up to 64 KiB, and what lists
/// addresses for reports is taken apart into more than that; such a one is looked up each time.
const MOST: usize = 500;
const MOST_REPORT_ADDRESSES: usize = 16;
/// Who publishes such a key is trying, and signs nothing yet (RFC 6376, 3.6.1: `t=y`).
const TESTING: u64 = 0x10;

/// Directives of an SPF record that is remembered; one that asks for more than ten look-ups counts for nothing.
const MOST_DIRECTIVES: usize = 200;
/// Addresses, or names of mail servers, under one name that are remembered.
const MOST_ADDRESSES: usize = 50;

/// See the module. Records for SPF are kept apart: one of them names any other name to be looked up, and what is found there,
/// or is not, says nothing of a key or a policy under that name.
#[derive(Default)]
pub(super) struct Records {
    found: Remembered<Txt>,
    paths: Remembered<Txt>,
    exchanges: Remembered<RecordSet<MX>>,
    addresses: Remembered<RecordSet<Ipv4Addr>>,
    addresses6: Remembered<RecordSet<Ipv6Addr>>,
    /// All that there are.
    only: Option<HashMap<Box<str>, Txt>>,
}

/// The texts at a moment, as the library asks for them.
pub(super) struct RecordsAt<'a> {
    only: Option<&'a HashMap<Box<str>, Txt>>,
    remembered: &'a Remembered<Txt>,
    is_kept: fn(&Txt) -> bool,
    now: UtcTime,
}

/// The names or addresses at a moment.
pub(super) struct AddressesAt<'a, T> {
    remembered: &'a Remembered<RecordSet<T>>,
    now: UtcTime,
}

impl Records {
    /// These, and no others.
    pub(super) fn only(texts: &BTreeMap<String, Vec<String>>) -> Records {
        let only =
            texts.iter().map(|(name, texts)| (format!("{name}.").into_boxed_str(), record(name, texts))).collect();
        Records { only: Some(only), ..Records::default() }
    }

    /// Keys and policies.
    pub(super) fn at(&self, now: UtcTime) -> RecordsAt<'_> {
        RecordsAt { only: self.only.as_ref(), remembered: &self.found, is_kept: is_small, now }
    }

    /// The texts of SPF.
    pub(super) fn of_paths_at(&self, now: UtcTime) -> RecordsAt<'_> {
        RecordsAt { only: self.only.as_ref(), remembered: &self.paths, is_kept: is_small_path, now }
    }

    /// The mail servers of names.
    pub(super) fn exchanges_at(&self, now: UtcTime) -> AddressesAt<'_, MX> {
        AddressesAt { remembered: &self.exchanges, now }
    }

    /// The addresses of names.
    pub(super) fn addresses_at(&self, now: UtcTime) -> AddressesAt<'_, Ipv4Addr> {
        AddressesAt { remembered: &self.addresses, now }
    }

    /// Those of IPv6.
    pub(super) fn addresses6_at(&self, now: UtcTime) -> AddressesAt<'_, Ipv6Addr> {
        AddressesAt { remembered: &self.addresses6, now }
    }
}

/// What a name is asked for, it says itself. As of DNS, the first text that is such a record counts.
fn record(name: &str, texts: &[String]) -> Txt {
    let mut parsed = texts.iter().map(|text| {
        let text = text.as_bytes();
        if name.contains("._domainkey.") {
            DomainKey::parse(text).map(Txt::from)
        } else if name.starts_with("_dmarc.") {
            Dmarc::parse(text).map(Txt::from)
        } else {
            Spf::parse(text).map(Txt::from)
        }
    });
    let found = parsed.find_map(Result::ok).unwrap_or(Txt::Error(Error::Dns(DnsError::InvalidRecordType)));
    if is_of_a_test(&found) { NO_RECORD } else { found }
}

const NO_RECORD: Txt = Txt::Error(Error::Dns(DnsError::RecordNotFound(ResponseCode::NXDomain)));

fn is_of_a_test(record: &Txt) -> bool {
    matches!(record, Txt::DomainKey(key) if key.f & TESTING != 0)
}

fn is_small(record: &Txt) -> bool {
    match record {
        Txt::Dmarc(policy) => policy.rua.len() + policy.ruf.len() <= MOST_REPORT_ADDRESSES,
        _ => true,
    }
}

/// A record of SPF. What is nothing of the kind under a name may have been looked up as something else.
fn is_small_path(record: &Txt) -> bool {
    matches!(record, Txt::Spf(path) if path.directives.len() <= MOST_DIRECTIVES)
}

impl ResolverCache<Box<str>, Txt> for RecordsAt<'_> {
    fn get<Q>(&self, name: &Q) -> Option<Txt>
    where
        Box<str>: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        match self.only {
            Some(only) => Some(only.get(name).cloned().unwrap_or(NO_RECORD)),
            None => self.remembered.get(name, self.now),
        }
    }

    fn remove<Q>(&self, name: &Q) -> Option<Txt>
    where
        Box<str>: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.remembered.remove(name)
    }

    fn insert(&self, name: Box<str>, record: Txt, valid_until: Instant) {
        if (self.is_kept)(&record) {
            let record = if is_of_a_test(&record) { NO_RECORD } else { record };
            self.remembered.insert(name, record, valid_until, self.now);
        }
    }
}

impl<T> ResolverCache<Box<str>, RecordSet<T>> for AddressesAt<'_, T>
where
    RecordSet<T>: Clone,
{
    fn get<Q>(&self, name: &Q) -> Option<RecordSet<T>>
    where
        Box<str>: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.remembered.get(name, self.now)
    }

    fn remove<Q>(&self, name: &Q) -> Option<RecordSet<T>>
    where
        Box<str>: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.remembered.remove(name)
    }

    fn insert(&self, name: Box<str>, records: RecordSet<T>, valid_until: Instant) {
        if records.rrset.len() <= MOST_ADDRESSES {
            self.remembered.insert(name, records, valid_until, self.now);
        }
    }
}

/// Answers by name, each with when it is over.
struct Remembered<T>(Mutex<HashMap<Box<str>, (T, UtcTime)>>);

impl<T> Default for Remembered<T> {
    fn default() -> Remembered<T> {
        Remembered(Mutex::default())
    }
}

impl<T: Clone> Remembered<T> {
    fn get<Q>(&self, name: &Q, now: UtcTime) -> Option<T>
    where
        Box<str>: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let found = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        found.get(name).filter(|(_, until)| now < *until).map(|(record, _)| record.clone())
    }

    fn remove<Q>(&self, name: &Q) -> Option<T>
    where
        Box<str>: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(name).map(|(record, _)| record)
    }

    fn insert(&self, name: Box<str>, record: T, valid_until: Instant, now: UtcTime) {
        let holds = valid_until.saturating_duration_since(Instant::now());
        let holds = TimeDelta::from_std(holds).unwrap_or(LONGEST).clamp(SHORTEST, LONGEST);
        let mut found = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if found.len() >= MOST {
            found.retain(|_, (_, until)| now < *until);
        }
        if found.len() >= MOST {
            // Whatever is needed again is looked up again.
            found.clear();
        }
        found.insert(name, (record, now.plus(holds)));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn insert(records: &Records, name: &str, seconds: u64, now: UtcTime) {
        let record = record("_dmarc.acme.example", &["v=DMARC1; p=reject".to_owned()]);
        records.at(now).insert(name.into(), record, Instant::now() + Duration::from_secs(seconds));
    }

    fn holds(records: &Records, name: &str, now: UtcTime) -> bool {
        records.at(now).get::<str>(name).is_some()
    }

    #[test]
    fn au_04_a_record_holds_for_a_quarter_of_an_hour_at_least_and_a_day_at_most() {
        let records = Records::default();
        let now = UtcTime::from_seconds(1_800_000_000);
        insert(&records, "short.", 0, now);
        insert(&records, "hour.", 3_600, now);
        insert(&records, "long.", 30 * 24 * 3_600, now);
        for (name, minutes) in [("short.", 15), ("long.", 24 * 60)] {
            assert!(holds(&records, name, now.plus(TimeDelta::minutes(minutes) - TimeDelta::seconds(1))), "{name}");
            assert!(!holds(&records, name, now.plus(TimeDelta::minutes(minutes))), "{name}");
        }
        assert!(holds(&records, "hour.", now.plus(TimeDelta::minutes(59))));
        assert!(!holds(&records, "hour.", now.plus(TimeDelta::minutes(61))));
        assert!(!holds(&records, "other.", now));
    }

    #[test]
    fn au_04_however_many_names_are_asked_for_few_are_remembered() {
        let records = Records::default();
        let now = UtcTime::from_seconds(1_800_000_000);
        for number in 0..3 * MOST {
            insert(&records, &format!("{number}."), 3_600, now);
            assert!(records.found.0.lock().unwrap().len() <= MOST);
            assert!(holds(&records, &format!("{number}."), now));
        }
    }
}
