//! Asking the running server by its local socket (DB-07): how commands reach an embedded database that another process
//! owns.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use crate::config::Config;
use crate::worker::local_socket::{self, Answer, Ask};

/// How long the running server may take to answer.
const PATIENCE: Duration = Duration::from_secs(100);

/// The server that owns the embedded database, if one runs. A PostgreSQL server is everybody's: nobody is asked then.
pub fn find_server(config: &Config) -> Option<UnixStream> {
    if !config.database.url.is_sqlite() {
        return None;
    }
    local_socket::connect(&local_socket::path(config), PATIENCE).ok()
}

/// Asks, with the bytes that go with the question.
pub fn ask(server: UnixStream, ask: &Ask, bytes: &[u8]) -> Result<Answer, String> {
    ask_patiently(server, ask, bytes, PATIENCE)
}

/// The same for what takes its time.
pub fn ask_patiently(mut server: UnixStream, ask: &Ask, bytes: &[u8], patience: Duration) -> Result<Answer, String> {
    let failed = |error: std::io::Error| format!("the server does not answer: {error}");
    server.set_read_timeout(Some(patience)).map_err(failed)?;
    server.set_write_timeout(Some(PATIENCE)).map_err(failed)?;
    let mut line = serde_json::to_string(ask).map_err(|error| error.to_string())?;
    line.push('\n');
    server.write_all(line.as_bytes()).map_err(failed)?;
    server.write_all(bytes).map_err(failed)?;
    let mut answer = String::new();
    BufReader::new(server).read_line(&mut answer).map_err(failed)?;
    serde_json::from_str(&answer).map_err(|_| "the server ended before it answered".to_owned())
}
