//! Whom the running code serves, and whether anything of it may be captured at this moment: a table of live grants made
//! of atomic words, and the organisation of the current poll in a thread-local. It knows nothing of `tracing`, of the
//! database or of any clock: grants, and the time, are handed to it. Without an organisation, and whenever in doubt, it
//! says no (CN-03).

mod serving;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

pub use serving::{Serving, activity, carry_future, current, mark, on_leaving, outside, scope, scoped, serving};

/// The most grants that can be live in one process at once; one more waits for capacity.
pub const SLOTS: usize = 256;
/// How long a process may capture after it last read the table of grants (CN-03).
pub const LEASE_NANOS: u64 = 5_000_000_000;
/// A wall clock that went back further than this is not believed until an administrator confirms it (CN-04).
pub const DOUBT_MICROS: i64 = 60_000_000;
/// No grant lasts longer than a day, so what was ended need not be remembered for longer than this.
const REMEMBERED_NANOS: u64 = 25 * 3_600 * 1_000_000_000;

const LEVEL_BITS: u64 = 0b111;
/// Accord's own events and spans may be captured.
pub const SERVER: u64 = 1 << 3;
/// What the operator's products send may be taken.
pub const OTLP: u64 = 1 << 4;

/// An atomic word: the machine's, or a model checker's.
pub trait Word: Send + Sync {
    fn new(value: u64) -> Self;
    fn load(&self, ordering: Ordering) -> u64;
    fn store(&self, value: u64, ordering: Ordering);
    fn add(&self, value: u64, ordering: Ordering) -> u64;
}

/// A lock around a value: the machine's, or a model checker's.
pub trait Lock<T>: Send + Sync {
    fn new(value: T) -> Self;
    fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> R;
}

/// What the gate, and the buffers behind it, are built from.
pub trait Primitives: Send + Sync + 'static {
    type Word: Word;
    type Lock<T: Send>: Lock<T>;
}

/// The machine's own atomics and locks.
pub struct Machine;

impl Primitives for Machine {
    type Word = AtomicU64;
    type Lock<T: Send> = Mutex<T>;
}

impl Word for AtomicU64 {
    fn new(value: u64) -> Self {
        AtomicU64::new(value)
    }

    #[inline]
    fn load(&self, ordering: Ordering) -> u64 {
        AtomicU64::load(self, ordering)
    }

    fn store(&self, value: u64, ordering: Ordering) {
        AtomicU64::store(self, value, ordering);
    }

    fn add(&self, value: u64, ordering: Ordering) -> u64 {
        self.fetch_add(value, ordering)
    }
}

impl<T: Send> Lock<T> for Mutex<T> {
    fn new(value: T) -> Self {
        Mutex::new(value)
    }

    #[inline]
    fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
        work(&mut self.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// One reading of both clocks: the one that only runs, and the one on the wall.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    pub monotonic_nanos: u64,
    pub wall_micros: i64,
}

/// A grant that the database says is active.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LiveGrant {
    pub grant: i64,
    /// The organisation it belongs to.
    pub tenant: i64,
    /// Whose own use it covers; `None` is everybody's in the organisation.
    pub person: Option<i64>,
    /// The most detailed level of any of its components, 1 (error) to 5 (trace).
    pub level: u8,
    /// [`SERVER`], [`OTLP`] or both.
    pub channels: u64,
    /// When it expires by the wall clock.
    pub until_wall_micros: i64,
}

/// The right to capture for one grant: the word that must stand in its slot, `epoch << 16 | slot << 8 | channels |
/// level`. A copy that outlives its grant matches nothing, for no word is used twice; 0 is no pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pass(u64);

impl Pass {
    /// No right at all.
    pub const NONE: Pass = Pass(0);

    #[inline]
    pub fn is_none(self) -> bool {
        self.0 == 0
    }

