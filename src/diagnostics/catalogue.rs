//! Every event and span that Accord itself can record, with the names of its fields. What is not listed here is never
//! captured; a test reads the source and holds the list complete, so that what a customer is shown before they consent
//! is all there is (the *manifest*).

use std::collections::{BTreeMap, BTreeSet};

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tracing::Metadata;

use crate::consent;
use crate::diagnostics::scope::Component;

mod callsites;

/// How detailed something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    Error = 1,
    Warn,
    Info,
    Debug,
    Trace,
}

impl Level {
    pub const ALL: [Level; 5] = [Level::Error, Level::Warn, Level::Info, Level::Debug, Level::Trace];

    /// As in `debug`.
    pub fn code(self) -> &'static str {
        match self {
            Level::Error => "error",
            Level::Warn => "warn",
            Level::Info => "info",
            Level::Debug => "debug",
            Level::Trace => "trace",
        }
    }

    /// Reads [`Level::code`].
    pub fn parse(code: &str) -> Option<Level> {
        Level::ALL.into_iter().find(|level| level.code() == code)
    }

    /// From 1 (error) to 5 (trace).
    #[inline]
    pub fn number(self) -> u8 {
        self as u8
    }
}

impl From<tracing::Level> for Level {
    #[inline]
    fn from(level: tracing::Level) -> Level {
        match level {
            tracing::Level::ERROR => Level::Error,
            tracing::Level::WARN => Level::Warn,
            tracing::Level::INFO => Level::Info,
            tracing::Level::DEBUG => Level::Debug,
            tracing::Level::TRACE => Level::Trace,
        }
    }
}

impl From<consent::Level> for Level {
    fn from(level: consent::Level) -> Level {
        match level {
            consent::Level::Error => Level::Error,
            consent::Level::Warn => Level::Warn,
            consent::Level::Info => Level::Info,
            consent::Level::Debug => Level::Debug,
            consent::Level::Trace => Level::Trace,
        }
    }
}

/// What is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Event,
    Span,
}

impl Kind {
    pub fn code(self) -> &'static str {
        match self {
            Kind::Event => "event",
            Kind::Span => "span",
        }
    }

    fn parse(code: &str) -> Option<Kind> {
        [Kind::Event, Kind::Span].into_iter().find(|kind| kind.code() == code)
    }
}

/// One place, or several alike, where the program records something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Callsite {
    pub kind: Kind,
    pub target: &'static str,
    pub level: Level,
    /// A span's name; empty for events.
    pub name: &'static str,
    pub fields: &'static [&'static str],
    pub file: &'static str,
}

/// A list of call sites; a record names its own by its place in it.
#[derive(Clone, Copy, Debug)]
pub struct Catalogue(&'static [Callsite]);

impl Catalogue {
    /// What this program can record.
    pub const fn own() -> Catalogue {
        Catalogue(callsites::CALLSITES)
    }

    /// A list made for a test or a benchmark.
    pub const fn of(callsites: &'static [Callsite]) -> Catalogue {
        Catalogue(callsites)
    }

    pub fn callsites(&self) -> &'static [Callsite] {
        self.0
    }

    pub fn get(&self, number: u16) -> Option<&'static Callsite> {
        self.0.get(usize::from(number))
    }

    /// The entry of what `metadata` describes.
    pub fn find(&self, metadata: &Metadata<'_>) -> Option<(u16, &'static Callsite)> {
        let kind = if metadata.is_span() { Kind::Span } else { Kind::Event };
        let name = if metadata.is_span() { metadata.name() } else { "" };
        let level = Level::from(*metadata.level());
        let file = metadata.file().unwrap_or_default();
        let is_it = |callsite: &Callsite| {
            callsite.kind == kind
                && callsite.level == level
                && callsite.target == metadata.target()
                && callsite.name == name
                && metadata.fields().iter().map(|field| field.name()).eq(callsite.fields.iter().copied())
        };
        // Two files may record the same fields; the nearest description is of the same file.
        let alike = |same_file: bool| {
            self.0.iter().position(|callsite| is_it(callsite) && (!same_file || file.ends_with(callsite.file)))
        };
        let number = alike(true).or_else(|| alike(false))?;
        Some((u16::try_from(number).ok()?, &self.0[number]))
    }
}

/// One line of a manifest: what a target records at a level.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Line {
    pub target: String,
    pub level: Level,
    pub kind: Kind,
    /// A span's name; empty for events.
    pub name: String,
    pub fields: Vec<String>,
}

/// Every field that a scope could record: what the customer is shown, and what their consent is bound to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest(BTreeMap<Key, BTreeSet<String>>);

type Key = (String, Level, Kind, String);

impl Manifest {
    /// What `components` could record in the program of `catalogue`.
    pub fn of(catalogue: &Catalogue, components: &[Component]) -> Manifest {
        let mut lines: BTreeMap<Key, BTreeSet<String>> = BTreeMap::new();
        for callsite in catalogue.callsites() {
            if Component::admitting(components, callsite.target, callsite.level).is_some() {
                let key = (callsite.target.to_owned(), callsite.level, callsite.kind, callsite.name.to_owned());
                lines.entry(key).or_default().extend(callsite.fields.iter().map(|field| (*field).to_owned()));
            }
        }
        Manifest(lines)
    }

