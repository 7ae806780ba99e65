//! The relays of single mailboxes, each with what this process remembers of it: one that is down is left alone, and the mails
//! of the others go on (O-04).

use super::courier::Courier;
use crate::config::mail::Outgoing;
use crate::config::relays::{self, MailRelay};
use crate::error::Result;
use crate::mail::transport::Transport;

/// One relay.
pub struct Relay {
    pub transport: Transport,
    pub courier: Courier,
}

/// All of them, in the order of the settings.
#[derive(Default)]
pub struct Relays {
    described: Vec<MailRelay>,
    relays: Vec<Relay>,
}

impl Relays {
    /// Those of the settings. Nothing is connected yet.
    pub fn new(described: &[MailRelay]) -> Result<Relays> {
        let open = |relay: &MailRelay| {
            let transport = Transport::new(&Outgoing::Smtp(relay.smtp.clone()))?;
            Ok(Relay { transport, courier: Courier::default() })
        };
        let relays = described.iter().map(open).collect::<Result<_>>()?;
        Ok(Relays { described: described.to_vec(), relays })
    }

    pub fn is_empty(&self) -> bool {
        self.relays.is_empty()
    }

    /// Which of them carries the mail of the mailbox with this canonical address; none where the installation's does.
    pub fn index_of(&self, mailbox: &str) -> Option<usize> {
        relays::relay_of(&self.described, mailbox)
    }

    /// Each, with its place.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &Relay)> {
        self.relays.iter().enumerate()
    }
}
