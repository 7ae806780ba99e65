//! Chance that can be had again: `ACCORD_TEST_SEED` repeats a run whose seed was printed.

use std::sync::Mutex;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A generator of numbers (xorshift64*), good enough to choose moments.
pub struct Chance(Mutex<u64>);

impl Chance {
    /// From the seed of the environment, or a new one, which is printed.
    pub fn new() -> Chance {
        let given = std::env::var("ACCORD_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = given.unwrap_or_else(|| {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
            u64::from(now.subsec_nanos()) ^ now.as_secs()
        });
        println!("ACCORD_TEST_SEED={seed} repeats this run");
        Chance(Mutex::new(seed.max(1)))
    }

    /// Below `end`.
    pub fn below(&self, end: u64) -> u64 {
        let mut state = self.0.lock().unwrap();
        *state ^= *state >> 12;
        *state ^= *state << 25;
        *state ^= *state >> 27;
        (state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16) % end
    }

    pub fn up_to(&self, longest: Duration) -> Duration {
        Duration::from_millis(self.below(longest.as_millis() as u64 + 1))
    }
}
