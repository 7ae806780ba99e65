//! Capturing, as far as this process does it: which grants are live in it and what each lets in, asked of the [gate] for
//! every event and span by the [layer](CaptureLayer), which writes what is admitted into the
//! [buffers](crate::diagnostics::buffers). The console keeps its own filter, so what a grant opens never reaches it.
//! Redaction, sealing and storing are the drain's, never done here.
//!
//! Every call site is told `sometimes`, always; what moves with the first and the last grant is only the level. So no
//! cached answer can be out of date, and with no grant anywhere a `debug!` costs one comparison.
//!
//! [gate]: crate::gate

mod layer;

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

use tracing::Metadata;
use tracing::level_filters::LevelFilter;

use crate::clock::{Clock, UtcTime};
use crate::db::types::{GrantId, OrganisationId, PersonId};
use crate::diagnostics::buffers::{Budget, Buffers, Chunk, Counts, Queue};
use crate::diagnostics::catalogue::{Catalogue, Level, Manifest};
use crate::diagnostics::scope::Component;
use crate::gate::{self, Cause, Cover, GATE, LiveGrant, Machine, Moment, Pass};
use crate::secret::random_number;
pub use layer::CaptureLayer;
use layer::{BUSY, Thread, hand_over};

/// A grant that the database says is active, and what it lets in.
#[derive(Clone, Debug)]
pub struct ActiveGrant {
    pub grant: i64,
    pub organisation: OrganisationId,
    /// Whose own use; `None` is the whole organisation.
    pub person: Option<PersonId>,
    /// [`gate::SERVER`], [`gate::OTLP`] or both.
    pub channels: u64,
    pub expires_at: UtcTime,
    pub terms: Arc<Terms>,
}

/// What was consented to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    pub components: Vec<Component>,
    /// The fields that the person was shown; others are not recorded.
    pub manifest: Manifest,
    pub budget: Budget,
}

/// What a change of the grants came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changed {
    /// Grants that became live in this process.
    pub started: Vec<i64>,
    pub ended: Vec<Ended>,
    /// Approved, waiting for capacity.
    pub waiting: Vec<i64>,
}

/// A grant that is live no more in this process, and what became of its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    pub grant: i64,
    pub cause: Cause,
    pub counts: Counts,
    pub out_of_scope: u64,
}

/// The capturing of this process.
pub struct Capture {
    catalogue: Catalogue,
    clock: Clock,
    console: LevelFilter,
    buffers: Buffers<Machine>,
    admissions: RwLock<BTreeMap<Pass, Arc<Admission>>>,
    /// What is refused by the scope of a grant that is live, by its slot.
    out_of_scope: [AtomicU64; gate::SLOTS],
    /// The call sites met so far.
    seen: Mutex<BTreeMap<usize, &'static Metadata<'static>>>,
    /// The level for which interests were last computed; locked while they are.
    rebuilt_for: Mutex<u8>,
    /// Approved, waiting for capacity.
    waiting: Mutex<BTreeSet<i64>>,
}

struct Admission {
    terms: Arc<Terms>,
    queue: Arc<Queue<Machine>>,
}

static CAPTURE: OnceLock<Capture> = OnceLock::new();

