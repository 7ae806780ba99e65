//! `[mail.imap.NAME]`: mailboxes at a provider or on a mail server of the house, from which mail is fetched (S-06). NAME is
//! the operator's word for the account, of small letters and digits, so that a variable such as
//! `ACCORD_MAIL_IMAP_SUPPORT_PASSWORD` names it too.
//!
//! | key | meaning | default |
//! |---|---|---|
//! | `host`, `port` | the server | port 993, or 143 unless `tls = "wrapper"` |
//! | `tls` | `wrapper` (from the first byte), `starttls`, or `none` (loopback only) | `wrapper` |
//! | `ca_file` | certificates (PEM) trusted for this server besides those of the machine | none |
//! | `user`, `password` (or `password_file`) | who signs in | |
//! | `oauth` | `google` or `microsoft`: sign in by tokens instead of a password | none |
//! | `client_id`, `client_secret` (or `client_secret_file`), `refresh_token` (or `refresh_token_file`) | what the provider gave for that; Microsoft gives public clients no secret | |
//! | `tenant` | the organisation at Microsoft | `common` |
//! | `token_url` | where tokens are fetched | the provider's |
//! | `mailbox` | the address of the mailbox (Administration, Mailboxes) that its mail is for | `user` |
//! | `folders` | which folders are looked into, and no others | `["INBOX"]` |
//! | `existing` | what was there before the first look: `leave` or `take` | `leave` |
//! | `after` | what becomes of a mail that was taken: `leave`, `seen`, or `move:FOLDER`; nothing is ever deleted | `leave` |
//! | `poll_secs` | how often to look where the server does not tell of new mail | 60 |
//! | `authserv_id` | under which names this provider, and nobody else, writes what it found of a sender (AU-05) | those of Google and Microsoft for their hosts, else none |

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use sha2::{Digest, Sha256};

use super::Reader;
use crate::secret::Secret;

/// The table of which each account is one.
const TABLE: &str = "mail.imap";
/// The longest name of an account.
const LONGEST_NAME: usize = 32;
/// The longest name of a folder.
const LONGEST_FOLDER: usize = 200;

/// An account from which mail is fetched.
#[derive(Clone, Debug)]
pub struct ImapAccount {
    pub name: String,
    pub host: String,
    pub port: u16,
    pub tls: ImapTls,
    /// Trusted for this server besides the machine's.
    pub authorities: Arc<[CertificateDer<'static>]>,
    pub user: String,
    pub credentials: Credentials,
    /// The address of the mailbox that its mail is for.
    pub mailbox: String,
    pub folders: Vec<String>,
    /// Whether what was there before the first look is taken.
    pub takes_existing: bool,
    pub after: AfterTaking,
    pub poll: Duration,
    pub results: ResultsBy,
}

impl ImapAccount {
    /// By which it is known whether an account still leads to the same mailbox: a hash of whose mail it is on which server.
    pub fn place(&self) -> String {
        let place = format!("{}\n{}\n{}", self.host.to_ascii_lowercase(), self.port, self.user);
        data_encoding::HEXLOWER.encode(&Sha256::digest(place))
    }
}

/// How the connection is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImapTls {
    /// TLS from the first byte.
    Wrapper,
    /// Plain first, then TLS or nothing.
    StartTls,
    /// Never; only to this machine.
    None,
}

/// What the account is opened with.
#[derive(Clone, Debug)]
pub enum Credentials {
    Password(Secret<String>),
    Tokens(TokenSource),
}

/// Where the tokens that open an account come from (RFC 6749, section 6).
#[derive(Clone, Debug)]
pub struct TokenSource {
    pub url: String,
    pub client_id: String,
    pub client_secret: Option<Secret<String>>,
    pub refresh_token: Secret<String>,
    /// What is asked for, where the provider wants to hear it again.
    pub scope: Option<&'static str>,
}

/// What becomes of a mail on the server once it is ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AfterTaking {
    Leave,
    Seen,
    Move(String),
}

/// Whose Authentication-Results are believed in mail of an account (AU-05).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResultsBy {
    Nobody,
    /// Those under one of these names.
    Named(Vec<String>),
    /// Microsoft 365, which writes them under no name.
    Microsoft,
}

