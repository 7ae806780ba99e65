//! An invitation to a meeting, or an answer to one, as it lies in a mail (RFC 5545, RFC 5546): what, when, where, from
//! whom. Only what is shown is kept of it; the file itself stays with the mail. Nothing is entered in anybody's calendar,
//! and nothing is answered.

use std::panic::{AssertUnwindSafe, catch_unwind};

use calcard::common::PartialDateTime;
use calcard::common::timezone::Tz;
use calcard::icalendar::{
    ICalendar, ICalendarComponent, ICalendarComponentType, ICalendarEntry, ICalendarMethod, ICalendarParameterName,
    ICalendarParameterValue, ICalendarParticipationStatus, ICalendarProperty, ICalendarStatus, ICalendarValue, Uri,
};
use calcard::{Entry, Parser};
use chrono::{Datelike, Days, NaiveDate, TimeDelta, TimeZone};
use serde::{Deserialize, Serialize};

use super::decoding::one_line;
use crate::clock::UtcTime;

/// No larger calendar is read; those with one meeting in them are a few KiB, with a picture or without.
pub const LONGEST: usize = 256 << 10;
/// The longest line kept, in characters.
const LINE_CHARACTERS: usize = 300;
const NAME_CHARACTERS: usize = 100;
/// Years that a time can be kept in (RFC 3339), away from either end, so that no zone leads past it.
const YEARS: std::ops::RangeInclusive<i32> = 1..=9_998;
/// No duration that is longer is believed.
const LONGEST_MEETING: TimeDelta = TimeDelta::days(3_660);
/// The longest description kept, in characters.
const TEXT_CHARACTERS: usize = 8_000;

/// A meeting, and what is said of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Invitation {
    pub purpose: Purpose,
    /// One line; empty if the meeting has no title.
    pub summary: String,
    pub when: Option<When>,
    /// It takes place more than once.
    pub repeats: bool,
    /// One line; empty if none is named.
    pub location: String,
    /// Name and address, one line. Not proven.
    pub organiser: String,
    /// Whoever answers, in an answer.
    pub who_answers: String,
    /// What is answered, in an answer.
    pub answer: Option<Answer>,
    /// How those invited have answered, as far as the organiser says.
    pub answers: Answers,
    /// How many more meetings, or other dates of this one, are in the same calendar and not shown.
    pub more: u32,
}

/// What somebody wants by sending it (RFC 5546, 1.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// To tell, without asking for an answer.
    #[default]
    Publish,
    Invite,
    Answer,
    Cancel,
    /// Another time is proposed.
    Counter,
}

/// An answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    Accepted,
    Tentative,
    Declined,
    Delegated,
}

/// How many have answered what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Answers {
    pub accepted: u32,
    pub tentative: u32,
    pub declined: u32,
    pub open: u32,
}

/// When it takes place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    At {
        start: UtcTime,
        end: Option<UtcTime>,
    },
    /// Whole days, both included.
    Days {
        first: NaiveDate,
        last: NaiveDate,
    },
    /// The time of a clock that nobody named, or in a zone that nobody knows.
    Local {
        start: String,
        zone: String,
    },
}

impl Invitation {
    /// Reads a calendar; none if no meeting is in it. Gives its description too.
    pub fn read(calendar: &str) -> Option<(Invitation, String)> {
        if calendar.len() > LONGEST {
            return None;
        }
        // A calendar over which its reader fails is a file like another.
        catch_unwind(AssertUnwindSafe(|| read(calendar))).ok().flatten()
    }

    /// All that somebody wrote in it.
    pub fn texts_mut(&mut self) -> [&mut String; 4] {
        [&mut self.summary, &mut self.location, &mut self.organiser, &mut self.who_answers]
    }
}

fn read(calendar: &str) -> Option<(Invitation, String)> {
    let Entry::ICalendar(calendar) = Parser::new(calendar).entry() else { return None };
    let mut events =
        calendar.components.iter().filter(|component| component.component_type == ICalendarComponentType::VEvent);
    let event = events.next()?;
    let mut invitation = Invitation {
        purpose: purpose(&calendar, event),
        summary: line(event, &ICalendarProperty::Summary),
        when: when(&calendar, event),
        repeats: event.has_property(&ICalendarProperty::Rrule) || event.has_property(&ICalendarProperty::Rdate),
        location: line(event, &ICalendarProperty::Location),
        organiser: event.property(&ICalendarProperty::Organizer).map(person).unwrap_or_default(),
        more: u32::try_from(events.count()).unwrap_or(u32::MAX),
        ..Invitation::default()
    };
    for attendee in event.properties(&ICalendarProperty::Attendee) {
        let answer = answer(attendee);
        if matches!(invitation.purpose, Purpose::Answer | Purpose::Counter) {
            invitation.who_answers = person(attendee);
            invitation.answer = answer;
            break;
        }
        let count = match answer {
            Some(Answer::Accepted) => &mut invitation.answers.accepted,
            Some(Answer::Tentative) => &mut invitation.answers.tentative,
            Some(Answer::Declined) => &mut invitation.answers.declined,
            Some(Answer::Delegated) | None => &mut invitation.answers.open,
        };
        *count = count.saturating_add(1);
    }
    let description = text(event, &ICalendarProperty::Description).unwrap_or_default();
    Some((invitation, description.chars().take(TEXT_CHARACTERS).collect()))
}

