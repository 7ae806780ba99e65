//! The environments of an organisation: products with versions, operating system, components (B10).

use actix_web::http::StatusCode;
use actix_web::web::{Data, Path};
use askama::Template;
use serde::Deserialize;

use super::{Frame, Tab, change_managed, read_managed, seen_by};
use crate::app::App;
use crate::error::{Error, FieldErrors, Result};
use crate::people::environments::{self, ComponentKind, EnvironmentDescription};
use crate::people::sites;
use crate::web::forms::{Form, Nothing};
use crate::web::page::{Choice, Page};
use crate::web::page_error::PageResult;
use crate::web::respond::redirect_saying;
use crate::web::signed_in::SignedIn;

/// The form of an environment. Products and components are written one a line, the version after a semicolon.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnvironmentForm {
    name: String,
    #[serde(default)]
    site: String,
    operating_system: String,
    products: String,
    components: String,
    remarks: String,
}

/// `GET /organisations/{handle}/environments`
pub async fn list(app: Data<App>, reader: SignedIn, path: Path<String>) -> PageResult {
    let (actor, handle) = (reader.actor.clone(), path.into_inner());
    let (organisation, environments) = app
        .database
        .read(move |db| {
            let organisation = seen_by(db, &actor, &handle)?;
            let environments = environments::of_organisation(db, organisation.id)?;
            Ok((organisation, environments))
        })
        .await?;
    let frame = Frame::new(&app, &reader, &organisation, Tab::Environments);
    let environments = environments
        .into_iter()
        .map(|environment| {
            let parts = |kind| {
                environment
                    .of_kind(kind)
                    .map(|component| (component.name.clone(), component.version.clone()))
                    .collect::<Vec<_>>()
            };
            Card {
                href: format!("{}/environments/{}", frame.path, environment.handle),
                products: parts(ComponentKind::Product),
                components: parts(ComponentKind::Component),
                site: environment.site.as_ref().map(|(_, name)| name.clone()).unwrap_or_default(),
                name: environment.name,
                operating_system: environment.operating_system,
                remarks: environment.remarks,
            }
        })
        .collect();
    let part =
        EnvironmentsPart { p: frame.p.clone(), path: frame.path.clone(), may_manage: frame.may_manage, environments };
    frame.show(&part, StatusCode::OK)
}

/// `GET /organisations/{handle}/environments/new`
pub async fn new(app: Data<App>, reader: SignedIn, path: Path<String>) -> PageResult {
    let form = EnvironmentForm::default();
    form_page(&app, &reader, path.into_inner(), None, form, FieldErrors::default(), StatusCode::OK).await
}

/// `POST /organisations/{handle}/environments`
pub async fn create(
    app: Data<App>,
    reader: SignedIn,
    path: Path<String>,
    Form(form): Form<EnvironmentForm>,
) -> PageResult {
    let (handle, description, now) = (path.into_inner(), form.description(), app.clock.now());
    let outcome = change_managed(&app, &reader, &handle, move |db, organisation| {
        environments::create(db, organisation.id, &description, now).map(drop)
    })
    .await;
    settle(&app, &reader, handle, None, form, outcome, "said-environment-added").await
}

/// `GET /organisations/{handle}/environments/{environment}`
pub async fn show(app: Data<App>, reader: SignedIn, path: Path<(String, String)>) -> PageResult {
    let (handle, environment) = path.into_inner();
    let wanted = environment.clone();
    let found = read_managed(&app, &reader, &handle, move |db, organisation| {
        environments::find(db, organisation.id, &wanted)?.ok_or(Error::NotFound)
    })
    .await?;
    let form = EnvironmentForm {
        products: found.lines_of(ComponentKind::Product),
        components: found.lines_of(ComponentKind::Component),
        site: found.site.map(|(handle, _)| handle).unwrap_or_default(),
        name: found.name,
        operating_system: found.operating_system,
        remarks: found.remarks,
    };
    form_page(&app, &reader, handle, Some(environment), form, FieldErrors::default(), StatusCode::OK).await
}

