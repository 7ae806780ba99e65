//! Consents for customers: the question with its three answers, the way to stop, what was granted, the receipts. A page
//! that is opened never grants anything; every step is a form of ours, sent by somebody signed in.

use actix_web::HttpResponse;
use actix_web::http::{StatusCode, header};
use actix_web::web::{Data, Path};
use askama::Template;
use serde::Deserialize;
use serde_json::Value;

use crate::app::App;
use crate::consent::asking::{self, Answering};
use crate::consent::granting::{self, Choice, Outcome};
use crate::consent::life::EndReason;
use crate::consent::receipt::{self, Kind};
use crate::consent::register::By;
use crate::consent::scope::{Component, Level, Subject};
use crate::consent::unrecorded::End;
use crate::consent::withdrawing::{self, Kept, Way};
use crate::consent::wording::{component_key, duration, level_key};
use crate::consent::{ConsentRequest, grants};
use crate::db::DbConnection;
use crate::diagnostics::reading_record;
use crate::error::{Error, FieldErrors, Result};
use crate::i18n::{Message, Texts};
use crate::tickets::ticket;
use crate::web::consents::{self, ConsentLine, ConsentView, Loaded};
use crate::web::forms::Form;
use crate::web::forms::Nothing;
use crate::web::lookups;
use crate::web::navigation::Place;
use crate::web::page::{Choice as Offer, Crumb, Page};
use crate::web::page_error::PageResult;
use crate::web::respond::{page, page_with, redirect_saying};
use crate::web::signed_in::SignedIn;

/// Consents listed.
const LISTED: i64 = 200;

/// What the customer granted.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GrantForm {
    /// The SHA-256 of the text that stood on the page.
    wording: String,
    /// `all` or `less`.
    way: String,
    components: Vec<String>,
    level: String,
    duration: String,
    retention: String,
    own_use: bool,
    exports: bool,
    second: bool,
}

/// What becomes of what was captured.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WithdrawalForm {
    pub keep: bool,
}

impl WithdrawalForm {
    pub fn kept(self) -> Kept {
        if self.keep { Kept::UntilItsDate } else { Kept::No }
    }
}

#[derive(Template)]
#[template(path = "portal/consents.html")]
struct ListPage {
    p: Page,
    lines: Vec<ConsentLine>,
}

#[derive(Template)]
#[template(path = "portal/consent.html")]
struct ConsentPage {
    p: Page,
    errors: FieldErrors,
    crumbs: Vec<Crumb>,
    notice: Option<String>,
    c: ConsentView,
    reference: String,
    text: Vec<String>,
    wording: String,
    answer: Option<AnswerView>,
    may_stop: bool,
    /// Whether products may send under it, with a token that the reader may have made.
    may_make_token: bool,
    may_destroy: bool,
    waits_for_other: bool,
}

/// The three answers, as far as the reader may give them.
struct AnswerView {
    may_grant_all: bool,
    may_refuse: bool,
    /// Whether they are the second of two, who agrees or refuses.
    is_second: bool,
    may_choose_own_use: bool,
    only_own_use: bool,
    needs_two: bool,
    may_want_second: bool,
    asks_exports: bool,
    components: Vec<Offer>,
    levels: Vec<Offer>,
    durations: Vec<Offer>,
    retentions: Vec<Offer>,
    typed: GrantForm,
}

#[derive(Template)]
#[template(path = "portal/receipt.html")]
struct ReceiptPage {
    p: Page,
    crumbs: Vec<Crumb>,
    c: ConsentView,
    reference: String,
    key: String,
    text: Vec<String>,
    certificate: Vec<(String, String)>,
}

