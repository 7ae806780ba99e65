//! The layer that captures: it stands outermost in the one subscriber of the process, asks the [gate] for every event and
//! span, and writes what is admitted as bytes into the [buffers](crate::diagnostics::buffers). The console keeps its own
//! filter, so what a grant opens never reaches it. Redaction, sealing and storing are the drain's, never done here.
//!
//! Every call site is told `sometimes`, always; what moves with the first and the last grant is only the level. So no
//! cached answer can be out of date, and with no grant anywhere a `debug!` costs one comparison.
//!
//! [gate]: crate::gate

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use crate::clock::{Clock, UtcTime};
use crate::db::types::{GrantId, OrganisationId, PersonId};
use crate::diagnostics::buffers::{Budget, Buffers, Chunk, Counts, Pages, Queue};
use crate::diagnostics::catalogue::{Catalogue, Level, Manifest};
use crate::diagnostics::record::{Fields, Place};
use crate::diagnostics::scope::Component;
use crate::gate::{self, Cause, Cover, GATE, LiveGrant, Machine, Moment, Pass};
use crate::secret::random_number;

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
}

struct Admission {
    terms: Arc<Terms>,
    queue: Arc<Queue<Machine>>,
}

static CAPTURE: OnceLock<Capture> = OnceLock::new();

/// Numbers for spans, which the registry's own do not give: it uses them again.
static SPANS: AtomicU64 = AtomicU64::new(1);

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
    /// Set while values are being written down: what a `Debug` of somebody records meanwhile is left out.
    static BUSY: Cell<bool> = const { Cell::new(false) };
    static THREAD: Thread = Thread::default();
}

struct Thread {
    pages: Arc<Pages<Machine>>,
    /// Memory for the fields of an event.
    fields: RefCell<Fields>,
    entered: RefCell<Vec<Entered>>,
}

impl Default for Thread {
    fn default() -> Self {
        // Only reached from the layer, which there is only once the capturing was set up.
        let pages = CAPTURE.get().map_or_else(Arc::default, |capture| capture.buffers.pages());
        Thread { pages, fields: RefCell::new(Fields::of_event()), entered: RefCell::default() }
    }
}

/// A captured span that this thread is in.
struct Entered {
    registry_id: u64,
    span: u64,
    activity: u64,
    passes: [Pass; 2],
}

impl Thread {
    /// The captured span that what is recorded here under `pass` belongs to. A span that somebody else's code left open
    /// on this thread is of another activity, and is passed over.
    fn parent(&self, pass: Pass, activity: u64) -> u64 {
        let entered = self.entered.borrow();
        let mine = |entered: &&Entered| entered.activity == activity && entered.passes.contains(&pass);
        entered.iter().rev().find(mine).map_or(0, |entered| entered.span)
    }
}

/// Sets [`BUSY`] for as long as it lives; private to this module and never held over anything but formatting.
struct Busy;

impl Busy {
    fn start() -> Busy {
        BUSY.set(true);
        Busy
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        BUSY.set(false);
    }
}

/// Does nothing on a thread that is ending; it has handed over before.
fn on_thread(work: impl FnOnce(&Thread)) {
    let _ = THREAD.try_with(work);
}

fn hand_over() {
    let Some(capture) = CAPTURE.get() else { return };
    on_thread(|thread| thread.pages.hand_over(&GATE, capture.moment()));
}

