//! What runs without anybody waiting for it: jobs, outgoing mail, journalled mail, and work that recurs.

pub mod handlers;
pub mod recurring;
pub mod threads;
