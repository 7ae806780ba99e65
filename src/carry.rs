//! Ways to another thread or task that take along whom the current code serves, and its tracing span. Clippy forbids the
//! raw ones: what hops without its organisation is not captured, and what hopped with another's would be worse.

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

#[cfg(test)]
mod tests {
    use super::*;

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
