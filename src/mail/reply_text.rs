//! What somebody wrote in a mail, told apart from the history and the signature that came below it. Nothing is ever
//! dropped: [`split`] cuts a text in two at one place, and in doubt cuts later. Answers written between quoted lines
//! stay in the first half, with the quotes that they answer.
//!
//! It knows the habits of the usual clients in the languages of `wordings`: `On … wrote:` and `Le … a écrit :`, `>` before
//! each line, `-----Original Message-----`, header blocks (`De : … Envoyé : …`), our own marker line, `-- ` before a
//! signature, the armour of OpenPGP. A forwarded mail is news to us and not history, so it is left whole. Each line is looked
//! at a fixed number of times, so the work grows with the length of the text and no faster (L-14).

mod signature;
mod wordings;

pub use signature::without_signature;

use wordings::{ADVERTISEMENTS, ATTRIBUTION_STARTS, BESIDE_A_TIME, ELIDED, FORWARDS, FORWARDS_OF_APPLE, FieldNames};
use wordings::{PRONOUNS, SEPARATORS, VERBS, VERBS_AMIDST, has_date};

/// A text cut in two; the halves put together are the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplyText<'a> {
    /// What was written for this mail.
    pub written: &'a str,
    /// Quoted history and signature, to be folded away.
    pub quoted: &'a str,
}

/// No more of a text than this is searched for a place to cut (L-14).
pub const LONGEST_SEARCHED: usize = 256 * 1024;
/// A signature is at most so many lines, its `-- ` included; more below such a line is text.
const SIGNATURE_LINES: usize = 12;
/// An attribution spreads over at most so many lines.
const ATTRIBUTION_LINES: usize = 3;
/// A header block has its fields within so many lines.
const HEADER_BLOCK_LINES: usize = 8;
/// Lines longer than this are text, whatever they begin with.
const LONGEST_MARK: usize = 400;

const MARKER_START: &str = "##-";
const MARKER_END: &str = "-##";

/// The line above which readers of a mail are asked to answer: `text` between signs that survive every client, so that
/// it is known again in any language.
pub fn marker_line(text: &str) -> String {
    format!("{MARKER_START} {} {MARKER_END}", text.trim())
}

/// Whether a line above which a desk asked to answer stands in `text` as its own, not in what it quotes or forwards: a desk
/// wrote it, or somebody answers one without a word of whom. Zendesk's lines look like ours.
pub fn has_marker(text: &str) -> bool {
    let lines = lines(within_limit(text));
    history_start(&lines).is_some_and(|start| is_marker(lines[start].text))
}

fn is_marker(line: &str) -> bool {
    if line.starts_with(PREHEADER_START) {
        return true;
    }
    line.starts_with(MARKER_START)
        && line.ends_with(MARKER_END)
        && line.len() > MARKER_START.len() + MARKER_END.len()
        && line.len() <= LONGEST_MARK
}

/// What begins the words that lists of mails show, which stand above the marker and are on no page: characters that nobody
/// sees or types, so that a client that quotes those words without their style quotes this too.
pub const PREHEADER_START: &str = "\u{2063}\u{2062}\u{2063}";

/// Cuts `text` where the history or the signature at its end begins. When that would leave nothing written, as in a
/// forwarded mail without a comment, all of it counts as written.
pub fn split(text: &str) -> ReplyText<'_> {
    let searched = within_limit(text);
    let lines: Vec<Line<'_>> = lines(searched);
    let history = history_start(&lines);
    if history.is_none() && searched.len() < text.len() {
        // The end, where quotes would be, was not looked at.
        return ReplyText { written: text, quoted: "" };
    }
    let forwarded = lines.iter().take(history.unwrap_or(lines.len())).any(|line| line.kind == Kind::Forward);
    let end = match (forwarded, history) {
        (true, _) => lines.len(),
        (false, history) => written_end(&lines, history.unwrap_or(lines.len())),
    };
    let at = lines.get(end).map_or(text.len(), |line| line.start);
    if text[..at].trim().is_empty() || (forwarded && end == lines.len()) {
        return ReplyText { written: text, quoted: "" };
    }
    ReplyText { written: &text[..at], quoted: &text[at..] }
}

