//! The bytes of captured records, and what they say. Encoding is done on the thread that is traced and is as plain as
//! can be; decoding gives records that stand by themselves, with names in place of numbers.

use serde::{Deserialize, Serialize};

use crate::diagnostics::catalogue::{Catalogue, Level};
use crate::gate::Moment;

/// No record is longer than this; what does not fit is cut, and the cut is noted.
pub const RECORD_BYTES: usize = 2 * 1024;
/// No text value is longer than this.
pub const VALUE_BYTES: usize = 512;
/// Fields beyond this many are left out, and the cut is noted.
pub const FIELDS: usize = 32;

const ANCHOR: u8 = 1;
const EVENT: u8 = 2;
const SPAN: u8 = 3;
const GAP: u8 = 4;

const BOOL: u8 = 1;
const INTEGER: u8 = 2;
const UNSIGNED: u8 = 3;
const FLOAT: u8 = 4;
const TEXT: u8 = 5;
const WIDE: u8 = 6;
/// Set in the type of a text that was cut.
const CUT: u8 = 0x80;

/// Kind and length before each record.
const HEAD: usize = 3;

/// Why records are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The queue was full.
    Full,
    /// The grant's records or bytes of a second were used up.
    Budget,
    /// They could not be stored.
    Fault,
}

/// Records that were dropped, so that nobody takes silence for rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    pub reason: Reason,
    pub records: u64,
    pub from_micros: i64,
    pub to_micros: i64,
}

/// Something that was captured, or was not and should be known.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Record {
    Event(Event),
    Span(Span),
    Gap(Gap),
}

/// One event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    pub at_nanos: i64,
    #[serde(flatten)]
    pub body: Body,
}

/// One finished span.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Span {
    pub id: u64,
    pub start_nanos: i64,
    pub end_nanos: i64,
    #[serde(flatten)]
    pub body: Body,
}

/// What events and spans have in common.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Body {
    /// The request, job or mail: the process in the upper half, its number there in the lower.
    pub trace: u128,
    /// The span it happened in, if that was captured too.
    pub parent: Option<u64>,
    pub target: String,
    pub level: Level,
    /// A span's name; empty for an event, whose text is the field `message`.
    pub name: String,
    pub file: String,
    /// Which component of the scope admitted it, by its place there.
    pub rule: u8,
    pub fields: Vec<Field>,
    /// Whether fields were left out for length or number.
    pub is_cut: bool,
}

/// A named value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Field {
    pub name: String,
    pub value: Value,
    /// Whether the value was longer than what is kept.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_cut: bool,
}

/// A value as it was recorded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Value {
    Bool(bool),
    Integer(i64),
    Unsigned(u64),
    Float(f64),
    Text(String),
}

/// Notes both clocks; the stamps of the records that follow are told from it. `process` tells processes apart.
pub fn put_anchor(bytes: &mut Vec<u8>, process: u64, moment: Moment) {
    head(bytes, ANCHOR, 24);
    bytes.extend_from_slice(&process.to_le_bytes());
    bytes.extend_from_slice(&moment.wall_micros.to_le_bytes());
    bytes.extend_from_slice(&moment.monotonic_nanos.to_le_bytes());
}

/// Notes that records are missing.
pub fn put_gap(bytes: &mut Vec<u8>, gap: &Gap) {
    head(bytes, GAP, 25);
    bytes.push(match gap.reason {
        Reason::Full => 1,
        Reason::Budget => 2,
        Reason::Fault => 3,
    });
    bytes.extend_from_slice(&gap.records.to_le_bytes());
    bytes.extend_from_slice(&gap.from_micros.to_le_bytes());
    bytes.extend_from_slice(&gap.to_micros.to_le_bytes());
}

fn head(bytes: &mut Vec<u8>, kind: u8, length: u16) {
    bytes.push(kind);
    bytes.extend_from_slice(&length.to_le_bytes());
}

/// Where and when a record belongs; all but the fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub activity: u64,
    /// 0 is none.
    pub parent: u64,
    pub callsite: u16,
    pub rule: u8,
}

/// Bytes before the fields of an event.
const EVENT_HEAD: usize = HEAD + 8 * 3 + 5;
/// Bytes before the fields of a span.
const SPAN_HEAD: usize = HEAD + 8 * 5 + 5;

/// Most records are no longer than this; the memory for one is asked for once.
const USUAL_BYTES: usize = 256;

/// The fields of one record as they are encoded, with room before them for the rest of it.
#[derive(Clone, Debug)]
pub struct Fields {
    bytes: Vec<u8>,
    head: usize,
    count: u8,
    is_cut: bool,
}

impl Fields {
    /// For an event.
    pub fn of_event() -> Fields {
        Fields::with_head(EVENT_HEAD)
    }

