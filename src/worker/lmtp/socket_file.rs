//! A socket with a name in a folder. What a process that is gone left behind is in the way and is removed. Two processes that
//! begin at once would both find it deserted, and one would remove the socket at which the other listens by then; so only one
//! at a time looks, removes and makes one, which a lock on the folder sees to.

use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio::net::UnixListener;

use crate::worker::local_socket;

/// How long to see whether somebody listens on a socket that is there: this machine knows at once.
const PATIENCE: Duration = Duration::from_millis(200);

/// How long to wait for another process that makes a socket in the same folder, and how often it is looked at.
const LOCKED: Duration = Duration::from_secs(5);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Where we listen.
pub struct SocketFile {
    pub listener: UnixListener,
    path: PathBuf,
    /// By which it is known that what lies there is ours: device and number.
    identity: (u64, u64),
}

impl SocketFile {
    /// Listens there, for whom `mode` lets in. [`io::ErrorKind::AddrInUse`] when somebody does already. Within a runtime.
    pub fn open(path: &Path, mode: u32) -> io::Result<SocketFile> {
        let _lock = lock_folder_of(path, LOCKED)?;
        // Anything but a socket is somebody's.
        if std::fs::symlink_metadata(path).is_ok_and(|there| there.file_type().is_socket()) {
            let heard = local_socket::connect(path, PATIENCE);
            match heard.as_ref().map_err(io::Error::kind) {
                // Somebody listens there, even if with so long a line that we do not get in.
                Ok(_) | Err(io::ErrorKind::WouldBlock) => return Err(io::ErrorKind::AddrInUse.into()),
                Err(io::ErrorKind::ConnectionRefused) => std::fs::remove_file(path)?,
                Err(_) => drop(heard?),
            }
        }
        let listener = UnixListener::bind(path)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
        Ok(SocketFile { listener, identity: identity(path)?, path: path.to_owned() })
    }

    /// Ends the listening, and removes the socket if it still is ours. What cannot be removed, whoever begins next finds deserted.
    pub fn close(self) {
        let Ok(_lock) = lock_folder_of(&self.path, PATIENCE) else { return };
        if identity(&self.path).is_ok_and(|there| there == self.identity) {
            drop(std::fs::remove_file(&self.path));
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let there = std::fs::symlink_metadata(path)?;
    Ok((there.dev(), there.ino()))
}

/// Held for a moment only, so it is waited for; somebody else's program may hold it for longer. It is gone with whoever holds
/// it, and leaves nothing behind.
fn lock_folder_of(path: &Path, patience: Duration) -> io::Result<File> {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let lock = File::open(folder)?;
    let began = Instant::now();
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(lock),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) if began.elapsed() < patience => std::thread::sleep(LOOK_AGAIN),
            Err(TryLockError::WouldBlock) => {
                let text = format!("another program holds the lock (flock) on the folder {}", folder.display());
                return Err(io::Error::new(io::ErrorKind::WouldBlock, text));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::{UnixListener as Deserted, UnixStream};

    use futures_util::future::join_all;

    use super::*;
    use crate::carry;

    fn is_in_use(opened: &io::Result<SocketFile>) -> bool {
        opened.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::AddrInUse)
    }

    #[tokio::test]
    async fn of_processes_that_begin_at_once_one_listens_and_is_heard() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("a.sock");
        for _ in 0..20 {
            drop(Deserted::bind(&path).unwrap());
            let begin = |path: PathBuf| carry::blocking(move || SocketFile::open(&path, 0o600));
            let opened = join_all((0..4).map(|_| begin(path.clone()))).await;
            let opened: Vec<_> = opened.into_iter().map(Result::unwrap).collect();
            assert_eq!(opened.iter().filter(|one| is_in_use(one)).count(), 3);
            let one = opened.into_iter().find_map(Result::ok).unwrap();
            drop(UnixStream::connect(&path).unwrap());
            one.listener.accept().await.unwrap();
            one.close();
            assert!(!path.exists());
        }
    }

    #[test]
    fn a_folder_that_somebody_keeps_locked_is_not_waited_for_for_ever() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("a.sock");
        let lock = lock_folder_of(&path, Duration::ZERO).unwrap();
        let refused = lock_folder_of(&path, LOOK_AGAIN).unwrap_err();
        assert!(refused.to_string().contains(folder.path().to_str().unwrap()), "{refused}");
        drop(lock);
        lock_folder_of(&path, Duration::ZERO).unwrap();
    }

    #[tokio::test]
    async fn who_ends_late_removes_nothing_of_who_began_meanwhile() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("a.sock");
        let first = SocketFile::open(&path, 0o600).unwrap();
        assert!(is_in_use(&SocketFile::open(&path, 0o600)));
        std::fs::remove_file(&path).unwrap();
        let second = SocketFile::open(&path, 0o600).unwrap();
        first.close();
        drop(UnixStream::connect(&path).unwrap());
        second.close();
        std::fs::write(&path, "somebody's").unwrap();
        assert!(is_in_use(&SocketFile::open(&path, 0o600)));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "somebody's");
    }
}
