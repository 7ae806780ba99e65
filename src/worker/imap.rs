//! Mail fetched from accounts by IMAP (S-06): one thread looks after all of them, each by itself, so that a server which
//! hangs keeps no other waiting. Of several processes one looks after an account. What is taken stands in the journal and
//! in its ledger in one transaction (`journal::imap`); the server is told of it only afterwards, if at all.

mod addressee;
pub mod client;
mod fetching;
mod tidying;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::join_all;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::carry;
use crate::config::imap::{Credentials, ImapAccount};
use crate::db::DbConnection;
use crate::error::Error;
use crate::journal::imap as ledger;
use crate::journal::imap::standing;
use crate::secret::{Secret, random_handle, random_number};

use client::{Patience, Renewed, Session, Tokens, Trouble, open};
use fetching::UnderWay;

/// How long before an account that another process looks after is asked for again.
const ANOTHER_S: Duration = Duration::from_secs(20);
/// The first pause after something went wrong; each is twice the one before.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
/// The longest, and the one after a server that does not let us in: it may lock out who tries too often.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// Who was connected for so long begins with a short pause again.
const GOOD_WHILE: Duration = Duration::from_secs(60);

/// Why an account cannot be looked after for now.
#[derive(Debug)]
pub enum Ended {
    Trouble(Trouble),
    /// The database, for one.
    Desk(Error),
    /// No mailbox has the address that the account's mail is for.
    NoMailbox,
    /// Another process looks after it.
    AnotherS,
    /// A fault of this program.
    Fault,
}

impl From<Trouble> for Ended {
    fn from(trouble: Trouble) -> Ended {
        Ended::Trouble(trouble)
    }
}

impl From<Error> for Ended {
    fn from(error: Error) -> Ended {
        Ended::Desk(error)
    }
}

impl Ended {
    /// A word for it, which names a text of the catalogue.
    fn kind(&self) -> &'static str {
        match self {
            Ended::Trouble(trouble) => trouble.kind(),
            Ended::Desk(_) => "desk",
            Ended::NoMailbox => "no-mailbox",
            Ended::AnotherS => "another-s",
            Ended::Fault => "fault",
        }
    }

    fn words(&self) -> String {
        match self {
            Ended::Trouble(trouble) => trouble.words(),
            Ended::Desk(_) | Ended::NoMailbox | Ended::AnotherS | Ended::Fault => String::new(),
        }
    }
}

