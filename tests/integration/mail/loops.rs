//! No machine is answered by a machine, and nobody is flooded.

use accord::journal::unprocessed;
use accord::tickets::status::Status;
use chrono::TimeDelta;

use crate::support::desk::{Desk, Letter};

fn acknowledgements(desk: &Desk, to: &str) -> usize {
    desk.sent().iter().filter(|sent| sent.recipient == to && sent.envelope_from.is_empty()).count()
}

#[test]
fn lp_01_lp_02_mail_of_machines_and_lists_is_never_acknowledged() {
    let marks = [
        ("Auto-Submitted", "auto-replied"),
        ("Auto-Submitted", "AUTO-GENERATED; owner=x"),
        ("X-Autoreply", "yes"),
        ("X-Autorespond", "x"),
        ("Precedence", "Bulk"),
        ("Precedence", "list"),
        ("Precedence", "JUNK"),
        ("List-Id", "<a.b.example>"),
        ("List-Unsubscribe", "<mailto:x@y.example>"),
        ("X-Auto-Response-Suppress", "OOF"),
        ("X-Failed-Recipients", "a@b.example"),
        ("Content-Type", "multipart/report; report-type=disposition-notification; boundary=b"),
        ("To", "undisclosed-recipients:;"),
    ];
    let desk = Desk::open();
    for (name, value) in marks {
        desk.receive(&Letter::from("claire@acme.example").header(name, value));
        assert_eq!(acknowledgements(&desk, "claire@acme.example"), 0, "{name}: {value}");
    }
    desk.receive(&Letter::from("claire@acme.example").envelope("<>"));
    for from in ["no-reply@acme.example", "DoNotReply@acme.example", "bounces@acme.example", "root@acme.example"] {
        desk.receive(&Letter::from(from));
    }
    assert!(desk.sent().iter().all(|sent| !sent.envelope_from.is_empty()));
}

#[test]
fn lp_01_a_list_mail_written_by_a_person_still_reopens() {
    let desk = Desk::open();
    desk.receive(&Letter::from("claire@acme.example"));
    desk.sent();
    desk.answer(&desk.ticket(), "Fini.", Status::Closed);
    let sent = desk.sent_to("claire@acme.example").remove(0);
    desk.receive(&Letter::answering("claire@acme.example", &sent).header("Precedence", "bulk"));
    assert_eq!(desk.ticket().status, Status::WaitingForUs);
}

#[test]
fn lp_02_three_acknowledgements_an_hour_and_ten_a_day() {
    let desk = Desk::open();
    let mut an_hour = 0;
    for _ in 0..8 {
        desk.receive(&Letter::from("claire@acme.example"));
        an_hour += acknowledgements(&desk, "claire@acme.example");
    }
    assert_eq!(an_hour, 3);
    let mut a_day = an_hour;
    for _ in 0..22 {
        desk.test.clock.advance(TimeDelta::hours(1));
        desk.receive(&Letter::from("claire@acme.example"));
        a_day += acknowledgements(&desk, "claire@acme.example");
    }
    // The bucket of a day empties while the day passes.
    assert!((10..=20).contains(&a_day), "{a_day}");
}

#[test]
fn lp_02_an_unconfirmed_address_gets_one_mail_a_day() {
    let desk = Desk::open();
    let mut told = 0;
    for _ in 0..12 {
        desk.receive(&Letter::from("eve@stranger.example"));
        desk.test.clock.advance(TimeDelta::hours(1));
        told += desk.sent_to("eve@stranger.example").len();
    }
    assert_eq!(told, 1);
    desk.test.clock.advance(TimeDelta::hours(24));
    desk.receive(&Letter::from("eve@stranger.example"));
    assert_eq!(desk.sent_to("eve@stranger.example").len(), 1);
}

