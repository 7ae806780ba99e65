//! Who looked, and how it stands, as a part of the page that renews itself while it is open: a look by anybody is there
//! within a second. Nothing of what was captured is in it, so asking for it is no look.

use std::collections::BTreeSet;
use std::time::Duration;

use actix_web::web::Data;
use askama::Template;
use chrono::TimeDelta;
use tokio::time::Instant;

use crate::access::Actor;
use crate::app::App;
use crate::clock::UtcTime;
use crate::consent::wording::{component_key, level_key};
use crate::consent::{Component, Level as Closeness};
use crate::db::DbConnection;
use crate::diagnostics::reading_record::{self, Action, ReaderKind, Reading};
use crate::diagnostics::redaction::Rule;
use crate::diagnostics::trace_store;
use crate::diagnostics::viewing::Form;
use crate::error::Result;
use crate::i18n::Texts;
use crate::mail::address::visible;
use crate::web::consents;
use crate::web::diagnostics::live::{self, Beat, Source, Stay};
use crate::web::diagnostics::records::rule_key;
use crate::web::diagnostics::{Find, Loaded, load, seat};
use crate::web::page::Page;
use crate::web::page_error::PageResult;

/// Looks of one person who watches belong together when no more time than this is between them.
const TOGETHER: TimeDelta = TimeDelta::minutes(2);
/// Whoever watches is heard of again within this time.
const STILL: TimeDelta = TimeDelta::seconds(45);
/// How long this part stays as it was sent: what somebody does is to be seen within a second, while how much was captured
/// changes all the time.
const STAYS: Duration = Duration::from_millis(800);
const COUNTS_STAY: Duration = Duration::from_secs(2);
/// Looks among which whoever watches now is found.
const LATEST: i64 = 50;
/// Rows listed.
const LISTED: usize = 200;

/// How a capture stands, and who looked at it.
struct LooksView {
    state: String,
    tone: &'static str,
    icon: &'static str,
    left: String,
    counters: Vec<(String, String)>,
    readings: Vec<ReadingView>,
}

pub struct ReadingView {
    pub who: String,
    pub side: String,
    pub what: String,
    pub reason: String,
    pub from: UtcTime,
    /// The last of several looks.
    pub until: Option<UtcTime>,
    pub is_now: bool,
}

#[derive(Template)]
#[template(path = "layout/diagnostics_looks.html")]
struct Fragment<'a> {
    p: &'a Page,
    looks: LooksView,
}

/// This part as HTML.
pub fn render(p: &Page, loaded: &Loaded) -> Result<String, askama::Error> {
    Fragment { p, looks: view(&p.t, loaded, p.now) }.render()
}

fn view(t: &Texts, loaded: &Loaded, now: UtcTime) -> LooksView {
    let (state, tone, icon) = consents::state_of(t, &loaded.request, Some(&loaded.grant), now);
    let left = if loaded.grant.is_live(now) { consents::left(t, loaded.grant.expires_at, now) } else { String::new() };
    let name = |reading: &Reading| {
        let found = loaded.names.iter().find(|(person, _)| *person == reading.reader);
        found.map(|(_, name)| name.clone()).unwrap_or_default()
    };
    LooksView {
        state,
        tone: tone.as_str(),
        icon,
        left: if left.is_empty() { left } else { t.with("consent-left", "left", left) },
        counters: counters(t, loaded),
        readings: rows(t, &loaded.overview.readings, name, now),
    }
}

/// Looks in words, the newest first; somebody's watching is one row.
pub fn rows(t: &Texts, readings: &[Reading], name: impl Fn(&Reading) -> String, now: UtcTime) -> Vec<ReadingView> {
    let mut together: Vec<(Reading, UtcTime)> = Vec::new();
    for reading in readings {
        if let Some((newer, from)) = together.last_mut()
            && belongs_to(reading, newer, *from)
        {
            newer.records = newer.records.saturating_add(reading.records);
            *from = reading.at;
            continue;
        }
        together.push((reading.clone(), reading.at));
    }
    together
        .into_iter()
        .take(LISTED)
        .map(|(reading, from)| ReadingView {
            who: name(&reading),
            side: t.say(match reading.reader_kind {
                ReaderKind::Staff => "diagnostics-side-staff",
                ReaderKind::Customer => "diagnostics-side-customer",
            }),
            what: what(t, &reading),
            reason: visible(&reading.reason),
            until: (from != reading.at).then_some(reading.at),
            from,
            is_now: is_now(&reading, now),
        })
        .collect()
}

/// Whether an older look is part of the same watching, which so far began at `from`.
fn belongs_to(older: &Reading, newer: &Reading, from: UtcTime) -> bool {
    older.action == Action::Live
        && newer.action == Action::Live
        && (older.reader, &older.reason) == (newer.reader, &newer.reason)
        && from.since(older.at) <= TOGETHER
}

fn is_now(reading: &Reading, now: UtcTime) -> bool {
    reading.action == Action::Live && now.since(reading.at) <= STILL
}

/// How many people watch now.
pub fn watching(readings: &[Reading], now: UtcTime) -> usize {
    let watching = readings.iter().filter(|reading| is_now(reading, now));
    watching.map(|reading| reading.reader).collect::<BTreeSet<_>>().len()
}

