//! One request for somebody signed in: read it, answer it, close and reopen it, hide it from colleagues, say who takes part.

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use actix_web::web::{Data, Path, Query};
use askama::Template;
use serde::Deserialize;

use super::conversation::{Conversation, Entry, load};
use super::filing::{ask_for_files_again, context, needs_new_key, store};
use crate::access::{self, Actor};
use crate::app::App;
use crate::error::{Error, FieldErrors};
use crate::i18n::Message;
use crate::intake::from_form::{self, Answer};
use crate::people::{memberships, person};
use crate::secret::random_handle;
use crate::tickets::status::{self, Status};
use crate::tickets::{following_up, moving, participants, ticket};
use crate::web::forms::{Form, Nothing, Upload};
use crate::web::lookups;
use crate::web::message_frame;
use crate::web::navigation::Place;
use crate::web::page::{Choice, Crumb, Page};
use crate::web::page_error::{PageError, PageResult};
use crate::web::respond::{page_with, redirect_saying};
use crate::web::signed_in::SignedIn;

/// What may be asked of the page.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct RequestQuery {
    /// `all`: the earlier messages too.
    pub messages: String,
}

/// The form of an answer.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AnswerForm {
    pub text: String,
    pub key: String,
    pub time_zone: String,
}

/// `GET /requests/{reference}`
pub async fn show(
    app: Data<App>,
    reader: SignedIn,
    path: Path<String>,
    Query(query): Query<RequestQuery>,
) -> PageResult {
    if reader.actor.is_staff() {
        return Err(PageError::Elsewhere(format!("/tickets/{}", url_part(&path))));
    }
    let whole = query.messages == "all";
    show_page(&app, &reader, &path, whole, AnswerForm::default(), FieldErrors::default(), StatusCode::OK).await
}

/// `POST /requests/{reference}/answers`
pub async fn answer(
    app: Data<App>,
    request: HttpRequest,
    reader: SignedIn,
    path: Path<String>,
    upload: Upload<AnswerForm>,
) -> PageResult {
    reader.customer()?;
    let Upload { form, files } = upload;
    let had_files = !files.is_empty();
    let now = app.clock.now();
    // Before files are stored: who may not see the request stores nothing.
    let (actor, reference) = (reader.actor.clone(), path.clone());
    app.database.read(move |db| ticket::by_reference(db, &actor, &reference).map(|_| ())).await?;
    let said = Answer {
        text: form.text.clone(),
        files: store(&app, files).await?,
        context: context(&request, &app, &format!("/requests/{}", *path), &form.time_zone),
        key: form.key.clone(),
    };
    let (actor, person, reference) = (reader.actor.clone(), reader.person.clone(), path.clone());
    let outcome = app
        .database
        .write(move |db| {
            let ticket = ticket::by_reference(db, &actor, &reference)?;
            let stands_in = from_form::answer(db, &ticket, &said, &person, &actor, now)?;
            let told = if stands_in == ticket.reference { "said-answer-sent" } else { "said-answer-goes-on" };
            Ok((stands_in, told))
        })
        .await;
    match outcome {
        Ok((reference, told)) => Ok(redirect_saying(&format!("/requests/{}", url_part(&reference)), told)),
        Err(Error::Invalid(mut errors)) => {
            ask_for_files_again(&mut errors, had_files);
            show_page(&app, &reader, &path, false, form, errors, StatusCode::UNPROCESSABLE_ENTITY).await
        }
        Err(error) => Err(error.into()),
    }
}

/// `POST /requests/{reference}/closing`
pub async fn close(app: Data<App>, reader: SignedIn, path: Path<String>, _: Form<Nothing>) -> PageResult {
    set_status(&app, &reader, &path, Status::Closed, "said-request-closed").await
}

/// `POST /requests/{reference}/reopening`
pub async fn reopen(app: Data<App>, reader: SignedIn, path: Path<String>, _: Form<Nothing>) -> PageResult {
    set_status(&app, &reader, &path, Status::WaitingForUs, "said-request-reopened").await
}

async fn set_status(app: &App, reader: &SignedIn, reference: &str, to: Status, said: &str) -> PageResult {
    reader.customer()?;
    let (actor, wanted, now) = (reader.actor.clone(), reference.to_owned(), app.clock.now());
    app.database
        .write(move |db| {
            let ticket = ticket::by_reference(db, &actor, &wanted)?;
            // A second click asks for what is so already.
            let is_so = (ticket.status == Status::Closed) == (to == Status::Closed);
            if is_so {
                return Ok(());
            }
            if to != Status::Closed && following_up::stays_closed(db, &ticket, now)? {
                return Err(Error::Conflict(Message::new("request-stays-closed")));
            }
            status::set(db, &ticket, to, &actor, now)
        })
        .await?;
    Ok(redirect_saying(&format!("/requests/{}", url_part(reference)), said))
}

/// Who may see the request beside those who take part: `private` or `shared`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VisibilityForm {
    visibility: String,
}

/// `POST /requests/{reference}/visibility`
pub async fn set_visibility(
    app: Data<App>,
    reader: SignedIn,
    path: Path<String>,
    Form(form): Form<VisibilityForm>,
) -> PageResult {
    reader.customer()?;
    let (actor, reference, now) = (reader.actor.clone(), path.clone(), app.clock.now());
    let is_private = form.visibility == "private";
    app.database
        .write(move |db| {
            let ticket = ticket::by_reference(db, &actor, &reference)?;
            moving::set_private(db, &ticket, is_private, &actor, now)
        })
        .await?;
    Ok(redirect_saying(&format!("/requests/{}", url_part(&path)), "said-request-saved"))
}

