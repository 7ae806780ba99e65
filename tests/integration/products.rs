//! What the operator's products ask and send: tokens of a grant, traces under it, whether to sample, which grants there
//! are. Products are played by requests as their SDKs make them; unmodified SDKs are among the `real` tests.

mod asking;
mod door;
mod kept;
mod sampling;

use std::io::Write;

use accord::consent::asking::{self as questions, Terms};
use accord::consent::granting::{self, Outcome};
use accord::consent::scope::{PurposeCode, Recipients};
use accord::consent::withdrawing::{self, Kept};
use accord::consent::{Component, Grant, Level as Closeness, Scope, Subject, grants};
use accord::db::types::PersonId;
use accord::diagnostics::redaction::Redacted;
use accord::diagnostics::trace_store;
use accord::i18n::Locale;
use accord::people::person;
use actix_web::http::header;
use actix_web::test::TestRequest;
use chrono::TimeDelta;
use flate2::Compression;
use flate2::write::GzEncoder;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;

use crate::support::TestApp;
use crate::support::browser::{Answered, Browser};
use crate::support::cast::Cast;

const PROTOBUF: &str = "application/x-protobuf";

/// An installation with somebody to grant and a wire for products.
struct Desk {
    test: TestApp,
    cast: Cast,
    wire: Browser,
}

/// A failure as both encodings have it.
#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
}

impl Desk {
    async fn begin() -> Desk {
        let (test, cast) = TestApp::with_cast();
        Desk { wire: test.browser().await, test, cast }
    }

    /// `person` grants what Léa asked about `subject`: pages and products, for an hour, kept seven days.
    fn grant_of(&self, person: PersonId, subject: Subject, stop_condition: &str) -> Grant {
        self.grant_parts(person, subject, &[Component::Pages, Component::Products], stop_condition)
    }

    fn grant_parts(&self, person: PersonId, subject: Subject, parts: &[Component], stop_condition: &str) -> Grant {
        let requester = self.test.read(|db| person::by_id(db, person));
        let ticket = self.test.given().ticket(&requester, "Écran noir", "Rien ne s'affiche.");
        let (lea, customer) = (self.test.actor(self.cast.lea), self.test.actor(person));
        let terms = Terms {
            subject,
            purpose: "Comprendre pourquoi l'écran reste noir".to_owned(),
            purpose_code: PurposeCode::Fault,
            scope: Scope::of(parts, Closeness::Info, vec!["invoice.id".to_owned()]),
            duration_minutes: 60,
            retention_days: 7,
            recipients: Recipients::Queue(ticket.queue_id),
            exports_allowed: true,
            stop_condition: stop_condition.to_owned(),
            idle_minutes: None,
        };
        let (app, now) = (self.test.app.clone(), self.test.now());
        let outcome = self.test.write(move |db| {
            let request = questions::ask(db, &ticket, &terms, &lea, now)?;
            let seen = granting::notice_for(db, &request, Locale::Fr)?.sha256;
            granting::grant(db, &app.keys, &request, None, &seen, Locale::Fr, &customer, now)
        });
        let Outcome::Granted(grant) = outcome else { panic!("{outcome:?}") };
        *grant
    }

    /// Claire grants for all of Arnaud, and ten minutes pass.
    fn grant(&self) -> Grant {
        let grant = self.grant_of(self.cast.claire, Subject::Organisation, "");
        self.test.clock.advance(TimeDelta::minutes(10));
        grant
    }

    /// The page of the grant's consent.
    fn page(&self, grant: &Grant) -> String {
        let request = self.test.read(|db| questions::by_id(db, grant.request_id));
        format!("/consents/{}", request.handle)
    }

    /// The token that the grant's page gives to who granted it.
    async fn token(&self, grant: &Grant) -> String {
        let browser = self.test.signed_in(grant.granted_by).await;
        let answer = browser.post(&format!("{}/token", self.page(grant)), &[]).await;
        answer.assert_status(200);
        let text = answer.text();
        let at = text.find("eyJ").unwrap_or_else(|| panic!("no token in\n{text}"));
        text[at..].split('<').next().unwrap().to_owned()
    }

    fn withdraw(&self, grant: &Grant, kept: Kept) {
        let (by, now, id) = (self.test.actor(grant.granted_by), self.test.now(), grant.request_id);
        self.test.write(move |db| {
            let request = questions::by_id(db, id)?;
            withdrawing::withdraw(db, &request, kept, &by, now)
        });
    }

    fn again(&self, grant: &Grant) -> Grant {
        self.test.read(|db| grants::by_id(db, grant.id))
    }

    /// Sends spans as an SDK does.
    async fn send(&self, token: &str, spans: Vec<Span>) -> Answered {
        self.send_bytes(token, PROTOBUF, request(spans).encode_to_vec()).await
    }

    async fn send_bytes(&self, token: &str, media_type: &str, body: Vec<u8>) -> Answered {
        self.wire.send(post(token, media_type).set_payload(body)).await
    }

    fn read(&self, grant: &Grant) -> Vec<Redacted> {
        let app = &self.test.app;
        let chunks = self.test.read(|db| trace_store::read(db, &app.keys, grant, 0, 1_000_000));
        chunks.into_iter().flat_map(|chunk| chunk.records).collect()
    }

    /// A span of that number, in the second that ended just now.
    fn span(&self, id: u64) -> Span {
        let now = u64::try_from(self.test.now().micros()).unwrap() * 1_000;
        Span {
            trace_id: 7_u128.to_be_bytes().to_vec(),
            span_id: id.to_be_bytes().to_vec(),
            name: format!("span {id}"),
            start_time_unix_nano: now - 1_000_000_000,
            end_time_unix_nano: now,
            ..Span::default()
        }
    }
}

fn request(spans: Vec<Span>) -> ExportTraceServiceRequest {
    let resource = Resource { attributes: vec![text("service.name", "billing")], ..Resource::default() };
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans { resource: Some(resource), scope_spans, ..ResourceSpans::default() }],
    }
}

fn text(key: &str, text: &str) -> KeyValue {
    let value = Some(AnyValue { value: Some(Any::StringValue(text.to_owned())) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

fn post(token: &str, media_type: &str) -> TestRequest {
    TestRequest::post()
        .uri("/v1/traces")
        .insert_header((header::AUTHORIZATION, format!("Bearer {token}")))
        .insert_header((header::CONTENT_TYPE, media_type))
}

fn zipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
