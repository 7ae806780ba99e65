//! The schema's history, compiled in: one set per database, forward only, each migration one transaction.

use diesel::connection::SimpleConnection;
use diesel::migration::{Migration, MigrationSource};
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use crate::db::DbConnection;

const SQLITE: EmbeddedMigrations = embed_migrations!("migrations/sqlite");
const POSTGRES: EmbeddedMigrations = embed_migrations!("migrations/postgres");

/// By this number `file` and other tools tell an Accord database: `ACCf` as a number.
const APPLICATION: i64 = 1_094_927_206;

/// What the header of a SQLite file says of it.
#[derive(Debug, PartialEq, Eq, QueryableByName)]
struct Signature {
    #[diesel(sql_type = BigInt)]
    application_id: i64,
    #[diesel(sql_type = BigInt)]
    user_version: i64,
}

/// Why the schema could not be brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    #[error("the database is newer than this program: it has {0}; install the newer program again")]
    Newer(String),
    #[error(
        "the database file belongs to another program (its application id is {0}); set database.url to a file of ours"
    )]
    Foreign(i64),
    #[error("migration failed: {0}")]
    Failed(String),
}

impl MigrationError {
    /// Whether it is the wrong file for this program, so that trying again does not help.
    pub fn is_lasting(&self) -> bool {
        matches!(self, MigrationError::Newer(_) | MigrationError::Foreign(_))
    }
}

/// What there is to do, by name, oldest first.
pub fn pending(db: &mut DbConnection) -> Result<Vec<String>, MigrationError> {
    let known = known_versions(db)?;
    let applied = applied_versions(db)?;
    if let Some(newer) = applied.iter().find(|version| !known.contains(version)) {
        return Err(MigrationError::Newer(newer.clone()));
    }
    Ok(known.into_iter().filter(|version| !applied.contains(version)).collect())
}

/// Brings the schema up to date and gives the names of what was run.
pub fn run(db: &mut DbConnection) -> Result<Vec<String>, MigrationError> {
    let known = i64::try_from(known_versions(db)?.len()).unwrap_or(i64::MAX);
    if let DbConnection::Sqlite(sqlite) = db {
        require_ours(sqlite)?;
    }
    let todo = pending(db)?;
    match db {
        DbConnection::Sqlite(sqlite) => {
            sqlite.run_pending_migrations(SQLITE).map_err(failed)?;
            let broken = sqlite
                .batch_execute(
                    "CREATE TEMP TABLE accord_migration_check (broken INTEGER CHECK (broken = 0)); \
                     INSERT INTO accord_migration_check SELECT count(*) FROM pragma_foreign_key_check; \
                     DROP TABLE accord_migration_check",
                )
                .err();
            if let Some(error) = broken {
                return Err(MigrationError::Failed(format!("references are broken: {error}")));
            }
            sign(sqlite, known)?;
        }
        DbConnection::Postgres(postgres) => {
            // Several processes may start at once; the lock is the session's and number is Accord's own.
            postgres.batch_execute("SELECT pg_advisory_lock(1094927206)").map_err(failed)?;
            let result = postgres.run_pending_migrations(POSTGRES).map(drop).map_err(failed);
            postgres.batch_execute("SELECT pg_advisory_unlock(1094927206)").map_err(failed)?;
            result?;
        }
    }
    Ok(todo)
}

/// A file that says to be another program's is left alone; one that says nothing is new, or older than the signature.
fn require_ours(sqlite: &mut SqliteConnection) -> Result<(), MigrationError> {
    match signature(sqlite)? {
        Signature { application_id: 0 | APPLICATION, .. } => Ok(()),
        Signature { application_id, .. } => Err(MigrationError::Foreign(application_id)),
    }
}

/// Writes into the file's header whose it is and how many migrations made it (DB-02), for tools that read nothing else.
fn sign(sqlite: &mut SqliteConnection, migrations: i64) -> Result<(), MigrationError> {
    let wanted = Signature { application_id: APPLICATION, user_version: migrations };
    if signature(sqlite)? == wanted {
        return Ok(());
    }
    let sign = format!("PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {migrations}");
    sqlite.batch_execute(&sign).map_err(failed)?;
    if signature(sqlite)? == wanted {
        return Ok(());
    }
    Err(MigrationError::Failed("the file does not take its signature".to_owned()))
}

fn signature(sqlite: &mut SqliteConnection) -> Result<Signature, MigrationError> {
    let query = "SELECT application_id, user_version FROM pragma_application_id, pragma_user_version";
    diesel::sql_query(query).get_result(sqlite).map_err(failed)
}

fn failed(error: impl std::fmt::Display) -> MigrationError {
    MigrationError::Failed(error.to_string())
}

fn known_versions(db: &DbConnection) -> Result<Vec<String>, MigrationError> {
    let versions = match db {
        DbConnection::Sqlite(_) => MigrationSource::<diesel::sqlite::Sqlite>::migrations(&SQLITE)
            .map_err(failed)?
            .iter()
            .map(|migration| migration.name().version().to_string())
            .collect::<Vec<_>>(),
        DbConnection::Postgres(_) => MigrationSource::<diesel::pg::Pg>::migrations(&POSTGRES)
            .map_err(failed)?
            .iter()
            .map(|migration| migration.name().version().to_string())
            .collect::<Vec<_>>(),
    };
    Ok(versions)
}

fn applied_versions(db: &mut DbConnection) -> Result<Vec<String>, MigrationError> {
    let versions = match db {
        DbConnection::Sqlite(sqlite) => sqlite.applied_migrations().map_err(failed)?,
        DbConnection::Postgres(postgres) => postgres.applied_migrations().map_err(failed)?,
    };
    Ok(versions.iter().map(ToString::to_string).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::database::DatabaseUrl;
    use crate::db::connection::{Role, open};

    #[test]
    fn db_02_a_file_is_signed_and_another_program_s_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let url = |name: &str| DatabaseUrl::Sqlite(folder.path().join(name));
        let mut db = open(&url("ours"), Role::Migrator).unwrap();
        let count = run(&mut db).unwrap().len();
        assert!(run(&mut db).unwrap().is_empty());
        let DbConnection::Sqlite(sqlite) = &mut db else { panic!() };
        let signed = signature(sqlite).unwrap();
        assert_eq!(signed, Signature { application_id: 0x4143_4366, user_version: count as i64 });

        let mut db = open(&url("theirs"), Role::Migrator).unwrap();
        db.batch_execute("PRAGMA application_id = 7; CREATE TABLE theirs (id INTEGER)").unwrap();
        let refused = run(&mut db).unwrap_err().to_string();
        assert!(refused.contains("another program") && refused.contains("database.url"), "{refused}");
    }
}
