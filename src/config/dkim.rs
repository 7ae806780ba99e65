//! `mail.dkim`: for which domains the mail that goes out is signed, and with which keys (OUT-07). A key stays where its file
//! is: it is read at the start, so that one that cannot be used is told of like any other fault of the settings.

use std::fmt;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mail_auth::common::crypto::{DkimKey, Ed25519Key, RsaKey, Sha256};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{PrivateKeyDer, alg_id};
use rustls::sign::public_key_to_spki;
use zeroize::Zeroizing;

use super::Reader;

const KEY: &str = "mail.dkim";
/// What stands between a selector and its domain in the name of a record (RFC 6376, 3.6.2.1).
const BETWEEN: &str = "._domainkey.";
/// More than any file with one key.
const LONGEST_FILE: u64 = 64 * 1024;
/// The longest piece of a text in DNS (RFC 1035, 3.3).
const LONGEST_PIECE: usize = 255;

/// A key by which a domain signs, and under which name its public half is published.
#[derive(Clone)]
pub struct Selector {
    /// The name of the key within the domain.
    pub name: String,
    pub domain: String,
    /// Where the key came from.
    pub file: PathBuf,
    /// Who signs with it.
    pub key: Arc<DkimKey>,
}

/// A key is one of two kinds. Ed25519 signs in fewer bytes and is known to few who read mail; RSA is known to all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    Rsa,
    Ed25519,
}

impl fmt::Debug for Selector {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Selector").field("record", &self.record_name()).field("file", &self.file).finish()
    }
}

impl Selector {
    pub fn algorithm(&self) -> Algorithm {
        match *self.key {
            DkimKey::Rsa(_) => Algorithm::Rsa,
            DkimKey::Ed25519(_) => Algorithm::Ed25519,
        }
    }

    /// Where the public half is published.
    pub fn record_name(&self) -> String {
        format!("{}{BETWEEN}{}", self.name, self.domain)
    }

    /// What is published there.
    pub fn record(&self) -> String {
        let (kind, public) = match &*self.key {
            DkimKey::Rsa(key) => ("rsa", public_key_to_spki(&alg_id::RSA_ENCRYPTION, key.public_key()).to_vec()),
            DkimKey::Ed25519(key) => ("ed25519", key.public_key()),
        };
        format!("v=DKIM1; k={kind}; p={}", data_encoding::BASE64.encode(&public))
    }

    /// The record as it stands in a zone file.
    pub fn zone_line(&self) -> String {
        let record = self.record();
        let pieces: Vec<String> = record
            .as_bytes()
            .chunks(LONGEST_PIECE)
            .map(|piece| format!("\"{}\"", String::from_utf8_lossy(piece)))
            .collect();
        format!("{}. IN TXT {}", self.record_name(), pieces.join(" "))
    }
}

/// Longer than any name of a record with the path of a file; a key without its first line is longer still.
const LONGEST_ENTRY: usize = 600;

/// Reads the keys that are set.
pub(super) fn read(reader: &mut Reader) -> Arc<[Selector]> {
    let mut selectors: Vec<Selector> = Vec::new();
    for entry in reader.list(KEY) {
        match selector_of(&entry) {
            Ok(selector) if selectors.iter().any(|other| other.record_name() == selector.record_name()) => {
                reader.problem(KEY, &format!("{} stands there twice", selector.record_name()));
            }
            Ok(selector) => selectors.push(selector),
            Err(problem) => reader.problem(KEY, &problem),
        }
    }
    let alone = selectors
        .iter()
        .find(|one| !selectors.iter().any(|other| other.domain == one.domain && other.algorithm() == Algorithm::Rsa));
    if let Some(alone) = alone {
        let domain = &alone.domain;
        let text =
            format!("{domain} has an Ed25519 key only, which few who read mail know; give it an RSA key as well");
        reader.problem(KEY, &text);
    }
    selectors.into()
}

fn selector_of(entry: &str) -> Result<Selector, String> {
    if entry.contains("PRIVATE KEY") || entry.len() > LONGEST_ENTRY {
        // What is wrong there is not to be repeated in a log.
        return Err("names the file that a key is in, and not the key itself".to_owned());
    }
    let form = || {
        format!(
            "each is to be the name of a record and a key file, as in \
             [\"s1{BETWEEN}example.com = /etc/accord/s1.pem\"]; «{entry}» is not"
        )
    };
    let (record, file) = entry.split_once('=').ok_or_else(form)?;
    let (name, domain) = record.trim().split_once(BETWEEN).ok_or_else(form)?;
    let (file, name) = (file.trim(), name.to_ascii_lowercase());
    if file.is_empty() || !is_name(&name) {
        return Err(form());
    }
    let domain = idna::domain_to_ascii_strict(domain).ok().filter(|domain| domain.contains('.')).ok_or_else(form)?;
    let file = PathBuf::from(file);
    let key = load(&file)?;
    Ok(Selector { name, domain, file, key: Arc::new(key) })
}

/// Labels of letters, digits and hyphens.
pub fn is_name(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 128 && text.split('.').all(is_label)
}

