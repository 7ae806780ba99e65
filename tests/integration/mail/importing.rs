//! Mail that an administrator brings from another desk or mailbox: it keeps its dates and its threads, nobody is told, and
//! what bears our name is our answer only where it can be.

use std::path::{Path, PathBuf};

use accord::clock::UtcTime;
use accord::db::types::PersonId;
use accord::journal::claiming;
use accord::journal::{self, Imported, NewMail, Recipient, Way, unprocessed};
use accord::search::{self, SearchQuery};
use accord::teams::mailboxes;
use accord::tickets::messages::in_doubt;
use accord::tickets::messages::{MessageKind, Remark, Visibility};
use accord::tickets::status::Status;
use accord::worker::importing::{self, Plan, Progress, Source};
use chrono::TimeDelta;
use rustix::fs::{FileType, Mode};
use tempfile::TempDir;

use crate::support::desk::{Desk, SUPPORT, address};

/// A mail of before, `days` ago.
struct Old<'a> {
    desk: &'a Desk,
    days: i64,
    from: &'a str,
    to: &'a str,
    /// Further lines of the header.
    header: String,
    text: &'a str,
}

impl<'a> Old<'a> {
    fn to_us(desk: &'a Desk, days: i64, from: &'a str, id: &str, text: &'a str) -> Old<'a> {
        let header = format!("Received: from a by b\nMessage-ID: <{id}>\n");
        Old { desk, days, from, to: SUPPORT, header, text }
    }

    fn by_us(desk: &'a Desk, days: i64, to: &'a str, id: &str, text: &'a str) -> Old<'a> {
        Old { desk, days, from: SUPPORT, to, header: format!("Message-ID: <{id}>\n"), text }
    }

    fn answering(mut self, id: &str) -> Old<'a> {
        self.header += &format!("In-Reply-To: <{id}>\n");
        self
    }

    fn with(mut self, line: &str) -> Old<'a> {
        self.header += &format!("{line}\n");
        self
    }

    fn at(&self) -> UtcTime {
        UtcTime::from_seconds(self.desk.test.now().minus(TimeDelta::days(self.days)).seconds())
    }

    fn bytes(&self) -> String {
        let date = self.at().to_datetime().to_rfc2822();
        let Old { from, to, header, text, .. } = self;
        format!("{header}From: {from}\nTo: {to}\nDate: {date}\nSubject: Printer {}\n\n{text}\n", text.len())
    }
}

