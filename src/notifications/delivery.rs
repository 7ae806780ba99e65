//! From a draft to the outbox, and from the outbox's verdict to the ticket. A draft holds all that the database knows;
//! writing it needs only keys and stored files, and happens outside of any transaction (DB-05).

use chrono::TimeDelta;

use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::types::{EventId, MailboxId, MessageId, OrganisationId, PersonId, TicketId};
use crate::error::{Error, Result};
use crate::html::file_name::FileName;
use crate::mail::address::EmailAddress;
use crate::mail::dkim;
use crate::mail::message_id::{self, MessageIdFor};
use crate::mail::outgoing::{Automatic, OutgoingAttachment, OutgoingMail, Unsubscribe, freeze};
use crate::mail::reply_address::{self, AddressPurpose, TokenFor};
use crate::mail::thread_index::Thread;
use crate::mail::unsubscribe_token;
use crate::notifications::Letterhead;
use crate::notifications::left_out::{self, LeftOut};
use crate::notifications::messages::{
    Account, Acknowledgement, AgentMessage, AgentNotice, Consent, Digest, FirstRequest, ParticipantMessage, Reply,
    Words,
};
use crate::outbox::bouncing::{self, Departed};
use crate::outbox::folding::{self, DigestWanted};
use crate::outbox::listing::Outgoing;
use crate::outbox::{self, Kind, Letter, NewLetter, Sending, Settled};
use crate::queue;
use crate::secret::random_handle;
use crate::settings;
use crate::storage::Storage;
use crate::stumbling::{self, Stage};
use crate::teams::mailboxes::Mailbox;
use crate::tickets::attachments::Attachment;
use crate::tickets::events::{self, Details, EventKind, Maker, NewEvent};
use crate::tickets::mail_ids::{self, Direction};
use crate::tickets::participants::Participant;
use crate::tickets::ticket::{self, Ticket};

/// How long more news that comes too late is waited for before a digest is written.
const DIGEST_AFTER: TimeDelta = TimeDelta::minutes(5);
/// Files of one mail together; what does not fit is to be read by the link.
const FILES_BYTES: i64 = 15 * 1024 * 1024;

/// A mail that is decided on and not yet written.
#[derive(Clone, Debug)]
pub struct Draft {
    pub kind: Kind,
    pub content: Content,
    /// Null envelope sender: nobody is to be told by machine when it does not arrive.
    pub is_unanswerable: bool,
    pub to: EmailAddress,
    pub person: Option<PersonId>,
    /// The name the reader sees as the sender.
    pub from_name: String,
    pub mailbox: Mailbox,
    /// The installation's name in loop marks.
    pub instance: String,
    pub conversation: Option<Conversation>,
    pub organisation: Option<OrganisationId>,
    pub language: crate::i18n::Locale,
    pub expires_at: UtcTime,
    pub now: UtcTime,
}

/// The ticket that a mail belongs to, and the reader's part in it.
#[derive(Clone, Debug)]
pub struct Conversation {
    pub ticket: Ticket,
    pub message: Option<MessageId>,
    /// The message's public name, which its Message-IDs are bound to.
    pub message_handle: String,
    pub participant: Participant,
    pub in_reply_to: Option<String>,
    pub references: Vec<String>,
}

impl Conversation {
    /// The conversation as Outlook knows it, for a mail with that subject: called by the ticket's subject where the mail says
    /// that anyway, for else it may not (OUT-10), and by its reference there.
    fn thread(&self, subject: &str) -> Thread<'_> {
        let says_subject = !self.ticket.subject.is_empty() && subject.contains(&self.ticket.subject);
        Thread {
            topic: if says_subject { &self.ticket.subject } else { &self.ticket.reference },
            began_at: self.ticket.created_at,
            handle: self.ticket.handle,
            is_answer: self.in_reply_to.is_some() || !self.references.is_empty(),
        }
    }
}

