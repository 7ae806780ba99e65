//! Many organisations at once, some of which agreed: nothing of one is ever on the grant of another, and nothing of those
//! who did not agree is anywhere (CN-12). Each request carries a canary of its organisation where records can have it.
//!
//! 100 000 requests go through the gate and the layer in every run of the suite. Through the whole program, with sessions,
//! pages and queries, it is [`REQUESTS`] of them there, and the 20 000 that `ACCORD_TEST_REQUESTS` says in `.ci/run`.

use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::task::Poll;

use accord::carry;
use accord::db::types::OrganisationId;
use accord::diagnostics::capture::ActiveGrant;
use accord::diagnostics::record::Record;
use accord::gate;
use accord::people::memberships;
use actix_web::rt::System;
use chrono::TimeDelta;
use futures_util::future::join_all;

use super::{Turn, turn};
use crate::support::TestApp;
use crate::support::browser::Browser;

/// Organisations; of every two, one agreed.
const ORGANISATIONS: i64 = 20;
/// Requests that are under way together.
const TOGETHER: i64 = 200;
const IN_ALL: i64 = 100_000;
/// Requests through the whole program.
const REQUESTS: usize = 300;

/// What is searched for in records. It stands where a stranger could write something.
fn canary(organisation: i64) -> String {
    format!("canary_{organisation}_of_one")
}

/// Of the organisations whose canary is in the records of each grant, those that should not be; and how many are.
struct Found {
    of: BTreeMap<i64, i64>,
    seen: BTreeMap<i64, u64>,
}

impl Found {
    /// The grants and the organisation of each.
    fn of(grants: &[ActiveGrant]) -> Found {
        let of = grants.iter().map(|grant| (grant.grant, grant.organisation.0)).collect();
        Found { of, seen: BTreeMap::new() }
    }

    fn take(&mut self, records: Vec<(i64, Record)>) {
        for (grant, record) in records {
            assert!(!matches!(record, Record::Gap(_)), "records were lost: {record:?}");
            let organisation = self.of[&grant];
            let text = format!("{record:?}");
            for (at, _) in text.match_indices("canary_") {
                let named = text[at + "canary_".len()..].split('_').next().and_then(|number| number.parse().ok());
                assert_eq!(named, Some(organisation), "on the grant of {organisation}: {text}");
                *self.seen.entry(organisation).or_default() += 1;
            }
        }
    }
}

/// One request of an organisation, with everything that mixes requests up where the organisation hangs on the thread or
/// on the current span: waiting with a span entered, another thread, another task.
async fn request(organisation: i64, number: i64) {
    let canary = canary(organisation);
    let span = tracing::debug_span!(target: "accord::db", "read");
    let _entered = span.enter();
    let note = |canary: &str| {
        tracing::debug!(target: "accord::web", error = canary, "A form did not have the fields it should");
    };
    note(&canary);
    pass().await;
    note(&canary);
    // Not every request hops: a thousand threads would be the test of something else.
    if number % 50 == 0 {
        let there = canary.clone();
        carry::blocking(move || note(&there)).await.unwrap();
        let there = canary.clone();
        carry::task(async move {
            pass().await;
            note(&there);
        })
        .await
        .unwrap();
    }
    pass().await;
    note(&canary);
}

/// Lets the others on this thread go on.
async fn pass() {
    let mut waited = false;
    poll_fn(move |context| {
        if std::mem::replace(&mut waited, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[test]
fn cn_12_of_a_hundred_thousand_mixed_requests_none_is_on_another_s_grant() {
    let turn = turn();
    let agreed: Vec<i64> = (1..=ORGANISATIONS).filter(|organisation| organisation % 2 == 0).collect();
    let grants: Vec<ActiveGrant> = agreed
        .iter()
        .map(|organisation| turn.grant(OrganisationId(*organisation), None, TimeDelta::hours(1)))
        .collect();
    let mut found = Found::of(&grants);
    let runtime = System::new();
    for first in (0..IN_ALL).step_by(TOGETHER as usize) {
        // The lease is short, and a test machine may be slow.
        turn.publish(&grants);
        let requests = (first..first + TOGETHER).map(|number| {
            let organisation = number % ORGANISATIONS + 1;
            gate::scoped(organisation, Some(organisation), request(organisation, number))
        });
        runtime.block_on(join_all(requests));
        found.take(turn.captured());
    }
    let each = u64::try_from(IN_ALL / ORGANISATIONS).unwrap();
    assert_eq!(found.seen.keys().copied().collect::<Vec<_>>(), agreed);
    for (organisation, seen) in &found.seen {
        assert!(*seen >= each * 3, "of organisation {organisation} only {seen} were captured");
    }
}

/// Somebody of an organisation, at a browser.
struct Caller {
    organisation: i64,
    browser: Browser,
}

impl Caller {
    async fn ask(&self, number: usize) {
        let path = ["/requests", "/account", "/requests/new", ""][number % 4];
        if !path.is_empty() {
            self.browser.get(path).await.assert_status(200);
            return;
        }
        // A field that the form does not have: what is said of that is recorded with its name.
        let field = canary(self.organisation);
        self.browser.post("/account/organisation", &[(field.as_str(), "1")]).await.assert_status(400);
    }
}

async fn callers(app: &TestApp) -> Vec<Caller> {
    let names =
        ["Ada A", "Bea B", "Cid C", "Dan D", "Eva E", "Fay F", "Gil G", "Hal H", "Ida I", "Jan J", "Kim K", "Lou L"];
    let mut callers = Vec::new();
    for name in names {
        let person = app.given().customer(name);
        let own = app.read(|db| memberships::of_person(db, person.id));
        callers.push(Caller { organisation: own[0].organisation_id.0, browser: app.signed_in(person.id).await });
    }
    callers
}

#[actix_web::test]
async fn cn_12_mixed_requests_through_the_whole_program_are_on_nobody_else_s_grant() {
    let wanted = std::env::var("ACCORD_TEST_REQUESTS").ok().and_then(|count| count.parse().ok()).unwrap_or(REQUESTS);
    let app = TestApp::set_up();
    let turn: Turn = turn();
    let callers = callers(&app).await;
    let agreed: BTreeSet<i64> = callers.iter().step_by(2).map(|caller| caller.organisation).collect();
    let grants: Vec<ActiveGrant> = agreed
        .iter()
        .map(|organisation| turn.grant(OrganisationId(*organisation), None, TimeDelta::hours(1)))
        .collect();
    let mut found = Found::of(&grants);
    for first in (0..wanted).step_by(callers.len() * 2) {
        turn.publish(&grants);
        // Twice as many at once as there are callers.
        join_all(
            (first..first + callers.len() * 2)
                .map(|number| callers[number % callers.len()].ask(number + number / callers.len())),
        )
        .await;
        found.take(turn.captured());
    }
    println!("{wanted} requests of {} organisations, half of which agreed", callers.len());
    assert_eq!(found.seen.keys().copied().collect::<BTreeSet<_>>(), agreed);
}
