//! "My account": what is known of oneself and can be changed (A5, B4, E7). Customers and staff have the same pages, each
//! in their own surroundings.

pub mod secrets;
pub mod security;

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use actix_web::web::Data;
use askama::Template;
use serde::Deserialize;

use crate::access::Actor;
use crate::app::App;
use crate::clock::UtcTime;
use crate::error::{Error, FieldErrors};
use crate::i18n::{Message, Texts};
use crate::mail::address::{EmailAddress, shown_address};
use crate::people::addresses;
use crate::people::memberships::{self, Belonging};
use crate::people::notices::{self, Notice};
use crate::people::one_time_tokens;
use crate::people::one_time_tokens::Purpose;
use crate::people::organisations::{self, OrganisationKind};
use crate::people::passwords::{self, Password};
use crate::people::person::{self, Theme};
use crate::people::sessions::{self, Place};
use crate::people::sign_in::{self, Start};
use crate::people::suppression;
use crate::secret::Secret;
use crate::web::forms::{Form, Nothing};
use crate::web::navigation::Place as Nav;
use crate::web::page::{Choice, NavigationItem, Page};
use crate::web::page_error::{PageError, PageResult};
use crate::web::profile::{ProfileForm, exact_locale, time_zones};
use crate::web::respond::{page, page_with, redirect, redirect_saying};
use crate::web::signed_in::{SignedIn, Visitor};
use crate::web::{hashing, next, serving};

/// A new address for oneself.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddressForm {
    address: String,
    #[serde(default = "no_password")]
    current_password: Password,
}

/// One of one's addresses.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WhichAddress {
    address: String,
}

/// The colours of the pages.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ThemeForm {
    theme: Theme,
}

/// The language of the pages.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LanguageForm {
    language: String,
}

/// Which organisation one acts for; empty is none of them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActingForm {
    organisation: String,
}

struct AddressRow {
    address: String,
    is_primary: bool,
    confirmed_at: Option<UtcTime>,
}

struct BelongingRow {
    name: String,
    href: String,
}

#[derive(Template)]
#[template(path = "portal/account_information.html")]
struct InformationPart {
    p: Page,
    errors: FieldErrors,
    typed: ProfileForm,
    languages: Vec<Choice>,
    time_zones: Vec<Choice>,
    themes: Vec<Choice>,
    addresses: Vec<AddressRow>,
    new_address: String,
    has_password: bool,
    origin: String,
    belongings: Vec<BelongingRow>,
    /// What somebody of several organisations chooses from.
    acting: Vec<Choice>,
}

#[derive(Template)]
#[template(path = "portal/account.html")]
struct CustomerFrame {
    p: Page,
    name: String,
    tabs: Vec<NavigationItem>,
    part: String,
}

#[derive(Template)]
#[template(path = "portal/account_desk.html")]
struct StaffFrame {
    p: Page,
    name: String,
    tabs: Vec<NavigationItem>,
    part: String,
}

#[derive(Template)]
#[template(path = "portal/address_link.html")]
struct AddressLinkPage {
    p: Page,
    errors: FieldErrors,
    action: String,
    address: String,
}

/// `GET /account`
pub async fn show(app: Data<App>, reader: SignedIn) -> PageResult {
    let typed = ProfileForm::of(&reader.person);
    information(&app, &reader, typed, String::new(), FieldErrors::default(), StatusCode::OK).await
}

/// `POST /account`
pub async fn update(app: Data<App>, reader: SignedIn, Form(form): Form<ProfileForm>) -> PageResult {
    let (now, person, version) = (app.clock.now(), reader.person.id, form.version);
    let profile = form.own()?;
    let outcome = app.database.write(move |db| person::update(db, person, version, &profile, now)).await;
    match outcome {
        Ok(()) => Ok(redirect_saying("/account", "said-account-saved")),
        Err(Error::Invalid(errors)) => {
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            information(&app, &reader, form, String::new(), errors, status).await
        }
        Err(Error::Conflict(message)) => {
            let mut errors = FieldErrors::default();
            errors.add("", message);
            let typed = ProfileForm::of(&reader.person);
            information(&app, &reader, typed, String::new(), errors, StatusCode::CONFLICT).await
        }
        Err(error) => Err(error.into()),
    }
}

