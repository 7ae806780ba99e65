//! A span of OpenTelemetry as a record: its numbers as they are, its moments as events within it, its status and links as
//! fields. OpenTelemetry has no levels; what failed is an error, and everything else informs.

use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span as Sent;
use opentelemetry_proto::tonic::trace::v1::span::{Event as SentEvent, Link, SpanKind};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;

use crate::diagnostics::catalogue::Level;
use crate::diagnostics::record::{Body, Event, Field, RECORD_BYTES, Span, Value};

/// The attribute of a resource that says what the product is called.
pub const SERVICE: &str = "service.name";
/// By this name products tell organisations apart; OpenTelemetry has none.
const TENANT: &str = "tenant.id";
/// A name for a product that gives none, or whose name may not be kept.
const UNNAMED: &str = "product";

/// Attributes of one span or moment that are looked at, moments of one span, links of one span.
const ATTRIBUTES: usize = 128;
const EVENTS: usize = 128;
const LINKS: usize = 8;
/// How much of a value is looked at for what must not be kept; what is kept of it is less.
const TEXT_BYTES: usize = 4 << 10;
/// How deep lists within lists are shown.
const DEPTH: usize = 4;

/// The numbers of a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ids {
    pub trace: u128,
    pub span: u64,
    pub parent: Option<u64>,
}

/// Where spans come from.
pub struct Source {
    attributes: Vec<KeyValue>,
    /// What it says of whose it is, in whichever place.
    tenants: Vec<KeyValue>,
    service: String,
}

impl Source {
    pub fn new(resource: Resource) -> Source {
        let mut attributes = resource.attributes;
        let tenants = attributes.iter().filter(|attribute| attribute.key == TENANT).cloned().collect();
        attributes.truncate(ATTRIBUTES);
        attributes.shrink_to_fit();
        let named = attributes.iter().find(|attribute| attribute.key == SERVICE);
        let service = named.and_then(|named| text_of(named)).unwrap_or(UNNAMED).to_owned();
        Source { attributes, tenants, service }
    }

    /// Whether it names no organisation, or this one.
    pub fn names_only(&self, organisation: &str) -> bool {
        names_only(&self.tenants, organisation)
    }

    /// The product that it is, by its own name.
    pub fn product(&self) -> &str {
        &self.service
    }

    /// What stands where Accord's own records name a part of the program.
    pub fn target(&self, lists_service: bool) -> &str {
        if lists_service { &self.service } else { UNNAMED }
    }
}

/// Whether no attribute names an organisation but this one.
pub fn names_only(attributes: &[KeyValue], organisation: &str) -> bool {
    attributes.iter().filter(|attribute| attribute.key == TENANT).all(|named| text_of(named) == Some(organisation))
}

/// The numbers of a span, if it has those that it must.
pub fn ids(span: &Sent) -> Option<Ids> {
    let trace = u128::from_be_bytes(span.trace_id.as_slice().try_into().ok()?);
    let id = span_number(&span.span_id)?;
    let parent = match span.parent_span_id.as_slice() {
        [] => 0,
        bytes => span_number(bytes)?,
    };
    (trace != 0 && id != 0).then_some(Ids { trace, span: id, parent: (parent != 0).then_some(parent) })
}

fn span_number(bytes: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(bytes.try_into().ok()?))
}

/// The span as a record, and its moments, not yet redacted.
pub fn of_span(
    sent: Sent,
    ids: Ids,
    (start_nanos, end_nanos): (i64, i64),
    target: &str,
    source: &Source,
    rule: u8,
) -> (Span, Vec<Event>) {
    let kind = SpanKind::try_from(sent.kind).unwrap_or(SpanKind::Unspecified);
    let status = sent.status.unwrap_or_default();
    let code = StatusCode::try_from(status.code).unwrap_or(StatusCode::Unset);
    let level = if code == StatusCode::Error { Level::Error } else { Level::Info };
    let mut is_cut = sent.dropped_attributes_count > 0 || sent.attributes.len() > ATTRIBUTES;
    let mut fields: Vec<Field> = Vec::with_capacity(sent.attributes.len().min(ATTRIBUTES) + 4);
    if let Some(kind) = kind_name(kind) {
        fields.push(text_field("otel.span.kind", kind));
    }
    if code != StatusCode::Unset {
        fields.push(text_field("otel.status_code", if code == StatusCode::Error { "ERROR" } else { "OK" }));
    }
    if !status.message.is_empty() {
        fields.extend(field("otel.status_description".to_owned(), Any::StringValue(status.message)));
    }
    fields.extend(sent.attributes.into_iter().take(ATTRIBUTES).filter_map(attribute));
    if !sent.links.is_empty() {
        is_cut |= sent.links.len() > LINKS;
        fields.push(text_field("otel.links", &linked(&sent.links)));
    }
    // Where it ran is said once: by the span with which a request came in.
    if ids.parent.is_none() || matches!(kind, SpanKind::Server | SpanKind::Consumer) {
        let of_source = source.attributes.iter().filter(|attribute| attribute.key != SERVICE);
        fields.extend(of_source.cloned().filter_map(attribute));
    }
    let body = |level, name, parent, fields, is_cut| Body {
        trace: ids.trace,
        parent,
        target: target.to_owned(),
        level,
        name,
        file: String::new(),
        rule,
        fields,
        is_cut,
    };
    is_cut |= sent.dropped_events_count > 0 || sent.events.len() > EVENTS;
    let events = sent.events.into_iter().take(EVENTS).filter_map(|event: SentEvent| {
        let at_nanos = i64::try_from(event.time_unix_nano).ok()?;
        let level = if event.name == "exception" { Level::Error } else { Level::Info };
        let is_cut = event.dropped_attributes_count > 0 || event.attributes.len() > ATTRIBUTES;
        let mut fields: Vec<Field> = field("message".to_owned(), Any::StringValue(event.name)).into_iter().collect();
        fields.extend(event.attributes.into_iter().take(ATTRIBUTES).filter_map(attribute));
        Some(Event { at_nanos, body: body(level, String::new(), Some(ids.span), fields, is_cut) })
    });
    let events = events.collect();
    let span = Span { id: ids.span, start_nanos, end_nanos, body: body(level, sent.name, ids.parent, fields, is_cut) };
    (span, events)
}

