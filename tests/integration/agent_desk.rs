//! The agent's desk in the browser, and what a customer or an agent of other queues gets of it: nothing.

use accord::access;
use accord::db::schema::{ticket_events, ticket_messages, tickets};
use accord::db::types::PersonId;
use accord::mail::transport::Transport;
use accord::people::person;
use accord::teams::queues::{self, QueueKind};
use accord::tickets::attachments;
use accord::tickets::messages::{self, Channel, CustomerMessage, NewMessage, Reading};
use accord::tickets::participants;
use accord::tickets::status::Status;
use accord::tickets::ticket::{self, Ticket};
use actix_web::test::TestRequest;
use chrono::TimeDelta;
use diesel::prelude::*;

use crate::support::browser::Browser;
use crate::support::{Cast, TestApp};

/// A mail of Claire's in HTML, with files.
fn a_mail(app: &TestApp, ticket: &Ticket, author: PersonId, html: &str, files: &[(&str, &[u8], Option<&str>)]) {
    let mut message = NewMessage::text(Channel::Email, author, "Claire Lefèvre", "claire@arnaud.example", "Bonjour");
    message.html = Some(html.to_owned());
    for (name, content, id) in files {
        message.attachments.push(attachments::store(&app.app.storage, name, content, *id).unwrap());
    }
    let (to, now) = (app.again(ticket), app.now());
    app.write(move |db| {
        let message = CustomerMessage::ordinary(message.clone());
        messages::add_customer_message(db, &to, message, &access::Actor::System, now)
    });
}

fn last_handle(app: &TestApp, ticket: &Ticket) -> String {
    app.read(|db| messages::of_ticket(db, ticket, Reading::Everything, 1)).pop().unwrap().handle
}

/// The value of the first hidden field of that name.
fn hidden(page: &str, name: &str) -> String {
    let start = format!("name=\"{name}\" value=\"");
    let rest = page.split(&start).nth(1).unwrap_or_else(|| panic!("no {name} in {page}"));
    rest.split('"').next().unwrap().to_owned()
}

async fn desk() -> (TestApp, Cast, Ticket, Browser) {
    let (app, cast) = TestApp::with_cast();
    let ticket = app.ticket(cast.claire, "Écran noir");
    let lea = app.signed_in(cast.lea).await;
    (app, cast, ticket, lea)
}

#[actix_web::test]
async fn an_agent_finds_a_request_and_answers_it() {
    let (app, cast, ticket, lea) = desk().await;
    let queue = lea.get("/tickets").await;
    queue.assert_status(200).assert_says("Écran noir").assert_says(&ticket.reference).assert_says("Claire Lefèvre");
    let path = format!("/tickets/{}", ticket.reference);
    let page = lea.get(&path).await;
    page.assert_status(200).assert_says("Bonjour, rien ne va plus.").assert_says("claire@arnaud.example");
    let text = page.text();
    let (seen, once) = (hidden(&text, "seen"), hidden(&text, "once"));
    let fields = [("text", "**Redémarrez** l’écran."), ("seen", &seen), ("once", &once), ("status", "closed")];
    let answer = lea.upload(&format!("{path}/replies"), &fields, &[("files", "mode.txt", b"un deux")]).await;
    answer.assert_status(303);
    lea.get(answer.location()).await.assert_says("<strong>Redémarrez</strong>").assert_says("mode.txt");
    let closed = app.again(&ticket);
    assert_eq!((closed.status, closed.message_count), (Status::Closed, 2));
    assert!(lea.get("/tickets?view=closed").await.text().contains(&ticket.reference));
    assert!(!lea.get("/tickets?view=mine").await.text().contains(&ticket.reference));
    assert!(app.signed_in(cast.claire).await.get(&path).await.status.is_client_error());
}