/// Cuts off the signature at the end of `text` and nothing else: to whom a conversation is new, its history is news.
pub fn split_signature(text: &str) -> ReplyText<'_> {
    let whole = ReplyText { written: text, quoted: "" };
    if text.len() > LONGEST_SEARCHED {
        return whole;
    }
    let lines = lines(text);
    let end = signature_end(&lines);
    let at = lines.get(end).map_or(text.len(), |line| line.start);
    let (written, quoted) = text.split_at(at);
    if written.trim().is_empty() || quoted.trim().is_empty() { whole } else { ReplyText { written, quoted } }
}

const SIGNED: &str = "-----BEGIN PGP SIGNED MESSAGE-----";
const SIGNATURE: &str = "-----BEGIN PGP SIGNATURE-----";
const SIGNATURE_ENDS: &str = "-----END PGP SIGNATURE-----";
const ENCRYPTED: &str = "-----BEGIN PGP MESSAGE-----";
const ENCRYPTED_ENDS: &str = "-----END PGP MESSAGE-----";

/// Whether a text bears an OpenPGP signature (RFC 9580, 7).
pub fn is_signed(text: &str) -> bool {
    start_of_line(text, SIGNED).is_some_and(|start| start_of_line(&text[start..], SIGNATURE).is_some())
}

/// Whether what was written for this mail is encrypted by OpenPGP; a quoted history may be, below an answer in clear.
pub fn is_written_encrypted(text: &str) -> bool {
    is_encrypted(text) && is_encrypted(split(text).written)
}

/// Whether there is text encrypted by OpenPGP in it, from its beginning to its end.
fn is_encrypted(text: &str) -> bool {
    start_of_line(text, ENCRYPTED).is_some_and(|at| start_of_line(&text[at..], ENCRYPTED_ENDS).is_some())
}

/// Cuts `text` where what is encrypted begins, unless words stand below it.
pub fn split_encrypted(text: &str) -> ReplyText<'_> {
    let whole = ReplyText { written: text, quoted: "" };
    let Some(at) = start_of_line(text, ENCRYPTED) else { return whole };
    let Some(end) = start_of_line(&text[at..], ENCRYPTED_ENDS) else { return whole };
    let below = &text[at + end + ENCRYPTED_ENDS.len()..];
    if below.trim().is_empty() { ReplyText { written: &text[..at], quoted: &text[at..] } } else { whole }
}

/// Where a line that says this begins.
fn start_of_line(text: &str, said: &str) -> Option<usize> {
    let is_line = |at: &usize| {
        let after = &text[at + said.len()..];
        text[..*at].chars().next_back().is_none_or(|before| before == '\n')
            && after.lines().next().is_none_or(|rest| rest.trim().is_empty())
    };
    text.match_indices(said).map(|(at, _)| at).find(is_line)
}

/// The first [`LONGEST_SEARCHED`] bytes, to the end of a line.
fn within_limit(text: &str) -> &str {
    if text.len() <= LONGEST_SEARCHED {
        return text;
    }
    let mut end = LONGEST_SEARCHED;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].rfind('\n').map_or("", |newline| &text[..=newline])
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Blank,
    /// Begins with `>`.
    Quote,
    /// `-----Original Message-----` and the like, or our own marker line.
    Separator,
    /// A forwarded mail begins.
    Forward,
    /// A line of underscores or dashes, as clients draw above a header block.
    Rule,
    /// `-- `, which begins a signature.
    SignatureMark,
    /// A client's own advertisement: "Sent from my …".
    SentFrom,
}

#[derive(Clone, Copy, Debug)]
struct Line<'a> {
    start: usize,
    /// Without white space around it.
    text: &'a str,
    kind: Kind,
}

fn lines(text: &str) -> Vec<Line<'_>> {
    let mut start = 0;
    text.split_inclusive('\n')
        .map(|raw| {
            let line = Line { start, text: raw.trim(), kind: kind(raw) };
            start += raw.len();
            line
        })
        .collect()
}

