//! The layer itself: it stands outermost in the one subscriber of the process, asks for every event and span whether
//! anything of it may be captured, and writes what is admitted as bytes, on the thread on which it happens.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::{CAPTURE, Capture};
use crate::diagnostics::buffers::Pages;
use crate::diagnostics::record::{Fields, Place};
use crate::gate::{self, GATE, Machine, Pass};

/// Numbers for spans, which the registry's own do not give: it uses them again.
static SPANS: AtomicU64 = AtomicU64::new(1);

/// To be added to the subscriber last, so that it is asked first.
pub struct CaptureLayer(pub(super) &'static Capture);

thread_local! {
    /// Set while values are being written down: what a `Debug` of somebody records meanwhile is left out.
    pub(super) static BUSY: Cell<bool> = const { Cell::new(false) };
    static THREAD: Thread = Thread::default();
}

/// What a thread has at hand to write records down.
pub(super) struct Thread {
    pub(super) pages: Arc<Pages<Machine>>,
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
    #[inline]
    fn parent(&self, pass: Pass, activity: u64) -> u64 {
        let entered = self.entered.borrow();
        let mine = |entered: &&Entered| entered.activity == activity && entered.passes.contains(&pass);
        entered.iter().rev().find(mine).map_or(0, |entered| entered.span)
    }
}

/// Sets [`BUSY`] for as long as it lives; private to this module and never held over anything but formatting.
struct Busy;

impl Busy {
    #[inline]
    fn start() -> Busy {
        BUSY.set(true);
        Busy
    }
}

impl Drop for Busy {
    #[inline]
    fn drop(&mut self) {
        BUSY.set(false);
    }
}

/// Does nothing on a thread that is ending; it has handed over before.
fn on_thread(work: impl FnOnce(&Thread)) {
    let _ = THREAD.try_with(work);
}

/// Gives what this thread has written to the drain.
pub(super) fn hand_over() {
    let Some(capture) = CAPTURE.get() else { return };
    on_thread(|thread| thread.pages.hand_over(&GATE, capture.moment()));
}

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
    #[inline]
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
        // Also for what the console shows anyway: its own filter is to be asked each time, or it forgets to look again.
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
        // A span that was open when the last grant ended is not kept; the registry forgets what is left of it.
        if GATE.level() == 0 {
            return;
        }
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
