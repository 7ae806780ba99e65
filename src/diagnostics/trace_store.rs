//! Where captures are kept: sealed chunks, the wrapped key of each grant, and how much was captured and dropped. Nothing
//! gets in without the grant being active in that very statement (CN-01), and what is destroyed leaves its certificate
//! and nothing else (CN-10).

use std::collections::{BTreeMap, BTreeSet};

use data_encoding::HEXLOWER;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Integer, Text, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::clock::{Clock, UtcTime};
use crate::consent::life::GrantState;
use crate::consent::receipt;
use crate::consent::scope::Channel;
use crate::consent::{Grant, grants, withdrawing};
use crate::db::prepared_once::prepared_once;
use crate::db::schema::{consent_grants, trace_chunks, trace_counters, trace_keys};
use crate::db::types::{GrantId, Json, OrganisationId};
use crate::db::{DbConnection, dialect};
use crate::diagnostics::reading_record;
use crate::diagnostics::redaction::{Hits, Redacted};
use crate::diagnostics::scrubbing;
use crate::diagnostics::sealing::{GrantKey, NO_TAG, Place, Tag, Wrapped};
use crate::diagnostics::stored;
use crate::error::{Error, Result};
use crate::keys::{Keys, Purpose};

/// Chunks deleted in one transaction at most, so that others may write in between.
const BATCH: i64 = 256;
/// Chunks looked at in one go where only their place in the chain is.
const LINKS: i64 = 1_000;
/// Keys wrapped anew in one transaction at most.
const KEYS: i64 = 100;

/// Redacted records about to be kept.
pub struct NewChunk<'a> {
    pub channel: Channel,
    pub records: &'a [Redacted],
    pub first_at: UtcTime,
    pub last_at: UtcTime,
    /// What was masked in them.
    pub hits: &'a Hits,
}

/// What became of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appended {
    Kept {
        number: i64,
    },
    /// The grant is over: nothing was kept, and nothing more will be.
    Refused,
}

/// Records as they are read back.
#[derive(Clone, Debug, PartialEq)]
pub struct Chunk {
    pub number: i64,
    pub channel: Channel,
    pub first_at: UtcTime,
    pub last_at: UtcTime,
    pub records: Vec<Redacted>,
}

/// What a grant captured, and what not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Records kept.
    pub captured: i64,
    pub dropped: Dropped,
    /// What was masked, by the name of the rule.
    pub masked: BTreeMap<String, u64>,
}

/// Records that were not kept, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    pub full: i64,
    pub budget: i64,
    pub out_of_scope: i64,
    pub late: i64,
}

impl Dropped {
    /// What came to it since it stood at `known`. A grant that became live again counts from nothing.
    pub fn since(&self, known: &Dropped) -> Dropped {
        let since = |now: i64, known: i64| if now < known { now } else { now - known };
        Dropped {
            full: since(self.full, known.full),
            budget: since(self.budget, known.budget),
            out_of_scope: since(self.out_of_scope, known.out_of_scope),
            late: since(self.late, known.late),
        }
    }
}

/// What the column for rules holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Tally {
    rules: BTreeMap<String, u64>,
    sealed_bytes: i64,
    /// The number of the last chunk, so that an end that was cut off shows without counting; nothing where it was not
    /// written down.
    #[serde(default)]
    chunks: Option<i64>,
    /// By what name the certificate will call the key.
    key: String,
}

/// The grant, if it is active at that moment.
macro_rules! active {
    ($grant:expr, $now:expr) => {
        consent_grants::table
            .filter(consent_grants::id.eq($grant))
            .filter(consent_grants::state.eq(GrantState::Active))
            .filter(consent_grants::expires_at.gt($now))
    };
}

/// Locks what is about to be added to, in an order that all processes share (see `consent`), so that none waits for another
/// in a circle: also grants that are over, of which it is still counted what came late.
pub fn hold(db: &mut DbConnection, grants: &BTreeSet<GrantId>) -> Result<()> {
    for grant in grants {
        dialect::hold_grant(db, *grant)?;
    }
    Ok(())
}

