//! A withdrawal that the database cannot take, of a process that is killed right after: the one that starts next records
//! it, and captures nothing until it did.

use accord::clock::Clock;
use accord::consent::life::{EndReason, GrantState};
use accord::consent::links::{self, Opens};
use accord::consent::unrecorded::Unrecorded;
use accord::consent::{asking, grants};
use accord::db::Database;
use accord::keys::Keys;
use diesel::connection::SimpleConnection;

use super::http;
use super::process::{Installation, Kind, PATIENCE, Server, wait_until};
use crate::support::granted;

#[test]
#[ignore = "needs processes that are killed"]
fn real_cn_02_a_withdrawal_that_could_not_be_recorded_outlives_a_kill() {
    outlives_a_kill(Kind::Sqlite);
}

#[test]
#[ignore = "needs PostgreSQL and processes that are killed"]
fn real_cn_02_a_withdrawal_that_could_not_be_recorded_outlives_a_kill_on_postgresql() {
    outlives_a_kill(Kind::Postgres);
}

fn outlives_a_kill(kind: Kind) {
    let installation = Installation::empty(kind);
    let now = Clock::system().now();
    let people = granted::set_up(&mut installation.database(), now).unwrap();
    let server = installation.serve();
    let keys = Keys::load_or_create(&installation.data().join("keys.json"), now).unwrap();
    let database = Database::open(&installation.database_url(), 2).unwrap();
    let (granting, customer) = (people.clone(), people.customer);
    let (grant, stop) = database
        .write_now(move |db| {
            let grant = granting.grant(db, &keys, now)?;
            let request = asking::by_id(db, grant.request_id)?;
            let token = links::create(db, Opens::Stop, &request, customer, grant.expires_at, now)?;
            Ok((grant, format!("/l/stop/{}", token.expose())))
        })
        .unwrap();

    // On the page that the link leads to, the customer presses the button; meanwhile no step of any consent can be written
    // down any more, and then the process dies.
    let page = http::get(server.address, &stop).unwrap();
    installation.database().batch_execute("ALTER TABLE consent_events RENAME TO elsewhere").unwrap();
    let answer = press(&server, &stop, &page);
    assert_eq!(answer.status, 503, "{}", answer.text);
    server.kill();
    let waits = || Unrecorded::below(&installation.data()).has(&grant.handle);
    let stands = || database.read_now(|db| grants::by_id(db, grant.id)).unwrap();
    assert!(waits());
    assert_eq!(stands().state, GrantState::Active);

    // Nor can the next process write it down; then it can.
    let server = installation.serve();
    assert!(waits());
    installation.database().batch_execute("ALTER TABLE elsewhere RENAME TO consent_events").unwrap();
    wait_until("the withdrawal is recorded", PATIENCE, || stands().end_reason == Some(EndReason::Withdrawn));
    wait_until("and waits no more", PATIENCE, || !waits());
    assert!(server.stop().0.success());
}

/// Sends the form of a page.
fn press(server: &Server, path: &str, page: &http::Answer) -> http::Answer {
    let token = page.csrf();
    let origin = format!("http://{}", server.address);
    let headers = [("Origin", origin.as_str()), ("Content-Type", "application/x-www-form-urlencoded")];
    http::send(server.address, "POST", path, &headers, format!("csrf={token}").as_bytes()).unwrap()
}