fn mbox(folder: &TempDir, name: &str, mails: &[Old<'_>]) -> PathBuf {
    let path = folder.path().join(name);
    let kept: String = mails
        .iter()
        .map(|mail| format!("From a@b Thu Jan  1 10:00:00 2026\n{}\n", mail.bytes().replace("\nFrom ", "\n>From ")))
        .collect();
    std::fs::write(&path, kept).unwrap();
    path
}

fn import(desk: &Desk, received: &[&Path], sent: &[&Path]) -> Progress {
    let source = |imported| move |path: &&Path| Source { path: path.to_path_buf(), imported };
    let received = received.iter().map(source(Imported::Received));
    let sources: Vec<Source> = received.chain(sent.iter().map(source(Imported::Sent))).collect();
    let plan = Plan::read(&sources).unwrap();
    let progress = importing::run(&desk.test.app, SUPPORT, &plan, |_| ()).unwrap();
    desk.test.run_jobs();
    progress
}

#[test]
fn imported_mail_keeps_its_dates_and_threads_and_nobody_is_told() {
    let (desk, folder) = (Desk::open(), TempDir::new().unwrap());
    let inbox = mbox(
        &folder,
        "inbox",
        &[
            Old::to_us(&desk, 90, "Claire <claire@acme.example>", "1@acme.example", "It does not print.\nFrom now on."),
            Old::to_us(&desk, 88, "claire@acme.example", "3@acme.example", "Thank you, it does.").answering("2@old"),
            Old::to_us(&desk, 2, "Eve <eve@stranger.example>", "4@stranger.example", "What does it cost?"),
        ],
    );
    let answer =
        Old::by_us(&desk, 89, "claire@acme.example", "2@old", "Is it switched on?").answering("1@acme.example");
    let sent = mbox(&folder, "sent", &[answer]);
    let progress = import(&desk, &[&inbox], &[&sent]);
    assert_eq!(progress, Progress { mails: 4, done: 4, known: 0 });

    let tickets = desk.tickets();
    assert_eq!(tickets.len(), 2, "{tickets:?}");
    let (old, new) = (&tickets[0], &tickets[1]);
    let ago = |days: i64| UtcTime::from_seconds(desk.test.now().minus(TimeDelta::days(days)).seconds());
    assert_eq!((old.status, old.closed_at, old.created_at), (Status::Closed, Some(ago(88)), ago(90)));
    assert_eq!((old.requester_id, old.organisation_id), (desk.claire, desk.acme));
    assert_eq!((old.first_answered_at, old.last_message_at), (Some(ago(89)), ago(88)));
    assert_eq!((new.status, new.closed_at, new.last_message_at), (Status::WaitingForUs, None, ago(2)));
    let said: Vec<_> = desk
        .public_messages(old)
        .into_iter()
        .map(|message| (message.kind, message.author_id, message.body_text.trim_end().to_owned(), message.created_at))
        .collect();
    let customer = |text: &str, days| (MessageKind::Customer, Some(desk.claire), text.to_owned(), ago(days));
    assert_eq!(
        said,
        [
            customer("It does not print.\nFrom now on.", 90),
            (MessageKind::Agent, None, "Is it switched on?".to_owned(), ago(89)),
            customer("Thank you, it does.", 88),
        ]
    );
    let actor = desk.actor(desk.zoe);
    let query = SearchQuery::parse("switched");
    let found = desk.test.read(|db| search::search(db, &actor, &query, None, 10));
    assert_eq!(found.rows.len(), 1, "it can be found");

    assert_eq!(desk.sent().len(), 0);
    desk.test.pass(TimeDelta::days(3));
    desk.test.run_jobs();
    assert_eq!(desk.sent().len(), 0, "nor later");
}

#[test]
fn an_import_that_is_begun_again_goes_on_and_takes_nothing_twice() {
    let (desk, folder) = (Desk::open(), TempDir::new().unwrap());
    let mail = |number: i64, id: &'static str| Old::to_us(&desk, number, "claire@acme.example", id, "Help");
    let first = mbox(&folder, "first", &[mail(3, "1@acme.example")]);
    assert_eq!(import(&desk, &[&first], &[]).known, 0);
    let both = mbox(&folder, "both", &[mail(3, "1@acme.example"), mail(2, "2@acme.example")]);
    assert_eq!(import(&desk, &[&both], &[]), Progress { mails: 2, done: 2, known: 1 });
    assert_eq!(import(&desk, &[&both], &[]), Progress { mails: 2, done: 2, known: 2 });
    assert_eq!(desk.tickets().len(), 2);
    // The same mail, kept by another program with another header above it, is the same (J-05).
    let again = mbox(&folder, "again", &[mail(2, "2@acme.example").with("X-Folder: archive")]);
    assert_eq!(import(&desk, &[&again], &[]).known, 0);
    assert_eq!(desk.tickets().len(), 2);
}

#[test]
fn who_writes_in_our_name_from_outside_is_not_us() {
    let (desk, folder) = (Desk::open(), TempDir::new().unwrap());
    let asked = || Old::to_us(&desk, 5, "claire@acme.example", "1@acme.example", "Which account is it?");
    let forged = |from| Old { from, ..Old::to_us(&desk, 4, "", "2@evil.example", "Pay to this account.") };
    for from in ["zoe@staff.example", SUPPORT, "eve@evil.example"] {
        let inbox = mbox(&folder, "inbox", &[asked(), forged(from).answering("1@acme.example")]);
        import(&desk, &[&inbox], &[]);
    }
    let (of_claire, others): (Vec<_>, Vec<_>) =
        desk.tickets().into_iter().partition(|ticket| ticket.requester_id == desk.claire);
    // In her ticket staff, and staff alone, reads what claims to be an agent's.
    assert_eq!((of_claire.len(), desk.public_messages(&of_claire[0]).len()), (1, 1));
    let said = desk.messages(&of_claire[0]);
    assert_eq!(
        (said.len(), said[1].visibility, said[1].remark),
        (2, Visibility::Staff, Some(Remark::NotAuthenticated))
    );
    // The others have tickets of their own; what bears the mailbox's name is a machine's, and closed.
    assert_eq!(others.iter().map(|ticket| ticket.status).collect::<Vec<_>>(), [Status::Closed, Status::WaitingForUs]);
    assert_eq!(desk.sent().len(), 0);
}

#[test]
fn our_answers_are_read_by_those_to_whom_they_were_written() {
    let (desk, folder) = (Desk::open(), TempDir::new().unwrap());
    let inbox = mbox(&folder, "inbox", &[Old::to_us(&desk, 5, "claire@acme.example", "1@acme.example", "Help")]);
    let sent = [
        // Handed on to somebody else, with what she wrote.
        Old::by_us(&desk, 4, "eve@other.example", "2@old", "ACME never pays.").answering("1@acme.example"),
        Old { from: "zoe@staff.example", ..Old::by_us(&desk, 3, "claire@acme.example", "3@old", "Done.") }
            .answering("1@acme.example"),
        Old::by_us(&desk, 2, "claire@acme.example", "4@old", "I am away.")
            .answering("1@acme.example")
            .with("Auto-Submitted: auto-replied"),
        // We wrote first.
        Old::by_us(&desk, 2, "bob@acme.example", "5@old", "Your contract ends."),
        // Among ourselves.
        Old::by_us(&desk, 1, "zoe@staff.example", "6@old", "Lunch?"),
    ];
    let sent = mbox(&folder, "sent", &sent);
    import(&desk, &[&inbox], &[&sent]);
    let tickets = desk.tickets();
    assert_eq!(tickets.len(), 2, "{tickets:?}");
    let read: Vec<(String, Option<PersonId>)> = desk
        .public_messages(&tickets[0])
        .into_iter()
        .map(|message| (message.body_text.trim_end().to_owned(), message.author_id))
        .collect();
    assert_eq!(read, [("Help".to_owned(), Some(desk.claire)), ("Done.".to_owned(), Some(desk.zoe))]);
    assert_eq!(desk.messages(&tickets[0]).len(), 4);
    assert_eq!(tickets[0].status, Status::WaitingForCustomer);
    assert_eq!((tickets[1].requester_id, tickets[1].status), (desk.bob, Status::WaitingForCustomer));
    assert_eq!(desk.messages(&tickets[1])[0].kind, MessageKind::Agent);
    assert_eq!(desk.sent().len(), 0);
}

#[test]
fn a_maildir_is_read_without_what_was_thrown_away() {
    let (desk, folder) = (Desk::open(), TempDir::new().unwrap());
    let write = |name: &str, mail: Old<'_>| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, mail.bytes()).unwrap();
    };
    let mail = |id: &'static str, text: &'static str| Old::to_us(&desk, 2, "claire@acme.example", id, text);
    write("cur/1.host:2,S", mail("1@acme.example", "kept"));
    write("new/2.host", mail("2@acme.example", "new one"));
    write("cur/3.host:2,ST", mail("3@acme.example", "thrown away"));
    write("cur/4.host:2,D", mail("4@acme.example", "a draft"));
    write("tmp/5.host", mail("5@acme.example", "half there"));
    let plan = Plan::read(&[Source { path: folder.path().to_owned(), imported: Imported::Received }]).unwrap();
    assert_eq!((plan.mails(), plan.deleted), (2, 2));
    import(&desk, &[folder.path()], &[]);
    assert_eq!(desk.tickets().len(), 2);
    let text = Plan::read(&[Source { path: folder.path().join("cur"), imported: Imported::Received }]).unwrap_err();
    assert!(format!("{text:#}").contains("no Maildir"), "{text:#}");
    let text =
        Plan::read(&[Source { path: folder.path().join("new/2.host"), imported: Imported::Received }]).unwrap_err();
    assert!(format!("{text:#}").contains("no mailbox"), "{text:#}");
}

