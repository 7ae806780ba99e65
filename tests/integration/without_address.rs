//! Who has no e-mail address: nobody can type what stands for it, no page, mail or answer shows it, and whatever would be
//! mailed to them says that it is not.

use accord::i18n::Locale;
use accord::mail::address::EmailAddress;
use accord::mail::incoming;
use accord::mail::transport::Transport;
use accord::people::addresses;
use accord::people::memberships::{self, Rights};
use accord::people::person::{self, Origin, Person};
use accord::teams::queues::{self, QueueKind};
use accord::tickets::{participants, ticket};

use crate::support::TestApp;

/// What stands for an address, as somebody might type it.
const NOWHERES: [&str; 2] = ["odette@no-address.invalid", "Odette@No-Address.INVALID"];

/// Somebody who writes letters.
fn odette(app: &TestApp) -> Person {
    let now = app.now();
    app.write(move |db| {
        let address = EmailAddress::nowhere("odette").unwrap();
        person::find_or_create_by_address(db, &address, "Odette Lacaze", Origin::Staff, Locale::Fr, now)
    })
}

/// Whom a mail went to since this was asked last, and what it says.
fn mails(app: &TestApp) -> Vec<(String, String)> {
    app.run_jobs();
    let Transport::Memory(memory) = &app.app.transport else { panic!("tests send into memory") };
    memory.take().into_iter().map(|mail| (mail.recipient, incoming::parse(&mail.bytes).text)).collect()
}

fn hidden(page: &str, name: &str) -> String {
    let (_, rest) = page.split_once(&format!("name=\"{name}\" value=\"")).unwrap_or_else(|| panic!("no {name}"));
    rest.split('"').next().unwrap().to_owned()
}

#[actix_web::test]
async fn no_form_takes_what_stands_for_an_address() {
    let (app, cast) = TestApp::with_cast();
    let claire_s = app.read(|db| person::by_id(db, cast.claire));
    let ticket = app.given().ticket(&claire_s, "Écran noir", "Rien ne va plus.");
    mails(&app);
    let ticket = app.read(|db| ticket::by_id(db, ticket.id));
    let queue = app.read(|db| queues::find_by_kind(db, QueueKind::Support)).unwrap().handle;
    let paul = app.read(|db| person::by_id(db, cast.paul)).handle;
    let (guest, lea) = (app.browser().await, app.signed_in(cast.lea).await);
    let (hugo, claire) = (app.signed_in(cast.hugo).await, app.signed_in(cast.claire).await);
    let desk = format!("/tickets/{}", ticket.reference);
    let version = ticket.version.to_string();

    let mut taken = Vec::new();
    for address in NOWHERES {
        let named = [("first_name", "Odette"), ("last_name", "Lacaze")];
        let said = [("queue", queue.as_str()), ("subject", "Facture"), ("text", "Elle n’est pas arrivée.")];
        let filing = [("name", "Odette Lacaze"), ("email", address), ("key", address), ("time_zone", "Europe/Paris")];
        let by_hand = [("address", address), ("channel", "letter"), ("received_at", "2026-11-23T08:45")];
        let profile = [("telephone", ""), ("job_title", ""), ("language", "fr"), ("organisation", "")];
        let legal = [("legal_name", "Lacaze SARL"), ("telephone", "+33 5 56 00 11 22"), ("email", address)];
        let place = [("address_lines", ""), ("postal_code", ""), ("city", ""), ("country", ""), ("vat_number", "")];
        let own = [("address", address)];
        // Not those of the others, which would be refused as somebody else's.
        let (of_paul, of_another) = (format!("paul-{address}"), format!("autre-{address}"));
        let (of_paul, of_another) = ([("address", of_paul.as_str())], [("address", of_another.as_str())]);
        let members = format!("/organisations/{}/members", cast.arnaud_handle);
        let paul_s = format!("/admin/people/{paul}/address");
        let answers = [
            ("filing", "email", guest.upload("/fr/requests", &[&filing[..], &said].concat(), &[]).await),
            ("by hand", "address", lea.upload("/tickets", &[&by_hand[..], &said].concat(), &[]).await),
            (
                "participant",
                "participant",
                lea.post(&format!("{desk}/participants"), &[("participant", address)]).await,
            ),
            (
                "requester",
                "requester",
                lea.post(&format!("{desk}/requester"), &[("requester", address), ("version", &version)]).await,
            ),
            ("somebody's address", "address", hugo.post(&paul_s, &of_paul).await),
            (
                "a new person",
                "address",
                hugo.post("/admin/people", &[&named[..], &profile, &of_another].concat()).await,
            ),
            ("a member", "address", claire.post(&members, &[&named[..], &own].concat()).await),
            (
                "one's own",
                "address",
                claire.post("/account/address", &[("address", address), ("current_password", "x")]).await,
            ),
            ("registration", "email", guest.post("/fr/registration", &[&named[..], &legal, &place].concat()).await),
        ];
        for (form, field, answer) in &answers {
            let says_so = answer.text().contains(&format!("id=\"{field}-error\""));
            if answer.status.as_u16() != 422 || !says_so {
                taken.push(format!("{form}: {address}: {}", answer.status));
            }
        }
    }
    assert_eq!(taken, Vec::<String>::new());
    assert_eq!(mails(&app), []);
    let standing_for_it = EmailAddress::nowhere("odette").unwrap();
    assert!(app.read(|db| person::find_by_address(db, &standing_for_it)).is_none());
}

