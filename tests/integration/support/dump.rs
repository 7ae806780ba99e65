//! Everything that a database holds, as text, so that two moments can be compared.

use std::collections::BTreeMap;

use accord::db::DbConnection;
use diesel::prelude::*;
use diesel::sql_types::{Nullable, Text};

use super::app::TestApp;

/// Each table with its rows, in an order of their own.
pub type Dump = BTreeMap<String, Vec<String>>;

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

#[derive(QueryableByName)]
struct MaybeLine {
    #[diesel(sql_type = Nullable<Text>)]
    line: Option<String>,
}

impl TestApp {
    /// All rows of all tables, but for what `ignored` names: a table, or `table.column`.
    pub fn dump(&self, ignored: &[&str]) -> Dump {
        self.read(|db| Ok(dump(db, ignored)))
    }
}

fn dump(db: &mut DbConnection, ignored: &[&str]) -> Dump {
    let is_postgres = matches!(db, DbConnection::Postgres(_));
    let tables = lines(
        db,
        if is_postgres {
            "SELECT tablename::text AS line FROM pg_tables WHERE schemaname = 'public' ORDER BY 1"
        } else {
            "SELECT name AS line FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' \
             AND sql NOT LIKE 'CREATE VIRTUAL%' ORDER BY 1"
        },
    );
    let mut dump = Dump::new();
    for table in tables.into_iter().filter(|table| !ignored.contains(&table.as_str())) {
        let columns = lines(
            db,
            &if is_postgres {
                format!("SELECT column_name::text AS line FROM information_schema.columns WHERE table_name = '{table}'")
            } else {
                format!("SELECT name AS line FROM pragma_table_info('{table}')")
            },
        );
        let quote = if is_postgres { "quote_nullable" } else { "quote" };
        let columns: Vec<String> = columns
            .into_iter()
            .filter(|column| !ignored.contains(&format!("{table}.{column}").as_str()))
            .map(|column| format!("'{column}=' || {quote}({column})"))
            .collect();
        let query = format!("SELECT {} AS line FROM {table}", columns.join(" || ' ' || "));
        let rows: Vec<MaybeLine> = diesel::sql_query(query).load(db).unwrap();
        let mut rows: Vec<String> = rows.into_iter().filter_map(|row| row.line).collect();
        rows.sort();
        dump.insert(table, rows);
    }
    dump
}

fn lines(db: &mut DbConnection, query: &str) -> Vec<String> {
    diesel::sql_query(query).load::<Line>(db).unwrap().into_iter().map(|row| row.line).collect()
}

/// The rows that only one of the two has, each with the name of its table.
pub fn difference(before: &Dump, after: &Dump) -> Vec<String> {
    let mut found = Vec::new();
    for (table, rows) in after {
        let earlier = before.get(table).map(Vec::as_slice).unwrap_or_default();
        found.extend(rows.iter().filter(|row| !earlier.contains(row)).map(|row| format!("+ {table}: {row}")));
        found.extend(earlier.iter().filter(|row| !rows.contains(row)).map(|row| format!("- {table}: {row}")));
    }
    found
}
