//! An installation with somebody in every role and something behind every kind of path.

use accord::access;
use accord::db::types::PersonId;
use accord::i18n::Locale;
use accord::journal::claiming::{self, Setback, Stage};
use accord::journal::{self, NewMail, Recipient, Way};
use accord::outbox;
use accord::people::api_tokens::{self, NewApiToken, Scope};
use accord::people::environments::{self, Component, ComponentKind, EnvironmentDescription};
use accord::people::memberships::Rights;
use accord::people::organisations::{self, Information};
use accord::people::person;
use accord::people::roles::{self, BuiltinRole};
use accord::people::sites::{self, SiteDescription};
use accord::people::staff;
use accord::secret::random_handle;
use accord::teams::queues::QueueKind;
use accord::teams::{mailboxes, queues};
use accord::tickets::messages::{self, Channel, CustomerMessage, NewMessage};
use accord::tickets::{Ticket, attachments, links, ticket};
use accord::web::assets;
use actix_web::http::Method;
use actix_web::test::TestRequest;
use chrono::TimeDelta;

use crate::support::TestApp;
use crate::support::browser::{Answered, Browser};
use crate::support::cast::Cast;
use crate::support::dump::Dump;

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Guest,
    Holder,
    Paul,
    Claire,
    Theo,
    Zoe,
    Nina,
    Marc,
    Lea,
    Hugo,
    Odile,
    Ada,
}

/// Routes whose forms carry files.
pub const IN_PARTS: &[&str] = &[
    "/{lang:fr|en}/requests",
    "/l/ticket/{token}/answers",
    "/requests",
    "/requests/{reference}/answers",
    "/tickets",
    "/tickets/{reference}/notes",
    "/tickets/{reference}/preview",
    "/tickets/{reference}/replies",
];

/// What stands in the ticket's subject and text.
const SECRET: &str = "Caves-inondees-7731";

/// What may differ between before and after although nothing was done: when a session was last used, how often an
/// address asked, and when a secret was last used.
const RESTLESS: &[&str] = &["sessions.last_seen_at", "api_tokens.last_used_at", "throttles"];

/// All that a token can be good for.
pub const ALL_SCOPES: &[Scope] = Scope::ALL;

/// What a token needs for a route of the interface; nothing where none is presented, or the secret itself.
pub fn scope_of(method: &Method, route: &str) -> Option<Scope> {
    let reads = method == Method::GET;
    match route {
        "/api/v1/token" | "/api/v1/openapi.json" | "/api/v1/inbound" => None,
        _ if route.starts_with("/api/v1/tickets") => Some(if reads { Scope::TicketsRead } else { Scope::TicketsWrite }),
        _ if route.starts_with("/api/v1/people") => Some(if reads { Scope::PeopleRead } else { Scope::PeopleWrite }),
        _ if route.contains("/environments") => {
            Some(if reads { Scope::EnvironmentsRead } else { Scope::EnvironmentsWrite })
        }
        _ => Some(if reads { Scope::OrganisationsRead } else { Scope::OrganisationsWrite }),
    }
}

/// The installation.
pub struct World {
    test: TestApp,
    cast: Cast,
    theo: PersonId,
    nina: PersonId,
    ada: PersonId,
    ticket: Ticket,
    link: String,
    message: String,
    attachment: String,
    /// A mail about the ticket.
    mail: String,
    /// A mail that came in and could not be processed.
    unprocessed: String,
    site: String,
    environment: String,
    paul_handle: String,
    claire_handle: String,
    queue: String,
    mailbox: String,
    role: String,
}

