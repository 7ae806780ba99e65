//! The rules of the house, read from its own source: which module may name which, who writes which table, where the
//! libraries for HTTP, SQL and mail may appear, and that both languages say the same things. The table of ranks is the
//! one that the crate's documentation shows.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Every module with its rank; a module names only lower ranks.
const RANKS: &[(u8, &[&str])] = &[
    (0, &["cards", "clock", "gate", "html", "secret", "stumbling"]),
    (1, &["carry", "i18n"]),
    (2, &["error"]),
    (3, &["config"]),
    (4, &["db", "mail"]),
    (5, &["audit", "keys", "queue", "schedule", "settings", "storage", "throttle"]),
    (6, &["journal", "outbox", "people"]),
    (7, &["access", "teams"]),
    (8, &["tickets"]),
    (9, &["consent", "notifications", "search"]),
    (10, &["diagnostics", "intake"]),
    (11, &["privacy"]),
    (12, &["backup", "reactions"]),
    (13, &["app"]),
    (14, &["demo", "web", "worker"]),
    (15, &["cli"]),
];

/// Who of one rank may name whom of the same rank.
const BESIDE: &[(&str, &str)] = &[
    // A membership needs the roles that access reads; teams asks access nothing.
    ("access", "teams"),
    // Both serve: background work and requests share what is seen of the program from outside.
    ("worker", "web"),
];

/// Which module writes each table. A table without an owner fails.
const OWNERS: &[(&str, &str)] = &[
    ("api_tokens", "people"),
    ("audit_details", "audit"),
    ("audit_ledger", "audit"),
    ("connection_contexts", "tickets"),
    ("consent_events", "consent"),
    ("consent_grants", "consent"),
    ("consent_links", "consent"),
    ("consent_receipts", "consent"),
    ("consent_requests", "consent"),
    ("consent_wordings", "consent"),
    ("environment_components", "people"),
    ("environments", "people"),
    ("idempotency_keys", "tickets"),
    ("imap_accounts", "journal"),
    ("imap_folders", "journal"),
    ("imap_mails", "journal"),
    ("jobs", "queue"),
    ("journal", "journal"),
    ("mailboxes", "teams"),
    ("memberships", "people"),
    ("one_time_tokens", "people"),
    ("organisations", "people"),
    ("outbox", "outbox"),
    ("owed_scrubs", "diagnostics"),
    ("passwords", "people"),
    ("people", "people"),
    ("person_addresses", "people"),
    ("planned_answers", "tickets"),
    ("round_trips", "intake"),
    ("queue_members", "teams"),
    ("queues", "teams"),
    ("reading_records", "diagnostics"),
    ("recurring_runs", "schedule"),
    ("sampling_keys", "diagnostics"),
    ("search_documents", "search"),
    ("sending_domains", "people"),
    ("sessions", "people"),
    ("settings", "settings"),
    ("sites", "people"),
    ("staff_member_roles", "people"),
    ("staff_members", "people"),
    ("staff_roles", "people"),
    ("throttles", "throttle"),
    ("thrown_away_files", "tickets"),
    ("ticket_attachments", "tickets"),
    ("ticket_contacts", "tickets"),
    ("ticket_events", "tickets"),
    ("ticket_links", "tickets"),
    ("ticket_mail_ids", "tickets"),
    ("ticket_messages", "tickets"),
    ("ticket_participants", "tickets"),
    ("ticket_tags", "tickets"),
    ("tickets", "tickets"),
    ("trace_chunks", "diagnostics"),
    ("trace_counters", "diagnostics"),
    ("trace_keys", "diagnostics"),
];

struct Source {
    /// Relative to `src/`, as in `tickets/opening.rs`.
    path: String,
    /// The top-level module it belongs to.
    module: String,
    /// Without comments and unit tests, whether those stand at its end or in a file `tests.rs`.
    code: String,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn files_below(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_below(&path, extension));
        } else if path.extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn sources() -> Vec<Source> {
    let folder = root().join("src");
    files_below(&folder, "rs")
        .into_iter()
        .map(|file| {
            let path = file.strip_prefix(&folder).unwrap().to_string_lossy().into_owned();
            let module = path.split(['/', '.']).next().unwrap().to_owned();
            let text = fs::read_to_string(&file).unwrap();
            let text = text.split("#[cfg(test)]\nmod tests").next().unwrap();
            let code = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
            Source { path, module, code }
        })
        .filter(|source| !matches!(source.path.as_str(), "lib.rs" | "main.rs") && !source.path.ends_with("/tests.rs"))
        .collect()
}

