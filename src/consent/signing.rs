//! Signed documents that anybody can check without asking us: the W3C's data integrity proofs with Ed25519 over
//! canonical JSON (`eddsa-jcs-2022`), the public key in the proof as a `did:key`.

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::clock::UtcTime;
use crate::error::{Error, Result};
use crate::keys::{Keys, Purpose};

/// The multicodec prefix of an Ed25519 public key.
const ED25519_PUBLIC: [u8; 2] = [0xed, 0x01];
/// The alphabet of base58btc, which multibase marks with `z`.
const BASE58: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

/// Why a document is not to be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("it carries no proof of a kind this program knows")]
    NoProof,
    #[error("the key in its proof cannot be read")]
    Key,
    #[error("it is not as it was signed")]
    Signature,
}

/// `document` with a proof by the installation's newest key for receipts. Gives the key's name too.
pub fn sign(keys: &Keys, document: Value, now: UtcTime) -> Result<(Value, String)> {
    let signers = keys.signing(Purpose::Receipt);
    let (_, key) = signers.first().ok_or_else(|| Error::internal("there is no key to sign with"))?;
    let name = public_name(&key.verifying_key());
    Ok((signed(key, document, now), name))
}

/// The name of the key that signs now: what the operator publishes, and `accord verify --key` compares.
pub fn key_in_force(keys: &Keys) -> Option<String> {
    keys.signing(Purpose::Receipt).first().map(|(_, key)| public_name(&key.verifying_key()))
}

fn signed(key: &SigningKey, mut document: Value, now: UtcTime) -> Value {
    let name = public_name(&key.verifying_key());
    let mut proof = Map::new();
    if let Some(context) = document.get("@context") {
        proof.insert("@context".to_owned(), context.clone());
    }
    proof.insert("type".to_owned(), json!("DataIntegrityProof"));
    proof.insert("cryptosuite".to_owned(), json!("eddsa-jcs-2022"));
    proof.insert("created".to_owned(), json!(now.rfc3339()));
    proof.insert("verificationMethod".to_owned(), json!(format!("did:key:{name}#{name}")));
    proof.insert("proofPurpose".to_owned(), json!("assertionMethod"));
    let hash = hash_data(&document, &proof);
    let signature = key.sign(&hash).to_bytes();
    proof.insert("proofValue".to_owned(), json!(format!("z{}", base58(&signature))));
    if let Some(document) = document.as_object_mut() {
        document.insert("proof".to_owned(), Value::Object(proof));
    }
    document
}

/// Checks the document against the key in its own proof, and gives that key's name: whose key it is, the reader must know.
pub fn verify(document: &Value) -> Result<String, Fault> {
    let mut bare = document.clone();
    let proof = bare.as_object_mut().and_then(|object| object.remove("proof")).ok_or(Fault::NoProof)?;
    let Value::Object(mut proof) = proof else { return Err(Fault::NoProof) };
    let is_known = proof.get("type").and_then(Value::as_str) == Some("DataIntegrityProof")
        && proof.get("cryptosuite").and_then(Value::as_str) == Some("eddsa-jcs-2022")
        && proof.get("@context") == bare.get("@context");
    if !is_known {
        return Err(Fault::NoProof);
    }
    let value = proof.remove("proofValue").ok_or(Fault::NoProof)?;
    let method = proof.get("verificationMethod").and_then(Value::as_str).ok_or(Fault::NoProof)?;
    let name = method.strip_prefix("did:key:").and_then(|rest| rest.split('#').next()).ok_or(Fault::Key)?;
    let key = public_key(name).ok_or(Fault::Key)?;
    let signature = value.as_str().and_then(|text| text.strip_prefix('z')).and_then(unbase58);
    let signature = signature.and_then(|bytes| Signature::from_slice(&bytes).ok()).ok_or(Fault::Signature)?;
    key.verify_strict(&hash_data(&bare, &proof), &signature).map_err(|_| Fault::Signature)?;
    Ok(name.to_owned())
}

/// What is signed: the digest of the proof's own parts, then the digest of the document.
fn hash_data(document: &Value, proof: &Map<String, Value>) -> Vec<u8> {
    let proof = Sha256::digest(canonical(&Value::Object(proof.clone())).as_bytes());
    let document = Sha256::digest(canonical(document).as_bytes());
    [proof.to_vec(), document.to_vec()].concat()
}

/// Canonical JSON (RFC 8785) of documents whose numbers are whole: keys sorted, no spaces.
pub fn canonical(value: &Value) -> String {
    let mut text = String::new();
    write_canonical(value, &mut text);
    text
}

fn write_canonical(value: &Value, text: &mut String) {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<&String> = map.keys().collect();
            keys.sort_by(|a, b| a.encode_utf16().cmp(b.encode_utf16()));
            text.push('{');
            for (index, key) in keys.into_iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                text.push_str(&Value::String(key.clone()).to_string());
                text.push(':');
                write_canonical(&map[key], text);
            }
            text.push('}');
        }
        Value::Array(items) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                write_canonical(item, text);
            }
            text.push(']');
        }
        other => text.push_str(&other.to_string()),
    }
}

