//! What is to be sent is sent, once, the same bytes, sooner or later, or somebody hears of it.

use accord::access::Actor;
use accord::clock::UtcTime;
use accord::db::DbConnection;
use accord::db::schema::{outbox as rows, people};
use accord::db::types::{OutboxId, PersonId};
use accord::error::Result;
use accord::mail::transport::{FailureKind, SendFailure};
use accord::outbox::folding;
use accord::outbox::listing::{self, Which};
use accord::outbox::sending::{self, Sending};
use accord::outbox::{self, Kind, NewLetter, State};
use accord::people::person::PersonState;
use accord::teams::members;
use accord::teams::queues::{self, QueueKind};
use accord::tickets::events::{self, EventKind};
use accord::tickets::status::Status;
use accord::tickets::{Ticket, moving, ticket};
use accord::worker::outgoing_mail;
use accord::worker::threads::Step;
use chrono::TimeDelta;
use diesel::prelude::*;

use crate::support::desk::{Desk, Letter, Sent};

fn failure(kind: FailureKind, code: u16) -> SendFailure {
    SendFailure { kind, code: Some(code), text: "says the relay".to_owned() }
}

/// A desk with one answer to Claire on its way, nothing else.
fn with_an_answer() -> Desk {
    let desk = Desk::open();
    desk.receive(&Letter::from("claire@acme.example"));
    desk.sent();
    desk.answer_quietly(&desk.ticket(), "Redémarrez-le.", Status::WaitingForCustomer);
    desk
}

fn newest(desk: &Desk) -> listing::Outgoing {
    let ticket = desk.ticket();
    desk.test.read(|db| listing::of_ticket(db, ticket.id)).pop().expect("a mail")
}

#[test]
fn o_01_o_02_an_answer_is_in_the_outbox_as_the_bytes_that_are_sent() {
    let desk = with_an_answer();
    desk.memory().fail_next(failure(FailureKind::Transient, 451));
    desk.test.run_jobs();
    assert!(desk.sent().is_empty());
    let mail = newest(&desk);
    assert_eq!((mail.state, mail.attempts), (State::Deferred, 1));
    let frozen = desk.test.read(|db| sending::load(db, mail.id)).mime.unwrap();
    desk.test.clock.advance(TimeDelta::hours(5));
    desk.test.run_jobs();
    let sent = desk.sent();
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].bytes, frozen);
    let mail = newest(&desk);
    assert_eq!(mail.state, State::Sent);
    assert!(desk.test.read(|db| sending::load(db, mail.id)).mime.is_none(), "sent bytes are not kept");
}

#[test]
fn o_03_one_worker_holds_a_mail_and_an_expired_lease_is_free_again() {
    let desk = with_an_answer();
    desk.memory().fail_next(failure(FailureKind::Transient, 451));
    desk.test.run_jobs();
    desk.test.clock.advance(TimeDelta::hours(1));
    let (id, now) = (newest(&desk).id, desk.test.now());
    assert!(desk.test.write(move |db| sending::claim(db, id, "one", now)));
    assert!(!desk.test.write(move |db| sending::claim(db, id, "two", now)));
    desk.test.clock.advance(TimeDelta::seconds(121));
    let later = desk.test.now();
    assert!(desk.test.write(move |db| sending::claim(db, id, "two", later)));
    // The first comes back too late to say anything.
    let letter = desk.test.read(|db| sending::load(db, id));
    let settled = desk.test.write(move |db| sending::settle(db, &letter, "one", &Sending::Refused("no".into()), later));
    assert_eq!(settled, outbox::Settled::NotOurs);
}

#[test]
fn o_04_a_refused_recipient_is_dead_at_once_and_the_ticket_says_so() {
    let desk = with_an_answer();
    desk.memory().fail_next(failure(FailureKind::Permanent, 550));
    desk.test.run_jobs();
    let ticket = desk.ticket();
    assert_eq!(newest(&desk).state, State::Dead);
    let events = desk.test.read(|db| events::of_ticket(db, &ticket, 100));
    let failed = events.iter().find(|event| event.kind == EventKind::MailFailed).expect("it is noted");
    assert_eq!(failed.details.0.address.as_deref(), Some("claire@acme.example"));
}

