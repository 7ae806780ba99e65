//! Addresses that carry their own proof (TH-01, OUT-05): `r+…@reply-domain`, to which an answer to one ticket by one
//! participant goes, and `b+…@reply-domain`, the envelope sender to which its bounces go.
//!
//! The token is version ‖ key number ‖ ticket handle (64 bits) ‖ participant (32) ‖ epoch (16) ‖ proof (128) in base32.
//! The proof also covers the organisation and the mailbox, which are known only once the handle was looked up: hence
//! reading ([`parse`]) and believing ([`UnverifiedToken::is_genuine`]) are two steps. A token says which conversation is
//! meant, never who is speaking: that is the From address's part (ADV-07).

use super::mac::{MAC_BYTES, MacKeys, Purpose};
use crate::secret::base32_lower;

const VERSION: u8 = 1;
const TOKEN_BYTES: usize = 1 + 1 + 8 + 4 + 2 + MAC_BYTES;
/// 32 bytes in base32.
const TOKEN_CHARACTERS: usize = 52;

/// What mail to the address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressPurpose {
    /// An answer.
    Reply,
    /// A report that a mail of ours did not arrive.
    Bounce,
}

impl AddressPurpose {
    fn prefix(self) -> char {
        match self {
            AddressPurpose::Reply => 'r',
            AddressPurpose::Bounce => 'b',
        }
    }

    fn mac(self) -> Purpose {
        match self {
            AddressPurpose::Reply => Purpose::Reply,
            AddressPurpose::Bounce => Purpose::Bounce,
        }
    }
}

/// Everything a token stands for.
#[derive(Clone, Copy, Debug)]
pub struct TokenFor<'a> {
    pub purpose: AddressPurpose,
    /// The ticket's public number (`tickets.handle`), never its id.
    pub ticket_handle: i64,
    /// The participant's number within the ticket (`ticket_participants.token_number`).
    pub participant: u32,
    /// Counts up when the participant's tokens must die (`ticket_participants.token_epoch`).
    pub epoch: u16,
    /// The id of the ticket's organisation, which is proven but not sent.
    pub organisation: i64,
    /// The mailbox that the conversation is held with, proven but not sent.
    pub mailbox: &'a str,
}

/// The local part of the address for `token`: 54 characters, all lower case.
pub fn mint(keys: &MacKeys, token: &TokenFor<'_>) -> String {
    let body = body(keys.active.id, token.ticket_handle, token.participant, token.epoch);
    let organisation = token.organisation.to_be_bytes();
    let mailbox = token.mailbox.to_ascii_lowercase();
    let mac = keys.sign(token.purpose.mac(), &[&body, &organisation, mailbox.as_bytes()]);
    let mut bytes = body.to_vec();
    bytes.extend_from_slice(&mac);
    format!("{}+{}", token.purpose.prefix(), base32_lower().encode(&bytes))
}

/// Reads a local part, in either case. Anything but a token of exactly the right length, alphabet and version is none
/// at all (ADV-04).
pub fn parse(local_part: &str) -> Option<UnverifiedToken> {
    let purpose = match local_part.as_bytes() {
        [b'r' | b'R', b'+', ..] => AddressPurpose::Reply,
        [b'b' | b'B', b'+', ..] => AddressPurpose::Bounce,
        _ => return None,
    };
    let text = &local_part.as_bytes()[2..];
    if text.len() != TOKEN_CHARACTERS {
        return None;
    }
    let bytes: [u8; TOKEN_BYTES] = base32_lower().decode(text).ok()?.try_into().ok()?;
    let [version, key_id, rest @ ..] = &bytes;
    if *version != VERSION {
        return None;
    }
    let (handle, rest) = rest.split_first_chunk::<8>()?;
    let (participant, rest) = rest.split_first_chunk::<4>()?;
    let (epoch, mac) = rest.split_first_chunk::<2>()?;
    Some(UnverifiedToken {
        purpose,
        ticket_handle: i64::from_be_bytes(*handle),
        participant: u32::from_be_bytes(*participant),
        epoch: u16::from_be_bytes(*epoch),
        key_id: *key_id,
        mac: mac.try_into().ok()?,
    })
}

/// Whether a local part has the look of an address of ours, genuine or not: what a forger or a damaged mail leaves.
pub fn resembles(local_part: &str) -> bool {
    matches!(local_part.as_bytes(), [b'r' | b'R' | b'b' | b'B', b'+', _, ..])
}

