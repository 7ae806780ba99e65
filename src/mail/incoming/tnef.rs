//! What Outlook and Exchange pack into a `winmail.dat` (MS-OXTNEF): the text and the files. One pass over its attributes,
//! each length checked against what is there; a message inside is kept as a file and not opened.

use encoding_rs::{Encoding, WINDOWS_1252};

use super::rtf::{self, Words, of_code_page};
use crate::mail::decoding;
use crate::mail::limits::PART_TEXT_BYTES;

/// What was packed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Tnef {
    pub(super) text: Option<String>,
    pub(super) html: Option<String>,
    pub(super) files: Vec<File>,
    /// It was read to its end, with nothing left behind.
    pub(super) is_whole: bool,
    /// There were more files than were taken.
    pub(super) is_cut: bool,
}

/// A packed file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct File {
    pub(super) name: String,
    pub(super) media_type: Option<String>,
    pub(super) content_id: Option<String>,
    pub(super) bytes: Vec<u8>,
    /// It is a message, or an object of an Office document.
    is_object: bool,
}

const SIGNATURE: [u8; 4] = 0x223E_9F78_u32.to_le_bytes();

/// The attributes that matter here (MS-OXTNEF, 2.1.3.2).
mod attribute {
    pub(super) const CODE_PAGE: u32 = 0x0006_9007;
    pub(super) const BODY: u32 = 0x0002_800C;
    pub(super) const MESSAGE_PROPERTIES: u32 = 0x0006_9003;
    /// Begins an attachment.
    pub(super) const RENDERING: u32 = 0x0006_9002;
    pub(super) const TITLE: u32 = 0x0001_8010;
    pub(super) const DATA: u32 = 0x0006_800F;
    pub(super) const ATTACHMENT_PROPERTIES: u32 = 0x0006_9005;
}

/// The properties that matter here (MS-OXPROPS).
mod property {
    pub(super) const BODY: u16 = 0x1000;
    pub(super) const RTF: u16 = 0x1009;
    pub(super) const HTML: u16 = 0x1013;
    pub(super) const CODE_PAGE: u16 = 0x3FDE;
    pub(super) const DATA: u16 = 0x3701;
    pub(super) const SHORT_NAME: u16 = 0x3704;
    pub(super) const LONG_NAME: u16 = 0x3707;
    pub(super) const MEDIA_TYPE: u16 = 0x370E;
    pub(super) const CONTENT_ID: u16 = 0x3712;
}

/// Whether these are the bytes of such a file.
pub(super) fn is_tnef(bytes: &[u8]) -> bool {
    bytes.starts_with(&SIGNATURE)
}

/// Reads as much as is there, and up to `files` files.
pub(super) fn read(bytes: &[u8], files: usize) -> Tnef {
    let mut unpacking =
        Unpacking { tnef: Tnef::default(), limit: files, charset: WINDOWS_1252, html_charset: None, rtf: None };
    // The key after the signature means nothing to us.
    unpacking.tnef.is_whole =
        is_tnef(bytes) && unpacking.attributes(Cursor(bytes.get(6..).unwrap_or_default())).is_some();
    unpacking.finish()
}

struct Unpacking {
    tnef: Tnef,
    limit: usize,
    /// What texts are in that are not in Unicode.
    charset: &'static Encoding,
    html_charset: Option<&'static Encoding>,
    rtf: Option<Words>,
}

impl Unpacking {
    fn attributes(&mut self, mut cursor: Cursor<'_>) -> Option<()> {
        while !cursor.0.is_empty() {
            let _level = cursor.take(1)?;
            let attribute = cursor.long()?;
            let length = cursor.long()?;
            let value = cursor.take(usize::try_from(length).ok()?)?;
            let _checksum = cursor.take(2)?;
            match attribute {
                attribute::CODE_PAGE => {
                    let number = Cursor(value).long().unwrap_or_default();
                    self.charset = of_code_page(i64::from(number)).unwrap_or(WINDOWS_1252);
                }
                attribute::BODY => self.tnef.text = Some(self.narrow(value)),
                attribute::MESSAGE_PROPERTIES => {
                    properties(value, &mut |id, value| self.message_property(id, &value))?;
                }
                attribute::RENDERING if self.tnef.files.len() >= self.limit => {
                    self.tnef.is_cut = true;
                    return None;
                }
                attribute::RENDERING => self.tnef.files.push(File::default()),
                attribute::TITLE => {
                    let name = self.narrow(value);
                    if let Some(file) = self.tnef.files.last_mut().filter(|file| file.name.is_empty()) {
                        file.name = name;
                    }
                }
                attribute::DATA => {
                    if let Some(file) = self.tnef.files.last_mut() {
                        file.bytes = value.to_vec();
                    }
                }
                attribute::ATTACHMENT_PROPERTIES => {
                    properties(value, &mut |id, value| self.attachment_property(id, &value))?;
                }
                _ => {}
            }
        }
        Some(())
    }

