//! The requests of somebody signed in: list, page, answer, close, reopen, participants, files.

use crate::support::given::share_tickets;
use accord::access::Actor;
use accord::people::organisations;
use accord::teams::queues::QueueKind;
use accord::tickets::messages::{self, NewNote, Words};
use accord::tickets::status::Status;
use accord::tickets::{attachments, ticket};
use chrono::TimeDelta;

use super::{hidden, mails_to, only_ticket, queue, reply, tickets};
use crate::support::TestApp;
use crate::support::browser::Browser;

async fn file(app: &TestApp, browser: &Browser, subject: &str, key: &str) -> String {
    let support = queue(app, QueueKind::Support);
    let fields =
        [("queue", support.as_str()), ("subject", subject), ("text", "Bonjour, voici le texte."), ("key", key)];
    let answer = browser.upload("/requests", &fields, &[]).await;
    answer.assert_status(303).location().split('?').next().unwrap().to_owned()
}

#[actix_web::test]
async fn b2_a_customer_sees_their_requests_and_follows_them_to_the_end() {
    let (app, cast) = TestApp::with_cast();
    let claire = app.signed_in(cast.claire).await;
    claire.get("/requests").await.assert_says("Aucune demande en cours");
    let path = file(&app, &claire, "Écran noir", "one").await;
    let ticket = only_ticket(&app);
    claire.get("/requests").await.assert_says("Écran noir").assert_says(&ticket.reference);
    reply(&app, &ticket, cast.lea, "Avez-vous **redémarré** ?");
    let page = claire.get(&path).await;
    page.assert_says("<strong>redémarré</strong>").assert_says("Léa Roux").assert_says("Votre réponse est attendue");

    let key = hidden(&page.text(), "key");
    let answer = claire.upload(&format!("{path}/answers"), &[("text", "Oui, deux fois."), ("key", &key)], &[]).await;
    answer.assert_status(303);
    claire.get(&path).await.assert_says("Oui, deux fois.");
    assert_eq!(app.read(|db| ticket::by_id(db, ticket.id)).status, Status::WaitingForUs);

    // A double click closes once, and says nothing of a conflict.
    for _ in 0..2 {
        claire.post(&format!("{path}/closing"), &[]).await.assert_status(303);
    }
    claire.get("/requests").await.assert_silent_about(&ticket.reference);
    claire.get("/requests?state=closed").await.assert_says(&ticket.reference);
    claire.get(&path).await.assert_says("La demande a été close.");
    for _ in 0..2 {
        claire.post(&format!("{path}/reopening"), &[]).await.assert_status(303);
    }
    assert_eq!(app.read(|db| ticket::by_id(db, ticket.id)).status, Status::WaitingForUs);
}

#[actix_web::test]
async fn a1_the_customer_sees_what_was_recorded_about_them_and_only_that() {
    let (app, cast) = TestApp::with_cast();
    let claire = app.signed_in(cast.claire).await;
    let path = file(&app, &claire, "Écran noir", "one").await;
    let page = claire.get(&path).await;
    page.assert_says("Ce qui a été enregistré à mon sujet")
        .assert_says("192.0.2.7")
        .assert_says("Adresse IP")
        .assert_says("Lefèvre")
        .assert_says("http://desk.example/requests/new");
    // Léa’s and others’ machines are nobody’s business here.
    let ivan = app.signed_in(cast.ivan).await;
    ivan.get(&path).await.assert_status(404);
}

#[actix_web::test]
async fn t_02_unknown_foreign_and_malformed_references_are_byte_identical() {
    let (app, cast) = TestApp::with_cast();
    let claire = app.signed_in(cast.claire).await;
    let path = file(&app, &claire, "Écran noir", "one").await;
    let zoe = app.signed_in(cast.zoe).await;
    let unknown = accord::tickets::TicketReference::random("ACC");
    let mut answers = Vec::new();
    for path in
        [path, format!("/requests/{}", unknown.as_str()), "/requests/ACC-1".to_owned(), "/requests/1".to_owned()]
    {
        let answer = zoe.get(&path).await;
        answer.assert_status(404);
        answers.push((answer.headers.clone(), answer.bytes.clone()));
    }
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]));
}

