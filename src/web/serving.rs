//! Which organisation a request is for: a customer's acts for their own, a program's for the one of its token. Staff acts
//! for none, nor does anybody who is not known, so nothing of their requests is ever captured.

use actix_web::HttpRequest;
use actix_web::web::Data;

use crate::access::{Actor, CustomerActor};
use crate::app::App;
use crate::db::DbConnection;
use crate::db::types::{OrganisationId, PersonId};
use crate::error::Result;
use crate::gate::GATE;
use crate::people::organisations;
use crate::tickets::ticket;
use crate::web::api::authenticated;
use crate::web::api::errors::is_for_programs;
use crate::web::otlp;
use crate::web::signed_in::{find_visitor, session_cookie};

/// Whom a request is for, if anybody.
pub type Whom = Option<(OrganisationId, PersonId)>;

/// Looks up whom the request is for; while nobody is traced nothing is looked up. In doubt it is nobody.
pub async fn whom(request: &HttpRequest) -> Whom {
    if GATE.level() == 0 {
        return None;
    }
    let app = request.app_data::<Data<App>>()?;
    if is_for_programs(request) {
        return authenticated::whom(request).await;
    }
    // What a product sends is told by its token, and is no work of Accord's for anybody to look at.
    if otlp::is_for_products(request.path()) {
        return None;
    }
    // Files of the program itself are nobody's, and ask for no session.
    if request.path().starts_with("/assets/") || session_cookie(request, app).is_none() {
        return None;
    }
    let signed_in = find_visitor(request).await.ok()?.signed_in?;
    let Actor::Customer(customer) = signed_in.actor else { return None };
    match customer.memberships.as_slice() {
        [only] => Some((only.organisation_id, customer.person)),
        [] => None,
        _ => {
            let path = request.path().to_owned();
            app.database.read(move |db| named_in(db, &customer, &path)).await.ok()?
        }
    }
}

/// Somebody of several organisations acts for the one whose ticket or page they asked for.
fn named_in(db: &mut DbConnection, customer: &CustomerActor, path: &str) -> Result<Whom> {
    let mut parts = path.split('/').skip(1);
    let (Some(kind), Some(name)) = (parts.next(), parts.next()) else { return Ok(None) };
    let named = match kind {
        "requests" => {
            let actor = Actor::Customer(customer.clone());
            ticket::by_reference(db, &actor, name).ok().map(|ticket| ticket.organisation_id)
        }
        "organisations" => organisations::find_by_handle(db, name)?.map(|organisation| organisation.id),
        _ => None,
    };
    let is_member = |organisation: &OrganisationId| {
        customer.memberships.iter().any(|membership| membership.organisation_id == *organisation)
    };
    Ok(named.filter(is_member).map(|organisation| (organisation, customer.person)))
}
