//! Outgoing mail: what did not arrive, what is on its way, what was sent; and trying again.

use actix_web::web::{Data, Path, Query};
use askama::Template;
use serde::Deserialize;

use crate::access::Actor;
use crate::app::App;
use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::paging::{Cursor, PAGE_SIZE};
use crate::error::{Error, Result};
use crate::i18n::Message;
use crate::notifications::left_out;
use crate::outbox::State;
use crate::outbox::listing::{self, Outgoing, Which};
use crate::people::roles::Permission;
use crate::tickets::ticket;
use crate::web::admin::relays::{self, RelayStanding};
use crate::web::forms::{Form, Nothing};
use crate::web::navigation::Place;
use crate::web::page::{NavigationItem, Page, Tone};
use crate::web::page_error::{PageError, PageResult};
use crate::web::respond::{page, redirect_saying};
use crate::web::signed_in::Staff;

/// Which mails, and where the page begins.
#[derive(Debug, Deserialize)]
pub struct ListQuery {
    which: Option<String>,
    before: Option<String>,
}

/// `GET /admin/outgoing-mail`
pub async fn list(app: Data<App>, staff: Staff, query: Query<ListQuery>) -> PageResult {
    staff.require(Permission::OperateInstallation)?;
    let which = match query.which.as_deref() {
        None | Some("") => Which::Dead,
        Some(text) => Which::parse(text).ok_or_else(PageError::bad_request)?,
    };
    let before = match &query.before {
        None => None,
        Some(text) => Some(Cursor::parse(text).ok_or_else(PageError::bad_request)?),
    };
    let actor = staff.actor().clone();
    let (found, counts, relays, left_out) = app
        .database
        .read(move |db| {
            let mut found = listing::list(db, which, before, PAGE_SIZE)?;
            for mail in &mut found.rows {
                hide_what_is_said(db, &actor, mail)?;
            }
            Ok((found, listing::counts(db)?, relays::load(db)?, left_out::waiting(db)?))
        })
        .await?;
    let p = staff.page(&app, "outgoing-title", Place::OutgoingMail);
    let tabs = Which::ALL
        .iter()
        .map(|&tab| {
            let item = NavigationItem::new(
                p.t.say(&format!("outgoing-{tab}")),
                format!("/admin/outgoing-mail?which={tab}"),
                match tab {
                    Which::Dead => "alert",
                    Which::Open => "clock",
                    Which::Sent => "check",
                },
            );
            let item = match tab {
                Which::Dead if counts.dead > 0 => item.counting(p.t.number(counts.dead), Tone::Late),
                Which::Open if counts.waiting > 0 => item.counting(p.t.number(counts.waiting), Tone::Plain),
                _ => item,
            };
            item.current_if(tab == which)
        })
        .collect();
    let rows = found
        .rows
        .into_iter()
        .map(|mail| Row {
            action: format!("/admin/outgoing-mail/{}/sending", mail.handle),
            kind: p.t.say(&format!("outgoing-kind-{}", mail.kind)),
            can_be_retried: mail.can_be_retried() || left_out.contains(&mail.handle),
            tone: tone(&mail),
            state: p.t.say(&format!("outgoing-state-{}", mail.state)),
            at: mail.sent_at.unwrap_or(mail.created_at),
            recipient: mail.recipient,
            subject: mail.subject,
            last_error: mail.last_error.unwrap_or_default(),
        })
        .collect();
    let troubles = relays.standings(&app).into_iter().filter(RelayStanding::needs_a_look);
    page(&ListPage {
        troubles: troubles
            .map(|relay| {
                let meaning = if relay.is_in_trouble() { p.t.say("relay-trouble-means") } else { String::new() };
                (relay.title(&p.t), format!("{} {meaning}", relay.text(&p.t)))
            })
            .collect(),
        tabs,
        rows,
        first: query.before.is_some().then(|| format!("/admin/outgoing-mail?which={which}")),
        next: found.next.map(|next| format!("/admin/outgoing-mail?which={which}&before={}", next.to_text())),
        p,
    })
}

/// `POST /admin/outgoing-mail/{handle}/sending`: sends the same bytes again, or writes anew what could not be written.
pub async fn retry(app: Data<App>, staff: Staff, path: Path<String>, _: Form<Nothing>) -> PageResult {
    staff.require(Permission::OperateInstallation)?;
    let (handle, now) = (path.into_inner(), app.clock.now());
    app.database
        .write(move |db| {
            let mail = listing::find(db, &handle)?.ok_or(Error::NotFound)?;
            if left_out::retry(db, &mail, now)? {
                Ok(())
            } else {
                Err(Error::Conflict(Message::new("conflict-mail-not-dead")))
            }
        })
        .await?;
    Ok(redirect_saying("/admin/outgoing-mail", "said-mail-again"))
}

/// Who operates the installation sees that a mail of a ticket waits or failed; its subject, which is the ticket's, is for
/// those who may read the ticket. The others see which ticket it is.
fn hide_what_is_said(db: &mut DbConnection, actor: &Actor, mail: &mut Outgoing) -> Result<()> {
    if let Some(id) = mail.ticket
        && !ticket::is_visible(db, actor, id)?
    {
        mail.subject = ticket::by_id(db, id)?.reference;
    }
    Ok(())
}

fn tone(mail: &Outgoing) -> Tone {
    match mail.state {
        State::Dead => Tone::Late,
        State::Deferred => Tone::Act,
        State::Sent => Tone::Done,
        _ => Tone::Plain,
    }
}

struct Row {
    action: String,
    kind: String,
    recipient: String,
    subject: String,
    tone: Tone,
    state: String,
    at: UtcTime,
    last_error: String,
    can_be_retried: bool,
}

#[derive(Template)]
#[template(path = "admin/outgoing_mail.html")]
struct ListPage {
    p: Page,
    /// The relays that take no mail at present, and what is known of each.
    troubles: Vec<(String, String)>,
    tabs: Vec<NavigationItem>,
    rows: Vec<Row>,
    first: Option<String>,
    next: Option<String>,
}
