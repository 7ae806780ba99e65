//! Taking mail from the journal for processing: one worker at a time holds a mail, for two minutes, and what fails is
//! tried again after a pause, a few times (J-02, J-07).

use chrono::TimeDelta;
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::Bool;

use super::{Imported, Record, State, Way};
use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::one_text::one_text;
use crate::db::schema::journal;
use crate::db::types::{JournalId, Json, MailboxId, QueueId};
use crate::error::Result;
use crate::mail::client::Client;

/// How long a worker may take before another may take the mail over.
const LEASE: TimeDelta = TimeDelta::seconds(120);
/// Attempts before a mail is kept as failed (J-02).
pub const ATTEMPTS: i32 = 5;
/// Panics before a mail is kept as failed: a poison mail must not come back for ever (J-07).
pub const STRIKES: i32 = 3;
/// Due mails looked at in one go; with several workers each finds another among them free.
const CANDIDATES: i64 = 16;
/// How soon a mail is tried again when the machine, not the mail, was the trouble.
const PAUSE_WHEN_BUSY: TimeDelta = TimeDelta::seconds(5);

/// The same when a worker could not even give them back. Five times this is longer than a machine is usually in trouble.
const PAUSE_AFTER_FAILURE: TimeDelta = TimeDelta::seconds(30);

/// A mail that a worker holds.
#[derive(Clone, Debug, Queryable)]
pub struct Delivery {
    pub id: JournalId,
    pub handle: String,
    pub mailbox: MailboxId,
    pub recipient: String,
    pub envelope_from: String,
    pub way: Way,
    /// The bytes, until an outcome is recorded; then they are in storage as `original_hash`.
    pub raw: Option<Vec<u8>>,
    pub raw_sha256: Vec<u8>,
    pub size: i64,
    pub state: State,
    pub attempts: i32,
    pub strikes: i32,
    pub original_hash: Option<String>,
    pub received_at: UtcTime,
    /// The account from which it was fetched.
    pub imap_account: Option<String>,
    /// How it was understood when it was processed before, if it was.
    pub record: Json<Record>,
    pub imported: Option<Imported>,
    /// Whether it may be older than the account's first look.
    pub is_from_before: Option<bool>,
    /// What the way in told of the machine that delivered it; see [`Delivery::client`].
    pub client_address: Option<String>,
    pub client_name: Option<String>,
    /// The one queue whose tickets it reaches ([`NewMail::only_queue`](super::NewMail::only_queue)).
    pub only_queue: Option<QueueId>,
    /// Whether its original was found among the stored files ([`NewMail::is_adopted`](super::NewMail::is_adopted)).
    pub is_adopted: Option<bool>,
}

impl Delivery {
    /// The machine that delivered it, where the way in told.
    pub fn client(&self) -> Option<Client> {
        Client::from_kept(self.client_address.as_deref()?, self.client_name.as_deref().unwrap_or_default())
    }

    /// Whether it may do anything to a ticket that stands in that queue.
    pub fn reaches(&self, queue: QueueId) -> bool {
        self.only_queue.is_none_or(|only| only == queue)
    }
}

/// What stopped the processing of a mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setback {
    /// The machine had no room or no time: counts as no attempt.
    Busy,
    /// A fault that may be gone next time.
    Fault,
    /// The code panicked over this mail.
    Panic,
}

/// Where in the processing it stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Reading,
    Applying,
}

/// The query for waiting mails that are due and free, in the order they came; its type has no name.
macro_rules! due_and_free {
    ($now:expr, $at_most:expr) => {
        journal::table
            .filter(is_waiting())
            .filter(journal::next_at.le($now))
            .filter(journal::leased_until.is_null().or(journal::leased_until.lt($now)))
            .order(journal::id)
            .limit($at_most)
    };
}

/// The waiting mails that are due and free, in the order they came (J-09).
pub fn due(db: &mut DbConnection, now: UtcTime) -> Result<Vec<JournalId>> {
    Ok(one_text!(promised due_and_free!(now, CANDIDATES).select(journal::id)).load(db)?)
}

