//! One connection type for both databases, how connections are opened by URL scheme, and the SQLite profile that each
//! of them must have (DB-01, DB-02).

use std::ops::{Deref, DerefMut};
use std::sync::Once;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use diesel::{MultiConnection, PgConnection, SqliteConnection};

use crate::config::database::DatabaseUrl;
use crate::db::instrumentation;

/// A connection to either database. Queries are written once, against this type.
#[derive(MultiConnection)]
pub enum DbConnection {
    Postgres(PgConnection),
    Sqlite(SqliteConnection),
}

/// What a connection is for; on SQLite each has its own settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The one writer of a SQLite file, or any connection that may write to PostgreSQL.
    Writer,
    /// Reads, and can do nothing else.
    Reader,
    /// Runs migrations: foreign keys are off from the start, since the pragma is ignored inside a transaction.
    Migrator,
}

/// The lowest SQLite in which the write-ahead log cannot be reset under a reader (DB-01).
const LOWEST_SQLITE: (i64, &str) = (3_051_003, "3.51.3");

/// How long a connection waits for a lock (DB-02).
pub(super) const BUSY_MILLISECONDS: i64 = 5_000;
/// What of the write-ahead log's space is kept when it was emptied (DB-02).
const LOG_KEPT_BYTES: i64 = 64 << 20;
/// After so many pages in the write-ahead log a commit moves them into the database (DB-02).
const PAGES_BETWEEN_CHECKPOINTS: i64 = 1_000;

