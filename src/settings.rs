//! What the installation remembers of itself: named values, each written by the capability that owns the name.

use diesel::prelude::*;

use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::dialect::on_each_backend;
use crate::db::one_text::one_text;
use crate::db::schema::settings;
use crate::error::Result;

/// The value of that name, if it was ever set.
pub fn find(db: &mut DbConnection, name: &str) -> Result<Option<String>> {
    Ok(one_text!(settings::table.find(name).select(settings::value)).first(db).optional()?)
}

/// Sets the value of that name.
pub fn put(db: &mut DbConnection, name: &str, value: &str, now: UtcTime) -> Result<()> {
    let row = (settings::name.eq(name), settings::value.eq(value), settings::updated_at.eq(now));
    let change = (settings::value.eq(value), settings::updated_at.eq(now));
    on_each_backend!(db, db => diesel::insert_into(settings::table)
        .values(row)
        .on_conflict(settings::name)
        .do_update()
        .set(change)
        .execute(db))?;
    Ok(())
}

/// The prefix of ticket references (`ACC`), chosen when the installation was set up.
pub fn reference_prefix(db: &mut DbConnection) -> Result<String> {
    Ok(find(db, "reference_prefix")?.unwrap_or_else(|| "ACC".to_owned()))
}

/// The operator's name, as mails and pages give it.
pub fn operator_name(db: &mut DbConnection) -> Result<String> {
    Ok(find(db, "operator_name")?.unwrap_or_else(|| "Accord".to_owned()))
}
