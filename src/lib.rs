//! Accord: a support desk in one program.

pub mod clock;
pub mod config;
pub mod db;
pub mod error;
pub mod html;
pub mod i18n;
pub mod mail;
pub mod secret;
