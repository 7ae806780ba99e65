//! Who hears of what happens in a ticket. Customers hear of answers, and of what other participants write; agents hear of
//! what customers write, of what is given to them, and of mail that is held.

use chrono::TimeDelta;

use crate::access::{self, Actor};
use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::types::{EventId, PersonId};
use crate::error::{Error, Result};
use crate::html::from_text;
use crate::html::sanitize_mail;
use crate::i18n::Texts;
use crate::mail::address::EmailAddress;
use crate::mail::reply_text::marker_line;
use crate::notifications::Letterhead;
use crate::notifications::delivery::{Content, Conversation, Draft, instance};
use crate::notifications::messages::{AgentMessage, AgentNotice, ParticipantMessage, Quote, Reply};
use crate::notifications::readers::{self, Reader};
use crate::outbox::Kind;
use crate::people::person::{self, Person, PersonState};
use crate::people::staff;
use crate::settings;
use crate::teams::mailboxes::{self, Mailbox};
use crate::teams::{members, queues};
use crate::throttle::{self, Rate};
use crate::tickets::attachments;
use crate::tickets::events::{self, Event};
use crate::tickets::links;
use crate::tickets::mail_ids;
use crate::tickets::messages::{self, Channel, Message, MessageKind, Remark, Visibility};
use crate::tickets::participants::{self, Participant};
use crate::tickets::planned::HeldBecause;
use crate::tickets::ticket::Ticket;

/// Mails that one agent gets about one ticket: more says nothing more (LP-05).
const TO_AN_AGENT: Rate = Rate { times: 10, within: TimeDelta::minutes(10) };
/// Mails that a participant gets about what other participants write (LP-05).
const TO_A_PARTICIPANT: Rate = Rate { times: 10, within: TimeDelta::minutes(10) };

/// The same as long as nothing but mail happens in the ticket: machines that write to each other may take their time
/// (LP-07). Whatever a person does on a page, agent or customer, begins it anew.
const BY_MAIL_ALONE: Rate = Rate { times: 10, within: TimeDelta::days(1) };

/// What all mails about one event share.
pub(super) struct Occasion<'a> {
    letterhead: &'a Letterhead,
    ticket: &'a Ticket,
    pub(super) mailbox: Mailbox,
    mailboxes: Vec<String>,
    pub(super) operator: String,
    instance: String,
    in_reply_to: Option<String>,
    references: Vec<String>,
    now: UtcTime,
}

impl<'a> Occasion<'a> {
    pub(super) fn new(
        db: &mut DbConnection,
        letterhead: &'a Letterhead,
        ticket: &'a Ticket,
        now: UtcTime,
    ) -> Result<Self> {
        let references: Vec<String> =
            mail_ids::thread(db, ticket.id)?.into_iter().map(|mail_id| mail_id.mail_id).collect();
        Ok(Occasion {
            letterhead,
            ticket,
            mailbox: mailbox_of(db, ticket)?,
            mailboxes: mailboxes::canonical_addresses(db)?,
            operator: settings::operator_name(db)?,
            instance: instance(db, now)?,
            in_reply_to: mail_ids::last_received(db, ticket.id)?,
            references,
            now,
        })
    }

    /// Where mail to this person goes, if it can go anywhere.
    pub(super) fn address_of(&self, person: &Person) -> Option<EmailAddress> {
        readers::address_of(self.letterhead, &self.mailboxes, person)
    }

    pub(super) fn draft(
        &self,
        kind: Kind,
        content: Content,
        to: (EmailAddress, &Person),
        from_name: String,
        message: &MessageNamed,
        participant: Participant,
    ) -> Draft {
        let (address, person) = to;
        Draft {
            kind,
            content,
            is_unanswerable: false,
            to: address,
            person: Some(person.id),
            from_name,
            mailbox: self.mailbox.clone(),
            instance: self.instance.clone(),
            conversation: Some(Conversation {
                ticket: self.ticket.clone(),
                message: message.id,
                message_handle: message.handle.clone(),
                participant,
                in_reply_to: self.in_reply_to.clone(),
                references: self.references.clone(),
            }),
            organisation: Some(self.ticket.organisation_id),
            language: person.language.0,
            expires_at: self.now.plus(kind.lifetime()),
            now: self.now,
        }
    }

