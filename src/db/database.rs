//! The only seam between async code and the database: [`Database::read`] and [`Database::write`] leave the caller's
//! task for a thread that may block, and take along its tracing span and the organisation that it serves.
//!
//! On SQLite one thread owns the only writing connection. Writes that wait together share one commit, each inside its
//! own savepoint, and none is answered before that commit is on the disk (DB-03, DB-04). Whoever waits for a page or for
//! an answer to a mail goes before the work that follows, which takes its turns meanwhile one by one.
//!
//! What differs from query to query is put into a box at the door; everything behind it is compiled once and not again
//! for each of some hundred callers, which made a fifth of the whole program's code.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use tokio::sync::{Semaphore, oneshot, watch};

use crate::carry::{self, Here};
use crate::config::database::DatabaseUrl;
use crate::db::connection::{Manager, OpenError, PooledDb, Role, open};
use crate::db::{DbConnection, dialect};
use crate::error::{Error, Result};

/// How long a read or write waits for a connection before it gives up with [`Error::Busy`] (DB-03).
const POOL_WAIT: Duration = Duration::from_secs(5);
/// Writes that may wait for the SQLite writer; further ones are told that it is busy (DB-03).
const WRITE_QUEUE: usize = 1_024;
/// Writes that share one commit at most, which bounds how long the first of them waits.
const GROUP: usize = 64;
/// Writes of threads that work in the background which share a commit with those of people who wait. One, so that the
/// commit is soon; and not none, so that the work goes on however many people there are.
const BACKGROUND_MEANWHILE: usize = 1;
/// A read that lasts longer keeps the write-ahead log from being emptied (DB-06).
const LONGEST_READ: Duration = Duration::from_secs(1);
/// A change that takes longer keeps every other writer waiting (DB-05).
const LONGEST_CHANGE: Duration = Duration::from_millis(250);
/// How long nothing has to be written before the write-ahead log is emptied (DB-06).
const IDLE: Duration = Duration::from_secs(20);
/// A write-ahead log of this size means that something holds on to an old state (DB-06).
pub const LOG_ALARM_BYTES: u64 = 64 << 20;
/// And of this size, that the disk will fill (DB-06).
pub const LOG_CRITICAL_BYTES: u64 = 256 << 20;
/// `EX_IOERR` of sysexits.h.
const EXIT_DISK_FAILED: i32 = 74;
/// A transaction repeated this often on PostgreSQL has met a deadlock each time; more would not help.
const REPEATS: u32 = 4;

/// The database as the rest of the program holds it; clones share the pools.
#[derive(Clone)]
pub struct Database {
    readers: r2d2::Pool<Manager>,
    writer: Writer,
    /// As many as there are connections: who would only wait for one waits without a thread.
    turns: Arc<Semaphore>,
    url: Arc<DatabaseUrl>,
    changes: Arc<Changes>,
}

/// A use case that keeps its value for whoever asked.
type Change = Box<dyn Fn(&mut DbConnection) -> Result<()> + Send>;

/// Tells waiting workers that something was committed in this process.
#[derive(Default)]
pub struct Changes {
    count: Mutex<u64>,
    changed: Condvar,
    told: watch::Sender<u64>,
}

