//! What secrets look like: by the name of their field, and by themselves. A text is first looked at for the words and
//! signs that any of the patterns needs, in two passes over its bytes; only what could match is then searched.

use std::ops::Range;
use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickBuilder, AhoCorasickKind};
use regex::Regex;

use crate::diagnostics::redaction::Rule;

/// The order in which rules look at a text: what holds others comes before them.
pub const ORDER: &[Rule] = &[
    Rule::PrivateKey,
    Rule::Login,
    Rule::Assigned,
    Rule::Jwt,
    Rule::Bearer,
    Rule::Token,
    Rule::Sql,
    Rule::Query,
    Rule::Email,
    Rule::Iban,
    Rule::Card,
    Rule::Random,
];

/// Words that a rule needs to find anything, in lower case.
const KEYWORDS: &[(Rule, &[&str])] = &[
    (Rule::PrivateKey, &["-----begin"]),
    (Rule::Login, &["://"]),
    (
        Rule::Assigned,
        &[
            "password",
            "passwd",
            "pwd",
            "passphrase",
            "mot de passe",
            "motdepasse",
            "mdp",
            "secret",
            "apikey",
            "api_key",
            "api-key",
            "accesskey",
            "access_key",
            "access-key",
            "privatekey",
            "private_key",
            "private-key",
            "token",
            "credential",
            "session",
            "auth",
            "cookie",
            "cvv",
            "cvc",
            "iban",
            "_key",
            "-key",
        ],
    ),
    (Rule::Jwt, &["eyj"]),
    (Rule::Bearer, &["bearer", "basic", "negotiate", "ntlm"]),
    (
        Rule::Token,
        &[
            "ghp_",
            "gho_",
            "ghu_",
            "ghs_",
            "ghr_",
            "github_pat_",
            "glpat-",
            "glptt-",
            "gldt-",
            "glrt-",
            "glft-",
            "glsoat-",
            "glcbt-",
            "glimt-",
            "glagent-",
            "gloas-",
            "xox",
            "xapp-",
            "_live_",
            "_test_",
            "_prod_",
            "whsec_",
            "npm_",
            "pypi-",
            "sg.",
            "shpat_",
            "shpca_",
            "shppa_",
            "shpss_",
            "hvs.",
            "hvb.",
            "hvr.",
            "dckr_",
            "_v1_",
            "aiza",
            "ya29.",
            "gocspx-",
            "sk-",
            "lin_api_",
            "ntn_",
            "dapi",
            "age-secret-key-1",
            "acc_",
            "glsa_",
            "rubygems_",
            "hf_",
            "figd_",
            "pmak-",
            "sq0",
            "accountkey=",
            "key-",
            "nfp_",
            "atatt3",
            "atctt3",
            "akia",
            "asia",
            "abia",
            "acca",
            "hooks.slack.com/services/",
            "sktwilio",
            "/webhooks/",
        ],
    ),
    (Rule::Sql, &["select", "insert", "replace", "update", "delete", "where"]),
];

/// A pattern; its first group is what is masked, or the whole of it.
type Patterns = &'static [(Rule, &'static str)];

