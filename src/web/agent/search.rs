//! Searching, for agents: what was said in the tickets they may see, the latest first. A reference leads straight to its
//! ticket.

use actix_web::web::{Data, Query};
use askama::Template;
use serde::Deserialize;

use crate::app::App;
use crate::clock::UtcTime;
use crate::db::paging::{Cursor, PAGE_SIZE};
use crate::i18n::Texts;
use crate::mail::address::visible;
use crate::search::{self, Hit, SearchQuery};
use crate::tickets::TicketReference;
use crate::tickets::messages::MessageKind;
use crate::tickets::ticket;
use crate::web::navigation::Place;
use crate::web::page::Page;
use crate::web::page_error::PageResult;
use crate::web::respond::{self, redirect};
use crate::web::signed_in::Agent;

/// What is searched, and where the page begins.
#[derive(Deserialize)]
pub struct SearchRequest {
    #[serde(default)]
    q: String,
    after: Option<String>,
}

#[derive(Template)]
#[template(path = "agent/search.html")]
struct SearchPage {
    p: Page,
    q: String,
    is_asked: bool,
    hits: Vec<HitView>,
    newer: Option<String>,
    older: Option<String>,
}

struct HitView {
    href: String,
    reference: String,
    subject: String,
    requester: String,
    organisation: String,
    status: &'static str,
    author: String,
    is_note: bool,
    said_at: UtcTime,
    before: String,
    found: String,
    after: String,
}

/// `GET /search`
pub async fn show(app: Data<App>, agent: Agent, request: Query<SearchRequest>) -> PageResult {
    let q = request.q.trim().to_owned();
    let after = request.after.as_deref().and_then(Cursor::parse);
    if let Some(reference) = TicketReference::parse(&q) {
        let actor = agent.actor().clone();
        let named = app.database.read(move |db| ticket::find_by_reference(db, &actor, &reference)).await?;
        if let Some(ticket) = named {
            return Ok(redirect(&format!("/tickets/{}", ticket.reference)));
        }
    }
    let query = SearchQuery::parse(&q);
    let is_asked = !query.is_empty();
    let actor = agent.actor().clone();
    let found = app.database.read(move |db| search::search(db, &actor, &query, after, PAGE_SIZE)).await?;
    let mut p = agent.page(&app, "search-title", Place::Nowhere);
    if let Some(box_) = &mut p.search {
        box_.query.clone_from(&q);
    }
    let hits = found.rows.into_iter().map(|hit| view(&p.t, hit)).collect();
    let newer = after.is_some().then(|| address(&q, None));
    let older = found.next.map(|next| address(&q, Some(next)));
    respond::page(&SearchPage { p, q, is_asked, hits, newer, older })
}

fn view(t: &Texts, hit: Hit) -> HitView {
    HitView {
        href: format!("/tickets/{}#{}", hit.ticket.reference, hit.message),
        subject: if hit.ticket.subject.is_empty() { t.say("ticket-no-subject") } else { visible(&hit.ticket.subject) },
        reference: hit.ticket.reference,
        requester: visible(&hit.ticket.requester),
        organisation: hit.ticket.organisation,
        status: hit.ticket.status.as_str(),
        author: visible(&hit.author),
        is_note: hit.kind == MessageKind::Note,
        said_at: hit.said_at,
        before: hit.snippet.before,
        found: hit.snippet.found,
        after: hit.snippet.after,
    }
}

fn address(q: &str, after: Option<Cursor>) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("q", q);
    if let Some(after) = after {
        query.append_pair("after", &after.to_text());
    }
    format!("/search?{}", query.finish())
}
