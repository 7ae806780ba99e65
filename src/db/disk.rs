//! The disk under the database and the stored files: what is left of it, and what is done when it fails. Then the
//! process ends, for it no longer knows what is there (DB-08).

use std::path::Path;
use std::sync::atomic::{AtomicI32, Ordering};

use crate::db::dialect;
use crate::error::{Error, Result};

/// What a process ends with whose disk failed: `EX_IOERR` of sysexits.h, or what its command says instead.
static EXIT_DISK_FAILED: AtomicI32 = AtomicI32::new(74);

/// The disk where a folder is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// What is left of it, in bytes, for a process without special rights.
    pub free: u64,
    /// What such a process could have of it if it were empty.
    pub whole: u64,
}

impl Room {
    /// Whether less than a tenth is left (FT-30).
    pub fn is_low(self) -> bool {
        self.free < self.whole / 10
    }
}

/// The room left where `folder` is, in bytes, for a process without special rights.
pub fn free_bytes(folder: &Path) -> std::io::Result<u64> {
    Ok(room(folder)?.free)
}

/// The room where `folder` is.
pub fn room(folder: &Path) -> std::io::Result<Room> {
    let found = rustix::fs::statvfs(folder)?;
    // What is set aside for special rights is nobody's to fill.
    let set_aside = found.f_bfree.saturating_sub(found.f_bavail);
    let whole = found.f_blocks.saturating_sub(set_aside).saturating_mul(found.f_frsize);
    Ok(Room { free: found.f_bavail.saturating_mul(found.f_frsize), whole })
}

/// Ends the process if that is what this failure of the database means.
pub fn stop_if_it_failed(error: &diesel::result::Error) {
    if dialect::is_input_output_failure(error) {
        stop_since_it_failed(error);
    }
}

/// Ends the process if that is why a use case failed.
pub fn stop_if_it_failed_meanwhile<T>(outcome: &Result<T>) {
    if let Err(Error::Internal(cause)) = outcome
        && let Some(error) = cause.downcast_ref::<diesel::result::Error>()
    {
        stop_if_it_failed(error);
    }
}

/// After a failed read or write nobody knows what is on the disk; going on could acknowledge what is not there. What was
/// acknowledged is read again at the next start, by a process that knows nothing of what should be there (DB-08).
pub fn stop_since_it_failed(error: &dyn std::fmt::Display) -> ! {
    tracing::error!(target: "accord::db", %error, "The disk failed; stopping at once");
    std::process::exit(EXIT_DISK_FAILED.load(Ordering::Relaxed));
}

/// If its disk fails, this process ends with `status`: that of a command for whose caller 74 would mean something else.
pub fn end_with_if_it_fails(status: u8) {
    EXIT_DISK_FAILED.store(status.into(), Ordering::Relaxed);
}