#[test]
fn lp_02_our_own_domains_get_no_acknowledgement() {
    let desk = Desk::open();
    desk.receive(&Letter::from("somebody@garonne.example"));
    desk.receive(&Letter::from("somebody@reply.desk.example"));
    assert!(desk.sent().iter().all(|sent| sent.recipient == "zoe@staff.example"));
}

#[test]
fn lp_03_what_we_send_by_ourselves_says_so() {
    let desk = Desk::open();
    desk.receive(&Letter::from("claire@acme.example"));
    let sent = desk.sent();
    assert_eq!(sent.len(), 2);
    for one in &sent {
        let expected = if one.envelope_from.is_empty() { "auto-replied" } else { "auto-generated" };
        assert_eq!(one.header("auto-submitted"), Some(expected));
        assert_eq!(one.header("x-auto-response-suppress"), Some("All"));
        assert_eq!(one.header("precedence"), Some("bulk"));
        assert_eq!(one.mail.loop_marks.len(), 1);
    }
}

#[test]
fn lp_05_ft_17_a_flood_of_one_sender_is_collected_in_one_ticket_and_answered_once() {
    let desk = Desk::open();
    for number in 0..80 {
        desk.accept(&Letter::from("eve@stranger.example").subject(&format!("Nr {number}")));
    }
    desk.test.run_jobs();
    let tickets = desk.tickets();
    assert!((30..=32).contains(&tickets.len()), "{}", tickets.len());
    let said: usize = tickets.iter().map(|ticket| desk.messages(ticket).len()).sum();
    assert_eq!(said, 80, "nothing is lost");
    assert_eq!(desk.sent_to("eve@stranger.example").len(), 1);
    desk.receive(&Letter::from("claire@acme.example"));
    assert_eq!(desk.tickets().last().unwrap().requester_id, desk.claire, "others are not held up");
}

#[test]
fn lp_05_many_mails_to_one_ticket_end_what_is_mailed_about_it() {
    let desk = Desk::open();
    desk.receive(&Letter::from("claire@acme.example"));
    desk.answer(&desk.ticket(), "Oui ?", Status::WaitingForCustomer);
    let sent = desk.sent_to("claire@acme.example").pop().unwrap();
    let mut told = 0;
    for number in 0..40 {
        desk.receive(&Letter::answering("claire@acme.example", &sent).text(&format!("encore {number}")));
        told += desk.sent().len();
    }
    assert!(told <= 12, "{told}");
    assert_eq!(desk.public_messages(&desk.ticket()).len(), 42);
}

#[test]
fn lp_05_a_ticket_reopens_by_mail_five_times_an_hour() {
    let desk = Desk::open();
    desk.receive(&Letter::from("claire@acme.example"));
    desk.answer(&desk.ticket(), "Fini.", Status::Closed);
    let sent = desk.sent_to("claire@acme.example").pop().unwrap();
    let mut reopened = 0;
    for number in 0..9 {
        desk.receive(&Letter::answering("claire@acme.example", &sent).text(&format!("non {number}")));
        if desk.ticket().status == Status::WaitingForUs {
            reopened += 1;
            desk.answer(&desk.ticket(), "Fini.", Status::Closed);
        }
    }
    assert_eq!(reopened, 5);
}

#[test]
fn lp_06_a_mail_that_goes_in_circles_is_kept_and_that_is_all() {
    let desk = Desk::open();
    desk.receive(&Letter::from("claire@acme.example"));
    let ours = desk.sent_to("zoe@staff.example").remove(0);
    let mark = ours.mail.loop_marks[0].clone();
    desk.receive(&Letter::from("x@relay.example").header("X-Accord-Loop", &mark));
    let mut circling = Letter::from("y@relay.example");
    for number in 0..51 {
        circling = circling.on_top("Received", &format!("from a{number} by b; Mon, 23 Nov 2026 08:00:00 +0000"));
    }
    desk.receive(&circling);
    assert_eq!(desk.tickets().len(), 1);
    assert_eq!(desk.test.read(unprocessed::counts).held, 2);
    assert!(desk.sent().is_empty());
}
