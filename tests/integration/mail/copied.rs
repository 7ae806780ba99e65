//! People in copy who take part by themselves, where their organisation has it so (TH-07).

use accord::audit;
use accord::i18n::Locale;
use accord::people::copied_domain;
use accord::people::memberships::{self, Rights};
use accord::people::organisations::{self, Contract, Information};
use accord::people::person::{self, Origin};
use accord::teams::mailboxes::{self, MailboxDescription};
use accord::tickets::messages::{self, Reading};
use accord::tickets::participants::{self, Standing};
use accord::tickets::status::Status;
use accord::tickets::ticket::Ticket;
use chrono::TimeDelta;
use diesel::connection::SimpleConnection;

use crate::support::desk::{Desk, Letter, SUPPORT, address};

const CLAIRE: &str = "claire@acme.example";
const VENTES: &str = "ventes@acme.example";

fn set(desk: &Desk, typed: &'static str) {
    let (acme, anne, now) = (desk.acme, desk.administrator, desk.test.now());
    desk.test.write(move |db| {
        let acme = organisations::by_id(db, acme)?;
        copied_domain::set(db, &acme, typed, Some(anne), now)
    });
}

/// Anne says that people at acme.example who are in copy take part.
fn open() -> Desk {
    let desk = Desk::open();
    set(&desk, "Acme.example");
    desk
}

/// Who is in the ticket beside its requester.
fn standings(desk: &Desk, ticket: &Ticket) -> Vec<(String, Standing)> {
    let shown = desk.test.read(|db| participants::shown(db, ticket));
    shown.into_iter().skip(1).map(|shown| (shown.address, shown.standing)).collect()
}

fn is(address: &str, standing: Standing) -> (String, Standing) {
    (address.to_owned(), standing)
}

#[test]
fn th_07_a_proven_member_s_colleagues_in_copy_take_part_and_nobody_else_does() {
    let desk = open();
    let now = desk.test.now();
    // A second mailbox of ours, at the customer's domain of all places.
    desk.test.write(move |db| {
        let queue = accord::teams::queues::all(db)?.remove(0).id;
        let second = MailboxDescription::new(address(VENTES), "Ventes", queue, Locale::Fr);
        mailboxes::create(db, &second, None, now)
    });
    let cc = format!(
        "Bob <bob@acme.example>, Eve <eve@acme.example>, {SUPPORT}, {VENTES}, no-reply@acme.example, \
         zoe@staff.example, x@else.example, y@sub.acme.example"
    );
    desk.receive(&Letter::from(CLAIRE).header("Cc", &cc).authenticated("pass"));
    let expected = [
        is("bob@acme.example", Standing::Active),
        is("eve@acme.example", Standing::Active),
        is("x@else.example", Standing::Proposed),
        is("y@sub.acme.example", Standing::Proposed),
    ];
    assert_eq!(standings(&desk, &desk.ticket()), expected);
    let recipients: Vec<String> = desk.sent().into_iter().map(|sent| sent.recipient).collect();
    assert!(!recipients.iter().any(|to| to == VENTES || to.starts_with("no-reply")), "{recipients:?}");
}

#[test]
fn th_07_it_is_off_by_default_and_needs_the_proof_of_a_member_at_that_domain() {
    let desk = Desk::open();
    let with_bob = |from: &str| Letter::from(from).header("Cc", "bob@acme.example");
    desk.receive(&with_bob(CLAIRE).authenticated("pass"));
    set(&desk, "acme.example");
    desk.receive(&with_bob(CLAIRE));
    desk.receive(&with_bob("mallory@acme.example").authenticated("pass"));
    desk.receive(&with_bob("mallory@evil.example").authenticated("pass"));
    for ticket in desk.tickets() {
        assert_eq!(standings(&desk, &ticket), [is("bob@acme.example", Standing::Proposed)]);
    }
    desk.receive(&with_bob(CLAIRE).header("Precedence", "bulk").authenticated("pass"));
    assert_eq!(standings(&desk, &desk.tickets()[4]), [], "a list proposes nobody");
    set(&desk, "");
    desk.receive(&with_bob(CLAIRE).subject("Autre").authenticated("pass"));
    assert_eq!(standings(&desk, &desk.tickets()[5]), [is("bob@acme.example", Standing::Proposed)]);
}

#[test]
fn th_07_they_read_from_then_on_and_who_was_removed_stays_out() {
    let desk = open();
    desk.receive(&Letter::from(CLAIRE));
    desk.test.clock.advance(TimeDelta::minutes(5));
    desk.answer(&desk.ticket(), "Redémarrez.", Status::WaitingForCustomer);
    let sent = desk.sent_to(CLAIRE).pop().unwrap();
    desk.test.clock.advance(TimeDelta::minutes(5));
    let answer = Letter::answering(CLAIRE, &sent).header("Cc", "bob@acme.example").authenticated("pass");
    desk.receive(&answer.clone().text("Merci à Bob."));
    let ticket = desk.ticket();
    assert_eq!(standings(&desk, &ticket), [is("bob@acme.example", Standing::Active)]);
    let bob = desk.bob;
    let part = desk.test.read(|db| participants::find(db, ticket.id, bob)).unwrap();
    let read = desk.test.read(|db| messages::of_ticket(db, &ticket, Reading::PublicSince(part.joined_at), 100));
    assert_eq!(read.len(), 1);
    assert!(read[0].body_text.contains("Merci à Bob."));

    let (by, now, removed) = (desk.actor(desk.zoe), desk.test.now(), ticket.clone());
    desk.test.write(move |db| participants::remove(db, &removed, bob, &by, now));
    desk.receive(&answer.header("Message-ID", "<again@acme.example>").text("Et encore."));
    assert_eq!(standings(&desk, &ticket), []);
}

