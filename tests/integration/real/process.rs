//! An installation on disk, and the program running on it as a process that can be told to stop, or killed.

use std::fs::File;
use std::io::{Read, Seek};
use std::net::{SocketAddr, TcpListener};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use accord::config::database::DatabaseUrl;
use accord::db::connection::{DbConnection, Role, open};
use tempfile::TempDir;

use super::http;
use crate::support::database::TestDatabase;

/// How long anything may take that should take a moment; the machine may be busy with other things.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Which database an installation has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Sqlite,
    Postgres,
}

/// Everything that outlives a process: the folder, the database, the settings.
pub struct Installation {
    pub folder: TempDir,
    pub settings: String,
    // Kept for its end: it drops the database of a server.
    database: Option<TestDatabase>,
}

/// A running `accord serve`. It is killed when dropped.
pub struct Server {
    child: Child,
    pub address: SocketAddr,
    pub metrics: SocketAddr,
    /// How long it took until it could work.
    pub ready_after: Duration,
}

impl Installation {
    /// An empty folder and, on PostgreSQL, a migrated database on the server of `ACCORD_TEST_DATABASE_URL`.
    pub fn empty(kind: Kind) -> Installation {
        Installation::in_folder(kind, tempfile::tempdir().unwrap())
    }

    /// The same in a folder of one's own, such as a small disk.
    pub fn in_folder(kind: Kind, folder: TempDir) -> Installation {
        let database = (kind == Kind::Postgres).then(|| {
            assert!(
                std::env::var("ACCORD_TEST_DATABASE_URL").is_ok(),
                "this test needs a PostgreSQL server: set ACCORD_TEST_DATABASE_URL"
            );
            TestDatabase::fresh(folder.path())
        });
        Installation { folder, settings: String::new(), database }
    }

    /// The same with settings (TOML). What the process is given by variables is not repeated there.
    pub fn with_settings(self, settings: &str) -> Installation {
        Installation { settings: settings.to_owned(), ..self }
    }

    /// The same taking mail over LMTP at that address; what goes out is written to files.
    pub fn taking_mail(self, lmtp: SocketAddr) -> Installation {
        self.with_settings(&format!("[mail]\nlmtp = \"{lmtp}\"\noutgoing = \"files\"\ncheck_senders = false\n"))
    }

    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub fn database_url(&self) -> DatabaseUrl {
        match &self.database {
            Some(database) => database.url.clone(),
            None => DatabaseUrl::Sqlite(self.data().join("accord.sqlite")),
        }
    }

    /// Another connection to the same database, migrated first.
    pub fn database(&self) -> DbConnection {
        let url = self.database_url();
        if !self.data().exists() {
            std::fs::create_dir(self.data()).unwrap();
        }
        accord::db::migrations::run(&mut open(&url, Role::Migrator).unwrap()).unwrap();
        open(&url, Role::Writer).unwrap()
    }

    /// `accord` with the settings of this installation.
    pub fn command(&self, arguments: &[&str]) -> Command {
        self.command_of(Path::new(env!("CARGO_BIN_EXE_accord")), arguments)
    }

