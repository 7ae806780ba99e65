//! A mail from a mailbox to itself: it comes back by whatever way, makes no ticket and is answered by nobody, and what bears
//! its mark without being it is mail like any other.

use accord::db::schema::{audit_ledger, journal as rows, round_trips};
use accord::db::types::Json;
use accord::intake::addressing;
use accord::journal::{self, NewMail, Recipient, Record, State, Way};
use accord::mail::client::Client;
use accord::mail::transport::SentMail;
use accord::mail::transport::{FailureKind, SendFailure};
use accord::teams::mailboxes;
use chrono::TimeDelta;
use diesel::prelude::*;

use crate::support::browser::Browser;
use crate::support::desk::{Desk, SUPPORT};

const PAGE: &str = "/admin/status/mail";
const TESTS: &str = "/admin/status/mail/round-trips";

/// A desk whose domain publishes from where its mail comes.
fn desk() -> (Desk, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("zone");
    let zone = "garonne.example. IN TXT \"v=spf1 ip4:192.0.2.1 -all\"\n_dmarc.garonne.example. IN TXT \"v=DMARC1; p=reject\"\n";
    std::fs::write(&file, zone).unwrap();
    (Desk::with_settings(&format!("[mail]\ndns_records = {file:?}")), folder)
}

/// What runs in the background runs on threads that drive nothing else.
fn run_jobs(desk: &Desk) {
    std::thread::scope(|scope| {
        scope.spawn(|| desk.test.run_jobs());
    });
}

async fn begin(desk: &Desk, anne: &Browser) {
    let handle = desk.test.read(|db| Ok(mailboxes::default(db)?.handle));
    anne.post(TESTS, &[("mailbox", handle.as_str())]).await.assert_status(303);
}

/// The mails of tests that left.
fn left(desk: &Desk) -> Vec<SentMail> {
    let marked = |mail: &SentMail| String::from_utf8_lossy(&mail.bytes).contains("X-Accord-Test: ");
    desk.memory().sent().into_iter().filter(marked).collect()
}

/// It comes in by that way, from a machine that may send it.
fn comes_in(desk: &Desk, way: Way, mail: &SentMail, bytes: Vec<u8>) {
    let (letterhead, now) = (desk.letterhead(), desk.test.now());
    let (to, from) = (mail.recipient.clone(), mail.envelope_from.clone());
    desk.test.write(move |db| {
        let mailbox = addressing::mailbox_for(db, &letterhead, &to)?.unwrap();
        let recipient = Recipient { mailbox, address: to.clone() };
        let mail = match way {
            Way::Imap => NewMail::fetched(recipient, from.clone(), "support", bytes.clone()),
            way => NewMail::new(vec![recipient], from.clone(), way, bytes.clone()),
        };
        let client = Client::from_kept("192.0.2.1", "mail.garonne.example").filter(|_| way == Way::Lmtp);
        journal::accept(db, &mail.delivered_by(client), now)
    });
    run_jobs(desk);
}

/// The value of that field of the mail.
fn field(mail: &SentMail, name: &str) -> String {
    let text = String::from_utf8_lossy(&mail.bytes);
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    value.unwrap_or_else(|| panic!("no {name} in {text}")).to_owned()
}

/// A desk whose administrator had a test mail sent, which left.
async fn under_way() -> (Desk, Browser, SentMail) {
    let desk = Desk::open();
    let anne = desk.test.signed_in(desk.administrator).await;
    begin(&desk, &anne).await;
    run_jobs(&desk);
    let mail = left(&desk).remove(0);
    (desk, anne, mail)
}

fn newest(desk: &Desk) -> (State, String) {
    let (state, record): (State, Json<Record>) =
        desk.test.read(|db| Ok(rows::table.order(rows::id.desc()).select((rows::state, rows::record)).first(db)?));
    (state, record.0.decision)
}

