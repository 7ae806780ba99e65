//! The application in process: a database of its own, mail in memory, a clock that stands until it is moved.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use accord::app::App;
use accord::clock::{Clock, UtcTime};
use accord::config::database::DatabaseUrl;
use accord::config::{self, Overrides};
use accord::db::{Database, DbConnection};
use accord::error::Result;
use accord::keys::Keys;
use accord::mail::transport::{MailFolder, MailMemory, Transport};
use accord::web::guard::guard;
use accord::web::server::Site;
use accord::worker::threads::{Step, WORK};
use actix_web::HttpServer;
use actix_web::middleware::from_fn;
use chrono::TimeDelta;
use diesel::connection::SimpleConnection;
use diesel::prelude::*;

use super::browser::Browser;
use super::database::TestDatabase;

/// Where the application believes to be reached.
pub const BASE_URL: &str = "http://desk.example";
/// Where answers to its mails arrive, unless its settings say otherwise.
pub const REPLY_DOMAIN: &str = "reply.desk.example";

/// One installation for one test.
pub struct TestApp {
    pub app: Arc<App>,
    pub clock: Clock,
    // The order of these two matters: connections close before the database goes.
    _database: TestDatabase,
    _folder: tempfile::TempDir,
}

impl TestApp {
    /// A migrated, empty installation on Monday 23 November 2026, at nine in the morning in Paris.
    pub fn empty() -> TestApp {
        TestApp::with_settings("")
    }

    /// The same with settings of its own (TOML).
    pub fn with_settings(settings: &str) -> TestApp {
        TestApp::sending(settings, |_| Transport::Memory(MailMemory::default()))
    }

    /// The same, and its mails become files, as while developing.
    pub fn with_mail_in_files() -> TestApp {
        TestApp::sending("", |data| {
            let folder = data.join("mail");
            std::fs::create_dir_all(&folder).unwrap();
            Transport::Files(MailFolder::new(&folder))
        })
    }

    /// The same, and its mails go that way, which may need the folder of the data.
    pub fn sending(settings: &str, transport: impl FnOnce(&Path) -> Transport) -> TestApp {
        let folder = tempfile::tempdir().unwrap();
        let database = TestDatabase::fresh(folder.path());
        let overrides = Overrides { data: Some(folder.path().to_owned()), ..Overrides::default() };
        let mut variables = BTreeMap::from([("ACCORD_HTTP_BASE_URL".to_owned(), BASE_URL.to_owned())]);
        if !settings.contains("reply_domain") {
            variables.insert("ACCORD_MAIL_REPLY_DOMAIN".to_owned(), REPLY_DOMAIN.to_owned());
        }
        if !settings.contains("undo_seconds") {
            // What an agent sends is said at once, unless a test is about taking it back.
            variables.insert("ACCORD_DESK_UNDO_SECONDS".to_owned(), "0".to_owned());
        }
        if !settings.contains("dns_records") {
            // Nobody outside of the test is asked anything.
            let nothing = folder.path().join("no-records");
            std::fs::write(&nothing, "").unwrap();
            variables.insert("ACCORD_MAIL_DNS_RECORDS".to_owned(), nothing.display().to_string());
            variables.insert("ACCORD_MAIL_CHECK_SENDERS".to_owned(), "false".to_owned());
        }
        let mut config = config::parse(settings, variables, &overrides).unwrap();
        config.database.url = database.url.clone();
        let clock = Clock::at(UtcTime::parse_rfc3339("2026-11-23T08:00:00Z").unwrap());
        let pool = Database::open(&config.database.url, 4).unwrap();
        let transport = transport(folder.path());
        let app = App::assemble(config, clock.clone(), pool, Keys::ephemeral(), transport, None).unwrap();
        TestApp { app, clock, _database: database, _folder: folder }
    }

    /// The same installation with another database of SQLite, and everything beside it as it is.
    pub fn with_database_of(self, file: &Path) -> TestApp {
        let mut config = self.app.config.clone();
        config.database.url = DatabaseUrl::Sqlite(file.to_owned());
        // As a restore does it; a copy is in one file.
        let mut alone = SqliteConnection::establish(&file.to_string_lossy()).unwrap();
        alone.batch_execute("PRAGMA journal_mode = WAL").unwrap();
        drop(alone);
        let pool = Database::open(&config.database.url, 4).unwrap();
        let transport = Transport::Memory(MailMemory::default());
        let app = App::assemble(config, self.clock.clone(), pool, self.app.keys.clone(), transport, None).unwrap();
        TestApp { app, ..self }
    }

    /// Queries, as the program makes them.
    pub fn read<T>(&self, query: impl FnOnce(&mut DbConnection) -> Result<T>) -> T {
        self.app.database.read_now(query).unwrap()
    }

    /// One change, as the program makes it.
    pub fn write<T: Send + 'static>(&self, change: impl Fn(&mut DbConnection) -> Result<T> + Send + 'static) -> T {
        self.app.database.write_now(change).unwrap()
    }

    pub fn now(&self) -> UtcTime {
        self.clock.now()
    }

    /// Time passes, and the work that falls due is done.
    pub fn pass(&self, time: TimeDelta) {
        self.clock.advance(time);
        self.run_jobs();
    }

    /// Does all work that is due, as the worker threads would.
    pub fn run_jobs(&self) {
        for _ in 0..100_000 {
            let worked = WORK.iter().any(|(_, _, work)| work(&self.app, "test").unwrap() != Step::Idle);
            if !worked {
                return;
            }
        }
        panic!("the work never ends");
    }

    /// Somebody's browser, not signed in.
    pub async fn browser(&self) -> Browser {
        Browser::open(self.site(), self.app.clone()).await
    }

    /// The same where this is the demonstration.
    pub async fn demonstration(&self) -> Browser {
        Browser::open(Site { demo: true, ..self.site() }, self.app.clone()).await
    }

    /// Serves it on a free port of loopback, for a browser that believes [`BASE_URL`] to be there. It ends with the test.
    pub fn serve(&self) -> SocketAddr {
        let site = self.site();
        let server = HttpServer::new(move || {
            let site = site.clone();
            actix_web::App::new().configure(move |config| site.configure(config)).wrap(from_fn(guard))
        });
        let server = server.workers(1).disable_signals().bind("127.0.0.1:0").unwrap();
        let address = server.addrs()[0];
        actix_web::rt::spawn(server.run());
        address
    }

    fn site(&self) -> Site {
        Site { app: self.app.clone(), log: None, demo: false }
    }
}
