//! Looking at what was captured. Only whom the consent names may, it is written down before anything is shown, and once
//! the grant's captures are to be destroyed nothing is shown, whether that was done yet or not.

use crate::access::{self, Actor, TraceFacts, TraceReaders};
use crate::clock::UtcTime;
use crate::consent::scope::{Channel, Component, Recipients, Scope};
use crate::consent::{Grant, asking, grants};
use crate::db::types::{GrantId, text_enum};
use crate::db::{DbConnection, dialect};
use crate::diagnostics::catalogue::Level;
use crate::diagnostics::reading_record::{self, Action, Detail, ReaderKind, Reading};
use crate::diagnostics::record::{Body, Record, Value};
use crate::diagnostics::redaction::Redacted;
use crate::diagnostics::trace_store::{self, Counters};
use crate::error::{Error, Result};
use crate::i18n::Message;
use crate::keys::Keys;
use crate::tickets::ticket;

/// Records shown at a time.
pub const PAGE: usize = 200;
/// Chunks read at a time, and looked through for one page at most; what is rare is found by going on.
const BATCH: i64 = 16;
const LOOKED_THROUGH: i64 = 128;
/// Chunks shown at a time to who watches, so that whoever comes late catches up in steps.
const WATCHED: i64 = 8;
/// The longest text that is looked for, and the longest reason, in characters.
pub const WORDS: usize = 200;

/// Before which record a page begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    /// The number of its chunk; 0 is the beginning.
    pub chunk: i64,
    /// Its place there.
    pub record: usize,
}

/// What somebody wants to see.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    pub from: Cursor,
    /// Only records that say this, in whatever case.
    pub text: String,
    /// Only records that are no more detailed.
    pub level: Option<Level>,
    /// Only records that this part of the consent admitted.
    pub component: Option<Component>,
    /// Why; the ticket's reference if nothing is said.
    pub reason: String,
}

/// A record, and where it came from.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    pub channel: Channel,
    pub redacted: Redacted,
}

/// Records as they are shown.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown {
    pub lines: Vec<Line>,
    pub next: Option<Cursor>,
}

/// What anybody who knows of the consent may see without it being a look.
#[derive(Clone, Debug)]
pub struct Overview {
    pub counters: Counters,
    /// The number of the last chunk.
    pub last: i64,
    pub readings: Vec<Reading>,
    /// The number of the newest look.
    pub newest: i64,
    pub may_read: bool,
    pub is_readable: bool,
}

/// How much was captured, and who looked at it.
pub fn overview(db: &mut DbConnection, grant: &Grant, reader: &Actor, readings: i64, now: UtcTime) -> Result<Overview> {
    Ok(Overview {
        counters: trace_store::counters(db, grant.id)?,
        last: trace_store::last(db, grant.id)?,
        readings: reading_record::of_grant(db, grant.id, readings)?,
        newest: reading_record::newest(db, grant.id)?,
        may_read: access::can_read_traces(reader, &facts(db, grant)?),
        is_readable: is_readable(grant, now),
    })
}

/// Shows a page of records to `reader`, who looked from then on for everybody to see. To be called in a transaction that
/// writes: nothing is shown unless that it was is kept.
pub fn view(
    db: &mut DbConnection,
    keys: &Keys,
    grant: GrantId,
    reader: &Actor,
    asked: &Asked,
    now: UtcTime,
) -> Result<Shown> {
    let grant = open(db, grant, reader, now)?;
    let shown = look_through(db, keys, &grant, asked)?;
    let is_search = !asked.text.is_empty() || asked.level.is_some() || asked.component.is_some();
    let look = Look {
        action: if is_search { Action::Search } else { Action::View },
        detail: Detail {
            text: asked.text.chars().take(WORDS).collect(),
            level: asked.level.map_or("", Level::code).to_owned(),
            component: asked.component.map_or("", Component::as_str).to_owned(),
            chunk: asked.from.chunk,
            form: String::new(),
        },
        records: shown.lines.len(),
        reason: &asked.reason,
    };
    look.write(db, &grant, reader, now)?;
    Ok(shown)
}

text_enum! {
    /// What becomes of everything that a grant captured.
    pub enum Form {
        /// Drawn on the page, added up.
        Flame = "flame",
        /// OpenTelemetry's JSON, a trace a line.
        Otlp = "otlp",
        /// Chrome's trace events, for Perfetto and its like.
        Chrome = "chrome",
        /// Stacks with their time, for flame graphs.
        Folded = "folded",
        Csv = "csv",
    }
}

