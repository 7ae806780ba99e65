//! Words as the index keeps them: accents and case folded, then stemmed as French and as English, when a message is
//! written and when it is asked for, so that both databases hold the same tokens. A token is made of small ASCII letters
//! and digits and begins with a letter that says what it is, so that no database reads anything else into it.

use std::collections::HashMap;

use rust_stemmers::{Algorithm, Stemmer};
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use crate::search::Phrase;

/// A token that every document has.
pub(super) const EVERYWHERE: &str = "z";

/// Characters of a word that count; what is longer is no word but data.
const LONGEST_WORD: usize = 48;
/// Words of one stretch of a document: PostgreSQL counts positions up to 16 383, and each word stands there twice.
const STRETCH: usize = 7_500;
/// Stretches of one document; what lies beyond is not found (email.md allows texts of megabytes).
const STRETCHES: usize = 8;
/// Characters of a text shown around what was found.
const SHOWN: usize = 220;

/// What a token that is not stemmed says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    Author,
    Organisation,
    Tag,
}

impl Piece {
    fn letter(self) -> char {
        match self {
            Piece::Author => 'a',
            Piece::Organisation => 'o',
            Piece::Tag => 't',
        }
    }
}

/// The folded words of a text, in order.
pub(super) fn words(text: &str) -> Vec<String> {
    Words::of(text).map(|(_, _, word)| word).collect()
}

/// Folded words as phrases of the index: as French and as English.
pub(super) fn phrases(words: &[String]) -> Vec<Phrase> {
    let stemmers = Stemmers::new();
    let french = words.iter().map(|word| stemmers.french(word)).collect();
    let english = words.iter().map(|word| stemmers.english(word)).collect();
    vec![french, english]
}

/// Folded words as one phrase, unstemmed.
pub(super) fn plain(piece: Piece, words: &[String]) -> Phrase {
    words.iter().map(|word| token(piece.letter(), word)).collect()
}

/// One token for the whole of `text`, whatever stands in it.
pub(super) fn exact(piece: Piece, text: &str) -> String {
    token(piece.letter(), text)
}

/// A document as the database keeps it, in stretches: `head`, whose tokens are made by [`plain`] and [`exact`], then
/// the words of `texts`. Phrases do not reach from one text into the next.
pub(super) fn document(head: &[String], texts: &[&str]) -> Vec<String> {
    let stemmers = Stemmers::new();
    // People repeat themselves, and mails repeat each other.
    let mut stems: HashMap<String, (String, String)> = HashMap::new();
    let mut french: Vec<String> = Vec::new();
    let mut english: Vec<String> = Vec::new();
    for text in texts {
        if french.len() >= STRETCH * STRETCHES {
            break;
        }
        for (_, _, word) in Words::of(text).take(STRETCH * STRETCHES - french.len()) {
            let (as_french, as_english) = match stems.get(&word) {
                Some(known) => known,
                None => {
                    let both = (stemmers.french(&word), stemmers.english(&word));
                    stems.entry(word).or_insert(both)
                }
            };
            french.push(as_french.clone());
            english.push(as_english.clone());
        }
        french.push(EVERYWHERE.to_owned());
        english.push(EVERYWHERE.to_owned());
    }
    let mut stretches = Vec::new();
    for (french, english) in french.chunks(STRETCH).zip(english.chunks(STRETCH)) {
        let tokens = head.iter().chain(french).chain(english).map(String::as_str);
        stretches.push(tokens.chain([EVERYWHERE]).collect::<Vec<_>>().join(" "));
    }
    stretches
}

/// A piece of a text around what was found in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snippet {
    pub before: String,
    /// The word that was found; empty when it stands elsewhere than in the text.
    pub found: String,
    pub after: String,
}