/// The key of a grant, made when it is first needed; nothing when the grant is over.
pub fn key(db: &mut DbConnection, keys: &Keys, grant: GrantId, clock: &Clock) -> Result<Option<GrantKey>> {
    if !dialect::hold_active_grant(db, grant)? {
        return Ok(None);
    }
    if let Some(key) = find_key(db, keys, grant)? {
        return Ok(Some(key));
    }
    let key = GrantKey::random();
    let wrapped = key.wrap(keys, grant).map_err(anyhow::Error::new)?;
    let now = clock.now();
    // Another process may make it at the same moment; the first one's counts.
    let made: Result<usize, diesel::result::Error> = db.transaction(|db| insert_key(db, grant, &wrapped, now));
    match made {
        Ok(0) => Ok(None),
        Ok(_) => Ok(Some(key)),
        Err(error) if dialect::is_unique_violation(&error) => find_key(db, keys, grant),
        Err(error) => Err(error.into()),
    }
}

fn insert_key(db: &mut DbConnection, grant: GrantId, wrapped: &Wrapped, now: UtcTime) -> QueryResult<usize> {
    let made = active!(grant, now).select((
        consent_grants::id,
        wrapped.bytes.clone().into_sql::<Binary>(),
        wrapped.wrapping_key.clone().into_sql::<Text>(),
        now.into_sql::<Timestamp>(),
    ));
    let columns = (trace_keys::grant_id, trace_keys::wrapped_key, trace_keys::wrapping_key_id, trace_keys::created_at);
    let count = diesel::insert_into(trace_keys::table).values(made).into_columns(columns).execute(db)?;
    if count > 0 {
        let name = HEXLOWER.encode(&Sha256::digest(&wrapped.bytes)[..8]);
        diesel::insert_into(trace_counters::table)
            .values((
                trace_counters::grant_id.eq(grant),
                trace_counters::captured.eq(0_i64),
                trace_counters::dropped_full.eq(0_i64),
                trace_counters::dropped_budget.eq(0_i64),
                trace_counters::out_of_scope.eq(0_i64),
                trace_counters::late.eq(0_i64),
                trace_counters::redacted.eq(Json(Tally { key: name, chunks: Some(0), ..Tally::default() })),
                trace_counters::updated_at.eq(now),
            ))
            .execute(db)?;
    }
    Ok(count)
}

/// The key of a grant, if anything was ever sealed for it and it was not destroyed.
pub fn find_key(db: &mut DbConnection, keys: &Keys, grant: GrantId) -> Result<Option<GrantKey>> {
    let found: Option<(Vec<u8>, String)> = trace_keys::table
        .find(grant)
        .select((trace_keys::wrapped_key, trace_keys::wrapping_key_id))
        .first(db)
        .optional()?;
    found
        .map(|(bytes, wrapping_key)| {
            let key = GrantKey::unwrap(&Wrapped { bytes, wrapping_key }, keys, grant);
            key.map_err(|error| Error::Internal(anyhow::Error::new(error).context("the key of a capture")))
        })
        .transpose()
}

