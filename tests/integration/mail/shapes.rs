//! Mail of machines in the many forms that it takes, and mail of people that looks like it (issue 4): what a machine made is
//! known as such and nobody answers it, and what a person wrote is never taken for it.
//!
//! The mails stand in `tests/fixtures/mail/shapes`, a file for each family, written after what the systems' documentation says
//! of their form. A mail begins with `### kind | name`; a field that every mail has and that tells nothing (`Date`, `Message-ID`)
//! is added, and so is `To` where it says nothing else. Words in braces stand for what the mail is about: `{to}` the customer
//! to whom an answer of ours went, `{bounce}` where reports of that answer go, `{reply}` where its answers go, `{id}` its
//! Message-ID, `{subject}` its subject, `{header}` its header, `{support}` our mailbox.

use std::sync::LazyLock;

use accord::db::schema::journal;
use accord::db::types::Json;
use accord::journal::{Record, State as JournalState};
use accord::mail::delivery_report::{self, Fate};
use accord::mail::incoming;
use accord::tickets::Ticket;
use accord::tickets::messages::Remark;
use accord::tickets::status::Status;
use chrono::TimeDelta;
use diesel::prelude::*;

use super::bounces::shapes::{self as reports_in_code, BAD, LOST};
use crate::support::desk::{Desk, Letter, SUPPORT, Sent};

const MACHINES: [(&str, &str); 10] = [
    ("absences", include_str!("../../fixtures/mail/shapes/absences.txt")),
    ("desks", include_str!("../../fixtures/mail/shapes/desks.txt")),
    ("exchange", include_str!("../../fixtures/mail/shapes/exchange.txt")),
    ("gateways", include_str!("../../fixtures/mail/shapes/gateways.txt")),
    ("groupware", include_str!("../../fixtures/mail/shapes/groupware.txt")),
    ("lists", include_str!("../../fixtures/mail/shapes/lists.txt")),
    ("machines", include_str!("../../fixtures/mail/shapes/machines.txt")),
    ("providers", include_str!("../../fixtures/mail/shapes/providers.txt")),
    ("reports", include_str!("../../fixtures/mail/shapes/reports.txt")),
    ("unix", include_str!("../../fixtures/mail/shapes/unix.txt")),
];
const PEOPLE: &str = include_str!("../../fixtures/mail/shapes/persons.txt");

/// Shapes that are to be recognised, of a hundred.
const RECOGNISED_PERCENT: usize = 98;

/// Of those that were sent with `Auto-Submitted` and arrive without it. What a person has a program say in their own words then
/// has nothing else about it, and what another desk sends may be an agent's words; that nobody takes a person for a machine is
/// worth more. None of them is answered.
const RECOGNISED_WITHOUT_PERCENT: usize = 79;

/// One mail of a file.
struct Shape {
    kind: &'static str,
    name: &'static str,
    mail: &'static str,
}

fn shapes(file: &'static str) -> Vec<Shape> {
    let mails = file.split("### ").skip(1);
    mails
        .map(|text| {
            let (title, mail) = text.split_once('\n').expect("a title, then a mail");
            let (kind, name) = title.split_once(" | ").expect("a kind, then a name");
            Shape { kind, name, mail }
        })
        .collect()
}

impl Shape {
    /// The mail as it arrives, about the mail that was sent.
    fn arriving(&self, sent: &Sent) -> Arriving {
        Shape::filled_in(self.mail, sent)
    }

    fn filled_in(mail: &str, sent: &Sent) -> Arriving {
        let id = sent.mail.message_id.as_deref().expect("our mails have ids");
        let header = format!(
            "Return-Path: <{}>\nReceived: from desk by mx.shape.test; Mon, 23 Nov 2026 08:00:01 +0000\nFrom: {SUPPORT}\n\
             To: {}\nSubject: {}\nMessage-ID: {id}\nMIME-Version: 1.0",
            sent.envelope_from, sent.recipient, sent.mail.subject
        );
        let mail = mail
            .replace("{header}", &header)
            .replace("{to}", &sent.recipient)
            .replace("{bounce}", &sent.envelope_from)
            .replace("{reply}", &sent.reply_to())
            .replace("{id}", id)
            .replace("{subject}", &sent.mail.subject)
            .replace("{support}", SUPPORT);
        let (fields, _) = mail.split_once("\n\n").unwrap_or((&mail, ""));
        let field = |name: &str| {
            let mut lines = fields.lines().filter_map(|line| line.split_once(": "));
            lines.find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned())
        };
        let bare = |value: String| match value.split_once('<') {
            Some((_, address)) => address.trim_end_matches('>').to_owned(),
            None => value.split(' ').next().unwrap_or_default().to_owned(),
        };
        let from = field("From").expect("a mail is from somebody");
        let envelope_from = match field("Return-Path") {
            Some(path) if path == "<>" => path,
            Some(path) => bare(path),
            None => bare(from),
        };
        let mut added = format!(
            "Date: Mon, 23 Nov 2026 08:00:00 +0000\nMessage-ID: <{}@shape.test>\n",
            accord::secret::random_handle()
        );
        let recipient = field("Delivered-To").filter(|to| to.contains('@')).or(field("To"));
        if field("To").is_none() {
            added.push_str(&format!("To: {SUPPORT}\n"));
        }
        if field("Content-Type").is_none() {
            added.push_str("Content-Type: text/plain; charset=utf-8\n");
        }
        Arriving {
            recipient: recipient.filter(|to| to.contains("example")).unwrap_or_else(|| SUPPORT.to_owned()),
            envelope_from,
            bytes: format!("{added}{mail}").replace('\n', "\r\n").into_bytes(),
        }
    }
}