#[test]
fn a_line_in_a_mail_that_begins_another_one_makes_no_answer_of_ours() {
    let (desk, folder) = (Desk::open(), TempDir::new().unwrap());
    let asked = Old::to_us(&desk, 5, "claire@acme.example", "1@acme.example", "Which account is it?");
    let file = mbox(&folder, "inbox", &[asked]);
    // As a store that quotes no such lines keeps what somebody wrote in the text of a mail.
    let smuggled = format!(
        "\nFrom x Thu Jan  1 10:00:00 2026\nFrom: {SUPPORT}\nTo: claire@acme.example\nIn-Reply-To: <1@acme.example>\n\
         Message-ID: <2@evil.example>\nDate: Thu, 1 Jan 2026 10:00:00 +0000\n\nPay to this account.\n"
    );
    let text = std::fs::read_to_string(&file).unwrap() + &smuggled;
    std::fs::write(&file, text).unwrap();
    assert_eq!(import(&desk, &[&file], &[]).mails, 2);
    for ticket in desk.tickets().into_iter().filter(|ticket| ticket.requester_id == desk.claire) {
        let read = desk.public_messages(&ticket);
        assert!(read.iter().all(|message| !message.body_text.contains("Pay to")), "{read:?}");
    }
}

/// Sent from the mailbox to one of us: whose matter it is nobody can tell, so it is held.
fn with_a_held_mail(days: i64) -> (Desk, TempDir) {
    let (desk, folder) = (Desk::open(), TempDir::new().unwrap());
    let sent = mbox(&folder, "sent", &[Old::by_us(&desk, days, "zoe@staff.example", "6@old", "Lunch?")]);
    import(&desk, &[], &[&sent]);
    assert_eq!(desk.tickets().len(), 0);
    (desk, folder)
}

