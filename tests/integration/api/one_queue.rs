//! Secrets limited to one queue (U-08): whatever their person may do, they reach tickets of that queue and no others.

use accord::access::Actor;
use accord::error::Error;
use accord::people::api_tokens::{self, NewApiToken, Scope};
use accord::people::roles::BuiltinRole;
use accord::search::{self, SearchQuery};
use accord::teams::members;
use accord::teams::queues::{self, QueueKind};
use accord::tickets::listing::{self, View};
use accord::tickets::{Ticket, moving, ticket};
use accord::worker::secret_requests::{self, InClear, Outcome, Request};
use serde_json::{Value, json};

use super::{Program, code_of, json_of};
use crate::support::TestApp;
use crate::support::given::{SEES_ALL, secret_of_a_day};

const TICKETS: &[Scope] = &[Scope::TicketsRead, Scope::TicketsWrite, Scope::TracingRead];

async fn references(program: &Program, query: &str) -> Vec<String> {
    let list = json_of(&program.get(&format!("/api/v1/tickets{query}")).await);
    let items = list["items"].as_array().unwrap();
    items.iter().map(|ticket| ticket["reference"].as_str().unwrap().to_owned()).collect()
}

/// The ticket, moved to the queue of that kind.
fn moved(test: &TestApp, ticket: Ticket, kind: QueueKind) -> Ticket {
    let now = test.now();
    test.write(move |db| {
        let queue = queues::find_by_kind(db, kind)?.unwrap();
        moving::to_queue(db, &ticket, queue.id, &Actor::System, now)?;
        ticket::by_id(db, ticket.id)
    })
}

/// What a program asks about a ticket that it must not know of.
async fn assert_knows_nothing_of(program: &Program, reference: &str, seen: i32) {
    for path in [format!("/api/v1/tickets/{reference}"), format!("/api/v1/tickets/{reference}/messages")] {
        assert_eq!(code_of(&program.get(&path).await, 404), "not_found");
    }
    for body in [json!({ "text": "Voici.", "seen": seen }), json!({ "text": "Voici.", "kind": "note" })] {
        let answer = program.post(&format!("/api/v1/tickets/{reference}/messages"), &body).await;
        assert_eq!(code_of(&answer, 404), "not_found");
    }
}

#[actix_web::test]
async fn a_03_u_08_an_agent_s_program_of_one_queue_reads_and_writes_in_no_other() {
    let test = TestApp::set_up();
    let given = test.given();
    let jean = given.customer("Jean Dupont");
    let hugo = given.staff("Hugo", &[BuiltinRole::Supervisor], &[]);
    let support = given.ticket(&jean, "Sienne", "Texte.");
    let sales = moved(&test, given.ticket(&jean, "Ocre", "Texte."), QueueKind::Sales);
    let queue = test.queue(QueueKind::Sales);
    let whole = test.program(hugo, TICKETS).await;
    assert_eq!(references(&whole, "").await.len(), 2);

    let program = test.program_of_queue(hugo, TICKETS, queue).await;
    assert_eq!(references(&program, "").await, [sales.reference.as_str()]);
    assert_eq!(references(&program, "?queue=support").await, [] as [&str; 0]);
    assert_eq!(references(&program, "?queue=sales").await, [sales.reference.as_str()]);
    assert_eq!(references(&program, &format!("?requester={}", jean.handle)).await, [sales.reference.as_str()]);
    assert_knows_nothing_of(&program, &support.reference, support.message_count).await;
    program.get(&format!("/api/v1/tickets/{}", sales.reference)).await.assert_status(200);
    let answer = json!({ "text": "Voici.", "seen": sales.message_count });
    program.post(&format!("/api/v1/tickets/{}/messages", sales.reference), &answer).await.assert_status(201);

    // What is opened goes to that queue, and to no other.
    let new = |queue: Option<&str>| {
        let mut new = json!({ "subject": "a", "text": "b", "requester": { "handle": jean.handle } });
        new.as_object_mut().unwrap().extend(queue.map(|queue| ("queue".to_owned(), Value::from(queue))));
        new
    };
    assert_eq!(code_of(&program.post("/api/v1/tickets", &new(Some("support"))).await, 422), "invalid");
    let opened = program.post("/api/v1/tickets", &new(None)).await;
    assert_eq!(json_of(opened.assert_status(201))["queue"]["kind"], "sales");
    assert_eq!(references(&program, "").await.len(), 2);
    assert_eq!(references(&whole, "?queue=support").await, [support.reference.as_str()]);

    // A ticket that goes to another queue is out of reach from then on.
    let sales = test.read(|db| ticket::by_id(db, sales.id));
    let gone = moved(&test, sales, QueueKind::Support);
    assert_knows_nothing_of(&program, &gone.reference, gone.message_count).await;
}

