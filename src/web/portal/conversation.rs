//! A request as its customers see it: what was said to them, what happened, who takes part, and what was recorded about
//! the reader (A1). Notes among staff are no part of it. Shown by the request's page and by the link in a mail.

use crate::access::{Actor, CustomerActor};
use crate::clock::UtcTime;
use crate::consent::{ConsentRequest, Grant, asking, grants};
use crate::db::DbConnection;
use crate::db::types::MessageId;
use crate::error::Result;
use crate::html::{from_markdown, from_text};
use crate::i18n::Texts;
use crate::people::organisations::{self, Organisation, OrganisationKind};
use crate::people::person::{self, Person};
use crate::people::{environments, sites};
use crate::teams::queues;
use crate::tickets::attachments::{self, Attachment};
use crate::tickets::connection_context::{self, ConnectionContext};
use crate::tickets::contacts::{self, Contact};
use crate::tickets::events::{self, Details, Event, EventKind};
use crate::tickets::messages::{self, Channel, Message, MessageKind, Reading};
use crate::tickets::participants::{self, Part, ParticipantShown, Standing};
use crate::tickets::status::Status;
use crate::tickets::{Ticket, TicketReference, following_up, ticket};
use crate::web::consents::{self, ConsentLine};
use crate::web::conversation::{ContactLine, contact_line};
use crate::web::meeting_card::{MeetingCard, meeting_card};
use crate::web::page::AttachmentLink;

/// Events of one request that are shown.
const EVENTS: i64 = 200;
/// Consents of one request that are shown, the latest.
const CONSENTS: i64 = 10;

/// Everything that is shown of a request, as it was read in one go.
pub struct Loaded {
    pub ticket: Ticket,
    messages: Vec<Message>,
    files: Vec<Attachment>,
    contacts: Vec<Contact>,
    events: Vec<(Event, String)>,
    participants: Vec<ParticipantShown>,
    organisation: Organisation,
    queue: queues::Queue,
    site: Option<String>,
    environment: Option<String>,
    recorded: Option<(ConnectionContext, UtcTime)>,
    consents: Vec<(ConsentRequest, Option<Grant>)>,
    has_earlier: bool,
    stays_closed: bool,
    /// Who reads it, if they are signed in as a customer.
    customer: Option<CustomerActor>,
}

/// Reads the request for `actor`, who may see it.
pub fn load(
    db: &mut DbConnection,
    ticket: Ticket,
    actor: &Actor,
    reader: &Person,
    whole: bool,
    now: UtcTime,
) -> Result<Loaded> {
    let reading = messages::reading(db, &ticket, actor)?;
    let limit = if whole { messages::ALL } else { messages::LATEST };
    let mut messages = messages::of_ticket(db, &ticket, reading, limit + 1)?;
    let has_earlier = messages.len() as i64 > limit;
    if has_earlier {
        messages.remove(0);
    }
    let shown_from = if has_earlier { messages.first().map(|message| message.created_at) } else { None };
    let since = match reading {
        Reading::PublicSince(since) => Some(since),
        _ => None,
    };
    let mut named = Vec::new();
    for event in events::for_customers(db, &ticket, EVENTS)? {
        if since.or(shown_from).is_some_and(|since| event.created_at < since) {
            continue;
        }
        // Of another ticket only who may see that one is told.
        if matches!(event.kind, EventKind::FollowsUp | EventKind::GoesOnIn)
            && !sees(db, event.details.0.ticket.as_deref(), actor, reader)?
        {
            continue;
        }
        // Who did a step of a consent is who acted; of other events, whom they concern.
        let named_person = if event.kind.is_of_consent() { event.actor_id } else { event.details.0.person };
        let name = match named_person {
            Some(id) => person::by_id(db, id)?.display_name(),
            None => String::new(),
        };
        named.push((event, name));
    }
    let stays_closed = following_up::stays_closed(db, &ticket, now)?;
    let organisation = organisations::by_id(db, ticket.organisation_id)?;
    let site = match ticket.site_id {
        Some(id) => {
            let sites = sites::of_organisation(db, ticket.organisation_id)?;
            sites.into_iter().find(|site| site.id == id).map(|site| site.name)
        }
        None => None,
    };
    let environment = match ticket.environment_id {
        Some(id) => {
            let environments = environments::of_organisation(db, ticket.organisation_id)?;
            environments.into_iter().find(|environment| environment.id == id).map(|environment| environment.name)
        }
        None => None,
    };
    let mut consents = Vec::new();
    for request in asking::of_ticket(db, &ticket, CONSENTS)? {
        let grant = grants::of_request(db, request.id)?;
        consents.push((request, grant));
    }
    let customer = match actor {
        Actor::Customer(customer) => Some(customer.clone()),
        _ => None,
    };
    Ok(Loaded {
        consents,
        customer,
        messages,
        files: attachments::of_ticket(db, &ticket)?,
        contacts: contacts::of_ticket(db, &ticket)?,
        events: named,
        participants: participants::shown(db, &ticket)?,
        organisation,
        queue: queues::by_id(db, ticket.queue_id)?,
        site,
        environment,
        recorded: connection_context::of_author(db, &ticket, reader.id)?,
        has_earlier,
        stays_closed,
        ticket,
    })
}

