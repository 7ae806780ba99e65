//! Backups of an installation with an embedded database, and restoring one (DB-09, B21). A backup is one file: the
//! database as it was at one moment, without what is to be in none (`privacy::data_kinds`), and after it the stored files;
//! compressed, and sealed under a key that is not in it. The installation's own keys are not in it either.
//!
//! It is a tar archive, packed by gzip, sealed as `sealing` tells. What it holds was looked at whole when it was made, and
//! is again when it is restored.

pub mod archive;
pub mod copying;
pub mod last;
pub mod restoring;
pub mod rights;
pub mod sealing;

use std::path::PathBuf;

use crate::db::DbConnection;
use crate::diagnostics::{reading_record, trace_store};
use crate::error::Result;
use crate::{audit, consent};

/// Why there is no backup, or why it cannot be restored. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error("the key file {0}: {1}")]
    Key(PathBuf, String),
    #[error("{0} cannot be read or written: {1}")]
    File(PathBuf, std::io::Error),
    #[error("{0} is there already; name a file that is not")]
    Exists(PathBuf),
    #[error("{folder} has room for {free} MiB and the backup needs {needed} MiB there; make room first")]
    NoRoom { folder: PathBuf, free: u64, needed: u64 },
    #[error("the folder {0} is not empty; restore into a new one, and look at it before it takes the old one's place")]
    NotEmpty(PathBuf),
    #[error(
        "the schema of the database is older than this program; run the backup with the program that serves it, then \
         install this one"
    )]
    Older,
    #[error(transparent)]
    Migration(#[from] crate::db::migrations::MigrationError),
    #[error("the database cannot be opened: {0}")]
    Open(#[from] crate::db::OpenError),
    #[error("the backup is not sound: {0}")]
    Unsound(String),
    #[error("{0:#}")]
    Other(#[from] crate::error::Error),
}

/// What holds together by more than references: the ledger's chain, each consent's, each record of looks, each capture.
/// The same that `accord check` asks.
pub fn verify_invariants(db: &mut DbConnection) -> Result<()> {
    audit::verify(db)?;
    consent::register::verify_all(db)?;
    reading_record::verify_all(db)?;
    trace_store::verify_all(db).map(drop)
}
