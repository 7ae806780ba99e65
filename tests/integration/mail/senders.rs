//! Where no trusted mail server tells whether a sender's domain stands by a mail, it is found out here: after the mail was
//! acknowledged, by records that the domain publishes.

use std::collections::BTreeMap;

use accord::config::{self, Overrides};
use accord::db::schema::journal as rows;
use accord::db::types::Json;
use accord::intake::by_hand;
use accord::journal::{Record, State};
use accord::mail::dkim::sign;
use chrono::TimeDelta;
use diesel::prelude::*;

use crate::support::desk::{AUTHSERV, Desk, Letter, address};
use crate::support::dkim::settings;

/// A desk where there is no DNS to ask, but what ACME publishes: its keys, and that everything else is to be refused.
struct Town {
    desk: Desk,
    folder: tempfile::TempDir,
}

impl Town {
    fn new() -> Town {
        let folder = tempfile::tempdir().unwrap();
        let mut zone: Vec<String> = keys(&folder).iter().map(|selector| selector.zone_line()).collect();
        zone.push("_dmarc.acme.example. IN TXT \"v=DMARC1; p=reject\"".to_owned());
        let file = folder.path().join("zone");
        std::fs::write(&file, zone.join("\n")).unwrap();
        let settings = format!("[mail]\ntrusted_authserv_id = \"{AUTHSERV}\"\ndns_records = {file:?}");
        Town { desk: Desk::with_settings(&settings), folder }
    }

    /// The letter with ACME's signatures.
    fn signed(&self, letter: Letter) -> Letter {
        let bytes = letter.bytes();
        let signed = sign(&keys(&self.folder), &address("claire@acme.example"), bytes.clone()).unwrap();
        let fields = String::from_utf8(signed[..signed.len() - bytes.len()].to_vec()).unwrap();
        let fields = fields.strip_prefix("DKIM-Signature: ").unwrap().strip_suffix("\r\n").unwrap();
        letter.on_top("DKIM-Signature", fields)
    }

    /// How the newest mail was understood.
    fn newest(&self) -> (State, Record) {
        let (state, record) = self.desk.test.read(|db| {
            Ok(rows::table
                .order(rows::id.desc())
                .select((rows::state, rows::record))
                .first::<(State, Json<Record>)>(db)?)
        });
        (state, record.0)
    }
}

fn keys(folder: &tempfile::TempDir) -> Vec<accord::config::dkim::Selector> {
    let text = format!("[mail]\n{}", settings(folder.path(), "acme.example"));
    config::parse(&text, BTreeMap::new(), &Overrides::default()).unwrap().mail.dkim.to_vec()
}

#[test]
fn au_01_au_03_a_signed_mail_is_its_domain_s_where_no_mail_server_in_front_says_anything() {
    let town = Town::new();
    let letter = town.signed(Letter::from("claire@acme.example"));
    town.desk.accept(&letter);
    assert_eq!(town.newest().1.authentication, "", "acknowledged before anything is looked up");
    town.desk.test.run_jobs();
    let (state, record) = town.newest();
    assert_eq!((state, record.authentication.as_str()), (State::Applied, "pass"));
    // It proves the sender as the trusted server's word does: a tag in the subject is enough now (D6).
    let ticket = town.desk.ticket();
    let tagged = Letter::from("claire@acme.example").subject(&format!("Re: [{}] Panne", ticket.reference));
    town.desk.receive(&town.signed(tagged));
    assert_eq!(town.newest().1.rule, "D6");
}

#[test]
fn au_01_the_trusted_server_s_word_comes_first_and_a_forged_one_counts_as_none() {
    let town = Town::new();
    for (said, wanted) in [
        (format!("{AUTHSERV}; none"), "none"),
        (format!("{AUTHSERV}; dmarc=fail (p=reject) header.from=acme.example"), "fail"),
        // Another's word is nobody's: what is found here counts.
        ("mx.evil.test; dmarc=fail (p=reject) header.from=acme.example".to_owned(), "pass"),
    ] {
        let letter = town.signed(Letter::from("claire@acme.example")).on_top("Authentication-Results", &said);
        town.desk.receive(&letter);
        assert_eq!(town.newest().1.authentication, wanted, "{said}");
    }
    let forged = Letter::from("claire@acme.example")
        .on_top("Authentication-Results", &format!("{AUTHSERV}; dmarc=pass header.from=acme.example"))
        .on_top("Received", "from evil.test by mx.garonne.example")
        .envelope("x@evil.test");
    town.desk.receive(&forged);
    let (state, record) = town.newest();
    assert_eq!((state, record.authentication.as_str()), (State::Held, "fail"));
}

#[test]
fn au_03_who_only_uses_the_address_is_held_or_not_believed() {
    let town = Town::new();
    town.desk.receive(&Letter::from("claire@acme.example").envelope("x@evil.test"));
    assert_eq!((town.newest().0, town.newest().1.authentication.as_str()), (State::Held, "fail"));
    // SPF may have passed for this one; that is not known.
    town.desk.receive(&Letter::from("claire@acme.example"));
    assert_eq!((town.newest().0, town.newest().1.authentication.as_str()), (State::Applied, "none"));
    town.desk.receive(&town.signed(Letter::from("claire@acme.example")).text("Autre chose.\r\n"));
    assert_eq!((town.newest().0, town.newest().1.authentication.as_str()), (State::Applied, "none"));
    town.desk.receive(&Letter::from("x@unknown.example"));
    assert_eq!((town.newest().0, town.newest().1.authentication.as_str()), (State::Applied, "none"));
}

