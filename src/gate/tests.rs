use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Context, Poll, Waker};

use proptest::prelude::*;

use super::*;

const HOUR_MICROS: i64 = 3_600_000_000;
const SECOND_NANOS: u64 = 1_000_000_000;
const START: Moment = Moment { monotonic_nanos: 1_000, wall_micros: 1_795_000_000_000_000 };

fn after(seconds: u64) -> Moment {
    Moment {
        monotonic_nanos: START.monotonic_nanos + seconds * SECOND_NANOS,
        wall_micros: START.wall_micros + i64::try_from(seconds).unwrap() * 1_000_000,
    }
}

fn grant(number: i64) -> LiveGrant {
    LiveGrant {
        grant: number,
        tenant: 100 + number,
        person: None,
        level: 4,
        channels: SERVER,
        until_wall_micros: START.wall_micros + HOUR_MICROS,
    }
}

fn gate() -> Box<Gate> {
    Box::default()
}

fn pass_of(gate: &Gate, number: i64) -> Pass {
    gate.cover(100 + number, None).organisation
}

#[test]
fn nothing_is_live_before_the_grants_were_read() {
    let gate = gate();
    assert_eq!((gate.level(), gate.live()), (0, 0));
    assert!(gate.cover(101, Some(1)).is_none());
    assert!(!gate.admits(Pass::NONE, 1));
}

#[test]
fn a_grant_covers_its_organisation_and_nobody_else() {
    let gate = gate();
    let own_use = LiveGrant { person: Some(7), level: 5, ..grant(2) };
    gate.publish(&[grant(1), own_use], START);
    assert_eq!(gate.level(), 5);
    let pass = pass_of(&gate, 1);
    assert!(gate.admits(pass, START.monotonic_nanos) && pass.reaches(4) && !pass.reaches(5));
    assert!(gate.cover(102, None).is_none());
    assert!(gate.cover(102, Some(8)).is_none());
    assert!(gate.cover(103, Some(7)).is_none());
    let cover = gate.cover(102, Some(7));
    assert!(cover.organisation.is_none() && gate.is_live(cover.person));
}

#[test]
fn a_grant_for_products_only_opens_nothing_here() {
    let gate = gate();
    gate.publish(&[LiveGrant { channels: OTLP, ..grant(1) }], START);
    assert_eq!(gate.level(), 0);
    assert!(!pass_of(&gate, 1).reaches(1));
}

#[test]
fn cn_07_a_cleared_grant_never_comes_back_whatever_a_list_says() {
    let gate = gate();
    gate.publish(&[grant(1), grant(2)], START);
    let pass = pass_of(&gate, 1);
    assert!(gate.clear(1, after(1)).is_some_and(|stopped| stopped.pass == pass));
    assert!(!gate.is_live(pass) && !gate.admits(pass, START.monotonic_nanos));
    assert_eq!(gate.clear(1, after(1)), None, "clearing twice is the same as once");
    gate.publish(&[grant(1), grant(2)], after(2));
    assert!(pass_of(&gate, 1).is_none());
    // Withdrawn before this process had even heard of it.
    gate.clear(3, after(2));
    gate.publish(&[grant(2), grant(3)], after(3));
    assert!(pass_of(&gate, 3).is_none());
    assert!(gate.is_live(pass_of(&gate, 2)));
}

#[test]
fn a_list_older_than_the_last_one_is_passed_over() {
    let gate = gate();
    gate.publish(&[grant(1), grant(2)], after(2));
    gate.publish(&[grant(1)], after(1));
    assert!(gate.is_live(pass_of(&gate, 2)));
    gate.publish(&[grant(1)], after(3));
    assert!(pass_of(&gate, 2).is_none());
}

#[test]
fn a_slot_that_is_used_again_does_not_know_the_old_pass() {
    let gate = gate();
    gate.publish(&[grant(1)], START);
    let old = pass_of(&gate, 1);
    gate.clear(1, after(1));
    gate.publish(&[grant(2)], after(2));
    let new = pass_of(&gate, 2);
    assert_eq!(old.slot(), new.slot());
    assert!(gate.is_live(new) && !gate.is_live(old));
}

