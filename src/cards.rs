//! Payment card numbers in text: finding and masking them, so that none is kept, not even when somebody mails one (A5).
//! It looks at text only and knows no storage.

use std::borrow::Cow;
use std::ops::Range;

/// The fewest and the most digits of a card number (ISO/IEC 7812).
const DIGITS: std::ops::RangeInclusive<usize> = 13..=19;

/// What stands for a digit of a number that was masked.
pub const MASKED: char = '•';

/// Whether there is a payment card number in `text`.
pub fn contains_number(text: &str) -> bool {
    !find_numbers(text).is_empty()
}

/// `text` with all but the last four digits of each card number replaced by dots.
pub fn mask_numbers(text: &str) -> Cow<'_, str> {
    let found = find_numbers(text);
    if found.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut masked = String::with_capacity(text.len());
    let mut done = 0;
    for range in found {
        masked.push_str(&text[done..range.start]);
        let number = &text[range.clone()];
        let mut left = number.chars().filter(|&c| digit(c).is_some()).count();
        for character in number.chars() {
            if digit(character).is_some() {
                masked.push(if left > 4 { MASKED } else { character });
                left -= 1;
            } else {
                masked.push(character);
            }
        }
        done = range.end;
    }
    masked.push_str(&text[done..]);
    Cow::Owned(masked)
}

/// Where payment card numbers stand in `text`, in bytes, in order, none overlapping another.
pub fn find_numbers(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    for run in runs(text) {
        if run.iter().map(|group| group.digits.len()).sum::<usize>() < *DIGITS.start() {
            continue;
        }
        let is_account = iban_around(text, &run);
        let mut first = 0;
        while first < run.len() {
            let last = if is_account { None } else { card_from(&run, first) };
            match last {
                Some(last) => {
                    found.push(run[first].start..run[last].end);
                    first = last + 1;
                }
                None => first += 1,
            }
        }
    }
    found
}

/// Digits without anything between them.
struct Group {
    start: usize,
    end: usize,
    digits: Vec<u8>,
}

/// Groups of digits with one separator between neighbours.
fn runs(text: &str) -> Vec<Vec<Group>> {
    let mut runs: Vec<Vec<Group>> = Vec::new();
    // How many characters stand between the last digit and this character, if they all separate groups.
    let mut gap: Option<usize> = None;
    for (index, character) in text.char_indices() {
        match digit(character) {
            Some(digit) => {
                let end = index + character.len_utf8();
                match (gap, runs.last_mut()) {
                    (Some(0), Some(run)) => {
                        let group = run.last_mut().expect("a run begins with a group");
                        group.end = end;
                        group.digits.push(digit);
                    }
                    (Some(1), Some(run)) => run.push(Group { start: index, end, digits: vec![digit] }),
                    _ => runs.push(vec![Group { start: index, end, digits: vec![digit] }]),
                }
                gap = Some(0);
            }
            None if separates(character) => gap = gap.map(|length| length + 1),
            None => gap = None,
        }
    }
    runs
}

/// The value of a digit, in ASCII or in its full-width form.
fn digit(character: char) -> Option<u8> {
    match character {
        '0'..='9' => Some(character as u8 - b'0'),
        '０'..='９' => u8::try_from(u32::from(character) - u32::from('０')).ok(),
        _ => None,
    }
}

fn separates(character: char) -> bool {
    matches!(
        character,
        ' ' | '\t' | '\n' | '-' | '.' | '/' | '_' | '\u{a0}' | '\u{2009}' | '\u{202f}' | '\u{2010}'..='\u{2014}'
    )
}

/// The last group of the longest card number that begins with group `first`.
fn card_from(run: &[Group], first: usize) -> Option<usize> {
    let mut digits: Vec<u8> = Vec::new();
    let mut longest = None;
    for (last, group) in run.iter().enumerate().skip(first) {
        digits.extend(&group.digits);
        if digits.len() > *DIGITS.end() {
            break;
        }
        let is_whole_run = first == 0 && last + 1 == run.len();
        let is_grouped = is_grouped_like_a_card(&run[first..=last]);
        if DIGITS.contains(&digits.len())
            && (is_whole_run || is_grouped)
            && is_issued(&digits, is_grouped && last > first)
            && passes_luhn(&digits)
        {
            longest = Some(last);
        }
    }
    longest
}

/// Undivided, in fours, or 4-6-4 and 4-6-5. Inside a longer row of numbers only these count, for telephone numbers
/// that follow each other hold many chance hits.
fn is_grouped_like_a_card(groups: &[Group]) -> bool {
    let lengths: Vec<usize> = groups.iter().map(|group| group.digits.len()).collect();
    match lengths.as_slice() {
        [_] | [4, 6, 4 | 5] => true,
        [fours @ .., last] => fours.iter().all(|&length| length == 4) && (1..=4).contains(last),
        [] => false,
    }
}

