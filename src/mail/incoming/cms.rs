//! What lies in an `smime.p7m`: the content of signed data, or that it is encrypted. CMS (RFC 5652) comes in BER with lengths
//! that are not told beforehand, which readers of DER refuse. No signature is checked here. Each byte is looked at a fixed
//! number of times.

/// What a CMS structure is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Cms {
    /// Signed, with what was signed inside.
    Signed(Vec<u8>),
    Encrypted,
    /// Neither, or not to be read: compressed, a certificate, damaged.
    Other,
}

/// 1.2.840.113549.1.7.2
const SIGNED_DATA: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x07, 0x02];
/// 1.2.840.113549.1.7.3
const ENVELOPED_DATA: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x07, 0x03];
/// 1.2.840.113549.1.9.16.1.23 (RFC 5083)
const AUTH_ENVELOPED_DATA: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x09, 0x10, 0x01, 0x17];

const SEQUENCE: u8 = 0x30;
const OBJECT_IDENTIFIER: u8 = 0x06;
const OCTET_STRING: u8 = 0x04;
const OCTET_STRING_IN_PIECES: u8 = 0x24;
const EXPLICIT_0: u8 = 0xA0;

/// Reads a ContentInfo.
pub(super) fn read(bytes: &[u8]) -> Cms {
    let mut reader = Reader { bytes, at: 0 };
    let Some(kind) = reader.content_type() else { return Cms::Other };
    match kind {
        SIGNED_DATA => reader.signed_content().map_or(Cms::Other, Cms::Signed),
        ENVELOPED_DATA | AUTH_ENVELOPED_DATA => Cms::Encrypted,
        _ => Cms::Other,
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// The beginning of an element.
struct Head {
    tag: u8,
    /// Where it ends; none if that is told by what follows (X.690, 8.1.3.6).
    end: Option<usize>,
}

impl<'a> Reader<'a> {
    /// Enters a SEQUENCE that begins with an object identifier, and gives that.
    fn content_type(&mut self) -> Option<&'a [u8]> {
        self.enter(SEQUENCE)?;
        let end = self.enter(OBJECT_IDENTIFIER)?.end?;
        let identifier = &self.bytes[self.at..end];
        self.at = end;
        Some(identifier)
    }

    /// The content of the SignedData that stands next, if it has any.
    fn signed_content(&mut self) -> Option<Vec<u8>> {
        self.enter(EXPLICIT_0)?;
        self.enter(SEQUENCE)?;
        self.skip()?; // version
        self.skip()?; // digestAlgorithms
        self.content_type()?;
        self.enter(EXPLICIT_0)?;
        let head = self.head()?;
        match (head.tag, head.end) {
            (OCTET_STRING, Some(end)) => Some(self.bytes[self.at..end].to_vec()),
            (OCTET_STRING_IN_PIECES, end) => self.pieces(end),
            _ => None,
        }
    }

    /// A string in pieces, whichever way they lie in each other, up to `end` or to its end mark.
    fn pieces(&mut self, end: Option<usize>) -> Option<Vec<u8>> {
        let mut content = Vec::new();
        let mut open = 1_u32;
        while end.is_none_or(|end| self.at < end) {
            let head = self.head()?;
            match (head.tag, head.end) {
                (0, Some(after)) if after == self.at => {
                    open -= 1;
                    if open == 0 {
                        return Some(content);
                    }
                }
                (OCTET_STRING, Some(end)) => {
                    content.extend_from_slice(&self.bytes[self.at..end]);
                    self.at = end;
                }
                (OCTET_STRING_IN_PIECES, Some(_)) => {}
                (OCTET_STRING_IN_PIECES, None) => open += 1,
                _ => return None,
            }
        }
        Some(content)
    }

    fn enter(&mut self, tag: u8) -> Option<Head> {
        self.head().filter(|head| head.tag == tag)
    }

    /// Goes past the element that stands next.
    fn skip(&mut self) -> Option<()> {
        let mut open = 0_u32;
        loop {
            let head = self.head()?;
            match head.end {
                Some(end) if head.tag == 0 && end == self.at && open > 0 => open -= 1,
                Some(end) => self.at = end,
                None => open += 1,
            }
            if open == 0 {
                return Some(());
            }
        }
    }

    /// Reads tag and length. Nothing here has a tag of more than one byte.
    fn head(&mut self) -> Option<Head> {
        let tag = self.byte()?;
        if tag & 0x1F == 0x1F {
            return None;
        }
        let length = match self.byte()? {
            0x80 => return Some(Head { tag, end: None }),
            short @ ..0x80 => usize::from(short),
            long => {
                let mut length = 0_usize;
                for _ in 0..long & 0x7F {
                    length = length.checked_mul(256)?.checked_add(usize::from(self.byte()?))?;
                }
                length
            }
        };
        let end = self.at.checked_add(length).filter(|end| *end <= self.bytes.len())?;
        Some(Head { tag, end: Some(end) })
    }

    fn byte(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.at)?;
        self.at += 1;
        Some(byte)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// An element with its length told.
    fn element(tag: u8, content: &[u8]) -> Vec<u8> {
        let length = u32::try_from(content.len()).unwrap().to_be_bytes();
        [&[tag, 0x84], length.as_slice(), content].concat()
    }

    /// An element whose end is marked.
    fn open_element(tag: u8, content: &[u8]) -> Vec<u8> {
        [&[tag, 0x80], content, &[0, 0]].concat()
    }

    /// Signed data around `content`, as OpenSSL streams it.
    pub(crate) fn signed(content: &[u8]) -> Vec<u8> {
        let pieces: Vec<u8> = content.chunks(16).flat_map(|piece| element(OCTET_STRING, piece)).collect();
        let data = [0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x07, 0x01];
        let inner = [
            element(OBJECT_IDENTIFIER, &data),
            open_element(EXPLICIT_0, &open_element(OCTET_STRING_IN_PIECES, &pieces)),
        ];
        let signed = [element(0x02, &[1]), element(0x31, &[]), open_element(SEQUENCE, &inner.concat())];
        let outer = [
            element(OBJECT_IDENTIFIER, SIGNED_DATA),
            open_element(EXPLICIT_0, &open_element(SEQUENCE, &signed.concat())),
        ];
        open_element(SEQUENCE, &outer.concat())
    }

    pub(crate) fn encrypted() -> Vec<u8> {
        element(SEQUENCE, &[element(OBJECT_IDENTIFIER, ENVELOPED_DATA), element(EXPLICIT_0, b"secret")].concat())
    }

    #[test]
    fn b_20_signed_data_gives_its_content_in_one_piece_or_in_many() {
        let content = b"Content-Type: text/plain\r\n\r\nSigned words that are longer than one piece.\r\n";
        assert_eq!(read(&signed(content)), Cms::Signed(content.to_vec()));
        let data = element(OBJECT_IDENTIFIER, &SIGNED_DATA[..8]);
        let inner = element(SEQUENCE, &[data, element(EXPLICIT_0, &element(OCTET_STRING, content))].concat());
        let signed =
            element(SEQUENCE, &[element(0x02, &[1]), open_element(0x31, &element(SEQUENCE, b"")), inner].concat());
        let whole = [element(OBJECT_IDENTIFIER, SIGNED_DATA), element(EXPLICIT_0, &signed)].concat();
        assert_eq!(read(&element(SEQUENCE, &whole)), Cms::Signed(content.to_vec()));
        assert_eq!(read(&encrypted()), Cms::Encrypted);
        assert_eq!(read(b""), Cms::Other);
    }

    proptest! {
        #[test]
        fn b_20_any_bytes_are_read_without_a_panic(at in 0_usize..200, byte: u8, bytes: Vec<u8>) {
            let mut damaged = signed(b"Signed words that are longer than one piece.");
            let at = at % damaged.len();
            damaged[at] = byte;
            read(&damaged);
            read(&damaged[..at]);
            read(&bytes);
        }
    }
}
