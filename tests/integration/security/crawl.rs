//! Walks along every link that somebody is shown, as a link scanner would.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use accord::access::{self, Actor};
use accord::db::DbConnection;
use accord::db::connection::{Role, open};
use accord::mail::transport::Transport;
use accord::people::api_tokens::{self, NewApiToken, Scope};
use accord::people::organisations::{self, Information};
use accord::people::person;
use accord::tickets::messages::{self, NewNote, Words};
use accord::tickets::{Ticket, attachments, links, tags, ticket};
use accord::web::router;
use actix_web::http::{Method, header};
use actix_web::test::TestRequest;
use chrono::TimeDelta;
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::Text;

use crate::support::TestApp;
use crate::support::app::BASE_URL;
use crate::support::browser::{Answered, Browser};
use crate::support::cast::Cast;
use crate::support::dump::Moment;

/// What was answered, by path.
type Walk = BTreeMap<String, Answered>;

/// Pages that one walk opens at most.
const FAR: usize = 400;

/// Opens every page that can be reached from `starts`, as `scanner` says of itself.
async fn walk(browser: &Browser, starts: &[&str], scanner: &str) -> Walk {
    let mut ahead: VecDeque<String> = starts.iter().map(|start| (*start).to_owned()).collect();
    let mut walk = Walk::new();
    while let Some(path) = ahead.pop_front() {
        if walk.contains_key(&path) || walk.len() >= FAR {
            continue;
        }
        let request = TestRequest::get().uri(&path).insert_header((header::USER_AGENT, scanner));
        let answer = browser.send(request).await;
        assert!(answer.status.as_u16() < 500, "{path}: {}", answer.text());
        assert_strict(&path, &answer);
        ahead.extend(links_in(&answer));
        walk.insert(path, answer);
    }
    walk
}

/// The paths of ours that a page leads to, its frames and images too.
fn links_in(answer: &Answered) -> Vec<String> {
    let text = if answer.location().is_empty() { answer.text() } else { format!("href=\"{}\"", answer.location()) };
    let mut found = Vec::new();
    for attribute in ["href=\"", "src=\""] {
        for rest in text.split(attribute).skip(1) {
            let link = rest.split(['"', '#']).next().unwrap_or_default().replace("&amp;", "&").replace("&#38;", "&");
            if link.starts_with('/') && !link.starts_with("//") && !link.starts_with("/assets/") {
                found.push(link);
            }
        }
    }
    found
}

/// H-03: the policy stands on every answer.
fn assert_strict(path: &str, answer: &Answered) {
    let policy = answer.header("content-security-policy").unwrap_or_else(|| panic!("{path} has no policy"));
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe-"), "{path}: {policy}");
    assert!(policy.contains("frame-ancestors") || policy.starts_with("sandbox"), "{path}: {policy}");
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
    assert!(answer.header("referrer-policy").is_some(), "{path}");
}

