//! `[desk]`
//!
//! | key | meaning | default |
//! |---|---|---|
//! | `undo_seconds` | for how long agents may take back an answer they sent on a page; 0 sends it at once | 15 |

use super::Reader;

/// How agents work.
#[derive(Clone, Debug)]
pub struct DeskConfig {
    pub undo_seconds: u32,
}

impl DeskConfig {
    pub(super) fn read(reader: &mut Reader) -> DeskConfig {
        DeskConfig { undo_seconds: reader.number("desk.undo_seconds", 0, 120, 15) as u32 }
    }
}
