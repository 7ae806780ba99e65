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
/// is kept for as long as the connection lives.
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
