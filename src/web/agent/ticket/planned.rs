//! Answers that are not said yet, as the ticket shows them to agents.

use super::status_key;
use crate::app::App;
use crate::clock::UtcTime;
use crate::html::from_markdown;
use crate::i18n::Texts;
use crate::notifications::recipients::held_key;
use crate::tickets::planned::{PlannedAnswer, State};
use crate::web::agent::by_hand::FORM_TIME;
use crate::web::agent::ticket::Draft;
use crate::web::kept_files;
use crate::web::page::AttachmentLink;

/// An answer that waits or is held.
pub(super) struct PlannedView {
    pub(super) handle: String,
    pub(super) author: String,
    pub(super) at: UtcTime,
    pub(super) html: String,
    pub(super) files: Vec<AttachmentLink>,
    /// What the ticket becomes with it.
    pub(super) then: String,
    /// For so many seconds it can be taken back, before it goes out.
    pub(super) seconds_left: Option<i64>,
    /// When it goes out, with the zone.
    pub(super) when: Option<String>,
    /// Why it does not go out.
    pub(super) held: Option<&'static str>,
    /// Whether it can be told to go out, now or later.
    pub(super) may_be_sent: bool,
    /// The time for the form that changes it.
    pub(super) time: String,
    /// The name of its field in the page: the first is where the list of what is wrong leads.
    pub(super) time_id: String,
}

/// What waits and what is held, for the page; `name` says who wrote it.
pub(super) fn views(
    t: &Texts,
    answers: &[PlannedAnswer],
    name: impl Fn(&PlannedAnswer) -> String,
    now: UtcTime,
) -> Vec<PlannedView> {
    let shown = answers.iter().filter(|answer| answer.state != State::TakenBack);
    shown
        .enumerate()
        .map(|(at, answer)| PlannedView {
            handle: answer.handle.clone(),
            author: name(answer),
            at: answer.created_at,
            html: from_markdown(&answer.text),
            files: answer.files.0.iter().map(|file| listed(t, &file.file_name, file.size)).collect(),
            then: t.with("answer-then", "status", t.say(status_key(answer.status))),
            seconds_left: answer.undo_secs_left(now),
            when: answer.planned_for.filter(|_| answer.state == State::Waiting).map(|time| with_zone(t, time)),
            held: answer.held_because.map(held_key),
            may_be_sent: answer.held_because.is_none_or(|because| because.may_be_overruled()),
            time: answer.planned_for.map(|time| form_time(t, time)).unwrap_or_default(),
            time_id: if at == 0 { "at".to_owned() } else { format!("at-{at}") },
        })
        .collect()
}

/// What was taken back stands in the composer, unless something else does.
pub(super) fn into_composer(
    app: &App,
    t: &Texts,
    whose: &str,
    answers: &[PlannedAnswer],
    draft: Draft,
    now: UtcTime,
) -> Draft {
    let is_free = draft.reply.is_empty() && draft.kept.is_empty() && draft.answer.is_none();
    let taken_back = answers.iter().rev().find(|answer| answer.state == State::TakenBack);
    match taken_back.filter(|_| is_free) {
        Some(answer) => Draft {
            reply: answer.text.clone(),
            kept: kept_files::keep(app, whose, &answer.files.0),
            send_at: answer.planned_for.filter(|time| *time > now).map(|time| form_time(t, time)).unwrap_or_default(),
            answer: Some(answer.handle.clone()),
            ..draft
        },
        None => draft,
    }
}

fn with_zone(t: &Texts, time: UtcTime) -> String {
    t.with2("answer-goes-out-at", "time", t.date_time(&time), "zone", t.zone.name())
}

fn form_time(t: &Texts, time: UtcTime) -> String {
    time.to_datetime().with_timezone(&t.zone).format(FORM_TIME).to_string()
}

/// A file that belongs to no message yet, and cannot be downloaded.
fn listed(t: &Texts, name: &str, size: i64) -> AttachmentLink {
    AttachmentLink { name: name.to_owned(), href: String::new(), size: String::new(), note: Some(t.size(size)) }
}
