//! What speaks for a mail's belonging to a ticket, and who its sender is there: everything that the decision table looks
//! at, found in the database.

use crate::access::{self, Actor, StaffActor};
use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::error::Result;
use crate::intake::{House, Reading, addressing};
use crate::journal::Delivery;
use crate::mail::authentication::Authentication;
use crate::mail::automatic::Class;
use crate::mail::message_id::{self, MessageIdFor};
use crate::mail::reply_address::{self, AddressPurpose};
use crate::mail::threading::{
    Evidence, MessageEvidence, Sender, SubjectEvidence, TicketState, TokenEvidence, strongest,
};
use crate::notifications::recipients::{NO_MESSAGE, mailbox_of};
use crate::people::mail_habits;
use crate::people::person::{self, Person, PersonState};
use crate::teams::mailboxes::Mailbox;
use crate::tickets::following_up;
use crate::tickets::mail_ids::{self, Direction, MailId};
use crate::tickets::messages;
use crate::tickets::participants::{self, Part, Participant, Standing};
use crate::tickets::reference::TicketReference;
use crate::tickets::ticket::{self, Ticket};

/// Message-IDs of a mail that are looked up, the nearest ones.
const IDS: usize = 20;

/// The evidence with what it was found for.
#[derive(Clone, Debug)]
pub struct Gathered {
    pub evidence: Evidence,
    /// The ticket which the strongest evidence names, or the one that goes on from it.
    pub ticket: Option<Ticket>,
    /// The same where the mail does not reach it ([`Delivery::reaches`]): what speaks for it is as if absent then.
    pub out_of_reach: Option<Ticket>,
    /// The person with the address in From.
    pub person: Option<Person>,
    /// Their rights, if they are staff.
    pub agent: Option<StaffActor>,
    /// A mail went to the address that bounces of this ticket go to.
    pub is_bounce: bool,
}

struct TokenFound {
    evidence: TokenEvidence,
    ticket: Option<Ticket>,
    holder: Option<Participant>,
    is_bounce: bool,
}

struct MessageFound {
    evidence: MessageEvidence,
    ticket: Option<Ticket>,
}

/// Gathers it.
pub fn gather(
    db: &mut DbConnection,
    house: &House,
    mailbox: &Mailbox,
    delivery: &Delivery,
    reading: &Reading,
    now: UtcTime,
) -> Result<Gathered> {
    let automatic = reading.class == Class::MachineMade;
    let person = match &reading.mail.from.identity {
        Some(identity) => person::find_by_address(db, identity)?,
        None => None,
    };
    let token = token_evidence(db, house, mailbox, delivery, reading, automatic)?;
    let message = message_evidence(db, house, mailbox, reading, person.as_ref())?;
    let (subject, subject_ticket) = subject_evidence(db, mailbox, reading)?;
    let named = strongest(token.ticket.as_ref(), message.ticket.as_ref(), subject_ticket.as_ref());
    let (ticket, disagrees) = match named {
        Some((ticket, disagrees)) => (Some(ticket.clone()), disagrees),
        None => (None, false),
    };
    let (mut sender, agent) = self::sender(db, ticket.as_ref(), person.as_ref(), reading)?;
    let (mut ticket, mut state) = (ticket, TicketState::Current);
    if let Some(named) = &ticket
        && following_up::stays_closed(db, named, now)?
    {
        state = TicketState::StaysClosed;
        // What a machine, an agent or old mail has to say is about that ticket itself.
        let stays = automatic || agent.is_some() || delivery.imported.is_some();
        let last = if stays { named.clone() } else { following_up::latest(db, named)? };
        if last.id != named.id {
            (sender, _) = self::sender(db, Some(&last), person.as_ref(), reading)?;
            if !following_up::stays_closed(db, &last, now)? {
                state = TicketState::Merged;
            }
            ticket = Some(last);
        }
    }
    if let Some(named) = ticket.take_if(|ticket| !delivery.reaches(ticket.queue_id)) {
        let (sender, agent) = self::sender(db, None, person.as_ref(), reading)?;
        let evidence = Evidence {
            token: TokenEvidence::Absent,
            message: MessageEvidence::Absent,
            subject: SubjectEvidence::Absent,
            disagrees: false,
            sender,
            authentication: reading.authentication,
            usually_passes: false,
            ticket: TicketState::Current,
            automatic,
        };
        let is_bounce = false;
        return Ok(Gathered { evidence, ticket: None, out_of_reach: Some(named), person, agent, is_bounce });
    }
    let is_holder = token.holder.as_ref().is_some_and(|holder| Some(holder.person_id) == person.as_ref().map(|p| p.id));
    let token_evidence = match token.evidence {
        TokenEvidence::OfAgent if is_holder => TokenEvidence::OfThisAgent,
        evidence => evidence,
    };
    let evidence = Evidence {
        token: token_evidence,
        message: message.evidence,
        subject,
        disagrees,
        sender,
        authentication: reading.authentication,
        usually_passes: false,
        ticket: state,
        automatic,
    };
    let usually_passes = usually_passes(db, house, &evidence, person.as_ref(), reading, now)?;
    let evidence = Evidence { usually_passes, ..evidence };
    Ok(Gathered { evidence, ticket, out_of_reach: None, person, agent, is_bounce: token.is_bounce })
}

