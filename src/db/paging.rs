//! Keyset pages: a page begins after a row, not after a count of rows, so that its work does not grow with the table.

use std::sync::OnceLock;

use data_encoding::BASE64URL_NOPAD;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::BigInt;

use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::connection::MultiBackend;
use crate::db::prepared_once::prepared_once;
use crate::error::Result;

/// Rows on one page of a list.
pub const PAGE_SIZE: i64 = 25;

/// The place after which a page begins: a time and, among rows of that time, a tie-breaker that is no internal id on
/// the outside (it is sealed into an opaque text).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    pub time: UtcTime,
    pub id: i64,
}

impl Cursor {
    /// The opaque text for a link. The id inside is masked, for internal ids never leave the process (T-01).
    pub fn to_text(self) -> String {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.time.micros().to_be_bytes());
        let masked = (self.id as u64 ^ mask(self.time)).to_be_bytes();
        bytes[8..].copy_from_slice(&masked);
        BASE64URL_NOPAD.encode(&bytes)
    }

    /// Reads what [`Cursor::to_text`] wrote; anything else is no cursor.
    pub fn parse(text: &str) -> Option<Cursor> {
        let bytes: [u8; 16] = BASE64URL_NOPAD.decode(text.as_bytes()).ok()?.try_into().ok()?;
        let (time, id) = bytes.split_at(8);
        let time = UtcTime::from_micros(i64::from_be_bytes(time.try_into().ok()?));
        let id = (u64::from_be_bytes(id.try_into().ok()?) ^ mask(time)) as i64;
        (id >= 0).then_some(Cursor { time, id })
    }
}

static MASK: OnceLock<u64> = OnceLock::new();

/// Sets what masks the ids in cursors. Processes of one installation set the same, so that each reads the others'
/// cursors; the first call counts.
pub fn set_mask(mask: u64) {
    MASK.get_or_init(|| mask);
}

/// The mask, mixed with the time so that neighbouring ids do not look alike.
fn mask(time: UtcTime) -> u64 {
    let mask = *MASK.get_or_init(|| u64::from_be_bytes(crate::secret::random_bytes::<8>()));
    (mask ^ (time.micros() as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15)) & (u64::MAX >> 1)
}

/// One page of a list and where the next begins, if there is more. Lists sorted by name begin after a row's handle
/// (`Page<_, String>`), which says nothing about the person or organisation.
#[derive(Clone, Debug)]
pub struct Page<T, After = Cursor> {
    pub rows: Vec<T>,
    pub next: Option<After>,
}

impl<T, After> Page<T, After> {
    /// Makes a page of `rows`, which were asked for with a limit of one more than the page holds.
    pub fn cut(mut rows: Vec<T>, size: i64, cursor_of: impl Fn(&T) -> After) -> Page<T, After> {
        let size = usize::try_from(size).unwrap_or(0);
        let next = (rows.len() > size).then(|| {
            rows.truncate(size);
            rows.last().map(&cursor_of)
        });
        Page { rows, next: next.flatten() }
    }

    /// The same page of other rows.
    pub fn map<U>(self, change: impl FnMut(T) -> U) -> Page<U, After> {
        Page { rows: self.rows.into_iter().map(change).collect(), next: self.next }
    }
}

/// How many rows `query` finds, counted up to `most`, so that the work does not grow with the table.
pub fn count_up_to<Q>(db: &mut DbConnection, query: Q, most: i64) -> Result<i64>
where
    Q: diesel::query_dsl::methods::LimitDsl,
    Q::Output: QueryFragment<MultiBackend> + QueryId,
{
    Ok(prepared_once(Counted(query.limit(most.max(0)))).get_result(db)?)
}

/// `SELECT COUNT(*)` of the rows of another query.
#[derive(QueryId)]
struct Counted<Q>(Q);

impl<Q> Query for Counted<Q> {
    type SqlType = BigInt;
}

impl<Q> RunQueryDsl<DbConnection> for Counted<Q> {}

impl<Q: QueryFragment<MultiBackend>> QueryFragment<MultiBackend> for Counted<Q> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, MultiBackend>) -> QueryResult<()> {
        out.push_sql("SELECT COUNT(*) FROM (");
        self.0.walk_ast(out.reborrow())?;
        out.push_sql(") AS counted");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_survives_its_text_and_hides_the_id() {
        let cursor = Cursor { time: UtcTime::from_micros(1_795_000_000_000_001), id: 42 };
        assert_eq!(Cursor::parse(&cursor.to_text()), Some(cursor));
        assert_eq!(Cursor::parse("x"), None);
        let bytes = BASE64URL_NOPAD.decode(cursor.to_text().as_bytes()).unwrap();
        assert_ne!(bytes[8..], 42_i64.to_be_bytes());
    }
}
