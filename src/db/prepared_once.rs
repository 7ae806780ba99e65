//! Statements that are prepared once for a connection. Diesel prepares every `UPDATE`, and every query with a piece of
//! SQL written out in it, anew each time, since their text might be another each time; on SQLite, where preparing plans
//! the statement and compiles the triggers of its table, that costs more than running most of them.

use diesel::backend::Backend;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};

/// See [`prepared_once`].
#[derive(Clone, Copy, Debug)]
pub struct PreparedOnce<Q>(Q);

/// The same query, whose prepared form the connection keeps under its text. For queries that have one text or a few: each
/// is kept for as long as the connection lives. Only for what is loaded: Diesel hands on what is executed by reference, and
/// a reference forgets that its text may be kept; a change gives back something of the rows that it changed instead.
pub fn prepared_once<Q>(query: Q) -> PreparedOnce<Q> {
    PreparedOnce(query)
}

impl<Q: Query> Query for PreparedOnce<Q> {
    type SqlType = Q::SqlType;
}

/// Its text is what it is kept under.
impl<Q> QueryId for PreparedOnce<Q> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<Q, C> RunQueryDsl<C> for PreparedOnce<Q> {}

impl<Q: QueryFragment<DB>, DB: Backend> QueryFragment<DB> for PreparedOnce<Q> {
    fn walk_ast<'b>(&'b self, out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        self.0.walk_ast(out)
    }

    fn is_safe_to_cache_prepared(&self, _backend: &DB) -> QueryResult<bool> {
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use diesel::connection::{InstrumentationEvent, SimpleConnection};

    use super::*;
    use crate::config::database::DatabaseUrl;
    use crate::db::connection::{Role, open};

    diesel::table! {
        numbers (id) {
            id -> BigInt,
            value -> BigInt,
        }
    }

    #[test]
    fn a_change_is_prepared_once_and_only_so() {
        static KEPT: AtomicUsize = AtomicUsize::new(0);
        let folder = tempfile::tempdir().unwrap();
        let mut db = open(&DatabaseUrl::Sqlite(folder.path().join("a.sqlite")), Role::Migrator).unwrap();
        db.batch_execute(
            "CREATE TABLE numbers (id BIGINT PRIMARY KEY, value BIGINT); INSERT INTO numbers VALUES (1, 0)",
        )
        .unwrap();
        db.set_instrumentation(|event: InstrumentationEvent<'_>| {
            if matches!(event, InstrumentationEvent::CacheQuery { .. }) {
                KEPT.fetch_add(1, Ordering::Relaxed);
            }
        });
        let change = |value: i64| diesel::update(numbers::table.find(1)).set(numbers::value.eq(value));
        for value in 0..3 {
            change(value).execute(&mut db).unwrap();
        }
        assert_eq!(KEPT.load(Ordering::Relaxed), 0);
        for value in 3..6 {
            let found: i64 = prepared_once(change(value).returning(numbers::value)).get_result(&mut db).unwrap();
            assert_eq!(found, value);
        }
        assert_eq!(KEPT.load(Ordering::Relaxed), 1);
    }
}
