//! A forgotten password, and the links in mails behind which a password is chosen: reset and invitation.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use serde::Deserialize;

use super::sign_in::{dead_link, enter, place_of, sent};
use crate::app::App;
use crate::error::{Error, FieldErrors};
use crate::mail::address::EmailAddress;
use crate::people::invitations::{self, Accepted, Pending};
use crate::people::passwords::Password;
use crate::people::sessions::Limits;
use crate::people::sign_in;
use crate::secret::Secret;
use crate::web::forms::Form;
use crate::web::hashing;
use crate::web::navigation::Place;
use crate::web::page::Page;
use crate::web::page_error::{PageError, PageResult};
use crate::web::respond::{form_again, page, page_with, redirect, redirect_saying};
use crate::web::signed_in::Visitor;

/// The form of who forgot their password.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForgottenForm {
    address: String,
}

/// A password being chosen; left out where none is asked for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewPasswordForm {
    #[serde(default = "no_password")]
    pub(super) password: Password,
}

#[derive(Template)]
#[template(path = "portal/forgotten.html")]
struct ForgottenPage {
    p: Page,
    errors: FieldErrors,
    action: String,
    cancel: String,
    address: String,
}

#[derive(Template)]
#[template(path = "portal/new_password.html")]
struct NewPasswordPage {
    p: Page,
    errors: FieldErrors,
    action: String,
    address: String,
}

#[derive(Template)]
#[template(path = "portal/invitation.html")]
struct InvitationPage {
    p: Page,
    errors: FieldErrors,
    action: String,
    pending: Pending,
}

/// `GET /{locale}/password`
pub async fn new(app: Data<App>, visitor: Visitor) -> PageResult {
    forgotten(&app, &visitor, ForgottenForm::default(), FieldErrors::default())
}

/// `POST /{locale}/password`
pub async fn request(app: Data<App>, visitor: Visitor, Form(form): Form<ForgottenForm>) -> PageResult {
    let Some(address) = EmailAddress::parse(form.address.trim()) else {
        let mut errors = FieldErrors::default();
        errors.add("address", if form.address.trim().is_empty() { "error-mandatory" } else { "error-address" });
        return forgotten(&app, &visitor, form, errors);
    };
    let (now, place) = (app.clock.now(), place_of(&visitor));
    app.database.write(move |db| sign_in::request_password(db, &address, &place, now)).await?;
    Ok(redirect(&format!("/{}/password/sent", visitor.locale)))
}

/// `GET /{locale}/password/sent`
pub async fn link_sent(app: Data<App>, visitor: Visitor) -> PageResult {
    sent(&app, &visitor, "sent-password", "password")
}

/// `GET /l/password/{token}`
pub async fn link(app: Data<App>, visitor: Visitor, token: Path<String>) -> PageResult {
    let (now, token) = (app.clock.now(), token.into_inner());
    let wanted = token.clone();
    let found = app.database.read(move |db| sign_in::find_password_link(db, &wanted, now)).await?;
    let Some(person) = found else { return dead_link(&app, &visitor) };
    page(&NewPasswordPage {
        p: visitor.page(&app, "new-password-title", Place::Nowhere),
        errors: FieldErrors::default(),
        action: format!("/l/password/{token}"),
        address: person.address,
    })
}

