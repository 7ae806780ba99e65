//! Queries whose text is the same each time they run. Diesel's connection for several databases writes the text of a query
//! anew at every pass over it, two or three times a run, also when the database has it prepared and only the values are
//! wanted: a quarter of the writer's time. Here the text of a place in the code is written at its first run and kept, and
//! what the database prepared for it is found by that place.

use std::marker::PhantomData;
use std::sync::OnceLock;

use diesel::backend::Backend;
use diesel::connection::LoadConnection;
use diesel::pg::PgQueryBuilder;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryBuilder, QueryFragment, QueryId};
use diesel::query_dsl::methods::LimitDsl;
use diesel::result::Error;
use diesel::sql_types::Integer;
use diesel::sqlite::SqliteQueryBuilder;

use crate::db::DbConnection;
use crate::db::connection::MultiBackend;

type Builder = <MultiBackend as Backend>::QueryBuilder;

/// What a place in the code wrote for each database.
#[derive(Debug, Default)]
pub struct Texts {
    postgres: OnceLock<String>,
    sqlite: OnceLock<String>,
}

impl Texts {
    /// Nothing was written yet.
    pub const fn new() -> Texts {
        Texts { postgres: OnceLock::new(), sqlite: OnceLock::new() }
    }
}

/// A place in the code that always runs one and the same text; `one_text!` makes one wherever it stands.
pub trait Place: 'static {
    /// What was written there.
    fn texts() -> &'static Texts;
}

/// See `one_text!`.
#[derive(Clone, Copy, Debug)]
pub struct OneText<Q, P> {
    query: Q,
    place: PhantomData<P>,
}

/// The same query, whose text is written once for each database and whose prepared form each connection keeps. Only for a
/// query whose text never differs: values may, but no condition that is there at times, no list of changing length, no
/// value left out when there is none. The compiler refuses what can differ; of a change, and of a condition that is
/// written out in SQL, it cannot tell, and whoever writes `one_text!(promised …)` answers for it. A debug build compares,
/// and fails the query whose text became another. Within a generic function the place is one for all types it is made for.
macro_rules! one_text {
    (promised $query:expr) => {{
        struct Here;
        impl $crate::db::one_text::Place for Here {
            fn texts() -> &'static $crate::db::one_text::Texts {
                static TEXTS: $crate::db::one_text::Texts = $crate::db::one_text::Texts::new();
                &TEXTS
            }
        }
        $crate::db::one_text::OneText::promised_at(Here, $query)
    }};
    ($query:expr) => {
        $crate::db::one_text::one_text!(promised $query).proven()
    };
}
pub(crate) use one_text;

impl<Q, P: Place> OneText<Q, P> {
    /// What `one_text!` makes.
    pub fn promised_at(_place: P, query: Q) -> OneText<Q, P> {
        OneText { query, place: PhantomData }
    }
}

impl<Q: QueryId, P: Place> OneText<Q, P> {
    /// The same, if its type tells that its text is always the same; the compiler refuses it otherwise.
    pub fn proven(self) -> OneText<Q, P> {
        const { assert!(Q::HAS_STATIC_QUERY_ID, "this query has more than one text") };
        self
    }
}

impl<Q: QueryFragment<MultiBackend>, P: Place> OneText<Q, P> {
    /// Runs a change that gives nothing back. Diesel's own `execute` hands a query on by reference, and a reference
    /// forgets that its text is known.
    pub fn run(self, db: &mut DbConnection) -> QueryResult<()> {
        // A change has no rows; the first step towards them is what runs it.
        db.load(Change(self))?.try_for_each(|row| row.map(drop))
    }
}

impl<Q: Query, P> Query for OneText<Q, P> {
    type SqlType = Q::SqlType;
}

/// What was prepared is found by the place.
impl<Q, P: Place> QueryId for OneText<Q, P> {
    type QueryId = P;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl<Q, P, C> RunQueryDsl<C> for OneText<Q, P> {}

/// For `first`.
impl<Q: LimitDsl, P> LimitDsl for OneText<Q, P> {
    type Output = OneText<Q::Output, P>;

