//! How much of a mail is read (L-01 to L-14). What lies within a limit is read; past it the rest is left unparsed, the
//! original is kept, and the message is marked with the [`Cut`]. The counting happens on raw bytes, before any parser.

pub use crate::html::guard::{ATTRIBUTES_PER_TAG, HTML_BYTES, HTML_NESTING, LINKS};

/// L-01: the largest mail accepted unless configured otherwise. Zammad's default is 10 MB; people send scans.
pub const RAW_BYTES: usize = 25 << 20;
/// L-01: the most an administrator may configure.
pub const RAW_BYTES_MAX: usize = 50 << 20;
/// L-01: the largest mail that a pipe hands over. What is larger than the limit of the installation is kept whole all the
/// same, with no more of it read than its header: a pipe has no way to refuse a mail for good.
pub const PIPE_BYTES: usize = 2 * RAW_BYTES_MAX;
/// L-02: the header block of a message or part.
pub const HEADER_BLOCK_BYTES: usize = 256 << 10;
/// L-02: fields in one header block.
pub const HEADER_FIELDS: usize = 1_000;
/// L-02: the value of one field.
pub const HEADER_VALUE_BYTES: usize = 32 << 10;
/// L-03: encoded-words decoded in one value. Parsers have taken 39 s for 100 000 of them.
pub const ENCODED_WORDS: usize = 200;
/// L-04: how deep parts lie in parts. Parsers have given up on whole messages at 100.
pub const MIME_DEPTH: usize = 20;
/// L-05: parts in one message. A million parsed takes 234 MB.
pub const PARTS: usize = 500;
/// L-06: addresses in one field. A million parsed takes 93 MB.
pub const ADDRESSES: usize = 500;
/// L-07: parameters of a Content-Type or Content-Disposition field.
pub const PARAMETERS: usize = 64;
/// L-07: the name of a parameter.
pub const PARAMETER_NAME_BYTES: usize = 255;
/// L-12: decoded text of one part.
pub const PART_TEXT_BYTES: usize = 4 << 20;
/// L-12: decoded text of a whole message, as a multiple of its raw size.
pub const TEXT_PER_RAW_BYTE: usize = 2;
/// L-12: decoded text which every message may have, however small it is.
pub const TEXT_BYTES_MIN: usize = 64 << 10;
/// L-13: after how many seconds a message is worth an alarm. The other limits bound the work; this ends nothing.
pub const SECONDS: u64 = 5;
/// L-13: what parsing one message may hold in memory.
pub const MEMORY_BYTES: usize = 256 << 20;
/// L-13: messages parsed at the same time by one process.
pub const PARSE_SLOTS: usize = 2;
/// L-14: text that is searched for quotes and signatures.
pub const QUOTE_SEARCH_BYTES: usize = 256 << 10;

/// Message-IDs kept of one References field; the first and the last are what threading needs.
pub const REFERENCES: usize = 100;
/// The longest Message-ID kept, that of a line in RFC 5322, 2.1.1.
pub const MESSAGE_ID_BYTES: usize = 998;
/// The longest subject kept, in characters; the rest is in the original.
pub const SUBJECT_CHARACTERS: usize = 998;
/// The longest display name kept, in characters.
pub const NAME_CHARACTERS: usize = 256;

/// Which limit a message went past.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cut {
    /// L-01
    RawSize,
    /// L-02
    HeaderBlock,
    /// L-02
    HeaderFields,
    /// L-02
    HeaderValue,
    /// L-03
    EncodedWords,
    /// L-04
    MimeDepth,
    /// L-05
    Parts,
    /// L-06
    Addresses,
    /// L-07
    Parameters,
    /// L-08
    HtmlSize,
    /// L-09
    HtmlNesting,
    /// L-10
    HtmlAttributes,
    /// L-11
    HtmlLinks,
    /// L-12
    Text,
}

impl Cut {
    /// The limit's id, as it is stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Cut::RawSize => "L-01",
            Cut::HeaderBlock | Cut::HeaderFields | Cut::HeaderValue => "L-02",
            Cut::EncodedWords => "L-03",
            Cut::MimeDepth => "L-04",
            Cut::Parts => "L-05",
            Cut::Addresses => "L-06",
            Cut::Parameters => "L-07",
            Cut::HtmlSize => "L-08",
            Cut::HtmlNesting => "L-09",
            Cut::HtmlAttributes => "L-10",
            Cut::HtmlLinks => "L-11",
            Cut::Text => "L-12",
        }
    }
}

