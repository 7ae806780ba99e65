//! Following a request without an account (T-03): reference and address, and whatever they are, the same answer. A link
//! goes by mail to somebody who takes part in the request at that address, and to nobody else.

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use actix_web::web::Data;
use askama::Template;
use serde::Deserialize;

use super::filing::ip_address;
use crate::app::App;
use crate::error::FieldErrors;
use crate::mail::address::EmailAddress;
use crate::tickets::links;
use crate::web::forms::Form;
use crate::web::navigation::Place;
use crate::web::page::Page;
use crate::web::page_error::PageResult;
use crate::web::respond::{page, page_with, redirect};
use crate::web::signed_in::Visitor;

/// The form.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FindForm {
    reference: String,
    email: String,
}

/// `GET /{lang}/requests/find`
pub async fn show(app: Data<App>, visitor: Visitor) -> PageResult {
    form_page(&app, &visitor, FindForm::default(), FieldErrors::default(), StatusCode::OK)
}

/// `POST /{lang}/requests/find`
pub async fn find(app: Data<App>, request: HttpRequest, visitor: Visitor, Form(form): Form<FindForm>) -> PageResult {
    let mut errors = FieldErrors::default();
    if form.reference.trim().is_empty() {
        errors.add("reference", "error-mandatory");
    }
    let address = EmailAddress::parse(form.email.trim());
    if address.is_none() {
        errors.add("email", if form.email.trim().is_empty() { "error-mandatory" } else { "error-address" });
    }
    let (Some(address), true) = (address, errors.is_empty()) else {
        return form_page(&app, &visitor, form, errors, StatusCode::UNPROCESSABLE_ENTITY);
    };
    let (reference, ip, now) = (form.reference.clone(), ip_address(&request, &app), app.clock.now());
    app.database.write(move |db| links::request_by_address(db, &reference, &address, &ip, now)).await?;
    Ok(redirect(&format!("/{}/requests/link-sent", visitor.locale)))
}

/// `GET /{lang}/requests/link-sent`
pub async fn sent(app: Data<App>, visitor: Visitor) -> PageResult {
    let locale = visitor.locale.code();
    page(&SentPage { p: visitor.page(&app, "link-sent-title", Place::Nowhere), locale })
}

fn form_page(app: &App, visitor: &Visitor, form: FindForm, errors: FieldErrors, status: StatusCode) -> PageResult {
    let locale = visitor.locale.code();
    page_with(&FindPage { p: visitor.page(app, "find-title", Place::Nowhere), errors, locale, typed: form }, status)
}

#[derive(Template)]
#[template(path = "portal/find.html")]
struct FindPage {
    p: Page,
    errors: FieldErrors,
    locale: &'static str,
    typed: FindForm,
}

#[derive(Template)]
#[template(path = "portal/link_sent.html")]
struct SentPage {
    p: Page,
    locale: &'static str,
}

impl FindPage {
    fn home(&self) -> String {
        format!("/{}", self.locale)
    }
}
