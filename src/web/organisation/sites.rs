//! The sites of an organisation, each with a person in charge and a telephone number (E2).

use actix_web::http::StatusCode;
use actix_web::web::{Data, Path};
use askama::Template;
use serde::Deserialize;

use super::{Frame, Tab, change_managed, read_managed, seen_by};
use crate::app::App;
use crate::error::{Error, FieldErrors, Result};
use crate::people::sites::{self, SiteDescription};
use crate::web::forms::{Form, Nothing};
use crate::web::page::Page;
use crate::web::page_error::PageResult;
use crate::web::respond::redirect_saying;
use crate::web::signed_in::SignedIn;

/// The form of a site.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SiteForm {
    name: String,
    person_in_charge: String,
    telephone: String,
    address: String,
}

/// `GET /organisations/{handle}/sites`
pub async fn list(app: Data<App>, reader: SignedIn, path: Path<String>) -> PageResult {
    let (actor, handle) = (reader.actor.clone(), path.into_inner());
    let (organisation, sites) = app
        .database
        .read(move |db| {
            let organisation = seen_by(db, &actor, &handle)?;
            let sites = sites::of_organisation(db, organisation.id)?;
            Ok((organisation, sites))
        })
        .await?;
    let frame = Frame::new(&app, &reader, &organisation, Tab::Sites);
    let sites = sites
        .into_iter()
        .map(|site| Row {
            href: format!("{}/sites/{}", frame.path, site.handle),
            name: site.name,
            person_in_charge: site.person_in_charge,
            telephone: site.telephone,
            address: site.address,
        })
        .collect();
    let part = SitesPart { p: frame.p.clone(), path: frame.path.clone(), may_manage: frame.may_manage, sites };
    frame.show(&part, StatusCode::OK)
}

/// `GET /organisations/{handle}/sites/new`
pub async fn new(app: Data<App>, reader: SignedIn, path: Path<String>) -> PageResult {
    form_page(&app, &reader, path.into_inner(), None, SiteForm::default(), FieldErrors::default(), StatusCode::OK).await
}

/// `POST /organisations/{handle}/sites`
pub async fn create(app: Data<App>, reader: SignedIn, path: Path<String>, Form(form): Form<SiteForm>) -> PageResult {
    let (handle, description, now) = (path.into_inner(), form.description(), app.clock.now());
    let outcome = change_managed(&app, &reader, &handle, move |db, organisation| {
        sites::create(db, organisation.id, &description, now).map(drop)
    })
    .await;
    settle(&app, &reader, handle, None, form, outcome, "said-site-added").await
}

/// `GET /organisations/{handle}/sites/{site}`
pub async fn show(app: Data<App>, reader: SignedIn, path: Path<(String, String)>) -> PageResult {
    let (handle, site) = path.into_inner();
    let wanted = site.clone();
    let found = read_managed(&app, &reader, &handle, move |db, organisation| {
        sites::find(db, organisation.id, &wanted)?.ok_or(Error::NotFound)
    })
    .await?;
    let form = SiteForm {
        name: found.name,
        person_in_charge: found.person_in_charge,
        telephone: found.telephone,
        address: found.address,
    };
    form_page(&app, &reader, handle, Some(site), form, FieldErrors::default(), StatusCode::OK).await
}

/// `POST /organisations/{handle}/sites/{site}`
pub async fn update(
    app: Data<App>,
    reader: SignedIn,
    path: Path<(String, String)>,
    Form(form): Form<SiteForm>,
) -> PageResult {
    let (handle, site) = path.into_inner();
    let (wanted, description, now) = (site.clone(), form.description(), app.clock.now());
    let outcome = change_managed(&app, &reader, &handle, move |db, organisation| {
        let site = sites::find(db, organisation.id, &wanted)?.ok_or(Error::NotFound)?;
        sites::update(db, &site, &description, now)
    })
    .await;
    settle(&app, &reader, handle, Some(site), form, outcome, "said-saved").await
}

/// `POST /organisations/{handle}/sites/{site}/removal`
pub async fn remove(app: Data<App>, reader: SignedIn, path: Path<(String, String)>, _: Form<Nothing>) -> PageResult {
    let (handle, site) = path.into_inner();
    let now = app.clock.now();
    change_managed(&app, &reader, &handle, move |db, organisation| {
        let site = sites::find(db, organisation.id, &site)?.ok_or(Error::NotFound)?;
        sites::remove(db, &site, now)
    })
    .await?;
    Ok(redirect_saying(&format!("/organisations/{handle}/sites"), "said-removed"))
}

/// After the form was sent: the list, or the form with what is wrong.
async fn settle(
    app: &App,
    reader: &SignedIn,
    handle: String,
    site: Option<String>,
    form: SiteForm,
    outcome: Result<()>,
    said: &str,
) -> PageResult {
    match outcome {
        Ok(()) => Ok(redirect_saying(&format!("/organisations/{handle}/sites"), said)),
        Err(Error::Invalid(errors)) => {
            form_page(app, reader, handle, site, form, errors, StatusCode::UNPROCESSABLE_ENTITY).await
        }
        Err(error) => Err(error.into()),
    }
}

async fn form_page(
    app: &App,
    reader: &SignedIn,
    handle: String,
    site: Option<String>,
    form: SiteForm,
    errors: FieldErrors,
    status: StatusCode,
) -> PageResult {
    let organisation = read_managed(app, reader, &handle, |_, organisation| Ok(organisation)).await?;
    let frame = Frame::new(app, reader, &organisation, Tab::Sites);
    let action = match &site {
        Some(site) => format!("{}/sites/{site}", frame.path),
        None => format!("{}/sites", frame.path),
    };
    let title = frame.p.t.say(if site.is_none() { "site-add" } else { "site-edit" });
    let part = SitePart {
        p: frame.p.clone(),
        errors,
        list: format!("{}/sites", frame.path),
        title,
        action,
        is_new: site.is_none(),
        typed: form,
    };
    frame.show(&part, status)
}

impl SiteForm {
    fn description(&self) -> SiteDescription {
        SiteDescription {
            name: self.name.clone(),
            address: self.address.clone(),
            person_in_charge: self.person_in_charge.clone(),
            telephone: self.telephone.clone(),
        }
    }
}

struct Row {
    href: String,
    name: String,
    person_in_charge: String,
    telephone: String,
    address: String,
}

#[derive(Template)]
#[template(path = "organisation/sites.html")]
struct SitesPart {
    p: Page,
    path: String,
    may_manage: bool,
    sites: Vec<Row>,
}

#[derive(Template)]
#[template(path = "organisation/site.html")]
struct SitePart {
    p: Page,
    errors: FieldErrors,
    list: String,
    title: String,
    action: String,
    is_new: bool,
    typed: SiteForm,
}
