//! A mail that was acknowledged is there, once, until somebody has dealt with it.

use std::time::Duration;

use accord::db::schema::journal as journal_rows;
use accord::db::types::{JournalId, MailboxId};
use accord::journal::claiming::{self, Setback, Stage};
use accord::journal::{self, Acceptance, NewMail, Recipient, State, Way, unprocessed};
use accord::stumbling::{self, Stage as Stumbling};
use accord::teams::mailboxes::{self, MailboxDescription};
use accord::teams::queues::{self, QueueKind};
use accord::tickets::attachments;
use accord::worker::incoming_mail;
use accord::worker::recurring;
use accord::worker::threads::Step;
use actix_web::test::{TestRequest, call_and_read_body, init_service};
use chrono::TimeDelta;
use diesel::connection::SimpleConnection;
use diesel::prelude::*;

use crate::support::desk::{Desk, Letter, SUPPORT, address};

fn default_mailbox(desk: &Desk) -> MailboxId {
    desk.test.read(|db| Ok(mailboxes::default(db)?.id))
}

/// A mailbox of the queue for sales, beside that for support.
pub fn second_mailbox(desk: &Desk) -> MailboxId {
    let now = desk.test.now();
    desk.test.write(move |db| {
        let queue = queues::find_by_kind(db, QueueKind::Sales)?.expect("a queue").id;
        let description =
            MailboxDescription::new(address("ventes@garonne.example"), "Ventes", queue, accord::i18n::Locale::Fr);
        Ok(mailboxes::create(db, &description, None, now)?.id)
    })
}

fn only_row(desk: &Desk) -> JournalId {
    let now = desk.test.now();
    let due = desk.test.read(|db| claiming::due(db, now));
    assert_eq!(due.len(), 1);
    due[0]
}

#[test]
fn j_01_a_mail_becomes_a_ticket_and_its_original_moves_to_storage() {
    let desk = Desk::open();
    let letter = Letter::from("Claire Lefèvre <claire@acme.example>");
    assert_eq!(desk.accept(&letter), Acceptance::Accepted);
    let id = only_row(&desk);
    assert!(desk.test.read(|db| claiming::load(db, id)).raw.is_some());
    desk.test.run_jobs();
    let ticket = desk.ticket();
    assert_eq!(ticket.subject, "Écran noir");
    assert_eq!((ticket.requester_id, ticket.organisation_id), (desk.claire, desk.acme));
    assert!(desk.messages(&ticket)[0].body_text.contains("mon écran reste noir"));
    let row = desk.test.read(|db| claiming::load(db, id));
    assert!(row.raw.is_none() && row.state == State::Applied);
    let original = desk.test.app.storage.get(&row.original_hash.unwrap()).unwrap();
    assert_eq!(original, letter.bytes());
}

#[test]
fn j_02_a_worker_that_never_comes_back_leaves_the_mail_to_another_and_five_times_is_enough() {
    let desk = Desk::open();
    desk.accept(&Letter::from("claire@acme.example"));
    let id = only_row(&desk);
    for attempt in 0..5 {
        let now = desk.test.now();
        assert!(desk.test.write(move |db| claiming::claim(db, id, "dying", now)).is_some(), "attempt {attempt}");
        // Nobody else gets it while the lease lasts.
        assert!(desk.test.write(move |db| claiming::claim(db, id, "other", now)).is_none());
        desk.test.clock.advance(TimeDelta::seconds(121));
    }
    let now = desk.test.now();
    assert!(desk.test.write(move |db| claiming::claim(db, id, "sixth", now)).is_none());
    let counts = desk.test.read(unprocessed::counts);
    assert_eq!((counts.waiting, counts.failed), (0, 1));
}

