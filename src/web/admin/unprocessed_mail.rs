//! Mail that waits for somebody: held because its sender could not be believed, or failed. Who operates the installation
//! sees that it is there and has it tried again; what it says is for those who work in its queue, and they decide.

use actix_web::HttpResponse;
use actix_web::http::{StatusCode, header};
use actix_web::web::{Data, Path, Query};
use askama::Template;
use serde::Deserialize;

use crate::access::{self, Actor};
use crate::app::App;
use crate::cards;
use crate::carry;
use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::paging::{Cursor, PAGE_SIZE};
use crate::db::types::MailboxId;
use crate::error::{Error, FieldErrors, Result};
use crate::i18n::{Message, Texts};
use crate::intake::reading::Surroundings;
use crate::intake::{House, by_hand, reading};
use crate::journal::unprocessed::{self, Unprocessed};
use crate::journal::{Delivery, State, claiming};
use crate::mail::address::visible;
use crate::mail::incoming::{ParsedMail, parse_within};
use crate::people::roles::Permission;
use crate::teams::mailboxes::{self, Mailbox};
use crate::tickets::ticket;
use crate::web::forms::{Form, Nothing};
use crate::web::mail_words;
use crate::web::name_marks::name_marks;
use crate::web::navigation::Place;
use crate::web::page::{Crumb, Page, Tone};
use crate::web::page_error::{PageError, PageResult};
use crate::web::respond::{page, page_with, redirect, redirect_saying};
use crate::web::signed_in::Staff;

/// As much of a mail's text as is shown before somebody decides; the original can be downloaded.
const SHOWN_CHARACTERS: usize = 20_000;

/// Where the page begins.
#[derive(Debug, Deserialize)]
pub struct ListQuery {
    before: Option<String>,
}

/// The form that adds a mail to a ticket.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TicketForm {
    reference: String,
}

/// `GET /admin/unprocessed-mail`
pub async fn list(app: Data<App>, staff: Staff, query: Query<ListQuery>) -> PageResult {
    let actor = staff.actor().clone();
    if !staff.staff.may(Permission::OperateInstallation) {
        staff.require(Permission::WorkTickets)?;
        if !staff.staff.undertaking_accepted {
            return Err(PageError::Elsewhere("/undertaking".to_owned()));
        }
    }
    let before = match &query.before {
        None => None,
        Some(text) => Some(Cursor::parse(text).ok_or_else(PageError::bad_request)?),
    };
    let (found, mailboxes) = app
        .database
        .read(move |db| {
            let mailboxes = mailboxes::all(db)?;
            let own: Vec<MailboxId> =
                mailboxes.iter().filter(|mailbox| may_know(&actor, mailbox)).map(|mailbox| mailbox.id).collect();
            Ok((unprocessed::list_at(db, &own, before, PAGE_SIZE)?, mailboxes))
        })
        .await?;
    let p = staff.page(&app, "unprocessed-title", Place::UnprocessedMail);
    let rows = found
        .rows
        .into_iter()
        .map(|mail| {
            let (tone, state) = state(&p.t, &mail);
            Row {
                href: format!("/admin/unprocessed-mail/{}", mail.handle),
                sender: sender(&p.t, &mail),
                mailbox: mailboxes
                    .iter()
                    .find(|mailbox| mailbox.id == mail.mailbox)
                    .map(|mailbox| mailbox.address.clone())
                    .unwrap_or_default(),
                reason: reason(&p.t, &mail),
                at: mail.received_at,
                tone,
                state,
            }
        })
        .collect();
    page(&ListPage {
        rows,
        first: query.before.is_some().then(|| "/admin/unprocessed-mail".to_owned()),
        next: found.next.map(|next| format!("/admin/unprocessed-mail?before={}", next.to_text())),
        p,
    })
}

/// `GET /admin/unprocessed-mail/{handle}`
pub async fn show(app: Data<App>, staff: Staff, path: Path<String>) -> PageResult {
    mail_page(app, &staff, path.into_inner(), TicketForm::default(), FieldErrors::default(), StatusCode::OK).await
}