/// `GET /account/consents`
pub async fn list(app: Data<App>, reader: SignedIn) -> PageResult {
    let customer = reader.customer()?.clone();
    let (texts, now) = (reader.texts(), app.clock.now());
    let lines = app
        .database
        .read(move |db| {
            let mut lines = Vec::new();
            for (request, _) in asking::of_customer(db, &customer, LISTED)? {
                let grant = grants::of_request(db, request.id)?;
                let reference = ticket::by_id(db, request.ticket_id)?.reference;
                let href = format!("/consents/{}", request.handle);
                let line = consents::line(&texts, &request, grant.as_ref(), &reference, href, now);
                lines.push(line.to_stop(&request, grant.as_ref(), &customer));
            }
            Ok(lines)
        })
        .await?;
    page(&ListPage { p: reader.page(&app, "consents-title", Place::Consents), lines })
}

/// `GET /consents/{handle}`
pub async fn show(app: Data<App>, reader: SignedIn, handle: Path<String>) -> PageResult {
    reader.customer()?;
    show_page(&app, &reader, &handle, GrantForm::default(), FieldErrors::default(), None, StatusCode::OK).await
}

/// `POST /consents/{handle}/grant`
pub async fn grant(app: Data<App>, reader: SignedIn, handle: Path<String>, form: Form<GrantForm>) -> PageResult {
    let customer = reader.customer()?.clone();
    let form = form.0;
    let (program, actor, asked, typed) = (app.clone(), reader.actor.clone(), handle.clone(), form.clone());
    let (locale, now) = (reader.person.language.0, app.clock.now());
    let outcome = app
        .database
        .write(move |db| {
            let (request, _) = asking::for_customer(db, &customer, &asked)?;
            let choice = match typed.way.as_str() {
                "all" => None,
                "less" => Some(typed.choice(&request)?),
                _ => return Err(Error::NotFound),
            };
            granting::grant(db, &program.keys, &request, choice.as_ref(), &typed.wording, locale, &actor, now)
        })
        .await;
    match outcome {
        Ok(Outcome::Granted(_)) => Ok(redirect_saying(&format!("/consents/{handle}"), "said-consent-granted")),
        Ok(Outcome::AwaitsSecond) => Ok(redirect_saying(&format!("/consents/{handle}"), "said-consent-approved")),
        Err(error) => again(&app, &reader, &handle, form, error).await,
    }
}

/// `POST /consents/{handle}/refusal`
pub async fn refuse(app: Data<App>, reader: SignedIn, handle: Path<String>, _: Form<Nothing>) -> PageResult {
    let customer = reader.customer()?.clone();
    let (actor, asked, now) = (reader.actor.clone(), handle.clone(), app.clock.now());
    let outcome = app
        .database
        .write(move |db| {
            let (request, _) = asking::for_customer(db, &customer, &asked)?;
            granting::refuse(db, &request, &actor, now)
        })
        .await;
    match outcome {
        Ok(()) => Ok(redirect_saying(&format!("/consents/{handle}"), "said-consent-refused")),
        Err(error) => again(&app, &reader, &handle, GrantForm::default(), error).await,
    }
}

/// `POST /consents/{handle}/withdrawal`
pub async fn withdraw(
    app: Data<App>,
    reader: SignedIn,
    handle: Path<String>,
    form: Form<WithdrawalForm>,
) -> PageResult {
    let customer = reader.customer()?.clone();
    let (actor, asked, now) = (reader.actor.clone(), handle.clone(), app.clock.now());
    let kept = form.0.kept();
    let (by, named) = (customer.clone(), handle.clone());
    let find = move |db: &mut DbConnection| {
        let (request, _) = asking::for_customer(db, &by, &named)?;
        let grant = grants::of_request(db, request.id)?.filter(|grant| grant.may_be_withdrawn_by(&by));
        let Some(grant) = grant else { return Ok(None) };
        let how = Some((Way::Page, kept.by(&by, &grant)));
        Ok(Some((grant.id, End::of(db, &grant, EndReason::Withdrawn, By::Customer(by.person), how, now)?)))
    };
    let end = move |db: &mut DbConnection| {
        let (request, _) = asking::for_customer(db, &customer, &asked)?;
        withdrawing::withdraw(db, &request, kept, &actor, now)
    };
    consents::end_at_once(&app, find, end).await?;
    Ok(redirect_saying(&format!("/consents/{handle}"), "said-consent-withdrawn"))
}