#[test]
fn j_02_mails_are_taken_one_after_another_and_each_counts_its_own_attempt() {
    let desk = Desk::open();
    let letters: Vec<Letter> = ["un", "deux", "trois"].map(|name| Letter::from(&format!("{name}@acme.example"))).into();
    for letter in &letters {
        assert_eq!(desk.accept(letter), Acceptance::Accepted);
    }
    let now = desk.test.now();
    let ids = desk.test.read(|db| claiming::due(db, now));
    // The second is given up before it is read: its bytes are missing.
    let damaged = ids[1];
    desk.test.write(move |db| {
        diesel::update(journal_rows::table.find(damaged)).set(journal_rows::raw.eq(None::<Vec<u8>>)).execute(db)?;
        Ok(())
    });
    // The third is claimed with the second where mails share commits, and by itself otherwise.
    let together = desk.test.app.database.url().is_sqlite();
    let first = incoming_mail::process_next(&desk.test.app, "one").unwrap();
    assert_eq!(first, Step::Worked(if together { 3 } else { 2 }));
    let states = |desk: &Desk| {
        ids.iter()
            .map(|id| desk.test.read(|db| claiming::load(db, *id)))
            .map(|row| (row.state, row.attempts))
            .collect::<Vec<_>>()
    };
    if !together {
        assert_eq!(states(&desk), [(State::Applied, 1), (State::Accepted, 1), (State::Accepted, 0)]);
        assert_eq!(incoming_mail::process_next(&desk.test.app, "one").unwrap(), Step::Worked(1));
    }
    assert_eq!(states(&desk), [(State::Applied, 1), (State::Accepted, 1), (State::Applied, 1)]);
}

#[test]
fn j_07_what_was_tried_before_is_taken_alone_and_what_is_large_too() {
    let desk = Desk::open();
    for name in ["un", "deux", "trois", "quatre"] {
        desk.accept(&Letter::from(&format!("{name}@acme.example")));
    }
    let now = desk.test.now();
    let ids = desk.test.read(|db| claiming::due(db, now));
    let claim = |worker: &'static str, at_most: usize, bytes: usize| {
        let claimed = desk.test.write(move |db| claiming::claim_together(db, worker, at_most, bytes, now));
        desk.test.write(move |db| claiming::free_leases(db, worker));
        claimed.iter().map(|claimed| claimed.id).collect::<Vec<_>>()
    };
    assert_eq!(claim("two", 2, usize::MAX), ids[..2], "in the order they came");
    assert_eq!(claim("one", 8, usize::MAX), ids[..1], "the process that held it may have ended over it");
    desk.test.write({
        let (first, second) = (ids[0], ids[1]);
        move |db| {
            claiming::claim(db, first, "holds", now)?;
            claiming::claim(db, second, "holds", now)
        }
    });
    assert_eq!(claim("light", 8, 1), ids[2..3], "however much it weighs, the first is taken");
    desk.test.write({
        let third = ids[2];
        move |db| claiming::claim(db, third, "holds", now)
    });
    assert_eq!(claim("rest", 8, usize::MAX), ids[3..]);
}

#[test]
fn a_mail_that_fails_takes_nothing_from_those_it_shares_a_commit_with() {
    let desk = Desk::open();
    for name in ["un", "deux", "trois", "quatre"] {
        desk.accept(&Letter::from(&format!("{name}@acme.example")));
    }
    let now = desk.test.now();
    let ids = desk.test.read(|db| claiming::due(db, now));
    let (is_sqlite, refused) = (desk.test.app.database.url().is_sqlite(), ids[2].0);
    let refuse = if is_sqlite {
        format!(
            "CREATE TRIGGER refusal BEFORE UPDATE OF finished_at ON journal WHEN NEW.id = {refused}
                 AND NEW.state = 'applied' BEGIN SELECT RAISE(ABORT, 'not this one'); END"
        )
    } else {
        format!(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
                 $$ BEGIN RAISE EXCEPTION 'not this one'; END $$;
             CREATE TRIGGER refusal BEFORE UPDATE OF finished_at ON journal FOR EACH ROW
                 WHEN (NEW.id = {refused} AND NEW.state = 'applied') EXECUTE FUNCTION refuse()"
        )
    };
    desk.test.write(move |db| Ok(db.batch_execute(&refuse)?));
    while incoming_mail::process_next(&desk.test.app, "one").unwrap() != Step::Idle {}
    let rows: Vec<_> = ids.iter().map(|id| desk.test.read(|db| claiming::load(db, *id))).collect();
    let states: Vec<_> = rows.iter().map(|row| (row.state, row.attempts)).collect();
    assert_eq!(states, [(State::Applied, 1), (State::Applied, 1), (State::Parsed, 1), (State::Applied, 1)]);
    assert_eq!(desk.tickets().len(), 3, "what was done once more was done once");
}

