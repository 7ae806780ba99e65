//! A meeting that a mail invites to, or answers about, as a card beside the mail: what, when by the reader's clock, where, from
//! whom, and how it stands. Who answers does so in their own calendar, with the file that came with the mail.

use chrono::TimeDelta;

use crate::clock::UtcTime;
use crate::i18n::Texts;
use crate::mail::address::visible;
use crate::mail::invitation::{Answer, Answers, Invitation, Purpose, When};

/// A meeting on a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeetingCard {
    /// What the mail is about it: an invitation, an answer …
    pub title: String,
    /// What it is called; empty if it has no name.
    pub name: String,
    /// Labels and what is said.
    pub facts: Vec<(String, String)>,
}

/// The card of an invitation, for a reader with their language and time zone.
pub fn meeting_card(t: &Texts, invitation: &Invitation) -> MeetingCard {
    let title = match invitation.purpose {
        Purpose::Publish => "meeting-told",
        Purpose::Invite => "meeting-invitation",
        Purpose::Answer => "meeting-answer",
        Purpose::Cancel => "meeting-cancelled",
        Purpose::Counter => "meeting-counter",
    };
    let mut facts = Vec::new();
    let mut add = |label: &str, said: String| {
        if !said.is_empty() {
            facts.push((t.say(label), said));
        }
    };
    add("meeting-when", invitation.when.as_ref().map(|when| time(t, when)).unwrap_or_default());
    if invitation.repeats {
        add("meeting-repeats", t.say("meeting-repeats-yes"));
    }
    if invitation.more > 0 {
        add("meeting-more", t.count("meeting-more-count", invitation.more));
    }
    add("meeting-where", visible(&invitation.location));
    add("meeting-organiser", visible(&invitation.organiser));
    add("meeting-who-answers", visible(&invitation.who_answers));
    let answer = match invitation.answer {
        Some(Answer::Accepted) => t.say("meeting-accepted"),
        Some(Answer::Tentative) => t.say("meeting-tentative"),
        Some(Answer::Declined) => t.say("meeting-declined"),
        Some(Answer::Delegated) => t.say("meeting-delegated"),
        None => answers(t, invitation.answers),
    };
    add("meeting-answers", answer);
    add("meeting-source", t.say("meeting-source-file"));
    MeetingCard { title: t.say(title), name: visible(&invitation.summary), facts }
}

fn answers(t: &Texts, answers: Answers) -> String {
    let counts = [
        ("meeting-count-accepted", answers.accepted),
        ("meeting-count-tentative", answers.tentative),
        ("meeting-count-declined", answers.declined),
        ("meeting-count-open", answers.open),
    ];
    let said: Vec<String> =
        counts.into_iter().filter(|(_, count)| *count > 0).map(|(key, count)| t.count(key, count)).collect();
    said.join(", ")
}

/// A time names its zone: the reader may sit elsewhere than their settings say, and forwards what they read.
fn time(t: &Texts, when: &When) -> String {
    let in_zone = |said: String, at: &UtcTime| t.with2("meeting-in-zone", "time", said, "zone", zone(t, at));
    match when {
        When::At { start, end: None } => in_zone(t.date_time(start), start),
        When::At { start, end: Some(end) } => {
            let ends = if t.date(start) == t.date(end) { t.time(end) } else { t.date_time(end) };
            in_zone(t.with2("meeting-from-to", "start", t.date_time(start), "end", ends), start)
        }
        When::Days { first, last } if first == last => t.day(first),
        When::Days { first, last } => t.with2("meeting-days", "first", t.day(first), "last", t.day(last)),
        When::Local { start, zone } => {
            let start = chrono::NaiveDateTime::parse_from_str(start, "%Y-%m-%d %H:%M")
                .map_or_else(|_| start.clone(), |start| local(t, start));
            if zone.is_empty() {
                t.with("meeting-local", "start", start)
            } else {
                t.with2("meeting-local-in", "start", start, "zone", visible(zone))
            }
        }
    }
}

/// The zone of the reader, and how far it is from UTC at that time: `Europe/Paris, UTC+02:00`.
fn zone(t: &Texts, at: &UtcTime) -> String {
    if t.zone == chrono_tz::UTC {
        return "UTC".to_owned();
    }
    let offset = at.to_datetime().with_timezone(&t.zone).format("%:z");
    format!("{}, UTC{offset}", t.zone.name().replace('_', " "))
}

/// A time as it was written, in nobody's zone.
fn local(t: &Texts, time: chrono::NaiveDateTime) -> String {
    let without_zone = Texts::new(t.locale, chrono_tz::UTC);
    without_zone.date_time(&UtcTime::from_seconds(0).plus(TimeDelta::seconds(time.and_utc().timestamp())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::i18n::Locale;

    fn at(hour: u32) -> UtcTime {
        let day = chrono::NaiveDate::from_ymd_opt(2026, 4, 2).unwrap();
        UtcTime::from_seconds(day.and_hms_opt(hour, 0, 0).unwrap().and_utc().timestamp())
    }

    #[test]
    fn b_20_a_meeting_is_shown_by_the_clock_and_in_the_language_of_its_reader() {
        let invitation = Invitation {
            purpose: Purpose::Invite,
            summary: "Migration".to_owned(),
            when: Some(When::At { start: at(8), end: Some(at(9)) }),
            organiser: "Jean <jean@acme.example>".to_owned(),
            answers: Answers { accepted: 2, open: 1, ..Answers::default() },
            ..Invitation::default()
        };
        let card = meeting_card(&Texts::new(Locale::Fr, chrono_tz::Europe::Paris), &invitation);
        assert_eq!(card.title, "Invitation à une réunion");
        assert_eq!(card.facts[0].1, "2 avr. 2026, 10:00 – 11:00 (Europe/Paris, UTC+02:00)");
        assert_eq!(card.facts[2].1, "2 acceptent, 1 sans réponse");
        let card = meeting_card(&Texts::new(Locale::En, chrono_tz::America::New_York), &invitation);
        assert_eq!(card.facts[0].1, "2 Apr 2026, 04:00 – 05:00 (America/New York, UTC-04:00)");
        let several = meeting_card(
            &Texts::new(Locale::En, chrono_tz::UTC),
            &Invitation { more: 2, when: Some(When::At { start: at(8), end: None }), ..Invitation::default() },
        );
        assert_eq!(several.facts[0].1, "2 Apr 2026, 08:00 (UTC)");
        assert_eq!(several.facts[1].1, "2 more; the attached file has them");
        let local = When::Local { start: "2026-04-02 10:00".to_owned(), zone: String::new() };
        let card = meeting_card(
            &Texts::new(Locale::Fr, chrono_tz::America::New_York),
            &Invitation { when: Some(local), ..Invitation::default() },
        );
        assert_eq!(card.facts[0].1, "2 avr. 2026, 10:00 (heure de l’expéditeur)");
    }
}
