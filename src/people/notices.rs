//! Mails about somebody's own account: asked for here, in the transaction of what they tell, and written by
//! `notifications` in a job. A token is made only when its mail is written ([`prepare`]), so none ever waits in a job's
//! payload, and a request for an address that nobody has does the same work as one for an address that somebody has.

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::types::{OrganisationId, PersonId};
use crate::error::{Error, Result};
use crate::i18n::Locale;
use crate::mail::address::{EmailAddress, shown_address};
use crate::people::addresses;
use crate::people::api_tokens;
use crate::people::invitations::Invitation;
use crate::people::one_time_tokens::{self, Purpose};
use crate::people::organisations;
use crate::people::person::{self, Person, PersonState};
use crate::people::registration::{self, Registration};
use crate::queue;
use crate::throttle::{self, Rate};

/// The name of the job whose payload is a [`Notice`].
pub const JOB: &str = "account_mail";

/// Mails that anybody may cause, to one account (U-02).
const TO_AN_ACCOUNT_AN_HOUR: Rate = Rate { times: 5, within: TimeDelta::hours(1) };
/// The same, a day: somebody who always signs in by mail needs a few.
const TO_AN_ACCOUNT_A_DAY: Rate = Rate { times: 10, within: TimeDelta::days(1) };
/// Mails that anybody may cause, to an address that never answered us (U-02).
const TO_A_STRANGER_A_DAY: Rate = Rate { times: 3, within: TimeDelta::days(1) };

/// A mail to be written.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Notice {
    /// Somebody typed this address to sign in by mail. Whether anybody has it is seen when the mail is written.
    SignInLink { address: EmailAddress, next: String },
    /// Somebody typed this address to get a new password.
    PasswordReset { address: EmailAddress },
    /// Somebody filled in the registration form.
    Registration { registration: Box<Registration> },
    /// A person was given an account by staff.
    Invitation { person: PersonId, by: PersonId },
    /// Somebody is asked to join an organisation by a member who manages it.
    MemberInvitation { invitation: Invitation },
    /// A person wants this address to be theirs.
    ConfirmAddress { person: PersonId, address: EmailAddress },
    /// The password was changed; told to the address that was theirs then (U-05).
    PasswordChanged { person: PersonId, address: String },
    /// The address was changed; told to the old one (U-05).
    AddressChanged { person: PersonId, old_address: String },
    /// Staff gave a member the right to manage an organisation; told to one of those who had a say there before.
    ManagerNamed { to: PersonId, organisation: OrganisationId, manager: PersonId, by: PersonId },
}

impl Notice {
    /// Whose account it is about, where that is known before the mail is written.
    pub fn person(&self) -> Option<PersonId> {
        match self {
            Notice::Invitation { person, .. }
            | Notice::ConfirmAddress { person, .. }
            | Notice::PasswordChanged { person, .. }
            | Notice::AddressChanged { person, .. }
            | Notice::ManagerNamed { manager: person, .. } => Some(*person),
            Notice::SignInLink { .. }
            | Notice::PasswordReset { .. }
            | Notice::Registration { .. }
            | Notice::MemberInvitation { .. } => None,
        }
    }
}

/// What kind of letter it is: one template each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LetterKind {
    SignInLink,
    PasswordReset,
    /// To somebody who registers with an address we do not know: proves the mailbox.
    ConfirmRegistration,
    /// To somebody who registers and already has an account: the way to sign in.
    AlreadyRegistered,
    /// From staff: an account is there, a password is to be chosen.
    Invitation,
    /// From a member: an organisation to join, see `by` and `organisation`.
    MemberInvitation,
    ConfirmAddress,
    PasswordChanged,
    AddressChanged,
    /// See `by`, `organisation` and `about`.
    ManagerNamed,
}

/// Everything a letter says that is not in its template. It holds no text that a stranger chose (ADV-10); `by` and
/// `organisation` are of somebody who was signed in.
#[derive(Clone, Debug)]
pub struct Letter {
    pub kind: LetterKind,
    pub to: EmailAddress,
    /// The person it goes to, if they are known.
    pub person: Option<PersonId>,
    /// Their name, or nothing.
    pub name: String,
    pub locale: Locale,
    pub zone: chrono_tz::Tz,
    /// Where its link leads, to be put after the configured base URL.
    pub path: Option<String>,
    /// Until when the link may be used.
    pub expires_at: Option<UtcTime>,
    /// Who invites, or gave a right.
    pub by: Option<String>,
    /// The organisation one is invited to, or in which a right was given.
    pub organisation: Option<String>,
    /// The address of whom the letter is about, if that is not who gets it: a name is what they say of themselves, and
    /// stands here only for who has no address.
    pub about: Option<String>,
}

/// Has the mail written.
pub fn send(db: &mut DbConnection, notice: &Notice, now: UtcTime) -> Result<()> {
    queue::enqueue(db, JOB, notice, now, now)
}

