//! A mail server that tells from which machine it has a mail, and what SPF makes of that.

use accord::db::schema::journal as rows;
use accord::db::types::Json;
use accord::journal::{Record, State};
use accord::mail::client::Client;
use accord::worker::local_socket;
use accord::worker::recurring;
use chrono::TimeDelta;
use diesel::prelude::*;

use super::lmtp::{Peer, listen};
use crate::support::desk::{Desk, Letter, SUPPORT};

const ZONE: &str = "acme.example. IN TXT \"v=spf1 ip4:192.0.2.1 ip6:2001:db8::1 -all\"\n\
                    _dmarc.acme.example. IN TXT \"v=DMARC1; p=reject\"\n\
                    relaxed.example. IN TXT \"v=spf1 ip4:192.0.2.1 -all\"\n\
                    elsewhere.example. IN TXT \"v=spf1 ip4:192.0.2.1 -all\"\n";

/// A desk that believes its mail server, where there is no DNS but what is in a file.
fn desk_with(settings: &str) -> (Desk, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("zone");
    std::fs::write(&file, ZONE).unwrap();
    (Desk::with_settings(&format!("[mail]\ndns_records = {file:?}\n{settings}")), folder)
}

fn trusting() -> (Desk, tempfile::TempDir) {
    desk_with("lmtp_xforward = true")
}

type Row = (State, Json<Record>, Option<String>, Option<String>);

/// How the newest mail was understood, and which machine delivered it.
fn newest(desk: &Desk) -> (State, Record, Option<String>, Option<String>) {
    let (state, record, address, name): Row = desk.test.read(|db| {
        let columns = (rows::state, rows::record, rows::client_address, rows::client_name);
        Ok(rows::table.order(rows::id.desc()).select(columns).first(db)?)
    });
    (state, record.0, address, name)
}

/// Mail is processed by threads that drive nothing else.
fn run_jobs(desk: &Desk) {
    std::thread::scope(|scope| {
        scope.spawn(|| desk.test.run_jobs());
    });
}

fn letter(from: &str) -> Vec<u8> {
    Letter::from(from).bytes()
}

#[actix_web::test]
async fn au_03_what_the_mail_server_tells_of_the_machine_decides_whether_the_sender_is_believed() {
    let (desk, _folder) = trusting();
    let listening = listen(&desk);
    let mut peer = Peer::greeted(&listening).await;
    for (told, from, envelope, wanted) in [
        ("ADDR=192.0.2.1", "claire@acme.example", "claire@acme.example", ("pass", "pass", "pass")),
        ("ADDR=IPV6:2001:db8::1", "claire@acme.example", "claire@acme.example", ("pass", "pass", "pass")),
        ("ADDR=192.0.2.1", "x@relaxed.example", "x@relaxed.example", ("pass", "pass", "none")),
        // It passes, for somebody else.
        ("ADDR=192.0.2.1", "x@relaxed.example", "x@elsewhere.example", ("none", "", "none")),
        ("ADDR=198.51.100.7", "claire@acme.example", "claire@acme.example", ("fail", "fail", "fail")),
        ("ADDR=198.51.100.7", "x@relaxed.example", "x@relaxed.example", ("none", "fail", "none")),
        ("ADDR=[UNAVAILABLE]", "claire@acme.example", "claire@acme.example", ("none", "", "")),
        ("ADDR=192.0.2.1 SOURCE=LOCAL", "claire@acme.example", "claire@acme.example", ("none", "", "")),
        ("ADDR=10.0.0.7", "claire@acme.example", "claire@acme.example", ("none", "", "")),
    ] {
        assert!(peer.ask(&format!("XFORWARD NAME=mail.acme.example {told}")).await.starts_with("250"));
        assert!(peer.ask("XFORWARD PROTO=ESMTP HELO=mail.acme.example").await.starts_with("250"));
        assert!(peer.deliver_from(envelope, &letter(from)).await.starts_with("250"));
        assert_eq!(newest(&desk).1.authentication, "", "acknowledged before anything is looked up");
        run_jobs(&desk);
        let (state, record, ..) = newest(&desk);
        let found = (record.authentication.as_str(), record.checked.spf.as_str(), record.checked.dmarc.as_str());
        assert_eq!(found, wanted, "{told} {from} {envelope}");
        assert_eq!(state, if wanted.0 == "fail" { State::Held } else { State::Applied });
    }
}

#[actix_web::test]
async fn au_03_a_mail_server_that_is_not_to_be_believed_is_not_asked_and_not_heard() {
    let (desk, _folder) = desk_with("");
    let listening = listen(&desk);
    let mut peer = Peer::connect(&listening).await;
    peer.send("LHLO mx.garonne.example\r\n").await;
    loop {
        let line = peer.line().await;
        assert!(!line.contains("XFORWARD"), "{line}");
        if line.starts_with("250 ") {
            break;
        }
    }
    assert!(peer.ask("XFORWARD ADDR=192.0.2.1 HELO=mail.acme.example").await.starts_with("500"));
    assert!(peer.deliver(&letter("claire@acme.example")).await.starts_with("250"));
    run_jobs(&desk);
    let (state, record, address, name) = newest(&desk);
    assert_eq!((state, record.authentication.as_str(), address, name), (State::Applied, "none", None, None));
    assert!(record.checked.is_empty());
}

