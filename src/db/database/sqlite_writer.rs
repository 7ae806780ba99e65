//! The one writer of a SQLite file: a thread owns the only writing connection. Writes that wait together share one
//! commit, each inside its own savepoint, and none is answered before that commit is on the disk (DB-03, DB-04). Whoever
//! waits for a page or for an answer to a mail goes before the work that follows, which has a share of the time meanwhile.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use tokio::sync::oneshot;

use super::{Change, Changes, LONGEST_CHANGE, roll_back, warn_of_length};
use crate::carry::{self, Here};
use crate::config::database::DatabaseUrl;
use crate::db::connection::{OpenError, Role, open};
use crate::db::{Ballast, DbConnection, dialect, disk};
use crate::error::{Error, Result};

/// Writes that may wait for the SQLite writer; further ones are told that it is busy (DB-03).
const WRITE_QUEUE: usize = 1_024;
/// Writes that share one commit at most, which bounds how long the first of them waits.
const GROUP: usize = 64;
/// Of the writer's time, while people wait one after another, the background has one part in this many: enough for the
/// work to go on however many people there are, and little enough that nobody waits for it.
const BACKGROUND_SHARE: u32 = 5;
/// How much of that time the background can use in advance, whether somebody waited then or not.
const MOST_DEBT: Duration = Duration::from_millis(20);
/// For how long after somebody was answered the next one is looked out for.
const SOMEBODY_FOLLOWS: Duration = Duration::from_millis(5);
/// How long nothing has to be written before the write-ahead log is emptied (DB-06).
pub(super) const IDLE: Duration = Duration::from_secs(20);

/// The way to the thread that writes; clones lead to the same one.
#[derive(Clone)]
pub(super) struct SqliteWriter {
    queue: SyncSender<WriteTask>,
    ballast: Ballast,
}

impl SqliteWriter {
    /// Opens the writing connection, and gives it to a thread that empties the write-ahead log after `idle` without work.
    pub(super) fn start(
        url: &DatabaseUrl,
        ballast: Ballast,
        changes: Arc<Changes>,
        idle: Duration,
    ) -> Result<SqliteWriter, OpenError> {
        let db = open(url, Role::Writer)?;
        let (queue, receiver) = sync_channel(WRITE_QUEUE);
        let (url, kept) = (url.clone(), ballast.clone());
        let run = move || write_loop(&url, db, &kept, &receiver, &changes, idle);
        carry::thread("database-writer".to_owned(), run).map_err(|error| {
            let error = format!("no thread for the writer: {error}");
            OpenError::Connection(diesel::ConnectionError::BadConnection(error))
        })?;
        Ok(SqliteWriter { queue, ballast })
    }

    /// For somebody who waits: goes before what is written in the background. Gives where the outcome will stand.
    pub(super) fn write(&self, change: Change) -> Result<oneshot::Receiver<Result<()>>> {
        let (answer, receiver) = oneshot::channel();
        self.submit(change, Answer::Task(answer))?;
        Ok(receiver)
    }

    /// For a thread that works in the background, which is held up until it is done.
    pub(super) fn write_now(&self, change: Change) -> Result<()> {
        let (answer, receiver) = sync_channel(1);
        self.submit(change, Answer::Thread(answer))?;
        receiver.recv().map_err(|_| Error::Busy)?
    }

    /// What is kept for the day on which the disk is full.
    pub(super) fn ballast(&self) -> &Ballast {
        &self.ballast
    }

    fn submit(&self, change: Change, answer: Answer) -> Result<()> {
        let task = WriteTask { change, answer, outcome: None, here: Here::now() };
        match self.queue.try_send(task) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(_)) => Err(Error::Busy),
            Err(TrySendError::Disconnected(_)) => Err(Error::internal("the database writer has stopped")),
        }
    }
}

/// A change waiting for the SQLite writer, with whoever waits for it.
struct WriteTask {
    change: Change,
    answer: Answer,
    outcome: Option<Result<()>>,
    here: Here,
}

enum Answer {
    Task(oneshot::Sender<Result<()>>),
    Thread(SyncSender<Result<()>>),
}

