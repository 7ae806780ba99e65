//! Counts what is in HTML before a parser builds a tree of it (L-08 to L-11): parser and sanitizer take quadratic time on
//! deep nesting and on many attributes. The count follows the parser's rules closely enough to never come out below the
//! depth the tree will have; where it cannot follow, it errs on the high side.

/// L-08: HTML that is sanitized.
pub const HTML_BYTES: usize = 1 << 20;
/// L-09: open elements. `ammonia` takes 0.56 s for 10 000 and more than 40 s for 100 000.
pub const HTML_NESTING: usize = 256;
/// L-10: attributes of one tag. `html5ever` takes 10.4 s for 100 000.
pub const ATTRIBUTES_PER_TAG: usize = 64;
/// L-11: links. 500 000 take 2.1 s and 378 MB.
pub const LINKS: usize = 5_000;
/// Tags in all, many times what a mebibyte of ordinary HTML has.
pub const ELEMENTS: usize = 30_000;
/// Tags in a table outside its cells: the parser moves them before the table one by one, which is quadratic.
const MISPLACED: usize = 1_000;
/// What may follow an element that changes the rules of parsing (`svg`, `select` …), in bytes and in tags.
const UNCERTAIN_BYTES: usize = 32 << 10;
const UNCERTAIN_TAGS: usize = 1_000;
/// Repeated `html` and `body` tags, whose attributes are merged one by one.
const DOCUMENT_TAGS: usize = 64;

/// Which limit the HTML is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exceeded {
    Size,
    Nesting,
    Attributes,
    Links,
    Elements,
}

/// The first limit that `html` is over, if any.
pub fn exceeded(html: &str) -> Option<Exceeded> {
    if html.len() > HTML_BYTES {
        return Some(Exceeded::Size);
    }
    Scan { bytes: html.as_bytes(), at: 0 }.run().err()
}

struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Scan<'_> {
    fn run(mut self) -> Result<(), Exceeded> {
        let mut open = OpenElements::default();
        let (mut elements, mut links, mut documents, mut misplaced) = (0, 0, 0, 0);
        let mut is_between_cells = false;
        while self.skip_to(b'<') {
            match self.bytes.get(self.at + 1) {
                Some(b'!') if self.bytes[self.at..].starts_with(b"<!--") => self.skip_comment(),
                Some(b'!' | b'?') => {
                    self.skip_to(b'>');
                }
                Some(b'/') if self.bytes.get(self.at + 2).is_some_and(u8::is_ascii_alphabetic) => {
                    self.at += 2;
                    let name = self.name();
                    self.attributes()?;
                    is_between_cells = (is_between_cells || is_table_part(&name)) && name != "table";
                    open.close(&name);
                }
                Some(b'/') => {
                    self.skip_to(b'>');
                }
                Some(byte) if byte.is_ascii_alphabetic() => {
                    self.at += 1;
                    let name = self.name();
                    self.attributes()?;
                    elements += 1;
                    links += usize::from(name == "a");
                    documents += usize::from(name == "html" || name == "body");
                    match name.as_str() {
                        "td" | "th" | "caption" => is_between_cells = false,
                        "table" => is_between_cells = true,
                        _ if is_table_part(&name) => is_between_cells = true,
                        _ => misplaced += usize::from(is_between_cells),
                    }
                    open.open(&name);
                    if open.depth() > HTML_NESTING {
                        return Err(Exceeded::Nesting);
                    }
                    if links > LINKS {
                        return Err(Exceeded::Links);
                    }
                    if elements > ELEMENTS || documents > DOCUMENT_TAGS || misplaced > MISPLACED {
                        return Err(Exceeded::Elements);
                    }
                    match name.as_str() {
                        "svg" | "math" | "select" | "template" | "noscript" | "frameset" | "plaintext" => {
                            return self.uncertain_rest();
                        }
                        "script" | "style" | "xmp" | "iframe" | "noembed" | "noframes" | "textarea" | "title" => {
                            self.skip_raw_text(&name)?;
                        }
                        _ => {}
                    }
                }
                _ => self.at += 1,
            }
        }
        Ok(())
    }

    /// Moves to the next `byte`; at the end of the text if there is none.
    fn skip_to(&mut self, byte: u8) -> bool {
        let found = self.bytes[self.at..].iter().position(|b| *b == byte);
        self.at = found.map_or(self.bytes.len(), |distance| self.at + distance);
        found.is_some()
    }

    /// A comment ends at `-->` or `--!>`, or at once with `<!-->` and `<!--->`.
    fn skip_comment(&mut self) {
        self.at += 4;
        let rest = &self.bytes[self.at..];
        if rest.starts_with(b">") || rest.starts_with(b"->") {
            return;
        }
        let end = rest.windows(3).position(|window| window == b"-->" || window == b"--!");
        self.at += end.unwrap_or(rest.len());
    }

    /// Reads a tag's name, in lower case, shortened where no known name is that long.
    fn name(&mut self) -> String {
        let rest = &self.bytes[self.at..];
        let end = rest.iter().position(|b| is_space(*b) || matches!(b, b'/' | b'>')).unwrap_or(rest.len());
        self.at += end;
        String::from_utf8_lossy(&rest[..end.min(16)]).to_ascii_lowercase()
    }

    /// Reads the attributes of a tag, up to behind its `>`.
    fn attributes(&mut self) -> Result<(), Exceeded> {
        let mut count = 0;
        loop {
            self.skip_while(|b| is_space(b) || b == b'/');
            match self.bytes.get(self.at) {
                None => return Ok(()),
                Some(b'>') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(_) => {}
            }
            count += 1;
            if count > ATTRIBUTES_PER_TAG {
                return Err(Exceeded::Attributes);
            }
            self.at += 1;
            self.skip_while(|b| !is_space(b) && !matches!(b, b'/' | b'>' | b'='));
            self.skip_while(is_space);
            if self.bytes.get(self.at) != Some(&b'=') {
                continue;
            }
            self.at += 1;
            self.skip_while(is_space);
            match self.bytes.get(self.at) {
                Some(&quote @ (b'"' | b'\'')) => {
                    self.at += 1;
                    self.skip_to(quote);
                    self.at = (self.at + 1).min(self.bytes.len());
                }
                _ => self.skip_while(|b| !is_space(b) && b != b'>'),
            }
        }
    }

    fn skip_while(&mut self, condition: impl Fn(u8) -> bool) {
        while self.bytes.get(self.at).is_some_and(|b| condition(*b)) {
            self.at += 1;
        }
    }

    /// Moves to the end tag of an element whose content is text.
    fn skip_raw_text(&mut self, name: &str) -> Result<(), Exceeded> {
        let start = self.at;
        while self.skip_to(b'<') {
            let rest = &self.bytes[self.at + 1..];
            let is_end = rest.first() == Some(&b'/')
                && rest.get(1..=name.len()).is_some_and(|found| found.eq_ignore_ascii_case(name.as_bytes()))
                && rest.get(name.len() + 1).is_some_and(|b| is_space(*b) || matches!(b, b'/' | b'>'));
            if name == "script" && rest.starts_with(b"!--") {
                // Within a script, a comment may hide the end tag.
                self.at = start;
                return self.uncertain_rest();
            }
            if is_end {
                return Ok(());
            }
            self.at += 1;
        }
        Ok(())
    }

    /// What follows is not worth telling comments from tags in it: little of it is let through, much is not.
    fn uncertain_rest(&self) -> Result<(), Exceeded> {
        let rest = &self.bytes[self.at..];
        let tags = rest.windows(2).filter(|pair| pair[0] == b'<' && pair[1].is_ascii_alphabetic()).count();
        if rest.len() > UNCERTAIN_BYTES || tags > UNCERTAIN_TAGS { Err(Exceeded::Nesting) } else { Ok(()) }
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b'\x0C')
}

/// The parser's stack of open elements, without those that a table's own rules keep few (`tr`, `td` …). Formatting
/// elements stay on it until their own end tag, as the parser opens them again in whatever follows.
#[derive(Default)]
struct OpenElements {
    stack: Vec<(Kind, String)>,
    /// An `object` was closed from outside: the parser then no longer finds formatting elements opened before it.
    has_lost_formatting: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Formatting,
    Ordinary,
    Block,
    /// `p`, `li`, `dd`, `dt`: closed by the next of their kind.
    Item,
    /// End tags inside do not reach elements outside.
    Barrier,
}

