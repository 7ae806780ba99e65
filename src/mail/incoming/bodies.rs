//! What the parts of a mail say: the conversation as text and as HTML, and the files. Which alternative is the best, and
//! what counts as a file, is decided here; how parts lie in each other, in `structure`.

use std::borrow::Cow;
use std::collections::BTreeMap;

use mailparse::{DispositionType, parse_content_disposition, parse_content_type};
use sha2::{Digest, Sha256};

use super::{Attachment, ParsedMail, is_sound_id};
use crate::html;
use crate::html::file_name::FileName;
use crate::mail::decoding;
use crate::mail::limits::{Cut, Cuts, PART_TEXT_BYTES, TEXT_BYTES_MIN, TEXT_PER_RAW_BYTE, within_parameter_limits};
use crate::mail::structure::{self, Field, Nature, Part, Structure};

/// Reads the text, the HTML and the files of a message of `raw_length` bytes into `mail`.
pub(super) fn read(structure: &Structure<'_>, raw_length: usize, mail: &mut ParsedMail) {
    let text_left = (raw_length * TEXT_PER_RAW_BYTE).max(TEXT_BYTES_MIN);
    let mut bodies = Bodies { structure, mail, text_left };
    let segments = bodies.of_part(0, "text/plain");
    bodies.finish(segments);
}

/// What stands between the parts of a multipart with these fields.
pub(super) fn boundary(fields: &[Field<'_>]) -> Option<Vec<u8>> {
    ContentType::read(fields).and_then(|(found, _)| found.boundary())
}

/// A Content-Type field.
struct ContentType {
    media_type: String,
    charset: Option<String>,
    parameters: BTreeMap<String, String>,
}

impl ContentType {
    /// The first such field, and whether it has more parameters than are read.
    fn read(fields: &[Field<'_>]) -> Option<(Self, bool)> {
        let field = fields.iter().find(|field| field.is("content-type"))?;
        let (value, is_cut) = within_parameter_limits(&decoding::header(field.value));
        let parsed = parse_content_type(&value);
        let media_type = parsed.mimetype.split([' ', '\t', '(', ',']).next().unwrap_or_default().to_owned();
        let is_token = |text: &str| {
            !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b))
        };
        let is_valid = media_type.len() <= 127
            && media_type.split_once('/').is_some_and(|(kind, subtype)| is_token(kind) && is_token(subtype));
        let media_type = match media_type.as_str() {
            _ if is_valid => media_type,
            "text" | "" => "text/plain".to_owned(),
            _ => "application/octet-stream".to_owned(),
        };
        let charset = parsed.params.get("charset").cloned();
        Some((Self { media_type, charset, parameters: parsed.params }, is_cut))
    }

    fn boundary(&self) -> Option<Vec<u8>> {
        let boundary = self.parameters.get("boundary")?.trim_end();
        (self.media_type.starts_with("multipart/") && !boundary.is_empty()).then(|| boundary.as_bytes().to_vec())
    }
}

/// A piece of the conversation: the same words as text, as HTML, or as both.
#[derive(Default)]
struct Segment {
    text: Option<String>,
    html: Option<String>,
}

/// The bodies as they are read into the mail.
struct Bodies<'a> {
    structure: &'a Structure<'a>,
    mail: &'a mut ParsedMail,
    /// Decoded text which the message may still have (L-12).
    text_left: usize,
}

