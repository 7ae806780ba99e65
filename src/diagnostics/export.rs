//! What was captured, in the forms that other programs read. Each file names the grant it was taken under, gaps are in it
//! as well, and it is made piece by piece, so that however much was captured little of it is in memory. Who may have it,
//! and that they had it, is `viewing`'s concern.

use serde_json::{Map, Value as Json, json};

use crate::clock::UtcTime;
use crate::consent::Grant;
use crate::diagnostics::assembling::{Assembler, Piece};
use crate::diagnostics::flame::Flame;
use crate::diagnostics::record::{Body, Value};
use crate::diagnostics::viewing::{Form, Line, admitted_by};

mod chrome;
mod otlp;
mod table;

/// How a form is called as a file.
pub fn media_type(form: Form) -> &'static str {
    match form {
        Form::Otlp => "application/x-ndjson",
        Form::Chrome => "application/json",
        Form::Flame | Form::Folded => "text/plain; charset=utf-8",
        Form::Csv => "text/csv; charset=utf-8",
    }
}

/// The name of the file, which says of which grant it is.
pub fn file_name(form: Form, grant: &Grant) -> String {
    let ending = match form {
        Form::Otlp => "otlp.jsonl",
        Form::Chrome => "trace.json",
        Form::Flame | Form::Folded => "folded.txt",
        Form::Csv => "csv",
    };
    format!("accord-grant-{}.{ending}", grant.handle)
}

/// A file in the making.
pub struct Export {
    about: About,
    maker: Maker,
}

/// What every form says of its origin.
struct About {
    grant: Grant,
    made_at: UtcTime,
    /// Pieces so far that no trace of their own tells apart.
    lone: u64,
}

enum Maker {
    Otlp(Assembler),
    Chrome(Assembler),
    Folded { assembler: Assembler, flame: Flame },
    Csv,
}

impl Export {
    /// Begins a file.
    pub fn new(form: Form, grant: Grant, now: UtcTime) -> Export {
        let assembler = Assembler::default();
        let maker = match form {
            Form::Otlp => Maker::Otlp(assembler),
            Form::Chrome => Maker::Chrome(assembler),
            Form::Flame | Form::Folded => Maker::Folded { assembler, flame: Flame::default() },
            Form::Csv => Maker::Csv,
        };
        Export { about: About { grant, made_at: now, lone: 0 }, maker }
    }

    /// What stands before the first record.
    pub fn begin(&self) -> Vec<u8> {
        match &self.maker {
            Maker::Otlp(_) | Maker::Folded { .. } => Vec::new(),
            Maker::Chrome(_) => chrome::begin(&self.about),
            Maker::Csv => table::header(),
        }
    }

    /// Takes records; gives as much of the file as is known with them.
    pub fn take(&mut self, lines: Vec<Line>) -> Vec<u8> {
        if let Maker::Csv = self.maker {
            return table::rows(&self.about, &lines);
        }
        let mut bytes = Vec::new();
        for line in lines {
            let pieces = match &mut self.maker {
                Maker::Otlp(assembler) | Maker::Chrome(assembler) | Maker::Folded { assembler, .. } => {
                    assembler.take(line)
                }
                Maker::Csv => Vec::new(),
            };
            self.write(&pieces, &mut bytes);
        }
        bytes
    }

    /// The end of the file.
    pub fn finish(mut self) -> Vec<u8> {
        let left = match &mut self.maker {
            Maker::Otlp(assembler) | Maker::Chrome(assembler) | Maker::Folded { assembler, .. } => {
                std::mem::take(assembler).finish()
            }
            Maker::Csv => Vec::new(),
        };
        let mut bytes = Vec::new();
        self.write(&left, &mut bytes);
        match &self.maker {
            Maker::Otlp(_) | Maker::Csv => {}
            Maker::Chrome(_) => bytes.extend_from_slice(chrome::END),
            Maker::Folded { flame, .. } => {
                bytes.extend_from_slice(flame.folded(&format!("grant {}", self.about.grant.handle)).as_bytes());
            }
        }
        bytes
    }

    fn write(&mut self, pieces: &[Piece], bytes: &mut Vec<u8>) {
        for piece in pieces {
            match &mut self.maker {
                Maker::Otlp(_) => {
                    bytes.extend_from_slice(otlp::line(&mut self.about, piece).to_string().as_bytes());
                    bytes.push(b'\n');
                }
                Maker::Chrome(_) => {
                    for event in chrome::events(&mut self.about, piece) {
                        // What stands at the beginning is an event already.
                        bytes.extend_from_slice(b",\n");
                        bytes.extend_from_slice(event.to_string().as_bytes());
                    }
                }
                Maker::Folded { flame, .. } => {
                    if let Piece::Trace(lines) = piece {
                        flame.add(lines);
                    }
                }
                Maker::Csv => {}
            }
        }
    }
}

impl About {
    /// A number for what has no trace of its own.
    fn next_lone(&mut self) -> u64 {
        self.lone += 1;
        self.lone
    }

    /// What Accord knows of a record beside its fields: where it was recorded, what let it in, what is not in it.
    fn notes(&self, line: &Line, body: &Body) -> Vec<(&'static str, Json)> {
        let mut notes = vec![("accord.target", json!(body.target)), ("accord.level", json!(body.level.code()))];
        if !body.file.is_empty() {
            notes.push(("code.file.path", json!(body.file)));
        }
        if let Some(component) = admitted_by(&self.grant.scope, line.channel, body) {
            notes.push(("accord.admitted_by", json!(component.as_str())));
        }
        let masked = masked(line);
        if !masked.is_empty() {
            notes.push(("accord.masked", json!(masked)));
        }
        if line.redacted.left_out > 0 {
            notes.push(("accord.fields_left_out", json!(line.redacted.left_out)));
        }
        if is_cut(body) {
            notes.push(("accord.is_cut", json!(true)));
        }
        notes
    }
}

/// Which rule masked something in which field, in one text.
fn masked(line: &Line) -> String {
    let marks: Vec<String> = line.redacted.masked.iter().map(|mark| format!("{}: {}", mark.field, mark.rule)).collect();
    marks.join(", ")
}

fn is_cut(body: &Body) -> bool {
    body.is_cut || body.fields.iter().any(|field| field.is_cut)
}

/// A value as JSON; a number that JSON has not is a text.
fn plain(value: &Value) -> Json {
    match value {
        Value::Bool(truth) => json!(truth),
        Value::Integer(number) => json!(number),
        Value::Unsigned(number) => json!(number),
        Value::Float(number) if number.is_finite() => json!(number),
        Value::Float(number) => json!(number.to_string()),
        Value::Text(text) => json!(text),
    }
}

/// The fields of a record and what Accord knows of it, by name.
fn fields(about: &About, line: &Line, body: &Body) -> Map<String, Json> {
    let own = body.fields.iter().map(|field| (field.name.clone(), plain(&field.value)));
    own.chain(about.notes(line, body).into_iter().map(|(name, value)| (name.to_owned(), value))).collect()
}

/// What an event says: its message, or where it happened.
fn words(body: &Body) -> String {
    let message = body.fields.iter().find(|field| field.name == "message").map(|field| &field.value);
    match message {
        Some(Value::Text(text)) if !text.is_empty() => text.clone(),
        _ if !body.name.is_empty() => body.name.clone(),
        _ => body.target.clone(),
    }
}