#[actix_web::test]
async fn o_06_below_an_answer_stands_how_far_each_of_its_mails_has_come() {
    let desk = with_an_answer();
    let zoe = desk.test.browser_of(desk.zoe).await;
    let path = format!("/tickets/{}", desk.ticket().reference);
    desk.memory().fail_next(failure(FailureKind::Transient, 451));
    desk.test.run_jobs();
    let reason = newest(&desk).last_error.expect("the relay said why");
    let page = zoe.get(&path).await;
    page.assert_says("Courriels de cette réponse")
        .assert_says("pas encore accepté\u{a0}; prochain essai")
        .assert_says(&reason);
    desk.test.pass(TimeDelta::hours(1));
    zoe.get(&path).await.assert_says("envoyé, 23 nov. 2026").assert_silent_about(&reason);
    // It left, and comes back: its bytes are not kept.
    let (id, now) = (newest(&desk).id, desk.test.now());
    desk.test.write(move |db| outbox::bouncing::mark_dead(db, id, "5.1.1 no such user", now));
    zoe.get(&path).await.assert_says("claire@acme.example</bdi> · revenu").assert_says("5.1.1 no such user");
}

#[test]
fn o_04_ft_07_a_relay_that_is_down_for_three_days_costs_no_mail_any_attempt() {
    let desk = with_an_answer();
    let mut tries = 0;
    for _ in 0..(72 * 2) {
        desk.memory().fail_next(failure(FailureKind::Relay, 421));
        desk.test.run_jobs();
        tries += 1;
        desk.test.clock.advance(TimeDelta::minutes(30));
    }
    let mail = newest(&desk);
    assert_eq!((mail.state, mail.attempts), (State::Queued, 0), "after {tries} half hours");
    desk.test.clock.advance(TimeDelta::hours(1));
    desk.test.run_jobs();
    assert_eq!(newest(&desk).state, State::Sent);
}

#[test]
fn o_04_after_five_days_it_is_given_up() {
    let desk = with_an_answer();
    for _ in 0..(6 * 24) {
        desk.memory().fail_next(failure(FailureKind::Transient, 451));
        desk.test.run_jobs();
        desk.test.clock.advance(TimeDelta::hours(1));
    }
    desk.test.run_jobs();
    assert_eq!(newest(&desk).state, State::Dead);
}

#[test]
fn o_05_a_notification_that_is_a_day_late_is_not_sent_by_itself_and_is_no_failure() {
    let desk = Desk::open();
    desk.accept(&Letter::from("claire@acme.example").header("Precedence", "list"));
    desk.memory().fail_next(failure(FailureKind::Relay, 421));
    desk.test.run_jobs();
    desk.test.clock.advance(TimeDelta::hours(25));
    desk.test.run_jobs();
    assert!(desk.sent().is_empty());
    assert_eq!(newest(&desk).state, State::Suppressed);
    let ticket = desk.ticket();
    let events = desk.test.read(|db| events::of_ticket(db, &ticket, 100));
    assert!(!events.iter().any(|event| event.kind == EventKind::MailFailed));
}

#[test]
fn o_06_a_dead_letter_is_listed_counted_and_sent_again_by_hand() {
    let desk = with_an_answer();
    desk.memory().fail_next(failure(FailureKind::Permanent, 550));
    desk.test.run_jobs();
    let dead = desk.test.read(|db| listing::list(db, Which::Dead, None, 10)).rows;
    assert_eq!(dead.len(), 1);
    assert_eq!(desk.test.read(listing::counts).dead, 1);
    let (mail, now) = (dead[0].clone(), desk.test.now());
    assert!(desk.test.write(move |db| listing::retry(db, &mail, now)));
    desk.test.run_jobs();
    assert_eq!(desk.sent_to("claire@acme.example").len(), 1);
    assert_eq!(desk.test.read(listing::counts).dead, 0);
}

