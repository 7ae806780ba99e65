//! An installation with somebody in every role and something behind every kind of path.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use accord::access;
use accord::consent::asking::{self, Terms};
use accord::consent::granting::{self, Outcome};
use accord::consent::links::Opens;
use accord::consent::receipt::Counts;
use accord::consent::scope::{PurposeCode, Recipients, Subject};
use accord::consent::withdrawing::{self, Kept};
use accord::consent::{Component as Traceable, ConsentRequest, Level, Scope as Traced};
use accord::db::schema::{outbox as outbox_table, tickets as tickets_table};
use accord::db::types::PersonId;
use accord::diagnostics::sampling;
use accord::i18n::Locale;
use accord::journal::claiming::{self, Setback, Stage};
use accord::journal::{self, NewMail, Recipient, Way};
use accord::mail::unsubscribe_token;
use accord::outbox;
use accord::people::api_tokens::{self, NewApiToken, Scope};
use accord::people::environments::{self, Component, ComponentKind, EnvironmentDescription};
use accord::people::invitations::Invitation;
use accord::people::memberships::{self, Rights};
use accord::people::notices::MailboxProof;
use accord::people::one_time_tokens::{self, Purpose};
use accord::people::organisations::{self, Information};
use accord::people::passwords::{self, Password};
use accord::people::registration::RegistrationForm;
use accord::people::roles::{self, BuiltinRole};
use accord::people::sessions::{self, Limits};
use accord::people::sites::{self, SiteDescription};
use accord::people::staff;
use accord::people::{addresses, person};
use accord::queue;
use accord::secret::random_handle;
use accord::teams::mailboxes::{self, MailboxDescription};
use accord::teams::queues::{self, QueueKind};
use accord::tickets::events::Maker;
use accord::tickets::messages::{self, Channel, CustomerMessage, NewMessage, Reading, Remark, Visibility};
use accord::tickets::planned::{self, NewPlanned, PlanOutcome, Release};
use accord::tickets::status::{self, Status};
use accord::tickets::{Ticket, attachments, links, participants, ticket};
use accord::web::assets;
use actix_web::http::Method;
use actix_web::test::TestRequest;
use chrono::TimeDelta;
use data_encoding::BASE64;
use diesel::prelude::*;

use crate::support::TestApp;
use crate::support::browser::{Answered, Browser};
use crate::support::cast::Cast;
use crate::support::desk::{AUTHSERV, Letter, SUPPORT, address};
use crate::support::dump::Moment;

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
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
/// Everybody's password.
const PASSWORD: &str = "une-phrase-assez-longue";

/// What may differ between before and after although nothing was done: when a session was last used, how often an
/// address asked, and when a secret was last used.
const RESTLESS: &[&str] = &["sessions.last_seen_at", "api_tokens.last_used_at", "throttles"];

/// What a token needs for a route of the interface; nothing where none is presented, or the secret itself.
pub fn scope_of(method: &Method, route: &str) -> Option<Scope> {
    let reads = method == Method::GET;
    match route {
        "/api/v1/token" | "/api/v1/openapi.json" | "/api/v1/inbound" => None,
        _ if route.starts_with("/api/v1/tickets") => Some(if reads { Scope::TicketsRead } else { Scope::TicketsWrite }),
        _ if route.starts_with("/api/v1/people") => Some(if reads { Scope::PeopleRead } else { Scope::PeopleWrite }),
        "/api/v1/tracing/grants" => Some(Scope::TracingRead),
        _ if route.contains("/environments") => {
            Some(if reads { Scope::EnvironmentsRead } else { Scope::EnvironmentsWrite })
        }
        _ => Some(if reads { Scope::OrganisationsRead } else { Scope::OrganisationsWrite }),
    }
}

/// The installation, as it is when a try begins.
pub struct World {
    pub test: TestApp,
    service: Browser,
    people: BTreeMap<Role, PersonId>,
    sessions: BTreeMap<Role, String>,
    /// A secret of each role, good for all that the role may have it do.
    secrets: BTreeMap<Role, String>,
    /// Ada's secrets, each of one scope.
    narrow_secrets: Vec<(Scope, String)>,
    moment: RefCell<Moment>,
    things: Things,
}

/// The public names of what is there.
#[derive(Default)]
struct Things {
    /// Paul's request, which came by mail.
    reference: String,
    /// Another of his, closed.
    closed: String,
    link: String,
    old_link: String,
    /// The link to a request whose address was never proven.
    unproven_link: String,
    /// The mail itself, its file, and the address of its image for Paul.
    message: String,
    attachment: String,
    inline: String,
    /// A message whose sender is in doubt.
    doubtful: String,
    /// An answer that is planned, and one that Léa and Hugo each took back.
    planned: String,
    taken_back: BTreeMap<Role, String>,
    /// A mail about the ticket, which came back.
    mail: String,
    /// A mail that came in and could not be processed.
    unprocessed: String,
    organisation: String,
    site: String,
    spare_site: String,
    environment: String,
    paul: String,
    claire: String,
    /// Who takes part in the ticket, and who might.
    participant: String,
    proposed: String,
    queue: String,
    other_queue: String,
    mailbox: String,
    role: String,
    /// Who a ticket may be given to.
    claimant: String,
    session: String,
    secret: String,
    api_secret: String,
    /// Tokens of links in mails about accounts, by the word in their path.
    tokens: BTreeMap<&'static str, String>,
    /// A request of Paul's in which consent was asked.
    traced: String,
    /// A question about the whole organisation, which waits for an answer, and the text of it.
    question: String,
    wording: String,
    /// What Claire granted of her own use: it runs; it was withdrawn, and what was captured is kept; that is destroyed.
    running: String,
    kept: String,
    destroyed: String,
    /// With it products of the company ask whether there is a grant.
    sampling_key: String,
}