    fn ticket_link(&self, db: &mut DbConnection, person: PersonId) -> Result<String> {
        let token = links::create(db, self.ticket, person, self.now)?;
        Ok(self.letterhead.link(&format!("/l/ticket/{}", token.expose())))
    }

    fn agent_link(&self) -> String {
        self.letterhead.link(&format!("/tickets/{}", self.ticket.reference))
    }
}

/// What a mail's Message-ID is bound to.
pub(super) struct MessageNamed {
    pub id: Option<crate::db::types::MessageId>,
    pub handle: String,
}

impl MessageNamed {
    fn of(message: &Message) -> MessageNamed {
        MessageNamed { id: Some(message.id), handle: message.handle.clone() }
    }

    /// Of a mail about a ticket that is about none of its messages.
    pub(super) fn none() -> MessageNamed {
        MessageNamed { id: None, handle: NO_MESSAGE.to_owned() }
    }
}

/// Stands for a message in Message-IDs of mails that are about none.
pub const NO_MESSAGE: &str = "-";

/// The mailbox that the ticket's conversation is held with.
pub fn mailbox_of(db: &mut DbConnection, ticket: &Ticket) -> Result<Mailbox> {
    mailboxes::of_conversation(db, ticket.mailbox_id, ticket.queue_id)
}

/// An agent answered: every active participant gets the answer (B3), each in a mail of their own (OUT-04).
pub fn of_reply(
    db: &mut DbConnection,
    letterhead: &Letterhead,
    ticket: &Ticket,
    reply: &Message,
    now: UtcTime,
) -> Result<Vec<Draft>> {
    if reply.visibility != Visibility::Everyone || reply.kind != MessageKind::Agent {
        return Ok(Vec::new());
    }
    let occasion = Occasion::new(db, letterhead, ticket, now)?;
    let files = attachments::of_message(db, ticket.id, reply.id)?;
    let html = reply_html(db, reply)?;
    let before = message_before(db, ticket, reply)?;
    let mut drafts = Vec::new();
    for Reader { participant, person, address } in readers::of_answers(db, letterhead, ticket, reply.author_id)? {
        let is_requester = participant.person_id == ticket.requester_id;
        // Who joined after it was said reads from then on (TH-07). Who asks was there before, whatever the clock said then.
        if !is_requester && participant.joined_at > reply.created_at {
            continue;
        }
        let t = Texts::new(person.language.0, person.zone());
        let is_confirmed = if is_requester { ticket.address_confirmed } else { person.address_confirmed_at.is_some() };
        // Nothing that a stranger chose goes to an address that nobody confirmed (OUT-10).
        let subject = if is_confirmed {
            answered_subject(&t, &ticket.subject)
        } else {
            t.with("mail-neutral-subject", "operator", &occasion.operator)
        };
        let quote = before
            .as_ref()
            .filter(|before| is_confirmed && (is_requester || before.created_at >= participant.joined_at))
            .map(|before| {
                let when = t.date_time(&before.created_at);
                let attribution = t.with2("mail-attribution", "date", when, "name", name_of(before));
                Quote::new(attribution, &before.body_text)
            });
        let words = Reply {
            marker: marker_line(&t.say("mail-marker")),
            reference: ticket.reference.clone(),
            subject,
            text: reply.body_text.trim_end().to_owned(),
            html: html.clone(),
            agent: reply.from_name.clone(),
            operator: occasion.operator.clone(),
            signature: occasion.mailbox.signature.clone(),
            link: occasion.ticket_link(db, person.id)?,
            quote,
            t,
        };
        let content = Content::Reply { words: Box::new(words), files: files.clone() };
        let from_name = occasion.mailbox.sender_name(&reply.from_name);
        drafts.push(occasion.draft(
            Kind::Reply,
            content,
            (address, &person),
            from_name,
            &MessageNamed::of(reply),
            participant,
        ));
    }
    Ok(drafts)
}