/// `GET /admin/unprocessed-mail/{handle}/original`: the mail as it came, as a file.
pub async fn download(app: Data<App>, staff: Staff, path: Path<String>) -> PageResult {
    let (actor, handle) = (staff.actor().clone(), path.into_inner());
    let (mail, original) = app
        .database
        .read(move |db| {
            let (mail, mailbox) = find(db, &actor, &handle)?;
            if !may_read(&actor, &mailbox) {
                return Err(Error::Forbidden);
            }
            let original = unprocessed::original(db, mail.id)?;
            Ok((mail, original))
        })
        .await?;
    let storage = app.storage.clone();
    let bytes = carry::blocking(move || original.read(&storage)).await.map_err(|_| Error::Busy)??;
    Ok(HttpResponse::Ok()
        .content_type("application/octet-stream")
        .insert_header((header::CONTENT_DISPOSITION, format!("attachment; filename=\"{}.eml\"", mail.handle)))
        .body(bytes))
}

/// `POST /admin/unprocessed-mail/{handle}/reprocessing`: processes the mail again from the start.
pub async fn reprocess(app: Data<App>, staff: Staff, path: Path<String>, _: Form<Nothing>) -> PageResult {
    let (actor, handle, now) = (staff.actor().clone(), path.into_inner(), app.clock.now());
    app.database
        .write(move |db| {
            let (mail, _) = find(db, &actor, &handle)?;
            by_hand::reprocess(db, mail.id, now)
        })
        .await?;
    Ok(redirect_saying("/admin/unprocessed-mail", "said-mail-reprocessed"))
}

/// `POST /admin/unprocessed-mail/{handle}/rejection`: leaves the mail as it is, off the list.
pub async fn reject(app: Data<App>, staff: Staff, path: Path<String>, _: Form<Nothing>) -> PageResult {
    let (actor, handle, now) = (staff.actor().clone(), path.into_inner(), app.clock.now());
    app.database
        .write(move |db| {
            let (mail, mailbox) = find(db, &actor, &handle)?;
            if !may_read(&actor, &mailbox) {
                return Err(Error::Forbidden);
            }
            by_hand::reject(db, mail.id, now)
        })
        .await?;
    Ok(redirect_saying("/admin/unprocessed-mail", "said-mail-rejected"))
}

/// `POST /admin/unprocessed-mail/{handle}/ticket`: opens a ticket for the mail.
pub async fn open_ticket(app: Data<App>, staff: Staff, path: Path<String>, _: Form<Nothing>) -> PageResult {
    let (actor, now) = (staff.actor().clone(), app.clock.now());
    let (house, delivery, reading) = read_again(&app, &staff, path.into_inner()).await?;
    let applied =
        app.database.write(move |db| by_hand::open_as_new(db, &house, &delivery, &reading, &actor, now)).await?;
    Ok(match applied.ticket {
        Some(ticket) => redirect(&format!("/tickets/{}", ticket.reference)),
        None => redirect("/admin/unprocessed-mail"),
    })
}

/// `POST /admin/unprocessed-mail/{handle}/message`: adds the mail to a ticket.
pub async fn add_to_ticket(
    app: Data<App>,
    staff: Staff,
    path: Path<String>,
    Form(form): Form<TicketForm>,
) -> PageResult {
    let (actor, now, handle) = (staff.actor().clone(), app.clock.now(), path.into_inner());
    let (house, delivery, reading) = read_again(&app, &staff, handle.clone()).await?;
    let reference = form.reference.trim().to_owned();
    let outcome = app
        .database
        .write(move |db| {
            let ticket = match ticket::by_reference(db, &actor, &reference) {
                Err(Error::NotFound) => return Err(Error::invalid("reference", "error-ticket-unknown")),
                found => found?,
            };
            by_hand::add_to(db, &house, &delivery, &reading, ticket, &actor, now)
        })
        .await;
    match outcome {
        Ok(applied) => Ok(match applied.ticket {
            Some(ticket) => redirect(&format!("/tickets/{}", ticket.reference)),
            None => redirect("/admin/unprocessed-mail"),
        }),
        Err(Error::Invalid(errors)) => {
            mail_page(app, &staff, handle, form, errors, StatusCode::UNPROCESSABLE_ENTITY).await
        }
        Err(error) => Err(error.into()),
    }
}

