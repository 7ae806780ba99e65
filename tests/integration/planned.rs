//! Answers that can be taken back for some seconds, and those that go out at a time that was chosen: nobody but agents
//! sees them before, they go out once, and none is lost.

use std::collections::BTreeSet;

use accord::access::Actor;
use accord::audit;
use accord::clock::UtcTime;
use accord::db::DbConnection;
use accord::db::schema::{planned_answers, thrown_away_files, ticket_messages, ticket_participants};
use accord::db::types::{OrganisationId, PersonId, PlannedAnswerId};
use accord::error::Error;
use accord::people::person;
use accord::teams::queues::{self, QueueKind};
use accord::tickets::events::{self, EventKind, Maker};
use accord::tickets::messages::{self, CustomerMessage, NewMessage, NewNote, Remark, Visibility, Words};
use accord::tickets::participants::{self, Standing};
use accord::tickets::planned::releasing::{self, Released};
use accord::tickets::planned::{self, HeldBecause, NewPlanned, PlanOutcome, PlannedAnswer, Release, State};
use accord::tickets::status::{self, Status};
use accord::tickets::ticket::Ticket;
use accord::tickets::{assignment, attachments, moving};
use accord::worker::planned_answers as planned_answers_work;
use chrono::TimeDelta;
use diesel::prelude::*;

use crate::support::browser::{Answered, Browser};
use crate::support::desk::{AUTHSERV, Desk, Letter};

const CLAIRE: &str = "claire@acme.example";
const ZOE: &str = "zoe@staff.example";

/// A desk where what is sent can be taken back for 15 seconds, and Claire's request.
fn desk() -> (Desk, Ticket) {
    let desk = Desk::with_settings(&format!("[mail]\ntrusted_authserv_id = \"{AUTHSERV}\"\n[desk]\nundo_seconds = 15"));
    desk.receive(&Letter::from(CLAIRE));
    desk.sent();
    let ticket = desk.ticket();
    (desk, ticket)
}

/// The value of the first hidden field of that name.
fn hidden(page: &str, name: &str) -> String {
    let start = format!("name=\"{name}\" value=\"");
    let rest = page.split(&start).nth(1).unwrap_or_else(|| panic!("no {name} in {page}"));
    rest.split('"').next().unwrap().to_owned()
}

fn path(ticket: &Ticket) -> String {
    format!("/tickets/{}", ticket.reference)
}

async fn sends(zoe: &Browser, ticket: &Ticket, fields: &[(&str, &str)], files: &[(&str, &str, &[u8])]) -> Answered {
    zoe.upload(&format!("{}/replies", path(ticket)), fields, files).await
}

/// What is not said yet, whoever wrote it.
fn unsaid(desk: &Desk) -> Vec<(String, State, Option<HeldBecause>)> {
    desk.test.read(|db| {
        Ok(planned_answers::table
            .order(planned_answers::id)
            .select((planned_answers::handle, planned_answers::state, planned_answers::held_because))
            .load(db)?)
    })
}

/// Zoé plans an answer for tomorrow, as the page does it.
fn planned(desk: &Desk, ticket: &Ticket, text: &'static str) -> String {
    plan_for(desk, ticket, text, Release::At(desk.test.now().plus(TimeDelta::days(1))))
}

fn plan_for(desk: &Desk, ticket: &Ticket, text: &'static str, release: Release) -> String {
    let (ticket, by, now) = (desk.ticket_again(ticket.id), desk.actor(desk.zoe), desk.test.now());
    let outcome = desk.test.write(move |db| {
        let (status, seen) = (Status::WaitingForCustomer, ticket.message_count);
        let answer = NewPlanned { text: text.to_owned(), files: Vec::new(), status, seen, release };
        planned::plan(db, &ticket, answer, &by, now)
    });
    match outcome {
        PlanOutcome::Waits(handle) => handle,
        PlanOutcome::Stale(_) => panic!("nobody wrote meanwhile"),
    }
}

fn handle_of(desk: &Desk, handle: &str) -> PlannedAnswer {
    let of: PlannedAnswerId = desk.test.read(|db| {
        Ok(planned_answers::table.filter(planned_answers::handle.eq(handle)).select(planned_answers::id).first(db)?)
    });
    desk.test.read(|db| planned::find_by_id(db, of)).expect("it is there")
}

