//! Mails about a consent. What they say and to whom is decided in `reactions`, which knows both consents and mails; here they
//! get their envelope. To somebody who takes part in the ticket the mail belongs to its conversation, so that an answer
//! finds its way; an answer is a message and never a consent.

use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::types::PersonId;
use crate::error::Result;
use crate::i18n::{Message, Texts};
use crate::notifications::delivery::{Content, Draft, instance};
use crate::notifications::messages::{Consent, Document};
use crate::notifications::recipients::{self, MessageNamed, Occasion};
use crate::notifications::{Letterhead, budget};
use crate::outbox::Kind;
use crate::people::person::{self, full_name};
use crate::tickets::participants;
use crate::tickets::ticket::Ticket;

/// What one person is to read.
#[derive(Clone, Debug)]
pub struct News {
    pub to: PersonId,
    pub subject: Message,
    pub lead: Message,
    /// The key of what each link is for, and its path.
    pub links: Vec<(&'static str, String)>,
    pub paragraphs: Vec<String>,
    pub caution: &'static str,
    pub documents: Vec<Document>,
    /// When the mail is worth nothing any more.
    pub until: Option<UtcTime>,
}

/// The mail with `news`, if there is an address to send it to that its owner confirmed.
pub fn draft(
    db: &mut DbConnection,
    letterhead: &Letterhead,
    ticket: &Ticket,
    news: News,
    now: UtcTime,
) -> Result<Option<Draft>> {
    let occasion = Occasion::new(db, letterhead, ticket, now)?;
    let person = person::by_id(db, news.to)?;
    // What an agent typed goes to nobody who has not shown to read mail there (OUT-10); the page tells them.
    let address = occasion.address_of(&person).filter(|_| person.address_confirmed_at.is_some());
    let Some(address) = address else { return Ok(None) };
    budget::count(db, &address, now)?;
    let t = Texts::new(person.language.0, person.zone());
    let content = Content::Consent(Box::new(Consent {
        subject: t.message(&news.subject),
        name: full_name(&person.first_name, &person.last_name),
        lead: t.message(&news.lead),
        links: news.links.into_iter().map(|(key, path)| (t.say(key), letterhead.link(&path))).collect(),
        paragraphs: news.paragraphs,
        caution: t.say(news.caution),
        operator: occasion.operator.clone(),
        documents: news.documents,
        t,
    }));
    let part = participants::find(db, ticket.id, person.id)?.filter(participants::Participant::takes_part);
    let from_name = occasion.mailbox.display_name.clone();
    let until = news.until.unwrap_or_else(|| now.plus(Kind::Reply.lifetime()));
    Ok(Some(match part {
        Some(participant) => {
            let to = (address, &person);
            let draft = occasion.draft(Kind::Confirmation, content, to, from_name, &MessageNamed::none(), participant);
            Draft { expires_at: until, ..draft }
        }
        None => Draft {
            kind: Kind::Confirmation,
            content,
            is_unanswerable: true,
            to: address,
            person: Some(person.id),
            from_name,
            mailbox: occasion.mailbox.clone(),
            instance: instance(db, now)?,
            conversation: None,
            organisation: Some(ticket.organisation_id),
            language: person.language.0,
            expires_at: until,
            now,
        },
    }))
}

/// Tells the agents in charge, in a line.
pub fn to_agents(
    db: &mut DbConnection,
    letterhead: &Letterhead,
    ticket: &Ticket,
    lead: &Message,
    now: UtcTime,
) -> Result<Vec<Draft>> {
    let agents = recipients::agents_concerned(db, ticket)?;
    recipients::notice_to_agents(db, letterhead, ticket, agents, now, |t| t.message(lead))
}