/// `POST /account/theme`
pub async fn set_theme(
    app: Data<App>,
    reader: SignedIn,
    request: HttpRequest,
    Form(form): Form<ThemeForm>,
) -> PageResult {
    let (now, person) = (app.clock.now(), reader.person.id);
    app.database.write(move |db| person::set_theme(db, person, form.theme, now)).await?;
    Ok(redirect(&next::back(&request, &app.config.http.base_url, "/account")))
}

/// `POST /account/language`
pub async fn set_language(
    app: Data<App>,
    reader: SignedIn,
    request: HttpRequest,
    Form(form): Form<LanguageForm>,
) -> PageResult {
    let language = exact_locale(&form.language)?;
    let (now, person) = (app.clock.now(), reader.person.id);
    app.database.write(move |db| person::set_language(db, person, language, now)).await?;
    Ok(redirect(&next::back(&request, &app.config.http.base_url, "/account")))
}

/// `POST /account/organisation`: for which of several organisations one acts in this session.
pub async fn act_for(app: Data<App>, reader: SignedIn, Form(form): Form<ActingForm>) -> PageResult {
    let customer = reader.customer()?.clone();
    let session = reader.session.id;
    app.database
        .write(move |db| {
            let chosen = match form.organisation.as_str() {
                "" => None,
                handle => {
                    let chosen = organisations::find_by_handle(db, handle)?.map(|organisation| organisation.id);
                    Some(chosen.filter(|chosen| customer.is_member_of(*chosen)).ok_or(Error::NotFound)?)
                }
            };
            sessions::act_for(db, session, chosen)
        })
        .await?;
    Ok(redirect_saying("/account", "said-account-saved"))
}

/// `POST /account/address`: a mail goes to the new address; it is theirs when they open the link (U-05).
pub async fn change_address(
    app: Data<App>,
    visitor: Visitor,
    reader: SignedIn,
    Form(form): Form<AddressForm>,
) -> PageResult {
    let mut errors = FieldErrors::default();
    let address = EmailAddress::of_somebody(form.address.trim());
    if address.is_none() {
        errors.add("address", if form.address.trim().is_empty() { "error-mandatory" } else { "error-address" });
    }
    if errors.is_empty() {
        prove(&app, &visitor, &reader, form.current_password).await?.judge(&mut errors);
    }
    let Some(address) = address.filter(|_| errors.is_empty()) else {
        let typed = ProfileForm::of(&reader.person);
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        return information(&app, &reader, typed, form.address, errors, status).await;
    };
    let (now, person, place) = (app.clock.now(), reader.person.id, super::sign_in::place_of(&visitor));
    app.database
        .write(move |db| {
            sign_in::count_mail(db, &place, now)?;
            notices::send(db, &Notice::ConfirmAddress { person, address: address.clone() }, now)
        })
        .await?;
    Ok(redirect_saying("/account", "said-account-address-asked"))
}

/// `POST /account/addresses/removal`
pub async fn remove_address(app: Data<App>, reader: SignedIn, Form(form): Form<WhichAddress>) -> PageResult {
    let address = EmailAddress::parse(&form.address).ok_or(Error::NotFound)?;
    let (now, person) = (app.clock.now(), reader.person.id);
    let removed = app.database.write(move |db| addresses::remove(db, person, &address, now)).await?;
    if removed { Ok(redirect_saying("/account", "said-account-saved")) } else { Err(Error::NotFound.into()) }
}

