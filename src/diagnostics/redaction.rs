//! What is taken out of captured records before they are kept: fields that the manifest does not list, fields whose name
//! says that they hold a secret, and in what is left everything that looks like one (CN-09). Pure, and linear in the
//! length of the text: in doubt a value is masked, for nobody misses what they were not to see.
//!
//! In this order: the list of fields, the names, the patterns of values, the length. Each record says which rules masked
//! what in it. Values that must correlate get a tag instead, an HMAC under a key of the grant, which dies with it.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};

use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

use crate::cards;
use crate::consent::manifest::Manifest;
use crate::consent::scope::{Channel, Component, Scope};
use crate::db::types::text_enum;
use crate::diagnostics::record::{Body, FIELDS, Field, Record, VALUE_BYTES, Value};
use crate::secret::base32_lower;
use crate::secret::locked::LockedKey;

mod numbers;
mod patterns;
mod sql;
mod urls;

text_enum! {
    /// Why something was masked.
    pub enum Rule {
        /// The manifest does not list the field; it is left out.
        Unlisted = "unlisted",
        /// The field's name says that it holds a secret.
        Name = "name",
        /// A private key, or another block of PEM.
        PrivateKey = "private_key",
        /// Name and password in the address of a server.
        Login = "login",
        /// `password=…`, `Cookie: …` and the like within a text.
        Assigned = "secret",
        Jwt = "jwt",
        /// What follows `Bearer` or `Basic`.
        Bearer = "bearer",
        /// A token of one of the services that begin theirs in a way of their own.
        Token = "token",
        /// Literals in a statement to a database.
        Sql = "sql",
        /// Values after the question mark of an address.
        Query = "query",
        Email = "email",
        /// The number of a bank account.
        Iban = "iban",
        /// The number of a payment card.
        Card = "card",
        /// A long word that nobody would choose.
        Random = "random",
        /// Longer than what is kept.
        Length = "length",
    }
}

/// How often each rule did something.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hits(BTreeMap<Rule, u64>);

impl Hits {
    pub fn add(&mut self, rule: Rule, count: u64) {
        if count > 0 {
            *self.0.entry(rule).or_default() += count;
        }
    }

    pub fn of(&self, rule: Rule) -> u64 {
        self.0.get(&rule).copied().unwrap_or_default()
    }

    pub fn iter(&self) -> impl Iterator<Item = (Rule, u64)> {
        self.0.iter().map(|(rule, count)| (*rule, *count))
    }
}

/// A record as it may be kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Redacted {
    pub record: Record,
    /// Which rules masked something in which field; the name of a span is its field `name`, and so on.
    pub masked: Vec<Mark>,
    /// How many fields were left out because the manifest does not list them.
    pub left_out: u32,
}

/// A rule that masked something in a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    pub field: String,
    pub rule: Rule,
}

/// Redacts the records of one grant.
pub struct Redactor {
    parts: Vec<Part>,
    /// What tags are made with.
    key: LockedKey,
    /// What came of Accord's own statements, by the hash of each: the same few hundred make most of a capture.
    statements: RefCell<HashMap<[u8; 32], Outcome>>,
}

/// Statements whose outcome is remembered; when there are more, all are forgotten.
const STATEMENTS: usize = 512;

/// What came of a text.
#[derive(Clone, Debug, Default)]
struct Outcome {
    /// What is kept instead of it, and whether that is cut; nothing when it stays as it is.
    kept: Option<(String, bool)>,
    /// Which rules found something, and how often.
    hits: Vec<(Rule, u64)>,
}

/// What a component may record, and how closely it is looked at.
struct Part {
    component: Component,
    level: u8,
    /// The fields that the manifest lists, and whether their names say that they hold secrets.
    names: HashMap<String, bool>,
}

impl Redactor {
    /// Keeps what `scope` covers and `manifest` lists, and nothing else.
    pub fn new(scope: &Scope, manifest: &Manifest, key: LockedKey) -> Redactor {
        let part = |(component, names): &(Component, Vec<String>)| {
            let scope = scope.components.iter().find(|part| part.component == *component)?;
            let level = u8::try_from(scope.level as usize + 1).ok()?;
            let names = names.iter().map(|name| (name.clone(), patterns::is_secret_name(name))).collect();
            Some(Part { component: *component, level, names })
        };
        Redactor { parts: manifest.parts().iter().filter_map(part).collect(), key, statements: RefCell::default() }
    }

