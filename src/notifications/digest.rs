//! The digest: one mail that tells an agent in which tickets something happened while mail could not be sent (O-05). Where
//! to look, not what was said, for that may have been answered since.

use std::collections::{BTreeSet, HashMap};

use diesel::prelude::*;

use crate::access;
use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::one_of::one_of;
use crate::db::schema::tickets;
use crate::db::types::{OutboxId, PersonId, TicketId};
use crate::error::Result;
use crate::i18n::Texts;
use crate::mail::address::EmailAddress;
use crate::mail::unsubscribe_token;
use crate::notifications::Letterhead;
use crate::notifications::delivery::{Content, Draft, Finished, instance, post};
use crate::notifications::messages::{Digest, DigestLine};
use crate::notifications::recipients::subject_or_none;
use crate::outbox::folding::{self, LateNews};
use crate::outbox::{Kind, Letter};
use crate::people::person::{self, Person, PersonState};
use crate::settings;
use crate::teams::mailboxes;
use crate::tickets::ticket;

/// Tickets that are named in a digest; more would not be read, and are counted.
const TICKETS: usize = 100;
/// Tickets that are looked up at once.
const LOOKED_UP: usize = 512;

/// A digest that is to be written, with the news it tells of.
#[derive(Clone, Debug)]
pub struct DigestDraft {
    pub draft: Draft,
    news: Vec<OutboxId>,
}

/// The digest for `person`, if something came too late that they may still see and want mail about.
pub fn draft(
    db: &mut DbConnection,
    letterhead: &Letterhead,
    person: PersonId,
    now: UtcTime,
) -> Result<Option<DigestDraft>> {
    let agent = person::by_id(db, person)?;
    let Some(to) = EmailAddress::parse(&agent.address) else { return Ok(None) };
    if !is_wanted_by(&agent) || letterhead.is_ours(&to, &mailboxes::canonical_addresses(db)?) {
        return Ok(None);
    }
    let news = folding::late_news(db, person, now)?;
    let counted = by_ticket(&news);
    let seen = seen_by(db, person, counted.iter().map(|(ticket, _)| *ticket))?;
    let told: Vec<(TicketId, i64)> = counted.into_iter().filter(|(ticket, _)| seen.contains(ticket)).collect();
    let Some(token) = unsubscribe_token::mint(&letterhead.keys, &agent.handle).filter(|_| !told.is_empty()) else {
        return Ok(None);
    };
    let t = Texts::new(agent.language.0, agent.zone());
    let mut lines = Vec::new();
    for (id, count) in told.iter().take(TICKETS) {
        let ticket = ticket::by_id(db, *id)?;
        lines.push(DigestLine {
            title: format!("[{}] {}", ticket.reference, subject_or_none(&t, &ticket.subject)),
            news: t.count("mail-digest-news", *count),
            link: letterhead.link(&format!("/tickets/{}", ticket.reference)),
        });
    }
    let more = told.len() - lines.len();
    let operator = settings::operator_name(db)?;
    let words = Digest {
        subject: t.count("mail-digest-subject", told.len() as i64),
        lines,
        more: (more > 0).then(|| (t.count("mail-digest-more", more as i64), letterhead.link("/tickets"))),
        unsubscribe: letterhead.link(&format!("/l/unsubscribe/{token}")),
        unsubscribe_token: token,
        t,
    };
    let draft = Draft {
        kind: Kind::Notification,
        content: Content::Digest(Box::new(words)),
        is_unanswerable: true,
        to,
        person: Some(person),
        from_name: operator,
        mailbox: mailboxes::default(db)?,
        instance: instance(db, now)?,
        conversation: None,
        organisation: None,
        language: agent.language.0,
        expires_at: now.plus(Kind::Notification.lifetime()),
        now,
    };
    // What they may not see now stands in none, and is told if they may again while it is news.
    let news = news.into_iter().filter(|news| seen.contains(&news.ticket)).map(|news| news.id);
    Ok(Some(DigestDraft { draft, news: news.collect() }))
}

/// Puts the written digest into the outbox, and notes which news stand in it.
pub fn post_digest(db: &mut DbConnection, digest: &DigestDraft, written: &Finished, now: UtcTime) -> Result<()> {
    post(db, std::slice::from_ref(written), now)?;
    folding::fold(db, &digest.news, written.mail_id())
}

/// Whether a digest that waited, up to a day, may not be sent as it was written: its reader may no longer see one of the
/// tickets in it, reads mail elsewhere, or wants none. Its news are for another one then.
pub fn is_outdated(db: &mut DbConnection, letter: &Letter, reader: PersonId) -> Result<bool> {
    let agent = person::by_id(db, reader)?;
    let is_theirs = EmailAddress::parse(&agent.address).is_some_and(|address| address.as_str() == letter.recipient);
    if !is_theirs || !is_wanted_by(&agent) {
        return Ok(true);
    }
    let tickets = folding::tickets_in(db, letter.id)?;
    Ok(seen_by(db, reader, tickets.iter().copied())?.len() < tickets.len())
}

fn is_wanted_by(agent: &Person) -> bool {
    agent.state == PersonState::Active && agent.mailed_about_tickets && agent.address_suppressed_at.is_none()
}

/// Those of the tickets that `person` may work on now.
fn seen_by(
    db: &mut DbConnection,
    person: PersonId,
    tickets: impl Iterator<Item = TicketId>,
) -> Result<BTreeSet<TicketId>> {
    let actor = access::actor_of(db, person)?;
    let tickets: Vec<i64> = tickets.map(|ticket| ticket.0).collect();
    let mut seen = BTreeSet::new();
    if actor.is_staff() {
        for some in tickets.chunks(LOOKED_UP) {
            let visible = access::visible_to(&actor).filter(one_of(tickets::id, some.iter().copied()));
            seen.extend(visible.select(tickets::id).load::<TicketId>(db)?);
        }
    }
    Ok(seen)
}

/// How many news there are of each ticket, in the order in which they came.
fn by_ticket(news: &[LateNews]) -> Vec<(TicketId, i64)> {
    let mut counts: Vec<(TicketId, i64)> = Vec::new();
    let mut places: HashMap<TicketId, usize> = HashMap::new();
    for news in news {
        let place = *places.entry(news.ticket).or_insert(counts.len());
        match counts.get_mut(place) {
            Some((_, count)) => *count += 1,
            None => counts.push((news.ticket, 1)),
        }
    }
    counts
}
