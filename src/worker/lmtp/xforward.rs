//! `XFORWARD`, by which Postfix tells from where it has the mail that it is about to hand over (XFORWARD_README of its
//! documentation). Of what it tells only the address, the greeting and whether the mail began on a machine of ours are of use.

use std::net::IpAddr;

use crate::mail::client::{Client, parse_address};

/// The attributes that the listener offers.
pub(super) const ATTRIBUTES: &str = "NAME ADDR PORT PROTO HELO IDENT SOURCE";
/// How the server says that it does not know.
const UNAVAILABLE: &str = "[UNAVAILABLE]";
/// Stands for a greeting that cannot be read, and is as little a name.
const UNREADABLE: &str = "[]";

/// What was told since the last mail. One command after another adds to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Forwarded {
    address: Option<IpAddr>,
    greeting: String,
    /// The mail was written on a machine of ours, whatever its address.
    is_local: bool,
}

/// Whether that line is the command.
pub(super) fn is_command(line: &[u8]) -> bool {
    const NAME: &[u8] = b"XFORWARD";
    line.get(..NAME.len()).is_some_and(|start| start.eq_ignore_ascii_case(NAME))
        && matches!(line.get(NAME.len()), Some(b' ' | b'\r' | b'\n'))
}

impl Forwarded {
    /// Adds what the command says. Nothing of a command that says anything odd counts, nor does what was told before it.
    pub(super) fn add(&mut self, line: &[u8]) -> bool {
        let told = std::mem::take(self);
        match told.with(line) {
            Some(more) => {
                *self = more;
                true
            }
            None => false,
        }
    }

    fn with(mut self, line: &[u8]) -> Option<Forwarded> {
        let line = std::str::from_utf8(line).ok()?;
        let mut words = line.split_ascii_whitespace().skip(1).peekable();
        words.peek()?;
        for word in words {
            let (name, value) = word.split_once('=')?;
            match name.to_ascii_uppercase().as_str() {
                "ADDR" => self.address = parse_address(&decoded(value)?)?,
                "HELO" if value.is_empty() => return None,
                // Whoever sends mail chooses it: one that cannot be read is known to be no name, and takes nothing else with it.
                "HELO" => {
                    self.greeting = match decoded(value) {
                        Some(greeting) if greeting.eq_ignore_ascii_case(UNAVAILABLE) => String::new(),
                        Some(greeting) => greeting,
                        None => UNREADABLE.to_owned(),
                    }
                }
                "SOURCE" => {
                    self.is_local = match decoded(value)?.to_ascii_uppercase().as_str() {
                        "LOCAL" => true,
                        "REMOTE" | UNAVAILABLE => false,
                        _ => return None,
                    }
                }
                "NAME" | "PORT" | "PROTO" | "IDENT" if !value.is_empty() => {}
                _ => return None,
            }
        }
        Some(self)
    }

    /// The machine that the mail came from, where it came from outside and that is known.
    pub(super) fn client(&self) -> Option<Client> {
        self.address.filter(|_| !self.is_local).and_then(|address| Client::new(address, &self.greeting))
    }
}

