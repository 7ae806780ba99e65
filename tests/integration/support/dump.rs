//! Everything that a database holds, as text, so that two moments can be compared; and the way back to the first of them,
//! so that one installation serves for thousands of tries.

use std::collections::{BTreeMap, BTreeSet};

use accord::db::DbConnection;
use accord::db::connection::{Role, open};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};

use super::app::TestApp;

/// Each table with its rows, in an order of their own.
pub type Dump = BTreeMap<String, Vec<String>>;

/// A moment of a database that is compared with later ones and gone back to.
pub struct Moment {
    db: DbConnection,
    query: String,
    kept: Dump,
    /// Each table with its columns, those that are not compared too.
    tables: BTreeMap<String, Vec<String>>,
    /// SQLite's triggers that refuse changes, each with its table; the way back has to pass them.
    rules: Vec<Rule>,
    /// A number that is another one once another connection has written.
    version: i64,
}

impl Moment {
    /// This moment. What `ignored` names (a table, or `table.column`) is gone back to and not compared.
    pub fn of(test: &TestApp, ignored: &[&str]) -> Moment {
        let mut db = open(test.app.database.url(), Role::Migrator).unwrap();
        let tables = tables(&mut db);
        let query = dump_query(&db, &tables, ignored);
        let mut keep = match &db {
            DbConnection::Postgres(_) => "CREATE SCHEMA kept;".to_owned(),
            DbConnection::Sqlite(_) => "ATTACH ':memory:' AS kept;".to_owned(),
        };
        for table in tables.keys() {
            keep.push_str(&format!("CREATE TABLE kept.{table} AS SELECT * FROM {table};"));
        }
        db.batch_execute(&keep).unwrap();
        let rules = rules(&mut db);
        let mut moment = Moment { db, query, kept: Dump::new(), tables, rules, version: 0 };
        moment.version = moment.version_now();
        moment.kept = moment.dump();
        moment
    }

    /// What differs from it now: the rows that only one of the two has, each with the name of its table.
    pub fn changes(&mut self) -> Vec<String> {
        if !self.has_moved() {
            return Vec::new();
        }
        let now = self.dump();
        difference(&self.kept, &now)
    }

    /// The columns of a table.
    pub fn columns(&self, table: &str) -> &[String] {
        &self.tables[table]
    }

    /// Makes everything as it was then.
    pub fn return_to(&mut self) {
        if !self.has_moved() {
            return;
        }
        let differing: Vec<String> = self
            .tables
            .keys()
            .map(|table| {
                format!(
                    "SELECT '{table}' AS line WHERE EXISTS (SELECT * FROM {table} EXCEPT SELECT * FROM kept.{table}) \
                     OR EXISTS (SELECT * FROM kept.{table} EXCEPT SELECT * FROM {table})"
                )
            })
            .collect();
        let differing = lines(&mut self.db, &differing.join(" UNION ALL "));
        let mut back = match &self.db {
            DbConnection::Postgres(_) => "BEGIN; SET LOCAL session_replication_role = replica;".to_owned(),
            DbConnection::Sqlite(_) => "BEGIN IMMEDIATE;".to_owned(),
        };
        let in_the_way = || self.rules.iter().filter(|rule| differing.contains(&rule.table));
        for rule in in_the_way() {
            back.push_str(&format!("DROP TRIGGER {};", rule.name));
        }
        for table in &differing {
            let columns = self.tables[table].join(", ");
            back.push_str(&format!(
                "DELETE FROM {table}; INSERT INTO {table} ({columns}) SELECT {columns} FROM kept.{table};"
            ));
        }
        for rule in in_the_way() {
            back.push_str(&format!("{};", rule.sql));
        }
        back.push_str("COMMIT");
        self.db.batch_execute(&back).unwrap();
        self.version = self.version_now();
    }

    fn dump(&mut self) -> Dump {
        let mut dump = Dump::new();
        for row in diesel::sql_query(&self.query).load::<Row>(&mut self.db).unwrap() {
            dump.entry(row.part).or_default().extend(row.line);
        }
        for rows in dump.values_mut() {
            rows.sort_unstable();
        }
        dump
    }

