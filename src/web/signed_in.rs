//! Who makes the request. Handlers ask for what they need ([`Visitor`], [`SignedIn`], [`Staff`], [`Agent`]) and
//! cannot be reached by anybody else; each can make the shell of its pages.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

use actix_web::cookie::{Cookie, SameSite};
use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::web::Data;
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use futures_util::Future;

use crate::access::{self, Actor, CustomerActor, StaffActor};
use crate::app::App;
use crate::clock::UtcTime;
use crate::config::mail::Outgoing;
use crate::consent::{asking, grants};
use crate::db::DbConnection;
use crate::db::types::OrganisationId;
use crate::error::Error;
use crate::i18n::{Locale, Texts};
use crate::mail::address::visible;
use crate::people::roles::Permission;
use crate::people::sessions::{self, Session};
use crate::people::{Person, memberships, person};
use crate::secret::hash_token;
use crate::settings;
use crate::web::navigation::{self, Place};
use crate::web::page::{ConsentBanner, Flash, LanguageLink, Page, Theme, Tone};
use crate::web::page_error::PageError;
use crate::web::{consents, csrf, request, serving};

/// Anybody at all, signed in or not.
#[derive(Clone)]
pub struct Visitor {
    pub locale: Locale,
    pub ip: Option<IpAddr>,
    pub user_agent: String,
    /// Who it is, if they are signed in.
    pub signed_in: Option<SignedIn>,
    facts: Arc<Facts>,
}

/// Somebody signed in.
#[derive(Clone)]
pub struct SignedIn {
    pub person: Person,
    pub actor: Actor,
    pub session: Session,
    pub ip: Option<IpAddr>,
    facts: Arc<Facts>,
}

/// Somebody signed in who is staff.
#[derive(Clone)]
pub struct Staff {
    pub signed_in: SignedIn,
    pub staff: StaffActor,
}

/// Staff who works on tickets and has accepted the undertaking (A4).
#[derive(Clone)]
pub struct Agent {
    pub signed_in: SignedIn,
    pub staff: StaffActor,
}

/// What every page of this request is told.
#[derive(Debug)]
struct Facts {
    /// Path and query, as a way back here.
    here: String,
    path: String,
    query: String,
    csrf: String,
    operator: String,
    now: UtcTime,
    demo: bool,
    said: Option<String>,
    running: Option<Running>,
    /// The organisations of a customer of several, by name.
    belongings: Vec<(OrganisationId, String)>,
}

/// The capture that concerns the reader, whatever page they are on.
#[derive(Debug)]
struct Running {
    /// The public name of its consent.
    consent: String,
    until: UtcTime,
    is_whole: bool,
    /// Nothing is recorded for it yet.
    waits: bool,
    may_stop: bool,
}

/// What the first look at the session found, kept on the request for the error page and further extractors.
#[derive(Clone)]
pub struct Found(Visitor);

impl Visitor {
    /// The voice of this reader.
    pub fn texts(&self) -> Texts {
        match &self.signed_in {
            Some(signed_in) => signed_in.texts(),
            None => Texts::in_language(self.locale),
        }
    }

    /// The shell of a page for this reader.
    pub fn page(&self, app: &App, title_key: &str, place: Place) -> Page {
        match &self.signed_in {
            Some(signed_in) => signed_in.page(app, title_key, place),
            None => {
                let texts = self.texts();
                let mut page = self.facts.shell(app, texts, title_key);
                navigation::for_visitor(&mut page, self.locale, place);
                page.languages = self.facts.languages(self.locale);
                page
            }
        }
    }

    /// Path and query of this request.
    pub fn here(&self) -> &str {
        &self.facts.here
    }
}

impl SignedIn {
    /// The voice of this person.
    pub fn texts(&self) -> Texts {
        Texts::new(self.person.language.0, self.person.zone())
    }

