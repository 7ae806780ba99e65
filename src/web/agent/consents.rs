//! Asking for diagnostics: the agent's form with what the customer will read, and what became of the question. Agents see
//! where a consent stands and may take the question back or stop early; they can never answer for the customer.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Path};
use askama::Template;
use serde::Deserialize;

use crate::access::{self, Actor};
use crate::app::App;
use crate::clock::UtcTime;
use crate::consent::asking::{self, Terms, USUAL_DAYS, USUAL_MINUTES};
use crate::consent::estimating::{self, Estimate};
use crate::consent::life::EndReason;
use crate::consent::manifest::Manifest;
use crate::consent::register::By;
use crate::consent::scope::{Component, Level, PurposeCode, Recipients, Subject};
use crate::consent::unrecorded::End;
use crate::consent::wording::{self, component_key, duration, level_key, purpose_key};
use crate::consent::{granting, grants, stopping};
use crate::db::DbConnection;
use crate::error::{Error, FieldErrors, Result};
use crate::i18n::Texts;
use crate::people::organisations::{self, OrganisationKind};
use crate::people::person;
use crate::teams::queues;
use crate::tickets::ticket::{self, Ticket};
use crate::web::agent::changes::{NoForm, change};
use crate::web::consents::{self, ConsentView};
use crate::web::forms::Form;
use crate::web::navigation::Place;
use crate::web::page::{Choice, Crumb, Page};
use crate::web::page_error::PageResult;
use crate::web::respond::{page, page_with, redirect_saying};
use crate::web::signed_in::Agent;

/// What is asked, as typed.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AskForm {
    purpose: String,
    purpose_code: String,
    /// `person` or `organisation`.
    subject: String,
    components: Vec<String>,
    level: String,
    attributes: String,
    duration: String,
    retention: String,
    /// `queue` or `me`.
    recipients: String,
    exports: bool,
    stop_condition: String,
    idle: String,
}

impl Default for AskForm {
    /// Narrow to begin with: one hour of one person's own use, kept a week, for the team.
    fn default() -> Self {
        AskForm {
            purpose: String::new(),
            purpose_code: PurposeCode::Fault.as_str().to_owned(),
            subject: "person".to_owned(),
            components: Vec::new(),
            level: Level::Debug.as_str().to_owned(),
            attributes: String::new(),
            duration: USUAL_MINUTES.to_string(),
            retention: USUAL_DAYS.to_string(),
            recipients: "queue".to_owned(),
            exports: false,
            stop_condition: String::new(),
            idle: String::new(),
        }
    }
}

impl AskForm {
    fn terms(&self, ticket: &Ticket, by: &Actor) -> Result<Terms> {
        let agent = by.person().ok_or(Error::Forbidden)?;
        Ok(Terms {
            subject: match self.subject.as_str() {
                "organisation" => Subject::Organisation,
                _ => Subject::Person(ticket.requester_id),
            },
            purpose: self.purpose.clone(),
            purpose_code: PurposeCode::parse(&self.purpose_code).unwrap_or(PurposeCode::Fault),
            scope: asking::chosen(&self.components, &self.level, &self.attributes),
            duration_minutes: self.duration.parse().unwrap_or(0),
            retention_days: self.retention.parse().unwrap_or(0),
            recipients: match self.recipients.as_str() {
                "me" => Recipients::Agent(agent),
                _ => Recipients::Queue(ticket.queue_id),
            },
            exports_allowed: self.exports,
            stop_condition: self.stop_condition.clone(),
            idle_minutes: if self.idle.is_empty() { None } else { Some(self.idle.parse().unwrap_or(0)) },
        })
    }
}

/// What the customer will read.
struct Preview {
    text: Vec<String>,
    manifest: Vec<(String, String)>,
    manifest_sha256: String,
    estimate: String,
    language: String,
}

#[derive(Template)]
#[template(path = "agent/consent_new.html")]
struct AskPage {
    p: Page,
    errors: FieldErrors,
    crumbs: Vec<Crumb>,
    reference: String,
    typed: AskForm,
    subjects: Vec<Choice>,
    purposes: Vec<Choice>,
    components: Vec<Choice>,
    levels: Vec<Choice>,
    durations: Vec<Choice>,
    retentions: Vec<Choice>,
    recipients: Vec<Choice>,
    idles: Vec<Choice>,
    preview: Option<Preview>,
}

#[derive(Template)]
#[template(path = "agent/consent.html")]
struct ShowPage {
    p: Page,
    crumbs: Vec<Crumb>,
    reference: String,
    c: ConsentView,
    text: Vec<String>,
}

/// `GET /tickets/{reference}/consents/new`
pub async fn new(app: Data<App>, agent: Agent, reference: Path<String>) -> PageResult {
    form_page(&app, &agent, &reference, AskForm::default(), FieldErrors::default(), false, StatusCode::OK).await
}

