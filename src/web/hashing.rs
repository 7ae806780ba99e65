//! Passwords are hashed on threads that may block, a few at a time: each takes 19 MiB and tens of milliseconds, and a
//! crowd at the sign-in page must not take the memory of everybody else.

use tokio::sync::Semaphore;

use crate::carry;
use crate::error::{Error, FieldErrors, Result};
use crate::people::passwords::{self, Checked, Password, StoredHash};

/// Hashes computed at the same time.
const AT_ONCE: usize = 2;

static TURNS: Semaphore = Semaphore::const_new(AT_ONCE);

/// [`passwords::check`], in turn.
pub async fn check(stored: Option<StoredHash>, password: Password) -> Result<Checked> {
    in_turn(move || passwords::check(stored.as_ref(), &password)).await
}

/// [`passwords::hash`], in turn.
pub async fn hash(password: Password) -> Result<StoredHash> {
    in_turn(move || passwords::hash(&password)).await?
}

/// The hash of a password that was just chosen, or what is wrong with it; `own` are words about oneself that do not do.
pub async fn chosen(password: Password, own: &[&str]) -> Result<StoredHash> {
    let mut errors = FieldErrors::default();
    passwords::judge(&mut errors, "password", &password, own);
    errors.into_result()?;
    hash(password).await
}

async fn in_turn<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    let turn = TURNS.acquire().await.map_err(|_| Error::Busy)?;
    let done = carry::blocking(work).await.map_err(|error| Error::internal(format!("hashing failed: {error}")));
    drop(turn);
    done
}