/// Whether a scheme issues numbers with these first digits in this length.
fn is_issued(digits: &[u8], is_divided: bool) -> bool {
    let first = |count: usize| digits.iter().take(count).fold(0_u32, |sum, &digit| sum * 10 + u32::from(digit));
    let length = digits.len();
    match (first(1), first(2), first(4)) {
        // Visa
        (4, _, _) => matches!(length, 13 | 16 | 19),
        // American Express
        (_, 34 | 37, _) => length == 15,
        // Diners Club. Fourteen digits that pass Luhn are also what a French SIRET is, and those of many large companies
        // begin alike: only when it is divided as on a card can it be told apart.
        (_, 36 | 38 | 39, _) | (_, _, 3000..=3059 | 3095) => (length == 14 && is_divided) || length == 16,
        // JCB
        (_, _, 3528..=3589) => (16..=19).contains(&length),
        // Mastercard
        (_, 51..=55, _) | (_, _, 2221..=2720) => length == 16,
        // Maestro
        (_, _, 5018 | 5020 | 5038 | 5893 | 6304 | 6759 | 6761..=6763) => true,
        // Discover, UnionPay, RuPay
        (_, 65 | 62, _) | (_, _, 6011 | 6440..=6499) => (16..=19).contains(&length),
        // Mir
        (_, _, 2200..=2204) => (16..=19).contains(&length),
        _ => false,
    }
}

/// The check digit of ISO/IEC 7812.
fn passes_luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, &digit)| match u32::from(digit) {
            digit if place % 2 == 0 => digit,
            digit if digit > 4 => digit * 2 - 9,
            digit => digit * 2,
        })
        .sum();
    sum.is_multiple_of(10) && digits.iter().any(|&digit| digit != 0)
}

/// Whether the run is the digits of a bank account number (ISO 13616), which stands in many a mail about a bill.
fn iban_around(text: &str, run: &[Group]) -> bool {
    let (Some(first), Some(last)) = (run.first(), run.last()) else { return false };
    let before: Vec<char> = text[..first.start].chars().rev().take(3).collect();
    let country: Vec<char> = before.iter().take_while(|c| c.is_ascii_alphabetic()).copied().collect();
    if country.len() != 2 {
        return false;
    }
    // Letters may follow the last digit: the key of some French accounts ends the number.
    let after: String = text[last.end..].chars().take_while(|c| c.is_ascii_alphanumeric()).collect();
    let account: String = text[first.start..last.end].chars().filter(|&c| !separates(c)).chain(after.chars()).collect();
    if !account.is_ascii() || account.len() < 11 || account.len() > 32 {
        return false;
    }
    let (check, rest) = account.split_at(2);
    let rearranged = rest.chars().chain(country.iter().rev().copied()).chain(check.chars());
    let remainder = rearranged.fold(0_u64, |remainder, character| {
        let value = u64::from(character.to_digit(36).unwrap_or(0));
        (remainder * if value > 9 { 100 } else { 10 } + value) % 97
    });
    remainder == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a5_card_numbers_of_every_scheme_are_found_however_they_are_divided() {
        for text in [
            "4111111111111111",
            "carte 4111 1111 1111 1111 exp 12/29",
            "n° 5500-0000-0000-0004.",
            "2223000048400011",
            "3782 822463 10005",
            "3056 930902 5904",
            "6011\u{a0}1111\u{a0}1111\u{a0}1117",
            "3530.1113.3330.0000",
            "6200000000000005",
            "4111\n1111\n1111\n1111",
            "x4111111111111111y",
            "４１１１ １１１１ １１１１ １１１１",
            "41 11 11 11 11 11 11 11",
            "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1",
            "2026-11-23 4111 1111 1111 1111 12/29 123",
            "4222222222222",
        ] {
            assert!(contains_number(text), "{text}");
        }
    }

    #[test]
    fn a5_other_numbers_are_left_alone() {
        for text in [
            "",
            "4111111111111112",
            "0000 0000 0000 0000",
            "01 23 45 67 89, 04 56 78 90 12",
            "+33 4 11 11 11 11 11",
            "SIRET 380 129 866 46850",
            "38012986646850",
            "FR40303265045",
            "FR76 3000 6000 0112 3456 7890 189",
            "FR14 2004 1010 0505 0001 3M02 606",
            "DE89 3704 0044 0532 0130 00",
            "ES91 2100 0418 4502 0005 1332",
            "2026-11-23 12:31:07.123456",
            "ACC-7Q4KD2WM9K",
            "41111111111111111111111111",
            "192.168.1.1 10.0.0.1 172.16.254.3",
        ] {
            assert_eq!(mask_numbers(text), text);
        }
    }

    #[test]
    fn a5_a_masked_number_keeps_four_digits_and_its_surroundings() {
        assert_eq!(
            mask_numbers("Ma carte : 4111 1111 1111 1111 (12/29), l’autre 5500-0000-0000-0004 !"),
            "Ma carte : •••• •••• •••• 1111 (12/29), l’autre ••••-••••-••••-0004 !"
        );
        assert!(!contains_number(&mask_numbers("4111 1111 1111 1111")));
    }

    #[test]
    fn a5_masking_takes_linear_time() {
        let text = "4 1 ".repeat(50_000);
        assert!(mask_numbers(&text).len() >= text.len());
    }
}
