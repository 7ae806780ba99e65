//! The whole line in one process: a grant in the database opens the gate, what is captured is kept, read on record, and
//! gone when the customer says so (CN-02, CN-03, CN-10).

use accord::audit;
use accord::clock::{Clock, UtcTime};
use accord::consent::asking::{self, Terms};
use accord::consent::granting::{self, Outcome};
use accord::consent::life::EndReason;
use accord::consent::receipt::{self, Kind};
use accord::consent::register::{self, EventKind};
use accord::consent::scope::{PurposeCode, Recipients};
use accord::consent::unrecorded::{End, Ender, Unrecorded};
use accord::consent::withdrawing::{Kept, Way};
use accord::consent::{Component, Grant, Level, Scope, Subject, grants};
use accord::db::DbConnection;
use accord::db::listening::Listening;
use accord::db::types::{GrantId, OrganisationId, PersonId};
use accord::diagnostics::capture::ActiveGrant;
use accord::diagnostics::catalogue::Catalogue;
use accord::gate::{Cause, DOUBT_MICROS, GATE, LEASE_NANOS, SLOTS};
use accord::i18n::Locale;
use accord::people::person;
use accord::tickets::{Ticket, ticket};
use accord::worker::drain::Drain;
use accord::worker::publishing;
use chrono::TimeDelta;
use diesel::connection::SimpleConnection;

use super::{Turn, next_grant, turn};
use crate::support::TestApp;
use crate::support::cast::Cast;

const AN_HOUR: TimeDelta = TimeDelta::hours(1);

/// An installation at the time of the machine, which the gate goes by, where Claire granted what Léa asked.
struct Line {
    app: TestApp,
    cast: Cast,
    turn: Turn,
    ticket: Ticket,
    grant: Grant,
    handle: String,
}

impl Line {
    fn begin() -> Line {
        let (app, cast) = TestApp::with_cast();
        let turn = turn();
        app.clock.set_wall(UtcTime::from_micros(turn.capture.moment().wall_micros));
        let paul = app.read(|db| person::by_id(db, cast.paul));
        let ticket = app.given().ticket(&paul, "Écran noir", "Rien ne s'affiche.");
        number_next_grant(&app);
        let (grant, handle) = grant(&app, &cast, &ticket, Subject::Organisation);
        let ticket = app.read(|db| ticket::by_id(db, ticket.id));
        Line { app, cast, turn, ticket, grant, handle }
    }

    fn publish(&self) -> Vec<i64> {
        publishing::publish(&self.app.app, self.turn.capture).unwrap().started
    }
}

/// Gives the next grant of the database a number that no other of this process has.
fn number_next_grant(app: &TestApp) {
    let number = next_grant();
    app.write(move |db| {
        let numbering = match db {
            DbConnection::Sqlite(_) => format!(
                "DELETE FROM sqlite_sequence WHERE name = 'consent_grants'; \
                 INSERT INTO sqlite_sequence (name, seq) VALUES ('consent_grants', {})",
                number - 1
            ),
            DbConnection::Postgres(_) => format!("ALTER SEQUENCE consent_grants_id_seq RESTART WITH {number}"),
        };
        Ok(db.batch_execute(&numbering)?)
    });
}

/// Léa asks about `subject`, and Claire grants all of it.
fn grant(app: &TestApp, cast: &Cast, ticket: &Ticket, subject: Subject) -> (Grant, String) {
    let terms = move |queue| Terms {
        subject,
        purpose: "Comprendre pourquoi l'écran reste noir".to_owned(),
        purpose_code: PurposeCode::Fault,
        scope: Scope::of(&[Component::Pages, Component::Sql], Level::Debug, Vec::new()),
        duration_minutes: 60,
        retention_days: 7,
        recipients: Recipients::Queue(queue),
        exports_allowed: false,
        stop_condition: String::new(),
        idle_minutes: None,
    };
    let (lea, claire, now) = (app.actor(cast.lea), app.actor(cast.claire), app.now());
    let (program, asked) = (app.app.clone(), ticket.clone());
    let (outcome, handle) = app.write(move |db| {
        let request = asking::ask(db, &asked, &terms(asked.queue_id), &lea, now)?;
        let seen = granting::notice_for(db, &request, Locale::Fr)?.sha256;
        let outcome = granting::grant(db, &program.keys, &request, None, &seen, Locale::Fr, &claire, now)?;
        Ok((outcome, request.handle))
    });
    let Outcome::Granted(grant) = outcome else { panic!("{outcome:?}") };
    (*grant, handle)
}