impl OpenElements {
    fn depth(&self) -> usize {
        self.stack.len()
    }

    fn open(&mut self, name: &str) {
        let name = heading_or(name);
        let kind = kind(name);
        let is_block = matches!(kind, Some(Kind::Block | Kind::Item)) && name != "button";
        if is_block || matches!(name, "hr" | "table" | "xmp") {
            self.close_in("p", |open| open == "button");
        }
        let Some(kind) = kind else {
            if is_table_part(name) {
                // Opening a row or a cell closes whatever was left open in the one before.
                if let Some(table) = self.stack.iter().rposition(|(_, open)| open == "table") {
                    self.close_above(table);
                }
            }
            return;
        };
        match name {
            "li" => self.close_item(&["li"]),
            "dd" | "dt" => self.close_item(&["dd", "dt"]),
            // An anchor closes the one that is open.
            "a" => self.close("a"),
            _ => {}
        }
        self.stack.push((kind, name.to_owned()));
    }

    fn close(&mut self, name: &str) {
        let name = heading_or(name);
        match (name, kind(name)) {
            // A form is forgotten, but what was left open in it stays inside of it.
            ("form", _) => {
                self.stack.pop_if(|(_, open)| open == "form");
            }
            (_, Some(Kind::Formatting)) if self.has_lost_formatting => {}
            (_, Some(Kind::Formatting)) => {
                if let Some(at) = self.find(name, |_| false) {
                    self.stack.remove(at);
                }
            }
            ("p", _) => self.close_in(name, |open| open == "button"),
            ("li", _) => self.close_in(name, |open| open == "ol" || open == "ul"),
            ("table", _) => {
                if let Some(at) = self.stack.iter().rposition(|(_, open)| open == "table") {
                    self.close_above(at);
                    self.stack.remove(at);
                }
            }
            (_, Some(Kind::Ordinary)) => {
                let is_in_the_way =
                    |at: usize| self.stack[at..].iter().any(|(kind, _)| matches!(kind, Kind::Block | Kind::Item));
                if let Some(at) = self.find(name, |_| false).filter(|at| !is_in_the_way(*at)) {
                    self.close_above(at);
                    self.stack.remove(at);
                }
            }
            (_, Some(_)) => self.close_in(name, |_| false),
            (_, None) => {}
        }
    }

    /// Closes the last open `name` and what is in it, unless a barrier lies between.
    fn close_in(&mut self, name: &str, is_barrier: impl Fn(&str) -> bool) {
        if let Some(at) = self.find(name, is_barrier) {
            self.close_above(at);
            self.stack.remove(at);
        }
    }

    fn find(&self, name: &str, is_barrier: impl Fn(&str) -> bool) -> Option<usize> {
        for (at, (kind, open)) in self.stack.iter().enumerate().rev() {
            if open == name {
                return Some(at);
            }
            if *kind == Kind::Barrier || is_barrier(open) {
                return None;
            }
        }
        None
    }

    /// Closes an open item of one of these names, if only what an item may reach through lies between.
    fn close_item(&mut self, names: &[&str]) {
        for at in (0..self.stack.len()).rev() {
            let (kind, open) = &self.stack[at];
            if names.contains(&open.as_str()) {
                self.close_above(at);
                self.stack.remove(at);
                return;
            }
            let is_special = matches!(kind, Kind::Block | Kind::Item | Kind::Barrier);
            if is_special && !matches!(open.as_str(), "address" | "div" | "p") {
                return;
            }
        }
    }

    /// Closes all above `at`, except formatting elements, which come back.
    fn close_above(&mut self, at: usize) {
        let above = self.stack.split_off(at + 1);
        self.has_lost_formatting |= above.iter().any(|(kind, open)| *kind == Kind::Barrier && open != "table");
        self.stack.extend(above.into_iter().filter(|(kind, _)| *kind == Kind::Formatting));
    }
}

/// The end tag of one heading closes any other.
fn heading_or(name: &str) -> &str {
    if matches!(name, "h2" | "h3" | "h4" | "h5" | "h6") { "h1" } else { name }
}