#[test]
fn the_257th_grant_waits_for_capacity_and_is_told_so() {
    let gate = gate();
    let grants: Vec<LiveGrant> = (1..=257).map(grant).collect();
    let published = gate.publish(&grants, START);
    assert_eq!((published.started.len(), published.waiting), (SLOTS, vec![257]));
    gate.clear(5, after(1));
    let published = gate.publish(&grants, after(2));
    assert_eq!(published.started.first().map(|(grant, _)| *grant), Some(257));
}

#[test]
fn cn_03_a_process_that_cannot_renew_its_lease_captures_nothing() {
    let gate = gate();
    gate.publish(&[grant(1)], START);
    let pass = pass_of(&gate, 1);
    assert!(gate.admits(pass, after(4).monotonic_nanos));
    assert!(!gate.admits(pass, after(5).monotonic_nanos));
    assert!(!gate.admits_at(pass, after(5)));
    assert_eq!(gate.tick(after(5)).first().map(|stopped| stopped.cause), Some(Cause::LeaseLost));
    assert_eq!(gate.level(), 0);
    // The grant itself is not over.
    gate.publish(&[grant(1)], after(6));
    assert!(gate.is_live(pass_of(&gate, 1)));
}

#[test]
fn cn_03_clear_all_stops_everything_until_the_grants_are_read_again() {
    let gate = gate();
    gate.publish(&[grant(1), grant(2)], START);
    let pass = pass_of(&gate, 1);
    assert_eq!(gate.clear_all().len(), 2);
    assert!(!gate.admits(pass, START.monotonic_nanos) && gate.level() == 0);
    gate.publish(&[grant(1)], after(1));
    assert!(gate.is_live(pass_of(&gate, 1)));
}

#[test]
fn cn_04_a_wall_clock_set_back_stops_capture_until_it_is_confirmed() {
    let gate = gate();
    gate.publish(&[grant(1)], START);
    let back = Moment { wall_micros: START.wall_micros - DOUBT_MICROS - 1, ..after(1) };
    assert_eq!(gate.tick(back).first().map(|stopped| stopped.cause), Some(Cause::ClockDoubt));
    gate.publish(&[grant(1)], Moment { monotonic_nanos: back.monotonic_nanos + 1, ..back });
    assert!(gate.is_in_doubt() && gate.live() == 0);
    gate.believe_wall(back);
    gate.publish(&[grant(1)], Moment { monotonic_nanos: back.monotonic_nanos + 2, ..back });
    assert!(gate.is_live(pass_of(&gate, 1)));
}

#[test]
fn cn_04_a_clock_that_is_far_behind_at_the_start_is_in_doubt() {
    let gate = gate();
    gate.remember_wall(START.wall_micros + HOUR_MICROS);
    gate.publish(&[grant(1)], START);
    assert!(gate.is_in_doubt() && gate.live() == 0);
}

#[test]
fn a_scope_ends_with_its_closure_even_on_a_panic() {
    let outer = scope(1, Some(2), || {
        assert!(catch_unwind(AssertUnwindSafe(|| scope(3, None, || panic!("a fault")))).is_err());
        serving()
    });
    assert_eq!(outer.whom(), Some((1, Some(2))));
    assert_eq!(serving().whom(), None);
    assert_eq!(scope(1, None, || outside(|| serving().whom())), None);
    // Carried to another thread.
    let carried = scope(4, None, serving);
    let there = std::thread::scope(|threads| threads.spawn(|| carried.enter(serving)).join().unwrap());
    assert_eq!((there.whom(), there.activity()), (Some((4, None)), carried.activity()));
}