#[test]
fn j_07_mails_that_could_not_even_be_given_back_are_free_again_after_a_pause() {
    let desk = Desk::open();
    desk.accept(&Letter::from("un@acme.example"));
    let is_sqlite = desk.test.app.database.url().is_sqlite();
    let refuse = if is_sqlite {
        "CREATE TRIGGER refusal BEFORE UPDATE OF state ON journal BEGIN SELECT RAISE(ABORT, 'not now'); END"
    } else {
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN RAISE EXCEPTION 'not now'; END $$;
         CREATE TRIGGER refusal BEFORE UPDATE OF state ON journal FOR EACH ROW EXECUTE FUNCTION refuse()"
    };
    desk.test.write(move |db| Ok(db.batch_execute(refuse)?));
    assert!(incoming_mail::process_next(&desk.test.app, "one").is_err());
    let allow = if is_sqlite { "DROP TRIGGER refusal" } else { "DROP TRIGGER refusal ON journal" };
    desk.test.write(move |db| Ok(db.batch_execute(allow)?));
    assert_eq!(incoming_mail::process_next(&desk.test.app, "one").unwrap(), Step::Idle, "after a pause");
    desk.test.clock.advance(TimeDelta::seconds(31));
    assert_eq!(incoming_mail::process_next(&desk.test.app, "one").unwrap(), Step::Worked(1));
    assert_eq!(desk.tickets().len(), 1);
}

#[test]
fn no_mail_is_claimed_in_a_row_that_took_a_second() {
    let desk = Desk::open();
    for name in ["un", "deux", "trois"] {
        assert_eq!(desk.accept(&Letter::from(&format!("{name}@acme.example"))), Acceptance::Accepted);
    }
    let row = |took: Duration| incoming_mail::process_row(&desk.test.app, "one", || took).unwrap();
    assert_eq!(row(Duration::from_secs(1)), Step::Worked(1));
    let now = desk.test.now();
    let waiting = desk.test.read(|db| claiming::due(db, now));
    let attempts = |id: &JournalId| desk.test.read(|db| claiming::load(db, *id)).attempts;
    assert_eq!(waiting.iter().map(attempts).collect::<Vec<_>>(), [0, 0], "they are free for any thread");
    assert_eq!(row(Duration::from_millis(999)), Step::Worked(2));
    assert_eq!(row(Duration::ZERO), Step::Idle);
}

#[test]
fn j_07_a_mail_that_cannot_be_taken_along_takes_nothing_from_the_one_before_it() {
    let desk = Desk::open();
    for name in ["un", "deux"] {
        desk.accept(&Letter::from(&format!("{name}@acme.example")));
    }
    let now = desk.test.now();
    let ids = desk.test.read(|db| claiming::due(db, now));
    let (is_sqlite, refused) = (desk.test.app.database.url().is_sqlite(), ids[1].0);
    let refuse = if is_sqlite {
        format!(
            "CREATE TRIGGER refusal BEFORE UPDATE OF leased_by ON journal WHEN NEW.id = {refused} BEGIN
                 SELECT RAISE(ABORT, 'not this one'); END"
        )
    } else {
        format!(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
                 $$ BEGIN RAISE EXCEPTION 'not this one'; END $$;
             CREATE TRIGGER refusal BEFORE UPDATE OF leased_by ON journal FOR EACH ROW WHEN (NEW.id = {refused})
                 EXECUTE FUNCTION refuse()"
        )
    };
    desk.test.write(move |db| Ok(db.batch_execute(&refuse)?));
    assert_eq!(incoming_mail::process_next(&desk.test.app, "one").unwrap(), Step::Worked(1));
    let rows: Vec<_> = ids.iter().map(|id| desk.test.read(|db| claiming::load(db, *id))).collect();
    let states: Vec<_> = rows.iter().map(|row| (row.state, row.attempts)).collect();
    assert_eq!(states, [(State::Applied, 1), (State::Accepted, 0)]);
    assert_eq!(desk.tickets().len(), 1, "what was done once more was done once");
}

