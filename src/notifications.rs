//! Who is told what by mail: answers to customers, acknowledgements, news for agents, mails about accounts. Three steps,
//! so that no transaction waits for a disk or a mail writer: drafts are made in a transaction (`recipients`,
//! `acknowledging`, `account`), written outside of any (`delivery`), and put into the outbox in another. Nothing here
//! sends; whether what waited still may go is decided in `reactions`, which knows consents too.

pub mod account;
pub mod acknowledging;
pub mod budget;
pub mod consent;
pub mod delivery;
pub mod digest;
pub mod left_out;
pub mod messages;
pub mod readers;
pub mod recipients;
pub mod ticket_link;

use std::sync::Arc;

use crate::config::Config;
use crate::config::dkim::Selector;
use crate::keys::Keys;
use crate::mail::address::EmailAddress;
use crate::mail::mac::MacKeys;

pub use delivery::{Draft, Finished};

/// What every mail of the installation is written with: the keys it is signed by, where answers go, where links lead.
#[derive(Clone, Debug)]
pub struct Letterhead {
    pub keys: MacKeys,
    /// The keys by which domains stand by their mail (OUT-07).
    pub dkim: Arc<[Selector]>,
    pub reply_domain: String,
    pub base_url: String,
}

impl Letterhead {
    pub fn new(keys: &Keys, config: &Config) -> Letterhead {
        Letterhead {
            keys: keys.for_mail(),
            dkim: config.mail.dkim.clone(),
            reply_domain: config.mail.reply_domain.clone(),
            base_url: config.http.base_url.clone(),
        }
    }

    /// A page of ours, by the configured address and never by one that a request named.
    pub fn link(&self, path: &str) -> String {
        format!("{}{path}", self.base_url.trim_end_matches('/'))
    }

    /// Whether mail to this address comes back to us, or stands for none: nothing may be sent there (LP-08).
    pub fn is_ours(&self, address: &EmailAddress, mailboxes: &[String]) -> bool {
        address.leads_nowhere()
            || address.domain().eq_ignore_ascii_case(&self.reply_domain)
            || mailboxes.iter().any(|mailbox| mailbox == address.canonical())
    }
}