#[test]
fn cn_12_a_future_serves_its_organisation_during_its_polls_only() {
    let mut polls = 0;
    let inner = std::future::poll_fn(|_| {
        polls += 1;
        assert_eq!(serving().whom(), Some((1, None)));
        if polls == 3 { Poll::Ready(()) } else { Poll::Pending }
    });
    let mut future = Box::pin(scoped(1, None, inner));
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..2 {
        assert!(future.as_mut().poll(&mut context).is_pending());
        assert_eq!(serving().whom(), None);
    }
    assert!(scope(9, None, || {
        let poll = future.as_mut().poll(&mut context);
        assert_eq!(serving().whom(), Some((9, None)));
        poll.is_ready()
    }));
}

#[derive(Clone, Debug)]
enum Step {
    /// Both clocks run.
    Pass(u64),
    /// Somebody sets the wall clock.
    Set(i64),
    /// The machine sleeps: only the wall clock goes on.
    Suspend(u64),
    /// The wall clock stands while time goes by.
    Freeze(u64),
    /// The table of grants is read.
    Read,
    Tick,
    Record,
    /// A page is handed over, which looks at both clocks.
    HandOver,
}

fn step() -> impl Strategy<Value = Step> {
    let seconds = 0..1_500_u64;
    prop_oneof![
        seconds.clone().prop_map(Step::Pass),
        (0..4_u64).prop_map(Step::Pass),
        (-8_000_i64..8_000).prop_map(Step::Set),
        (-50_i64..50).prop_map(Step::Set),
        seconds.clone().prop_map(Step::Suspend),
        seconds.prop_map(Step::Freeze),
        Just(Step::Read),
        Just(Step::Read),
        Just(Step::Tick),
        Just(Step::Record),
        Just(Step::HandOver),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// FT-06: whatever the clocks do, no record is kept after the hour by the clock that only runs, none is handed over
    /// when the wall clock says that the time is over, and none without a lease.
    #[test]
    fn cn_04_ft_06_a_grant_ends_by_whichever_clock_says_so_first(steps in prop::collection::vec(step(), 1..60)) {
        let gate = gate();
        let mut now = START;
        let mut newest = START.wall_micros;
        gate.publish(&[grant(1)], now);
        let mut read_at = now;
        for step in steps {
            match step {
                Step::Pass(seconds) => {
                    now.monotonic_nanos += seconds * SECOND_NANOS;
                    now.wall_micros += i64::try_from(seconds).unwrap() * 1_000_000;
                }
                Step::Set(seconds) => now.wall_micros += seconds * 1_000_000,
                Step::Suspend(seconds) => now.wall_micros += i64::try_from(seconds).unwrap() * 1_000_000,
                Step::Freeze(seconds) => now.monotonic_nanos += seconds * SECOND_NANOS,
                Step::Read => {
                    gate.publish(&[grant(1)], now);
                    read_at = now;
                    newest = newest.max(now.wall_micros);
                }
                Step::Tick => {
                    gate.tick(now);
                    newest = newest.max(now.wall_micros);
                    if now.wall_micros >= grant(1).until_wall_micros {
                        prop_assert_eq!(gate.live(), 0);
                    }
                }
                Step::Record | Step::HandOver => {
                    let pass = pass_of(&gate, 1);
                    let kept = gate.admits(pass, now.monotonic_nanos);
                    let handed_over = gate.admits_at(pass, now);
                    let since = now.monotonic_nanos - START.monotonic_nanos;
                    if since >= 3_600 * SECOND_NANOS || now.monotonic_nanos - read_at.monotonic_nanos >= LEASE_NANOS {
                        prop_assert!(!kept && !handed_over);
                    }
                    if now.wall_micros >= grant(1).until_wall_micros {
                        prop_assert!(!handed_over);
                    }
                    if gate.is_in_doubt() {
                        prop_assert!(gate.live() == 0 && !kept && !handed_over);
                    }
                }
            }
            // Once it was seen to be over it stays over, wherever the clock is put.
            if newest >= grant(1).until_wall_micros {
                prop_assert_eq!(gate.live(), 0);
            }
        }
    }
}
