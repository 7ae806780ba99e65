//! What is said in a ticket: by the customer, by an agent, and among staff. A reply goes out only if the agent has seen
//! everything that was said before it. This file writes; what a reader may read of it is in `reading`, and what agents
//! make of a message whose sender is in doubt in `in_doubt`.

pub mod in_doubt;
mod reading;

pub use reading::{
    ALL, LATEST, Reading, after, count_until, find, find_by_id, find_by_ingest, find_readable, from_the_first,
    handle_of, html_of, of_ticket, reading, rendered,
};

use diesel::prelude::*;

use crate::access::{self, Actor};
use crate::cards;
use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::one_text::one_text;
use crate::db::schema::ticket_messages;
use crate::db::types::{JournalId, Json, MessageId, PersonId, text_enum};
use crate::error::{Error, Result};
use crate::html;
use crate::html::file_name::is_blank;
use crate::mail::address::shown_address;
use crate::mail::invitation::Invitation;
use crate::people::person;
use crate::secret::random_handle;
use crate::tickets::attachments::{self, NewAttachment};
use crate::tickets::connection_context::{self, ConnectionContext};
use crate::tickets::events::{self, Details, EventKind, Maker, NewEvent};
use crate::tickets::participants;
use crate::tickets::planned::{self, HeldBecause};
use crate::tickets::status::{self, Occasion, Status, may_become};
use crate::tickets::ticket::{self, Change, Ticket};

text_enum! {
    /// Who speaks, and to whom.
    pub enum MessageKind {
        Customer = "customer",
        Agent = "agent",
        /// Among staff. Never shown to customers in any form.
        Note = "note",
    }
}

text_enum! {
    /// Who may read a message.
    pub enum Visibility {
        Everyone = "everyone",
        Staff = "staff",
    }
}

text_enum! {
    /// How a message came.
    pub enum Channel {
        Web = "web",
        Email = "email",
        Telephone = "telephone",
        Fax = "fax",
        Letter = "letter",
        Api = "api",
    }
}

text_enum! {
    /// What staff are told about where a message came from.
    pub enum Remark {
        /// Another address than the conversation's wrote it (D2).
        DifferentSender = "different_sender",
        /// It may not be from whom it says (D7, TH-10).
        NotAuthenticated = "not_authenticated",
        /// A machine wrote it (D15).
        Automatic = "automatic",
        /// An agent accepted it as the customer's.
        Accepted = "accepted",
        /// An agent found that it is not the customer's.
        Rejected = "rejected",
    }
}

/// What was said.
#[derive(Clone, Debug, Queryable)]
pub struct Message {
    pub id: MessageId,
    pub handle: String,
    pub kind: MessageKind,
    pub visibility: Visibility,
    pub channel: Channel,
    pub author_id: Option<PersonId>,
    /// The author's name when it was said; for mail the name in From.
    pub from_name: String,
    /// The author's address when it was said; for mail the address in From, whoever it is.
    pub from_address: String,
    pub body_text: String,
    pub quoted_text: String,
    /// Whether there is an HTML form beside the text.
    pub has_html: bool,
    pub remark: Option<Remark>,
    /// The journal row of the mail it came in.
    pub ingest_id: Option<JournalId>,
    pub created_at: UtcTime,
    /// The meeting that the mail is about.
    pub invitation: Option<Json<Invitation>>,
}

/// Something to be said.
#[derive(Clone, Debug)]
pub struct NewMessage {
    /// Its public name.
    pub handle: String,
    pub channel: Channel,
    /// The person who says it; none when mail names nobody whom we know.
    pub author: Option<PersonId>,
    pub from_name: String,
    pub from_address: String,
    pub text: String,
    /// What was quoted from earlier messages, shown folded.
    pub quoted: String,
    pub html: Option<String>,
    pub attachments: Vec<NewAttachment>,
    /// The Message-ID of the mail it came in.
    pub mail_id: Option<String>,
    pub ingest: Option<JournalId>,
    /// The meeting that the mail is about.
    pub invitation: Option<Invitation>,
    /// From where it was sent, when it was by a page (A1).
    pub context: Option<ConnectionContext>,
}

