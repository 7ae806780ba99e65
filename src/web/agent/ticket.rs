//! The ticket: one column of conversation, and at its side who asks, from where, and what else there is to know. Every
//! action on a ticket comes back to this page, with what went wrong or what is new.

mod history;
mod mails;
mod parties;
mod planned;

use std::collections::{HashMap, HashSet};

use actix_web::http::StatusCode;
use actix_web::web::{Data, Path, Query};
use askama::Template;
use serde::Deserialize;

use crate::access::{self, Actor};
use crate::app::App;
use crate::clock::UtcTime;
use crate::consent::{ConsentRequest, Grant, asking, grants};
use crate::db::DbConnection;
use crate::db::types::{PersonId, QueueId};
use crate::error::{FieldErrors, Result};
use crate::i18n::{Message as Text, Texts};
use crate::journal::outcome;
use crate::mail::address::shown_address;
use crate::mail::address::visible;
use crate::notifications::Letterhead;
use crate::notifications::left_out;
use crate::notifications::readers::{self, Reader};
use crate::outbox::{self, listing::Outgoing};
use crate::people::directory;
use crate::people::environments::{self, Environment};
use crate::people::organisations::{self, Organisation, OrganisationKind};
use crate::people::person::{self, Person};
use crate::people::roles::Permission;
use crate::people::sites::{self, Site};
use crate::secret::random_handle;
use crate::teams::queues::{self, Queue};
use crate::tickets::assignment::{self, Colleague};
use crate::tickets::connection_context::{self, ConnectionContext};
use crate::tickets::events::{self, Event, EventKind};
use crate::tickets::messages::{self, Message, Reading};
use crate::tickets::participants::{self, ParticipantShown};
use crate::tickets::planned::PlannedAnswer;
use crate::tickets::planned::audience::Audience;
use crate::tickets::priority::Priority;
use crate::tickets::related::{self, Brief};
use crate::tickets::status::{Occasion, Status, may_become};
use crate::tickets::ticket::{self, Ticket};
use crate::tickets::{self, attachments, contacts, tags};
use crate::web::agent::ticket::history::EventView;
use crate::web::agent::ticket::mails::MailLine;
use crate::web::agent::ticket::parties::{OrganisationView, ParticipantView, PlaceView, RequesterView};
use crate::web::agent::ticket::planned::PlannedView;
use crate::web::consents::{self, ConsentLine};
use crate::web::conversation::{self, Around, MessageView};
use crate::web::kept_files::KeptFile;
use crate::web::navigation::Place;
use crate::web::page::{Choice, Page};
use crate::web::page_error::PageResult;
use crate::web::respond;
use crate::web::signed_in::Agent;

/// Events looked at for one ticket; more would not be read.
const EVENTS: i64 = 300;
/// Consents shown at the side of the ticket, the latest.
const CONSENTS: i64 = 10;

/// What the ticket page is asked for.
#[derive(Deserialize)]
pub struct TicketQuery {
    /// Whether the earlier messages are wanted too.
    earlier: Option<String>,
}

/// What was written and could not be done, so that nothing typed is lost.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    pub reply: String,
    pub note: String,
    /// Whether it was the note that was being written.
    pub is_note: bool,
    /// The files of the reply.
    pub kept: Vec<KeptFile>,
    /// How many files of the reply are not at hand any more.
    pub lost: usize,
    /// The files of the note.
    pub note_kept: Vec<KeptFile>,
    /// How many files of the note are not at hand any more.
    pub note_lost: usize,
    /// When the reply is to go out, as it was typed.
    pub send_at: String,
    /// The answer that was taken back, if the reply is one.
    pub answer: Option<String>,
    pub errors: FieldErrors,
    /// What happened meanwhile, at the head of the page.
    pub notice: Option<Text>,
    /// How many messages the reader had seen, when there are more.
    pub seen: Option<i32>,
}

