//! Registration of a legal entity with one contact person (E1). Nothing is created before the mailbox is proven: until
//! then the form waits with its one-time token, and goes with it.

use serde::{Deserialize, Serialize};

use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::error::{Error, FieldErrors, Result};
use crate::i18n::Locale;
use crate::mail::address::EmailAddress;
use crate::people::memberships::{self, Rights};
use crate::people::notices::{self, Notice};
use crate::people::one_time_tokens::{self, Purpose};
use crate::people::organisations::{self, Contract, Information, OrganisationKind};
use crate::people::passwords::{self, StoredHash};
use crate::people::person::{self, NewPerson, Origin, Person, PersonState};
use crate::people::sessions::{Limits, Place};
use crate::people::sign_in::{self, SignedIn};
use crate::people::{addresses, fields, staff};

/// The form as typed. The first five are mandatory, the rest may be left out and change nothing (E1).
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RegistrationForm {
    pub legal_name: String,
    pub first_name: String,
    pub last_name: String,
    pub email: String,
    pub telephone: String,
    pub address_lines: String,
    pub postal_code: String,
    pub city: String,
    pub country: String,
    pub vat_number: String,
    pub time_zone: String,
}

/// A registration without faults, waiting for its mailbox to be proven.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    pub legal_name: String,
    pub first_name: String,
    pub last_name: String,
    pub address: EmailAddress,
    pub telephone: String,
    pub address_lines: String,
    pub postal_code: String,
    pub city: String,
    pub country: String,
    pub vat_number: String,
    pub time_zone: String,
    /// The language the form was filled in.
    language: String,
}

impl RegistrationForm {
    /// Everything that is wrong with the form, or the registration.
    pub fn check(&self, language: Locale) -> Result<Registration> {
        let mut errors = FieldErrors::default();
        let legal_name = fields::mandatory_line(&mut errors, "legal_name", &self.legal_name, fields::NAME_LENGTH);
        let first_name = fields::mandatory_line(&mut errors, "first_name", &self.first_name, fields::NAME_LENGTH);
        let last_name = fields::mandatory_line(&mut errors, "last_name", &self.last_name, fields::NAME_LENGTH);
        let address = EmailAddress::of_somebody(self.email.trim());
        if self.email.trim().is_empty() {
            errors.add("email", "error-mandatory");
        } else if address.is_none() {
            errors.add("email", "error-address");
        }
        let telephone = fields::telephone(&mut errors, "telephone", &self.telephone);
        if telephone.is_empty() {
            errors.add("telephone", "error-mandatory");
        }
        let given = Information {
            address_lines: self.address_lines.clone(),
            postal_code: self.postal_code.clone(),
            city: self.city.clone(),
            country: self.country.clone(),
            vat_number: self.vat_number.clone(),
            ..Information::named(&legal_name, language)
        };
        // The name is judged above, under its own field.
        let mut of_information = FieldErrors::default();
        let information = given.check(&mut of_information);
        for (field, message) in of_information.iter().filter(|(field, _)| *field != "name") {
            errors.add(field, message.clone());
        }
        errors.into_result()?;
        let address = address.ok_or_else(|| Error::invalid("email", "error-address"))?;
        Ok(Registration {
            legal_name,
            first_name,
            last_name,
            address,
            telephone,
            address_lines: information.address_lines,
            postal_code: information.postal_code,
            city: information.city,
            country: information.country,
            vat_number: information.vat_number,
            time_zone: self.time_zone.clone(),
            language: language.code().to_owned(),
        })
    }
}

impl Registration {
    /// The language the form was filled in.
    pub fn locale(&self) -> Locale {
        Locale::parse(&self.language).unwrap_or_default()
    }

    fn information(&self) -> Information {
        Information {
            address_lines: self.address_lines.clone(),
            postal_code: self.postal_code.clone(),
            city: self.city.clone(),
            country: self.country.clone(),
            vat_number: self.vat_number.clone(),
            telephone: self.telephone.clone(),
            colleagues_see_tickets: true,
            ..Information::named(&self.legal_name, self.locale())
        }
    }
}

/// Takes a registration: a mail goes to the address, which says the same on the screen whether it is known or not (U-02).
pub fn request(db: &mut DbConnection, registration: &Registration, place: &Place, now: UtcTime) -> Result<()> {
    sign_in::count_mail(db, place, now)?;
    notices::send(db, &Notice::Registration { registration: Box::new(registration.clone()) }, now)
}

/// What the page behind a confirmation link asks.
#[derive(Clone, Debug)]
pub struct Pending {
    pub registration: Registration,
    /// Whether a password is to be chosen: not by somebody who has one.
    pub needs_password: bool,
}

/// Looks at a confirmation link without using it.
pub fn find(db: &mut DbConnection, token: &str, now: UtcTime) -> Result<Option<Pending>> {
    let Some(found) = one_time_tokens::find::<Registration>(db, Purpose::Registration, token, now)? else {
        return Ok(None);
    };
    let registration = found.payload;
    let needs_password = match person::find_by_address(db, &registration.address)? {
        Some(person) => passwords::changed_at(db, person.id)?.is_none(),
        None => true,
    };
    Ok(Some(Pending { registration, needs_password }))
}

