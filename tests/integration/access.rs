//! Every route of the program and every role, in one table (A-03, ADV-25): who is let in, who is asked to sign in, and
//! for whom there is nothing there. The table is compared with the router's, so a new route without a row fails. What
//! is refused leaves no trace in the database, and what only shows changes nothing (C-02, ADV-30).

mod table;
mod world;

use std::collections::BTreeSet;

use accord::web::router;
use actix_web::http::{Method, header};
use actix_web::test::TestRequest;

use crate::support::app::BASE_URL;
use crate::support::browser::{Answered, Browser};
use crate::support::dump::difference;
use table::{ROLES, TABLE};
use world::{Role, World};

/// One row: the route, and what each role gets from it.
struct Row {
    method: Method,
    route: &'static str,
    expected: Vec<char>,
}

fn rows() -> Vec<Row> {
    TABLE
        .iter()
        .map(|(route, letters)| {
            let (method, route) = route.split_once(' ').unwrap();
            let expected: Vec<char> = letters.split_whitespace().map(|letter| letter.chars().next().unwrap()).collect();
            assert_eq!(expected.len(), ROLES.len(), "{route} needs a letter for each role");
            Row { method: method.parse().unwrap(), route, expected }
        })
        .collect()
}

/// Somebody of a role, with what they ask by: a browser, and for the interface a token of every scope.
struct Asker {
    role: Role,
    browser: Browser,
    bearer: Option<String>,
}

impl Asker {
    async fn new(world: &World, role: Role, row: &Row) -> Asker {
        let browser = world.browser(role).await;
        let bearer = match row.route.starts_with("/api/") {
            true => world.bearer(role, row.route, world::ALL_SCOPES, &browser).await,
            false => None,
        };
        Asker { role, browser, bearer }
    }
}

/// What an answer means for who asked.
fn letter(answer: &Answered) -> char {
    match answer.status.as_u16() {
        // Whoever signed out is there too, and told so.
        303 if answer.location().contains("/sign-in") && !answer.location().contains("said=") => 's',
        303 if answer.location().starts_with("/undertaking") => 'u',
        // Let in: shown, done, done already, or asked to mend what was sent.
        200..=399 | 409 | 422 => 'o',
        401 => 's',
        403 => 'f',
        404 => 'n',
        405 => 'm',
        // Nobody should ever get anything else; no row has this letter.
        other => {
            println!("{other}: {}", answer.text());
            '?'
        }
    }
}

async fn ask(world: &World, asker: &Asker, row: &Row) -> Answered {
    let Asker { role, browser, bearer } = asker;
    let path = world.path(*role, row.route);
    if row.route.starts_with("/api/") {
        return ask_as_program(world, browser, row, &path, bearer.as_deref()).await;
    }
    if row.method == Method::GET {
        return browser.get(&path).await;
    }
    let fields = world.form(row.route);
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    if world::IN_PARTS.contains(&row.route) {
        browser.upload(&path, &fields, &[]).await
    } else {
        browser.post(&path, &fields).await
    }
}

async fn ask_at(world: &World, asker: &Asker, row: &Row, path: &str) -> Answered {
    if row.route.starts_with("/api/") {
        ask_as_program(world, &asker.browser, row, path, asker.bearer.as_deref()).await
    } else {
        asker.browser.get(path).await
    }
}

async fn ask_as_program(world: &World, browser: &Browser, row: &Row, path: &str, bearer: Option<&str>) -> Answered {
    let mut request = TestRequest::default().method(row.method.clone()).uri(path);
    if let Some(bearer) = bearer {
        request = request.insert_header((header::AUTHORIZATION, format!("Bearer {bearer}")));
    }
    if row.method != Method::GET {
        let (media_type, body) = world.body(row.route);
        request = request.insert_header((header::CONTENT_TYPE, media_type)).set_payload(body);
    }
    browser.send(request).await
}

#[test]
fn a_03_rule_14_every_route_has_its_row() {
    let rows: BTreeSet<String> = TABLE.iter().map(|(route, _)| (*route).to_owned()).collect();
    let routes: BTreeSet<String> =
        router::table().iter().map(|entry| format!("{} {}", entry.method, entry.path)).collect();
    let missing: Vec<_> = routes.difference(&rows).collect();
    let left_over: Vec<_> = rows.difference(&routes).collect();
    assert!(missing.is_empty() && left_over.is_empty(), "without a row: {missing:#?}; without a route: {left_over:#?}");
    assert_eq!(rows.len(), TABLE.len(), "a route has two rows");
}

/// Pages are asked for by everybody in one installation; whatever they show or refuse, nothing changes.
#[actix_web::test]
async fn a_03_c_02_adv_25_adv_30_every_page_shows_to_each_role_what_the_table_says_and_changes_nothing() {
    let world = World::new();
    let mut wrong = Vec::new();
    for row in rows().iter().filter(|row| row.method == Method::GET) {
        let mut found = Vec::new();
        for role in ROLES {
            let asker = Asker::new(&world, *role, row).await;
            let before = world.dump();
            let answer = ask(&world, &asker, row).await;
            found.push(letter(&answer));
            let changed = difference(&before, &world.dump());
            assert!(changed.is_empty(), "GET {} as {role:?} changed {changed:#?}", row.route);
            world.assert_keeps_the_secret(row.route, *role, &answer);
            world.rest();
        }
        compare(row, &found, &mut wrong);
    }
    assert!(wrong.is_empty(), "the table and the program differ:\n{}", wrong.join("\n"));
}

