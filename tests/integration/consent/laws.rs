//! What must never happen (CN-05 to CN-08), through pages, programs, mails and the database itself.

use accord::access::{Actor, CustomerActor};
use accord::consent::asking::Terms;
use accord::consent::life::{EndReason, GrantState, RequestState};
use accord::consent::withdrawing::{self, Kept};
use accord::consent::{ConsentRequest, Level, Scope, Subject, grants};
use accord::db::schema::ticket_messages;
use accord::error::Error;
use accord::people::memberships::{self, Rights};
use actix_web::http::{Method, header};
use actix_web::test::TestRequest;
use chrono::TimeDelta;
use diesel::prelude::*;

use super::{Story, is_conflict, without_rule};
use crate::support::app::BASE_URL;

/// CN-05: programs that open the links of mails, prepare pages, or ask for their heads grant nothing; nor does an answer
/// to the mail, whatever it says.
#[actix_web::test]
async fn cn_05_links_prefetch_head_and_mail_replies_grant_nothing() {
    let story = Story::begin();
    let request = story.ask_all();
    let mails = story.sent();
    let mail = mails.iter().find(|mail| mail.to == "paul@arnaud.example").unwrap();
    let link = mail.path("/l/consent/");
    let claire = story.test.signed_in(story.cast.claire).await;
    let stranger = story.test.browser().await;
    let page = format!("/consents/{}", request.handle);
    let wording = request.wording_sha256.clone();
    for browser in [&claire, &stranger] {
        for path in [&link, &page, &format!("{page}/grant"), &format!("{page}?way=all")] {
            for (method, headers) in [
                (Method::GET, vec![]),
                (Method::HEAD, vec![]),
                (Method::OPTIONS, vec![]),
                (Method::GET, vec![("sec-purpose", "prefetch"), ("purpose", "prefetch")]),
                (Method::GET, vec![("user-agent", "Mozilla/5.0 (compatible; SafeLinks/1.0)")]),
                (Method::POST, vec![]),
                (Method::POST, vec![("origin", "https://scanner.example")]),
                (Method::POST, vec![("origin", BASE_URL)]),
            ] {
                let asked = || {
                    let mut asked = TestRequest::default().method(method.clone()).uri(path);
                    for (name, value) in &headers {
                        asked = asked.insert_header((*name, *value));
                    }
                    asked
                };
                browser.send(asked()).await;
                // With everything in the form that the page would send, but what proves that it is the page that sends it.
                let form = [("way", "all"), ("wording", wording.as_str())];
                browser.send(asked().set_form(form)).await;
                if !headers.contains(&("origin", BASE_URL)) {
                    let token = browser.csrf();
                    let form = [("way", "all"), ("wording", wording.as_str()), ("csrf", token.as_str())];
                    browser.send(asked().set_form(form)).await;
                }
            }
        }
    }
    // The button's own address, pressed by a program that has the link but no session.
    let token = stranger.csrf();
    let pressed = TestRequest::post()
        .uri(&format!("{page}/grant"))
        .insert_header((header::ORIGIN, BASE_URL))
        .set_form([("csrf", token.as_str()), ("way", "all"), ("wording", "x")]);
    let answer = stranger.send(pressed).await;
    assert!(answer.location().contains("/sign-in"), "{} {}", answer.status, answer.location());
    stranger.post(&link, &[("way", "all")]).await.assert_status(405);

    // An answer to the mail is a message, and no consent: neither that of whose ticket it is, nor that of her who may grant.
    let reply_to = mail.mail.reply_to[0].identity.as_ref().unwrap().as_str().to_owned();
    for (name, address) in [("Paul Girard", "paul@arnaud.example"), ("Claire Arnaud", "claire@arnaud.example")] {
        let reply = format!(
            "From: {name} <{address}>\r\nTo: {reply_to}\r\nSubject: Re: {}\r\nIn-Reply-To: {}\r\n\
             Message-ID: <answer-of-{address}>\r\n\r\nOui, j'accorde. YES. GRANT.\r\n",
            mail.mail.subject,
            mail.mail.message_id.as_ref().unwrap(),
        );
        let before = story.test.read(|db| Ok(ticket_messages::table.count().get_result::<i64>(db)?));
        receive(&story, address, &reply_to, reply);
        let after = story.test.read(|db| Ok(ticket_messages::table.count().get_result::<i64>(db)?));
        assert_eq!(after, before + 1, "what {name} says is a message");
        assert_eq!(story.again(&request).state, RequestState::Requested);
        assert_eq!(story.grant_of(&request), None);
    }
    // What the page sends, and nothing else, grants.
    let granted = claire.post(&format!("{page}/grant"), &[("way", "all"), ("wording", wording.as_str())]).await;
    assert_eq!(granted.location(), format!("{page}?said=said-consent-granted"), "{}", granted.text());
}

