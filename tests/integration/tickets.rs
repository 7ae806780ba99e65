//! Tickets: what is said in them, who sees what of them, and how lists find them.

use std::collections::BTreeSet;

use accord::access::{self, Actor, CustomerActor, StaffActor};
use accord::db::DbConnection;
use accord::db::schema::{ticket_events, tickets};
use accord::db::types::{OrganisationId, PersonId, QueueId, TicketId};
use accord::error::{Error, Result};
use accord::people::memberships::Membership;
use accord::people::roles::Permission;
use accord::people::{person, sites};
use accord::teams::queues::{self, QueueKind};
use accord::tickets::attachments::{self, NewAttachment};
use accord::tickets::events::{self, EventKind};
use accord::tickets::links::{self, Link};
use accord::tickets::listing::{self, COUNTED_TO, ListCursor, Progress, Scope, View};
use accord::tickets::messages::{
    self, Channel, CustomerMessage, NewMessage, NewNote, NewReply, Reading, Remark, ReplyOutcome, Visibility, Words,
};
use accord::tickets::opening::{self, NewTicket};
use accord::tickets::participants::{self, Standing};
use accord::tickets::status::{self, Status};
use accord::tickets::ticket::{self, Ticket};
use accord::tickets::{TicketReference, assignment, idempotency, moving, related, tags};
use chrono::TimeDelta;
use diesel::prelude::*;

use crate::support::{Cast, TestApp};

impl TestApp {
    /// A request of `requester` in a queue of that kind, as the form makes it.
    pub fn ticket_in(&self, requester: PersonId, kind: QueueKind, subject: &str) -> Ticket {
        let (now, subject) = (self.now(), subject.to_owned());
        self.write(move |db| {
            let queue = queues::find_by_kind(db, kind)?.unwrap();
            let new = a_request(db, requester, queue.id, &subject)?;
            opening::open(db, new, &Actor::System, now).map(|opened| opened.ticket)
        })
    }

    /// A request of `requester` to support.
    pub fn ticket(&self, requester: PersonId, subject: &str) -> Ticket {
        self.ticket_in(requester, QueueKind::Support, subject)
    }

    pub fn again(&self, ticket: &Ticket) -> Ticket {
        self.read(|db| ticket::by_id(db, ticket.id))
    }

    /// `agent` answers the ticket as it stands.
    pub fn answer(&self, ticket: &Ticket, agent: PersonId, text: &str) -> Ticket {
        let (ticket, by, now) = (self.again(ticket), self.actor(agent), self.now());
        let reply = a_reply(text, ticket.message_count);
        let id = ticket.id;
        let outcome = self.write(move |db| messages::add_reply(db, &ticket, reply.clone(), &by, now));
        assert!(matches!(outcome, ReplyOutcome::Sent(_)), "{outcome:?}");
        self.read(|db| ticket::by_id(db, id))
    }

    /// `agent` adds a note.
    pub fn note(&self, ticket: &Ticket, agent: PersonId, text: &str) {
        let (ticket, by, now) = (self.again(ticket), self.actor(agent), self.now());
        let note = NewNote { words: Words::on_page(text), attachments: Vec::new(), mail_id: None, ingest: None };
        self.write(move |db| messages::add_note(db, &ticket, note.clone(), &by, now));
    }

    /// `customer` writes in the ticket.
    pub fn customer_writes(&self, ticket: &Ticket, customer: PersonId, text: &str) {
        let (ticket, by, now) = (self.again(ticket), self.actor(customer), self.now());
        let message =
            CustomerMessage::ordinary(NewMessage::text(Channel::Web, customer, "Claire", "c@x.example", text));
        self.write(move |db| messages::add_customer_message(db, &ticket, message.clone(), &by, now));
    }
}

/// The cast, where Hugo the supervisor has accepted the undertaking too.
fn at_work() -> (TestApp, Cast) {
    let (app, cast) = TestApp::with_cast();
    let (hugo, now) = (cast.hugo, app.now());
    app.write(move |db| accord::people::staff::accept_undertaking(db, hugo, now));
    (app, cast)
}

fn a_request(db: &mut DbConnection, requester: PersonId, queue: QueueId, subject: &str) -> Result<NewTicket> {
    let person = person::by_id(db, requester)?;
    let home = accord::people::organisations::home_of(db, requester)?.unwrap();
    let name = person.display_name();
    let message = NewMessage::text(Channel::Email, person.id, &name, &person.address, "Bonjour, rien ne va plus.");
    Ok(NewTicket { address_confirmed: true, ..NewTicket::new(home, requester, queue, subject, message) })
}