    /// The shell of a page for this person.
    pub fn page(&self, app: &App, title_key: &str, place: Place) -> Page {
        let texts = self.texts();
        let mut page = self.facts.shell(app, texts, title_key);
        page.theme = match self.person.theme {
            person::Theme::System => Theme::System,
            person::Theme::Light => Theme::Light,
            person::Theme::Dark => Theme::Dark,
        };
        let mail_goes_to_files = matches!(app.config.mail.outgoing, Outgoing::Files(_));
        navigation::for_signed_in(&mut page, self, mail_goes_to_files, place);
        page.consent = self.facts.running.as_ref().map(|running| running.banner(&page.t, self.facts.now));
        page.acting = self.acting(&page.t);
        page
    }

    /// For whom of several they act, in words; nothing for who has no choice.
    fn acting(&self, t: &Texts) -> Option<String> {
        if self.facts.belongings.len() < 2 {
            return None;
        }
        let chosen = serving::acting_for(self);
        let chosen = self.facts.belongings.iter().find(|(organisation, _)| Some(*organisation) == chosen);
        Some(match chosen {
            Some((_, name)) => t.with("shell-acting", "name", visible(name)),
            None => t.say("shell-acting-nobody"),
        })
    }

    /// The customer they are; staff is refused.
    pub fn customer(&self) -> Result<&CustomerActor, Error> {
        match &self.actor {
            Actor::Customer(customer) => Ok(customer),
            _ => Err(Error::Forbidden),
        }
    }

    /// Path and query of this request.
    pub fn here(&self) -> &str {
        &self.facts.here
    }
}

impl Staff {
    /// Refuses who lacks `permission`.
    pub fn require(&self, permission: Permission) -> Result<(), Error> {
        if self.staff.may(permission) { Ok(()) } else { Err(Error::Forbidden) }
    }

    /// The shell of a page for this person.
    pub fn page(&self, app: &App, title_key: &str, place: Place) -> Page {
        self.signed_in.page(app, title_key, place)
    }

    pub fn texts(&self) -> Texts {
        self.signed_in.texts()
    }

    pub fn actor(&self) -> &Actor {
        &self.signed_in.actor
    }
}

impl Agent {
    /// The shell of a page for this person.
    pub fn page(&self, app: &App, title_key: &str, place: Place) -> Page {
        self.signed_in.page(app, title_key, place)
    }

    pub fn texts(&self) -> Texts {
        self.signed_in.texts()
    }

    pub fn actor(&self) -> &Actor {
        &self.signed_in.actor
    }
}

impl Running {
    /// What runs for the actor at `now`, if they are a customer.
    fn find(db: &mut DbConnection, actor: &Actor, now: UtcTime) -> Result<Option<Running>, Error> {
        let Actor::Customer(customer) = actor else { return Ok(None) };
        // Of two, the one that is recorded for: nobody is told of less than happens.
        let running = grants::running_for(db, customer, now)?;
        let Some(grant) = running.into_iter().min_by_key(consents::waits_for_capacity) else { return Ok(None) };
        Ok(Some(Running {
            consent: asking::by_id(db, grant.request_id)?.handle,
            until: grant.expires_at,
            is_whole: grant.subject.person().is_none(),
            waits: consents::waits_for_capacity(&grant),
            may_stop: grant.may_be_withdrawn_by(customer),
        }))
    }

    fn banner(&self, t: &Texts, now: UtcTime) -> ConsentBanner {
        let key = match (self.is_whole, self.waits) {
            (true, false) => "consent-banner-whole",
            (false, false) => "consent-banner-own",
            (true, true) => "consent-banner-whole-waits",
            (false, true) => "consent-banner-own-waits",
        };
        ConsentBanner {
            icon: if self.waits { "clock" } else { "pulse" },
            text: t.with(key, "left", t.lasting(&now, &self.until)),
            href: format!("/consents/{}", self.consent),
            stop_action: self.may_stop.then(|| format!("/consents/{}/withdrawal", self.consent)),
        }
    }
}

