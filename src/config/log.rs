//! `[log]`
//!
//! | key | meaning | default |
//! |---|---|---|
//! | `format` | `text` or `json`, on standard error | `text` |
//! | `level` | `error`, `warn`, `info` or `debug` | `info`; `warn` in the demo, whose first mails are hundreds of lines |
//! | `access_folder` | where the access log (combined format) is kept, a file a day | `access-log` in the data folder |
//! | `access_days` | days before an access log is removed, 4 to 10 | 10 |

use std::path::{Path, PathBuf};

use super::{Overrides, Reader};

/// What Accord says of itself, and where.
#[derive(Clone, Debug)]
pub struct LogConfig {
    pub json: bool,
    pub level: tracing::Level,
    pub access_folder: PathBuf,
    pub access_days: u32,
}

impl LogConfig {
    pub(super) fn read(reader: &mut Reader, data: &Path, overrides: &Overrides) -> LogConfig {
        LogConfig {
            json: reader.choice("log.format", &[("text", false), ("json", true)], false),
            level: reader.choice(
                "log.level",
                &[
                    ("error", tracing::Level::ERROR),
                    ("warn", tracing::Level::WARN),
                    ("info", tracing::Level::INFO),
                    ("debug", tracing::Level::DEBUG),
                ],
                if overrides.demo { tracing::Level::WARN } else { tracing::Level::INFO },
            ),
            access_folder: reader.text("log.access_folder").map_or_else(|| data.join("access-log"), PathBuf::from),
            access_days: reader.number("log.access_days", 4, 10, 10) as u32,
        }
    }
}
