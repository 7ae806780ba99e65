//! Records arranged as they happened: by trace, each span with what happened within it, and what is missing in its place
//! in time. Pure, and as deep as a page of records is long.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::diagnostics::catalogue::Level;
use crate::diagnostics::record::{Body, Event, Gap, Record, Span};
use crate::diagnostics::self_time::{self, Stretch};
use crate::diagnostics::viewing::Line;

/// What stands below one another on the page, the earliest first.
#[derive(Clone, Debug, PartialEq)]
pub enum Item<'a> {
    Trace(Trace<'a>),
    Gap(&'a Gap),
}

/// The records of one request, job or mail.
#[derive(Clone, Debug, PartialEq)]
pub struct Trace<'a> {
    pub id: u128,
    /// From the first record's beginning to the last one's end.
    pub time: Stretch,
    pub nodes: Vec<Node<'a>>,
    pub records: usize,
    pub errors: usize,
}

/// A record in its place.
#[derive(Clone, Debug, PartialEq)]
pub enum Node<'a> {
    Span {
        line: &'a Line,
        span: &'a Span,
        /// When it did something itself.
        own: Vec<Stretch>,
        within: Vec<Node<'a>>,
    },
    Event {
        line: &'a Line,
        event: &'a Event,
    },
}

impl Node<'_> {
    fn start(&self) -> i64 {
        match self {
            Node::Span { span, .. } => span.start_nanos,
            Node::Event { event, .. } => event.at_nanos,
        }
    }
}

/// Arranges what a page shows. A span whose own parent is not among the records stands at the top of its trace.
pub fn arrange(lines: &[Line]) -> Vec<Item<'_>> {
    let mut traces: BTreeMap<u128, Vec<&Line>> = BTreeMap::new();
    let mut items = Vec::new();
    for line in lines {
        match &line.redacted.record {
            Record::Event(Event { body, .. }) | Record::Span(Span { body, .. }) => {
                traces.entry(body.trace).or_default().push(line);
            }
            Record::Gap(gap) => items.push((gap.from_micros.saturating_mul(1_000), Item::Gap(gap))),
        }
    }
    for (id, lines) in traces {
        let trace = trace(id, &lines);
        items.push((trace.time.0, Item::Trace(trace)));
    }
    items.sort_by_key(|(start, _)| *start);
    items.into_iter().map(|(_, item)| item).collect()
}

fn trace<'a>(id: u128, lines: &[&'a Line]) -> Trace<'a> {
    let mut spans: HashMap<u64, &'a Span> = HashMap::new();
    for line in lines {
        if let Record::Span(span) = &line.redacted.record {
            spans.entry(span.id).or_insert(span);
        }
    }
    // What each span holds; under 0, which is no span, what stands at the top.
    let mut within: HashMap<u64, Vec<&'a Line>> = HashMap::new();
    let (mut from, mut to, mut errors) = (i64::MAX, i64::MIN, 0);
    for line in lines {
        let (body, own, time): (&Body, u64, Stretch) = match &line.redacted.record {
            Record::Span(span) => (&span.body, span.id, (span.start_nanos, span.end_nanos)),
            Record::Event(event) => (&event.body, 0, (event.at_nanos, event.at_nanos)),
            Record::Gap(_) => continue,
        };
        let parent = body.parent.filter(|parent| *parent != own && spans.contains_key(parent)).unwrap_or(0);
        within.entry(parent).or_default().push(line);
        (from, to) = (from.min(time.0), to.max(time.1));
        errors += usize::from(body.level == Level::Error);
    }
    let mut placed = BTreeSet::new();
    let mut nodes = place(0, &within, &mut placed);
    // Spans that name each other as their parent are reached from nowhere: each such ring is cut open somewhere.
    for line in lines {
        if let Record::Span(span) = &line.redacted.record
            && !placed.contains(&span.id)
        {
            nodes.extend(node(line, &within, &mut placed));
        }
    }
    nodes.sort_by_key(Node::start);
    Trace { id, time: (from, to.max(from)), nodes, records: lines.len(), errors }
}

fn place<'a>(parent: u64, within: &HashMap<u64, Vec<&'a Line>>, placed: &mut BTreeSet<u64>) -> Vec<Node<'a>> {
    let lines = within.get(&parent).map(Vec::as_slice).unwrap_or_default();
    let mut nodes: Vec<Node<'a>> = lines.iter().filter_map(|line| node(line, within, placed)).collect();
    nodes.sort_by_key(Node::start);
    nodes
}

fn node<'a>(line: &'a Line, within: &HashMap<u64, Vec<&'a Line>>, placed: &mut BTreeSet<u64>) -> Option<Node<'a>> {
    match &line.redacted.record {
        Record::Event(event) => Some(Node::Event { line, event }),
        Record::Span(span) => {
            // The same span twice is shown once.
            if !placed.insert(span.id) {
                return None;
            }
            let nodes = place(span.id, within, placed);
            let inner = nodes.iter().filter_map(|node| match node {
                Node::Span { span, .. } => Some((span.start_nanos, span.end_nanos)),
                Node::Event { .. } => None,
            });
            let own = self_time::own((span.start_nanos, span.end_nanos), inner.collect());
            Some(Node::Span { line, span, own, within: nodes })
        }
        Record::Gap(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostics::record::Reason;
    use crate::diagnostics::samples::{event, gap, span};

    /// A trace in brackets, for comparing.
    fn shape(nodes: &[Node<'_>]) -> String {
        let shown = nodes.iter().map(|node| match node {
            Node::Span { span, within, own, .. } => {
                format!("{}={}({})", span.body.name, self_time::length(own), shape(within))
            }
            Node::Event { event, .. } => format!("!{}", event.at_nanos),
        });
        shown.collect::<Vec<_>>().join(" ")
    }

    fn shapes(lines: &[Line]) -> Vec<String> {
        let shown = arrange(lines).into_iter().map(|item| match item {
            Item::Trace(trace) => format!("{}: {}", trace.id, shape(&trace.nodes)),
            Item::Gap(gap) => format!("gap {}", gap.records),
        });
        shown.collect()
    }

    #[test]
    fn spans_hold_what_happened_within_them_and_gaps_stand_in_their_time() {
        // Spans are written when they end, so the innermost comes first.
        let lines = [
            event(7, Some(2), 25),
            span(7, 2, Some(1), "sql", 20, 40),
            span(7, 3, Some(1), "sql", 50, 60),
            gap(Reason::Full, 9, 2),
            span(9, 1, None, "job", 5_000, 5_100),
            span(7, 1, None, "request", 0, 100),
            event(7, None, 45),
        ];
        assert_eq!(shapes(&lines), ["7: request=70(sql=20(!25) sql=10()) !45", "gap 9", "9: job=100()"]);
        let items = arrange(&lines);
        let Item::Trace(trace) = &items[0] else { panic!("{items:?}") };
        assert_eq!((trace.time, trace.records, trace.errors), ((0, 100), 5, 0));
    }

    #[test]
    fn whose_parent_is_elsewhere_stands_at_the_top_and_rings_are_cut_open() {
        let lines = [
            span(7, 2, Some(99), "orphan", 20, 40),
            event(7, Some(98), 10),
            span(7, 3, Some(4), "a", 50, 60),
            span(7, 4, Some(3), "b", 52, 58),
            span(7, 5, Some(5), "itself", 70, 71),
            span(7, 5, Some(5), "twice", 70, 71),
        ];
        assert_eq!(shapes(&lines), ["7: !10 orphan=20() a=4(b=6()) itself=1()"]);
    }
}