/// A ticket with everything its page shows.
pub struct Loaded {
    ticket: Ticket,
    messages: Vec<Message>,
    around: Around,
    events: Vec<Event>,
    names: HashMap<PersonId, String>,
    /// The references of the other tickets in `events` that the reader of this page may see.
    seen: HashSet<String>,
    requester: Person,
    organisation: Organisation,
    sites: Vec<Site>,
    environments: Vec<Environment>,
    participants: Vec<ParticipantShown>,
    /// Whom an answer of the reader of this page is mailed to.
    readers: Vec<Reader>,
    /// Who reads the ticket.
    audience: Audience,
    tags: Vec<String>,
    context: Option<(ConnectionContext, UtcTime)>,
    of_requester: Vec<Brief>,
    of_organisation: Vec<Brief>,
    colleagues: Vec<Colleague>,
    queues: Vec<Queue>,
    mails: Vec<Outgoing>,
    /// The public names of those that can be written anew.
    left_out: HashSet<String>,
    planned: Vec<PlannedAnswer>,
    consents: Vec<(ConsentRequest, Option<Grant>)>,
    /// Whether the reader operates the installation.
    operates: bool,
}

#[derive(Template)]
#[template(path = "agent/ticket.html")]
struct TicketPage {
    p: Page,
    errors: FieldErrors,
    draft: Draft,
    notice: Option<String>,
    reference: String,
    subject: String,
    status: &'static str,
    priority: &'static str,
    is_private: bool,
    address_confirmed: bool,
    queue: String,
    version: i64,
    seen: i32,
    readers: String,
    once: String,
    waiting_since: UtcTime,
    waiting: String,
    is_closed: bool,
    is_mine: bool,
    earlier: Option<String>,
    items: Vec<Item>,
    planned: Vec<PlannedView>,
    /// The reader's zone, by which times are typed.
    zone: &'static str,
    first_new: Option<String>,
    new_count: usize,
    /// Why the requester is not among those.
    unreached: Option<String>,
    recipients: Vec<String>,
    requester: RequesterView,
    organisation: Option<OrganisationView>,
    of_requester: Vec<Brief>,
    of_organisation: Vec<Brief>,
    place: Option<PlaceView>,
    participants: Vec<ParticipantView>,
    tags: Vec<String>,
    context: Vec<(String, String)>,
    context_at: Option<UtcTime>,
    history: Vec<EventView>,
    consents: Vec<ConsentLine>,
    failed: Vec<FailedMail>,
    statuses: Vec<Choice>,
    priorities: Vec<Choice>,
    assignees: Vec<Choice>,
    queues: Vec<Choice>,
}

enum Item {
    /// With the mails that were written of it.
    Message(Box<MessageView>, Vec<MailLine>),
    Event(EventView),
}

struct FailedMail {
    handle: String,
    recipient: String,
    subject: String,
    at: UtcTime,
    /// Why, as the other mail server said.
    reason: String,
    can_be_retried: bool,
}

/// `GET /tickets/{reference}`
pub async fn show(app: Data<App>, agent: Agent, reference: Path<String>, query: Query<TicketQuery>) -> PageResult {
    page(&app, &agent, reference.into_inner(), query.earlier.is_some(), Draft::default(), StatusCode::OK).await
}

/// The page, with what could not be done.
pub async fn page(
    app: &App,
    agent: &Agent,
    reference: String,
    all: bool,
    draft: Draft,
    status: StatusCode,
) -> PageResult {
    let actor = agent.actor().clone();
    let letterhead = Letterhead::new(&app.keys, &app.config);
    let loaded = app.database.read(move |db| load(db, &letterhead, &actor, &reference, all)).await?;
    let mut p = agent.page(app, "nav-tickets", Place::Tickets);
    // On a page that is loaded again the answer may have gone out, or have been held.
    let waits = loaded.planned.iter().any(|answer| answer.state == tickets::planned::State::Waiting);
    if !waits && p.flash.as_ref().is_some_and(|flash| flash.text == p.t.say("said-answer-waits")) {
        p.flash = None;
    }
    let draft = planned::into_composer(app, &p.t, &agent.signed_in.person.handle, &loaded.planned, draft, p.now);
    let mark = loaded.audience.mark(&app.keys, &loaded.ticket)?;
    respond::page_with(&view(p, loaded, draft, mark, agent.signed_in.person.id), status)
}