/// How a confirmation ended.
pub enum Completed {
    /// With a new account: they are signed in.
    SignedIn(SignedIn),
    /// They have an account already, and sign in to it.
    KnownPerson,
}

/// Uses a confirmation link: the organisation, as a prospect, with its contact. `hash` is the new password, where one was
/// asked for.
pub fn complete(
    db: &mut DbConnection,
    token: &str,
    hash: Option<&StoredHash>,
    place: &Place,
    limits: &Limits,
    now: UtcTime,
) -> Result<Option<Completed>> {
    let Some(used) = one_time_tokens::consume::<Registration>(db, Purpose::Registration, token, now)? else {
        return Ok(None);
    };
    let registration = used.payload;
    let known = person::find_by_address(db, &registration.address)?;
    if known.as_ref().is_some_and(|person| person.state != PersonState::Active) {
        return Ok(None);
    }
    let has_password = match &known {
        Some(person) => passwords::changed_at(db, person.id)?.is_some(),
        None => false,
    };
    let hash = match (has_password, hash) {
        (false, None) => return Err(Error::invalid("password", "error-mandatory")),
        (false, hash) => hash,
        (true, _) => None,
    };
    let organisation =
        organisations::create(db, &registration.information(), Contract::NONE, known.as_ref().map(|p| p.id), now)?;
    let person = match known {
        Some(person) => {
            memberships::add(db, person.id, organisation.id, Rights::ALL, Some(person.id), now)?;
            let Registration { first_name, last_name, telephone, .. } = &registration;
            person::complete(db, &person, first_name, last_name, telephone, now)?;
            addresses::confirm(db, person.id, &registration.address, now)?;
            person
        }
        None => create_contact(db, &registration, organisation.id, now)?,
    };
    match hash {
        Some(hash) => {
            passwords::set(db, person.id, hash, now)?;
            let signed_in = sign_in::enter(db, person, "registration", false, place, limits, now)?;
            Ok(Some(Completed::SignedIn(signed_in)))
        }
        None => Ok(Some(Completed::KnownPerson)),
    }
}

/// Whether somebody who registers needs no registration: staff, and who belongs to a company already.
pub(super) fn is_registered(db: &mut DbConnection, person: &Person) -> Result<bool> {
    let belongings = memberships::belongings(db, person.id)?;
    Ok(belongings.iter().any(|belonging| belonging.kind != OrganisationKind::Individual)
        || staff::is_staff(db, person.id)?)
}

fn create_contact(
    db: &mut DbConnection,
    registration: &Registration,
    organisation: crate::db::types::OrganisationId,
    now: UtcTime,
) -> Result<Person> {
    let new = NewPerson {
        first_name: registration.first_name.clone(),
        last_name: registration.last_name.clone(),
        telephone: registration.telephone.clone(),
        time_zone: registration.time_zone.clone(),
        address_confirmed_at: Some(now),
        ..NewPerson::at(registration.address.clone(), registration.locale(), Origin::Registration)
    };
    person::create(db, &new, Some((organisation, Rights::ALL)), None, now)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complete_form() -> RegistrationForm {
        RegistrationForm {
            legal_name: "Ateliers du Rhône".to_owned(),
            first_name: "Claire".to_owned(),
            last_name: "Lefèvre".to_owned(),
            email: " claire@ateliers.example ".to_owned(),
            telephone: "+33 4 72 00 00 00".to_owned(),
            ..RegistrationForm::default()
        }
    }

    #[test]
    fn e1_each_mandatory_field_is_demanded_and_no_other() {
        assert!(complete_form().check(Locale::Fr).is_ok());
        type Field = fn(&mut RegistrationForm) -> &mut String;
        let emptied: [(&str, Field); 5] = [
            ("legal_name", |form| &mut form.legal_name),
            ("first_name", |form| &mut form.first_name),
            ("last_name", |form| &mut form.last_name),
            ("email", |form| &mut form.email),
            ("telephone", |form| &mut form.telephone),
        ];
        for (name, field) in emptied {
            let mut form = complete_form();
            *field(&mut form) = "  ".to_owned();
            let Err(Error::Invalid(errors)) = form.check(Locale::Fr) else { panic!("{name} may be empty") };
            let found: Vec<_> = errors.iter().map(|(field, message)| (field, message.key)).collect();
            assert_eq!(found, [(name, "error-mandatory")]);
        }
    }

    #[test]
    fn wrong_optional_fields_are_named() {
        let form = RegistrationForm {
            email: "claire@".to_owned(),
            country: "ZZ".to_owned(),
            vat_number: "nonsense".to_owned(),
            ..complete_form()
        };
        let Err(Error::Invalid(errors)) = form.check(Locale::En) else { panic!("accepted") };
        let found: Vec<_> = errors.iter().map(|(field, _)| field).collect();
        assert_eq!(found, ["email", "country", "vat_number"]);
    }
}
