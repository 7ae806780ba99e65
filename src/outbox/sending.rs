//! Taking a mail for sending and settling how it went: compare-and-set on both databases, so that one worker at a time
//! holds a mail (O-03), with growing pauses (O-04).

use chrono::TimeDelta;
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::Bool;

use super::{Kind, State};
use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::one_text::one_text;
use crate::db::prepared_once::prepared_once;
use crate::db::schema::outbox;
use crate::db::types::{MailboxId, MessageId, OrganisationId, OutboxId, PersonId, TicketId};
use crate::error::Result;
use crate::secret::random_bytes;

/// How long a worker may take before another may send the same bytes (O-03).
const LEASE: TimeDelta = TimeDelta::seconds(120);
/// Panics before a mail is given up (O-08).
const STRIKES: i32 = 3;
/// No mail waits longer than this from one attempt to the next, while the program runs.
const LONGEST_PAUSE: TimeDelta = TimeDelta::hours(6);
/// Due mails looked at in one go.
const CANDIDATES: i64 = 16;

/// A mail that is due.
#[derive(Clone, Debug, Queryable)]
pub struct Candidate {
    pub id: OutboxId,
    pub organisation: Option<OrganisationId>,
    pub recipient: String,
    ticket: Option<TicketId>,
    /// The mailbox it leaves from.
    pub mailbox: Option<MailboxId>,
}

impl Candidate {
    /// What stands after the `@`.
    pub fn domain(&self) -> &str {
        self.recipient.rsplit_once('@').map_or("", |(_, domain)| domain)
    }
}

/// A mail that a worker holds.
#[derive(Clone, Debug, Queryable)]
pub struct Letter {
    pub id: OutboxId,
    pub kind: Kind,
    pub organisation: Option<OrganisationId>,
    pub ticket: Option<TicketId>,
    pub message: Option<MessageId>,
    pub person: Option<PersonId>,
    pub recipient: String,
    pub envelope_from: String,
    pub mail_id: String,
    pub mime: Option<Vec<u8>>,
    pub attempts: i32,
    pub strikes: i32,
    pub expires_at: UtcTime,
    pub created_at: UtcTime,
    /// Since when it was to be sent.
    pub due_at: UtcTime,
}

impl Letter {
    /// Whether its time is over, and everybody who would have sent it had the chance to.
    pub fn is_over(&self, now: UtcTime) -> bool {
        self.expires_at <= now && !self.was_kept_waiting(now)
    }

    /// Whether it was to be sent while its time was not over, and nobody was there to do it. What it says is as good as ever,
    /// unless it was good for a time of its own, as links are.
    fn was_kept_waiting(&self, now: UtcTime) -> bool {
        let is_for_long = matches!(self.kind, Kind::Reply | Kind::Acknowledgement);
        let stood_still = now.since(self.due_at) > LONGEST_PAUSE;
        is_for_long
            && stood_still
            && self.due_at < self.expires_at
            && self.expires_at >= self.created_at.plus(self.kind.lifetime())
    }
}

/// How an attempt went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sending {
    Sent,
    /// The relay said: later (4xx).
    Deferred(String),
    /// The relay said: never (5xx).
    Refused(String),
    /// The relay did not answer, or not as it should; it may be tried again then. No fault of the mail's.
    RelayDown {
        error: String,
        retry_at: UtcTime,
    },
    /// The code panicked over this mail.
    Panicked,
    /// Its time was over before it was sent.
    Expired,
    /// What it says is not for its reader any more.
    Outdated,
}

/// What that means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    Sent,
    WillBeTriedAgain,
    /// It did not arrive: somebody should know.
    Dead,
    /// It did not arrive, and need not any more.
    Suppressed,
    /// Another worker had taken it over.
    NotOurs,
}

/// Whose mail can go now, while some relays are left alone: mails of these mailboxes, and perhaps those of none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reachable {
    pub mailboxes: Vec<MailboxId>,
    pub of_none: bool,
}

/// Mails that are due and free, those of the organisation after `last` first, so that each gets its turn (O-07). Mails of
/// no organisation, by which people sign in, come before all others. With `only`, those whose relay takes mail: what waits
/// for another is not in their way.
pub fn candidates(
    db: &mut DbConnection,
    last: Option<OrganisationId>,
    only: Option<&Reachable>,
    now: UtcTime,
) -> Result<Vec<Candidate>> {
    let due = || {
        outbox::table
            .filter(is_open())
            .filter(outbox::next_at.le(now))
            .filter(outbox::leased_until.is_null().or(outbox::leased_until.lt(now)))
            .limit(CANDIDATES)
            .select((outbox::id, outbox::organisation_id, outbox::recipient, outbox::ticket_id, outbox::mailbox_id))
    };
    let in_turn = (outbox::organisation_id, outbox::next_at, outbox::id);
    // A macro, for each of the queries is of a type of its own.
    macro_rules! found {
        ($query:expr) => {{
            let query = $query.order(in_turn);
            match only {
                None => prepared_once(query).load::<Candidate>(db)?,
                Some(Reachable { mailboxes, of_none: true }) => query
                    .filter(outbox::mailbox_id.eq_any(mailboxes.clone()).or(outbox::mailbox_id.is_null()))
                    .load::<Candidate>(db)?,
                Some(Reachable { mailboxes, of_none: false }) => {
                    query.filter(outbox::mailbox_id.eq_any(mailboxes.clone())).load::<Candidate>(db)?
                }
            }
        }};
    }
    let mut found = found!(due().filter(outbox::organisation_id.is_null()));
    if let Some(last) = last {
        found.extend(found!(due().filter(outbox::organisation_id.gt(last))));
        found.extend(found!(due().filter(outbox::organisation_id.le(last))));
    } else {
        found.extend(found!(due().filter(outbox::organisation_id.is_not_null())));
    }
    Ok(found)
}