/// `POST /l/password/{token}`
pub async fn use_link(
    app: Data<App>,
    visitor: Visitor,
    request: HttpRequest,
    token: Path<String>,
    Form(form): Form<NewPasswordForm>,
) -> PageResult {
    let (now, token, limits) = (app.clock.now(), token.into_inner(), Limits::from(&app.config.security));
    let wanted = token.clone();
    let found = app.database.read(move |db| sign_in::find_password_link(db, &wanted, now)).await?;
    let Some(person) = found else { return dead_link(&app, &visitor) };
    let own = [person.address.as_str(), person.first_name.as_str(), person.last_name.as_str()];
    let hash = match hashing::chosen(form.password, &own).await {
        Ok(hash) => hash,
        Err(Error::Invalid(errors)) => {
            let p = visitor.page(&app, "new-password-title", Place::Nowhere);
            let action = format!("/l/password/{token}");
            return form_again(&NewPasswordPage { p, errors, action, address: person.address });
        }
        Err(error) => return Err(error.into()),
    };
    let place = place_of(&visitor);
    let used = app.database.write(move |db| sign_in::by_new_password(db, &token, &hash, &place, &limits, now)).await?;
    match used {
        Some(entered) => enter(&app, &request, entered, false, "/account/security?said=said-password-changed").await,
        None => dead_link(&app, &visitor),
    }
}

/// `GET /l/invitation/{token}`
pub async fn invitation(app: Data<App>, visitor: Visitor, token: Path<String>) -> PageResult {
    let token = token.into_inner();
    match find_invitation(&app, &token).await? {
        Some(pending) => invitation_page(&app, &visitor, &token, pending, FieldErrors::default(), StatusCode::OK),
        None => dead_link(&app, &visitor),
    }
}

/// `POST /l/invitation/{token}`
pub async fn accept_invitation(
    app: Data<App>,
    visitor: Visitor,
    request: HttpRequest,
    token: Path<String>,
    Form(form): Form<NewPasswordForm>,
) -> PageResult {
    let (now, token, limits) = (app.clock.now(), token.into_inner(), Limits::from(&app.config.security));
    let Some(pending) = find_invitation(&app, &token).await? else { return dead_link(&app, &visitor) };
    let mut hash = None;
    if pending.needs_password {
        match hashing::chosen(form.password, &[pending.address.as_str()]).await {
            Ok(chosen) => hash = Some(chosen),
            Err(Error::Invalid(errors)) => {
                let status = StatusCode::UNPROCESSABLE_ENTITY;
                return invitation_page(&app, &visitor, &token, pending, errors, status);
            }
            Err(error) => return Err(error.into()),
        }
    }
    let (place, language) = (place_of(&visitor), visitor.locale);
    let accepted = app
        .database
        .write(move |db| invitations::accept(db, &token, hash.as_ref(), &place, &limits, language, now))
        .await?;
    match accepted {
        Some(Accepted::SignedIn(entered)) => enter(&app, &request, entered, false, "/").await,
        Some(Accepted::KnownPerson) => Ok(to_sign_in(&visitor)),
        None => dead_link(&app, &visitor),
    }
}

/// Somebody has an account already: on to it.
pub(super) fn to_sign_in(visitor: &Visitor) -> HttpResponse {
    if visitor.signed_in.is_some() {
        redirect_saying("/account", "said-joined")
    } else {
        redirect_saying(&format!("/{}/sign-in", visitor.locale), "said-joined")
    }
}

async fn find_invitation(app: &App, token: &str) -> Result<Option<Pending>, Error> {
    let (now, token) = (app.clock.now(), token.to_owned());
    app.database.read(move |db| invitations::find(db, &token, now)).await
}

fn invitation_page(
    app: &App,
    visitor: &Visitor,
    token: &str,
    pending: Pending,
    errors: FieldErrors,
    status: StatusCode,
) -> PageResult {
    let p = visitor.page(app, "invitation-title", Place::Nowhere);
    page_with(&InvitationPage { p, errors, action: format!("/l/invitation/{token}"), pending }, status)
}

fn forgotten(
    app: &App,
    visitor: &Visitor,
    form: ForgottenForm,
    errors: FieldErrors,
) -> Result<HttpResponse, PageError> {
    let status = if errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let shown = ForgottenPage {
        p: visitor.page(app, "forgotten-title", Place::Nowhere),
        errors,
        action: format!("/{}/password", visitor.locale),
        cancel: format!("/{}/sign-in", visitor.locale),
        address: form.address,
    };
    page_with(&shown, status)
}

fn no_password() -> Password {
    Secret::new(String::new())
}