struct Arriving {
    recipient: String,
    envelope_from: String,
    bytes: Vec<u8>,
}

/// A customer wrote, was answered, and the answer left. Long ago enough that no limit keeps a machine from answering again.
fn answered(desk: &Desk, number: usize) -> (Ticket, Sent) {
    let customer = format!("claire@acme{number}.test");
    desk.receive(&Letter::from(&customer).subject("question").text(&format!("Une question, {number}.\r\n")));
    let ticket = desk.tickets().pop().expect("a ticket");
    desk.answer(&ticket, "Redémarrez-le.", Status::WaitingForCustomer);
    let sent = desk.sent_to(&customer).pop().expect("an answer");
    assert!(sent.envelope_from.starts_with("b+"), "{}", sent.envelope_from);
    desk.test.clock.advance(TimeDelta::hours(25));
    (ticket, sent)
}

/// What the journal says of the mail that came last.
fn last_record(desk: &Desk) -> (JournalState, Record) {
    desk.test.read(|db| {
        let last = journal::table.order(journal::id.desc()).select((journal::state, journal::record));
        let (state, record) = last.first::<(JournalState, Json<Record>)>(db)?;
        Ok((state, record.0))
    })
}

/// What becomes of the field by which machines say that they are some, `Auto-Submitted` (RFC 3834).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Confession {
    AsSent,
    /// Not every machine has it, and not every server on the way leaves it.
    Removed,
    /// Where it was missing.
    Added,
}

impl Confession {
    /// The mail with the field so; nothing where that is as it was sent.
    fn of(self, shape: &Shape) -> Option<String> {
        let (fields, body) = shape.mail.split_once("\n\n").unwrap_or((shape.mail, ""));
        let is_it = |line: &&str| line.to_ascii_lowercase().starts_with("auto-submitted:");
        let has_it = fields.lines().any(|line| is_it(&line));
        match self {
            Confession::AsSent => Some(shape.mail.to_owned()),
            Confession::Removed => has_it.then(|| {
                let left: Vec<&str> = fields.lines().filter(|line| !is_it(line)).collect();
                format!("{}\n\n{body}", left.join("\n"))
            }),
            Confession::Added => (!has_it).then(|| format!("Auto-Submitted: auto-generated\n{}", shape.mail)),
        }
    }
}

/// What became of one mail of a machine.
struct Heard {
    name: String,
    /// What was expected and was not so, if anything.
    fault: Option<String>,
    /// Mails to others than staff that followed.
    mailed: Vec<String>,
}

/// Every mail of a machine as it was sent, through the whole intake; once for all tests.
fn machines() -> &'static [Heard] {
    static HEARD: LazyLock<Vec<Heard>> = LazyLock::new(|| heard(Confession::AsSent));
    &HEARD
}

/// Those of them that are others with that field so, through the whole intake.
fn heard(confession: Confession) -> Vec<Heard> {
    let mut heard = Vec::new();
    for (family, file) in MACHINES {
        let desk = Desk::open();
        let (mut ticket, mut sent) = answered(&desk, 0);
        for (number, shape) in shapes(file).into_iter().enumerate() {
            let Some(mail) = confession.of(&shape) else { continue };
            // A mail comes back once. What is no report of it leaves all as it was, or another takes its place.
            let is_as_it_was = desk.ticket_again(ticket.id).status == Status::WaitingForCustomer;
            if !matches!(shape.kind, "answer" | "notice") || !is_as_it_was {
                (ticket, sent) = answered(&desk, number + 1);
            }
            desk.test.clock.advance(TimeDelta::hours(25));
            let arriving = Shape::filled_in(&mail, &sent);
            desk.accept_bytes(&arriving.recipient, &arriving.envelope_from, arriving.bytes.clone());
            desk.test.run_jobs();
            let to_others = desk.sent().into_iter().map(|sent| sent.recipient);
            let mailed = to_others.filter(|to| !to.ends_with("@staff.example")).collect();
            let fault = fault_with_machine(&desk, &shape, &arriving, &ticket, &sent);
            heard.push(Heard { name: format!("{family}, {}", shape.name), fault, mailed });
        }
    }
    heard
}

