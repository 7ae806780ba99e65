//! `[mail]`
//!
//! | key | meaning | default |
//! |---|---|---|
//! | `reply_domain` | the domain of signed reply addresses, delivered to Accord; not the staff's own domain (TH-05) | host of `http.base_url` |
//! | `outgoing` | `files` (development: one file a mail) or `smtp` | `files`, or `smtp` when a host is set |
//! | `files_folder` | where `files` puts them | `mail` in the data folder |
//! | `smtp.host`, `smtp.port` | the relay | port 587, or 465 with `tls = "wrapper"` |
//! | `smtp.tls` | `starttls`, `wrapper`, `opportunistic`, or `none` (loopback only) | `starttls` |
//! | `smtp.user`, `smtp.password` (or `smtp.password_file`) | for the relay | none |
//! | `relays.NAME.…` | relays of single mailboxes or domains (`config::relays`) | none |
//! | `dkim` | by which keys the mail that goes out is signed, each as `selector._domainkey.domain = key file` (`config::dkim`); an RSA key for each domain, and an Ed25519 key beside it if you like | none |
//! | `lmtp` | address to take mail on: `127.0.0.1:2424`, or `unix:/run/accord/lmtp` | off |
//! | `lmtp_xforward` | whether a mail server that hands mail over there is believed from which machine it has it (Postfix: `lmtp_send_xforward_command = yes`), so that SPF can be asked; for a mail server that takes mail from the internet itself | `false` |
//! | `imap.NAME.…` | accounts from which mail is fetched (`config::imap`) | none |
//! | `trusted_authserv_id` | whose Authentication-Results are believed (AU-01) | none |
//! | `check_senders` | whether DKIM, SPF and DMARC of a sender's domain are looked up, where no trusted mail server tells of them (AU-04) | `true` once `smtp.host`, `lmtp`, `imap` or `dns_records` is set |
//! | `dns_records` | a file of records (lines of a zone file) to look in instead of DNS, where there is none to ask | none |
//! | `http_inbound` | whether `POST /api/v1/inbound` takes mail | `true` |
//! | `http_inbound_key` (or `http_inbound_key_file`) | by which mail handed over there may be signed instead of carrying an API secret (S-05): `whsec_` and 24 to 64 bytes in base64 | none |

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::dkim::{self, Selector};
use super::http::HttpConfig;
use super::imap::{self, ImapAccount};
use super::relays::{self, MailRelay};
use super::sender_checks::{self, Records, SenderChecks};
use super::{Overrides, Reader};
use crate::secret::Secret;

/// How mail comes and goes.
#[derive(Clone, Debug)]
pub struct MailConfig {
    pub reply_domain: String,
    pub outgoing: Outgoing,
    /// The relays of single mailboxes.
    pub relays: Arc<[MailRelay]>,
    /// Who signs what goes out.
    pub dkim: Arc<[Selector]>,
    pub lmtp: Option<LmtpListen>,
    /// Whether who hands mail over there is believed from where it comes.
    pub lmtp_xforward: bool,
    /// From where mail is fetched.
    pub imap: Arc<[ImapAccount]>,
    pub trusted_authserv_id: Option<String>,
    pub sender_checks: SenderChecks,
    /// What is looked in instead of DNS.
    pub dns_records: Option<Records>,
    pub http_inbound: bool,
    /// What signs mail that is handed over by HTTP without an API secret.
    pub http_inbound_key: Option<Secret<Vec<u8>>>,
}

/// Where outgoing mail goes.
#[derive(Clone, Debug)]
pub enum Outgoing {
    Files(PathBuf),
    Smtp(SmtpConfig),
}

/// The relay.
#[derive(Clone, Debug)]
pub struct SmtpConfig {
    pub host: String,
    pub port: u16,
    pub tls: SmtpTls,
    pub user: Option<String>,
    pub password: Option<Secret<String>>,
}

/// How the connection to the relay is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmtpTls {
    /// Plain first, then TLS or nothing is sent.
    StartTls,
    /// TLS from the first byte.
    Wrapper,
    /// TLS if the relay offers it; a passive listener may prevent that.
    Opportunistic,
    /// Never; only to this machine.
    None,
}

