//! Jobs that write mails: first what is to be said is decided in a transaction, then it is written, then it is put into
//! the outbox in the transaction that removes the job. A job that runs again after a crash has put nothing there yet. One mail
//! that cannot be written keeps the others of its job for three attempts, and then is kept as one that did not arrive, to be
//! written anew when somebody says so.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use crate::app::App;
use crate::clock::UtcTime;
use crate::consent::stopping;
use crate::db::types::{ConsentRequestId, EventId};
use crate::error::{Error, Result};
use crate::notifications::delivery::Unwritten;
use crate::notifications::left_out::LeftOut;
use crate::notifications::{Draft, Finished, Letterhead, account, delivery, digest, ticket_link};
use crate::outbox::folding::DigestWanted;
use crate::outbox::{self, State, listing};
use crate::people::notices::Notice;
use crate::queue::{self, InHand, Job};
use crate::reactions;
use crate::tickets::events::TicketChanged;
use crate::tickets::links::LinkWanted;

/// What a look at a ticket event comes to.
enum Follows {
    /// These consents end with it, before anything else.
    Ends(Vec<ConsentRequestId>),
    Mails(Vec<Draft>),
    /// Nothing to be written; this is the next job.
    Nothing(Option<Job>),
}

/// Follows a ticket event up: consents that end with it, one after the other, then the index and the mails. What has ended
/// ends no second time.
pub fn ticket_changed(app: &App, job: &InHand, now: UtcTime) -> Result<Option<Job>> {
    let event = payload::<TicketChanged>(job)?.event;
    let letterhead = Letterhead::new(&app.keys, &app.config);
    let follow = |have_ended: bool| {
        let (letterhead, job) = (letterhead.clone(), job.clone());
        app.database.write_now(move |db| {
            let over = if have_ended { Vec::new() } else { reactions::consents_over(db, event)? };
            if !over.is_empty() {
                return Ok(Follows::Ends(over));
            }
            let drafts = reactions::follow(db, event, &letterhead, now)?;
            Ok(if drafts.is_empty() { Follows::Nothing(job.finish(db)?) } else { Follows::Mails(drafts) })
        })
    };
    let mut follows = follow(false)?;
    if let Follows::Ends(requests) = follows {
        for request in requests {
            app.database.write_now(move |db| stopping::end_with_ticket(db, request, now))?;
        }
        follows = follow(true)?;
    }
    match follows {
        Follows::Mails(drafts) => write_and_post(app, &letterhead, &drafts, Some(event), job, now),
        Follows::Nothing(next) => Ok(next),
        Follows::Ends(_) => Err(Error::internal("consents end once")),
    }
}

/// Writes a mail about an account.
pub fn account_mail(app: &App, job: &InHand, now: UtcTime) -> Result<Option<Job>> {
    let notice: Notice = payload(job)?;
    let letterhead = Letterhead::new(&app.keys, &app.config);
    let draft = {
        let letterhead = letterhead.clone();
        app.database.write_now(move |db| account::draft(db, &letterhead, &notice, now))?
    };
    write_and_post(app, &letterhead, draft.as_slice(), None, job, now)
}

/// Writes a mail with a fresh link to a ticket.
pub fn ticket_link(app: &App, job: &InHand, now: UtcTime) -> Result<Option<Job>> {
    let wanted: LinkWanted = payload(job)?;
    let letterhead = Letterhead::new(&app.keys, &app.config);
    let draft = {
        let letterhead = letterhead.clone();
        app.database.write_now(move |db| ticket_link::draft(db, &letterhead, &wanted, now))?
    };
    write_and_post(app, &letterhead, draft.as_slice(), None, job, now)
}

