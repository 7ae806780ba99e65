//! The keys with which an organisation's products ask whether to produce traces: made, shown once, listed, revoked by
//! whoever may grant tracing for the organisation. Nobody else sees that there are any.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Path};
use askama::Template;

use super::{Frame, Tab, seen_by};
use crate::access::{self, Actor};
use crate::app::App;
use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::diagnostics::sampling;
use crate::error::{Error, Result};
use crate::people::organisations::Organisation;
use crate::web::forms::{Form, Nothing};
use crate::web::otlp::ready_lines::{self, ReadyLines};
use crate::web::page::{Page, Tone};
use crate::web::page_error::{PageError, PageResult};
use crate::web::respond::redirect_saying;
use crate::web::signed_in::SignedIn;

struct Row {
    name: String,
    created_at: UtcTime,
    is_in_force: bool,
    state: (Tone, String),
}

#[derive(Template)]
#[template(path = "organisation/sampling.html")]
struct KeysPart {
    p: Page,
    path: String,
    notice: Option<String>,
    keys: Vec<Row>,
}

#[derive(Template)]
#[template(path = "organisation/sampling_key.html")]
struct KeyPart {
    p: Page,
    list: String,
    address: String,
    lines: Vec<ReadyLines>,
}

/// The organisation with that public name, for whoever may grant tracing for it; who only belongs to it may not.
fn granted_by(db: &mut DbConnection, actor: &Actor, handle: &str) -> Result<Organisation> {
    let organisation = seen_by(db, actor, handle)?;
    if access::can_grant_tracing(actor, organisation.id) { Ok(organisation) } else { Err(Error::Forbidden) }
}

/// `GET /organisations/{handle}/sampling`
pub async fn show(app: Data<App>, reader: SignedIn, path: Path<String>) -> PageResult {
    list(&app, &reader, path.into_inner(), None, StatusCode::OK).await
}

/// `POST /organisations/{handle}/sampling`: the answer shows the key, this once.
pub async fn create(app: Data<App>, reader: SignedIn, path: Path<String>, _: Form<Nothing>) -> PageResult {
    let (actor, handle, now) = (reader.actor.clone(), path.into_inner(), app.clock.now());
    let (by, target) = (reader.person.id, handle.clone());
    let made = app
        .database
        .write(move |db| {
            let organisation = granted_by(db, &actor, &target)?;
            let key = sampling::create(db, organisation.id, by, now)?;
            Ok((organisation, key.expose().to_owned()))
        })
        .await;
    match made {
        Ok((organisation, key)) => {
            let frame = Frame::new(&app, &reader, &organisation, Tab::Sampling);
            let base_url = &app.config.http.base_url;
            let part = KeyPart {
                p: frame.p.clone(),
                list: format!("{}/sampling", frame.path),
                address: format!("{base_url}/sampling/{key}"),
                lines: ready_lines::for_sampling(base_url, &key),
            };
            frame.show(&part, StatusCode::OK)
        }
        Err(Error::Conflict(message)) => {
            let said = reader.texts().message(&message);
            list(&app, &reader, handle, Some(said), StatusCode::CONFLICT).await
        }
        Err(error) => Err(error.into()),
    }
}

/// `POST /organisations/{handle}/sampling/{key}/revocation`
pub async fn revoke(app: Data<App>, reader: SignedIn, path: Path<(String, String)>, _: Form<Nothing>) -> PageResult {
    let (handle, key) = path.into_inner();
    let (actor, by, now, target) = (reader.actor.clone(), reader.person.id, app.clock.now(), handle.clone());
    let revoked = app
        .database
        .write(move |db| {
            let organisation = granted_by(db, &actor, &target)?;
            sampling::revoke(db, organisation.id, &key, by, now)
        })
        .await?;
    if revoked {
        Ok(redirect_saying(&format!("/organisations/{handle}/sampling"), "said-sampling-key-revoked"))
    } else {
        Err(PageError::Domain(Error::NotFound))
    }
}

async fn list(app: &App, reader: &SignedIn, handle: String, notice: Option<String>, status: StatusCode) -> PageResult {
    let actor = reader.actor.clone();
    let (organisation, keys) = app
        .database
        .read(move |db| {
            let organisation = granted_by(db, &actor, &handle)?;
            let keys = sampling::of_organisation(db, organisation.id)?;
            Ok((organisation, keys))
        })
        .await?;
    let frame = Frame::new(app, reader, &organisation, Tab::Sampling);
    let t = &frame.p.t;
    let keys = keys.into_iter().map(|key| Row {
        is_in_force: key.revoked_at.is_none(),
        state: match key.revoked_at {
            None => (Tone::Done, t.say("secret-in-force")),
            Some(_) => (Tone::Plain, t.say("secret-revoked")),
        },
        name: key.name,
        created_at: key.created_at,
    });
    let part = KeysPart { keys: keys.collect(), p: frame.p.clone(), path: frame.path.clone(), notice };
    frame.show(&part, status)
}
