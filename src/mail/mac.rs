//! The proof that something in a mail was written by this installation: an HMAC over everything it stands for, by one of
//! two keys. What is proven, and in which shape it travels, stands in `reply_address` and `message_id`.

use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::secret::{Secret, same_bytes};

/// The length of every proof: 128 bits, so that guessing is hopeless (ADV-07).
pub const MAC_BYTES: usize = 16;

/// A secret key with the number by which a proof names it.
#[derive(Clone, Debug)]
pub struct MacKey {
    pub id: u8,
    pub key: Secret<[u8; 32]>,
}

/// The key that signs, and the one before it, which is still believed until the mails signed by it have grown old.
#[derive(Clone, Debug)]
pub struct MacKeys {
    pub active: MacKey,
    pub previous: Option<MacKey>,
}

/// What a proof is for, so that a proof given for one thing is worth nothing for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// An address that answers go to.
    Reply,
    /// An envelope sender that bounces go to.
    Bounce,
    /// A Message-ID of ours.
    MessageId,
    /// The loop header.
    Loop,
    /// The wish for no more mails.
    Unsubscribe,
    /// The mark of a mail from a mailbox to itself.
    Test,
}

impl Purpose {
    fn label(self) -> &'static [u8] {
        match self {
            Purpose::Reply => b"accord mail reply 1",
            Purpose::Bounce => b"accord mail bounce 1",
            Purpose::MessageId => b"accord mail message-id 1",
            Purpose::Loop => b"accord mail loop 1",
            Purpose::Unsubscribe => b"accord mail unsubscribe 1",
            Purpose::Test => b"accord mail test 1",
        }
    }
}

impl MacKeys {
    /// From numbered keys.
    pub fn new(active: (u8, Secret<[u8; 32]>), previous: Option<(u8, Secret<[u8; 32]>)>) -> Self {
        let key = |(id, key)| MacKey { id, key };
        Self { active: key(active), previous: previous.map(key) }
    }

    /// The active key's proof for `parts`, in their order.
    pub fn sign(&self, purpose: Purpose, parts: &[&[u8]]) -> [u8; MAC_BYTES] {
        compute(&self.active, purpose, parts)
    }

    /// Whether `mac` is the proof for `parts` by the key `key_id`.
    pub fn verify(&self, key_id: u8, purpose: Purpose, parts: &[&[u8]], mac: &[u8]) -> bool {
        self.keys().any(|key| key.id == key_id && same_bytes(&compute(key, purpose, parts), mac))
    }

    /// Whether `mac` is the proof for `parts` by either key, for shapes that have no room for a key's number.
    pub fn verify_by_any(&self, purpose: Purpose, parts: &[&[u8]], mac: &[u8]) -> bool {
        self.keys().any(|key| same_bytes(&compute(key, purpose, parts), mac))
    }

    fn keys(&self) -> impl Iterator<Item = &MacKey> {
        std::iter::once(&self.active).chain(self.previous.as_ref())
    }
}

/// Each part goes in with its length before it, so that no two lists of parts read the same.
fn compute(key: &MacKey, purpose: Purpose, parts: &[&[u8]]) -> [u8; MAC_BYTES] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.key.expose()).expect("HMAC takes keys of any length");
    for part in std::iter::once(purpose.label()).chain(parts.iter().copied()) {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part);
    }
    let full = mac.finalize().into_bytes();
    let mut cut = [0; MAC_BYTES];
    cut.copy_from_slice(&full[..MAC_BYTES]);
    cut
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Keys for tests: the active key has this number and is filled with it.
    pub(crate) fn test_keys(active: u8) -> MacKeys {
        MacKeys { active: test_key(active), previous: None }
    }

    pub(crate) fn test_key(id: u8) -> MacKey {
        MacKey { id, key: Secret::new([id; 32]) }
    }

    #[test]
    fn a_proof_is_for_its_purpose_and_its_parts_only() {
        let keys = test_keys(1);
        let mac = keys.sign(Purpose::Reply, &[b"ab", b"c"]);
        assert!(keys.verify(1, Purpose::Reply, &[b"ab", b"c"], &mac));
        assert!(!keys.verify(1, Purpose::Bounce, &[b"ab", b"c"], &mac));
        assert!(!keys.verify(1, Purpose::Reply, &[b"a", b"bc"], &mac));
        assert!(!keys.verify(1, Purpose::Reply, &[b"abc"], &mac));
        assert!(!keys.verify(2, Purpose::Reply, &[b"ab", b"c"], &mac));
        assert!(!keys.verify(1, Purpose::Reply, &[b"ab", b"c"], &mac[..15]));
        assert!(!keys.verify(1, Purpose::Reply, &[b"ab", b"c"], &[]));
    }

    #[test]
    fn both_keys_are_believed_and_the_active_one_signs() {
        let old = test_keys(1);
        let rotated = MacKeys { active: test_key(2), previous: Some(test_key(1)) };
        let mac = old.sign(Purpose::Loop, &[b"x"]);
        assert!(rotated.verify_by_any(Purpose::Loop, &[b"x"], &mac));
        assert!(!old.verify_by_any(Purpose::Loop, &[b"x"], &rotated.sign(Purpose::Loop, &[b"x"])));
    }
}
