//! What is done at a server that let us in: folder by folder the new mails, then those that were set aside, then what is to
//! become of those that were taken (`tidying`); and the waiting for more.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use super::addressee::addressed_to;
use super::{Ended, Keeper};
use crate::app::App;
use crate::carry;
use crate::config::imap::AfterTaking;
use crate::error::Error;
use crate::intake::addressing;
use crate::journal::imap as ledger;
use crate::journal::imap::{Folder, Known, Numbering};
use crate::journal::{NewMail, Recipient};
use crate::mail::limits::PIPE_BYTES;
use crate::notifications::Letterhead;
use crate::worker::imap::client::{Fetched, Found, Session, Trouble, Woken};

/// How long at most between two looks at whether the account is still ours, and at mails that were set aside.
const SLICE: Duration = Duration::from_secs(20);
/// A server that wakes us for nothing is answered after this.
const CALM: Duration = Duration::from_secs(2);
/// Mails that were set aside and are tried again in one go.
const ASIDE: i64 = 20;
/// How much of a mail is counted at once against what all mails being fetched may hold in memory.
const GRAIN: usize = 64 * 1024;
/// What one may be longer than the server says: some count lines by their ends and others do not.
const TOLERANCE: usize = 64 * 1024;

/// What all mails being fetched may hold in memory together, but for one that takes more than [`LARGE`].
const MEMORY: usize = 64 << 20;
static ROOM: Semaphore = Semaphore::const_new(MEMORY / GRAIN);
/// Mails that take more have their turn one after the other, so that a very large one, which may take its time, keeps no other
/// account waiting whose mail is as mail usually is.
const LARGE: usize = MEMORY / 2;
static TURN: Semaphore = Semaphore::const_new(1);
/// So many mails refused one after the other, and it is the server that refuses, not a mail.
pub(super) const IN_A_ROW: usize = 5;

/// A mail that is being fetched.
#[derive(Clone, Debug)]
pub(super) struct UnderWay {
    folder: Folder,
    uid: u32,
    known: Known,
}

/// What came of a question about one mail.
enum Asked<T> {
    Answered(T),
    Refused(String),
}

impl Keeper {
    /// Everything that is new in the folders of the account; gives how many mails were taken.
    pub(super) async fn take_all(&mut self, session: &mut Session) -> Result<usize, Ended> {
        let (letterhead, address) = (Letterhead::new(&self.app.keys, &self.app.config), self.account.mailbox.clone());
        let mailbox = self.app.database.read(move |db| addressing::mailbox_for(db, &letterhead, &address)).await?;
        let (mut taken, mut missing) = (0, None);
        for name in self.account.folders.clone() {
            let (folder, uid_next) = match self.open_folder(session, &name).await {
                Ok(opened) => opened,
                // The others go on.
                Err(Ended::Trouble(trouble @ Trouble::Folder { .. })) => {
                    missing.get_or_insert(trouble);
                    continue;
                }
                Err(ended) => return Err(ended),
            };
            let Some(mailbox) = mailbox else { return Err(Ended::NoMailbox) };
            let home = Recipient { mailbox, address: self.account.mailbox.clone() };
            taken += self.take_new(session, folder.clone(), uid_next, &home).await?;
            taken += self.take_aside(session, &folder, &home).await?;
            self.tidy(session, &name, &folder).await?;
        }
        missing.map_or(Ok(taken), |trouble| Err(trouble.into()))
    }

    /// Opens a folder; gives what is known of it, and the number that its next mail gets.
    async fn open_folder(&self, session: &mut Session, name: &str) -> Result<(Folder, i64), Ended> {
        let opened = session.examine(name).await?;
        let (uid_validity, uid_next) = (i64::from(opened.uid_validity), i64::from(opened.uid_next));
        let place = self.account.place();
        let (account, folder) = (self.account.name.clone(), name.to_owned());
        let known = self.app.database.read(move |db| ledger::find_folder(db, &account, &folder)).await?;
        let is_back = opened.is_next_told
            && known.is_some_and(|known| {
                known.place == place && known.uid_validity == uid_validity && uid_next < known.next_uid
            })
            // Else it is the server that counts wrongly, and would have us take everything again each time.
            && session.list_from(opened.uid_next).await?.is_empty();
        let numbering = Numbering { uid_validity, uid_next, is_back };
        let (account, folder, now) = (self.account.name.clone(), name.to_owned(), self.app.clock.now());
        let takes_existing = self.account.takes_existing;
        let known = self
            .app
            .database
            .write(move |db| ledger::open_folder(db, (&account, &folder, &place), numbering, takes_existing, now))
            .await?;
        Ok((known, uid_next))
    }

