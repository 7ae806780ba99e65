//! Handing a finished mail over: to the relay by SMTP, into files while developing, into memory in tests. It blocks; the
//! outbox decides when to try again, by the kind of [`SendFailure`]. No mail is ever handed to a program, so an address
//! never reaches a command line (ADV-14).

use std::collections::VecDeque;
use std::fs;
use std::io::Write;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use lettre::address::Envelope;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::transport::smtp::{Error as SmtpError, PoolConfig, SmtpTransport};
use lettre::{Address, Transport as _};

use crate::carry;
use crate::config::mail::{Outgoing, SmtpConfig, SmtpTls};
use crate::error::{Error, Result};
use crate::secret::random_handle;

/// How long one attempt may take altogether (FT-08).
pub const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(120);
/// How long a check may take, which somebody waits for.
const CHECK_TIMEOUT: Duration = Duration::from_secs(20);
/// Connections to one relay at a time (O-07).
const CONNECTIONS: u32 = 5;
/// Attempts that ran out of time may still hang for a while. With so many of them the relay is left alone.
const HANGING_ATTEMPTS: usize = 8;
/// The longest answer of a server that is kept.
const ANSWER_CHARACTERS: usize = 300;

/// Where mail goes.
#[derive(Clone)]
pub enum Transport {
    Smtp(SmtpRelay),
    Files(MailFolder),
    Memory(MailMemory),
}

/// Why a mail was not taken (O-04).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SendFailure {
    pub kind: FailureKind,
    /// The answer's code, if there was an answer.
    pub code: Option<u16>,
    /// For administrators; it may name the recipient, so it is not for the log.
    pub text: String,
}

/// Whose fault it is, and so what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// No mail gets through now: refused, timed out, no TLS, wrong password. It is not this mail's attempt that failed.
    Relay,
    /// This mail, for now.
    Transient,
    /// This mail, for good.
    Permanent,
}

impl Transport {
    /// The transport that the configuration names. Nothing is connected yet.
    pub fn new(outgoing: &Outgoing) -> Result<Transport> {
        match outgoing {
            Outgoing::Smtp(relay) => Ok(Transport::Smtp(SmtpRelay::new(relay)?)),
            Outgoing::Files(folder) => Ok(Transport::Files(MailFolder::new(folder))),
        }
    }

    /// Hands over `bytes`, which are sent as they are. An empty `envelope_from` is the null sender.
    pub fn send(&self, envelope_from: &str, recipient: &str, bytes: &[u8]) -> Result<(), SendFailure> {
        match self {
            Transport::Smtp(relay) => relay.send(envelope_from, recipient, bytes),
            Transport::Files(folder) => folder.send(bytes),
            Transport::Memory(memory) => memory.send(envelope_from, recipient, bytes),
        }
    }

    /// Whether the relay answers and lets us in, or the folder can be written, for `accord check`.
    pub fn check(&self) -> Result<(), SendFailure> {
        match self {
            Transport::Smtp(relay) => relay.check(),
            Transport::Files(folder) => folder.check(),
            Transport::Memory(_) => Ok(()),
        }
    }
}

/// A mail relay, with its open connections.
#[derive(Clone)]
pub struct SmtpRelay {
    config: SmtpConfig,
    transport: SmtpTransport,
    attempt_timeout: Duration,
    hanging: Arc<AtomicUsize>,
}

impl SmtpRelay {
    /// TLS is required and verified unless the configuration says otherwise; without any, only to this machine (OUT-09).
    pub fn new(config: &SmtpConfig) -> Result<SmtpRelay> {
        Self::with_timeout(config, ATTEMPT_TIMEOUT)
    }

    fn with_timeout(config: &SmtpConfig, attempt_timeout: Duration) -> Result<SmtpRelay> {
        let parameters = || TlsParameters::new(config.host.clone()).map_err(|error| Error::Internal(error.into()));
        let tls = match config.tls {
            SmtpTls::StartTls => Tls::Required(parameters()?),
            SmtpTls::Wrapper => Tls::Wrapper(parameters()?),
            SmtpTls::Opportunistic => Tls::Opportunistic(parameters()?),
            SmtpTls::None if is_this_machine(&config.host) => Tls::None,
            SmtpTls::None => {
                return Err(Error::internal("mail.smtp.tls = \"none\" is for a relay on this machine only"));
            }
        };
        // When a certificate does not verify after STARTTLS, the library says goodbye to the relay and waits for its answer in
        // vain. With half the time for a single step, its reason is heard all the same.
        let mut builder = SmtpTransport::builder_dangerous(config.host.as_str())
            .port(config.port)
            .tls(tls)
            .timeout(Some(attempt_timeout / 2))
            .pool_config(PoolConfig::new().max_size(CONNECTIONS));
        if let (Some(user), Some(password)) = (&config.user, &config.password) {
            builder = builder.credentials(Credentials::new(user.clone(), password.expose().clone()));
        }
        Ok(SmtpRelay { config: config.clone(), transport: builder.build(), attempt_timeout, hanging: Arc::default() })
    }