/// Whether an earlier mail of the same ticket to the same recipient is still on its way: then this one waits (O-09).
pub fn must_wait(db: &mut DbConnection, candidate: &Candidate) -> Result<bool> {
    let Some(ticket) = candidate.ticket else { return Ok(false) };
    let earlier = outbox::table
        .filter(outbox::ticket_id.eq(ticket))
        .filter(outbox::recipient.eq(&candidate.recipient))
        .filter(outbox::id.lt(candidate.id))
        .filter(is_open())
        .count();
    Ok(one_text!(promised earlier).get_result::<i64>(db)? > 0)
}

/// Takes mail `id` for `worker`, unless somebody else was faster.
pub fn claim(db: &mut DbConnection, id: OutboxId, worker: &str, now: UtcTime) -> Result<bool> {
    let free = outbox::table
        .find(id)
        .filter(is_open())
        .filter(outbox::next_at.le(now))
        .filter(outbox::leased_until.is_null().or(outbox::leased_until.lt(now)));
    let take = diesel::update(free).set((
        outbox::state.eq(State::Leased),
        outbox::leased_until.eq(now.plus(LEASE)),
        outbox::leased_by.eq(worker),
        outbox::attempts.eq(outbox::attempts + 1),
    ));
    Ok(!one_text!(promised take.returning(outbox::id)).load::<OutboxId>(db)?.is_empty())
}

/// The mail of that id, with its bytes.
pub fn load(db: &mut DbConnection, id: OutboxId) -> Result<Letter> {
    Ok(one_text!(outbox::table.find(id).select((
        outbox::id,
        outbox::kind,
        outbox::organisation_id,
        outbox::ticket_id,
        outbox::message_id,
        outbox::person_id,
        outbox::recipient,
        outbox::envelope_from,
        outbox::mail_id,
        outbox::mime,
        outbox::attempts,
        outbox::strikes,
        outbox::expires_at,
        outbox::created_at,
        outbox::next_at,
    )))
    .first(db)?)
}

/// The program stood still for so long that the time of a mail, which `worker` holds now, was over before anybody could send
/// it: that time does not count, once. Gives the mail as it is then.
pub fn live_on(db: &mut DbConnection, letter: Letter, worker: &str, now: UtcTime) -> Result<Letter> {
    let is_as_made = letter.expires_at == letter.created_at.plus(letter.kind.lifetime());
    if letter.expires_at > now || !letter.was_kept_waiting(now) || !is_as_made {
        return Ok(letter);
    }
    let expires_at = letter.expires_at.plus(now.since(letter.due_at));
    let ours =
        outbox::table.find(letter.id).filter(outbox::state.eq(State::Leased)).filter(outbox::leased_by.eq(worker));
    diesel::update(ours).set(outbox::expires_at.eq(expires_at)).execute(db)?;
    Ok(Letter { expires_at, ..letter })
}