impl NewMessage {
    /// A message of nothing but text.
    pub fn text(channel: Channel, author: PersonId, name: &str, address: &str, text: &str) -> NewMessage {
        NewMessage {
            handle: random_handle(),
            channel,
            author: Some(author),
            from_name: name.to_owned(),
            from_address: shown_address(address).to_owned(),
            text: text.to_owned(),
            quoted: String::new(),
            html: None,
            attachments: Vec::new(),
            mail_id: None,
            ingest: None,
            invitation: None,
            context: None,
        }
    }
}

/// A customer's message with what the way it came means for it.
#[derive(Clone, Debug)]
pub struct CustomerMessage {
    pub message: NewMessage,
    /// For staff only when the sender is in doubt (D2, D7) or a machine (D15).
    pub visibility: Visibility,
    pub remark: Option<Remark>,
    /// Whether it is now our turn; not for what a machine wrote (D15).
    pub moves_status: bool,
}

impl CustomerMessage {
    /// An ordinary message of somebody who takes part.
    pub fn ordinary(message: NewMessage) -> CustomerMessage {
        CustomerMessage { message, visibility: Visibility::Everyone, remark: None, moves_status: true }
    }
}

/// Adds a customer's message. The caller loaded `ticket` as somebody who may see it, or decided where a mail belongs.
/// A closed ticket is open again, unless the message does not move the status. A colleague who answers takes part from
/// then on.
pub fn add_customer_message(
    db: &mut DbConnection,
    ticket: &Ticket,
    new: CustomerMessage,
    by: &Actor,
    now: UtcTime,
) -> Result<MessageId> {
    if by.is_staff() && !access::can_work_on(by, &ticket.facts()) {
        return Err(Error::Forbidden);
    }
    if matches!(new.message.channel, Channel::Web | Channel::Api) {
        require_content(&new.message.text, &new.message.attachments)?;
    }
    let ticket = ticket::count_message(db, ticket, None, now)?.ok_or(Error::NotFound)?;
    let maker = Maker::of(by, new.message.channel);
    let person = new.message.author;
    let public = new.visibility == Visibility::Everyone;
    let is_automatic = new.remark == Some(Remark::Automatic);
    if let (Actor::Customer(customer), true) = (by, public) {
        participants::join(db, &ticket, customer.person, now)?;
    }
    let id = insert(db, &ticket, MessageKind::Customer, new.visibility, new.remark, new.message, now)?;
    let to = Status::WaitingForUs;
    let moves = new.moves_status && ticket.status != to && may_become(ticket.status, to, Occasion::CustomerMessage);
    let mut change = if moves { status::change_to(&ticket, to, now) } else { Change::default() };
    if public {
        change.last_message_at = Some(now);
    }
    ticket::change(db, &ticket, change, now)?;
    let event =
        NewEvent { kind: EventKind::CustomerWrote, maker, person, message: Some(id), details: Details::default() };
    events::record(db, &ticket, event.clone(), now)?;
    if moves {
        status::record_change(db, &ticket, to, NewEvent { message: None, ..event }, now)?;
    }
    if !is_automatic {
        planned::hold_others(db, &ticket, person, HeldBecause::CustomerWrote, now)?;
    }
    Ok(id)
}

/// What an agent wrote, with the way it came; made before the transaction, for it renders Markdown.
#[derive(Clone, Debug)]
pub struct Words {
    channel: Channel,
    text: String,
    html: Option<String>,
}

impl Words {
    /// Markdown written on a page. Its HTML is ours, and is shown as it is.
    pub fn on_page(markdown: &str) -> Words {
        Words { channel: Channel::Web, text: markdown.to_owned(), html: Some(html::from_markdown(markdown)) }
    }

    /// Markdown sent by a program.
    pub fn by_api(markdown: &str) -> Words {
        Words { channel: Channel::Api, ..Words::on_page(markdown) }
    }

    /// A mail: plain text, and HTML that is only ever shown in a frame of its own.
    pub fn by_mail(text: &str, html: Option<&str>) -> Words {
        Words { channel: Channel::Email, text: text.to_owned(), html: html.map(str::to_owned) }
    }
}

/// A reply that an agent wants to send.
#[derive(Clone, Debug)]
pub struct NewReply {
    pub words: Words,
    pub attachments: Vec<NewAttachment>,
    /// How many messages the ticket had when the agent last saw it.
    pub seen: i32,
    /// What the ticket becomes with the reply.
    pub status: Status,
    pub mail_id: Option<String>,
    pub ingest: Option<JournalId>,
}