#[actix_web::test]
async fn a_06_a_note_among_staff_never_reaches_the_customer() {
    let (app, cast) = TestApp::with_cast();
    let claire = app.signed_in(cast.claire).await;
    let path = file(&app, &claire, "Écran noir", "one").await;
    let ticket = only_ticket(&app);
    let before = claire.get("/requests").await.text();
    let (id, lea, storage) = (ticket.id, cast.lea, app.app.storage.clone());
    let secret = attachments::store(&storage, "canari-7.txt", b"CANARI-7", None).unwrap();
    app.clock.advance(TimeDelta::seconds(20));
    let now = app.now();
    let handle = app.write(move |db| {
        let ticket = ticket::by_id(db, id)?;
        let by = accord::access::actor_of(db, lea)?;
        let note = NewNote {
            words: Words::by_mail("CANARI-7 : ce client exagère", Some("<p>CANARI-7</p>")),
            attachments: vec![secret.clone()],
            mail_id: None,
            ingest: None,
        };
        let note = messages::add_note(db, &ticket, note, &by, now)?;
        Ok((messages::handle_of(db, note)?, attachments::of_message(db, ticket.id, note)?[0].handle.clone()))
    });
    reply(&app, &ticket, cast.lea, "Nous regardons.");
    claire.get(&path).await.assert_says("Nous regardons.").assert_silent_about("CANARI").assert_silent_about("canari");
    claire.get(&format!("/messages/{}/frame", handle.0)).await.assert_status(404).assert_silent_about("CANARI");
    claire.get(&format!("/attachments/{}", handle.1)).await.assert_status(404).assert_silent_about("CANARI");
    let told = mails_to(&app, "claire@arnaud.example");
    assert!(!told.is_empty() && told.iter().all(|mail| !mail.raw.contains("CANARI") && !mail.text.contains("CANARI")));
    let link = told.last().unwrap().link();
    let stranger = app.browser().await;
    stranger.get(&link).await.assert_says("Nous regardons.").assert_silent_about("CANARI");
    stranger.get(&format!("{link}/messages/{}/frame", handle.0)).await.assert_status(404);
    stranger.get(&format!("{link}/attachments/{}", handle.1)).await.assert_status(404);
    assert!(before.contains(&ticket.reference));
    // An agent reads it by the same address.
    app.signed_in(cast.lea).await.get(&format!("/attachments/{}", handle.1)).await.assert_status(200);
}

#[actix_web::test]
async fn x_02_an_answer_sent_fifty_times_at_once_is_one_message() {
    let (app, cast) = TestApp::with_cast();
    let claire = app.signed_in(cast.claire).await;
    let path = format!("{}/answers", file(&app, &claire, "Écran noir", "one").await);
    let answers = futures_util::future::join_all(
        (0..50)
            .map(|_| claire.upload(&path, &[("text", "Une seule fois."), ("key", "k1")], &[("files", "a.txt", b"x")])),
    )
    .await;
    assert!(answers.iter().all(|answer| answer.status == 303));
    let ticket = only_ticket(&app);
    assert_eq!(ticket.message_count, 2);
    let other = claire.upload(&path, &[("text", "Autre chose."), ("key", "k1")], &[]).await;
    other.assert_status(422).assert_says("déjà envoyé").assert_says("Autre chose.");
}

