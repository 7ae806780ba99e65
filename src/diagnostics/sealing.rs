//! What was captured is kept sealed: one random key for each grant, itself wrapped under a key that is not in the
//! database, and XChaCha20-Poly1305 over each chunk. A chunk is bound to its organisation, its grant, its place and the
//! chunk before it, so none can be taken out of the middle, put elsewhere or exchanged. Without the grant's key nothing
//! of it can be read any more by anybody: that is how a capture is destroyed.

use std::time::Duration;

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::{Zeroize, Zeroizing};

use crate::clock::UtcTime;
use crate::consent::scope::Channel;
use crate::db::types::{GrantId, OrganisationId};
use crate::diagnostics::stored::SCHEMA;
use crate::keys::{Keys, Purpose};
use crate::secret::locked::LockedKey;
use crate::secret::{fill_randomly, random_bytes};

/// No key is held in memory for longer than this; then it is asked for again, and may be gone.
pub const KEY_HELD: Duration = Duration::from_secs(60);

const NONCE: usize = 24;
/// The length of a chunk's tag.
pub const TAG: usize = 16;
/// Names of what is sealed here, so that nothing sealed for one thing opens as another.
const CHUNK: &[u8] = b"accord trace chunk";
const WRAPPING: &[u8] = b"accord trace key 1";
const TAGS: &[u8] = b"accord trace tags 1";

/// The tag of a chunk, by which the next one knows it.
pub type Tag = [u8; TAG];

/// The tag before the first chunk.
pub const NO_TAG: Tag = [0; TAG];

/// The key of one grant. It is wiped from memory when dropped, and where the machine allows enough locked memory it was never
/// written to the swap space: it is gone with what it opened.
pub struct GrantKey(LockedKey);

/// A grant's key as the database has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrapped {
    pub bytes: Vec<u8>,
    /// The generation of the key it is wrapped under.
    pub wrapping_key: String,
}

/// Where a chunk belongs. All of it is in clear beside the sealed bytes, and none of it can be changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub organisation: OrganisationId,
    pub grant: GrantId,
    /// From 1 on, without gaps.
    pub number: i64,
    pub channel: Channel,
    pub records: i32,
    pub first_at: UtcTime,
    pub last_at: UtcTime,
    pub previous_tag: Tag,
}

/// It was not sealed with this key, or for this place, or it was changed since.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("what was sealed cannot be opened")]
pub struct Unsealable;

impl GrantKey {
    pub fn random() -> GrantKey {
        GrantKey(LockedKey::filled(|key| fill_randomly(key)))
    }

    /// The key that tags of redacted values are made with. It dies with this one.
    pub fn for_tags(&self) -> LockedKey {
        let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(self.0.expose()).expect("HMAC takes keys of any length");
        mac.update(TAGS);
        let mut tag = mac.finalize().into_bytes();
        let key = LockedKey::filled(|key| key.copy_from_slice(&tag));
        AsMut::<[u8]>::as_mut(&mut tag).zeroize();
        key
    }

    /// The key as it may stand in the database.
    pub fn wrap(&self, keys: &Keys, grant: GrantId) -> Result<Wrapped, Unsealable> {
        let (generation, wrapping) = keys.active(Purpose::Trace);
        let bytes = seal(wrapping.expose(), self.0.expose(), &wrapping_place(grant))?;
        Ok(Wrapped { bytes, wrapping_key: generation.to_string() })
    }

    /// The key that was wrapped for `grant`, while the key it is wrapped under is kept.
    pub fn unwrap(wrapped: &Wrapped, keys: &Keys, grant: GrantId) -> Result<GrantKey, Unsealable> {
        let generation = wrapped.wrapping_key.parse().map_err(|_| Unsealable)?;
        let wrapping = keys.of_generation(generation, Purpose::Trace).ok_or(Unsealable)?;
        let opened = open(wrapping.expose(), &wrapped.bytes, &wrapping_place(grant))?;
        let opened: &[u8; 32] = opened.as_slice().try_into().map_err(|_| Unsealable)?;
        Ok(GrantKey(LockedKey::filled(|key| key.copy_from_slice(opened))))
    }

    /// The sealed bytes, and the tag that the next chunk is bound to.
    pub fn seal(&self, records: &[u8], place: &Place) -> Result<(Vec<u8>, Tag), Unsealable> {
        let sealed = seal(self.0.expose(), records, &place.bytes())?;
        let tag = tag_of(&sealed).ok_or(Unsealable)?;
        Ok((sealed, tag))
    }

    /// The bytes that were sealed for this place.
    pub fn open(&self, sealed: &[u8], place: &Place) -> Result<Zeroizing<Vec<u8>>, Unsealable> {
        open(self.0.expose(), sealed, &place.bytes())
    }
}

