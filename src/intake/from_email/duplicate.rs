//! The same mail, come by another way: the same Message-ID and the same content (J-05). It does nothing again, unless the first
//! one came with less behind it than this one, and could therefore not do what this one may.

use super::Mail;
use crate::db::DbConnection;
use crate::error::Result;
use crate::intake::evidence::Gathered;
use crate::journal;
use crate::journal::outcome::{self, Same};
use crate::mail::authentication::Authentication;
use crate::mail::threading::{Decision, Outcome};
use crate::tickets::following_up;
use crate::tickets::messages::{self, MessageKind, Visibility};
use crate::tickets::ticket::{self, Ticket};

/// What came before.
pub(super) struct Before {
    /// The ticket that the latest of them became part of.
    pub(super) ticket: Ticket,
    all: Vec<Same>,
    /// All of them came with less behind them.
    pub(super) is_weaker: bool,
}

impl Mail<'_> {
    /// The same mail, if it came before.
    pub(super) fn find_before(&self, db: &mut DbConnection) -> Result<Option<Before>> {
        let (id, digest) = (self.reading.mail.message_id.as_deref(), &self.reading.mail.digest);
        let mut all = outcome::find_same_content(db, self.delivery.mailbox, id, digest, self.delivery.id)?;
        if id.is_none() {
            // Without a Message-ID two mails of the same words are two, save where all their bytes are the same.
            let own = (self.delivery.raw_sha256.as_slice(), self.delivery.only_queue);
            all.retain(|same| journal::is_same_bytes((&same.raw_sha256, same.only_queue), own));
        }
        let Some(latest) = all.first() else { return Ok(None) };
        let ticket = ticket::by_id(db, latest.ticket)?;
        // Among so many nobody looks for the one that was the strongest.
        let is_weaker = self.delivery.imported.is_none()
            && all.len() < outcome::SAME
            && all.iter().all(|same| self.has_more_behind_it(same));
        Ok(Some(Before { ticket, all, is_weaker }))
    }

    /// Whether the other reached tickets of one queue alone, and this one reaches others.
    fn reaches_more(&self, same: &Same) -> bool {
        same.only_queue.is_some() && same.only_queue != self.delivery.only_queue
    }

    /// The same, or whether the other's sender was less certain.
    fn has_more_behind_it(&self, same: &Same) -> bool {
        let was = Authentication::from_name(&same.record.authentication);
        self.reaches_more(same) || rank(Some(self.reading.authentication)) > rank(was)
    }

    /// Whether this one says something in a ticket that those before it did not say there: its own evidence counts then. One that
    /// would open a ticket, or be kept for an agent, has been read already; and what only is more certain than before is so in the
    /// ticket where it was in doubt, or whoever has a proven mail could hand it over for another conversation.
    pub(super) fn says_more(
        &self,
        db: &mut DbConnection,
        before: &Before,
        gathered: &Gathered,
        decision: &Decision,
    ) -> Result<bool> {
        let (Outcome::Append | Outcome::AppendAsAgent, Some(ticket)) = (decision.outcome, &gathered.ticket) else {
            return Ok(false);
        };
        let mut belongs_here = before.all.iter().any(|same| self.reaches_more(same));
        for same in &before.all {
            let place = ticket::by_id(db, same.ticket)?;
            if place.id != ticket.id && following_up::latest(db, &place)?.id != ticket.id {
                continue;
            }
            belongs_here = true;
            let said = messages::find_by_ingest(db, same.id)?;
            if said.is_some_and(|said| said.visibility == Visibility::Everyone || said.kind == MessageKind::Note) {
                return Ok(false);
            }
        }
        Ok(belongs_here)
    }
}

fn rank(authentication: Option<Authentication>) -> u8 {
    match authentication {
        // Of what is not told any more nobody can say that it was less.
        Some(Authentication::Pass) | None => 2,
        Some(Authentication::None) => 1,
        Some(Authentication::Fail) => 0,
    }
}