#[actix_web::test]
async fn out_08_a_mailbox_writes_to_itself_and_the_page_says_when_and_how_it_came_back() {
    let (desk, _folder) = desk();
    let anne = desk.test.signed_in(desk.administrator).await;
    anne.get(PAGE).await.assert_says("Le courrier fait-il le tour").assert_says("Aucun essai");
    begin(&desk, &anne).await;
    run_jobs(&desk);
    let sent = left(&desk);
    let [mail] = sent.as_slice() else { panic!("{sent:?}") };
    assert_eq!((mail.recipient.as_str(), mail.envelope_from.as_str()), (SUPPORT, SUPPORT));
    let text = String::from_utf8(mail.bytes.clone()).unwrap();
    assert!(text.contains("Auto-Submitted: auto-generated") && text.contains("X-Accord-Loop: "), "{text}");
    anne.get(PAGE).await.assert_says("Il est en route").assert_silent_about("Envoyer un courriel d’essai");
    // Once more while it is waited for is no second mail.
    begin(&desk, &anne).await;
    desk.test.clock.advance(TimeDelta::seconds(3));
    comes_in(&desk, Way::Lmtp, mail, mail.bytes.clone());
    assert_eq!(newest(&desk), (State::Applied, "round_trip".to_owned()));
    assert!(desk.tickets().is_empty());
    assert_eq!(desk.memory().sent().len(), 1, "nobody answers it");
    let page = anne.get(PAGE).await;
    page.assert_says("Il est revenu au bout de 3 secondes")
        .assert_says("LMTP")
        .assert_says("SPF\u{a0}: réussi · DMARC\u{a0}: réussi");
    page.assert_says("Expéditeur confirmé par son domaine").assert_says("Envoyer un courriel d’essai");
    let told: i64 = desk
        .test
        .read(|db| Ok(audit_ledger::table.filter(audit_ledger::kind.eq("round_trip_begun")).count().get_result(db)?));
    assert_eq!(told, 1);
    anne.get("/admin/ledger").await.assert_says("Courriel d’essai envoyé d’une boîte à elle-même");
}

#[actix_web::test]
async fn out_08_it_is_known_by_whatever_way_it_comes_back() {
    for (way, said) in [(Way::Pipe, "(tube)"), (Way::Http, "(HTTP)"), (Way::Imap, "(IMAP)")] {
        let (desk, anne, mail) = under_way().await;
        // Servers write into it on the way.
        let bytes =
            [b"Received: from relay by mx; Mon, 23 Nov 2026 08:00:00 +0000\r\n", mail.bytes.as_slice()].concat();
        comes_in(&desk, way, &mail, bytes);
        assert_eq!(newest(&desk), (State::Applied, "round_trip".to_owned()));
        assert!(desk.tickets().is_empty());
        anne.get(PAGE).await.assert_says("moins d’une seconde").assert_says(said);
    }
}

#[actix_web::test]
async fn out_08_a_test_that_is_refused_on_its_way_comes_back_as_that() {
    let (desk, anne, mail) = under_way().await;
    let id = field(&mail, "Message-ID");
    let report = |id: &str, action: &str| {
        format!(
            "From: MAILER-DAEMON@relay.example\r\nTo: {SUPPORT}\r\nSubject: Undelivered\r\nMIME-Version: 1.0\r\n\
             Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n\
             --b\r\nContent-Type: text/plain\r\n\r\nNo.\r\n\
             --b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; relay.example\r\n\r\n\
             Final-Recipient: rfc822; {SUPPORT}\r\nAction: {action}\r\nStatus: 5.7.1\r\n\
             Diagnostic-Code: smtp; 550 5.7.1 not from there\r\n\r\n\
             --b\r\nContent-Type: text/rfc822-headers\r\n\r\nMessage-ID: {id}\r\n\r\n--b--\r\n"
        )
    };
    let bounce = SentMail { envelope_from: String::new(), ..mail.clone() };
    // One of a mail that is none of ours proves nothing; one that is late is waited for.
    comes_in(&desk, Way::Lmtp, &bounce, report("<forged@desk.example>", "failed").into_bytes());
    assert_eq!(newest(&desk).0, State::Held);
    comes_in(&desk, Way::Lmtp, &bounce, report(&id, "delayed").into_bytes());
    assert_eq!(newest(&desk), (State::Applied, "round_trip_delayed".to_owned()));
    anne.get(PAGE).await.assert_says("Il est en route").assert_silent_about("revenu refusé");
    comes_in(&desk, Way::Lmtp, &bounce, report(&id, "failed").into_bytes());
    assert_eq!(newest(&desk), (State::Applied, "round_trip_refused".to_owned()));
    let page = anne.get(PAGE).await;
    page.assert_says("Il est revenu refusé").assert_says("550 5.7.1 not from there");
    page.assert_silent_about("Il est en route").assert_says("Envoyer un courriel d’essai");
    assert!(desk.tickets().is_empty());

    // The next one is not kept waiting by that, and is refused by the relay itself.
    let refused = SendFailure { kind: FailureKind::Permanent, code: Some(554), text: "no".to_owned() };
    desk.memory().fail_always(Some(refused));
    begin(&desk, &anne).await;
    run_jobs(&desk);
    let page = anne.get(PAGE).await;
    page.assert_says("554 no").assert_says("Il n’a pas été envoyé");
    page.assert_silent_about("Il est en route").assert_silent_about("n’est pas revenu au bout");
    desk.memory().fail_always(None);

    // The mail that came back may be erased.
    begin(&desk, &anne).await;
    run_jobs(&desk);
    let mail = left(&desk).pop().unwrap();
    comes_in(&desk, Way::Lmtp, &mail, mail.bytes.clone());
    assert_eq!(newest(&desk), (State::Applied, "round_trip".to_owned()));
    desk.test.write(|db| Ok(diesel::delete(rows::table).execute(db)?));
    anne.get(PAGE).await.assert_status(200);
}

