//! The index in SQLite: FTS5 over `search_documents`, kept by triggers, read from the newest row down.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Text};
use diesel::sqlite::SqliteConnection;

use crate::search::{Candidate, Expression, Phrase};

/// The newest `limit` documents below `below` that fit.
pub fn candidates(
    db: &mut SqliteConnection,
    expression: &Expression,
    public_only: bool,
    below: i64,
    limit: i64,
) -> QueryResult<Vec<Candidate>> {
    diesel::sql_query(
        "SELECT search_index.rowid AS id, ticket_id, message_id FROM search_index \
         CROSS JOIN search_documents ON search_documents.id = search_index.rowid \
         WHERE search_index MATCH ? AND search_index.rowid < ? AND NOT (staff_only AND ?) \
         ORDER BY search_index.rowid DESC LIMIT ?",
    )
    .bind::<Text, _>(match_text(expression))
    .bind::<BigInt, _>(below)
    .bind::<Bool, _>(public_only)
    .bind::<BigInt, _>(limit)
    .load(db)
}

/// The expression in FTS5's language. Every token stands in quotes and has neither quotes nor signs in it.
fn match_text(expression: &Expression) -> String {
    let phrase = |phrase: &Phrase| format!("\"{}\"", phrase.join(" "));
    let any = |phrases: &[Phrase]| format!("({})", phrases.iter().map(phrase).collect::<Vec<_>>().join(" OR "));
    let wanted = expression.wanted.iter().map(|phrases| any(phrases)).collect::<Vec<_>>().join(" AND ");
    if expression.unwanted.is_empty() { wanted } else { format!("({wanted}) NOT {}", any(&expression.unwanted)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn q_01_the_expression_is_made_of_quoted_tokens() {
        let phrase = |text: &str| text.split(' ').map(str::to_owned).collect::<Phrase>();
        let expression = Expression {
            wanted: vec![vec![phrase("fa fb"), phrase("ea eb")], vec![phrase("tcrash")]],
            unwanted: vec![phrase("fx"), phrase("ex")],
        };
        assert_eq!(match_text(&expression), r#"(("fa fb" OR "ea eb") AND ("tcrash")) NOT ("fx" OR "ex")"#);
    }
}
