//! Mail fetched by IMAP: each taken once, whatever happens in between, and none that was there before.

use accord::db::schema::journal as rows;
use accord::db::types::Json;
use accord::i18n::Locale;
use accord::journal::unprocessed;
use accord::journal::{Record, State};
use accord::teams::mailboxes::{self, MailboxDescription};
use accord::teams::members;
use accord::teams::queues::{self, QueueKind};
use accord::tickets::status::Status;
use accord::worker::imap::Ended;
use accord::worker::imap::client::Trouble;
use chrono::TimeDelta;
use diesel::prelude::*;

use super::journal::second_mailbox;
use crate::support::desk::{AUTHSERV, Letter, SUPPORT, address};
use crate::support::imap::{Fetching, Manner};

fn letter(subject: &str) -> Letter {
    Letter::from("claire@acme.example").subject(subject)
}

/// How each mail was understood, the oldest first.
fn records(fetching: &Fetching) -> Vec<(State, Record)> {
    fetching.desk.test.read(|db| {
        let found: Vec<(State, Json<Record>)> =
            rows::table.order(rows::id).select((rows::state, rows::record)).load(db)?;
        Ok(found.into_iter().map(|(state, record)| (state, record.0)).collect())
    })
}

#[actix_web::test]
async fn s_06_j_01_what_arrives_becomes_a_ticket_and_what_was_there_before_stays_as_it_was() {
    let mut fetching = Fetching::with("");
    fetching.deliver(&letter("Avant"));
    fetching.look_well().await;
    assert!(fetching.subjects().is_empty() && fetching.desk.sent().is_empty());
    fetching.deliver(&letter("Après"));
    fetching.look_well().await;
    assert_eq!(fetching.subjects(), ["Après"]);
    assert_eq!(fetching.desk.ticket().requester_id, fetching.desk.claire);
    assert_eq!(fetching.desk.sent_to("claire@acme.example").len(), 1, "acknowledged as any other");
    fetching.look_well().await;
    assert_eq!(fetching.subjects().len(), 1);
    assert_eq!(fetching.server.heard("UID FETCH 1 "), 0, "what was there is not even looked at");
    // Looking changes nothing.
    assert_eq!((fetching.server.heard("SELECT"), fetching.server.heard("STORE")), (0, 0));
    assert_eq!(fetching.server.heard("BODY[]"), 0);
    let standing = fetching.standing();
    assert_eq!((standing.taken, standing.trouble.is_none(), standing.stuck), (1, true, 0));
}

#[actix_web::test]
async fn s_06_what_was_there_before_is_taken_if_the_operator_says_so() {
    let mut fetching = Fetching::with("existing = \"take\"");
    for subject in ["Un", "Deux", "Trois"] {
        fetching.deliver(&letter(subject));
    }
    fetching.look_well().await;
    fetching.look_well().await;
    assert_eq!(fetching.subjects(), ["Un", "Deux", "Trois"]);
}

#[actix_web::test]
async fn s_06_what_is_from_before_is_taken_and_never_acknowledged() {
    let arrived = |fetching: &Fetching, uid: u32, date: &str| {
        fetching.server.state().mails.get_mut(&uid).unwrap().arrived = date.to_owned();
    };
    let before = "20-Nov-2026 09:00:00 +0000";
    let mut fetching = Fetching::with("existing = \"take\"");
    let there = fetching.deliver(&letter("Avant"));
    arrived(&fetching, there, before);
    let undated = fetching.deliver(&Letter::from("ines@nimbus.example").subject("Sans date"));
    arrived(&fetching, undated, "?");
    fetching.look_well().await;
    assert_eq!(fetching.subjects(), ["Avant", "Sans date"]);
    // Somebody drags old ones into the folder: by when it came there, and by what its sender says.
    let moved = fetching.deliver(&Letter::from("paul@boreal.example").subject("Ancien"));
    arrived(&fetching, moved, before);
    let written = Letter::from("lea@boreal.example").subject("Vieux").header("Date", "Fri, 20 Nov 2026 08:00:00 +0000");
    fetching.deliver(&written);
    fetching.look_well().await;
    assert_eq!(fetching.subjects(), ["Avant", "Sans date", "Ancien", "Vieux"]);
    let told = fetching.desk.sent();
    assert!(told.iter().all(|sent| sent.recipient == "zoe@staff.example"), "only our own are told: {told:?}");
    assert!(records(&fetching).iter().all(|(_, record)| !record.may_acknowledge));
    fetching.deliver(&Letter::from("noe@boreal.example").subject("Nouveau"));
    fetching.look_well().await;
    assert_eq!(fetching.desk.sent_to("noe@boreal.example").len(), 1);
}

