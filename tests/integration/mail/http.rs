//! Mail handed over by HTTP.

use accord::journal::{claiming, unprocessed};
use accord::people::api_tokens::{self, NewApiToken, Scope};
use actix_web::http::header;
use actix_web::test::TestRequest;
use actix_web::web::Bytes;
use chrono::TimeDelta;
use futures_util::{StreamExt, stream};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use tokio::time::Instant;

use super::journal::second_mailbox;
use crate::support::browser::{Answered, Browser};
use crate::support::desk::{Desk, Letter, SUPPORT};

fn secret(desk: &Desk, scope: Scope) -> String {
    let (administrator, now) = (desk.administrator, desk.test.now());
    desk.test.write(move |db| {
        let new = NewApiToken { name: "mx".to_owned(), scopes: vec![scope], organisation: None, queue: None, days: 90 };
        let (_, token) = api_tokens::create(db, administrator, &new, now)?;
        Ok(token.expose().to_owned())
    })
}

pub(super) fn request(path: &str, secret: &str) -> TestRequest {
    TestRequest::post()
        .uri(path)
        .insert_header((header::AUTHORIZATION, format!("Bearer {secret}")))
        .insert_header((header::CONTENT_TYPE, "message/rfc822"))
        .set_payload(Letter::from("claire@acme.example").header("Message-ID", "<one@client.example>").bytes())
}

pub(super) async fn status(browser: &Browser, request: TestRequest) -> u16 {
    let answered: Answered = browser.send(request).await;
    answered.status.as_u16()
}

pub(super) fn waiting(desk: &Desk) -> i64 {
    desk.test.read(unprocessed::counts).waiting
}

pub(super) const PATH: &str = "/api/v1/inbound?recipient=support@garonne.example&sender=claire@acme.example";