fn a_reply(text: &str, seen: i32) -> NewReply {
    NewReply {
        words: Words::on_page(text),
        attachments: Vec::new(),
        seen,
        status: Status::WaitingForCustomer,
        mail_id: None,
        ingest: None,
    }
}

fn staff(app: &TestApp, person: PersonId) -> StaffActor {
    match app.actor(person) {
        Actor::Staff(staff) => staff,
        other => panic!("{other:?} is not staff"),
    }
}

#[test]
fn t_01_references_tell_nothing_of_the_order_of_creation() {
    let (app, cast) = at_work();
    let now = app.now();
    let references: Vec<String> = app.write(move |db| {
        let queue = queues::find_by_kind(db, QueueKind::Support)?.unwrap();
        (0..1_000)
            .map(|_| {
                let new = a_request(db, cast.ivan, queue.id, "Imprimante")?;
                opening::open(db, new, &Actor::System, now).map(|opened| opened.ticket.reference)
            })
            .collect()
    });
    assert_eq!(references.iter().collect::<BTreeSet<_>>().len(), 1_000);
    // The row asks for less than 0.05, which random numbers by the thousand exceed one time in nine. A hundred thousand
    // references are held to that, sixteen times their deviation, and the thousand of tickets to six times theirs.
    let correlation = correlation_with_order(&references);
    assert!(correlation.abs() < 0.2, "{correlation}");
    let many: Vec<String> = (0..100_000).map(|_| TicketReference::random("ACC").to_string()).collect();
    let correlation = correlation_with_order(&many);
    assert!(correlation.abs() < 0.05, "{correlation}");
}

fn correlation_with_order(references: &[String]) -> f64 {
    let number = |reference: &String| reference[4..13].bytes().fold(0.0, |sum, byte| sum * 64.0 + f64::from(byte));
    let numbers: Vec<f64> = references.iter().map(number).collect();
    let count = numbers.len() as f64;
    let mean = numbers.iter().sum::<f64>() / count;
    let (mut above, mut of_order, mut of_numbers) = (0.0, 0.0, 0.0);
    for (order, number) in numbers.iter().enumerate() {
        let (left, right) = (order as f64 - (count - 1.0) / 2.0, number - mean);
        above += left * right;
        of_order += left * left;
        of_numbers += right * right;
    }
    above / (of_order * of_numbers).sqrt()
}

#[test]
fn t_02_unknown_and_foreign_references_are_the_same_to_the_capability() {
    let (app, cast) = at_work();
    let ticket = app.ticket(cast.claire, "Écran noir");
    for stranger in [cast.zoe, cast.ivan, cast.paul, cast.marc, cast.odile, cast.anne] {
        let actor = app.actor(stranger);
        let find = |text: &str| app.read(|db| Ok(ticket::by_reference(db, &actor, text)));
        for text in [ticket.reference.as_str(), "ACC-0000000000", "nonsense"] {
            assert!(matches!(find(text), Err(Error::NotFound)), "{stranger:?} {text}");
        }
    }
    for reader in [cast.claire, cast.lea, cast.hugo] {
        let actor = app.actor(reader);
        let reference = TicketReference::parse(&ticket.reference.to_lowercase()).unwrap();
        let found = app.read(|db| ticket::find_by_reference(db, &actor, &reference));
        assert_eq!(found.map(|found| found.id), Some(ticket.id), "{reader:?}");
    }
}

