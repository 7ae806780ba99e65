//! Organisations for programs: those which the token's person may see, by the rules of the pages.

use actix_web::web::Path;
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::access::{self, Actor};
use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::error::{Error, FieldErrors, Result};
use crate::i18n::Locale;
use crate::people::api_tokens::Scope;
use crate::people::organisations::{
    self, Contract, Filter, Information, Organisation, OrganisationKind, OrganisationStatus,
};
use crate::people::roles::Permission;
use crate::web::api::answers::{created, ok, once_only};
use crate::web::api::authenticated::{Acting, Caller};
use crate::web::api::errors::{ApiResult, Failure};
use crate::web::api::input::{Body, Parameters, Text, page_size};

/// An organisation.
#[derive(Debug, Serialize, ToSchema)]
pub struct OrganisationJson {
    handle: String,
    /// `company`, `individual` (one person on their own) or `operator`.
    #[schema(value_type = String)]
    kind: OrganisationKind,
    name: String,
    /// `prospect`, `customer` or `former`.
    #[schema(value_type = String)]
    status: OrganisationStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Date)]
    contract_started_on: Option<NaiveDate>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Date)]
    contract_ended_on: Option<NaiveDate>,
    address_lines: String,
    postal_code: String,
    city: String,
    /// Two letters of ISO 3166-1, or nothing.
    country: String,
    vat_number: String,
    telephone: String,
    /// `fr` or `en`.
    language: &'static str,
    /// Whether members who may see all tickets see those of their colleagues.
    colleagues_see_tickets: bool,
    #[schema(value_type = String, format = DateTime)]
    created_at: UtcTime,
}

/// A page of organisations, by name.
#[derive(Debug, Serialize, ToSchema)]
pub struct OrganisationList {
    items: Vec<OrganisationJson>,
    /// The `cursor` of the next page, if there is one.
    next: Option<String>,
}

/// What a list of organisations is narrowed to.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct OrganisationQuery {
    /// What the name begins with; case and accents do not matter.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    name: String,
    /// `prospect`, `customer` or `former`.
    #[param(value_type = Option<String>)]
    status: Option<OrganisationStatus>,
    /// `company`, `individual` or `operator`.
    #[param(value_type = Option<String>)]
    kind: Option<OrganisationKind>,
    /// Where the page begins: `next` of the page before.
    cursor: Option<String>,
    /// 1 to 100; 25 by default.
    limit: Option<i64>,
}

/// A company to be registered.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewOrganisationJson {
    #[serde(default)]
    #[schema(value_type = String)]
    name: Text,
    /// `prospect` (by default), `customer` or `former`.
    #[schema(value_type = Option<String>)]
    status: Option<OrganisationStatus>,
    #[schema(value_type = Option<String>, format = Date)]
    contract_started_on: Option<NaiveDate>,
    #[schema(value_type = Option<String>, format = Date)]
    contract_ended_on: Option<NaiveDate>,
    #[serde(default)]
    #[schema(value_type = String)]
    address_lines: Text,
    #[serde(default)]
    #[schema(value_type = String)]
    postal_code: Text,
    #[serde(default)]
    #[schema(value_type = String)]
    city: Text,
    /// Two letters of ISO 3166-1.
    #[serde(default)]
    #[schema(value_type = String)]
    country: Text,
    #[serde(default)]
    #[schema(value_type = String)]
    vat_number: Text,
    #[serde(default)]
    #[schema(value_type = String)]
    telephone: Text,
    /// `fr` or `en`; `fr` by default.
    #[schema(value_type = Option<String>)]
    language: Option<Text>,
    #[serde(default)]
    colleagues_see_tickets: bool,
}

/// Lists organisations: one's own, or all of them for who manages people.
#[utoipa::path(
    get, path = "/api/v1/organisations", tag = "organisations", operation_id = "list-organisations",
    params(OrganisationQuery),
    security(("token" = ["organisations:read"])),
    responses(
        (status = 200, body = OrganisationList), (status = 400, body = Failure), (status = 401, body = Failure),
        (status = 403, body = Failure),
    ),
)]
pub async fn list(caller: Caller, query: Parameters<OrganisationQuery>) -> ApiResult {
    let Parameters(query) = query;
    let size = page_size(query.limit)?;
    let list = caller
        .read(Scope::OrganisationsRead, move |db, acting| {
            if let Actor::Customer(customer) = &acting.actor {
                let own =
                    customer.memberships.iter().map(|membership| organisations::by_id(db, membership.organisation_id));
                let own = own.collect::<Result<Vec<_>>>()?;
                return Ok(OrganisationList { items: own.into_iter().map(organisation_json).collect(), next: None });
            }
            if let Some(only) = acting.only.filter(|only| access::can_see_organisation(&acting.actor, *only)) {
                let items = vec![organisation_json(organisations::by_id(db, only)?)];
                return Ok(OrganisationList { items, next: None });
            }
            if acting.only.is_some() || !access::may(&acting.actor, Permission::ManagePeople) {
                return Err(Error::Forbidden);
            }
            let filter = Filter { name: query.name.clone(), status: query.status, kind: query.kind };
            let page = organisations::list(db, &filter, query.cursor.as_deref(), size)?;
            Ok(OrganisationList { items: page.rows.into_iter().map(organisation_json).collect(), next: page.next })
        })
        .await?;
    ok(&list)
}

