//! Signing in, by password or by a mailed link, and signing out. Before somebody has signed in no cookie is set (E4), and
//! nothing here tells whether an address is known (U-01, U-02).

use actix_web::http::{StatusCode, header};
use actix_web::web::{Data, Path, Query};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use serde::Deserialize;

use crate::app::App;
use crate::audit;
use crate::error::{Error, FieldErrors};
use crate::i18n::Message;
use crate::mail::address::EmailAddress;
use crate::people::passwords::Password;
use crate::people::sessions::{self, Limits, Place};
use crate::people::sign_in::{self, Outcome, SignedIn as Entered, Start};
use crate::secret::hash_token;
use crate::web::forms::{Form, Nothing};
use crate::web::navigation::Place as Nav;
use crate::web::page::Page;
use crate::web::page_error::{PageError, PageResult};
use crate::web::respond::{form_again, page, page_with, redirect, redirect_saying};
use crate::web::signed_in::{Visitor, cookie_for, cookie_removal, session_cookie};
use crate::web::{hashing, next};

/// The form of the sign-in page; both of its buttons send all of it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignInForm {
    address: String,
    password: Password,
    #[serde(default)]
    remember: bool,
    #[serde(default)]
    next: String,
}

/// Where to go afterwards.
#[derive(Deserialize)]
pub struct SignInQuery {
    #[serde(default)]
    next: String,
}

#[derive(Template)]
#[template(path = "portal/sign_in.html")]
struct SignInPage {
    p: Page,
    errors: FieldErrors,
    base: String,
    address: String,
    remember: bool,
    next: String,
}

#[derive(Template)]
#[template(path = "portal/sent.html")]
struct SentPage {
    p: Page,
    text: String,
    again: String,
}

#[derive(Template)]
#[template(path = "portal/sign_in_link.html")]
struct LinkPage {
    p: Page,
    action: String,
    address: String,
}

#[derive(Template)]
#[template(path = "portal/dead_link.html")]
struct DeadLinkPage {
    p: Page,
    base: String,
}

/// `GET /{locale}/sign-in`
pub async fn new(app: Data<App>, visitor: Visitor, query: Query<SignInQuery>) -> PageResult {
    let next = next::destination(&query.next);
    if visitor.signed_in.is_some() {
        return Ok(redirect(&next));
    }
    page(&SignInPage::of(&app, &visitor, next))
}

/// `POST /{locale}/sign-in`
pub async fn create(
    app: Data<App>,
    visitor: Visitor,
    request: HttpRequest,
    Form(form): Form<SignInForm>,
) -> PageResult {
    let (now, place, limits) = (app.clock.now(), place_of(&visitor), Limits::from(&app.config.security));
    let next = next::destination(&form.next);
    let per_hour = app.config.limits.sign_in_attempts_per_hour;
    let (typed, from) = (form.address.clone(), place.clone());
    let started = app.database.write(move |db| sign_in::start(db, &typed, &from, per_hour, now)).await?;
    let again = |message: Message| {
        let mut errors = FieldErrors::default();
        errors.add("", message);
        let shown = SignInPage::of(&app, &visitor, next.clone());
        SignInPage { errors, address: form.address.clone(), remember: form.remember, ..shown }
    };
    let (person, stored) = match started {
        Start::MustWait { retry_after_secs } => {
            let message = Message::new("sign-in-wait").with("seconds", retry_after_secs);
            let mut response = page_with(&again(message), StatusCode::TOO_MANY_REQUESTS)?;
            response.headers_mut().insert(header::RETRY_AFTER, retry_after_secs.into());
            return Ok(response);
        }
        Start::Check { person, stored } => (person, stored),
    };
    let checked = hashing::check(stored, form.password.clone()).await?;
    let (typed, remember) = (form.address.clone(), form.remember);
    let outcome = app
        .database
        .write(move |db| sign_in::finish(db, &typed, person, checked, remember, &place, &limits, now))
        .await?;
    match outcome {
        Outcome::SignedIn(entered) => enter(&app, &request, entered, form.remember, &next).await,
        Outcome::Wrong => form_again(&again("sign-in-wrong".into())),
    }
}

/// `POST /{locale}/sign-in/link`
pub async fn request_link(app: Data<App>, visitor: Visitor, Form(form): Form<SignInForm>) -> PageResult {
    let next = next::destination(&form.next);
    let Some(address) = EmailAddress::parse(form.address.trim()) else {
        let mut errors = FieldErrors::default();
        errors.add("address", if form.address.trim().is_empty() { "error-mandatory" } else { "error-address" });
        let shown = SignInPage::of(&app, &visitor, next);
        return form_again(&SignInPage { errors, address: form.address, ..shown });
    };
    let (now, place) = (app.clock.now(), place_of(&visitor));
    app.database.write(move |db| sign_in::request_link(db, &address, &next, &place, now)).await?;
    Ok(redirect(&format!("/{}/sign-in/sent", visitor.locale)))
}

