//! Chrome's trace events, which Perfetto reads. Each span is a pair of nestable asynchronous events with an id of its own,
//! since spans that overlap are not drawn right as events of one thread.

use serde_json::{Value as Json, json};

use super::{About, Piece, fields, words};
use crate::diagnostics::record::Record;

pub(super) const END: &[u8] = b"\n]}\n";
/// All of it is one process to a viewer.
const PROCESS: u8 = 1;

/// The head of the file, with whose it is.
pub(super) fn begin(about: &About) -> Vec<u8> {
    let other = json!({ "accord.grant": about.grant.handle, "accord.exported_at": about.made_at.rfc3339() });
    let named = json!({ "ph": "M", "pid": PROCESS, "tid": 0, "name": "process_name",
        "args": { "name": format!("Accord, grant {}", about.grant.handle) } });
    format!("{{\"displayTimeUnit\":\"ms\",\"otherData\":{other},\"traceEvents\":[\n{named}").into_bytes()
}

pub(super) fn events(about: &mut About, piece: &Piece) -> Vec<Json> {
    match piece {
        Piece::Gap(gap) => {
            let number = about.next_lone();
            let id = format!("gap-{number}");
            let args = json!({ "records": gap.records, "reason": gap.reason });
            let micros = |at: i64| at.saturating_mul(1_000);
            pair("records missing", "accord.gap", &id, micros(gap.from_micros), micros(gap.to_micros), args)
        }
        Piece::Trace(lines) => {
            let mut events = Vec::new();
            for line in lines {
                match &line.redacted.record {
                    Record::Span(span) => {
                        let mut args = fields(about, line, &span.body);
                        args.insert("trace".to_owned(), json!(format!("{:032x}", span.body.trace)));
                        if let Some(parent) = span.body.parent {
                            args.insert("parent".to_owned(), json!(format!("{parent:016x}")));
                        }
                        let id = format!("{:032x}-{:016x}", span.body.trace, span.id);
                        let (name, target) = (&span.body.name, &span.body.target);
                        events.extend(pair(name, target, &id, span.start_nanos, span.end_nanos, json!(args)));
                    }
                    Record::Event(event) => {
                        let mut args = fields(about, line, &event.body);
                        args.insert("trace".to_owned(), json!(format!("{:032x}", event.body.trace)));
                        events.push(json!({ "ph": "n", "pid": PROCESS, "tid": 0, "cat": event.body.target,
                            "id": format!("{:032x}-{:016x}", event.body.trace, event.body.parent.unwrap_or(0)),
                            "name": words(&event.body), "ts": micros(event.at_nanos), "args": args }));
                    }
                    Record::Gap(_) => {}
                }
            }
            events
        }
    }
}

fn pair(name: &str, category: &str, id: &str, start: i64, end: i64, args: Json) -> Vec<Json> {
    let event = |phase: &str, at: i64| json!({ "ph": phase, "pid": PROCESS, "tid": 0, "cat": category, "id": id, "name": name, "ts": micros(at) });
    let mut begin = event("b", start);
    begin["args"] = args;
    vec![begin, event("e", end)]
}

/// Microseconds since 1970, which a viewer counts in; the fraction is as good as such a number can be.
fn micros(nanos: i64) -> f64 {
    nanos as f64 / 1_000.0
}