#[test]
fn au_03_a_mail_that_waited_for_days_is_not_judged_by_the_keys_of_today() {
    let town = Town::new();
    for (days, wanted) in [(5, "fail"), (6, "none")] {
        town.desk.accept(&Letter::from("claire@acme.example").envelope("x@evil.test"));
        town.desk.test.clock.advance(TimeDelta::days(days));
        town.desk.test.run_jobs();
        assert_eq!(town.newest().1.authentication, wanted, "after {days} days");
    }
}

#[test]
fn au_03_what_was_found_of_a_mail_when_it_came_stays_when_it_is_processed_again() {
    let card = "Ma carte : 4111 1111 1111 1111\r\n";
    for (text, days) in [("Bonjour\r\n", 6), (card, 0)] {
        let town = Town::new();
        town.desk.receive(&Letter::from("claire@acme.example").envelope("x@evil.test").text(text));
        assert_eq!((town.newest().0, town.newest().1.authentication.as_str()), (State::Held, "fail"));
        town.desk.test.clock.advance(TimeDelta::days(days));
        let now = town.desk.test.now();
        town.desk.test.write(move |db| {
            let id = rows::table.select(rows::id).first(db)?;
            by_hand::reprocess(db, id, now)
        });
        town.desk.test.run_jobs();
        assert_eq!((town.newest().0, town.newest().1.authentication.as_str()), (State::Held, "fail"), "{text}");
    }
}

#[test]
fn th_10_au_03_who_usually_signs_and_does_not_waits_for_an_agent_and_nothing_is_lost() {
    let town = Town::new();
    let first = Letter::from("claire@acme.example");
    let id = first.id().to_owned();
    town.desk.receive(&town.signed(first));
    let ticket = town.desk.ticket();
    let tagged = || Letter::from("claire@acme.example").subject(&format!("Re: [{}] Panne", ticket.reference));
    for _ in 0..4 {
        town.desk.receive(&town.signed(tagged()));
        town.desk.test.clock.advance(TimeDelta::days(1));
    }
    town.desk.receive(&Letter::from("claire@acme.example").header("In-Reply-To", &id));
    assert_eq!((town.newest().0, town.newest().1.rule.as_str()), (State::Applied, "TH-10"));
    assert_eq!((town.desk.messages(&ticket).len(), town.desk.public_messages(&ticket).len()), (6, 5));
}

/// What was found of the sender of the newest ticket.
fn found(desk: &Desk) -> String {
    let ticket = desk.tickets().pop().unwrap();
    let records = desk.test.read(|db| accord::journal::outcome::of_ticket(db, ticket.id));
    records.last().unwrap().2.authentication.clone()
}

#[test]
fn au_02_a_folded_result_is_read_and_one_in_a_mail_that_is_passed_on_is_not() {
    let desk = Desk::open();
    let letter = || Letter::from("claire@acme.example");
    let folded = format!("{AUTHSERV};\r\n\tdkim=none (no signature);\r\n dmarc=pass\r\n  header.from=acme.example");
    desk.receive(&letter().on_top("Authentication-Results", &folded));
    assert_eq!(found(&desk), "pass");
    // A fold is white space: it makes neither a new field nor a word out of two.
    for broken in [
        format!("{AUTHSERV};\r\n dmarc=pa\r\n ss header.from=acme.example"),
        format!(
            "{AUTHSERV};\r\n dmarc=none header.from=x.example\r\n\tAuthentication-Results: {AUTHSERV}; dmarc=pass header.from=acme.example"
        ),
        format!("mx.evil.example;\r\n {AUTHSERV}; dmarc=pass header.from=acme.example"),
    ] {
        desk.receive(&letter().subject(&broken[..12]).on_top("Authentication-Results", &broken));
        assert_eq!(found(&desk), "none", "{broken}");
    }
    let result = format!("Authentication-Results: {AUTHSERV}; dmarc=pass header.from=acme.example");
    let inside = format!("{result}\r\nFrom: claire@acme.example\r\nSubject: x\r\n\r\nx\r\n");
    let parts = [
        format!("--b\r\nContent-Type: message/rfc822\r\n\r\n{inside}\r\n--b--\r\n"),
        format!("--b\r\nContent-Type: text/plain\r\n{result}\r\n\r\nx\r\n--b--\r\n"),
        format!("{result}\r\n\r\n--b\r\n\r\nx\r\n--b--\r\n"),
    ];
    for body in parts {
        let mixed = letter().header("Content-Type", "multipart/mixed; boundary=b").text(&body);
        desk.receive(&mixed);
        assert_eq!(found(&desk), "none", "{body}");
    }
    desk.receive(&letter().header("Content-Type", "message/rfc822").text(&inside));
    assert_eq!(found(&desk), "none");
}
