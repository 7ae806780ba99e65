//! The relay, by SMTP: an attempt ends in its time, and what the relay answers is told apart by whose fault it is.

use std::error::Error as _;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use lettre::address::Envelope;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::transport::smtp::{Error as SmtpError, PoolConfig, SmtpTransport};
use lettre::{Address, Transport as _};

use super::{FailureKind, SendFailure, printable, relay_failure};
use crate::carry;
use crate::config::mail::{SmtpConfig, SmtpTls};
use crate::error::{Error, Result};

/// How long one attempt may take altogether (FT-08).
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(120);
/// How long a check may take, which somebody waits for.
const CHECK_TIMEOUT: Duration = Duration::from_secs(20);
/// Connections to one relay at a time (O-07).
const CONNECTIONS: u32 = 5;
/// Attempts that ran out of time may still hang for a while. With so many of them the relay is left alone.
const HANGING_ATTEMPTS: usize = 8;

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

    /// The same, and an attempt may take as long as that: for a check that somebody waits for, and for tests.
    pub fn with_timeout(config: &SmtpConfig, attempt_timeout: Duration) -> Result<SmtpRelay> {
        Self::trusting(config, attempt_timeout, None)
    }

    /// The same where this certificate vouches for others, too.
    fn trusting(config: &SmtpConfig, attempt_timeout: Duration, root: Option<&Certificate>) -> Result<SmtpRelay> {
        let parameters = || {
            let builder = TlsParameters::builder(config.host.clone());
            let builder = root.into_iter().fold(builder, |builder, root| builder.add_root_certificate(root.clone()));
            builder.build().map_err(|error| Error::Internal(error.into()))
        };
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

    pub(super) fn send(&self, envelope_from: &str, recipient: &str, bytes: &[u8]) -> Result<(), SendFailure> {
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
    pub(super) fn check(&self) -> Result<(), SendFailure> {
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
        let spawned = carry::thread("smtp".to_owned(), move || {
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
    // What the server said, without what the library says of the code once more.
    let said = code.and(error.source()).map_or_else(|| error.to_string(), |said| said.to_string());
    SendFailure { kind, code, text: printable(&said) }
}

fn is_this_machine(host: &str) -> bool {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "the relays of these tests serve nobody")]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;
    use std::thread;

    use super::*;
    use crate::config::mail::Outgoing;
    use crate::mail::transport::Transport;

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
    fn what_the_relay_said_is_kept_without_its_code() {
        let said = |answer: fn(&str) -> Option<&'static str>| attempt(answer).0.unwrap_err().text;
        assert_eq!(said(|verb| (verb == "RCPT").then_some("550 5.1.1 unknown")), "5.1.1 unknown");
        assert_eq!(said(|verb| (verb == "RCPT").then_some("450 later")), "later");
        assert!(!said(|verb| (verb == "MAIL").then_some("nonsense")).is_empty());
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

    #[test]
    fn out_09_only_where_the_setting_says_so_a_relay_without_tls_gets_a_mail_in_clear() {
        for (tls, is_sent) in [
            (SmtpTls::StartTls, false),
            (SmtpTls::Wrapper, false),
            (SmtpTls::Opportunistic, true),
            (SmtpTls::None, true),
        ] {
            let (config, server) = relay(|_| None);
            let config = SmtpConfig { tls, ..config };
            let relay = SmtpRelay::with_timeout(&config, Duration::from_millis(500)).unwrap();
            assert_eq!(relay.send("", "anne@acme.example", MAIL).is_ok(), is_sent, "{tls:?}");
            drop(relay);
            let heard = stop(config.port, server);
            assert_eq!(heard.iter().any(|line| line.starts_with("MAIL")), is_sent, "{tls:?}: {heard:?}");
        }
    }

    /// A relay with a certificate that nobody vouches for, which takes a mail from whoever does not mind. The answer is what it
    /// was told inside TLS.
    fn relay_with_unknown_certificate(is_wrapped: bool) -> (u16, thread::JoinHandle<Option<String>>) {
        relay_with_certificate(
            is_wrapped,
            include_bytes!("../../../tests/fixtures/tls/self_signed.pem"),
            include_bytes!("../../../tests/fixtures/tls/self_signed.key.pem"),
        )
    }

    fn relay_with_certificate(
        is_wrapped: bool,
        certificate: &[u8],
        key: &[u8],
    ) -> (u16, thread::JoinHandle<Option<String>>) {
        use rustls::pki_types::pem::PemObject;
        use rustls::pki_types::{CertificateDer, PrivateKeyDer};
        let certificate = CertificateDer::from_pem_slice(certificate).unwrap();
        let key = PrivateKeyDer::from_pem_slice(key).unwrap();
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
    fn out_09_ft_08_a_certificate_that_somebody_vouches_for_in_another_name_gets_no_mail() {
        use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
        let root_key = KeyPair::generate().unwrap();
        let mut root = CertificateParams::new(Vec::new()).unwrap();
        root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root_certificate = root.self_signed(&root_key).unwrap();
        let trusted = Certificate::from_pem(root_certificate.pem().as_bytes()).unwrap();
        let root = Issuer::new(root, root_key);
        for (name, is_sent) in [("localhost", true), ("relay.example", false)] {
            let key = KeyPair::generate().unwrap();
            let names = CertificateParams::new(vec![name.to_owned()]).unwrap();
            let certificate = names.signed_by(&key, &root).unwrap();
            let (port, server) =
                relay_with_certificate(false, certificate.pem().as_bytes(), key.serialize_pem().as_bytes());
            let tls = SmtpTls::StartTls;
            let config = SmtpConfig { host: "localhost".to_owned(), port, tls, user: None, password: None };
            let relay = SmtpRelay::trusting(&config, Duration::from_secs(1), Some(&trusted)).unwrap();
            let failure = relay.send("", "anne@acme.example", MAIL).unwrap_err();
            assert_eq!(failure.kind, FailureKind::Relay);
            // That relay ends the conversation once it was spoken to.
            assert_eq!(server.join().unwrap().is_some(), is_sent, "{name}: {failure:?}");
            assert_eq!(failure.text.contains("not valid for name"), !is_sent, "{name}: {failure:?}");
        }
    }

    #[test]
    fn ft_08_an_attempt_may_take_two_minutes() {
        let config =
            SmtpConfig { host: "localhost".to_owned(), port: 9, tls: SmtpTls::None, user: None, password: None };
        assert_eq!(SmtpRelay::new(&config).unwrap().attempt_timeout, Duration::from_secs(120));
    }

    #[test]
    fn adv_14_an_address_is_never_part_of_a_command_line() {
        // Only SMTP is compiled in: lettre's other transports are features that must stay off.
        let manifest: toml::Table = include_str!("../../../Cargo.toml").parse().unwrap();
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
}
