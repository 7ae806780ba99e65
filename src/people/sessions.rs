//! Who is signed in where: opaque random tokens in a cookie, kept as hashes (U-04). A session ends by itself, when its
//! person ends it, and at once when the password changes or the person is disabled.

use chrono::TimeDelta;
use diesel::prelude::*;

use crate::clock::UtcTime;
use crate::config::SecurityConfig;
use crate::db::DbConnection;
use crate::db::one_text::one_text;
use crate::db::schema::{people, sessions};
use crate::db::types::{OrganisationId, PersonId, SessionId};
use crate::error::Result;
use crate::people::person::PersonState;
use crate::secret::{Token, random_handle};

/// How long a session lasts whose person asked to be remembered, whether they come or not.
pub const REMEMBERED_DAYS: i64 = 30;
/// How long after a proof (password, mailed link) a change of password or address needs no other (U-05).
const FRESH: TimeDelta = TimeDelta::minutes(5);
/// `last_seen_at` is written at most this often, so that reading pages seldom writes.
const TOUCHED_EVERY: TimeDelta = TimeDelta::minutes(1);
/// Of a browser's name, as much as anybody reads.
const USER_AGENT_CHARACTERS: usize = 300;

/// How long sessions last.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Without a request.
    pub idle: TimeDelta,
    /// In any case.
    pub absolute: TimeDelta,
}

impl From<&SecurityConfig> for Limits {
    fn from(security: &SecurityConfig) -> Self {
        Limits { idle: TimeDelta::hours(security.session_idle_hours), absolute: TimeDelta::days(security.session_days) }
    }
}

/// Somebody signed in, in one browser.
#[derive(Clone, Debug, Queryable)]
pub struct Session {
    pub id: SessionId,
    pub handle: String,
    pub person_id: PersonId,
    pub remembered: bool,
    pub ip_address: String,
    pub user_agent: String,
    /// When the person last proved who they are.
    pub proven_at: UtcTime,
    pub created_at: UtcTime,
    pub last_seen_at: UtcTime,
    pub expires_at: UtcTime,
    /// For which of their organisations the person said to act; it counts while they belong to it.
    pub acting_for: Option<OrganisationId>,
}

impl Session {
    /// Whether the last proof is so recent that a change of password or address needs no other.
    pub fn is_fresh(&self, now: UtcTime) -> bool {
        now.since(self.proven_at) <= FRESH
    }
}

/// Where somebody signs in from, for their own list of sessions.
#[derive(Clone, Debug, Default)]
pub struct Place {
    pub ip_address: String,
    pub user_agent: String,
}

macro_rules! session_columns {
    () => {
        (
            sessions::id,
            sessions::handle,
            sessions::person_id,
            sessions::remembered,
            sessions::ip_address,
            sessions::user_agent,
            sessions::proven_at,
            sessions::created_at,
            sessions::last_seen_at,
            sessions::expires_at,
            sessions::acting_for,
        )
    };
}

/// Begins a session and gives the token for the cookie. The id is always new, whatever the browser presented before.
pub fn begin(
    db: &mut DbConnection,
    person: PersonId,
    remembered: bool,
    place: &Place,
    limits: &Limits,
    now: UtcTime,
) -> Result<Token> {
    let token = Token::random("");
    let lasting = if remembered { TimeDelta::days(REMEMBERED_DAYS) } else { limits.absolute };
    let user_agent: String = place.user_agent.chars().take(USER_AGENT_CHARACTERS).collect();
    diesel::insert_into(sessions::table)
        .values((
            sessions::handle.eq(random_handle()),
            sessions::token_hash.eq(token.hash()),
            sessions::person_id.eq(person),
            sessions::remembered.eq(remembered),
            sessions::ip_address.eq(&place.ip_address),
            sessions::user_agent.eq(user_agent),
            sessions::proven_at.eq(now),
            sessions::created_at.eq(now),
            sessions::last_seen_at.eq(now),
            sessions::expires_at.eq(now.plus(lasting)),
        ))
        .execute(db)?;
    Ok(token)
}

/// The session of that token hash, while it lasts and its person is active.
pub fn find(db: &mut DbConnection, token_hash: &[u8], limits: &Limits, now: UtcTime) -> Result<Option<Session>> {
    let session: Option<Session> = one_text!(
        sessions::table
            .inner_join(people::table)
            .filter(sessions::token_hash.eq(token_hash))
            .filter(sessions::expires_at.gt(now))
            .filter(people::state.eq(PersonState::Active))
            .select(session_columns!())
    )
    .first(db)
    .optional()?;
    Ok(session.filter(|session| lasts(session, limits, now)))
}

/// Whether it is time to note that the session was used.
pub fn is_worth_touching(session: &Session, now: UtcTime) -> bool {
    now.since(session.last_seen_at) >= TOUCHED_EVERY
}

