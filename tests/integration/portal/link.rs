//! The link in a mail, and asking for one.

use accord::teams::queues::QueueKind;
use accord::tickets::{TicketReference, messages, ticket};
use chrono::TimeDelta;

use super::{hidden, mails_to, only_ticket, queue, reply, tickets};
use crate::support::TestApp;

const NADIA: &str = "nadia@inconnue.example";

/// Nadia files a request; gives the link in the mail she gets.
async fn link_of_nadia(app: &TestApp) -> String {
    let support = queue(app, QueueKind::Support);
    let fields = [
        ("name", "Nadia Ferrand"),
        ("email", NADIA),
        ("queue", support.as_str()),
        ("subject", "Export vide"),
        ("text", "Le fichier est vide."),
        ("key", "nadia"),
    ];
    app.browser().await.upload("/fr/requests", &fields, &[]).await.assert_status(303);
    mails_to(app, NADIA).pop().expect("a mail").link()
}

#[actix_web::test]
async fn u_03b_a_ticket_link_reads_and_answers_one_ticket_and_is_no_way_in() {
    let (app, cast) = TestApp::with_cast();
    let link = link_of_nadia(&app).await;
    let ticket = only_ticket(&app);
    reply(&app, &ticket, cast.lea, "Quelle version ?");
    let browser = app.browser().await;
    let page = browser.get(&link).await;
    page.assert_status(200).assert_says("Le fichier est vide.").assert_says("Quelle version ?");
    let key = hidden(&page.text(), "key");
    let fields = [("text", "La 4.2."), ("key", key.as_str())];
    let answer = browser.upload(&format!("{link}/answers"), &fields, &[("files", "v.txt", b"4.2")]).await;
    answer.assert_status(303);
    browser.get(&link).await.assert_says("La 4.2.").assert_says("v.txt");
    let file = app.read(|db| accord::tickets::attachments::of_ticket(db, &ticket))[0].handle.clone();
    browser.get(&format!("{link}/attachments/{file}")).await.assert_status(200);
    assert!(!browser.has_cookies());
    for closed in [
        "/requests".to_owned(),
        format!("/requests/{}", ticket.reference),
        "/account".to_owned(),
        format!("/attachments/{file}"),
    ] {
        let answer = browser.get(&closed).await;
        assert!(answer.status == 404 || answer.location().starts_with("/fr/sign-in"), "{closed}: {}", answer.status);
    }
    // The token stands in nothing that is recorded.
    let (context, _) = app.read(|db| accord::tickets::connection_context::of_ticket(db, &ticket)).unwrap();
    assert_eq!(context.requested_url, "http://desk.example/l/ticket/-");
}

#[actix_web::test]
async fn u_03b_after_fourteen_days_a_fresh_link_goes_to_the_mailbox_and_nowhere_else() {
    let (app, cast) = TestApp::with_cast();
    let link = link_of_nadia(&app).await;
    let ticket = only_ticket(&app);
    app.pass(TimeDelta::days(13));
    let browser = app.browser().await;
    browser.get(&link).await.assert_says("Le fichier est vide.");
    app.pass(TimeDelta::days(2));
    let old = browser.get(&link).await;
    old.assert_status(200).assert_says("trop ancien").assert_silent_about("Le fichier").assert_silent_about(NADIA);
    browser.upload(&format!("{link}/answers"), &[("text", "x"), ("key", "k")], &[]).await.assert_status(404);
    let sent = browser.post(&format!("{link}/renewal"), &[]).await;
    assert_eq!(sent.assert_status(303).location(), "/fr/requests/link-sent");
    let mail = mails_to(&app, NADIA).pop().expect("a mail with a fresh link");
    assert!(mail.subject.contains(&ticket.reference) && !mail.raw.contains("Export vide"));
    browser.get(&mail.link()).await.assert_says("Le fichier est vide.");
    // The old one stays as old as it is.
    browser.get(&link).await.assert_says("trop ancien");
    assert_eq!(app.read(|db| ticket::by_id(db, ticket.id)).assignee_id, None);
    assert_ne!(cast.lea, ticket.requester_id);
}

#[actix_web::test]
async fn u_03b_an_old_link_asks_for_a_fresh_one_twenty_times_an_hour_at_most() {
    let (app, _) = TestApp::with_cast();
    let link = link_of_nadia(&app).await;
    app.pass(TimeDelta::days(15));
    let browser = app.browser().await;
    for _ in 0..20 {
        browser.post(&format!("{link}/renewal"), &[]).await.assert_status(303);
    }
    browser.post(&format!("{link}/renewal"), &[]).await.assert_status(429);
    app.clock.advance(TimeDelta::minutes(4));
    browser.post(&format!("{link}/renewal"), &[]).await.assert_status(303);
}