/// A customer wrote: the agent in charge hears of it, or who works in the queue, and the other participants do.
pub fn of_customer_message(
    db: &mut DbConnection,
    letterhead: &Letterhead,
    ticket: &Ticket,
    message: &Message,
    is_first: bool,
    now: UtcTime,
) -> Result<Vec<Draft>> {
    let occasion = Occasion::new(db, letterhead, ticket, now)?;
    let since = if may_be_withheld(message, is_first) { events::last_on_a_page(db, ticket)? } else { None };
    let news = News { message, is_first, since };
    let mut drafts = Vec::new();
    let author = name_of(message);
    let text = text_of(message);
    for agent in agents_concerned(db, ticket)? {
        if Some(agent.id) == message.author_id {
            continue;
        }
        let Some(address) = occasion.address_of(&agent) else { continue };
        if !news.has_room(db, ("agent-mail", TO_AN_AGENT), &agent, ticket, now)? {
            continue;
        }
        let t = Texts::new(agent.language.0, agent.zone());
        let lead = if is_first {
            let queue = queues::by_id(db, ticket.queue_id)?;
            let message = crate::i18n::Message::new("mail-agent-new")
                .with("name", &author)
                .with("reference", &ticket.reference)
                .with("queue", queue.name(agent.language.0));
            t.message(&message)
        } else if is_doubted(message) {
            t.with2("mail-agent-doubted", "name", &author, "reference", &ticket.reference)
        } else {
            t.with2("mail-agent-wrote", "name", &author, "reference", &ticket.reference)
        };
        let words = AgentMessage {
            marker: marker_line(&t.say("mail-marker")),
            reference: ticket.reference.clone(),
            subject: subject_or_none(&t, &ticket.subject),
            lead,
            text: text_or_none(&t, &text),
            html: from_text(&text_or_none(&t, &text)),
            link: occasion.agent_link(),
            t,
        };
        let participant = participants::of_staff(db, ticket, agent.id, now)?;
        let content = Content::AgentMessage(Box::new(words));
        let named = MessageNamed::of(message);
        drafts.push(occasion.draft(
            Kind::Notification,
            content,
            (address, &agent),
            occasion.mailbox.display_name.clone(),
            &named,
            participant,
        ));
    }
    if !is_first && message.visibility == Visibility::Everyone {
        drafts.extend(to_other_participants(db, &occasion, &news, &author, &text)?);
    }
    Ok(drafts)
}

/// A ticket goes on from another with what somebody wrote: the others who took part in that one hear of it.
pub fn of_follow_up(
    db: &mut DbConnection,
    letterhead: &Letterhead,
    ticket: &Ticket,
    first: &Message,
    now: UtcTime,
) -> Result<Vec<Draft>> {
    let occasion = Occasion::new(db, letterhead, ticket, now)?;
    let news = News { message: first, is_first: true, since: None };
    to_other_participants(db, &occasion, &news, &name_of(first), &text_of(first))
}

/// Whether staff alone read the message because its sender may be another.
fn is_doubted(message: &Message) -> bool {
    message.visibility == Visibility::Staff
        && matches!(message.remark, Some(Remark::NotAuthenticated | Remark::DifferentSender))
}

/// What a customer wrote, and since which event mail alone happened in the ticket.
struct News<'a> {
    message: &'a Message,
    is_first: bool,
    since: Option<EventId>,
}