/// Whether the reader sees the ticket of that reference: who holds a link, as one who takes part in it.
fn sees(db: &mut DbConnection, reference: Option<&str>, actor: &Actor, reader: &Person) -> Result<bool> {
    let Some(reference) = reference.and_then(TicketReference::parse) else { return Ok(false) };
    if !matches!(actor, Actor::LinkHolder { .. }) {
        return Ok(ticket::find_by_reference(db, actor, &reference)?.is_some());
    }
    let Some(other) = ticket::find_by_reference(db, &Actor::System, &reference)? else { return Ok(false) };
    Ok(participants::find(db, other.id, reader.id)?.is_some_and(|found| found.takes_part()))
}

/// A request in the words of its page.
pub struct Conversation {
    /// Where the request is; everything below it begins so.
    pub base: String,
    pub reference: String,
    pub subject: String,
    pub status: &'static str,
    pub is_closed: bool,
    /// Whether an answer opens another request, which goes on from this one.
    pub stays_closed: bool,
    pub is_private: bool,
    /// Whether the reader asked it, so that they may hide it from colleagues and say who takes part.
    pub is_mine: bool,
    /// Whether there are colleagues who could see it.
    pub has_colleagues: bool,
    /// Whether the address it came from is still to be confirmed by its reader.
    pub is_unconfirmed: bool,
    pub kind: String,
    pub organisation: String,
    pub site: String,
    pub environment: String,
    pub created_at: UtcTime,
    pub has_earlier: bool,
    pub entries: Vec<Entry>,
    pub participants: Vec<ParticipantRow>,
    pub recorded: Vec<(String, String)>,
    pub consents: Vec<ConsentLine>,
}

impl Conversation {
    /// The subject, or that there is none.
    pub fn title(&self, texts: &Texts) -> String {
        if self.subject.trim().is_empty() { texts.say("request-no-subject") } else { self.subject.clone() }
    }
}

