//! Looking for the words with which a capture is to end: in texts and names of what is kept, in whatever case.

use crate::diagnostics::record::{Record, Value};
use crate::diagnostics::redaction::Redacted;

/// Whether any record says what was looked for.
pub fn are_said(records: &[Redacted], words: &str) -> bool {
    if words.is_empty() {
        return false;
    }
    let words = words.to_lowercase();
    records.iter().any(|redacted| {
        let body = match &redacted.record {
            Record::Event(event) => &event.body,
            Record::Span(span) => &span.body,
            Record::Gap(_) => return false,
        };
        body.name.to_lowercase().contains(&words)
            || body.fields.iter().any(|field| match &field.value {
                Value::Text(text) => text.to_lowercase().contains(&words),
                _ => false,
            })
    })
}
