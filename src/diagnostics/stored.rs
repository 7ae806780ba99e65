//! Redacted records as bytes, before they are sealed: names once in a chunk, numbers as short as they are. A chunk stands
//! by itself, and reads the same whatever the program can record by then.

use std::collections::HashMap;

use crate::diagnostics::catalogue::Level;
use crate::diagnostics::record::{Body, Event, Field, Gap, Reason, Record, Span, Value};
use crate::diagnostics::redaction::{Mark, Redacted, Rule};

/// The version of these bytes; what is sealed is bound to it.
pub const SCHEMA: u32 = 1;

const EVENT: u8 = 1;
const SPAN: u8 = 2;
const GAP: u8 = 3;

const FALSE: u8 = 0;
const TRUE: u8 = 1;
const INTEGER: u8 = 2;
const UNSIGNED: u8 = 3;
const FLOAT: u8 = 4;
const TEXT: u8 = 5;
/// Set in the type of a value that was cut.
const CUT: u8 = 0x80;

/// The bytes of `records`.
pub fn encode(records: &[Redacted]) -> Vec<u8> {
    let mut writer = Writer { bytes: Vec::with_capacity(64 * records.len()), names: HashMap::new() };
    for redacted in records {
        writer.redacted(redacted);
    }
    writer.bytes
}

/// The records of bytes that [`encode`] made; nothing when they are damaged.
pub fn decode(bytes: &[u8]) -> Option<Vec<Redacted>> {
    let mut reader = Reader { bytes, names: Vec::new() };
    let mut records = Vec::new();
    while !reader.bytes.is_empty() {
        records.push(reader.redacted()?);
    }
    Some(records)
}

struct Writer<'a> {
    bytes: Vec<u8>,
    names: HashMap<&'a str, u64>,
}

impl<'a> Writer<'a> {
    fn redacted(&mut self, redacted: &'a Redacted) {
        match &redacted.record {
            Record::Event(event) => {
                self.bytes.push(EVENT);
                self.signed(event.at_nanos);
                self.body(&event.body);
            }
            Record::Span(span) => {
                self.bytes.push(SPAN);
                self.bytes.extend_from_slice(&span.id.to_le_bytes());
                self.signed(span.start_nanos);
                self.signed(span.end_nanos.wrapping_sub(span.start_nanos));
                self.body(&span.body);
            }
            Record::Gap(gap) => {
                self.bytes.push(GAP);
                self.bytes.push(match gap.reason {
                    Reason::Full => 1,
                    Reason::Budget => 2,
                    Reason::Fault => 3,
                });
                self.number(gap.records);
                self.signed(gap.from_micros);
                self.signed(gap.to_micros);
                return;
            }
        }
        self.number(redacted.masked.len() as u64);
        for mark in &redacted.masked {
            self.name(&mark.field);
            self.bytes.push(mark.rule as u8);
        }
        self.number(u64::from(redacted.left_out));
    }

    fn body(&mut self, body: &'a Body) {
        self.bytes.extend_from_slice(&body.trace.to_le_bytes());
        self.number(body.parent.unwrap_or(0));
        self.name(&body.target);
        self.bytes.push(body.level.number());
        self.name(&body.name);
        self.name(&body.file);
        self.bytes.extend_from_slice(&[body.rule, u8::from(body.is_cut)]);
        self.number(body.fields.len() as u64);
        for field in &body.fields {
            self.name(&field.name);
            let cut = if field.is_cut { CUT } else { 0 };
            match &field.value {
                Value::Bool(value) => self.bytes.push(if *value { TRUE } else { FALSE } | cut),
                Value::Integer(value) => {
                    self.bytes.push(INTEGER | cut);
                    self.signed(*value);
                }
                Value::Unsigned(value) => {
                    self.bytes.push(UNSIGNED | cut);
                    self.number(*value);
                }
                Value::Float(value) => {
                    self.bytes.push(FLOAT | cut);
                    self.bytes.extend_from_slice(&value.to_le_bytes());
                }
                Value::Text(value) => {
                    self.bytes.push(TEXT | cut);
                    self.text(value);
                }
            }
        }
    }

    /// 0 and the name the first time, then its place.
    fn name(&mut self, name: &'a str) {
        let next = self.names.len() as u64 + 1;
        let place = *self.names.entry(name).or_insert(next);
        if place == next {
            self.bytes.push(0);
            self.text(name);
        } else {
            self.number(place);
        }
    }

    fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.bytes.extend_from_slice(text.as_bytes());
    }

    fn signed(&mut self, number: i64) {
        self.number((number << 1 ^ number >> 63).cast_unsigned());
    }

    fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.bytes.push((number & 0x7f) as u8 | 0x80);
            number >>= 7;
        }
        self.bytes.push(number as u8);
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    names: Vec<&'a str>,
}

