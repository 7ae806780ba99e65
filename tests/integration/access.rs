//! Every route of the program and every role, in one table (A-03, ADV-25): who is let in, who is asked to sign in, and
//! for whom there is nothing there. The table is compared with the router's, so a new route without a row fails. What
//! is refused leaves no trace in the database, and what only shows changes nothing (C-02, ADV-30).

pub mod table;
pub mod world;

use std::collections::BTreeSet;

use accord::people::api_tokens::Scope;
use accord::web::router;
use actix_web::http::{Method, header};
use actix_web::test::TestRequest;

use crate::support::app::BASE_URL;
use crate::support::browser::{Answered, Browser};
use table::{EFFECTS, ROLES, TABLE};
use world::{Role, World};

/// One row: the route, what each role gets from it, and which tables it changes when it does what it says.
pub struct Row {
    pub method: Method,
    pub route: &'static str,
    pub expected: Vec<char>,
    effect: BTreeSet<&'static str>,
    /// Those that it changes for some.
    effect_for_some: BTreeSet<&'static str>,
}

/// The table, read.
pub fn rows() -> Vec<Row> {
    TABLE
        .iter()
        .map(|(entry, letters)| {
            let (method, route) = entry.split_once(' ').unwrap();
            let expected: Vec<char> = letters.split_whitespace().map(|letter| letter.chars().next().unwrap()).collect();
            assert_eq!(expected.len(), ROLES.len(), "{route} needs a letter for each role");
            let effect = EFFECTS.iter().find(|(of, _)| of == entry).map_or("", |(_, tables)| tables);
            let (for_some, effect): (BTreeSet<&str>, BTreeSet<&str>) =
                effect.split_whitespace().partition(|table| table.ends_with('?'));
            let effect_for_some = for_some.iter().map(|table| table.trim_end_matches('?')).collect();
            Row { method: method.parse().unwrap(), route, expected, effect, effect_for_some }
        })
        .collect()
}

/// What came of one try.
struct Tried {
    answer: Answered,
    /// The rows of the database that are others now.
    changes: Vec<String>,
    letter: char,
}

impl Tried {
    fn changed_tables(&self) -> BTreeSet<&str> {
        let names = self.changes.iter().map(|change| change[2..].split(':').next().unwrap_or_default());
        names.collect()
    }
}

/// `role` asks for the row, and afterwards all is as it was before.
async fn try_it(world: &World, role: Role, row: &Row) -> Tried {
    let browser = world.browser(role);
    let path = world.path(role, row.route);
    let answer = if row.route.starts_with("/api/") || row.route.ends_with("/v1/traces") {
        let bearer = world.bearer(role, row.route).await;
        ask_as_program(world, role, &browser, row, &path, bearer.as_deref()).await
    } else if row.method == Method::GET {
        browser.get(&path).await
    } else {
        let fields = world.form(role, row.route);
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        if world::IN_PARTS.contains(&row.route) {
            // Of each role a file of its own, so that one kept by mistake is seen.
            let content = format!("Une pièce de {role:?} pour {}.", row.route);
            browser.upload(&path, &fields, &[("files", "piece.txt", content.as_bytes())]).await
        } else {
            browser.post(&path, &fields).await
        }
    };
    let changes = world.changes();
    world.begin_again();
    let letter = letter(row, &answer, !changes.is_empty());
    Tried { answer, changes, letter }
}

/// What an answer means for who asked.
fn letter(row: &Row, answer: &Answered, changed: bool) -> char {
    let path = answer.location().split('?').next().unwrap_or_default();
    match answer.status.as_u16() {
        // Whoever signed out, or proved an address, is led there too, and told what was done.
        303 if matches!(path, "/fr/sign-in" | "/en/sign-in") && !answer.location().contains("said=") => 's',
        303 if path == "/undertaking" => 'u',
        303 if row.method == Method::GET => 'r',
        // Something should have been done, and nothing was: led elsewhere, or done already.
        303 if !row.effect.is_empty() && !changed => 'r',
        200..=303 => 'o',
        401 => 's',
        403 => 'f',
        404 => 'n',
        // Let in, and asked to mend what was sent.
        409 | 422 => 'x',
        // Nobody should ever get anything else; no row has this letter.
        other => {
            println!("{} {}: {other}: {}", row.method, row.route, answer.text());
            '?'
        }
    }
}

