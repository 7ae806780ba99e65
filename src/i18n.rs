//! Languages: the message catalogue (Fluent, compiled in), plural forms, dates and numbers. A text for people is a key
//! here, never a literal in code or in a template. The test `catalogue` in `tests/integration/architecture.rs` keeps
//! the languages even and every used key defined.

use std::borrow::Cow;
use std::fmt;
use std::sync::LazyLock;

use chrono::{Datelike, Timelike};
use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::{FluentArgs, FluentResource, FluentValue};
use icu_calendar::Gregorian;
use icu_datetime::FixedCalendarDateTimeFormatter;
use icu_datetime::fieldsets::{T, YMD, YMDT};
use icu_datetime::input::{Date, DateTime, Time};
use icu_decimal::DecimalFormatter;
use icu_decimal::input::Decimal;

use crate::clock::UtcTime;

/// The catalogue's files: one name per area, the same in each language.
pub const AREAS: [&str; 11] =
    ["common", "errors", "fields", "portal", "account", "agent", "admin", "api", "mail", "countries", "consent"];

macro_rules! areas {
    ($language:literal) => {
        [
            include_str!(concat!("../templates/locales/", $language, "/common.ftl")),
            include_str!(concat!("../templates/locales/", $language, "/errors.ftl")),
            include_str!(concat!("../templates/locales/", $language, "/fields.ftl")),
            include_str!(concat!("../templates/locales/", $language, "/portal.ftl")),
            include_str!(concat!("../templates/locales/", $language, "/account.ftl")),
            include_str!(concat!("../templates/locales/", $language, "/agent.ftl")),
            include_str!(concat!("../templates/locales/", $language, "/admin.ftl")),
            include_str!(concat!("../templates/locales/", $language, "/api.ftl")),
            include_str!(concat!("../templates/locales/", $language, "/mail.ftl")),
            include_str!(concat!("../templates/locales/", $language, "/countries.ftl")),
            include_str!(concat!("../templates/locales/", $language, "/consent.ftl")),
        ]
    };
}

/// A language Accord speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Locale {
    #[default]
    Fr,
    En,
}

impl Locale {
    /// Every language, the default first.
    pub const ALL: [Locale; 2] = [Locale::Fr, Locale::En];

    /// The ISO 639-1 code, as in paths, `lang` attributes and the database.
    pub fn code(self) -> &'static str {
        match self {
            Locale::Fr => "fr",
            Locale::En => "en",
        }
    }

    /// Reads a code; region and case do not matter (`fr-CA`, `EN`).
    pub fn parse(code: &str) -> Option<Locale> {
        let language = code.split(['-', '_']).next().unwrap_or_default();
        Locale::ALL.into_iter().find(|locale| locale.code().eq_ignore_ascii_case(language))
    }

    /// The best language for an `Accept-Language` header (RFC 9110, 12.5.4), French when it names none of ours.
    pub fn from_accept_language(header: &str) -> Locale {
        let mut best: Option<(f32, Locale)> = None;
        for range in header.split(',').take(20) {
            let mut parts = range.split(';');
            let Some(locale) = parts.next().and_then(|tag| Locale::parse(tag.trim())) else { continue };
            let quality = parts
                .find_map(|part| part.trim().strip_prefix("q=").and_then(|q| q.parse::<f32>().ok()))
                .unwrap_or(1.0);
            if quality > 0.0 && best.is_none_or(|(q, _)| quality > q) {
                best = Some((quality, locale));
            }
        }
        best.map_or(Locale::default(), |(_, locale)| locale)
    }
}

impl fmt::Display for Locale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// A text to be said later, in a language not yet known: a key with its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub key: &'static str,
    pub args: Vec<(&'static str, String)>,
}

impl Message {
    pub fn new(key: &'static str) -> Self {
        Self { key, args: Vec::new() }
    }

    /// The same message with the value of one of its placeholders.
    pub fn with(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        self.args.push((name, value.to_string()));
        self
    }
}

