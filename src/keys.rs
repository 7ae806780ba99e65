//! The installation's keys: one file, mode 0600, outside the database and its backups. Nothing else touches key
//! material; others get a key derived for one purpose, or a signer. Two generations are kept, so that what was signed
//! before a rotation still verifies.

use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use data_encoding::BASE64;
use ed25519_dalek::SigningKey;
use hmac::{Hmac, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::clock::UtcTime;
use crate::mail::mac::MacKeys;
use crate::secret::{Secret, random_bytes};

/// What a derived key is for. Keys of different purposes have nothing in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Signed reply addresses, Message-IDs, loop marks.
    Mail,
    /// Form tokens before sign-in, signed links to inline images.
    Form,
    /// API tokens.
    Api,
    /// Tokens with which products send what a grant opened.
    Otlp,
    /// Masking ids in cursors.
    Cursor,
    /// Wrapping the keys of what grants opened.
    Trace,
    /// Receipts of consents, certificates of destruction, bundles of evidence.
    Receipt,
}

impl Purpose {
    fn label(self) -> &'static [u8] {
        match self {
            Purpose::Mail => b"accord mail 1",
            Purpose::Form => b"accord form 1",
            Purpose::Api => b"accord api 1",
            Purpose::Otlp => b"accord otlp 1",
            Purpose::Cursor => b"accord cursor 1",
            Purpose::Trace => b"accord trace 1",
            Purpose::Receipt => b"accord receipt 1",
        }
    }
}

/// The keys in force: the newest generation first.
#[derive(Clone)]
pub struct Keys {
    generations: Vec<Generation>,
}

#[derive(Clone)]
struct Generation {
    id: u8,
    secret: Secret<[u8; 32]>,
}

/// How generations stand in the file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyFile {
    generations: Vec<StoredGeneration>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredGeneration {
    id: u8,
    secret: String,
    created_at: UtcTime,
}

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("the key file {path} cannot be used: {source}")]
    File { path: PathBuf, source: std::io::Error },
    #[error("the key file {0} can be read by others; run chmod 600 on it")]
    Exposed(PathBuf),
    #[error("the key file {0} is damaged; restore it from your backup of secrets")]
    Damaged(PathBuf),
}