#[test]
fn a_02_the_predicate_and_the_query_agree_over_all_cases() {
    let (app, cast) = at_work();
    let of_claire = app.ticket(cast.claire, "Un");
    let of_paul = app.ticket_in(cast.paul, QueueKind::Sales, "Deux");
    let of_zoe = app.ticket(cast.zoe, "Trois");
    let (private, now) = (app.again(&of_paul), app.now());
    app.write(move |db| moving::set_private(db, &private, true, &Actor::System, now));
    let in_ivan = app.again(&of_zoe);
    app.write(move |db| participants::approve(db, &in_ivan, cast.ivan, &Actor::System, now));
    let all: Vec<Ticket> = [&of_claire, &of_paul, &of_zoe].map(|ticket| app.again(ticket)).to_vec();

    let mut actors = vec![Actor::System];
    let queue_of = |ticket: &Ticket| ticket.queue_id;
    for permissions in [vec![], vec![Permission::WorkTickets], vec![Permission::WorkTickets, Permission::SeeAllQueues]]
    {
        for queues in [vec![], vec![queue_of(&of_claire)], vec![queue_of(&of_claire), queue_of(&of_paul)]] {
            for undertaking_accepted in [false, true] {
                actors.push(Actor::Staff(StaffActor {
                    person: cast.lea,
                    permissions: permissions.clone(),
                    queues: queues.clone(),
                    undertaking_accepted,
                    only_queue: None,
                }));
            }
        }
    }
    let membership = |organisation: OrganisationId, sees_all_tickets, colleagues_see_tickets| Membership {
        organisation_id: organisation,
        sees_all_tickets,
        manages_organisation: false,
        grants_tracing: false,
        colleagues_see_tickets,
    };
    for person in [cast.claire, cast.paul, cast.zoe, cast.ivan] {
        for organisation in [cast.arnaud, cast.brun] {
            for sees in [false, true] {
                for allowed in [false, true] {
                    let memberships = vec![membership(organisation, sees, allowed)];
                    actors.push(Actor::Customer(CustomerActor { person, memberships, only_queue: None }));
                }
            }
        }
        actors.push(Actor::Customer(CustomerActor { person, memberships: Vec::new(), only_queue: None }));
        actors.push(Actor::LinkHolder { person, ticket: of_claire.id });
    }
    // Each of them as a program of one queue, which sees what it sees in that queue and nothing else (U-08).
    let programs: Vec<Actor> = actors.iter().map(|actor| actor.clone().within(queue_of(&of_paul))).collect();
    let sees = |actor: &Actor, ticket: &Ticket| access::can_see(actor, &ticket.facts(), false);
    for (actor, program) in actors.iter().zip(&programs).filter(|(_, program)| program.person().is_some()) {
        let is_program = !matches!(program, Actor::LinkHolder { .. });
        for ticket in &all {
            let expected = sees(actor, ticket) && (!is_program || queue_of(ticket) == queue_of(&of_paul));
            assert_eq!(sees(program, ticket), expected, "{program:?} {}", ticket.subject);
        }
    }
    actors.extend(programs);
    for actor in &actors {
        let visible: BTreeSet<TicketId> = app
            .read(|db| Ok(access::visible_to(actor).select(tickets::id).load::<TicketId>(db)?.into_iter().collect()));
        for ticket in &all {
            let participates = app.read(|db| {
                let Some(person) = actor.person() else { return Ok(false) };
                let found = participants::find(db, ticket.id, person)?;
                Ok(found.is_some_and(|found| found.standing == Standing::Active))
            });
            let can_see = access::can_see(actor, &ticket.facts(), participates);
            assert_eq!(can_see, visible.contains(&ticket.id), "{actor:?} {}", ticket.subject);
        }
    }
}

#[test]
fn a_06_a_note_is_nowhere_in_what_customers_get() {
    const CANARY: &str = "canari-jaune-4711";
    let (app, cast) = at_work();
    let ticket = app.answer(&app.ticket(cast.claire, "Écran noir"), cast.lea, "Nous regardons.");
    let before = app.again(&ticket);
    app.clock.advance(TimeDelta::hours(1));
    app.note(&ticket, cast.lea, CANARY);
    let after = app.again(&ticket);
    assert_eq!(after.last_message_at, before.last_message_at);
    assert_eq!(after.status, before.status);
    assert_eq!(after.waiting_since, before.waiting_since);
    let claire = app.actor(cast.claire);
    let (read, said, events, page) = app.read(|db| {
        let reading = messages::reading(db, &ticket, &claire)?;
        let said = messages::of_ticket(db, &ticket, reading, 1_000)?;
        let events = events::for_customers(db, &ticket, 1_000)?;
        let page = listing::requests(db, &claire, Scope::Everything, Progress::Open, None, 25)?;
        Ok((reading, said, events, page))
    });
    assert_eq!(read, Reading::Public);
    assert_eq!(said.len(), 2);
    let all = format!("{said:?} {events:?} {page:?}");
    assert!(!all.contains(CANARY));
    assert!(events.iter().all(|event| event.kind != EventKind::Noted));
    let note = app.read(|db| messages::of_ticket(db, &ticket, Reading::Everything, 1_000)).pop().unwrap();
    assert_eq!(note.body_text, CANARY);
    assert!(app.read(|db| messages::find_readable(db, &claire, &note.handle)).is_none());
}

