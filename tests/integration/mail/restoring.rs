//! Yesterday's database with today's mail: what was sent since is known to nobody here, and comes back all the same.

use accord::db::file_copy;
use accord::journal::unprocessed;
use accord::tickets::status::Status;

use crate::support::desk::{Desk, Letter};

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
