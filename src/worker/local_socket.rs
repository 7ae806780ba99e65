//! The socket in the data folder by which other commands of this program reach the process that owns the database
//! (DB-07). Whoever can use it can read the data folder anyway. One question a connection: a line of JSON, the bytes it
//! announces, and a line of JSON back.

use std::io;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::io::{FdFlags, fcntl_setfd};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketType};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::app::App;
use crate::backup::copying;
use crate::carry;
use crate::config::Config;
use crate::db::file_copy;
use crate::error::{Error, Result};
use crate::intake::addressing;
use crate::journal::{self, NewMail, Recipient, Way};
use crate::mail::client::Client;
use crate::mail::limits::PIPE_BYTES;
use crate::notifications::Letterhead;
use crate::worker::secret_requests;

/// How long a question may take to arrive.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long questions under way have once the program is told to stop.
const DRAIN: Duration = Duration::from_secs(6);
/// The longest first line.
const LINE_BYTES: u64 = 16 * 1024;

/// Mails over the limit of the installation (L-01) take turns, since they are held in memory.
static LARGE_MAILS: Semaphore = Semaphore::const_new(1);

/// What another command wants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case", deny_unknown_fields)]
pub enum Ask {
    /// Take the mail whose bytes follow.
    TakeMail {
        recipient: String,
        sender: String,
        /// The address of the machine that delivered it, and the name that it greeted with.
        #[serde(default)]
        client: Option<(IpAddr, String)>,
        size: usize,
    },
    /// Copy the database to where a backup finds it. It says nothing of where: that is known.
    CopyDatabase,
    /// Make, list or revoke API secrets.
    Secrets { request: secret_requests::Request },
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case", deny_unknown_fields)]
pub enum Answer {
    /// The mail is durable.
    Taken,
    /// It is not; this is why.
    NotTaken { reason: String },
    /// The copy is there.
    Copied,
    /// It was done.
    Secrets { outcome: secret_requests::Outcome },
    /// It was not; this is why.
    Refused { reason: String },
}

/// Where the socket is.
pub fn path(config: &Config) -> PathBuf {
    config.data.join("accord.sock")
}

/// Opens the socket. What a process that is gone left behind is removed: whoever holds the lock of the folder is alone.
pub fn open(config: &Config) -> io::Result<UnixListener> {
    let path = path(config);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&path)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Connects to a socket. Whoever listens and does not take up has a line that fills, and then one waits in front of it: no
/// longer than `patience`, after which it is [`io::ErrorKind::WouldBlock`].
pub fn connect(path: &Path, patience: Duration) -> io::Result<std::os::unix::net::UnixStream> {
    let socket = rustix::net::socket(AddressFamily::UNIX, SocketType::STREAM, None)?;
    fcntl_setfd(&socket, FdFlags::CLOEXEC)?;
    set_socket_timeout(&socket, Timeout::Send, Some(patience))?;
    rustix::net::connect(&socket, &SocketAddrUnix::new(path)?)?;
    set_socket_timeout(&socket, Timeout::Send, None)?;
    Ok(socket.into())
}

/// Answers until told to stop.
pub async fn serve(app: Arc<App>, listener: UnixListener, stop: CancellationToken) {
    let questions = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let app = app.clone();
                questions.spawn(async move {
                    if let Err(error) = answer(&app, stream).await {
                        tracing::warn!(target: "accord::mail", %error, "A command could not be answered");
                    }
                });
            }
            Err(error) => {
                tracing::warn!(target: "accord::mail", %error, "A command could not be heard");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }
    questions.close();
    drop(tokio::time::timeout(DRAIN, questions.wait()).await);
    drop(std::fs::remove_file(path(&app.config)));
}

async fn answer(app: &App, stream: UnixStream) -> io::Result<()> {
    let (reading, mut writing) = stream.into_split();
    let mut reading = BufReader::new(reading);
    let mut line = String::new();
    within_patience((&mut reading).take(LINE_BYTES).read_line(&mut line)).await?;
    let answer = match serde_json::from_str(&line) {
        Ok(Ask::TakeMail { recipient, sender, client, size }) => {
            if size > PIPE_BYTES {
                Answer::NotTaken { reason: "the mail is too large".to_owned() }
            } else {
                let is_large = size > app.config.limits.mail_bytes;
                let _turn = if is_large { LARGE_MAILS.acquire().await.ok() } else { None };
                let mut raw = vec![0; size];
                within_patience(reading.read_exact(&mut raw)).await?;
                let client = client.and_then(|(address, greeting)| Client::new(address, &greeting));
                match take_mail(app, recipient, sender, client, raw).await {
                    Ok(()) => Answer::Taken,
                    Err(error) => Answer::NotTaken { reason: reason(&error) },
                }
            }
        }
        Ok(Ask::CopyDatabase) => match copy_database(app).await {
            Ok(()) => Answer::Copied,
            Err(error) => Answer::Refused { reason: reason(&error) },
        },
        Ok(Ask::Secrets { request }) => {
            let now = app.clock.now();
            match app.database.write(move |db| secret_requests::carry_out(db, &request, now)).await {
                Ok(outcome) => Answer::Secrets { outcome },
                Err(error) => Answer::Refused { reason: secret_requests::reason(&error) },
            }
        }
        Err(error) => Answer::Refused { reason: format!("the question is not understood: {error}") },
    };
    let mut text = serde_json::to_string(&answer).map_err(io::Error::other)?;
    text.push('\n');
    writing.write_all(text.as_bytes()).await?;
    writing.shutdown().await
}

/// What a command has to say comes in time, or not at all.
async fn within_patience<T>(asked: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let late = || io::Error::new(io::ErrorKind::TimedOut, "it took too long to ask");
    tokio::time::timeout(PATIENCE, asked).await.map_err(|_| late())?
}

/// Copies the database for a backup, on a thread of its own: told to stop, this process does not wait for it.
async fn copy_database(app: &App) -> Result<()> {
    let (url, copy) = (app.database.url().clone(), copying::first_copy(&app.config));
    let (answer, copied) = oneshot::channel();
    let write = move || drop(answer.send(file_copy::write(&url, &copy)));
    carry::thread("backup".to_owned(), write).map_err(anyhow::Error::new)?;
    copied.await.map_err(|_| Error::internal("the copying ended without an outcome"))?
}

/// Writes a mail down that came by a pipe; it is durable when this returns.
pub async fn take_mail(
    app: &App,
    recipient: String,
    sender: String,
    client: Option<Client>,
    raw: Vec<u8>,
) -> Result<()> {
    let letterhead = Letterhead::new(&app.keys, &app.config);
    let address = recipient.clone();
    let mailbox = app.database.read(move |db| addressing::mailbox_for(db, &letterhead, &address)).await?;
    let mailbox = mailbox.ok_or(Error::NotFound)?;
    let mail =
        NewMail::new(vec![Recipient { mailbox, address: recipient }], sender, Way::Pipe, raw).delivered_by(client);
    let now = app.clock.now();
    app.database.write(move |db| journal::accept(db, &mail, now)).await?;
    Ok(())
}

/// For the person who reads the mail server's log.
pub fn reason(error: &Error) -> String {
    match error {
        Error::NotFound => "no mailbox has this address; see Mailboxes in the administration".to_owned(),
        Error::StorageFull => "there is no room on the disk".to_owned(),
        Error::Busy => "the database is busy".to_owned(),
        other => format!("{other:#}"),
    }
}
