//! `[diagnostics]`
//!
//! | key | meaning | default |
//! |---|---|---|
//! | `user_attributes` | attributes by which your products say whose use a span is about; the first that is there counts | `user.id`, `user.hash`, `enduser.id` |

use super::Reader;

/// What products call things.
#[derive(Clone, Debug)]
pub struct DiagnosticsConfig {
    pub user_attributes: Vec<String>,
}

impl DiagnosticsConfig {
    pub(super) fn read(reader: &mut Reader) -> DiagnosticsConfig {
        let mut user_attributes = reader.list("diagnostics.user_attributes");
        if user_attributes.is_empty() {
            // OpenTelemetry's two, and their predecessor.
            user_attributes = ["user.id", "user.hash", "enduser.id"].map(str::to_owned).to_vec();
        }
        DiagnosticsConfig { user_attributes }
    }
}
