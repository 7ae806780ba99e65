//! The queue page and the ticket page in process, from the queries to the HTML: `cargo bench --bench queue_page`.
//! `ACCORD_BENCH_TICKETS=1000,100000,1000000` says with how many tickets.

use std::hint::black_box;
use std::path::Path;

use accord::access::{self, Actor, StaffActor};
use accord::clock::UtcTime;
use accord::config::database::DatabaseUrl;
use accord::db::connection::{Role, open};
use accord::db::types::{OrganisationId, PersonId, QueueId};
use accord::db::{Database, DbConnection, migrations};
use accord::error::Result;
use accord::i18n::{Locale, Texts};
use accord::mail::address::EmailAddress;
use accord::people::memberships::Rights;
use accord::people::organisations::{self, Contract, Information};
use accord::people::person::{self, NewPerson, Origin};
use accord::people::roles::{self, BuiltinRole};
use accord::people::staff;
use accord::teams::{defaults, members, queues};
use accord::tickets::listing::View;
use accord::tickets::messages::{self, Channel, CustomerMessage, NewMessage, NewReply, Words};
use accord::tickets::opening::{self, NewTicket};
use accord::tickets::status::{self, Status};
use accord::tickets::ticket;
use accord::web::agent::{queue, ticket as ticket_page};
use accord::web::page::Page;
use chrono::TimeDelta;
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};

/// Tickets opened in one transaction while the desk is filled.
const AT_ONCE: usize = 500;

struct Desk {
    database: Database,
    /// Works in two of the seven queues.
    agent: StaffActor,
    /// Sees all.
    supervisor: StaffActor,
    /// A ticket with 50 messages.
    long: String,
    now: UtcTime,
}

fn somebody(db: &mut DbConnection, number: usize, home: OrganisationId, now: UtcTime) -> Result<PersonId> {
    let address = EmailAddress::parse(&format!("personne{number}@client.example")).expect("an address");
    let new = NewPerson {
        first_name: "Claire".to_owned(),
        last_name: format!("Lefèvre {number}"),
        ..NewPerson::at(address, Locale::Fr, Origin::Staff)
    };
    person::create(db, &new, Some((home, Rights::default())), None, now).map(|person| person.id)
}