/// Seals and keeps chunks, as long as the grant is active and its time is not over at the moment of each insert: one
/// statement asks and inserts. The clock is read after the lock was taken, so nothing that waited for a withdrawal is ahead
/// of it. Where the grant turns out to be over, what was kept before stays counted.
pub fn append(
    db: &mut DbConnection,
    organisation: OrganisationId,
    grant: GrantId,
    key: &GrantKey,
    chunks: &[NewChunk<'_>],
    clock: &Clock,
) -> Result<Appended> {
    if !dialect::hold_active_grant(db, grant)? {
        return Ok(Appended::Refused);
    }
    let Some(mut counted) = tally(db, grant)? else { return Ok(Appended::Refused) };
    let (mut last, mut previous_tag) = end_of_chain(db, grant)?.unwrap_or((0, NO_TAG));
    let (mut captured, mut is_over) = (0, false);
    let mut now = clock.now();
    for chunk in chunks {
        now = clock.now();
        let place = Place {
            organisation,
            grant,
            number: last + 1,
            channel: chunk.channel,
            records: i32::try_from(chunk.records.len()).unwrap_or(i32::MAX),
            first_at: chunk.first_at,
            last_at: chunk.last_at,
            previous_tag,
        };
        let Some((tag, length)) = insert(db, key, chunk, &place, now)? else {
            is_over = true;
            break;
        };
        (last, previous_tag) = (place.number, tag);
        captured += i64::from(place.records);
        counted.sealed_bytes += length;
        counted.chunks = Some(last);
        for (rule, count) in chunk.hits.iter() {
            *counted.rules.entry(rule.as_str().to_owned()).or_default() += count;
        }
    }
    let count = diesel::update(trace_counters::table.find(grant))
        .set((
            trace_counters::captured.eq(trace_counters::captured + captured),
            trace_counters::redacted.eq(Json(counted)),
            trace_counters::updated_at.eq(now),
        ))
        .returning(trace_counters::grant_id);
    prepared_once(count).load::<GrantId>(db)?;
    Ok(if is_over { Appended::Refused } else { Appended::Kept { number: last } })
}

/// Seals one chunk at its place and keeps it if the grant is active; gives its tag and how many sealed bytes it has.
fn insert(
    db: &mut DbConnection,
    key: &GrantKey,
    chunk: &NewChunk<'_>,
    place: &Place,
    now: UtcTime,
) -> Result<Option<(Tag, i64)>> {
    let bytes = zeroize::Zeroizing::new(stored::encode(chunk.records));
    let (sealed, tag) = key.seal(&bytes, place).map_err(anyhow::Error::new)?;
    let length = i64::try_from(sealed.len()).unwrap_or(i64::MAX);
    let row = active!(place.grant, now).select((
        consent_grants::organisation_id,
        consent_grants::id,
        place.number.into_sql::<BigInt>(),
        chunk.channel.into_sql::<Text>(),
        sealed.into_sql::<Binary>(),
        tag.to_vec().into_sql::<Binary>(),
        place.previous_tag.to_vec().into_sql::<Binary>(),
        place.records.into_sql::<Integer>(),
        chunk.first_at.into_sql::<Timestamp>(),
        chunk.last_at.into_sql::<Timestamp>(),
        now.into_sql::<Timestamp>(),
    ));
    let columns = (
        trace_chunks::organisation_id,
        trace_chunks::grant_id,
        trace_chunks::number,
        trace_chunks::channel,
        trace_chunks::sealed,
        trace_chunks::tag,
        trace_chunks::previous_tag,
        trace_chunks::records,
        trace_chunks::first_at,
        trace_chunks::last_at,
        trace_chunks::created_at,
    );
    let kept = diesel::insert_into(trace_chunks::table).values(row).into_columns(columns).execute(db)?;
    Ok((kept > 0).then_some((tag, length)))
}

fn tally(db: &mut DbConnection, grant: GrantId) -> Result<Option<Tally>> {
    let found: Option<Json<Tally>> =
        trace_counters::table.find(grant).select(trace_counters::redacted).first(db).optional()?;
    Ok(found.map(|json| json.0))
}

/// How many sealed bytes a grant has come to.
pub fn sealed_bytes(db: &mut DbConnection, grant: GrantId) -> Result<i64> {
    Ok(tally(db, grant)?.map_or(0, |tally| tally.sealed_bytes))
}

fn end_of_chain(db: &mut DbConnection, grant: GrantId) -> Result<Option<(i64, Tag)>> {
    let last: Option<(i64, Vec<u8>)> = trace_chunks::table
        .filter(trace_chunks::grant_id.eq(grant))
        .order(trace_chunks::number.desc())
        .select((trace_chunks::number, trace_chunks::tag))
        .first(db)
        .optional()?;
    last.map(|(number, tag)| Ok((number, as_tag(&tag, number)?))).transpose()
}

/// The number of the last chunk; 0 when there is none.
pub fn last(db: &mut DbConnection, grant: GrantId) -> Result<i64> {
    Ok(end_of_chain(db, grant)?.map_or(0, |(number, _)| number))
}

fn as_tag(bytes: &[u8], number: i64) -> Result<Tag> {
    bytes.try_into().map_err(|_| broken(number))
}

fn broken(number: i64) -> Error {
    Error::internal(format!("the chain of a capture is broken at chunk {number}"))
}

/// Adds to what was not kept.
pub fn count(db: &mut DbConnection, grant: GrantId, dropped: &Dropped, now: UtcTime) -> Result<()> {
    diesel::update(trace_counters::table.find(grant))
        .set((
            trace_counters::dropped_full.eq(trace_counters::dropped_full + dropped.full),
            trace_counters::dropped_budget.eq(trace_counters::dropped_budget + dropped.budget),
            trace_counters::out_of_scope.eq(trace_counters::out_of_scope + dropped.out_of_scope),
            trace_counters::late.eq(trace_counters::late + dropped.late),
            trace_counters::updated_at.eq(now),
        ))
        .execute(db)?;
    Ok(())
}

/// How much was captured, and how much not; zeros before anything was, and after it was destroyed.
pub fn counters(db: &mut DbConnection, grant: GrantId) -> Result<Counters> {
    type Row = (i64, i64, i64, i64, i64, Json<Tally>);
    let found: Option<Row> = trace_counters::table
        .find(grant)
        .select((
            trace_counters::captured,
            trace_counters::dropped_full,
            trace_counters::dropped_budget,
            trace_counters::out_of_scope,
            trace_counters::late,
            trace_counters::redacted,
        ))
        .first(db)
        .optional()?;
    let Some((captured, full, budget, out_of_scope, late, tally)) = found else { return Ok(Counters::default()) };
    Ok(Counters { captured, dropped: Dropped { full, budget, out_of_scope, late }, masked: tally.0.rules })
}

#[derive(Queryable)]
struct Row {
    number: i64,
    channel: Channel,
    sealed: Vec<u8>,
    tag: Vec<u8>,
    previous_tag: Vec<u8>,
    records: i32,
    first_at: UtcTime,
    last_at: UtcTime,
}

/// The next chunks after number `after` (0 is before the first), each checked against the one before it, and the end
/// against where it was written down to be: what this costs depends on `limit` only, and not on how much was captured.
/// Nothing when the key is gone.
pub fn read(db: &mut DbConnection, keys: &Keys, grant: &Grant, after: i64, limit: i64) -> Result<Vec<Chunk>> {
    let Some(key) = find_key(db, keys, grant.id)? else { return Ok(Vec::new()) };
    let of_grant = trace_chunks::table.filter(trace_chunks::grant_id.eq(grant.id));
    let mut previous = match after {
        0 => NO_TAG,
        after => {
            let tag: Option<Vec<u8>> =
                of_grant.filter(trace_chunks::number.eq(after)).select(trace_chunks::tag).first(db).optional()?;
            as_tag(&tag.ok_or_else(|| broken(after))?, after)?
        }
    };
    let rows: Vec<Row> = of_grant
        .filter(trace_chunks::number.gt(after))
        .order(trace_chunks::number)
        .limit(limit)
        .select((
            trace_chunks::number,
            trace_chunks::channel,
            trace_chunks::sealed,
            trace_chunks::tag,
            trace_chunks::previous_tag,
            trace_chunks::records,
            trace_chunks::first_at,
            trace_chunks::last_at,
        ))
        .load(db)?;
    let is_end = i64::try_from(rows.len()).unwrap_or(i64::MAX) < limit;
    let mut chunks = Vec::with_capacity(rows.len());
    for (expected, row) in (after + 1..).zip(rows) {
        let tag = as_tag(&row.tag, row.number)?;
        if row.number != expected || row.previous_tag != previous || row.sealed.last_chunk() != Some(&tag) {
            return Err(broken(expected));
        }
        let place = Place {
            organisation: grant.organisation_id,
            grant: grant.id,
            number: row.number,
            channel: row.channel,
            records: row.records,
            first_at: row.first_at,
            last_at: row.last_at,
            previous_tag: previous,
        };
        let bytes = key.open(&row.sealed, &place).map_err(|_| broken(row.number))?;
        let records = stored::decode(&bytes).ok_or_else(|| broken(row.number))?;
        let (number, channel, first_at, last_at) = (row.number, row.channel, row.first_at, row.last_at);
        chunks.push(Chunk { number, channel, first_at, last_at, records });
        previous = tag;
    }
    if is_end {
        let end = chunks.last().map_or(after, |chunk| chunk.number);
        let told = tally(db, grant.id)?.map_or(Some(0), |tally| tally.chunks);
        if told.is_some_and(|told| told != end) {
            return Err(broken(end + 1));
        }
    }
    Ok(chunks)
}

/// What was captured under a grant is not all there any more.
pub fn not_whole(handle: &str) -> Error {
    Error::internal(format!("the capture of grant {handle} is not whole"))
}

/// How many records the chunks after number `after`, up to number `last`, hold.
pub fn records_between(db: &mut DbConnection, grant: GrantId, after: i64, last: i64) -> Result<i64> {
    let there: Option<i64> = trace_chunks::table
        .filter(trace_chunks::grant_id.eq(grant))
        .filter(trace_chunks::number.gt(after))
        .filter(trace_chunks::number.le(last))
        .select(diesel::dsl::sum(trace_chunks::records))
        .first(db)?;
    Ok(there.unwrap_or(0))
}

/// Checks without any key that every capture there is has all its chunks, each tied to the one before it, and as many
/// records as were counted; gives how many captures. An error names the first grant at fault.
pub fn verify_all(db: &mut DbConnection) -> Result<usize> {
    let grants: Vec<(GrantId, String)> = trace_keys::table
        .inner_join(consent_grants::table.on(consent_grants::id.eq(trace_keys::grant_id)))
        .order(consent_grants::id)
        .select((consent_grants::id, consent_grants::handle))
        .load(db)?;
    let mut whole = 0;
    for (grant, handle) in grants {
        // What is captured meanwhile comes after what is counted now, all of which is there.
        let counted: Option<(i64, Json<Tally>)> = trace_counters::table
            .find(grant)
            .select((trace_counters::captured, trace_counters::redacted))
            .first(db)
            .optional()?;
        let is_whole = match counted {
            Some((captured, tally)) => {
                let told = tally.0.chunks;
                let found = chain(db, grant, told.unwrap_or(i64::MAX))?;
                found.is_some_and(|(chunks, records)| records == captured && told.is_none_or(|told| told == chunks))
            }
            None => false,
        };
        if is_whole {
            whole += 1;
        } else if trace_keys::table.find(grant).count().get_result::<i64>(db)? > 0 {
            return Err(not_whole(&handle));
        }
    }
    Ok(whole)
}

/// The last chunk's number and how many records there are in all, up to number `last`; nothing when a chunk is missing or
/// does not belong where it stands.
fn chain(db: &mut DbConnection, grant: GrantId, last: i64) -> Result<Option<(i64, i64)>> {
    let (mut number, mut records, mut previous) = (0, 0, NO_TAG.to_vec());
    loop {
        let links: Vec<(i64, Vec<u8>, Vec<u8>, i32)> = trace_chunks::table
            .filter(trace_chunks::grant_id.eq(grant))
            .filter(trace_chunks::number.gt(number))
            .filter(trace_chunks::number.le(last))
            .order(trace_chunks::number)
            .limit(LINKS)
            .select((trace_chunks::number, trace_chunks::tag, trace_chunks::previous_tag, trace_chunks::records))
            .load(db)?;
        if links.is_empty() {
            return Ok(Some((number, records)));
        }
        for (next, tag, before, count) in links {
            if next != number + 1 || before != previous {
                return Ok(None);
            }
            (number, records, previous) = (next, records + i64::from(count), tag);
        }
    }
}

/// What stands in a chunk whose content was destroyed.
const NOTHING: &[u8] = &[];

/// What one step of destroying came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destroying {
    /// The key is gone; there is more to do.
    Rows,
    /// The key and what it sealed are gone from the tables, and the files may hold them still: nothing is certified before
    /// they are rid of them.
    Owed,
    /// All of it is gone, and the certificate is given out.
    Done(receipt::Counts),
}