/// What to write for `notice`, with a fresh token where it carries one; nothing when nobody is to get it. Run it in the
/// transaction that puts the mail into the outbox, so that a repeated job sends one mail.
pub fn prepare(db: &mut DbConnection, notice: &Notice, now: UtcTime) -> Result<Option<Letter>> {
    match notice {
        Notice::SignInLink { address, next } => {
            let Some((person, address)) = active_owner(db, address)? else { return Ok(None) };
            if !may_be_written_to(db, &address, true, now)? {
                return Ok(None);
            }
            let proof = MailboxProof { address: address.clone(), next: next.clone() };
            with_link(db, LetterKind::SignInLink, Purpose::SignIn, &address, &person, &proof, now)
        }
        Notice::PasswordReset { address } => {
            let Some((person, address)) = active_owner(db, address)? else { return Ok(None) };
            if !may_be_written_to(db, &address, true, now)? {
                return Ok(None);
            }
            let proof = MailboxProof { address: address.clone(), next: String::new() };
            with_link(db, LetterKind::PasswordReset, Purpose::Password, &address, &person, &proof, now)
        }
        Notice::Registration { registration } => prepare_registration(db, registration, now),
        Notice::Invitation { person, by } => {
            let person = person::by_id(db, *person)?;
            let Some(address) = to_active(&person) else { return Ok(None) };
            let invitation = Invitation {
                address,
                first_name: person.first_name.clone(),
                last_name: person.last_name.clone(),
                organisation: None,
                sees_all_tickets: false,
                manages_organisation: false,
                grants_tracing: false,
                by: *by,
            };
            prepare_invitation(db, LetterKind::Invitation, &invitation, Some(person), now)
        }
        Notice::MemberInvitation { invitation } => {
            let owner = person::find_by_address(db, &invitation.address)?;
            let disabled = owner.as_ref().is_some_and(|person| person.state != PersonState::Active);
            if disabled || !may_be_written_to(db, &invitation.address, owner.is_some(), now)? {
                return Ok(None);
            }
            prepare_invitation(db, LetterKind::MemberInvitation, invitation, owner, now)
        }
        Notice::ConfirmAddress { person, address } => {
            let person = person::by_id(db, *person)?;
            if person.state != PersonState::Active || !may_be_written_to(db, address, false, now)? {
                return Ok(None);
            }
            let proof = MailboxProof { address: address.clone(), next: String::new() };
            with_link(db, LetterKind::ConfirmAddress, Purpose::Address, address, &person, &proof, now)
        }
        Notice::PasswordChanged { person, address } => {
            let person = person::by_id(db, *person)?;
            // Programs of somebody else's would go on: whoever looks sees which there are.
            let path = api_tokens::has_in_force(db, person.id, now)?.then(|| "/account/security".to_owned());
            let letter = |to| Letter { path, ..plain(LetterKind::PasswordChanged, to, &person) };
            Ok(EmailAddress::parse(address).map(letter))
        }
        Notice::AddressChanged { person, old_address } => {
            let person = person::by_id(db, *person)?;
            Ok(EmailAddress::parse(old_address).map(|to| plain(LetterKind::AddressChanged, to, &person)))
        }
        Notice::ManagerNamed { to, organisation, manager, by } => {
            let person = person::by_id(db, *to)?;
            let Some(address) = to_active(&person) else { return Ok(None) };
            let organisation = organisations::by_id(db, *organisation)?;
            Ok(Some(Letter {
                path: Some(format!("/organisations/{}/members", organisation.handle)),
                by: Some(person::by_id(db, *by)?.display_name()),
                organisation: Some(organisation.name),
                about: Some(address_or_name(&person::by_id(db, *manager)?)),
                ..plain(LetterKind::ManagerNamed, address, &person)
            }))
        }
    }
}

fn address_or_name(person: &Person) -> String {
    let address = shown_address(&person.address);
    if address.is_empty() { person.display_name() } else { address.to_owned() }
}

/// What a link in a mail proves when it is used: that somebody reads this mailbox.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MailboxProof {
    pub address: EmailAddress,
    /// Where the person was going, a path of ours or nothing.
    pub next: String,
}

fn prepare_registration(db: &mut DbConnection, registration: &Registration, now: UtcTime) -> Result<Option<Letter>> {
    let address = &registration.address;
    let owner = person::find_by_address(db, address)?;
    if !may_be_written_to(db, address, owner.is_some(), now)? {
        return Ok(None);
    }
    if owner.as_ref().is_some_and(|person| person.state != PersonState::Active) {
        return Ok(None);
    }
    if let Some(person) = owner
        && registration::is_registered(db, &person)?
    {
        let path = Some(format!("/{}/sign-in", person.language.0));
        let to = as_stored(db, address)?;
        return Ok(Some(Letter { path, ..plain(LetterKind::AlreadyRegistered, to, &person) }));
    }
    let token = one_time_tokens::issue(db, Purpose::Registration, None, registration, now)?;
    Ok(Some(Letter {
        path: Some(format!("/l/registration/{}", token.expose())),
        expires_at: Some(now.plus(Purpose::Registration.lifetime())),
        ..to_a_stranger(LetterKind::ConfirmRegistration, address.clone(), registration.locale())
    }))
}