/// Loads a ticket which `actor` may see, with everything around it.
pub fn load(
    db: &mut DbConnection,
    letterhead: &Letterhead,
    actor: &Actor,
    reference: &str,
    all: bool,
) -> Result<Loaded> {
    let ticket = ticket::by_reference(db, actor, reference)?;
    let limit = if all { messages::ALL } else { messages::LATEST };
    let reading = Reading::Everything;
    let messages = messages::of_ticket(db, &ticket, reading, limit)?;
    let around = Around {
        rendered: messages::rendered(db, &ticket, reading)?,
        attachments: attachments::of_ticket(db, &ticket)?,
        contacts: contacts::of_ticket(db, &ticket)?,
        records: outcome::records(db, messages.iter().filter_map(|message| message.ingest_id))?,
    };
    let events = events::of_ticket(db, &ticket, EVENTS)?;
    let requester = person::by_id(db, ticket.requester_id)?;
    let organisation = organisations::by_id(db, ticket.organisation_id)?;
    let is_company = organisation.kind != OrganisationKind::Individual;
    let sites = if is_company { sites::of_organisation(db, organisation.id)? } else { Vec::new() };
    let environments = environments::of_organisation(db, organisation.id)?;
    let of_organisation = if is_company { related::of_organisation(db, actor, &ticket)? } else { Vec::new() };
    let mut consents = Vec::new();
    for request in asking::of_ticket(db, &ticket, CONSENTS)? {
        let grant = grants::of_request(db, request.id)?;
        consents.push((request, grant));
    }
    let planned = match actor.person() {
        Some(reader) => tickets::planned::of_ticket(db, &ticket, reader)?,
        None => Vec::new(),
    };
    let named = events.iter().filter(|event| history::names_another_ticket(event.kind));
    let named: Vec<&str> = named.filter_map(|event| event.details.0.ticket.as_deref()).collect();
    Ok(Loaded {
        seen: related::seen(db, actor, &named)?,
        names: names(db, &ticket, &events, &planned)?,
        participants: participants::shown(db, &ticket)?,
        readers: readers::of_answers(db, letterhead, &ticket, actor.person())?,
        audience: Audience::of(db, &ticket)?,
        tags: tags::of_ticket(db, &ticket)?,
        context: connection_context::of_ticket(db, &ticket)?,
        of_requester: related::of_requester(db, actor, &ticket)?,
        colleagues: assignment::colleagues(db, ticket.queue_id)?,
        queues: queues::all(db)?,
        messages,
        around,
        events,
        requester,
        organisation,
        sites,
        environments,
        of_organisation,
        mails: outbox::listing::of_ticket(db, ticket.id)?,
        left_out: left_out::waiting(db)?,
        operates: access::may(actor, Permission::OperateInstallation),
        planned,
        consents,
        ticket,
    })
}

fn names(
    db: &mut DbConnection,
    ticket: &Ticket,
    events: &[Event],
    planned: &[PlannedAnswer],
) -> Result<HashMap<PersonId, String>> {
    let in_events =
        events.iter().flat_map(|event| [event.actor_id, event.details.0.person, event.details.0.previous_person]);
    let mut ids: Vec<PersonId> = in_events.chain([ticket.assignee_id]).flatten().collect();
    ids.extend(planned.iter().map(|answer| answer.author));
    ids.sort_unstable();
    ids.dedup();
    let named = directory::names(db, &ids)?;
    Ok(named.into_iter().map(|(id, _, name)| (id, visible(&name))).collect())
}

/// The rendered page, for the benchmark.
pub fn render(p: Page, loaded: Loaded, reader: PersonId) -> String {
    view(p, loaded, Draft::default(), String::new(), reader).render().unwrap_or_default()
}