impl fmt::Display for AfterTaking {
    /// As it stands in the settings.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AfterTaking::Leave => f.write_str("leave"),
            AfterTaking::Seen => f.write_str("seen"),
            AfterTaking::Move(folder) => write!(f, "move:{folder}"),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Provider {
    Google,
    Microsoft,
}

/// Reads every account. The demonstration has none: it keeps to itself.
pub(super) fn read(reader: &mut Reader, is_demo: bool) -> Arc<[ImapAccount]> {
    let accounts: Vec<_> = reader.names(TABLE).into_iter().filter_map(|name| read_account(reader, &name)).collect();
    let mut seen = BTreeSet::new();
    for account in &accounts {
        if !seen.insert((&account.host, account.port, &account.user)) {
            let text = format!("{} at {} is fetched by another account already", account.user, account.host);
            reader.problem(&format!("{TABLE}.{}.user", account.name), &text);
        }
    }
    if is_demo { Arc::new([]) } else { accounts.into() }
}

fn read_account(reader: &mut Reader, name: &str) -> Option<ImapAccount> {
    let key = |key: &str| format!("{TABLE}.{name}.{key}");
    let host = reader.text(&key("host"));
    let tls = reader.choice(
        &key("tls"),
        &[("wrapper", ImapTls::Wrapper), ("starttls", ImapTls::StartTls), ("none", ImapTls::None)],
        ImapTls::Wrapper,
    );
    let default_port = if tls == ImapTls::Wrapper { 993 } else { 143 };
    let port = reader.number(&key("port"), 1, 65_535, default_port) as u16;
    let authorities = read_authorities(reader, &key("ca_file"));
    let user = reader.text(&key("user"));
    let mailbox = reader.text(&key("mailbox")).or_else(|| user.clone());
    let provider = reader.choice(
        &key("oauth"),
        &[("google", Some(Provider::Google)), ("microsoft", Some(Provider::Microsoft))],
        None,
    );
    let credentials = read_credentials(reader, name, provider);
    let folders = read_folders(reader, &key("folders"));
    let takes_existing = reader.choice(&key("existing"), &[("leave", false), ("take", true)], false);
    let after = read_after(reader, &key("after"), &folders);
    let poll = Duration::from_secs(reader.number(&key("poll_secs"), 10, 3_600, 60));
    let named = reader.list(&key("authserv_id"));

    if !is_name(name) {
        let text = format!(
            "the name of an account has up to {LONGEST_NAME} small letters and digits, as in [mail.imap.support]"
        );
        reader.problem(&key("host"), &text);
        return None;
    }
    let (Some(host), Some(user), Some(mailbox)) = (host, user, mailbox) else {
        reader.problem(&key("host"), "set host and user");
        return None;
    };
    if tls == ImapTls::None && !is_this_machine(&host) {
        reader.problem(&key("tls"), "\"none\" is for a server on this machine; use \"wrapper\" or \"starttls\"");
    }
    if !mailbox.contains('@') {
        reader.problem(&key("mailbox"), "set the address of the mailbox that its mail is for");
    }
    let results = match (named.as_slice(), provider_of(&host)) {
        ([], Some(Provider::Google)) => ResultsBy::Named(vec!["mx.google.com".to_owned()]),
        ([], Some(Provider::Microsoft)) => ResultsBy::Microsoft,
        ([], None) => ResultsBy::Nobody,
        ([none], _) if none == "none" => ResultsBy::Nobody,
        _ => ResultsBy::Named(named),
    };
    Some(ImapAccount {
        name: name.to_owned(),
        host,
        port,
        tls,
        authorities,
        user,
        credentials: credentials?,
        mailbox,
        folders,
        takes_existing,
        after,
        poll,
        results,
    })
}

fn read_credentials(reader: &mut Reader, name: &str, provider: Option<Provider>) -> Option<Credentials> {
    let key = |key: &str| format!("{TABLE}.{name}.{key}");
    let password = reader.secret(&key("password"));
    let client_id = reader.text(&key("client_id"));
    let client_secret = reader.secret(&key("client_secret"));
    let refresh_token = reader.secret(&key("refresh_token"));
    let tenant = reader.text(&key("tenant")).unwrap_or_else(|| "common".to_owned());
    let url = reader.text(&key("token_url"));
    let Some(provider) = provider else {
        if password.is_none() {
            reader.problem(&key("host"), "set password or password_file, or oauth with what belongs to it");
        }
        return password.map(Credentials::Password);
    };
    let (Some(client_id), Some(refresh_token), None) = (client_id, refresh_token, password) else {
        reader.problem(&key("oauth"), "set client_id and refresh_token (or refresh_token_file), and no password");
        return None;
    };
    if !tenant.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '.') {
        reader.problem(&key("tenant"), "must be the id or the domain of an organisation, such as example.com");
    }
    let url = url.unwrap_or_else(|| match provider {
        Provider::Google => "https://oauth2.googleapis.com/token".to_owned(),
        Provider::Microsoft => format!("https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token"),
    });
    if !url::Url::parse(&url).is_ok_and(|url| url.scheme() == "https" && url.host().is_some()) {
        reader.problem(&key("token_url"), "must be an address that begins with https://");
    }
    let scope = match provider {
        Provider::Google => None,
        Provider::Microsoft => Some("https://outlook.office.com/IMAP.AccessAsUser.All offline_access"),
    };
    Some(Credentials::Tokens(TokenSource { url, client_id, client_secret, refresh_token, scope }))
}