fn rank(module: &str) -> Option<u8> {
    RANKS.iter().find(|(_, modules)| modules.contains(&module)).map(|(rank, _)| *rank)
}

/// The top-level modules that a file names through `crate::`.
fn named(code: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for rest in code.split("crate::").skip(1) {
        if let Some(group) = rest.strip_prefix('{') {
            // `use crate::{a, b::c}`: only names at the start of an item count.
            let mut depth = 0;
            let mut item = String::new();
            for character in group.chars() {
                match character {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => {
                        names.insert(first_word(&item));
                        item.clear();
                    }
                    other if depth == 0 => item.push(other),
                    _ => {}
                }
            }
            names.insert(first_word(&item));
        } else {
            names.insert(first_word(rest));
        }
    }
    names.remove("");
    names
}

fn first_word(text: &str) -> String {
    text.trim_start().chars().take_while(|character| character.is_alphanumeric() || *character == '_').collect()
}

#[test]
fn every_module_has_a_rank() {
    for source in sources() {
        assert!(rank(&source.module).is_some(), "{} belongs to no rank", source.path);
    }
}

#[test]
fn rule_1_a_module_names_only_lower_ranks() {
    let mut broken = Vec::new();
    for source in sources() {
        let own = rank(&source.module).unwrap_or(0);
        for name in named(&source.code) {
            let Some(other) = rank(&name) else { continue };
            let beside = BESIDE.contains(&(source.module.as_str(), name.as_str()));
            if name != source.module && other >= own && !beside {
                broken.push(format!("{} (rank {own}) names {name} (rank {other})", source.path));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

/// Asserts that `word` stands only in files for which `allowed` holds.
fn only_in(word: &str, allowed: impl Fn(&Source) -> bool) {
    let broken: Vec<_> = sources()
        .into_iter()
        .filter(|source| !allowed(source) && contains_word(&source.code, word))
        .map(|source| source.path)
        .collect();
    assert!(broken.is_empty(), "{word} stands in {broken:?}");
}

fn contains_word(code: &str, word: &str) -> bool {
    let boundary = |character: Option<char>| character.is_none_or(|c| !(c.is_alphanumeric() || c == '_'));
    code.match_indices(word).any(|(start, _)| {
        boundary(code[..start].chars().next_back()) && boundary(code[start + word.len()..].chars().next())
    })
}

#[test]
fn rule_2_http_stays_in_web() {
    // `cli` runs the server's event loop.
    only_in("actix_web", |source| source.module == "web" || source.module == "cli");
}

#[test]
fn rule_3_sql_stays_below_the_application() {
    only_in("diesel", |source| (4..=12).contains(&rank(&source.module).unwrap_or(0)) || source.path == "clock.rs");
}

#[test]
fn rule_4_a_table_is_written_by_its_owner_only() {
    let schema = fs::read_to_string(root().join("src/db/schema.rs")).unwrap();
    let tables: BTreeSet<&str> =
        schema.split("diesel::table! {\n    ").skip(1).filter_map(|rest| rest.split(' ').next()).collect();
    let owners: BTreeMap<&str, &str> = OWNERS.iter().copied().collect();
    let owned: BTreeSet<&str> = owners.keys().copied().collect();
    assert_eq!(tables, owned, "every table has one owner, and every owner a table");
    let mut broken = Vec::new();
    for source in sources() {
        for verb in ["insert_into(", "update(", "delete(", "insert_all("] {
            for rest in source.code.split(verb).skip(1) {
                let table = first_word(rest.trim_start().trim_start_matches("schema::"));
                if let Some(owner) = owners.get(table.as_str())
                    && *owner != source.module
                {
                    broken.push(format!("{} writes {table}, which belongs to {owner}", source.path));
                }
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn rule_5_backends_are_told_apart_in_db_and_search_only() {
    for word in ["DbConnection::Sqlite", "DbConnection::Postgres"] {
        only_in(word, |source| source.module == "db" || source.module == "search");
    }
}

#[test]
fn rule_6_the_pool_is_held_by_the_outside_only() {
    only_in("Database", |source| {
        matches!(source.module.as_str(), "db" | "app" | "web" | "worker" | "cli" | "demo")
            || source.path.ends_with("delivery.rs")
    });
}

#[test]
fn rule_7_nothing_is_async_below_the_application() {
    only_in("async fn", |source| rank(&source.module).unwrap_or(0) >= 13 || source.path == "db/database.rs");
}

#[test]
fn rule_10_mail_libraries_stay_in_their_files() {
    only_in("lettre", |source| matches!(source.path.as_str(), "mail/outgoing.rs" | "mail/transport/smtp.rs"));
    only_in("mail_auth", |source| {
        matches!(source.path.as_str(), "config/dkim.rs" | "mail/dkim.rs" | "mail/setup_check.rs")
            || source.path.starts_with("mail/sender_check")
    });
    // DNSSEC is switched on nowhere, see deny.toml; `sender_check` says of both that it stays off.
    only_in("trust_anchor", |source| source.path == "mail/sender_check/name_servers.rs");
    only_in("hickory_resolver", |source| {
        source.path == "mail/setup_check.rs" || source.path.starts_with("mail/sender_check")
    });
    only_in("mailparse", |source| matches!(source.path.as_str(), "mail/incoming.rs" | "mail/incoming/bodies.rs"));
}

#[test]
fn rule_11_templates_are_rendered_at_the_edge() {
    only_in("Template", |source| source.module == "web" || source.path.starts_with("notifications/"));
}

#[test]
fn rule_12_both_databases_have_the_same_migrations() {
    let names = |backend: &str| -> BTreeSet<String> {
        fs::read_dir(root().join("migrations").join(backend))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    };
    assert_eq!(names("sqlite"), names("postgres"));
}

#[test]
fn rule_13_both_languages_say_the_same_things() {
    let french = catalogue("fr");
    let english = catalogue("en");
    let (in_french, in_english): (BTreeSet<_>, BTreeSet<_>) = (french.keys().collect(), english.keys().collect());
    let only_french: Vec<_> = in_french.difference(&in_english).collect();
    let only_english: Vec<_> = in_english.difference(&in_french).collect();
    assert!(
        only_french.is_empty() && only_english.is_empty(),
        "only French: {only_french:?}; only English: {only_english:?}"
    );
    for (key, text) in &french {
        assert_eq!(placeholders(text), placeholders(&english[key]), "{key} takes other values in each language");
    }
}

#[test]
fn rule_13_every_text_that_is_used_exists() {
    let catalogue = catalogue("fr");
    let mut missing = BTreeSet::new();
    for file in
        files_below(&root().join("templates"), "html").into_iter().chain(files_below(&root().join("templates"), "txt"))
    {
        let text = without_comments(&fs::read_to_string(&file).unwrap());
        for before in ["t.say(\"", "t.with(\"", "t.with2(\"", "t.count(\""] {
            for key in text.split(before).skip(1).filter_map(|rest| rest.split('"').next()) {
                if !catalogue.contains_key(key) {
                    missing.insert(format!("{key} in {}", file.display()));
                }
            }
        }
    }
    for source in sources() {
        for before in [
            ".say(\"",
            ".with(\"",
            ".with2(\"",
            ".count(\"",
            "Message::new(\"",
            "redirect_saying(",
            "key: \"",
            ".page(&app, \"",
        ] {
            for rest in source.code.split(before).skip(1) {
                let key = if before == "redirect_saying(" {
                    let Some(call) = rest.split(';').next() else { continue };
                    let Some(key) = call.split('"').find(|part| part.starts_with("said-")) else { continue };
                    key
                } else {
                    rest.split('"').next().unwrap_or_default()
                };
                // Keys have a hyphen; other words after the same call are not keys.
                if key.contains('-') && !key.contains([' ', '/', '{']) && !catalogue.contains_key(key) {
                    missing.insert(format!("{key} in {}", source.path));
                }
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

/// The list of what is wrong with a form names each field, or five of them would all be "mandatory".
#[test]
fn rule_13_every_field_that_can_be_wrong_has_a_name() {
    let catalogue = catalogue("fr");
    let mut missing = BTreeSet::new();
    for source in sources() {
        for before in ["errors.add(\"", "Error::invalid(\"", "(&mut errors, \"", "(errors, \""] {
            for field in source.code.split(before).skip(1).filter_map(|rest| rest.split('"').next()) {
                if !field.is_empty() && !catalogue.contains_key(&format!("field-name-{}", field.replace('_', "-"))) {
                    missing.insert(format!("{field} in {}", source.path));
                }
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn no_text_stands_twice_in_the_catalogue() {
    for language in ["fr", "en"] {
        let mut seen = BTreeSet::new();
        for file in files_below(&root().join("templates/locales").join(language), "ftl") {
            for line in fs::read_to_string(&file).unwrap().lines() {
                if let Some((key, _)) = line.split_once(" =")
                    && is_key(key)
                {
                    assert!(seen.insert(key.to_owned()), "{key} stands twice in {language}");
                }
            }
        }
    }
}

/// French sets `:`, `;`, `?`, `!`, `»` and `%` apart from the word before them, and `«` from the one after it, by a space at
/// which no line breaks: U+00A0, the same one everywhere.
#[test]
fn no_french_text_breaks_before_its_punctuation() {
    let mut wrong = Vec::new();
    for file in files_below(&root().join("templates/locales/fr"), "ftl") {
        for line in fs::read_to_string(&file).unwrap().lines().filter(|line| !line.starts_with('#')) {
            let breaks = [" :", " ;", " ?", " !", " »", " %", "« "].iter().any(|mark| line.contains(mark));
            if breaks || line.contains('\u{202f}') {
                wrong.push(line.to_owned());
            }
        }
    }
    assert!(wrong.is_empty(), "an ordinary space, or a narrow one, in {wrong:#?}");
}

/// A template without its comments, in which partials show how they are used.
fn without_comments(text: &str) -> String {
    let (mut kept, mut depth, mut rest) = (String::new(), 0, text);
    while let Some(at) = rest.find(['{', '#']) {
        if depth == 0 {
            kept.push_str(&rest[..at]);
        }
        rest = &rest[at..];
        if rest.starts_with("{#") {
            depth += 1;
            rest = &rest[2..];
        } else if rest.starts_with("#}") && depth > 0 {
            depth -= 1;
            rest = &rest[2..];
        } else {
            if depth == 0 {
                kept.push_str(&rest[..1]);
            }
            rest = &rest[1..];
        }
    }
    if depth == 0 {
        kept.push_str(rest);
    }
    kept
}

fn is_key(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.chars().all(|character| character.is_ascii_alphanumeric() || character == '-')
}

/// Key to text, over all areas of a language.
fn catalogue(language: &str) -> BTreeMap<String, String> {
    let mut texts: BTreeMap<String, String> = BTreeMap::new();
    for file in files_below(&root().join("templates/locales").join(language), "ftl") {
        let mut current: Option<String> = None;
        for line in fs::read_to_string(&file).unwrap().lines() {
            match line.split_once(" =") {
                Some((key, text)) if is_key(key) => {
                    texts.insert(key.to_owned(), text.to_owned());
                    current = Some(key.to_owned());
                }
                _ if line.starts_with('#') => current = None,
                _ => {
                    if let Some(text) = current.as_ref().and_then(|key| texts.get_mut(key)) {
                        text.push_str(line);
                    }
                }
            }
        }
    }
    texts
}

/// The names of the values that a text takes.
fn placeholders(text: &str) -> BTreeSet<String> {
    text.split('$')
        .skip(1)
        .map(|rest| rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '-' || *c == '_').collect())
        .collect()
}
