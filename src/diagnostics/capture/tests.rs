//! One subscriber and one gate for the whole process, as in the program, so these tests take turns.

use std::fmt;
use std::future::poll_fn;
use std::io::Write;
use std::sync::MutexGuard;
use std::task::Poll;

use chrono::TimeDelta;
use tracing_subscriber::Layer;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::*;
use crate::diagnostics::catalogue::{Callsite, Kind};
use crate::diagnostics::record::{Body, Event as EventRecord, Reason, Record as Captured, Span, Value, decode};

const START_SECONDS: i64 = 1_795_000_000;

const fn event(target: &'static str, level: Level, fields: &'static [&'static str]) -> Callsite {
    Callsite { kind: Kind::Event, target, level, name: "", fields, file: "src/diagnostics/capture/tests.rs" }
}

const fn span(name: &'static str, fields: &'static [&'static str]) -> Callsite {
    Callsite { kind: Kind::Span, target: "accord::a", level: Level::Debug, name, fields, file: "" }
}

static CALLSITES: &[Callsite] = &[
    event("accord::a", Level::Debug, &["message", "number"]),
    event("accord::a", Level::Debug, &["message", "password"]),
    event("accord::a", Level::Debug, &["message", "value"]),
    event("accord::a", Level::Debug, &["message"]),
    event("accord::a", Level::Info, &["message"]),
    event("accord::a", Level::Trace, &["message"]),
    event("accord::b", Level::Debug, &["message"]),
    span("request", &["status", "organisation"]),
    span("step", &[]),
];

static CONSOLE: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct Console;

impl Write for Console {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        CONSOLE.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A test's turn: the capturing of the process, a clock that stands, and no grants.
struct Turn {
    capture: &'static Capture,
    clock: Clock,
    grants: Vec<ActiveGrant>,
    _guard: MutexGuard<'static, ()>,
}

static TURN: Mutex<()> = Mutex::new(());
static LAST_GRANT: AtomicU64 = AtomicU64::new(0);
static CLOCK: OnceLock<Clock> = OnceLock::new();

fn turn() -> Turn {
    let guard = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let clock = CLOCK.get_or_init(|| Clock::at(UtcTime::from_seconds(START_SECONDS))).clone();
    let capture = Capture::start(Catalogue::of(CALLSITES), LevelFilter::INFO, clock.clone());
    let console = tracing_subscriber::fmt::layer().with_writer(|| Console).with_filter(LevelFilter::INFO);
    let _ = tracing_subscriber::registry().with(console).with(capture.layer()).try_init();
    clock.advance(TimeDelta::seconds(1));
    capture.publish(&[], capture.moment());
    capture.drain();
    Turn { capture, clock, grants: Vec::new(), _guard: guard }
}

impl Turn {
    fn grant_with(&mut self, organisation: i64, person: Option<i64>, components: &[(&str, Level)]) -> i64 {
        let components: Vec<Component> = components
            .iter()
            .map(|(target, level)| Component { target: (*target).to_owned(), level: *level })
            .collect();
        let manifest = Manifest::of(&Catalogue::of(CALLSITES), &components);
        self.grant_on(organisation, person, components, manifest)
    }

    fn grant_on(
        &mut self,
        organisation: i64,
        person: Option<i64>,
        components: Vec<Component>,
        manifest: Manifest,
    ) -> i64 {
        let grant = LAST_GRANT.fetch_add(1, Ordering::Relaxed).cast_signed() + 1;
        let budget = Budget { bytes_per_second: 1 << 40, records_per_second: 1 << 40 };
        self.grants.push(ActiveGrant {
            grant,
            organisation: OrganisationId(organisation),
            person: person.map(PersonId),
            channels: gate::SERVER,
            expires_at: self.clock.now().plus(TimeDelta::hours(1)),
            terms: Arc::new(Terms { components, manifest, budget }),
        });
        self.publish();
        grant
    }

    fn grant(&mut self, organisation: i64) -> i64 {
        self.grant_with(organisation, None, &[("accord", Level::Debug)])
    }

    fn publish(&self) -> Changed {
        self.capture.publish(&self.grants, self.capture.moment())
    }

    fn captured(&self) -> Vec<(i64, Captured)> {
        self.clock.advance(TimeDelta::milliseconds(60));
        let chunks = self.capture.drain();
        let records = chunks.into_iter().flat_map(|chunk| {
            let records = decode(&chunk.bytes, &Catalogue::of(CALLSITES)).unwrap();
            records.into_iter().map(move |record| (chunk.grant, record))
        });
        records.collect()
    }

    fn events(&self) -> Vec<(i64, EventRecord)> {
        let events = self.captured().into_iter().filter_map(|(grant, record)| match record {
            Captured::Event(event) => Some((grant, event)),
            _ => None,
        });
        events.collect()
    }

    fn messages(&self) -> Vec<(i64, String)> {
        self.events().into_iter().map(|(grant, event)| (grant, message(&event.body))).collect()
    }
}

fn message(body: &Body) -> String {
    text_of(body, "message").unwrap()
}

fn text_of(body: &Body, name: &str) -> Option<String> {
    body.fields.iter().find(|field| field.name == name).map(|field| match &field.value {
        Value::Text(text) => text.clone(),
        Value::Unsigned(number) => number.to_string(),
        Value::Integer(number) => number.to_string(),
        other => format!("{other:?}"),
    })
}

fn debug(text: &str) {
    tracing::debug!(target: "accord::a", "{text}");
}

#[test]
fn nothing_is_captured_without_a_grant_nor_outside_of_its_organisation() {
    let mut turn = turn();
    gate::scope(1, Some(1), || debug("before"));
    let grant = turn.grant(1);
    debug("for nobody");
    gate::scope(2, Some(1), || debug("for another"));
    gate::scope(1, Some(1), || debug("for them"));
    assert_eq!(turn.messages(), [(grant, "for them".to_owned())]);
    turn.capture.withdraw(grant);
    gate::scope(1, Some(1), || debug("after"));
    assert!(turn.messages().is_empty());
}

#[test]
fn the_level_of_the_process_follows_the_first_and_the_last_grant() {
    let mut turn = turn();
    assert_eq!(LevelFilter::current(), LevelFilter::INFO);
    let first = turn.grant(1);
    assert_eq!(LevelFilter::current(), LevelFilter::DEBUG);
    let second = turn.grant_with(2, None, &[("accord::a", Level::Trace)]);
    assert_eq!(LevelFilter::current(), LevelFilter::TRACE);
    turn.capture.withdraw(second);
    assert_eq!(LevelFilter::current(), LevelFilter::DEBUG);
    turn.capture.withdraw(first);
    assert_eq!(LevelFilter::current(), LevelFilter::INFO);
}

#[test]
fn what_a_grant_opens_never_reaches_the_console() {
    let mut turn = turn();
    let grant = turn.grant(1);
    gate::scope(1, None, || {
        let span = tracing::debug_span!(target: "accord::a", "request", status = 1, organisation = 1);
        span.in_scope(|| {
            debug("canary 51c7");
            tracing::info!(target: "accord::a", "for everybody");
        });
    });
    let messages = turn.messages();
    assert_eq!(messages, [(grant, "canary 51c7".to_owned()), (grant, "for everybody".to_owned())]);
    let console = String::from_utf8(CONSOLE.lock().unwrap().clone()).unwrap();
    assert!(console.contains("for everybody") && !console.contains("canary 51c7") && !console.contains("request"));
}

#[test]
fn cn_01_only_the_consented_components_levels_and_fields_are_recorded() {
    let mut turn = turn();
    turn.grant_with(1, None, &[("accord::a", Level::Debug)]);
    gate::scope(1, None, || {
        tracing::debug!(target: "accord::b", "another component");
        tracing::trace!(target: "accord::a", "too detailed");
        tracing::debug!(target: "accord::a", unlisted = 1, "not in the catalogue");
        debug("in scope");
    });
    assert_eq!(turn.messages().into_iter().map(|(_, text)| text).collect::<Vec<_>>(), ["in scope"]);
    let refused = turn.capture.counts()[0].2;
    assert_eq!(refused, 2, "the level alone refuses the third");
}

#[test]
fn a_field_that_was_not_shown_before_the_consent_is_not_recorded() {
    let mut turn = turn();
    let manifest = Manifest::parse("accord::a debug event - message,number\n").unwrap();
    let components = vec![Component { target: "accord".to_owned(), level: Level::Debug }];
    turn.grant_on(1, None, components, manifest);
    gate::scope(1, None, || {
        tracing::debug!(target: "accord::a", number = 3, "shown");
        tracing::debug!(target: "accord::a", password = "canary 8d1e", "not shown");
        tracing::debug_span!(target: "accord::a", "step").in_scope(|| ());
    });
    let records = turn.captured();
    assert_eq!(records.len(), 2);
    assert!(!format!("{records:?}").contains("canary"));
}

#[test]
fn a_person_s_grant_covers_their_own_use_and_both_grants_get_what_is_theirs() {
    let mut turn = turn();
    let own = turn.grant_with(1, Some(7), &[("accord::a", Level::Debug)]);
    gate::scope(1, Some(7), || debug("mine"));
    gate::scope(1, Some(8), || debug("a colleague's"));
    gate::scope(1, None, || debug("nobody's"));
    assert_eq!(turn.messages(), [(own, "mine".to_owned())]);
    let whole = turn.grant_with(1, None, &[("accord::a", Level::Info)]);
    gate::scope(1, Some(7), || {
        debug("mine alone");
        tracing::info!(target: "accord::a", "both");
    });
    let mut messages = turn.messages();
    messages.sort();
    let expected = [(own, "both"), (own, "mine alone"), (whole, "both")];
    assert_eq!(messages, expected.map(|(grant, text)| (grant, text.to_owned())));
}

#[test]
fn spans_are_recorded_once_when_they_end_and_hold_what_happened_in_them() {
    let mut turn = turn();
    let grant = turn.grant(1);
    gate::scope(1, None, || {
        let request =
            tracing::debug_span!(target: "accord::a", "request", status = tracing::field::Empty, organisation = "one");
        request.in_scope(|| {
            turn.clock.advance(TimeDelta::milliseconds(2));
            tracing::debug_span!(target: "accord::a", "step").in_scope(|| {
                debug("inside");
                turn.clock.advance(TimeDelta::milliseconds(3));
            });
        });
        request.record("status", 200);
        request.record("status", 204);
    });
    let records = turn.captured();
    assert!(records.iter().all(|(of, _)| *of == grant));
    let spans: Vec<&Span> = records
        .iter()
        .filter_map(|(_, record)| if let Captured::Span(span) = record { Some(span) } else { None })
        .collect();
    let [step, request] = spans.as_slice() else { panic!("{spans:?}") };
    assert_eq!((step.body.name.as_str(), request.body.name.as_str()), ("step", "request"));
    assert_eq!((step.body.parent, request.body.parent), (Some(request.id), None));
    assert_eq!(step.end_nanos - step.start_nanos, 3_000_000);
    assert_eq!(request.end_nanos - request.start_nanos, 5_000_000);
    assert_eq!(text_of(&request.body, "status").as_deref(), Some("204"));
    assert_eq!(text_of(&request.body, "organisation").as_deref(), Some("one"));
    let Captured::Event(inside) = &records[0].1 else { panic!("{records:?}") };
    assert_eq!(inside.body.parent, Some(step.id));
    assert!(inside.body.trace == step.body.trace && step.body.trace == request.body.trace);
    assert_eq!(inside.at_nanos, step.start_nanos);
}

#[test]
#[expect(clippy::disallowed_methods, reason = "each brings its organisation along")]
fn cn_12_twenty_organisations_on_one_thread_with_guards_over_awaits_are_told_apart() {
    let mut turn = turn();
    let grants: BTreeMap<i64, i64> = (1..=20).map(|organisation| (turn.grant(organisation), organisation)).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let local = tokio::task::LocalSet::new();
    for organisation in 1..=20_i64 {
        local.spawn_local(gate::scoped(organisation, Some(organisation), async move {
            let span = tracing::debug_span!(target: "accord::a", "request", status = 0, organisation);
            // What must never be written, and is: the next request on this thread runs inside this span.
            let _entered = span.enter();
            for number in 0..50 {
                tracing::debug!(target: "accord::a", number = organisation, "event {number} of {organisation}");
                // Writes into whatever span is current, which may be another organisation's.
                tracing::Span::current().record("status", organisation);
                let mut waited = false;
                poll_fn(move |context| {
                    if waited {
                        return Poll::Ready(());
                    }
                    waited = true;
                    context.waker().wake_by_ref();
                    Poll::Pending
                })
                .await;
            }
        }));
    }
    runtime.block_on(local);
    let records = turn.captured();
    let mut spans = BTreeMap::new();
    let mut events = 0;
    for (grant, record) in &records {
        let organisation = grants[grant].to_string();
        match record {
            Captured::Event(event) => {
                events += 1;
                assert_eq!(text_of(&event.body, "number"), Some(organisation.clone()));
                assert!(message(&event.body).ends_with(&format!("of {organisation}")));
            }
            Captured::Span(span) => {
                assert_eq!(text_of(&span.body, "organisation"), Some(organisation.clone()));
                let status = text_of(&span.body, "status").unwrap();
                assert!(status == organisation || status == "0", "{organisation}'s span holds {status}'s value");
                spans.insert(span.id, *grant);
            }
            Captured::Gap(gap) => panic!("{gap:?}"),
        }
    }
    assert_eq!((events, spans.len()), (1_000, 20));
    for (grant, record) in &records {
        let Captured::Event(event) = record else { continue };
        // Where the parent is known it is the organisation's own.
        assert!(event.body.parent.is_none_or(|parent| spans.get(&parent) == Some(grant)));
    }
}

#[test]
fn cn_12_a_raw_hop_to_another_thread_is_not_captured_and_a_carried_one_is() {
    let mut turn = turn();
    let grant = turn.grant(1);
    gate::scope(1, None, || {
        let serving = gate::serving();
        std::thread::scope(|threads| {
            threads.spawn(|| debug("raw"));
            threads.spawn(move || serving.enter(|| debug("carried")));
        });
    });
    assert_eq!(turn.messages(), [(grant, "carried".to_owned())]);
}

#[test]
fn cn_02_a_withdrawal_in_the_middle_of_a_request_leaves_nothing_of_it() {
    let mut turn = turn();
    let grant = turn.grant(1);
    gate::scope(1, None, || {
        let span = tracing::debug_span!(target: "accord::a", "step");
        span.in_scope(|| {
            debug("before");
            let ended = turn.capture.withdraw(grant).unwrap();
            assert_eq!((ended.cause, ended.counts.captured, ended.counts.late), (Cause::Ended, 0, 1));
            debug("after");
        });
    });
    assert!(turn.captured().is_empty());
    assert_eq!(turn.capture.withdraw(grant), None);
    turn.publish();
    gate::scope(1, None, || debug("published again"));
    assert!(turn.captured().is_empty());
}

#[test]
fn cn_04_no_record_is_stamped_at_or_after_the_expiry() {
    let mut turn = turn();
    let grant = turn.grant(1);
    gate::scope(1, None, || debug("in time"));
    assert_eq!(turn.messages().len(), 1);
    for _ in 0..719 {
        turn.clock.advance(TimeDelta::milliseconds(4_990));
        turn.publish();
    }
    let left = turn.grants[0].expires_at.since(turn.clock.now());
    gate::scope(1, None, || {
        turn.clock.advance(left - TimeDelta::microseconds(1));
        turn.publish();
        // The scope of this poll still holds its pass.
        debug("a microsecond before");
        turn.clock.advance(TimeDelta::microseconds(1));
        debug("at");
        turn.clock.advance(TimeDelta::microseconds(1));
        debug("after");
    });
    let ended = turn.capture.tick();
    assert_eq!(ended.len(), 1);
    assert_eq!((ended[0].grant, ended[0].cause), (grant, Cause::Expired));
    // What was stamped in time but not handed over in time is not kept either.
    assert_eq!(ended[0].counts.captured, 1);
    assert!(turn.messages().is_empty());
}

#[test]
fn cn_03_without_the_database_capture_stops_by_itself() {
    let mut turn = turn();
    turn.grant(1);
    turn.clock.advance(TimeDelta::milliseconds(4_900));
    gate::scope(1, None, || debug("the lease holds"));
    assert_eq!(turn.messages().len(), 1);
    turn.clock.advance(TimeDelta::milliseconds(100));
    gate::scope(1, None, || debug("the lease is over"));
    assert!(turn.messages().is_empty());
    assert_eq!(turn.capture.tick().first().map(|ended| ended.cause), Some(Cause::LeaseLost));
}

struct Chatty;

impl fmt::Debug for Chatty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        tracing::debug!(target: "accord::a", "from inside a value");
        tracing::debug_span!(target: "accord::a", "step").in_scope(|| debug("deeper"));
        f.write_str("chatty")
    }
}

struct Panicking;

impl fmt::Debug for Panicking {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("a fault in a value")
    }
}

