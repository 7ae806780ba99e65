//! Which organisation a request is for: the one of the ticket, consent or page that it names; else the one that the
//! customer acts for, their only one or the one they chose in their session; a program's the one of its token. Staff acts
//! for none, nor does anybody who is not known, and what cannot be told is for nobody: nothing of it is ever captured.

use actix_web::HttpRequest;
use actix_web::http::Method;
use actix_web::web::Data;

use crate::access::{Actor, CustomerActor};
use crate::app::App;
use crate::consent::asking;
use crate::db::DbConnection;
use crate::db::types::{OrganisationId, PersonId};
use crate::error::Result;
use crate::gate::GATE;
use crate::people::memberships::Membership;
use crate::people::organisations;
use crate::tickets::reference::TicketReference;
use crate::tickets::{attachments, messages, ticket};
use crate::web::api::authenticated;
use crate::web::api::errors::is_for_programs;
use crate::web::otlp;
use crate::web::signed_in::{SignedIn, find_visitor, session_cookie};

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
    let acting = acting_for(&signed_in);
    let Actor::Customer(customer) = signed_in.actor else { return None };
    let person = customer.person;
    let organisation = match Named::by(request.method(), request.path()) {
        Named::Nothing => acting?,
        // The form says for whom; of somebody of one organisation that is the one.
        Named::InTheForm => match customer.memberships.as_slice() {
            [only] => only.organisation_id,
            _ => return None,
        },
        // What others do is looked up for nobody's sake.
        Named::Something(..) if !is_traced(&customer) => return None,
        Named::Something(kind, name) => {
            let named = app.database.read(move |db| organisation_of(db, &customer, kind, &name));
            named.await.ok()??
        }
        Named::Unknown => return None,
    };
    Some((organisation, person))
}

/// Whether anything runs that could cover what the customer does, in any of their organisations.
fn is_traced(customer: &CustomerActor) -> bool {
    let covers = |own: &Membership| !GATE.cover(own.organisation_id.0, Some(customer.person.0)).is_none();
    customer.memberships.iter().any(covers)
}

/// The organisation that a customer acts for: their only one, or the one of several that they chose in this session.
pub fn acting_for(signed_in: &SignedIn) -> Option<OrganisationId> {
    let Actor::Customer(customer) = &signed_in.actor else { return None };
    match customer.memberships.as_slice() {
        [only] => Some(only.organisation_id),
        _ => signed_in.session.acting_for.filter(|chosen| customer.is_member_of(*chosen)),
    }
}

/// What a request names by its path. What is not listed here is not known, and nothing of it is captured.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Named {
    /// Nothing: a page of one's own.
    Nothing,
    /// A new request, whose form names the organisation.
    InTheForm,
    Something(Kind, String),
    Unknown,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Ticket,
    Message,
    Attachment,
    Consent,
    Organisation,
}

impl Named {
    fn by(method: &Method, path: &str) -> Named {
        let mut parts = path.split('/').skip(1).filter(|part| !part.is_empty());
        let first = parts.next();
        let kind = match (first, parts.next()) {
            (Some("requests"), None) if method == Method::POST => return Named::InTheForm,
            (None | Some("account" | "requests" | "sign-out"), None) | (Some("requests"), Some("new")) => {
                return Named::Nothing;
            }
            (Some("account" | "fr" | "en"), _) => return Named::Nothing,
            (Some("requests"), Some(name)) => (Kind::Ticket, name),
            (Some("messages"), Some(name)) => (Kind::Message, name),
            (Some("attachments"), Some(name)) => (Kind::Attachment, name),
            (Some("consents"), Some(name)) => (Kind::Consent, name),
            (Some("organisations"), Some(name)) => (Kind::Organisation, name),
            _ => return Named::Unknown,
        };
        Named::Something(kind.0, kind.1.to_owned())
    }
}

/// The organisation of what is named, if it is one of the customer's: who takes part in somebody else's ticket acts neither
/// for them nor, there, for their own.
fn organisation_of(
    db: &mut DbConnection,
    customer: &CustomerActor,
    kind: Kind,
    name: &str,
) -> Result<Option<OrganisationId>> {
    let actor = Actor::Customer(customer.clone());
    let organisation = match kind {
        Kind::Ticket => match TicketReference::parse(name) {
            Some(reference) => ticket::find_by_reference(db, &actor, &reference)?.map(|ticket| ticket.organisation_id),
            None => None,
        },
        Kind::Message => messages::find_readable(db, &actor, name)?.map(|(ticket, _)| ticket.organisation_id),
        Kind::Attachment => attachments::organisation_of(db, name)?,
        Kind::Consent => asking::find_by_handle(db, name)?.map(|request| request.organisation_id),
        Kind::Organisation => organisations::find_by_handle(db, name)?.map(|organisation| organisation.id),
    };
    Ok(organisation.filter(|organisation| customer.is_member_of(*organisation)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cn_12_what_a_path_names_is_known_or_nothing_is_captured() {
        let get = |path: &str| Named::by(&Method::GET, path);
        let own = [
            "/",
            "/requests",
            "/requests/new",
            "/account",
            "/account/consents",
            "/account/organisation",
            "/fr",
            "/en/api",
        ];
        for path in own {
            assert_eq!(get(path), Named::Nothing, "{path}");
        }
        assert_eq!(Named::by(&Method::POST, "/requests"), Named::InTheForm);
        for (path, kind) in [
            ("/requests/ACC-1", Kind::Ticket),
            ("/requests/ACC-1/answers", Kind::Ticket),
            ("/messages/ACC-1/frame", Kind::Message),
            ("/attachments/ACC-1", Kind::Attachment),
            ("/consents/ACC-1/records", Kind::Consent),
            ("/organisations/ACC-1/members", Kind::Organisation),
        ] {
            assert_eq!(get(path), Named::Something(kind, "ACC-1".to_owned()), "{path}");
            assert_eq!(Named::by(&Method::POST, path), get(path), "{path}");
        }
        for path in ["/l/ticket/x", "/inline/x", "/search", "/tickets", "/setup/x", "/admin/people", "/what-comes"] {
            assert_eq!(get(path), Named::Unknown, "{path}");
        }
    }
}