/// A mail taken, not yet read from the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claimed {
    pub id: JournalId,
    pub bytes: usize,
}

/// Takes the first of the mails that are due and free for `worker`.
pub fn claim_next(db: &mut DbConnection, worker: &str, now: UtcTime) -> Result<Option<Claimed>> {
    Ok(claim_together(db, worker, 1, usize::MAX, now)?.pop())
}

/// Takes mails that are due and free for `worker`, in the order they came: the first, and those after it until there are
/// `at_most` or they weigh more than `bytes` together. What was tried before, and whatever stopped it, is taken alone, so
/// that a mail that ends the process costs those beside it one attempt and no more (J-07).
pub fn claim_together(
    db: &mut DbConnection,
    worker: &str,
    at_most: usize,
    bytes: usize,
    now: UtcTime,
) -> Result<Vec<Claimed>> {
    // What was given back waits for another time than the one at which it came.
    let is_fresh = journal::attempts.eq(0).and(journal::next_at.eq(journal::received_at));
    let looked_at = CANDIDATES.max(i64::try_from(at_most).unwrap_or(CANDIDATES));
    let candidates = due_and_free!(now, looked_at).select((journal::id, journal::size, is_fresh));
    let candidates: Vec<(JournalId, i64, bool)> = one_text!(promised candidates).load(db)?;
    let mut taken: Vec<Claimed> = Vec::new();
    let mut weight = 0_usize;
    for (id, size, is_fresh) in candidates {
        weight = weight.saturating_add(usize::try_from(size).unwrap_or(usize::MAX));
        let is_full = taken.len() >= at_most || weight > bytes || !is_fresh;
        if is_full && !taken.is_empty() {
            break;
        }
        if let Some(bytes) = claim(db, id, worker, now)? {
            taken.push(Claimed { id, bytes });
            if !is_fresh {
                break;
            }
        }
    }
    Ok(taken)
}

/// Takes mail `id` for `worker` and gives how many bytes it has; nothing when somebody else was faster, or when five
/// workers took it and none came back.
pub fn claim(db: &mut DbConnection, id: JournalId, worker: &str, now: UtcTime) -> Result<Option<usize>> {
    let free = || {
        journal::table
            .find(id)
            .filter(is_waiting())
            .filter(journal::leased_until.is_null().or(journal::leased_until.lt(now)))
    };
    let take = diesel::update(free().filter(journal::attempts.lt(ATTEMPTS)))
        .set((
            journal::leased_until.eq(now.plus(LEASE)),
            journal::leased_by.eq(worker),
            journal::attempts.eq(journal::attempts + 1),
        ))
        .returning(journal::size);
    let taken: Option<i64> = one_text!(promised take).get_result(db).optional()?;
    if taken.is_none() {
        one_text!(promised diesel::update(free().filter(journal::attempts.ge(ATTEMPTS))).set((
            journal::state.eq(State::Failed),
            journal::leased_until.eq(None::<UtcTime>),
            journal::last_error.eq("no worker that took it came back"),
            journal::finished_at.eq(now),
        )))
        .run(db)?;
    }
    Ok(taken.map(|size| usize::try_from(size).unwrap_or(usize::MAX)))
}

/// The mail of that id, with its bytes.
pub fn load(db: &mut DbConnection, id: JournalId) -> Result<Delivery> {
    Ok(one_text!(journal::table.find(id).select((
        journal::id,
        journal::handle,
        journal::mailbox_id,
        journal::recipient,
        journal::envelope_from,
        journal::way,
        journal::raw,
        journal::raw_sha256,
        journal::size,
        journal::state,
        journal::attempts,
        journal::strikes,
        journal::original_hash,
        journal::received_at,
        journal::imap_account,
        journal::record,
        journal::imported,
        journal::is_from_before,
        journal::client_address,
        journal::client_name,
        journal::only_queue_id,
        journal::is_adopted,
    )))
    .first(db)?)
}