#[actix_web::test]
async fn an_answer_can_be_taken_back_for_fifteen_seconds_as_if_it_was_never_said() {
    let (desk, ticket) = desk();
    let (zoe, claire) = (desk.test.browser_of(desk.zoe).await, desk.test.browser_of(desk.claire).await);
    let fields = [("text", "Redémarrez la **cave-7731**."), ("seen", "1"), ("once", "a"), ("status", "closed")];
    let sent = sends(&zoe, &ticket, &fields, &[("files", "mode.txt", b"un deux")]).await;
    sent.assert_status(303);
    assert!(sent.location().contains("said=said-answer-waits"), "{}", sent.location());
    desk.test.run_jobs();

    // Agents see it with the way back; nobody else sees anything, and nothing is mailed or changed.
    let page = zoe.get(sent.location()).await;
    page.assert_says("data-countdown=\"15\"").assert_says("<strong>cave-7731</strong>").assert_says("mode.txt");
    assert_eq!(desk.sent().len(), 0);
    let nobody_knows = async |desk: &Desk| {
        let now = desk.ticket_again(ticket.id);
        assert_eq!((now.status, now.message_count), (ticket.status, 1));
        assert_eq!(now.last_message_at, ticket.last_message_at);
        for page in [format!("/requests/{}", ticket.reference), "/requests".to_owned()] {
            claire.get(&page).await.assert_status(200).assert_silent_about("7731").assert_silent_about("mode.txt");
        }
        zoe.get("/search?q=cave-7731").await.assert_silent_about(&ticket.reference);
        assert!(desk.test.read(|db| attachments::of_ticket(db, &ticket)).is_empty());
    };
    nobody_knows(&desk).await;

    // The server holds a little longer than the page says.
    desk.test.pass(TimeDelta::seconds(16));
    nobody_knows(&desk).await;
    let handle = unsaid(&desk)[0].0.clone();
    let back = format!("{}/answers/{handle}/taking-back", path(&ticket));
    for _ in 0..2 {
        zoe.post(&back, &[]).await.assert_status(303);
    }
    desk.test.pass(TimeDelta::hours(1));
    nobody_knows(&desk).await;
    assert_eq!(desk.sent().len(), 0);

    // It stands in the composer, whenever its author opens the ticket, and in nobody else's.
    let page = zoe.get(&path(&ticket)).await.text();
    assert!(page.contains("Redémarrez la **cave-7731**.</textarea>") && page.contains("mode.txt"), "{page}");
    assert_eq!(hidden(&page, "answer"), handle);
    let hugo = desk.test.given().agent("Hugo", &[QueueKind::Support]);
    desk.test.browser_of(hugo).await.get(&path(&ticket)).await.assert_silent_about("7731");

    // A page that was gone back to does not send it a second time, and does not say that it did.
    let again = sends(&zoe, &ticket, &fields, &[("files", "mode.txt", b"un deux")]).await;
    assert_eq!((again.status.as_u16(), again.location()), (303, path(&ticket).as_str()));

    // Sent after all, in other words, with the file that was kept.
    let (seen, once, kept) = (hidden(&page, "seen"), hidden(&page, "once"), hidden(&page, "kept"));
    let fields = [("text", "Redémarrez."), ("seen", &seen), ("once", &once), ("kept", &kept), ("answer", &handle)];
    sends(&zoe, &ticket, &fields, &[]).await.assert_status(303);
    let waiting = unsaid(&desk);
    assert_eq!(waiting.len(), 1);
    desk.test.pass(TimeDelta::seconds(20));
    assert!(unsaid(&desk).is_empty());
    let said = desk.public_messages(&ticket);
    assert_eq!(said.iter().map(|message| message.body_text.as_str()).skip(1).collect::<Vec<_>>(), ["Redémarrez."]);
    assert_eq!(said[1].handle, waiting[0].0, "the message bears the name of what waited");
    assert_eq!(desk.test.read(|db| attachments::of_ticket(db, &ticket)).len(), 1);
    assert_eq!(desk.sent_to(CLAIRE).len(), 1);
    claire.get(&format!("/requests/{}", ticket.reference)).await.assert_says("Redémarrez.");

    // Too late.
    let late = format!("{}/answers/{}/taking-back", path(&ticket), waiting[0].0);
    zoe.post(&late, &[]).await.assert_status(409).assert_says("cette réponse est partie");
    // And in another window, in which it still stood in the composer.
    let fields = [("text", "Redémarrez !"), ("seen", "2"), ("once", "b"), ("answer", &handle)];
    sends(&zoe, &ticket, &fields, &[]).await.assert_status(409).assert_says("Redémarrez !");
    assert_eq!(desk.messages(&ticket).len(), 2);
}

#[actix_web::test]
async fn what_goes_with_an_answer_happens_when_it_goes_out() {
    let (desk, ticket) = desk();
    let zoe = desk.test.browser_of(desk.zoe).await;
    let fields = [("text", "Voilà."), ("seen", "1"), ("once", "a"), ("status", "closed")];
    sends(&zoe, &ticket, &fields, &[]).await.assert_status(303);
    desk.test.pass(TimeDelta::seconds(16));
    assert_eq!(desk.ticket_again(ticket.id).status, ticket.status);
    desk.test.pass(TimeDelta::seconds(1));
    let after = desk.ticket_again(ticket.id);
    assert_eq!((after.status, after.message_count, after.closed_at), (Status::Closed, 2, Some(desk.test.now())));
    assert_eq!(desk.sent_to(CLAIRE).len(), 1);
}

#[actix_web::test]
async fn a_taken_back_answer_is_thrown_away_by_its_author_only() {
    let (desk, ticket) = desk();
    let zoe = desk.test.browser_of(desk.zoe).await;
    let hugo = desk.test.given().agent("Hugo", &[QueueKind::Support]);
    let hugo = desk.test.browser_of(hugo).await;
    let handle = planned(&desk, &ticket, "Demain.");
    let of = |what: &str| format!("{}/answers/{handle}/{what}", path(&ticket));
    hugo.post(&of("removal"), &[]).await.assert_status(409);
    // A colleague takes it over: it is in their composer, and theirs to send.
    hugo.post(&of("taking-back"), &[]).await.assert_status(303);
    hugo.get(&path(&ticket)).await.assert_says("Demain.</textarea>").assert_says("a repris une réponse de Zoé Petit");
    zoe.get(&path(&ticket)).await.assert_silent_about("Demain.</textarea>");
    zoe.post(&of("removal"), &[]).await.assert_status(409);
    zoe.post(&of("taking-back"), &[]).await.assert_status(409).assert_says("Cette réponse n’est plus là");
    hugo.post(&of("removal"), &[]).await.assert_status(303);
    hugo.get(&path(&ticket)).await.assert_silent_about("Demain.</textarea>");
    desk.test.pass(TimeDelta::days(2));
    assert_eq!(desk.messages(&ticket).len(), 1);
}

