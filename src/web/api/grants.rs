//! Which diagnostics of products are granted now, for products that ask by themselves instead of sending and being
//! refused. A request may wait: it is answered as soon as the list is another than the one the program has, within half a
//! minute.

use std::time::Duration;

use actix_web::http::header::{self, HeaderName};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::time::{Instant, sleep_until, timeout_at};
use utoipa::{IntoParams, ToSchema};

use crate::access::{self, Actor};
use crate::app::App;
use crate::clock::UtcTime;
use crate::consent::{Grant, Subject, grants};
use crate::db::DbConnection;
use crate::error::{Error, Result};
use crate::people::api_tokens::Scope;
use crate::people::{organisations, person};
use crate::tickets::ticket;
use crate::web::api::authenticated::{Acting, Caller};
use crate::web::api::errors::{ApiError, ApiResult, Failure};
use crate::web::api::input::Parameters;
use crate::web::request::header_text;

/// The longest wait that can be asked for.
const LONGEST_WAIT: u64 = 30;
/// When to come again for who has as many requests waiting as they may.
const RETRY_AFTER_SECS: u64 = 5;
/// How often the list is looked at while somebody waits, at least and at most: the first for what other processes commit
/// and for what expires, the second so that a busy desk is not asked at every commit.
const EVERY: Duration = Duration::from_secs(1);
const AT_MOST_EVERY: Duration = Duration::from_millis(100);

/// A grant under which products may send.
#[derive(Debug, Serialize, ToSchema)]
pub struct GrantJson {
    handle: String,
    /// The handle of the organisation.
    organisation: String,
    /// The handle of the person whose own use it is; without it, it is everybody's in the organisation.
    #[serde(skip_serializing_if = "Option::is_none")]
    person: Option<String>,
    /// `error`, `warn`, `info`, `debug` or `trace`.
    level: &'static str,
    /// Attributes that may be kept beside the usual ones.
    attributes: Vec<String>,
    #[schema(value_type = String, format = DateTime)]
    granted_at: UtcTime,
    #[schema(value_type = String, format = DateTime)]
    expires_at: UtcTime,
}

/// Every such grant that the program may know of.
#[derive(Debug, Serialize, ToSchema)]
pub struct GrantList {
    items: Vec<GrantJson>,
}

/// How long the answer may be waited for.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct GrantQuery {
    /// Seconds, 0 to 30, until there is something new for who sends `If-None-Match`; `Prefer: wait=` says the same.
    wait: Option<u64>,
}

/// Lists the grants of products that are live.
#[utoipa::path(
    get, path = "/api/v1/tracing/grants", tag = "tracing", operation_id = "list-grants",
    params(
        GrantQuery,
        ("If-None-Match" = Option<String>, Header, description = "The `ETag` of the list that the program has"),
        ("Prefer" = Option<String>, Header, description = "`wait=` and seconds"),
    ),
    security(("token" = ["tracing:read"])),
    responses(
        (status = 200, body = GrantList, headers(("ETag" = String, description = "The name of this list"))),
        (status = 304, description = "The list is still the same"), (status = 400, body = Failure),
        (status = 401, body = Failure), (status = 403, body = Failure),
        (status = 429, body = Failure, description = "As many requests of this token wait as may"),
    ),
)]
pub async fn list(app: Data<App>, caller: Caller, request: HttpRequest, query: Parameters<GrantQuery>) -> ApiResult {
    let known = header_text(&request, header::IF_NONE_MATCH);
    let wait = wait(&request, query.0.wait)?;
    let until = Instant::now() + Duration::from_secs(wait.unwrap_or(0));
    let mut changes = app.database.changes().follow();
    let mut seat = None;
    loop {
        let asked_at = Instant::now();
        let list = caller.later().read(Scope::TracingRead, granted).await?;
        let body = serde_json::to_string(&list).map_err(|error| Error::internal(format!("no JSON of it: {error}")))?;
        let tag = format!("\"{}\"", HEXLOWER.encode(&Sha256::digest(body.as_bytes())[..16]));
        let is_known = known.split(',').any(|name| name.trim().trim_start_matches("W/") == tag || name.trim() == "*");
        if !is_known {
            return Ok(answer(HttpResponse::Ok(), &tag, wait).content_type("application/json").body(body));
        }
        if Instant::now() >= until {
            return Ok(answer(HttpResponse::NotModified(), &tag, wait).finish());
        }
        if seat.is_none() {
            let full = |_| Error::TooMany { retry_after_secs: RETRY_AFTER_SECS };
            seat = Some(app.looking.waiting.take(caller.secret_name().to_owned()).map_err(full)?);
        }
        // A commit of this process, or the next look; whichever is first.
        if let Ok(Err(_)) = timeout_at(until.min(asked_at + EVERY), changes.changed()).await {
            return Err(Error::internal("nobody tells of commits any more").into());
        }
        sleep_until(until.min(asked_at + AT_MOST_EVERY)).await;
        changes.mark_unchanged();
    }
}