impl Bodies<'_> {
    /// What the part and those in it say; the files among them go to the attachments.
    fn of_part(&mut self, index: usize, default_type: &str) -> Vec<Segment> {
        let part = &self.structure.parts[index];
        let content_type = match ContentType::read(&part.fields) {
            Some((content_type, is_cut)) => {
                if is_cut {
                    self.mail.cuts.add(Cut::Parameters);
                }
                content_type
            }
            None => ContentType { media_type: default_type.to_owned(), charset: None, parameters: BTreeMap::new() },
        };
        if part.nature == Nature::TooDeep {
            self.attach(part.whole.to_vec(), "message/rfc822".to_owned(), "", None, false);
            return Vec::new();
        }
        if part.children.is_empty() {
            return self.of_leaf(part, &content_type).into_iter().collect();
        }
        let default_type = if content_type.media_type == "multipart/digest" { "message/rfc822" } else { "text/plain" };
        let mut segments = Vec::new();
        for child in &part.children {
            segments.push(self.of_part(*child, default_type));
        }
        if content_type.media_type == "multipart/alternative" {
            return vec![best_of(segments)];
        }
        segments.into_iter().flatten().collect()
    }

    fn of_leaf(&mut self, part: &Part<'_>, content_type: &ContentType) -> Option<Segment> {
        let (disposition, name, is_cut) = self.disposition(part, content_type);
        if is_cut {
            self.mail.cuts.add(Cut::Parameters);
        }
        let encoding = first_value(part, "content-transfer-encoding").unwrap_or_default();
        // A multipart none of whose parts was found is read as text.
        let media_type = match content_type.media_type.as_str() {
            multipart if multipart.starts_with("multipart/") => "text/plain",
            media_type => media_type,
        };
        let is_file = match &disposition {
            Some(DispositionType::Attachment) => true,
            Some(_) => !name.is_empty(),
            None => false,
        };
        let is_text = matches!(media_type, "text/plain" | "text/html") && !is_file;
        let bytes = match encoding.trim().trim_matches('"').to_ascii_lowercase().as_str() {
            "base64" => Cow::Owned(decoding::base64(part.body)),
            "quoted-printable" => Cow::Owned(decoding::quoted_printable(part.body)),
            _ => Cow::Borrowed(part.body),
        };
        if !is_text {
            let content_id = first_value(part, "content-id")
                .map(|id| id.trim().trim_start_matches('<').trim_end_matches('>').to_owned())
                .filter(|id| is_sound_id(id));
            let is_inline = disposition == Some(DispositionType::Inline) && media_type.starts_with("image/");
            self.attach(bytes.into_owned(), media_type.to_owned(), &name, content_id, is_inline);
            return None;
        }
        let text = self.text(&bytes, content_type.charset.as_deref());
        Some(if media_type == "text/html" {
            Segment { text: None, html: Some(text) }
        } else {
            Segment { text: Some(text), html: None }
        })
    }

    fn disposition(&mut self, part: &Part<'_>, content_type: &ContentType) -> (Option<DispositionType>, String, bool) {
        let field = first_value(part, "content-disposition");
        let (value, is_cut) = field.as_deref().map(within_parameter_limits).unwrap_or_default();
        let parsed = field.is_some().then(|| parse_content_disposition(&value));
        // The name is looked for in the undecoded value, so that no encoded-word can end it.
        let name = parsed
            .as_ref()
            .and_then(|parsed| parsed.params.get("filename").filter(|name| !name.is_empty()))
            .or_else(|| content_type.parameters.get("name"));
        let decoded = name.map(|name| decoding::encoded_words(name)).unwrap_or_default();
        if decoded.is_cut {
            self.mail.cuts.add(Cut::EncodedWords);
        }
        self.mail.is_charset_doubtful |= decoded.is_doubtful;
        (parsed.map(|parsed| parsed.disposition), decoded.text, is_cut)
    }

    /// Decodes as much of a text as the limits allow.
    fn text(&mut self, bytes: &[u8], charset: Option<&str>) -> String {
        let mut is_cut = bytes.len() > PART_TEXT_BYTES;
        let decoded = decoding::body(&bytes[..bytes.len().min(PART_TEXT_BYTES)], charset);
        self.mail.is_charset_doubtful |= decoded.is_doubtful;
        let mut text = decoded.text;
        let mut end = PART_TEXT_BYTES.min(self.text_left);
        if text.len() > end {
            is_cut = true;
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            text.truncate(end);
        }
        self.text_left -= text.len();
        if is_cut {
            self.mail.cuts.add(Cut::Text);
        }
        text
    }

    fn attach(&mut self, bytes: Vec<u8>, media_type: String, name: &str, content_id: Option<String>, is_inline: bool) {
        let name = if name.trim().is_empty() { default_name(&media_type, &bytes) } else { name.to_owned() };
        self.mail.attachments.push(Attachment {
            file_name: FileName::new(&name),
            sha256: Sha256::digest(&bytes).into(),
            media_type,
            bytes,
            content_id,
            is_inline,
        });
    }

    /// Puts the segments together: all of them as text, and as HTML if one of them is.
    fn finish(&mut self, segments: Vec<Segment>) {
        let has_html = segments.iter().any(|segment| segment.html.is_some());
        let mut joined_html = String::new();
        for segment in segments {
            let text = match (&segment.text, &segment.html) {
                (Some(text), html) if !text.trim().is_empty() || html.is_none() => Cow::Borrowed(text.as_str()),
                (_, Some(html)) => Cow::Owned(html::to_text(html)),
                _ => Cow::Borrowed(""),
            };
            if !text.trim().is_empty() {
                if !self.mail.text.is_empty() {
                    self.mail.text.push_str(if self.mail.text.ends_with('\n') { "\n" } else { "\n\n" });
                }
                self.mail.text.push_str(&text);
            }
            match &segment.html {
                Some(html) => joined_html.push_str(html),
                None if has_html => joined_html.push_str(&html::from_text(&text)),
                None => {}
            }
        }
        if !has_html {
            return;
        }
        match html::guard::exceeded(&joined_html) {
            Some(exceeded) => self.mail.cuts.add(exceeded.into()),
            None => self.mail.html = Some(joined_html),
        }
        if let Some(html) = &self.mail.html {
            for attachment in &mut self.mail.attachments {
                let id = attachment.content_id.as_deref().unwrap_or_default();
                attachment.is_inline |= !id.is_empty() && html.contains(&format!("cid:{id}"));
            }
        }
    }
}

