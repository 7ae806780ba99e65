//! What is allocated where a record could be made (CN-13): nothing while nobody agreed to be looked at, nothing while
//! another organisation did, and of what is kept, only the room that many records share. What it costs in time is measured
//! by `benches/`.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use accord::db::types::OrganisationId;
use accord::gate;
use allocation_counter::measure;
use chrono::TimeDelta;

use super::turn;

const TIMES: u64 = 10_000;

/// What a request does that could be recorded: a span, a query within it, an event. Each is one that the program has.
fn could_be_recorded() {
    let request = tracing::debug_span!(target: "accord::db", "read");
    request.in_scope(|| {
        tracing::debug!(target: "accord::web", error = "measured", "A form did not have the fields it should");
    });
    if tracing::enabled!(target: "accord::db", tracing::Level::DEBUG) {
        std::hint::black_box(());
    }
}

/// Allocations of this thread, once whatever is made only once was made.
fn allocations(work: impl Fn()) -> u64 {
    for _ in 0..100 {
        work();
    }
    measure(|| (0..TIMES).for_each(|_| work())).count_total
}

/// The way of a request through the gate: its organisation is set for one closure, and for each poll of one future.
fn allocations_of(organisation: i64) -> u64 {
    let in_closures = allocations(|| gate::scope(organisation, Some(7), could_be_recorded));
    let in_polls = allocations(|| {
        let mut polls = 0;
        let mut future = pin!(gate::scoped(
            organisation,
            Some(7),
            std::future::poll_fn(move |_| {
                could_be_recorded();
                polls += 1;
                if polls == 3 { Poll::Ready(()) } else { Poll::Pending }
            })
        ));
        let mut context = Context::from_waker(Waker::noop());
        while future.as_mut().poll(&mut context).is_pending() {}
    });
    in_closures + in_polls
}

#[test]
fn cn_13_nothing_is_allocated_for_records_that_nobody_agreed_to() {
    let turn = turn();
    assert_eq!(allocations_of(1), 0, "with no grant anywhere");
    turn.publish(&[turn.grant(OrganisationId(2), None, TimeDelta::hours(1))]);
    assert_eq!(allocations_of(1), 0, "while another organisation is looked at");
    assert_eq!(allocations(could_be_recorded), 0, "for nobody");
    let own = turn.grant(OrganisationId(1), None, TimeDelta::hours(1));
    turn.publish(std::slice::from_ref(&own));
    turn.capture.withdraw(own.grant);
    assert_eq!(allocations_of(1), 0, "after the end of a grant of its own");
    assert_eq!(turn.captured(), []);
}

/// The counting itself, and that what is captured costs the program's own threads little memory: records go into pages
/// that are used again, and only a full page, or the end of a poll, hands a chunk over.
#[test]
fn cn_13_what_is_kept_goes_into_room_that_records_share() {
    assert_eq!(measure(|| drop(std::hint::black_box(Box::new(7)))).count_total, 1);
    let turn = turn();
    turn.publish(&[turn.grant(OrganisationId(1), None, TimeDelta::hours(1))]);
    let events = || tracing::debug!(target: "accord::web", error = "x", "A form did not have the fields it should");
    gate::scope(1, None, events);
    let allocated = measure(|| gate::scope(1, None, || (0..TIMES).for_each(|_| events()))).count_total;
    let kept = turn.captured().len();
    println!("{allocated} allocations for {kept} events of one scope");
    assert!(kept > 1_000, "the measurement is of nothing: {kept}");
    assert!(allocated < TIMES / 10, "{allocated} allocations for {TIMES} events");
}