/// A colleague, by public name.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ParticipantForm {
    participant: String,
}

/// `POST /requests/{reference}/participants`: a colleague reads and answers it too, from now on.
pub async fn add_participant(
    app: Data<App>,
    reader: SignedIn,
    path: Path<String>,
    Form(form): Form<ParticipantForm>,
) -> PageResult {
    reader.customer()?;
    let (actor, reference, now) = (reader.actor.clone(), path.clone(), app.clock.now());
    app.database
        .write(move |db| {
            let ticket = ticket::by_reference(db, &actor, &reference)?;
            // Only colleagues: to others an agent writes.
            let member = memberships::find_member(db, ticket.organisation_id, &form.participant)?;
            let member = member.filter(
                |_| matches!(&actor, Actor::Customer(customer) if customer.is_member_of(ticket.organisation_id)),
            );
            participants::approve(db, &ticket, member.ok_or(Error::NotFound)?.person_id, &actor, now)
        })
        .await?;
    Ok(redirect_saying(&format!("/requests/{}", url_part(&path)), "said-request-saved"))
}

/// `POST /requests/{reference}/participants/{handle}/removal`
pub async fn remove_participant(
    app: Data<App>,
    reader: SignedIn,
    path: Path<(String, String)>,
    _: Form<Nothing>,
) -> PageResult {
    reader.customer()?;
    let (reference, handle) = path.into_inner();
    let (actor, wanted, now) = (reader.actor.clone(), reference.clone(), app.clock.now());
    let may_still_see = app
        .database
        .write(move |db| {
            let ticket = ticket::by_reference(db, &actor, &wanted)?;
            let person = person::find_by_handle(db, &handle)?.ok_or(Error::NotFound)?;
            participants::find(db, ticket.id, person.id)?.ok_or(Error::NotFound)?;
            participants::remove(db, &ticket, person.id, &actor, now)?;
            ticket::is_visible(db, &actor, ticket.id)
        })
        .await?;
    let next = if may_still_see { format!("/requests/{}", url_part(&reference)) } else { "/requests".to_owned() };
    Ok(redirect_saying(&next, "said-request-saved"))
}

async fn show_page(
    app: &Data<App>,
    reader: &SignedIn,
    reference: &str,
    whole: bool,
    mut form: AnswerForm,
    errors: FieldErrors,
    status: StatusCode,
) -> PageResult {
    if form.key.is_empty() || needs_new_key(&errors) {
        form.key = random_handle();
    }
    let (actor, person, wanted) = (reader.actor.clone(), reader.person.clone(), reference.to_owned());
    let now = app.clock.now();
    let (loaded, colleagues) = lookups::limited(app, reader.ip, move |db| {
        let ticket = ticket::by_reference(db, &actor, &wanted)?;
        let is_mine = ticket.requester_id == person.id;
        let colleagues = if is_mine && access::can_see_organisation(&actor, ticket.organisation_id) {
            memberships::members(db, ticket.organisation_id, None, COLLEAGUES)?.rows
        } else {
            Vec::new()
        };
        Ok((load(db, ticket, &actor, &person, whole, now)?, colleagues))
    })
    .await?;
    let mut p = reader.page(app, "request-title", Place::Requests);
    let base = format!("/requests/{}", loaded.ticket.reference);
    let request = loaded.in_words(&p.t, &reader.person, base, "/attachments", "/messages", p.now);
    p.title = request.title(&p.t);
    let colleagues = colleagues
        .into_iter()
        .filter(|member| request.participants.iter().all(|participant| participant.handle != member.handle))
        .map(|member| {
            let name = member.display_name();
            (member.handle, name)
        });
    let colleagues = Choice::list(colleagues, "");
    let crumbs = vec![Crumb::new(p.t.say("nav-requests"), "/requests")];
    let page = RequestPage { p, errors, r: request, typed: form, crumbs, colleagues, is_link: false };
    page_with(&page, status)
}

/// Colleagues from whom the requester chooses who takes part.
const COLLEAGUES: i64 = 200;

/// A part of an address as it was asked for, made fit to stand in another.
fn url_part(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// The page of a request; also behind the link in a mail, with less around it.
#[derive(Template)]
#[template(path = "portal/request.html")]
pub struct RequestPage {
    pub p: Page,
    pub errors: FieldErrors,
    pub r: Conversation,
    pub typed: AnswerForm,
    pub crumbs: Vec<Crumb>,
    pub colleagues: Vec<Choice>,
    /// Whether the reader holds a link and is perhaps not signed in.
    pub is_link: bool,
}

impl RequestPage {
    /// The value of `sandbox` on the frames of mails.
    fn sandbox(&self) -> &'static str {
        message_frame::SANDBOX
    }

    fn answer_title(&self) -> String {
        self.p.t.say(match (self.r.stays_closed, self.r.is_closed) {
            (true, _) => "answer-title-stays-closed",
            (false, true) => "answer-title-closed",
            (false, false) => "answer-title",
        })
    }

    fn answer_hint(&self) -> String {
        self.p.t.say(match (self.r.stays_closed, self.r.is_closed) {
            (true, _) => "answer-hint-stays-closed",
            (false, true) => "answer-hint-closed",
            (false, false) => "answer-hint",
        })
    }
}