    /// For a span.
    pub fn of_span() -> Fields {
        Fields::with_head(SPAN_HEAD)
    }

    fn with_head(head: usize) -> Fields {
        let mut bytes = Vec::with_capacity(USUAL_BYTES);
        bytes.resize(head, 0);
        Fields { bytes, head, count: 0, is_cut: false }
    }

    /// Makes room again without giving the memory back.
    #[inline]
    pub fn clear(&mut self) {
        self.bytes.truncate(self.head);
        self.count = 0;
        self.is_cut = false;
    }

    /// The whole record of an event that happened at `at`.
    #[inline]
    pub fn event(&mut self, place: Place, at: u64) -> &[u8] {
        self.finish(EVENT, place, [at])
    }

    /// The whole record of a finished span.
    #[inline]
    pub fn span(&mut self, place: Place, id: u64, start: u64, end: u64) -> &[u8] {
        self.finish(SPAN, place, [id, start, end])
    }

    #[inline]
    fn finish<const NUMBERS: usize>(&mut self, kind: u8, place: Place, numbers: [u64; NUMBERS]) -> &[u8] {
        // No record is longer than RECORD_BYTES, so the length always fits.
        let length = u16::try_from(self.bytes.len() - HEAD).unwrap_or(u16::MAX);
        let head = &mut self.bytes[..HEAD + 8 * (2 + NUMBERS) + 5];
        head[0] = kind;
        head[1..3].copy_from_slice(&length.to_le_bytes());
        head[3..11].copy_from_slice(&place.activity.to_le_bytes());
        head[11..19].copy_from_slice(&place.parent.to_le_bytes());
        let mut at = 19;
        for number in numbers {
            head[at..at + 8].copy_from_slice(&number.to_le_bytes());
            at += 8;
        }
        head[at..at + 2].copy_from_slice(&place.callsite.to_le_bytes());
        head[at + 2..].copy_from_slice(&[place.rule, u8::from(self.is_cut), self.count]);
        &self.bytes
    }

    #[inline]
    pub fn bool(&mut self, index: usize, value: bool) {
        self.fixed(&[index_byte(index), BOOL, u8::from(value)]);
    }

    #[inline]
    pub fn integer(&mut self, index: usize, value: i64) {
        self.eight(index, INTEGER, value.to_le_bytes());
    }

    #[inline]
    pub fn unsigned(&mut self, index: usize, value: u64) {
        self.eight(index, UNSIGNED, value.to_le_bytes());
    }

    #[inline]
    pub fn float(&mut self, index: usize, value: f64) {
        self.eight(index, FLOAT, value.to_le_bytes());
    }

    pub fn wide(&mut self, index: usize, value: i128) {
        let mut bytes = [0; 18];
        bytes[..2].copy_from_slice(&[index_byte(index), WIDE]);
        bytes[2..].copy_from_slice(&value.to_le_bytes());
        self.fixed(&bytes);
    }

    #[inline]
    pub fn text(&mut self, index: usize, value: &str) {
        let Some(start) = self.start_text(index) else { return };
        // The same path as for what is formatted, so that both are cut alike.
        let mut writer = TextWriter { fields: self, start, is_cut: false };
        writer.push(value);
        let is_cut = writer.is_cut;
        self.end_text(start, is_cut);
    }

    /// A value that writes itself.
    #[inline]
    pub fn formatted(&mut self, index: usize, value: std::fmt::Arguments<'_>) {
        let Some(start) = self.start_text(index) else { return };
        let mut writer = TextWriter { fields: self, start, is_cut: false };
        // Refusing to write more is how a value is cut.
        let _ = std::fmt::write(&mut writer, value);
        let is_cut = writer.is_cut;
        self.end_text(start, is_cut);
    }

    #[inline]
    fn has_room(&mut self, bytes: usize) -> bool {
        let fits = usize::from(self.count) < FIELDS && self.bytes.len() + bytes <= RECORD_BYTES;
        self.is_cut |= !fits;
        fits
    }

    #[inline]
    fn eight(&mut self, index: usize, kind: u8, value: [u8; 8]) {
        let [a, b, c, d, e, f, g, h] = value;
        self.fixed(&[index_byte(index), kind, a, b, c, d, e, f, g, h]);
    }

    #[inline]
    fn fixed<const LENGTH: usize>(&mut self, bytes: &[u8; LENGTH]) {
        if self.has_room(LENGTH) {
            self.bytes.extend_from_slice(bytes);
            self.count += 1;
        }
    }

    /// Gives where the text begins.
    #[inline]
    fn start_text(&mut self, index: usize) -> Option<usize> {
        // A text of which nothing could be kept is left out.
        self.has_room(4 + 16).then(|| {
            self.bytes.extend_from_slice(&[index_byte(index), TEXT, 0, 0]);
            self.count += 1;
            self.bytes.len()
        })
    }

