//! The LMTP listener (RFC 2033): a mail server on the same machine hands mails over, and each recipient is answered on
//! its own once the mail is durable in the journal. It relays nothing, and takes mail only for addresses of ours (S-02).

pub mod data;
mod session;

use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::app::App;
use crate::config::mail::LmtpListen;
use crate::worker::local_socket;

/// Connections at a time; a mail server needs a few.
const CONNECTIONS: usize = 100;
/// How much of a mail is counted at once against what all mails may hold in memory together.
const GRAIN: usize = 64 * 1024;
/// What all mails being received may hold in memory together, at least.
const MEMORY: usize = 64 * 1024 * 1024;
/// How long to see whether somebody listens on a socket that is there: this machine knows at once.
const PATIENCE: Duration = Duration::from_millis(200);
/// How long mails being received have to arrive once the program is told to stop (FT-22).
const DRAIN: Duration = Duration::from_secs(6);

/// An open listener.
pub enum Door {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Door {
    /// Opens it. Within a runtime.
    pub fn open(listen: &LmtpListen) -> io::Result<Door> {
        match listen {
            LmtpListen::Tcp(address) => {
                let listener = std::net::TcpListener::bind(address)?;
                listener.set_nonblocking(true)?;
                Ok(Door::Tcp(TcpListener::from_std(listener)?))
            }
            LmtpListen::Unix(path) => {
                // What a process that is gone left behind would be in the way; anything else is somebody's.
                if std::fs::symlink_metadata(path).is_ok_and(|there| there.file_type().is_socket()) {
                    let heard = local_socket::connect(path, PATIENCE);
                    match heard.as_ref().map_err(io::Error::kind) {
                        // Somebody listens there, even if with so long a line that we do not get in.
                        Ok(_) | Err(io::ErrorKind::WouldBlock) => return Err(io::ErrorKind::AddrInUse.into()),
                        Err(io::ErrorKind::ConnectionRefused) => std::fs::remove_file(path)?,
                        Err(_) => drop(heard?),
                    }
                }
                let listener = UnixListener::bind(path)?;
                // The mail server is another user; like the loopback port it is open to who is on this machine.
                std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666))?;
                Ok(Door::Unix(listener))
            }
        }
    }

    /// The port, for tests that let the system choose one.
    pub fn port(&self) -> Option<u16> {
        match self {
            Door::Tcp(listener) => listener.local_addr().ok().map(|address| address.port()),
            Door::Unix(_) => None,
        }
    }
}

/// What all connections share.
pub(super) struct Shared {
    pub app: Arc<App>,
    pub connections: Semaphore,
    /// In units of [`GRAIN`].
    pub memory: Semaphore,
    pub stop: CancellationToken,
}

impl Shared {
    fn new(app: Arc<App>, stop: CancellationToken) -> Shared {
        let memory = MEMORY.max(app.config.limits.mail_bytes * 2);
        Shared { app, connections: Semaphore::new(CONNECTIONS), memory: Semaphore::new(memory.div_ceil(GRAIN)), stop }
    }
}

/// Takes mail until told to stop.
pub async fn serve(app: Arc<App>, door: Door, stop: CancellationToken) {
    let shared = Arc::new(Shared::new(app, stop.clone()));
    let sessions = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = accept(&door) => accepted,
        };
        match accepted {
            Ok(Connection::Tcp(stream)) => {
                // Answers are short and awaited; nothing is gained by holding them back.
                drop(stream.set_nodelay(true));
                sessions.spawn(converse(shared.clone(), stream));
            }
            Ok(Connection::Unix(stream)) => {
                sessions.spawn(converse(shared.clone(), stream));
            }
            Err(error) => {
                tracing::warn!(target: "accord::mail", %error, "A connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }
    sessions.close();
    drop(tokio::time::timeout(DRAIN, sessions.wait()).await);
}

enum Connection {
    Tcp(tokio::net::TcpStream),
    Unix(tokio::net::UnixStream),
}

async fn accept(door: &Door) -> io::Result<Connection> {
    match door {
        Door::Tcp(listener) => listener.accept().await.map(|(stream, _)| Connection::Tcp(stream)),
        Door::Unix(listener) => listener.accept().await.map(|(stream, _)| Connection::Unix(stream)),
    }
}

async fn converse<S: AsyncRead + AsyncWrite + Unpin + Send>(shared: Arc<Shared>, mut stream: S) {
    let Ok(_permit) = shared.connections.try_acquire() else {
        drop(stream.write_all(b"421 4.3.2 Too many connections, try again later\r\n").await);
        return;
    };
    if let Err(error) = session::run(&shared, &mut stream).await {
        tracing::debug!(target: "accord::mail", %error, "An LMTP connection ended");
    }
    drop(stream.shutdown().await);
}