/// Whether the sender's mail usually passes (TH-10): asked where it decides something, and where anybody's mail is looked at.
fn usually_passes(
    db: &mut DbConnection,
    house: &House,
    evidence: &Evidence,
    person: Option<&Person>,
    reading: &Reading,
    now: UtcTime,
) -> Result<bool> {
    let has_evidence = matches!(evidence.token, TokenEvidence::OfCustomer | TokenEvidence::OfAgent)
        || matches!(evidence.message, MessageEvidence::Ours | MessageEvidence::Received);
    let decides = has_evidence
        && evidence.sender == Sender::Participant
        && evidence.authentication == Authentication::None
        && !evidence.automatic;
    match (&reading.mail.from.identity, person) {
        (Some(identity), Some(person)) if decides && house.looks_at_senders() => {
            mail_habits::usually_passes(db, person.id, identity, now)
        }
        _ => Ok(false),
    }
}

/// K: the address the mail was handed over for, then those in To and Cc.
fn token_evidence(
    db: &mut DbConnection,
    house: &House,
    mailbox: &Mailbox,
    delivery: &Delivery,
    reading: &Reading,
    automatic: bool,
) -> Result<TokenFound> {
    let letterhead = &house.letterhead;
    let envelope = crate::mail::address::EmailAddress::parse(&delivery.recipient);
    let named = reading.mail.to.iter().chain(&reading.mail.cc).filter_map(|to| to.identity.clone());
    let at_reply_domain = envelope
        .into_iter()
        .chain(named)
        .filter(|address| addressing::is_at_reply_domain(letterhead, address))
        .filter(|address| reply_address::resembles(address.local_part()));
    let mut found = TokenFound { evidence: TokenEvidence::Absent, ticket: None, holder: None, is_bounce: false };
    for address in at_reply_domain.take(addressing::TOKENS) {
        let token = reply_address::parse(address.local_part());
        let genuine = match &token {
            Some(token) => addressing::find_genuine(db, letterhead, token)?,
            None => None,
        };
        // Machines answer at the address for bounces. Of a person who found it, what else the mail answers decides.
        if genuine.is_some()
            && !automatic
            && token.as_ref().is_some_and(|token| token.purpose == AddressPurpose::Bounce)
        {
            continue;
        }
        let (Some(token), Some((ticket, of))) = (token, genuine) else {
            if found.evidence == TokenEvidence::Absent {
                found.evidence = TokenEvidence::NotGenuine;
            }
            continue;
        };
        if of.id != mailbox.id {
            found.evidence = TokenEvidence::OtherMailbox;
            continue;
        }
        let is_bounce = token.purpose == AddressPurpose::Bounce;
        match addressing::holder(db, &ticket, &token)? {
            Some(holder) if holder.standing == Standing::Active || is_bounce => {
                let evidence =
                    if holder.part == Part::Staff { TokenEvidence::OfAgent } else { TokenEvidence::OfCustomer };
                return Ok(TokenFound { evidence, ticket: Some(ticket), holder: Some(holder), is_bounce });
            }
            // Its epoch is over: the token is dead.
            _ if found.evidence == TokenEvidence::Absent => found.evidence = TokenEvidence::NotGenuine,
            _ => {}
        }
    }
    Ok(found)
}

/// M: In-Reply-To, then References from the newest on.
fn message_evidence(
    db: &mut DbConnection,
    house: &House,
    mailbox: &Mailbox,
    reading: &Reading,
    sender: Option<&Person>,
) -> Result<MessageFound> {
    let mail = &reading.mail;
    let ids = mail.in_reply_to.iter().chain(mail.references.iter().rev()).take(IDS);
    let mut found = MessageFound { evidence: MessageEvidence::Absent, ticket: None };
    for id in ids {
        let one = match message_id::parse(id, &house.letterhead.reply_domain) {
            Some(ours) => our_message(db, house, mailbox, &ours)?,
            None => received_message(db, mailbox, id, sender)?,
        };
        match one.evidence {
            MessageEvidence::Ours | MessageEvidence::Received => return Ok(one),
            MessageEvidence::OtherMailbox => found = one,
            MessageEvidence::NotGenuine if found.evidence == MessageEvidence::Absent => found = one,
            MessageEvidence::NotGenuine | MessageEvidence::Absent => {}
        }
    }
    Ok(found)
}