#[actix_web::test]
async fn ft_26_an_account_that_leads_to_another_mailbox_begins_anew() {
    let mut fetching = Fetching::with("");
    fetching.look_well().await;
    fetching.deliver(&letter("Un"));
    fetching.deliver(&letter("Deux"));
    fetching.look_well().await;
    // The same numbering, as chance has it, and fewer mails; then more.
    for (user, count, subject) in [("other", 1, "Trois"), ("third", 9, "Quatre")] {
        {
            let mut state = fetching.server.state();
            state.mails.clear();
            state.uid_next = 1;
        }
        for number in 0..count {
            fetching.deliver(&letter(&format!("Avant {user} {number}")));
        }
        fetching.change(|account| account.user = user.to_owned());
        fetching.look_well().await;
        fetching.deliver(&letter(subject));
        fetching.look_well().await;
        assert_eq!(fetching.subjects().last().unwrap(), subject);
    }
    assert_eq!(fetching.subjects(), ["Un", "Deux", "Trois", "Quatre"]);
}

#[actix_web::test]
async fn ft_26_a_wire_cut_while_a_mail_is_fetched_loses_none_and_doubles_none() {
    let mut fetching = Fetching::with("");
    fetching.look_well().await;
    fetching.deliver(&letter("Un"));
    let cut = fetching.server.deliver_with(letter("Deux").bytes(), Manner::HangsUp);
    fetching.deliver(&letter("Trois"));
    assert!(matches!(fetching.look().await, Err(Ended::Trouble(Trouble::Closed))));
    assert_eq!(fetching.standing().trouble.unwrap().0, "closed");
    fetching.server.state().mails.get_mut(&cut).unwrap().manner = Manner::Good;
    // The next goes first; the one over which the wire was cut is tried again in its time.
    fetching.look_well().await;
    assert_eq!(fetching.subjects(), ["Un", "Trois"]);
    fetching.desk.test.clock.advance(TimeDelta::seconds(11));
    fetching.look_well().await;
    fetching.look_well().await;
    assert_eq!(fetching.subjects(), ["Un", "Trois", "Deux"]);
    assert_eq!((fetching.standing().taken, fetching.standing().trouble), (3, None));
}

#[actix_web::test]
async fn ft_26_of_two_processes_one_looks_after_an_account_and_the_other_takes_over() {
    let mut fetching = Fetching::with("");
    fetching.look_well().await;
    fetching.deliver(&letter("Un"));
    let mut other = Fetching::another(&fetching.desk);
    assert!(matches!(other.look_after(false).await, Err(Ended::AnotherS)));
    fetching.look_well().await;
    fetching.deliver(&letter("Deux"));
    // The first one is killed and says nothing any more.
    fetching.desk.test.clock.advance(TimeDelta::seconds(91));
    other.look_after(false).await.unwrap();
    fetching.desk.test.run_jobs();
    assert_eq!(fetching.subjects(), ["Un", "Deux"]);
    assert!(matches!(fetching.look().await, Err(Ended::AnotherS)));
}

