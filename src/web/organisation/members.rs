//! The members of an organisation and their rights. Somebody becomes a member by accepting an invitation, never by the
//! domain of their address.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Path, Query};
use askama::Template;
use serde::Deserialize;

use super::{Frame, Tab, change_managed, read_managed, seen_by};
use crate::app::App;
use crate::db::DbConnection;
use crate::db::paging::PAGE_SIZE;
use crate::db::types::{OrganisationId, PersonId};
use crate::error::{Error, FieldErrors, Result};
use crate::mail::address::shown_address;
use crate::people::invitations::{self, NewMember};
use crate::people::memberships::{self, Member, Rights};
use crate::people::organisations::{Organisation, OrganisationKind};
use crate::people::person::PersonState;
use crate::web::forms::{Form, Nothing};
use crate::web::page::Page;
use crate::web::page_error::{PageError, PageResult};
use crate::web::respond::redirect_saying;
use crate::web::signed_in::SignedIn;

/// What is said when a membership has ended.
const SAID_REMOVED: &str = "said-member-removed";

/// The form by which somebody is asked to join.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InvitationForm {
    first_name: String,
    last_name: String,
    address: String,
    #[serde(default)]
    sees_all_tickets: bool,
    #[serde(default)]
    manages_organisation: bool,
    #[serde(default)]
    grants_tracing: bool,
}

/// The form of a member's rights.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RightsForm {
    #[serde(default)]
    sees_all_tickets: bool,
    #[serde(default)]
    manages_organisation: bool,
    #[serde(default)]
    grants_tracing: bool,
}

/// Where in the list of members to begin.
#[derive(Debug, Deserialize)]
pub struct ListQuery {
    after: Option<String>,
}

/// `GET /organisations/{handle}/members`
pub async fn list(app: Data<App>, reader: SignedIn, path: Path<String>, query: Query<ListQuery>) -> PageResult {
    let (actor, handle) = (reader.actor.clone(), path.into_inner());
    let after = query.into_inner().after;
    let is_first = after.is_none();
    let (organisation, page) = app
        .database
        .read(move |db| {
            let organisation = with_members(seen_by(db, &actor, &handle)?)?;
            let page = memberships::members(db, organisation.id, after.as_deref(), PAGE_SIZE)?;
            Ok((organisation, page))
        })
        .await?;
    let frame = Frame::new(&app, &reader, &organisation, Tab::Members);
    let members = page
        .rows
        .into_iter()
        .map(|member| Row {
            href: format!("{}/members/{}", frame.path, member.handle),
            name: member.display_name(),
            is_active: member.state == PersonState::Active,
            job_title: member.job_title,
            address: shown_address(&member.address).to_owned(),
            sees_all_tickets: member.sees_all_tickets,
            manages_organisation: member.manages_organisation,
            grants_tracing: member.grants_tracing,
            is_contact: member.is_contact,
        })
        .collect();
    let list = format!("{}/members", frame.path);
    let part = MembersPart {
        p: frame.p.clone(),
        may_manage: frame.may_manage,
        members,
        first: (!is_first).then(|| list.clone()),
        next: page.next.map(|after| format!("{list}?after={after}")),
        path: frame.path.clone(),
    };
    frame.show(&part, StatusCode::OK)
}

/// `GET /organisations/{handle}/members/new`
pub async fn new(app: Data<App>, reader: SignedIn, path: Path<String>) -> PageResult {
    let form = InvitationForm::default();
    invitation_page(&app, &reader, path.into_inner(), form, FieldErrors::default(), StatusCode::OK).await
}

/// `POST /organisations/{handle}/members`
pub async fn invite(
    app: Data<App>,
    reader: SignedIn,
    path: Path<String>,
    Form(form): Form<InvitationForm>,
) -> PageResult {
    let (handle, now) = (path.into_inner(), app.clock.now());
    let (by, new_member) = (reader.person.id, form.new_member());
    let outcome = change_managed(&app, &reader, &handle, move |db, organisation| {
        invitations::invite_member(db, with_members(organisation)?.id, &new_member, by, now)
    })
    .await;
    match outcome {
        Ok(()) => Ok(redirect_saying(&format!("/organisations/{handle}/members"), "said-invited")),
        Err(Error::Invalid(errors)) => {
            invitation_page(&app, &reader, handle, form, errors, StatusCode::UNPROCESSABLE_ENTITY).await
        }
        Err(error) => Err(error.into()),
    }
}