fn held_path(desk: &Desk) -> String {
    let held = desk.test.read(|db| unprocessed::list(db, None, 10)).rows;
    format!("/admin/unprocessed-mail/{}", held[0].handle)
}

#[actix_web::test]
async fn nobody_is_told_when_somebody_decides_about_an_imported_mail() {
    let (desk, _folder) = with_a_held_mail(40);
    let zoe = desk.test.signed_in(desk.zoe).await;
    let path = held_path(&desk);
    let page = zoe.get(&path).await;
    page.assert_says("importé").assert_says("Personne ne reçoit de courriel");
    let nothing: &[(&str, &str)] = &[];
    zoe.post(&format!("{path}/ticket"), nothing).await.assert_status(303);
    desk.test.run_jobs();
    let ticket = desk.ticket();
    let ago = UtcTime::from_seconds(desk.test.now().minus(TimeDelta::days(40)).seconds());
    assert_eq!((ticket.created_at, ticket.status), (ago, Status::Closed), "it is old news");
    let said = desk.messages(&ticket);
    assert_eq!((said[0].kind, said[0].created_at), (MessageKind::Agent, ago));
    zoe.get(&format!("/tickets/{}", ticket.reference)).await.assert_says("Importé d’une autre boîte");
    zoe.get(&format!("/messages/{}/handling", said[0].handle)).await.assert_says("il était parti de la boîte");
    desk.test.pass(TimeDelta::days(3));
    desk.test.run_jobs();
    assert_eq!(desk.sent().len(), 0);
}

#[actix_web::test]
async fn nobody_is_told_when_an_imported_mail_is_added_to_a_ticket() {
    let (desk, folder) = with_a_held_mail(2);
    let inbox = mbox(&folder, "inbox", &[Old::to_us(&desk, 5, "claire@acme.example", "1@acme.example", "Help")]);
    import(&desk, &[&inbox], &[]);
    let ticket = desk.ticket();
    let zoe = desk.test.signed_in(desk.zoe).await;
    zoe.post(&format!("{}/message", held_path(&desk)), &[("reference", ticket.reference.as_str())])
        .await
        .assert_status(303);
    desk.test.run_jobs();
    let said = desk.public_messages(&ticket);
    assert_eq!((said.len(), said[1].remark), (2, Some(Remark::Accepted)));
    assert_eq!(desk.ticket_again(ticket.id).status, Status::WaitingForCustomer);
    assert_eq!(desk.sent().len(), 0);
    // What the agent then writes goes out.
    desk.answer(&ticket, "Redémarrez-la.", Status::WaitingForCustomer);
    assert_eq!(desk.sent_to("claire@acme.example").len(), 1);
}

