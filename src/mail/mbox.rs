//! Mailboxes in one file: where each mail lies in it, and its bytes as they were before they were put there. A line
//! `From sender date` begins a mail, after an empty line or at the very beginning; what only begins with `From ` is text, and
//! a Content-Length is not believed, since programs that edit such files leave it as it was. Lines that were quoted by `>`
//! lose one (mboxrd; of mboxo the same, where nobody can know better).

use std::io::{self, BufRead};

use super::incoming;
use crate::clock::UtcTime;

/// What of a line is looked at: as much as a line of a mail may have (RFC 5322, 2.1.1).
const LINE_KEPT: usize = 998;

/// A mail in the file, with the line that begins it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    pub start: u64,
    /// The first byte after it.
    pub end: u64,
    pub about: About,
}

/// What the header of a kept mail says about its keeping.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// What the sender's clock said.
    pub date: Option<UtcTime>,
    /// Thrown away, and only still there because the file was not tidied up; or no mail but a note of the program.
    pub is_deleted: bool,
}

/// Reads the file through and hands over each mail as it is found, holding no more than a line. Gives whether it is such a
/// file at all: it begins with a mail.
pub fn scan(mut file: impl BufRead, mut each: impl FnMut(Entry)) -> io::Result<bool> {
    let mut open: Option<Entry> = None;
    let (mut at, mut after_empty, mut in_header) = (0_u64, true, false);
    loop {
        let (line, length) = next_line(&mut file)?;
        if length == 0 {
            break;
        }
        let is_empty = line.trim_ascii_end().is_empty() && length <= 2;
        if after_empty && is_from_line(&line) {
            if let Some(entry) = open.take() {
                each(Entry { end: at, ..entry });
            }
            open = Some(Entry { start: at, end: at, about: About::default() });
            in_header = true;
        } else if let Some(entry) = &mut open {
            in_header &= !is_empty;
            if in_header {
                entry.about.take(&line);
            }
        } else if !is_empty {
            return Ok(false);
        }
        after_empty = is_empty;
        at += length;
    }
    let is_one = open.is_some() || at == 0;
    if let Some(entry) = open {
        each(Entry { end: at, ..entry });
    }
    Ok(is_one)
}

impl About {
    /// Of a mail in a file of its own.
    pub fn of(mail: &[u8]) -> About {
        let mut about = About::default();
        for line in mail.split(|byte| *byte == b'\n').take_while(|line| !line.trim_ascii_end().is_empty()) {
            about.take(&line[..line.len().min(LINE_KEPT)]);
        }
        about
    }

    fn take(&mut self, line: &[u8]) {
        let Some(colon) = memchr::memchr(b':', line) else { return };
        let (name, value) = (&line[..colon], String::from_utf8_lossy(&line[colon + 1..]));
        let value = value.trim();
        if name.eq_ignore_ascii_case(b"date") {
            self.date = self.date.or_else(|| incoming::date(value));
        } else if name.eq_ignore_ascii_case(b"x-mozilla-status") {
            // Thunderbird: 0x0008 is what was deleted and not yet compacted.
            self.is_deleted |= u32::from_str_radix(value, 16).is_ok_and(|status| status & 0x8 != 0);
        } else if name.eq_ignore_ascii_case(b"x-status") {
            self.is_deleted |= value.contains('D');
        } else if name.eq_ignore_ascii_case(b"x-imap") {
            // The first entry of files by the c-client library, which tells of the folder.
            self.is_deleted = true;
        }
    }
}

/// The next line, as much of it as is looked at, and how long it is in all.
fn next_line(file: &mut impl BufRead) -> io::Result<(Vec<u8>, u64)> {
    let mut line = Vec::new();
    let mut length = 0;
    loop {
        let read = match file.fill_buf() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        if read.is_empty() {
            return Ok((line, length));
        }
        let end = memchr::memchr(b'\n', read).map(|end| end + 1);
        let piece = &read[..end.unwrap_or(read.len())];
        line.extend_from_slice(&piece[..piece.len().min(LINE_KEPT.saturating_sub(line.len()))]);
        let taken = piece.len();
        length += taken as u64;
        file.consume(taken);
        if end.is_some() {
            return Ok((line, length));
        }
    }
}

/// Whether a line is `From`, somebody, and a date as `asctime` writes it, with a time zone wherever programs put one.
fn is_from_line(line: &[u8]) -> bool {
    const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let Some(rest) = line.strip_prefix(b"From ") else { return false };
    let Ok(rest) = std::str::from_utf8(rest) else { return false };
    let words: Vec<&str> = rest.split_ascii_whitespace().collect();
    let Some(day) = words.iter().rposition(|word| DAYS.contains(word)) else { return false };
    let [_, month, of_month, time, rest @ ..] = &words[day..] else { return false };
    let is_number = |word: &str, digits: std::ops::RangeInclusive<usize>| {
        digits.contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_digit())
    };
    let is_time = time.len() <= 8 && time.split(':').count() >= 2 && time.split(':').all(|part| is_number(part, 1..=2));
    let years = rest.iter().filter(|word| is_number(word, 4..=4)).count();
    MONTHS.contains(month) && is_number(of_month, 1..=2) && is_time && years == 1 && rest.len() <= 3
}