/// Leaves out the fields that a record has no room for.
pub fn cut(body: &mut Body) {
    let mut room = RECORD_BYTES;
    let fits = body.fields.iter().take_while(|field| {
        let bytes = field.name.len() + if let Value::Text(text) = &field.value { text.len() } else { 8 };
        let left = room.checked_sub(bytes);
        room = left.unwrap_or(0);
        left.is_some()
    });
    let fits = fits.count();
    if fits < body.fields.len() {
        body.fields.truncate(fits);
        body.is_cut = true;
    }
}

fn kind_name(kind: SpanKind) -> Option<&'static str> {
    match kind {
        SpanKind::Server => Some("server"),
        SpanKind::Client => Some("client"),
        SpanKind::Producer => Some("producer"),
        SpanKind::Consumer => Some("consumer"),
        SpanKind::Internal | SpanKind::Unspecified => None,
    }
}

/// What a span refers to, as `trace-span` in hexadecimal.
fn linked(links: &[Link]) -> String {
    let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(&bytes[..bytes.len().min(16)]);
    let named: Vec<String> =
        links.iter().take(LINKS).map(|link| format!("{}-{}", hex(&link.trace_id), hex(&link.span_id))).collect();
    named.join(" ")
}

fn attribute(attribute: KeyValue) -> Option<Field> {
    field(attribute.key, attribute.value?.value?)
}

fn text_field(name: &str, text: &str) -> Field {
    Field { name: name.to_owned(), value: Value::Text(text.to_owned()), is_cut: false }
}

fn field(name: String, value: Any) -> Option<Field> {
    let value = match value {
        Any::StringValue(text) => Value::Text(text),
        Any::BoolValue(truth) => Value::Bool(truth),
        Any::IntValue(number) => Value::Integer(number),
        Any::DoubleValue(number) => Value::Float(number),
        Any::BytesValue(bytes) => Value::Text(format!("{} bytes", bytes.len())),
        // A place in a table of names that traces do not have.
        Any::StringValueStrindex(_) => return None,
        list => {
            let mut text = String::new();
            write(&list, DEPTH, &mut text);
            Value::Text(text)
        }
    };
    let mut field = Field { name, value, is_cut: false };
    if let Value::Text(text) = &mut field.value
        && text.len() > TEXT_BYTES
    {
        let mut end = TEXT_BYTES;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        field.is_cut = true;
    }
    Some(field)
}

/// A list as text, as far as anybody would read it.
fn write(value: &Any, depth: usize, text: &mut String) {
    if text.len() > TEXT_BYTES {
        return;
    }
    let of = |value: Option<&AnyValue>, text: &mut String| match value.and_then(|value| value.value.as_ref()) {
        Some(value) if depth > 0 => write(value, depth - 1, text),
        Some(_) => text.push('…'),
        None => text.push('-'),
    };
    match value {
        Any::StringValue(own) => text.push_str(own),
        Any::BoolValue(truth) => text.push_str(if *truth { "true" } else { "false" }),
        Any::IntValue(number) => text.push_str(&number.to_string()),
        Any::DoubleValue(number) => text.push_str(&number.to_string()),
        Any::BytesValue(bytes) => text.push_str(&format!("{} bytes", bytes.len())),
        Any::StringValueStrindex(_) => text.push('-'),
        Any::ArrayValue(list) => {
            text.push('[');
            for (place, value) in list.values.iter().enumerate() {
                text.push_str(if place > 0 { ", " } else { "" });
                of(Some(value), text);
            }
            text.push(']');
        }
        Any::KvlistValue(list) => {
            text.push('{');
            for (place, pair) in list.values.iter().enumerate() {
                text.push_str(if place > 0 { ", " } else { "" });
                text.push_str(&pair.key);
                text.push_str(": ");
                of(pair.value.as_ref(), text);
            }
            text.push('}');
        }
    }
}

fn text_of(attribute: &KeyValue) -> Option<&str> {
    match attribute.value.as_ref()?.value.as_ref()? {
        Any::StringValue(text) => Some(text),
        _ => None,
    }
}