/// Reads an organisation.
#[utoipa::path(
    get, path = "/api/v1/organisations/{handle}", tag = "organisations", operation_id = "read-organisation",
    params(("handle" = String, Path)),
    security(("token" = ["organisations:read"])),
    responses(
        (status = 200, body = OrganisationJson), (status = 401, body = Failure), (status = 403, body = Failure),
        (status = 404, body = Failure),
    ),
)]
pub async fn show(caller: Caller, handle: Path<String>) -> ApiResult {
    let handle = handle.into_inner();
    let organisation = caller.read(Scope::OrganisationsRead, move |db, acting| seen_by(db, acting, &handle)).await?;
    ok(&organisation_json(organisation))
}

/// Registers a company; for staff who manages people.
#[utoipa::path(
    post, path = "/api/v1/organisations", tag = "organisations", operation_id = "add-organisation",
    params(("Idempotency-Key" = Option<String>, Header, description = "Recognises the request for two days")),
    request_body = NewOrganisationJson,
    security(("token" = ["organisations:write"])),
    responses(
        (status = 201, body = OrganisationJson), (status = 400, body = Failure), (status = 401, body = Failure),
        (status = 403, body = Failure), (status = 415, body = Failure), (status = 422, body = Failure),
    ),
)]
pub async fn create(caller: Caller, body: Body<NewOrganisationJson>) -> ApiResult {
    let Body { value: new, once } = body;
    let made = caller
        .write(Scope::OrganisationsWrite, move |db, acting| {
            // A token of one organisation makes no other.
            if acting.only.is_some() || !access::may(&acting.actor, Permission::ManagePeople) {
                return Err(Error::Forbidden);
            }
            once_only(db, acting, once.as_ref(), |db| {
                let organisation = add(db, acting, &new)?;
                let location = format!("/api/v1/organisations/{}", organisation.handle);
                Ok((location, organisation_json(organisation)))
            })
        })
        .await?;
    created(made)
}

/// The organisation with that public name, if the program may see it; otherwise nothing is told of it (T-02).
pub fn seen_by(db: &mut DbConnection, acting: &Acting, handle: &str) -> Result<Organisation> {
    organisations::find_by_handle(db, handle)?
        .filter(|organisation| access::can_see_organisation(&acting.actor, organisation.id))
        .filter(|organisation| acting.reaches(organisation.id))
        .ok_or(Error::NotFound)
}

fn add(db: &mut DbConnection, acting: &Acting, new: &NewOrganisationJson) -> Result<Organisation> {
    let language = match &new.language {
        Some(language) => Locale::parse(language.as_str()),
        None => Some(Locale::default()),
    };
    let mut errors = FieldErrors::default();
    if language.is_none() {
        errors.add("language", "error-choice");
    }
    let information = Information {
        name: new.name.0.clone(),
        address_lines: new.address_lines.0.clone(),
        postal_code: new.postal_code.0.clone(),
        city: new.city.0.clone(),
        country: new.country.0.clone(),
        vat_number: new.vat_number.0.clone(),
        telephone: new.telephone.0.clone(),
        language: language.unwrap_or_default(),
        colleagues_see_tickets: new.colleagues_see_tickets,
        declines_reference: false,
    };
    information.check(&mut errors);
    errors.into_result()?;
    let contract = Contract {
        status: new.status.unwrap_or(OrganisationStatus::Prospect),
        started_on: new.contract_started_on,
        ended_on: new.contract_ended_on,
    };
    organisations::create(db, &information, contract, Some(acting.person), acting.now)
}

fn organisation_json(organisation: Organisation) -> OrganisationJson {
    OrganisationJson {
        handle: organisation.handle,
        kind: organisation.kind,
        name: organisation.name,
        status: organisation.status,
        contract_started_on: organisation.contract_started_on,
        contract_ended_on: organisation.contract_ended_on,
        address_lines: organisation.address_lines,
        postal_code: organisation.postal_code,
        city: organisation.city,
        country: organisation.country,
        vat_number: organisation.vat_number,
        telephone: organisation.telephone,
        language: organisation.language.0.code(),
        colleagues_see_tickets: organisation.colleagues_see_tickets,
        created_at: organisation.created_at,
    }
}