    /// Whether the grant goes as far as `level` for Accord's own records.
    #[inline]
    pub fn reaches(self, level: u8) -> bool {
        self.0 & SERVER != 0 && u64::from(level) <= self.0 & LEVEL_BITS
    }

    /// Which of the table's places it holds.
    #[inline]
    pub fn slot(self) -> usize {
        (self.0 >> 8 & 0xff) as usize
    }

    /// The word; it names one grant in one process, for good.
    #[inline]
    pub fn word(self) -> u64 {
        self.0
    }
}

/// The passes that hold where the current code runs: the organisation's, and the person's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cover {
    pub organisation: Pass,
    pub person: Pass,
}

impl Cover {
    const NONE: Cover = Cover { organisation: Pass::NONE, person: Pass::NONE };

    #[inline]
    pub fn is_none(self) -> bool {
        self.organisation.is_none() && self.person.is_none()
    }

    #[inline]
    pub fn passes(self) -> [Pass; 2] {
        [self.organisation, self.person]
    }
}

/// Why a grant is no longer live in this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Withdrawn, stopped, or no longer among the active ones.
    Ended,
    /// Its time is over by one of the clocks.
    Expired,
    /// This process has not read the table of grants for too long; it may come back.
    LeaseLost,
    /// The wall clock went back; it may come back once the clock is confirmed.
    ClockDoubt,
}

/// A grant that stopped being live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped {
    pub grant: i64,
    pub pass: Pass,
    pub cause: Cause,
}

/// What publishing came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Published {
    /// Grants that became live, each with its pass.
    pub started: Vec<(i64, Pass)>,
    pub stopped: Vec<Stopped>,
    /// Grants for which no slot is free: approved, waiting for capacity.
    pub waiting: Vec<i64>,
}

struct Slot<P: Primitives> {
    word: P::Word,
    until_monotonic: P::Word,
    /// Microseconds as `u64`; a grant never expires before 1970.
    until_wall: P::Word,
}

/// What is known of a grant for as long as it could still be offered again.
#[derive(Clone, Copy)]
struct Known {
    until_monotonic: u64,
    ended: bool,
    forget_at: u64,
}

struct Book {
    held: Vec<Option<(LiveGrant, Pass)>>,
    /// Tenant, then person (0 is the whole organisation).
    covers: BTreeMap<(i64, i64), Pass>,
    known: BTreeMap<i64, Known>,
    last_epoch: u64,
    newest_wall: i64,
    doubt: bool,
    /// When the list that was last published was read.
    read_at: u64,
}

/// The table. There is one in a process, [`GATE`]; tests and the model have their own.
pub struct Gate<P: Primitives = Machine> {
    slots: [Slot<P>; SLOTS],
    /// Moves with every change of the covers.
    generation: P::Word,
    /// The most detailed level of any live grant for Accord's own records; 0 is none.
    level: P::Word,
    lease_monotonic: P::Word,
    lease_wall: P::Word,
    book: P::Lock<Book>,
}

/// The gate of this process. Nothing is live in it until the table of grants was read.
pub static GATE: Gate = Gate {
    slots: [const { Slot { word: AtomicU64::new(0), until_monotonic: AtomicU64::new(0), until_wall: AtomicU64::new(0) } };
        SLOTS],
    generation: AtomicU64::new(1),
    level: AtomicU64::new(0),
    lease_monotonic: AtomicU64::new(0),
    lease_wall: AtomicU64::new(0),
    book: Mutex::new(Book::EMPTY),
};

impl Book {
    const EMPTY: Book = Book {
        held: Vec::new(),
        covers: BTreeMap::new(),
        known: BTreeMap::new(),
        last_epoch: 0,
        newest_wall: i64::MIN,
        doubt: false,
        read_at: 0,
    };
}