fn answer(
    mut response: actix_web::HttpResponseBuilder,
    tag: &str,
    wait: Option<u64>,
) -> actix_web::HttpResponseBuilder {
    response.insert_header((header::ETAG, tag));
    if let Some(wait) = wait {
        response.insert_header((HeaderName::from_static("preference-applied"), format!("wait={wait}")));
    }
    response
}

/// The wait that is asked for, by the address or by a header (RFC 7240), cut to the longest.
fn wait(request: &HttpRequest, in_query: Option<u64>) -> std::result::Result<Option<u64>, ApiError> {
    if let Some(seconds) = in_query {
        let refused = || ApiError::invalid_parameter(format!("wait: 0 to {LONGEST_WAIT}"));
        return if seconds <= LONGEST_WAIT { Ok(Some(seconds)) } else { Err(refused()) };
    }
    let prefer = header_text(request, HeaderName::from_static("prefer"));
    let asked = prefer.split([',', ';']).find_map(|preference| preference.trim().strip_prefix("wait="));
    // A preference that cannot be read is none.
    Ok(asked.and_then(|seconds| seconds.trim().parse::<u64>().ok()).map(|seconds| seconds.min(LONGEST_WAIT)))
}

fn granted(db: &mut DbConnection, acting: &Acting) -> Result<GrantList> {
    let mut items = Vec::new();
    for grant in grants::all_active(db)?.into_iter().filter(|grant| grant.is_live(acting.now)) {
        let Some(level) = grant.scope.products() else { continue };
        if !acting.reaches(grant.organisation_id) || !may_know(db, &acting.actor, &grant)? {
            continue;
        }
        items.push(GrantJson {
            organisation: organisations::by_id(db, grant.organisation_id)?.handle,
            person: grant.subject.person().map(|id| person::by_id(db, id)).transpose()?.map(|person| person.handle),
            level: level.as_str(),
            attributes: grant.scope.attributes.clone(),
            granted_at: grant.granted_at,
            expires_at: grant.expires_at,
            handle: grant.handle,
        });
    }
    Ok(GrantList { items })
}

/// Agents know of what they may ask for; a customer of what runs for all of their organisation, and of what is theirs.
fn may_know(db: &mut DbConnection, actor: &Actor, grant: &Grant) -> Result<bool> {
    Ok(match actor {
        Actor::Staff(_) => access::can_work_on(actor, &ticket::by_id(db, grant.ticket_id)?.facts()),
        Actor::Customer(customer) => {
            customer.is_member_of(grant.organisation_id)
                && (grant.subject == Subject::Organisation || grant.belongs_to(customer))
                && customer.reaches(ticket::by_id(db, grant.ticket_id)?.queue_id)
        }
        Actor::LinkHolder { .. } | Actor::System => false,
    })
}
