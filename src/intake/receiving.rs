//! How much memory mails may take together while they come in, by LMTP and by HTTP: counted as their bytes arrive, so that
//! who announces much and sends little keeps nobody out. When there is no room, who hands a mail over keeps it and tries again.

use tokio::sync::{Semaphore, SemaphorePermit};

/// How much of a mail is counted at once.
const GRAIN: usize = 64 * 1024;
/// What all mails being received may hold together, at least.
const MEMORY: usize = 64 * 1024 * 1024;

/// The memory there is.
pub struct Receiving {
    mails: Semaphore,
    unproven: Semaphore,
}

/// What one mail holds of it. It is given back when dropped.
pub struct Held<'a> {
    of: &'a Semaphore,
    permit: Option<SemaphorePermit<'a>>,
}

impl Receiving {
    /// For mails of at most `mail_bytes`, of which two fit at any time.
    pub fn new(mail_bytes: usize) -> Receiving {
        Receiving {
            mails: Semaphore::new(MEMORY.max(mail_bytes * 2).div_ceil(GRAIN)),
            unproven: Semaphore::new(mail_bytes.div_ceil(GRAIN)),
        }
    }

    /// For a mail of somebody who may hand mail over.
    pub fn begin(&self) -> Held<'_> {
        Held { of: &self.mails, permit: None }
    }

    /// For a mail whose signature shows only at its end who handed it over. All of these have as much as one large mail takes,
    /// so that strangers keep out nobody but each other.
    pub fn begin_unproven(&self) -> Held<'_> {
        Held { of: &self.unproven, permit: None }
    }
}

impl Held<'_> {
    /// Counts that the mail holds so many bytes by now; `false` where there is no room for them.
    pub fn grow_to(&mut self, bytes: usize) -> bool {
        let counted = self.permit.as_ref().map_or(0, SemaphorePermit::num_permits);
        let more = bytes.div_ceil(GRAIN).saturating_sub(counted);
        if more == 0 {
            return true;
        }
        let Ok(permit) = self.of.try_acquire_many(u32::try_from(more).unwrap_or(u32::MAX)) else { return false };
        match &mut self.permit {
            Some(held) => held.merge(permit),
            held => *held = Some(permit),
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s_05_mails_coming_in_share_their_memory_and_strangers_have_less_of_it() {
        let receiving = Receiving::new(25 << 20);
        let (mut first, mut second) = (receiving.begin(), receiving.begin());
        assert!(first.grow_to(1) && first.grow_to(40 << 20) && second.grow_to(24 << 20));
        assert!(!second.grow_to((24 << 20) + 1));
        drop(first);
        assert!(second.grow_to(25 << 20));
        let (mut stranger, mut other) = (receiving.begin_unproven(), receiving.begin_unproven());
        assert!(stranger.grow_to(25 << 20) && !other.grow_to(1));
        assert!(receiving.begin().grow_to(25 << 20), "whoever may hand mail over is not kept out by them");
        drop(stranger);
        assert!(other.grow_to(1));
    }
}