fn fault_with_machine(desk: &Desk, shape: &Shape, arriving: &Arriving, ticket: &Ticket, sent: &Sent) -> Option<String> {
    let (state, record) = last_record(desk);
    let has = |flag: &str| record.flags.iter().any(|found| found == flag);
    let is_heard = match shape.kind {
        "failed gone" => is_report_of(arriving, sent, BAD) && record.decision == "bounce",
        "failed" => is_report_of(arriving, sent, LOST) && record.decision == "bounce",
        "delayed" => is_report_of(arriving, sent, Fate::Delayed) && record.decision == "delay",
        "arrived" => is_report_of(arriving, sent, Fate::Delivered) && record.decision == "delivery_report",
        "answer" => has("machine_made"),
        "notice" => has("machine_made") || has("not_to_be_acknowledged"),
        kind => panic!("{kind} is no kind of mail"),
    };
    let is_quiet = shape.kind == "notice" || desk.ticket_again(ticket.id).status == Status::WaitingForCustomer;
    if is_heard && is_quiet {
        return None;
    }
    let report = delivery_report::read(&incoming::parse(&arriving.bytes), true);
    Some(format!("{}, {state:?}, {record:?}, {:?}", shape.kind, report.recipients))
}

fn is_report_of(arriving: &Arriving, sent: &Sent, fate: Fate) -> bool {
    let report = delivery_report::read(&incoming::parse(&arriving.bytes), true);
    report.recipients.iter().any(|told| told.addresses.contains(&sent.recipient) && told.fate == fate)
}

#[test]
fn bn_01_lp_01_machines_are_recognised_in_the_forms_of_the_common_systems() {
    let heard = machines();
    let reports = reports_in_code::all().len();
    assert!(heard.len() + reports >= 110, "{} and {reports}", heard.len());
    assert_recognised(heard, RECOGNISED_PERCENT);
}

fn assert_recognised(heard: &[Heard], percent: usize) {
    let faults: Vec<_> =
        heard.iter().filter_map(|one| Some(format!("{}: {}", one.name, one.fault.as_ref()?))).collect();
    let recognised = heard.len() - faults.len();
    println!("{recognised} of {} recognised\n{}", heard.len(), faults.join("\n"));
    assert!(recognised * 100 >= heard.len() * percent, "{recognised} of {}: {faults:#?}", heard.len());
}

#[test]
fn lp_01_machines_that_do_not_say_so_are_recognised_by_what_else_they_have() {
    let heard = heard(Confession::Removed);
    assert!(heard.len() >= 50, "{}", heard.len());
    assert_recognised(&heard, RECOGNISED_WITHOUT_PERCENT);
    assert_nobody_answers(&heard);
}

#[test]
fn lp_01_a_machine_that_says_so_is_heard_no_otherwise_for_it() {
    let heard = heard(Confession::Added);
    assert!(heard.len() >= 100, "{}", heard.len());
    assert_recognised(&heard, RECOGNISED_PERCENT);
    assert_nobody_answers(&heard);
}

fn assert_nobody_answers(heard: &[Heard]) {
    for one in heard {
        assert!(one.mailed.is_empty(), "{}: {:?}", one.name, one.mailed);
    }
}

#[test]
fn lp_01_no_mail_follows_to_any_machine() {
    assert_nobody_answers(machines());
}

/// What a person wrote is the dearer one to mistake: not one may be.
#[test]
fn lp_01_people_who_write_of_such_things_are_heard() {
    let desk = Desk::open();
    let people = shapes(PEOPLE);
    assert!(people.len() >= 40, "{}", people.len());
    let mut faults = Vec::new();
    for (number, shape) in people.into_iter().enumerate() {
        let (ticket, sent) = answered(&desk, number);
        let before = (desk.tickets().len(), desk.public_messages(&ticket).len());
        let arriving = shape.arriving(&sent);
        desk.accept_bytes(&arriving.recipient, &arriving.envelope_from, arriving.bytes.clone());
        desk.test.run_jobs();
        let (state, record) = last_record(&desk);
        let from = arriving.envelope_from.as_str();
        let mailed = desk.sent().iter().filter(|sent| sent.recipient == from).count();
        let tickets = desk.tickets();
        let is_heard = match shape.kind {
            "answers" => {
                tickets.len() == before.0
                    && desk.public_messages(&ticket).len() == before.1 + 1
                    && desk.ticket_again(ticket.id).status == Status::WaitingForUs
            }
            "asks" | "asks quietly" => {
                let opened = tickets.last().expect("a ticket");
                tickets.len() == before.0 + 1
                    && desk.messages(opened)[0].remark != Some(Remark::Automatic)
                    && mailed == usize::from(shape.kind == "asks")
            }
            kind => panic!("{kind} is nothing that people do"),
        };
        if !is_heard || state != JournalState::Applied || record.flags.iter().any(|flag| flag == "machine_made") {
            faults.push(format!("{}: {}, {mailed} mailed, {state:?}, {record:?}", shape.name, shape.kind));
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}
