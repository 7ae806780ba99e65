//! The smallest desk that takes mail: an operator, an administrator who answers, and a mailbox.

use accord::clock::UtcTime;
use accord::db::DbConnection;
use accord::error::FieldErrors;
use accord::i18n::Locale;
use accord::people::setup::{self, SetupForm};
use accord::people::{passwords, staff};
use accord::secret::Secret;
use accord::teams::defaults;

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
