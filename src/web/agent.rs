//! The agent’s desk: the queue, the ticket with everything one does to it, searching, tickets logged by hand.

pub mod answers;
pub mod by_hand;
pub mod captures;
pub mod changes;
pub mod consents;
pub mod handling;
pub mod originals;
pub mod people_in_ticket;
pub mod planned;
pub mod queue;
pub mod search;
pub mod ticket;
pub mod unsaid;
