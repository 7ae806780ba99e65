//! Accord: a support desk in one program.

pub mod clock;
pub mod error;
pub mod i18n;
pub mod secret;
