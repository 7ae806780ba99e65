//! The bytes after DATA: where they end, and what they are without the dots that were put in for the way. Only
//! `\r\n.\r\n` ends them; whatever else looks like an end is content, so that no mail hides in another (S-09).

/// The longest line that is taken (S-03).
const LINE_BYTES: usize = 64 * 1024;

/// Why the content will not be taken; it is read to its end all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Over the limit for mails (L-01).
    TooLarge,
    /// A line over the limit for lines (S-03).
    LineTooLong,
    /// No memory for it now.
    NoRoom,
}

/// Collects the content of one mail.
#[derive(Debug)]
pub struct DataReader {
    place: Place,
    content: Vec<u8>,
    limit: usize,
    line_bytes: usize,
    /// All bytes seen, taken or not.
    seen: usize,
    refusal: Option<Refusal>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// After `\r\n`, or at the very beginning.
    LineStart,
    Text,
    /// After `\r`.
    Return,
    /// After a dot at the start of a line.
    Dot,
    /// After a dot at the start of a line and `\r`.
    DotReturn,
}

impl DataReader {
    /// For a mail of at most `limit` bytes.
    pub fn new(limit: usize) -> DataReader {
        DataReader { place: Place::LineStart, content: Vec::new(), limit, line_bytes: 0, seen: 0, refusal: None }
    }

    /// Reads on. Gives how many of the bytes belong to the mail once its end is among them.
    pub fn feed(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut index = 0;
        while let Some(&byte) = bytes.get(index) {
            let within_line = self.place == Place::Text || (self.place == Place::LineStart && byte != b'.');
            let run = if within_line { length_without_ends(&bytes[index..]) } else { 0 };
            if run > 0 {
                self.take_run(&bytes[index..index + run]);
                self.place = Place::Text;
                index += run;
                continue;
            }
            index += 1;
            self.seen += 1;
            match (self.place, byte) {
                (Place::DotReturn, b'\n') => return Some(index),
                (Place::LineStart, b'.') => {
                    self.place = Place::Dot;
                    continue;
                }
                (Place::Dot, b'\r') => {
                    self.place = Place::DotReturn;
                    continue;
                }
                // It was no end: the dot was put in for the way, the rest is content.
                (Place::DotReturn, _) => self.take(b'\r'),
                _ => {}
            }
            let after_return = matches!(self.place, Place::Return | Place::DotReturn);
            self.take(byte);
            self.place = match byte {
                b'\r' => Place::Return,
                b'\n' if after_return => Place::LineStart,
                _ => Place::Text,
            };
        }
        None
    }

    /// Takes bytes among which no line ends, all at once.
    fn take_run(&mut self, run: &[u8]) {
        self.seen += run.len();
        self.line_bytes += run.len();
        if self.refusal.is_some() {
            return;
        }
        if self.line_bytes > LINE_BYTES {
            self.refuse(Refusal::LineTooLong);
        } else if self.content.len() + run.len() > self.limit {
            self.refuse(Refusal::TooLarge);
        } else {
            self.content.extend_from_slice(run);
        }
    }

    fn take(&mut self, byte: u8) {
        self.line_bytes = if byte == b'\n' { 0 } else { self.line_bytes + 1 };
        if self.refusal.is_some() {
            return;
        }
        if self.content.len() >= self.limit {
            self.refuse(Refusal::TooLarge);
        } else if self.line_bytes > LINE_BYTES {
            self.refuse(Refusal::LineTooLong);
        } else {
            self.content.push(byte);
        }
    }

    /// Takes no more, and lets go of what was taken.
    pub fn refuse(&mut self, refusal: Refusal) {
        self.refusal.get_or_insert(refusal);
        self.content = Vec::new();
    }

    /// Whether the content will not be taken.
    pub fn is_refused(&self) -> bool {
        self.refusal.is_some()
    }

    /// How much is held in memory.
    pub fn held(&self) -> usize {
        self.content.len()
    }

    /// How much came in so far.
    pub fn seen(&self) -> usize {
        self.seen
    }

