//! Tokens that leave by mail or on the console and prove, once, that somebody reads there (U-03). Kept as hashes, bound
//! to a purpose and a person, and dead after their time, after use, and when the password or the address changes.

use chrono::TimeDelta;
use diesel::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::one_text::one_text;
use crate::db::schema::one_time_tokens;
use crate::db::types::{PersonId, text_enum};
use crate::error::Result;
use crate::secret::{Token, hash_token};

text_enum! {
    /// What a token is for; one of another purpose is no token.
    pub enum Purpose {
        Setup = "setup",
        SignIn = "sign_in",
        Password = "password",
        Invitation = "invitation",
        Address = "address",
        Registration = "registration",
    }
}

impl Purpose {
    /// How long a token of this purpose may wait. Sign-in by ASVS 6.5.5; a new password gets longer, because mail is
    /// often greylisted for a quarter of an hour; set-up waits at the console of a machine that its administrator is at.
    pub fn lifetime(self) -> TimeDelta {
        match self {
            Purpose::SignIn => TimeDelta::minutes(10),
            Purpose::Password => TimeDelta::minutes(30),
            Purpose::Setup | Purpose::Address | Purpose::Registration => TimeDelta::hours(24),
            Purpose::Invitation => TimeDelta::hours(72),
        }
    }
}

/// A token that was found.
#[derive(Clone, Debug)]
pub struct OneTimeToken<T> {
    /// Whose it is; none where the person does not exist yet.
    pub person: Option<PersonId>,
    /// What was kept with it.
    pub payload: T,
    pub expires_at: UtcTime,
}

/// Makes a token and gives it, this once, in clear.
pub fn issue(
    db: &mut DbConnection,
    purpose: Purpose,
    person: Option<PersonId>,
    payload: &impl Serialize,
    now: UtcTime,
) -> Result<Token> {
    let token = Token::random("");
    one_text!(diesel::insert_into(one_time_tokens::table).values((
        one_time_tokens::token_hash.eq(token.hash()),
        one_time_tokens::purpose.eq(purpose),
        one_time_tokens::person_id.eq(person),
        one_time_tokens::payload.eq(serde_json::to_string(payload).map_err(anyhow::Error::new)?),
        one_time_tokens::created_at.eq(now),
        one_time_tokens::expires_at.eq(now.plus(purpose.lifetime())),
    )))
    .run(db)?;
    Ok(token)
}

/// Looks at a token without using it, for the page with the button that uses it.
pub fn find<T: DeserializeOwned>(
    db: &mut DbConnection,
    purpose: Purpose,
    token: &str,
    now: UtcTime,
) -> Result<Option<OneTimeToken<T>>> {
    if !is_well_formed(token) {
        return Ok(None);
    }
    let row: Option<(Option<PersonId>, String, UtcTime)> = one_time_tokens::table
        .filter(one_time_tokens::token_hash.eq(hash_token(token)))
        .filter(one_time_tokens::purpose.eq(purpose))
        .filter(one_time_tokens::used_at.is_null())
        .filter(one_time_tokens::expires_at.gt(now))
        .select((one_time_tokens::person_id, one_time_tokens::payload, one_time_tokens::expires_at))
        .first(db)
        .optional()?;
    row.map(|(person, payload, expires_at)| {
        let payload = serde_json::from_str(&payload).map_err(anyhow::Error::new)?;
        Ok(OneTimeToken { person, payload, expires_at })
    })
    .transpose()
}

/// Uses a token: of any number who try, one gets it.
pub fn consume<T: DeserializeOwned>(
    db: &mut DbConnection,
    purpose: Purpose,
    token: &str,
    now: UtcTime,
) -> Result<Option<OneTimeToken<T>>> {
    let Some(found) = find(db, purpose, token, now)? else { return Ok(None) };
    let taken = diesel::update(
        one_time_tokens::table
            .filter(one_time_tokens::token_hash.eq(hash_token(token)))
            .filter(one_time_tokens::purpose.eq(purpose))
            .filter(one_time_tokens::used_at.is_null())
            .filter(one_time_tokens::expires_at.gt(now)),
    )
    // What was kept with it has been used up too.
    .set((one_time_tokens::used_at.eq(now), one_time_tokens::payload.eq("null")))
    .execute(db)?;
    Ok((taken == 1).then_some(found))
}

/// Kills every token of `person`.
pub fn kill_all(db: &mut DbConnection, person: PersonId, now: UtcTime) -> Result<()> {
    diesel::update(
        one_time_tokens::table.filter(one_time_tokens::person_id.eq(person)).filter(one_time_tokens::used_at.is_null()),
    )
    .set(one_time_tokens::used_at.eq(now))
    .execute(db)?;
    Ok(())
}

/// Kills every token of that purpose, whoever's.
pub fn kill_purpose(db: &mut DbConnection, purpose: Purpose, now: UtcTime) -> Result<()> {
    diesel::update(
        one_time_tokens::table.filter(one_time_tokens::purpose.eq(purpose)).filter(one_time_tokens::used_at.is_null()),
    )
    .set(one_time_tokens::used_at.eq(now))
    .execute(db)?;
    Ok(())
}

/// Removes tokens that have been dead for a day.
pub fn forget_dead(db: &mut DbConnection, now: UtcTime) -> Result<usize> {
    let yesterday = now.minus(TimeDelta::days(1));
    Ok(diesel::delete(one_time_tokens::table.filter(one_time_tokens::expires_at.lt(yesterday))).execute(db)?)
}

/// What [`Token::random`] makes: 52 characters of lower-case base32. Anything else is not worth a look, and an empty
/// one can match nothing whatever stands in the table (ADV-28).
fn is_well_formed(token: &str) -> bool {
    token.len() == 52 && token.bytes().all(|byte| byte.is_ascii_lowercase() || (b'2'..=b'7').contains(&byte))
}
