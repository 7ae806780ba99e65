//! Consistent copies of an embedded database, for backups (DB-09): written by SQLite itself while others read and write,
//! rid of what is not to leave the machine, and looked at whole. The live file is never copied as a file.

use std::fs::File;
use std::path::Path;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use crate::config::database::DatabaseUrl;
use crate::db::DbConnection;
use crate::db::connection::{Role, open};
use crate::error::{Error, Result};

/// Rows of a table, all or some, that a copy is to be without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Omitted {
    pub table: &'static str,
    /// Which of its rows, as SQL; none for all of them.
    pub rows: Option<&'static str>,
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

/// Writes the database as it is at this moment to `copy`, a file that is not there yet. It is read on a connection of its
/// own, for as long as it takes; nobody who reads or writes waits for it.
pub fn write(url: &DatabaseUrl, copy: &Path) -> Result<()> {
    if !url.is_sqlite() {
        return Err(Error::internal("a server's database is copied by its own tools"));
    }
    let mut db = open(url, Role::Reader).map_err(anyhow::Error::new)?;
    // What may only read may not write another file either.
    db.batch_execute("PRAGMA query_only = OFF")?;
    vacuum_into(&mut db, copy)
}

/// Writes the copy `from` once more to `to`, without what is omitted and without a trace of it in free pages.
pub fn write_without(from: &Path, omitted: &[Omitted], to: &Path) -> Result<()> {
    let mut db = open_copy(from)?;
    // Whatever happens to this file it is thrown away, so nothing is kept to mend it with; what goes is overwritten.
    db.batch_execute("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA secure_delete = ON")?;
    for Omitted { table, rows } in omitted {
        let rows = rows.unwrap_or("TRUE");
        db.batch_execute(&format!("DELETE FROM {table} WHERE {rows}"))?;
    }
    vacuum_into(&mut db, to)?;
    File::open(to).and_then(|file| file.sync_all()).map_err(anyhow::Error::new)?;
    Ok(())
}

/// Looks at every page, index and reference of a copy; an error names the first fault.
pub fn verify(copy: &Path) -> Result<()> {
    let mut db = open_copy(copy)?;
    let faults: Vec<Line> =
        diesel::sql_query("SELECT integrity_check AS line FROM pragma_integrity_check").load(&mut db)?;
    if let Some(fault) = faults.iter().find(|fault| fault.line != "ok") {
        return Err(Error::internal(format!("the copy is damaged: {}", fault.line)));
    }
    let broken: Count =
        diesel::sql_query("SELECT count(*) AS count FROM pragma_foreign_key_check").get_result(&mut db)?;
    if broken.count > 0 {
        return Err(Error::internal(format!("{} references of the copy lead nowhere", broken.count)));
    }
    Ok(())
}

/// A copy, to be read.
pub fn open_to_read(copy: &Path) -> Result<DbConnection> {
    let mut db = open_copy(copy)?;
    db.batch_execute("PRAGMA query_only = ON")?;
    Ok(DbConnection::Sqlite(db))
}

/// A copy has not the settings that the live file has: one process uses it, and for a while only.
fn open_copy(copy: &Path) -> Result<SqliteConnection> {
    let mut db = SqliteConnection::establish(&copy.to_string_lossy()).map_err(anyhow::Error::new)?;
    db.batch_execute("PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; PRAGMA foreign_keys = OFF")?;
    Ok(db)
}

fn vacuum_into(db: &mut impl SimpleConnection, copy: &Path) -> Result<()> {
    let copy = copy.to_str().ok_or_else(|| Error::internal("the name of a copy must be text"))?;
    Ok(db.batch_execute(&format!("VACUUM INTO '{}'", copy.replace('\'', "''")))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn database(folder: &Path) -> DatabaseUrl {
        let url = DatabaseUrl::Sqlite(folder.join("a.sqlite"));
        let mut db = open(&url, Role::Migrator).unwrap();
        db.batch_execute(
            "CREATE TABLE parts (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL);
             CREATE TABLE uses (part INTEGER NOT NULL REFERENCES parts (id));
             PRAGMA user_version = 7;
             INSERT INTO parts (name) VALUES ('a canary sings here'), ('wheel'), ('another canary sings');
             INSERT INTO uses VALUES (2)",
        )
        .unwrap();
        url
    }

    fn names(copy: &Path) -> Vec<String> {
        let mut db = open_copy(copy).unwrap();
        let lines: Vec<Line> = diesel::sql_query("SELECT name AS line FROM parts ORDER BY id").load(&mut db).unwrap();
        lines.into_iter().map(|line| line.line).collect()
    }

    #[test]
    fn db_09_a_copy_is_made_beside_a_writer_and_holds_nothing_of_what_is_omitted() {
        let folder = tempfile::tempdir().unwrap();
        let url = database(folder.path());
        let mut writer = open(&url, Role::Writer).unwrap();
        writer.batch_execute("BEGIN IMMEDIATE; INSERT INTO parts (name) VALUES ('not committed')").unwrap();
        let (first, second) = (folder.path().join("it's first"), folder.path().join("second"));
        write(&url, &first).unwrap();
        writer.batch_execute("COMMIT").unwrap();
        assert_eq!(names(&first), ["a canary sings here", "wheel", "another canary sings"]);

        let omitted = [Omitted { table: "parts", rows: Some("name LIKE '%canary%'") }];
        write_without(&first, &omitted, &second).unwrap();
        verify(&second).unwrap();
        assert_eq!(names(&second), ["wheel"]);
        for file in [&first, &second] {
            let bytes = std::fs::read(file).unwrap();
            assert!(!bytes.windows(6).any(|window| window == b"canary"), "{file:?}");
        }
        let mut db = open_copy(&second).unwrap();
        let kept: Count =
            diesel::sql_query("SELECT user_version AS count FROM pragma_user_version").get_result(&mut db).unwrap();
        assert_eq!(kept.count, 7);
    }

    #[test]
    fn db_09_a_copy_that_is_damaged_or_refers_to_what_is_not_there_is_known() {
        let folder = tempfile::tempdir().unwrap();
        let url = database(folder.path());
        let (first, second) = (folder.path().join("first"), folder.path().join("second"));
        write(&url, &first).unwrap();
        verify(&first).unwrap();
        write_without(&first, &[Omitted { table: "parts", rows: None }], &second).unwrap();
        let refused = format!("{:#}", verify(&second).unwrap_err());
        assert!(refused.contains("1 references"), "{refused}");

        write(&url, &folder.path().join("third")).unwrap();
        let mut bytes = std::fs::read(folder.path().join("third")).unwrap();
        let end = bytes.len();
        bytes[end - 40..].fill(0x5a);
        std::fs::write(folder.path().join("third"), bytes).unwrap();
        assert!(verify(&folder.path().join("third")).is_err());
    }

    #[test]
    fn a_copy_of_a_server_is_refused_and_nothing_is_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let copy = folder.path().join("copy");
        let server = DatabaseUrl::Postgres("postgres://localhost/accord".to_owned());
        assert!(write(&server, &copy).is_err());
        std::fs::write(&copy, "something else").unwrap();
        assert!(write(&database(folder.path()), &copy).is_err());
        assert_eq!(std::fs::read(&copy).unwrap(), b"something else");
    }
}