#[test]
fn o_07_organisations_take_turns() {
    let desk = Desk::open();
    let organisations = [desk.acme, accord::db::types::OrganisationId(1)];
    let now = desk.test.now();
    desk.test.write(move |db| {
        for number in 0..20 {
            let organisation = organisations[usize::from(number >= 15)];
            let letter = NewLetter {
                kind: Kind::Notification,
                organisation: Some(organisation),
                ticket: None,
                message: None,
                person: None,
                mailbox: None,
                recipient: format!("p{number}@x{number}.example"),
                envelope_from: String::new(),
                mail_id: format!("<{number}@desk.example>"),
                subject: "x".to_owned(),
                mime: b"Subject: x\r\n\r\nx\r\n".to_vec(),
                expires_at: now.plus(TimeDelta::days(1)),
            };
            outbox::enqueue(db, &letter, now)?;
        }
        Ok(())
    });
    desk.test.run_jobs();
    let sent: Vec<usize> = desk
        .sent()
        .iter()
        .map(|sent| sent.recipient.trim_start_matches('p').split('@').next().unwrap().parse().unwrap())
        .collect();
    assert_eq!(sent.len(), 20);
    // While both have mail, neither sends twice in a row.
    let kinds: Vec<bool> = sent.iter().take(10).map(|number| *number >= 15).collect();
    assert!(kinds.windows(2).all(|pair| pair[0] != pair[1]), "{sent:?}");
}

#[test]
fn o_08_a_mail_over_which_sending_panics_is_given_up_after_three_times() {
    let desk = with_an_answer();
    desk.memory().fail_next(failure(FailureKind::Transient, 451));
    desk.test.run_jobs();
    let id: OutboxId = newest(&desk).id;
    for expected in [State::Deferred, State::Deferred, State::Dead] {
        desk.test.clock.advance(TimeDelta::hours(5));
        let now = desk.test.now();
        assert!(desk.test.write(move |db| sending::claim(db, id, "one", now)));
        let letter = desk.test.read(|db| sending::load(db, id));
        desk.test.write(move |db| sending::settle(db, &letter, "one", &Sending::Panicked, now));
        assert_eq!(newest(&desk).state, expected);
    }
}

#[test]
fn o_09_a_later_answer_to_the_same_recipient_waits_for_the_earlier_one() {
    let desk = with_an_answer();
    desk.memory().fail_next(failure(FailureKind::Transient, 451));
    desk.test.run_jobs();
    desk.answer(&desk.ticket(), "Et éteignez-le.", Status::WaitingForCustomer);
    assert!(desk.sent().is_empty());
    desk.test.clock.advance(TimeDelta::minutes(2));
    desk.test.run_jobs();
    let texts: Vec<bool> = desk.sent().iter().map(|sent| sent.mail.text.contains("Et éteignez-le.")).collect();
    assert_eq!(texts, [false, true]);
}

/// What is mailed to Zoé in the next while.
fn to_zoe(desk: &Desk, passes: TimeDelta) -> Vec<Sent> {
    desk.test.pass(passes);
    desk.sent_to("zoe@staff.example")
}