#[actix_web::test]
async fn ft_26_numbers_given_anew_double_nothing_and_bring_nothing_from_before() {
    let mut fetching = Fetching::with("");
    let old = fetching.deliver(&letter("Avant"));
    fetching.server.state().mails.get_mut(&old).unwrap().arrived = "20-Nov-2026 09:00:00 +0000".to_owned();
    fetching.look_well().await;
    fetching.deliver(&letter("Un"));
    fetching.look_well().await;
    // The server was restored: other numbers, and a mail that nobody has seen yet.
    {
        let mut state = fetching.server.state();
        state.uid_validity = 8;
        let mails = std::mem::take(&mut state.mails);
        state.mails = mails.into_values().enumerate().map(|(index, mail)| (index as u32 + 40, mail)).collect();
        state.uid_next = 50;
    }
    fetching.deliver(&letter("Deux"));
    fetching.look_well().await;
    fetching.look_well().await;
    assert_eq!(fetching.subjects(), ["Un", "Deux"]);
    assert_eq!(fetching.server.heard("UID FETCH 40 "), 0, "by when it arrived it is known to be old");
    // A person puts an old mail into the folder: now it is for us.
    let moved = fetching.deliver(&letter("Ancien"));
    fetching.server.state().mails.get_mut(&moved).unwrap().arrived = "20-Nov-2026 09:00:00 +0000".to_owned();
    fetching.look_well().await;
    assert_eq!(fetching.subjects(), ["Un", "Deux", "Ancien"]);
}

#[actix_web::test]
async fn ft_26_numbers_that_go_back_under_the_same_name_lose_and_double_nothing() {
    let mut fetching = Fetching::with("");
    fetching.look_well().await;
    for subject in ["Un", "Deux", "Trois"] {
        fetching.deliver(&letter(subject));
    }
    fetching.look_well().await;
    // The server was restored from before the last two, and another came since.
    {
        let mut state = fetching.server.state();
        state.mails.retain(|uid, _| *uid == 1);
        state.uid_next = 2;
    }
    fetching.deliver(&letter("Quatre"));
    fetching.look_well().await;
    assert_eq!(fetching.subjects(), ["Un", "Deux", "Trois", "Quatre"]);
    // A number that was wrong once.
    fetching.server.state().uid_next = 1_000;
    fetching.look_well().await;
    fetching.server.state().uid_next = 3;
    fetching.deliver(&letter("Cinq"));
    fetching.look_well().await;
    assert_eq!(fetching.subjects().last().unwrap(), "Cinq");
    // One that is always wrong makes nobody fetch everything each time.
    fetching.server.state().uid_next = 2;
    let before = fetching.server.heard("BODY.PEEK");
    fetching.look_well().await;
    fetching.look_well().await;
    assert_eq!(fetching.server.heard("BODY.PEEK"), before);
}

#[actix_web::test]
async fn ft_26_a_mail_that_was_destroyed_here_does_not_return_by_new_numbers() {
    let mut fetching = Fetching::with("");
    fetching.look_well().await;
    fetching.deliver(&letter("Un"));
    fetching.look_well().await;
    // What is left of an erased mail is the hash by which it is known.
    fetching.desk.test.write(|db| {
        diesel::update(rows::table)
            .set((rows::original_hash.eq(None::<String>), rows::mail_id.eq(None::<String>), rows::envelope_from.eq("")))
            .execute(db)?;
        Ok(())
    });
    fetching.server.state().uid_validity = 9;
    fetching.look_well().await;
    assert_eq!((fetching.subjects().len(), records(&fetching).len()), (1, 1));
}

#[actix_web::test]
async fn ft_26_new_numbers_bring_nothing_again_when_the_account_is_for_another_mailbox_by_now() {
    let mut fetching = Fetching::with("");
    second_mailbox(&fetching.desk);
    fetching.look_well().await;
    fetching.deliver(&letter("Un"));
    fetching.look_well().await;
    fetching.change(|account| account.mailbox = "ventes@garonne.example".to_owned());
    fetching.server.state().uid_validity = 9;
    fetching.deliver(&letter("Deux"));
    fetching.look_well().await;
    assert_eq!((fetching.subjects().len(), records(&fetching).len()), (2, 2));
}