fn fill(folder: &Path, tickets: usize) -> Desk {
    let url = DatabaseUrl::Sqlite(folder.join("accord.sqlite"));
    migrations::run(&mut open(&url, Role::Migrator).expect("a database")).expect("migrations");
    let database = Database::open(&url, 4).expect("a pool");
    let start = UtcTime::parse_rfc3339("2026-01-05T08:00:00Z").expect("a time");
    let (customers, queues, agent, supervisor) = database
        .write_now(move |db| {
            roles::create_builtin(db, start)?;
            let support = EmailAddress::parse("support@vendor.example").expect("an address");
            defaults::create_defaults(db, &support, Locale::Fr, start)?;
            let mut customers = Vec::new();
            for number in 0..40 {
                let information = Information::named(&format!("Client {number}"), Locale::Fr);
                let company = organisations::create(db, &information, Contract::NONE, None, start)?.id;
                for person in 0..5 {
                    customers.push((somebody(db, number * 5 + person, company, start)?, company));
                }
            }
            let information = Information::named("L’éditeur", Locale::Fr);
            let home = organisations::create(db, &information, Contract::NONE, None, start)?.id;
            let mut staff_of = |number: usize, role: BuiltinRole| {
                let person = somebody(db, number, home, start)?;
                let role = roles::builtin(db, role)?;
                staff::set_roles(db, person, &[role], None, start)?;
                staff::accept_undertaking(db, person, start)?;
                Ok::<_, accord::error::Error>(person)
            };
            let agent = staff_of(1_001, BuiltinRole::Agent)?;
            let supervisor = staff_of(1_002, BuiltinRole::Supervisor)?;
            let queues = queues::all(db)?;
            for queue in &queues[..2] {
                members::add(db, queue, agent, None, start)?;
            }
            let queues: Vec<QueueId> = queues.iter().map(|queue| queue.id).collect();
            Ok((customers, queues, access::actor_of(db, agent)?, access::actor_of(db, supervisor)?))
        })
        .expect("a desk");
    let step = TimeDelta::microseconds(300 * 86_400 * 1_000_000 / tickets as i64);
    for first in (0..tickets).step_by(AT_ONCE) {
        let (customers, queues) = (customers.clone(), queues.clone());
        database
            .write_now(move |db| {
                for number in first..(first + AT_ONCE).min(tickets) {
                    let at = start.plus(step * number as i32);
                    let (requester, company) = customers[number * 7 % customers.len()];
                    let text = "Bonjour, depuis ce matin rien ne s’affiche. Que faire ?";
                    let message = NewMessage::text(Channel::Email, requester, "Claire", "claire@client.example", text);
                    let queue = queues[number % (queues.len() - 1)];
                    let new = NewTicket::new(company, requester, queue, "L’écran reste noir au démarrage", message);
                    let opened = opening::open(db, new, &Actor::System, at)?;
                    // Nine of ten are closed, as on a desk of some years.
                    let to = match number % 20 {
                        0 => continue,
                        1 => Status::WaitingForCustomer,
                        _ => Status::Closed,
                    };
                    status::set(db, &opened.ticket, to, &Actor::System, at)?;
                }
                Ok(())
            })
            .expect("tickets");
    }
    let now = start.plus(TimeDelta::days(300));
    let by = supervisor.clone();
    let (requester, company) = customers[0];
    let queue = queues[0];
    let long = database
        .write_now(move |db| {
            let text = "Bonjour,\n\nvoici la suite, avec https://vendor.example/aide.\n\nClaire\n".repeat(4);
            let said = || NewMessage::text(Channel::Email, requester, "Claire", "claire@client.example", &text);
            let new = NewTicket::new(company, requester, queue, "Une longue affaire", said());
            let opened = opening::open(db, new, &Actor::System, now)?.ticket;
            for _ in 0..24 {
                let ticket = ticket::by_id(db, opened.id)?;
                let reply = NewReply {
                    words: Words::on_page("Bonjour,\n\n- **redémarrez**\n- attendez\n\n`accord check` le dira."),
                    attachments: Vec::new(),
                    seen: ticket.message_count,
                    status: Status::WaitingForCustomer,
                    mail_id: None,
                    ingest: None,
                };
                messages::add_reply(db, &ticket, reply, &by, now)?;
                let ticket = ticket::by_id(db, opened.id)?;
                messages::add_customer_message(db, &ticket, CustomerMessage::ordinary(said()), &Actor::System, now)?;
            }
            let ticket = ticket::by_id(db, opened.id)?;
            messages::add_customer_message(db, &ticket, CustomerMessage::ordinary(said()), &Actor::System, now)?;
            Ok(opened.reference)
        })
        .expect("a long ticket");
    let staff = |actor: Actor| match actor {
        Actor::Staff(staff) => staff,
        _ => unreachable!("staff was made"),
    };
    Desk { database, agent: staff(agent), supervisor: staff(supervisor), long, now }
}

fn page(desk: &Desk) -> Page {
    Page::bare(Texts::in_language(Locale::Fr), desk.now, "Tickets", "L’éditeur")
}

fn pages(criterion: &mut Criterion) {
    #[expect(
        clippy::disallowed_methods,
        reason = "a measurement is told its sizes; the program reads no variable here"
    )]
    let sizes = std::env::var("ACCORD_BENCH_TICKETS").unwrap_or_else(|_| "1000,100000".to_owned());
    let mut group = criterion.benchmark_group("pages");
    for size in sizes.split(',').filter_map(|size| size.trim().parse::<usize>().ok()) {
        let folder = tempfile::tempdir().expect("a folder");
        let desk = fill(folder.path(), size);
        for (who, staff) in [("supervisor", &desk.supervisor), ("agent of two queues", &desk.agent)] {
            for view in [View::WaitingForUs, View::All] {
                let name = format!("queue page, {view}, {who}");
                group.bench_function(BenchmarkId::new(name, size), |bencher| {
                    bencher.iter(|| {
                        let loaded = desk.database.read_now(|db| queue::load(db, staff, view, None, None));
                        black_box(queue::render(page(&desk), loaded.expect("a page"), view))
                    });
                });
            }
        }
        let actor = Actor::Staff(desk.supervisor.clone());
        group.bench_function(BenchmarkId::new("ticket page with 50 messages", size), |bencher| {
            bencher.iter(|| {
                let loaded = desk.database.read_now(|db| ticket_page::load(db, &actor, &desk.long, false));
                black_box(ticket_page::render(page(&desk), loaded.expect("a page"), desk.supervisor.person))
            });
        });
    }
    group.finish();
}

criterion_group!(benches, pages);
criterion_main!(benches);
