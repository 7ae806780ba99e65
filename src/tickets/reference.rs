//! The public name of a ticket (T-01): `ACC-7Q4KD2WM9K` is the installation's prefix, nine random characters (45 bits)
//! and a check character. It stands in every address, mail and log line; the internal id stands nowhere.

use std::fmt;

use crate::secret::random_bytes;

/// Crockford's base 32: no I, L, O or U, which are misread or make words.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const RANDOM_CHARACTERS: usize = 9;

/// A well-formed reference. Whether there is such a ticket, and for whom, only the database knows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TicketReference(String);

impl TicketReference {
    /// A new reference, of 45 bits from the operating system.
    pub fn random(prefix: &str) -> TicketReference {
        // Each byte gives five bits without bias: 256 is a multiple of 32.
        let digits: Vec<u8> = random_bytes::<RANDOM_CHARACTERS>().iter().map(|byte| byte & 31).collect();
        TicketReference::assemble(prefix, &digits)
    }

    fn assemble(prefix: &str, digits: &[u8]) -> TicketReference {
        let with_check = digits.iter().copied().chain([check_digit(digits)]);
        let characters: String = with_check.map(|digit| char::from(ALPHABET[usize::from(digit)])).collect();
        TicketReference(format!("{}-{characters}", prefix.to_ascii_uppercase()))
    }

    /// Reads what somebody typed: case, spaces around and the letters O, I and L do not matter. A mistyped character or
    /// two swapped ones make it no reference.
    pub fn parse(text: &str) -> Option<TicketReference> {
        let text = text.trim();
        let (prefix, rest) = text.rsplit_once('-')?;
        let is_prefix = (1..=12).contains(&prefix.len()) && prefix.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !is_prefix || rest.len() != RANDOM_CHARACTERS + 1 {
            return None;
        }
        let digits: Vec<u8> = rest.bytes().map(digit).collect::<Option<_>>()?;
        let (check, digits) = digits.split_last()?;
        (check_digit(digits) == *check).then(|| TicketReference::assemble(prefix, digits))
    }

    /// The first reference in a line of text, such as `Re: [ACC-7Q4KD2WM9K] Printer`.
    pub fn find_in(text: &str) -> Option<TicketReference> {
        text.split(|character: char| !character.is_ascii_alphanumeric() && character != '-')
            .filter(|word| word.contains('-'))
            .take(50)
            .find_map(TicketReference::parse)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TicketReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn digit(character: u8) -> Option<u8> {
    let character = match character.to_ascii_uppercase() {
        b'O' => b'0',
        b'I' | b'L' => b'1',
        other => other,
    };
    ALPHABET.iter().position(|known| *known == character).and_then(|position| u8::try_from(position).ok())
}

/// The sum of the digits, each times another power of a generator of the field of 32 elements: any single wrong
/// character and any two neighbours swapped give another sum.
fn check_digit(digits: &[u8]) -> u8 {
    double(digits.iter().fold(0, |sum, digit| double(sum) ^ digit))
}

/// Times x in the field of 32 elements, modulo x⁵ + x² + 1.
fn double(element: u8) -> u8 {
    let doubled = element << 1;
    if doubled & 32 == 0 { doubled } else { (doubled ^ 0b100101) & 31 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t_01_a_reference_is_prefix_nine_random_characters_and_a_check_character() {
        let reference = TicketReference::random("ACC");
        assert_eq!(reference.as_str().len(), "ACC-".len() + 10);
        assert_eq!(TicketReference::parse(reference.as_str()), Some(reference.clone()));
        assert_ne!(TicketReference::random("ACC"), reference);
    }

    #[test]
    fn what_people_type_is_read_kindly() {
        let reference = TicketReference::assemble("ACC", &[0, 1, 2, 3, 4, 5, 6, 7, 8]);
        let typed = reference.as_str().to_lowercase().replace('0', "o").replacen('1', "l", 1);
        assert_eq!(TicketReference::parse(&format!("  {typed} ")), Some(reference.clone()));
        assert_eq!(TicketReference::find_in(&format!("Re: TR-2 [{reference}] e-mail")), Some(reference));
        assert_eq!(TicketReference::find_in("Re: a well-known problem"), None);
    }

    #[test]
    fn t_01_a_wrong_character_and_two_swapped_ones_are_noticed() {
        let reference = TicketReference::random("ACC").to_string();
        let (prefix, body) = reference.split_at(4);
        for place in 0..body.len() {
            for replacement in ALPHABET {
                let mut wrong = body.as_bytes().to_vec();
                if wrong[place] == *replacement {
                    continue;
                }
                wrong[place] = *replacement;
                let wrong = format!("{prefix}{}", String::from_utf8(wrong).unwrap());
                assert_eq!(TicketReference::parse(&wrong), None, "{reference} {wrong}");
            }
        }
        for place in 1..body.len() {
            let mut swapped = body.as_bytes().to_vec();
            swapped.swap(place - 1, place);
            let swapped = format!("{prefix}{}", String::from_utf8(swapped).unwrap());
            if swapped != reference {
                assert_eq!(TicketReference::parse(&swapped), None, "{reference} {swapped}");
            }
        }
    }

    #[test]
    fn t_01_what_is_no_reference_is_refused() {
        for text in
            ["", "-", "ACC", "ACC-", "ACC-1", "ACC-ÉÉÉÉÉ", "ACC-0123456789AB", "A C-0123456789", "../-0123456789"]
        {
            assert_eq!(TicketReference::parse(text), None, "{text}");
        }
    }
}
