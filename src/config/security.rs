//! `[security]`
//!
//! | key | meaning | default |
//! |---|---|---|
//! | `keys_file` | the installation's keys, mode 0600; processes that share a database share this file | `keys.json` in the data folder |
//! | `session_idle_hours` | hours without a request after which a session ends | 12 |
//! | `session_days` | days after which a session ends in any case | 7 |

use std::path::{Path, PathBuf};

use super::Reader;

/// Keys and sessions.
#[derive(Clone, Debug)]
pub struct SecurityConfig {
    pub keys_file: PathBuf,
    pub session_idle_hours: i64,
    pub session_days: i64,
}

impl SecurityConfig {
    pub(super) fn read(reader: &mut Reader, data: &Path) -> SecurityConfig {
        SecurityConfig {
            keys_file: reader.text("security.keys_file").map_or_else(|| data.join("keys.json"), PathBuf::from),
            session_idle_hours: reader.number("security.session_idle_hours", 1, 72, 12) as i64,
            session_days: reader.number("security.session_days", 1, 30, 7) as i64,
        }
    }
}
