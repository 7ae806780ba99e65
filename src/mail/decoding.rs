//! From bytes of some charset to text (M-03): bodies, header values, encoded-words. What comes out is UTF-8 without NUL;
//! what could not be read rightly is read somehow and said to be doubtful.

use charset::{Charset, UTF_7};
use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

use super::limits::ENCODED_WORDS;

/// Text, and what is to be said about how it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decoded {
    pub text: String,
    /// The charset is unknown, or the bytes are not of it.
    pub is_doubtful: bool,
    /// There were more encoded-words than are decoded (L-03).
    pub is_cut: bool,
}

/// The text of a body whose Content-Type names `charset`, with line ends as `\n`.
pub fn body(bytes: &[u8], charset: Option<&str>) -> Decoded {
    let (text, is_doubtful) = in_charset(bytes, charset);
    Decoded { text: with_plain_line_ends(text), is_doubtful, is_cut: false }
}

/// At most `limit` bytes of a body. A character in UTF-8 that they would end in is left out, or the whole would be taken for
/// something else.
pub fn start_of(bytes: &[u8], limit: usize) -> &[u8] {
    if bytes.len() <= limit {
        return bytes;
    }
    let start = &bytes[..limit];
    let is_cut_after =
        |at: &usize| matches!(std::str::from_utf8(&start[*at..]), Err(error) if error.error_len().is_none());
    let end = (limit.saturating_sub(3)..limit).find(|at| start[*at] >= 0xC0 && is_cut_after(at));
    &start[..end.unwrap_or(limit)]
}

/// A raw header value as text, unfolded, with its encoded-words as they stand.
pub fn header(raw: &[u8]) -> String {
    let (text, _) = in_charset(raw, None);
    unfold(&text)
}

/// Decodes the encoded-words (RFC 2047) of a text that [`header`] gave. The result is one line.
pub fn encoded_words(text: &str) -> Decoded {
    let mut decoded = Decoded::default();
    let mut run: Option<(String, Vec<u8>)> = None;
    let mut words = 0;
    let mut rest = text;
    while let Some(start) = rest.find("=?") {
        let before = &rest[..start];
        let Some(word) = EncodedWord::at_start_of(&rest[start..]) else {
            decoded.end_run(&mut run);
            decoded.text.push_str(&rest[..start + 2]);
            rest = &rest[start + 2..];
            continue;
        };
        words += 1;
        if words > ENCODED_WORDS {
            decoded.is_cut = true;
            break;
        }
        // White space between two encoded-words is no part of the text, and a character may be split between them.
        if run.is_none() || !before.trim().is_empty() {
            decoded.end_run(&mut run);
            decoded.text.push_str(before);
        }
        if run.as_ref().is_some_and(|(charset, _)| !charset.eq_ignore_ascii_case(word.charset)) {
            decoded.end_run(&mut run);
        }
        run.get_or_insert_with(|| (word.charset.to_owned(), Vec::new())).1.extend(word.bytes);
        rest = &rest[start + word.length..];
    }
    decoded.end_run(&mut run);
    decoded.text.push_str(rest);
    decoded.text = one_line(&decoded.text);
    decoded
}

impl Decoded {
    fn end_run(&mut self, run: &mut Option<(String, Vec<u8>)>) {
        if let Some((charset, bytes)) = run.take() {
            let (text, is_doubtful) = in_charset(&bytes, Some(&charset));
            self.text.push_str(&text);
            self.is_doubtful |= is_doubtful;
        }
    }
}

struct EncodedWord<'a> {
    charset: &'a str,
    bytes: Vec<u8>,
    length: usize,
}

