//! A fault in the code costs its own piece of work, and nothing else (FT-20): no thread ends of it, what it strikes is put
//! aside after three times, and what stands behind goes on.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use accord::access::Actor;
use accord::app::App;
use accord::db::schema::journal as rows;
use accord::error::Result;
use accord::i18n::Locale;
use accord::journal;
use accord::notifications::left_out::WRITE_AGAIN;
use accord::outbox::State;
use accord::outbox::listing::{self, Which};
use accord::people::memberships::Rights;
use accord::people::person::{self, NewPerson, Origin};
use accord::queue;
use accord::queue::{InHand, Job};
use accord::stumbling::{self, Stage};
use accord::tickets::events::{self, EventKind};
use accord::tickets::participants;
use accord::tickets::status::Status;
use accord::worker::recurring::{self, Recurring};
use accord::worker::threads::{Step, Threads, WORK, Work, run_next_job_with};
use chrono::TimeDelta;
use diesel::prelude::*;
use tokio_util::sync::CancellationToken;

use crate::support::desk::{Desk, Letter, address};

const CLAIRE: &str = "claire@acme.example";
const ZOE: &str = "zoe@staff.example";
const INES: &str = "ines@acme.example";

/// How often each kind of work was begun.
static BEGUN: [AtomicU32; 4] = [const { AtomicU32::new(0) }; 4];

/// The work of that kind, over which the first two steps panic.
fn stumbling<const KIND: usize>(app: &App, worker: &str) -> Result<Step> {
    let before = BEGUN[KIND].fetch_add(1, Ordering::SeqCst);
    assert!(before >= 2, "a test wants this step to panic");
    (WORK[KIND].2)(app, worker)
}

#[test]
fn ft_20_threads_of_every_kind_go_on_after_a_panic_and_mail_flows_from_end_to_end() {
    assert_eq!(WORK.len(), BEGUN.len(), "every kind of work has its turn here");
    let desk = Desk::open();
    let steps: [Work; 4] = [stumbling::<0>, stumbling::<1>, stumbling::<2>, stumbling::<3>];
    let work: Vec<(&'static str, usize, Work)> =
        WORK.iter().zip(steps).map(|((name, threads, _), step)| (*name, *threads, step)).collect();
    let stop = CancellationToken::new();
    let threads = Threads::start_with(&desk.test.app, &stop, &work).unwrap();
    desk.accept(&Letter::from(CLAIRE));
    let began = Instant::now();
    let is_done = || desk.memory().sent().len() == 2 && BEGUN.iter().all(|begun| begun.load(Ordering::SeqCst) >= 3);
    while !is_done() {
        assert!(began.elapsed() < Duration::from_secs(60), "{BEGUN:?}, {:?}", desk.memory().sent().len());
        let changes = desk.test.app.database.changes();
        changes.wait(changes.count(), Duration::from_millis(50));
    }
    stop.cancel();
    threads.join();
    assert_eq!(desk.ticket().requester_id, desk.claire);
}

#[test]
fn ft_20_a_mail_over_which_sending_panics_is_put_aside_after_three_times_and_the_next_goes_out() {
    let desk = Desk::open();
    desk.memory().panic_over(Some(CLAIRE));
    desk.receive(&Letter::from(CLAIRE));
    for _ in 0..4 {
        desk.test.pass(TimeDelta::hours(1));
    }
    assert_eq!(desk.sent().into_iter().map(|sent| sent.recipient).collect::<Vec<_>>(), [ZOE]);
    let dead = desk.test.read(|db| listing::list(db, Which::Dead, None, 10)).rows;
    assert_eq!(dead.iter().map(|mail| (mail.state, mail.attempts)).collect::<Vec<_>>(), [(State::Dead, 3)]);
    desk.memory().panic_over(None);
    desk.receive(&Letter::from(CLAIRE).subject("Autre chose"));
    assert_eq!(desk.sent_to(CLAIRE).len(), 1);
}

#[test]
fn ft_20_a_job_that_panics_is_put_aside_after_three_times_and_the_next_is_done() {
    let desk = Desk::open();
    let now = desk.test.now();
    desk.test.write(move |db| {
        queue::enqueue(db, "poison", &1, now, now)?;
        queue::enqueue(db, "sound", &2, now, now)
    });
    let mut done = 0;
    let strikes = AtomicU32::new(0);
    for _ in 0..queue::ATTEMPTS {
        let run = |app: &App, job: &InHand, _| {
            if job.job.name == "poison" {
                strikes.fetch_add(1, Ordering::SeqCst);
                panic!("a test wants this job to panic");
            }
            let job = job.clone();
            app.database.write_now(move |db| job.finish(db))
        };
        while let Step::Worked(jobs) = run_next_job_with(&desk.test.app, "test", run).unwrap() {
            done += jobs;
        }
        desk.test.clock.advance(TimeDelta::hours(12));
    }
    assert_eq!((done, strikes.into_inner()), (4, 3));
    let failed = desk.test.read(|db| queue::failed(db, 10));
    assert_eq!(failed.iter().map(|job| (job.name.as_str(), job.attempts)).collect::<Vec<_>>(), [("poison", 3)]);
}

#[test]
fn ft_20_a_job_that_ends_the_process_is_put_aside_as_well() {
    let desk = Desk::open();
    let now = desk.test.now();
    desk.test.write(move |db| queue::enqueue(db, "poison", &1, now, now));
    let claim = || {
        desk.test.write(move |db| {
            queue::free_leases(db)?;
            queue::claim_next(db, "dying", now)
        })
    };
    for attempt in 1..=queue::ATTEMPTS {
        assert_eq!(claim().map(|job| job.attempts), Some(attempt));
    }
    assert!(claim().is_none());
    let failed = desk.test.read(|db| queue::failed(db, 10));
    assert_eq!(failed[0].last_error.as_deref(), Some("no worker that took it came back"));
    desk.test.write(move |db| queue::retry_all(db, now));
    let job = claim().unwrap();
    desk.test.write(move |db| queue::finish(db, &job));
}

#[test]
fn a_job_that_another_worker_took_over_is_not_failed_by_the_first() {
    let desk = Desk::open();
    let now = desk.test.now();
    desk.test.write(move |db| queue::enqueue(db, "slow", &1, now, now));
    let slow = desk.test.write(move |db| queue::claim_next(db, "first", now)).unwrap();
    let later = now.plus(TimeDelta::minutes(3));
    let taken_over = desk.test.write(move |db| queue::claim_next(db, "second", later)).unwrap();
    let fail = |job: Job, worker: &'static str| {
        desk.test.write(move |db| queue::fail(db, &job, worker, 1, "a test wants this to fail", later))
    };
    assert!(!fail(slow, "first"));
    assert!(desk.test.write(move |db| queue::claim_next(db, "third", later)).is_none(), "the second is at it");
    assert!(fail(taken_over, "second"));
    assert_eq!(desk.test.read(|db| queue::failed(db, 10)).len(), 1);
}

