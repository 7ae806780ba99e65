//! The smallest desk that takes mail: an operator, an administrator who answers, and a mailbox.

use accord::clock::UtcTime;
use accord::db::connection::{DbConnection, Role, open};
use accord::db::types::PersonId;
use accord::error::FieldErrors;
use accord::i18n::Locale;
use accord::mail::address::EmailAddress;
use accord::people::api_tokens::{self, NewApiToken, Scope};
use accord::people::setup::{self, SetupForm};
use accord::people::{passwords, person, staff};
use accord::secret::Secret;
use accord::teams::defaults;
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::Text;

use super::process::Installation;

/// Where customers write to.
pub const MAILBOX: &str = "aide@desk.example";
/// Who answers.
pub const ADMINISTRATOR: &str = "nora@vendor.example";
pub const PASSWORD: &str = "une-phrase-assez-longue";

/// Sets the desk up, as the page of the first start does.
pub fn set_up(db: &mut DbConnection, now: UtcTime) {
    let form = SetupForm {
        operator_name: "Lumenor".to_owned(),
        first_name: "Nora".to_owned(),
        last_name: "Blin".to_owned(),
        email: ADMINISTRATOR.to_owned(),
        support_address: MAILBOX.to_owned(),
        time_zone: "Europe/Paris".to_owned(),
    };
    let mut errors = FieldErrors::default();
    let setup = form.check(&mut errors, Locale::Fr, now).unwrap();
    let administrator = setup::create_first(db, &setup, now).unwrap();
    defaults::create_defaults(db, &setup.support_address, Locale::Fr, now).unwrap();
    let hash = passwords::hash(&Secret::new(PASSWORD.to_owned())).unwrap();
    passwords::set(db, administrator, &hash, now).unwrap();
    staff::accept_undertaking(db, administrator, now).unwrap();
}

/// What a dead process held is free two minutes later; nobody waits for that here.
pub fn two_minutes_pass(db: &mut DbConnection) {
    for table in ["journal", "outbox", "jobs"] {
        db.batch_execute(&format!(
            "UPDATE {table} SET leased_until = '2001-01-01 00:00:00' WHERE leased_until IS NOT NULL"
        ))
        .unwrap();
    }
}

/// A secret with which mail is handed over by HTTP.
pub fn inbound_secret(db: &mut DbConnection, now: UtcTime) -> String {
    let new =
        NewApiToken { name: "mx".to_owned(), scopes: vec![Scope::Inbound], organisation: None, queue: None, days: 90 };
    let whose = administrator(db);
    let (_, token) = api_tokens::create(db, whose, &new, now).unwrap();
    token.expose().to_owned()
}

/// The administrator's id.
pub fn administrator(db: &mut DbConnection) -> PersonId {
    person::find_by_address(db, &EmailAddress::parse(ADMINISTRATOR).unwrap()).unwrap().unwrap().id
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    integrity_check: String,
}

/// The database holds together. Asked on a connection of its own: one that has looked at the full-text index before
/// remembers its segments, and the check takes what other processes did to them since for damage.
pub fn assert_sound(installation: &Installation) {
    if let DbConnection::Sqlite(mut sqlite) = open(&installation.database_url(), Role::Reader).unwrap() {
        let said: Vec<Line> = diesel::sql_query("PRAGMA integrity_check").load(&mut sqlite).unwrap();
        assert_eq!(said.iter().map(|line| line.integrity_check.as_str()).collect::<Vec<_>>(), ["ok"]);
    }
}
