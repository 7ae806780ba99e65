//! What is let in of a request, by its bytes.

use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::span::{Event as SentEvent, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Status};
use proptest::prelude::*;

use super::*;
use crate::consent::manifest::Manifest;
use crate::consent::scope::{Level as Closeness, Scope};
use crate::diagnostics::catalogue::Level;
use crate::diagnostics::record::{Body, RECORD_BYTES, Value};
use crate::diagnostics::redaction::Rule;

const BEGIN: i64 = 1_795_000_000;
const SECOND: u64 = 1_000_000_000;

fn admission(level: Closeness, person: Option<Person>) -> Admission {
    let scope = Scope::of(&[Component::Pages, Component::Products], level, vec!["invoice.id".to_owned()]);
    Admission {
        organisation: "arnaud".to_owned(),
        person,
        redactor: Redactor::new(&scope, &Manifest::of(&scope), GrantKey::random().for_tags()),
        rule: 1,
        lists_service: true,
        from_nanos: BEGIN * 1_000_000_000,
        until_nanos: (BEGIN + 3_600) * 1_000_000_000,
    }
}

/// Ten minutes after the grant began.
fn now() -> UtcTime {
    UtcTime::from_seconds(BEGIN + 600)
}

fn text(key: &str, text: &str) -> KeyValue {
    value(key, Any::StringValue(text.to_owned()))
}

fn value(key: &str, value: Any) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

/// A span of that number, from so many seconds after the beginning of the grant, for a second.
fn span(id: u64, from: i64) -> Span {
    let start = u64::try_from(BEGIN + from).unwrap() * SECOND;
    Span {
        trace_id: 7_u128.to_be_bytes().to_vec(),
        span_id: id.to_be_bytes().to_vec(),
        name: format!("span {id}"),
        kind: 2,
        start_time_unix_nano: start,
        end_time_unix_nano: start + SECOND,
        ..Span::default()
    }
}

fn request(resource: Vec<KeyValue>, spans: Vec<Span>) -> ExportTraceServiceRequest {
    let resource = Resource { attributes: resource, ..Resource::default() };
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans { resource: Some(resource), scope_spans, ..ResourceSpans::default() }],
    }
}

/// Takes it in both encodings, which come to the same.
fn take(admission: &Admission, resource: Vec<KeyValue>, spans: Vec<Span>) -> Taken {
    let request = request(resource, spans);
    let binary = admission.take(&request.encode_to_vec().into(), Encoding::Protobuf, now()).unwrap();
    let json = serde_json::to_vec(&request).unwrap();
    let of_json = admission.take(&json.into(), Encoding::Json, now()).unwrap();
    assert_eq!((&binary.records, binary.not_taken), (&of_json.records, of_json.not_taken));
    binary
}

fn body(taken: &Taken, place: usize) -> &Body {
    match &taken.records[place].record {
        Record::Span(span) => &span.body,
        Record::Event(event) => &event.body,
        Record::Gap(_) => panic!("no gap is made here"),
    }
}

fn shown<'a>(body: &'a Body, name: &str) -> Option<&'a Value> {
    body.fields.iter().find(|field| field.name == name).map(|field| &field.value)
}