/// `POST /account/mail`: what was mailed to the reader came back to us, and does not any more (LP-08).
pub async fn resume_mail(app: Data<App>, reader: SignedIn, _: Form<Nothing>) -> PageResult {
    let (now, person) = (app.clock.now(), reader.person.id);
    app.database.write(move |db| suppression::resume(db, person, now)).await?;
    Ok(redirect_saying("/tickets", "said-mailed-again"))
}

/// `GET /l/address/{token}`
pub async fn address_link(app: Data<App>, visitor: Visitor, token: actix_web::web::Path<String>) -> PageResult {
    let (now, token) = (app.clock.now(), token.into_inner());
    let wanted = token.clone();
    let found = app
        .database
        .read(move |db| one_time_tokens::find::<notices::MailboxProof>(db, Purpose::Address, &wanted, now))
        .await?;
    let Some(found) = found else { return super::sign_in::dead_link(&app, &visitor) };
    page(&AddressLinkPage {
        p: visitor.page(&app, "address-link-title", Nav::Nowhere),
        errors: FieldErrors::default(),
        action: format!("/l/address/{token}"),
        address: found.payload.address.shown(),
    })
}

/// `POST /l/address/{token}`
pub async fn use_address_link(
    app: Data<App>,
    visitor: Visitor,
    token: actix_web::web::Path<String>,
    _: Form<Nothing>,
) -> PageResult {
    let (now, token) = (app.clock.now(), token.into_inner());
    let wanted = token.clone();
    let outcome = app.database.write(move |db| addresses::use_link(db, &wanted, now)).await;
    match outcome {
        Ok(true) if visitor.signed_in.is_some() => Ok(redirect_saying("/account", "said-address-changed")),
        Ok(true) => Ok(redirect_saying(&format!("/{}/sign-in", visitor.locale), "said-address-changed")),
        Ok(false) => super::sign_in::dead_link(&app, &visitor),
        Err(Error::Conflict(message)) => {
            let mut errors = FieldErrors::default();
            errors.add("", message);
            let shown = AddressLinkPage {
                p: visitor.page(&app, "address-link-title", Nav::Nowhere),
                errors,
                action: format!("/l/address/{token}"),
                address: String::new(),
            };
            page_with(&shown, StatusCode::CONFLICT)
        }
        Err(error) => Err(error.into()),
    }
}

/// Whether the reader has just proven who they are.
enum Proof {
    Given,
    WrongPassword,
    MustWait {
        retry_after_secs: u64,
    },
    /// They have no password, and signed in too long ago.
    Stale,
}

impl Proof {
    fn judge(self, errors: &mut FieldErrors) {
        match self {
            Proof::Given => {}
            Proof::WrongPassword => errors.add("current_password", "error-password-wrong"),
            Proof::MustWait { retry_after_secs } => {
                errors.add("current_password", Message::new("sign-in-wait").with("seconds", retry_after_secs));
            }
            Proof::Stale => errors.add("", "error-proof-stale"),
        }
    }
}

/// Checks the current password, under the same brakes as the sign-in page; of somebody without a password, whether they
/// have signed in just now (U-05).
async fn prove(app: &App, visitor: &Visitor, reader: &SignedIn, password: Password) -> Result<Proof, PageError> {
    let now = app.clock.now();
    let person = reader.person.id;
    if app.database.read(move |db| passwords::changed_at(db, person)).await?.is_none() {
        return Ok(if reader.session.is_fresh(now) { Proof::Given } else { Proof::Stale });
    }
    let place: Place = super::sign_in::place_of(visitor);
    let per_hour = app.config.limits.sign_in_attempts_per_hour;
    let (typed, from) = (reader.person.address.clone(), place.clone());
    let started = app.database.write(move |db| sign_in::start(db, &typed, &from, per_hour, now)).await?;
    let stored = match started {
        Start::MustWait { retry_after_secs } => return Ok(Proof::MustWait { retry_after_secs }),
        Start::Check { stored, .. } => stored,
    };
    if !hashing::check(stored, password).await?.matches {
        return Ok(Proof::WrongPassword);
    }
    let (typed, session) = (reader.person.address.clone(), reader.session.id);
    app.database
        .write(move |db| {
            sign_in::forgive(db, &typed, &place)?;
            sessions::note_proof(db, session, now)
        })
        .await?;
    Ok(Proof::Given)
}

