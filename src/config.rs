//! The settings of the installation: one optional TOML file, overridden by `ACCORD_<SECTION>_<KEY>` variables, read
//! once. Every problem is reported, not only the first, each with its key, its line and what to do about it.
//!
//! Each file of this module documents the keys of one section. Durations that the law or a protocol fixes are not
//! settings; they stand as constants beside what they govern.

pub mod database;
pub mod desk;
pub mod diagnostics;
pub mod dkim;
pub mod http;
pub mod imap;
pub mod limits;
pub mod log;
pub mod mail;
pub mod mail_environment;
mod reader;
pub mod relays;
pub mod security;
pub mod sender_checks;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

pub use database::DatabaseConfig;
pub use desk::DeskConfig;
pub use diagnostics::{DiagnosticsConfig, UserAttributes};
pub use http::HttpConfig;
pub use limits::LimitsConfig;
pub use log::LogConfig;
pub use mail::MailConfig;
pub use security::SecurityConfig;

use reader::Reader;

/// Everything that can be set.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the embedded database, attachments, keys and logs are kept.
    pub data: PathBuf,
    pub http: HttpConfig,
    pub database: DatabaseConfig,
    pub mail: MailConfig,
    pub security: SecurityConfig,
    pub desk: DeskConfig,
    pub limits: LimitsConfig,
    pub log: LogConfig,
    pub diagnostics: DiagnosticsConfig,
}

/// What the command line says, which wins over everything else.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    pub data: Option<PathBuf>,
    pub listen: Option<String>,
    /// The demo keeps to itself: mail goes to files whatever the settings say.
    pub demo: bool,
}

/// One thing wrong with the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// `section.key`, or the name of a variable.
    pub key: String,
    /// The line of the file, counted from one; none for a variable.
    pub line: Option<usize>,
    /// What is wrong and what to do.
    pub text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}: {}: {}", self.key, self.text),
            None => write!(f, "{}: {}", self.key, self.text),
        }
    }
}

/// What is wrong with the settings, as a reason not to start.
#[derive(Debug, thiserror::Error)]
#[error("the settings need attention")]
pub struct Problems(pub Vec<Problem>);

/// Reads the settings from `file`, if one is named, and the environment of the process.
pub fn load(file: Option<&Path>, overrides: &Overrides) -> Result<Config, Vec<Problem>> {
    let source = match file {
        None => String::new(),
        Some(path) => std::fs::read_to_string(path).map_err(|error| {
            vec![Problem {
                key: path.display().to_string(),
                line: None,
                text: format!("the file cannot be read ({error}); name another with --config"),
            }]
        })?,
    };
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
    let all = std::env::vars_os();
    // Other variables may hold whatever bytes a mail server or a shell put there.
    let ours = all.filter(|(name, _)| name.to_str().is_some_and(|name| name.starts_with("ACCORD_")));
    let variables =
        ours.map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned())).collect();
    parse(&source, variables, overrides)
}

/// Reads the settings from text and variables.
pub fn parse(source: &str, variables: BTreeMap<String, String>, overrides: &Overrides) -> Result<Config, Vec<Problem>> {
    let mut reader = Reader::new(source, variables);
    let data = overrides
        .data
        .clone()
        .or_else(|| reader.text("data").map(PathBuf::from))
        .unwrap_or_else(|| PathBuf::from("data"));
    let http = HttpConfig::read(&mut reader, overrides);
    let database = DatabaseConfig::read(&mut reader, &data);
    let mail = MailConfig::read(&mut reader, &data, &http, overrides);
    let security = SecurityConfig::read(&mut reader, &data);
    let desk = DeskConfig::read(&mut reader);
    let limits = LimitsConfig::read(&mut reader);
    let log = LogConfig::read(&mut reader, &data, overrides);
    let diagnostics = DiagnosticsConfig::read(&mut reader);
    let problems = reader.finish();
    if problems.is_empty() {
        Ok(Config { data, http, database, mail, security, desk, limits, log, diagnostics })
    } else {
        Err(problems)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_text(source: &str) -> Result<Config, Vec<Problem>> {
        parse(source, BTreeMap::new(), &Overrides::default())
    }

    #[test]
    fn nothing_set_is_a_working_installation_on_loopback() {
        let config = parse_text("").unwrap();
        assert_eq!(config.http.listen.to_string(), "127.0.0.1:8080");
        assert_eq!(config.http.base_url, "http://127.0.0.1:8080");
        assert!(config.database.url.is_sqlite());
        assert!(config.mail.lmtp.is_none());
    }

    #[test]
    fn all_problems_are_reported_together_with_their_lines() {
        let problems = parse_text(
            "[http]\nlisten = \"nowhere\"\ncolour = \"red\"\n[database]\nurl = \"mysql://x\"\n[limits]\nmail_bytes = \"a lot\"\n",
        )
        .unwrap_err();
        let seen: Vec<_> = problems.iter().map(|problem| (problem.key.as_str(), problem.line)).collect();
        assert_eq!(
            seen,
            [
                ("http.listen", Some(2)),
                ("http.colour", Some(3)),
                ("database.url", Some(5)),
                ("limits.mail_bytes", Some(7))
            ]
        );
    }

    #[test]
    fn a_variable_wins_over_the_file_and_an_unknown_one_is_a_problem() {
        let variables = BTreeMap::from([
            ("ACCORD_HTTP_LISTEN".to_owned(), "127.0.0.1:9000".to_owned()),
            ("ACCORD_HTPP_LISTEN".to_owned(), "x".to_owned()),
        ]);
        let problems = parse("[http]\nlisten = \"127.0.0.1:1\"", variables.clone(), &Overrides::default()).unwrap_err();
        assert_eq!(problems.len(), 1);
        assert_eq!(problems[0].key, "ACCORD_HTPP_LISTEN");
        let mut variables = variables;
        variables.remove("ACCORD_HTPP_LISTEN");
        let config = parse("[http]\nlisten = \"127.0.0.1:1\"", variables, &Overrides::default()).unwrap();
        assert_eq!(config.http.listen.port(), 9000);
    }

    #[test]
    fn plain_http_beyond_loopback_is_refused() {
        let problems = parse_text("[http]\nlisten = \"0.0.0.0:80\"").unwrap_err();
        assert_eq!(problems[0].key, "http.listen");
    }
}
