//! What one changes in a ticket beside answering it: each a small form of the ticket page. A change made on a view that
//! is no longer true is not made; the page shows how the ticket stands now.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Path};
use serde::Deserialize;

use crate::access::Actor;
use crate::app::App;
use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::error::{Error, Result};
use crate::notifications::left_out;
use crate::outbox;
use crate::people::{environments, person, sites};
use crate::teams::queues;
use crate::tickets::messages::in_doubt;
use crate::tickets::priority::Priority;
use crate::tickets::status::Status;
use crate::tickets::ticket::{self, Ticket};
use crate::tickets::{assignment, moving, place, priority, status, tags};
use crate::web::agent::ticket::{self as ticket_page, Draft};
use crate::web::forms::Form;
use crate::web::page_error::PageResult;
use crate::web::respond;
use crate::web::signed_in::Agent;

/// Makes a change to the ticket as the agent saw it, and shows the ticket again: as it is now, or with what is wrong.
pub(super) async fn change<F>(
    app: &App,
    agent: &Agent,
    reference: String,
    seen: Option<i64>,
    said: &'static str,
    verb: F,
) -> PageResult
where
    F: Fn(&mut DbConnection, &Ticket, &Actor, UtcTime) -> Result<()> + Send + 'static,
{
    let (actor, now, asked) = (agent.actor().clone(), app.clock.now(), reference.clone());
    let outcome = app
        .database
        .write(move |db| {
            let ticket = ticket::by_reference(db, &actor, &asked)?;
            if let Some(seen) = seen {
                ticket::require_version(&ticket, seen)?;
            }
            verb(db, &ticket, &actor, now)?;
            // A ticket handed over to a queue that is not ours is out of sight.
            ticket::is_visible(db, &actor, ticket.id)
        })
        .await;
    match outcome {
        Ok(true) => Ok(respond::redirect_saying(&format!("/tickets/{reference}"), said)),
        Ok(false) => Ok(respond::redirect_saying("/tickets", said)),
        Err(Error::Invalid(errors)) => {
            let draft = Draft { errors, ..Draft::default() };
            ticket_page::page(app, agent, reference, false, draft, StatusCode::UNPROCESSABLE_ENTITY).await
        }
        Err(Error::Conflict(notice)) => {
            let draft = Draft { notice: Some(notice), ..Draft::default() };
            ticket_page::page(app, agent, reference, false, draft, StatusCode::CONFLICT).await
        }
        Err(other) => Err(other.into()),
    }
}

/// A status chosen.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatusForm {
    status: Status,
    version: i64,
}

/// `POST /tickets/{reference}/status`
pub async fn set_status(app: Data<App>, agent: Agent, reference: Path<String>, form: Form<StatusForm>) -> PageResult {
    let StatusForm { status: to, version } = form.0;
    let verb = move |db: &mut DbConnection, ticket: &Ticket, by: &Actor, now| {
        if ticket.status == to { Ok(()) } else { status::set(db, ticket, to, by, now) }
    };
    change(&app, &agent, reference.into_inner(), Some(version), "said-status-changed", verb).await
}

/// A priority chosen.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriorityForm {
    priority: Priority,
}

/// `POST /tickets/{reference}/priority`
pub async fn set_priority(
    app: Data<App>,
    agent: Agent,
    reference: Path<String>,
    form: Form<PriorityForm>,
) -> PageResult {
    let to = form.0.priority;
    let verb = move |db: &mut DbConnection, ticket: &Ticket, by: &Actor, now| priority::set(db, ticket, to, by, now);
    change(&app, &agent, reference.into_inner(), None, "said-priority-changed", verb).await
}

/// Who shall take care: a colleague's public name, or nobody.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AssignmentForm {
    assignee: String,
    version: i64,
}

/// `POST /tickets/{reference}/assignment`
pub async fn assign(app: Data<App>, agent: Agent, reference: Path<String>, form: Form<AssignmentForm>) -> PageResult {
    let AssignmentForm { assignee, version } = form.0;
    let verb = move |db: &mut DbConnection, ticket: &Ticket, by: &Actor, now| {
        let to = match assignee.as_str() {
            "" => None,
            "me" => by.person(),
            handle => {
                let unknown = || Error::invalid("assignee", "assignee-not-in-queue");
                Some(person::find_by_handle(db, handle)?.ok_or_else(unknown)?.id)
            }
        };
        assignment::assign(db, ticket, to, by, now)
    };
    change(&app, &agent, reference.into_inner(), Some(version), "said-assigned", verb).await
}

/// A queue chosen.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueueForm {
    queue: String,
    version: i64,
}

