//! Who is let in with what, and how refusals are said: by the rules of the OpenTelemetry protocol.

use actix_web::http::Method;
use actix_web::web::Bytes;
use data_encoding::BASE64URL_NOPAD;
use ed25519_dalek::{Signature, VerifyingKey};
use futures_util::StreamExt;
use futures_util::future::{Either, join_all, select};
use futures_util::stream;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use serde_json::{Value, json};

use super::*;

/// The status and the number that gRPC has for a failure, the same in both encodings.
async fn refused(desk: &Desk, status: u16, code: i32, make: impl Fn(&str) -> TestRequest) -> Answered {
    let json = desk.wire.send(make("application/json")).await;
    json.assert_status(status);
    assert_eq!(json.header("content-type"), Some("application/json"));
    let body: Value = serde_json::from_slice(&json.bytes).unwrap();
    assert_eq!(body["code"], code, "{body}");
    let binary = desk.wire.send(make(PROTOBUF)).await;
    binary.assert_status(status);
    assert_eq!(binary.header("content-type"), Some(PROTOBUF));
    let body = Status::decode(binary.bytes.as_slice()).unwrap();
    assert_eq!(body.code, code);
    assert!(!body.message.is_empty());
    assert!(!json.has_retry() || matches!(status, 429 | 503), "only these may be sent again");
    binary
}

impl Answered {
    fn has_retry(&self) -> bool {
        self.header("retry-after").is_some()
    }
}

#[actix_web::test]
async fn u_07_a_grant_token_is_made_for_whoever_holds_the_grant_and_kept_nowhere() {
    let desk = Desk::begin().await;
    let grant = desk.grant();
    let page = desk.page(&grant);
    let claire = desk.test.signed_in(desk.cast.claire).await;
    claire.get(&page).await.assert_says("Créer un jeton");
    let made = claire.post(&format!("{page}/token"), &[]).await;
    made.assert_status(200).assert_says("Python").assert_says(".NET").assert_says("Bearer%20eyJ");
    assert_eq!(made.header("cache-control"), Some("no-store"));
    let token = desk.token(&grant).await;
    let payload = BASE64URL_NOPAD.decode(token.split('.').nth(1).unwrap().as_bytes()).unwrap();
    let claims: Value = serde_json::from_slice(&payload).unwrap();
    let now = desk.test.now().seconds();
    let expected = json!({
        "typ": "otlp", "iss": "http://desk.example", "aud": "accord-otlp", "sub": desk.cast.arnaud_handle,
        "jti": grant.handle, "gv": grant.version, "iat": now, "nbf": now, "exp": grant.expires_at.seconds(),
    });
    assert_eq!(claims, expected);
    // What is on record is that it was made.
    let made: i64 = desk.test.read(|db| {
        use diesel::prelude::*;
        let ledger = accord::db::schema::audit_ledger::table;
        let of_tokens = ledger.filter(accord::db::schema::audit_ledger::kind.eq("grant_token_created"));
        Ok(of_tokens.count().get_result(db)?)
    });
    assert_eq!(made, 2);
    if let accord::config::database::DatabaseUrl::Sqlite(path) = desk.test.app.database.url() {
        for file in [path.clone(), path.with_extension("sqlite-wal")] {
            let bytes = std::fs::read(file).unwrap_or_default();
            let signature = token.rsplit('.').next().unwrap().as_bytes();
            assert!(!bytes.windows(40).any(|window| window == &signature[..40]));
        }
    }
    // Nobody else, and nothing when there is nothing for products in it, or it is over.
    let lea = desk.test.signed_in(desk.cast.lea).await;
    lea.post(&format!("{page}/token"), &[]).await.assert_status(403);
    let paul = desk.test.signed_in(desk.cast.paul).await;
    assert!(matches!(paul.post(&format!("{page}/token"), &[]).await.status.as_u16(), 403 | 404));
    desk.withdraw(&grant, Kept::No);
    claire.post(&format!("{page}/token"), &[]).await.assert_status(409);
    claire.get(&page).await.assert_silent_about("Créer un jeton");
    let of_pages = desk.grant_parts(desk.cast.claire, Subject::Organisation, &[Component::Pages], "");
    claire.post(&format!("{}/token", desk.page(&of_pages)), &[]).await.assert_status(409);
}

#[actix_web::test]
async fn u_07_anybody_can_check_a_grant_token_with_the_published_keys() {
    let desk = Desk::begin().await;
    let token = desk.token(&desk.grant()).await;
    let answer = desk.wire.get("/.well-known/jwks.json").await;
    answer.assert_status(200);
    let keys: Value = serde_json::from_slice(&answer.bytes).unwrap();
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let head = BASE64URL_NOPAD.decode(token.split('.').next().unwrap().as_bytes()).unwrap();
    let head: Value = serde_json::from_slice(&head).unwrap();
    let key = keys["keys"].as_array().unwrap().iter().find(|key| key["kid"] == head["kid"]).unwrap();
    assert_eq!((&key["kty"], &key["crv"], &key["alg"]), (&json!("OKP"), &json!("Ed25519"), &json!("EdDSA")));
    let public = BASE64URL_NOPAD.decode(key["x"].as_str().unwrap().as_bytes()).unwrap();
    let public = VerifyingKey::from_bytes(&public.try_into().unwrap()).unwrap();
    let signature = BASE64URL_NOPAD.decode(signature.as_bytes()).unwrap();
    public.verify_strict(signed.as_bytes(), &Signature::from_slice(&signature).unwrap()).unwrap();
}

