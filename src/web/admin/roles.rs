//! Staff roles as sets of permissions, and who has them.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Path};
use askama::Template;
use serde::Deserialize;

use crate::app::App;
use crate::error::{Error, FieldErrors};
use crate::i18n::Texts;
use crate::people::person::PersonState;
use crate::people::roles::{self, Permission, StaffRole};
use crate::people::staff;
use crate::web::forms::Form;
use crate::web::navigation::Place;
use crate::web::page::{Choice, Crumb, Page};
use crate::web::page_error::{PageError, PageResult};
use crate::web::respond::{page, page_with, redirect_saying};
use crate::web::signed_in::Staff;

/// The form of a role. Built-in roles keep their names.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoleForm {
    #[serde(default)]
    name: String,
    #[serde(default)]
    permissions: Vec<String>,
}

/// `GET /admin/roles`
pub async fn list(app: Data<App>, staff: Staff) -> PageResult {
    staff.require(Permission::ManageStaff)?;
    let (roles, members) = app.database.read(|db| Ok((roles::all(db)?, staff::all(db)?))).await?;
    let p = staff.page(&app, "roles-title", Place::Roles);
    let rows = roles
        .iter()
        .map(|role| Row {
            href: format!("/admin/roles/{}", role.handle),
            name: role_name(&p.t, role),
            permissions: permission_names(&p.t, &role.permissions.0),
            holders: p.t.count(
                "role-holders",
                members.iter().filter(|member| member.roles.iter().any(|own| own.id == role.id)).count(),
            ),
        })
        .collect();
    let members = members
        .into_iter()
        .map(|member| Member {
            href: format!("/admin/people/{}", member.handle),
            roles: member
                .roles
                .iter()
                .filter_map(|own| roles.iter().find(|role| role.id == own.id))
                .map(|role| role_name(&p.t, role))
                .collect::<Vec<_>>()
                .join(", "),
            name: member.name,
            is_active: member.state == PersonState::Active,
            undertaking: member.undertaking_accepted_at.map(|time| p.t.date(&time)),
        })
        .collect();
    page(&ListPage { p, rows, members })
}

/// `GET /admin/roles/new`
pub async fn new(app: Data<App>, staff: Staff) -> PageResult {
    staff.require(Permission::ManageStaff)?;
    role_page(&app, &staff, None, RoleForm::default(), FieldErrors::default(), StatusCode::OK)
}

/// `POST /admin/roles`
pub async fn create(app: Data<App>, staff: Staff, Form(form): Form<RoleForm>) -> PageResult {
    staff.require(Permission::ManageStaff)?;
    let (by, now, name, permissions) = (staff.staff.person, app.clock.now(), form.name.clone(), form.permissions()?);
    match app.database.write(move |db| roles::create(db, &name, &permissions, Some(by), now)).await {
        Ok(()) => Ok(redirect_saying("/admin/roles", "said-role-added")),
        Err(Error::Invalid(errors)) => role_page(&app, &staff, None, form, errors, StatusCode::UNPROCESSABLE_ENTITY),
        Err(error) => Err(error.into()),
    }
}

/// `GET /admin/roles/{handle}`
pub async fn show(app: Data<App>, staff: Staff, path: Path<String>) -> PageResult {
    staff.require(Permission::ManageStaff)?;
    let role = load(&app, path.into_inner()).await?;
    let typed = RoleForm {
        name: role.name.clone(),
        permissions: role.permissions.0.iter().map(|permission| permission.as_str().to_owned()).collect(),
    };
    role_page(&app, &staff, Some(role), typed, FieldErrors::default(), StatusCode::OK)
}

/// `POST /admin/roles/{handle}`
pub async fn update(app: Data<App>, staff: Staff, path: Path<String>, Form(form): Form<RoleForm>) -> PageResult {
    staff.require(Permission::ManageStaff)?;
    let (by, now, handle) = (staff.staff.person, app.clock.now(), path.into_inner());
    let (target, name, permissions) = (handle.clone(), form.name.clone(), form.permissions()?);
    let outcome = app
        .database
        .write(move |db| {
            let role = roles::find_by_handle(db, &target)?.ok_or(Error::NotFound)?;
            roles::update(db, &role, &name, &permissions, Some(by), now)
        })
        .await;
    let (errors, status) = match outcome {
        Ok(()) => return Ok(redirect_saying("/admin/roles", "said-saved")),
        Err(Error::Invalid(errors)) => (errors, StatusCode::UNPROCESSABLE_ENTITY),
        Err(Error::Conflict(message)) => {
            let mut errors = FieldErrors::default();
            errors.add("permissions", message);
            (errors, StatusCode::CONFLICT)
        }
        Err(error) => return Err(error.into()),
    };
    let role = load(&app, handle).await?;
    role_page(&app, &staff, Some(role), form, errors, status)
}

/// The role's name in the reader's language; one that the operator made has its own.
pub fn role_name(t: &Texts, role: &StaffRole) -> String {
    match role.builtin {
        Some(builtin) => t.say(&format!("role-{builtin}")),
        None => role.name.clone(),
    }
}

/// What permissions are called.
pub fn permission_names(t: &Texts, permissions: &[Permission]) -> Vec<String> {
    permissions.iter().map(|permission| t.say(&format!("permission-{permission}"))).collect()
}

async fn load(app: &App, handle: String) -> Result<StaffRole, PageError> {
    let role = app.database.read(move |db| roles::find_by_handle(db, &handle)).await?;
    Ok(role.ok_or(Error::NotFound)?)
}

fn role_page(
    app: &App,
    staff: &Staff,
    role: Option<StaffRole>,
    typed: RoleForm,
    errors: FieldErrors,
    status: StatusCode,
) -> PageResult {
    let title = if role.is_some() { "role-edit" } else { "role-new" };
    let p = staff.page(app, title, Place::Roles);
    let permissions = Permission::ALL
        .iter()
        .map(|permission| Choice {
            value: permission.as_str().to_owned(),
            label: p.t.say(&format!("permission-{permission}")),
            hint: p.t.say(&format!("permission-{permission}-hint")),
            selected: typed.permissions.iter().any(|chosen| chosen == permission.as_str()),
        })
        .collect();
    let template = RolePage {
        errors,
        crumbs: vec![Crumb::new(p.t.say("nav-roles"), "/admin/roles")],
        heading: role.as_ref().map_or(p.t.say(title), |role| role_name(&p.t, role)),
        action: match &role {
            Some(role) => format!("/admin/roles/{}", role.handle),
            None => "/admin/roles".to_owned(),
        },
        has_own_name: role.is_none_or(|role| role.builtin.is_none()),
        permissions,
        typed,
        p,
    };
    page_with(&template, status)
}

impl RoleForm {
    fn permissions(&self) -> Result<Vec<Permission>, PageError> {
        self.permissions.iter().map(|name| Permission::parse(name).ok_or_else(PageError::bad_request)).collect()
    }
}

struct Row {
    href: String,
    name: String,
    permissions: Vec<String>,
    holders: String,
}

struct Member {
    href: String,
    name: String,
    is_active: bool,
    roles: String,
    undertaking: Option<String>,
}

#[derive(Template)]
#[template(path = "admin/roles.html")]
struct ListPage {
    p: Page,
    rows: Vec<Row>,
    members: Vec<Member>,
}

#[derive(Template)]
#[template(path = "admin/role.html")]
struct RolePage {
    p: Page,
    errors: FieldErrors,
    crumbs: Vec<Crumb>,
    heading: String,
    action: String,
    has_own_name: bool,
    permissions: Vec<Choice>,
    typed: RoleForm,
}