#[actix_web::test]
async fn au_03_s_03_what_was_told_is_for_one_mail_and_odd_commands_tell_nothing() {
    const TOLD: &str = "XFORWARD ADDR=192.0.2.1 HELO=mail.acme.example";
    let (desk, _folder) = trusting();
    let listening = listen(&desk);
    let mut peer = Peer::connect(&listening).await;
    assert!(peer.ask(TOLD).await.starts_with("503"), "not before the greeting");
    peer.send("LHLO mx.garonne.example\r\n").await;
    let mut offered = Vec::new();
    while offered.last().is_none_or(|line: &String| !line.starts_with("250 ")) {
        offered.push(peer.line().await);
    }
    assert!(offered.contains(&"250-XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE".to_owned()), "{offered:?}");
    let mut delivered_after = async |commands: &[&str], wanted: &str| {
        for command in commands {
            let answer = peer.ask(command).await;
            assert!(answer.starts_with(wanted) || answer.starts_with("250"), "{command}: {answer}");
        }
        assert!(peer.deliver(&letter("claire@acme.example")).await.starts_with("250"));
        newest(&desk).2
    };
    assert_eq!(delivered_after(&[TOLD], "250").await.as_deref(), Some("192.0.2.1"));
    assert_eq!(delivered_after(&[], "250").await, None, "the next mail may come from elsewhere");
    assert_eq!(delivered_after(&[TOLD, "RSET"], "250").await, None);
    assert_eq!(delivered_after(&[TOLD, "XFORWARD ADDR=not-an-address"], "501").await, None);
    assert_eq!(delivered_after(&[TOLD, "XFORWARD"], "501").await, None);
    let long = format!("{TOLD} IDENT={}", "x".repeat(1_000));
    assert_eq!(delivered_after(&[&long], "500").await, None);

    // In a transaction it is too late.
    assert!(peer.ask("MAIL FROM:<claire@acme.example>").await.starts_with("250"));
    assert!(peer.ask(TOLD).await.starts_with("503"));
    assert!(peer.ask("RSET").await.starts_with("250"));
    // Ten errors are ten errors, whatever they are about.
    for _ in 0..4 {
        assert!(peer.ask("XFORWARD SHOE=44").await.starts_with("501"));
    }
    assert!(peer.ask("XFORWARD SHOE=44").await.starts_with("501"));
    assert!(peer.line().await.starts_with("421"));
}

#[actix_web::test]
async fn au_03_xforward_may_be_pipelined_and_each_mail_has_its_own() {
    let (desk, _folder) = trusting();
    let listening = listen(&desk);
    let mut peer = Peer::greeted(&listening).await;
    for address in ["192.0.2.1", "198.51.100.7"] {
        let head = format!(
            "XFORWARD NAME=a.example ADDR={address}\r\nXFORWARD HELO=a.example SOURCE=REMOTE\r\n\
             MAIL FROM:<claire@acme.example>\r\nRCPT TO:<{SUPPORT}>\r\nDATA\r\n"
        );
        peer.send(&head).await;
        for wanted in ["250", "250", "250", "250", "354"] {
            assert!(peer.line().await.starts_with(wanted));
        }
        let mail = String::from_utf8(letter("claire@acme.example")).unwrap();
        peer.send(&format!("{mail}\r\n.\r\n")).await;
        assert!(peer.line().await.starts_with("250"));
        let (_, _, kept, name) = newest(&desk);
        assert_eq!((kept.as_deref(), name.as_deref()), (Some(address), Some("a.example")));
    }
}

#[actix_web::test]
async fn s_07_au_03_the_pipe_hands_the_machine_over_and_a_page_says_what_was_found() {
    let (desk, _folder) = desk_with("");
    let client = Client::from_kept("192.0.2.1", "mail.acme.example");
    let envelope = "claire@acme.example".to_owned();
    let mail = letter("claire@acme.example");
    local_socket::take_mail(&desk.test.app, SUPPORT.to_owned(), envelope, client, mail).await.unwrap();
    run_jobs(&desk);
    assert_eq!(newest(&desk).1.authentication, "pass");
    let handle = desk.messages(&desk.ticket()).remove(0).handle;
    let zoe = desk.test.browser_of(desk.zoe).await;
    let page = zoe.get(&format!("/messages/{handle}/handling")).await;
    page.assert_says("DKIM\u{a0}: rien à vérifier · SPF\u{a0}: réussi · DMARC\u{a0}: réussi").assert_says("192.0.2.1");
}

#[actix_web::test]
async fn b_13_from_which_machine_a_mail_came_is_forgotten_like_from_where_somebody_signed_in() {
    let (desk, _folder) = trusting();
    let listening = listen(&desk);
    let mut peer = Peer::greeted(&listening).await;
    assert!(peer.ask("XFORWARD NAME=mail.acme.example ADDR=192.0.2.1").await.starts_with("250"));
    assert!(peer.deliver_from("claire@acme.example", &letter("claire@acme.example")).await.starts_with("250"));
    let days = i64::from(desk.test.app.config.log.access_days);
    let recur_after = |time: TimeDelta| {
        let now = desk.test.now();
        // A few hours at a time, as when the program runs.
        while desk.test.now() < now.plus(time) {
            desk.test.clock.advance(TimeDelta::hours(6));
            recurring::run_due(&desk.test.app, desk.test.now()).unwrap();
        }
        newest(&desk).2
    };
    run_jobs(&desk);
    let (state, record, ..) = newest(&desk);
    assert_eq!((state, record.checked.spf.as_str()), (State::Applied, "pass"));
    assert!(recur_after(TimeDelta::days(days - 1)).is_some());
    assert_eq!(recur_after(TimeDelta::days(2)), None);
    assert_eq!(newest(&desk).3, None);
    assert_eq!(newest(&desk).1.checked.spf, "pass", "what followed from it stays");
    assert!(peer.ask("XFORWARD NAME=mail.acme.example ADDR=192.0.2.1").await.starts_with("250"));
    assert!(peer.deliver_from("claire@acme.example", &letter("claire@acme.example")).await.starts_with("250"));
    assert!(recur_after(TimeDelta::days(days + 2)).is_some(), "nobody has read it yet");
}
