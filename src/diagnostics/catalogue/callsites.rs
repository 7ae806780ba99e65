//! The list. `tests/integration/catalogue.rs` compares it with the source and prints it as it should be.

use super::{Callsite, Kind, Level};

type Fields = &'static [&'static str];

const fn event(target: &'static str, level: Level, fields: Fields, file: &'static str) -> Callsite {
    Callsite { kind: Kind::Event, target, level, name: "", fields, file }
}

const fn span(target: &'static str, level: Level, name: &'static str, fields: Fields, file: &'static str) -> Callsite {
    Callsite { kind: Kind::Span, target, level, name, fields, file }
}

#[rustfmt::skip]
pub(super) const CALLSITES: &[Callsite] = &[
];
