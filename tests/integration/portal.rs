//! The customer's side: filing with and without an account, following, answering, and the link in a mail.

mod filing;
mod link;
mod requests;

use accord::access;
use accord::access::Actor;
use accord::db::types::PersonId;
use accord::mail::incoming;
use accord::mail::transport::Transport;
use accord::people::sites::{self, SiteDescription};
use accord::teams::queues::{self, QueueKind};
use accord::tickets::messages::{self, NewReply, ReplyOutcome, Words};
use accord::tickets::status::Status;
use accord::tickets::{Ticket, ticket};
use diesel::prelude::*;

use crate::support::TestApp;

/// A mail that left: to whom, and its words.
struct Mailed {
    to: String,
    subject: String,
    text: String,
    raw: String,
}

impl Mailed {
    /// The path of the link to a ticket in it.
    fn link(&self) -> String {
        let (_, rest) = self.text.split_once("http://desk.example/l/ticket/").expect("a link to a ticket");
        format!("/l/ticket/{}", rest.split_whitespace().next().unwrap())
    }
}

/// The mails sent since the last look, after all work is done.
fn mails(app: &TestApp) -> Vec<Mailed> {
    app.run_jobs();
    let Transport::Memory(memory) = &app.app.transport else { panic!("tests send into memory") };
    let read = |sent: accord::mail::transport::SentMail| {
        let mail = incoming::parse(&sent.bytes);
        let raw = String::from_utf8_lossy(&sent.bytes).into_owned();
        Mailed { to: sent.recipient, subject: mail.subject, text: mail.text, raw }
    };
    memory.take().into_iter().map(read).collect()
}

fn mails_to(app: &TestApp, address: &str) -> Vec<Mailed> {
    mails(app).into_iter().filter(|mail| mail.to == address).collect()
}

/// All tickets, the oldest first.
fn tickets(app: &TestApp) -> Vec<Ticket> {
    app.read(|db| Ok(access::visible_to(&Actor::System).order(accord::db::schema::tickets::id).load::<Ticket>(db)?))
}

fn only_ticket(app: &TestApp) -> Ticket {
    let mut tickets = tickets(app);
    assert_eq!(tickets.len(), 1);
    tickets.remove(0)
}

/// The public name of the queue of a kind.
fn queue(app: &TestApp, kind: QueueKind) -> String {
    app.read(move |db| queues::find_by_kind(db, kind)).expect("every kind has a queue").handle
}

/// A site of an organisation, by its public name.
fn site(app: &TestApp, organisation: accord::db::types::OrganisationId, name: &'static str) -> String {
    let now = app.now();
    app.write(move |db| {
        let description = SiteDescription {
            name: name.to_owned(),
            person_in_charge: "Jeanne".to_owned(),
            telephone: "+33 5 56 00 00 00".to_owned(),
            ..SiteDescription::default()
        };
        sites::create(db, organisation, &description, now).map(|site| site.handle)
    })
}

/// An agent answers, with the ticket as it stands.
fn reply(app: &TestApp, ticket: &Ticket, agent: PersonId, text: &'static str) {
    let (id, now) = (ticket.id, app.now());
    app.write(move |db| {
        let ticket = ticket::by_id(db, id)?;
        let by = access::actor_of(db, agent)?;
        let reply = NewReply {
            words: Words::on_page(text),
            attachments: Vec::new(),
            seen: ticket.message_count,
            status: Status::WaitingForCustomer,
            mail_id: None,
            ingest: None,
        };
        let outcome = messages::add_reply(db, &ticket, reply, &by, now)?;
        assert!(matches!(outcome, ReplyOutcome::Sent(_)), "{outcome:?}");
        Ok(())
    });
}

/// What one form of a page carries in a hidden field.
fn hidden(page: &str, name: &str) -> String {
    let (_, rest) =
        page.split_once(&format!("name=\"{name}\" value=\"")).unwrap_or_else(|| panic!("no {name}: {page}"));
    rest.split('"').next().unwrap().to_owned()
}