#[actix_web::test]
async fn ft_26_a_backlog_is_taken_in_its_order() {
    let mut fetching = Fetching::with("existing = \"take\"");
    let subjects: Vec<String> = (0..60).map(|number| format!("Demande {number}")).collect();
    for (number, subject) in subjects.iter().enumerate() {
        fetching.deliver(&Letter::from(&format!("client{number}@acme.example")).subject(subject));
    }
    fetching.look_well().await;
    assert_eq!(fetching.subjects(), subjects);
}

#[actix_web::test]
async fn l_01_a_mail_over_the_limit_is_kept_whole_and_becomes_a_ticket_that_says_so() {
    let mut fetching = Fetching::with("");
    fetching.look_well().await;
    let large = letter("Trop gros").text(&"x".repeat(70_000));
    fetching.deliver(&large);
    // So large, the server says, that it is fetched in part.
    let part = letter("Bien trop gros").text(&"y".repeat(90_000));
    let uid = fetching.deliver(&part);
    fetching.server.state().mails.get_mut(&uid).unwrap().size = 900 << 20;
    fetching.deliver(&letter("Petit"));
    fetching.look_well().await;
    assert_eq!(fetching.subjects(), ["Trop gros", "Bien trop gros", "Petit"]);
    assert_eq!(fetching.server.heard("BODY.PEEK[]<0.65537>"), 1);
    let found = records(&fetching);
    assert_eq!(
        (found[0].1.read.as_str(), found[1].1.read.as_str(), found[2].1.read.as_str()),
        ("headers_only", "headers_only", "full")
    );
    assert!(found[1].1.cut.contains(&"L-01".to_owned()), "{:?}", found[1].1);
    let kept = fetching.desk.test.read(|db| {
        let hashes: Vec<Option<String>> = rows::table.order(rows::id).select(rows::original_hash).load(db)?;
        Ok(hashes)
    });
    let kept = fetching.desk.test.app.storage.get(kept[0].as_ref().unwrap()).unwrap();
    assert_eq!(kept, large.bytes());
}

#[actix_web::test]
async fn j_06_a_mail_is_for_the_account_s_mailbox_unless_it_names_a_better_one() {
    let mut fetching = Fetching::with("");
    let (zoe, now) = (fetching.desk.zoe, fetching.desk.test.now());
    fetching.desk.test.write(move |db| {
        let queue = queues::find_by_kind(db, QueueKind::Sales)?.unwrap();
        members::add(db, &queue, zoe, None, now)?;
        let description = MailboxDescription::new(address("sales@garonne.example"), "Ventes", queue.id, Locale::Fr);
        mailboxes::create(db, &description, None, now)?;
        Ok(())
    });
    fetching.look_well().await;
    let sales =
        fetching.desk.test.read(|db| mailboxes::find_by_canonical(db, &address("sales@garonne.example"))).unwrap();
    // Who is only named in To has a copy of their own.
    fetching.deliver(&letter("Copie").header("To", "sales@garonne.example, support@garonne.example"));
    fetching
        .deliver(&letter("Vente").on_top("X-Original-To", "sales@garonne.example").on_top("Delivered-To", "fetcher"));
    // What stands below came with the mail.
    fetching.deliver(
        &letter("Feinte").on_top("Delivered-To", "sales@garonne.example").on_top("Received", "by machine.example"),
    );
    fetching.look_well().await;
    let at: Vec<_> = fetching.desk.tickets().iter().map(|ticket| ticket.mailbox_id == Some(sales.id)).collect();
    assert_eq!(at, [false, true, false]);
    // An answer to a signed address finds its ticket.
    fetching.desk.sent();
    let ticket = fetching.desk.tickets().remove(1);
    fetching.desk.answer(&ticket, "Laquelle ?", Status::WaitingForCustomer);
    let sent = fetching.desk.sent_to("claire@acme.example").remove(0);
    fetching
        .deliver(&Letter::answering("claire@acme.example", &sent).header("In-Reply-To", "").header("References", ""));
    fetching.look_well().await;
    assert_eq!(fetching.desk.tickets().len(), 3);
    assert_eq!(records(&fetching).last().unwrap().1.rule, "D1");
}

