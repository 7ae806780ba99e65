//! Who looked at what was captured, when, at what and why. A line is written before anything is shown, each is hashed with
//! the one before it and known to the ledger, and none is ever changed or taken away; whoever agreed reads them all.

use std::collections::BTreeMap;

use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::access::CustomerActor;
use crate::audit;
use crate::clock::UtcTime;
use crate::consent::register::beginning;
use crate::consent::scope::SubjectKind;
use crate::consent::{Grant, looks};
use crate::db::schema::{audit_details, audit_ledger, consent_grants, reading_records};
use crate::db::types::{GrantId, Json, OrganisationId, PersonId, text_enum};
use crate::db::{DbConnection, dialect};
use crate::error::{Error, Result};
use crate::people::{directory, person};

/// What the ledger calls a look.
const IN_LEDGER: &str = "traces_read";
/// Looks checked in one go.
const CHUNK: i64 = 1_000;

text_enum! {
    /// On whose side somebody looked.
    pub enum ReaderKind {
        Staff = "staff",
        Customer = "customer",
    }
}

text_enum! {
    /// What somebody did.
    pub enum Action {
        View = "view",
        Search = "search",
        Export = "export",
        Live = "live",
        Api = "api",
    }
}

/// What was looked for, and from where on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detail {
    #[serde(default)]
    pub text: String,
    #[serde(default)]
    pub level: String,
    #[serde(default)]
    pub component: String,
    /// The chunk it began in; 0 is the beginning.
    #[serde(default)]
    pub chunk: i64,
    /// In which form it left, or was drawn; empty for the records as they are.
    #[serde(default)]
    pub form: String,
}

/// One look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    pub reader: PersonId,
    pub reader_kind: ReaderKind,
    pub action: Action,
    pub detail: Detail,
    /// How many records were shown.
    pub records: i64,
    pub reason: String,
    pub at: UtcTime,
}

impl Reading {
    /// As it is hashed, and as a bundle carries it.
    fn to_json(&self, grant: &str, reader: &str, number: i64, previous: &str) -> Value {
        json!({
            "grant": grant,
            "number": number,
            "at": self.at.rfc3339(),
            "reader": reader,
            "side": self.reader_kind,
            "action": self.action,
            "detail": self.detail,
            "records": self.records,
            "reason": self.reason,
            "previous": previous,
        })
    }
}

/// Writes a look down: in the chain of its grant, and in the ledger.
pub fn write(db: &mut DbConnection, grant: &Grant, reading: &Reading) -> Result<()> {
    // Whoever else looks waits from here on, so that the chain has one end.
    dialect::lock_ledger(db)?;
    let (number, previous) = end(db, grant.id)?.map_or((1, beginning()), |(number, hash)| (number + 1, hash));
    let reader = person::by_id(db, reading.reader)?.handle;
    let hash = looks::hash_of(&reading.to_json(&grant.handle, &reader, number, &previous));
    diesel::insert_into(reading_records::table)
        .values((
            reading_records::organisation_id.eq(grant.organisation_id),
            reading_records::grant_id.eq(grant.id),
            reading_records::reader_id.eq(reading.reader),
            reading_records::reader_kind.eq(reading.reader_kind),
            reading_records::action.eq(reading.action),
            reading_records::detail.eq(Json(reading.detail.clone())),
            reading_records::records.eq(reading.records),
            reading_records::reason.eq(&reading.reason),
            reading_records::number.eq(number),
            reading_records::previous_hash.eq(previous),
            reading_records::hash.eq(&hash),
            reading_records::created_at.eq(reading.at),
        ))
        .execute(db)?;
    let entry = audit::Entry {
        kind: IN_LEDGER,
        actor: Some(reading.reader),
        subject: grant.subject.person(),
        organisation: Some(grant.organisation_id),
        detail: json!({ "grant": grant.handle, "number": number, "hash": hash }),
    };
    audit::record(db, &entry, reading.at)
}

#[derive(Queryable)]
struct Row {
    reader: PersonId,
    reader_kind: ReaderKind,
    action: Action,
    detail: Json<Detail>,
    records: i64,
    reason: String,
    at: UtcTime,
}

impl From<Row> for Reading {
    fn from(row: Row) -> Reading {
        Reading {
            reader: row.reader,
            reader_kind: row.reader_kind,
            action: row.action,
            detail: row.detail.0,
            records: row.records,
            reason: row.reason,
            at: row.at,
        }
    }
}

macro_rules! reading_columns {
    () => {
        (
            reading_records::reader_id,
            reading_records::reader_kind,
            reading_records::action,
            reading_records::detail,
            reading_records::records,
            reading_records::reason,
            reading_records::created_at,
        )
    };
}

/// The looks at what a grant captured, the newest first.
pub fn of_grant(db: &mut DbConnection, grant: GrantId, limit: i64) -> Result<Vec<Reading>> {
    let rows: Vec<Row> = reading_records::table
        .filter(reading_records::grant_id.eq(grant))
        .order(reading_records::number.desc())
        .limit(limit)
        .select(reading_columns!())
        .load(db)?;
    Ok(rows.into_iter().map(Reading::from).collect())
}

/// The number of the newest look and its hash, if anybody looked.
pub fn end(db: &mut DbConnection, grant: GrantId) -> Result<Option<(i64, String)>> {
    Ok(reading_records::table
        .filter(reading_records::grant_id.eq(grant))
        .order(reading_records::number.desc())
        .select((reading_records::number, reading_records::hash))
        .first(db)
        .optional()?)
}