#[actix_web::test]
async fn an_answer_goes_out_at_the_time_chosen_by_the_agent_s_clock() {
    let (desk, ticket) = desk();
    let zoe = desk.test.browser_of(desk.zoe).await;
    let fields =
        |once: &'static str, at: &'static str| [("text", "Bonjour."), ("seen", "1"), ("once", once), ("send_at", at)];
    // What cannot be is said beside the field, and the words stay. On the last Sunday of March there is no half past two.
    let wrong = [
        ("2026-11-23T08:59", "Cette heure est passée"),
        ("2027-12-24T09:00", "d’ici un an"),
        ("demain", "Indiquez un jour"),
        ("2027-03-28T02:30", "cette heure n’existe pas"),
    ];
    for (at, why) in wrong {
        let wrong = sends(&zoe, &ticket, &fields("x", at), &[]).await;
        wrong
            .assert_status(422)
            .assert_says("id=\"send_at-error\"")
            .assert_says("Bonjour.</textarea>")
            .assert_says(why);
    }
    let planned = sends(&zoe, &ticket, &fields("y", "2026-11-24T09:30"), &[]).await;
    planned.assert_status(303);
    assert!(planned.location().contains("said=said-answer-planned"), "{}", planned.location());
    let page = zoe.get(planned.location()).await;
    page.assert_says("24 nov. 2026")
        .assert_says("09:30")
        .assert_says("(Europe/Paris)")
        .assert_says("Zoé Petit a prévu");

    // Another time, beside which what is wrong is said, too.
    let of = |what: &str| format!("{}/answers/{}/{what}", path(&ticket), unsaid(&desk)[0].0);
    let wrong = zoe.post(&of("time"), &[("at", "2026-11-22T09:30"), ("seen", "1")]).await;
    wrong.assert_status(422).assert_says("id=\"at-error\"");
    zoe.post(&of("time"), &[("at", "2026-11-25T07:00"), ("seen", "1")]).await.assert_status(303);
    desk.test.pass(TimeDelta::hours(45));
    assert_eq!((desk.messages(&ticket).len(), desk.sent().len()), (1, 0));
    desk.test.pass(TimeDelta::hours(1));
    assert_eq!(desk.messages(&ticket).len(), 2);
    assert_eq!(desk.messages(&ticket)[1].created_at.rfc3339(), "2026-11-25T06:00:00Z");
    assert_eq!(desk.sent_to(CLAIRE).len(), 1);
    desk.test.pass(TimeDelta::days(3));
    assert_eq!(desk.sent_to(CLAIRE).len(), 0);
}

#[actix_web::test]
async fn a_planned_answer_can_be_sent_at_once_and_still_be_taken_back() {
    let (desk, ticket) = desk();
    let zoe = desk.test.browser_of(desk.zoe).await;
    let handle = planned(&desk, &ticket, "Demain.");
    let of = |what: &str| format!("{}/answers/{handle}/{what}", path(&ticket));
    zoe.post(&of("sending"), &[("seen", "1")]).await.assert_status(303);
    desk.test.run_jobs();
    zoe.get(&path(&ticket)).await.assert_says("data-countdown=\"15\"");
    assert_eq!(desk.messages(&ticket).len(), 1);
    desk.test.pass(TimeDelta::seconds(20));
    assert_eq!(desk.messages(&ticket).len(), 2);
    zoe.post(&of("sending"), &[("seen", "2")]).await.assert_status(409).assert_says("cette réponse est partie");
    desk.test.pass(TimeDelta::days(2));
    assert_eq!(desk.sent_to(CLAIRE).len(), 1);
}

#[test]
fn what_waits_in_a_closed_ticket_is_held_when_the_customer_goes_on_in_another() {
    let (desk, ticket) = desk();
    desk.answer(&ticket, "Redémarrez-le.", Status::Closed);
    let sent = desk.sent_to(CLAIRE).pop().expect("the answer");
    desk.test.clock.advance(TimeDelta::days(40));
    let handle = planned(&desk, &ticket, "Tout va bien ?");
    desk.receive(&Letter::answering(CLAIRE, &sent).authenticated("pass"));
    assert_eq!(desk.tickets().len(), 2, "too late for the old one");
    assert_eq!(unsaid(&desk), [(handle, State::Held, Some(HeldBecause::CustomerWrote))]);
}

#[actix_web::test]
async fn when_the_customer_writes_first_the_answer_is_held_and_its_author_told() {
    let (desk, ticket) = desk();
    let handle = planned(&desk, &ticket, "Nous regardons demain.");
    // What a machine writes is no news.
    says(&desk, &ticket, "Je suis absente.", Some(Remark::Automatic));
    assert_eq!(unsaid(&desk)[0].1, State::Waiting);
    desk.test.run_jobs();
    desk.sent();
    says(&desk, &ticket, "C’est réparé, merci.", None);
    assert_eq!(unsaid(&desk), [(handle.clone(), State::Held, Some(HeldBecause::CustomerWrote))]);
    desk.test.run_jobs();
    let told = desk.sent_to(ZOE);
    assert!(told.iter().any(|mail| mail.mail.text.contains("n’a pas été envoyée")), "{told:?}");
    desk.test.pass(TimeDelta::days(2));
    assert_eq!((desk.messages(&ticket).len(), desk.sent_to(CLAIRE).len()), (3, 0));
    // Her session is over by then.
    let zoe = desk.test.browser_of(desk.zoe).await;
    let page = zoe.get(&path(&ticket)).await;
    page.assert_says("Le client a écrit avant son départ").assert_says("Nous regardons demain.");

    // Sent all the same, by who has read what is new.
    let of = |what: &str| format!("{}/answers/{handle}/{what}", path(&ticket));
    zoe.post(&of("sending"), &[("seen", "1")]).await.assert_status(409).assert_says("décidez de la réponse prévue");
    assert_eq!(unsaid(&desk)[0].1, State::Held);
    // A page from before it was held says no reason, and whoever sends from there has not read it.
    zoe.post(&of("sending"), &[("seen", "3")]).await.assert_status(409).assert_says("décidez de la réponse prévue");
    let held = hidden(&zoe.get(&path(&ticket)).await.text(), "held");
    let sent = zoe.post(&of("sending"), &[("seen", "3"), ("held", &held)]).await;
    assert!(sent.location().contains("said=said-reply-sent"), "{}", sent.location());
    assert!(unsaid(&desk).is_empty(), "it goes out at once: who sends it has made up their mind");
    zoe.get(&path(&ticket)).await.assert_says("a envoyé une réponse retenue");
    desk.test.run_jobs();
    assert_eq!((desk.messages(&ticket).len(), desk.sent_to(CLAIRE).len()), (4, 1));
}

