//! Bytes outside the database: attachments and kept originals, by the SHA-256 of their content, compressed. A file is
//! written whole and made durable before its name exists, and never changed afterwards.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use sha2::{Digest, Sha256};

use crate::db::disk;
use crate::error::{Error, Result};
use crate::secret::random_handle;

/// `EIO`.
const DISK_FAILED: i32 = 5;
/// The largest content that is given back; nothing larger is ever stored (50 MiB is the largest mail).
const LARGEST: u64 = 256 * 1024 * 1024;

/// The room left where `folder` is, in bytes, for a process without special rights.
pub fn free_bytes(folder: &Path) -> std::io::Result<u64> {
    let room = rustix::fs::statvfs(folder)?;
    Ok(room.f_bavail.saturating_mul(room.f_frsize))
}

/// A folder of contents.
#[derive(Clone, Debug)]
pub struct Storage {
    folder: PathBuf,
}

impl Storage {
    /// Uses `folder`, which is made if it is missing.
    pub fn open(folder: &Path) -> std::io::Result<Storage> {
        std::fs::create_dir_all(folder)?;
        Ok(Storage { folder: folder.to_owned() })
    }

    /// Keeps `content` durably and gives its name. The same content is kept once.
    pub fn put(&self, content: &[u8]) -> Result<String> {
        let hash = data_encoding::HEXLOWER.encode(&Sha256::digest(content));
        let path = self.path(&hash);
        if path.exists() {
            return Ok(hash);
        }
        self.write(&path, content).map_err(|error| match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Error::StorageFull,
            _ if error.raw_os_error() == Some(DISK_FAILED) => disk::stop_since_it_failed(&error),
            _ => Error::Internal(anyhow::Error::new(error).context("a file could not be stored")),
        })?;
        Ok(hash)
    }

    fn write(&self, path: &Path, content: &[u8]) -> std::io::Result<()> {
        let folder = path.parent().unwrap_or(&self.folder);
        std::fs::create_dir_all(folder)?;
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

    /// The content of that name, checked against it.
    pub fn get(&self, hash: &str) -> Result<Vec<u8>> {
        if hash.len() != 64 || !hash.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(Error::NotFound);
        }
        let file = File::open(self.path(hash)).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Error::internal(format!("the stored file {hash} is missing")),
            _ => Error::Internal(anyhow::Error::new(error).context("a stored file cannot be read")),
        })?;
        let mut content = Vec::new();
        ZlibDecoder::new(file)
            .take(LARGEST)
            .read_to_end(&mut content)
            .map_err(|error| Error::Internal(anyhow::Error::new(error).context("a stored file is damaged")))?;
        if data_encoding::HEXLOWER.encode(&Sha256::digest(&content)) != hash {
            return Err(Error::internal(format!("the stored file {hash} is damaged")));
        }
        Ok(content)
    }

    /// Removes the content of that name, if it is there.
    pub fn remove(&self, hash: &str) -> Result<()> {
        match std::fs::remove_file(self.path(hash)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::Internal(anyhow::Error::new(error).context("a stored file cannot be removed")))
            }
            _ => Ok(()),
        }
    }

    fn path(&self, hash: &str) -> PathBuf {
        self.folder.join(hash.get(..2).unwrap_or("00")).join(hash)
    }
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
        std::fs::copy(storage.path(&other), storage.path(&hash)).unwrap();
        assert!(storage.get(&hash).is_err());
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