/// One step of destroying what an ended grant captured: first of all its key, then the rows; when the files are rid of them
/// (see `scrubbing`) the certificate. To be called until it is done; a step done twice does no harm.
pub fn destroy(db: &mut DbConnection, keys: &Keys, grant: &Grant, now: UtcTime) -> Result<Destroying> {
    if grant.state != GrantState::Ended {
        return Err(Error::internal("what an active grant captures cannot be destroyed yet"));
    }
    // Who is reading now is done first, and on record before the certificate says who looked last.
    grants::hold(db, grant.id)?;
    let had_key = diesel::delete(trace_keys::table.find(grant.id)).execute(db)? > 0;
    let of_grant = trace_chunks::table.filter(trace_chunks::grant_id.eq(grant.id));
    let first: Option<i64> = of_grant.order(trace_chunks::number).select(trace_chunks::number).first(db).optional()?;
    let last = end_of_chain(db, grant.id)?;
    let mut changed = usize::from(had_key);
    if let (Some(first), Some((last, _))) = (first, last) {
        let until = last.min(first + BATCH);
        changed += diesel::delete(of_grant.filter(trace_chunks::number.lt(until))).execute(db)?;
        // The row of the last chunk stays for the certificate, which names the end of the chain, with nothing in it.
        let full = of_grant.filter(trace_chunks::number.eq(last)).filter(trace_chunks::sealed.ne(NOTHING));
        changed += diesel::update(full).set(trace_chunks::sealed.eq(NOTHING)).execute(db)?;
    }
    if changed > 0 {
        scrubbing::owe(db, now)?;
        return Ok(Destroying::Rows);
    }
    if last.is_some() && scrubbing::owed(db)?.is_some() {
        return Ok(Destroying::Owed);
    }
    let tally = tally(db, grant.id)?;
    let (looks, looks_head) =
        reading_record::end(db, grant.id)?.map_or((0, None), |(number, hash)| (number, Some(hash)));
    let counts = receipt::Counts {
        records: counters(db, grant.id)?.captured,
        chunks: last.map_or(0, |(number, _)| number),
        bytes: tally.as_ref().map_or(0, |tally| tally.sealed_bytes),
        key: tally.map(|tally| tally.key),
        head: last.map(|(_, tag)| HEXLOWER.encode(&tag)),
        looks,
        looks_head,
    };
    diesel::delete(of_grant).execute(db)?;
    diesel::delete(trace_counters::table.find(grant.id)).execute(db)?;
    withdrawing::destroyed(db, keys, grant, &counts, now)?;
    Ok(Destroying::Done(counts))
}

