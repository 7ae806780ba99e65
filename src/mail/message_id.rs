//! Message-IDs of ours (TH-02), `<m.random.proof@reply-domain>`, and the header by which a mail that came back is known
//! (LP-03, LP-06). The proof binds organisation, ticket and message, so that an id copied from one ticket, or made up,
//! leads nowhere (ADV-03).

use super::mac::{MAC_BYTES, MacKeys, Purpose};
use crate::secret::{base32_lower, random_bytes};

/// The name of the loop header.
pub const LOOP_HEADER: &str = "X-Accord-Loop";

const RANDOM_BYTES: usize = 16;
/// 16 bytes in base32.
const PIECE_CHARACTERS: usize = 26;

/// What a Message-ID stands for.
#[derive(Clone, Copy, Debug)]
pub struct MessageIdFor<'a> {
    pub organisation: i64,
    /// The ticket's public number (`tickets.handle`).
    pub ticket_handle: i64,
    /// The message's public name (`ticket_messages.handle`), or another name of what is mailed.
    pub message_handle: &'a str,
}

/// A new Message-ID, with its angle brackets. Each call gives another, so that each recipient's mail has its own.
pub fn mint(keys: &MacKeys, message: &MessageIdFor<'_>, reply_domain: &str) -> String {
    let random = random_bytes::<RANDOM_BYTES>();
    let mac = sign(keys, &random, message);
    format!("<m.{}.{}@{reply_domain}>", base32_lower().encode(&random), base32_lower().encode(&mac))
}

/// A new Message-ID for a mail that belongs to no ticket, such as a sign-in link. It proves nothing.
pub fn mint_unbound(reply_domain: &str) -> String {
    format!("<{}@{reply_domain}>", base32_lower().encode(&random_bytes::<RANDOM_BYTES>()))
}

/// Reads one id, with or without angle brackets; what is not of our shape and domain is none of ours.
pub fn parse(id: &str, reply_domain: &str) -> Option<UnverifiedMessageId> {
    let id = id.trim();
    let id = id.strip_prefix('<').and_then(|id| id.strip_suffix('>')).unwrap_or(id);
    let (local_part, domain) = id.rsplit_once('@')?;
    if !domain.eq_ignore_ascii_case(reply_domain) {
        return None;
    }
    let mut pieces = local_part.split('.');
    let (letter, random, mac) = (pieces.next()?, pieces.next()?, pieces.next()?);
    if !letter.eq_ignore_ascii_case("m") || pieces.next().is_some() {
        return None;
    }
    Some(UnverifiedMessageId { random: decode(random)?, mac: decode(mac)? })
}

/// A Message-ID of our shape as read, which proves nothing until the message it was stored with is looked up.
#[derive(Clone, Debug)]
pub struct UnverifiedMessageId {
    random: [u8; RANDOM_BYTES],
    mac: [u8; MAC_BYTES],
}

impl UnverifiedMessageId {
    /// The id as we wrote it, under which it is stored, whatever case and brackets it came back in.
    pub fn as_minted(&self, reply_domain: &str) -> String {
        format!("<m.{}.{}@{reply_domain}>", base32_lower().encode(&self.random), base32_lower().encode(&self.mac))
    }

    /// Whether we made this id for this message. In constant time.
    pub fn is_genuine(&self, keys: &MacKeys, message: &MessageIdFor<'_>) -> bool {
        let (organisation, ticket) = (message.organisation.to_be_bytes(), message.ticket_handle.to_be_bytes());
        let parts: [&[u8]; 4] = [&self.random, &organisation, &ticket, message.message_handle.as_bytes()];
        keys.verify_by_any(Purpose::MessageId, &parts, &self.mac)
    }
}

/// The value of [`LOOP_HEADER`] for a mail that a machine sends: `instance;hop;proof`. `hop` counts how many machine
/// answers led to this one.
pub fn mint_loop_mark(keys: &MacKeys, instance: &str, hop: u32) -> String {
    let mac = keys.sign(Purpose::Loop, &[instance.as_bytes(), &hop.to_be_bytes()]);
    format!("{instance};{hop};{}", base32_lower().encode(&mac))
}

/// Reads a loop header: the number of hops when the mark is ours, nothing when it is another installation's or forged.
pub fn read_loop_mark(keys: &MacKeys, instance: &str, value: &str) -> Option<u32> {
    let mut pieces = value.trim().split(';').map(str::trim);
    let (of, hop, mac) = (pieces.next()?, pieces.next()?, pieces.next()?);
    if of != instance || pieces.next().is_some() || hop.len() > 9 || !hop.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let hop: u32 = hop.parse().ok()?;
    let mac: [u8; MAC_BYTES] = decode(mac)?;
    keys.verify_by_any(Purpose::Loop, &[instance.as_bytes(), &hop.to_be_bytes()], &mac).then_some(hop)
}

