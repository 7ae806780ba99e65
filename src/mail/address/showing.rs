//! An address, or the name beside it, before the eyes of a reader: with everything that hides in it made visible, and a warning
//! where it deceives (I-04).

use crate::html::file_name::is_invisible;

/// Why an address or the name beside it should be shown with a warning (I-04).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Warning {
    /// The name holds an `@` and is not the address itself.
    NameContainsAddress,
    /// Characters that cannot be seen, or that turn the direction of the text.
    InvisibleCharacters,
    /// Letters of several scripts in one word, or letters that look like Latin ones.
    LookAlikeLetters,
}

/// What is to be said beside a sender shown as `name` and `address`.
pub fn warnings(name: &str, address: &str) -> Vec<Warning> {
    let mut warnings = Vec::new();
    if name.contains(['@', '＠', '﹫']) && !name.trim().eq_ignore_ascii_case(address.trim()) {
        warnings.push(Warning::NameContainsAddress);
    }
    if visible(name) != name || visible(address) != address {
        warnings.push(Warning::InvisibleCharacters);
    }
    let domain = address.rsplit('@').next().unwrap_or_default().to_lowercase();
    let (unicode, _) = idna::domain_to_unicode(&domain);
    if has_look_alike_letters(name) || has_look_alike_letters(address) || has_look_alike_letters(&unicode) {
        warnings.push(Warning::LookAlikeLetters);
    }
    warnings
}

/// `text` with every control, direction and invisible character replaced by a symbol or its code, so that what is shown is
/// what is there.
pub fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut previous = None;
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let joins_letters = matches!(character, '\u{200C}' | '\u{200D}')
            && previous.is_some_and(|c: char| c > '\u{2FF}')
            && characters.peek().is_some_and(|&c| c > '\u{2FF}');
        match character {
            '\0'..='\u{1F}' => shown.extend(char::from_u32(0x2400 + u32::from(character))),
            '\u{7F}' => shown.push('\u{2421}'),
            _ if is_invisible(character) && !joins_letters => {
                shown.push_str(&format!("⟨U+{:04X}⟩", u32::from(character)));
            }
            _ => shown.push(character),
        }
        previous = Some(character);
    }
    shown
}

/// Whether a word of `text` mixes Latin with letters that look like it, or is made of such letters only.
pub(super) fn has_look_alike_letters(text: &str) -> bool {
    text.split(|c: char| !c.is_alphanumeric()).any(|word| {
        let (mut latin, mut imitates, mut other) = (false, false, false);
        for character in word.chars() {
            match script(character) {
                Script::Latin => latin = true,
                Script::Compatibility => return true,
                Script::CyrillicOrGreek if LOOKS_LATIN.contains(character) => imitates = true,
                Script::CyrillicOrGreek => other = true,
                Script::Other => {}
            }
        }
        let is_mixed = latin && (imitates || other);
        let only_imitates = imitates && !other;
        is_mixed || only_imitates
    })
}

enum Script {
    Latin,
    CyrillicOrGreek,
    /// Full-width, mathematical and enclosed forms of Latin letters.
    Compatibility,
    Other,
}

fn script(character: char) -> Script {
    match u32::from(character) {
        0x41..=0x5A | 0x61..=0x7A | 0xC0..=0x24F | 0x1E00..=0x1EFF => Script::Latin,
        0x370..=0x58F | 0x10A0..=0x10FF | 0x13A0..=0x13FF | 0x1F00..=0x1FFF | 0x2C80..=0x2CFF | 0xA640..=0xA69F => {
            Script::CyrillicOrGreek
        }
        0xFF01..=0xFF5E | 0x1D400..=0x1D7FF | 0x2460..=0x24FF | 0x1F130..=0x1F189 => Script::Compatibility,
        _ => Script::Other,
    }
}

/// Letters of the Cyrillic, Greek and Armenian alphabets that common typefaces draw like Latin ones.
const LOOKS_LATIN: &str = "АВЕЅІЈКМНОРСТУХаеѕіјкорсухԁԛԝһӏѵґгп\
                           ΑΒΕΖΗΙΚΜΝΟΡΤΥΧαικνορτυχγωօոսցհզԱՕ";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::address::EmailAddress;

    #[test]
    fn i_04_what_deceives_the_eye_is_shown_and_warned_of() {
        assert_eq!(visible("a\u{202E}b\u{2066}c\u{200B}d\r\n\u{7F}\u{85}"), "a⟨U+202E⟩b⟨U+2066⟩c⟨U+200B⟩d␍␊␡⟨U+0085⟩");
        assert_eq!(visible("Zoé 👩\u{200D}🚀"), "Zoé 👩\u{200D}🚀");
        assert_eq!(warnings("Jean Dupont", "jean@acme.fr"), []);
        assert_eq!(warnings("Елена Иванова", "elena@acme.fr"), []);
        assert_eq!(warnings("Société Générale", "x@société.fr"), []);
        assert_eq!(warnings("jean@acme.fr", "jean@acme.fr"), []);
        assert_eq!(warnings("ceo@acme.com", "x@evil.com"), [Warning::NameContainsAddress]);
        assert_eq!(warnings("J\u{202E}ean", "x@acme.fr"), [Warning::InvisibleCharacters]);
        assert_eq!(warnings("Jean", "x@\u{430}cme.com"), [Warning::LookAlikeLetters]);
        let cyrillic = EmailAddress::parse("x@\u{430}cme.com").unwrap();
        assert_eq!(warnings("Jean", cyrillic.as_str()), [Warning::LookAlikeLetters]);
        assert!(cyrillic.shown().starts_with("x@xn--"));
        assert_eq!(warnings("ＣＥＯ", "x@acme.fr"), [Warning::LookAlikeLetters]);
        assert_eq!(EmailAddress::parse("x@acmé.fr").unwrap().shown(), "x@acmé.fr");
    }
}