impl<'a> Reader<'a> {
    fn redacted(&mut self) -> Option<Redacted> {
        let record = match self.byte()? {
            EVENT => Record::Event(Event { at_nanos: self.signed()?, body: self.body()? }),
            SPAN => {
                let id = u64::from_le_bytes(self.array()?);
                let start_nanos = self.signed()?;
                let end_nanos = start_nanos.wrapping_add(self.signed()?);
                Record::Span(Span { id, start_nanos, end_nanos, body: self.body()? })
            }
            GAP => {
                let reason = match self.byte()? {
                    1 => Reason::Full,
                    2 => Reason::Budget,
                    3 => Reason::Fault,
                    _ => return None,
                };
                let gap =
                    Gap { reason, records: self.number()?, from_micros: self.signed()?, to_micros: self.signed()? };
                return Some(Redacted { record: Record::Gap(gap), masked: Vec::new(), left_out: 0 });
            }
            _ => return None,
        };
        let mut masked = Vec::new();
        for _ in 0..self.number()? {
            let field = self.name()?.to_owned();
            masked.push(Mark { field, rule: *Rule::ALL.get(usize::from(self.byte()?))? });
        }
        Some(Redacted { record, masked, left_out: u32::try_from(self.number()?).ok()? })
    }

    fn body(&mut self) -> Option<Body> {
        let trace = u128::from_le_bytes(self.array()?);
        let parent = self.number()?;
        let target = self.name()?.to_owned();
        let level = *Level::ALL.get(usize::from(self.byte()?.checked_sub(1)?))?;
        let name = self.name()?.to_owned();
        let file = self.name()?.to_owned();
        let (rule, is_cut) = (self.byte()?, self.byte()? != 0);
        let mut fields = Vec::new();
        for _ in 0..self.number()? {
            let name = self.name()?.to_owned();
            let kind = self.byte()?;
            let value = match kind & !CUT {
                FALSE => Value::Bool(false),
                TRUE => Value::Bool(true),
                INTEGER => Value::Integer(self.signed()?),
                UNSIGNED => Value::Unsigned(self.number()?),
                FLOAT => Value::Float(f64::from_le_bytes(self.array()?)),
                TEXT => Value::Text(self.text()?.to_owned()),
                _ => return None,
            };
            fields.push(Field { name, value, is_cut: kind & CUT != 0 });
        }
        let parent = (parent != 0).then_some(parent);
        Some(Body { trace, parent, target, level, name, file, rule, fields, is_cut })
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(length)?;
        self.bytes = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn byte(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    fn name(&mut self) -> Option<&'a str> {
        match self.number()? {
            0 => {
                let name = self.text()?;
                self.names.push(name);
                Some(name)
            }
            place => self.names.get(usize::try_from(place - 1).ok()?).copied(),
        }
    }

    fn text(&mut self) -> Option<&'a str> {
        let length = usize::try_from(self.number()?).ok()?;
        std::str::from_utf8(self.take(length)?).ok()
    }

    fn signed(&mut self) -> Option<i64> {
        let number = self.number()?;
        Some((number >> 1).cast_signed() ^ -((number & 1).cast_signed()))
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return None;
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn value() -> impl Strategy<Value = Value> {
        prop_oneof![
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(Value::Integer),
            any::<u64>().prop_map(Value::Unsigned),
            (-1e300..1e300).prop_map(Value::Float),
            ".{0,40}".prop_map(Value::Text),
        ]
    }

    fn redacted() -> impl Strategy<Value = Redacted> {
        let field = ("[a-c]{0,2}", value(), any::<bool>());
        let fields =
            proptest::collection::vec(field.prop_map(|(name, value, is_cut)| Field { name, value, is_cut }), 0..5);
        let mark = ("[a-c]", 0..Rule::ALL.len()).prop_map(|(field, rule)| Mark { field, rule: Rule::ALL[rule] });
        let body = (any::<u128>(), any::<Option<u64>>(), "a::[a-c]", 0..5_usize, fields, any::<(u8, bool)>());
        let records = (any::<[i64; 2]>(), any::<u64>(), 0..3, body);
        (records, proptest::collection::vec(mark, 0..3), any::<u32>()).prop_map(
            |((times, id, kind, body), masked, left_out)| {
                let (trace, parent, target, level, fields, (rule, is_cut)) = body;
                let parent = parent.filter(|parent| *parent != 0);
                let (level, name, file) = (Level::ALL[level], "span".to_owned(), "src/a.rs".to_owned());
                let body = Body { trace, parent, target, level, name, file, rule, fields, is_cut };
                let [from, to] = times;
                match kind {
                    0 => Redacted { record: Record::Event(Event { at_nanos: from, body }), masked, left_out },
                    1 => {
                        let span = Span { id, start_nanos: from, end_nanos: to, body };
                        Redacted { record: Record::Span(span), masked, left_out }
                    }
                    _ => {
                        let gap = Gap { reason: Reason::Budget, records: id, from_micros: from, to_micros: to };
                        Redacted { record: Record::Gap(gap), masked: Vec::new(), left_out: 0 }
                    }
                }
            },
        )
    }

    proptest! {
        #[test]
        fn records_are_read_back_as_they_were_written(records in proptest::collection::vec(redacted(), 0..20)) {
            prop_assert_eq!(decode(&encode(&records)), Some(records));
        }

        #[test]
        fn no_bytes_make_the_reader_fail_otherwise_than_by_saying_so(bytes: Vec<u8>) {
            drop(decode(&bytes));
        }
    }
}
