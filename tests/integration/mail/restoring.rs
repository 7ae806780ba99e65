//! Yesterday's database with today's mail: what was sent since is known to nobody here, and comes back all the same.

use accord::db::file_copy;
use accord::journal::unprocessed;
use accord::tickets::attachments;
use accord::tickets::status::Status;
use chrono::TimeDelta;

use crate::support::desk::{Desk, Letter};
use crate::support::imap::Fetching;

#[test]
fn ft_33_answers_to_what_was_written_after_the_backup_open_tickets_and_nothing_is_lost() {
    let desk = Desk::open();
    if !desk.test.app.database.url().is_sqlite() {
        // A server has tools of its own for this, and mail knows of neither.
        return;
    }
    desk.receive(&Letter::from("claire@acme.example"));
    desk.answer(&desk.ticket(), "Redémarrez-le.", Status::WaitingForCustomer);
    let kept = desk.ticket();
    let before = desk.sent_to("claire@acme.example").pop().unwrap();
    let place = tempfile::tempdir().unwrap();
    let copy = place.path().join("yesterday.sqlite");
    file_copy::write(desk.test.app.database.url(), &copy).unwrap();

    // Today: the old ticket is answered once more, and a new one is opened and answered.
    desk.answer(&desk.ticket(), "Est-ce mieux ?", Status::WaitingForCustomer);
    let to_the_old = desk.sent_to("claire@acme.example").pop().unwrap();
    desk.receive(&Letter::from("claire@acme.example").subject("Imprimante"));
    let new = desk.tickets().into_iter().find(|ticket| ticket.id != kept.id).unwrap();
    desk.answer(&new, "Changez l’encre.", Status::WaitingForCustomer);
    let to_the_new = desk.sent_to("claire@acme.example").pop().unwrap();

    let desk = Desk { test: desk.test.with_database_of(&copy), ..desk };
    assert_eq!(desk.tickets().len(), 1);
    for sent in [&before, &to_the_old] {
        desk.receive(&Letter::answering("claire@acme.example", sent));
    }
    assert_eq!(desk.public_messages(&kept).len(), 4, "the address of the old conversation is good still");
    desk.receive(&Letter::answering("claire@acme.example", &to_the_new));
    let tickets = desk.tickets();
    assert_eq!(tickets.len(), 2, "for what is unknown here there is a ticket");
    let again = tickets.iter().find(|ticket| ticket.id != kept.id).unwrap();
    assert_eq!(again.requester_id, desk.claire);
    let counts = desk.test.read(unprocessed::counts);
    assert_eq!((counts.waiting, counts.held, counts.failed), (0, 0, 0));
}

/// A mail with a file, as a customer's program writes it.
fn with_file(subject: &str, file: &str) -> Letter {
    let body = format!(
        "--b\r\n\r\n{subject}, voir le fichier.\r\n--b\r\nContent-Type: application/octet-stream\r\n\
         Content-Disposition: attachment; filename=journal.bin\r\n\r\n{file}\r\n--b--\r\n"
    );
    let letter = Letter::from("claire@acme.example").subject(subject);
    letter.header("Content-Type", "multipart/mixed; boundary=b").text(&body)
}

#[actix_web::test]
async fn ft_33_yesterday_s_database_among_today_s_files_and_today_s_mailbox_takes_again_what_it_lost_and_nothing_twice()
{
    let mut fetching = Fetching::with("");
    if !fetching.desk.test.app.database.url().is_sqlite() {
        return;
    }
    fetching.look_well().await;
    fetching.deliver(&with_file("Un", "as of yesterday"));
    fetching.look_well().await;
    let place = tempfile::tempdir().unwrap();
    let copy = place.path().join("yesterday.sqlite");
    file_copy::write(fetching.desk.test.app.database.url(), &copy).unwrap();

    // Today a mail is fetched, answered, and the answer answered; another came and was not fetched yet.
    let later = with_file("Deux", "as of today");
    fetching.deliver(&later);
    fetching.look_well().await;
    let lost = fetching.desk.tickets().pop().unwrap();
    fetching.desk.sent();
    fetching.desk.answer(&lost, "Redémarrez-le.", Status::WaitingForCustomer);
    let answer = fetching.desk.sent_to("claire@acme.example").pop().unwrap();
    fetching.deliver(&with_file("Trois", "as of now"));

    let mut fetching = fetching.with_database_of(&copy);
    fetching.look_well().await;
    fetching.look_well().await;
    assert_eq!(
        fetching.subjects(),
        ["Un", "Deux", "Trois"],
        "taken again what the copy does not know, and nothing twice"
    );
    let tickets = fetching.desk.tickets();
    assert_ne!(tickets[1].reference, lost.reference, "as a ticket of its own");
    // Their files are there: those of yesterday, and those that were kept already when they came for the second time.
    for (ticket, file) in tickets.iter().zip(["as of yesterday", "as of today", "as of now"]) {
        let files = fetching.desk.test.read(|db| attachments::of_ticket(db, ticket));
        let kept = fetching.desk.test.app.storage.get(&files[0].content_hash).unwrap();
        assert_eq!((files.len(), kept.as_slice()), (1, file.as_bytes()));
    }
    // An answer to what was sent in between, as programs write it: it names the customer's own mail, which is here again.
    let answering = Letter::answering("claire@acme.example", &answer);
    let references = format!("{} {}", later.id(), answer.mail.message_id.as_deref().unwrap());
    fetching.desk.receive(&answering.clone().header("References", &references));
    assert_eq!(fetching.desk.public_messages(&tickets[1]).len(), 2, "it finds the ticket of that mail");
    // One that names only what nobody knows here is a new ticket, and says so to agents.
    let only_ours = Letter::answering("claire@acme.example", &answer).subject("Re: autre chose");
    fetching.desk.receive(&only_ours);
    let tickets = fetching.desk.tickets();
    assert_eq!(tickets.len(), 4);
    let records = fetching.desk.test.read(|db| accord::journal::outcome::of_ticket(db, tickets[3].id));
    assert_eq!(records[0].2.decision, "new_ticket", "{:?}", records[0].2);
    assert_eq!(records[0].2.flags, ["not_genuine"]);

    // Nothing falls over it: neither pages, nor the tidying of files that nobody knows any more.
    let zoe = fetching.desk.test.browser_of(fetching.desk.zoe).await;
    zoe.get("/tickets").await.assert_status(200);
    for ticket in &tickets {
        zoe.get(&format!("/tickets/{}", ticket.reference)).await.assert_status(200);
    }
    zoe.get(&format!("/tickets/{}", lost.reference)).await.assert_status(404);
    for _ in 0..4 {
        fetching.desk.test.pass(TimeDelta::hours(20));
    }
    for ticket in &tickets[..3] {
        for file in fetching.desk.test.read(|db| attachments::of_ticket(db, ticket)) {
            assert!(fetching.desk.test.app.storage.get(&file.content_hash).is_ok(), "{} is kept", file.file_name);
        }
    }
    let counts = fetching.desk.test.read(unprocessed::counts);
    assert_eq!((counts.waiting, counts.held, counts.failed), (0, 0, 0));
}
