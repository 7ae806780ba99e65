//! How Outlook is told that mails belong together whatever their subjects say: `Thread-Index`, which is the conversation index of
//! MS-OXOMSG (2.2.1.3), and `Thread-Topic`, the subject that all of them have. Both follow from what a ticket is anyway.

use data_encoding::BASE64;
use sha2::{Digest, Sha256};

use crate::clock::UtcTime;

/// The 1st of January 1601, from which Windows counts time, in seconds before 1970.
const EPOCH_SECONDS: i64 = 11_644_473_600;
/// Windows counts in steps of 100 nanoseconds.
const STEPS_IN_A_MICROSECOND: i64 = 10;
/// A child later than this after its root tells its distance in coarser steps (MS-OXOMSG: the delta code).
const COARSE_FROM: u64 = 1 << 49;

/// The conversation that a mail belongs to.
#[derive(Clone, Copy, Debug)]
pub struct Thread<'a> {
    /// What the conversation is called in every one of its mails.
    pub topic: &'a str,
    /// When the ticket was opened.
    pub began_at: UtcTime,
    /// The ticket's public number (`tickets.handle`), which stands in the addresses of its mails, too.
    pub handle: i64,
    /// Whether this mail answers or follows others.
    pub is_answer: bool,
}

/// The value of `Thread-Index` in a mail written at `now`: 22 bytes that are the same for the whole conversation, and five more
/// for a mail that is not its first.
pub fn thread_index(thread: &Thread<'_>, now: UtcTime) -> String {
    let began = steps(thread.began_at);
    // The six upper bytes of the time, of which the first is 1 until the year 2057.
    let mut index = began.to_be_bytes()[..6].to_vec();
    let number =
        Sha256::new().chain_update(b"accord conversation\0").chain_update(thread.handle.to_be_bytes()).finalize();
    index.extend_from_slice(&number[..16]);
    if thread.is_answer {
        // Whoever reads it knows the beginning by those six bytes only.
        index.extend_from_slice(&child(steps(now).saturating_sub(began & !0xFFFF)));
    }
    BASE64.encode(&index)
}

/// One step further: its distance from the beginning in 31 bits, after one that tells how coarse they are. The byte for a number
/// drawn by chance and for the depth stays 0: the time tells two mails apart.
fn child(distance: u64) -> [u8; 5] {
    let coarse = distance >= COARSE_FROM;
    let (code, shift) = if coarse { (1 << 31, 23) } else { (0, 18) };
    let delta = u32::try_from((distance >> shift) & 0x7FFF_FFFF).unwrap_or(0);
    let [a, b, c, d] = (code | delta).to_be_bytes();
    [a, b, c, d, 0]
}

fn steps(time: UtcTime) -> u64 {
    let micros = time.micros().saturating_add(EPOCH_SECONDS * 1_000_000);
    u64::try_from(micros.saturating_mul(STEPS_IN_A_MICROSECOND)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn out_12_the_root_is_the_ticket_s_and_a_child_tells_how_much_later_it_is() {
        let began_at = UtcTime::from_seconds(1_795_000_000);
        let thread = Thread { topic: "Écran noir", began_at, handle: 42, is_answer: false };
        let root = BASE64.decode(thread_index(&thread, began_at).as_bytes()).unwrap();
        assert_eq!((root.len(), root[0]), (22, 1));
        let time = root[..6].iter().fold(0_u64, |time, byte| time << 8 | u64::from(*byte)) << 16;
        let written = i64::try_from(time / 10_000_000).unwrap() - EPOCH_SECONDS;
        assert!((0..=1).contains(&(1_795_000_000 - written)), "{written}");

        let fine = TimeDelta::days(3);
        let coarse = TimeDelta::days(900);
        for (after, shift, is_coarse) in [(fine, 18, false), (coarse, 23, true)] {
            let index = thread_index(&Thread { is_answer: true, ..thread }, began_at.plus(after));
            let child = BASE64.decode(index.as_bytes()).unwrap();
            assert_eq!((child.len(), &child[..22]), (27, root.as_slice()));
            let bits = u32::from_be_bytes(child[22..26].try_into().unwrap());
            assert_eq!(bits >> 31 == 1, is_coarse);
            let seconds = (u64::from(bits & 0x7FFF_FFFF) << shift) / 10_000_000;
            assert!(after.num_seconds().abs_diff(i64::try_from(seconds).unwrap()) <= 2, "{seconds}");
        }
        let other = BASE64.decode(thread_index(&Thread { handle: 43, ..thread }, began_at).as_bytes()).unwrap();
        assert_ne!(other[6..], root[6..]);
    }
}