fn sign(keys: &MacKeys, random: &[u8; RANDOM_BYTES], message: &MessageIdFor<'_>) -> [u8; MAC_BYTES] {
    let (organisation, ticket) = (message.organisation.to_be_bytes(), message.ticket_handle.to_be_bytes());
    keys.sign(Purpose::MessageId, &[random, &organisation, &ticket, message.message_handle.as_bytes()])
}

fn decode(piece: &str) -> Option<[u8; 16]> {
    if piece.len() != PIECE_CHARACTERS {
        return None;
    }
    base32_lower().decode(piece.as_bytes()).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::mac::tests::{test_key, test_keys};

    const DOMAIN: &str = "reply.vendor.example";
    const MESSAGE: MessageIdFor<'_> =
        MessageIdFor { organisation: 42, ticket_handle: 77, message_handle: "abcdefghijklmnop" };

    #[test]
    fn th_02_a_message_id_proves_its_organisation_ticket_and_message() {
        let keys = test_keys(1);
        let id = mint(&keys, &MESSAGE, DOMAIN);
        assert_eq!(id.len(), "<m..@>".len() + 2 * PIECE_CHARACTERS + DOMAIN.len());
        let read = parse(&id, DOMAIN).unwrap();
        assert_eq!(read.as_minted(DOMAIN), id);
        assert!(read.is_genuine(&keys, &MESSAGE));
        assert!(!read.is_genuine(&keys, &MessageIdFor { organisation: 43, ..MESSAGE }));
        assert!(!read.is_genuine(&keys, &MessageIdFor { ticket_handle: 78, ..MESSAGE }));
        assert!(!read.is_genuine(&keys, &MessageIdFor { message_handle: "other", ..MESSAGE }));
        assert_ne!(mint(&keys, &MESSAGE, DOMAIN), id);
    }

    #[test]
    fn th_02_clients_may_change_case_and_brackets() {
        let keys = test_keys(1);
        let id = mint(&keys, &MESSAGE, DOMAIN);
        let bare = id.trim_matches(['<', '>']).to_ascii_uppercase();
        let read = parse(&format!(" {bare} "), DOMAIN).unwrap();
        assert!(read.is_genuine(&keys, &MESSAGE));
        assert_eq!(read.as_minted(DOMAIN), id);
    }

    #[test]
    fn th_02_both_keys_are_believed_after_a_rotation() {
        let id = mint(&test_keys(1), &MESSAGE, DOMAIN);
        let read = parse(&id, DOMAIN).unwrap();
        assert!(read.is_genuine(&MacKeys { active: test_key(2), previous: Some(test_key(1)) }, &MESSAGE));
        assert!(!read.is_genuine(&test_keys(2), &MESSAGE));
    }

    #[test]
    fn adv_03_a_correct_looking_id_with_a_wrong_or_absent_proof_is_not_genuine() {
        let keys = test_keys(1);
        let id = mint(&keys, &MESSAGE, DOMAIN);
        let (random, proof) = (&id[3..29], &id[30..56]);
        let wrong: String = proof.chars().map(|c| if c == 'a' { 'b' } else { 'a' }).collect();
        for forged in [
            format!("<m.{random}.{wrong}@{DOMAIN}>"),
            format!("<m.{proof}.{random}@{DOMAIN}>"),
            format!("<m.{random}@{DOMAIN}>"),
            format!("<m.{random}.@{DOMAIN}>"),
            format!("<m.{random}.{}@{DOMAIN}>", &proof[..25]),
            format!("<m.{random}.{proof}.x@{DOMAIN}>"),
            format!("<n.{random}.{proof}@{DOMAIN}>"),
            format!("<m.{random}.{proof}@evil.example>"),
            "<reply-42-abcdefghijklmnop@reply.vendor.example>".to_owned(),
            "m..@reply.vendor.example".to_owned(),
            String::new(),
        ] {
            let genuine = parse(&forged, DOMAIN).is_some_and(|id| id.is_genuine(&keys, &MESSAGE));
            assert!(!genuine, "{forged}");
        }
    }

    #[test]
    fn lp_06_our_own_loop_mark_is_known_again_and_no_other() {
        let keys = test_keys(1);
        let mark = mint_loop_mark(&keys, "inst1", 3);
        assert_eq!(read_loop_mark(&keys, "inst1", &format!(" {mark} ")), Some(3));
        assert_eq!(read_loop_mark(&keys, "inst2", &mark), None);
        assert_eq!(read_loop_mark(&test_keys(2), "inst1", &mark), None);
        for forged in
            ["", "inst1", "inst1;3", "inst1;3;", "inst1;3;aaaa", &mark.replace(";3;", ";4;"), &format!("{mark};x")]
        {
            assert_eq!(read_loop_mark(&keys, "inst1", forged), None, "{forged}");
        }
    }
}
