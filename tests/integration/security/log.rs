//! What the log may never hold, and how much of it one mail may cause.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Once};

use accord::audit;
use accord::people::person;
use accord::tickets::Ticket;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::support::TestApp;
use crate::support::desk::{Desk, Letter};

/// Everything that events and spans of ours say, as text, given to `keep`.
struct Listener<F>(F);

impl<F: Fn(&Metadata<'_>, String) + Send + Sync + 'static> Subscriber for Listener<F> {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("accord") && *metadata.level() <= Level::DEBUG
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut text = Text::default();
        span.record(&mut text);
        (self.0)(span.metadata(), text.0);
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut text = Text::default();
        event.record(&mut text);
        (self.0)(event.metadata(), text.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[derive(Default)]
struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let _ = write!(self.0, "{}={value:?} ", field.name());
    }
}

/// What may not be said, and where it was said all the same.
static FORBIDDEN: Mutex<Vec<String>> = Mutex::new(Vec::new());
static SAID: Mutex<Vec<String>> = Mutex::new(Vec::new());
static HEARD: AtomicUsize = AtomicUsize::new(0);

/// Listens to all threads of this process; other tests may speak too, and know none of these words.
fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let listener = Listener(|metadata: &Metadata<'_>, text: String| {
            HEARD.fetch_add(1, Ordering::Relaxed);
            let forbidden = FORBIDDEN.lock().unwrap();
            if forbidden.iter().any(|word| text.contains(word)) {
                SAID.lock().unwrap().push(format!("{} {}: {text}", metadata.level(), metadata.target()));
            }
        });
        tracing::subscriber::set_global_default(listener).unwrap();
    });
}

fn forbid(word: &str) {
    assert!(word.len() >= 8, "{word:?} might be said by chance");
    FORBIDDEN.lock().unwrap().push(word.to_owned());
}

#[actix_web::test]
async fn g_02_no_password_token_cookie_address_or_word_of_a_mail_is_in_the_log() {
    listen();
    let (app, cast) = TestApp::with_cast();
    for canary in ["canari-mot-de-passe-9", "canari-du-corps-9", "canari-du-sujet-9", "g02-canari-9@client.example"] {
        forbid(canary);
    }
    let stranger = app.browser().await;
    let wrong = [("address", "g02-canari-9@client.example"), ("password", "canari-mot-de-passe-9")];
    stranger.post("/fr/sign-in", &wrong).await.assert_status(422);
    stranger.post("/fr/sign-in/link", &[("address", "g02-canari-9@client.example"), ("password", "")]).await;
    let queue = app.read(accord::teams::queues::all).remove(0).handle;
    let filed = [
        ("name", "Luc Noir"),
        ("email", "g02-canari-9@client.example"),
        ("subject", "canari-du-sujet-9"),
        ("text", "canari-du-corps-9"),
        ("key", "k1"),
        ("queue", queue.as_str()),
    ];
    stranger.upload("/fr/requests", &filed, &[("files", "a.txt", b"canari-du-corps-9")]).await.assert_status(303);
    app.run_jobs();
    let lea = app.signed_in(cast.lea).await;
    forbid(&lea.session().unwrap());
    forbid(&lea.csrf());
    lea.get("/tickets").await.assert_status(200);
    lea.get("/search?q=canari-du-corps-9").await.assert_status(200);
    let ticket: Ticket = app.read(|db| {
        use diesel::prelude::*;
        Ok(accord::access::visible_to(&accord::access::Actor::System).first(db)?)
    });
    let path = format!("/tickets/{}", ticket.reference);
    lea.get(&path).await.assert_status(200);
    lea.upload(&format!("{path}/replies"), &[("text", "canari-du-corps-9"), ("seen", "1")], &[]).await;
    let secret =
        lea.post("/account/secrets", &[("name", "x"), ("scopes", "tickets:read"), ("days", "30")]).await.text();
    let secret = secret.split("acc_").nth(1).expect("a secret").chars().take(52).collect::<String>();
    forbid(&secret);
    let body = serde_json::json!({ "secret": format!("acc_{secret}") });
    let exchange = actix_web::test::TestRequest::post().uri("/api/v1/token").set_json(body);
    let token: serde_json::Value = serde_json::from_slice(&stranger.send(exchange).await.bytes).unwrap();
    let token = token["token"].as_str().unwrap().to_owned();
    forbid(&token);
    let bearer = format!("Bearer {token}");
    let asked = actix_web::test::TestRequest::get().uri("/api/v1/tickets").insert_header(("authorization", bearer));
    stranger.send(asked).await.assert_status(200);
    // Failures are told to the log with their cause; causes have no such words either.
    lea.get("/l/ticket/canari-mot-de-passe-9").await.assert_status(404);
    app.run_jobs();
    assert!(HEARD.load(Ordering::Relaxed) > 10, "the log says something");
    let said = SAID.lock().unwrap();
    assert!(said.is_empty(), "{said:#?}");
    // The ear works.
    drop(said);
    forbid("canari-de-controle-9");
    tracing::info!(target: "accord::test", "canari-de-controle-9");
    assert_eq!(SAID.lock().unwrap().len(), 1);
}

