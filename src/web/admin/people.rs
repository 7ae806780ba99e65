//! Everybody known: the list, and making somebody known. Somebody's own page is in `person`.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Query};
use askama::Template;
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::db::DbConnection;
use crate::db::paging::PAGE_SIZE;
use crate::db::types::OrganisationId;
use crate::error::{Error, FieldErrors, Result};
use crate::i18n::Locale;
use crate::mail::address::{EmailAddress, shown_address};
use crate::people::directory::{self, Filter};
use crate::people::invitations;
use crate::people::memberships::Rights;
use crate::people::organisations::{self, OrganisationKind};
use crate::people::person::{self, NewPerson, Origin, PersonState};
use crate::people::roles::Permission;
use crate::web::forms::Form;
use crate::web::navigation::Place;
use crate::web::organisation::information::languages;
use crate::web::page::{Choice, Crumb, Page};
use crate::web::page_error::{PageError, PageResult};
use crate::web::respond::{page, page_with, redirect_saying};
use crate::web::signed_in::Staff;

/// What the list is narrowed to, and where it begins.
#[derive(Debug, Default, Deserialize, Serialize)]
pub struct ListQuery {
    #[serde(default)]
    q: String,
    #[serde(default)]
    state: String,
    #[serde(default)]
    group: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    after: Option<String>,
}

/// Who belongs where, for a new person.
#[derive(Debug, Default, Deserialize)]
pub struct NewQuery {
    #[serde(default)]
    organisation: String,
}

/// The form of a new person.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewPersonForm {
    first_name: String,
    last_name: String,
    address: String,
    telephone: String,
    job_title: String,
    language: String,
    #[serde(default)]
    organisation: String,
    #[serde(default)]
    sees_all_tickets: bool,
    #[serde(default)]
    manages_organisation: bool,
    #[serde(default)]
    grants_tracing: bool,
    #[serde(default)]
    send_invitation: bool,
}

/// `GET /admin/people`
pub async fn list(app: Data<App>, staff: Staff, query: Query<ListQuery>) -> PageResult {
    may_see_people(&staff)?;
    let query = query.into_inner();
    let filter = query.filter()?;
    let after = query.after.clone();
    let found = app.database.read(move |db| directory::list(db, &filter, after.as_deref(), PAGE_SIZE)).await?;
    let p = staff.page(&app, "people-title", Place::People);
    let rows = found
        .rows
        .into_iter()
        .map(|entry| Row {
            href: format!("/admin/people/{}", entry.handle),
            name: entry.name,
            job_title: entry.job_title,
            address: shown_address(&entry.address).to_owned(),
            is_confirmed: entry.address_confirmed_at.is_some(),
            is_active: entry.state == PersonState::Active,
            is_staff: entry.is_staff,
            organisations: entry.organisations.join(", "),
        })
        .collect();
    let states =
        Choice::list([("active", p.t.say("person-active")), ("disabled", p.t.say("person-disabled"))], &query.state);
    let groups =
        Choice::list([("staff", p.t.say("people-staff")), ("customers", p.t.say("people-customers"))], &query.group);
    page(&ListPage {
        errors: FieldErrors::default(),
        rows,
        states,
        groups,
        may_add: staff.staff.may(Permission::ManagePeople),
        is_narrowed: !query.q.is_empty() || !query.state.is_empty() || !query.group.is_empty(),
        first: query.after.is_some().then(|| query.href(None)),
        next: found.next.map(|after| query.href(Some(after))),
        q: query.q,
        p,
    })
}

/// `GET /admin/people/new`
pub async fn new(app: Data<App>, staff: Staff, query: Query<NewQuery>) -> PageResult {
    staff.require(Permission::ManagePeople)?;
    let typed = NewPersonForm {
        language: staff.texts().locale.code().to_owned(),
        organisation: query.into_inner().organisation,
        send_invitation: true,
        ..NewPersonForm::default()
    };
    new_page(&app, &staff, typed, FieldErrors::default(), StatusCode::OK).await
}

/// `POST /admin/people`
pub async fn create(app: Data<App>, staff: Staff, Form(form): Form<NewPersonForm>) -> PageResult {
    staff.require(Permission::ManagePeople)?;
    let (by, now) = (staff.signed_in.person.id, app.clock.now());
    let typed = form.clone();
    let outcome = app
        .database
        .write(move |db| {
            let new = typed.person()?;
            let organisation = match typed.organisation.as_str() {
                "" => None,
                handle => Some(company(db, handle)?),
            };
            let person = person::create(db, &new, organisation.map(|id| (id, typed.rights())), Some(by), now)?;
            if typed.send_invitation {
                invitations::invite(db, person.id, by, now)?;
            }
            Ok(person.handle)
        })
        .await;
    match outcome {
        Ok(handle) => Ok(redirect_saying(&format!("/admin/people/{handle}"), "said-person-added")),
        Err(Error::Invalid(errors)) => new_page(&app, &staff, form, errors, StatusCode::UNPROCESSABLE_ENTITY).await,
        Err(Error::Conflict(message)) => {
            let mut errors = FieldErrors::default();
            errors.add("", message);
            new_page(&app, &staff, form, errors, StatusCode::CONFLICT).await
        }
        Err(error) => Err(error.into()),
    }
}

