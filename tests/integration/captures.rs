//! What a grant captured: drained, redacted, sealed, read back and destroyed (CN-01, CN-03, CN-09, CN-10).

mod backing_up;
mod destroying;
mod draining;
mod locking;
mod looking;
mod racing;
mod rights;
mod seeing;
mod taking;
mod tampering;

use accord::clock::UtcTime;
use accord::consent::asking::{self, Terms};
use accord::consent::granting::{self, Outcome};
use accord::consent::life::GrantState;
use accord::consent::scope::{PurposeCode, Recipients};
use accord::consent::withdrawing::{self, Kept};
use accord::consent::{Component, Grant, Level as Closeness, Scope, Subject, grants};
use accord::db::DbConnection;
use accord::db::types::{GrantId, PersonId};
use accord::diagnostics::buffers::{Chunk, Counts};
use accord::diagnostics::catalogue::{Callsite, Catalogue, Kind, Level};
use accord::diagnostics::record::{Fields, Place, Record, Value, put_anchor};
use accord::diagnostics::redaction::Redacted;
use accord::diagnostics::trace_store;
use accord::error::Result;
use accord::gate::{Gate, LiveGrant, Moment, Pass, SERVER};
use accord::i18n::Locale;
use accord::people::person;
use accord::worker::drain::Drain;
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::BigInt;

use crate::support::TestApp;
use crate::support::cast::Cast;

/// What the tests record: one place in each component, and one that no scope covers.
static CALLSITES: &[Callsite] = &[
    callsite(
        "accord::web",
        &["message", "http.route", "form.fields", "count", "mail.body", "password", "error", "bytes"],
    ),
    callsite("accord::db", &["message", "db.statement", "db.values"]),
    callsite("accord::mail", &["message", "mail.rule"]),
    callsite("accord::elsewhere", &["message"]),
    Callsite {
        kind: Kind::Span,
        target: "accord::web",
        level: Level::Info,
        name: "request",
        fields: &["http.method", "http.route", "http.status"],
        file: "src/web/guard.rs",
    },
    Callsite {
        kind: Kind::Span,
        target: "accord::db",
        level: Level::Debug,
        name: "read",
        fields: &[],
        file: "src/db/database.rs",
    },
    Callsite {
        kind: Kind::Event,
        target: "accord::web",
        level: Level::Error,
        name: "",
        fields: &["message", "error"],
        file: "src/web/guard.rs",
    },
];