/// Whether all that is left of a capture is the row that its certificate needs.
pub fn is_emptied(db: &mut DbConnection, grant: GrantId) -> Result<bool> {
    if trace_keys::table.find(grant).count().get_result::<i64>(db)? > 0 {
        return Ok(false);
    }
    let of_grant = trace_chunks::table.filter(trace_chunks::grant_id.eq(grant));
    let full = of_grant.filter(trace_chunks::sealed.ne(NOTHING)).select(trace_chunks::number).limit(1);
    Ok(full.first::<i64>(db).optional()?.is_none() && end_of_chain(db, grant)?.is_some())
}

/// Wraps keys anew that are wrapped under an older key of the installation, which is to be forgotten some day; gives how
/// many.
pub fn rewrap(db: &mut DbConnection, keys: &Keys) -> Result<usize> {
    let (generation, _) = keys.active(Purpose::Trace);
    let old: Vec<GrantId> = trace_keys::table
        .filter(trace_keys::wrapping_key_id.ne(generation.to_string()))
        .order(trace_keys::grant_id)
        .limit(KEYS)
        .select(trace_keys::grant_id)
        .load(db)?;
    for grant in &old {
        let Some(key) = find_key(db, keys, *grant)? else { continue };
        let wrapped = key.wrap(keys, *grant).map_err(anyhow::Error::new)?;
        diesel::update(trace_keys::table.find(grant))
            .set((trace_keys::wrapped_key.eq(wrapped.bytes), trace_keys::wrapping_key_id.eq(wrapped.wrapping_key)))
            .execute(db)?;
    }
    Ok(old.len())
}
