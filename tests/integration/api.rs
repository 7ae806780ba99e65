//! The interface for programs, asked as programs ask it.

mod description;
mod directory;
mod door;
mod one_queue;
mod tickets;
mod tokens;

use accord::db::types::{OrganisationId, PersonId, QueueId};
use accord::people::api_tokens::{self, NewApiToken, Scope};
use actix_web::http::{Method, header};
use actix_web::test::TestRequest;
use serde_json::{Value, json};

use crate::support::TestApp;
use crate::support::browser::{Answered, Browser};

/// A program with a token.
struct Program {
    wire: Browser,
    token: String,
    /// The public name of its secret.
    secret: String,
    person: PersonId,
}

impl TestApp {
    /// A program that acts as `person` with these scopes.
    async fn program(&self, person: PersonId, scopes: &'static [Scope]) -> Program {
        self.limited_program(person, scopes, None, None).await
    }

    /// A program that may do whatever `person` may.
    async fn able_program(&self, person: PersonId) -> Program {
        self.program(person, &EVERYTHING).await
    }

    /// The same for what belongs to one organisation.
    async fn program_of(&self, person: PersonId, scopes: &'static [Scope], organisation: OrganisationId) -> Program {
        self.limited_program(person, scopes, Some(organisation), None).await
    }

    /// The same for what lies in one queue.
    async fn program_of_queue(&self, person: PersonId, scopes: &'static [Scope], queue: QueueId) -> Program {
        self.limited_program(person, scopes, None, Some(queue)).await
    }

    async fn limited_program(
        &self,
        person: PersonId,
        scopes: &'static [Scope],
        organisation: Option<OrganisationId>,
        queue: Option<QueueId>,
    ) -> Program {
        let now = self.now();
        let (secret, token) = self.write(move |db| {
            let new = NewApiToken { name: "Test".to_owned(), scopes: scopes.to_vec(), organisation, queue, days: 90 };
            api_tokens::create(db, person, &new, now)
        });
        let wire = self.browser().await;
        let answer = exchange(&wire, token.expose()).await;
        answer.assert_status(200);
        let token = json_of(&answer)["token"].as_str().unwrap().to_owned();
        Program { wire, token, secret: secret.handle, person }
    }
}

/// Every scope but handing over mail, which customers cannot have.
const EVERYTHING: [Scope; 9] = [
    Scope::TicketsRead,
    Scope::TicketsWrite,
    Scope::PeopleRead,
    Scope::PeopleWrite,
    Scope::OrganisationsRead,
    Scope::OrganisationsWrite,
    Scope::EnvironmentsRead,
    Scope::EnvironmentsWrite,
    Scope::TracingRead,
];

impl Program {
    async fn get(&self, path: &str) -> Answered {
        self.wire.send(self.request(Method::GET, path)).await
    }

    async fn post(&self, path: &str, body: &Value) -> Answered {
        self.wire.send(self.request(Method::POST, path).set_json(body)).await
    }

    async fn post_once(&self, path: &str, key: &str, body: &Value) -> Answered {
        self.wire.send(self.request(Method::POST, path).insert_header(("idempotency-key", key)).set_json(body)).await
    }

    /// Any bytes as a body of JSON.
    async fn post_raw(&self, path: &str, body: &[u8]) -> Answered {
        let request = self.request(Method::POST, path).insert_header((header::CONTENT_TYPE, "application/json"));
        self.wire.send(request.set_payload(body.to_vec())).await
    }

    fn request(&self, method: Method, path: &str) -> TestRequest {
        TestRequest::default()
            .method(method)
            .uri(path)
            .insert_header((header::AUTHORIZATION, format!("Bearer {}", self.token)))
    }
}

async fn exchange(wire: &Browser, secret: &str) -> Answered {
    wire.send(TestRequest::post().uri("/api/v1/token").set_json(json!({ "secret": secret }))).await
}

fn json_of(answer: &Answered) -> Value {
    assert_eq!(answer.header("content-type"), Some("application/json"), "{}", answer.text());
    serde_json::from_slice(&answer.bytes).unwrap()
}

/// The stable code of a failure of that status.
fn code_of(answer: &Answered, status: u16) -> String {
    answer.assert_status(status);
    let body = json_of(answer);
    assert!(body["message"].as_str().is_some_and(|message| !message.is_empty()), "{body}");
    body["code"].as_str().unwrap().to_owned()
}
