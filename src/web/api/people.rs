//! People for programs: those whom the token's person may know of, by the rules of the pages.

use actix_web::web::Path;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::access::{self, Actor};
use crate::db::DbConnection;
use crate::db::types::OrganisationId;
use crate::error::{Error, FieldErrors, Result};
use crate::i18n::Locale;
use crate::mail::address::{EmailAddress, shown_address};
use crate::people::api_tokens::Scope;
use crate::people::directory::{self, Filter};
use crate::people::memberships::{self, Rights};
use crate::people::organisations;
use crate::people::person::{self, NewPerson, Origin, Person, PersonState};
use crate::people::roles::Permission;
use crate::web::api::answers::{created, ok, once_only};
use crate::web::api::authenticated::{Acting, Caller};
use crate::web::api::errors::{ApiResult, Failure};
use crate::web::api::input::{Body, Parameters, Text, page_size};

/// Somebody.
#[derive(Debug, Serialize, ToSchema)]
pub struct PersonJson {
    handle: String,
    first_name: String,
    last_name: String,
    job_title: String,
    telephone: String,
    /// Their primary e-mail address.
    address: String,
    /// `fr` or `en`.
    language: &'static str,
    time_zone: String,
    /// `active` or `disabled`.
    #[schema(value_type = String)]
    state: PersonState,
}

/// Somebody in a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct PersonEntry {
    handle: String,
    name: String,
    job_title: String,
    address: String,
    /// `active` or `disabled`.
    #[schema(value_type = String)]
    state: PersonState,
}

/// A page of people, by last name.
#[derive(Debug, Serialize, ToSchema)]
pub struct PersonList {
    items: Vec<PersonEntry>,
    /// The `cursor` of the next page, if there is one.
    next: Option<String>,
}

/// Whom a list shows.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PersonQuery {
    /// The members of the organisation with this handle; without it everybody, for who manages people.
    organisation: Option<String>,
    /// What the last name or the address begins with; not with `organisation`.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    name: String,
    /// Where the page begins: `next` of the page before.
    cursor: Option<String>,
    /// 1 to 100; 25 by default.
    limit: Option<i64>,
}

/// Somebody to be made known.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPersonJson {
    #[serde(default)]
    #[schema(value_type = String)]
    first_name: Text,
    #[serde(default)]
    #[schema(value_type = String)]
    last_name: Text,
    /// An e-mail address that nobody has yet.
    #[serde(default)]
    #[schema(value_type = String)]
    address: Text,
    #[serde(default)]
    #[schema(value_type = String)]
    job_title: Text,
    #[serde(default)]
    #[schema(value_type = String)]
    telephone: Text,
    /// `fr` or `en`; `fr` by default.
    #[schema(value_type = Option<String>)]
    language: Option<Text>,
    /// The handle of the organisation they are a member of; without it they are on their own.
    #[schema(value_type = Option<String>)]
    organisation: Option<Text>,
    /// Whether they see their colleagues' tickets, where the organisation lets them.
    #[serde(default)]
    sees_all_tickets: bool,
    /// Whether they manage members, sites and environments.
    #[serde(default)]
    manages_organisation: bool,
}

/// Lists people: the members of an organisation, or everybody.
#[utoipa::path(
    get, path = "/api/v1/people", tag = "people", operation_id = "list-people", params(PersonQuery),
    security(("token" = ["people:read"])),
    responses(
        (status = 200, body = PersonList), (status = 400, body = Failure), (status = 401, body = Failure),
        (status = 403, body = Failure), (status = 404, body = Failure),
    ),
)]
pub async fn list(caller: Caller, query: Parameters<PersonQuery>) -> ApiResult {
    let Parameters(query) = query;
    let size = page_size(query.limit)?;
    let list = caller
        .read(Scope::PeopleRead, move |db, acting| {
            let after = query.cursor.as_deref();
            match organisation_of(db, acting, query.organisation.as_deref())? {
                Some(organisation) => members(db, organisation, after, size),
                None => everybody(db, acting, &query.name, after, size),
            }
        })
        .await?;
    ok(&list)
}

/// Reads what is known of somebody.
#[utoipa::path(
    get, path = "/api/v1/people/{handle}", tag = "people", operation_id = "read-person",
    params(("handle" = String, Path)),
    security(("token" = ["people:read"])),
    responses(
        (status = 200, body = PersonJson), (status = 401, body = Failure), (status = 403, body = Failure),
        (status = 404, body = Failure),
    ),
)]
pub async fn show(caller: Caller, handle: Path<String>) -> ApiResult {
    let handle = handle.into_inner();
    let person = caller
        .read(Scope::PeopleRead, move |db, acting| {
            let person = person::find_by_handle(db, &handle)?.ok_or(Error::NotFound)?;
            if may_read(db, acting, &person)? { Ok(person_json(person)) } else { Err(Error::NotFound) }
        })
        .await?;
    ok(&person)
}

