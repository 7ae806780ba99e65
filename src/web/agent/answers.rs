//! Answering: replies and notes. A reply over news which the agent has not seen is not sent; the page shows what is new
//! and keeps what was written. What is sent may be taken back for some seconds, and may be planned for later (`planned`).

use actix_web::http::StatusCode;
use actix_web::web::{Data, Path};
use askama::Template;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::access::Actor;
use crate::app::App;
use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::error::{Error, FieldErrors, Result};
use crate::html::from_markdown;
use crate::i18n::Message as Text;
use crate::keys::Keys;
use crate::notifications::{Letterhead, readers};
use crate::tickets::attachments::NewAttachment;
use crate::tickets::idempotency::{self, Claim};
use crate::tickets::messages::{self, NewNote, NewReply, ReplyOutcome, Words};
use crate::tickets::planned::audience;
use crate::tickets::planned::{self, NewPlanned, PlanOutcome, Release};
use crate::tickets::status::Status;
use crate::tickets::ticket::{self, Ticket};
use crate::web::agent::by_hand::{NoTime, parse_time};
use crate::web::agent::ticket::{self as ticket_page, Draft};
use crate::web::forms::Upload;
use crate::web::kept_files;
use crate::web::navigation::Place;
use crate::web::page::Page;
use crate::web::page_error::{PageError, PageResult};
use crate::web::respond;
use crate::web::signed_in::Agent;

/// A reply or a note as it is sent; the two forms differ in which of the texts they have.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnswerForm {
    #[serde(default)]
    text: String,
    #[serde(default)]
    note: String,
    /// How many messages there were when the page was made.
    #[serde(default)]
    seen: i32,
    /// The mark of who read the ticket when the page was made.
    #[serde(default)]
    readers: String,
    /// Makes a second click the same click.
    #[serde(default)]
    once: String,
    /// What the ticket becomes, by the button.
    status: Option<String>,
    #[serde(default)]
    kept: Vec<String>,
    /// How many files its author believes to be with it, and are not at hand any more.
    #[serde(default)]
    lost: usize,
    /// Its author says to send it without those.
    #[serde(default)]
    without_files: bool,
    /// When it is to go out, by the agent's clock; nothing for at once.
    #[serde(default)]
    send_at: String,
    /// The answer that was taken back, and is sent in the words of this form.
    #[serde(default)]
    answer: String,
}

impl AnswerForm {
    /// Counts the files that were `expected` and are not at hand. What is attached after it was said that something is missing
    /// stands for that; what came with the form that did not know it does not.
    fn count_lost(&mut self, new: usize, expected: usize, at_hand: usize) {
        self.lost = self.lost.saturating_sub(new) + expected.saturating_sub(at_hand);
    }
}

/// What a form did.
enum Done {
    Sent,
    /// It goes out later, under this public name.
    Waits(String),
    /// What the same form did before.
    Again,
    /// So many messages had been seen when it was written.
    Stale(i32),
    /// Others read the ticket than when it was written.
    OtherReaders,
}

/// `POST /tickets/{reference}/replies`
pub async fn reply(app: Data<App>, agent: Agent, reference: Path<String>, upload: Upload<AnswerForm>) -> PageResult {
    let Upload { mut form, files } = upload;
    let reference = reference.into_inner();
    require_ticket(&app, &agent, &reference).await?;
    let (new, expected) = (files.len(), form.kept.len() + files.len());
    let files = kept_files::gather(&app, &agent.signed_in.person.handle, &form.kept, files).await?;
    form.count_lost(new, expected, files.len());
    if form.lost > 0 && !form.without_files {
        // Nothing goes without what its author believes to be with it. An answer that was taken back still has them.
        let key = if form.answer.is_empty() { "files-gone" } else { "files-forgotten" };
        let draft = draft(&app, &agent, form, &files);
        return again(&app, &agent, reference, draft, Error::invalid("files", key)).await;
    }
    let status = match form.status.as_deref() {
        None => Status::WaitingForCustomer,
        Some(status) => Status::parse(status).ok_or_else(PageError::bad_request)?,
    };
    let release = match read_send_at(&form.send_at, agent.signed_in.person.zone()) {
        Ok(None) => Release::AtOnce { undo_secs: app.config.desk.undo_seconds },
        Ok(Some(time)) => Release::At(time),
        Err(error) => {
            let draft = draft(&app, &agent, form, &files);
            return again(&app, &agent, reference, draft, error).await;
        }
    };
    let reply = Reply {
        words: Words::on_page(&form.text),
        text: form.text.clone(),
        files: files.clone(),
        seen: form.seen,
        readers: form.readers.clone(),
        status,
        release,
        instead_of: form.answer.clone(),
    };
    let digest = digest(&format!("{}\0{}", form.text, form.send_at), &files);
    let (letterhead, keys) = (Letterhead::new(&app.keys, &app.config), app.keys.clone());
    let (actor, now) = (agent.actor().clone(), app.clock.now());
    let (asked, once) = (reference.clone(), form.once.clone());
    let outcome = app
        .database
        .write(move |db| {
            let ticket = ticket::by_reference(db, &actor, &asked)?;
            let done = once_only(db, &actor, &once, &digest, now, |db| reply.send(db, &keys, &ticket, &actor, now))?;
            let is_mailed = !readers::of_answers(db, &letterhead, &ticket, actor.person())?.is_empty();
            Ok((done, if is_mailed { "said-reply-sent" } else { "said-reply-recorded" }))
        })
        .await;
    let to = format!("/tickets/{reference}");
    match outcome {
        Ok((Done::Sent, said)) => Ok(respond::redirect_saying(&to, said)),
        Ok((Done::Waits(handle), _)) => {
            let said = if form.send_at.trim().is_empty() { "said-answer-waits" } else { "said-answer-planned" };
            Ok(respond::redirect_saying(&format!("{to}#{handle}"), said))
        }
        Ok((Done::Again, _)) => Ok(respond::redirect(&to)),
        Ok((Done::Stale(seen), _)) => {
            let draft = draft(&app, &agent, form, &files);
            let draft = Draft { seen: Some(seen), notice: Some(Text::new("reply-stale")), ..draft };
            ticket_page::page(&app, &agent, reference, false, draft, StatusCode::CONFLICT).await
        }
        Ok((Done::OtherReaders, _)) => {
            let draft = draft(&app, &agent, form, &files);
            again(&app, &agent, reference, draft, Error::Conflict(Text::new("reply-other-readers"))).await
        }
        Err(error) => {
            // One that is in the composer no more is sent as a new one, if it still is to be sent.
            let is_gone = matches!(error, Error::Conflict(_));
            let draft = draft(&app, &agent, form, &files);
            let answer = draft.answer.clone().filter(|_| !is_gone);
            again(&app, &agent, reference, Draft { answer, ..draft }, error).await
        }
    }
}

