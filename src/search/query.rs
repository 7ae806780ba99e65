//! What somebody typed into the search box: words, `"phrases"`, `from:` `org:` `status:` `tag:`, and `-` before what
//! must not be there. Whatever else is typed is a word; nothing is an error.

use crate::search::stemming;
use crate::tickets::status::Status;
use crate::tickets::tags;

/// Characters of a query that are read.
const LONGEST: usize = 400;
/// Words, phrases and conditions of a query that are read.
const TERMS: usize = 24;

/// A query, read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SearchQuery {
    pub(super) terms: Vec<Term>,
    /// The statuses that the ticket may have, if the query says.
    pub(super) statuses: Option<Vec<Status>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Term {
    pub excluded: bool,
    pub what: What,
}

/// What is looked for; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// Folded words that follow each other; mostly one.
    Text(Vec<String>),
    /// Folded words of the author's name or address.
    From(Vec<String>),
    /// The beginning of an organisation's name.
    Organisation(String),
    /// A tag in the form it is kept.
    Tag(String),
}

impl SearchQuery {
    /// Reads what was typed.
    pub fn parse(text: &str) -> SearchQuery {
        // PostgreSQL takes no NUL in text, and nobody means one.
        let text = &text.replace('\0', " ");
        let mut query = SearchQuery::default();
        let text: String = text.chars().take(LONGEST).collect();
        let mut rest = text.trim_start();
        while !rest.is_empty() && query.terms.len() < TERMS {
            let (excluded, after_sign) = match rest.strip_prefix('-') {
                Some(after) if !after.starts_with(char::is_whitespace) => (true, after),
                _ => (false, rest),
            };
            let (key, value, remaining) = next_piece(after_sign);
            query.take(excluded, key, value);
            rest = remaining.trim_start();
        }
        query
    }

    /// Whether there is nothing to look for.
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty() && self.statuses.is_none()
    }

    /// The folded words that are looked for in texts.
    pub(super) fn text_words(&self) -> Vec<String> {
        let wanted = self.terms.iter().filter(|term| !term.excluded);
        wanted
            .filter_map(|term| match &term.what {
                What::Text(words) => Some(words.clone()),
                _ => None,
            })
            .flatten()
            .collect()
    }

    fn take(&mut self, excluded: bool, key: Option<&str>, value: &str) {
        let what = match key {
            Some("status") => {
                if let Some(named) = status_named(value) {
                    let allowed = self.statuses.take().unwrap_or_else(|| Status::ALL.to_vec());
                    let fits = |status: &Status| (*status == named) != excluded;
                    self.statuses = Some(allowed.into_iter().filter(fits).collect());
                    return;
                }
                None
            }
            Some("from") => Some(stemming::words(value)).filter(|words| !words.is_empty()).map(What::From),
            Some("org") => {
                Some(value.trim()).filter(|name| !name.is_empty()).map(|name| What::Organisation(name.to_owned()))
            }
            Some("tag") => tags::normalize(value).map(What::Tag),
            _ => None,
        };
        let what = what.or_else(|| {
            let words = match key {
                Some(key) => stemming::words(&format!("{key} {value}")),
                None => stemming::words(value),
            };
            (!words.is_empty()).then_some(What::Text(words))
        });
        if let Some(what) = what {
            self.terms.push(Term { excluded, what });
        }
    }
}

/// The next `word`, `"phrase"`, `key:word` or `key:"phrase"` at the beginning of `text`, and what comes after it.
fn next_piece(text: &str) -> (Option<&str>, &str, &str) {
    let key_end = text.find(|c: char| !c.is_ascii_lowercase()).unwrap_or(text.len());
    let (key, value) = match text[key_end..].strip_prefix(':') {
        Some(value) if matches!(&text[..key_end], "from" | "org" | "status" | "tag") => (Some(&text[..key_end]), value),
        _ => (None, text),
    };
    if let Some(quoted) = value.strip_prefix(['"', '«', '“', '”']) {
        let closing = quoted.find(['"', '»', '“', '”']).unwrap_or(quoted.len());
        let remaining = quoted[closing..].chars().next().map_or("", |sign| &quoted[closing + sign.len_utf8()..]);
        return (key, &quoted[..closing], remaining);
    }
    let end = value.find(char::is_whitespace).unwrap_or(value.len());
    (key, &value[..end], &value[end..])
}

/// The status somebody means, by its own name or by what people call it in either language.
fn status_named(text: &str) -> Option<Status> {
    let folded = stemming::words(text).join("_");
    Status::parse(&folded).or(match folded.as_str() {
        "open" | "us" | "waiting" | "ouvert" | "ouverte" | "nous" => Some(Status::WaitingForUs),
        "customer" | "client" | "waiting_customer" => Some(Status::WaitingForCustomer),
        "ferme" | "fermee" | "clos" | "close" | "done" | "solved" | "resolu" => Some(Status::Closed),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(words: &[&str]) -> What {
        What::Text(words.iter().map(|word| (*word).to_owned()).collect())
    }

    fn wanted(what: What) -> Term {
        Term { excluded: false, what }
    }

    #[test]
    fn words_phrases_and_conditions_are_told_apart() {
        let query = SearchQuery::parse(
            r#"Imprimante "page blanche" from:jean@exemple.fr org:"Atelier Durand" tag:Crash -essai status:closed"#,
        );
        let from = What::From(["jean", "exemple", "fr"].map(str::to_owned).to_vec());
        assert_eq!(
            query.terms,
            [
                wanted(text(&["imprimante"])),
                wanted(text(&["page", "blanche"])),
                wanted(from),
                wanted(What::Organisation("Atelier Durand".to_owned())),
                wanted(What::Tag("crash".to_owned())),
                Term { excluded: true, what: text(&["essai"]) },
            ]
        );
        assert_eq!(query.statuses, Some(vec![Status::Closed]));
    }

    #[test]
    fn whatever_else_is_typed_is_a_word() {
        assert_eq!(SearchQuery::parse("subject:x").terms, [wanted(text(&["subject", "x"]))]);
        assert_eq!(SearchQuery::parse("status:odd").terms, [wanted(text(&["status", "odd"]))]);
        assert_eq!(SearchQuery::parse("from: x").terms, [wanted(text(&["from"])), wanted(text(&["x"]))]);
        assert_eq!(SearchQuery::parse("ERR-1234 4.2.1").terms[0], wanted(text(&["err", "1234"])));
        assert_eq!(SearchQuery::parse(r#""open phrase"#).terms, [wanted(text(&["open", "phrase"]))]);
        for nothing in ["", "  ", "-", "--", "\"\"", "!!! ???", "from:", "-\"", "«"] {
            let query = SearchQuery::parse(nothing);
            assert!(query.terms.iter().all(|term| term.what == text(&["from"])), "{nothing}: {query:?}");
        }
    }

    #[test]
    fn statuses_are_named_in_either_language() {
        let statuses = |text| SearchQuery::parse(text).statuses;
        assert_eq!(statuses("status:waiting_for_customer"), Some(vec![Status::WaitingForCustomer]));
        assert_eq!(statuses("status:fermé"), Some(vec![Status::Closed]));
        assert_eq!(statuses("-status:closed"), Some(vec![Status::WaitingForUs, Status::WaitingForCustomer]));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn reading_a_query_never_fails(text in ".{0,200}") {
            let query = SearchQuery::parse(&text);
            prop_assert!(query.terms.len() <= TERMS);
        }
    }
}