#[actix_web::test]
async fn u_07_without_a_good_token_nothing_is_looked_at_and_it_is_said_once_and_for_all() {
    let desk = Desk::begin().await;
    let grant = desk.grant();
    let token = desk.token(&grant).await;
    let api_like = format!("{}.{}", token.rsplit_once('.').unwrap().0, BASE64URL_NOPAD.encode(&[7; 64]));
    for bad in ["", "x", "a.b.c", api_like.as_str(), "acc_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"] {
        // So large that reading it would be answered otherwise.
        let body = vec![0; 5 << 20];
        let answer = refused(&desk, 401, 16, |kind| post(bad, kind).set_payload(body.clone())).await;
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    }
    let bare = |kind: &str| TestRequest::post().uri("/v1/traces").insert_header((header::CONTENT_TYPE, kind));
    refused(&desk, 401, 16, bare).await;
    let two = |kind: &str| post(&token, kind).append_header((header::AUTHORIZATION, format!("Bearer {token}")));
    refused(&desk, 401, 16, two).await;
    let before = desk.test.app.products.refusals();
    desk.send("a.b.c", Vec::new()).await.assert_status(401);
    assert_eq!(desk.test.app.products.refusals(), before + 1, "by memory alone");
    // A space as some SDKs leave it in their settings.
    let encoded = TestRequest::post()
        .uri("/otlp/v1/traces")
        .insert_header((header::AUTHORIZATION, format!("Bearer%20{token}")))
        .insert_header((header::CONTENT_TYPE, PROTOBUF));
    desk.wire.send(encoded).await.assert_status(200);
    desk.test.clock.advance(TimeDelta::minutes(50));
    refused(&desk, 401, 16, |kind| post(&token, kind)).await;
}

#[actix_web::test]
async fn a_grant_that_is_over_is_looked_up_once_and_refused_ever_after() {
    let desk = Desk::begin().await;
    let grant = desk.grant();
    let token = desk.token(&grant).await;
    desk.send(&token, vec![desk.span(1)]).await.assert_status(200);
    desk.withdraw(&grant, Kept::UntilItsDate);
    refused(&desk, 403, 7, |kind| post(&token, kind)).await;
    assert!(desk.test.app.products.refusals() > 0);
    assert_eq!(desk.read(&grant).len(), 1);
}

#[actix_web::test]
async fn forms_that_are_not_of_the_protocol_are_refused_by_its_rules() {
    let desk = Desk::begin().await;
    let token = desk.token(&desk.grant()).await;
    let other = desk.wire.send(post(&token, "text/plain")).await;
    other.assert_status(415);
    let packed = |kind: &str| post(&token, kind).insert_header((header::CONTENT_ENCODING, "br"));
    refused(&desk, 415, 3, packed).await;
    let read = |kind: &str| post(&token, kind).method(Method::GET);
    refused(&desk, 405, 12, read).await;
    refused(&desk, 400, 3, |kind| post(&token, kind).set_payload(vec![0xff; 100])).await;
    let long = vec![0; (4 << 20) + 1];
    refused(&desk, 413, 3, |kind| post(&token, kind).set_payload(long.clone())).await;
    let bomb = zipped(&vec![0; 64 << 20]);
    assert!(bomb.len() < 1 << 20);
    let gzip = |kind: &str| post(&token, kind).insert_header((header::CONTENT_ENCODING, "gzip"));
    refused(&desk, 413, 3, |kind| gzip(kind).set_payload(bomb.clone())).await;
    refused(&desk, 400, 3, |kind| gzip(kind).set_payload(b"no gzip at all".to_vec())).await;
}

