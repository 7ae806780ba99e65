//! An IMAP server for tests, which is as bad as it is told to be. Each connection has a thread that ends with it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use accord::config::imap::ImapAccount;
use accord::journal::imap::standing::{self, Standing};
use accord::worker::imap::client::Patience;
use accord::worker::imap::{Ended, Keeper};
use chrono::TimeDelta;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::PrivateKeyDer;

use super::desk::{AUTHSERV, Desk, Letter, SUPPORT};

/// What the server does when a mail is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    Good,
    /// It says no, and that the mail is there.
    SaysNo,
    /// It says yes, and gives nothing.
    GivesNothing,
    /// It announces so many bytes.
    Announces(u64),
    /// It hides such an announcement where its words are.
    Hides,
    /// It falls silent in the midst of it.
    Hangs,
    /// It hangs up in the midst of it.
    HangsUp,
    /// It sends what is no IMAP.
    Babbles,
    /// It never ends.
    NeverEnds,
    /// Somebody removes the mail just then.
    Loses,
}

/// A mail in the only folder.
#[derive(Clone, Debug)]
pub struct Stored {
    pub bytes: Vec<u8>,
    pub manner: Manner,
    /// The size it tells, which need not be so.
    pub size: usize,
    /// As in INTERNALDATE.
    pub arrived: String,
}