#[actix_web::test]
async fn an_answer_that_is_mailed_to_nobody_is_recorded_and_the_page_says_so() {
    let (app, cast) = TestApp::with_cast();
    let odette = odette(&app);
    let ticket = app.given().ticket(&odette, "Ma facture", "Elle n’est pas arrivée.");
    mails(&app);
    let lea = app.signed_in(cast.lea).await;
    let path = format!("/tickets/{}", ticket.reference);
    let answer = async |text: &str| {
        let page = lea.get(&path).await.text();
        let (seen, once) = (hidden(&page, "seen"), hidden(&page, "once"));
        lea.upload(&format!("{path}/replies"), &[("text", text), ("seen", &seen), ("once", &once)], &[]).await
    };
    let (record, send) = ("</svg> Enregistrer la réponse</button>", "</svg> Envoyer</button>");

    lea.get(&path).await.assert_says("n’est envoyé à personne").assert_says(record).assert_silent_about(send);
    let recorded = answer("Nous vous la renvoyons par la poste.").await;
    lea.get(recorded.assert_status(303).location()).await.assert_says("Votre réponse est enregistrée.");
    assert_eq!(mails(&app), []);

    // Claire joins: she is told, and the page says that Odette is not.
    let (id, by, now, claire) = (ticket.id, app.actor(cast.lea), app.now(), cast.claire);
    app.write(move |db| {
        let ticket = ticket::by_id(db, id)?;
        participants::approve(db, &ticket, claire, &by, now)
    });
    mails(&app);
    lea.get(&path)
        .await
        .assert_says("Odette Lacaze n’a pas d’adresse électronique et ne reçoit aucun courriel.")
        .assert_silent_about("n’est envoyé à personne")
        .assert_says(send)
        .assert_silent_about(record)
        .assert_silent_about(".invalid");
    let sent = answer("Elle est partie ce matin.").await;
    lea.get(sent.assert_status(303).location()).await.assert_says("Votre réponse est en route.");
    assert_eq!(mails(&app).into_iter().map(|(to, _)| to).collect::<Vec<_>>(), ["claire@arnaud.example"]);

    // Nothing of all this where the requester has an address.
    let claire = app.read(|db| person::by_id(db, cast.claire));
    let hers = app.given().ticket(&claire, "Écran noir", "Rien ne va plus.");
    let page = lea.get(&format!("/tickets/{}", hers.reference)).await;
    page.assert_says(send).assert_silent_about("aucun courriel").assert_silent_about(record);
}

#[actix_web::test]
async fn who_has_no_address_is_not_invited_and_the_page_offers_it_once_there_is_one() {
    let (app, cast) = TestApp::with_cast();
    let odette = odette(&app);
    let anne = app.signed_in(cast.anne).await;
    let path = format!("/admin/people/{}", odette.handle);
    let offered = format!("{path}/invitation");
    let page = anne.get(&path).await;
    page.assert_status(200).assert_says("Pas d’adresse électronique");
    page.assert_silent_about(&offered).assert_silent_about(".invalid").assert_silent_about("Non confirmée");
    let refused = anne.post(&offered, &[]).await;
    refused.assert_status(409).assert_says("aucune invitation n’a été envoyée").assert_says("Odette Lacaze");
    assert_eq!(mails(&app), []);

    let (id, now) = (odette.id, app.now());
    app.write(move |db| {
        let odette = person::by_id(db, id)?;
        addresses::change(db, &odette, &EmailAddress::parse("odette@lacaze.example").unwrap(), now)
    });
    anne.get(&path).await.assert_says(&offered).assert_says("odette@lacaze.example").assert_silent_about(".invalid");
    anne.post(&offered, &[]).await.assert_status(303);
    assert_eq!(mails(&app).into_iter().map(|(to, _)| to).collect::<Vec<_>>(), ["odette@lacaze.example"]);
    // What stood for an address is none of hers either.
    let account = app.signed_in(id).await.get("/account").await;
    account.assert_status(200).assert_says("odette@lacaze.example").assert_silent_about(".invalid");
}

#[actix_web::test]
async fn a_mail_about_who_has_no_address_calls_them_by_their_name() {
    let (app, cast) = TestApp::with_cast();
    let odette = odette(&app);
    let (arnaud, hugo, id, now) = (cast.arnaud, cast.hugo, odette.id, app.now());
    app.write(move |db| {
        memberships::add(db, id, arnaud, Rights::default(), Some(hugo), now)?;
        let manages = Rights { manages_organisation: true, ..Rights::default() };
        memberships::change_rights(db, arnaud, id, manages, Some(hugo), now)
    });
    let mails = mails(&app);
    assert_eq!(mails.iter().map(|(to, _)| to.as_str()).collect::<Vec<_>>(), ["claire@arnaud.example"]);
    let text = &mails[0].1;
    assert!(text.contains("Odette Lacaze") && !text.contains(".invalid"), "{text}");
}

#[test]
fn who_has_neither_name_nor_address_is_not_called_by_what_stands_for_it() {
    let stands_for_it = EmailAddress::nowhere("odette").unwrap();
    assert_eq!(person::display_name("", "", stands_for_it.as_str()), "");
    assert_eq!(person::display_name("", "", "odette@lacaze.example"), "odette@lacaze.example");
}
