//! The pages of one organisation: information, sites, environments, members, keys for sampling. Its own people and the operator's staff use
//! the same addresses, each in their own surroundings; `access` says who sees them and who changes what is there.

pub mod environments;
pub mod information;
pub mod members;
pub mod sampling;
pub mod sites;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::Data;
use askama::Template;

use crate::access::{self, Actor};
use crate::app::App;
use crate::db::DbConnection;
use crate::error::{Error, Result};
use crate::i18n::Texts;
use crate::people::organisations::{self, Organisation, OrganisationKind, OrganisationStatus};
use crate::web::navigation::Place;
use crate::web::page::{Crumb, NavigationItem, Page, Tone};
use crate::web::page_error::{PageError, PageResult};
use crate::web::respond::{page_with, redirect};
use crate::web::signed_in::SignedIn;

/// `GET /account/organisation`: to the organisation in which one's requests are filed.
pub async fn own(app: Data<App>, reader: SignedIn) -> Result<HttpResponse, PageError> {
    let person = reader.person.id;
    let handle = app
        .database
        .read(move |db| {
            let home = organisations::home_of(db, person)?.ok_or(Error::NotFound)?;
            organisations::by_id(db, home).map(|organisation| organisation.handle)
        })
        .await?;
    Ok(redirect(&format!("/organisations/{handle}")))
}

/// The organisation with that public name, if `actor` may see it; who may not learns nothing of it (T-02).
fn seen_by(db: &mut DbConnection, actor: &Actor, handle: &str) -> Result<Organisation> {
    organisations::find_by_handle(db, handle)?
        .filter(|organisation| access::can_see_organisation(actor, organisation.id))
        .ok_or(Error::NotFound)
}

/// The same, if `actor` may also change it.
fn managed_by(db: &mut DbConnection, actor: &Actor, handle: &str) -> Result<Organisation> {
    let organisation = seen_by(db, actor, handle)?;
    if access::can_manage_organisation(actor, organisation.id) { Ok(organisation) } else { Err(Error::Forbidden) }
}

/// Looks something up in the organisation with that public name, for who manages it.
async fn read_managed<T: Send + 'static>(
    app: &App,
    reader: &SignedIn,
    handle: &str,
    query: impl FnOnce(&mut DbConnection, Organisation) -> Result<T> + Send + 'static,
) -> Result<T> {
    let (actor, handle) = (reader.actor.clone(), handle.to_owned());
    app.database
        .read(move |db| {
            let organisation = managed_by(db, &actor, &handle)?;
            query(db, organisation)
        })
        .await
}

/// One change in the organisation with that public name, by who manages it.
async fn change_managed<T: Send + 'static>(
    app: &App,
    reader: &SignedIn,
    handle: &str,
    change: impl Fn(&mut DbConnection, Organisation) -> Result<T> + Send + 'static,
) -> Result<T> {
    let (actor, handle) = (reader.actor.clone(), handle.to_owned());
    app.database
        .write(move |db| {
            let organisation = managed_by(db, &actor, &handle)?;
            change(db, organisation)
        })
        .await
}

/// A part of an organisation's pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tab {
    Information,
    Sites,
    Environments,
    Members,
    Sampling,
}

impl Tab {
    fn title_key(self) -> &'static str {
        match self {
            Tab::Information => "organisation-tab-information",
            Tab::Sites => "organisation-tab-sites",
            Tab::Environments => "organisation-tab-environments",
            Tab::Members => "organisation-tab-members",
            Tab::Sampling => "organisation-tab-sampling",
        }
    }
}

/// What stands around the part of an organisation's page that differs.
struct Frame {
    p: Page,
    path: String,
    name: String,
    /// Where the business stands, for staff.
    business: Option<(Tone, String)>,
    tabs: Vec<NavigationItem>,
    crumbs: Vec<Crumb>,
    may_manage: bool,
    is_staff: bool,
}

impl Frame {
    fn new(app: &App, reader: &SignedIn, organisation: &Organisation, tab: Tab) -> Frame {
        let is_staff = reader.actor.is_staff();
        let place = if is_staff { Place::Organisations } else { Place::Account };
        let mut p = reader.page(app, tab.title_key(), place);
        let path = format!("/organisations/{}", organisation.handle);
        let item = |of: Tab, rest: &str, icon| {
            NavigationItem::new(p.t.say(of.title_key()), format!("{path}{rest}"), icon).current_if(of == tab)
        };
        let mut tabs = vec![
            item(Tab::Information, "", "building"),
            item(Tab::Sites, "/sites", "pin"),
            item(Tab::Environments, "/environments", "server"),
        ];
        // Somebody on their own has no colleagues to list.
        if organisation.kind != OrganisationKind::Individual {
            tabs.push(item(Tab::Members, "/members", "users"));
        }
        if access::can_grant_tracing(&reader.actor, organisation.id) {
            tabs.push(item(Tab::Sampling, "/sampling", "pulse"));
        }
        let crumbs = if is_staff {
            vec![Crumb::new(p.t.say("nav-organisations"), "/admin/organisations")]
        } else {
            vec![Crumb::new(p.t.say("nav-account"), "/account")]
        };
        p.title = format!("{} · {}", p.title, organisation.name);
        Frame {
            path,
            name: organisation.name.clone(),
            business: is_staff.then(|| business(&p.t, organisation.kind, organisation.status)),
            tabs,
            crumbs,
            may_manage: access::can_manage_organisation(&reader.actor, organisation.id),
            is_staff,
            p,
        }
    }

    /// The page with `part` in it.
    fn show(self, part: &impl Template, status: StatusCode) -> PageResult {
        let part = part.render().map_err(|error| PageError::fault(&format!("a page could not be made: {error}")))?;
        let Frame { p, name, business, tabs, crumbs, is_staff, .. } = self;
        if is_staff {
            page_with(&StaffFrame { p, name, business, tabs, crumbs, part }, status)
        } else {
            page_with(&CustomerFrame { p, name, tabs, crumbs, part }, status)
        }
    }
}

/// Where the business with an organisation stands, in a word and its colour. The operator does none with itself.
pub fn business(t: &Texts, kind: OrganisationKind, status: OrganisationStatus) -> (Tone, String) {
    if kind == OrganisationKind::Operator {
        return (Tone::Plain, t.say("business-operator"));
    }
    let tone = match status {
        OrganisationStatus::Prospect => Tone::Info,
        OrganisationStatus::Customer => Tone::Done,
        OrganisationStatus::Former => Tone::Plain,
    };
    (tone, t.say(&format!("business-{status}")))
}

#[derive(Template)]
#[template(path = "admin/organisation.html")]
struct StaffFrame {
    p: Page,
    name: String,
    business: Option<(Tone, String)>,
    tabs: Vec<NavigationItem>,
    crumbs: Vec<Crumb>,
    part: String,
}

#[derive(Template)]
#[template(path = "portal/organisation.html")]
struct CustomerFrame {
    p: Page,
    name: String,
    tabs: Vec<NavigationItem>,
    crumbs: Vec<Crumb>,
    part: String,
}
