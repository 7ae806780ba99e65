//! The link in a mail (U-03b): it opens one request, to read and to answer, for fourteen days. It never signs anybody in,
//! and opening it changes nothing, however often a mail program or its reader does; when it is old, a fresh one goes by mail.

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use actix_web::web::{Data, Path, Query};
use askama::Template;

use super::conversation::load;
use super::filing::{ask_for_files_again, context, needs_new_key, store};
use super::request::{AnswerForm, RequestPage, RequestQuery};
use super::sign_in::place_of;
use crate::access::Actor;
use crate::app::App;
use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::types::TicketId;
use crate::error::{Error, FieldErrors, Result};
use crate::intake::from_form::{self, Answer};
use crate::people::person::{self, Person, PersonState};
use crate::secret::random_handle;
use crate::tickets::links::{self, Link};
use crate::tickets::{Ticket, ticket};
use crate::web::attachment_download;
use crate::web::forms::{Form, Nothing, Upload};
use crate::web::lookups;
use crate::web::message_frame::{self, FrameQuery};
use crate::web::navigation::Place;
use crate::web::page::Page;
use crate::web::page_error::PageResult;
use crate::web::respond::{page, page_with, redirect, redirect_saying};
use crate::web::signed_in::Visitor;

/// What a link gives: the reader, who acts only for this ticket.
struct Opened {
    actor: Actor,
    person: Person,
    ticket: Ticket,
}

/// What stands behind a token.
enum Behind {
    Open(Box<Opened>),
    Expired { person: Person, ticket: TicketId },
}

fn find(db: &mut DbConnection, token: &str, now: UtcTime) -> Result<Behind> {
    let link = links::find(db, token, now)?.ok_or(Error::NotFound)?;
    let (id, ticket) = match &link {
        Link::Open(Actor::LinkHolder { person, ticket }) => (*person, *ticket),
        Link::Open(_) => return Err(Error::NotFound),
        Link::Expired { person, ticket } => (*person, *ticket),
    };
    // Who was blocked reads nothing by links either (B15).
    let person = Some(person::by_id(db, id)?).filter(|person| person.state == PersonState::Active);
    let person = person.ok_or(Error::NotFound)?;
    match link {
        Link::Open(actor) => {
            let ticket = ticket::by_id(db, ticket)?;
            Ok(Behind::Open(Box::new(Opened { actor, person, ticket })))
        }
        Link::Expired { .. } => Ok(Behind::Expired { person, ticket }),
    }
}

/// What an open link gives; an old one is as good as none.
fn open(db: &mut DbConnection, token: &str, now: UtcTime) -> Result<Opened> {
    match find(db, token, now)? {
        Behind::Open(opened) => Ok(*opened),
        Behind::Expired { .. } => Err(Error::NotFound),
    }
}

/// `GET /l/ticket/{token}`
pub async fn show(
    app: Data<App>,
    visitor: Visitor,
    path: Path<String>,
    Query(query): Query<RequestQuery>,
) -> PageResult {
    let whole = query.messages == "all";
    show_page(&app, visitor, &path, whole, AnswerForm::default(), FieldErrors::default(), StatusCode::OK).await
}

/// `POST /l/ticket/{token}/answers`
pub async fn answer(
    app: Data<App>,
    request: HttpRequest,
    visitor: Visitor,
    path: Path<String>,
    upload: Upload<AnswerForm>,
) -> PageResult {
    let Upload { form, files } = upload;
    let had_files = !files.is_empty();
    let now = app.clock.now();
    let token = path.clone();
    // Before files are stored: a link that opens nothing stores nothing.
    app.database.read(move |db| open(db, &token, now).map(|_| ())).await?;
    let said = Answer {
        text: form.text.clone(),
        files: store(&app, files).await?,
        // Without the token: what is recorded is read by staff.
        context: context(&request, &app, "/l/ticket/-", &form.time_zone),
        key: form.key.clone(),
    };
    let token = path.clone();
    let outcome = app
        .database
        .write(move |db| {
            let Opened { actor, person, ticket } = open(db, &token, now)?;
            let reference = from_form::answer(db, &ticket, &said, &person, &actor, now)?;
            Ok(reference == ticket.reference)
        })
        .await;
    match outcome {
        // The link opens one request and no other: the way to the one that goes on from it comes by mail.
        Ok(is_there) => {
            let said = if is_there { "said-answer-sent" } else { "said-answer-goes-on" };
            Ok(redirect_saying(&format!("/l/ticket/{}", *path), said))
        }
        Err(Error::Invalid(mut errors)) => {
            ask_for_files_again(&mut errors, had_files);
            show_page(&app, visitor, &path, false, form, errors, StatusCode::UNPROCESSABLE_ENTITY).await
        }
        Err(error) => Err(error.into()),
    }
}