/// A reply as it was asked for.
#[derive(Clone)]
struct Reply {
    words: Words,
    text: String,
    files: Vec<NewAttachment>,
    seen: i32,
    readers: String,
    status: Status,
    release: Release,
    /// The answer in the composer from which it was made.
    instead_of: String,
}

impl Reply {
    /// Says it, or keeps it until its time has come. What was in the composer is there no more, in the same transaction.
    fn send(&self, db: &mut DbConnection, keys: &Keys, ticket: &Ticket, actor: &Actor, now: UtcTime) -> Result<Done> {
        if !audience::is_as_seen(db, keys, ticket, &self.readers)? {
            return Ok(Done::OtherReaders);
        }
        let done = match self.release {
            Release::AtOnce { undo_secs: 0 } => {
                let reply = NewReply {
                    words: self.words.clone(),
                    attachments: self.files.clone(),
                    seen: self.seen,
                    status: self.status,
                    mail_id: None,
                    ingest: None,
                };
                match messages::add_reply(db, ticket, reply, actor, now)? {
                    ReplyOutcome::Sent(_) => Done::Sent,
                    ReplyOutcome::Stale(_) => Done::Stale(self.seen),
                }
            }
            release => {
                let answer = NewPlanned {
                    text: self.text.clone(),
                    files: self.files.clone(),
                    status: self.status,
                    seen: self.seen,
                    release,
                };
                match planned::plan(db, ticket, answer, actor, now)? {
                    PlanOutcome::Waits(handle) => Done::Waits(handle),
                    PlanOutcome::Stale(_) => Done::Stale(self.seen),
                }
            }
        };
        if !matches!(done, Done::Stale(_)) && !self.instead_of.is_empty() {
            planned::clear(db, ticket, &self.instead_of, actor, now)?;
        }
        Ok(done)
    }
}

/// What was written, for the page again.
fn draft(app: &App, agent: &Agent, form: AnswerForm, files: &[NewAttachment]) -> Draft {
    Draft {
        reply: form.text,
        kept: kept_files::keep(app, &agent.signed_in.person.handle, files),
        lost: form.lost,
        send_at: form.send_at,
        answer: (!form.answer.is_empty()).then_some(form.answer),
        ..Draft::default()
    }
}

/// The same for a note.
fn note_draft(app: &App, agent: &Agent, form: AnswerForm, files: &[NewAttachment]) -> Draft {
    Draft {
        note: form.note,
        is_note: true,
        note_kept: kept_files::keep(app, &agent.signed_in.person.handle, files),
        note_lost: form.lost,
        ..Draft::default()
    }
}

/// The time in a form, if there is one.
pub(super) fn read_send_at(text: &str, zone: chrono_tz::Tz) -> Result<Option<UtcTime>> {
    if text.trim().is_empty() {
        return Ok(None);
    }
    parse_time(text, zone).map(Some).map_err(|error| {
        let key = match error {
            NoTime::Unreadable => "send-at-invalid",
            NoTime::Skipped => "send-at-skipped",
        };
        Error::invalid("send_at", key)
    })
}