/// What is to be said.
#[derive(Clone, Debug)]
pub enum Content {
    Reply { words: Box<Reply>, files: Vec<Attachment> },
    Acknowledgement(Box<Acknowledgement>),
    FirstRequest(Box<FirstRequest>),
    ParticipantMessage(Box<ParticipantMessage>),
    AgentMessage(Box<AgentMessage>),
    AgentNotice(Box<AgentNotice>),
    Digest(Box<Digest>),
    Account(Box<Account>),
    Consent(Box<Consent>),
}

/// A mail written, with what is to be remembered of it.
#[derive(Clone, Debug)]
pub struct Finished {
    letter: NewLetter,
    mailbox: MailboxId,
    ticket: Option<Ticket>,
}

/// A mail that could not be written.
#[derive(Clone, Debug)]
pub struct Unwritten {
    /// Without bytes.
    letter: NewLetter,
    reason: String,
}

impl Unwritten {
    pub fn kind(&self) -> Kind {
        self.letter.kind
    }
}

/// Who a mail counts as written by, which decides its marks against loops (LP-03).
enum Writer {
    Person,
    Machine,
    AnsweringMachine,
}

impl Finished {
    /// Its Message-ID, with the angle brackets.
    pub fn mail_id(&self) -> &str {
        &self.letter.mail_id
    }
}

impl Draft {
    /// Writes the mail: signed addresses, Message-ID, bytes (O-02), the signatures of the domain in From (OUT-07).
    pub fn write(&self, letterhead: &Letterhead, storage: &Storage) -> Result<Finished> {
        stumbling::step(Stage::Rendering, self.to.as_str());
        let (words, files, writer) = self.words()?;
        let loop_mark = message_id::mint_loop_mark(&letterhead.keys, &self.instance, 1);
        let automatic = match writer {
            Writer::Person => Automatic::HumanReply,
            Writer::Machine => Automatic::Notification { loop_mark: &loop_mark },
            Writer::AnsweringMachine => Automatic::Acknowledgement { loop_mark: &loop_mark },
        };
        let from = parsed(&self.mailbox.address)?;
        let message_id = self.message_id(letterhead);
        let reply_to = self.signed_address(letterhead, AddressPurpose::Reply)?;
        let bounce_to = self.signed_address(letterhead, AddressPurpose::Bounce)?;
        let conversation = self.conversation.as_ref();
        let unsubscribe_at = self.unsubscribe_address(letterhead)?;
        let mut files = read_files(files, storage)?;
        files.extend(self.documents());
        let frozen = freeze(&OutgoingMail {
            from_name: &self.from_name,
            from: &from,
            to: &self.to,
            subject: &words.subject,
            text: &words.text,
            html: &words.html,
            reply_to: reply_to.as_ref(),
            bounce_to: bounce_to.as_ref().unwrap_or(&from),
            message_id: &message_id,
            in_reply_to: conversation.and_then(|conversation| conversation.in_reply_to.as_deref()),
            references: conversation.map_or(&[], |conversation| conversation.references.as_slice()),
            thread: conversation.map(|conversation| conversation.thread(&words.subject)),
            language: self.language,
            date: self.now,
            automatic,
            unsubscribe: unsubscribe_at.as_ref().map(|(page, address)| Unsubscribe { page, address }),
            attachments: &files,
        })?;
        let letter = NewLetter {
            envelope_from: if self.is_unanswerable { String::new() } else { frozen.envelope_from },
            mime: dkim::sign(&letterhead.dkim, &from, frozen.bytes)?,
            ..self.letter(frozen.recipient, frozen.message_id, frozen.subject)
        };
        let ticket = conversation.map(|conversation| conversation.ticket.clone());
        Ok(Finished { letter, mailbox: self.mailbox.id, ticket })
    }

    /// What is remembered of it where it cannot be written, and why.
    pub fn unwritten(&self, letterhead: &Letterhead, reason: &str) -> Unwritten {
        let subject = self.conversation.as_ref().map(|conversation| conversation.ticket.subject.clone());
        let mail_id = message_id::mint_unbound(&letterhead.reply_domain);
        let letter = self.letter(self.to.as_str().to_owned(), mail_id, subject.unwrap_or_default());
        Unwritten { letter, reason: reason.to_owned() }
    }