#[actix_web::test]
async fn j_04_ft_30_mail_that_waits_for_somebody_is_counted_for_whoever_watches() {
    let desk = Desk::open();
    let app = actix_web::web::Data::from(desk.test.app.clone());
    let service =
        init_service(actix_web::App::new().app_data(app).configure(accord::web::health::metrics_routes)).await;
    let metrics = || async {
        let answer = call_and_read_body(&service, TestRequest::get().uri("/metrics").to_request()).await;
        String::from_utf8(answer.to_vec()).unwrap()
    };
    assert!(metrics().await.contains("\naccord_mail_unprocessed 0\n"));
    desk.accept(&Letter::from("claire@acme.example"));
    let id = only_row(&desk);
    for _ in 0..3 {
        let now = desk.test.now();
        desk.test.write(move |db| claiming::claim(db, id, "one", now));
        let delivery = desk.test.read(|db| claiming::load(db, id));
        desk.test
            .write(move |db| claiming::set_back(db, &delivery, "one", Stage::Reading, Setback::Panic, "panicked", now));
        desk.test.clock.advance(TimeDelta::minutes(1));
    }
    let text = metrics().await;
    assert!(text.contains("\naccord_mail_unprocessed 1\n"), "{text}");
    assert!(text.contains("\naccord_database_log_bytes "), "{text}");
}

#[test]
fn j_02_faults_are_repeated_with_pauses_and_a_busy_machine_costs_no_attempt() {
    let desk = Desk::open();
    desk.accept(&Letter::from("claire@acme.example"));
    let id = only_row(&desk);
    let set_back = |setback| {
        let now = desk.test.now();
        assert!(desk.test.write(move |db| claiming::claim(db, id, "one", now)).is_some());
        let delivery = desk.test.read(|db| claiming::load(db, id));
        desk.test.write(move |db| claiming::set_back(db, &delivery, "one", Stage::Applying, setback, "no", now))
    };
    for _ in 0..20 {
        assert_eq!(set_back(Setback::Busy), State::Parsed);
        desk.test.clock.advance(TimeDelta::minutes(1));
    }
    for _ in 0..4 {
        assert_eq!(set_back(Setback::Fault), State::Parsed);
        desk.test.clock.advance(TimeDelta::hours(1));
    }
    assert_eq!(set_back(Setback::Fault), State::Failed);
    // Somebody has it tried again, and it is fine.
    let now = desk.test.now();
    assert!(desk.test.write(move |db| unprocessed::reprocess(db, id, now)));
    desk.test.run_jobs();
    assert_eq!(desk.tickets().len(), 1);
}

#[test]
fn j_03_whatever_arrives_an_agent_sees_a_ticket() {
    let raws: [&[u8]; 8] = [
        b"",
        b" a body that starts like a folded header\r\n",
        b"no header at all",
        b"\0\0\0\0",
        b"From: <>\r\n\r\n",
        b"Subject: only a subject\r\n",
        b"From: a@b.example\rSubject: carriage returns\r\rtext\r",
        b"From : claire@acme.example\r\nFrom: bob@acme.example\r\nSubject: two\r\n\r\ntext",
    ];
    let desk = Desk::open();
    let mailbox = default_mailbox(&desk);
    for raw in raws {
        let now = desk.test.now();
        let recipients = vec![Recipient { mailbox, address: SUPPORT.to_owned() }];
        let mail = NewMail::new(recipients, "x@y.example".to_owned(), Way::Lmtp, raw.to_vec());
        desk.test.write(move |db| journal::accept(db, &mail, now));
    }
    desk.test.run_jobs();
    let tickets = desk.tickets();
    assert_eq!(tickets.len(), raws.len());
    assert!(tickets.iter().all(|ticket| ticket.requester_id != desk.claire && ticket.requester_id != desk.bob));
    assert!(desk.sent().iter().all(|sent| sent.recipient == "zoe@staff.example"));
}

