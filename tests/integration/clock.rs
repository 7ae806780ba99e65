//! The clock of the machine is set, or stands still (FT-06): nothing is removed for an age that it may not have, nobody stays
//! signed in for longer, and what waits is done.

use accord::audit;
use accord::db::schema::throttles;
use accord::journal::imap;
use accord::mail::transport::{FailureKind, SendFailure};
use accord::outbox::listing::{self, Which};
use accord::people::sessions::Limits;
use accord::schedule::{self, Course};
use accord::throttle::{self, Rate};
use accord::worker::recurring;
use accord::{journal, queue};
use chrono::TimeDelta;
use diesel::prelude::*;

use crate::support::desk::{Desk, Letter};

const TEN_YEARS: TimeDelta = TimeDelta::days(3_652);

/// Somebody sets the clock on the wall.
fn set(desk: &Desk, by: TimeDelta) {
    desk.test.clock.set_wall(desk.test.now().plus(by));
}

fn recur(desk: &Desk) {
    recurring::run_due(&desk.test.app, desk.test.now()).unwrap();
}

/// Time passes as it does, and all work is done.
fn pass(desk: &Desk, hours: i32) {
    for _ in 0..hours {
        desk.test.clock.advance(TimeDelta::hours(1));
        recur(desk);
        desk.test.run_jobs();
    }
}

/// Something that is removed when it is two days old.
fn something_to_remove(desk: &Desk) {
    let now = desk.test.now();
    desk.test.write(move |db| throttle::take(db, "old", Rate { times: 3, within: TimeDelta::hours(1) }, now));
}

fn is_there(desk: &Desk) -> bool {
    let old = throttles::table.filter(throttles::name.eq("old")).count();
    desk.test.read(|db| Ok(old.get_result::<i64>(db)?)) > 0
}

#[actix_web::test]
async fn ft_06_after_a_jump_of_more_than_a_day_nothing_is_removed_for_its_age_until_an_administrator_confirms() {
    for jump in [TimeDelta::hours(49), TEN_YEARS] {
        let desk = Desk::open();
        recur(&desk);
        something_to_remove(&desk);
        set(&desk, jump);
        for _ in 0..3 {
            pass(&desk, 12);
            assert!(is_there(&desk), "{jump}");
        }
        let anne = desk.test.signed_in(desk.administrator).await;
        anne.get("/admin/status")
            .await
            .assert_says("plus d’un jour d’avance")
            .assert_says("L’heure est juste, reprendre");
        for _ in 0..2 {
            anne.post("/admin/status/clock", &[]).await.assert_status(303);
        }
        anne.get("/admin/status").await.assert_says("Elle suit son cours").assert_silent_about("L’heure est juste");
        anne.get("/admin/ledger").await.assert_says("Heure du serveur confirmée");
        recur(&desk);
        assert!(!is_there(&desk), "{jump}");
        let ledger = desk.test.read(|db| audit::list(db, None, 50));
        assert_eq!(ledger.iter().filter(|(record, _)| record.kind == "clock_confirmed").count(), 1);
    }
}

#[test]
fn ft_06_a_clock_that_is_put_right_again_needs_nobody_and_days_that_pass_remove_what_is_old() {
    let desk = Desk::open();
    recur(&desk);
    something_to_remove(&desk);
    set(&desk, TEN_YEARS);
    recur(&desk);
    set(&desk, -TEN_YEARS);
    pass(&desk, 24);
    assert!(is_there(&desk), "a day old");
    pass(&desk, 48);
    assert!(!is_there(&desk), "three days old");
}

#[test]
fn ft_06_a_clock_that_is_put_right_days_later_holds_nothing_back_and_still_waits_for_somebody_s_word() {
    let desk = Desk::open();
    recur(&desk);
    set(&desk, TEN_YEARS);
    recur(&desk);
    let ahead = desk.test.now();
    desk.test.write(move |db| throttle::take(db, "ahead", Rate { times: 1, within: TimeDelta::hours(1) }, ahead));
    set(&desk, TimeDelta::hours(49) - TEN_YEARS);
    recur(&desk);
    let last = desk.test.read(|db| throttle::last(db, "ahead")).unwrap();
    assert_eq!(last, desk.test.now());
    let now = desk.test.now();
    let course = desk.test.read(move |db| schedule::course(db, now));
    assert!(matches!(course, Course::Ahead { .. }), "{course:?}");
}