#[test]
fn a_customer_reply_reopens_a_closed_ticket() {
    let (app, cast) = at_work();
    let ticket = app.answer(&app.ticket(cast.claire, "Écran noir"), cast.lea, "C’est réparé.");
    assert_eq!(ticket.status, Status::WaitingForCustomer);
    assert!(ticket.first_answered_at.is_some());
    let (open, by, now) = (ticket.clone(), app.actor(cast.lea), app.now());
    app.write(move |db| status::set(db, &open, Status::Closed, &by, now));
    assert!(app.again(&ticket).closed_at.is_some());
    app.clock.advance(TimeDelta::days(2));
    app.customer_writes(&ticket, cast.claire, "Toujours noir.");
    let reopened = app.again(&ticket);
    assert_eq!(reopened.status, Status::WaitingForUs);
    assert_eq!(reopened.closed_at, None);
    assert_eq!(reopened.waiting_since, app.now());
    app.clock.advance(TimeDelta::hours(3));
    app.customer_writes(&ticket, cast.claire, "Alors ?");
    assert_eq!(app.again(&ticket).waiting_since, reopened.waiting_since, "the first wait goes on");
}

#[test]
fn a_message_in_doubt_is_for_staff_until_an_agent_accepts_it() {
    let (app, cast) = at_work();
    let ticket = app.answer(&app.ticket(cast.claire, "Écran noir"), cast.lea, "Redémarrez.");
    let (to, now) = (ticket.clone(), app.now());
    app.write(move |db| {
        let message = NewMessage::text(Channel::Email, cast.ivan, "Ivan", "ivan@moreau.example", "C’est moi.");
        let message = CustomerMessage {
            message,
            visibility: Visibility::Staff,
            remark: Some(Remark::DifferentSender),
            moves_status: false,
        };
        messages::add_customer_message(db, &to, message, &Actor::System, now)
    });
    let doubtful = app.read(|db| messages::of_ticket(db, &ticket, Reading::Everything, 10)).pop().unwrap();
    assert_eq!(app.read(|db| messages::of_ticket(db, &ticket, Reading::Public, 10)).len(), 2);
    assert_eq!(app.again(&ticket).status, Status::WaitingForCustomer);
    let ivan = app.actor(cast.ivan);
    assert!(!app.read(|db| ticket::is_visible(db, &ivan, ticket.id)));
    let (to, by, handle) = (app.again(&ticket), app.actor(cast.lea), doubtful.handle);
    app.write(move |db| messages::in_doubt::accept(db, &to, &handle, &by, now));
    assert_eq!(app.read(|db| messages::of_ticket(db, &ticket, Reading::Public, 10)).len(), 3);
    assert_eq!(app.again(&ticket).status, Status::WaitingForUs);
    assert!(app.read(|db| ticket::is_visible(db, &ivan, ticket.id)));
}

#[test]
fn x_01_a_reply_over_unseen_news_is_not_sent() {
    let (app, cast) = at_work();
    let ticket = app.ticket(cast.claire, "Écran noir");
    app.customer_writes(&ticket, cast.claire, "Et le clavier aussi.");
    let (to, by, now) = (ticket.clone(), app.actor(cast.lea), app.now());
    let outcome = app.write(move |db| messages::add_reply(db, &to, a_reply("Redémarrez.", 1), &by, now));
    let ReplyOutcome::Stale(news) = outcome else { panic!("{outcome:?}") };
    assert_eq!(news.len(), 1);
    assert_eq!(news[0].body_text, "Et le clavier aussi.");
    let still = app.again(&ticket);
    assert_eq!((still.message_count, still.status), (2, Status::WaitingForUs));
    app.answer(&still, cast.lea, "Redémarrez les deux.");
    // A colleague's note is news too.
    let (to, by) = (app.again(&ticket), app.actor(cast.hugo));
    let outcome = app.write(move |db| messages::add_reply(db, &to, a_reply("Moi aussi.", 2), &by, now));
    assert!(matches!(outcome, ReplyOutcome::Stale(_)));
}

