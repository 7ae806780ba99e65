//! Restoring a backup into an empty folder. Nothing that serves finds a database there before all of it was unpacked and
//! looked at whole, so what was interrupted is done again from the beginning.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::archive::{self, Manifest, Part};
use super::sealing::BackupKey;
use super::{BackupError, verify_invariants};
use crate::audit::{self, Entry};
use crate::clock::UtcTime;
use crate::config::Config;
use crate::config::database::DatabaseUrl;
use crate::consent::{asking, grants, stopping};
use crate::db::connection::{Role, open};
use crate::db::{DbConnection, dialect, file_copy, migrations};
use crate::error::{Error, Result as Outcome};
use crate::schedule;
use crate::storage::Storage;
use crate::tickets::{links, planned};

/// How much of the database is unpacked at once.
const PIECE: usize = 256 * 1024;

/// Whether a backup may be restored here: the folder is empty or not there, and so is the database's place.
pub fn require_empty(config: &Config, database: &Path) -> Result<(), BackupError> {
    let folder = &config.data;
    let is_empty = match std::fs::read_dir(folder) {
        // A restore that failed leaves the lock of the folder behind.
        Ok(mut entries) => entries.all(|entry| entry.is_ok_and(|entry| entry.file_name() == "accord.lock")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => true,
        Err(error) => return Err(BackupError::File(folder.clone(), error)),
    };
    if !is_empty {
        return Err(BackupError::NotEmpty(folder.clone()));
    }
    if database.exists() {
        return Err(BackupError::Exists(database.to_owned()));
    }
    Ok(())
}

/// Restores `backup` into the data folder, whose lock the caller holds, and the database to its place. What was unpacked
/// is removed again if anything is wrong with it.
pub fn restore(
    config: &Config,
    database: &Path,
    key: &BackupKey,
    backup: &Path,
    now: UtcTime,
) -> Result<Manifest, BackupError> {
    let unfinished = beside(database, ".restoring");
    let files = config.data.join("files");
    let restored = unpack(&files, &unfinished, key, backup)
        .and_then(|manifest| make_ready(&unfinished, now).map(|()| manifest))
        .and_then(|manifest| {
            let failed = |error| BackupError::File(database.to_owned(), error);
            File::open(&unfinished).and_then(|file| file.sync_all()).map_err(failed)?;
            std::fs::rename(&unfinished, database).map_err(failed)?;
            let folder = database.parent().unwrap_or(&config.data);
            File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
            Ok(manifest)
        });
    if restored.is_err() {
        for left in ["", "-wal", "-shm"] {
            drop(std::fs::remove_file(beside(&unfinished, left)));
        }
        drop(std::fs::remove_dir_all(&files));
    }
    restored
}

/// What went wrong while unpacking: with the backup, or with what is made of it.
enum Unpacking {
    Reading(io::Error),
    Writing(BackupError),
}

impl From<io::Error> for Unpacking {
    fn from(error: io::Error) -> Unpacking {
        Unpacking::Reading(error)
    }
}

fn unpack(files: &Path, database: &Path, key: &BackupKey, backup: &Path) -> Result<Manifest, BackupError> {
    let unreadable = |error: io::Error| match error.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => BackupError::Unsound(error.to_string()),
        _ => BackupError::File(backup.to_owned(), error),
    };
    let storage = Storage::open(files).map_err(|error| BackupError::File(files.to_owned(), error))?;
    let file = File::open(backup).map_err(unreadable)?;
    let read = archive::read(file, key, |part| match part {
        Part::Tables(reader) => write_database(reader, database),
        Part::File { hash, content } => {
            let stored = storage.put(&content).map_err(|error| {
                let error = io::Error::other(format!("the stored file {hash}: {error:#}"));
                Unpacking::Writing(BackupError::File(files.to_owned(), error))
            })?;
            if stored == hash {
                return Ok(());
            }
            let changed = format!("the stored file {hash} is not what it was");
            Err(io::Error::new(io::ErrorKind::InvalidData, changed).into())
        }
    });
    read.map_err(|error| match error {
        Unpacking::Reading(error) => unreadable(error),
        Unpacking::Writing(error) => error,
    })
}

fn write_database(reader: &mut dyn Read, database: &Path) -> Result<(), Unpacking> {
    let failed = |error| Unpacking::Writing(BackupError::File(database.to_owned(), error));
    let mut file = File::options().create_new(true).write(true).open(database).map_err(failed)?;
    let mut piece = vec![0; PIECE];
    loop {
        match reader.read(&mut piece)? {
            0 => return file.sync_all().map_err(failed),
            length => file.write_all(&piece[..length]).map_err(failed)?,
        }
    }
}

/// Looks at the restored database whole, brings it up to date, and ends what went on when it was copied.
fn make_ready(database: &Path, now: UtcTime) -> Result<(), BackupError> {
    file_copy::verify(database)?;
    let url = DatabaseUrl::Sqlite(database.to_owned());
    migrations::run(&mut open(&url, Role::Migrator)?)?;
    verify_invariants(&mut open(&url, Role::Reader)?)?;
    let mut db = open(&url, Role::Writer)?;
    for grant in grants::with_captures(&mut db)? {
        change(&mut db, |db| stopping::end_restored(db, grant.id, now))?;
    }
    for request in asking::undecided(&mut db)? {
        change(&mut db, |db| stopping::close_restored(db, request, now))?;
    }
    change(&mut db, |db| links::expire_all(db, now))?;
    change(&mut db, |db| planned::hold_restored(db, now))?;
    change(&mut db, schedule::forget_time)?;
    let entry = Entry { kind: "restored", ..Entry::default() };
    change(&mut db, |db| audit::record(db, &entry, now))?;
    // All of it must stand in the one file that is about to be the database.
    if !dialect::scrub(&mut db).map_err(Error::from)? {
        return Err(BackupError::Unsound("the restored database could not be written whole".to_owned()));
    }
    Ok(())
}

/// One change as one transaction; nobody else has this file.
fn change(db: &mut DbConnection, change: impl FnOnce(&mut DbConnection) -> Outcome<()>) -> Outcome<()> {
    dialect::begin_writing(db)?;
    match change(db) {
        Ok(()) => Ok(dialect::commit(db)?),
        Err(error) => {
            dialect::roll_back(db)?;
            Err(error)
        }
    }
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    PathBuf::from(name)
}
