//! The text of a mail in RTF, as Outlook packs it: decompressed (MS-OXRTFCP), and either the HTML it was made from
//! (MS-OXRTFEX) or its plain words. Formatting is left away. What comes out is never longer than the limit, and each byte is
//! looked at once.

use encoding_rs::{Encoding, WINDOWS_1252};

/// What an RTF text was made from.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Words {
    Html(String),
    Text(String),
}

/// What the dictionary holds before the first byte (MS-OXRTFCP, 2.1.2.1).
const PREFILL: &[u8] =
    b"{\\rtf1\\ansi\\mac\\deff0\\deftab720{\\fonttbl;}{\\f0\\fnil \\froman \\fswiss \\fmodern \\fscript \
    \\fdecor MS Sans SerifSymbolArialTimes New RomanCourier{\\colortbl\\red0\\green0\\blue0\r\n\\par \
    \\pard\\plain\\f0\\fs20\\b\\i\\u\\tab\\tx";

/// At most `limit` bytes of what was compressed; none if it is not such a text. The checksum is not looked at, for a damaged
/// text is better than none.
pub(super) fn decompress(bytes: &[u8], limit: usize) -> Option<Vec<u8>> {
    let (header, mut rest) = bytes.split_at_checked(16)?;
    match &header[8..12] {
        b"MELA" => return Some(rest[..rest.len().min(limit)].to_vec()),
        b"LZFu" => {}
        _ => return None,
    }
    let mut dictionary = [b' '; 4096];
    dictionary[..PREFILL.len()].copy_from_slice(PREFILL);
    let mut write = PREFILL.len();
    let mut text = Vec::new();
    while let Some((control, after)) = rest.split_first() {
        rest = after;
        for bit in 0..8 {
            if text.len() >= limit {
                return Some(text);
            }
            if control & (1 << bit) == 0 {
                let Some((byte, after)) = rest.split_first() else { return Some(text) };
                rest = after;
                text.push(*byte);
                dictionary[write] = *byte;
                write = (write + 1) % dictionary.len();
                continue;
            }
            let [high, low, after @ ..] = rest else { return Some(text) };
            rest = after;
            let reference = usize::from(*high) << 8 | usize::from(*low);
            let (offset, length) = (reference >> 4, (reference & 15) + 2);
            if offset == write {
                return Some(text);
            }
            for distance in 0..length {
                let byte = dictionary[(offset + distance) % dictionary.len()];
                text.push(byte);
                dictionary[write] = byte;
                write = (write + 1) % dictionary.len();
            }
        }
    }
    Some(text)
}

/// The words of an RTF text.
pub(super) fn words(rtf: &[u8]) -> Words {
    let mut page = Page { charset: WINDOWS_1252, ..Page::default() };
    page.read(rtf);
    page.end_bytes();
    if page.is_html { Words::Html(page.text) } else { Words::Text(page.text) }
}

/// What holds until a group ends.
#[derive(Clone, Copy)]
struct Group {
    /// It is about fonts, pictures and the like.
    is_skipped: bool,
    /// It is formatting that the HTML has otherwise.
    is_double: bool,
    /// Characters after `\u` for those who cannot read it.
    fallback: usize,
}

struct Page {
    text: String,
    /// Bytes still to be decoded.
    bytes: Vec<u8>,
    charset: &'static Encoding,
    groups: Vec<Group>,
    group: Group,
    is_html: bool,
    /// Characters to be passed over, for `\u` said them.
    to_pass: usize,
    high_surrogate: Option<u16>,
}

impl Default for Page {
    fn default() -> Self {
        let group = Group { is_skipped: false, is_double: false, fallback: 1 };
        Page {
            text: String::new(),
            bytes: Vec::new(),
            charset: WINDOWS_1252,
            groups: Vec::new(),
            group,
            is_html: false,
            to_pass: 0,
            high_surrogate: None,
        }
    }
}

/// Deeper groups are taken for their outermost.
const DEEPEST: usize = 200;

