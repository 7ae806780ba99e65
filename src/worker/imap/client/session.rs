//! What is asked of a server once signed in. The answers are read here and not by the library's own commands, which cannot
//! tell a mail that the server refuses from one that is gone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use async_imap::imap_proto::{AttributeValue, Capability, MailboxDatum, Response, ResponseCode, Status};
use chrono::DateTime;
use tokio::time::timeout;

use super::folder_names::quoted;
use super::guard::Allowance;
use super::opening::{GOOD_BYE, Stream};
use super::{Patience, Trouble, printable};
use crate::config::imap::AfterTaking;

/// The answer to a short question.
const SHORT: Allowance = Allowance { bytes: 256 * 1024, literal: None };
/// The answer to what is new: some hundred bytes for each of half a million mails.
const LISTING: Allowance = Allowance { bytes: 64 << 20, literal: None };
/// What is remembered of it; the rest is asked for again.
const LISTED: usize = 20_000;
/// The answer with a mail has so much around it.
const AROUND: usize = 64 * 1024;
/// A folder that is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Under which numbering its mails have their numbers (RFC 3501, 2.3.1.1).
    pub uid_validity: u32,
    /// No mail that is there has this number or a higher one.
    pub uid_next: u32,
    /// Whether the server said so; otherwise it is worked out from what is there.
    pub is_next_told: bool,
}

/// A mail that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    pub uid: u32,
    /// Its size in bytes, as the server says.
    pub size: usize,
    /// When it arrived there, in seconds since 1970; none if the server does not say so that it can be read.
    pub arrived: Option<i64>,
}

/// What asking for a mail came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fetched {
    Mail(Vec<u8>),
    /// It is not there any more.
    Gone,
    /// It is there, and not to be had.
    Refused(String),
}

/// What ended the waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    /// Something changed in the folder.
    ByServer,
    ByTime,
}

enum Answer {
    Ok,
    No(String),
}

/// Signed in at a server.
#[derive(Debug)]
pub struct Session {
    inner: async_imap::Session<Stream>,
    patience: Patience,
    /// Whether it tells of new mail by itself (RFC 2177).
    pub can_idle: bool,
    can_move: bool,
}

