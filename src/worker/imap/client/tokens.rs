//! Access tokens for providers that no longer take passwords: fetched by a refresh token (RFC 6749, section 6), kept until
//! shortly before their end. The refresh token is that of the settings at first. Some providers give a new one with each
//! access token and let the old one end after months, so the newest is kept in the data folder, for this user alone and in
//! no backup, until the settings have another.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustls::pki_types::CertificateDer;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use super::{Trouble, printable};
use crate::config::imap::{ImapAccount, TokenSource};
use crate::secret::Secret;

/// How long a provider may take to give one.
const PATIENCE: Duration = Duration::from_secs(30);
/// The longest answer of a provider.
const LONGEST_ANSWER: u64 = 64 * 1024;
/// A token is used until so long before its end.
const MARGIN: Duration = Duration::from_secs(120);
/// The end of a token whose provider does not tell it.
const USUAL_LIFE: u64 = 600;

/// What becomes of a refresh token that the provider gives in place of the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewed {
    Kept,
    /// By who only looks whether all is well.
    Dropped,
}

/// The tokens of one account.
#[derive(Debug)]
pub struct Tokens {
    access: Mutex<Option<Kept>>,
    /// Where the newest refresh token is.
    file: PathBuf,
    renewed: Renewed,
}

#[derive(Debug)]
struct Kept {
    token: Arc<Secret<String>>,
    until: Instant,
}

#[derive(Deserialize)]
struct Granted {
    access_token: Secret<String>,
    expires_in: Option<u64>,
    refresh_token: Option<Secret<String>>,
}

#[derive(Deserialize)]
struct NotGranted {
    error: String,
}

/// Why there is no token.
#[derive(Debug)]
enum NotGiven {
    /// The refresh token is worth nothing (any more): `invalid_grant` (RFC 6749, 5.2).
    Worthless(Trouble),
    Otherwise(Trouble),
}

impl NotGiven {
    fn trouble(self) -> Trouble {
        let (NotGiven::Worthless(trouble) | NotGiven::Otherwise(trouble)) = self;
        trouble
    }
}

impl Tokens {
    pub fn of(account: &ImapAccount, data: &Path, renewed: Renewed) -> Tokens {
        let file = data.join(format!("imap-{}.refresh-token", account.name));
        Tokens { access: Mutex::default(), file, renewed }
    }

    /// A token that is good, from the provider if there is none. It blocks.
    pub fn get(
        &self,
        source: &TokenSource,
        authorities: &[CertificateDer<'_>],
    ) -> Result<Arc<Secret<String>>, Trouble> {
        let mut kept = self.access.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = kept.as_ref()
            && Instant::now() < kept.until
        {
            return Ok(kept.token.clone());
        }
        let granted = self.renew(source, authorities)?;
        let life = Duration::from_secs(granted.expires_in.unwrap_or(USUAL_LIFE).min(86_400));
        let token = Arc::new(granted.access_token);
        let until = Instant::now() + life.saturating_sub(MARGIN);
        *kept = Some(Kept { token: token.clone(), until });
        Ok(token)
    }

    /// The server did not take it: the next one comes from the provider.
    pub fn forget(&self) {
        *self.access.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Tokens {
    /// By the newest refresh token, or that of the settings where the newest is worth nothing.
    fn renew(&self, source: &TokenSource, authorities: &[CertificateDer<'_>]) -> Result<Granted, Trouble> {
        let newest = self.newest(source);
        let granted = match &newest {
            Some(newest) => match ask(source, newest, authorities) {
                Err(NotGiven::Worthless(_)) => ask(source, &source.refresh_token, authorities),
                // The provider may be busy. Some end all tokens of who shows one that was replaced.
                other => other,
            },
            None => ask(source, &source.refresh_token, authorities),
        };
        let granted = granted.map_err(NotGiven::trouble)?;
        let used = newest.as_ref().unwrap_or(&source.refresh_token);
        if let Some(renewed) = &granted.refresh_token
            && self.renewed == Renewed::Kept
            && renewed.expose() != used.expose()
            && let Err(error) = self.keep(source, renewed)
        {
            tracing::warn!(target: "accord::imap", %error, "A provider's new token cannot be kept; the old one ends some day");
        }
        Ok(granted)
    }

    /// The kept token, if it came from that of the settings.
    fn newest(&self, source: &TokenSource) -> Option<Secret<String>> {
        let kept = std::fs::read_to_string(&self.file).ok()?;
        let (of, token) = kept.trim_end().split_once('\n')?;
        (of == fingerprint(source)).then(|| Secret::new(token.to_owned()))
    }

    fn keep(&self, source: &TokenSource, renewed: &Secret<String>) -> std::io::Result<()> {
        let beside = self.file.with_extension("new");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        writeln!(file, "{}\n{}", fingerprint(source), renewed.expose())?;
        file.sync_all()?;
        std::fs::rename(beside, &self.file)
    }
}

/// By which the refresh token of the settings is known again.
fn fingerprint(source: &TokenSource) -> String {
    data_encoding::HEXLOWER.encode(&Sha256::digest(source.refresh_token.expose()))
}

fn ask(
    source: &TokenSource,
    refresh_token: &Secret<String>,
    authorities: &[CertificateDer<'_>],
) -> Result<Granted, NotGiven> {
    let mut form = vec![
        ("grant_type", "refresh_token"),
        ("client_id", source.client_id.as_str()),
        ("refresh_token", refresh_token.expose().as_str()),
    ];
    if let Some(secret) = &source.client_secret {
        form.push(("client_secret", secret.expose().as_str()));
    }
    if let Some(scope) = source.scope {
        form.push(("scope", scope));
    }
    let failed = |error: ureq::Error| NotGiven::Otherwise(Trouble::Tokens(printable(&error.to_string())));
    let mut answer = agent(authorities).post(&source.url).send_form(form).map_err(failed)?;
    let is_good = answer.status().is_success();
    let text = answer.body_mut().with_config().limit(LONGEST_ANSWER).read_to_string().map_err(failed)?;
    if is_good {
        // What cannot be read may hold a token, so it is not repeated.
        let holds_none = |_| NotGiven::Otherwise(Trouble::Tokens("the answer holds no token".to_owned()));
        return serde_json::from_str(&text).map_err(holds_none);
    }
    let said = serde_json::from_str::<NotGranted>(&text).map_or_else(|_| String::new(), |refused| refused.error);
    let trouble = Trouble::Tokens(printable(&format!("{} {said}", answer.status().as_u16())));
    Err(if said == "invalid_grant" { NotGiven::Worthless(trouble) } else { NotGiven::Otherwise(trouble) })
}

fn agent(authorities: &[CertificateDer<'_>]) -> ureq::Agent {
    let native = rustls_native_certs::load_native_certs().certs;
    let trusted = native.iter().map(|one| one.as_ref()).chain(authorities.iter().map(|one| one.as_ref()));
    let trusted: Vec<_> = trusted.map(|der| Certificate::from_der(der).to_owned()).collect();
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::new_with_certs(&trusted))
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .build();
    ureq::Agent::config_builder()
        .timeout_global(Some(PATIENCE))
        .https_only(true)
        .max_redirects(0)
        .http_status_as_error(false)
        .proxy(None)
        .tls_config(tls)
        .build()
        .into()
}
