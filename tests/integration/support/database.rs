//! A fresh, migrated database for each test: a copy of a template that is migrated once per process.

use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex};

use accord::config::database::DatabaseUrl;
use accord::db::connection::{DbConnection, Role, open};
use accord::db::migrations;
use accord::secret::random_handle;
use diesel::connection::SimpleConnection;

/// A database that is gone when the test is over.
pub struct TestDatabase {
    pub url: DatabaseUrl,
    server: Option<(String, String)>,
}

impl TestDatabase {
    /// On the server that `ACCORD_TEST_DATABASE_URL` names, else a SQLite file in `folder`.
    pub fn fresh(folder: &Path) -> TestDatabase {
        match std::env::var("ACCORD_TEST_DATABASE_URL") {
            Ok(server) => TestDatabase::on_server(&server),
            Err(_) => {
                static TEMPLATE: LazyLock<(tempfile::TempDir, PathBuf)> = LazyLock::new(sqlite_template);
                let path = folder.join("accord.sqlite");
                std::fs::copy(&TEMPLATE.1, &path).unwrap();
                TestDatabase { url: DatabaseUrl::Sqlite(path), server: None }
            }
        }
    }

    fn on_server(server: &str) -> TestDatabase {
        static TEMPLATE: LazyLock<Mutex<Option<String>>> = LazyLock::new(|| Mutex::new(None));
        let mut template = TEMPLATE.lock().unwrap();
        let template = template.get_or_insert_with(|| {
            let name = format!("accord_template_{}", random_handle());
            on(server, &format!("CREATE DATABASE {name} TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C.UTF-8'"));
            let url = DatabaseUrl::Postgres(with_database(server, &name));
            migrations::run(&mut open(&url, Role::Migrator).unwrap()).unwrap();
            name
        });
        let name = format!("accord_test_{}", random_handle());
        on(server, &format!("CREATE DATABASE {name} TEMPLATE {template}"));
        let url = DatabaseUrl::Postgres(with_database(server, &name));
        TestDatabase { url, server: Some((server.to_owned(), name)) }
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        if let Some((server, name)) = &self.server {
            on(server, &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"));
        }
    }
}

fn sqlite_template() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("template.sqlite");
    let mut db = open(&DatabaseUrl::Sqlite(path.clone()), Role::Migrator).unwrap();
    migrations::run(&mut db).unwrap();
    db.batch_execute("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    (folder, path)
}

fn on(server: &str, statement: &str) {
    let DbConnection::Postgres(mut server) = open(&DatabaseUrl::Postgres(server.to_owned()), Role::Writer).unwrap()
    else {
        panic!("ACCORD_TEST_DATABASE_URL must name a PostgreSQL server");
    };
    server.batch_execute(statement).unwrap();
}

/// The same server with another database.
fn with_database(server: &str, name: &str) -> String {
    let mut url = url::Url::parse(server).unwrap();
    url.set_path(name);
    url.to_string()
}
