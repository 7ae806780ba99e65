//! With Chromium, driven by the scripts under `tests/browser`: what people see and do. Each script gets its orders as
//! JSON and ends with a status; what it says is shown when it fails.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use accord::html::sanitize_mail;
use accord::i18n::Locale;
use accord::people::person;
use accord::web::message_frame;
use actix_web::http::Method;
use serde_json::{Value, json};

use super::process::{Installation, Kind};
use crate::access;
use crate::access::table::ROLES;
use crate::access::world::{Role, World};
use crate::support::app::BASE_URL;

/// GET routes that answer with something else than a page, or lead to one. Everything else is looked at, so a new page
/// is too.
const NOT_PAGES: &[&str] = &[
    "/",
    "/.well-known/jwks.json",
    "/account/organisation",
    "/admin/unprocessed-mail/{handle}/original",
    "/assets/{name}",
    "/attachments/{handle}",
    "/consents/{handle}/looks",
    "/healthz",
    "/inline/{handle}",
    "/l/ticket/{token}/attachments/{handle}",
    "/messages/{handle}/original",
    "/readyz",
    "/sampling/{key}",
    "/sampling/{key}/sampling",
    "/tickets/{reference}/consents/{handle}/looks",
];

/// Runs a script of `tests/browser` to its end.
fn run(script: &str, orders: &Value) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser");
    assert!(folder.join("node_modules").exists(), "first: npm ci --ignore-scripts --prefix tests/browser");
    let mut node = Command::new("node")
        .arg(folder.join(script))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    node.stdin.take().unwrap().write_all(orders.to_string().as_bytes()).unwrap();
    let output = node.wait_with_output().unwrap();
    let (said, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{script}: {}\n{said}{complained}", output.status);
    println!("{said}");
}

/// The same beside a server of this process.
async fn run_beside(script: &'static str, orders: Value) {
    actix_web::rt::task::spawn_blocking(move || run(script, &orders)).await.unwrap();
}

#[actix_web::test]
#[ignore = "needs Chromium and Node.js"]
async fn real_axe_finds_nothing_on_any_page_as_any_role_in_both_languages() {
    for route in NOT_PAGES {
        assert!(access::rows().iter().any(|row| row.route == *route), "{route} is gone");
    }
    let world = World::new().await;
    let address = world.test.serve();
    for language in [Locale::Fr, Locale::En] {
        let (mut roles, mut pages) = (BTreeMap::new(), Vec::new());
        for role in ROLES {
            let mut words = Vec::new();
            if let Some(id) = world.person(*role) {
                let now = world.test.now();
                world.test.write(move |db| person::set_language(db, id, language, now));
                let person = world.test.read(|db| person::by_id(db, id));
                words = vec![person.display_name(), person.address.to_string()];
            }
            let session = world.browser(*role).session();
            roles.insert(format!("{role:?}"), json!({ "session": session, "words": words }));
        }
        for row in access::rows() {
            let is_page =
                row.method == Method::GET && !row.route.starts_with("/api/") && !NOT_PAGES.contains(&row.route);
            for (role, _) in ROLES.iter().zip(&row.expected).filter(|(_, letter)| is_page && **letter == 'o') {
                let mut path = world.path(*role, row.route);
                if row.route.starts_with("/{l") {
                    path.replace_range(1..3, language.code());
                }
                pages.push(json!({ "role": format!("{role:?}"), "route": row.route, "path": path }));
            }
        }
        let hosts = format!("MAP desk.example:80 {address}");
        let orders = json!({
            "base": BASE_URL, "hosts": hosts, "language": language.code(), "roles": roles, "pages": pages,
        });
        run_beside("pages.mjs", orders).await;
    }
}

/// What hostile mail holds to run, and to tell its sender that it is read; one construct a line.
const CORPUS: &str =
    concat!(include_str!("../../fixtures/html/scripts.html"), include_str!("../../fixtures/html/tracking.html"));

#[actix_web::test]
#[ignore = "needs Chromium and Node.js"]
async fn real_h_02_h_04_hostile_mail_does_nothing_with_either_layer_alone() {
    let world = World::new().await;
    let row = access::rows().into_iter().find(|row| row.route == "/messages/{handle}/frame").unwrap();
    let frame = world.browser(Role::Lea).get(&world.path(Role::Lea, row.route)).await;
    let policy = frame.assert_status(200).header("content-security-policy").unwrap();
    let shown = frame.text();
    let said = shown.find("<p>Rien ne va plus.").expect("what the mail says");
    let around = (&shown[..said], &shown[said + shown[said..].find("</p>").expect("its end") + "</p>".len()..]);
    let constructs: Vec<Value> = CORPUS
        .lines()
        .map(|raw| json!({ "raw": raw, "sanitized": sanitize_mail(raw, &|_| None).unwrap().html }))
        .collect();
    assert!(constructs.len() > 140);
    let orders = json!({
        "constructs": constructs, "frame": format!("{}HERE{}", around.0, around.1), "policy": policy,
        "sandbox": message_frame::SANDBOX,
    });
    run_beside("frame.mjs", orders).await;
}

#[test]
#[ignore = "needs Chromium and Node.js"]
fn real_a_request_is_filed_answered_and_read_in_both_languages_with_and_without_javascript() {
    let installation = Installation::empty(Kind::Sqlite);
    let server = installation.serve_with(&["--demo"]);
    run("stories.mjs", &json!({ "base": format!("http://{}", server.address) }));
}

/// The whole line of a consent, and the customer's page alone. What was downloaded is then checked by other programs:
/// signatures and chains by `accord verify`, and each form of the records by a reader that is not ours.
#[test]
#[ignore = "needs Chromium, Node.js and Python"]
fn real_a_consent_is_asked_granted_watched_withdrawn_and_proven_and_its_files_read_elsewhere() {
    let installation = Installation::empty(Kind::Sqlite);
    let server = installation.serve_with(&["--demo"]);
    let folder = tempfile::tempdir().unwrap();
    run("consent.mjs", &json!({ "base": format!("http://{}", server.address), "folder": folder.path() }));
    for (file, proof) in [
        ("receipt.jsonld", "is as it was signed"),
        ("certificate.jsonld", "is as it was signed"),
        ("evidence.json", "looks at what was captured, each following the one before"),
    ] {
        let file = folder.path().join(file);
        let verified = installation.command(&["verify", file.to_str().unwrap()]).output().unwrap();
        let said = String::from_utf8_lossy(&verified.stdout).into_owned();
        assert!(verified.status.success() && said.contains(proof), "{}: {said}", file.display());
    }
    let checked = installation.command(&["check"]).output().unwrap();
    let said = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(said.contains(" looks, each chain whole and known to the ledger"), "{said}");
}