/// What the server knows and does.
#[derive(Debug)]
pub struct State {
    pub uid_validity: u32,
    pub uid_next: u32,
    pub mails: BTreeMap<u32, Stored>,
    pub capabilities: String,
    pub password: String,
    /// Tokens that are let in.
    pub tokens: Vec<String>,
    /// What is said in the same breath as the answer to STARTTLS.
    pub injected: String,
    pub greeting: String,
    /// Where mails can be moved.
    pub other_folder: String,
    pub moved: Vec<u32>,
    pub seen: BTreeSet<u32>,
    /// Of these it cannot say how large they are.
    pub unlisted: BTreeSet<u32>,
    /// These it neither marks nor moves.
    pub stubborn: BTreeSet<u32>,
    /// It lists what there is and says no to everything that is asked of a mail then.
    pub only_lists: bool,
    /// It hangs up when it hears this, once, before it does it, or after it did.
    pub hangs_up: Option<(&'static str, bool)>,
    /// What stands before the answer to a listing.
    pub before_listing: String,
    /// It tells of a mail before it says that it will tell, and not again.
    pub tells_early: bool,
    /// A mail that arrives at the moment at which the waiting ends.
    pub arrives_at_the_end: Option<Vec<u8>>,
    /// All commands, without their tags.
    pub heard: Vec<String>,
}

impl State {
    fn deliver(&mut self, bytes: Vec<u8>, manner: Manner) -> u32 {
        let uid = self.uid_next;
        self.uid_next = self.uid_next.saturating_add(1);
        let arrived = "23-Nov-2026 09:00:00 +0000".to_owned();
        self.mails.insert(uid, Stored { size: bytes.len(), bytes, manner, arrived });
        uid
    }
}

/// How it speaks.
#[derive(Clone, Debug)]
pub enum Speech {
    Plain,
    Wrapper(Arc<rustls::ServerConfig>),
    StartTls(Arc<rustls::ServerConfig>),
}

#[derive(Clone)]
pub struct ImapServer {
    pub port: u16,
    state: Arc<Mutex<State>>,
}

/// A certificate for that name, which nobody vouches for but itself, as PEM; and what a server needs to show it.
pub fn certificate(name: &str) -> (String, Arc<rustls::ServerConfig>) {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed([name.to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    (cert.pem(), Arc::new(config))
}

impl ImapServer {
    pub fn start(speech: Speech) -> ImapServer {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(Mutex::new(State {
            uid_validity: 7,
            uid_next: 1,
            mails: BTreeMap::new(),
            capabilities: "IMAP4rev1 IDLE MOVE AUTH=XOAUTH2".to_owned(),
            password: "secret".to_owned(),
            tokens: Vec::new(),
            injected: String::new(),
            greeting: "* OK ready".to_owned(),
            other_folder: "Done".to_owned(),
            moved: Vec::new(),
            seen: BTreeSet::new(),
            unlisted: BTreeSet::new(),
            stubborn: BTreeSet::new(),
            only_lists: false,
            hangs_up: None,
            before_listing: String::new(),
            tells_early: false,
            arrives_at_the_end: None,
            heard: Vec::new(),
        }));
        let shared = state.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (state, speech) = (shared.clone(), speech.clone());
                thread::spawn(move || drop(converse(stream, &state, speech)));
            }
        });
        ImapServer { port, state }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// A mail arrives; gives its number.
    pub fn deliver(&self, bytes: Vec<u8>) -> u32 {
        self.deliver_with(bytes, Manner::Good)
    }

    pub fn deliver_with(&self, bytes: Vec<u8>, manner: Manner) -> u32 {
        self.state().deliver(bytes, manner)
    }

    /// How often that was asked.
    pub fn heard(&self, what: &str) -> usize {
        self.state().heard.iter().filter(|command| command.contains(what)).count()
    }
}

trait Duplex: Read + Write {}
impl<S: Read + Write> Duplex for S {}

fn protected(mut tcp: TcpStream, config: Arc<rustls::ServerConfig>) -> std::io::Result<Box<dyn Duplex>> {
    let mut connection = rustls::ServerConnection::new(config).unwrap();
    while connection.is_handshaking() {
        match connection.complete_io(&mut tcp) {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            outcome => drop(outcome?),
        }
    }
    Ok(Box::new(rustls::StreamOwned::new(connection, tcp)))
}

fn converse(mut tcp: TcpStream, state: &Mutex<State>, speech: Speech) -> std::io::Result<()> {
    tcp.set_nodelay(true)?;
    tcp.set_read_timeout(Some(Duration::from_millis(5)))?;
    let greeting = format!("{}\r\n", state.lock().unwrap().greeting);
    let mut stream: Box<dyn Duplex> = match speech {
        Speech::Plain => Box::new(tcp),
        Speech::Wrapper(config) => protected(tcp, config)?,
        Speech::StartTls(config) => {
            tcp.write_all(greeting.as_bytes())?;
            let Some(command) = line(&mut tcp, None)? else { return Ok(()) };
            state.lock().unwrap().heard.push(command);
            let injected = state.lock().unwrap().injected.clone();
            tcp.write_all(format!("tls OK go on\r\n{injected}").as_bytes())?;
            let mut stream = protected(tcp, config)?;
            return serve(&mut *stream, state);
        }
    };
    stream.write_all(greeting.as_bytes())?;
    serve(&mut *stream, state)
}

fn serve(stream: &mut dyn Duplex, state: &Mutex<State>) -> std::io::Result<()> {
    loop {
        let Some(asked) = line(stream, None)? else { return Ok(()) };
        let (tag, command) = asked.split_once(' ').unwrap_or((&asked, ""));
        state.lock().unwrap().heard.push(command.to_owned());
        let words: Vec<&str> = command.split(' ').collect();
        let mut done = format!("{tag} OK done\r\n");
        let hangs_up = {
            let mut state = state.lock().unwrap();
            state.hangs_up.take_if(|(at, _)| command.contains(*at)).map(|(_, is_done)| is_done)
        };
        if hangs_up == Some(false) {
            return Ok(());
        }
        match words.as_slice() {
            ["LOGIN", _, password] => {
                if password.trim_matches('"') != state.lock().unwrap().password {
                    done = format!("{tag} NO [AUTHENTICATIONFAILED] wrong password\r\n");
                }
            }
            ["AUTHENTICATE", "XOAUTH2"] => {
                stream.write_all(b"+ \r\n")?;
                let said = line(stream, None)?.unwrap_or_default();
                let said = data_encoding::BASE64.decode(said.as_bytes()).unwrap();
                let said = String::from_utf8(said).unwrap();
                let is_good = state
                    .lock()
                    .unwrap()
                    .tokens
                    .iter()
                    .any(|token| said.contains(&format!("auth=Bearer {token}\x01\x01")));
                if !is_good {
                    stream.write_all(b"+ eyJzdGF0dXMiOiI0MDAifQ==\r\n")?;
                    assert_eq!(line(stream, None)?.as_deref(), Some(""));
                    done = format!("{tag} NO token refused\r\n");
                }
            }
            ["CAPABILITY"] => {
                let capabilities = state.lock().unwrap().capabilities.clone();
                stream.write_all(format!("* CAPABILITY {capabilities}\r\n").as_bytes())?;
            }
            ["EXAMINE" | "SELECT", folder] => {
                let state = state.lock().unwrap();
                if *folder == "\"INBOX\"" {
                    stream.write_all(
                        format!(
                            "* {} EXISTS\r\n* OK [UIDVALIDITY {}] valid\r\n* OK [UIDNEXT {}] next\r\n",
                            state.mails.len(),
                            state.uid_validity,
                            state.uid_next
                        )
                        .as_bytes(),
                    )?;
                } else if *folder == "\"Empty\"" {
                    stream.write_all(b"* 0 EXISTS\r\n* OK [UIDVALIDITY 1] valid\r\n* OK [UIDNEXT 1] next\r\n")?;
                } else {
                    done = format!("{tag} NO no such folder\r\n");
                }
            }
            ["UID", "FETCH", range, what @ ..] => match fetch(stream, state, range, &what.join(" "))? {
                Fetch::Done => {}
                Fetch::No => done = format!("{tag} NO it cannot be read\r\n"),
                Fetch::HangUp => return Ok(()),
                Fetch::Hang => {
                    // Until the other side has enough.
                    while line(stream, None)?.is_some() {}
                    return Ok(());
                }
            },
            ["UID", "STORE" | "MOVE", range, ..]
                if range.split(',').any(|uid| state.lock().unwrap().stubborn.contains(&uid.parse().unwrap())) =>
            {
                done = format!("{tag} NO not this one\r\n");
            }
            ["NOOP"] => {}
            ["UID", "STORE", range, "+FLAGS.SILENT", ..] => {
                state.lock().unwrap().seen.extend(range.split(',').map(|uid| uid.parse::<u32>().unwrap()));
            }
            ["UID", "MOVE", range, folder] => {
                let mut state = state.lock().unwrap();
                if folder.trim_matches('"') == state.other_folder {
                    for uid in range.split(',').map(|uid| uid.parse::<u32>().unwrap()) {
                        if state.mails.remove(&uid).is_some() {
                            state.moved.push(uid);
                        }
                    }
                } else {
                    done = format!("{tag} NO [TRYCREATE] no such folder\r\n");
                }
            }
            ["IDLE"] => {
                let before = {
                    let mut state = state.lock().unwrap();
                    if std::mem::take(&mut state.tells_early) {
                        stream.write_all(format!("* {} EXISTS\r\n", state.mails.len()).as_bytes())?;
                    }
                    state.uid_next
                };
                stream.write_all(b"+ idling\r\n")?;
                let changed = || {
                    let state = state.lock().unwrap();
                    (state.uid_next != before).then(|| format!("* {} EXISTS\r\n", state.mails.len()))
                };
                if line(stream, Some(&changed))?.is_none() {
                    return Ok(());
                }
                let mut state = state.lock().unwrap();
                if let Some(bytes) = state.arrives_at_the_end.take() {
                    state.deliver(bytes, Manner::Good);
                    stream.write_all(format!("* {} EXISTS\r\n", state.mails.len()).as_bytes())?;
                }
            }
            ["LOGOUT"] => {
                stream.write_all(format!("* BYE\r\n{done}").as_bytes())?;
                return Ok(());
            }
            _ => done = format!("{tag} BAD what\r\n"),
        }
        if hangs_up.is_some() {
            return Ok(());
        }
        stream.write_all(done.as_bytes())?;
        stream.flush()?;
    }
}

enum Fetch {
    Done,
    No,
    HangUp,
    Hang,
}

fn fetch(stream: &mut dyn Duplex, state: &Mutex<State>, range: &str, what: &str) -> std::io::Result<Fetch> {
    let (first, is_open) = match range.strip_suffix(":*") {
        Some(first) => (first.parse::<u32>().unwrap(), true),
        None => (range.parse::<u32>().unwrap(), false),
    };
    let mails: Vec<(usize, u32, Stored)> = {
        let state = state.lock().unwrap();
        let last = state.mails.keys().last().copied().unwrap_or_default();
        let wanted = |uid: u32| if is_open { uid >= first.min(last) } else { uid == first };
        let all = state.mails.iter().enumerate().filter(|(_, (uid, _))| wanted(**uid));
        all.map(|(index, (uid, mail))| (index + 1, *uid, mail.clone())).collect()
    };
    {
        let state = state.lock().unwrap();
        if what.contains("RFC822.SIZE") {
            stream.write_all(state.before_listing.as_bytes())?;
            if mails.iter().any(|(_, uid, _)| state.unlisted.contains(uid)) {
                return Ok(Fetch::No);
            }
        } else if state.only_lists {
            return Ok(Fetch::No);
        }
    }
    for (number, uid, mail) in mails {
        if what == "(UID)" {
            stream.write_all(format!("* {number} FETCH (UID {uid})\r\n").as_bytes())?;
        } else if what.contains("RFC822.SIZE") {
            let (size, arrived) = (mail.size, &mail.arrived);
            let text = format!("* {number} FETCH (UID {uid} RFC822.SIZE {size} INTERNALDATE \"{arrived}\")\r\n");
            stream.write_all(text.as_bytes())?;
        } else {
            let part =
                what.rsplit_once("<0.").map(|(_, rest)| rest.trim_end_matches(['>', ')']).parse::<usize>().unwrap());
            let bytes = &mail.bytes[..part.unwrap_or(usize::MAX).min(mail.bytes.len())];
            let origin = if part.is_some() { "<0>" } else { "" };
            let announce = |length: u64| format!("* {number} FETCH (UID {uid} BODY[]{origin} {{{length}}}\r\n");
            let good = announce(bytes.len() as u64);
            match mail.manner {
                Manner::Good => {
                    stream.write_all(good.as_bytes())?;
                    stream.write_all(bytes)?;
                    stream.write_all(b")\r\n")?;
                }
                Manner::SaysNo => return Ok(Fetch::No),
                Manner::GivesNothing => {}
                Manner::Announces(length) => {
                    stream.write_all(announce(length).as_bytes())?;
                    stream.write_all(bytes)?;
                    return Ok(Fetch::Hang);
                }
                Manner::Hides => {
                    stream.write_all(b"* OK see {400000000}\r\n")?;
                    stream.write_all(announce(400_000_000).as_bytes())?;
                    return Ok(Fetch::Hang);
                }
                Manner::Hangs => {
                    stream.write_all(good.as_bytes())?;
                    stream.write_all(&bytes[..bytes.len() / 2])?;
                    return Ok(Fetch::Hang);
                }
                Manner::HangsUp => {
                    stream.write_all(good.as_bytes())?;
                    stream.write_all(&bytes[..bytes.len() / 2])?;
                    return Ok(Fetch::HangUp);
                }
                Manner::Babbles => stream.write_all(b"\x00\xff}{ HTTP/1.1 200 OK\r\n\r\n<html>\r\n")?,
                Manner::NeverEnds => loop {
                    stream.write_all(b"* 1 EXISTS\r\n")?;
                },
                Manner::Loses => {
                    state.lock().unwrap().mails.remove(&uid);
                    stream.write_all(format!("* {number} EXPUNGE\r\n").as_bytes())?;
                }
            }
        }
    }
    Ok(Fetch::Done)
}

/// The next line; nothing at the end. While it is awaited, what `changed` has to tell is told once.
fn line(
    stream: &mut (impl Read + Write + ?Sized),
    changed: Option<&dyn Fn() -> Option<String>>,
) -> std::io::Result<Option<String>> {
    let mut line = Vec::new();
    let mut is_told = false;
    loop {
        if let Some(told) = changed.and_then(|changed| changed())
            && !is_told
        {
            stream.write_all(told.as_bytes())?;
            stream.flush()?;
            is_told = true;
        }
        let mut byte = [0];
        match stream.read(&mut byte) {
            Ok(0) => return Ok(None),
            Ok(_) if byte[0] == b'\n' => {
                return Ok(Some(String::from_utf8_lossy(&line).trim_end().to_owned()));
            }
            Ok(_) => line.push(byte[0]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) => return Err(error),
        }
    }
}

/// A desk whose only way in is an account at such a server.
pub struct Fetching {
    pub server: ImapServer,
    pub desk: Desk,
    keeper: Keeper,
}

/// Short enough for a test to see what comes after it.
const STILL: Duration = Duration::from_millis(50);

/// As long as anything may take in a test. A server that sends has all the time it wants; one that falls silent has not.
pub const PATIENCE: Patience =
    Patience { connect: Duration::from_secs(5), command: Duration::from_secs(2), slowest: 16, still: STILL };

impl Fetching {
    /// With these settings of the account besides.
    pub fn with(settings: &str) -> Fetching {
        Fetching::at(
            ImapServer::start(Speech::Plain),
            "127.0.0.1",
            &format!("tls = \"none\"\npassword = \"secret\"\n{settings}"),
        )
    }