#[test]
fn j_03_a_mail_over_which_reading_panicked_is_a_ticket_with_the_original_within_a_minute() {
    let desk = Desk::open();
    desk.accept(&Letter::from("claire@acme.example"));
    let id = only_row(&desk);
    for _ in 0..2 {
        let now = desk.test.now();
        assert!(desk.test.write(move |db| claiming::claim(db, id, "one", now)).is_some());
        let delivery = desk.test.read(|db| claiming::load(db, id));
        desk.test
            .write(move |db| claiming::set_back(db, &delivery, "one", Stage::Reading, Setback::Panic, "panicked", now));
        assert_eq!(desk.test.read(|db| unprocessed::stumbling(db, 10)).len(), 1);
        desk.test.clock.advance(TimeDelta::seconds(10));
    }
    desk.test.run_jobs();
    let ticket = desk.ticket();
    assert_eq!(ticket.subject, "Un message n’a pas pu être lu");
    let files = desk.test.read(|db| accord::tickets::attachments::of_ticket(db, &ticket));
    assert_eq!(files.len(), 1);
    assert_eq!(files[0].file_name, "original.eml");
}

#[test]
fn j_05_the_same_bytes_again_are_acknowledged_and_do_nothing() {
    let desk = Desk::open();
    let letter = Letter::from("claire@acme.example");
    assert_eq!(desk.receive(&letter), Acceptance::Accepted);
    assert_eq!(desk.receive(&letter), Acceptance::AlreadyKnown);
    assert_eq!(desk.tickets().len(), 1);
}

#[test]
fn j_05_the_same_mail_by_another_path_is_one_message() {
    let desk = Desk::open();
    let letter = Letter::from("claire@acme.example");
    desk.receive(&letter);
    let second =
        letter.clone().on_top("Received", "from elsewhere by mx2.garonne.example; Mon, 23 Nov 2026 08:01:00 +0000");
    assert_eq!(desk.receive(&second), Acceptance::Accepted);
    let ticket = desk.ticket();
    assert_eq!(desk.messages(&ticket).len(), 1);
}

#[test]
fn j_05_a_poisoned_message_id_does_not_suppress_the_real_mail() {
    let desk = Desk::open();
    let genuine = Letter::from("claire@acme.example");
    let poison = Letter::from("mallory@evil.example").header("Message-ID", genuine.id()).text("nothing to see");
    desk.receive(&poison);
    desk.receive(&genuine);
    let tickets = desk.tickets();
    assert_eq!(tickets.len(), 2);
    assert_eq!(tickets[1].requester_id, desk.claire);
    let records = desk.test.read(|db| journal::outcome::of_ticket(db, tickets[1].id));
    assert!(records[0].2.flags.contains(&"same_id_other_content".to_owned()));
}

#[test]
fn j_06_a_mail_for_two_mailboxes_is_two_rows_in_one_transaction_with_their_own_outcomes() {
    let desk = Desk::open();
    let (support, sales) = (default_mailbox(&desk), second_mailbox(&desk));
    let recipients = vec![
        Recipient { mailbox: support, address: SUPPORT.to_owned() },
        Recipient { mailbox: sales, address: "ventes@garonne.example".to_owned() },
    ];
    let letter = Letter::from("claire@acme.example");
    let mail = NewMail::new(recipients, "claire@acme.example".to_owned(), Way::Lmtp, letter.bytes());
    let now = desk.test.now();
    let accepted = desk.test.write(move |db| journal::accept(db, &mail, now));
    assert_eq!(accepted, [Acceptance::Accepted, Acceptance::Accepted]);
    desk.test.run_jobs();
    let tickets = desk.tickets();
    assert_eq!(tickets.len(), 2);
    assert_ne!(tickets[0].queue_id, tickets[1].queue_id);
}

#[test]
fn j_07_three_panics_end_a_mail_and_the_next_ones_go_on() {
    let desk = Desk::open();
    desk.accept(&Letter::from("claire@acme.example"));
    let id = only_row(&desk);
    let mut states = Vec::new();
    for _ in 0..3 {
        let now = desk.test.now();
        assert!(desk.test.write(move |db| claiming::claim(db, id, "one", now)).is_some());
        let delivery = desk.test.read(|db| claiming::load(db, id));
        states.push(desk.test.write(move |db| {
            claiming::set_back(db, &delivery, "one", Stage::Applying, Setback::Panic, "panicked", now)
        }));
        desk.test.clock.advance(TimeDelta::seconds(10));
    }
    assert_eq!(states, [State::Parsed, State::Parsed, State::Failed]);
    desk.receive(&Letter::from("bob@acme.example"));
    assert_eq!(desk.ticket().requester_id, desk.bob);
    assert!(desk.test.read(|db| claiming::load(db, id)).raw.is_some(), "a failed mail keeps its bytes");
}

