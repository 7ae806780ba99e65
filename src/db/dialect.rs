//! The few statements that Diesel cannot write once for both databases: beginning a transaction, upserts, and telling
//! what kind of failure a message means. With opening, migrating and `one_text`, the only `match` on backends outside
//! `search`.

use diesel::connection::{AnsiTransactionManager, SimpleConnection, TransactionManager, TransactionManagerStatus};
use diesel::prelude::*;

use crate::db::DbConnection;
use crate::db::connection::BUSY_MILLISECONDS;
use crate::db::schema::consent_grants;
use crate::db::types::GrantId;
use crate::error::Error;

/// Runs one statement on whichever database this is, for what `MultiConnection` does not carry (`ON CONFLICT`).
macro_rules! on_each_backend {
    ($db:expr, $connection:ident => $run:expr) => {
        match $db {
            $crate::db::DbConnection::Postgres($connection) => $run,
            $crate::db::DbConnection::Sqlite($connection) => $run,
        }
    };
}
pub(crate) use on_each_backend;

/// Begins a transaction that will write. SQLite takes its write lock at once: upgrading later fails without waiting.
pub fn begin_writing(db: &mut DbConnection) -> QueryResult<()> {
    match db {
        DbConnection::Sqlite(sqlite) => AnsiTransactionManager::begin_transaction_sql(sqlite, "BEGIN IMMEDIATE"),
        DbConnection::Postgres(postgres) => AnsiTransactionManager::begin_transaction_sql(postgres, "BEGIN"),
    }
}

