//! Addresses without the values of their queries: what was asked for stays visible, what was searched for does not.

/// Names of parameters longer than this are values themselves.
const NAME_LENGTH: usize = 40;

/// `text` with the values after a question mark or a hash of an address masked, and how many there were.
pub fn mask(text: &str) -> Option<(String, u64)> {
    let ends_word = |character: char| character.is_whitespace() || matches!(character, '"' | '\'' | '<' | '>' | '`');
    let mut kept = String::with_capacity(text.len());
    let mut count = 0;
    for word in text.split_inclusive(ends_word) {
        let length = word.len() - word.chars().next_back().filter(|&last| ends_word(last)).map_or(0, char::len_utf8);
        let (word, end) = word.split_at(length);
        let is_address = word.contains("://") || word.starts_with('/');
        let at = if is_address { word.find(['?', '#', '&', ';']) } else { word.find(['?', '&']) };
        match at.filter(|_| is_address || word.contains('=')) {
            Some(at) => {
                // What has no address before it is the body of a form, from its first letter on.
                let at = if is_address || word[at..].starts_with('?') { at } else { 0 };
                kept.push_str(&word[..at]);
                count += mask_parameters(&word[at..], &mut kept);
            }
            None => kept.push_str(word),
        }
        kept.push_str(end);
    }
    (count > 0).then_some((kept, count))
}

fn mask_parameters(query: &str, kept: &mut String) -> u64 {
    let mut count = 0;
    for part in query.split_inclusive(['?', '#', '&', ';']) {
        let (part, separator) = match part.char_indices().next_back() {
            Some((at, '?' | '#' | '&' | ';')) => part.split_at(at),
            _ => (part, ""),
        };
        let name = part.split_once('=').map(|(name, _)| name).filter(|name| is_name(name));
        match name {
            Some(name) if part.len() == name.len() + 1 => kept.push_str(part),
            Some(name) => {
                kept.push_str(name);
                kept.push_str("=[query]");
                count += 1;
            }
            None if part.is_empty() => {}
            None => {
                kept.push_str("[query]");
                count += 1;
            }
        }
        kept.push_str(separator);
    }
    count
}

fn is_name(text: &str) -> bool {
    text.len() <= NAME_LENGTH && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-[]".contains(&byte))
}
