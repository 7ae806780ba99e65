//! Every end of a grant, and what becomes of what was captured.

use accord::consent::granting::Outcome;
use accord::consent::life::{EndReason, GrantState, RequestState};
use accord::consent::links::{self, Opens};
use accord::consent::receipt::{self, Counts, Kind};
use accord::consent::withdrawing;
use accord::consent::{Grant, Subject, asking, grants, stopping};
use accord::db::types::GrantId;
use accord::people::memberships::{self, Rights};
use accord::tickets::status::{self, Status};
use accord::tickets::{assignment, ticket};
use chrono::TimeDelta;

use super::{Story, is_conflict};

impl Story {
    fn ended(&self, grant: &Grant) -> Option<EndReason> {
        self.test.read(|db| grants::by_id(db, grant.id)).end_reason
    }
}

#[test]
fn a_grant_expires_by_itself_and_both_sides_are_told() {
    let story = Story::begin();
    let request = story.ask_all();
    let grant = story.granted(&request);
    story.sent();
    story.pass(TimeDelta::minutes(59));
    assert_eq!(story.ended(&grant), None);
    story.pass(TimeDelta::minutes(2));
    let grant = story.grant_of(&request).unwrap();
    assert_eq!(grant.end_reason, Some(EndReason::Expired));
    assert_eq!(grant.ended_at, Some(grant.expires_at), "it ended when its time was over, not when that was noticed");
    assert_eq!(grant.kept_until, Some(grant.expires_at.plus(TimeDelta::days(7))));
    let mails = story.sent();
    for address in ["claire@arnaud.example", "lea@garonne.example"] {
        assert!(mails.iter().any(|mail| mail.to == address), "{address} hears of the end");
    }
}

#[test]
fn a_grant_stops_when_its_ticket_is_closed_and_questions_are_taken_back() {
    let story = Story::begin();
    let request = story.ask_all();
    let grant = story.granted(&request);
    let open = story.ask(story.terms(Subject::Person(story.cast.paul)));
    let (lea, now, id) = (story.test.actor(story.cast.lea), story.test.now(), story.ticket.id);
    story.test.write(move |db| {
        let ticket = ticket::by_id(db, id)?;
        status::set(db, &ticket, Status::Closed, &lea, now)
    });
    story.test.run_jobs();
    assert_eq!(story.ended(&grant), Some(EndReason::TicketClosed));
    assert_eq!(story.again(&open).state, RequestState::Cancelled);
    let late = story.grant(&open, None, story.cast.paul);
    assert!(is_conflict(&late, "conflict-consent-decided"), "{late:?}");
}

#[test]
fn a_grant_stops_when_nobody_takes_care_of_the_ticket() {
    let story = Story::begin();
    let grant = story.granted(&story.ask_all());
    let (lea, now, id) = (story.test.actor(story.cast.lea), story.test.now(), story.ticket.id);
    story.test.write(move |db| {
        let ticket = ticket::by_id(db, id)?;
        assignment::assign(db, &ticket, None, &lea, now)
    });
    story.test.run_jobs();
    assert_eq!(story.ended(&grant), Some(EndReason::Unassigned));
}

#[test]
fn a_grant_stops_when_what_was_looked_for_was_seen() {
    let story = Story::begin();
    let mut terms = story.terms(Subject::Organisation);
    terms.stop_condition = "GPU lost".to_owned();
    let grant = story.granted(&story.ask(terms));
    assert_eq!(grant.stop_condition, "GPU lost");
    let (id, now) = (grant.id, story.test.now());
    for _ in 0..2 {
        story.test.write(move |db| stopping::reproduced(db, id, now));
    }
    assert_eq!(story.ended(&grant), Some(EndReason::Reproduced));
}