impl Session {
    /// Asks what the server can do.
    pub(super) async fn begin(inner: async_imap::Session<Stream>, patience: Patience) -> Result<Session, Trouble> {
        let mut session = Session { inner, patience, can_idle: false, can_move: false };
        let (mut can_idle, mut can_move) = (false, false);
        let heard = |response: &Response<'_>| {
            if let Response::Capabilities(all) = response {
                let has = |name: &str| {
                    all.iter().any(|one| matches!(one, Capability::Atom(atom) if atom.eq_ignore_ascii_case(name)))
                };
                (can_idle, can_move) = (has("IDLE"), has("MOVE"));
            }
        };
        session.ask("CAPABILITY", SHORT, patience.command, heard).await?;
        (session.can_idle, session.can_move) = (can_idle, can_move);
        Ok(session)
    }

    /// Opens a folder so that nothing in it changes by our looking.
    pub async fn examine(&mut self, folder: &str) -> Result<Opened, Trouble> {
        self.open_by("EXAMINE", folder).await
    }

    /// Opens a folder in which something is to change.
    pub async fn select(&mut self, folder: &str) -> Result<Opened, Trouble> {
        self.open_by("SELECT", folder).await
    }

    async fn open_by(&mut self, command: &str, folder: &str) -> Result<Opened, Trouble> {
        let (mut validity, mut next, mut exists) = (None, None, 0);
        let heard = |response: &Response<'_>| match response {
            Response::Data { outcome, .. } => match outcome.code {
                Some(ResponseCode::UidValidity(value)) => validity = Some(value),
                Some(ResponseCode::UidNext(value)) => next = Some(value),
                _ => {}
            },
            Response::MailboxData(MailboxDatum::Exists(count)) => exists = *count,
            _ => {}
        };
        let asked = format!("{command} {}", quoted(folder));
        let time = self.patience.command;
        if let Answer::No(said) = self.ask(&asked, SHORT, time, heard).await? {
            return Err(Trouble::Folder { folder: folder.to_owned(), said });
        }
        let Some(uid_validity) = validity else {
            return Err(Trouble::Odd("it does not number its mails for good (no UIDVALIDITY)"));
        };
        let uid_next = match next {
            Some(next) => next,
            None if exists == 0 => 1,
            None => self.highest().await?.saturating_add(1),
        };
        Ok(Opened { uid_validity, uid_next, is_next_told: next.is_some() })
    }

    /// The number of the last mail, for servers that do not tell the next one.
    async fn highest(&mut self) -> Result<u32, Trouble> {
        let found = self.list("*", 0).await?;
        found.last().map(|found| found.uid).ok_or(Trouble::Odd("it does not number its mails"))
    }

    /// The mails from number `from` on, in their order; the first of them, if there are very many.
    pub async fn list_from(&mut self, from: u32) -> Result<Vec<Found>, Trouble> {
        // The last mail is always in such a range, be its number lower.
        self.list(&format!("{from}:*"), from).await
    }

    /// The numbers of the mails from number `from` on, in their order, and nothing else of them: for a server that cannot say of
    /// one of them how large it is, and then says no to the question for all.
    pub async fn numbers_from(&mut self, from: u32) -> Result<Vec<u32>, Trouble> {
        let mut found: BTreeSet<u32> = BTreeSet::new();
        let heard = |response: &Response<'_>| {
            let Response::Fetch(_, attributes) = response else { return };
            found.extend(attributes.iter().filter_map(|attribute| match attribute {
                AttributeValue::Uid(uid) if *uid >= from => Some(*uid),
                _ => None,
            }));
            if found.len() > LISTED {
                found.pop_last();
            }
        };
        let time = self.patience.for_bytes(8 << 20);
        match self.ask(&format!("UID FETCH {from}:* (UID)"), LISTING, time, heard).await? {
            Answer::Ok => Ok(found.into_iter().collect()),
            Answer::No(said) => Err(Trouble::Refused(said)),
        }
    }

    /// Says something, so that the server does not take us for gone.
    pub async fn keep_alive(&mut self) -> Result<(), Trouble> {
        self.ask("NOOP", SHORT, self.patience.command, |_| {}).await.map(drop)
    }

    /// The mail of that number, if it is there.
    pub async fn find(&mut self, uid: u32) -> Result<Option<Found>, Trouble> {
        Ok(self.list(&uid.to_string(), uid).await?.into_iter().find(|found| found.uid == uid))
    }

    async fn list(&mut self, range: &str, from: u32) -> Result<Vec<Found>, Trouble> {
        let mut found: BTreeMap<u32, Found> = BTreeMap::new();
        let heard = |response: &Response<'_>| {
            let Response::Fetch(_, attributes) = response else { return };
            let Some(one) = found_of(attributes) else { return };
            if one.uid >= from {
                found.insert(one.uid, one);
            }
            if found.len() > LISTED {
                found.pop_last();
            }
        };
        let asked = format!("UID FETCH {range} (UID RFC822.SIZE INTERNALDATE)");
        let time = self.patience.for_bytes(8 << 20);
        match self.ask(&asked, LISTING, time, heard).await? {
            Answer::Ok => Ok(found.into_values().collect()),
            Answer::No(said) => Err(Trouble::Refused(said)),
        }
    }

    /// A mail, unmarked by the reading: whole, or its first bytes when `part` says how many. At most `most` bytes are taken.
    pub async fn fetch(&mut self, uid: u32, part: Option<usize>, most: usize) -> Result<Fetched, Trouble> {
        let what = match part {
            Some(bytes) => format!("BODY.PEEK[]<0.{bytes}>"),
            None => "BODY.PEEK[]".to_owned(),
        };
        let mut mail = None;
        let heard = |response: &Response<'_>| {
            let Response::Fetch(_, attributes) = response else { return };
            let is_it =
                attributes.iter().any(|attribute| matches!(attribute, AttributeValue::Uid(found) if *found == uid));
            for attribute in attributes {
                if let AttributeValue::BodySection { section: None, data: Some(data), .. } = attribute
                    && is_it
                    && mail.is_none()
                {
                    mail = Some(data.to_vec());
                }
            }
        };
        let allowance = Allowance { bytes: most + AROUND, literal: Some(most) };
        let time = self.patience.for_bytes(most);
        let answer = self.ask(&format!("UID FETCH {uid} (UID {what})"), allowance, time, heard).await?;
        match (mail, answer) {
            (Some(mail), _) if !mail.is_empty() => Ok(Fetched::Mail(mail)),
            (_, Answer::No(said)) if self.is_there(uid).await? => Ok(Fetched::Refused(said)),
            (_, Answer::Ok) if self.is_there(uid).await? => Ok(Fetched::Refused("the server gives nothing".to_owned())),
            _ => Ok(Fetched::Gone),
        }
    }

    /// A server that says no to this question as well has not said that the mail is gone.
    async fn is_there(&mut self, uid: u32) -> Result<bool, Trouble> {
        let mut is_there = false;
        let heard = |response: &Response<'_>| {
            if let Response::Fetch(_, attributes) = response {
                is_there |= attributes.contains(&AttributeValue::Uid(uid));
            }
        };
        let time = self.patience.command;
        match self.ask(&format!("UID FETCH {uid} (UID)"), SHORT, time, heard).await? {
            Answer::Ok => Ok(is_there),
            Answer::No(said) => Err(Trouble::Refused(said)),
        }
    }

    /// Does to these mails of the selected folder what is to become of them. Doing it twice does no harm.
    pub async fn tidy(&mut self, uids: &[u32], after: &AfterTaking) -> Result<(), Trouble> {
        let set: Vec<String> = uids.iter().map(u32::to_string).collect();
        let set = set.join(",");
        let command = match after {
            AfterTaking::Leave => return Ok(()),
            AfterTaking::Seen => format!("UID STORE {set} +FLAGS.SILENT (\\Seen)"),
            // What takes its place on servers without it deletes, and we delete nothing.
            AfterTaking::Move(_) if !self.can_move => {
                return Err(Trouble::Refused("it cannot move mails (no MOVE); use after = \"seen\"".to_owned()));
            }
            AfterTaking::Move(folder) => format!("UID MOVE {set} {}", quoted(folder)),
        };
        match self.ask(&command, SHORT, self.patience.command, |_| {}).await? {
            Answer::Ok => Ok(()),
            Answer::No(said) => Err(Trouble::Refused(said)),
        }
    }

    /// Has the server tell when something changes in the open folder. [`Session::wait`] waits for it, unless it was told
    /// already: between the last answer and this one.
    pub async fn begin_waiting(&mut self) -> Result<Woken, Trouble> {
        self.inner.get_mut().allow(SHORT);
        let begin = async {
            self.inner.run_command("IDLE").await?;
            let mut woken = Woken::ByTime;
            loop {
                match self.inner.read_response().await?.ok_or(Trouble::Closed)?.parsed() {
                    Response::Continue(_) => return Ok(woken),
                    Response::Done { outcome, .. } => {
                        return Err(Trouble::Refused(printable(outcome.information.as_deref().unwrap_or_default())));
                    }
                    Response::MailboxData(MailboxDatum::Exists(_)) => woken = Woken::ByServer,
                    _ => {}
                }
            }
        };
        timeout(self.patience.command, begin).await.map_err(|_| Trouble::Slow)?
    }

    /// Waits for the server to tell of a change, for at most `time`. May be given up at any moment.
    pub async fn wait(&mut self, time: Duration) -> Result<Woken, Trouble> {
        self.inner.get_mut().allow(SHORT);
        let told = async {
            loop {
                match self.inner.read_response().await?.ok_or(Trouble::Closed)?.parsed() {
                    // It only says that it is still there.
                    Response::Data { status: Status::Ok, .. } | Response::Continue(_) => {}
                    Response::Data { status: Status::Bye, .. } => return Err(Trouble::Closed),
                    _ => return Ok(Woken::ByServer),
                }
            }
        };
        timeout(time, told).await.unwrap_or(Ok(Woken::ByTime))
    }

    /// Ends the waiting, so that something can be asked again. It may be told of a change at this very moment.
    pub async fn end_waiting(&mut self) -> Result<Woken, Trouble> {
        self.inner.get_mut().allow(SHORT);
        let end = async {
            self.inner.run_command_untagged("DONE").await?;
            let mut woken = Woken::ByTime;
            loop {
                match self.inner.read_response().await?.ok_or(Trouble::Closed)?.parsed() {
                    Response::Done { .. } => return Ok(woken),
                    Response::MailboxData(MailboxDatum::Exists(_)) => woken = Woken::ByServer,
                    _ => {}
                }
            }
        };
        timeout(self.patience.command, end).await.map_err(|_| Trouble::Slow)?
    }

    /// Says good-bye; whether it is heard matters to nobody.
    pub async fn close(mut self) {
        drop(self.ask("LOGOUT", SHORT, GOOD_BYE, |_| {}).await);
    }

    async fn ask(
        &mut self,
        command: &str,
        allowance: Allowance,
        time: Duration,
        mut heard: impl FnMut(&Response<'_>),
    ) -> Result<Answer, Trouble> {
        self.inner.get_mut().allow(allowance);
        let read = self.inner.get_mut().read_so_far();
        let (until, patience) = (Instant::now() + time, self.patience.command);
        let talk = async {
            let tag = self.inner.run_command(command).await?;
            loop {
                let response = self.inner.read_response().await?.ok_or(Trouble::Closed)?;
                match response.parsed() {
                    Response::Done { tag: of, status, outcome } if *of == tag => {
                        let said = || printable(outcome.information.as_deref().unwrap_or_default());
                        return Ok(if *status == Status::Ok { Answer::Ok } else { Answer::No(said()) });
                    }
                    other => heard(other),
                }
            }
        };
        // Time is for a server that sends; who falls silent is left sooner.
        tokio::pin!(talk);
        loop {
            let before = read.load(Ordering::Relaxed);
            let left = until.saturating_duration_since(Instant::now());
            match timeout(left.min(patience), &mut talk).await {
                Ok(answer) => return answer,
                Err(_) if read.load(Ordering::Relaxed) > before && Instant::now() < until => {}
                Err(_) => return Err(Trouble::Slow),
            }
        }
    }
}

fn found_of(attributes: &[AttributeValue<'_>]) -> Option<Found> {
    let (mut uid, mut size, mut arrived) = (None, 0, None);
    for attribute in attributes {
        match attribute {
            AttributeValue::Uid(value) => uid = Some(*value),
            AttributeValue::Rfc822Size(value) => size = *value as usize,
            AttributeValue::InternalDate(date) => {
                let read = DateTime::parse_from_str(date.trim(), "%d-%b-%Y %H:%M:%S %z");
                arrived = read.ok().map(|date| date.timestamp());
            }
            _ => {}
        }
    }
    uid.map(|uid| Found { uid, size, arrived })
}
