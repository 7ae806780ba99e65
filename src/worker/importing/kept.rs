//! Originals that lie among the stored files and that the database does not know: the mail since the backup from which it was
//! restored (FT-33). Nothing is kept of how such a mail came but its own header, and a file that somebody attached may be a mail
//! too. So it comes as an import does, and nobody is told; what would be an answer in a ticket is for staff until an agent
//! accepts it.

use std::collections::HashSet;

use sha2::{Digest, Sha256};

use super::{Progress, bring, mailbox_named};
use crate::app::App;
use crate::cards::MASKED;
use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::types::MailboxId;
use crate::error::{Error, Result};
use crate::intake::{House, addressing, reading};
use crate::journal::{self, NewMail, Recipient, Way};
use crate::mail::address::EmailAddress;
use crate::mail::incoming::{Level, ParsedMail};
use crate::notifications::Letterhead;
use crate::tickets::{attachments, planned, thrown_away};

/// Addresses of a mail that are looked at.
const ADDRESSEES: usize = 50;
/// What servers write of whom they delivered a mail to.
const DELIVERED_TO: [&str; 4] = ["delivered-to", "x-original-to", "envelope-to", "x-envelope-to"];

/// What there is to adopt into a mailbox.
#[derive(Debug, Default)]
pub struct Kept {
    mails: Vec<Mail>,
    /// Mails that name other mailboxes of this desk alone.
    pub of_others: usize,
    /// Mails that name no mailbox of this desk, and are not taken: in blind copy, or no mail to us at all but a file.
    pub unaddressed: usize,
    /// Files that nobody knows and nobody can read.
    pub damaged: usize,
}

#[derive(Debug)]
struct Mail {
    hash: String,
    written_at: Option<UtcTime>,
    /// The address by which it names the mailbox.
    recipient: Option<String>,
}

/// A stored file that is a mail.
struct Found {
    mail: Mail,
    likeness: [u8; 32],
    /// Some mailbox has it.
    is_somewhere: bool,
    mailboxes: Vec<(MailboxId, String)>,
}

