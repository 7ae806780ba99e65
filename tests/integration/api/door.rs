//! What does not get in: wrong JSON, wrong types, unknown fields, wrong methods; always as JSON with a stable code.

use accord::teams::queues::QueueKind;
use actix_web::http::{Method, header};
use actix_web::test::TestRequest;
use serde_json::json;

use super::{code_of, json_of};
use crate::support::TestApp;

const WRITING: [&str; 5] = [
    "/api/v1/tickets",
    "/api/v1/people",
    "/api/v1/organisations",
    "/api/v1/organisations/x/environments",
    "/api/v1/tickets/ACC-0000000000/messages",
];

#[actix_web::test]
async fn wrong_json_has_a_stable_code() {
    let test = TestApp::set_up();
    let jean = test.given().customer("Jean Dupont");
    let program = test.able_program(jean.id).await;
    let deep = "[".repeat(100_000);
    for body in ["", "{", "nonsense", "{\"subject\":", "{\"subject\":\"a\"}}", "\u{feff}{}", "{'a':1}", &deep] {
        let answer = program.post_raw("/api/v1/tickets", body.as_bytes()).await;
        let code = code_of(&answer, answer.status.as_u16());
        assert!(["malformed_json", "invalid_body"].contains(&code.as_str()), "{body:.20} {code}");
        assert!([400, 422].contains(&answer.status.as_u16()));
    }
    assert_eq!(code_of(&program.post_raw("/api/v1/tickets", b"{\"subject\":\"\xff\"}").await, 400), "malformed_json");
    for body in [
        "[]",
        "null",
        "7",
        "\"x\"",
        "{\"subject\":7}",
        "{\"subject\":null}",
        "{\"tags\":\"x\"}",
        "{\"private\":\"yes\"}",
    ] {
        assert_eq!(code_of(&program.post_raw("/api/v1/tickets", body.as_bytes()).await, 422), "invalid_body", "{body}");
    }
    let twice = br#"{"subject":"a","subject":"b","text":"c"}"#;
    assert_eq!(code_of(&program.post_raw("/api/v1/tickets", twice).await, 400), "unknown_field");
    let large = format!("{{\"text\":\"{}\"}}", "x".repeat(1_100_000));
    assert_eq!(code_of(&program.post_raw("/api/v1/tickets", large.as_bytes()).await, 413), "too_large");
}

#[actix_web::test]
async fn adv_24_a_07_the_name_of_no_column_is_taken() {
    let test = TestApp::set_up();
    let given = test.given();
    let jean = given.customer("Jean Dupont");
    let agent = given.agent("Bruno", &[QueueKind::Support]);
    let columns = [
        "id",
        "organisation_id",
        "requester_id",
        "assignee_id",
        "queue_id",
        "site_id",
        "environment_id",
        "mailbox_id",
        "handle",
        "reference",
        "waiting_since",
        "message_count",
        "version",
        "created_at",
        "updated_at",
        "closed_at",
        "address_confirmed",
        "is_private",
        "channel",
        "person_id",
        "author_id",
        "visibility",
        "from_address",
        "body_text",
        "body_html",
        "ingest_id",
        "mail_id",
        "remark",
        "password",
        "hash",
        "sort_name",
        "state",
        "origin",
        "secret_hash",
        "scopes",
        "permissions",
        "staff_role_id",
        "undertaking_version",
        "is_contact",
        "grants_tracing",
        "account_id",
        "__proto__",
        "constructor",
    ];
    for person in [jean.id, agent] {
        let program = test.able_program(person).await;
        for path in WRITING {
            for column in columns {
                let answer = program.post(path, &json!({ column: 1 })).await;
                assert_eq!(code_of(&answer, 400), "unknown_field", "{path} {column}");
            }
        }
    }
    assert_eq!(json_of(&test.able_program(agent).await.get("/api/v1/tickets").await)["items"], json!([]));
}

