//! `accord backup` and `accord restore` as an administrator types them (DB-09).

use std::os::unix::fs::PermissionsExt;
use std::process::Output;

use accord::clock::Clock;
use accord::db::schema::tickets;
use accord::keys::Keys;
use diesel::prelude::*;

use super::http;
use super::process::{Installation, Kind};
use crate::support::granted;

#[test]
#[ignore = "needs processes of its own"]
fn real_db_09_a_desk_is_backed_up_while_it_is_served_and_comes_back_elsewhere() {
    let installation = Installation::empty(Kind::Sqlite);
    let people = granted::set_up(&mut installation.database(), Clock::system().now()).unwrap();
    let server = installation.serve();
    let now = Clock::system().now();
    let keys = Keys::load_or_create(&installation.data().join("keys.json"), now).unwrap();
    people.grant(&mut installation.database(), &keys, now).unwrap();

    let place = installation.folder.path();
    let (key, file) = (place.join("backup.key"), place.join("desk.accord"));
    let (key_text, file_text) = (key.to_str().unwrap(), file.to_str().unwrap());
    succeeds(&run(&installation, &["backup", "--make-key", key_text]));
    assert_eq!(key.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let back_up = ["backup", file_text, "--key-file", key_text];
    succeeds(&run(&installation, &back_up));
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o077, 0, "a backup is its owner's");
    let again = run(&installation, &back_up);
    assert!(said(&again).contains("is there already") && again.status.code() == Some(1), "{}", said(&again));
    assert_eq!(http::get(server.address, "/fr/sign-in").unwrap().status, 200, "the desk was served meanwhile");
    server.stop();
    let later = place.join("later.accord");
    succeeds(&run(&installation, &["backup", later.to_str().unwrap(), "--key-file", key_text]));

    // Not over a desk that is there; then elsewhere, with the copy of the keys that is kept apart.
    let restore = ["restore", file_text, "--key-file", key_text];
    let refused = run(&installation, &restore);
    assert!(said(&refused).contains("is not empty") && refused.status.code() == Some(1), "{}", said(&refused));
    let elsewhere = Installation::empty(Kind::Sqlite);
    let wrong = place.join("wrong.key");
    succeeds(&run(&installation, &["backup", "--make-key", wrong.to_str().unwrap()]));
    let refused = run(&elsewhere, &["restore", file_text, "--key-file", wrong.to_str().unwrap()]);
    assert!(said(&refused).contains("another key") && refused.status.code() == Some(1), "{}", said(&refused));
    let restored = run(&elsewhere, &restore);
    succeeds(&restored);
    assert!(said(&restored).contains("keys.json"), "{}", said(&restored));
    for line in
        ["  nora@vendor.example: supervisor, administrator; no queue\n", "  claire@arnaud.example: Vignobles Arnaud\n"]
    {
        assert!(said(&restored).contains(line), "{line}: {}", said(&restored));
    }
    assert!(said(&restored).contains("API secrets in force: none\n"), "{}", said(&restored));
    std::fs::copy(installation.data().join("keys.json"), elsewhere.data().join("keys.json")).unwrap();
    let checked = run(&elsewhere, &["check"]);
    succeeds(&checked);
    assert!(!said(&checked).contains("FAIL"), "{}", said(&checked));
    let subjects: Vec<String> = tickets::table.select(tickets::subject).load(&mut elsewhere.database()).unwrap();
    assert_eq!(subjects, ["Écran noir"]);
    let server = elsewhere.serve();
    assert_eq!(http::get(server.address, "/fr/sign-in").unwrap().status, 200);
}

#[test]
#[ignore = "needs PostgreSQL and processes of its own"]
fn real_db_09_a_server_s_backup_is_left_to_its_own_tools_and_what_to_leave_out_is_told() {
    let installation = Installation::empty(Kind::Postgres);
    let key = installation.folder.path().join("backup.key");
    let refused = run(&installation, &["backup", "desk.accord", "--key-file", key.to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(1));
    for word in ["pg_dump", "--exclude-table-data=trace_keys", "--exclude-table-data=sessions", "DELETE FROM outbox"] {
        assert!(said(&refused).contains(word), "{word}: {}", said(&refused));
    }
    let refused = run(&installation, &["restore", "desk.accord", "--key-file", key.to_str().unwrap()]);
    assert!(!refused.status.success());
    assert!(said(&refused).contains("PostgreSQL"), "{}", said(&refused));
}

fn run(installation: &Installation, arguments: &[&str]) -> Output {
    installation.command(arguments).output().unwrap()
}

fn succeeds(output: &Output) {
    assert!(output.status.success(), "{}", said(output));
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}
