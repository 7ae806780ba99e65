//! Signing the mail that goes out (OUT-07): who reads it can tell that the domain in From stands by it, and that nobody
//! changed it. The keys come with the settings (`config::dkim`); signatures of mail that comes in are not looked at here.
//!
//! `mail-auth` signs, with the arithmetic of ring, as everywhere in Accord. lettre would sign too, by the crate `rsa`, whose
//! private operations take a time that tells of the key (RUSTSEC-2023-0071, not mended).

use std::collections::BTreeSet;
use std::sync::Arc;

use mail_auth::common::crypto::{Algorithm, DkimKey, Sha256, SigningKey};
use mail_auth::common::headers::{HeaderWriter, Writable};
use mail_auth::dkim::DkimSigner;

use super::address::EmailAddress;
use crate::config::dkim::Selector;
use crate::error::{Error, Result};

/// What a reader sees, and what clients thread and answer by. Each is signed once more than it is there: one that somebody
/// adds, be it a second From, makes the signature fail.
const SEALED: [&str; 12] = [
    "From",
    "To",
    "Cc",
    "Subject",
    "Date",
    "Message-ID",
    "In-Reply-To",
    "References",
    "Reply-To",
    "MIME-Version",
    "Content-Type",
    "Content-Transfer-Encoding",
];
/// Signed if they are there, with every field of a list. Whoever passes a mail on may add them.
const IF_THERE: [&str; 3] = ["auto-submitted", "thread-topic", "thread-index"];
const OF_LISTS: &str = "list-";

/// The selectors that sign mail from that domain: the domain's own, or those of the nearest above it, with which it is
/// aligned as DMARC has it unless the domain asks for more. None, when none is set: such mail leaves unsigned.
pub fn selectors_for<'a>(selectors: &'a [Selector], from: &str) -> Vec<&'a Selector> {
    let stands_by = |selector: &&Selector| {
        from == selector.domain || from.strip_suffix(&selector.domain).is_some_and(|rest| rest.ends_with('.'))
    };
    let nearest = selectors.iter().filter(stands_by).map(|selector| selector.domain.len()).max();
    selectors.iter().filter(stands_by).filter(|selector| Some(selector.domain.len()) == nearest).collect()
}

/// The mail with the signatures of the domain in its From. These are the bytes that are kept and sent however often: the
/// signatures tell when they were made, by the clock of the machine.
pub fn sign(selectors: &[Selector], from: &EmailAddress, bytes: Vec<u8>) -> Result<Vec<u8>> {
    let selectors = selectors_for(selectors, from.domain());
    if selectors.is_empty() {
        return Ok(bytes);
    }
    let fields = fields_to_sign(&bytes);
    let mut signed = Vec::with_capacity(bytes.len() + 1024 * selectors.len());
    for selector in selectors {
        let signer = DkimSigner::from_key(Shared(selector.key.clone()))
            .domain(&selector.domain)
            .selector(&selector.name)
            .headers(fields.iter().cloned());
        let signature = signer.sign(&bytes).map_err(|error| {
            let context = format!("the key of {} signs nothing", selector.record_name());
            Error::Internal(anyhow::Error::new(error).context(context))
        })?;
        let mut field = Vec::with_capacity(1024);
        signature.write_header(&mut field);
        signed.extend_from_slice(&without_last_fold(field));
    }
    signed.extend_from_slice(&bytes);
    Ok(signed)
}

/// The library may fold the line between the signature and the semicolon behind it. That white space is not signed (RFC 6376,
/// 3.5), but dkimpy, for one, takes it for what was, and finds such a signature wrong.
fn without_last_fold(mut field: Vec<u8>) -> Vec<u8> {
    if field.ends_with(b"\r\n\t;\r\n") {
        field.truncate(field.len() - b"\r\n\t;\r\n".len());
        field.extend_from_slice(b";\r\n");
    }
    field
}

/// A name that stands there more often than the field is signed so often, too: the last ones sign that it is not there.
fn fields_to_sign(bytes: &[u8]) -> Vec<String> {
    let there = field_names(bytes);
    let others = there.iter().filter(|name| IF_THERE.contains(&name.as_str()) || name.starts_with(OF_LISTS)).cloned();
    let once = SEALED.iter().filter(|name| there.contains(&name.to_ascii_lowercase())).map(|name| (*name).to_owned());
    let once_more = SEALED.iter().map(|name| (*name).to_owned());
    once.chain(once_more).chain(others).collect()
}

/// The names of the fields, in lower case.
fn field_names(bytes: &[u8]) -> BTreeSet<String> {
    let lines = bytes.split(|byte| *byte == b'\n').take_while(|line| !matches!(*line, b"" | b"\r"));
    let names = lines.filter(|line| !line.starts_with(b" ") && !line.starts_with(b"\t"));
    names
        .filter_map(|line| line.split(|byte| *byte == b':').next())
        .map(|name| String::from_utf8_lossy(name).trim().to_ascii_lowercase())
        .collect()
}

/// A key that many mails are signed with; the signer of the library wants one for itself.
struct Shared(Arc<DkimKey>);

impl SigningKey for Shared {
    type Hasher = Sha256;

    fn sign(&self, input: impl Writable) -> mail_auth::Result<Vec<u8>> {
        self.0.sign(input)
    }

    fn algorithm(&self) -> Algorithm {
        self.0.algorithm()
    }
}
