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
        let id = sent.mail.message_id.as_deref().expect("our mails have ids");
        let header = format!(
            "Return-Path: <{}>\nReceived: from desk by mx.shape.test; Mon, 23 Nov 2026 08:00:01 +0000\nFrom: {SUPPORT}\n\
             To: {}\nSubject: {}\nMessage-ID: {id}\nMIME-Version: 1.0",
            sent.envelope_from, sent.recipient, sent.mail.subject
        );
        let mail = self
            .mail
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

/// What became of one mail of a machine.
struct Heard {
    name: String,
    /// What was expected and was not so, if anything.
    fault: Option<String>,
    /// Mails to others than staff that followed.
    mailed: Vec<String>,
}

/// Every mail of a machine, through the whole intake; once for all tests.
fn machines() -> &'static [Heard] {
    static HEARD: LazyLock<Vec<Heard>> = LazyLock::new(|| {
        let mut heard = Vec::new();
        for (family, file) in MACHINES {
            let desk = Desk::open();
            let (mut ticket, mut sent) = answered(&desk, 0);
            for (number, shape) in shapes(file).into_iter().enumerate() {
                // A mail comes back once. What is no report of it leaves all as it was, or another takes its place.
                let is_as_it_was = desk.ticket_again(ticket.id).status == Status::WaitingForCustomer;
                if !matches!(shape.kind, "answer" | "notice") || !is_as_it_was {
                    (ticket, sent) = answered(&desk, number + 1);
                }
                desk.test.clock.advance(TimeDelta::hours(25));
                let arriving = shape.arriving(&sent);
                desk.accept_bytes(&arriving.recipient, &arriving.envelope_from, arriving.bytes.clone());
                desk.test.run_jobs();
                let to_others = desk.sent().into_iter().map(|sent| sent.recipient);
                let mailed = to_others.filter(|to| !to.ends_with("@staff.example")).collect();
                let fault = fault_with_machine(&desk, &shape, &arriving, &ticket, &sent);
                heard.push(Heard { name: format!("{family}, {}", shape.name), fault, mailed });
            }
        }
        heard
    });
    &HEARD
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
    let faults: Vec<_> =
        heard.iter().filter_map(|one| Some(format!("{}: {}", one.name, one.fault.as_ref()?))).collect();
    let recognised = heard.len() - faults.len();
    println!("{recognised} of {} recognised\n{}", heard.len(), faults.join("\n"));
    assert!(recognised * 100 >= heard.len() * RECOGNISED_PERCENT, "{recognised} of {}: {faults:#?}", heard.len());
}

#[test]
fn lp_01_no_mail_follows_to_any_machine() {
    for one in machines() {
        assert!(one.mailed.is_empty(), "{}: {:?}", one.name, one.mailed);
    }
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
