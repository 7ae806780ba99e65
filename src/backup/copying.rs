//! Making a backup: a copy of the database, rid of what is to be in none and looked at whole, and after it the stored
//! files. They are named by their content and never changed, so each one that the database knew at that moment is there.

use std::collections::BTreeSet;
use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::archive::{Manifest, Writing};
use super::sealing::BackupKey;
use super::{BackupError, verify_invariants};
use crate::clock::UtcTime;
use crate::config::Config;
use crate::config::database::DatabaseUrl;
use crate::db::{disk, file_copy, migrations};
use crate::journal;
use crate::privacy::data_kinds;
use crate::storage::Storage;
use crate::tickets::{attachments, planned};

/// What is left free beside the copies, so that mail is still taken while they are made.
const ROOM_LEFT: u64 = 256 << 20;

/// Where copies are made, within the data folder: what a backup that was interrupted left there is of no use to anybody.
pub fn workplace(config: &Config) -> PathBuf {
    config.data.join("backup-unfinished")
}

/// The first copy of the database, as whoever owns that makes it for a backup.
pub fn first_copy(config: &Config) -> PathBuf {
    workplace(config).join("first.sqlite")
}

/// A backup that was made.
#[derive(Debug)]
pub struct Made {
    pub manifest: Manifest,
    /// The size of its file.
    pub bytes: u64,
    /// Stored files that the database names and the folder has not, or not as they were stored. All else is in it.
    pub damaged: Vec<String>,
}