fn what(t: &Texts, reading: &Reading) -> String {
    let detail = &reading.detail;
    let key = match (reading.action, Form::parse(&detail.form)) {
        (Action::Live, _) => "diagnostics-did-watch",
        (Action::Search, _) => "diagnostics-did-search",
        (Action::Api, _) => "diagnostics-did-ask",
        (Action::Export, Some(Form::Otlp)) => "diagnostics-did-take-otlp",
        (Action::Export, Some(Form::Chrome)) => "diagnostics-did-take-chrome",
        (Action::Export, Some(Form::Folded)) => "diagnostics-did-take-folded",
        (Action::Export, _) => "diagnostics-did-take-csv",
        (Action::View, Some(Form::Flame)) => "diagnostics-did-add-up",
        (Action::View, _) => "diagnostics-did-view",
    };
    let mut what = vec![t.say(key), t.count("diagnostics-reading-records", reading.records)];
    if !detail.text.is_empty() {
        what.push(t.with("diagnostics-reading-text", "text", visible(&detail.text)));
    }
    if let Some(level) = Closeness::parse(&detail.level) {
        what.push(t.say(level_key(level)));
    }
    if let Some(component) = Component::parse(&detail.component) {
        what.push(t.say(component_key(component)));
    }
    what.join(", ")
}

fn counters(t: &Texts, loaded: &Loaded) -> Vec<(String, String)> {
    let counters = &loaded.overview.counters;
    let dropped = &counters.dropped;
    let numbers = [
        ("diagnostics-captured", counters.captured),
        ("diagnostics-dropped-full", dropped.full),
        ("diagnostics-dropped-budget", dropped.budget),
        ("diagnostics-out-of-scope", dropped.out_of_scope),
        ("diagnostics-late", dropped.late),
    ];
    let numbers = numbers.into_iter().map(|(key, count)| (t.say(key), t.number(count)));
    let masked = counters.masked.iter().map(|(code, count)| {
        let rule = Rule::parse(code).map_or_else(|| code.clone(), |rule| t.say(rule_key(rule)));
        (t.with("diagnostics-masked", "rule", rule), t.number(*count))
    });
    numbers.chain(masked).collect()
}

/// What a change of this part shows by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    newest: i64,
    version: i64,
    is_live: bool,
    captured: i64,
    watching: usize,
}

impl Mark {
    /// For how long what was sent as `self` stays although it is `now` another.
    fn stays(self, now: Mark) -> Duration {
        if (Mark { captured: now.captured, ..self }) == now { COUNTS_STAY } else { STAYS }
    }
}

/// Sends this part whenever it is another than what the page has, whose newest look is number `seen`.
pub async fn follow(app: Data<App>, reader: Actor, p: Page, find: Find, seen: i64, stay: Stay) -> PageResult {
    let seat = seat(&app.looking.following, &reader, "diagnostics-watching-enough")?;
    let (asked, now) = (find.clone(), app.clock.now());
    // Whoever may not see the page is told so before anything is sent.
    let mark = app.database.read(move |db| mark(db, &asked, now)).await?;
    let known = (seen == mark.newest).then_some(mark);
    live::stream(stay, seat, Following { app, reader, p, find, known, sent_at: None, due: None })
}

struct Following {
    app: Data<App>,
    reader: Actor,
    p: Page,
    find: Find,
    /// What the page has.
    known: Option<Mark>,
    sent_at: Option<Instant>,
    /// When what the page does not have yet is to be sent.
    due: Option<Instant>,
}

enum Found {
    Same,
    /// It is another, and what was sent is to stay until then.
    Later(Instant),
    Another(Mark, Box<Loaded>),
}

impl Source for Following {
    async fn beat(&mut self) -> Result<Beat> {
        let now = self.app.clock.now();
        self.p.now = now;
        let (find, reader, known, sent_at) = (self.find.clone(), self.reader.clone(), self.known, self.sent_at);
        let found = self
            .app
            .database
            .read(move |db| {
                let mark = mark(db, &find, now)?;
                if known == Some(mark) {
                    return Ok(Found::Same);
                }
                if let (Some(known), Some(sent_at)) = (known, sent_at)
                    && sent_at + known.stays(mark) > Instant::now()
                {
                    return Ok(Found::Later(sent_at + known.stays(mark)));
                }
                let grant = find(db)?;
                Ok(Found::Another(mark, Box::new(load(db, grant, &reader, now)?)))
            })
            .await?;
        self.due = None;
        let (mark, loaded) = match found {
            Found::Same => return Ok(Beat::Nothing),
            Found::Later(due) => {
                self.due = Some(due);
                return Ok(Beat::Nothing);
            }
            Found::Another(mark, loaded) => (mark, loaded),
        };
        (self.known, self.sent_at) = (Some(mark), Some(Instant::now()));
        let html = render(&self.p, &loaded).map_err(anyhow::Error::new)?;
        Ok(Beat::Send { id: mark.newest, html })
    }

    fn due(&self) -> Option<Instant> {
        self.due
    }
}

fn mark(db: &mut DbConnection, find: &Find, now: UtcTime) -> Result<Mark> {
    let grant = find(db)?;
    Ok(Mark {
        newest: reading_record::newest(db, grant.id)?,
        version: grant.version,
        is_live: grant.is_live(now),
        captured: trace_store::counters(db, grant.id)?.captured,
        watching: watching(&reading_record::of_grant(db, grant.id, LATEST)?, now),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_is_shown_within_a_second_and_counting_alone_sends_the_part_again_every_other_second() {
        let sent = Mark { newest: 7, version: 1, is_live: true, captured: 100, watching: 0 };
        assert_eq!(sent.stays(Mark { captured: 250, ..sent }), COUNTS_STAY);
        for now in [
            Mark { newest: 8, captured: 250, ..sent },
            Mark { version: 2, ..sent },
            Mark { is_live: false, captured: 250, ..sent },
            Mark { watching: 1, ..sent },
        ] {
            assert_eq!(sent.stays(now), STAYS, "{now:?}");
        }
        assert!(STAYS < Duration::from_secs(1));
    }
}