/// A token as read, which proves nothing yet. The fields are for looking up what it claims.
#[derive(Clone, Debug)]
pub struct UnverifiedToken {
    pub purpose: AddressPurpose,
    pub ticket_handle: i64,
    pub participant: u32,
    /// To be compared with the participant's present epoch: an older one is a dead token.
    pub epoch: u16,
    key_id: u8,
    mac: [u8; MAC_BYTES],
}

impl UnverifiedToken {
    /// Whether we made this token for a ticket of this organisation and mailbox. In constant time.
    pub fn is_genuine(&self, keys: &MacKeys, organisation: i64, mailbox: &str) -> bool {
        let body = body(self.key_id, self.ticket_handle, self.participant, self.epoch);
        let mailbox = mailbox.to_ascii_lowercase();
        let proven: [&[u8]; 3] = [&body, &organisation.to_be_bytes(), mailbox.as_bytes()];
        keys.verify(self.key_id, self.purpose.mac(), &proven, &self.mac)
    }
}

fn body(key_id: u8, ticket_handle: i64, participant: u32, epoch: u16) -> [u8; TOKEN_BYTES - MAC_BYTES] {
    let mut body = [0; TOKEN_BYTES - MAC_BYTES];
    body[0] = VERSION;
    body[1] = key_id;
    body[2..10].copy_from_slice(&ticket_handle.to_be_bytes());
    body[10..14].copy_from_slice(&participant.to_be_bytes());
    body[14..16].copy_from_slice(&epoch.to_be_bytes());
    body
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::mail::mac::tests::{test_key, test_keys};

    const TOKEN: TokenFor<'_> = TokenFor {
        purpose: AddressPurpose::Reply,
        ticket_handle: 0x0123_4567_89ab_cdef,
        participant: 7,
        epoch: 3,
        organisation: 42,
        mailbox: "support@vendor.example",
    };

    fn genuine(local_part: &str, keys: &MacKeys) -> bool {
        parse(local_part).is_some_and(|token| token.is_genuine(keys, TOKEN.organisation, TOKEN.mailbox))
    }

    #[test]
    fn th_01_a_reply_address_names_ticket_participant_and_epoch_and_proves_them() {
        let keys = test_keys(1);
        let local_part = mint(&keys, &TOKEN);
        assert_eq!(local_part.len(), 54, "at most 64 characters are allowed");
        assert_eq!(local_part, local_part.to_ascii_lowercase());
        let token = parse(&local_part).unwrap();
        assert_eq!(
            (token.purpose, token.ticket_handle, token.participant, token.epoch),
            (AddressPurpose::Reply, TOKEN.ticket_handle, 7, 3)
        );
        assert!(token.is_genuine(&keys, 42, "support@vendor.example"));
        assert!(token.is_genuine(&keys, 42, "Support@Vendor.Example"));
    }

    #[test]
    fn th_01_upper_case_is_the_same_address() {
        let keys = test_keys(1);
        assert!(genuine(&mint(&keys, &TOKEN).to_ascii_uppercase(), &keys));
    }

    #[test]
    fn th_01_a_token_of_another_organisation_or_mailbox_is_not_genuine() {
        let keys = test_keys(1);
        let token = parse(&mint(&keys, &TOKEN)).unwrap();
        assert!(!token.is_genuine(&keys, 43, TOKEN.mailbox));
        assert!(!token.is_genuine(&keys, 42, "sales@vendor.example"));
    }

    #[test]
    fn th_01_rotated_keys_believe_the_previous_key_and_no_older_one() {
        let local_part = mint(&test_keys(1), &TOKEN);
        let once = MacKeys { active: test_key(2), previous: Some(test_key(1)) };
        let twice = MacKeys { active: test_key(3), previous: Some(test_key(2)) };
        assert!(genuine(&local_part, &once));
        assert!(!genuine(&local_part, &twice));
        assert!(genuine(&mint(&once, &TOKEN), &twice));
    }

    #[test]
    fn out_05_an_address_for_bounces_takes_no_answers_and_the_reverse() {
        let keys = test_keys(1);
        let bounce = mint(&keys, &TokenFor { purpose: AddressPurpose::Bounce, ..TOKEN });
        assert!(bounce.starts_with("b+"));
        assert_eq!(parse(&bounce).unwrap().purpose, AddressPurpose::Bounce);
        assert!(genuine(&bounce, &keys));
        assert!(!genuine(&bounce.replacen('b', "r", 1), &keys));
        assert!(!genuine(&mint(&keys, &TOKEN).replacen('r', "b", 1), &keys));
    }

    #[test]
    fn adv_04_a_token_of_any_other_length_is_no_token() {
        let keys = test_keys(1);
        let local_part = mint(&keys, &TOKEN);
        let text = local_part.strip_prefix("r+").unwrap();
        for length in 0..=64 {
            let cut: String = text.chars().chain("a".repeat(64).chars()).take(length).collect();
            let found = parse(&format!("r+{cut}"));
            assert_eq!(found.is_some(), length == TOKEN_CHARACTERS, "{length}");
        }
    }

    #[test]
    fn adv_04_other_alphabets_versions_and_shapes_are_no_token() {
        let keys = test_keys(1);
        let local_part = mint(&keys, &TOKEN);
        let text = local_part.strip_prefix("r+").unwrap();
        for other in ["0", "1", "8", "9", "=", "+", "/", "_", " ", "é", "\0", "\u{ff21}"] {
            let rest = &text[other.len()..];
            assert!(parse(&format!("r+{other}{rest}")).is_none(), "{other:?}");
        }
        // Bits beyond the last byte must be zero, or one token could be written in several ways.
        let mut last = text.to_owned();
        let end = last.pop().unwrap();
        for c in "abcdefghijklmnopqrstuvwxyz234567".chars().filter(|c| *c != end) {
            assert!(!genuine(&format!("r+{last}{c}"), &keys));
        }
        let mut bytes = base32_lower().decode(text.as_bytes()).unwrap();
        for version in (0..=255).filter(|version| *version != VERSION) {
            bytes[0] = version;
            assert!(parse(&format!("r+{}", base32_lower().encode(&bytes))).is_none());
        }
        for shape in ["", "r", "r+", text, &format!("r-{text}"), &format!("x+{text}"), &format!("r+{text}+x")] {
            assert!(parse(shape).is_none(), "{shape}");
        }
    }

    #[test]
    fn adv_04_a_truncated_or_changed_proof_is_not_genuine() {
        let keys = test_keys(1);
        let text = mint(&keys, &TOKEN)[2..].to_owned();
        let bytes = base32_lower().decode(text.as_bytes()).unwrap();
        for kept in 0..MAC_BYTES {
            let mut truncated = bytes.clone();
            truncated[TOKEN_BYTES - MAC_BYTES + kept..].fill(0);
            assert!(!genuine(&format!("r+{}", base32_lower().encode(&truncated)), &keys) || truncated == bytes);
        }
        for bit in 0..TOKEN_BYTES * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(!genuine(&format!("r+{}", base32_lower().encode(&changed)), &keys), "bit {bit}");
        }
    }

    #[test]
    fn adv_07_the_proof_has_128_bits_and_the_token_names_no_speaker() {
        assert_eq!(MAC_BYTES * 8, 128);
        // The token binds a conversation; who speaks is decided from the From address (`threading`, D1 and D9).
        let token = parse(&mint(&test_keys(1), &TOKEN)).unwrap();
        assert_eq!(token.participant, 7);
    }

    proptest! {
        #[test]
        fn adv_04_nothing_made_up_is_genuine(local_part in "\\PC{0,64}") {
            prop_assert!(!genuine(&local_part, &test_keys(1)));
        }

        #[test]
        fn adv_04_nothing_made_up_of_our_alphabet_is_genuine(text in "[a-z2-7]{52}") {
            let local_part = format!("r+{text}");
            prop_assert!(!genuine(&local_part, &test_keys(1)));
        }

        #[test]
        fn th_01_what_is_minted_is_read_again(handle in any::<i64>(), participant: u32, epoch: u16) {
            let keys = test_keys(9);
            let token = TokenFor { ticket_handle: handle, participant, epoch, ..TOKEN };
            let read = parse(&mint(&keys, &token)).unwrap();
            prop_assert_eq!((read.ticket_handle, read.participant, read.epoch), (handle, participant, epoch));
            prop_assert!(read.is_genuine(&keys, TOKEN.organisation, TOKEN.mailbox));
        }
    }
}
