//! How often and how much products may send, in this process's memory. Exporters never give up: a token that is over is
//! sent with every batch for as long as the product runs, so a token that was refused is refused again by its digest
//! alone, without looking at it or at the database. Whoever has a grant may send so much of it at a time, so that one
//! customer's diagnosis does not stand in the way of everybody's work.
//!
//! A request whose body is still coming is counted for its own grant only, for it may come slowly. It has a turn among all
//! for as long as there is work to do on it, which is a moment.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

/// Bytes a second of one grant, after decompression, and how many may come at once.
const BYTES_PER_SEC: f64 = (16 << 20) as f64;
const BYTES_AT_ONCE: f64 = (64 << 20) as f64;
/// What the smallest request counts for.
const LEAST_BYTES: u64 = 16 << 10;
/// Requests of one grant under way at once.
const EACH: usize = 4;
/// Requests of all grants that are worked on at once.
const TURNS: usize = 8;
/// Bytes of bodies that are not whole yet, or wait for their turn: as much as sixteen grants may send at once.
const HELD_BYTES: usize = 256 << 20;
/// How long a token that is not genuine is remembered: it may become so, when a clock is put right.
const REMEMBERED_NANOS: u64 = 60 * 1_000_000_000;
/// Tokens and grants remembered at most.
const REMEMBERED: usize = 4_096;

/// Why a token is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It is none of ours, or its time is over.
    NotGenuine,
    /// Its grant is over, for good.
    Over,
}

/// This grant sends more than it may; in so many seconds it may again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full {
    pub retry_after_secs: u64,
}

/// The bodies that are held take all the memory there is for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRoom;

/// What this process remembers of those who send; clones share it.
#[derive(Clone)]
pub struct Door {
    book: Arc<Mutex<Book>>,
    turns: Arc<Semaphore>,
}

#[derive(Default)]
struct Book {
    refused: HashMap<[u8; 32], (Refused, u64)>,
    refusals: u64,
    grants: HashMap<String, Sending>,
    held_bytes: usize,
}

/// How much a grant has sent.
struct Sending {
    /// Bytes that may still come.
    left: f64,
    seen_nanos: u64,
    inside: usize,
}

/// A request that was let in, until it is dropped.
pub struct Inside {
    door: Door,
    grant: String,
    counted: u64,
    held_bytes: usize,
}

/// Its turn to be worked on, until it is dropped.
pub struct Turn {
    _turn: OwnedSemaphorePermit,
}

impl Default for Door {
    fn default() -> Self {
        Door { book: Arc::default(), turns: Arc::new(Semaphore::new(TURNS)) }
    }
}

impl Door {
    /// Why the token was refused before, if it was and the reason still holds.
    pub fn find_refused(&self, token: &str, now_nanos: u64) -> Option<Refused> {
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        let (refused, at) = *book.refused.get(&digest(token))?;
        let holds = refused == Refused::Over || now_nanos.saturating_sub(at) < REMEMBERED_NANOS;
        book.refusals += u64::from(holds);
        holds.then_some(refused)
    }

    /// Remembers that the token is refused.
    pub fn refuse(&self, token: &str, why: Refused, now_nanos: u64) {
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        if book.refused.len() >= REMEMBERED {
            // Whoever sends so many is told apart again within one request each.
            book.refused.clear();
        }
        book.refused.insert(digest(token), (why, now_nanos));
    }

    /// How many requests were refused by memory alone.
    pub fn refusals(&self) -> u64 {
        self.book.lock().unwrap_or_else(PoisonError::into_inner).refusals
    }

    /// Waits for a turn, in the order in which bodies were whole.
    pub fn turn(&self) -> impl Future<Output = Result<Turn, AcquireError>> + use<> {
        let turns = self.turns.clone();
        async move { Ok(Turn { _turn: turns.acquire_owned().await? }) }
    }

    /// Lets a request of the grant in, if the grant may send more.
    pub fn enter(&self, grant: &str, now_nanos: u64) -> Result<Inside, Full> {
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        if book.grants.len() >= REMEMBERED {
            book.grants.retain(|_, sending| sending.inside > 0 || sending.left_at(now_nanos) < BYTES_AT_ONCE);
        }
        let fresh = || Sending { left: BYTES_AT_ONCE, seen_nanos: now_nanos, inside: 0 };
        let sending = book.grants.entry(grant.to_owned()).or_insert_with(fresh);
        sending.left = sending.left_at(now_nanos);
        sending.seen_nanos = now_nanos;
        if sending.left < 0.0 {
            let retry_after_secs = (-sending.left / BYTES_PER_SEC).ceil().max(1.0) as u64;
            return Err(Full { retry_after_secs });
        }
        if sending.inside >= EACH {
            return Err(Full { retry_after_secs: 1 });
        }
        sending.left -= LEAST_BYTES as f64;
        sending.inside += 1;
        Ok(Inside { door: self.clone(), grant: grant.to_owned(), counted: LEAST_BYTES, held_bytes: 0 })
    }
}

