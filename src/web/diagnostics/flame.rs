//! The flame graph of everything that a grant captured, outermost spans on top: a drawing made here, and the numbers behind
//! it as a table. It needs no script and no style of its own, which the policy of our pages would not let in.

use crate::app::App;
use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::diagnostics::assembling::{Assembler, Piece};
use crate::diagnostics::flame::{Flame, Stack};
use crate::diagnostics::seats::Seat;
use crate::diagnostics::viewing::{self, Leave};
use crate::error::Result;
use crate::i18n::Texts;
use crate::keys::Keys;
use crate::mail::address::visible;
use crate::web::diagnostics::records::milliseconds;

/// The drawing's width, in its own units.
const WIDTH: u64 = 1_200;
/// The height of a row.
const ROW: u64 = 22;
/// About the width of a letter.
const LETTER: u64 = 7;
/// Colours that tell neighbours apart.
const COLOURS: u32 = 5;
/// Rows of the table.
const LISTED: usize = 200;

/// The drawing and its table.
pub struct FlameView {
    pub width: u64,
    pub height: u64,
    pub boxes: Vec<BoxView>,
    pub rows: Vec<StackView>,
    /// Stacks that have no row.
    pub left_out: Option<String>,
    pub summary: String,
}

/// A stack in the drawing.
pub struct BoxView {
    pub x: u64,
    pub y: u64,
    pub width: u64,
    pub colour: String,
    pub label: String,
    pub title: String,
}

/// A stack in the table.
pub struct StackView {
    pub names: String,
    pub count: String,
    pub total: String,
    pub own: String,
    pub share: String,
    pub errors: String,
}

/// Adds everything up that `leave` lets read, a few chunks at a time, all of it where work may take its time. The seat is
/// held until it is done.
pub async fn of(app: &App, leave: Leave, seat: Seat) -> Result<Flame> {
    let mut adding =
        Adding { after: leave.after, leave, flame: Flame::default(), assembler: Assembler::default(), seat };
    loop {
        let (keys, now) = (app.keys.clone(), app.clock.now());
        let is_done;
        (adding, is_done) = app.database.read(move |db| adding.go_on(db, &keys, now)).await?;
        if is_done {
            return Ok(adding.flame);
        }
    }
}

struct Adding {
    leave: Leave,
    /// The last chunk that was added.
    after: i64,
    flame: Flame,
    assembler: Assembler,
    #[expect(dead_code, reason = "held, not used: it is given back when all is added up, or nobody waits for that")]
    seat: Seat,
}

impl Adding {
    /// Adds the next chunks; says whether those were all.
    fn go_on(mut self, db: &mut DbConnection, keys: &Keys, now: UtcTime) -> Result<(Adding, bool)> {
        let next = viewing::read_on(db, keys, &self.leave, self.after, now)?;
        let is_done = next.is_none();
        match next {
            Some((lines, last)) => {
                for line in lines {
                    add(&mut self.flame, self.assembler.take(line));
                }
                self.after = last;
            }
            None => add(&mut self.flame, std::mem::take(&mut self.assembler).finish()),
        }
        Ok((self, is_done))
    }
}

fn add(flame: &mut Flame, pieces: Vec<Piece>) {
    for piece in pieces {
        if let Piece::Trace(lines) = piece {
            flame.add(&lines);
        }
    }
}

