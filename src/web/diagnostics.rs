//! What was captured with a consent, to agents and to customers alike: how much, who looked at it, and on request, which
//! is put on record, the records themselves.

use askama::Template;
use serde::Deserialize;

use crate::access::{Actor, CustomerActor};
use crate::app::App;
use crate::clock::UtcTime;
use crate::consent::wording::{component_key, level_key};
use crate::consent::{Grant, Level as Closeness};
use crate::db::DbConnection;
use crate::db::types::PersonId;
use crate::diagnostics::catalogue::Level;
use crate::diagnostics::reading_record::{Action, Reading};
use crate::diagnostics::record::{Body, Reason, Record, Value};
use crate::diagnostics::viewing::{self, Asked, Cursor, Line, Overview, Shown};
use crate::error::{Error, FieldErrors, Result};
use crate::i18n::Texts;
use crate::mail::address::visible;
use crate::people::directory;
use crate::web::page::{Choice, Crumb, Page};
use crate::web::page_error::PageResult;
use crate::web::respond::page;

/// Looks listed.
const READINGS: i64 = 200;

/// What somebody wants to see.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReadingForm {
    text: String,
    level: String,
    reason: String,
    chunk: i64,
    record: usize,
}

impl ReadingForm {
    fn asked(&self) -> Asked {
        Asked {
            from: Cursor { chunk: self.chunk, record: self.record },
            text: self.text.trim().to_owned(),
            level: Level::parse(&self.level),
            reason: self.reason.clone(),
        }
    }
}

/// What a page shows of a grant.
pub struct Loaded {
    grant: Grant,
    overview: Overview,
    names: Vec<(PersonId, String)>,
    shown: Option<Shown>,
}

/// Loads what may be seen without it being a look.
pub fn load(db: &mut DbConnection, grant: Grant, reader: &Actor, now: UtcTime) -> Result<Loaded> {
    let overview = viewing::overview(db, &grant, reader, READINGS, now)?;
    let readers: Vec<PersonId> = overview.readings.iter().map(|reading| reading.reader).collect();
    let names = directory::names(db, &readers)?.into_iter().map(|(person, _, name)| (person, visible(&name)));
    Ok(Loaded { grant, overview, names: names.collect(), shown: None })
}

/// Looks: the records that `form` asks for, of the grant that `find` finds for `reader`. The look is on record before
/// this returns. When there is nothing left to read, that is what is shown.
pub async fn read<F>(app: &App, reader: Actor, form: ReadingForm, find: F) -> Result<Loaded>
where
    F: Fn(&mut DbConnection) -> Result<Grant> + Send + 'static,
{
    let (keys, now) = (app.keys.clone(), app.clock.now());
    app.database
        .write(move |db| {
            let grant = find(db)?;
            let shown = match viewing::view(db, &keys, grant.id, &reader, &form.asked(), now) {
                Ok(shown) => Some(shown),
                Err(Error::Conflict(_)) => None,
                Err(error) => return Err(error),
            };
            Ok(Loaded { shown, ..load(db, grant, &reader, now)? })
        })
        .await
}

struct RecordView {
    at: String,
    level: String,
    tone: &'static str,
    place: String,
    component: String,
    name: String,
    fields: Vec<(String, String)>,
    notes: Vec<String>,
}

struct ReadingView {
    who: String,
    what: String,
    reason: String,
    at: UtcTime,
}

struct RecordsView {
    action: String,
    may_read: bool,
    asks_reason: bool,
    is_readable: bool,
    counters: Vec<(String, String)>,
    readings: Vec<ReadingView>,
    levels: Vec<Choice>,
    typed: ReadingForm,
    shown: Option<Vec<RecordView>>,
    next: Option<Cursor>,
}

#[derive(Template)]
#[template(path = "agent/diagnostics.html")]
struct AgentPage {
    p: Page,
    errors: FieldErrors,
    crumbs: Vec<Crumb>,
    reference: String,
    d: RecordsView,
}

#[derive(Template)]
#[template(path = "portal/diagnostics.html")]
struct CustomerPage {
    p: Page,
    errors: FieldErrors,
    crumbs: Vec<Crumb>,
    d: RecordsView,
    may_destroy: bool,
    destruction: String,
}

/// The page of an agent.
pub fn for_agent(
    p: Page,
    crumbs: Vec<Crumb>,
    reference: String,
    handle: &str,
    loaded: &Loaded,
    typed: ReadingForm,
) -> PageResult {
    let action = format!("/tickets/{reference}/consents/{handle}/readings");
    let d = records_view(&p.t, loaded, action, true, typed);
    page(&AgentPage { errors: FieldErrors::default(), crumbs, reference, d, p })
}

/// The page of a customer.
pub fn for_customer(
    p: Page,
    crumbs: Vec<Crumb>,
    handle: &str,
    loaded: &Loaded,
    customer: &CustomerActor,
    typed: ReadingForm,
) -> PageResult {
    let d = records_view(&p.t, loaded, format!("/consents/{handle}/readings"), false, typed);
    let may_stop = loaded.grant.may_be_withdrawn_by(customer);
    let may_destroy = may_stop && loaded.overview.is_readable && loaded.grant.ended_at.is_some();
    let destruction = format!("/consents/{handle}/destruction");
    page(&CustomerPage { errors: FieldErrors::default(), crumbs, d, may_destroy, destruction, p })
}

