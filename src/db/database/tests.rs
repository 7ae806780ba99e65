//! Facts about reading, and what the tests of the writer share.

use std::sync::Mutex;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::*;

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

/// How many rows stand in the table of [`fresh`].
pub(super) fn count(database: &Database) -> i64 {
    database.read_now(count_in).unwrap()
}

/// The same, within a transaction.
pub(super) fn count_in(db: &mut DbConnection) -> Result<i64> {
    Ok(diesel::sql_query("SELECT count(*) AS count FROM t").get_result::<Count>(db)?.count)
}

/// A database with one empty table of numbers, `t`.
pub(super) fn fresh() -> (tempfile::TempDir, Database) {
    fresh_with(sqlite_writer::IDLE)
}

/// The same, whose log is emptied after so long without work.
pub(super) fn fresh_with(idle: Duration) -> (tempfile::TempDir, Database) {
    let folder = tempfile::tempdir().unwrap();
    let url = DatabaseUrl::Sqlite(folder.path().join("a.sqlite"));
    open(&url, Role::Migrator).unwrap().batch_execute("CREATE TABLE t (id BIGINT UNIQUE)").unwrap();
    let database = Database::open_with(&url, 2, idle).unwrap();
    (folder, database)
}

#[test]
fn a_reader_s_transaction_cannot_write() {
    let (_folder, database) = fresh();
    assert!(database.read_now(|db| Ok(db.batch_execute("INSERT INTO t VALUES (1)")?)).is_err());
    assert_eq!(count(&database), 0);
}

#[test]
fn db_05_db_06_a_transaction_that_takes_too_long_is_told() {
    assert!(said_while(|| warn_of_length("change", LONGEST_CHANGE, LONGEST_CHANGE)).is_empty());
    let said = said_while(|| warn_of_length("change", Duration::from_millis(251), LONGEST_CHANGE));
    assert!(said.contains("WARN") && said.contains("A transaction took too long") && said.contains("251"), "{said}");
    let (_folder, database) = fresh();
    let said = said_while(|| database.read_now(|_| Ok(())).unwrap());
    assert!(said.is_empty(), "{said}");
}

/// What is logged meanwhile, on this thread.
fn said_while(act: impl FnOnce()) -> String {
    #[derive(Clone, Default)]
    struct Heard(Arc<Mutex<Vec<u8>>>);
    impl std::io::Write for Heard {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let heard = Heard::default();
    let writer = heard.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(move || writer.clone())
        .with_ansi(false)
        .with_max_level(tracing::Level::WARN)
        .finish();
    tracing::subscriber::with_default(subscriber, act);
    let bytes = heard.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}