/// Claire writes, or a machine at her address.
fn says(desk: &Desk, ticket: &Ticket, text: &'static str, remark: Option<Remark>) {
    let (ticket, now, claire) = (desk.ticket_again(ticket.id), desk.test.now(), desk.claire);
    desk.test.write(move |db| {
        let message = NewMessage::text(messages::Channel::Email, claire, "Claire", CLAIRE, text);
        let message = CustomerMessage {
            remark,
            visibility: if remark.is_some() { Visibility::Staff } else { Visibility::Everyone },
            moves_status: remark.is_none(),
            message,
        };
        messages::add_customer_message(db, &ticket, message, &Actor::System, now).map(drop)
    });
}

#[test]
fn x_01_a_colleague_s_words_hold_an_answer_and_one_s_own_do_not() {
    let (desk, ticket) = desk();
    let hugo = desk.test.given().agent("Hugo", &[QueueKind::Support]);
    let note = |by| {
        let (ticket, by, now) = (desk.ticket_again(ticket.id), desk.actor(by), desk.test.now());
        desk.test.write(move |db| {
            let words = Words::on_page("À voir.");
            let note = NewNote { words, attachments: Vec::new(), mail_id: None, ingest: None };
            messages::add_note(db, &ticket, note, &by, now).map(drop)
        });
    };
    planned(&desk, &ticket, "Un.");
    note(desk.zoe);
    desk.answer_quietly(&ticket, "Déjà ceci.", Status::WaitingForCustomer);
    assert_eq!(unsaid(&desk)[0].1, State::Waiting);
    desk.test.pass(TimeDelta::hours(25));
    assert_eq!((unsaid(&desk).len(), desk.messages(&ticket).len()), (0, 4));
    planned(&desk, &ticket, "Deux.");
    note(hugo);
    assert_eq!(unsaid(&desk)[0].2, Some(HeldBecause::ColleagueWrote));
}

/// Who and what a change of a ticket may be about.
struct Facts {
    zoe: PersonId,
    bob: PersonId,
    acme: OrganisationId,
    now: UtcTime,
}

type ChangeOfTicket = fn(&mut DbConnection, &Ticket, &Facts) -> accord::error::Result<()>;

/// What happens meanwhile, and why the answer is held then.
const MEANWHILE: [(HeldBecause, ChangeOfTicket); 7] = [
    (HeldBecause::OtherReaders, |db, ticket, of| participants::approve(db, ticket, of.bob, &Actor::System, of.now)),
    (HeldBecause::OtherReaders, |db, ticket, of| {
        // Somebody joins in a way that holds nothing at once.
        participants::propose(db, ticket, of.bob, Maker::System, of.now)?;
        diesel::update(ticket_participants::table.filter(ticket_participants::person_id.eq(of.bob)))
            .set(ticket_participants::state.eq(Standing::Active))
            .execute(db)?;
        Ok(())
    }),
    (HeldBecause::OtherReaders, |db, ticket, of| {
        moving::set_private(db, &Ticket { is_private: true, ..ticket.clone() }, false, &Actor::System, of.now)
    }),
    (HeldBecause::Closed, |db, ticket, of| status::set(db, ticket, Status::Closed, &Actor::System, of.now)),
    (HeldBecause::NotAllowed, |db, ticket, of| {
        let sales = queues::find_by_kind(db, QueueKind::Sales)?.unwrap();
        moving::to_queue(db, ticket, sales.id, &Actor::System, of.now)
    }),
    (HeldBecause::AuthorLeft, |db, _, of| person::disable(db, of.zoe, of.zoe, of.now)),
    (HeldBecause::OtherRequester, |db, ticket, of| {
        moving::to_requester(db, ticket, of.bob, of.acme, &Actor::System, of.now)
    }),
];

#[test]
fn an_answer_that_does_not_fit_any_more_is_held() {
    for (because, change) in MEANWHILE {
        let (desk, ticket) = desk();
        planned(&desk, &ticket, "Demain.");
        desk.test.pass(TimeDelta::hours(1));
        let facts = Facts { zoe: desk.zoe, bob: desk.bob, acme: desk.acme, now: desk.test.now() };
        let now = desk.ticket_again(ticket.id);
        desk.test.write(move |db| change(db, &now, &facts));
        desk.test.pass(TimeDelta::days(2));
        assert_eq!(unsaid(&desk)[0].2, Some(because));
        assert_eq!(desk.messages(&ticket).len(), 1, "{because}");
        let sent: BTreeSet<String> = desk.sent().into_iter().map(|mail| mail.recipient).collect();
        // Its author, or who works there now, if anybody does.
        let told = match because {
            HeldBecause::NotAllowed => vec!["yves@staff.example"],
            HeldBecause::AuthorLeft => vec![],
            _ => vec![ZOE],
        };
        assert!(!sent.contains("bob@acme.example"), "{because}");
        assert_eq!(sent, told.into_iter().map(str::to_owned).collect(), "{because}");
    }
}

