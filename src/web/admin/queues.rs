//! Queues, their order, and who works in them.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Path};
use askama::Template;
use serde::Deserialize;

use crate::access;
use crate::app::App;
use crate::db::DbConnection;
use crate::error::{Error, FieldErrors, Result};
use crate::i18n::Texts;
use crate::people::person;
use crate::people::roles::Permission;
use crate::teams::members::{self, QueueMember};
use crate::teams::queues::{self, Queue, QueueDescription, QueueKind};
use crate::web::forms::{Form, Nothing};
use crate::web::navigation::Place;
use crate::web::page::{Choice, Crumb, Page};
use crate::web::page_error::{PageError, PageResult};
use crate::web::respond::{page, page_with, redirect, redirect_saying};
use crate::web::signed_in::Staff;

/// The form of a queue.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueueForm {
    kind: String,
    name_fr: String,
    name_en: String,
    #[serde(default)]
    on_form: bool,
}

/// The form of who works in a queue: the public names of all who do.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MembersForm {
    #[serde(default)]
    members: Vec<String>,
}

/// `GET /admin/queues`
pub async fn list(app: Data<App>, staff: Staff) -> PageResult {
    staff.require(Permission::ManageQueues)?;
    let found = app
        .database
        .read(|db| {
            let mut found = Vec::new();
            for queue in queues::all(db)? {
                let members = members::of_queue(db, queue.id)?;
                found.push((queue, members));
            }
            Ok(found)
        })
        .await?;
    let p = staff.page(&app, "queues-title", Place::Queues);
    let rows = found
        .into_iter()
        .enumerate()
        .map(|(place, (queue, members))| Row {
            path: format!("/admin/queues/{}", queue.handle),
            name: queue.name(p.t.locale).to_owned(),
            kind: p.t.say(&format!("queue-kind-{}", queue.kind)),
            on_form: p.t.say(if queue.on_form { "yes" } else { "no" }),
            is_first: place == 0,
            members: members.iter().map(|member| member.name.clone()).collect::<Vec<_>>().join(", "),
        })
        .collect();
    page(&ListPage { p, rows })
}

/// `GET /admin/queues/new`
pub async fn new(app: Data<App>, staff: Staff) -> PageResult {
    staff.require(Permission::ManageQueues)?;
    let typed = QueueForm { on_form: true, ..QueueForm::default() };
    queue_page(&app, &staff, None, typed, FieldErrors::default(), StatusCode::OK)
}

/// `POST /admin/queues`
pub async fn create(app: Data<App>, staff: Staff, Form(form): Form<QueueForm>) -> PageResult {
    staff.require(Permission::ManageQueues)?;
    let (description, now) = (form.description()?, app.clock.now());
    match app.database.write(move |db| queues::create(db, &description, now)).await {
        Ok(queue) => Ok(redirect_saying(&format!("/admin/queues/{}", queue.handle), "said-queue-added")),
        Err(Error::Invalid(errors)) => queue_page(&app, &staff, None, form, errors, StatusCode::UNPROCESSABLE_ENTITY),
        Err(error) => Err(error.into()),
    }
}

/// `GET /admin/queues/{handle}`
pub async fn show(app: Data<App>, staff: Staff, path: Path<String>) -> PageResult {
    staff.require(Permission::ManageQueues)?;
    let found = load(&app, path.into_inner()).await?;
    let typed = QueueForm::of(&found.0);
    queue_page(&app, &staff, Some(found), typed, FieldErrors::default(), StatusCode::OK)
}

/// `POST /admin/queues/{handle}`
pub async fn update(app: Data<App>, staff: Staff, path: Path<String>, Form(form): Form<QueueForm>) -> PageResult {
    staff.require(Permission::ManageQueues)?;
    let (description, now, handle) = (form.description()?, app.clock.now(), path.into_inner());
    let target = handle.clone();
    let outcome = app
        .database
        .write(move |db| {
            let queue = queues::find_by_handle(db, &target)?.ok_or(Error::NotFound)?;
            queues::update(db, &queue, &description, now)
        })
        .await;
    match outcome {
        Ok(()) => Ok(redirect_saying("/admin/queues", "said-saved")),
        Err(Error::Invalid(errors)) => {
            let found = load(&app, handle).await?;
            queue_page(&app, &staff, Some(found), form, errors, StatusCode::UNPROCESSABLE_ENTITY)
        }
        Err(error) => Err(error.into()),
    }
}