    /// What is left of it with only the fields of a target that `allows` lets through.
    pub fn keeping(mut self, allows: impl Fn(&str, &str) -> bool) -> Manifest {
        for ((target, ..), fields) in &mut self.0 {
            fields.retain(|field| allows(target, field));
        }
        self
    }

    /// The lines in order.
    pub fn lines(&self) -> Vec<Line> {
        let line = |((target, level, kind, name), fields): (&Key, &BTreeSet<String>)| Line {
            target: target.clone(),
            level: *level,
            kind: *kind,
            name: name.clone(),
            fields: fields.iter().cloned().collect(),
        };
        self.0.iter().map(line).collect()
    }

    /// The one text of this manifest, a line for each: `accord::db debug event - duration_us,message`.
    pub fn text(&self) -> String {
        let line = |line: Line| {
            let name = if line.name.is_empty() { "-" } else { &line.name };
            let (level, kind) = (line.level.code(), line.kind.code());
            format!("{} {level} {kind} {name} {}\n", line.target, line.fields.join(","))
        };
        self.lines().into_iter().map(line).collect()
    }

    /// Reads [`Manifest::text`].
    pub fn parse(text: &str) -> Option<Manifest> {
        let mut lines: BTreeMap<Key, BTreeSet<String>> = BTreeMap::new();
        for line in text.lines() {
            let [target, level, kind, name, fields] = line.split(' ').collect::<Vec<_>>().try_into().ok()?;
            let name = if name == "-" { "" } else { name };
            let key = (target.to_owned(), Level::parse(level)?, Kind::parse(kind)?, name.to_owned());
            let fields = fields.split(',').filter(|field| !field.is_empty()).map(str::to_owned).collect();
            if lines.insert(key, fields).is_some() {
                return None;
            }
        }
        Some(Manifest(lines))
    }

    /// The hash of [`Manifest::text`], in hexadecimal.
    pub fn sha256(&self) -> String {
        HEXLOWER.encode(&Sha256::digest(self.text()))
    }

    /// Whether a field may be recorded.
    pub fn allows(&self, callsite: &Callsite, field: &str) -> bool {
        let key = (callsite.target.to_owned(), callsite.level, callsite.kind, callsite.name.to_owned());
        self.0.get(&key).is_some_and(|fields| fields.contains(field))
    }

    /// Which fields of a call site may be recorded, as bits by their places; `None` when it is not listed at all.
    pub fn allowed_fields(&self, callsite: &Callsite) -> Option<u32> {
        let key = (callsite.target.to_owned(), callsite.level, callsite.kind, callsite.name.to_owned());
        let fields = self.0.get(&key)?;
        let places = callsite.fields.iter().enumerate().take(32);
        Some(places.filter(|(_, field)| fields.contains(**field)).fold(0, |bits, (place, _)| bits | 1 << place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn event(level: Level, fields: &'static [&'static str]) -> Callsite {
        Callsite { kind: Kind::Event, target: "accord::db", level, name: "", fields, file: "src/db.rs" }
    }

    static CALLSITES: &[Callsite] = &[
        event(Level::Debug, &["message", "rows"]),
        event(Level::Debug, &["message", "error"]),
        event(Level::Trace, &["message", "sql"]),
        Callsite {
            kind: Kind::Span,
            target: "accord::web",
            level: Level::Info,
            name: "request",
            fields: &["http.method"],
            file: "src/web.rs",
        },
    ];

    fn component(target: &str, level: Level) -> Component {
        Component { target: target.to_owned(), level }
    }

    #[test]
    fn a_manifest_says_every_field_of_the_scope_and_nothing_else() {
        let manifest = Manifest::of(&Catalogue::of(CALLSITES), &[component("accord::db", Level::Debug)]);
        assert_eq!(manifest.text(), "accord::db debug event - error,message,rows\n");
        let manifest = Manifest::of(&Catalogue::of(CALLSITES), &[component("accord", Level::Trace)]);
        assert_eq!(manifest.lines().len(), 3);
        assert_eq!(Manifest::parse(&manifest.text()), Some(manifest));
    }

    #[test]
    fn a_field_added_after_the_consent_is_not_allowed_by_it() {
        let consented = Manifest::parse("accord::db debug event - message,rows\n").unwrap();
        assert_eq!(consented.allowed_fields(&CALLSITES[0]), Some(0b11));
        assert_eq!(consented.allowed_fields(&CALLSITES[1]), Some(0b01));
        assert_eq!(consented.allowed_fields(&CALLSITES[2]), None);
        assert!(!consented.allows(&CALLSITES[1], "error"));
    }

    #[test]
    fn what_the_customer_is_shown_names_every_field_that_the_program_records() {
        for callsite in Catalogue::own().callsites() {
            let covers = |component: &&consent::Component| component.covers(callsite.target);
            let Some(component) = consent::Component::ALL.iter().find(covers) else { continue };
            let shown = consent::manifest::fields(*component);
            for field in callsite.fields {
                assert!(shown.contains(field), "{field} of {} is not in the manifest", callsite.target);
            }
        }
    }

    #[test]
    fn the_hash_of_a_manifest_depends_on_no_order() {
        let one = Manifest::parse("a debug event - x,y\nb debug event - z\n").unwrap();
        let other = Manifest::parse("b debug event - z\na debug event - y,x\n").unwrap();
        assert_eq!(one.sha256(), other.sha256());
        let wider = Manifest::parse("b debug event - z\na debug event - y,x,w\n").unwrap();
        assert_ne!(one.sha256(), wider.sha256());
    }
}