#[actix_web::test]
async fn x_01_a_stale_reply_is_kept_and_what_is_new_is_shown() {
    let (app, cast, ticket, lea) = desk().await;
    app.customer_writes(&ticket, cast.claire, "Le clavier aussi.");
    let path = format!("/tickets/{}/replies", ticket.reference);
    let fields = [("text", "Redémarrez."), ("seen", "1"), ("once", "abc")];
    let stale = lea.upload(&path, &fields, &[("files", "plan.txt", b"le plan")]).await;
    stale
        .assert_status(409)
        .assert_says("Pas encore envoyé")
        .assert_says("Le clavier aussi.")
        .assert_says("Redémarrez.");
    assert_eq!(app.again(&ticket).message_count, 2);
    // Sent again as it is, with the file that the page kept.
    let text = stale.text();
    let (seen, once, kept) = (hidden(&text, "seen"), hidden(&text, "once"), hidden(&text, "kept"));
    let fields = [("text", "Redémarrez."), ("seen", &seen), ("once", &once), ("kept", &kept)];
    lea.upload(&path, &fields, &[]).await.assert_status(303);
    assert_eq!(app.again(&ticket).message_count, 3);
    let files = app.read(|db| attachments::of_ticket(db, &ticket));
    assert_eq!(files.iter().map(|file| file.file_name.as_str()).collect::<Vec<_>>(), ["plan.txt"]);
}

#[actix_web::test]
async fn a_file_that_was_kept_for_somebody_else_is_not_taken() {
    let (app, cast, ticket, lea) = desk().await;
    let path = format!("/tickets/{}/replies", ticket.reference);
    let stale = lea.upload(&path, &[("text", "x"), ("seen", "7")], &[("files", "a.txt", b"a")]).await;
    let kept = hidden(&stale.assert_status(409).text(), "kept");
    let hugo = {
        let (hugo, now) = (cast.hugo, app.now());
        app.write(move |db| accord::people::staff::accept_undertaking(db, hugo, now));
        app.signed_in(hugo).await
    };
    let refused = hugo.upload(&path, &[("text", "Voilà."), ("seen", "1"), ("kept", &kept)], &[]).await;
    refused.assert_status(422).assert_says("n’est plus disponible").assert_says("Voilà.</textarea>");
    assert!(app.read(|db| attachments::of_ticket(db, &ticket)).is_empty());
}

#[actix_web::test]
async fn x_02_a_double_click_sends_one_reply() {
    let (app, _, ticket, lea) = desk().await;
    let path = format!("/tickets/{}/replies", ticket.reference);
    let fields = [("text", "Redémarrez."), ("seen", "1"), ("once", "clic")];
    for _ in 0..5 {
        lea.upload(&path, &fields, &[]).await.assert_status(303);
    }
    assert_eq!(app.again(&ticket).message_count, 2);
}

#[actix_web::test]
async fn a_reply_without_words_is_shown_again_with_what_is_wrong() {
    let (app, _, ticket, lea) = desk().await;
    let path = format!("/tickets/{}", ticket.reference);
    let wrong = lea.upload(&format!("{path}/replies"), &[("text", "  "), ("seen", "1")], &[]).await;
    wrong.assert_status(422).assert_says("Écrivez quelque chose");
    lea.upload(&format!("{path}/notes"), &[("note", "")], &[]).await.assert_status(422).assert_says("note-error");
    assert_eq!(app.again(&ticket).message_count, 1);
}

#[actix_web::test]
async fn the_side_of_the_ticket_changes_it() {
    let (app, cast, ticket, lea) = desk().await;
    let path = format!("/tickets/{}", ticket.reference);
    let version = || app.again(&ticket).version.to_string();
    let post = async |what: &str, fields: &[(&str, &str)]| {
        lea.post(&format!("{path}/{what}"), fields).await.assert_status(303);
    };
    post("assignment", &[("assignee", "me"), ("version", &version())]).await;
    assert_eq!(app.again(&ticket).assignee_id, Some(cast.lea));
    post("priority", &[("priority", "urgent")]).await;
    post("tags", &[("tag", "Écran Noir")]).await;
    post("participants", &[("participant", "comptable@arnaud.example")]).await;
    post("status", &[("status", "waiting_for_customer"), ("version", &version())]).await;
    post("privacy", &[("is_private", "true")]).await;
    let page = lea.get(&path).await;
    for said in ["écran-noir", "comptable@arnaud.example", "Léa Roux a pris le ticket", "Urgente", "Privé"] {
        page.assert_says(said);
    }
    let late = lea.post(&format!("{path}/status"), &[("status", "closed"), ("version", "1")]).await;
    late.assert_status(409).assert_says("modifié entre-temps");
    let shown = app.read(|db| participants::shown(db, &ticket));
    let handle = &shown.iter().find(|shown| shown.address == "comptable@arnaud.example").unwrap().handle;
    post(&format!("participants/{handle}/removal"), &[]).await;
    post("tags/removal", &[("tag", "écran-noir")]).await;
    lea.get(&path).await.assert_silent_about("aria-label=\"Retirer l’étiquette");
    // To a queue in which Léa works too; one she is not in would take it out of her sight.
    let sales = app.read(|db| queues::find_by_kind(db, QueueKind::Sales)).unwrap();
    post("queue", &[("queue", &sales.handle), ("version", &version())]).await;
    assert_eq!(app.again(&ticket).queue_id, sales.id);
}

