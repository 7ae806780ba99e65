//! Both databases have the schema that the program was compiled with.

use std::collections::BTreeSet;

use accord::config::database::DatabaseUrl;
use accord::db::connection::{Role, open};
use accord::db::migrations;
use diesel::connection::SimpleConnection;

use crate::support::TestApp;

/// Every column of the compiled schema can be read, so it exists.
#[test]
fn every_column_of_the_schema_is_in_the_database() {
    let schema = include_str!("../../src/db/schema.rs");
    let app = TestApp::empty();
    for table in schema.split("diesel::table! {\n").skip(1) {
        let name = table.trim_start().split(' ').next().unwrap();
        let columns: Vec<&str> = table
            .lines()
            .take_while(|line| !line.starts_with('}'))
            .filter_map(|line| line.trim().split_once(" -> ").map(|(column, _)| column))
            .collect();
        assert!(!columns.is_empty(), "{name}");
        let columns = columns.join(", ");
        app.read(|db| Ok(db.batch_execute(&format!("SELECT {columns} FROM {name} LIMIT 1"))?));
    }
}

#[test]
fn both_migrations_make_the_same_tables_and_columns() {
    let tables = |text: &str| -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        for table in text.split("CREATE TABLE ").skip(1) {
            let name = table.split_whitespace().next().unwrap();
            for line in table.split(");").next().unwrap().lines().skip(1) {
                let column = line.trim().split(' ').next().unwrap_or_default();
                if !column.is_empty()
                    && column.chars().all(|c| c.is_ascii_lowercase() || c == '_' || c.is_ascii_digit())
                {
                    found.insert(format!("{name}.{column}"));
                }
            }
        }
        found
    };
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/sqlite")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let text = |backend: &str| {
            std::fs::read_to_string(format!("{}/migrations/{backend}/{name}/up.sql", env!("CARGO_MANIFEST_DIR")))
                .unwrap()
        };
        assert_eq!(tables(&text("sqlite")), tables(&text("postgres")), "{name}");
    }
}

/// Two branches may take one number; where they meet, one of the two would never run.
#[test]
fn migrations_are_numbered_apart() {
    let mut numbers = BTreeSet::new();
    // Those of the other database bear the same names (rule 12).
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/sqlite")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let (number, what) = name.split_once('_').unwrap();
        let is_number = number.len() == "2026-11-23-000001".len() && number.replace('-', "").parse::<u64>().is_ok();
        assert!(is_number && !what.is_empty(), "{name}");
        assert!(numbers.insert(number.to_owned()), "{name}: another migration has this number");
    }
}

#[test]
fn a_database_newer_than_the_program_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let url = DatabaseUrl::Sqlite(folder.path().join("a.sqlite"));
    let mut db = open(&url, Role::Migrator).unwrap();
    migrations::run(&mut db).unwrap();
    assert!(migrations::pending(&mut db).unwrap().is_empty());
    db.batch_execute("INSERT INTO __diesel_schema_migrations (version) VALUES ('99990101000000')").unwrap();
    assert!(matches!(migrations::run(&mut db), Err(migrations::MigrationError::Newer(_))));
}