/// The mail of an [`Entry`] as it was before it was put into the file: without the line that begins it, the empty line that
/// ends it, and one `>` of each line that was quoted.
pub fn restored(kept: &[u8]) -> Vec<u8> {
    let begin = memchr::memchr(b'\n', kept).map_or(kept.len(), |end| end + 1);
    let mail = &kept[begin..];
    let mail = match mail {
        [before @ .., b'\n', b'\r', b'\n'] => &mail[..before.len() + 1],
        [before @ .., b'\n', b'\n'] => &mail[..before.len() + 1],
        mail => mail,
    };
    let mut restored = Vec::with_capacity(mail.len());
    for line in mail.split_inclusive(|byte| *byte == b'\n') {
        let quotes = line.iter().take_while(|byte| **byte == b'>').count();
        let is_quoted = quotes > 0 && line[quotes..].starts_with(b"From ");
        restored.extend_from_slice(if is_quoted { &line[1..] } else { line });
    }
    restored
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(file: &[u8]) -> Option<Vec<Entry>> {
        let mut entries = Vec::new();
        // A small buffer, so that lines come in pieces.
        let is_one = scan(io::BufReader::with_capacity(7, file), |entry| entries.push(entry)).unwrap();
        is_one.then_some(entries)
    }

    fn mails(file: &[u8]) -> Vec<String> {
        let entries = entries(file).unwrap();
        let range = |entry: &Entry| entry.start as usize..entry.end as usize;
        entries.iter().map(|entry| String::from_utf8(restored(&file[range(entry)])).unwrap()).collect()
    }

    #[test]
    fn mails_are_found_and_come_back_as_they_were() {
        let file = b"From a@b.example Thu Jan  1 10:00:00 2026\nSubject: one\n\nHello\n>From here\n>>From there\n\n\
                     From - Fri Jan 02 10:00:00 2026\r\nSubject: two\r\n\r\nHello\r\n\r\n";
        assert_eq!(mails(file), ["Subject: one\n\nHello\nFrom here\n>From there\n", "Subject: two\r\n\r\nHello\r\n"]);
    }

    #[test]
    fn only_the_line_of_such_a_file_begins_a_mail() {
        for line in [
            "From a@b.example Thu Jan  1 10:00:00 2026",
            "From 1234567890@xxx Thu Jan 01 10:00:00 +0000 2026",
            "From ???@??? Thu Jan 01 10:00:00 2026",
            "From \"a b\"@c.example Thu Jan  1 10:00 2026",
            "From a@b.example Thu Jan  1 10:00:00 CET 2026",
            "From MAILER-DAEMON Thu Jan  1 10:00:00 2026 +0100",
            "From  Thu Jan  1 10:00:00 2026",
        ] {
            assert!(is_from_line(line.as_bytes()), "{line}");
        }
        for line in [
            "From now on we meet on Thu Jan 1",
            "From Monday on: Mon Jan 5 is free",
            "From a@b.example",
            "From: a@b.example Thu Jan  1 10:00:00 2026",
            "from a@b.example Thu Jan  1 10:00:00 2026",
            "From a Thu Jan  1 at noon 2026",
            "From a Thu Jan  1 10:00:00 2026 we were four people in 2025",
        ] {
            assert!(!is_from_line(line.as_bytes()), "{line}");
        }
        let file = b"From a Thu Jan  1 10:00:00 2026\n\nFirst\nFrom a Thu Jan  1 10:00:00 2026\n\nFrom now on\n";
        assert_eq!(mails(file).len(), 1, "without an empty line before it, it is text");
    }

    #[test]
    fn a_content_length_is_not_believed() {
        let file =
            b"From a Thu Jan  1 10:00:00 2026\nContent-Length: 9999\n\none\n\nFrom a Thu Jan  1 10:00:00 2026\n\ntwo\n";
        assert_eq!(mails(file).len(), 2);
    }

    #[test]
    fn what_was_thrown_away_is_known_and_the_date_is_read() {
        let file = b"From a Thu Jan  1 10:00:00 2026\nX-Mozilla-Status: 0009\nDate: Thu, 1 Jan 2026 10:00:00 +0000\n\n\
                     Date: none\n\nFrom a Thu Jan  1 10:00:00 2026\nX-Mozilla-Status: 0001\n\nx\n";
        let entries = entries(file).unwrap();
        assert!(entries[0].about.is_deleted && !entries[1].about.is_deleted);
        assert_eq!(entries[0].about.date, Some(UtcTime::from_seconds(1_767_261_600)));
        assert_eq!(entries[1].about.date, None);
    }

    #[test]
    fn other_files_are_none() {
        assert_eq!(entries(b"Subject: a mail\n\nFrom a Thu Jan  1 10:00:00 2026\n"), None);
        assert_eq!(entries(b"PK\x03\x04"), None);
        assert_eq!(entries(b""), Some(Vec::new()));
        let long = [b"From a Thu Jan  1 10:00:00 2026\n\n".as_slice(), &[b'x'; 100_000]].concat();
        assert_eq!(entries(&long).unwrap()[0].end, long.len() as u64);
    }
}
