//! The ledger: what must be provable later (sign-ins and their failures, rights, consents, privacy), append-only and
//! hash-chained. A row holds ids and the digest of its detail; the detail itself obeys its own retention and can be
//! destroyed without breaking the chain (G-05).

use diesel::prelude::*;
use sha2::{Digest, Sha256};

use crate::clock::UtcTime;
use crate::db::one_text::one_text;
use crate::db::schema::{audit_details, audit_ledger};
use crate::db::types::{OrganisationId, PersonId};
use crate::db::{DbConnection, dialect};
use crate::error::{Error, Result};

/// Rows read at a time while verifying.
const CHUNK: i64 = 1_000;

/// What happened.
#[derive(Clone, Debug, Default)]
pub struct Entry {
    /// A stable name: `sign_in`, `sign_in_failed`, `role_changed` …
    pub kind: &'static str,
    /// Who did it, if known.
    pub actor: Option<PersonId>,
    /// Whom it concerns, if anybody.
    pub subject: Option<PersonId>,
    pub organisation: Option<OrganisationId>,
    /// More about it, as JSON; no password, token or mail body.
    pub detail: serde_json::Value,
}

/// A row as administrators see it.
#[derive(Clone, Debug, Queryable)]
pub struct Record {
    pub sequence: i64,
    pub at: UtcTime,
    pub kind: String,
    pub actor: Option<PersonId>,
    pub subject: Option<PersonId>,
    pub organisation: Option<OrganisationId>,
}

#[derive(Queryable, Insertable)]
#[diesel(table_name = audit_ledger)]
struct Row {
    sequence: i64,
    at: UtcTime,
    kind: String,
    actor_id: Option<PersonId>,
    subject_id: Option<PersonId>,
    organisation_id: Option<OrganisationId>,
    detail_sha256: Vec<u8>,
    previous_hash: Vec<u8>,
    hash: Vec<u8>,
}

/// Appends `entry` to the chain, in the transaction of what it tells.
pub fn record(db: &mut DbConnection, entry: &Entry, now: UtcTime) -> Result<()> {
    dialect::lock_ledger(db)?;
    let last: Option<(i64, Vec<u8>)> = one_text!(
        audit_ledger::table.order(audit_ledger::sequence.desc()).select((audit_ledger::sequence, audit_ledger::hash))
    )
    .first(db)
    .optional()?;
    let (sequence, previous_hash) = last.map_or((1, vec![0; 32]), |(sequence, hash)| (sequence + 1, hash));
    let detail = entry.detail.to_string();
    let mut row = Row {
        sequence,
        at: now,
        kind: entry.kind.to_owned(),
        actor_id: entry.actor,
        subject_id: entry.subject,
        organisation_id: entry.organisation,
        detail_sha256: Sha256::digest(detail.as_bytes()).to_vec(),
        previous_hash,
        hash: Vec::new(),
    };
    row.hash = hash_of(&row);
    diesel::insert_into(audit_ledger::table).values(&row).execute(db)?;
    one_text!(
        diesel::insert_into(audit_details::table)
            .values((audit_details::sequence.eq(sequence), audit_details::detail.eq(detail)))
    )
    .run(db)?;
    Ok(())
}

/// Checks every row against the one before it, and every detail that is still there against its digest. Gives the
/// number of rows, or an error that names the first row at fault.
pub fn verify(db: &mut DbConnection) -> Result<i64> {
    let mut expected_sequence = 1;
    let mut previous_hash = vec![0; 32];
    loop {
        let rows: Vec<(Row, Option<String>)> = audit_ledger::table
            .left_join(audit_details::table.on(audit_details::sequence.eq(audit_ledger::sequence)))
            .filter(audit_ledger::sequence.ge(expected_sequence))
            .order(audit_ledger::sequence)
            .limit(CHUNK)
            .select((audit_ledger::all_columns, audit_details::detail.nullable()))
            .load(db)?;
        if rows.is_empty() {
            return Ok(expected_sequence - 1);
        }
        for (row, detail) in rows {
            let sound = row.sequence == expected_sequence
                && row.previous_hash == previous_hash
                && row.hash == hash_of(&row)
                && detail.is_none_or(|detail| Sha256::digest(detail.as_bytes()).to_vec() == row.detail_sha256);
            if !sound {
                return Err(Error::internal(format!("the ledger is broken at row {expected_sequence}")));
            }
            expected_sequence += 1;
            previous_hash = row.hash;
        }
    }
}

/// Rows before `before` (or the newest), newest first.
pub fn list(db: &mut DbConnection, before: Option<i64>, limit: i64) -> Result<Vec<(Record, Option<String>)>> {
    let mut query = audit_ledger::table
        .left_join(audit_details::table.on(audit_details::sequence.eq(audit_ledger::sequence)))
        .order(audit_ledger::sequence.desc())
        .limit(limit)
        .select((
            (
                audit_ledger::sequence,
                audit_ledger::at,
                audit_ledger::kind,
                audit_ledger::actor_id,
                audit_ledger::subject_id,
                audit_ledger::organisation_id,
            ),
            audit_details::detail.nullable(),
        ))
        .into_boxed();
    if let Some(before) = before {
        query = query.filter(audit_ledger::sequence.lt(before));
    }
    Ok(query.load(db)?)
}

/// The latest time among the entries that were written last. A clock that is far before it went back.
pub fn newest(db: &mut DbConnection) -> Result<Option<UtcTime>> {
    /// Among so many there is one that was written before the clock went back.
    const LOOKED_AT: i64 = 1_000;
    let times: Vec<UtcTime> =
        audit_ledger::table.order(audit_ledger::sequence.desc()).limit(LOOKED_AT).select(audit_ledger::at).load(db)?;
    Ok(times.into_iter().max())
}

/// Destroys the details of rows of these kinds that are older than `before`; the chain stays whole.
pub fn forget_details(db: &mut DbConnection, kinds: &[&str], before: UtcTime) -> Result<usize> {
    let old = audit_ledger::table
        .filter(audit_ledger::kind.eq_any(kinds))
        .filter(audit_ledger::at.lt(before))
        .select(audit_ledger::sequence);
    Ok(diesel::delete(audit_details::table.filter(audit_details::sequence.eq_any(old))).execute(db)?)
}

fn hash_of(row: &Row) -> Vec<u8> {
    let mut digest = Sha256::new();
    digest.update(row.sequence.to_be_bytes());
    digest.update(row.at.micros().to_be_bytes());
    digest.update((row.kind.len() as u64).to_be_bytes());
    digest.update(row.kind.as_bytes());
    let ids = [row.actor_id.map(|id| id.0), row.subject_id.map(|id| id.0), row.organisation_id.map(|id| id.0)];
    for id in ids {
        digest.update(id.unwrap_or(-1).to_be_bytes());
    }
    digest.update(&row.detail_sha256);
    digest.update(&row.previous_hash);
    digest.finalize().to_vec()
}