/// What became of a reply.
#[derive(Clone, Debug)]
pub enum ReplyOutcome {
    Sent(MessageId),
    /// Nothing was changed: these were said since the agent last saw the ticket.
    Stale(Vec<Message>),
}

/// Adds an agent's reply and sets the status with it, unless something was said that the agent has not seen.
pub fn add_reply(
    db: &mut DbConnection,
    ticket: &Ticket,
    reply: NewReply,
    by: &Actor,
    now: UtcTime,
) -> Result<ReplyOutcome> {
    add_said(db, ticket, reply, None, by, now)
}

/// The same with the public name that the reply bore while it waited.
pub(super) fn add_planned(
    db: &mut DbConnection,
    ticket: &Ticket,
    reply: NewReply,
    handle: &str,
    by: &Actor,
    now: UtcTime,
) -> Result<ReplyOutcome> {
    add_said(db, ticket, reply, Some(handle), by, now)
}

fn add_said(
    db: &mut DbConnection,
    ticket: &Ticket,
    reply: NewReply,
    planned: Option<&str>,
    by: &Actor,
    now: UtcTime,
) -> Result<ReplyOutcome> {
    let Actor::Staff(agent) = by else { return Err(Error::Forbidden) };
    if !access::can_work_on(by, &ticket.facts()) {
        return Err(Error::Forbidden);
    }
    let message = agent_message(db, agent.person, reply.words, reply.attachments)?;
    let handle = planned.map_or_else(random_handle, str::to_owned);
    let message = NewMessage { handle, mail_id: reply.mail_id, ingest: reply.ingest, ..message };
    require_content(&message.text, &message.attachments)?;
    let Some(ticket) = ticket::count_message(db, ticket, Some(reply.seen), now)? else {
        return Ok(ReplyOutcome::Stale(after(db, ticket, reply.seen)?));
    };
    // The ticket is ours alone from here on. On PostgreSQL another may have said it before that.
    if let Some(handle) = planned
        && !planned::waits(db, handle)?
    {
        return Err(Error::Busy);
    }
    let channel = message.channel;
    let id = insert(db, &ticket, MessageKind::Agent, Visibility::Everyone, None, message, now)?;
    let change = Change {
        last_message_at: Some(now),
        first_answered_at: ticket.first_answered_at.is_none().then_some(Some(now)),
        // It is a new wait for the customer, even when they were already waited for.
        waiting_since: Some(now),
        ..status::change_to(&ticket, reply.status, now)
    };
    ticket::change(db, &ticket, change, now)?;
    let event = NewEvent {
        kind: EventKind::Replied,
        maker: Maker::of(by, channel),
        person: Some(agent.person),
        message: Some(id),
        details: Details::default(),
    };
    events::record(db, &ticket, event.clone(), now)?;
    if ticket.status != reply.status {
        status::record_change(db, &ticket, reply.status, NewEvent { message: None, ..event }, now)?;
    }
    planned::hold_others(db, &ticket, Some(agent.person), HeldBecause::ColleagueWrote, now)?;
    Ok(ReplyOutcome::Sent(id))
}

/// A note among staff.
#[derive(Clone, Debug)]
pub struct NewNote {
    pub words: Words,
    pub attachments: Vec<NewAttachment>,
    pub mail_id: Option<String>,
    pub ingest: Option<JournalId>,
}

/// Adds a note; nothing that customers can see changes.
pub fn add_note(db: &mut DbConnection, ticket: &Ticket, note: NewNote, by: &Actor, now: UtcTime) -> Result<MessageId> {
    let Actor::Staff(agent) = by else { return Err(Error::Forbidden) };
    if !access::can_work_on(by, &ticket.facts()) {
        return Err(Error::Forbidden);
    }
    let message = agent_message(db, agent.person, note.words, note.attachments)?;
    let message = NewMessage { mail_id: note.mail_id, ingest: note.ingest, ..message };
    require_content(&message.text, &message.attachments)?;
    let ticket = ticket::count_message(db, ticket, None, now)?.ok_or(Error::NotFound)?;
    let channel = message.channel;
    let id = insert(db, &ticket, MessageKind::Note, Visibility::Staff, None, message, now)?;
    let event = NewEvent {
        kind: EventKind::Noted,
        maker: Maker::of(by, channel),
        person: Some(agent.person),
        message: Some(id),
        details: Details::default(),
    };
    events::record(db, &ticket, event, now)?;
    planned::hold_others(db, &ticket, Some(agent.person), HeldBecause::ColleagueWrote, now)?;
    Ok(id)
}

