//! How one signs in: the password, where one is signed in, and the secrets of one's programs.

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use actix_web::web::{Data, Path};
use askama::Template;
use serde::Deserialize;

use super::super::sign_in::{enter, place_of};
use super::secrets::{self, SecretForm, SecretRow};
use super::{Tab, framed, no_password, prove};
use crate::app::App;
use crate::clock::UtcTime;
use crate::error::{Error, FieldErrors};
use crate::i18n::Texts;
use crate::people::passwords::{self, Password};
use crate::people::sessions::{self, Limits, Session};
use crate::people::sign_in;
use crate::people::{api_tokens, person};
use crate::web::forms::{Form, Nothing};
use crate::web::hashing;
use crate::web::navigation::Place;
use crate::web::page::{Choice, Page};
use crate::web::page_error::PageResult;
use crate::web::respond::redirect_saying;
use crate::web::signed_in::{SignedIn, Visitor};

/// A new password for oneself.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PasswordForm {
    #[serde(default = "no_password")]
    current_password: Password,
    password: Password,
}

struct SessionRow {
    handle: String,
    browser: String,
    ip_address: String,
    created_at: UtcTime,
    last_seen_at: UtcTime,
    expires_at: UtcTime,
    remembered: bool,
    is_this_one: bool,
}

#[derive(Template)]
#[template(path = "portal/account_security.html")]
struct SecurityPart {
    p: Page,
    errors: FieldErrors,
    password_changed_at: Option<UtcTime>,
    sessions: Vec<SessionRow>,
    has_others: bool,
    secrets: Vec<SecretRow>,
    typed: SecretForm,
    scopes: Vec<Choice>,
    organisations: Vec<Choice>,
    queues: Vec<Choice>,
    lifetimes: Vec<Choice>,
}

/// `GET /account/security`
pub async fn show(app: Data<App>, reader: SignedIn) -> PageResult {
    answer(&app, &reader, SecretForm::default(), FieldErrors::default(), StatusCode::OK).await
}

/// `POST /account/password`
pub async fn change_password(
    app: Data<App>,
    visitor: Visitor,
    reader: SignedIn,
    request: HttpRequest,
    Form(form): Form<PasswordForm>,
) -> PageResult {
    let mut errors = FieldErrors::default();
    let own = [reader.person.address.as_str(), reader.person.first_name.as_str(), reader.person.last_name.as_str()];
    passwords::judge(&mut errors, "password", &form.password, &own);
    if errors.is_empty() {
        prove(&app, &visitor, &reader, form.current_password).await?.judge(&mut errors);
    }
    if !errors.is_empty() {
        return answer(&app, &reader, SecretForm::default(), errors, StatusCode::UNPROCESSABLE_ENTITY).await;
    }
    let hash = hashing::hash(form.password).await?;
    let (now, place, limits) = (app.clock.now(), place_of(&visitor), Limits::from(&app.config.security));
    let (person, remembered) = (reader.person.id, reader.session.remembered);
    let entered = app
        .database
        .write(move |db| {
            let person = person::by_id(db, person)?;
            passwords::change(db, &person, &hash, now)?;
            sign_in::enter(db, person, "password_change", remembered, &place, &limits, now)
        })
        .await?;
    enter(&app, &request, entered, remembered, "/account/security?said=said-password-changed").await
}

/// `POST /account/sessions/others/end`
pub async fn end_other_sessions(app: Data<App>, reader: SignedIn, _: Form<Nothing>) -> PageResult {
    let (person, kept) = (reader.person.id, reader.session.id);
    app.database.write(move |db| sessions::end_others(db, person, kept)).await?;
    Ok(redirect_saying("/account/security", "said-account-sessions-ended"))
}

/// `POST /account/sessions/{handle}/end`
pub async fn end_session(app: Data<App>, reader: SignedIn, handle: Path<String>, _: Form<Nothing>) -> PageResult {
    let (person, handle) = (reader.person.id, handle.into_inner());
    let ended = app.database.write(move |db| sessions::end(db, person, &handle)).await?;
    if ended { Ok(redirect_saying("/account/security", "said-session-ended")) } else { Err(Error::NotFound.into()) }
}

/// The page, with what was typed into the form for a new secret.
pub(super) async fn answer(
    app: &App,
    reader: &SignedIn,
    typed: SecretForm,
    errors: FieldErrors,
    status: StatusCode,
) -> PageResult {
    let (person, now) = (reader.person.id, app.clock.now());
    let limits = Limits::from(&app.config.security);
    let actor = reader.actor.clone();
    let (changed_at, sessions, tokens, organisations, queues) = app
        .database
        .read(move |db| {
            let changed_at = passwords::changed_at(db, person)?;
            let sessions = sessions::of_person(db, person, &limits, now)?;
            let tokens = api_tokens::of_person(db, person)?;
            let organisations = api_tokens::possible_limits(db, person)?;
            Ok((changed_at, sessions, tokens, organisations, secrets::possible_queues(db, &actor)?))
        })
        .await?;
    let p = reader.page(app, "account-title", Place::Account);
    let t = p.t;
    let part = SecurityPart {
        password_changed_at: changed_at,
        has_others: sessions.len() > 1,
        sessions: sessions.into_iter().map(|session| row(&t, session, reader)).collect(),
        secrets: secrets::rows(&t, tokens, &organisations, &queues, now),
        scopes: secrets::scopes(&t, &typed, &reader.actor),
        lifetimes: secrets::lifetimes(&t, &typed),
        organisations: Choice::list(
            organisations.into_iter().map(|(_, handle, name)| (handle, name)),
            &typed.organisation,
        ),
        queues: Choice::list(
            queues.iter().map(|queue| (queue.handle.clone(), queue.name(t.locale).to_owned())),
            &typed.queue,
        ),
        p: p.clone(),
        errors,
        typed,
    };
    framed(p, reader, Tab::Security, &part, status)
}

fn row(t: &Texts, session: Session, reader: &SignedIn) -> SessionRow {
    SessionRow {
        browser: browser(t, &session.user_agent),
        is_this_one: session.id == reader.session.id,
        handle: session.handle,
        ip_address: session.ip_address,
        created_at: session.created_at,
        last_seen_at: session.last_seen_at,
        expires_at: session.expires_at,
        remembered: session.remembered,
    }
}

/// `Firefox, Linux`, or that it is unknown.
pub fn browser(t: &Texts, user_agent: &str) -> String {
    match woothee::parser::Parser::new().parse(user_agent) {
        Some(found) if found.os == woothee::woothee::VALUE_UNKNOWN => found.name.to_owned(),
        Some(found) => format!("{}, {}", found.name, found.os),
        None => t.say("session-browser-unknown"),
    }
}