/// `GET /{locale}/sign-in/sent`
pub async fn link_sent(app: Data<App>, visitor: Visitor) -> PageResult {
    sent(&app, &visitor, "sent-sign-in", "sign-in")
}

/// `GET /l/sign-in/{token}`: a page with one button, for programs open links too.
pub async fn link(app: Data<App>, visitor: Visitor, token: Path<String>) -> PageResult {
    let (now, token) = (app.clock.now(), token.into_inner());
    let wanted = token.clone();
    let found = app.database.read(move |db| sign_in::find_link(db, &wanted, now)).await?;
    let Some(address) = found else { return dead_link(&app, &visitor) };
    page(&LinkPage {
        p: visitor.page(&app, "sign-in-title", Nav::Nowhere),
        action: format!("/l/sign-in/{token}"),
        address: address.shown(),
    })
}

/// `POST /l/sign-in/{token}`
pub async fn use_link(
    app: Data<App>,
    visitor: Visitor,
    request: HttpRequest,
    token: Path<String>,
    _: Form<Nothing>,
) -> PageResult {
    let (now, place, limits) = (app.clock.now(), place_of(&visitor), Limits::from(&app.config.security));
    let token = token.into_inner();
    let used = app.database.write(move |db| sign_in::by_link(db, &token, &place, &limits, now)).await?;
    match used {
        Some((entered, wanted)) => enter(&app, &request, entered, false, &next::destination(&wanted)).await,
        None => dead_link(&app, &visitor),
    }
}

/// `POST /sign-out`
pub async fn end(app: Data<App>, visitor: Visitor, _: Form<Nothing>) -> PageResult {
    if let Some(signed_in) = &visitor.signed_in {
        let (now, person, handle) = (app.clock.now(), signed_in.person.id, signed_in.session.handle.clone());
        app.database
            .write(move |db| {
                sessions::end(db, person, &handle)?;
                let entry = audit::Entry {
                    kind: "sign_out",
                    actor: Some(person),
                    subject: Some(person),
                    ..audit::Entry::default()
                };
                audit::record(db, &entry, now)
            })
            .await?;
    }
    let mut response = redirect_saying(&format!("/{}/sign-in", visitor.locale), "said-signed-out");
    set_cookie(&mut response, cookie_removal(&app))?;
    Ok(response)
}

impl SignInPage {
    fn of(app: &App, visitor: &Visitor, next: String) -> SignInPage {
        SignInPage {
            p: visitor.page(app, "sign-in-title", Nav::Nowhere),
            errors: FieldErrors::default(),
            base: format!("/{}", visitor.locale),
            address: String::new(),
            remember: false,
            next,
        }
    }
}

/// Where the request comes from, for the person's own list of sessions.
pub fn place_of(visitor: &Visitor) -> Place {
    Place {
        ip_address: visitor.ip.map(|ip| ip.to_string()).unwrap_or_default(),
        user_agent: visitor.user_agent.clone(),
    }
}

/// Puts the new session into the browser and goes on to `to`. A session that the browser presented is over, whoever's it
/// was: nobody is signed in twice in one browser, and an id set beforehand is worth nothing (U-04).
pub async fn enter(app: &App, request: &HttpRequest, entered: Entered, remember: bool, to: &str) -> PageResult {
    if let Some(before) = session_cookie(request, app) {
        app.database.write(move |db| sessions::end_by_token(db, &hash_token(&before))).await?;
    }
    let mut response = redirect(to);
    let days = remember.then_some(sessions::REMEMBERED_DAYS);
    set_cookie(&mut response, cookie_for(app, entered.token.expose(), days))?;
    Ok(response)
}

fn set_cookie(response: &mut HttpResponse, cookie: actix_web::cookie::Cookie<'_>) -> Result<(), PageError> {
    response.add_cookie(&cookie).map_err(|error| PageError::Domain(Error::internal(format!("a cookie: {error}"))))
}

/// The page that says that a mail is under way, if the address is one we write to.
pub fn sent(app: &App, visitor: &Visitor, text_key: &str, again: &str) -> PageResult {
    let p = visitor.page(app, "sent-title", Nav::Nowhere);
    page(&SentPage { text: p.t.say(text_key), again: format!("/{}/{again}", visitor.locale), p })
}

/// The page of a link that was used, is too old, or never was one.
pub fn dead_link(app: &App, visitor: &Visitor) -> PageResult {
    let p = visitor.page(app, "dead-link-title", Nav::Nowhere);
    page_with(&DeadLinkPage { p, base: format!("/{}", visitor.locale) }, StatusCode::NOT_FOUND)
}
