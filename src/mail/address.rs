//! Who a mail says it is from and for: [`EmailAddress`], the one strict form that counts as an identity, and how a list of
//! addresses is split, on undecoded header text. What to show of everything else is told in `showing`.

mod showing;

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

use unicode_normalization::UnicodeNormalization;

use self::showing::has_look_alike_letters;
pub use self::showing::{Warning, visible, warnings};

/// The longest local part, from RFC 5321, 4.5.3.1.1.
const LOCAL_PART_BYTES: usize = 64;
/// The longest address, from RFC 5321, 4.5.3.1.3 (a path of 256 with its angle brackets).
const ADDRESS_BYTES: usize = 254;

/// An address that may stand for a person (I-01): an ASCII dot-atom, `@`, and a domain name. Two are equal when they
/// differ only in case; nothing else is folded.
#[derive(Clone)]
pub struct EmailAddress {
    written: String,
    canonical: String,
    at: usize,
}

/// The domain of addresses that stand for none; nobody can ever have it (RFC 2606).
const NOWHERE: &str = "no-address.invalid";

/// An address as people and programs are shown it: nothing for one that stands for none.
pub fn shown_address(address: &str) -> &str {
    let leads_nowhere = address.rsplit_once('@').is_some_and(|(_, domain)| domain == NOWHERE);
    if leads_nowhere { "" } else { address }
}

impl EmailAddress {
    /// What stands for the address of somebody who has none, told apart by `name`. No mail goes there.
    pub fn nowhere(name: &str) -> Option<Self> {
        Self::parse(&format!("{name}@{NOWHERE}"))
    }

    /// Whether it stands for the address of somebody who has none.
    pub fn leads_nowhere(&self) -> bool {
        self.domain() == NOWHERE
    }

    /// Reads `text` as the address that somebody gives as theirs or another's: none that stands for nobody's.
    pub fn of_somebody(text: &str) -> Option<Self> {
        Self::parse(text).filter(|address| !address.leads_nowhere())
    }

    /// Reads `text` as an address, exactly: no spaces around it, no name, comment, quotes, route or domain literal.
    pub fn parse(text: &str) -> Option<Self> {
        let (local, domain) = text.split_once('@')?;
        if !is_dot_atom(local) || local.len() > LOCAL_PART_BYTES {
            return None;
        }
        let domain = a_labels(domain)?;
        if local.len() + 1 + domain.len() > ADDRESS_BYTES {
            return None;
        }
        let canonical = format!("{}@{domain}", local.to_ascii_lowercase());
        Some(Self { written: format!("{local}@{domain}"), canonical, at: local.len() })
    }

    /// The address to send to: the local part as written, the domain as lower-case A-labels.
    pub fn as_str(&self) -> &str {
        &self.written
    }

    /// The form to store beside it, to look it up and compare it by.
    pub fn canonical(&self) -> &str {
        &self.canonical
    }

    /// What stands before the `@`, as written.
    pub fn local_part(&self) -> &str {
        &self.written[..self.at]
    }

    /// The domain, as lower-case A-labels.
    pub fn domain(&self) -> &str {
        &self.written[self.at + 1..]
    }

    /// The address for people to read: the domain in its own letters, unless they could be taken for others (I-04).
    pub fn shown(&self) -> String {
        let (domain, valid) = idna::domain_to_unicode(self.domain());
        if valid.is_ok() && !has_look_alike_letters(&domain) && visible(&domain) == domain {
            format!("{}@{domain}", self.local_part())
        } else {
            self.written.clone()
        }
    }
}

fn is_dot_atom(text: &str) -> bool {
    let is_atom = |atom: &str| {
        !atom.is_empty() && atom.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&b))
    };
    // An encoded-word has no place in an address; some reader would decode it (ADV-37).
    text.split('.').all(is_atom) && !text.contains("=?")
}

/// The domain as lower-case A-labels, if it is a host name that needs no mapping but that of case: what IDNA would have to
/// repair (full-width letters, ideographic full stops, invisible characters) is not the name that was registered.
fn a_labels(domain: &str) -> Option<String> {
    let ascii = idna::domain_to_ascii_strict(domain).ok()?;
    let lower: String = domain.chars().flat_map(char::to_lowercase).nfc().collect();
    let (unicode, valid) = idna::domain_to_unicode(&ascii);
    valid.ok()?;
    let last_label = ascii.rsplit('.').next().unwrap_or_default();
    let is_number = last_label.bytes().all(|b| b.is_ascii_digit());
    (!is_number && !ascii.ends_with('.') && (lower == unicode || lower == ascii)).then_some(ascii)
}

impl PartialEq for EmailAddress {
    fn eq(&self, other: &Self) -> bool {
        self.canonical == other.canonical
    }
}

