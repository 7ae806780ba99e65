//! Whom the running code serves: set for the length of one closure or of one `poll`, never by an object that code could
//! hold over an `await`, so that requests which share a thread cannot stand in each other's name (CN-12). What may be
//! captured of them is looked up when that is set, and only when the grants changed since.

use std::cell::Cell;
use std::pin::pin;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Cover, GATE};

/// Whom the current code serves, to be carried to another thread or task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Serving {
    /// 0 is nobody.
    tenant: i64,
    /// 0 is nobody known.
    person: i64,
    /// What is being done, one number for each request, job or mail; all its records share it.
    activity: u64,
    generation: u64,
    cover: Cover,
}

impl Serving {
    const NOBODY: Serving = Serving { tenant: 0, person: 0, activity: 0, generation: 0, cover: Cover::NONE };

    fn of(tenant: i64, person: Option<i64>) -> Serving {
        static ACTIVITIES: AtomicU64 = AtomicU64::new(1);
        let activity = ACTIVITIES.fetch_add(1, Ordering::Relaxed);
        Serving { tenant, person: person.unwrap_or(0), activity, generation: 0, cover: Cover::NONE }
    }

    /// The organisation and the person, if any.
    pub fn whom(&self) -> Option<(i64, Option<i64>)> {
        (self.tenant != 0).then_some((self.tenant, (self.person != 0).then_some(self.person)))
    }

    /// The number of the request, job or mail.
    pub fn activity(&self) -> u64 {
        self.activity
    }

    /// Runs `work` for whom this serves, and puts back afterwards what was before, even on a panic.
    pub fn enter<R>(mut self, work: impl FnOnce() -> R) -> R {
        self.refresh();
        let _restore = Restore(self.swap_in());
        work()
    }

    #[inline]
    fn refresh(&mut self) {
        let generation = GATE.generation();
        if self.tenant != 0 && generation != self.generation {
            let person = (self.person != 0).then_some(self.person);
            // Nobody is traced: no need to look.
            self.cover = if GATE.level() == 0 { Cover::NONE } else { GATE.cover(self.tenant, person) };
            self.generation = generation;
        }
    }

    #[inline]
    fn swap_in(self) -> Serving {
        COVER.set(self.cover);
        SERVING.replace(self)
    }
}

thread_local! {
    static COVER: Cell<Cover> = const { Cell::new(Cover::NONE) };
    static SERVING: Cell<Serving> = const { Cell::new(Serving::NOBODY) };
    static MARKED: Cell<bool> = const { Cell::new(false) };
}

static ON_LEAVING: OnceLock<fn()> = OnceLock::new();

/// Private on purpose: as a value that others could hold it would outlive a poll.
struct Restore(Serving);

impl Drop for Restore {
    fn drop(&mut self) {
        self.0.swap_in();
        if MARKED.replace(false)
            && let Some(leaving) = ON_LEAVING.get()
        {
            leaving();
        }
    }
}

/// Sets what is called, on the same thread, when a scope is left in which [`mark`] was called. The first one stays.
pub fn on_leaving(leaving: fn()) {
    ON_LEAVING.get_or_init(|| leaving);
}

/// Notes that something was kept in this scope.
#[inline]
pub fn mark() {
    MARKED.set(true);
}

/// Runs `work` for an organisation, and for one of its people if known.
pub fn scope<R>(tenant: i64, person: Option<i64>, work: impl FnOnce() -> R) -> R {
    Serving::of(tenant, person).enter(work)
}

/// Runs `work` for nobody, so that nothing of it is captured.
pub fn outside<R>(work: impl FnOnce() -> R) -> R {
    Serving::NOBODY.enter(work)
}

/// The future, each of whose polls runs for an organisation.
pub fn scoped<F: Future>(tenant: i64, person: Option<i64>, future: F) -> impl Future<Output = F::Output> {
    carry_future(Serving::of(tenant, person), future)
}

/// The future, each of whose polls runs for whom `serving` serves.
#[expect(clippy::manual_async_fn, reason = "nothing below the application is written as an async function")]
pub fn carry_future<F: Future>(mut serving: Serving, future: F) -> impl Future<Output = F::Output> {
    async move {
        let mut future = pin!(future);
        std::future::poll_fn(move |context| {
            serving.refresh();
            let _restore = Restore(serving.swap_in());
            future.as_mut().poll(context)
        })
        .await
    }
}

/// Whom the current code serves.
#[inline]
pub fn serving() -> Serving {
    SERVING.get()
}

/// The number of the request, job or mail that the current code belongs to.
#[inline]
pub fn activity() -> u64 {
    SERVING.with(|serving| serving.get().activity)
}

/// What may be captured where the current code runs.
#[inline]
pub fn current() -> Cover {
    COVER.get()
}
