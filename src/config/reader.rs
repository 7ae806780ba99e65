//! Takes values out of the file and the variables by key, and collects what is wrong: bad values where they are asked
//! for, and at the end every key that nobody asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use toml::de::{DeTable, DeValue};

use super::Problem;
use crate::secret::Secret;

/// A value with the line it stands on.
struct Entry {
    value: Option<String>,
    list: Option<Vec<String>>,
    line: usize,
}

/// The settings while they are being read.
pub struct Reader {
    entries: BTreeMap<String, Entry>,
    variables: BTreeMap<String, String>,
    asked: BTreeSet<String>,
    problems: Vec<Problem>,
}

impl Reader {
    pub fn new(source: &str, variables: BTreeMap<String, String>) -> Reader {
        let mut reader = Reader { entries: BTreeMap::new(), variables, asked: BTreeSet::new(), problems: Vec::new() };
        let (table, errors) = DeTable::parse_recoverable(source);
        for error in errors {
            let line = error.span().map(|span| line_of(source, span.start));
            reader.problems.push(Problem {
                key: "the file".to_owned(),
                line,
                text: format!("this is not TOML: {}", error.message()),
            });
        }
        reader.add_table(source, "", table.get_ref());
        reader
    }

    fn add_table(&mut self, source: &str, prefix: &str, table: &DeTable<'_>) {
        for (key, value) in table {
            let name =
                if prefix.is_empty() { key.get_ref().to_string() } else { format!("{prefix}.{}", key.get_ref()) };
            match value.get_ref() {
                DeValue::Table(inner) => self.add_table(source, &name, inner),
                other => {
                    let entry = Entry {
                        value: scalar(other),
                        list: other.as_array().map(|array| array.iter().filter_map(|v| scalar(v.get_ref())).collect()),
                        line: line_of(source, key.span().start),
                    };
                    self.entries.insert(name, entry);
                }
            }
        }
    }

    /// A text, from the variable if there is one, else from the file.
    pub fn text(&mut self, key: &str) -> Option<String> {
        self.asked.insert(key.to_owned());
        if let Some(value) = self.variables.get(&variable_of(key)) {
            return Some(value.clone());
        }
        let entry = self.entries.get(key)?;
        match &entry.value {
            Some(value) => Some(value.clone()),
            None => {
                self.problem(key, "one value is wanted here, not a list or a table");
                None
            }
        }
    }

    /// A value that is parsed from its text; `wanted` completes «must be …».
    pub fn value<T: FromStr>(&mut self, key: &str, wanted: &str, default: T) -> T {
        let Some(text) = self.text(key) else { return default };
        match text.parse() {
            Ok(value) => value,
            Err(_) => {
                self.problem(key, &format!("must be {wanted}; «{text}» is not"));
                default
            }
        }
    }

    /// A whole number between `least` and `most`.
    pub fn number(&mut self, key: &str, least: u64, most: u64, default: u64) -> u64 {
        let wanted = format!("a whole number from {least} to {most}");
        let number = self.value(key, &wanted, default);
        if (least..=most).contains(&number) {
            return number;
        }
        self.problem(key, &format!("must be {wanted}; {number} is not"));
        default
    }

    /// Yes or no.
    pub fn flag(&mut self, key: &str, default: bool) -> bool {
        self.value(key, "true or false", default)
    }

    /// One of a few words.
    pub fn choice<T: Copy>(&mut self, key: &str, choices: &[(&str, T)], default: T) -> T {
        let Some(text) = self.text(key) else { return default };
        if let Some((_, value)) = choices.iter().find(|(name, _)| *name == text) {
            return *value;
        }
        let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
        self.problem(key, &format!("must be one of {}; «{text}» is not", names.join(", ")));
        default
    }

