//! Keys whose end is what makes something unreadable: they stand in pages of memory that the machine never writes to its
//! swap space, for a copy there would outlive them. Only the copies that a cipher makes for the moment of its use stand
//! elsewhere, wiped like everything here.
//!
//! Where the machine allows a process too little locked memory (`RLIMIT_MEMLOCK`), a key stands in an ordinary page:
//! [`try_it`] says so beforehand, and [`in_ordinary_pages`] counts those that do.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};

use zeroize::Zeroize;

/// The length of a key.
const LENGTH: usize = 32;

/// Memory that shares no page with anything else, on machines with pages of this size.
#[repr(C, align(4096))]
struct Page([u8; 4096]);

/// A page, and whether it is locked. A locked one is used again and never unlocked: where pages are larger than ours are,
/// that would unlock its neighbours.
struct Place {
    page: Box<Page>,
    is_locked: bool,
}

/// Locked pages that hold no key now.
static FREE: Mutex<Vec<Place>> = Mutex::new(Vec::new());

static IN_ORDINARY_PAGES: AtomicI64 = AtomicI64::new(0);

/// A key of 32 bytes in a page of its own. It is wiped when dropped.
pub struct LockedKey(Option<Place>);

impl LockedKey {
    /// A key that `fill` writes where it is to stand.
    pub fn filled(fill: impl FnOnce(&mut [u8; LENGTH])) -> LockedKey {
        LockedKey::in_place(free().unwrap_or_else(|| new().0), fill)
    }

    fn in_place(mut place: Place, fill: impl FnOnce(&mut [u8; LENGTH])) -> LockedKey {
        if !place.is_locked {
            IN_ORDINARY_PAGES.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(bytes) = place.page.0.first_chunk_mut() {
            fill(bytes);
        }
        LockedKey(Some(place))
    }

    /// The key itself. Every use of this is a place to look at.
    pub fn expose(&self) -> &[u8; LENGTH] {
        self.0.as_ref().and_then(|place| place.page.0.first_chunk()).expect("a key has its place until it is dropped")
    }
}

impl Drop for LockedKey {
    fn drop(&mut self) {
        let Some(mut place) = self.0.take() else { return };
        place.page.0[..LENGTH].zeroize();
        if place.is_locked {
            FREE.lock().unwrap_or_else(PoisonError::into_inner).push(place);
        } else {
            IN_ORDINARY_PAGES.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl std::fmt::Debug for LockedKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("•••")
    }
}

/// How many keys stand in memory that may be swapped out.
pub fn in_ordinary_pages() -> i64 {
    IN_ORDINARY_PAGES.load(Ordering::Relaxed)
}

/// Whether a key can be kept out of the swap space now, or why not.
pub fn try_it() -> Result<(), region::Error> {
    let (place, locked) = free().map_or_else(new, |place| (place, Ok(())));
    if place.is_locked {
        FREE.lock().unwrap_or_else(PoisonError::into_inner).push(place);
    }
    locked
}

fn free() -> Option<Place> {
    FREE.lock().unwrap_or_else(PoisonError::into_inner).pop()
}

fn new() -> (Place, Result<(), region::Error>) {
    let page = Box::new(Page([0; 4096]));
    let locked = region::lock(page.0.as_ptr(), page.0.len()).map(std::mem::forget);
    (Place { page, is_locked: locked.is_ok() }, locked)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn locked_kib() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmLck:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    #[test]
    fn a_key_in_an_ordinary_page_is_counted_for_as_long_as_it_stands_there() {
        let before = in_ordinary_pages();
        // As where the limit is used up.
        let key =
            LockedKey::in_place(Place { page: Box::new(Page([0; 4096])), is_locked: false }, |bytes| bytes.fill(7));
        assert_eq!((in_ordinary_pages(), key.expose()), (before + 1, &[7; LENGTH]));
        drop(key);
        assert_eq!(in_ordinary_pages(), before);
    }

    #[test]
    fn a_key_stands_in_a_locked_page_of_its_own_which_is_wiped_and_used_again() {
        try_it().expect("this machine locks a page");
        let before = locked_kib();
        let keys: Vec<LockedKey> = (0..8).map(|number| LockedKey::filled(|bytes| bytes.fill(number + 1))).collect();
        assert!(keys.iter().zip(1..).all(|(key, number)| key.expose() == &[number; LENGTH]));
        let pages: Vec<usize> = keys.iter().map(|key| key.expose().as_ptr().addr()).collect();
        assert!(pages.iter().all(|page| page % 4096 == 0), "each begins a page: {pages:?}");
        assert!(keys.iter().all(|key| key.0.as_ref().unwrap().is_locked));
        assert!(locked_kib() >= before.max(8 * 4), "{} KiB are locked, {before} before", locked_kib());
        assert_eq!(format!("{:?}", keys[0]), "•••");
        drop(keys);
        let free = FREE.lock().unwrap();
        let used: Vec<&Place> = free.iter().filter(|place| pages.contains(&place.page.0.as_ptr().addr())).collect();
        assert!(!used.is_empty(), "other tests may have taken some of them");
        assert!(free.iter().all(|place| place.page.0 == [0; 4096]), "nothing of a key stays");
    }
}