/// Notes that the session was used.
pub fn touch(db: &mut DbConnection, session: SessionId, now: UtcTime) -> Result<()> {
    let touch = diesel::update(sessions::table.find(session)).set(sessions::last_seen_at.eq(now));
    one_text!(promised touch.returning(sessions::id)).load::<SessionId>(db)?;
    Ok(())
}

/// Notes that the person has just proven again who they are.
pub fn note_proof(db: &mut DbConnection, session: SessionId, now: UtcTime) -> Result<()> {
    diesel::update(sessions::table.find(session)).set(sessions::proven_at.eq(now)).execute(db)?;
    Ok(())
}

/// Notes for which organisation the person acts from now on.
pub fn act_for(db: &mut DbConnection, session: SessionId, organisation: Option<OrganisationId>) -> Result<()> {
    diesel::update(sessions::table.find(session)).set(sessions::acting_for.eq(organisation)).execute(db)?;
    Ok(())
}

/// The sessions of `person` that last, the one used last first.
pub fn of_person(db: &mut DbConnection, person: PersonId, limits: &Limits, now: UtcTime) -> Result<Vec<Session>> {
    let sessions: Vec<Session> = sessions::table
        .filter(sessions::person_id.eq(person))
        .filter(sessions::expires_at.gt(now))
        .order((sessions::last_seen_at.desc(), sessions::id.desc()))
        .select(session_columns!())
        .load(db)?;
    Ok(sessions.into_iter().filter(|session| lasts(session, limits, now)).collect())
}

/// Ends the session of that handle, if it is one of `person`'s; gives whether it was.
pub fn end(db: &mut DbConnection, person: PersonId, handle: &str) -> Result<bool> {
    let ended =
        diesel::delete(sessions::table.filter(sessions::handle.eq(handle)).filter(sessions::person_id.eq(person)))
            .execute(db)?;
    Ok(ended > 0)
}

/// Ends the session of that token hash, whoever's it is.
pub fn end_by_token(db: &mut DbConnection, token_hash: &[u8]) -> Result<()> {
    diesel::delete(sessions::table.filter(sessions::token_hash.eq(token_hash))).execute(db)?;
    Ok(())
}

/// Ends every session of `person` but `kept`; gives how many.
pub fn end_others(db: &mut DbConnection, person: PersonId, kept: SessionId) -> Result<usize> {
    Ok(diesel::delete(sessions::table.filter(sessions::person_id.eq(person)).filter(sessions::id.ne(kept)))
        .execute(db)?)
}

/// Ends every session of `person`.
pub fn end_all(db: &mut DbConnection, person: PersonId) -> Result<()> {
    diesel::delete(sessions::table.filter(sessions::person_id.eq(person))).execute(db)?;
    Ok(())
}

/// Whether `person` has a session from that IP address, which makes a sign-in from there less surprising.
pub fn knows_place(db: &mut DbConnection, person: PersonId, ip_address: &str) -> Result<bool> {
    let found: i64 = sessions::table
        .filter(sessions::person_id.eq(person))
        .filter(sessions::ip_address.eq(ip_address))
        .count()
        .get_result(db)?;
    Ok(found > 0)
}

/// Removes sessions that have ended by themselves.
pub fn forget_ended(db: &mut DbConnection, limits: &Limits, now: UtcTime) -> Result<usize> {
    let idle_since = now.minus(limits.idle);
    Ok(diesel::delete(sessions::table.filter(
        sessions::expires_at.le(now).or(sessions::remembered.eq(false).and(sessions::last_seen_at.le(idle_since))),
    ))
    .execute(db)?)
}

fn lasts(session: &Session, limits: &Limits, now: UtcTime) -> bool {
    now < session.expires_at && (session.remembered || now.since(session.last_seen_at) < limits.idle)
}

/// The clock was set back by so much, at least: nobody who was seen after `seen_after` is signed in for longer because of that
/// (FT-06).
pub fn follow_clock_back(db: &mut DbConnection, by: TimeDelta, seen_after: Option<UtcTime>) -> Result<()> {
    let all: Vec<(SessionId, UtcTime, UtcTime, UtcTime)> = sessions::table
        .filter(sessions::last_seen_at.gt(seen_after.unwrap_or(UtcTime::from_seconds(0))))
        .select((sessions::id, sessions::expires_at, sessions::last_seen_at, sessions::proven_at))
        .load(db)?;
    for (id, expires_at, last_seen_at, proven_at) in all {
        diesel::update(sessions::table.find(id))
            .set((
                sessions::expires_at.eq(expires_at.minus(by)),
                sessions::last_seen_at.eq(last_seen_at.minus(by)),
                sessions::proven_at.eq(proven_at.minus(by)),
            ))
            .execute(db)?;
    }
    Ok(())
}