fn records_view(t: &Texts, loaded: &Loaded, action: String, asks_reason: bool, typed: ReadingForm) -> RecordsView {
    let levels = Closeness::ALL.iter().map(|level| (level.as_str(), t.say(level_key(*level))));
    let records = |shown: &Shown| shown.lines.iter().map(|line| record_view(t, &loaded.grant, line)).collect();
    RecordsView {
        action,
        may_read: loaded.overview.may_read,
        asks_reason,
        is_readable: loaded.overview.is_readable,
        counters: counters(t, &loaded.overview),
        readings: loaded.overview.readings.iter().map(|reading| reading_view(t, loaded, reading)).collect(),
        levels: Choice::list(levels, &typed.level),
        shown: loaded.shown.as_ref().map(records),
        next: loaded.shown.as_ref().and_then(|shown| shown.next),
        typed,
    }
}

fn counters(t: &Texts, overview: &Overview) -> Vec<(String, String)> {
    let counters = &overview.counters;
    let dropped = &counters.dropped;
    let numbers = [
        ("diagnostics-captured", counters.captured),
        ("diagnostics-dropped-full", dropped.full),
        ("diagnostics-dropped-budget", dropped.budget),
        ("diagnostics-out-of-scope", dropped.out_of_scope),
        ("diagnostics-late", dropped.late),
    ];
    let numbers = numbers.into_iter().map(|(key, count)| (t.say(key), t.number(count)));
    let masked =
        counters.masked.iter().map(|(rule, count)| (t.with("diagnostics-masked", "rule", rule), t.number(*count)));
    numbers.chain(masked).collect()
}

fn reading_view(t: &Texts, loaded: &Loaded, reading: &Reading) -> ReadingView {
    let name = loaded.names.iter().find(|(person, _)| *person == reading.reader).map(|(_, name)| name.clone());
    let mut what = vec![t.count("diagnostics-reading-records", reading.records)];
    if reading.action == Action::Search {
        let detail = &reading.detail;
        if !detail.text.is_empty() {
            what.push(t.with("diagnostics-reading-text", "text", visible(&detail.text)));
        }
        if let Some(level) = Closeness::parse(&detail.level) {
            what.push(t.say(level_key(level)));
        }
    }
    ReadingView {
        who: name.unwrap_or_default(),
        what: what.join(", "),
        reason: visible(&reading.reason),
        at: reading.at,
    }
}

fn record_view(t: &Texts, grant: &Grant, line: &Line) -> RecordView {
    let (body, at, duration): (&Body, i64, Option<i64>) = match &line.redacted.record {
        Record::Event(event) => (&event.body, event.at_nanos, None),
        Record::Span(span) => (&span.body, span.start_nanos, Some(span.end_nanos - span.start_nanos)),
        Record::Gap(gap) => {
            let reason = match gap.reason {
                Reason::Full => "diagnostics-gap-full",
                Reason::Budget => "diagnostics-gap-budget",
                Reason::Fault => "diagnostics-gap-fault",
            };
            return RecordView {
                at: UtcTime::from_micros(gap.from_micros).rfc3339(),
                level: t.say("diagnostics-gap"),
                tone: "late",
                place: String::new(),
                component: String::new(),
                name: t.count("diagnostics-gap-records", gap.records),
                fields: Vec::new(),
                notes: vec![t.say(reason)],
            };
        }
    };
    let marks = line.redacted.masked.iter();
    let mut notes: Vec<String> =
        marks.map(|mark| t.with2("diagnostics-note-masked", "field", &mark.field, "rule", mark.rule)).collect();
    if line.redacted.left_out > 0 {
        notes.push(t.count("diagnostics-note-left-out", line.redacted.left_out));
    }
    if body.is_cut || body.fields.iter().any(|field| field.is_cut) {
        notes.push(t.say("diagnostics-note-cut"));
    }
    let admitted = grant.scope.components.iter().find(|part| part.component.covers(&body.target));
    let admitted =
        admitted.or_else(|| grant.scope.components.iter().find(|part| part.component.channel() == line.channel));
    let mut fields: Vec<(String, String)> =
        body.fields.iter().map(|field| (visible(&field.name), visible(&value(&field.value)))).collect();
    if let Some(nanos) = duration {
        fields.push((t.say("diagnostics-duration"), format!("{}.{:03} ms", nanos / 1_000_000, nanos / 1_000 % 1_000)));
    }
    RecordView {
        at: UtcTime::from_micros(at / 1_000).rfc3339(),
        level: body.level.code().to_owned(),
        tone: match body.level {
            Level::Error => "late",
            Level::Warn => "act",
            _ => "plain",
        },
        place: visible(&body.target),
        component: admitted.map(|part| t.say(component_key(part.component))).unwrap_or_default(),
        name: visible(&body.name),
        fields,
        notes,
    }
}

fn value(value: &Value) -> String {
    match value {
        Value::Bool(truth) => truth.to_string(),
        Value::Integer(number) => number.to_string(),
        Value::Unsigned(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Text(text) => text.clone(),
    }
}