/// The piece of `text` around the first word that one of the folded `wanted` finds, else its beginning.
pub(super) fn snippet(text: &str, wanted: &[String]) -> Snippet {
    let stemmers = Stemmers::new();
    let stems: Vec<(String, String)> =
        wanted.iter().map(|word| (stemmers.french(word), stemmers.english(word))).collect();
    let place = Words::of(text).find(|(_, _, word)| {
        stems.iter().any(|(french, english)| *french == stemmers.french(word) || *english == stemmers.english(word))
    });
    let (start, end) = place.map_or((0, 0), |(start, end, _)| (start, end));
    let begin = char_boundary_before(text, start, SHOWN / 3);
    let stop = char_boundary_after(text, end, SHOWN - SHOWN / 3);
    let mut before = one_line(&text[begin..start]);
    let mut after = one_line(&text[end..stop]);
    if begin > 0 {
        before.insert(0, '…');
    }
    if stop < text.len() {
        after.push('…');
    }
    Snippet { before, found: text[start..end].to_owned(), after }
}

fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for character in text.chars() {
        let character = if character.is_whitespace() || character.is_control() { ' ' } else { character };
        if !(character == ' ' && line.ends_with(' ')) {
            line.push(character);
        }
    }
    line
}

fn char_boundary_before(text: &str, from: usize, characters: usize) -> usize {
    text[..from].char_indices().rev().take(characters).last().map_or(from, |(place, _)| place)
}

fn char_boundary_after(text: &str, from: usize, characters: usize) -> usize {
    text[from..].char_indices().nth(characters).map_or(text.len(), |(place, _)| from + place)
}

struct Stemmers {
    french: Stemmer,
    english: Stemmer,
}

impl Stemmers {
    fn new() -> Stemmers {
        Stemmers { french: Stemmer::create(Algorithm::French), english: Stemmer::create(Algorithm::English) }
    }

    fn french(&self, word: &str) -> String {
        if is_stemmed(word) { token('f', &self.french.stem(word)) } else { token('f', word) }
    }

    fn english(&self, word: &str) -> String {
        if is_stemmed(word) { token('e', &self.english.stem(word)) } else { token('e', word) }
    }
}

/// Numbers, codes and words in other scripts stay as they are.
fn is_stemmed(word: &str) -> bool {
    word.len() > 2 && word.bytes().all(|byte| byte.is_ascii_lowercase())
}

/// The token of a word: what is not ASCII is spelled in numbers.
fn token(letter: char, word: &str) -> String {
    use std::fmt::Write;
    let mut token = String::with_capacity(word.len() + 1);
    token.push(letter);
    for character in word.chars() {
        match character {
            'a'..='z' | '0'..='9' => token.push(character),
            other => {
                let _ = write!(token, "q{:x}q", u32::from(other));
            }
        }
    }
    token
}

/// The words of a text with where each begins and ends, folded.
struct Words<'a> {
    text: &'a str,
    place: usize,
}

impl<'a> Words<'a> {
    fn of(text: &'a str) -> Words<'a> {
        Words { text, place: 0 }
    }
}

impl Iterator for Words<'_> {
    type Item = (usize, usize, String);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let rest = &self.text[self.place..];
            let start = self.place + rest.find(char::is_alphanumeric)?;
            let mut characters = self.text[start..].chars();
            let first = characters.next().unwrap_or_default();
            let length = if is_ideograph(first) {
                first.len_utf8()
            } else {
                self.text[start..]
                    .find(|c: char| is_ideograph(c) || !(c.is_alphanumeric() || is_combining_mark(c)))
                    .unwrap_or(self.text.len() - start)
            };
            self.place = start + length;
            let word = fold(&self.text[start..self.place]);
            if !word.is_empty() {
                return Some((start, self.place, word));
            }
        }
    }
}

/// Characters of scripts that put no spaces between words; each is a word by itself, and words are phrases.
fn is_ideograph(character: char) -> bool {
    matches!(u32::from(character),
        0x3040..=0x30FF | 0x3400..=0x4DBF | 0x4E00..=0x9FFF | 0xAC00..=0xD7AF | 0xF900..=0xFAFF | 0x20000..=0x3FFFF)
}

