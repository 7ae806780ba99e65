//! Files that old programs write into the text of a mail, between `begin 644 name` and `end` (uuencode, POSIX.1-2017).
//! Only what is well formed to its end is taken out of the text; all else stays text, so that nothing disappears. Every
//! line is looked at once (B-13).

/// What was found in a text.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// The text without the files.
    pub(super) text: Vec<u8>,
    /// Names and contents, in their order.
    pub(super) files: Vec<(String, Vec<u8>)>,
    /// There were more files than were taken.
    pub(super) is_cut: bool,
}

/// Takes up to `limit` files out of `bytes`; none if there are none to take.
pub(super) fn take_out(bytes: &[u8], limit: usize) -> Option<Found> {
    let mut lines = Lines { bytes, at: 0 };
    let mut found = Found::default();
    let mut kept_to = 0;
    while let Some((start, line)) = lines.next() {
        let Some(name) = name_of(line) else { continue };
        let Some(file) = content(&mut lines) else { continue };
        if found.files.len() >= limit {
            found.is_cut = true;
            break;
        }
        found.text.extend_from_slice(&bytes[kept_to..start]);
        kept_to = lines.at;
        found.files.push((name, file));
    }
    if found.files.is_empty() {
        return None;
    }
    found.text.extend_from_slice(&bytes[kept_to..]);
    Some(found)
}

/// The lines of a text, without their ends.
struct Lines<'a> {
    bytes: &'a [u8],
    /// Where the next line begins.
    at: usize,
}

impl<'a> Lines<'a> {
    fn next(&mut self) -> Option<(usize, &'a [u8])> {
        let line = self.peek()?;
        let start = self.at;
        self.at += line.len();
        Some((start, line.trim_ascii_end()))
    }

    /// The next line with its end.
    fn peek(&self) -> Option<&'a [u8]> {
        let rest = &self.bytes[self.at..];
        let end = memchr::memchr(b'\n', rest).map_or(rest.len(), |end| end + 1);
        (end > 0).then(|| &rest[..end])
    }
}

/// The name in a line such as `begin 644 report.txt`.
fn name_of(line: &[u8]) -> Option<String> {
    let rest = line.strip_prefix(b"begin ")?;
    let (mode, name) = rest.split_at(rest.iter().position(|byte| *byte == b' ')?);
    let is_mode = matches!(mode.len(), 3 | 4) && mode.iter().all(|digit| matches!(digit, b'0'..=b'7'));
    let name = String::from_utf8_lossy(name.trim_ascii()).into_owned();
    (is_mode && !name.is_empty()).then_some(name)
}

/// The bytes of the lines up to `end`. When they are not well formed, the next line is the one that is not: it alone can
/// begin another file, so no line is read twice.
fn content(lines: &mut Lines<'_>) -> Option<Vec<u8>> {
    let mut content = Vec::new();
    loop {
        let line = lines.peek()?.trim_ascii_end();
        if line == b"end" && !content.is_empty() {
            lines.next();
            return Some(content);
        }
        if !decode_line(line, &mut content) {
            return None;
        }
        lines.next();
    }
}

/// Decodes one line; `false` if it is none. An empty one, or one of length zero, comes before the end.
fn decode_line(line: &[u8], content: &mut Vec<u8>) -> bool {
    const LONGEST: usize = 45;
    let Some((length, digits)) = line.split_first() else { return true };
    if !matches!(length, b' '..=b'`') || !digits.iter().all(|digit| matches!(digit, b' '..=b'`')) {
        return false;
    }
    let length = usize::from((length - b' ') & 63);
    // Some programs add a check digit, and mail servers take spaces off the end.
    if length > LONGEST || digits.len() > length.div_ceil(3) * 4 + 2 || (length > 0 && digits.len() * 3 < length) {
        return false;
    }
    let end = content.len() + length;
    for four in digits.chunks(4) {
        let digit = |at: usize| u32::from(four.get(at).map_or(0, |digit| (digit - b' ') & 63));
        let bits = digit(0) << 18 | digit(1) << 12 | digit(2) << 6 | digit(3);
        content.extend(bits.to_be_bytes().into_iter().skip(1));
    }
    content.resize(end, 0);
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAT: &[u8] = b"Hello\nbegin 644 cat.txt\n#0V%T\n`\nend\nBye\n";

    #[test]
    fn b_13_a_file_in_the_text_is_taken_out_of_it() {
        let found = take_out(CAT, 10).unwrap();
        assert_eq!(found.text, b"Hello\nBye\n");
        assert_eq!(found.files, [("cat.txt".to_owned(), b"Cat".to_vec())]);
        let windows = String::from_utf8(CAT.to_vec()).unwrap().replace('\n', "\r\n");
        assert_eq!(take_out(windows.as_bytes(), 10).unwrap().files[0].1, b"Cat");
    }

    #[test]
    fn b_13_what_is_no_whole_file_stays_text() {
        for text in [
            "begin 644 cat.txt\n#0V%T\n`\n",
            "begin 644 cat.txt\nend\n",
            "begin 644 cat.txt\nbecause of it\n`\nend\n",
            "begin the day\n#0V%T\nend\n",
            "begin 999 cat.txt\n#0V%T\nend\n",
            "> begin 644 cat.txt\n> #0V%T\n> end\n",
        ] {
            assert_eq!(take_out(text.as_bytes(), 10), None, "{text}");
        }
    }

    #[test]
    fn b_13_no_more_files_are_taken_than_the_limit() {
        let found = take_out(&CAT.repeat(5), 3).unwrap();
        assert_eq!((found.files.len(), found.is_cut), (3, true));
        assert!(found.text.ends_with(b"begin 644 cat.txt\n#0V%T\n`\nend\nBye\n"));
    }

    #[test]
    fn b_13_25_megabytes_take_no_time() {
        let line = [b"M".as_slice(), &[b'0'; 60], b"\n"].concat();
        let lines = line.repeat((25 << 20) / line.len());
        let whole = [b"begin 644 a\n".as_slice(), &lines, b"`\nend\n"].concat();
        assert_eq!(take_out(&whole, 10).unwrap().files[0].1.len(), lines.len() / 62 * 45);
        // Without an end, and with a thousand beginnings: each line is looked at once all the same.
        let broken = [b"begin 644 a\n".as_slice(), &line.repeat(400)].concat().repeat(1_000);
        assert_eq!(take_out(&broken, 10), None);
    }
}
