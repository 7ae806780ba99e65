//! Which program makes a request, and what it may do: its token is genuine (that is known without the database) and in
//! force with the scope that the request needs (looked up in the request's own read or write, so that a revoked token is
//! refused at once). A program acts as the person whose token it has, never beyond the token's organisation and queue.

use std::future::{Ready, ready};
use std::net::IpAddr;

use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::web::Data;
use actix_web::{FromRequest, HttpRequest};
use chrono::TimeDelta;

use crate::access::{self, Actor};
use crate::app::App;
use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::types::{OrganisationId, PersonId, QueueId};
use crate::error::{Error, Result};
use crate::people::api_tokens::{self, Scope};
use crate::throttle::{self, Rate};
use crate::tickets::ticket::{self, Ticket};
use crate::web::api::errors::ApiError;
use crate::web::api::token::TokenKeys;
use crate::web::jwt::LONGEST_TOKEN;
use crate::web::request::client_ip;

/// What is not found may be asked for so often by one program that is no staff's (T-04).
const MISSES: Rate = Rate { times: 30, within: TimeDelta::minutes(1) };

/// A program with a genuine token.
#[derive(Clone)]
pub struct Caller {
    app: Data<App>,
    /// The public name of the API secret that the token was made from.
    secret: String,
    pub now: UtcTime,
    pub ip: Option<IpAddr>,
}

/// What the program may do in this request.
#[derive(Clone, Debug)]
pub struct Acting {
    pub actor: Actor,
    pub person: PersonId,
    /// The public name of the API secret that its token was made from.
    pub secret: String,
    /// The one organisation it is limited to.
    pub only: Option<OrganisationId>,
    /// The one queue whose tickets it is limited to; its actor is too.
    pub only_queue: Option<QueueId>,
    pub now: UtcTime,
}

/// Why a genuine token is refused.
#[derive(Clone, Copy, Debug)]
enum Refusal {
    NotInForce,
    Scope(Scope),
    TooManyMisses,
}

impl FromRequest for Caller {
    type Error = ApiError;
    type Future = Ready<std::result::Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(find_caller(request).ok_or_else(|| ApiError::unauthorized("")))
    }
}

fn find_caller(request: &HttpRequest) -> Option<Caller> {
    let app = request.app_data::<Data<App>>()?.clone();
    let keys = request.app_data::<Data<TokenKeys>>()?;
    let mut values = request.headers().get_all(header::AUTHORIZATION);
    let (value, None) = (values.next()?.to_str().ok()?, values.next()) else { return None };
    let (scheme, token) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("bearer") || token.len() > LONGEST_TOKEN {
        return None;
    }
    let now = app.clock.now();
    let secret = keys.verify(token, now)?;
    let ip = client_ip(request, &app.config.http.trusted_proxies);
    Some(Caller { app, secret, now, ip })
}

/// Whom a request with a genuine token is for: the token's organisation, or the only one of the person. Staff's is for
/// nobody.
pub async fn whom(request: &HttpRequest) -> Option<(OrganisationId, PersonId)> {
    let Caller { app, secret, now, .. } = find_caller(request)?;
    let found = app.database.read(move |db| {
        let Some(token) = api_tokens::find_in_force(db, &secret, now)? else { return Ok(None) };
        let Actor::Customer(customer) = access::actor_of(db, token.person_id)? else { return Ok(None) };
        let of_token = |organisation: OrganisationId| token.organisation_id.is_none_or(|only| only == organisation);
        let mut theirs =
            customer.memberships.iter().map(|membership| membership.organisation_id).filter(|one| of_token(*one));
        let (Some(organisation), None) = (theirs.next(), theirs.next()) else { return Ok(None) };
        Ok(Some((organisation, token.person_id)))
    });
    found.await.ok()?
}

impl Caller {
    /// The public name of the API secret that the token was made from, by which what waits is counted.
    pub fn secret_name(&self) -> &str {
        &self.secret
    }

    /// The same program at this moment, for a request that waited.
    pub fn later(&self) -> Caller {
        Caller { now: self.app.clock.now(), ..self.clone() }
    }

