//! Signing in, by password or by a mailed link, and the brakes on guessing (U-06). A password is checked between two
//! transactions: [`start`] counts the attempt and fetches the hash, `passwords::check` computes, [`finish`] decides.

use chrono::TimeDelta;
use serde_json::json;

use crate::audit;
use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::types::PersonId;
use crate::error::{Error, Result};
use crate::mail::address::EmailAddress;
use crate::people::addresses;
use crate::people::notices::{self, MailboxProof, Notice};
use crate::people::one_time_tokens::{self, Purpose};
use crate::people::passwords::{self, Checked, StoredHash};
use crate::people::person::{self, Person, PersonState};
use crate::people::sessions::{self, Limits, Place};
use crate::secret::Token;
use crate::throttle::{self, BackOff, Rate};

/// Guesses at one account from one place: two are free, then pauses double up to half a minute, which locks nobody out.
const PAUSES: BackOff = BackOff {
    free: 2,
    first: TimeDelta::seconds(1),
    longest: TimeDelta::seconds(30),
    forgotten_after: TimeDelta::hours(1),
};
/// Guesses at one account from everywhere together. Places where the person has a session are not counted, so that a
/// crowd of strangers cannot keep them out.
const FROM_EVERYWHERE: Rate = Rate { times: 60, within: TimeDelta::minutes(10) };
/// Wrong passwords in the whole installation after which the log warns.
const ALARM: Rate = Rate { times: 500, within: TimeDelta::hours(1) };
/// Mails asked for from one IP address (U-02).
const MAILS_FROM_ONE_PLACE: Rate = Rate { times: 20, within: TimeDelta::hours(1) };

/// What to do with an attempt.
#[derive(Clone, Debug)]
pub enum Start {
    /// Too many attempts; the same for accounts that exist and those that do not.
    MustWait { retry_after_secs: u64 },
    /// Check the password, whoever it is, then call [`finish`].
    Check { person: Option<PersonId>, stored: Option<StoredHash> },
}

/// How it ended.
pub enum Outcome {
    SignedIn(SignedIn),
    Wrong,
}

/// Somebody who has just signed in.
pub struct SignedIn {
    pub person: Person,
    /// For the cookie.
    pub token: Token,
}

/// Counts an attempt with the address as typed, and fetches what to check the password against.
pub fn start(db: &mut DbConnection, typed: &str, place: &Place, per_hour: u32, now: UtcTime) -> Result<Start> {
    let address = EmailAddress::parse(typed.trim());
    let owner = match &address {
        Some(address) => person::find_by_address(db, address)?,
        None => None,
    };
    match count_attempt(db, typed, owner.as_ref(), place, per_hour, now) {
        Ok(()) => {}
        Err(Error::TooMany { retry_after_secs }) => return Ok(Start::MustWait { retry_after_secs }),
        Err(error) => return Err(error),
    }
    let stored = match &owner {
        Some(person) => passwords::find_stored(db, person.id)?,
        None => None,
    };
    Ok(Start::Check { person: owner.map(|person| person.id), stored })
}

/// Begins a session if the password was right; the attempts before are forgiven then.
#[expect(clippy::too_many_arguments, reason = "each is one fact about the attempt, and there is one caller")]
pub fn finish(
    db: &mut DbConnection,
    typed: &str,
    person: Option<PersonId>,
    checked: Checked,
    remember: bool,
    place: &Place,
    limits: &Limits,
    now: UtcTime,
) -> Result<Outcome> {
    // The person may have been disabled while the hash was computed.
    let person = match person {
        Some(id) if checked.matches => {
            Some(person::by_id(db, id)?).filter(|person| person.state == PersonState::Active)
        }
        _ => None,
    };
    let Some(person) = person else {
        note_failure(db, place, now)?;
        return Ok(Outcome::Wrong);
    };
    forgive(db, typed, place)?;
    enter(db, person, "password", remember, place, limits, now).map(Outcome::SignedIn)
}

/// Forgets the attempts that came before a right password.
pub fn forgive(db: &mut DbConnection, typed: &str, place: &Place) -> Result<()> {
    throttle::clear(db, &pauses_name(typed, place))?;
    throttle::give_back(db, &place_name(place))?;
    throttle::give_back(db, &account_name(typed))
}

/// Has a sign-in link mailed to `address`, if somebody has it. The answer is the same either way (U-02).
pub fn request_link(
    db: &mut DbConnection,
    address: &EmailAddress,
    next: &str,
    place: &Place,
    now: UtcTime,
) -> Result<()> {
    count_mail(db, place, now)?;
    notices::send(db, &Notice::SignInLink { address: address.clone(), next: next.to_owned() }, now)
}

/// Has a link to a new password mailed to `address`, if somebody has it. The answer is the same either way (U-02).
pub fn request_password(db: &mut DbConnection, address: &EmailAddress, place: &Place, now: UtcTime) -> Result<()> {
    count_mail(db, place, now)?;
    notices::send(db, &Notice::PasswordReset { address: address.clone() }, now)
}

/// Counts a mail that somebody asks for from `place`; too many are an error that does not depend on the address.
pub fn count_mail(db: &mut DbConnection, place: &Place, now: UtcTime) -> Result<()> {
    throttle::take(
        db,
        &throttle::name("account-mail-from", &throttle::neighbourhood(&place.ip_address)),
        MAILS_FROM_ONE_PLACE,
        now,
    )
}