#[test]
fn x_01_a_change_of_what_is_no_longer_so_is_a_conflict() {
    let (app, cast) = at_work();
    let seen = app.ticket(cast.claire, "Écran noir");
    let (lea, hugo, now) = (app.actor(cast.lea), app.actor(cast.hugo), app.now());
    let (first, second) = (seen.clone(), seen.clone());
    app.write(move |db| assignment::assign(db, &first, Some(cast.lea), &lea, now));
    let late = app.write(move |db| Ok(assignment::assign(db, &second, Some(cast.hugo), &hugo, now)));
    assert!(matches!(late, Err(Error::Conflict(_))), "{late:?}");
    assert_eq!(app.again(&seen).assignee_id, Some(cast.lea));
}

#[test]
fn x_02_the_same_request_is_done_once_and_another_under_its_key_is_refused() {
    use idempotency::Claim;
    let (app, cast) = at_work();
    let now = app.now();
    let claim = |digest: &'static [u8]| app.write(move |db| idempotency::claim(db, cast.claire, "k1", digest, now));
    assert_eq!(claim(b"one"), Claim::New);
    app.write(move |db| idempotency::complete(db, cast.claire, "k1", 201, "{}"));
    assert_eq!(claim(b"one"), Claim::Done { status: 201, body: "{}".to_owned() });
    assert_eq!(claim(b"two"), Claim::OtherRequest);
    assert_eq!(app.write(move |db| idempotency::claim(db, cast.zoe, "k1", b"one", now)), Claim::New);
    let later = now.plus(TimeDelta::days(3));
    assert_eq!(app.write(move |db| idempotency::forget_old(db, later)), 2);
}

#[test]
fn x_04_the_database_refuses_a_closed_ticket_without_its_time() {
    let (app, cast) = at_work();
    let ticket = app.ticket(cast.claire, "Écran noir");
    let refused = app.write(move |db| {
        let one = tickets::table.find(ticket.id);
        Ok(db.transaction(|db| diesel::update(one).set(tickets::status.eq("closed")).execute(db)).is_err()
            && db.transaction(|db| diesel::update(one).set(tickets::status.eq("lost")).execute(db)).is_err())
    });
    assert!(refused);
}

#[test]
fn th_07_who_joins_later_reads_what_is_said_from_then_on() {
    let (app, cast) = at_work();
    let ticket = app.answer(&app.ticket(cast.claire, "Écran noir"), cast.lea, "Un secret.");
    let ivan = app.actor(cast.ivan);
    let (to, now) = (app.again(&ticket), app.now());
    let proposed = app.write(move |db| participants::propose(db, &to, cast.ivan, events::Maker::Mail, now));
    assert!(proposed);
    assert!(!app.read(|db| ticket::is_visible(db, &ivan, ticket.id)), "a proposal opens nothing");
    app.clock.advance(TimeDelta::hours(1));
    let (to, by, now) = (app.again(&ticket), app.actor(cast.lea), app.now());
    app.write(move |db| participants::approve(db, &to, cast.ivan, &by, now));
    app.clock.advance(TimeDelta::hours(1));
    app.answer(&ticket, cast.lea, "Bienvenue.");
    let said = app.read(|db| {
        let reading = messages::reading(db, &ticket, &ivan)?;
        messages::of_ticket(db, &ticket, reading, 100)
    });
    assert_eq!(said.iter().map(|message| message.body_text.as_str()).collect::<Vec<_>>(), ["Bienvenue."]);
}

