//! Doing once what was asked for several times: a key given by the client is claimed in the transaction of what
//! it asks for, and keeps the answer. The same key with another request is refused.

use chrono::TimeDelta;
use diesel::prelude::*;

use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::dialect::on_each_backend;
use crate::db::one_text::one_text;
use crate::db::schema::idempotency_keys;
use crate::db::types::PersonId;
use crate::error::Result;

/// How long a repeated request is recognised.
const REMEMBERED: TimeDelta = TimeDelta::days(2);
/// The longest key.
pub const LONGEST_KEY: usize = 200;

/// What a key stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// It is new: do it, then [`complete`] it in the same transaction.
    New,
    /// It was done; this was the answer.
    Done { status: i32, body: String },
    /// It was used for another request.
    OtherRequest,
}

/// Claims `key` for `person`, whose request has this digest. Requests with the same key wait for each other.
pub fn claim(db: &mut DbConnection, person: PersonId, key: &str, digest: &[u8], now: UtcTime) -> Result<Claim> {
    let row = (
        idempotency_keys::person_id.eq(person),
        idempotency_keys::idempotency_key.eq(key),
        idempotency_keys::request_digest.eq(digest),
        idempotency_keys::response_status.eq(0),
        idempotency_keys::response_body.eq(""),
        idempotency_keys::created_at.eq(now),
    );
    let inserted = on_each_backend!(db, db => diesel::insert_into(idempotency_keys::table)
        .values(row)
        .on_conflict_do_nothing()
        .execute(db))?;
    if inserted > 0 {
        return Ok(Claim::New);
    }
    let (known, status, body): (Vec<u8>, i32, String) = one_text!(
        idempotency_keys::table
            .filter(idempotency_keys::person_id.eq(person))
            .filter(idempotency_keys::idempotency_key.eq(key))
            .select((
                idempotency_keys::request_digest,
                idempotency_keys::response_status,
                idempotency_keys::response_body
            ))
    )
    .first(db)?;
    Ok(if known == digest { Claim::Done { status, body } } else { Claim::OtherRequest })
}

/// Keeps the answer to the request of a key just claimed.
pub fn complete(db: &mut DbConnection, person: PersonId, key: &str, status: i32, body: &str) -> Result<()> {
    let claimed = idempotency_keys::table
        .filter(idempotency_keys::person_id.eq(person))
        .filter(idempotency_keys::idempotency_key.eq(key));
    let complete = diesel::update(claimed)
        .set((idempotency_keys::response_status.eq(status), idempotency_keys::response_body.eq(body)))
        .returning(idempotency_keys::response_status);
    one_text!(promised complete).load::<i32>(db)?;
    Ok(())
}

/// Gives the key back: what was asked for did not happen, and may be asked for again.
pub fn release(db: &mut DbConnection, person: PersonId, key: &str) -> Result<()> {
    let claimed = idempotency_keys::table
        .filter(idempotency_keys::person_id.eq(person))
        .filter(idempotency_keys::idempotency_key.eq(key));
    diesel::delete(claimed).execute(db)?;
    Ok(())
}

/// Removes keys too old to be repeated.
pub fn forget_old(db: &mut DbConnection, now: UtcTime) -> Result<usize> {
    let old = idempotency_keys::table.filter(idempotency_keys::created_at.lt(now.minus(REMEMBERED)));
    Ok(diesel::delete(old).execute(db)?)
}
