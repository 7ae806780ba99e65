//! API secrets (U-08): `acc_…`, shown once and kept as hashes, for what a program may do in somebody's name. A secret
//! never allows more than its person may do, and less where its scopes, its organisation or its queue say so.

use chrono::TimeDelta;
use diesel::prelude::*;
use serde_json::json;

use crate::audit;
use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::one_text::one_text;
use crate::db::schema::{api_tokens, memberships, organisations, people, queues};
use crate::db::types::{ApiTokenId, Json, OrganisationId, PersonId, QueueId, text_enum};
use crate::error::{Error, FieldErrors, Result};
use crate::people::person::PersonState;
use crate::people::roles::{self, Permission};
use crate::people::{fields, staff};
use crate::secret::{Token, hash_token, random_handle};

/// What every secret begins with, so that a leaked one is recognised.
pub const PREFIX: &str = "acc_";
/// How long a secret lasts unless another time is asked for (U-08).
pub const DEFAULT_DAYS: i64 = 90;
/// The longest time that can be asked for.
pub const LONGEST_DAYS: i64 = 366;
/// Secrets in force that one person may have.
const AT_MOST: i64 = 50;
/// Secrets listed at most.
const LISTED: i64 = 200;
/// `last_used_at` is written at most this often.
const USE_NOTED_EVERY: TimeDelta = TimeDelta::minutes(1);

text_enum! {
    /// What a secret may be used for.
    pub enum Scope {
        TicketsRead = "tickets:read",
        TicketsWrite = "tickets:write",
        PeopleRead = "people:read",
        PeopleWrite = "people:write",
        OrganisationsRead = "organisations:read",
        OrganisationsWrite = "organisations:write",
        EnvironmentsRead = "environments:read",
        EnvironmentsWrite = "environments:write",
        /// Ask which diagnostics are granted now.
        TracingRead = "tracing:read",
        /// Hand over mail, as a mail server does; for who operates the installation (see [`may_hand_over_mail`]).
        Inbound = "inbound",
    }
}

impl Scope {
    /// Whether what it opens lies in queues: tickets, what is granted in them, and mail to their mailboxes. People and
    /// organisations are in none, so a secret of one queue cannot be for them.
    pub fn is_in_queues(self) -> bool {
        matches!(self, Scope::TicketsRead | Scope::TicketsWrite | Scope::TracingRead | Scope::Inbound)
    }
}

/// A secret as it stands in the database, without what opens it.
#[derive(Clone, Debug, Queryable)]
pub struct ApiToken {
    pub id: ApiTokenId,
    pub handle: String,
    pub name: String,
    pub person_id: PersonId,
    /// The one organisation it is limited to, if it is.
    pub organisation_id: Option<OrganisationId>,
    /// The one queue whose tickets it is limited to, if it is.
    pub queue_id: Option<QueueId>,
    pub scopes: Json<Vec<Scope>>,
    pub created_at: UtcTime,
    pub expires_at: UtcTime,
    pub last_used_at: Option<UtcTime>,
    pub revoked_at: Option<UtcTime>,
}

impl ApiToken {
    /// Whether it was made for `scope`.
    pub fn allows(&self, scope: Scope) -> bool {
        self.scopes.0.contains(&scope)
    }

    /// Whether it can still be used.
    pub fn is_in_force(&self, now: UtcTime) -> bool {
        self.revoked_at.is_none() && now < self.expires_at
    }
}

/// A secret to be made.
#[derive(Clone, Debug)]
pub struct NewApiToken {
    /// What it is for, in its owner's words.
    pub name: String,
    pub scopes: Vec<Scope>,
    pub organisation: Option<OrganisationId>,
    pub queue: Option<QueueId>,
    pub days: i64,
}

macro_rules! token_columns {
    () => {
        (
            api_tokens::id,
            api_tokens::handle,
            api_tokens::name,
            api_tokens::person_id,
            api_tokens::organisation_id,
            api_tokens::queue_id,
            api_tokens::scopes,
            api_tokens::created_at,
            api_tokens::expires_at,
            api_tokens::last_used_at,
            api_tokens::revoked_at,
        )
    };
}

/// Makes a secret for `person`, who asks for it, and gives it, this once, in clear.
pub fn create(db: &mut DbConnection, person: PersonId, new: &NewApiToken, now: UtcTime) -> Result<(ApiToken, Token)> {
    make(db, person, Some(person), new, now)
}