const fn callsite(target: &'static str, fields: &'static [&'static str]) -> Callsite {
    Callsite { kind: Kind::Event, target, level: Level::Debug, name: "", fields, file: "src/web.rs" }
}

/// The place of a target in the list above.
const WEB: u16 = 0;
const SQL: u16 = 1;
const MAIL: u16 = 2;
const ELSEWHERE: u16 = 3;
const REQUEST: u16 = 4;
const READ: u16 = 5;
const FAULT: u16 = 6;

/// An installation, with the gate and the drain of one process.
struct Process {
    test: TestApp,
    cast: Cast,
    gate: Gate,
    drain: Drain,
    live: Vec<LiveGrant>,
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

impl Process {
    fn begin() -> Process {
        let (test, cast) = TestApp::with_cast();
        let app = &test.app;
        let keys = app.keys.clone();
        let ends = app.unrecorded.clone();
        let drain = Drain::new(app.database.clone(), keys, app.clock.clone(), Catalogue::of(CALLSITES), ends);
        Process { cast, gate: Gate::default(), drain, live: Vec::new(), test }
    }

    /// Claire grants what Léa asked about her organisation: pages and statements, for an hour, kept seven days.
    fn grant(&self) -> Grant {
        self.grant_of(self.cast.claire, "")
    }

    fn grant_of(&self, person: PersonId, stop_condition: &str) -> Grant {
        self.consented(Subject::Organisation, person, stop_condition).0
    }

    /// Léa asks about `subject`, `person` grants; with the public name of the question.
    fn consented(&self, subject: Subject, person: PersonId, stop_condition: &str) -> (Grant, String) {
        let requester = self.test.read(|db| person::by_id(db, person));
        let ticket = self.test.given().ticket(&requester, "Écran noir", "Rien ne s'affiche.");
        let (lea, customer) = (self.test.actor(self.cast.lea), self.test.actor(person));
        let terms = Terms {
            subject,
            purpose: "Comprendre pourquoi l'écran reste noir".to_owned(),
            purpose_code: PurposeCode::Fault,
            scope: Scope::of(&[Component::Pages, Component::Sql], Closeness::Debug, Vec::new()),
            duration_minutes: 60,
            retention_days: 7,
            recipients: Recipients::Queue(ticket.queue_id),
            exports_allowed: true,
            stop_condition: stop_condition.to_owned(),
            idle_minutes: None,
        };
        let (app, now) = (self.test.app.clone(), self.test.now());
        let (outcome, handle) = self.test.write(move |db| {
            let request = asking::ask(db, &ticket, &terms, &lea, now)?;
            let seen = granting::notice_for(db, &request, Locale::Fr)?.sha256;
            let outcome = granting::grant(db, &app.keys, &request, None, &seen, Locale::Fr, &customer, now)?;
            Ok((outcome, request.handle))
        });
        let Outcome::Granted(grant) = outcome else { panic!("{outcome:?}") };
        (*grant, handle)
    }

    fn moment(&self) -> Moment {
        let clock = &self.test.clock;
        Moment { monotonic_nanos: clock.monotonic_nanos(), wall_micros: clock.now().micros() }
    }

    /// Makes the gate let a grant through, beside those it lets through already.
    fn open(&mut self, grant: &Grant) -> Pass {
        self.live.push(LiveGrant {
            grant: grant.id.0,
            tenant: grant.organisation_id.0,
            person: None,
            level: Level::Debug.number(),
            channels: SERVER,
            until_wall_micros: grant.expires_at.micros(),
        });
        let published = self.gate.publish(&self.live, self.moment());
        published.started.iter().find(|(id, _)| *id == grant.id.0).expect("the grant becomes live").1
    }

    /// A chunk as the layer makes it, of one record for each text, all of `callsite` in the field of that number.
    fn chunk(&self, grant: GrantId, pass: Pass, records: &[(u16, usize, &str)]) -> Chunk {
        let moment = self.moment();
        let mut bytes = Vec::new();
        put_anchor(&mut bytes, 1, moment);
        for (callsite, field, text) in records {
            let mut fields = Fields::of_event();
            fields.text(*field, text);
            let place = Place { activity: 1, parent: 0, callsite: *callsite, rule: 0 };
            bytes.extend_from_slice(fields.event(place, moment.monotonic_nanos));
        }
        let (first_micros, last_micros) = (moment.wall_micros, moment.wall_micros);
        Chunk { grant: grant.0, pass, bytes, records: records.len() as u32, first_micros, last_micros }
    }

    /// One round of the drain; gives the grants that turned out to be over.
    fn drain(&mut self, chunks: Vec<Chunk>) -> Vec<GrantId> {
        let counted: Vec<_> = self.live.iter().map(|live| (live.grant, Counts::default(), 0)).collect();
        self.drain.round(&self.gate, chunks, &counted)
    }

    /// Captures messages of pages for a grant that the gate lets through.
    fn capture(&mut self, grant: &Grant, pass: Pass, texts: &[&str]) -> Vec<GrantId> {
        let records: Vec<_> = texts.iter().map(|text| (WEB, 0, *text)).collect();
        let chunk = self.chunk(grant.id, pass, &records);
        self.drain(vec![chunk])
    }

    fn read(&self, grant: &Grant) -> Result<Vec<Redacted>> {
        let app = &self.test.app;
        let chunks = app.database.read_now(|db| trace_store::read(db, &app.keys, grant, 0, 1_000))?;
        Ok(chunks.into_iter().flat_map(|chunk| chunk.records).collect())
    }

    /// Every text that was kept for a grant.
    fn texts(&self, grant: &Grant) -> Vec<String> {
        let records = self.read(grant).unwrap();
        let bodies = records.into_iter().filter_map(|redacted| match redacted.record {
            Record::Event(event) => Some(event.body),
            Record::Span(span) => Some(span.body),
            Record::Gap(_) => None,
        });
        let fields = bodies.flat_map(|body| body.fields);
        fields
            .map(|field| match field.value {
                Value::Text(text) => text,
                other => format!("{other:?}"),
            })
            .collect()
    }

    fn again(&self, grant: &Grant) -> Grant {
        self.test.read(|db| grants::by_id(db, grant.id))
    }

    fn withdraw(&self, grant: &Grant, kept: Kept) {
        let (by, now, id) = (self.test.actor(grant.granted_by), self.test.now(), grant.request_id);
        self.test.write(move |db| {
            let request = asking::by_id(db, id)?;
            withdrawing::withdraw(db, &request, kept, &by, now)
        });
        assert_eq!(self.again(grant).state, GrantState::Ended);
    }

    fn count(&self, table: &str) -> i64 {
        let query = format!("SELECT count(*) AS count FROM {table}");
        self.test.read(|db| Ok(diesel::sql_query(query).get_result::<Count>(db)?.count))
    }

    fn sql(&self, sql: &str) {
        let sql = sql.to_owned();
        self.test.write(move |db: &mut DbConnection| Ok(db.batch_execute(&sql)?));
    }

    fn now(&self) -> UtcTime {
        self.test.now()
    }
}
