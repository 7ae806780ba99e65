//! The first start: whoever reads the console makes the first administrator (U-10). Afterwards there is nothing here
//! (ADV-27).

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use actix_web::web::{Data, Path};
use askama::Template;
use serde::Deserialize;

use super::portal::sign_in::{enter, place_of};
use crate::app::App;
use crate::error::{Error, FieldErrors};
use crate::people::passwords::{self, Password};
use crate::people::sessions::Limits;
use crate::people::setup;
use crate::teams::defaults;
use crate::web::forms::Form;
use crate::web::hashing;
use crate::web::navigation::Place;
use crate::web::page::Page;
use crate::web::page_error::{PageError, PageResult};
use crate::web::respond::page_with;
use crate::web::signed_in::Visitor;

/// The form of the first start.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetupForm {
    operator_name: String,
    support_address: String,
    first_name: String,
    last_name: String,
    email: String,
    password: Password,
    #[serde(default)]
    time_zone: String,
}

#[derive(Template)]
#[template(path = "setup/setup.html")]
struct SetupPage {
    p: Page,
    errors: FieldErrors,
    action: String,
    typed: setup::SetupForm,
}

/// `GET /setup/{token}`
pub async fn show(app: Data<App>, visitor: Visitor, token: Path<String>) -> PageResult {
    let token = opened(&app, token.into_inner()).await?;
    // A first idea, from where people will reach the desk.
    let host = url::Url::parse(&app.config.http.base_url).ok().and_then(|url| url.domain().map(str::to_owned));
    let support_address = host.map(|host| format!("support@{host}")).unwrap_or_default();
    let typed = setup::SetupForm { support_address, ..setup::SetupForm::default() };
    answer(&app, &visitor, &token, typed, FieldErrors::default(), StatusCode::OK)
}

/// `POST /setup/{token}`
pub async fn create(
    app: Data<App>,
    visitor: Visitor,
    request: HttpRequest,
    token: Path<String>,
    Form(form): Form<SetupForm>,
) -> PageResult {
    let token = opened(&app, token.into_inner()).await?;
    let (now, limits, language) = (app.clock.now(), Limits::from(&app.config.security), visitor.locale);
    let typed = setup::SetupForm {
        operator_name: form.operator_name,
        first_name: form.first_name,
        last_name: form.last_name,
        email: form.email,
        support_address: form.support_address,
        time_zone: form.time_zone,
    };
    let mut errors = FieldErrors::default();
    let own = [typed.email.as_str(), typed.first_name.as_str(), typed.last_name.as_str(), typed.operator_name.as_str()];
    passwords::judge(&mut errors, "password", &form.password, &own);
    let Some(setup) = typed.check(&mut errors, language, now) else {
        return answer(&app, &visitor, &token, typed, errors, StatusCode::UNPROCESSABLE_ENTITY);
    };
    let hash = hashing::hash(form.password).await?;
    let (place, wanted) = (place_of(&visitor), token.clone());
    let outcome = app
        .database
        .write(move |db| {
            let entered = setup::complete(db, &wanted, &setup, &hash, &place, &limits, now)?;
            defaults::create_defaults(db, &setup.support_address, language, now)?;
            Ok(entered)
        })
        .await;
    match outcome {
        Ok(entered) => enter(&app, &request, entered, false, "/").await,
        Err(Error::Invalid(errors)) => answer(&app, &visitor, &token, typed, errors, StatusCode::UNPROCESSABLE_ENTITY),
        Err(error) => Err(error.into()),
    }
}

/// The token, if it opens the set-up.
async fn opened(app: &App, token: String) -> Result<String, PageError> {
    let now = app.clock.now();
    let wanted = token.clone();
    let opens = app.database.read(move |db| setup::opens(db, &wanted, now)).await?;
    if opens { Ok(token) } else { Err(Error::NotFound.into()) }
}

fn answer(
    app: &App,
    visitor: &Visitor,
    token: &str,
    typed: setup::SetupForm,
    errors: FieldErrors,
    status: StatusCode,
) -> PageResult {
    let p = visitor.page(app, "setup-title", Place::Nowhere);
    page_with(&SetupPage { p, errors, action: format!("/setup/{token}"), typed }, status)
}