/// Records how the attempt of `worker` went.
pub fn settle(
    db: &mut DbConnection,
    letter: &Letter,
    worker: &str,
    sending: &Sending,
    now: UtcTime,
) -> Result<Settled> {
    let strikes = letter.strikes + i32::from(*sending == Sending::Panicked);
    let later = |at: UtcTime| (State::Deferred, at, Settled::WillBeTriedAgain);
    let (state, next_at, settled) = match sending {
        Sending::Sent => (State::Sent, now, Settled::Sent),
        Sending::Refused(_) => (State::Dead, now, Settled::Dead),
        Sending::Panicked if strikes >= STRIKES => (State::Dead, now, Settled::Dead),
        Sending::Outdated => (State::Suppressed, now, Settled::Suppressed),
        Sending::Expired if letter.kind.dies_quietly() => (State::Suppressed, now, Settled::Suppressed),
        Sending::Expired => (State::Dead, now, Settled::Dead),
        Sending::Panicked | Sending::Deferred(_) => {
            later(now.plus(pause_after(letter.attempts)).min(letter.expires_at))
        }
        // Its turn comes again as before: the relay was at fault, not the mail.
        Sending::RelayDown { retry_at, .. } => (State::Queued, *retry_at, Settled::WillBeTriedAgain),
    };
    let error = match sending {
        Sending::Sent => None,
        Sending::Deferred(error) | Sending::Refused(error) | Sending::RelayDown { error, .. } => Some(error.as_str()),
        Sending::Panicked => Some("sending this mail panicked"),
        Sending::Expired => Some("its time was over before it could be sent"),
        Sending::Outdated => Some("what it says is not for its reader any more"),
    };
    let error: Option<String> = error.map(|error| error.chars().take(500).collect());
    let attempts = letter.attempts - i32::from(matches!(sending, Sending::RelayDown { .. }));
    let ours =
        outbox::table.find(letter.id).filter(outbox::state.eq(State::Leased)).filter(outbox::leased_by.eq(worker));
    let outcome = (
        outbox::state.eq(state),
        outbox::attempts.eq(attempts),
        outbox::strikes.eq(strikes),
        outbox::next_at.eq(next_at),
        outbox::leased_until.eq(None::<UtcTime>),
        outbox::last_error.eq(error),
        outbox::sent_at.eq((settled == Settled::Sent).then_some(now)),
    );
    let changed: Vec<OutboxId> = if matches!(settled, Settled::Sent | Settled::Suppressed) {
        // Nothing will send it again, and some of these bytes sign people in. With the outcome, for each change of the row
        // writes all of it.
        let forget = outbox::mime.eq(None::<Vec<u8>>);
        one_text!(promised diesel::update(ours).set((outcome, forget)).returning(outbox::id)).load(db)?
    } else {
        one_text!(promised diesel::update(ours).set(outcome).returning(outbox::id)).load(db)?
    };
    Ok(if changed.is_empty() { Settled::NotOurs } else { settled })
}

/// Frees every mail held by a worker whose name begins with `prefix`: at the start of the only process of a database, or
/// when a process stops.
pub fn free_leases(db: &mut DbConnection, prefix: &str) -> Result<usize> {
    let pattern = format!("{}%", prefix.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_"));
    Ok(diesel::update(
        outbox::table.filter(outbox::state.eq(State::Leased)).filter(outbox::leased_by.like(pattern).escape('\\')),
    )
    .set((outbox::state.eq(State::Queued), outbox::leased_until.eq(None::<UtcTime>)))
    .execute(db)?)
}

/// Written out, so that the indexes over mails on their way serve.
pub(super) fn is_open() -> diesel::expression::SqlLiteral<Bool> {
    sql::<Bool>("state IN ('queued', 'deferred', 'leased')")
}

/// 1 min, 5 min, 15 min, 30 min, 1 h, 2 h, then 4 h, each up to a fifth shorter or longer (O-04).
fn pause_after(attempts: i32) -> TimeDelta {
    let minutes = match attempts {
        ..=1 => 1,
        2 => 5,
        3 => 15,
        4 => 30,
        5 => 60,
        6 => 120,
        _ => 240,
    };
    let thousandths = 800 + i64::from(u16::from_be_bytes(random_bytes::<2>())) * 400 / i64::from(u16::MAX);
    TimeDelta::milliseconds(minutes * 60 * thousandths)
}

/// The clock was set back: what was to be sent at a time that is far away now goes as soon as it would have, and what is in
/// hand is free again when its sender cannot be at it any more (FT-06).
pub fn follow_clock_back(db: &mut DbConnection, now: UtcTime) -> Result<()> {
    let is_far = outbox::created_at.gt(now).or(outbox::next_at.gt(now.plus(LONGEST_PAUSE)));
    diesel::update(outbox::table.filter(is_open()).filter(outbox::next_at.gt(now)).filter(is_far))
        .set(outbox::next_at.eq(now))
        .execute(db)?;
    for kind in [Kind::Reply, Kind::Acknowledgement] {
        let latest = now.plus(kind.lifetime());
        let mails = outbox::table.filter(is_open()).filter(outbox::kind.eq(kind)).filter(outbox::expires_at.gt(latest));
        diesel::update(mails).set(outbox::expires_at.eq(latest)).execute(db)?;
    }
    let latest = now.plus(LEASE);
    let leased = outbox::table.filter(outbox::leased_until.gt(latest));
    diesel::update(leased).set(outbox::leased_until.eq(latest)).execute(db)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn o_04_pauses_grow_to_four_hours_and_differ_by_a_fifth() {
        let expected = [1, 5, 15, 30, 60, 120, 240, 240, 240];
        for (attempt, minutes) in (1..).zip(expected) {
            for _ in 0..200 {
                let pause = pause_after(attempt);
                let (low, high) = (TimeDelta::seconds(minutes * 48), TimeDelta::seconds(minutes * 72));
                assert!(low <= pause && pause <= high, "attempt {attempt}: {pause}");
            }
        }
    }
}
