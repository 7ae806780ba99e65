//! HTTP: pages for people, an API for programs. Handlers turn a request into one call of a capability inside one read
//! or write, and its outcome into a page; they decide nothing about tickets themselves.

pub mod admin;
pub mod agent;
pub mod api;
pub mod asset_route;
pub mod assets;
pub mod attachment_download;
pub mod consents;
pub mod conversation;
pub mod csrf;
pub mod error_page;
pub mod forms;
pub mod guard;
pub mod hashing;
pub mod health;
pub mod home;
pub mod kept_files;
pub mod lookups;
pub mod message_frame;
pub mod metrics;
pub mod navigation;
pub mod next;
pub mod organisation;
pub mod page;
pub mod page_error;
pub mod portal;
pub mod request;
pub mod request_log;
pub mod respond;
pub mod router;
pub mod server;
pub mod serving;
pub mod setup;
mod shell;
pub mod signed_in;
pub mod slow_body;
pub mod undertaking;
