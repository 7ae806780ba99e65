//! Handing a finished mail over: to the relay by SMTP, into files while developing, into memory in tests. It blocks; the
//! outbox decides when to try again, by the kind of [`SendFailure`]. No mail is ever handed to a program, so an address
//! never reaches a command line (ADV-14).

mod files;
mod memory;
mod smtp;

pub use files::MailFolder;
pub use memory::{MailMemory, SentMail};
pub use smtp::SmtpRelay;

use crate::config::mail::Outgoing;
use crate::error::Result;

/// The longest answer of a server that is kept.
const ANSWER_CHARACTERS: usize = 300;

/// Where mail goes.
#[derive(Clone)]
pub enum Transport {
    Smtp(SmtpRelay),
    Files(MailFolder),
    Memory(MailMemory),
}

/// Why a mail was not taken (O-04).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SendFailure {
    pub kind: FailureKind,
    /// The answer's code, if there was an answer.
    pub code: Option<u16>,
    /// For administrators; it may name the recipient, so it is not for the log.
    pub text: String,
}

/// Whose fault it is, and so what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// No mail gets through now: refused, timed out, no TLS, wrong password. It is not this mail's attempt that failed.
    Relay,
    /// This mail, for now.
    Transient,
    /// This mail, for good.
    Permanent,
}

impl Transport {
    /// The transport that the configuration names. Nothing is connected yet.
    pub fn new(outgoing: &Outgoing) -> Result<Transport> {
        match outgoing {
            Outgoing::Smtp(relay) => Ok(Transport::Smtp(SmtpRelay::new(relay)?)),
            Outgoing::Files(folder) => Ok(Transport::Files(MailFolder::new(folder))),
        }
    }

    /// Hands over `bytes`, which are sent as they are. An empty `envelope_from` is the null sender.
    pub fn send(&self, envelope_from: &str, recipient: &str, bytes: &[u8]) -> Result<(), SendFailure> {
        match self {
            Transport::Smtp(relay) => relay.send(envelope_from, recipient, bytes),
            Transport::Files(folder) => folder.send(bytes),
            Transport::Memory(memory) => memory.send(envelope_from, recipient, bytes),
        }
    }

    /// Whether the relay answers and lets us in, or the folder can be written, for `accord check`.
    pub fn check(&self) -> Result<(), SendFailure> {
        match self {
            Transport::Smtp(relay) => relay.check(),
            Transport::Files(folder) => folder.check(),
            Transport::Memory(_) => Ok(()),
        }
    }
}

fn relay_failure(text: &str) -> SendFailure {
    SendFailure { kind: FailureKind::Relay, code: None, text: printable(text) }
}

/// A server's words, fit to be stored and shown.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(ANSWER_CHARACTERS).collect()
}
