//! Looking at what was captured. Only whom the consent names may, it is written down before anything is shown, and once
//! the grant's captures are to be destroyed nothing is shown, whether that was done yet or not.

use crate::access::{self, Actor, TraceFacts, TraceReaders};
use crate::clock::UtcTime;
use crate::consent::scope::{Channel, Recipients};
use crate::consent::{Grant, asking, grants};
use crate::db::types::GrantId;
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
pub const PAGE: usize = 100;
/// Chunks read at a time, and looked through for one page at most; what is rare is found by going on.
const BATCH: i64 = 16;
const LOOKED_THROUGH: i64 = 128;
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
    pub readings: Vec<Reading>,
    pub may_read: bool,
    pub is_readable: bool,
}

/// How much was captured, and who looked at it.
pub fn overview(db: &mut DbConnection, grant: &Grant, reader: &Actor, readings: i64, now: UtcTime) -> Result<Overview> {
    Ok(Overview {
        counters: trace_store::counters(db, grant.id)?,
        readings: reading_record::of_grant(db, grant.id, readings)?,
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
    // A withdrawal waits for this, or this for it.
    dialect::hold_active_grant(db, grant)?;
    let grant = grants::by_id(db, grant)?;
    let facts = facts(db, &grant)?;
    let person = reader.person().ok_or(Error::Forbidden)?;
    if !access::can_read_traces(reader, &facts) {
        return Err(Error::Forbidden);
    }
    if !is_readable(&grant, now) {
        return Err(Error::Conflict(Message::new("diagnostics-gone")));
    }
    let shown = look_through(db, keys, &grant, asked)?;
    let reason = match asked.reason.trim() {
        "" => ticket::by_id(db, grant.ticket_id)?.reference,
        reason => reason.chars().take(WORDS).collect(),
    };
    let is_search = !asked.text.is_empty() || asked.level.is_some();
    let reading = Reading {
        reader: person,
        reader_kind: if reader.is_staff() { ReaderKind::Staff } else { ReaderKind::Customer },
        action: if is_search { Action::Search } else { Action::View },
        detail: Detail {
            text: asked.text.chars().take(WORDS).collect(),
            level: asked.level.map_or("", Level::code).to_owned(),
            chunk: asked.from.chunk,
        },
        records: i64::try_from(shown.lines.len()).unwrap_or(i64::MAX),
        reason,
        at: now,
    };
    reading_record::write(db, &grant, &reading)?;
    if reader.is_staff() {
        grants::seen(db, grant.id, now)?;
    }
    Ok(shown)
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
                if !is_wanted(&redacted.record, &words, asked.level) {
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
fn is_wanted(record: &Record, words: &str, level: Option<Level>) -> bool {
    let body = match record {
        Record::Event(event) => &event.body,
        Record::Span(span) => &span.body,
        Record::Gap(_) => return true,
    };
    level.is_none_or(|level| body.level <= level) && (words.is_empty() || says(body, words))
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
