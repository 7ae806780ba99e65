//! The threads of a worker: each does one thing after another for as long as there is something to do, and otherwise
//! waits for a commit of this process or a short while. One panicking job costs its own attempt, nothing more.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::carry;
use crate::clock::UtcTime;
use crate::error::{Error, Result};
use crate::journal::{self, claiming};
use crate::mail::limits::PARSE_SLOTS;
use crate::outbox::{relays, sending};
use crate::queue::{self, InHand, Job};
use crate::secret::random_handle;
use crate::web::metrics;
use crate::worker::{destroying, handlers, imap, incoming_mail, outgoing_mail, recurring, serving};

/// How long a thread waits when nothing in this process was committed; others may have enqueued.
const POLL: Duration = Duration::from_millis(500);
/// A thread that found nothing to do looks again no sooner, however many commits there are meanwhile: most are not for it.
const BREATH: Duration = Duration::from_millis(10);
/// How often recurring work is looked at.
const RECURRING_POLL: Duration = Duration::from_secs(20);
/// How far work in the background stands back from people who wait for a page and mail servers that wait for an answer
/// (`nice`): it gets a tenth of a busy processor, and all of an idle one.
const NICENESS: i32 = 10;
/// Threads that do jobs in one process: what several of them have to write at a time shares a commit.
const JOB_THREADS: usize = 4;
/// Jobs done one after another before the thread looks around again, at whether it shall stop.
const JOBS_IN_A_ROW: u64 = 16;
/// No further one is claimed after this, whatever those before took.
const ROW: Duration = Duration::from_secs(1);
const DELIVERY: &str = "outgoing-mail";

/// What one look for work came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// So many pieces of work were done; there may be more.
    Worked(u64),
    /// There is nothing to do now.
    Idle,
}

/// One kind of work, done by a thread of its own, a step at a time.
pub type Work = fn(&App, worker: &str) -> Result<Step>;

/// Every kind: its name, how many threads, and one step of it. How many send mail depends on the relays
/// ([`crate::outbox::crew`]).
pub const WORK: &[(&str, usize, Work)] = &[
    ("jobs", JOB_THREADS, run_next_job),
    ("incoming-mail", PARSE_SLOTS, incoming_mail::process_next),
    (DELIVERY, relays::THREADS, outgoing_mail::deliver_next),
    ("destroying", 1, destroying::destroy_next),
];

/// Running threads; they stop when the token is cancelled, after what they are doing.
pub struct Threads(Vec<JoinHandle<()>>);

impl Threads {
    /// Starts all of them.
    pub fn start(app: &Arc<App>, stop: &CancellationToken) -> std::io::Result<Threads> {
        let mut work = WORK.to_vec();
        for (_, threads, _) in work.iter_mut().filter(|(name, _, _)| *name == DELIVERY) {
            *threads = app.relays.crew().threads();
        }
        Threads::start_with(app, stop, &work)
    }