/// Starts the thread that looks after all accounts, if there are any.
pub fn start(app: &Arc<App>, stop: &CancellationToken) -> std::io::Result<Option<JoinHandle<()>>> {
    if app.config.mail.imap.is_empty() {
        return Ok(None);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (app, stop) = (app.clone(), stop.clone());
    let served = move || {
        runtime.block_on(serve(app, stop));
        // A name being looked up or a token being asked for keeps nobody waiting who wants to end.
        runtime.shutdown_background();
    };
    carry::thread("imap".to_owned(), served).map(Some)
}

/// Looks after every account of the settings until told to stop.
pub async fn serve(app: Arc<App>, stop: CancellationToken) {
    let keepers: Vec<_> = app.config.mail.imap.iter().map(|account| Keeper::new(&app, account.clone())).collect();
    join_all(keepers.into_iter().map(|keeper| keeper.keep(&stop))).await;
}

/// Who looks after one account.
pub struct Keeper {
    app: Arc<App>,
    account: ImapAccount,
    /// Under which name it is held.
    name: String,
    patience: Patience,
    tokens: Arc<Tokens>,
    /// The mail being fetched, so that one over which everything breaks is known afterwards.
    under_way: Option<UnderWay>,
    claimed: Option<Instant>,
    /// Whether the server ended the last waiting.
    was_woken: bool,
    /// Whether the server answered as it should since that was last noted.
    is_heard: bool,
    /// What the server does not do with mails that were taken, and when it is asked again.
    untidied: Option<(String, Instant)>,
}

impl Keeper {
    pub fn new(app: &Arc<App>, account: ImapAccount) -> Keeper {
        Keeper::with_patience(app, account, Patience::USUAL)
    }

    /// The same for tests, which have less of it.
    pub fn with_patience(app: &Arc<App>, account: ImapAccount, patience: Patience) -> Keeper {
        let tokens = Arc::new(Tokens::of(&account, &app.config.data, Renewed::Kept));
        Keeper {
            app: app.clone(),
            account,
            name: random_handle(),
            patience,
            tokens,
            under_way: None,
            claimed: None,
            was_woken: false,
            is_heard: false,
            untidied: None,
        }
    }

    async fn keep(mut self, stop: &CancellationToken) {
        let mut failures = 0;
        loop {
            let began = Instant::now();
            let ended = tokio::select! {
                () = stop.cancelled() => break,
                ended = self.look_after(true) => ended,
            };
            failures = if began.elapsed() > GOOD_WHILE { 0 } else { failures + 1 };
            let pause = match ended {
                Err(ended) => pause_after(&ended, failures),
                Ok(()) => FIRST_PAUSE,
            };
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(pause) => {}
            }
        }
        let (account, name) = (self.account.name.clone(), self.name.clone());
        if let Err(error) = self.app.database.write(move |db| ledger::release(db, &account, &name)).await {
            tracing::debug!(target: "accord::imap", ?error, "An account has to wait for its lease");
        }
    }

    /// Connects, takes what is new and, if it stays, waits for more until something goes wrong. What went wrong is told to
    /// operators.
    pub async fn look_after(&mut self, stays: bool) -> Result<(), Ended> {
        let looked = AssertUnwindSafe(self.visit(stays)).catch_unwind().await;
        let ended = match looked {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(ended)) => ended,
            Err(_) => {
                if let Some(under_way) = self.under_way.take() {
                    self.set_aside(under_way, "a fault of this program").await?;
                }
                Ended::Fault
            }
        };
        self.tell(&ended).await;
        Err(ended)
    }

    async fn visit(&mut self, stays: bool) -> Result<(), Ended> {
        (self.claimed, self.under_way, self.is_heard) = (None, None, false);
        self.hold().await?;
        let mut session = self.open().await?;
        let now = self.app.clock.now();
        let account = self.account.name.clone();
        self.app.database.write(move |db| standing::connected(db, &account, now)).await?;
        loop {
            let taken = self.take_all(&mut session).await?;
            self.tell_well().await?;
            if !stays {
                session.close().await;
                return Ok(());
            }
            self.rest(&mut session, taken).await?;
        }
    }

    /// Connected and signed in. A token that the server does not take is tried once more, with a new one.
    async fn open(&mut self) -> Result<Session, Trouble> {
        let token = self.token().await?;
        match open(&self.account, token.as_deref(), self.patience).await {
            Err(Trouble::SignIn(_)) if token.is_some() => {
                self.tokens.forget();
                let token = self.token().await?;
                open(&self.account, token.as_deref(), self.patience).await
            }
            opened => opened,
        }
    }

    async fn token(&self) -> Result<Option<Arc<Secret<String>>>, Trouble> {
        let Credentials::Tokens(source) = self.account.credentials.clone() else { return Ok(None) };
        let (tokens, authorities) = (self.tokens.clone(), self.account.authorities.clone());
        let got = carry::blocking(move || tokens.get(&source, &authorities)).await;
        got.unwrap_or_else(|_| Err(Trouble::Tokens("asking for one ended without an answer".to_owned()))).map(Some)
    }

    /// Keeps the account for this process, and notes that its server answers; at most every 20 s is the database asked.
    async fn hold(&mut self) -> Result<(), Ended> {
        if self.claimed.is_some_and(|claimed| claimed.elapsed() < Duration::from_secs(20)) {
            return Ok(());
        }
        let (account, name, now) = (self.account.name.clone(), self.name.clone(), self.app.clock.now());
        let is_heard = std::mem::take(&mut self.is_heard);
        let claim = move |db: &mut DbConnection| {
            let is_ours = ledger::claim(db, &account, &name, now)?;
            if is_ours && is_heard {
                standing::heard(db, &account, now)?;
            }
            Ok(is_ours)
        };
        if !self.app.database.write(claim).await? {
            return Err(Ended::AnotherS);
        }
        self.claimed = Some(Instant::now());
        Ok(())
    }

    async fn tell_well(&mut self) -> Result<(), Error> {
        let (account, now) = (self.account.name.clone(), self.app.clock.now());
        let untidied = self.untidied.as_ref().map(|(words, _)| words.clone());
        self.app
            .database
            .write(move |db| match &untidied {
                None => standing::well(db, &account, now),
                Some(words) => standing::in_trouble(db, &account, "untidied", words, true, now),
            })
            .await
    }

    async fn tell(&self, ended: &Ended) {
        let kind = ended.kind();
        match ended {
            Ended::AnotherS => return,
            Ended::Desk(error) => {
                tracing::warn!(target: "accord::imap", account = %self.account.name, ?error, "Fetched mail cannot be kept for now; trying again");
            }
            _ => {
                tracing::warn!(target: "accord::imap", account = %self.account.name, trouble = kind, "Mail cannot be fetched for now; trying again");
            }
        }
        let (account, words, now) = (self.account.name.clone(), ended.words(), self.app.clock.now());
        let told =
            self.app.database.write(move |db| standing::in_trouble(db, &account, kind, &words, false, now)).await;
        if let Err(error) = told {
            tracing::debug!(target: "accord::imap", ?error, "How an account stands could not be noted");
        }
    }
}

/// Longer from time to time, and never the same for two accounts of one server.
fn pause_after(ended: &Ended, failures: u32) -> Duration {
    let pause = match ended {
        Ended::AnotherS => return ANOTHER_S,
        Ended::Trouble(Trouble::SignIn(_) | Trouble::Tokens(_)) => LONGEST_PAUSE,
        _ => FIRST_PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(8)).min(LONGEST_PAUSE),
    };
    let part = u32::try_from(random_number() % 51).unwrap_or_default();
    pause.saturating_mul(75 + part) / 100
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s_06_pauses_grow_to_five_minutes_and_differ() {
        let pause = |failures| pause_after(&Ended::Trouble(Trouble::Closed), failures);
        assert!((Duration::from_millis(3_750)..=Duration::from_millis(6_250)).contains(&pause(1)));
        assert!((Duration::from_millis(30_000)..=Duration::from_millis(50_000)).contains(&pause(4)));
        assert!((Duration::from_secs(225)..=Duration::from_secs(375)).contains(&pause(u32::MAX)));
        let refused = pause_after(&Ended::Trouble(Trouble::SignIn(String::new())), 1);
        assert!(refused >= Duration::from_secs(225), "nobody is locked out by us");
        assert!((0..50).map(|_| pause(8)).collect::<std::collections::BTreeSet<_>>().len() > 1);
    }
}
