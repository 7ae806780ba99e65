//! What was captured, for the customer: the very records that agents may read, who read them, and everything anybody ever
//! looked at that concerns the reader. A customer's own looks are on record as well.

use std::collections::BTreeMap;

use actix_web::HttpRequest;
use actix_web::web::{Data, Path, Query};
use askama::Template;

use crate::app::App;
use crate::consent::{asking, grants};
use crate::db::types::{GrantId, PersonId};
use crate::diagnostics::reading_record;
use crate::error::{Error, Result};
use crate::i18n::Texts;
use crate::mail::address::visible;
use crate::people::directory;
use crate::tickets::ticket;
use crate::web::diagnostics::live::{self, FollowQuery, LiveForm, Stay};
use crate::web::diagnostics::looks::{self, ReadingView};
use crate::web::diagnostics::{self, Find, Loaded, ReadingForm, WholeForm, downloads};
use crate::web::forms::Form;
use crate::web::lookups;
use crate::web::navigation::Place;
use crate::web::page::{Crumb, Page};
use crate::web::page_error::{PageError, PageResult};
use crate::web::respond::page;
use crate::web::signed_in::SignedIn;

/// Looks on the page of all that concern somebody.
const LISTED: i64 = 1_000;

/// `GET /consents/{handle}/records`: how much was captured, and who looked at it.
pub async fn show(app: Data<App>, reader: SignedIn, handle: Path<String>) -> PageResult {
    let (find, actor, now) = (find(&reader, &handle)?, reader.actor.clone(), app.clock.now());
    let loaded = lookups::limited(&app, reader.ip, move |db| {
        let grant = find(db)?;
        diagnostics::load(db, grant, &actor, now)
    })
    .await?;
    shown(&app, &reader, &handle, &loaded, ReadingForm::default())
}

/// `POST /consents/{handle}/readings`: the records themselves; that they were looked at is recorded.
pub async fn read(app: Data<App>, reader: SignedIn, handle: Path<String>, form: Form<ReadingForm>) -> PageResult {
    let (find, typed) = (found(&app, &reader, &handle).await?, form.0);
    let loaded = diagnostics::read(&app, reader.actor.clone(), typed.clone(), find).await?;
    shown(&app, &reader, &handle, &loaded, typed)
}

/// `POST /consents/{handle}/flame`: all of it, added up.
pub async fn add_up(app: Data<App>, reader: SignedIn, handle: Path<String>, form: Form<WholeForm>) -> PageResult {
    let find = found(&app, &reader, &handle).await?;
    let loaded = diagnostics::add_up(&app, reader.actor.clone(), form.0, find).await?;
    shown(&app, &reader, &handle, &loaded, ReadingForm::default())
}

/// `POST /consents/{handle}/exports`: all of it, as a file.
pub async fn export(app: Data<App>, reader: SignedIn, handle: Path<String>, form: Form<WholeForm>) -> PageResult {
    let find = found(&app, &reader, &handle).await?;
    downloads::send(app, reader.actor.clone(), form.0, find).await
}

/// `POST /consents/{handle}/live`: records as they come.
pub async fn watch(app: Data<App>, reader: SignedIn, handle: Path<String>, form: Form<LiveForm>) -> PageResult {
    let (find, p) = (found(&app, &reader, &handle).await?, page_of(&app, &reader));
    live::watch(app, reader.actor.clone(), p, find, form.0).await
}

/// `GET /consents/{handle}/looks`: who looks, as they look; no record is in it.
pub async fn follow(
    app: Data<App>,
    reader: SignedIn,
    handle: Path<String>,
    query: Query<FollowQuery>,
    request: HttpRequest,
) -> PageResult {
    let (find, p) = (found(&app, &reader, &handle).await?, page_of(&app, &reader));
    looks::follow(app, reader.actor.clone(), p, find, query.seen(&request), Stay::of(query.seconds)).await
}