fn fold(word: &str) -> String {
    if word.is_ascii() {
        return word.bytes().take(LONGEST_WORD).map(|byte| char::from(byte.to_ascii_lowercase())).collect();
    }
    let mut folded = String::with_capacity(word.len());
    // A few characters grow when they are decomposed; four times as many are looked at as are kept.
    let decomposed = word.nfkd().take(LONGEST_WORD * 4).filter(|&c| !is_combining_mark(c)).flat_map(char::to_lowercase);
    for character in decomposed {
        match character {
            'œ' => folded.push_str("oe"),
            'æ' => folded.push_str("ae"),
            'ß' => folded.push_str("ss"),
            'ø' => folded.push('o'),
            'ł' => folded.push('l'),
            'đ' | 'ð' => folded.push('d'),
            'ı' => folded.push('i'),
            other if other.is_alphanumeric() => folded.push(other),
            // The stroke of ½, the dot that lower-casing İ leaves.
            _ => {}
        }
    }
    match folded.char_indices().nth(LONGEST_WORD) {
        Some((end, _)) => folded[..end].to_owned(),
        None => folded,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn french(word: &str) -> String {
        phrases(&words(word))[0].join(" ")
    }

    fn english(word: &str) -> String {
        phrases(&words(word))[1].join(" ")
    }

    #[test]
    fn accents_case_and_endings_do_not_matter() {
        for (one, other) in [
            ("Imprimantes", "imprimante"),
            ("PROBLÈMES", "probleme"),
            ("Problèmes", "proble\u{300}me"),
            ("factures", "Facture"),
            ("bloquée", "bloquee"),
            ("cœur", "COEUR"),
            ("ﬁchier", "fichiers"),
        ] {
            assert_eq!(french(one), french(other));
        }
        for (one, other) in [("Printers", "printer"), ("crashed", "crashes"), ("invoices", "Invoice")] {
            assert_eq!(english(one), english(other));
        }
    }

    #[test]
    fn apostrophes_hyphens_and_signs_part_words() {
        assert_eq!(
            words("L’imprimante d'Éva: ERR-0x80070005, v4.2 (bâtiment n°3)"),
            ["l", "imprimante", "d", "eva", "err", "0x80070005", "v4", "2", "batiment", "n", "3"]
        );
        assert_eq!(words("打印机 坏了"), ["打", "印", "机", "坏", "了"]);
        assert_eq!(words("ελληνικά"), ["ελληνικα"]);
        assert_eq!(words(&"x".repeat(500))[0].len(), LONGEST_WORD);
    }

    #[test]
    fn tokens_hold_nothing_but_small_letters_and_digits() {
        assert_eq!(french("坏"), "fq574fq");
        assert_eq!(exact(Piece::Tag, "crash-au-démarrage"), "tcrashq2dqauq2dqdqe9qmarrage");
    }

    #[test]
    fn a_snippet_shows_what_was_found_in_one_line() {
        let text = format!("{} Les imprimantes\ndu\tbâtiment B. {}", "avant ".repeat(50), "après ".repeat(100));
        let snippet = snippet(&text, &words("imprimante"));
        assert_eq!(snippet.found, "imprimantes");
        assert!(snippet.before.starts_with('…') && snippet.before.ends_with("Les "), "{snippet:?}");
        assert!(snippet.after.starts_with(" du bâtiment B. après") && snippet.after.ends_with('…'), "{snippet:?}");
        assert_eq!(super::snippet("Bonjour", &words("absent")).after, "Bonjour");
    }

    #[test]
    fn a_text_without_end_is_kept_in_stretches() {
        let long = "mot ".repeat(STRETCH * STRETCHES * 2);
        let document = document(&["tcrash".to_owned()], &["Sujet", &long]);
        assert_eq!(document.len(), STRETCHES + 1);
        assert!(document.iter().all(|stretch| stretch.starts_with("tcrash f") || stretch.starts_with("tcrash z")));
        assert!(document.iter().all(|stretch| stretch.split(' ').count() < 16_383));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn every_token_is_plain(text in ".{0,300}") {
            let found = words(&text);
            for token in phrases(&found).concat().iter().chain(&plain(Piece::Author, &found)) {
                prop_assert!(token.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()));
                prop_assert!(token.as_bytes()[0].is_ascii_lowercase());
            }
            let _ = snippet(&text, &found[..found.len().min(1)]);
        }
    }
}