impl Eq for EmailAddress {}

impl Hash for EmailAddress {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.canonical.hash(state);
    }
}

impl PartialOrd for EmailAddress {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for EmailAddress {
    fn cmp(&self, other: &Self) -> Ordering {
        self.canonical.cmp(&other.canonical)
    }
}

/// Prints the domain only: a full address has no place in a log (G-02).
impl fmt::Debug for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EmailAddress(…@{})", self.domain())
    }
}

impl serde::Serialize for EmailAddress {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.written)
    }
}

impl<'de> serde::Deserialize<'de> for EmailAddress {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        EmailAddress::parse(&text).ok_or_else(|| serde::de::Error::custom("not an e-mail address"))
    }
}

/// One entry of an address list as it stands in the header, nothing decoded (I-02).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mailbox {
    /// What stands before the angle bracket, without its quotes, or the comment after a bare address.
    pub name: String,
    /// What stands in the angle brackets, or the bare text.
    pub address: String,
    /// Whether the entry is one plain mailbox: no group, no second bracket, no text after it, no stray `@` in the name.
    pub is_plain: bool,
}

impl Mailbox {
    /// The identity, if the entry is a plain mailbox with a strict address.
    pub fn identity(&self) -> Option<EmailAddress> {
        if self.is_plain { EmailAddress::parse(&self.address) } else { None }
    }
}

/// Splits the undecoded value of a From, To or Cc field into at most `limit` entries, and tells whether there were more.
/// It never fails: what is no mailbox comes back as an entry that is not plain.
pub fn split_list(value: &str, limit: usize) -> (Vec<Mailbox>, bool) {
    let mut mailboxes = Vec::new();
    let mut entry = Entry::default();
    let mut in_group = false;
    let mut characters = value.chars();
    while let Some(character) = characters.next() {
        let separates = !entry.in_quotes && entry.comments == 0 && !entry.in_angle;
        match character {
            ',' | ';' if separates => {
                if let Some(mailbox) = std::mem::take(&mut entry).finish(in_group) {
                    if mailboxes.len() == limit {
                        return (mailboxes, true);
                    }
                    mailboxes.push(mailbox);
                }
                in_group &= character != ';';
            }
            ':' if separates => {
                // The name of a group says nothing about who writes.
                entry = Entry::default();
                in_group = true;
                if let Some(';') = characters.clone().find(|c| !c.is_whitespace()) {
                    // A group of nobody counts too, or a field of nothing else would have no limit (L-06).
                    if mailboxes.len() == limit {
                        return (mailboxes, true);
                    }
                    mailboxes.push(Mailbox::default());
                }
            }
            _ => entry.push(character, &mut characters),
        }
    }
    match entry.finish(in_group) {
        Some(_) if mailboxes.len() == limit => (mailboxes, true),
        Some(mailbox) => {
            mailboxes.push(mailbox);
            (mailboxes, false)
        }
        None => (mailboxes, false),
    }
}

#[derive(Default)]
struct Entry {
    /// Everything outside comments and angle brackets, quotes removed.
    phrase: String,
    comment: String,
    angle: Option<String>,
    in_angle: bool,
    in_quotes: bool,
    has_quotes: bool,
    comments: usize,
    has_text_after_comment: bool,
    is_odd: bool,
}

impl Entry {
    fn push(&mut self, character: char, rest: &mut std::str::Chars<'_>) {
        if self.comments > 0 {
            match character {
                '\\' => self.comment.extend(rest.next()),
                '(' => self.comments += 1,
                ')' => self.comments -= 1,
                _ => self.comment.push(character),
            }
        } else if self.in_quotes {
            match character {
                '\\' => self.phrase.extend(rest.next()),
                '"' => self.in_quotes = false,
                _ => self.phrase.push(character),
            }
        } else if self.in_angle {
            match character {
                '>' => self.in_angle = false,
                _ => self.angle.get_or_insert_default().push(character),
            }
        } else {
            match character {
                '(' => {
                    self.comments = 1;
                    // Even an empty comment parts what stands before it from what follows.
                    self.comment.push(' ');
                }
                '<' if self.angle.is_none() => {
                    self.in_angle = true;
                    self.angle = Some(String::new());
                }
                '<' | '>' => self.is_odd = true,
                '"' => {
                    self.is_odd |= self.angle.is_some();
                    self.in_quotes = true;
                    self.has_quotes = true;
                }
                _ => {
                    // Text after the bracket: readers differ about which address it belongs to.
                    let is_text = !matches!(character, ' ' | '\t');
                    self.is_odd |= self.angle.is_some() && is_text;
                    self.has_text_after_comment |= !self.comment.is_empty() && is_text;
                    self.phrase.push(character);
                }
            }
        }
    }

