//! Mailboxes: the addresses at which mail arrives, and what each stands for.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Path};
use askama::Template;
use serde::Deserialize;

use crate::app::App;
use crate::db::DbConnection;
use crate::error::{Error, FieldErrors, Result};
use crate::i18n::Locale;
use crate::mail::address::EmailAddress;
use crate::people::roles::Permission;
use crate::people::staff::has_address_at;
use crate::teams::mailboxes::{self, ClosedTickets, Mailbox, MailboxDescription, REOPEN_DAYS};
use crate::teams::queues::{self, Queue};
use crate::web::forms::{Form, Nothing};
use crate::web::navigation::Place;
use crate::web::organisation::information::languages;
use crate::web::page::{Choice, Crumb, Page};
use crate::web::page_error::PageResult;
use crate::web::respond::{page, page_with, redirect_saying};
use crate::web::signed_in::Staff;

/// The form of a mailbox.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MailboxForm {
    address: String,
    display_name: String,
    queue: String,
    language: String,
    #[serde(default)]
    acknowledges: bool,
    #[serde(default)]
    names_agents: bool,
    #[serde(default)]
    signature: String,
    #[serde(default)]
    closed_tickets: String,
    #[serde(default)]
    reopen_days: String,
}

/// `GET /admin/mailboxes`
pub async fn list(app: Data<App>, staff: Staff) -> PageResult {
    staff.require(Permission::ManageQueues)?;
    let reply_domain = app.config.mail.reply_domain.clone();
    let (mailboxes, queues, is_of_staff) = {
        let reply_domain = reply_domain.clone();
        let all = move |db: &mut DbConnection| {
            Ok((mailboxes::all(db)?, queues::all(db)?, has_address_at(db, &reply_domain)?))
        };
        app.database.read(all).await?
    };
    let p = staff.page(&app, "mailboxes-title", Place::Mailboxes);
    let rows = mailboxes
        .into_iter()
        .map(|mailbox| Row {
            path: format!("/admin/mailboxes/{}", mailbox.handle),
            queue: queues
                .iter()
                .find(|queue| queue.id == mailbox.queue_id)
                .map(|queue| queue.name(p.t.locale).to_owned())
                .unwrap_or_default(),
            language: p.t.say(&format!("language-{}", mailbox.language.0)),
            address: mailbox.address,
            display_name: mailbox.display_name,
            acknowledges: p.t.say(if mailbox.acknowledges { "yes" } else { "no" }),
            is_default: mailbox.is_default,
        })
        .collect();
    page(&ListPage { p, rows, reply_domain, is_of_staff })
}

/// `GET /admin/mailboxes/new`
pub async fn new(app: Data<App>, staff: Staff) -> PageResult {
    staff.require(Permission::ManageQueues)?;
    let typed = MailboxForm {
        language: staff.texts().locale.code().to_owned(),
        acknowledges: true,
        names_agents: true,
        closed_tickets: ClosedTickets::ReopenWithin.to_string(),
        reopen_days: REOPEN_DAYS.to_string(),
        ..MailboxForm::default()
    };
    mailbox_page(&app, &staff, None, typed, FieldErrors::default(), StatusCode::OK).await
}

/// `POST /admin/mailboxes`
pub async fn create(app: Data<App>, staff: Staff, Form(form): Form<MailboxForm>) -> PageResult {
    staff.require(Permission::ManageQueues)?;
    let (by, now, typed) = (staff.staff.person, app.clock.now(), form.clone());
    let outcome = app
        .database
        .write(move |db| {
            let description = typed.description(db)?;
            mailboxes::create(db, &description, Some(by), now)
        })
        .await;
    match outcome {
        Ok(_) => Ok(redirect_saying("/admin/mailboxes", "said-mailbox-added")),
        Err(Error::Invalid(errors)) => {
            mailbox_page(&app, &staff, None, form, errors, StatusCode::UNPROCESSABLE_ENTITY).await
        }
        Err(error) => Err(error.into()),
    }
}

/// `GET /admin/mailboxes/{handle}`
pub async fn show(app: Data<App>, staff: Staff, path: Path<String>) -> PageResult {
    staff.require(Permission::ManageQueues)?;
    let handle = path.into_inner();
    let (mailbox, queue) = app
        .database
        .read(move |db| {
            let mailbox = mailboxes::find_by_handle(db, &handle)?.ok_or(Error::NotFound)?;
            let queue = queues::by_id(db, mailbox.queue_id)?;
            Ok((mailbox, queue))
        })
        .await?;
    let typed = MailboxForm::of(&mailbox, &queue);
    mailbox_page(&app, &staff, Some(mailbox.handle), typed, FieldErrors::default(), StatusCode::OK).await
}

/// `POST /admin/mailboxes/{handle}`
pub async fn update(app: Data<App>, staff: Staff, path: Path<String>, Form(form): Form<MailboxForm>) -> PageResult {
    staff.require(Permission::ManageQueues)?;
    let (by, now, typed, handle) = (staff.staff.person, app.clock.now(), form.clone(), path.into_inner());
    let target = handle.clone();
    let outcome = app
        .database
        .write(move |db| {
            let mailbox = mailboxes::find_by_handle(db, &target)?.ok_or(Error::NotFound)?;
            let description = typed.description(db)?;
            mailboxes::update(db, &mailbox, &description, Some(by), now)
        })
        .await;
    match outcome {
        Ok(()) => Ok(redirect_saying("/admin/mailboxes", "said-saved")),
        Err(Error::Invalid(errors)) => {
            mailbox_page(&app, &staff, Some(handle), form, errors, StatusCode::UNPROCESSABLE_ENTITY).await
        }
        Err(error) => Err(error.into()),
    }
}