impl Place {
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(96);
        bytes.extend_from_slice(CHUNK);
        bytes.extend_from_slice(&SCHEMA.to_be_bytes());
        for number in [self.organisation.0, self.grant.0, self.number, self.first_at.micros(), self.last_at.micros()] {
            bytes.extend_from_slice(&number.to_be_bytes());
        }
        bytes.extend_from_slice(&self.records.to_be_bytes());
        bytes.push(self.channel as u8);
        bytes.extend_from_slice(&self.previous_tag);
        bytes
    }
}

/// The tag at the end of sealed bytes.
pub fn tag_of(sealed: &[u8]) -> Option<Tag> {
    sealed.last_chunk().copied()
}

fn wrapping_place(grant: GrantId) -> Vec<u8> {
    [WRAPPING, &grant.0.to_be_bytes()].concat()
}

/// Nonce, sealed bytes, tag. Nonces of this length may be drawn at random: none is ever drawn twice.
fn seal(key: &[u8; 32], bytes: &[u8], place: &[u8]) -> Result<Vec<u8>, Unsealable> {
    let nonce = random_bytes::<NONCE>();
    let sealed = XChaCha20Poly1305::new(key.into())
        .encrypt(&XNonce::from(nonce), Payload { msg: bytes, aad: place })
        .map_err(|_| Unsealable)?;
    Ok([nonce.as_slice(), &sealed].concat())
}

fn open(key: &[u8; 32], sealed: &[u8], place: &[u8]) -> Result<Zeroizing<Vec<u8>>, Unsealable> {
    let (nonce, sealed) = sealed.split_first_chunk::<NONCE>().ok_or(Unsealable)?;
    XChaCha20Poly1305::new(key.into())
        .decrypt(&XNonce::from(*nonce), Payload { msg: sealed, aad: place })
        .map(Zeroizing::new)
        .map_err(|_| Unsealable)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> Place {
        Place {
            organisation: OrganisationId(3),
            grant: GrantId(7),
            number: 2,
            channel: Channel::Server,
            records: 5,
            first_at: UtcTime::from_seconds(10),
            last_at: UtcTime::from_seconds(11),
            previous_tag: [1; TAG],
        }
    }

    #[test]
    fn a_chunk_opens_at_its_own_place_only() {
        let key = GrantKey::random();
        let (sealed, tag) = key.seal(b"what happened", &place()).unwrap();
        assert_eq!(key.open(&sealed, &place()).unwrap().as_slice(), b"what happened");
        assert_eq!(tag_of(&sealed), Some(tag));
        let others = [
            Place { organisation: OrganisationId(4), ..place() },
            Place { grant: GrantId(8), ..place() },
            Place { number: 3, ..place() },
            Place { channel: Channel::Otlp, ..place() },
            Place { records: 6, ..place() },
            Place { first_at: UtcTime::from_seconds(9), ..place() },
            Place { last_at: UtcTime::from_seconds(12), ..place() },
            Place { previous_tag: NO_TAG, ..place() },
        ];
        for other in others {
            assert_eq!(key.open(&sealed, &other), Err(Unsealable), "{other:?}");
        }
        assert_eq!(GrantKey::random().open(&sealed, &place()), Err(Unsealable));
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(key.open(&changed, &place()).is_err(), "{at}");
            assert!(key.open(&sealed[..at], &place()).is_err(), "{at}");
        }
    }

    #[test]
    fn nothing_of_what_is_sealed_shows_and_nothing_is_sealed_alike_twice() {
        let key = GrantKey::random();
        let (one, _) = key.seal(b"canary canary canary", &place()).unwrap();
        let (other, _) = key.seal(b"canary canary canary", &place()).unwrap();
        assert_ne!(one, other);
        assert!(!one.windows(6).any(|window| window == b"canary"));
    }

    #[test]
    fn a_grant_s_key_is_wrapped_for_it_alone_and_survives_one_rotation() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.json");
        let now = UtcTime::from_seconds(0);
        let keys = Keys::load_or_create(&path, now).unwrap();
        let key = GrantKey::random();
        let wrapped = key.wrap(&keys, GrantId(7)).unwrap();
        assert!(GrantKey::unwrap(&wrapped, &keys, GrantId(8)).is_err());
        assert!(GrantKey::unwrap(&wrapped, &Keys::ephemeral(), GrantId(7)).is_err());
        Keys::rotate(&path, now).unwrap();
        let rotated = Keys::load_or_create(&path, now).unwrap();
        let unwrapped = GrantKey::unwrap(&wrapped, &rotated, GrantId(7)).unwrap();
        let (sealed, _) = key.seal(b"records", &place()).unwrap();
        assert_eq!(unwrapped.open(&sealed, &place()).unwrap().as_slice(), b"records");
        assert_eq!(key.for_tags().expose(), unwrapped.for_tags().expose());
        Keys::rotate(&path, now).unwrap();
        let twice = Keys::load_or_create(&path, now).unwrap();
        assert!(GrantKey::unwrap(&wrapped, &twice, GrantId(7)).is_err());
    }
}
