//! Looking stands in nobody's way, and nothing leaves before it is on record: captures are looked through beside the one
//! who writes, what ended meanwhile is not shown, and everybody has so much of it under way at a time.

use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use accord::consent::withdrawing::{self, Kept};
use accord::db::dialect;
use accord::diagnostics::reading_record::Action;
use accord::diagnostics::seats::Full;
use accord::diagnostics::viewing::{self, Ahead, Asked, Form};
use accord::error::Error;
use chrono::TimeDelta;
use futures_util::future::{Either, join, select};
use tokio::time::timeout;

use super::seeing::Seen;
use super::*;

/// Longer than anything here takes, on any machine.
const LONG: Duration = Duration::from_secs(20);

/// Every way to read what was captured, with a form that asks for it.
const WAYS: [(&str, &[(&str, &str)]); 8] = [
    ("readings", &[]),
    ("readings", &[("text", "failed")]),
    ("flame", &[("form", "flame")]),
    ("exports", &[("form", "otlp")]),
    ("exports", &[("form", "chrome")]),
    ("exports", &[("form", "folded")]),
    ("exports", &[("form", "csv")]),
    ("live", &[("after", "0"), ("seconds", "0")]),
];

#[actix_web::test]
async fn a_capture_is_looked_through_while_somebody_else_writes() {
    let seen = Seen::begin().await;
    // That it cannot be read is known only to who tried.
    seen.process.sql("UPDATE trace_chunks SET tag = previous_tag");
    let ((began, has_begun), (finish, finished)) = (channel(), channel::<()>());
    let (database, grant) = (seen.process.test.app.database.clone(), seen.grant.id);
    let writer = std::thread::spawn(move || {
        database.write_now(move |db| {
            dialect::hold_grant(db, grant)?;
            began.send(()).unwrap();
            assert!(finished.recv().is_err(), "nobody says anything");
            Ok(())
        })
    });
    has_begun.recv().unwrap();
    let page = timeout(LONG, seen.claire_posts("readings", &[("text", "failed")])).await;
    drop(finish);
    writer.join().unwrap().unwrap();
    page.expect("it waits for who writes").assert_status(500).assert_silent_about("It failed");
    assert_eq!(seen.looks(), [], "nothing was shown");
}

#[actix_web::test]
async fn nothing_leaves_that_cannot_be_put_on_record() {
    let seen = Seen::begin().await;
    seen.process.test.write(|db| {
        let refuse = match db {
            DbConnection::Sqlite(_) => {
                "CREATE TRIGGER no_looks BEFORE INSERT ON reading_records BEGIN SELECT RAISE(ABORT, 'no'); END"
            }
            DbConnection::Postgres(_) => {
                "CREATE FUNCTION no_looks() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'no'; END$$;
                 CREATE TRIGGER no_looks BEFORE INSERT ON reading_records FOR EACH ROW EXECUTE FUNCTION no_looks()"
            }
        };
        Ok(db.batch_execute(refuse)?)
    });
    for (way, fields) in WAYS {
        for page in [seen.claire_posts(way, fields).await, seen.lea_posts(way, fields).await] {
            page.assert_status(500);
            for text in ["It failed", "SELECT", "/requests/", "request;read", "request › read"] {
                page.assert_silent_about(text);
            }
        }
    }
    assert_eq!(seen.looks(), []);
}

/// The right to look, and what is looked at, are asked for again when the look is put on record.
#[test]
fn what_ends_between_looking_and_the_record_is_shown_to_nobody() {
    type End = fn(&Process, &Grant);
    let ends: [(&str, End); 3] = [
        ("withdrawn", |process, grant| process.withdraw(grant, Kept::No)),
        ("its date came", |process, grant| {
            process.withdraw(grant, Kept::UntilItsDate);
            process.test.clock.advance(TimeDelta::days(7));
        }),
        ("destroyed", |process, grant| {
            process.withdraw(grant, Kept::No);
            process.test.run_jobs();
        }),
    ];
    for (what, end) in ends {
        let mut process = Process::begin();
        let grant = process.grant();
        let pass = process.open(&grant);
        process.request(&grant, pass, 1);
        let (app, claire) = (process.test.app.clone(), process.test.actor(process.cast.claire));
        let clock = app.clock.clone();
        let asked = Asked::default();
        let (_, note) = process.test.read(|db| viewing::look(db, &app.keys, &grant, &claire, &asked, clock.now()));
        end(&process, &grant);
        let written = app.database.write_now(move |db| note.write(db, &clock).map(drop));
        assert!(matches!(written, Err(Error::Conflict(_))), "{what}: {written:?}");
        assert_eq!(process.count("reading_records"), 0, "{what}");
    }
}