impl World {
    pub fn new() -> World {
        let (test, cast) = TestApp::with_cast();
        let given = test.given();
        let theo = given.member("Theo Blanc", cast.arnaud, Rights::default()).id;
        let ada = given.staff("Ada Faure", &[BuiltinRole::Administrator], &[]);
        let nina = given.customer("Nina Roche").id;
        let now = test.now();
        let (hugo, arnaud) = (cast.hugo, cast.arnaud);
        let (site, environment, queue, mailbox, role) = test.write(move |db| {
            let agent = roles::builtin(db, BuiltinRole::Agent)?;
            staff::set_roles(db, nina, &[agent], None, now)?;
            staff::accept_undertaking(db, hugo, now)?;
            let organisation = organisations::by_id(db, arnaud)?;
            let information =
                Information { colleagues_see_tickets: true, ..Information::named(&organisation.name, Locale::Fr) };
            organisations::update(db, &organisation, organisation.version, &information, None, now)?;
            let description = SiteDescription {
                name: "Chai".to_owned(),
                address: String::new(),
                person_in_charge: "Paul Girard".to_owned(),
                telephone: "+33 5 56 00 00 00".to_owned(),
            };
            let site = sites::create(db, arnaud, &description, now)?.handle;
            let environment = EnvironmentDescription {
                name: "Production".to_owned(),
                site: site.clone(),
                operating_system: "Debian 12".to_owned(),
                remarks: String::new(),
                components: vec![Component {
                    kind: ComponentKind::Product,
                    name: "Gamma".to_owned(),
                    version: "7.1".to_owned(),
                }],
            };
            let environment = environments::create(db, arnaud, &environment, now)?;
            let queue = queues::find_by_kind(db, QueueKind::Support)?.unwrap().handle;
            let mailbox = mailboxes::default(db)?.handle;
            let role = roles::all(db)?.remove(0).handle;
            Ok((site, environment, queue, mailbox, role))
        });
        let paul = test.read(|db| person::by_id(db, cast.paul));
        let claire_handle = test.read(|db| person::by_id(db, cast.claire)).handle;
        let ticket = given.ticket(&paul, &format!("Panne {SECRET}"), &format!("Rien ne va plus. {SECRET}"));
        let file = attachments::store(&test.app.storage, "plan.pdf", b"%PDF-1.7 a plan", None).unwrap();
        let (asked, writer) = (ticket.clone(), paul.clone());
        let (link, message) = test.write(move |db| {
            let by = access::actor_of(db, writer.id)?;
            let text = NewMessage::text(Channel::Email, writer.id, &writer.display_name(), &writer.address, "Voici.");
            let mail = NewMessage { html: Some("<p>Voici.</p>".to_owned()), attachments: vec![file.clone()], ..text };
            let said = messages::add_customer_message(db, &asked, CustomerMessage::ordinary(mail), &by, now)?;
            Ok((links::create(db, &asked, writer.id, now)?.expose().to_owned(), messages::handle_of(db, said)?))
        });
        // What follows from opening a ticket is done, so that it is not mistaken for a page's doing.
        test.run_jobs();
        let asked = test.read(|db| ticket::by_id(db, ticket.id));
        let attachment = test.read(|db| attachments::of_ticket(db, &asked)).remove(0).handle;
        let mail = test.read(|db| outbox::listing::of_ticket(db, asked.id)).remove(0).handle;
        let unprocessed = unprocessed_mail(&test);
        World {
            test,
            theo,
            nina,
            ada,
            ticket: asked,
            link,
            message,
            attachment,
            mail,
            unprocessed,
            site,
            environment,
            paul_handle: paul.handle,
            claire_handle,
            queue,
            mailbox,
            role,
            cast,
        }
    }

    /// A browser of its own, signed in if the role is.
    pub async fn browser(&self, role: Role) -> Browser {
        match self.person(role) {
            Some(person) => self.test.signed_in(person).await,
            None => self.test.browser().await,
        }
    }

    fn person(&self, role: Role) -> Option<PersonId> {
        Some(match role {
            Role::Guest | Role::Holder => return None,
            Role::Paul => self.cast.paul,
            Role::Claire => self.cast.claire,
            Role::Theo => self.theo,
            Role::Zoe => self.cast.zoe,
            Role::Nina => self.nina,
            Role::Marc => self.cast.marc,
            Role::Lea => self.cast.lea,
            Role::Hugo => self.cast.hugo,
            Role::Odile => self.cast.odile,
            Role::Ada => self.ada,
        })
    }

    /// The route with something that exists in the place of each parameter.
    pub fn path(&self, role: Role, route: &str) -> String {
        let path = self.filled(route, |name| self.value(role, route, name));
        match route {
            _ if route.starts_with("/inline/") => path + "?reader=x&until=1&proof=x",
            "/api/v1/inbound" => path + "?recipient=support@garonne.example",
            "/search" => path + "?q=inondees",
            _ => path,
        }
    }

