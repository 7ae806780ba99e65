//! Answers that wait while the program is killed: each goes out once, whatever moment that was.

use std::time::Duration;

use accord::access::{self, Actor};
use accord::clock::Clock;
use accord::db::DbConnection;
use accord::db::schema::{outbox, planned_answers, ticket_messages};
use accord::i18n::Locale;
use accord::mail::address::EmailAddress;
use accord::outbox::Kind as Letter;
use accord::people::organisations;
use accord::people::person::{self, NewPerson, Origin};
use accord::teams::queues::{self, QueueKind};
use accord::tickets::messages::{Channel, MessageKind, NewMessage};
use accord::tickets::opening::{self, NewTicket};
use accord::tickets::planned::{self, NewPlanned, PlanOutcome, Release};
use accord::tickets::status::Status;
use diesel::prelude::*;

use super::chance::Chance;
use super::desk;
use super::process::{Installation, Kind, wait_until};

/// Answers that wait, each in a ticket of its own.
const ANSWERS: usize = 6;
/// How long a process lives after they are due.
const LONGEST_LIFE: Duration = Duration::from_millis(120);

#[test]
#[ignore = "needs processes that are killed"]
fn real_ft_01_an_answer_that_waits_while_the_program_is_killed_goes_out_once() {
    let chance = Chance::new();
    let settings = "[mail]\noutgoing = \"files\"\n[desk]\nundo_seconds = 1\n";
    let installation = Installation::empty(Kind::Sqlite).with_settings(settings);
    let mut db = installation.database();
    desk::set_up(&mut db, Clock::system().now());
    for number in 0..ANSWERS {
        plan(&mut db, number);
    }
    // Once while they wait, and at about the moment at which they go out.
    let server = installation.serve();
    server.kill();
    let server = installation.serve();
    let due: accord::clock::UtcTime =
        planned_answers::table.select(planned_answers::release_at).order(planned_answers::id).first(&mut db).unwrap();
    let wait = due.since(Clock::system().now()).to_std().unwrap_or_default();
    std::thread::sleep(wait + chance.up_to(LONGEST_LIFE));
    server.kill();
    desk::assert_sound(&installation);
    desk::two_minutes_pass(&mut db);
    let server = installation.serve();
    wait_until("every answer is mailed", Duration::from_secs(60), || mailed(&mut db) >= ANSWERS as i64);
    let (status, _) = server.stop();
    assert!(status.success());
    let said: i64 = ticket_messages::table
        .filter(ticket_messages::kind.eq(MessageKind::Agent))
        .count()
        .get_result(&mut db)
        .unwrap();
    let left: i64 = planned_answers::table.count().get_result(&mut db).unwrap();
    assert_eq!((said, left, mailed(&mut db)), (ANSWERS as i64, 0, ANSWERS as i64));
}

/// The mails of answers, sent or not.
fn mailed(db: &mut DbConnection) -> i64 {
    outbox::table.filter(outbox::kind.eq(Letter::Reply)).count().get_result(db).unwrap()
}

fn plan(db: &mut DbConnection, number: usize) {
    let now = Clock::system().now();
    let address = EmailAddress::parse(&format!("client{number}@client.example")).unwrap();
    let new = NewPerson { address_confirmed_at: Some(now), ..NewPerson::at(address, Locale::Fr, Origin::Staff) };
    let asker = person::create(db, &new, None, None, now).unwrap();
    let organisation = organisations::home_of(db, asker.id).unwrap().unwrap();
    let queue = queues::find_by_kind(db, QueueKind::Support).unwrap().unwrap();
    let message = NewMessage::text(Channel::Web, asker.id, "Client", &asker.address, "Cela ne marche pas.");
    let ticket =
        NewTicket { address_confirmed: true, ..NewTicket::new(organisation, asker.id, queue.id, "Panne", message) };
    let ticket = opening::open(db, ticket, &Actor::System, now).unwrap().ticket;
    let nora = desk::administrator(db);
    let nora = access::actor_of(db, nora).unwrap();
    let answer = NewPlanned {
        text: "Redémarrez-le.".to_owned(),
        files: Vec::new(),
        status: Status::WaitingForCustomer,
        seen: ticket.message_count,
        release: Release::AtOnce { undo_secs: 1 },
    };
    assert!(matches!(planned::plan(db, &ticket, answer, &nora, now).unwrap(), PlanOutcome::Waits(_)));
}