#[test]
fn a_05_with_their_part_somebody_loses_files_links_and_reply_addresses() {
    let (app, cast) = at_work();
    let ticket = app.ticket(cast.claire, "Écran noir");
    let (to, by, now) = (app.again(&ticket), app.actor(cast.lea), app.now());
    let hash = app.app.storage.put(b"journal").unwrap();
    let file = NewAttachment {
        file_name: "journal.txt".to_owned(),
        media_type: attachments::UNKNOWN_TYPE.to_owned(),
        size: 7,
        content_hash: hash,
        content_id: None,
    };
    app.write(move |db| participants::approve(db, &to, cast.ivan, &by, now));
    let (to, by) = (app.again(&ticket), app.actor(cast.lea));
    let token = app.write(move |db| {
        let reply = NewReply { attachments: vec![file.clone()], ..a_reply("Voici.", to.message_count) };
        messages::add_reply(db, &to, reply, &by, now)?;
        links::create(db, &to, cast.ivan, now).map(|token| token.expose().to_owned())
    });
    let ivan = app.actor(cast.ivan);
    let (handle, participant) = app.read(|db| {
        let handle = attachments::of_ticket(db, &ticket)?[0].handle.clone();
        Ok((handle, participants::find(db, ticket.id, cast.ivan)?.unwrap()))
    });
    assert_eq!(handle.len(), 26, "128 bits");
    assert!(app.read(|db| attachments::find(db, &ivan, &handle)).is_some());
    assert!(matches!(app.read(|db| links::find(db, &token, now)), Some(Link::Open(Actor::LinkHolder { .. }))));
    let (number, epoch) = (participant.token_number(), participant.token_epoch());
    assert!(app.read(|db| participants::find_by_token(db, ticket.id, number, epoch)).is_some());

    let (to, by) = (app.again(&ticket), app.actor(cast.lea));
    app.write(move |db| participants::remove(db, &to, cast.ivan, &by, now));
    assert!(app.read(|db| attachments::find(db, &ivan, &handle)).is_none());
    assert!(app.read(|db| links::find(db, &token, now)).is_none());
    assert!(app.read(|db| participants::find_by_token(db, ticket.id, number, epoch)).is_none());
}

#[test]
fn u_03b_a_ticket_link_opens_one_ticket_for_fourteen_days() {
    let (app, cast) = at_work();
    let (ticket, other) = (app.ticket(cast.claire, "Un"), app.ticket(cast.claire, "Deux"));
    let (to, now) = (ticket.clone(), app.now());
    let token = app.write(move |db| links::create(db, &to, cast.claire, now).map(|token| token.expose().to_owned()));
    let Some(Link::Open(holder)) = app.read(|db| links::find(db, &token, now)) else { panic!() };
    assert!(app.read(|db| ticket::is_visible(db, &holder, ticket.id)));
    assert!(!app.read(|db| ticket::is_visible(db, &holder, other.id)));
    let (to, by) = (ticket.clone(), holder.clone());
    let closed = app.write(move |db| Ok(status::set(db, &to, Status::Closed, &by, now)));
    assert!(matches!(closed, Err(Error::Forbidden)));
    for wrong in ["", " ", "%20", "\0", &token.to_uppercase(), &token[..51], &format!("{token} ")] {
        assert!(app.read(|db| links::find(db, wrong, now)).is_none(), "{wrong:?}");
    }
    let later = now.plus(TimeDelta::days(14));
    assert!(matches!(app.read(|db| links::find(db, &token, later)), Some(Link::Expired { .. })));
}

#[test]
fn e_03_an_intervention_names_its_site() {
    let (app, cast) = at_work();
    let now = app.now();
    let (without, foreign, with) = app.write(move |db| {
        let queue = queues::find_by_kind(db, QueueKind::Intervention)?.unwrap();
        let description = |name: &str| sites::SiteDescription {
            name: name.to_owned(),
            address: String::new(),
            person_in_charge: "Paul Girard".to_owned(),
            telephone: "+33 5 55 00 00 00".to_owned(),
        };
        let own = sites::create(db, cast.arnaud, &description("Chai"), now)?;
        let others = sites::create(db, cast.brun, &description("Atelier"), now)?;
        let mut request = a_request(db, cast.claire, queue.id, "Venir voir")?;
        request.message.channel = Channel::Web;
        let without = opening::open(db, request.clone(), &Actor::System, now);
        let site = Some(others.id);
        let foreign = opening::open(db, NewTicket { site, ..request.clone() }, &Actor::System, now);
        let site = Some(own.id);
        let with = opening::open(db, NewTicket { site, ..request }, &Actor::System, now);
        Ok((without, foreign, with))
    });
    let says = |outcome: Result<opening::Opened>, key: &str| match outcome {
        Err(Error::Invalid(errors)) => errors.of("site").is_some_and(|message| message.key == key),
        _ => false,
    };
    assert!(says(without, "site-required"));
    assert!(says(foreign, "site-unknown"));
    assert!(with.is_ok());
}

