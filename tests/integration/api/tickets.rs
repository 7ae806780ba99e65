//! Tickets and their messages by programs: who sees what, and that nothing is done twice.

use accord::access::Actor;
use accord::i18n::Locale;
use accord::mail::address::EmailAddress;
use accord::people::api_tokens::Scope;
use accord::people::person::{self, Origin};
use accord::teams::mailboxes::{self, ClosedTickets, MailboxDescription};
use accord::teams::queues::QueueKind;
use accord::tickets::status::{self, Status};
use accord::tickets::ticket;
use chrono::TimeDelta;
use serde_json::{Value, json};

use super::{Program, code_of, json_of};
use crate::support::TestApp;
use crate::support::given::{SEES_ALL, share_tickets};

fn new_ticket() -> Value {
    json!({ "subject": "Imprimante", "text": "Elle n’imprime plus." })
}

async fn subjects(program: &Program, query: &str) -> Vec<String> {
    let list = json_of(program.get(&format!("/api/v1/tickets{query}")).await.assert_status(200));
    let items = list["items"].as_array().unwrap().iter();
    items.map(|item| item["subject"].as_str().unwrap().to_owned()).collect()
}

#[actix_web::test]
async fn a_customer_s_program_opens_reads_and_answers_a_ticket() {
    let test = TestApp::set_up();
    let jean = test.given().customer("Jean Dupont");
    let program = test.able_program(jean.id).await;
    let opened = program.post("/api/v1/tickets", &new_ticket()).await;
    opened.assert_status(201);
    let ticket = json_of(&opened);
    let reference = ticket["reference"].as_str().unwrap();
    assert_eq!(opened.header("location"), Some(format!("/api/v1/tickets/{reference}").as_str()));
    assert_eq!(ticket["status"], "waiting_for_us");
    assert_eq!(ticket["channel"], "api");
    assert_eq!(ticket["queue"]["kind"], "support");
    assert_eq!(ticket["requester"]["address"], "jeandupont@client.example");
    for for_staff in ["assignee", "tags", "message_count", "version"] {
        assert!(ticket.get(for_staff).is_none(), "{for_staff}");
    }
    assert_eq!(json_of(&program.get(&format!("/api/v1/tickets/{reference}")).await), ticket);
    let messages = format!("/api/v1/tickets/{reference}/messages");
    let said = program.post(&messages, &json!({ "text": "Toujours rien." })).await;
    said.assert_status(201);
    let list = json_of(&program.get(&messages).await);
    let texts: Vec<&str> =
        list["items"].as_array().unwrap().iter().map(|item| item["text"].as_str().unwrap()).collect();
    assert_eq!(texts, ["Elle n’imprime plus.", "Toujours rien."]);
    assert_eq!(list["items"][1]["kind"], "customer");
    let lower = format!("/api/v1/tickets/{}", reference.to_lowercase());
    program.get(&lower).await.assert_status(200);
}

#[actix_web::test]
async fn an_agent_s_program_opens_for_somebody_and_replies() {
    let test = TestApp::set_up();
    let given = test.given();
    let agent = given.agent("Bruno", &[QueueKind::Support]);
    let program = test.able_program(agent).await;
    let new = json!({
        "subject": "Alarme", "text": "Le disque est plein.", "priority": "high", "tags": ["Disque", "auto"],
        "requester": { "address": "nouvelle@cliente.example", "name": "Nour Elle" }, "language": "en",
    });
    let ticket = json_of(program.post("/api/v1/tickets", &new).await.assert_status(201));
    assert_eq!(ticket["requester"]["name"], "Nour Elle");
    assert_eq!(ticket["priority"], "high");
    assert_eq!(ticket["language"], "en");
    assert_eq!(ticket["tags"], json!(["auto", "disque"]));
    assert_eq!(ticket["message_count"], 1);
    let messages = format!("/api/v1/tickets/{}/messages", ticket["reference"].as_str().unwrap());
    let unseen = program.post(&messages, &json!({ "text": "Bonjour." })).await;
    assert_eq!(code_of(&unseen, 422), "invalid");
    assert_eq!(json_of(&unseen)["fields"]["seen"]["code"], "api-seen-required");
    let note = json_of(program.post(&messages, &json!({ "text": "À voir.", "kind": "note" })).await.assert_status(201));
    assert_eq!(note["staff_only"], true);
    let stale = program.post(&messages, &json!({ "text": "Bonjour.", "seen": 1 })).await;
    assert_eq!(code_of(&stale, 409), "conflict");
    let reply = json!({ "text": "C’est **réglé**.", "seen": 2, "status": "closed" });
    let reply = json_of(program.post(&messages, &reply).await.assert_status(201));
    assert_eq!(reply["kind"], "agent");
    let ticket = json_of(&program.get(messages.strip_suffix("/messages").unwrap()).await);
    assert_eq!(ticket["status"], "closed");
    assert_eq!(ticket["message_count"], 3);
}