#[test]
fn who_loses_the_right_between_looking_and_the_record_is_shown_nothing() {
    for taken in ["DELETE FROM queue_members", "DELETE FROM memberships"] {
        let mut process = Process::begin();
        let grant = process.grant();
        let pass = process.open(&grant);
        process.request(&grant, pass, 1);
        let app = process.test.app.clone();
        let person = if taken.contains("queue") { process.cast.lea } else { process.cast.claire };
        let (reader, clock, asked) = (process.test.actor(person), app.clock.clone(), Asked::default());
        let (_, note) = process.test.read(|db| viewing::look(db, &app.keys, &grant, &reader, &asked, clock.now()));
        let ahead = process.test.read(|db| Ahead::of(db, &grant, 0));
        process.sql(taken);
        let other = clock.clone();
        let written = app.database.write_now(move |db| note.write(db, &other).map(drop));
        assert!(matches!(written, Err(Error::Forbidden)), "{taken}: {written:?}");
        let watched = app.database.write_now(move |db| ahead.watch(db, &reader, "", &clock).map(drop));
        assert!(matches!(watched, Err(Error::Forbidden)), "{taken}: {watched:?}");
        assert_eq!(process.count("reading_records"), 0);
    }
}

/// The same from outside: a withdrawal that is under way while somebody looks.
#[actix_web::test]
async fn a_withdrawal_under_way_while_somebody_looks_wins() {
    let seen = Seen::begin().await;
    let ((began, has_begun), (finish, finished)) = (channel(), channel::<()>());
    let (by, now, id) = (seen.process.test.actor(seen.process.cast.claire), seen.process.now(), seen.grant.request_id);
    let database = seen.process.test.app.database.clone();
    let writer = std::thread::spawn(move || {
        database.write_now(move |db| {
            let request = asking::by_id(db, id)?;
            withdrawing::withdraw(db, &request, Kept::No, &by, now)?;
            began.send(()).unwrap();
            assert!(finished.recv().is_err(), "nobody says anything");
            Ok(())
        })
    });
    has_begun.recv().unwrap();
    let searches = &seen.process.test.app.looking.searches;
    let looking = seen.claire_posts("readings", &[]);
    let withdrawing = async {
        // Whoever looks has begun to; what they find is there still.
        while searches.take(seen.process.cast.claire).is_ok() {
            tokio::task::yield_now().await;
        }
        drop(finish);
    };
    let (page, ()) = join(looking, withdrawing).await;
    writer.join().unwrap().unwrap();
    page.assert_status(200).assert_says("Il n’y a plus rien à lire").assert_silent_about("It failed");
    assert_eq!(seen.looks(), []);
}

#[actix_web::test]
async fn a_page_counts_nothing_and_whole_readings_and_the_check_find_what_is_missing() {
    let seen = Seen::begin().await;
    assert_eq!(seen.process.test.read(trace_store::verify_all), 1);
    seen.process.sql("UPDATE trace_counters SET captured = captured + 1");
    seen.claire_posts("readings", &[]).await.assert_status(200).assert_says("It failed");
    seen.claire_posts("flame", &[("form", "flame")]).await.assert_status(500).assert_silent_about("request › read");
    let (app, grant) = (seen.process.test.app.clone(), seen.grant.id);
    let (lea, clock, now) = (seen.process.test.actor(seen.process.cast.lea), app.clock.clone(), seen.process.now());
    let leave = seen.process.test.write(move |db| viewing::open_whole(db, grant, &lea, Form::Csv, "", &clock));
    let read = |after| app.database.read_now(|db| viewing::read_on(db, &app.keys, &leave, after, now));
    let (_, last) = read(0).unwrap().expect("what there is");
    assert!(matches!(read(last), Err(Error::Internal(_))), "a file breaks off where something is missing");
    assert!(app.database.read_now(trace_store::verify_all).is_err());
}

#[actix_web::test]
async fn each_searches_once_at_a_time_and_the_next_waits_or_is_told() {
    let seen = Seen::begin().await;
    let searches = &seen.process.test.app.looking.searches;
    let first = searches.take(seen.process.cast.lea).unwrap();
    seen.claire_posts("readings", &[]).await.assert_status(200).assert_says("It failed");
    let second = seen.lea_posts("readings", &[]);
    let waiting = std::pin::pin!(second);
    let answered = async {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    };
    let Either::Right(((), waiting)) = select(waiting, std::pin::pin!(answered)).await else {
        panic!("it does not wait");
    };
    drop(first);
    timeout(LONG, waiting).await.unwrap().assert_status(200).assert_says("It failed");

    let _first = searches.take(seen.process.cast.lea).unwrap();
    tokio::time::pause();
    let told = seen.lea_posts("readings", &[]).await;
    told.assert_status(429).assert_says("Votre recherche précédente n’est pas finie").assert_silent_about("It failed");
    assert_eq!(told.header("retry-after"), Some("5"));
    assert_eq!(seen.looks().len(), 2);
}