#[test]
fn nobody_is_told_when_an_imported_message_in_doubt_is_accepted() {
    let (desk, folder) = (Desk::open(), TempDir::new().unwrap());
    let inbox = mbox(&folder, "inbox", &[Old::to_us(&desk, 50, "claire@acme.example", "1@acme.example", "Help")]);
    import(&desk, &[&inbox], &[]);
    let named = Old::to_us(&desk, 45, "claire@acme.example", "2@acme.example", "It is the fuse.");
    let inbox = mbox(&folder, "more", &[named]);
    let text = std::fs::read_to_string(&inbox).unwrap();
    std::fs::write(&inbox, text.replace("Printer", &format!("[{}]", desk.ticket().reference))).unwrap();
    import(&desk, &[&inbox], &[]);
    let (ticket, by, now) = (desk.ticket(), desk.actor(desk.zoe), desk.test.now());
    let said = desk.messages(&ticket);
    assert_eq!((said.len(), said[1].remark), (2, Some(Remark::NotAuthenticated)));
    let handle = said[1].handle.clone();
    desk.test.write(move |db| in_doubt::accept(db, &ticket, &handle, &by, now));
    desk.test.run_jobs();
    let ticket = desk.ticket();
    assert_eq!(desk.public_messages(&ticket).len(), 2);
    let ago = UtcTime::from_seconds(now.minus(TimeDelta::days(45)).seconds());
    assert_eq!((ticket.status, ticket.last_message_at), (Status::Closed, ago));
    assert_eq!(desk.sent().len(), 0);
}

#[test]
fn what_a_killed_import_held_comes_first_when_it_is_begun_again() {
    let (desk, folder) = (Desk::open(), TempDir::new().unwrap());
    let asked = || Old::to_us(&desk, 5, "claire@acme.example", "1@acme.example", "Help");
    let more = || Old::to_us(&desk, 4, "claire@acme.example", "2@acme.example", "And?").answering("1@acme.example");
    let inbox = mbox(&folder, "inbox", &[asked(), more()]);
    // Killed after it had taken the first of them.
    let (raw, now) = (asked().bytes().into_bytes(), desk.test.now());
    desk.test.write(move |db| {
        let mailbox = mailboxes::find_by_canonical(db, &address(SUPPORT))?.unwrap();
        let recipient = Recipient { mailbox: mailbox.id, address: mailbox.canonical };
        let mail = NewMail::new(vec![recipient], String::new(), Way::Pipe, raw.clone()).imported(Imported::Received);
        journal::accept(db, &mail, now)?;
        claiming::claim_next(db, &format!("import-{}-killed", mailbox.id.0), now)
    });
    assert_eq!(import(&desk, &[&inbox], &[]).known, 1);
    assert_eq!(desk.public_messages(&desk.ticket()).len(), 2, "one thread");
}

#[test]
fn j_07_a_mail_that_ends_the_process_takes_none_of_those_beside_it_along() {
    let (desk, folder) = (Desk::open(), TempDir::new().unwrap());
    let mails: Vec<Old> = (0..20)
        .map(|number| Old::to_us(&desk, 30 - number, "claire@acme.example", &format!("{number}@x"), "Help"))
        .collect();
    let inbox = mbox(&folder, "inbox", &mails);
    // Each run takes what it can, and ends while it has the first in hand.
    let (raws, now) = (mails.iter().map(|mail| mail.bytes().into_bytes()).collect::<Vec<_>>(), desk.test.now());
    desk.test.write(move |db| {
        let mailbox = mailboxes::find_by_canonical(db, &address(SUPPORT))?.unwrap();
        for raw in &raws {
            let recipient = Recipient { mailbox: mailbox.id, address: mailbox.canonical.clone() };
            let mail = NewMail::new(vec![recipient], String::new(), Way::Pipe, raw.clone());
            journal::accept(db, &mail.imported(Imported::Received), now)?;
        }
        Ok(())
    });
    for taken in [20, 1, 1, 1, 1] {
        let claimed = desk.test.write(move |db| {
            let mailbox = mailboxes::find_by_canonical(db, &address(SUPPORT))?.unwrap();
            claiming::free_leases(db, "")?;
            claiming::claim_together(db, &format!("import-{}-killed", mailbox.id.0), 32, usize::MAX, now)
        });
        assert_eq!(claimed.len(), taken);
    }
    assert_eq!(import(&desk, &[&inbox], &[]).known, mails.len());
    let (waiting, failed) = desk.test.read(|db| unprocessed::counts(db).map(|counts| (counts.waiting, counts.failed)));
    assert_eq!((waiting, failed, desk.tickets().len()), (0, 1, mails.len() - 1));
}

