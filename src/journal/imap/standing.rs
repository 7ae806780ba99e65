//! How each account stands, for those who operate the installation.

use std::collections::HashMap;

use chrono::TimeDelta;
use diesel::prelude::*;

use super::{Left, STUCK};
use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::schema::{imap_accounts, imap_folders, imap_mails};
use crate::error::Result;

/// An account as it was last seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Since when it is connected, if it is.
    pub connected_since: Option<UtcTime>,
    /// When its server last answered.
    pub heard_at: Option<UtcTime>,
    pub last_mail_at: Option<UtcTime>,
    /// Mails that were taken in all.
    pub taken: i64,
    /// What is wrong now, in a word that names a text of the catalogue; what was said of it, and since when.
    pub trouble: Option<(String, String, UtcTime)>,
    /// Mails on the server that cannot be fetched, after several attempts.
    pub stuck: i64,
    /// Why the last of them cannot.
    pub stuck_words: String,
}

/// How long something may be wrong, which often mends itself, before somebody should look.
const PATIENCE: TimeDelta = TimeDelta::minutes(10);
/// A server is heard every few minutes, if only because it is asked whether it still is there.
const SILENCE: TimeDelta = TimeDelta::minutes(30);

impl Standing {
    /// Whether somebody should look.
    pub fn is_in_lasting_trouble(&self, now: UtcTime) -> bool {
        self.trouble.as_ref().is_some_and(|(_, _, since)| now.since(*since) > PATIENCE)
            || self.heard_at.is_some_and(|heard_at| now.since(heard_at) > SILENCE)
    }
}

/// Troubles that are over once something was had of the server, however much there is still to look through.
const OF_THE_CONNECTION: &[&str] = &["unreachable", "unprotected", "sign-in", "tokens", "closed", "slow", "desk"];

/// The server let us in. That mail comes is another matter: what was wrong counts on until then.
pub fn connected(db: &mut DbConnection, account: &str, now: UtcTime) -> Result<()> {
    diesel::update(imap_accounts::table.find(account))
        .set((imap_accounts::connected_since.eq(now), imap_accounts::heard_at.eq(now)))
        .execute(db)?;
    Ok(())
}

/// The server answered as it should; there is more to look through.
pub fn heard(db: &mut DbConnection, account: &str, now: UtcTime) -> Result<()> {
    diesel::update(imap_accounts::table.find(account)).set(imap_accounts::heard_at.eq(now)).execute(db)?;
    end_trouble(db, account, |kind| OF_THE_CONNECTION.contains(&kind))
}

/// The server answered as it should, and everything was looked through.
pub fn well(db: &mut DbConnection, account: &str, now: UtcTime) -> Result<()> {
    diesel::update(imap_accounts::table.find(account)).set(imap_accounts::heard_at.eq(now)).execute(db)?;
    end_trouble(db, account, |_| true)
}

fn end_trouble(db: &mut DbConnection, account: &str, is_over: impl Fn(&str) -> bool) -> Result<()> {
    let kind: Option<Option<String>> =
        imap_accounts::table.find(account).select(imap_accounts::trouble).first(db).optional()?;
    if kind.flatten().is_none_or(|kind| !is_over(&kind)) {
        return Ok(());
    }
    diesel::update(imap_accounts::table.find(account))
        .set((
            imap_accounts::trouble.eq(None::<String>),
            imap_accounts::trouble_words.eq(""),
            imap_accounts::trouble_since.eq(None::<UtcTime>),
        ))
        .execute(db)?;
    Ok(())
}

/// Something is wrong; `is_connected` tells whether mail still comes. It counts from when it began.
pub fn in_trouble(
    db: &mut DbConnection,
    account: &str,
    kind: &str,
    words: &str,
    is_connected: bool,
    now: UtcTime,
) -> Result<()> {
    let known: Option<Option<UtcTime>> =
        imap_accounts::table.find(account).select(imap_accounts::trouble_since).first(db).optional()?;
    let since = known.flatten().unwrap_or(now);
    diesel::update(imap_accounts::table.find(account))
        .set((
            imap_accounts::trouble.eq(kind),
            imap_accounts::trouble_words.eq(words),
            imap_accounts::trouble_since.eq(since),
        ))
        .execute(db)?;
    if !is_connected {
        diesel::update(imap_accounts::table.find(account))
            .set(imap_accounts::connected_since.eq(None::<UtcTime>))
            .execute(db)?;
    }
    Ok(())
}

/// How every account that was ever looked after stands, by its name.
pub fn all(db: &mut DbConnection) -> Result<HashMap<String, Standing>> {
    type Row =
        (String, Option<UtcTime>, Option<UtcTime>, Option<UtcTime>, i64, Option<String>, String, Option<UtcTime>);
    let rows: Vec<Row> = imap_accounts::table
        .select((
            imap_accounts::name,
            imap_accounts::connected_since,
            imap_accounts::heard_at,
            imap_accounts::last_mail_at,
            imap_accounts::taken,
            imap_accounts::trouble,
            imap_accounts::trouble_words,
            imap_accounts::trouble_since,
        ))
        .load(db)?;
    let mut accounts = HashMap::new();
    for (name, connected_since, heard_at, last_mail_at, taken, trouble, words, since) in rows {
        let trouble = trouble.zip(since).map(|(kind, since)| (kind, words, since));
        let standing = Standing { connected_since, heard_at, last_mail_at, taken, trouble, ..Standing::default() };
        accounts.insert(name, standing);
    }
    let stuck: Vec<(String, String)> = imap_mails::table
        .inner_join(imap_folders::table)
        .filter(imap_mails::state.eq(Left::Aside))
        .filter(imap_mails::attempts.ge(STUCK))
        .order(imap_mails::id)
        .select((imap_folders::account, imap_mails::words))
        .load(db)?;
    for (account, words) in stuck {
        let standing: &mut Standing = accounts.entry(account).or_default();
        standing.stuck += 1;
        standing.stuck_words = words;
    }
    Ok(accounts)
}
