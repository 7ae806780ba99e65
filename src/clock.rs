//! Time as Accord uses it: [`UtcTime`], microseconds since 1970 in UTC, and [`Clock`], the only place that asks the
//! machine what time it is. Tests move a clock by hand; nothing else in the program may read the wall clock.

use std::fmt;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use chrono::{DateTime, NaiveDate, NaiveDateTime, TimeDelta, Utc};
use diesel::backend::Backend;
use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::expression::AsExpression;
use diesel::serialize::{self, Output, ToSql};
use diesel::sql_types::Timestamp;

/// A moment in UTC, to the microsecond, which both databases keep exactly.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, AsExpression, FromSqlRow)]
#[diesel(sql_type = Timestamp)]
pub struct UtcTime(NaiveDateTime);

impl UtcTime {
    /// The moment `micros` microseconds after 1970-01-01T00:00:00Z; out-of-range values are clamped.
    pub fn from_micros(micros: i64) -> Self {
        let time = DateTime::from_timestamp_micros(micros).unwrap_or(if micros < 0 {
            DateTime::<Utc>::MIN_UTC
        } else {
            DateTime::<Utc>::MAX_UTC
        });
        Self(time.naive_utc())
    }

    /// The moment `seconds` seconds after 1970-01-01T00:00:00Z.
    pub fn from_seconds(seconds: i64) -> Self {
        Self::from_micros(seconds.saturating_mul(1_000_000))
    }

    /// Midnight UTC at the start of `day`.
    pub fn at_midnight(day: NaiveDate) -> Self {
        Self(day.and_time(chrono::NaiveTime::MIN))
    }

    /// Microseconds since 1970-01-01T00:00:00Z.
    pub fn micros(self) -> i64 {
        self.0.and_utc().timestamp_micros()
    }

    /// Whole seconds since 1970-01-01T00:00:00Z.
    pub fn seconds(self) -> i64 {
        self.0.and_utc().timestamp()
    }

    /// This moment moved later by `delta`, saturating at the ends of time.
    pub fn plus(self, delta: TimeDelta) -> Self {
        Self(self.0.checked_add_signed(delta).unwrap_or(if delta < TimeDelta::zero() {
            NaiveDateTime::MIN
        } else {
            NaiveDateTime::MAX
        }))
    }

    /// This moment moved earlier by `delta`.
    pub fn minus(self, delta: TimeDelta) -> Self {
        self.plus(-delta)
    }

    /// How long after `earlier` this moment is; negative when it is before.
    pub fn since(self, earlier: UtcTime) -> TimeDelta {
        self.0 - earlier.0
    }

    /// The calendar day in UTC.
    pub fn date(self) -> NaiveDate {
        self.0.date()
    }

    /// As a chrono value with its zone.
    pub fn to_datetime(self) -> DateTime<Utc> {
        self.0.and_utc()
    }

    /// RFC 3339 with `Z`, microseconds only where there are any.
    pub fn rfc3339(self) -> String {
        self.0.and_utc().to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)
    }

    /// Reads RFC 3339, in any offset.
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        let time = DateTime::parse_from_rfc3339(text).ok()?;
        Some(Self::from_micros(time.timestamp_micros()))
    }
}

impl fmt::Display for UtcTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.rfc3339())
    }
}

impl fmt::Debug for UtcTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.rfc3339())
    }
}

impl serde::Serialize for UtcTime {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.rfc3339())
    }
}

impl<'de> serde::Deserialize<'de> for UtcTime {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        UtcTime::parse_rfc3339(&text).ok_or_else(|| serde::de::Error::custom("not an RFC 3339 time"))
    }
}

impl<DB> ToSql<Timestamp, DB> for UtcTime
where
    DB: Backend,
    NaiveDateTime: ToSql<Timestamp, DB>,
{
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, DB>) -> serialize::Result {
        self.0.to_sql(out)
    }
}

impl<DB> FromSql<Timestamp, DB> for UtcTime
where
    DB: Backend,
    NaiveDateTime: FromSql<Timestamp, DB>,
{
    fn from_sql(bytes: DB::RawValue<'_>) -> deserialize::Result<Self> {
        NaiveDateTime::from_sql(bytes).map(UtcTime)
    }
}

/// Where the time comes from: the machine, or a test's hand.
#[derive(Clone)]
pub struct Clock {
    by_hand: Option<Arc<Hands>>,
}

/// The hands of a clock that is moved by hand: the one on the wall can be set, the other only runs.
struct Hands {
    wall_micros: AtomicI64,
    monotonic_nanos: AtomicU64,
}

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Self { by_hand: None }
    }

    /// A clock that stands at `time` until it is moved. Clones share the hand.
    pub fn at(time: UtcTime) -> Self {
        let hands = Hands { wall_micros: AtomicI64::new(time.micros()), monotonic_nanos: AtomicU64::new(1) };
        Self { by_hand: Some(Arc::new(hands)) }
    }

    /// Moves a clock made by [`Clock::at`]; the machine's clock is not moved.
    pub fn advance(&self, delta: TimeDelta) {
        if let Some(hands) = &self.by_hand {
            hands.wall_micros.fetch_add(delta.num_microseconds().unwrap_or(0), Ordering::SeqCst);
            let nanos = delta.num_nanoseconds().and_then(|nanos| u64::try_from(nanos).ok()).unwrap_or(0);
            hands.monotonic_nanos.fetch_add(nanos, Ordering::SeqCst);
        }
    }

    /// Sets the wall clock of a clock made by [`Clock::at`], as somebody with the right to it might, or as it is found
    /// after the machine was suspended.
    pub fn set_wall(&self, time: UtcTime) {
        if let Some(hands) = &self.by_hand {
            hands.wall_micros.store(time.micros(), Ordering::SeqCst);
        }
    }

    /// Nanoseconds that only ever run forward, since some moment before the first call in this process.
    #[inline]
    pub fn monotonic_nanos(&self) -> u64 {
        static START: OnceLock<Instant> = OnceLock::new();
        match &self.by_hand {
            Some(hands) => hands.monotonic_nanos.load(Ordering::SeqCst),
            None => {
                let now = Instant::now();
                let since = now.duration_since(*START.get_or_init(|| now));
                // From 1 on, so that 0 is before any moment; 584 years fit.
                since.as_secs() * 1_000_000_000 + u64::from(since.subsec_nanos()) + 1
            }
        }
    }

    /// What time it is, truncated to the microsecond so that a value read back equals the value written.
    pub fn now(&self) -> UtcTime {
        match &self.by_hand {
            Some(hands) => UtcTime::from_micros(hands.wall_micros.load(Ordering::SeqCst)),
            None => {
                #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the wall clock")]
                let now = Utc::now();
                UtcTime::from_micros(now.timestamp_micros())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_survives_its_text_form() {
        let time = UtcTime::from_micros(1_795_000_000_123_456);
        assert_eq!(UtcTime::parse_rfc3339(&time.rfc3339()), Some(time));
    }

    #[test]
    fn clones_of_a_clock_share_its_hand() {
        let clock = Clock::at(UtcTime::from_seconds(0));
        let other = clock.clone();
        clock.advance(TimeDelta::hours(49));
        assert_eq!(other.now(), UtcTime::from_seconds(49 * 3600));
    }
}