/// `POST /tickets/{reference}/notes`
pub async fn note(app: Data<App>, agent: Agent, reference: Path<String>, upload: Upload<AnswerForm>) -> PageResult {
    let Upload { mut form, files } = upload;
    let reference = reference.into_inner();
    require_ticket(&app, &agent, &reference).await?;
    let (new, expected) = (files.len(), form.kept.len() + files.len());
    let files = kept_files::gather(&app, &agent.signed_in.person.handle, &form.kept, files).await?;
    form.count_lost(new, expected, files.len());
    if form.lost > 0 && !form.without_files {
        let draft = note_draft(&app, &agent, form, &files);
        return again(&app, &agent, reference, draft, Error::invalid("files", "note-files-gone")).await;
    }
    let note = NewNote { words: Words::on_page(&form.note), attachments: files.clone(), mail_id: None, ingest: None };
    let digest = digest(&form.note, &files);
    let (actor, now) = (agent.actor().clone(), app.clock.now());
    let (asked, once) = (reference.clone(), form.once.clone());
    let outcome = app
        .database
        .write(move |db| {
            let ticket = ticket::by_reference(db, &actor, &asked)?;
            once_only(db, &actor, &once, &digest, now, |db| {
                messages::add_note(db, &ticket, note.clone(), &actor, now)?;
                Ok(Done::Sent)
            })
        })
        .await;
    match outcome {
        Ok(_) => Ok(respond::redirect_saying(&format!("/tickets/{reference}"), "said-note-added")),
        Err(error) => {
            let draft = note_draft(&app, &agent, form, &files);
            again(&app, &agent, reference, draft, error).await
        }
    }
}

/// Before files are stored: who may not see the ticket stores nothing.
async fn require_ticket(app: &App, agent: &Agent, reference: &str) -> Result<()> {
    let (actor, asked) = (agent.actor().clone(), reference.to_owned());
    app.database.read(move |db| ticket::by_reference(db, &actor, &asked).map(drop)).await
}

/// The page again with what was written, and what is wrong with it.
async fn again(app: &App, agent: &Agent, reference: String, draft: Draft, error: Error) -> PageResult {
    match error {
        Error::Invalid(errors) => {
            let errors = if draft.is_note { renamed(&errors) } else { errors };
            let draft = Draft { errors, ..draft };
            ticket_page::page(app, agent, reference, false, draft, StatusCode::UNPROCESSABLE_ENTITY).await
        }
        Error::Conflict(notice) => {
            let draft = Draft { notice: Some(notice), ..draft };
            ticket_page::page(app, agent, reference, false, draft, StatusCode::CONFLICT).await
        }
        other => Err(other.into()),
    }
}

/// The note's field has another name than the reply's, for both stand on one page.
fn renamed(errors: &FieldErrors) -> FieldErrors {
    let mut renamed = FieldErrors::default();
    for (field, message) in errors.iter() {
        renamed.add(if field == "text" { "note" } else { field }, message.clone());
    }
    renamed
}

/// Does it unless the same was done already under the same key. Other words under the same key (a page gone back to) are
/// another request.
fn once_only(
    db: &mut DbConnection,
    actor: &Actor,
    once: &str,
    digest: &[u8],
    now: UtcTime,
    action: impl FnOnce(&mut DbConnection) -> Result<Done>,
) -> Result<Done> {
    let Some(person) = actor.person() else { return Err(Error::Forbidden) };
    if once.is_empty() || once.len() > 64 {
        return action(db);
    }
    let key = format!("page:{once}:{}", data_encoding::HEXLOWER.encode(&digest[..8]));
    if idempotency::claim(db, person, &key, digest, now)? != Claim::New {
        return Ok(Done::Again);
    }
    let done = action(db)?;
    if matches!(done, Done::Stale(_) | Done::OtherReaders) {
        idempotency::release(db, person, &key)?;
    }
    Ok(done)
}

fn digest(text: &str, files: &[NewAttachment]) -> Vec<u8> {
    let mut digest = Sha256::new();
    digest.update(text.as_bytes());
    for file in files {
        digest.update([0]);
        digest.update(file.content_hash.as_bytes());
        digest.update(file.file_name.as_bytes());
    }
    digest.finalize().to_vec()
}

#[derive(Template)]
#[template(path = "agent/preview.html")]
struct PreviewPage {
    p: Page,
    reference: String,
    html: String,
}

/// `POST /tickets/{reference}/preview`: what the customer will read, on a page of its own; nothing is sent or kept.
pub async fn preview(app: Data<App>, agent: Agent, reference: Path<String>, upload: Upload<AnswerForm>) -> PageResult {
    let (actor, asked) = (agent.actor().clone(), reference.into_inner());
    let ticket = app.database.read(move |db| ticket::by_reference(db, &actor, &asked)).await?;
    let text = if upload.form.text.is_empty() { &upload.form.note } else { &upload.form.text };
    let p = agent.page(&app, "preview-title", Place::Tickets);
    respond::page(&PreviewPage { p, reference: ticket.reference, html: from_markdown(text) })
}
