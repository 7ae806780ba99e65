//! What Accord's own work leaves in a capture: requests, queries, jobs and mail of the organisation that agreed, and of
//! nobody else.

use std::collections::BTreeSet;

use accord::diagnostics::capture::ActiveGrant;
use accord::diagnostics::record::Record;
use accord::people::memberships::{self, Rights};
use accord::people::person;
use accord::teams::queues;
use accord::tickets::events::Maker;
use accord::tickets::participants;
use chrono::TimeDelta;

use super::{Turn, turn};
use crate::support::TestApp;
use crate::support::browser::Browser;
use crate::support::desk::{Desk, Letter};

/// Names of spans, targets of events.
fn summary(records: &[(i64, Record)]) -> BTreeSet<String> {
    let one = |(_, record): &(i64, Record)| match record {
        Record::Span(span) => format!("{} {}", span.body.target, span.body.name),
        Record::Event(event) => event.body.target.clone(),
        Record::Gap(gap) => panic!("{gap:?}"),
    };
    records.iter().map(one).collect()
}

async fn file(app: &TestApp, browser: &Browser, subject: &str) {
    let queue = app.read(|db| Ok(queues::on_form(db)?[0].handle.clone()));
    let fields = [("queue", queue.as_str()), ("subject", subject), ("text", "canary 5d0b"), ("key", subject)];
    browser.upload("/requests", &fields, &[]).await.assert_status(303);
}

#[actix_web::test]
async fn cn_12_requests_queries_and_jobs_are_captured_for_the_organisation_that_agreed_and_no_other() {
    let (app, cast) = TestApp::with_cast();
    let turn = turn();
    let (claire, zoe, lea) =
        (app.signed_in(cast.claire).await, app.signed_in(cast.zoe).await, app.signed_in(cast.lea).await);
    let stranger = app.browser().await;
    let grant = turn.grant(cast.arnaud, None, TimeDelta::hours(1));
    turn.publish(std::slice::from_ref(&grant));

    // Another organisation, staff, and nobody in particular.
    file(&app, &zoe, "canary 9e41").await;
    app.run_jobs();
    lea.get("/queue").await;
    stranger.get("/fr").await;
    assert_eq!(turn.captured(), []);

    // The lease is short, and a test machine may be slow.
    turn.publish(std::slice::from_ref(&grant));
    claire.get("/requests").await.assert_status(200);
    file(&app, &claire, "canary 77c2").await;
    turn.publish(std::slice::from_ref(&grant));
    app.run_jobs();
    let records = turn.captured();
    let seen = summary(&records);
    for expected in [
        "accord::web request",
        "accord::db read",
        "accord::db write",
        "accord::db",
        "accord::worker job",
        "accord::mail delivery",
        "accord::mail",
    ] {
        assert!(seen.contains(expected), "{expected} is not in {seen:?}");
    }
    // No value of a query, nothing of what was written, no address.
    let text = format!("{records:?}");
    for canary in ["canary", "claire@", "binds"] {
        assert!(!text.contains(canary), "{canary} was captured");
    }

    turn.capture.withdraw(grant.grant);
    claire.get("/requests").await;
    assert_eq!(turn.captured(), []);
}

#[actix_web::test]
async fn a_person_s_grant_covers_their_own_requests_only() {
    let (app, cast) = TestApp::with_cast();
    let turn = turn();
    let (claire, paul) = (app.signed_in(cast.claire).await, app.signed_in(cast.paul).await);
    turn.publish(&[turn.grant(cast.arnaud, Some(cast.paul), TimeDelta::hours(1))]);
    claire.get("/requests").await;
    assert_eq!(turn.captured(), []);
    paul.get("/requests").await;
    assert!(summary(&turn.captured()).contains("accord::web request"));
}

/// What is captured of `browser`'s requests for `path`, for the grant of an organisation.
async fn seen(turn: &Turn, grants: &[ActiveGrant], browser: &Browser, path: &str) -> bool {
    turn.publish(grants);
    turn.captured();
    browser.get(path).await;
    !turn.captured().is_empty()
}