async fn ask_as_program(
    world: &World,
    role: Role,
    browser: &Browser,
    row: &Row,
    path: &str,
    bearer: Option<&str>,
) -> Answered {
    let mut request = TestRequest::default().method(row.method.clone()).uri(path);
    if let Some(bearer) = bearer {
        request = request.insert_header((header::AUTHORIZATION, format!("Bearer {bearer}")));
    }
    if row.method != Method::GET {
        let (media_type, body) = world.body(role, row.route);
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

/// Whatever a page shows or refuses, nothing changes.
#[actix_web::test]
async fn a_03_a_04_c_02_adv_25_adv_30_every_page_shows_to_each_role_what_the_table_says_and_changes_nothing() {
    let world = World::new().await;
    let mut wrong = Vec::new();
    for row in rows().iter().filter(|row| row.method == Method::GET) {
        let mut found = Vec::new();
        for role in ROLES {
            let tried = try_it(&world, *role, row).await;
            assert!(tried.changes.is_empty(), "GET {} as {role:?} changed {:#?}", row.route, tried.changes);
            world.assert_keeps_the_secret(row.route, *role, &tried.answer);
            found.push(tried.letter);
        }
        compare(row, &found, &mut wrong);
    }
    assert!(wrong.is_empty(), "the table and the program differ:\n{}", wrong.join("\n"));
}

/// Whoever is let in has done what the row says, in the tables that it names and in no other; whoever is not leaves no
/// trace, neither in the database nor among the files.
#[actix_web::test]
async fn a_03_a_04_adv_25_every_change_is_made_by_whom_the_table_says_and_leaves_no_other_trace() {
    let world = World::new().await;
    let mut wrong = Vec::new();
    for row in rows().iter().filter(|row| row.method != Method::GET) {
        let mut found = Vec::new();
        for role in ROLES {
            let files = world.stored_files();
            let tried = try_it(&world, *role, row).await;
            let changed = tried.changed_tables();
            if tried.letter != 'o' {
                assert!(tried.changes.is_empty(), "{} as {role:?} changed {:#?}", row.route, tried.changes);
                // Files of a form that is to be mended are kept for it.
                let kept = tried.letter == 'x' || world.stored_files() == files;
                assert!(kept, "{} as {role:?} left a file", row.route);
            } else if !changed.is_superset(&row.effect)
                || changed.iter().any(|table| !row.effect.contains(table) && !row.effect_for_some.contains(table))
            {
                let changed: Vec<_> = changed.into_iter().collect();
                wrong.push(format!("    (\"{} {}\", \"{}\"), // {role:?}", row.method, row.route, changed.join(" ")));
            }
            world.assert_keeps_the_secret(row.route, *role, &tried.answer);
            found.push(tried.letter);
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
    let world = World::new().await;
    for row in rows().iter().filter(|row| row.method != Method::GET && !row.route.starts_with("/api/")) {
        let let_in = ROLES.iter().zip(&row.expected).find(|(_, letter)| **letter == 'o').map(|(role, _)| *role);
        let Some(role) = let_in else { continue };
        let browser = world.browser(role);
        let path = world.path(role, row.route);
        let mut fields: Vec<(&str, String)> = world.form(role, row.route);
        let genuine = browser.csrf();
        for (origin, token) in [
            (Some(BASE_URL), None),
            (Some(BASE_URL), Some("0123456789abcdef")),
            (Some("https://evil.example"), Some(genuine.as_str())),
            (Some("null"), Some(genuine.as_str())),
            (Some("http://evil.desk.example"), Some(genuine.as_str())),
            (None, Some(genuine.as_str())),
        ] {
            fields.retain(|(name, _)| *name != "csrf");
            fields.extend(token.map(|token| ("csrf", token.to_owned())));
            let named: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let mut request = match world::IN_PARTS.contains(&row.route) {
                true => Browser::in_parts(&named),
                false => TestRequest::default().set_form(&named),
            };
            if let Some(origin) = origin {
                request = request.insert_header((header::ORIGIN, origin));
            }
            let answer = browser.send(request.method(row.method.clone()).uri(&path)).await;
            let changed = world.changes();
            assert!(changed.is_empty(), "{} from {origin:?} changed {changed:#?}", row.route);
            assert_eq!(answer.status.as_u16(), 403, "{} from {origin:?} with {token:?}", row.route);
            world.begin_again();
        }
    }
}

/// whatever column somebody adds to a form or a body that is otherwise right, it is refused whole.
#[actix_web::test]
async fn a_07_adv_24_no_column_of_the_tables_it_changes_can_be_slipped_into_a_request() {
    let world = World::new().await;
    let rows = rows();
    for row in rows.iter().filter(|row| row.method != Method::GET && row.route != "/api/v1/inbound") {
        let let_in = ROLES.iter().zip(&row.expected).find(|(_, letter)| **letter == 'o').map(|(role, _)| *role);
        let Some(role) = let_in else { continue };
        let (browser, path) = (world.browser(role), world.path(role, row.route));
        let mut columns = world.columns_of_ours(&row.effect);
        columns.extend(["id", "organisation_id", "password_hash", "is_admin"].map(str::to_owned));
        if row.route.starts_with("/api/") {
            let bearer = world.bearer(role, row.route).await;
            let right: serde_json::Value = serde_json::from_str(&world.body(role, row.route).1).unwrap();
            for column in columns.iter().filter(|column| right.get(column.as_str()).is_none()) {
                let mut body = right.clone();
                body[column] = 1.into();
                let mut request = TestRequest::default().method(row.method.clone()).uri(&path).set_json(body);
                if let Some(bearer) = &bearer {
                    request = request.insert_header((header::AUTHORIZATION, format!("Bearer {bearer}")));
                }
                let answer = browser.send(request).await;
                assert_eq!(answer.status.as_u16(), 400, "{} with {column}: {}", row.route, answer.text());
            }
        } else {
            let right = world.form(role, row.route);
            for column in columns.iter().filter(|column| right.iter().all(|(name, _)| name != column)) {
                let fields = right.iter().map(|(name, value)| (*name, value.as_str()));
                let fields: Vec<(&str, &str)> = fields.chain([(column.as_str(), "1")]).collect();
                let answer = match world::IN_PARTS.contains(&row.route) {
                    true => browser.upload(&path, &fields, &[]).await,
                    false => browser.post(&path, &fields).await,
                };
                assert_eq!(answer.status.as_u16(), 400, "{} with {column}: {}", row.route, answer.text());
            }
        }
        let changed = world.changes();
        assert!(changed.is_empty(), "{} changed {changed:#?}", row.route);
        world.begin_again();
    }
}

/// T-02: what belongs to others and what does not exist look the same, to the byte.
#[actix_web::test]
async fn t_02_what_is_another_s_and_what_is_not_there_look_the_same() {
    let world = World::new().await;
    for row in rows().iter().filter(|row| row.method == Method::GET && row.route.contains('{')) {
        for (role, _) in ROLES.iter().zip(&row.expected).filter(|(_, letter)| **letter == 'n') {
            let browser = world.browser(*role);
            let bearer = match row.route.starts_with("/api/") {
                true => world.bearer(*role, row.route).await,
                false => None,
            };
            let mut answers = Vec::new();
            for path in [world.path(*role, row.route), world.path_to_nothing(row.route)] {
                let answer = match row.route.starts_with("/api/") {
                    true => ask_as_program(&world, *role, &browser, row, &path, bearer.as_deref()).await,
                    false => browser.get(&path).await,
                };
                let headers = answer.headers.clone();
                answers.push((answer.status, headers, without_random(&answer.text().replace(&path, "HERE"))));
                world.begin_again();
            }
            assert_eq!(answers[0], answers[1], "{} as {role:?}", row.route);
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
    let world = World::new().await;
    for role in ROLES {
        let browser = world.browser(*role);
        for path in ["/setup", "/setup/", "/setup/x", "/install", "/wizard"] {
            browser.get(path).await.assert_status(404);
            let fields = world.form(*role, "/setup/{token}");
            let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
            browser.post(path, &fields).await.assert_status(404);
        }
    }
    let changed = world.changes();
    assert!(changed.is_empty(), "{changed:#?}");
}

/// U-08: a token opens what its scopes name, and nothing else, whoever it acts for.
#[actix_web::test]
async fn a_03_u_08_a_token_opens_only_what_its_scopes_name() {
    let world = World::new().await;
    for row in rows().iter().filter(|row| row.route.starts_with("/api/v1/")) {
        let Some(needed) = world::scope_of(&row.method, row.route) else { continue };
        for scope in Scope::ALL.iter().filter(|scope| **scope != needed) {
            let path = world.path(Role::Ada, row.route);
            let bearer = world.narrow_bearer(*scope).await;
            let browser = world.browser(Role::Guest);
            let answer = ask_as_program(&world, Role::Ada, &browser, row, &path, Some(&bearer)).await;
            let what = format!("{} {} with {scope} alone", row.method, row.route);
            assert_eq!(answer.status.as_u16(), 403, "{what}: {}", answer.text());
            let changed = world.changes();
            assert!(changed.is_empty(), "{what} changed {changed:#?}");
            world.begin_again();
        }
    }
}
