//! A desk of as many tickets as a measurement wants. A thousand tickets are opened, answered and indexed by the program's
//! own verbs; the rest are copies of them, made by the database. A filled desk is kept in `target/tmp/` and found there
//! the next time.

use std::path::{Path, PathBuf};

use accord::access::{self, Actor, StaffActor};
use accord::clock::UtcTime;
use accord::config::database::DatabaseUrl;
use accord::db::connection::{Role, open};
use accord::db::types::{EventId, OrganisationId, PersonId, QueueId};
use accord::db::{Database, DbConnection, migrations};
use accord::error::Result;
use accord::i18n::Locale;
use accord::mail::address::EmailAddress;
use accord::people::memberships::Rights;
use accord::people::organisations::{self, Contract, Information};
use accord::people::person::{self, NewPerson, Origin};
use accord::people::roles::{self, BuiltinRole};
use accord::people::staff;
use accord::search;
use accord::teams::{defaults, members, queues};
use accord::tickets::messages::{self, Channel, CustomerMessage, NewMessage, NewReply, Words};
use accord::tickets::opening::{self, NewTicket};
use accord::tickets::status::{self, Status};
use accord::tickets::{TicketReference, events, ticket};
use chrono::TimeDelta;
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

/// Tickets that the program's own verbs open.
const ORIGINALS: usize = 1_000;
/// Up to this many tickets each has its three messages, in the index too; beyond, lists alone are measured.
const WITH_MESSAGES: usize = 100_000;
/// Where support's mail arrives.
pub const SUPPORT: &str = "support@vendor.example";
const SUPERVISOR: &str = "personne1002@client.example";
const AGENT: &str = "personne1001@client.example";
/// Words of the messages: the first are in every third message, the last in one of some hundred.
const WORDS: &str = "bonjour écran imprimante facture réseau compte licence serveur erreur message connexion utilisateur \
    fichier sauvegarde installation version rapport export clavier module contrat paiement adresse société commande \
    livraison produit courrier pièce certificat horloge graphique tableau filtre recherche agenda stock inventaire \
    client fournisseur banque virement échéance relance devis remise taxe comptable clôture exercice journal balance";

/// The filled desk.
pub struct Desk {
    pub database: Database,
    /// Works in two of the seven queues.
    pub agent: StaffActor,
    /// Sees all.
    pub supervisor: StaffActor,
    /// A ticket with 50 messages.
    pub long: String,
    pub now: UtcTime,
}

fn begun() -> UtcTime {
    UtcTime::parse_rfc3339("2026-01-05T08:00:00Z").expect("a time")
}

fn url(folder: &Path) -> DatabaseUrl {
    DatabaseUrl::Sqlite(folder.join("accord.sqlite"))
}

/// The folder of a desk with `tickets` tickets, filled if it is not there yet.
pub fn kept(tickets: usize) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("desk-{tickets}"));
    if !folder.join("long").exists() {
        drop(std::fs::remove_dir_all(&folder));
        std::fs::create_dir_all(&folder).expect("a folder");
        fill(&folder, tickets);
    }
    folder
}

/// Opens the desk in `folder`.
pub fn at(folder: PathBuf) -> Desk {
    let database = Database::open(&url(&folder), 8).expect("a desk");
    let staff = |address: &str| {
        let address = EmailAddress::parse(address).expect("an address");
        let actor = database.read_now(|db| {
            let person = person::find_by_address(db, &address)?.expect("staff was made");
            access::actor_of(db, person.id)
        });
        match actor.expect("staff") {
            Actor::Staff(staff) => staff,
            _ => unreachable!("staff was made"),
        }
    };
    Desk {
        agent: staff(AGENT),
        supervisor: staff(SUPERVISOR),
        long: std::fs::read_to_string(folder.join("long")).expect("the long ticket's reference"),
        now: begun().plus(TimeDelta::days(300)),
        database,
    }
}

