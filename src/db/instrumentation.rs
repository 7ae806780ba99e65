//! What a connection says of its queries: the SQL without a single value, how long it took, what kind of failure it was.
//! Never the address of the database, which may hold a password (`accord::db`, level debug).

use std::collections::HashMap;
use std::fmt::{self, Write};
use std::time::Instant;

use diesel::connection::{Instrumentation, InstrumentationEvent, set_default_instrumentation};

/// SQL beyond this is cut.
const LONGEST: usize = 1_024;
/// Where Diesel's text of a query ends and its values begin.
const BINDS: &str = " -- binds: ";

/// Has every connection that is opened from now on say what it does.
pub fn install() {
    // Fails only when another thread panicked while it did the same.
    if set_default_instrumentation(|| Some(Box::new(Watch::default()))).is_err() {
        tracing::warn!(target: "accord::db", "Queries cannot be watched");
    }
}

/// Texts of which a connection knows how they are to be recorded; when there are more, all are forgotten.
const KNOWN: usize = 512;

/// One connection's.
#[derive(Default)]
struct Watch {
    started: Option<Instant>,
    /// The few hundred texts of the program's queries, each with what is recorded of it.
    known: HashMap<String, String>,
}

impl Instrumentation for Watch {
    fn on_connection_event(&mut self, event: InstrumentationEvent<'_>) {
        if !tracing::enabled!(target: "accord::db", tracing::Level::DEBUG) {
            // Nobody's measurement may go on with somebody else's query.
            self.started = None;
            return;
        }
        match event {
            InstrumentationEvent::StartQuery { .. } => self.started = Some(Instant::now()),
            InstrumentationEvent::FinishQuery { query, error, .. } => {
                let duration_us = self.started.take().map(|started| microseconds(started.elapsed().as_micros()));
                let text = up_to_values(&query);
                if !self.known.contains_key(&text) && self.known.len() >= KNOWN {
                    self.known.clear();
                }
                let sql = self.known.entry(text).or_insert_with_key(|text| without_literals(text)).as_str();
                let error = error.map(kind_of);
                tracing::debug!(target: "accord::db", sql, duration_us, error, "Ran a query");
            }
            _ => {}
        }
    }
}

fn microseconds(micros: u128) -> u64 {
    u64::try_from(micros).unwrap_or(u64::MAX)
}

/// The kind alone: a message of the database may quote what was to be stored.
fn kind_of(error: &diesel::result::Error) -> &'static str {
    use diesel::result::{DatabaseErrorKind, Error};
    match error {
        Error::DatabaseError(DatabaseErrorKind::UniqueViolation, _) => "unique_violation",
        Error::DatabaseError(DatabaseErrorKind::ForeignKeyViolation, _) => "foreign_key_violation",
        Error::DatabaseError(DatabaseErrorKind::CheckViolation, _) => "check_violation",
        Error::DatabaseError(DatabaseErrorKind::NotNullViolation, _) => "not_null_violation",
        Error::DatabaseError(DatabaseErrorKind::SerializationFailure, _) => "serialization_failure",
        Error::DatabaseError(DatabaseErrorKind::ReadOnlyTransaction, _) => "read_only_transaction",
        Error::DatabaseError(DatabaseErrorKind::ClosedConnection, _) => "closed_connection",
        Error::DatabaseError(..) => "database",
        Error::NotFound => "not_found",
        Error::QueryBuilderError(_) => "query_builder",
        Error::SerializationError(_) | Error::DeserializationError(_) => "conversion",
        _ => "other",
    }
}

/// The text of a query up to its values.
fn up_to_values(query: &impl fmt::Display) -> String {
    let mut text = UpToBinds::default();
    // Ends with an error where the values begin.
    let _ = write!(text, "{query}");
    text.0
}

#[derive(Default)]
struct UpToBinds(String);

impl Write for UpToBinds {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        let searched_from = self.0.len().saturating_sub(BINDS.len());
        self.0.push_str(part);
        let searched_from = (searched_from..).find(|at| self.0.is_char_boundary(*at)).unwrap_or(0);
        if let Some(at) = self.0[searched_from..].find(BINDS) {
            self.0.truncate(searched_from + at);
            return Err(fmt::Error);
        }
        Ok(())
    }
}

/// Puts `?` in place of texts and numbers. What stands in double quotes or backticks is a name.
fn without_literals(sql: &str) -> String {
    let mut kept = String::new();
    let mut rest = sql.chars().peekable();
    let mut in_word = false;
    while let Some(character) = rest.next() {
        if kept.len() >= LONGEST {
            kept.push('…');
            break;
        }
        match character {
            '\'' => {
                kept.push('?');
                // A doubled quote is one within the text; an unclosed text swallows the rest.
                while let Some(inner) = rest.next() {
                    if inner == '\'' && rest.next_if_eq(&'\'').is_none() {
                        break;
                    }
                }
                in_word = false;
            }
            '"' | '`' => {
                kept.push(character);
                for inner in rest.by_ref() {
                    kept.push(inner);
                    if inner == character {
                        break;
                    }
                }
                in_word = false;
            }
            digit if digit.is_ascii_digit() && !in_word => {
                kept.push('?');
                while rest.next_if(|next| next.is_ascii_alphanumeric() || *next == '.').is_some() {}
            }
            other => {
                kept.push(other);
                // `$1` is a placeholder of PostgreSQL's.
                in_word = other.is_alphanumeric() || matches!(other, '_' | '$');
            }
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use diesel::prelude::*;

    use super::*;
    use crate::db::schema::people;

    #[test]
    fn no_bound_value_stands_in_what_is_recorded_of_a_query() {
        let query = people::table
            .filter(people::first_name.eq("canary 4f2a"))
            .filter(people::last_name.eq(" -- binds: canary"))
            .select(people::id)
            .limit(71);
        let recorded = |query: &dyn fmt::Display| without_literals(&up_to_values(&query));
        let sql = recorded(&diesel::debug_query::<diesel::sqlite::Sqlite, _>(&query));
        assert!(sql.contains("`people`.`first_name` = ?"), "{sql}");
        assert!(!sql.contains("canary") && !sql.contains("binds") && !sql.contains("71"), "{sql}");
        let sql = recorded(&diesel::debug_query::<diesel::pg::Pg, _>(&query));
        assert!(sql.contains("\"people\".\"first_name\" = $1") && !sql.contains("canary"), "{sql}");
    }

    #[test]
    fn no_value_written_into_the_text_of_a_query_stands_in_what_is_recorded() {
        for (sql, expected) in [
            ("SELECT * FROM t1 WHERE a = 'it''s secret' AND b2 = 42", "SELECT * FROM t1 WHERE a = ? AND b2 = ?"),
            ("INSERT INTO t VALUES (4.5e10, x'ab', 'open", "INSERT INTO t VALUES (?, x?, ?"),
            ("SELECT \"a 1\", `b 2`, $3", "SELECT \"a 1\", `b 2`, $3"),
            ("VALUES (-7,0x1F)", "VALUES (-?,?)"),
        ] {
            assert_eq!(without_literals(sql), expected);
        }
        assert!(without_literals(&"a ".repeat(5_000)).len() < LONGEST + 8);
    }

    #[test]
    fn the_marker_is_found_wherever_the_text_is_split() {
        for split in 0..BINDS.len() {
            let mut text = UpToBinds::default();
            let whole = format!("SELECT é{BINDS}[secret]");
            let at = "SELECT é".len() + split;
            let _ = text.write_str(&whole[..at]).and_then(|()| text.write_str(&whole[at..]));
            assert_eq!(text.0, "SELECT é");
        }
    }
}