/// The alternatives as one: the first that has text, and the last that has HTML, as the richest comes last.
fn best_of(alternatives: Vec<Vec<Segment>>) -> Segment {
    let mut best = Segment::default();
    for segments in alternatives {
        let mut text = String::new();
        let mut html = String::new();
        for segment in segments {
            text.push_str(&segment.text.unwrap_or_default());
            html.push_str(&segment.html.unwrap_or_default());
        }
        if best.text.is_none() && !text.trim().is_empty() {
            best.text = Some(text);
        }
        if !html.trim().is_empty() {
            best.html = Some(html);
        }
    }
    best
}

fn first_value(part: &Part<'_>, name: &str) -> Option<String> {
    part.fields.iter().find(|field| field.is(name)).map(|field| decoding::header(field.value))
}

/// A name for a part that has none.
fn default_name(media_type: &str, bytes: &[u8]) -> String {
    let name = match media_type {
        "message/rfc822" | "message/global" => {
            let (fields, _) = structure::header(bytes, &mut Cuts::default(), |_| false);
            let subject = fields.iter().find(|field| field.is("subject"));
            let subject = subject.map(|field| decoding::encoded_words(&decoding::header(field.value)).text);
            return match subject.filter(|subject| !subject.is_empty()) {
                Some(subject) => format!("{}.eml", subject.trim_end_matches('.')),
                None => "message.eml".to_owned(),
            };
        }
        "message/delivery-status" => "delivery-status.txt",
        "message/disposition-notification" => "disposition-notification.txt",
        "message/feedback-report" => "feedback-report.txt",
        "text/rfc822-headers" => "headers.txt",
        "text/plain" => "text.txt",
        "text/html" | "text/x-amp-html" => "text.html",
        "text/calendar" | "application/ics" => "calendar.ics",
        "text/vcard" | "text/x-vcard" => "contact.vcf",
        "text/csv" => "table.csv",
        "image/jpeg" => "image.jpg",
        "image/png" => "image.png",
        "image/gif" => "image.gif",
        "image/webp" => "image.webp",
        "application/pdf" => "document.pdf",
        "application/ms-tnef" | "application/vnd.ms-tnef" => "winmail.dat",
        "application/pgp-signature" => "signature.asc",
        "application/pkcs7-signature" | "application/x-pkcs7-signature" => "smime.p7s",
        "application/pkcs7-mime" | "application/x-pkcs7-mime" => "smime.p7m",
        _ => "file.bin",
    };
    name.to_owned()
}