#[test]
fn o_05_news_to_an_agent_older_than_a_day_stands_in_one_digest() {
    let desk = Desk::open();
    let no_relay = || desk.memory().fail_always(Some(failure(FailureKind::Transient, 451)));
    no_relay();
    for subject in ["Écran noir", "Facture"] {
        desk.receive(&Letter::from("claire@acme.example").subject(subject));
    }
    let tickets = desk.tickets();
    desk.receive(&Letter::from("bob@acme.example").subject("Autre chose"));
    assert_eq!(desk.tickets().len(), 3);
    // Deferred again and again for a day: nothing comes, and nothing is dead that somebody would have to look at.
    for _ in 0..25 {
        assert!(to_zoe(&desk, TimeDelta::hours(1)).is_empty());
    }
    desk.memory().fail_always(None);
    let sent = to_zoe(&desk, TimeDelta::hours(5));
    assert_eq!(sent.len(), 1, "one mail in place of three");
    let digest = &sent[0].mail;
    assert_eq!(digest.subject, "Du nouveau dans 3 tickets, avec retard");
    for ticket in &tickets {
        let link = format!("http://desk.example/tickets/{}", ticket.reference);
        assert!(digest.text.contains(&link) && digest.text.contains(&ticket.subject), "{}", digest.text);
    }
    assert!(!digest.text.contains("mon écran reste noir"), "it says where to look, not what was said");
    assert!(to_zoe(&desk, TimeDelta::days(2)).is_empty(), "each news is told once");
    assert_eq!(desk.test.read(listing::counts).dead, 0);
    let told: Vec<(OutboxId, Option<OutboxId>)> = desk.test.read(|db| {
        let of_digest = rows::table.filter(rows::folded_into.is_not_null());
        Ok(of_digest.select((rows::id, rows::folded_into)).load(db)?)
    });
    let digest = told[0].1.expect("a digest");
    let again = desk.test.app.database.write_now(move |db| {
        let mail_id: String = rows::table.find(digest).select(rows::mail_id).first(db)?;
        folding::fold(db, &[told[0].0], &mail_id)
    });
    assert!(again.is_err(), "a second digest of the same news is not posted");
}

#[test]
fn o_05_a_digest_that_comes_too_late_itself_goes_on_in_the_next_with_what_came_since() {
    let desk = Desk::open();
    desk.memory().fail_always(Some(failure(FailureKind::Transient, 451)));
    desk.receive(&Letter::from("claire@acme.example").subject("Écran noir"));
    for hour in 0..80 {
        if hour == 30 {
            desk.receive(&Letter::from("claire@acme.example").subject("Facture"));
        }
        assert!(to_zoe(&desk, TimeDelta::hours(1)).is_empty());
    }
    let open = |desk: &Desk| desk.test.read(|db| listing::list(db, Which::Open, None, 100)).rows;
    let waiting = open(&desk).into_iter().filter(|mail| mail.recipient == "zoe@staff.example").count();
    assert_eq!(waiting, 1, "at most one digest is on its way");
    desk.memory().fail_always(None);
    let sent = to_zoe(&desk, TimeDelta::hours(5));
    assert_eq!(sent.len(), 1);
    let text = &sent[0].mail.text;
    assert!(text.contains("Écran noir") && text.contains("Facture"), "{text}");
    assert!(to_zoe(&desk, TimeDelta::days(2)).is_empty());
}

#[test]
fn o_05_a_digest_tells_nothing_of_tickets_that_its_reader_may_not_see_any_more() {
    let desk = Desk::open();
    desk.memory().fail_always(Some(failure(FailureKind::Transient, 451)));
    for subject in ["Écran noir", "Facture"] {
        desk.receive(&Letter::from("claire@acme.example").subject(subject));
    }
    desk.test.pass(TimeDelta::hours(1));
    let [seen, moved]: [Ticket; 2] = desk.tickets().try_into().unwrap();
    desk.test.given().customer_message(&seen, "Il l'est toujours.");
    let now = desk.test.now();
    desk.test.write(move |db| {
        let moved = ticket::by_id(db, moved.id)?;
        let queue = queues::find_by_kind(db, QueueKind::Sales)?.expect("every kind has a queue");
        moving::to_queue(db, &moved, queue.id, &Actor::System, now)
    });
    for _ in 0..30 {
        assert!(to_zoe(&desk, TimeDelta::hours(1)).is_empty());
    }
    desk.memory().fail_always(None);
    let sent = to_zoe(&desk, TimeDelta::hours(5));
    assert_eq!(sent.len(), 1);
    let digest = &sent[0].mail;
    assert_eq!(digest.subject, "Du nouveau dans un ticket, avec retard");
    assert!(digest.text.contains("Écran noir") && digest.text.contains("2 nouvelles"), "{}", digest.text);
    assert!(!digest.text.contains("Facture"), "{}", digest.text);
}