#[test]
fn a_restored_backup_sends_nothing_that_may_have_gone_out() {
    let (desk, ticket) = desk();
    planned(&desk, &ticket, "Demain.");
    let now = desk.test.now();
    desk.test.write(move |db| planned::hold_restored(db, now));
    desk.test.pass(TimeDelta::days(2));
    assert_eq!((desk.messages(&ticket).len(), unsaid(&desk)[0].2), (1, Some(HeldBecause::Restored)));
    let told = desk.sent_to(ZOE);
    assert!(told.iter().any(|mail| mail.mail.text.contains("vient d’une sauvegarde")), "{told:?}");
    let events = desk.test.read(|db| events::of_ticket(db, &ticket, 10));
    assert!(events.iter().any(|event| event.kind == EventKind::AnswerHeld), "{events:?}");
}

#[actix_web::test]
async fn what_an_agent_who_left_had_planned_is_held_at_once_and_who_works_there_is_told() {
    let (desk, ticket) = desk();
    let hugo = desk.test.given().agent("Hugo", &[QueueKind::Support]);
    let by = desk.actor(desk.zoe);
    let (again, now) = (desk.ticket_again(ticket.id), desk.test.now());
    desk.test.write(move |db| assignment::assign(db, &again, by.person(), &by, now));
    planned(&desk, &ticket, "Demain.");
    desk.test.run_jobs();
    desk.sent();
    let ada = desk.test.browser_of(desk.administrator).await;
    let zoe = desk.test.read(|db| person::by_id(db, desk.zoe)).handle;
    ada.post(&format!("/admin/people/{zoe}/state"), &[("state", "disabled")]).await.assert_status(303);
    assert_eq!(unsaid(&desk)[0].2, Some(HeldBecause::AuthorLeft));
    desk.test.run_jobs();
    let told: Vec<String> = desk.sent().into_iter().map(|mail| mail.recipient).collect();
    assert_eq!(told, ["hugo@client.example"], "the ticket is hers still");

    // It is nobody's to send in her name; it is taken over.
    let hugo = desk.test.browser_of(hugo).await;
    let handle = unsaid(&desk)[0].0.clone();
    hugo.get("/planned-answers").await.assert_says("Demain.").assert_says("de Zoé Petit");
    let of = |what: &str| format!("{}/answers/{handle}/{what}", path(&ticket));
    let fields = [("seen", "1"), ("held", "answer-held-author-left")];
    hugo.post(&of("sending"), &fields).await.assert_status(409).assert_says("est désactivé");
    hugo.post(&of("taking-back"), &[]).await.assert_status(303);
    hugo.get(&path(&ticket)).await.assert_says("Demain.</textarea>");
}

#[actix_web::test]
async fn who_let_somebody_in_has_written_for_them_and_colleagues_have_not() {
    let (desk, ticket) = desk();
    planned(&desk, &ticket, "Demain.");
    let bob = desk.bob;
    let lets_in = |by: Actor| {
        let (ticket, now) = (desk.ticket_again(ticket.id), desk.test.now());
        desk.test.write(move |db| participants::approve(db, &ticket, bob, &by, now));
    };
    lets_in(desk.actor(desk.zoe));
    assert_eq!(unsaid(&desk)[0].1, State::Waiting);
    desk.test.pass(TimeDelta::hours(25));
    let to_bob = desk.sent().into_iter().filter(|mail| mail.recipient == "bob@acme.example").count();
    assert_eq!((desk.messages(&ticket).len(), to_bob), (2, 1));
}

#[actix_web::test]
async fn whoever_came_to_read_between_page_and_press_is_not_answered_unseen() {
    for undo_secs in [0, 15] {
        let settings = format!("[mail]\ntrusted_authserv_id = \"{AUTHSERV}\"\n[desk]\nundo_seconds = {undo_secs}");
        let desk = Desk::with_settings(&settings);
        desk.receive(&Letter::from(CLAIRE));
        let ticket = desk.ticket();
        let zoe = desk.test.browser_of(desk.zoe).await;
        let handle = planned(&desk, &ticket, "Demain.");
        let page = zoe.get(&path(&ticket)).await.text();
        let (bob, now, joined) = (desk.bob, desk.test.now(), ticket.clone());
        desk.test.write(move |db| participants::approve(db, &joined, bob, &Actor::System, now));
        let send = async |page: &str, at: &str| {
            let (readers, seen) = (hidden(page, "readers"), hidden(page, "seen"));
            let fields = [("text", "Voilà."), ("seen", &seen), ("once", "a"), ("readers", &readers), ("send_at", at)];
            sends(&zoe, &ticket, &fields, &[]).await
        };
        let of = |what: &str| format!("{}/answers/{handle}/{what}", path(&ticket));
        let tomorrow = "2027-03-01T08:00";
        for at in ["", tomorrow] {
            let refused = send(&page, at).await;
            refused.assert_status(409).assert_says("d’autres lecteurs").assert_says("Voilà.</textarea>");
        }
        let (readers, held) = (hidden(&page, "readers"), "answer-held-other-readers");
        let fields = [("seen", "1"), ("readers", &readers), ("held", held)];
        zoe.post(&of("sending"), &fields).await.assert_status(409).assert_says("d’autres lecteurs");
        let fields = [("seen", "1"), ("readers", &readers), ("at", tomorrow)];
        zoe.post(&of("time"), &fields).await.assert_status(409).assert_says("d’autres lecteurs");
        assert_eq!(unsaid(&desk).iter().map(|(_, state, _)| *state).collect::<Vec<_>>(), [State::Held]);
        assert_eq!(desk.messages(&ticket).len(), 1);

        // On a page that shows them, all of it is done.
        let page = zoe.get(&path(&ticket)).await.text();
        send(&page, "").await.assert_status(303);
        desk.test.pass(TimeDelta::seconds(20));
        let page = zoe.get(&path(&ticket)).await.text();
        let (readers, seen) = (hidden(&page, "readers"), hidden(&page, "seen"));
        zoe.post(&of("time"), &[("seen", &seen), ("readers", &readers), ("at", tomorrow)]).await.assert_status(303);
        zoe.post(&of("sending"), &[("seen", &seen), ("readers", &readers)]).await.assert_status(303);
        desk.test.pass(TimeDelta::seconds(20));
        assert_eq!((unsaid(&desk).len(), desk.messages(&ticket).len()), (0, 3));
    }
}