/// The same, asked for by whoever runs the program on its machine.
pub fn create_from_command_line(
    db: &mut DbConnection,
    person: PersonId,
    new: &NewApiToken,
    now: UtcTime,
) -> Result<(ApiToken, Token)> {
    make(db, person, None, new, now)
}

fn make(
    db: &mut DbConnection,
    person: PersonId,
    actor: Option<PersonId>,
    new: &NewApiToken,
    now: UtcTime,
) -> Result<(ApiToken, Token)> {
    let (name, scopes) = check(db, person, new, now)?;
    let queue: Option<String> = match new.queue {
        Some(id) => Some(queues::table.find(id).select(queues::handle).first(db)?),
        None => None,
    };
    let secret = Token::random(PREFIX);
    let handle = random_handle();
    diesel::insert_into(api_tokens::table)
        .values((
            api_tokens::handle.eq(&handle),
            api_tokens::name.eq(name),
            api_tokens::secret_hash.eq(secret.hash()),
            api_tokens::person_id.eq(person),
            api_tokens::organisation_id.eq(new.organisation),
            api_tokens::queue_id.eq(new.queue),
            api_tokens::scopes.eq(Json(scopes.clone())),
            api_tokens::created_at.eq(now),
            api_tokens::expires_at.eq(now.plus(TimeDelta::days(new.days))),
        ))
        .execute(db)?;
    let entry = audit::Entry {
        kind: "api_token_created",
        actor,
        subject: Some(person),
        organisation: new.organisation,
        detail: json!({ "handle": handle, "scopes": scopes, "days": new.days, "queue": queue }),
    };
    audit::record(db, &entry, now)?;
    let token = api_tokens::table.filter(api_tokens::handle.eq(&handle)).select(token_columns!()).first(db)?;
    Ok((token, secret))
}

/// The token that `secret` opens, while it is in force and its person is active.
pub fn find_by_secret(db: &mut DbConnection, secret: &str, now: UtcTime) -> Result<Option<ApiToken>> {
    if !secret.starts_with(PREFIX) {
        return Ok(None);
    }
    let token: Option<ApiToken> = one_text!(
        api_tokens::table
            .inner_join(people::table)
            .filter(api_tokens::secret_hash.eq(hash_token(secret)))
            .filter(people::state.eq(PersonState::Active))
            .select(token_columns!())
    )
    .first(db)
    .optional()?;
    Ok(token.filter(|token| token.is_in_force(now)))
}

/// The token of that public name, while it is in force and its person is active: what a short-lived token made from it
/// is checked against at each use (U-07).
pub fn find_in_force(db: &mut DbConnection, handle: &str, now: UtcTime) -> Result<Option<ApiToken>> {
    let token: Option<ApiToken> = one_text!(
        api_tokens::table
            .inner_join(people::table)
            .filter(api_tokens::handle.eq(handle))
            .filter(people::state.eq(PersonState::Active))
            .select(token_columns!())
    )
    .first(db)
    .optional()?;
    Ok(token.filter(|token| token.is_in_force(now)))
}

/// Whether programs of `person` may hand over mail. Such a program is believed like the mail server in front, which says
/// who a sender is, so it speaks for everybody; only who operates the installation may have one.
pub fn may_hand_over_mail(db: &mut DbConnection, person: PersonId) -> Result<bool> {
    Ok(roles::permissions_of(db, person)?.contains(&Permission::OperateInstallation))
}

/// Whether it is time to note that the token was used.
pub fn is_worth_noting(token: &ApiToken, now: UtcTime) -> bool {
    token.last_used_at.is_none_or(|last| now.since(last) >= USE_NOTED_EVERY)
}

/// Notes that the token was used.
pub fn note_use(db: &mut DbConnection, token: ApiTokenId, now: UtcTime) -> Result<()> {
    let note = diesel::update(api_tokens::table.find(token)).set(api_tokens::last_used_at.eq(now));
    one_text!(promised note.returning(api_tokens::id)).load::<ApiTokenId>(db)?;
    Ok(())
}

/// Every token of `person`, the newest first, revoked and expired ones too.
pub fn of_person(db: &mut DbConnection, person: PersonId) -> Result<Vec<ApiToken>> {
    Ok(api_tokens::table
        .filter(api_tokens::person_id.eq(person))
        .order(api_tokens::id.desc())
        .limit(LISTED)
        .select(token_columns!())
        .load(db)?)
}