/// The address that a sign-in link was sent to, without using the link.
pub fn find_link(db: &mut DbConnection, token: &str, now: UtcTime) -> Result<Option<EmailAddress>> {
    let found = one_time_tokens::find::<MailboxProof>(db, Purpose::SignIn, token, now)?;
    Ok(found.map(|found| found.payload.address))
}

/// Whose new password a link is for, without using the link.
pub fn find_password_link(db: &mut DbConnection, token: &str, now: UtcTime) -> Result<Option<Person>> {
    match one_time_tokens::find::<MailboxProof>(db, Purpose::Password, token, now)? {
        Some(found) => active(db, found.person),
        None => Ok(None),
    }
}

/// Uses a sign-in link: a session, and the place the person was going to. Reading the mail proves the address.
pub fn by_link(
    db: &mut DbConnection,
    token: &str,
    place: &Place,
    limits: &Limits,
    now: UtcTime,
) -> Result<Option<(SignedIn, String)>> {
    let Some(used) = one_time_tokens::consume::<MailboxProof>(db, Purpose::SignIn, token, now)? else {
        return Ok(None);
    };
    let Some(person) = active(db, used.person)? else { return Ok(None) };
    if !addresses::confirm(db, person.id, &used.payload.address, now)? {
        // The address has gone to somebody else, or nowhere.
        return Ok(None);
    }
    Ok(Some((enter(db, person, "link", false, place, limits, now)?, used.payload.next)))
}

/// Uses a link to a new password: sets it and begins a session.
pub fn by_new_password(
    db: &mut DbConnection,
    token: &str,
    hash: &StoredHash,
    place: &Place,
    limits: &Limits,
    now: UtcTime,
) -> Result<Option<SignedIn>> {
    let Some(used) = one_time_tokens::consume::<MailboxProof>(db, Purpose::Password, token, now)? else {
        return Ok(None);
    };
    let Some(person) = active(db, used.person)? else { return Ok(None) };
    if !addresses::confirm(db, person.id, &used.payload.address, now)? {
        return Ok(None);
    }
    passwords::change(db, &person, hash, now)?;
    enter(db, person, "new_password", false, place, limits, now).map(Some)
}

/// Begins a session for somebody whose identity was proven just now, and writes it down.
pub fn enter(
    db: &mut DbConnection,
    person: Person,
    way: &'static str,
    remember: bool,
    place: &Place,
    limits: &Limits,
    now: UtcTime,
) -> Result<SignedIn> {
    let token = sessions::begin(db, person.id, remember, place, limits, now)?;
    let entry = audit::Entry {
        kind: "sign_in",
        actor: Some(person.id),
        subject: Some(person.id),
        detail: json!({ "way": way, "ip": place.ip_address, "browser": place.user_agent }),
        ..audit::Entry::default()
    };
    audit::record(db, &entry, now)?;
    Ok(SignedIn { person, token })
}

fn active(db: &mut DbConnection, person: Option<PersonId>) -> Result<Option<Person>> {
    let Some(id) = person else { return Ok(None) };
    Ok(Some(person::by_id(db, id)?).filter(|person| person.state == PersonState::Active))
}

fn count_attempt(
    db: &mut DbConnection,
    typed: &str,
    owner: Option<&Person>,
    place: &Place,
    per_hour: u32,
    now: UtcTime,
) -> Result<()> {
    throttle::take(db, &place_name(place), Rate { times: per_hour, within: TimeDelta::hours(1) }, now)?;
    let known = match owner {
        Some(person) => sessions::knows_place(db, person.id, &place.ip_address)?,
        None => false,
    };
    if !known {
        throttle::take(db, &account_name(typed), FROM_EVERYWHERE, now)?;
    }
    throttle::try_once(db, &pauses_name(typed, place), PAUSES, now)
}

fn note_failure(db: &mut DbConnection, place: &Place, now: UtcTime) -> Result<()> {
    // Not whom it was about: the same row for people who exist and people who do not.
    let entry = audit::Entry {
        kind: "sign_in_failed",
        detail: json!({ "ip": place.ip_address, "browser": place.user_agent }),
        ..audit::Entry::default()
    };
    audit::record(db, &entry, now)?;
    match throttle::take(db, "sign-in-failures", ALARM, now) {
        Err(Error::TooMany { .. }) => {
            tracing::error!(
                target: "accord::people",
                "More than {} wrong passwords within an hour: somebody is guessing",
                ALARM.times
            );
            Ok(())
        }
        counted => counted,
    }
}

fn pauses_name(typed: &str, place: &Place) -> String {
    throttle::name("sign-in-pause", &format!("{} {}", folded(typed), throttle::neighbourhood(&place.ip_address)))
}

fn account_name(typed: &str) -> String {
    throttle::name("sign-in-account", &folded(typed))
}

fn place_name(place: &Place) -> String {
    throttle::name("sign-in-place", &throttle::neighbourhood(&place.ip_address))
}

/// One spelling for what means the same account.
fn folded(typed: &str) -> String {
    let typed = typed.trim();
    EmailAddress::parse(typed).map_or_else(|| typed.to_lowercase(), |address| address.canonical().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_address_count_together() {
        assert_eq!(folded(" Claire@Exemple.FR "), folded("claire@exemple.fr"));
    }
}