/// Whether `actor` may know that a mail for `mailbox` waits.
fn may_know(actor: &Actor, mailbox: &Mailbox) -> bool {
    access::may(actor, Permission::OperateInstallation) || may_read(actor, mailbox)
}

/// Whether `actor` may read it and decide: those who would see its ticket.
fn may_read(actor: &Actor, mailbox: &Mailbox) -> bool {
    matches!(actor, Actor::Staff(staff) if staff.works_in(mailbox.queue_id))
}

fn find(db: &mut DbConnection, actor: &Actor, handle: &str) -> Result<(Unprocessed, Mailbox)> {
    let mail = unprocessed::find(db, handle)?.ok_or(Error::NotFound)?;
    let mailbox = mailboxes::by_id(db, mail.mailbox)?;
    if !may_know(actor, &mailbox) {
        return Err(Error::NotFound);
    }
    // What was decided is in its ticket, or is not to be looked at any more.
    if !matches!(mail.state, State::Held | State::Failed) {
        return Err(Error::Conflict(Message::new("mail-decided-meanwhile")));
    }
    Ok((mail, mailbox))
}

/// Reads the mail as a worker would, outside of any transaction, for a decision by hand.
async fn read_again(
    app: &Data<App>,
    staff: &Staff,
    handle: String,
) -> Result<(House, Delivery, reading::Reading), PageError> {
    let actor = staff.actor().clone();
    let (delivery, surroundings) = app
        .database
        .read(move |db| {
            let (mail, mailbox) = find(db, &actor, &handle)?;
            if !may_read(&actor, &mailbox) {
                return Err(Error::Forbidden);
            }
            Ok((claiming::load(db, mail.id)?, Surroundings::load(db)?))
        })
        .await?;
    let app = app.clone();
    let read = move || {
        let house = House::new(&app.keys, &app.config, &app.senders);
        let reading = reading::read(&house, &app.storage, &delivery, &surroundings, app.clock.now())?;
        Ok::<_, Error>((house, delivery, reading))
    };
    Ok(carry::blocking(read).await.map_err(|_| Error::Busy)??)
}

async fn mail_page(
    app: Data<App>,
    staff: &Staff,
    handle: String,
    typed: TicketForm,
    errors: FieldErrors,
    status: StatusCode,
) -> PageResult {
    let actor = staff.actor().clone();
    let (mail, mailbox, original) = app
        .database
        .read(move |db| {
            let (mail, mailbox) = find(db, &actor, &handle)?;
            let original = if may_read(&actor, &mailbox) { Some(unprocessed::original(db, mail.id)?) } else { None };
            Ok((mail, mailbox, original))
        })
        .await?;
    let content = match original {
        None => None,
        Some(original) => {
            let (storage, limit) = (app.storage.clone(), app.config.limits.mail_bytes);
            let read = move || original.read(&storage).map(|bytes| Content::of(&parse_within(&bytes, limit)));
            Some(carry::blocking(read).await.map_err(|_| Error::Busy)??)
        }
    };
    let p = staff.page(&app, "unprocessed-mail", Place::UnprocessedMail);
    let t = p.t;
    let imported = mail.imported.map(|imported| mail_words::imported(&t, imported)).unwrap_or_default();
    let written_at = content.as_ref().and_then(|content| content.written_at).filter(|_| mail.imported.is_some());
    let (tone, state) = state(&t, &mail);
    let record = &mail.record.0;
    let flags = record.flags.iter().map(|flag| mail_words::flag(&t, flag));
    let remarks: Vec<String> = flags.chain(record.cut.iter().map(|limit| mail_words::cut(&t, limit))).collect();
    let facts = [
        (t.say("unprocessed-mailbox"), mailbox.address.clone()),
        (t.say("unprocessed-envelope-from"), sender(&t, &mail)),
        (t.say("handling-way"), imported),
        (t.say("handling-written"), written_at.map(|at| t.date_time(&at)).unwrap_or_default()),
        (t.say("unprocessed-at"), t.date_time(&mail.received_at)),
        (t.say("unprocessed-size"), t.size(mail.size)),
        (t.say("unprocessed-reason"), reason(&t, &mail)),
        (t.say("unprocessed-flags"), remarks.join(" · ")),
    ];
    let template = MailPage {
        errors,
        crumbs: vec![Crumb::new(t.say("nav-unprocessed-mail"), "/admin/unprocessed-mail")],
        path: format!("/admin/unprocessed-mail/{}", mail.handle),
        tone,
        state,
        facts: facts.into_iter().filter(|(_, value)| !value.is_empty()).collect(),
        content,
        decide_hint: if mail.imported.is_some() { "unprocessed-decide-imported" } else { "unprocessed-decide-hint" },
        typed,
        p,
    };
    page_with(&template, status)
}

