//! The ledger of mail that is fetched by IMAP (S-06, FT-26): up to which number all mails of a folder are taken, and the mails
//! with which something is still to be done. A number is passed in the transaction that accepts its mail, so whoever is
//! killed in between, and whoever else fetches from the same account, takes no mail twice and leaves none.

pub mod standing;

use chrono::TimeDelta;
use diesel::prelude::*;

use super::{Acceptance, NewMail, accept};
use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::dialect::on_each_backend;
use crate::db::schema::{imap_accounts, imap_folders, imap_mails, journal};
use crate::db::types::{ImapFolderId, ImapMailId, text_enum};
use crate::error::Result;

/// How long a process may be silent before another looks after the account.
pub const LEASE: TimeDelta = TimeDelta::seconds(90);
/// From so many attempts on a mail that cannot be fetched is told to operators.
pub const STUCK: i32 = 3;
/// How much is kept of why a mail cannot be fetched, in characters.
const WORDS: usize = 300;

text_enum! {
    /// What is still to be done with a mail.
    pub enum Left {
        /// It could not be fetched, and is tried again.
        Aside = "aside",
        /// It was taken, and something is to become of it on the server.
        Taken = "taken",
    }
}

/// A folder from which mail is fetched.
#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
pub struct Folder {
    pub id: ImapFolderId,
    /// Whose mailbox it was on which server ([`ImapAccount::place`](crate::config::imap::ImapAccount::place)).
    pub place: String,
    pub uid_validity: i64,
    /// Every mail below this number is dealt with, or set aside.
    pub next_uid: i64,
    /// Below this number there may be mails from before we first looked: those are to be taken as well, or the server
    /// numbered its mails anew since.
    pub older_below: i64,
    /// When we first looked.
    pub began_at: UtcTime,
}

/// A mail that could not be fetched before.
#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
pub struct Aside {
    pub id: ImapMailId,
    pub uid: i64,
    pub attempts: i32,
}

type Columns = (
    imap_folders::id,
    imap_folders::place,
    imap_folders::uid_validity,
    imap_folders::next_uid,
    imap_folders::older_below,
    imap_folders::began_at,
);

const COLUMNS: Columns = (
    imap_folders::id,
    imap_folders::place,
    imap_folders::uid_validity,
    imap_folders::next_uid,
    imap_folders::older_below,
    imap_folders::began_at,
);

/// Takes the account for `worker`, or keeps it. `false` when another process looks after it.
pub fn claim(db: &mut DbConnection, account: &str, worker: &str, now: UtcTime) -> Result<bool> {
    let row = (imap_accounts::name.eq(account), imap_accounts::taken.eq(0), imap_accounts::trouble_words.eq(""));
    on_each_backend!(db, db => diesel::insert_into(imap_accounts::table)
        .values(row)
        .on_conflict_do_nothing()
        .execute(db))?;
    let is_free = imap_accounts::leased_until
        .is_null()
        .or(imap_accounts::leased_until.lt(now))
        .or(imap_accounts::leased_by.eq(worker));
    let taken = diesel::update(imap_accounts::table.filter(imap_accounts::name.eq(account)).filter(is_free))
        .set((imap_accounts::leased_by.eq(worker), imap_accounts::leased_until.eq(now.plus(LEASE))))
        .execute(db)?;
    Ok(taken > 0)
}

/// Gives the account back, for another process to look after at once.
pub fn release(db: &mut DbConnection, account: &str, worker: &str) -> Result<()> {
    let held = imap_accounts::table.filter(imap_accounts::name.eq(account)).filter(imap_accounts::leased_by.eq(worker));
    diesel::update(held)
        .set((imap_accounts::leased_until.eq(None::<UtcTime>), imap_accounts::connected_since.eq(None::<UtcTime>)))
        .execute(db)?;
    Ok(())
}

/// Frees every account: at the start of the only process of a database.
pub fn free_leases(db: &mut DbConnection) -> Result<usize> {
    Ok(diesel::update(imap_accounts::table.filter(imap_accounts::leased_until.is_not_null()))
        .set((imap_accounts::leased_until.eq(None::<UtcTime>), imap_accounts::connected_since.eq(None::<UtcTime>)))
        .execute(db)?)
}

/// How a server numbers the mails of a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Numbering {
    pub uid_validity: i64,
    /// The number of the mail that arrives next.
    pub uid_next: i64,
    /// Whether it may have gone back without saying so, as after a server was restored.
    pub is_back: bool,
}

/// The folder, if it was opened before.
pub fn find_folder(db: &mut DbConnection, account: &str, folder: &str) -> Result<Option<Folder>> {
    Ok(imap_folders::table
        .filter(imap_folders::account.eq(account))
        .filter(imap_folders::folder.eq(folder))
        .select(COLUMNS)
        .first(db)
        .optional()?)
}