fn prepare_invitation(
    db: &mut DbConnection,
    kind: LetterKind,
    invitation: &Invitation,
    person: Option<Person>,
    now: UtcTime,
) -> Result<Option<Letter>> {
    // Bound to the person where staff made one; an invitation to join binds to the mailbox alone.
    let bound_to = person.as_ref().map(|person| person.id).filter(|_| kind == LetterKind::Invitation);
    let token = one_time_tokens::issue(db, Purpose::Invitation, bound_to, invitation, now)?;
    let by = person::by_id(db, invitation.by)?;
    let organisation = match invitation.organisation {
        Some(id) => Some(organisations::by_id(db, id)?.name),
        None => None,
    };
    let letter = match &person {
        Some(person) => plain(kind, as_stored(db, &invitation.address)?, person),
        None => to_a_stranger(kind, invitation.address.clone(), by.language.0),
    };
    Ok(Some(Letter {
        path: Some(format!("/l/invitation/{}", token.expose())),
        expires_at: Some(now.plus(Purpose::Invitation.lifetime())),
        by: Some(by.display_name()),
        organisation,
        ..letter
    }))
}

fn with_link(
    db: &mut DbConnection,
    kind: LetterKind,
    purpose: Purpose,
    to: &EmailAddress,
    person: &Person,
    proof: &MailboxProof,
    now: UtcTime,
) -> Result<Option<Letter>> {
    let token = one_time_tokens::issue(db, purpose, Some(person.id), proof, now)?;
    let word = match purpose {
        Purpose::SignIn => "sign-in",
        Purpose::Password => "password",
        Purpose::Address => "address",
        Purpose::Invitation | Purpose::Registration | Purpose::Setup => {
            return Err(Error::internal("no letter to a person carries this"));
        }
    };
    let path = Some(format!("/l/{word}/{}", token.expose()));
    let expires_at = Some(now.plus(purpose.lifetime()));
    Ok(Some(Letter { path, expires_at, ..plain(kind, to.clone(), person) }))
}

fn plain(kind: LetterKind, to: EmailAddress, person: &Person) -> Letter {
    Letter {
        kind,
        to,
        person: Some(person.id),
        name: person::full_name(&person.first_name, &person.last_name),
        locale: person.language.0,
        zone: person.zone(),
        path: None,
        expires_at: None,
        by: None,
        organisation: None,
        about: None,
    }
}

/// To a mailbox of which nothing is known. What a form says of its owner was typed by somebody who need not be them.
fn to_a_stranger(kind: LetterKind, to: EmailAddress, locale: Locale) -> Letter {
    Letter {
        kind,
        to,
        person: None,
        name: String::new(),
        locale,
        zone: chrono_tz::Europe::Paris,
        path: None,
        expires_at: None,
        by: None,
        organisation: None,
        about: None,
    }
}

/// Who has the address that somebody typed, if they may act, and how it is written where it is kept (I-06).
fn active_owner(db: &mut DbConnection, typed: &EmailAddress) -> Result<Option<(Person, EmailAddress)>> {
    let owner = person::find_by_address(db, typed)?.filter(|person| person.state == PersonState::Active);
    owner.map(|person| Ok((person, as_stored(db, typed)?))).transpose()
}

/// The address that is kept, where somebody has it, whoever typed it in whatever letters.
fn as_stored(db: &mut DbConnection, typed: &EmailAddress) -> Result<EmailAddress> {
    Ok(addresses::stored(db, typed)?.unwrap_or_else(|| typed.clone()))
}

/// The stored primary address of somebody who may act.
fn to_active(person: &Person) -> Option<EmailAddress> {
    if person.state != PersonState::Active {
        return None;
    }
    EmailAddress::parse(&person.address)
}

/// Whether one more mail may go there; what is over the limit is left unsaid, for the answer on the screen was given.
fn may_be_written_to(db: &mut DbConnection, address: &EmailAddress, known: bool, now: UtcTime) -> Result<bool> {
    let limits: &[(&str, Rate)] = if known {
        &[("account-mail-hour", TO_AN_ACCOUNT_AN_HOUR), ("account-mail-day", TO_AN_ACCOUNT_A_DAY)]
    } else {
        &[("stranger-mail", TO_A_STRANGER_A_DAY)]
    };
    for (what, rate) in limits {
        match throttle::take(db, &throttle::name(what, address.canonical()), *rate, now) {
            Ok(()) => {}
            Err(Error::TooMany { .. }) => return Ok(false),
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}