#[actix_web::test]
async fn what_was_captured_is_read_on_record_and_gone_with_the_withdrawal() {
    let line = Line::begin();
    let capture = line.turn.capture;
    let (claire, lea) = (line.app.signed_in(line.cast.claire).await, line.app.signed_in(line.cast.lea).await);
    assert_eq!(GATE.live(), 0);
    assert_eq!(line.publish(), [line.grant.id.0]);
    claire.get("/requests").await.assert_status(200);
    let (app, clock) = (&line.app.app, Clock::system());
    let ends = app.unrecorded.clone();
    let mut drain = Drain::new(app.database.clone(), app.keys.clone(), clock, Catalogue::own(), ends);
    line.publish();
    let over = drain.round(&GATE, capture.drain(), &capture.counts());
    assert_eq!(over, []);

    // The agent sees that there is something, and reads it for a reason.
    let page = format!("/tickets/{}/consents/{}", line.ticket.reference, line.handle);
    let records = lea.get(&format!("{page}/records")).await;
    records.assert_says("Personne n’a encore lu").assert_silent_about("<code>accord::web</code>");
    let readings = format!("{page}/readings");
    let read = lea.post(&readings, &[("text", ""), ("level", ""), ("reason", "Écran noir au démarrage")]).await;
    read.assert_status(200).assert_says("<code>accord::web</code>").assert_says("Écran noir au démarrage");
    let searched = lea.post(&readings, &[("text", "nothing says this"), ("level", "debug")]).await;
    searched.assert_says("Aucun enregistrement ne correspond").assert_silent_about("<code>accord::web</code>");

    // The customer sees both within the same second, by name; a stranger sees nothing.
    let seen = claire.get(&format!("/consents/{}/records", line.handle)).await;
    let name = line.app.read(|db| person::by_id(db, line.cast.lea)).display_name();
    seen.assert_says(&name).assert_says("Écran noir au démarrage").assert_says("nothing says this");
    seen.assert_says(&line.ticket.reference);
    let own = claire.post(&format!("/consents/{}/readings", line.handle), &[("text", "")]).await;
    own.assert_says("<code>accord::web</code>");
    let zoe = line.app.signed_in(line.cast.zoe).await;
    zoe.post(&format!("/consents/{}/readings", line.handle), &[("text", "")]).await.assert_status(404);

    // The gate is closed when the withdrawal is answered, and nothing is left to read though nothing was destroyed yet.
    line.publish();
    assert_eq!(GATE.live(), 1);
    claire.post(&format!("/consents/{}/withdrawal", line.handle), &[]).await.assert_status(303);
    assert_eq!(GATE.live(), 0);
    assert_eq!(line.publish(), [] as [i64; 0]);
    claire.get("/requests").await;
    assert_eq!(line.turn.captured(), []);
    let gone = lea.post(&readings, &[("text", "")]).await;
    gone.assert_says("plus rien à lire").assert_silent_about("<code>accord::web</code>");
    line.app.run_jobs();
    lea.post(&readings, &[("text", "")]).await.assert_says("plus rien à lire");
    let certificate = line.app.read(|db| receipt::find(db, line.grant.id, Kind::Certificate)).expect("a certificate");
    receipt::verify(&certificate.document).unwrap();
    assert!(certificate.document["accord:destroyed"]["records"].as_i64().unwrap() > 0);
    // Who looked is known ever after.
    claire.get(&format!("/consents/{}/records", line.handle)).await.assert_says("Écran noir au démarrage");
}

#[actix_web::test]
async fn cn_02_an_agent_s_stop_closes_the_gate_before_it_is_answered() {
    let line = Line::begin();
    line.publish();
    assert_eq!(GATE.live(), 1);
    let lea = line.app.signed_in(line.cast.lea).await;
    let stop = format!("/tickets/{}/consents/{}/stop", line.ticket.reference, line.handle);
    lea.post(&stop, &[]).await.assert_status(303);
    assert_eq!(GATE.live(), 0);
}

#[actix_web::test]
async fn a_stranger_s_withdrawal_closes_nothing() {
    let line = Line::begin();
    let claire = line.app.signed_in(line.cast.claire).await;
    line.publish();
    for person in [line.cast.zoe, line.cast.paul] {
        let browser = line.app.signed_in(person).await;
        let answer = browser.post(&format!("/consents/{}/withdrawal", line.handle), &[]).await;
        assert_ne!(answer.status, 303, "{person:?}");
    }
    assert_eq!(GATE.live(), 1);
    line.publish();
    claire.get("/requests").await.assert_status(200);
    assert!(!line.turn.captured().is_empty());
}