impl Form {
    /// Whether it leaves Accord as a file.
    pub fn leaves(self) -> bool {
        self != Form::Flame
    }
}

/// Leave to read everything that was there when it was given.
#[derive(Clone, Debug)]
pub struct Whole {
    pub grant: Grant,
    /// The last chunk it is good for.
    last: i64,
}

/// Opens everything that a grant captured to `reader`: that they read it, all of it, is on record when this returns. What
/// leaves Accord needs the grant to allow that.
pub fn open_whole(
    db: &mut DbConnection,
    grant: GrantId,
    reader: &Actor,
    form: Form,
    reason: &str,
    now: UtcTime,
) -> Result<Whole> {
    let grant = open(db, grant, reader, now)?;
    if form.leaves() && !grant.exports_allowed {
        return Err(Error::Forbidden);
    }
    let records = trace_store::counters(db, grant.id)?.captured;
    let look = Look {
        action: if form.leaves() { Action::Export } else { Action::View },
        detail: Detail { form: form.as_str().to_owned(), ..Detail::default() },
        records: usize::try_from(records).unwrap_or_default(),
        reason,
    };
    look.write(db, &grant, reader, now)?;
    Ok(Whole { last: trace_store::last(db, grant.id)?, grant })
}

/// The next chunks of a whole capture after number `after`, and the number of the last of them; nothing at the end. Once
/// the capture is to be destroyed there is no more, which is an error: what was handed out is not whole.
pub fn read_on(
    db: &mut DbConnection,
    keys: &Keys,
    whole: &Whole,
    after: i64,
    now: UtcTime,
) -> Result<Option<(Vec<Line>, i64)>> {
    if after >= whole.last {
        return Ok(None);
    }
    let grant = grants::by_id(db, whole.grant.id)?;
    if !is_readable(&grant, now) {
        return Err(Error::Conflict(Message::new("diagnostics-gone")));
    }
    let chunks = trace_store::read(db, keys, &grant, after, BATCH.min(whole.last - after))?;
    let Some(last) = chunks.last().map(|chunk| chunk.number) else {
        return Err(Error::Conflict(Message::new("diagnostics-gone")));
    };
    Ok(Some((lines(chunks), last)))
}

/// Begins to watch what is captured, which is on record from here on; a member of the staff counts as looking.
pub fn begin_watching(db: &mut DbConnection, grant: GrantId, reader: &Actor, reason: &str, now: UtcTime) -> Result<()> {
    let grant = open(db, grant, reader, now)?;
    Look { action: Action::Live, detail: Detail::default(), records: 0, reason }.write(db, &grant, reader, now)
}

/// What was captured since chunk `after`, with the number of the last chunk of it; that it was shown is on record.
pub fn watch(
    db: &mut DbConnection,
    keys: &Keys,
    grant: GrantId,
    reader: &Actor,
    after: i64,
    reason: &str,
    now: UtcTime,
) -> Result<(Vec<Line>, i64)> {
    let grant = open(db, grant, reader, now)?;
    let after = after.clamp(0, trace_store::last(db, grant.id)?);
    let chunks = trace_store::read(db, keys, &grant, after, WATCHED)?;
    let last = chunks.last().map_or(after, |chunk| chunk.number);
    let lines = lines(chunks);
    if !lines.is_empty() {
        let detail = Detail { chunk: after + 1, ..Detail::default() };
        Look { action: Action::Live, detail, records: lines.len(), reason }.write(db, &grant, reader, now)?;
    }
    Ok((lines, last))
}

fn lines(chunks: Vec<trace_store::Chunk>) -> Vec<Line> {
    let lines = chunks.into_iter().flat_map(|chunk| {
        let channel = chunk.channel;
        chunk.records.into_iter().map(move |redacted| Line { channel, redacted })
    });
    lines.collect()
}

/// The grant, if `reader` may read what it captured now. A withdrawal waits until whoever calls this is done, or this for
/// it.
fn open(db: &mut DbConnection, grant: GrantId, reader: &Actor, now: UtcTime) -> Result<Grant> {
    if reader.is_staff() {
        // Before the lock that others may share, since this one changes the row.
        grants::seen(db, grant, now)?;
    }
    dialect::hold_grant(db, grant)?;
    let grant = grants::by_id(db, grant)?;
    if !access::can_read_traces(reader, &facts(db, &grant)?) {
        return Err(Error::Forbidden);
    }
    if !is_readable(&grant, now) {
        return Err(Error::Conflict(Message::new("diagnostics-gone")));
    }
    Ok(grant)
}