fn receive(story: &Story, from: &str, to: &str, mail: String) {
    use accord::intake::addressing;
    use accord::journal::{self, NewMail, Recipient, Way};
    use accord::notifications::Letterhead;
    let letterhead = Letterhead::new(&story.test.app.keys, &story.test.app.config);
    let mailbox = story.test.read(|db| addressing::mailbox_for(db, &letterhead, to)).expect("a mailbox of ours");
    let mail = NewMail::new(
        vec![Recipient { mailbox, address: to.to_owned() }],
        from.to_owned(),
        Way::Lmtp,
        mail.into_bytes(),
    );
    let now = story.test.now();
    story.test.write(move |db| journal::accept(db, &mail, now));
    story.test.run_jobs();
}

/// CN-06: nobody of the operator grants for the customer: not by the page, not by the body of a form, not by the
/// interface for programs, not by the verb, not by SQL.
#[actix_web::test]
async fn cn_06_agents_and_administrators_can_never_grant_for_the_customer() {
    let story = Story::begin();
    let request = story.ask_all();
    let wording = request.wording_sha256.clone();
    let page = format!("/consents/{}", request.handle);
    for staff in [story.cast.lea, story.cast.hugo, story.cast.anne, story.cast.odile] {
        let browser = story.test.signed_in(staff).await;
        for way in ["all", "less"] {
            let fields = [("way", way), ("wording", wording.as_str()), ("components", "pages"), ("level", "info")];
            browser.post(&format!("{page}/grant"), &fields).await.assert_status(403);
        }
        browser.post(&format!("{page}/refusal"), &[]).await.assert_status(403);
        browser.post(&format!("{page}/withdrawal"), &[]).await.assert_status(403);
        let outcome = story.grant(&request, None, staff);
        assert!(matches!(outcome, Err(Error::Forbidden)), "{outcome:?}");
    }
    // Who grants is said by the session and by nothing else.
    let paul = story.test.signed_in(story.cast.paul).await;
    for field in ["granted_by", "person", "by", "subject_id"] {
        let fields = [("way", "all"), ("wording", wording.as_str()), (field, "1")];
        paul.post(&format!("{page}/grant"), &fields).await.assert_status(400);
    }
    // No route of the interface for programs answers a question.
    let routes = accord::web::router::table();
    assert!(!routes.iter().any(|entry| entry.path.starts_with("/api/") && entry.path.contains("consent")));
    // Somebody who holds the link to a ticket, and the program itself, are nobody who could grant.
    for actor in [Actor::LinkHolder { person: story.cast.claire, ticket: story.ticket.id }, Actor::System] {
        let outcome = story.grant_as(&request, None, actor);
        assert!(matches!(outcome, Err(Error::Forbidden)), "{outcome:?}");
    }
    // Another company's manager, and a member without the right for more than their own use.
    let outcome = story.grant(&request, None, story.cast.zoe);
    assert!(matches!(outcome, Err(Error::NotFound)), "{outcome:?}");
    let outcome = story.grant(&request, None, story.cast.paul);
    assert!(matches!(outcome, Err(Error::Forbidden)), "{outcome:?}");
    // Code that would claim a membership for an agent meets the schema.
    let membership = story.test.read(|db| memberships::of_person(db, story.cast.claire)).remove(0);
    let forged =
        Actor::Customer(CustomerActor { person: story.cast.lea, memberships: vec![membership], only_queue: None });
    let outcome = story.grant_as(&request, None, forged);
    assert!(matches!(outcome, Err(Error::Internal(_))), "{outcome:?}");
    assert_eq!(story.grant_of(&request), None);
    assert_eq!(story.again(&request).state, RequestState::Requested);
}

