//! The token of whoever wants no more mails about tickets (OUT-06): in the link of the mail's `List-Unsubscribe` and, after
//! `u+`, in its address. It needs no sign-in and no row of its own: version ‖ key number ‖ public name of the person (80
//! bits) ‖ proof (128) in base32. All that it is good for is that one wish.

use super::mac::{MAC_BYTES, MacKeys, Purpose};
use crate::secret::base32_lower;

const VERSION: u8 = 1;
const NAME_BYTES: usize = 10;
const TOKEN_BYTES: usize = 1 + 1 + NAME_BYTES + MAC_BYTES;
const PREFIX: &str = "u+";

/// The token of the person with that public name; nothing when the name is none of ours.
pub fn mint(keys: &MacKeys, person: &str) -> Option<String> {
    let name: [u8; NAME_BYTES] = base32_lower().decode(person.as_bytes()).ok()?.try_into().ok()?;
    let mut bytes = Vec::with_capacity(TOKEN_BYTES);
    bytes.extend_from_slice(&[VERSION, keys.active.id]);
    bytes.extend_from_slice(&name);
    let mac = keys.sign(Purpose::Unsubscribe, &[&bytes]);
    bytes.extend_from_slice(&mac);
    Some(base32_lower().encode(&bytes))
}

/// The public name of the person whose token this is, if we made it. In constant time.
pub fn person(keys: &MacKeys, token: &str) -> Option<String> {
    let bytes: [u8; TOKEN_BYTES] = base32_lower().decode(token.as_bytes()).ok()?.try_into().ok()?;
    let (body, mac) = bytes.split_at(TOKEN_BYTES - MAC_BYTES);
    let [VERSION, key_id, name @ ..] = body else { return None };
    keys.verify(*key_id, Purpose::Unsubscribe, &[body], mac).then(|| base32_lower().encode(name))
}

/// The local part of the address at which a mail does the same.
pub fn local_part(token: &str) -> String {
    format!("{PREFIX}{token}")
}

/// What may be a token in a local part, in either case: of the length and the letters of one, genuine or not.
pub fn in_local_part(local_part: &str) -> Option<String> {
    let (prefix, token) = local_part.split_at_checked(PREFIX.len())?;
    let token = token.to_ascii_lowercase();
    let bytes = base32_lower().decode(token.as_bytes()).ok()?;
    (prefix.eq_ignore_ascii_case(PREFIX) && bytes.len() == TOKEN_BYTES).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::mac::tests::{test_key, test_keys};
    use crate::secret::random_handle;

    #[test]
    fn out_06_a_token_names_one_person_and_is_believed_while_its_key_is() {
        let (keys, handle) = (test_keys(1), random_handle());
        let token = mint(&keys, &handle).unwrap();
        assert_eq!(person(&keys, &token), Some(handle.clone()));
        let local_part = local_part(&token);
        assert!(local_part.len() <= 64, "{local_part}");
        assert_eq!(in_local_part(&local_part.to_ascii_uppercase()), Some(token.clone()));
        for other in ["u+", "u+sales", "u+x", &local_part[..local_part.len() - 8], "v+"] {
            assert_eq!(in_local_part(other), None, "{other}");
        }
        let rotated = MacKeys { active: test_key(2), previous: Some(test_key(1)) };
        assert_eq!(person(&rotated, &token), Some(handle));
        assert_eq!(person(&test_keys(2), &token), None);
    }

    #[test]
    fn out_06_no_other_text_is_a_token() {
        let keys = test_keys(1);
        let token = mint(&keys, &random_handle()).unwrap();
        for at in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[at] = if changed[at] == b'a' { b'b' } else { b'a' };
            assert_eq!(person(&keys, std::str::from_utf8(&changed).unwrap()), None, "changed at {at}");
        }
        for text in ["", "u+", "é", &token[1..], &format!("{token}a"), &"a".repeat(token.len())] {
            assert_eq!(person(&keys, text), None, "{text}");
        }
        assert_eq!(mint(&keys, "not a name"), None);
        for text in ["", "u", "u+", "r+abc", "é+abc"] {
            assert_eq!(in_local_part(text), None, "{text}");
        }
    }
}
