//! The link by which mails about tickets end (OUT-06, RFC 8058). Opening it, by whatever program, changes nothing; a mail
//! program that its user told to unsubscribe sends one line to it and reads no page; and on the page there is a button.

use actix_web::web::{Data, Path};
use askama::Template;

use crate::app::App;
use crate::db::DbConnection;
use crate::error::{Error, Result};
use crate::mail::mac::MacKeys;
use crate::people::mail_wishes;
use crate::people::person::Person;
use crate::web::forms::{Form, Nothing, OneClick};
use crate::web::lookups;
use crate::web::navigation::Place;
use crate::web::page::Page;
use crate::web::page_error::PageResult;
use crate::web::respond::{page, redirect};
use crate::web::signed_in::Visitor;

/// Where mail programs send their line; they come from no page of ours.
const PREFIX: &str = "/l/unsubscribe/";

#[derive(Template)]
#[template(path = "portal/unsubscribing.html")]
struct UnsubscribingPage {
    p: Page,
    action: String,
    is_mailed: bool,
}

/// Whether it is the path of [`at_once`], for which the token speaks and no page of ours need.
pub fn is_one_click(path: &str) -> bool {
    path.strip_prefix(PREFIX).is_some_and(|token| !token.contains('/'))
}

/// `GET /l/unsubscribe/{token}`
pub async fn show(app: Data<App>, visitor: Visitor, token: Path<String>) -> PageResult {
    let person = whose(&app, &visitor, token.clone()).await?;
    shown(&app, visitor, person, &token)
}

/// `POST /l/unsubscribe/{token}`: what a mail program sends. It follows no redirect.
pub async fn at_once(app: Data<App>, visitor: Visitor, token: Path<String>, _: OneClick) -> PageResult {
    let person = whose(&app, &visitor, token.clone()).await?;
    stop(&app, token.clone()).await?;
    shown(&app, visitor, Person { mailed_about_tickets: false, ..person }, &token)
}

/// `POST /l/unsubscribe/{token}/confirmation`: the button.
pub async fn confirm(app: Data<App>, visitor: Visitor, token: Path<String>, _: Form<Nothing>) -> PageResult {
    whose(&app, &visitor, token.clone()).await?;
    stop(&app, token.clone()).await?;
    Ok(redirect(&format!("{PREFIX}{token}")))
}

async fn whose(app: &Data<App>, visitor: &Visitor, token: String) -> Result<Person> {
    let keys = app.keys.for_mail();
    lookups::limited(app, visitor.ip, move |db| by_token(db, &keys, &token)).await
}

async fn stop(app: &Data<App>, token: String) -> Result<()> {
    let (keys, now) = (app.keys.for_mail(), app.clock.now());
    let stop = move |db: &mut DbConnection| {
        let person = by_token(db, &keys, &token)?;
        mail_wishes::stop(db, person.id, now)
    };
    app.database.write(stop).await
}

fn by_token(db: &mut DbConnection, keys: &MacKeys, token: &str) -> Result<Person> {
    mail_wishes::find(db, keys, token)?.ok_or(Error::NotFound)
}

fn shown(app: &Data<App>, mut visitor: Visitor, person: Person, token: &str) -> PageResult {
    // The mail was in the recipient's language, and so is what it leads to.
    visitor.locale = person.language.0;
    page(&UnsubscribingPage {
        p: visitor.page(app, "unsubscribe-title", Place::Nowhere),
        action: format!("{PREFIX}{token}/confirmation"),
        is_mailed: person.mailed_about_tickets,
    })
}
