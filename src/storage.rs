//! Bytes outside the database: attachments and kept originals, by the SHA-256 of their content, compressed. A file is
//! written whole and made durable before its name exists, and never changed afterwards.

use std::collections::HashSet;
use std::fs::{DirEntry, File};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT, utimensat};
use rustix::io::Errno;
use sha2::{Digest, Sha256};

use crate::clock::UtcTime;
use crate::db::{Ballast, disk};
use crate::error::{Error, Result};
use crate::secret::random_handle;

/// `EIO`.
const DISK_FAILED: i32 = 5;
/// The largest content that is given back; nothing larger is ever stored (100 MiB is the largest mail, by a pipe).
const LARGEST: u64 = 256 * 1024 * 1024;

/// Whether this can be the name of a content. What is none leads to no file, wherever it came from (ADV-22).
pub fn is_name(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Why a file could not be read.
enum Unread {
    /// It is not there, or is not what its name says.
    Damaged(String),
    /// The machine could not read it now: too many files are open, say, or the disk does not answer. It may be whole.
    Failed(io::Error),
}

/// A folder of contents.
#[derive(Clone, Debug)]
pub struct Storage {
    folder: PathBuf,
    ballast: Ballast,
    /// The folders in it, one for each beginning of a name, that this process knows to be on the disk.
    durable_folders: Arc<Mutex<HashSet<PathBuf>>>,
    /// What this process could not read when somebody wanted it.
    damaged: Arc<Mutex<HashSet<String>>>,
}

impl Storage {
    /// Uses `folder`, which is made if it is missing.
    pub fn open(folder: &Path) -> io::Result<Storage> {
        std::fs::create_dir_all(folder)?;
        let beside = folder.parent().unwrap_or(folder);
        File::open(beside)?.sync_all()?;
        Ok(Storage {
            folder: folder.to_owned(),
            ballast: Ballast::beside(beside),
            durable_folders: Arc::default(),
            damaged: Arc::default(),
        })
    }

    /// How many files this process could not read when somebody wanted them, and has not read since (FT-11).
    pub fn damaged(&self) -> usize {
        self.damaged_names().len()
    }

    fn damaged_names(&self) -> MutexGuard<'_, HashSet<String>> {
        self.damaged.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is kept for a full disk beside the contents.
    pub fn ballast(&self) -> &Ballast {
        &self.ballast
    }

    /// Keeps `content` durably and gives its name. The same content is kept once; where what is there is damaged, it is
    /// written anew.
    pub fn put(&self, content: &[u8]) -> Result<String> {
        let hash = data_encoding::HEXLOWER.encode(&Sha256::digest(content));
        let path = self.path(&hash);
        if path.exists() {
            match self.get(&hash) {
                // Taken away at this moment, it is written anew.
                Ok(_) if self.touch(&hash)? => return Ok(hash),
                Ok(_) => {}
                Err(Error::Busy) => return Err(Error::Busy),
                Err(error) => {
                    tracing::warn!(target: "accord::db", error = format!("{error:#}"), "A stored file is written anew");
                }
            }
        }
        let mut written = self.write(&path, content);
        if written.as_ref().is_err_and(is_for_want_of_room) && self.ballast.give_up() {
            written = self.write(&path, content);
        }
        written.map_err(|error| {
            if is_for_want_of_room(&error) {
                return Error::StorageFull;
            }
            if error.raw_os_error() == Some(DISK_FAILED) {
                disk::stop_since_it_failed(&error);
            }
            Error::Internal(anyhow::Error::new(error).context("a file could not be stored"))
        })?;
        self.damaged_names().remove(&hash);
        Ok(hash)
    }

    fn write(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        let folder = path.parent().unwrap_or(&self.folder);
        self.make_durable_folder(folder)?;
        let temporary = folder.join(format!(".{}", random_handle()));
        let written = (|| {
            let mut encoder = ZlibEncoder::new(File::create(&temporary)?, Compression::fast());
            encoder.write_all(content)?;
            encoder.finish()?.sync_all()?;
            std::fs::rename(&temporary, path)?;
            File::open(folder)?.sync_all()
        })();
        if written.is_err() {
            // Nothing refers to it; a left-over is only a little space.
            drop(std::fs::remove_file(&temporary));
        }
        written
    }

    /// Makes the folder, if it is missing, and its name durable. Nobody uses one that somebody else has only just made.
    fn make_durable_folder(&self, folder: &Path) -> io::Result<()> {
        let mut durable = self.durable_folders.lock().unwrap_or_else(PoisonError::into_inner);
        if durable.contains(folder) && folder.exists() {
            return Ok(());
        }
        std::fs::create_dir_all(folder)?;
        File::open(&self.folder)?.sync_all()?;
        durable.insert(folder.to_owned());
        Ok(())
    }

    /// The content of that name, checked against it. What cannot be read for now is no damage: the error is
    /// [`Error::Busy`], and it is worth trying again.
    pub fn get(&self, hash: &str) -> Result<Vec<u8>> {
        if !is_name(hash) {
            return Err(Error::NotFound);
        }
        match self.read(hash) {
            Ok(content) => {
                self.damaged_names().remove(hash);
                Ok(content)
            }
            Err(Unread::Failed(error)) => {
                tracing::warn!(target: "accord::db", %error, "A stored file could not be read now");
                Err(Error::Busy)
            }
            Err(Unread::Damaged(reason)) => {
                if self.damaged_names().insert(hash.to_owned()) {
                    tracing::error!(target: "accord::db", error = reason, "A stored file is missing or damaged");
                }
                Err(Error::FileDamaged(reason))
            }
        }
    }

    fn read(&self, hash: &str) -> Result<Vec<u8>, Unread> {
        let file = File::open(self.path(hash)).map_err(|error| match error.kind() {
            ErrorKind::NotFound => Unread::Damaged(format!("{hash} is missing")),
            _ => Unread::Failed(error),
        })?;
        let mut content = Vec::new();
        let inflated = ZlibDecoder::new(file).take(LARGEST).read_to_end(&mut content);
        inflated.map_err(|error| match error.raw_os_error() {
            // The bytes came, and cannot be inflated.
            None => Unread::Damaged(format!("{hash} is damaged: {error}")),
            Some(_) => Unread::Failed(error),
        })?;
        if data_encoding::HEXLOWER.encode(&Sha256::digest(&content)) != hash {
            return Err(Unread::Damaged(format!("{hash} is damaged")));
        }
        Ok(content)
    }

    /// The names of everything that is kept, in order.
    pub fn hashes(&self) -> io::Result<Vec<String>> {
        let mut hashes = Vec::new();
        self.for_each_file(|name, _| {
            hashes.push(name);
            Ok(())
        })?;
        hashes.sort_unstable();
        Ok(hashes)
    }

    /// How many bytes of the disk everything that is kept takes, compressed as it is.
    pub fn bytes_on_disk(&self) -> io::Result<u64> {
        let mut bytes = 0;
        self.for_each_file(|_, entry| match entry.metadata() {
            Ok(metadata) => {
                bytes += metadata.len();
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        })?;
        Ok(bytes)
    }

    fn for_each_file(&self, mut take: impl FnMut(String, &DirEntry) -> io::Result<()>) -> io::Result<()> {
        for folder in std::fs::read_dir(&self.folder)? {
            let folder = folder?;
            if !folder.file_type()?.is_dir() {
                continue;
            }
            for entry in std::fs::read_dir(folder.path())? {
                let entry = entry?;
                // What is being written has a name that begins with a dot.
                if let Some(name) = entry.file_name().into_string().ok().filter(|name| is_name(name)) {
                    take(name, &entry)?;
                }
            }
        }
        Ok(())
    }

    /// Says that the content of that name is wanted, so that nobody removes it for now; gives whether it is there.
    pub fn touch(&self, hash: &str) -> Result<bool> {
        if !is_name(hash) {
            return Ok(false);
        }
        let times = Timestamps {
            last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
            last_modification: Timespec { tv_sec: 0, tv_nsec: UTIME_NOW },
        };
        match utimensat(CWD, self.path(hash), &times, AtFlags::empty()) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => {
                Err(Error::Internal(anyhow::Error::new(error).context("a stored file cannot be marked as wanted")))
            }
        }
    }

    /// Removes the content of that name unless it was stored or [touched](Self::touch) at `since` or later; gives whether it
    /// is gone. The caller knows that nothing names it.
    pub fn remove_untouched(&self, hash: &str, since: UtcTime) -> Result<bool> {
        if !is_name(hash) {
            return Ok(true);
        }
        let path = self.path(hash);
        let aside = path.with_file_name(format!(".{}", random_handle()));
        let is_wanted = |path: &Path| -> io::Result<bool> {
            let touched = DateTime::<Utc>::from(std::fs::metadata(path)?.modified()?).timestamp_micros();
            Ok(UtcTime::from_micros(touched) >= since)
        };
        let removed: io::Result<bool> = (|| {
            // What is wanted never goes without its name: this process may end at any moment.
            if is_wanted(&path)? {
                return Ok(false);
            }
            // Put aside and looked at once more: who stores the same content meanwhile finds nothing, and writes it anew.
            std::fs::rename(&path, &aside)?;
            if !is_wanted(&aside)? {
                std::fs::remove_file(&aside)?;
                return Ok(true);
            }
            std::fs::rename(&aside, &path)?;
            Ok(false)
        })();
        match removed {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(true),
            other => other
                .map_err(|error| Error::Internal(anyhow::Error::new(error).context("a stored file cannot be removed"))),
        }
    }

    fn path(&self, hash: &str) -> PathBuf {
        self.folder.join(hash.get(..2).unwrap_or("00")).join(hash)
    }
}

fn is_for_want_of_room(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_comes_back_and_damage_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let storage = Storage::open(folder.path()).unwrap();
        let hash = storage.put(b"Bonjour").unwrap();
        assert_eq!(storage.put(b"Bonjour").unwrap(), hash);
        assert_eq!(storage.get(&hash).unwrap(), b"Bonjour");
        let other = storage.put(b"Bonsoir").unwrap();
        std::fs::write(storage.path(&other).with_file_name(".being-written"), "half").unwrap();
        let mut both = [hash.clone(), other.clone()];
        both.sort();
        assert_eq!(storage.hashes().unwrap(), both);
        std::fs::copy(storage.path(&other), storage.path(&hash)).unwrap();
        assert!(storage.get(&hash).is_err());
    }

    #[test]
    fn ft_11_what_is_damaged_is_written_anew_when_it_comes_again() {
        let folder = tempfile::tempdir().unwrap();
        let storage = Storage::open(folder.path()).unwrap();
        let hash = storage.put(b"Bonjour").unwrap();
        for damage in ["", "not compressed at all"] {
            std::fs::write(storage.path(&hash), damage).unwrap();
            assert!(storage.get(&hash).is_err());
            assert_eq!(storage.put(b"Bonjour").unwrap(), hash);
            assert_eq!(storage.get(&hash).unwrap(), b"Bonjour");
        }
    }

    #[test]
    fn a_folder_that_was_taken_away_is_made_again() {
        let folder = tempfile::tempdir().unwrap();
        let storage = Storage::open(folder.path()).unwrap();
        let hash = storage.put(b"Bonjour").unwrap();
        std::fs::remove_dir_all(storage.path(&hash).parent().unwrap()).unwrap();
        assert_eq!(storage.put(b"Bonjour").unwrap(), hash);
        assert_eq!(storage.get(&hash).unwrap(), b"Bonjour");
    }

    #[test]
    fn what_is_wanted_is_not_removed() {
        let folder = tempfile::tempdir().unwrap();
        let storage = Storage::open(folder.path()).unwrap();
        let hash = storage.put(b"Bonjour").unwrap();
        let long_ago = || {
            let file = File::options().write(true).open(storage.path(&hash)).unwrap();
            file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
        };
        let since = UtcTime::from_seconds(1_000_000);
        assert!(!storage.remove_untouched(&hash, since).unwrap());
        for stores in [true, false] {
            long_ago();
            assert!(if stores { storage.put(b"Bonjour").is_ok() } else { storage.touch(&hash).unwrap() });
            assert!(!storage.remove_untouched(&hash, since).unwrap());
            assert_eq!(storage.get(&hash).unwrap(), b"Bonjour");
        }
        long_ago();
        assert!(storage.remove_untouched(&hash, since).unwrap() && storage.hashes().unwrap().is_empty());
        assert!(storage.remove_untouched(&hash, since).unwrap() && !storage.touch(&hash).unwrap());
        assert_eq!(storage.put(b"Bonjour").unwrap(), hash);
    }

    #[test]
    fn what_cannot_be_read_now_is_no_damage() {
        let folder = tempfile::tempdir().unwrap();
        let storage = Storage::open(folder.path()).unwrap();
        let hash = storage.put(b"Bonjour").unwrap();
        // Opening a link to itself fails with ELOOP, as it would with EMFILE; reading a folder with EISDIR, as with EIO.
        let path = storage.path(&hash);
        let aside = path.with_file_name("aside");
        std::fs::rename(&path, &aside).unwrap();
        std::os::unix::fs::symlink(&path, &path).unwrap();
        assert!(matches!(storage.get(&hash), Err(Error::Busy)));
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        assert!(matches!(storage.get(&hash), Err(Error::Busy)));
        assert_eq!(storage.damaged(), 0);
        std::fs::remove_dir(&path).unwrap();
        assert!(matches!(storage.get(&hash), Err(Error::FileDamaged(_))));
        std::fs::rename(&aside, &path).unwrap();
        assert_eq!(storage.get(&hash).unwrap(), b"Bonjour");
        assert_eq!(storage.damaged(), 0);
    }

    #[test]
    fn what_is_wanted_keeps_its_name_all_the_time() {
        let folder = tempfile::tempdir().unwrap();
        let storage = Storage::open(folder.path()).unwrap();
        let hash = storage.put(b"Bonjour").unwrap();
        let stop = &std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            let path = storage.path(&hash);
            scope.spawn(move || {
                while !stop.load(std::sync::atomic::Ordering::SeqCst) {
                    assert!(path.exists());
                }
            });
            for _ in 0..2_000 {
                assert!(!storage.remove_untouched(&hash, UtcTime::from_seconds(1_000_000)).unwrap());
            }
            stop.store(true, std::sync::atomic::Ordering::SeqCst);
        });
    }

    #[test]
    fn adv_22_a_name_is_never_a_path() {
        let folder = tempfile::tempdir().unwrap();
        let storage = Storage::open(folder.path()).unwrap();
        for name in ["../../etc/passwd", "", "ab", "..", &"/".repeat(64)] {
            assert!(storage.get(name).is_err());
        }
    }
}