impl News<'_> {
    /// Whether `person` may be mailed of it: not too much at once, by `at_once`, and not for ever, while nobody does
    /// anything but mail (LP-05, LP-07). Nothing else is ever withheld by this: no assignment, no held mail, no consent.
    fn has_room(
        &self,
        db: &mut DbConnection,
        at_once: (&str, Rate),
        person: &Person,
        ticket: &Ticket,
        now: UtcTime,
    ) -> Result<bool> {
        if self.is_first {
            return self.is_news_of_a_colleague(db, person, now);
        }
        if !may_be_withheld(self.message, self.is_first) {
            return Ok(true);
        }
        if !within_rate(db, at_once.0, person, ticket, at_once.1, now)? {
            return Ok(false);
        }
        let since = self.since.map_or(0, |event| event.0);
        // What staff alone may see came from somebody doubted, who shall not use up the room of those who are not.
        let seen_by = self.message.visibility;
        takes(db, "news-by-mail-alone", &format!("{} {} {since} {seen_by}", person.handle, ticket.reference), now)
    }

    /// Two of the staff who are away, and whose absences open tickets, tell each other of them for ever.
    fn is_news_of_a_colleague(&self, db: &mut DbConnection, person: &Person, now: UtcTime) -> Result<bool> {
        let author = match self.message.author_id {
            Some(author) if self.message.channel == Channel::Email => author,
            _ => return Ok(true),
        };
        if !staff::is_staff(db, author)? {
            return Ok(true);
        }
        takes(db, "tickets-of-a-colleague", &format!("{} {}", person.handle, author.0), now)
    }
}