#[actix_web::test]
async fn adv_18_files_are_saved_and_never_run_sniffed_or_shown() {
    let (app, cast) = TestApp::with_cast();
    let claire = app.signed_in(cast.claire).await;
    let support = queue(&app, QueueKind::Support);
    let fields = [("queue", support.as_str()), ("subject", "Fichiers"), ("text", "Voici."), ("key", "one")];
    let files: [(&str, &str, &[u8]); 6] = [
        ("files", "page.html", b"<!DOCTYPE html><script>alert(1)</script>"),
        ("files", "image.svg", b"<svg xmlns=\"http://www.w3.org/2000/svg\" onload=\"alert(1)\"/>"),
        (
            "files",
            "feed.xml",
            b"<?xml version=\"1.0\"?><x xmlns=\"http://www.w3.org/1999/xhtml\"><script>1</script></x>",
        ),
        ("files", "page.xhtml", b"<html xmlns=\"http://www.w3.org/1999/xhtml\"><script>1</script></html>"),
        ("files", "plain.txt", b"<html><script>alert(1)</script>"),
        ("files", "..\\..\\evil\u{202e}gpj.exe", b"MZ\0\x01"),
    ];
    let answer = claire.upload("/requests", &fields, &files).await;
    let page = claire.get(answer.assert_status(303).location()).await.text();
    let ticket = only_ticket(&app);
    let stored = app.read(|db| attachments::of_ticket(db, &ticket));
    assert_eq!(stored.len(), 6);
    for file in stored {
        assert!(file.handle.len() >= 26, "128 bits of randomness");
        assert!(page.contains(&format!("/attachments/{}", file.handle)));
        let answer = claire.get(&format!("/attachments/{}", file.handle)).await;
        answer.assert_status(200);
        assert_eq!(answer.header("content-type"), Some("application/octet-stream"), "{}", file.file_name);
        assert!(answer.header("content-disposition").unwrap().starts_with("attachment; filename="));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("content-security-policy"), Some("sandbox; default-src 'none'"));
        assert_eq!(answer.header("cross-origin-resource-policy"), Some("same-origin"));
        assert!(!file.file_name.contains(['/', '\\', '\u{202e}']), "{}", file.file_name);
    }
}

#[actix_web::test]
async fn a_05_the_files_of_a_removed_participant_are_gone_at_once() {
    let (app, cast) = TestApp::with_cast();
    let claire = app.signed_in(cast.claire).await;
    let support = queue(&app, QueueKind::Support);
    let fields = [
        ("queue", support.as_str()),
        ("subject", "Fichiers"),
        ("text", "Voici."),
        ("key", "one"),
        ("visibility", "private"),
    ];
    claire.upload("/requests", &fields, &[]).await.assert_status(303);
    let ticket = only_ticket(&app);
    let path = format!("/requests/{}", ticket.reference);
    let paul = app.signed_in(cast.paul).await;
    paul.get(&path).await.assert_status(404);
    let handle = app.read(|db| accord::people::person::by_id(db, cast.paul)).handle;
    claire.get(&path).await.assert_says("Paul Girard");
    app.clock.advance(TimeDelta::seconds(1));
    claire.post(&format!("{path}/participants"), &[("participant", &handle)]).await.assert_status(303);
    app.clock.advance(TimeDelta::seconds(1));
    let answer = [("text", "Le journal."), ("key", "two")];
    claire.upload(&format!("{path}/answers"), &answer, &[("files", "journal.log", b"GET /")]).await.assert_status(303);
    let file = app.read(|db| attachments::of_ticket(db, &ticket))[0].handle.clone();
    // Who joined later reads from then on (TH-07).
    paul.get(&path).await.assert_status(200).assert_says("Le journal.").assert_silent_about("Voici.");
    paul.get(&format!("/attachments/{file}")).await.assert_status(200);
    claire.post(&format!("{path}/participants/{handle}/removal"), &[]).await.assert_status(303);
    paul.get(&format!("/attachments/{file}")).await.assert_status(404);
    paul.get(&path).await.assert_status(404);
    // Only colleagues can be added, and only by the requester.
    let zoe = app.read(|db| accord::people::person::by_id(db, cast.zoe)).handle;
    claire.post(&format!("{path}/participants"), &[("participant", &zoe)]).await.assert_status(404);
}

