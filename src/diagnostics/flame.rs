//! Where the time went, over everything that a grant captured: spans added up by the names of those they ran within, with
//! how often each ran and how much of the time was its own. Its size depends on how many different names there are, and
//! has an end.

use std::collections::{HashMap, HashSet};

use crate::diagnostics::catalogue::Level;
use crate::diagnostics::record::{Record, Span};
use crate::diagnostics::self_time;
use crate::diagnostics::viewing::Line;

/// Different stacks kept apart at most; products may give each span a name of its own.
pub const STACKS: usize = 2_000;
/// Spans within spans at most; what is deeper counts for the last.
pub const DEPTH: usize = 64;
/// The longest name, in characters.
const NAME: usize = 80;
/// What stands for all that found no room.
pub const REST: &str = "…";

/// Spans added up.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Flame {
    pub stacks: Vec<Stack>,
    by_name: HashMap<(Option<usize>, String), usize>,
    /// The one for all that found no room.
    rest: Option<usize>,
    /// Spans added up in it.
    pub spans: u64,
}

/// All spans of one name within the same ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stack {
    pub name: String,
    /// What it ran within, always one that stands earlier.
    pub within: Option<usize>,
    pub count: u64,
    pub errors: u64,
    /// From beginning to end.
    pub total_nanos: u64,
    /// Without the time of the spans within.
    pub own_nanos: u64,
}

impl Flame {
    /// Adds the spans of a trace.
    pub fn add(&mut self, lines: &[Line]) {
        let mut spans: HashMap<u64, &Span> = HashMap::new();
        for line in lines {
            if let Record::Span(span) = &line.redacted.record {
                spans.entry(span.id).or_insert(span);
            }
        }
        let mut within: HashMap<u64, Vec<self_time::Stretch>> = HashMap::new();
        for span in spans.values() {
            if let Some(parent) = span.body.parent.filter(|parent| *parent != span.id) {
                within.entry(parent).or_default().push((span.start_nanos, span.end_nanos));
            }
        }
        let mut placed = HashMap::new();
        let mut ids: Vec<u64> = spans.keys().copied().collect();
        ids.sort_by_key(|id| (spans[id].start_nanos, *id));
        for id in ids {
            let span = spans[&id];
            let place = self.place(id, &spans, &mut placed);
            let whole = (span.start_nanos, span.end_nanos);
            let own = self_time::length(&self_time::own(whole, within.remove(&id).unwrap_or_default()));
            let stack = &mut self.stacks[place];
            stack.count += 1;
            stack.errors += u64::from(span.body.level == Level::Error);
            stack.total_nanos =
                stack.total_nanos.saturating_add(u64::try_from(self_time::length(&[whole])).unwrap_or(0));
            stack.own_nanos = stack.own_nanos.saturating_add(u64::try_from(own).unwrap_or(0));
            self.spans += 1;
        }
    }

    /// The stack of a span, and how deep it is; those of the spans it ran within are found on the way, once each.
    fn place(&mut self, id: u64, spans: &HashMap<u64, &Span>, placed: &mut HashMap<u64, (usize, usize)>) -> usize {
        let mut above = None;
        let mut path = Vec::new();
        let mut passed = HashSet::new();
        let mut at = Some(id);
        // Spans that name each other as their parent begin somewhere in their ring.
        while let Some(id) = at.filter(|id| passed.insert(*id)) {
            above = placed.get(&id).copied();
            let Some(span) = spans.get(&id).filter(|_| above.is_none()) else { break };
            path.push((id, span.body.name.as_str()));
            at = span.body.parent;
        }
        while let Some((id, name)) = path.pop() {
            let place = match above {
                Some((place, depth)) if depth >= DEPTH || Some(place) == self.rest => (place, depth),
                Some((place, depth)) => (self.stack(Some(place), name), depth + 1),
                None => (self.stack(None, name), 1),
            };
            placed.insert(id, place);
            above = Some(place);
        }
        above.map_or(0, |(place, _)| place)
    }

    /// The stack of that name within another, or the one for the rest when there is no room for a new one.
    fn stack(&mut self, within: Option<usize>, name: &str) -> usize {
        let name: String = name.chars().take(NAME).collect();
        if let Some(place) = self.by_name.get(&(within, name.clone())) {
            return *place;
        }
        let place = self.stacks.len();
        if place < STACKS {
            self.by_name.insert((within, name.clone()), place);
            self.stacks.push(Stack { name, within, ..Stack::default() });
            return place;
        }
        *self.rest.get_or_insert_with(|| {
            self.stacks.push(Stack { name: REST.to_owned(), ..Stack::default() });
            place
        })
    }

