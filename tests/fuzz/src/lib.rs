//! Fuzz targets for what foreign bytes reach (M-01), and the parts of the program that they call: the same files, by links,
//! so that a few thousand lines are compiled with instrumentation instead of everything. What has these ranks names no
//! higher one (`src/lib.rs`), so they stand alone. How it is run stands in `.ci/run`.
#![allow(dead_code, reason = "the program uses the rest")]

pub mod cards;
pub mod carry;
pub mod clock;
pub mod config;
pub mod error;
pub mod gate;
pub mod html;
pub mod i18n;
pub mod mail;
pub mod secret;
pub mod stumbling;

#[path = "../../../src/worker/lmtp/data.rs"]
pub mod lmtp_data;

pub mod targets;