impl From<&'static str> for Message {
    fn from(key: &'static str) -> Self {
        Message::new(key)
    }
}

/// The voice of one reader: their language and time zone. Templates call it `t`.
#[derive(Clone, Copy, Debug)]
pub struct Texts {
    pub locale: Locale,
    pub zone: chrono_tz::Tz,
}

impl Texts {
    pub fn new(locale: Locale, zone: chrono_tz::Tz) -> Self {
        Self { locale, zone }
    }

    /// A reader whose zone is not known reads Paris time.
    pub fn in_language(locale: Locale) -> Self {
        Self { locale, zone: chrono_tz::Europe::Paris }
    }

    /// The text of `key`.
    pub fn say(&self, key: &str) -> String {
        format_key(self.locale, key, None)
    }

    /// The text of `key` with one argument.
    pub fn with(&self, key: &str, name: &str, value: impl fmt::Display) -> String {
        let mut args = FluentArgs::new();
        args.set(name.to_owned(), FluentValue::from(value.to_string()));
        format_key(self.locale, key, Some(&args))
    }

    /// The text of `key` with two arguments.
    pub fn with2(
        &self,
        key: &str,
        first: &str,
        first_value: impl fmt::Display,
        second: &str,
        second_value: impl fmt::Display,
    ) -> String {
        let mut args = FluentArgs::new();
        args.set(first.to_owned(), FluentValue::from(first_value.to_string()));
        args.set(second.to_owned(), FluentValue::from(second_value.to_string()));
        format_key(self.locale, key, Some(&args))
    }

    /// The text of `key` whose plural form follows `$count`.
    pub fn count(&self, key: &str, count: impl TryInto<i64>) -> String {
        let count = count.try_into().unwrap_or(i64::MAX);
        let mut args = FluentArgs::new();
        args.set("count", FluentValue::from(count));
        format_key(self.locale, key, Some(&args))
    }

    /// A text decided on earlier.
    pub fn message(&self, message: &Message) -> String {
        let mut args = FluentArgs::new();
        for (name, value) in &message.args {
            args.set(*name, FluentValue::from(value.as_str()));
        }
        format_key(self.locale, message.key, Some(&args))
    }

    /// A day: `23 novembre 2026`, `23 November 2026`.
    pub fn date(&self, time: &UtcTime) -> String {
        formatters(self.locale).date.format(&self.local(time)).to_string()
    }

    /// A calendar day without a time.
    pub fn day(&self, day: &chrono::NaiveDate) -> String {
        match Date::try_new_iso(day.year(), day.month() as u8, day.day() as u8) {
            Ok(date) => formatters(self.locale).date.format(&date.to_calendar(Gregorian)).to_string(),
            Err(_) => day.to_string(),
        }
    }

    /// A day with hours and minutes: `23 nov. 2026, 15:31`.
    pub fn date_time(&self, time: &UtcTime) -> String {
        formatters(self.locale).date_time.format(&self.local(time)).to_string()
    }

    /// Hours and minutes: `15:31`.
    pub fn time(&self, time: &UtcTime) -> String {
        formatters(self.locale).time.format(&self.local(time).time).to_string()
    }

    /// How long ago `time` was, in its largest unit: `il y a 3 jours`, `3 days ago`.
    pub fn ago(&self, time: &UtcTime, now: &UtcTime) -> String {
        let (key, count) = largest_unit(now.since(*time), ["ago-now", "ago-minutes", "ago-hours", "ago-days"]);
        self.count(key, count)
    }

    /// How long it has lasted from `time` to `now`, in its largest unit: `3 jours`, `3 days`.
    pub fn lasting(&self, time: &UtcTime, now: &UtcTime) -> String {
        let (key, count) =
            largest_unit(now.since(*time), ["lasting-now", "lasting-minutes", "lasting-hours", "lasting-days"]);
        self.count(key, count)
    }