fn purpose(calendar: &ICalendar, event: &ICalendarComponent) -> Purpose {
    let is_cancelled = event.status() == Some(&ICalendarStatus::Cancelled);
    let method = calendar.components.iter().find_map(|component| component.property(&ICalendarProperty::Method));
    match method.and_then(|method| method.values.first()) {
        Some(ICalendarValue::Method(ICalendarMethod::Cancel)) => Purpose::Cancel,
        _ if is_cancelled => Purpose::Cancel,
        Some(ICalendarValue::Method(ICalendarMethod::Request | ICalendarMethod::Add)) => Purpose::Invite,
        Some(ICalendarValue::Method(ICalendarMethod::Reply)) => Purpose::Answer,
        Some(ICalendarValue::Method(ICalendarMethod::Counter)) => Purpose::Counter,
        _ => Purpose::Publish,
    }
}

fn text(event: &ICalendarComponent, name: &ICalendarProperty) -> Option<String> {
    event.property(name)?.values.first()?.as_text().map(str::to_owned)
}

fn line(event: &ICalendarComponent, name: &ICalendarProperty) -> String {
    shortened(&text(event, name).unwrap_or_default())
}

fn shortened(text: &str) -> String {
    one_line(text).chars().take(LINE_CHARACTERS).collect()
}

/// `Name <address>`, as far as they are there.
fn person(entry: &ICalendarEntry) -> String {
    let name = entry.parameters(&ICalendarParameterName::Cn).find_map(|name| name.as_text()).unwrap_or_default();
    let address = match entry.values.first() {
        Some(ICalendarValue::Uri(Uri::Location(address))) => address.as_str(),
        Some(ICalendarValue::Text(address)) => address.as_str(),
        _ => "",
    };
    let address = match address.get(..7) {
        Some(scheme) if scheme.eq_ignore_ascii_case("mailto:") => &address[7..],
        _ => address,
    };
    // However long a name is, the address stands beside it (I-04).
    let name: String = one_line(name).chars().take(NAME_CHARACTERS).collect();
    shortened(&match (name.trim(), address.trim()) {
        (name, address) if name.is_empty() || name == address => address.to_owned(),
        (name, "") => name.to_owned(),
        (name, address) => format!("{name} <{address}>"),
    })
}

fn answer(attendee: &ICalendarEntry) -> Option<Answer> {
    match attendee.parameters(&ICalendarParameterName::Partstat).next()? {
        ICalendarParameterValue::Partstat(ICalendarParticipationStatus::Accepted) => Some(Answer::Accepted),
        ICalendarParameterValue::Partstat(ICalendarParticipationStatus::Tentative) => Some(Answer::Tentative),
        ICalendarParameterValue::Partstat(ICalendarParticipationStatus::Declined) => Some(Answer::Declined),
        ICalendarParameterValue::Partstat(ICalendarParticipationStatus::Delegated) => Some(Answer::Delegated),
        _ => None,
    }
}

/// When the meeting is, within the years that a time is written in.
fn when(calendar: &ICalendar, event: &ICalendarComponent) -> Option<When> {
    let year = |day: NaiveDate| YEARS.contains(&day.year());
    match when_told(calendar, event)? {
        When::At { start, .. } if !year(start.date()) => None,
        When::At { start, end } => Some(When::At { start, end: end.filter(|end| year(end.date())) }),
        When::Days { first, last } => (year(first) && year(last)).then_some(When::Days { first, last }),
        local @ When::Local { .. } => Some(local),
    }
}

