//! `[limits]`
//!
//! | key | meaning | default |
//! |---|---|---|
//! | `mail_bytes` | largest mail accepted (L-01), at most 50 MiB | 25 MiB |
//! | `upload_bytes` | largest sum of files in one form | 20 MiB |
//! | `mails_per_sender_hour` | mails from one sender taken over LMTP and HTTP, at once and again over an hour, before it has to wait (S-08); each process counts for itself | 1000 |
//! | `mails_per_domain_hour` | the same from one domain | 5000 |
//! | `mails_per_mailbox_hour` | the same for one mailbox | 50000 |
//! | `sign_in_attempts_per_hour` | wrong passwords from one address before it waits (U-06) | 100 |

use std::num::NonZeroU32;

use super::Reader;

const MIB: u64 = 1024 * 1024;

/// How much is taken at once.
#[derive(Clone, Debug)]
pub struct LimitsConfig {
    pub mail_bytes: usize,
    pub upload_bytes: usize,
    pub sign_in_attempts_per_hour: u32,
    pub mails_per_sender_hour: NonZeroU32,
    pub mails_per_domain_hour: NonZeroU32,
    pub mails_per_mailbox_hour: NonZeroU32,
}

impl LimitsConfig {
    pub(super) fn read(reader: &mut Reader) -> LimitsConfig {
        LimitsConfig {
            mail_bytes: reader.number("limits.mail_bytes", 64 * 1024, 50 * MIB, 25 * MIB) as usize,
            upload_bytes: reader.number("limits.upload_bytes", 64 * 1024, 200 * MIB, 20 * MIB) as usize,
            sign_in_attempts_per_hour: reader.number("limits.sign_in_attempts_per_hour", 5, 100_000, 100) as u32,
            mails_per_sender_hour: mails(reader, "limits.mails_per_sender_hour", 1_000),
            mails_per_domain_hour: mails(reader, "limits.mails_per_domain_hour", 5_000),
            mails_per_mailbox_hour: mails(reader, "limits.mails_per_mailbox_hour", 50_000),
        }
    }
}

fn mails(reader: &mut Reader, key: &str, default: u64) -> NonZeroU32 {
    NonZeroU32::new(reader.number(key, 10, 10_000_000, default) as u32).unwrap_or(NonZeroU32::MAX)
}