#[actix_web::test]
async fn out_08_a_test_that_does_not_come_back_says_where_to_look() {
    let desk = Desk::open();
    let anne = desk.test.signed_in(desk.administrator).await;
    let refused = SendFailure { kind: FailureKind::Transient, code: Some(450), text: "greylisted".to_owned() };
    desk.memory().fail_always(Some(refused));
    begin(&desk, &anne).await;
    run_jobs(&desk);
    let page = anne.get(PAGE).await;
    page.assert_says("Il est en route").assert_says("450 greylisted").assert_says("Il attend encore ici");
    desk.memory().fail_always(None);
    desk.test.clock.advance(TimeDelta::minutes(9));
    run_jobs(&desk);
    anne.get(PAGE).await.assert_says("Il est en route").assert_silent_about("Il attend encore ici");
    desk.test.clock.advance(TimeDelta::minutes(1));
    anne.get(PAGE).await.assert_says("n’est pas revenu au bout de 10 minutes").assert_says("Le relais l’a pris");
    // It comes all the same, and is known.
    let mail = left(&desk).remove(0);
    comes_in(&desk, Way::Lmtp, &mail, mail.bytes.clone());
    anne.get(PAGE).await.assert_says("Il est revenu au bout de 600 secondes");
}

#[actix_web::test]
async fn out_08_what_is_forged_used_or_too_old_is_mail_like_any_other() {
    let (desk, _, mail) = under_way().await;
    let text = String::from_utf8(mail.bytes.clone()).unwrap();
    let mark = field(&mail, "X-Accord-Test");
    let is_open = |desk: &Desk| -> i64 {
        desk.test.read(|db| Ok(round_trips::table.filter(round_trips::journal_id.is_null()).count().get_result(db)?))
    };
    let last = if mark.ends_with('a') { "b" } else { "a" };
    for forged in [
        text.replace(&mark, &format!("{}{last}", &mark[..mark.len() - 1])),
        text.replacen("X-Accord-Test: ", &format!("X-Accord-Test: {mark}\r\nX-Accord-Test: "), 1),
        text.replacen("\r\nFrom: ", "\r\nX-From: ", 1).replacen(
            "X-Accord-Test: ",
            "From: x@evil.test\r\nX-Accord-Test: ",
            1,
        ),
        // Without the marks of a machine, from somebody who saw it.
        format!("From: x@evil.test\r\nTo: {SUPPORT}\r\nX-Accord-Test: {mark}\r\n\r\nBonjour\r\n"),
    ] {
        comes_in(&desk, Way::Lmtp, &mail, forged.into_bytes());
        assert_ne!(newest(&desk).1, "round_trip");
    }
    assert_eq!((is_open(&desk), desk.tickets().len()), (1, 1));
    comes_in(&desk, Way::Lmtp, &mail, mail.bytes.clone());
    assert_eq!((is_open(&desk), newest(&desk).1.as_str()), (0, "round_trip"));
    comes_in(&desk, Way::Lmtp, &mail, format!("X-Again: yes\r\n{text}").into_bytes());
    assert_eq!(newest(&desk), (State::Held, "loop".to_owned()));

    desk.test.clock.advance(TimeDelta::days(2));
    let anne = desk.test.signed_in(desk.administrator).await;
    begin(&desk, &anne).await;
    run_jobs(&desk);
    desk.test.clock.advance(TimeDelta::hours(24));
    let old = left(&desk).remove(1);
    comes_in(&desk, Way::Lmtp, &old, old.bytes.clone());
    assert_eq!(newest(&desk), (State::Held, "loop".to_owned()));
    assert_eq!(is_open(&desk), 1);
}