    #[inline]
    fn end_text(&mut self, start: usize, is_cut: bool) {
        let length = u16::try_from(self.bytes.len() - start).unwrap_or(0);
        self.bytes[start - 2..start].copy_from_slice(&length.to_le_bytes());
        if is_cut {
            self.bytes[start - 3] |= CUT;
        }
    }
}

#[inline]
fn index_byte(index: usize) -> u8 {
    u8::try_from(index).unwrap_or(u8::MAX)
}

/// Takes as much text as fits, to whole characters.
struct TextWriter<'a> {
    fields: &'a mut Fields,
    start: usize,
    is_cut: bool,
}

impl TextWriter<'_> {
    #[inline]
    fn push(&mut self, text: &str) {
        let used = self.fields.bytes.len();
        let room = (VALUE_BYTES - (used - self.start)).min(RECORD_BYTES - used);
        let mut length = text.len().min(room);
        while !text.is_char_boundary(length) {
            length -= 1;
        }
        let kept = &text[..length];
        self.fields.bytes.extend_from_slice(kept.as_bytes());
        self.is_cut |= kept.len() < text.len();
    }
}

impl std::fmt::Write for TextWriter<'_> {
    #[inline]
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        if !self.is_cut {
            self.push(text);
        }
        if self.is_cut { Err(std::fmt::Error) } else { Ok(()) }
    }
}

/// Bytes that are not records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the captured bytes are damaged at {0}")]
pub struct Damaged(usize);

/// Reads the records of a chunk. `catalogue` is the one of the program that captured them.
pub fn decode(bytes: &[u8], catalogue: &Catalogue) -> Result<Vec<Record>, Damaged> {
    let mut records = Vec::new();
    let mut reader = Reader { bytes, at: 0 };
    let mut anchor = None;
    while reader.at < bytes.len() {
        let start = reader.at;
        let damaged = Damaged(start);
        let kind = reader.byte().ok_or(damaged)?;
        let length = usize::from(reader.u16().ok_or(damaged)?);
        let mut payload = Reader { bytes: reader.take(length).ok_or(damaged)?, at: 0 };
        match kind {
            ANCHOR => anchor = Some(payload.anchor().ok_or(damaged)?),
            GAP => records.push(Record::Gap(payload.gap().ok_or(damaged)?)),
            EVENT | SPAN => {
                let anchor = anchor.as_ref().ok_or(damaged)?;
                records.push(payload.record(kind, anchor, catalogue).ok_or(damaged)?);
            }
            _ => return Err(damaged),
        }
    }
    Ok(records)
}

struct Anchor {
    process: u64,
    wall_micros: i64,
    monotonic_nanos: u64,
}