#[test]
fn cn_03_while_the_grants_cannot_be_read_the_lease_runs_out() {
    let line = Line::begin();
    let capture = line.turn.capture;
    line.publish();
    line.app.write(|db| Ok(db.batch_execute("ALTER TABLE consent_grants RENAME TO elsewhere")?));
    assert!(publishing::publish(&line.app.app, capture).is_err());
    let mut later = capture.moment();
    assert_eq!(GATE.tick(later), []);
    assert_eq!(GATE.live(), 1);
    later.monotonic_nanos += LEASE_NANOS;
    let causes: Vec<Cause> = GATE.tick(later).into_iter().map(|stopped| stopped.cause).collect();
    assert_eq!(causes, [Cause::LeaseLost]);
    assert_eq!(GATE.live(), 0);
    line.app.write(|db| Ok(db.batch_execute("ALTER TABLE elsewhere RENAME TO consent_grants")?));
    assert_eq!(line.publish(), [line.grant.id.0], "it comes back with the database");
}

#[test]
fn a_grant_that_ended_elsewhere_is_closed_by_the_next_reading() {
    let line = Line::begin();
    line.publish();
    let (claire, now, id) = (line.app.actor(line.cast.claire), line.app.now(), line.grant.request_id);
    line.app.write(move |db| {
        let request = asking::by_id(db, id)?;
        accord::consent::withdrawing::withdraw(db, &request, accord::consent::withdrawing::Kept::No, &claire, now)
    });
    line.publish();
    assert_eq!(GATE.live(), 0);
    assert_eq!(line.app.read(|db| grants::live(db, now)).len(), 0);
}

#[actix_web::test]
async fn of_257_grants_the_last_waits_for_room_and_both_sides_are_told() {
    let line = Line::begin();
    let others: Vec<ActiveGrant> =
        (1..=SLOTS).map(|number| line.turn.grant(OrganisationId(10_000 + number as i64), None, AN_HOUR)).collect();
    let own = ActiveGrant { grant: line.grant.id.0, ..line.turn.grant(line.cast.arnaud, None, AN_HOUR) };
    let all = [others.as_slice(), std::slice::from_ref(&own)].concat();
    let changed = line.turn.capture.publish(&all, line.turn.capture.moment());
    assert_eq!((changed.started.len(), changed.waiting), (SLOTS, vec![own.grant]));
    let (claire, lea) = (line.app.signed_in(line.cast.claire).await, line.app.signed_in(line.cast.lea).await);
    let pages = [
        (&claire, format!("/consents/{}", line.handle)),
        (&lea, format!("/tickets/{}/consents/{}", line.ticket.reference, line.handle)),
    ];
    for (browser, page) in &pages {
        browser.get(page).await.assert_says("Accordé, mais rien n’est encore enregistré").assert_says("de lui-même");
    }
    let paul = line.app.signed_in(line.cast.paul).await;
    // Nothing that either side reads says that anything is recorded, whatever the page and the language.
    let paths = [
        (&claire, "/requests".to_owned()),
        (&claire, "/account/consents".to_owned()),
        (&paul, format!("/requests/{}", line.ticket.reference)),
        (&claire, format!("/consents/{}", line.handle)),
        (&claire, format!("/consents/{}/records", line.handle)),
        (&lea, format!("/tickets/{}", line.ticket.reference)),
        (&lea, format!("/tickets/{}/consents/{}", line.ticket.reference, line.handle)),
    ];
    let languages = [
        (
            "fr",
            "Enregistrement en cours",
            "est enregistré pour un diagnostic",
            "rien n’est encore enregistré (",
            "pas encore commencé",
        ),
        ("en", "Recording", "being recorded", "nothing is recorded yet (", "not begun yet"),
    ];
    for (language, runs, recorded, banner, state) in languages {
        for browser in [&claire, &paul, &lea] {
            browser.post("/account/language", &[("language", language)]).await.assert_status(303);
        }
        for (browser, path) in &paths {
            let page = browser.get(path).await;
            page.assert_status(200).assert_silent_about(&format!(">{runs}<")).assert_silent_about(recorded);
            page.assert_silent_about(&format!("{runs}</span>"));
            if path != "/requests" {
                page.assert_says(state);
            }
            if !std::ptr::eq(*browser, &lea) {
                page.assert_says("class=\"consent-banner\"").assert_says(banner);
            }
        }
    }
    for browser in [&claire, &lea] {
        browser.post("/account/language", &[("language", "fr")]).await.assert_status(303);
    }
    line.turn.publish(&all);
    claire.get("/requests").await.assert_status(200);
    assert_eq!(line.turn.captured(), []);
    // One of the others ends, and nobody has to do anything.
    let changed = line.turn.capture.publish(&all[1..], line.turn.capture.moment());
    assert_eq!((changed.started, changed.waiting), (vec![own.grant], vec![]));
    for (browser, page) in &pages {
        let page = browser.get(page).await;
        page.assert_silent_about("rien n’est encore enregistré").assert_says("Enregistrement en cours");
    }
    claire.get("/requests").await.assert_says("L’usage de votre organisation est enregistré pour un diagnostic (");
    line.turn.publish(&all[1..]);
    claire.get("/requests").await.assert_status(200);
    assert!(!line.turn.captured().is_empty());
    // Her own use waits beside it: the banner tells of what is recorded, not of what is not.
    number_next_grant(&line.app);
    let (beside, _) = grant(&line.app, &line.cast, &line.ticket, Subject::Person(line.cast.claire));
    let beside =
        ActiveGrant { grant: beside.id.0, ..line.turn.grant(line.cast.arnaud, Some(line.cast.claire), AN_HOUR) };
    let changed =
        line.turn.capture.publish(&[&all[1..], std::slice::from_ref(&beside)].concat(), line.turn.capture.moment());
    assert_eq!(changed.waiting, [beside.grant]);
    claire.get("/requests").await.assert_says("L’usage de votre organisation est enregistré pour un diagnostic (");
}

