//! What one does with answers that are not said yet: taking one back into the composer, having it go out now or at another
//! time, throwing away what was taken back. Each is a small form of the ticket page.

use actix_web::web::{Data, Path};
use serde::Deserialize;

use crate::access::Actor;
use crate::app::App;
use crate::db::DbConnection;
use crate::error::{Error, FieldErrors, Result};
use crate::tickets::planned::{self, Release};
use crate::tickets::ticket::Ticket;
use crate::web::agent::answers::read_send_at;
use crate::web::agent::changes::change;
use crate::web::forms::{Form, Nothing};
use crate::web::page_error::PageResult;
use crate::web::signed_in::Agent;

/// `POST /tickets/{reference}/answers/{handle}/taking-back`
pub async fn take_back(app: Data<App>, agent: Agent, path: Path<(String, String)>, _form: Form<Nothing>) -> PageResult {
    let (reference, handle) = path.into_inner();
    let verb =
        move |db: &mut DbConnection, ticket: &Ticket, by: &Actor, now| planned::take_back(db, ticket, &handle, by, now);
    change(&app, &agent, reference, None, "said-answer-taken-back", verb).await
}

/// What the agent has seen.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SendForm {
    seen: i32,
}

/// `POST /tickets/{reference}/answers/{handle}/sending`: at once, whatever it waits for.
pub async fn send(app: Data<App>, agent: Agent, path: Path<(String, String)>, form: Form<SendForm>) -> PageResult {
    let (reference, handle) = path.into_inner();
    let (seen, release) = (form.0.seen, Release::AtOnce { undo_secs: app.config.desk.undo_seconds });
    let verb = move |db: &mut DbConnection, ticket: &Ticket, by: &Actor, now| {
        planned::reschedule(db, ticket, &handle, (seen, release), by, now)
    };
    change(&app, &agent, reference, None, "said-answer-waits", verb).await
}

/// When it is to go out, by the agent's clock.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimeForm {
    at: String,
    seen: i32,
}

/// `POST /tickets/{reference}/answers/{handle}/time`
pub async fn set_time(app: Data<App>, agent: Agent, path: Path<(String, String)>, form: Form<TimeForm>) -> PageResult {
    let (reference, handle) = path.into_inner();
    let TimeForm { at, seen } = form.0;
    let zone = agent.signed_in.person.zone();
    let verb = move |db: &mut DbConnection, ticket: &Ticket, by: &Actor, now| {
        let time = read_send_at(&at, zone).and_then(|time| time.ok_or_else(|| Error::invalid("at", "send-at-invalid")));
        let planned =
            time.and_then(|time| planned::reschedule(db, ticket, &handle, (seen, Release::At(time)), by, now));
        beside_the_time(planned)
    };
    change(&app, &agent, reference, None, "said-answer-planned", verb).await
}

/// What is wrong with the time stands beside this form, not beside the composer's.
fn beside_the_time(result: Result<()>) -> Result<()> {
    let Err(Error::Invalid(errors)) = result else { return result };
    let mut renamed = FieldErrors::default();
    for (_, message) in errors.iter() {
        renamed.add("at", message.clone());
    }
    Err(Error::Invalid(renamed))
}

/// `POST /tickets/{reference}/answers/{handle}/removal`: what was taken back is thrown away.
pub async fn remove(app: Data<App>, agent: Agent, path: Path<(String, String)>, _form: Form<Nothing>) -> PageResult {
    let (reference, handle) = path.into_inner();
    let verb = move |db: &mut DbConnection, ticket: &Ticket, by: &Actor, _| planned::clear(db, ticket, &handle, by);
    change(&app, &agent, reference, None, "said-answer-removed", verb).await
}
