//! The registration of a legal entity with one contact (E1). Each field says why it is asked (B16).

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use actix_web::web::{Data, Path};
use askama::Template;

use super::password::{NewPasswordForm, to_sign_in};
use super::sign_in::{dead_link, enter, place_of, sent};
use crate::app::App;
use crate::error::{Error, FieldErrors};
use crate::people::countries;
use crate::people::registration::{self, Completed, Pending, RegistrationForm};
use crate::people::sessions::Limits;
use crate::web::forms::Form;
use crate::web::hashing;
use crate::web::navigation::Place;
use crate::web::page::{Choice, Page};
use crate::web::page_error::PageResult;
use crate::web::respond::{page_with, redirect};
use crate::web::signed_in::Visitor;

#[derive(Template)]
#[template(path = "portal/registration.html")]
struct RegistrationPage {
    p: Page,
    errors: FieldErrors,
    action: String,
    typed: RegistrationForm,
    countries: Vec<Choice>,
}

#[derive(Template)]
#[template(path = "portal/registration_link.html")]
struct ConfirmationPage {
    p: Page,
    errors: FieldErrors,
    action: String,
    legal_name: String,
    address: String,
    needs_password: bool,
}

/// `GET /{locale}/registration`
pub async fn new(app: Data<App>, visitor: Visitor) -> PageResult {
    show(&app, &visitor, RegistrationForm::default(), FieldErrors::default(), StatusCode::OK)
}

/// `POST /{locale}/registration`
pub async fn create(app: Data<App>, visitor: Visitor, Form(form): Form<RegistrationForm>) -> PageResult {
    let registration = match form.check(visitor.locale) {
        Ok(registration) => registration,
        Err(Error::Invalid(errors)) => {
            return show(&app, &visitor, form, errors, StatusCode::UNPROCESSABLE_ENTITY);
        }
        Err(error) => return Err(error.into()),
    };
    let (now, place) = (app.clock.now(), place_of(&visitor));
    app.database.write(move |db| registration::request(db, &registration, &place, now)).await?;
    Ok(redirect(&format!("/{}/registration/sent", visitor.locale)))
}

/// `GET /{locale}/registration/sent`
pub async fn link_sent(app: Data<App>, visitor: Visitor) -> PageResult {
    sent(&app, &visitor, "sent-registration", "registration")
}

/// `GET /l/registration/{token}`
pub async fn link(app: Data<App>, visitor: Visitor, token: Path<String>) -> PageResult {
    let token = token.into_inner();
    match find(&app, &token).await? {
        Some(pending) => confirmation(&app, &visitor, &token, &pending, FieldErrors::default(), StatusCode::OK),
        None => dead_link(&app, &visitor),
    }
}

/// `POST /l/registration/{token}`
pub async fn use_link(
    app: Data<App>,
    visitor: Visitor,
    request: HttpRequest,
    token: Path<String>,
    Form(form): Form<NewPasswordForm>,
) -> PageResult {
    let (now, token, limits) = (app.clock.now(), token.into_inner(), Limits::from(&app.config.security));
    let Some(pending) = find(&app, &token).await? else { return dead_link(&app, &visitor) };
    let mut hash = None;
    if pending.needs_password {
        let registration = &pending.registration;
        let own = [
            registration.address.as_str(),
            registration.first_name.as_str(),
            registration.last_name.as_str(),
            registration.legal_name.as_str(),
        ];
        match hashing::chosen(form.password, &own).await {
            Ok(chosen) => hash = Some(chosen),
            Err(Error::Invalid(errors)) => {
                let status = StatusCode::UNPROCESSABLE_ENTITY;
                return confirmation(&app, &visitor, &token, &pending, errors, status);
            }
            Err(error) => return Err(error.into()),
        }
    }
    let place = place_of(&visitor);
    let completed =
        app.database.write(move |db| registration::complete(db, &token, hash.as_ref(), &place, &limits, now)).await?;
    match completed {
        Some(Completed::SignedIn(entered)) => {
            enter(&app, &request, entered, false, "/account/organisation?said=said-registered").await
        }
        Some(Completed::KnownPerson) => Ok(to_sign_in(&visitor)),
        None => dead_link(&app, &visitor),
    }
}

fn show(app: &App, visitor: &Visitor, typed: RegistrationForm, errors: FieldErrors, status: StatusCode) -> PageResult {
    let p = visitor.page(app, "registration-title", Place::Nowhere);
    let countries = Choice::list(countries::all(&p.t), &typed.country);
    let action = format!("/{}/registration", visitor.locale);
    page_with(&RegistrationPage { p, errors, action, typed, countries }, status)
}

async fn find(app: &App, token: &str) -> Result<Option<Pending>, Error> {
    let (now, token) = (app.clock.now(), token.to_owned());
    app.database.read(move |db| registration::find(db, &token, now)).await
}

fn confirmation(
    app: &App,
    visitor: &Visitor,
    token: &str,
    pending: &Pending,
    errors: FieldErrors,
    status: StatusCode,
) -> PageResult {
    let shown = ConfirmationPage {
        p: visitor.page(app, "registration-link-title", Place::Nowhere),
        errors,
        action: format!("/l/registration/{token}"),
        legal_name: pending.registration.legal_name.clone(),
        address: pending.registration.address.shown(),
        needs_password: pending.needs_password,
    };
    page_with(&shown, status)
}
