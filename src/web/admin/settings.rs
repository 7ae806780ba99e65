//! What the operator calls itself, and what ticket references begin with.

use actix_web::http::StatusCode;
use actix_web::web::Data;
use askama::Template;
use serde::Deserialize;

use crate::app::App;
use crate::error::{Error, FieldErrors};
use crate::people::operator::{self, Operator};
use crate::people::roles::Permission;
use crate::web::forms::Form;
use crate::web::navigation::Place;
use crate::web::page::Page;
use crate::web::page_error::PageResult;
use crate::web::respond::{page_with, redirect_saying};
use crate::web::signed_in::Staff;

/// The form of the settings. A prefix that is fixed is not sent.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SettingsForm {
    name: String,
    reference_prefix: Option<String>,
}

/// `GET /admin/settings`
pub async fn show(app: Data<App>, staff: Staff) -> PageResult {
    staff.require(Permission::ManageStaff)?;
    settings_page(&app, &staff, None, FieldErrors::default(), StatusCode::OK).await
}

/// `POST /admin/settings`
pub async fn update(app: Data<App>, staff: Staff, Form(form): Form<SettingsForm>) -> PageResult {
    staff.require(Permission::ManageStaff)?;
    let (by, now, typed) = (staff.staff.person, app.clock.now(), form.clone());
    let outcome = app
        .database
        .write(move |db| {
            let reference_prefix = match &typed.reference_prefix {
                Some(prefix) => prefix.clone(),
                None => operator::current(db)?.0.reference_prefix,
            };
            operator::change(db, &Operator { name: typed.name.clone(), reference_prefix }, Some(by), now)
        })
        .await;
    match outcome {
        Ok(()) => Ok(redirect_saying("/admin/settings", "said-saved")),
        Err(Error::Invalid(errors)) => {
            settings_page(&app, &staff, Some(form), errors, StatusCode::UNPROCESSABLE_ENTITY).await
        }
        Err(error) => Err(error.into()),
    }
}

async fn settings_page(
    app: &App,
    staff: &Staff,
    typed: Option<SettingsForm>,
    errors: FieldErrors,
    status: StatusCode,
) -> PageResult {
    let (operator, is_prefix_open) = app.database.read(operator::current).await?;
    let p = staff.page(app, "settings-title", Place::Settings);
    let (name, prefix) = match typed {
        Some(typed) => (typed.name, typed.reference_prefix.unwrap_or(operator.reference_prefix)),
        None => (operator.name, operator.reference_prefix),
    };
    let from_file = vec![
        (p.t.say("settings-base-url"), app.config.http.base_url.to_string()),
        (p.t.say("settings-reply-domain"), app.config.mail.reply_domain.clone()),
    ];
    page_with(&SettingsPage { p, errors, operator_name: name, prefix, is_prefix_open, from_file }, status)
}

#[derive(Template)]
#[template(path = "admin/settings.html")]
struct SettingsPage {
    p: Page,
    errors: FieldErrors,
    operator_name: String,
    prefix: String,
    is_prefix_open: bool,
    from_file: Vec<(String, String)>,
}