#[test]
fn a_span_is_a_record_with_its_moments_status_and_links() {
    let mut sent = span(3, 10);
    sent.parent_span_id = 2_u64.to_be_bytes().to_vec();
    sent.status = Some(Status { message: "it broke".to_owned(), code: 2 });
    sent.attributes = vec![text("http.route", "/a"), value("http.response.status_code", Any::IntValue(500))];
    sent.attributes.push(value(
        "invoice.id",
        Any::ArrayValue(ArrayValue {
            values: vec![AnyValue { value: Some(Any::IntValue(1)) }, AnyValue { value: None }],
        }),
    ));
    sent.events = vec![SentEvent {
        time_unix_nano: sent.start_time_unix_nano + 5,
        name: "exception".to_owned(),
        attributes: vec![text("exception.type", "Oops"), text("exception.note", "unlisted")],
        ..SentEvent::default()
    }];
    sent.links = vec![Link {
        trace_id: 9_u128.to_be_bytes().to_vec(),
        span_id: 8_u64.to_be_bytes().to_vec(),
        ..Link::default()
    }];
    let resource = vec![text("service.name", "billing"), text("service.version", "1.2"), text("host.name", "x")];
    let taken = take(&admission(Closeness::Info, None), resource, vec![sent]);
    assert_eq!((taken.spans, taken.not_taken), (1, NotTaken::default()));
    let Record::Span(span) = &taken.records[0].record else { panic!("a span comes first") };
    assert_eq!((span.id, span.body.trace, span.body.parent), (3, 7, Some(2)));
    let start = (BEGIN + 10) * 1_000_000_000;
    assert_eq!((span.start_nanos, span.end_nanos), (start, start + 1_000_000_000));
    assert_eq!((span.body.target.as_str(), span.body.name.as_str()), ("billing", "span 3"));
    assert_eq!((span.body.level, span.body.rule), (Level::Error, 1));
    for (name, expected) in [
        ("otel.status_code", Value::Text("ERROR".to_owned())),
        ("otel.status_description", Value::Text("it broke".to_owned())),
        ("otel.span.kind", Value::Text("server".to_owned())),
        ("otel.links", Value::Text(format!("{:032x}-{:016x}", 9, 8))),
        ("http.route", Value::Text("/a".to_owned())),
        ("http.response.status_code", Value::Integer(500)),
        ("invoice.id", Value::Text("[1, -]".to_owned())),
        ("service.version", Value::Text("1.2".to_owned())),
    ] {
        assert_eq!(shown(&span.body, name), Some(&expected), "{name}");
    }
    assert_eq!(shown(&span.body, "host.name"), None, "what the manifest does not list");
    let Record::Event(event) = &taken.records[1].record else { panic!("then its moments") };
    assert_eq!((event.at_nanos, event.body.parent, event.body.trace), (start + 5, Some(3), 7));
    assert_eq!(event.body.level, Level::Error);
    assert_eq!(shown(&event.body, "message"), Some(&Value::Text("exception".to_owned())));
    assert_eq!(shown(&event.body, "exception.type"), Some(&Value::Text("Oops".to_owned())));
    assert_eq!(taken.hits.of(Rule::Unlisted), 2);
}

#[test]
fn cn_01_only_spans_whose_beginning_and_end_lie_inside_the_grant_are_taken() {
    let admission = admission(Closeness::Info, None);
    for (from, is_taken) in
        [(-1, false), (0, true), (598, true), (599, true), (600, false), (3_599, false), (9_999, false)]
    {
        let taken = take(&admission, Vec::new(), vec![span(1, from)]);
        assert_eq!((taken.spans == 1, taken.not_taken.late == 1), (is_taken, !is_taken), "{from}");
    }
    // By a clock that is past the end, nothing at or after it is taken.
    let at_the_end = UtcTime::from_seconds(BEGIN + 3_600);
    for (from, spans) in [(3_598, 1), (3_599, 0)] {
        let bytes = request(Vec::new(), vec![span(1, from)]).encode_to_vec();
        let taken = admission.take(&bytes.into(), Encoding::Protobuf, at_the_end).unwrap();
        assert_eq!(taken.spans, spans, "ends {} seconds in", from + 1);
    }
    let mut backwards = span(1, 10);
    backwards.end_time_unix_nano -= 2 * SECOND;
    let mut endless = span(2, 10);
    endless.end_time_unix_nano = u64::MAX;
    let unfinished = Span { end_time_unix_nano: 0, ..span(3, 10) };
    assert_eq!(take(&admission, Vec::new(), vec![backwards, endless, unfinished]).not_taken.late, 3);
}

#[test]
fn cn_01_a_moment_outside_of_the_grant_is_left_out_of_a_span_inside() {
    let mut sent = span(1, 0);
    let at = |time_unix_nano| SentEvent { time_unix_nano, name: "m".to_owned(), ..SentEvent::default() };
    let start = sent.start_time_unix_nano;
    sent.events = vec![at(start - 1), at(start), at(start + 601 * SECOND), at(0), at(u64::MAX)];
    assert_eq!(take(&admission(Closeness::Info, None), Vec::new(), vec![sent]).records.len(), 2);
}

