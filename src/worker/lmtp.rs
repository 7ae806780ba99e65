//! The LMTP listener (RFC 2033): a mail server on the same machine hands mails over, and each recipient is answered on
//! its own once the mail is durable in the journal. It relays nothing, and takes mail only for addresses of ours (S-02).

pub mod data;
mod session;
mod socket_file;
mod xforward;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::app::App;
use crate::config::mail::LmtpListen;

use socket_file::SocketFile;

/// Connections at a time; a mail server needs a few.
const CONNECTIONS: usize = 100;
/// How long mails being received have to arrive once the program is told to stop (FT-22).
const DRAIN: Duration = Duration::from_secs(6);

/// An open listener.
pub enum Door {
    Tcp(TcpListener),
    Unix(SocketFile),
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
            // The mail server is another user; like the loopback port it is open to who is on this machine.
            LmtpListen::Unix(path) => SocketFile::open(path, 0o666).map(Door::Unix),
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
    pub stop: CancellationToken,
}

impl Shared {
    fn new(app: Arc<App>, stop: CancellationToken) -> Shared {
        Shared { app, connections: Semaphore::new(CONNECTIONS), stop }
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
    // Who comes now is sent away at once, and whoever begins next finds nothing in its way.
    if let Door::Unix(socket) = door {
        socket.close();
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
        Door::Unix(socket) => socket.listener.accept().await.map(|(stream, _)| Connection::Unix(stream)),
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
