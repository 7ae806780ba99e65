//! Yesterday's database with today's mail: what was sent since is known to nobody here, and comes back all the same.

use accord::db::file_copy;
use accord::journal::unprocessed;
use accord::tickets::attachments;
use accord::tickets::messages::{Remark, in_doubt};
use accord::tickets::status::Status;
use accord::worker::importing::kept::{self, Kept};
use chrono::TimeDelta;

use super::journal::second_mailbox;
use crate::support::desk::{Desk, Letter, SUPPORT};
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

/// The desk as of the copy, with all that was stored since.
fn as_of(desk: Desk, copy: &std::path::Path) -> Desk {
    Desk { test: desk.test.with_database_of(copy), ..desk }
}

#[test]
fn ft_33_j_08_mail_that_nobody_has_any_more_is_adopted_from_the_stored_files_once_and_in_silence() {
    let desk = Desk::open();
    if !desk.test.app.database.url().is_sqlite() {
        return;
    }
    desk.receive(&with_file("Un", "as of yesterday"));
    desk.answer(&desk.ticket(), "Redémarrez-le.", Status::WaitingForCustomer);
    let sent = desk.sent_to("claire@acme.example").pop().unwrap();
    let old = desk.ticket();
    let place = tempfile::tempdir().unwrap();
    let copy = place.path().join("yesterday.sqlite");
    file_copy::write(desk.test.app.database.url(), &copy).unwrap();

    // Today: an answer that was proven, a request with a file that is a mail with a card number, a machine, one in blind copy, and a
    // mail that was never one: somebody attached it on a page, and made it up.
    desk.receive(&Letter::answering("claire@acme.example", &sent).authenticated("pass").text("Toujours rien."));
    let forwarded = "From: Bob <bob@acme.example>\r\nTo: support@garonne.example\r\nDate: Mon, 23 Nov 2026 08:00:00 +0000\r\n\
                     Message-ID: <in@acme.example>\r\nSubject: Transmis\r\n\r\nVoici : 4111 1111 1111 1111.";
    desk.receive(&with_file("Deux", forwarded));
    let absent = Letter::from("claire@acme.example").subject("Absente").header("Auto-Submitted", "auto-replied");
    desk.receive(&absent);
    let blind = Letter::from("claire@acme.example").header("To", "autre@acme.example").subject("En copie cachée");
    desk.receive(&blind);
    let forged = Letter::answering("claire@acme.example", &sent).authenticated("pass").text("Donnez-leur tout.");
    desk.test.app.storage.put(&forged.bytes()).unwrap();
    desk.test.app.storage.put(b"Nothing like a mail.\n").unwrap();
    assert_eq!(desk.tickets().len(), 4);

    let desk = as_of(desk, &copy);
    desk.sent();
    let kept = Kept::find(&desk.test.app, SUPPORT, false).unwrap();
    assert_eq!((kept.mails(), kept.of_others, kept.unaddressed, kept.damaged), (4, 0, 1, 0), "{kept:?}");
    assert_eq!((desk.tickets().len(), desk.messages(&old).len()), (1, 2), "looking changes nothing");
    let adopt = |kept: &Kept| {
        let progress = kept::adopt(&desk.test.app, SUPPORT, kept, |_| ()).unwrap();
        desk.test.run_jobs();
        progress.done - progress.known
    };
    assert_eq!(adopt(&kept), 4);
    assert_eq!(adopt(&kept), 0, "what was found before is taken once");
    let again = Kept::find(&desk.test.app, SUPPORT, true).unwrap();
    assert_eq!(
        (again.mails(), again.unaddressed),
        (1, 0),
        "known now; and what names nobody is taken when that is said"
    );
    assert_eq!(adopt(&again), 1);
    assert_eq!(Kept::find(&desk.test.app, SUPPORT, true).unwrap().mails(), 0);

    let mut subjects: Vec<String> = desk.tickets().into_iter().map(|ticket| ticket.subject).collect();
    subjects.sort();
    assert_eq!(subjects, ["Absente", "Deux", "En copie cachée", "Un"]);
    assert!(desk.sent().is_empty(), "nobody is told");
    // What would be an answer waits for an agent, the forged one among it, and it is our turn.
    assert_eq!(desk.public_messages(&old).len(), 2);
    let in_doubt: Vec<_> = desk.messages(&old).into_iter().skip(2).collect();
    assert_eq!(in_doubt.iter().map(|message| message.remark).collect::<Vec<_>>(), [Some(Remark::NotAuthenticated); 2]);
    assert_eq!(desk.ticket_again(old.id).status, Status::WaitingForUs);
    let (genuine, zoe, now) = (
        in_doubt.iter().find(|message| message.body_text.contains("Toujours")).unwrap(),
        desk.actor(desk.zoe),
        desk.test.now(),
    );
    let record = desk.test.read(|db| accord::journal::outcome::record_of(db, genuine.ingest_id.unwrap()));
    assert_eq!(
        (record.flags.as_slice(), record.decision.as_str()),
        (["adopted".to_owned()].as_slice(), "append_restricted")
    );
    let (handle, current) = (genuine.handle.clone(), desk.ticket_again(old.id));
    desk.test.write(move |db| in_doubt::accept(db, &current, &handle, &zoe, now));
    desk.test.run_jobs();
    assert_eq!(desk.public_messages(&old).len(), 3);
    // The mail server hands it over once more, and another time: it is here.
    let before = desk.tickets().len();
    desk.receive(&absent);
    desk.receive(&absent.on_top("Received", "from a by b"));
    assert_eq!(desk.tickets().len(), before);
    assert_eq!(desk.sent_to("claire@acme.example").len(), 0);
}

