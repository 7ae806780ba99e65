//! Somebody's page, and what is changed there. What concerns the identity of staff (their address, their sessions, whether
//! they may sign in) is for those who manage staff, or who manages people could become anybody.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Path};
use askama::Template;
use serde::Deserialize;

use crate::access::{self, Actor};
use crate::app::App;
use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::types::StaffRoleId;
use crate::error::{Error, FieldErrors, Result};
use crate::i18n::{Message, Texts};
use crate::mail::address::{EmailAddress, shown_address, visible};
use crate::people::addresses::{self, Address};
use crate::people::memberships;
use crate::people::notices::{self, Notice};
use crate::people::organisations::OrganisationKind;
use crate::people::person::{self, Person, PersonState, Profile};
use crate::people::roles::{self, Permission, StaffRole};
use crate::people::sessions::{self, Limits};
use crate::people::{invitations, mail_wishes, staff, suppression};
use crate::tickets::planned;
use crate::web::admin::people::may_see_people;
use crate::web::admin::roles::{permission_names, role_name};
use crate::web::forms::{Form, Nothing};
use crate::web::name_marks::name_marks;
use crate::web::navigation::Place;
use crate::web::organisation::information::languages;
use crate::web::page::{Choice, Crumb, Page};
use crate::web::page_error::{PageError, PageResult};
use crate::web::profile::{ProfileForm, time_zones};
use crate::web::respond::{page_with, redirect_saying};
use crate::web::signed_in::Staff;

/// The form of a new address.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddressForm {
    address: String,
}

/// The form of somebody's roles: the public names of those they have.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RolesForm {
    #[serde(default)]
    roles: Vec<String>,
}

/// The form that keeps somebody out, or lets them in again.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StateForm {
    state: String,
}

/// `GET /admin/people/{handle}`
pub async fn show(app: Data<App>, staff: Staff, path: Path<String>) -> PageResult {
    may_see_people(&staff)?;
    person_page(&app, &staff, path.into_inner(), None, FieldErrors::default(), StatusCode::OK).await
}

/// `POST /admin/people/{handle}`
pub async fn update(app: Data<App>, staff: Staff, path: Path<String>, Form(form): Form<ProfileForm>) -> PageResult {
    let (actor, now, handle) = (staff.actor().clone(), app.clock.now(), path.into_inner());
    let (target, version, typed) = (handle.clone(), form.version, form.for_other()?);
    let outcome = app
        .database
        .write(move |db| {
            if !access::may(&actor, Permission::ManagePeople) {
                return Err(Error::Forbidden);
            }
            let person = person::find_by_handle(db, &target)?.ok_or(Error::NotFound)?;
            let Person { theme, mailed_about_tickets, .. } = person;
            let profile = Profile { theme, mailed_about_tickets, ..typed.clone() };
            person::update(db, person.id, version, &profile, now)
        })
        .await;
    settle(&app, &staff, handle, Some(form), outcome, "said-saved").await
}

/// `POST /admin/people/{handle}/address`: asks the person to prove the new address; it is theirs when they did.
pub async fn change_address(
    app: Data<App>,
    staff: Staff,
    path: Path<String>,
    Form(form): Form<AddressForm>,
) -> PageResult {
    let handle = path.into_inner();
    let now = app.clock.now();
    let outcome = change(&app, &staff, &handle, move |db, person, _| {
        let address = EmailAddress::of_somebody(form.address.trim());
        let address = address.ok_or(Error::invalid("address", "error-address"))?;
        if person::find_by_address(db, &address)?.is_some_and(|owner| owner.id != person.id) {
            return Err(Error::invalid("address", "error-address-taken"));
        }
        notices::send(db, &Notice::ConfirmAddress { person: person.id, address }, now)
    })
    .await;
    settle(&app, &staff, handle, None, outcome, "said-address-asked").await
}

/// `POST /admin/people/{handle}/invitation`
pub async fn invite(app: Data<App>, staff: Staff, path: Path<String>, _: Form<Nothing>) -> PageResult {
    let handle = path.into_inner();
    let (by, now) = (staff.signed_in.person.id, app.clock.now());
    let outcome = change(&app, &staff, &handle, move |db, person, _| invitations::invite(db, person.id, by, now)).await;
    settle(&app, &staff, handle, None, outcome, "said-invited").await
}

/// `POST /admin/people/{handle}/mail`: mail to their addresses arrives again, so that it is sent there (BN-03).
pub async fn mail_again(app: Data<App>, staff: Staff, path: Path<String>, _: Form<Nothing>) -> PageResult {
    let handle = path.into_inner();
    let now = app.clock.now();
    let outcome =
        change(&app, &staff, &handle, move |db, person, by| suppression::lift(db, person.id, by.person(), now)).await;
    settle(&app, &staff, handle, None, outcome, "said-mailed-again").await
}

