//! Secrets by which one's own programs use the interface (U-08): made, shown once, listed, revoked.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Path};
use askama::Template;
use serde::Deserialize;

use super::{Tab, framed, security};
use crate::access::{self, Actor};
use crate::app::App;
use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::types::{OrganisationId, QueueId};
use crate::error::{Error, FieldErrors, Result};
use crate::i18n::Texts;
use crate::people::api_tokens::{self, ApiToken, NewApiToken, Scope};
use crate::people::roles::Permission;
use crate::teams::queues::{self, Queue};
use crate::web::forms::{Form, Nothing};
use crate::web::navigation::Place;
use crate::web::page::{Choice, Page, Tone};
use crate::web::page_error::{PageError, PageResult};
use crate::web::respond::redirect_saying;
use crate::web::signed_in::SignedIn;

/// Days that can be chosen.
const LIFETIMES: [i64; 4] = [7, 30, api_tokens::DEFAULT_DAYS, 365];

/// The form for a new secret.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretForm {
    pub(super) name: String,
    #[serde(default)]
    scopes: Vec<Scope>,
    /// A handle, or nothing for all of one's organisations.
    #[serde(default)]
    pub(super) organisation: String,
    /// A handle, or nothing for all queues.
    #[serde(default)]
    pub(super) queue: String,
    days: i64,
}

impl Default for SecretForm {
    fn default() -> Self {
        SecretForm {
            name: String::new(),
            scopes: vec![Scope::TicketsRead],
            organisation: String::new(),
            queue: String::new(),
            days: api_tokens::DEFAULT_DAYS,
        }
    }
}

/// A secret in the list.
pub(super) struct SecretRow {
    pub handle: String,
    pub name: String,
    pub scopes: String,
    /// What it is limited to.
    pub limits: Vec<String>,
    pub expires_at: UtcTime,
    pub last_used_at: Option<UtcTime>,
    pub is_in_force: bool,
    pub state: (Tone, String),
}

#[derive(Template)]
#[template(path = "portal/account_secret.html")]
struct SecretPart {
    p: Page,
    name: String,
    secret: String,
    expires_at: UtcTime,
}

/// `POST /account/secrets`: the answer shows the secret, this once.
pub async fn create(app: Data<App>, reader: SignedIn, Form(form): Form<SecretForm>) -> PageResult {
    let (now, person, typed, actor) = (app.clock.now(), reader.person.id, form.clone(), reader.actor.clone());
    let outcome = app
        .database
        .write(move |db| {
            let organisation = match typed.organisation.as_str() {
                "" => None,
                wanted => {
                    let possible = api_tokens::possible_limits(db, person)?;
                    let found = possible.into_iter().find(|(_, handle, _)| handle == wanted);
                    Some(found.ok_or_else(|| Error::invalid("organisation", "error-choice"))?.0)
                }
            };
            let queue = match typed.queue.as_str() {
                "" => None,
                wanted => {
                    let found = possible_queues(db, &actor)?.into_iter().find(|queue| queue.handle == wanted);
                    Some(found.ok_or_else(|| Error::invalid("queue", "error-choice"))?.id)
                }
            };
            let new = NewApiToken {
                name: typed.name.clone(),
                scopes: typed.scopes.clone(),
                organisation,
                queue,
                days: typed.days,
            };
            api_tokens::create(db, person, &new, now)
        })
        .await;
    match outcome {
        Ok((token, secret)) => {
            let p = reader.page(&app, "secret-made-title", Place::Account);
            let part = SecretPart {
                p: p.clone(),
                name: token.name,
                secret: secret.expose().to_owned(),
                expires_at: token.expires_at,
            };
            framed(p, &reader, Tab::Security, &part, StatusCode::OK)
        }
        Err(Error::Invalid(errors)) => {
            security::answer(&app, &reader, form, errors, StatusCode::UNPROCESSABLE_ENTITY).await
        }
        Err(Error::Conflict(message)) => {
            let mut errors = FieldErrors::default();
            errors.add("", message);
            security::answer(&app, &reader, form, errors, StatusCode::CONFLICT).await
        }
        Err(error) => Err(error.into()),
    }
}

/// `POST /account/secrets/{handle}/revocation`
pub async fn revoke(app: Data<App>, reader: SignedIn, handle: Path<String>, _: Form<Nothing>) -> PageResult {
    let (now, person, handle) = (app.clock.now(), reader.person.id, handle.into_inner());
    let revoked = app.database.write(move |db| api_tokens::revoke(db, person, &handle, now)).await?;
    if revoked {
        Ok(redirect_saying("/account/security", "said-secret-revoked"))
    } else {
        Err(PageError::Domain(Error::NotFound))
    }
}

/// The queues that a secret may be limited to: those that an agent works in, and those that customers choose among.
pub(super) fn possible_queues(db: &mut DbConnection, actor: &Actor) -> Result<Vec<Queue>> {
    match actor {
        Actor::Staff(staff) => {
            let mut all = queues::all(db)?;
            all.retain(|queue| staff.works_in(queue.id));
            Ok(all)
        }
        _ => queues::on_form(db),
    }
}

/// The list of secrets, newest first.
pub(super) fn rows(
    t: &Texts,
    tokens: Vec<ApiToken>,
    organisations: &[(OrganisationId, String, String)],
    queues: &[Queue],
    now: UtcTime,
) -> Vec<SecretRow> {
    let name_of = |id: OrganisationId| {
        let known = organisations.iter().find(|(known, ..)| *known == id);
        known.map_or_else(|| t.say("secret-organisation-other"), |(_, _, name)| name.clone())
    };
    let name_of_queue = |id: QueueId| {
        let known = queues.iter().find(|queue| queue.id == id);
        known.map_or_else(|| t.say("secret-queue-other"), |queue| queue.name(t.locale).to_owned())
    };
    tokens
        .into_iter()
        .map(|token| SecretRow {
            scopes: token.scopes.0.iter().map(|scope| scope_name(t, *scope)).collect::<Vec<_>>().join(", "),
            limits: token.organisation_id.map(name_of).into_iter().chain(token.queue_id.map(name_of_queue)).collect(),
            is_in_force: token.is_in_force(now),
            state: if token.revoked_at.is_some() {
                (Tone::Plain, t.say("secret-revoked"))
            } else if token.is_in_force(now) {
                (Tone::Done, t.say("secret-in-force"))
            } else {
                (Tone::Plain, t.say("secret-expired"))
            },
            handle: token.handle,
            name: token.name,
            expires_at: token.expires_at,
            last_used_at: token.last_used_at,
        })
        .collect()
}

/// What a new secret may be used for; handing over mail is for who operates the installation.
pub(super) fn scopes(t: &Texts, typed: &SecretForm, actor: &Actor) -> Vec<Choice> {
    let operates = access::may(actor, Permission::OperateInstallation);
    let offered = Scope::ALL.iter().filter(|scope| operates || **scope != Scope::Inbound);
    offered
        .map(|scope| Choice {
            value: scope.as_str().to_owned(),
            label: scope_name(t, *scope),
            hint: String::new(),
            selected: typed.scopes.contains(scope),
        })
        .collect()
}

/// How long a new secret may last.
pub(super) fn lifetimes(t: &Texts, typed: &SecretForm) -> Vec<Choice> {
    let days = LIFETIMES.iter().map(|days| (days.to_string(), t.count("secret-days", *days)));
    Choice::list(days, &typed.days.to_string())
}

fn scope_name(t: &Texts, scope: Scope) -> String {
    t.say(&format!("scope-{}", scope.as_str().replace(':', "-")))
}