/// Supervisors manage people, administrators manage staff; both look people up.
pub(super) fn may_see_people(staff: &Staff) -> Result<()> {
    staff.require(Permission::ManagePeople).or_else(|_| staff.require(Permission::ManageStaff))
}

async fn new_page(
    app: &App,
    staff: &Staff,
    typed: NewPersonForm,
    errors: FieldErrors,
    status: StatusCode,
) -> PageResult {
    let handle = typed.organisation.clone();
    let organisation = app
        .database
        .read(move |db| if handle.is_empty() { Ok(None) } else { organisations::find_by_handle(db, &handle) })
        .await?;
    let p = staff.page(app, "person-new", Place::People);
    let template = NewPage {
        errors,
        crumbs: vec![Crumb::new(p.t.say("nav-people"), "/admin/people")],
        languages: languages(&p.t, &typed.language),
        organisation: organisation.map(|organisation| (organisation.handle, organisation.name)),
        gives_tracing: false,
        typed,
        p,
    };
    page_with(&template, status)
}

/// The organisation that a new person is to be a member of.
fn company(db: &mut DbConnection, handle: &str) -> Result<OrganisationId> {
    organisations::find_by_handle(db, handle)?
        .filter(|organisation| organisation.kind != OrganisationKind::Individual)
        .map(|organisation| organisation.id)
        .ok_or(Error::NotFound)
}

impl ListQuery {
    /// The filter as closed values; a state or group that does not exist is no list (ADV-23).
    fn filter(&self) -> Result<Filter, PageError> {
        let state = match self.state.as_str() {
            "" => None,
            text => Some(PersonState::parse(text).ok_or_else(PageError::bad_request)?),
        };
        let staff = match self.group.as_str() {
            "" => None,
            "staff" => Some(true),
            "customers" => Some(false),
            _ => return Err(PageError::bad_request()),
        };
        Ok(Filter { text: self.q.clone(), state, staff })
    }

    fn href(&self, after: Option<String>) -> String {
        let query = ListQuery { q: self.q.clone(), state: self.state.clone(), group: self.group.clone(), after };
        // Strings always can be written as a query.
        format!("/admin/people?{}", serde_html_form::to_string(&query).unwrap_or_default())
    }
}

impl NewPersonForm {
    fn person(&self) -> Result<NewPerson> {
        let typed = self.address.trim();
        let mut errors = FieldErrors::default();
        if self.last_name.trim().is_empty() {
            errors.add("last_name", "error-mandatory");
        }
        let address = EmailAddress::of_somebody(typed);
        if address.is_none() {
            errors.add("address", if typed.is_empty() { "error-mandatory" } else { "error-address" });
        }
        match address {
            Some(address) if errors.is_empty() => Ok(NewPerson {
                first_name: self.first_name.clone(),
                last_name: self.last_name.clone(),
                job_title: self.job_title.clone(),
                telephone: self.telephone.clone(),
                ..NewPerson::at(address, Locale::parse(&self.language).unwrap_or_default(), Origin::Staff)
            }),
            _ => Err(Error::Invalid(errors)),
        }
    }

    fn rights(&self) -> Rights {
        Rights {
            sees_all_tickets: self.sees_all_tickets,
            manages_organisation: self.manages_organisation,
            grants_tracing: self.grants_tracing,
        }
    }
}

struct Row {
    href: String,
    name: String,
    job_title: String,
    address: String,
    is_confirmed: bool,
    is_active: bool,
    is_staff: bool,
    organisations: String,
}

#[derive(Template)]
#[template(path = "admin/people.html")]
struct ListPage {
    p: Page,
    errors: FieldErrors,
    q: String,
    states: Vec<Choice>,
    groups: Vec<Choice>,
    may_add: bool,
    is_narrowed: bool,
    rows: Vec<Row>,
    first: Option<String>,
    next: Option<String>,
}

#[derive(Template)]
#[template(path = "admin/person_new.html")]
struct NewPage {
    p: Page,
    errors: FieldErrors,
    crumbs: Vec<Crumb>,
    languages: Vec<Choice>,
    organisation: Option<(String, String)>,
    /// Whether who fills this in gives the right to grant tracing, which staff do not.
    gives_tracing: bool,
    typed: NewPersonForm,
}
