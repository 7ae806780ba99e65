//! What many do at once: nothing is lost, nothing happens twice, and the database refuses what the code overlooked.

use accord::db::connection::{Role, open};
use accord::people::notices::MailboxProof;
use accord::people::one_time_tokens::{self, Purpose};
use accord::tickets::messages::{self, Reading};
use accord::tickets::ticket;
use futures_util::future::join_all;

use crate::support::TestApp;
use crate::support::desk::address;

/// Clients that work on one ticket at once, and what each does one after another.
const CLIENTS: usize = 50;
const EACH: usize = 8;

#[actix_web::test]
async fn x_01_fifty_clients_on_one_ticket_lose_nothing() {
    let (app, cast) = TestApp::with_cast();
    let paul = app.read(|db| accord::people::person::by_id(db, cast.paul));
    let ticket = app.given().ticket(&paul, "Écran noir", "Rien ne va plus.");
    let path = format!("/tickets/{}", ticket.reference);
    let lea = app.signed_in(cast.lea).await;
    let id = ticket.id;
    let clients = (0..CLIENTS).map(|client| {
        let (app, lea, path) = (&app, &lea, &path);
        async move {
            let (mut added, mut refused) = (0, 0);
            for round in 0..EACH {
                let (text, tag) = (format!("Note {client}.{round}"), format!("t{client}"));
                let answer = match round % 4 {
                    0 | 1 => lea.upload(&format!("{path}/notes"), &[("note", text.as_str())], &[]).await,
                    2 => lea.post(&format!("{path}/tags"), &[("tag", tag.as_str())]).await,
                    _ => {
                        // As a page that was made a moment ago: often somebody else was faster.
                        let now = app.read(|db| ticket::by_id(db, id));
                        let status = if client % 2 == 0 { "closed" } else { "waiting_for_us" };
                        let version = now.version.to_string();
                        lea.post(&format!("{path}/status"), &[("status", status), ("version", version.as_str())]).await
                    }
                };
                match answer.status.as_u16() {
                    303 if round % 4 < 2 => added += 1,
                    303 => {}
                    409 | 422 => refused += 1,
                    other => panic!("{other}: {}", answer.text()),
                }
            }
            (added, refused)
        }
    });
    let done = join_all(clients).await;
    let added: usize = done.iter().map(|(added, _)| added).sum();
    assert_eq!(added, CLIENTS * EACH / 2, "no note is refused for another's");
    let after = app.read(|db| ticket::by_id(db, ticket.id));
    let said = app.read(|db| messages::of_ticket(db, &after, Reading::Everything, 10_000));
    assert_eq!(said.len(), added + 1);
    assert_eq!(after.message_count as usize, said.len(), "the count is what is there");
    for client in 0..CLIENTS {
        assert!(said.iter().any(|message| message.body_text == format!("Note {client}.1")), "{client}");
    }
}

#[actix_web::test]
async fn u_03_of_fifty_who_use_a_link_at_once_one_gets_in() {
    let (app, cast) = TestApp::with_cast();
    let (now, paul) = (app.now(), cast.paul);
    let proof = MailboxProof { address: address("paul@arnaud.example"), next: String::new() };
    let token = app
        .write(move |db| Ok(one_time_tokens::issue(db, Purpose::SignIn, Some(paul), &proof, now)?.expose().to_owned()));
    let (first, path) = (app.browser().await, format!("/l/sign-in/{token}"));
    let browsers: Vec<_> = (0..50).map(|_| first.with_session(None)).collect();
    let answers = join_all(browsers.iter().map(|browser| browser.post(&path, &[]))).await;
    let entered = answers.iter().filter(|answer| answer.status == 303).count();
    let dead = answers.iter().filter(|answer| answer.status == 404).count();
    assert_eq!((entered, dead), (1, 49));
    assert_eq!(browsers.iter().filter(|browser| browser.session().is_some()).count(), 1);
}

/// what may exist once is guarded by the schema, not by a look before.
#[test]
fn x_03_what_may_be_there_once_cannot_be_stored_twice() {
    let app = TestApp::empty();
    let mut db = open(app.app.database.url(), Role::Migrator).unwrap();
    for (table, columns) in [
        ("ticket_participants", "ticket_id, person_id"),
        ("outbox", "mail_id, recipient"),
        ("person_addresses", "canonical"),
        ("memberships", "person_id, organisation_id"),
        ("idempotency_keys", "person_id, idempotency_key"),
        ("tickets", "reference"),
        ("sessions", "token_hash"),
        ("one_time_tokens", "token_hash"),
        ("api_tokens", "secret_hash"),
        ("mailboxes", "canonical"),
        ("queue_members", "queue_id, person_id"),
        ("ticket_tags", "ticket_id, tag"),
        ("ticket_messages", "ingest_id"),
        ("journal", "mailbox_id, raw_sha256"),
        ("ticket_links", "token_hash"),
    ] {
        assert!(is_unique(&mut db, table, columns), "{table} may hold the same {columns} twice");
    }
}

#[derive(diesel::QueryableByName)]
struct Line {
    #[diesel(sql_type = diesel::sql_types::Text)]
    line: String,
}

/// Whether exactly these columns are a key or unique, also where it is so only for some rows (those with a value).
fn is_unique(db: &mut accord::db::DbConnection, table: &str, columns: &str) -> bool {
    use diesel::prelude::*;
    let query = match db {
        accord::db::DbConnection::Sqlite(_) => format!(
            "SELECT (SELECT group_concat(name, ', ') FROM pragma_index_info(i.name)) AS line \
             FROM pragma_index_list('{table}') i WHERE i.\"unique\" = 1"
        ),
        accord::db::DbConnection::Postgres(_) => format!(
            "SELECT (SELECT string_agg(a.attname::text, ', ' ORDER BY k.place) FROM unnest(i.indkey::smallint[]) \
             WITH ORDINALITY AS k (number, place) JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number) \
             AS line FROM pg_index i WHERE i.indrelid = 'public.{table}'::regclass AND i.indisunique"
        ),
    };
    let found: Vec<Line> = diesel::sql_query(query).load(db).unwrap();
    let wanted: std::collections::BTreeSet<&str> = columns.split(", ").collect();
    found.iter().any(|index| index.line.split(", ").collect::<std::collections::BTreeSet<_>>() == wanted)
}