fn read_authorities(reader: &mut Reader, key: &str) -> Arc<[CertificateDer<'static>]> {
    let Some(path) = reader.text(key) else { return Arc::new([]) };
    let found: Result<Vec<_>, _> = match CertificateDer::pem_file_iter(&path) {
        Ok(certificates) => certificates.collect(),
        Err(error) => Err(error),
    };
    match found {
        Ok(certificates) if !certificates.is_empty() => certificates.into(),
        Ok(_) => {
            reader.problem(key, &format!("the file {path} holds no certificate (PEM)"));
            Arc::new([])
        }
        Err(error) => {
            reader.problem(key, &format!("the file {path} cannot be read ({error})"));
            Arc::new([])
        }
    }
}

fn read_folders(reader: &mut Reader, key: &str) -> Vec<String> {
    let mut folders = reader.list(key);
    if folders.is_empty() {
        folders.push("INBOX".to_owned());
    }
    for folder in &mut folders {
        // RFC 3501, 5.1: this one name is the same however it is written.
        if folder.eq_ignore_ascii_case("INBOX") {
            "INBOX".clone_into(folder);
        }
        if !is_folder(folder) {
            reader.problem(key, &format!("«{folder}» is no name of a folder"));
        }
    }
    folders.dedup();
    folders
}

fn read_after(reader: &mut Reader, key: &str, folders: &[String]) -> AfterTaking {
    let Some(text) = reader.text(key) else { return AfterTaking::Leave };
    match text.as_str() {
        "leave" => AfterTaking::Leave,
        "seen" => AfterTaking::Seen,
        _ => match text.strip_prefix("move:").map(str::trim) {
            Some(to) if is_folder(to) && !folders.iter().any(|folder| folder.eq_ignore_ascii_case(to)) => {
                AfterTaking::Move(to.to_owned())
            }
            Some(to) if is_folder(to) => {
                reader.problem(key, "a mail is moved into a folder that is not among folders, or it comes again");
                AfterTaking::Leave
            }
            _ => {
                let text = format!("must be leave, seen or a folder, as in move:Done; «{text}» is not");
                reader.problem(key, &text);
                AfterTaking::Leave
            }
        },
    }
}