#[actix_web::test]
async fn t_02_adv_25_the_desk_is_closed_to_who_may_not_see_the_ticket() {
    let (app, cast, ticket, _) = desk().await;
    a_mail(&app, &ticket, cast.claire, "<p>secret-4711</p>", &[("a.txt", b"secret-4711", None)]);
    let message = last_handle(&app, &ticket);
    let file = app.read(|db| attachments::of_ticket(db, &ticket))[0].handle.clone();
    let state = || {
        app.read(|db| {
            let row: Ticket = tickets::table.find(ticket.id).first(db)?;
            let messages: i64 = ticket_messages::table.count().get_result(db)?;
            let events: i64 = ticket_events::table.count().get_result(db)?;
            Ok((row, messages, events))
        })
    };
    let before = state();
    let existing = ticket.reference.clone();
    let missing = accord::tickets::TicketReference::random("ACC").to_string();
    let changes: [(&str, &[(&str, &str)]); 12] = [
        ("status", &[("status", "closed"), ("version", "1")]),
        ("priority", &[("priority", "high")]),
        ("assignment", &[("assignee", "me"), ("version", "1")]),
        ("queue", &[("queue", "x"), ("version", "1")]),
        ("place", &[]),
        ("privacy", &[("is_private", "true")]),
        ("tags", &[("tag", "x")]),
        ("tags/removal", &[("tag", "x")]),
        ("requester", &[("requester", "zoe@brun.example"), ("version", "1")]),
        ("participants", &[("participant", "zoe@brun.example")]),
        ("messages/x/acceptance", &[]),
        ("mails/x/retry", &[]),
    ];
    for stranger in [cast.marc, cast.zoe, cast.paul, cast.ivan] {
        let browser = app.signed_in(stranger).await;
        let mut bodies = Vec::new();
        for reference in [&existing, &missing] {
            let path = format!("/tickets/{reference}");
            let page = browser.get(&path).await;
            page.assert_status(404).assert_silent_about("Écran noir");
            bodies.push(page.bytes);
            for (what, fields) in changes {
                browser.post(&format!("{path}/{what}"), fields).await.assert_status(404);
            }
            for what in ["replies", "notes", "preview"] {
                let fields = [("text", "x"), ("note", "x"), ("seen", "2")];
                browser.upload(&format!("{path}/{what}"), &fields, &[]).await.assert_status(404);
            }
        }
        assert_eq!(bodies[0], bodies[1], "the pages of what exists and what does not are the same");
        for path in [
            format!("/attachments/{file}"),
            format!("/messages/{message}/frame"),
            format!("/messages/{message}/source"),
            format!("/messages/{message}/original"),
        ] {
            browser.get(&path).await.assert_status(404).assert_silent_about("secret-4711");
        }
        if stranger != cast.marc {
            browser.get("/tickets").await.assert_status(404);
            browser.get("/tickets/new?address=claire@arnaud.example").await.assert_status(404);
        }
    }
    assert_eq!(state(), before);
    let visitor = app.browser().await;
    visitor.get(&format!("/tickets/{existing}")).await.assert_status(303);
    visitor.get(&format!("/attachments/{file}")).await.assert_status(303);
}

#[actix_web::test]
async fn a_06_a_customer_reaches_no_note_by_its_frame_or_file() {
    let (app, cast, ticket, lea) = desk().await;
    let path = format!("/tickets/{}/notes", ticket.reference);
    lea.upload(&path, &[("note", "canari-4711")], &[("files", "n.txt", b"canari-4711")]).await.assert_status(303);
    let note = last_handle(&app, &ticket);
    let file = app.read(|db| attachments::of_ticket(db, &ticket))[0].handle.clone();
    let claire = app.signed_in(cast.claire).await;
    claire.get(&format!("/attachments/{file}")).await.assert_status(404);
    claire.get(&format!("/messages/{note}/frame")).await.assert_status(404);
    lea.get(&format!("/attachments/{file}")).await.assert_status(200);
}

