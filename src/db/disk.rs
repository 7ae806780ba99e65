//! The disk under the database and the stored files: what is left of it, and what is done when it fails. Then the
//! process ends, for it no longer knows what is there (DB-08).

use std::path::Path;

use crate::db::dialect;
use crate::error::{Error, Result};

/// `EX_IOERR` of sysexits.h.
const EXIT_DISK_FAILED: i32 = 74;

/// The room left where `folder` is, in bytes, for a process without special rights.
pub fn free_bytes(folder: &Path) -> std::io::Result<u64> {
    let room = rustix::fs::statvfs(folder)?;
    Ok(room.f_bavail.saturating_mul(room.f_frsize))
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
    std::process::exit(EXIT_DISK_FAILED);
}
