//! Comma-separated values, a record a row, for spreadsheets.

use serde_json::{Map, Value as Json};

use super::{About, is_cut, masked, plain, words};
use crate::clock::UtcTime;
use crate::diagnostics::record::{Body, Record};
use crate::diagnostics::viewing::{Line, admitted_by};

const COLUMNS: [&str; 17] = [
    "grant",
    "kind",
    "time",
    "duration_us",
    "trace",
    "span",
    "parent",
    "channel",
    "level",
    "target",
    "name",
    "message",
    "fields",
    "admitted_by",
    "masked",
    "left_out",
    "cut",
];

pub(super) fn header() -> Vec<u8> {
    let mut row = String::new();
    push(&mut row, &COLUMNS.map(str::to_owned));
    row.into_bytes()
}

pub(super) fn rows(about: &About, lines: &[Line]) -> Vec<u8> {
    let mut text = String::new();
    for line in lines {
        push(&mut text, &row(about, line));
    }
    text.into_bytes()
}

fn row(about: &About, line: &Line) -> [String; 17] {
    let grant = about.grant.handle.clone();
    let at = |nanos: i64| UtcTime::from_micros(nanos / 1_000).rfc3339();
    let (kind, time, duration, span, body): (_, _, _, _, &Body) = match &line.redacted.record {
        Record::Span(span) => (
            "span",
            at(span.start_nanos),
            (span.end_nanos.saturating_sub(span.start_nanos) / 1_000).to_string(),
            format!("{:016x}", span.id),
            &span.body,
        ),
        Record::Event(event) => ("event", at(event.at_nanos), String::new(), String::new(), &event.body),
        Record::Gap(gap) => {
            let mut row = [const { String::new() }; 17];
            row[0] = grant;
            row[1] = "gap".to_owned();
            row[2] = UtcTime::from_micros(gap.from_micros).rfc3339();
            row[3] = gap.to_micros.saturating_sub(gap.from_micros).to_string();
            row[11] = format!("{} records missing", gap.records);
            row[12] = serde_json::json!({ "records": gap.records, "reason": gap.reason }).to_string();
            return row;
        }
    };
    let fields: Map<String, Json> = body.fields.iter().map(|field| (field.name.clone(), plain(&field.value))).collect();
    let admitted = admitted_by(&about.grant.scope, line.channel, body);
    [
        grant,
        kind.to_owned(),
        time,
        duration,
        format!("{:032x}", body.trace),
        span,
        body.parent.map(|parent| format!("{parent:016x}")).unwrap_or_default(),
        line.channel.as_str().to_owned(),
        body.level.code().to_owned(),
        body.target.clone(),
        body.name.clone(),
        if kind == "event" { words(body) } else { String::new() },
        Json::Object(fields).to_string(),
        admitted.map(|component| component.as_str().to_owned()).unwrap_or_default(),
        masked(line),
        line.redacted.left_out.to_string(),
        is_cut(body).to_string(),
    ]
}

/// A row as RFC 4180 has it. A cell that a spreadsheet would take for a formula begins with an apostrophe, which makes it
/// a text there.
fn push(text: &mut String, cells: &[String]) {
    for (index, cell) in cells.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        let guard = if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) { "'" } else { "" };
        if cell.contains([',', '"', '\n', '\r']) {
            text.push('"');
            text.push_str(guard);
            text.push_str(&cell.replace('"', "\"\""));
            text.push('"');
        } else {
            text.push_str(guard);
            text.push_str(cell);
        }
    }
    text.push_str("\r\n");
}
