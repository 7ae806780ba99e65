//! Every path of the program, in one table. The access table in `tests/integration/access.rs` has a row for each and
//! is compared with this one, so no path is forgotten.

use actix_web::http::Method;
use actix_web::web::{self, ServiceConfig};
use actix_web::{Resource, Route};

use crate::web::portal::{account, password, registration, sign_in};
use crate::web::{
    admin, agent, api, asset_route, attachment_download, health, home, message_frame, organisation, otlp, portal,
    setup, undertaking,
};

/// One method on one path, and what answers it.
pub struct Entry {
    pub method: Method,
    pub path: &'static str,
    pub route: fn() -> Route,
}

macro_rules! table {
    ($($method:ident $path:literal => $handler:path,)*) => {
        /// The whole table.
        pub fn table() -> Vec<Entry> {
            vec![$(Entry {
                method: Method::$method,
                path: $path,
                route: || web::method(Method::$method).to($handler),
            },)*]
        }
    };
}

table! {
    // The table is searched from its top, so what is asked for most stands first.
    // Tickets, for agents
    GET "/search" => agent::search::show,
    GET "/tickets" => agent::queue::show,
    POST "/tickets" => agent::by_hand::create,
    GET "/tickets/new" => agent::by_hand::start,
    GET "/tickets/{reference}" => agent::ticket::show,
    POST "/tickets/{reference}/replies" => agent::answers::reply,
    POST "/tickets/{reference}/notes" => agent::answers::note,
    POST "/tickets/{reference}/preview" => agent::answers::preview,
    POST "/tickets/{reference}/status" => agent::changes::set_status,
    POST "/tickets/{reference}/priority" => agent::changes::set_priority,
    POST "/tickets/{reference}/assignment" => agent::changes::assign,
    POST "/tickets/{reference}/queue" => agent::changes::set_queue,
    POST "/tickets/{reference}/place" => agent::changes::set_place,
    POST "/tickets/{reference}/privacy" => agent::changes::set_privacy,
    POST "/tickets/{reference}/tags" => agent::changes::add_tag,
    POST "/tickets/{reference}/tags/removal" => agent::changes::remove_tag,
    POST "/tickets/{reference}/requester" => agent::people_in_ticket::set_requester,
    POST "/tickets/{reference}/participants" => agent::people_in_ticket::add,
    POST "/tickets/{reference}/participants/{person}/approval" => agent::people_in_ticket::approve,
    POST "/tickets/{reference}/participants/{person}/removal" => agent::people_in_ticket::remove,
    POST "/tickets/{reference}/messages/{handle}/acceptance" => agent::changes::accept,
    POST "/tickets/{reference}/messages/{handle}/rejection" => agent::changes::reject,
    POST "/tickets/{reference}/mails/{handle}/retry" => agent::changes::retry_mail,
    GET "/messages/{handle}/original" => agent::originals::download,
    GET "/messages/{handle}/source" => agent::originals::show,
    // Asking for diagnostics
    GET "/tickets/{reference}/consents/new" => agent::consents::new,
    POST "/tickets/{reference}/consents" => agent::consents::create,
    POST "/tickets/{reference}/consents/preview" => agent::consents::preview,
    GET "/tickets/{reference}/consents/{handle}" => agent::consents::show,
    POST "/tickets/{reference}/consents/{handle}/cancellation" => agent::consents::cancel,
    POST "/tickets/{reference}/consents/{handle}/stop" => agent::consents::stop,
    GET "/tickets/{reference}/consents/{handle}/records" => agent::captures::show,
    POST "/tickets/{reference}/consents/{handle}/readings" => agent::captures::read,
    POST "/tickets/{reference}/consents/{handle}/flame" => agent::captures::add_up,
    POST "/tickets/{reference}/consents/{handle}/exports" => agent::captures::export,
    POST "/tickets/{reference}/consents/{handle}/live" => agent::captures::watch,
    GET "/tickets/{reference}/consents/{handle}/looks" => agent::captures::follow,
    // Consents, for customers
    GET "/account/consents" => portal::consents::list,
    GET "/consents/{handle}" => portal::consents::show,
    POST "/consents/{handle}/grant" => portal::consents::grant,
    POST "/consents/{handle}/refusal" => portal::consents::refuse,
    POST "/consents/{handle}/withdrawal" => portal::consents::withdraw,
    POST "/consents/{handle}/destruction" => portal::consents::destroy,
    GET "/account/readings" => portal::captures::of_person,
    GET "/consents/{handle}/records" => portal::captures::show,
    POST "/consents/{handle}/readings" => portal::captures::read,
    POST "/consents/{handle}/flame" => portal::captures::add_up,
    POST "/consents/{handle}/exports" => portal::captures::export,
    POST "/consents/{handle}/live" => portal::captures::watch,
    GET "/consents/{handle}/looks" => portal::captures::follow,
    GET "/consents/{handle}/receipt" => portal::consents::receipt,
    GET "/consents/{handle}/receipt.jsonld" => portal::consents::receipt_file,
    GET "/consents/{handle}/certificate.jsonld" => portal::consents::certificate_file,
    GET "/consents/{handle}/evidence.json" => portal::consents::evidence,
    POST "/consents/{handle}/token" => portal::grant_token::create,
    GET "/l/consent/{token}" => portal::consent_links::open,
    GET "/l/stop/{token}" => portal::consent_links::show,
    POST "/l/stop/{token}" => portal::consent_links::stop,
    // What products ask and send
    POST "/v1/traces" => otlp::traces::take,
    POST "/otlp/v1/traces" => otlp::traces::take,
    GET "/.well-known/jwks.json" => otlp::jwks::show,
    GET "/sampling/{key}" => otlp::sampling::show,
    GET "/sampling/{key}/sampling" => otlp::sampling::show,
    // The interface for programs
    POST "/api/v1/inbound" => api::inbound::take,
    POST "/api/v1/token" => api::token::create,
    GET "/api/v1/openapi.json" => api::openapi::show,
    GET "/api/v1/tickets" => api::tickets::list,
    POST "/api/v1/tickets" => api::tickets::create,
    GET "/api/v1/tickets/{reference}" => api::tickets::show,
    GET "/api/v1/tickets/{reference}/messages" => api::messages::list,
    POST "/api/v1/tickets/{reference}/messages" => api::messages::create,
    GET "/api/v1/tracing/grants" => api::grants::list,
    GET "/api/v1/people" => api::people::list,
    POST "/api/v1/people" => api::people::create,
    GET "/api/v1/people/{handle}" => api::people::show,
    GET "/api/v1/organisations" => api::organisations::list,
    POST "/api/v1/organisations" => api::organisations::create,
    GET "/api/v1/organisations/{handle}" => api::organisations::show,
    GET "/api/v1/organisations/{handle}/environments" => api::environments::list,
    POST "/api/v1/organisations/{handle}/environments" => api::environments::create,
    GET "/api/v1/organisations/{handle}/environments/{environment}" => api::environments::show,
    GET "/{lang:fr|en}/api" => api::reference::show,
    // Public
    GET "/" => home::front_door,
    GET "/assets/{name}" => asset_route::show,
    GET "/{lang:fr|en}" => portal::home::show,
    GET "/{lang:fr|en}/requests/new" => portal::new_request::new_as_stranger,
    POST "/{lang:fr|en}/requests" => portal::new_request::create_as_stranger,
    GET "/{lang:fr|en}/requests/thanks" => portal::new_request::thanks,
    GET "/{lang:fr|en}/requests/find" => portal::find_request::show,
    POST "/{lang:fr|en}/requests/find" => portal::find_request::find,
    GET "/{lang:fr|en}/requests/link-sent" => portal::find_request::sent,
    GET "/l/ticket/{token}" => portal::ticket_link::show,
    POST "/l/ticket/{token}/answers" => portal::ticket_link::answer,
    POST "/l/ticket/{token}/confirmation" => portal::ticket_link::confirm,
    POST "/l/ticket/{token}/renewal" => portal::ticket_link::renew,
    GET "/l/ticket/{token}/attachments/{handle}" => portal::ticket_link::attachment,
    GET "/l/ticket/{token}/messages/{handle}/frame" => portal::ticket_link::mail,
    GET "/healthz" => health::alive,
    GET "/readyz" => health::ready,
    // An organisation's own pages
    GET "/account/organisation" => organisation::own,
    GET "/organisations/{handle}" => organisation::information::show,
    POST "/organisations/{handle}" => organisation::information::update,
    POST "/organisations/{handle}/contract" => organisation::information::set_contract,
    GET "/organisations/{handle}/sites" => organisation::sites::list,
    POST "/organisations/{handle}/sites" => organisation::sites::create,
    GET "/organisations/{handle}/sites/new" => organisation::sites::new,
    GET "/organisations/{handle}/sites/{site}" => organisation::sites::show,
    POST "/organisations/{handle}/sites/{site}" => organisation::sites::update,
    POST "/organisations/{handle}/sites/{site}/removal" => organisation::sites::remove,
    GET "/organisations/{handle}/environments" => organisation::environments::list,
    POST "/organisations/{handle}/environments" => organisation::environments::create,
    GET "/organisations/{handle}/environments/new" => organisation::environments::new,
    GET "/organisations/{handle}/environments/{environment}" => organisation::environments::show,
    POST "/organisations/{handle}/environments/{environment}" => organisation::environments::update,
    POST "/organisations/{handle}/environments/{environment}/removal" => organisation::environments::remove,
    GET "/organisations/{handle}/sampling" => organisation::sampling::show,
    POST "/organisations/{handle}/sampling" => organisation::sampling::create,
    POST "/organisations/{handle}/sampling/{key}/revocation" => organisation::sampling::revoke,
    GET "/organisations/{handle}/members" => organisation::members::list,
    POST "/organisations/{handle}/members" => organisation::members::invite,
    GET "/organisations/{handle}/members/new" => organisation::members::new,
    GET "/organisations/{handle}/members/{member}" => organisation::members::show,
    POST "/organisations/{handle}/members/{member}" => organisation::members::change_rights,
    POST "/organisations/{handle}/members/{member}/contact" => organisation::members::make_contact,
    POST "/organisations/{handle}/members/{member}/removal" => organisation::members::remove,

    // The administrator's pages
    GET "/admin/people" => admin::people::list,
    POST "/admin/people" => admin::people::create,
    GET "/admin/people/new" => admin::people::new,
    GET "/admin/people/{handle}" => admin::person::show,
    POST "/admin/people/{handle}" => admin::person::update,
    POST "/admin/people/{handle}/address" => admin::person::change_address,
    POST "/admin/people/{handle}/invitation" => admin::person::invite,
    POST "/admin/people/{handle}/roles" => admin::person::set_roles,
    POST "/admin/people/{handle}/sessions/removal" => admin::person::end_sessions,
    POST "/admin/people/{handle}/state" => admin::person::set_state,
    GET "/admin/organisations" => admin::organisations::list,
    POST "/admin/organisations" => admin::organisations::create,
    GET "/admin/organisations/new" => admin::organisations::new,
    GET "/admin/queues" => admin::queues::list,
    POST "/admin/queues" => admin::queues::create,
    GET "/admin/queues/new" => admin::queues::new,
    GET "/admin/queues/{handle}" => admin::queues::show,
    POST "/admin/queues/{handle}" => admin::queues::update,
    POST "/admin/queues/{handle}/earlier" => admin::queues::move_up,
    POST "/admin/queues/{handle}/members" => admin::queues::set_members,
    GET "/admin/mailboxes" => admin::mailboxes::list,
    POST "/admin/mailboxes" => admin::mailboxes::create,
    GET "/admin/mailboxes/new" => admin::mailboxes::new,
    GET "/admin/mailboxes/{handle}" => admin::mailboxes::show,
    POST "/admin/mailboxes/{handle}" => admin::mailboxes::update,
    POST "/admin/mailboxes/{handle}/default" => admin::mailboxes::make_default,
    GET "/admin/roles" => admin::roles::list,
    POST "/admin/roles" => admin::roles::create,
    GET "/admin/roles/new" => admin::roles::new,
    GET "/admin/roles/{handle}" => admin::roles::show,
    POST "/admin/roles/{handle}" => admin::roles::update,
    GET "/admin/settings" => admin::settings::show,
    POST "/admin/settings" => admin::settings::update,
    GET "/admin/status" => admin::status::show,
    POST "/admin/status/jobs" => admin::status::retry_jobs,
    GET "/admin/unprocessed-mail" => admin::unprocessed_mail::list,
    GET "/admin/unprocessed-mail/{handle}" => admin::unprocessed_mail::show,
    GET "/admin/unprocessed-mail/{handle}/original" => admin::unprocessed_mail::download,
    POST "/admin/unprocessed-mail/{handle}/message" => admin::unprocessed_mail::add_to_ticket,
    POST "/admin/unprocessed-mail/{handle}/rejection" => admin::unprocessed_mail::reject,
    POST "/admin/unprocessed-mail/{handle}/reprocessing" => admin::unprocessed_mail::reprocess,
    POST "/admin/unprocessed-mail/{handle}/ticket" => admin::unprocessed_mail::open_ticket,
    GET "/admin/outgoing-mail" => admin::outgoing_mail::list,
    POST "/admin/outgoing-mail/{handle}/sending" => admin::outgoing_mail::retry,
    GET "/admin/development-mail" => admin::development_mail::list,
    GET "/admin/development-mail/{name}" => admin::development_mail::show,
    GET "/admin/ledger" => admin::ledger::show,
    GET "/admin/ledger/verification" => admin::ledger::verify,
    // Signing in, registration, and the links in mails about an account
    GET "/{locale:fr|en}/sign-in" => sign_in::new,
    POST "/{locale:fr|en}/sign-in" => sign_in::create,
    POST "/{locale:fr|en}/sign-in/link" => sign_in::request_link,
    GET "/{locale:fr|en}/sign-in/sent" => sign_in::link_sent,
    GET "/l/sign-in/{token}" => sign_in::link,
    POST "/l/sign-in/{token}" => sign_in::use_link,
    POST "/sign-out" => sign_in::end,
    GET "/{locale:fr|en}/password" => password::new,
    POST "/{locale:fr|en}/password" => password::request,
    GET "/{locale:fr|en}/password/sent" => password::link_sent,
    GET "/l/password/{token}" => password::link,
    POST "/l/password/{token}" => password::use_link,
    GET "/l/invitation/{token}" => password::invitation,
    POST "/l/invitation/{token}" => password::accept_invitation,
    GET "/{locale:fr|en}/registration" => registration::new,
    POST "/{locale:fr|en}/registration" => registration::create,
    GET "/{locale:fr|en}/registration/sent" => registration::link_sent,
    GET "/l/registration/{token}" => registration::link,
    POST "/l/registration/{token}" => registration::use_link,
    GET "/setup/{token}" => setup::show,
    POST "/setup/{token}" => setup::create,
    GET "/undertaking" => undertaking::show,
    POST "/undertaking" => undertaking::accept,
    // One's own account
    GET "/account" => account::show,
    POST "/account" => account::update,
    POST "/account/theme" => account::set_theme,
    POST "/account/language" => account::set_language,
    POST "/account/address" => account::change_address,
    POST "/account/addresses/removal" => account::remove_address,
    GET "/l/address/{token}" => account::address_link,
    POST "/l/address/{token}" => account::use_address_link,
    GET "/account/security" => account::security::show,
    POST "/account/password" => account::security::change_password,
    POST "/account/sessions/others/end" => account::security::end_other_sessions,
    POST "/account/sessions/{handle}/end" => account::security::end_session,
    POST "/account/secrets" => account::secrets::create,
    POST "/account/secrets/{handle}/revocation" => account::secrets::revoke,
    // Files and the HTML of mails, for whoever may read the message
    GET "/messages/{handle}/frame" => message_frame::show,
    GET "/inline/{handle}" => message_frame::inline_image,
    GET "/attachments/{handle}" => attachment_download::download,
    // Customers
    GET "/requests" => portal::requests::list,
    POST "/requests" => portal::new_request::create_as_customer,
    GET "/requests/new" => portal::new_request::new_as_customer,
    GET "/requests/{reference}" => portal::request::show,
    POST "/requests/{reference}/answers" => portal::request::answer,
    POST "/requests/{reference}/closing" => portal::request::close,
    POST "/requests/{reference}/reopening" => portal::request::reopen,
    POST "/requests/{reference}/visibility" => portal::request::set_visibility,
    POST "/requests/{reference}/participants" => portal::request::add_participant,
    POST "/requests/{reference}/participants/{handle}/removal" => portal::request::remove_participant,
}

/// Registers the table; methods that share a path share a resource, so that another method is answered with 405.
pub fn routes(config: &mut ServiceConfig) {
    let mut resources: Vec<(&'static str, Resource)> = Vec::new();
    for entry in table() {
        match resources.iter().position(|(path, _)| *path == entry.path) {
            Some(index) => {
                let (path, resource) = resources.remove(index);
                resources.insert(index, (path, resource.route((entry.route)())));
            }
            None => resources.push((entry.path, web::resource(entry.path).route((entry.route)()))),
        }
    }
    for (_, resource) in resources {
        config.service(resource);
    }
}
