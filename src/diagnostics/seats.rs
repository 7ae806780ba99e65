//! How much of what is costly, or lasts, anybody may have under way at a time, in this process's memory: searches through
//! a capture, whole readings of it, pages that are told of what is new, programs that wait for an answer to change. Each
//! has a few seats of a number that all share, so that nobody takes what everybody needs. Who waits for a seat, and who is
//! told that there is none, is the caller's concern.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::db::types::PersonId;

/// Searches through captures: one a person, and for all together so few that others still reach the database.
const SEARCHES: (usize, usize) = (1, 2);
/// Whole readings, added up or as files. Each holds some tens of MiB.
const WHOLES: (usize, usize) = (2, 8);
/// Pages on which somebody watches records as they come.
const WATCHED: usize = 4;
/// Pages of which each shows who looks; who goes from one to the next has those just left for some seconds more.
const FOLLOWED: usize = 8;
/// The connections of both kinds together; each asks the database now and then.
const CONNECTIONS: usize = 200;
/// Programs that wait for the list of grants to change: of one API secret, and all together.
const WAITS: (usize, usize) = (4, 200);
/// Names kept before those of nobody are forgotten.
const REMEMBERED: usize = 1_024;

/// All seats of a process.
pub struct Looking {
    /// Looking through a capture for a page of records.
    pub searches: Seats<PersonId>,
    /// Reading all of a capture.
    pub wholes: Seats<PersonId>,
    /// Watching records as they come.
    pub watching: Seats<PersonId>,
    /// Being told who looks.
    pub following: Seats<PersonId>,
    /// Waiting for the list of grants to change, by the public name of the secret that asks.
    pub waiting: Seats<String>,
}

impl Default for Looking {
    fn default() -> Self {
        let connections = Arc::new(Semaphore::new(CONNECTIONS));
        Looking {
            searches: Seats::new(SEARCHES.0, Arc::new(Semaphore::new(SEARCHES.1))),
            wholes: Seats::new(WHOLES.0, Arc::new(Semaphore::new(WHOLES.1))),
            watching: Seats::new(WATCHED, connections.clone()),
            following: Seats::new(FOLLOWED, connections),
            waiting: Seats::new(WAITS.0, Arc::new(Semaphore::new(WAITS.1))),
        }
    }
}

/// Seats of one kind.
pub struct Seats<Who> {
    each: usize,
    all: Arc<Semaphore>,
    /// What each has; whoever has nothing and waits for nothing is dead here.
    of: Mutex<HashMap<Who, Weak<Semaphore>>>,
}

/// A seat, given back when dropped.
#[derive(Debug)]
pub struct Seat {
    _own: OwnedSemaphorePermit,
    _shared: OwnedSemaphorePermit,
}

/// Why there is no seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// Whoever asks has all of theirs.
    OfOne,
    /// All together have all there are.
    OfAll,
}

impl<Who: Eq + Hash> Seats<Who> {
    fn new(each: usize, all: Arc<Semaphore>) -> Self {
        Seats { each, all, of: Mutex::new(HashMap::new()) }
    }

    /// A seat for `who`, if there is one now.
    pub fn take(&self, who: Who) -> Result<Seat, Full> {
        let own = self.own(who).try_acquire_owned().map_err(|_| Full::OfOne)?;
        let shared = self.all.clone().try_acquire_owned().map_err(|_| Full::OfAll)?;
        Ok(Seat { _own: own, _shared: shared })
    }

    /// A seat for `who`, as soon as there is one; in the order in which they asked.
    pub fn wait(&self, who: Who) -> impl Future<Output = Result<Seat, Full>> + use<Who> {
        let (own, all) = (self.own(who), self.all.clone());
        async move {
            // One's own first: who waits for that keeps nothing from others.
            let own = own.acquire_owned().await.map_err(|_| Full::OfOne)?;
            let shared = all.acquire_owned().await.map_err(|_| Full::OfAll)?;
            Ok(Seat { _own: own, _shared: shared })
        }
    }

    fn own(&self, who: Who) -> Arc<Semaphore> {
        let mut of = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        if of.len() >= REMEMBERED {
            of.retain(|_, own| own.strong_count() > 0);
        }
        let own = of.entry(who).or_default();
        own.upgrade().unwrap_or_else(|| {
            let fresh = Arc::new(Semaphore::new(self.each));
            *own = Arc::downgrade(&fresh);
            fresh
        })
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Waker};

    use super::*;

    fn seats(each: usize, all: usize) -> Seats<u32> {
        Seats::new(each, Arc::new(Semaphore::new(all)))
    }

    #[test]
    fn nobody_takes_more_than_their_own_and_all_together_no_more_than_there_are() {
        let seats = seats(2, 3);
        let first = [seats.take(1).unwrap(), seats.take(1).unwrap()];
        assert_eq!(seats.take(1).map(drop), Err(Full::OfOne));
        let other = seats.take(2).unwrap();
        assert_eq!(seats.take(2).map(drop), Err(Full::OfAll));
        drop(first);
        assert_eq!(seats.take(1).map(drop), Ok(()));
        drop(other);
        assert_eq!(seats.all.available_permits(), 3, "each was given back");
    }

    #[tokio::test]
    async fn who_waits_for_their_own_keeps_no_seat_from_others_and_has_one_in_turn() {
        let seats = seats(1, 2);
        let first = seats.take(1).unwrap();
        let mut second = std::pin::pin!(seats.wait(1));
        assert!(second.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        assert_eq!(seats.take(2).map(drop), Ok(()));
        assert_eq!(seats.take(1).map(drop), Err(Full::OfOne));
        drop(first);
        let second = second.await.unwrap();
        assert_eq!(seats.take(1).map(drop), Err(Full::OfOne));
        drop(second);
        assert_eq!(seats.take(1).map(drop), Ok(()));
    }

    #[test]
    fn whoever_has_nothing_is_forgotten() {
        let seats = seats(1, 5_000);
        let kept = seats.take(0).unwrap();
        for who in 1..3 * REMEMBERED as u32 {
            drop(seats.take(who).unwrap());
        }
        assert!(seats.of.lock().unwrap().len() <= REMEMBERED + 1);
        assert_eq!(seats.take(0).map(drop), Err(Full::OfOne), "who sits is remembered");
        drop(kept);
    }
}