    fn finish(self, in_group: bool) -> Option<Mailbox> {
        let phrase = self.phrase.trim();
        let is_closed = !self.in_angle && !self.in_quotes && self.comments == 0;
        let is_plain = is_closed && !self.is_odd && !in_group;
        match self.angle {
            None if phrase.is_empty() && self.comment.trim().is_empty() => None,
            None => Some(Mailbox {
                name: self.comment.trim().to_owned(),
                address: phrase.to_owned(),
                is_plain: is_plain && !self.has_quotes && !self.has_text_after_comment,
            }),
            Some(address) => {
                // An unquoted address before the bracket is what another reader might take for the sender.
                let names_another = !self.has_quotes && phrase.contains('@') && !phrase.eq_ignore_ascii_case(&address);
                let name = if phrase.is_empty() { self.comment.trim() } else { phrase };
                Some(Mailbox { name: name.to_owned(), address, is_plain: is_plain && !names_another })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> Option<String> {
        EmailAddress::parse(text).map(|address| address.as_str().to_owned())
    }

    /// None of these is an identity. The mails that bear them are stored all the same (`incoming`).
    const HOSTILE: [&str; 64] = [
        "",
        "@",
        "victim",
        "victim@",
        "@acme.com",
        "victim@acme.com ",
        " victim@acme.com",
        "victim @acme.com",
        "victim@ acme.com",
        "victim@acme.com\r\n",
        "victim@acme.com\nBcc: evil@x.y",
        "victim\0@acme.com",
        "victim@acme.com\0.evil.com",
        "victim@acme.com\0",
        "victim@@acme.com",
        "victim@acme.com@evil.com",
        "@evil.com:victim@acme.com",
        "@evil.com,@x.y:victim@acme.com",
        "victim%acme.com@evil@x.y",
        "evil.com!victim@",
        "\"victim\"@acme.com",
        "\"victim@acme.com\"@evil.com",
        "\"victim@acme.com> \"@evil.com",
        "victim\"x\"@acme.com",
        "vic\\tim@acme.com",
        "victim(comment)@acme.com",
        "victim@(comment)acme.com",
        "victim@acme.com(comment)",
        "<victim@acme.com>",
        "Victim <victim@acme.com>",
        "victim@acme.com>",
        "victim@acme.com,evil@x.y",
        "victim@acme.com;evil@x.y",
        "group:victim@acme.com;",
        ".victim@acme.com",
        "victim.@acme.com",
        "vic..tim@acme.com",
        "victim@.acme.com",
        "victim@acme.com.",
        "victim@acme..com",
        "victim@-acme.com",
        "victim@acme-.com",
        "victim@acme_.com",
        "victim@[127.0.0.1]",
        "victim@[IPv6:::1]",
        "victim@127.0.0.1",
        "victim@acme.123",
        "victim＠acme.com",
        "victim@ａｃｍｅ.com",
        "victim@acme。com",
        "victim@acme．com",
        "victim@acme.c\u{200B}om",
        "victim@ac\u{AD}me.com",
        "\u{202E}victim@acme.com",
        "victim@\u{202E}moc.emca",
        "vıctim@acme.com",
        "victím@acme.com",
        "=?utf-8?q?victim=40acme.com=3E?=@x y",
        "=?utf-8?q?victim?= @acme.com",
        "victim@=?utf-8?q?acme.com?=",
        "victim@xn--.com",
        "victim@xn--a\u{e9}.com",
        "mailto:victim@acme.com",
        "victim@acme.com?cc=evil@x.y",
    ];

    #[test]
    fn i_01_hostile_forms_are_no_identity() {
        let taken: Vec<&str> = HOSTILE.into_iter().filter(|text| EmailAddress::parse(text).is_some()).collect();
        assert_eq!(taken, Vec::<&str>::new());
    }

    #[test]
    fn i_01_lengths_are_those_of_rfc_5321() {
        let local = "a".repeat(64);
        assert!(EmailAddress::parse(&format!("{local}@acme.com")).is_some());
        assert!(EmailAddress::parse(&format!("a{local}@acme.com")).is_none());
        let domain = format!("{}.{}.{}.com", "d".repeat(63), "d".repeat(63), "d".repeat(57));
        assert_eq!(format!("{local}@{domain}").len(), 254);
        assert!(EmailAddress::parse(&format!("{local}@{domain}")).is_some());
        assert!(EmailAddress::parse(&format!("{local}@d{domain}")).is_none());
        assert!(EmailAddress::parse(&format!("a@{}.com", "d".repeat(64))).is_none());
    }

    #[test]
    fn i_01_ordinary_addresses_are_identities() {
        for text in
            ["jean.dupont@acme.fr", "o'neil+tag@mail.acme.co.uk", "root@localhost", "x@xn--acm-dma.com", "1@2.fr"]
        {
            assert_eq!(written(text).as_deref(), Some(text));
        }
        assert_eq!(written("Jean@ACME.fr").as_deref(), Some("Jean@acme.fr"));
        assert_eq!(written("jean@Acmé.com").as_deref(), Some("jean@xn--acm-dma.com"));
        assert_eq!(written("jean@ACME\u{301}.com").as_deref(), Some("jean@xn--acm-dma.com"));
    }

    #[test]
    fn i_06_addresses_compare_by_case_only() {
        let address = |text| EmailAddress::parse(text).unwrap();
        assert_eq!(address("Victim@ACME.com"), address("victim@acme.com"));
        assert_ne!(address("victim@acmé.com"), address("victim@acme.com"));
        assert_ne!(address("vic.tim@acme.com"), address("victim@acme.com"));
        assert_ne!(address("victim+x@acme.com"), address("victim@acme.com"));
        assert_ne!(address("victim@аcme.com"), address("victim@acme.com"), "the first a is Cyrillic");
        assert_eq!(address("Victim@ACME.com").as_str(), "Victim@acme.com");
    }

    fn only(value: &str) -> Mailbox {
        let (mut mailboxes, more) = split_list(value, 500);
        assert_eq!((mailboxes.len(), more), (1, false), "{value}");
        mailboxes.remove(0)
    }

    #[test]
    fn an_address_list_is_split_before_anything_is_decoded() {
        let (mailboxes, more) = split_list(
            "\"Dupont, Jean\" <jean@acme.fr>, marie@acme.fr (Marie (du labo)), Paul <paul@acme.fr>; =?utf-8?q?A=2C?= <a@b.c>",
            500,
        );
        let seen: Vec<_> = mailboxes.iter().map(|m| (m.name.as_str(), m.address.as_str(), m.is_plain)).collect();
        assert_eq!(
            seen,
            [
                ("Dupont, Jean", "jean@acme.fr", true),
                ("Marie du labo", "marie@acme.fr", true),
                ("Paul", "paul@acme.fr", true),
                ("=?utf-8?q?A=2C?=", "a@b.c", true),
            ]
        );
        assert!(!more);
        assert_eq!(split_list(" , ,; ", 500), (Vec::new(), false));
    }

    #[test]
    fn l_06_an_address_list_ends_at_the_limit() {
        let value = "a@b.c, ".repeat(600);
        let (mailboxes, more) = split_list(&value, 500);
        assert_eq!((mailboxes.len(), more), (500, true));
        let (mailboxes, more) = split_list("a@b.c,a@b.c", 2);
        assert_eq!((mailboxes.len(), more), (2, false));
    }

    #[test]
    fn l_06_groups_of_nobody_end_at_the_limit_too() {
        let (mailboxes, more) = split_list(&"nobody:;".repeat(600), 500);
        assert_eq!((mailboxes.len(), more), (500, true));
        // Two fields of them are read to their limit, and the rest of the mail as ever.
        let field = format!("To: {}\r\n", "a:;".repeat(600));
        let mail = crate::mail::incoming::parse(format!("From: a@b.example\r\n{field}{field}\r\nHello").as_bytes());
        assert_eq!((mail.to.len(), mail.text.trim_end()), (500, "Hello"));
    }

    #[test]
    fn i_03_odd_mailboxes_have_no_identity() {
        for value in [
            "team: jean@acme.fr;",
            "team:;",
            "jean@acme.fr <evil@x.y>",
            "Jean <jean@acme.fr> <evil@x.y>",
            "Jean <jean@acme.fr> evil",
            "Jean <jean@acme.fr> \"evil\"",
            "<@evil.com:jean@acme.fr>",
            "\"jean\"@acme.fr",
            "<\"jean\"@acme.fr>",
            "Jean <jean@acme.fr",
            "Jean jean@acme.fr>",
            "\"Jean <jean@acme.fr>",
            "(jean@acme.fr",
            "<jean@acme.fr (x)>",
            "<jean@acme.fr\0>",
            "<=?utf-8?q?jean=40acme.fr?=>",
            "<>",
            "MAILER-DAEMON",
            "undisclosed-recipients:;",
        ] {
            assert_eq!(only(value).identity(), None, "{value}");
        }
        assert_eq!(only("jean@acme.fr <jean@acme.fr>").identity(), EmailAddress::parse("jean@acme.fr"));
        assert_eq!(only("\"ceo@acme.com\" <x@evil.com>").identity(), EmailAddress::parse("x@evil.com"));
        assert_eq!(only("Jean (acme) <jean@acme.fr> (him)").identity(), EmailAddress::parse("jean@acme.fr"));
    }
}
