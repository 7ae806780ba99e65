//! The undertaking of confidentiality, which an agent accepts before the first ticket (A4).

use actix_web::http::StatusCode;
use actix_web::web::Data;
use askama::Template;
use serde::Deserialize;

use crate::app::App;
use crate::error::FieldErrors;
use crate::people::staff;
use crate::web::forms::Form;
use crate::web::navigation::Place;
use crate::web::page::Page;
use crate::web::page_error::PageResult;
use crate::web::respond::{page_with, redirect};
use crate::web::signed_in::Staff;

/// The acceptance.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AcceptanceForm {
    #[serde(default)]
    accepted: bool,
}

#[derive(Template)]
#[template(path = "setup/undertaking.html")]
struct UndertakingPage {
    p: Page,
    errors: FieldErrors,
    name: String,
    accepted: bool,
}

/// `GET /undertaking`
pub async fn show(app: Data<App>, reader: Staff) -> PageResult {
    answer(&app, &reader, FieldErrors::default(), StatusCode::OK)
}

/// `POST /undertaking`
pub async fn accept(app: Data<App>, reader: Staff, Form(form): Form<AcceptanceForm>) -> PageResult {
    if !form.accepted {
        let mut errors = FieldErrors::default();
        errors.add("accepted", "error-undertaking");
        return answer(&app, &reader, errors, StatusCode::UNPROCESSABLE_ENTITY);
    }
    let (now, person) = (app.clock.now(), reader.signed_in.person.id);
    app.database.write(move |db| staff::accept_undertaking(db, person, now)).await?;
    Ok(redirect("/"))
}

fn answer(app: &App, reader: &Staff, errors: FieldErrors, status: StatusCode) -> PageResult {
    let shown = UndertakingPage {
        p: reader.page(app, "undertaking-title", Place::Nowhere),
        errors,
        name: reader.signed_in.person.display_name(),
        accepted: reader.staff.undertaking_accepted,
    };
    page_with(&shown, status)
}