    /// What is wrong with a field, after the name by which people know it, if it has one.
    pub fn error_of(&self, name_key: &str, message: &Message) -> String {
        let text = self.message(message);
        if has_key(self.locale, name_key) {
            self.with2("form-error-of", "field", self.say(name_key), "message", text)
        } else {
            text
        }
    }

    /// A whole number with the language's separators: `12 345`, `12,345`.
    pub fn number(&self, number: impl TryInto<i64>) -> String {
        let number = number.try_into().unwrap_or(i64::MAX);
        formatters(self.locale).decimal.format(&number.into()).to_string()
    }

    /// A size in bytes, rounded to its unit: `12 ko`, `12 kB`.
    pub fn size(&self, bytes: impl TryInto<i64>) -> String {
        let bytes = bytes.try_into().unwrap_or(i64::MAX);
        if bytes < 1_000 {
            self.with("size-bytes", "count", self.number(bytes))
        } else if bytes < 1_000_000 {
            self.with("size-kilobytes", "count", self.number((bytes + 500) / 1_000))
        } else if bytes < 1_000_000_000 {
            self.with("size-megabytes", "count", self.number((bytes + 500_000) / 1_000_000))
        } else {
            let mut tenths = Decimal::from(bytes.saturating_add(50_000_000) / 100_000_000);
            tenths.multiply_pow10(-1);
            self.with("size-gigabytes", "count", formatters(self.locale).decimal.format(&tenths))
        }
    }

    fn local(&self, time: &UtcTime) -> DateTime<Gregorian> {
        let local = time.to_datetime().with_timezone(&self.zone).naive_local();
        let date = Date::try_new_iso(local.year(), local.month() as u8, local.day() as u8)
            .unwrap_or_else(|_| Date::try_new_iso(9999, 12, 31).expect("a day every calendar has"));
        let time = Time::try_new(local.hour() as u8, local.minute() as u8, local.second() as u8, 0)
            .expect("chrono gives hours below 24 and minutes and seconds below 60");
        DateTime { date: date.to_calendar(Gregorian), time }
    }
}

fn largest_unit(length: chrono::TimeDelta, keys: [&'static str; 4]) -> (&'static str, i64) {
    match length.num_seconds() {
        ..60 => (keys[0], 0),
        seconds @ 60..3_600 => (keys[1], seconds / 60),
        seconds @ 3_600..172_800 => (keys[2], seconds / 3_600),
        seconds => (keys[3], seconds / 86_400),
    }
}

/// Whether the catalogue of `locale` has a text for `key`.
pub fn has_key(locale: Locale, key: &str) -> bool {
    bundle(locale).has_message(key)
}

fn format_key(locale: Locale, key: &str, args: Option<&FluentArgs<'_>>) -> String {
    let bundle = bundle(locale);
    let Some(pattern) = bundle.get_message(key).and_then(|message| message.value()) else {
        tracing::error!(target: "accord::i18n", key, locale = locale.code(), "A text is missing from the catalogue");
        return key.to_owned();
    };
    let mut faults = Vec::new();
    let text: Cow<'_, str> = bundle.format_pattern(pattern, args, &mut faults);
    if !faults.is_empty() {
        tracing::error!(target: "accord::i18n", key, ?faults, "A text of the catalogue could not be filled in");
    }
    text.into_owned()
}

type Bundle = FluentBundle<FluentResource>;

fn bundle(locale: Locale) -> &'static Bundle {
    static FRENCH: LazyLock<Bundle> = LazyLock::new(|| build_bundle("fr", areas!("fr")));
    static ENGLISH: LazyLock<Bundle> = LazyLock::new(|| build_bundle("en", areas!("en")));
    match locale {
        Locale::Fr => &FRENCH,
        Locale::En => &ENGLISH,
    }
}