    /// A secret, given as it is or, with `_file` appended to the key, as the path of a file that holds it.
    pub fn secret(&mut self, key: &str) -> Option<Secret<String>> {
        let direct = self.text(key);
        let file_key = format!("{key}_file");
        let file = self.text(&file_key);
        match (direct, file) {
            (Some(_), Some(_)) => {
                self.problem(&file_key, &format!("{key} is set as well; keep one of the two"));
                None
            }
            (Some(value), None) => Some(Secret::new(value)),
            (None, Some(path)) => match std::fs::read_to_string(&path) {
                Ok(value) => Some(Secret::new(value.trim_end_matches(['\r', '\n']).to_owned())),
                Err(error) => {
                    self.problem(&file_key, &format!("the file {path} cannot be read ({error})"));
                    None
                }
            },
            (None, None) => None,
        }
    }

    /// The names of the tables within the table `key`, in the file or in variables; in a variable a name ends at the first `_`.
    pub fn names(&self, key: &str) -> BTreeSet<String> {
        let prefix = format!("{key}.");
        let of_file = self.entries.keys().filter_map(|entry| entry.strip_prefix(&prefix));
        let of_file = of_file.filter_map(|rest| rest.split_once('.')).map(|(name, _)| name.to_owned());
        let prefix = variable_of(&prefix);
        let of_variables = self.variables.keys().filter_map(|variable| variable.strip_prefix(&prefix));
        let of_variables =
            of_variables.filter_map(|rest| rest.split_once('_')).map(|(name, _)| name.to_ascii_lowercase());
        of_file.chain(of_variables).collect()
    }

    /// A list of texts; in a variable they are separated by commas.
    pub fn list(&mut self, key: &str) -> Vec<String> {
        self.asked.insert(key.to_owned());
        if let Some(value) = self.variables.get(&variable_of(key)) {
            return value.split(',').map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect();
        }
        match self.entries.get(key) {
            None => Vec::new(),
            Some(Entry { list: Some(list), .. }) => list.clone(),
            Some(_) => {
                self.problem(key, "a list is wanted here, as in [\"one\", \"two\"]");
                Vec::new()
            }
        }
    }

    /// Notes that the value of `key` is wrong.
    pub fn problem(&mut self, key: &str, text: &str) {
        let variable = variable_of(key);
        let from_variable = self.variables.contains_key(&variable);
        let line = if from_variable { None } else { self.entries.get(key).map(|entry| entry.line) };
        let key = if from_variable { variable } else { key.to_owned() };
        self.problems.push(Problem { key, line, text: text.to_owned() });
    }

    /// Everything wrong, by line; keys that nobody asked for are wrong too.
    pub fn finish(mut self) -> Vec<Problem> {
        for (key, entry) in &self.entries {
            if !self.asked.contains(key) {
                self.problems.push(Problem {
                    key: key.clone(),
                    line: Some(entry.line),
                    text: "there is no such setting; see README, «Install»".to_owned(),
                });
            }
        }
        let known: BTreeSet<String> = self.asked.iter().map(|key| variable_of(key)).collect();
        for name in self.variables.keys() {
            // Variables for tests and tools share the prefix; these are not settings.
            if !known.contains(name) && !name.starts_with("ACCORD_TEST_") {
                self.problems.push(Problem {
                    key: name.clone(),
                    line: None,
                    text: "no setting has this variable; see README, «Install»".to_owned(),
                });
            }
        }
        self.problems.sort_by_key(|problem| problem.line.unwrap_or(usize::MAX));
        self.problems
    }
}

fn scalar(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => Some(number.as_str().replace('_', "")),
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        DeValue::Boolean(flag) => Some(flag.to_string()),
        DeValue::Datetime(time) => Some(time.to_string()),
        DeValue::Array(_) | DeValue::Table(_) => None,
    }
}

fn variable_of(key: &str) -> String {
    format!("ACCORD_{}", key.replace('.', "_").to_ascii_uppercase())
}

fn line_of(source: &str, offset: usize) -> usize {
    source.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count() + 1
}