/// A value of xtext (RFC 3461, 4): `+` and two digits stand for a byte.
fn decoded(value: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let [first, after @ ..] = rest {
        rest = match (first, after) {
            (b'+', [high, low, after @ ..]) => {
                let digit = |digit: &u8| char::from(*digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
                bytes.push(digit(high)? << 4 | digit(low)?);
                after
            }
            (b'+', _) => return None,
            (byte, after) => {
                bytes.push(*byte);
                after
            }
        };
    }
    let text = String::from_utf8(bytes).ok()?;
    (!text.is_empty() && !text.chars().any(char::is_control)).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(lines: &[&str]) -> Option<(String, String)> {
        let mut forwarded = Forwarded::default();
        for line in lines {
            forwarded.add(format!("{line}\r\n").as_bytes());
        }
        forwarded.client().map(|client| (client.address().to_string(), client.name().to_owned()))
    }

    #[test]
    fn au_03_xforward_tells_the_address_and_the_greeting() {
        let acme = |address: &str| Some((address.to_owned(), "mail.acme.example".to_owned()));
        assert_eq!(
            told(&[
                "XFORWARD NAME=mail.acme.example ADDR=192.0.2.1 PORT=4711",
                "XFORWARD PROTO=ESMTP HELO=mail.acme.example IDENT=4F1A2 SOURCE=REMOTE"
            ]),
            acme("192.0.2.1")
        );
        assert_eq!(told(&["xforward addr=IPV6:2001:db8::25 helo=mail.acme.example"]), acme("2001:db8::25"));
        assert_eq!(told(&["XFORWARD ADDR=192.0.2.1 HELO=mail+2Eacme.example"]), acme("192.0.2.1"));
        let nameless = Some(("192.0.2.1".to_owned(), String::new()));
        assert_eq!(told(&["XFORWARD NAME=[UNAVAILABLE] ADDR=192.0.2.1 HELO=[UNAVAILABLE]"]), nameless);
        // The last one told counts.
        assert_eq!(told(&["XFORWARD ADDR=192.0.2.9", "XFORWARD ADDR=192.0.2.1"]), nameless);
    }

    #[test]
    fn au_03_what_is_not_known_local_or_odd_tells_nothing() {
        for lines in [
            &["XFORWARD ADDR=[UNAVAILABLE] HELO=mail.acme.example"][..],
            &["XFORWARD ADDR=192.0.2.1 SOURCE=LOCAL"],
            &["XFORWARD ADDR=127.0.0.1"],
            &["XFORWARD HELO=mail.acme.example"],
            &["XFORWARD"],
            &["XFORWARD ADDR"],
            &["XFORWARD ADDR="],
            &["XFORWARD ADDR=192.0.2.1 HELO="],
            &["XFORWARD ADDR=192.0.2.1 SHOE=44"],
            &["XFORWARD ADDR=192.0.2.1 SOURCE=MOON"],
            &["XFORWARD ADDR=mail.acme.example"],
            &["XFORWARD ADDR=192.0.2.1+4"],
            &["XFORWARD ADDR=192.0.2.1 NAME="],
            // What was told before something odd is no surer than it.
            &["XFORWARD ADDR=192.0.2.1", "XFORWARD HELO"],
        ] {
            assert_eq!(told(lines), None, "{lines:?}");
        }
    }

    /// Else a sender would rid the mail of the address that it comes from.
    #[test]
    fn au_03_a_greeting_that_cannot_be_read_is_no_name_and_hides_no_address() {
        let mut lines: Vec<String> = ["a+0D+0Ab", "a+4", "a+ZZ", "+FF", "[192.0.2.1]", "localhost", "+C3+28.example"]
            .map(|greeting| format!("XFORWARD ADDR=192.0.2.1 HELO={greeting}"))
            .into();
        lines.push("XFORWARD NAME=a+FF ADDR=192.0.2.1 IDENT=+4 HELO=+00".to_owned());
        for line in lines {
            let mut forwarded = Forwarded::default();
            assert!(forwarded.add(format!("{line}\r\n").as_bytes()), "{line}");
            let client = forwarded.client().unwrap();
            assert_eq!((client.address().to_string().as_str(), client.name()), ("192.0.2.1", ""), "{line}");
            assert!(client.greeted_uselessly(), "{line}");
        }
        let mut forwarded = Forwarded::default();
        forwarded.add(b"XFORWARD ADDR=192.0.2.1 HELO=[UNAVAILABLE]\r\n");
        assert!(!forwarded.client().unwrap().greeted_uselessly(), "the server does not tell");
    }

    #[test]
    fn only_that_command_is_that_command() {
        for (line, wanted) in
            [("XFORWARD\r\n", true), ("xForward A=b\r\n", true), ("XFORWARDS A=b\r\n", false), ("XFOR\r\n", false)]
        {
            assert_eq!(is_command(line.as_bytes()), wanted, "{line}");
        }
    }
}
