//! Who works on what: queues, where tickets of a kind land, the staff who work in them, and mailboxes, the addresses at
//! which mail for a queue arrives.

pub mod defaults;
pub mod mailboxes;
pub mod members;
pub mod queues;

pub use mailboxes::Mailbox;
pub use queues::Queue;
