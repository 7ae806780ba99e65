//! Mail as a matter of bytes and rules: reading what came in, deciding where it belongs, writing what goes out. Nothing
//! here knows the database; what a decision means for a ticket stands in `intake`.

pub mod address;
pub mod authentication;
pub mod automatic;
pub mod client;
pub mod complaint;
pub mod decoding;
pub mod delivery_report;
pub mod dkim;
pub mod incoming;
pub mod invitation;
pub mod limits;
pub mod mac;
pub mod mbox;
pub mod message_id;
pub mod organisation;
pub mod outgoing;
pub mod public_providers;
pub mod reply_address;
pub mod reply_text;
pub mod sender_check;
pub mod setup_check;
pub mod structure;
pub mod test_mark;
pub mod thread_index;
pub mod threading;
pub mod transport;
pub mod unsubscribe_token;