    /// The route with parameters of the same shape that lead nowhere.
    pub fn path_to_nothing(&self, route: &str) -> String {
        self.filled(route, |name| match name {
            "locale" | "lang" => "fr".to_owned(),
            "reference" => "ACC-222222222".to_owned(),
            _ => random_handle(),
        })
    }

    fn filled(&self, route: &str, value: impl Fn(&str) -> String) -> String {
        let mut path = String::new();
        let mut rest = route;
        while let Some((before, after)) = rest.split_once('{') {
            let (parameter, after) = after.split_once('}').unwrap();
            path.push_str(before);
            path.push_str(&value(parameter.split(':').next().unwrap()));
            rest = after;
        }
        path + rest
    }

    fn value(&self, role: Role, route: &str, name: &str) -> String {
        match name {
            "locale" | "lang" => "fr".to_owned(),
            "name" => assets::asset_path("accord.css").trim_start_matches("/assets/").to_owned(),
            "reference" => self.ticket.reference.to_string(),
            "site" => self.site.clone(),
            "environment" => self.environment.clone(),
            "member" | "person" => self.paul_handle.clone(),
            "token" if role == Role::Holder && route.starts_with("/l/ticket/") => self.link.clone(),
            "token" => random_handle(),
            "handle" if route.starts_with("/organisations/") => self.cast.arnaud_handle.clone(),
            "handle" if route.starts_with("/admin/people/") => self.paul_handle.clone(),
            "handle" if route.starts_with("/admin/queues/") => self.queue.clone(),
            "handle" if route.starts_with("/admin/mailboxes/") => self.mailbox.clone(),
            "handle" if route.starts_with("/admin/unprocessed-mail/") => self.unprocessed.clone(),
            "handle" if route.starts_with("/admin/outgoing-mail/") => self.mail.clone(),
            "handle" if route.starts_with("/api/v1/organisations/") => self.cast.arnaud_handle.clone(),
            "handle" if route.starts_with("/api/v1/people/") => self.paul_handle.clone(),
            "handle" if route.starts_with("/admin/roles/") => self.role.clone(),
            "handle" if route.contains("/messages/") => self.message.clone(),
            "handle" if route.contains("/attachments/") => self.attachment.clone(),
            "handle" if route.contains("/mails/") => self.mail.clone(),
            "handle" if route.contains("/participants/") => self.paul_handle.clone(),
            // Somebody's own sessions and secrets; nobody here has such a one.
            "handle" if route.starts_with("/account/") => random_handle(),
            "handle" if route.starts_with("/inline/") => random_handle(),
            _ => panic!("say in world.rs what stands for {{{name}}} in {route}"),
        }
    }

