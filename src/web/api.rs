//! The interface for programs.

pub mod inbound;
