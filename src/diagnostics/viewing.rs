//! Looking at what was captured. Only whom the consent names may, it is written down before anything is shown, and once
//! the grant's captures are to be destroyed nothing is shown, whether that was done yet or not.
//!
//! What takes time, decrypting and looking through, is for transactions that read. Writing a look down is a short change
//! that asks for the right and for what is there once more; only what it gives opens what was found, or leaves to read on.

use chrono::TimeDelta;

use crate::access::{self, Actor, TraceFacts, TraceReaders};
use crate::clock::{Clock, UtcTime};
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
/// Chunks that one look of who watches opens at most, and that are shown at a time, so that whoever comes late catches up
/// in steps.
const WATCHED: i64 = 64;
const STEP: i64 = 8;
/// Who watches looks no more often than this, for each time is a line of its own on record.
pub const WATCHED_EVERY: TimeDelta = TimeDelta::seconds(1);
/// Looks among which the last one of who watches is found.
const LATEST: i64 = 50;
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

/// Records that were found and that nobody has seen: they open to who can show that the look is on record.
#[derive(Debug)]
pub struct Unseen(Shown);

/// What is to be put on record before anything is shown.
#[derive(Debug)]
pub struct Note {
    grant: GrantId,
    reader: Actor,
    look: Look,
}

/// That a look is on record; given out by the change that wrote it down.
#[derive(Debug)]
pub struct OnRecord(());

/// Finds a page of records for `reader`, in a transaction that reads: it writes nothing, and shows nothing either.
pub fn look(
    db: &mut DbConnection,
    keys: &Keys,
    grant: &Grant,
    reader: &Actor,
    asked: &Asked,
    now: UtcTime,
) -> Result<(Unseen, Note)> {
    may_read(db, grant, reader, now)?;
    let shown = look_through(db, keys, grant, asked)?;
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
        records: count_of(&shown.lines),
        reason: asked.reason.clone(),
    };
    Ok((Unseen(shown), Note { grant: grant.id, reader: reader.clone(), look }))
}

impl Note {
    /// Writes the look down for everybody to see, if the reader still may look and there still is what they found.
    pub fn write(&self, db: &mut DbConnection, clock: &Clock) -> Result<OnRecord> {
        let (grant, now) = open(db, self.grant, &self.reader, clock)?;
        self.look.write(db, &grant, &self.reader, now)?;
        Ok(OnRecord(()))
    }
}

impl Unseen {
    /// The records, once that they are looked at is committed.
    pub fn open(self, _: OnRecord) -> Shown {
        self.0
    }
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

/// Leave to read chunks, given by the change that put on record that all of them are read.
#[derive(Clone, Debug)]
pub struct Leave {
    pub grant: Grant,
    /// The chunk it begins after.
    pub after: i64,
    /// The last chunk it is good for.
    pub last: i64,
    /// The records there were in them.
    records: i64,
    /// Chunks read at a time.
    step: i64,
}

/// Opens everything that a grant captured to `reader`: that they read it, all of it, is on record when this returns. What
/// leaves Accord needs the grant to allow that.
pub fn open_whole(
    db: &mut DbConnection,
    grant: GrantId,
    reader: &Actor,
    form: Form,
    reason: &str,
    clock: &Clock,
) -> Result<Leave> {
    let (grant, now) = open(db, grant, reader, clock)?;
    if form.leaves() && !grant.exports_allowed {
        return Err(Error::Forbidden);
    }
    let records = trace_store::counters(db, grant.id)?.captured;
    let look = Look {
        action: if form.leaves() { Action::Export } else { Action::View },
        detail: Detail { form: form.as_str().to_owned(), ..Detail::default() },
        records,
        reason: reason.to_owned(),
    };
    look.write(db, &grant, reader, now)?;
    Ok(Leave { after: 0, last: trace_store::last(db, grant.id)?, records, step: BATCH, grant })
}

/// The next of the chunks that may be read, after number `after`, and the number of the last of them; nothing at the end,
/// where all that were counted have to have been there. Once the capture is to be destroyed there is no more, which is an
/// error: what was handed out is not whole.
pub fn read_on(
    db: &mut DbConnection,
    keys: &Keys,
    leave: &Leave,
    after: i64,
    now: UtcTime,
) -> Result<Option<(Vec<Line>, i64)>> {
    let grant = grants::by_id(db, leave.grant.id)?;
    if !is_readable(&grant, now) {
        return Err(gone());
    }
    if after >= leave.last {
        let there = trace_store::records_between(db, grant.id, leave.after, leave.last)?;
        return if there == leave.records { Ok(None) } else { Err(trace_store::not_whole(&grant.handle)) };
    }
    let chunks = trace_store::read(db, keys, &grant, after, leave.step.min(leave.last - after))?;
    let Some(last) = chunks.last().map(|chunk| chunk.number) else { return Err(gone()) };
    Ok(Some((lines(chunks), last)))
}

/// What comes next for who watches: counted, and not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ahead {
    grant: GrantId,
    after: i64,
    last: i64,
    records: i64,
}

