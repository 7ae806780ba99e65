//! How much memory the mails that are being read may take together (L-13). Reading cannot be stopped half-way, so a mail
//! begins only when there is room for it.

use std::sync::{Condvar, Mutex, PoisonError};

use crate::mail::limits::{MEMORY_BYTES, RAW_BYTES_MAX};

/// What reading a mail takes, as a multiple of its size: the bytes themselves, a copy with other line ends, the decoded
/// text, the files, and the text without card numbers. The largest mail still fits, alone.
const PER_RAW_BYTE: usize = 5;
const _: () = assert!(RAW_BYTES_MAX * PER_RAW_BYTE <= MEMORY_BYTES);

/// The memory there is, shared by weight.
pub struct ReadingRoom {
    free: Mutex<usize>,
    given_back: Condvar,
}

/// Room for one mail. It is given back when dropped.
pub struct Place<'a> {
    room: &'a ReadingRoom,
    bytes: usize,
}

impl Default for ReadingRoom {
    fn default() -> Self {
        ReadingRoom { free: Mutex::new(MEMORY_BYTES), given_back: Condvar::new() }
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
    fn l_13_whatever_its_size_a_mail_fits_alone() {
        drop(ReadingRoom::default().enter(usize::MAX));
    }
}
