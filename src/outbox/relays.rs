//! The relays of single mailboxes, each with what this process remembers of it: one that is down is left alone, and the mails
//! of the others go on (O-04).

use super::courier::{CONNECTIONS, Courier};
use super::crew::Crew;
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
pub struct Relays {
    described: Vec<MailRelay>,
    relays: Vec<Relay>,
    crew: Crew,
}

/// Threads that send mail in one process where it all goes by the installation's relay.
pub const THREADS: usize = 3;
/// The most there are however many relays there are, save that each has one and a few more.
const MOST_THREADS: usize = 16;

impl Default for Relays {
    fn default() -> Relays {
        Relays { described: Vec::new(), relays: Vec::new(), crew: Crew::new(THREADS, 1) }
    }
}

impl Relays {
    /// Those of the settings. Nothing is connected yet.
    pub fn new(described: &[MailRelay]) -> Result<Relays> {
        let open = |relay: &MailRelay| {
            let transport = Transport::new(&Outgoing::Smtp(relay.smtp.clone()))?;
            Ok(Relay { transport, courier: Courier::default() })
        };
        let relays: Vec<Relay> = described.iter().map(open).collect::<Result<_>>()?;
        let crew = Crew::new(threads(relays.len()), 1 + relays.len());
        Ok(Relays { described: described.to_vec(), relays, crew })
    }

    /// The threads that send mail, by all of them and by the installation's.
    pub fn crew(&self) -> &Crew {
        &self.crew
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

/// How many threads send mail beside so many relays. Each may wait two minutes for a relay that hangs, so that there are more
/// than one relay may have connections (FT-08); who shares them how is the [`Crew`]'s.
fn threads(relays: usize) -> usize {
    (THREADS + CONNECTIONS * relays).min(MOST_THREADS.max(THREADS + relays))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ft_08_threads_grow_with_the_relays_to_a_limit_and_there_is_always_one_for_each() {
        let counts: Vec<_> = [0, 1, 2, 3, 13, 40].into_iter().map(threads).collect();
        assert_eq!(counts, [3, 8, 13, 16, 16, 43]);
    }
}
