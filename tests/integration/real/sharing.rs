//! Several processes on one PostgreSQL database: they share the work, and what one leaves behind another does.

use std::time::Duration;

use accord::access;
use accord::clock::{Clock, UtcTime};
use accord::db::DbConnection;
use accord::db::schema::{jobs, outbox, tickets};
use accord::i18n::Locale;
use accord::mail::address::EmailAddress;
use accord::people::organisations;
use accord::people::person::{self, NewPerson, Origin};
use accord::teams::queues::{self, QueueKind};
use accord::tickets::messages::{Channel, NewMessage};
use accord::tickets::opening::{self, NewTicket};
use chrono::TimeDelta;
use diesel::Connection;
use diesel::prelude::*;

use super::desk;
use super::process::{Installation, Kind, wait_until};

const JOBS: usize = 1_000;
/// What each of two processes does of them at least.
const SHARE: u64 = 300;
/// How long a job is held.
const LEASE: TimeDelta = TimeDelta::seconds(120);
/// How long they may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(300);

#[test]
#[ignore = "needs PostgreSQL and processes that are killed"]
fn real_two_processes_share_a_thousand_jobs_and_none_is_lost_with_one_of_them() {
    let installation = Installation::empty(Kind::Postgres).with_settings("[mail]\noutgoing = \"files\"\n");
    let mut db = installation.database();
    let now = Clock::system().now();
    desk::set_up(&mut db, now);
    let (one, other) = (installation.serve(), installation.serve());

    open_tickets(&mut db, 0, now);
    wait_until("a thousand jobs are done", PATIENCE, || waiting(&mut db) == 0);
    // A job is gone with its transaction and counted after it.
    let counted = || [one.counter(JOBS_DONE), other.counter(JOBS_DONE)];
    wait_until("they have counted what they did", PATIENCE, || counted().iter().sum::<u64>() >= JOBS as u64);
    let shares = counted();
    println!("a thousand jobs, done by two processes: {shares:?}");
    assert_eq!(shares.iter().sum::<u64>(), JOBS as u64, "each job is done once: {shares:?}");
    assert!(shares.iter().all(|share| *share >= SHARE), "they share badly: {shares:?}");
    assert_each_ticket_is_acknowledged(&mut db, JOBS);

    open_tickets(&mut db, JOBS, now);
    wait_until("both are at it", PATIENCE, || waiting(&mut db) < JOBS as i64 * 3 / 4);
    other.kill();
    let killed = Clock::system().now();
    assert!(waiting(&mut db) > 0, "it was killed too late to leave anything behind");
    // What is left then is what the dead one held: the other's leases are younger.
    wait_until("the other has done what was free", PATIENCE, || {
        let not_held_before: i64 = jobs::table
            .filter(jobs::leased_until.is_null().or(jobs::leased_until.gt(killed.plus(LEASE))))
            .count()
            .get_result(&mut db)
            .unwrap();
        not_held_before == 0
    });
    desk::two_minutes_pass(&mut db);
    wait_until("the rest is done too", PATIENCE, || waiting(&mut db) == 0);
    assert_each_ticket_is_acknowledged(&mut db, 2 * JOBS);
    drop(one);
}

const JOBS_DONE: &str = "accord_work_done_total{kind=\"jobs\"}";

fn waiting(db: &mut DbConnection) -> i64 {
    jobs::table.count().get_result(db).unwrap()
}

/// A thousand tickets of a thousand people, all at once; each has to be acknowledged, which is a job.
fn open_tickets(db: &mut DbConnection, first: usize, now: UtcTime) {
    let DbConnection::Postgres(_) = db else { panic!("several processes need PostgreSQL") };
    db.transaction(|db| -> diesel::QueryResult<()> {
        let queue = queues::find_by_kind(db, QueueKind::Support).unwrap().unwrap().id;
        for number in first..first + JOBS {
            let address = format!("personne{number}@client.example");
            let new = NewPerson {
                first_name: "Personne".to_owned(),
                last_name: number.to_string(),
                address_confirmed_at: Some(now),
                ..NewPerson::at(EmailAddress::parse(&address).unwrap(), Locale::Fr, Origin::Staff)
            };
            let person = person::create(db, &new, None, None, now).unwrap();
            let organisation = organisations::home_of(db, person.id).unwrap().unwrap();
            let message = NewMessage::text(Channel::Web, person.id, "Personne", &address, "Rien ne va plus.");
            let ticket = NewTicket {
                address_confirmed: true,
                ..NewTicket::new(organisation, person.id, queue, "Panne", message)
            };
            let by = access::actor_of(db, person.id).unwrap();
            opening::open(db, ticket, &by, now).unwrap();
        }
        Ok(())
    })
    .unwrap();
}

fn assert_each_ticket_is_acknowledged(db: &mut DbConnection, count: usize) {
    let opened: i64 = tickets::table.count().get_result(db).unwrap();
    let acknowledged: Vec<Option<i64>> = outbox::table
        .filter(outbox::kind.eq("acknowledgement"))
        .select(outbox::ticket_id)
        .distinct()
        .load::<Option<accord::db::types::TicketId>>(db)
        .unwrap()
        .into_iter()
        .map(|ticket| ticket.map(|ticket| ticket.0))
        .collect();
    let mails: i64 = outbox::table.filter(outbox::kind.eq("acknowledgement")).count().get_result(db).unwrap();
    assert_eq!(opened, count as i64);
    assert_eq!(acknowledged.len(), count, "each ticket has its acknowledgement");
    assert_eq!(mails, count as i64, "and only one");
}