#[actix_web::test]
async fn s_06_nothing_is_taken_for_a_mailbox_that_is_not_there_and_nothing_is_lost() {
    let mut fetching = Fetching::with("");
    let there = |fetching: &Fetching, address: &'static str| {
        fetching.desk.test.write(move |db| {
            use accord::db::schema::mailboxes as boxes;
            diesel::update(boxes::table).set((boxes::address.eq(address), boxes::canonical.eq(address))).execute(db)?;
            Ok(())
        });
    };
    there(&fetching, "other@garonne.example");
    assert!(matches!(fetching.look().await, Err(Ended::NoMailbox)));
    fetching.deliver(&letter("Un"));
    assert!(matches!(fetching.look().await, Err(Ended::NoMailbox)));
    assert_eq!(fetching.standing().trouble.unwrap().0, "no-mailbox");
    there(&fetching, SUPPORT);
    fetching.look_well().await;
    assert_eq!(fetching.subjects(), ["Un"]);
}

#[actix_web::test]
async fn lp_01_the_null_sender_is_known_by_the_field_that_the_last_server_wrote() {
    let mut fetching = Fetching::with("");
    fetching.look_well().await;
    fetching.deliver(&letter("Bounce").on_top("Return-Path", "<>"));
    fetching.look_well().await;
    assert!(fetching.desk.sent_to("claire@acme.example").is_empty());
    assert!(records(&fetching)[0].1.flags.contains(&"machine_made".to_owned()));
}

#[actix_web::test]
async fn au_05_only_the_account_s_provider_is_believed_and_only_its_topmost_word() {
    let mut fetching = Fetching::with("authserv_id = [\"mx.provider.example\"]");
    fetching.look_well().await;
    let told = |by: &str, result: &str| format!("{by}; dmarc={result} header.from=acme.example");
    let provider = |result| told("mx.provider.example", result);
    for fields in [
        vec![provider("pass")],
        // Below it stands what came with the mail.
        vec![provider("none"), provider("pass")],
        // The server that hands mail over by LMTP has no say here.
        vec![told(AUTHSERV, "pass")],
        vec!["mx.provider.example; dmarc=fail (p=reject) header.from=acme.example".to_owned(), provider("pass")],
    ] {
        let letter =
            fields.iter().rev().fold(letter("Panne"), |letter, field| letter.on_top("Authentication-Results", field));
        fetching.deliver(&letter.on_top("Received", "by machine.provider.example"));
    }
    fetching.look_well().await;
    let found: Vec<String> = records(&fetching).into_iter().map(|(_, record)| record.authentication).collect();
    assert_eq!(found, ["pass", "none", "none", "fail"]);
    // A gateway stands between, or somebody put the mail there: then it is what came with the mail.
    let told = letter("Panne").on_top("Authentication-Results", &provider("pass"));
    fetching.deliver(&told.clone().on_top("Received", "from machine.provider.example by gateway.corp.example"));
    fetching.deliver(&told.header("X-Other", "1"));
    fetching.look_well().await;
    for (_, record) in records(&fetching).split_off(4) {
        assert_eq!(record.authentication, "none");
    }
    // Nor has the provider where mail comes by LMTP.
    let letter = letter("Panne").on_top("Authentication-Results", &provider("pass"));
    fetching.desk.receive(&letter);
    assert_eq!(records(&fetching).last().unwrap().1.authentication, "none");
}

#[actix_web::test]
async fn j_01_what_cannot_be_kept_for_want_of_room_is_taken_once_there_is() {
    let mut fetching = Fetching::with("");
    fetching.look_well().await;
    fetching.deliver(&letter("Un").text(&"texte\r\n".repeat(6_000)));
    if !fetching.desk.fill_disk() {
        return;
    }
    assert!(matches!(fetching.look().await, Err(Ended::Desk(_))));
    fetching.desk.make_room();
    fetching.look_well().await;
    assert_eq!(fetching.subjects(), ["Un"]);
    assert_eq!(fetching.desk.test.read(unprocessed::counts).failed, 0);
}
