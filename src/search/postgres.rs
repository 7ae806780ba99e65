//! The index in PostgreSQL: a `tsvector` beside the words, with the configuration that changes nothing.

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Text};

use crate::search::{Candidate, Expression, Phrase};

/// The newest `limit` documents below `below` that fit.
pub fn candidates(
    db: &mut PgConnection,
    expression: &Expression,
    public_only: bool,
    below: i64,
    limit: i64,
) -> QueryResult<Vec<Candidate>> {
    diesel::sql_query(
        "SELECT id, ticket_id, message_id FROM search_documents \
         WHERE word_index @@ $1::tsquery AND id < $2 AND NOT (staff_only AND $3) \
         ORDER BY id DESC LIMIT $4",
    )
    .bind::<Text, _>(query_text(expression))
    .bind::<BigInt, _>(below)
    .bind::<Bool, _>(public_only)
    .bind::<BigInt, _>(limit)
    .load(db)
}

/// The expression in the language of `tsquery`. Every token stands in quotes and has neither quotes nor signs in it.
fn query_text(expression: &Expression) -> String {
    let phrase = |phrase: &Phrase| {
        let tokens: Vec<String> = phrase.iter().map(|token| format!("'{token}'")).collect();
        format!("({})", tokens.join(" <-> "))
    };
    let any = |phrases: &[Phrase]| format!("({})", phrases.iter().map(phrase).collect::<Vec<_>>().join(" | "));
    let wanted = expression.wanted.iter().map(|phrases| any(phrases)).collect::<Vec<_>>().join(" & ");
    if expression.unwanted.is_empty() { wanted } else { format!("({wanted}) & !{}", any(&expression.unwanted)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn q_01_the_expression_is_made_of_quoted_tokens() {
        let phrase = |text: &str| text.split(' ').map(str::to_owned).collect::<Phrase>();
        let expression = Expression {
            wanted: vec![vec![phrase("fa fb"), phrase("ea eb")], vec![phrase("tcrash")]],
            unwanted: vec![phrase("fx")],
        };
        assert_eq!(query_text(&expression), "((('fa' <-> 'fb') | ('ea' <-> 'eb')) & (('tcrash'))) & !(('fx'))");
    }
}
