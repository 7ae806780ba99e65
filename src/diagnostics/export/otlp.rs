//! OpenTelemetry's own JSON, one trace a line, as its file exporter writes and collectors, Jaeger and Grafana read. Events
//! stand in the span they happened in; those that have none there, and gaps, get a span that says so.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::{Value as Json, json};

use super::{About, Piece, plain, words};
use crate::consent::scope::Channel;
use crate::diagnostics::catalogue::Level;
use crate::diagnostics::record::{Body, Event, Gap, Record, Span, Value};
use crate::diagnostics::viewing::Line;

/// `SPAN_KIND_INTERNAL`.
const INTERNAL: u8 = 1;
/// `STATUS_CODE_ERROR`.
const ERROR: u8 = 2;
/// The target of spans that stand for something else.
const OWN: &str = "accord::export";
/// Ids of such spans begin with it; those of Accord count from one.
const OWN_IDS: u64 = 0xacc0_0000_0000_0000;

pub(super) fn line(about: &mut About, piece: &Piece) -> Json {
    match piece {
        Piece::Trace(lines) => trace(about, lines),
        Piece::Gap(gap) => {
            let number = about.next_lone();
            let span = json!({
                "traceId": format!("{:032x}", u128::from(OWN_IDS) << 64 | u128::from(number)),
                "spanId": format!("{:016x}", OWN_IDS | number),
                "name": "records missing",
                "kind": INTERNAL,
                "startTimeUnixNano": nanos(gap.from_micros.saturating_mul(1_000)),
                "endTimeUnixNano": nanos(gap.to_micros.saturating_mul(1_000)),
                "attributes": gap_attributes(gap),
                "status": {},
            });
            of_resource(about, Channel::Server, BTreeMap::from([(OWN.to_owned(), vec![span])]))
        }
    }
}

fn gap_attributes(gap: &Gap) -> Json {
    json!([attribute("accord.gap.records", json!(gap.records)), attribute("accord.gap.reason", json!(gap.reason))])
}

fn trace(about: &mut About, lines: &[Line]) -> Json {
    let channel = lines.first().map_or(Channel::Server, |line| line.channel);
    let mut events: HashMap<Option<u64>, Vec<(&Line, &Event)>> = HashMap::new();
    let here: HashSet<u64> = lines
        .iter()
        .filter_map(|line| if let Record::Span(span) = &line.redacted.record { Some(span.id) } else { None })
        .collect();
    for line in lines {
        if let Record::Event(event) = &line.redacted.record {
            let span = event.body.parent.filter(|id| here.contains(id));
            events.entry(span).or_default().push((line, event));
        }
    }
    let mut scopes: BTreeMap<String, Vec<Json>> = BTreeMap::new();
    for line in lines {
        if let Record::Span(span) = &line.redacted.record {
            let within = events.remove(&Some(span.id)).unwrap_or_default();
            scopes.entry(span.body.target.clone()).or_default().push(span_of(about, line, span, &within));
        }
    }
    let lone = events.remove(&None).unwrap_or_default();
    if let (Some((_, first)), Some((_, last))) =
        (lone.iter().min_by_key(|(_, event)| event.at_nanos), lone.iter().max_by_key(|(_, event)| event.at_nanos))
    {
        let number = about.next_lone();
        let span = json!({
            "traceId": trace_id(first.body.trace),
            "spanId": format!("{:016x}", OWN_IDS | number),
            "name": "events outside a span",
            "kind": INTERNAL,
            "startTimeUnixNano": nanos(first.at_nanos),
            "endTimeUnixNano": nanos(last.at_nanos),
            "attributes": [attribute("accord.stands_for_events", json!(true))],
            "events": lone.iter().map(|(line, event)| event_of(about, line, event)).collect::<Vec<_>>(),
            "status": {},
        });
        scopes.entry(OWN.to_owned()).or_default().push(span);
    }
    of_resource(about, channel, scopes)
}

fn of_resource(about: &About, channel: Channel, scopes: BTreeMap<String, Vec<Json>>) -> Json {
    let service = match channel {
        Channel::Server => "accord",
        Channel::Otlp => "product",
    };
    let scope_spans: Vec<Json> =
        scopes.into_iter().map(|(target, spans)| json!({ "scope": { "name": target }, "spans": spans })).collect();
    json!({ "resourceSpans": [{
        "resource": { "attributes": [
            attribute("service.name", json!(service)),
            attribute("accord.grant", json!(about.grant.handle)),
            attribute("accord.exported_at", json!(about.made_at.rfc3339())),
        ] },
        "scopeSpans": scope_spans,
    }] })
}

fn span_of(about: &About, line: &Line, span: &Span, events: &[(&Line, &Event)]) -> Json {
    let mut document = json!({
        "traceId": trace_id(span.body.trace),
        "spanId": format!("{:016x}", span.id),
        "name": span.body.name,
        "kind": INTERNAL,
        "startTimeUnixNano": nanos(span.start_nanos),
        "endTimeUnixNano": nanos(span.end_nanos),
        "attributes": attributes(about, line, &span.body),
        "droppedAttributesCount": line.redacted.left_out,
        "events": events.iter().map(|(line, event)| event_of(about, line, event)).collect::<Vec<_>>(),
        "status": if span.body.level == Level::Error { json!({ "code": ERROR }) } else { json!({}) },
    });
    if let Some(parent) = span.body.parent {
        document["parentSpanId"] = json!(format!("{parent:016x}"));
    }
    document
}

fn event_of(about: &About, line: &Line, event: &Event) -> Json {
    json!({
        "timeUnixNano": nanos(event.at_nanos),
        "name": words(&event.body),
        "attributes": attributes(about, line, &event.body),
        "droppedAttributesCount": line.redacted.left_out,
    })
}

fn attributes(about: &About, line: &Line, body: &Body) -> Json {
    let own = body.fields.iter().map(|field| match &field.value {
        // Larger than OTLP's numbers are.
        Value::Unsigned(number) if i64::try_from(*number).is_err() => attribute(&field.name, json!(number.to_string())),
        value => attribute(&field.name, plain(value)),
    });
    own.chain(about.notes(line, body).into_iter().map(|(name, value)| attribute(name, value))).collect()
}

/// 64-bit numbers are texts in OTLP's JSON.
fn attribute(key: &str, value: Json) -> Json {
    let value = match value {
        Json::Bool(truth) => json!({ "boolValue": truth }),
        Json::Number(number) if number.is_f64() => json!({ "doubleValue": number }),
        Json::Number(number) => json!({ "intValue": number.to_string() }),
        Json::String(text) => json!({ "stringValue": text }),
        other => json!({ "stringValue": other.to_string() }),
    };
    json!({ "key": key, "value": value })
}

fn trace_id(id: u128) -> String {
    format!("{id:032x}")
}

/// A time before 1970 is a fault of a clock somewhere, and OTLP has none.
fn nanos(nanos: i64) -> String {
    nanos.max(0).to_string()
}
