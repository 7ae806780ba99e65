//! Where captured bytes wait: pages of one thread, then a bounded queue of one grant. What a grant captured can be thrown
//! away completely at any moment: when [`Buffers::discard`] has returned, no thread holds any of it and none can add to
//! it (CN-02). What had to be dropped is said in the stream itself, as gaps.
//!
//! The locks are taken in one order: the page of a thread, then the queue of a grant. Generic over its locks, so that the
//! model checker runs this very code.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::diagnostics::record::{Gap, Reason, put_anchor, put_gap};
use crate::gate::{Gate, Lock, Moment, Pass, Primitives};

/// A page, and a chunk of the queue, is no longer than this.
pub const CHUNK_BYTES: usize = 16 * 1024;
/// A grant's queue holds no more chunks than this (4 MiB).
pub const QUEUE_CHUNKS: usize = 256;
/// A page waits no longer than this before it is handed over.
pub const PAGE_NANOS: u64 = 50_000_000;
/// What the gaps and the anchor need besides the records in a chunk.
const RESERVED: usize = 96;
/// No budget is smaller than what one page may hold, or nothing would ever fit.
const LEAST_BUDGET: Budget = Budget { bytes_per_second: CHUNK_BYTES as u64, records_per_second: 1_024 };

/// What a grant may capture in a second; a burst of one second's worth is allowed. Less than a page of each is taken for
/// a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    pub bytes_per_second: u64,
    pub records_per_second: u64,
}

/// What became of a grant's records in this process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub captured: u64,
    pub dropped_full: u64,
    pub dropped_budget: u64,
    /// Stamped or handed over when the grant was over.
    pub late: u64,
}

/// A chunk on its way to the drain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    pub grant: i64,
    pub pass: Pass,
    pub bytes: Vec<u8>,
    pub records: u32,
    /// Wall time of its first and its last hand-over.
    pub first_micros: i64,
    pub last_micros: i64,
}

/// All buffers of a process.
pub struct Buffers<P: Primitives> {
    /// Tells processes apart in what they captured.
    process: u64,
    threads: P::Lock<Vec<Arc<Pages<P>>>>,
    queues: P::Lock<BTreeMap<Pass, Arc<Queue<P>>>>,
}

/// The pages of one thread.
pub struct Pages<P: Primitives>(P::Lock<Vec<Page<P>>>);

struct Page<P: Primitives> {
    queue: Arc<Queue<P>>,
    bytes: Vec<u8>,
    records: u32,
    opened: u64,
    opened_micros: i64,
}

impl<P: Primitives> Default for Pages<P> {
    fn default() -> Self {
        Pages(P::Lock::new(Vec::new()))
    }
}

/// What waits for the drain, of one grant.
pub struct Queue<P: Primitives> {
    pub grant: i64,
    pub pass: Pass,
    process: u64,
    budget: Budget,
    state: P::Lock<State>,
}

struct State {
    open: bool,
    chunks: VecDeque<Chunk>,
    counts: Counts,
    gaps: Vec<Gap>,
    /// Bytes and records that may still be taken, in billionths.
    tokens: [u128; 2],
    refilled_at: u64,
}

impl<P: Primitives> Buffers<P> {
    /// Empty buffers of the process that is known as `process`.
    pub fn new(process: u64) -> Self {
        Buffers { process, threads: P::Lock::new(Vec::new()), queues: P::Lock::new(BTreeMap::new()) }
    }

    /// Opens the queue of a grant that has just become live.
    pub fn open(&self, grant: i64, pass: Pass, budget: Budget, now: Moment) -> Arc<Queue<P>> {
        let budget = Budget {
            bytes_per_second: budget.bytes_per_second.max(LEAST_BUDGET.bytes_per_second),
            records_per_second: budget.records_per_second.max(LEAST_BUDGET.records_per_second),
        };
        let tokens = [u128::from(budget.bytes_per_second) * SECOND, u128::from(budget.records_per_second) * SECOND];
        let state = State {
            open: true,
            chunks: VecDeque::new(),
            counts: Counts::default(),
            gaps: Vec::new(),
            tokens,
            refilled_at: now.monotonic_nanos,
        };
        let queue = Arc::new(Queue { grant, pass, process: self.process, budget, state: P::Lock::new(state) });
        self.queues.with(|queues| queues.insert(pass, queue.clone()));
        queue
    }