    async fn take_new(
        &mut self,
        session: &mut Session,
        mut folder: Folder,
        uid_next: i64,
        home: &Recipient,
    ) -> Result<usize, Ended> {
        let mut taken = 0;
        // There is none beyond the last number that a mail can have.
        while let Ok(from) = u32::try_from(folder.next_uid) {
            let found = match session.list_from(from).await {
                Err(Trouble::Refused(_)) => {
                    let numbers = session.numbers_from(from).await?;
                    let Some(last) = numbers.last() else { break };
                    folder.next_uid = i64::from(*last) + 1;
                    taken += self.take_singly(session, &folder, numbers, home).await?;
                    continue;
                }
                found => found?,
            };
            let Some(last) = found.last() else { break };
            let next_uid = i64::from(last.uid) + 1;
            for one in found {
                self.hold().await?;
                taken += self.take(session, &folder, one, Known::New, home).await?;
            }
            folder.next_uid = next_uid;
        }
        if folder.next_uid < uid_next {
            // What had these numbers is gone.
            let passed = folder.clone();
            self.app.database.write(move |db| ledger::pass(db, &passed, uid_next - 1, Known::New)).await?;
        }
        Ok(taken)
    }

    /// Takes new mails of which one makes the server refuse to list them: that one is set aside, and the others come.
    async fn take_singly(
        &mut self,
        session: &mut Session,
        folder: &Folder,
        numbers: Vec<u32>,
        home: &Recipient,
    ) -> Result<usize, Ended> {
        let (mut taken, mut refused) = (0, 0);
        for uid in numbers {
            self.hold().await?;
            self.under_way = Some(UnderWay { folder: folder.clone(), uid, known: Known::New });
            match self.or_refused(session.find(uid).await).await? {
                Asked::Answered(Some(found)) => {
                    refused = 0;
                    taken += self.take(session, folder, found, Known::New, home).await?;
                }
                Asked::Answered(None) => self.pass(folder, uid, Known::New).await?,
                Asked::Refused(words) => {
                    refused += 1;
                    if refused >= IN_A_ROW {
                        return Err(Trouble::Refused(words).into());
                    }
                }
            }
        }
        Ok(taken)
    }

    async fn take_aside(&mut self, session: &mut Session, folder: &Folder, home: &Recipient) -> Result<usize, Ended> {
        let (at, now) = (folder.clone(), self.app.clock.now());
        let due = self.app.database.read(move |db| ledger::due(db, &at, ASIDE, now)).await?;
        let mut taken = 0;
        for aside in due {
            self.hold().await?;
            let known = Known::Aside(aside.id);
            let uid = u32::try_from(aside.uid).unwrap_or_default();
            self.under_way = Some(UnderWay { folder: folder.clone(), uid, known });
            let found = match self.or_refused(session.find(uid).await).await? {
                Asked::Answered(Some(found)) => found,
                Asked::Answered(None) => {
                    self.pass(folder, uid, known).await?;
                    continue;
                }
                Asked::Refused(_) => continue,
            };
            // The server may have been wrong about its size, so it is given more room each time.
            let size = found.size.saturating_mul(4_usize.saturating_pow(aside.attempts.unsigned_abs())).max(1 << 20);
            taken += self.take(session, folder, Found { size: size.min(PIPE_BYTES), ..found }, known, home).await?;
        }
        Ok(taken)
    }

