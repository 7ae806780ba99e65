//! Every page that anybody can get to see, as Chromium shows it, for axe to look at: what each row of the access table
//! answers to each role, be it the page, a refusal or nothing at all; what each form says when it is filled wrongly; what
//! is said of too much, too often and every fault of ours; and the first start and the mails of development, which the
//! table's installation does not have.

use std::collections::{BTreeMap, BTreeSet};

use accord::error::Error;
use accord::i18n::Locale;
use accord::people::{person, setup};
use accord::web::page_error::PageError;
use actix_web::HttpResponse;
use actix_web::http::{Method, header};
use actix_web::test::TestRequest;
use actix_web::web::{self, Data, ServiceConfig};
use serde_json::{Value, json};

use super::browser::run_beside;
use crate::access::table::ROLES;
use crate::access::world::{IN_PARTS, Role, World};
use crate::access::{Row, rows};
use crate::support::TestApp;
use crate::support::app::BASE_URL;
use crate::support::browser::{Answered, Browser};

/// GET routes that answer whom they let in with something else than a page, and with what. Everything else is looked
/// at, so a new page is too; and so is what these say to whom they do not let in.
const NOT_PAGES: &[(&str, &str)] = &[
    ("/.well-known/jwks.json", "the keys of signatures, as JSON"),
    ("/admin/unprocessed-mail/{handle}/original", "a mail as a file to keep"),
    ("/assets/{name}", "a style sheet, script or picture of the pages"),
    ("/attachments/{handle}", "a file to keep"),
    ("/consents/{handle}/certificate.jsonld", "a signed document, as JSON"),
    ("/consents/{handle}/evidence.json", "a signed document, as JSON"),
    ("/consents/{handle}/looks", "server-sent events"),
    ("/consents/{handle}/receipt.jsonld", "a signed document, as JSON"),
    ("/healthz", "a word for who watches the process"),
    ("/inline/{handle}", "a picture of a mail"),
    ("/l/ticket/{token}/attachments/{handle}", "a file to keep"),
    ("/messages/{handle}/original", "a mail as a file to keep"),
    ("/readyz", "a word for who watches the process"),
    ("/sampling/{key}", "what products ask, as JSON"),
    ("/sampling/{key}/sampling", "what products ask, as JSON"),
    ("/tickets/{reference}/consents/{handle}/looks", "server-sent events"),
];

/// What products send, and the watching of what happens, which does not end by itself.
const NO_FORMS: &[&str] = &["/v1/traces", "/live"];

/// The failures that no row of the table and no wrong form brings about, as whoever meets them is told.
const FAILURES: &[(&str, Failing)] = &[
    ("too-slow", PageError::too_slow),
    ("too-large", PageError::too_large),
    ("unsupported", PageError::unsupported),
    ("misdirected", PageError::misdirected),
    ("too-often", || Error::TooMany { retry_after_secs: 60 }.into()),
    ("under-way", || PageError::under_way("diagnostics-searching")),
    ("fault", || PageError::fault("as every fault of ours is told")),
    ("busy", || Error::Busy.into()),
    ("not-recorded", PageError::stopped_not_recorded),
    ("no-room", || Error::StorageFull.into()),
];

type Failing = fn() -> PageError;

/// What a form carries for itself; whoever fills it wrongly does not touch these.
const CARRIED: &[&str] = &["key", "once", "seen", "version", "way", "wording"];

#[actix_web::test]
#[ignore = "needs Chromium and Node.js"]
async fn real_axe_finds_nothing_on_any_page_as_any_role_in_both_languages() {
    for (route, why) in NOT_PAGES {
        assert!(rows().iter().any(|row| row.route == *route), "{route} ({why}) is gone");
    }
    for language in [Locale::Fr, Locale::En] {
        let world = World::speaking(language).await;
        let address = world.test.serve();
        let mut roles = BTreeMap::new();
        for role in ROLES {
            let words = world.person(*role).map_or_else(Vec::new, |id| {
                let person = world.test.read(|db| person::by_id(db, id));
                vec![person.display_name(), person.address.to_string()]
            });
            let session = world.browser(*role).session();
            roles.insert(format!("{role:?}"), json!({ "session": session, "words": words }));
        }
        let mut gallery = Gallery { language, pages: Vec::new(), seen: BTreeSet::new() };
        gallery.first_start().await;
        gallery.failures(&world).await;
        for row in rows() {
            if row.method == Method::GET {
                gallery.what_is_shown(&world, &row).await;
            } else if !NO_FORMS.iter().any(|ending| row.route.ends_with(ending)) && !row.route.starts_with("/api/v1/") {
                gallery.what_is_wrong(&world, &row).await;
            }
        }
        for row in rows().iter().filter(|row| row.method == Method::GET && !row.route.starts_with("/api/v1/")) {
            let is_elsewhere = !row.expected.contains(&'o') && row.expected.contains(&'r');
            let is_known = is_elsewhere || NOT_PAGES.iter().any(|(route, _)| *route == row.route);
            assert!(is_known || gallery.seen.contains(row.route), "nobody saw {}", row.route);
        }
        let hosts = format!("MAP desk.example:80 {address}");
        let orders = json!({
            "base": BASE_URL, "hosts": hosts, "language": language.code(), "roles": roles, "pages": gallery.pages,
        });
        run_beside("pages.mjs", orders).await;
    }
}

