//! The environments of an organisation for programs (configuration data, B10), such as an inventory that keeps them up to
//! date.

use actix_web::web::Path;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::access;
use crate::error::{Error, Result};
use crate::people::api_tokens::Scope;
use crate::people::environments::{self, Component, ComponentKind, Environment, EnvironmentDescription};
use crate::web::api::answers::{created, ok, once_only};
use crate::web::api::authenticated::Caller;
use crate::web::api::errors::{ApiResult, Failure};
use crate::web::api::input::{Body, Text};
use crate::web::api::organisations::seen_by;
use crate::web::api::tickets::Named;

/// One set-up of an organisation.
#[derive(Debug, Serialize, ToSchema)]
pub struct EnvironmentJson {
    handle: String,
    name: String,
    operating_system: String,
    remarks: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    site: Option<Named>,
    products: Vec<Part>,
    components: Vec<Part>,
}

/// A product or component with its version.
#[derive(Debug, Serialize, ToSchema)]
pub struct Part {
    name: String,
    version: String,
}

/// Every environment of an organisation.
#[derive(Debug, Serialize, ToSchema)]
pub struct EnvironmentList {
    items: Vec<EnvironmentJson>,
}

/// An environment to be added.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewEnvironmentJson {
    #[serde(default)]
    #[schema(value_type = String)]
    name: Text,
    /// The handle of the site where it is.
    #[serde(default)]
    #[schema(value_type = String)]
    site: Text,
    #[serde(default)]
    #[schema(value_type = String)]
    operating_system: Text,
    #[serde(default)]
    #[schema(value_type = String)]
    remarks: Text,
    #[serde(default)]
    products: Vec<NewPart>,
    #[serde(default)]
    components: Vec<NewPart>,
}

/// A product or component with its version, which may be left out.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPart {
    #[schema(value_type = String)]
    name: Text,
    #[serde(default)]
    #[schema(value_type = String)]
    version: Text,
}

/// Lists the environments of an organisation.
#[utoipa::path(
    get, path = "/api/v1/organisations/{handle}/environments", tag = "environments",
    operation_id = "list-environments",
    params(("handle" = String, Path, description = "Of the organisation")),
    security(("token" = ["environments:read"])),
    responses(
        (status = 200, body = EnvironmentList), (status = 401, body = Failure), (status = 403, body = Failure),
        (status = 404, body = Failure),
    ),
)]
pub async fn list(caller: Caller, handle: Path<String>) -> ApiResult {
    let handle = handle.into_inner();
    let found = caller
        .read(Scope::EnvironmentsRead, move |db, acting| {
            let organisation = seen_by(db, acting, &handle)?;
            environments::of_organisation(db, organisation.id)
        })
        .await?;
    ok(&EnvironmentList { items: found.into_iter().map(environment_json).collect() })
}

/// Reads an environment.
#[utoipa::path(
    get, path = "/api/v1/organisations/{handle}/environments/{environment}", tag = "environments",
    operation_id = "read-environment",
    params(("handle" = String, Path, description = "Of the organisation"), ("environment" = String, Path)),
    security(("token" = ["environments:read"])),
    responses(
        (status = 200, body = EnvironmentJson), (status = 401, body = Failure), (status = 403, body = Failure),
        (status = 404, body = Failure),
    ),
)]
pub async fn show(caller: Caller, path: Path<(String, String)>) -> ApiResult {
    let (handle, environment) = path.into_inner();
    let found = caller
        .read(Scope::EnvironmentsRead, move |db, acting| {
            let organisation = seen_by(db, acting, &handle)?;
            environments::find(db, organisation.id, &environment)?.ok_or(Error::NotFound)
        })
        .await?;
    ok(&environment_json(found))
}

/// Adds an environment; for who manages the organisation.
#[utoipa::path(
    post, path = "/api/v1/organisations/{handle}/environments", tag = "environments",
    operation_id = "add-environment",
    params(
        ("handle" = String, Path, description = "Of the organisation"),
        ("Idempotency-Key" = Option<String>, Header, description = "Recognises the request for two days"),
    ),
    request_body = NewEnvironmentJson,
    security(("token" = ["environments:write"])),
    responses(
        (status = 201, body = EnvironmentJson), (status = 400, body = Failure), (status = 401, body = Failure),
        (status = 403, body = Failure), (status = 404, body = Failure), (status = 415, body = Failure),
        (status = 422, body = Failure),
    ),
)]
pub async fn create(caller: Caller, handle: Path<String>, body: Body<NewEnvironmentJson>) -> ApiResult {
    let Body { value: new, once } = body;
    let handle = handle.into_inner();
    let made = caller
        .write(Scope::EnvironmentsWrite, move |db, acting| {
            let organisation = seen_by(db, acting, &handle)?;
            if !access::can_manage_organisation(&acting.actor, organisation.id) {
                return Err(Error::Forbidden);
            }
            once_only(db, acting, once.as_ref(), |db| {
                let environment = environments::create(db, organisation.id, &description(&new), acting.now)?;
                let location = format!("/api/v1/organisations/{}/environments/{environment}", organisation.handle);
                let found: Result<_> = environments::find(db, organisation.id, &environment);
                Ok((location, environment_json(found?.ok_or(Error::NotFound)?)))
            })
        })
        .await?;
    created(made)
}

fn description(new: &NewEnvironmentJson) -> EnvironmentDescription {
    let parts = |parts: &[NewPart], kind: ComponentKind| -> Vec<Component> {
        parts
            .iter()
            .map(|part| Component { kind, name: part.name.0.clone(), version: part.version.0.clone() })
            .collect()
    };
    let mut all = parts(&new.products, ComponentKind::Product);
    all.extend(parts(&new.components, ComponentKind::Component));
    EnvironmentDescription {
        name: new.name.0.clone(),
        site: new.site.0.clone(),
        operating_system: new.operating_system.0.clone(),
        remarks: new.remarks.0.clone(),
        components: all,
    }
}

fn environment_json(environment: Environment) -> EnvironmentJson {
    let parts = |kind: ComponentKind| -> Vec<Part> {
        let parts = environment.of_kind(kind);
        parts.map(|part| Part { name: part.name.clone(), version: part.version.clone() }).collect()
    };
    EnvironmentJson {
        products: parts(ComponentKind::Product),
        components: parts(ComponentKind::Component),
        handle: environment.handle,
        name: environment.name,
        operating_system: environment.operating_system,
        remarks: environment.remarks,
        site: environment.site.map(|(handle, name)| Named { handle, name }),
    }
}
