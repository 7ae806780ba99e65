//! The links in mails about consents (U-03b). The one to a question opens the sign-in and then the question: opening it,
//! however often and by whatever program, answers nothing. The one that stops shows a page with one button, needs no
//! sign-in, and works until the grant has ended.

use actix_web::web::{Data, Path};
use askama::Template;

use crate::access::{self, Actor};
use crate::app::App;
use crate::consent::grants;
use crate::consent::life::EndReason;
use crate::consent::links::{self, Opens};
use crate::consent::register::By;
use crate::consent::unrecorded::End;
use crate::consent::withdrawing::{self, Way};
use crate::db::DbConnection;
use crate::error::Error;
use crate::people::person::{self, Person};
use crate::tickets::ticket;
use crate::web::consents::{self, Loaded};
use crate::web::forms::Form;
use crate::web::lookups;
use crate::web::navigation::Place;
use crate::web::page::Page;
use crate::web::page_error::PageResult;
use crate::web::portal::consents::WithdrawalForm;
use crate::web::portal::sign_in::dead_link;
use crate::web::respond::{page, redirect, redirect_saying};
use crate::web::signed_in::Visitor;

#[derive(Template)]
#[template(path = "portal/stop_link.html")]
struct StopPage {
    p: Page,
    action: String,
    reference: String,
    is_running: bool,
    left: String,
    facts: Vec<(String, String)>,
    state: String,
}

/// `GET /l/consent/{token}`
pub async fn open(app: Data<App>, visitor: Visitor, token: Path<String>) -> PageResult {
    let now = app.clock.now();
    let behind = lookups::limited(&app, visitor.ip, move |db| {
        links::find(db, Opens::Question, &token, now)?.ok_or(Error::NotFound)
    })
    .await?;
    match behind.is_alive {
        true => Ok(redirect(&format!("/consents/{}", behind.request.handle))),
        false => dead_link(&app, &visitor),
    }
}

/// `GET /l/stop/{token}`
pub async fn show(app: Data<App>, mut visitor: Visitor, token: Path<String>) -> PageResult {
    let (now, wanted) = (app.clock.now(), token.clone());
    let (loaded, reference, person): (Loaded, String, Person) = lookups::limited(&app, visitor.ip, move |db| {
        let behind = links::find(db, Opens::Stop, &wanted, now)?.ok_or(Error::NotFound)?;
        let person = person::by_id(db, behind.person)?;
        let reference = ticket::by_id(db, behind.request.ticket_id)?.reference;
        let texts = crate::i18n::Texts::new(person.language.0, person.zone());
        Ok((consents::load(db, behind.request, &texts)?, reference, person))
    })
    .await?;
    // The mail was in the recipient's language, and so is what it leads to.
    visitor.locale = person.language.0;
    let p = visitor.page(&app, "stop-link-title", Place::Nowhere);
    let c = loaded.in_words(&p.t, p.now);
    page(&StopPage {
        action: format!("/l/stop/{token}"),
        reference,
        is_running: c.is_running,
        left: c.left,
        facts: c.facts,
        state: c.state,
        p,
    })
}

/// `POST /l/stop/{token}`: withdraws, as whoever the link was made for.
pub async fn stop(app: Data<App>, token: Path<String>, form: Form<WithdrawalForm>) -> PageResult {
    let (now, wanted, kept) = (app.clock.now(), token.clone(), form.0.kept());
    let behind = wanted.clone();
    let find = move |db: &mut DbConnection| {
        let behind = links::find(db, Opens::Stop, &behind, now)?.ok_or(Error::NotFound)?;
        let Some(grant) = grants::of_request(db, behind.request.id)? else { return Ok(None) };
        let Actor::Customer(customer) = access::actor_of(db, behind.person)? else { return Err(Error::NotFound) };
        let how = Some((Way::Link, kept.by(&customer, &grant)));
        Ok(Some((grant.id, End::of(db, &grant, EndReason::Withdrawn, By::Customer(behind.person), how, now)?)))
    };
    let end = move |db: &mut DbConnection| {
        let behind = links::find(db, Opens::Stop, &wanted, now)?.ok_or(Error::NotFound)?;
        let Actor::Customer(customer) = access::actor_of(db, behind.person)? else { return Err(Error::NotFound) };
        withdrawing::withdraw_by_link(db, behind.request.id, kept, &customer, now)
    };
    consents::end_at_once(&app, find, end).await?;
    Ok(redirect_saying(&format!("/l/stop/{token}"), "said-consent-withdrawn"))
}