/// Reads a key from a PEM file that nobody else can read.
pub fn load(path: &Path) -> Result<DkimKey, String> {
    let shown = path.display();
    let unreadable = |error: std::io::Error| format!("the key file {shown} cannot be read ({error})");
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mode = file.metadata().map_err(unreadable)?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(format!("the key file {shown} can be read by others; run chmod 600 on it"));
    }
    let mut pem = Zeroizing::new(Vec::new());
    file.take(LONGEST_FILE).read_to_end(&mut pem).map_err(unreadable)?;
    parse(&pem).ok_or_else(|| {
        format!("the key file {shown} holds no RSA key of 2048 to 4096 bits and no Ed25519 key in PEM; make one with accord dkim make")
    })
}

/// Which kind it is, the key itself says.
pub fn parse(pem: &[u8]) -> Option<DkimKey> {
    let der = PrivateKeyDer::from_pem_slice(pem).ok()?;
    // The usual file of an Ed25519 key has no public half to compare with; what is made from one key cannot differ.
    if let PrivateKeyDer::Pkcs8(pkcs8) = &der
        && let Ok(key) = Ed25519Key::from_pkcs8_maybe_unchecked_der(pkcs8.secret_pkcs8_der())
    {
        return Some(DkimKey::Ed25519(key));
    }
    RsaKey::<Sha256>::from_key_der(der).ok().map(DkimKey::Rsa)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    use super::*;
    use crate::config::{Overrides, parse as parse_settings};

    const RSA: &str = include_str!("../../tests/fixtures/dkim/rsa.pem");
    const ED25519: &str = include_str!("../../tests/fixtures/dkim/ed25519.pem");

    fn file(folder: &Path, name: &str, text: &str, mode: u32) -> String {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path.display().to_string()
    }

    fn problem(entries: &[String]) -> String {
        let text = format!("[mail]\ndkim = {entries:?}");
        let problems = parse_settings(&text, BTreeMap::new(), &Overrides::default()).unwrap_err();
        assert_eq!((problems.len(), problems[0].key.as_str(), problems[0].line), (1, KEY, Some(2)), "{problems:?}");
        problems[0].text.clone()
    }

    #[test]
    fn out_07_a_domain_signs_by_selectors_of_both_kinds_and_tells_what_to_publish() {
        let folder = tempfile::tempdir().unwrap();
        let rsa = file(folder.path(), "rsa.pem", RSA, 0o600);
        let ed25519 = file(folder.path(), "ed25519.pem", ED25519, 0o400);
        let text = format!(
            "[mail]\ndkim = [\"s1._domainkey.Garonne.example = {rsa}\", \"s2._domainkey.garonne.example={ed25519}\"]"
        );
        let config = parse_settings(&text, BTreeMap::new(), &Overrides::default()).unwrap();
        let [one, two] = &*config.mail.dkim else { panic!("{:?}", config.mail.dkim) };
        assert_eq!((one.algorithm(), two.algorithm()), (Algorithm::Rsa, Algorithm::Ed25519));
        assert_eq!(one.record_name(), "s1._domainkey.garonne.example");
        // What OpenSSL says the public half is: `openssl pkey -pubout -outform DER | base64`.
        assert!(one.record().starts_with("v=DKIM1; k=rsa; p=MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA"));
        assert_eq!(one.record().len(), "v=DKIM1; k=rsa; p=".len() + 392);
        assert_eq!(two.record().len(), "v=DKIM1; k=ed25519; p=".len() + 44);
        let zone = one.zone_line();
        assert!(zone.starts_with("s1._domainkey.garonne.example. IN TXT \"v=DKIM1; k=rsa; p="), "{zone}");
        assert_eq!(zone.matches('"').count(), 4);
        assert!(!format!("{:?}", config.mail).contains("PRIVATE"));
    }

    #[test]
    fn out_07_a_key_that_cannot_be_used_is_named_with_its_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let rsa = file(folder.path(), "rsa.pem", RSA, 0o600);
        let open = file(folder.path(), "open.pem", RSA, 0o640);
        let ed25519 = file(folder.path(), "ed25519.pem", ED25519, 0o600);
        let small = file(folder.path(), "small.pem", include_str!("../../tests/fixtures/dkim/rsa1024.pem"), 0o600);
        let other = file(folder.path(), "other.pem", "no key", 0o600);
        let entry = |name: &str, file: &str| format!("{name} = {file}");
        for (entries, wanted) in [
            (vec![entry("s1._domainkey.garonne.example", &open)], "chmod 600"),
            (vec![entry("s1._domainkey.garonne.example", &small)], "2048"),
            (vec![entry("s1._domainkey.garonne.example", &other)], "PEM"),
            (vec![entry("s1._domainkey.garonne.example", "/nowhere/key.pem")], "cannot be read"),
            (vec![entry("garonne.example", &rsa)], "the name of a record"),
            (vec![entry("s1._domainkey.garonne.example", "-----BEGIN PRIVATE KEY-----")], "not the key itself"),
            (vec![entry("s1._domainkey.garonne.example", &"A".repeat(1_000))], "not the key itself"),
            (vec![entry("s 1._domainkey.garonne.example", &rsa)], "the name of a record"),
            (vec![entry("s1._domainkey.garonne", &rsa)], "the name of a record"),
            (vec!["s1._domainkey.garonne.example".to_owned()], "the name of a record"),
            (vec![entry("s1._domainkey.garonne.example", &ed25519)], "an RSA key as well"),
            (vec![entry("s1._domainkey.garonne.example", &rsa), entry("S1._domainkey.garonne.example", &rsa)], "twice"),
        ] {
            let said = problem(&entries);
            assert!(said.contains(wanted), "{entries:?}: {said}");
        }
    }
}