static SOUND_RUNS: AtomicU32 = AtomicU32::new(0);

const FAULTY: &[Recurring] = &[
    Recurring {
        name: "test_poison",
        every: TimeDelta::minutes(1),
        removes: false,
        run: |_, _| panic!("a test wants this to panic"),
    },
    Recurring {
        name: "test_sound",
        every: TimeDelta::minutes(1),
        removes: false,
        run: |_, _| {
            SOUND_RUNS.fetch_add(1, Ordering::SeqCst);
            Ok(())
        },
    },
];

#[test]
fn ft_20_recurring_work_that_panics_keeps_no_other_waiting_and_is_due_again() {
    let desk = Desk::open();
    for runs in 1..=3 {
        let ran = recurring::run_due_of(FAULTY, &desk.test.app, desk.test.now()).unwrap();
        assert_eq!((ran, SOUND_RUNS.load(Ordering::SeqCst)), (2, runs));
        desk.test.clock.advance(TimeDelta::minutes(2));
    }
}

/// Three mails that came; their handles.
fn three_letters(desk: &Desk) -> [String; 3] {
    for (number, from) in [CLAIRE, "poison@acme.example", "bob@acme.example"].into_iter().enumerate() {
        desk.accept(&Letter::from(from).subject(&format!("Question {number}")));
    }
    let handles = desk.test.read(|db| Ok(rows::table.order(rows::id).select(rows::handle).load::<String>(db)?));
    handles.try_into().expect("three mails")
}