#[test]
fn g_04_one_hostile_mail_causes_few_lines() {
    let hostile: Vec<Letter> = vec![
        Letter::from("eve@client.example")
            .header("Content-Type", "text/plain; charset=does-not-exist")
            .text(&"é\u{fffd}".repeat(50_000)),
        Letter::from("eve@client.example").subject(&"=?utf-8?b?////?= =?x?q?=ZZ?=".repeat(2_000)),
        Letter::from("eve@client.example").header("Content-Type", "multipart/mixed; boundary=b").text(
            &"--b\r\nContent-Type: text/plain; charset=utf-7\r\nContent-Transfer-Encoding: base64\r\n\r\n!!!!\r\n"
                .repeat(3_000),
        ),
        Letter::from("eve@client.example").header("References", &"<a@b> ".repeat(20_000)),
        Letter::from("eve@client.example").header("Content-Type", "text/html").text(&"<a href=x>".repeat(30_000)),
    ];
    for letter in hostile {
        let desk = Desk::open();
        let lines = Arc::new(AtomicUsize::new(0));
        let counted = lines.clone();
        let listener = Listener(move |metadata: &Metadata<'_>, _| {
            if metadata.is_event() && *metadata.level() <= Level::INFO {
                counted.fetch_add(1, Ordering::Relaxed);
            }
        });
        tracing::subscriber::with_default(listener, || desk.receive(&letter));
        let lines = lines.load(Ordering::Relaxed);
        assert!(lines <= 20, "{lines} lines for {:?}", letter.headers.iter().map(|(name, _)| name).collect::<Vec<_>>());
    }
}

#[actix_web::test]
async fn g_05_security_events_are_in_a_chain_that_shows_every_change() {
    use accord::db::connection::{Role, open};
    use diesel::connection::SimpleConnection;
    let (app, cast) = TestApp::with_cast();
    let (paul, now) = (cast.paul, app.now());
    let hash =
        accord::people::passwords::hash(&accord::people::passwords::Password::new("une-phrase-longue".to_owned()))
            .unwrap();
    app.write(move |db| accord::people::passwords::set(db, paul, &hash, now));
    let browser = app.browser().await;
    let sign_in = |password| [("address", "paul@arnaud.example"), ("password", password)];
    browser.post("/fr/sign-in", &sign_in("faux-et-archifaux")).await.assert_status(422);
    browser.post("/fr/sign-in", &sign_in("une-phrase-longue")).await.assert_status(303);
    browser
        .post("/account/secrets", &[("name", "x"), ("scopes", "tickets:read"), ("days", "30")])
        .await
        .assert_status(200);
    browser.post("/sign-out", &[]).await.assert_status(303);
    let anne = app.signed_in(cast.anne).await;
    let handle = app.read(|db| person::by_id(db, paul)).handle;
    anne.post(&format!("/admin/people/{handle}/state"), &[("state", "disabled")]).await.assert_status(303);
    let kinds: Vec<String> =
        app.read(|db| audit::list(db, None, 100)).into_iter().map(|(record, _)| record.kind).collect();
    for kind in ["sign_in_failed", "sign_in", "sign_out", "api_token_created", "person_disabled"] {
        assert!(kinds.iter().any(|found| found == kind), "{kind} is not in {kinds:?}");
    }
    let rows = app.read(audit::verify);
    assert!(rows >= 5);
    // The details can be destroyed, the chain stands.
    let mut db = open(app.app.database.url(), Role::Migrator).unwrap();
    db.batch_execute("DELETE FROM audit_details WHERE sequence <= 3").unwrap();
    assert_eq!(app.read(audit::verify), rows);
    for damage in [
        "UPDATE audit_details SET detail = '{}' WHERE sequence = 5",
        "UPDATE audit_ledger SET kind = 'sign_out' WHERE sequence = 4",
        "DELETE FROM audit_ledger WHERE sequence = 2",
    ] {
        db.batch_execute(&format!("BEGIN; {damage}")).unwrap();
        assert!(audit::verify(&mut db).is_err(), "{damage}");
        db.batch_execute("ROLLBACK").unwrap();
    }
}
