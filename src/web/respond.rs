//! Answers to requests for pages: a rendered template, or somewhere else to look.

use actix_web::HttpResponse;
use actix_web::http::{StatusCode, header};
use askama::Template;

use crate::web::page_error::{PageError, PageResult};

/// The page, with status 200.
pub fn page(template: &impl Template) -> PageResult {
    page_with(template, StatusCode::OK)
}

/// A form again, with what is wrong beside its fields.
pub fn form_again(template: &impl Template) -> PageResult {
    page_with(template, StatusCode::UNPROCESSABLE_ENTITY)
}

/// The page, with that status.
pub fn page_with(template: &impl Template, status: StatusCode) -> PageResult {
    let html = template.render().map_err(|error| PageError::fault(&format!("a page could not be made: {error}")))?;
    Ok(HttpResponse::build(status).content_type("text/html; charset=utf-8").body(html))
}

/// Look at `path` next, by GET.
pub fn redirect(path: &str) -> HttpResponse {
    HttpResponse::SeeOther().insert_header((header::LOCATION, path)).finish()
}

/// Look at `path` next, which then says the text of `key`. Keys for this begin with `said-`.
pub fn redirect_saying(path: &str, key: &str) -> HttpResponse {
    let (path, fragment) = path.split_once('#').map_or((path, None), |(path, fragment)| (path, Some(fragment)));
    let joint = if path.contains('?') { '&' } else { '?' };
    let fragment = fragment.map_or(String::new(), |fragment| format!("#{fragment}"));
    redirect(&format!("{path}{joint}said={key}{fragment}"))
}