#[actix_web::test]
async fn s_05_a_mail_with_a_secret_for_it_is_durable_when_it_is_accepted() {
    let desk = Desk::open();
    let browser = desk.test.browser().await;
    let secret = secret(&desk, Scope::Inbound);
    let answered = browser.send(request(PATH, &secret)).await;
    assert_eq!((answered.status.as_u16(), answered.text().as_str()), (202, r#"{"state":"accepted"}"#));
    assert_eq!(waiting(&desk), 1);
    let again = browser.send(request(PATH, &secret)).await;
    assert_eq!((again.status.as_u16(), again.text().as_str()), (202, r#"{"state":"already_known"}"#));
    desk.test.run_jobs();
    assert_eq!(desk.ticket().requester_id, desk.claire);
}

#[actix_web::test]
async fn s_05_without_a_secret_for_it_nothing_is_taken() {
    let desk = Desk::open();
    let browser = desk.test.browser().await;
    let other = secret(&desk, Scope::ALL.iter().copied().find(|scope| *scope != Scope::Inbound).unwrap());
    assert_eq!(status(&browser, request(PATH, &other)).await, 403);
    assert_eq!(status(&browser, request(PATH, "acc_made_up")).await, 401);
    assert_eq!(status(&browser, request(PATH, "")).await, 401);
    let bare = TestRequest::post().uri(PATH).insert_header((header::CONTENT_TYPE, "message/rfc822"));
    assert_eq!(status(&browser, bare).await, 401);
    assert_eq!(waiting(&desk), 0);
}

#[actix_web::test]
async fn s_05_ft_15_what_is_no_mail_or_too_much_is_refused() {
    let desk = Desk::with_settings("[limits]\nmail_bytes = 65536");
    let browser = desk.test.browser().await;
    let secret = secret(&desk, Scope::Inbound);
    let cases = [
        (415, request(PATH, &secret).insert_header((header::CONTENT_TYPE, "application/x-www-form-urlencoded"))),
        (415, request(PATH, &secret).insert_header((header::CONTENT_TYPE, "text/plain"))),
        (415, request(PATH, &secret).insert_header((header::CONTENT_ENCODING, "gzip"))),
        (413, request(PATH, &secret).set_payload(vec![b'x'; 70_000])),
        (400, request(PATH, &secret).set_payload(Vec::new())),
        (400, request("/api/v1/inbound", &secret)),
        (400, request(&format!("{PATH}&queue=1"), &secret)),
        (422, request("/api/v1/inbound?recipient=nobody@garonne.example", &secret)),
        (422, request("/api/v1/inbound?recipient=user@elsewhere.example", &secret)),
    ];
    for (number, (expected, request)) in cases.into_iter().enumerate() {
        assert_eq!(status(&browser, request).await, expected, "case {number}");
    }
    assert_eq!(waiting(&desk), 0);
    assert_eq!(SUPPORT, "support@garonne.example");
}

#[actix_web::test]
async fn a_mail_by_http_is_not_authenticated_by_what_it_says_of_itself() {
    let desk = Desk::open();
    let browser = desk.test.browser().await;
    let secret = secret(&desk, Scope::Inbound);
    let letter = Letter::from("claire@acme.example").authenticated("pass");
    browser.send(request(PATH, &secret).set_payload(letter.bytes())).await;
    desk.test.run_jobs();
    let ticket = desk.ticket();
    let records = desk.test.read(|db| accord::journal::outcome::of_ticket(db, ticket.id));
    assert_eq!(records[0].2.authentication, "none");
}

#[actix_web::test]
async fn ft_04_for_a_mail_without_room_the_answer_is_507_until_there_is_room() {
    let desk = Desk::open();
    let browser = desk.test.browser().await;
    let secret = secret(&desk, Scope::Inbound);
    // Its use is noted before, since that needs no room and is not what is asked here.
    assert_eq!(status(&browser, request(PATH, &secret)).await, 202);
    if !desk.fill_disk() {
        return;
    }
    let large = Letter::from("claire@acme.example").text(&"Voici le journal.\r\n".repeat(20_000)).bytes();
    let refused = browser.send(request(PATH, &secret).set_payload(large.clone())).await;
    assert_eq!((refused.status.as_u16(), refused.text().as_str()), (507, r#"{"code":"storage_full"}"#));
    assert_eq!(refused.header("retry-after"), Some("30"));
    assert_eq!(waiting(&desk), 1);
    desk.make_room();
    assert_eq!(status(&browser, request(PATH, &secret).set_payload(large)).await, 202);
    assert_eq!(waiting(&desk), 2);
}

const KEY: &[u8; 32] = b"of thirty-two bytes, for signing";

/// Where requests of tests come from.
const PEER: &str = "192.0.2.7";

/// A desk that takes mail by HTTP which is signed with the key.
fn signing_desk() -> Desk {
    let key = data_encoding::BASE64.encode(KEY);
    Desk::with_settings(&format!("[mail]\nhttp_inbound_key = \"whsec_{key}\""))
}

/// The same mail, signed as somebody who has `key` does at that time.
fn signed(id: &str, seconds: i64, key: &[u8]) -> TestRequest {
    let letter = Letter::from("claire@acme.example").header("Message-ID", "<one@client.example>");
    signed_of(id, seconds, key, letter.bytes())
}

fn signed_of(id: &str, seconds: i64, key: &[u8], body: Vec<u8>) -> TestRequest {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(format!("{id}.{seconds}.").as_bytes());
    mac.update(&body);
    let signature = format!("v1,{}", data_encoding::BASE64.encode(&mac.finalize().into_bytes()));
    TestRequest::post()
        .uri(PATH)
        .insert_header((header::CONTENT_TYPE, "message/rfc822"))
        .insert_header(("webhook-id", id))
        .insert_header(("webhook-timestamp", seconds.to_string()))
        .insert_header(("webhook-signature", signature))
        .set_payload(body)
}

#[actix_web::test]
async fn s_05_a_signed_mail_is_taken_once() {
    let desk = signing_desk();
    let browser = desk.test.browser().await;
    let now = desk.test.now().seconds();
    let answered = browser.send(signed("mail-1", now, KEY)).await;
    assert_eq!((answered.status.as_u16(), answered.text().as_str()), (202, r#"{"state":"accepted"}"#));
    // Repeated, as by a sender who missed the answer, or by somebody who overheard.
    let answered = browser.send(signed("mail-1", now, KEY)).await;
    assert_eq!((answered.status.as_u16(), answered.text().as_str()), (202, r#"{"state":"already_known"}"#));
    desk.test.clock.advance(TimeDelta::seconds(300));
    assert_eq!(status(&browser, signed("mail-1", now, KEY)).await, 202);
    assert_eq!(waiting(&desk), 1);
    desk.test.run_jobs();
    assert_eq!(desk.ticket().requester_id, desk.claire);
}

#[actix_web::test]
async fn s_05_j_05_another_mail_under_the_same_number_is_taken_and_the_same_for_another_mailbox_is_not() {
    let desk = signing_desk();
    let browser = desk.test.browser().await;
    let now = desk.test.now().seconds();
    assert_eq!(status(&browser, signed("mail-1", now, KEY)).await, 202);
    let other = signed_of("mail-1", now, KEY, Letter::from("claire@acme.example").text("Autre chose.\r\n").bytes());
    assert_eq!(browser.send(other).await.text(), r#"{"state":"accepted"}"#);
    second_mailbox(&desk);
    let to_both = Letter::from("claire@acme.example").header("Cc", VENTES).bytes();
    assert_eq!(status(&browser, signed_of("mail-2", now, KEY, to_both.clone())).await, 202);
    let elsewhere = signed_of("mail-2", now, KEY, to_both).uri("/api/v1/inbound?recipient=ventes@garonne.example");
    assert_eq!(status(&browser, elsewhere).await, 409);
    assert_eq!(waiting(&desk), 3);
}

const VENTES: &str = "ventes@garonne.example";

#[actix_web::test]
async fn s_05_a_signed_mail_is_for_whom_it_names_and_from_whom_it_says() {
    let desk = signing_desk();
    second_mailbox(&desk);
    let browser = desk.test.browser().await;
    let now = desk.test.now().seconds();
    let letter = || Letter::from("claire@acme.example");
    let to_ventes = "/api/v1/inbound?recipient=ventes@garonne.example&sender=";
    let refused = browser.send(signed_of("mail-1", now, KEY, letter().bytes()).uri(to_ventes)).await;
    assert_eq!((refused.status.as_u16(), refused.text().as_str()), (403, r#"{"code":"recipient_not_signed"}"#));
    assert_eq!(waiting(&desk), 0);
    let named = || letter().on_top("Delivered-To", "<Ventes@garonne.example>");
    let path = |sender: &str| format!("{to_ventes}{sender}");
    for (number, sender, mail, wanted) in [
        (1, "", named(), ""),
        (2, "", named().on_top("Return-Path", "<>"), "<>"),
        (3, "mallory@evil.example", named(), ""),
        (4, "claire@acme.example", named(), "claire@acme.example"),
        (5, "b%2B1@acme.example", named().on_top("Return-Path", "<b+1@acme.example>"), "b+1@acme.example"),
    ] {
        let request = signed_of(&format!("mail-{number}"), now, KEY, mail.bytes()).uri(&path(sender));
        assert_eq!(status(&browser, request).await, 202, "{number}");
        let id = desk.test.read(|db| claiming::due(db, desk.test.now())).pop().unwrap();
        assert_eq!(desk.test.read(|db| claiming::load(db, id)).envelope_from, wanted, "{number}");
    }
}

#[actix_web::test]
async fn s_05_a_mail_for_which_there_is_no_room_in_memory_is_to_come_again() {
    let desk = signing_desk();
    let browser = desk.test.browser().await;
    let (secret, now) = (secret(&desk, Scope::Inbound), desk.test.now().seconds());
    let receiving = &desk.test.app.receiving;
    let mail_bytes = desk.test.app.config.limits.mail_bytes;
    let mut others = receiving.begin_unproven("203.0.113.9");
    assert!(others.grow_to(mail_bytes));
    assert_eq!(status(&browser, signed("mail-0", now, KEY)).await, 202, "one stranger keeps out no other");
    let mut strangers = receiving.begin_unproven(PEER);
    assert!(strangers.grow_to(mail_bytes / 2));
    let refused = browser.send(signed("mail-1", now, KEY)).await;
    assert_eq!((refused.status.as_u16(), refused.header("retry-after")), (503, Some("30")));
    assert_eq!(
        status(&browser, request(PATH, &secret)).await,
        202,
        "whoever has a secret is not kept out by strangers"
    );
    drop(strangers);
    assert_eq!(status(&browser, signed("mail-1", now, KEY)).await, 202);
    let mut mails = receiving.begin();
    let mut held = 0;
    while mails.grow_to(held + (1 << 20)) {
        held += 1 << 20;
    }
    assert_eq!(status(&browser, request(PATH, &secret)).await, 503);
    drop(mails);
    assert_eq!(status(&browser, request(PATH, &secret)).await, 202);
    // What is announced as too large is not waited for.
    let large = request(PATH, &secret).insert_header((header::CONTENT_LENGTH, "999999999"));
    assert_eq!(status(&browser, large).await, 413);
}

#[actix_web::test]
async fn s_05_ft_14_a_signed_mail_comes_quickly_or_is_not_waited_for() {
    let desk = signing_desk();
    let browser = desk.test.browser().await;
    let secret = secret(&desk, Scope::Inbound);
    let stops = || stream::iter([Ok(Bytes::from_static(b"From: "))]).chain(stream::pending()).boxed_local();
    let signed = signed("mail-1", desk.test.now().seconds(), KEY);
    for (request, seconds) in [(signed, 5), (request(PATH, &secret), 10)] {
        tokio::time::pause();
        let began = Instant::now();
        let answered = browser.send_trickling(request, stops()).await;
        assert_eq!((answered.status.as_u16(), began.elapsed().as_secs()), (408, seconds));
        tokio::time::resume();
    }
    // What they held is free.
    assert!(desk.test.app.receiving.begin_unproven(PEER).grow_to(desk.test.app.config.limits.mail_bytes));
}

#[actix_web::test]
async fn s_05_a_large_signed_mail_is_taken_and_no_changed_one() {
    let desk = signing_desk();
    let browser = desk.test.browser().await;
    let now = desk.test.now().seconds();
    let large = Letter::from("claire@acme.example").text(&"Voici le journal.\r\n".repeat(40_000)).bytes();
    let changed = [large.as_slice(), b"."].concat();
    assert_eq!(status(&browser, signed_of("mail-1", now, KEY, large.clone()).set_payload(changed)).await, 401);
    assert_eq!(status(&browser, signed_of("mail-1", now, KEY, large)).await, 202);
    assert_eq!(waiting(&desk), 1);
}

#[actix_web::test]
async fn s_05_a_mail_signed_by_another_too_early_or_too_late_is_refused() {
    let desk = signing_desk();
    let browser = desk.test.browser().await;
    let now = desk.test.now().seconds();
    let changed = signed("mail-1", now, KEY).set_payload(Letter::from("mallory@evil.example").bytes());
    for (case, request) in [
        ("another key", signed("mail-1", now, &[0; 32])),
        ("too late", signed("mail-1", now - 301, KEY)),
        ("too early", signed("mail-1", now + 301, KEY)),
        ("another body", changed),
        ("a secret that is none", signed("mail-1", now, KEY).insert_header((header::AUTHORIZATION, "Bearer acc_x"))),
    ] {
        assert_eq!(status(&browser, request).await, 401, "{case}");
    }
    assert_eq!(waiting(&desk), 0);
    // Where no key is set, no signature is worth anything.
    let desk = Desk::open();
    let browser = desk.test.browser().await;
    assert_eq!(status(&browser, signed("mail-1", desk.test.now().seconds(), KEY)).await, 401);
}

#[actix_web::test]
async fn s_08_who_hands_over_too_much_is_told_when_to_go_on() {
    let desk = Desk::with_settings("[limits]\nmails_per_sender_hour = 10");
    let browser = desk.test.browser().await;
    let secret = secret(&desk, Scope::Inbound);
    for _ in 0..10 {
        assert_eq!(status(&browser, request(PATH, &secret)).await, 202);
    }
    let answered = browser.send(request(PATH, &secret)).await;
    assert_eq!((answered.status.as_u16(), answered.text().as_str()), (429, r#"{"code":"too_many"}"#));
    assert_eq!(answered.header("retry-after"), Some("361"));
    desk.test.clock.advance(TimeDelta::seconds(361));
    assert_eq!(status(&browser, request(PATH, &secret)).await, 202);
}