impl<P: Primitives> Default for Gate<P> {
    fn default() -> Self {
        Gate {
            slots: std::array::from_fn(|_| Slot {
                word: P::Word::new(0),
                until_monotonic: P::Word::new(0),
                until_wall: P::Word::new(0),
            }),
            generation: P::Word::new(1),
            level: P::Word::new(0),
            lease_monotonic: P::Word::new(0),
            lease_wall: P::Word::new(0),
            book: P::Lock::new(Book::EMPTY),
        }
    }
}

impl<P: Primitives> Gate<P> {
    /// Makes exactly `grants` live, as they were read from the database in a transaction begun at `read_at`, and renews
    /// the lease from then. A list older than the last one is passed over. A grant that was cleared or expired is never
    /// taken back, whatever a list says, and a deadline that was once computed is never moved later.
    pub fn publish(&self, grants: &[LiveGrant], read_at: Moment) -> Published {
        self.book.with(|book| {
            let mut published = Published::default();
            if read_at.monotonic_nanos < book.read_at {
                return published;
            }
            book.read_at = read_at.monotonic_nanos;
            book.look_at_the_wall(read_at);
            book.known.retain(|_, known| known.forget_at > read_at.monotonic_nanos);
            if book.doubt {
                self.stop_where(book, &mut published.stopped, |_, _| Some(Cause::ClockDoubt));
                self.say(book);
                return published;
            }
            self.lease_monotonic.store(read_at.monotonic_nanos.saturating_add(LEASE_NANOS), Ordering::SeqCst);
            let lease_micros = i64::try_from(LEASE_NANOS / 1_000).unwrap_or(0);
            self.lease_wall.store(wall_word(read_at.wall_micros.saturating_add(lease_micros)), Ordering::SeqCst);
            let over: Vec<i64> =
                grants.iter().filter(|grant| book.is_over(grant, read_at)).map(|grant| grant.grant).collect();
            self.stop_where(book, &mut published.stopped, |held, _| match () {
                () if !grants.contains(held) => Some(Cause::Ended),
                () if over.contains(&held.grant) => Some(Cause::Expired),
                () => None,
            });
            for grant in grants {
                let is_held = book.held.iter().flatten().any(|(held, _)| held.grant == grant.grant);
                if is_held || over.contains(&grant.grant) {
                    continue;
                }
                match self.take_slot(book, grant) {
                    Some(pass) => published.started.push((grant.grant, pass)),
                    None => published.waiting.push(grant.grant),
                }
            }
            self.say(book);
            published
        })
    }

    /// Ends a grant in this process, for good, whether it was live or not. When this returns every thread that asks is
    /// told no.
    pub fn clear(&self, grant: i64, now: Moment) -> Option<Stopped> {
        self.book.with(|book| {
            let mut stopped = Vec::new();
            self.stop_where(book, &mut stopped, |held, _| (held.grant == grant).then_some(Cause::Ended));
            let forget_at = now.monotonic_nanos.saturating_add(REMEMBERED_NANOS);
            book.known.insert(grant, Known { until_monotonic: 0, ended: true, forget_at });
            self.say(book);
            stopped.pop()
        })
    }

    /// Stops everything until the table of grants is read again: the database is away, or something cannot be right.
    pub fn clear_all(&self) -> Vec<Stopped> {
        self.book.with(|book| {
            let mut stopped = Vec::new();
            self.lease_monotonic.store(0, Ordering::SeqCst);
            self.lease_wall.store(0, Ordering::SeqCst);
            self.stop_where(book, &mut stopped, |_, _| Some(Cause::LeaseLost));
            self.say(book);
            stopped
        })
    }

