//! The pieces that a mail says, put together: one after the other where all of them are meant to be read, and the best of those
//! that say the same.

use std::borrow::Cow;

use crate::html;

/// A piece of the conversation: the same words as text, as HTML, or as both.
#[derive(Default)]
pub(super) struct Segment {
    pub text: Option<String>,
    pub html: Option<String>,
    /// The text with the files that were written into it, where there were any.
    pub text_as_it_came: Option<String>,
    /// It was taken out of a file.
    pub is_unpacked: bool,
}

impl Segment {
    pub fn says_something(&self) -> bool {
        let is_said = |words: &Option<String>| words.as_ref().is_some_and(|words| !words.trim().is_empty());
        is_said(&self.text) || is_said(&self.html)
    }

    /// Its letters and digits alone, to compare it by.
    pub fn letters(&self) -> String {
        let words = match (&self.text, &self.html) {
            (Some(text), _) if !text.trim().is_empty() => Cow::Borrowed(text.as_str()),
            (_, Some(html)) => Cow::Owned(html::to_text(html)),
            _ => Cow::Borrowed(""),
        };
        words.chars().filter(|c| c.is_alphanumeric()).collect()
    }

    /// Whether a reader sees words or a picture, and not just the frame of them.
    pub fn has_words(&self) -> bool {
        let is_seen = |html: &String| html.contains("<img") || !html::to_text(html).trim().is_empty();
        self.text.as_ref().is_some_and(|text| !text.trim().is_empty()) || self.html.as_ref().is_some_and(is_seen)
    }
}

/// The segments one after the other, as text and as HTML if one of them is; `text_of` gives the text of one.
pub(super) fn joined<'a>(
    segments: impl Iterator<Item = &'a Segment> + Clone,
    text_of: fn(&Segment) -> Option<&str>,
) -> (String, Option<String>) {
    let has_html = segments.clone().any(|segment| segment.html.is_some());
    let (mut joined_text, mut joined_html) = (String::new(), String::new());
    for segment in segments {
        let text = match (text_of(segment), &segment.html) {
            (Some(text), html) if !text.trim().is_empty() || html.is_none() => Cow::Borrowed(text),
            (_, Some(html)) => Cow::Owned(html::to_text(html)),
            _ => Cow::Borrowed(""),
        };
        if !text.trim().is_empty() {
            if !joined_text.is_empty() {
                joined_text.push_str(if joined_text.ends_with('\n') { "\n" } else { "\n\n" });
            }
            joined_text.push_str(&text);
        }
        match &segment.html {
            Some(html) => joined_html.push_str(html),
            None if has_html => joined_html.push_str(&html::from_text(&text)),
            None => {}
        }
    }
    (joined_text, has_html.then_some(joined_html))
}

/// What the segments said before anything was opened, as text and as HTML.
pub(super) fn as_it_came(segments: &[Segment]) -> (String, String) {
    let of_mail = segments.iter().filter(|segment| !segment.is_unpacked);
    let (text, html) = joined(of_mail, |segment| segment.text_as_it_came.as_deref().or(segment.text.as_deref()));
    (text, html.filter(|html| html::guard::exceeded(html).is_none()).unwrap_or_default())
}

/// The alternatives as one: the first that has text, and the last that has HTML, as the richest comes last. Then the others,
/// by their media type, that say what neither of these does.
pub(super) fn best_of(alternatives: Vec<Vec<Segment>>) -> (Segment, Vec<(&'static str, String)>) {
    let mut best = Segment::default();
    let mut others = Vec::new();
    for segments in alternatives {
        let mut all = Segment::default();
        let (mut text, mut html, mut text_as_it_came) = (String::new(), String::new(), String::new());
        for segment in segments {
            let one = segment.text.unwrap_or_default();
            text_as_it_came.push_str(segment.text_as_it_came.as_deref().unwrap_or(&one));
            all.is_unpacked |= segment.is_unpacked;
            text.push_str(&one);
            html.push_str(&segment.html.unwrap_or_default());
        }
        if !text.trim().is_empty() {
            if best.text.is_none() {
                best.text_as_it_came = (text_as_it_came != text).then_some(text_as_it_came);
                best.text = Some(text);
                best.is_unpacked |= all.is_unpacked;
            } else {
                others.push(("text/plain", text));
            }
        }
        if !html.trim().is_empty() {
            best.is_unpacked |= all.is_unpacked;
            others.extend(best.html.replace(html).map(|html| ("text/html", html)));
        }
    }
    let letters = |text: &str| -> String { text.chars().filter(|c| c.is_alphanumeric()).collect() };
    let of_text = letters(best.text.as_deref().unwrap_or_default());
    let of_html = letters(&html::to_text(best.html.as_deref().unwrap_or_default()));
    others.retain(|(media_type, words)| {
        let said = if *media_type == "text/html" { letters(&html::to_text(words)) } else { letters(words) };
        !of_text.contains(&said) && !of_html.contains(&said)
    });
    (best, others)
}