impl Kept {
    /// Looks at every stored file that the database does not know. Nothing is changed.
    pub fn find(app: &App, mailbox: &str, takes_unaddressed: bool) -> anyhow::Result<Kept> {
        let mailbox = mailbox_named(app, mailbox)?;
        let letterhead = House::new(&app.keys, &app.config, &app.senders).letterhead;
        let known = app.database.read_now(|db| known_hashes(db, mailbox.id))?;
        let mut kept = Kept::default();
        let mut found = Vec::new();
        let mut attached = self::attached(app)?;
        for hash in app.storage.hashes()?.into_iter().filter(|hash| !known.contains(hash)) {
            let raw = match app.storage.get(&hash) {
                Ok(raw) => raw,
                Err(Error::FileDamaged(_)) => {
                    kept.damaged += 1;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let mail = reading::as_kept(&raw, app.config.limits.mail_bytes);
            if !is_mail(&mail) {
                continue;
            }
            attached.extend(likenesses(&mail));
            let sha256 = Sha256::digest(&raw);
            let one = app.database.read_now(|db| {
                // It waits still, as what came just before the backup was made.
                if journal::knows(db, mailbox.id, &sha256)? {
                    return Ok(None);
                }
                Ok(Some((mailboxes_of(db, &letterhead, &mail)?, journal::keeps_original(db, &hash)?)))
            })?;
            if let Some((mailboxes, is_somewhere)) = one {
                let mail = Mail { hash, written_at: mail.date, recipient: None };
                found.push(Found { mail, likeness: likeness(&raw), is_somewhere, mailboxes });
            }
        }
        // A mail that came as a file of another one was for who got that.
        found.retain(|found| !attached.contains(&found.likeness));
        for Found { mail, mailboxes, is_somewhere, .. } in found {
            match mailboxes.iter().find(|(id, _)| *id == mailbox.id) {
                Some((_, recipient)) => kept.mails.push(Mail { recipient: Some(recipient.clone()), ..mail }),
                None if is_somewhere => {}
                None if !mailboxes.is_empty() => kept.of_others += 1,
                None if takes_unaddressed => kept.mails.push(mail),
                None => kept.unaddressed += 1,
            }
        }
        // Answers after what they answer.
        kept.mails.sort_by(|one, other| (one.written_at, &one.hash).cmp(&(other.written_at, &other.hash)));
        Ok(kept)
    }

    /// How many mails there are to adopt.
    pub fn mails(&self) -> usize {
        self.mails.len()
    }

    /// When the first and the last of them were written, as they say.
    pub fn written(&self) -> Option<(UtcTime, UtcTime)> {
        let mut dates = self.mails.iter().filter_map(|mail| mail.written_at);
        let first = dates.next()?;
        Some((first, dates.next_back().unwrap_or(first)))
    }
}

/// Brings the mails into the mailbox, telling after each batch how far it is. Doing it twice takes none twice.
pub fn adopt(app: &App, mailbox: &str, kept: &Kept, mut tell: impl FnMut(Progress)) -> anyhow::Result<Progress> {
    let mailbox = mailbox_named(app, mailbox)?;
    let mails = kept.mails.iter().map(|mail| {
        let address = mail.recipient.clone().unwrap_or_else(|| mailbox.canonical.clone());
        let recipient = Recipient { mailbox: mailbox.id, address };
        let raw = app.storage.get(&mail.hash)?;
        Ok(NewMail::new(vec![recipient], String::new(), Way::Pipe, raw).adopted())
    });
    bring(app, &mailbox, kept.mails.len(), mails, &mut tell)
}

/// Whatever the database names, and what somebody threw away before the backup was made.
fn known_hashes(db: &mut DbConnection, mailbox: MailboxId) -> Result<HashSet<String>> {
    let mut known: HashSet<String> = attachments::content_hashes(db)?.into_iter().collect();
    known.extend(planned::content_hashes(db)?);
    known.extend(thrown_away::waiting(db)?);
    known.extend(journal::original_hashes_known_in(db, mailbox)?);
    Ok(known)
}

/// The files of mails that are no message's: of what is held, or was rejected or heard in silence. Of what was adopted before
/// they are a message's, but where numbers were masked in them, their names are not those that the database knows.
fn attached(app: &App) -> anyhow::Result<HashSet<[u8; 32]>> {
    let mut attached = HashSet::new();
    for hash in app.database.read_now(journal::original_hashes_of_unsaid)? {
        match app.storage.get(&hash) {
            Ok(raw) => attached.extend(likenesses(&reading::as_kept(&raw, app.config.limits.mail_bytes))),
            Err(Error::FileDamaged(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(attached)
}

fn likenesses(mail: &ParsedMail) -> impl Iterator<Item = [u8; 32]> {
    mail.attachments.iter().map(|file| likeness(&file.bytes))
}

/// By which a file is known in a mail that it came with. A card number is masked by other signs in a mail than in its file.
fn likeness(bytes: &[u8]) -> [u8; 32] {
    match std::str::from_utf8(bytes) {
        Ok(text) if text.contains(MASKED) => Sha256::digest(text.replace(MASKED, "*")).into(),
        _ => Sha256::digest(bytes).into(),
    }
}

/// Whether the file can be the original of a mail: it begins as a mail does that came from somewhere.
fn is_mail(mail: &ParsedMail) -> bool {
    let has = |name: &str| mail.headers.iter().any(|(found, _)| found == name);
    mail.level != Level::Stub && has("from") && (has("received") || has("date") || mail.message_id.is_some())
}

/// The mailboxes that the mail names, each with the address by which it does; one of a conversation before the plain one.
fn mailboxes_of(db: &mut DbConnection, letterhead: &Letterhead, mail: &ParsedMail) -> Result<Vec<(MailboxId, String)>> {
    let delivered = mail.headers.iter().filter(|(name, _)| DELIVERED_TO.contains(&name.as_str()));
    let delivered = delivered.filter_map(|(_, value)| EmailAddress::parse(value.trim().trim_matches(['<', '>'])));
    let named = mail.to.iter().chain(&mail.cc).filter_map(|to| to.identity.clone());
    let addresses: Vec<EmailAddress> = delivered.chain(named).take(ADDRESSEES).collect();
    let (signed, plain): (Vec<_>, Vec<_>) =
        addresses.iter().partition(|address| addressing::is_at_reply_domain(letterhead, address));
    let mut mailboxes: Vec<(MailboxId, String)> = Vec::new();
    for address in signed.into_iter().chain(plain) {
        if let Some(mailbox) = addressing::mailbox_for(db, letterhead, address.as_str())?
            && mailboxes.iter().all(|(known, _)| *known != mailbox)
        {
            mailboxes.push((mailbox, address.as_str().to_owned()));
        }
    }
    Ok(mailboxes)
}
