//! OTLP in JSON. The messages' own reader is right about most of what the specification lets senders do; what it takes
//! for an error, and is none, is put right here before it reads again: members that are null, attributes without a key,
//! lists without values, and numbers that are none. Well-formed requests never come here twice.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use serde_json::{Map, Value, json};

/// Objects in one request at most: each becomes several times as large when it is read.
const OBJECTS: usize = 200_000;

/// Values in one request at most that has to be put right: all of them are in memory at once, whatever they are. Twice
/// what requests of this size have that say something.
const VALUES: usize = 300_000;

/// The request, or nothing when it is none.
pub fn decode(bytes: &[u8]) -> Option<ExportTraceServiceRequest> {
    // The reader of messages would take a list for their members in order.
    if !bytes.trim_ascii_start().starts_with(b"{") {
        return None;
    }
    if bytes.iter().filter(|byte| **byte == b'{').count() > OBJECTS {
        return None;
    }
    if let Ok(request) = serde_json::from_slice(bytes) {
        return Some(request);
    }
    // Each value but the first stands behind one of these; some within texts are counted with them.
    if bytes.iter().filter(|byte| matches!(**byte, b'{' | b'[' | b',')).count() > VALUES {
        return None;
    }
    let mut value: Value = serde_json::from_slice(bytes).ok()?;
    mend(&mut value);
    serde_json::from_value(value).ok()
}

/// Nesting is bounded by the reader of JSON.
fn mend(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|_, member| !member.is_null());
            for (name, member) in members.iter_mut() {
                mend(member);
                match name.as_str() {
                    "attributes" => mend_attributes(member),
                    "arrayValue" | "kvlistValue" => mend_list(name == "kvlistValue", member),
                    _ => {}
                }
            }
            mend_number(members);
        }
        Value::Array(items) => {
            items.retain(|item| !item.is_null());
            items.iter_mut().for_each(mend);
        }
        _ => {}
    }
}

/// An attribute without a key has the empty one, which no manifest lists.
fn mend_attributes(list: &mut Value) {
    for attribute in list.as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
        attribute.entry("key").or_insert_with(|| json!(""));
    }
}

/// A list without values is empty.
fn mend_list(of_attributes: bool, list: &mut Value) {
    let Some(members) = list.as_object_mut() else { return };
    let values = members.entry("values").or_insert_with(|| json!([]));
    if of_attributes {
        mend_attributes(values);
    }
}

/// Numbers that JSON cannot write stand as their names, in a member for numbers.
fn mend_number(members: &mut Map<String, Value>) {
    let Some(Value::String(text)) = members.get("doubleValue") else { return };
    let mended = match text.parse::<f64>() {
        Ok(number) if number.is_finite() => ("doubleValue", json!(number)),
        // There is no other way left to say it.
        _ => ("stringValue", json!(text)),
    };
    members.remove("doubleValue");
    members.insert(mended.0.to_owned(), mended.1);
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
    use opentelemetry_proto::tonic::trace::v1::Span;

    use super::*;

    fn span_of(span: &str) -> Option<Span> {
        let text = format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{span}]}}]}}]}}"#);
        decode(text.as_bytes())?.resource_spans.pop()?.scope_spans.pop()?.spans.pop()
    }

    fn value_of(value: &str) -> Option<Any> {
        span_of(&format!(r#"{{"attributes":[{{"key":"a","value":{value}}}]}}"#))?.attributes.pop()?.value?.value
    }

    #[test]
    fn json_is_read_as_the_specification_has_it() {
        let span = span_of(
            r#"{"traceId":"5B8EFFF798038103D269B633813FC60C","spanId":"eee19b7ec3c1b174","name":"a","kind":2,
                "startTimeUnixNano":"1544712660000000000","endTimeUnixNano":1544712661000000000,"unknown":{"x":[1]},
                "attributes":[{"key":"n","value":{"intValue":"7"}}],"status":{"code":2}}"#,
        );
        let span = span.unwrap();
        assert_eq!((span.trace_id.len(), span.span_id.len(), span.kind), (16, 8, 2));
        assert_eq!(
            (span.start_time_unix_nano, span.end_time_unix_nano),
            (1_544_712_660_000_000_000, 1_544_712_661_000_000_000)
        );
        assert_eq!(span.status.unwrap().code, 2);
        assert_eq!(value_of(r#"{"intValue":7}"#), Some(Any::IntValue(7)));
        assert_eq!(value_of(r#"{"bytesValue":"AQI="}"#), Some(Any::BytesValue(vec![1, 2])));
        assert_eq!(decode(b"{}").unwrap().resource_spans.len(), 0);
    }

    #[test]
    fn what_the_messages_own_reader_refuses_without_need_is_read() {
        for span in [
            r#"{"name":"a","attributes":[{"value":{"stringValue":"x"}}]}"#,
            r#"{"name":"a","attributes":null,"status":null,"parentSpanId":null}"#,
            r#"{"name":"a","attributes":[null],"events":[{"name":null,"attributes":[{"key":null,"value":null}]}]}"#,
            r#"{"name":"a","attributes":[{"key":"k","value":{"kvlistValue":{"values":[{"value":{}}]}}}]}"#,
        ] {
            assert_eq!(span_of(span).map(|span| span.name).as_deref(), Some("a"), "{span}");
        }
        assert!(matches!(value_of(r#"{"arrayValue":{}}"#), Some(Any::ArrayValue(list)) if list.values.is_empty()));
        assert!(matches!(value_of(r#"{"kvlistValue":{}}"#), Some(Any::KvlistValue(list)) if list.values.is_empty()));
        assert_eq!(value_of(r#"{"doubleValue":"NaN"}"#), Some(Any::StringValue("NaN".to_owned())));
        assert_eq!(value_of(r#"{"doubleValue":"1.5"}"#), Some(Any::DoubleValue(1.5)));
    }

    /// A request that only the second reader takes, with something in it that nobody knows.
    fn span_with(unknown: &str) -> String {
        format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{"attributes":null,"unknown":{unknown}}}]}}]}}]}}"#)
    }

    #[test]
    fn what_is_put_right_has_no_more_values_than_fit_into_memory() {
        let list = |count: usize| span_with(&format!("[{}1]", "1,".repeat(count)));
        assert!(decode(list(VALUES - 20).as_bytes()).is_some());
        assert!(decode(list(VALUES).as_bytes()).is_none());
        // What needs no putting right is never in memory value by value, however many there are.
        let sound = list(VALUES).replace(r#""attributes":null,"#, "");
        assert!(decode(sound.as_bytes()).is_some());
    }

    #[test]
    fn what_is_no_request_is_refused() {
        let deep = format!("{}1{}", "[".repeat(10_000), "]".repeat(10_000));
        let many = format!(r#"{{"resourceSpans":[{}{{}}]}}"#, "{},".repeat(OBJECTS));
        let members = span_with(&format!("{{{}\"a\":1}}", "\"a\":1,".repeat(VALUES)));
        for text in ["", "[]", "7", "{", "{\"resourceSpans\":7}", &deep, &many, &members] {
            assert!(decode(text.as_bytes()).is_none(), "{}", &text[..text.len().min(40)]);
        }
        assert_eq!(span_of(r#"{"startTimeUnixNano":"-1"}"#), None);
        assert_eq!(span_of(r#"{"traceId":"xyz"}"#), None);
    }
}