/// The folder as it is known, which the server just opened with this numbering, up to `uid_next`. One that is new begins
/// there, or with its first mail if what exists is taken. Under another numbering, or one that went back, nothing is known
/// of any number: all of it is looked at again, and what comes again is recognised by its bytes (J-05). An account that now
/// leads to another `place` begins as one that is new.
pub fn open_folder(
    db: &mut DbConnection,
    (account, folder, place): (&str, &str, &str),
    Numbering { uid_validity, uid_next, is_back }: Numbering,
    takes_existing: bool,
    now: UtcTime,
) -> Result<Folder> {
    let (first, older_below) = if takes_existing { (1, uid_next) } else { (uid_next, 0) };
    let row = (
        imap_folders::account.eq(account),
        imap_folders::folder.eq(folder),
        imap_folders::place.eq(place),
        imap_folders::uid_validity.eq(uid_validity),
        imap_folders::next_uid.eq(first),
        imap_folders::older_below.eq(older_below),
        imap_folders::began_at.eq(now),
    );
    on_each_backend!(db, db => diesel::insert_into(imap_folders::table)
        .values(row)
        .on_conflict_do_nothing()
        .execute(db))?;
    let known = find_folder(db, account, folder)?.ok_or(diesel::result::Error::NotFound)?;
    let is_elsewhere = known.place != place;
    if !is_elsewhere && known.uid_validity == uid_validity && !(is_back && uid_next < known.next_uid) {
        return Ok(known);
    }
    diesel::delete(imap_mails::table.filter(imap_mails::folder_id.eq(known.id))).execute(db)?;
    let folder = if is_elsewhere {
        Folder { id: known.id, place: place.to_owned(), uid_validity, next_uid: first, older_below, began_at: now }
    } else {
        Folder { uid_validity, next_uid: 1, older_below: uid_next, ..known }
    };
    diesel::update(imap_folders::table.find(folder.id))
        .set((
            imap_folders::place.eq(&folder.place),
            imap_folders::uid_validity.eq(folder.uid_validity),
            imap_folders::next_uid.eq(folder.next_uid),
            imap_folders::older_below.eq(folder.older_below),
            imap_folders::began_at.eq(folder.began_at),
        ))
        .execute(db)?;
    Ok(folder)
}

/// What was known of a mail before it was fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// Nothing: it is the next one of its folder.
    New,
    /// It had been set aside.
    Aside(ImapMailId),
}

/// Accepts a mail and passes its number, in one transaction. `left` is noted where something is to become of it on the
/// server. Nothing when somebody else dealt with it meanwhile.
pub fn take(
    db: &mut DbConnection,
    account: &str,
    folder: &Folder,
    (uid, known): (i64, Known),
    mail: &NewMail,
    is_to_be_tidied: bool,
    now: UtcTime,
) -> Result<Option<Acceptance>> {
    if !settle(db, folder, uid, known)? {
        return Ok(None);
    }
    let acceptance = if was_fetched(db, account, mail)? {
        Some(Acceptance::AlreadyKnown)
    } else {
        accept(db, mail, now)?.first().copied()
    };
    if is_to_be_tidied {
        note(db, folder, uid, Left::Taken, "", now)?;
    }
    diesel::update(imap_accounts::table.find(account))
        .set((imap_accounts::taken.eq(imap_accounts::taken + 1), imap_accounts::last_mail_at.eq(now)))
        .execute(db)?;
    Ok(acceptance)
}

/// Whether the account gave the same bytes before, whatever became of them and whichever mailbox they would be for by now: a
/// server that numbers its mails anew gives all of them again.
fn was_fetched(db: &mut DbConnection, account: &str, mail: &NewMail) -> Result<bool> {
    let fetched: i64 = journal::table
        .filter(journal::imap_account.eq(account))
        .filter(journal::raw_sha256.eq(&mail.raw_sha256))
        .count()
        .get_result(db)?;
    Ok(fetched > 0)
}

/// Passes a mail that is gone, or is not to be taken.
pub fn pass(db: &mut DbConnection, folder: &Folder, uid: i64, known: Known) -> Result<()> {
    settle(db, folder, uid, known).map(drop)
}

/// Sets a mail aside that could not be fetched; those after it go on, and it is tried again after a while (J-07).
pub fn set_aside(
    db: &mut DbConnection,
    folder: &Folder,
    uid: i64,
    known: Known,
    words: &str,
    now: UtcTime,
) -> Result<()> {
    let words: String = words.chars().take(WORDS).collect();
    match known {
        Known::New => {
            if settle(db, folder, uid, known)? {
                note(db, folder, uid, Left::Aside, &words, now.plus(pause_after(1)))?;
            }
        }
        Known::Aside(id) => {
            let attempts: Option<i32> = imap_mails::table.find(id).select(imap_mails::attempts).first(db).optional()?;
            let attempts = attempts.unwrap_or_default() + 1;
            diesel::update(imap_mails::table.find(id))
                .set((
                    imap_mails::attempts.eq(attempts),
                    imap_mails::next_at.eq(now.plus(pause_after(attempts))),
                    imap_mails::words.eq(words),
                ))
                .execute(db)?;
        }
    }
    Ok(())
}