/// A part of the account's pages.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tab {
    Information,
    Security,
}

/// The page of `reader`'s account with `part` in it.
fn framed(p: Page, reader: &SignedIn, tab: Tab, part: &impl Template, status: StatusCode) -> PageResult {
    let part = part.render().map_err(|error| PageError::fault(&format!("a page could not be made: {error}")))?;
    let name = reader.person.display_name();
    let item = |key, href: &str, icon| NavigationItem::new(p.t.say(key), href, icon);
    let mut tabs = vec![
        item("account-tab-information", "/account", "user").current_if(tab == Tab::Information),
        item("account-tab-security", "/account/security", "lock").current_if(tab == Tab::Security),
        item("account-tab-organisation", "/account/organisation", "building"),
    ];
    if !reader.actor.is_staff() {
        tabs.push(item("nav-consents", "/account/consents", "shield"));
    }
    if reader.actor.is_staff() {
        page_with(&StaffFrame { p, name, tabs, part }, status)
    } else {
        page_with(&CustomerFrame { p, name, tabs, part }, status)
    }
}

async fn information(
    app: &App,
    reader: &SignedIn,
    typed: ProfileForm,
    new_address: String,
    errors: FieldErrors,
    status: StatusCode,
) -> PageResult {
    let person = reader.person.id;
    let (addresses, belongings, has_password) = app
        .database
        .read(move |db| {
            let addresses = addresses::of_person(db, person)?;
            let belongings = memberships::belongings(db, person)?;
            Ok((addresses, belongings, passwords::changed_at(db, person)?.is_some()))
        })
        .await?;
    let p = reader.page(app, "account-title", Nav::Account);
    let t = p.t;
    let chosen = serving::acting_for(reader);
    let acting = match &reader.actor {
        Actor::Customer(customer) if customer.memberships.len() > 1 => {
            let chosen = customer.memberships.iter().position(|own| Some(own.organisation_id) == chosen);
            let chosen = chosen.and_then(|place| belongings.get(place)).map_or("", |own| &own.organisation_handle);
            Choice::list(belongings.iter().map(|own| (&*own.organisation_handle, &*own.organisation_name)), chosen)
        }
        _ => Vec::new(),
    };
    let part = InformationPart {
        acting,
        languages: languages(&typed.language),
        time_zones: time_zones(&typed.time_zone),
        themes: themes(&t, typed.theme.unwrap_or(reader.person.theme)),
        addresses: addresses
            .into_iter()
            .filter(|row| !shown_address(&row.address).is_empty())
            .map(|row| AddressRow { address: row.address, is_primary: row.is_primary, confirmed_at: row.confirmed_at })
            .collect(),
        new_address,
        has_password,
        origin: t.say(&format!("account-origin-{}", reader.person.origin)),
        belongings: belongings.into_iter().filter_map(belonging).collect(),
        p: p.clone(),
        errors,
        typed,
    };
    framed(p, reader, Tab::Information, &part, status)
}

fn belonging(belonging: Belonging) -> Option<BelongingRow> {
    (belonging.kind != OrganisationKind::Individual).then(|| BelongingRow {
        href: format!("/organisations/{}", belonging.organisation_handle),
        name: belonging.organisation_name,
    })
}

fn languages(selected: &str) -> Vec<Choice> {
    Choice::list([("fr", "Français"), ("en", "English")], selected)
}

fn themes(t: &Texts, selected: Theme) -> Vec<Choice> {
    Choice::list(Theme::ALL.iter().map(|theme| (theme.as_str(), t.say(&format!("theme-{theme}")))), selected.as_str())
}

fn no_password() -> Password {
    Secret::new(String::new())
}
