//! Sessions: a random token in the browser's cookie, its hash here (U-04). A session ends when nothing was asked for a
//! while, when its days are over, when it is ended by hand, and when the person is disabled.

use chrono::TimeDelta;
use diesel::prelude::*;

use crate::clock::UtcTime;
use crate::config::SecurityConfig;
use crate::db::DbConnection;
use crate::db::schema::{people, sessions};
use crate::db::types::{PersonId, SessionId};
use crate::error::{Error, Result};
use crate::people::person::PersonState;
use crate::secret::{Token, random_handle};

/// How long a remembered session lasts, if it is used.
pub const REMEMBERED: TimeDelta = TimeDelta::days(30);
/// The last use is written at most this often.
const TOUCHED_EVERY: TimeDelta = TimeDelta::minutes(1);

/// When sessions end, from the settings.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub idle: TimeDelta,
    pub absolute: TimeDelta,
}

impl From<&SecurityConfig> for Limits {
    fn from(config: &SecurityConfig) -> Self {
        Limits { idle: TimeDelta::hours(config.session_idle_hours), absolute: TimeDelta::days(config.session_days) }
    }
}

/// A session that is alive.
#[derive(Clone, Debug, Queryable)]
pub struct Session {
    pub id: SessionId,
    pub handle: String,
    pub person_id: PersonId,
    pub remembered: bool,
    pub ip_address: String,
    pub user_agent: String,
    /// When the person last proved who they are, with a password or a mailed link (U-05).
    pub proven_at: UtcTime,
    pub created_at: UtcTime,
    pub last_seen_at: UtcTime,
}

macro_rules! columns {
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
        )
    };
}

/// Begins a session and gives the token for the cookie.
pub fn begin(
    db: &mut DbConnection,
    person: PersonId,
    remembered: bool,
    from: (&str, &str),
    limits: &Limits,
    now: UtcTime,
) -> Result<Token> {
    let token = Token::random("");
    let (ip_address, user_agent) = from;
    let user_agent: String = user_agent.chars().take(400).collect();
    diesel::insert_into(sessions::table)
        .values((
            sessions::handle.eq(random_handle()),
            sessions::token_hash.eq(token.hash()),
            sessions::person_id.eq(person),
            sessions::remembered.eq(remembered),
            sessions::ip_address.eq(ip_address),
            sessions::user_agent.eq(user_agent),
            sessions::proven_at.eq(now),
            sessions::created_at.eq(now),
            sessions::last_seen_at.eq(now),
            sessions::expires_at.eq(now.plus(if remembered { REMEMBERED } else { limits.absolute })),
        ))
        .execute(db)?;
    Ok(token)
}

/// The living session with that token, of somebody who may sign in.
pub fn find(db: &mut DbConnection, token_hash: &[u8], limits: &Limits, now: UtcTime) -> Result<Option<Session>> {
    let session: Option<Session> = sessions::table
        .inner_join(people::table)
        .filter(sessions::token_hash.eq(token_hash))
        .filter(sessions::expires_at.gt(now))
        .filter(people::state.eq(PersonState::Active))
        .select(columns!())
        .first(db)
        .optional()?;
    Ok(session.filter(|session| session.remembered || now.since(session.last_seen_at) <= limits.idle))
}

/// The living sessions of `person`, the last used first.
pub fn of_person(db: &mut DbConnection, person: PersonId, now: UtcTime) -> Result<Vec<Session>> {
    Ok(sessions::table
        .filter(sessions::person_id.eq(person))
        .filter(sessions::expires_at.gt(now))
        .order((sessions::last_seen_at.desc(), sessions::id.desc()))
        .select(columns!())
        .load(db)?)
}

/// Whether the last use is old enough to be written again.
pub fn is_worth_touching(session: &Session, now: UtcTime) -> bool {
    now.since(session.last_seen_at) >= TOUCHED_EVERY
}

/// The session was used.
pub fn touch(db: &mut DbConnection, id: SessionId, now: UtcTime) -> Result<()> {
    diesel::update(sessions::table.find(id)).set(sessions::last_seen_at.eq(now)).execute(db)?;
    Ok(())
}

/// Ends one session of `person`, by its public name.
pub fn end(db: &mut DbConnection, person: PersonId, handle: &str) -> Result<()> {
    let ended =
        diesel::delete(sessions::table.filter(sessions::person_id.eq(person)).filter(sessions::handle.eq(handle)))
            .execute(db)?;
    if ended == 0 { Err(Error::NotFound) } else { Ok(()) }
}

/// Ends every session of `person`, but the one in use if it is named.
pub fn end_all(db: &mut DbConnection, person: PersonId, but: Option<SessionId>) -> Result<usize> {
    let kept = but.unwrap_or(SessionId(0));
    Ok(diesel::delete(sessions::table.filter(sessions::person_id.eq(person)).filter(sessions::id.ne(kept)))
        .execute(db)?)
}

/// Removes sessions that are over.
pub fn forget_old(db: &mut DbConnection, now: UtcTime) -> Result<usize> {
    Ok(diesel::delete(sessions::table.filter(sessions::expires_at.lt(now))).execute(db)?)
}