/// `POST /tickets/{reference}/consents/preview`: the form again, with what the customer will read.
pub async fn preview(app: Data<App>, agent: Agent, reference: Path<String>, form: Form<AskForm>) -> PageResult {
    let typed = form.0;
    let (actor, asked, form) = (agent.actor().clone(), reference.clone(), typed.clone());
    let checked = app
        .database
        .read(move |db| {
            let ticket = ticket::by_reference(db, &actor, &asked)?;
            let mut errors = FieldErrors::default();
            form.terms(&ticket, &actor)?.check(&mut errors);
            Ok(errors)
        })
        .await?;
    let (is_sound, status) = match checked.is_empty() {
        true => (true, StatusCode::OK),
        false => (false, StatusCode::UNPROCESSABLE_ENTITY),
    };
    form_page(&app, &agent, &reference, typed, checked, is_sound, status).await
}

/// `POST /tickets/{reference}/consents`
pub async fn create(app: Data<App>, agent: Agent, reference: Path<String>, form: Form<AskForm>) -> PageResult {
    let typed = form.0;
    let (actor, asked, form, now) = (agent.actor().clone(), reference.clone(), typed.clone(), app.clock.now());
    let outcome = app
        .database
        .write(move |db| {
            let ticket = ticket::by_reference(db, &actor, &asked)?;
            let terms = form.terms(&ticket, &actor)?;
            asking::ask(db, &ticket, &terms, &actor, now).map(|request| request.handle)
        })
        .await;
    match outcome {
        Ok(handle) => Ok(redirect_saying(&format!("/tickets/{reference}/consents/{handle}"), "said-consent-asked")),
        Err(Error::Invalid(errors)) => {
            form_page(&app, &agent, &reference, typed, errors, false, StatusCode::UNPROCESSABLE_ENTITY).await
        }
        Err(Error::Conflict(message)) => {
            let mut errors = FieldErrors::default();
            errors.add("", message);
            form_page(&app, &agent, &reference, typed, errors, false, StatusCode::CONFLICT).await
        }
        Err(error) => Err(error.into()),
    }
}

/// `GET /tickets/{reference}/consents/{handle}`
pub async fn show(app: Data<App>, agent: Agent, path: Path<(String, String)>) -> PageResult {
    let (reference, handle) = path.into_inner();
    let (actor, asked, texts) = (agent.actor().clone(), reference.clone(), agent.texts());
    let (loaded, text) = app
        .database
        .read(move |db| {
            let ticket = ticket::by_reference(db, &actor, &asked)?;
            let request = asking::in_ticket(db, &ticket, &handle)?;
            let text = match request.decided_at {
                Some(_) => wording::kept(db, &request.wording_sha256)?.text,
                None => granting::notice_for(db, &request, ticket.language.0)?.text,
            };
            Ok((consents::load(db, request, &texts)?, text))
        })
        .await?;
    let p = agent.page(&app, "consent-title", Place::Tickets);
    page(&ShowPage {
        crumbs: crumbs(&p.t, &reference),
        c: loaded.in_words(&p.t, p.now),
        text: consents::paragraphs(&text),
        reference,
        p,
    })
}

/// `POST /tickets/{reference}/consents/{handle}/cancellation`
pub async fn cancel(app: Data<App>, agent: Agent, path: Path<(String, String)>, _form: Form<NoForm>) -> PageResult {
    let (reference, handle) = path.into_inner();
    let verb = move |db: &mut DbConnection, ticket: &Ticket, by: &Actor, now: UtcTime| {
        let request = asking::in_ticket(db, ticket, &handle)?;
        asking::cancel(db, &request, by, now)
    };
    change(&app, &agent, reference, None, "said-consent-cancelled", verb).await
}

/// `POST /tickets/{reference}/consents/{handle}/stop`: the agent needs no more.
pub async fn stop(app: Data<App>, agent: Agent, path: Path<(String, String)>, _form: Form<NoForm>) -> PageResult {
    let (reference, handle) = path.into_inner();
    let (actor, now) = (agent.actor().clone(), app.clock.now());
    let (by, asked, named) = (actor.clone(), reference.clone(), handle.clone());
    let find = move |db: &mut DbConnection| {
        let ticket = ticket::by_reference(db, &by, &asked)?;
        let request = asking::in_ticket(db, &ticket, &named)?;
        let grant = grants::of_request(db, request.id)?.filter(|_| access::can_work_on(&by, &ticket.facts()));
        let Some(grant) = grant else { return Ok(None) };
        Ok(Some((grant.id, End::of(db, &grant, EndReason::StoppedByOperator, By::of(&by), None, now)?)))
    };
    let asked = reference.clone();
    let end = move |db: &mut DbConnection| {
        let ticket = ticket::by_reference(db, &actor, &asked)?;
        let request = asking::in_ticket(db, &ticket, &handle)?;
        stopping::stop(db, &request, &actor, now)
    };
    consents::end_at_once(&app, find, end).await?;
    Ok(redirect_saying(&format!("/tickets/{reference}"), "said-consent-stopped"))
}