/// Finds the grant of that name for a customer whom it concerns.
fn find(reader: &SignedIn, handle: &str) -> Result<Find> {
    let (customer, handle) = (reader.customer()?.clone(), handle.to_owned());
    Ok(std::sync::Arc::new(move |db| {
        let (request, _) = asking::for_customer(db, &customer, &handle)?;
        grants::granted(db, request.id)
    }))
}

/// [`find`], once it is known to find something: who guesses has to wait, whatever they guess for.
async fn found(app: &App, reader: &SignedIn, handle: &str) -> Result<Find, PageError> {
    let find = find(reader, handle)?;
    let first = find.clone();
    lookups::limited(app, reader.ip, move |db| first(db).map(drop)).await?;
    Ok(find)
}

fn page_of(app: &App, reader: &SignedIn) -> Page {
    reader.page(app, "diagnostics-title", Place::Consents)
}

fn shown(app: &App, reader: &SignedIn, handle: &str, loaded: &Loaded, typed: ReadingForm) -> PageResult {
    let p = page_of(app, reader);
    let mut crumbs = crumbs(&p.t);
    crumbs.push(Crumb::new(p.t.say("consent-title"), format!("/consents/{handle}")));
    diagnostics::for_customer(p, crumbs, handle, loaded, reader.customer()?, typed)
}

fn crumbs(t: &Texts) -> Vec<Crumb> {
    vec![Crumb::new(t.say("consents-title"), "/account/consents")]
}

#[derive(Template)]
#[template(path = "portal/readings.html")]
struct ReadingsPage {
    p: Page,
    crumbs: Vec<Crumb>,
    parts: Vec<PartView>,
}

/// What was looked at with one consent.
struct PartView {
    reference: String,
    /// The capture's page, where the reader may see it.
    href: Option<String>,
    purpose: String,
    readings: Vec<ReadingView>,
}

struct Part {
    reference: String,
    handle: String,
    purpose: String,
    may_open: bool,
}

/// `GET /account/readings`: who looked at what concerns the reader, whichever consent it was for.
pub async fn of_person(app: Data<App>, reader: SignedIn) -> PageResult {
    let customer = reader.customer()?.clone();
    let (looks, names, parts) = app
        .database
        .read(move |db| {
            let looks = reading_record::concerning(db, &customer, LISTED)?;
            let readers: Vec<PersonId> = looks.iter().map(|(_, look)| look.reader).collect();
            let names: BTreeMap<PersonId, String> =
                directory::names(db, &readers)?.into_iter().map(|(person, _, name)| (person, visible(&name))).collect();
            let mut parts: BTreeMap<GrantId, Part> = BTreeMap::new();
            for (id, _) in &looks {
                if parts.contains_key(id) {
                    continue;
                }
                let grant = grants::by_id(db, *id)?;
                let request = asking::by_id(db, grant.request_id)?;
                let may_open = match asking::for_customer(db, &customer, &request.handle) {
                    Ok(_) => true,
                    Err(Error::NotFound) => false,
                    Err(error) => return Err(error),
                };
                let reference = ticket::by_id(db, grant.ticket_id)?.reference;
                let purpose = request.terms.purpose.clone();
                parts.insert(*id, Part { reference, handle: request.handle, purpose, may_open });
            }
            Ok((looks, names, parts))
        })
        .await?;
    let p = reader.page(&app, "readings-title", Place::Consents);
    // The newest consent stands first.
    let parts = parts
        .into_iter()
        .rev()
        .map(|(id, part)| {
            let of_grant: Vec<_> =
                looks.iter().filter(|(grant, _)| *grant == id).map(|(_, look)| look.clone()).collect();
            let name = |look: &reading_record::Reading| names.get(&look.reader).cloned().unwrap_or_default();
            PartView {
                reference: part.reference,
                href: part.may_open.then(|| format!("/consents/{}/records", part.handle)),
                purpose: visible(&part.purpose),
                readings: looks::rows(&p.t, &of_grant, name, p.now),
            }
        })
        .collect();
    page(&ReadingsPage { crumbs: crumbs(&p.t), parts, p })
}