    /// What is remembered of it, as yet without bytes.
    fn letter(&self, recipient: String, mail_id: String, subject: String) -> NewLetter {
        let conversation = self.conversation.as_ref();
        NewLetter {
            kind: self.kind,
            organisation: self.organisation,
            ticket: conversation.map(|conversation| conversation.ticket.id),
            message: conversation.and_then(|conversation| conversation.message),
            person: self.person,
            mailbox: Some(self.mailbox.id),
            recipient,
            envelope_from: String::new(),
            mail_id,
            subject,
            mime: Vec::new(),
            expires_at: self.expires_at,
        }
    }

    /// Whether it is what was to tell that reader the same.
    pub fn is_for(&self, mail: &Outgoing) -> bool {
        self.kind == mail.kind && self.to.as_str() == mail.recipient
    }

    fn words(&self) -> Result<(Words, &[Attachment], Writer)> {
        Ok(match &self.content {
            Content::Reply { words, files } => (words.write()?, files, Writer::Person),
            Content::Acknowledgement(words) => (words.write()?, &[], Writer::AnsweringMachine),
            Content::FirstRequest(words) => (words.write()?, &[], Writer::AnsweringMachine),
            Content::ParticipantMessage(words) => (words.write()?, &[], Writer::Machine),
            Content::AgentMessage(words) => (words.write()?, &[], Writer::Machine),
            Content::AgentNotice(words) => (words.write()?, &[], Writer::Machine),
            Content::Digest(words) => (words.write()?, &[], Writer::Machine),
            Content::Account(words) => (words.write()?, &[], Writer::Machine),
            Content::Consent(words) => (words.write()?, &[], Writer::Machine),
        })
    }

    /// What goes with the mail and is in no store.
    fn documents(&self) -> Vec<OutgoingAttachment> {
        let Content::Consent(consent) = &self.content else { return Vec::new() };
        let documents = consent.documents.iter().map(|document| OutgoingAttachment {
            file_name: FileName::new(&document.file_name),
            media_type: document.media_type.to_owned(),
            bytes: document.text.clone().into_bytes(),
        });
        documents.collect()
    }

    fn message_id(&self, letterhead: &Letterhead) -> String {
        match &self.conversation {
            Some(conversation) => message_id::mint(
                &letterhead.keys,
                &MessageIdFor {
                    organisation: conversation.ticket.organisation_id.0,
                    ticket_handle: conversation.ticket.handle,
                    message_handle: &conversation.message_handle,
                },
                &letterhead.reply_domain,
            ),
            None => message_id::mint_unbound(&letterhead.reply_domain),
        }
    }

    /// The page and the address at which the reader of a digest wants no more mails. Whatever belongs to one conversation is
    /// left by leaving that.
    fn unsubscribe_address(&self, letterhead: &Letterhead) -> Result<Option<(&str, EmailAddress)>> {
        let Content::Digest(digest) = &self.content else { return Ok(None) };
        let local_part = unsubscribe_token::local_part(&digest.unsubscribe_token);
        let address = parsed(&format!("{local_part}@{}", letterhead.reply_domain))?;
        Ok(Some((&digest.unsubscribe, address)))
    }

    fn signed_address(&self, letterhead: &Letterhead, purpose: AddressPurpose) -> Result<Option<EmailAddress>> {
        let Some(conversation) = &self.conversation else { return Ok(None) };
        let local_part = reply_address::mint(
            &letterhead.keys,
            &TokenFor {
                purpose,
                ticket_handle: conversation.ticket.handle,
                participant: conversation.participant.token_number(),
                epoch: conversation.participant.token_epoch(),
                organisation: conversation.ticket.organisation_id.0,
                mailbox: &self.mailbox.canonical,
            },
        );
        parsed(&format!("{local_part}@{}", letterhead.reply_domain)).map(Some)
    }
}

/// Puts the mails into the outbox, and remembers their Message-IDs with their tickets.
pub fn post(db: &mut DbConnection, mails: &[Finished], now: UtcTime) -> Result<()> {
    for mail in mails {
        outbox::enqueue(db, &mail.letter, now)?;
        if let Some(ticket) = &mail.ticket {
            let id = &mail.letter.mail_id;
            mail_ids::record(db, ticket, mail.letter.message, mail.mailbox, Direction::Out, id, now)?;
        }
    }
    Ok(())
}