/// `POST /l/ticket/{token}/confirmation`: the requester says that the address is theirs.
pub async fn confirm(app: Data<App>, path: Path<String>, _: Form<Nothing>) -> PageResult {
    let (token, now) = (path.clone(), app.clock.now());
    app.database
        .write(move |db| {
            let Opened { actor, person, ticket } = open(db, &token, now)?;
            from_form::confirm_address(db, &ticket, &person, &actor, now)
        })
        .await?;
    Ok(redirect_saying(&format!("/l/ticket/{}", *path), "said-address-confirmed"))
}

/// `POST /l/ticket/{token}/renewal`: a fresh link goes to the mailbox that the old one went to.
pub async fn renew(app: Data<App>, visitor: Visitor, path: Path<String>, _: Form<Nothing>) -> PageResult {
    let (token, now) = (path.clone(), app.clock.now());
    let ip = place_of(&visitor).ip_address;
    app.database
        .write(move |db| match find(db, &token, now)? {
            Behind::Expired { person, ticket } => links::renew(db, ticket, person.id, &ip, now),
            Behind::Open(_) => Ok(()),
        })
        .await?;
    Ok(redirect(&format!("/{}/requests/link-sent", visitor.locale)))
}

/// `GET /l/ticket/{token}/attachments/{handle}`
pub async fn attachment(app: Data<App>, visitor: Visitor, path: Path<(String, String)>) -> PageResult {
    let (token, handle) = path.into_inner();
    let now = app.clock.now();
    let opened = app.database.read(move |db| open(db, &token, now)).await?;
    attachment_download::serve(&app, opened.actor, visitor.ip, handle).await
}

/// `GET /l/ticket/{token}/messages/{handle}/frame`
pub async fn mail(
    app: Data<App>,
    visitor: Visitor,
    path: Path<(String, String)>,
    Query(query): Query<FrameQuery>,
) -> PageResult {
    let (token, handle) = path.into_inner();
    let now = app.clock.now();
    let base = format!("/l/ticket/{token}");
    let opened = app.database.read(move |db| open(db, &token, now)).await?;
    let with_images = query.images.is_some();
    message_frame::serve(&app, opened.actor, visitor.ip, visitor.texts(), handle, with_images, &base).await
}

async fn show_page(
    app: &Data<App>,
    mut visitor: Visitor,
    token: &str,
    whole: bool,
    mut form: AnswerForm,
    errors: FieldErrors,
    status: StatusCode,
) -> PageResult {
    if form.key.is_empty() || needs_new_key(&errors) {
        form.key = random_handle();
    }
    let (wanted, now) = (token.to_owned(), app.clock.now());
    let found = lookups::limited(app, visitor.ip, move |db| match find(db, &wanted, now)? {
        Behind::Expired { person, .. } => Ok((person, None)),
        Behind::Open(opened) => {
            let Opened { actor, person, ticket } = *opened;
            let loaded = load(db, ticket, &actor, &person, whole, now)?;
            Ok((person, Some(loaded)))
        }
    })
    .await?;
    let (person, loaded) = found;
    // The mail was in the recipient's language, and so is what it leads to.
    visitor.locale = person.language.0;
    let base = format!("/l/ticket/{token}");
    let Some(loaded) = loaded else {
        let p = visitor.page(app, "link-expired-title", Place::Nowhere);
        return page(&ExpiredPage { p, base });
    };
    let mut p = visitor.page(app, "request-title", Place::Nowhere);
    let below = |part: &str| format!("{base}/{part}");
    let request = loaded.in_words(&p.t, &person, base.clone(), &below("attachments"), &below("messages"), p.now);
    p.title = request.title(&p.t);
    let page =
        RequestPage { p, errors, r: request, typed: form, crumbs: Vec::new(), colleagues: Vec::new(), is_link: true };
    page_with(&page, status)
}

#[derive(Template)]
#[template(path = "portal/link_expired.html")]
struct ExpiredPage {
    p: Page,
    base: String,
}