/// Mails that were set aside and are to be tried again, the first first.
pub fn due(db: &mut DbConnection, folder: &Folder, limit: i64, now: UtcTime) -> Result<Vec<Aside>> {
    Ok(imap_mails::table
        .filter(imap_mails::folder_id.eq(folder.id))
        .filter(imap_mails::state.eq(Left::Aside))
        .filter(imap_mails::next_at.le(now))
        .order(imap_mails::uid)
        .limit(limit)
        .select((imap_mails::id, imap_mails::uid, imap_mails::attempts))
        .load(db)?)
}

/// Whether a mail of the account that was set aside is to be tried again.
pub fn is_due(db: &mut DbConnection, account: &str, now: UtcTime) -> Result<bool> {
    let due: i64 = imap_mails::table
        .inner_join(imap_folders::table)
        .filter(imap_folders::account.eq(account))
        .filter(imap_mails::state.eq(Left::Aside))
        .filter(imap_mails::next_at.le(now))
        .count()
        .get_result(db)?;
    Ok(due > 0)
}

/// Mails that were taken and with which something is to be done on the server now: first those with which it was tried least,
/// so that none waits behind those with which it never works.
pub fn to_be_tidied(db: &mut DbConnection, folder: &Folder, limit: i64, now: UtcTime) -> Result<Vec<i64>> {
    Ok(imap_mails::table
        .filter(imap_mails::folder_id.eq(folder.id))
        .filter(imap_mails::state.eq(Left::Taken))
        .filter(imap_mails::next_at.le(now))
        .order((imap_mails::attempts, imap_mails::uid))
        .limit(limit)
        .select(imap_mails::uid)
        .load(db)?)
}

/// It was done with these.
pub fn tidied(db: &mut DbConnection, folder: &Folder, uids: &[i64]) -> Result<()> {
    let done = imap_mails::table
        .filter(imap_mails::folder_id.eq(folder.id))
        .filter(imap_mails::state.eq(Left::Taken))
        .filter(imap_mails::uid.eq_any(uids.to_vec()));
    diesel::delete(done).execute(db)?;
    Ok(())
}

/// It did not work with these, and is tried again after a while.
pub fn not_tidied(db: &mut DbConnection, folder: &Folder, uids: &[i64], now: UtcTime) -> Result<()> {
    for uid in uids {
        let stuck = imap_mails::table
            .filter(imap_mails::folder_id.eq(folder.id))
            .filter(imap_mails::state.eq(Left::Taken))
            .filter(imap_mails::uid.eq(*uid));
        let attempts: Option<i32> = stuck.select(imap_mails::attempts).first(db).optional()?;
        let attempts = attempts.unwrap_or_default() + 1;
        diesel::update(stuck)
            .set((imap_mails::attempts.eq(attempts), imap_mails::next_at.eq(now.plus(pause_after(attempts)))))
            .execute(db)?;
    }
    Ok(())
}

/// Passes a number; `false` when it was passed before.
fn settle(db: &mut DbConnection, folder: &Folder, uid: i64, known: Known) -> Result<bool> {
    let changed = match known {
        Known::New => {
            let current = imap_folders::table
                .find(folder.id)
                .filter(imap_folders::place.eq(&folder.place))
                .filter(imap_folders::uid_validity.eq(folder.uid_validity))
                .filter(imap_folders::next_uid.le(uid));
            diesel::update(current).set(imap_folders::next_uid.eq(uid + 1)).execute(db)?
        }
        Known::Aside(id) => diesel::delete(imap_mails::table.find(id)).execute(db)?,
    };
    Ok(changed > 0)
}

fn note(db: &mut DbConnection, folder: &Folder, uid: i64, state: Left, words: &str, next_at: UtcTime) -> Result<()> {
    diesel::insert_into(imap_mails::table)
        .values((
            imap_mails::folder_id.eq(folder.id),
            imap_mails::uid.eq(uid),
            imap_mails::state.eq(state),
            imap_mails::attempts.eq(1),
            imap_mails::next_at.eq(next_at),
            imap_mails::words.eq(words),
        ))
        .execute(db)?;
    Ok(())
}

/// The clock was set back: what was to be tried again at a time that is far away now is tried as soon as it would have been,
/// and an account is free again when its reader cannot be at it any more (FT-06).
pub fn follow_clock_back(db: &mut DbConnection, now: UtcTime) -> Result<()> {
    diesel::update(imap_mails::table.filter(imap_mails::next_at.gt(now.plus(pause_after(i32::MAX)))))
        .set(imap_mails::next_at.eq(now))
        .execute(db)?;
    let latest = now.plus(LEASE);
    let leased = imap_accounts::table.filter(imap_accounts::leased_until.gt(latest));
    diesel::update(leased).set(imap_accounts::leased_until.eq(latest)).execute(db)?;
    Ok(())
}

/// 10 s, 1 min, 5 min, 30 min, then every hour: what a server does not give today it may give tomorrow, and nothing is
/// given up.
fn pause_after(attempts: i32) -> TimeDelta {
    match attempts {
        ..=1 => TimeDelta::seconds(10),
        2 => TimeDelta::minutes(1),
        3 => TimeDelta::minutes(5),
        4 => TimeDelta::minutes(30),
        _ => TimeDelta::hours(1),
    }
}