impl Capture {
    /// Sets up the capturing of this process; later calls give the first one's. Nothing is captured before grants are
    /// published and the layer stands in the subscriber.
    pub fn start(catalogue: Catalogue, console: LevelFilter, clock: Clock) -> &'static Capture {
        gate::on_leaving(hand_over);
        CAPTURE.get_or_init(|| Capture {
            catalogue,
            clock,
            console,
            buffers: Buffers::new(random_number().unsigned_abs()),
            admissions: RwLock::new(BTreeMap::new()),
            out_of_scope: [const { AtomicU64::new(0) }; gate::SLOTS],
            seen: Mutex::new(BTreeMap::new()),
            rebuilt_for: Mutex::new(0),
            waiting: Mutex::new(BTreeSet::new()),
        })
    }

    /// The capturing of this process, if it was set up.
    pub fn find() -> Option<&'static Capture> {
        CAPTURE.get()
    }

    /// The layer for the subscriber; it must be added last, so that it is asked first.
    pub fn layer(&'static self) -> CaptureLayer {
        CaptureLayer(self)
    }

    /// Both clocks, now: as nearly at one moment as the machine lets a thread run.
    pub fn moment(&self) -> Moment {
        let mut best = None;
        for _ in 0..READINGS {
            let monotonic_nanos = self.clock.monotonic_nanos();
            let wall_micros = self.clock.now().micros();
            let between = self.clock.monotonic_nanos() - monotonic_nanos;
            if best.is_none_or(|(least, _)| between < least) {
                best = Some((between, Moment { monotonic_nanos, wall_micros }));
            }
            if between < NEAR_NANOS {
                break;
            }
        }
        // There was at least one reading.
        best.map_or(Moment { monotonic_nanos: u64::MAX, wall_micros: i64::MAX }, |(_, moment)| moment)
    }

    /// What this process can record.
    pub fn catalogue(&self) -> Catalogue {
        self.catalogue
    }

    /// Makes exactly these grants live; they were read from the database in a transaction begun at `read_at`.
    pub fn publish(&self, grants: &[ActiveGrant], read_at: Moment) -> Changed {
        let live: Vec<LiveGrant> = grants.iter().map(ActiveGrant::as_live).collect();
        let published = GATE.publish(&live, read_at);
        for (grant, pass) in &published.started {
            let Some(active) = grants.iter().find(|active| active.grant == *grant) else { continue };
            self.out_of_scope[pass.slot()].store(0, Ordering::Relaxed);
            let queue = self.buffers.open(*grant, *pass, active.terms.budget, read_at);
            let admission = Arc::new(Admission { terms: active.terms.clone(), queue });
            self.admissions.write().unwrap_or_else(PoisonError::into_inner).insert(*pass, admission);
        }
        let ended = published.stopped.into_iter().map(|stopped| self.end(stopped)).collect();
        self.follow_level();
        *self.waiting.lock().unwrap_or_else(PoisonError::into_inner) = published.waiting.iter().copied().collect();
        let started = published.started.into_iter().map(|(grant, _)| grant).collect();
        Changed { started, ended, waiting: published.waiting }
    }

    /// Stops a grant in this process for good. When this returns, nothing more can be recorded for it, and nothing that
    /// was recorded waits anywhere but with the drain, whose insert the database refuses.
    pub fn withdraw(&self, grant: i64) -> Option<Ended> {
        let stopped = GATE.clear(grant, self.moment());
        let ended = stopped.map(|stopped| self.end(stopped));
        self.follow_level();
        ended
    }

    /// Stops everything until grants are published again: the database is away, or something cannot be right (CN-03).
    pub fn stop_all(&self) -> Vec<Ended> {
        let ended = GATE.clear_all().into_iter().map(|stopped| self.end(stopped)).collect();
        self.follow_level();
        ended
    }

    /// Ends what is over by now: expired grants, or all of them when the lease is lost or the wall clock is in doubt. To
    /// be called often; that nothing is recorded after its time does not depend on it.
    pub fn tick(&self) -> Vec<Ended> {
        let stopped = GATE.tick(self.moment());
        if stopped.is_empty() {
            return Vec::new();
        }
        let ended = stopped.into_iter().map(|stopped| self.end(stopped)).collect();
        self.follow_level();
        ended
    }

    /// Whether the grant is approved and nothing is captured for it yet, since as many others as there can be are live.
    pub fn waits_for_capacity(&self, grant: i64) -> bool {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).contains(&grant)
    }

    /// How many grants wait for capacity.
    pub fn waiting(&self) -> usize {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Takes what waits to be redacted, sealed and stored.
    pub fn drain(&self) -> Vec<Chunk> {
        self.buffers.drain(&GATE, self.moment())
    }

    /// What became of the records of each live grant so far, and how many its scope refused.
    pub fn counts(&self) -> Vec<(i64, Counts, u64)> {
        let admissions = self.admissions.read().unwrap_or_else(PoisonError::into_inner);
        let counts = |(pass, admission): (&Pass, &Arc<Admission>)| {
            let refused = self.out_of_scope[pass.slot()].load(Ordering::Relaxed);
            (admission.queue.grant, admission.queue.counts(), refused)
        };
        admissions.iter().map(counts).collect()
    }

    /// Where the program recorded something so far, for those who look for a place in the source: level, target, file
    /// and line.
    pub fn seen(&self) -> Vec<&'static Metadata<'static>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).values().copied().collect()
    }

    fn end(&self, stopped: gate::Stopped) -> Ended {
        let counts = self.buffers.discard(stopped.pass);
        self.admissions.write().unwrap_or_else(PoisonError::into_inner).remove(&stopped.pass);
        let out_of_scope = self.out_of_scope[stopped.pass.slot()].load(Ordering::Relaxed);
        Ended { grant: stopped.grant, cause: stopped.cause, counts, out_of_scope }
    }

    /// Lets the level of the whole process follow the grants; only the first and the last of a level move it.
    fn follow_level(&self) {
        let mut rebuilt_for = self.rebuilt_for.lock().unwrap_or_else(PoisonError::into_inner);
        let level = GATE.level();
        if *rebuilt_for != level {
            *rebuilt_for = level;
            tracing::callsite::rebuild_interest_cache();
        }
    }

    fn admission(&self, pass: Pass) -> Option<Arc<Admission>> {
        self.admissions.read().unwrap_or_else(PoisonError::into_inner).get(&pass).cloned()
    }

    /// What a grant says of a call site. Remembered for each thread, so that deciding takes no lock.
    #[inline]
    fn verdict(&self, pass: Pass, metadata: &Metadata<'_>) -> Verdict {
        let address = std::ptr::from_ref(metadata).addr();
        let place = ((address >> 4) ^ (address >> 12) ^ pass.slot()) % VERDICTS;
        let known = VERDICT.with(|verdicts| verdicts[place].get());
        let verdict = if known.metadata == address && known.word == pass.word() {
            known
        } else {
            self.decide(pass, metadata, address, place)
        };
        if !verdict.is_admitted && !is_question(metadata) {
            self.out_of_scope[pass.slot()].fetch_add(1, Ordering::Relaxed);
        }
        verdict
    }

    #[cold]
    fn decide(&self, pass: Pass, metadata: &Metadata<'_>, address: usize, place: usize) -> Verdict {
        // A grant of which nothing is known yet is about to be set up: refused, but not remembered.
        let Some(admission) = self.admission(pass) else { return Verdict::REFUSED };
        let terms = &admission.terms;
        let level = Level::from(*metadata.level());
        let admitted = self.catalogue.find(metadata).and_then(|(callsite, described)| {
            let rule = Component::admitting(&terms.components, described.target, level)?;
            let fields = terms.manifest.allowed_fields(described)?;
            Some((callsite, rule, fields))
        });
        let is_admitted = match is_question(metadata) {
            true => Component::admitting(&terms.components, metadata.target(), level).is_some(),
            false => admitted.is_some(),
        };
        let (callsite, rule, fields) = admitted.unwrap_or_default();
        let word = pass.word();
        let verdict = Verdict { metadata: address, word, fields, callsite, rule, is_admitted };
        VERDICT.with(|verdicts| verdicts[place].set(verdict));
        verdict
    }

    /// Whether anything here is wanted by a grant. No clock, no lock, no hash.
    #[inline]
    fn wants(&self, metadata: &Metadata<'_>) -> bool {
        let cover = gate::current();
        !cover.is_none() && !BUSY.get() && self.wants_for(cover, metadata)
    }

    #[inline]
    fn wants_for(&self, cover: Cover, metadata: &Metadata<'_>) -> bool {
        self.admits(cover.organisation, metadata).is_some() || self.admits(cover.person, metadata).is_some()
    }

    /// What a grant says of this call site, if it admits it.
    #[inline]
    fn admits(&self, pass: Pass, metadata: &Metadata<'_>) -> Option<Verdict> {
        if !pass.reaches(Level::from(*metadata.level()).number()) || !GATE.is_live(pass) {
            return None;
        }
        let verdict = self.verdict(pass, metadata);
        verdict.is_admitted.then_some(verdict)
    }

    #[inline]
    fn keep(&self, thread: &Thread, pass: Pass, record: &[u8], stamp: u64) {
        let queue = || self.admission(pass).map(|admission| admission.queue.clone());
        if thread.pages.keep(&GATE, pass, record, stamp, queue, || self.moment()) {
            gate::mark();
        }
    }
}