/// The number of the newest look; 0 when nobody looked.
pub fn newest(db: &mut DbConnection, grant: GrantId) -> Result<i64> {
    Ok(end(db, grant)?.map_or(0, |(number, _)| number))
}

/// The looks at what concerns a customer, the newest first: at their own use, at that of an organisation of theirs, and at
/// what they granted.
pub fn concerning(db: &mut DbConnection, customer: &CustomerActor, limit: i64) -> Result<Vec<(GrantId, Reading)>> {
    let organisations: Vec<OrganisationId> =
        customer.memberships.iter().map(|membership| membership.organisation_id).collect();
    let whole = consent_grants::subject_kind
        .eq(SubjectKind::Organisation)
        .and(consent_grants::organisation_id.eq_any(organisations));
    let grants: Vec<GrantId> = consent_grants::table
        .filter(
            consent_grants::subject_id
                .eq(customer.person)
                .or(whole)
                .or(consent_grants::granted_by.eq(customer.person))
                .or(consent_grants::seconded_by.eq(customer.person)),
        )
        .order(consent_grants::id.desc())
        .limit(limit)
        .select(consent_grants::id)
        .load(db)?;
    let rows: Vec<(GrantId, Row)> = reading_records::table
        .filter(reading_records::grant_id.eq_any(grants))
        .order(reading_records::id.desc())
        .limit(limit)
        .select((reading_records::grant_id, reading_columns!()))
        .load(db)?;
    Ok(rows.into_iter().map(|(grant, row)| (grant, Reading::from(row))).collect())
}

/// The whole chain of a grant, as a bundle of evidence carries it.
pub fn bundled(db: &mut DbConnection, grant: &Grant) -> Result<Value> {
    let mut chained = Vec::new();
    loop {
        let after = i64::try_from(chained.len()).unwrap_or(i64::MAX);
        let links = links(db, &grant.handle, grant.id, after)?;
        if links.is_empty() {
            return Ok(looks::to_json(&grant.handle, &chained));
        }
        chained.extend(links);
    }
}

/// The looks after number `after`, each with its hash as it is stored and the name of whoever looked.
fn links(db: &mut DbConnection, handle: &str, grant: GrantId, after: i64) -> Result<Vec<Value>> {
    let rows: Vec<(i64, String, String, Row)> = reading_records::table
        .filter(reading_records::grant_id.eq(grant))
        .filter(reading_records::number.gt(after))
        .order(reading_records::number)
        .limit(CHUNK)
        .select((reading_records::number, reading_records::previous_hash, reading_records::hash, reading_columns!()))
        .load(db)?;
    let readers: Vec<PersonId> = rows.iter().map(|(_, _, _, row)| row.reader).collect();
    let names: BTreeMap<PersonId, (String, String)> =
        directory::names(db, &readers)?.into_iter().map(|(person, handle, name)| (person, (handle, name))).collect();
    let link = |(number, previous, hash, row): (i64, String, String, Row)| {
        let reading = Reading::from(row);
        let (reader, name) = names.get(&reading.reader).cloned().unwrap_or_default();
        let mut look = reading.to_json(handle, &reader, number, &previous);
        look["hash"] = json!(hash);
        look["name"] = json!(name);
        look
    };
    Ok(rows.into_iter().map(link).collect())
}

/// Checks the chain of every grant, and that the ledger saw each look; gives how many there are. An error names the first
/// grant at fault.
pub fn verify_all(db: &mut DbConnection) -> Result<usize> {
    let grants: Vec<(GrantId, String)> = consent_grants::table
        .order(consent_grants::id)
        .select((consent_grants::id, consent_grants::handle))
        .load(db)?;
    let mut seen: BTreeMap<(String, i64), String> = BTreeMap::new();
    for (id, handle) in grants {
        let mut chained = Vec::new();
        loop {
            let after = i64::try_from(chained.len()).unwrap_or(i64::MAX);
            let links = links(db, &handle, id, after)?;
            if links.is_empty() {
                break;
            }
            chained.extend(links);
        }
        looks::verify(&looks::to_json(&handle, &chained)).map_err(|broken| {
            Error::internal(format!("the looks at grant {handle} are broken at {}: {}", broken.number, broken.why))
        })?;
        for look in chained {
            let hash = look["hash"].as_str().unwrap_or_default().to_owned();
            seen.insert((handle.clone(), look["number"].as_i64().unwrap_or_default()), hash);
        }
    }
    let count = seen.len();
    let told: Vec<String> = audit_ledger::table
        .inner_join(audit_details::table.on(audit_details::sequence.eq(audit_ledger::sequence)))
        .filter(audit_ledger::kind.eq(IN_LEDGER))
        .order(audit_ledger::sequence)
        .select(audit_details::detail)
        .load(db)?;
    for detail in told {
        let detail: Value = serde_json::from_str(&detail).unwrap_or_default();
        let (handle, number) = (detail["grant"].as_str().unwrap_or_default(), detail["number"].as_i64());
        let look = (handle.to_owned(), number.unwrap_or_default());
        if seen.remove(&look).as_deref() != detail["hash"].as_str() {
            return Err(Error::internal(format!("look {} at grant {handle} is not the one the ledger saw", look.1)));
        }
    }
    match seen.into_keys().next() {
        Some((handle, number)) => Err(Error::internal(format!("the ledger never saw look {number} at grant {handle}"))),
        None => Ok(count),
    }
}