#[test]
fn o_05_nobody_gets_a_digest_who_sees_none_of_it_wants_no_mail_or_is_gone() {
    let nothing_happens = |_: &mut DbConnection, _: PersonId, _: UtcTime| Ok(());
    let left_the_queue = |db: &mut DbConnection, zoe: PersonId, now: UtcTime| {
        let queue = queues::find_by_kind(db, QueueKind::Support)?.expect("every kind has a queue");
        members::remove(db, &queue, zoe, None, now)
    };
    let wants_no_mail = |db: &mut DbConnection, zoe: PersonId, _: UtcTime| {
        let zoe = people::table.find(zoe);
        diesel::update(zoe).set(people::mailed_about_tickets.eq(false)).execute(db)?;
        Ok(())
    };
    let is_gone = |db: &mut DbConnection, zoe: PersonId, _: UtcTime| {
        diesel::update(people::table.find(zoe)).set(people::state.eq(PersonState::Disabled)).execute(db)?;
        Ok(())
    };
    type Change = fn(&mut DbConnection, PersonId, UtcTime) -> Result<()>;
    let cases: [(&str, Change, usize); 4] = [
        ("nothing", nothing_happens, 1),
        ("she left the queue", left_the_queue, 0),
        ("she wants no mail", wants_no_mail, 0),
        ("she is gone", is_gone, 0),
    ];
    for (what, change, digests) in cases {
        let desk = Desk::open();
        desk.memory().fail_always(Some(failure(FailureKind::Transient, 451)));
        desk.receive(&Letter::from("claire@acme.example"));
        let (zoe, now) = (desk.zoe, desk.test.now());
        desk.test.write(move |db| change(db, zoe, now));
        for _ in 0..30 {
            desk.test.pass(TimeDelta::hours(1));
        }
        desk.memory().fail_always(None);
        // Within the day for which a digest itself is tried.
        assert_eq!(to_zoe(&desk, TimeDelta::hours(5)).len(), digests, "{what}");
    }
}

fn letter(kind: Kind, number: usize, now: UtcTime) -> NewLetter {
    NewLetter {
        kind,
        organisation: None,
        ticket: None,
        message: None,
        person: None,
        mailbox: None,
        recipient: format!("p{number}@x{}.example", number % 97),
        envelope_from: String::new(),
        mail_id: format!("<{number}@desk.example>"),
        subject: "x".to_owned(),
        mime: b"Subject: x\r\n\r\nx\r\n".to_vec(),
        expires_at: now.plus(kind.lifetime()),
    }
}

#[test]
fn o_05_each_kind_lives_as_long_as_it_is_good_for_something_and_only_what_nobody_misses_dies_quietly() {
    for (kind, lives, end) in [
        (Kind::Reply, TimeDelta::days(5), State::Dead),
        (Kind::Acknowledgement, TimeDelta::days(5), State::Dead),
        (Kind::Invitation, TimeDelta::hours(72), State::Dead),
        (Kind::Confirmation, TimeDelta::hours(72), State::Dead),
        (Kind::Notification, TimeDelta::hours(24), State::Suppressed),
        (Kind::Password, TimeDelta::minutes(30), State::Suppressed),
        (Kind::SignIn, TimeDelta::minutes(10), State::Suppressed),
    ] {
        for (after, is_sent) in [(lives - TimeDelta::seconds(1), true), (lives, false)] {
            let desk = Desk::open();
            let now = desk.test.now();
            desk.test.write(move |db| outbox::enqueue(db, &letter(kind, 0, now), now));
            desk.test.clock.advance(after);
            desk.test.run_jobs();
            let state = desk.test.read(|db| Ok(rows::table.select(rows::state).first::<State>(db)?));
            // Nobody was there to try it: what is good for longer than a time of its own is tried then.
            let is_sent = is_sent || matches!(kind, Kind::Reply | Kind::Acknowledgement);
            let end = if is_sent { State::Sent } else { end };
            assert_eq!(state, if is_sent { State::Sent } else { end }, "{kind} after {after}");
            assert_eq!(
                desk.test.read(listing::counts).dead,
                i64::from(state == State::Dead),
                "{kind}: who looks is told"
            );
        }
    }
}