/// CN-07: the same press twice is one grant and one withdrawal.
#[test]
fn cn_07_granting_and_withdrawing_twice_is_granting_and_withdrawing_once() {
    let story = Story::begin();
    let request = story.ask_all();
    let first = story.granted(&request);
    let second = story.granted(&request);
    assert_eq!(first, second);
    let claire = story.test.actor(story.cast.claire);
    for _ in 0..2 {
        let (request, claire, now) = (request.clone(), claire.clone(), story.test.now());
        story.test.write(move |db| withdrawing::withdraw(db, &request, Kept::No, &claire, now));
        story.test.clock.advance(TimeDelta::minutes(1));
    }
    let events = story.test.read(|db| accord::consent::register::of_request(db, request.id));
    let kinds: Vec<&str> = events.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(kinds, ["requested", "granted", "withdrawn"]);
    let late = story.grant(&request, None, story.cast.claire);
    assert!(is_conflict(&late, "conflict-consent-decided"), "{late:?}");
}

/// CN-07: one of an organisation and one of a person; a further question waits and says so.
#[test]
fn cn_07_one_grant_of_an_organisation_and_one_of_a_person_are_active_at_most() {
    let story = Story::begin();
    let first = story.ask_all();
    let further = story.ask(Terms { retention_days: 9, ..first.terms.clone() });
    story.granted(&first);
    let refused = story.grant(&further, None, story.cast.claire);
    assert!(is_conflict(&refused, "conflict-consent-running"), "{refused:?}");
    assert_eq!(story.again(&further).state, RequestState::Requested);
    // One person's own use beside it is another matter, and once only too.
    let own = story.ask(story.terms(Subject::Person(story.cast.paul)));
    let own_again = story.ask(Terms { retention_days: 5, ..own.terms.clone() });
    story.grant(&own, None, story.cast.paul).unwrap();
    let refused = story.grant(&own_again, None, story.cast.paul);
    assert!(is_conflict(&refused, "conflict-consent-running"), "{refused:?}");
    // The schema says so too: a copy of the row that runs, for the other question.
    story.refused(&copy_of(&first, &further));
    // Once the first is over, it is accepted: nothing else was wrong with it.
    let claire = story.test.actor(story.cast.claire);
    let (ended, now) = (first.clone(), story.test.now());
    story.test.write(move |db| withdrawing::withdraw(db, &ended, Kept::No, &claire, now));
    story.taken(&copy_of(&first, &further));
}

const COPIED: &str = "organisation_id, ticket_id, subject_kind, subject_id, basis, granted_by, seconded_by, scope, level, \
    duration_minutes, retention_days, exports_allowed, stop_condition, idle_minutes, granted_at, expires_at, version";

fn copy_of(from: &ConsentRequest, to: &ConsentRequest) -> String {
    copy_with(from, to, COPIED)
}

fn copy_with(from: &ConsentRequest, to: &ConsentRequest, values: &str) -> String {
    format!(
        "INSERT INTO consent_grants (request_id, handle, state, {COPIED}) \
         SELECT {}, 'copy', 'active', {values} FROM consent_grants WHERE request_id = {}",
        to.id.0, from.id.0
    )
}

/// CN-07: many people press at the same moment; whatever comes first, a withdrawal is not undone.
#[test]
fn cn_07_of_a_grant_and_a_withdrawal_at_the_same_moment_the_withdrawal_wins() {
    let story = Story::begin();
    for round in 0..12 {
        let request = story.ask_all();
        std::thread::scope(|scope| {
            for who in 0..4 {
                let (story, request) = (&story, &request);
                scope.spawn(move || {
                    if (who + round) % 2 == 0 {
                        drop(story.grant(request, None, story.cast.claire));
                    } else {
                        let claire = story.test.actor(story.cast.claire);
                        let (request, now) = (request.clone(), story.test.now());
                        let write = move |db: &mut accord::db::DbConnection| {
                            withdrawing::withdraw(db, &request, Kept::No, &claire, now)
                        };
                        story.test.app.database.write_now(write).unwrap();
                    }
                });
            }
        });
        let state = story.again(&request).state;
        match story.grant_of(&request) {
            None => assert_eq!(state, RequestState::Refused, "round {round}"),
            Some(grant) => assert_eq!(grant.end_reason, Some(EndReason::Withdrawn), "round {round}"),
        }
    }
    let verified = story.test.read(accord::consent::register::verify_all);
    assert_eq!(verified.consents, 12);
}