/// An installation with a ticket of Paul's that has everything: files, tags, a note, a mail with HTML.
fn an_installation() -> (TestApp, Cast, Ticket) {
    let (app, cast) = TestApp::with_cast();
    internal_numbers_are_seen_from_afar(&app);
    let (arnaud, now, hugo) = (cast.arnaud, app.now(), cast.hugo);
    app.write(move |db| {
        accord::people::staff::accept_undertaking(db, hugo, now)?;
        let organisation = organisations::by_id(db, arnaud)?;
        let information = Information {
            colleagues_see_tickets: true,
            ..Information::named(&organisation.name, accord::i18n::Locale::Fr)
        };
        organisations::update(db, &organisation, organisation.version, &information, None, now)
    });
    let paul = app.read(|db| person::by_id(db, cast.paul));
    let ticket = app.given().ticket(&paul, "Écran noir", "Rien ne va plus.");
    app.run_jobs();
    let ticket = app.read(|db| ticket::by_id(db, ticket.id));
    (app, cast, ticket)
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

/// From now on ids begin so high that none is met by chance (T-01). Public names have neither 0 nor 1 in them.
const SEEN_FROM_AFAR: &str = "73100";

fn internal_numbers_are_seen_from_afar(app: &TestApp) {
    let mut db = open(app.app.database.url(), Role::Migrator).unwrap();
    let first = "7310000000";
    let statement = match &mut db {
        DbConnection::Sqlite(_) => {
            format!(
                "DELETE FROM sqlite_sequence; INSERT INTO sqlite_sequence (name, seq) SELECT name, {first} FROM \
                 sqlite_schema WHERE type = 'table' AND sql LIKE '%AUTOINCREMENT%'"
            )
        }
        DbConnection::Postgres(_) => {
            let tables = "SELECT table_name::text AS line FROM information_schema.columns WHERE table_schema = 'public' \
                          AND column_name = 'id' AND is_identity = 'YES'";
            let tables = diesel::sql_query(tables).load::<Line>(&mut db).unwrap();
            let restart = |table: &Line| format!("ALTER TABLE {} ALTER COLUMN id RESTART WITH {first};", table.line);
            tables.iter().map(restart).collect()
        }
    };
    db.batch_execute(&statement).unwrap();
}

fn mails(app: &TestApp) -> Vec<String> {
    let Transport::Memory(memory) = &app.app.transport else { panic!("tests send into memory") };
    memory
        .sent()
        .into_iter()
        .map(|mail| format!("{} {}\n{}", mail.envelope_from, mail.recipient, String::from_utf8_lossy(&mail.bytes)))
        .collect()
}

/// What a program of `person` reads.
async fn api_walk(app: &TestApp, person: accord::db::types::PersonId, ticket: &Ticket) -> Vec<String> {
    let now = app.now();
    let scopes = Scope::ALL.iter().copied().filter(|scope| *scope != Scope::Inbound).collect();
    let new = NewApiToken { name: "Test".to_owned(), scopes, organisation: None, queue: None, days: 90 };
    let (_, secret) = app.write(move |db| api_tokens::create(db, person, &new, now));
    let wire = app.browser().await;
    let body = serde_json::json!({ "secret": secret.expose() });
    let answer = wire.send(TestRequest::post().uri("/api/v1/token").set_json(body)).await;
    let answer: serde_json::Value = serde_json::from_slice(&answer.bytes).unwrap();
    let token = format!("Bearer {}", answer["token"].as_str().unwrap());
    let reference = &ticket.reference;
    let mut said = Vec::new();
    for path in [
        "/api/v1/tickets".to_owned(),
        "/api/v1/tickets?limit=1".to_owned(),
        format!("/api/v1/tickets/{reference}"),
        format!("/api/v1/tickets/{reference}/messages"),
        format!("/api/v1/tickets/{reference}/messages?limit=1"),
        "/api/v1/people".to_owned(),
        "/api/v1/organisations".to_owned(),
    ] {
        let request = TestRequest::default().method(Method::GET).uri(&path);
        let answer = wire.send(request.insert_header((header::AUTHORIZATION, token.as_str()))).await;
        assert_strict(&path, &answer);
        said.push(format!("{:?} {}", answer.headers, answer.text()));
    }
    said
}

fn spoken(walk: &Walk) -> Vec<String> {
    walk.iter().map(|(path, answer)| format!("{path} {:?}\n{}", answer.headers, answer.text())).collect()
}

/// Without what differs each time: keys of forms and their tokens.
fn settled(walk: &Walk) -> Vec<(String, String)> {
    let of = |answer: &Answered| {
        let mut text = String::new();
        for (index, part) in answer.text().split("name=\"key\" value=\"").enumerate() {
            text.push_str(if index == 0 { part } else { part.split_once('"').map_or("", |(_, rest)| rest) });
        }
        let mut rest = String::new();
        for (index, part) in text.split("name=\"csrf\" value=\"").enumerate() {
            rest.push_str(if index == 0 { part } else { part.split_once('"').map_or("", |(_, rest)| rest) });
        }
        rest
    };
    walk.iter().map(|(path, answer)| (path.clone(), of(answer))).collect()
}

const CANARY: &str = "canari-jaune-4711";

/// A note with everything that a note can have, and a tag.
fn a_note_with_canaries(app: &TestApp, cast: &Cast, ticket: &Ticket) {
    let file = attachments::store(&app.app.storage, &format!("{CANARY}.txt"), CANARY.as_bytes(), None).unwrap();
    let (id, lea, now) = (ticket.id, cast.lea, app.now());
    app.write(move |db| {
        let ticket = ticket::by_id(db, id)?;
        let by = access::actor_of(db, lea)?;
        let words = Words::by_mail(CANARY, Some("<p>canari-jaune-4711</p>"));
        let note = NewNote { words, attachments: vec![file.clone()], mail_id: None, ingest: None };
        messages::add_note(db, &ticket, note, &by, now)?;
        tags::add(db, &ticket, CANARY, &by, now)
    });
    app.run_jobs();
}

#[actix_web::test]
async fn a_06_nothing_that_customers_are_shown_tells_that_there_is_a_note() {
    let (app, cast, ticket) = an_installation();
    let (now, paul) = (app.now(), cast.paul);
    let to = ticket.clone();
    let link = app.write(move |db| Ok(links::create(db, &to, paul, now)?.expose().to_owned()));
    let starts = ["/requests", "/requests?whose=all", "/requests?state=closed", "/account"];
    let customers = [cast.paul, cast.claire];
    let everything = async || {
        let mut seen = Vec::new();
        for person in customers {
            let browser = app.signed_in(person).await;
            let walked = walk(&browser, &starts, "Mozilla/5.0").await;
            // Sessions come and go with every look; they are not about the ticket.
            let walked: Walk = walked.into_iter().filter(|(path, _)| !path.starts_with("/account/security")).collect();
            seen.extend(settled(&walked));
        }
        let start = format!("/l/ticket/{link}");
        let holder = walk(&app.browser().await, &[start.as_str()], "Mozilla/5.0").await;
        seen.extend(settled(&holder));
        for person in customers {
            seen.extend(api_walk(&app, person, &ticket).await.into_iter().map(|said| (String::new(), said)));
        }
        seen
    };
    let before = everything().await;
    assert!(before.iter().any(|(_, text)| text.contains("Rien ne va plus.")), "the walk reads the ticket");
    app.clock.advance(TimeDelta::seconds(20));
    a_note_with_canaries(&app, &cast, &ticket);
    app.clock.advance(TimeDelta::seconds(-20));
    let after = everything().await;
    // Not a word, not a count, not a time: the same as if there were none.
    assert_eq!(before, after);
    let told: Vec<String> = mails(&app).into_iter().filter(|mail| !mail.contains("@garonne.example\n")).collect();
    assert!(!told.is_empty() && told.iter().all(|mail| !mail.contains(CANARY)));
    // The walk would have found it.
    let lea = walk(&app.signed_in(cast.lea).await, &["/tickets"], "Mozilla/5.0").await;
    assert!(spoken(&lea).iter().any(|page| page.contains(CANARY)));
}

#[actix_web::test]
async fn t_01_no_internal_number_is_in_five_hundred_answers_and_mails() {
    let (app, cast, ticket) = an_installation();
    for (number, person) in [cast.claire, cast.zoe, cast.ivan, cast.paul].into_iter().cycle().take(60).enumerate() {
        let person = app.read(|db| person::by_id(db, person));
        app.given().ticket(&person, &format!("Demande {number}"), "Texte.");
    }
    a_note_with_canaries(&app, &cast, &ticket);
    let mut captured = Vec::new();
    for person in [cast.anne, cast.hugo, cast.lea, cast.odile, cast.claire, cast.paul, cast.zoe] {
        let browser = app.signed_in(person).await;
        captured
            .extend(spoken(&walk(&browser, &["/", "/tickets?view=all", "/requests", "/account"], "Mozilla/5.0").await));
        captured.extend(api_walk(&app, person, &ticket).await);
    }
    captured.extend(mails(&app));
    assert!(captured.len() >= 500, "{}", captured.len());
    let id = app.read(|db| ticket::by_reference(db, &Actor::System, &ticket.reference)).id.0;
    assert!(id.to_string().starts_with(SEEN_FROM_AFAR), "{id}");
    for text in &captured {
        if let Some(at) = text.find(SEEN_FROM_AFAR) {
            let around: String = text[..at].chars().rev().take(200).collect::<String>().chars().rev().collect();
            panic!("an internal number: {around}{}", text[at..].chars().take(80).collect::<String>());
        }
    }
}

#[actix_web::test]
async fn c_02_adv_30_link_scanners_change_nothing_wherever_they_go() {
    let (app, cast, _) = an_installation();
    let browser = app.signed_in(cast.anne).await;
    let mut moment = Moment::of(&app, &["sessions.last_seen_at", "throttles"]);
    let routes: Vec<_> = router::table().into_iter().filter(|entry| entry.method == Method::GET).collect();
    let plain: Vec<&str> = routes.iter().map(|entry| entry.path).filter(|path| !path.contains('{')).collect();
    for scanner in [
        "Mozilla/5.0 (compatible; Microsoft Outlook SafeLinks)",
        "Mimecast-URL-Protect/1.0",
        "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
    ] {
        let walked = walk(&browser, &plain, scanner).await;
        assert!(walked.len() > plain.len(), "{}", walked.len());
        let changes = moment.changes();
        assert!(changes.is_empty(), "{scanner} changed {changes:#?}");
    }
}

#[actix_web::test]
async fn h_03_every_answer_has_the_policy_failures_too() {
    let (app, cast, _) = an_installation();
    let browser = app.signed_in(cast.lea).await;
    let mut statuses = BTreeSet::new();
    for request in [
        TestRequest::get().uri("/tickets"),
        TestRequest::get().uri("/nowhere"),
        TestRequest::get().uri("/tickets/%00"),
        TestRequest::get().uri("/admin/settings"),
        TestRequest::get().uri("/assets/nothing.css"),
        TestRequest::get().uri("/api/v1/tickets"),
        TestRequest::get().uri("/tickets/new?address=nonsense"),
        TestRequest::get().uri("/admin/unprocessed-mail?before=x"),
        TestRequest::get().uri("http://evil.example/"),
        TestRequest::post().uri("/tickets"),
        TestRequest::put().uri("/tickets").insert_header((header::ORIGIN, BASE_URL)),
        TestRequest::delete().uri("/account"),
        TestRequest::post().uri("/api/v1/inbound"),
        TestRequest::post().uri("/api/v1/token").set_json(serde_json::json!({})),
    ] {
        let answer = browser.send(request).await;
        assert_strict("a failure", &answer);
        statuses.insert(answer.status.as_u16());
    }
    assert!([200, 400, 401, 403, 404, 405, 421, 422].iter().all(|status| statuses.contains(status)), "{statuses:?}");
}

#[actix_web::test]
async fn h_05_adv_15_what_people_typed_is_text_on_every_page() {
    let probe = "zq7\"><zq7 onzq7='zq7'>{{zq7}}&lt;zq7";
    let (app, cast, ticket) = an_installation();
    let (now, id, arnaud, claire, lea) = (app.now(), ticket.id, cast.arnaud, cast.claire, cast.lea);
    let file = attachments::store(&app.app.storage, &format!("{probe}.txt"), b"x", None).unwrap();
    app.write(move |db| {
        let organisation = organisations::by_id(db, arnaud)?;
        let information = Information {
            colleagues_see_tickets: true,
            address_lines: probe.to_owned(),
            city: probe.to_owned(),
            ..Information::named(probe, accord::i18n::Locale::Fr)
        };
        organisations::update(db, &organisation, organisation.version, &information, None, now)?;
        let person = person::by_id(db, claire)?;
        let profile = person::Profile {
            first_name: probe.to_owned(),
            last_name: probe.to_owned(),
            job_title: probe.to_owned(),
            telephone: String::new(),
            language: person.language.0,
            time_zone: person.time_zone.clone(),
            theme: person.theme,
            mailed_about_tickets: person.mailed_about_tickets,
        };
        person::update(db, claire, person.version, &profile, now)?;
        let place = accord::people::sites::SiteDescription {
            name: probe.to_owned(),
            address: probe.to_owned(),
            person_in_charge: probe.to_owned(),
            telephone: "+33 5 56 00 00 00".to_owned(),
        };
        accord::people::sites::create(db, arnaud, &place, now)?;
        let by = access::actor_of(db, lea)?;
        let ticket = ticket::by_id(db, id)?;
        let note =
            NewNote { words: Words::on_page(probe), attachments: vec![file.clone()], mail_id: None, ingest: None };
        messages::add_note(db, &ticket, note, &by, now)
    });
    let claire = app.read(|db| person::by_id(db, cast.claire));
    app.given().ticket(&claire, probe, probe);
    app.run_jobs();
    let mut met = 0;
    for person in [cast.anne, cast.hugo, cast.lea, cast.claire, cast.paul] {
        let browser = app.signed_in(person).await;
        for (path, answer) in
            walk(&browser, &["/", "/tickets?view=all", "/requests?whose=all", "/account"], "Mozilla/5.0").await
        {
            let is_html = answer.header("content-type").is_some_and(|kind| kind.starts_with("text/html"));
            if !is_html {
                continue;
            }
            let text = answer.text();
            met += usize::from(text.contains("zq7"));
            for tag in text.split('<').skip(1) {
                let tag = tag.split('>').next().unwrap_or_default();
                assert!(!tag.starts_with("zq7"), "{path} has the tag <{tag}>");
                assert!(!tag.contains("onzq7='") && !tag.contains("\"zq7\""), "{path} has the attribute in <{tag}>");
            }
        }
    }
    assert!(met >= 10, "the probe was met on {met} pages only");
}