    fn send(&self, envelope_from: &str, recipient: &str, bytes: &[u8]) -> Result<(), SendFailure> {
        let envelope = envelope(envelope_from, recipient)?;
        // The library ends the last line itself, also one that is ended already; the relay gets the frozen bytes, and not
        // an empty line more (O-02).
        let bytes = bytes.strip_suffix(b"\r\n").unwrap_or(bytes).to_vec();
        self.within_the_time(move |transport| {
            let Err(error) = transport.send_raw(&envelope, &bytes) else { return Ok(()) };
            let failure = classify(&error);
            // A relay that turns everybody away at the door answers with a 5xx, too. It is not this mail's fault then.
            if failure.kind == FailureKind::Permanent && !matches!(transport.test_connection(), Ok(true)) {
                return Err(SendFailure { kind: FailureKind::Relay, ..failure });
            }
            Err(failure)
        })
    }

    /// On a connection of its own, for less time than a mail is given.
    fn check(&self) -> Result<(), SendFailure> {
        let probe =
            Self::with_timeout(&self.config, CHECK_TIMEOUT).map_err(|error| relay_failure(&error.to_string()))?;
        probe.within_the_time(|transport| match transport.test_connection() {
            Ok(true) => Ok(()),
            Ok(false) => Err(relay_failure("the relay does not answer")),
            Err(error) => Err(SendFailure { kind: FailureKind::Relay, ..classify(&error) }),
        })
    }

    /// Runs an attempt for as long as an attempt may take. The library's timeouts are for single reads and writes, and a
    /// server that sends a byte a second meets all of them; the thread it holds on to ends with its connection.
    fn within_the_time(
        &self,
        attempt: impl FnOnce(&SmtpTransport) -> Result<(), SendFailure> + Send + 'static,
    ) -> Result<(), SendFailure> {
        if self.hanging.load(Ordering::SeqCst) >= HANGING_ATTEMPTS {
            return Err(relay_failure("earlier attempts still hang at the relay"));
        }
        let (done, outcome) = sync_channel(1);
        let transport = self.transport.clone();
        let hanging = Arc::clone(&self.hanging);
        let attempt = carry::along(move || attempt(&transport));
        let spawned = thread::Builder::new().name("smtp".to_owned()).spawn(move || {
            let is_unheard = done.send(attempt()).is_err();
            if is_unheard {
                hanging.fetch_sub(1, Ordering::SeqCst);
            }
        });
        if let Err(error) = spawned {
            return Err(relay_failure(&error.to_string()));
        }
        match outcome.recv_timeout(self.attempt_timeout) {
            Ok(result) => result,
            Err(RecvTimeoutError::Timeout) => {
                self.hanging.fetch_add(1, Ordering::SeqCst);
                // It may have ended between the two lines above; then nothing hangs.
                match outcome.try_recv() {
                    Ok(result) => {
                        self.hanging.fetch_sub(1, Ordering::SeqCst);
                        result
                    }
                    Err(_) => Err(relay_failure("the relay took too long")),
                }
            }
            Err(RecvTimeoutError::Disconnected) => Err(relay_failure("the attempt ended without an outcome")),
        }
    }
}

fn envelope(envelope_from: &str, recipient: &str) -> Result<Envelope, SendFailure> {
    let refused = |text: String| SendFailure { kind: FailureKind::Permanent, code: None, text };
    let address = |text: &str| text.parse::<Address>().map_err(|error| refused(error.to_string()));
    let sender = if envelope_from.is_empty() { None } else { Some(address(envelope_from)?) };
    Envelope::new(sender, vec![address(recipient)?]).map_err(|error| refused(error.to_string()))
}

