//! Which function does the job of which name. One list, so that a name without a function is seen at once.

use crate::app::App;
use crate::clock::UtcTime;
use crate::error::{Error, Result};
use crate::notifications::left_out::WRITE_AGAIN;
use crate::outbox::folding::DIGEST_WANTED;
use crate::people::notices;
use crate::queue::{InHand, Job};
use crate::tickets::events::TICKET_CHANGED;
use crate::tickets::links::LINK_WANTED;
use crate::tickets::planned::ANSWER_DUE;
use crate::worker::{mail_jobs, planned_answers};

/// Does the job and finishes it, in one transaction where the job is only database work; gives the next one. Doing it twice
/// does no harm: each function says in its own doc how.
pub fn run(app: &App, job: &InHand, now: UtcTime) -> Result<Option<Job>> {
    match job.job.name.as_str() {
        TICKET_CHANGED => mail_jobs::ticket_changed(app, job, now),
        LINK_WANTED => mail_jobs::ticket_link(app, job, now),
        ANSWER_DUE => planned_answers::release(app, job, now),
        DIGEST_WANTED => mail_jobs::digest(app, job, now),
        WRITE_AGAIN => mail_jobs::write_again(app, job, now),
        notices::JOB => mail_jobs::account_mail(app, job, now),
        other => Err(Error::internal(format!("no function does the job {other:?}"))),
    }
}
