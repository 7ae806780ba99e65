//! The domain of an organisation's people, as far as the operator says that whoever stands there in copy of a mail takes part in
//! the ticket by themselves (TH-07). None until it is set; it makes nobody a member. A domain at which anybody gets an
//! address, or under which strangers have theirs, is nobody's and never counts.

use diesel::prelude::*;

use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::one_text::one_text;
use crate::db::schema::{memberships, organisations as rows, person_addresses};
use crate::db::types::{OrganisationId, PersonId};
use crate::error::{Error, Result};
use crate::mail::address::EmailAddress;
use crate::mail::organisation::is_shared_suffix;
use crate::mail::public_providers::is_for_anybody;
use crate::people::organisations::{self, Organisation, OrganisationKind, record};
use crate::people::person::{self, PersonState};

/// The domain, in ASCII and lower case; none where it is for anybody, whenever it was set.
pub fn find(db: &mut DbConnection, organisation: OrganisationId) -> Result<Option<String>> {
    let domain: String = one_text!(rows::table.find(organisation).select(rows::copied_domain)).first(db)?;
    Ok((!domain.is_empty() && !is_nobodys(&domain)).then_some(domain))
}

fn is_nobodys(domain: &str) -> bool {
    is_for_anybody(domain) || is_shared_suffix(domain)
}

/// Whether `person` may come into a ticket of `organisation` by that domain alone: they are not shut out, and belong nowhere else.
pub fn lets_in(db: &mut DbConnection, organisation: OrganisationId, person: PersonId) -> Result<bool> {
    if person::by_id(db, person)?.state != PersonState::Active {
        return Ok(false);
    }
    let Some(home) = organisations::home_of(db, person)? else { return Ok(true) };
    // Who wrote before, or registered, has an organisation of their own, which is nobody else's.
    Ok(home == organisation || organisations::by_id(db, home)?.kind == OrganisationKind::Individual)
}

/// Sets it to what was `typed`, or to none when that is empty. The domain must be one at which a member proved to read mail, so
/// that it is the organisation's and no slip of the pen.
pub fn set(
    db: &mut DbConnection,
    organisation: &Organisation,
    typed: &str,
    by: Option<PersonId>,
    now: UtcTime,
) -> Result<()> {
    let typed = typed.trim().trim_start_matches('@');
    let domain = match typed {
        "" => String::new(),
        _ => {
            let address = EmailAddress::of_somebody(&format!("x@{typed}"));
            let domain = address.filter(|address| address.domain().contains('.'));
            let domain = domain.ok_or_else(|| Error::invalid("copied_domain", "error-domain"))?.domain().to_owned();
            if is_nobodys(&domain) {
                return Err(Error::invalid("copied_domain", "error-domain-public"));
            }
            if !has_proven_member(db, organisation.id, &domain)? {
                return Err(Error::invalid("copied_domain", "error-domain-unproven"));
            }
            domain
        }
    };
    let differs = rows::table.find(organisation.id).filter(rows::copied_domain.ne(&domain));
    let changed = diesel::update(differs).set(rows::copied_domain.eq(&domain)).execute(db)?;
    if changed > 0 {
        record(db, "organisation_changed", organisation.id, &["copied_domain"], by, now)?;
    }
    Ok(())
}

fn has_proven_member(db: &mut DbConnection, organisation: OrganisationId, domain: &str) -> Result<bool> {
    let addresses: Vec<String> = memberships::table
        .inner_join(person_addresses::table.on(person_addresses::person_id.eq(memberships::person_id)))
        .filter(memberships::organisation_id.eq(organisation))
        .filter(person_addresses::confirmed_at.is_not_null())
        .select(person_addresses::canonical)
        .load(db)?;
    Ok(addresses.iter().any(|address| address.rsplit_once('@').is_some_and(|(_, at)| at == domain)))
}
