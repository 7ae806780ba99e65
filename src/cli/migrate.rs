//! `accord migrate`: brings the database up to date and stops.

use std::process::ExitCode;

use crate::app::DataLock;
use crate::cli::{Common, load_config, refuse};
use crate::config::Overrides;
use crate::db::connection::{Role, open};
use crate::db::migrations;

pub const EXAMPLES: &str = "\
Before the processes that share a PostgreSQL server are started with a newer version, so that none waits for another:

  ACCORD_DATABASE_URL=postgres://accord:secret@db.example.com/accord accord migrate

Make a backup before. It goes forward only: an older program refuses a newer database, with status 78.";

/// Runs the command.
pub fn run(common: &Common) -> ExitCode {
    let config = match load_config(common, Overrides::default()) {
        Ok(config) => config,
        Err(code) => return code,
    };
    let _lock = match config.database.url.is_sqlite().then(|| DataLock::take(&config)).transpose() {
        Ok(lock) => lock,
        Err(error) => return refuse(&anyhow::Error::new(error)),
    };
    let migrated = open(&config.database.url, Role::Migrator)
        .map_err(anyhow::Error::new)
        .and_then(|mut db| migrations::run(&mut db).map_err(anyhow::Error::new));
    match migrated {
        Ok(names) if names.is_empty() => println!("The database is up to date."),
        Ok(names) => println!("Applied: {}", names.join(", ")),
        Err(error) => return refuse(&error),
    }
    ExitCode::SUCCESS
}