    /// The same for a server that was started otherwise, reached under that name.
    pub fn at(server: ImapServer, host: &str, settings: &str) -> Fetching {
        let desk = Desk::with_settings(&format!(
            "[mail]\ntrusted_authserv_id = \"{AUTHSERV}\"\n[limits]\nmail_bytes = 65536\n\
             [mail.imap.support]\nhost = \"{host}\"\nport = {}\nuser = \"fetcher\"\nmailbox = \"{SUPPORT}\"\n{settings}",
            server.port
        ));
        let keeper = Fetching::another(&desk);
        Fetching { server, desk, keeper }
    }

    /// The same installation with the database that was copied into this file, and the server as it is by now.
    pub fn with_database_of(self, file: &Path) -> Fetching {
        let desk = Desk { test: self.desk.test.with_database_of(file), ..self.desk };
        // Whoever held the account in that database is gone.
        desk.test.clock.advance(TimeDelta::seconds(91));
        let keeper = Fetching::another(&desk);
        Fetching { desk, keeper, ..self }
    }

    /// Whoever else would look after the account.
    pub fn another(desk: &Desk) -> Keeper {
        let account = desk.test.app.config.mail.imap[0].clone();
        Keeper::with_patience(&desk.test.app, account, PATIENCE)
    }

    /// The settings of the account change.
    pub fn change(&mut self, change: impl FnOnce(&mut ImapAccount)) {
        let mut account = self.desk.test.app.config.mail.imap[0].clone();
        change(&mut account);
        self.keeper = Keeper::with_patience(&self.desk.test.app, account, PATIENCE);
        self.desk.test.clock.advance(TimeDelta::seconds(91));
    }

    /// Connects, takes what there is, and leaves again; nothing follows yet.
    pub async fn look_quietly(&mut self) -> Result<(), Ended> {
        self.keeper.look_after(false).await
    }

    /// Stays, until something goes wrong.
    pub async fn stay(&mut self) -> Result<(), Ended> {
        self.keeper.look_after(true).await
    }

    /// The same, and everything that follows is done.
    pub async fn look(&mut self) -> Result<(), Ended> {
        let ended = self.look_quietly().await;
        self.desk.test.run_jobs();
        ended
    }

    /// The same where nothing is to go wrong.
    pub async fn look_well(&mut self) {
        self.look().await.unwrap();
    }

    pub fn deliver(&self, letter: &Letter) -> u32 {
        self.server.deliver(letter.bytes())
    }

    /// How operators see the account.
    pub fn standing(&self) -> Standing {
        self.desk.test.read(standing::all).remove("support").unwrap()
    }

    /// The subjects of all tickets, the oldest first.
    pub fn subjects(&self) -> Vec<String> {
        self.desk.tickets().into_iter().map(|ticket| ticket.subject).collect()
    }
}