#[actix_web::test]
async fn ft_06_nobody_stays_signed_in_for_longer_since_the_clock_was_set_back() {
    for back in [TimeDelta::hours(1), TimeDelta::days(1)] {
        for (minutes, lasts) in [(-1, true), (1, false)] {
            let desk = Desk::open();
            recur(&desk);
            let zoe = desk.test.browser_of(desk.zoe).await;
            let idle = Limits::from(&desk.test.app.config.security).idle;
            set(&desk, -back);
            recur(&desk);
            desk.test.clock.advance(idle + TimeDelta::minutes(minutes));
            let answer = zoe.get("/tickets").await;
            assert_eq!(answer.status == 200, lasts, "{back}, {minutes}: {}", answer.status);
        }
    }
}

#[actix_web::test]
async fn ft_06_who_signed_in_while_the_clock_was_ahead_is_signed_in_no_longer_than_anybody() {
    let desk = Desk::open();
    recur(&desk);
    let early = desk.test.browser_of(desk.yves).await;
    set(&desk, TEN_YEARS);
    recur(&desk);
    let zoe = desk.test.browser_of(desk.zoe).await;
    set(&desk, -TEN_YEARS);
    recur(&desk);
    let idle = Limits::from(&desk.test.app.config.security).idle;
    desk.test.clock.advance(idle - TimeDelta::minutes(1));
    assert_eq!(early.get("/tickets").await.status, 200, "who was there before notices nothing");
    desk.test.clock.advance(TimeDelta::minutes(2));
    assert_ne!(zoe.get("/tickets").await.status, 200);
}

#[test]
fn ft_06_whatever_the_clock_is_set_to_mail_is_read_in_its_order_and_sent_or_said_not_to_be() {
    let later = |code| SendFailure { kind: FailureKind::Transient, code: Some(code), text: "later".to_owned() };
    for by in [
        TimeDelta::zero(),
        TimeDelta::hours(1),
        TimeDelta::hours(-1),
        TimeDelta::days(1),
        TimeDelta::days(-1),
        TEN_YEARS,
    ] {
        let desk = Desk::open();
        recur(&desk);
        // Before: a mail that waits for its second attempt, and one that nobody has read.
        desk.memory().fail_always(Some(later(451)));
        desk.receive(&Letter::from("claire@acme.example").subject("Avant"));
        desk.accept(&Letter::from("bob@acme.example").subject("Non lu"));
        set(&desk, by);
        recur(&desk);
        desk.test.run_jobs();
        // Meanwhile: the same once more.
        desk.receive(&Letter::from("dora@acme.example").subject("Pendant"));
        set(&desk, -by);
        recur(&desk);
        desk.memory().fail_always(None);
        desk.receive(&Letter::from("emil@acme.example").subject("Après"));
        pass(&desk, 12);
        let subjects: Vec<String> = desk.tickets().into_iter().map(|ticket| ticket.subject).collect();
        assert_eq!(subjects, ["Avant", "Non lu", "Pendant", "Après"], "{by}");
        let waiting = desk.test.read(|db| {
            Ok((listing::counts(db)?.waiting, journal::unprocessed::counts(db)?.waiting, queue::counts(db)?))
        });
        assert_eq!(waiting, (0, 0, (0, 0)), "{by}: nothing waits for a day that does not come");
        let told: Vec<String> = desk.sent().into_iter().map(|sent| sent.recipient).collect();
        let lost = desk.test.read(|db| listing::list(db, Which::Dead, None, 10)).rows;
        for customer in ["claire", "bob", "dora", "emil"] {
            let address = format!("{customer}@acme.example");
            let times = told.iter().filter(|to| **to == address).count();
            // Ten years are longer than any mail lives; what was not sent for that is on the administrators' list.
            let is_listed = by == TEN_YEARS && lost.iter().any(|mail| mail.recipient == address);
            assert!(times == 1 || is_listed, "{by}: {customer} was written to {times} times");
        }
        assert!(by == TEN_YEARS || lost.is_empty(), "{by}: {lost:?}");
    }
}

#[test]
fn ft_06_a_fetched_mail_that_was_set_aside_is_tried_again_when_the_clock_was_set_back() {
    let desk = Desk::open();
    recur(&desk);
    let later = desk.test.now().plus(TimeDelta::days(30));
    desk.test.write(move |db| {
        let numbering = imap::Numbering { uid_validity: 1, uid_next: 8, is_back: false };
        let folder = imap::open_folder(db, ("support", "INBOX", "there"), numbering, true, later)?;
        imap::set_aside(db, &folder, 7, imap::Known::New, "no", later)
    });
    let is_due = |desk: &Desk| {
        let now = desk.test.now();
        desk.test.read(|db| imap::is_due(db, "support", now))
    };
    set(&desk, TimeDelta::hours(-2));
    assert!(!is_due(&desk));
    recur(&desk);
    assert!(is_due(&desk));
}
