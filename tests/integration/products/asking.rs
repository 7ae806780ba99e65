//! `GET /api/v1/tracing/grants`: who is told of which grants, and waiting for the list to change.

use std::time::{Duration, Instant};

use accord::db::types::QueueId;
use accord::people::api_tokens::{self, NewApiToken, Scope as TokenScope};
use accord::teams::queues::QueueKind;
use futures_util::StreamExt;
use futures_util::future::join;
use futures_util::stream::FuturesUnordered;
use serde_json::{Value, json};

use super::*;

const PATH: &str = "/api/v1/tracing/grants";

impl Desk {
    /// A token of the interface that may ask in somebody's name.
    async fn program(&self, person: PersonId) -> String {
        self.program_within(person, None).await
    }

    /// The same, limited to a queue.
    async fn program_within(&self, person: PersonId, queue: Option<QueueId>) -> String {
        let now = self.test.now();
        let (_, secret) = self.test.write(move |db| {
            let scopes = vec![TokenScope::TracingRead];
            let new = NewApiToken { name: "Produit".to_owned(), scopes, organisation: None, queue, days: 90 };
            api_tokens::create(db, person, &new, now)
        });
        let body = json!({ "secret": secret.expose() });
        let answer = self.wire.send(TestRequest::post().uri("/api/v1/token").set_json(body)).await;
        let answer: Value = serde_json::from_slice(&answer.bytes).unwrap();
        answer["token"].as_str().unwrap().to_owned()
    }

    async fn ask(&self, token: &str, path: &str, more: &[(&str, &str)]) -> Answered {
        let mut request =
            TestRequest::get().uri(path).insert_header((header::AUTHORIZATION, format!("Bearer {token}")));
        for (name, value) in more {
            request = request.insert_header((*name, *value));
        }
        self.wire.send(request).await
    }

    async fn handles(&self, token: &str) -> Vec<String> {
        let answer = self.ask(token, PATH, &[]).await;
        answer.assert_status(200);
        let list: Value = serde_json::from_slice(&answer.bytes).unwrap();
        list["items"].as_array().unwrap().iter().map(|item| item["handle"].as_str().unwrap().to_owned()).collect()
    }
}

#[actix_web::test]
async fn each_is_told_of_the_grants_that_concern_them() {
    let desk = Desk::begin().await;
    let of_all = desk.grant();
    let of_paul = desk.grant_of(desk.cast.paul, Subject::Person(desk.cast.paul), "");
    let of_brun = desk.grant_of(desk.cast.zoe, Subject::Organisation, "");
    desk.grant_parts(desk.cast.ivan, Subject::Person(desk.cast.ivan), &[Component::Pages], "");
    let [all, paul, brun] = [&of_all, &of_paul, &of_brun].map(|grant| grant.handle.clone());
    for (person, expected) in [
        (desk.cast.claire, vec![all.clone()]),
        (desk.cast.paul, vec![all.clone(), paul.clone()]),
        (desk.cast.zoe, vec![brun.clone()]),
        (desk.cast.ivan, vec![]),
        // Agents know of what is asked in their queues.
        (desk.cast.lea, vec![all.clone(), paul.clone(), brun.clone()]),
        (desk.cast.marc, vec![]),
        (desk.cast.odile, vec![]),
    ] {
        let token = desk.program(person).await;
        assert_eq!(desk.handles(&token).await, expected, "{person:?}");
    }
    let token = desk.program(desk.cast.paul).await;
    let list: Value = serde_json::from_slice(&desk.ask(&token, PATH, &[]).await.bytes).unwrap();
    let handle = desk.test.read(|db| person::by_id(db, desk.cast.paul)).handle;
    let expected = json!({
        "handle": paul, "organisation": desk.cast.arnaud_handle, "person": handle, "level": "info",
        "attributes": ["invoice.id"], "granted_at": of_paul.granted_at, "expires_at": of_paul.expires_at,
    });
    assert_eq!(list["items"][1], expected);
    desk.ask("x", PATH, &[]).await.assert_status(401);
}

