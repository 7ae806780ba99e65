//! What people type about themselves and their organisations, made fit to keep: controls removed, lengths bounded,
//! mandatory fields demanded, payment card numbers refused (A5), and names folded for sorting and finding.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use crate::cards;
use crate::error::FieldErrors;
use crate::html::file_name::is_invisible;
use crate::i18n::Message;

/// The longest name of a person, an organisation, a site or a product, in characters.
pub const NAME_LENGTH: usize = 120;
/// The longest telephone number with its remarks.
pub const TELEPHONE_LENGTH: usize = 40;
/// The longest text of several lines: a postal address, remarks.
pub const TEXT_LENGTH: usize = 2_000;

/// One line: controls become spaces, spaces are joined, and what cannot be seen is removed.
pub fn line(text: &str) -> String {
    let visible: String = text.chars().filter(|&c| c.is_control() || !is_invisible(c)).collect();
    let spaced: String = visible.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    spaced.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Several lines: the same, line by line, without empty lines at the ends.
pub fn lines(text: &str) -> String {
    let lines: Vec<String> = text.replace("\r\n", "\n").split(['\n', '\r']).map(line).collect();
    lines.join("\n").trim_matches('\n').to_owned()
}

/// Cleans one line and says what is wrong with it.
pub fn optional_line(errors: &mut FieldErrors, field: &'static str, text: &str, longest: usize) -> String {
    check(errors, field, line(text), longest)
}

/// Cleans one line that must be there (E1).
pub fn mandatory_line(errors: &mut FieldErrors, field: &'static str, text: &str, longest: usize) -> String {
    let text = line(text);
    if text.is_empty() {
        errors.add(field, "error-mandatory");
    }
    check(errors, field, text, longest)
}

/// Cleans several lines and says what is wrong with them.
pub fn optional_lines(errors: &mut FieldErrors, field: &'static str, text: &str) -> String {
    check(errors, field, lines(text), TEXT_LENGTH)
}

/// Cleans a telephone number: digits and the signs people write between them.
pub fn telephone(errors: &mut FieldErrors, field: &'static str, text: &str) -> String {
    let text = optional_line(errors, field, text, TELEPHONE_LENGTH);
    let digits = text.chars().filter(char::is_ascii_digit).count();
    let is_plain = text.chars().all(|c| c.is_ascii_digit() || " +-./()".contains(c) || c == '\u{a0}');
    // An extension is commonly written in words after the number; anything with six digits can be dialled.
    if !text.is_empty() && (digits < 3 || (!is_plain && digits < 6)) {
        errors.add(field, "error-telephone");
    }
    text
}

fn check(errors: &mut FieldErrors, field: &'static str, text: String, longest: usize) -> String {
    if text.chars().count() > longest {
        errors.add(field, Message::new("error-too-long").with("longest", longest));
    }
    if cards::contains_number(&text) {
        errors.add(field, "error-card-number");
    }
    text
}

/// The form of a name by which lists are sorted and searched, the same on both databases: small letters without
/// accents. For people it is made of the last name, then the first.
pub fn sort_name<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
    let mut name = String::new();
    for part in parts {
        for character in part.trim().nfkd().filter(|&c| !is_combining_mark(c)).flat_map(char::to_lowercase) {
            match character {
                'œ' => name.push_str("oe"),
                'æ' => name.push_str("ae"),
                'ß' => name.push_str("ss"),
                'ø' => name.push('o'),
                'ł' => name.push('l'),
                '’' => name.push('\''),
                _ => name.push(character),
            }
        }
        name.push(' ');
    }
    name.truncate(name.trim_end().len());
    name
}

/// The end of the range in which every text that begins with `prefix` sorts, byte by byte.
pub fn end_of_prefix(prefix: &str) -> String {
    format!("{prefix}\u{10FFFF}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adv_13_controls_and_direction_marks_do_not_survive_in_a_line() {
        assert_eq!(line("  Jean\r\nBcc: x@y.z\0 \u{202E}Dupont\t"), "Jean Bcc: x@y.z Dupont");
        assert_eq!(lines("\r\n1, rue A\r\nBât. B\u{200B}\n\n"), "1, rue A\nBât. B");
    }

    #[test]
    fn names_sort_without_case_and_accents() {
        assert_eq!(sort_name(["Lefèvre", "Élodie"]), "lefevre elodie");
        assert_eq!(sort_name(["Œuvres d’Art"]), "oeuvres d'art");
        assert_eq!(sort_name(["Dupont", ""]), "dupont");
        let end = end_of_prefix("du");
        assert!("du" < end.as_str() && "duval zoe" < end.as_str() && "e" > end.as_str());
    }

    #[test]
    fn e1_a_mandatory_field_must_be_there_and_an_optional_one_need_not() {
        let mut errors = FieldErrors::default();
        assert_eq!(optional_line(&mut errors, "city", "  ", 5), "");
        assert!(errors.is_empty());
        mandatory_line(&mut errors, "name", " \u{200B} ", 5);
        mandatory_line(&mut errors, "long", "123456", 5);
        let keys: Vec<_> = errors.iter().map(|(field, message)| (field, message.key)).collect();
        assert_eq!(keys, [("name", "error-mandatory"), ("long", "error-too-long")]);
    }

    #[test]
    fn a5_a_card_number_is_refused_in_any_field() {
        let mut errors = FieldErrors::default();
        optional_lines(&mut errors, "remarks", "Carte :\n4111 1111 1111 1111, 12/29");
        assert_eq!(errors.of("remarks").map(|message| message.key), Some("error-card-number"));
    }

    #[test]
    fn telephone_numbers_are_taken_as_people_write_them() {
        for good in
            ["", "+33 1 23 45 67 89", "01.23.45.67.89", "+44 (0)20 7946 0958", "01 23 45 67 89 poste 12", "3615"]
        {
            let mut errors = FieldErrors::default();
            telephone(&mut errors, "telephone", good);
            assert!(errors.is_empty(), "{good}");
        }
        for bad in ["oui", "--", "demander Jean"] {
            let mut errors = FieldErrors::default();
            telephone(&mut errors, "telephone", bad);
            assert!(!errors.is_empty(), "{bad}");
        }
    }
}
