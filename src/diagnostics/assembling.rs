//! Traces put together from records as they come: a span is written when it ends, so the one that holds all others comes
//! last. However much was captured, no more than so many records are held at a time.

use std::collections::{BTreeMap, HashMap};

use crate::diagnostics::record::{Body, Event, Gap, Record, Span};
use crate::diagnostics::viewing::Line;

/// Records held at most while traces are put together. A hundred times that of a long request, and some tens of MiB.
pub const HELD: usize = 20_000;

/// What comes out.
#[derive(Clone, Debug, PartialEq)]
pub enum Piece {
    /// The records of a trace, as far as they were there; never none.
    Trace(Vec<Line>),
    Gap(Gap),
}

/// Puts traces together.
#[derive(Debug, Default)]
pub struct Assembler {
    open: HashMap<u128, Open>,
    /// The open ones by when their first record came.
    order: BTreeMap<u64, u128>,
    came: u64,
    held: usize,
}

#[derive(Debug)]
struct Open {
    since: u64,
    lines: Vec<Line>,
}

impl Assembler {
    /// Takes a record; gives what is whole with it, and what would have to be held for too long.
    pub fn take(&mut self, line: Line) -> Vec<Piece> {
        let (trace, ends) = match &line.redacted.record {
            Record::Gap(gap) => return vec![Piece::Gap(*gap)],
            Record::Event(Event { body, .. }) => (body.trace, false),
            Record::Span(Span { body: Body { trace, parent, .. }, .. }) => (*trace, parent.is_none()),
        };
        self.came += 1;
        let since = self.came;
        let open = self.open.entry(trace).or_insert_with(|| Open { since, lines: Vec::new() });
        self.order.insert(open.since, trace);
        open.lines.push(line);
        self.held += 1;
        let mut pieces = Vec::new();
        if ends {
            pieces.extend(self.close(trace));
        }
        while self.held > HELD {
            let Some((_, oldest)) = self.order.first_key_value() else { break };
            pieces.extend(self.close(*oldest));
        }
        pieces
    }

    /// What is left when nothing more comes.
    pub fn finish(mut self) -> Vec<Piece> {
        let open: Vec<u128> = self.order.values().copied().collect();
        open.into_iter().filter_map(|trace| self.close(trace)).collect()
    }

    fn close(&mut self, trace: u128) -> Option<Piece> {
        let open = self.open.remove(&trace)?;
        self.order.remove(&open.since);
        self.held -= open.lines.len();
        Some(Piece::Trace(open.lines))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostics::record::Reason;
    use crate::diagnostics::samples::{event, gap, span};

    fn lengths(pieces: &[Piece]) -> Vec<usize> {
        pieces.iter().map(|piece| if let Piece::Trace(lines) = piece { lines.len() } else { 0 }).collect()
    }

    #[test]
    fn a_trace_is_whole_when_the_span_that_holds_all_is_there() {
        let mut assembler = Assembler::default();
        assert_eq!(assembler.take(event(7, Some(2), 1)), []);
        assert_eq!(assembler.take(span(8, 2, Some(1), "b", 1, 2)), []);
        assert_eq!(lengths(&assembler.take(gap(Reason::Full, 3, 1))), [0]);
        assert_eq!(assembler.take(span(7, 2, Some(1), "b", 1, 2)), []);
        assert_eq!(lengths(&assembler.take(span(7, 1, None, "a", 0, 3))), [3]);
        assert_eq!(assembler.take(event(7, None, 1)), []);
        assert_eq!(lengths(&assembler.finish()), [1, 1], "in the order in which they began");
    }

    #[test]
    fn no_more_is_held_than_was_said() {
        let mut assembler = Assembler::default();
        let mut came_out = Vec::new();
        for number in 0..3 * HELD {
            // Traces whose outermost span never comes.
            came_out.extend(assembler.take(event(number as u128 / 10, Some(1), 1)));
            assert!(assembler.held <= HELD && assembler.order.len() == assembler.open.len());
        }
        came_out.extend(assembler.finish());
        assert_eq!(lengths(&came_out).iter().sum::<usize>(), 3 * HELD, "and none is lost");
        assert!(lengths(&came_out).iter().all(|length| *length == 10));
    }
}