/// `GET /organisations/{handle}/members/{member}`
pub async fn show(app: Data<App>, reader: SignedIn, path: Path<(String, String)>) -> PageResult {
    let (handle, member) = path.into_inner();
    let (organisation, member) = load(&app, &reader, handle, member).await?;
    let rights = RightsForm::of(member.rights());
    member_page(&app, &reader, &organisation, member, rights, FieldErrors::default(), StatusCode::OK)
}

/// `POST /organisations/{handle}/members/{member}`
pub async fn change_rights(
    app: Data<App>,
    reader: SignedIn,
    path: Path<(String, String)>,
    Form(form): Form<RightsForm>,
) -> PageResult {
    let (handle, member) = path.into_inner();
    let (rights, now) = (form.rights(), app.clock.now());
    let outcome = change(&app, &reader, &handle, &member, move |db, organisation, member, by| {
        memberships::change_rights(db, organisation, member.person_id, rights, by, now)
    })
    .await;
    settle(&app, &reader, handle, member, Some(form), outcome, "said-saved").await
}

/// `POST /organisations/{handle}/members/{member}/contact`
pub async fn make_contact(
    app: Data<App>,
    reader: SignedIn,
    path: Path<(String, String)>,
    _: Form<Nothing>,
) -> PageResult {
    let (handle, member) = path.into_inner();
    let now = app.clock.now();
    let outcome = change(&app, &reader, &handle, &member, move |db, organisation, member, by| {
        memberships::make_contact(db, organisation, member.person_id, by, now)
    })
    .await;
    settle(&app, &reader, handle, member, None, outcome, "said-contact").await
}

/// `POST /organisations/{handle}/members/{member}/removal`
pub async fn remove(app: Data<App>, reader: SignedIn, path: Path<(String, String)>, _: Form<Nothing>) -> PageResult {
    let (handle, member) = path.into_inner();
    let now = app.clock.now();
    let outcome = change(&app, &reader, &handle, &member, move |db, organisation, member, by| {
        memberships::remove(db, organisation, member.person_id, by, now)
    })
    .await;
    settle(&app, &reader, handle, member, None, outcome, SAID_REMOVED).await
}

/// One change of a member, by who manages the organisation.
async fn change(
    app: &App,
    reader: &SignedIn,
    handle: &str,
    member: &str,
    verb: impl Fn(&mut DbConnection, OrganisationId, &Member, Option<PersonId>) -> Result<()> + Send + 'static,
) -> Result<()> {
    let (by, member) = (reader.actor.person(), member.to_owned());
    change_managed(app, reader, handle, move |db, organisation| {
        let member = memberships::find_member(db, organisation.id, &member)?.ok_or(Error::NotFound)?;
        verb(db, organisation.id, &member, by)
    })
    .await
}

/// After a change of a member: back to the list, or the member's page with what stood in the way.
async fn settle(
    app: &App,
    reader: &SignedIn,
    handle: String,
    member: String,
    typed: Option<RightsForm>,
    outcome: Result<()>,
    said: &str,
) -> PageResult {
    let message = match outcome {
        // Who has just left does not see the list any more.
        Ok(()) if said == SAID_REMOVED && member == reader.person.handle => {
            return Ok(redirect_saying("/account", said));
        }
        Ok(()) => return Ok(redirect_saying(&format!("/organisations/{handle}/members"), said)),
        Err(Error::Conflict(message)) => message,
        Err(error) => return Err(error.into()),
    };
    let (organisation, member) = load(app, reader, handle, member).await?;
    let rights = typed.unwrap_or(RightsForm::of(member.rights()));
    let mut errors = FieldErrors::default();
    errors.add("", message);
    member_page(app, reader, &organisation, member, rights, errors, StatusCode::CONFLICT)
}

