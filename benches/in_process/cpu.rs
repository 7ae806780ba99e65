//! CPU time of the whole process, in place of the time on the wall: a mail crosses from the worker's thread to the
//! writer's and back, and what the disk takes is not ours.

use std::time::Duration;

use criterion::measurement::{Measurement, ValueFormatter, WallTime};

/// What the threads of this process have used so far, by the scheduler's count. Threads that have ended are forgotten; a
/// measurement begins and ends with the same ones.
pub fn used() -> Duration {
    let threads = std::fs::read_dir("/proc/self/task").expect("Linux");
    let nanoseconds = threads
        .filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("schedstat")).ok())
        .filter_map(|counts| counts.split_whitespace().next()?.parse::<u64>().ok())
        .sum();
    Duration::from_nanos(nanoseconds)
}

/// For `Criterion::with_measurement`.
pub struct CpuTime;

impl Measurement for CpuTime {
    type Intermediate = Duration;
    type Value = Duration;

    fn start(&self) -> Duration {
        used()
    }

    fn end(&self, start: Duration) -> Duration {
        used() - start
    }

    fn add(&self, first: &Duration, second: &Duration) -> Duration {
        *first + *second
    }

    fn zero(&self) -> Duration {
        Duration::ZERO
    }

    fn to_f64(&self, value: &Duration) -> f64 {
        value.as_nanos() as f64
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        WallTime.formatter()
    }
}