    /// The fields of a form that can be read; whether what they say is right is another matter.
    pub fn form(&self, route: &str) -> Vec<(&'static str, String)> {
        let version = || self.ticket.version.to_string();
        let fields: &[(&'static str, &str)] = match route {
            "/{locale:fr|en}/sign-in" | "/{locale:fr|en}/sign-in/link" => {
                &[("address", "paul@arnaud.example"), ("password", "faux")]
            }
            "/{locale:fr|en}/password" => &[("address", "paul@arnaud.example")],
            "/l/password/{token}" | "/l/invitation/{token}" => &[("password", "une-phrase-assez-longue")],
            "/account" => &[
                ("version", "1"),
                ("first_name", "Paul"),
                ("last_name", "Girard"),
                ("job_title", ""),
                ("telephone", ""),
                ("language", "fr"),
                ("time_zone", "Europe/Paris"),
                ("theme", "system"),
            ],
            "/account/theme" => &[("theme", "dark")],
            "/account/language" => &[("language", "en")],
            "/account/address" => &[("address", "autre@arnaud.example"), ("current_password", "faux")],
            "/account/addresses/removal" => &[("address", "autre@arnaud.example")],
            "/account/password" => &[("current_password", "faux"), ("password", "une-phrase-assez-longue")],
            "/account/secrets" => &[("name", "Essai"), ("scopes", "tickets:read"), ("days", "30")],
            "/undertaking" => &[("accepted", "true")],
            "/setup/{token}" => &[
                ("operator_name", "Autre"),
                ("support_address", "aide@autre.example"),
                ("first_name", "Eve"),
                ("last_name", "Noir"),
                ("email", "eve@autre.example"),
                ("password", "une-phrase-assez-longue"),
            ],
            "/organisations/{handle}" => &[
                ("version", "1"),
                ("name", "Vignobles"),
                ("address_lines", ""),
                ("postal_code", ""),
                ("city", ""),
                ("country", "FR"),
                ("vat_number", ""),
                ("telephone", ""),
                ("language", "fr"),
            ],
            "/organisations/{handle}/contract" => {
                &[("version", "1"), ("status", "customer"), ("contract_started_on", ""), ("contract_ended_on", "")]
            }
            "/organisations/{handle}/sites" | "/organisations/{handle}/sites/{site}" => {
                &[("name", "Cuvier"), ("person_in_charge", "Paul"), ("telephone", "+33 5 56 00 00 00"), ("address", "")]
            }
            "/organisations/{handle}/environments" | "/organisations/{handle}/environments/{environment}" => &[
                ("name", "Essai"),
                ("operating_system", "Debian"),
                ("products", "Gamma 7"),
                ("components", ""),
                ("remarks", ""),
            ],
            "/organisations/{handle}/members" => {
                &[("first_name", "Luc"), ("last_name", "Noir"), ("address", "luc@arnaud.example")]
            }
            "/admin/people" => &[
                ("first_name", "Luc"),
                ("last_name", "Noir"),
                ("address", "luc@client.example"),
                ("telephone", ""),
                ("job_title", ""),
                ("language", "fr"),
            ],
            "/admin/people/{handle}" => &[
                ("version", "1"),
                ("first_name", "Paul"),
                ("last_name", "Noir"),
                ("job_title", ""),
                ("telephone", ""),
                ("language", "fr"),
                ("time_zone", "Europe/Paris"),
            ],
            "/admin/people/{handle}/address" => &[("address", "autre@arnaud.example")],
            "/admin/people/{handle}/state" => &[("state", "disabled")],
            "/admin/organisations" => &[
                ("name", "Autre"),
                ("address_lines", ""),
                ("postal_code", ""),
                ("city", ""),
                ("country", "FR"),
                ("vat_number", ""),
                ("telephone", ""),
                ("language", "fr"),
                ("status", "customer"),
                ("contract_started_on", ""),
                ("contract_ended_on", ""),
                ("contact_first_name", "Luc"),
                ("contact_last_name", "Noir"),
                ("contact_address", "luc@autre.example"),
                ("contact_telephone", "+33 5 56 00 00 00"),
            ],
            "/admin/queues" | "/admin/queues/{handle}" => {
                &[("kind", "support"), ("name_fr", "Autre"), ("name_en", "Other")]
            }
            "/admin/mailboxes" | "/admin/mailboxes/{handle}" => {
                let queue = ("queue", self.queue.clone());
                return vec![
                    ("address", "autre@garonne.example".to_owned()),
                    ("display_name", "Autre".to_owned()),
                    ("language", "fr".to_owned()),
                    queue,
                ];
            }
            "/admin/roles" | "/admin/roles/{handle}" => &[("name", "Autre"), ("permissions", "work_tickets")],
            "/admin/settings" => &[("name", "Autre")],
            "/tickets/{reference}/status" => return vec![("status", "closed".to_owned()), ("version", version())],
            "/tickets/{reference}/priority" => &[("priority", "high")],
            "/tickets/{reference}/assignment" => return vec![("assignee", String::new()), ("version", version())],
            "/tickets/{reference}/queue" => return vec![("queue", self.queue.clone()), ("version", version())],
            "/tickets/{reference}/privacy" => &[("is_private", "true")],
            "/tickets/{reference}/tags" | "/tickets/{reference}/tags/removal" => &[("tag", "urgence")],
            "/tickets/{reference}/requester" => {
                return vec![("requester", "theoblanc@client.example".to_owned()), ("version", version())];
            }
            "/tickets/{reference}/participants" => &[("participant", "claire@arnaud.example")],
            "/requests/{reference}/participants" => return vec![("participant", self.claire_handle.clone())],
            "/admin/unprocessed-mail/{handle}/message" => {
                return vec![("reference", self.ticket.reference.to_string())];
            }
            "/requests/{reference}/visibility" => &[("visibility", "private")],
            _ => &[],
        };
        fields.iter().map(|(name, value)| (*name, (*value).to_owned())).collect()
    }

    /// What a program of this role presents: a token made from a secret of `scopes`, or the secret itself where mail is
    /// handed over.
    pub async fn bearer(&self, role: Role, route: &str, scopes: &[Scope], browser: &Browser) -> Option<String> {
        let person = self.person(role)?;
        let now = self.test.now();
        let is_staff = self.test.read(|db| staff::is_staff(db, person));
        let scopes = scopes.iter().copied().filter(|scope| is_staff || *scope != Scope::Inbound).collect();
        let new = NewApiToken { name: "Programme".to_owned(), scopes, organisation: None, days: 30 };
        let (_, secret) = self.test.write(move |db| api_tokens::create(db, person, &new, now));
        if route == "/api/v1/inbound" {
            return Some(secret.expose().to_owned());
        }
        let body = serde_json::json!({ "secret": secret.expose() });
        let answer = browser.send(TestRequest::post().uri("/api/v1/token").set_json(body)).await;
        let answer: serde_json::Value = serde_json::from_slice(&answer.bytes).unwrap();
        Some(answer["token"].as_str().unwrap().to_owned())
    }

    /// What a program sends there, and of which type.
    pub fn body(&self, route: &str) -> (&'static str, String) {
        let json = match route {
            "/api/v1/inbound" => {
                let mail = "From: <eve@client.example>\r\nTo: <support@garonne.example>\r\nSubject: x\r\n\r\nx\r\n";
                return ("message/rfc822", mail.to_owned());
            }
            "/api/v1/token" => serde_json::json!({ "secret": "acc_faux" }),
            "/api/v1/tickets" => serde_json::json!({
                "subject": "Panne", "text": "Rien ne va plus.", "requester": { "handle": self.paul_handle },
            }),
            "/api/v1/tickets/{reference}/messages" => {
                serde_json::json!({ "text": "Voici.", "seen": self.ticket.message_count })
            }
            "/api/v1/people" => serde_json::json!({
                "first_name": "Luc", "last_name": "Noir", "address": "luc@client.example",
            }),
            "/api/v1/organisations" => serde_json::json!({ "name": "Autre", "status": "customer" }),
            "/api/v1/organisations/{handle}/environments" => serde_json::json!({ "name": "Essai" }),
            _ => panic!("say in world.rs what a program sends to {route}"),
        };
        ("application/json", json.to_string())
    }

    pub fn dump(&self) -> Dump {
        self.test.dump(RESTLESS)
    }

    /// Two minutes pass, so that no limit on how often somebody asks is met.
    pub fn rest(&self) {
        self.test.clock.advance(TimeDelta::minutes(2));
    }

    /// Nobody learns what the ticket says who may not read it, not even from a page that they may see.
    pub fn assert_keeps_the_secret(&self, route: &str, role: Role, answer: &Answered) {
        let reads_it = matches!(role, Role::Paul | Role::Claire | Role::Lea | Role::Hugo)
            || (role == Role::Holder && route.contains("{token}"));
        assert!(reads_it || !answer.text().contains(SECRET), "{route} tells {role:?} what the ticket says");
    }
}

/// A mail at which reading stumbles again and again, until an administrator is asked.
fn unprocessed_mail(test: &TestApp) -> String {
    let now = test.now();
    test.write(move |db| {
        let recipient =
            Recipient { mailbox: mailboxes::default(db)?.id, address: "support@garonne.example".to_owned() };
        let mail = NewMail::new(vec![recipient], String::new(), Way::Lmtp, b"Subject: x\r\n\r\nx\r\n".to_vec());
        journal::accept(db, &mail, now)?;
        let id = claiming::due(db, now)?.remove(0);
        claiming::claim(db, id, "test", now)?;
        for _ in 0..10 {
            let mail = claiming::load(db, id)?;
            let state = claiming::set_back(db, &mail, "test", Stage::Reading, Setback::Panic, "it panicked", now)?;
            if state == journal::State::Failed {
                return Ok(mail.handle);
            }
            claiming::claim(db, id, "test", now.plus(TimeDelta::hours(9)))?;
        }
        panic!("a mail is tried for ever");
    })
}
