//! Tickets: what is asked, said and done in one matter. Each verb checks access, changes rows, records one event with
//! its job, and returns; whom an event concerns is decided above, in `reactions`.
//!
//! Invariants: a ticket's `message_count` is the number of its messages, notes included, and says what an agent has
//! seen; `last_message_at` and everything customers are shown leave notes out; `waiting_since` says since when
//! the ticket stands where it stands, and a customer's second message does not make the first wait anew; an answer that may
//! still be taken back, or goes out later, is no message yet ([`planned`]).

pub mod ticket;

pub mod reference;

pub mod opening;

pub mod following_up;
pub mod importing;
pub mod messages;
pub mod planned;

pub mod attachments;
pub mod connection_context;
pub mod contacts;
pub mod thrown_away;

pub mod assignment;
pub mod moving;
pub mod participants;
pub mod place;
pub mod priority;
pub mod status;
pub mod tags;

pub mod events;

pub mod listing;
pub mod overview;
pub mod related;

pub mod idempotency;
pub mod links;
pub mod mail_ids;

pub use reference::TicketReference;
pub use ticket::Ticket;