#[actix_web::test]
async fn a_03_u_08_a_customer_s_program_of_one_queue_reads_and_writes_in_no_other() {
    let test = TestApp::set_up();
    let given = test.given();
    let atelier = given.organisation("Atelier Durand");
    let jean = given.member("Jean Dupont", atelier.id, SEES_ALL);
    let support = given.ticket(&jean, "Sienne", "Texte.");
    let sales = moved(&test, given.ticket(&jean, "Ocre", "Texte."), QueueKind::Sales);
    let program = test.program_of_queue(jean.id, TICKETS, test.queue(QueueKind::Sales)).await;
    assert_eq!(references(&program, "").await, [sales.reference.as_str()]);
    assert_eq!(references(&program, "?queue=support").await, [] as [&str; 0]);
    assert_knows_nothing_of(&program, &support.reference, support.message_count).await;
    let refused = json!({ "subject": "a", "text": "b", "queue": "support" });
    assert_eq!(code_of(&program.post("/api/v1/tickets", &refused).await, 422), "invalid");
    let opened = program.post("/api/v1/tickets", &json!({ "subject": "a", "text": "b" })).await;
    assert_eq!(json_of(opened.assert_status(201))["queue"]["kind"], "sales");
}

#[actix_web::test]
async fn a_03_u_08_a_secret_opens_nothing_in_a_queue_that_its_agent_left() {
    let test = TestApp::set_up();
    let given = test.given();
    let jean = given.customer("Jean Dupont");
    let agent = given.agent("Bruno", &[QueueKind::Support, QueueKind::Sales]);
    let sales = moved(&test, given.ticket(&jean, "Ocre", "Texte."), QueueKind::Sales);
    let program = test.program_of_queue(agent, TICKETS, test.queue(QueueKind::Sales)).await;
    assert_eq!(references(&program, "").await, [sales.reference.as_str()]);
    let now = test.now();
    test.write(move |db| {
        let queue = queues::find_by_kind(db, QueueKind::Sales)?.unwrap();
        members::remove(db, &queue, agent, None, now)
    });
    assert_eq!(references(&program, "").await, [] as [&str; 0]);
    assert_knows_nothing_of(&program, &sales.reference, sales.message_count).await;
}

#[actix_web::test]
async fn u_08_agents_limit_their_secrets_to_queues_that_they_work_in() {
    let test = TestApp::set_up();
    let bruno = test.given().agent("Bruno", &[QueueKind::Sales]);
    let browser = test.browser_of(bruno).await;
    let queue = |kind| test.read(|db| queues::find_by_kind(db, kind)).unwrap().handle;
    for (kind, status) in [(QueueKind::Sales, 200), (QueueKind::Support, 422)] {
        let queue = queue(kind);
        let offered = browser.get("/account/security").await.text().contains(&format!("value=\"{queue}\""));
        assert_eq!(offered, status == 200, "{kind}");
        let form = [("name", "x"), ("scopes", "tickets:read"), ("queue", queue.as_str()), ("days", "7")];
        browser.post("/account/secrets", &form).await.assert_status(status);
    }
}