fn takes(db: &mut DbConnection, what: &str, of: &str, now: UtcTime) -> Result<bool> {
    match throttle::take_strictly(db, &throttle::name(what, of), BY_MAIL_ALONE, now) {
        Ok(()) => Ok(true),
        Err(Error::TooMany { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// What opens a ticket, what was written on a page and what an agent accepted by hand is news, however much there was.
pub fn may_be_withheld(message: &Message, is_first: bool) -> bool {
    !is_first && message.channel == Channel::Email && message.remark != Some(Remark::Accepted)
}

fn to_other_participants(
    db: &mut DbConnection,
    occasion: &Occasion<'_>,
    news: &News<'_>,
    author: &str,
    text: &str,
) -> Result<Vec<Draft>> {
    let (ticket, message) = (occasion.ticket, news.message);
    let mut drafts = Vec::new();
    for participant in participants::active(db, ticket)? {
        let person = person::by_id(db, participant.person_id)?;
        let is_told = Some(person.id) != message.author_id
            && person.mailed_about_tickets
            && person.address_confirmed_at.is_some();
        let Some(address) = occasion.address_of(&person).filter(|_| is_told) else { continue };
        if !news.has_room(db, ("participant-mail", TO_A_PARTICIPANT), &person, ticket, occasion.now)? {
            continue;
        }
        let t = Texts::new(person.language.0, person.zone());
        let words = ParticipantMessage {
            marker: marker_line(&t.say("mail-marker")),
            reference: ticket.reference.clone(),
            subject: answered_subject(&t, &ticket.subject),
            author: author.to_owned(),
            text: text_or_none(&t, text),
            html: from_text(&text_or_none(&t, text)),
            operator: occasion.operator.clone(),
            link: occasion.ticket_link(db, person.id)?,
            t,
        };
        let content = Content::ParticipantMessage(Box::new(words));
        let from_name = occasion.mailbox.display_name.clone();
        let named = MessageNamed::of(message);
        drafts.push(occasion.draft(Kind::Notification, content, (address, &person), from_name, &named, participant));
    }
    Ok(drafts)
}

/// The ticket was given to an agent by somebody else: they hear of it.
pub fn of_assignment(
    db: &mut DbConnection,
    letterhead: &Letterhead,
    ticket: &Ticket,
    event: &Event,
    now: UtcTime,
) -> Result<Vec<Draft>> {
    let Some(agent) = event.details.0.person.filter(|agent| event.actor_id != Some(*agent)) else {
        return Ok(Vec::new());
    };
    let by = match event.actor_id {
        Some(by) => Some(person::by_id(db, by)?.display_name()),
        None => None,
    };
    let agents = vec![person::by_id(db, agent)?];
    notice_to_agents(db, letterhead, ticket, agents, now, |t| {
        let message = match &by {
            Some(by) => crate::i18n::Message::new("mail-agent-assigned").with("name", by),
            None => crate::i18n::Message::new("mail-agent-assigned-by-nobody"),
        };
        t.message(&message.with("reference", &ticket.reference).with("subject", subject_or_none(t, &ticket.subject)))
    })
}

/// Mail that claims to belong to the ticket is held, by now `count` of one sender: those who would get it are told to look
/// (D9). No budget silences this; how often it comes is up to the caller.
pub fn of_held_mail(
    db: &mut DbConnection,
    letterhead: &Letterhead,
    ticket: &Ticket,
    count: usize,
    now: UtcTime,
) -> Result<Vec<Draft>> {
    let agents = agents_concerned(db, ticket)?;
    notice_to_agents(db, letterhead, ticket, agents, now, |t| {
        let held = t.with("mail-agent-held", "reference", &ticket.reference);
        if count > 1 { format!("{held} {}", t.count("mail-agent-held-count", count as i64)) } else { held }
    })
}

/// An answer that waited is held: its author is told, or who takes care of the ticket when its author cannot.
pub fn of_held_answer(
    db: &mut DbConnection,
    letterhead: &Letterhead,
    ticket: &Ticket,
    event: &Event,
    now: UtcTime,
) -> Result<Vec<Draft>> {
    let Some(author) = event.details.0.person else { return Ok(Vec::new()) };
    let author = person::by_id(db, author)?;
    let name = author.display_name();
    let is_told = author.state == PersonState::Active && may_work_on(db, author.id, ticket)?;
    let agents = if is_told { vec![author] } else { agents_concerned(db, ticket)? };
    let because = event.details.0.to.as_deref().and_then(HeldBecause::parse).map_or("answer-held", held_key);
    notice_to_agents(db, letterhead, ticket, agents, now, |t| {
        let key = if is_told { "mail-answer-held" } else { "mail-answer-held-of" };
        let message = crate::i18n::Message::new(key).with("name", &name).with("reference", &ticket.reference);
        format!("{} {}", t.message(&message), t.say(because))
    })
}

/// The key of why an answer is held.
pub fn held_key(because: HeldBecause) -> &'static str {
    match because {
        HeldBecause::CustomerWrote => "answer-held-customer-wrote",
        HeldBecause::ColleagueWrote => "answer-held-colleague-wrote",
        HeldBecause::Closed => "answer-held-closed",
        HeldBecause::OtherRequester => "answer-held-other-requester",
        HeldBecause::OtherReaders => "answer-held-other-readers",
        HeldBecause::NotAllowed => "answer-held-not-allowed",
        HeldBecause::AuthorLeft => "answer-held-author-left",
        HeldBecause::Restored => "answer-held-restored",
    }
}

/// Tells agents something about the ticket, each in their language, however much mail there was before.
pub(super) fn notice_to_agents(
    db: &mut DbConnection,
    letterhead: &Letterhead,
    ticket: &Ticket,
    agents: Vec<Person>,
    now: UtcTime,
    lead: impl Fn(&Texts) -> String,
) -> Result<Vec<Draft>> {
    let occasion = Occasion::new(db, letterhead, ticket, now)?;
    let mut drafts = Vec::new();
    for agent in agents {
        let Some(address) = occasion.address_of(&agent).filter(|_| agent.mailed_about_tickets) else { continue };
        if !may_work_on(db, agent.id, ticket)? {
            continue;
        }
        let t = Texts::new(agent.language.0, agent.zone());
        let words = AgentNotice {
            reference: ticket.reference.clone(),
            subject: subject_or_none(&t, &ticket.subject),
            lead: lead(&t),
            link: occasion.agent_link(),
            t,
        };
        let participant = participants::of_staff(db, ticket, agent.id, now)?;
        let content = Content::AgentNotice(Box::new(words));
        drafts.push(occasion.draft(
            Kind::Notification,
            content,
            (address, &agent),
            occasion.mailbox.display_name.clone(),
            &MessageNamed::none(),
            participant,
        ));
    }
    Ok(drafts)
}

/// The agent in charge, or everybody who works in the queue if nobody is, or who was in charge is not there any more; of
/// them those who may see it now and want mail.
pub(super) fn agents_concerned(db: &mut DbConnection, ticket: &Ticket) -> Result<Vec<Person>> {
    let in_charge = match ticket.assignee_id {
        Some(agent) if person::by_id(db, agent)?.state == PersonState::Active && may_work_on(db, agent, ticket)? => {
            Some(agent)
        }
        _ => None,
    };
    let ids = in_charge.map_or_else(|| members::active_in(db, ticket.queue_id), |agent| Ok(vec![agent]))?;
    let mut agents = Vec::new();
    for id in ids {
        let agent = person::by_id(db, id)?;
        if agent.mailed_about_tickets && may_work_on(db, id, ticket)? {
            agents.push(agent);
        }
    }
    Ok(agents)
}

/// Whether `person` is an agent who may see and work on the ticket now.
pub fn may_work_on(db: &mut DbConnection, person: PersonId, ticket: &Ticket) -> Result<bool> {
    let actor = access::actor_of(db, person)?;
    Ok(matches!(actor, Actor::Staff(_)) && access::can_work_on(&actor, &ticket.facts()))
}

fn within_rate(
    db: &mut DbConnection,
    what: &str,
    person: &Person,
    ticket: &Ticket,
    rate: Rate,
    now: UtcTime,
) -> Result<bool> {
    let name = throttle::name(what, &format!("{} {}", person.handle, ticket.reference));
    match throttle::take(db, &name, rate, now) {
        Ok(()) => Ok(true),
        Err(Error::TooMany { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// The page form of an agent's answer, made safe: as it was written on the page, else from the text.
fn reply_html(db: &mut DbConnection, reply: &Message) -> Result<String> {
    let html = if reply.has_html { messages::html_of(db, reply.id)? } else { None };
    let safe = html.and_then(|html| sanitize_mail(&html, &|_| None));
    Ok(safe.map_or_else(|| from_text(&reply.body_text), |safe| safe.html))
}

/// The latest public message of a customer before the reply.
fn message_before(db: &mut DbConnection, ticket: &Ticket, reply: &Message) -> Result<Option<Message>> {
    let messages = messages::of_ticket(db, ticket, messages::Reading::Public, messages::LATEST)?;
    Ok(messages.into_iter().rev().find(|message| message.id < reply.id && message.kind == MessageKind::Customer))
}

fn name_of(message: &Message) -> String {
    let name = message.from_name.trim();
    if name.is_empty() { message.from_address.clone() } else { name.to_owned() }
}

fn text_of(message: &Message) -> String {
    message.body_text.trim_end().to_owned()
}

fn text_or_none(t: &Texts, text: &str) -> String {
    if text.trim().is_empty() { t.say("mail-no-text") } else { text.to_owned() }
}

pub(super) fn subject_or_none(t: &Texts, subject: &str) -> String {
    if subject.trim().is_empty() { t.say("mail-no-subject") } else { subject.to_owned() }
}

/// `Re: …`, once.
fn answered_subject(t: &Texts, subject: &str) -> String {
    let subject = subject_or_none(t, subject);
    let begins = subject.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("re:"));
    if begins { subject } else { format!("Re: {subject}") }
}
