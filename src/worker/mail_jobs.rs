//! Jobs that write mails: first what is to be said is decided in a transaction, then it is written, then it is put into
//! the outbox in the transaction that removes the job. A job that runs again after a crash has put nothing there yet.

use crate::app::App;
use crate::clock::UtcTime;
use crate::consent::stopping;
use crate::error::{Error, Result};
use crate::notifications::{Draft, Finished, Letterhead, account, delivery, digest, ticket_link};
use crate::outbox::folding::DigestWanted;
use crate::people::notices::Notice;
use crate::queue::{self, Job};
use crate::reactions;
use crate::tickets::events::TicketChanged;
use crate::tickets::links::LinkWanted;

/// Follows a ticket event up: consents that end with it, one after the other, then the index and the mails. What has ended
/// ends no second time.
pub fn ticket_changed(app: &App, job: &Job, now: UtcTime) -> Result<()> {
    let changed: TicketChanged = payload(job)?;
    for request in app.database.read_now(|db| reactions::consents_over(db, changed.event))? {
        app.database.write_now(move |db| stopping::end_with_ticket(db, request, now))?;
    }
    let letterhead = Letterhead::new(&app.keys, &app.config);
    let drafts = {
        let letterhead = letterhead.clone();
        app.database.write_now(move |db| reactions::follow(db, changed.event, &letterhead, now))?
    };
    write_and_post(app, &letterhead, &drafts, job, now)
}

/// Writes a mail about an account.
pub fn account_mail(app: &App, job: &Job, now: UtcTime) -> Result<()> {
    let notice: Notice = payload(job)?;
    let letterhead = Letterhead::new(&app.keys, &app.config);
    let draft = {
        let letterhead = letterhead.clone();
        app.database.write_now(move |db| account::draft(db, &letterhead, &notice, now))?
    };
    write_and_post(app, &letterhead, draft.as_slice(), job, now)
}

/// Writes a mail with a fresh link to a ticket.
pub fn ticket_link(app: &App, job: &Job, now: UtcTime) -> Result<()> {
    let wanted: LinkWanted = payload(job)?;
    let letterhead = Letterhead::new(&app.keys, &app.config);
    let draft = {
        let letterhead = letterhead.clone();
        app.database.write_now(move |db| ticket_link::draft(db, &letterhead, &wanted, now))?
    };
    write_and_post(app, &letterhead, draft.as_slice(), job, now)
}

/// Writes a digest of what came too late for an agent. News that stand in one already are in no other, so that doing it
/// twice sends one.
pub fn digest(app: &App, job: &Job, now: UtcTime) -> Result<()> {
    let wanted: DigestWanted = payload(job)?;
    let letterhead = Letterhead::new(&app.keys, &app.config);
    let draft = {
        let letterhead = letterhead.clone();
        app.database.write_now(move |db| digest::draft(db, &letterhead, wanted.person, now))?
    };
    let Some(draft) = draft else {
        let job = job.clone();
        return app.database.write_now(move |db| queue::finish(db, &job));
    };
    let written = draft.draft.write(&letterhead, &app.storage)?;
    let job = job.clone();
    app.database.write_now(move |db| {
        digest::post_digest(db, &draft, &written, now)?;
        queue::finish(db, &job)
    })
}

fn write_and_post(app: &App, letterhead: &Letterhead, drafts: &[Draft], job: &Job, now: UtcTime) -> Result<()> {
    let mails: Vec<Finished> =
        drafts.iter().map(|draft| draft.write(letterhead, &app.storage)).collect::<Result<_>>()?;
    let job = job.clone();
    app.database.write_now(move |db| {
        delivery::post(db, &mails, now)?;
        queue::finish(db, &job)
    })
}

fn payload<T: serde::de::DeserializeOwned>(job: &Job) -> Result<T> {
    serde_json::from_str(&job.payload)
        .map_err(|error| Error::Internal(anyhow::Error::new(error).context("the payload of a job cannot be read")))
}
