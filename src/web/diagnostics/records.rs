//! One captured record in the words of a page: where and when, every field as it was kept, what let it in, what was masked
//! and what is missing.

use crate::clock::UtcTime;
use crate::consent::Grant;
use crate::consent::wording::component_key;
use crate::diagnostics::catalogue::Level;
use crate::diagnostics::record::{Body, Gap, Reason, Record, Value};
use crate::diagnostics::redaction::Rule;
use crate::diagnostics::viewing::{Line, admitted_by};
use crate::i18n::Texts;
use crate::mail::address::visible;

/// Characters of the line that a folded row shows; what does not fit is cut by the page.
const LINE: usize = 160;

/// A record.
pub struct RecordView {
    pub at: String,
    pub level: String,
    pub tone: &'static str,
    pub place: String,
    pub file: String,
    pub component: String,
    pub name: String,
    /// What its fields say, for a row that is not unfolded.
    pub line: String,
    pub fields: Vec<(String, String)>,
    pub notes: Vec<String>,
}

pub fn view(t: &Texts, grant: &Grant, line: &Line) -> RecordView {
    let (body, at) = match &line.redacted.record {
        Record::Event(event) => (&event.body, event.at_nanos),
        Record::Span(span) => (&span.body, span.start_nanos),
        Record::Gap(gap) => return gap_view(t, gap),
    };
    let marks = line.redacted.masked.iter();
    let mut notes: Vec<String> = marks
        .map(|mark| {
            t.with2("diagnostics-note-masked", "field", visible(&mark.field), "rule", t.say(rule_key(mark.rule)))
        })
        .collect();
    if line.redacted.left_out > 0 {
        notes.push(t.count("diagnostics-note-left-out", line.redacted.left_out));
    }
    if body.is_cut || body.fields.iter().any(|field| field.is_cut) {
        notes.push(t.say("diagnostics-note-cut"));
    }
    let admitted = admitted_by(&grant.scope, line.channel, body);
    RecordView {
        at: UtcTime::from_micros(at / 1_000).rfc3339(),
        level: body.level.code().to_owned(),
        tone: match body.level {
            Level::Error => "late",
            Level::Warn => "act",
            _ => "plain",
        },
        place: visible(&body.target),
        file: visible(&body.file),
        component: admitted
            .map(|component| t.with("diagnostics-admitted", "component", t.say(component_key(component))))
            .unwrap_or_default(),
        name: visible(&body.name),
        line: line_of(body),
        fields: body.fields.iter().map(|field| (visible(&field.name), visible(&value(&field.value)))).collect(),
        notes,
    }
}

/// What is missing, which is shown like a record.
pub fn gap_view(t: &Texts, gap: &Gap) -> RecordView {
    let reason = match gap.reason {
        Reason::Full => "diagnostics-gap-full",
        Reason::Budget => "diagnostics-gap-budget",
        Reason::Fault => "diagnostics-gap-fault",
    };
    let until = UtcTime::from_micros(gap.to_micros).rfc3339();
    RecordView {
        at: UtcTime::from_micros(gap.from_micros).rfc3339(),
        level: t.say("diagnostics-gap"),
        tone: "late",
        place: String::new(),
        file: String::new(),
        component: String::new(),
        name: t.count("diagnostics-gap-records", gap.records),
        line: String::new(),
        fields: Vec::new(),
        notes: vec![t.say(reason), t.with("diagnostics-gap-until", "until", until)],
    }
}

/// The fields in one line, the message without its name.
fn line_of(body: &Body) -> String {
    let parts = body.fields.iter().map(|field| match field.name.as_str() {
        "message" => value(&field.value),
        name => format!("{name} {}", value(&field.value)),
    });
    let line: String = parts.collect::<Vec<_>>().join(" · ").chars().take(LINE).collect();
    visible(&line)
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

/// A length of time, in milliseconds to the microsecond.
pub fn milliseconds(nanos: i64) -> String {
    let nanos = nanos.max(0);
    format!("{}.{:03} ms", nanos / 1_000_000, nanos / 1_000 % 1_000)
}

/// Why something was masked.
pub fn rule_key(rule: Rule) -> &'static str {
    match rule {
        Rule::Unlisted => "diagnostics-rule-unlisted",
        Rule::Name => "diagnostics-rule-name",
        Rule::PrivateKey => "diagnostics-rule-private-key",
        Rule::Login => "diagnostics-rule-login",
        Rule::Assigned => "diagnostics-rule-secret",
        Rule::Jwt => "diagnostics-rule-jwt",
        Rule::Bearer => "diagnostics-rule-bearer",
        Rule::Token => "diagnostics-rule-token",
        Rule::Sql => "diagnostics-rule-sql",
        Rule::Query => "diagnostics-rule-query",
        Rule::Email => "diagnostics-rule-email",
        Rule::Iban => "diagnostics-rule-iban",
        Rule::Card => "diagnostics-rule-card",
        Rule::Random => "diagnostics-rule-random",
        Rule::Length => "diagnostics-rule-length",
    }
}