/// `POST /consents/{handle}/destruction`
pub async fn destroy(app: Data<App>, reader: SignedIn, handle: Path<String>, _: Form<Nothing>) -> PageResult {
    let customer = reader.customer()?.clone();
    let (actor, asked, now) = (reader.actor.clone(), handle.clone(), app.clock.now());
    let outcome = app
        .database
        .write(move |db| {
            let (request, _) = asking::for_customer(db, &customer, &asked)?;
            withdrawing::destroy_early(db, &request, &actor, now)
        })
        .await;
    match outcome {
        Ok(()) => Ok(redirect_saying(&format!("/consents/{handle}"), "said-consent-destruction")),
        Err(error) => again(&app, &reader, &handle, GrantForm::default(), error).await,
    }
}

/// `GET /consents/{handle}/receipt`: the receipt in words.
pub async fn receipt(app: Data<App>, reader: SignedIn, handle: Path<String>) -> PageResult {
    let customer = reader.customer()?.clone();
    let (asked, texts) = (handle.clone(), reader.texts());
    let (loaded, reference, notice) = lookups::limited(&app, reader.ip, move |db| {
        let (request, _) = asking::for_customer(db, &customer, &asked)?;
        let loaded = consents::load(db, request, &texts)?;
        if loaded.receipt.is_none() {
            return Err(Error::NotFound);
        }
        let reference = ticket::by_id(db, loaded.request.ticket_id)?.reference;
        let granted = loaded.events.iter().find(|event| event.kind.as_str().starts_with("granted"));
        let body: Value = granted.and_then(|event| serde_json::from_str(&event.body).ok()).unwrap_or_default();
        let shown = body["notice"]["sha256"].as_str().unwrap_or(&loaded.request.wording_sha256).to_owned();
        let notice = crate::consent::wording::kept(db, &shown)?;
        Ok((loaded, reference, notice))
    })
    .await?;
    let p = reader.page(&app, "receipt-title", Place::Consents);
    let certificate = loaded.certificate.as_ref().map(|signed| certified(&p.t, &signed.document)).unwrap_or_default();
    page(&ReceiptPage {
        crumbs: crumbs(&p.t, &handle),
        c: loaded.in_words(&p.t, p.now),
        reference,
        key: loaded.receipt.as_ref().map(|signed| signed.key.clone()).unwrap_or_default(),
        text: consents::paragraphs(&notice.text),
        certificate,
        p,
    })
}

fn certified(t: &Texts, document: &Value) -> Vec<(String, String)> {
    let destroyed = &document["accord:destroyed"];
    let number = |name: &str| t.number(destroyed[name].as_i64().unwrap_or_default());
    [
        ("certificate-at", document["accord:destroyedAt"].as_str().unwrap_or_default().to_owned()),
        ("certificate-records", number("records")),
        ("certificate-bytes", number("bytes")),
        ("certificate-key", destroyed["key"].as_str().unwrap_or("-").to_owned()),
    ]
    .into_iter()
    .map(|(key, value)| (t.say(key), value))
    .collect()
}

/// `GET /consents/{handle}/receipt.jsonld`
pub async fn receipt_file(app: Data<App>, reader: SignedIn, handle: Path<String>) -> PageResult {
    signed_file(app, reader, handle.into_inner(), Kind::Receipt).await
}

/// `GET /consents/{handle}/certificate.jsonld`
pub async fn certificate_file(app: Data<App>, reader: SignedIn, handle: Path<String>) -> PageResult {
    signed_file(app, reader, handle.into_inner(), Kind::Certificate).await
}

