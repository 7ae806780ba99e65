//! The catalogue of what can be recorded (`src/diagnostics/catalogue/callsites.rs`) is what the source says: every event
//! and span with its target, level and fields. On a difference the whole list is printed as it should be.

use std::fs;
use std::path::{Path, PathBuf};

use accord::diagnostics::catalogue::{Callsite, Catalogue, Kind, Level};

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Found {
    target: String,
    level: Level,
    kind: Kind,
    name: String,
    fields: Vec<String>,
    file: String,
}

#[test]
fn every_event_and_span_of_the_source_is_in_the_catalogue_and_nothing_else_is() {
    let in_source = found_in_source();
    let mut listed: Vec<Found> = Catalogue::own().callsites().iter().map(as_found).collect();
    listed.sort();
    assert!(in_source.len() > 40, "the source was not read");
    assert!(listed == in_source, "callsites.rs should be:\n{}", as_source(&in_source));
}

#[test]
fn every_event_and_span_names_its_target_and_has_no_more_fields_than_can_be_consented_to() {
    for found in found_in_source() {
        assert!(found.target.starts_with("accord"), "{found:?}");
        assert!(found.fields.len() <= 32, "{found:?}");
    }
}

#[test]
fn nothing_in_the_build_takes_debug_events_out_of_the_program() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let lock = fs::read_to_string(root().join("Cargo.lock")).unwrap();
    assert!(!manifest.contains("max_level_"));
    assert_eq!(lock.matches("name = \"tracing\"\n").count(), 1);
    // What is compiled here is what counts: a dependency may ask for it too.
    assert_eq!(tracing::level_filters::STATIC_MAX_LEVEL, tracing::level_filters::LevelFilter::TRACE);
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn as_found(callsite: &Callsite) -> Found {
    Found {
        target: callsite.target.to_owned(),
        level: callsite.level,
        kind: callsite.kind,
        name: callsite.name.to_owned(),
        fields: callsite.fields.iter().map(|field| (*field).to_owned()).collect(),
        file: callsite.file.to_owned(),
    }
}

fn found_in_source() -> Vec<Found> {
    let mut files = Vec::new();
    collect(&root().join("src"), &mut files);
    let mut found: Vec<Found> = files.iter().flat_map(|file| found_in(file)).collect();
    found.sort();
    found.dedup();
    found
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("tests.rs") {
            files.push(path);
        }
    }
}

fn found_in(file: &Path) -> Vec<Found> {
    let text = fs::read_to_string(file).unwrap();
    let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
    let code: String = code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    let name = file.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
    let mut found = Vec::new();
    for (start, _) in code.match_indices("tracing::") {
        let rest = &code[start + "tracing::".len()..];
        let Some((word, _)) = rest.split_once('(') else { continue };
        let Some(word) = word.strip_suffix('!') else { continue };
        let (level, kind) = match word.strip_suffix("_span") {
            Some(level) => (level, Kind::Span),
            None => (word, Kind::Event),
        };
        // `enabled!`, `event!`, `span!`: only the first only asks.
        assert!(!matches!(level, "event" | "span"), "{name}: write the level into the macro's name");
        let Some(level) = Level::parse(level) else { continue };
        let arguments = arguments(&rest[word.len() + 2..]);
        found.push(read(&arguments, level, kind, &name));
    }
    found
}

/// The arguments of a call whose opening parenthesis was just read.
fn arguments(code: &str) -> Vec<String> {
    let mut arguments = vec![String::new()];
    let mut depth = 0;
    let mut in_text = false;
    let mut escaped = false;
    for character in code.chars() {
        let last = arguments.last_mut().unwrap();
        if in_text {
            last.push(character);
            in_text = escaped || character != '"';
            escaped = !escaped && character == '\\';
            continue;
        }
        match character {
            '"' => in_text = true,
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' if depth == 0 => break,
            ')' | ']' | '}' => depth -= 1,
            ',' if depth == 0 => {
                arguments.push(String::new());
                continue;
            }
            _ => {}
        }
        arguments.last_mut().unwrap().push(character);
    }
    arguments.iter().map(|argument| argument.trim().to_owned()).filter(|argument| !argument.is_empty()).collect()
}

fn read(arguments: &[String], level: Level, kind: Kind, file: &str) -> Found {
    let text = |argument: &str| argument.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).map(str::to_owned);
    let mut found =
        Found { target: String::new(), level, kind, name: String::new(), fields: Vec::new(), file: file.to_owned() };
    for argument in arguments {
        if let Some(target) = argument.strip_prefix("target:") {
            found.target = text(target.trim()).unwrap_or_else(|| panic!("{file}: {argument}"));
        } else if argument.starts_with("parent:") {
            continue;
        } else if let Some(text) = text(argument) {
            match kind {
                Kind::Span => found.name = text,
                // What follows the text fills it in.
                Kind::Event => {
                    found.fields.insert(0, "message".to_owned());
                    break;
                }
            }
        } else {
            let (name, _) = argument.split_once('=').unwrap_or((argument, ""));
            let name = name.trim().trim_start_matches(['%', '?']);
            let is_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.');
            assert!(name.chars().all(is_name), "{file}: {argument} is no field");
            found.fields.push(name.to_owned());
        }
    }
    assert!(!found.target.is_empty(), "{file}: {arguments:?} has no target");
    found
}

fn as_source(found: &[Found]) -> String {
    let line = |found: &Found| {
        let Found { target, level, kind, name, fields, file } = found;
        let fields = fields.iter().map(|field| format!("{field:?}")).collect::<Vec<_>>().join(", ");
        match kind {
            Kind::Event => format!("    event({target:?}, Level::{level:?}, &[{fields}], {file:?}),\n"),
            Kind::Span => format!("    span({target:?}, Level::{level:?}, {name:?}, &[{fields}], {file:?}),\n"),
        }
    };
    found.iter().map(line).collect()
}
