//! Stands between the server and the library that reads it. The library makes room for whatever length is announced, up to
//! half a gigabyte; here a length that nobody asked for ends the connection before it is read (S-06), and so do more bytes
//! than a command's answer may have, lines without an end, and lists in lists: the library goes down into them by calling
//! itself, and the stack has an end.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The longest line, without literals.
const LONGEST_LINE: usize = 64 * 1024;
/// More parentheses than any answer to us has in a line; a hundred lists in one another are too many for the stack. They are counted wherever they stand but in literals, and none is
/// taken off for one that closes: so nothing depends on what the parser takes for a quoted string.
const PARENTHESES: usize = 16;
/// As much of a line's beginning is looked at; `* 4294967295 FETCH ` has nineteen.
const HEAD: usize = 24;
/// As much of its end: `{`, twenty digits, `+}` and the line's end.
const TAIL: usize = 26;

/// What the answer to a command may have.
#[derive(Clone, Copy, Debug)]
pub struct Allowance {
    /// All of it, in bytes.
    pub bytes: usize,
    /// The length of a mail in it; none is to be there otherwise.
    pub literal: Option<usize>,
}

/// How a server went past it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breach {
    TooMuch,
    Literal,
    Line,
    Nested,
}

impl Breach {
    pub fn words(self) -> &'static str {
        match self {
            Breach::TooMuch => "it sent more than it was asked for",
            Breach::Literal => "it announced more than it was asked for",
            Breach::Line => "it sent a line without an end",
            Breach::Nested => "it sent a line with too many lists in it",
        }
    }
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words())
    }
}

impl std::error::Error for Breach {}

/// A connection that is looked after.
#[derive(Debug)]
pub struct Guarded<S> {
    stream: S,
    left: usize,
    read: Arc<AtomicUsize>,
    scanner: Scanner,
}

impl<S> Guarded<S> {
    /// Nothing may come until it is asked for.
    pub fn new(stream: S) -> Guarded<S> {
        Guarded { stream, left: 0, read: Arc::default(), scanner: Scanner::default() }
    }

    /// How many bytes came so far; it goes on counting.
    pub fn read_so_far(&self) -> Arc<AtomicUsize> {
        self.read.clone()
    }