    async fn take(
        &mut self,
        session: &mut Session,
        folder: &Folder,
        found: Found,
        known: Known,
        home: &Recipient,
    ) -> Result<usize, Ended> {
        let is_older = !self.account.takes_existing
            && i64::from(found.uid) < folder.older_below
            && found.arrived.is_some_and(|arrived| arrived < folder.began_at.seconds());
        if is_older {
            self.pass(folder, found.uid, known).await?;
            return Ok(0);
        }
        let under_way = UnderWay { folder: folder.clone(), uid: found.uid, known };
        self.under_way = Some(under_way.clone());
        // What is too large even for being kept is kept in part, one byte beyond what is read (L-01).
        let beginning = self.app.config.limits.mail_bytes + 1;
        let (part, most) = match found.size {
            0 => (Some(beginning), beginning),
            size if size > PIPE_BYTES => (Some(beginning), beginning),
            size => (None, (size + size / 4 + TOLERANCE).min(PIPE_BYTES + TOLERANCE)),
        };
        let (of, room) = if most > LARGE { (&TURN, 1) } else { (&ROOM, most.div_ceil(GRAIN)) };
        let waiting = of.acquire_many(u32::try_from(room).unwrap_or(u32::MAX));
        tokio::pin!(waiting);
        let _room = loop {
            tokio::select! {
                room = &mut waiting => break room.map_err(|error| Error::Internal(error.into()))?,
                () = tokio::time::sleep(SLICE) => self.hold().await?,
            }
        };
        let fetching = session.fetch(found.uid, part, most);
        tokio::pin!(fetching);
        let fetched = loop {
            tokio::select! {
                fetched = &mut fetching => break fetched,
                () = tokio::time::sleep(SLICE) => self.hold().await?,
            }
        };
        self.is_heard |= fetched.is_ok();
        let raw = match self.or_set_aside(fetched).await? {
            Fetched::Mail(raw) => raw,
            Fetched::Gone => {
                self.pass(folder, found.uid, known).await?;
                return Ok(0);
            }
            Fetched::Refused(words) => {
                self.under_way = None;
                self.set_aside(under_way, &words).await?;
                return Ok(0);
            }
        };
        match self.accept(under_way.clone(), found.arrived, raw, home).await {
            Ok(()) => {}
            // The next one would fare no better; this one is taken when there is room again.
            Err(busy @ Ended::Desk(Error::Busy | Error::StorageFull)) => return Err(busy),
            Err(_) => {
                self.under_way = None;
                self.set_aside(under_way, "a fault of this program").await?;
                return Ok(0);
            }
        }
        self.under_way = None;
        Ok(1)
    }

    async fn accept(
        &self,
        under_way: UnderWay,
        arrived: Option<i64>,
        raw: Vec<u8>,
        home: &Recipient,
    ) -> Result<(), Ended> {
        let (app, home, account) = (self.app.clone(), home.clone(), self.account.name.clone());
        let (folder, uid) = (under_way.folder.clone(), i64::from(under_way.uid));
        let read = carry::blocking(move || {
            let (recipient, envelope_from) = addressee(&app, &home, &account, &raw)?;
            let mail = NewMail::fetched(recipient, envelope_from, &account, raw);
            Ok::<_, Error>(if is_from_before(&folder, uid, arrived, &mail) { mail.from_before() } else { mail })
        });
        let mail = read.await.map_err(|error| Error::Internal(error.into()))??;
        let (account, now) = (self.account.name.clone(), self.app.clock.now());
        let is_to_be_tidied = self.account.after != AfterTaking::Leave;
        self.app
            .database
            .write(move |db| {
                let of = (i64::from(under_way.uid), under_way.known);
                ledger::take(db, &account, &under_way.folder, of, &mail, is_to_be_tidied, now)
            })
            .await?;
        Ok(())
    }

    async fn pass(&mut self, folder: &Folder, uid: u32, known: Known) -> Result<(), Error> {
        self.under_way = None;
        let folder = folder.clone();
        self.app.database.write(move |db| ledger::pass(db, &folder, i64::from(uid), known)).await
    }

    /// What was asked of the server about the mail under way; when everything breaks over it, the mail is set aside and the
    /// next one is not kept waiting (J-07).
    async fn or_set_aside<T>(&mut self, answer: Result<T, Trouble>) -> Result<T, Ended> {
        match answer {
            Ok(answer) => Ok(answer),
            Err(trouble) => {
                if let Some(under_way) = self.under_way.take() {
                    let words = Some(trouble.words()).filter(|words| !words.is_empty());
                    self.set_aside(under_way, &words.unwrap_or_else(|| trouble.kind().to_owned())).await?;
                }
                Err(trouble.into())
            }
        }
    }

