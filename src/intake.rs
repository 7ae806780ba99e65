//! From what arrives to a ticket. A mail is read outside of any transaction (`reading`), what speaks for its belonging
//! to a ticket is gathered (`evidence`), the decision table of `mail::threading` decides, and one transaction carries it
//! out and records the outcome in the journal (`from_email`); too much mail waits before it comes in (`ingress`, `receiving`)
//! or ends in `floods`, and machines that pass for people are not answered for ever by `storms`. What the table holds back
//! waits for an agent (`by_hand`). What a mail reports of another is heard in `bounces`; one that a mailbox sent to itself ends in `round_trip`. A request filed on a page comes by `from_form`.

pub mod addressing;
mod bounces;
pub mod by_hand;
mod complaints;
pub mod evidence;
pub mod floods;
pub mod from_email;
pub mod from_form;
pub mod ingress;
pub mod reading;
pub mod reading_room;
pub mod receiving;
pub mod round_trip;
mod storms;
mod unsubscribing;

use std::sync::Arc;

use crate::config::Config;
use crate::config::imap::ImapAccount;
use crate::keys::Keys;
use crate::mail::sender_check::SenderCheck;
use crate::notifications::Letterhead;

pub use reading::Reading;

/// What decides how mail is read, besides the mail.
#[derive(Clone, Debug)]
pub struct House {
    pub letterhead: Letterhead,
    /// Whose authentication results are believed (AU-01).
    pub trusted_authserv_id: Option<String>,
    /// From where mail is fetched, each with whose results are believed there (AU-05).
    pub imap: Arc<[ImapAccount]>,
    /// Who finds it out otherwise (AU-03).
    pub senders: Arc<SenderCheck>,
    /// The largest mail that is read (L-01).
    pub mail_bytes: usize,
}

impl House {
    /// Whether anybody tells of any mail whether its sender's domain stands by it.
    pub fn looks_at_senders(&self) -> bool {
        self.trusted_authserv_id.is_some() || !self.imap.is_empty() || !self.senders.is_off()
    }

    pub fn new(keys: &Keys, config: &Config, senders: &Arc<SenderCheck>) -> House {
        House {
            letterhead: Letterhead::new(keys, config),
            trusted_authserv_id: config.mail.trusted_authserv_id.clone(),
            imap: config.mail.imap.clone(),
            senders: senders.clone(),
            mail_bytes: config.limits.mail_bytes,
        }
    }
}
