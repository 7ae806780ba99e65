//! Room kept for the day on which the disk is full: a file of 64 MiB beside the data, which is given up first, so that
//! mail is still taken while somebody comes to help (FT-04). Once there is plenty of room it is taken again.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

use crate::db::disk;

/// How much is kept: some thousand mails.
pub const BALLAST_BYTES: u64 = 64 << 20;
/// What has to be free before it is taken, so that taking it never makes a disk full, nor giving it up a reason to take
/// it again.
const ROOM_WANTED: u64 = 4 * BALLAST_BYTES;
/// With less than this free, trying again is in vain.
const ROOM_TO_TRY: u64 = 1 << 20;
/// What is written at once where a file system cannot set room aside.
const CHUNK: usize = 1 << 20;

/// The place of the file. What is known of it is what is there, since several processes may share a folder.
#[derive(Clone, Debug)]
pub struct Ballast {
    path: PathBuf,
}

impl Ballast {
    /// The ballast of what is kept in `folder`.
    pub fn beside(folder: &Path) -> Ballast {
        Ballast { path: folder.join("accord.ballast") }
    }

    /// Whether it is there, whole.
    pub fn is_held(&self) -> bool {
        self.held_bytes() >= BALLAST_BYTES
    }

    /// How much of it is there.
    pub fn held_bytes(&self) -> u64 {
        std::fs::metadata(&self.path).map_or(0, |file| file.len())
    }

    /// Takes it, if it is not there and there is plenty of room; gives whether it was taken now.
    pub fn take(&self) -> io::Result<bool> {
        self.take_if(disk::free_bytes(self.folder())? >= ROOM_WANTED)
    }

    fn take_if(&self, has_room: bool) -> io::Result<bool> {
        if !has_room || self.is_held() {
            return Ok(false);
        }
        let taken = File::create(&self.path).and_then(|mut file| {
            set_aside(&mut file)?;
            file.sync_all()
        });
        if taken.is_err() {
            // Half of it would only be in the way.
            drop(std::fs::remove_file(&self.path));
        }
        taken.map(|()| true)
    }

    /// The disk is full: gives the ballast up. Gives whether it is worth trying again, be it because there was some, or
    /// because somebody else has made room meanwhile.
    pub fn give_up(&self) -> bool {
        match std::fs::remove_file(&self.path) {
            Ok(()) => {
                tracing::error!(
                    target: "accord::db",
                    bytes = BALLAST_BYTES,
                    "The disk is full; what was kept for this is given up. Make room now"
                );
                true
            }
            Err(_) => disk::free_bytes(self.folder()).is_ok_and(|free| free >= ROOM_TO_TRY),
        }
    }

    fn folder(&self) -> &Path {
        self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
    }
}

/// Makes the file as large as the ballast, on the disk and not only by its length.
fn set_aside(file: &mut File) -> io::Result<()> {
    match fallocate(&*file, FallocateFlags::empty(), 0, BALLAST_BYTES) {
        Ok(()) => Ok(()),
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
            // Noise, for a file system that compresses would keep nothing for zeros.
            let mut noise = vec![0; CHUNK];
            getrandom::fill(&mut noise).map_err(|error| io::Error::other(error.to_string()))?;
            for _ in 0..BALLAST_BYTES / CHUNK as u64 {
                file.write_all(&noise)?;
            }
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn ft_04_the_ballast_is_on_the_disk_is_given_up_once_and_is_taken_again() {
        let folder = tempfile::tempdir().unwrap();
        let ballast = Ballast::beside(folder.path());
        assert!(!ballast.is_held());
        assert!(ballast.take_if(true).unwrap());
        assert!(ballast.is_held());
        let on_disk = std::fs::metadata(&ballast.path).unwrap().blocks() * 512;
        assert!(on_disk >= BALLAST_BYTES, "only {on_disk} bytes are set aside");
        assert!(!ballast.take_if(true).unwrap(), "it is there already");
        assert!(ballast.give_up());
        assert!(!ballast.is_held());
        assert!(ballast.take_if(true).unwrap());
    }

    #[test]
    fn ft_04_no_ballast_is_taken_where_there_is_little_room() {
        let folder = tempfile::tempdir().unwrap();
        let ballast = Ballast::beside(folder.path());
        assert!(!ballast.take_if(false).unwrap());
        assert!(!ballast.path.exists());
    }

    #[test]
    fn ft_04_half_a_ballast_counts_as_none() {
        let folder = tempfile::tempdir().unwrap();
        let ballast = Ballast::beside(folder.path());
        std::fs::write(&ballast.path, "what was there when the process was killed").unwrap();
        assert!(!ballast.is_held());
        assert!(ballast.take_if(true).unwrap());
        assert!(ballast.is_held());
    }
}