#[actix_web::test]
async fn c_01_bodies_of_other_types_are_refused() {
    let test = TestApp::set_up();
    let jean = test.given().customer("Jean Dupont");
    let program = test.able_program(jean.id).await;
    let body = br#"{"subject":"a","text":"b"}"#.to_vec();
    for path in WRITING {
        for media_type in
            ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "", "text/json"]
        {
            let request = program.request(Method::POST, path).insert_header((header::CONTENT_TYPE, media_type));
            let answer = program.wire.send(request.set_payload(body.clone())).await;
            assert_eq!(code_of(&answer, 415), "unsupported_media_type", "{path} {media_type}");
        }
        let compressed = program
            .request(Method::POST, path)
            .insert_header((header::CONTENT_TYPE, "application/json"))
            .insert_header((header::CONTENT_ENCODING, "gzip"));
        assert_eq!(
            code_of(&program.wire.send(compressed.set_payload(body.clone())).await, 415),
            "unsupported_media_type"
        );
    }
}

#[actix_web::test]
async fn every_failure_is_json_in_the_language_asked_for() {
    let test = TestApp::set_up();
    let jean = test.given().customer("Jean Dupont");
    let program = test.able_program(jean.id).await;
    assert_eq!(code_of(&program.get("/api/v1/nothing").await, 404), "not_found");
    assert_eq!(code_of(&program.get("/api/").await, 404), "not_found");
    let deleted = program.wire.send(program.request(Method::DELETE, "/api/v1/tickets")).await;
    assert_eq!(code_of(&deleted, 405), "method_not_allowed");
    let foreign = TestRequest::get().uri("http://evil.example/api/v1/tickets");
    assert_eq!(code_of(&program.wire.send(foreign).await, 421), "misdirected");
    let french = program
        .request(Method::GET, "/api/v1/tickets/ACC-0000000000")
        .insert_header((header::ACCEPT_LANGUAGE, "fr-FR,fr;q=0.9"));
    program.wire.send(french).await.assert_says("Cela n’existe pas");
    program.get("/api/v1/tickets/ACC-0000000000").await.assert_says("This does not exist");
    let answer = program.get("/api/v1/tickets").await;
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
}

#[actix_web::test]
async fn nul_characters_are_dropped_from_texts() {
    let test = TestApp::set_up();
    let jean = test.given().customer("Jean Dupont");
    let program = test.able_program(jean.id).await;
    let body = br#"{"subject":"a\u0000b","text":"c\u0000d"}"#;
    let ticket = json_of(program.post_raw("/api/v1/tickets", body).await.assert_status(201));
    assert_eq!(ticket["subject"], "ab");
}

#[actix_web::test]
async fn adv_35_q_01_hostile_parameters_find_nothing_and_break_nothing() {
    let test = TestApp::set_up();
    let given = test.given();
    let jean = given.customer("Jean Dupont");
    let omar = given.customer("Omar Benali");
    given.ticket(&omar, "Secret", "canari");
    let program = test.able_program(jean.id).await;
    let hostile = [
        "' OR 1=1 --",
        "\" OR \"\"=\"",
        "1) UNION SELECT * FROM people --",
        "%",
        "_",
        "*",
        "\\",
        "{{7*7}}",
        "O:8:\"stdClass\":0:{}",
        "rO0ABXNy",
        "../../etc/passwd",
        "\u{202e}",
        "é\u{0}",
    ];
    for value in hostile {
        let value: String = url::form_urlencoded::byte_serialize(value.as_bytes()).collect();
        for parameter in ["status", "queue", "organisation", "requester", "updated_since", "cursor", "limit", "sort"] {
            let answer = program.get(&format!("/api/v1/tickets?{parameter}={value}")).await;
            assert!([200, 400].contains(&answer.status.as_u16()), "{parameter} {value} {}", answer.status);
            answer.assert_silent_about("canari").assert_silent_about("Secret");
        }
    }
}
