//! Records that were looked up, for as long as they hold; or all that there are, where there is no DNS to ask.

use std::borrow::Borrow;
use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use chrono::TimeDelta;
use mail_auth::common::parse::TxtRecordParser;
use mail_auth::common::verify::DomainKey;
use mail_auth::dmarc::Dmarc;
use mail_auth::hickory_resolver::proto::op::ResponseCode;
use mail_auth::{DnsError, Error, ResolverCache, Txt};

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

/// See the module.
#[derive(Default)]
pub(super) struct Records {
    found: Mutex<HashMap<Box<str>, (Txt, UtcTime)>>,
    /// All that there are.
    only: Option<HashMap<Box<str>, Txt>>,
}

/// The records at a moment, as the library asks for them.
pub(super) struct RecordsAt<'a> {
    records: &'a Records,
    now: UtcTime,
}

impl Records {
    /// These, and no others.
    pub(super) fn only(texts: &BTreeMap<String, Vec<String>>) -> Records {
        let only =
            texts.iter().map(|(name, texts)| (format!("{name}.").into_boxed_str(), record(name, texts))).collect();
        Records { only: Some(only), ..Records::default() }
    }

    pub(super) fn at(&self, now: UtcTime) -> RecordsAt<'_> {
        RecordsAt { records: self, now }
    }
}

/// What a name is asked for, it says itself. As of DNS, the first text that is such a record counts.
fn record(name: &str, texts: &[String]) -> Txt {
    let mut parsed = texts.iter().map(|text| {
        let text = text.as_bytes();
        if name.contains("._domainkey.") {
            DomainKey::parse(text).map(Txt::from)
        } else {
            Dmarc::parse(text).map(Txt::from)
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

impl ResolverCache<Box<str>, Txt> for RecordsAt<'_> {
    fn get<Q>(&self, name: &Q) -> Option<Txt>
    where
        Box<str>: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        if let Some(only) = &self.records.only {
            return Some(only.get(name).cloned().unwrap_or(NO_RECORD));
        }
        let found = self.records.found.lock().unwrap_or_else(PoisonError::into_inner);
        found.get(name).filter(|(_, until)| self.now < *until).map(|(record, _)| record.clone())
    }

    fn remove<Q>(&self, name: &Q) -> Option<Txt>
    where
        Box<str>: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let mut found = self.records.found.lock().unwrap_or_else(PoisonError::into_inner);
        found.remove(name).map(|(record, _)| record)
    }

    fn insert(&self, name: Box<str>, record: Txt, valid_until: Instant) {
        if !is_small(&record) {
            return;
        }
        let record = if is_of_a_test(&record) { NO_RECORD } else { record };
        let holds = valid_until.saturating_duration_since(Instant::now());
        let holds = TimeDelta::from_std(holds).unwrap_or(LONGEST).clamp(SHORTEST, LONGEST);
        let mut found = self.records.found.lock().unwrap_or_else(PoisonError::into_inner);
        if found.len() >= MOST {
            found.retain(|_, (_, until)| self.now < *until);
        }
        if found.len() >= MOST {
            // Whatever is needed again is looked up again.
            found.clear();
        }
        found.insert(name, (record, self.now.plus(holds)));
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
            assert!(records.found.lock().unwrap().len() <= MOST);
            assert!(holds(&records, &format!("{number}."), now));
        }
    }
}
