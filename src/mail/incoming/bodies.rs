//! What the parts of a mail say: the conversation as text and as HTML, and the files. Which alternative is the best, and
//! what counts as a file, is decided here; how parts lie in each other, in `structure`.

use std::borrow::Cow;
use std::collections::BTreeMap;

use mailparse::{DispositionType, parse_content_disposition, parse_content_type};
use sha2::{Digest, Sha256};

use super::cms::{self, Cms};
use super::segments::{Segment, as_it_came, best_of, joined};
use super::{AsItCame, Attachment, ParsedMail, Protection, is_sound_id, tnef, uuencoded};
use crate::html;
use crate::html::file_name::FileName;
use crate::mail::decoding;
use crate::mail::invitation::{self, Invitation, Purpose};
use crate::mail::limits::{
    Cut, Cuts, PART_TEXT_BYTES, PARTS, TEXT_BYTES_MIN, TEXT_PER_RAW_BYTE, within_parameter_limits,
};
use crate::mail::reply_text;
use crate::mail::structure::{self, Field, Nature, Part, Structure};

/// Reads the text, the HTML and the files of a message of `raw_length` bytes into `mail`. Gives what it brought before
/// anything was opened.
pub(super) fn read(structure: &Structure<'_>, raw_length: usize, mail: &mut ParsedMail) -> AsItCame {
    let text_left = (raw_length * TEXT_PER_RAW_BYTE).max(TEXT_BYTES_MIN);
    let mut bodies = Bodies {
        structure,
        mail,
        text_left,
        spare: Segment::default(),
        packed: Segment::default(),
        is_opened: false,
        is_inside: false,
        has_spoken: false,
        files_as_they_came: Vec::new(),
    };
    let segments = bodies.of_part(0, "text/plain");
    bodies.finish(segments)
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

/// What was found inside a file.
#[derive(Default)]
struct Inside {
    said: Vec<Segment>,
    /// Something was taken out of it.
    was_opened: bool,
    /// The file itself is not needed any more.
    is_unpacked: bool,
}

/// The bodies as they are read into the mail.
struct Bodies<'a> {
    structure: &'a Structure<'a>,
    mail: &'a mut ParsedMail,
    /// Decoded text which the message may still have (L-12).
    text_left: usize,
    /// What the message says if it says nothing else.
    spare: Segment,
    /// What Outlook packed, which the message says unless it says so itself.
    packed: Segment,
    /// A signed content was opened: another inside it, or beside it, stays a file.
    is_opened: bool,
    /// This is what was signed.
    is_inside: bool,
    /// Somebody's words were found, in clear.
    has_spoken: bool,
    /// SHA-256 of the files before one was opened.
    files_as_they_came: Vec<[u8; 32]>,
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
            self.note_file(part.whole);
            self.attach(part.whole.to_vec(), "message/rfc822".to_owned(), "", None, false);
            return Vec::new();
        }
        if part.children.is_empty() {
            return self.of_leaf(part, &content_type);
        }
        match content_type.media_type.as_str() {
            "multipart/signed" => self.protect(Protection::Signed),
            "multipart/encrypted" => self.protect(Protection::Encrypted),
            _ => {}
        }
        let is_alternative = content_type.media_type == "multipart/alternative";
        let default_type = if content_type.media_type == "multipart/digest" { "message/rfc822" } else { "text/plain" };
        let mut segments = Vec::new();
        for child in &part.children {
            if !(is_alternative && self.is_amp(*child) && segments.iter().flatten().any(Segment::says_something)) {
                segments.push(self.of_part(*child, default_type));
            }
        }
        if is_alternative {
            let (best, others) = best_of(segments);
            for (media_type, words) in others {
                self.attach(words.into_bytes(), media_type.to_owned(), "", None, false);
            }
            return vec![best];
        }
        segments.into_iter().flatten().collect()
    }

    /// Whether the part is for clients that run what is in it. Beside words it is let go: by its standard it says what the
    /// HTML says, which stands after it as often as before, so one that comes first is kept as a file.
    fn is_amp(&self, index: usize) -> bool {
        ContentType::read(&self.structure.parts[index].fields)
            .is_some_and(|(content_type, _)| content_type.media_type == "text/x-amp-html")
    }

    /// Notes how the mail is protected. What is encrypted below words in clear is a history, or a file.
    fn protect(&mut self, protection: Protection) {
        if protection == Protection::Encrypted && self.has_spoken {
            return;
        }
        if matches!(self.mail.protection, Protection::None | Protection::Signed) {
            self.mail.protection = protection;
        }
    }

    fn of_leaf(&mut self, part: &Part<'_>, content_type: &ContentType) -> Vec<Segment> {
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
            // What somebody attached to their own words is a file of theirs, and not what they say.
            let is_the_mail =
                std::ptr::eq(part, &self.structure.parts[0]) || disposition != Some(DispositionType::Attachment);
            let charset = content_type.charset.as_deref();
            self.note_file(&bytes);
            let inside = self.look_inside(&bytes, media_type, &name, charset, is_the_mail);
            // Calendars name the method beside the type (RFC 6047, 2.4), and the poorer ones do not, but name no file either.
            let method = content_type.parameters.get("method");
            self.mail.is_calendar_answer |= is_the_mail
                && media_type == "text/calendar"
                && method.map_or(name.is_empty(), |method| method.trim().eq_ignore_ascii_case("reply"));
            if !inside.is_unpacked {
                self.attach(bytes.into_owned(), media_type.to_owned(), &name, content_id, is_inline);
                if let Some(attachment) = self.mail.attachments.last_mut() {
                    attachment.was_opened = inside.was_opened;
                }
            }
            return inside.said;
        }
        let charset = content_type.charset.as_deref();
        let segment = if media_type == "text/html" {
            Segment { html: Some(self.text(&bytes, charset)), ..Segment::default() }
        } else {
            let without_files = self.take_out_files(&bytes);
            let text_as_it_came = without_files.is_some().then(|| decoding::body(&bytes, charset).text);
            let text = self.text(without_files.as_deref().unwrap_or(&bytes), charset);
            if reply_text::is_written_encrypted(&text) {
                self.protect(Protection::EncryptedText);
            } else if reply_text::is_signed(&text) {
                self.protect(Protection::Signed);
            }
            Segment { text: Some(text), text_as_it_came, ..Segment::default() }
        };
        self.has_spoken = self.has_spoken || segment.has_words();
        vec![Segment { is_unpacked: self.is_inside, ..segment }]
    }

    /// What the mail brought, whatever becomes of it; not what is inside of it.
    fn note_file(&mut self, bytes: &[u8]) {
        if !self.is_inside {
            self.files_as_they_came.push(Sha256::digest(bytes).into());
        }
    }

    /// The text without the files that are written into it, which become attachments (B-13).
    fn take_out_files(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        let found = uuencoded::take_out(bytes, PARTS.saturating_sub(self.mail.attachments.len()))?;
        if found.is_cut {
            self.mail.cuts.add(Cut::Parts);
        }
        for (name, content) in found.files {
            self.attach(content, "application/octet-stream".to_owned(), &name, None, false);
        }
        Some(found.text)
    }

    /// Looks into files that are made for it: what Outlook packed, signed content, invitations. One level deep, and no
    /// archive (B-14).
    fn look_inside(
        &mut self,
        bytes: &[u8],
        media_type: &str,
        name: &str,
        charset: Option<&str>,
        is_the_mail: bool,
    ) -> Inside {
        match media_type {
            "application/ms-tnef" | "application/vnd.ms-tnef" => self.unpack(bytes),
            _ if name.eq_ignore_ascii_case("winmail.dat") && tnef::is_tnef(bytes) => self.unpack(bytes),
            "application/pkcs7-mime" | "application/x-pkcs7-mime" if is_the_mail => self.open_signed(bytes),
            "text/calendar" | "application/ics" => {
                self.read_invitation(bytes, charset);
                Inside::default()
            }
            _ => Inside::default(),
        }
    }

    /// Takes what Outlook packed out of its `winmail.dat`, which is kept itself unless all of it was understood.
    fn unpack(&mut self, bytes: &[u8]) -> Inside {
        let tnef = tnef::read(bytes, PARTS.saturating_sub(self.mail.attachments.len()));
        if tnef.is_cut {
            self.mail.cuts.add(Cut::Parts);
        }
        let has_words = tnef.text.is_some() || tnef.html.is_some();
        // Inside a signed content, which is kept itself, nothing is kept twice more.
        let was_opened = has_words || !tnef.files.is_empty();
        let is_unpacked = (tnef.is_whole || self.is_inside) && was_opened;
        // The mail around it usually says the same; then these words are not needed.
        if let Some(text) = tnef.text {
            self.packed.text = Some(self.within_limits(decoding::plain(&text)));
        }
        if let Some(html) = tnef.html {
            self.packed.html = Some(self.within_limits(decoding::plain(&html)));
        }
        for file in tnef.files {
            let content_id = file.content_id.filter(|id| is_sound_id(id));
            let media_type = file.media_type.unwrap_or_else(|| "application/octet-stream".to_owned());
            self.attach(file.bytes, media_type, &file.name, content_id, false);
        }
        Inside { said: Vec::new(), was_opened, is_unpacked }
    }

    /// What was signed together with its signature (RFC 8551, 3.5.2). The file itself is kept.
    fn open_signed(&mut self, bytes: &[u8]) -> Inside {
        match cms::read(bytes) {
            Cms::Encrypted => {
                self.protect(Protection::Encrypted);
                Inside::default()
            }
            Cms::Signed(content) if !self.is_opened => {
                self.is_opened = true;
                self.protect(Protection::Signed);
                let inner = structure::read(&content, boundary);
                for cut in inner.cuts.as_slice() {
                    self.mail.cuts.add(*cut);
                }
                let mut bodies = Bodies {
                    structure: &inner,
                    mail: self.mail,
                    text_left: self.text_left,
                    spare: Segment::default(),
                    packed: Segment::default(),
                    is_opened: true,
                    is_inside: true,
                    has_spoken: self.has_spoken,
                    files_as_they_came: Vec::new(),
                };
                let said = bodies.of_part(0, "text/plain");
                let Bodies { text_left, spare, packed, has_spoken, .. } = bodies;
                self.has_spoken = has_spoken;
                self.text_left = text_left;
                if packed.says_something() {
                    self.packed = packed;
                }
                if spare.says_something() {
                    self.spare = spare;
                }
                Inside { said, was_opened: true, is_unpacked: false }
            }
            Cms::Signed(_) => {
                self.protect(Protection::Signed);
                Inside::default()
            }
            Cms::Other => Inside::default(),
        }
    }

    fn read_invitation(&mut self, bytes: &[u8], charset: Option<&str>) {
        if self.mail.invitation.is_some() || bytes.len() > invitation::LONGEST {
            return;
        }
        let calendar = decoding::body(bytes, charset.or(Some("utf-8"))).text;
        if let Some((invitation, description)) = Invitation::read(&calendar) {
            if self.spare.text.is_none() && !description.trim().is_empty() {
                self.spare.text = Some(self.within_limits(decoding::plain(&description)));
            }
            self.mail.invitation = Some(invitation);
        }
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
        let decoded = decoding::body(decoding::start_of(bytes, PART_TEXT_BYTES), charset);
        self.mail.is_charset_doubtful |= decoded.is_doubtful;
        if bytes.len() > PART_TEXT_BYTES {
            self.mail.cuts.add(Cut::Text);
        }
        self.within_limits(decoded.text)
    }

    /// As much of a decoded text as the message may still have (L-12).
    fn within_limits(&mut self, mut text: String) -> String {
        let mut end = PART_TEXT_BYTES.min(self.text_left);
        if text.len() > end {
            self.mail.cuts.add(Cut::Text);
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            text.truncate(end);
        }
        self.text_left -= text.len();
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
            was_opened: false,
        });
    }

    /// Puts the segments together: all of them as text, and as HTML if one of them is. Gives what the mail brought before
    /// anything was opened.
    fn finish(&mut self, mut segments: Vec<Segment>) -> AsItCame {
        let files = std::mem::take(&mut self.files_as_they_came);
        let is_as_it_came = |segment: &Segment| !segment.is_unpacked && segment.text_as_it_came.is_none();
        let mut opened = (!segments.iter().all(is_as_it_came)).then(|| as_it_came(&segments));
        if self.packed.has_words() {
            let said: String = segments.iter().map(Segment::letters).collect();
            if !said.contains(&self.packed.letters()) {
                opened = opened.or_else(|| Some(as_it_came(&segments)));
                segments.push(std::mem::take(&mut self.packed));
            }
        }
        let is_answer = |invitation: &Invitation| invitation.purpose == Purpose::Answer;
        let has_words = segments.iter().any(Segment::has_words);
        self.mail.is_calendar_answer =
            self.mail.invitation.as_ref().is_some_and(is_answer) && (self.mail.is_calendar_answer || !has_words);
        if self.spare.says_something() && !has_words {
            opened = opened.or_else(|| Some(as_it_came(&segments)));
            segments.push(std::mem::take(&mut self.spare));
        }
        let (text, html) = joined(segments.iter(), |segment| segment.text.as_deref());
        self.mail.text = text;
        if let Some(html) = html {
            match html::guard::exceeded(&html) {
                Some(exceeded) => self.mail.cuts.add(exceeded.into()),
                None => self.mail.html = Some(html),
            }
        }
        if let Some(html) = &self.mail.html {
            for attachment in &mut self.mail.attachments {
                let id = attachment.content_id.as_deref().unwrap_or_default();
                attachment.is_inline |= !id.is_empty() && html.contains(&format!("cid:{id}"));
            }
        }
        let (text, html) =
            opened.unwrap_or_else(|| (self.mail.text.clone(), self.mail.html.clone().unwrap_or_default()));
        AsItCame { text, html, files }
    }
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
        "application/pgp-encrypted" => "version.txt",
        "application/pkcs7-signature" | "application/x-pkcs7-signature" => "smime.p7s",
        "application/pkcs7-mime" | "application/x-pkcs7-mime" => "smime.p7m",
        _ => "file.bin",
    };
    name.to_owned()
}