/// CN-08: what was granted is neither longer nor wider afterwards, and nothing longer than a day is granted at all.
#[test]
fn cn_08_nothing_is_extended_and_a_day_is_the_most() {
    let story = Story::begin();
    let mut terms = story.terms(Subject::Organisation);
    for minutes in [0, 1_441, -5] {
        terms.duration_minutes = minutes;
        let mut errors = accord::error::FieldErrors::default();
        terms.check(&mut errors);
        assert!(errors.of("duration").is_some(), "{minutes}");
    }
    terms.duration_minutes = 60;
    for days in [0, 31, -1] {
        terms.retention_days = days;
        let mut errors = accord::error::FieldErrors::default();
        terms.check(&mut errors);
        assert!(errors.of("retention").is_some() && errors.of("duration").is_none(), "{days}");
    }
    let request = story.ask_all();
    let grant = story.granted(&request);
    let id = grant.id.0;
    for change in [
        "expires_at = '2030-01-01 00:00:00'",
        "granted_at = '2030-01-01 00:00:00'",
        "duration_minutes = 1440",
        "retention_days = 30",
        "scope = '{}'",
        "level = 'trace'",
        "exports_allowed = exports_allowed",
        "subject_kind = 'person'",
        "granted_by = 1",
        "organisation_id = 1",
        "idle_minutes = 1000",
    ] {
        story.refused(&format!("UPDATE consent_grants SET {change} WHERE id = {id}"));
    }
    for change in ["duration_minutes = 1440", "scope = '{}'", "purpose = 'other'", "expires_at = '2030-01-01 00:00:00'"]
    {
        story.refused(&format!("UPDATE consent_requests SET {change} WHERE id = {}", request.id.0));
    }
    for (table, id) in [("consent_grants", id), ("consent_requests", request.id.0)] {
        story.refused(&format!("DELETE FROM {table} WHERE id = {id}"));
    }
    // Longer than was asked, longer than a day, or ending later than its minutes.
    let other = story.ask(story.terms(Subject::Person(story.cast.claire)));
    let person = story.cast.claire.0;
    let insert = |minutes: &str, until: &str| {
        format!(
            "INSERT INTO consent_grants (request_id, handle, state, subject_kind, subject_id, basis, duration_minutes, \
             expires_at, organisation_id, ticket_id, granted_by, scope, level, retention_days, exports_allowed, \
             stop_condition, granted_at, version) SELECT {}, 'forged', 'active', 'person', {person}, 'consent', {minutes}, \
             '{until}', organisation_id, ticket_id, granted_by, scope, level, retention_days, exports_allowed, \
             stop_condition, granted_at, version FROM consent_grants WHERE id = {id}",
            other.id.0
        )
    };
    story.refused(&insert("61", "2026-11-23 09:00:00"));
    story.refused(&insert("60", "2026-11-23 09:02:00"));
    // A day is the most whatever was asked, and nothing longer can be asked.
    story.test.write(|db| without_rule(db, "consent_grants_asked", "consent_grants"));
    story.refused_by(&insert("1441", "2026-11-23 09:00:00"), "duration_minutes");
    let asking_for = |minutes: &str, days: &str| {
        format!(
            "INSERT INTO consent_requests (organisation_id, ticket_id, handle, requested_by, subject_kind, purpose, \
             purpose_code, scope, level, manifest, manifest_sha256, duration_minutes, retention_days, recipients, \
             exports_allowed, stop_condition, wording_sha256, language, state, created_at, expires_at) \
             SELECT organisation_id, ticket_id, 'forged', requested_by, subject_kind, purpose, purpose_code, scope, \
             level, manifest, manifest_sha256, {minutes}, {days}, recipients, exports_allowed, stop_condition, \
             wording_sha256, language, 'requested', created_at, expires_at FROM consent_requests WHERE id = {}",
            request.id.0
        )
    };
    story.refused_by(&asking_for("1441", "7"), "duration_minutes");
    story.refused_by(&asking_for("60", "31"), "retention_days");
    story.taken(&asking_for("1440", "30"));
    story.taken(&insert("1440", "2026-11-24 08:00:00"));
}

/// An ended grant stays as it ended.
#[test]
fn an_ended_grant_neither_lives_again_nor_is_kept_longer() {
    let story = Story::begin();
    let request = story.ask_all();
    let grant = story.granted(&request).id.0;
    story.refused(&format!("UPDATE consent_grants SET state = 'ended' WHERE id = {grant}"));
    story.refused(&format!("UPDATE consent_grants SET destroyed_at = granted_at WHERE id = {grant}"));
    story.test.clock.advance(TimeDelta::minutes(5));
    let claire = story.test.actor(story.cast.claire);
    let (ended, now) = (request.clone(), story.test.now());
    story.test.write(move |db| withdrawing::withdraw(db, &ended, Kept::UntilItsDate, &claire, now));
    for change in [
        "state = 'active', ended_at = NULL, end_reason = NULL, kept_until = NULL",
        "end_reason = 'expired'",
        "kept_until = '2030-01-01 00:00:00'",
        "ended_at = granted_at",
    ] {
        story.refused(&format!("UPDATE consent_grants SET {change} WHERE id = {grant}"));
    }
    assert_eq!(story.grant_of(&request).unwrap().state, GrantState::Ended);
}

