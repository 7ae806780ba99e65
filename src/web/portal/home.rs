//! The public home: file a request, follow one, sign in; and who reads what is written here.

use actix_web::HttpResponse;
use actix_web::web::Data;
use askama::Template;

use crate::access;
use crate::app::App;
use crate::i18n::Locale;
use crate::people::roles::Permission;
use crate::teams::queues;
use crate::web::navigation::Place;
use crate::web::page::Page;
use crate::web::page_error::{PageError, PageResult};
use crate::web::respond::page;
use crate::web::signed_in::Visitor;

/// `GET /{lang}`
pub async fn show(app: Data<App>, visitor: Visitor) -> PageResult {
    let locale = visitor.locale;
    let kinds = app.database.read(move |db| names_of_kinds(db, locale)).await?;
    let p = visitor.page(&app, "home-title", Place::Home);
    page(&HomePage { locale: locale.code(), is_signed_in: visitor.signed_in.is_some(), kinds, p })
}

fn names_of_kinds(db: &mut crate::db::DbConnection, locale: Locale) -> crate::error::Result<Vec<String>> {
    Ok(queues::on_form(db)?.iter().map(|queue| queue.name(locale).to_owned()).collect())
}

/// Where somebody signed in goes instead of a page for those who are not.
pub fn redirect_signed_in(visitor: &Visitor, customer: &str, staff: &str) -> Option<HttpResponse> {
    let signed_in = visitor.signed_in.as_ref()?;
    // Staff who do not work tickets have no page for it; the front door knows where they belong.
    let works_tickets = access::may(&signed_in.actor, Permission::WorkTickets);
    let staff = if works_tickets { staff } else { "/" };
    Some(crate::web::respond::redirect(if signed_in.actor.is_staff() { staff } else { customer }))
}

/// A customer's page asked for by staff: they have their own for the same.
pub fn elsewhere_for_staff(path: String) -> PageError {
    PageError::Elsewhere(path)
}

#[derive(Template)]
#[template(path = "portal/home.html")]
struct HomePage {
    p: Page,
    locale: &'static str,
    is_signed_in: bool,
    kinds: Vec<String>,
}