fn public_name(key: &VerifyingKey) -> String {
    format!("z{}", base58(&[ED25519_PUBLIC.as_slice(), key.as_bytes()].concat()))
}

fn public_key(name: &str) -> Option<VerifyingKey> {
    let bytes = unbase58(name.strip_prefix('z')?)?;
    let key: [u8; 32] = bytes.strip_prefix(&ED25519_PUBLIC)?.try_into().ok()?;
    VerifyingKey::from_bytes(&key).ok()
}

/// Two keys by the names people compare, whichever way they were written.
pub fn is_same_key(name: &str, other: &str) -> bool {
    let bare = |text: &str| text.trim().trim_start_matches("did:key:").split('#').next().map(str::to_owned);
    bare(name) == bare(other)
}

fn base58(bytes: &[u8]) -> String {
    let mut digits: Vec<u8> = Vec::new();
    for byte in bytes {
        let mut carry = u32::from(*byte);
        for digit in &mut digits {
            carry += u32::from(*digit) << 8;
            *digit = (carry % 58) as u8;
            carry /= 58;
        }
        while carry > 0 {
            digits.push((carry % 58) as u8);
            carry /= 58;
        }
    }
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    let letters = std::iter::repeat_n(0, zeros).chain(digits.into_iter().rev());
    letters.map(|digit| char::from(BASE58[usize::from(digit)])).collect()
}

fn unbase58(text: &str) -> Option<Vec<u8>> {
    // No key or signature is longer.
    if text.len() > 128 {
        return None;
    }
    let mut bytes: Vec<u8> = Vec::new();
    for letter in text.bytes() {
        let mut carry = u32::try_from(BASE58.iter().position(|own| *own == letter)?).ok()?;
        for byte in &mut bytes {
            carry += u32::from(*byte) * 58;
            *byte = (carry & 0xff) as u8;
            carry >>= 8;
        }
        while carry > 0 {
            bytes.push((carry & 0xff) as u8);
            carry >>= 8;
        }
    }
    let zeros = text.bytes().take_while(|letter| *letter == BASE58[0]).count();
    Some(std::iter::repeat_n(0, zeros).chain(bytes.into_iter().rev()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base58_is_that_of_bitcoin() {
        for (bytes, text) in [
            (b"Hello World!".as_slice(), "2NEpo7TZRRrLZSi2U"),
            (b"\0\0\x28\x7f\xb4\xcd".as_slice(), "11233QC4"),
            (b"".as_slice(), ""),
        ] {
            assert_eq!(base58(bytes), text);
            assert_eq!(unbase58(text).unwrap(), bytes);
        }
        assert_eq!(unbase58("0OIl"), None);
    }

    #[test]
    fn canonical_json_sorts_keys_and_has_no_spaces() {
        let value: Value = serde_json::from_str(r#"{ "b": [1, {"z": null, "a": "é\n"}], "a": true }"#).unwrap();
        assert_eq!(canonical(&value), r#"{"a":true,"b":[1,{"a":"é\n","z":null}]}"#);
    }

    #[test]
    fn a_signed_document_verifies_and_no_other() {
        let keys = Keys::ephemeral();
        let now = UtcTime::from_seconds(1_795_400_000);
        let (document, name) = sign(&keys, json!({ "@context": ["a"], "b": { "c": 1 } }), now).unwrap();
        assert!(name.starts_with("z6Mk"), "{name}");
        assert_eq!(verify(&document), Ok(name.clone()));
        assert!(is_same_key(&name, &format!("did:key:{name}#{name}")));
        let changed = |pointer: &str, value: Value| {
            let mut changed = document.clone();
            *changed.pointer_mut(pointer).unwrap() = value;
            verify(&changed)
        };
        assert_eq!(changed("/b/c", json!(2)), Err(Fault::Signature));
        assert_eq!(changed("/proof/created", json!("2026-01-01T00:00:00Z")), Err(Fault::Signature));
        assert_eq!(changed("/@context", json!(["b"])), Err(Fault::NoProof));
        assert_eq!(changed("/proof/cryptosuite", json!("none")), Err(Fault::NoProof));
        assert_eq!(changed("/proof/proofValue", json!("z")), Err(Fault::Signature));
        assert_eq!(changed("/proof/verificationMethod", json!("did:key:z1")), Err(Fault::Key));
        let other = sign(&Keys::ephemeral(), json!({}), now).unwrap().1;
        assert_eq!(changed("/proof/verificationMethod", json!(format!("did:key:{other}"))), Err(Fault::Signature));
        assert_eq!(verify(&json!({ "b": 1 })), Err(Fault::NoProof));
    }
}
