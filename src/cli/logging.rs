//! What the program says of itself on standard error, as text or JSON, without personal data.

use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

use crate::config::LogConfig;

/// Sets up the console log, once per process.
pub fn start(config: &LogConfig) {
    let level = LevelFilter::from_level(config.level);
    let console = if config.json {
        fmt::layer().json().with_writer(std::io::stderr).with_filter(level).boxed()
    } else {
        use std::io::IsTerminal;
        let ansi = std::io::stderr().is_terminal();
        fmt::layer().with_ansi(ansi).with_writer(std::io::stderr).with_filter(level).boxed()
    };
    // Fails only when it was set up before, which is as good.
    drop(tracing_subscriber::registry().with(console).try_init());
}
