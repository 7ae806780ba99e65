//! Who looked at what was captured, when, at what and why. A line is written before anything is shown, and none is ever
//! changed or taken away; whoever agreed reads them all.

use diesel::prelude::*;
use serde::{Deserialize, Serialize};

use crate::clock::UtcTime;
use crate::consent::Grant;
use crate::db::DbConnection;
use crate::db::schema::reading_records;
use crate::db::types::{GrantId, Json, PersonId, text_enum};
use crate::error::Result;

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
    /// The chunk it began in; 0 is the beginning.
    #[serde(default)]
    pub chunk: i64,
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

/// Writes a look down.
pub fn write(db: &mut DbConnection, grant: &Grant, reading: &Reading) -> Result<()> {
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
            reading_records::created_at.eq(reading.at),
        ))
        .execute(db)?;
    Ok(())
}

/// The looks at what a grant captured, the newest first.
pub fn of_grant(db: &mut DbConnection, grant: GrantId, limit: i64) -> Result<Vec<Reading>> {
    type Row = (PersonId, ReaderKind, Action, Json<Detail>, i64, String, UtcTime);
    let rows: Vec<Row> = reading_records::table
        .filter(reading_records::grant_id.eq(grant))
        .order(reading_records::id.desc())
        .limit(limit)
        .select((
            reading_records::reader_id,
            reading_records::reader_kind,
            reading_records::action,
            reading_records::detail,
            reading_records::records,
            reading_records::reason,
            reading_records::created_at,
        ))
        .load(db)?;
    let reading = |(reader, reader_kind, action, Json(detail), records, reason, at): Row| Reading {
        reader,
        reader_kind,
        action,
        detail,
        records,
        reason,
        at,
    };
    Ok(rows.into_iter().map(reading).collect())
}
