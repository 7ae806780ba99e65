//! Values that must not leak: [`Secret`], which prints as dots, random tokens, their hashes, and comparison in constant
//! time. Keys and passwords have their own homes (`keys`, `people::passwords`).

pub mod locked;

use std::fmt;

use data_encoding::{BASE32_NOPAD, Encoding, Specification};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

/// A value which neither prints nor compares by accident, and is wiped when dropped.
#[derive(Clone)]
pub struct Secret<T: Zeroize>(T);

impl<T: Zeroize> Secret<T> {
    pub fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself. Every use of this is a place to look at.
    pub fn expose(&self) -> &T {
        &self.0
    }
}

impl<T: Zeroize> Drop for Secret<T> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl<T: Zeroize> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("•••")
    }
}

impl<'de> serde::Deserialize<'de> for Secret<String> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Secret)
    }
}

/// SHA-256 of a token: what the database keeps in its place. A token has 256 random bits, so no salt is needed.
pub type TokenHash = Vec<u8>;

/// A random value handed out once, in a cookie, a link or an API secret.
pub struct Token(Secret<String>);

impl Token {
    /// 256 bits from the operating system, as 52 characters of lower-case base32 after `prefix`.
    pub fn random(prefix: &str) -> Self {
        Self(Secret::new(format!("{prefix}{}", base32_lower().encode(&random_bytes::<32>()))))
    }

    /// The text to hand out.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }

    /// What to store.
    pub fn hash(&self) -> TokenHash {
        hash_token(self.expose())
    }
}

/// The stored form of a token somebody presents.
pub fn hash_token(token: &str) -> TokenHash {
    Sha256::digest(token.as_bytes()).to_vec()
}

/// `N` bytes from the operating system's generator.
pub fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    fill_randomly(&mut bytes);
    bytes
}

/// The same, where the bytes are to stand.
pub fn fill_randomly(bytes: &mut [u8]) {
    getrandom::fill(bytes).expect("the operating system gives random bytes, or nothing here is safe");
}

/// A random public name of 80 bits (16 characters), for what has no reference of its own. It is no secret.
pub fn random_handle() -> String {
    base32_lower().encode(&random_bytes::<10>())
}

/// A random public name of 128 bits (26 characters), for attachments.
pub fn random_long_handle() -> String {
    base32_lower().encode(&random_bytes::<16>())
}

/// A uniformly random number below 2^63, as the databases keep it.
pub fn random_number() -> i64 {
    i64::from_be_bytes(random_bytes::<8>()) & i64::MAX
}

/// Whether two values are the same, in time that depends on their length only (U-11).
pub fn same_bytes(left: &[u8], right: &[u8]) -> bool {
    left.ct_eq(right).into()
}

/// RFC 4648 base32 without padding, in lower case; reading accepts both cases.
pub fn base32_lower() -> Encoding {
    static ENCODING: std::sync::LazyLock<Encoding> = std::sync::LazyLock::new(|| {
        let mut specification: Specification = BASE32_NOPAD.specification();
        specification.symbols = specification.symbols.to_ascii_lowercase();
        specification.translate.from.push_str("ABCDEFGHIJKLMNOPQRSTUVWXYZ");
        specification.translate.to.push_str("abcdefghijklmnopqrstuvwxyz");
        specification.encoding().expect("lower-case base32 is a valid specification")
    });
    ENCODING.clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_prints_as_dots() {
        assert_eq!(format!("{:?}", Secret::new("hunter2".to_owned())), "•••");
    }

    #[test]
    fn base32_reads_both_cases() {
        let text = base32_lower().encode(b"accord");
        assert_eq!(text, text.to_lowercase());
        assert_eq!(base32_lower().decode(text.to_uppercase().as_bytes()).unwrap(), b"accord");
    }

    #[test]
    fn tokens_differ_and_hash_to_32_bytes() {
        let (one, two) = (Token::random("acc_"), Token::random("acc_"));
        assert_ne!(one.expose(), two.expose());
        assert_eq!(one.hash().len(), 32);
    }
}
