//! The schema's history, compiled in: one set per database, forward only, each migration one transaction.

use diesel::connection::SimpleConnection;
use diesel::migration::{Migration, MigrationSource};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use crate::db::DbConnection;

const SQLITE: EmbeddedMigrations = embed_migrations!("migrations/sqlite");
const POSTGRES: EmbeddedMigrations = embed_migrations!("migrations/postgres");

/// Why the schema could not be brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    #[error("the database is newer than this program: it has {0}; install the newer program again")]
    Newer(String),
    #[error("migration failed: {0}")]
    Failed(String),
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
    let todo = pending(db)?;
    match db {
        DbConnection::Sqlite(sqlite) => {
            sqlite.run_pending_migrations(SQLITE).map_err(failed)?;
            let broken = sqlite
                .batch_execute(
                    "CREATE TEMP TABLE accord_migration_check (broken INTEGER CHECK (broken = 0)); \
                     INSERT INTO accord_migration_check SELECT count(*) FROM pragma_foreign_key_check; \
                     DROP TABLE accord_migration_check; PRAGMA application_id = 1094927206",
                )
                .err();
            if let Some(error) = broken {
                return Err(MigrationError::Failed(format!("references are broken: {error}")));
            }
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