#[test]
fn j_09_mails_are_taken_in_the_order_they_came_whatever_the_clock_says() {
    let desk = Desk::open();
    desk.accept(&Letter::from("claire@acme.example").subject("first"));
    desk.test.clock.advance(TimeDelta::hours(-1));
    desk.accept(&Letter::from("bob@acme.example").subject("second"));
    desk.test.clock.advance(TimeDelta::hours(2));
    desk.test.run_jobs();
    let subjects: Vec<String> = desk.tickets().into_iter().map(|ticket| ticket.subject).collect();
    assert_eq!(subjects, ["first", "second"]);
}

#[test]
fn l_01_a_mail_over_the_limit_is_kept_whole_and_becomes_a_ticket_with_it_attached() {
    let desk = Desk::with_settings("[limits]\nmail_bytes = 65536");
    let letter = Letter::from("claire@acme.example").text(&"Un plan.\r\n".repeat(20_000));
    assert!(letter.bytes().len() > 3 * 65_536);
    desk.receive(&letter);
    let ticket = desk.ticket();
    assert_eq!((ticket.subject.as_str(), ticket.requester_id), ("Écran noir", desk.claire));
    let files = desk.test.read(|db| attachments::of_ticket(db, &ticket));
    assert_eq!(files.iter().map(|file| file.file_name.as_str()).collect::<Vec<_>>(), ["original.eml"]);
    assert_eq!(desk.test.app.storage.get(&files[0].content_hash).unwrap(), letter.bytes());
    assert!(!desk.messages(&ticket)[0].body_text.contains("Un plan"), "no more than its header is read");
}

#[test]
fn j_04_what_waits_for_somebody_is_there_after_three_months_and_after_a_year_with_its_bytes() {
    let desk = Desk::open();
    recurring::run_due(&desk.test.app, desk.test.now()).unwrap();
    desk.accept(&Letter::from("claire@acme.example").subject("Illisible"));
    let handle = desk.test.read(|db| Ok(journal_rows::table.select(journal_rows::handle).first::<String>(db)?));
    let stone = stumbling::lay(Stumbling::Reading, &handle);
    for _ in 0..4 {
        desk.test.pass(TimeDelta::hours(1));
    }
    drop(stone);
    desk.receive(&Letter::from("claire@acme.example").subject("Faux").authenticated("fail"));
    let mails = |desk: &Desk| {
        desk.test.read(|db| {
            let all = journal_rows::table.order(journal_rows::id);
            Ok(all.select((journal_rows::state, journal_rows::raw, journal_rows::original_hash)).load(db)?)
        })
    };
    let before: Vec<(State, Option<Vec<u8>>, Option<String>)> = mails(&desk);
    assert_eq!(before.iter().map(|mail| mail.0).collect::<Vec<_>>(), [State::Failed, State::Held]);
    for day in 1..=400 {
        desk.test.clock.advance(TimeDelta::days(1));
        recurring::run_due(&desk.test.app, desk.test.now()).unwrap();
        desk.test.run_jobs();
        if [89, 91, 400].contains(&day) {
            assert!(mails(&desk) == before, "after {day} days");
            let bytes = |mail: &(State, Option<Vec<u8>>, Option<String>)| match mail {
                (_, Some(raw), _) => raw.clone(),
                (_, None, hash) => desk.test.app.storage.get(hash.as_ref().unwrap()).unwrap(),
            };
            assert!(before.iter().all(|mail| bytes(mail).ends_with(b"noir.\r\n")), "after {day} days");
        }
    }
    let counts = desk.test.read(unprocessed::counts);
    assert_eq!((counts.held, counts.failed), (1, 1));
}