#[actix_web::test]
async fn adv_27_a_03_a_program_sees_what_its_person_sees_on_the_pages() {
    let test = TestApp::set_up();
    let given = test.given();
    let (atelier, other) = (given.organisation("Atelier Durand"), given.organisation("Autre SARL"));
    share_tickets(&test, &atelier);
    let jean = given.member("Jean Dupont", atelier.id, SEES_ALL);
    let lucie = given.member("Lucie Petit", atelier.id, SEES_ALL);
    let omar = given.member("Omar Benali", other.id, SEES_ALL);
    let agent = given.agent("Bruno", &[QueueKind::Support]);
    let elsewhere = given.agent("Sophie", &[QueueKind::Billing]);
    let anne = given.staff("Hugo", &[accord::people::roles::BuiltinRole::Administrator], &[]);
    let ticket = given.ticket(&jean, "Sauvegarde", "Elle échoue.");
    let path = format!("/api/v1/tickets/{}", ticket.reference);
    let unknown = "/api/v1/tickets/ACC-0000000000";
    for seeing in [jean.id, lucie.id, agent] {
        let program = test.able_program(seeing).await;
        assert_eq!(subjects(&program, "").await, ["Sauvegarde"]);
        program.get(&path).await.assert_status(200);
    }
    for blind in [omar.id, elsewhere, anne] {
        let program = test.able_program(blind).await;
        assert!(subjects(&program, "").await.is_empty());
        let foreign = program.get(&path).await;
        assert_eq!(code_of(&foreign, 404), "not_found");
        assert_eq!(foreign.bytes, program.get(unknown).await.bytes, "T-02");
        program.get(&format!("{path}/messages")).await.assert_status(404);
        program.post(&format!("{path}/messages"), &json!({ "text": "Ah", "seen": 1 })).await.assert_status(404);
    }
    let listed = test.read(|db| {
        let ticket = accord::tickets::ticket::by_id(db, ticket.id)?;
        Ok(ticket.message_count)
    });
    assert_eq!(listed, 1, "nobody said anything");
}

#[actix_web::test]
async fn a_06_a_customer_s_program_learns_nothing_of_notes() {
    let test = TestApp::set_up();
    let given = test.given();
    let jean = given.customer("Jean Dupont");
    let agent = given.agent("Bruno", &[QueueKind::Support]);
    let ticket = given.ticket(&jean, "Sauvegarde", "Elle échoue.");
    let program = test.able_program(jean.id).await;
    let path = format!("/api/v1/tickets/{}", ticket.reference);
    let everything = async || {
        let mut seen = Vec::new();
        for path in ["/api/v1/tickets".to_owned(), path.clone(), format!("{path}/messages")] {
            seen.push(program.get(&path).await.text());
        }
        seen
    };
    let before = everything().await;
    test.clock.advance(TimeDelta::minutes(1));
    given.note(&ticket, agent, "canari");
    assert_eq!(everything().await, before);
    let staff = test.able_program(agent).await;
    staff.get(&format!("{path}/messages")).await.assert_says("canari");
}