impl Facts {
    fn shell(&self, app: &App, texts: Texts, title_key: &str) -> Page {
        let mut page = Page::bare(texts, self.now, texts.say(title_key), self.operator.clone());
        page.csrf = if self.csrf.is_empty() { csrf::form_token(&app.keys, self.now) } else { self.csrf.clone() };
        page.banner = self.demo.then(|| texts.say("demo-banner"));
        // Only texts made for this may be asked for from outside.
        page.flash = self.said.as_deref().filter(|key| crate::i18n::has_key(texts.locale, key)).map(|key| Flash {
            tone: Tone::Done,
            text: texts.say(key),
            undo: None,
        });
        page
    }

    /// The same page in the other language, where the language is in the path.
    fn languages(&self, current: Locale) -> Vec<LanguageLink> {
        let rest = self
            .path
            .strip_prefix(&format!("/{}", current.code()))
            .filter(|rest| rest.is_empty() || rest.starts_with('/'));
        let Some(rest) = rest else { return Vec::new() };
        let query = if self.query.is_empty() { String::new() } else { format!("?{}", self.query) };
        Locale::ALL
            .into_iter()
            .map(|locale| LanguageLink {
                code: locale.code(),
                name: match locale {
                    Locale::Fr => "Français",
                    Locale::En => "English",
                },
                href: format!("/{}{rest}{query}", locale.code()),
                current: locale == current,
            })
            .collect()
    }
}

/// The name of the session cookie; `__Host-` needs HTTPS, which browsers do not ask of loopback.
fn cookie_name(app: &App) -> &'static str {
    if app.config.http.is_https() { "__Host-accord" } else { "accord" }
}

/// The session token that the browser presents.
pub fn session_cookie(request: &HttpRequest, app: &App) -> Option<String> {
    request.cookie(cookie_name(app)).map(|cookie| cookie.value().to_owned()).filter(|value| !value.is_empty())
}

/// The cookie that keeps somebody signed in: for the browser's session, or longer if they asked to be remembered.
pub fn cookie_for(app: &App, token: &str, remembered_days: Option<i64>) -> Cookie<'static> {
    let mut cookie = Cookie::new(cookie_name(app), token.to_owned());
    cookie.set_http_only(true);
    cookie.set_path("/");
    cookie.set_same_site(SameSite::Lax);
    cookie.set_secure(app.config.http.is_https());
    if let Some(days) = remembered_days {
        cookie.set_max_age(actix_web::cookie::time::Duration::days(days));
    }
    cookie
}

/// The cookie that ends it.
pub fn cookie_removal(app: &App) -> Cookie<'static> {
    let mut cookie = cookie_for(app, "", None);
    cookie.make_removal();
    cookie
}