fn classify(error: &SmtpError) -> SendFailure {
    let code = error.status().map(u16::from);
    let kind = match code {
        // Closing, no TLS, or who we are: nothing to do with this mail.
        Some(421 | 454 | 500 | 502 | 503 | 504 | 530 | 534 | 535 | 538) => FailureKind::Relay,
        Some(400..=499) => FailureKind::Transient,
        Some(500..=599) => FailureKind::Permanent,
        _ => FailureKind::Relay,
    };
    SendFailure { kind, code, text: printable(&error.to_string()) }
}

fn relay_failure(text: &str) -> SendFailure {
    SendFailure { kind: FailureKind::Relay, code: None, text: printable(text) }
}

/// A server's words, fit to be stored and shown.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(ANSWER_CHARACTERS).collect()
}

fn is_this_machine(host: &str) -> bool {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// A folder in which each mail becomes a file `….eml`, for developing and for demonstrations.
#[derive(Clone, Debug)]
pub struct MailFolder {
    folder: PathBuf,
}

impl MailFolder {
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// The names of the mails, the newest first, `limit` at most.
    pub fn list(&self, limit: usize) -> std::io::Result<Vec<String>> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            // Nothing was sent yet.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut found = Vec::new();
        for entry in entries {
            let entry = entry?;
            if let Some(name) = entry.file_name().to_str().and_then(|name| name.strip_suffix(".eml")) {
                found.push((entry.metadata()?.modified()?, name.to_owned()));
            }
        }
        found.sort_unstable_by(|one, other| other.cmp(one));
        Ok(found.into_iter().take(limit).map(|(_, name)| name).collect())
    }

    /// The mail of that name, if there is one.
    pub fn find(&self, name: &str) -> std::io::Result<Option<Vec<u8>>> {
        // A name of ours has no signs that mean something in a path (ADV-22).
        if name.is_empty() || name.len() > 64 || !name.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Ok(None);
        }
        match fs::read(self.folder.join(format!("{name}.eml"))) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The file appears whole or not at all. What fails is the machine's fault, never the mail's.
    fn send(&self, bytes: &[u8]) -> Result<(), SendFailure> {
        let name = random_handle();
        let unfinished = self.folder.join(format!(".{name}.part"));
        let written = self.open(&unfinished).and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&unfinished, self.folder.join(format!("{name}.eml")))
        });
        written.map_err(|error| {
            // Whether or not it is there, what remains is of no use.
            let _ = fs::remove_file(&unfinished);
            relay_failure(&error.to_string())
        })
    }

    fn check(&self) -> Result<(), SendFailure> {
        let probe = self.folder.join(format!(".{}.part", random_handle()));
        self.open(&probe).and_then(|_| fs::remove_file(&probe)).map_err(|error| relay_failure(&error.to_string()))
    }

    /// Mails hold links that sign in: only their owner reads them.
    fn open(&self, path: &Path) -> std::io::Result<fs::File> {
        fs::create_dir_all(&self.folder)?;
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options.open(path)
    }
}

/// What was sent, for tests to look at, and failures for them to order. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct MailMemory {
    state: Arc<Mutex<MemoryState>>,
}

#[derive(Debug, Default)]
struct MemoryState {
    sent: Vec<SentMail>,
    failures: VecDeque<SendFailure>,
}

/// One mail as it was handed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentMail {
    pub envelope_from: String,
    pub recipient: String,
    pub bytes: Vec<u8>,
}

impl MailMemory {
    /// All mails sent so far, oldest first.
    pub fn sent(&self) -> Vec<SentMail> {
        self.state().sent.clone()
    }

    /// All mails sent so far, which are then forgotten.
    pub fn take(&self) -> Vec<SentMail> {
        std::mem::take(&mut self.state().sent)
    }

    /// Lets the next attempt that has no failure yet fail in this way.
    pub fn fail_next(&self, failure: SendFailure) {
        self.state().failures.push_back(failure);
    }

