//! The digest: one mail that tells an agent in which tickets something happened while mail could not be sent (O-05). Where
//! to look, not what was said, for that may have been answered since.

use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::types::{OutboxId, PersonId, TicketId};
use crate::error::Result;
use crate::i18n::Texts;
use crate::mail::address::EmailAddress;
use crate::notifications::Letterhead;
use crate::notifications::delivery::{Content, Draft, Finished, instance, post};
use crate::notifications::messages::{Digest, DigestLine};
use crate::notifications::recipients::{may_work_on, subject_or_none};
use crate::outbox::Kind;
use crate::outbox::folding::{self, LateNews};
use crate::people::person::{self, PersonState};
use crate::settings;
use crate::teams::mailboxes;
use crate::tickets::ticket;

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
    let is_wanted = agent.state == PersonState::Active && agent.mailed_about_tickets;
    if !is_wanted || letterhead.is_ours(&to, &mailboxes::canonical_addresses(db)?) {
        return Ok(None);
    }
    let news = folding::late_news(db, person, now)?;
    let t = Texts::new(agent.language.0, agent.zone());
    let mut lines = Vec::new();
    for (id, count) in by_ticket(&news) {
        let ticket = ticket::by_id(db, id)?;
        if may_work_on(db, person, &ticket)? {
            lines.push(DigestLine {
                title: format!("[{}] {}", ticket.reference, subject_or_none(&t, &ticket.subject)),
                news: t.count("mail-digest-news", count),
                link: letterhead.link(&format!("/tickets/{}", ticket.reference)),
            });
        }
    }
    if lines.is_empty() {
        return Ok(None);
    }
    let operator = settings::operator_name(db)?;
    let words = Digest { subject: t.count("mail-digest-subject", lines.len() as i64), lines, t };
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
    Ok(Some(DigestDraft { draft, news: news.into_iter().map(|news| news.id).collect() }))
}

/// Puts the written digest into the outbox, and notes which news stand in it.
pub fn post_digest(db: &mut DbConnection, digest: &DigestDraft, written: &Finished, now: UtcTime) -> Result<()> {
    post(db, std::slice::from_ref(written), now)?;
    folding::fold(db, &digest.news, written.mail_id())
}

/// How many news there are of each ticket, in the order in which they came.
fn by_ticket(news: &[LateNews]) -> Vec<(TicketId, i64)> {
    let mut counts: Vec<(TicketId, i64)> = Vec::new();
    for news in news {
        match counts.iter_mut().find(|(ticket, _)| *ticket == news.ticket) {
            Some((_, count)) => *count += 1,
            None => counts.push((news.ticket, 1)),
        }
    }
    counts
}