impl Page {
    fn read(&mut self, rtf: &[u8]) {
        let mut at = 0;
        let mut too_deep = 0_usize;
        while let Some(byte) = rtf.get(at) {
            at += 1;
            match byte {
                b'{' if self.groups.len() >= DEEPEST => too_deep += 1,
                b'{' => self.groups.push(self.group),
                b'}' if too_deep > 0 => too_deep -= 1,
                b'}' => {
                    self.end_bytes();
                    self.to_pass = 0;
                    if let Some(outer) = self.groups.pop() {
                        self.group = outer;
                    }
                }
                b'\r' | b'\n' => {}
                b'\\' => at = self.control(rtf, at),
                _ => self.byte(*byte),
            }
        }
    }

    /// Reads what follows a backslash at `at` and tells where it ends.
    fn control(&mut self, rtf: &[u8], at: usize) -> usize {
        let Some(first) = rtf.get(at) else { return at };
        if !first.is_ascii_alphabetic() {
            match first {
                b'\'' => {
                    let code = rtf.get(at + 1..at + 3).and_then(|code| std::str::from_utf8(code).ok());
                    if let Some(byte) = code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
                        self.byte(byte);
                        return at + 3;
                    }
                }
                b'*' => {
                    // A destination that need not be known; only the tags of the HTML are.
                    self.group.is_skipped |= !rtf[at + 1..].starts_with(b"\\htmltag");
                }
                b'~' => self.character('\u{a0}'),
                b'_' => self.character('-'),
                b'\\' | b'{' | b'}' => self.byte(*first),
                _ => {}
            }
            return at + 1;
        }
        let word_end = rtf[at..].iter().position(|b| !b.is_ascii_alphabetic()).map_or(rtf.len(), |length| at + length);
        let mut end = word_end;
        if rtf.get(end) == Some(&b'-') {
            end += 1;
        }
        while end - word_end < 12 && rtf.get(end).is_some_and(u8::is_ascii_digit) {
            end += 1;
        }
        let number = std::str::from_utf8(&rtf[word_end..end]).ok().and_then(|number| number.parse::<i64>().ok());
        self.word(&rtf[at..word_end], number);
        end + usize::from(rtf.get(end) == Some(&b' '))
    }

    fn word(&mut self, word: &[u8], number: Option<i64>) {
        match word {
            b"fromhtml" => self.is_html = true,
            b"htmlrtf" => {
                self.end_bytes();
                self.group.is_double = number != Some(0);
            }
            b"ansicpg" => {
                self.charset = number.and_then(of_code_page).unwrap_or(WINDOWS_1252);
            }
            b"fonttbl" | b"colortbl" | b"stylesheet" | b"info" | b"pict" | b"header" | b"footer" | b"object" => {
                self.group.is_skipped = true;
            }
            b"uc" => self.group.fallback = number.and_then(|count| usize::try_from(count).ok()).unwrap_or(1).min(16),
            b"u" => {
                self.end_bytes();
                if let Some(unit) = number.and_then(|number| u16::try_from(number.rem_euclid(65_536)).ok()) {
                    self.unit(unit);
                }
                self.to_pass = self.group.fallback;
            }
            b"par" | b"line" | b"row" => self.character('\n'),
            b"tab" | b"cell" => self.character('\t'),
            b"lquote" => self.character('‘'),
            b"rquote" => self.character('’'),
            b"ldblquote" => self.character('“'),
            b"rdblquote" => self.character('”'),
            b"bullet" => self.character('•'),
            b"endash" => self.character('–'),
            b"emdash" => self.character('—'),
            _ => {}
        }
    }

    fn is_silent(&self) -> bool {
        self.group.is_skipped || self.group.is_double
    }

    fn byte(&mut self, byte: u8) {
        if self.to_pass > 0 {
            self.to_pass -= 1;
        } else if !self.is_silent() {
            self.bytes.push(byte);
        }
    }

    fn character(&mut self, character: char) {
        self.end_bytes();
        self.to_pass = 0;
        if !self.is_silent() {
            self.text.push(character);
        }
    }

    /// One unit of UTF-16, as `\u` gives them.
    fn unit(&mut self, unit: u16) {
        if self.is_silent() {
            return;
        }
        let units: Vec<u16> = self.high_surrogate.take().into_iter().chain([unit]).collect();
        if units.len() == 1 && (0xD800..0xDC00).contains(&unit) {
            self.high_surrogate = Some(unit);
            return;
        }
        self.text.push_str(&String::from_utf16_lossy(&units));
    }

    /// Decodes the bytes up to here; those of one character stand together.
    fn end_bytes(&mut self) {
        if self.bytes.is_empty() {
            return;
        }
        let (text, _) = self.charset.decode_without_bom_handling(&self.bytes);
        self.text.extend(text.chars().filter(|c| *c != '\0'));
        self.bytes.clear();
    }
}