impl Changes {
    /// How many commits there were; the start of a wait.
    pub fn count(&self) -> u64 {
        *self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there was a commit since `seen`, or `longest` is over, and gives the count then.
    pub fn wait(&self, seen: u64, longest: Duration) -> u64 {
        let count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(count, longest, |count| *count == seen);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// The same for tasks: it changes with every commit from now on.
    pub fn follow(&self) -> watch::Receiver<u64> {
        self.told.subscribe()
    }

    /// Wakes whoever waits.
    pub fn tell(&self) {
        *self.count.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.changed.notify_all();
        self.told.send_modify(|count| *count += 1);
    }
}

#[derive(Clone)]
enum Writer {
    /// The queue of the thread that owns the one writing connection.
    Sqlite(SyncSender<WriteTask>),
    Postgres(r2d2::Pool<Manager>),
}

impl Database {
    /// Opens pools of up to `connections` readers (and, on PostgreSQL, as many writers).
    pub fn open(url: &DatabaseUrl, connections: u32) -> Result<Database, OpenError> {
        Database::open_with(url, connections, IDLE)
    }

    fn open_with(url: &DatabaseUrl, connections: u32, idle: Duration) -> Result<Database, OpenError> {
        let readers = pool(url, Role::Reader, connections)?;
        let changes = Arc::new(Changes::default());
        let writer = match url {
            DatabaseUrl::Sqlite(_) => Writer::Sqlite(start_sqlite_writer(url, changes.clone(), idle)?),
            DatabaseUrl::Postgres(_) => Writer::Postgres(pool(url, Role::Writer, connections)?),
        };
        let turns = Arc::new(Semaphore::new(connections.max(1) as usize));
        Ok(Database { readers, writer, turns, url: Arc::new(url.clone()), changes })
    }

    /// The signal given after each commit of this process.
    pub fn changes(&self) -> &Changes {
        &self.changes
    }

    /// Where this database is.
    pub fn url(&self) -> &DatabaseUrl {
        &self.url
    }

    /// How large the write-ahead log of an embedded database is now.
    pub fn log_bytes(&self) -> Option<u64> {
        let DatabaseUrl::Sqlite(path) = &*self.url else { return None };
        let mut log = path.clone().into_os_string();
        log.push("-wal");
        std::fs::metadata(PathBuf::from(log)).ok().map(|metadata| metadata.len())
    }

    /// Runs queries that all see the same moment and change nothing.
    pub async fn read<T, F>(&self, query: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut DbConnection) -> Result<T> + Send + 'static,
    {
        let (answer, receiver) = oneshot::channel();
        self.on_a_thread(Box::new(move |database| drop(answer.send(database.read_now(query))))).await?;
        receiver.await.map_err(|_| Error::internal("a read ended without an answer"))?
    }

    /// Runs one use case as one transaction: all of it happens, durably, or none. `change` may run more than once.
    pub async fn write<T, F>(&self, change: F) -> Result<T>
    where
        T: Send + 'static,
        F: Fn(&mut DbConnection) -> Result<T> + Send + 'static,
    {
        let (change, value) = keeping(change);
        self.write_change(change).await?;
        kept(&value)
    }

    /// Makes sure that what was deleted is not in the files of the database any more; says whether it could, or whether
    /// somebody was in the way. May block.
    pub fn scrub(&self) -> Result<bool> {
        let mut db = open(&self.url, Role::Writer).map_err(anyhow::Error::new)?;
        Ok(dialect::scrub(&mut db)?)
    }

    /// [`Database::read`] for a thread that may block: workers and the command line.
    pub fn read_now<T>(&self, query: impl FnOnce(&mut DbConnection) -> Result<T>) -> Result<T> {
        let mut query = Some(query);
        let mut value = None;
        self.read_query_now(&mut |db| {
            let query = query.take().ok_or_else(|| Error::internal("a read ran twice"))?;
            value = Some(query(db)?);
            Ok(())
        })?;
        value.ok_or_else(|| Error::internal("a read ended without a value"))
    }

    /// [`Database::write`] for a thread that may block.
    pub fn write_now<T, F>(&self, change: F) -> Result<T>
    where
        T: Send + 'static,
        F: Fn(&mut DbConnection) -> Result<T> + Send + 'static,
    {
        let (change, value) = keeping(change);
        self.write_change_now(change)?;
        kept(&value)
    }

    async fn on_a_thread(&self, work: Box<dyn FnOnce(&Database) + Send>) -> Result<()> {
        let turn = tokio::time::timeout(POOL_WAIT, self.turns.clone().acquire_owned()).await;
        let Ok(Ok(turn)) = turn else { return Err(Error::Busy) };
        let database = self.clone();
        let run = move || {
            work(&database);
            drop(turn);
        };
        carry::blocking(run).await.map_err(join_failure)
    }

    fn read_query_now(&self, query: &mut dyn FnMut(&mut DbConnection) -> Result<()>) -> Result<()> {
        let mut db = self.readers.get().map_err(|_| Error::Busy)?;
        read_transaction(&mut db, query)
    }

    async fn write_change(&self, change: Change) -> Result<()> {
        match &self.writer {
            Writer::Sqlite(queue) => {
                let (answer, receiver) = oneshot::channel();
                submit(queue, change, Answer::Task(answer))?;
                receiver.await.map_err(|_| Error::Busy)?
            }
            Writer::Postgres(_) => {
                let (answer, receiver) = oneshot::channel();
                self.on_a_thread(Box::new(move |database| drop(answer.send(database.write_change_now(change)))))
                    .await?;
                receiver.await.map_err(|_| Error::internal("a write ended without an answer"))?
            }
        }
    }

    fn write_change_now(&self, change: Change) -> Result<()> {
        match &self.writer {
            Writer::Sqlite(queue) => {
                let (answer, receiver) = sync_channel(1);
                submit(queue, change, Answer::Thread(answer))?;
                receiver.recv().map_err(|_| Error::Busy)?
            }
            Writer::Postgres(pool) => {
                let mut db: r2d2::PooledConnection<Manager> = pool.get().map_err(|_| Error::Busy)?;
                let mut outcome = write_transaction(&mut db, &change);
                for _ in 1..REPEATS {
                    match &outcome {
                        Err(error) if dialect::is_worth_repeating(error) => {
                            outcome = write_transaction(&mut db, &change);
                        }
                        _ => break,
                    }
                }
                if outcome.is_ok() {
                    self.changes.tell();
                }
                outcome
            }
        }
    }
}

/// Where the value of a change stands once it has run; the last run counts.
type Kept<T> = Arc<Mutex<Option<T>>>;

fn keeping<T, F>(change: F) -> (Change, Kept<T>)
where
    T: Send + 'static,
    F: Fn(&mut DbConnection) -> Result<T> + Send + 'static,
{
    let value = Kept::<T>::default();
    let place = value.clone();
    let change = move |db: &mut DbConnection| {
        let value = change(db)?;
        *place.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
        Ok(())
    };
    (Box::new(change), value)
}

fn kept<T>(value: &Kept<T>) -> Result<T> {
    let value = value.lock().unwrap_or_else(PoisonError::into_inner).take();
    value.ok_or_else(|| Error::internal("a change was committed without running"))
}

fn pool(url: &DatabaseUrl, role: Role, connections: u32) -> Result<r2d2::Pool<Manager>, OpenError> {
    // A first connection by hand, for the pool would hide why it cannot be had.
    open(url, role)?;
    Ok(r2d2::Pool::builder()
        .max_size(connections.max(1))
        .min_idle(Some(1))
        .test_on_check_out(!url.is_sqlite())
        .connection_timeout(POOL_WAIT)
        .error_handler(Box::new(LogPoolErrors))
        .build_unchecked(Manager { url: url.clone(), role }))
}

#[derive(Debug)]
struct LogPoolErrors;

impl r2d2::HandleError<OpenError> for LogPoolErrors {
    fn handle_error(&self, error: OpenError) {
        tracing::warn!(target: "accord::db", %error, "A database connection could not be had");
    }
}

fn join_failure(error: tokio::task::JoinError) -> Error {
    Error::Internal(anyhow::Error::new(error).context("a database task did not finish"))
}

fn read_transaction(db: &mut PooledDb, query: &mut dyn FnMut(&mut DbConnection) -> Result<()>) -> Result<()> {
    let span = tracing::debug_span!(target: "accord::db", "read");
    span.in_scope(|| {
        dialect::begin_reading(db)?;
        let began = Instant::now();
        let outcome = query(db);
        match &outcome {
            Ok(_) => dialect::commit(db)?,
            // A connection that is broken does not go back into its pool.
            Err(_) => {
                roll_back(db);
            }
        }
        warn_of_length("read", began.elapsed(), LONGEST_READ);
        stop_if_the_disk_failed_meanwhile(&outcome);
        outcome
    })
}

fn write_transaction(db: &mut DbConnection, change: &Change) -> Result<()> {
    let span = tracing::debug_span!(target: "accord::db", "write");
    span.in_scope(|| {
        dialect::begin_writing(db)?;
        let began = Instant::now();
        let outcome = change(db);
        warn_of_length("change", began.elapsed(), LONGEST_CHANGE);
        match outcome {
            Ok(()) => Ok(dialect::commit(db)?),
            Err(error) => {
                roll_back(db);
                Err(error)
            }
        }
    })
}

/// Says that a transaction took longer than any should; where, its spans tell.
fn warn_of_length(what: &'static str, took: Duration, longest: Duration) {
    if took > longest {
        let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        tracing::warn!(target: "accord::db", what, duration_ms, "A transaction took too long");
    }
}

/// Gives whether the connection can still be used; undoing fails only when it cannot.
fn roll_back(db: &mut DbConnection) -> bool {
    let undone = dialect::roll_back(db);
    if let Err(error) = &undone {
        tracing::debug!(target: "accord::db", %error, "A transaction could not be undone");
    }
    matches!(undone, Ok(()) | Err(diesel::result::Error::NotInTransaction))
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

/// A change waiting for the SQLite writer, with whoever waits for it.
struct WriteTask {
    change: Change,
    answer: Answer,
    outcome: Option<Result<()>>,
    here: Here,
}

fn submit(queue: &SyncSender<WriteTask>, change: Change, answer: Answer) -> Result<()> {
    let task = WriteTask { change, answer, outcome: None, here: Here::now() };
    match queue.try_send(task) {
        Ok(()) => Ok(()),
        Err(TrySendError::Full(_)) => Err(Error::Busy),
        Err(TrySendError::Disconnected(_)) => Err(Error::internal("the database writer has stopped")),
    }
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
        stop_if_the_disk_failed_meanwhile(&outcome);
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
    fn committed(self) {
        let outcome = self.outcome.unwrap_or_else(|| Err(Error::internal("a change was committed without running")));
        self.answer.send(outcome);
    }

    /// It did not happen.
    fn failed(self, error: Error) {
        self.answer.send(Err(match self.outcome {
            Some(Err(own)) => own,
            _ => error,
        }));
    }
}

fn start_sqlite_writer(
    url: &DatabaseUrl,
    changes: Arc<Changes>,
    idle: Duration,
) -> Result<SyncSender<WriteTask>, OpenError> {
    let db = open(url, Role::Writer)?;
    let (sender, receiver) = sync_channel(WRITE_QUEUE);
    let url = url.clone();
    std::thread::Builder::new()
        .name("database-writer".to_owned())
        .spawn(move || write_loop(&url, db, &receiver, &changes, idle))
        .map_err(|error| {
            OpenError::Connection(diesel::ConnectionError::BadConnection(format!("no thread for the writer: {error}")))
        })?;
    Ok(sender)
}

fn write_loop(url: &DatabaseUrl, mut db: DbConnection, queue: &Receiver<WriteTask>, changes: &Changes, idle: Duration) {
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
        let usable = if group.len() == 1 { run_alone(&mut db, group.remove(0)) } else { run_group(&mut db, group) };
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
        stop_if_the_disk_failed(&error);
        tracing::debug!(target: "accord::db", %error, "The write-ahead log could not be emptied now");
    }
}

/// Runs the tasks under one commit; when that fails, each again on its own. Gives whether the connection is usable.
fn run_group(db: &mut DbConnection, mut group: Vec<WriteTask>) -> bool {
    if let Err(error) = dialect::begin_writing(db) {
        // Somebody else holds the lock, and each of them would wait for it in vain once more (FT-09).
        group.into_iter().for_each(|task| task.failed(Error::from_ref(&error)));
        return is_usable_after(&error);
    }
    let sound = group.iter_mut().all(|task| task.run(db, false) == Soundness::Sound);
    if sound {
        match dialect::commit(db) {
            Ok(()) => {
                group.into_iter().for_each(WriteTask::committed);
                return true;
            }
            Err(error) => stop_if_the_disk_failed(&error),
        }
    }
    let mut usable = roll_back(db);
    for task in group {
        if usable {
            usable = run_alone(db, task);
        } else {
            task.failed(Error::Busy);
        }
    }
    usable
}

fn run_alone(db: &mut DbConnection, mut task: WriteTask) -> bool {
    if let Err(error) = dialect::begin_writing(db) {
        task.failed(Error::from_ref(&error));
        return is_usable_after(&error);
    }
    match task.run(db, true) {
        Soundness::Sound => match dialect::commit(db) {
            Ok(()) => {
                task.committed();
                true
            }
            Err(error) => {
                stop_if_the_disk_failed(&error);
                let usable = roll_back(db);
                task.failed(Error::from(error));
                usable
            }
        },
        Soundness::Undo | Soundness::Broken => {
            let usable = roll_back(db);
            task.failed(Error::Busy);
            usable
        }
        Soundness::Panicked => {
            task.failed(Error::internal("the change panicked"));
            false
        }
    }
}

/// Whether the connection can still be used on which a transaction could not begin.
fn is_usable_after(error: &diesel::result::Error) -> bool {
    stop_if_the_disk_failed(error);
    matches!(Error::from_ref(error), Error::Busy | Error::StorageFull)
}

impl Error {
    /// The kind of a database failure, without taking it.
    fn from_ref(error: &diesel::result::Error) -> Error {
        match error {
            diesel::result::Error::DatabaseError(_, information) => {
                let message = information.message();
                if message.contains("database or disk is full") {
                    Error::StorageFull
                } else if message.contains("database is locked") {
                    Error::Busy
                } else {
                    Error::internal(message)
                }
            }
            other => Error::internal(other.to_string()),
        }
    }
}

fn stop_if_the_disk_failed(error: &diesel::result::Error) {
    if dialect::is_input_output_failure(error) {
        stop_since_the_disk_failed(error);
    }
}

fn stop_if_the_disk_failed_meanwhile<T>(outcome: &Result<T>) {
    if let Err(Error::Internal(cause)) = outcome
        && let Some(error) = cause.downcast_ref::<diesel::result::Error>()
    {
        stop_if_the_disk_failed(error);
    }
}

/// After a failed read or write nobody knows what is on the disk; going on could acknowledge what is not there. What was
/// acknowledged is read again at the next start, by a process that knows nothing of what should be there (DB-08).
pub fn stop_since_the_disk_failed(error: &dyn std::fmt::Display) -> ! {
    tracing::error!(target: "accord::db", %error, "The disk failed; stopping at once");
    std::process::exit(EXIT_DISK_FAILED);
}

#[cfg(test)]
mod tests {
    use diesel::sql_types::BigInt;

    use super::*;

    #[derive(QueryableByName)]
    struct Count {
        #[diesel(sql_type = BigInt)]
        count: i64,
    }

    fn count(database: &Database) -> i64 {
        database
            .read_now(|db| Ok(diesel::sql_query("SELECT count(*) AS count FROM t").get_result::<Count>(db)?.count))
            .unwrap()
    }

    fn fresh() -> (tempfile::TempDir, Database) {
        let folder = tempfile::tempdir().unwrap();
        let url = DatabaseUrl::Sqlite(folder.path().join("a.sqlite"));
        open(&url, Role::Migrator).unwrap().batch_execute("CREATE TABLE t (id BIGINT UNIQUE)").unwrap();
        let database = Database::open(&url, 2).unwrap();
        (folder, database)
    }

    #[test]
    fn writes_from_many_threads_are_all_kept_and_failures_fail_alone() {
        let (_folder, database) = fresh();
        std::thread::scope(|scope| {
            for thread in 0..8_i64 {
                let database = database.clone();
                scope.spawn(move || {
                    for number in 0..50_i64 {
                        let id = thread * 50 + number;
                        let outcome = database.write_now(move |db| {
                            db.batch_execute(&format!("INSERT INTO t VALUES ({id})"))?;
                            if id % 10 == 0 { Err(Error::NotFound) } else { Ok(()) }
                        });
                        assert_eq!(outcome.is_err(), id % 10 == 0);
                    }
                });
            }
        });
        assert_eq!(count(&database), 360);
    }

    #[test]
    fn a_panicking_change_fails_and_the_next_one_works() {
        let (_folder, database) = fresh();
        assert!(database.write_now(|_| -> Result<()> { panic!("a fault of ours") }).is_err());
        database.write_now(|db| Ok(db.batch_execute("INSERT INTO t VALUES (1)")?)).unwrap();
        assert_eq!(count(&database), 1);
    }

    #[test]
    fn db_03_the_queue_of_the_writer_is_bounded_and_says_busy() {
        let (_folder, database) = fresh();
        let Writer::Sqlite(queue) = &database.writer else { panic!() };
        let (go, may_go) = sync_channel::<()>(0);
        let may_go = Mutex::new(may_go);
        let (answer, blocked) = sync_channel(1);
        let (told, begun) = sync_channel::<()>(1);
        let block = move |_: &mut DbConnection| -> Result<()> {
            told.send(()).unwrap();
            may_go.lock().unwrap().recv().unwrap();
            Ok(())
        };
        submit(queue, Box::new(block), Answer::Thread(answer)).unwrap();
        begun.recv().unwrap();
        let mut answers = Vec::new();
        for number in 0..WRITE_QUEUE {
            let (answer, receiver) = sync_channel(1);
            let insert = move |db: &mut DbConnection| -> Result<()> {
                Ok(db.batch_execute(&format!("INSERT INTO t VALUES ({number})"))?)
            };
            submit(queue, Box::new(insert), Answer::Thread(answer)).unwrap();
            answers.push(receiver);
        }
        assert!(matches!(database.write_now(|_| Ok(())), Err(Error::Busy)));
        go.send(()).unwrap();
        blocked.recv().unwrap().unwrap();
        answers.into_iter().for_each(|answer| answer.recv().unwrap().unwrap());
        assert_eq!(count(&database), WRITE_QUEUE as i64);
    }

    #[test]
    fn db_03_whoever_waits_goes_before_the_work_in_the_background_which_goes_on_meanwhile() {
        let (_folder, database) = fresh();
        let Writer::Sqlite(queue) = &database.writer else { panic!() };
        let (go, may_go) = sync_channel::<()>(0);
        let may_go = Mutex::new(may_go);
        let (told, begun) = sync_channel::<()>(1);
        let (answer, blocked) = sync_channel(1);
        let block = move |_: &mut DbConnection| -> Result<()> {
            told.send(()).unwrap();
            may_go.lock().unwrap().recv().unwrap();
            Ok(())
        };
        submit(queue, Box::new(block), Answer::Thread(answer)).unwrap();
        begun.recv().unwrap();
        let order = Arc::new(Mutex::new(Vec::new()));
        let note = |name: &'static str| -> Change {
            let order = order.clone();
            Box::new(move |_: &mut DbConnection| {
                order.lock().unwrap().push(name);
                Ok(())
            })
        };
        let mut works = Vec::new();
        let mut waits = Vec::new();
        for _ in 0..3 {
            let (answer, receiver) = sync_channel(1);
            submit(queue, note("work"), Answer::Thread(answer)).unwrap();
            works.push(receiver);
        }
        for _ in 0..2 {
            let (answer, receiver) = oneshot::channel();
            submit(queue, note("wait"), Answer::Task(answer)).unwrap();
            waits.push(receiver);
        }
        go.send(()).unwrap();
        blocked.recv().unwrap().unwrap();
        works.into_iter().for_each(|answer| answer.recv().unwrap().unwrap());
        waits.into_iter().for_each(|answer| answer.blocking_recv().unwrap().unwrap());
        assert_eq!(*order.lock().unwrap(), ["wait", "wait", "work", "work", "work"]);
        assert_eq!(BACKGROUND_MEANWHILE, 1, "work goes on, one change a commit");
    }

    #[test]
    fn db_04_a_change_has_the_write_lock_from_its_beginning() {
        let (_folder, database) = fresh();
        let url = database.url().clone();
        let refused = database.write_now(move |_| {
            let mut other = open(&url, Role::Writer).unwrap();
            other.batch_execute("PRAGMA busy_timeout = 0")?;
            Ok(dialect::begin_writing(&mut other).is_err())
        });
        assert!(refused.unwrap(), "somebody else could begin to write");
        // A read that turns into a write meets no lock of its own making: it waits its turn from the start.
        let mut other = open(database.url(), Role::Writer).unwrap();
        dialect::begin_writing(&mut other).unwrap();
        other.batch_execute("INSERT INTO t VALUES (1)").unwrap();
        let (waiting, waits) = sync_channel::<()>(1);
        let writing = database.clone();
        let writer = std::thread::spawn(move || {
            waiting.send(()).unwrap();
            writing.write_now(|db| {
                let seen = diesel::sql_query("SELECT count(*) AS count FROM t").get_result::<Count>(db)?.count;
                db.batch_execute("INSERT INTO t VALUES (2)")?;
                Ok(seen)
            })
        });
        waits.recv().unwrap();
        dialect::commit(&mut other).unwrap();
        assert_eq!(writer.join().unwrap().unwrap(), 1);
    }

    #[test]
    fn ft_09_while_somebody_else_has_the_lock_changes_are_busy_and_afterwards_all_is_well() {
        let (_folder, database) = fresh();
        database.write_now(|db| Ok(db.batch_execute("PRAGMA busy_timeout = 20")?)).unwrap();
        let mut other = open(database.url(), Role::Writer).unwrap();
        dialect::begin_writing(&mut other).unwrap();
        let insert = |db: &mut DbConnection| -> Result<()> {
            Ok(db.batch_execute("INSERT INTO t SELECT coalesce(max(id), 0) + 1 FROM t")?)
        };
        std::thread::scope(|scope| {
            for _ in 0..20 {
                let database = &database;
                scope.spawn(move || assert!(matches!(database.write_now(insert), Err(Error::Busy))));
            }
        });
        assert_eq!(count(&database), 0, "reads go on");
        dialect::roll_back(&mut other).unwrap();
        database.write_now(insert).unwrap();
        assert_eq!(count(&database), 1);
    }

    #[test]
    fn db_05_db_06_a_transaction_that_takes_too_long_is_told() {
        assert!(said_while(|| warn_of_length("change", LONGEST_CHANGE, LONGEST_CHANGE)).is_empty());
        let said = said_while(|| warn_of_length("change", Duration::from_millis(251), LONGEST_CHANGE));
        assert!(
            said.contains("WARN") && said.contains("A transaction took too long") && said.contains("251"),
            "{said}"
        );
        let (_folder, database) = fresh();
        let said = said_while(|| database.read_now(|_| Ok(())).unwrap());
        assert!(said.is_empty(), "{said}");
    }

    #[test]
    fn db_06_the_log_is_given_back_once_nobody_writes() {
        let folder = tempfile::tempdir().unwrap();
        let url = DatabaseUrl::Sqlite(folder.path().join("a.sqlite"));
        open(&url, Role::Migrator).unwrap().batch_execute("CREATE TABLE t (id BIGINT UNIQUE)").unwrap();
        let database = Database::open_with(&url, 2, Duration::from_millis(30)).unwrap();
        for number in 0..20 {
            let insert = move |db: &mut DbConnection| -> Result<()> {
                Ok(db.batch_execute(&format!("INSERT INTO t VALUES ({number})"))?)
            };
            database.write_now(insert).unwrap();
        }
        let mut seen = 0;
        for _ in 0..100 {
            if database.log_bytes() == Some(0) {
                break;
            }
            seen = database.changes().wait(seen, Duration::from_secs(5));
        }
        assert_eq!(database.log_bytes(), Some(0));
        assert_eq!(count(&database), 20);
    }

    #[test]
    fn ft_04_a_change_for_which_there_is_no_room_fails_alone_and_nothing_is_done_twice() {
        let (_folder, database) = fresh();
        database
            .write_now(|db| {
                db.batch_execute("CREATE TABLE large (content BLOB)")?;
                Ok(db.batch_execute("PRAGMA max_page_count = 1")?)
            })
            .unwrap();
        let Writer::Sqlite(queue) = &database.writer else { panic!() };
        // All of them wait for the same commit, those that need room and those that need none.
        let (go, may_go) = sync_channel::<()>(0);
        let may_go = Mutex::new(may_go);
        let (told, begun) = sync_channel::<()>(1);
        let (answer, blocked) = sync_channel(1);
        let block = move |_: &mut DbConnection| -> Result<()> {
            told.send(()).unwrap();
            may_go.lock().unwrap().recv().unwrap();
            Ok(())
        };
        submit(queue, Box::new(block), Answer::Thread(answer)).unwrap();
        begun.recv().unwrap();
        let mut answers = Vec::new();
        for number in 0..40_i64 {
            let (answer, receiver) = sync_channel(1);
            let change = move |db: &mut DbConnection| -> Result<()> {
                if number % 4 == 1 {
                    Ok(db.batch_execute("INSERT INTO large VALUES (zeroblob(100000)), (zeroblob(100000))")?)
                } else {
                    // A row more each time, so that doing it twice shows.
                    let next = "INSERT INTO t SELECT coalesce(max(id), 0) + 1 FROM t";
                    Ok(db.batch_execute(next)?)
                }
            };
            submit(queue, Box::new(change), Answer::Thread(answer)).unwrap();
            answers.push((number, receiver));
        }
        go.send(()).unwrap();
        blocked.recv().unwrap().unwrap();
        for (number, answer) in answers {
            let outcome = answer.recv().unwrap();
            if number % 4 == 1 {
                assert!(matches!(outcome, Err(Error::StorageFull)), "{number}: {outcome:?}");
            } else {
                outcome.unwrap();
            }
        }
        assert_eq!(count(&database), 30);
        database.write_now(|db| Ok(db.batch_execute("PRAGMA max_page_count = 1000000")?)).unwrap();
        database.write_now(|db| Ok(db.batch_execute("INSERT INTO large VALUES (zeroblob(100000))")?)).unwrap();
    }

    /// What is logged meanwhile, on this thread.
    fn said_while(act: impl FnOnce()) -> String {
        #[derive(Clone, Default)]
        struct Heard(Arc<Mutex<Vec<u8>>>);
        impl std::io::Write for Heard {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                self.0.lock().unwrap().extend_from_slice(bytes);
                Ok(bytes.len())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let heard = Heard::default();
        let writer = heard.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || writer.clone())
            .with_ansi(false)
            .with_max_level(tracing::Level::WARN)
            .finish();
        tracing::subscriber::with_default(subscriber, act);
        let bytes = heard.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_reader_s_transaction_cannot_write() {
        let (_folder, database) = fresh();
        assert!(database.read_now(|db| Ok(db.batch_execute("INSERT INTO t VALUES (1)")?)).is_err());
        assert_eq!(count(&database), 0);
    }
}
