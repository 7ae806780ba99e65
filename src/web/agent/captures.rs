//! What was captured for a ticket, for the agents whom the consent names. Looking is an act on record, whichever way.

use actix_web::HttpRequest;
use actix_web::web::{Data, Path, Query};

use crate::app::App;
use crate::consent::{asking, grants};
use crate::i18n::Texts;
use crate::tickets::ticket;
use crate::web::diagnostics::live::{self, FollowQuery, LiveForm, Stay};
use crate::web::diagnostics::{self, Find, Loaded, ReadingForm, WholeForm, downloads, looks};
use crate::web::forms::Form;
use crate::web::navigation::Place;
use crate::web::page::{Crumb, Page};
use crate::web::page_error::PageResult;
use crate::web::signed_in::Agent;

type Named = Path<(String, String)>;

/// `GET /tickets/{reference}/consents/{handle}/records`: how much was captured, and who looked at it.
pub async fn show(app: Data<App>, agent: Agent, path: Named) -> PageResult {
    let (actor, now, find) = (agent.actor().clone(), app.clock.now(), find(&agent, &path));
    let loaded = app
        .database
        .read(move |db| {
            let grant = find(db)?;
            diagnostics::load(db, grant, &actor, now)
        })
        .await?;
    shown(&app, &agent, path, &loaded, ReadingForm::default())
}

/// `POST /tickets/{reference}/consents/{handle}/readings`: the records themselves; that they were looked at is recorded.
pub async fn read(app: Data<App>, agent: Agent, path: Named, form: Form<ReadingForm>) -> PageResult {
    let typed = form.0;
    let loaded = diagnostics::read(&app, agent.actor().clone(), typed.clone(), find(&agent, &path)).await?;
    shown(&app, &agent, path, &loaded, typed)
}

/// `POST /tickets/{reference}/consents/{handle}/flame`: all of it, added up.
pub async fn add_up(app: Data<App>, agent: Agent, path: Named, form: Form<WholeForm>) -> PageResult {
    let loaded = diagnostics::add_up(&app, agent.actor().clone(), form.0, find(&agent, &path)).await?;
    shown(&app, &agent, path, &loaded, ReadingForm::default())
}

/// `POST /tickets/{reference}/consents/{handle}/exports`: all of it, as a file.
pub async fn export(app: Data<App>, agent: Agent, path: Named, form: Form<WholeForm>) -> PageResult {
    let find = find(&agent, &path);
    downloads::send(app, agent.actor().clone(), form.0, find).await
}

/// `POST /tickets/{reference}/consents/{handle}/live`: records as they come.
pub async fn watch(app: Data<App>, agent: Agent, path: Named, form: Form<LiveForm>) -> PageResult {
    let (find, p) = (find(&agent, &path), page(&app, &agent));
    live::watch(app, agent.actor().clone(), p, find, form.0).await
}

/// `GET /tickets/{reference}/consents/{handle}/looks`: who looks, as they look; no record is in it.
pub async fn follow(
    app: Data<App>,
    agent: Agent,
    path: Named,
    query: Query<FollowQuery>,
    request: HttpRequest,
) -> PageResult {
    let (find, p) = (find(&agent, &path), page(&app, &agent));
    looks::follow(app, agent.actor().clone(), p, find, query.seen(&request), Stay::of(query.seconds)).await
}

/// Finds the grant of that name in a ticket that the agent may see.
fn find(agent: &Agent, path: &(String, String)) -> Find {
    let (actor, (reference, handle)) = (agent.actor().clone(), path.clone());
    std::sync::Arc::new(move |db| {
        let ticket = ticket::by_reference(db, &actor, &reference)?;
        let request = asking::in_ticket(db, &ticket, &handle)?;
        grants::granted(db, request.id)
    })
}

fn page(app: &App, agent: &Agent) -> Page {
    agent.page(app, "diagnostics-title", Place::Tickets)
}

fn shown(app: &App, agent: &Agent, path: Named, loaded: &Loaded, typed: ReadingForm) -> PageResult {
    let p = page(app, agent);
    let (reference, handle) = path.into_inner();
    let crumbs = crumbs(&p.t, &reference, &handle);
    diagnostics::for_agent(p, crumbs, (reference, handle), loaded, typed)
}

fn crumbs(t: &Texts, reference: &str, handle: &str) -> Vec<Crumb> {
    vec![
        Crumb::new(t.say("nav-tickets"), "/tickets"),
        Crumb::new(reference, format!("/tickets/{reference}")),
        Crumb::new(t.say("consent-title"), format!("/tickets/{reference}/consents/{handle}")),
    ]
}
