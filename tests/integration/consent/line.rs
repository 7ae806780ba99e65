//! The whole line at two browsers and two mailboxes.

use accord::consent::life::{EndReason, GrantState, RequestState};
use accord::consent::{Component, Level, Subject};
use chrono::TimeDelta;

use super::Story;

const QUESTION: &[(&str, &str)] = &[
    ("purpose", "Comprendre pourquoi l'écran reste noir"),
    ("purpose_code", "fault"),
    ("subject", "organisation"),
    ("components", "pages"),
    ("components", "database"),
    ("level", "debug"),
    ("attributes", ""),
    ("duration", "120"),
    ("retention", "7"),
    ("recipients", "queue"),
    ("exports", "true"),
    ("stop_condition", ""),
    ("idle", ""),
];

#[actix_web::test]
async fn an_agent_asks_and_the_customer_narrows_watches_and_stops() {
    let story = Story::begin();
    let lea = story.test.signed_in(story.cast.lea).await;
    let ticket = format!("/tickets/{}", story.ticket.reference);
    lea.get(&ticket).await.assert_says("Demander un diagnostic");
    lea.get(&format!("{ticket}/consents/new")).await.assert_says("Rien n’est enregistré avant l’accord du client");

    // The agent sees what the customer will read; nothing is asked by looking.
    let preview = lea.post(&format!("{ticket}/consents/preview"), QUESTION).await;
    preview.assert_status(200).assert_says("Refuser ne change rien").assert_says("toutes les personnes de");
    preview.assert_says("db.statement").assert_says("Aucun diagnostic antérieur");
    assert!(story.sent().is_empty());

    let asked = lea.post(&format!("{ticket}/consents"), QUESTION).await;
    asked.assert_status(303);
    let page = asked.location().split('?').next().unwrap().to_owned();
    let pressed_twice = lea.post(&format!("{ticket}/consents"), QUESTION).await;
    assert_eq!(pressed_twice.location(), asked.location(), "a button pressed twice asks once");
    let handle = page.rsplit('/').next().unwrap().to_owned();
    lea.get(&page).await.assert_says("Attend une réponse").assert_says("Refuser ne change rien");

    // Claire may grant for the organisation, Paul asked for help; both read the same text.
    let mails = story.sent();
    let to_claire = mails.iter().find(|mail| mail.to == "claire@arnaud.example").expect("Claire is asked");
    assert!(mails.iter().any(|mail| mail.to == "paul@arnaud.example"), "Paul is asked");
    assert!(to_claire.mail.text.contains("Refuser ne change rien"), "{}", to_claire.mail.text);
    let link = to_claire.path("/l/consent/");

    // The link opens the sign-in, then the question.
    let stranger = story.test.browser().await;
    let opened = stranger.get(&link).await;
    assert_eq!(opened.location(), format!("/consents/{handle}"));
    let sign_in = stranger.get(opened.location()).await;
    assert!(sign_in.location().starts_with("/fr/sign-in?next=%2Fconsents%2F"), "{}", sign_in.location());

    let claire = story.test.signed_in(story.cast.claire).await;
    let question = claire.get(&format!("/consents/{handle}")).await;
    question.assert_says("Accorder moins").assert_says("Refuser").assert_silent_about(" checked");
    let text = question.text();
    let wording = text.split("name=\"wording\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    claire.get(&format!("/requests/{}", story.ticket.reference)).await;

    // Less: one component, coarser, shorter, no download.
    let less = [
        ("way", "less"),
        ("wording", wording.as_str()),
        ("components", "pages"),
        ("level", "info"),
        ("duration", "30"),
        ("retention", "1"),
    ];
    let granted = claire.post(&format!("/consents/{handle}/grant"), &less).await;
    assert_eq!(granted.location(), format!("/consents/{handle}?said=said-consent-granted"), "{}", granted.text());
    let request = story.test.read(|db| accord::consent::asking::find_by_handle(db, &handle)).unwrap();
    let grant = story.grant_of(&request).unwrap();
    assert_eq!(grant.scope.components(), [Component::Pages]);
    assert_eq!((grant.scope.level(), grant.duration_minutes, grant.retention_days), (Level::Info, 30, 1));
    assert!(!grant.exports_allowed);
    assert_eq!((grant.subject, grant.granted_by), (Subject::Organisation, story.cast.claire));

    // A banner on every page: with the button for who may stop, without it for who is only traced.
    let stop = format!("action=\"/consents/{handle}/withdrawal\"");
    for path in ["/requests", "/account", "/account/consents"] {
        claire.get(path).await.assert_says("consent-banner").assert_says(&stop).assert_says("30 minutes");
    }
    let paul = story.test.signed_in(story.cast.paul).await;
    for path in ["/requests", &format!("/requests/{}", story.ticket.reference)] {
        paul.get(path).await.assert_says("consent-banner").assert_silent_about(&stop);
    }
    let zoe = story.test.signed_in(story.cast.zoe).await;
    zoe.get("/requests").await.assert_silent_about("class=\"consent-banner\"");
    zoe.get(&format!("/consents/{handle}")).await.assert_status(404);
    lea.get(&ticket).await.assert_says("Enregistrement en cours");

    // The receipt, as a page, as a file, and in the mail with the way to stop.
    claire.get(&format!("/consents/{handle}/receipt")).await.assert_says("z6Mk").assert_says("Refuser ne change rien");
    let file = claire.get(&format!("/consents/{handle}/receipt.jsonld")).await;
    let document: serde_json::Value = serde_json::from_slice(&file.bytes).unwrap();
    assert_eq!(document["dct:conformsTo"], "https://w3id.org/dpv/schema/dpv-27560#receipt-eu-gdpr");
    accord::consent::receipt::verify(&document).unwrap();
    let mails = story.sent();
    let receipt = mails.iter().find(|mail| mail.to == "claire@arnaud.example").expect("the receipt goes to Claire");
    assert!(receipt.raw.contains("application/ld+json"), "{}", receipt.raw);
    assert!(mails.iter().any(|mail| mail.to == "lea@garonne.example"), "Léa hears of it");
    let stop_link = receipt.path("/l/stop/");

    // From the mail, without signing in: a page, then one button.
    let phone = story.test.browser().await;
    phone.get(&stop_link).await.assert_status(200).assert_says("Arrêter maintenant");
    assert_eq!(story.grant_of(&request).unwrap().state, GrantState::Active);
    let stopped = phone.post(&stop_link, &[]).await;
    stopped.assert_status(303);
    let grant = story.grant_of(&request).unwrap();
    assert_eq!(grant.end_reason, Some(EndReason::Withdrawn));
    assert_eq!(grant.kept_until, grant.ended_at, "what was captured goes at once");
    phone.get(&stop_link).await.assert_says("Retiré");
    claire.get("/requests").await.assert_silent_about("class=\"consent-banner\"");

    // Both sides are told, in the ticket and by mail.
    let mails = story.sent();
    for address in ["claire@arnaud.example", "lea@garonne.example"] {
        assert!(mails.iter().any(|mail| mail.to == address), "{address} hears of the end");
    }
    lea.get(&ticket).await.assert_says("a retiré l’accord");
    paul.get(&format!("/requests/{}", story.ticket.reference)).await.assert_says("a retiré l’accord");
    claire.get("/account/consents").await.assert_says("Données détruites").assert_says("Voir le reçu");
}

#[actix_web::test]
async fn refusing_is_one_press_and_changes_nothing_for_the_ticket() {
    let story = Story::begin();
    let request = story.ask_all();
    let before = story.ticket();
    let claire = story.test.signed_in(story.cast.claire).await;
    claire.post(&format!("/consents/{}/refusal", request.handle), &[]).await.assert_status(303);
    assert_eq!(story.again(&request).state, RequestState::Refused);
    let after = story.ticket();
    assert_eq!((before.status, before.priority, before.assignee_id), (after.status, after.priority, after.assignee_id));
    claire.post(&format!("/consents/{}/refusal", request.handle), &[]).await.assert_status(303);
    let late = story.grant(&request, None, story.cast.claire);
    assert!(super::is_conflict(&late, "conflict-consent-decided"), "{late:?}");
    assert!(story.sent().iter().any(|mail| mail.to == "lea@garonne.example"));
}

#[actix_web::test]
async fn a_text_that_changed_meanwhile_is_read_again_before_anything_is_granted() {
    let story = Story::begin();
    let request = story.ask_all();
    let claire = story.test.signed_in(story.cast.claire).await;
    let stale =
        claire.post(&format!("/consents/{}/grant", request.handle), &[("way", "all"), ("wording", "another")]).await;
    stale.assert_status(409).assert_says("Relisez-le");
    assert_eq!(story.grant_of(&request), None);
}

#[test]
fn what_is_more_than_was_asked_is_refused_beside_its_field() {
    let story = Story::begin();
    let request = story.ask_all();
    let asked = accord::consent::granting::Choice::as_asked(&request.terms);
    type Widen = fn(&mut accord::consent::granting::Choice);
    let wider: [(&str, Widen); 5] = [
        ("components", |choice| choice.scope = accord::consent::Scope::of(&[Component::Mail], Level::Info, vec![])),
        ("components", |choice| choice.scope = accord::consent::Scope::of(&[Component::Pages], Level::Trace, vec![])),
        ("components", |choice| choice.scope = accord::consent::Scope::default()),
        ("duration", |choice| choice.duration_minutes = 61),
        ("retention", |choice| choice.retention_days = 8),
    ];
    for (field, widen) in wider {
        let mut choice = asked.clone();
        widen(&mut choice);
        let outcome = story.grant(&request, Some(choice), story.cast.claire);
        let Err(accord::error::Error::Invalid(errors)) = &outcome else { panic!("{outcome:?}") };
        assert!(errors.of(field).is_some(), "{field}: {errors:?}");
    }
    assert_eq!(story.grant_of(&request), None);
}

#[actix_web::test]
async fn everything_asked_must_be_answered_within_72_hours() {
    let story = Story::begin();
    let request = story.ask_all();
    let link = story.sent_to("claire@arnaud.example").remove(0).path("/l/consent/");
    story.pass(TimeDelta::hours(72) - TimeDelta::seconds(1));
    assert_eq!(story.again(&request).state, RequestState::Requested);
    story.test.clock.advance(TimeDelta::seconds(1));
    let late = story.grant(&request, None, story.cast.claire);
    assert!(super::is_conflict(&late, "conflict-consent-lapsed"), "{late:?}");
    story.pass(TimeDelta::seconds(15));
    assert_eq!(story.again(&request).state, RequestState::Lapsed);
    let mails = story.sent();
    for address in ["claire@arnaud.example", "lea@garonne.example"] {
        assert!(mails.iter().any(|mail| mail.to == address), "{address} hears that nobody answered");
    }
    story.test.browser().await.get(&link).await.assert_status(404);
}
