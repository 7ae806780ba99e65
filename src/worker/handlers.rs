//! Which function does the job of which name. One list, so that a name without a function is seen at once.

use crate::app::App;
use crate::clock::UtcTime;
use crate::error::{Error, Result};
use crate::queue::Job;

/// Does the job and removes it, in one transaction where the job is only database work. Doing it twice does no harm:
/// each function says in its own doc how.
pub fn run(_app: &App, job: &Job, _now: UtcTime) -> Result<()> {
    match job.name.as_str() {
        other => Err(Error::internal(format!("no function does the job {other:?}"))),
    }
}