fn state(t: &Texts, mail: &Unprocessed) -> (Tone, String) {
    match mail.state {
        State::Held => (Tone::Act, t.say("unprocessed-held")),
        _ => (Tone::Late, t.say("unprocessed-failed")),
    }
}

fn sender(t: &Texts, mail: &Unprocessed) -> String {
    match mail.envelope_from.as_str() {
        "" | "<>" => t.say("unprocessed-no-sender"),
        sender => visible(sender),
    }
}

/// Why the mail waits: what the decision table found, or the fault.
fn reason(t: &Texts, mail: &Unprocessed) -> String {
    let record = &mail.record.0;
    match mail.state {
        State::Held if mail.imported.is_some() => t.say("unprocessed-reason-imported"),
        State::Held if record.rule == "D9" => t.say("unprocessed-reason-staff"),
        State::Held if record.rule == "BN-04" => t.say("unprocessed-reason-complaint"),
        State::Held if record.rule == "BN-02" => t.say("unprocessed-reason-report"),
        State::Held if record.authentication == "fail" => t.say("unprocessed-reason-forged"),
        State::Held => t.say("unprocessed-reason-other"),
        _ => mail.last_error.clone().unwrap_or_default(),
    }
}

/// What a mail says, as text, without payment card numbers (A5).
struct Content {
    subject: String,
    /// The name in From; empty for none.
    name: String,
    /// The address in From, as it was written.
    address: String,
    /// The keys of what deceives the eye in them.
    marks: Vec<&'static str>,
    text: String,
    is_cut: bool,
    /// As its sender's clock said.
    written_at: Option<UtcTime>,
}

impl Content {
    fn of(mail: &ParsedMail) -> Content {
        let text = cards::mask_numbers(&mail.text);
        Content {
            subject: visible(&cards::mask_numbers(&mail.subject)),
            name: visible(mail.from.display_name.trim()),
            address: visible(&mail.from.shown_address),
            marks: name_marks(&mail.from.display_name, &mail.from.shown_address),
            is_cut: text.chars().count() > SHOWN_CHARACTERS,
            text: text.chars().take(SHOWN_CHARACTERS).collect(),
            written_at: mail.date,
        }
    }
}

struct Row {
    href: String,
    sender: String,
    mailbox: String,
    tone: Tone,
    state: String,
    reason: String,
    at: UtcTime,
}

#[derive(Template)]
#[template(path = "admin/unprocessed_mails.html")]
struct ListPage {
    p: Page,
    rows: Vec<Row>,
    first: Option<String>,
    next: Option<String>,
}

#[derive(Template)]
#[template(path = "admin/unprocessed_mail.html")]
struct MailPage {
    p: Page,
    errors: FieldErrors,
    crumbs: Vec<Crumb>,
    path: String,
    tone: Tone,
    state: String,
    facts: Vec<(String, String)>,
    content: Option<Content>,
    decide_hint: &'static str,
    typed: TicketForm,
}