    fn message_property(&mut self, id: u16, value: &Value<'_>) {
        match (id, value) {
            (property::BODY, _) => {
                if let Some(text) = self.words(value).filter(|text| !text.trim().is_empty()) {
                    self.tnef.text = Some(text);
                }
            }
            (property::CODE_PAGE, Value::Number(number)) => self.html_charset = of_code_page(i64::from(*number)),
            (property::HTML, Value::Bytes(bytes) | Value::Narrow(bytes)) => {
                let charset = self.html_charset.unwrap_or(self.charset);
                let (html, _) = charset.decode_without_bom_handling(shortened(bytes));
                self.tnef.html = Some(html.replace('\0', ""));
            }
            (property::HTML, Value::Wide(_)) => self.tnef.html = self.words(value),
            (property::RTF, Value::Bytes(bytes)) => {
                self.rtf = rtf::decompress(bytes, PART_TEXT_BYTES).map(|rtf| rtf::words(&rtf));
            }
            _ => {}
        }
    }

    fn attachment_property(&mut self, id: u16, value: &Value<'_>) {
        let words = self.words(value).map(|words| words.trim().to_owned()).filter(|words| !words.is_empty());
        let Some(file) = self.tnef.files.last_mut() else { return };
        match (id, words) {
            (property::LONG_NAME, Some(name)) => file.name = name,
            (property::SHORT_NAME, Some(name)) if file.name.is_empty() => file.name = name,
            (property::MEDIA_TYPE, Some(media_type)) => file.media_type = Some(media_type),
            (property::CONTENT_ID, Some(id)) => file.content_id = Some(id),
            _ => {}
        }
        match (id, value) {
            (property::DATA, Value::Bytes(bytes)) => file.bytes = bytes.to_vec(),
            (property::DATA, Value::Object(bytes)) => {
                // What follows names the interface, then comes the message or the document.
                file.bytes = bytes.get(16..).unwrap_or_default().to_vec();
                file.is_object = true;
            }
            _ => {}
        }
    }

    /// Text that is not in Unicode.
    fn narrow(&self, bytes: &[u8]) -> String {
        let (text, _) = self.charset.decode_without_bom_handling(shortened(bytes));
        decoding::plain(&text)
    }

    fn words(&self, value: &Value<'_>) -> Option<String> {
        match value {
            Value::Narrow(bytes) => Some(self.narrow(bytes)),
            Value::Wide(bytes) => {
                let (text, _) = encoding_rs::UTF_16LE.decode_without_bom_handling(shortened(bytes));
                Some(decoding::plain(&text))
            }
            _ => None,
        }
    }

    fn finish(self) -> Tnef {
        let mut tnef = self.tnef;
        match self.rtf {
            Some(Words::Html(html)) if tnef.html.is_none() => tnef.html = Some(html),
            Some(Words::Text(text)) if tnef.text.is_none() && tnef.html.is_none() => tnef.text = Some(text),
            _ => {}
        }
        tnef.text = tnef.text.filter(|text| !text.trim().is_empty());
        tnef.html = tnef.html.filter(|html| !html.trim().is_empty());
        for file in &mut tnef.files {
            if file.is_object && is_tnef(&file.bytes) {
                file.name = format!("{}.dat", if file.name.is_empty() { "message" } else { file.name.as_str() });
                file.media_type = Some("application/ms-tnef".to_owned());
            }
        }
        tnef.files.retain(|file| !file.bytes.is_empty() || !file.name.is_empty());
        tnef
    }
}