fn our_message(
    db: &mut DbConnection,
    house: &House,
    mailbox: &Mailbox,
    id: &message_id::UnverifiedMessageId,
) -> Result<MessageFound> {
    let Some((stored, ticket)) = find_ours(db, house, id)? else {
        return Ok(MessageFound { evidence: MessageEvidence::NotGenuine, ticket: None });
    };
    if stored.mailbox_id != mailbox.id {
        return Ok(MessageFound { evidence: MessageEvidence::OtherMailbox, ticket: None });
    }
    Ok(MessageFound { evidence: MessageEvidence::Ours, ticket: Some(ticket) })
}

/// The mail of ours with that id and its ticket, if we made the id for it.
pub(super) fn find_ours(
    db: &mut DbConnection,
    house: &House,
    id: &message_id::UnverifiedMessageId,
) -> Result<Option<(MailId, Ticket)>> {
    let stored = mail_ids::find(db, &id.as_minted(&house.letterhead.reply_domain))?;
    let Some(stored) = stored.into_iter().find(|stored| stored.direction == Direction::Out) else {
        return Ok(None);
    };
    let ticket = ticket::by_id(db, stored.ticket_id)?;
    let message_handle = match stored.message_id {
        Some(message) => messages::handle_of(db, message)?,
        None => NO_MESSAGE.to_owned(),
    };
    // A ticket may have gone to another organisation since; the id is bound to the one it was written in.
    let bound_to = MessageIdFor {
        organisation: stored.organisation_id.0,
        ticket_handle: ticket.handle,
        message_handle: &message_handle,
    };
    Ok(id.is_genuine(&house.letterhead.keys, &bound_to).then_some((stored, ticket)))
}

/// A mail from outside that this mailbox received. Anybody may have sent one with the same id, so the one of a ticket in
/// which the sender takes part comes first (J-05).
fn received_message(
    db: &mut DbConnection,
    mailbox: &Mailbox,
    id: &str,
    sender: Option<&Person>,
) -> Result<MessageFound> {
    let stored: Vec<MailId> = mail_ids::find(db, id)?
        .into_iter()
        .filter(|stored| stored.direction == Direction::In && stored.mailbox_id == mailbox.id)
        .collect();
    let Some(newest) = stored.first() else {
        return Ok(MessageFound { evidence: MessageEvidence::Absent, ticket: None });
    };
    let mut chosen = newest.ticket_id;
    if let Some(sender) = sender {
        for stored in &stored {
            if is_customer_in(participants::find(db, stored.ticket_id, sender.id)?.as_ref()) {
                chosen = stored.ticket_id;
                break;
            }
        }
    }
    Ok(MessageFound { evidence: MessageEvidence::Received, ticket: Some(ticket::by_id(db, chosen)?) })
}

/// S: the reference in the subject.
fn subject_evidence(
    db: &mut DbConnection,
    mailbox: &Mailbox,
    reading: &Reading,
) -> Result<(SubjectEvidence, Option<Ticket>)> {
    let Some(reference) = TicketReference::find_in(&reading.mail.subject) else {
        return Ok((SubjectEvidence::Absent, None));
    };
    let Some(ticket) = ticket::find_by_reference(db, &Actor::System, &reference)? else {
        return Ok((SubjectEvidence::Absent, None));
    };
    if mailbox_of(db, &ticket)?.id != mailbox.id {
        return Ok((SubjectEvidence::OtherMailbox, None));
    }
    Ok((SubjectEvidence::Present, Some(ticket)))
}

/// F: who From is to the ticket.
fn sender(
    db: &mut DbConnection,
    ticket: Option<&Ticket>,
    person: Option<&Person>,
    reading: &Reading,
) -> Result<(Sender, Option<StaffActor>)> {
    if reading.mail.from.identity.is_none() {
        return Ok((Sender::None, None));
    }
    let Some(person) = person else { return Ok((Sender::Unknown, None)) };
    if let Some(ticket) = ticket
        && is_customer_in(participants::find(db, ticket.id, person.id)?.as_ref())
        && person.state == PersonState::Active
    {
        return Ok((Sender::Participant, None));
    }
    let Actor::Staff(agent) = access::actor_of(db, person.id)? else { return Ok((Sender::Unknown, None)) };
    let may = person.state == PersonState::Active
        && ticket.is_some_and(|ticket| access::can_work_on(&Actor::Staff(agent.clone()), &ticket.facts()));
    Ok((if may { Sender::Agent } else { Sender::AgentWithoutAccess }, Some(agent)))
}

fn is_customer_in(participant: Option<&Participant>) -> bool {
    participant.is_some_and(Participant::takes_part)
}