/// The pages to be looked at, in one language.
struct Gallery {
    language: Locale,
    pages: Vec<Value>,
    /// Rows whose own page is among them.
    seen: BTreeSet<&'static str>,
}

impl Gallery {
    /// What a row answers to each role. Who is let in sees it from the server itself; what others get is asked for here,
    /// since somebody who is refused again and again would soon be asked to wait.
    async fn what_is_shown(&mut self, world: &World, row: &Row) {
        let is_page = !NOT_PAGES.iter().any(|(route, _)| *route == row.route);
        for (role, letter) in ROLES.iter().zip(&row.expected) {
            let path = self.path(world, *role, row.route);
            if *letter == 'o' && is_page && !row.route.starts_with("/api/v1/") {
                self.seen.insert(row.route);
                self.pages.push(json!({ "role": format!("{role:?}"), "route": row.route, "path": path }));
                continue;
            }
            let (path, answer) = self.follow(&world.browser(*role), path).await;
            world.begin_again();
            if row.route.starts_with("/api/v1/") {
                assert!(!is_html(&answer), "{path} answers a program with a page");
            } else if *letter == 'o' {
                assert!(answer.status.is_success() && !is_html(&answer), "{path} is a page for {role:?}");
            } else {
                self.hang(*role, row.route, &path, &answer);
            }
        }
    }

    /// What a form says that is sent with nothing in it, with far too much, and after somebody else was faster.
    async fn what_is_wrong(&mut self, world: &World, row: &Row) {
        let let_in = || ROLES.iter().zip(&row.expected).filter(|(_, letter)| **letter == 'o').map(|(role, _)| *role);
        let roles: BTreeSet<Role> = let_in().take(1).chain(let_in().next_back()).collect();
        for role in roles {
            let (path, right) = (self.path(world, role, row.route), world.form(role, row.route));
            let spoiled = |change: &dyn Fn(&str, &str) -> String| -> Vec<(&'static str, String)> {
                right.iter().map(|(name, value)| (*name, change(name, value))).collect()
            };
            let keep = |name: &str| CARRIED.contains(&name);
            let too_much = "Voilà bien trop de mots. ".repeat(100);
            for fields in [
                spoiled(&|name, value| if keep(name) { value.to_owned() } else { String::new() }),
                spoiled(&|name, value| if keep(name) { value.to_owned() } else { too_much.clone() }),
                spoiled(&|name, value| if name == "version" || name == "seen" { "0" } else { value }.to_owned()),
            ] {
                let browser = world.browser(role);
                let answer = browser.send(self.form(&browser, row.route, &path, &fields)).await;
                world.begin_again();
                if answer.status.is_client_error() {
                    self.hang(role, row.route, &path, &answer);
                }
            }
        }
    }

    /// What is said of each failure to a visitor, a customer and an agent.
    async fn failures(&mut self, world: &World) {
        let app = Data::from(world.test.app.clone());
        let routes = move |config: &mut ServiceConfig| {
            config.app_data(app);
            for (name, failure) in FAILURES {
                let fail = move || async move { Err::<HttpResponse, PageError>(failure()) };
                config.route(&format!("/failures/{name}"), web::get().to(fail));
            }
        };
        let service = Browser::before(routes, world.test.app.clone()).await;
        let mut statuses = BTreeSet::new();
        for role in [Role::Guest, Role::Paul, Role::Lea] {
            let browser = service.with_session(world.browser(role).session().as_deref());
            for (name, _) in FAILURES {
                let path = format!("/failures/{name}");
                let answer = browser.send(self.get(&path)).await;
                statuses.insert(answer.status.as_u16());
                self.hang(role, "/failures/{name}", &path, &answer);
            }
        }
        assert_eq!(Vec::from_iter(statuses), [408, 413, 415, 421, 429, 500, 503, 507]);
    }