/// The charset of a Windows code page.
pub(super) fn of_code_page(number: i64) -> Option<&'static Encoding> {
    let label = match number {
        65001 => "utf-8".to_owned(),
        932 => "shift_jis".to_owned(),
        936 => "gbk".to_owned(),
        949 => "euc-kr".to_owned(),
        950 => "big5".to_owned(),
        874 | 1250..=1258 => format!("windows-{number}"),
        20866 => "koi8-r".to_owned(),
        28591..=28605 => format!("iso-8859-{}", number - 28590),
        _ => return None,
    };
    Encoding::for_label(label.as_bytes())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn b_20_the_example_of_the_specification_is_decompressed() {
        // MS-OXRTFCP, 3.1.1.
        let compressed = [
            0x2d, 0, 0, 0, 0x2b, 0, 0, 0, 0x4c, 0x5a, 0x46, 0x75, 0xf1, 0xc5, 0xc7, 0xa7, 0x03, 0x00, 0x0a, 0x00, 0x72,
            0x63, 0x70, 0x67, 0x31, 0x32, 0x35, 0x42, 0x32, 0x0a, 0xf3, 0x20, 0x68, 0x65, 0x6c, 0x09, 0x00, 0x20, 0x62,
            0x77, 0x05, 0xb0, 0x6c, 0x64, 0x7d, 0x0a, 0x80, 0x0f, 0xa0,
        ];
        let text = decompress(&compressed, 1_000).unwrap();
        assert_eq!(text, b"{\\rtf1\\ansi\\ansicpg1252\\pard hello world}\r\n");
        assert_eq!(words(&text), Words::Text("hello world".to_owned()));
        assert!(decompress(&compressed, 10).unwrap().len() < 30);
        assert_eq!(decompress(&compressed[..10], 10), None);
    }

    #[test]
    fn b_20_words_are_told_from_formatting() {
        let rtf =
            br"{\rtf1\ansi\ansicpg1252{\fonttbl{\f0 Arial;}}{\*\generator Riched20;}\pard Caf\'e9 \u8364\'80 5\par
{\b bold}\tab \u55357?\u56832?\{x\}}";
        assert_eq!(words(rtf), Words::Text("Café € 5\nbold\t😀{x}".to_owned()));
    }

    #[test]
    fn b_20_html_inside_is_found_again() {
        let rtf = br"{\rtf1\ansi\ansicpg1252\fromhtml1 {\*\htmltag64 <p>}\htmlrtf {\htmlrtf0 One \htmlrtf\par}\htmlrtf0
{\*\htmltag84 <b>}two{\*\htmltag92 </b>}{\*\htmltag72 </p>}}";
        assert_eq!(words(rtf), Words::Html("<p>One <b>two</b></p>".to_owned()));
    }

    proptest! {
        #[test]
        fn b_20_any_bytes_are_read_without_a_panic(bytes: Vec<u8>, rtf in r"[{}\\a-z0-9 '*-]{0,200}") {
            decompress(&[b"\0\0\0\0\0\0\0\0LZFu\0\0\0\0".as_slice(), &bytes].concat(), 1_000);
            words(&bytes);
            words(rtf.as_bytes());
        }
    }
}
