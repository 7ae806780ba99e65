//! What the operator calls itself, and what the references of its tickets begin with.

use diesel::prelude::*;
use serde_json::json;

use crate::audit;
use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::schema::{organisations, tickets};
use crate::db::types::PersonId;
use crate::error::{Error, FieldErrors, Result};
use crate::people::{fields, organisations as organisation};
use crate::settings;

/// The operator's settings, as typed or as they stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operator {
    pub name: String,
    pub reference_prefix: String,
}

/// How the settings stand, and whether the prefix may still be changed: references are never rewritten, so only before
/// the first ticket.
pub fn current(db: &mut DbConnection) -> Result<(Operator, bool)> {
    let operator = Operator { name: settings::operator_name(db)?, reference_prefix: settings::reference_prefix(db)? };
    Ok((operator, !has_tickets(db)?))
}

/// Changes the settings, and the name of the operator's organisation with them.
pub fn change(db: &mut DbConnection, typed: &Operator, by: Option<PersonId>, now: UtcTime) -> Result<()> {
    let mut errors = FieldErrors::default();
    let name = fields::mandatory_line(&mut errors, "name", &typed.name, fields::NAME_LENGTH);
    let prefix = typed.reference_prefix.trim().to_ascii_uppercase();
    if !(2..=6).contains(&prefix.len()) || !prefix.bytes().all(|byte| byte.is_ascii_uppercase()) {
        errors.add("reference_prefix", "error-reference-prefix");
    }
    let (before, is_open) = current(db)?;
    if prefix != before.reference_prefix && !is_open {
        errors.add("reference_prefix", "error-reference-prefix-fixed");
    }
    errors.into_result()?;
    settings::put(db, "operator_name", &name, now)?;
    settings::put(db, "reference_prefix", &prefix, now)?;
    if let Some(id) = organisation::find_operator(db)? {
        diesel::update(organisations::table.find(id))
            .set((
                organisations::name.eq(&name),
                organisations::sort_name.eq(fields::sort_name([name.as_str()])),
                organisations::version.eq(organisations::version + 1),
                organisations::updated_at.eq(now),
            ))
            .execute(db)?;
    }
    let entry = audit::Entry {
        kind: "settings_changed",
        actor: by,
        subject: None,
        organisation: None,
        detail: json!({ "name": name != before.name, "reference_prefix": prefix != before.reference_prefix }),
    };
    audit::record(db, &entry, now)
}

fn has_tickets(db: &mut DbConnection) -> Result<bool> {
    let first: Option<i64> = tickets::table.select(tickets::id).first(db).optional().map_err(Error::from)?;
    Ok(first.is_some())
}