#[actix_web::test]
async fn agents_find_what_is_held_in_the_lists_and_on_a_page_of_its_own() {
    let (desk, ticket) = desk();
    let zoe = desk.test.browser_of(desk.zoe).await;
    let hugo = desk.test.browser_of(desk.test.given().agent("Hugo", &[QueueKind::Support])).await;
    let yves = desk.test.browser_of(desk.test.given().agent("Yann", &[QueueKind::Sales])).await;
    zoe.get("/planned-answers").await.assert_status(200).assert_says("Tout est dit");
    let handle = planned(&desk, &ticket, "Nous passons **demain**.");
    zoe.get("/tickets").await.assert_says("Réponse prévue").assert_silent_about("n’a pas été envoyée");
    zoe.get("/planned-answers").await.assert_says("Nous passons").assert_says("(Europe/Paris)");
    hugo.get("/planned-answers").await.assert_silent_about("Nous passons");

    says(&desk, &ticket, "C’est réparé.", None);
    let to_it = format!("{}#{handle}\"", path(&ticket));
    zoe.get("/tickets")
        .await
        .assert_says("Réponse non envoyée")
        .assert_says("Une de vos réponses n’a pas été envoyée.");
    zoe.get("/planned-answers").await.assert_says("Le client a écrit").assert_says(&to_it);
    hugo.get("/tickets").await.assert_says("Réponse non envoyée").assert_silent_about("Une de vos réponses");
    hugo.get("/planned-answers").await.assert_says("Nous passons").assert_says("de Zoé Petit");
    yves.get("/planned-answers").await.assert_status(200).assert_silent_about("Nous passons");

    // In the composer it is its author's alone.
    zoe.post(&format!("{}/answers/{handle}/taking-back", path(&ticket)), &[]).await.assert_status(303);
    zoe.get("/planned-answers").await.assert_says("Dans votre zone de rédaction");
    zoe.get("/tickets").await.assert_silent_about("Réponse non envoyée");
    hugo.get("/planned-answers").await.assert_silent_about("Nous passons");
}

#[actix_web::test]
async fn the_page_of_what_is_not_said_is_turned_by_the_last_of_it() {
    let (desk, ticket) = desk();
    for at in 0..30 {
        let text: &'static str = Box::leak(format!("Réponse {at}.").into_boxed_str());
        // Some at the same moment.
        if at % 4 == 0 {
            desk.test.clock.advance(TimeDelta::seconds(1));
        }
        planned(&desk, &ticket, text);
    }
    let zoe = desk.test.browser_of(desk.zoe).await;
    let first = zoe.get("/planned-answers").await.text();
    assert_eq!(first.matches("data-row").count(), 25);
    let next = first.split("/planned-answers?after=").nth(1).unwrap().split('"').next().unwrap();
    let second = zoe.get(&format!("/planned-answers?after={next}")).await.text();
    assert_eq!(second.matches("data-row").count(), 5);
    for at in 0..30 {
        let text = format!("Réponse {at}.");
        assert_eq!(first.matches(&text).count() + second.matches(&text).count(), 1, "{text}");
    }
}

#[actix_web::test]
async fn who_sends_a_colleague_s_answer_is_recorded() {
    let (desk, ticket) = desk();
    let hugo_id = desk.test.given().agent("Hugo", &[QueueKind::Support]);
    let hugo = desk.test.browser_of(hugo_id).await;
    let handle = planned(&desk, &ticket, "Demain.");
    let of = |what: &str| format!("{}/answers/{handle}/{what}", path(&ticket));
    hugo.post(&of("time"), &[("at", "2026-11-25T07:00"), ("seen", "1")]).await.assert_status(303);
    hugo.get(&path(&ticket)).await.assert_says("a prévu la réponse de Zoé Petit");
    hugo.post(&of("sending"), &[("seen", "1")]).await.assert_status(303);
    desk.test.pass(TimeDelta::seconds(20));
    assert_eq!(desk.messages(&ticket).len(), 2);
    hugo.get(&path(&ticket)).await.assert_says("a envoyé la réponse de Zoé Petit");
    let ledger = desk.test.read(|db| audit::list(db, None, 50));
    let sent: Vec<_> = ledger.into_iter().filter(|(entry, _)| entry.kind == "answer_released").collect();
    assert_eq!(sent.len(), 2, "the time, and the sending");
    assert_eq!((sent[0].0.actor, sent[0].0.subject), (Some(hugo_id), Some(desk.zoe)));
    assert!(sent[0].1.as_deref().is_some_and(|detail| detail.contains(&ticket.reference)));
}