#[test]
fn a_grant_stops_when_nobody_looks_at_it_for_as_long_as_agreed() {
    let story = Story::begin();
    let mut terms = story.terms(Subject::Organisation);
    terms.idle_minutes = Some(10);
    let grant = story.granted(&story.ask(terms));
    story.pass(TimeDelta::minutes(9));
    let (id, now) = (grant.id, story.test.now());
    story.test.write(move |db| grants::seen(db, id, now));
    story.pass(TimeDelta::minutes(9));
    assert_eq!(story.ended(&grant), None, "somebody looked");
    story.pass(TimeDelta::minutes(1));
    assert_eq!(story.ended(&grant), Some(EndReason::Unread));
}

#[test]
fn a_grant_stops_when_whoever_gave_it_no_longer_may() {
    let story = Story::begin();
    let (arnaud, paul, claire) = (story.cast.arnaud, story.cast.paul, story.cast.claire);
    let now = story.test.now();
    story.test.write(move |db| memberships::change_rights(db, arnaud, paul, Rights::ALL, None, now));
    let grant = story.granted(&story.ask_all());
    let none = Rights { grants_tracing: false, ..Rights::ALL };
    story.test.write(move |db| memberships::change_rights(db, arnaud, claire, none, None, now));
    story.pass(TimeDelta::seconds(15));
    assert_eq!(story.ended(&grant), Some(EndReason::MembershipEnded));
}

#[test]
fn a_grant_stops_when_nobody_knows_what_time_it_is() {
    let story = Story::begin();
    let grant = story.granted(&story.ask_all());
    let (id, now) = (grant.id, story.test.now());
    story.test.write(move |db| stopping::doubt_the_clock(db, id, now));
    assert_eq!(story.ended(&grant), Some(EndReason::ClockDoubt));
}

#[actix_web::test]
async fn an_agent_stops_early_and_takes_questions_back() {
    let story = Story::begin();
    let request = story.ask_all();
    let grant = story.granted(&request);
    let open = story.ask_all();
    let lea = story.test.signed_in(story.cast.lea).await;
    let base = format!("/tickets/{}/consents", story.ticket.reference);
    for _ in 0..2 {
        lea.post(&format!("{base}/{}/stop", request.handle), &[]).await.assert_status(303);
        lea.post(&format!("{base}/{}/cancellation", open.handle), &[]).await.assert_status(303);
    }
    assert_eq!(story.ended(&grant), Some(EndReason::StoppedByOperator));
    assert_eq!(story.again(&open).state, RequestState::Cancelled);
    // An agent of no queue of it does not even see it.
    let marc = story.test.signed_in(story.cast.marc).await;
    marc.post(&format!("{base}/{}/stop", request.handle), &[]).await.assert_status(404);
}

#[actix_web::test]
async fn who_may_stop_a_recording_does_so_in_the_request_and_in_the_list_as_the_question_promised() {
    let story = Story::begin();
    let request = story.ask(story.terms(Subject::Person(story.cast.paul)));
    assert!(matches!(story.grant(&request, None, story.cast.paul), Ok(Outcome::Granted(_))));
    let paul = story.test.signed_in(story.cast.paul).await;
    let stop = format!("action=\"/consents/{}/withdrawal\"", request.handle);
    for path in ["/account/consents", &format!("/requests/{}", story.ticket.reference)] {
        let text = paul.get(path).await.text();
        assert_eq!(text.matches(&stop).count(), 2, "in the banner and where the recording stands: {path}");
    }
    paul.post(&format!("/consents/{}/withdrawal", request.handle), &[]).await.assert_status(303);
    for path in ["/account/consents", &format!("/requests/{}", story.ticket.reference)] {
        paul.get(path).await.assert_silent_about(&stop);
    }
}

