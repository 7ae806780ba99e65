//! The only seam between async code and the database: [`Database::read`] and [`Database::write`] leave the caller's
//! task for a thread that may block, and take along its tracing span and the organisation that it serves.
//!
//! How changes reach a SQLite file is told in `sqlite_writer`; on PostgreSQL each has a connection of its own.
//!
//! What differs from query to query is put into a box at the door; everything behind it is compiled once and not again
//! for each of some hundred callers, which made a fifth of the whole program's code.

mod sqlite_writer;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, oneshot, watch};

use crate::carry;
use crate::config::database::DatabaseUrl;
use crate::db::connection::{Manager, OpenError, PooledDb, Role, open};
use crate::db::{Ballast, DbConnection, dialect, disk};
use crate::error::{Error, Result};
use sqlite_writer::SqliteWriter;

/// How long a read or write waits for a connection before it gives up with [`Error::Busy`] (DB-03).
const POOL_WAIT: Duration = Duration::from_secs(5);
/// A read that lasts longer keeps the write-ahead log from being emptied (DB-06).
const LONGEST_READ: Duration = Duration::from_secs(1);
/// A change that takes longer keeps every other writer waiting (DB-05).
const LONGEST_CHANGE: Duration = Duration::from_millis(250);
/// A write-ahead log of this size means that something holds on to an old state (DB-06).
pub const LOG_ALARM_BYTES: u64 = 64 << 20;
/// And of this size, that the disk will fill (DB-06).
pub const LOG_CRITICAL_BYTES: u64 = 256 << 20;
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
    repeats: Arc<AtomicU64>,
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
    Sqlite(SqliteWriter),
    Postgres(r2d2::Pool<Manager>),
}

impl Database {
    /// Opens pools of up to `connections` readers (and, on PostgreSQL, as many writers).
    pub fn open(url: &DatabaseUrl, connections: u32) -> Result<Database, OpenError> {
        Database::open_with(url, connections, sqlite_writer::IDLE)
    }

    fn open_with(url: &DatabaseUrl, connections: u32, idle: Duration) -> Result<Database, OpenError> {
        let readers = pool(url, Role::Reader, connections)?;
        let changes = Arc::new(Changes::default());
        let writer = match url {
            DatabaseUrl::Sqlite(path) => {
                let ballast = Ballast::beside(path.parent().unwrap_or(Path::new(".")));
                Writer::Sqlite(SqliteWriter::start(url, ballast, changes.clone(), idle)?)
            }
            DatabaseUrl::Postgres(_) => Writer::Postgres(pool(url, Role::Writer, connections)?),
        };
        let turns = Arc::new(Semaphore::new(connections.max(1) as usize));
        Ok(Database { readers, writer, turns, url: Arc::new(url.clone()), changes, repeats: Arc::default() })
    }

    /// The signal given after each commit of this process.
    pub fn changes(&self) -> &Changes {
        &self.changes
    }

    /// How many transactions of this process PostgreSQL refused because of others, each run once more: for a deadlock that
    /// costs a second. There are none while everybody takes locks in one order.
    pub fn repeats(&self) -> u64 {
        self.repeats.load(Ordering::Relaxed)
    }

    /// Where this database is.
    pub fn url(&self) -> &DatabaseUrl {
        &self.url
    }

    /// What is kept for a full disk beside an embedded database.
    pub fn ballast(&self) -> Option<&Ballast> {
        match &self.writer {
            Writer::Sqlite(writer) => Some(writer.ballast()),
            Writer::Postgres(_) => None,
        }
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
            Writer::Sqlite(writer) => writer.write(change)?.await.map_err(|_| Error::Busy)?,
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
            Writer::Sqlite(writer) => writer.write_now(change),
            Writer::Postgres(pool) => {
                let mut db: r2d2::PooledConnection<Manager> = pool.get().map_err(|_| Error::Busy)?;
                let mut outcome = write_transaction(&mut db, &change);
                for _ in 1..REPEATS {
                    match &outcome {
                        Err(error) if dialect::is_worth_repeating(error) => {
                            self.repeats.fetch_add(1, Ordering::Relaxed);
                            tracing::debug!(target: "accord::db", ?error, "A transaction is run once more");
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
        disk::stop_if_it_failed_meanwhile(&outcome);
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

#[cfg(test)]
mod tests;
