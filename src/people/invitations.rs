//! Invitations: staff gives somebody an account, or a member who manages an organisation asks somebody to join it. An
//! account begins when the invited person chooses a password; a membership begins when they accept, so that nobody finds
//! themselves in an organisation they did not choose, and the inviter learns nothing about who is known already.

use serde::{Deserialize, Serialize};

use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::types::{OrganisationId, PersonId};
use crate::error::{Error, FieldErrors, Result};
use crate::i18n::Locale;
use crate::mail::address::{EmailAddress, shown_address};
use crate::people::memberships::{self, Membership, Rights};
use crate::people::notices::{self, Notice};
use crate::people::one_time_tokens::{self, Purpose};
use crate::people::passwords::{self, StoredHash};
use crate::people::person::{self, NewPerson, Origin, PersonState};
use crate::people::roles::{self, Permission};
use crate::people::sessions::{Limits, Place};
use crate::people::sign_in::{self, SignedIn};
use crate::people::{addresses, fields, organisations, staff};
use crate::throttle::{self, Rate};

/// Invitations that one person may send.
const FROM_ONE_PERSON: Rate = Rate { times: 50, within: chrono::TimeDelta::days(1) };

/// What an invitation link carries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invitation {
    pub address: EmailAddress,
    pub first_name: String,
    pub last_name: String,
    /// The organisation to join; none when the account is what is offered.
    pub organisation: Option<OrganisationId>,
    pub sees_all_tickets: bool,
    pub manages_organisation: bool,
    pub grants_tracing: bool,
    pub by: PersonId,
}

impl Invitation {
    fn rights(&self) -> Rights {
        Rights {
            sees_all_tickets: self.sees_all_tickets,
            manages_organisation: self.manages_organisation,
            grants_tracing: self.grants_tracing,
        }
    }
}

/// Somebody to be asked to join an organisation, as typed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewMember {
    pub first_name: String,
    pub last_name: String,
    pub address: String,
    pub rights: Rights,
}

/// Mails a link to a first password to somebody who was just made known; refused where no mail reaches them.
pub fn invite(db: &mut DbConnection, person: PersonId, by: PersonId, now: UtcTime) -> Result<()> {
    if shown_address(&person::by_id(db, person)?.address).is_empty() {
        return Err(Error::Conflict("conflict-no-address".into()));
    }
    throttle::take(db, &throttle::name("invitations-by", &by.0.to_string()), FROM_ONE_PERSON, now)?;
    notices::send(db, &Notice::Invitation { person, by }, now)
}

/// Asks somebody by mail to join `organisation`. The answer is the same whether they are known or not (U-02).
pub fn invite_member(
    db: &mut DbConnection,
    organisation: OrganisationId,
    new: &NewMember,
    by: PersonId,
    now: UtcTime,
) -> Result<()> {
    let mut errors = FieldErrors::default();
    let first_name = fields::optional_line(&mut errors, "first_name", &new.first_name, fields::NAME_LENGTH);
    let last_name = fields::mandatory_line(&mut errors, "last_name", &new.last_name, fields::NAME_LENGTH);
    let address = EmailAddress::of_somebody(new.address.trim());
    if new.address.trim().is_empty() {
        errors.add("address", "error-mandatory");
    } else if address.is_none() {
        errors.add("address", "error-address");
    }
    if new.rights.grants_tracing && staff::is_staff(db, by)? {
        errors.add("", "conflict-tracing-right");
    }
    errors.into_result()?;
    let address = address.ok_or_else(|| Error::invalid("address", "error-address"))?;
    throttle::take(db, &throttle::name("invitations-by", &by.0.to_string()), FROM_ONE_PERSON, now)?;
    let invitation = Invitation {
        address,
        first_name,
        last_name,
        organisation: Some(organisation),
        sees_all_tickets: new.rights.sees_all_tickets,
        manages_organisation: new.rights.manages_organisation,
        grants_tracing: new.rights.grants_tracing,
        by,
    };
    notices::send(db, &Notice::MemberInvitation { invitation }, now)
}

/// What the page behind an invitation link says and asks.
#[derive(Clone, Debug)]
pub struct Pending {
    pub address: EmailAddress,
    /// Who invites.
    pub by: String,
    /// The organisation to join, if that is what is offered.
    pub organisation: Option<String>,
    /// Whether a password is to be chosen: not by somebody who has one.
    pub needs_password: bool,
}