#[actix_web::test]
async fn what_is_taken_is_answered_in_the_form_of_the_request() {
    let desk = Desk::begin().await;
    let token = desk.token(&desk.grant()).await;
    let empty = desk.send(&token, Vec::new()).await;
    empty.assert_status(200);
    assert_eq!((empty.header("content-type"), empty.bytes.len()), (Some(PROTOBUF), 0));
    let nothing = desk.send_bytes(&token, PROTOBUF, Vec::new()).await;
    nothing.assert_status(200);
    let json = desk.send_bytes(&token, "application/json; charset=utf-8", b"{}".to_vec()).await;
    json.assert_status(200);
    assert_eq!((json.header("content-type"), json.text().as_str()), (Some("application/json"), "{}"));
    // Some are refused, the rest is kept, and it is not to be sent again.
    let early = Span { start_time_unix_nano: 1, ..desk.span(2) };
    let body = request(vec![desk.span(1), early, Span::default()]);
    let binary = desk.send_bytes(&token, PROTOBUF, body.encode_to_vec()).await;
    let partial = ExportTraceServiceResponse::decode(binary.bytes.as_slice()).unwrap().partial_success.unwrap();
    assert_eq!(partial.rejected_spans, 2);
    assert_eq!(
        partial.error_message,
        "Spans not taken: 1 not inside the time of the grant; 1 without proper ids, or too long."
    );
    let json = desk.send_bytes(&token, "application/json", serde_json::to_vec(&body).unwrap()).await;
    let json: Value = serde_json::from_slice(&json.bytes).unwrap();
    assert_eq!(json["partialSuccess"]["rejectedSpans"], "2", "64 bits are text in this JSON");
    let packed = zipped(&request(vec![desk.span(3)]).encode_to_vec());
    let packed = post(&token, PROTOBUF).insert_header((header::CONTENT_ENCODING, "gzip")).set_payload(packed);
    let packed = desk.wire.send(packed).await;
    packed.assert_status(200);
    assert!(packed.bytes.is_empty());
}

#[actix_web::test]
async fn a_grant_that_sends_too_much_is_told_when_to_come_again() {
    let desk = Desk::begin().await;
    let token = desk.token(&desk.grant()).await;
    // A field that nobody knows, of nearly four megabytes.
    let mut padded = vec![0x7a];
    prost::encoding::encode_varint((4 << 20) - 16, &mut padded);
    padded.resize(padded.len() + (4 << 20) - 16, 0);
    let packed = zipped(&padded);
    let send = || post(&token, PROTOBUF).insert_header((header::CONTENT_ENCODING, "gzip")).set_payload(packed.clone());
    for _ in 0..17 {
        desk.wire.send(send()).await.assert_status(200);
    }
    let answer = refused(&desk, 429, 8, |kind| post(&token, kind)).await;
    assert_eq!(answer.header("retry-after"), Some("1"));
    desk.test.clock.advance(TimeDelta::seconds(1));
    desk.wire.send(send()).await.assert_status(200);
}

/// CN-03: what cannot be kept is not taken, and may be sent again.
#[actix_web::test]
async fn cn_03_when_the_database_fails_products_are_told_to_come_again() {
    let desk = Desk::begin().await;
    let grant = desk.grant();
    let token = desk.token(&grant).await;
    let sql = |sql: &'static str| {
        use diesel::connection::SimpleConnection;
        desk.test.write(move |db| Ok(db.batch_execute(sql)?));
    };
    sql("ALTER TABLE trace_chunks RENAME TO trace_chunks_away");
    let answer = desk.send(&token, vec![desk.span(1)]).await;
    answer.assert_status(503);
    assert!(answer.has_retry());
    assert_eq!(Status::decode(answer.bytes.as_slice()).unwrap().code, 14);
    sql("ALTER TABLE trace_chunks_away RENAME TO trace_chunks");
    assert_eq!(desk.read(&grant).len(), 0);
    desk.send(&token, vec![desk.span(1)]).await.assert_status(200);
    assert_eq!(desk.read(&grant).len(), 1);
}

/// Whoever sends slowly keeps their own grant's places, and nobody else's.
#[actix_web::test]
async fn slow_bodies_of_some_grants_keep_no_other_waiting() {
    let desk = Desk::begin().await;
    let arnaud = desk.grant_of(desk.cast.claire, Subject::Organisation, "");
    let brun = desk.grant_of(desk.cast.zoe, Subject::Organisation, "");
    let paul = desk.grant_of(desk.cast.paul, Subject::Person(desk.cast.paul), "");
    desk.test.clock.advance(TimeDelta::minutes(10));
    let (of_arnaud, of_brun, of_paul) = (desk.token(&arnaud).await, desk.token(&brun).await, desk.token(&paul).await);
    let slow = |token: &str| {
        let body = stream::iter([Ok(Bytes::from_static(b"\x0a"))]).chain(stream::pending()).boxed_local();
        desk.wire.send_trickling(post(token, PROTOBUF), body)
    };
    let slow = join_all((0..4).flat_map(|_| [slow(&of_arnaud), slow(&of_brun)]));
    let others = async {
        // As many are inside as the two grants may have.
        for token in [&of_arnaud, &of_brun] {
            while desk.send(token, Vec::new()).await.status != 429 {
                tokio::task::yield_now().await;
            }
        }
        for _ in 0..10 {
            desk.send(&of_paul, Vec::new()).await.assert_status(200);
        }
    };
    let Either::Right(_) = select(std::pin::pin!(slow), std::pin::pin!(others)).await else {
        panic!("a body without end came to its end");
    };
}