    /// The same with other work of those kinds, for tests in which it goes wrong.
    pub fn start_with(
        app: &Arc<App>,
        stop: &CancellationToken,
        work: &[(&'static str, usize, Work)],
    ) -> std::io::Result<Threads> {
        free_leases(app);
        let mut threads = Vec::new();
        for &(name, count, work) in work {
            for number in 0..count {
                let (app, stop) = (app.clone(), stop.clone());
                // Names processes and threads apart in the leases.
                let worker = format!("{name}-{number}-{}", random_handle());
                let run = move || run_until_stopped(&app, name, &worker, work, &stop);
                threads.push(carry::thread(format!("{name}-{number}"), run)?);
            }
        }
        if let Some(fetching) = imap::start(app, stop)? {
            threads.push(fetching);
        }
        let (app, stop) = (app.clone(), stop.clone());
        threads.push(carry::thread("recurring".to_owned(), move || run_recurring(&app, &stop))?);
        Ok(Threads(threads))
    }

    /// Waits until every thread has finished what it was doing.
    pub fn join(self) {
        for thread in self.0 {
            if thread.join().is_err() {
                tracing::error!(target: "accord::worker", "A worker thread had panicked");
            }
        }
    }
}

/// The only process of an embedded database knows that nobody else holds anything: what it held when it ended is taken
/// up again at once.
fn free_leases(app: &App) {
    if !app.config.database.url.is_sqlite() {
        return;
    }
    let freed = app.database.write_now(|db| {
        journal::imap::free_leases(db)?;
        Ok(claiming::free_leases(db, "")? + sending::free_leases(db, "")? + queue::free_leases(db)?)
    });
    match freed {
        Ok(0) => {}
        Ok(count) => tracing::info!(target: "accord::worker", count, "Took up what was interrupted"),
        Err(error) => tracing::warn!(target: "accord::worker", ?error, "Interrupted work has to wait for its leases"),
    }
}

fn run_until_stopped(app: &App, kind: &'static str, worker: &str, work: Work, stop: &CancellationToken) {
    stand_back();
    while !stop.is_cancelled() {
        let seen = app.database.changes().count();
        let step = catch_unwind(AssertUnwindSafe(|| work(app, worker)));
        match step {
            Ok(Ok(Step::Worked(pieces))) => metrics::count_work(kind, pieces),
            Ok(Ok(Step::Idle)) => {
                std::thread::sleep(BREATH);
                app.database.changes().wait(seen, POLL);
            }
            Ok(Err(error)) => {
                tracing::warn!(target: "accord::worker", worker, ?error, "A worker could not go on; trying again");
                std::thread::sleep(POLL);
            }
            Err(_) => {
                tracing::error!(target: "accord::worker", worker, "A worker panicked; going on");
                std::thread::sleep(POLL);
            }
        }
    }
}

/// Lets people go first. On Linux this concerns the calling thread alone. The work is done all the same if it is refused.
pub(super) fn stand_back() {
    if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
        tracing::debug!(target: "accord::worker", %error, "Work in the background does not stand back");
    }
}

fn run_what_is_due(app: &App) {
    if let Err(error) = recurring::run_due(app, app.clock.now()) {
        tracing::warn!(target: "accord::worker", ?error, "Recurring work could not be looked at");
    }
}

fn run_recurring(app: &App, stop: &CancellationToken) {
    while !stop.is_cancelled() {
        // Each by itself: consents end in the last, whatever happens to the others.
        let each: [fn(&App); 3] = [recurring::watch_log, recurring::keep_ballast, run_what_is_due];
        for work in each {
            if catch_unwind(AssertUnwindSafe(|| work(app))).is_err() {
                tracing::error!(target: "accord::worker", "Looking at recurring work panicked; going on");
            }
        }
        let rounds = RECURRING_POLL.as_millis() / POLL.as_millis();
        for _ in 0..rounds {
            if stop.is_cancelled() {
                return;
            }
            std::thread::sleep(POLL);
        }
    }
}

/// Claims and does a due job, and some after it.
pub fn run_next_job(app: &App, worker: &str) -> Result<Step> {
    run_next_job_with(app, worker, handlers::run)
}

/// The same where `run` does and finishes each, and gives the next. A job over which it panics time and again is not tried
/// as often as one that fails.
pub fn run_next_job_with(
    app: &App,
    worker: &str,
    run: impl Fn(&App, &InHand, UtcTime) -> Result<Option<Job>>,
) -> Result<Step> {
    let now = app.clock.now();
    if app.database.read_now(|db| queue::due(db, now))?.is_empty() {
        return Ok(Step::Idle);
    }
    let name = worker.to_owned();
    let mut next = app.database.write_now(move |db| queue::claim_next(db, &name, now))?;
    let (mut done, began) = (0, Instant::now());
    while let Some(job) = next {
        done += 1;
        // One that failed before takes none along: whatever stopped it may have been that.
        let goes_on = done < JOBS_IN_A_ROW && began.elapsed() < ROW && job.attempts == 1;
        next = do_job(app, InHand { job, worker: worker.to_owned(), clock: app.clock.clone(), goes_on }, &run)?;
    }
    Ok(if done > 0 { Step::Worked(done) } else { Step::Idle })
}

/// Does the job; gives the next one if it went well.
fn do_job(app: &App, job: InHand, run: &impl Fn(&App, &InHand, UtcTime) -> Result<Option<Job>>) -> Result<Option<Job>> {
    let now = app.clock.now();
    let outcome = serving::for_job(app, &job.job, || {
        let (name, attempts) = (&job.job.name, job.job.attempts);
        let span = tracing::info_span!(target: "accord::worker", "job", job.name = %name, job.attempts = attempts);
        span.in_scope(|| catch_unwind(AssertUnwindSafe(|| run(app, &job, now))))
    });
    let tries = if outcome.is_ok() { queue::ATTEMPTS } else { queue::STRIKES };
    let error = match outcome.unwrap_or_else(|_| Err(Error::internal("the job panicked"))) {
        Ok(next) => return Ok(next),
        Err(error) => error,
    };
    let (text, name) = (format!("{error:#}"), job.job.name.clone());
    let kept = app.database.write_now(move |db| queue::fail(db, &job.job, &job.worker, tries, &text, now))?;
    if kept {
        tracing::error!(target: "accord::worker", job = name, ?error, "A job failed for good");
    } else {
        tracing::warn!(target: "accord::worker", job = name, ?error, "A job failed; it will be tried again");
    }
    Ok(None)
}
