//! How much memory mails may take together while they come in, by LMTP and by HTTP: counted as their bytes arrive, so that
//! who announces much and sends little keeps nobody out. When there is no room, who hands a mail over keeps it and tries again.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::throttle;

/// How much of a mail is counted at once.
const GRAIN: usize = 64 * 1024;
/// The same for those of strangers, of whom there may be many who send a byte each.
const SMALL_GRAIN: usize = 4 * 1024;
/// What all mails being received may hold together, at least.
const MEMORY: usize = 64 * 1024 * 1024;

/// The memory there is.
pub struct Receiving {
    mails: Semaphore,
    strangers: Mutex<Strangers>,
}

/// What strangers hold of theirs, in bytes.
struct Strangers {
    free: usize,
    /// By whom it is held.
    held: HashMap<String, usize>,
}

impl Strangers {
    /// Nobody gets more than is left for others then: whoever begins finds room while one holds as much as they can.
    fn take(&mut self, who: &str, more: usize) -> bool {
        let theirs = self.held.get(who).copied().unwrap_or_default() + more;
        let Some(left) = self.free.checked_sub(more).filter(|left| theirs <= *left) else { return false };
        self.free = left;
        self.held.insert(who.to_owned(), theirs);
        true
    }

    fn give_back(&mut self, who: &str, bytes: usize) {
        self.free += bytes;
        if let Some(theirs) = self.held.get_mut(who) {
            *theirs = theirs.saturating_sub(bytes);
            if *theirs == 0 {
                self.held.remove(who);
            }
        }
    }
}

/// What one mail holds of it. It is given back when dropped.
pub struct Held<'a>(Of<'a>);

enum Of<'a> {
    Mails(&'a Semaphore, Option<SemaphorePermit<'a>>),
    Strangers { of: &'a Receiving, who: String, bytes: usize },
}

impl Receiving {
    /// For mails of at most `mail_bytes`, of which two fit at any time.
    pub fn new(mail_bytes: usize) -> Receiving {
        let strangers = Strangers { free: mail_bytes.next_multiple_of(SMALL_GRAIN) * 2, held: HashMap::new() };
        Receiving {
            mails: Semaphore::new(MEMORY.max(mail_bytes * 2).div_ceil(GRAIN)),
            strangers: Mutex::new(strangers),
        }
    }

    /// For a mail of somebody who may hand mail over.
    pub fn begin(&self) -> Held<'_> {
        Held(Of::Mails(&self.mails, None))
    }

    /// For a mail whose signature shows only at its end who handed it over; `ip_address` is where it comes from. All of these
    /// have as much as two large mails take, so that strangers keep out nobody but each other, and of that nobody has more than
    /// is free for the others.
    pub fn begin_unproven(&self, ip_address: &str) -> Held<'_> {
        Held(Of::Strangers { of: self, who: throttle::neighbourhood(ip_address), bytes: 0 })
    }

    fn strangers(&self) -> MutexGuard<'_, Strangers> {
        self.strangers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held<'_> {
    /// Counts that the mail holds so many bytes by now; `false` where there is no room for them.
    pub fn grow_to(&mut self, bytes: usize) -> bool {
        match &mut self.0 {
            Of::Mails(of, permit) => {
                let counted = permit.as_ref().map_or(0, SemaphorePermit::num_permits);
                let more = bytes.div_ceil(GRAIN).saturating_sub(counted);
                if more == 0 {
                    return true;
                }
                let Ok(added) = of.try_acquire_many(u32::try_from(more).unwrap_or(u32::MAX)) else { return false };
                match permit {
                    Some(held) => held.merge(added),
                    held => *held = Some(added),
                }
                true
            }
            Of::Strangers { of, who, bytes: counted } => {
                let more = bytes.next_multiple_of(SMALL_GRAIN).saturating_sub(*counted);
                let has_room = more == 0 || of.strangers().take(who, more);
                if has_room {
                    *counted += more;
                }
                has_room
            }
        }
    }

    /// The mail holds nothing any more: it will not be taken, though more of it may come.
    pub fn let_go(&mut self) {
        match &mut self.0 {
            Of::Mails(_, permit) => drop(permit.take()),
            Of::Strangers { of, who, bytes } => of.strangers().give_back(who, std::mem::take(bytes)),
        }
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.let_go();
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
        let mut stranger = receiving.begin_unproven("192.0.2.1");
        assert!(stranger.grow_to(25 << 20));
        assert!(!receiving.begin_unproven("192.0.2.1").grow_to(1));
        assert!(receiving.begin().grow_to(25 << 20), "whoever may hand mail over is not kept out by them");
        drop(stranger);
        assert!(receiving.begin_unproven("192.0.2.1").grow_to(1));
    }

    #[test]
    fn s_05_ft_14_a_stranger_keeps_no_other_out_however_many_mails_they_begin() {
        let receiving = Receiving::new(25 << 20);
        let slow = |count: usize, from: &str, bytes| -> Vec<Held<'_>> {
            let begun = (0..count).map(|_| receiving.begin_unproven(from));
            begun.filter_map(|mut held| held.grow_to(bytes).then_some(held)).collect()
        };
        let bytes = slow(1_000, "192.0.2.1", 1);
        assert_eq!(bytes.len(), 1_000, "who sends a byte holds no more for it than that may be");
        assert!(receiving.begin_unproven("192.0.2.2").grow_to(20 << 20));
        let mut held = slow(100, "2001:db8::1", 1 << 20);
        held.extend(slow(100, "2001:db8::2", 1 << 20));
        assert!(held.len() <= 25, "those of one household count together");
        assert!(receiving.begin_unproven("192.0.2.2").grow_to(10 << 20));
        for number in 0..5 {
            held.extend(slow(100, &format!("198.51.100.{number}"), 100 << 10));
        }
        assert!(receiving.begin_unproven("192.0.2.2").grow_to(200 << 10));
        drop((held, bytes));
        let strangers = receiving.strangers();
        assert_eq!((strangers.free, strangers.held.len()), (50 << 20, 0));
    }

    #[test]
    fn a_mail_that_will_not_be_taken_holds_nothing() {
        let receiving = Receiving::new(25 << 20);
        let mut refused = receiving.begin();
        assert!(refused.grow_to(64 << 20) && !receiving.begin().grow_to(1));
        refused.let_go();
        assert!(receiving.begin().grow_to(64 << 20));
        assert!(refused.grow_to(1));
    }
}
