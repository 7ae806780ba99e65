//! A socket with a name in a folder. What a process that is gone left behind is in the way and is removed; that nobody is
//! there any more is told by a lock beside it, since two processes that begin at once would both find it deserted, and one
//! would remove the socket at which the other listens already.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::UnixListener;

use crate::worker::local_socket;

/// How long to see whether somebody listens on a socket that is there: this machine knows at once.
const PATIENCE: Duration = Duration::from_millis(200);

/// Where we listen; nobody else does while this lives.
pub struct SocketFile {
    pub listener: UnixListener,
    path: PathBuf,
    _lock: File,
}

impl SocketFile {
    /// Listens there, for whom `mode` lets in. [`io::ErrorKind::AddrInUse`] when somebody does already.
    pub fn open(path: &Path, mode: u32) -> io::Result<SocketFile> {
        let lock = take_lock(path)?;
        if std::fs::symlink_metadata(path).is_ok_and(|there| there.file_type().is_socket()) {
            // Somebody may listen there who knows nothing of the lock.
            let heard = local_socket::connect(path, PATIENCE);
            match heard.as_ref().map_err(io::Error::kind) {
                // Somebody listens, even if with so long a line that we do not get in.
                Ok(_) | Err(io::ErrorKind::WouldBlock) => return Err(io::ErrorKind::AddrInUse.into()),
                Err(io::ErrorKind::ConnectionRefused) => std::fs::remove_file(path)?,
                Err(_) => drop(heard?),
            }
        }
        let listener = UnixListener::bind(path)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
        Ok(SocketFile { listener, path: path.to_owned(), _lock: lock })
    }

    /// Ends the listening, and removes the socket while that is surely ours.
    pub fn close(self) {
        drop(std::fs::remove_file(&self.path));
    }
}

/// The lock stays where it is: were it removed, two could hold a lock of that name.
fn take_lock(path: &Path) -> io::Result<File> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let lock = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(name)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(io::ErrorKind::AddrInUse.into()),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_in_use(opened: io::Result<SocketFile>) -> bool {
        opened.is_err_and(|error| error.kind() == io::ErrorKind::AddrInUse)
    }

    #[tokio::test]
    async fn of_two_processes_one_listens_and_what_it_left_behind_is_no_hindrance() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("a.sock");
        let first = SocketFile::open(&path, 0o600).unwrap();
        assert!(is_in_use(SocketFile::open(&path, 0o600)));
        // Between the removal of what was left behind and the new socket, as two that begin at once might see it.
        std::fs::remove_file(&path).unwrap();
        assert!(is_in_use(SocketFile::open(&path, 0o600)));
        // Killed: the socket stays, the lock does not.
        drop(first);
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let second = SocketFile::open(&path, 0o600).unwrap();
        second.close();
        assert!(!path.exists());
        // Of a version before, which takes no lock.
        let _older = std::os::unix::net::UnixListener::bind(&path).unwrap();
        assert!(is_in_use(SocketFile::open(&path, 0o600)));
    }
}