#[actix_web::test]
async fn cn_12_who_belongs_to_several_organisations_is_captured_for_the_one_that_it_is_about_and_no_other() {
    let (app, cast) = TestApp::with_cast();
    let turn = turn();
    let (brun, zoe, now) = (cast.brun, cast.zoe, app.now());
    let (arnaud, paul) = (cast.arnaud, cast.paul);
    // Paul belongs to both companies; a ticket of his in each, and one of Zoé's in which Claire takes part.
    let of_paul = app.read(|db| person::by_id(db, paul));
    let at_home = app.given().ticket(&of_paul, "À la maison", "…");
    app.write(move |db| memberships::add(db, paul, brun, Rights::default(), None, now));
    let of_zoe = app.given().ticket(&app.read(|db| person::by_id(db, zoe)), "Chez Brun", "…");
    let (lea, claire, at) = (app.actor(cast.lea), cast.claire, of_zoe.clone());
    app.write(move |db| {
        for person in [paul, claire] {
            participants::propose(db, &at, person, Maker::Customer, now)?;
            participants::approve(db, &at, person, &lea, now)?;
        }
        Ok(())
    });
    let grants = [turn.grant(arnaud, None, TimeDelta::hours(1))];
    let paul = app.signed_in(paul).await;
    let home = format!("/requests/{}", at_home.reference);
    let away = format!("/requests/{}", of_zoe.reference);
    paul.get(&away).await.assert_status(200);

    // Until he says for whom he acts: what names something of theirs, and nothing else.
    assert!(seen(&turn, &grants, &paul, &home).await);
    for path in ["/requests", "/account", "/requests/new", away.as_str()] {
        assert!(!seen(&turn, &grants, &paul, path).await, "{path}");
    }
    paul.get("/account").await.assert_says("Vous n’agissez pour aucune organisation");
    let choose = async |handle: &str| {
        paul.post("/account/organisation", &[("organisation", handle)]).await.assert_status(303);
    };
    choose(&cast.brun_handle).await;
    paul.get("/account").await.assert_says("Vous agissez pour Ateliers Brun");
    for path in ["/requests", "/account", away.as_str()] {
        assert!(!seen(&turn, &grants, &paul, path).await, "{path}");
    }
    choose(&cast.arnaud_handle).await;
    paul.get("/requests").await.assert_says("Vous agissez pour Vignobles Arnaud");
    for path in ["/requests", "/account", home.as_str()] {
        assert!(seen(&turn, &grants, &paul, path).await, "{path}");
    }
    assert!(!seen(&turn, &grants, &paul, &away).await, "the ticket is another's, whoever he acts for");
    // What is filed is of the organisation that the form names, which is not known yet.
    turn.publish(&grants);
    turn.captured();
    let queue = app.read(|db| Ok(queues::on_form(db)?[0].handle.clone()));
    let fields = [("queue", queue.as_str()), ("subject", "Chez Brun"), ("text", "…"), ("key", "1f0a")];
    let fields = [fields.as_slice(), &[("organisation", cast.brun_handle.as_str())]].concat();
    paul.upload("/requests", &fields, &[]).await.assert_status(303);
    assert_eq!(turn.captured(), []);

    // Somebody else's organisation cannot be chosen, and one that was left counts no more.
    let ivan = app.read(|db| Ok(memberships::belongings(db, cast.ivan)?[0].organisation_handle.clone()));
    paul.post("/account/organisation", &[("organisation", ivan.as_str())]).await.assert_status(404);
    let gone = cast.paul;
    app.write(move |db| memberships::remove(db, arnaud, gone, None, now));
    for path in ["/requests", home.as_str()] {
        assert!(!seen(&turn, &grants, &paul, path).await, "{path}");
    }

    // Claire belongs to one only, and what she does in another's ticket is not of it.
    let claire = app.signed_in(cast.claire).await;
    claire.get(&away).await.assert_status(200);
    assert!(!seen(&turn, &grants, &claire, &away).await);
    assert!(seen(&turn, &grants, &claire, "/requests").await);
}

#[test]
fn an_incoming_mail_is_captured_once_it_is_known_whose_it_is() {
    let desk = Desk::open();
    let turn = turn();
    desk.receive(&Letter::from("somebody@elsewhere.example").subject("first"));
    let ticket = desk.ticket();
    let grants = [turn.grant(ticket.organisation_id, None, TimeDelta::hours(1))];
    turn.publish(&grants);
    desk.receive(&Letter::from("another@elsewhere.example").subject("not theirs"));
    assert_eq!(turn.captured(), []);
    turn.publish(&grants);
    desk.receive(&Letter::from("somebody@elsewhere.example").subject("second").text("canary 1b7e"));
    let records = turn.captured();
    let seen = summary(&records);
    assert!(seen.contains("accord::mail carry_out") && seen.contains("accord::db"), "{seen:?}");
    assert!(!format!("{records:?}").contains("canary"));
}