/// Whether a program can still act in the name of `person`.
pub fn has_in_force(db: &mut DbConnection, person: PersonId, now: UtcTime) -> Result<bool> {
    Ok(of_person(db, person)?.iter().any(|token| token.is_in_force(now)))
}

/// The tokens of everybody, the newest first, for whoever runs the program on its machine.
pub fn of_everybody(db: &mut DbConnection) -> Result<Vec<ApiToken>> {
    Ok(api_tokens::table.order(api_tokens::id.desc()).limit(LISTED).select(token_columns!()).load(db)?)
}

/// The organisations that a token of `person` may be limited to, by handle and name.
pub fn possible_limits(db: &mut DbConnection, person: PersonId) -> Result<Vec<(OrganisationId, String, String)>> {
    Ok(memberships::table
        .inner_join(organisations::table)
        .filter(memberships::person_id.eq(person))
        .order(memberships::id)
        .select((organisations::id, organisations::handle, organisations::name))
        .load(db)?)
}

/// Revokes the token of that handle, if it is one of `person`'s; gives whether there was one in force.
pub fn revoke(db: &mut DbConnection, person: PersonId, handle: &str, now: UtcTime) -> Result<bool> {
    match find_owner(db, handle)? {
        Some(owner) if owner == person => withdraw(db, owner, Some(person), handle, now),
        _ => Ok(false),
    }
}

/// Revokes anybody's token, for whoever runs the program on its machine; gives whether there was one in force.
pub fn revoke_from_command_line(db: &mut DbConnection, handle: &str, now: UtcTime) -> Result<bool> {
    match find_owner(db, handle)? {
        Some(owner) => withdraw(db, owner, None, handle, now),
        None => Ok(false),
    }
}

fn find_owner(db: &mut DbConnection, handle: &str) -> Result<Option<PersonId>> {
    Ok(api_tokens::table.filter(api_tokens::handle.eq(handle)).select(api_tokens::person_id).first(db).optional()?)
}

fn withdraw(
    db: &mut DbConnection,
    owner: PersonId,
    actor: Option<PersonId>,
    handle: &str,
    now: UtcTime,
) -> Result<bool> {
    let revoked = diesel::update(
        api_tokens::table.filter(api_tokens::handle.eq(handle)).filter(api_tokens::revoked_at.is_null()),
    )
    .set(api_tokens::revoked_at.eq(now))
    .execute(db)?;
    if revoked > 0 {
        let entry = audit::Entry {
            kind: "api_token_revoked",
            actor,
            subject: Some(owner),
            organisation: None,
            detail: json!({ "handle": handle }),
        };
        audit::record(db, &entry, now)?;
    }
    Ok(revoked > 0)
}

fn check(db: &mut DbConnection, person: PersonId, new: &NewApiToken, now: UtcTime) -> Result<(String, Vec<Scope>)> {
    let is_staff = staff::is_staff(db, person)?;
    let mut errors = FieldErrors::default();
    let name = fields::mandatory_line(&mut errors, "name", &new.name, fields::NAME_LENGTH);
    let mut scopes = new.scopes.clone();
    scopes.sort_unstable();
    scopes.dedup();
    let is_for_mail = scopes.contains(&Scope::Inbound);
    if scopes.is_empty() || (is_for_mail && (new.organisation.is_some() || !may_hand_over_mail(db, person)?)) {
        errors.add("scopes", "error-scopes");
    }
    if new.queue.is_some() && !scopes.iter().all(|scope| scope.is_in_queues()) {
        errors.add("queue", "error-scopes-of-queue");
    }
    if !(1..=LONGEST_DAYS).contains(&new.days) {
        errors.add("days", crate::i18n::Message::new("error-days").with("longest", LONGEST_DAYS));
    }
    if let Some(organisation) = new.organisation
        && !is_staff
        && !possible_limits(db, person)?.iter().any(|(id, ..)| *id == organisation)
    {
        errors.add("organisation", "error-choice");
    }
    errors.into_result()?;
    let in_force: i64 = api_tokens::table
        .filter(api_tokens::person_id.eq(person))
        .filter(api_tokens::revoked_at.is_null())
        .filter(api_tokens::expires_at.gt(now))
        .count()
        .get_result(db)?;
    if in_force >= AT_MOST { Err(Error::Conflict("conflict-too-many-secrets".into())) } else { Ok((name, scopes)) }
}
