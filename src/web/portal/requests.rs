//! The list of one's requests, and where the organisation allows it, of its other members'.

use actix_web::web::{Data, Query};
use askama::Template;
use serde::Deserialize;

use crate::access::Actor;
use crate::app::App;
use crate::clock::UtcTime;
use crate::i18n::Texts;
use crate::tickets::listing::{self, ListCursor, Progress, Scope};
use crate::web::navigation::Place;
use crate::web::page::{NavigationItem, Page};
use crate::web::page_error::{PageError, PageResult};
use crate::web::respond::page;
use crate::web::signed_in::SignedIn;

/// Rows of one page.
const PAGE: i64 = 25;

/// Which requests.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct RequestsQuery {
    /// `all` for those of the organisation too.
    whose: String,
    /// `closed`, else the open ones.
    state: String,
    after: String,
}

/// `GET /requests`
pub async fn list(app: Data<App>, reader: SignedIn, Query(query): Query<RequestsQuery>) -> PageResult {
    let Actor::Customer(customer) = &reader.actor else {
        return Err(PageError::Elsewhere("/tickets".to_owned()));
    };
    let sees_colleagues = !customer.organisations_seen().is_empty();
    let scope = if query.whose == "all" && sees_colleagues { Scope::Everything } else { Scope::Own };
    let progress = if query.state == "closed" { Progress::Closed } else { Progress::Open };
    let after = ListCursor::parse(&query.after).map(ListCursor::cursor);
    let actor = reader.actor.clone();
    let found = app.database.read(move |db| listing::requests(db, &actor, scope, progress, after, PAGE)).await?;

    let is_all = scope == Scope::Everything;
    let is_closed = progress == Progress::Closed;
    let title = if is_all { "requests-title-all" } else { "requests-title" };
    let p = reader.page(&app, title, Place::Requests);
    let whose = if sees_colleagues {
        vec![
            tab(&p.t, "requests-own", &href("", &query.state, ""), !is_all),
            tab(&p.t, "requests-all", &href("all", &query.state, ""), is_all),
        ]
    } else {
        Vec::new()
    };
    let states = vec![
        tab(&p.t, "requests-open", &href(&query.whose, "", ""), !is_closed),
        tab(&p.t, "requests-closed", &href(&query.whose, "closed", ""), is_closed),
    ];
    let older = found.next.map(|next| href(&query.whose, &query.state, &next.to_text()));
    let first = (!query.after.is_empty()).then(|| href(&query.whose, &query.state, ""));
    let rows = found
        .rows
        .into_iter()
        .map(|row| Row {
            href: format!("/requests/{}", row.reference),
            is_mine: row.requester_id == reader.person.id,
            reference: row.reference,
            subject: row.subject,
            status: row.status.as_str(),
            is_private: row.is_private,
            requester: row.requester,
            last_message_at: row.last_message_at,
        })
        .collect();
    page(&RequestsPage { p, whose, states, is_all, is_closed, rows, first, older })
}

fn href(whose: &str, state: &str, after: &str) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in [("whose", whose), ("state", state), ("after", after)] {
        if !value.is_empty() {
            query.append_pair(name, value);
        }
    }
    match query.finish() {
        none if none.is_empty() => "/requests".to_owned(),
        query => format!("/requests?{query}"),
    }
}

fn tab(texts: &Texts, key: &str, href: &str, current: bool) -> NavigationItem {
    NavigationItem::new(texts.say(key), href, "").current_if(current)
}

struct Row {
    href: String,
    reference: String,
    subject: String,
    status: &'static str,
    is_mine: bool,
    is_private: bool,
    requester: String,
    last_message_at: UtcTime,
}

#[derive(Template)]
#[template(path = "portal/requests.html")]
struct RequestsPage {
    p: Page,
    whose: Vec<NavigationItem>,
    states: Vec<NavigationItem>,
    is_all: bool,
    is_closed: bool,
    rows: Vec<Row>,
    first: Option<String>,
    older: Option<String>,
}