/// Above debug for a whole organisation two must agree, in code and in the schema.
#[test]
fn the_whole_organisation_at_trace_level_takes_two() {
    let story = Story::begin();
    let mut terms = story.terms(Subject::Organisation);
    terms.scope = Scope::of(&terms.scope.components(), Level::Trace, Vec::new());
    let request = story.ask(terms.clone());
    let alone = story.grant(&request, None, story.cast.claire);
    assert!(is_conflict(&alone, "conflict-consent-no-second"), "{alone:?}");
    // Paul gets the right too.
    let (paul, arnaud, now) = (story.cast.paul, story.cast.arnaud, story.test.now());
    let rights = Rights { grants_tracing: true, ..Rights::default() };
    story.test.write(move |db| memberships::change_rights(db, arnaud, paul, rights, None, now));
    story.sent();
    for _ in 0..2 {
        let first = story.grant(&request, None, story.cast.claire);
        assert!(matches!(first, Ok(accord::consent::granting::Outcome::AwaitsSecond)), "{first:?}");
    }
    assert_eq!(story.again(&request).state, RequestState::AwaitingSecond);
    assert_eq!(story.grant_of(&request), None, "nothing is open before the second agrees");
    let asked: Vec<String> = story.sent().into_iter().map(|mail| mail.to).collect();
    assert!(asked.contains(&"paul@arnaud.example".to_owned()), "{asked:?}");
    let second = story.grant(&request, None, story.cast.paul);
    let Ok(accord::consent::granting::Outcome::Granted(grant)) = second else { panic!("{second:?}") };
    assert_eq!((grant.granted_by, grant.seconded_by), (story.cast.claire, Some(story.cast.paul)));
    assert_eq!(grant.scope.level(), Level::Trace);
    // One alone is refused by the schema.
    let lone = story.ask(terms);
    let claire = story.test.actor(story.cast.claire);
    let (ended, now) = (request.clone(), story.test.now());
    story.test.write(move |db| withdrawing::withdraw(db, &ended, Kept::No, &claire, now));
    story.refused(&copy_with(&request, &lone, &COPIED.replace("seconded_by", "NULL")));
    // The first of them approves first.
    story.refused(&copy_of(&request, &lone));
    let first = story.grant(&lone, None, story.cast.claire);
    assert!(matches!(first, Ok(accord::consent::granting::Outcome::AwaitsSecond)), "{first:?}");
    story.refused(&copy_with(&request, &lone, &COPIED.replace("seconded_by", "NULL")));
    story.taken(&copy_of(&request, &lone));
}

/// A consent stays with the organisation that gave it: its ticket does not move to another.
#[test]
fn a_ticket_in_which_consent_was_asked_stays_with_its_organisation() {
    let story = Story::begin();
    story.ask_all();
    let (lea, ticket, now) = (story.test.actor(story.cast.lea), story.ticket(), story.test.now());
    let (zoe, brun) = (story.cast.zoe, story.cast.brun);
    let moved = story
        .test
        .app
        .database
        .write_now(move |db| accord::tickets::moving::to_requester(db, &ticket, zoe, brun, &lea, now));
    assert!(is_conflict(&moved, "conflict-ticket-has-consents"), "{moved:?}");
}

/// What lists live grants for whoever captures leaves out what is over, before anybody has written that down.
#[test]
fn a_grant_opens_nothing_from_the_moment_its_time_is_over() {
    let story = Story::begin();
    let request = story.ask_all();
    let grant = story.granted(&request);
    let live = |story: &Story| {
        let now = story.test.now();
        story.test.read(|db| grants::live(db, now)).into_iter().map(|live| live.grant.id).collect::<Vec<_>>()
    };
    assert_eq!(live(&story), [grant.id]);
    story.test.clock.advance(TimeDelta::minutes(60) - TimeDelta::microseconds(1));
    assert_eq!(live(&story), [grant.id]);
    story.test.clock.advance(TimeDelta::microseconds(1));
    assert!(live(&story).is_empty());
    assert_eq!(story.grant_of(&request).unwrap().state, GrantState::Active);
}
