//! For whom an answer was written: nobody is to read it whom its author did not see beside the ticket. That is who read the
//! ticket when the page was made, not when its button was pressed; so the page's forms carry a mark of who those were.

use data_encoding::BASE64URL_NOPAD;
use diesel::prelude::*;
use serde::{Deserialize, Serialize};

use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::schema::planned_answers;
use crate::db::types::{Json, OrganisationId, PersonId};
use crate::error::Result;
use crate::keys::{Keys, Purpose};
use crate::tickets::participants;
use crate::tickets::planned::{HeldBecause, State, hold_others};
use crate::tickets::ticket::{self, Ticket};

/// What the mark of an audience covers beside it, so that it is good for nothing else.
const LABEL: &[u8] = b"readers";

/// Who reads a ticket.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Audience {
    organisation: Option<OrganisationId>,
    participants: Vec<PersonId>,
    /// Whether colleagues in the organisation do not read it.
    is_private: bool,
}

impl Audience {
    /// Who reads `ticket` now.
    pub fn of(db: &mut DbConnection, ticket: &Ticket) -> Result<Audience> {
        let participants = participants::active(db, ticket)?;
        Ok(Audience {
            organisation: Some(ticket.organisation_id),
            participants: participants.into_iter().map(|participant| participant.person_id).collect(),
            is_private: ticket.is_private,
        })
    }

    /// Whether everybody who reads it `now` did so before; who reads it no more takes nothing away.
    pub fn covers(&self, now: &Audience) -> bool {
        self.organisation == now.organisation
            && now.participants.iter().all(|person| self.participants.contains(person))
            && (now.is_private || !self.is_private)
    }

    /// What a form carries of who read `ticket` when its page was made. It tells nobody who they are.
    pub fn mark(&self, keys: &Keys, ticket: &Ticket) -> Result<String> {
        let told = serde_json::to_vec(self).map_err(anyhow::Error::new)?;
        let reference = ticket.reference.as_bytes();
        Ok(BASE64URL_NOPAD.encode(&keys.mac(Purpose::Form, &[LABEL, reference, &told])))
    }

    fn bears(&self, keys: &Keys, ticket: &Ticket, mark: &str) -> Result<bool> {
        let Ok(mark) = BASE64URL_NOPAD.decode(mark.as_bytes()) else { return Ok(false) };
        let told = serde_json::to_vec(self).map_err(anyhow::Error::new)?;
        Ok(keys.verifies(Purpose::Form, &[LABEL, ticket.reference.as_bytes(), &told], &mark))
    }
}

/// Whether `ticket` is read by those who read it when the page with that [mark](Audience::mark) was made. Nobody else comes
/// to read it before this transaction ends. A page without a mark was made by a version before there were any.
pub fn is_as_seen(db: &mut DbConnection, keys: &Keys, ticket: &Ticket, mark: &str) -> Result<bool> {
    if mark.is_empty() {
        return Ok(true);
    }
    ticket::lock(db, ticket.id)?;
    let ticket = ticket::by_id(db, ticket.id)?;
    Audience::of(db, &ticket)?.bears(keys, &ticket, mark)
}

/// `by` let others read the ticket: what colleagues have waiting is held, and what they have themselves is for those, too.
pub fn has_grown(db: &mut DbConnection, ticket: &Ticket, by: Option<PersonId>, now: UtcTime) -> Result<()> {
    hold_others(db, ticket, by, HeldBecause::OtherReaders, now)?;
    let Some(author) = by else { return Ok(()) };
    let audience = Audience::of(db, ticket)?;
    diesel::update(planned_answers::table.filter(planned_answers::ticket_id.eq(ticket.id)))
        .filter(planned_answers::state.eq(State::Waiting))
        .filter(planned_answers::author_id.eq(author))
        .set(planned_answers::audience.eq(Json(audience)))
        .execute(db)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_audience_covers_a_smaller_one_and_none_with_somebody_new() {
        let of = |organisation, participants: &[i64], is_private| Audience {
            organisation: Some(OrganisationId(organisation)),
            participants: participants.iter().copied().map(PersonId).collect(),
            is_private,
        };
        let written_for = of(1, &[7, 8], true);
        assert!(written_for.covers(&of(1, &[8, 7], true)) && written_for.covers(&of(1, &[7], true)));
        assert!(!written_for.covers(&of(1, &[7, 9], true)), "somebody new");
        assert!(!written_for.covers(&of(2, &[7, 8], true)), "another organisation");
        assert!(!written_for.covers(&of(1, &[7, 8], false)), "colleagues");
        assert!(of(1, &[7], false).covers(&of(1, &[7], true)));
        assert!(!Audience::default().covers(&of(1, &[7], true)), "one from before");
    }
}