#[actix_web::test]
async fn each_reads_so_many_captures_whole_at_a_time() {
    let seen = Seen::begin().await;
    let wholes = &seen.process.test.app.looking.wholes;
    let lea = seen.process.cast.lea;
    let seats = [wholes.take(lea).unwrap(), wholes.take(lea).unwrap()];
    for (way, form) in [("flame", "flame"), ("exports", "csv")] {
        let told = seen.lea_posts(way, &[("form", form)]).await;
        told.assert_status(429).assert_says("Deux lectures complètes sont déjà en cours");
        seen.claire_posts(way, &[("form", form)]).await.assert_status(200);
    }
    assert!(seen.looks().iter().all(|look| look.reader == seen.process.cast.claire));
    drop(seats);
    for (way, form) in [("flame", "flame"), ("exports", "csv"), ("exports", "otlp"), ("flame", "flame")] {
        seen.lea_posts(way, &[("form", form)]).await.assert_status(200);
    }
    assert!(wholes.take(lea).is_ok(), "each is given back");
}

#[actix_web::test]
async fn nobody_takes_all_the_seats_of_those_who_watch() {
    let seen = Seen::begin().await;
    let (looking, cast) = (&seen.process.test.app.looking, &seen.process.cast);
    let watching: Vec<_> = std::iter::from_fn(|| looking.watching.take(cast.lea).ok()).collect();
    let following: Vec<_> = std::iter::from_fn(|| looking.following.take(cast.lea).ok()).collect();
    assert_eq!((watching.len(), following.len()), (4, 8));
    assert_eq!(looking.watching.take(cast.lea).map(drop), Err(Full::OfOne));
    let watch = [("after", "0"), ("seconds", "0")];
    let told = seen.lea_posts("live", &watch).await;
    told.assert_status(429).assert_says("Vous suivez déjà autant de pages").assert_silent_about("It failed");
    let looks = |base: &str| format!("{base}/looks?seconds=0&after=0");
    seen.lea.get(&looks(&seen.agent_base)).await.assert_status(429);
    assert_eq!(seen.looks(), []);
    seen.claire_posts("live", &watch).await.assert_status(200).assert_says("It failed");
    seen.claire.get(&looks(&seen.customer_base)).await.assert_status(200);
    drop((watching, following));
    seen.process.test.clock.advance(TimeDelta::seconds(1));
    seen.lea_posts("live", &watch).await.assert_status(200).assert_says("It failed");
    assert!(looking.watching.take(cast.lea).is_ok(), "each is given back");
    // All seats there are, however many people have them.
    let all: Vec<_> = (1_000..).map_while(|person| looking.watching.take(PersonId(person)).ok()).collect();
    assert_eq!(all.len(), 200);
    assert_eq!(looking.watching.take(cast.lea).map(drop), Err(Full::OfAll));
    seen.lea_posts("live", &watch).await.assert_status(503);
}

/// However fast records come, watching them is one line a second, which covers all that is shown.
#[actix_web::test]
async fn who_watches_is_on_record_once_a_second_with_all_that_was_shown() {
    let mut seen = Seen::begin().await;
    let (lea, path) = (seen.lea.clone(), format!("{}/live", seen.agent_base));
    let began = Instant::now();
    let watching = async { lea.post(&path, &[("after", "0"), ("seconds", "1")]).await };
    let Seen { process, grant, pass, .. } = &mut seen;
    let capturing = async {
        for activity in 2.. {
            process.request(grant, *pass, activity);
            tokio::task::yield_now().await;
        }
    };
    let Either::Left((page, _)) = select(std::pin::pin!(watching), std::pin::pin!(capturing)).await else {
        panic!("capturing never ends");
    };
    let seconds = began.elapsed().as_secs();
    let looks = seen.looks();
    assert!(looks.iter().all(|look| look.action == Action::Live));
    assert!((2..=seconds + 2).contains(&(looks.len() as u64)), "{} lines in {seconds} s", looks.len());
    let told: i64 = looks.iter().map(|look| look.records).sum();
    // Each request has two spans, two events and a gap.
    let shown = page.assert_status(200).text().matches("SELECT").count() as i64 * 5;
    assert!(shown > 5 && shown <= told, "{shown} records were shown, {told} are told of");
}

/// T-04: who guesses the names of consents has to wait, whichever way they guess.
#[actix_web::test]
async fn t_04_guesses_at_captures_are_stopped_whichever_way_they_are_made() {
    let seen = Seen::begin().await;
    for (way, fields) in [WAYS[0], WAYS[2], WAYS[6], WAYS[7]] {
        for guess in 0..30 {
            seen.claire.post(&format!("/consents/guess{guess}/{way}"), fields).await.assert_status(404);
        }
        seen.claire.post(&format!("/consents/guess/{way}"), fields).await.assert_status(429);
        seen.claire_posts(way, fields).await.assert_status(429);
        seen.process.test.clock.advance(TimeDelta::minutes(2));
    }
    for guess in 0..30 {
        seen.claire.get(&format!("/consents/guess{guess}/looks?seconds=0")).await.assert_status(404);
    }
    seen.claire.get("/consents/guess/looks?seconds=0").await.assert_status(429);
    assert_eq!(seen.looks(), []);
}