fn is_table_part(name: &str) -> bool {
    matches!(name, "caption" | "colgroup" | "tbody" | "thead" | "tfoot" | "tr" | "td" | "th")
}

/// What kind of element it is; `None` for those without content and those not counted.
fn kind(name: &str) -> Option<Kind> {
    Some(match name {
        "area" | "base" | "basefont" | "bgsound" | "br" | "col" | "embed" | "frame" | "hr" | "image" | "img"
        | "input" | "keygen" | "link" | "meta" | "param" | "source" | "track" | "wbr" => return None,
        "html" | "head" | "body" => return None,
        // Their content is text and their end tag is skipped to.
        "script" | "style" | "xmp" | "iframe" | "noembed" | "noframes" | "textarea" | "title" => return None,
        _ if is_table_part(name) => return None,
        "a" | "b" | "big" | "code" | "em" | "font" | "i" | "nobr" | "s" | "small" | "strike" | "strong" | "tt"
        | "u" => Kind::Formatting,
        "p" | "li" | "dd" | "dt" => Kind::Item,
        "table" | "applet" | "marquee" | "object" => Kind::Barrier,
        "address" | "article" | "aside" | "blockquote" | "button" | "center" | "details" | "dialog" | "dir" | "div"
        | "dl" | "fieldset" | "figcaption" | "figure" | "footer" | "form" | "h1" | "h2" | "h3" | "h4" | "h5" | "h6"
        | "header" | "hgroup" | "listing" | "main" | "menu" | "nav" | "ol" | "pre" | "search" | "section"
        | "summary" | "ul" => Kind::Block,
        _ => Kind::Ordinary,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn l_08_html_over_a_mebibyte_is_not_parsed() {
        assert_eq!(exceeded(&" ".repeat(HTML_BYTES)), None);
        assert_eq!(exceeded(&" ".repeat(HTML_BYTES + 1)), Some(Exceeded::Size));
    }

    #[test]
    fn l_09_deep_nesting_is_not_parsed() {
        for piece in [
            "<div>",
            "<b>",
            "<b><p>",
            "<font color=1><p>",
            "<b><div></b>",
            "<span><div></span>",
            "<span><p></span><div></div>",
            "<div><table><tr><td></div></table>",
            "<form><div></form>",
            "<li><dd>",
            "<div><b></div>",
            "<table><div></td>",
            "<x-y>",
            "<table>",
            "<div><!--x></div>-->",
            "<style><!--</style><div><!--</div>-->",
            "<div title='</div>'>",
            "<i/>",
        ] {
            assert_eq!(exceeded(&piece.repeat(2_000)), Some(Exceeded::Nesting), "{piece}");
        }
        assert_eq!(exceeded(&"<svg><style><!--</style><div></div>-->".repeat(2_000)), Some(Exceeded::Nesting));
        assert_eq!(exceeded(&"<div>".repeat(256)), None);
    }

    #[test]
    fn l_09_ordinary_html_is_not_deep() {
        for piece in [
            "<p>one<p>two",
            "<ul><li>one<li>two</ul>",
            "<br><img src=x><hr>",
            "<table><tr><td><div>x<tr><td>y</table>",
            "<div><b><i>x</b></i></div>",
            "<a name=x>x",
            "<span><font><b>x</font></b></span>",
            "<p class=MsoNormal><span style='a:b'>x<o:p>&nbsp;</o:p></span></p>",
            "<!--[if mso]><table><tr><td><![endif]--><div>x</div><!--[if mso]></td></tr></table><![endif]-->",
            "<style>a > b { color: red } <!-- x --></style>",
            "<h1>x</h1><blockquote><pre>y</pre></blockquote>",
            "a < b && b > c </> <> <1",
        ] {
            assert_eq!(exceeded(&piece.repeat(2_000)), None, "{piece}");
        }
        assert_eq!(exceeded("<p><svg><path d=x></svg><select><option>x</select></p>"), None);
    }

    #[test]
    fn l_10_many_attributes_are_not_parsed() {
        let tag = |count: usize| format!("<p {}>", "a=\"'>\" ".repeat(count));
        assert_eq!(exceeded(&tag(64)), None);
        assert_eq!(exceeded(&tag(65)), Some(Exceeded::Attributes));
        assert_eq!(exceeded(&format!("<p {}>", "a/".repeat(65))), Some(Exceeded::Attributes));
        assert_eq!(exceeded(&format!("</p {}>", "a='b'c=d ".repeat(65))), Some(Exceeded::Attributes));
    }

    #[test]
    fn l_11_many_links_are_not_parsed() {
        assert_eq!(exceeded(&"<a href=x>x</a>".repeat(5_000)), None);
        assert_eq!(exceeded(&"<a href=x>x</a>".repeat(5_001)), Some(Exceeded::Links));
    }

    #[test]
    fn b_10_foster_parenting_and_merged_bodies_are_bounded() {
        assert_eq!(exceeded(&format!("<table>{}", "<b>x</b>".repeat(1_001))), Some(Exceeded::Elements));
        assert_eq!(exceeded(&"<table><tr><td><b>x</b></td></tr></table><b>y</b>".repeat(1_500)), None);
        assert_eq!(exceeded(&"<b>x</b>".repeat(30_001)), Some(Exceeded::Elements));
        assert_eq!(exceeded(&"<body a1=x>".repeat(100)), Some(Exceeded::Elements));
        assert_eq!(exceeded(&"<!--".repeat(200_000)), None);
    }

    /// Nesting of the tree the parser makes of `html`, seen on what `ammonia` writes when it keeps every element.
    fn depth_of_tree(html: &str) -> usize {
        let names = NAMES.iter().copied().filter(|name| !matches!(*name, "script" | "style" | "svg"));
        let mut builder = ammonia::Builder::empty();
        builder.tags(names.collect());
        let (mut depth, mut deepest) = (0_usize, 0);
        for tag in builder.clean(html).to_string().split('<').skip(1) {
            let name: String = tag.trim_start_matches('/').chars().take_while(|c| c.is_alphanumeric()).collect();
            if matches!(name.as_str(), "br" | "hr") {
                continue;
            }
            if tag.starts_with('/') {
                depth = depth.saturating_sub(1)
            } else {
                depth += 1
            }
            deepest = deepest.max(depth);
        }
        deepest
    }

    const NAMES: [&str; 34] = [
        "a",
        "b",
        "i",
        "font",
        "nobr",
        "span",
        "x",
        "div",
        "p",
        "li",
        "ul",
        "ol",
        "dd",
        "dt",
        "dl",
        "table",
        "tr",
        "td",
        "tbody",
        "caption",
        "form",
        "button",
        "center",
        "object",
        "marquee",
        "address",
        "h1",
        "h2",
        "pre",
        "blockquote",
        "br",
        "hr",
        "style",
        "script",
    ];

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]
        /// Table parts are not counted: at most three to a table. Everything else must be.
        #[test]
        fn l_09_the_count_is_never_below_the_depth_of_the_tree(
            tags in prop::collection::vec((0..NAMES.len(), any::<bool>()), 1..12),
            repeat in 1_usize..40,
        ) {
            let piece: String = tags
                .iter()
                .map(|(name, closes)| format!("<{}{}>x", if *closes { "/" } else { "" }, NAMES[*name]))
                .collect();
            let html = piece.repeat(repeat);
            let mut scan = Scan { bytes: html.as_bytes(), at: 0 };
            let mut open = OpenElements::default();
            let mut deepest = 0;
            while scan.skip_to(b'<') {
                scan.at += 1;
                let closes = scan.bytes[scan.at] == b'/';
                scan.at += usize::from(closes);
                let name = scan.name();
                if closes {
                    open.close(&name);
                } else {
                    open.open(&name);
                    if name == "script" || name == "style" {
                        scan.skip_raw_text(&name).unwrap();
                    }
                }
                let tables = open.stack.iter().filter(|(_, name)| name == "table").count();
                deepest = deepest.max(open.depth() + 3 * tables);
            }
            let depth = depth_of_tree(&html);
            prop_assert!(depth <= deepest + 3, "{depth} > {deepest}: {piece} x {repeat}");
        }
    }
}