    /// Ends what is over at `now`: grants whose deadline passed by either clock, all of them when the lease is lost or
    /// the wall clock went back.
    pub fn tick(&self, now: Moment) -> Vec<Stopped> {
        self.book.with(|book| {
            let mut stopped = Vec::new();
            book.look_at_the_wall(now);
            let lease_lost = self.lease_is_over(now);
            let (doubt, newest_wall) = (book.doubt, book.newest_wall);
            self.stop_where(book, &mut stopped, |held, known| {
                let over = known.is_none_or(|known| known.until_monotonic <= now.monotonic_nanos)
                    || held.until_wall_micros <= newest_wall;
                match () {
                    () if over => Some(Cause::Expired),
                    () if doubt => Some(Cause::ClockDoubt),
                    () if lease_lost => Some(Cause::LeaseLost),
                    () => None,
                }
            });
            self.say(book);
            stopped
        })
    }

    /// Whether the wall clock is not believed.
    pub fn is_in_doubt(&self) -> bool {
        self.book.with(|book| book.doubt)
    }

    /// The newest wall time ever seen, kept by the database: a clock far before it is in doubt from the start.
    pub fn remember_wall(&self, newest_micros: i64) {
        self.book.with(|book| book.newest_wall = book.newest_wall.max(newest_micros));
    }

    /// An administrator says that the wall clock is right.
    pub fn believe_wall(&self, now: Moment) {
        self.book.with(|book| {
            book.newest_wall = now.wall_micros;
            book.doubt = false;
        });
    }

    /// The most detailed level that any live grant opens for Accord's own records; 0 is none.
    #[inline]
    pub fn level(&self) -> u8 {
        u8::try_from(self.level.load(Ordering::Acquire)).unwrap_or(0)
    }

    /// The generation of the covers.
    #[inline]
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Whether the grant of `pass` is still live. No clock is asked; see [`Gate::admits`].
    #[inline]
    pub fn is_live(&self, pass: Pass) -> bool {
        !pass.is_none() && self.slots[pass.slot()].word.load(Ordering::Acquire) == pass.0
    }

    /// Whether a record stamped `monotonic_nanos` may be kept for `pass`.
    #[inline]
    pub fn admits(&self, pass: Pass, monotonic_nanos: u64) -> bool {
        let slot = &self.slots[pass.slot()];
        // The word last: while it still stands the deadlines read before were its own.
        let until = slot.until_monotonic.load(Ordering::Acquire);
        let lease = self.lease_monotonic.load(Ordering::Acquire);
        monotonic_nanos < until && monotonic_nanos < lease && self.is_live(pass)
    }

    /// [`Gate::admits`] by both clocks, for whole chunks.
    pub fn admits_at(&self, pass: Pass, now: Moment) -> bool {
        let until_wall = self.slots[pass.slot()].until_wall.load(Ordering::Acquire);
        let lease_wall = self.lease_wall.load(Ordering::Acquire);
        let wall = wall_word(now.wall_micros);
        wall < until_wall && wall < lease_wall && self.admits(pass, now.monotonic_nanos)
    }

    /// What holds for somebody of an organisation.
    pub fn cover(&self, tenant: i64, person: Option<i64>) -> Cover {
        self.book.with(|book| {
            let pass = |person: i64| book.covers.get(&(tenant, person)).copied().unwrap_or_default();
            Cover { organisation: pass(EVERYBODY), person: person.map(pass).unwrap_or_default() }
        })
    }

    /// Whether the grant ended in this process, for good: withdrawn here, if perhaps not yet in the database, or over by
    /// one of the clocks.
    pub fn has_ended(&self, grant: i64) -> bool {
        self.book.with(|book| book.known.get(&grant).is_some_and(|known| known.ended))
    }

    /// How many grants are live.
    pub fn live(&self) -> usize {
        self.book.with(|book| book.held.iter().flatten().count())
    }

    fn lease_is_over(&self, now: Moment) -> bool {
        self.lease_monotonic.load(Ordering::Acquire) <= now.monotonic_nanos
            || self.lease_wall.load(Ordering::Acquire) <= wall_word(now.wall_micros)
    }