/// `POST /admin/people/{handle}/sessions/removal`
pub async fn end_sessions(app: Data<App>, staff: Staff, path: Path<String>, _: Form<Nothing>) -> PageResult {
    let handle = path.into_inner();
    let outcome = change(&app, &staff, &handle, |db, person, _| sessions::end_all(db, person.id)).await;
    settle(&app, &staff, handle, None, outcome, "said-sessions-ended").await
}

/// `POST /admin/people/{handle}/state`
pub async fn set_state(app: Data<App>, staff: Staff, path: Path<String>, Form(form): Form<StateForm>) -> PageResult {
    let handle = path.into_inner();
    let state = PersonState::parse(&form.state).ok_or_else(PageError::bad_request)?;
    let (by, now) = (staff.signed_in.person.id, app.clock.now());
    let outcome = change(&app, &staff, &handle, move |db, person, _| match state {
        PersonState::Active => person::enable(db, person.id, by, now),
        PersonState::Disabled => {
            person::disable(db, person.id, by, now)?;
            planned::hold_of_author(db, person.id, now)
        }
    })
    .await;
    settle(&app, &staff, handle, None, outcome, "said-saved").await
}

/// `POST /admin/people/{handle}/roles`
pub async fn set_roles(app: Data<App>, staff: Staff, path: Path<String>, Form(form): Form<RolesForm>) -> PageResult {
    let (actor, now, handle) = (staff.actor().clone(), app.clock.now(), path.into_inner());
    let target = handle.clone();
    let outcome = app
        .database
        .write(move |db| {
            if !access::may(&actor, Permission::ManageStaff) {
                return Err(Error::Forbidden);
            }
            let person = person::find_by_handle(db, &target)?.ok_or(Error::NotFound)?;
            let chosen: Vec<StaffRole> =
                roles::all(db)?.into_iter().filter(|role| form.roles.contains(&role.handle)).collect();
            if chosen.len() != form.roles.len() {
                return Err(Error::invalid("roles", "error-role-unknown"));
            }
            let ids: Vec<_> = chosen.iter().map(|role| role.id).collect();
            staff::set_roles(db, person.id, &ids, actor.person(), now)
        })
        .await;
    settle(&app, &staff, handle, None, outcome, "said-saved").await
}

/// One change of somebody's identity, by who may make it.
async fn change(
    app: &App,
    staff: &Staff,
    handle: &str,
    verb: impl Fn(&mut DbConnection, &Person, &Actor) -> Result<()> + Send + 'static,
) -> Result<()> {
    let (actor, handle) = (staff.actor().clone(), handle.to_owned());
    app.database
        .write(move |db| {
            let person = person::find_by_handle(db, &handle)?.ok_or(Error::NotFound)?;
            if !access::can_change_identity(&actor, staff::is_staff(db, person.id)?) {
                return Err(Error::Forbidden);
            }
            verb(db, &person, &actor)
        })
        .await
}

/// After a change: the person's page, with what was done or what stood in the way.
async fn settle(
    app: &App,
    staff: &Staff,
    handle: String,
    typed: Option<ProfileForm>,
    outcome: Result<()>,
    said: &str,
) -> PageResult {
    match outcome {
        Ok(()) => Ok(redirect_saying(&format!("/admin/people/{handle}"), said)),
        Err(Error::Invalid(errors)) => {
            person_page(app, staff, handle, typed, errors, StatusCode::UNPROCESSABLE_ENTITY).await
        }
        Err(Error::Conflict(message)) => {
            let mut errors = FieldErrors::default();
            errors.add("", message);
            person_page(app, staff, handle, None, errors, StatusCode::CONFLICT).await
        }
        Err(Error::TooMany { .. }) => {
            let mut errors = FieldErrors::default();
            errors.add("", Message::new("error-too-often"));
            person_page(app, staff, handle, None, errors, StatusCode::TOO_MANY_REQUESTS).await
        }
        Err(error) => Err(error.into()),
    }
}