#[test]
fn a_value_that_records_or_panics_while_it_is_written_down_spoils_nothing() {
    let mut turn = turn();
    turn.grant(1);
    gate::scope(1, None, || {
        tracing::debug!(target: "accord::a", value = ?Chatty, "with a chatty value");
        let panicked = std::panic::catch_unwind(|| {
            tracing::debug!(target: "accord::a", value = ?Panicking, "with a fault");
        });
        assert!(panicked.is_err());
        debug("afterwards");
    });
    let texts: Vec<_> = turn.messages().into_iter().map(|(_, text)| text).collect();
    assert_eq!(texts, ["with a chatty value", "afterwards"]);
}

#[test]
fn what_exceeds_the_budget_is_told_as_a_gap() {
    let mut turn = turn();
    turn.grant(1);
    let mut small = turn.grants.remove(0);
    turn.publish();
    small.grant += 1_000_000;
    let budget = Budget { bytes_per_second: 0, records_per_second: 0 };
    small.terms = Arc::new(Terms { budget, ..(*small.terms).clone() });
    turn.grants.push(small);
    turn.publish();
    for _ in 0..3_000 {
        gate::scope(1, None, || debug("much"));
    }
    let records = turn.captured();
    let Some((_, Captured::Gap(gap))) = records.last() else { panic!() };
    assert_eq!(gap.reason, Reason::Budget);
    assert_eq!(records.len() as u64 - 1 + gap.records, 3_000);
}
