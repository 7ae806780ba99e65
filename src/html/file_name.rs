//! The name of a file as others gave it, made fit to show, to send and to store as text (H-08). The bytes themselves are
//! kept under their content hash; no path is ever built from a name.

use std::fmt;

use unicode_normalization::UnicodeNormalization;

/// The longest name in bytes, with its extension.
const MAX_BYTES: usize = 200;
/// The longest extension that is kept when the name is shortened.
const MAX_EXTENSION_BYTES: usize = 20;

/// A canonical file name: NFC, one line, no path, no invisible or reserved characters, never empty. Checks belong after
/// this, on what it gives (ADV-21).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FileName(String);

impl FileName {
    /// The canonical form of `name`; `file` if nothing of it remains.
    pub fn new(name: &str) -> Self {
        let mut canonical = drop_forbidden(name);
        // Dropping characters can bring others together that compose, and trimming can bare a reserved name.
        loop {
            let again = drop_forbidden(&shorten(&unreserved(&canonical)));
            if again == canonical {
                break;
            }
            canonical = again;
        }
        if canonical.is_empty() { Self("file".to_owned()) } else { Self(canonical) }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What follows the last dot, in lower case; empty if there is none.
    pub fn extension(&self) -> String {
        self.0.rsplit_once('.').map(|(_, extension)| extension.to_lowercase()).unwrap_or_default()
    }

    /// The value of a `Content-Disposition` header that downloads the file under this name (RFC 6266): a plain ASCII name
    /// for all, and the real one for those who can read it.
    pub fn content_disposition(&self) -> String {
        let ascii: String = self.0.nfd().filter(|c| !is_combining_mark(*c)).map(ascii_or_underscore).collect();
        if ascii == self.0 {
            return format!("attachment; filename=\"{ascii}\"");
        }
        let mut encoded = String::new();
        for byte in self.0.bytes() {
            if byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte) {
                encoded.push(char::from(byte));
            } else {
                encoded.push_str(&format!("%{byte:02X}"));
            }
        }
        format!("attachment; filename=\"{ascii}\"; filename*=UTF-8''{encoded}")
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether a character takes no room or changes the order of others: C1 controls, direction marks and overrides, zero-width
/// characters, soft hyphens, fillers, variation selectors' supplement, tags.
pub fn is_invisible(character: char) -> bool {
    matches!(u32::from(character),
        0x80..=0x9F | 0xAD | 0x34F | 0x61C | 0x115F..=0x1160 | 0x17B4..=0x17B5 | 0x180B..=0x180F | 0x200B..=0x200F
        | 0x2028..=0x202E | 0x2060..=0x206F | 0x3164 | 0xFEFF | 0xFFA0 | 0xFFF0..=0xFFFB | 0x1BCA0..=0x1BCA3
        | 0x1D173..=0x1D17A | 0xE0000..=0xE0FFF)
}

/// Whether nobody sees anything of a text: it is empty, or all of it is space or takes no room.
pub fn is_blank(text: &str) -> bool {
    // The empty pattern of Braille counts as a letter's place, and shows nothing.
    text.chars().all(|c| c.is_whitespace() || c.is_control() || is_invisible(c) || c == '\u{2800}')
}

fn is_combining_mark(character: char) -> bool {
    matches!(u32::from(character), 0x300..=0x36F)
}

fn ascii_or_underscore(character: char) -> char {
    match character {
        '"' | '\\' | '%' | ';' => '_',
        ' '..='~' => character,
        _ => '_',
    }
}

/// NFC without controls, path separators, characters Windows refuses, and without dots and spaces at either end.
fn drop_forbidden(name: &str) -> String {
    let kept: String = name
        .nfc()
        .filter(|c| !c.is_control() && !is_invisible(*c))
        .map(|c| match c {
            '/' | '\\' | '⁄' | '∕' | '／' | '＼' | '⧵' | '⧸' => '_',
            ':' | '*' | '?' | '"' | '<' | '>' | '|' => '_',
            c if c.is_whitespace() => ' ',
            c => c,
        })
        .nfc()
        .collect();
    kept.trim_matches(|c: char| c == '.' || c.is_whitespace()).to_owned()
}

/// Puts an underscore before names that Windows gives to devices, whatever their extension.
fn unreserved(name: &str) -> String {
    let stem = name.split('.').next().unwrap_or_default().trim_end().to_uppercase();
    let is_port = |prefix: &str| {
        stem.strip_prefix(prefix).is_some_and(|rest| matches!(rest, "0" | "¹" | "²" | "³") || is_digit_1_to_9(rest))
    };
    let is_device = matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$" | "CLOCK$");
    if is_device || is_port("COM") || is_port("LPT") { format!("_{name}") } else { name.to_owned() }
}

fn is_digit_1_to_9(text: &str) -> bool {
    matches!(text.as_bytes(), [b'1'..=b'9'])
}

/// Cuts the stem so that stem and extension fit.
fn shorten(name: &str) -> String {
    if name.len() <= MAX_BYTES {
        return name.to_owned();
    }
    let extension_at =
        name.rfind('.').filter(|&at| at > 0 && name.len() - at <= MAX_EXTENSION_BYTES).unwrap_or(name.len());
    let (stem, extension) = name.split_at(extension_at);
    let mut end = MAX_BYTES - extension.len();
    while !stem.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{extension}", &stem[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h_08_names_are_canonical() {
        for (given, canonical) in [
            ("rapport.pdf", "rapport.pdf"),
            ("Re\u{301}sume\u{301}.pdf", "Résumé.pdf"),
            ("../../etc/passwd", "_.._etc_passwd"),
            ("C:\\Windows\\x.exe", "C__Windows_x.exe"),
            (".htaccess", "htaccess"),
            ("name. . ", "name"),
            ("CON", "_CON"),
            ("con.txt", "_con.txt"),
            ("Lpt1 .log", "_Lpt1 .log"),
            ("com10.txt", "com10.txt"),
            ("a\r\nb\tc", "abc"),
            ("a\u{A0}b\u{2003}c", "a b c"),
            ("", "file"),
            ("...", "file"),
            ("\u{200B}\u{202E}", "file"),
        ] {
            assert_eq!(FileName::new(given).as_str(), canonical, "{given:?}");
        }
    }

    #[test]
    fn h_08_long_names_keep_their_extension() {
        let name = FileName::new(&format!("{}.tar.pdf", "é".repeat(300)));
        assert!(name.as_str().len() <= 200 && name.as_str().ends_with(".pdf"), "{name}");
        let name = FileName::new(&format!("a.{}", "b".repeat(300)));
        assert_eq!(name.as_str().len(), 200);
    }

    #[test]
    fn adv_21_a_name_is_checked_after_what_is_invisible_is_gone() {
        for given in [
            "shell.p\u{200B}hp",
            "shell.\u{202E}php",
            "shell.php...",
            "shell.php\0.png\0".trim_end_matches(".png\0"),
            "shell.php . .",
            "shell\u{FEFF}.php\u{2060}",
        ] {
            assert_eq!(FileName::new(given).extension(), "php", "{given:?}");
        }
        assert_eq!(FileName::new("\u{200B}.\u{200B}htaccess").as_str(), "htaccess");
        assert_eq!(FileName::new("C\u{200B}ON").as_str(), "_CON");
    }

    #[test]
    fn h_08_canonical_names_stay_as_they_are() {
        for given in ["_.._etc", "a.\u{301}b", "nul.\u{200B}", "x\u{2000}.", "a/\u{338}b", "<\u{338}", "é.pdf."] {
            let once = FileName::new(given);
            assert_eq!(FileName::new(once.as_str()), once, "{given:?}");
        }
    }

    #[test]
    fn h_08_a_download_bears_both_forms_of_the_name() {
        assert_eq!(FileName::new("a b.pdf").content_disposition(), "attachment; filename=\"a b.pdf\"");
        assert_eq!(
            FileName::new("Résumé;\r\nX: y.pdf").content_disposition(),
            "attachment; filename=\"Resume_X_ y.pdf\"; filename*=UTF-8''R%C3%A9sum%C3%A9%3BX_%20y.pdf"
        );
    }
}
