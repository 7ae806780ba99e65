//! Answering: replies and notes. A reply over news which the agent has not seen is not sent; the page shows what is new
//! and keeps what was written.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Path};
use askama::Template;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::app::App;
use crate::db::DbConnection;
use crate::error::{Error, FieldErrors, Result};
use crate::html::from_markdown;
use crate::i18n::Message as Text;
use crate::notifications::{Letterhead, readers};
use crate::tickets::attachments::NewAttachment;
use crate::tickets::idempotency::{self, Claim};
use crate::tickets::messages::{self, NewNote, NewReply, ReplyOutcome, Words};
use crate::tickets::status::Status;
use crate::tickets::ticket;
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
    /// Makes a second click the same click.
    #[serde(default)]
    once: String,
    /// What the ticket becomes, by the button.
    status: Option<String>,
    #[serde(default)]
    kept: Vec<String>,
}

/// What a form did.
enum Done {
    Sent,
    /// So many messages had been seen when it was written.
    Stale(i32),
}

/// `POST /tickets/{reference}/replies`
pub async fn reply(app: Data<App>, agent: Agent, reference: Path<String>, upload: Upload<AnswerForm>) -> PageResult {
    let Upload { form, files } = upload;
    let reference = reference.into_inner();
    require_ticket(&app, &agent, &reference).await?;
    let files = kept_files::gather(&app, &agent.signed_in.person.handle, &form.kept, files).await?;
    let status = match form.status.as_deref() {
        None => Status::WaitingForCustomer,
        Some(status) => Status::parse(status).ok_or_else(PageError::bad_request)?,
    };
    let reply = NewReply {
        words: Words::on_page(&form.text),
        attachments: files.clone(),
        seen: form.seen,
        status,
        mail_id: None,
        ingest: None,
    };
    let digest = digest(&form.text, &files);
    let letterhead = Letterhead::new(&app.keys, &app.config);
    let (actor, now) = (agent.actor().clone(), app.clock.now());
    let (asked, once, seen) = (reference.clone(), form.once, form.seen);
    let outcome = app
        .database
        .write(move |db| {
            let ticket = ticket::by_reference(db, &actor, &asked)?;
            let done = once_only(db, &actor, &once, &digest, now, |db| {
                Ok(match messages::add_reply(db, &ticket, reply.clone(), &actor, now)? {
                    ReplyOutcome::Sent(_) => Done::Sent,
                    ReplyOutcome::Stale(_) => Done::Stale(seen),
                })
            })?;
            let is_mailed = !readers::of_answers(db, &letterhead, &ticket, actor.person())?.is_empty();
            Ok((done, if is_mailed { "said-reply-sent" } else { "said-reply-recorded" }))
        })
        .await;
    let draft = Draft {
        reply: form.text,
        kept: kept_files::keep(&app, &agent.signed_in.person.handle, &files),
        ..Draft::default()
    };
    let to = format!("/tickets/{reference}");
    match outcome {
        Ok((Done::Sent, said)) => Ok(respond::redirect_saying(&to, said)),
        Ok((Done::Stale(seen), _)) => {
            let notice = Some(Text::new("reply-stale"));
            let draft = Draft { seen: Some(seen), notice, ..draft };
            ticket_page::page(&app, &agent, reference, false, draft, StatusCode::CONFLICT).await
        }
        Err(error) => again(&app, &agent, reference, draft, error).await,
    }
}

/// `POST /tickets/{reference}/notes`
pub async fn note(app: Data<App>, agent: Agent, reference: Path<String>, upload: Upload<AnswerForm>) -> PageResult {
    let Upload { form, files } = upload;
    let reference = reference.into_inner();
    require_ticket(&app, &agent, &reference).await?;
    let files = kept_files::gather(&app, &agent.signed_in.person.handle, &form.kept, files).await?;
    let note = NewNote { words: Words::on_page(&form.note), attachments: files.clone(), mail_id: None, ingest: None };
    let digest = digest(&form.note, &files);
    let (actor, now) = (agent.actor().clone(), app.clock.now());
    let (asked, once) = (reference.clone(), form.once);
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
            let draft = Draft {
                note: form.note,
                is_note: true,
                kept: kept_files::keep(&app, &agent.signed_in.person.handle, &files),
                ..Draft::default()
            };
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
    actor: &crate::access::Actor,
    once: &str,
    digest: &[u8],
    now: crate::clock::UtcTime,
    action: impl FnOnce(&mut DbConnection) -> Result<Done>,
) -> Result<Done> {
    let Some(person) = actor.person() else { return Err(Error::Forbidden) };
    if once.is_empty() || once.len() > 64 {
        return action(db);
    }
    let key = format!("page:{once}:{}", data_encoding::HEXLOWER.encode(&digest[..8]));
    if idempotency::claim(db, person, &key, digest, now)? != Claim::New {
        return Ok(Done::Sent);
    }
    let done = action(db)?;
    if matches!(done, Done::Stale(_)) {
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
