//! What happened in a ticket, each event worded for agents.

use std::collections::{HashMap, HashSet};

use super::{priority_key, queue_name};
use crate::clock::UtcTime;
use crate::db::types::PersonId;
use crate::i18n::{Message as Text, Texts};
use crate::mail::address::visible;
use crate::notifications::recipients::held_key;
use crate::teams::queues::Queue;
use crate::tickets::events::{Details, Event, EventKind, Maker};
use crate::tickets::participants::IN_COPY;
use crate::tickets::planned::HeldBecause;
use crate::tickets::priority::Priority;
use crate::tickets::status::Status;
use crate::web::consents;

/// Stands in the history where a step has no words of its own.
const NO_SUCH_STEP: (&str, &str) = ("shield", "consent-title");

/// A line of the history.
pub(super) struct EventView {
    pub(super) icon: &'static str,
    pub(super) text: String,
    pub(super) at: UtcTime,
    /// The page of another ticket that it names; empty for none.
    pub(super) href: String,
}

/// Whether the event is about another ticket, which it names.
pub(super) fn names_another_ticket(kind: EventKind) -> bool {
    matches!(kind, EventKind::MayBelongTo | EventKind::FollowsUp | EventKind::GoesOnIn)
}

/// The event in the reader's language; `names` are those of everybody whom it may name, `seen` the references of the other
/// tickets that the reader may see.
pub(super) fn event_view(
    t: &Texts,
    event: &Event,
    names: &HashMap<PersonId, String>,
    queues: &[Queue],
    seen: &HashSet<String>,
) -> EventView {
    let details: &Details = &event.details.0;
    let other = details.ticket.as_deref().filter(|other| names_another_ticket(event.kind) && seen.contains(*other));
    let about_another = |key: &str, key_of_unseen: &str| match other {
        Some(other) => t.with(key, "ticket", other),
        None => t.say(key_of_unseen),
    };
    let who = match event.actor_id.and_then(|id| names.get(&id)) {
        Some(name) => name.clone(),
        None => t.say(match event.maker {
            Maker::Customer | Maker::Mail | Maker::Api => "event-by-customer",
            Maker::Staff => "event-by-staff",
            Maker::System => "event-by-system",
        }),
    };
    let name_of = |id: Option<PersonId>| id.and_then(|id| names.get(&id)).cloned().unwrap_or_default();
    let to = details.to.as_deref().unwrap_or_default();
    let (icon, text) = match event.kind {
        EventKind::Opened => ("ticket", t.with("event-opened", "who", who)),
        EventKind::CustomerWrote => ("chat", t.with("event-customer-wrote", "who", who)),
        EventKind::Replied => ("reply", t.with("event-replied", "who", who)),
        EventKind::Noted => ("note", t.with("event-noted", "who", who)),
        EventKind::StatusChanged => match Status::parse(to) {
            Some(Status::WaitingForUs) => ("clock", t.with("event-waiting-for-us", "who", who)),
            Some(Status::WaitingForCustomer) => ("pause", t.with("event-waiting-for-customer", "who", who)),
            _ => ("check", t.with("event-closed", "who", who)),
        },
        EventKind::PriorityChanged => {
            let priority = Priority::parse(to).map(|to| t.say(priority_key(to))).unwrap_or_default();
            ("flag", t.with2("event-priority", "who", who, "priority", priority))
        }
        EventKind::Assigned if details.person.is_some() && details.person == event.actor_id => {
            ("user", t.with("event-taken", "who", who))
        }
        EventKind::Assigned if details.person.is_some() => {
            ("user", t.with2("event-assigned", "who", who, "name", name_of(details.person)))
        }
        EventKind::Assigned => ("user", t.with("event-unassigned", "who", who)),
        EventKind::TagAdded => ("tag", t.with2("event-tag-added", "who", who, "tag", to)),
        EventKind::TagRemoved => {
            ("tag", t.with2("event-tag-removed", "who", who, "tag", details.from.as_deref().unwrap_or_default()))
        }
        EventKind::ParticipantProposed => {
            ("users", t.with("event-participant-proposed", "name", name_of(details.person)))
        }
        EventKind::ParticipantAdded if to == IN_COPY => {
            ("users", t.with("event-participant-in-copy", "name", name_of(details.person)))
        }
        EventKind::ParticipantAdded if details.person == event.actor_id => {
            ("users", t.with("event-participant-joined", "name", who))
        }
        EventKind::ParticipantAdded => {
            ("users", t.with2("event-participant-added", "who", who, "name", name_of(details.person)))
        }
        EventKind::ParticipantRemoved => {
            ("users", t.with2("event-participant-removed", "who", who, "name", name_of(details.person)))
        }
        EventKind::QueueChanged => {
            let queue = details.queue.map(|queue| queue_name(t, queues, queue)).unwrap_or_default();
            ("layers", t.with2("event-queue", "who", who, "queue", queue))
        }
        EventKind::RequesterChanged => {
            ("forward", t.with2("event-requester", "who", who, "name", name_of(details.person)))
        }
        EventKind::PlaceChanged => ("pin", t.with("event-place", "who", who)),
        EventKind::PrivacyChanged if to == "true" => ("lock", t.with("event-private", "who", who)),
        EventKind::PrivacyChanged => ("users", t.with("event-shared", "who", who)),
        EventKind::AddressConfirmed => ("mail", t.say("event-address-confirmed")),
        EventKind::MessageAccepted => ("check", t.with("event-message-accepted", "who", who)),
        EventKind::MessageRejected => ("close", t.with("event-message-rejected", "who", who)),
        EventKind::MailFailed => {
            let address = details.address.as_deref().unwrap_or_default();
            ("alert", t.with("event-mail-failed", "address", address))
        }
        EventKind::MailHeld => {
            let address = details.address.as_deref().unwrap_or_default();
            ("alert", t.with("event-mail-held", "address", visible(address)))
        }
        EventKind::MailThrottled => {
            let until = UtcTime::parse_rfc3339(to).map(|until| t.date_time(&until)).unwrap_or_default();
            let text = match details.address.as_deref() {
                Some(address) => t.with2("event-sender-throttled", "address", visible(address), "time", until),
                None => t.with("event-ticket-throttled", "time", until),
            };
            ("pause", text)
        }
        EventKind::AnswerPlanned => {
            let time = UtcTime::parse_rfc3339(to).map(|time| t.date_time(&time)).unwrap_or_default();
            if details.person.is_some() && details.person != event.actor_id {
                let planned = Text::new("event-answer-planned-of").with("who", who).with("time", time);
                ("calendar", t.message(&planned.with("name", name_of(details.person))))
            } else {
                ("calendar", t.with2("event-answer-planned", "who", who, "time", time))
            }
        }
        EventKind::AnswerReleased if details.person == event.actor_id => {
            ("send", t.with("event-answer-released", "who", who))
        }
        EventKind::AnswerReleased => {
            ("send", t.with2("event-answer-released-of", "who", who, "name", name_of(details.person)))
        }
        EventKind::AnswerHeld => {
            let because = HeldBecause::parse(to).map_or("answer-held", held_key);
            let held = t.with("event-answer-held", "name", name_of(details.person));
            ("pause", format!("{held} {}", t.say(because)))
        }
        EventKind::AnswerTakenBack => {
            ("undo", t.with2("event-answer-taken-back", "who", who, "name", name_of(details.person)))
        }
        EventKind::MayBelongTo => ("link", about_another("event-may-belong-to", "event-may-belong-to-unseen")),
        EventKind::FollowsUp => ("link", about_another("event-follows-up", "event-follows-up-unseen")),
        EventKind::GoesOnIn => ("link", about_another("event-goes-on-in", "event-goes-on-in-unseen")),
        EventKind::ConsentRequested
        | EventKind::ConsentApproved
        | EventKind::ConsentGranted
        | EventKind::ConsentRefused
        | EventKind::ConsentLapsed
        | EventKind::ConsentCancelled
        | EventKind::ConsentWithdrawn
        | EventKind::ConsentExpired
        | EventKind::ConsentStopped
        | EventKind::TracesDestroyed => {
            let (icon, key) = consents::in_ticket(event.kind, details.to.as_deref()).unwrap_or(NO_SUCH_STEP);
            (icon, t.with(key, "who", who))
        }
    };
    let href = other.map(|other| format!("/tickets/{other}")).unwrap_or_default();
    EventView { icon, text, at: event.created_at, href }
}