/// Begins a transaction in which every query sees the same moment.
pub fn begin_reading(db: &mut DbConnection) -> QueryResult<()> {
    match db {
        DbConnection::Sqlite(sqlite) => AnsiTransactionManager::begin_transaction_sql(sqlite, "BEGIN"),
        DbConnection::Postgres(postgres) => {
            AnsiTransactionManager::begin_transaction_sql(postgres, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        }
    }
}

/// Ends the transaction begun here, keeping what it did.
pub fn commit(db: &mut DbConnection) -> QueryResult<()> {
    on_each_backend!(db, db => AnsiTransactionManager::commit_transaction(db))
}

/// Ends the transaction begun here, undoing what it did. SQLite may have done so by itself (when the disk is full); then
/// the connection is told, which would take itself for broken otherwise.
pub fn roll_back(db: &mut DbConnection) -> QueryResult<()> {
    match on_each_backend!(db, db => AnsiTransactionManager::rollback_transaction(db)) {
        Err(diesel::result::Error::DatabaseError(_, information))
            if information.message().contains("no transaction is active") =>
        {
            on_each_backend!(db, db => {
                *AnsiTransactionManager::transaction_manager_status_mut(db) = TransactionManagerStatus::default();
            });
            Ok(())
        }
        rolled_back => rolled_back,
    }
}

/// Whether the whole transaction may be run again: PostgreSQL's serialization failure (40001) and deadlock (40P01).
pub fn is_worth_repeating(error: &Error) -> bool {
    let Error::Internal(cause) = error else { return false };
    match cause.downcast_ref::<diesel::result::Error>() {
        Some(diesel::result::Error::DatabaseError(kind, information)) => {
            matches!(kind, diesel::result::DatabaseErrorKind::SerializationFailure)
                || information.message().contains("deadlock detected")
        }
        _ => false,
    }
}

/// Whether the database says that a rule of uniqueness would be broken.
pub fn is_unique_violation(error: &diesel::result::Error) -> bool {
    matches!(error, diesel::result::Error::DatabaseError(diesel::result::DatabaseErrorKind::UniqueViolation, _))
}

/// Whether the operating system failed to read or write; what is on the disk is then not known (DB-08).
pub fn is_input_output_failure(error: &diesel::result::Error) -> bool {
    if let diesel::result::Error::RollbackErrorOnCommit { commit_error, .. } = error {
        return is_input_output_failure(commit_error);
    }
    matches!(error, diesel::result::Error::DatabaseError(_, information)
        if information.message().contains("disk I/O error"))
}

impl From<diesel::result::Error> for Error {
    fn from(error: diesel::result::Error) -> Self {
        // What made the commit fail says more than that there was nothing left to undo then.
        if let diesel::result::Error::RollbackErrorOnCommit { commit_error, .. } = error {
            return Error::from(*commit_error);
        }
        if let diesel::result::Error::DatabaseError(_, information) = &error
            && let Some(kind) = kind_of_message(information.message())
        {
            return kind;
        }
        Error::Internal(anyhow::Error::new(error))
    }
}

/// The kind of a failure, for each of several who want to know it.
pub fn failure(error: &diesel::result::Error) -> Error {
    match error {
        diesel::result::Error::DatabaseError(_, information) => {
            let message = information.message();
            kind_of_message(message).unwrap_or_else(|| Error::internal(message))
        }
        other => Error::internal(other.to_string()),
    }
}

/// The failures that both databases tell by nothing but their words.
fn kind_of_message(message: &str) -> Option<Error> {
    if message.contains("database or disk is full") || message.contains("No space left on device") {
        Some(Error::StorageFull)
    } else if message.contains("database is locked") {
        Some(Error::Busy)
    } else {
        None
    }
}

/// Makes appenders to the ledger wait for each other until their transactions end; it is the last lock of a transaction
/// (see `consent`). SQLite has one writer anyway.
pub fn lock_ledger(db: &mut DbConnection) -> QueryResult<()> {
    match db {
        DbConnection::Sqlite(_) => Ok(()),
        DbConnection::Postgres(postgres) => {
            // The number is Accord's own and means the ledger.
            diesel::sql_query("SELECT pg_advisory_xact_lock(1094927207)").execute(postgres).map(drop)
        }
    }
}

/// Whether the grant is active, and stays so until this transaction ends: whoever ends it waits. Those who add to the
/// same grant's capture wait for each other, in one line with whoever ends it: with a lock that they shared, one of them
/// would always hold it, and a withdrawal would wait for as long as anything is sent. SQLite has one writer anyway.
pub fn hold_active_grant(db: &mut DbConnection, grant: GrantId) -> QueryResult<bool> {
    let active =
        consent_grants::table.find(grant).filter(consent_grants::state.eq("active")).select(consent_grants::id);
    match db {
        DbConnection::Sqlite(sqlite) => active.first::<GrantId>(sqlite).optional().map(|grant| grant.is_some()),
        DbConnection::Postgres(postgres) => {
            active.for_no_key_update().first::<GrantId>(postgres).optional().map(|grant| grant.is_some())
        }
    }
}

/// Keeps the grant as it is until this transaction ends, whatever its state: whoever ends it, reads what it captured or
/// destroys that stands in one line. SQLite has one writer anyway.
pub fn hold_grant(db: &mut DbConnection, grant: GrantId) -> QueryResult<()> {
    let held = consent_grants::table.find(grant).select(consent_grants::id);
    match db {
        DbConnection::Sqlite(_) => Ok(()),
        DbConnection::Postgres(postgres) => held.for_no_key_update().first::<GrantId>(postgres).optional().map(drop),
    }
}

/// The channel on which processes that share a PostgreSQL tell each other that a grant began or ended.
pub const GRANTS_CHANGED: &str = "accord_grants_changed";

/// Tells the other processes, once this transaction is committed, that a grant began or ended. There is no other with
/// SQLite.
pub fn tell_of_grants(db: &mut DbConnection) -> QueryResult<()> {
    match db {
        DbConnection::Sqlite(_) => Ok(()),
        DbConnection::Postgres(postgres) => {
            diesel::sql_query(format!("NOTIFY {GRANTS_CHANGED}")).execute(postgres).map(drop)
        }
    }
}

/// Whether a connection that listens has heard anything since it was last asked.
pub fn heard(db: &mut DbConnection) -> QueryResult<bool> {
    match db {
        DbConnection::Sqlite(_) => Ok(false),
        DbConnection::Postgres(postgres) => {
            let mut heard = false;
            for notice in postgres.notifications_iter() {
                notice?;
                heard = true;
            }
            Ok(heard)
        }
    }
}

/// Makes sure that what was deleted of captures is not in the database's files any more, as far as the database can. Says
/// whether it could; a reader in the way is a reason to try again. Not to be called within a transaction.
///
/// On SQLite, which overwrites what it deletes, by emptying the write-ahead log. On PostgreSQL the few keys are written
/// anew into another file, and the old one is gone: nothing of a key that was deleted is left there, and without its key
/// a sealed chunk is noise. The chunks are written anew too while there are few of them; of many, the room is given back
/// or used again, and the noise in it may stand until then. PostgreSQL's own write-ahead log is not ours to empty.
pub fn scrub(db: &mut DbConnection) -> QueryResult<bool> {
    #[derive(QueryableByName)]
    struct Checkpoint {
        #[diesel(sql_type = diesel::sql_types::Integer)]
        busy: i32,
    }
    match db {
        DbConnection::Sqlite(sqlite) => {
            // Whoever wants to write waits for this too, so not for long.
            sqlite.batch_execute(&format!("PRAGMA busy_timeout = {SCRUB_MILLISECONDS}"))?;
            let checkpoint: QueryResult<Checkpoint> =
                diesel::sql_query("PRAGMA wal_checkpoint(TRUNCATE)").get_result(sqlite);
            sqlite.batch_execute(&format!("PRAGMA busy_timeout = {BUSY_MILLISECONDS}"))?;
            Ok(checkpoint?.busy == 0)
        }
        DbConnection::Postgres(postgres) => {
            let are_keys_gone = write_anew(postgres, "trace_keys", "wrapping_key_id")?;
            diesel::sql_query("VACUUM trace_chunks").execute(postgres)?;
            let size = diesel::dsl::sql::<diesel::sql_types::BigInt>("SELECT pg_total_relation_size('trace_chunks')");
            let are_few = size.get_result::<i64>(postgres)? <= CHUNKS_WRITTEN_ANEW;
            Ok(are_keys_gone && (!are_few || write_anew(postgres, "trace_chunks", "channel")?))
        }
    }
}

/// For how long others are kept waiting while SQLite's readers are waited for.
const SCRUB_MILLISECONDS: i64 = 250;
/// Chunks of no more than so many bytes are written anew when some of them are destroyed. That takes six milliseconds a
/// MiB or so, in which nothing is captured or read: so long as others may wait and notice nothing.
const CHUNKS_WRITTEN_ANEW: i64 = 8 << 20;

/// Writes a table anew, with the rows there are now, into another file; says whether it could, or somebody was in the way.
///
/// Changing a column, here one of text into the same, does that; VACUUM would keep rows that somebody's snapshot, even of a
/// session that only just begins, might still see. It needs the table to itself for a moment. Who waits for that keeps
/// others waiting, so not for long.
fn write_anew(postgres: &mut PgConnection, table: &str, column: &str) -> QueryResult<bool> {
    diesel::sql_query("SET lock_timeout = '100ms'").execute(postgres)?;
    let anew = format!("ALTER TABLE {table} ALTER COLUMN {column} TYPE TEXT USING {column} || ''");
    let written = diesel::sql_query(anew).execute(postgres);
    diesel::sql_query("RESET lock_timeout").execute(postgres)?;
    match written {
        Ok(_) => Ok(true),
        // Told in the server's language only: somebody was in the way. Whatever else it was comes back.
        Err(diesel::result::Error::DatabaseError(diesel::result::DatabaseErrorKind::Unknown, information)) => {
            tracing::warn!(target: "accord::db", error = information.message(), "A table could not be written anew");
            Ok(false)
        }
        Err(error) => Err(error),
    }
}