const PATTERNS: Patterns = &[
    (Rule::PrivateKey, r"(?s)-----BEGIN[^-]{0,64}-----.*?(?:-----END[^-]{0,64}-----|\z)"),
    (Rule::Login, r#"://([^\s/"'<>\[\]]*|[^\s/:@"'<>\[\]]+:[^\s"'<>@]+)@"#),
    // A header, to the end of its line.
    (Rule::Assigned, r#"(?i)(?:authorization|cookie)\\*["']?\s*(?:=>|[:=])\s*([^\r\n]+)"#),
    // What may be a sentence, to the end of the part of the sentence.
    (
        Rule::Assigned,
        r#"(?i)(?:passw(?:or)?d|pwd|passphrase|mot\s?de\s?passe|mdp|secret)[\w.-]{0,40}\\*["']?\s*(?:=>|:=|[:=])\s*((?:\w+\(\s*)*(?:\\*"(?:[^"\\]|\\.)*(?:"|\z)|'[^']*(?:'|\z)|[^\s"'][^,;&\r\n}\]"']*))"#,
    ),
    (
        Rule::Assigned,
        r#"(?i)(?:(?:api|access|private)[_-]?key|[_-]key|token|credentials?|session|auth|cvv|cvc|iban)[\w.-]{0,40}\\*["']?\s*(?:=>|:=|[:=])\s*((?:\w+\(\s*)*(?:\\*"(?:[^"\\]|\\.)*(?:"|\z)|'[^']*(?:'|\z)|[^\s"',;&)}\]]+))"#,
    ),
    (Rule::Jwt, r"eyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){0,4}"),
    (Rule::Bearer, r"(?i)\b(?:bearer|negotiate|ntlm)\s+([A-Za-z0-9._~+/=:-]{4,})"),
    (Rule::Bearer, r"(?-u)\b(?i:basic)\s+([A-Za-z]*[A-Z0-9+/][A-Za-z0-9+/]{4,}={0,2})"),
    (
        Rule::Token,
        r"(?x-u)(?:\b|_)(?:
            (?: gh[pousr]_ | github_pat_ | gl(?:pat|ptt|dt|rt|ft|soat|cbt|imt|agent|oas)- | xox[a-z][.-] | xapp-
              | [srp]k_(?:live|test|prod)_ | whsec_ | npm_ | pypi- | SG\. | shp(?:at|ca|pa|ss)_ | hv[sbr]\. | dckr_[po]at_
              | do[opr]_v1_ | AIza | ya29\. | GOCSPX- | sk- | lin_api_ | ntn_ | AGE-SECRET-KEY-1 | glsa_ | rubygems_ | hf_
              | figd_ | PMAK- | sq0(?:atp|csp)- | AccountKey= | nfp_ | AT[AC]TT3
            ) [A-Za-z0-9_\-.=+/]{12,}
          | (?:AKIA|ASIA|ABIA|ACCA) [A-Z0-9]{12,}
          | acc_ [a-z2-7]{20,}
          | dapi [0-9a-f]{32}
          | key- [0-9a-f]{20,}
        )",
    ),
    (Rule::Token, r"(?-u)hooks\.slack\.com/services/([A-Za-z0-9/_-]{8,})"),
    (Rule::Token, r"(?-u)/webhooks/([A-Za-z0-9/_-]{16,})"),
    (Rule::Email, r#"(?:"[^"\r\n]{1,64}"|[\w.!$%&'*+/^`{|}~-]+)(?:@|%40)(?:\[[0-9A-Fa-f.:]+\]|[\w-]+(?:\.[\w-]+)*)"#),
    (Rule::Random, r"(?-u)[A-Za-z0-9_-]{40,}"),
];

static FINDER: LazyLock<Finder> = LazyLock::new(Finder::new);

struct Finder {
    words: AhoCorasick,
    /// The rule of each word.
    rules: Vec<Rule>,
    patterns: Vec<(Rule, Regex)>,
}

impl Finder {
    fn new() -> Finder {
        let all = || KEYWORDS.iter().flat_map(|(rule, words)| words.iter().map(|word| (*rule, *word)));
        let words = AhoCorasickBuilder::new()
            .ascii_case_insensitive(true)
            .kind(Some(AhoCorasickKind::DFA))
            .build(all().map(|(_, word)| word))
            .expect("a constant list of words");
        let compile = |(rule, pattern): &(Rule, &str)| (*rule, Regex::new(pattern).expect("a constant pattern"));
        Finder { words, rules: all().map(|(rule, _)| rule).collect(), patterns: PATTERNS.iter().map(compile).collect() }
    }
}

/// Rules that may find something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Suspected(u32);

impl Suspected {
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub fn has(self, rule: Rule) -> bool {
        self.0 & 1 << rule as u32 != 0
    }

    fn add(&mut self, rule: Rule) {
        self.0 |= 1 << rule as u32;
    }
}

/// Which rules may find something in `text`.
pub fn suspect(text: &str) -> Suspected {
    let mut suspected = Suspected::default();
    let signs = Signs::of(text);
    if signs.has_at {
        suspected.add(Rule::Email);
    }
    if signs.has_query {
        suspected.add(Rule::Query);
    }
    if signs.digits >= 8 {
        suspected.add(Rule::Iban);
    }
    if signs.digits >= 13 || signs.has_wide {
        suspected.add(Rule::Card);
    }
    if signs.longest_word >= RANDOM_LENGTH {
        suspected.add(Rule::Random);
    }
    for found in FINDER.words.find_overlapping_iter(text) {
        suspected.add(FINDER.rules[found.pattern().as_usize()]);
    }
    if !signs.has_at {
        suspected.0 &= !(1 << Rule::Login as u32);
    }
    suspected
}

/// What a single pass over the bytes of a text tells.
#[derive(Default)]
struct Signs {
    digits: usize,
    longest_word: usize,
    has_at: bool,
    has_query: bool,
    /// Whether anything is not ASCII: there are other digits than ASCII's.
    has_wide: bool,
}

impl Signs {
    fn of(text: &str) -> Signs {
        let mut signs = Signs::default();
        let mut word = 0;
        for byte in text.bytes() {
            match byte {
                b'0'..=b'9' => {
                    signs.digits += 1;
                    word += 1;
                    continue;
                }
                b'a'..=b'z' | b'A'..=b'Z' | b'_' | b'-' => {
                    word += 1;
                    continue;
                }
                b'@' | b'%' => signs.has_at = true,
                b'?' | b'#' | b'&' | b';' => signs.has_query = true,
                0x80.. => signs.has_wide = true,
                _ => {}
            }
            signs.longest_word = signs.longest_word.max(word);
            word = 0;
        }
        signs.longest_word = signs.longest_word.max(word);
        signs
    }
}

/// Where `rule`'s patterns find something in `text`.
pub fn find(rule: Rule, text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    for (_, pattern) in FINDER.patterns.iter().filter(|(own, _)| *own == rule) {
        for captures in pattern.captures_iter(text) {
            let Some(value) = captures.get(1).or_else(|| captures.get(0)) else { continue };
            if !value.is_empty() && (rule != Rule::Random || is_random(value.as_str())) {
                found.push(value.range());
            }
        }
    }
    found
}

/// Words at least as long as this are no words.
const RANDOM_LENGTH: usize = 40;
/// How many different characters chance puts into such a word, at least.
const RANDOM_VARIETY: u32 = 14;

/// Whether a long word is one that nobody would choose: letters and figures in great variety. Hashes and numbers in
/// hexadecimal are left, for they name things.
fn is_random(word: &str) -> bool {
    let is_hexadecimal = word.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    let has_digit = word.bytes().any(|byte| byte.is_ascii_digit());
    let seen = word.bytes().fold(0_u128, |seen, byte| seen | 1 << (byte & 0x7f));
    !is_hexadecimal && has_digit && seen.count_ones() >= RANDOM_VARIETY
}

/// Parts of a name that say that a secret stands under it. The list is the union of what the makers of such tools agree
/// on, and some more.
const SECRET_PARTS: &[&str] = &[
    "auth", "bearer", "card", "cb", "cookie", "cookies", "credit", "cvc", "cvv", "email", "iban", "key", "keys", "mdp",
    "otp", "pass", "pin", "pwd", "sid", "ssn", "totp",
];
/// What makes a name one of a secret wherever it stands in it.
const SECRET_WORDS: &[&str] = &[
    "apikey",
    "authorization",
    "cookie",
    "credential",
    "creditcard",
    "motdepasse",
    "passphrase",
    "passwd",
    "password",
    "privatekey",
    "secret",
    "session",
    "token",
];

/// Whether a field of that name holds a secret.
pub fn is_secret_name(name: &str) -> bool {
    let plain: String = name.chars().filter(|character| character.is_alphanumeric()).collect::<String>().to_lowercase();
    if plain.ends_with("key") || SECRET_WORDS.iter().any(|word| plain.contains(word)) {
        return true;
    }
    let mut parts: Vec<String> = vec![String::new()];
    for character in name.chars() {
        let begins = character.is_uppercase() && !parts.last().is_some_and(|part| part.ends_with(char::is_uppercase));
        if !character.is_alphanumeric() || begins {
            parts.push(String::new());
        }
        if let (true, Some(part)) = (character.is_alphanumeric(), parts.last_mut()) {
            part.push(character);
        }
    }
    parts.iter().any(|part| SECRET_PARTS.contains(&part.to_lowercase().as_str()))
}

/// Whether a field of that name holds a statement to a database.
pub fn is_statement_name(name: &str) -> bool {
    matches!(name, "db.statement" | "db.query.text" | "db.sql" | "sql" | "statement" | "query")
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn every_pattern_is_reached_by_its_keywords() {
        let listed: Vec<Rule> = KEYWORDS.iter().map(|(rule, _)| *rule).collect();
        for (rule, _) in PATTERNS {
            assert!(listed.contains(rule) || matches!(rule, Rule::Email | Rule::Random), "{rule}");
            assert!(ORDER.contains(rule), "{rule}");
        }
    }

    #[test]
    fn names_of_secrets_are_known_however_they_are_written() {
        for name in [
            "password",
            "user.password",
            "new_passwd",
            "PWD",
            "apiKey",
            "api-key",
            "x-api-key",
            "authToken",
            "http.cookie",
            "Set-Cookie",
            "session_id",
            "sessionId",
            "private_key",
            "credit_card",
            "card.number",
            "iban",
            "user.email",
            "authorization",
            "http.auth",
            "mysql_pwd",
            "cache.key",
            "OTP",
        ] {
            assert!(is_secret_name(name), "{name}");
        }
        for name in [
            "message",
            "author",
            "http.route",
            "duration_ms",
            "db.statement",
            "ticket.id",
            "locale",
            "discard",
            "mail.bytes",
            "pinned",
            "bypass",
        ] {
            assert!(!is_secret_name(name), "{name}");
        }
    }

    #[test]
    fn what_a_manifest_lists_is_not_masked_by_name() {
        use crate::consent::manifest::fields;
        use crate::consent::scope::Component;
        for component in Component::ALL {
            assert_eq!(fields(*component).into_iter().find(|name| is_secret_name(name)), None, "{component}");
        }
    }

    #[test]
    fn q_02_the_worst_of_texts_take_no_time() {
        let texts = [
            "a@".repeat(500_000),
            "password=".repeat(110_000),
            format!("password=\"{}", "\\\"".repeat(500_000)),
            "-----BEGIN ".repeat(90_000),
            "eyJaaaaaaaaa.".repeat(76_000),
            "://a:".repeat(200_000),
            "select ".repeat(140_000),
            "a?b=c&".repeat(160_000),
            "FR76 3000 6000 0112 3456 7890 18".repeat(31_000),
            "a".repeat(1_000_000),
            "bearer ".repeat(140_000),
        ];
        for text in &texts {
            suspect(text);
            for (rule, pattern) in &FINDER.patterns {
                let begun = Instant::now();
                let count = pattern.find_iter(text).count();
                // A hundred times what is allowed of a release on a quiet machine, for this is neither. Whatever is not
                // linear takes minutes.
                assert!(begun.elapsed() < Duration::from_secs(5), "{rule} {:?} {count}", &text[..12]);
            }
        }
    }
}