    /// The record as it may be kept; nothing when the scope does not cover it. A gap always is.
    pub fn redact(&self, channel: Channel, mut record: Record, hits: &mut Hits) -> Option<Redacted> {
        let mut found = Found { hits, masked: Vec::new() };
        let left_out = match &mut record {
            Record::Event(event) => self.redact_body(channel, &mut event.body, &mut found)?,
            Record::Span(span) => self.redact_body(channel, &mut span.body, &mut found)?,
            Record::Gap(_) => 0,
        };
        Some(Redacted { record, masked: found.masked, left_out })
    }

    fn redact_body(&self, channel: Channel, body: &mut Body, found: &mut Found<'_>) -> Option<u32> {
        let part = self.part(channel, &body.target)?;
        if body.level.number() > part.level {
            return None;
        }
        let before = body.fields.len();
        body.fields.retain(|field| part.names.contains_key(&field.name));
        if body.fields.len() > FIELDS {
            body.fields.truncate(FIELDS);
            body.is_cut = true;
        }
        let left_out = before - body.fields.len();
        found.hits.add(Rule::Unlisted, left_out as u64);
        for field in &mut body.fields {
            let is_secret = part.names.get(&field.name).is_none_or(|is_secret| *is_secret);
            self.redact_field(channel, field, is_secret, found);
        }
        if channel == Channel::Otlp {
            // Accord's own are constants; a product may say anything there.
            for (name, text) in [("target", &mut body.target), ("name", &mut body.name), ("file", &mut body.file)] {
                let outcome = self.redact_text(channel, name, text, false);
                found.note_all(name, &outcome.hits);
                if let Some((clean, _)) = outcome.kept {
                    *text = clean;
                }
            }
        }
        Some(u32::try_from(left_out).unwrap_or(u32::MAX))
    }

    /// The component that `target` belongs to, if it is in the scope.
    fn part(&self, channel: Channel, target: &str) -> Option<&Part> {
        let covers =
            |prefix: &&str| target.strip_prefix(*prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"));
        self.parts.iter().find(|part| match channel {
            Channel::Otlp => part.component == Component::Products,
            Channel::Server => part.component.targets().iter().any(&covers),
        })
    }

    fn redact_field(&self, channel: Channel, field: &mut Field, is_secret: bool, found: &mut Found<'_>) {
        if is_secret {
            field.value = Value::Text(mask(Rule::Name));
            field.is_cut = false;
            found.note(&field.name, Rule::Name, 1);
            return;
        }
        let is_card = match &field.value {
            Value::Text(text) => {
                let outcome = if channel == Channel::Server && patterns::is_statement_name(&field.name) {
                    self.redact_statement(&field.name, text, field.is_cut)
                } else {
                    self.redact_text(channel, &field.name, text, field.is_cut)
                };
                found.note_all(&field.name, &outcome.hits);
                if let Some((clean, is_cut)) = outcome.kept {
                    field.value = Value::Text(clean);
                    field.is_cut = is_cut;
                }
                return;
            }
            Value::Integer(number) => numbers::is_card(number.unsigned_abs()),
            Value::Unsigned(number) => numbers::is_card(*number),
            Value::Float(number) => numbers::is_card_as_float(*number),
            Value::Bool(_) => false,
        };
        if is_card {
            field.value = Value::Text(mask(Rule::Card));
            found.note(&field.name, Rule::Card, 1);
        }
    }

    /// [`Redactor::redact_text`] of a statement of Accord's own, looked at the first time it is seen.
    fn redact_statement(&self, name: &str, text: &str, was_cut: bool) -> Outcome {
        let hash = Sha256::new().chain_update([u8::from(was_cut)]).chain_update(text).finalize().into();
        let mut known = self.statements.borrow_mut();
        if known.len() >= STATEMENTS && !known.contains_key(&hash) {
            known.clear();
        }
        known.entry(hash).or_insert_with(|| self.redact_text(Channel::Server, name, text, was_cut)).clone()
    }

    /// The text without what the rules find in it.
    fn redact_text(&self, channel: Channel, name: &str, text: &str, was_cut: bool) -> Outcome {
        let mut hits = Vec::new();
        // Half a secret at the end is not recognized as one.
        let whole = if was_cut { without_broken_end(text) } else { text };
        let mut kept = Cow::Borrowed(whole);
        let mut length_hits = u64::from(whole.len() < text.len());
        let is_statement = patterns::is_statement_name(name);
        let suspected = patterns::suspect(whole);
        if is_statement || !suspected.is_empty() {
            for rule in patterns::ORDER {
                if !(suspected.has(*rule) || *rule == Rule::Sql && is_statement) {
                    continue;
                }
                let masked = match rule {
                    Rule::Sql => sql::mask(&kept, is_statement, channel == Channel::Server && is_statement),
                    Rule::Query => urls::mask(&kept),
                    Rule::Iban => replace(&kept, numbers::find_accounts(&kept), |_| mask(Rule::Iban)),
                    Rule::Card => {
                        let mut numbers = cards::find_numbers(&kept);
                        numbers.extend(numbers::find_undivided_cards(&kept));
                        replace(&kept, numbers, |_| mask(Rule::Card))
                    }
                    rule => replace(&kept, patterns::find(*rule, &kept), |value| self.mask_of(*rule, value)),
                };
                if let Some((clean, count)) = masked {
                    hits.push((*rule, count));
                    kept = Cow::Owned(clean);
                }
            }
        }
        if kept.len() > VALUE_BYTES {
            let mut end = VALUE_BYTES;
            while !kept.is_char_boundary(end) {
                end -= 1;
            }
            kept = Cow::Owned(kept[..end].to_owned());
            length_hits += 1;
        }
        if length_hits > 0 {
            hits.push((Rule::Length, length_hits));
        }
        let kept = match kept {
            Cow::Borrowed(same) if same.len() == text.len() => None,
            kept => Some((kept.into_owned(), was_cut || length_hits > 0)),
        };
        Outcome { kept, hits }
    }

    /// What stands for a value: a tag where it must be seen to be the same again, else only the rule.
    fn mask_of(&self, rule: Rule, value: &str) -> String {
        if !matches!(rule, Rule::Email | Rule::Jwt | Rule::Bearer | Rule::Token) {
            return mask(rule);
        }
        let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(self.key.expose()).expect("HMAC takes keys of any length");
        mac.update(rule.as_str().as_bytes());
        mac.update(&[0]);
        if rule == Rule::Email {
            mac.update(value.replace("%40", "@").to_lowercase().as_bytes());
        } else {
            mac.update(value.as_bytes());
        }
        format!("[{rule}:{}]", base32_lower().encode(&mac.finalize().into_bytes()[..5]))
    }
}

struct Found<'a> {
    hits: &'a mut Hits,
    masked: Vec<Mark>,
}