fn build_bundle(language: &str, sources: [&'static str; AREAS.len()]) -> Bundle {
    let language = language.parse().expect("our own language codes are well formed");
    let mut bundle = FluentBundle::new_concurrent(vec![language]);
    // Isolation marks would stand in mails and attributes; names are isolated by markup where they are shown.
    bundle.set_use_isolating(false);
    for source in sources {
        let resource = match FluentResource::try_new(source.to_owned()) {
            Ok(resource) => resource,
            Err((resource, faults)) => {
                tracing::error!(target: "accord::i18n", ?faults, "A file of the catalogue has faults");
                resource
            }
        };
        if let Err(faults) = bundle.add_resource(resource) {
            tracing::error!(target: "accord::i18n", ?faults, "A key stands twice in the catalogue");
        }
    }
    bundle
}

struct Formatters {
    date: FixedCalendarDateTimeFormatter<Gregorian, YMD>,
    date_time: FixedCalendarDateTimeFormatter<Gregorian, YMDT>,
    time: FixedCalendarDateTimeFormatter<Gregorian, T>,
    decimal: DecimalFormatter,
}

fn formatters(locale: Locale) -> &'static Formatters {
    static FRENCH: LazyLock<Formatters> = LazyLock::new(|| build_formatters(icu_locale_core::locale!("fr-FR")));
    // British order and the 24-hour clock: readable to everybody who writes to a European desk.
    static ENGLISH: LazyLock<Formatters> = LazyLock::new(|| build_formatters(icu_locale_core::locale!("en-GB")));
    match locale {
        Locale::Fr => &FRENCH,
        Locale::En => &ENGLISH,
    }
}

fn build_formatters(locale: icu_locale_core::Locale) -> Formatters {
    const COMPILED_IN: &str = "French and English are in the compiled data";
    Formatters {
        date: FixedCalendarDateTimeFormatter::try_new(locale.clone().into(), YMD::long()).expect(COMPILED_IN),
        date_time: FixedCalendarDateTimeFormatter::try_new(locale.clone().into(), YMD::medium().with_time_hm())
            .expect(COMPILED_IN),
        time: FixedCalendarDateTimeFormatter::try_new(locale.clone().into(), T::hm()).expect(COMPILED_IN),
        decimal: DecimalFormatter::try_new(locale.into(), Default::default()).expect(COMPILED_IN),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_browser_s_preference_decides() {
        assert_eq!(Locale::from_accept_language("en-GB,en;q=0.9,fr;q=0.8"), Locale::En);
        assert_eq!(Locale::from_accept_language("de,fr;q=0.5,en;q=0.4"), Locale::Fr);
        assert_eq!(Locale::from_accept_language("en;q=0, de"), Locale::Fr);
        assert_eq!(Locale::from_accept_language(""), Locale::Fr);
    }

    #[test]
    fn dates_and_numbers_follow_the_language_and_the_zone() {
        let time = UtcTime::parse_rfc3339("2026-11-23T14:31:00Z").unwrap();
        let french = Texts::in_language(Locale::Fr);
        let english = Texts::new(Locale::En, chrono_tz::America::New_York);
        assert_eq!(french.date(&time), "23 novembre 2026");
        assert_eq!(french.time(&time), "15:31");
        assert_eq!(english.date_time(&time), "23 Nov 2026, 09:31");
        assert_eq!(french.number(12_345), "12\u{202f}345");
        assert_eq!(english.number(12_345), "12,345");
        assert_eq!(french.size(44_902_000_000_i64), "44,9 Go");
        assert_eq!(english.size(999_400_000), "999 MB");
    }

    #[test]
    fn a_wait_is_told_in_its_largest_unit() {
        let start = UtcTime::from_seconds(0);
        let french = Texts::in_language(Locale::Fr);
        assert_eq!(french.lasting(&start, &UtcTime::from_seconds(3 * 86_400)), "3 jours");
        assert_eq!(french.ago(&start, &UtcTime::from_seconds(3_600)), "il y a 1 heure");
    }
}
