//! "One of these ids", as a condition whose statement is prepared once. Diesel's `eq_any` with a list has as many
//! placeholders as the list is long, so neither it nor SQLite keeps what was prepared; here the list is filled up to a
//! power of two by saying its last id again, and the few statements there can be are kept.

use diesel::expression::{AppearsOnTable, Expression, SelectableExpression, ValidGrouping};
use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types::{BigInt, Bool};

use crate::db::connection::MultiBackend;

/// See [`one_of`].
#[derive(Clone, Debug)]
pub struct OneOf<C> {
    column: C,
    ids: Vec<i64>,
}

/// That `column` is one of `ids`; of none, when there are none.
pub fn one_of<C: Expression<SqlType = BigInt>>(column: C, ids: impl IntoIterator<Item = i64>) -> OneOf<C> {
    let mut ids: Vec<i64> = ids.into_iter().collect();
    if let Some(&last) = ids.last() {
        ids.resize(ids.len().next_power_of_two(), last);
    }
    OneOf { column, ids }
}

impl<C: Expression> Expression for OneOf<C> {
    type SqlType = Bool;
}

impl<C, S> AppearsOnTable<S> for OneOf<C> where C: AppearsOnTable<S> {}

impl<C, S> SelectableExpression<S> for OneOf<C>
where
    C: SelectableExpression<S>,
    OneOf<C>: AppearsOnTable<S>,
{
}

impl<C: ValidGrouping<G>, G> ValidGrouping<G> for OneOf<C> {
    type IsAggregate = C::IsAggregate;
}

/// Its text depends on how many ids there are.
impl<C> QueryId for OneOf<C> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<C: QueryFragment<MultiBackend>> QueryFragment<MultiBackend> for OneOf<C> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, MultiBackend>) -> QueryResult<()> {
        if self.ids.is_empty() {
            out.push_sql("1 = 0");
            return Ok(());
        }
        self.column.walk_ast(out.reborrow())?;
        let mut before = " IN (";
        for id in &self.ids {
            out.push_sql(before);
            out.push_bind_param::<BigInt, i64>(id)?;
            before = ", ";
        }
        out.push_sql(")");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use diesel::connection::SimpleConnection;

    use super::*;
    use crate::config::database::DatabaseUrl;
    use crate::db::connection::{Role, open};

    diesel::table! {
        numbers (id) {
            id -> BigInt,
        }
    }

    #[test]
    fn finds_just_the_ids_asked_for_however_many_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let mut db = open(&DatabaseUrl::Sqlite(folder.path().join("a.sqlite")), Role::Migrator).unwrap();
        db.batch_execute("CREATE TABLE numbers (id BIGINT PRIMARY KEY)").unwrap();
        db.batch_execute("WITH RECURSIVE n (i) AS (SELECT 1 UNION SELECT i + 1 FROM n WHERE i < 40) INSERT INTO numbers SELECT i FROM n")
            .unwrap();
        for wanted in [vec![], vec![7], vec![3, 9, 11], (1..=33).collect(), vec![5, 900]] {
            let found: Vec<i64> = numbers::table
                .filter(one_of(numbers::id, wanted.iter().copied()))
                .order(numbers::id)
                .select(numbers::id)
                .load(&mut db)
                .unwrap();
            assert_eq!(found, wanted.into_iter().filter(|id| *id <= 40).collect::<Vec<i64>>());
        }
    }
}