    /// Pages for the calling thread.
    pub fn pages(&self) -> Arc<Pages<P>> {
        let pages = Arc::new(Pages::default());
        self.threads.with(|threads| threads.push(pages.clone()));
        pages
    }

    /// Throws away what was captured under `pass` and is not yet with the drain, and lets nothing in any more. The gate
    /// must have been cleared before. Gives what became of the grant's records.
    pub fn discard(&self, pass: Pass) -> Counts {
        let threads = self.threads.with(|threads| threads.clone());
        for pages in threads {
            pages.0.with(|pages| pages.retain_mut(|page| page.queue.pass != pass || page.forget()));
        }
        let queue = self.queues.with(|queues| queues.remove(&pass));
        let Some(queue) = queue else { return Counts::default() };
        queue.state.with(|state| {
            state.open = false;
            for mut chunk in state.chunks.drain(..) {
                state.counts.captured -= u64::from(chunk.records);
                state.counts.late += u64::from(chunk.records);
                chunk.bytes.fill(0);
            }
            state.counts
        })
    }

    /// Hands over the pages that have waited long enough, forgets threads that ended, and takes what waits in the queues.
    pub fn drain(&self, gate: &Gate<P>, now: Moment) -> Vec<Chunk> {
        let threads = self.threads.with(|threads| threads.clone());
        for pages in &threads {
            let over = Arc::strong_count(pages) <= 2;
            pages.hand_over_if(gate, now, |page| over || page.opened.saturating_add(PAGE_NANOS) <= now.monotonic_nanos);
        }
        drop(threads);
        self.threads.with(|threads| {
            threads.retain(|pages| {
                Arc::strong_count(pages) > 1 || pages.0.with(|pages| pages.iter().any(|page| !page.bytes.is_empty()))
            });
        });
        let queues: Vec<_> = self.queues.with(|queues| queues.values().cloned().collect());
        queues.iter().flat_map(|queue| queue.take(now)).collect()
    }
}

const SECOND: u128 = 1_000_000_000;

impl<P: Primitives> Pages<P> {
    /// Keeps one record stamped `stamp` under `pass`. Gives whether it was kept. `queue` finds the queue of the pass, and
    /// is asked only for the first record of a page; `now` reads both clocks, once a page.
    pub fn keep(
        &self,
        gate: &Gate<P>,
        pass: Pass,
        record: &[u8],
        stamp: u64,
        queue: impl Fn() -> Option<Arc<Queue<P>>>,
        now: impl Fn() -> Moment,
    ) -> bool {
        self.0.with(|pages| {
            let known = pages.iter().position(|page| page.queue.pass == pass);
            // Under the lock: whoever ends the grant clears the gate first and then comes here to throw away.
            if !gate.admits(pass, stamp) {
                if let Some(queue) = known.map(|index| pages[index].queue.clone()).or_else(queue) {
                    queue.count_late(1);
                }
                return false;
            }
            let index = match known {
                Some(index) => index,
                None => {
                    let Some(queue) = queue() else { return false };
                    let bytes = Vec::with_capacity(CHUNK_BYTES);
                    pages.push(Page { queue, bytes, records: 0, opened: stamp, opened_micros: 0 });
                    pages.len() - 1
                }
            };
            let page = &mut pages[index];
            if page.bytes.len() + record.len() + RESERVED > CHUNK_BYTES {
                page.hand_over(gate, now());
            }
            if page.bytes.is_empty() {
                let moment = now();
                page.opened = stamp;
                page.opened_micros = moment.wall_micros;
                put_anchor(&mut page.bytes, page.queue.process, moment);
            }
            page.bytes.extend_from_slice(record);
            page.records += 1;
            if page.opened.saturating_add(PAGE_NANOS) <= stamp {
                page.hand_over(gate, now());
            }
            true
        })
    }

    /// Hands over everything this thread holds.
    pub fn hand_over(&self, gate: &Gate<P>, now: Moment) {
        self.hand_over_if(gate, now, |_| true);
    }

    fn hand_over_if(&self, gate: &Gate<P>, now: Moment, is_due: impl Fn(&Page<P>) -> bool) {
        self.0.with(|pages| {
            pages.retain_mut(|page| {
                if !page.bytes.is_empty() && is_due(page) {
                    page.hand_over(gate, now);
                }
                // An empty page of a live grant keeps its memory for the next poll.
                gate.is_live(page.queue.pass)
            });
        });
    }
}

