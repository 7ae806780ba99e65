//! The queue: what to do next, the longest wait first.

use actix_web::web::{Data, Query};
use askama::Template;
use serde::Deserialize;

use crate::app::App;
use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::paging::PAGE_SIZE;
use crate::db::types::TicketId;
use crate::error::Result;
use crate::i18n::Texts;
use crate::mail::address::visible;
use crate::people::suppression;
use crate::teams::queues::{self, Queue};
use crate::tickets::listing::{self, COUNTED_TO, ListCursor, Row, View};
use crate::tickets::planned::{self, State};
use crate::web::navigation::Place;
use crate::web::page::{Choice, NavigationItem, Page, Tone};
use crate::web::page_error::PageResult;
use crate::web::respond;
use crate::web::signed_in::Agent;

/// What the queue page is asked for.
#[derive(Deserialize)]
pub struct QueueQuery {
    view: Option<String>,
    queue: Option<String>,
    after: Option<String>,
}

#[derive(Template)]
#[template(path = "agent/queue.html")]
struct QueuePage {
    p: Page,
    view: View,
    title: String,
    tabs: Vec<NavigationItem>,
    queues: Vec<Choice>,
    rows: Vec<RowView>,
    newer: Option<String>,
    older: Option<String>,
    /// Says how many of one's answers are held, if any is.
    held: Option<String>,
    /// The reader's address, when nothing is mailed there because it came back to us (LP-08).
    looped: Option<String>,
}

struct RowView {
    href: String,
    reference: String,
    subject: String,
    requester: String,
    organisation: String,
    queue: String,
    assignee: Option<String>,
    status: &'static str,
    priority: &'static str,
    since: UtcTime,
    waiting: String,
    is_private: bool,
    /// Whether an answer is held in it, or waits for its time.
    unsaid: Option<State>,
}

/// Everything the page shows, loaded in one go.
pub struct Loaded {
    pub queues: Vec<Queue>,
    pub counts: Vec<(View, i64)>,
    pub page: listing::ListPage<Row>,
    /// In which of the tickets of the page an answer is held, or waits for its time.
    pub unsaid: Vec<(TicketId, State)>,
    /// How many of one's own answers are held.
    pub own_held: i64,
}

/// `GET /tickets`
pub async fn show(app: Data<App>, agent: Agent, query: Query<QueueQuery>) -> PageResult {
    let view = query.view.as_deref().and_then(View::parse).unwrap_or(View::WaitingForUs);
    let after = query.after.as_deref().and_then(ListCursor::parse);
    let staff = agent.staff.clone();
    let asked = query.queue.clone();
    let reader = agent.signed_in.person.id;
    let is_mailed = agent.signed_in.person.address_suppressed_at.is_none();
    let (loaded, looped) = app
        .database
        .read(move |db| {
            let looped = if is_mailed { None } else { suppression::find_looped(db, reader)? };
            Ok((load(db, &staff, view, asked.as_deref(), after)?, looped))
        })
        .await?;
    let p = agent.page(&app, "nav-tickets", Place::Tickets);
    let page = page(p, loaded, view, query.queue.as_deref().unwrap_or_default(), after.is_some());
    respond::page(&QueuePage { looped, ..page })
}

/// Loads a page of a view, with how many tickets each view holds.
pub fn load(
    db: &mut DbConnection,
    staff: &crate::access::StaffActor,
    view: View,
    queue: Option<&str>,
    after: Option<ListCursor>,
) -> Result<Loaded> {
    let mut queues = queues::all(db)?;
    queues.retain(|queue| staff.works_in(queue.id));
    let chosen = queue.and_then(|handle| queues.iter().find(|queue| queue.handle == handle)).map(|queue| queue.id);
    let page = listing::page(db, staff, view, chosen, after, PAGE_SIZE)?;
    let mut counts = Vec::new();
    for view in View::ALL {
        counts.push((*view, listing::count(db, staff, *view, chosen)?));
    }
    let unsaid = planned::listing::marks(db, &page.rows.iter().map(|row| row.id).collect::<Vec<_>>())?;
    let own_held = planned::listing::own_held(db, staff)?;
    Ok(Loaded { queues, counts, page, unsaid, own_held })
}

fn page(mut p: Page, loaded: Loaded, view: View, queue: &str, is_later: bool) -> QueuePage {
    let t = p.t;
    let title = t.say(view_key(view));
    p.title = title.clone();
    let locale = t.locale;
    let queue = if loaded.queues.iter().any(|known| known.handle == queue) { queue } else { "" };
    let address = |view: View| {
        if queue.is_empty() { format!("/tickets?view={view}") } else { format!("/tickets?view={view}&queue={queue}") }
    };
    let tabs = loaded.counts.iter().map(|(of, count)| {
        NavigationItem::new(t.say(view_key(*of)), address(*of), "")
            .current_if(*of == view)
            .counting(count_text(&t, *count), view_tone(*of))
    });
    let tabs = tabs.collect();
    let choices = loaded.queues.iter().map(|queue| (queue.handle.clone(), queue.name(locale).to_owned()));
    let choices = Choice::list(choices, queue);
    let now = p.now;
    let mark = |ticket| loaded.unsaid.iter().find(|(of, _)| *of == ticket).map(|(_, state)| *state);
    let rows = loaded.page.rows.into_iter();
    let rows = rows.map(|row| RowView { unsaid: mark(row.id), ..row_view(&t, row, &loaded.queues, now) }).collect();
    QueuePage {
        held: (loaded.own_held > 0).then(|| t.count("queue-own-held", loaded.own_held)),
        view,
        title,
        tabs,
        queues: choices,
        rows,
        newer: is_later.then(|| address(view)),
        older: loaded.page.next.map(|next| format!("{}&after={}", address(view), next.to_text())),
        looped: None,
        p,
    }
}

/// The rendered page, for the benchmark.
pub fn render(p: Page, loaded: Loaded, view: View) -> String {
    page(p, loaded, view, "", false).render().unwrap_or_default()
}

fn row_view(t: &Texts, row: Row, queues: &[Queue], now: UtcTime) -> RowView {
    let queue = queues.iter().find(|queue| queue.id == row.queue_id);
    RowView {
        href: format!("/tickets/{}", row.reference),
        subject: if row.subject.is_empty() { t.say("ticket-no-subject") } else { visible(&row.subject) },
        reference: row.reference,
        requester: visible(&row.requester),
        organisation: row.organisation,
        queue: queue.map(|queue| queue.name(t.locale).to_owned()).unwrap_or_default(),
        assignee: row.assignee,
        status: row.status.as_str(),
        priority: row.priority.as_str(),
        since: row.waiting_since,
        waiting: t.lasting(&row.waiting_since, &now),
        is_private: row.is_private,
        unsaid: None,
    }
}

fn count_text(t: &Texts, count: i64) -> String {
    if count > COUNTED_TO { format!("{}+", t.number(COUNTED_TO)) } else { t.number(count) }
}

fn view_key(view: View) -> &'static str {
    match view {
        View::Mine => "view-mine",
        View::Unassigned => "view-unassigned",
        View::WaitingForUs => "view-waiting-for-us",
        View::WaitingForCustomer => "view-waiting-for-customer",
        View::Closed => "view-closed",
        View::All => "view-all",
    }
}

fn view_tone(view: View) -> Tone {
    match view {
        View::Mine | View::Unassigned | View::WaitingForUs => Tone::Act,
        View::WaitingForCustomer => Tone::Paused,
        View::Closed => Tone::Done,
        View::All => Tone::Plain,
    }
}
