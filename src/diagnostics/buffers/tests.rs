use std::sync::OnceLock;
use std::sync::atomic::Ordering;

use shuttle::sync::Mutex as ModelMutex;
use shuttle::sync::atomic::AtomicU64 as ModelAtomic;
use shuttle::thread;

use super::*;
use crate::diagnostics::catalogue::{Callsite, Catalogue, Kind, Level};
use crate::diagnostics::record::{Fields, Place, Record, decode};
use crate::gate::{LiveGrant, Machine, SERVER, Word};

const SECOND_NANOS: u64 = 1_000_000_000;
const START: Moment = Moment { monotonic_nanos: SECOND_NANOS, wall_micros: 1_795_000_000_000_000 };
const PLENTY: Budget = Budget { bytes_per_second: 1 << 40, records_per_second: 1 << 40 };

static CALLSITES: &[Callsite] = &[Callsite {
    kind: Kind::Event,
    target: "accord::test",
    level: Level::Debug,
    name: "",
    fields: &["message"],
    file: "src/test.rs",
}];

fn live(number: i64) -> LiveGrant {
    LiveGrant {
        grant: number,
        tenant: number,
        person: None,
        level: 4,
        channels: SERVER,
        until_wall_micros: START.wall_micros + 3_600_000_000,
    }
}

fn later(millis: u64) -> Moment {
    Moment {
        monotonic_nanos: START.monotonic_nanos + millis * 1_000_000,
        wall_micros: START.wall_micros + i64::try_from(millis).unwrap() * 1_000,
    }
}

fn event(text: &str) -> Vec<u8> {
    let mut fields = Fields::of_event();
    fields.text(0, text);
    let place = Place { activity: 1, parent: 0, callsite: 0, rule: 0 };
    fields.event(place, START.monotonic_nanos).to_vec()
}

struct Bench {
    gate: Box<Gate<Machine>>,
    buffers: Buffers<Machine>,
    queue: Arc<Queue<Machine>>,
    pages: Arc<Pages<Machine>>,
}

impl Bench {
    fn new(budget: Budget) -> Bench {
        let gate = Box::<Gate<Machine>>::default();
        let (_, pass) = gate.publish(&[live(1)], START).started[0];
        let buffers = Buffers::new(9);
        let queue = buffers.open(1, pass, budget, START);
        let pages = buffers.pages();
        Bench { gate, buffers, queue, pages }
    }

    fn keep(&self, record: &[u8], now: Moment) -> bool {
        let queue = || Some(self.queue.clone());
        self.pages.keep(&self.gate, self.queue.pass, record, now.monotonic_nanos, queue, || now)
    }

    fn drained(&self, now: Moment) -> Vec<Record> {
        let chunks = self.buffers.drain(&self.gate, now);
        chunks.iter().flat_map(|chunk| decode(&chunk.bytes, &Catalogue::of(CALLSITES)).unwrap()).collect()
    }
}

#[test]
fn records_wait_in_their_thread_until_the_poll_ends_or_fifty_milliseconds_are_over() {
    let bench = Bench::new(PLENTY);
    assert!(bench.keep(&event("one"), START));
    assert!(bench.drained(later(49)).is_empty());
    assert_eq!(bench.drained(later(50)).len(), 1, "the thread said nothing more");
    bench.keep(&event("two"), later(60));
    bench.pages.hand_over(&bench.gate, later(61));
    assert_eq!(bench.drained(later(61)).len(), 1);
    bench.keep(&event("three"), later(100));
    bench.keep(&event("four"), later(150));
    assert_eq!(bench.drained(later(150)).len(), 2, "the page was full of age");
}

#[test]
fn small_pages_share_a_chunk_and_no_chunk_is_longer_than_allowed() {
    let bench = Bench::new(PLENTY);
    for _ in 0..1_000 {
        bench.keep(&event(&"x".repeat(100)), START);
        bench.pages.hand_over(&bench.gate, START);
    }
    let chunks = bench.buffers.drain(&bench.gate, START);
    assert!(chunks.len() < 20 && chunks.iter().all(|chunk| chunk.bytes.len() <= CHUNK_BYTES));
    assert_eq!(chunks.iter().map(|chunk| chunk.records).sum::<u32>(), 1_000);
}

