//! What one does with answers that are not said yet: taking one back into the composer, having it go out now or at another
//! time, throwing away what was taken back. Each is a small form of the ticket page.

use actix_web::web::{Data, Path};
use serde::Deserialize;

use crate::access::Actor;
use crate::app::App;
use crate::db::DbConnection;
use crate::error::{Error, FieldErrors, Result};
use crate::i18n::Message as Text;
use crate::keys::Keys;
use crate::notifications::recipients::held_key;
use crate::tickets::messages::Words;
use crate::tickets::planned::{self, Release, State, audience, releasing};
use crate::tickets::ticket::{self, Ticket};
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

/// What the agent has seen: how many messages, who reads them, and why the answer is held, if the page said that.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SendForm {
    seen: i32,
    #[serde(default)]
    readers: String,
    #[serde(default)]
    held: String,
}

/// `POST /tickets/{reference}/answers/{handle}/sending`: at once, whatever it waits for.
pub async fn send(app: Data<App>, agent: Agent, path: Path<(String, String)>, form: Form<SendForm>) -> PageResult {
    let (reference, handle) = path.into_inner();
    let SendForm { seen, readers, held } = form.0;
    let keys = app.keys.clone();
    let undo_secs = app.config.desk.undo_seconds;
    let (actor, asked, name) = (agent.actor().clone(), reference.clone(), handle.clone());
    let found = app.database.read(move |db| {
        let ticket = ticket::by_reference(db, &actor, &asked)?;
        planned::find(db, &ticket, &name)
    });
    let found = found.await?;
    // Markdown becomes HTML before the transaction.
    let words = Words::on_page(found.as_ref().map_or("", |answer| &answer.text));
    let is_held = found.is_some_and(|answer| answer.state == State::Held);
    let verb = move |db: &mut DbConnection, ticket: &Ticket, by: &Actor, now| {
        // Held since the page was made, or for another reason: whoever sends it has not read that.
        let because = planned::find(db, ticket, &handle)?.and_then(|answer| answer.held_because);
        if because.is_some_and(|because| held_key(because) != held) {
            return Err(Error::Conflict(Text::new("answer-stale")));
        }
        require_readers(db, &keys, ticket, &readers)?;
        releasing::send(db, ticket, &handle, &words, (seen, undo_secs), by, now)
    };
    let said = if is_held || undo_secs == 0 { "said-reply-sent" } else { "said-answer-waits" };
    change(&app, &agent, reference, None, said, verb).await
}

/// When it is to go out, by the agent's clock.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimeForm {
    at: String,
    seen: i32,
    #[serde(default)]
    readers: String,
}

/// `POST /tickets/{reference}/answers/{handle}/time`
pub async fn set_time(app: Data<App>, agent: Agent, path: Path<(String, String)>, form: Form<TimeForm>) -> PageResult {
    let (reference, handle) = path.into_inner();
    let TimeForm { at, seen, readers } = form.0;
    let keys = app.keys.clone();
    let zone = agent.signed_in.person.zone();
    let verb = move |db: &mut DbConnection, ticket: &Ticket, by: &Actor, now| {
        require_readers(db, &keys, ticket, &readers)?;
        let time = read_send_at(&at, zone).and_then(|time| time.ok_or_else(|| Error::invalid("at", "send-at-invalid")));
        let planned =
            time.and_then(|time| planned::reschedule(db, ticket, &handle, (seen, Release::At(time)), by, now));
        beside_the_time(planned)
    };
    change(&app, &agent, reference, None, "said-answer-planned", verb).await
}

/// An answer is not sent to others than whom its page showed.
fn require_readers(db: &mut DbConnection, keys: &Keys, ticket: &Ticket, mark: &str) -> Result<()> {
    if audience::is_as_seen(db, keys, ticket, mark)? {
        return Ok(());
    }
    Err(Error::Conflict(Text::new("answer-other-readers")))
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
    let verb =
        move |db: &mut DbConnection, ticket: &Ticket, by: &Actor, now| planned::clear(db, ticket, &handle, by, now);
    change(&app, &agent, reference, None, "said-answer-removed", verb).await
}
