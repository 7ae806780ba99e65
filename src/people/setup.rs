//! The first start: a token printed on the console makes the first administrator, once (U-10). As long as there is one,
//! there is no set-up (ADV-27).

use crate::audit;
use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::types::PersonId;
use crate::error::{Error, FieldErrors, Result};
use crate::i18n::Locale;
use crate::mail::address::EmailAddress;
use crate::people::memberships::Rights;
use crate::people::one_time_tokens::{self, Purpose};
use crate::people::passwords::{self, StoredHash};
use crate::people::person::{self, NewPerson, Origin};
use crate::people::roles::{self, BuiltinRole};
use crate::people::sessions::{Limits, Place};
use crate::people::sign_in::{self, SignedIn};
use crate::people::{fields, organisations, staff};
use crate::secret::Token;
use crate::settings;

/// What is asked at the first start, as typed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SetupForm {
    /// The vendor's name, as customers know it.
    pub operator_name: String,
    pub first_name: String,
    pub last_name: String,
    pub email: String,
    /// Where customers will write to.
    pub support_address: String,
    pub time_zone: String,
}

/// The same without faults.
#[derive(Clone, Debug)]
pub struct Setup {
    operator_name: String,
    administrator: NewPerson,
    /// The address of the first mailbox.
    pub support_address: EmailAddress,
}

impl SetupForm {
    /// Everything that is wrong with the form, or what to set up.
    pub fn check(&self, errors: &mut FieldErrors, language: Locale, now: UtcTime) -> Option<Setup> {
        let operator_name = fields::mandatory_line(errors, "operator_name", &self.operator_name, fields::NAME_LENGTH);
        let first_name = fields::mandatory_line(errors, "first_name", &self.first_name, fields::NAME_LENGTH);
        let last_name = fields::mandatory_line(errors, "last_name", &self.last_name, fields::NAME_LENGTH);
        let address = mandatory_address(errors, "email", &self.email);
        let support_address = mandatory_address(errors, "support_address", &self.support_address);
        if address.is_some() && address == support_address {
            errors.add("support_address", "error-address-of-person");
        }
        let (Some(address), Some(support_address), true) = (address, support_address, errors.is_empty()) else {
            return None;
        };
        let administrator = NewPerson {
            first_name,
            last_name,
            time_zone: self.time_zone.clone(),
            // Whoever reads the console is believed; mail may not even be set up yet.
            address_confirmed_at: Some(now),
            ..NewPerson::at(address, language, Origin::Setup)
        };
        Some(Setup { operator_name, administrator, support_address })
    }
}

/// Whether the installation waits for its first administrator.
pub fn is_needed(db: &mut DbConnection) -> Result<bool> {
    Ok(!staff::has_administrator(db)?)
}

/// Makes the token for the console, if set-up is needed; earlier ones are dead.
pub fn issue_token(db: &mut DbConnection, now: UtcTime) -> Result<Option<Token>> {
    if !is_needed(db)? {
        return Ok(None);
    }
    one_time_tokens::kill_purpose(db, Purpose::Setup, now)?;
    one_time_tokens::issue(db, Purpose::Setup, None, &(), now).map(Some)
}

/// Whether `token` opens the set-up page.
pub fn opens(db: &mut DbConnection, token: &str, now: UtcTime) -> Result<bool> {
    Ok(is_needed(db)? && one_time_tokens::find::<()>(db, Purpose::Setup, token, now)?.is_some())
}

/// Sets the installation up: its name, the operator's organisation, the built-in roles, and the first administrator, who
/// supervises too, so that there is somebody to answer the first ticket.
pub fn complete(
    db: &mut DbConnection,
    token: &str,
    setup: &Setup,
    hash: &StoredHash,
    place: &Place,
    limits: &Limits,
    now: UtcTime,
) -> Result<SignedIn> {
    if !is_needed(db)? || one_time_tokens::consume::<()>(db, Purpose::Setup, token, now)?.is_none() {
        return Err(Error::NotFound);
    }
    let person = create_first(db, setup, now)?;
    passwords::set(db, person, hash, now)?;
    let person = person::by_id(db, person)?;
    sign_in::enter(db, person, "setup", false, place, limits, now)
}

/// The same without a token, for the demo and for tests: whoever calls this is trusted.
pub fn create_first(db: &mut DbConnection, setup: &Setup, now: UtcTime) -> Result<PersonId> {
    let Setup { operator_name, administrator, .. } = setup;
    settings::put(db, "operator_name", operator_name, now)?;
    roles::create_builtin(db, now)?;
    let operator = organisations::create_operator(db, operator_name, administrator.language, now)?;
    let person = person::create(db, administrator, Some((operator, Rights::default())), None, now)?;
    let roles = [roles::builtin(db, BuiltinRole::Administrator)?, roles::builtin(db, BuiltinRole::Supervisor)?];
    staff::set_roles(db, person.id, &roles, None, now)?;
    let entry = audit::Entry { kind: "set_up", subject: Some(person.id), ..audit::Entry::default() };
    audit::record(db, &entry, now)?;
    Ok(person.id)
}

fn mandatory_address(errors: &mut FieldErrors, field: &'static str, text: &str) -> Option<EmailAddress> {
    let address = EmailAddress::of_somebody(text.trim());
    if text.trim().is_empty() {
        errors.add(field, "error-mandatory");
    } else if address.is_none() {
        errors.add(field, "error-address");
    }
    address
}