#[test]
fn what_does_not_fit_the_queue_is_dropped_counted_and_told() {
    let bench = Bench::new(PLENTY);
    let record = event(&"x".repeat(500));
    let tried = 10_000;
    for _ in 0..tried {
        bench.keep(&record, START);
    }
    bench.pages.hand_over(&bench.gate, later(3));
    let counts = bench.queue.counts();
    assert!(counts.dropped_full > 0);
    assert_eq!(counts.captured + counts.dropped_full, tried);
    let records = bench.drained(later(4));
    let Some(Record::Gap(gap)) = records.last() else { panic!("{:?}", records.last()) };
    assert_eq!((gap.reason, gap.records), (Reason::Full, counts.dropped_full));
    assert!(gap.from_micros >= START.wall_micros && gap.to_micros == later(3).wall_micros);
    assert_eq!(records.len() as u64, counts.captured + 1);
    // Nobody is told twice.
    assert!(bench.drained(later(5)).is_empty());
}

#[test]
fn a_grant_has_its_records_and_bytes_of_a_second_and_no_more() {
    let bench = Bench::new(Budget { bytes_per_second: 1 << 40, records_per_second: 2_000 });
    let record = event("x");
    let keep = |count: u64, at: Moment| {
        for _ in 0..count {
            bench.keep(&record, at);
            bench.pages.hand_over(&bench.gate, at);
        }
    };
    keep(3_000, START);
    assert_eq!((bench.queue.counts().captured, bench.queue.counts().dropped_budget), (2_000, 1_000));
    keep(3_000, later(500));
    assert_eq!((bench.queue.counts().captured, bench.queue.counts().dropped_budget), (3_000, 3_000));
    let gaps: Vec<_> =
        bench.drained(later(600)).into_iter().filter(|record| matches!(record, Record::Gap(_))).collect();
    assert_eq!(gaps.len(), 2);
    assert!(matches!(&gaps[0], Record::Gap(gap) if gap.reason == Reason::Budget && gap.records == 1_000));
}

#[test]
fn what_is_handed_over_after_the_time_is_over_is_not_kept() {
    let bench = Bench::new(PLENTY);
    bench.keep(&event("late"), START);
    // The wall clock was set forward in between, or the machine slept.
    let slept = Moment { wall_micros: live(1).until_wall_micros, ..later(1) };
    bench.pages.hand_over(&bench.gate, slept);
    assert!(bench.drained(later(2)).is_empty());
    assert_eq!((bench.queue.counts().captured, bench.queue.counts().late), (0, 1));
}

#[test]
fn cn_02_what_is_discarded_is_gone_from_threads_and_queue() {
    let bench = Bench::new(PLENTY);
    bench.keep(&event("in the queue"), START);
    bench.pages.hand_over(&bench.gate, START);
    bench.keep(&event("in the thread"), START);
    bench.gate.clear(1, START);
    let counts = bench.buffers.discard(bench.queue.pass);
    assert_eq!((counts.captured, counts.late), (0, 2));
    assert!(!bench.keep(&event("after"), START));
    bench.pages.hand_over(&bench.gate, START);
    assert!(bench.drained(later(100)).is_empty());
}

#[test]
fn pages_of_a_thread_that_ended_are_taken_and_forgotten() {
    let bench = Bench::new(PLENTY);
    let other = bench.buffers.pages();
    let queue = || Some(bench.queue.clone());
    other.keep(&bench.gate, bench.queue.pass, &event("x"), START.monotonic_nanos, queue, || START);
    drop(other);
    assert_eq!(bench.drained(later(1)).len(), 1);
    assert_eq!(bench.buffers.threads.with(|threads| threads.len()), 1);
}

/// The model checker's atomics and locks.
struct Model;

/// One that the model knows of from its first use on: of the table's 256 slots a schedule uses two.
struct ModelWord {
    first: u64,
    word: OnceLock<ModelAtomic>,
}

impl ModelWord {
    fn word(&self) -> &ModelAtomic {
        self.word.get_or_init(|| ModelAtomic::new(self.first))
    }
}

impl Word for ModelWord {
    fn new(value: u64) -> Self {
        ModelWord { first: value, word: OnceLock::new() }
    }

    fn load(&self, ordering: Ordering) -> u64 {
        self.word().load(ordering)
    }

    fn store(&self, value: u64, ordering: Ordering) {
        self.word().store(value, ordering);
    }

    fn add(&self, value: u64, ordering: Ordering) -> u64 {
        self.word().fetch_add(value, ordering)
    }
}

