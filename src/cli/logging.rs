//! What the program says of itself on standard error, as text or JSON, without personal data. One event is one line:
//! whatever stands in a value, nothing of it reaches a terminal or a log file as a command (G-01). The layer that captures
//! for those who agreed stands beside it, and nothing it opens is said here.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};

use tracing::Subscriber;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

use crate::clock::Clock;
use crate::config::LogConfig;
use crate::diagnostics::capture::Capture;
use crate::diagnostics::catalogue::Catalogue;

/// Sets up the console log, once per process.
pub fn start(config: &LogConfig) {
    let has_colours = !config.json && io::stderr().is_terminal();
    let console = layer(config, has_colours, io::stderr);
    let capture = Capture::start(Catalogue::own(), LevelFilter::from_level(config.level), Clock::system());
    // Fails only when it was set up before, which is as good. Added last, the capture is asked first.
    drop(tracing_subscriber::registry().with(console).with(capture.layer()).try_init());
}

fn layer<S, W>(config: &LogConfig, has_colours: bool, writer: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let shown = shown(LevelFilter::from_level(config.level));
    let writer = OneLine { has_colours, writer };
    // A log without room is a line less. Told of on standard error, which is the log, it would be a panic (FT-04).
    if config.json {
        fmt::layer().log_internal_errors(false).json().with_writer(writer).with_filter(shown).boxed()
    } else {
        fmt::layer().log_internal_errors(false).with_ansi(has_colours).with_writer(writer).with_filter(shown).boxed()
    }
}

/// What is shown at this level. The reader of HTTP requests calls it an error when a stranger sends what is none, which
/// anybody can do as often as they like; that is told to who looks closer. A failure of ours is told where it happens.
fn shown(level: LevelFilter) -> Targets {
    let of_strangers = if level >= LevelFilter::DEBUG { level } else { LevelFilter::OFF };
    Targets::new().with_default(level).with_target("actix_http::h1", of_strangers)
}

/// Hands on each event as one line. Characters that a terminal or a reader of lines obeys are written as escapes, in the
/// form of JSON, which is readable in text too.
struct OneLine<W> {
    has_colours: bool,
    writer: W,
}

impl<'a, W: MakeWriter<'a>> MakeWriter<'a> for OneLine<W> {
    type Writer = OneLine<W::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        OneLine { has_colours: self.has_colours, writer: self.writer.make_writer() }
    }
}

impl<W: Write> Write for OneLine<W> {
    /// Takes a whole event at once, as the formatter hands it over.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        self.writer.write_all(one_line(&String::from_utf8_lossy(event), self.has_colours).as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

/// The event without raw control characters, but for its end and, where colours are written, the colours themselves.
fn one_line(event: &str, has_colours: bool) -> String {
    let mut line = String::with_capacity(event.len());
    let (event, end) = event.strip_suffix('\n').map_or((event, ""), |event| (event, "\n"));
    for (at, character) in event.char_indices() {
        if is_obeyed(character) && !(has_colours && begins_colour(&event[at..])) {
            // No such character lies beyond the sixteen bits that the escape has room for.
            let _ = write!(line, "\\u{:04x}", u32::from(character));
        } else {
            line.push(character);
        }
    }
    line + end
}

/// Whether a colour begins here: ESC, `[`, numbers, `m` ("Select Graphic Rendition" of ECMA-48), and no other command.
fn begins_colour(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("\u{1b}[") else { return false };
    rest.trim_start_matches(|character: char| character.is_ascii_digit() || character == ';').starts_with('m')
}

/// Control characters, ends of lines of other alphabets, and marks that turn the direction of writing.
fn is_obeyed(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn said(json: bool, has_colours: bool, subject: &str) -> String {
        said_at(tracing::Level::INFO, json, has_colours, || {
            let span = tracing::info_span!("mail", subject);
            span.in_scope(|| {
                tracing::info!(subject, shown = %subject, error = ?subject, "Read {subject}");
            });
        })
    }

    fn said_at(level: tracing::Level, json: bool, has_colours: bool, act: impl FnOnce()) -> String {
        let config = LogConfig { json, level, access_folder: PathBuf::new(), access_days: 10 };
        let kept = Kept::default();
        let writer = kept.clone();
        let console = layer(&config, has_colours, move || writer.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(console), act);
        let bytes = kept.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn g_04_what_strangers_send_in_place_of_a_request_is_told_only_to_who_looks_closer() {
        let act = || {
            tracing::error!(target: "actix_http::h1::dispatcher", "stream error: invalid HTTP version specified");
            tracing::error!(target: "accord::web", "A request failed");
        };
        let usual = said_at(tracing::Level::INFO, false, false, act);
        assert!(usual.contains("A request failed") && !usual.contains("stream error"), "{usual}");
        let closer = said_at(tracing::Level::DEBUG, false, false, act);
        assert!(closer.contains("stream error"), "{closer}");
    }

    #[test]
    fn g_01_adv_33_whatever_stands_in_a_value_an_event_is_one_line_without_commands() {
        let hostile =
            "x\nlevel=ERROR owned\r\u{1b}[2J\u{1b}]0;t\u{7}\0\u{85}\u{9b}31m\u{202e}txt\u{2028}\u{2066}y\u{7f}";
        for json in [true, false] {
            let text = said(json, false, hostile);
            let line = text.strip_suffix('\n').expect("an event ends its line");
            assert!(!line.chars().any(is_obeyed), "{line:?}");
            assert!(line.contains("level=ERROR owned"), "{line}");
            if json {
                let event: serde_json::Value = serde_json::from_str(line).unwrap();
                assert_eq!(event["fields"]["subject"], hostile);
                assert_eq!(event["level"], "INFO");
            }
        }
        let coloured = said(false, true, hostile);
        assert_eq!(coloured.lines().count(), 1);
        assert!(!coloured.contains("\u{1b}[2J") && !coloured.contains("\u{1b}]0"), "{coloured:?}");
    }
}