/// An embedded database has no other process to hear of anything; what two processes make of it is told in
/// `tests/integration/real/elsewhere.rs`.
#[test]
#[ignore = "needs PostgreSQL"]
fn real_other_processes_hear_that_a_grant_ended_and_that_one_began() {
    let line = Line::begin();
    let mut other = Listening::for_grants(line.app.app.database.url()).unwrap().expect("a PostgreSQL server");
    let mut hears_once = |what: &str| {
        assert!((0..1_000_000).any(|_| other.has_news().unwrap()), "{what} is told");
        assert!(!other.has_news().unwrap(), "{what} is told once");
    };
    let (claire, now, id) = (line.app.actor(line.cast.claire), line.app.now(), line.grant.request_id);
    line.app.write(move |db| {
        let request = asking::by_id(db, id)?;
        accord::consent::withdrawing::withdraw(db, &request, accord::consent::withdrawing::Kept::No, &claire, now)
    });
    hears_once("the withdrawal");
    grant(&line.app, &line.cast, &line.ticket, Subject::Organisation);
    hears_once("the grant");
}

/// Makes every end of a grant impossible to record, and possible again.
const BROKEN: &str = "ALTER TABLE consent_events RENAME TO elsewhere";
const MENDED: &str = "ALTER TABLE elsewhere RENAME TO consent_events";

impl Line {
    fn sql(&self, sql: &'static str) {
        self.app.write(move |db| Ok(db.batch_execute(sql)?));
    }

    fn end_reason(&self) -> Option<EndReason> {
        self.app.read(|db| grants::by_id(db, self.grant.id)).end_reason
    }

    /// The ends that a process which starts now would find.
    fn noted(&self) -> Vec<End> {
        let waiting = Unrecorded::below(&self.app.app.config.data).all().unwrap();
        waiting.into_iter().map(|noted| noted.end.unwrap()).collect()
    }

    fn kinds(&self) -> Vec<(EventKind, Option<PersonId>)> {
        let events = self.app.read(|db| register::of_request(db, self.grant.request_id));
        events.into_iter().map(|event| (event.kind, event.actor_id)).collect()
    }
}

#[actix_web::test]
async fn cn_02_a_withdrawal_that_cannot_be_recorded_stops_at_once_and_is_noted_until_it_is_recorded() {
    let line = Line::begin();
    let claire = line.app.signed_in(line.cast.claire).await;
    line.publish();
    line.sql(BROKEN);
    let answer = claire.post(&format!("/consents/{}/withdrawal", line.handle), &[]).await;
    answer.assert_status(503).assert_says("L’enregistrement est arrêté").assert_says("n’a pas encore pu l’inscrire");
    assert_eq!(GATE.live(), 0);
    assert_eq!(line.publish(), [] as [i64; 0], "though the database holds it for active");
    let noted = line.noted();
    assert_eq!(noted.iter().map(|end| (end.reason, end.kept)).collect::<Vec<_>>(), [(EndReason::Withdrawn, Kept::No)]);
    assert_eq!(line.end_reason(), None);

    line.sql(MENDED);
    line.publish();
    assert_eq!(line.end_reason(), Some(EndReason::Withdrawn));
    assert_eq!(line.noted(), []);
    assert_eq!(line.kinds().last(), Some(&(EventKind::Withdrawn, Some(line.cast.claire))));
    let now = line.app.now();
    assert_eq!(line.app.read(|db| grants::to_be_destroyed(db, now, GrantId(0), 9)).len(), 1, "as she was told");
}

