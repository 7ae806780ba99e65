//! Records for the tests of whoever arranges, adds up or hands out records.

use crate::consent::scope::Channel;
use crate::diagnostics::catalogue::Level;
use crate::diagnostics::record::{Body, Event, Field, Gap, Reason, Record, Span, Value};
use crate::diagnostics::redaction::Redacted;
use crate::diagnostics::viewing::Line;

fn line(record: Record) -> Line {
    Line { channel: Channel::Server, redacted: Redacted { record, masked: Vec::new(), left_out: 0 } }
}

fn body(trace: u128, parent: Option<u64>, name: &str) -> Body {
    Body {
        trace,
        parent,
        target: "accord::web".to_owned(),
        level: Level::Debug,
        name: name.to_owned(),
        file: "src/web.rs".to_owned(),
        rule: 0,
        fields: Vec::new(),
        is_cut: false,
    }
}

/// A span from `start` to `end`.
pub fn span(trace: u128, id: u64, parent: Option<u64>, name: &str, start: i64, end: i64) -> Line {
    let body = body(trace, parent, name);
    line(Record::Span(Span { id, start_nanos: start, end_nanos: end, body }))
}

/// An event at that time, which says so.
pub fn event(trace: u128, parent: Option<u64>, at: i64) -> Line {
    let mut body = body(trace, parent, "");
    body.fields.push(Field { name: "message".to_owned(), value: Value::Text(format!("at {at}")), is_cut: false });
    line(Record::Event(Event { at_nanos: at, body }))
}

/// Records that are missing, from that microsecond on.
pub fn gap(reason: Reason, records: u64, from: i64) -> Line {
    line(Record::Gap(Gap { reason, records, from_micros: from, to_micros: from + 1 }))
}