async fn signed_file(app: Data<App>, reader: SignedIn, handle: String, kind: Kind) -> PageResult {
    let customer = reader.customer()?.clone();
    let asked = handle.clone();
    let signed = lookups::limited(&app, reader.ip, move |db| {
        let (request, _) = asking::for_customer(db, &customer, &asked)?;
        let grant = grants::granted(db, request.id)?;
        receipt::find(db, grant.id, kind)?.ok_or(Error::NotFound)
    })
    .await?;
    Ok(download(&format!("{kind}-{handle}.jsonld"), "application/ld+json", &signed.document))
}

/// `GET /consents/{handle}/evidence.json`: everything about it, signed as it stands.
pub async fn evidence(app: Data<App>, reader: SignedIn, handle: Path<String>) -> PageResult {
    let customer = reader.customer()?.clone();
    let (asked, program, now) = (handle.clone(), app.clone(), app.clock.now());
    let bundle = lookups::limited(&app, reader.ip, move |db| {
        let (request, _) = asking::for_customer(db, &customer, &asked)?;
        let readings = match grants::of_request(db, request.id)? {
            Some(grant) => Some(reading_record::bundled(db, &grant)?),
            None => None,
        };
        receipt::bundle(db, &program.keys, &request, readings, now)
    })
    .await?;
    Ok(download(&format!("evidence-{handle}.json"), "application/ld+json", &bundle))
}