/// A copy of the desk, for a measurement that writes.
pub fn copy_to(kept: &Path, folder: &Path) {
    for entry in std::fs::read_dir(kept).expect("a desk") {
        let entry = entry.expect("a file");
        std::fs::copy(entry.path(), folder.join(entry.file_name())).expect("a copy");
    }
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

/// Some forty words, the early ones of the list more often than the late ones; the same for the same number.
fn text(number: usize) -> String {
    let words: Vec<&str> = WORDS.split_whitespace().collect();
    let mut state = number as u64 * 2_654_435_761 + 1;
    let mut text = String::from("Bonjour,\n\n");
    for place in 0..40 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let draw = (state >> 33) as usize % (words.len() * words.len());
        text.push_str(words[words.len() - 1 - draw.isqrt()]);
        text.push_str(if place % 12 == 11 { ".\n" } else { " " });
    }
    text.push_str("\nClaire\n");
    text
}

fn fill(folder: &Path, tickets: usize) {
    let url = url(folder);
    migrations::run(&mut open(&url, Role::Migrator).expect("a database")).expect("migrations");
    let database = Database::open(&url, 2).expect("a pool");
    let long = database.write_now(move |db| open_originals(db, tickets)).expect("tickets");
    drop(database);
    let DbConnection::Sqlite(mut sqlite) = open(&url, Role::Migrator).expect("a database") else {
        unreachable!("the address is of SQLite")
    };
    if tickets > ORIGINALS {
        multiply(&mut sqlite, (tickets / ORIGINALS) as i64, tickets <= WITH_MESSAGES).expect("copies");
    }
    sqlite.batch_execute("PRAGMA wal_checkpoint(TRUNCATE)").expect("a checkpoint");
    std::fs::write(folder.join("long"), long).expect("a file");
}

fn open_originals(db: &mut DbConnection, tickets: usize) -> Result<String> {
    let start = begun();
    roles::create_builtin(db, start)?;
    let support = EmailAddress::parse(SUPPORT).expect("an address");
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
    // There is always somebody who could let others in.
    staff_of(1_000, BuiltinRole::Administrator)?;
    let agent = staff_of(1_001, BuiltinRole::Agent)?;
    let supervisor = staff_of(1_002, BuiltinRole::Supervisor)?;
    let queues = queues::all(db)?;
    for queue in &queues[..2] {
        members::add(db, queue, agent, None, start)?;
    }
    let queues: Vec<QueueId> = queues.iter().map(|queue| queue.id).collect();
    let by = access::actor_of(db, supervisor)?;
    let count = tickets.min(ORIGINALS);
    let step = TimeDelta::seconds(300 * 86_400 / count as i64);
    for number in 0..count {
        let at = start.plus(step * number as i32);
        let (requester, company) = customers[number * 7 % customers.len()];
        let said = |text: &str| NewMessage::text(Channel::Email, requester, "Claire", "claire@client.example", text);
        let queue = queues[number % (queues.len() - 1)];
        let first = said(&text(number * 3));
        let new = NewTicket::new(company, requester, queue, "L’écran reste noir au démarrage", first);
        let opened = opening::open(db, new, &Actor::System, at)?.ticket;
        let reply = NewReply {
            words: Words::on_page(&text(number * 3 + 1)),
            attachments: Vec::new(),
            seen: opened.message_count,
            status: Status::WaitingForCustomer,
            mail_id: None,
            ingest: None,
        };
        messages::add_reply(db, &opened, reply, &by, at)?;
        let ticket = ticket::by_id(db, opened.id)?;
        let answer = CustomerMessage::ordinary(said(&text(number * 3 + 2)));
        messages::add_customer_message(db, &ticket, answer, &Actor::System, at)?;
        // Nine of ten are closed, as on a desk of some years.
        let to = match number % 20 {
            0 => continue,
            1 => Status::WaitingForCustomer,
            _ => Status::Closed,
        };
        let ticket = ticket::by_id(db, opened.id)?;
        status::set(db, &ticket, to, &Actor::System, at)?;
    }
    let long = open_long(db, customers[0], queues[0], &by, start.plus(TimeDelta::days(299)))?;
    // What a worker would have done by now, without the mails.
    let last = diesel::sql_query("SELECT max(id) AS number FROM ticket_events").get_result::<Number>(db)?.number;
    for id in 1..=last {
        if let Some(event) = events::find(db, EventId(id))? {
            search::follow_event(db, &event)?;
        }
    }
    db.batch_execute("DELETE FROM jobs")?;
    Ok(long)
}

