//! Statements to databases without what they say of anybody: literals become question marks, comments go.

use std::sync::LazyLock;

use regex::Regex;

/// What a literal becomes.
const LITERAL: char = '?';

/// `text` without literals, and how many there were. In a text that is not a statement as a whole, what stands before
/// the statement stays. `names_in_quotes`: double quotes hold names and not text, as in what Accord itself writes.
pub fn mask(text: &str, is_statement: bool, names_in_quotes: bool) -> Option<(String, u64)> {
    let start = if is_statement { 0 } else { statement_in(text)? };
    let mut masking = Masking { rest: &text[start..], kept: String::with_capacity(text.len()), count: 0 };
    masking.kept.push_str(&text[..start]);
    while let Some(character) = masking.rest.chars().next() {
        masking.take(character, names_in_quotes);
    }
    (masking.count > 0).then_some((masking.kept, masking.count))
}

/// Where a statement begins in a message.
fn statement_in(text: &str) -> Option<usize> {
    static STATEMENT: LazyLock<Regex> = LazyLock::new(|| {
        let words = r"(?is)\b(?:select\b.*\b(?:from|where)\b|(?:insert|replace)\s+into\b|update\b.*\bset\b|delete\s+from\b|where\b.*[=<>])";
        Regex::new(words).expect("a constant pattern")
    });
    STATEMENT.find(text).map(|found| found.start())
}

struct Masking<'a> {
    rest: &'a str,
    kept: String,
    count: u64,
}

impl Masking<'_> {
    fn take(&mut self, character: char, names_in_quotes: bool) {
        let after_name = self.kept.ends_with(|last: char| last.is_alphanumeric() || matches!(last, '_' | '$' | '"'));
        match character {
            '\'' => self.drop_quoted('\''),
            '"' if names_in_quotes => {
                let length = self.rest[1..].find('"').map_or(self.rest.len(), |end| end + 2);
                self.keep(length);
            }
            '"' => self.drop_quoted('"'),
            '$' => self.take_dollar(),
            '-' if self.rest.starts_with("--") => self.drop_to(self.rest.find('\n').unwrap_or(self.rest.len()), None),
            '/' if self.rest.starts_with("/*") => {
                self.drop_to(self.rest.find("*/").map_or(self.rest.len(), |end| end + 2), None);
            }
            '0'..='9' if !after_name => {
                let is_number = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_');
                self.drop_to(self.rest.find(|c| !is_number(c)).unwrap_or(self.rest.len()), Some(LITERAL));
            }
            other => self.keep(other.len_utf8()),
        }
    }

    fn keep(&mut self, length: usize) {
        self.kept.push_str(&self.rest[..length]);
        self.rest = &self.rest[length..];
    }

    fn drop_to(&mut self, length: usize, mark: Option<char>) {
        self.rest = &self.rest[length..];
        self.kept.extend(mark);
        self.count += 1;
    }

    /// A literal in quotes; doubled quotes belong to it. One with a backslash ends where only its database knows, so the
    /// rest of the statement goes too.
    fn drop_quoted(&mut self, quote: char) {
        let mut end = 1;
        while let Some(at) = self.rest[end..].find([quote, '\\']) {
            end += at + 1;
            let is_doubled = self.rest[end..].starts_with(quote);
            match self.rest.as_bytes()[end - 1] {
                b'\\' => break,
                _ if is_doubled => end += 1,
                _ => return self.drop_to(end, Some(LITERAL)),
            }
        }
        self.drop_to(self.rest.len(), Some(LITERAL));
    }

    /// `$1` stays; `$tag$…$tag$` is a literal.
    fn take_dollar(&mut self) {
        let tag = self.rest[1..].find(|c: char| !(c.is_alphanumeric() || c == '_')).map(|end| end + 1);
        match tag {
            Some(end) if self.rest[end..].starts_with('$') => {
                let tag = &self.rest[..=end];
                let close = self.rest[tag.len()..].find(tag).map_or(self.rest.len(), |at| at + 2 * tag.len());
                self.drop_to(close, Some(LITERAL));
            }
            Some(end) => self.keep(end),
            None => self.keep(self.rest.len()),
        }
    }
}