/// Looks up who makes the request, once per request.
pub async fn find_visitor(request: &HttpRequest) -> Result<Visitor, PageError> {
    if let Some(Found(visitor)) = request.extensions().get::<Found>() {
        return Ok(visitor.clone());
    }
    let app =
        request.app_data::<Data<App>>().cloned().ok_or_else(|| PageError::fault("the application is not set up"))?;
    let now = app.clock.now();
    let cookie = session_cookie(request, &app);
    let hash = cookie.as_deref().map(hash_token);
    let limits = sessions::Limits::from(&app.config.security);
    let (operator, found, running, belongings) = app
        .database
        .read(move |db| {
            let operator = settings::operator_name(db)?;
            let Some(hash) = hash else { return Ok((operator, None, None, Vec::new())) };
            let Some(session) = sessions::find(db, &hash, &limits, now)? else {
                return Ok((operator, None, None, Vec::new()));
            };
            let person = person::by_id(db, session.person_id)?;
            let actor = access::actor_of(db, session.person_id)?;
            let running = Running::find(db, &actor, now)?;
            let belongings = match &actor {
                Actor::Customer(customer) if customer.memberships.len() > 1 => {
                    memberships::names_of(db, session.person_id)?
                }
                _ => Vec::new(),
            };
            Ok((operator, Some((session, person, actor)), running, belongings))
        })
        .await?;
    if let Some((session, _, _)) = &found
        && sessions::is_worth_touching(session, now)
    {
        let id = session.id;
        app.database.write(move |db| sessions::touch(db, id, now)).await?;
    }
    let path = request.path().to_owned();
    let query = request.query_string().to_owned();
    let said = url::form_urlencoded::parse(query.as_bytes())
        .find(|(name, value)| name == "said" && value.starts_with("said-"))
        .map(|(_, value)| value.into_owned());
    let here = if query.is_empty() { path.clone() } else { format!("{path}?{query}") };
    let csrf = match (&found, &cookie) {
        (Some(_), Some(cookie)) => csrf::session_token(&app.keys, cookie),
        // A dead session's cookie still goes with every form, so its token is bound to it all the same.
        (None, Some(cookie)) => csrf::session_token(&app.keys, cookie),
        _ => String::new(),
    };
    let locale = request::locale(request, found.as_ref().map(|(_, person, _)| person.language.0));
    let ip = request::client_ip(request, &app.config.http.trusted_proxies);
    let demo = request.app_data::<Data<DemoBanner>>().is_some();
    let facts = Arc::new(Facts { here, path, query, csrf, operator, now, demo, said, running, belongings });
    let signed_in = found.map(|(session, person, actor)| SignedIn { person, actor, session, ip, facts: facts.clone() });
    let user_agent = request::header_text(request, header::USER_AGENT);
    let visitor = Visitor { locale, ip, user_agent, signed_in, facts };
    request.extensions_mut().insert(Found(visitor.clone()));
    Ok(visitor)
}

/// Present in the application's data when this is the demo; every page says so.
pub struct DemoBanner;

type Extraction<T> = Pin<Box<dyn Future<Output = Result<T, PageError>>>>;

impl FromRequest for Visitor {
    type Error = PageError;
    type Future = Extraction<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move { find_visitor(&request).await })
    }
}

impl FromRequest for SignedIn {
    type Error = PageError;
    type Future = Extraction<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let visitor = find_visitor(&request).await?;
            let locale = visitor.locale;
            visitor.signed_in.ok_or_else(|| sign_in_first(&request, locale))
        })
    }
}

impl FromRequest for Staff {
    type Error = PageError;
    type Future = Extraction<Self>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let signed_in = SignedIn::from_request(request, payload);
        Box::pin(async move {
            let signed_in = signed_in.await?;
            match signed_in.actor.clone() {
                // Customers are not told which pages staff has.
                Actor::Staff(staff) => Ok(Staff { signed_in, staff }),
                _ => Err(PageError::Domain(Error::NotFound)),
            }
        })
    }
}

impl FromRequest for Agent {
    type Error = PageError;
    type Future = Extraction<Self>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let staff = Staff::from_request(request, payload);
        Box::pin(async move {
            let Staff { signed_in, staff } = staff.await?;
            if !staff.may(Permission::WorkTickets) {
                return Err(PageError::Domain(Error::Forbidden));
            }
            if !staff.undertaking_accepted {
                return Err(PageError::Elsewhere("/undertaking".to_owned()));
            }
            Ok(Agent { signed_in, staff })
        })
    }
}

/// To the sign-in page, and back here afterwards if this was only a page.
fn sign_in_first(request: &HttpRequest, locale: Locale) -> PageError {
    let sign_in = format!("/{locale}/sign-in");
    if csrf::is_unsafe(request.method()) {
        return PageError::Elsewhere(sign_in);
    }
    let here = request.uri().path_and_query().map_or("/", |here| here.as_str());
    let query = url::form_urlencoded::Serializer::new(String::new()).append_pair("next", here).finish();
    PageError::Elsewhere(format!("{sign_in}?{query}"))
}