fn kind(raw: &str) -> Kind {
    let line = raw.trim();
    if line.is_empty() {
        return Kind::Blank;
    }
    if line.starts_with('>') {
        return Kind::Quote;
    }
    if line.len() > LONGEST_MARK {
        return Kind::Text;
    }
    let is_drawn = |c: char| matches!(c, '-' | '_' | '=' | '*');
    let inner = line.trim_matches(|c: char| is_drawn(c) || c.is_whitespace()).to_lowercase();
    if is_marker(line) {
        return Kind::Separator;
    }
    if inner.is_empty() {
        let end_of_line = raw.trim_end_matches(['\r', '\n']);
        return match end_of_line {
            "-- " | "--" | "--\u{a0}" => Kind::SignatureMark,
            _ if line.chars().count() >= 3 => Kind::Rule,
            _ => Kind::Text,
        };
    }
    let is_announced = line.starts_with("--") || line.starts_with("__") || line.starts_with("**");
    let inner = inner.replace(['\u{2019}', '\u{2bc}'], "'").replace(['\u{a0}', '\u{202f}'], " ");
    match inner.as_str() {
        inner if is_announced && SEPARATORS.contains(&inner) => Kind::Separator,
        inner if is_announced && FORWARDS.contains(&inner) => Kind::Forward,
        inner if FORWARDS_OF_APPLE.contains(&inner.replace(" :", ":").as_str()) => Kind::Forward,
        inner if is_advertisement(inner) => Kind::SentFrom,
        _ => Kind::Text,
    }
}

/// "Sent from my iPhone" and its kin, in lower case.
fn is_advertisement(line: &str) -> bool {
    line.chars().count() <= 100 && ADVERTISEMENTS.iter().any(|beginning| line.starts_with(beginning))
}