#[actix_web::test]
async fn what_was_captured_is_kept_only_if_the_customer_ticks_it_and_goes_when_they_say() {
    let story = Story::begin();
    let request = story.ask_all();
    story.granted(&request);
    let claire = story.test.signed_in(story.cast.claire).await;
    let page = format!("/consents/{}", request.handle);
    claire.post(&format!("{page}/destruction"), &[]).await.assert_status(409).assert_says("Arrêtez d’abord");
    claire.post(&format!("{page}/withdrawal"), &[("keep", "true")]).await.assert_status(303);
    let grant = story.grant_of(&request).unwrap();
    let now = story.test.now();
    assert_eq!(grant.kept_until, Some(now.plus(TimeDelta::days(7))));
    assert!(story.test.read(|db| grants::to_be_destroyed(db, now, GrantId(0), 10)).is_empty());
    claire.get(&page).await.assert_says("Détruire les données");
    let paul = story.test.signed_in(story.cast.paul).await;
    paul.post(&format!("{page}/destruction"), &[]).await.assert_status(403);
    claire.post(&format!("{page}/destruction"), &[]).await.assert_status(303);
    let due = story.test.read(|db| grants::to_be_destroyed(db, now, GrantId(0), 10));
    assert_eq!(due.len(), 1);
    assert_eq!(due[0].state, GrantState::Ended);

    // Whoever destroys it says so, once, and the customer gets the certificate.
    let counts = Counts {
        records: 3,
        chunks: 1,
        bytes: 2_048,
        key: Some("dek-1".to_owned()),
        head: Some("00ff".to_owned()),
        ..Counts::default()
    };
    for _ in 0..2 {
        let (app, grant, counts) = (story.test.app.clone(), due[0].clone(), counts.clone());
        story.test.write(move |db| withdrawing::destroyed(db, &app.keys, &grant, &counts, now));
    }
    assert!(story.test.read(|db| grants::to_be_destroyed(db, now, GrantId(0), 10)).is_empty());
    let certificate = story.test.read(|db| receipt::find(db, grant.id, Kind::Certificate)).unwrap();
    receipt::verify(&certificate.document).unwrap();
    assert_eq!(certificate.document["accord:destroyed"]["records"], 3);
    let mails = story.sent_to("claire@arnaud.example");
    assert!(mails.iter().any(|mail| mail.raw.contains("certificate-")));
    claire.get(&format!("{page}/receipt")).await.assert_says("Attestation de destruction").assert_says("dek-1");
    claire.get(&format!("{page}/certificate.jsonld")).await.assert_status(200);
}

#[test]
fn a_stop_link_works_until_the_grant_has_ended_and_no_longer_asks_who() {
    let story = Story::begin();
    let request = story.ask(story.terms(Subject::Person(story.cast.paul)));
    story.sent();
    story.grant(&request, None, story.cast.paul).unwrap();
    let link = story.sent_to("paul@arnaud.example")[0].path("/l/stop/");
    let token = link.rsplit('/').next().unwrap().to_owned();
    let now = story.test.now();
    let behind = story.test.read(|db| links::find(db, Opens::Stop, &token, now));
    let behind = behind.unwrap();
    assert_eq!((behind.person, behind.is_alive), (story.cast.paul, true));
    // It opens nothing else.
    let question = story.test.read(|db| links::find(db, Opens::Question, &token, now));
    assert!(question.is_none());
    assert_eq!(story.test.read(|db| asking::by_id(db, behind.request.id)).handle, request.handle);
}

#[test]
fn a_stop_without_the_tick_destroys_also_what_had_ended_otherwise_meanwhile() {
    let story = Story::begin();
    let request = story.ask_all();
    let grant = story.granted(&request);
    story.pass(TimeDelta::minutes(61));
    assert_eq!(story.ended(&grant), Some(EndReason::Expired));
    let (claire, now, asked) = (story.test.actor(story.cast.claire), story.test.now(), story.again(&request));
    let kept = asked.clone();
    let by = claire.clone();
    story.test.write(move |db| withdrawing::withdraw(db, &kept, withdrawing::Kept::UntilItsDate, &by, now));
    assert!(
        story.test.read(|db| grants::to_be_destroyed(db, now, GrantId(0), 10)).is_empty(),
        "with the tick it stays"
    );
    story.test.write(move |db| withdrawing::withdraw(db, &asked, withdrawing::Kept::No, &claire, now));
    assert_eq!(story.test.read(|db| grants::to_be_destroyed(db, now, GrantId(0), 10)).len(), 1);
    assert_eq!(story.ended(&grant), Some(EndReason::Expired), "it ended once");
}