/// Gives the mail back after a setback: it waits for another try, or is kept as failed. Gives its state then.
pub fn set_back(
    db: &mut DbConnection,
    delivery: &Delivery,
    worker: &str,
    stage: Stage,
    setback: Setback,
    error: &str,
    now: UtcTime,
) -> Result<State> {
    let strikes = delivery.strikes + i32::from(setback == Setback::Panic);
    let last = match setback {
        Setback::Busy => false,
        Setback::Fault => delivery.attempts >= ATTEMPTS,
        Setback::Panic => strikes >= STRIKES || delivery.attempts >= ATTEMPTS,
    };
    let state = match (last, stage) {
        (true, _) => State::Failed,
        (false, Stage::Reading) => State::Accepted,
        (false, Stage::Applying) => State::Parsed,
    };
    let attempts = delivery.attempts - i32::from(setback == Setback::Busy);
    let pause = match setback {
        Setback::Busy => PAUSE_WHEN_BUSY,
        Setback::Fault => pause_after(attempts),
        // What agents see of it must be there within a minute (J-03), so a poison mail is found out quickly.
        Setback::Panic => TimeDelta::seconds(5),
    };
    let error: String = error.chars().take(500).collect();
    diesel::update(journal::table.find(delivery.id).filter(is_waiting()).filter(journal::leased_by.eq(worker)))
        .set((
            journal::state.eq(state),
            journal::attempts.eq(attempts),
            journal::strikes.eq(strikes),
            journal::next_at.eq(now.plus(pause)),
            journal::leased_until.eq(None::<UtcTime>),
            journal::last_error.eq(error),
            journal::finished_at.eq(last.then_some(now)),
        ))
        .execute(db)?;
    Ok(state)
}

/// Frees every mail held by a worker whose name begins with `prefix`: at the start of the only process of a database, or
/// when a process stops. An interrupted attempt still counts.
pub fn free_leases(db: &mut DbConnection, prefix: &str) -> Result<usize> {
    let pattern = format!("{}%", prefix.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_"));
    Ok(diesel::update(journal::table.filter(is_waiting()).filter(journal::leased_by.like(pattern).escape('\\')))
        .set(journal::leased_until.eq(None::<UtcTime>))
        .execute(db)?)
}

/// Frees every mail that `worker` holds after it failed over them; they wait for the pause of a busy machine.
pub fn free_after_failure(db: &mut DbConnection, worker: &str, now: UtcTime) -> Result<usize> {
    Ok(diesel::update(journal::table.filter(is_waiting()).filter(journal::leased_by.eq(worker)))
        .filter(journal::leased_until.is_not_null())
        .set((journal::leased_until.eq(None::<UtcTime>), journal::next_at.eq(now.plus(PAUSE_AFTER_FAILURE))))
        .execute(db)?)
}

/// Written out, so that the index over waiting mails serves.
pub(super) fn is_waiting() -> diesel::expression::SqlLiteral<Bool> {
    sql::<Bool>("state IN ('accepted', 'parsed')")
}

/// 10 s, 1 min, 5 min, 30 min.
fn pause_after(attempts: i32) -> TimeDelta {
    match attempts {
        ..=1 => TimeDelta::seconds(10),
        2 => TimeDelta::minutes(1),
        3 => TimeDelta::minutes(5),
        _ => TimeDelta::minutes(30),
    }
}

/// The clock was set back: mail that was to be read at a time that is far away now is read as soon as it would have been
/// (FT-06).
pub fn follow_clock_back(db: &mut DbConnection, now: UtcTime) -> Result<()> {
    /// No mail waits longer than this from one attempt to the next.
    const LONGEST_PAUSE: TimeDelta = TimeDelta::hours(1);
    let is_far = journal::received_at.gt(now).or(journal::next_at.gt(now.plus(LONGEST_PAUSE)));
    diesel::update(journal::table.filter(journal::next_at.gt(now)).filter(is_far))
        .set(journal::next_at.eq(now))
        .execute(db)?;
    let latest = now.plus(LEASE);
    let leased = journal::table.filter(journal::leased_until.gt(latest));
    diesel::update(leased).set(journal::leased_until.eq(latest)).execute(db)?;
    Ok(())
}