fn agent_message(
    db: &mut DbConnection,
    agent: PersonId,
    words: Words,
    attachments: Vec<NewAttachment>,
) -> Result<NewMessage> {
    let agent = person::by_id(db, agent)?;
    let name = agent.display_name();
    Ok(NewMessage {
        html: words.html,
        attachments,
        ..NewMessage::text(words.channel, agent.id, &name, &agent.address, &words.text)
    })
}

pub(super) fn require_content(text: &str, attachments: &[NewAttachment]) -> Result<()> {
    if is_blank(text) && attachments.is_empty() {
        return Err(Error::invalid("text", "text-required"));
    }
    if text.chars().count() > LONGEST_TEXT {
        return Err(Error::invalid("text", "text-too-long"));
    }
    Ok(())
}

/// The longest text written on a page; longer matter is attached as a file.
pub const LONGEST_TEXT: usize = 100_000;

/// Writes the row with its attachments and its context. The ticket's count was raised by the caller.
pub(super) fn insert(
    db: &mut DbConnection,
    ticket: &Ticket,
    kind: MessageKind,
    visibility: Visibility,
    remark: Option<Remark>,
    new: NewMessage,
    now: UtcTime,
) -> Result<MessageId> {
    let id: MessageId = one_text!(
        diesel::insert_into(ticket_messages::table)
            .values((
                ticket_messages::organisation_id.eq(ticket.organisation_id),
                ticket_messages::ticket_id.eq(ticket.id),
                ticket_messages::handle.eq(&new.handle),
                ticket_messages::kind.eq(kind),
                ticket_messages::visibility.eq(visibility),
                ticket_messages::channel.eq(new.channel),
                ticket_messages::author_id.eq(new.author),
                ticket_messages::from_name.eq(clean_line(&new.from_name, 120)),
                ticket_messages::from_address.eq(clean_line(&new.from_address, 320)),
                ticket_messages::body_text.eq(clean_text(&new.text)),
                ticket_messages::quoted_text.eq(clean_text(&new.quoted)),
                ticket_messages::body_html.eq(new.html.map(|html| cards::mask_numbers(&html).replace('\0', ""))),
                ticket_messages::remark.eq(remark),
                ticket_messages::mail_id.eq(new.mail_id.map(|mail_id| clean_line(&mail_id, 1_000))),
                ticket_messages::ingest_id.eq(new.ingest),
                ticket_messages::created_at.eq(now),
                ticket_messages::invitation.eq(new.invitation.map(kept_invitation)),
            ))
            .returning(ticket_messages::id)
    )
    .get_result(db)?;
    for attachment in &new.attachments {
        attachments::insert(db, ticket, id, attachment, now)?;
    }
    if let Some(context) = &new.context {
        connection_context::insert(db, ticket, id, context, now)?;
    }
    Ok(id)
}

/// One line: control characters become spaces, runs of space one, and what is longer than `longest` is cut.
pub(super) fn clean_line(text: &str, longest: usize) -> String {
    let words: Vec<&str> =
        text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()).collect();
    words.join(" ").chars().take(longest).collect()
}

/// What is kept of an invitation: lines without payment card numbers (A5) and without control characters.
fn kept_invitation(mut invitation: Invitation) -> Json<Invitation> {
    for text in invitation.texts_mut() {
        *text = clean_line(&cards::mask_numbers(text), 300);
    }
    Json(invitation)
}

/// Text as it is kept: without payment card numbers (A5), line ends as one character, no control characters but the tab.
fn clean_text(text: &str) -> String {
    let text = cards::mask_numbers(text).replace("\r\n", "\n").replace('\r', "\n");
    text.chars().filter(|c| *c == '\n' || *c == '\t' || !c.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adv_13_a_line_has_no_line_ends_and_no_control_characters() {
        assert_eq!(clean_line("a\r\nBcc: x@y.z\0\u{1b}[2J  b", 250), "a Bcc: x@y.z [2J b");
        assert_eq!(clean_line("ééé", 2), "éé");
        assert_eq!(clean_text("a\r\nb\rc\0d\te"), "a\nb\ncd\te");
    }

    #[test]
    fn a5_a_card_number_is_not_kept() {
        assert_eq!(clean_text("carte 4111 1111 1111 1111"), "carte •••• •••• •••• 1111");
    }
}