/// Whether an operator's word for an account or a relay can also stand in the name of a variable.
pub(super) fn is_name(name: &str) -> bool {
    (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
}

fn is_folder(name: &str) -> bool {
    !name.is_empty() && name.len() <= LONGEST_FOLDER && !name.chars().any(char::is_control)
}

/// Whose mail server that is, by its host.
fn provider_of(host: &str) -> Option<Provider> {
    match host.to_ascii_lowercase().as_str() {
        "imap.gmail.com" | "imap.googlemail.com" => Some(Provider::Google),
        "outlook.office365.com" | "outlook.office.com" => Some(Provider::Microsoft),
        _ => None,
    }
}

/// Whether what is said to that host stays on this machine.
pub fn is_this_machine(host: &str) -> bool {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::config::{Config, Overrides, Problem, parse};

    fn settings(text: &str) -> Result<Config, Vec<Problem>> {
        parse(text, BTreeMap::new(), &Overrides::default())
    }

    fn account(text: &str) -> ImapAccount {
        settings(text).unwrap().mail.imap[0].clone()
    }

    fn problem(text: &str) -> String {
        let problems = settings(text).unwrap_err();
        assert_eq!(problems.len(), 1, "{problems:?}");
        problems[0].to_string()
    }

    #[test]
    fn s_06_an_account_is_read_by_tls_and_left_as_it_is_unless_told_otherwise() {
        let account = account(
            "[mail.imap.support]\nhost = \"imap.example.com\"\nuser = \"support@example.com\"\npassword = \"secret\"",
        );
        assert_eq!((account.port, account.tls), (993, ImapTls::Wrapper));
        assert_eq!(
            (account.mailbox.as_str(), account.folders.as_slice()),
            ("support@example.com", &["INBOX".to_owned()][..])
        );
        assert_eq!((account.takes_existing, account.after), (false, AfterTaking::Leave));
        assert_eq!(account.results, ResultsBy::Nobody);
        assert!(!format!("{:?}", account.credentials).contains("secret"));
    }

    #[test]
    fn s_06_an_account_may_stand_in_variables_alone() {
        let variables =
            [("HOST", "imap.example.com"), ("USER", "a@example.com"), ("PASSWORD", "x"), ("FOLDERS", "INBOX, Spam")];
        let variables =
            variables.map(|(key, value)| (format!("ACCORD_MAIL_IMAP_SUPPORT_{key}"), value.to_owned())).into();
        let config = parse("", variables, &Overrides::default()).unwrap();
        assert_eq!((config.mail.imap[0].name.as_str(), config.mail.imap[0].folders.len()), ("support", 2));
    }

    #[test]
    fn s_06_clear_text_is_for_this_machine_only() {
        let with = |host: &str| {
            format!("[mail.imap.a]\nhost = \"{host}\"\ntls = \"none\"\nuser = \"a@example.com\"\npassword = \"x\"")
        };
        assert_eq!(account(&with("127.0.0.1")).port, 143);
        assert!(problem(&with("imap.example.com")).contains("mail.imap.a.tls"));
    }

    #[test]
    fn s_06_what_would_come_again_or_opens_nothing_is_refused() {
        let base = "[mail.imap.a]\nhost = \"imap.example.com\"\nuser = \"a@example.com\"\n";
        assert!(problem(&format!("{base}password = \"x\"\nafter = \"move:inbox\"")).contains("comes again"));
        assert!(problem(&format!("{base}password = \"x\"\nafter = \"delete\"")).contains("must be leave"));
        assert!(problem(base).contains("set password"));
        assert!(problem(&format!("{base}password = \"x\"\noauth = \"google\"")).contains("client_id"));
        assert!(
            problem("[mail.imap.Big-Name]\nhost = \"a\"\nuser = \"a@b.example\"\npassword = \"x\"")
                .contains("small letters")
        );
        assert!(problem(&format!("{base}password = \"x\"\ncolour = \"red\"")).contains("no such setting"));
    }

    #[test]
    fn au_05_each_provider_is_believed_under_its_own_name() {
        let at = |host: &str, more: &str| {
            account(&format!("[mail.imap.a]\nhost = \"{host}\"\nuser = \"a@example.com\"\npassword = \"x\"\n{more}"))
        };
        assert_eq!(at("imap.gmail.com", "").results, ResultsBy::Named(vec!["mx.google.com".to_owned()]));
        assert_eq!(at("outlook.office365.com", "").results, ResultsBy::Microsoft);
        assert_eq!(at("imap.gmail.com", "authserv_id = [\"none\"]").results, ResultsBy::Nobody);
        let own = at("imap.example.com", "authserv_id = [\"mx.example.com\"]");
        assert_eq!(own.results, ResultsBy::Named(vec!["mx.example.com".to_owned()]));
    }

    #[test]
    fn s_06_tokens_are_fetched_where_the_provider_gives_them() {
        let text = "[mail.imap.a]\nhost = \"outlook.office365.com\"\nuser = \"a@example.com\"\noauth = \"microsoft\"\n\
                    client_id = \"id\"\nrefresh_token = \"r\"\n";
        let url = |text: &str| match account(text).credentials {
            Credentials::Tokens(source) => source.url,
            Credentials::Password(_) => panic!("tokens were set"),
        };
        assert_eq!(url(text), "https://login.microsoftonline.com/common/oauth2/v2.0/token");
        assert!(url(&format!("{text}tenant = \"example.com\"")).contains("/example.com/"));
        assert!(problem(&format!("{text}token_url = \"http://tokens.example.com\"")).contains("https://"));
    }
}
