//! Numbers that are of value to thieves: payment cards, bank accounts.

use std::ops::Range;

/// The fewest and the most digits of a card number (ISO/IEC 7812).
const CARD_DIGITS: std::ops::RangeInclusive<usize> = 13..=19;

/// Whether an integer may be the number of a payment card. The first digit tells what a number is for: those of banks
/// and shops begin with 2 to 6, and a time in micro- or nanoseconds with 1.
pub fn is_card(number: u64) -> bool {
    let mut digits = [0_u8; 20];
    let (mut rest, mut length) = (number, 0);
    while rest > 0 {
        digits[length] = u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
        length += 1;
    }
    CARD_DIGITS.contains(&length) && passes_luhn(digits[..length].iter().copied(), digits[length - 1])
}

/// The same of a number that came as a fraction, exact up to 2^53.
pub fn is_card_as_float(number: f64) -> bool {
    let number = number.abs();
    if !(1e12..1e19).contains(&number) {
        return false;
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it lies within the range just asked")]
    let whole = number as u64;
    // Beyond 2^53 the last digits are lost, and with them the check digit.
    is_card(whole) || whole > 1 << 53 && (2..=6).contains(&first_digit(whole))
}

fn first_digit(number: u64) -> u64 {
    let mut rest = number;
    while rest >= 10 {
        rest /= 10;
    }
    rest
}

/// Where 13 to 19 digits stand undivided that may be the number of a payment card. Divided ones are found by
/// [`crate::cards`], which knows who issues which; here nobody is asked.
pub fn find_undivided_cards(text: &str) -> Vec<Range<usize>> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut start = 0;
    while start < bytes.len() {
        let length = bytes[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let digits = &bytes[start..start + length];
        if CARD_DIGITS.contains(&length) && passes_luhn(digits.iter().rev().map(|byte| byte - b'0'), digits[0] - b'0') {
            found.push(start..start + length);
        }
        start += length + 1;
    }
    found
}

/// The check digit of ISO/IEC 7812; digits from the last to the first.
fn passes_luhn(from_last: impl Iterator<Item = u8>, first: u8) -> bool {
    let sum: u32 = from_last
        .enumerate()
        .map(|(place, digit)| match u32::from(digit) {
            digit if place % 2 == 0 => digit,
            digit if digit > 4 => digit * 2 - 9,
            digit => digit * 2,
        })
        .sum();
    (2..=6).contains(&first) && sum.is_multiple_of(10)
}

/// The shortest and the longest number of a bank account (ISO 13616).
const ACCOUNT_LENGTH: std::ops::RangeInclusive<usize> = 15..=34;

/// Where numbers of bank accounts stand whose check digits are right, however they are divided.
pub fn find_accounts(text: &str) -> Vec<Range<usize>> {
    let bytes = text.as_bytes();
    let mut found: Vec<Range<usize>> = Vec::new();
    let mut start = 0;
    while start + ACCOUNT_LENGTH.start() <= bytes.len() {
        let [first, second, third, fourth] = [bytes[start], bytes[start + 1], bytes[start + 2], bytes[start + 3]];
        let begins = first.is_ascii_alphabetic()
            && second.is_ascii_alphabetic()
            && third.is_ascii_digit()
            && fourth.is_ascii_digit();
        match begins.then(|| account_from(bytes, start)).flatten() {
            Some(end) => {
                found.push(start..end);
                start = end;
            }
            None => start += 1,
        }
    }
    found
}

/// Where the longest number of a bank account ends that begins at `start`.
fn account_from(bytes: &[u8], start: usize) -> Option<usize> {
    let number = |remainder: u64, byte: u8| match byte {
        b'0'..=b'9' => (remainder * 10 + u64::from(byte - b'0')) % 97,
        letter => (remainder * 100 + u64::from(letter.to_ascii_uppercase() - b'A' + 10)) % 97,
    };
    let mut remainder = 0;
    let mut length = 4;
    let mut end = None;
    let mut was_divided = false;
    for (at, byte) in bytes.iter().copied().enumerate().skip(start + 4) {
        if !byte.is_ascii_alphanumeric() {
            // One sign between groups, no more.
            if was_divided || !matches!(byte, b' ' | b'-' | b'.' | b'+') {
                break;
            }
            was_divided = true;
            continue;
        }
        was_divided = false;
        length += 1;
        if length > *ACCOUNT_LENGTH.end() {
            break;
        }
        remainder = number(remainder, byte);
        let is_right = bytes[start..start + 4].iter().fold(remainder, |remainder, byte| number(remainder, *byte)) == 1;
        let ends_here = bytes.get(at + 1).is_none_or(|next| !next.is_ascii_alphanumeric());
        if is_right && ends_here && ACCOUNT_LENGTH.contains(&length) {
            end = Some(at + 1);
        }
    }
    end
}