    /// How much of the picture each stack takes: its own time and that of all within it. In parallel that is more than
    /// the time that passed.
    pub fn weights(&self) -> Vec<u64> {
        let mut weights: Vec<u64> = self.stacks.iter().map(|stack| stack.own_nanos).collect();
        for index in (0..self.stacks.len()).rev() {
            if let Some(within) = self.stacks[index].within {
                weights[within] = weights[within].saturating_add(weights[index]);
            }
        }
        weights
    }

    /// The names from the outermost to that stack.
    pub fn names(&self, stack: usize) -> Vec<&str> {
        let mut names = Vec::new();
        let mut at = Some(stack);
        while let Some(index) = at {
            names.push(self.stacks[index].name.as_str());
            at = self.stacks[index].within;
        }
        names.reverse();
        names
    }

    /// One line for each stack that had time of its own, `root;outer;inner 1234`, in microseconds: what flame graph
    /// programs read. `root` says where it is from.
    pub fn folded(&self, root: &str) -> String {
        let mut text = String::new();
        for (index, stack) in self.stacks.iter().enumerate().filter(|(_, stack)| stack.own_nanos > 0) {
            let names = [root].into_iter().chain(self.names(index)).map(foldable).collect::<Vec<_>>();
            text.push_str(&format!("{} {}\n", names.join(";"), stack.own_nanos.div_ceil(1_000)));
        }
        text
    }
}

/// A name without what separates names, numbers and lines.
fn foldable(name: &str) -> String {
    let name: String =
        name.chars().map(|letter| if letter == ';' || letter.is_control() { '_' } else { letter }).collect();
    if name.trim().is_empty() { "_".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostics::samples::{event, span};

    #[test]
    fn spans_add_up_by_the_names_they_ran_within() {
        let mut flame = Flame::default();
        for offset in [0, 1_000_000] {
            flame.add(&[
                span(7, 3, Some(2), "sql", offset + 12_000, offset + 15_000),
                event(7, Some(3), offset),
                span(7, 2, Some(1), "read", offset + 10_000, offset + 20_000),
                span(7, 4, Some(1), "sql", offset + 30_000, offset + 40_000),
                span(7, 1, None, "request", offset, offset + 100_000),
            ]);
        }
        assert_eq!(flame.spans, 8);
        let found: Vec<(String, u64, u64, u64)> = (0..flame.stacks.len())
            .map(|index| {
                let stack = &flame.stacks[index];
                (flame.names(index).join(">"), stack.count, stack.total_nanos, stack.own_nanos)
            })
            .collect();
        let expected = [
            ("request", 2, 200_000, 160_000),
            ("request>read", 2, 20_000, 14_000),
            ("request>read>sql", 2, 6_000, 6_000),
            ("request>sql", 2, 20_000, 20_000),
        ];
        assert_eq!(found, expected.map(|(names, count, total, own)| (names.to_owned(), count, total, own)));
        assert_eq!(flame.weights(), [200_000, 20_000, 6_000, 20_000]);
        assert_eq!(
            flame.folded("grant g"),
            "grant g;request 160\ngrant g;request;read 14\ngrant g;request;read;sql 6\ngrant g;request;sql 20\n"
        );
    }

    #[test]
    fn rings_depth_and_many_names_have_an_end() {
        let mut flame = Flame::default();
        flame.add(&[span(1, 1, Some(2), "a", 0, 10), span(1, 2, Some(1), "b", 0, 10), span(1, 3, Some(3), "c", 0, 10)]);
        assert_eq!(flame.spans, 3);
        let deep: Vec<Line> = (1..=1_000).map(|id| span(2, id, Some(id + 1), "deep", 0, 10)).collect();
        flame.add(&deep);
        assert!((0..flame.stacks.len()).all(|index| flame.names(index).len() <= DEPTH));
        let many: Vec<Line> = (1..=9_000).map(|id| span(3, id, None, &format!("name {id};\n"), 0, 2_000)).collect();
        flame.add(&many);
        assert_eq!(flame.stacks.len(), STACKS + 1);
        assert_eq!(flame.spans, 3 + 1_000 + 9_000, "none is lost");
        let rest = flame.stacks.iter().find(|stack| stack.name == REST).unwrap();
        assert!(rest.count > 6_900 && rest.own_nanos == rest.count * 2_000, "{rest:?}");
        assert!(flame.folded("g").lines().all(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().is_ok()));
    }
}
