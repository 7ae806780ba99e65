//! Searching, on the database at hand: what is found, by whom, and that nothing typed breaks it.

use accord::access::Actor;
use accord::clock::UtcTime;
use accord::db::paging::{Cursor, Page};
use accord::db::types::PersonId;
use accord::search::{self, Hit, SearchQuery};
use accord::teams::queues::QueueKind;
use accord::tickets::{Ticket, participants, tags, ticket};
use chrono::TimeDelta;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::support::TestApp;
use crate::support::given::{SEES_ALL, share_tickets};

/// Does the jobs that follow what happened, without the mail.
fn index(test: &TestApp) {
    test.run_jobs();
}

fn page(test: &TestApp, actor: &Actor, typed: &str, after: Option<Cursor>, size: i64) -> Page<Hit> {
    test.read(|db| search::search(db, actor, &SearchQuery::parse(typed), after, size))
}

fn found(test: &TestApp, person: PersonId, typed: &str) -> Vec<String> {
    let actor = test.actor(person);
    page(test, &actor, typed, None, 25).rows.into_iter().map(|hit| hit.ticket.subject).collect()
}

fn reload(test: &TestApp, ticket: &Ticket) -> Ticket {
    test.read(|db| ticket::by_id(db, ticket.id))
}

#[test]
fn words_are_found_whatever_their_accents_and_endings() {
    let test = TestApp::set_up();
    let given = test.given();
    let claire = given.customer("Claire Lefèvre");
    let agent = given.agent("Bruno", &[QueueKind::Support]);
    given.ticket(&claire, "Imprimantes bloquées", "Les étiquettes ne sortent plus depuis l’été.");
    given.ticket(&claire, "Printers crashing", "It crashed twice, code ERR-1234.");
    index(&test);
    let imprimante = ["Imprimantes bloquées"];
    for typed in ["imprimante", "IMPRIMANTES", "etiquette", "l'été étiquettes", "\"etiquettes ne sortent\"", "bloquees"]
    {
        assert_eq!(found(&test, agent, typed), imprimante, "{typed}");
    }
    for typed in ["printer", "crash twice", "err-1234", "\"twice code err\"", "1234 printers"] {
        assert_eq!(found(&test, agent, typed), ["Printers crashing"], "{typed}");
    }
    for typed in ["absent", "\"sortent ne\"", "imprimante printer", "\"bloquées les\"", "", "   ", "!!!"] {
        assert!(found(&test, agent, typed).is_empty(), "{typed}");
    }
}

#[test]
fn conditions_narrow_what_is_found() {
    let test = TestApp::set_up();
    let given = test.given();
    let atelier = given.organisation("Atelier Durand");
    let jean = given.member("Jean Dupont", atelier.id, SEES_ALL);
    let claire = given.customer("Claire Lefèvre");
    let agent = given.agent("Bruno", &[QueueKind::Support]);
    let facture = given.ticket(&jean, "Facture en double", "La facture de mars est là deux fois.");
    given.ticket(&claire, "Facture perdue", "La facture d’avril manque.");
    index(&test);
    assert_eq!(found(&test, agent, "facture"), ["Facture perdue", "Facture en double"], "the latest first");
    assert_eq!(found(&test, agent, "from:jean facture"), ["Facture en double"]);
    assert_eq!(found(&test, agent, "from:jeandupont@client.example"), ["Facture en double"]);
    assert_eq!(found(&test, agent, "from:\"Jean Dupont\""), ["Facture en double"]);
    assert_eq!(found(&test, agent, "org:atelier"), ["Facture en double"]);
    assert_eq!(found(&test, agent, "org:\"Atelier Durand\" facture -avril"), ["Facture en double"]);
    assert!(found(&test, agent, "org:nobody facture").is_empty());
    assert_eq!(found(&test, agent, "facture -org:atelier"), ["Facture perdue"]);
    assert_eq!(found(&test, agent, "facture -\"deux fois\""), ["Facture perdue"]);
    assert_eq!(found(&test, agent, "status:open").len(), 2);
    assert!(found(&test, agent, "facture status:closed").is_empty());

    let (now, by) = (test.now(), test.actor(agent));
    test.write(move |db| tags::add(db, &facture, "À rappeler", &by, now));
    index(&test);
    assert_eq!(found(&test, agent, "tag:a-rappeler"), Vec::<String>::new(), "a tag keeps its accents");
    assert_eq!(found(&test, agent, "tag:à-rappeler facture"), ["Facture en double"]);
    assert_eq!(found(&test, agent, "facture -tag:\"à rappeler\""), ["Facture perdue"]);
}

