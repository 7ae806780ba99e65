//! What the program says of itself on standard error, as text or JSON, without personal data. The layer that captures for
//! those who agreed stands beside it, and nothing it opens is said here.

use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

use crate::clock::Clock;
use crate::config::LogConfig;
use crate::diagnostics::capture::Capture;
use crate::diagnostics::catalogue::Catalogue;

/// Sets up the console log, once per process.
pub fn start(config: &LogConfig) {
    let level = LevelFilter::from_level(config.level);
    // A log without room is a line less. Told of on standard error, which is the log, it would be a panic (FT-04).
    let console = if config.json {
        fmt::layer().log_internal_errors(false).json().with_writer(std::io::stderr).with_filter(level).boxed()
    } else {
        use std::io::IsTerminal;
        let ansi = std::io::stderr().is_terminal();
        fmt::layer().log_internal_errors(false).with_ansi(ansi).with_writer(std::io::stderr).with_filter(level).boxed()
    };
    let capture = Capture::start(Catalogue::own(), level, Clock::system());
    // Fails only when it was set up before, which is as good. Added last, the capture is asked first.
    drop(tracing_subscriber::registry().with(console).with(capture.layer()).try_init());
}