    /// The same for a question that the server may refuse because of this very mail: it is set aside, and we stay.
    async fn or_refused<T>(&mut self, answer: Result<T, Trouble>) -> Result<Asked<T>, Ended> {
        match answer {
            Err(Trouble::Refused(words)) => {
                if let Some(under_way) = self.under_way.take() {
                    self.set_aside(under_way, &words).await?;
                }
                Ok(Asked::Refused(words))
            }
            other => self.or_set_aside(other).await.map(Asked::Answered),
        }
    }

    pub(super) async fn set_aside(&self, under_way: UnderWay, words: &str) -> Result<(), Error> {
        tracing::warn!(target: "accord::imap", account = %self.account.name, uid = under_way.uid, "A mail could not be fetched; it will be tried again");
        let (words, now) = (words.to_owned(), self.app.clock.now());
        self.app
            .database
            .write(move |db| {
                ledger::set_aside(db, &under_way.folder, i64::from(under_way.uid), under_way.known, &words, now)
            })
            .await
    }

    /// Waits until there may be something to do: the server tells, or it is time to ask.
    pub(super) async fn rest(&mut self, session: &mut Session, taken: usize) -> Result<(), Ended> {
        let is_told = session.can_idle;
        let still = self.patience.still;
        // Only the folder that is open is told of.
        let longest = if is_told && self.account.folders.len() == 1 { still } else { self.account.poll };
        if is_told {
            let Some(first) = self.account.folders.first().cloned() else { return Ok(()) };
            let (known, uid_next) = self.open_folder(session, &first).await?;
            if known.next_uid < uid_next {
                return Ok(());
            }
            if taken == 0 && std::mem::take(&mut self.was_woken) {
                tokio::time::sleep(self.patience.command.min(CALM)).await;
            }
            if session.begin_waiting().await? == Woken::ByServer {
                self.was_woken = true;
                session.end_waiting().await?;
                return Ok(());
            }
        }
        let (until, mut used) = (Instant::now() + longest, Instant::now());
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            let slice = left.min(SLICE).min(still);
            if is_told {
                if session.wait(slice).await? == Woken::ByServer {
                    self.was_woken = true;
                    break;
                }
            } else {
                tokio::time::sleep(slice).await;
            }
            if used.elapsed() >= still {
                if is_told {
                    if session.end_waiting().await? == Woken::ByServer {
                        self.was_woken = true;
                        return Ok(());
                    }
                    if session.begin_waiting().await? == Woken::ByServer {
                        self.was_woken = true;
                        break;
                    }
                } else {
                    session.keep_alive().await?;
                }
                (self.is_heard, used) = (true, Instant::now());
            }
            self.hold().await?;
            let (account, now) = (self.account.name.clone(), self.app.clock.now());
            if self.app.database.read(move |db| ledger::is_due(db, &account, now)).await? {
                break;
            }
        }
        if is_told {
            session.end_waiting().await?;
        }
        Ok(())
    }
}

/// Whom the mail is for. One with which that cannot be found out is for the account's own mailbox all the same: better there
/// than nowhere (J-03).
fn addressee(app: &App, home: &Recipient, account: &str, raw: &[u8]) -> Result<(Recipient, String), Error> {
    match catch_unwind(AssertUnwindSafe(|| addressed_to(app, home, raw))) {
        Ok(Ok(found)) => return Ok(found),
        Ok(Err(busy @ (Error::Busy | Error::StorageFull))) => return Err(busy),
        Ok(Err(error)) => {
            tracing::error!(target: "accord::imap", account = %account, ?error, "Whom a mail is for cannot be found out; it goes to the account's mailbox");
        }
        Err(_) => {
            tracing::error!(target: "accord::imap", account = %account, "A fault of this program over whom a mail is for; it goes to the account's mailbox");
        }
    }
    Ok((home.clone(), String::new()))
}

/// Whether the mail may be from before we first looked, as it is with what existed, or was dragged into the folder since. The
/// server may say when it came there, and its sender when it was written; the earlier counts.
fn is_from_before(folder: &Folder, uid: i64, arrived: Option<i64>, mail: &NewMail) -> bool {
    let written = mail.date().map(|date| date.seconds());
    let is_unknown = arrived.is_none() && uid < folder.older_below;
    is_unknown || arrived.into_iter().chain(written).any(|time| time < folder.began_at.seconds())
}