/// `POST /tickets/{reference}/queue`
pub async fn set_queue(app: Data<App>, agent: Agent, reference: Path<String>, form: Form<QueueForm>) -> PageResult {
    let QueueForm { queue, version } = form.0;
    let verb = move |db: &mut DbConnection, ticket: &Ticket, by: &Actor, now| {
        let queue = queues::find_by_handle(db, &queue)?.ok_or(Error::NotFound)?;
        moving::to_queue(db, ticket, queue.id, by, now)
    };
    change(&app, &agent, reference.into_inner(), Some(version), "said-queue-changed", verb).await
}

/// Where the matter is at home: public names, or nothing.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlaceForm {
    #[serde(default)]
    site: String,
    #[serde(default)]
    environment: String,
}

/// `POST /tickets/{reference}/place`
pub async fn set_place(app: Data<App>, agent: Agent, reference: Path<String>, form: Form<PlaceForm>) -> PageResult {
    let PlaceForm { site, environment } = form.0;
    let verb = move |db: &mut DbConnection, ticket: &Ticket, by: &Actor, now| {
        let of = ticket.organisation_id;
        let unknown_site = || Error::invalid("site", "site-unknown");
        let unknown_environment = || Error::invalid("environment", "environment-unknown");
        let site = match site.as_str() {
            "" => None,
            handle => Some(sites::find(db, of, handle)?.ok_or_else(unknown_site)?.id),
        };
        let environment = match environment.as_str() {
            "" => None,
            handle => Some(environments::find(db, of, handle)?.ok_or_else(unknown_environment)?.id),
        };
        place::set(db, ticket, site, environment, by, now)
    };
    change(&app, &agent, reference.into_inner(), None, "said-place-changed", verb).await
}

/// Whether colleagues of the requester see it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrivacyForm {
    is_private: bool,
}

/// `POST /tickets/{reference}/privacy`
pub async fn set_privacy(app: Data<App>, agent: Agent, reference: Path<String>, form: Form<PrivacyForm>) -> PageResult {
    let is_private = form.0.is_private;
    let verb = move |db: &mut DbConnection, ticket: &Ticket, by: &Actor, now| {
        moving::set_private(db, ticket, is_private, by, now)
    };
    change(&app, &agent, reference.into_inner(), None, "said-privacy-changed", verb).await
}

/// A tag to add or to take away.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TagForm {
    tag: String,
}

/// `POST /tickets/{reference}/tags`
pub async fn add_tag(app: Data<App>, agent: Agent, reference: Path<String>, form: Form<TagForm>) -> PageResult {
    let tag = form.0.tag;
    let verb = move |db: &mut DbConnection, ticket: &Ticket, by: &Actor, now| tags::add(db, ticket, &tag, by, now);
    change(&app, &agent, reference.into_inner(), None, "said-tag-added", verb).await
}

/// `POST /tickets/{reference}/tags/removal`
pub async fn remove_tag(app: Data<App>, agent: Agent, reference: Path<String>, form: Form<TagForm>) -> PageResult {
    let tag = form.0.tag;
    let verb = move |db: &mut DbConnection, ticket: &Ticket, by: &Actor, now| tags::remove(db, ticket, &tag, by, now);
    change(&app, &agent, reference.into_inner(), None, "said-tag-removed", verb).await
}

/// Nothing but the token.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoForm {}

/// `POST /tickets/{reference}/messages/{handle}/acceptance`
pub async fn accept(app: Data<App>, agent: Agent, path: Path<(String, String)>, _form: Form<NoForm>) -> PageResult {
    let (reference, handle) = path.into_inner();
    let verb =
        move |db: &mut DbConnection, ticket: &Ticket, by: &Actor, now| in_doubt::accept(db, ticket, &handle, by, now);
    change(&app, &agent, reference, None, "said-message-accepted", verb).await
}

/// `POST /tickets/{reference}/messages/{handle}/rejection`
pub async fn reject(app: Data<App>, agent: Agent, path: Path<(String, String)>, _form: Form<NoForm>) -> PageResult {
    let (reference, handle) = path.into_inner();
    let verb =
        move |db: &mut DbConnection, ticket: &Ticket, by: &Actor, now| in_doubt::reject(db, ticket, &handle, by, now);
    change(&app, &agent, reference, None, "said-message-rejected", verb).await
}

/// `POST /tickets/{reference}/mails/{handle}/retry`: a mail that did not arrive is sent again (O-06).
pub async fn retry_mail(app: Data<App>, agent: Agent, path: Path<(String, String)>, _form: Form<NoForm>) -> PageResult {
    let (reference, handle) = path.into_inner();
    let verb = move |db: &mut DbConnection, ticket: &Ticket, _: &Actor, now| {
        let mail = outbox::listing::find(db, &handle)?.filter(|mail| mail.ticket == Some(ticket.id));
        left_out::retry(db, &mail.ok_or(Error::NotFound)?, now)?;
        Ok(())
    };
    change(&app, &agent, reference, None, "said-mail-retried", verb).await
}