/// Keeps what could not be written as a mail that did not arrive, and notes that on its ticket (O-06). What tells of an event
/// may be written anew.
pub fn post_unwritten(db: &mut DbConnection, mail: &Unwritten, event: Option<EventId>, now: UtcTime) -> Result<()> {
    let letter = &mail.letter;
    let handle = outbox::keep_dead(db, letter, &mail.reason, now)?;
    if let Some(event) = event {
        left_out::note(db, &LeftOut { event, mail: handle }, &mail.reason, now)?;
    }
    if let Some(ticket) = letter.ticket
        && letter.kind != Kind::Notification
    {
        note_failure(db, ticket, letter.message, letter.person, &letter.recipient, now)?;
    }
    Ok(())
}

/// Records how an attempt to send went, and notes on the ticket what did not arrive (O-06). News to an agent that came too
/// late goes on in a digest (O-05).
pub fn settle(
    db: &mut DbConnection,
    letter: &Letter,
    worker: &str,
    sending: &Sending,
    now: UtcTime,
) -> Result<Settled> {
    let settled = outbox::sending::settle(db, letter, worker, sending, now)?;
    if settled == Settled::Suppressed
        && let Some(person) = folding::is_worth_a_digest(letter)
    {
        folding::give_back(db, letter.id)?;
        queue::enqueue(db, folding::DIGEST_WANTED, &DigestWanted { person }, now.plus(DIGEST_AFTER), now)?;
    }
    if settled == Settled::Dead
        && let Some(ticket) = letter.ticket
        && letter.kind != Kind::Notification
    {
        note_failure(db, ticket, letter.message, letter.person, &letter.recipient, now)?;
    }
    Ok(settled)
}

/// Records that a mail which had left did not arrive, and notes it like one that the relay refused. Hearing it again changes
/// nothing: `false` then.
pub fn bounced(db: &mut DbConnection, mail: &Departed, reason: &str, now: UtcTime) -> Result<bool> {
    if !bouncing::mark_dead(db, mail.id, reason, now)? {
        return Ok(false);
    }
    if let Some(ticket) = mail.ticket
        && mail.kind != Kind::Notification
    {
        note_failure(db, ticket, mail.message, mail.person, &mail.recipient, now)?;
    }
    Ok(true)
}

fn note_failure(
    db: &mut DbConnection,
    ticket: TicketId,
    message: Option<MessageId>,
    person: Option<PersonId>,
    address: &str,
    now: UtcTime,
) -> Result<()> {
    let ticket = ticket::by_id(db, ticket)?;
    let event = NewEvent {
        kind: EventKind::MailFailed,
        maker: Maker::System,
        person: None,
        message,
        details: Details { person, address: Some(address.to_owned()), ..Details::default() },
    };
    events::record(db, &ticket, event, now)?;
    Ok(())
}

/// The installation's name in loop marks, made when it is first needed.
pub fn instance(db: &mut DbConnection, now: UtcTime) -> Result<String> {
    if let Some(name) = settings::find(db, INSTANCE)? {
        return Ok(name);
    }
    let name = random_handle();
    settings::put(db, INSTANCE, &name, now)?;
    Ok(name)
}

/// The installation's name in loop marks, if it ever sent one.
pub fn find_instance(db: &mut DbConnection) -> Result<Option<String>> {
    settings::find(db, INSTANCE)
}

const INSTANCE: &str = "instance";

fn read_files(files: &[Attachment], storage: &Storage) -> Result<Vec<OutgoingAttachment>> {
    let mut left = FILES_BYTES;
    let mut read = Vec::new();
    for file in files {
        if file.size > left {
            continue;
        }
        left -= file.size;
        read.push(OutgoingAttachment {
            file_name: FileName::new(&file.file_name),
            media_type: file.media_type.clone(),
            bytes: storage.get(&file.content_hash)?,
        });
    }
    Ok(read)
}

fn parsed(address: &str) -> Result<EmailAddress> {
    EmailAddress::parse(address).ok_or_else(|| Error::internal("an address of ours is malformed"))
}