async fn load(
    app: &App,
    reader: &SignedIn,
    handle: String,
    member: String,
) -> Result<(Organisation, Member), PageError> {
    let found = read_managed(app, reader, &handle, move |db, organisation| {
        let organisation = with_members(organisation)?;
        let member = memberships::find_member(db, organisation.id, &member)?.ok_or(Error::NotFound)?;
        Ok((organisation, member))
    })
    .await?;
    Ok(found)
}

/// Somebody on their own has no members' pages.
fn with_members(organisation: Organisation) -> Result<Organisation> {
    if organisation.kind == OrganisationKind::Individual { Err(Error::NotFound) } else { Ok(organisation) }
}

async fn invitation_page(
    app: &App,
    reader: &SignedIn,
    handle: String,
    form: InvitationForm,
    errors: FieldErrors,
    status: StatusCode,
) -> PageResult {
    let organisation = read_managed(app, reader, &handle, |_, organisation| with_members(organisation)).await?;
    let frame = Frame::new(app, reader, &organisation, Tab::Members);
    let part = InvitationPart {
        p: frame.p.clone(),
        errors,
        list: format!("{}/members", frame.path),
        gives_tracing: !frame.is_staff,
        typed: form,
    };
    frame.show(&part, status)
}

fn member_page(
    app: &App,
    reader: &SignedIn,
    organisation: &Organisation,
    member: Member,
    form: RightsForm,
    errors: FieldErrors,
    status: StatusCode,
) -> PageResult {
    let frame = Frame::new(app, reader, organisation, Tab::Members);
    let part = MemberPart {
        p: frame.p.clone(),
        errors,
        list: format!("{}/members", frame.path),
        action: format!("{}/members/{}", frame.path, member.handle),
        is_staff: frame.is_staff,
        person_href: format!("/admin/people/{}", member.handle),
        name: member.display_name(),
        facts: [
            (frame.p.t.say("person-job-title"), member.job_title.clone()),
            (frame.p.t.say("person-address"), shown_address(&member.address).to_owned()),
            (frame.p.t.say("person-telephone"), member.telephone.clone()),
            (frame.p.t.say("member-since"), frame.p.t.date(&member.since)),
        ]
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .collect(),
        is_contact: member.is_contact,
        gives_tracing: !frame.is_staff,
        typed: form,
    };
    frame.show(&part, status)
}

impl InvitationForm {
    fn new_member(&self) -> NewMember {
        NewMember {
            first_name: self.first_name.clone(),
            last_name: self.last_name.clone(),
            address: self.address.clone(),
            rights: Rights {
                sees_all_tickets: self.sees_all_tickets,
                manages_organisation: self.manages_organisation,
                grants_tracing: self.grants_tracing,
            },
        }
    }
}

impl RightsForm {
    fn of(rights: Rights) -> Self {
        let Rights { sees_all_tickets, manages_organisation, grants_tracing } = rights;
        RightsForm { sees_all_tickets, manages_organisation, grants_tracing }
    }

    fn rights(self) -> Rights {
        let RightsForm { sees_all_tickets, manages_organisation, grants_tracing } = self;
        Rights { sees_all_tickets, manages_organisation, grants_tracing }
    }
}

struct Row {
    href: String,
    name: String,
    job_title: String,
    address: String,
    is_active: bool,
    sees_all_tickets: bool,
    manages_organisation: bool,
    grants_tracing: bool,
    is_contact: bool,
}

#[derive(Template)]
#[template(path = "organisation/members.html")]
struct MembersPart {
    p: Page,
    path: String,
    may_manage: bool,
    members: Vec<Row>,
    first: Option<String>,
    next: Option<String>,
}

#[derive(Template)]
#[template(path = "organisation/invitation.html")]
struct InvitationPart {
    p: Page,
    errors: FieldErrors,
    list: String,
    gives_tracing: bool,
    typed: InvitationForm,
}

#[derive(Template)]
#[template(path = "organisation/member.html")]
struct MemberPart {
    p: Page,
    errors: FieldErrors,
    list: String,
    action: String,
    is_staff: bool,
    person_href: String,
    name: String,
    facts: Vec<(String, String)>,
    is_contact: bool,
    gives_tracing: bool,
    typed: RightsForm,
}