/// The bytes of a file that was thrown away with its answer are gone from the disk, but not those of another's file.
#[actix_web::test]
async fn the_files_of_an_answer_that_is_thrown_away_are_gone_for_good() {
    let (desk, ticket) = desk();
    let zoe = desk.test.browser_of(desk.zoe).await;
    let old = || {
        for hash in desk.test.app.storage.hashes().unwrap() {
            let path = desk.test.app.config.data.join("files").join(&hash[..2]).join(&hash);
            let long_ago = std::time::SystemTime::UNIX_EPOCH;
            std::fs::File::options().write(true).open(path).unwrap().set_modified(long_ago).unwrap();
        }
    };
    let kept = || desk.test.app.storage.hashes().unwrap().len();
    let originals = kept();
    let files: [(&str, &str, &[u8]); 2] = [("files", "secret.txt", b"un secret"), ("files", "mode.txt", b"un deux")];
    let fields = [("text", "Voilà."), ("seen", "1"), ("once", "a")];
    sends(&zoe, &ticket, &fields, &files[1..]).await.assert_status(303);
    desk.test.pass(TimeDelta::seconds(20));
    let fields = [("text", "Et voilà."), ("seen", "2"), ("once", "b")];
    sends(&zoe, &ticket, &fields, &files).await.assert_status(303);
    assert_eq!(kept(), originals + 2);
    let handle = unsaid(&desk)[0].0.clone();
    let of = |what: &str| format!("{}/answers/{handle}/{what}", path(&ticket));
    zoe.post(&of("taking-back"), &[]).await.assert_status(303);
    zoe.get(&path(&ticket)).await.assert_says("secret.txt");
    zoe.post(&of("removal"), &[]).await.assert_status(303);

    // A form that still stands open may send it, for a day.
    old();
    let sweep = |hours| {
        desk.test.clock.advance(TimeDelta::hours(hours));
        planned_answers_work::remove_thrown_away(&desk.test.app, desk.test.now()).unwrap();
    };
    sweep(25);
    assert_eq!(kept(), originals + 2);
    sweep(3);
    assert_eq!(kept(), originals + 1);
    let attached = desk.test.read(|db| attachments::of_ticket(db, &ticket));
    assert_eq!(attached.len(), 1);
    assert_eq!(desk.test.app.storage.get(&attached[0].content_hash).unwrap(), b"un deux");
    assert_eq!(desk.test.read(|db| Ok(thrown_away_files::table.count().get_result::<i64>(db)?)), 0);
}

#[actix_web::test]
async fn what_was_to_go_with_an_answer_goes_with_its_ticket() {
    let (desk, ticket) = desk();
    let zoe = desk.test.browser_of(desk.zoe).await;
    let fields = [("text", "Voilà."), ("seen", "1"), ("once", "a"), ("send_at", "2027-03-01T08:00")];
    sends(&zoe, &ticket, &fields, &[("files", "secret.txt", b"un secret")]).await.assert_status(303);
    let hash = handle_of(&desk, &unsaid(&desk)[0].0).files.0[0].content_hash.clone();
    desk.test.write(move |db| {
        use accord::db::schema::tickets;
        Ok(diesel::delete(tickets::table.filter(tickets::id.eq(ticket.id))).execute(db)?)
    });
    assert!(unsaid(&desk).is_empty());
    let noted =
        desk.test.read(|db| Ok(thrown_away_files::table.select(thrown_away_files::content_hash).load::<String>(db)?));
    assert_eq!(noted, [hash]);
}

#[actix_web::test]
async fn a_file_that_a_form_still_carries_is_not_removed_and_none_is_left_out_in_silence() {
    let (desk, ticket) = desk();
    let zoe = desk.test.browser_of(desk.zoe).await;
    let fields = [("text", "Voilà."), ("seen", "1"), ("once", "a")];
    sends(&zoe, &ticket, &fields, &[("files", "mode.txt", b"un deux")]).await.assert_status(303);
    let handle = unsaid(&desk)[0].0.clone();
    let of = |what: &str| format!("{}/answers/{handle}/{what}", path(&ticket));
    zoe.post(&of("taking-back"), &[]).await.assert_status(303);
    let kept = hidden(&zoe.get(&path(&ticket)).await.text(), "kept");
    zoe.post(&of("removal"), &[]).await.assert_status(303);
    let fields =
        |text: &'static str, once: &'static str| [("text", text), ("seen", "1"), ("once", once), ("kept", &kept)];
    // In another window it is sent all the same.
    sends(&zoe, &ticket, &fields("Si.", "b"), &[]).await.assert_status(303);
    desk.test.pass(TimeDelta::hours(30));
    let attached = desk.test.read(|db| attachments::of_ticket(db, &ticket));
    assert_eq!(desk.test.app.storage.get(&attached[0].content_hash).unwrap(), b"un deux");
    // The form is too old by now.
    let zoe = desk.test.browser_of(desk.zoe).await;
    let fields = [("text", "Encore."), ("seen", "2"), ("once", "c"), ("kept", kept.as_str())];
    let refused = sends(&zoe, &ticket, &fields, &[]).await;
    refused.assert_status(422).assert_says("n’est plus disponible").assert_says("sans les fichiers manquants");
    // Not once only: until it is attached again, or its author says to send it without.
    let lost = hidden(&refused.text(), "lost");
    let fields = [("text", "Encore."), ("seen", "2"), ("once", "d"), ("lost", lost.as_str())];
    for _ in 0..2 {
        sends(&zoe, &ticket, &fields, &[]).await.assert_status(422).assert_says("n’est plus disponible");
    }
    assert_eq!(desk.messages(&ticket).len(), 2);
    sends(&zoe, &ticket, &fields, &[("files", "mode.txt", b"un deux")]).await.assert_status(303);
    desk.test.pass(TimeDelta::seconds(20));
    let fields = [("text", "Si."), ("seen", "3"), ("once", "e"), ("lost", "1"), ("without_files", "true")];
    sends(&zoe, &ticket, &fields, &[]).await.assert_status(303);
    desk.test.pass(TimeDelta::seconds(20));
    assert_eq!(desk.messages(&ticket).len(), 4);
}

