//! What libFuzzer calls. `ACCORD_FUZZ_TARGET` names the target.
#![no_main]

use std::ffi::{c_char, c_int};
use std::sync::OnceLock;

use accord_fuzz::mail::limits::MEMORY_BYTES;
use accord_fuzz::targets::{self, Target};

static TARGET: OnceLock<Target> = OnceLock::new();

/// Chooses the target, and lets every panic end the process, also one that the program would survive.
#[unsafe(no_mangle)]
pub extern "C" fn LLVMFuzzerInitialize(_arguments: *const c_int, _values: *const *const *const c_char) -> c_int {
    let name = std::env::var("ACCORD_FUZZ_TARGET").unwrap_or_default();
    let Some(target) = targets::ALL.iter().find(|(known, _)| *known == name) else {
        let names: Vec<&str> = targets::ALL.iter().map(|(name, _)| *name).collect();
        eprintln!("ACCORD_FUZZ_TARGET is one of {}", names.join(" "));
        std::process::exit(64);
    };
    let say = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        say(panic);
        std::process::abort();
    }));
    TARGET.get_or_init(|| target.1);
    0
}

/// Runs the target once. What it holds in memory at one time may not be more than any mail may (L-13).
///
/// # Safety
/// `bytes` points to `size` bytes, as libFuzzer promises.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn LLVMFuzzerTestOneInput(bytes: *const u8, size: usize) -> c_int {
    // SAFETY: the caller's promise; of nothing the pointer may be null.
    let bytes = if size == 0 { &[] } else { unsafe { std::slice::from_raw_parts(bytes, size) } };
    let Some(run) = TARGET.get() else { return -1 };
    let used = allocation_counter::measure(|| run(bytes));
    assert!(used.bytes_max <= MEMORY_BYTES as u64, "{} bytes were held at one time", used.bytes_max);
    0
}