impl<'a> EncodedWord<'a> {
    /// Reads `=?charset?B?…?=` or `=?charset?Q?…?=`. It looks no further than a line is long, so that a value full of
    /// beginnings without ends is read in linear time.
    fn at_start_of(text: &'a str) -> Option<Self> {
        const LONGEST: usize = 1_000;
        let end = (0..=LONGEST.min(text.len())).rev().find(|end| text.is_char_boundary(*end))?;
        let window = &text[2..end];
        let (charset, rest) = window.split_once('?')?;
        let (encoding, rest) = rest.split_once('?')?;
        let (encoded, _) = rest.split_once("?=")?;
        let is_charset = |b: u8| b.is_ascii_alphanumeric() || b"-_.:+()*".contains(&b);
        if charset.is_empty() || charset.len() > 64 || !charset.bytes().all(is_charset) {
            return None;
        }
        let bytes = match encoding {
            "B" | "b" => base64(encoded.as_bytes()),
            "Q" | "q" => q_encoding(encoded.as_bytes()),
            _ => return None,
        };
        let length = 2 + charset.len() + 1 + encoding.len() + 1 + encoded.len() + 2;
        // RFC 2231 lets a language follow the charset.
        let charset = charset.split('*').next().unwrap_or(charset);
        Some(Self { charset, bytes, length })
    }
}

fn q_encoding(encoded: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut at = 0;
    while let Some(byte) = encoded.get(at) {
        let code = (*byte == b'=').then(|| encoded.get(at + 1..at + 3)).flatten().and_then(hexadecimal);
        bytes.push(code.unwrap_or(if *byte == b'_' { b' ' } else { *byte }));
        at += if code.is_some() { 3 } else { 1 };
    }
    bytes
}

fn hexadecimal(digits: &[u8]) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let value = digit(*digits.first()?)? * 16 + digit(*digits.get(1)?)?;
    u8::try_from(value).ok()
}

/// Base64 as far as it can be read: what is no digit of it is skipped, an incomplete end is dropped.
pub fn base64(encoded: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(encoded.len() / 4 * 3 + 3);
    let (mut bits, mut count) = (0_u32, 0);
    for byte in encoded {
        let digit = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            b'=' => {
                // Padding ends one encoded text; another may follow it.
                count = 0;
                continue;
            }
            _ => continue,
        };
        bits = bits << 6 | u32::from(digit);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    bytes
}

/// Quoted-printable as far as it can be read: soft line breaks are removed, and what is no code stays as it is.
pub fn quoted_printable(encoded: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(encoded.len());
    for line in encoded.split_inclusive(|byte| *byte == b'\n') {
        let content = line.trim_ascii_end();
        let is_soft = content.last() == Some(&b'=');
        let content = if is_soft { &content[..content.len() - 1] } else { content };
        let mut at = 0;
        while let Some(byte) = content.get(at) {
            let code = (*byte == b'=').then(|| content.get(at + 1..at + 3)).flatten().and_then(hexadecimal);
            bytes.push(code.unwrap_or(*byte));
            at += if code.is_some() { 3 } else { 1 };
        }
        if !is_soft && line.ends_with(b"\n") {
            bytes.extend(if line.ends_with(b"\r\n") { &b"\r\n"[..] } else { b"\n" });
        }
    }
    bytes
}

/// Decodes with the named charset by its WHATWG label, or as UTF-7 (RFC 2152), which pages may not be in but mails were: by its
/// name alone, never because bytes look like it. Without a name, or with one nobody knows, UTF-8 if the bytes are that, else
/// windows-1252. The second value tells whether that is doubtful.
fn in_charset(bytes: &[u8], charset: Option<&str>) -> (String, bool) {
    let label = charset.map(|charset| charset.trim().trim_matches(['"', '\''])).unwrap_or_default();
    let named = Encoding::for_label_no_replacement(label.as_bytes());
    let is_named_utf_7 = named.is_none() && Charset::for_label(label.as_bytes()) == Some(UTF_7);
    let is_named_ascii = label.eq_ignore_ascii_case("us-ascii") || label.eq_ignore_ascii_case("ascii");
    let (text, is_doubtful) = match (named, Encoding::for_bom(bytes)) {
        (_, Some((marked, _))) if marked == UTF_8 || marked == UTF_16LE || marked == UTF_16BE => {
            let (text, has_errors) = marked.decode_with_bom_removal(bytes);
            (text, has_errors)
        }
        (Some(encoding), _) if !is_named_ascii => encoding.decode_without_bom_handling(bytes),
        _ if is_named_utf_7 => UTF_7.decode_without_bom_handling(bytes),
        _ => match std::str::from_utf8(bytes) {
            Ok(text) => (text.into(), !is_named_ascii && !label.is_empty() && !text.is_ascii()),
            Err(_) => (WINDOWS_1252.decode_without_bom_handling(bytes).0, true),
        },
    };
    let is_unknown = named.is_none() && !is_named_utf_7 && !label.is_empty();
    (without_nul(&text), is_doubtful || is_unknown)
}

