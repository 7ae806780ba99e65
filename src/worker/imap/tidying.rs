//! What becomes of mails on the server once they are ours, if anything: marked or moved, many with one command, and one by one
//! where the server refuses some. When it does not work, mail is taken all the same.

use std::time::{Duration, Instant};

use super::fetching::IN_A_ROW;
use super::{Ended, Keeper};
use crate::config::imap::AfterTaking;
use crate::db::DbConnection;
use crate::journal::imap as ledger;
use crate::journal::imap::Folder;
use crate::worker::imap::client::{Session, Trouble};

/// How long before a server that did not move or mark mails is asked again.
const TIDY_AGAIN: Duration = Duration::from_secs(15 * 60);
/// How many mails are moved or marked with one command.
const TOGETHER: i64 = 100;

impl Keeper {
    /// Marks or moves what was taken, if that is wanted. When it does not work, mail is taken all the same.
    pub(super) async fn tidy(&mut self, session: &mut Session, name: &str, folder: &Folder) -> Result<(), Ended> {
        if self.account.after == AfterTaking::Leave {
            return Ok(());
        }
        if self.untidied.as_ref().is_some_and(|(_, again)| Instant::now() < *again) {
            return Ok(());
        }
        let (mut is_open, mut refused) = (false, None);
        loop {
            self.hold().await?;
            let (at, now) = (folder.clone(), self.app.clock.now());
            let uids = self.app.database.read(move |db| ledger::to_be_tidied(db, &at, TOGETHER, now)).await?;
            if uids.is_empty() {
                break;
            }
            let (mut done, mut stuck) = (Vec::new(), Vec::new());
            let outcome = match self.tidy_these(session, name, folder, &uids, &mut is_open).await {
                Ok(()) => {
                    done = uids;
                    Ok(())
                }
                // One of them may be the reason.
                Err(Trouble::Refused(words)) if is_open && uids.len() > 1 => {
                    refused = Some(words);
                    self.tidy_singly(session, name, folder, &uids, (&mut done, &mut stuck)).await
                }
                Err(Trouble::Refused(words)) if is_open => {
                    stuck = uids;
                    Err(Trouble::Refused(words))
                }
                Err(trouble) => Err(trouble),
            };
            if !done.is_empty() || !stuck.is_empty() {
                let at = folder.clone();
                let note = move |db: &mut DbConnection| {
                    ledger::tidied(db, &at, &done)?;
                    ledger::not_tidied(db, &at, &stuck, now)
                };
                self.app.database.write(note).await?;
            }
            if let Err(trouble) = outcome {
                self.untidied = Some((trouble.words(), Instant::now() + TIDY_AGAIN));
                return match trouble {
                    Trouble::Refused(_) | Trouble::Folder { .. } => Ok(()),
                    lasting => Err(lasting.into()),
                };
            }
        }
        self.untidied = refused.map(|words| (words, Instant::now() + TIDY_AGAIN));
        Ok(())
    }

    /// One by one, so that a mail with which it does not work keeps no other from it; `done` are those with which it does, and
    /// `stuck` those with which it does not.
    async fn tidy_singly(
        &mut self,
        session: &mut Session,
        name: &str,
        folder: &Folder,
        uids: &[i64],
        (done, stuck): (&mut Vec<i64>, &mut Vec<i64>),
    ) -> Result<(), Trouble> {
        let mut in_a_row = 0;
        for uid in uids {
            match self.tidy_these(session, name, folder, &[*uid], &mut true).await {
                Ok(()) => {
                    in_a_row = 0;
                    done.push(*uid);
                }
                Err(Trouble::Refused(words)) => {
                    in_a_row += 1;
                    stuck.push(*uid);
                    if in_a_row >= IN_A_ROW {
                        return Err(Trouble::Refused(words));
                    }
                }
                Err(trouble) => return Err(trouble),
            }
        }
        Ok(())
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
}