    fn take_slot(&self, book: &mut Book, grant: &LiveGrant) -> Option<Pass> {
        let until_monotonic = book.known.get(&grant.grant)?.until_monotonic;
        if book.held.is_empty() {
            book.held.resize(SLOTS, None);
        }
        let index = book.held.iter().position(Option::is_none)?;
        book.last_epoch += 1;
        let level = u64::from(grant.level.min(5));
        let place = u64::from(u8::try_from(index).ok()?);
        let pass = Pass(book.last_epoch << 16 | place << 8 | grant.channels & (SERVER | OTLP) | level);
        book.held[index] = Some((*grant, pass));
        book.covers.insert((grant.tenant, grant.person.unwrap_or(EVERYBODY)), pass);
        let slot = &self.slots[index];
        slot.until_monotonic.store(until_monotonic, Ordering::SeqCst);
        slot.until_wall.store(wall_word(grant.until_wall_micros), Ordering::SeqCst);
        slot.word.store(pass.0, Ordering::SeqCst);
        Some(pass)
    }

    fn stop_where(
        &self,
        book: &mut Book,
        stopped: &mut Vec<Stopped>,
        cause: impl Fn(&LiveGrant, Option<&Known>) -> Option<Cause>,
    ) {
        for (index, place) in book.held.iter_mut().enumerate() {
            let Some((grant, pass)) = *place else { continue };
            let Some(cause) = cause(&grant, book.known.get(&grant.grant)) else { continue };
            self.slots[index].word.store(0, Ordering::SeqCst);
            self.slots[index].until_monotonic.store(0, Ordering::SeqCst);
            *place = None;
            book.covers.retain(|_, held| *held != pass);
            if let (Cause::Expired, Some(known)) = (cause, book.known.get_mut(&grant.grant)) {
                known.ended = true;
            }
            stopped.push(Stopped { grant: grant.grant, pass, cause });
        }
    }

    /// Makes the level and the generation follow the book.
    fn say(&self, book: &Book) {
        let levels = book.held.iter().flatten().filter(|(grant, _)| grant.channels & SERVER != 0);
        let level = levels.map(|(_, pass)| pass.0 & LEVEL_BITS).max().unwrap_or(0);
        self.level.store(level, Ordering::SeqCst);
        self.generation.add(1, Ordering::SeqCst);
    }
}

/// Stands for the whole organisation where a person's number could stand; the database's numbers begin at 1.
const EVERYBODY: i64 = 0;

impl Book {
    /// Compares with the newest wall time seen, and moves it on.
    fn look_at_the_wall(&mut self, now: Moment) {
        if now.wall_micros < self.newest_wall.saturating_sub(DOUBT_MICROS) {
            self.doubt = true;
        }
        self.newest_wall = self.newest_wall.max(now.wall_micros);
    }

    /// Whether a grant is not to be live, and then never again. Its monotonic deadline is what was left when it was first
    /// seen; a wall clock set back afterwards would leave more, so the earliest deadline counts.
    fn is_over(&mut self, grant: &LiveGrant, read_at: Moment) -> bool {
        let left_micros = grant.until_wall_micros.saturating_sub(read_at.wall_micros).max(0);
        let left_nanos = u64::try_from(left_micros).unwrap_or(0).saturating_mul(1_000);
        let until_monotonic = read_at.monotonic_nanos.saturating_add(left_nanos);
        let forget_at = read_at.monotonic_nanos.saturating_add(REMEMBERED_NANOS);
        let known = self.known.entry(grant.grant).or_insert(Known { until_monotonic, ended: false, forget_at });
        known.until_monotonic = known.until_monotonic.min(until_monotonic);
        known.forget_at = forget_at;
        // The newest time that was ever seen: one who sets the clock back gains nothing.
        known.ended |= known.until_monotonic <= read_at.monotonic_nanos || grant.until_wall_micros <= self.newest_wall;
        known.ended
    }
}

fn wall_word(micros: i64) -> u64 {
    u64::try_from(micros).unwrap_or(0)
}

#[cfg(test)]
mod tests;