    /// Runs `query` as the program, if its token is in force and has `scope`.
    pub async fn read<T, F>(&self, scope: Scope, query: F) -> std::result::Result<T, ApiError>
    where
        T: Send + 'static,
        F: FnOnce(&mut DbConnection, &Acting) -> Result<T> + Send + 'static,
    {
        let (secret, now) = (self.secret.clone(), self.now);
        let outcome = self
            .app
            .database
            .read(move |db| {
                let acting = match acting(db, &secret, scope, now)? {
                    Ok(acting) => acting,
                    Err(refusal) => return Ok(Outcome::Refused(refusal)),
                };
                let may_miss = !acting.actor.is_staff();
                // Once there were too many misses nothing is looked up at all, so that what exists cannot be told.
                if may_miss && !throttle::allows(db, &misses_of(&secret), MISSES, now)? {
                    return Ok(Outcome::Refused(Refusal::TooManyMisses));
                }
                match query(db, &acting) {
                    Err(Error::NotFound) if may_miss => Ok(Outcome::Missed),
                    outcome => outcome.map(Outcome::Done),
                }
            })
            .await?;
        match outcome {
            Outcome::Done(value) => Ok(value),
            Outcome::Refused(refusal) => Err(refusal.into()),
            Outcome::Missed => {
                let name = misses_of(&self.secret);
                self.app.database.write(move |db| throttle::take(db, &name, MISSES, now)).await?;
                Err(Error::NotFound.into())
            }
        }
    }

    /// Runs `change` as the program, if its token is in force and has `scope`, in one transaction.
    pub async fn write<T, F>(&self, scope: Scope, change: F) -> std::result::Result<T, ApiError>
    where
        T: Send + 'static,
        F: Fn(&mut DbConnection, &Acting) -> Result<T> + Send + 'static,
    {
        let (secret, now) = (self.secret.clone(), self.now);
        let outcome = self
            .app
            .database
            .write(move |db| match acting(db, &secret, scope, now)? {
                Ok(acting) => change(db, &acting).map(Ok),
                Err(refusal) => Ok(Err(refusal)),
            })
            .await?;
        outcome.map_err(ApiError::from)
    }
}

/// What became of a query.
enum Outcome<T> {
    Done(T),
    Refused(Refusal),
    Missed,
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotInForce => ApiError::unauthorized(""),
            Refusal::Scope(scope) => ApiError::insufficient_scope(scope.as_str()),
            Refusal::TooManyMisses => Error::TooMany { retry_after_secs: 60 }.into(),
        }
    }
}

fn misses_of(secret: &str) -> String {
    throttle::name("api_lookup", secret)
}

fn acting(
    db: &mut DbConnection,
    secret: &str,
    scope: Scope,
    now: UtcTime,
) -> Result<std::result::Result<Acting, Refusal>> {
    let Some(token) = api_tokens::find_in_force(db, secret, now)? else { return Ok(Err(Refusal::NotInForce)) };
    if !token.allows(scope) {
        return Ok(Err(Refusal::Scope(scope)));
    }
    let mut actor = access::actor_of(db, token.person_id)?;
    if let (Actor::Customer(customer), Some(only)) = (&mut actor, token.organisation_id) {
        customer.memberships.retain(|membership| membership.organisation_id == only);
    }
    if let Some(queue) = token.queue_id {
        actor = actor.within(queue);
    }
    Ok(Ok(Acting {
        actor,
        person: token.person_id,
        secret: token.handle,
        only: token.organisation_id,
        only_queue: token.queue_id,
        now,
    }))
}

impl Acting {
    /// Whether what belongs to `organisation` is within the token's reach.
    pub fn reaches(&self, organisation: OrganisationId) -> bool {
        self.only.is_none_or(|only| only == organisation)
    }

    /// The ticket that the address names, if the program may see it.
    pub fn ticket(&self, db: &mut DbConnection, reference: &str) -> Result<Ticket> {
        let ticket = ticket::by_reference(db, &self.actor, reference)?;
        if self.reaches(ticket.organisation_id) { Ok(ticket) } else { Err(Error::NotFound) }
    }
}