    /// The page of the first start, empty and filled wrongly, and then the mails that are put into files.
    async fn first_start(&mut self) {
        let test = TestApp::with_mail_in_files();
        let (now, language) = (test.now(), self.language);
        let token = test.write(move |db| Ok(setup::issue_token(db, now)?.map(|token| token.expose().to_owned())));
        let (path, route) = (format!("/setup/{}", token.unwrap()), "/setup/{token}");
        let browser = test.browser().await;
        let mut fields: Vec<(&'static str, String)> = [
            ("operator_name", "Logiciels Garonne"),
            ("support_address", "support@garonne.example"),
            ("first_name", "Ada"),
            ("last_name", "Faure"),
            ("email", "ada@garonne.example"),
            ("password", "123"),
            ("time_zone", "Europe/Paris"),
        ]
        .map(|(name, value)| (name, value.to_owned()))
        .into();
        self.hang_own(Role::Guest, route, &path, &browser.send(self.get(&path)).await);
        let refused = browser.send(self.form(&browser, route, &path, &fields)).await;
        self.hang(Role::Guest, route, &path, refused.assert_status(422));
        fields[5].1 = "une-phrase-assez-longue".to_owned();
        browser.send(self.form(&browser, route, &path, &fields)).await.assert_status(303);
        let ada = accord::mail::address::EmailAddress::parse("ada@garonne.example").unwrap();
        test.write(move |db| {
            let ada = person::find_by_address(db, &ada)?.unwrap();
            person::set_language(db, ada.id, language, now)
        });
        let list = "/admin/development-mail";
        self.hang_own(Role::Ada, list, list, &browser.send(self.get(list)).await);
        let sign_in = "/{locale:fr|en}/sign-in/link";
        let fields = [("address", "ada@garonne.example".to_owned()), ("password", String::new())];
        let path = format!("/{}/sign-in/link", language.code());
        browser.send(self.form(&browser, sign_in, &path, &fields)).await.assert_status(303);
        test.run_jobs();
        let answer = browser.send(self.get(list)).await;
        let page = answer.text();
        let mail = page.split("href=\"/admin/development-mail/").nth(1).expect("a mail").split('"').next().unwrap();
        self.hang_own(Role::Ada, list, list, &answer);
        let path = format!("{list}/{mail}");
        self.hang_own(Role::Ada, "/admin/development-mail/{name}", &path, &browser.send(self.get(&path)).await);
    }

    fn hang_own(&mut self, role: Role, route: &'static str, path: &str, answer: &Answered) {
        answer.assert_status(200);
        self.seen.insert(route);
        self.hang(role, route, path, answer);
    }

    /// Has a page looked at that was asked for here.
    fn hang(&mut self, role: Role, route: &str, path: &str, answer: &Answered) {
        assert!(is_html(answer), "{path} says {} to {role:?}, and not as a page", answer.status);
        self.pages.push(json!({
            "role": format!("{role:?}"), "route": route, "path": path, "status": answer.status.as_u16(),
            "html": answer.text(),
        }));
    }

    /// What comes of it when one goes wherever one is led.
    async fn follow(&self, browser: &Browser, mut path: String) -> (String, Answered) {
        for _ in 0..5 {
            let answer = browser.send(self.get(&path)).await;
            if !answer.status.is_redirection() {
                return (path, answer);
            }
            path = answer.location().to_owned();
        }
        panic!("one is led from {path} to {path}");
    }

    fn get(&self, path: &str) -> TestRequest {
        TestRequest::get().uri(path).insert_header((header::ACCEPT_LANGUAGE, self.language.code()))
    }

    fn form(&self, browser: &Browser, route: &str, path: &str, fields: &[(&'static str, String)]) -> TestRequest {
        let token = browser.csrf();
        let named = fields.iter().map(|(name, value)| (*name, value.as_str()));
        let named: Vec<(&str, &str)> = named.chain([("csrf", token.as_str())]).collect();
        let request = match IN_PARTS.contains(&route) {
            true => Browser::in_parts(&named),
            false => TestRequest::default().set_form(&named),
        };
        request
            .method(Method::POST)
            .uri(path)
            .insert_header((header::ORIGIN, BASE_URL))
            .insert_header((header::ACCEPT_LANGUAGE, self.language.code()))
    }

    /// The way to something that exists, in this language.
    fn path(&self, world: &World, role: Role, route: &str) -> String {
        let mut path = world.path(role, route);
        if route.starts_with("/{l") {
            path.replace_range(1..3, self.language.code());
        }
        path
    }
}

fn is_html(answer: &Answered) -> bool {
    answer.header("content-type").is_some_and(|kind| kind.starts_with("text/html"))
}