fn compare(row: &Row, found: &[char], wrong: &mut Vec<String>) {
    if row.expected != found {
        let shown = |letters: &[char]| letters.iter().map(char::to_string).collect::<Vec<_>>().join(" ");
        wrong.push(format!("    (\"{} {}\", \"{}\"),", row.method, row.route, shown(found)));
        wrong.push(format!("     the table says \"{}\"", shown(&row.expected)));
    }
}

/// C-01: without its token, or from another site, no form does anything, whoever's browser sends it.
#[actix_web::test]
async fn c_01_adv_30_no_form_is_taken_without_its_token_or_from_elsewhere() {
    let world = World::new();
    for row in rows().iter().filter(|row| row.method != Method::GET && !row.route.starts_with("/api/")) {
        let role = ROLES.iter().zip(&row.expected).find(|(_, letter)| **letter == 'o').map(|(role, _)| *role);
        let Some(role) = role else { continue };
        let browser = world.browser(role).await;
        let path = world.path(role, row.route);
        let mut fields: Vec<(&str, String)> = world.form(row.route);
        let genuine = browser.csrf();
        for (origin, token) in [
            (Some(BASE_URL), None),
            (Some(BASE_URL), Some("0123456789abcdef")),
            (Some("https://evil.example"), Some(genuine.as_str())),
            (Some("null"), Some(genuine.as_str())),
            (Some("http://evil.desk.example"), Some(genuine.as_str())),
        ] {
            fields.retain(|(name, _)| *name != "csrf");
            fields.extend(token.map(|token| ("csrf", token.to_owned())));
            let before = world.dump();
            let mut request = TestRequest::default().method(row.method.clone()).uri(&path);
            if let Some(origin) = origin {
                request = request.insert_header((header::ORIGIN, origin));
            }
            let answer = browser.send(request.set_form(&fields)).await;
            let changed = difference(&before, &world.dump());
            assert!(changed.is_empty(), "{} from {origin:?} changed {changed:#?}", row.route);
            assert!(
                matches!(answer.status.as_u16(), 403 | 415),
                "{} from {origin:?} with {token:?} is answered {}",
                row.route,
                answer.status
            );
            world.rest();
        }
    }
}

/// T-02: what belongs to others and what does not exist look the same, to the byte.
#[actix_web::test]
async fn t_02_what_is_another_s_and_what_is_not_there_look_the_same() {
    let world = World::new();
    for row in rows().iter().filter(|row| row.method == Method::GET && row.route.contains('{')) {
        for (role, _) in ROLES.iter().zip(&row.expected).filter(|(_, letter)| **letter == 'n') {
            let asker = Asker::new(&world, *role, row).await;
            let there = world.path(*role, row.route);
            let nowhere = world.path_to_nothing(row.route);
            let one = ask_at(&world, &asker, row, &there).await;
            let other = ask_at(&world, &asker, row, &nowhere).await;
            let (one_text, other_text) = (one.text().replace(&there, "HERE"), other.text().replace(&nowhere, "HERE"));
            assert_eq!(one.status, other.status, "{} as {role:?}", row.route);
            assert_eq!(without_random(&one_text), without_random(&other_text), "{} as {role:?}", row.route);
            world.rest();
        }
    }
}

/// Nonces and tokens differ from page to page.
fn without_random(text: &str) -> String {
    let mut rest = text;
    let mut kept = String::new();
    while let Some(at) = rest.find("nonce=\"").or_else(|| rest.find("name=\"csrf\" value=\"")) {
        let value = at + rest[at..].find("=\"").unwrap() + 2;
        kept.push_str(&rest[..value]);
        rest = rest[value..].split_once('"').map(|(_, rest)| rest).unwrap_or_default();
    }
    kept.push_str(rest);
    kept
}

/// ADV-27: once the installation is set up, the wizard is gone, whatever token one has.
#[actix_web::test]
async fn adv_27_after_set_up_its_page_is_gone() {
    let world = World::new();
    for role in ROLES {
        let browser = world.browser(*role).await;
        for path in ["/setup", "/setup/", "/setup/x", "/install", "/wizard"] {
            browser.get(path).await.assert_status(404);
            let fields = world.form("/setup/{token}");
            let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
            browser.post(path, &fields).await.assert_status(404);
        }
        world.rest();
    }
}

/// U-08: a token opens what its scopes name, and nothing else, whoever it acts for.
#[actix_web::test]
async fn a_03_u_08_a_token_opens_only_what_its_scopes_name() {
    for row in rows().iter().filter(|row| row.route.starts_with("/api/v1/")) {
        // Somebody has only so many secrets, so each route has a world of its own.
        let world = World::new();
        let Some(needed) = world::scope_of(&row.method, row.route) else { continue };
        let role = Role::Ada;
        for scope in world::ALL_SCOPES.iter().filter(|scope| **scope != needed) {
            let browser = world.browser(Role::Guest).await;
            let path = world.path(role, row.route);
            let bearer = world.bearer(role, row.route, &[*scope], &browser).await;
            let before = world.dump();
            let answer = ask_as_program(&world, &browser, row, &path, bearer.as_deref()).await;
            assert_eq!(letter(&answer), 'f', "{} {} with {scope} alone: {}", row.method, row.route, answer.text());
            let changed = difference(&before, &world.dump());
            assert!(changed.is_empty(), "{} {} with {scope} alone changed {changed:#?}", row.method, row.route);
            world.rest();
        }
    }
}