/// A look that is about to be written down.
struct Look<'a> {
    action: Action,
    detail: Detail,
    records: usize,
    reason: &'a str,
}

impl Look<'_> {
    fn write(self, db: &mut DbConnection, grant: &Grant, reader: &Actor, now: UtcTime) -> Result<()> {
        let reason = match self.reason.trim() {
            "" => ticket::by_id(db, grant.ticket_id)?.reference,
            reason => reason.chars().take(WORDS).collect(),
        };
        let reading = Reading {
            reader: reader.person().ok_or(Error::Forbidden)?,
            reader_kind: if reader.is_staff() { ReaderKind::Staff } else { ReaderKind::Customer },
            action: self.action,
            detail: self.detail,
            records: i64::try_from(self.records).unwrap_or(i64::MAX),
            reason,
            at: now,
        };
        reading_record::write(db, grant, &reading)
    }
}

/// Whether what the grant captured may still be read: it may not from the moment on at which it is to be destroyed.
fn is_readable(grant: &Grant, now: UtcTime) -> bool {
    grant.is_kept() && grant.kept_until.is_none_or(|until| now < until)
}

fn facts(db: &mut DbConnection, grant: &Grant) -> Result<TraceFacts> {
    let readers = match asking::by_id(db, grant.request_id)?.terms.recipients {
        Recipients::Queue(queue) => TraceReaders::Queue(queue),
        Recipients::Agent(agent) => TraceReaders::Agent(agent),
    };
    Ok(TraceFacts {
        ticket: ticket::by_id(db, grant.ticket_id)?.facts(),
        subject: grant.subject.person(),
        granted_by: grant.granted_by,
        seconded_by: grant.seconded_by,
        readers,
    })
}

fn look_through(db: &mut DbConnection, keys: &Keys, grant: &Grant, asked: &Asked) -> Result<Shown> {
    let words: String = asked.text.chars().take(WORDS).collect::<String>().to_lowercase();
    let from = asked.from;
    let mut lines = Vec::new();
    let mut after = from.chunk.saturating_sub(1).clamp(0, trace_store::last(db, grant.id)?);
    let mut looked_through = 0;
    loop {
        let chunks = trace_store::read(db, keys, grant, after, BATCH)?;
        let is_end = i64::try_from(chunks.len()).unwrap_or(i64::MAX) < BATCH;
        for chunk in chunks {
            let first = if chunk.number == from.chunk { from.record } else { 0 };
            for (place, redacted) in chunk.records.into_iter().enumerate().skip(first) {
                if !is_wanted(grant, chunk.channel, &redacted.record, &words, asked) {
                    continue;
                }
                if lines.len() == PAGE {
                    return Ok(Shown { lines, next: Some(Cursor { chunk: chunk.number, record: place }) });
                }
                lines.push(Line { channel: chunk.channel, redacted });
            }
            after = chunk.number;
        }
        looked_through += BATCH;
        if is_end {
            return Ok(Shown { lines, next: None });
        }
        if looked_through >= LOOKED_THROUGH {
            return Ok(Shown { lines, next: Some(Cursor { chunk: after + 1, record: 0 }) });
        }
    }
}

/// That something is missing is always shown.
fn is_wanted(grant: &Grant, channel: Channel, record: &Record, words: &str, asked: &Asked) -> bool {
    let body = match record {
        Record::Event(event) => &event.body,
        Record::Span(span) => &span.body,
        Record::Gap(_) => return true,
    };
    asked.level.is_none_or(|level| body.level <= level)
        && asked.component.is_none_or(|component| admitted_by(&grant.scope, channel, body) == Some(component))
        && (words.is_empty() || says(body, words))
}

/// The part of a consent's scope that let a record in.
pub fn admitted_by(scope: &Scope, channel: Channel, body: &Body) -> Option<Component> {
    let components = || scope.components.iter().map(|part| part.component);
    let by_target = components().find(|component| channel == Channel::Server && component.covers(&body.target));
    by_target.or_else(|| components().find(|component| component.channel() == channel))
}

fn says(body: &Body, words: &str) -> bool {
    let has = |text: &str| text.to_lowercase().contains(words);
    has(&body.name)
        || has(&body.target)
        || body.fields.iter().any(|field| match &field.value {
            Value::Text(text) => has(text),
            Value::Integer(number) => number.to_string().contains(words),
            Value::Unsigned(number) => number.to_string().contains(words),
            Value::Float(number) => number.to_string().contains(words),
            Value::Bool(truth) => truth.to_string().contains(words),
        })
}