/// What stands in the conversation, in the order of time.
pub enum Entry {
    Said(Said),
    Happened { icon: &'static str, text: String, at: UtcTime, href: String },
}

/// One message.
pub struct Said {
    pub handle: String,
    pub kind: &'static str,
    pub author: String,
    pub at: UtcTime,
    pub channel: String,
    /// When and how they reached us, of a call, fax or letter of the reader's own (B1).
    pub contact: Option<ContactLine>,
    /// The meeting that the mail is about.
    pub meeting: Option<MeetingCard>,
    /// Made safe already.
    pub html: String,
    /// What was quoted, made safe already, or nothing.
    pub quoted: String,
    /// The address of the mail as it was formatted, if it was.
    pub frame: Option<String>,
    pub files: Vec<AttachmentLink>,
}

/// Somebody who takes part.
pub struct ParticipantRow {
    pub handle: String,
    pub name: String,
    pub is_requester: bool,
    pub is_reader: bool,
}

impl Loaded {
    /// The request in the reader's words, for the page at `base`. Its files are below `files` and its mails below `mails`.
    pub fn in_words(
        self,
        texts: &Texts,
        reader: &Person,
        base: String,
        files: &str,
        mails: &str,
        now: UtcTime,
    ) -> Conversation {
        let ticket = &self.ticket;
        let is_mine = ticket.requester_id == reader.id;
        let mut entries: Vec<(UtcTime, Entry)> = Vec::new();
        for message in &self.messages {
            let of_message = files_of(texts, &self.files, message.id, files);
            let contact = self.contacts.iter().find(|contact| is_mine && contact.message_id == message.id);
            let contact = contact.map(|contact| contact_line(texts, message.channel, contact));
            entries.push((message.created_at, Entry::Said(said(texts, message, contact, of_message, mails))));
        }
        for (event, name) in &self.events {
            if let Some((icon, text)) = happened(texts, event, name) {
                // Who holds a link to this request has none to the other.
                let other = event.details.0.ticket.as_deref().filter(|_| self.customer.is_some());
                let href = other.map(|other| format!("/requests/{other}")).unwrap_or_default();
                entries.push((event.created_at, Entry::Happened { icon, text, at: event.created_at, href }));
            }
        }
        // Stable: what a message caused comes after it.
        entries.sort_by_key(|(at, _)| *at);
        let is_company = self.organisation.kind != OrganisationKind::Individual;
        Conversation {
            reference: ticket.reference.clone(),
            subject: ticket.subject.clone(),
            status: ticket.status.as_str(),
            is_closed: ticket.status == Status::Closed,
            stays_closed: self.stays_closed,
            is_private: ticket.is_private,
            is_mine,
            has_colleagues: is_company && self.organisation.colleagues_see_tickets,
            is_unconfirmed: is_mine && !ticket.address_confirmed,
            kind: self.queue.name(texts.locale).to_owned(),
            organisation: if is_company { self.organisation.name.clone() } else { String::new() },
            site: self.site.unwrap_or_default(),
            environment: self.environment.unwrap_or_default(),
            created_at: ticket.created_at,
            has_earlier: self.has_earlier,
            entries: entries.into_iter().map(|(_, entry)| entry).collect(),
            participants: self
                .participants
                .into_iter()
                .filter(|participant| participant.standing == Standing::Active)
                .map(|participant| ParticipantRow {
                    is_requester: participant.part == Part::Requester,
                    is_reader: participant.person_id == reader.id,
                    handle: participant.handle,
                    name: participant.name,
                })
                .collect(),
            recorded: self.recorded.map(|(context, at)| recorded(texts, reader, &context, at)).unwrap_or_default(),
            consents: self
                .consents
                .iter()
                .map(|(request, grant)| {
                    let href = format!("/consents/{}", request.handle);
                    let line = consents::line(texts, request, grant.as_ref(), &self.ticket.reference, href, now);
                    match &self.customer {
                        Some(customer) => line.to_stop(request, grant.as_ref(), customer),
                        None => line,
                    }
                })
                .collect(),
            base,
        }
    }
}

fn said(
    texts: &Texts,
    message: &Message,
    contact: Option<ContactLine>,
    files: Vec<AttachmentLink>,
    mails: &str,
) -> Said {
    let is_agent = message.kind == MessageKind::Agent;
    // Agents write Markdown on their page; whatever else came is text as it stands.
    let html = if is_agent && matches!(message.channel, Channel::Web | Channel::Api) {
        from_markdown(&message.body_text)
    } else {
        from_text(&message.body_text)
    };
    let name = if message.from_name.is_empty() { &message.from_address } else { &message.from_name };
    Said {
        handle: message.handle.clone(),
        kind: if is_agent { "agent" } else { "customer" },
        author: name.clone(),
        at: message.created_at,
        channel: texts.say(channel_key(message.channel)),
        contact,
        meeting: message.invitation.as_ref().map(|invitation| meeting_card(texts, &invitation.0)),
        html,
        quoted: if message.quoted_text.trim().is_empty() { String::new() } else { from_text(&message.quoted_text) },
        frame: (message.has_html && message.channel == Channel::Email)
            .then(|| format!("{mails}/{}/frame", message.handle)),
        files,
    }
}

fn channel_key(channel: Channel) -> &'static str {
    match channel {
        Channel::Web => "request-channel-web",
        Channel::Email => "request-channel-email",
        Channel::Telephone => "request-channel-telephone",
        Channel::Fax => "request-channel-fax",
        Channel::Letter => "request-channel-letter",
        Channel::Api => "request-channel-api",
    }
}

