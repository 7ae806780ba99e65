//! Mail comes, becomes a ticket, is answered, and what is false or mechanical about it leads nowhere.

mod advisories;
mod answering;
mod bounces;
mod closed_tickets;
pub mod corpus;
mod digests;
mod fetched;
mod fetched_tidied;
mod filing;
mod foreign;
mod hostile_imap;
mod http;
mod hurting;
mod importing;
mod journal;
mod lmtp;
mod loops;
mod outbox;
mod panics;
mod reading;
mod restoring;
mod senders;
mod shapes;
mod signing;
mod storms;
mod threading;
mod waiting;
