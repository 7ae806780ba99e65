//! Traces as a page draws them: nested lists that fold, each span with a bar of its place in time. A template cannot call
//! itself, so it is told when a list within a span begins and ends.

use crate::consent::Grant;
use crate::diagnostics::record::Gap;
use crate::diagnostics::self_time::{self, Stretch};
use crate::diagnostics::viewing::Line;
use crate::diagnostics::waterfall::{Item, Node, Trace, arrange};
use crate::i18n::Texts;
use crate::web::diagnostics::records::{self, RecordView, milliseconds};

/// The width of a bar's drawing; what is thinner than one of these is drawn as one.
const WIDTH: i64 = 1_000;

/// What stands below one another.
pub enum ItemView {
    Trace(TraceView),
    Gap(RecordView),
}

pub struct TraceView {
    pub name: String,
    pub at: String,
    pub lasted: String,
    pub records: String,
    pub errors: Option<String>,
    pub steps: Vec<StepView>,
}

/// The next thing the template writes.
pub enum StepView {
    /// A span with something within it; what follows is within, up to its end.
    Open(RowView),
    /// A span or an event with nothing within.
    Leaf(RowView),
    Close,
}

/// A record in its row.
pub struct RowView {
    pub record: RecordView,
    pub is_event: bool,
    /// How long a span lasted, and how long it was busy itself.
    pub lasted: String,
    pub own: String,
    pub bar: BarView,
}

/// Where in its trace something happened: from, and how long.
pub struct BarView {
    pub whole: (i64, i64),
    pub own: Vec<(i64, i64)>,
}

pub fn view(t: &Texts, grant: &Grant, lines: &[Line]) -> Vec<ItemView> {
    let item = |item: Item<'_>| match item {
        Item::Gap(gap) => ItemView::Gap(gap_view(t, gap)),
        Item::Trace(trace) => ItemView::Trace(trace_view(t, grant, &trace)),
    };
    arrange(lines).into_iter().map(item).collect()
}

fn gap_view(t: &Texts, gap: &Gap) -> RecordView {
    records::gap_view(t, gap)
}

fn trace_view(t: &Texts, grant: &Grant, trace: &Trace<'_>) -> TraceView {
    let mut steps = Vec::new();
    for node in &trace.nodes {
        push(t, grant, trace.time, node, &mut steps);
    }
    let first = steps.iter().find_map(|step| match step {
        StepView::Open(row) | StepView::Leaf(row) => Some(&row.record),
        StepView::Close => None,
    });
    let outermost = trace.nodes.iter().find_map(|node| match node {
        Node::Span { span, .. } => Some(crate::mail::address::visible(&span.body.name)),
        Node::Event { .. } => None,
    });
    TraceView {
        name: outermost.unwrap_or_else(|| t.say("diagnostics-trace-events")),
        at: first.map(|record| record.at.clone()).unwrap_or_default(),
        lasted: milliseconds(trace.time.1.saturating_sub(trace.time.0)),
        records: t.count("diagnostics-trace-records", i64::try_from(trace.records).unwrap_or(i64::MAX)),
        errors: (trace.errors > 0)
            .then(|| t.count("diagnostics-trace-errors", i64::try_from(trace.errors).unwrap_or(i64::MAX))),
        steps,
    }
}

fn push(t: &Texts, grant: &Grant, time: Stretch, node: &Node<'_>, steps: &mut Vec<StepView>) {
    match node {
        Node::Event { line, event } => steps.push(StepView::Leaf(RowView {
            record: records::view(t, grant, line),
            is_event: true,
            lasted: String::new(),
            own: String::new(),
            bar: BarView { whole: part(time, (event.at_nanos, event.at_nanos)), own: Vec::new() },
        })),
        Node::Span { line, span, own, within } => {
            let row = RowView {
                record: records::view(t, grant, line),
                is_event: false,
                lasted: milliseconds(span.end_nanos.saturating_sub(span.start_nanos)),
                own: t.with("diagnostics-own-time", "time", milliseconds(self_time::length(own))),
                bar: BarView {
                    whole: part(time, (span.start_nanos, span.end_nanos)),
                    own: own.iter().map(|stretch| part(time, *stretch)).collect(),
                },
            };
            if within.is_empty() {
                steps.push(StepView::Leaf(row));
                return;
            }
            steps.push(StepView::Open(row));
            for node in within {
                push(t, grant, time, node, steps);
            }
            steps.push(StepView::Close);
        }
    }
}

/// Where in the drawing of `whole` a stretch of it begins, and how wide it is.
fn part(whole: Stretch, stretch: Stretch) -> (i64, i64) {
    let length = (i128::from(whole.1) - i128::from(whole.0)).max(1);
    let place = |at: i64| {
        let since = i128::from(at.clamp(whole.0, whole.1)) - i128::from(whole.0);
        i64::try_from(since * i128::from(WIDTH) / length).unwrap_or(0)
    };
    let (from, to) = (place(stretch.0).min(WIDTH - 1), place(stretch.1));
    (from, (to - from).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_stands_where_its_span_ran_and_is_never_nothing() {
        assert_eq!(part((100, 300), (100, 300)), (0, 1_000));
        assert_eq!(part((100, 300), (150, 200)), (250, 250));
        assert_eq!(part((100, 300), (300, 300)), (999, 1));
        assert_eq!(part((100, 100), (100, 100)), (0, 1));
        assert_eq!(part((i64::MIN, i64::MAX), (0, i64::MAX)).1, 500);
    }
}