/// `POST /admin/queues/{handle}/earlier`
pub async fn move_up(app: Data<App>, staff: Staff, path: Path<String>, _: Form<Nothing>) -> PageResult {
    staff.require(Permission::ManageQueues)?;
    let (handle, now) = (path.into_inner(), app.clock.now());
    app.database
        .write(move |db| {
            let queue = queues::find_by_handle(db, &handle)?.ok_or(Error::NotFound)?;
            queues::move_up(db, &queue, now)
        })
        .await?;
    Ok(redirect("/admin/queues"))
}

/// `POST /admin/queues/{handle}/members`
pub async fn set_members(
    app: Data<App>,
    staff: Staff,
    path: Path<String>,
    Form(form): Form<MembersForm>,
) -> PageResult {
    let (actor, now, handle) = (staff.actor().clone(), app.clock.now(), path.into_inner());
    app.database
        .write(move |db| {
            if !access::may(&actor, Permission::ManageQueues) {
                return Err(Error::Forbidden);
            }
            let queue = queues::find_by_handle(db, &handle)?.ok_or(Error::NotFound)?;
            let mut chosen = Vec::new();
            for member in &form.members {
                chosen.push(person::find_by_handle(db, member)?.ok_or(Error::NotFound)?.id);
            }
            let present: Vec<_> = members::of_queue(db, queue.id)?.iter().map(|member| member.person).collect();
            for person in present.iter().filter(|person| !chosen.contains(person)) {
                members::remove(db, &queue, *person, actor.person(), now)?;
            }
            for person in chosen.iter().filter(|person| !present.contains(person)) {
                members::add(db, &queue, *person, actor.person(), now)?;
            }
            Ok(())
        })
        .await?;
    Ok(redirect_saying("/admin/queues", "said-saved"))
}

type Found = (Queue, Vec<QueueMember>, Vec<QueueMember>);

/// A queue, who works in it, and who could.
async fn load(app: &App, handle: String) -> Result<Found> {
    let query = move |db: &mut DbConnection| {
        let queue = queues::find_by_handle(db, &handle)?.ok_or(Error::NotFound)?;
        let members = members::of_queue(db, queue.id)?;
        Ok((queue, members, members::all_staff(db)?))
    };
    app.database.read(query).await
}

fn queue_page(
    app: &App,
    staff: &Staff,
    found: Option<Found>,
    typed: QueueForm,
    errors: FieldErrors,
    status: StatusCode,
) -> PageResult {
    let title = if found.is_some() { "queue-edit" } else { "queue-new" };
    let p = staff.page(app, title, Place::Queues);
    let heading = match &found {
        Some((queue, ..)) => queue.name(p.t.locale).to_owned(),
        None => p.t.say(title),
    };
    let members = found.as_ref().map(|(_, members, everybody)| {
        everybody
            .iter()
            .map(|person| Choice {
                value: person.handle.clone(),
                label: person.name.clone(),
                hint: if person.is_active { String::new() } else { p.t.say("person-disabled") },
                selected: members.iter().any(|member| member.person == person.person),
            })
            .collect()
    });
    let template = QueuePage {
        errors,
        crumbs: vec![Crumb::new(p.t.say("nav-queues"), "/admin/queues")],
        action: match &found {
            Some((queue, ..)) => format!("/admin/queues/{}", queue.handle),
            None => "/admin/queues".to_owned(),
        },
        heading,
        kinds: kinds(&p.t, &typed.kind),
        members,
        typed,
        p,
    };
    page_with(&template, status)
}

fn kinds(t: &Texts, selected: &str) -> Vec<Choice> {
    Choice::list(QueueKind::ALL.iter().map(|kind| (kind.as_str(), t.say(&format!("queue-kind-{kind}")))), selected)
}

impl QueueForm {
    fn of(queue: &Queue) -> Self {
        QueueForm {
            kind: queue.kind.as_str().to_owned(),
            name_fr: queue.name_fr.clone(),
            name_en: queue.name_en.clone(),
            on_form: queue.on_form,
        }
    }

    fn description(&self) -> Result<QueueDescription, PageError> {
        Ok(QueueDescription {
            kind: QueueKind::parse(&self.kind).ok_or_else(PageError::bad_request)?,
            name_fr: self.name_fr.clone(),
            name_en: self.name_en.clone(),
            on_form: self.on_form,
        })
    }
}

struct Row {
    path: String,
    name: String,
    kind: String,
    on_form: String,
    is_first: bool,
    members: String,
}

#[derive(Template)]
#[template(path = "admin/queues.html")]
struct ListPage {
    p: Page,
    rows: Vec<Row>,
}

#[derive(Template)]
#[template(path = "admin/queue.html")]
struct QueuePage {
    p: Page,
    errors: FieldErrors,
    crumbs: Vec<Crumb>,
    heading: String,
    action: String,
    kinds: Vec<Choice>,
    members: Option<Vec<Choice>>,
    typed: QueueForm,
}