    /// The content, or why it is not taken.
    pub fn finish(self) -> Result<Vec<u8>, Refusal> {
        match self.refusal {
            Some(refusal) => Err(refusal),
            None => Ok(self.content),
        }
    }
}

fn length_without_ends(bytes: &[u8]) -> usize {
    memchr::memchr2(b'\r', b'\n', bytes).unwrap_or(bytes.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(bytes: &[u8]) -> (Option<usize>, Result<Vec<u8>, Refusal>) {
        let mut reader = DataReader::new(1 << 20);
        let end = reader.feed(bytes);
        (end, reader.finish())
    }

    #[test]
    fn a_mail_ends_at_a_dot_alone_on_its_line_and_loses_the_dots_of_the_way() {
        let bytes = b"a\r\n..b\r\n.c\r\n.\r\nnext";
        let (end, content) = read(bytes);
        assert_eq!(end, Some(bytes.len() - 4));
        assert_eq!(content.unwrap(), b"a\r\n.b\r\nc\r\n");
        assert_eq!(read(b".\r\n").0, Some(3), "an empty mail");
    }

    #[test]
    fn s_09_nothing_else_ends_a_mail() {
        for false_end in [
            &b"\n.\n"[..],
            b"\n.\r\n",
            b"\r\n.\n",
            b"\r.\r",
            b"\r\n.\r",
            b"\n.\r",
            b"\r\n.\r\r\n",
            b"\r\n\0.\r\n",
            b"\r\n.\0\r\n",
            b"\r\n.\r\0\n",
            b"\r\n. \r\n",
            b"\r.\r\n",
            b"\r\r.\r\r",
        ] {
            let mut bytes = b"first".to_vec();
            bytes.extend_from_slice(false_end);
            bytes.extend_from_slice(b"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nsmuggled");
            assert_eq!(read(&bytes).0, None, "{:?}", String::from_utf8_lossy(false_end));
            bytes.extend_from_slice(b"\r\n.\r\n");
            let (end, content) = read(&bytes);
            assert_eq!(end, Some(bytes.len()));
            assert!(content.unwrap().ends_with(b"smuggled\r\n"));
        }
    }

    #[test]
    fn s_03_limits_are_noticed_and_the_mail_is_still_read_to_its_end() {
        let mut reader = DataReader::new(10);
        assert_eq!(reader.feed(b"0123456789\r\n.\r\n"), Some(15));
        assert_eq!(reader.finish(), Err(Refusal::TooLarge));
        let mut bytes = vec![b'x'; LINE_BYTES + 1];
        bytes.extend_from_slice(b"\r\n.\r\n");
        let (end, content) = read(&bytes);
        assert_eq!((end, content), (Some(bytes.len()), Err(Refusal::LineTooLong)));
    }

    proptest! {
        #[test]
        fn what_is_stuffed_comes_back_however_it_is_cut_into_pieces(
            lines in prop::collection::vec("[.a\\n\\r]{0,6}", 0..8),
            cuts in prop::collection::vec(1_usize..5, 1..40),
        ) {
            let mut content = lines.join("\r\n").into_bytes();
            content.extend_from_slice(b"\r\n");
            let mut sent = Vec::new();
            let mut at_start = true;
            for (index, byte) in content.iter().enumerate() {
                if at_start && *byte == b'.' {
                    sent.push(b'.');
                }
                sent.push(*byte);
                at_start = *byte == b'\n' && index > 0 && content[index - 1] == b'\r';
            }
            sent.extend_from_slice(b".\r\n");
            let mut reader = DataReader::new(1 << 20);
            let mut rest = sent.as_slice();
            let mut cuts = cuts.iter().cycle();
            let mut ended = false;
            while !rest.is_empty() && !ended {
                let (piece, after) = rest.split_at(rest.len().min(*cuts.next().unwrap()));
                if let Some(used) = reader.feed(piece) {
                    prop_assert_eq!(used, piece.len());
                    prop_assert!(after.is_empty());
                    ended = true;
                }
                rest = after;
            }
            prop_assert!(ended);
            prop_assert_eq!(reader.finish().unwrap(), content);
        }
    }
}