impl World {
    pub async fn new() -> World {
        World::speaking(Locale::Fr).await
    }

    /// The same where everybody with an account reads `language`.
    pub async fn speaking(language: Locale) -> World {
        let (test, cast) = TestApp::cast_with_settings(&format!("[mail]\ntrusted_authserv_id = \"{AUTHSERV}\""));
        let mut things = Things { organisation: cast.arnaud_handle.clone(), ..Things::default() };
        let people = everybody(&test, &cast, &mut things);
        a_company(&test, &cast, &mut things);
        a_ticket(&test, &cast, &mut things);
        a_house(&test, &cast, &mut things);
        let (limits, now) = (Limits::from(&test.app.config.security), test.now());
        let mut sessions = BTreeMap::new();
        let mut secrets = BTreeMap::new();
        for (role, person) in &people {
            let browser = test.signed_in(*person).await;
            sessions.insert(*role, browser.session().unwrap());
            let scopes = match role {
                Role::Ada => Scope::ALL.to_vec(),
                _ => Scope::ALL.iter().copied().filter(|scope| *scope != Scope::Inbound).collect(),
            };
            secrets.insert(*role, secret(&test, *person, scopes).1);
        }
        let narrow_secrets =
            Scope::ALL.iter().map(|scope| (*scope, secret(&test, people[&Role::Ada], vec![*scope]).1)).collect();
        (things.secret, things.api_secret) = secret(&test, cast.paul, vec![Scope::TicketsRead]);
        test.signed_in(cast.paul).await;
        things.session = test.read(|db| sessions::of_person(db, cast.paul, &limits, now)).remove(0).handle;
        account_links(&test, &cast, &mut things);
        consents(&test, &cast, &mut things);
        let paul = test.signed_in(cast.paul).await;
        let frame = paul.get(&format!("/messages/{}/frame", things.message)).await.text();
        let image = frame.split("src=\"/inline/").nth(1).expect("an address").split('"').next().unwrap();
        things.inline = image.replace("&amp;", "&");
        for person in people.values().copied() {
            let now = test.now();
            test.write(move |db| person::set_language(db, person, language, now));
        }
        planned_answers(&test, &cast, &mut things);
        let moment = RefCell::new(Moment::of(&test, RESTLESS));
        World { service: test.browser().await, test, people, sessions, secrets, narrow_secrets, moment, things }
    }

    /// A browser in which the role is signed in, if it has an account.
    pub fn browser(&self, role: Role) -> Browser {
        self.service.with_session(self.sessions.get(&role).map(String::as_str))
    }

    /// Who that is, if somebody has an account.
    pub fn person(&self, role: Role) -> Option<PersonId> {
        self.people.get(&role).copied()
    }

    /// What differs from the beginning.
    pub fn changes(&self) -> Vec<String> {
        self.moment.borrow_mut().changes()
    }

    /// All is as in the beginning.
    pub fn begin_again(&self) {
        self.moment.borrow_mut().return_to();
    }

