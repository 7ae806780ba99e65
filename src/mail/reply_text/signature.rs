//! A signature of ours that comes back among what somebody wrote, as from clients that mark no quotes. It is folded like what
//! else was quoted; the words around it stay.

use crate::html::{from_markdown, to_text};

/// A signature of one or two lines is looked for from this length of each on, taken together: "Kind regards" is anybody's, and
/// so is "Kind regards, Support".
const ONE_LINE: usize = 20;

/// Takes the first place where the whole of `signature`, which is Markdown, stands in `written`, line by line, quoted or not. Gives
/// what is left and what was taken; nothing when it is not there, or when nothing else is.
pub fn without_signature(written: &str, signature: &str) -> Option<(String, String)> {
    let lines: Vec<&str> = written.split_inclusive('\n').collect();
    let said: Vec<(usize, String)> =
        lines.iter().enumerate().map(|(at, line)| (at, folded(line))).filter(|(_, line)| !line.is_empty()).collect();
    // As it stands in the plain part of an answer, and as a client reads the page part.
    let (start, end) = [signature.to_owned(), to_text(&from_markdown(signature))].iter().find_map(|form| {
        let ours: Vec<String> = form.lines().map(folded).filter(|line| !line.is_empty()).collect();
        let characters: usize = ours.iter().map(|line| line.chars().count()).sum();
        let is_long = ours.len() > 2 || !ours.is_empty() && characters >= ONE_LINE * ours.len();
        if !is_long {
            return None;
        }
        let found = said.windows(ours.len()).find(|window| window.iter().map(|(_, line)| line).eq(&ours))?;
        Some((found.first()?.0, found.last()?.0))
    })?;
    let taken = lines[start..=end].concat();
    let left = [&lines[..start], &lines[end + 1..]].concat().concat();
    (!left.trim().is_empty()).then(|| (left.trim_end().to_owned(), taken.trim_end().to_owned()))
}

/// A line as it is compared: without the signs of a quote, its spaces joined.
fn folded(line: &str) -> String {
    let line = line.trim_start_matches(['>', ' ', '\t', '\u{a0}']);
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: &str = "**Assistance Garonne**\n+33 5 61 00 00 00\n\nwww.garonne.example";

    fn taken(written: &str, signature: &str) -> Option<(String, String)> {
        without_signature(written, signature)
    }

    #[test]
    fn a_signature_of_ours_is_no_words_of_theirs_however_it_comes_back() {
        for quote in ["", "> ", ">> ", "\t"] {
            for form in [OURS, "Assistance Garonne\n+33 5  61 00 00 00\nwww.garonne.example"] {
                let back: String = form.lines().map(|line| format!("{quote}{line}\r\n")).collect();
                let written = format!("Redémarrez-le.\r\n\r\nCamille\r\n{back}\r\nMerci, cela marche.\r\n");
                let (left, folded) = taken(&written, OURS).unwrap_or_else(|| panic!("{written}"));
                assert!(left.contains("Redémarrez-le.") && left.ends_with("Merci, cela marche."), "{left}");
                assert!(!left.contains("61 00 00 00") && folded.contains("61 00"), "{left} / {folded}");
            }
        }
    }

    #[test]
    fn what_only_resembles_it_stays() {
        for written in ["Merci.", "Appelez le +33 5 61 00 00 00.", "www.garonne.example ne répond pas.", ""] {
            assert_eq!(taken(written, OURS), None);
        }
        assert_eq!(taken("Bien à vous\nClaire", "Bien à vous"), None, "anybody says so");
        assert_eq!(taken(OURS, OURS), None, "nothing else was written");
        assert_eq!(taken("Merci.", ""), None);
    }
}