#[actix_web::test]
async fn adv_09_no_link_of_any_mail_is_a_session_or_opens_another_ticket() {
    let (app, cast) = TestApp::with_cast();
    let link = link_of_nadia(&app).await;
    let ticket = only_ticket(&app);
    let claire = app.signed_in(cast.claire).await;
    let support = queue(&app, QueueKind::Support);
    let fields = [("queue", support.as_str()), ("subject", "De Claire"), ("text", "Secret."), ("key", "c")];
    claire.upload("/requests", &fields, &[]).await.assert_status(303);
    let other = tickets(&app).pop().unwrap();
    let of_other = app.read(|db| messages::of_ticket(db, &other, messages::Reading::Public, 1))[0].handle.clone();
    // Forwarded: another browser, opened twice, and after its time.
    for day in [0, 0, 10, 30] {
        app.pass(TimeDelta::days(day));
        let forwarded = app.browser().await;
        let page = forwarded.get(&link).await;
        page.assert_status(200).assert_silent_about("Secret.").assert_silent_about("De Claire");
        assert!(page.header("set-cookie").is_none());
        assert!(!forwarded.has_cookies());
        forwarded.get(&format!("{link}/messages/{of_other}/html")).await.assert_status(404);
        for wrong in ["", "%20", "%00", "AAAA"] {
            forwarded.get(&format!("/l/ticket/{wrong}")).await.assert_status(404);
        }
        forwarded.get(&link.to_uppercase().replace("/L/TICKET/", "/l/ticket/")).await.assert_status(404);
        forwarded.get(&link[..link.len() - 1]).await.assert_status(404);
    }
    // The link neither closes nor hides anything.
    for verb in ["closing", "reopening", "visibility", "participants"] {
        app.browser().await.post(&format!("{link}/{verb}"), &[]).await.assert_status(404);
    }
    assert_eq!(app.read(|db| ticket::by_id(db, ticket.id)).version, ticket.version);
}

#[actix_web::test]
async fn opening_a_link_changes_nothing_and_confirming_is_a_button() {
    let (app, _) = TestApp::with_cast();
    let link = link_of_nadia(&app).await;
    let before = only_ticket(&app);
    let browser = app.browser().await;
    for _ in 0..3 {
        browser.get(&link).await.assert_says("Oui, c’est ma demande");
    }
    app.run_jobs();
    assert_eq!(only_ticket(&app), before);
    for _ in 0..2 {
        browser.post(&format!("{link}/confirmation"), &[]).await.assert_status(303);
    }
    assert!(only_ticket(&app).address_confirmed);
    browser.get(&link).await.assert_silent_about("Oui, c’est ma demande").assert_says("L’adresse a été confirmée.");
}

#[actix_web::test]
async fn t_03_a_reference_and_an_address_get_the_same_answer_whatever_they_are() {
    let (app, _) = TestApp::with_cast();
    let _ = link_of_nadia(&app).await;
    let ticket = only_ticket(&app);
    app.pass(TimeDelta::days(2));
    let browser = app.browser().await;
    let unknown = TicketReference::random("ACC");
    let mut pages = Vec::new();
    for (reference, email) in [
        (ticket.reference.as_str(), NADIA),
        (ticket.reference.as_str(), "claire@arnaud.example"),
        (ticket.reference.as_str(), "nobody@elsewhere.example"),
        (unknown.as_str(), NADIA),
        ("nonsense", NADIA),
    ] {
        let answer = browser.post("/fr/requests/find", &[("reference", reference), ("email", email)]).await;
        answer.assert_status(303);
        let page = browser.get(answer.location()).await;
        pages.push((answer.location().to_owned(), page.assert_status(200).bytes.clone()));
    }
    let without_token = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes).into_owned();
        text.split("name=\"csrf\"").next().unwrap().to_owned()
    };
    assert!(
        pages.windows(2).all(|pair| pair[0].0 == pair[1].0 && without_token(&pair[0].1) == without_token(&pair[1].1))
    );
    let mails = super::mails(&app);
    assert_eq!(mails.len(), 1);
    assert_eq!(mails[0].to, NADIA);
    browser.get(&mails[0].link()).await.assert_says("Le fichier est vide.");
    browser.post("/fr/requests/find", &[("reference", ""), ("email", "x")]).await.assert_status(422);
    browser.get(&format!("/fr/requests/{}", ticket.reference)).await.assert_status(404);
}

#[actix_web::test]
async fn the_page_of_a_link_speaks_the_reader_s_language() {
    let (app, _) = TestApp::with_cast();
    let link = link_of_nadia(&app).await;
    let english = actix_web::test::TestRequest::get().uri(&link).insert_header(("accept-language", "en"));
    app.browser().await.send(english).await.assert_says("lang=\"fr\"").assert_says("Répondre");
}
