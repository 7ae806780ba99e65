//! Looking inside the program for a customer who agreed to it: what can be recorded, the capturing itself, what products
//! send, and what becomes of the bytes, which are redacted, sealed, stored, read on record and destroyed. Who agreed to
//! what is consent's; this module is told the active grants.

pub mod assembling;
pub mod buffers;
pub mod capture;
pub mod catalogue;
pub mod export;
pub mod flame;
pub mod otlp;
pub mod reading_record;
pub mod record;
pub mod redaction;
pub mod sampling;
pub mod scope;
pub mod scrubbing;
pub mod sealing;
pub mod seats;
pub mod self_time;
pub mod stored;
pub mod trace_store;
pub mod viewing;
pub mod waterfall;
pub mod words;

#[cfg(test)]
mod samples;