async fn person_page(
    app: &App,
    staff: &Staff,
    handle: String,
    typed: Option<ProfileForm>,
    errors: FieldErrors,
    status: StatusCode,
) -> PageResult {
    may_see_people(staff)?;
    let (limits, now) = (Limits::from(&app.config.security), app.clock.now());
    let found = app.database.read(move |db| load(db, &handle, &limits, now)).await?;
    let Found {
        person,
        addresses,
        belongings,
        is_staff,
        own_roles,
        all_roles,
        undertaking,
        session_count,
        complained_at,
    } = found;
    let p = staff.page(app, "person-title", Place::People);
    let p = Page { title: visible(&person.display_name()), ..p };
    let t = p.t;
    let typed = typed.unwrap_or_else(|| ProfileForm::of(&person));
    let template = PersonPage {
        errors,
        crumbs: vec![Crumb::new(t.say("nav-people"), "/admin/people")],
        path: format!("/admin/people/{}", person.handle),
        name: visible(&person.display_name()),
        is_active: person.state == PersonState::Active,
        is_staff,
        may_manage: staff.staff.may(Permission::ManagePeople),
        may_change_identity: access::can_change_identity(staff.actor(), is_staff),
        may_give_roles: staff.staff.may(Permission::ManageStaff),
        languages: languages(&t, &typed.language),
        time_zones: time_zones(&typed.time_zone),
        facts: facts(&t, &person, undertaking, complained_at),
        addresses: addresses
            .into_iter()
            .filter(|address| !shown_address(&address.address).is_empty())
            .map(|address| AddressRow {
                marks: name_marks(&person.display_name(), &address.address),
                address: visible(&address.address),
                is_primary: address.is_primary,
                is_confirmed: address.confirmed_at.is_some(),
                suppressed: match (address.looped_at, address.suppressed_at) {
                    (Some(since), _) => Some(t.with("person-address-looped", "time", t.date_time(&since))),
                    (None, Some(since)) => Some(t.with("person-address-suppressed", "time", t.date_time(&since))),
                    (None, None) => None,
                },
            })
            .collect(),
        belongings: belongings
            .into_iter()
            .filter(|belonging| belonging.kind != OrganisationKind::Individual)
            .map(|belonging| (format!("/organisations/{}", belonging.organisation_handle), belonging.organisation_name))
            .collect(),
        roles: all_roles
            .iter()
            .map(|role| Choice {
                value: role.handle.clone(),
                label: role_name(&t, role),
                hint: permission_names(&t, &role.permissions.0).join(", "),
                selected: own_roles.contains(&role.id),
            })
            .collect(),
        sessions: t.count("person-sessions", session_count),
        typed,
        p,
    };
    page_with(&template, status)
}

struct Found {
    person: Person,
    addresses: Vec<Address>,
    belongings: Vec<memberships::Belonging>,
    is_staff: bool,
    own_roles: Vec<StaffRoleId>,
    all_roles: Vec<StaffRole>,
    undertaking: Option<UtcTime>,
    session_count: usize,
    /// When they reported a mail of ours as junk.
    complained_at: Option<UtcTime>,
}

fn load(db: &mut DbConnection, handle: &str, limits: &Limits, now: UtcTime) -> Result<Found> {
    let person = person::find_by_handle(db, handle)?.ok_or(Error::NotFound)?;
    let member = staff::all(db)?.into_iter().find(|member| member.person_id == person.id);
    Ok(Found {
        addresses: addresses::of_person(db, person.id)?,
        belongings: memberships::belongings(db, person.id)?,
        is_staff: member.is_some(),
        own_roles: staff::roles_of(db, person.id)?,
        all_roles: roles::all(db)?,
        undertaking: member.and_then(|member| member.undertaking_accepted_at),
        complained_at: mail_wishes::complaint_of(db, person.id)?,
        session_count: sessions::of_person(db, person.id, limits, now)?.len(),
        person,
    })
}

fn facts(
    t: &Texts,
    person: &Person,
    undertaking: Option<UtcTime>,
    complained_at: Option<UtcTime>,
) -> Vec<(String, String)> {
    let mut facts = vec![(t.say("person-origin"), t.say(&format!("person-origin-{}", person.origin)))];
    if let Some(accepted_at) = undertaking {
        facts.push((t.say("person-undertaking"), t.date_time(&accepted_at)));
    }
    if let Some(at) = complained_at {
        facts.push((t.say("person-complaint"), t.date_time(&at)));
    }
    facts
}

struct AddressRow {
    address: String,
    /// The keys of what deceives the eye in it, or in the name that goes with it.
    marks: Vec<&'static str>,
    is_primary: bool,
    is_confirmed: bool,
    /// Since when nothing is mailed there, in words.
    suppressed: Option<String>,
}

#[derive(Template)]
#[template(path = "admin/person.html")]
struct PersonPage {
    p: Page,
    errors: FieldErrors,
    crumbs: Vec<Crumb>,
    path: String,
    name: String,
    is_active: bool,
    is_staff: bool,
    may_manage: bool,
    may_change_identity: bool,
    may_give_roles: bool,
    typed: ProfileForm,
    languages: Vec<Choice>,
    time_zones: Vec<Choice>,
    facts: Vec<(String, String)>,
    addresses: Vec<AddressRow>,
    belongings: Vec<(String, String)>,
    roles: Vec<Choice>,
    sessions: String,
}