#[actix_web::test]
async fn lists_are_narrowed_and_paged_without_gaps() {
    let test = TestApp::set_up();
    let given = test.given();
    let atelier = given.organisation("Atelier Durand");
    let jean = given.member("Jean Dupont", atelier.id, SEES_ALL);
    let claire = given.customer("Claire Lefèvre");
    let agent = given.agent("Bruno", &[QueueKind::Support]);
    for number in 0..7 {
        let of = if number % 2 == 0 { &jean } else { &claire };
        given.ticket(of, &format!("Demande {number}"), "Texte.");
        test.clock.advance(TimeDelta::minutes(1));
    }
    for person in [agent, jean.id] {
        let program = test.able_program(person).await;
        let expected = subjects(&program, "?limit=100").await;
        let (mut listed, mut cursor) = (Vec::new(), String::new());
        for _ in 0..5 {
            let page = json_of(&program.get(&format!("/api/v1/tickets?limit=2{cursor}")).await);
            let items = page["items"].as_array().unwrap();
            listed.extend(items.iter().map(|item| item["subject"].as_str().unwrap().to_owned()));
            let Some(next) = page["next"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(listed, expected);
        assert_eq!(listed[0], "Demande 6", "the latest change first");
    }
    let program = test.able_program(agent).await;
    let jean_s = ["Demande 6", "Demande 4", "Demande 2", "Demande 0"];
    assert_eq!(subjects(&program, &format!("?requester={}", jean.handle)).await, jean_s);
    assert_eq!(subjects(&program, &format!("?organisation={}", atelier.handle)).await, jean_s);
    assert_eq!(subjects(&program, "?status=closed").await, Vec::<String>::new());
    assert_eq!(subjects(&program, "?status=closed&status=waiting_for_us&limit=1").await, ["Demande 6"]);
    assert_eq!(subjects(&program, "?queue=billing").await, Vec::<String>::new());
    assert_eq!(subjects(&program, "?queue=nothing&organisation=nobody").await, Vec::<String>::new());
    let since = test.now().minus(TimeDelta::minutes(2)).rfc3339();
    let since = url::form_urlencoded::byte_serialize(since.as_bytes()).collect::<String>();
    assert_eq!(subjects(&program, &format!("?updated_since={since}")).await, ["Demande 6", "Demande 5"]);
    for wrong in [
        "?limit=0",
        "?limit=101",
        "?limit=x",
        "?cursor=x",
        "?status=odd",
        "?updated_since=x",
        "?id=1",
        "?limit=1&limit=2",
    ] {
        assert_eq!(
            code_of(&program.get(&format!("/api/v1/tickets{wrong}")).await, 400),
            "invalid_parameter",
            "{wrong}"
        );
    }
}

#[actix_web::test]
async fn x_02_the_same_key_with_the_same_body_gives_the_same_ticket() {
    let test = TestApp::set_up();
    let jean = test.given().customer("Jean Dupont");
    let program = test.able_program(jean.id).await;
    let first = program.post_once("/api/v1/tickets", "one", &new_ticket()).await;
    first.assert_status(201);
    for _ in 0..5 {
        let again = program.post_once("/api/v1/tickets", "one", &new_ticket()).await;
        again.assert_status(201);
        assert_eq!((&again.bytes, again.header("location")), (&first.bytes, first.header("location")));
    }
    assert_eq!(subjects(&program, "").await.len(), 1);
    let other = json!({ "subject": "Autre", "text": "Autre." });
    let reused = program.post_once("/api/v1/tickets", "one", &other).await;
    assert_eq!(code_of(&reused, 422), "idempotency_key_reused");
    program.post_once("/api/v1/tickets", "two", &new_ticket()).await.assert_status(201);
    assert_eq!(subjects(&program, "").await.len(), 2);
    // What failed may be sent again, corrected, with the same key.
    let wrong = json!({ "subject": "", "text": "" });
    program.post_once("/api/v1/tickets", "three", &wrong).await.assert_status(422);
    program.post_once("/api/v1/tickets", "three", &new_ticket()).await.assert_status(201);
    let long = "x".repeat(201);
    for key in ["", " ", "é", long.as_str()] {
        let refused = program.post_once("/api/v1/tickets", key, &new_ticket()).await;
        assert_eq!(code_of(&refused, 400), "invalid_idempotency_key", "{key:?}");
    }
}

#[actix_web::test]
async fn what_stands_for_the_address_of_who_has_none_is_in_no_answer() {
    let test = TestApp::set_up();
    let now = test.now();
    let odette = test.write(move |db| {
        let address = EmailAddress::nowhere("odette").unwrap();
        person::find_or_create_by_address(db, &address, "Odette Lacaze", Origin::Staff, Locale::Fr, now)
    });
    let agent = test.given().agent("Bruno", &[QueueKind::Support]);
    let ticket = test.given().ticket(&odette, "Facture", "Elle n'est pas arrivée.");
    let path = format!("/api/v1/tickets/{}", ticket.reference);
    let (hers, staff) = (test.able_program(odette.id).await, test.able_program(agent).await);
    let said = hers.post(&format!("{path}/messages"), &json!({ "text": "Toujours pas." })).await;
    assert_eq!(json_of(said.assert_status(201))["address"], "");
    for program in [&hers, &staff] {
        for path in [path.clone(), format!("{path}/messages"), "/api/v1/tickets".to_owned()] {
            program.get(&path).await.assert_status(200).assert_silent_about(".invalid");
        }
    }
}

#[actix_web::test]
async fn x_02_two_secrets_of_one_person_do_not_share_a_key() {
    let test = TestApp::set_up();
    let jean = test.given().customer("Jean Dupont");
    let (one, other) = (test.able_program(jean.id).await, test.able_program(jean.id).await);
    let mut answers = Vec::new();
    for program in [&one, &other, &one, &other] {
        let answer = program.post_once("/api/v1/tickets", "one", &new_ticket()).await;
        answer.assert_status(201);
        answers.push(answer.bytes);
    }
    assert_ne!(answers[0], answers[1]);
    assert_eq!(answers[..2], answers[2..], "each gets its own first answer again");
    assert_eq!(subjects(&one, "").await.len(), 2);
}

#[actix_web::test]
async fn x_02_fifty_requests_at_once_make_one_message() {
    let test = TestApp::set_up();
    let given = test.given();
    let jean = given.customer("Jean Dupont");
    let agent = given.agent("Bruno", &[QueueKind::Support]);
    let ticket = given.ticket(&jean, "Sauvegarde", "Elle échoue.");
    test.run_jobs();
    let program = test.able_program(agent).await;
    let path = format!("/api/v1/tickets/{}/messages", ticket.reference);
    let reply = json!({ "text": "Réponse.", "seen": 1 });
    let requests = (0..50).map(|_| program.post_once(&path, "reply", &reply));
    let answers = futures_util::future::join_all(requests).await;
    assert!(answers.iter().all(|answer| answer.status.as_u16() == 201 && answer.bytes == answers[0].bytes));
    assert_eq!(json_of(&program.get(&path).await)["items"].as_array().unwrap().len(), 2);
}

#[actix_web::test]
async fn what_is_wrong_with_a_ticket_is_said_by_field() {
    let test = TestApp::set_up();
    let given = test.given();
    let jean = given.customer("Jean Dupont");
    let agent = given.agent("Bruno", &[QueueKind::Support]);
    let customer = test.able_program(jean.id).await;
    let staff = test.able_program(agent).await;
    let fields = async |program: &Program, body: Value| -> Vec<String> {
        let answer = program.post("/api/v1/tickets", &body).await;
        assert_eq!(code_of(&answer, 422), "invalid", "{body}");
        json_of(&answer)["fields"].as_object().unwrap().keys().cloned().collect()
    };
    assert_eq!(fields(&customer, json!({})).await, ["subject", "text"]);
    assert_eq!(
        fields(
            &customer,
            json!({ "subject": "a", "text": "b", "priority": "high", "tags": ["x"], "queue": "no",
            "language": "de", "requester": { "address": "other@client.example" } })
        )
        .await,
        ["language", "priority", "queue", "requester", "tags"]
    );
    assert_eq!(fields(&customer, json!({ "subject": "a", "text": "b", "queue": "intervention" })).await, ["site"]);
    assert_eq!(
        fields(&customer, json!({ "subject": "a", "text": "b", "site": "x", "environment": "y" })).await,
        ["environment", "site"]
    );
    assert_eq!(fields(&customer, json!({ "subject": "a", "text": "b", "organisation": "x" })).await, ["organisation"]);
    assert_eq!(fields(&staff, json!({ "subject": "a", "text": "b" })).await, ["requester"]);
    let nowhere = json!({ "address": "x@no-address.invalid", "name": "x" });
    for requester in
        [json!({}), json!({ "handle": "x" }), json!({ "address": "no address" }), json!({ "name": "x" }), nowhere]
    {
        let body = json!({ "subject": "a", "text": "b", "requester": requester });
        assert_eq!(fields(&staff, body).await, ["requester"]);
    }
    let long = json!({ "subject": "x".repeat(251), "text": "b" });
    assert_eq!(fields(&customer, long).await, ["subject"]);
    let elsewhere = json!({
        "subject": "a", "text": "b", "queue": "billing", "requester": { "handle": jean.handle }
    });
    assert_eq!(code_of(&staff.post("/api/v1/tickets", &elsewhere).await, 403), "forbidden");
    assert!(subjects(&customer, "").await.is_empty());
}

#[actix_web::test]
async fn messages_are_paged_from_the_first() {
    let test = TestApp::set_up();
    let given = test.given();
    let jean = given.customer("Jean Dupont");
    let ticket = given.ticket(&jean, "Sauvegarde", "0");
    for number in 1..5 {
        given.customer_message(&ticket, &number.to_string());
    }
    let program = test.program(jean.id, &[Scope::TicketsRead]).await;
    let path = format!("/api/v1/tickets/{}/messages?limit=2", ticket.reference);
    let (mut texts, mut cursor) = (Vec::new(), String::new());
    for _ in 0..4 {
        let page = json_of(&program.get(&format!("{path}{cursor}")).await);
        texts.extend(page["items"].as_array().unwrap().iter().map(|item| item["text"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(texts, ["0", "1", "2", "3", "4"]);
}

#[actix_web::test]
async fn t_04_a_customer_s_program_that_guesses_references_must_wait() {
    let test = TestApp::set_up();
    let jean = test.given().customer("Jean Dupont");
    let own = test.given().ticket(&jean, "Sienne", "Texte.");
    let program = test.able_program(jean.id).await;
    for _ in 0..30 {
        program.get("/api/v1/tickets/ACC-0000000000").await.assert_status(404);
    }
    assert_eq!(code_of(&program.get("/api/v1/tickets/ACC-0000000000").await, 429), "too_many_requests");
    let path = format!("/api/v1/tickets/{}", own.reference);
    assert_eq!(code_of(&program.get(&path).await, 429), "too_many_requests");
    test.clock.advance(TimeDelta::minutes(2));
    program.get(&path).await.assert_status(200);
}

#[actix_web::test]
async fn t_01_no_internal_number_is_in_any_answer() {
    let test = TestApp::set_up();
    let given = test.given();
    let jean = given.customer("Jean Dupont");
    // Numbers that would be recognised.
    let far = 7_654_321_000_i64;
    test.write(move |db| {
        use diesel::prelude::*;
        for (table, number) in [("tickets", far), ("ticket_messages", far + 1_000), ("people", far + 2_000)] {
            let statement = format!("INSERT INTO sqlite_sequence (name, seq) VALUES ('{table}', {number})");
            if let accord::db::DbConnection::Sqlite(db) = db {
                diesel::sql_query(format!("DELETE FROM sqlite_sequence WHERE name = '{table}'")).execute(db)?;
                diesel::sql_query(statement).execute(db)?;
            }
        }
        Ok(())
    });
    let omar = given.customer("Omar Benali");
    let ticket = given.ticket(&omar, "Sauvegarde", "Elle échoue.");
    let program = test.able_program(omar.id).await;
    let mut answers = vec![program.post("/api/v1/tickets", &new_ticket()).await.text()];
    for path in [
        "/api/v1/tickets?limit=1".to_owned(),
        format!("/api/v1/tickets/{}", ticket.reference),
        format!("/api/v1/tickets/{}/messages", ticket.reference),
        format!("/api/v1/people/{}", omar.handle),
        "/api/v1/organisations".to_owned(),
    ] {
        answers.push(program.get(&path).await.text());
    }
    for answer in answers {
        assert!(!answer.contains("7654321") && !answer.contains("7654322") && !answer.contains("7654323"), "{answer}");
    }
    drop(jean);
}

#[actix_web::test]
async fn d13_what_a_customer_s_program_says_in_a_ticket_that_stays_closed_goes_on_in_another() {
    let test = TestApp::set_up();
    let jean = test.given().customer("Jean Dupont");
    let program = test.able_program(jean.id).await;
    let opened = json_of(program.post("/api/v1/tickets", &new_ticket()).await.assert_status(201));
    let reference = opened["reference"].as_str().unwrap().to_owned();
    let (wanted, now) = (reference.clone(), test.now());
    test.write(move |db| {
        let mailbox = mailboxes::default(db)?;
        let address = EmailAddress::parse(&mailbox.address).unwrap();
        let description = MailboxDescription {
            closed_tickets: ClosedTickets::FollowUp,
            ..MailboxDescription::new(address, &mailbox.display_name, mailbox.queue_id, mailbox.language.0)
        };
        mailboxes::update(db, &mailbox, &description, None, now)?;
        let ticket = ticket::by_reference(db, &Actor::System, &wanted)?;
        status::set(db, &ticket, Status::Closed, &Actor::System, now)
    });
    let messages = format!("/api/v1/tickets/{reference}/messages");
    let mut locations = Vec::new();
    for text in ["Elle n’imprime toujours pas.", "Et elle fume."] {
        let said = program.post(&messages, &json!({ "text": text })).await;
        said.assert_status(201);
        locations.push(said.header("location").unwrap().to_owned());
    }
    assert_ne!(locations[0], messages);
    assert_eq!(locations[0], locations[1], "the second joins the first");
    assert_eq!(json_of(&program.get(&locations[0]).await)["items"].as_array().unwrap().len(), 2);
    assert_eq!(json_of(&program.get(&format!("/api/v1/tickets/{reference}")).await)["status"], "closed");
}