#[actix_web::test]
async fn adv_15_a_hostile_subject_is_text_in_list_and_page() {
    let (app, cast) = TestApp::with_cast();
    let claire = app.signed_in(cast.claire).await;
    for (number, probe) in
        ["<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>", "{{7*7}}'\"</title><svg/onload=1>"]
            .iter()
            .enumerate()
    {
        let path = file(&app, &claire, probe, &number.to_string()).await;
        for page in [claire.get(&path).await.text(), claire.get("/requests").await.text()] {
            for raw in ["<script>alert", "<img src=x", "<svg/onload", "</title><svg"] {
                assert!(!page.contains(raw), "{page}");
            }
        }
    }
}

#[actix_web::test]
async fn colleagues_see_what_is_shared_where_their_organisation_lets_them() {
    let (app, cast) = TestApp::with_cast();
    let organisation = app.read(|db| {
        let home = organisations::home_of(db, cast.claire)?.expect("an organisation");
        organisations::by_id(db, home)
    });
    share_tickets(&app, &organisation);
    let paul = app.signed_in(cast.paul).await;
    let path = file(&app, &paul, "Imprimante", "one").await;
    let claire = app.signed_in(cast.claire).await;
    claire.get("/requests").await.assert_silent_about("Imprimante");
    claire.get("/requests?whose=all").await.assert_says("Imprimante").assert_says("Paul Girard");
    claire.get(&path).await.assert_status(200);
    paul.post(&format!("{path}/visibility"), &[("visibility", "private")]).await.assert_status(303);
    claire.get(&path).await.assert_status(404);
    claire.get("/requests?whose=all").await.assert_silent_about("Imprimante");
    // Paul may not see all, whatever he asks for.
    let of_claire = file(&app, &claire, "Serveur", "two").await;
    paul.get("/requests?whose=all").await.assert_silent_about("Serveur");
    paul.get(&of_claire).await.assert_status(404);
    paul.post(&format!("{of_claire}/closing"), &[]).await.assert_status(404);
    paul.upload(&format!("{of_claire}/answers"), &[("text", "x"), ("key", "k")], &[]).await.assert_status(404);
}

#[actix_web::test]
async fn the_list_goes_on_page_by_page() {
    let (app, cast) = TestApp::with_cast();
    let claire = app.signed_in(cast.claire).await;
    for number in 0..30 {
        file(&app, &claire, &format!("Demande {number:02}!"), &number.to_string()).await;
        app.clock.advance(TimeDelta::minutes(1));
    }
    let first = claire.get("/requests").await;
    first.assert_says("Demande 29!").assert_says("Demande 05!").assert_silent_about("Demande 04!");
    let page = first.text();
    let (_, rest) = page.split_once("rel=\"next\" href=\"").unwrap();
    let next = rest.split('"').next().unwrap().replace("&#38;", "&");
    claire.get(&next).await.assert_says("Demande 04!").assert_says("Demande 00!").assert_silent_about("Demande 05!");
    claire.get("/requests?after=nonsense").await.assert_says("Demande 29!");
}

#[actix_web::test]
async fn staff_who_come_by_a_customer_s_address_get_their_own_page() {
    let (app, cast) = TestApp::with_cast();
    let claire = app.signed_in(cast.claire).await;
    let path = file(&app, &claire, "Écran noir", "one").await;
    let lea = app.signed_in(cast.lea).await;
    assert_eq!(lea.get(&path).await.location(), path.replace("/requests/", "/tickets/"));
    assert_eq!(lea.get("/requests").await.location(), "/tickets");
    lea.post(&format!("{path}/closing"), &[]).await.assert_status(403);
    assert!(matches!(app.read(|db| accord::access::actor_of(db, cast.lea)), Actor::Staff(_)));
    assert_eq!(tickets(&app)[0].status, Status::WaitingForUs);
}
