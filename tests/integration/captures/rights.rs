//! Who of the customer may read what was captured, and have it destroyed, as rights come and go: what is of somebody's own
//! use is theirs, what is of an organisation is for whoever may grant for it now.

use accord::access::{self, Actor, TraceFacts, TraceReaders};
use accord::consent::stopping;
use accord::db::types::OrganisationId;
use accord::people::memberships::{self, Rights};
use accord::people::roles::Permission;
use accord::tickets::ticket;

use super::seeing::Seen;
use super::*;
use crate::support::browser::Browser;

/// Every way to read what was captured.
const READINGS: [(&str, &[(&str, &str)]); 4] = [
    ("readings", &[("text", ""), ("reason", "écran noir")]),
    ("flame", &[("form", "flame"), ("reason", "écran noir")]),
    ("exports", &[("form", "csv"), ("reason", "écran noir")]),
    ("live", &[("after", "0"), ("seconds", "0"), ("reason", "écran noir")]),
];

fn give(test: &TestApp, organisation: OrganisationId, person: PersonId, rights: Rights) {
    let now = test.now();
    test.write(move |db| memberships::change_rights(db, organisation, person, rights, None, now));
}

async fn assert_reads(browser: &Browser, base: &str, status: u16) {
    for (what, fields) in READINGS {
        browser.post(&format!("{base}/{what}"), fields).await.assert_status(status);
    }
}

#[actix_web::test]
async fn who_lost_the_right_to_grant_reads_no_more_what_they_granted_and_may_still_stop_it() {
    let seen = Seen::begin().await;
    let (test, cast) = (&seen.process.test, &seen.process.cast);
    let paul = test.signed_in(cast.paul).await;
    assert_reads(&paul, &seen.customer_base, 403).await;
    assert_reads(&seen.claire, &seen.customer_base, 200).await;
    give(test, cast.arnaud, cast.paul, Rights::ALL);
    give(test, cast.arnaud, cast.claire, Rights { grants_tracing: false, ..Rights::ALL });
    assert_reads(&seen.claire, &seen.customer_base, 403).await;
    assert_reads(&paul, &seen.customer_base, 200).await;

    seen.claire_posts("withdrawal", &[("keep", "true")]).await.assert_status(303);
    assert_eq!(seen.process.again(&seen.grant).state, GrantState::Ended);
    let is_kept = || seen.process.again(&seen.grant).kept_until > Some(test.now());
    seen.claire_posts("destruction", &[]).await.assert_status(403);
    // Stopping once more, without the tick, is no way around that.
    seen.claire_posts("withdrawal", &[]).await.assert_status(303);
    assert!(is_kept());
    paul.post(&format!("{}/destruction", seen.customer_base), &[]).await.assert_status(303);
    assert!(!is_kept());
}

#[actix_web::test]
async fn what_is_of_somebody_s_own_use_stays_theirs_when_they_leave_and_is_nobody_else_s() {
    let mut process = Process::begin();
    let (grant, base) = process.own_use_of(process.cast.paul);
    let pass = process.open(&grant);
    assert_eq!(process.capture(&grant, pass, &["something of Paul"]), []);
    let (test, cast) = (&process.test, &process.cast);
    let (claire, paul) = (test.signed_in(cast.claire).await, test.signed_in(cast.paul).await);
    assert_reads(&claire, &base, 403).await;
    assert_reads(&paul, &base, 200).await;

    let (arnaud, gone, now, id) = (cast.arnaud, cast.paul, test.now(), grant.id);
    test.write(move |db| memberships::remove(db, arnaud, gone, None, now));
    test.write(move |db| stopping::stop_if_due(db, id, now));
    assert_eq!(process.again(&grant).state, GrantState::Ended);
    assert_reads(&paul, &base, 200).await;
    paul.get("/account/consents").await.assert_says(&base);
    paul.get(&base).await.assert_status(200);
    assert_reads(&claire, &base, 403).await;
    claire.post(&format!("{base}/destruction"), &[]).await.assert_status(403);
    paul.post(&format!("{base}/destruction"), &[]).await.assert_status(303);
}

impl Process {
    /// Léa asks about `person`'s own use, and they grant it; with the customer's page of it.
    fn own_use_of(&self, person: PersonId) -> (Grant, String) {
        let (grant, handle) = self.consented(Subject::Person(person), person, "");
        (grant, format!("/consents/{handle}"))
    }
}

/// Everybody there is against every kind of grant, on the predicate that every way in asks.
#[test]
fn who_may_read_what_was_captured_is_one_table() {
    let process = Process::begin();
    let (test, cast) = (&process.test, &process.cast);
    give(test, cast.arnaud, cast.paul, Rights { grants_tracing: false, ..Rights::ALL });
    let paul = test.read(|db| person::by_id(db, cast.paul));
    let ticket = test.given().ticket(&paul, "Écran noir", "Rien ne s'affiche.");
    let facts = test.read(|db| Ok(ticket::by_id(db, ticket.id)?.facts()));
    let of = |subject: Option<PersonId>, readers: TraceReaders| TraceFacts { ticket: facts, subject, readers };
    let queue = TraceReaders::Queue(facts.queue);
    let lea_alone = TraceReaders::Agent(cast.lea);
    let link = Actor::LinkHolder { person: cast.paul, ticket: facts.id };
    // Of the whole organisation, read by a queue or by one agent; of Paul's own use; of Claire's own use.
    let grants = [of(None, queue), of(None, lea_alone), of(Some(cast.paul), queue), of(Some(cast.claire), lea_alone)];
    let table: [(&str, Actor, [bool; 4]); 9] = [
        ("Claire, who may grant for it", test.actor(cast.claire), [true, true, false, true]),
        ("Paul, who may not", test.actor(cast.paul), [false, false, true, false]),
        ("Zoé, who may grant for another", test.actor(cast.zoe), [false; 4]),
        ("Ivan, on his own", test.actor(cast.ivan), [false; 4]),
        ("Léa, agent of the queue", test.actor(cast.lea), [true; 4]),
        ("Marc, agent of no queue", test.actor(cast.marc), [false; 4]),
        ("Odile, privacy officer", test.actor(cast.odile), [false; 4]),
        ("who holds a link to the ticket", link, [false; 4]),
        ("Accord itself", Actor::System, [false; 4]),
    ];
    for (who, actor, expected) in table {
        assert_eq!(grants.map(|facts| access::can_read_traces(&actor, &facts)), expected, "{who}");
    }
    // A supervisor works in every queue, and is not the agent that the customer named.
    let hugo = test.actor(cast.hugo);
    let works = access::may(&hugo, Permission::SeeAllQueues) && access::can_work_on(&hugo, &facts);
    assert_eq!(grants.map(|facts| access::can_read_traces(&hugo, &facts)), [works, false, works, false]);
}