struct ModelLock<T>(ModelMutex<T>);

impl<T: Send> Lock<T> for ModelLock<T> {
    fn new(value: T) -> Self {
        ModelLock(ModelMutex::new(value))
    }

    fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
        work(&mut self.0.lock().unwrap())
    }
}

impl Primitives for Model {
    type Word = ModelWord;
    type Lock<T: Send> = ModelLock<T>;
}

/// Two threads record for two grants while one of the grants is withdrawn, the list of grants is read again as it was
/// before, and the drain takes what it finds.
fn withdrawal_against_everything() {
    let gate = Arc::new(Gate::<Model>::default());
    let buffers = Arc::new(Buffers::<Model>::new(1));
    let list = [live(1), live(2)];
    let started = gate.publish(&list, START).started;
    let queues: Vec<_> = started.iter().map(|(grant, pass)| buffers.open(*grant, *pass, PLENTY, START)).collect();
    let withdrawn = Arc::new(ModelAtomic::new(0));

    let record = |queue: Arc<Queue<Model>>| {
        let (gate, buffers, withdrawn) = (gate.clone(), buffers.clone(), withdrawn.clone());
        thread::spawn(move || {
            let pages = buffers.pages();
            let bytes = event("x");
            for _ in 0..2 {
                let was_over = withdrawn.load(Ordering::SeqCst) == 1;
                let find = || Some(queue.clone());
                let kept = pages.keep(&gate, queue.pass, &bytes, START.monotonic_nanos, find, || START);
                assert!(!(kept && was_over && queue.grant == 1), "a record was kept after the withdrawal");
                pages.hand_over(&gate, START);
            }
        })
    };
    let recorders = [record(queues[0].clone()), record(queues[0].clone()), record(queues[1].clone())];
    let reader = {
        let gate = gate.clone();
        thread::spawn(move || gate.publish(&list, later(1)).started)
    };
    let drain = {
        let (gate, buffers, withdrawn) = (gate.clone(), buffers.clone(), withdrawn.clone());
        thread::spawn(move || {
            let was_over = withdrawn.load(Ordering::SeqCst) == 1;
            let taken = buffers.drain(&gate, later(1));
            assert!(!was_over || taken.iter().all(|chunk| chunk.grant != 1), "something waited after the withdrawal");
        })
    };
    gate.clear(1, later(1));
    buffers.discard(queues[0].pass);
    withdrawn.store(1, Ordering::SeqCst);
    let state = queues[0].state.with(|state| (state.open, state.chunks.len()));
    assert_eq!(state, (false, 0));
    assert!(reader.join().unwrap().iter().all(|(grant, _)| *grant != 1), "an old list brought it back");
    recorders.into_iter().for_each(|thread| thread.join().unwrap());
    drain.join().unwrap();
    assert!(buffers.drain(&gate, later(60)).iter().all(|chunk| chunk.grant != 1));
    assert!(!gate.is_live(queues[0].pass));
    // The other organisation lost nothing.
    assert_eq!(queues[1].counts().late, 0);
}

/// How many schedules the model is tried with in every run of the suite; in `.ci/run` `ACCORD_TEST_SCHEDULES` says 50 000,
/// which takes a minute. A million takes twenty, and nobody's run has that long.
const SCHEDULES: usize = 2_000;

fn schedules() -> usize {
    #[expect(clippy::disallowed_methods, reason = "how thorough a run is, and no setting of the program")]
    let wanted = std::env::var("ACCORD_TEST_SCHEDULES");
    wanted.ok().and_then(|count| count.parse().ok()).unwrap_or(SCHEDULES)
}

/// Half of the schedules at random, half with few changes of thread at the worst places (probabilistic concurrency
/// testing, depth 3).
#[test]
fn cn_01_cn_02_no_record_is_kept_once_a_withdrawal_has_returned_in_any_order_of_events() {
    let config = || {
        let mut config = shuttle::Config::new();
        // The table of slots passes over the stack when it is made.
        config.stack_size = 1 << 20;
        config
    };
    let half = schedules() / 2;
    let random = shuttle::scheduler::RandomScheduler::new(half);
    let tried = shuttle::Runner::new(random, config()).run(withdrawal_against_everything);
    let rare = shuttle::scheduler::PctScheduler::new(3, half);
    let rarely = shuttle::Runner::new(rare, config()).run(withdrawal_against_everything);
    assert_eq!((tried, rarely), (half, half));
}