    /// Whether something may have been written since.
    fn has_moved(&mut self) -> bool {
        self.version_now() != self.version
    }

    /// On a server that is where its transactions that write have come to, those of other databases too.
    fn version_now(&mut self) -> i64 {
        let query = diesel::sql_query(match &self.db {
            DbConnection::Postgres(_) => "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS number",
            DbConnection::Sqlite(_) => "SELECT data_version AS number FROM pragma_data_version",
        });
        query.get_result::<Number>(&mut self.db).unwrap().number
    }
}

/// A trigger that refuses changes.
#[derive(QueryableByName)]
struct Rule {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    table: String,
    #[diesel(sql_type = Text)]
    sql: String,
}

/// Evidence is only added to, which the way back undoes. PostgreSQL leaves triggers aside for it by itself.
fn rules(db: &mut DbConnection) -> Vec<Rule> {
    if matches!(db, DbConnection::Postgres(_)) {
        return Vec::new();
    }
    let query = "SELECT name, tbl_name AS \"table\", sql FROM sqlite_master \
                 WHERE type = 'trigger' AND sql LIKE '%RAISE(ABORT%'";
    diesel::sql_query(query).load(db).unwrap()
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    part: String,
    #[diesel(sql_type = Nullable<Text>)]
    line: Option<String>,
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

/// The tables with their columns, but for what the search index keeps for itself.
fn tables(db: &mut DbConnection) -> BTreeMap<String, Vec<String>> {
    let is_postgres = matches!(db, DbConnection::Postgres(_));
    let names = lines(
        db,
        if is_postgres {
            "SELECT tablename::text AS line FROM pg_tables WHERE schemaname = 'public'"
        } else {
            "SELECT name AS line FROM pragma_table_list WHERE schema = 'main' AND type = 'table' \
             AND name NOT LIKE 'sqlite_%'"
        },
    );
    let mut tables = BTreeMap::new();
    for table in names {
        let columns = if is_postgres {
            format!(
                "SELECT column_name::text AS line FROM information_schema.columns WHERE table_schema = 'public' \
                 AND table_name = '{table}' AND is_generated = 'NEVER'"
            )
        } else {
            format!("SELECT name AS line FROM pragma_table_info('{table}')")
        };
        let columns = lines(db, &columns);
        tables.insert(table, columns);
    }
    tables
}

/// One query for all rows of all tables.
fn dump_query(db: &DbConnection, tables: &BTreeMap<String, Vec<String>>, ignored: &[&str]) -> String {
    let quote = if matches!(db, DbConnection::Postgres(_)) { "quote_nullable" } else { "quote" };
    let compared = tables.iter().filter(|(table, _)| !ignored.contains(&table.as_str()));
    let parts = compared.map(|(table, columns)| {
        let columns: Vec<String> = columns
            .iter()
            .filter(|column| !ignored.contains(&format!("{table}.{column}").as_str()))
            .map(|column| format!("'{column}=' || {quote}({column})"))
            .collect();
        format!("SELECT '{table}' AS part, {} AS line FROM {table}", columns.join(" || ' ' || "))
    });
    parts.collect::<Vec<_>>().join(" UNION ALL ")
}

fn lines(db: &mut DbConnection, query: &str) -> Vec<String> {
    diesel::sql_query(query).load::<Line>(db).unwrap().into_iter().map(|row| row.line).collect()
}

fn difference(before: &Dump, after: &Dump) -> Vec<String> {
    let mut found = Vec::new();
    let tables: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    for table in tables {
        let rows = |dump: &Dump| dump.get(table).cloned().unwrap_or_default().into_iter().collect::<BTreeSet<_>>();
        let (earlier, later) = (rows(before), rows(after));
        found.extend(later.difference(&earlier).map(|row| format!("+ {table}: {row}")));
        found.extend(earlier.difference(&later).map(|row| format!("- {table}: {row}")));
    }
    found
}