#[test]
fn cn_12_a_span_that_names_another_organisation_is_not_taken() {
    let admission = admission(Closeness::Info, None);
    let named = |name: &str| Span { attributes: vec![text("tenant.id", name)], ..span(1, 0) };
    assert_eq!(take(&admission, Vec::new(), vec![named("arnaud")]).spans, 1);
    assert_eq!(take(&admission, Vec::new(), vec![named("brun"), span(2, 0)]).not_taken.other_organisation, 1);
    let by_resource = take(&admission, vec![text("tenant.id", "brun")], vec![span(1, 0), named("arnaud")]);
    assert_eq!((by_resource.spans, by_resource.not_taken.other_organisation), (0, 2));
    let number = Span { attributes: vec![value("tenant.id", Any::IntValue(7))], ..span(1, 0) };
    let twice = Span { attributes: vec![text("tenant.id", "arnaud"), text("tenant.id", "brun")], ..span(2, 0) };
    assert_eq!(take(&admission, Vec::new(), vec![number, twice]).not_taken.other_organisation, 2);
}

#[test]
fn a_grant_of_one_person_takes_what_is_known_to_be_theirs_and_nothing_else() {
    let by_id = || UserAttributes { usual: vec!["user.id".to_owned()], ..UserAttributes::default() };
    let admission = admission(Closeness::Info, Some(Person::called(["paul".to_owned()], &by_id())));
    let said = |id, parent: u64, user: Option<&str>| Span {
        parent_span_id: parent.to_be_bytes().to_vec(),
        attributes: user.map(|user| text("user.id", user)).into_iter().collect(),
        ..span(id, 0)
    };
    // Children come before their parents, as they end before them.
    let spans = vec![
        said(3, 2, None),
        said(2, 1, None),
        said(1, 0, Some("paul")),
        said(4, 1, Some("zoe")),
        said(5, 4, None),
        said(6, 0, None),
        said(7, 99, None),
    ];
    let taken = take(&admission, Vec::new(), spans);
    assert_eq!((taken.spans, taken.not_taken.other_person), (3, 4));
    assert!(taken.records.iter().all(|record| !format!("{record:?}").contains("user.id")));
}

#[test]
fn a_span_without_proper_numbers_is_counted_and_the_rest_is_taken() {
    let with = |change: fn(&mut Span)| {
        let mut span = span(1, 0);
        change(&mut span);
        span
    };
    let spans = vec![
        with(|span| span.trace_id.clear()),
        with(|span| span.trace_id = vec![0; 16]),
        with(|span| span.trace_id = vec![1; 15]),
        with(|span| span.span_id = vec![1; 9]),
        with(|span| span.span_id = vec![0; 8]),
        with(|span| span.parent_span_id = vec![1; 7]),
        with(|span| span.parent_span_id = vec![0; 8]),
    ];
    let taken = take(&admission(Closeness::Info, None), Vec::new(), spans);
    assert_eq!((taken.spans, taken.not_taken.malformed), (1, 6));
    let told = taken.not_taken.in_words();
    assert_eq!(told, "Spans not taken: 6 without proper ids, or too long.");
}

#[test]
fn what_did_not_fail_is_more_detailed_than_a_grant_for_errors() {
    let failed = Span { status: Some(Status { code: 2, ..Status::default() }), ..span(1, 0) };
    let taken = take(&admission(Closeness::Error, None), Vec::new(), vec![failed, span(2, 0)]);
    assert_eq!((taken.spans, taken.not_taken.too_detailed), (1, 1));
}

#[test]
fn cn_09_secrets_in_any_text_of_a_span_are_masked_before_anything_is_kept() {
    let secret = "Bearer canarycanary0123";
    let mut sent = span(1, 0);
    sent.name = format!("GET {secret}");
    sent.status = Some(Status { message: secret.to_owned(), code: 1 });
    sent.attributes = vec![
        text("http.route", secret),
        text("password", "canary-of-a-name"),
        text("invoice.id", &format!("{}{secret}", "x ".repeat(400))),
        value("server.port", Any::IntValue(4_111_111_111_111_111)),
        value(
            "invoice.id",
            Any::ArrayValue(ArrayValue { values: vec![AnyValue { value: Some(Any::StringValue(secret.to_owned())) }] }),
        ),
    ];
    sent.events = vec![SentEvent {
        time_unix_nano: sent.start_time_unix_nano,
        name: secret.to_owned(),
        attributes: vec![text("exception.message", secret)],
        ..SentEvent::default()
    }];
    let resource = vec![text("service.name", secret), text("service.version", secret)];
    let kept = take(&admission(Closeness::Trace, None), resource, vec![sent]);
    let shown = format!("{:?}", kept.records);
    assert!(!shown.contains("canary") && !shown.contains("4111"), "{shown}");
    assert!(kept.hits.of(Rule::Bearer) >= 7 && kept.hits.of(Rule::Card) == 1, "{:?}", kept.hits);
}