    /// From here on so much may come.
    pub fn allow(&mut self, allowance: Allowance) {
        self.left = allowance.bytes;
        self.scanner.allowed = allowance.literal;
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
        let read = &buf.filled()[before..];
        let outcome = if read.len() > this.left { Err(Breach::TooMuch) } else { this.scanner.scan(read) };
        this.left = this.left.saturating_sub(read.len());
        this.read.fetch_add(read.len(), Ordering::Relaxed);
        Poll::Ready(outcome.map_err(io::Error::other))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Follows lines and literals. It and the library's parser must agree on what is a literal, or a length could hide from it:
/// so one is let through only where nothing else can be meant, which is in a line of a FETCH without quotes.
#[derive(Debug, Default)]
struct Scanner {
    allowed: Option<usize>,
    /// What is still to come of a literal.
    literal: usize,
    head: Vec<u8>,
    tail: Vec<u8>,
    length: usize,
    parentheses: usize,
    has_quote: bool,
}

impl Scanner {
    fn scan(&mut self, mut bytes: &[u8]) -> Result<(), Breach> {
        while !bytes.is_empty() {
            if self.literal > 0 {
                let skipped = self.literal.min(bytes.len());
                self.literal -= skipped;
                bytes = &bytes[skipped..];
                continue;
            }
            let end = memchr::memchr(b'\n', bytes).map(|at| at + 1);
            let (piece, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
            self.note(piece);
            bytes = rest;
            if self.length > LONGEST_LINE {
                return Err(Breach::Line);
            }
            if self.parentheses > PARENTHESES {
                return Err(Breach::Nested);
            }
            if end.is_some() {
                match announced(&self.tail) {
                    None => self.begin_line(),
                    Some(length) => self.literal = self.admit(length)?,
                }
            }
        }
        Ok(())
    }

    fn note(&mut self, piece: &[u8]) {
        let wanted = HEAD.saturating_sub(self.head.len()).min(piece.len());
        self.head.extend_from_slice(&piece[..wanted]);
        self.tail.extend_from_slice(&piece[piece.len().saturating_sub(TAIL)..]);
        let excess = self.tail.len().saturating_sub(TAIL);
        self.tail.drain(..excess);
        self.length += piece.len();
        self.parentheses += memchr::memchr_iter(b'(', piece).count();
        self.has_quote |= memchr::memchr(b'"', piece).is_some();
    }

    fn begin_line(&mut self) {
        self.head.clear();
        self.tail.clear();
        (self.length, self.parentheses, self.has_quote) = (0, 0, false);
    }

    /// The line goes on after the literal.
    fn admit(&mut self, length: Option<usize>) -> Result<usize, Breach> {
        self.tail.clear();
        match (length, self.allowed) {
            (Some(length), Some(most)) if length <= most && !self.has_quote && is_fetch(&self.head) => Ok(length),
            _ => Err(Breach::Literal),
        }
    }
}

/// Whether a line ends by announcing a literal, and of which length; that may be none that there is a number for.
fn announced(tail: &[u8]) -> Option<Option<usize>> {
    let line = tail.strip_suffix(b"\n")?;
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let inner = line.strip_suffix(b"}")?;
    let inner = inner.strip_suffix(b"+").unwrap_or(inner);
    let digits = inner.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let (before, number) = inner.split_at(inner.len() - digits);
    if digits == 0 || !(before.is_empty() || before.ends_with(b"{")) {
        return None;
    }
    // Without its brace among what is kept of the line it is longer than any number.
    let number = std::str::from_utf8(number).ok().filter(|_| !before.is_empty());
    Some(number.and_then(|number| number.parse().ok()))
}

fn is_fetch(head: &[u8]) -> bool {
    let Some(rest) = head.strip_prefix(b"* ") else { return false };
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    (1..=10).contains(&digits) && rest[digits..].get(..7).is_some_and(|word| word.eq_ignore_ascii_case(b" FETCH "))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn scan(text: &str, allowed: Option<usize>) -> Result<(), Breach> {
        let mut scanner = Scanner { allowed, ..Scanner::default() };
        scanner.scan(text.as_bytes())
    }

    #[test]
    fn s_06_a_literal_is_let_through_where_it_was_asked_for_and_no_longer_than_asked() {
        let mail = "* 1 FETCH (UID 7 BODY[] {5}\r\nhello)\r\na1 OK done\r\n";
        assert_eq!(scan(mail, Some(5)), Ok(()));
        assert_eq!(scan(mail, Some(4)), Err(Breach::Literal));
        assert_eq!(scan(mail, None), Err(Breach::Literal));
        // What stands in a mail is no announcement.
        assert_eq!(scan("* 1 FETCH (BODY[] {22}\r\nx {99999999999}\r\nabcd)\r\n", Some(22)), Ok(()));
    }

    #[test]
    fn s_06_an_announcement_cannot_hide() {
        for hidden in [
            "* OK hello {5}\r\n",
            "a1 NO hello {5}\r\n",
            "+ go on {5}\r\n",
            "* LIST () \"/\" {5}\r\n",
            "* 1 FETCH (BODY[] {4294967296}\r\n",
            "* 1 FETCH (BODY[] {99999999999999999999999999}\r\n",
            "* 1 FETCH (BODY[] {99999999999999999999999999999999999999999999}\r\n",
            "* 1 FETCH (INTERNALDATE \"x\" BODY[] {5}\r\n",
            "* 99999999999 FETCH (BODY[] {5}\r\n",
            "* 1 FETCHED (BODY[] {5}\r\n",
            "* 1 FETCH (BODY[] {5}\n",
        ] {
            let allowed = if hidden.ends_with("}\n") { Some(4) } else { Some(100) };
            assert_eq!(scan(hidden, allowed), Err(Breach::Literal), "{hidden}");
        }
        for harmless in ["* OK {5} hello\r\n", "* OK {}\r\n", "* OK {x5}\r\n", "* OK 5}\r\n"] {
            assert_eq!(scan(harmless, None), Ok(()), "{harmless}");
        }
    }

    #[test]
    fn s_06_a_line_has_an_end() {
        assert_eq!(scan(&"x".repeat(LONGEST_LINE + 1), None), Err(Breach::Line));
    }

    #[test]
    fn s_06_lists_in_lists_have_an_end() {
        let nested = |count| format!("* 1 FETCH (BODYSTRUCTURE {}", "(".repeat(count - 1));
        assert_eq!(scan(&nested(PARENTHESES), None), Ok(()));
        assert_eq!(scan(&nested(PARENTHESES + 1), None), Err(Breach::Nested));
        // Neither does what closes in a string make room for another, nor does the next line begin where this one ended.
        assert_eq!(scan(&"(\")\" ".repeat(PARENTHESES + 1), None), Err(Breach::Nested));
        assert_eq!(scan(&"* 1 FETCH (UID 7)\r\n".repeat(PARENTHESES + 1), None), Ok(()));
        let mail = format!("* 1 FETCH (UID 7 BODY[] {{500}}\r\n{})\r\n", "(".repeat(500));
        assert_eq!(scan(&mail, Some(500)), Ok(()));
    }

    proptest! {
        #[test]
        fn s_06_it_makes_no_difference_how_the_bytes_arrive(cuts in prop::collection::vec(1_usize..9, 1..40), length in 0_usize..12) {
            let body = &"{9}\r\n\"{77}\r\nxx"[..length];
            let text = format!("* 12 FETCH (UID 7 BODY[] {{{length}}}\r\n{body} FLAGS ())\r\n* OK x\r\na1 OK x\r\n");
            for allowed in [Some(length), length.checked_sub(1)] {
                let whole = scan(&text, allowed);
                let mut scanner = Scanner { allowed, ..Scanner::default() };
                let (mut rest, mut outcome) = (text.as_bytes(), Ok(()));
                let mut sizes = cuts.iter().cycle();
                while !rest.is_empty() && outcome.is_ok() {
                    let (piece, after) = rest.split_at(rest.len().min(*sizes.next().unwrap()));
                    outcome = scanner.scan(piece);
                    rest = after;
                }
                prop_assert_eq!(outcome, whole);
            }
        }
    }
}
