//! What is done at a server that let us in: folder by folder the new mails, then those that were set aside, then what is to
//! become of those that were taken; and the waiting for more.

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

/// How long the server is left to tell by itself before it is asked again: well within the half hour after which it may
/// hang up (RFC 2177), and soon enough to notice a connection that died in silence.
const IDLE: Duration = Duration::from_secs(5 * 60);
/// How long at most between two looks at whether the account is still ours, and at mails that were set aside.
const SLICE: Duration = Duration::from_secs(20);
/// A server that wakes us for nothing is answered after this.
const CALM: Duration = Duration::from_secs(2);
/// How long before a server that did not move or mark mails is asked again.
const TIDY_AGAIN: Duration = Duration::from_secs(15 * 60);
/// Mails that were set aside and are tried again in one go.
const ASIDE: i64 = 20;
/// How many mails are moved or marked with one command.
const TOGETHER: i64 = 100;
/// How much of a mail is counted at once against what all mails being fetched may hold in memory.
const GRAIN: usize = 64 * 1024;
/// What one may be longer than the server says: some count lines by their ends and others do not.
const TOLERANCE: usize = 64 * 1024;

/// What all mails being fetched may hold in memory together.
static MEMORY: Semaphore = Semaphore::const_new(PIPE_BYTES / GRAIN);

/// A mail that is being fetched.
#[derive(Clone, Debug)]
pub(super) struct UnderWay {
    folder: Folder,
    uid: u32,
    known: Known,
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
        loop {
            let found = session.list_from(u32::try_from(folder.next_uid).unwrap_or(u32::MAX)).await?;
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

    async fn take_aside(&mut self, session: &mut Session, folder: &Folder, home: &Recipient) -> Result<usize, Ended> {
        let (at, now) = (folder.clone(), self.app.clock.now());
        let due = self.app.database.read(move |db| ledger::due(db, &at, ASIDE, now)).await?;
        let mut taken = 0;
        for aside in due {
            self.hold().await?;
            let known = Known::Aside(aside.id);
            let uid = u32::try_from(aside.uid).unwrap_or_default();
            self.under_way = Some(UnderWay { folder: folder.clone(), uid, known });
            let found = self.or_set_aside(session.find(uid).await).await?;
            let Some(found) = found else {
                self.pass(folder, uid, known).await?;
                continue;
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
        let room = u32::try_from(most.div_ceil(GRAIN).min(PIPE_BYTES / GRAIN)).unwrap_or(u32::MAX);
        let _room = MEMORY.acquire_many(room).await.map_err(|error| Error::Internal(error.into()))?;
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

    /// Marks or moves what was taken, if that is wanted. When it does not work, mail is taken all the same.
    async fn tidy(&mut self, session: &mut Session, name: &str, folder: &Folder) -> Result<(), Ended> {
        if self.account.after == AfterTaking::Leave {
            return Ok(());
        }
        if self.untidied.as_ref().is_some_and(|(_, again)| Instant::now() < *again) {
            return Ok(());
        }
        let mut is_open = false;
        loop {
            self.hold().await?;
            let at = folder.clone();
            let uids = self.app.database.read(move |db| ledger::to_be_tidied(db, &at, TOGETHER)).await?;
            if uids.is_empty() {
                self.untidied = None;
                return Ok(());
            }
            let done = self.tidy_these(session, name, folder, &uids, &mut is_open).await;
            match done {
                Ok(()) => {
                    let at = folder.clone();
                    self.app.database.write(move |db| ledger::tidied(db, &at, &uids)).await?;
                }
                Err(trouble) => {
                    self.untidied = Some((trouble.words(), Instant::now() + TIDY_AGAIN));
                    return match trouble {
                        Trouble::Refused(_) | Trouble::Folder { .. } => Ok(()),
                        lasting => Err(lasting.into()),
                    };
                }
            }
        }
    }

    async fn tidy_these(
        &self,
        session: &mut Session,
        name: &str,
        folder: &Folder,
        uids: &[i64],
        is_open: &mut bool,
    ) -> Result<(), Trouble> {
        if !*is_open {
            let opened = session.select(name).await?;
            if i64::from(opened.uid_validity) != folder.uid_validity {
                // These are other mails' numbers now.
                return Err(Trouble::Closed);
            }
            *is_open = true;
        }
        let uids: Vec<u32> = uids.iter().filter_map(|uid| u32::try_from(*uid).ok()).collect();
        session.tidy(&uids, &self.account.after).await
    }

    /// Waits until there may be something to do: the server tells, or it is time to ask.
    pub(super) async fn rest(&mut self, session: &mut Session, taken: usize) -> Result<(), Ended> {
        let is_told = session.can_idle;
        // Only the folder that is open is told of.
        let longest = if is_told && self.account.folders.len() == 1 { IDLE } else { self.account.poll };
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
        let until = Instant::now() + longest;
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            let slice = left.min(SLICE);
            if is_told {
                if session.wait(slice).await? == Woken::ByServer {
                    self.was_woken = true;
                    break;
                }
            } else {
                tokio::time::sleep(slice).await;
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
