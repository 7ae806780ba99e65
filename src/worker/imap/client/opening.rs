//! A connection to the server of an account, protected as the settings say, and signed in.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_imap::imap_proto::{Response, Status};
use async_imap::{Authenticator, Client};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::guard::{Allowance, Guarded};
use super::session::Session;
use super::{Patience, Trouble, printable};
use crate::config::imap::{Credentials, ImapAccount, ImapTls, is_this_machine};
use crate::secret::Secret;

/// What may come before anybody is signed in: a greeting, a challenge, what the server can do.
const PREAMBLE: Allowance = Allowance { bytes: 32 * 1024, literal: None };

/// A stream to a server, protected or not.
pub(super) trait Wire: AsyncRead + AsyncWrite + Unpin + Send + fmt::Debug {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send + fmt::Debug> Wire for S {}

pub(super) type Stream = Guarded<Box<dyn Wire>>;

/// Opens the account's server and signs in: with its password, or with `token`.
pub async fn open(
    account: &ImapAccount,
    token: Option<&Secret<String>>,
    patience: Patience,
) -> Result<Session, Trouble> {
    let opened = timeout(patience.connect, connect(account)).await.map_err(|_| Trouble::Slow)?;
    let mut client = opened?;
    client.get_mut().allow(PREAMBLE);
    let session = timeout(patience.command, sign_in(client, account, token)).await.map_err(|_| Trouble::Slow)??;
    Session::begin(session, patience).await
}

/// Connected and greeted.
async fn connect(account: &ImapAccount) -> Result<Client<Stream>, Trouble> {
    let host = account.host.trim_start_matches('[').trim_end_matches(']');
    let unreachable = |error: std::io::Error| Trouble::Unreachable(printable(&error.to_string()));
    let mut tcp = TcpStream::connect((host, account.port)).await.map_err(unreachable)?;
    drop(tcp.set_nodelay(true));
    let (wire, is_greeted): (Box<dyn Wire>, bool) = match account.tls {
        ImapTls::Wrapper => (Box::new(protect(account, host, tcp).await?), false),
        ImapTls::StartTls => {
            start_tls(&mut tcp).await?;
            (Box::new(protect(account, host, tcp).await?), true)
        }
        ImapTls::None if is_this_machine(&account.host) => (Box::new(tcp), false),
        ImapTls::None => {
            return Err(Trouble::Unprotected("tls = \"none\" is for a server on this machine only".to_owned()));
        }
    };
    let mut client = Client::new(Guarded::new(wire));
    if is_greeted {
        return Ok(client);
    }
    client.get_mut().allow(PREAMBLE);
    let greeting = client.read_response().await?.ok_or(Trouble::Closed)?;
    match greeting.parsed() {
        Response::Data { status: Status::Ok, .. } => Ok(client),
        Response::Data { status: Status::Bye, outcome } => {
            Err(Trouble::Unreachable(printable(outcome.information.as_deref().unwrap_or("it says good-bye"))))
        }
        _ => Err(Trouble::Odd("it does not greet as an IMAP server does")),
    }
}

async fn protect(account: &ImapAccount, host: &str, tcp: TcpStream) -> Result<impl Wire + use<>, Trouble> {
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| Trouble::Unprotected("no certificate can be for this host".to_owned()))?;
    let connector = TlsConnector::from(trusting(account)?);
    connector.connect(name, tcp).await.map_err(|error| {
        // Whatever is wrong with a certificate comes as invalid data.
        match error.kind() {
            std::io::ErrorKind::InvalidData => Trouble::Unprotected(printable(&error.to_string())),
            _ => Trouble::from(error),
        }
    })
}

/// Trusts who this machine trusts, as for outgoing mail, and whom the account names.
fn trusting(account: &ImapAccount) -> Result<Arc<ClientConfig>, Trouble> {
    let unprotected = |error: String| Trouble::Unprotected(printable(&error));
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    for authority in account.authorities.iter() {
        roots.add(authority.clone()).map_err(|error| unprotected(format!("ca_file: {error}")))?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| unprotected(error.to_string()))?;
    Ok(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
}

/// Asks for TLS. Whatever came with the answer was put there by somebody in between, before anything was protected: there
/// is to be nothing (S-04). Nor does a server that takes us for signed in already get to skip it.
async fn start_tls(tcp: &mut TcpStream) -> Result<(), Trouble> {
    let mut heard = Vec::new();
    let greeting = line(tcp, &mut heard).await?;
    if !greeting.to_ascii_uppercase().starts_with("* OK") || !heard.is_empty() {
        return Err(Trouble::Unprotected("it does not greet as a server with STARTTLS does".to_owned()));
    }
    tcp.write_all(b"tls STARTTLS\r\n").await?;
    for _ in 0..20 {
        let answer = line(tcp, &mut heard).await?;
        let upper = answer.to_ascii_uppercase();
        if upper.starts_with("TLS OK") {
            if heard.is_empty() {
                return Ok(());
            }
            return Err(Trouble::Unprotected("somebody puts words into its mouth before TLS begins".to_owned()));
        }
        if upper.starts_with("TLS ") {
            return Err(Trouble::Unprotected(printable(&format!("it has no STARTTLS: {}", answer.trim_end()))));
        }
    }
    Err(Trouble::Odd("it does not answer to STARTTLS"))
}

/// The next line; what came after it stays in `heard`.
async fn line(tcp: &mut TcpStream, heard: &mut Vec<u8>) -> Result<String, Trouble> {
    loop {
        if let Some(end) = heard.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = heard.drain(..=end).collect();
            return Ok(String::from_utf8_lossy(&line).into_owned());
        }
        if heard.len() > 8 * 1024 {
            return Err(Trouble::Odd("it sent a line without an end"));
        }
        let mut bytes = [0; 1024];
        let count = tcp.read(&mut bytes).await?;
        if count == 0 {
            return Err(Trouble::Closed);
        }
        heard.extend_from_slice(&bytes[..count]);
    }
}

async fn sign_in(
    client: Client<Stream>,
    account: &ImapAccount,
    token: Option<&Secret<String>>,
) -> Result<async_imap::Session<Stream>, Trouble> {
    use async_imap::error::Error;
    let signed_in = match (&account.credentials, token) {
        (_, Some(token)) => {
            let says = Bearer { user: &account.user, token: token.expose(), said: false };
            client.authenticate("XOAUTH2", says).await
        }
        (Credentials::Password(password), None) => client.login(&account.user, password.expose()).await,
        (Credentials::Tokens(_), None) => return Err(Trouble::Tokens("there is none".to_owned())),
    };
    signed_in.map_err(|(error, _)| match error {
        Error::No(said) | Error::Bad(said) => Trouble::SignIn(printable(&said)),
        error => error.into(),
    })
}

/// Signs in by a token, as Google and Microsoft have it. A refusal comes as a challenge, which is answered with nothing.
struct Bearer<'a> {
    user: &'a str,
    token: &'a str,
    said: bool,
}

impl Authenticator for Bearer<'_> {
    type Response = String;

    fn process(&mut self, _: &[u8]) -> String {
        if std::mem::replace(&mut self.said, true) {
            return String::new();
        }
        format!("user={}\x01auth=Bearer {}\x01\x01", self.user, self.token)
    }
}

/// How long a good-bye is waited for.
pub(super) const GOOD_BYE: Duration = Duration::from_secs(2);
