//! The page of a failure: what happened, what to do, and a reference number where the fault is ours.

use askama::Template;

use crate::app::App;
use crate::i18n::Message;
use crate::web::navigation::Place;
use crate::web::page::Page;
use crate::web::signed_in::Visitor;

#[derive(Template)]
#[template(path = "layout/error.html")]
struct ErrorPage<'a> {
    p: Page,
    text: String,
    reference: Option<&'a str>,
}

/// The whole page as HTML.
pub fn render(app: &App, visitor: &Visitor, message: &Message, reference: Option<&str>) -> String {
    let p = visitor.page(app, "error-title", Place::Nowhere);
    let text = visitor.texts().message(message);
    let page = ErrorPage { p, text, reference };
    page.render().unwrap_or(page.text)
}