#[test]
fn a_record_is_no_longer_than_others_and_says_that_it_was_cut() {
    let attributes = (0..200).map(|_| text("invoice.id", &"long ".repeat(2_000))).collect();
    let events = (0..1_000).map(|_| SentEvent {
        time_unix_nano: span(1, 0).start_time_unix_nano,
        name: "m".to_owned(),
        ..SentEvent::default()
    });
    let sent = Span { attributes, events: events.collect(), ..span(1, 0) };
    let taken = take(&admission(Closeness::Info, None), Vec::new(), vec![sent]);
    assert_eq!(taken.not_taken.malformed, 1, "a span of two megabytes");
    let attributes = (0..200).map(|_| text("invoice.id", &"long ".repeat(200))).collect();
    let sent = Span { attributes, ..span(1, 0) };
    let taken = take(&admission(Closeness::Info, None), Vec::new(), vec![sent]);
    let bytes: usize = body(&taken, 0).fields.iter().map(|field| format!("{:?}", field.value).len()).sum();
    assert!(body(&taken, 0).is_cut && bytes <= RECORD_BYTES + 100, "{bytes}");
}

#[test]
fn what_is_no_request_is_malformed_and_an_empty_one_is_fine() {
    let admission = admission(Closeness::Info, None);
    let empty = admission.take(&Bytes::new(), Encoding::Protobuf, now()).unwrap();
    assert_eq!((empty.spans, empty.not_taken.count()), (0, 0));
    let bytes = request(Vec::new(), vec![span(1, 0)]).encode_to_vec();
    for cut in 1..bytes.len() {
        let cut = Bytes::copy_from_slice(&bytes[..cut]);
        assert!(admission.take(&cut, Encoding::Protobuf, now()).is_err());
    }
    // A hundred levels of values within values.
    let mut deep = AnyValue { value: Some(Any::IntValue(1)) };
    for _ in 0..200 {
        deep = AnyValue { value: Some(Any::ArrayValue(ArrayValue { values: vec![deep] })) };
    }
    let attributes = vec![KeyValue { key: "invoice.id".to_owned(), value: Some(deep), ..KeyValue::default() }];
    let bytes = request(Vec::new(), vec![Span { attributes, ..span(1, 0) }]).encode_to_vec();
    assert!(admission.take(&bytes.into(), Encoding::Protobuf, now()).is_err());
}

/// A request of four megabytes with nothing in its spans is read at once, and not as a gigabyte.
#[test]
fn many_empty_spans_are_refused_before_they_are_read() {
    let spans = vec![Span::default(); SPANS + 1];
    let bytes = request(Vec::new(), spans).encode_to_vec();
    assert!(bytes.len() < REQUEST_BYTES);
    assert!(admission(Closeness::Info, None).take(&bytes.into(), Encoding::Protobuf, now()).is_err());
}

/// So is one of empty resources, or of one resource with empty scopes.
#[test]
fn many_empty_parts_are_refused_before_they_are_read() {
    let admission = admission(Closeness::Info, None);
    let resources: Vec<u8> = [0x0a, 0].repeat(PARTS + 1);
    let scopes: Vec<u8> = [0x12, 0].repeat(PARTS);
    let nested = |scopes: &[u8]| {
        let mut bytes = vec![0x0a];
        prost::encoding::encode_varint(scopes.len() as u64, &mut bytes);
        [bytes.as_slice(), scopes].concat()
    };
    for bytes in [resources, nested(&scopes)] {
        assert!(admission.take(&bytes.into(), Encoding::Protobuf, now()).is_err());
    }
    assert!(admission.take(&nested(&scopes[..100]).into(), Encoding::Protobuf, now()).is_ok());
}

proptest! {
    #[test]
    fn no_bytes_make_it_fail_otherwise_than_by_saying_so(bytes: Vec<u8>) {
        let admission = admission(Closeness::Info, None);
        let bytes = Bytes::from(bytes);
        drop(admission.take(&bytes, Encoding::Protobuf, now()));
        drop(admission.take(&bytes, Encoding::Json, now()));
    }
}