impl Found<'_> {
    fn note_all(&mut self, field: &str, hits: &[(Rule, u64)]) {
        for (rule, count) in hits {
            self.note(field, *rule, *count);
        }
    }

    fn note(&mut self, field: &str, rule: Rule, count: u64) {
        self.hits.add(rule, count);
        if !self.masked.iter().any(|mark| mark.rule == rule && mark.field == field) {
            self.masked.push(Mark { field: field.to_owned(), rule });
        }
    }
}

fn mask(rule: Rule) -> String {
    format!("[{rule}]")
}

/// How much of an end that was cut off is looked at for the beginning of the last word.
const BROKEN_END: usize = 128;

/// A text that was cut, without its last word, which may be the first half of a secret, and without digits before it.
fn without_broken_end(text: &str) -> &str {
    let mut from = text.len().saturating_sub(BROKEN_END);
    while !text.is_char_boundary(from) {
        from -= 1;
    }
    let end = text[from..].rfind(char::is_whitespace).map_or(from, |at| from + at);
    text[..end].trim_end_matches(|character: char| {
        character.is_numeric() || character.is_whitespace() || matches!(character, '-' | '.' | '/' | '_')
    })
}

/// `text` with each of `ranges` replaced, and how many there were; overlapping ones count once.
fn replace(
    text: &str,
    mut ranges: Vec<std::ops::Range<usize>>,
    with: impl Fn(&str) -> String,
) -> Option<(String, u64)> {
    if ranges.is_empty() {
        return None;
    }
    ranges.sort_by_key(|range| (range.start, std::cmp::Reverse(range.end)));
    let mut kept = String::with_capacity(text.len());
    let (mut done, mut count) = (0, 0);
    for range in ranges {
        if range.start >= done {
            kept.push_str(&text[done..range.start]);
            kept.push_str(&with(&text[range.clone()]));
            count += 1;
        }
        done = done.max(range.end);
    }
    kept.push_str(&text[done..]);
    Some((kept, count))
}

#[cfg(test)]
mod tests;
