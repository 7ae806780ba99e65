//! Memory instead of a relay, so that tests read what was sent and let attempts fail.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::SendFailure;
use crate::error::Result;

/// What was sent, for tests to look at, and failures for them to order. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct MailMemory {
    state: Arc<Mutex<MemoryState>>,
}

#[derive(Debug, Default)]
struct MemoryState {
    sent: Vec<SentMail>,
    attempts: usize,
    failures: VecDeque<SendFailure>,
    outage: Option<SendFailure>,
    poison: Option<String>,
}

/// One mail as it was handed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentMail {
    pub envelope_from: String,
    pub recipient: String,
    pub bytes: Vec<u8>,
}

impl MailMemory {
    /// All mails sent so far, oldest first.
    pub fn sent(&self) -> Vec<SentMail> {
        self.state().sent.clone()
    }

    /// All mails sent so far, which are then forgotten.
    pub fn take(&self) -> Vec<SentMail> {
        std::mem::take(&mut self.state().sent)
    }

    /// How often anything was handed over so far, whatever came of it.
    pub fn attempts(&self) -> usize {
        self.state().attempts
    }

    /// Lets the next attempt that has no failure yet fail in this way.
    pub fn fail_next(&self, failure: SendFailure) {
        self.state().failures.push_back(failure);
    }

    /// Lets every attempt fail in this way, until told otherwise with nothing.
    pub fn fail_always(&self, failure: Option<SendFailure>) {
        self.state().outage = failure;
    }

    /// Panics over every mail to this recipient, until told otherwise with nothing.
    pub fn panic_over(&self, recipient: Option<&str>) {
        self.state().poison = recipient.map(str::to_owned);
    }

    pub(super) fn send(&self, envelope_from: &str, recipient: &str, bytes: &[u8]) -> Result<(), SendFailure> {
        let mut state = self.state();
        state.attempts += 1;
        assert!(state.poison.as_deref() != Some(recipient), "a test wants sending to panic");
        if let Some(failure) = state.failures.pop_front().or_else(|| state.outage.clone()) {
            return Err(failure);
        }
        state.sent.push(SentMail {
            envelope_from: envelope_from.to_owned(),
            recipient: recipient.to_owned(),
            bytes: bytes.to_vec(),
        });
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, MemoryState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::transport::{Transport, relay_failure};

    const MAIL: &[u8] = b"From: a@b.example\r\nTo: c@d.example\r\n\r\nwords\r\n";

    #[test]
    fn memory_keeps_what_was_sent_and_fails_on_demand() {
        let memory = MailMemory::default();
        let transport = Transport::Memory(memory.clone());
        memory.fail_next(relay_failure("down"));
        assert_eq!(transport.send("", "anne@acme.example", MAIL), Err(relay_failure("down")));
        transport.send("", "anne@acme.example", MAIL).unwrap();
        let expected =
            SentMail { envelope_from: String::new(), recipient: "anne@acme.example".to_owned(), bytes: MAIL.to_vec() };
        assert_eq!(memory.take(), [expected]);
        assert!(memory.sent().is_empty());
    }
}