fn files_of(texts: &Texts, files: &[Attachment], message: MessageId, below: &str) -> Vec<AttachmentLink> {
    files
        .iter()
        .filter(|file| file.message_id == message)
        .map(|file| AttachmentLink {
            name: file.file_name.clone(),
            href: format!("{below}/{}", file.handle),
            size: texts.size(file.size),
            note: None,
        })
        .collect()
}

/// What customers are told of an event; nothing of those that a message says already.
fn happened(texts: &Texts, event: &Event, name: &str) -> Option<(&'static str, String)> {
    let details = &event.details.0;
    match event.kind {
        EventKind::StatusChanged if details.to.as_deref() == Some(Status::Closed.as_str()) => {
            Some(("check", texts.say("request-event-closed")))
        }
        EventKind::StatusChanged if details.from.as_deref() == Some(Status::Closed.as_str()) => {
            Some(("undo", texts.say("request-event-reopened")))
        }
        EventKind::ParticipantAdded => Some(("users", texts.with("request-event-joined", "name", name))),
        EventKind::ParticipantRemoved => Some(("users", texts.with("request-event-left", "name", name))),
        EventKind::PrivacyChanged => {
            let is_private = details.to.as_deref() == Some("true");
            let key = if is_private { "request-event-private" } else { "request-event-shared" };
            Some((if is_private { "lock" } else { "eye" }, texts.say(key)))
        }
        EventKind::AddressConfirmed => Some(("check", texts.say("request-event-confirmed"))),
        EventKind::FollowsUp => Some(("link", texts.with("request-event-follows-up", "ticket", other_ticket(details)))),
        EventKind::GoesOnIn => Some(("link", texts.with("request-event-goes-on-in", "ticket", other_ticket(details)))),
        kind => {
            let (icon, key) = consents::in_ticket(kind, details.to.as_deref())?;
            Some((icon, texts.with(key, "who", name)))
        }
    }
}

fn other_ticket(details: &Details) -> &str {
    details.ticket.as_deref().unwrap_or_default()
}

/// What was recorded about the reader with their latest message by a page (A1); what is empty is left out.
fn recorded(texts: &Texts, reader: &Person, context: &ConnectionContext, at: UtcTime) -> Vec<(String, String)> {
    let browser = format!("{} {}", context.browser, context.browser_version);
    [
        ("recorded-first-name", reader.first_name.clone()),
        ("recorded-last-name", reader.last_name.clone()),
        ("recorded-email", reader.address.clone()),
        ("recorded-role", reader.job_title.clone()),
        ("recorded-at", texts.date_time(&at)),
        ("recorded-ip-address", context.ip_address.clone()),
        ("recorded-language", context.preferred_language.clone()),
        ("recorded-browser", browser.trim().to_owned()),
        ("recorded-system", context.operating_system.clone()),
        ("recorded-page", context.requested_url.clone()),
        ("recorded-time-zone", context.time_zone.clone()),
    ]
    .into_iter()
    .filter(|(_, value)| !value.is_empty())
    .map(|(key, value)| (texts.say(key), value))
    .collect()
}