impl Keys {
    /// Reads the key file, or makes it with fresh keys on the first start.
    pub fn load_or_create(path: &Path, now: UtcTime) -> Result<Keys, KeyError> {
        let failed = |source| KeyError::File { path: path.to_owned(), source };
        match std::fs::File::open(path) {
            Ok(file) => {
                let mode = file.metadata().map_err(failed)?.permissions().mode();
                if mode & 0o077 != 0 {
                    return Err(KeyError::Exposed(path.to_owned()));
                }
                let stored: KeyFile = serde_json::from_reader(file).map_err(|_| KeyError::Damaged(path.to_owned()))?;
                Keys::from_stored(&stored).ok_or_else(|| KeyError::Damaged(path.to_owned()))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let fresh = KeyFile { generations: vec![fresh_generation(1, now)] };
                match write_new(path, &fresh) {
                    // Another process was faster; its keys are the installation's.
                    Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                        return Keys::load_or_create(path, now);
                    }
                    written => written.map_err(failed)?,
                }
                Keys::from_stored(&fresh).ok_or_else(|| KeyError::Damaged(path.to_owned()))
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// Fresh keys that are kept nowhere, for tests and measurements.
    pub fn ephemeral() -> Keys {
        Keys { generations: vec![Generation { id: 1, secret: Secret::new(random_bytes::<32>()) }] }
    }

    fn from_stored(stored: &KeyFile) -> Option<Keys> {
        let mut generations = Vec::new();
        for generation in &stored.generations {
            let secret = BASE64.decode(generation.secret.as_bytes()).ok()?.try_into().ok()?;
            generations.push(Generation { id: generation.id, secret: Secret::new(secret) });
        }
        (!generations.is_empty()).then_some(Keys { generations })
    }

    /// Puts a new generation first and keeps the one before it.
    pub fn rotate(path: &Path, now: UtcTime) -> Result<(), KeyError> {
        let failed = |source| KeyError::File { path: path.to_owned(), source };
        let file = std::fs::File::open(path).map_err(failed)?;
        let mut stored: KeyFile = serde_json::from_reader(file).map_err(|_| KeyError::Damaged(path.to_owned()))?;
        let newest = stored.generations.first().map_or(0, |generation| generation.id);
        stored.generations.insert(0, fresh_generation(newest.wrapping_add(1).max(1), now));
        stored.generations.truncate(2);
        let beside = path.with_extension("new");
        write_new(&beside, &stored).map_err(failed)?;
        std::fs::rename(&beside, path).map_err(failed)
    }

    /// The key of the newest generation for `purpose`, with the generation's id.
    pub fn active(&self, purpose: Purpose) -> (u8, Secret<[u8; 32]>) {
        let generation = &self.generations[0];
        (generation.id, derive(generation, purpose))
    }

    /// The key of the generation before, while it is kept.
    pub fn previous(&self, purpose: Purpose) -> Option<(u8, Secret<[u8; 32]>)> {
        self.generations.get(1).map(|generation| (generation.id, derive(generation, purpose)))
    }

    /// The keys that sign addresses and Message-IDs, as `mail` wants them.
    pub fn for_mail(&self) -> MacKeys {
        MacKeys::new(self.active(Purpose::Mail), self.previous(Purpose::Mail))
    }

    /// The key of generation `id` for `purpose`, if it is still kept.
    pub fn of_generation(&self, id: u8, purpose: Purpose) -> Option<Secret<[u8; 32]>> {
        self.generations.iter().find(|generation| generation.id == id).map(|generation| derive(generation, purpose))
    }

    /// Ed25519 keys for `purpose`, the newest first, each with its key id.
    pub fn signing(&self, purpose: Purpose) -> Vec<(String, SigningKey)> {
        self.generations
            .iter()
            .map(|generation| {
                let key = SigningKey::from_bytes(derive(generation, purpose).expose());
                (format!("k{}", generation.id), key)
            })
            .collect()
    }

    /// HMAC-SHA-256 of `parts`, each with its length before it, under the newest key for `purpose`.
    pub fn mac(&self, purpose: Purpose, parts: &[&[u8]]) -> [u8; 32] {
        mac_with(self.active(purpose).1.expose(), parts)
    }

    /// Whether `mac` is [`Keys::mac`] of `parts`, under either generation.
    pub fn verifies(&self, purpose: Purpose, parts: &[&[u8]], mac: &[u8]) -> bool {
        self.generations.iter().any(|generation| {
            let key = derive(generation, purpose);
            crate::secret::same_bytes(&mac_with(key.expose(), parts), mac)
        })
    }
}

fn derive(generation: &Generation, purpose: Purpose) -> Secret<[u8; 32]> {
    Secret::new(mac_with(generation.secret.expose(), &[purpose.label()]))
}

fn mac_with(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(key).expect("HMAC takes keys of any length");
    for part in parts {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

fn fresh_generation(id: u8, now: UtcTime) -> StoredGeneration {
    StoredGeneration { id, secret: BASE64.encode(&random_bytes::<32>()), created_at: now }
}

fn write_new(path: &Path, keys: &KeyFile) -> std::io::Result<()> {
    let text = serde_json::to_string_pretty(keys).map_err(std::io::Error::other)?;
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_survive_a_restart_and_one_rotation() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.json");
        let now = UtcTime::from_seconds(0);
        let first = Keys::load_or_create(&path, now).unwrap();
        let mac = first.mac(Purpose::Form, &[b"a", b"bc"]);
        assert!(Keys::load_or_create(&path, now).unwrap().verifies(Purpose::Form, &[b"a", b"bc"], &mac));
        Keys::rotate(&path, now).unwrap();
        let second = Keys::load_or_create(&path, now).unwrap();
        assert_ne!(second.mac(Purpose::Form, &[b"a", b"bc"]), mac);
        assert!(second.verifies(Purpose::Form, &[b"a", b"bc"], &mac));
        Keys::rotate(&path, now).unwrap();
        assert!(!Keys::load_or_create(&path, now).unwrap().verifies(Purpose::Form, &[b"a", b"bc"], &mac));
    }

    #[test]
    fn purposes_and_parts_do_not_mix() {
        let keys = Keys::ephemeral();
        let mac = keys.mac(Purpose::Form, &[b"ab", b"c"]);
        assert!(!keys.verifies(Purpose::Mail, &[b"ab", b"c"], &mac));
        assert!(!keys.verifies(Purpose::Form, &[b"a", b"bc"], &mac));
    }

    #[test]
    fn a_key_file_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.json");
        Keys::load_or_create(&path, UtcTime::from_seconds(0)).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(Keys::load_or_create(&path, UtcTime::from_seconds(0)), Err(KeyError::Exposed(_))));
    }
}