/// Text that came otherwise than as a body, as bodies are: with line ends as `\n`, and without NUL.
pub fn plain(text: &str) -> String {
    with_plain_line_ends(without_nul(text))
}

/// The text without the one character that PostgreSQL refuses.
fn without_nul(text: &str) -> String {
    if text.contains('\0') { text.replace('\0', "") } else { text.to_owned() }
}

fn with_plain_line_ends(text: String) -> String {
    if text.contains('\r') { text.replace("\r\n", "\n").replace('\r', "\n") } else { text }
}

/// Takes the line ends out of a folded value; the white space after them stays.
fn unfold(text: &str) -> String {
    if !text.contains(['\r', '\n']) {
        return text.trim_matches([' ', '\t']).to_owned();
    }
    let unfolded = text.replace("\r\n", "\n").replace("\n ", " ").replace("\n\t", "\t").replace('\n', " ");
    unfolded.trim_matches([' ', '\t']).to_owned()
}

/// Line ends and tabs as spaces, so that a decoded value cannot begin a new line (ADV-13).
pub fn one_line(text: &str) -> String {
    let line =
        text.replace("\r\n", " ").replace(['\r', '\n', '\t', '\u{B}', '\u{C}', '\u{85}', '\u{2028}', '\u{2029}'], " ");
    line.trim().replace('\0', "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> String {
        encoded_words(text).text
    }

    #[test]
    fn encoded_words_are_decoded() {
        for (encoded, text) in [
            ("=?utf-8?Q?Probl=C3=A8me_r=C3=A9seau?=", "Problème réseau"),
            ("=?UTF-8?B?UHJvYmzDqG1l?= de =?iso-8859-1?q?r=E9seau?=", "Problème de réseau"),
            ("=?utf-8?q?a?=\t =?utf-8?q?b?= c", "ab c"),
            ("=?utf-8?b?w6k=?= =?utf-8?b?w6k=?=", "éé"),
            ("=?utf-8?b?ww==?= =?UTF-8?b?qQ==?=", "é"),
            ("=?utf-8*fr?q?=C3?= =?utf-8?q?=A9?=", "é"),
            ("=?iso-2022-jp?B?GyRCRnxLXBsoQg==?=", "日本"),
            ("=?utf-8?q?one=0D=0ABcc:_evil=40x.y?=", "one Bcc: evil@x.y"),
            ("=?utf-8?x?a?= =?utf-8?q?b", "=?utf-8?x?a?= =?utf-8?q?b"),
            ("=?utf-8?q?a\0=00b?=", "ab"),
            ("=?utf-7?Q?d+AOk-j+AOA-?= =?UTF-7?Q?_vu?=", "déjà vu"),
            ("=?unicode-1-1-utf-7?B?YStBQTBBQ2ctQmNjOitBQUEtYg==?=", "a Bcc:b"),
            ("d+AOk-j+AOA-", "d+AOk-j+AOA-"),
            ("plain =? text ?=", "plain =? text ?="),
            ("=?utf-8?q?=ZZ=4?=", "=ZZ=4"),
        ] {
            assert_eq!(words(encoded), text, "{encoded}");
        }
    }

    #[test]
    fn l_03_encoded_words_past_the_limit_stay_raw() {
        let decoded = encoded_words(&"=?utf-8?q?a?= ".repeat(201));
        assert_eq!(decoded.text, format!("{} =?utf-8?q?a?=", "a".repeat(200)));
        assert!(decoded.is_cut);
        assert!(!encoded_words(&"=?utf-8?q?a?= ".repeat(200)).is_cut);
        assert_eq!(words(&"=?".repeat(16_000)), "=?".repeat(16_000));
    }

    #[test]
    fn m_03_charsets_are_read_or_doubted() {
        let read = |bytes: &[u8], charset: Option<&str>| {
            let decoded = body(bytes, charset);
            (decoded.text, decoded.is_doubtful)
        };
        assert_eq!(read(b"\xE9t\xE9", Some("iso-8859-1")), ("été".into(), false));
        assert_eq!(read(b"\x93x\x94 \x80", Some("Windows-1252")), ("“x” €".into(), false));
        assert_eq!(read("été".as_bytes(), Some("UTF-8")), ("été".into(), false));
        assert_eq!(read("été".as_bytes(), Some("us-ascii")), ("été".into(), false));
        assert_eq!(read("été".as_bytes(), None), ("été".into(), false));
        assert_eq!(read(b"\xE9t\xE9", None), ("été".into(), true));
        assert_eq!(read(b"\xE9t\xE9", Some("x-klingon")), ("été".into(), true));
        assert_eq!(read(b"abc", Some("x-klingon")), ("abc".into(), true));
        assert_eq!(read(b"a\xFFb", Some("utf-8")), ("a\u{FFFD}b".into(), true));
        assert_eq!(read(b"a\0b\r\nc\rd", None), ("ab\nc\nd".into(), false));
        assert_eq!(read(b"h\0i\0", Some("utf-16le")), ("hi".into(), false));
        assert_eq!(read(b"h\0\0\0i\0\0\0", Some("utf-32le")), ("hi".into(), true));
        assert_eq!(read(b"Hi +ZeVnLIqe-, 2 +- 2 +AD0- 4+AAA-", Some("utf-7")), ("Hi 日本語, 2 + 2 = 4".into(), false));
        assert_eq!(read(b"a +2D0- b", Some("UTF-7")), ("a \u{FFFD} b".into(), true), "half of a pair");
        assert_eq!(read(b"+AGEAYg", Some("utf-7")).0, "ab");
        assert_eq!(read("é".as_bytes(), Some("utf-7")), ("\u{FFFD}\u{FFFD}".into(), true));
        assert_eq!(read(b"+AOk-", None), ("+AOk-".into(), false), "nobody said so");
        assert_eq!(read(b"+AOk-", Some("us-ascii")), ("+AOk-".into(), false));
        assert_eq!(read(b"\xEF\xBB\xBFx", Some("iso-8859-1")), ("x".into(), false));
        assert_eq!(read(b"x", Some("iso-2022-kr")), ("x".into(), true), "what the standard replaces is unknown to us");
        let long = "a".repeat(1 << 20);
        assert_eq!(read(b"\xE9", Some(&long)), ("é".into(), true));
        assert_eq!(read(b"x", Some("\"utf-8\"")), ("x".into(), false));
    }

    #[test]
    fn a_body_is_cut_between_characters() {
        assert_eq!(start_of("aé".as_bytes(), 3), "aé".as_bytes());
        assert_eq!(start_of("aéb".as_bytes(), 3), "aé".as_bytes());
        assert_eq!(start_of("aéb".as_bytes(), 2), b"a");
        assert_eq!(start_of("a😀b".as_bytes(), 4), b"a");
        assert_eq!(start_of("a😀b".as_bytes(), 5), "a😀".as_bytes());
        assert_eq!(start_of("é".as_bytes(), 0), b"");
        assert_eq!(start_of(b"\xE9t\xE9\xE9", 3), b"\xE9t", "no matter in a charset of one byte");
    }

    #[test]
    fn b_13_damaged_transfer_encodings_give_what_they_can() {
        assert_eq!(base64(b"w6k=\r\nw6k="), "éé".as_bytes());
        assert_eq!(base64(b"w!6*k"), "é".as_bytes());
        assert_eq!(base64(b"w6kA="), "é\0".as_bytes());
        assert_eq!(quoted_printable(b"a=\r\nb =  \nc=3D=zz \r\n=C3=A9="), "ab c==zz\r\né".as_bytes());
        assert_eq!(quoted_printable(&b"a=\n".repeat(100_000)).len(), 100_000);
    }
}