    fn send(&self, envelope_from: &str, recipient: &str, bytes: &[u8]) -> Result<(), SendFailure> {
        let mut state = self.state();
        if let Some(failure) = state.failures.pop_front() {
            return Err(failure);
        }
        state.sent.push(SentMail {
            envelope_from: envelope_from.to_owned(),
            recipient: recipient.to_owned(),
            bytes: bytes.to_vec(),
        });
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, MemoryState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::net::TcpListener;

    use super::*;

    const MAIL: &[u8] = b"From: a@b.example\r\nTo: c@d.example\r\n\r\n.dot\r\nend\r\n";

    /// A relay on this machine that answers each command by `answer` (for "CONNECT", "EHLO", "MAIL", "RCPT", "DATA", "."
    /// and so on; `None` means the usual), and hands back all it was told.
    fn relay(answer: fn(&str) -> Option<&'static str>) -> (SmtpConfig, thread::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = thread::spawn(move || {
            let mut heard = Vec::new();
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                let mut say = |text: &str| write!(stream, "{text}\r\n").is_ok();
                say(answer("CONNECT").unwrap_or("220 relay"));
                let mut in_data = false;
                while let Some(Ok(line)) = lines.next() {
                    heard.push(line.clone());
                    let verb = if in_data { line.as_str() } else { line.split([' ', ':']).next().unwrap() };
                    let reply = match (in_data, verb) {
                        (true, ".") => {
                            in_data = false;
                            answer(".").unwrap_or("250 taken")
                        }
                        (true, _) => continue,
                        (_, "DATA") => {
                            let reply = answer("DATA").unwrap_or("354 go on");
                            in_data = reply.starts_with('3');
                            reply
                        }
                        (_, "EHLO") => answer("EHLO").unwrap_or("250 relay"),
                        (_, "QUIT") => "221 bye",
                        (_, verb) => answer(verb).unwrap_or("250 ok"),
                    };
                    if !say(reply) || verb == "QUIT" {
                        break;
                    }
                }
                if heard.iter().any(|line| line == "STOP") {
                    break;
                }
            }
            heard
        });
        let config = SmtpConfig { host: "127.0.0.1".to_owned(), port, tls: SmtpTls::None, user: None, password: None };
        (config, server)
    }

    fn stop(port: u16, server: thread::JoinHandle<Vec<String>>) -> Vec<String> {
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.write_all(b"STOP\r\n").unwrap();
        drop(stream);
        server.join().unwrap()
    }

    fn attempt(answer: fn(&str) -> Option<&'static str>) -> (Result<(), SendFailure>, Vec<String>) {
        let (config, server) = relay(answer);
        let relay = SmtpRelay::with_timeout(&config, Duration::from_secs(5)).unwrap();
        let result = Transport::Smtp(relay).send("b+x@reply.example", "anne@acme.example", MAIL);
        (result, stop(config.port, server))
    }

    fn kind_and_code(answer: fn(&str) -> Option<&'static str>) -> (FailureKind, Option<u16>) {
        let failure = attempt(answer).0.unwrap_err();
        (failure.kind, failure.code)
    }

    #[test]
    fn o_02_the_relay_gets_the_bytes_as_they_are() {
        let (result, heard) = attempt(|_| None);
        result.unwrap();
        assert!(heard.iter().any(|line| line.starts_with("MAIL FROM:<b+x@reply.example>")));
        assert!(heard.iter().any(|line| line.starts_with("RCPT TO:<anne@acme.example>")));
        assert!(heard.windows(3).any(|lines| lines == ["..dot", "end", "."]), "byte for byte: {heard:?}");
    }

    #[test]
    fn out_05_the_null_sender_is_sent_as_such() {
        let (config, server) = relay(|_| None);
        let transport = Transport::new(&Outgoing::Smtp(config.clone())).unwrap();
        transport.send("", "anne@acme.example", MAIL).unwrap();
        drop(transport);
        assert!(stop(config.port, server).iter().any(|line| line.starts_with("MAIL FROM:<>")));
    }

    #[test]
    fn o_04_an_answer_about_the_mail_is_transient_or_permanent() {
        assert_eq!(
            kind_and_code(|verb| (verb == "RCPT").then_some("450 4.2.1 later")),
            (FailureKind::Transient, Some(450))
        );
        assert_eq!(
            kind_and_code(|verb| (verb == "RCPT").then_some("550 5.1.1 unknown")),
            (FailureKind::Permanent, Some(550))
        );
        assert_eq!(
            kind_and_code(|verb| (verb == ".").then_some("554 5.6.0 not taken")),
            (FailureKind::Permanent, Some(554))
        );
    }

    #[test]
    fn o_04_an_answer_about_the_relay_is_no_attempt_of_the_mail() {
        assert_eq!(kind_and_code(|verb| (verb == "MAIL").then_some("421 closing")), (FailureKind::Relay, Some(421)));
        assert_eq!(kind_and_code(|verb| (verb == "MAIL").then_some("530 log in")), (FailureKind::Relay, Some(530)));
        assert_eq!(
            kind_and_code(|verb| (verb == "CONNECT").then_some("554 no service here")),
            (FailureKind::Relay, Some(554))
        );
        assert_eq!(kind_and_code(|verb| (verb == "MAIL").then_some("nonsense")).0, FailureKind::Relay);
    }

    #[test]
    fn o_04_a_relay_that_is_not_there_is_no_attempt_of_the_mail() {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = SmtpConfig { host: "localhost".to_owned(), port, tls: SmtpTls::None, user: None, password: None };
        let transport = Transport::new(&Outgoing::Smtp(config)).unwrap();
        let failure = transport.send("", "anne@acme.example", MAIL).unwrap_err();
        assert_eq!((failure.kind, failure.code), (FailureKind::Relay, None));
        assert_eq!(transport.check().unwrap_err().kind, FailureKind::Relay);
    }

    #[test]
    fn ft_08_an_attempt_ends_when_its_time_is_over_however_the_relay_dawdles() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        // It sends a byte of its greeting well within any timeout of a single read, and never ends the line.
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            while stream.write_all(b"2").is_ok() {
                thread::park_timeout(Duration::from_millis(20));
            }
        });
        let config = SmtpConfig { host: "127.0.0.1".to_owned(), port, tls: SmtpTls::None, user: None, password: None };
        let relay = SmtpRelay::with_timeout(&config, Duration::from_millis(150)).unwrap();
        let failure = relay.send("", "anne@acme.example", MAIL).unwrap_err();
        assert_eq!(failure, relay_failure("the relay took too long"));
        assert_eq!(relay.hanging.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn out_09_without_tls_only_this_machine_is_reached() {
        let config = |host: &str, tls| SmtpConfig { host: host.to_owned(), port: 25, tls, user: None, password: None };
        for host in ["localhost", "127.0.0.1", "::1", "[::1]"] {
            assert!(SmtpRelay::new(&config(host, SmtpTls::None)).is_ok(), "{host}");
        }
        for host in ["mail.example.com", "localhost.example.com", "10.0.0.1", "127.0.0.1.example.com"] {
            assert!(SmtpRelay::new(&config(host, SmtpTls::None)).is_err(), "{host}");
        }
    }

    #[test]
    fn out_09_starttls_is_required_and_nothing_is_sent_without_it() {
        let (config, server) = relay(|_| None);
        let config = SmtpConfig { tls: SmtpTls::StartTls, ..config };
        let failure = SmtpRelay::new(&config).unwrap().send("", "anne@acme.example", MAIL).unwrap_err();
        assert_eq!(failure.kind, FailureKind::Relay);
        let heard = stop(config.port, server);
        assert!(!heard.iter().any(|line| line.starts_with("MAIL")), "{heard:?}");
    }

    /// A relay with a certificate that nobody vouches for, which takes a mail from whoever does not mind. The answer is what it
    /// was told inside TLS.
    fn relay_with_unknown_certificate(is_wrapped: bool) -> (u16, thread::JoinHandle<Option<String>>) {
        use rustls::pki_types::pem::PemObject;
        use rustls::pki_types::{CertificateDer, PrivateKeyDer};
        let certificate =
            CertificateDer::from_pem_slice(include_bytes!("../../tests/fixtures/tls/self_signed.pem")).unwrap();
        let key =
            PrivateKeyDer::from_pem_slice(include_bytes!("../../tests/fixtures/tls/self_signed.key.pem")).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            if !is_wrapped {
                let mut lines = BufReader::new(stream.try_clone().unwrap());
                let mut line = String::new();
                stream.write_all(b"220 relay\r\n").unwrap();
                lines.read_line(&mut line).unwrap();
                stream.write_all(b"250-relay\r\n250 STARTTLS\r\n").unwrap();
                lines.read_line(&mut line).unwrap();
                assert!(line.ends_with("STARTTLS\r\n"), "{line}");
                stream.write_all(b"220 go on\r\n").unwrap();
            }
            let connection = rustls::ServerConnection::new(Arc::new(config)).unwrap();
            let mut tls = BufReader::new(rustls::StreamOwned::new(connection, stream));
            let _ = tls.get_mut().write_all(b"220 relay\r\n");
            let mut heard = String::new();
            tls.read_line(&mut heard).ok().filter(|length| *length > 0).map(|_| heard)
        });
        (port, server)
    }

    #[test]
    fn out_09_ft_08_a_certificate_that_does_not_verify_gets_no_mail() {
        for (tls, is_wrapped) in [(SmtpTls::StartTls, false), (SmtpTls::Wrapper, true), (SmtpTls::Opportunistic, false)]
        {
            let (port, server) = relay_with_unknown_certificate(is_wrapped);
            let config = SmtpConfig { host: "localhost".to_owned(), port, tls, user: None, password: None };
            let relay = SmtpRelay::with_timeout(&config, Duration::from_secs(1)).unwrap();
            let failure = relay.send("", "anne@acme.example", MAIL).unwrap_err();
            assert_eq!((failure.kind, failure.code), (FailureKind::Relay, None));
            assert!(failure.text.contains("invalid peer certificate"), "{tls:?}: {failure:?}");
            assert_eq!(server.join().unwrap(), None, "{tls:?}: nothing is said to a stranger");
        }
    }

    #[test]
    fn adv_14_an_address_is_never_part_of_a_command_line() {
        // Only SMTP is compiled in: lettre's other transports are features that must stay off.
        let manifest: toml::Table = include_str!("../../Cargo.toml").parse().unwrap();
        let lettre = &manifest["dependencies"]["lettre"];
        assert_eq!(lettre["default-features"].as_bool(), Some(false));
        let features: Vec<&str> = lettre["features"].as_array().unwrap().iter().filter_map(|f| f.as_str()).collect();
        assert!(features.contains(&"smtp-transport"));
        assert!(!features.iter().any(|feature| feature.contains("sendmail") || feature.contains("file-transport")));
        // And what would be an option or a variable there is only text here.
        for hostile in ["-oQ/tmp@x.example", "a$USER@x.example", "-f`id`@x.example"] {
            let (config, server) = relay(|_| None);
            let transport = Transport::new(&Outgoing::Smtp(config.clone())).unwrap();
            transport.send("", hostile, MAIL).unwrap();
            drop(transport);
            let heard = stop(config.port, server);
            assert!(heard.iter().any(|line| line.starts_with(&format!("RCPT TO:<{hostile}>"))), "{heard:?}");
        }
    }

    #[test]
    fn a_recipient_that_is_no_address_is_refused_for_good() {
        let config =
            SmtpConfig { host: "localhost".to_owned(), port: 9, tls: SmtpTls::None, user: None, password: None };
        let transport = Transport::new(&Outgoing::Smtp(config)).unwrap();
        for wrong in ["", "anne", "anne@acme.example> NOTIFY=NEVER", "a@b.example\r\nRCPT TO:<c@d.example>"] {
            assert_eq!(transport.send("", wrong, MAIL).unwrap_err().kind, FailureKind::Permanent, "{wrong:?}");
        }
    }

    #[test]
    fn files_appear_whole_and_readable_by_their_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let transport = Transport::new(&Outgoing::Files(folder.path().join("mail"))).unwrap();
        transport.check().unwrap();
        transport.send("b@reply.example", "anne@acme.example", MAIL).unwrap();
        transport.send("b@reply.example", "anne@acme.example", MAIL).unwrap();
        let files: Vec<PathBuf> =
            fs::read_dir(folder.path().join("mail")).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(files.len(), 2);
        for file in files {
            assert_eq!(file.extension().unwrap(), "eml");
            assert_eq!(fs::read(&file).unwrap(), MAIL);
            #[cfg(unix)]
            {
                let permissions = fs::metadata(&file).unwrap().permissions();
                assert_eq!(std::os::unix::fs::PermissionsExt::mode(&permissions) & 0o777, 0o600);
            }
        }
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_no_attempt_of_the_mail() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let transport = Transport::Files(MailFolder::new(&file.path().join("below a file")));
        assert_eq!(transport.send("", "anne@acme.example", MAIL).unwrap_err().kind, FailureKind::Relay);
    }

    #[test]
    fn memory_keeps_what_was_sent_and_fails_on_demand() {
        let memory = MailMemory::default();
        let transport = Transport::Memory(memory.clone());
        memory.fail_next(relay_failure("down"));
        assert_eq!(transport.send("", "anne@acme.example", MAIL), Err(relay_failure("down")));
        transport.send("", "anne@acme.example", MAIL).unwrap();
        let expected =
            SentMail { envelope_from: String::new(), recipient: "anne@acme.example".to_owned(), bytes: MAIL.to_vec() };
        assert_eq!(memory.take(), [expected]);
        assert!(memory.sent().is_empty());
    }
}
