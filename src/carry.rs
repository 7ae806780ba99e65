//! Ways to another thread or task that take along whom the current code serves, and its tracing span. Clippy forbids the
//! raw ones: what hops without its organisation is not captured, and what hopped with another's would be worse.

use std::panic::{self, AssertUnwindSafe};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, ScopedJoinHandle};

use tokio::task::JoinHandle;
use tracing::{Instrument, Span};

use crate::gate::{self, Serving};

/// The same work, to be run on another thread.
pub fn along<R>(work: impl FnOnce() -> R) -> impl FnOnce() -> R {
    let here = Here::now();
    move || here.enter(work)
}

/// Whom the code served, and its span, where this was made.
#[derive(Clone)]
pub struct Here {
    serving: Serving,
    span: Span,
}

impl Here {
    pub fn now() -> Here {
        Here { serving: gate::serving(), span: Span::current() }
    }

    /// Runs `work` as if it were there.
    pub fn enter<R>(&self, work: impl FnOnce() -> R) -> R {
        self.serving.enter(|| self.span.in_scope(work))
    }
}

/// A thread of the process, by that name. It serves nobody until it says whom, unless `work` was made by [`along`].
pub fn thread<T: Send + 'static>(
    name: String,
    work: impl FnOnce() -> T + Send + 'static,
) -> std::io::Result<std::thread::JoinHandle<T>> {
    #[expect(clippy::disallowed_methods, reason = "this is the one that is looked at")]
    std::thread::Builder::new().name(name).spawn(work)
}

/// Runs `work` on a thread that may block.
pub fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    #[expect(clippy::disallowed_methods, reason = "this is the one that carries")]
    tokio::task::spawn_blocking(along(work))
}

/// Runs `future` beside the current task.
pub fn task<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    let Here { serving, span } = Here::now();
    #[expect(clippy::disallowed_methods, reason = "this is the one that carries")]
    tokio::spawn(gate::carry_future(serving, future.instrument(span)))
}

/// Does the work for each on a thread of its own, and gives what came of each, in their order. Where the machine has no
/// further thread, the current one does it.
pub fn side_by_side<T: Send, R: Send>(each: Vec<T>, work: impl Fn(T) -> R + Sync) -> Vec<thread::Result<R>> {
    side_by_side_on(thread::Builder::new, each, work)
}

fn side_by_side_on<T: Send, R: Send>(
    thread: impl Fn() -> thread::Builder,
    each: Vec<T>,
    work: impl Fn(T) -> R + Sync,
) -> Vec<thread::Result<R>> {
    // What a thread that could not begin would have taken along is still here.
    let (each, here, work) =
        (each.into_iter().map(|one| Mutex::new(Some(one))).collect::<Vec<_>>(), Here::now(), &work);
    let here = &here;
    let take = |one: &Mutex<Option<T>>| one.lock().unwrap_or_else(PoisonError::into_inner).take();
    thread::scope(|scope| {
        let begin = |one| {
            let begun = thread().spawn_scoped(scope, move || take(one).map(|one| here.enter(|| work(one))));
            begun.map_err(|_| panic::catch_unwind(AssertUnwindSafe(|| take(one).map(work))))
        };
        let begun: Vec<_> = each.iter().map(begin).collect();
        let ended = begun.into_iter().map(|begun| begun.map_or_else(|done| done, ScopedJoinHandle::join));
        ended.map(|ended| ended.transpose().expect("each is taken once, by whoever does it")).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_done_side_by_side_and_in_turn_where_no_thread_can_be_had() {
        let far_too_large = || thread::Builder::new().stack_size(1 << 46);
        let thirds = |number: u32| if number == 3 { panic!("a test wants this to panic") } else { number * 10 };
        for done in [side_by_side((1..6).collect(), thirds), side_by_side_on(far_too_large, (1..6).collect(), thirds)] {
            let done: Vec<_> = done.into_iter().map(Result::ok).collect();
            assert_eq!(done, [Some(10), Some(20), None, Some(40), Some(50)]);
        }
    }

    fn whom() -> Option<(i64, Option<i64>)> {
        gate::serving().whom()
    }

    #[test]
    fn cn_12_blocking_work_and_tasks_serve_whom_their_maker_served() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let seen = runtime.block_on(gate::scoped(4, Some(5), async {
            let thread = thread("test".to_owned(), along(whom)).unwrap();
            assert_eq!(super::thread("test".to_owned(), whom).unwrap().join().unwrap(), None);
            let task = task(async {
                tokio::task::yield_now().await;
                (whom(), blocking(whom).await.unwrap())
            });
            (blocking(whom).await.unwrap(), task.await.unwrap(), thread.join().unwrap())
        }));
        let them = Some((4, Some(5)));
        assert_eq!(seen, (them, (them, them), them));
        assert_eq!(runtime.block_on(async { blocking(whom).await.unwrap() }), None);
    }
}