fn when_told(calendar: &ICalendar, event: &ICalendarComponent) -> Option<When> {
    let start = event.property(&ICalendarProperty::Dtstart)?;
    let end = event.property(&ICalendarProperty::Dtend);
    let begins = partial(start)?;
    let duration = event.property(&ICalendarProperty::Duration).and_then(|entry| match entry.values.first() {
        Some(ICalendarValue::Duration(duration)) => duration.to_time_delta(),
        _ => None,
    });
    if begins.hour.is_none() {
        let first = date(begins)?;
        // The day on which it ends is not among its days (RFC 5545, 3.6.1).
        let last = match (end.and_then(partial).and_then(date), duration) {
            (Some(end), _) => end.checked_sub_days(Days::new(1))?,
            (None, Some(duration)) => first.checked_add_signed(duration)?.checked_sub_days(Days::new(1))?,
            (None, None) => first,
        };
        return Some(When::Days { first, last: last.max(first) });
    }
    let Some(start_at) = instant(calendar, start) else {
        let start_at = begins.to_date_time()?.date_time;
        if !YEARS.contains(&start_at.year()) {
            return None;
        }
        let zone = shortened(start.tz_id().unwrap_or_default());
        return Some(When::Local { start: start_at.format("%Y-%m-%d %H:%M").to_string(), zone });
    };
    let ends_at = match (end, duration) {
        (Some(end), _) => instant(calendar, end),
        (None, Some(duration)) => (duration.abs() <= LONGEST_MEETING).then(|| start_at.plus(duration)),
        (None, None) => None,
    };
    Some(When::At { start: start_at, end: ends_at.filter(|end| *end > start_at) })
}

fn partial(entry: &ICalendarEntry) -> Option<&PartialDateTime> {
    match entry.values.first()? {
        ICalendarValue::PartialDateTime(time) => Some(time),
        _ => None,
    }
}

fn date(time: &PartialDateTime) -> Option<NaiveDate> {
    NaiveDate::from_ymd_opt(i32::from(time.year?), u32::from(time.month?), u32::from(time.day?))
}

