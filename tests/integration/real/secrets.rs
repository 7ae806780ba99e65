//! `accord token` as somebody types it, while the server has the database and while it does not (DB-07).

use accord::clock::Clock;

use super::process::{Installation, Kind};
use super::{desk, http};

#[test]
#[ignore = "needs processes of its own"]
fn real_db_07_accord_token_reaches_the_database_through_the_server_and_without_it() {
    make_and_revoke(Kind::Sqlite);
}

#[test]
#[ignore = "needs PostgreSQL and processes of its own"]
fn real_accord_token_works_beside_the_server_on_postgresql() {
    make_and_revoke(Kind::Postgres);
}

fn make_and_revoke(kind: Kind) {
    let installation = Installation::empty(kind);
    desk::set_up(&mut installation.database(), Clock::system().now());
    let server = installation.serve();
    let secret = create(&installation);
    let exchange = |address| {
        let body = format!("{{\"secret\": \"{secret}\"}}");
        let json = ("Content-Type", "application/json");
        http::send(address, "POST", "/api/v1/token", &[json], body.as_bytes()).unwrap().status
    };
    assert_eq!(exchange(server.address), 200);
    let (list, _) = run(&installation, &["token", "list"]);
    let handle = list.split('\t').next().unwrap().to_owned();
    assert!(list.contains("in force") && list.contains(desk::ADMINISTRATOR) && !list.contains(&secret), "{list}");
    run(&installation, &["token", "revoke", &handle]);
    assert_eq!(exchange(server.address), 401);
    server.stop();

    create(&installation);
    let (list, _) = run(&installation, &["token", "list", "--person", desk::ADMINISTRATOR]);
    assert_eq!(list.lines().count(), 2, "{list}");
    let again = installation.command(&["token", "revoke", &handle]).output().unwrap();
    assert!(!again.status.success());
    let said = String::from_utf8_lossy(&again.stderr);
    assert!(said.contains("no secret in force has this handle"), "{said}");
}

/// Makes a secret and gives what standard output had: the secret, and nothing else.
fn create(installation: &Installation) -> String {
    let arguments =
        ["token", "create", "--person", desk::ADMINISTRATOR, "--name", "rapport", "--scope", "tickets:read"];
    let (secret, said) = run(installation, &arguments);
    assert!(said.contains("shown this once"), "{said}");
    let secret = secret.trim_end().to_owned();
    assert!(secret.starts_with("acc_") && !secret.contains(char::is_whitespace), "{secret}");
    secret
}

fn run(installation: &Installation, arguments: &[&str]) -> (String, String) {
    let output = installation.command(arguments).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{arguments:?}: {said}");
    (String::from_utf8(output.stdout).unwrap(), said)
}
