//! Mails that were put into files instead of being sent, while developing and in the demo. They hold links that sign
//! people in, so only who operates the installation reads them.

use actix_web::web::{Data, Path};
use askama::Template;

use crate::app::App;
use crate::carry;
use crate::clock::UtcTime;
use crate::error::Error;
use crate::mail::incoming;
use crate::mail::transport::{MailFolder, Transport};
use crate::people::roles::Permission;
use crate::web::navigation::Place;
use crate::web::page::{Crumb, Page};
use crate::web::page_error::{PageError, PageResult};
use crate::web::respond::page;
use crate::web::signed_in::Staff;

const LIST: &str = "/admin/development-mail";
/// Mails shown, the newest ones.
const SHOWN: usize = 50;

/// `GET /admin/development-mail`
pub async fn list(app: Data<App>, staff: Staff) -> PageResult {
    let folder = folder(&app, &staff)?;
    let read = carry::blocking(move || {
        let mut rows = Vec::new();
        for name in folder.list(SHOWN)? {
            if let Some(bytes) = folder.find(&name)? {
                rows.push(Row::new(&name, &bytes));
            }
        }
        Ok::<_, std::io::Error>(rows)
    })
    .await;
    let rows = read.map_err(|_| Error::Busy)?.map_err(fault)?;
    page(&ListPage { rows, p: staff.page(&app, "development-title", Place::DevelopmentMail) })
}

/// `GET /admin/development-mail/{name}`
pub async fn show(app: Data<App>, staff: Staff, path: Path<String>) -> PageResult {
    let folder = folder(&app, &staff)?;
    let name = path.into_inner();
    let read = carry::blocking(move || folder.find(&name)).await;
    let bytes = read.map_err(|_| Error::Busy)?.map_err(fault)?.ok_or(Error::NotFound)?;
    let mail = incoming::parse(&bytes);
    let p = staff.page(&app, "development-title", Place::DevelopmentMail);
    let header = mail.headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    page(&MailPage {
        crumbs: vec![Crumb::new(p.t.say("development-title"), LIST)],
        subject: mail.subject,
        pieces: pieces(&mail.text),
        header,
        p,
    })
}

/// A text in pieces, of which every second one is a link; the first is not.
fn pieces(text: &str) -> Vec<(String, bool)> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find("http://").into_iter().chain(rest.find("https://")).min() {
        let end = rest[start..].find(char::is_whitespace).map_or(rest.len(), |end| start + end);
        pieces.push((rest[..start].to_owned(), false));
        pieces.push((rest[start..end].to_owned(), true));
        rest = &rest[end..];
    }
    pieces.push((rest.to_owned(), false));
    pieces
}

fn folder(app: &App, staff: &Staff) -> Result<MailFolder, PageError> {
    staff.require(Permission::OperateInstallation)?;
    match &app.transport {
        Transport::Files(folder) => Ok(folder.clone()),
        _ => Err(Error::NotFound.into()),
    }
}

fn fault(error: std::io::Error) -> PageError {
    Error::Internal(anyhow::Error::new(error).context("the folder of mails cannot be read")).into()
}

struct Row {
    path: String,
    to: String,
    subject: String,
    date: Option<UtcTime>,
}

impl Row {
    fn new(name: &str, bytes: &[u8]) -> Row {
        let mail = incoming::parse(bytes);
        Row {
            path: format!("{LIST}/{name}"),
            to: mail.to.first().map(|to| to.shown_address.clone()).unwrap_or_default(),
            subject: mail.subject,
            date: mail.date,
        }
    }
}

#[derive(Template)]
#[template(path = "admin/development_mails.html")]
struct ListPage {
    p: Page,
    rows: Vec<Row>,
}

#[derive(Template)]
#[template(path = "admin/development_mail.html")]
struct MailPage {
    p: Page,
    crumbs: Vec<Crumb>,
    subject: String,
    pieces: Vec<(String, bool)>,
    header: Vec<(String, String)>,
}
