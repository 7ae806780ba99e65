//! Looking inside the program for a customer who agreed to it: what can be recorded, the capturing itself, and what
//! told the active grants.

pub mod buffers;
pub mod capture;
pub mod catalogue;
pub mod record;
pub mod redaction;
pub mod scope;
