//! A mail of 20 KiB from the journal to its ticket, in CPU time of the whole process, and what a durable commit of the
//! same bytes takes SQLite alone: `cargo bench --bench in_process`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::cpu::{self, CpuTime};
use crate::{desk, mails};
use accord::app::App;
use accord::clock::Clock;
use accord::config::{self, Overrides};
use accord::db::connection::{Role, open};
use accord::db::{Database, DbConnection};
use accord::journal::{self, NewMail, Recipient, Way};
use accord::keys::Keys;
use accord::mail::transport::{MailMemory, Transport};
use accord::teams::mailboxes;
use accord::worker::incoming_mail;
use accord::worker::threads::{self, Step};
use criterion::Criterion;
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::Binary;

fn app(folder: &std::path::Path) -> Arc<App> {
    desk::copy_to(&desk::kept(1_000), folder);
    let overrides = Overrides { data: Some(folder.to_owned()), ..Overrides::default() };
    let config = config::parse("", BTreeMap::new(), &overrides).expect("settings");
    let database = Database::open(&config.database.url, 4).expect("a desk");
    App::assemble(config, Clock::system(), database, Keys::ephemeral(), Transport::Memory(MailMemory::default()), None)
        .expect("an application")
}

/// Puts `count` mails into the journal, each from somebody else.
fn hand_over(app: &App, next: &mut usize, count: u64) {
    for _ in 0..count {
        *next += 1;
        let raw = mails::mail(*next);
        let now = app.clock.now();
        app.database
            .write_now(move |db| {
                let mailbox = mailboxes::default(db)?.id;
                let recipient = Recipient { mailbox, address: desk::SUPPORT.to_owned() };
                let mail = NewMail::new(vec![recipient], "somebody@acme.example".to_owned(), Way::Lmtp, raw.clone());
                journal::accept(db, &mail, now)
            })
            .expect("a journal");
    }
}

pub fn ingest(criterion: &mut Criterion<CpuTime>) {
    let folder = tempfile::tempdir().expect("a folder");
    let app = app(folder.path());
    let mut next = 0;
    let mut group = criterion.benchmark_group("ingest, CPU");
    group.sample_size(20);
    group.bench_function("a mail of 20 KiB from journal to ticket", |bencher| {
        bencher.iter_custom(|mails| {
            hand_over(&app, &mut next, mails);
            let before = cpu::used();
            let mut processed = 0;
            while let Step::Worked(pieces) = incoming_mail::process_next(&app, "bench").expect("a worker") {
                processed += pieces;
            }
            let used = cpu::used() - before;
            assert_eq!(processed, mails);
            used
        });
    });
    while threads::run_next_job(&app, "bench").expect("a worker") != Step::Idle {}
    group.bench_function("what follows: the index, the acknowledgement, the outbox", |bencher| {
        bencher.iter_custom(|mails| {
            hand_over(&app, &mut next, mails);
            while incoming_mail::process_next(&app, "bench").expect("a worker") != Step::Idle {}
            let before = cpu::used();
            while threads::run_next_job(&app, "bench").expect("a worker") != Step::Idle {}
            cpu::used() - before
        });
    });
    group.finish();
}

pub fn bare_commit(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a folder");
    let url = accord::config::database::DatabaseUrl::Sqlite(folder.path().join("bare.sqlite"));
    let mut migrator = open(&url, Role::Migrator).expect("a database");
    migrator.batch_execute("CREATE TABLE mails (id INTEGER PRIMARY KEY, raw BLOB NOT NULL)").expect("a table");
    let DbConnection::Sqlite(mut sqlite) = open(&url, Role::Writer).expect("a database") else {
        unreachable!("the address is of SQLite")
    };
    let raw = mails::mail(0);
    criterion.bench_function("bare SQLite: a durable commit of 20 KiB", |bencher| {
        bencher.iter(|| {
            diesel::sql_query("INSERT INTO mails (raw) VALUES (?)")
                .bind::<Binary, _>(&raw)
                .execute(&mut sqlite)
                .expect("a commit")
        });
    });
}

/// Measures CPU time instead of the time on the wall.
pub fn cpu_time() -> Criterion<CpuTime> {
    Criterion::default().with_measurement(CpuTime).measurement_time(Duration::from_secs(8))
}
