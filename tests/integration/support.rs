//! What the stories are told with.

pub mod app;
pub mod browser;
pub mod cast;
pub mod database;
pub mod desk;
pub mod dkim;
pub mod dump;
pub mod files;
pub mod given;
pub mod granted;
pub mod imap;

/// How often a story that is told by its number is tried: as often as its row says where `ACCORD_TEST_FULL` is set, as CI
/// does, and `few` times where somebody waits for it.
pub fn times(few: usize, as_the_row_says: usize) -> usize {
    if std::env::var_os("ACCORD_TEST_FULL").is_some() { as_the_row_says } else { few }
}

/// How many mails come in a story of ten thousand: so many where `ACCORD_TEST_MAILS` says it, as `.ci/run night` does, and
/// `few` in every run of the suite.
pub fn mails(few: usize) -> usize {
    std::env::var("ACCORD_TEST_MAILS").ok().and_then(|count| count.parse().ok()).unwrap_or(few)
}

pub use app::TestApp;
pub use cast::Cast;