/// Makes a backup in `target`, which is not there yet. `copy` has the owner of the database write its first copy to the
/// given place.
pub fn make<E: From<BackupError>>(
    config: &Config,
    url: &DatabaseUrl,
    key: &BackupKey,
    target: &Path,
    now: UtcTime,
    copy: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<Made, E> {
    if target.exists() {
        return Err(BackupError::Exists(target.to_owned()).into());
    }
    let workplace = Workplace::take(config)?;
    require_room(config, url, target)?;
    let first = first_copy(config);
    copy(&first)?;
    let clean = workplace.folder.join("clean.sqlite");
    Ok(from_copy(config, key, target, now, &first, &clean)?)
}

fn from_copy(
    config: &Config,
    key: &BackupKey,
    target: &Path,
    now: UtcTime,
    first: &Path,
    clean: &Path,
) -> Result<Made, BackupError> {
    if !migrations::pending(&mut file_copy::open_to_read(first)?)?.is_empty() {
        return Err(BackupError::Older);
    }
    let omitted: Vec<_> = data_kinds::omitted_from_backups().collect();
    file_copy::write_without(first, &omitted, clean)?;
    std::fs::remove_file(first).map_err(|error| BackupError::File(first.to_owned(), error))?;
    file_copy::verify(clean)?;
    let mut db = file_copy::open_to_read(clean)?;
    verify_invariants(&mut db)?;
    let mut named: BTreeSet<String> = attachments::content_hashes(&mut db)?.into_iter().collect();
    named.extend(planned::content_hashes(&mut db)?);
    named.extend(journal::original_hashes(&mut db)?);
    drop(db);

    let unfinished = target.with_added_extension("part");
    let failed = |error| BackupError::File(unfinished.clone(), error);
    // What an interrupted backup left is removed and not written into: it may be a link to somebody's file.
    match std::fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let file = File::options().create_new(true).write(true).mode(0o600).open(&unfinished).map_err(failed)?;
    let written = write(config, key, file, now, clean, named).and_then(|made| {
        std::fs::rename(&unfinished, target)?;
        File::open(folder_of(target))?.sync_all()?;
        Ok(Made { bytes: std::fs::metadata(target)?.len(), ..made })
    });
    written.map_err(|error| {
        drop(std::fs::remove_file(&unfinished));
        failed(error)
    })
}

fn write(
    config: &Config,
    key: &BackupKey,
    file: File,
    now: UtcTime,
    copy: &Path,
    mut named: BTreeSet<String>,
) -> io::Result<Made> {
    let storage = Storage::open(&config.data.join("files"))?;
    let mut writing = Writing::begin(file, key, now.seconds())?;
    writing.add_database(copy)?;
    let mut damaged = Vec::new();
    for hash in storage.hashes()? {
        match storage.get(&hash) {
            Ok(content) => {
                writing.add_file(&hash, &content)?;
                named.remove(&hash);
            }
            // What nothing names need not be whole, and may be gone since the list was made.
            Err(error) if named.remove(&hash) => damaged.push(format!("{error:#}")),
            Err(_) => {}
        }
    }
    damaged.extend(named.iter().map(|hash| format!("the stored file {hash} is missing")));
    let manifest = writing.finish(env!("CARGO_PKG_VERSION"), &now.rfc3339())?;
    Ok(Made { manifest, bytes: 0, damaged })
}

/// The folder for copies, for one backup at a time. It is emptied at both ends.
struct Workplace {
    folder: PathBuf,
    _lock: File,
}

impl Workplace {
    fn take(config: &Config) -> Result<Workplace, BackupError> {
        let folder = workplace(config);
        let failed = |error| BackupError::File(folder.clone(), error);
        let Some(lock) = lock(config)? else {
            return Err(failed(io::Error::other("another backup is being made")));
        };
        empty(&folder).map_err(failed)?;
        std::fs::DirBuilder::new().mode(0o700).create(&folder).map_err(failed)?;
        Ok(Workplace { folder, _lock: lock })
    }
}

/// Held by whoever works in the folder for copies; nothing while another does.
fn lock(config: &Config) -> Result<Option<File>, BackupError> {
    let path = config.data.join("backup.lock");
    let failed = |error| BackupError::File(path.clone(), error);
    let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

/// What an interrupted backup had left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    Nothing,
    Removed,
    /// A backup is being made at this moment, and what there is belongs to it.
    BeingMade,
}

/// Removes what an interrupted backup left: a copy of the database with all that is to be in none. Nothing happens while a
/// backup is being made.
pub fn remove_unfinished(config: &Config) -> Result<Left, BackupError> {
    let folder = workplace(config);
    if !folder.exists() {
        return Ok(Left::Nothing);
    }
    let Some(_lock) = lock(config)? else { return Ok(Left::BeingMade) };
    empty(&folder).map_err(|error| BackupError::File(folder, error))?;
    Ok(Left::Removed)
}

impl Drop for Workplace {
    fn drop(&mut self) {
        // What cannot be removed now is by the next backup.
        drop(empty(&self.folder));
    }
}

fn empty(folder: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// There are two copies of the database at a time, at most, and while the archive is written one.
fn require_room(config: &Config, url: &DatabaseUrl, target: &Path) -> Result<(), BackupError> {
    let DatabaseUrl::Sqlite(path) = url else { return Ok(()) };
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |error| BackupError::File(path, error)
    };
    let files = config.data.join("files");
    let database = std::fs::metadata(path).map_err(failed(path))?.len();
    let stored = Storage::open(&files).and_then(|storage| storage.bytes_on_disk()).map_err(failed(&files))?;
    let disk_of = |folder: &Path| std::fs::metadata(folder).map(|metadata| metadata.dev()).map_err(failed(folder));
    let elsewhere = folder_of(target);
    if disk_of(elsewhere)? == disk_of(&config.data)? {
        // Stored files are as small already as they get, and the tables no larger than they are.
        return require_free(&config.data, 2 * database + stored + ROOM_LEFT);
    }
    require_free(&config.data, 2 * database + ROOM_LEFT)?;
    // How much smaller the tables become nobody knows, and where nobody is served it does no harm to find out.
    require_free(elsewhere, stored)
}

fn require_free(folder: &Path, needed: u64) -> Result<(), BackupError> {
    let free = disk::free_bytes(folder).map_err(|error| BackupError::File(folder.to_owned(), error))?;
    if free >= needed {
        return Ok(());
    }
    Err(BackupError::NoRoom { folder: folder.to_owned(), free: free >> 20, needed: needed >> 20 })
}

fn folder_of(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