#[test]
fn j_07_ft_20_a_mail_over_which_reading_or_applying_panics_is_put_aside_after_three_times_and_the_others_are_done_at_once()
 {
    for stage in [Stage::Reading, Stage::Applying] {
        let desk = Desk::open();
        let [_, poison, _] = three_letters(&desk);
        let stone = stumbling::lay(stage, &poison);
        desk.test.run_jobs();
        let subjects: Vec<String> = desk.tickets().into_iter().map(|ticket| ticket.subject).collect();
        assert_eq!(subjects, ["Question 0", "Question 2"], "{stage:?}: without any time having passed");
        desk.receive(&Letter::from(CLAIRE).subject("Question 3"));
        assert_eq!(desk.tickets().len(), 3, "{stage:?}: and what comes after it");
        let of_poison = || {
            let found = rows::table.filter(rows::handle.eq(poison.clone()));
            desk.test.read(|db| Ok(found.select((rows::state, rows::strikes)).first::<(journal::State, i32)>(db)?))
        };
        assert_eq!(of_poison().1, 1, "{stage:?}: one strike so far");
        for _ in 0..5 {
            desk.test.pass(TimeDelta::hours(1));
        }
        assert_eq!(of_poison(), (journal::State::Failed, 3), "{stage:?}");
        let listed = desk.test.read(journal::unprocessed::counts);
        assert_eq!((listed.failed, listed.waiting), (1, 0), "{stage:?}: it is on the list");
        drop(stone);
        // It is whole, and becomes a ticket by hand as it would have.
        let raw = desk.test.read(|db| {
            let raw = rows::table.filter(rows::handle.eq(poison.clone())).select(rows::raw);
            Ok(raw.first::<Option<Vec<u8>>>(db)?)
        });
        assert!(raw.is_some_and(|raw| raw.ends_with(b"noir.\r\n")), "{stage:?}: its bytes are there");
    }
}

#[test]
fn o_08_ft_20_a_mail_over_whose_words_or_bytes_the_code_panics_is_put_aside_after_three_times_and_the_others_go_out() {
    for stage in [Stage::Rendering, Stage::Building] {
        let desk = Desk::open();
        let stone = stumbling::lay(stage, "bob@acme.example");
        for from in [CLAIRE, "bob@acme.example", "claire@acme.example"] {
            desk.accept(&Letter::from(from));
        }
        desk.test.run_jobs();
        assert_eq!(desk.sent_to(CLAIRE).len(), 2, "{stage:?}: the others go out without any time having passed");
        for _ in 0..5 {
            desk.test.pass(TimeDelta::hours(1));
        }
        let dead = desk.test.read(|db| listing::list(db, Which::Dead, None, 10)).rows;
        let to: Vec<_> = dead.iter().map(|mail| mail.recipient.as_str()).collect();
        assert_eq!(to, ["bob@acme.example"], "{stage:?}: kept, and shown");
        assert_eq!(desk.tickets().len(), 3, "{stage:?}: what he wrote is there");
        drop(stone);
    }
}