#[test]
fn a_04_u_08_search_and_counts_obey_the_queue_too() {
    let test = TestApp::set_up();
    let given = test.given();
    let jean = given.customer("Jean Dupont");
    let agent = given.agent("Bruno", &[QueueKind::Support, QueueKind::Sales]);
    given.ticket(&jean, "Terre de Sienne", "Rien ne sèche.");
    let sales = moved(&test, given.ticket(&jean, "Terre d’ocre", "Rien ne sèche."), QueueKind::Sales);
    test.run_jobs();
    let queue = test.queue(QueueKind::Sales);
    for actor in [test.actor(agent), test.actor(jean.id)] {
        let found = |actor: &Actor| {
            let page = test.read(|db| search::search(db, actor, &SearchQuery::parse("terre"), None, 25));
            page.rows.into_iter().map(|hit| hit.ticket.reference).collect::<Vec<_>>()
        };
        assert_eq!(found(&actor).len(), 2);
        assert_eq!(found(&actor.clone().within(queue)), [sales.reference.as_str()]);
    }
    for person in [agent, given.staff("Hugo", &[BuiltinRole::Supervisor], &[])] {
        let Actor::Staff(whole) = test.actor(person) else { panic!("staff") };
        let Actor::Staff(narrow) = test.actor(person).within(queue) else { panic!("staff") };
        let count = |staff| test.read(|db| listing::count(db, staff, View::All, None));
        assert_eq!((count(&whole), count(&narrow)), (2, 1));
        let page = test.read(|db| listing::page(db, &narrow, View::All, None, None, 25));
        assert_eq!(page.rows.len(), 1);
    }
}

#[test]
fn u_08_a_secret_of_one_queue_is_for_what_lies_in_queues_only() {
    let test = TestApp::set_up();
    let jean = test.given().customer("Jean Dupont");
    let (queue, now) = (test.queue(QueueKind::Sales), test.now());
    for scope in Scope::ALL.iter().filter(|scope| !scope.is_in_queues()) {
        let new = NewApiToken { queue: Some(queue), ..secret_of_a_day(&[Scope::TicketsRead, *scope]) };
        let made = test.app.database.write_now(move |db| api_tokens::create(db, jean.id, &new, now).map(drop));
        let Err(Error::Invalid(errors)) = made else { panic!("{scope}") };
        assert!(errors.of("queue").is_some(), "{scope}");
    }
}

#[test]
fn u_08_whoever_runs_the_machine_makes_secrets_of_one_organisation_and_one_queue() {
    let test = TestApp::set_up();
    let given = test.given();
    let atelier = given.organisation("Atelier Durand");
    let jean = given.member("Jean Dupont", atelier.id, SEES_ALL);
    let now = test.now();
    let ask = |request: Request| test.app.database.write_now(move |db| secret_requests::carry_out(db, &request, now));
    let create = |organisation: &str, queue: &str| Request::Create {
        person: jean.address.clone(),
        name: "Rapport".to_owned(),
        scopes: vec![Scope::TicketsRead],
        organisation: Some(organisation.to_owned()),
        queue: Some(queue.to_owned()),
        days: 7,
    };
    let Ok(Outcome::Created { secret: InClear(secret), .. }) = ask(create(&atelier.handle, "sales")) else {
        panic!("not created")
    };
    let found = test.read(|db| api_tokens::find_by_secret(db, &secret, now)).unwrap();
    assert_eq!(found.queue_id, Some(test.queue(QueueKind::Sales)));
    assert_eq!(found.organisation_id, Some(atelier.id));
    let Ok(Outcome::Listed { secrets }) = ask(Request::List { person: None }) else { panic!("not listed") };
    assert_eq!(secrets[0].organisation.as_deref(), Some("Atelier Durand"));
    assert_eq!(secrets[0].queue.as_deref(), Some("Sales"));
    let ledger = test.read(|db| accord::audit::list(db, None, 1)).remove(0).1.unwrap();
    let handle = test.read(|db| queues::by_id(db, test.queue(QueueKind::Sales))).handle;
    assert!(ledger.contains(&handle), "{ledger}");
    for (wrong, said) in
        [(create("nulle-part", "sales"), "--organisation: "), (create(&atelier.handle, "nulle-part"), "--queue: ")]
    {
        let reason = secret_requests::reason(&ask(wrong).unwrap_err());
        assert!(reason.starts_with(said), "{reason}");
    }
}