/// `POST /admin/mailboxes/{handle}/default`
pub async fn make_default(app: Data<App>, staff: Staff, path: Path<String>, _: Form<Nothing>) -> PageResult {
    staff.require(Permission::ManageQueues)?;
    let (by, now, handle) = (staff.staff.person, app.clock.now(), path.into_inner());
    app.database
        .write(move |db| {
            let mailbox = mailboxes::find_by_handle(db, &handle)?.ok_or(Error::NotFound)?;
            mailboxes::make_default(db, &mailbox, Some(by), now)
        })
        .await?;
    Ok(redirect_saying("/admin/mailboxes", "said-saved"))
}

async fn mailbox_page(
    app: &App,
    staff: &Staff,
    handle: Option<String>,
    typed: MailboxForm,
    errors: FieldErrors,
    status: StatusCode,
) -> PageResult {
    let queues = app.database.read(queues::all).await?;
    let title = if handle.is_some() { "mailbox-edit" } else { "mailbox-new" };
    let p = staff.page(app, title, Place::Mailboxes);
    let template = MailboxPage {
        errors,
        crumbs: vec![Crumb::new(p.t.say("nav-mailboxes"), "/admin/mailboxes")],
        heading: p.t.say(title),
        action: match &handle {
            Some(handle) => format!("/admin/mailboxes/{handle}"),
            None => "/admin/mailboxes".to_owned(),
        },
        queues: queue_choices(&queues, p.t.locale, &typed.queue),
        languages: languages(&p.t, &typed.language),
        policies: Choice::list(
            ClosedTickets::ALL.iter().map(|policy| {
                let key = format!("mailbox-closed-{policy}");
                (policy.to_string(), p.t.say(&key))
            }),
            &typed.closed_tickets,
        ),
        typed,
        p,
    };
    page_with(&template, status)
}

fn queue_choices(queues: &[Queue], locale: Locale, selected: &str) -> Vec<Choice> {
    Choice::list(queues.iter().map(|queue| (queue.handle.clone(), queue.name(locale).to_owned())), selected)
}

impl MailboxForm {
    fn of(mailbox: &Mailbox, queue: &Queue) -> Self {
        MailboxForm {
            address: mailbox.address.clone(),
            display_name: mailbox.display_name.clone(),
            queue: queue.handle.clone(),
            language: mailbox.language.0.code().to_owned(),
            acknowledges: mailbox.acknowledges,
            names_agents: mailbox.names_agents,
            signature: mailbox.signature.clone(),
            closed_tickets: mailbox.closed_tickets.to_string(),
            reopen_days: mailbox.reopen_days.to_string(),
        }
    }

    fn description(&self, db: &mut DbConnection) -> Result<MailboxDescription> {
        let mut errors = FieldErrors::default();
        let typed = self.address.trim();
        let address = EmailAddress::parse(typed);
        if address.is_none() {
            errors.add("address", if typed.is_empty() { "error-mandatory" } else { "error-address" });
        }
        let queue = queues::find_by_handle(db, &self.queue)?;
        if queue.is_none() {
            errors.add("queue", "error-mandatory");
        }
        let language = Locale::parse(&self.language);
        if language.is_none() {
            errors.add("language", "error-mandatory");
        }
        let closed_tickets = ClosedTickets::parse(&self.closed_tickets);
        if closed_tickets.is_none() {
            errors.add("closed_tickets", "error-mandatory");
        }
        // The number matters to one of the policies; the others leave it as it was typed, or as usual.
        let reopen_days = match self.reopen_days.trim() {
            _ if closed_tickets != Some(ClosedTickets::ReopenWithin) => self.reopen_days.trim().parse().ok(),
            typed => Some(typed.parse().unwrap_or(0)),
        };
        match (address, queue, language, closed_tickets) {
            (Some(address), Some(queue), Some(language), Some(closed_tickets)) => Ok(MailboxDescription {
                acknowledges: self.acknowledges,
                names_agents: self.names_agents,
                signature: self.signature.clone(),
                closed_tickets,
                reopen_days: reopen_days.unwrap_or(REOPEN_DAYS),
                ..MailboxDescription::new(address, &self.display_name, queue.id, language)
            }),
            _ => Err(Error::Invalid(errors)),
        }
    }
}

struct Row {
    path: String,
    address: String,
    display_name: String,
    queue: String,
    language: String,
    acknowledges: String,
    is_default: bool,
}

#[derive(Template)]
#[template(path = "admin/mailboxes.html")]
struct ListPage {
    p: Page,
    rows: Vec<Row>,
    reply_domain: String,
    /// Whether staff is reached at the reply domain, too (TH-05).
    is_of_staff: bool,
}

#[derive(Template)]
#[template(path = "admin/mailbox.html")]
struct MailboxPage {
    p: Page,
    errors: FieldErrors,
    crumbs: Vec<Crumb>,
    heading: String,
    action: String,
    queues: Vec<Choice>,
    languages: Vec<Choice>,
    policies: Vec<Choice>,
    typed: MailboxForm,
}