/// The line from which on everything is history, whatever it looks like.
fn history_start(lines: &[Line<'_>]) -> Option<usize> {
    for (index, line) in lines.iter().enumerate() {
        match line.kind {
            // What was forwarded is left whole, with the history inside it.
            Kind::Forward => return None,
            Kind::Separator => return Some(index),
            Kind::Text if begins_header_block(&lines[index..], is_below_rule(&lines[..index])) => return Some(index),
            Kind::Text => {
                if let Some((length, Attribution::Certain)) = attribution(&lines[index..]) {
                    let below = lines[index + length..].iter().find(|line| line.kind != Kind::Blank);
                    // Lines with `>` below may have answers between them; the walk from the end sees to that.
                    if below.is_some_and(|line| line.kind != Kind::Quote) {
                        return Some(index);
                    }
                }
            }
            _ => {}
        }
    }
    None
}

/// Walks up from `end` over quotes, attributions, signatures and blank lines, to the end of the last line written.
fn written_end(lines: &[Line<'_>], mut end: usize) -> usize {
    // Whether the next line that is not blank below `end` is quoted: what stands above it may be its attribution.
    let mut above_quote = false;
    // A drawn line belongs to the history only when there is some below it.
    let mut has_history = end < lines.len();
    loop {
        let before = end;
        while let Some(line) = end.checked_sub(1).map(|last| lines[last]) {
            match line.kind {
                Kind::Blank => {}
                Kind::Quote => (above_quote, has_history) = (true, true),
                Kind::Rule if has_history => above_quote = false,
                Kind::SentFrom | Kind::SignatureMark => (above_quote, has_history) = (false, true),
                _ => break,
            }
            end -= 1;
        }
        if let Some(start) = attribution_above(lines, end, above_quote) {
            end = start;
            (above_quote, has_history) = (false, true);
        } else if let Some(start) = signature_above(lines, end).or_else(|| armour_above(lines, end)) {
            end = start;
            (above_quote, has_history) = (false, true);
        }
        if end == before {
            return end;
        }
    }
}

/// Walks up from the end over blank lines, what a client says of itself, and one signature: of text between several lines of
/// dashes, those are not signatures. What was forwarded is left whole.
fn signature_end(lines: &[Line<'_>]) -> usize {
    if lines.iter().any(|line| line.kind == Kind::Forward) {
        return lines.len();
    }
    let above = |mut end: usize| {
        while end > 0 && matches!(lines[end - 1].kind, Kind::Blank | Kind::SentFrom) {
            end -= 1;
        }
        end
    };
    let end = above(lines.len());
    let marks = lines.iter().filter(|line| line.kind == Kind::SignatureMark).count();
    let signature = signature_above(lines, end).filter(|_| marks == 1).or_else(|| armour_above(lines, end));
    above(signature.unwrap_or(end))
}

/// The first line of an OpenPGP signature that ends right above `end`.
fn armour_above(lines: &[Line<'_>], end: usize) -> Option<usize> {
    /// Of a key of 4096 bits, with headers, it has twenty; of several keys, more.
    const LINES: usize = 100;
    if lines.get(end.checked_sub(1)?)?.text != SIGNATURE_ENDS {
        return None;
    }
    (end.saturating_sub(LINES)..end).rev().find(|&start| lines[start].text == SIGNATURE)
}

/// The first line of an attribution that ends right above `end`.
fn attribution_above(lines: &[Line<'_>], end: usize, above_quote: bool) -> Option<usize> {
    // The longest first: the line that ends in "wrote:" would pass for an attribution by itself.
    let first = end.saturating_sub(ATTRIBUTION_LINES);
    (first..end).find(|&start| {
        attribution(&lines[start..end]).is_some_and(|(length, certainty)| {
            start + length == end && (above_quote || certainty == Attribution::Certain)
        })
    })
}

/// The `-- ` line of a signature that ends right above `end`.
fn signature_above(lines: &[Line<'_>], end: usize) -> Option<usize> {
    let first = end.saturating_sub(SIGNATURE_LINES);
    (first..end).rev().find(|&start| lines[start].kind == Kind::SignatureMark)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attribution {
    /// It has a date, and an address or the form in which clients name somebody: nobody writes that by hand.
    Certain,
    /// It could be somebody's own sentence; it counts only right above a quote.
    Likely,
}

/// Whether an attribution begins at the first of `lines`, and over how many lines it goes.
fn attribution(lines: &[Line<'_>]) -> Option<(usize, Attribution)> {
    let mut said = String::new();
    for (index, line) in lines.iter().take(ATTRIBUTION_LINES).enumerate() {
        if line.kind != Kind::Text || said.len() + line.text.len() > LONGEST_MARK {
            return None;
        }
        if index > 0 {
            said.push(' ');
        }
        said.push_str(line.text);
        let joined = said.to_lowercase();
        let start = ATTRIBUTION_STARTS.iter().find(|word| joined.starts_with(**word));
        let begins = start.is_some();
        let Some(who_and_when) = without_verb(&joined) else { if begins { continue } else { return None } };
        let has_address = who_and_when.contains('@') || who_and_when.contains('<');
        let is_of_client = has_address || (has_time(who_and_when) && names_somebody_after_the_time(&said));
        let is_own = start.is_some_and(|start| speaks_for_itself(who_and_when, start));
        let certainty = if begins && has_date(who_and_when) && is_of_client && !is_own {
            Attribution::Certain
        } else if index == 0 || begins {
            Attribution::Likely
        } else {
            return None;
        };
        return Some((index + 1, certainty));
    }
    None
}

/// Whether somebody speaks of themselves or to us: `Le 16/11/2026 à 10:32, Bob <bob@acme.example> m'a écrit :` is a sentence.
/// `start` is how the line begins, by which its language is known.
fn speaks_for_itself(who_and_when: &str, start: &str) -> bool {
    let plain = who_and_when.replace(['\u{2019}', '\u{2bc}'], "'");
    let words = plain.split_whitespace().filter(|word| !word.contains('@'));
    let pronouns = PRONOUNS.iter().filter(|(of_start, _)| *of_start == start).flat_map(|(_, words)| words.iter());
    let pronouns: Vec<&str> = pronouns.copied().collect();
    words.into_iter().any(|word| {
        let word = word.trim_matches(|c: char| !c.is_alphanumeric() && c != '\'');
        pronouns.contains(&word) || ELIDED.iter().any(|elided| start == "le " && word.starts_with(elided))
    })
}

/// Whether a name comes after the time, as clients write it: `…, 10:32, Support wrote:`, and not `…, 10:32, the customer wrote:`.
fn names_somebody_after_the_time(said: &str) -> bool {
    let words: Vec<&str> = said.split_whitespace().collect();
    let Some(time) = words.iter().rposition(|word| word.contains(|c: char| c.is_ascii_digit())) else { return false };
    let name = words[time + 1..].iter().find(|word| {
        let plain = word.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
        !plain.is_empty() && !BESIDE_A_TIME.contains(&plain.as_str())
    });
    let first = name.and_then(|name| name.chars().find(|c| c.is_alphabetic()));
    first.is_some_and(char::is_uppercase)
}

/// What an attribution says besides its "wrote:", "a écrit :" or the like; in some languages that stands amidst it.
fn without_verb(line: &str) -> Option<&str> {
    let before = line.trim_end().strip_suffix(':')?.trim_end();
    let at_end = VERBS.iter().find_map(|verb| before.strip_suffix(verb));
    at_end.or_else(|| VERBS_AMIDST.iter().any(|verb| before.contains(verb)).then_some(before))
}

/// Whether a line holds a time of day, `10:32`, `10h32` or `10 h 32`.
fn has_time(line: &str) -> bool {
    line.as_bytes()
        .windows(3)
        .any(|window| window[0].is_ascii_digit() && matches!(window[1], b':' | b'h') && window[2].is_ascii_digit())
        || line.contains(" h ")
}

/// Whether the line above, blank ones aside, is drawn.
fn is_below_rule(above: &[Line<'_>]) -> bool {
    above.iter().rev().find(|line| line.kind != Kind::Blank).is_some_and(|line| line.kind == Kind::Rule)
}

/// Whether the first of `lines` begins a header block as Outlook writes it, or with the date first as some web mails do: From,
/// a date, and a subject, which clients write even where it is empty. Without one, somebody may have written of a journey, from
/// here to there on a day: then it takes To, and an address or a drawn line above.
fn begins_header_block(lines: &[Line<'_>], is_below_rule: bool) -> bool {
    let Some(first) = lines.first() else { return false };
    if !is_field(first.text, FieldNames::FROM) && !is_field(first.text, FieldNames::SENT) {
        return false;
    }
    let (mut has_from, mut has_date, mut has_to, mut has_subject, mut has_address) =
        (false, false, false, false, false);
    for line in lines.iter().take(HEADER_BLOCK_LINES) {
        if !matches!(line.kind, Kind::Text | Kind::Blank) {
            break;
        }
        let (is_from, is_to) = (is_field(line.text, FieldNames::FROM), is_field(line.text, FieldNames::TO));
        has_from |= is_from;
        has_to |= is_to;
        has_address |= (is_from || is_to) && line.text.contains('@');
        has_date |= is_field(line.text, FieldNames::SENT) || is_field(line.text, FieldNames::DATE);
        has_subject |= names_field(line.text, FieldNames::SUBJECT);
    }
    has_from && has_date && (has_subject || (has_to && (has_address || is_below_rule)))
}

/// Whether a line is a field of one of these names with a value, in bold or not: `*Envoyé :* lundi`.
fn is_field(line: &str, names: &[&str]) -> bool {
    let value = line.split_once(':').map_or("", |(_, value)| value);
    !value.trim_matches(|c: char| c == '*' || c.is_whitespace()).is_empty() && names_field(line, names)
}

/// The same, with a value or without.
fn names_field(line: &str, names: &[&str]) -> bool {
    if line.len() > LONGEST_MARK {
        return false;
    }
    let Some((name, _)) = line.split_once(':') else { return false };
    let name = name.trim_matches(|c: char| c == '*' || c.is_whitespace()).to_lowercase().replace('\u{2019}', "'");
    names.contains(&name.as_str())
}

#[cfg(test)]
mod tests;