pub fn view(t: &Texts, flame: &Flame) -> FlameView {
    let weights = flame.weights();
    let tops = || (0..flame.stacks.len()).filter(|index| flame.stacks[*index].within.is_none());
    let all: u64 = tops().map(|index| weights[index]).fold(0, u64::saturating_add);
    let mut within: Vec<Vec<usize>> = vec![Vec::new(); flame.stacks.len()];
    for (index, stack) in flame.stacks.iter().enumerate() {
        if let Some(outer) = stack.within {
            within[outer].push(index);
        }
    }
    // The widest first, each followed by what it holds.
    let widest_first = |list: &mut Vec<usize>| list.sort_by_key(|index| std::cmp::Reverse(weights[*index]));
    let mut todo: Vec<(usize, u64, u64)> = Vec::new();
    let mut tops: Vec<usize> = tops().collect();
    widest_first(&mut tops);
    let mut at = 0;
    for index in tops {
        todo.push((index, at, 0));
        at += weights[index];
    }
    todo.reverse();
    let (mut boxes, mut rows, mut height) = (Vec::new(), Vec::new(), ROW);
    while let Some((index, from, depth)) = todo.pop() {
        let stack = &flame.stacks[index];
        rows.push(stack_view(t, flame, index, weights[index], all));
        let x = scaled(from, all);
        let width = scaled(from + weights[index], all).saturating_sub(x);
        if width == 0 {
            continue;
        }
        boxes.push(box_view(t, stack, weights[index], all, (x, depth * ROW, width)));
        height = height.max((depth + 1) * ROW);
        let mut inner = std::mem::take(&mut within[index]);
        widest_first(&mut inner);
        let mut at = from;
        let mut placed = Vec::new();
        for index in inner {
            placed.push((index, at, depth + 1));
            at += weights[index];
        }
        todo.extend(placed.into_iter().rev());
    }
    let left_out = flame.stacks.len().saturating_sub(LISTED.min(rows.len()));
    rows.truncate(LISTED);
    FlameView {
        width: WIDTH,
        height,
        boxes,
        rows,
        left_out: (left_out > 0)
            .then(|| t.count("diagnostics-flame-left-out", i64::try_from(left_out).unwrap_or(i64::MAX))),
        summary: t.count("diagnostics-flame-spans", i64::try_from(flame.spans).unwrap_or(i64::MAX)),
    }
}

fn scaled(nanos: u64, all: u64) -> u64 {
    let scaled = u128::from(nanos) * u128::from(WIDTH) / u128::from(all.max(1));
    u64::try_from(scaled).unwrap_or(WIDTH)
}

fn box_view(t: &Texts, stack: &Stack, weight: u64, all: u64, (x, y, width): (u64, u64, u64)) -> BoxView {
    let name = visible(&stack.name);
    let room = usize::try_from(width / LETTER).unwrap_or(0).saturating_sub(1);
    let label = match name.chars().count() {
        letters if letters <= room => name.clone(),
        _ if room >= 3 => name.chars().take(room - 1).chain(['…']).collect(),
        _ => String::new(),
    };
    let hash = name.bytes().fold(0_u32, |hash, byte| hash.wrapping_mul(31).wrapping_add(u32::from(byte)));
    let title = format!(
        "{name}: {}, {}, {}",
        percent(weight, all),
        milliseconds(i64::try_from(stack.total_nanos).unwrap_or(i64::MAX)),
        t.count("diagnostics-flame-times", i64::try_from(stack.count).unwrap_or(i64::MAX)),
    );
    let colour = if stack.errors > 0 { "late".to_owned() } else { format!("c{}", hash % COLOURS) };
    BoxView { x, y, width, colour, label, title }
}

fn stack_view(t: &Texts, flame: &Flame, index: usize, weight: u64, all: u64) -> StackView {
    let stack = &flame.stacks[index];
    let number = |number: u64| t.number(i64::try_from(number).unwrap_or(i64::MAX));
    let time = |nanos: u64| milliseconds(i64::try_from(nanos).unwrap_or(i64::MAX));
    StackView {
        names: visible(&flame.names(index).join(" › ")),
        count: number(stack.count),
        total: time(stack.total_nanos),
        own: time(stack.own_nanos),
        share: percent(weight, all),
        errors: number(stack.errors),
    }
}

/// A share, to the tenth of a percent.
fn percent(part: u64, all: u64) -> String {
    let tenths = u128::from(part) * 1_000 / u128::from(all.max(1));
    format!("{}.{} %", tenths / 10, tenths % 10)
}
