//! Which links each reader has around their page, and which of them they are on.

use crate::access::Actor;
use crate::i18n::Locale;
use crate::people::roles::Permission;
use crate::web::page::{NavigationGroup, NavigationItem, Page, Reader, SearchBox};
use crate::web::signed_in::SignedIn;

/// Where in the navigation a page belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Nowhere,
    Home,
    NewRequest,
    Requests,
    Account,
    Consents,
    Tickets,
    NewTicket,
    PlannedAnswers,
    People,
    Organisations,
    Queues,
    Mailboxes,
    Roles,
    UnprocessedMail,
    OutgoingMail,
    DevelopmentMail,
    Ledger,
    Status,
    Settings,
}

/// Links of somebody who is not signed in.
pub fn for_visitor(page: &mut Page, locale: Locale, place: Place) {
    page.navigation = vec![NavigationGroup {
        title: None,
        items: vec![
            item(page, "nav-home", &format!("/{locale}"), "home", place == Place::Home),
            item(page, "nav-new-request", &format!("/{locale}/requests/new"), "plus", place == Place::NewRequest),
        ],
    }];
    page.sign_in_href = Some(format!("/{locale}/sign-in"));
}

/// Links of somebody signed in.
pub fn for_signed_in(page: &mut Page, signed_in: &SignedIn, mail_goes_to_files: bool, place: Place) {
    page.person = Some(Reader {
        name: signed_in.person.display_name(),
        email: signed_in.person.address.clone(),
        menu: vec![item(page, "nav-account", "/account", "user", place == Place::Account)],
        sign_out_action: "/sign-out".to_owned(),
        theme_action: "/account/theme".to_owned(),
    });
    match &signed_in.actor {
        Actor::Staff(staff) => {
            let may = |permission| staff.may(permission);
            page.shortcuts = true;
            let mut desk = Vec::new();
            if may(Permission::WorkTickets) {
                desk.push(item(page, "nav-tickets", "/tickets", "inbox", place == Place::Tickets));
                desk.push(item(page, "nav-new-ticket", "/tickets/new", "plus", place == Place::NewTicket));
                let is_here = place == Place::PlannedAnswers;
                desk.push(item(page, "nav-planned-answers", "/planned-answers", "calendar", is_here));
                page.search = Some(SearchBox {
                    action: "/search".to_owned(),
                    label: page.t.say("nav-search"),
                    query: String::new(),
                });
            }
            let mut directory = Vec::new();
            if may(Permission::ManagePeople) || may(Permission::ManageStaff) {
                directory.push(item(page, "nav-people", "/admin/people", "users", place == Place::People));
                directory.push(item(
                    page,
                    "nav-organisations",
                    "/admin/organisations",
                    "building",
                    place == Place::Organisations,
                ));
            }
            let mut installation = Vec::new();
            if may(Permission::ManageQueues) {
                installation.push(item(page, "nav-queues", "/admin/queues", "layers", place == Place::Queues));
                installation.push(item(page, "nav-mailboxes", "/admin/mailboxes", "at", place == Place::Mailboxes));
            }
            if may(Permission::ManageStaff) {
                installation.push(item(page, "nav-roles", "/admin/roles", "key", place == Place::Roles));
                installation.push(item(page, "nav-settings", "/admin/settings", "settings", place == Place::Settings));
            }
            if may(Permission::WorkTickets) || may(Permission::OperateInstallation) {
                // Who works in a mailbox's queue decides about what was held there.
                let group = if may(Permission::WorkTickets) { &mut desk } else { &mut installation };
                group.push(item(
                    page,
                    "nav-unprocessed-mail",
                    "/admin/unprocessed-mail",
                    "alert",
                    place == Place::UnprocessedMail,
                ));
            }
            if may(Permission::OperateInstallation) {
                installation.push(item(
                    page,
                    "nav-outgoing-mail",
                    "/admin/outgoing-mail",
                    "send",
                    place == Place::OutgoingMail,
                ));
                if mail_goes_to_files {
                    let is_here = place == Place::DevelopmentMail;
                    installation.push(item(page, "nav-development-mail", "/admin/development-mail", "mail", is_here));
                }
                installation.push(item(page, "nav-status", "/admin/status", "pulse", place == Place::Status));
            }
            if may(Permission::ReadLedger) {
                installation.push(item(page, "nav-ledger", "/admin/ledger", "book", place == Place::Ledger));
            }
            page.navigation = [
                ("nav-group-desk", desk),
                ("nav-group-directory", directory),
                ("nav-group-installation", installation),
            ]
            .into_iter()
            .filter(|(_, items)| !items.is_empty())
            .map(|(key, items)| NavigationGroup { title: Some(page.t.say(key)), items })
            .collect();
        }
        Actor::Customer(_) | Actor::LinkHolder { .. } | Actor::System => {
            page.navigation = vec![NavigationGroup {
                title: None,
                items: vec![
                    item(page, "nav-requests", "/requests", "inbox", place == Place::Requests),
                    item(page, "nav-new-request", "/requests/new", "plus", place == Place::NewRequest),
                    item(page, "nav-consents", "/account/consents", "shield", place == Place::Consents),
                    item(page, "nav-account", "/account", "user", place == Place::Account),
                ],
            }];
        }
    }
}

fn item(page: &Page, key: &str, href: &str, icon: &'static str, current: bool) -> NavigationItem {
    NavigationItem::new(page.t.say(key), href, icon).current_if(current)
}