    fn limit(self, limit: i64) -> Self::Output {
        OneText { query: self.query.limit(limit), place: PhantomData }
    }
}

impl<Q: QueryFragment<MultiBackend>, P: Place> QueryFragment<MultiBackend> for OneText<Q, P> {
    fn to_sql(&self, out: &mut Builder, backend: &MultiBackend) -> QueryResult<()> {
        let (text, mut empty) = match backend {
            MultiBackend::Postgres(_) => (&P::texts().postgres, Builder::Postgres(PgQueryBuilder::default())),
            MultiBackend::Sqlite(_) => (&P::texts().sqlite, Builder::Sqlite(SqliteQueryBuilder::default())),
        };
        if cfg!(debug_assertions) || text.get().is_none() {
            self.query.to_sql(&mut empty, backend)?;
            let written = empty.finish();
            let kept = text.get_or_init(|| written.clone());
            if *kept != written {
                return Err(Error::QueryBuilderError(format!("not one text: {kept} / {written}").into()));
            }
        }
        out.push_sql(text.get().map_or("", String::as_str));
        Ok(())
    }

    fn walk_ast<'b>(&'b self, out: AstPass<'_, 'b, MultiBackend>) -> QueryResult<()> {
        self.query.walk_ast(out)
    }

    fn is_safe_to_cache_prepared(&self, _backend: &MultiBackend) -> QueryResult<bool> {
        Ok(true)
    }
}

/// A change as a query without rows.
struct Change<Q>(Q);

impl<Q> Query for Change<Q> {
    type SqlType = Integer;
}

impl<Q: QueryId> QueryId for Change<Q> {
    type QueryId = Q::QueryId;
    const HAS_STATIC_QUERY_ID: bool = Q::HAS_STATIC_QUERY_ID;
}

impl<Q: QueryFragment<MultiBackend>> QueryFragment<MultiBackend> for Change<Q> {
    fn to_sql(&self, out: &mut Builder, backend: &MultiBackend) -> QueryResult<()> {
        self.0.to_sql(out, backend)
    }

    fn walk_ast<'b>(&'b self, out: AstPass<'_, 'b, MultiBackend>) -> QueryResult<()> {
        self.0.walk_ast(out)
    }

    fn is_safe_to_cache_prepared(&self, backend: &MultiBackend) -> QueryResult<bool> {
        self.0.is_safe_to_cache_prepared(backend)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use diesel::connection::{Connection, InstrumentationEvent, SimpleConnection};

    use super::*;
    use crate::config::database::DatabaseUrl;
    use crate::db::connection::{Role, open};

    diesel::table! {
        numbers (id) {
            id -> BigInt,
            value -> BigInt,
        }
    }

    fn database() -> (tempfile::TempDir, DbConnection) {
        let folder = tempfile::tempdir().unwrap();
        let mut db = open(&DatabaseUrl::Sqlite(folder.path().join("a.sqlite")), Role::Migrator).unwrap();
        db.batch_execute("CREATE TABLE numbers (id BIGINT PRIMARY KEY, value BIGINT)").unwrap();
        (folder, db)
    }

    #[test]
    fn each_place_is_prepared_once_and_takes_new_values_each_time() {
        static KEPT: AtomicUsize = AtomicUsize::new(0);
        let (_folder, mut db) = database();
        db.set_instrumentation(|event: InstrumentationEvent<'_>| {
            if matches!(event, InstrumentationEvent::CacheQuery { .. }) {
                KEPT.fetch_add(1, Ordering::Relaxed);
            }
        });
        for id in 0..3_i64 {
            let row = (numbers::id.eq(id), numbers::value.eq(10 * id));
            one_text!(diesel::insert_into(numbers::table).values(row)).run(&mut db).unwrap();
            one_text!(promised diesel::update(numbers::table.find(id)).set(numbers::value.eq(numbers::value + id)))
                .run(&mut db)
                .unwrap();
            let value: i64 = one_text!(numbers::table.find(id).select(numbers::value)).first(&mut db).unwrap();
            assert_eq!(value, 11 * id);
        }
        assert_eq!(KEPT.load(Ordering::Relaxed), 3);
    }

    #[test]
    fn a_change_that_the_database_refuses_says_so() {
        let (_folder, mut db) = database();
        let mut insert = || {
            let row = (numbers::id.eq(1_i64), numbers::value.eq(1_i64));
            one_text!(diesel::insert_into(numbers::table).values(row)).run(&mut db)
        };
        insert().unwrap();
        assert!(matches!(insert(), Err(Error::DatabaseError(..))));
    }

    #[test]
    fn a_query_whose_text_became_another_is_refused() {
        let (_folder, mut db) = database();
        let mut of = |ids: &[i64]| {
            let query = numbers::table.filter(numbers::id.eq_any(ids.to_vec())).select(numbers::value);
            one_text!(promised query).load::<i64>(&mut db)
        };
        of(&[1]).unwrap();
        of(&[2]).unwrap();
        assert!(matches!(of(&[1, 2]), Err(Error::QueryBuilderError(_))));
    }
}
