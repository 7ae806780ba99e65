//! Looking inside the program for a customer who agreed to it: what can be recorded, the capturing itself, and the bytes
//! of what was captured. Who agreed to what is consent's; this module is told the active grants.

pub mod buffers;
pub mod capture;
pub mod catalogue;
pub mod record;
pub mod scope;
