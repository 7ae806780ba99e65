//! The token with which products send under a grant, for whoever holds the grant: made when they press a button, shown
//! once with what to paste where, and kept nowhere.

use actix_web::web::{Data, Path};
use askama::Template;

use crate::app::App;
use crate::clock::UtcTime;
use crate::config::UserAttributes;
use crate::consent::{asking, grants};
use crate::error::Error;
use crate::i18n::Message;
use crate::people::{organisations, person};
use crate::web::forms::{Form, Nothing};
use crate::web::navigation::Place;
use crate::web::otlp::grant_tokens::GrantTokens;
use crate::web::otlp::ready_lines::{self, ReadyLines};
use crate::web::page::{Crumb, Page};
use crate::web::page_error::PageResult;
use crate::web::respond::page;
use crate::web::signed_in::SignedIn;

#[derive(Template)]
#[template(path = "portal/grant_token.html")]
struct TokenPage {
    p: Page,
    crumbs: Vec<Crumb>,
    token: String,
    expires_at: UtcTime,
    lines: Vec<ReadyLines>,
    organisation: String,
    /// By what attribute and name products must know the person whose own use it is; of a product that goes by an attribute of
    /// its own, with its name.
    user: Vec<String>,
    back: String,
}

/// `POST /consents/{handle}/token`: the answer shows the token, this once.
pub async fn create(
    app: Data<App>,
    tokens: Data<GrantTokens>,
    reader: SignedIn,
    handle: Path<String>,
    _: Form<Nothing>,
) -> PageResult {
    let customer = reader.customer()?.clone();
    let (asked, now) = (handle.clone(), app.clock.now());
    let made = app.database.write(move |db| {
        let (request, _) = asking::for_customer(db, &customer, &asked)?;
        let grant = grants::of_request(db, request.id)?.ok_or(Error::NotFound)?;
        // Whoever has the say over it lets something in by it.
        if !grant.belongs_to(&customer) {
            return Err(Error::Forbidden);
        }
        if !grant.is_live(now) || grant.scope.products().is_none() {
            return Err(Error::Conflict(Message::new("conflict-no-products-granted")));
        }
        grants::note_token(db, &grant, customer.person, now)?;
        let organisation = organisations::by_id(db, grant.organisation_id)?.handle;
        let user = grant.subject.person().map(|id| person::by_id(db, id)).transpose()?.map(|person| person.handle);
        Ok((grant, organisation, user))
    });
    let (grant, organisation, user) = made.await?;
    let user = user.map(|handle| known_as(&app.config.diagnostics.user_attributes, &handle)).unwrap_or_default();
    let token = tokens.sign(&grant, &organisation, now)?;
    let p = reader.page(&app, "grant-token-title", Place::Consents);
    let back = format!("/consents/{handle}");
    let crumbs = vec![
        Crumb::new(p.t.say("consents-title"), "/account/consents"),
        Crumb::new(p.t.say("consent-title"), back.clone()),
    ];
    page(&TokenPage {
        crumbs,
        lines: ready_lines::for_token(&app.config.http.base_url, &token),
        token,
        expires_at: grant.expires_at,
        organisation,
        user,
        back,
        p,
    })
}

fn known_as(attributes: &UserAttributes, handle: &str) -> Vec<String> {
    let usual = attributes.usual.first().map(|name| format!("{name} = {handle}"));
    let of_products = attributes.of_products.iter();
    let of_products =
        of_products.filter_map(|(product, names)| names.first().map(|name| format!("{product}: {name} = {handle}")));
    usual.into_iter().chain(of_products).collect()
}