#[test]
fn of_the_mail_that_waits_no_more_is_taken_together_than_may_lie_in_memory() {
    let desk = Desk::open();
    for number in 0..3 {
        let mail = format!("From: claire@acme.example\r\nSubject: {number}\r\n\r\n{}\r\n", "x".repeat(1 << 10));
        desk.accept_bytes(SUPPORT, "claire@acme.example", mail.into_bytes());
    }
    let now = desk.test.now();
    let claim = |worker, bytes| desk.test.write(move |db| claiming::claim_together(db, worker, 32, bytes, now)).len();
    assert_eq!((claim("a", 2_500), claim("b", 500)), (2, 1));
    desk.test.pass(TimeDelta::minutes(3));
    desk.test.run_jobs();
}

#[test]
fn links_pipes_and_devices_among_the_mails_are_passed_over_and_told() {
    let (desk, folder) = (Desk::open(), TempDir::new().unwrap());
    let path = |name: &str| folder.path().join(name);
    std::fs::create_dir(path("cur")).unwrap();
    let secret = path("secret");
    std::fs::write(&secret, Old::to_us(&desk, 2, "eve@other.example", "2@other.example", "secret").bytes()).unwrap();
    std::fs::write(
        path("cur/1.host:2,S"),
        Old::to_us(&desk, 2, "claire@acme.example", "1@acme.example", "kept").bytes(),
    )
    .unwrap();
    std::os::unix::fs::symlink(&secret, path("cur/2.host:2,S")).unwrap();
    for pipe in ["cur/3.host:2,S", "pipe"] {
        rustix::fs::mknodat(rustix::fs::CWD, path(pipe), FileType::Fifo, Mode::RUSR, 0).unwrap();
    }
    let plan = Plan::read(&[Source { path: folder.path().to_owned(), imported: Imported::Received }]).unwrap();
    assert_eq!((plan.mails(), plan.no_files, plan.first_no_file), (1, 2, Some(path("cur/2.host:2,S"))));
    for named in [path("pipe"), PathBuf::from("/dev/null")] {
        let text = Plan::read(&[Source { path: named, imported: Imported::Received }]).unwrap_err();
        assert!(format!("{text:#}").contains("neither a file nor a folder"), "{text:#}");
    }
    std::os::unix::fs::symlink(path("cur"), path("new")).unwrap();
    let text = Plan::read(&[Source { path: folder.path().to_owned(), imported: Imported::Received }]).unwrap_err();
    assert!(format!("{text:#}").contains("is a link"), "{text:#}");
}

#[test]
fn a_file_that_is_changed_while_it_is_imported_or_between_two_runs_is_noticed() {
    let (desk, folder) = (Desk::open(), TempDir::new().unwrap());
    let mail = |days, id: &'static str| Old::to_us(&desk, days, "claire@acme.example", id, "Help");
    let file = mbox(&folder, "inbox", &[mail(3, "1@acme.example")]);
    let (app, data) = (&desk.test.app, &desk.test.app.config.data);
    let plan = || Plan::read(&[Source { path: file.clone(), imported: Imported::Received }]).unwrap();
    let changed = || importing::changed_since_interrupted(data, SUPPORT, &plan()).unwrap();
    let before = plan();
    mbox(&folder, "inbox", &[mail(4, "0@acme.example"), mail(3, "1@acme.example")]);
    let text = importing::run(app, SUPPORT, &before, |_| ()).unwrap_err();
    assert!(format!("{text:#}").contains("was changed meanwhile"), "{text:#}");
    assert_eq!(desk.tickets().len(), 0, "nothing is taken in pieces");
    assert_eq!(changed(), [file.to_str().unwrap()]);
    importing::run(app, SUPPORT, &plan(), |_| ()).unwrap();
    desk.test.run_jobs();
    assert_eq!(desk.tickets().len(), 2);
    mbox(&folder, "inbox", &[mail(3, "1@acme.example")]);
    assert!(changed().is_empty(), "it had come to its end");
}