/// Where the LMTP listener takes mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LmtpListen {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl std::fmt::Display for LmtpListen {
    /// As it stands in the settings.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            LmtpListen::Tcp(address) => address.fmt(f),
            LmtpListen::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl MailConfig {
    pub(super) fn read(reader: &mut Reader, data: &Path, http: &HttpConfig, overrides: &Overrides) -> MailConfig {
        let host = url::Url::parse(&http.base_url).ok().and_then(|url| url.host_str().map(str::to_owned));
        // An address needs a name; an IP address or a bare host name stands in for one on a test machine only.
        let default_domain = host.filter(|host| host.contains('.') && host.parse::<std::net::IpAddr>().is_err());
        let reply_domain =
            reader.text("mail.reply_domain").or(default_domain).unwrap_or_else(|| "reply.localhost".to_owned());
        let reply_domain = match idna::domain_to_ascii_strict(&reply_domain) {
            Ok(domain) => domain,
            Err(_) => {
                reader.problem("mail.reply_domain", "must be a domain name, such as reply.example.com");
                reply_domain
            }
        };
        let files = reader.text("mail.files_folder").map_or_else(|| data.join("mail"), PathBuf::from);
        let smtp = read_smtp(reader, "mail.smtp");
        let wanted = reader.choice(
            "mail.outgoing",
            &[("files", Some(false)), ("smtp", Some(true))],
            smtp.as_ref().map(|_| true),
        );
        let outgoing = match (wanted, smtp) {
            _ if overrides.demo => Outgoing::Files(files),
            (Some(true), Some(smtp)) => Outgoing::Smtp(smtp),
            (Some(true), None) => {
                reader.problem("mail.outgoing", "set mail.smtp.host as well, or use \"files\"");
                Outgoing::Files(files)
            }
            (Some(false) | None, _) => Outgoing::Files(files),
        };
        let relays = relays::read(reader, wanted != Some(false) && !overrides.demo);
        if !relays.is_empty() && matches!(outgoing, Outgoing::Files(_)) {
            reader
                .problem("mail.smtp.host", "set it as well: it carries the mail that is of no mailbox in mail.relays");
        }
        let lmtp = reader.text("mail.lmtp").and_then(|text| read_lmtp(reader, &text));
        let imap = imap::read(reader, overrides.demo);
        let comes = lmtp.is_some() || !imap.is_empty();
        let is_set_up = !overrides.demo && (comes || matches!(outgoing, Outgoing::Smtp(_)));
        let dns_records = sender_checks::records(reader);
        MailConfig {
            reply_domain,
            outgoing,
            relays,
            dkim: dkim::read(reader),
            lmtp,
            lmtp_xforward: reader.flag("mail.lmtp_xforward", false),
            imap,
            trusted_authserv_id: reader.text("mail.trusted_authserv_id"),
            sender_checks: sender_checks::read(reader, dns_records.as_ref(), is_set_up),
            dns_records,
            http_inbound: reader.flag("mail.http_inbound", true),
            http_inbound_key: read_inbound_key(reader),
        }
    }
}

/// A key as Standard Webhooks writes it.
fn read_inbound_key(reader: &mut Reader) -> Option<Secret<Vec<u8>>> {
    let key = "mail.http_inbound_key";
    let text = reader.secret(key)?;
    let encoded = text.expose().strip_prefix("whsec_").unwrap_or_default();
    match data_encoding::BASE64.decode(encoded.as_bytes()) {
        Ok(bytes) if (24..=64).contains(&bytes.len()) => Some(Secret::new(bytes)),
        _ => {
            reader.problem(key, "must be whsec_ and 24 to 64 random bytes in base64, as from: openssl rand -base64 32");
            None
        }
    }
}

/// The relay that the table describes, if it names one.
pub(super) fn read_smtp(reader: &mut Reader, table: &str) -> Option<SmtpConfig> {
    let key = |key: &str| format!("{table}.{key}");
    let host = reader.text(&key("host"));
    let tls = reader.choice(
        &key("tls"),
        &[
            ("starttls", SmtpTls::StartTls),
            ("wrapper", SmtpTls::Wrapper),
            ("opportunistic", SmtpTls::Opportunistic),
            ("none", SmtpTls::None),
        ],
        SmtpTls::StartTls,
    );
    let default_port = if tls == SmtpTls::Wrapper { 465 } else { 587 };
    let port = reader.number(&key("port"), 1, 65_535, default_port) as u16;
    let user = reader.text(&key("user"));
    let password = reader.secret(&key("password"));
    let host = host?;
    let local = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    if tls == SmtpTls::None && !local {
        reader.problem(&key("tls"), "\"none\" is for a relay on this machine; use \"starttls\" or \"wrapper\"");
    }
    if user.is_some() != password.is_some() {
        reader.problem(&key("user"), &format!("set {table}.user and {table}.password together, or neither"));
    }
    Some(SmtpConfig { host, port, tls, user, password })
}

fn read_lmtp(reader: &mut Reader, text: &str) -> Option<LmtpListen> {
    if let Some(path) = text.strip_prefix("unix:") {
        return Some(LmtpListen::Unix(PathBuf::from(path)));
    }
    match text.parse::<SocketAddr>() {
        Ok(address) if address.ip().is_loopback() => Some(LmtpListen::Tcp(address)),
        Ok(_) => {
            reader.problem("mail.lmtp", "LMTP has no protection of its own; listen on 127.0.0.1 or a Unix socket");
            None
        }
        Err(_) => {
            reader.problem("mail.lmtp", "must be an address and a port, such as 127.0.0.1:2424, or unix:PATH");
            None
        }
    }
}
