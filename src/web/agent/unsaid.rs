//! Answers that are not said yet: one's own, and those of everybody that are held and wait for somebody's decision.

use actix_web::web::{Data, Query};
use askama::Template;
use serde::Deserialize;

use crate::app::App;
use crate::clock::UtcTime;
use crate::db::paging::{Cursor, PAGE_SIZE};
use crate::db::types::PersonId;
use crate::i18n::Texts;
use crate::mail::address::visible;
use crate::notifications::recipients::held_key;
use crate::tickets::planned::State;
use crate::tickets::planned::listing::{self, Unsaid};
use crate::web::navigation::Place;
use crate::web::page::Page;
use crate::web::page_error::PageResult;
use crate::web::respond;
use crate::web::signed_in::Agent;

/// Characters of an answer that the list shows.
const EXCERPT: usize = 140;
/// The page.
const HERE: &str = "/planned-answers";

#[derive(Deserialize)]
pub struct ListQuery {
    after: Option<String>,
}

#[derive(Template)]
#[template(path = "agent/unsaid.html")]
struct UnsaidPage {
    p: Page,
    rows: Vec<RowView>,
    newer: Option<String>,
    older: Option<String>,
}

struct RowView {
    href: String,
    reference: String,
    subject: String,
    excerpt: String,
    /// A colleague's name; nothing for one's own.
    author: Option<String>,
    tone: &'static str,
    icon: &'static str,
    state: String,
    /// Why it is held, or when it goes out.
    more: String,
    at: UtcTime,
}

/// `GET /planned-answers`
pub async fn list(app: Data<App>, agent: Agent, query: Query<ListQuery>) -> PageResult {
    let after = query.after.as_deref().and_then(Cursor::parse);
    let staff = agent.staff.clone();
    let page = app.database.read(move |db| listing::page(db, &staff, after, PAGE_SIZE)).await?;
    let p = agent.page(&app, "nav-planned-answers", Place::PlannedAnswers);
    let t = p.t;
    respond::page(&UnsaidPage {
        rows: page.rows.into_iter().map(|answer| row(&t, answer, agent.staff.person)).collect(),
        newer: after.is_some().then(|| HERE.to_owned()),
        older: page.next.map(|next| format!("{HERE}?after={}", next.to_text())),
        p,
    })
}

fn row(t: &Texts, answer: Unsaid, reader: PersonId) -> RowView {
    let (tone, icon, state) = match answer.state {
        State::Held => ("act", "pause", "answer-held"),
        State::Waiting if answer.planned_for.is_some() => ("paused", "calendar", "answer-planned"),
        State::Waiting => ("info", "send", "answer-on-its-way"),
        State::TakenBack => ("plain", "undo", "answer-taken-back"),
    };
    let more = match (answer.held_because, answer.planned_for.filter(|_| answer.state == State::Waiting)) {
        (Some(because), _) => t.say(held_key(because)),
        (None, Some(time)) => t.with2("answer-goes-out-at", "time", t.date_time(&time), "zone", t.zone.name()),
        (None, None) => String::new(),
    };
    RowView {
        // What was taken back stands in the composer.
        href: match answer.state {
            State::TakenBack => format!("/tickets/{}#text", answer.reference),
            _ => format!("/tickets/{}#{}", answer.reference, answer.handle),
        },
        subject: if answer.subject.is_empty() { t.say("ticket-no-subject") } else { visible(&answer.subject) },
        reference: answer.reference,
        excerpt: excerpt(&answer.text),
        author: (answer.author != reader).then(|| visible(&answer.author_name)),
        tone,
        icon,
        state: t.say(state),
        more,
        at: answer.changed_at,
    }
}

/// Its beginning, on one line.
fn excerpt(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut cut: String = line.chars().take(EXCERPT).collect();
    if cut.len() < line.len() {
        cut.push('…');
    }
    visible(&cut)
}