#[actix_web::test]
async fn u_08_a_program_of_one_queue_is_told_of_what_was_granted_there_alone() {
    let desk = Desk::begin().await;
    let granted = desk.grant().handle;
    let asked_in = desk.test.queue(QueueKind::Support);
    for person in [desk.cast.claire, desk.cast.lea] {
        let here = desk.program_within(person, Some(asked_in)).await;
        assert_eq!(desk.handles(&here).await, [granted.as_str()], "{person:?}");
        let elsewhere = desk.program_within(person, Some(desk.test.queue(QueueKind::Sales))).await;
        assert_eq!(desk.handles(&elsewhere).await, [] as [&str; 0], "{person:?}");
    }
}

#[actix_web::test]
async fn a_list_that_is_known_is_not_told_again() {
    let desk = Desk::begin().await;
    let token = desk.program(desk.cast.claire).await;
    let first = desk.ask(&token, PATH, &[]).await;
    let tag = first.header("etag").unwrap().to_owned();
    let same = desk.ask(&token, PATH, &[("if-none-match", &tag)]).await;
    same.assert_status(304);
    assert_eq!((same.header("etag"), same.bytes.len()), (Some(tag.as_str()), 0));
    desk.ask(&token, PATH, &[("if-none-match", "\"another\"")]).await.assert_status(200);
    let grant = desk.grant();
    let changed = desk.ask(&token, PATH, &[("if-none-match", &tag)]).await;
    changed.assert_status(200).assert_says(&grant.handle);
    // What expired is told as gone whether anybody wrote it down yet or not.
    desk.test.clock.advance(TimeDelta::minutes(50));
    let token = desk.program(desk.cast.claire).await;
    desk.ask(&token, PATH, &[("if-none-match", &tag)]).await.assert_status(304);
    for path in ["?wait=31", "?wait=-1", "?wait=x", "?other=1"] {
        desk.ask(&token, &format!("{PATH}{path}"), &[]).await.assert_status(400);
    }
}

#[actix_web::test]
async fn whoever_waits_is_told_as_soon_as_something_is_granted() {
    let desk = Desk::begin().await;
    for (path, header) in [("?wait=30", ("accept", "*/*")), ("", ("prefer", "wait=30"))] {
        let token = desk.program(desk.cast.claire).await;
        let tag = desk.ask(&token, PATH, &[]).await.header("etag").unwrap().to_owned();
        let began = Instant::now();
        let path = format!("{PATH}{path}");
        let more = [("if-none-match", tag.as_str()), header];
        let waiting = desk.ask(&token, &path, &more);
        let (told, grant) = join(waiting, async { desk.grant() }).await;
        told.assert_status(200).assert_says(&grant.handle);
        assert_eq!(told.header("preference-applied"), Some("wait=30"));
        assert!(began.elapsed() < Duration::from_secs(20), "not at the end of the wait");
        desk.withdraw(&grant, Kept::No);
    }
    let token = desk.program(desk.cast.claire).await;
    let tag = desk.ask(&token, PATH, &[]).await.header("etag").unwrap().to_owned();
    let nothing = desk.ask(&token, &format!("{PATH}?wait=1"), &[("if-none-match", &tag)]).await;
    nothing.assert_status(304);
}

#[actix_web::test]
async fn so_many_requests_of_a_token_wait_at_once_and_others_wait_beside_them() {
    let desk = Desk::begin().await;
    let (token, other) = (desk.program(desk.cast.claire).await, desk.program(desk.cast.paul).await);
    let tag = desk.ask(&token, PATH, &[]).await.header("etag").unwrap().to_owned();
    let path = format!("{PATH}?wait=30");
    let known = [("if-none-match", tag.as_str())];
    let began = Instant::now();
    let asked = (0..5).map(|_| &token).chain([&other]).map(|token| desk.ask(token, &path, &known));
    let mut waiting: FuturesUnordered<_> = asked.collect();
    // One of them is told at once; the others, and somebody else, wait until there is something to tell.
    let fifth = waiting.next().await.unwrap();
    fifth.assert_status(429).assert_says("too_many_requests");
    assert!(fifth.header("retry-after").is_some());
    desk.ask(&token, PATH, &known).await.assert_status(304);
    let grant = desk.grant();
    while let Some(told) = waiting.next().await {
        told.assert_status(200).assert_says(&grant.handle);
    }
    assert!(began.elapsed() < Duration::from_secs(20), "not at the end of the wait");
    desk.ask(&token, &path, &[]).await.assert_status(200);
}