impl From<crate::html::guard::Exceeded> for Cut {
    fn from(exceeded: crate::html::guard::Exceeded) -> Self {
        use crate::html::guard::Exceeded;
        match exceeded {
            Exceeded::Size => Cut::HtmlSize,
            Exceeded::Nesting | Exceeded::Elements => Cut::HtmlNesting,
            Exceeded::Attributes => Cut::HtmlAttributes,
            Exceeded::Links => Cut::HtmlLinks,
        }
    }
}

/// The limits one message went past, each once, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cuts(Vec<Cut>);

impl Cuts {
    /// Notes that a limit was hit.
    pub fn add(&mut self, cut: Cut) {
        if let Err(place) = self.0.binary_search(&cut) {
            self.0.insert(place, cut);
        }
    }

    /// Whether this limit was hit.
    pub fn contains(&self, cut: Cut) -> bool {
        self.0.contains(&cut)
    }

    /// The limits that were hit.
    pub fn as_slice(&self) -> &[Cut] {
        &self.0
    }

    /// Whether the message was read to its end.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The distinct limit ids, as they are stored.
    pub fn ids(&self) -> Vec<&'static str> {
        let mut ids: Vec<_> = self.0.iter().map(|cut| cut.as_str()).collect();
        ids.dedup();
        ids
    }
}

/// The beginning of a parameterized value that holds at most [`PARAMETERS`] parameters, without those whose name is too
/// long, and whether something was left out (L-07). Of parameters of the same name the first is kept, as of fields: parsers
/// do not agree which of them counts (B-18).
pub fn within_parameter_limits(value: &str) -> (String, bool) {
    let mut kept = String::with_capacity(value.len().min(1024));
    let mut names: Vec<String> = Vec::new();
    let mut is_cut = false;
    for (index, piece) in split_unquoted(value, b';').enumerate() {
        if index > PARAMETERS {
            return (kept, true);
        }
        let name_bytes = piece.find('=').unwrap_or(0);
        if index > 0 && name_bytes > PARAMETER_NAME_BYTES {
            is_cut = true;
            continue;
        }
        if index > 0 && name_bytes > 0 {
            let name = piece[..name_bytes].trim().to_ascii_lowercase();
            if names.contains(&name) {
                continue;
            }
            names.push(name);
        }
        if index > 0 {
            kept.push(';');
        }
        kept.push_str(piece);
    }
    (kept, is_cut)
}

/// Splits at `separator` outside of quoted strings.
fn split_unquoted(value: &str, separator: u8) -> impl Iterator<Item = &str> {
    let mut rest = Some(value);
    std::iter::from_fn(move || {
        let text = rest?;
        let (mut in_quotes, mut escaped) = (false, false);
        let end = text.bytes().position(|byte| {
            if escaped {
                escaped = false;
            } else if in_quotes && byte == b'\\' {
                escaped = true;
            } else if byte == b'"' {
                in_quotes = !in_quotes;
            } else {
                return byte == separator && !in_quotes;
            }
            false
        });
        rest = end.map(|end| &text[end + 1..]);
        Some(&text[..end.unwrap_or(text.len())])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn l_07_parameters_past_the_limit_are_left_out() {
        let value = "text/plain; charset=utf-8; name=\"a;b\\\";c\"";
        assert_eq!(within_parameter_limits(value), (value.to_owned(), false));
        let many = format!("text/plain{}", (0..100).map(|number| format!("; a*{number}=b")).collect::<String>());
        let (kept, is_cut) = within_parameter_limits(&many);
        assert_eq!((kept.matches(';').count(), is_cut), (64, true));
        let long = format!("text/plain; {}=x; charset=utf-8", "n".repeat(300));
        assert_eq!(within_parameter_limits(&long), ("text/plain; charset=utf-8".to_owned(), true));
    }

    #[test]
    fn b_18_of_parameters_of_the_same_name_the_first_counts() {
        let value = "text/plain; charset=utf-8; Charset =utf-16; name*0=a; name*1=b; flag; flag; name*0=c";
        let kept = "text/plain; charset=utf-8; name*0=a; name*1=b; flag; flag";
        assert_eq!(within_parameter_limits(value), (kept.to_owned(), false));
    }

    #[test]
    fn cuts_are_listed_once_and_in_order() {
        let mut cuts = Cuts::default();
        for cut in [Cut::Parts, Cut::HeaderValue, Cut::Parts, Cut::HeaderFields] {
            cuts.add(cut);
        }
        assert_eq!(cuts.as_slice(), [Cut::HeaderFields, Cut::HeaderValue, Cut::Parts]);
        assert_eq!(cuts.ids(), ["L-02", "L-05"]);
    }
}