/// `mark` is of who reads the ticket, for the forms.
fn view(mut p: Page, loaded: Loaded, draft: Draft, mark: String, reader: PersonId) -> TicketPage {
    let t = p.t;
    let Loaded { ticket, names, .. } = &loaded;
    let subject = if ticket.subject.is_empty() { t.say("ticket-no-subject") } else { visible(&ticket.subject) };
    p.title = format!("{subject} · {}", ticket.reference);
    let messages = conversation::views(&t, &loaded.messages, &loaded.around, "", true);
    let total = usize::try_from(ticket.message_count).unwrap_or(0);
    let hidden = total.saturating_sub(messages.len());
    let seen = draft.seen.and_then(|seen| usize::try_from(seen).ok()).map(|seen| seen.saturating_sub(hidden));
    let first_new = seen.and_then(|seen| messages.get(seen)).map(|message| message.handle.clone());
    let new_count = seen.map_or(0, |seen| messages.len().saturating_sub(seen));
    let history: Vec<EventView> =
        loaded.events.iter().map(|event| history::event_view(&t, event, names, &loaded.queues, &loaded.seen)).collect();
    let place = parties::place_view(&loaded);
    let assignee_handle = loaded
        .colleagues
        .iter()
        .find(|colleague| Some(colleague.id) == ticket.assignee_id)
        .map_or("", |colleague| &colleague.handle);
    let context = loaded.context.as_ref();
    TicketPage {
        errors: draft.errors.clone(),
        notice: draft.notice.as_ref().map(|notice| t.message(notice)),
        reference: ticket.reference.clone(),
        subject,
        status: ticket.status.as_str(),
        priority: ticket.priority.as_str(),
        is_private: ticket.is_private,
        address_confirmed: ticket.address_confirmed,
        queue: queue_name(&t, &loaded.queues, ticket.queue_id),
        version: ticket.version,
        seen: ticket.message_count,
        readers: mark,
        once: random_handle(),
        waiting_since: ticket.waiting_since,
        waiting: t.lasting(&ticket.waiting_since, &p.now),
        is_closed: ticket.status == Status::Closed,
        is_mine: ticket.assignee_id == Some(reader),
        earlier: (hidden > 0).then(|| format!("/tickets/{}?earlier=1", ticket.reference)),
        items: items(&t, messages, &loaded),
        planned: planned::views(
            &t,
            &loaded.planned,
            |answer| names.get(&answer.author).cloned().unwrap_or_default(),
            p.now,
        ),
        zone: t.zone.name(),
        first_new,
        new_count,
        unreached: unreached(&t, &loaded, reader),
        recipients: recipients(&loaded.readers),
        requester: parties::requester_view(&t, &loaded),
        organisation: parties::organisation_view(&t, &loaded.organisation),
        place,
        participants: loaded.participants.iter().map(parties::participant_view).collect(),
        context: context.map(|(context, _)| context_lines(&t, context)).unwrap_or_default(),
        context_at: context.map(|(_, at)| *at),
        history,
        consents: loaded
            .consents
            .iter()
            .map(|(request, grant)| {
                let href = format!("/tickets/{}/consents/{}", ticket.reference, request.handle);
                consents::line(&t, request, grant.as_ref(), &ticket.reference, href, p.now)
            })
            .collect(),
        failed: loaded
            .mails
            .iter()
            .filter(|mail| mail.state == outbox::State::Dead)
            .map(|mail| failed_view(mail, &loaded.left_out))
            .collect(),
        statuses: status_choices(&t, ticket.status),
        priorities: Choice::list(
            Priority::ALL.iter().map(|priority| (priority.as_str(), t.say(priority_key(*priority)))),
            ticket.priority.as_str(),
        ),
        assignees: Choice::list(
            loaded.colleagues.iter().map(|colleague| (colleague.handle.clone(), colleague.name.clone())),
            assignee_handle,
        ),
        queues: queue_choices(&t, &loaded.queues, ticket),
        of_requester: loaded.of_requester,
        of_organisation: loaded.of_organisation,
        tags: loaded.tags,
        draft,
        p,
    }
}

/// Messages and events in the order of time; events that are a message's own are told by the message.
fn items(t: &Texts, messages: Vec<MessageView>, loaded: &Loaded) -> Vec<Item> {
    let since = messages.first().map(|message| message.at);
    // The views are those of the messages, one by one.
    let mut items: Vec<(UtcTime, u8, Item)> = std::iter::zip(messages, &loaded.messages)
        .map(|(view, message)| {
            let mails = mails::lines(t, &loaded.mails, message.id, loaded.operates);
            (view.at, 0, Item::Message(Box::new(view), mails))
        })
        .collect();
    let told =
        |kind| !matches!(kind, EventKind::Opened | EventKind::CustomerWrote | EventKind::Replied | EventKind::Noted);
    let events = loaded.events.iter().filter(|event| told(event.kind) && Some(event.created_at) >= since);
    items.extend(events.map(|event| {
        (event.created_at, 1, Item::Event(history::event_view(t, event, &loaded.names, &loaded.queues, &loaded.seen)))
    }));
    items.sort_by_key(|(at, kind, _)| (*at, *kind));
    items.into_iter().map(|(_, _, item)| item).collect()
}

