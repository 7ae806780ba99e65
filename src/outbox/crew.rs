//! Who sends by which relay: the threads of one process, shared so that a relay that hangs with as many as it may have leaves
//! one for every other (FT-08).

use std::sync::{Mutex, MutexGuard, PoisonError};

/// The threads of one process that send mail.
#[derive(Debug)]
pub struct Crew {
    threads: usize,
    /// How many are at work by each way out: the installation's relay first, then the others in their order.
    busy: Mutex<Vec<usize>>,
}

/// One of them at work. It is free again when this is dropped.
#[derive(Debug)]
pub struct AtWork<'a> {
    crew: &'a Crew,
    way: usize,
}

impl Crew {
    /// So many threads, of which there are no fewer than there are ways out.
    pub fn new(threads: usize, ways: usize) -> Crew {
        Crew { threads: threads.max(ways), busy: Mutex::new(vec![0; ways]) }
    }

    pub fn threads(&self) -> usize {
        self.threads
    }

    /// Whether a mail may go by that way now.
    pub fn may_go(&self, way: usize) -> bool {
        self.has_one_for(&self.busy(), way)
    }

    /// Takes a thread for a mail by that way, unless it is to be left for another.
    pub fn go(&self, way: usize) -> Option<AtWork<'_>> {
        let mut busy = self.busy();
        if !self.has_one_for(&busy, way) {
            return None;
        }
        *busy.get_mut(way)? += 1;
        drop(busy);
        Some(AtWork { crew: self, way })
    }

    /// The first by a way has its own; every further one leaves one for each way that has none at work.
    fn has_one_for(&self, busy: &[usize], way: usize) -> bool {
        let at_work: usize = busy.iter().sum();
        let idle_ways = busy.iter().filter(|at_work| **at_work == 0).count();
        match busy.get(way) {
            Some(0) => at_work < self.threads,
            Some(_) => at_work + idle_ways < self.threads,
            None => false,
        }
    }

    fn busy(&self) -> MutexGuard<'_, Vec<usize>> {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        if let Some(at_work) = self.crew.busy().get_mut(self.way) {
            *at_work = at_work.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ft_08_whatever_hangs_every_other_way_has_a_thread() {
        for (threads, ways) in [(3, 1), (8, 2), (16, 4), (16, 14), (43, 41)] {
            for hanging in 0..ways {
                let crew = Crew::new(threads, ways);
                // All that can be had for these ways hang.
                let mut stuck = Vec::new();
                for way in (0..ways).filter(|way| *way <= hanging) {
                    while let Some(at_work) = crew.go(way) {
                        stuck.push(at_work);
                    }
                }
                let others: Vec<_> = (hanging + 1..ways).map(|way| crew.go(way)).collect();
                assert!(others.iter().all(Option::is_some), "{threads} {ways} {hanging}");
                assert!(stuck.len() + others.len() <= threads);
            }
        }
    }

    #[test]
    fn a_thread_that_is_done_is_to_be_had_again() {
        let crew = Crew::new(2, 2);
        let first = crew.go(0).unwrap();
        assert!(crew.go(0).is_none() && !crew.may_go(0), "the other is left for the other way");
        drop(first);
        assert!(crew.go(0).is_some() && crew.go(7).is_none());
    }
}