impl Anchor {
    fn wall_nanos(&self, monotonic_nanos: u64) -> i64 {
        let since = i128::from(monotonic_nanos) - i128::from(self.monotonic_nanos);
        let nanos = i128::from(self.wall_micros) * 1_000 + since;
        i64::try_from(nanos).unwrap_or(i64::MAX)
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(length)?)?;
        self.at += length;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn byte(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn i64(&mut self) -> Option<i64> {
        self.array().map(i64::from_le_bytes)
    }

    fn anchor(&mut self) -> Option<Anchor> {
        Some(Anchor { process: self.u64()?, wall_micros: self.i64()?, monotonic_nanos: self.u64()? })
    }

    fn gap(&mut self) -> Option<Gap> {
        let reason = match self.byte()? {
            1 => Reason::Full,
            2 => Reason::Budget,
            3 => Reason::Fault,
            _ => return None,
        };
        Some(Gap { reason, records: self.u64()?, from_micros: self.i64()?, to_micros: self.i64()? })
    }

    fn record(&mut self, kind: u8, anchor: &Anchor, catalogue: &Catalogue) -> Option<Record> {
        let activity = self.u64()?;
        let parent = self.u64()?;
        let id = if kind == SPAN { self.u64()? } else { 0 };
        let first = anchor.wall_nanos(self.u64()?);
        let last = if kind == SPAN { anchor.wall_nanos(self.u64()?) } else { first };
        let callsite = catalogue.get(self.u16()?)?;
        let rule = self.byte()?;
        let is_cut = self.byte()? != 0;
        let count = self.byte()?;
        let mut fields: Vec<Field> = Vec::with_capacity(usize::from(count));
        for _ in 0..count {
            let index = usize::from(self.byte()?);
            let kind = self.byte()?;
            let value = self.value(kind & !CUT)?;
            let name = (*callsite.fields.get(index)?).to_owned();
            // What was recorded later stands.
            fields.retain(|field| field.name != name);
            fields.push(Field { name, value, is_cut: kind & CUT != 0 });
        }
        let body = Body {
            trace: u128::from(anchor.process) << 64 | u128::from(activity),
            parent: (parent != 0).then_some(parent),
            target: callsite.target.to_owned(),
            level: callsite.level,
            name: callsite.name.to_owned(),
            file: callsite.file.to_owned(),
            rule,
            fields,
            is_cut,
        };
        Some(match kind {
            SPAN => Record::Span(Span { id, start_nanos: first, end_nanos: last, body }),
            _ => Record::Event(Event { at_nanos: first, body }),
        })
    }

    fn value(&mut self, kind: u8) -> Option<Value> {
        Some(match kind {
            BOOL => Value::Bool(self.byte()? != 0),
            INTEGER => Value::Integer(self.i64()?),
            UNSIGNED => Value::Unsigned(self.u64()?),
            FLOAT => Value::Float(self.array().map(f64::from_le_bytes)?),
            WIDE => Value::Text(self.array().map(i128::from_le_bytes)?.to_string()),
            TEXT => {
                let length = usize::from(self.u16()?);
                Value::Text(std::str::from_utf8(self.take(length)?).ok()?.to_owned())
            }
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostics::catalogue::{Callsite, Kind};

    static CALLSITES: &[Callsite] = &[Callsite {
        kind: Kind::Event,
        target: "accord::test",
        level: Level::Debug,
        name: "",
        fields: &["message", "count", "ratio", "is_late", "wide", "signed"],
        file: "src/test.rs",
    }];

    fn place() -> Place {
        Place { activity: 7, parent: 9, callsite: 0, rule: 2 }
    }

    fn decoded(fields: &mut Fields) -> Event {
        let mut bytes = Vec::new();
        put_anchor(&mut bytes, 3, Moment { monotonic_nanos: 5_000, wall_micros: 1_000 });
        bytes.extend_from_slice(fields.event(place(), 5_250));
        let mut records = decode(&bytes, &Catalogue::of(CALLSITES)).unwrap();
        let Record::Event(event) = records.remove(0) else { panic!() };
        event
    }

    #[test]
    fn every_kind_of_value_is_read_back_as_it_was_written() {
        let mut fields = Fields::of_event();
        fields.text(0, "Sent it");
        fields.unsigned(1, u64::MAX);
        fields.float(2, 0.5);
        fields.bool(3, true);
        fields.wide(4, i128::MIN);
        fields.integer(5, -4);
        let event = decoded(&mut fields);
        assert_eq!(event.at_nanos, 1_000_250);
        assert_eq!(event.body.trace, 3 << 64 | 7);
        assert_eq!(event.body.parent, Some(9));
        assert_eq!((event.body.rule, event.body.is_cut), (2, false));
        let values: Vec<_> = event.body.fields.into_iter().map(|field| (field.name, field.value)).collect();
        let text = |text: &str| Value::Text(text.to_owned());
        assert_eq!(
            values,
            [
                ("message".to_owned(), text("Sent it")),
                ("count".to_owned(), Value::Unsigned(u64::MAX)),
                ("ratio".to_owned(), Value::Float(0.5)),
                ("is_late".to_owned(), Value::Bool(true)),
                ("wide".to_owned(), text(&i128::MIN.to_string())),
                ("signed".to_owned(), Value::Integer(-4)),
            ]
        );
    }

    #[test]
    fn a_long_value_is_cut_to_whole_characters_and_marked() {
        for text in ["é".repeat(400), "x".repeat(513)] {
            let mut written = Fields::of_event();
            written.text(0, &text);
            let mut formatted = Fields::of_event();
            formatted.formatted(0, format_args!("{text}"));
            for mut fields in [written, formatted] {
                let field = decoded(&mut fields).body.fields.remove(0);
                let Value::Text(kept) = field.value else { panic!() };
                assert!(field.is_cut && kept.len() == VALUE_BYTES && text.starts_with(&kept));
            }
        }
        let mut exact = Fields::of_event();
        exact.text(0, &"x".repeat(VALUE_BYTES));
        assert!(!decoded(&mut exact).body.fields[0].is_cut);
    }

    #[test]
    fn a_record_is_never_longer_than_two_kibibytes_nor_has_more_than_32_fields() {
        let mut long = Fields::of_event();
        let mut many = Fields::of_event();
        for index in 0..40 {
            long.text(index % 6, &"x".repeat(300));
            many.unsigned(index % 6, 1);
        }
        for mut fields in [long, many] {
            let length = fields.event(place(), 5_250).len();
            assert!(length <= RECORD_BYTES, "{length}");
            assert!(decoded(&mut fields).body.is_cut);
            assert!(usize::from(fields.count) <= FIELDS);
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_the_decoder_fail_otherwise_than_by_saying_so(bytes: Vec<u8>) {
            drop(decode(&bytes, &Catalogue::of(CALLSITES)));
        }
    }
}
