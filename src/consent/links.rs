//! The two links in mails about consents (U-03b). One opens the sign-in and then the question, as long as the question
//! waits; it grants nothing. The other withdraws, without signing in, as often as it is tried until the grant has ended.

use chrono::TimeDelta;
use diesel::prelude::*;

use crate::clock::UtcTime;
use crate::consent::asking::{self, ConsentRequest};
use crate::db::DbConnection;
use crate::db::schema::consent_links;
use crate::db::types::{ConsentRequestId, PersonId, text_enum};
use crate::error::Result;
use crate::secret::{Token, hash_token};

/// How long a dead link still knows what it was for, so that its page can say what became of it.
const REMEMBERED: TimeDelta = TimeDelta::days(90);

text_enum! {
    /// What a link is for.
    pub enum Opens {
        Question = "question",
        Stop = "stop",
    }
}

/// What stands behind a link.
#[derive(Clone, Debug)]
pub struct Behind {
    pub request: ConsentRequest,
    pub person: PersonId,
    /// Whether it still does what it was made for.
    pub is_alive: bool,
}

/// Makes a link for `person`. Its token is handed out once and stored as a hash.
pub fn create(
    db: &mut DbConnection,
    opens: Opens,
    request: &ConsentRequest,
    person: PersonId,
    until: UtcTime,
    now: UtcTime,
) -> Result<Token> {
    let token = Token::random("");
    diesel::insert_into(consent_links::table)
        .values((
            consent_links::token_hash.eq(token.hash()),
            consent_links::opens.eq(opens),
            consent_links::organisation_id.eq(request.organisation_id),
            consent_links::request_id.eq(request.id),
            consent_links::person_id.eq(person),
            consent_links::created_at.eq(now),
            consent_links::expires_at.eq(until),
        ))
        .execute(db)?;
    Ok(token)
}

/// What the token in somebody's hands is worth.
pub fn find(db: &mut DbConnection, opens: Opens, token: &str, now: UtcTime) -> Result<Option<Behind>> {
    let found: Option<(ConsentRequestId, PersonId, UtcTime)> = consent_links::table
        .filter(consent_links::token_hash.eq(hash_token(token)))
        .filter(consent_links::opens.eq(opens))
        .select((consent_links::request_id, consent_links::person_id, consent_links::expires_at))
        .first(db)
        .optional()?;
    let Some((request, person, until)) = found else { return Ok(None) };
    Ok(Some(Behind { request: asking::by_id(db, request)?, person, is_alive: now < until }))
}

/// Removes links that have long been useless.
pub fn forget_old(db: &mut DbConnection, now: UtcTime) -> Result<usize> {
    let old = consent_links::table.filter(consent_links::expires_at.lt(now.minus(REMEMBERED)));
    Ok(diesel::delete(old).execute(db)?)
}