/// Whether this is `tracing::enabled!`, which asks of a target and a level whether it is worth preparing something, and
/// records nothing itself.
#[inline]
fn is_question(metadata: &Metadata<'_>) -> bool {
    !metadata.is_event() && !metadata.is_span()
}

/// Closes the gate of this process to a grant that somebody is ending, before they are told that it ended; nothing where
/// nothing is captured.
pub fn close(grant: GrantId) {
    if let Some(capture) = Capture::find() {
        capture.withdraw(grant.0);
    }
}

impl ActiveGrant {
    fn as_live(&self) -> LiveGrant {
        let level = self.terms.components.iter().map(|component| component.level.number()).max().unwrap_or(0);
        LiveGrant {
            grant: self.grant,
            tenant: self.organisation.0,
            person: self.person.map(|person| person.0),
            level,
            channels: self.channels,
            until_wall_micros: self.expires_at.micros(),
        }
    }
}

// A `max_level_*` or `release_max_level_*` feature of `tracing`, set by any crate, takes the events out of the program when
// it is compiled: then a customer would agree to something that nobody can do. Such a build is refused.
const _: () = assert!(
    matches!(tracing::level_filters::STATIC_MAX_LEVEL.into_level(), Some(tracing::Level::TRACE)),
    "a feature of tracing takes away levels that can be agreed to"
);

/// How often both clocks are read, at most, for two readings that belong together.
const READINGS: usize = 16;
/// Readings that are no further apart than this belong together.
const NEAR_NANOS: u64 = 2_000;

/// How many verdicts a thread remembers.
const VERDICTS: usize = 256;

#[derive(Clone, Copy)]
struct Verdict {
    metadata: usize,
    word: u64,
    /// The fields that may be recorded, as bits by their places.
    fields: u32,
    callsite: u16,
    rule: u8,
    is_admitted: bool,
}

impl Verdict {
    const REFUSED: Verdict = Verdict { metadata: 0, word: 0, fields: 0, callsite: 0, rule: 0, is_admitted: false };
}

thread_local! {
    static VERDICT: [Cell<Verdict>; VERDICTS] = const { [const { Cell::new(Verdict::REFUSED) }; VERDICTS] };
}

#[cfg(test)]
mod tests;