#[test]
fn o_05_days_on_which_the_program_stood_still_are_no_days_on_which_a_mail_was_tried() {
    // Never tried, and tried once before the program stood still.
    for tried in [0, 1] {
        let desk = Desk::open();
        let now = desk.test.now();
        desk.test.write(move |db| outbox::enqueue(db, &letter(Kind::Reply, 0, now), now));
        desk.memory().fail_always(Some(failure(FailureKind::Transient, 451)));
        if tried > 0 {
            desk.test.run_jobs();
        }
        desk.test.clock.advance(TimeDelta::days(8));
        desk.test.run_jobs();
        let stands = |desk: &Desk| {
            let columns = (rows::state, rows::attempts);
            desk.test.read(|db| Ok(rows::table.select(columns).first::<(State, i32)>(db)?))
        };
        assert_eq!(stands(&desk), (State::Deferred, tried + 1));
        for _ in 0..(5 * 24 - 1) {
            desk.test.pass(TimeDelta::hours(1));
        }
        assert_eq!(stands(&desk).0, State::Deferred, "it has its five days");
        for _ in 0..6 {
            desk.test.pass(TimeDelta::hours(1));
        }
        assert_eq!(stands(&desk).0, State::Dead, "and no more");
    }
}

#[test]
fn o_05_an_answer_that_was_not_taken_for_five_days_is_told_on_its_ticket() {
    let desk = with_an_answer();
    desk.memory().fail_always(Some(failure(FailureKind::Relay, 421)));
    for _ in 0..(5 * 24 + 2) {
        desk.test.pass(TimeDelta::hours(1));
    }
    assert_eq!(newest(&desk).state, State::Dead);
    let ticket = desk.ticket();
    let told = desk.test.read(|db| events::of_ticket(db, &ticket, 100));
    assert!(told.iter().any(|event| event.kind == EventKind::MailFailed));
}

#[test]
fn ft_07_a_relay_that_is_down_for_three_days_is_hardly_tried_and_then_gets_every_mail_once() {
    let mails = crate::support::times(300, 10_000);
    let desk = Desk::open();
    let now = desk.test.now();
    desk.test
        .write(move |db| (0..mails).try_for_each(|number| outbox::enqueue(db, &letter(Kind::Reply, number, now), now)));
    desk.memory().fail_always(Some(failure(FailureKind::Relay, 421)));
    let drain = || while outgoing_mail::deliver_next(&desk.test.app, "test").unwrap() != Step::Idle {};
    for hour in 0..72_u32 {
        let before = desk.memory().attempts();
        for _ in 0..60 {
            drain();
            desk.test.clock.advance(TimeDelta::minutes(1));
        }
        let tries = desk.memory().attempts() - before;
        assert!((1..=30).contains(&tries), "{tries} in hour {hour}");
    }
    let counts = desk.test.read(listing::counts);
    assert_eq!((counts.dead, counts.waiting), (0, mails as i64));
    desk.memory().fail_always(None);
    desk.test.clock.advance(TimeDelta::minutes(10));
    drain();
    let mut recipients: Vec<String> = desk.memory().take().into_iter().map(|sent| sent.recipient).collect();
    recipients.sort();
    recipients.dedup();
    assert_eq!((recipients.len(), desk.test.read(listing::counts).waiting), (mails, 0));
    assert!(desk.memory().attempts() <= mails + 72 * 30, "each once");
}