fn download(name: &str, media_type: &str, document: &Value) -> HttpResponse {
    let text = serde_json::to_string_pretty(document).unwrap_or_default();
    HttpResponse::Ok()
        .content_type(media_type)
        .insert_header((header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")))
        .body(text)
}

impl GrantForm {
    /// What was chosen of what was asked; a number that is none is more than was asked.
    fn choice(&self, request: &ConsentRequest) -> Result<Choice> {
        let asked = granting::terms_offered(request)?;
        let components: Vec<Component> = self.components.iter().filter_map(|name| Component::parse(name)).collect();
        if components.iter().any(|component| !asked.scope.components().contains(component)) {
            return Err(Error::invalid("components", "error-consent-more"));
        }
        let Some(level) = Level::parse(&self.level) else {
            return Err(Error::invalid("level", "error-consent-level"));
        };
        if level > asked.scope.level() {
            return Err(Error::invalid("level", "error-consent-more"));
        }
        Ok(Choice {
            scope: asked.scope.narrowed(&components, level),
            own_use: self.own_use,
            duration_minutes: self.duration.parse().unwrap_or(i32::MAX),
            retention_days: self.retention.parse().unwrap_or(i32::MAX),
            exports_allowed: self.exports,
            wants_second: self.second,
        })
    }
}

/// The page again, with what was wrong or what happened meanwhile.
async fn again(app: &App, reader: &SignedIn, handle: &str, form: GrantForm, error: Error) -> PageResult {
    match error {
        Error::Invalid(errors) => {
            show_page(app, reader, handle, form, errors, None, StatusCode::UNPROCESSABLE_ENTITY).await
        }
        Error::Conflict(message) => {
            show_page(app, reader, handle, form, FieldErrors::default(), Some(message), StatusCode::CONFLICT).await
        }
        error => Err(error.into()),
    }
}

struct Shown {
    loaded: Loaded,
    answering: Answering,
    reference: String,
    text: String,
    wording: String,
}

fn find(db: &mut DbConnection, reader: &SignedIn, handle: &str) -> Result<Shown> {
    let customer = reader.customer()?;
    let (request, answering) = asking::for_customer(db, customer, handle)?;
    let notice = granting::notice_for(db, &request, reader.person.language.0)?;
    let reference = ticket::by_id(db, request.ticket_id)?.reference;
    let loaded = consents::load(db, request, &reader.texts())?;
    Ok(Shown { loaded, answering, reference, text: notice.text, wording: notice.sha256 })
}

async fn show_page(
    app: &App,
    reader: &SignedIn,
    handle: &str,
    typed: GrantForm,
    errors: FieldErrors,
    notice: Option<Message>,
    status: StatusCode,
) -> PageResult {
    let customer = reader.customer()?.clone();
    let (asked, who) = (handle.to_owned(), reader.clone());
    let shown = lookups::limited(app, reader.ip, move |db| find(db, &who, &asked)).await?;
    let mut p = reader.page(app, "consent-title", Place::Consents);
    p.title = p.t.with("consent-title-of", "reference", &shown.reference);
    let c = shown.loaded.in_words(&p.t, p.now);
    let first = shown.loaded.request.pending.as_ref().map(|pending| pending.by);
    let waits_for_other = c.awaits_second && first == Some(customer.person);
    let may_answer = c.is_open && shown.answering != Answering::Reading && !waits_for_other;
    let may_stop = shown.loaded.grant.as_ref().is_some_and(|grant| grant.may_be_withdrawn_by(&customer));
    let has_say = shown.loaded.grant.as_ref().is_some_and(|grant| grant.belongs_to(&customer));
    let page = ConsentPage {
        errors,
        crumbs: crumbs(&p.t, ""),
        notice: notice.map(|message| p.t.message(&message)),
        answer: may_answer.then(|| answer_view(&p.t, &shown, typed, c.awaits_second)),
        may_stop: c.is_running && may_stop,
        may_make_token: c.is_running && has_say && shown.loaded.terms.scope.products().is_some(),
        may_destroy: c.has_ended && !c.is_destroyed && !c.is_being_destroyed && has_say,
        waits_for_other,
        reference: shown.reference,
        text: consents::paragraphs(&shown.text),
        wording: shown.wording,
        c,
        p,
    };
    page_with(&page, status)
}

fn answer_view(t: &Texts, shown: &Shown, typed: GrantForm, is_second: bool) -> AnswerView {
    let terms = &shown.loaded.terms;
    let is_whole = shown.answering == Answering::Whole;
    let of_organisation = terms.subject == Subject::Organisation;
    let chosen = &typed.components;
    let components = terms.scope.components().into_iter().map(|component| Offer {
        value: component.as_str().to_owned(),
        label: t.say(component_key(component)),
        hint: String::new(),
        // Nothing is ticked but by the customer.
        selected: chosen.iter().any(|name| name == component.as_str()),
    });
    let levels = Level::ALL.iter().filter(|level| **level <= terms.scope.level());
    let durations = [10, 30, 60, 120, 240, 480, 1_440].into_iter().filter(|minutes| *minutes < terms.duration_minutes);
    let retentions = [1, 3, 7, 14, 30].into_iter().filter(|days| *days < terms.retention_days);
    let selected = |typed: &str, asked: i32| if typed.is_empty() { asked.to_string() } else { typed.to_owned() };
    AnswerView {
        may_grant_all: is_whole || is_second,
        may_refuse: is_whole,
        is_second,
        may_choose_own_use: of_organisation && is_whole && !is_second,
        only_own_use: !is_whole,
        needs_two: granting::needs_two(terms) && is_whole && !is_second,
        may_want_second: of_organisation && is_whole && !is_second,
        asks_exports: terms.exports_allowed,
        components: components.collect(),
        levels: Offer::list(levels.map(|level| (level.as_str(), t.say(level_key(*level)))), &typed.level),
        durations: Offer::list(
            durations.chain([terms.duration_minutes]).map(|minutes| (minutes.to_string(), duration(t, minutes))),
            &selected(&typed.duration, terms.duration_minutes),
        ),
        retentions: Offer::list(
            retentions.chain([terms.retention_days]).map(|days| (days.to_string(), t.count("consent-days", days))),
            &selected(&typed.retention, terms.retention_days),
        ),
        typed,
    }
}

fn crumbs(t: &Texts, handle: &str) -> Vec<Crumb> {
    let mut crumbs = vec![Crumb::new(t.say("consents-title"), "/account/consents")];
    if !handle.is_empty() {
        crumbs.push(Crumb::new(t.say("consent-title"), format!("/consents/{handle}")));
    }
    crumbs
}
