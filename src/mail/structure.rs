//! Where the headers, parts and bodies of a message lie in its bytes, found in one pass over its lines within the limits
//! L-02, L-04 and L-05. A delimiter must match its whole line, so that `--ab` never passes for `--a` (B-12), and one of an
//! outer multipart ends all that lies within. What a field means is not known here.

use super::limits::{Cut, Cuts, HEADER_BLOCK_BYTES, HEADER_FIELDS, HEADER_VALUE_BYTES, MIME_DEPTH, PARTS};

/// One header field, undecoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// The name as written, without the colon.
    pub name: &'a [u8],
    /// The value with its folds, without the line end.
    pub value: &'a [u8],
}

impl Field<'_> {
    /// Whether this is the field `name`, in any case, even if spaces stand before its colon.
    pub fn is(&self, name: &str) -> bool {
        self.name.trim_ascii_end().eq_ignore_ascii_case(name.as_bytes())
    }
}

/// A message or a part of one.
#[derive(Clone, Debug)]
pub struct Part<'a> {
    pub fields: Vec<Field<'a>>,
    /// Header and body.
    pub whole: &'a [u8],
    /// What follows the header block, up to the delimiter or the end of the message.
    pub body: &'a [u8],
    /// The parts of a multipart, as indices into [`Structure::parts`]. A multipart without any is a body like another.
    pub children: Vec<usize>,
    /// What the part's own header says it is.
    pub nature: Nature,
    start: usize,
}

/// What the header of a part says about its inside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Nature {
    /// A body.
    Single,
    /// Parts, told apart by this delimiter.
    Multipart { boundary: Vec<u8> },
    /// Parts that lie too deep and are kept as they are (L-04).
    TooDeep,
}

/// The parts of a message; the first is the message itself.
pub struct Structure<'a> {
    pub parts: Vec<Part<'a>>,
    pub cuts: Cuts,
}

