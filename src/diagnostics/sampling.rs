//! Keys with which products ask whether to produce traces at all. A key opens nothing: it tells yes or no, for one
//! organisation. It stands in the address that a product is set up with, for the samplers that ask send nothing else; it
//! is shown once, kept as its hash, and called by the beginning of that.

use diesel::prelude::*;
use serde_json::json;

use crate::audit;
use crate::clock::UtcTime;
use crate::consent::grants;
use crate::db::DbConnection;
use crate::db::schema::sampling_keys;
use crate::db::types::{OrganisationId, PersonId};
use crate::error::{Error, Result};
use crate::i18n::Message;
use crate::secret::{Token, base32_lower, hash_token};

/// What every key begins with, so that a leaked one is recognised.
pub const PREFIX: &str = "smp_";
/// Keys in force that one organisation may have.
pub const MOST: usize = 20;
/// Keys listed at most.
const LISTED: i64 = 200;

/// A key as it is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SamplingKey {
    /// Its public name: the beginning of its hash, of which nobody guesses the key.
    pub name: String,
    pub created_at: UtcTime,
    pub revoked_at: Option<UtcTime>,
}

#[derive(Queryable)]
struct Row {
    id: i64,
    key_hash: Vec<u8>,
    created_at: UtcTime,
    revoked_at: Option<UtcTime>,
}

impl Row {
    fn name(&self) -> String {
        name_of(&self.key_hash)
    }
}

/// Makes a key for products of `organisation`, and gives it, this once, in clear.
pub fn create(db: &mut DbConnection, organisation: OrganisationId, by: PersonId, now: UtcTime) -> Result<Token> {
    let in_force: i64 = sampling_keys::table
        .filter(sampling_keys::organisation_id.eq(organisation))
        .filter(sampling_keys::revoked_at.is_null())
        .count()
        .get_result(db)?;
    if usize::try_from(in_force).is_ok_and(|in_force| in_force >= MOST) {
        return Err(Error::Conflict(Message::new("conflict-too-many-sampling-keys").with("most", MOST)));
    }
    let key = Token::random(PREFIX);
    diesel::insert_into(sampling_keys::table)
        .values((
            sampling_keys::organisation_id.eq(organisation),
            sampling_keys::key_hash.eq(key.hash()),
            sampling_keys::created_at.eq(now),
        ))
        .execute(db)?;
    record(db, "sampling_key_created", organisation, by, &name_of(&key.hash()), now)?;
    Ok(key)
}

/// The keys of an organisation, the newest first, revoked ones too.
pub fn of_organisation(db: &mut DbConnection, organisation: OrganisationId) -> Result<Vec<SamplingKey>> {
    let listed = rows(db, organisation)?.into_iter().map(|row| SamplingKey {
        name: row.name(),
        created_at: row.created_at,
        revoked_at: row.revoked_at,
    });
    Ok(listed.collect())
}

/// Revokes the key of that public name; gives whether there was one in force.
pub fn revoke(
    db: &mut DbConnection,
    organisation: OrganisationId,
    name: &str,
    by: PersonId,
    now: UtcTime,
) -> Result<bool> {
    let found = rows(db, organisation)?.into_iter().find(|row| row.revoked_at.is_none() && row.name() == name);
    let Some(found) = found else { return Ok(false) };
    let in_force = sampling_keys::table.find(found.id).filter(sampling_keys::revoked_at.is_null());
    let revoked = diesel::update(in_force).set(sampling_keys::revoked_at.eq(now)).execute(db)?;
    if revoked > 0 {
        record(db, "sampling_key_revoked", organisation, by, name, now)?;
    }
    Ok(revoked > 0)
}

/// Whether whoever has this key is to produce traces at `now`. A key that is none, or no longer in force, is told no, so
/// that whatever was set up with it stops.
pub fn is_wanted(db: &mut DbConnection, key: &str, now: UtcTime) -> Result<bool> {
    if !key.starts_with(PREFIX) {
        return Ok(false);
    }
    let organisation: Option<OrganisationId> = sampling_keys::table
        .filter(sampling_keys::key_hash.eq(hash_token(key)))
        .filter(sampling_keys::revoked_at.is_null())
        .select(sampling_keys::organisation_id)
        .first(db)
        .optional()?;
    organisation.map_or(Ok(false), |organisation| grants::opens_products(db, organisation, now))
}

fn rows(db: &mut DbConnection, organisation: OrganisationId) -> Result<Vec<Row>> {
    Ok(sampling_keys::table
        .filter(sampling_keys::organisation_id.eq(organisation))
        .order(sampling_keys::id.desc())
        .limit(LISTED)
        .select((sampling_keys::id, sampling_keys::key_hash, sampling_keys::created_at, sampling_keys::revoked_at))
        .load(db)?)
}

fn name_of(hash: &[u8]) -> String {
    base32_lower().encode(&hash[..hash.len().min(10)])
}

fn record(
    db: &mut DbConnection,
    kind: &'static str,
    organisation: OrganisationId,
    by: PersonId,
    name: &str,
    now: UtcTime,
) -> Result<()> {
    let entry = audit::Entry {
        kind,
        actor: Some(by),
        subject: None,
        organisation: Some(organisation),
        detail: json!({ "handle": name }),
    };
    audit::record(db, &entry, now)
}