#[test]
fn a_08_a_ticket_that_changes_its_organisation_takes_nobody_along() {
    let (app, cast) = at_work();
    let ticket = app.answer(&app.ticket(cast.claire, "Écran noir"), cast.lea, "Oui ?");
    let (to, by, now) = (app.again(&ticket), app.actor(cast.lea), app.now());
    let refused = {
        let (to, by) = (to.clone(), by.clone());
        app.write(move |db| Ok(moving::to_requester(db, &to, cast.zoe, cast.arnaud, &by, now)))
    };
    assert!(matches!(refused, Err(Error::Invalid(_))), "she is no member there");
    app.write(move |db| moving::to_requester(db, &to, cast.zoe, cast.brun, &by, now));
    let moved = app.again(&ticket);
    assert_eq!((moved.requester_id, moved.organisation_id), (cast.zoe, cast.brun));
    let (claire, zoe) = (app.actor(cast.claire), app.actor(cast.zoe));
    assert!(!app.read(|db| ticket::is_visible(db, &claire, ticket.id)));
    assert!(app.read(|db| ticket::is_visible(db, &zoe, ticket.id)));
    let ledger = app.read(|db| accord::audit::list(db, None, 100));
    assert!(ledger.iter().any(|(record, _)| record.kind == "ticket_moved"));
}

#[test]
fn every_change_records_its_event_and_its_job_together() {
    let (app, cast) = at_work();
    let ticket = app.ticket(cast.claire, "Écran noir");
    let (events, waiting) = app.read(|db| {
        let events: i64 = ticket_events::table.filter(ticket_events::ticket_id.eq(ticket.id)).count().get_result(db)?;
        Ok((events, accord::queue::counts(db)?.0))
    });
    let (to, by, now) = (app.again(&ticket), app.actor(cast.lea), app.now());
    app.write(move |db| tags::add(db, &to, "Écran", &by, now));
    let (more, also) = app.read(|db| {
        let events: i64 = ticket_events::table.filter(ticket_events::ticket_id.eq(ticket.id)).count().get_result(db)?;
        Ok((events, accord::queue::counts(db)?.0))
    });
    assert_eq!((more, also), (events + 1, waiting + 1));
    let (to, by) = (app.again(&ticket), app.actor(cast.marc));
    let refused = app.write(move |db| Ok(tags::add(db, &to, "autre", &by, now)));
    assert!(matches!(refused, Err(Error::Forbidden)));
}

fn walk(app: &TestApp, agent: &StaffActor, view: View, queue: Option<QueueId>, size: i64) -> Vec<TicketId> {
    let mut ids = Vec::new();
    let mut after: Option<ListCursor> = None;
    loop {
        let page = app.read(|db| listing::page(db, agent, view, queue, after, size));
        assert!(page.rows.len() as i64 <= size);
        ids.extend(page.rows.iter().map(|row| row.id));
        match page.next {
            Some(next) => after = ListCursor::parse(&next.to_text()),
            None => return ids,
        }
    }
}

/// Forty tickets of all states in two queues, some at the same moment.
fn a_full_desk(app: &TestApp, cast: &Cast) -> Vec<Ticket> {
    let mut made = Vec::new();
    for number in 0..40 {
        if number % 3 != 0 {
            app.clock.advance(TimeDelta::minutes(7));
        }
        let kind = if number % 2 == 0 { QueueKind::Support } else { QueueKind::Sales };
        let ticket = app.ticket_in(if number % 5 == 0 { cast.zoe } else { cast.claire }, kind, "Une question");
        let (to, by, now) = (ticket.clone(), app.actor(cast.hugo), app.now());
        let (to_lea, lea) = (number % 4 == 1, Some(cast.lea));
        app.write(move |db| if to_lea { assignment::assign(db, &to, lea, &by, now) } else { Ok(()) });
        if number % 7 == 2 || number % 7 == 3 {
            app.answer(&ticket, cast.hugo, "Voilà.");
        }
        if number % 7 == 3 {
            let (to, by) = (app.again(&ticket), app.actor(cast.hugo));
            app.write(move |db| status::set(db, &to, Status::Closed, &by, now));
        }
        made.push(app.again(&ticket));
    }
    made
}

