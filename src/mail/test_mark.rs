//! The mark by which a mail that a mailbox sent to itself is known when it comes back (OUT-08): its name and the proof that this
//! installation wrote it for that mailbox. Whether it is still waited for is not known here.

use super::mac::{MAC_BYTES, MacKeys, Purpose};
use crate::secret::base32_lower;

/// The field that bears the mark.
pub const HEADER: &str = "X-Accord-Test";
/// The longest name of a test that is looked at.
const LONGEST_NAME: usize = 64;

/// The mark for the test of that name, from the mailbox with that canonical address to itself.
pub fn mint(keys: &MacKeys, name: &str, mailbox: &str) -> String {
    let mac = keys.sign(Purpose::Test, &[name.as_bytes(), mailbox.as_bytes()]);
    format!("{name}.{}", base32_lower().encode(&mac))
}

/// The name of the test in a mark that was minted here for that mailbox, and for no other.
pub fn read<'a>(keys: &MacKeys, mark: &'a str, mailbox: &str) -> Option<&'a str> {
    let (name, mac) = mark.trim().split_once('.')?;
    let mac: [u8; MAC_BYTES] = base32_lower().decode(mac.as_bytes()).ok()?.try_into().ok()?;
    let is_ours =
        name.len() <= LONGEST_NAME && keys.verify_by_any(Purpose::Test, &[name.as_bytes(), mailbox.as_bytes()], &mac);
    is_ours.then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::mac::tests::test_keys;

    #[test]
    fn out_08_a_mark_is_of_this_installation_and_of_its_mailbox() {
        let keys = test_keys(1);
        let mark = mint(&keys, "abc", "support@vendor.example");
        assert_eq!(read(&keys, &format!(" {mark} "), "support@vendor.example"), Some("abc"));
        assert_eq!(read(&keys, &mark, "sales@vendor.example"), None);
        assert_eq!(read(&test_keys(2), &mark, "support@vendor.example"), None);
        for forged in
            ["", "abc", "abc.", ".", "abc.aaaa", &mark.replace("abc", "abd"), &format!("{mark}a"), &"x".repeat(9_000)]
        {
            assert_eq!(read(&keys, forged, "support@vendor.example"), None, "{forged}");
        }
    }
}