#[test]
fn th_07_who_is_shut_out_or_belongs_elsewhere_is_proposed_and_comes_in_by_no_domain() {
    let desk = open();
    let (acme, anne, now) = (desk.acme, desk.administrator, desk.test.now());
    let named = ["shut", "contractor", "loner"].map(|name| address(&format!("{name}@acme.example")));
    desk.test.write(move |db| {
        let mut people = Vec::new();
        for address in &named {
            people.push(person::find_or_create_by_address(db, address, "", Origin::Mail, Locale::Fr, now)?);
        }
        person::disable(db, people[0].id, anne, now)?;
        let information = Information::named("Ailleurs", Locale::Fr);
        let elsewhere = organisations::create(db, &information, Contract::NONE, None, now)?;
        memberships::add(db, people[1].id, elsewhere.id, Rights::default(), None, now)?;
        // Who wrote before has an organisation of their own.
        organisations::create_individual(db, people[2].id, "Loner", Locale::Fr, now)?;
        assert_ne!(elsewhere.id, acme);
        Ok(())
    });
    let cc = "shut@acme.example, contractor@acme.example, loner@acme.example, new@acme.example";
    desk.receive(&Letter::from(CLAIRE).header("Cc", cc).authenticated("pass"));
    let expected = [
        is("shut@acme.example", Standing::Proposed),
        is("contractor@acme.example", Standing::Proposed),
        is("loner@acme.example", Standing::Active),
        is("new@acme.example", Standing::Active),
    ];
    assert_eq!(standings(&desk, &desk.ticket()), expected);
}

/// Set before such domains were refused, or by hand.
#[test]
fn th_07_a_domain_at_which_anybody_gets_an_address_never_lets_in_anybody() {
    let desk = Desk::open();
    desk.test.write(|db| Ok(db.batch_execute("UPDATE organisations SET copied_domain = 'gmail.com'")?));
    let (acme, now) = (desk.acme, desk.test.now());
    desk.test.write(move |db| {
        let (fr, from) = (Locale::Fr, address("claire@gmail.com"));
        let claire = person::find_or_create_by_address(db, &from, "Claire", Origin::Mail, fr, now)?;
        memberships::add(db, claire.id, acme, Rights::default(), None, now)
    });
    desk.receive(&Letter::from("claire@gmail.com").header("Cc", "mallory@gmail.com").authenticated("pass"));
    assert_eq!(standings(&desk, &desk.ticket()), [is("mallory@gmail.com", Standing::Proposed)]);
}

#[test]
fn th_07_at_most_twenty_of_a_mail_take_part() {
    let desk = open();
    let cc: Vec<String> = (0..60).map(|number| format!("p{number}@acme.example")).collect();
    desk.receive(&Letter::from(CLAIRE).header("Cc", &cc.join(", ")).authenticated("pass"));
    let all = standings(&desk, &desk.ticket());
    assert_eq!(all.len(), 20);
    assert!(all.iter().all(|(_, standing)| *standing == Standing::Active));
}

#[actix_web::test]
async fn th_07_the_operator_says_so_on_the_page_of_the_organisation_and_the_ledger_has_it() {
    let desk = Desk::open();
    let acme = desk.test.read(|db| organisations::by_id(db, desk.acme));
    let path = format!("/organisations/{}", acme.handle);
    let anne = desk.test.signed_in(desk.administrator).await;
    let form = |domain: &'static str, version: &'static str| {
        [
            ("version", version),
            ("status", "customer"),
            ("contract_started_on", ""),
            ("contract_ended_on", ""),
            ("copied_domain", domain),
        ]
    };
    anne.post(&format!("{path}/contract"), &form("else.example", "1")).await.assert_status(422);
    anne.post(&format!("{path}/contract"), &form("no domain", "1")).await.assert_status(422);
    for public in ["gmail.com", "Yahoo.co.uk", "co.uk", "github.io"] {
        let refused = anne.post(&format!("{path}/contract"), &form(public, "1")).await;
        refused.assert_status(422).assert_says("N’importe qui peut avoir une adresse dans ce domaine");
    }
    desk.test.write(|db| Ok(db.batch_execute("UPDATE people SET language = 'en'")?));
    let refused = anne.post(&format!("{path}/contract"), &form("gmail.com", "1")).await;
    refused.assert_says("Anybody can have an address at this domain");
    desk.test.write(|db| Ok(db.batch_execute("UPDATE people SET language = 'fr'")?));
    anne.post(&format!("{path}/contract"), &form("acme.example", "1")).await.assert_status(303);
    anne.get(&path).await.assert_says("value=\"acme.example\"");
    assert_eq!(desk.test.read(|db| copied_domain::find(db, acme.id)).as_deref(), Some("acme.example"));
    let rows = desk.test.read(|db| audit::list(db, None, 100));
    let changes = rows.into_iter().filter(|(row, _)| row.kind == "organisation_changed");
    let entries: Vec<_> = changes.map(|(row, _)| row.actor).collect();
    assert_eq!(entries, [Some(desk.administrator), Some(desk.administrator)]);
    // Who only belongs to it says nothing about it.
    let claire = desk.test.signed_in(desk.claire).await;
    claire.post(&format!("{path}/contract"), &form("acme.example", "2")).await.assert_status(403);
}