impl<P: Primitives> Page<P> {
    fn hand_over(&mut self, gate: &Gate<P>, now: Moment) {
        let queue = self.queue.clone();
        queue.take_in(gate, self, now);
        self.bytes.clear();
        self.records = 0;
    }

    /// Overwrites what it holds; it is to be dropped.
    fn forget(&mut self) -> bool {
        self.queue.count_late(u64::from(self.records));
        self.bytes.fill(0);
        false
    }
}

impl<P: Primitives> Queue<P> {
    fn take_in(&self, gate: &Gate<P>, page: &mut Page<P>, now: Moment) {
        let records = u64::from(page.records);
        self.state.with(|state| {
            if !state.open || !gate.admits_at(self.pass, now) {
                state.counts.late += records;
                page.bytes.fill(0);
                return;
            }
            state.refill(&self.budget, now.monotonic_nanos);
            let costs = [page.bytes.len() as u128 * SECOND, u128::from(records) * SECOND];
            let fits_last =
                state.chunks.back().is_some_and(|chunk| chunk.bytes.len() + page.bytes.len() + RESERVED <= CHUNK_BYTES);
            let dropped = if state.tokens.iter().zip(costs).any(|(left, cost)| *left < cost) {
                state.counts.dropped_budget += records;
                Some(Reason::Budget)
            } else if !fits_last && state.chunks.len() >= QUEUE_CHUNKS {
                state.counts.dropped_full += records;
                Some(Reason::Full)
            } else {
                None
            };
            if let Some(reason) = dropped {
                state.note_gap(reason, records, page.opened_micros, now.wall_micros);
                page.bytes.fill(0);
                return;
            }
            for (left, cost) in state.tokens.iter_mut().zip(costs) {
                *left -= cost;
            }
            state.counts.captured += records;
            if fits_last && let Some(chunk) = state.chunks.back_mut() {
                chunk.bytes.extend_from_slice(&page.bytes);
                chunk.records += page.records;
                chunk.last_micros = now.wall_micros;
            } else {
                // A page is as long as a chunk may be, so it becomes one.
                let bytes = std::mem::replace(&mut page.bytes, Vec::with_capacity(CHUNK_BYTES));
                state.start_chunk(self, bytes, page.records, [page.opened_micros, now.wall_micros]);
            }
            state.tell_gaps();
        });
    }

    fn take(&self, now: Moment) -> Vec<Chunk> {
        self.state.with(|state| {
            if !state.gaps.is_empty() {
                state.start_chunk(self, Vec::new(), 0, [now.wall_micros; 2]);
                state.tell_gaps();
            }
            state.chunks.drain(..).collect()
        })
    }

    /// What became of the grant's records so far.
    pub fn counts(&self) -> Counts {
        self.state.with(|state| state.counts)
    }

    fn count_late(&self, records: u64) {
        self.state.with(|state| state.counts.late += records);
    }
}

impl State {
    fn refill(&mut self, budget: &Budget, now: u64) {
        let passed = u128::from(now.saturating_sub(self.refilled_at));
        self.refilled_at = self.refilled_at.max(now);
        for (left, rate) in self.tokens.iter_mut().zip([budget.bytes_per_second, budget.records_per_second]) {
            *left = (*left + passed * u128::from(rate)).min(u128::from(rate) * SECOND);
        }
    }

    /// Adds to the last gap if it is of the same kind, for gaps are told as stretches of time.
    fn note_gap(&mut self, reason: Reason, records: u64, from_micros: i64, to_micros: i64) {
        match self.gaps.iter_mut().find(|gap| gap.reason == reason) {
            Some(gap) => {
                gap.records += records;
                gap.from_micros = gap.from_micros.min(from_micros);
                gap.to_micros = gap.to_micros.max(to_micros);
            }
            None => self.gaps.push(Gap { reason, records, from_micros, to_micros }),
        }
    }

    fn start_chunk<P: Primitives>(&mut self, queue: &Queue<P>, bytes: Vec<u8>, records: u32, [first, last]: [i64; 2]) {
        let (grant, pass) = (queue.grant, queue.pass);
        self.chunks.push_back(Chunk { grant, pass, bytes, records, first_micros: first, last_micros: last });
    }

    /// Writes the gaps that nobody was told of yet into the last chunk, which has room for them.
    fn tell_gaps(&mut self) {
        if let Some(chunk) = self.chunks.back_mut() {
            self.gaps.drain(..).for_each(|gap| put_gap(&mut chunk.bytes, &gap));
        }
    }
}

#[cfg(test)]
mod tests;