impl Sending {
    fn left_at(&self, now_nanos: u64) -> f64 {
        let elapsed = now_nanos.saturating_sub(self.seen_nanos) as f64 / 1e9;
        (self.left + elapsed * BYTES_PER_SEC).min(BYTES_AT_ONCE)
    }
}

impl Inside {
    /// Holds more of the request's body, if there is room for it.
    pub fn hold(&mut self, bytes: usize) -> Result<(), NoRoom> {
        let mut book = self.door.book.lock().unwrap_or_else(PoisonError::into_inner);
        if book.held_bytes + bytes > HELD_BYTES {
            return Err(NoRoom);
        }
        book.held_bytes += bytes;
        self.held_bytes += bytes;
        Ok(())
    }

    /// Counts what the request turned out to bring.
    pub fn count(&mut self, bytes: usize) {
        let more = (bytes as u64).saturating_sub(self.counted);
        self.counted += more;
        let mut book = self.door.book.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sending) = book.grants.get_mut(&self.grant) {
            sending.left -= more as f64;
        }
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        let mut book = self.door.book.lock().unwrap_or_else(PoisonError::into_inner);
        book.held_bytes -= self.held_bytes;
        if let Some(sending) = book.grants.get_mut(&self.grant) {
            sending.inside -= 1;
        }
    }
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_refused_token_is_known_again_and_one_that_may_become_good_only_for_a_minute() {
        let door = Door::default();
        assert_eq!(door.find_refused("a", 0), None);
        door.refuse("a", Refused::NotGenuine, 0);
        door.refuse("b", Refused::Over, 0);
        assert_eq!(door.find_refused("a", 59 * SECOND), Some(Refused::NotGenuine));
        assert_eq!(door.find_refused("a", 60 * SECOND), None);
        assert_eq!(door.find_refused("b", 3_600 * SECOND), Some(Refused::Over));
        assert_eq!((door.find_refused("c", 0), door.refusals()), (None, 2));
        for token in 0..2 * REMEMBERED {
            door.refuse(&token.to_string(), Refused::Over, 0);
        }
        assert!(door.book.lock().unwrap().refused.len() <= REMEMBERED);
    }

    #[test]
    fn a_grant_sends_so_much_at_once_and_so_much_a_second() {
        let door = Door::default();
        let send = |bytes: usize, at: u64| door.enter("a", at).map(|mut inside| inside.count(bytes));
        for _ in 0..17 {
            assert_eq!(send(4 << 20, 0), Ok(()), "the last of them may go over");
        }
        assert_eq!(send(1, 0), Err(Full { retry_after_secs: 1 }));
        assert_eq!(send(1, SECOND), Ok(()));
        assert!(door.enter("b", 0).is_ok(), "another's is counted apart");
        for _ in 0..4 * 4_096 {
            if send(0, 100 * SECOND).is_err() {
                return;
            }
        }
        panic!("empty requests are not counted");
    }

    #[test]
    fn so_many_of_a_grant_are_inside_at_once_and_take_nothing_from_others() {
        let door = Door::default();
        let mut of_a: Vec<_> = (0..EACH).map(|_| door.enter("a", 0).unwrap()).collect();
        assert_eq!(door.enter("a", 0).err(), Some(Full { retry_after_secs: 1 }));
        let of_others: Vec<_> = (0..100).map(|grant| door.enter(&grant.to_string(), 0).unwrap()).collect();
        of_a.pop();
        assert!(door.enter("a", 0).is_ok());
        drop((of_a, of_others));
        assert!(door.book.lock().unwrap().grants.values().all(|sending| sending.inside == 0));
    }

    #[test]
    fn bodies_are_held_while_there_is_memory_for_them_and_it_is_given_back() {
        let door = Door::default();
        let mut first = door.enter("a", 0).unwrap();
        let mut second = door.enter("b", 0).unwrap();
        assert_eq!(first.hold(HELD_BYTES - 1), Ok(()));
        assert_eq!((second.hold(1), second.hold(1)), (Ok(()), Err(NoRoom)));
        drop(first);
        assert_eq!(second.hold(1), Ok(()));
        drop(second);
        assert_eq!(door.book.lock().unwrap().held_bytes, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn so_many_of_all_are_worked_on_at_once_and_the_next_waits_for_one_to_be_done() {
        let door = Door::default();
        let mut turns = Vec::new();
        for _ in 0..TURNS {
            turns.push(door.turn().await.unwrap());
        }
        let waits = Duration::from_secs(1);
        assert!(timeout(waits, door.turn()).await.is_err());
        turns.pop();
        assert!(timeout(waits, door.turn()).await.is_ok());
    }
}