/// Finds the parts of `raw`. `boundary_of` reads the boundary from the header of a part, if it is a multipart.
pub fn read<'a>(raw: &'a [u8], mut boundary_of: impl FnMut(&[Field<'a>]) -> Option<Vec<u8>>) -> Structure<'a> {
    let mut structure = Structure { parts: Vec::new(), cuts: Cuts::default() };
    let mut open: Vec<Open> = Vec::new();
    let mut current = Some(structure.begin(raw, 0, &mut open, &mut boundary_of));
    let mut at = current.map_or(raw.len(), |part| structure.offset_of_body(part));
    while let Some(line) = next_dashed_line(raw, at) {
        let text = raw[line.start..line.end].trim_ascii_end();
        // A client once gave an inner multipart the boundary of the outer one: the inner ends first.
        let Some((level, is_last)) =
            open.iter().enumerate().rev().find_map(|(level, open)| Some((level, open.matches(text)?)))
        else {
            at = line.next;
            continue;
        };
        let end_of_part = without_line_end(raw, line.start);
        if let Some(part) = current.take() {
            structure.end(raw, part, end_of_part);
        }
        for inner in open.drain(level + 1..) {
            structure.end(raw, inner.part, end_of_part);
        }
        at = line.next;
        if is_last {
            let closed = open.remove(level);
            structure.end(raw, closed.part, line.next);
            continue;
        }
        if structure.parts.len() >= PARTS {
            structure.cuts.add(Cut::Parts);
            break;
        }
        let parent = open[level].part;
        let part = structure.begin(raw, at, &mut open, &mut boundary_of);
        structure.parts[parent].children.push(part);
        at = structure.offset_of_body(part);
        current = Some(part);
    }
    structure
}

struct Open {
    part: usize,
    boundary: Vec<u8>,
}

impl Open {
    /// Whether the line is this delimiter, and if so whether it is the last one.
    fn matches(&self, line: &[u8]) -> Option<bool> {
        let after = line.strip_prefix(b"--")?.strip_prefix(self.boundary.as_slice())?;
        match after {
            b"" => Some(false),
            b"--" => Some(true),
            _ => None,
        }
    }
}

impl<'a> Structure<'a> {
    /// Reads the header of the part that begins at `start` and opens it if it is a multipart.
    fn begin(
        &mut self,
        raw: &'a [u8],
        start: usize,
        open: &mut Vec<Open>,
        boundary_of: &mut impl FnMut(&[Field<'a>]) -> Option<Vec<u8>>,
    ) -> usize {
        let is_delimiter = |line: &[u8]| open.iter().any(|open| open.matches(line.trim_ascii_end()).is_some());
        let (fields, body) = header(&raw[start..], &mut self.cuts, is_delimiter);
        let part = self.parts.len();
        let nature = match boundary_of(&fields) {
            Some(_) if open.len() >= MIME_DEPTH => {
                self.cuts.add(Cut::MimeDepth);
                Nature::TooDeep
            }
            Some(boundary) => {
                open.push(Open { part, boundary: boundary.clone() });
                Nature::Multipart { boundary }
            }
            None => Nature::Single,
        };
        let (whole, body) = (&raw[start..], &raw[start + body..]);
        self.parts.push(Part { fields, whole, body, children: Vec::new(), nature, start });
        part
    }

    /// Ends the body of `part` at the offset `end` of the message, unless it ended before.
    fn end(&mut self, raw: &'a [u8], part: usize, end: usize) {
        let part = &mut self.parts[part];
        let header = part.whole.len() - part.body.len();
        let end = end.clamp(part.start + header, part.start + part.whole.len());
        part.whole = &raw[part.start..end];
        part.body = &part.whole[header..];
    }

    fn offset_of_body(&self, part: usize) -> usize {
        let part = &self.parts[part];
        part.start + part.whole.len() - part.body.len()
    }
}

/// Splits a header block into its fields and tells where the body begins. A line that is no field ends the block, as mail
/// servers have it; what is over a limit is skipped.
pub fn header<'a>(raw: &'a [u8], cuts: &mut Cuts, is_delimiter: impl Fn(&[u8]) -> bool) -> (Vec<Field<'a>>, usize) {
    let mut fields: Vec<Field<'a>> = Vec::new();
    let mut at = 0;
    while at < raw.len() {
        let line_end = end_of_line(raw, at);
        let line = &raw[at..line_end];
        if line.trim_ascii_end().is_empty() && !line.starts_with(b" ") && !line.starts_with(b"\t") {
            return (fields, line_end);
        }
        if line.starts_with(b"--") && is_delimiter(line) {
            return (fields, at);
        }
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { return (fields, at) };
        let name = &line[..colon];
        let is_name = |name: &[u8]| !name.is_empty() && name.iter().all(u8::is_ascii_graphic);
        if !is_name(name.trim_ascii_end()) {
            return (fields, at);
        }
        let mut field_end = line_end;
        while raw.get(field_end).is_some_and(|byte| matches!(byte, b' ' | b'\t')) {
            field_end = end_of_line(raw, field_end);
        }
        let mut value = &raw[at + colon + 1..without_line_end(raw, field_end)];
        if field_end > HEADER_BLOCK_BYTES {
            cuts.add(Cut::HeaderBlock);
        }
        if fields.len() >= HEADER_FIELDS {
            cuts.add(Cut::HeaderFields);
        } else if at <= HEADER_BLOCK_BYTES {
            if value.len() > HEADER_VALUE_BYTES {
                cuts.add(Cut::HeaderValue);
                value = &value[..HEADER_VALUE_BYTES];
            }
            fields.push(Field { name, value });
        }
        at = field_end;
    }
    (fields, raw.len())
}

struct Line {
    start: usize,
    end: usize,
    next: usize,
}

/// The next line from `at`, itself the beginning of a line, that begins with two dashes.
fn next_dashed_line(raw: &[u8], mut at: usize) -> Option<Line> {
    while at < raw.len() {
        let next = end_of_line(raw, at);
        if raw[at..].starts_with(b"--") {
            return Some(Line { start: at, end: next, next });
        }
        at = next;
    }
    None
}

/// Where the next line begins.
fn end_of_line(raw: &[u8], at: usize) -> usize {
    raw[at..].iter().position(|byte| *byte == b'\n').map_or(raw.len(), |distance| at + distance + 1)
}

/// `end` without the line end before it.
fn without_line_end(raw: &[u8], end: usize) -> usize {
    match &raw[..end] {
        [.., b'\r', b'\n'] => end - 2,
        [.., b'\n'] => end - 1,
        _ => end,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stand-in for reading Content-Type: `Boundary: x` makes a multipart.
    fn boundary_of(fields: &[Field<'_>]) -> Option<Vec<u8>> {
        let field = fields.iter().find(|field| field.is("boundary"))?;
        Some(field.value.trim_ascii().to_vec())
    }

    fn tree(raw: &str) -> (String, Vec<Cut>) {
        let structure = read(raw.as_bytes(), boundary_of);
        fn show(structure: &Structure<'_>, part: usize) -> String {
            let part = &structure.parts[part];
            if part.children.is_empty() {
                return String::from_utf8_lossy(part.body).into_owned();
            }
            let children: Vec<_> = part.children.iter().map(|child| show(structure, *child)).collect();
            format!("({})", children.join("|"))
        }
        (show(&structure, 0), structure.cuts.as_slice().to_vec())
    }

    fn shape(raw: &str) -> String {
        tree(raw).0
    }

    #[test]
    fn parts_are_found() {
        let raw = "Boundary: a\n\npreamble\n--a\n\none\n--a\nX: y\n\ntwo\n\n--a--\nepilogue\n";
        assert_eq!(shape(raw), "(one|two\n)");
        assert_eq!(shape(&raw.replace('\n', "\r\n")), "(one|two\r\n)");
        assert_eq!(shape("Boundary: a\n\n--a\nBoundary: b\n\n--b\n\none\n--b--\n--a\n\ntwo\n--a--"), "((one)|two)");
        assert_eq!(shape("Boundary: a\n\n--a  \n\none\n--a-- \t\n"), "(one)");
        assert_eq!(shape("Boundary: a\n\n--a\n\none"), "(one)", "the last delimiter is missing");
        assert_eq!(shape("Boundary: a\n\n--a\nBoundary: b\n\n--b\n\none\n--a\n\ntwo\n--b\n"), "((one)|two\n--b\n)");
    }

    #[test]
    fn b_12_a_boundary_must_be_the_whole_line() {
        assert_eq!(
            shape("Boundary: a\n\n--a\nBoundary: ab\n\n--ab\n\none\n--ab\n\ntwo\n--ab--\n--a\n\nthree\n--a--\n"),
            "((one|two)|three)"
        );
        assert_eq!(
            shape("Boundary: a\n\n--a\n\nx --a\n --a\n-- a\n--a-\n--a---\n--a--"),
            "(x --a\n --a\n-- a\n--a-\n--a---)"
        );
        assert_eq!(shape("Boundary: .*\n\n--abc\n\none\n--.*--\n"), "--abc\n\none");
    }

    #[test]
    fn b_12_a_multipart_without_its_boundary_is_a_body() {
        assert_eq!(shape("Boundary: a\n\njust text\n"), "just text\n");
        assert_eq!(shape("Boundary: a\n\n--a\nBoundary: a\n\n--a\n\none\n--a--\n"), "((one))");
        assert_eq!(shape("Boundary: a\n\n--a\nBoundary: a\n\n--a\n\none\n--a--\n\n--a\n\ntwo\n--a--\n"), "((one)|two)");
    }

    #[test]
    fn a_header_ends_where_it_is_none() {
        let mut cuts = Cuts::default();
        let raw = b"From: a\nSubject : b\n  c\nno field\nTo: d\n";
        let (fields, body) = header(raw, &mut cuts, |_| false);
        assert_eq!(fields.len(), 2);
        assert_eq!(fields[1], Field { name: b"Subject ", value: b" b\n  c" });
        assert!(raw[body..].starts_with(b"no field"));
        assert_eq!(header(b" folded\n", &mut cuts, |_| false), (Vec::new(), 0));
        assert_eq!(header(b"", &mut cuts, |_| false), (Vec::new(), 0));
        assert_eq!(shape("Boundary: a:b\n\n--a:b\n folded\n\nx\n--a:b\nX: y\n--a:b--\n"), "( folded\n\nx|)");
        assert!(cuts.is_empty());
    }

    #[test]
    fn l_02_header_blocks_fields_and_values_are_bounded() {
        let body = |raw: &str| {
            let structure = read(raw.as_bytes(), boundary_of);
            let part = &structure.parts[0];
            (part.fields.len(), String::from_utf8_lossy(part.body).into_owned(), structure.cuts.as_slice().to_vec())
        };
        let fields = |count: usize| format!("{}\nbody", "X: y\n".repeat(count));
        assert_eq!(body(&fields(1_000)), (1_000, "body".into(), vec![]));
        assert_eq!(body(&fields(1_001)), (1_000, "body".into(), vec![Cut::HeaderFields]));
        assert_eq!(body(&format!("X: {}\n\nbody", "y".repeat(40_000))), (1, "body".into(), vec![Cut::HeaderValue]));
        let many = format!("{}\nbody", format!("X: {}\n", "y".repeat(30_000)).repeat(10));
        assert_eq!(body(&many), (9, "body".into(), vec![Cut::HeaderBlock]));
        let folds = format!("X: y\n{}\nbody", " z\n".repeat(300_000));
        assert_eq!(body(&folds), (1, "body".into(), vec![Cut::HeaderBlock, Cut::HeaderValue]));
    }

    #[test]
    fn l_04_parts_that_lie_too_deep_are_kept_as_they_are() {
        let nested = |depth: usize| {
            let mut raw = "Boundary: b0\n".to_owned();
            for level in 0..depth {
                raw.push_str(&format!("\n--b{level}\nBoundary: b{}\n", level + 1));
            }
            raw.push_str(&format!("\n--b{depth}\n\nbottom\n"));
            raw
        };
        let (shape, cuts) = tree(&nested(19));
        assert!(shape.contains("(bottom") && cuts.is_empty());
        let structure_of = nested(10_000);
        let structure = read(structure_of.as_bytes(), boundary_of);
        assert_eq!(structure.cuts.as_slice(), [Cut::MimeDepth]);
        assert_eq!(structure.parts.len(), 21);
        assert_eq!(structure.parts[20].nature, Nature::TooDeep);
        assert!(structure.parts[20].body.ends_with(b"bottom\n"), "it is kept");
    }

    #[test]
    fn l_05_parts_past_the_limit_are_left() {
        let raw = format!("Boundary: a\n\n{}", "--a\n\nx\n".repeat(100_000));
        let structure = read(raw.as_bytes(), boundary_of);
        assert_eq!((structure.parts.len(), structure.cuts.as_slice()), (500, &[Cut::Parts][..]));
    }
}