/// See the module's doc.
pub struct CaptureLayer(&'static Capture);

/// Kept with a span of the registry while it is open.
struct Captured {
    span: u64,
    start: u64,
    activity: u64,
    parts: [Option<Part>; 2],
}

/// What one grant keeps of a span.
struct Part {
    pass: Pass,
    allowed: u32,
    place: Place,
    fields: Fields,
}

impl Captured {
    fn passes(&self) -> [Pass; 2] {
        [0, 1].map(|index| self.parts[index].as_ref().map_or(Pass::NONE, |part| part.pass))
    }
}

impl<S> Layer<S> for CaptureLayer
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        let mut seen = self.0.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.insert(std::ptr::from_ref(metadata).addr(), metadata);
        Interest::sometimes()
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(match GATE.level() {
            0 => self.0.console,
            1 => self.0.console.max(LevelFilter::ERROR),
            2 => self.0.console.max(LevelFilter::WARN),
            3 => self.0.console.max(LevelFilter::INFO),
            4 => self.0.console.max(LevelFilter::DEBUG),
            _ => LevelFilter::TRACE,
        })
    }

    #[inline]
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        *metadata.level() <= self.0.console || self.0.wants(metadata)
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let cover = gate::current();
        if cover.is_none() || BUSY.get() {
            return;
        }
        let capture = self.0;
        let mut stamp = None;
        for pass in [cover.organisation, cover.person] {
            let Some(verdict) = capture.admits(pass, event.metadata()) else { continue };
            let stamp = *stamp.get_or_insert_with(|| capture.clock.monotonic_nanos());
            on_thread(|thread| {
                let activity = gate::activity();
                let mut fields = thread.fields.borrow_mut();
                fields.clear();
                {
                    let _busy = Busy::start();
                    event.record(&mut Writer { fields: &mut fields, allowed: verdict.fields });
                }
                let parent = match event.parent() {
                    Some(id) => parent_of(id, &context, pass, activity),
                    None if event.is_root() => 0,
                    None => thread.parent(pass, activity),
                };
                let place = Place { activity, parent, callsite: verdict.callsite, rule: verdict.rule };
                capture.keep(thread, pass, fields.event(place, stamp), stamp);
            });
        }
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let cover = gate::current();
        if cover.is_none() || BUSY.get() {
            return;
        }
        let capture = self.0;
        let verdicts = cover.passes().map(|pass| (pass, capture.admits(pass, attributes.metadata())));
        if verdicts.iter().all(|(_, verdict)| verdict.is_none()) {
            return;
        }
        let Some(registered) = context.span(id) else { return };
        let activity = gate::activity();
        let start = capture.clock.monotonic_nanos();
        let parts = verdicts.map(|(pass, verdict)| {
            let verdict = verdict?;
            let mut fields = Fields::of_span();
            {
                let _busy = Busy::start();
                attributes.record(&mut Writer { fields: &mut fields, allowed: verdict.fields });
            }
            let parent = match attributes.parent() {
                Some(id) => parent_of(id, &context, pass, activity),
                None if attributes.is_root() => 0,
                None => THREAD.try_with(|thread| thread.parent(pass, activity)).unwrap_or(0),
            };
            let place = Place { activity, parent, callsite: verdict.callsite, rule: verdict.rule };
            Some(Part { pass, allowed: verdict.fields, place, fields })
        });
        let span = SPANS.fetch_add(1, Ordering::Relaxed);
        registered.extensions_mut().replace(Captured { span, start, activity, parts });
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let cover = gate::current();
        if cover.is_none() || BUSY.get() {
            return;
        }
        let _busy = Busy::start();
        let Some(registered) = context.span(id) else { return };
        let mut extensions = registered.extensions_mut();
        let Some(captured) = extensions.get_mut::<Captured>() else { return };
        // Whoever writes into a span of somebody else's writes nothing into the capture.
        for part in captured.parts.iter_mut().flatten().filter(|part| cover.passes().contains(&part.pass)) {
            if GATE.is_live(part.pass) {
                values.record(&mut Writer { fields: &mut part.fields, allowed: part.allowed });
            }
        }
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        if gate::current().is_none() {
            return;
        }
        let Some(registered) = context.span(id) else { return };
        let extensions = registered.extensions();
        let Some(captured) = extensions.get::<Captured>() else { return };
        let (span, activity, passes) = (captured.span, captured.activity, captured.passes());
        let entered = Entered { registry_id: id.into_u64(), span, activity, passes };
        on_thread(|thread| thread.entered.borrow_mut().push(entered));
        ENTERED.set(true);
    }

    fn on_exit(&self, id: &Id, _: Context<'_, S>) {
        if !ENTERED.get() {
            return;
        }
        on_thread(|thread| {
            let mut entered = thread.entered.borrow_mut();
            if let Some(place) = entered.iter().rposition(|entered| entered.registry_id == id.into_u64()) {
                entered.remove(place);
            }
            ENTERED.set(!entered.is_empty());
        });
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(registered) = context.span(&id) else { return };
        let Some(captured) = registered.extensions_mut().remove::<Captured>() else { return };
        let capture = self.0;
        let end = capture.clock.monotonic_nanos();
        on_thread(|thread| {
            for mut part in captured.parts.into_iter().flatten() {
                let record = part.fields.span(part.place, captured.span, captured.start, end);
                capture.keep(thread, part.pass, record, end);
            }
        });
    }
}

thread_local! {
    /// Whether this thread is in any captured span.
    static ENTERED: Cell<bool> = const { Cell::new(false) };
}

/// The number of a span that was named as the parent, if it was captured in the same activity under the same grant.
fn parent_of<S>(id: &Id, context: &Context<'_, S>, pass: Pass, activity: u64) -> u64
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let Some(registered) = context.span(id) else { return 0 };
    let extensions = registered.extensions();
    let captured = extensions.get::<Captured>();
    let mine = captured.filter(|captured| captured.activity == activity && captured.passes().contains(&pass));
    mine.map_or(0, |captured| captured.span)
}

/// Writes down the fields that were consented to.
struct Writer<'a> {
    fields: &'a mut Fields,
    allowed: u32,
}

impl Writer<'_> {
    #[inline]
    fn allows(&mut self, field: &Field) -> bool {
        field.index() < 32 && self.allowed >> field.index() & 1 == 1
    }
}

impl Visit for Writer<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        if self.allows(field) {
            self.fields.float(field.index(), value);
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        if self.allows(field) {
            self.fields.integer(field.index(), value);
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        if self.allows(field) {
            self.fields.unsigned(field.index(), value);
        }
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        if self.allows(field) {
            self.fields.wide(field.index(), value);
        }
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        if self.allows(field) {
            self.fields.formatted(field.index(), format_args!("{value}"));
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        if self.allows(field) {
            self.fields.bool(field.index(), value);
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if self.allows(field) {
            self.fields.text(field.index(), value);
        }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        if self.allows(field) {
            self.fields.formatted(field.index(), format_args!("{value}"));
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if self.allows(field) {
            self.fields.formatted(field.index(), format_args!("{value:?}"));
        }
    }
}

#[cfg(test)]
mod tests;