#[test]
fn cn_02_after_a_restart_a_withdrawal_that_waits_is_recorded_before_anything_is_published() {
    let line = Line::begin();
    // A process that is gone noted it; the gate of this one knows nothing of it.
    let (claire, now) = (line.app.read(|db| person::by_id(db, line.cast.claire)).handle, line.app.now());
    let end = End {
        grant: line.grant.handle.clone(),
        reason: EndReason::Withdrawn,
        by: Ender::Customer(claire),
        kept: Kept::No,
        way: Some(Way::Link),
        at: now,
    };
    Unrecorded::below(&line.app.app.config.data).note(end).unwrap();
    line.sql(BROKEN);
    assert_eq!(line.publish(), [] as [i64; 0]);
    assert!(GATE.has_ended(line.grant.id.0), "for products as well");
    line.sql(MENDED);
    assert_eq!(line.publish(), [] as [i64; 0]);
    assert_eq!(line.end_reason(), Some(EndReason::Withdrawn));
    assert_eq!(line.kinds().last(), Some(&(EventKind::Withdrawn, Some(line.cast.claire))));
    assert_eq!(line.noted(), []);
}

#[actix_web::test]
async fn cn_02_an_agent_s_stop_that_cannot_be_recorded_is_noted_too() {
    let line = Line::begin();
    let lea = line.app.signed_in(line.cast.lea).await;
    line.publish();
    line.sql(BROKEN);
    let stop = format!("/tickets/{}/consents/{}/stop", line.ticket.reference, line.handle);
    lea.post(&stop, &[]).await.assert_status(503).assert_says("L’enregistrement est arrêté");
    assert_eq!(GATE.live(), 0);
    assert_eq!(line.noted().iter().map(|end| end.reason).collect::<Vec<_>>(), [EndReason::StoppedByOperator]);
    line.sql(MENDED);
    line.publish();
    assert_eq!(line.kinds().last(), Some(&(EventKind::Stopped, Some(line.cast.lea))));
    assert_eq!(line.noted(), []);
}

#[test]
fn cn_04_what_a_doubtful_clock_ends_stays_ended_after_a_restart_with_a_right_one() {
    let line = Line::begin();
    let capture = line.turn.capture;
    line.publish();
    line.sql(BROKEN);
    let mut earlier = capture.moment();
    earlier.wall_micros -= 2 * DOUBT_MICROS;
    GATE.tick(earlier);
    assert_eq!(line.publish(), [] as [i64; 0]);
    assert_eq!(line.noted().iter().map(|end| end.reason).collect::<Vec<_>>(), [EndReason::ClockDoubt]);
    publishing::believe_the_time(capture);
    assert_eq!(line.publish(), [] as [i64; 0]);
    line.sql(MENDED);
    assert_eq!(line.publish(), [] as [i64; 0]);
    assert_eq!(line.end_reason(), Some(EndReason::ClockDoubt));
}

#[test]
fn cn_04_ft_06_after_a_start_with_a_clock_before_the_last_record_nothing_is_captured_and_grants_end() {
    let line = Line::begin();
    let capture = line.turn.capture;
    // Somebody signs in; then the process starts anew, and its clock is an hour behind that.
    let later = UtcTime::from_micros(capture.moment().wall_micros + 3_600_000_000);
    let entry = audit::Entry { kind: "sign_in", actor: Some(line.cast.zoe), ..audit::Entry::default() };
    line.app.write(move |db| audit::record(db, &entry, later));
    publishing::remember_the_time(&line.app.app.database).unwrap();
    assert_eq!(line.publish(), [] as [i64; 0]);
    assert_eq!(GATE.live(), 0);
    let grant = line.app.read(|db| grants::by_id(db, line.grant.id));
    assert_eq!(grant.end_reason, Some(EndReason::ClockDoubt));
    // An administrator says that the clock is right; that grant stays ended all the same.
    publishing::believe_the_time(capture);
    assert_eq!(line.publish(), [] as [i64; 0]);
}