#[actix_web::test]
async fn no_note_is_added_without_a_file_that_its_author_believes_to_be_with_it() {
    let (desk, ticket) = desk();
    let zoe = desk.test.browser_of(desk.zoe).await;
    let notes = format!("{}/notes", path(&ticket));
    // A form that is shown again carries the file, for a day.
    let fields = [("text", "Vu."), ("seen", "0"), ("once", "a")];
    let refused = sends(&zoe, &ticket, &fields, &[("files", "mode.txt", b"un deux")]).await;
    let kept = hidden(&refused.text(), "kept");
    refused.assert_status(409);
    desk.test.clock.advance(TimeDelta::hours(30));
    let zoe = desk.test.browser_of(desk.zoe).await;
    let refused = zoe.upload(&notes, &[("note", "Vu."), ("once", "b"), ("kept", kept.as_str())], &[]).await;
    refused.assert_status(422).assert_says("La note n’a pas été ajoutée").assert_says("Vu.</textarea>");
    let lost = hidden(&refused.text(), "lost");
    let fields = [("note", "Vu."), ("once", "c"), ("lost", lost.as_str())];
    zoe.upload(&notes, &fields, &[]).await.assert_status(422).assert_says("L’ajouter sans les fichiers manquants");
    assert_eq!(desk.messages(&ticket).len(), 1);
    zoe.upload(&notes, &fields, &[("files", "mode.txt", b"un deux")]).await.assert_status(303);
    let fields = [("note", "Autre."), ("once", "d"), ("lost", "1"), ("without_files", "true")];
    zoe.upload(&notes, &fields, &[]).await.assert_status(303);
    assert_eq!(desk.messages(&ticket).len(), 3);
    assert_eq!(desk.test.read(|db| attachments::of_ticket(db, &ticket)).len(), 1);
}

#[test]
fn an_answer_whose_job_is_lost_goes_out_late() {
    let (desk, ticket) = desk();
    planned(&desk, &ticket, "Demain.");
    desk.test.write(|db| Ok(diesel::delete(accord::db::schema::jobs::table).execute(db)?));
    desk.test.pass(TimeDelta::hours(25));
    assert_eq!(desk.messages(&ticket).len(), 1);
    let now = desk.test.now();
    accord::worker::planned_answers::look_at_late(&desk.test.app, now).unwrap();
    desk.test.run_jobs();
    assert_eq!((desk.messages(&ticket).len(), desk.sent_to(CLAIRE).len()), (2, 1));
}

/// Whoever writes in a ticket locks that first and then what waits in it, so that none has what the other wants (40P01).
#[test]
fn an_answer_that_is_sent_all_the_same_and_a_customer_who_writes_wait_for_each_other_in_one_order() {
    for _ in 0..20 {
        let (desk, ticket) = desk();
        let (held, waiting) = (planned(&desk, &ticket, "Un."), planned(&desk, &ticket, "Deux."));
        let (now, by, app) = (desk.test.now(), desk.actor(desk.zoe), desk.test.app.clone());
        let (of, because) = (ticket.clone(), HeldBecause::OtherReaders);
        desk.test.write(move |db| {
            planned::hold_others(db, &of, None, because, now)?;
            planned::reschedule(db, &of, &waiting, (1, Release::At(now.plus(TimeDelta::days(2)))), &by, now)
        });
        let by = desk.actor(desk.zoe);
        let tries = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
        std::thread::scope(|scope| {
            let (asked, counted, app) = (ticket.clone(), tries.clone(), app.clone());
            scope.spawn(move || {
                let words = Words::on_page("Un.");
                let sent = app.database.write_now(move |db| {
                    counted.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                    releasing::send(db, &asked, &held, &words, (1, 15), &by, now)
                });
                // The customer was faster.
                assert!(matches!(sent, Ok(()) | Err(Error::Conflict(_) | Error::Busy)), "{sent:?}");
            });
            scope.spawn(|| says(&desk, &ticket, "Attendez !", None));
        });
        // An embedded database does what shares a commit once more when one of them is refused.
        if !desk.test.app.config.database.url.is_sqlite() {
            assert_eq!(tries.load(std::sync::atomic::Ordering::SeqCst), 1, "nobody was in its way");
        }
    }
}

/// Workers of several processes, a customer and the agent, all at the same moment.
#[test]
fn an_answer_is_said_once_or_taken_back_or_held_whoever_is_faster() {
    for round in 0..12 {
        let (desk, ticket) = desk();
        let handle = plan_for(&desk, &ticket, "Un.", Release::AtOnce { undo_secs: 15 });
        let answer = handle_of(&desk, &handle);
        desk.test.clock.advance(TimeDelta::seconds(17));
        let (now, by, app) = (desk.test.now(), desk.actor(desk.zoe), desk.test.app.clone());
        std::thread::scope(|scope| {
            for _ in 0..3 {
                let (app, answer) = (app.clone(), answer.clone());
                scope.spawn(move || {
                    let words = Words::on_page(&answer.text);
                    for _ in 0..20 {
                        let answer = answer.clone();
                        let words = words.clone();
                        match app.database.write_now(move |db| releasing::release(db, &answer, &words, now)) {
                            Ok(Released::Sent(_) | Released::Held(_) | Released::NotDue) => return,
                            Err(Error::Busy) => {}
                            Err(error) => panic!("{error:?}"),
                        }
                    }
                    panic!("it was never to be had");
                });
            }
            if round % 3 > 0 {
                let (app, ticket, handle, by) = (app.clone(), ticket.clone(), handle.clone(), by.clone());
                scope.spawn(move || {
                    let taken = app.database.write_now(move |db| planned::take_back(db, &ticket, &handle, &by, now));
                    assert!(matches!(taken, Ok(()) | Err(Error::Conflict(_))), "{taken:?}");
                });
            }
            if round % 3 > 1 {
                scope.spawn(|| says(&desk, &ticket, "Attendez !", None));
            }
        });
        let said: i64 = desk.test.read(|db| {
            let answers = ticket_messages::table.filter(ticket_messages::author_id.eq(desk.zoe));
            Ok(answers.count().get_result(db)?)
        });
        let left = unsaid(&desk);
        assert_eq!(said as usize + left.len(), 1, "{left:?}");
        assert!(left.iter().all(|(_, state, _)| *state != State::Waiting), "{left:?}");
    }
}
