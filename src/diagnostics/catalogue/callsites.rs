//! The list. `tests/integration/catalogue.rs` compares it with the source and prints it as it should be.

use super::{Callsite, Kind, Level};

type Fields = &'static [&'static str];

const fn event(target: &'static str, level: Level, fields: Fields, file: &'static str) -> Callsite {
    Callsite { kind: Kind::Event, target, level, name: "", fields, file }
}

const fn span(target: &'static str, level: Level, name: &'static str, fields: Fields, file: &'static str) -> Callsite {
    Callsite { kind: Kind::Span, target, level, name, fields, file }
}

#[rustfmt::skip]
pub(super) const CALLSITES: &[Callsite] = &[
    event("accord", Level::Error, &["message", "error"], "src/cli/serve.rs"),
    event("accord", Level::Warn, &["message", "error"], "src/cli/serve.rs"),
    event("accord::audit", Level::Error, &["message", "fault"], "src/web/admin/ledger.rs"),
    event("accord::consent", Level::Error, &["message", "error"], "src/consent/unrecorded.rs"),
    event("accord::consent", Level::Error, &["message", "error", "noting"], "src/consent/unrecorded.rs"),
    event("accord::db", Level::Error, &["message", "bytes"], "src/db/ballast.rs"),
    event("accord::db", Level::Error, &["message", "bytes"], "src/worker/recurring.rs"),
    event("accord::db", Level::Error, &["message", "error"], "src/db/database/sqlite_writer.rs"),
    event("accord::db", Level::Error, &["message", "error"], "src/db/disk.rs"),
    event("accord::db", Level::Warn, &["message"], "src/db/instrumentation.rs"),
    event("accord::db", Level::Warn, &["message", "error"], "src/db/database.rs"),
    event("accord::db", Level::Warn, &["message", "error"], "src/db/dialect.rs"),
    event("accord::db", Level::Warn, &["message", "error"], "src/storage.rs"),
    event("accord::db", Level::Warn, &["message", "error"], "src/worker/recurring.rs"),
    event("accord::db", Level::Warn, &["message", "what", "duration_ms"], "src/db/database.rs"),
    event("accord::db", Level::Info, &["message"], "src/worker/recurring.rs"),
    event("accord::db", Level::Debug, &["message", "error"], "src/db/database.rs"),
    event("accord::db", Level::Debug, &["message", "error"], "src/db/database/sqlite_writer.rs"),
    event("accord::db", Level::Debug, &["message", "sql", "duration_us", "error"], "src/db/instrumentation.rs"),
    span("accord::db", Level::Debug, "read", &[], "src/db/database.rs"),
    span("accord::db", Level::Debug, "write", &[], "src/db/database.rs"),
    span("accord::db", Level::Debug, "write", &[], "src/db/database/sqlite_writer.rs"),
    event("accord::i18n", Level::Error, &["message", "faults"], "src/i18n.rs"),
    event("accord::i18n", Level::Error, &["message", "key", "faults"], "src/i18n.rs"),
    event("accord::i18n", Level::Error, &["message", "key", "locale"], "src/i18n.rs"),
    event("accord::intake", Level::Info, &["message"], "src/intake/from_form.rs"),
    event("accord::mail", Level::Error, &["message"], "src/worker/incoming_mail.rs"),
    event("accord::mail", Level::Error, &["message", "duration_ms"], "src/worker/incoming_mail.rs"),
    event("accord::mail", Level::Error, &["message", "kind"], "src/worker/outgoing_mail.rs"),
    event("accord::mail", Level::Error, &["message", "stage"], "src/worker/incoming_mail.rs"),
    event("accord::mail", Level::Warn, &["message", "error"], "src/worker/lmtp.rs"),
    event("accord::mail", Level::Warn, &["message", "error"], "src/worker/lmtp/session.rs"),
    event("accord::mail", Level::Warn, &["message", "error"], "src/worker/local_socket.rs"),
    event("accord::mail", Level::Warn, &["message", "error", "stage"], "src/worker/incoming_mail.rs"),
    event("accord::mail", Level::Warn, &["message", "kind"], "src/worker/outgoing_mail.rs"),
    event("accord::mail", Level::Info, &["message", "kind"], "src/worker/outgoing_mail.rs"),
    event("accord::mail", Level::Info, &["message", "rule", "decision", "reference", "duration_ms"], "src/worker/incoming_mail.rs"),
    span("accord::mail", Level::Info, "delivery", &["kind", "attempts"], "src/worker/outgoing_mail.rs"),
    span("accord::mail", Level::Info, "mail", &["mail.handle", "mail.size"], "src/worker/incoming_mail.rs"),
    event("accord::mail", Level::Debug, &["message", "error"], "src/worker/lmtp.rs"),
    span("accord::mail", Level::Debug, "carry_out", &["rule"], "src/intake/from_email.rs"),
    event("accord::people", Level::Error, &["message"], "src/people/sign_in.rs"),
    event("accord::web", Level::Error, &["message", "error"], "src/web/api/inbound.rs"),
    event("accord::web", Level::Error, &["message", "error"], "src/web/otlp/traces.rs"),
    event("accord::web", Level::Error, &["message", "reference", "error", "cause"], "src/web/api/errors.rs"),
    event("accord::web", Level::Error, &["message", "reference", "error", "cause"], "src/web/guard.rs"),
    event("accord::web", Level::Warn, &["message", "error"], "src/web/api/inbound.rs"),
    event("accord::web", Level::Warn, &["message", "error"], "src/web/health.rs"),
    event("accord::web", Level::Warn, &["message", "error"], "src/web/request_log.rs"),
    span("accord::web", Level::Info, "request", &["http.method", "http.route", "http.status"], "src/web/guard.rs"),
    event("accord::web", Level::Debug, &["message", "error"], "src/web/forms.rs"),
    event("accord::worker", Level::Error, &["message"], "src/cli/serve.rs"),
    event("accord::worker", Level::Error, &["message"], "src/cli/worker.rs"),
    event("accord::worker", Level::Error, &["message"], "src/worker/drain.rs"),
    event("accord::worker", Level::Error, &["message"], "src/worker/publishing.rs"),
    event("accord::worker", Level::Error, &["message"], "src/worker/threads.rs"),
    event("accord::worker", Level::Error, &["message", "error"], "src/worker/publishing.rs"),
    event("accord::worker", Level::Error, &["message", "job", "error"], "src/worker/threads.rs"),
    event("accord::worker", Level::Error, &["message", "work", "error"], "src/worker/recurring.rs"),
    event("accord::worker", Level::Error, &["message", "worker"], "src/worker/threads.rs"),
    event("accord::worker", Level::Warn, &["message"], "src/worker/destroying.rs"),
    event("accord::worker", Level::Warn, &["message", "error"], "src/worker/drain.rs"),
    event("accord::worker", Level::Warn, &["message", "error"], "src/worker/threads.rs"),
    event("accord::worker", Level::Warn, &["message", "job", "error"], "src/worker/threads.rs"),
    event("accord::worker", Level::Warn, &["message", "worker", "error"], "src/worker/threads.rs"),
    event("accord::worker", Level::Info, &["message"], "src/cli/worker.rs"),
    event("accord::worker", Level::Info, &["message", "count"], "src/worker/threads.rs"),
    event("accord::worker", Level::Info, &["message", "grant"], "src/worker/publishing.rs"),
    event("accord::worker", Level::Info, &["message", "grant", "records", "chunks"], "src/worker/destroying.rs"),
    span("accord::worker", Level::Info, "job", &["job.name", "job.attempts"], "src/worker/threads.rs"),
    event("accord::worker", Level::Debug, &["message", "error"], "src/worker/publishing.rs"),
    event("accord::worker", Level::Debug, &["message", "error"], "src/worker/threads.rs"),
];
