//! The front door: to the desk, to one's requests, or to the public pages in one's language.

use actix_web::HttpResponse;

use crate::access::Actor;
use crate::people::roles::Permission;
use crate::web::respond::redirect;
use crate::web::signed_in::Visitor;

/// `GET /`
pub async fn front_door(visitor: Visitor) -> HttpResponse {
    let Some(signed_in) = &visitor.signed_in else { return redirect(&format!("/{}", visitor.locale)) };
    match &signed_in.actor {
        Actor::Staff(staff) if staff.may(Permission::WorkTickets) => redirect("/tickets"),
        Actor::Staff(staff) if staff.may(Permission::OperateInstallation) => redirect("/admin/status"),
        Actor::Staff(_) => redirect("/account"),
        _ => redirect("/requests"),
    }
}