impl Ahead {
    /// What a grant captured since chunk `after`, as far as one look goes.
    pub fn of(db: &mut DbConnection, grant: &Grant, after: i64) -> Result<Ahead> {
        let newest = trace_store::last(db, grant.id)?;
        let after = after.clamp(0, newest);
        let last = newest.min(after + WATCHED);
        let records = trace_store::records_between(db, grant.id, after, last)?;
        Ok(Ahead { grant: grant.id, after, last, records })
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.last == self.after
    }

    /// Begins to watch, which is on record from here on; a member of the staff counts as looking. Gives leave to read what
    /// there is already; nothing when they looked less than a second ago, which is on record as well.
    pub fn begin(&self, db: &mut DbConnection, reader: &Actor, reason: &str, clock: &Clock) -> Result<Option<Leave>> {
        let (grant, now) = open(db, self.grant, reader, clock)?;
        let person = reader.person().ok_or(Error::Forbidden)?;
        let looked_just_now = reading_record::of_grant(db, grant.id, LATEST)?.into_iter().any(|look| {
            look.action == Action::Live
                && look.reader == person
                && (TimeDelta::zero()..WATCHED_EVERY).contains(&now.since(look.at))
        });
        if looked_just_now { Ok(None) } else { self.open(db, grant, reader, reason, now).map(Some) }
    }

    /// Goes on watching: leave to read this; that it is shown is on record.
    pub fn watch(&self, db: &mut DbConnection, reader: &Actor, reason: &str, clock: &Clock) -> Result<Leave> {
        let (grant, now) = open(db, self.grant, reader, clock)?;
        self.open(db, grant, reader, reason, now)
    }

    fn open(&self, db: &mut DbConnection, grant: Grant, reader: &Actor, reason: &str, now: UtcTime) -> Result<Leave> {
        let chunk = if self.is_empty() { 0 } else { self.after + 1 };
        let detail = Detail { chunk, ..Detail::default() };
        let look = Look { action: Action::Live, detail, records: self.records, reason: reason.to_owned() };
        look.write(db, &grant, reader, now)?;
        Ok(Leave { grant, after: self.after, last: self.last, records: self.records, step: STEP })
    }
}

fn lines(chunks: Vec<trace_store::Chunk>) -> Vec<Line> {
    let lines = chunks.into_iter().flat_map(|chunk| {
        let channel = chunk.channel;
        chunk.records.into_iter().map(move |redacted| Line { channel, redacted })
    });
    lines.collect()
}

fn count_of(lines: &[Line]) -> i64 {
    i64::try_from(lines.len()).unwrap_or(i64::MAX)
}

/// The grant, if `reader` may read what it captured, and the moment of which that holds. A withdrawal waits until whoever
/// calls this is done, or this for it.
fn open(db: &mut DbConnection, grant: GrantId, reader: &Actor, clock: &Clock) -> Result<(Grant, UtcTime)> {
    if reader.is_staff() {
        // Before the lock that others may share, since this one changes the row.
        grants::seen(db, grant, clock.now())?;
    }
    dialect::hold_grant(db, grant)?;
    // Whoever waited for the lock looks later than they asked.
    let now = clock.now();
    let grant = grants::by_id(db, grant)?;
    may_read(db, &grant, reader, now)?;
    // Whoever began to look some time ago may have lost the right since.
    let person = reader.person().ok_or(Error::Forbidden)?;
    let as_of_now = access::actor_of(db, person)?;
    may_read(db, &grant, &as_of_now, now)?;
    Ok((grant, now))
}

fn may_read(db: &mut DbConnection, grant: &Grant, reader: &Actor, now: UtcTime) -> Result<()> {
    if !access::can_read_traces(reader, &facts(db, grant)?) {
        return Err(Error::Forbidden);
    }
    if is_readable(grant, now) { Ok(()) } else { Err(gone()) }
}

fn gone() -> Error {
    Error::Conflict(Message::new("diagnostics-gone"))
}

/// A look that is about to be written down.
#[derive(Debug)]
struct Look {
    action: Action,
    detail: Detail,
    records: i64,
    reason: String,
}

impl Look {
    fn write(&self, db: &mut DbConnection, grant: &Grant, reader: &Actor, now: UtcTime) -> Result<()> {
        let reason = match self.reason.trim() {
            "" => ticket::by_id(db, grant.ticket_id)?.reference,
            reason => reason.chars().take(WORDS).collect(),
        };
        let reading = Reading {
            reader: reader.person().ok_or(Error::Forbidden)?,
            reader_kind: if reader.is_staff() { ReaderKind::Staff } else { ReaderKind::Customer },
            action: self.action,
            detail: self.detail.clone(),
            records: self.records,
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
    Ok(TraceFacts { ticket: ticket::by_id(db, grant.ticket_id)?.facts(), subject: grant.subject.person(), readers })
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