/// Those whom an answer is mailed to, as they are named.
fn recipients(readers: &[Reader]) -> Vec<String> {
    let named = readers.iter().map(|reader| {
        let (name, address) = (visible(&reader.person.display_name()), visible(reader.address.as_str()));
        if name == address { name } else { format!("{name} <{address}>") }
    });
    named.collect()
}

/// What to know before answering a requester whom no mail reaches.
fn unreached(t: &Texts, loaded: &Loaded, reader: PersonId) -> Option<String> {
    let requester = &loaded.requester;
    if requester.id == reader || loaded.readers.iter().any(|reader| reader.person.id == requester.id) {
        return None;
    }
    let is_alone = loaded.readers.is_empty();
    let key = match (shown_address(&requester.address).is_empty(), is_alone) {
        _ if requester.address_suppressed_at.is_some() && is_alone => "composer-came-back",
        _ if requester.address_suppressed_at.is_some() => "composer-requester-came-back",
        (true, true) => "composer-no-address",
        (true, false) => "composer-requester-no-address",
        (false, true) => "composer-not-mailed",
        (false, false) => "composer-requester-not-mailed",
    };
    Some(t.with(key, "name", visible(&requester.display_name())))
}

/// What was recorded of where a request came from, as pairs of a name and a value; for agents and customers alike (A1).
pub fn context_lines(t: &Texts, context: &ConnectionContext) -> Vec<(String, String)> {
    let browser = format!("{} {}", context.browser, context.browser_version);
    [
        ("context-ip-address", context.ip_address.as_str()),
        ("context-language", &context.preferred_language),
        ("context-browser", browser.trim()),
        ("context-system", &context.operating_system),
        ("context-page", &context.requested_url),
        ("context-time-zone", &context.time_zone),
    ]
    .into_iter()
    .filter(|(_, value)| !value.is_empty())
    .map(|(key, value)| (t.say(key), value.to_owned()))
    .collect()
}

fn failed_view(mail: &Outgoing, left_out: &HashSet<String>) -> FailedMail {
    FailedMail {
        handle: mail.handle.clone(),
        recipient: mail.recipient.clone(),
        subject: mail.subject.clone(),
        at: mail.created_at,
        reason: mail.last_error.as_deref().map(visible).unwrap_or_default(),
        can_be_retried: mail.can_be_retried() || left_out.contains(&mail.handle),
    }
}

fn status_choices(t: &Texts, current: Status) -> Vec<Choice> {
    let possible = Status::ALL.iter().filter(|to| **to == current || may_become(current, **to, Occasion::ByAgent));
    Choice::list(possible.map(|status| (status.as_str(), t.say(status_key(*status)))), current.as_str())
}

fn queue_choices(t: &Texts, queues: &[Queue], ticket: &Ticket) -> Vec<Choice> {
    let current = queues.iter().find(|queue| queue.id == ticket.queue_id).map_or("", |queue| &queue.handle);
    Choice::list(queues.iter().map(|queue| (queue.handle.clone(), queue.name(t.locale).to_owned())), current)
}

fn queue_name(t: &Texts, queues: &[Queue], id: QueueId) -> String {
    queues.iter().find(|queue| queue.id == id).map(|queue| queue.name(t.locale).to_owned()).unwrap_or_default()
}

/// The key of a status's name.
pub fn status_key(status: Status) -> &'static str {
    match status {
        Status::WaitingForUs => "status-waiting-for-us",
        Status::WaitingForCustomer => "status-waiting-for-customer",
        Status::Closed => "status-closed",
    }
}

/// The key of a priority's name.
pub fn priority_key(priority: Priority) -> &'static str {
    match priority {
        Priority::Low => "priority-low",
        Priority::Normal => "priority-normal",
        Priority::High => "priority-high",
        Priority::Urgent => "priority-urgent",
    }
}