#[test]
fn q_03_a_04_nobody_finds_what_they_may_not_see() {
    let test = TestApp::set_up();
    let given = test.given();
    let (atelier, other) = (given.organisation("Atelier Durand"), given.organisation("Autre SARL"));
    share_tickets(&test, &atelier);
    let jean = given.member("Jean Dupont", atelier.id, SEES_ALL);
    let lucie = given.member("Lucie Petit", atelier.id, SEES_ALL);
    let omar = given.member("Omar Benali", other.id, SEES_ALL);
    let agent = given.agent("Bruno", &[QueueKind::Support]);
    let elsewhere = given.agent("Sophie", &[QueueKind::Billing]);
    given.ticket(&jean, "Sauvegarde", "La sauvegarde échoue.");
    index(&test);
    assert_eq!(found(&test, agent, "sauvegarde").len(), 1);
    assert_eq!(found(&test, jean.id, "sauvegarde").len(), 1);
    assert_eq!(found(&test, lucie.id, "sauvegarde").len(), 1, "the organisation lets colleagues see it");
    for stranger in [omar.id, elsewhere] {
        for typed in ["sauvegarde", "org:atelier", "status:open", "from:jean", "-x status:open"] {
            assert!(found(&test, stranger, typed).is_empty(), "{typed}");
        }
    }
}

#[test]
fn a_06_a_note_is_found_by_staff_only() {
    let test = TestApp::set_up();
    let given = test.given();
    let jean = given.customer("Jean Dupont");
    let agent = given.agent("Bruno", &[QueueKind::Support]);
    let ticket = given.ticket(&jean, "Sauvegarde", "La sauvegarde échoue.");
    given.note(&ticket, agent, "Le canari est sur le disque.");
    index(&test);
    let hits = page(&test, &test.actor(agent), "canari", None, 25).rows;
    assert_eq!(hits.len(), 1);
    assert!(hits[0].staff_only);
    assert_eq!(hits[0].snippet.found, "canari");
    assert!(found(&test, jean.id, "canari").is_empty());
    assert!(found(&test, jean.id, "from:bruno").is_empty());
    let hits = page(&test, &test.actor(jean.id), "sauvegarde", None, 25).rows;
    assert_eq!(hits.len(), 1);
    assert!(!hits[0].snippet.before.contains("canari") && !hits[0].snippet.after.contains("canari"));
}

#[test]
fn th_07_who_joined_later_finds_what_was_said_since() {
    let test = TestApp::set_up();
    let given = test.given();
    let jean = given.customer("Jean Dupont");
    let lucie = given.customer("Lucie Petit");
    let agent = given.agent("Bruno", &[QueueKind::Support]);
    let ticket = given.ticket(&jean, "Sauvegarde", "Le mot ancien.");
    test.clock.advance(TimeDelta::hours(1));
    let (now, by, person) = (test.now(), test.actor(agent), lucie.id);
    let joined = ticket.clone();
    test.write(move |db| participants::approve(db, &joined, person, &by, now));
    test.clock.advance(TimeDelta::hours(1));
    given.customer_message(&reload(&test, &ticket), "Le mot récent.");
    index(&test);
    assert_eq!(found(&test, lucie.id, "récent").len(), 1);
    assert!(found(&test, lucie.id, "ancien").is_empty());
    assert_eq!(found(&test, jean.id, "ancien").len(), 1);
}

#[test]
fn pages_follow_each_other_without_gaps_and_a_ticket_stands_once() {
    let test = TestApp::set_up();
    let given = test.given();
    let jean = given.customer("Jean Dupont");
    let agent = given.agent("Bruno", &[QueueKind::Support]);
    let subjects: Vec<String> = (0..30).map(|number| format!("Demande {number}")).collect();
    for subject in &subjects {
        let ticket = given.ticket(&jean, subject, "Toujours la même chose.");
        given.customer_message(&ticket, "Encore la même chose.");
    }
    index(&test);
    let actor = test.actor(agent);
    let mut after = None;
    let mut listed = Vec::new();
    for _ in 0..10 {
        let page = page(&test, &actor, "chose", after, 7);
        listed.extend(page.rows.into_iter().map(|hit| hit.ticket.subject));
        after = page.next.and_then(|next| Cursor::parse(&next.to_text()));
        if after.is_none() {
            break;
        }
    }
    let mut distinct = listed.clone();
    distinct.sort();
    distinct.dedup();
    assert_eq!(distinct.len(), 30);
    assert_eq!(listed[0], "Demande 29");
}

#[test]
fn indexing_again_changes_nothing() {
    let test = TestApp::set_up();
    let given = test.given();
    let jean = given.customer("Jean Dupont");
    let agent = given.agent("Bruno", &[QueueKind::Support]);
    let first = given.ticket(&jean, "Première", "Le même mot.");
    given.ticket(&jean, "Seconde", "Le même mot.");
    index(&test);
    let before = found(&test, agent, "même");
    let (now, by) = (test.now(), test.actor(agent));
    test.write(move |db| {
        tags::add(db, &first, "un", &by, now)?;
        let first = ticket::by_id(db, first.id)?;
        tags::add(db, &first, "deux", &by, now)?;
        let first = ticket::by_id(db, first.id)?;
        tags::remove(db, &first, "un", &by, now)
    });
    index(&test);
    assert_eq!(found(&test, agent, "même"), before);
    assert_eq!(found(&test, agent, "tag:deux").len(), 1);
    assert!(found(&test, agent, "tag:un").is_empty());
}