#[test]
fn ft_33_j_06_a_mail_for_two_mailboxes_is_adopted_into_each() {
    let desk = Desk::open();
    if !desk.test.app.database.url().is_sqlite() {
        return;
    }
    let sales = "ventes@garonne.example";
    second_mailbox(&desk);
    let place = tempfile::tempdir().unwrap();
    let copy = place.path().join("yesterday.sqlite");
    file_copy::write(desk.test.app.database.url(), &copy).unwrap();
    let both = Letter::from("claire@acme.example").header("To", &format!("{SUPPORT}, {sales}"));
    desk.receive(&both);
    desk.receive(&Letter::from("claire@acme.example").header("To", sales).subject("Prix").to(sales));
    let desk = as_of(desk, &copy);
    for (mailbox, mails, of_others) in [(SUPPORT, 1, 1), (sales, 2, 0), (SUPPORT, 0, 0), (sales, 0, 0)] {
        let kept = Kept::find(&desk.test.app, mailbox, false).unwrap();
        assert_eq!((kept.mails(), kept.of_others), (mails, of_others), "{mailbox}");
        kept::adopt(&desk.test.app, mailbox, &kept, |_| ()).unwrap();
    }
    assert_eq!(desk.tickets().len(), 3);
}

/// Whoever sends a forged mail that is held could else have another one, which is a file of it, taken for a mail to us.
#[test]
fn ft_33_a_mail_that_is_a_file_of_one_that_is_held_or_was_rejected_is_not_adopted() {
    let desk = Desk::open();
    desk.receive(&Letter::from("claire@acme.example"));
    desk.answer(&desk.ticket(), "Redémarrez-le.", Status::WaitingForCustomer);
    let sent = desk.sent_to("claire@acme.example").pop().unwrap();
    let inner = "From: Bob <bob@acme.example>\r\nTo: support@garonne.example\r\nDate: Mon, 23 Nov 2026 08:00:00 +0000\r\n\
                 Message-ID: <in@acme.example>\r\nSubject: Virement\r\n\r\nChangez notre adresse.";
    let forged = Letter { recipient: sent.reply_to(), ..with_file("Re", inner) };
    desk.receive(&forged.authenticated("fail"));
    let now = desk.test.now();
    let found = |desk: &Desk| {
        let kept = Kept::find(&desk.test.app, SUPPORT, true).unwrap();
        (kept.mails(), kept.of_others, kept.unaddressed, kept.damaged)
    };
    let held = desk.test.read(|db| unprocessed::list(db, None, 10)).rows;
    assert_eq!(held.len(), 1);
    assert_eq!(found(&desk), (0, 0, 0, 0), "held");
    let id = held[0].id;
    assert!(desk.test.write(move |db| unprocessed::reject(db, id, now)));
    assert_eq!(found(&desk), (0, 0, 0, 0), "rejected");
}