#[actix_web::test]
async fn h_09_adv_18_files_are_only_ever_downloaded() {
    let (app, cast, ticket, _) = desk().await;
    let files: [(&str, &[u8], Option<&str>); 4] = [
        ("page.html", b"<script>alert(1)</script>", None),
        ("image.svg", b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", None),
        ("notes\u{202e}txt.exe", b"MZ", None),
        ("photo.png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0", Some("photo@x")),
    ];
    a_mail(&app, &ticket, cast.claire, "<p>Voir <img src=\"cid:photo@x\"></p>", &files);
    let claire = app.signed_in(cast.claire).await;
    for file in app.read(|db| attachments::of_ticket(db, &ticket)) {
        let answer = claire.get(&format!("/attachments/{}", file.handle)).await;
        answer.assert_status(200);
        let disposition = answer.header("content-disposition").unwrap();
        assert!(disposition.starts_with("attachment;") && !disposition.contains('\u{202e}'), "{disposition}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("content-security-policy"), Some("sandbox; default-src 'none'"));
        assert_eq!(answer.header("cross-origin-resource-policy"), Some("same-origin"));
        let kind = if file.file_name == "photo.png" { "image/png" } else { "application/octet-stream" };
        assert_eq!(answer.header("content-type"), Some(kind), "{}", file.file_name);
    }
}

#[actix_web::test]
async fn h_02_h_04_a_mail_s_html_is_shown_in_a_frame_that_can_do_nothing() {
    let (app, cast, ticket, lea) = desk().await;
    let html = "<p onclick=x>Bonjour <b>vous</b></p><script>alert(1)</script><style>p{}</style>\
                <img src=\"https://spy.example/p.gif\"><img src=\"cid:photo@x\"><a href=\"https://ok.example\">ici</a>";
    let png: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0";
    a_mail(&app, &ticket, cast.claire, html, &[("photo.png", png, Some("<photo@x>"))]);
    let path = format!("/messages/{}/frame", last_handle(&app, &ticket));
    let page = lea.get(&format!("/tickets/{}", ticket.reference)).await;
    page.assert_says(&format!("src=\"{path}\"")).assert_silent_about("spy.example");
    assert!(page.text().contains("sandbox=\"allow-popups allow-popups-to-escape-sandbox\""));
    let frame = lea.get(&path).await;
    frame.assert_status(200).assert_says("<b>vous</b>").assert_says("data:image/png;base64,");
    for gone in ["<script", "onclick", "spy.example", "p{}"] {
        frame.assert_silent_about(gone);
    }
    let policy = frame.header("content-security-policy").unwrap();
    for part in ["sandbox allow-popups allow-popups-to-escape-sandbox;", "default-src 'none'", "frame-ancestors 'self'"]
    {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(policy.contains("style-src 'sha256-") && !policy.contains("allow-scripts") && !policy.contains("https:"));
    assert_eq!(frame.header("referrer-policy"), Some("no-referrer"));
    let loaded = lea.get(&format!("{path}?images=1")).await;
    loaded.assert_says("https://spy.example/p.gif");
    assert!(loaded.header("content-security-policy").unwrap().contains("img-src data: 'self' https:"));
}

#[actix_web::test]
async fn h_02_a_large_inline_image_has_an_address_for_its_reader_and_five_minutes() {
    let (app, cast, ticket, lea) = desk().await;
    let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0".to_vec();
    png.resize(1_100_000, 7);
    a_mail(&app, &ticket, cast.claire, "<p><img src=\"cid:big@x\"></p>", &[("big.png", &png, Some("big@x"))]);
    let frame = lea.get(&format!("/messages/{}/frame", last_handle(&app, &ticket))).await.text();
    let address = frame.split("src=\"/inline/").nth(1).expect("an address").split('"').next().unwrap();
    let address = format!("/inline/{}", address.replace("&amp;", "&"));
    // Frames send no cookies.
    let nobody = app.browser().await;
    nobody.get(&address).await.assert_status(200);
    nobody.get(&address.replace("until=", "until=9")).await.assert_status(404);
    app.clock.advance(TimeDelta::minutes(5));
    nobody.get(&address).await.assert_status(404);
}

#[actix_web::test]
async fn adv_15_h_05_subjects_and_names_are_text_wherever_they_stand() {
    let (app, cast) = TestApp::with_cast();
    let probe = "<img src=x onerror=alert(1)>\"'&";
    let ticket = app.ticket(cast.claire, probe);
    let lea = app.signed_in(cast.lea).await;
    for path in ["/tickets".to_owned(), format!("/tickets/{}", ticket.reference)] {
        let page = lea.get(&path).await;
        page.assert_status(200).assert_silent_about("<img src=x").assert_says("&#60;img src=x onerror=alert(1)&#62;");
    }
}

#[actix_web::test]
async fn b_01_a_call_is_logged_with_number_time_duration_and_whom_it_reached() {
    let (app, cast, _, lea) = desk().await;
    lea.get("/tickets/new").await.assert_status(200).assert_says("Adresse électronique du demandeur");
    lea.get("/tickets/new?address=nonsense").await.assert_status(422).assert_says("address-error");
    let form = lea.get("/tickets/new?address=claire@arnaud.example").await;
    form.assert_status(200).assert_says("Claire Lefèvre").assert_says("Vignobles Arnaud");
    let queue = app.read(|db| queues::find_by_kind(db, QueueKind::Support)).unwrap().handle;
    let fields = [
        ("address", "claire@arnaud.example"),
        ("channel", "telephone"),
        ("received_at", "2026-11-23T08:45"),
        ("number", "+33 5 56 00 11 22"),
        ("duration", "12"),
        ("reached", "Léa Roux"),
        ("queue", &queue),
        ("subject", "Plus de réseau"),
        ("text", "Elle n’a plus de réseau depuis ce matin."),
        ("assign_to_me", "true"),
        ("once", "appel"),
    ];
    let wrong: Vec<(&str, &str)> = fields
        .iter()
        .map(|(name, value)| if *name == "duration" { (*name, "douze") } else { (*name, *value) })
        .collect();
    let again = lea.upload("/tickets", &wrong, &[]).await;
    again.assert_status(422).assert_says("duration-error").assert_says("Plus de réseau");
    let opened = lea.upload("/tickets", &fields, &[]).await;
    opened.assert_status(303);
    let page = lea.get(opened.location()).await;
    for said in ["+33 5 56 00 11 22", "12 minutes", "Léa Roux", "par téléphone", "8:45"] {
        page.assert_says(said);
    }
    let twice = lea.upload("/tickets", &fields, &[]).await;
    assert_eq!(twice.location(), opened.location());
    let reference = opened.location().split(['/', '?']).nth(2).unwrap().to_owned();
    let actor = app.actor(cast.lea);
    let ticket = app.read(|db| ticket::by_reference(db, &actor, &reference));
    assert_eq!((ticket.assignee_id, ticket.requester_id), (Some(cast.lea), cast.claire));
}

/// What was logged of a call, its requester sees too; what is said of them, they see all of (B4).
#[actix_web::test]
async fn b_01_the_customer_sees_by_which_way_a_request_came_and_what_was_noted_of_it() {
    let (app, cast, _, lea) = desk().await;
    let queue = app.read(|db| queues::find_by_kind(db, QueueKind::Support)).unwrap().handle;
    let claire = app.signed_in(cast.claire).await;
    for (channel, subject, said) in [
        ("telephone", "Appel du matin", vec!["par téléphone", "+33 5 56 00 11 22", "12 minutes", "Léa Roux", "8:45"]),
        ("fax", "Télécopie", vec!["par télécopie", "8:45"]),
        ("letter", "Lettre", vec!["8:45"]),
    ] {
        let fields = [
            ("address", "claire@arnaud.example"),
            ("channel", channel),
            ("received_at", "2026-11-23T08:45"),
            ("number", "+33 5 56 00 11 22"),
            ("duration", "12"),
            ("reached", "Léa Roux"),
            ("queue", &queue),
            ("subject", subject),
            ("text", "Rien ne va plus."),
            ("once", subject),
        ];
        let opened = lea.upload("/tickets", &fields, &[]).await;
        let path = opened.assert_status(303).location().split('?').next().unwrap().to_owned();
        let (desk, own) = (lea.get(&path).await, claire.get(&path.replace("/tickets/", "/requests/")).await);
        for said in said {
            desk.assert_status(200).assert_says(said);
            own.assert_status(200).assert_says(said);
        }
        for icon in ["#phone\"", "#fax\"", "#letter\""] {
            let is_its_own = icon[1..].starts_with(if channel == "telephone" { "phone" } else { channel });
            assert_eq!(desk.text().contains(icon), is_its_own, "{channel}, to the desk: {icon}");
            assert_eq!(own.text().contains(icon), is_its_own, "{channel}, to the customer: {icon}");
        }
        if channel == "letter" {
            desk.assert_says("par lettre");
            own.assert_says("par courrier postal");
        }
    }
}

#[actix_web::test]
async fn b_03_whoever_answers_somebody_who_gets_no_mail_is_told_so_before_and_after() {
    let (app, cast, ticket, lea) = desk().await;
    let path = format!("/tickets/{}", ticket.reference);
    lea.get(&path)
        .await
        .assert_says("Claire Lefèvre &#60;claire@arnaud.example&#62;")
        .assert_silent_about("Enregistrer la réponse");
    let (claire, by, now) = (cast.claire, cast.anne, app.now());
    app.write(move |db| person::disable(db, claire, by, now));
    let page = lea.get(&path).await;
    page.assert_says("le compte est désactivé").assert_says("Enregistrer la réponse");
    page.assert_silent_about("Claire Lefèvre &#60;claire@arnaud.example&#62;");
    let text = page.text();
    let fields = [("text", "Redémarrez."), ("seen", &hidden(&text, "seen")), ("once", &hidden(&text, "once"))];
    let answer = lea.upload(&format!("{path}/replies"), &fields, &[]).await;
    lea.get(answer.assert_status(303).location()).await.assert_says("Aucun courriel n’a été envoyé");
    let Transport::Memory(memory) = &app.app.transport else { panic!("tests send into memory") };
    app.run_jobs();
    assert!(memory.take().iter().all(|mail| mail.recipient != "claire@arnaud.example"));
}

#[actix_web::test]
async fn b_01_somebody_without_an_e_mail_address_asks_by_letter_and_is_written_no_mail() {
    let (app, cast, _, lea) = desk().await;
    lea.get("/tickets/new").await.assert_says("/tickets/new?without_address=true");
    let form = lea.get("/tickets/new?without_address=true").await;
    form.assert_status(200).assert_says("Pas d’adresse électronique").assert_says("Adresse postale");
    let queue = app.read(|db| queues::find_by_kind(db, QueueKind::Support)).unwrap().handle;
    let letter = |name: &'static str, person: &str, once: &'static str| {
        [
            ("without_address", "true".to_owned()),
            ("person", person.to_owned()),
            ("name", name.to_owned()),
            ("address_lines", "3 rue du Port\n33000 Bordeaux".to_owned()),
            ("channel", "letter".to_owned()),
            ("received_at", "2026-11-23T08:45".to_owned()),
            ("queue", queue.clone()),
            ("subject", "Ma facture".to_owned()),
            ("text", "Elle écrit qu’elle n’a pas reçu sa facture.".to_owned()),
            ("once", once.to_owned()),
        ]
    };
    let send = async |fields: [(&'static str, String); 10]| {
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        lea.upload("/tickets", &fields, &[]).await
    };
    send(letter("", "", "un")).await.assert_status(422).assert_says("name-error");
    let opened = send(letter("Odette Lacaze", "", "un")).await;
    let path = opened.assert_status(303).location().split('?').next().unwrap().to_owned();
    let page = lea.get(&path).await;
    for said in ["Odette Lacaze", "3 rue du Port", "par lettre", "Pas d’adresse électronique", "envoyé à personne"]
    {
        page.assert_status(200).assert_says(said);
    }
    page.assert_silent_about(".invalid");

    // An answer stands in the ticket, and nobody is mailed.
    let text = page.text();
    let (seen, once) = (hidden(&text, "seen"), hidden(&text, "once"));
    app.run_jobs();
    let Transport::Memory(memory) = &app.app.transport else { panic!("tests send into memory") };
    memory.take();
    let reply =
        [("text", "Nous vous l’avons renvoyée par la poste."), ("seen", &seen), ("once", &once), ("status", "closed")];
    lea.upload(&format!("{path}/replies"), &reply, &[]).await.assert_status(303);
    app.run_jobs();
    assert!(memory.take().is_empty());
    lea.get(&path).await.assert_says("renvoyée par la poste");

    // Her next letter is hers: from the ticket it is a click.
    let next =
        text.split("/tickets/new?without_address=true&amp;person=").nth(1).expect("a link").split('"').next().unwrap();
    let known = lea.get(&format!("/tickets/new?without_address=true&person={next}")).await;
    known.assert_status(200).assert_says("Odette Lacaze").assert_silent_about("Adresse postale");
    let again = send(letter("", next, "deux")).await;
    let second = again.assert_status(303).location().split(['/', '?']).nth(2).unwrap().to_owned();
    let actor = app.actor(cast.lea);
    let first = path.rsplit('/').next().unwrap().to_owned();
    let (one, other) =
        app.read(|db| Ok((ticket::by_reference(db, &actor, &first)?, ticket::by_reference(db, &actor, &second)?)));
    assert_eq!(one.requester_id, other.requester_id);
    // Somebody with an address is found by it, and by nothing else.
    let claire = app.read(|db| person::by_id(db, cast.claire)).handle;
    send(letter("x", &claire, "trois")).await.assert_status(404);
    // Lists do not show what stands for the address either.
    let anne = app.signed_in(cast.anne).await;
    anne.get("/admin/people").await.assert_says("Odette Lacaze").assert_silent_about(".invalid");
}

#[actix_web::test]
async fn e_03_an_intervention_logged_by_hand_needs_its_site() {
    let (app, _, _, lea) = desk().await;
    let queue = app.read(|db| queues::find_by_kind(db, QueueKind::Intervention)).unwrap().handle;
    let fields = [
        ("address", "claire@arnaud.example"),
        ("channel", "telephone"),
        ("received_at", "2026-11-23T08:45"),
        ("queue", &queue),
        ("subject", "Venir voir"),
        ("text", "La cuve fuit."),
    ];
    lea.upload("/tickets", &fields, &[]).await.assert_status(422).assert_says("Choisissez le site");
}

#[actix_web::test]
async fn t_04_guesses_from_one_address_are_stopped() {
    let (app, cast, _, _) = desk().await;
    let claire = app.signed_in(cast.claire).await;
    let mut stopped = 0;
    for guess in 0..60 {
        let answer = claire.get(&format!("/attachments/guess{guess}")).await;
        stopped += i32::from(answer.status.as_u16() == 429);
    }
    assert_eq!(stopped, 30);
    app.clock.advance(TimeDelta::minutes(2));
    claire.get("/attachments/guess").await.assert_status(404);
}

#[actix_web::test]
async fn t_04_guesses_from_the_addresses_of_one_household_are_stopped_as_from_one() {
    let (app, cast) = TestApp::cast_with_settings("[http]\ntrusted_proxies = [\"192.0.2.7\"]\n");
    let claire = app.signed_in(cast.claire).await;
    let guess = async |from: String| {
        let request = TestRequest::get().uri("/attachments/guess").insert_header(("x-forwarded-for", from));
        claire.send(request).await.status.as_u16()
    };
    for host in 0..30 {
        assert_eq!(guess(format!("2001:db8:1:2::{host:x}")).await, 404);
    }
    assert_eq!(guess("2001:db8:1:2:ffff::1".to_owned()).await, 429);
    assert_eq!(guess("2001:db8:1:3::1".to_owned()).await, 404);
}

#[actix_web::test]
async fn a_preview_shows_what_will_be_read_and_sends_nothing() {
    let (app, _, ticket, lea) = desk().await;
    let path = format!("/tickets/{}/preview", ticket.reference);
    let shown = lea.upload(&path, &[("text", "*Bonjour* <script>x</script>"), ("seen", "1")], &[]).await;
    shown.assert_status(200).assert_says("<em>Bonjour</em>").assert_silent_about("<script>x");
    assert_eq!(app.again(&ticket).message_count, 1);
}
