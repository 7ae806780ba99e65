//! What Accord's own work leaves in a capture: requests, queries, jobs and mail of the organisation that agreed, and of
//! nobody else.

use std::collections::BTreeSet;

use accord::diagnostics::record::Record;
use accord::teams::queues;
use chrono::TimeDelta;

use super::turn;
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