/// Why a connection could not be had.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("the database cannot be opened: {0}")]
    Connection(#[from] diesel::ConnectionError),
    #[error("the database refused its settings: {0}")]
    Query(#[from] diesel::result::Error),
    #[error("the database setting {name} is {found}, and must be {wanted}")]
    Setting { name: &'static str, found: String, wanted: String },
    #[error("SQLite {found} is compiled in; at least {wanted} is needed")]
    OldSqlite { found: String, wanted: &'static str },
}

/// Opens one connection and gives it the settings of its role.
pub fn open(url: &DatabaseUrl, role: Role) -> Result<DbConnection, OpenError> {
    // Once in a process is enough, for it holds for every connection that follows.
    static WATCHED: Once = Once::new();
    WATCHED.call_once(instrumentation::install);
    match url {
        DatabaseUrl::Sqlite(path) => {
            let path = path.to_string_lossy();
            let mut sqlite = SqliteConnection::establish(&path)?;
            apply_sqlite_profile(&mut sqlite, role)?;
            Ok(DbConnection::Sqlite(sqlite))
        }
        DatabaseUrl::Postgres(url) => {
            let mut postgres = PgConnection::establish(url)?;
            let read_only = if role == Role::Reader { "on" } else { "off" };
            postgres.batch_execute(&format!(
                "SET TIME ZONE 'UTC'; SET synchronous_commit = on; SET client_min_messages = warning; \
                 SET default_transaction_read_only = {read_only}"
            ))?;
            Ok(DbConnection::Postgres(postgres))
        }
    }
}

fn apply_sqlite_profile(sqlite: &mut SqliteConnection, role: Role) -> Result<(), OpenError> {
    // First, because even switching the journal mode can meet a lock.
    sqlite.batch_execute(&format!("PRAGMA busy_timeout = {BUSY_MILLISECONDS}"))?;
    require_version(text(sqlite, "SELECT sqlite_version() AS value")?)?;
    if role == Role::Migrator {
        // Takes effect only while the file is still empty, before the journal mode is set.
        sqlite.batch_execute("PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL")?;
    }
    let foreign_keys = i64::from(role != Role::Migrator);
    let numbers: &[(&'static str, i64)] = &[
        ("foreign_keys", foreign_keys),
        ("trusted_schema", 0),
        ("cell_size_check", 1),
        ("mmap_size", 0),
        ("temp_store", 2),
        ("synchronous", 2),
        ("secure_delete", 1),
        ("cache_size", if role == Role::Reader { -2_000 } else { -16_000 }),
        ("query_only", i64::from(role == Role::Reader)),
    ];
    for (name, value) in numbers {
        sqlite.batch_execute(&format!("PRAGMA {name} = {value}"))?;
    }
    sqlite.batch_execute(&format!(
        "PRAGMA journal_size_limit = {LOG_KEPT_BYTES}; PRAGMA wal_autocheckpoint = {PAGES_BETWEEN_CHECKPOINTS}"
    ))?;
    for (name, value) in numbers {
        // With mmap compiled out the pragma answers nothing, which is as good as zero.
        require(name, pragma(sqlite, name)?.unwrap_or(0), *value)?;
    }
    require("journal_size_limit", pragma(sqlite, "journal_size_limit")?.unwrap_or(0), LOG_KEPT_BYTES)?;
    // These two tell what they stand at in ways of their own.
    let checkpoint: Checkpoint = diesel::sql_query("PRAGMA wal_autocheckpoint").get_result(sqlite)?;
    require("wal_autocheckpoint", checkpoint.wal_autocheckpoint, PAGES_BETWEEN_CHECKPOINTS)?;
    let patience = "SELECT timeout AS value FROM pragma_busy_timeout";
    require("busy_timeout", diesel::sql_query(patience).get_result::<NumberRow>(sqlite)?.value, BUSY_MILLISECONDS)?;
    let mode = text(sqlite, "SELECT journal_mode AS value FROM pragma_journal_mode")?;
    if mode != "wal" {
        return Err(OpenError::Setting { name: "journal_mode", found: mode, wanted: "wal".to_owned() });
    }
    Ok(())
}

#[derive(QueryableByName)]
struct NumberRow {
    #[diesel(sql_type = BigInt)]
    value: i64,
}

#[derive(QueryableByName)]
struct Checkpoint {
    #[diesel(sql_type = BigInt)]
    wal_autocheckpoint: i64,
}

#[derive(QueryableByName)]
struct TextRow {
    #[diesel(sql_type = Text)]
    value: String,
}

fn require(name: &'static str, found: i64, wanted: i64) -> Result<(), OpenError> {
    if found == wanted {
        return Ok(());
    }
    Err(OpenError::Setting { name, found: found.to_string(), wanted: wanted.to_string() })
}

/// What a pragma stands at; none when it was left out of this SQLite, as `mmap_size` can be.
fn pragma(sqlite: &mut SqliteConnection, name: &str) -> QueryResult<Option<i64>> {
    let query = format!("SELECT CAST({name} AS INTEGER) AS value FROM pragma_{name}");
    match diesel::sql_query(query).get_result::<NumberRow>(sqlite).optional() {
        Err(diesel::result::Error::DatabaseError(_, information))
            if information.message().contains("no such table") =>
        {
            Ok(None)
        }
        row => row.map(|row| row.map(|row| row.value)),
    }
}

fn text(sqlite: &mut SqliteConnection, query: &str) -> QueryResult<String> {
    diesel::sql_query(query).get_result::<TextRow>(sqlite).map(|row| row.value)
}

fn require_version(found: String) -> Result<(), OpenError> {
    if version_number(&found) < LOWEST_SQLITE.0 {
        return Err(OpenError::OldSqlite { found, wanted: LOWEST_SQLITE.1 });
    }
    Ok(())
}

fn version_number(version: &str) -> i64 {
    version.split('.').map(|part| part.parse::<i64>().unwrap_or(0)).fold(0, |sum, part| sum * 1_000 + part)
}

/// Keeps connections of one role in an r2d2 pool.
pub struct Manager {
    pub url: DatabaseUrl,
    pub role: Role,
}

impl r2d2::ManageConnection for Manager {
    type Connection = PooledDb;
    type Error = OpenError;

    fn connect(&self) -> Result<PooledDb, OpenError> {
        open(&self.url, self.role).map(PooledDb)
    }

    fn is_valid(&self, db: &mut PooledDb) -> Result<(), OpenError> {
        db.batch_execute("SELECT 1").map_err(OpenError::from)
    }

    fn has_broken(&self, db: &mut PooledDb) -> bool {
        // A panic inside a transaction leaves the connection in it.
        std::thread::panicking() || db.is_broken()
    }
}

/// A pooled connection; r2d2 wants a type of ours to hang the manager on.
pub struct PooledDb(DbConnection);

impl PooledDb {
    fn is_broken(&mut self) -> bool {
        use diesel::r2d2::R2D2Connection;
        match &mut self.0 {
            DbConnection::Postgres(postgres) => postgres.is_broken(),
            DbConnection::Sqlite(sqlite) => sqlite.is_broken(),
        }
    }
}

impl Deref for PooledDb {
    type Target = DbConnection;

    fn deref(&self) -> &DbConnection {
        &self.0
    }
}

impl DerefMut for PooledDb {
    fn deref_mut(&mut self) -> &mut DbConnection {
        &mut self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn db_01_a_sqlite_whose_log_can_be_reset_under_a_reader_is_refused() {
        for old in ["3.7.0", "3.45.1", "3.51.2", "nonsense"] {
            let refused = require_version(old.to_owned()).unwrap_err().to_string();
            assert!(refused.contains(old) && refused.contains("3.51.3"), "{refused}");
        }
        for new in ["3.51.3", "3.53.2", "4.0.0"] {
            require_version(new.to_owned()).unwrap();
        }
        let mut compiled_in = SqliteConnection::establish(":memory:").unwrap();
        require_version(text(&mut compiled_in, "SELECT sqlite_version() AS value").unwrap()).unwrap();
    }

    #[test]
    fn sqlite_is_compiled_so_that_a_prepared_statement_keeps_its_plan() {
        let folder = tempfile::tempdir().unwrap();
        let url = DatabaseUrl::Sqlite(folder.path().join("a.sqlite"));
        let DbConnection::Sqlite(mut sqlite) = open(&url, Role::Migrator).unwrap() else { panic!() };
        let mut compiled_with = |option: &str| {
            let query = format!("SELECT CAST(sqlite_compileoption_used('{option}') AS TEXT) AS value");
            text(&mut sqlite, &query).unwrap() == "1"
        };
        assert!(compiled_with("ENABLE_QPSG"), "see .cargo/config.toml");
        assert!(!compiled_with("ENABLE_MEMORY_MANAGEMENT"));
        assert!(!compiled_with("ENABLE_STAT4"));
    }

    #[test]
    fn db_02_a_setting_that_is_not_in_force_is_named() {
        assert!(require("busy_timeout", 5_000, 5_000).is_ok());
        let refused = require("busy_timeout", 0, 5_000).unwrap_err().to_string();
        assert_eq!(refused, "the database setting busy_timeout is 0, and must be 5000");
    }

    #[test]
    fn db_02_a_reader_cannot_write_and_the_writer_is_durable() {
        let folder = tempfile::tempdir().unwrap();
        let url = DatabaseUrl::Sqlite(folder.path().join("a.sqlite"));
        open(&url, Role::Migrator).unwrap().batch_execute("CREATE TABLE t (id INTEGER)").unwrap();
        let DbConnection::Sqlite(mut writer) = open(&url, Role::Writer).unwrap() else { panic!() };
        assert_eq!(pragma(&mut writer, "synchronous").unwrap(), Some(2));
        assert_eq!(pragma(&mut writer, "auto_vacuum").unwrap(), Some(2));
        assert_eq!(pragma(&mut writer, "journal_size_limit").unwrap(), Some(67_108_864));
        let checkpoint: Checkpoint = diesel::sql_query("PRAGMA wal_autocheckpoint").get_result(&mut writer).unwrap();
        assert_eq!(checkpoint.wal_autocheckpoint, 1_000);
        writer.batch_execute("INSERT INTO t VALUES (1)").unwrap();
        let mut reader = open(&url, Role::Reader).unwrap();
        assert!(reader.batch_execute("INSERT INTO t VALUES (2)").is_err());
    }
}