#[test]
fn adv_23_q_01_ten_thousand_hostile_queries_find_nothing_foreign_and_break_nothing() {
    let test = TestApp::set_up();
    let given = test.given();
    let (atelier, other) = (given.organisation("Atelier Durand"), given.organisation("Autre SARL"));
    let jean = given.member("Jean Dupont", atelier.id, SEES_ALL);
    let omar = given.member("Omar Benali", other.id, SEES_ALL);
    given.ticket(&jean, "Secret", "Le canari est ici. search_documents NEAR words z f e a o t");
    given.ticket(&omar, "Sien", "Rien à voir.");
    index(&test);
    let actor = test.actor(omar.id);
    let pieces = prop_oneof![
        Just("\"".to_owned()),
        Just("*".to_owned()),
        Just("NEAR(".to_owned()),
        Just("words:".to_owned()),
        Just("search_index:".to_owned()),
        Just("^".to_owned()),
        Just("{".to_owned()),
        Just("}".to_owned()),
        Just(" OR ".to_owned()),
        Just(" AND ".to_owned()),
        Just(" NOT ".to_owned()),
        Just("-".to_owned()),
        Just("'".to_owned()),
        Just("';--".to_owned()),
        Just("<->".to_owned()),
        Just(":*".to_owned()),
        Just("&".to_owned()),
        Just("|".to_owned()),
        Just("!".to_owned()),
        Just("(".to_owned()),
        Just(")".to_owned()),
        Just("\\".to_owned()),
        Just("%".to_owned()),
        Just("_".to_owned()),
        Just("\0".to_owned()),
        Just("canari".to_owned()),
        Just("secret".to_owned()),
        Just("from:".to_owned()),
        Just("org:".to_owned()),
        Just("org:atelier".to_owned()),
        Just("tag:".to_owned()),
        Just("status:".to_owned()),
        Just("status:open".to_owned()),
        Just(" ".to_owned()),
        Just("z".to_owned()),
        Just("fcanar".to_owned()),
        "\\PC{0,6}",
        ".{0,6}",
    ];
    let hostile = prop::collection::vec(pieces, 0..14).prop_map(|pieces| pieces.concat());
    let config = ProptestConfig { cases: 10_000, failure_persistence: None, ..ProptestConfig::default() };
    TestRunner::new(config)
        .run(&hostile, |typed| {
            let page = test.read(|db| search::search(db, &actor, &SearchQuery::parse(&typed), None, 25));
            prop_assert!(page.rows.iter().all(|hit| hit.ticket.subject == "Sien"), "{typed:?}");
            Ok(())
        })
        .unwrap();
}

#[test]
fn t_01_a_cursor_of_a_search_hides_the_number_in_it() {
    let test = TestApp::set_up();
    let given = test.given();
    let jean = given.customer("Jean Dupont");
    let agent = given.agent("Bruno", &[QueueKind::Support]);
    for _ in 0..3 {
        given.ticket(&jean, "Demande", "Mot.");
    }
    index(&test);
    let actor = test.actor(agent);
    let next = || page(&test, &actor, "mot", None, 2).next.unwrap();
    assert_eq!(next().id, next().id);
    assert_ne!(next().to_text(), next().to_text());
    assert!(next().time > UtcTime::from_micros(0));
}

#[actix_web::test]
async fn agents_search_by_the_box_in_the_head() {
    let test = TestApp::set_up();
    let given = test.given();
    let jean = given.customer("Jean Dupont");
    let agent = given.agent("Bruno", &[QueueKind::Support]);
    let ticket = given.ticket(&jean, "<b>Sauvegarde</b>", "La sauvegarde <script>alert(1)</script> échoue.");
    index(&test);
    let browser = test.browser_of(agent).await;
    let page = browser.get("/search?q=sauvegardes").await;
    page.assert_status(200).assert_says(&ticket.reference).assert_says("<mark>sauvegarde</mark>");
    page.assert_says("&#60;script&#62;").assert_silent_about("<script>alert").assert_silent_about("<b>Sauvegarde");
    browser.get("/search?q=rien").await.assert_status(200).assert_says("Rien trouvé");
    browser.get("/search").await.assert_status(200).assert_says("Que cherchez-vous");
    browser.get("/search?q=%22%2A%28NEAR&after=%C3%A9").await.assert_status(200);
    let straight = browser.get(&format!("/search?q={}", ticket.reference.to_lowercase())).await;
    straight.assert_status(303);
    assert_eq!(straight.location(), format!("/tickets/{}", ticket.reference));
    let customer = test.browser_of(jean.id).await;
    customer.get("/search?q=sauvegarde").await.assert_status(404);
}
