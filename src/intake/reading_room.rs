//! How much memory the mails that are being read may take together (L-13), and whose turn it is to take mails where they go
//! together. Reading cannot be stopped half-way, so a mail begins only when there is room for it.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, TryLockError};

use crate::mail::limits::{MEMORY_BYTES, RAW_BYTES_MAX};

/// What reading a mail takes, as a multiple of its size: the bytes themselves, a copy with other line ends, the decoded
/// text, the files, and the text without card numbers. The largest mail still fits, alone.
const PER_RAW_BYTE: usize = 5;
const _: () = assert!(RAW_BYTES_MAX * PER_RAW_BYTE <= MEMORY_BYTES);

/// The memory there is, shared by weight.
pub struct ReadingRoom {
    free: Mutex<usize>,
    given_back: Condvar,
    turn: Mutex<()>,
    left_behind: Mutex<Vec<String>>,
}

/// Room for one mail. It is given back when dropped.
pub struct Place<'a> {
    room: &'a ReadingRoom,
    bytes: usize,
}

impl Default for ReadingRoom {
    fn default() -> Self {
        ReadingRoom {
            free: Mutex::new(MEMORY_BYTES),
            given_back: Condvar::new(),
            turn: Mutex::default(),
            left_behind: Mutex::default(),
        }
    }
}

impl ReadingRoom {
    /// Waits until there is room for a mail of that size.
    pub fn enter(&self, mail_bytes: usize) -> Place<'_> {
        let bytes = weight(mail_bytes);
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let free = self.given_back.wait_while(free, |free| *free < bytes);
        *free.unwrap_or_else(PoisonError::into_inner) -= bytes;
        Place { room: self, bytes }
    }

    /// The turn, unless somebody has it; it is over when it is dropped.
    pub fn try_turn(&self) -> Option<MutexGuard<'_, ()>> {
        match self.turn.try_lock() {
            Ok(turn) => Some(turn),
            Err(TryLockError::Poisoned(turn)) => Some(turn.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// Notes that `worker` could not give back what it held.
    pub fn leave_behind(&self, worker: &str) {
        self.left_behind.lock().unwrap_or_else(PoisonError::into_inner).push(worker.to_owned());
    }

    /// Whether it did, and has not freed them since.
    pub fn has_left_behind(&self, worker: &str) -> bool {
        self.left_behind.lock().unwrap_or_else(PoisonError::into_inner).iter().any(|left| left == worker)
    }

    /// What it held is free again.
    pub fn forget_left_behind(&self, worker: &str) {
        self.left_behind.lock().unwrap_or_else(PoisonError::into_inner).retain(|left| left != worker);
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        *self.room.free.lock().unwrap_or_else(PoisonError::into_inner) += self.bytes;
        self.room.given_back.notify_all();
    }
}

fn weight(mail_bytes: usize) -> usize {
    mail_bytes.saturating_mul(PER_RAW_BYTE).min(MEMORY_BYTES)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use super::*;

    #[test]
    fn l_13_a_mail_waits_until_there_is_memory_for_it() {
        let room = ReadingRoom::default();
        let large = room.enter(40 << 20);
        let small = room.enter(1 << 20);
        assert_eq!(*room.free.lock().unwrap(), MEMORY_BYTES - 205 * (1 << 20));
        std::thread::scope(|scope| {
            let (entered, has_entered) = sync_channel(1);
            let (leave, may_leave) = sync_channel::<()>(1);
            let room = &room;
            scope.spawn(move || {
                let _place = room.enter(25 << 20);
                entered.send(()).unwrap();
                may_leave.recv().unwrap();
            });
            drop(small);
            assert!(has_entered.try_recv().is_err(), "there is room for less than half of it");
            drop(large);
            has_entered.recv().unwrap();
            assert_eq!(*room.free.lock().unwrap(), MEMORY_BYTES - 125 * (1 << 20));
            leave.send(()).unwrap();
        });
        assert_eq!(*room.free.lock().unwrap(), MEMORY_BYTES);
    }

    #[test]
    fn l_13_two_of_the_largest_mails_are_read_at_a_time_and_a_third_waits() {
        let room = ReadingRoom::default();
        let both = [room.enter(25 << 20), room.enter(25 << 20)];
        let has_room = || *room.free.lock().unwrap() >= weight(25 << 20);
        assert!(!has_room());
        drop(both);
        assert!(has_room());
    }

    #[test]
    fn l_13_whatever_its_size_a_mail_fits_alone() {
        drop(ReadingRoom::default().enter(usize::MAX));
    }
}