fn open_long(
    db: &mut DbConnection,
    (requester, company): (PersonId, OrganisationId),
    queue: QueueId,
    by: &Actor,
    now: UtcTime,
) -> Result<String> {
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
        messages::add_reply(db, &ticket, reply, by, now)?;
        let ticket = ticket::by_id(db, opened.id)?;
        messages::add_customer_message(db, &ticket, CustomerMessage::ordinary(said()), &Actor::System, now)?;
    }
    let ticket = ticket::by_id(db, opened.id)?;
    messages::add_customer_message(db, &ticket, CustomerMessage::ordinary(said()), &Actor::System, now)?;
    Ok(opened.reference)
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

#[derive(QueryableByName)]
struct Column {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    kind: String,
}

#[diesel::declare_sql_function]
extern "SQL" {
    fn fresh_reference() -> Text;
}

/// Copies every ticket until there are `times` as many, each with names of its own and some seconds later.
fn multiply(sqlite: &mut SqliteConnection, times: i64, with_messages: bool) -> QueryResult<()> {
    fresh_reference_utils::register_nondeterministic_impl(sqlite, || TicketReference::random("ACC").to_string())?;
    sqlite.batch_execute("PRAGMA synchronous = OFF; PRAGMA cache_size = -400000")?;
    let tables: &[&str] = if with_messages {
        &["tickets", "ticket_participants", "ticket_messages", "ticket_events", "search_documents"]
    } else {
        &["tickets"]
    };
    for table in tables {
        let columns: Vec<Column> =
            diesel::sql_query(format!("SELECT name, type AS kind FROM pragma_table_info('{table}')")).load(sqlite)?;
        let last = diesel::sql_query(format!("SELECT max(id) AS number FROM {table}")).get_result::<Number>(sqlite)?;
        let names = columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>().join(", ");
        let values = columns
            .iter()
            .map(|Column { name, kind }| match (*table, name.as_str(), kind.as_str()) {
                (_, "id", _) => format!("id + k * {}", last.number),
                (_, "ticket_id", _) => "ticket_id + k * (SELECT tickets FROM spans)".to_owned(),
                (_, "message_id", _) => "message_id + k * (SELECT messages FROM spans)".to_owned(),
                ("tickets", "reference", _) => "fresh_reference()".to_owned(),
                ("tickets", "handle", _) => "abs(random() / 2)".to_owned(),
                (_, "handle", _) => "lower(hex(randomblob(8)))".to_owned(),
                (_, _, "TIMESTAMP") => format!("datetime({name}, (k * 7) || ' seconds')"),
                _ => name.clone(),
            })
            .collect::<Vec<_>>()
            .join(", ");
        if *table == "tickets" {
            sqlite.batch_execute(
                "CREATE TEMP TABLE spans AS SELECT (SELECT max(id) FROM tickets) AS tickets, \
                 (SELECT max(id) FROM ticket_messages) AS messages",
            )?;
        }
        sqlite.batch_execute(&format!(
            "WITH RECURSIVE copies (k) AS (SELECT 1 UNION ALL SELECT k + 1 FROM copies WHERE k + 1 < {times}) \
             INSERT INTO {table} ({names}) SELECT {values} FROM copies CROSS JOIN \
             (SELECT * FROM {table} WHERE id <= {}) AS originals",
            last.number
        ))?;
    }
    Ok(())
}
