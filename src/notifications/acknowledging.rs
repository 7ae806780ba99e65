//! The one automatic answer: that a request has arrived (B3). When it may go out is LP-02's matter; to an address that
//! nobody confirmed goes one mail a day at most, with a link and no word of the request (OUT-10, ADV-10).

use chrono::TimeDelta;

use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::error::{Error, Result};
use crate::i18n::Texts;
use crate::mail::address::EmailAddress;
use crate::mail::reply_text::marker_line;
use crate::notifications::delivery::{Content, Conversation, Draft, instance};
use crate::notifications::messages::{Acknowledgement, FirstRequest};
use crate::notifications::recipients::{mailbox_of, subject_or_none};
use crate::notifications::{Letterhead, budget};
use crate::outbox::Kind;
use crate::people::person::{self, PersonState};
use crate::people::staff;
use crate::settings;
use crate::teams::mailboxes;
use crate::throttle::{self, Rate};
use crate::tickets::messages::{Channel, Message};
use crate::tickets::ticket::Ticket;
use crate::tickets::{links, mail_ids, participants};

/// Mails to an address that nobody confirmed, whoever causes them (LP-02, ADV-10).
const UNCONFIRMED: Rate = Rate { times: 1, within: TimeDelta::days(1) };
const UNCONFIRMED_NAME: &str = "ack-unconfirmed";
/// For how long an acknowledgement is known to be counted. Its job runs again when its mail could not be written or put into the
/// outbox, and would else find that there is no room for the very mail that took it.
const COUNTED: Rate = Rate { times: 1, within: TimeDelta::days(2) };

/// What the way in which a ticket was opened lets a machine do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leave {
    /// Whether it may be answered at all.
    pub to_answer: bool,
    /// Whether the answer may repeat the subject: who wrote it is known to be who reads the answer.
    pub to_repeat: bool,
    /// Whether it is one of too many from its sender, of which no more than one is answered.
    pub is_flood: bool,
}

/// The acknowledgement of a new ticket, if one may go out: to who asked, or, where it goes on from the ticket `continues`, to
/// whoever wrote, so that they know its reference.
pub fn draft(
    db: &mut DbConnection,
    letterhead: &Letterhead,
    ticket: &Ticket,
    first: &Message,
    continues: Option<&str>,
    leave: Leave,
    now: UtcTime,
) -> Result<Option<Draft>> {
    let is_asked_for = matches!(first.channel, Channel::Email | Channel::Web);
    let reader = first.author_id.filter(|_| continues.is_some()).unwrap_or(ticket.requester_id);
    let person = person::by_id(db, reader)?;
    let mailbox = mailbox_of(db, ticket)?;
    if !leave.to_answer || !is_asked_for || !mailbox.acknowledges || person.state != PersonState::Active {
        return Ok(None);
    }
    let Some(to) = EmailAddress::parse(&person.address) else { return Ok(None) };
    if person.address_suppressed_at.is_some()
        || is_own_domain(letterhead, &to, &mailboxes::canonical_addresses(db)?)
        || staff::is_staff(db, person.id)?
    {
        return Ok(None);
    }
    let Some(participant) = participants::find(db, ticket.id, person.id)? else { return Ok(None) };
    // A stranger may file in anybody's name; only the ticket knows whether the mailbox stands behind it.
    let is_requester = person.id == ticket.requester_id;
    let is_confirmed = if is_requester { ticket.address_confirmed } else { person.address_confirmed_at.is_some() };
    let counted = throttle::name("ack-counted", &first.handle);
    if throttle::allows(db, &counted, COUNTED, now)? {
        if leave.is_flood && is_confirmed && !budget::is_untouched(db, &to, now)? {
            return Ok(None);
        }
        let has_room = if is_confirmed { budget::take(db, &to, now) } else { count_unconfirmed(db, &to, now) };
        match has_room {
            Ok(()) => throttle::take(db, &counted, COUNTED, now)?,
            Err(Error::TooMany { .. }) => return Ok(None),
            Err(error) => return Err(error),
        }
    }
    let t = Texts::new(person.language.0, person.zone());
    let operator = settings::operator_name(db)?;
    let token = links::create(db, ticket, person.id, now)?;
    let link = letterhead.link(&format!("/l/ticket/{}", token.expose()));
    let reference = ticket.reference.clone();
    let (kind, content) = if is_confirmed {
        let words = Acknowledgement {
            marker: marker_line(&t.say("mail-marker")),
            reference,
            continues: continues.map(str::to_owned),
            subject: if leave.to_repeat {
                t.with("mail-acknowledgement-subject", "subject", subject_or_none(&t, &ticket.subject))
            } else {
                t.say("mail-acknowledgement-neutral-subject")
            },
            operator,
            link,
            t,
        };
        (Kind::Acknowledgement, Content::Acknowledgement(Box::new(words)))
    } else {
        (Kind::Confirmation, Content::FirstRequest(Box::new(FirstRequest { reference, operator, link, t })))
    };
    let references = mail_ids::thread(db, ticket.id)?.into_iter().map(|mail_id| mail_id.mail_id).collect();
    Ok(Some(Draft {
        kind,
        content,
        is_unanswerable: true,
        to,
        person: Some(person.id),
        from_name: mailbox.display_name.clone(),
        instance: instance(db, now)?,
        conversation: Some(Conversation {
            ticket: ticket.clone(),
            message: Some(first.id),
            message_handle: first.handle.clone(),
            participant,
            in_reply_to: mail_ids::last_received(db, ticket.id)?,
            references,
        }),
        mailbox,
        organisation: Some(ticket.organisation_id),
        language: person.language.0,
        expires_at: now.plus(kind.lifetime()),
        now,
    }))
}

/// Counts a mail to an address that nobody confirmed; one too many is an error.
pub fn count_unconfirmed(db: &mut DbConnection, to: &EmailAddress, now: UtcTime) -> Result<()> {
    throttle::take_strictly(db, &throttle::name(UNCONFIRMED_NAME, to.canonical()), UNCONFIRMED, now)
}

/// The domain of a mailbox of ours: colleagues need no acknowledgement, wherever they read mail, and systems beside ours
/// get none (LP-02).
fn is_own_domain(letterhead: &Letterhead, to: &EmailAddress, mailboxes: &[String]) -> bool {
    to.domain() == letterhead.reply_domain
        || mailboxes.iter().filter_map(|mailbox| mailbox.rsplit_once('@')).any(|(_, domain)| domain == to.domain())
}
