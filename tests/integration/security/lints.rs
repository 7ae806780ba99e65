//! What the source may not contain, because no run would show it.

use std::path::{Path, PathBuf};
use std::time::Instant;

use accord::mail::automatic::{self, Traits};
use accord::mail::delivery_report;
use accord::mail::incoming::ParsedMail;

fn files(folder: &str, ending: &str) -> Vec<(PathBuf, String)> {
    fn collect(folder: &Path, ending: &str, found: &mut Vec<(PathBuf, String)>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(&path, ending, found);
            } else if path.to_string_lossy().ends_with(ending) {
                let text = std::fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    let mut found = Vec::new();
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), ending, &mut found);
    assert!(!found.is_empty(), "{folder} has files");
    found
}

#[test]
fn h_03_no_template_has_a_handler_a_style_or_a_script_of_its_own() {
    for (path, text) in files("templates", ".html") {
        for (number, line) in text.lines().enumerate() {
            let place = format!("{}:{}", path.display(), number + 1);
            let lower = line.to_ascii_lowercase();
            for (at, _) in lower.match_indices(" on") {
                let name: String = lower[at + 1..].chars().take_while(char::is_ascii_alphabetic).collect();
                let is_handler = name.len() > 3 && lower[at + 1 + name.len()..].trim_start().starts_with('=');
                assert!(!is_handler, "{place} has {name}");
            }
            // The frame of a mail has one sheet of ours, by its hash; mails are no pages.
            let may_style = path.ends_with("agent/frame.html") || path.to_string_lossy().contains("/email/");
            assert!(may_style || !lower.contains(" style=\"") && !lower.contains("<style"), "{place} has a style");
            let is_script = lower.contains("<script");
            assert!(
                !is_script || lower.contains("<script src=\"/assets/") || lower.contains("<script src=\"{{"),
                "{place}"
            );
            assert!(!lower.contains("javascript:"), "{place}");
        }
    }
}

/// U-11: secrets, tokens and proofs are compared in constant time, so their types cannot be compared otherwise.
#[test]
fn u_11_what_is_secret_cannot_be_compared_with_the_equals_sign() {
    const SECRET: [&str; 9] =
        ["Secret", "Token", "StoredHash", "MacKey", "MacKeys", "Keys", "Generation", "StoredGeneration", "TokenKeys"];
    let mut met = Vec::new();
    for (path, text) in files("src", ".rs") {
        let mut derives = String::new();
        for line in text.lines() {
            let line = line.trim();
            if line.starts_with("#[derive(") {
                derives = line.to_owned();
            }
            if let Some(rest) = line.strip_prefix("pub struct ").or(line.strip_prefix("struct ")) {
                let name = rest.split(|character: char| !character.is_alphanumeric()).next().unwrap_or_default();
                if SECRET.contains(&name) {
                    met.push(name.to_owned());
                    assert!(!derives.contains("PartialEq"), "{}: {name} can be compared", path.display());
                    assert!(
                        !derives.contains("Debug") || name == "MacKey" || name == "MacKeys",
                        "{name} can be printed"
                    );
                }
            }
            // A derive is for the item that follows it.
            if !line.is_empty() && !line.starts_with('#') && !line.starts_with("//") {
                derives.clear();
            }
            for name in SECRET {
                let compares =
                    line.starts_with("impl") && line.contains("PartialEq") && line.contains(&format!("for {name}"));
                assert!(!compares, "{}: {line}", path.display());
            }
            // A hash or a proof beside an equals sign would be compared byte by byte; `same_bytes` takes its time.
            let compares = (line.contains("hash_token(") || line.contains(".mac(") || line.contains("compute(key"))
                && (line.contains(" == ") || line.contains(" != "))
                && !line.contains("same_bytes(");
            assert!(!compares, "{}: {line}", path.display());
        }
    }
    for name in SECRET {
        assert!(met.iter().any(|found| found == name), "{name} is no longer there: mend this list");
    }
}

#[test]
fn q_02_no_expression_engine_goes_back_and_forth() {
    let lock = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.lock")).unwrap();
    for engine in ["fancy-regex", "onig", "onig_sys", "pcre2", "pcre2-sys", "regress", "hyperscan", "oniguruma"] {
        assert!(!lock.contains(&format!("name = \"{engine}\"\n")), "{engine} is in the tree");
    }
    // Every pattern of ours is known here, so that a new one gets its hostile input below.
    let mut patterns = Vec::new();
    for (path, text) in files("src", ".rs") {
        let count = text.matches("Regex::new(").count() + text.matches("RegexSet::new(").count();
        if count > 0 {
            patterns.push((path.file_name().unwrap().to_string_lossy().into_owned(), count));
        }
    }
    patterns.sort();
    let known = [
        ("delivery_report.rs", 3),
        ("patterns.rs", 1),
        ("senders.rs", 1),
        ("sql.rs", 1),
        ("wordings.rs", 6),
        ("wordings.rs", 7),
    ];
    assert_eq!(patterns, known.map(|(file, count)| (file.to_owned(), count)));
}

#[test]
fn q_02_a_megabyte_made_to_hurt_is_matched_at_once() {
    let pieces = [
        "undeliver",
        "non remis non ",
        "delivery has failed ",
        "nono.reply",
        "a",
        "no.",
        "ne pas ",
        "échec de la ",
        "auto: is out of the office (",
        "report domain: submitter: report-id: ",
        "réponse automatique ",
        "message ",
        "automatikus válasz ",
        "răspuns automat ",
        "αυτόματη απάντηση ",
        "자동 회신 ",
        "auto: ",
        "[acc-7q4kd2wm9k] auto:",
        "nicht-antworten-",
        "nono-responder",
        "naonao-respond",
        "eivasta",
        "ne-odgovar",
    ];
    for piece in pieces {
        let text = piece.repeat(1_000_000 / piece.len());
        let headers: Vec<(String, String)> = Vec::new();
        let began = Instant::now();
        for local_part in ["mailer-daemon", text.as_str()] {
            automatic::classify(&Traits {
                headers: &headers,
                subject: &text,
                return_path: Some("eve@client.example"),
                sender_local_part: Some(local_part),
                is_from_our_mailbox: false,
                is_addressed_to_us: true,
                came_to_bounce_address: false,
                came_to_reply_address: false,
                is_calendar_answer: false,
                has_our_loop_mark: false,
            });
        }
        // The row's 50 ms are those of a release build on a quiet machine.
        assert!(began.elapsed().as_millis() < 2_000, "{piece}: {:?}", began.elapsed());
    }
}

#[test]
fn q_02_a_delivery_report_made_to_hurt_is_read_at_once() {
    let pieces = [
        "user ",
        "user\n",
        "a@",
        "@a",
        "5.1.1.",
        "550 ",
        "message-id: <",
        "utilisateur ",
        "warning: ",
        "+2b",
        "sender ",
        "sender's e-mail ",
        "unknown ",
        "mail from ",
        "expéditeur ",
        "absenderadresse ",
    ];
    for piece in pieces {
        let text = piece.repeat(1_000_000 / piece.len());
        let headers = vec![("x-failed-recipients".to_owned(), text.chars().take(30_000).collect())];
        let mail = ParsedMail { subject: text.chars().take(998).collect(), text, headers, ..ParsedMail::default() };
        let began = Instant::now();
        delivery_report::read(&mail, true);
        assert!(began.elapsed().as_millis() < 2_000, "{piece}: {:?}", began.elapsed());
    }
}