impl Answer {
    fn send(self, outcome: Result<()>) {
        // Whoever asked may have gone; the change stands all the same.
        match self {
            Answer::Task(sender) => drop(sender.send(outcome)),
            Answer::Thread(sender) => drop(sender.send(outcome)),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Soundness {
    Sound,
    /// The task alone must be undone; only said when it ran alone.
    Undo,
    /// Nothing in this transaction may be kept.
    Broken,
    /// The code panicked; the connection is not to be trusted either.
    Panicked,
}

impl WriteTask {
    fn is_for_somebody(&self) -> bool {
        matches!(self.answer, Answer::Task(_))
    }

    /// Runs the change and keeps its outcome; gives whether the transaction around it is still sound.
    fn run(&mut self, db: &mut DbConnection, alone: bool) -> Soundness {
        let change = &self.change;
        let here = &self.here;
        let began = Instant::now();
        let ran = catch_unwind(AssertUnwindSafe(|| {
            here.enter(|| {
                let span = tracing::debug_span!(target: "accord::db", "write");
                // Alone in its transaction it needs no savepoint of its own.
                span.in_scope(|| if alone { change(db) } else { db.transaction(|db| change(db)) })
            })
        }));
        self.here.enter(|| warn_of_length("change", began.elapsed(), LONGEST_CHANGE));
        let Ok(outcome) = ran else { return Soundness::Panicked };
        disk::stop_if_it_failed_meanwhile(&outcome);
        let soundness = match &outcome {
            Ok(()) => Soundness::Sound,
            Err(Error::StorageFull | Error::Busy) => Soundness::Broken,
            // SQLite may have ended the whole transaction over it. What the others of the group would do then would
            // stand at once, and be done a second time when each is run alone.
            Err(Error::Internal(_)) if !alone => Soundness::Broken,
            Err(_) if alone => Soundness::Undo,
            Err(_) => Soundness::Sound,
        };
        self.outcome = Some(outcome);
        soundness
    }

    /// The transaction is on the disk: tells the outcome.
    fn committed(mut self) {
        let outcome = self.take_outcome();
        self.answer.send(outcome);
    }

    fn failed(self, error: Error) {
        self.answer.send(Err(error));
    }

    fn take_outcome(&mut self) -> Result<()> {
        self.outcome.take().unwrap_or_else(|| Err(Error::internal("a change was committed without running")))
    }
}

fn write_loop(
    url: &DatabaseUrl,
    mut db: DbConnection,
    ballast: &Ballast,
    queue: &Receiver<WriteTask>,
    changes: &Changes,
    idle: Duration,
) {
    let mut is_log_empty = false;
    let mut waiting = Waiting::default();
    loop {
        let mut group = match waiting.next_group(queue, idle) {
            Ok(group) => group,
            Err(RecvTimeoutError::Timeout) => {
                if !is_log_empty {
                    is_log_empty = true;
                    empty_log(&mut db);
                    changes.tell();
                }
                continue;
            }
            Err(RecvTimeoutError::Disconnected) => return,
        };
        is_log_empty = false;
        let is_for_somebody = group.iter().any(WriteTask::is_for_somebody);
        let began = Instant::now();
        let usable = match group.len() {
            1 => run_alone(&mut db, ballast, group.remove(0)),
            _ => run_group(url, &mut db, ballast, group),
        };
        waiting.note(is_for_somebody, began.elapsed());
        changes.tell();
        if !usable && !open_again(url, &mut db) {
            return;
        }
    }
}

/// What waits for the writer, and whose turn it is. People who wait go first, together; the background gets commits of its
/// own meanwhile, by a share of the time.
#[derive(Default)]
struct Waiting {
    people: Vec<WriteTask>,
    background: VecDeque<WriteTask>,
    /// Time that the background has used of what follows.
    debt: Duration,
    /// Whether the last commit was for people.
    was_for_somebody: bool,
    last_answer: Option<Instant>,
}

impl Waiting {
    /// Waits for something to do, and gives what shares the next commit.
    fn next_group(&mut self, queue: &Receiver<WriteTask>, idle: Duration) -> Result<Vec<WriteTask>, RecvTimeoutError> {
        let is_empty = self.people.is_empty() && self.background.is_empty();
        let mut next = if is_empty { Some(queue.recv_timeout(idle)?) } else { queue.try_recv().ok() };
        loop {
            while let Some(task) = next {
                match task.answer {
                    Answer::Task(_) => self.people.push(task),
                    Answer::Thread(_) => self.background.push_back(task),
                }
                let has_room = self.people.len() < GROUP && self.background.len() < GROUP;
                next = if has_room { queue.try_recv().ok() } else { None };
            }
            let may_go_on = self.debt == Duration::ZERO;
            if !self.people.is_empty() && (self.background.is_empty() || !may_go_on || !self.was_for_somebody) {
                return Ok(std::mem::take(&mut self.people));
            }
            let follows = self.last_answer.is_some_and(|at| at.elapsed() < SOMEBODY_FOLLOWS);
            if !self.people.is_empty() || follows && may_go_on {
                // One at a time, so that it is soon over.
                return Ok(self.background.pop_front().into_iter().collect());
            }
            if follows {
                // Whoever was answered just now may well have more to say, and would wait for all of the background.
                next = queue.recv_timeout(SOMEBODY_FOLLOWS).ok();
            }
            if next.is_none() {
                return Ok(self.background.drain(..).collect());
            }
        }
    }

    /// Accounts for the time that a commit took.
    fn note(&mut self, is_for_somebody: bool, took: Duration) {
        self.was_for_somebody = is_for_somebody;
        if is_for_somebody {
            self.last_answer = Some(Instant::now());
            self.debt = self.debt.saturating_sub(took / (BACKGROUND_SHARE - 1));
        } else {
            self.debt = (self.debt + took).min(MOST_DEBT);
        }
    }
}

/// Gives the write-ahead log back to the disk while nobody writes; a reader that is at it keeps what it reads (DB-06).
fn empty_log(db: &mut DbConnection) {
    if let Err(error) = db.batch_execute("PRAGMA wal_checkpoint(TRUNCATE)") {
        disk::stop_if_it_failed(&error);
        tracing::debug!(target: "accord::db", %error, "The write-ahead log could not be emptied now");
    }
}

/// Takes another connection for one that is not to be used any more; `false` when there is none to be had.
fn open_again(url: &DatabaseUrl, db: &mut DbConnection) -> bool {
    match open(url, Role::Writer) {
        Ok(fresh) => *db = fresh,
        Err(error) => {
            tracing::error!(target: "accord::db", %error, "The writer cannot be opened again; stopping");
            return false;
        }
    }
    true
}

/// Runs the tasks under one commit; when that fails, each again on its own. Gives whether the connection is usable.
fn run_group(url: &DatabaseUrl, db: &mut DbConnection, ballast: &Ballast, mut group: Vec<WriteTask>) -> bool {
    let mut usable = true;
    match dialect::begin_writing(db) {
        Ok(()) => {
            let mut soundness = Soundness::Sound;
            let stopped = group.iter_mut().position(|task| {
                soundness = task.run(db, false);
                soundness != Soundness::Sound
            });
            match stopped {
                None => match dialect::commit(db) {
                    Ok(()) => {
                        group.into_iter().for_each(WriteTask::committed);
                        return true;
                    }
                    Err(error) => disk::stop_if_it_failed(&error),
                },
                // It will do so again, after which the connection is another: the others go before it.
                Some(index) if soundness == Soundness::Panicked => {
                    let panicking = group.remove(index);
                    group.push(panicking);
                    // It left its savepoint open, and any within that.
                    while dialect::roll_back(db).is_ok() {}
                }
                Some(_) => {}
            }
            usable = roll_back(db);
        }
        Err(error) if matches!(dialect::failure(&error), Error::StorageFull) => {}
        Err(error) => {
            // Somebody else holds the lock, and each of them would wait for it in vain once more (FT-09).
            group.into_iter().for_each(|task| task.failed(dialect::failure(&error)));
            return is_usable_after(&error);
        }
    }
    for task in group {
        // Several of them may panic, and those behind such a one have done nothing.
        usable = usable || open_again(url, db);
        if usable {
            usable = run_alone(db, ballast, task);
        } else {
            task.failed(Error::Busy);
        }
    }
    usable
}

/// Runs the task under a commit of its own, and once more if there was no room and some could be made. Gives whether the
/// connection is usable.
fn run_alone(db: &mut DbConnection, ballast: &Ballast, mut task: WriteTask) -> bool {
    let (mut outcome, mut usable) = attempt(db, &mut task);
    if usable && matches!(outcome, Err(Error::StorageFull)) && ballast.give_up() {
        (outcome, usable) = attempt(db, &mut task);
    }
    task.answer.send(outcome);
    usable
}

/// What came of the task in a transaction of its own, which was committed if that is well; and whether the connection is
/// usable.
fn attempt(db: &mut DbConnection, task: &mut WriteTask) -> (Result<()>, bool) {
    if let Err(error) = dialect::begin_writing(db) {
        return (Err(dialect::failure(&error)), is_usable_after(&error));
    }
    match task.run(db, true) {
        Soundness::Sound => match dialect::commit(db) {
            Ok(()) => (task.take_outcome(), true),
            Err(error) => {
                disk::stop_if_it_failed(&error);
                let usable = roll_back(db);
                (Err(Error::from(error)), usable)
            }
        },
        Soundness::Undo | Soundness::Broken => {
            let usable = roll_back(db);
            (task.take_outcome(), usable)
        }
        Soundness::Panicked => (Err(Error::internal("the change panicked")), false),
    }
}

/// Whether the connection can still be used on which a transaction could not begin.
fn is_usable_after(error: &diesel::result::Error) -> bool {
    disk::stop_if_it_failed(error);
    matches!(dialect::failure(error), Error::Busy | Error::StorageFull)
}

#[cfg(test)]
mod tests;