#[actix_web::test]
async fn o_08_one_reader_s_mail_that_cannot_be_written_keeps_no_other_s_and_is_written_again_when_somebody_says_so() {
    let desk = Desk::open();
    desk.receive(&Letter::from(CLAIRE));
    let (ticket, acme, now) = (desk.ticket(), desk.acme, desk.test.now());
    let joined = ticket.clone();
    desk.test.write(move |db| {
        // Nobody else's test lays a stone before her.
        let lea = NewPerson {
            address_confirmed_at: Some(now),
            ..NewPerson::at(address("lea@acme.example"), Locale::Fr, Origin::Staff)
        };
        let lea = person::create(db, &lea, Some((acme, Rights::default())), None, now)?;
        participants::approve(db, &joined, lea.id, &Actor::System, now)
    });
    desk.test.run_jobs();
    desk.sent();
    let stone = stumbling::lay(Stage::Building, "lea@acme.example");
    desk.answer(&desk.ticket_again(ticket.id), "Redémarrez-le.", Status::WaitingForCustomer);
    for _ in 0..5 {
        desk.test.pass(TimeDelta::hours(1));
    }
    assert_eq!(desk.sent_to(CLAIRE).len(), 1, "she has hers");
    let failed =
        |desk: &Desk| desk.test.read(|db| queue::failed(db, 10)).into_iter().map(|job| job.name).collect::<Vec<_>>();
    assert_eq!(failed(&desk), [WRITE_AGAIN], "the job is done, and his mail put aside");
    let dead = |desk: &Desk| desk.test.read(|db| listing::list(db, Which::Dead, None, 10)).rows;
    let told: Vec<_> = dead(&desk).into_iter().map(|mail| (mail.recipient, mail.has_bytes)).collect();
    assert_eq!(told, [("lea@acme.example".to_owned(), false)]);
    let events = desk.test.read(|db| events::of_ticket(db, &ticket, 100));
    assert!(events.iter().any(|event| event.kind == EventKind::MailFailed), "{events:?}");

    // An agent says to send it again, and it fails again; then an administrator does, and it is written, for him alone.
    let path = format!("/tickets/{}", ticket.reference);
    let handle = dead(&desk)[0].handle.clone();
    let zoe = desk.test.browser_of(desk.zoe).await;
    let retry = format!("{path}/mails/{handle}/retry");
    zoe.get(&path).await.assert_says(&retry);
    zoe.post(&retry, &[]).await.assert_status(303);
    zoe.get(&path).await.assert_silent_about(&retry);
    for _ in 0..5 {
        desk.test.pass(TimeDelta::hours(1));
    }
    assert_eq!((failed(&desk), desk.memory().sent().len()), (vec![WRITE_AGAIN.to_owned()], 0));
    drop(stone);
    let sending = format!("/admin/outgoing-mail/{handle}/sending");
    let (zoe, anne) = (desk.test.browser_of(desk.zoe).await, desk.test.signed_in(desk.administrator).await);
    anne.get("/admin/outgoing-mail").await.assert_says(&sending);
    anne.post(&sending, &[]).await.assert_status(303);
    desk.test.run_jobs();
    let sent: Vec<_> =
        desk.sent().into_iter().map(|sent| (sent.recipient, sent.mail.text.contains("Redémarrez-le."))).collect();
    assert_eq!(sent, [("lea@acme.example".to_owned(), true)]);
    assert!(dead(&desk).is_empty() && failed(&desk).is_empty());
    anne.post(&sending, &[]).await.assert_status(404);
    zoe.get(&path).await.assert_silent_about("n’a pas reçu ce courriel");
}

#[actix_web::test]
async fn o_08_a_mail_that_is_written_again_goes_once_and_to_nobody_who_reads_the_ticket_no_more() {
    for reads_no_more in [false, true] {
        let desk = Desk::open();
        desk.receive(&Letter::from(CLAIRE));
        let (ticket, now) = (desk.ticket(), desk.test.now());
        let joined = ticket.clone();
        let ines = desk.test.write(move |db| {
            let ines = person::find_or_create_by_address(db, &address(INES), "Inès", Origin::Mail, Locale::Fr, now)?.id;
            participants::approve(db, &joined, ines, &Actor::System, now)?;
            Ok(ines)
        });
        let stone = stumbling::lay(Stage::Building, INES);
        desk.answer(&desk.ticket_again(ticket.id), "Redémarrez-le.", Status::WaitingForCustomer);
        for _ in 0..5 {
            desk.test.pass(TimeDelta::hours(1));
        }
        drop(stone);
        assert_eq!(desk.sent_to(INES).len(), 0);
        desk.sent();
        if reads_no_more {
            let (current, now) = (desk.ticket_again(ticket.id), desk.test.now());
            desk.test.write(move |db| participants::remove(db, &current, ines, &Actor::System, now));
            desk.test.run_jobs();
        }
        let dead = desk.test.read(|db| listing::list(db, Which::Dead, None, 10)).rows;
        let retry = format!("/tickets/{}/mails/{}/retry", ticket.reference, dead[0].handle);
        let sending = format!("/admin/outgoing-mail/{}/sending", dead[0].handle);
        desk.test.browser_of(desk.yves).await.post(&retry, &[]).await.assert_status(404);
        let anne = desk.test.signed_in(desk.administrator).await;
        anne.post(&sending, &[]).await.assert_status(303);
        anne.post(&sending, &[]).await.assert_status(409);
        desk.test.browser_of(desk.zoe).await.post(&retry, &[]).await.assert_status(303);
        desk.test.run_jobs();
        desk.test.pass(TimeDelta::hours(1));
        assert_eq!((desk.sent_to(INES).len(), desk.sent().len()), (usize::from(!reads_no_more), 0));
        let left = desk.test.read(|db| listing::list(db, Which::Dead, None, 10)).rows;
        assert!(left.is_empty() && desk.test.read(|db| queue::failed(db, 10)).is_empty(), "{left:?}");
    }
}
