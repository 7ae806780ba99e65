//! The one writer of a SQLite file: a thread owns the only writing connection. Writes that wait together share one
//! commit, each inside its own savepoint, and none is answered before that commit is on the disk (DB-03, DB-04). Whoever
//! waits for a page or for an answer to a mail goes before the work that follows, which takes its turns meanwhile one by
//! one.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use tokio::sync::oneshot;

use super::{Change, Changes, LONGEST_CHANGE, roll_back, warn_of_length};
use crate::carry::Here;
use crate::config::database::DatabaseUrl;
use crate::db::connection::{OpenError, Role, open};
use crate::db::{Ballast, DbConnection, dialect, disk};
use crate::error::{Error, Result};

/// Writes that may wait for the SQLite writer; further ones are told that it is busy (DB-03).
const WRITE_QUEUE: usize = 1_024;
/// Writes that share one commit at most, which bounds how long the first of them waits.
const GROUP: usize = 64;
/// Writes of threads that work in the background which share a commit with those of people who wait. One, so that the
/// commit is soon; and not none, so that the work goes on however many people there are.
const BACKGROUND_MEANWHILE: usize = 1;
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
        std::thread::Builder::new()
            .name("database-writer".to_owned())
            .spawn(move || write_loop(&url, db, &kept, &receiver, &changes, idle))
            .map_err(|error| {
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
    let mut background = VecDeque::new();
    loop {
        let mut group = match next_group(queue, &mut background, idle) {
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
        let usable = match group.len() {
            1 => run_alone(&mut db, ballast, group.remove(0)),
            _ => run_group(&mut db, ballast, group),
        };
        changes.tell();
        if !usable {
            match open(url, Role::Writer) {
                Ok(fresh) => db = fresh,
                Err(error) => {
                    tracing::error!(target: "accord::db", %error, "The writer cannot be opened again; stopping");
                    return;
                }
            }
        }
    }
}

/// Waits for something to do, and gives what shares the next commit: all that somebody waits for, and of the work in the
/// background, which is held in `background` until its turn, as much as does not keep them waiting.
fn next_group(
    queue: &Receiver<WriteTask>,
    background: &mut VecDeque<WriteTask>,
    idle: Duration,
) -> Result<Vec<WriteTask>, RecvTimeoutError> {
    let mut group = Vec::new();
    let mut next = if background.is_empty() { Some(queue.recv_timeout(idle)?) } else { queue.try_recv().ok() };
    while let Some(task) = next {
        match task.answer {
            Answer::Task(_) => group.push(task),
            Answer::Thread(_) => background.push_back(task),
        }
        let has_room = group.len() < GROUP && background.len() < GROUP;
        next = if has_room { queue.try_recv().ok() } else { None };
    }
    let room = if group.is_empty() { GROUP } else { BACKGROUND_MEANWHILE };
    group.extend(background.drain(..room.min(background.len())));
    Ok(group)
}

/// Gives the write-ahead log back to the disk while nobody writes; a reader that is at it keeps what it reads (DB-06).
fn empty_log(db: &mut DbConnection) {
    if let Err(error) = db.batch_execute("PRAGMA wal_checkpoint(TRUNCATE)") {
        disk::stop_if_it_failed(&error);
        tracing::debug!(target: "accord::db", %error, "The write-ahead log could not be emptied now");
    }
}

/// Runs the tasks under one commit; when that fails, each again on its own. Gives whether the connection is usable.
fn run_group(db: &mut DbConnection, ballast: &Ballast, mut group: Vec<WriteTask>) -> bool {
    let mut usable = true;
    match dialect::begin_writing(db) {
        Ok(()) => {
            if group.iter_mut().all(|task| task.run(db, false) == Soundness::Sound) {
                match dialect::commit(db) {
                    Ok(()) => {
                        group.into_iter().for_each(WriteTask::committed);
                        return true;
                    }
                    Err(error) => disk::stop_if_it_failed(&error),
                }
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