/// When that is, if its zone is known: by its name, or by the one that the calendar's own table gives for it.
fn instant(calendar: &ICalendar, entry: &ICalendarEntry) -> Option<UtcTime> {
    let time = partial(entry)?.to_date_time()?;
    let zone = match (time.offset, entry.tz_id()) {
        (Some(offset), _) => Tz::Fixed(offset),
        (None, Some(name)) => calendar.build_tz_resolver().resolve(name)?,
        (None, None) => return None,
    };
    let seconds = match zone {
        Tz::Floating => return None,
        // Of an hour that a clock shows twice, the first.
        zone => zone.from_local_datetime(&time.date_time).earliest()?.timestamp(),
    };
    Some(UtcTime::from_seconds(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calendar(lines: &str) -> String {
        format!("BEGIN:VCALENDAR\nVERSION:2.0\n{lines}\nEND:VCALENDAR\n").replace('\n', "\r\n")
    }

    fn invitation(event: &str) -> Invitation {
        let event = format!("METHOD:REQUEST\nBEGIN:VEVENT\nUID:1@acme.example\n{event}\nEND:VEVENT");
        Invitation::read(&calendar(&event)).unwrap().0
    }

    fn time(text: &str) -> UtcTime {
        UtcTime::from_seconds(chrono::DateTime::parse_from_rfc3339(text).unwrap().timestamp())
    }

    #[test]
    fn b_20_no_time_is_kept_that_could_not_be_read_again() {
        for lines in [
            "DTSTART;TZID=America/New_York:99991231T230000",
            "DTSTART:99991231T230000Z",
            "DTSTART;VALUE=DATE:99991231",
            "DTSTART:99991231T230000",
            "DTSTART;TZID=Europe/Paris:00000101T000000",
            "DTSTART:20260402T080000Z\nDURATION:P999999W",
            "DTSTART:20260402T080000Z\nDTEND;TZID=America/New_York:99991231T235959",
            "DTSTART;VALUE=DATE:20260402\nDURATION:P999999W",
        ] {
            let invitation = invitation(&format!("SUMMARY:Point\n{lines}"));
            let kept = serde_json::to_string(&invitation).unwrap();
            assert_eq!(serde_json::from_str::<Invitation>(&kept).unwrap(), invitation, "{lines}");
            let end = match invitation.when {
                Some(When::At { end, .. }) => end,
                Some(other) => panic!("{lines}: {other:?}"),
                None => None,
            };
            assert_eq!(end, None, "{lines}");
        }
    }

    #[test]
    fn b_20_i_04_a_long_name_does_not_push_the_address_out() {
        let name = "x".repeat(400);
        let invitation = invitation(&format!("SUMMARY:Point\nORGANIZER;CN={name}:mailto:mallory@evil.example"));
        assert!(invitation.organiser.ends_with("x <mallory@evil.example>"), "{}", invitation.organiser);
    }

    #[test]
    fn b_20_an_invitation_says_what_when_where_and_from_whom() {
        let text = calendar(
            "METHOD:REQUEST\nBEGIN:VEVENT\nSUMMARY:Point sur la\n  migration\\, suite\nLOCATION:Salle 4\n\
             DTSTART;TZID=Europe/Paris:20260402T100000\nDTEND;TZID=Europe/Paris:20260402T113000\n\
             ORGANIZER;CN=\"Dupont, Jean\":MAILTO:jean.dupont@acme.example\nDESCRIPTION:Ordre du jour\\n1. Retour\n\
             ATTENDEE;PARTSTAT=ACCEPTED:mailto:a@acme.example\nATTENDEE;PARTSTAT=NEEDS-ACTION:mailto:b@acme.example\n\
             RRULE:FREQ=WEEKLY\nBEGIN:VALARM\nTRIGGER:-PT15M\nEND:VALARM\nEND:VEVENT",
        );
        let (invitation, description) = Invitation::read(&text).unwrap();
        let expected = Invitation {
            purpose: Purpose::Invite,
            summary: "Point sur la migration, suite".to_owned(),
            when: Some(When::At { start: time("2026-04-02T08:00:00Z"), end: Some(time("2026-04-02T09:30:00Z")) }),
            repeats: true,
            location: "Salle 4".to_owned(),
            organiser: "Dupont, Jean <jean.dupont@acme.example>".to_owned(),
            answers: Answers { accepted: 1, open: 1, ..Answers::default() },
            ..Invitation::default()
        };
        assert_eq!((invitation, description.as_str()), (expected, "Ordre du jour\n1. Retour"));
    }

    #[test]
    fn b_20_the_time_of_a_meeting_is_understood_however_it_is_written() {
        let at = |text: &str| Some(When::At { start: time(text), end: None });
        for (written, understood) in [
            ("DTSTART:20260402T080000Z", at("2026-04-02T08:00:00Z")),
            ("DTSTART;TZID=Romance Standard Time:20260402T100000", at("2026-04-02T08:00:00Z")),
            ("DTSTART;TZID=\"America/New_York\":20260402T100000", at("2026-04-02T14:00:00Z")),
            (
                "DTSTART:20260402T080000Z\nDURATION:PT45M",
                Some(When::At { start: time("2026-04-02T08:00:00Z"), end: Some(time("2026-04-02T08:45:00Z")) }),
            ),
            (
                "DTSTART;VALUE=DATE:20260402\nDTEND;VALUE=DATE:20260404",
                Some(When::Days {
                    first: NaiveDate::from_ymd_opt(2026, 4, 2).unwrap(),
                    last: NaiveDate::from_ymd_opt(2026, 4, 3).unwrap(),
                }),
            ),
            (
                "DTSTART;TZID=Our own zone:20260402T100000",
                Some(When::Local { start: "2026-04-02 10:00".to_owned(), zone: "Our own zone".to_owned() }),
            ),
            (
                "DTSTART:20260402T100000",
                Some(When::Local { start: "2026-04-02 10:00".to_owned(), zone: String::new() }),
            ),
            ("DTSTART:soon", None),
            ("DTSTART:20261399T996699Z", None),
        ] {
            assert_eq!(invitation(written).when, understood, "{written}");
        }
    }

    #[test]
    fn b_20_an_answer_says_who_answers_what() {
        let text = calendar(
            "METHOD:REPLY\nBEGIN:VEVENT\nSUMMARY:x\nATTENDEE;CN=Anne;PARTSTAT=DECLINED:mailto:anne@acme.example\nEND:VEVENT",
        );
        let (answer, _) = Invitation::read(&text).unwrap();
        assert_eq!((answer.purpose, answer.answer), (Purpose::Answer, Some(Answer::Declined)));
        assert_eq!(answer.who_answers, "Anne <anne@acme.example>");
        assert_eq!(invitation("STATUS:CANCELLED").purpose, Purpose::Cancel);
    }

    #[test]
    fn b_20_the_first_of_several_meetings_is_shown_and_the_others_counted() {
        let several = calendar(
            "METHOD:PUBLISH\nBEGIN:VEVENT\nSUMMARY:First\nEND:VEVENT\nBEGIN:VEVENT\nSUMMARY:Second\nEND:VEVENT\n\
             BEGIN:VEVENT\nSUMMARY:Third\nEND:VEVENT",
        );
        let (invitation, _) = Invitation::read(&several).unwrap();
        assert_eq!((invitation.summary.as_str(), invitation.more), ("First", 2));
        assert_eq!(self::invitation("SUMMARY:Alone").more, 0);
    }

    #[test]
    fn b_20_what_is_no_meeting_or_too_much_is_none() {
        for text in ["", "Hello", "BEGIN:VCARD\nEND:VCARD\n", &calendar("BEGIN:VTODO\nEND:VTODO")] {
            assert_eq!(Invitation::read(text), None, "{text}");
        }
        assert_eq!(Invitation::read(&"BEGIN:VEVENT\n".repeat(LONGEST / 12)), None);
        // As deep as it may be, and with as many people as fit.
        Invitation::read(&"BEGIN:VEVENT\n".repeat(LONGEST / 14));
        let many = "ATTENDEE:mailto:a@b.example\n".repeat(9_000);
        assert_eq!(invitation(&many).answers.open, 9_000);
    }
}