struct Around {
    reference: String,
    requester: String,
    /// The name of a company, or nothing for somebody on their own.
    organisation: Option<String>,
    queue: String,
    agent: String,
    preview: Option<Preview>,
}

fn around(
    db: &mut DbConnection,
    actor: &Actor,
    reference: &str,
    form: &AskForm,
    t: &Texts,
    shows: bool,
) -> Result<Around> {
    let ticket = ticket::by_reference(db, actor, reference)?;
    let organisation = organisations::by_id(db, ticket.organisation_id)?;
    let agent = actor.person().ok_or(Error::Forbidden)?;
    let preview = if shows { Some(preview_of(db, &ticket, &form.terms(&ticket, actor)?, t)?) } else { None };
    Ok(Around {
        reference: ticket.reference.clone(),
        requester: person::by_id(db, ticket.requester_id)?.display_name(),
        organisation: (organisation.kind != OrganisationKind::Individual).then_some(organisation.name),
        queue: queues::by_id(db, ticket.queue_id)?.name(t.locale).to_owned(),
        agent: person::by_id(db, agent)?.display_name(),
        preview,
    })
}

fn preview_of(db: &mut DbConnection, ticket: &Ticket, terms: &Terms, t: &Texts) -> Result<Preview> {
    let mut errors = FieldErrors::default();
    let terms = terms.check(&mut errors);
    let notice = wording::notice(db, ticket, &terms, ticket.language.0)?;
    let manifest = Manifest::of(&terms.scope);
    let parts = manifest.parts().iter();
    let estimate = estimating::estimate(db, ticket.organisation_id)?;
    Ok(Preview {
        text: consents::paragraphs(&notice.text),
        manifest: parts.map(|(component, names)| (t.say(component_key(*component)), names.join(", "))).collect(),
        manifest_sha256: manifest.sha256(),
        estimate: estimated(t, estimate),
        language: t.say(if ticket.language.0.code() == "fr" { "consent-language-fr" } else { "consent-language-en" }),
    })
}

fn estimated(t: &Texts, estimate: Option<Estimate>) -> String {
    match estimate {
        None => t.say("consent-estimate-none"),
        Some(estimate) => {
            let key = if estimate.is_own { "consent-estimate-own" } else { "consent-estimate-others" };
            t.with(key, "records", t.number(estimate.hourly))
        }
    }
}

async fn form_page(
    app: &App,
    agent: &Agent,
    reference: &str,
    typed: AskForm,
    errors: FieldErrors,
    shows: bool,
    status: StatusCode,
) -> PageResult {
    let (actor, asked, form, texts) = (agent.actor().clone(), reference.to_owned(), typed.clone(), agent.texts());
    let found = app.database.read(move |db| around(db, &actor, &asked, &form, &texts, shows)).await?;
    let p = agent.page(app, "consent-ask-title", Place::Tickets);
    let t = p.t;
    let mut subjects = vec![("person", t.with("consent-ask-person", "name", &found.requester))];
    if let Some(name) = &found.organisation {
        subjects.push(("organisation", t.with("consent-ask-organisation", "name", name)));
    }
    let minutes = [10, 30, 60, 120, 240, 480, 1_440];
    let page = AskPage {
        crumbs: crumbs(&t, &found.reference),
        subjects: Choice::list(subjects, &typed.subject),
        purposes: Choice::list(
            PurposeCode::ALL.iter().map(|code| (code.as_str(), t.say(purpose_key(*code)))),
            &typed.purpose_code,
        ),
        components: Component::ALL
            .iter()
            .map(|component| Choice {
                value: component.as_str().to_owned(),
                label: t.say(component_key(*component)),
                hint: String::new(),
                selected: typed.components.iter().any(|name| name == component.as_str()),
            })
            .collect(),
        levels: Choice::list(Level::ALL.iter().map(|level| (level.as_str(), t.say(level_key(*level)))), &typed.level),
        durations: Choice::list(minutes.map(|minutes| (minutes.to_string(), duration(&t, minutes))), &typed.duration),
        retentions: Choice::list(
            [1, 3, 7, 14, 30].map(|days| (days.to_string(), t.count("consent-days", days))),
            &typed.retention,
        ),
        recipients: Choice::list(
            [
                ("queue", t.with("consent-recipients-queue", "queue", &found.queue)),
                ("me", t.with("consent-recipients-agent", "name", &found.agent)),
            ],
            &typed.recipients,
        ),
        idles: Choice::list(minutes.map(|minutes| (minutes.to_string(), duration(&t, minutes))), &typed.idle),
        preview: found.preview,
        reference: found.reference,
        typed,
        errors,
        p,
    };
    page_with(&page, status)
}

fn crumbs(t: &Texts, reference: &str) -> Vec<Crumb> {
    vec![Crumb::new(t.say("nav-tickets"), "/tickets"), Crumb::new(reference, format!("/tickets/{reference}"))]
}