/// No more of one text is decoded (L-12).
fn shortened(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.len().min(PART_TEXT_BYTES)]
}

/// The value of a property, as far as it matters.
enum Value<'a> {
    Number(u32),
    /// In the code page of the message.
    Narrow(&'a [u8]),
    /// In UTF-16.
    Wide(&'a [u8]),
    Bytes(&'a [u8]),
    Object(&'a [u8]),
    Other,
}

/// Hands on each property of a list (MS-OXTNEF, 2.1.3.4); there may be millions, so none is collected. Of a property with
/// several values the last counts.
fn properties<'a>(bytes: &'a [u8], found: &mut impl FnMut(u16, Value<'a>)) -> Option<()> {
    const MANY: u16 = 0x1000;
    let mut cursor = Cursor(bytes);
    let count = cursor.long()?;
    for _ in 0..count {
        let kind = cursor.short()?;
        let id = cursor.short()?;
        if id >= 0x8000 {
            // A property with a name: its set, and a number or a text.
            cursor.take(16)?;
            match cursor.long()? {
                0 => cursor.take(4)?,
                _ => cursor.padded()?,
            };
        }
        let base = kind & !MANY;
        let is_counted = kind & MANY != 0 || matches!(base, 0x0D | 0x1E | 0x1F | 0x102);
        let values = if is_counted { cursor.long()? } else { 1 };
        let mut value = Value::Other;
        for _ in 0..values {
            value = match base {
                // Integers, and what takes as much room.
                0x02..=0x04 | 0x0A | 0x0B => Value::Number(cursor.long()?),
                0x05..=0x07 | 0x14 | 0x40 => cursor.take(8).map(|_| Value::Other)?,
                0x48 => cursor.take(16).map(|_| Value::Other)?,
                0x0D => Value::Object(cursor.padded()?),
                0x1E => Value::Narrow(cursor.padded()?),
                0x1F => Value::Wide(cursor.padded()?),
                0x102 => Value::Bytes(cursor.padded()?),
                // One of unknown length: nothing after it can be found.
                _ => return None,
            };
        }
        if !matches!(value, Value::Other) {
            found(id, value);
        }
    }
    Some(())
}

/// Bytes still to be read.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn short(&mut self) -> Option<u16> {
        self.take(2)?.try_into().ok().map(u16::from_le_bytes)
    }

    fn long(&mut self) -> Option<u32> {
        self.take(4)?.try_into().ok().map(u32::from_le_bytes)
    }

    /// A length, so many bytes, and what is missing to four.
    fn padded(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.long()?).ok()?;
        let value = self.take(length)?;
        self.take(length.wrapping_neg() % 4)?;
        Some(value)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    fn attribute(level: u8, id: u32, value: &[u8]) -> Vec<u8> {
        let sum = value.iter().fold(0_u16, |sum, byte| sum.wrapping_add(u16::from(*byte)));
        let length = u32::try_from(value.len()).unwrap();
        [&[level], id.to_le_bytes().as_slice(), &length.to_le_bytes(), value, &sum.to_le_bytes()].concat()
    }

    fn padded(value: &[u8]) -> Vec<u8> {
        let length = u32::try_from(value.len()).unwrap().to_le_bytes();
        [length.as_slice(), value, &vec![0; value.len().wrapping_neg() % 4]].concat()
    }

    fn variable(kind: u16, id: u16, value: &[u8]) -> Vec<u8> {
        [kind.to_le_bytes().as_slice(), &id.to_le_bytes(), &1_u32.to_le_bytes(), &padded(value)].concat()
    }

    fn list(properties: &[Vec<u8>]) -> Vec<u8> {
        let count = u32::try_from(properties.len()).unwrap();
        [count.to_le_bytes().as_slice(), &properties.concat()].concat()
    }

    fn wide(text: &str) -> Vec<u8> {
        text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect()
    }

    /// As Outlook packs a message with a text and two files.
    pub(crate) fn winmail() -> Vec<u8> {
        // A named property and one of eight bytes, before the text.
        let named = [&[0x03, 0x00, 0x01, 0x80], [7; 16].as_slice(), &[0; 4], &[1, 2, 3, 4], &[9, 0, 0, 0]].concat();
        let time = [&[0x40, 0x00, 0x39, 0x00], [0; 8].as_slice()].concat();
        let message = list(&[named, time, variable(0x1F, 0x1000, &wide("Voilà le rapport.\r\n"))]);
        let report = list(&[
            variable(0x1F, 0x3707, &wide("Rapport d’essai.pdf")),
            variable(0x1E, 0x370E, b"application/pdf\0"),
            variable(0x1E, 0x3712, b"report@acme.example\0"),
        ]);
        let inner = [SIGNATURE.as_slice(), &[0, 0]].concat();
        let object = [[7; 16].as_slice(), &inner].concat();
        let forwarded = list(&[variable(0x1E, 0x3704, b"An older mail\0"), variable(0x0D, 0x3701, &object)]);
        [
            SIGNATURE.as_slice(),
            &[1, 0],
            &attribute(1, attribute::CODE_PAGE, &[0xE4, 4, 0, 0, 0, 0, 0, 0]),
            &attribute(1, attribute::MESSAGE_PROPERTIES, &message),
            &attribute(2, attribute::RENDERING, &[1; 14]),
            &attribute(2, attribute::TITLE, b"RAPPOR~1.PDF\0"),
            &attribute(2, attribute::DATA, b"%PDF-1.7 words"),
            &attribute(2, attribute::ATTACHMENT_PROPERTIES, &report),
            &attribute(2, attribute::RENDERING, &[1; 14]),
            &attribute(2, attribute::ATTACHMENT_PROPERTIES, &forwarded),
        ]
        .concat()
    }

    #[test]
    fn b_20_text_and_files_of_a_winmail_dat_are_found() {
        let tnef = read(&winmail(), 10);
        assert!(tnef.is_whole && !tnef.is_cut);
        assert_eq!(tnef.text.as_deref(), Some("Voilà le rapport.\n"));
        let names: Vec<&str> = tnef.files.iter().map(|file| file.name.as_str()).collect();
        assert_eq!(names, ["Rapport d’essai.pdf", "An older mail.dat"]);
        assert_eq!(tnef.files[0].bytes, b"%PDF-1.7 words");
        assert_eq!(tnef.files[0].media_type.as_deref(), Some("application/pdf"));
        assert!(is_tnef(&tnef.files[1].bytes), "a message inside is kept as it is");
    }

    #[test]
    fn b_20_a_text_in_an_older_code_page_is_read() {
        let old = [
            SIGNATURE.as_slice(),
            &[1, 0],
            &attribute(1, attribute::CODE_PAGE, &1251_u64.to_le_bytes()),
            &attribute(1, attribute::BODY, b"\xcf\xf0\xe8\xe2\xe5\xf2\0"),
        ];
        assert_eq!(read(&old.concat(), 10).text.as_deref(), Some("Привет"));
    }

    #[test]
    fn b_20_of_a_damaged_one_what_is_there_is_read_and_said_to_be_incomplete() {
        let whole = winmail();
        let half = read(&whole[..whole.len() - 40], 10);
        assert_eq!((half.is_whole, half.files[0].name.as_str()), (false, "Rapport d’essai.pdf"));
        let cut = read(&whole, 1);
        assert_eq!((cut.is_whole, cut.is_cut, cut.files.len()), (false, true, 1));
        // A length of four gigabytes reserves nothing.
        let huge = [SIGNATURE.as_slice(), &[1, 0, 1], &attribute::DATA.to_le_bytes(), &[0xFF; 4]].concat();
        assert_eq!(read(&huge, 10), Tnef::default());
        let many = attribute(1, attribute::MESSAGE_PROPERTIES, &[0xFF; 4]);
        assert!(!read(&[SIGNATURE.as_slice(), &[1, 0], &many].concat(), 10).is_whole);
    }

    proptest! {
        #[test]
        fn b_20_any_bytes_are_read_without_a_panic(at: usize, byte: u8, bytes: Vec<u8>) {
            let mut damaged = winmail();
            let at = at % damaged.len();
            damaged[at] = byte;
            read(&damaged, 10);
            read(&damaged[..at], 10);
            read(&[SIGNATURE.as_slice(), &[1, 0], &bytes].concat(), 10);
        }
    }
}