/// `POST /organisations/{handle}/environments/{environment}`
pub async fn update(
    app: Data<App>,
    reader: SignedIn,
    path: Path<(String, String)>,
    Form(form): Form<EnvironmentForm>,
) -> PageResult {
    let (handle, environment) = path.into_inner();
    let (wanted, description, now) = (environment.clone(), form.description(), app.clock.now());
    let outcome = change_managed(&app, &reader, &handle, move |db, organisation| {
        let environment = environments::find(db, organisation.id, &wanted)?.ok_or(Error::NotFound)?;
        environments::update(db, &environment, &description, now)
    })
    .await;
    settle(&app, &reader, handle, Some(environment), form, outcome, "said-saved").await
}

/// `POST /organisations/{handle}/environments/{environment}/removal`
pub async fn remove(app: Data<App>, reader: SignedIn, path: Path<(String, String)>, _: Form<Nothing>) -> PageResult {
    let (handle, environment) = path.into_inner();
    let now = app.clock.now();
    change_managed(&app, &reader, &handle, move |db, organisation| {
        let environment = environments::find(db, organisation.id, &environment)?.ok_or(Error::NotFound)?;
        environments::remove(db, &environment, now)
    })
    .await?;
    Ok(redirect_saying(&format!("/organisations/{handle}/environments"), "said-removed"))
}

/// After the form was sent: the list, or the form with what is wrong.
async fn settle(
    app: &App,
    reader: &SignedIn,
    handle: String,
    environment: Option<String>,
    form: EnvironmentForm,
    outcome: Result<()>,
    said: &str,
) -> PageResult {
    match outcome {
        Ok(()) => Ok(redirect_saying(&format!("/organisations/{handle}/environments"), said)),
        Err(Error::Invalid(errors)) => {
            form_page(app, reader, handle, environment, form, errors, StatusCode::UNPROCESSABLE_ENTITY).await
        }
        Err(error) => Err(error.into()),
    }
}

async fn form_page(
    app: &App,
    reader: &SignedIn,
    handle: String,
    environment: Option<String>,
    form: EnvironmentForm,
    errors: FieldErrors,
    status: StatusCode,
) -> PageResult {
    let (organisation, sites) = read_managed(app, reader, &handle, |db, organisation| {
        let sites = sites::of_organisation(db, organisation.id)?;
        Ok((organisation, sites))
    })
    .await?;
    let frame = Frame::new(app, reader, &organisation, Tab::Environments);
    let action = match &environment {
        Some(environment) => format!("{}/environments/{environment}", frame.path),
        None => format!("{}/environments", frame.path),
    };
    let part = EnvironmentPart {
        p: frame.p.clone(),
        errors,
        list: format!("{}/environments", frame.path),
        title: frame.p.t.say(if environment.is_none() { "environment-add" } else { "environment-edit" }),
        action,
        is_new: environment.is_none(),
        sites: Choice::list(sites.into_iter().map(|site| (site.handle, site.name)), &form.site),
        typed: form,
    };
    frame.show(&part, status)
}

impl EnvironmentForm {
    fn description(&self) -> EnvironmentDescription {
        let mut components = environments::parse_lines(&self.products, ComponentKind::Product);
        components.extend(environments::parse_lines(&self.components, ComponentKind::Component));
        EnvironmentDescription {
            name: self.name.clone(),
            site: self.site.clone(),
            operating_system: self.operating_system.clone(),
            remarks: self.remarks.clone(),
            components,
        }
    }
}

struct Card {
    href: String,
    name: String,
    site: String,
    operating_system: String,
    remarks: String,
    products: Vec<(String, String)>,
    components: Vec<(String, String)>,
}

#[derive(Template)]
#[template(path = "organisation/environments.html")]
struct EnvironmentsPart {
    p: Page,
    path: String,
    may_manage: bool,
    environments: Vec<Card>,
}

#[derive(Template)]
#[template(path = "organisation/environment.html")]
struct EnvironmentPart {
    p: Page,
    errors: FieldErrors,
    list: String,
    title: String,
    action: String,
    is_new: bool,
    sites: Vec<Choice>,
    typed: EnvironmentForm,
}
