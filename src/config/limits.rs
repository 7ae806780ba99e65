//! `[limits]`
//!
//! | key | meaning | default |
//! |---|---|---|
//! | `mail_bytes` | largest mail accepted (L-01), at most 50 MiB | 25 MiB |
//! | `upload_bytes` | largest sum of files in one form | 20 MiB |
//! | `sign_in_attempts_per_hour` | wrong passwords from one address before it waits (U-06) | 100 |

use super::Reader;

const MIB: u64 = 1024 * 1024;

/// How much is taken at once.
#[derive(Clone, Debug)]
pub struct LimitsConfig {
    pub mail_bytes: usize,
    pub upload_bytes: usize,
    pub sign_in_attempts_per_hour: u32,
}

impl LimitsConfig {
    pub(super) fn read(reader: &mut Reader) -> LimitsConfig {
        LimitsConfig {
            mail_bytes: reader.number("limits.mail_bytes", 64 * 1024, 50 * MIB, 25 * MIB) as usize,
            upload_bytes: reader.number("limits.upload_bytes", 64 * 1024, 200 * MIB, 20 * MIB) as usize,
            sign_in_attempts_per_hour: reader.number("limits.sign_in_attempts_per_hour", 5, 100_000, 100) as u32,
        }
    }
}
