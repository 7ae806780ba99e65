//! Talking to an IMAP server (RFC 3501) whose mail is to be ours: signing in, what is new in a folder, one mail, what was
//! asked to become of it, waiting for more. The server is believed nothing that would cost memory or time: every
//! command has its allowance of bytes and seconds (FT-08). What was taken before is known to `journal::imap`.

mod folder_names;
mod guard;
mod opening;
mod session;
mod tokens;

use std::path::Path;
use std::time::Duration;

use async_imap::error::Error as ClientError;

pub use opening::open;
pub use session::{Fetched, Found, Opened, Session, Woken};
pub use tokens::{Renewed, Tokens};

use crate::config::imap::{Credentials, ImapAccount};
use guard::Breach;

/// The longest words of a server that are kept.
const WORDS: usize = 300;

/// Why nothing can be had from a server for now, or not this.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// No connection.
    Unreachable(String),
    /// No protected connection: another's certificate, no TLS where it was asked for.
    Unprotected(String),
    /// The server does not let us in.
    SignIn(String),
    /// The provider gives no token to sign in with.
    Tokens(String),
    /// It took longer than anything may take.
    Slow,
    /// The server closed the connection.
    Closed,
    /// It sent what is no IMAP, or more than it was asked for.
    Odd(&'static str),
    /// A folder of the settings cannot be opened.
    Folder { folder: String, said: String },
    /// The server does not do what it was asked.
    Refused(String),
}

impl Trouble {
    /// A word for it, which names a text of the catalogue.
    pub fn kind(&self) -> &'static str {
        match self {
            Trouble::Unreachable(_) => "unreachable",
            Trouble::Unprotected(_) => "unprotected",
            Trouble::SignIn(_) => "sign-in",
            Trouble::Tokens(_) => "tokens",
            Trouble::Slow => "slow",
            Trouble::Closed => "closed",
            Trouble::Odd(_) => "odd",
            Trouble::Folder { .. } => "folder",
            Trouble::Refused(_) => "refused",
        }
    }

    /// What the server or the system said, for operators; it may name the account, so it is not for the log.
    pub fn words(&self) -> String {
        match self {
            Trouble::Unreachable(said)
            | Trouble::Unprotected(said)
            | Trouble::SignIn(said)
            | Trouble::Tokens(said)
            | Trouble::Refused(said) => said.clone(),
            Trouble::Slow | Trouble::Closed => String::new(),
            Trouble::Odd(what) => (*what).to_owned(),
            Trouble::Folder { folder, said } => format!("{folder}: {said}"),
        }
    }
}

impl From<ClientError> for Trouble {
    fn from(error: ClientError) -> Trouble {
        match error {
            ClientError::Io(error) => error.into(),
            ClientError::No(_) | ClientError::Bad(_) => Trouble::Refused(String::new()),
            ClientError::ConnectionLost => Trouble::Closed,
            ClientError::Validate(_) => Trouble::Refused("a character that cannot be sent".to_owned()),
            _ => Trouble::Odd(NO_IMAP),
        }
    }
}

/// What a server sent that nobody can read. The library's own words repeat it, and it may be a mail.
const NO_IMAP: &str = "what it sent is no IMAP";

impl From<std::io::Error> for Trouble {
    fn from(error: std::io::Error) -> Trouble {
        use std::io::ErrorKind;
        if let Some(breach) = error.get_ref().and_then(|inner| inner.downcast_ref::<Breach>()) {
            return Trouble::Odd(breach.words());
        }
        match error.kind() {
            ErrorKind::UnexpectedEof
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::BrokenPipe => Trouble::Closed,
            _ => Trouble::Odd(NO_IMAP),
        }
    }
}

/// How long the steps may take; tests have less.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For a connection, with all that protects it.
    pub connect: Duration,
    /// For a command, or the beginning of an answer.
    pub command: Duration,
    /// The slowest transfer that is waited for, in bytes a second.
    pub slowest: usize,
    /// How long a connection may lie still before it is used for something: well within the half hour after which a server may
    /// hang up (RFC 3501, 5.4; RFC 2177), and soon enough to notice one that died in silence.
    pub still: Duration,
}

impl Patience {
    pub const USUAL: Patience = Patience {
        connect: Duration::from_secs(30),
        command: Duration::from_secs(60),
        slowest: 32 * 1024,
        still: Duration::from_secs(5 * 60),
    };

    /// For so many bytes.
    pub fn for_bytes(&self, bytes: usize) -> Duration {
        self.command + Duration::from_secs((bytes / self.slowest.max(1)) as u64)
    }
}

/// Signs in and opens every folder of the account; gives how many. Nothing is taken or changed.
pub async fn check(account: &ImapAccount, data: &Path) -> Result<usize, Trouble> {
    let token = match &account.credentials {
        // Nobody else waits for this thread.
        Credentials::Tokens(source) => {
            Some(Tokens::of(account, data, Renewed::Dropped).get(source, &account.authorities)?)
        }
        Credentials::Password(_) => None,
    };
    let mut session = open(account, token.as_deref(), Patience::USUAL).await?;
    for folder in &account.folders {
        session.examine(folder).await?;
    }
    session.close().await;
    Ok(account.folders.len())
}

/// A server's words, fit to be stored and shown.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(WORDS).collect()
}