/// Makes somebody known; for staff who manages people.
#[utoipa::path(
    post, path = "/api/v1/people", tag = "people", operation_id = "add-person",
    params(("Idempotency-Key" = Option<String>, Header, description = "Recognises the request for two days")),
    request_body = NewPersonJson,
    security(("token" = ["people:write"])),
    responses(
        (status = 201, body = PersonJson), (status = 400, body = Failure), (status = 401, body = Failure),
        (status = 403, body = Failure), (status = 415, body = Failure), (status = 422, body = Failure),
    ),
)]
pub async fn create(caller: Caller, body: Body<NewPersonJson>) -> ApiResult {
    let Body { value: new, once } = body;
    let made = caller
        .write(Scope::PeopleWrite, move |db, acting| {
            if !access::may(&acting.actor, Permission::ManagePeople) {
                return Err(Error::Forbidden);
            }
            once_only(db, acting, once.as_ref(), |db| {
                let person = add(db, acting, &new)?;
                Ok((format!("/api/v1/people/{}", person.handle), person_json(person)))
            })
        })
        .await?;
    created(made)
}

fn add(db: &mut DbConnection, acting: &Acting, new: &NewPersonJson) -> Result<Person> {
    let mut errors = FieldErrors::default();
    let address = EmailAddress::of_somebody(new.address.as_str());
    if address.is_none() {
        errors.add("address", "error-address");
    }
    let language = match &new.language {
        Some(language) => Locale::parse(language.as_str()),
        None => Some(Locale::default()),
    };
    if language.is_none() {
        errors.add("language", "error-choice");
    }
    let organisation = match &new.organisation {
        Some(handle) => organisations::find_by_handle(db, handle.as_str())?.map(|organisation| organisation.id),
        None => acting.only,
    };
    let organisation = organisation.filter(|organisation| acting.reaches(*organisation));
    if new.organisation.is_some() && organisation.is_none() {
        errors.add("organisation", "error-choice");
    }
    let (Some(address), Some(language), true) = (address, language, errors.is_empty()) else {
        return Err(Error::Invalid(errors));
    };
    let rights = Rights {
        sees_all_tickets: new.sees_all_tickets,
        manages_organisation: new.manages_organisation,
        grants_tracing: false,
    };
    let person = NewPerson {
        first_name: new.first_name.0.clone(),
        last_name: new.last_name.0.clone(),
        job_title: new.job_title.0.clone(),
        telephone: new.telephone.0.clone(),
        ..NewPerson::at(address, language, Origin::Api)
    };
    let organisation = organisation.map(|organisation| (organisation, rights));
    person::create(db, &person, organisation, Some(acting.person), acting.now)
}

/// The organisation whose members are asked for, if the program may see it.
fn organisation_of(db: &mut DbConnection, acting: &Acting, handle: Option<&str>) -> Result<Option<OrganisationId>> {
    let organisation = match (handle, acting.only) {
        (Some(handle), _) => organisations::find_by_handle(db, handle)?.ok_or(Error::NotFound)?.id,
        // Its person may have left it since the token was made.
        (None, Some(only)) => only,
        (None, None) => return Ok(None),
    };
    let is_seen = access::can_see_organisation(&acting.actor, organisation) && acting.reaches(organisation);
    if is_seen { Ok(Some(organisation)) } else { Err(Error::NotFound) }
}

fn members(db: &mut DbConnection, organisation: OrganisationId, after: Option<&str>, size: i64) -> Result<PersonList> {
    let page = memberships::members(db, organisation, after, size)?.map(|member| PersonEntry {
        name: member.display_name(),
        handle: member.handle,
        job_title: member.job_title,
        address: shown_address(&member.address).to_owned(),
        state: member.state,
    });
    Ok(PersonList { items: page.rows, next: page.next })
}

fn everybody(db: &mut DbConnection, acting: &Acting, name: &str, after: Option<&str>, size: i64) -> Result<PersonList> {
    if !manages_people(acting) {
        return Err(Error::Forbidden);
    }
    let filter = Filter { text: name.to_owned(), ..Filter::default() };
    let page = directory::list(db, &filter, after, size)?.map(|entry| PersonEntry {
        handle: entry.handle,
        name: entry.name,
        job_title: entry.job_title,
        address: shown_address(&entry.address).to_owned(),
        state: entry.state,
    });
    Ok(PersonList { items: page.rows, next: page.next })
}

/// Oneself, members of the organisations one sees, and for who manages people everybody; within the token's reach.
fn may_read(db: &mut DbConnection, acting: &Acting, person: &Person) -> Result<bool> {
    if acting.only.is_none() && (person.id == acting.person || manages_people(acting)) {
        return Ok(true);
    }
    let seen: Vec<OrganisationId> = match (&acting.actor, acting.only) {
        (actor, Some(only)) if access::can_see_organisation(actor, only) => vec![only],
        (Actor::Customer(customer), None) => customer.memberships.iter().map(|m| m.organisation_id).collect(),
        _ => Vec::new(),
    };
    for organisation in seen {
        if memberships::find_member(db, organisation, &person.handle)?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

fn manages_people(acting: &Acting) -> bool {
    access::may(&acting.actor, Permission::ManagePeople) || access::may(&acting.actor, Permission::ManageStaff)
}

fn person_json(person: Person) -> PersonJson {
    PersonJson {
        handle: person.handle,
        first_name: person.first_name,
        last_name: person.last_name,
        job_title: person.job_title,
        telephone: person.telephone,
        address: shown_address(&person.address).to_owned(),
        language: person.language.0.code(),
        time_zone: person.time_zone,
        state: person.state,
    }
}
