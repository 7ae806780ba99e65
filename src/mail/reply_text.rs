//! What somebody wrote in a mail, told apart from the history and the signature that came below it. Nothing is ever
//! dropped: [`split`] cuts a text in two at one place, and in doubt cuts later. Answers written between quoted lines
//! stay in the first half, with the quotes that they answer.
//!
//! It knows the English and French habits of the usual clients: `On … wrote:` and `Le … a écrit :`, `>` before each line,
//! `-----Original Message-----`, header blocks (`De : … Envoyé : …`), our own marker line, `-- ` before a signature. A
//! forwarded mail is news to us and not history, so it is left whole. Each line is looked at a fixed number of times,
//! so the work grows with the length of the text and no faster (L-14).

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
    line.starts_with(MARKER_START)
        && line.ends_with(MARKER_END)
        && line.len() > MARKER_START.len() + MARKER_END.len()
        && line.len() <= LONGEST_MARK
}

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
            _ if line.chars().count() >= 5 => Kind::Rule,
            _ => Kind::Text,
        };
    }
    let is_announced = line.starts_with("--") || line.starts_with("__") || line.starts_with("**");
    match inner.replace(['\u{2019}', '\u{2bc}'], "'").as_str() {
        "original message"
        | "original appointment"
        | "message d'origine"
        | "message original"
        | "message initial"
        | "reply message"
            if is_announced =>
        {
            Kind::Separator
        }
        "forwarded message" | "message transféré" | "message transmis" | "message réexpédié" if is_announced => {
            Kind::Forward
        }
        "begin forwarded message:"
        | "début du message réexpédié :"
        | "début du message réexpédié\u{a0}:"
        | "début du message transféré :"
        | "début du message transféré\u{a0}:" => Kind::Forward,
        inner if is_advertisement(inner) => Kind::SentFrom,
        _ => Kind::Text,
    }
}

/// "Sent from my iPhone" and its kin, in lower case.
fn is_advertisement(line: &str) -> bool {
    const BEGINNINGS: [&str; 8] = [
        "sent from my ",
        "sent from outlook",
        "sent from mail for windows",
        "get outlook for ",
        "envoyé de mon ",
        "envoyé depuis mon ",
        "envoyé à partir de ",
        "obtenez outlook pour ",
    ];
    const OTHERS: [&str; 4] =
        ["envoyé depuis ", "télécharger outlook pour ", "sent from yahoo mail", "provenance : courrier pour "];
    line.chars().count() <= 100 && BEGINNINGS.iter().chain(&OTHERS).any(|beginning| line.starts_with(beginning))
}