#[test]
fn pages_of_every_view_hold_each_ticket_once_in_the_order_of_the_wait() {
    let (app, cast) = at_work();
    let (lea, hugo) = (staff(&app, cast.lea), staff(&app, cast.hugo));
    let lea_in_support = StaffActor { queues: vec![], ..lea.clone() };
    assert!(a_full_desk(&app, &cast).len() == 40);
    assert!(walk(&app, &lea_in_support, View::All, None, 7).is_empty(), "who works in no queue sees nothing");
    let all: Vec<Ticket> = app.read(|db| Ok(access::visible_to(&Actor::System).load::<Ticket>(db)?));
    let support = app.read(|db| queues::find_by_kind(db, QueueKind::Support)).unwrap().id;
    let only_support = StaffActor { queues: vec![support], ..lea.clone() };
    for agent in [&lea, &hugo, &only_support] {
        for view in View::ALL {
            for queue in [None, Some(support)] {
                let in_view = |ticket: &&Ticket| {
                    agent.works_in(ticket.queue_id)
                        && queue.is_none_or(|queue| queue == ticket.queue_id)
                        && match view {
                            View::Mine => ticket.assignee_id == Some(agent.person) && ticket.status != Status::Closed,
                            View::Unassigned => ticket.assignee_id.is_none() && ticket.status != Status::Closed,
                            View::WaitingForUs => ticket.status == Status::WaitingForUs,
                            View::WaitingForCustomer => ticket.status == Status::WaitingForCustomer,
                            View::Closed => ticket.status == Status::Closed,
                            View::All => true,
                        }
                };
                let mut expected: Vec<&Ticket> = all.iter().filter(in_view).collect();
                let merges = *view == View::Unassigned;
                expected.sort_by_key(|ticket| {
                    let rank = match ticket.status {
                        _ if merges => 0,
                        Status::WaitingForUs => 0,
                        Status::WaitingForCustomer => 1,
                        Status::Closed => 2,
                    };
                    let wait = ticket.waiting_since.micros();
                    let latest_first = ticket.status == Status::Closed;
                    (
                        rank,
                        if latest_first { -wait } else { wait },
                        if latest_first { -ticket.id.0 } else { ticket.id.0 },
                    )
                });
                let expected: Vec<TicketId> = expected.iter().map(|ticket| ticket.id).collect();
                for size in [1, 7, 25, 100] {
                    assert_eq!(walk(&app, agent, *view, queue, size), expected, "{view} {size}");
                }
                let count = app.read(|db| listing::count(db, agent, *view, queue));
                assert_eq!(count, (expected.len() as i64).min(COUNTED_TO + 1), "{view}");
            }
        }
    }
}

#[test]
fn a_customer_s_list_has_what_they_may_see_the_latest_first() {
    let (app, cast) = at_work();
    let made = a_full_desk(&app, &cast);
    let (to, now) = (made[5].clone(), app.now());
    app.write(move |db| participants::approve(db, &to, cast.ivan, &Actor::System, now));
    for person in [cast.claire, cast.paul, cast.zoe, cast.ivan] {
        let actor = app.actor(person);
        let mut visible: Vec<Ticket> = app.read(|db| Ok(access::visible_to(&actor).load::<Ticket>(db)?));
        visible.sort_by_key(|ticket| std::cmp::Reverse((ticket.last_message_at, ticket.id)));
        for progress in [Progress::Open, Progress::Closed] {
            let is_closed = progress == Progress::Closed;
            let expected = visible.iter().filter(|ticket| (ticket.status == Status::Closed) == is_closed);
            let expected: Vec<TicketId> = expected.map(|ticket| ticket.id).collect();
            let mut found = Vec::new();
            let mut after = None;
            loop {
                let page = app.read(|db| listing::requests(db, &actor, Scope::Everything, progress, after, 6));
                found.extend(page.rows.iter().map(|row| row.id));
                match page.next {
                    Some(next) => after = Some(next.cursor()),
                    None => break,
                }
            }
            assert_eq!(found, expected, "{person:?} {progress:?}");
        }
    }
}

#[test]
fn other_tickets_are_those_that_the_agent_may_see() {
    let (app, cast) = at_work();
    let one = app.ticket(cast.claire, "Un");
    app.ticket_in(cast.claire, QueueKind::Sales, "Deux");
    app.ticket(cast.paul, "Trois");
    let lea = app.actor(cast.lea);
    let (hers, theirs) =
        app.read(|db| Ok((related::of_requester(db, &lea, &one)?, related::of_organisation(db, &lea, &one)?)));
    assert_eq!(hers.iter().map(|brief| brief.subject.as_str()).collect::<Vec<_>>(), ["Deux"]);
    assert_eq!(theirs.iter().map(|brief| brief.subject.as_str()).collect::<Vec<_>>(), ["Trois"]);
    let only_support = Actor::Staff(StaffActor { queues: vec![one.queue_id], ..staff(&app, cast.lea) });
    assert!(app.read(|db| related::of_requester(db, &only_support, &one)).is_empty());
}