/// Looks at an invitation link without using it.
pub fn find(db: &mut DbConnection, token: &str, now: UtcTime) -> Result<Option<Pending>> {
    let Some(found) = one_time_tokens::find::<Invitation>(db, Purpose::Invitation, token, now)? else {
        return Ok(None);
    };
    let invitation = found.payload;
    if !still_stands(db, &invitation)? {
        return Ok(None);
    }
    let organisation = match invitation.organisation {
        Some(id) => Some(organisations::by_id(db, id)?.name),
        None => None,
    };
    let needs_password = match person::find_by_address(db, &invitation.address)? {
        Some(person) => passwords::changed_at(db, person.id)?.is_none(),
        None => true,
    };
    let by = person::by_id(db, invitation.by)?.display_name();
    Ok(Some(Pending { address: invitation.address, by, organisation, needs_password }))
}

/// How an invitation was accepted.
pub enum Accepted {
    /// With a first password: they are signed in.
    SignedIn(SignedIn),
    /// They have an account already, and sign in to it.
    KnownPerson,
}

/// Uses an invitation link. `hash` is the new password, where one was asked for.
pub fn accept(
    db: &mut DbConnection,
    token: &str,
    hash: Option<&StoredHash>,
    place: &Place,
    limits: &Limits,
    language: Locale,
    now: UtcTime,
) -> Result<Option<Accepted>> {
    let Some(used) = one_time_tokens::consume::<Invitation>(db, Purpose::Invitation, token, now)? else {
        return Ok(None);
    };
    let invitation = used.payload;
    if !still_stands(db, &invitation)? {
        return Ok(None);
    }
    let known = person::find_by_address(db, &invitation.address)?;
    if used.person.is_some() && known.as_ref().map(|person| person.id) != used.person {
        // The address is no longer that of the person who was invited.
        return Ok(None);
    }
    // Who has become staff since they invited speaks for the operator now (CN-06).
    let rights = invitation.rights();
    let rights = Rights { grants_tracing: rights.grants_tracing && !staff::is_staff(db, invitation.by)?, ..rights };
    let person = match known {
        Some(person) if person.state != PersonState::Active => return Ok(None),
        Some(person) => {
            if let Some(organisation) = invitation.organisation
                && !is_member(db, person.id, organisation)?
            {
                memberships::add(db, person.id, organisation, rights, Some(invitation.by), now)?;
            }
            person
        }
        None => {
            let Some(organisation) = invitation.organisation else { return Ok(None) };
            let new = NewPerson {
                first_name: invitation.first_name.clone(),
                last_name: invitation.last_name.clone(),
                address_confirmed_at: Some(now),
                ..NewPerson::at(invitation.address.clone(), language, Origin::Member)
            };
            person::create(db, &new, Some((organisation, rights)), Some(invitation.by), now)?
        }
    };
    addresses::confirm(db, person.id, &invitation.address, now)?;
    if passwords::changed_at(db, person.id)?.is_some() {
        return Ok(Some(Accepted::KnownPerson));
    }
    let hash = hash.ok_or_else(|| Error::invalid("password", "error-mandatory"))?;
    passwords::set(db, person.id, hash, now)?;
    one_time_tokens::kill_all(db, person.id, now)?;
    sign_in::enter(db, person, "invitation", false, place, limits, now).map(|entered| Some(Accepted::SignedIn(entered)))
}

/// Whether who invited may still do so. An invitation that a member sent before they lost their rights would otherwise be a
/// way back in, for themselves or for whom they like.
fn still_stands(db: &mut DbConnection, invitation: &Invitation) -> Result<bool> {
    let by = person::by_id(db, invitation.by)?;
    if by.state != PersonState::Active {
        return Ok(false);
    }
    let permissions = roles::permissions_of(db, by.id)?;
    if permissions.iter().any(|permission| matches!(permission, Permission::ManagePeople | Permission::ManageStaff)) {
        return Ok(true);
    }
    let Some(organisation) = invitation.organisation else { return Ok(false) };
    let manages =
        |membership: &Membership| membership.organisation_id == organisation && membership.manages_organisation;
    Ok(memberships::of_person(db, by.id)?.iter().any(manages))
}

fn is_member(db: &mut DbConnection, person: PersonId, organisation: OrganisationId) -> Result<bool> {
    Ok(memberships::of_person(db, person)?.iter().any(|membership| membership.organisation_id == organisation))
}
