//! What `accord token` asks for: API secrets made, listed and revoked by whoever runs the program on its machine. The
//! command asks the server by the local socket, or does the same by itself where no server owns the database.

use serde::{Deserialize, Serialize};

use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::types::PersonId;
use crate::error::{Error, Result};
use crate::i18n::{Locale, Texts};
use crate::mail::address::EmailAddress;
use crate::people::api_tokens::{self, ApiToken, NewApiToken, Scope};
use crate::people::organisations;
use crate::people::person::{self, Person, PersonState};
use crate::teams::queues;

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// A new secret in the name of the person at that address.
    Create {
        person: String,
        name: String,
        scopes: Vec<Scope>,
        /// Limited to the organisation of that handle.
        #[serde(default)]
        organisation: Option<String>,
        /// Limited to the queue of that kind or handle.
        #[serde(default)]
        queue: Option<String>,
        days: i64,
    },
    /// The secrets of one person, or of everybody.
    List { person: Option<String> },
    /// The secret of that handle is to open nothing any more.
    Revoke { handle: String },
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "done", rename_all = "snake_case", deny_unknown_fields)]
pub enum Outcome {
    Created { secret: InClear, handle: String, expires_at: String },
    Listed { secrets: Vec<Listed> },
    Revoked,
}

/// A secret on its way to the one who asked for it. It is shown once, and in no log.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct InClear(pub String);

impl std::fmt::Debug for InClear {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("…")
    }
}

/// One line of the list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listed {
    pub handle: String,
    /// The address of its person.
    pub person: String,
    pub name: String,
    pub scopes: Vec<Scope>,
    /// The name of the one organisation it is limited to.
    pub organisation: Option<String>,
    /// The name of the one queue it is limited to.
    pub queue: Option<String>,
    /// `in force`, `expired` or `revoked`.
    pub state: String,
    pub expires_at: String,
    pub last_used_at: Option<String>,
}

/// Does what is asked for, within a transaction of the caller's.
pub fn carry_out(db: &mut DbConnection, request: &Request, now: UtcTime) -> Result<Outcome> {
    match request {
        Request::Create { person, name, scopes, organisation, queue, days } => {
            let person = find_person(db, person)?;
            if person.state != PersonState::Active {
                return Err(Error::invalid("person", "error-not-found"));
            }
            let organisation = match organisation {
                Some(handle) => {
                    let found = organisations::find_by_handle(db, handle)?;
                    Some(found.ok_or_else(|| Error::invalid("organisation", "error-choice"))?.id)
                }
                None => None,
            };
            let queue = match queue {
                Some(name) => {
                    let found = queues::find_by_name(db, name)?;
                    Some(found.ok_or_else(|| Error::invalid("queue", "error-choice"))?.id)
                }
                None => None,
            };
            let new = NewApiToken { name: name.clone(), scopes: scopes.clone(), organisation, queue, days: *days };
            let (token, secret) = api_tokens::create_from_command_line(db, person.id, &new, now)?;
            Ok(Outcome::Created {
                secret: InClear(secret.expose().to_owned()),
                handle: token.handle,
                expires_at: token.expires_at.rfc3339(),
            })
        }
        Request::List { person } => {
            let tokens = match person {
                Some(person) => {
                    let person = find_person(db, person)?;
                    api_tokens::of_person(db, person.id)?
                }
                None => api_tokens::of_everybody(db)?,
            };
            let secrets = tokens.into_iter().map(|token| listed(db, token, now)).collect::<Result<_>>()?;
            Ok(Outcome::Listed { secrets })
        }
        Request::Revoke { handle } => match api_tokens::revoke_from_command_line(db, handle, now)? {
            true => Ok(Outcome::Revoked),
            false => Err(Error::NotFound),
        },
    }
}

fn find_person(db: &mut DbConnection, address: &str) -> Result<Person> {
    let nobody = || Error::invalid("person", "error-not-found");
    let address = EmailAddress::parse(address).ok_or_else(nobody)?;
    person::find_by_address(db, &address)?.ok_or_else(nobody)
}

fn listed(db: &mut DbConnection, token: ApiToken, now: UtcTime) -> Result<Listed> {
    let state = match token.revoked_at {
        Some(_) => "revoked",
        None if token.is_in_force(now) => "in force",
        None => "expired",
    };
    let organisation = match token.organisation_id {
        Some(id) => Some(organisations::by_id(db, id)?.name),
        None => None,
    };
    let queue = match token.queue_id {
        Some(id) => Some(queues::by_id(db, id)?.name(Locale::En).to_owned()),
        None => None,
    };
    Ok(Listed {
        organisation,
        queue,
        person: address_of(db, token.person_id)?,
        handle: token.handle,
        name: token.name,
        scopes: token.scopes.0,
        state: state.to_owned(),
        expires_at: token.expires_at.rfc3339(),
        last_used_at: token.last_used_at.map(UtcTime::rfc3339),
    })
}

fn address_of(db: &mut DbConnection, person: PersonId) -> Result<String> {
    Ok(person::by_id(db, person)?.address)
}

/// What went wrong, for whoever typed the command.
pub fn reason(error: &Error) -> String {
    match error {
        Error::NotFound => "no secret in force has this handle; see `accord token list`".to_owned(),
        Error::Invalid(errors) => {
            let texts = Texts::in_language(Locale::En);
            let said = errors.iter().map(|(field, message)| match field {
                "person" => "--person: nobody who can sign in has this address".to_owned(),
                "days" => format!("--expires-days: {}", texts.message(message)),
                "scopes" => format!("--scope: {} `inbound` is for staff only.", texts.message(message)),
                field => format!("--{field}: {}", texts.message(message)),
            });
            said.collect::<Vec<_>>().join("; ")
        }
        Error::Conflict(message) => Texts::in_language(Locale::En).message(message),
        Error::StorageFull => "there is no room on the disk".to_owned(),
        Error::Busy => "the database is busy".to_owned(),
        other => format!("{other:#}"),
    }
}