    /// The same with a copy of the program elsewhere.
    pub fn command_of(&self, program: &Path, arguments: &[&str]) -> Command {
        let settings = self.folder.path().join("accord.toml");
        std::fs::write(&settings, &self.settings).unwrap();
        let mut command = Command::new(program);
        command.args(arguments).arg("--config").arg(settings).arg("--data").arg(self.data());
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("ACCORD_")) {
            command.env_remove(name);
        }
        if let DatabaseUrl::Postgres(url) = self.database_url() {
            command.env("ACCORD_DATABASE_URL", url);
        }
        if !self.settings.contains("undo_seconds") {
            // What an agent sends is said at once, unless a test is about taking it back.
            command.env("ACCORD_DESK_UNDO_SECONDS", "0");
        }
        command.stdin(Stdio::null());
        command
    }

    /// Starts `accord serve` on a free port, and waits until it can work.
    pub fn serve(&self) -> Server {
        self.serve_with(&[])
    }

    /// The same with further arguments.
    pub fn serve_with(&self, arguments: &[&str]) -> Server {
        let (command, address, metrics) = self.serve_command(arguments);
        Server::start(command, self.log(), address, metrics)
    }

    /// `accord serve` on free ports, not yet started, with the addresses of the desk and of its metrics.
    pub fn serve_command(&self, arguments: &[&str]) -> (Command, SocketAddr, SocketAddr) {
        let (address, metrics) = (free_address(), free_address());
        let listen = address.to_string();
        let mut all = vec!["serve", "--listen", listen.as_str()];
        all.extend_from_slice(arguments);
        let mut command = self.command(&all);
        command.env("ACCORD_HTTP_METRICS_LISTEN", metrics.to_string());
        (command, address, metrics)
    }

    /// What all processes of this installation said.
    pub fn log(&self) -> File {
        File::options().create(true).read(true).append(true).open(self.log_path()).unwrap()
    }

    pub fn log_path(&self) -> PathBuf {
        self.folder.path().join("accord.log")
    }

    pub fn said(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }
}

impl Server {
    /// Starts `command`, which serves on `address`, and waits until it can work.
    pub fn start(mut command: Command, mut log: File, address: SocketAddr, metrics: SocketAddr) -> Server {
        let started = Instant::now();
        let child = command.stdout(log.try_clone().unwrap()).stderr(log.try_clone().unwrap()).spawn().unwrap();
        let mut server = Server { child, address, metrics, ready_after: Duration::ZERO };
        loop {
            if http::get(address, "/readyz").is_ok_and(|answer| answer.status == 200) {
                server.ready_after = started.elapsed();
                return server;
            }
            if let Some(status) = server.child.try_wait().unwrap() {
                let mut said = String::new();
                log.rewind().and_then(|()| log.read_to_string(&mut said)).unwrap();
                panic!("the server ended at once: {status}, and said: {}", said.lines().last().unwrap_or_default());
            }
            assert!(started.elapsed() < PATIENCE, "the server is not ready after {PATIENCE:?}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// `kill -9`.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Tells it to stop, as a service manager does, and gives how long that took.
    pub fn stop(mut self) -> (ExitStatus, Duration) {
        let told = Instant::now();
        self.tell_to_stop();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return (status, told.elapsed());
            }
            assert!(told.elapsed() < PATIENCE, "the server does not stop");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until it ends by itself.
    pub fn wait(&mut self) -> ExitStatus {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(began.elapsed() < PATIENCE, "the server does not end");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// SIGTERM.
    pub fn tell_to_stop(&self) {
        let told = Command::new("kill").arg("-TERM").arg(self.id().to_string()).status().unwrap();
        assert!(told.success());
    }

    /// One of its counters.
    pub fn counter(&self, name: &str) -> u64 {
        let text = http::get(self.metrics, "/metrics").unwrap().text;
        text.lines()
            .filter(|line| line.starts_with(name))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
            .sum()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Fails when it is gone already, which is as good.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Set when this goes, also by a failure: then whoever goes on until it is set does not go on for ever.
pub struct SetAtTheEnd<'a>(pub &'a AtomicBool);

impl Drop for SetAtTheEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// An address of loopback that nobody listens on at this moment. Its port is below those that systems give to connections
/// that go out (RFC 6335 has these from 49152, Linux from 32768), so that it stays free while a server is started again:
/// whoever keeps calling a server that is down would else be given the port that it calls, and be answered by themselves.
pub fn free_address() -> SocketAddr {
    const PORTS: Range<u32> = 12_000..32_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Several programs of tests may run at once, each with numbers of its own.
    let first = std::process::id().wrapping_mul(101);
    (0..PORTS.len())
        .map(|_| first.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % (PORTS.end - PORTS.start) + PORTS.start)
        .find_map(|port| TcpListener::bind(("127.0.0.1", u16::try_from(port).ok()?)).ok()?.local_addr().ok())
        .expect("a port is free")
}

/// Waits until `holds`, or fails with `what` after `patience`.
pub fn wait_until(what: &str, patience: Duration, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < patience, "{what}: not after {patience:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
