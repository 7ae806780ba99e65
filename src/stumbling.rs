//! Stones that a test lays in the program's way, over which one stage of its work panics for one mail (FT-20, J-07, O-08). In
//! a program that is released there are none, and nothing looks for them.

/// Where one may lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// A mail that came is read; it is known by its handle in the journal.
    Reading,
    /// What it became is carried out, in a transaction; known likewise.
    Applying,
    /// The words of a mail to somebody are put together; it is known by its recipient.
    Rendering,
    /// Its bytes are made of them; known likewise.
    Building,
}

#[cfg(debug_assertions)]
static STONES: std::sync::Mutex<Vec<(Stage, String)>> = std::sync::Mutex::new(Vec::new());

/// A stone that lies there until this is dropped.
#[cfg(debug_assertions)]
#[derive(Debug)]
pub struct Stone(Stage, String);

/// Lets every step of this stage about this panic.
#[cfg(debug_assertions)]
pub fn lay(stage: Stage, about: &str) -> Stone {
    stones().push((stage, about.to_owned()));
    Stone(stage, about.to_owned())
}

#[cfg(debug_assertions)]
impl Drop for Stone {
    fn drop(&mut self) {
        let mut stones = stones();
        if let Some(at) = stones.iter().position(|(stage, about)| *stage == self.0 && *about == self.1) {
            stones.swap_remove(at);
        }
    }
}

#[cfg(debug_assertions)]
fn stones() -> std::sync::MutexGuard<'static, Vec<(Stage, String)>> {
    STONES.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// A step of this stage; it panics where a stone lies.
#[inline]
pub(crate) fn step(stage: Stage, about: &str) {
    #[cfg(debug_assertions)]
    {
        let lies_there = stones().iter().any(|(at, what)| *at == stage && what == about);
        assert!(!lies_there, "a test wants {stage:?} to panic");
    }
    #[cfg(not(debug_assertions))]
    let _ = (stage, about);
}