    /// The columns of these tables that no form and no program sets, for they are the program's own.
    pub fn columns_of_ours<'a>(&self, tables: impl IntoIterator<Item = &'a &'a str>) -> BTreeSet<String> {
        let moment = self.moment.borrow();
        let is_ours = |column: &&String| {
            ["_id", "_at", "_hash", "_by"].iter().any(|ending| column.ends_with(ending))
                || ["id", "handle", "state", "origin", "canonical", "sort_name", "hash", "payload"]
                    .contains(&column.as_str())
        };
        tables.into_iter().flat_map(|table| moment.columns(table).iter().filter(is_ours)).cloned().collect()
    }

    /// How many files are kept.
    pub fn stored_files(&self) -> usize {
        fn count(folder: &std::path::Path) -> usize {
            let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
            entries.map(|entry| if entry.path().is_dir() { count(&entry.path()) } else { 1 }).sum()
        }
        count(&self.test.app.config.data.join("files"))
    }

    /// The route with something that exists in the place of each parameter.
    pub fn path(&self, role: Role, route: &str) -> String {
        let path = self.filled(route, |name| self.value(role, route, name));
        match route {
            "/api/v1/inbound" => format!("{path}?recipient={SUPPORT}"),
            "/search" => path + "?q=inondees",
            // Whoever tells as it happens is asked to end at once.
            _ if route.ends_with("/looks") => path + "?seconds=0",
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
        let things = &self.things;
        let value = match name {
            "locale" | "lang" => return "fr".to_owned(),
            "name" => return assets::asset_path("accord.css").trim_start_matches("/assets/").to_owned(),
            "reference" if route.ends_with("/reopening") => &things.closed,
            "reference" if route.contains("/consents") => &things.traced,
            "reference" => &things.reference,
            "key" if route.starts_with("/organisations/") => &things.sampling_key,
            "key" => return random_handle(),
            "site" if route.ends_with("/removal") => &things.spare_site,
            "site" => &things.site,
            "environment" => &things.environment,
            "person" if route.ends_with("/approval") => &things.proposed,
            "person" => &things.participant,
            "member" => &things.paul,
            "token" if route.starts_with("/l/ticket/") => match role {
                Role::Holder if route.ends_with("/renewal") => &things.old_link,
                Role::Holder if route.ends_with("/confirmation") => &things.unproven_link,
                Role::Holder => &things.link,
                _ => return random_handle(),
            },
            "token" => match route.split('/').nth(2).and_then(|word| things.tokens.get(word)) {
                Some(token) => token,
                None => return random_handle(),
            },
            "handle" if route.contains("/consents/{handle}") => match route.rsplit('/').next() {
                Some("{handle}" | "cancellation" | "grant" | "refusal") => &things.question,
                Some("destruction") => &things.kept,
                Some("certificate.jsonld") => &things.destroyed,
                _ => &things.running,
            },
            "handle" if route.ends_with("/answers/{handle}/removal") => match things.taken_back.get(&role) {
                Some(handle) => handle,
                None => return random_handle(),
            },
            "handle" => match route.rsplit_once("/{handle}").unwrap().0 {
                "/organisations" | "/api/v1/organisations" => &things.organisation,
                "/admin/people" | "/api/v1/people" => &things.paul,
                "/admin/queues" => &things.other_queue,
                "/admin/mailboxes" => &things.mailbox,
                "/admin/unprocessed-mail" => &things.unprocessed,
                "/admin/outgoing-mail" | "/tickets/{reference}/mails" => &things.mail,
                "/admin/roles" => &things.role,
                "/tickets/{reference}/answers" => &things.planned,
                "/tickets/{reference}/messages" => &things.doubtful,
                "/messages" | "/l/ticket/{token}/messages" => &things.message,
                "/attachments" | "/l/ticket/{token}/attachments" => &things.attachment,
                "/requests/{reference}/participants" => &things.participant,
                "/account/sessions" => &things.session,
                "/account/secrets" => &things.secret,
                "/inline" => &things.inline,
                _ => panic!("say in world.rs what stands for {{handle}} in {route}"),
            },
            _ => panic!("say in world.rs what stands for {{{name}}} in {route}"),
        };
        value.clone()
    }

    /// What the role sends there: a form that is right.
    pub fn form(&self, role: Role, route: &str) -> Vec<(&'static str, String)> {
        let things = &self.things;
        let version = |handle: &str| {
            let person = self.test.read(|db| person::find_by_handle(db, handle));
            person.map_or(0, |person| person.version).to_string()
        };
        let ticket = || {
            let found = self.test.read(|db| ticket::by_reference(db, &access::Actor::System, &things.reference));
            (found.version.to_string(), found.message_count.to_string())
        };
        let of_organisation = || {
            let found = self.test.read(|db| organisations::find_by_handle(db, &things.organisation));
            found.unwrap().version.to_string()
        };
        let own = |text: &str| text.to_owned();
        let fields: &[(&'static str, &str)] = match route {
            "/{locale:fr|en}/sign-in" | "/{locale:fr|en}/sign-in/link" => {
                &[("address", "paul@arnaud.example"), ("password", PASSWORD)]
            }
            "/{locale:fr|en}/password" => &[("address", "paul@arnaud.example")],
            "/{locale:fr|en}/registration" => &[
                ("legal_name", "Moulins Noir"),
                ("first_name", "Luc"),
                ("last_name", "Noir"),
                ("email", "luc@moulins.example"),
                ("telephone", "+33 5 56 00 00 00"),
            ],
            "/{lang:fr|en}/requests" => {
                return vec![
                    ("name", own("Luc Noir")),
                    ("email", own("luc@moulins.example")),
                    ("queue", things.queue.clone()),
                    ("subject", own("Panne")),
                    ("text", own("Rien ne va plus.")),
                    ("key", random_handle()),
                ];
            }
            "/{lang:fr|en}/requests/find" => {
                return vec![("reference", things.reference.clone()), ("email", own("paul@arnaud.example"))];
            }
            "/requests" => {
                return vec![
                    ("queue", things.queue.clone()),
                    ("visibility", own("shared")),
                    ("subject", own("Panne")),
                    ("text", own("Rien ne va plus.")),
                    ("key", random_handle()),
                ];
            }
            "/requests/{reference}/answers" | "/l/ticket/{token}/answers" => {
                return vec![("text", own("Voici.")), ("key", random_handle())];
            }
            "/tickets" => {
                return vec![
                    ("address", own("paul@arnaud.example")),
                    ("channel", own("letter")),
                    ("received_at", own("2026-12-01T08:45")),
                    ("queue", things.queue.clone()),
                    ("subject", own("Panne")),
                    ("text", own("Il écrit que rien ne va plus.")),
                    ("priority", own("normal")),
                    ("organisation", things.organisation.clone()),
                    ("once", random_handle()),
                ];
            }
            "/tickets/{reference}/replies" => {
                return vec![("text", own("Redémarrez.")), ("seen", ticket().1), ("once", random_handle())];
            }
            "/tickets/{reference}/notes" => return vec![("note", own("À voir.")), ("once", random_handle())],
            "/tickets/{reference}/preview" => &[("text", "Redémarrez.")],
            "/tickets/{reference}/answers/{handle}/sending" => return vec![("seen", ticket().1)],
            "/tickets/{reference}/answers/{handle}/time" => {
                return vec![("at", own("2027-03-01T09:00")), ("seen", ticket().1)];
            }
            "/tickets/{reference}/place" => {
                return vec![("site", things.site.clone()), ("environment", things.environment.clone())];
            }
            "/l/password/{token}" | "/l/invitation/{token}" | "/l/registration/{token}" => {
                &[("password", "une-autre-phrase-longue")]
            }
            "/account" => {
                let person = self.people.get(&role).map(|id| self.test.read(|db| person::by_id(db, *id)));
                return vec![
                    ("version", person.map_or(0, |person| person.version).to_string()),
                    ("first_name", own("Paul")),
                    ("last_name", own("Noir")),
                    ("job_title", String::new()),
                    ("telephone", String::new()),
                    ("language", own("fr")),
                    ("time_zone", own("Europe/Paris")),
                    ("theme", own("system")),
                ];
            }
            "/account/organisation" => {
                let theirs = self.people.get(&role).map(|id| self.test.read(|db| memberships::belongings(db, *id)));
                let first = theirs.into_iter().flatten().next();
                return vec![("organisation", first.map_or_else(String::new, |own| own.organisation_handle))];
            }
            "/account/theme" => &[("theme", "dark")],
            "/account/language" => &[("language", "en")],
            "/account/address" => &[("address", "autre@arnaud.example"), ("current_password", PASSWORD)],
            "/account/addresses/removal" => &[("address", "ancien@arnaud.example")],
            "/account/password" => &[("current_password", PASSWORD), ("password", "une-autre-phrase-longue")],
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
            "/organisations/{handle}" => {
                return vec![
                    ("version", of_organisation()),
                    ("name", own("Vignobles")),
                    ("address_lines", String::new()),
                    ("postal_code", String::new()),
                    ("city", String::new()),
                    ("country", own("FR")),
                    ("vat_number", String::new()),
                    ("telephone", String::new()),
                    ("language", own("fr")),
                ];
            }
            "/organisations/{handle}/contract" => {
                return vec![
                    ("version", of_organisation()),
                    ("status", own("former")),
                    ("contract_started_on", String::new()),
                    ("contract_ended_on", String::new()),
                ];
            }
            "/organisations/{handle}/members/{member}" => &[("sees_all_tickets", "true")],
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
            "/admin/people/{handle}" => {
                return vec![
                    ("version", version(&things.paul)),
                    ("first_name", own("Paul")),
                    ("last_name", own("Noir")),
                    ("job_title", String::new()),
                    ("telephone", String::new()),
                    ("language", own("fr")),
                    ("time_zone", own("Europe/Paris")),
                ];
            }
            "/admin/people/{handle}/roles" => return vec![("roles", things.role.clone())],
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
                let queue = ("queue", things.queue.clone());
                return vec![
                    ("address", "autre@garonne.example".to_owned()),
                    ("display_name", "Autre".to_owned()),
                    ("language", "fr".to_owned()),
                    ("closed_tickets", "reopen".to_owned()),
                    queue,
                ];
            }
            "/admin/status/mail/round-trips" => return vec![("mailbox", things.mailbox.clone())],
            "/admin/roles" | "/admin/roles/{handle}" => &[("name", "Autre"), ("permissions", "work_tickets")],
            "/admin/settings" => &[("name", "Autre")],
            "/tickets/{reference}/status" => return vec![("status", own("closed")), ("version", ticket().0)],
            "/tickets/{reference}/priority" => &[("priority", "high")],
            "/tickets/{reference}/assignment" => {
                return vec![("assignee", things.claimant.clone()), ("version", ticket().0)];
            }
            "/tickets/{reference}/queue" => {
                return vec![("queue", things.other_queue.clone()), ("version", ticket().0)];
            }
            "/tickets/{reference}/privacy" => &[("is_private", "true")],
            "/tickets/{reference}/tags" => &[("tag", "urgence")],
            "/tickets/{reference}/tags/removal" => &[("tag", "cave")],
            "/tickets/{reference}/requester" => {
                return vec![("requester", own("theoblanc@client.example")), ("version", ticket().0)];
            }
            "/tickets/{reference}/participants" => &[("participant", "claire@arnaud.example")],
            "/requests/{reference}/participants" => return vec![("participant", things.claire.clone())],
            "/admin/unprocessed-mail/{handle}/message" => {
                return vec![("reference", things.reference.clone())];
            }
            "/requests/{reference}/visibility" => &[("visibility", "private")],
            _ if route.ends_with("/live") => &[("seconds", "0")],
            _ if route.ends_with("/flame") => &[("form", "flame")],
            _ if route.ends_with("/exports") => &[("form", "csv")],
            "/tickets/{reference}/consents" | "/tickets/{reference}/consents/preview" => &[
                ("purpose", "Comprendre la panne"),
                ("purpose_code", "fault"),
                ("subject", "person"),
                ("components", "pages"),
                ("level", "debug"),
                ("duration", "60"),
                ("retention", "7"),
                ("recipients", "me"),
            ],
            // Claire grants what was asked, others their own use.
            "/consents/{handle}/grant" if role == Role::Claire => {
                return vec![("way", own("all")), ("wording", things.wording.clone())];
            }
            "/consents/{handle}/grant" => {
                return vec![
                    ("way", own("less")),
                    ("wording", things.wording.clone()),
                    ("own_use", own("true")),
                    ("components", own("pages")),
                    ("level", own("info")),
                    ("duration", own("10")),
                    ("retention", own("1")),
                ];
            }
            _ => &[],
        };
        fields.iter().map(|(name, value)| (*name, (*value).to_owned())).collect()
    }

    /// What a program of this role presents: a token made from its secret, or the secret itself where mail is handed over.
    pub async fn bearer(&self, role: Role, route: &str) -> Option<String> {
        let secret = self.secrets.get(&role)?;
        if route == "/api/v1/inbound" { Some(secret.clone()) } else { Some(self.token(secret).await) }
    }

    /// A token of Ada's for this alone.
    pub async fn narrow_bearer(&self, scope: Scope) -> String {
        let (_, secret) = self.narrow_secrets.iter().find(|(of, _)| *of == scope).unwrap();
        self.token(secret).await
    }

    async fn token(&self, secret: &str) -> String {
        let body = serde_json::json!({ "secret": secret });
        let answer = self.browser(Role::Guest).send(TestRequest::post().uri("/api/v1/token").set_json(body)).await;
        let answer: serde_json::Value = serde_json::from_slice(&answer.bytes).unwrap();
        answer["token"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    /// What a program sends there, and of which type.
    pub fn body(&self, role: Role, route: &str) -> (&'static str, String) {
        let things = &self.things;
        let json = match route {
            "/v1/traces" | "/otlp/v1/traces" => return ("application/json", "{}".to_owned()),
            "/api/v1/inbound" => {
                let mail = "From: <eve@client.example>\r\nTo: <support@garonne.example>\r\nSubject: x\r\n\r\nx\r\n";
                return ("message/rfc822", mail.to_owned());
            }
            "/api/v1/token" => serde_json::json!({ "secret": things.api_secret }),
            "/api/v1/tickets" if matches!(role, Role::Paul | Role::Claire | Role::Theo | Role::Zoe) => {
                serde_json::json!({ "subject": "Panne", "text": "Rien ne va plus." })
            }
            "/api/v1/tickets" => serde_json::json!({
                "subject": "Panne", "text": "Rien ne va plus.", "requester": { "handle": things.paul },
            }),
            "/api/v1/tickets/{reference}/messages" if matches!(role, Role::Paul | Role::Claire) => {
                serde_json::json!({ "text": "Voici." })
            }
            "/api/v1/tickets/{reference}/messages" => {
                let ticket = self.test.read(|db| ticket::by_reference(db, &access::Actor::System, &things.reference));
                serde_json::json!({ "text": "Voici.", "seen": ticket.message_count })
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

    /// Nobody learns what the ticket says who may not read it, not even from a page that they may see.
    pub fn assert_keeps_the_secret(&self, route: &str, role: Role, answer: &Answered) {
        let reads_it = matches!(role, Role::Paul | Role::Claire | Role::Lea | Role::Hugo)
            || (role == Role::Holder && route.contains("{token}"));
        assert!(reads_it || !answer.text().contains(SECRET), "{route} tells {role:?} what the ticket says");
    }
}

/// Somebody in each role, each with a password.
fn everybody(test: &TestApp, cast: &Cast, things: &mut Things) -> BTreeMap<Role, PersonId> {
    let given = test.given();
    let theo = given.member("Theo Blanc", cast.arnaud, Rights::default()).id;
    let ada = given.staff("Ada Faure", &[BuiltinRole::Administrator], &[]);
    let nina = given.customer("Nina Roche").id;
    let people = BTreeMap::from([
        (Role::Paul, cast.paul),
        (Role::Claire, cast.claire),
        (Role::Theo, theo),
        (Role::Zoe, cast.zoe),
        (Role::Nina, nina),
        (Role::Marc, cast.marc),
        (Role::Lea, cast.lea),
        (Role::Hugo, cast.hugo),
        (Role::Odile, cast.odile),
        (Role::Ada, ada),
    ]);
    let (now, hugo, paul, all) = (test.now(), cast.hugo, cast.paul, people.clone());
    let hash = passwords::hash(&Password::new(PASSWORD.to_owned())).unwrap();
    test.write(move |db| {
        let agent = roles::builtin(db, BuiltinRole::Agent)?;
        staff::set_roles(db, nina, &[agent], None, now)?;
        // Nina works in the queue, and yet sees nothing before she has accepted the undertaking.
        let support = queues::find_by_kind(db, QueueKind::Support)?.unwrap();
        accord::teams::members::add(db, &support, nina, None, now)?;
        staff::accept_undertaking(db, hugo, now)?;
        for person in all.values() {
            passwords::set(db, *person, &hash, now)?;
        }
        // Paul wrote from another address before.
        let paul = person::by_id(db, paul)?;
        addresses::change(db, &paul, &address("ancien@arnaud.example"), now)?;
        let paul = person::by_id(db, paul.id)?;
        addresses::change(db, &paul, &address("paul@arnaud.example"), now)
    });
    let handle = |person| test.read(|db| person::by_id(db, person)).handle;
    (things.paul, things.claire, things.claimant) = (handle(cast.paul), handle(cast.claire), handle(cast.lea));
    people
}

/// What the company says of itself, and that its members may see each other's requests.
fn a_company(test: &TestApp, cast: &Cast, things: &mut Things) {
    let (now, arnaud) = (test.now(), cast.arnaud);
    (things.site, things.spare_site, things.environment) = test.write(move |db| {
        let organisation = organisations::by_id(db, arnaud)?;
        let information =
            Information { colleagues_see_tickets: true, ..Information::named(&organisation.name, Locale::Fr) };
        organisations::update(db, &organisation, organisation.version, &information, None, now)?;
        let place = |name: &str| SiteDescription {
            name: name.to_owned(),
            address: String::new(),
            person_in_charge: "Paul Girard".to_owned(),
            telephone: "+33 5 56 00 00 00".to_owned(),
        };
        let site = sites::create(db, arnaud, &place("Chai"), now)?.handle;
        let spare = sites::create(db, arnaud, &place("Hangar"), now)?.handle;
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
        Ok((site, spare, environment))
    });
}

/// Paul's request by mail, with HTML, a file and a large image, and what happened to it since: an old link and a new one,
/// a mail that came back, a message in doubt, somebody who takes part and somebody who might. And two more of his.
fn a_ticket(test: &TestApp, cast: &Cast, things: &mut Things) {
    let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0".to_vec();
    png.resize(1_100_000, 7);
    let part = |head: &str, content: &[u8]| {
        let lines: Vec<String> = BASE64
            .encode(content)
            .as_bytes()
            .chunks(76)
            .map(|line| String::from_utf8_lossy(line).into_owned())
            .collect();
        format!("--b\r\n{head}\r\nContent-Transfer-Encoding: base64\r\n\r\n{}\r\n", lines.join("\r\n"))
    };
    let html = format!("<p>Rien ne va plus. {SECRET}</p><img src=\"cid:grand@x\">");
    let body = [
        part("Content-Type: text/html; charset=utf-8", html.as_bytes()),
        part("Content-Type: image/png; name=grand.png\r\nContent-ID: <grand@x>\r\nContent-Disposition: inline", &png),
        part("Content-Type: application/pdf; name=plan.pdf\r\nContent-Disposition: attachment", b"%PDF-1.7 a plan"),
        "--b--\r\n".to_owned(),
    ];
    let letter = Letter::from("Paul Girard <paul@arnaud.example>")
        .authenticated("pass")
        .subject(&format!("Panne {SECRET}"))
        .header("Content-Type", "multipart/mixed; boundary=b")
        .text(&body.concat());
    let now = test.now();
    test.write(move |db| {
        let recipient = Recipient { mailbox: mailboxes::default(db)?.id, address: SUPPORT.to_owned() };
        let mail = NewMail::new(vec![recipient], letter.envelope_from.clone(), Way::Lmtp, letter.bytes());
        journal::accept(db, &mail, now).map(drop)
    });
    test.run_jobs();
    let asked: Ticket = test.read(|db| Ok(access::visible_to(&access::Actor::System).first(db)?));
    let bruno = test.given().customer("Bruno Clerc");
    let (paul, ivan, ticket) = (cast.paul, cast.ivan, asked.clone());
    things.old_link = test.write(move |db| links::create(db, &ticket, paul, now)).expose().to_owned();
    test.pass(TimeDelta::days(15));
    let (now, ticket, taking_part) = (test.now(), asked.clone(), bruno.id);
    (things.link, things.doubtful) = test.write(move |db| {
        let link = links::create(db, &ticket, paul, now)?.expose().to_owned();
        let doubtful = CustomerMessage {
            message: NewMessage::text(Channel::Email, ivan, "Ivan", "ivan@moreau.example", "C’est moi."),
            visibility: Visibility::Staff,
            remark: Some(Remark::DifferentSender),
            moves_status: false,
        };
        let doubtful = messages::add_customer_message(db, &ticket, doubtful, &access::Actor::System, now)?;
        participants::propose(db, &ticket, ivan, Maker::Mail, now)?;
        participants::approve(db, &ticket, taking_part, &access::Actor::System, now)?;
        accord::tickets::tags::add(db, &ticket, "cave", &access::Actor::System, now)?;
        Ok((link, messages::handle_of(db, doubtful)?))
    });
    let paul = test.read(|db| person::by_id(db, cast.paul));
    let closed = test.given().ticket(&paul, "Terminé", "C’est réglé.");
    let unproven = test.given().ticket(&paul, "Qui est-ce ?", "Un formulaire.");
    let (to_close, in_doubt) = (closed.clone(), unproven.id);
    things.unproven_link = test.write(move |db| {
        status::set(db, &to_close, Status::Closed, &access::Actor::System, now)?;
        diesel::update(tickets_table::table.find(in_doubt))
            .set(tickets_table::address_confirmed.eq(false))
            .execute(db)?;
        let in_doubt = ticket::by_id(db, in_doubt)?;
        Ok(links::create(db, &in_doubt, paul.id, now)?.expose().to_owned())
    });
    // What follows from all this is done, so that it is not mistaken for a page's doing.
    test.run_jobs();
    let first = test.read(|db| messages::of_ticket(db, &asked, Reading::Everything, 10)).remove(0);
    let files = test.read(|db| attachments::of_ticket(db, &asked));
    things.message = first.handle;
    things.attachment = files.into_iter().find(|file| file.file_name == "plan.pdf").unwrap().handle;
    let mail = test.read(|db| outbox::listing::of_ticket(db, asked.id)).remove(0);
    things.mail = mail.handle.clone();
    test.write(move |db| {
        diesel::update(outbox_table::table.find(mail.id))
            .set((outbox_table::state.eq("dead"), outbox_table::mime.eq(b"bytes".to_vec())))
            .execute(db)?;
        Ok(())
    });
    things.participant = bruno.handle;
    things.proposed = test.read(|db| person::by_id(db, cast.ivan)).handle;
    (things.reference, things.closed) = (asked.reference, closed.reference);
}

/// What administrators look after: queues, mailboxes, roles, a mail and a job that failed.
fn planned_answers(test: &TestApp, cast: &Cast, things: &mut Things) {
    let now = test.now();
    let plan = |by: PersonId| {
        let (by, reference) = (test.actor(by), things.reference.clone());
        test.write(move |db| {
            let ticket = ticket::by_reference(db, &access::Actor::System, &reference)?;
            let answer = NewPlanned {
                text: "Redémarrez.".to_owned(),
                files: Vec::new(),
                status: Status::WaitingForCustomer,
                seen: ticket.message_count,
                release: Release::At(now.plus(TimeDelta::days(60))),
            };
            match planned::plan(db, &ticket, answer, &by, now)? {
                PlanOutcome::Waits(handle) => Ok(handle),
                PlanOutcome::Stale(_) => panic!("nobody writes meanwhile"),
            }
        })
    };
    let planned = plan(cast.lea);
    let taken_back =
        [(Role::Lea, cast.lea), (Role::Hugo, cast.hugo)].map(|(role, person)| (role, person, plan(person)));
    things.planned = planned;
    for (role, person, handle) in taken_back {
        let (by, reference, taken) = (test.actor(person), things.reference.clone(), handle.clone());
        test.write(move |db| {
            let ticket = ticket::by_reference(db, &access::Actor::System, &reference)?;
            planned::take_back(db, &ticket, &taken, &by, now)
        });
        things.taken_back.insert(role, handle);
    }
}

fn a_house(test: &TestApp, cast: &Cast, things: &mut Things) {
    let (now, anne) = (test.now(), cast.anne);
    (things.queue, things.other_queue, things.mailbox, things.role) = test.write(move |db| {
        let support = queues::find_by_kind(db, QueueKind::Support)?.unwrap();
        let other = queues::all(db)?.pop().unwrap();
        let mailbox = MailboxDescription::new(address("ventes@garonne.example"), "Ventes", support.id, Locale::Fr);
        let mailbox = mailboxes::create(db, &mailbox, Some(anne), now)?;
        // The clock went on by two days since anything ran, which somebody has to confirm.
        accord::schedule::note_time(db, now.minus(TimeDelta::days(2)))?;
        queue::enqueue(db, "no_such_work", &(), now, now)?;
        for id in queue::due(db, now)? {
            if let Some(mut job) = queue::claim(db, id, "test", now)? {
                job.attempts = queue::ATTEMPTS;
                queue::fail(db, &job, "test", queue::ATTEMPTS, "nobody does this", now)?;
            }
        }
        Ok((support.handle, other.handle, mailbox.handle, roles::all(db)?.remove(0).handle))
    });
    things.unprocessed = unprocessed_mail(test);
}

/// A secret of somebody's: its public name and what opens it.
fn secret(test: &TestApp, person: PersonId, scopes: Vec<Scope>) -> (String, String) {
    let now = test.now();
    let new = NewApiToken { name: "Programme".to_owned(), scopes, organisation: None, queue: None, days: 30 };
    let (token, secret) = test.write(move |db| api_tokens::create(db, person, &new, now));
    (token.handle, secret.expose().to_owned())
}

/// Links as they stand in mails about accounts, none of them used.
fn account_links(test: &TestApp, cast: &Cast, things: &mut Things) {
    let (now, paul, claire, arnaud) = (test.now(), cast.paul, cast.claire, cast.arnaud);
    let proof = |of: &str| MailboxProof { address: address(of), next: String::new() };
    let (sign_in, new_address) = (proof("paul@arnaud.example"), proof("nouveau@arnaud.example"));
    let invitation = Invitation {
        address: address("luc@arnaud.example"),
        first_name: "Luc".to_owned(),
        last_name: "Noir".to_owned(),
        organisation: Some(arnaud),
        sees_all_tickets: false,
        manages_organisation: false,
        grants_tracing: false,
        by: claire,
    };
    let form = RegistrationForm {
        legal_name: "Moulins Noir".to_owned(),
        first_name: "Luc".to_owned(),
        last_name: "Noir".to_owned(),
        email: "luc@moulins.example".to_owned(),
        telephone: "+33 5 56 00 00 00".to_owned(),
        ..RegistrationForm::default()
    };
    let registration = form.check(Locale::Fr).unwrap();
    let handle = test.read(|db| person::by_id(db, cast.lea)).handle;
    let unsubscribe = unsubscribe_token::mint(&test.app.keys.for_mail(), &handle).unwrap();
    things.tokens = test.write(move |db| {
        let mut tokens = BTreeMap::new();
        let mut keep = |word, token: accord::secret::Token| tokens.insert(word, token.expose().to_owned());
        keep("sign-in", one_time_tokens::issue(db, Purpose::SignIn, Some(paul), &sign_in, now)?);
        keep("password", one_time_tokens::issue(db, Purpose::Password, Some(paul), &sign_in, now)?);
        keep("address", one_time_tokens::issue(db, Purpose::Address, Some(paul), &new_address, now)?);
        keep("invitation", one_time_tokens::issue(db, Purpose::Invitation, None, &invitation, now)?);
        keep("registration", one_time_tokens::issue(db, Purpose::Registration, None, &registration, now)?);
        Ok(tokens)
    });
    things.tokens.insert("unsubscribe", unsubscribe);
}

/// Léa asked four times, and Claire granted three of it, of her own use.
fn consents(test: &TestApp, cast: &Cast, things: &mut Things) {
    let paul = test.read(|db| person::by_id(db, cast.paul));
    let id = test.given().ticket(&paul, "Lenteur", "Tout est lent.").id;
    let (lea, claire, now) = (test.actor(cast.lea), test.actor(cast.claire), test.now());
    let ask = |subject| {
        let lea = lea.clone();
        test.write(move |db| {
            let ticket = ticket::by_id(db, id)?;
            let terms = Terms {
                subject,
                purpose: "Comprendre la lenteur".to_owned(),
                purpose_code: PurposeCode::Performance,
                scope: Traced::of(&[Traceable::Pages, Traceable::Products], Level::Debug, Vec::new()),
                duration_minutes: 60,
                retention_days: 7,
                recipients: Recipients::Queue(ticket.queue_id),
                exports_allowed: true,
                stop_condition: String::new(),
                idle_minutes: None,
            };
            asking::ask(db, &ticket, &terms, &lea, now)
        })
    };
    let grant = |request: &ConsentRequest| {
        let (app, request, claire) = (test.app.clone(), request.clone(), claire.clone());
        test.write(move |db| {
            let seen = granting::notice_for(db, &request, Locale::Fr)?.sha256;
            granting::grant(db, &app.keys, &request, None, &seen, Locale::Fr, &claire, now)
        })
    };
    let withdraw = |request: &ConsentRequest, kept| {
        let (request, claire) = (request.clone(), claire.clone());
        test.write(move |db| withdrawing::withdraw(db, &request, kept, &claire, now));
    };
    let destroyed = ask(Subject::Person(cast.claire));
    let Outcome::Granted(granted) = grant(&destroyed) else { panic!("one is enough for one's own use") };
    withdraw(&destroyed, Kept::No);
    let app = test.app.clone();
    test.write(move |db| {
        let ended = accord::consent::grants::by_id(db, granted.id)?;
        withdrawing::destroyed(db, &app.keys, &ended, &Counts::default(), now)
    });
    let kept = ask(Subject::Person(cast.claire));
    grant(&kept);
    withdraw(&kept, Kept::UntilItsDate);
    let running = ask(Subject::Person(cast.claire));
    grant(&running);
    let question = ask(Subject::Organisation);
    let (asked, runs, until, person) = (question.clone(), running.clone(), question.expires_at, cast.claire);
    let (wording, links) = test.write(move |db| {
        let open = accord::consent::links::create(db, Opens::Question, &asked, person, until, now)?;
        let stop = accord::consent::links::create(db, Opens::Stop, &runs, person, until, now)?;
        let wording = granting::notice_for(db, &asked, Locale::Fr)?.sha256;
        Ok((wording, [("consent", open.expose().to_owned()), ("stop", stop.expose().to_owned())]))
    });
    things.tokens.extend(links);
    let (claire, arnaud) = (cast.claire, cast.arnaud);
    things.sampling_key = test.write(move |db| {
        sampling::create(db, arnaud, claire, now)?;
        Ok(sampling::of_organisation(db, arnaud)?.remove(0).name)
    });
    test.run_jobs();
    things.traced = test.read(|db| ticket::by_id(db, id)).reference;
    things.wording = wording;
    (things.question, things.running) = (question.handle, running.handle);
    (things.kept, things.destroyed) = (kept.handle, destroyed.handle);
}

/// A mail at which reading stumbles again and again, until an administrator is asked.
fn unprocessed_mail(test: &TestApp) -> String {
    let now = test.now();
    test.write(move |db| {
        let recipient =
            Recipient { mailbox: mailboxes::default(db)?.id, address: "support@garonne.example".to_owned() };
        let mail = NewMail::new(
            vec![recipient],
            String::new(),
            Way::Lmtp,
            b"From: <eve@client.example>\r\nSubject: x\r\n\r\nx\r\n".to_vec(),
        );
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