/// The line from which on everything is history, whatever it looks like.
fn history_start(lines: &[Line<'_>]) -> Option<usize> {
    for (index, line) in lines.iter().enumerate() {
        match line.kind {
            // What was forwarded is left whole, with the history inside it.
            Kind::Forward => return None,
            Kind::Separator => return Some(index),
            Kind::Text if begins_header_block(&lines[index..]) => return Some(index),
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
        } else if let Some(start) = signature_above(lines, end) {
            end = start;
            (above_quote, has_history) = (false, true);
        }
        if end == before {
            return end;
        }
    }
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
    /// It has a date and an address or a time: nobody writes that by hand.
    Certain,
    /// It could be somebody's own sentence; it counts only right above a quote.
    Likely,
}

/// Whether an attribution begins at the first of `lines`, and over how many lines it goes.
fn attribution(lines: &[Line<'_>]) -> Option<(usize, Attribution)> {
    let mut joined = String::new();
    for (index, line) in lines.iter().take(ATTRIBUTION_LINES).enumerate() {
        if line.kind != Kind::Text || joined.len() + line.text.len() > LONGEST_MARK {
            return None;
        }
        if index > 0 {
            joined.push(' ');
        }
        joined.push_str(&line.text.to_lowercase());
        let begins = ["on ", "le ", "am "].iter().any(|word| joined.starts_with(word));
        let Some(who_and_when) = without_verb(&joined) else { if begins { continue } else { return None } };
        let has_date = who_and_when.bytes().any(|b| b.is_ascii_digit());
        let has_address = who_and_when.contains('@') || who_and_when.contains('<');
        let certainty = if begins && has_date && (has_address || has_time(who_and_when)) {
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

/// What stands before a final "wrote:", "a écrit :" or the like.
fn without_verb(line: &str) -> Option<&str> {
    let before = line.trim_end().strip_suffix(':')?.trim_end();
    ["wrote", "writes", "a écrit", "a ecrit", "écrivait", "écrit"].iter().find_map(|verb| before.strip_suffix(verb))
}

/// Whether a line holds a time of day, `10:32`, `10h32` or `10 h 32`.
fn has_time(line: &str) -> bool {
    line.as_bytes()
        .windows(3)
        .any(|window| window[0].is_ascii_digit() && matches!(window[1], b':' | b'h') && window[2].is_ascii_digit())
        || line.contains(" h ")
}

/// Whether the first of `lines` begins a header block as Outlook writes it: From, then a date, then To or Subject.
fn begins_header_block(lines: &[Line<'_>]) -> bool {
    const FROM: &[&str] = &["from", "de"];
    const DATE: &[&str] = &["sent", "date", "envoyé", "envoyé le", "date d'envoi"];
    const OTHER: &[&str] = &["to", "à", "a", "pour", "subject", "objet", "sujet"];
    let Some(first) = lines.first() else { return false };
    if !is_field(first.text, FROM) {
        return false;
    }
    let (mut has_date, mut has_other) = (false, false);
    for line in lines.iter().take(HEADER_BLOCK_LINES).skip(1) {
        if !matches!(line.kind, Kind::Text | Kind::Blank) {
            break;
        }
        has_date |= is_field(line.text, DATE);
        has_other |= is_field(line.text, OTHER);
    }
    has_date && has_other
}

/// Whether a line is a field of one of these names with a value, in bold or not: `*Envoyé :* lundi`.
fn is_field(line: &str, names: &[&str]) -> bool {
    if line.len() > LONGEST_MARK {
        return false;
    }
    let Some((name, value)) = line.split_once(':') else { return false };
    let name = name.trim_matches(|c: char| c == '*' || c.is_whitespace()).to_lowercase().replace('\u{2019}', "'");
    !value.trim_matches(|c: char| c == '*' || c.is_whitespace()).is_empty() && names.contains(&name.as_str())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Asserts that `written` is kept and everything after it folded, and what holds for every text.
    #[track_caller]
    fn assert_written(text: &str, written: &str) {
        let reply = split(text);
        assert_eq!(reply.written.trim_end(), written.trim_end(), "in {text:?}");
        assert_laws(text);
    }

    #[track_caller]
    fn assert_laws(text: &str) {
        let reply = split(text);
        assert_eq!(format!("{}{}", reply.written, reply.quoted), text, "something was lost");
        assert_eq!(split(reply.written), ReplyText { written: reply.written, quoted: "" }, "not stable: {text:?}");
    }

    #[test]
    fn th_09_english_clients() {
        for below in [
            // Gmail, also wrapped
            "On Mon, Nov 16, 2026 at 10:32 AM Support <support@vendor.example> wrote:\n\n> Try this.\n> Bye\n",
            "On Mon, Nov 16, 2026 at 10:32 AM A Name That Is Rather Long\n<support@vendor.example> wrote:\n\n> Try this.\n",
            "On Mon, Nov 16, 2026 at 10:32 AM Support\n<support+very-long-address@vendor.example>\nwrote:\n> Try this.\n",
            // Apple Mail
            "On 16 Nov 2026, at 10:32, Support <support@vendor.example> wrote:\n> \n> Try this.\n",
            // Thunderbird
            "On 11/16/26 10:32, Support wrote:\n> Try this.\n",
            // Quoted without signs, as Yahoo and mobile clients do
            "On Monday, November 16, 2026 at 10:32:01 AM GMT+1, Support <support@vendor.example> wrote:\n\n  Try this.\n\n  Bye\n",
            // Outlook
            "-----Original Message-----\nFrom: Support\nSent: Monday\nTo: Anne\nSubject: RE: x\n\nTry this.\n",
            "________________________________\nFrom: Support <support@vendor.example>\nSent: Monday, November 16, 2026 10:32\n\
             To: Anne <anne@acme.example>\nSubject: RE: Screen\n\nTry this.\n",
            "From: Support <support@vendor.example>\nDate: Monday, 16 November 2026\nTo: Anne\nSubject: Screen\n\nTry this.\n",
            "*From:* Support <support@vendor.example>\n*Sent:* Monday\n*To:* Anne\n*Subject:* Screen\n\nTry this.\n",
            // Bare quotes, and an attribution of few words
            "> Try this.\n>> Screen is black\n",
            "Support wrote:\n> Try this.\n",
            "Sent from my iPhone\n\nOn 16 Nov 2026, at 10:32, Support <support@vendor.example> wrote:\n\n> Try this.\n",
            "Get Outlook for Android\n________________________________\nFrom: Support\nSent: Monday\nTo: A\n\nTry this.\n",
        ] {
            assert_written(&format!("It works now.\nThank you!\n\n{below}"), "It works now.\nThank you!");
        }
    }

    #[test]
    fn th_09_french_clients() {
        for below in [
            "Le lun. 16 nov. 2026 à 10:32, Support <support@vendor.example> a écrit :\n\n> Essayez ceci.\n",
            "Le lun. 16 nov. 2026 à 10:32, Support <support@vendor.example> a\nécrit :\n\n> Essayez ceci.\n",
            "Le lun. 16 nov. 2026 à 10:32, Support <support@vendor.example> a écrit\u{a0}:\n\n> Essayez ceci.\n",
            "Le lun. 16 nov. 2026 à 10:32, Support <support@vendor.example> a écrit\u{202f}:\n> Essayez ceci.\n",
            "Le 16/11/2026 à 10:32, Support a écrit :\n> Essayez ceci.\n",
            "Le 16 nov. 2026 à 10 h 32, Support a écrit :\n\nEssayez ceci.\n",
            "-----Message d'origine-----\nDe : Support\nEnvoyé : lundi\nÀ : Anne\nObjet : RE: x\n\nEssayez ceci.\n",
            "-----Message d\u{2019}origine-----\nDe\u{a0}: Support\n\nEssayez ceci.\n",
            "-------- Message original --------\nDe : Support\nDate : 16/11/2026 10:32\n\nEssayez ceci.\n",
            "De : Support <support@vendor.example>\nEnvoyé : lundi 16 novembre 2026 10:32\nÀ : Anne <anne@acme.example>\n\
             Objet : RE: Écran\n\nEssayez ceci.\n",
            "De\u{a0}: Support\nEnvoyé\u{a0}: lundi 16 novembre 2026\nÀ\u{a0}: Anne\nObjet\u{a0}: Écran\n\nEssayez ceci.\n",
            "Envoyé de mon iPhone\n\n> Le 16 nov. 2026 à 10:32, Support a écrit :\n> \n> Essayez ceci.\n",
            "Support a écrit :\n> Essayez ceci.\n",
        ] {
            assert_written(&format!("Cela marche.\nMerci !\n\n{below}"), "Cela marche.\nMerci !");
        }
    }

    #[test]
    fn our_own_marker_line_begins_the_history() {
        let marker = marker_line("Répondez au-dessus de cette ligne");
        assert_eq!(marker, "##- Répondez au-dessus de cette ligne -##");
        assert_written(&format!("Merci !\n\n{marker}\n\nBonjour,\nessayez ceci.\n"), "Merci !");
        // Quoted with signs, there may be answers below it.
        let inline = format!("> {marker}\n> Does it work?\nYes.\n");
        assert_written(&inline, &inline);
    }

    #[test]
    fn answers_between_quotes_stay_written() {
        let inline = "On 16 Nov 2026, at 10:32, Support <support@vendor.example> wrote:\n> Which version?\n\n2.4\n\n> Which system?\n\nLinux\n";
        assert_written(inline, inline);
        assert_written(&format!("{inline}\n> Bye\n> Support\n"), inline);
    }

    #[test]
    fn an_answer_below_the_quote_stays_written() {
        let below = "Le 16/11/2026 à 10:32, Support a écrit :\n> Quelle version ?\n\nLa 2.4.\n";
        assert_written(below, below);
    }

    #[test]
    fn signatures_are_folded_and_dashes_in_a_text_are_not() {
        assert_written("Hello\n\n-- \nAnne\nAcme\n", "Hello");
        assert_written("Hello\r\n\r\n-- \r\nAnne\r\n", "Hello");
        assert_written("Hello\n-- \nAnne\n\nOn 16 Nov 2026, at 10:32, S <s@v.example> wrote:\n> x\n", "Hello");
        assert_written("Hello\n\nEnvoyé de mon iPhone\n", "Hello");
        let list = format!("First\n--\n{}", "a line\n".repeat(20));
        assert_written(&list, &list);
    }

    #[test]
    fn what_only_resembles_history_stays_written() {
        for text in [
            "On Monday he wrote:\nnothing at all.\n",
            "De : Paris\nÀ : Lyon\nle train est en retard.\n",
            "From: here\nnothing follows\n",
            "Le client a écrit :\nbonjour\n",
            "The log says\n-----\nerror 5\n-----\nand stops.\n",
            "The log ends with\n-----\n\n",
            "a > b\n",
            "Original message was lost.\n",
        ] {
            assert_written(text, text);
        }
    }

    #[test]
    fn a_forwarded_mail_is_left_whole() {
        for text in [
            "See below.\n\n---------- Forwarded message ---------\nDe : Bob\nDate : 16/11/2026\nSubject: x\nTo: Anne\n\nIt broke.\n",
            "Begin forwarded message:\n\n> From: Bob\n> Subject: x\n>\n> It broke.\n",
            "Voir ci-dessous\n-------- Message transféré --------\nDe : Bob\nDate : lundi\nObjet : x\n\nPanne.\n\n> encore\n",
        ] {
            assert_written(text, text);
        }
        // Unless it was part of the history.
        assert_written("Merci\n\n-----Original Message-----\nx\n---------- Forwarded message ---------\ny\n", "Merci");
    }

    #[test]
    fn a_text_that_is_all_history_counts_as_written() {
        for text in
            ["> only\n> this\n", "-- \nAnne\n", "-----Original Message-----\nFrom: x\n", "\n\n> x\n", "", "\n", "   "]
        {
            assert_eq!(split(text), ReplyText { written: text, quoted: "" });
        }
    }

    #[test]
    fn l_14_past_the_limit_nothing_is_searched() {
        let long = "text\n".repeat(LONGEST_SEARCHED / 5 + 10);
        let reply = format!("{long}> quote\n");
        assert_eq!(split(&reply).written, reply);
        let early = format!("Yes.\n\n-----Original Message-----\n{long}");
        assert_written(&early, "Yes.");
        let one_line = "é".repeat(LONGEST_SEARCHED);
        assert_eq!(split(&one_line).written, one_line);
    }

    #[test]
    fn b_19_hostile_quotes_take_no_time() {
        // Each would take minutes if the work grew with the square of the length.
        for piece in [
            ">",
            "> \n",
            "On Mon, 1 Jan 2026 at 10:32, a <b@c.example>\n",
            "On wrote:\n",
            "-- \n",
            "From: x\n",
            "##-",
            "a\n\n",
        ] {
            let text = piece.repeat(LONGEST_SEARCHED / piece.len());
            let reply = split(&text);
            assert_eq!(reply.written.len() + reply.quoted.len(), text.len());
        }
    }

    /// Lines that matter here, in any order.
    fn mail_text() -> impl Strategy<Value = String> {
        let line = proptest::sample::select(vec![
            "",
            "Hello",
            "> quote",
            ">> deeper",
            "-- ",
            "--",
            "Anne",
            "On 16 Nov 2026, at 10:32, S <s@v.example> wrote:",
            "On Monday 16 November 2026 at 10:32 somebody with a name",
            "<s@v.example> wrote:",
            "wrote:",
            "Le 16/11/2026 à 10:32, S a écrit :",
            "S a écrit :",
            "-----Original Message-----",
            "From: S",
            "Sent: Monday",
            "To: A",
            "Subject: x",
            "De : S",
            "Envoyé : lundi",
            "________________________",
            "-----",
            "Sent from my iPhone",
            "---------- Forwarded message ---------",
            "##- x -##",
            "\u{a0}",
            "é",
        ]);
        let ending = proptest::sample::select(vec!["\n", "\r\n"]);
        proptest::collection::vec((line, ending), 0..14)
            .prop_map(|lines| lines.into_iter().flat_map(|(line, ending)| [line, ending]).collect())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        #[test]
        fn nothing_is_lost_and_splitting_again_changes_nothing(text in mail_text()) {
            let reply = split(&text);
            prop_assert_eq!(format!("{}{}", reply.written, reply.quoted), text.clone());
            prop_assert_eq!(split(reply.written), ReplyText { written: reply.written, quoted: "" });
        }

        #[test]
        fn nothing_is_lost_of_any_text(text in "(?s).{0,200}") {
            let reply = split(&text);
            prop_assert_eq!(format!("{}{}", reply.written, reply.quoted), text.clone());
            prop_assert_eq!(split(reply.written), ReplyText { written: reply.written, quoted: "" });
        }
    }
}