/// Writes a mail anew that could not be written, if it is still for its reader. Written once, it is not kept as one that did not
/// arrive any more.
pub fn write_again(app: &App, job: &InHand, now: UtcTime) -> Result<Option<Job>> {
    let LeftOut { event, mail } = payload(job)?;
    let letterhead = Letterhead::new(&app.keys, &app.config);
    let (mail, draft) = {
        let letterhead = letterhead.clone();
        app.database.write_now(move |db| {
            let unwritten = listing::find(db, &mail)?.filter(|mail| mail.state == State::Dead && !mail.has_bytes);
            let Some(mail) = unwritten else { return Ok((None, None)) };
            let drafts = reactions::follow(db, event, &letterhead, now)?;
            let draft = drafts.into_iter().find(|draft| draft.is_for(&mail));
            Ok((Some(mail.id), draft))
        })?
    };
    let written = draft.map(|draft| draft.write(&letterhead, &app.storage)).transpose()?;
    let job = job.clone();
    app.database.write_now(move |db| {
        match (mail, &written) {
            (Some(mail), Some(_)) => outbox::forget_unwritten(db, mail)?,
            (Some(mail), None) => outbox::suppress_unwritten(db, mail)?,
            (None, _) => {}
        }
        delivery::post(db, written.as_slice(), now)?;
        job.finish(db)
    })
}

/// Writes a digest of what came too late for an agent. News that stand in one already are in no other, so that doing it
/// twice sends one.
pub fn digest(app: &App, job: &InHand, now: UtcTime) -> Result<Option<Job>> {
    let wanted: DigestWanted = payload(job)?;
    let letterhead = Letterhead::new(&app.keys, &app.config);
    let draft = {
        let letterhead = letterhead.clone();
        app.database.write_now(move |db| digest::draft(db, &letterhead, wanted.person, now))?
    };
    let Some(draft) = draft else {
        let job = job.clone();
        return app.database.write_now(move |db| job.finish(db));
    };
    let written = draft.draft.write(&letterhead, &app.storage)?;
    let job = job.clone();
    app.database.write_now(move |db| {
        digest::post_digest(db, &draft, &written, now)?;
        job.finish(db)
    })
}

fn write_and_post(
    app: &App,
    letterhead: &Letterhead,
    drafts: &[Draft],
    event: Option<EventId>,
    job: &InHand,
    now: UtcTime,
) -> Result<Option<Job>> {
    let write = |draft: &Draft| catch_unwind(AssertUnwindSafe(|| draft.write(letterhead, &app.storage)));
    let written: Vec<_> = drafts.iter().map(write).collect();
    // Where one of them can never be written, the others go without it; a job of which nothing can be written is kept as failed.
    let may_leave_out =
        job.job.attempts >= queue::STRIKES && written.iter().any(|written| matches!(written, Ok(Ok(_))));
    let (mut mails, mut unwritten): (Vec<Finished>, Vec<Unwritten>) = (Vec::new(), Vec::new());
    for (draft, written) in std::iter::zip(drafts, written) {
        match written {
            Ok(Ok(mail)) => mails.push(mail),
            // No fault of the mail's.
            Ok(Err(error @ (Error::Busy | Error::StorageFull))) => return Err(error),
            Ok(Err(error)) if may_leave_out => unwritten.push(draft.unwritten(letterhead, &format!("{error:#}"))),
            Ok(Err(error)) => return Err(error),
            Err(_) if may_leave_out => unwritten.push(draft.unwritten(letterhead, "writing this mail panicked")),
            Err(panic) => resume_unwind(panic),
        }
    }
    for mail in &unwritten {
        tracing::error!(target: "accord::mail", kind = %mail.kind(), "A mail could not be written; the others of its kind go out");
    }
    let job = job.clone();
    app.database.write_now(move |db| {
        delivery::post(db, &mails, now)?;
        for mail in &unwritten {
            delivery::post_unwritten(db, mail, event, now)?;
        }
        job.finish(db)
    })
}

pub(super) fn payload<T: serde::de::DeserializeOwned>(job: &InHand) -> Result<T> {
    serde_json::from_str(&job.job.payload)
        .map_err(|error| Error::Internal(anyhow::Error::new(error).context("the payload of a job cannot be read")))
}
