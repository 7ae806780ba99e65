//! The text of an HTML mail, for searching, for quoting, and where the HTML itself is not shown. Lines are not wrapped.

use super::guard;
use super::sanitizing::{sanitize_once, tag_end, unescape};

/// The text that a reader of `html` sees: paragraphs, list marks, quotes as `> `, addresses of links after their words.
/// HTML over a limit gives its text without any structure.
pub fn to_text(html: &str) -> String {
    if guard::exceeded(html).is_some() {
        return without_tags(html);
    }
    let clean = sanitize_once(html);
    let mut page = Page::default();
    // In sanitized HTML every `<` begins a tag, and values stand in double quotes.
    let mut rest = clean.as_str();
    while let Some(start) = rest.find('<') {
        page.text(&unescape(&rest[..start]));
        let tag_on = &rest[start..];
        let (tag, after) = tag_on.split_at(tag_end(tag_on));
        page.tag(tag);
        rest = after;
    }
    page.text(&unescape(rest));
    page.finish()
}

/// Text as it is laid out: the finished lines, the line being written, and what stands before each line.
#[derive(Default)]
struct Page {
    text: String,
    line: String,
    /// Whether a space is due before the next word.
    space: bool,
    /// Whether an empty line is due before the next, and how many quotes it lies in.
    gap: Option<usize>,
    margin: Vec<Margin>,
    /// The number of the next item of each open list; none for marks without a number.
    lists: Vec<Option<u64>>,
    /// Address and words of each open link.
    links: Vec<(String, String)>,
    preformatted: usize,
}

enum Margin {
    Quote,
    Item { mark: String, is_written: bool },
}

impl Page {
    fn text(&mut self, text: &str) {
        for character in text.chars() {
            match character {
                '\0' => {}
                '\n' if self.preformatted > 0 => self.end_line(),
                c if self.preformatted == 0 && c.is_ascii_whitespace() => self.space = true,
                c => {
                    if std::mem::take(&mut self.space) && !self.line.is_empty() {
                        self.line.push(' ');
                    }
                    self.line.push(c);
                    if let Some((_, words)) = self.links.last_mut() {
                        words.push(c);
                    }
                }
            }
        }
    }

    fn tag(&mut self, tag: &str) {
        let inner = tag.trim_start_matches('<').trim_end_matches('>');
        let (name, attributes) = inner.split_once(' ').unwrap_or((inner, ""));
        match name {
            "br" => self.end_line(),
            "hr" => {
                self.block(1);
                self.line.push_str("---");
                self.block(1);
            }
            "img" => {
                if let Some(words) = value_of(attributes, "alt").filter(|words| !words.trim().is_empty()) {
                    self.text(&format!("[{words}]"));
                }
            }
            "a" => self.links.push((value_of(attributes, "href").unwrap_or_default(), String::new())),
            "/a" => self.end_link(),
            "ul" | "ol" => {
                self.block(if self.lists.is_empty() { 2 } else { 1 });
                let start = value_of(attributes, "start").and_then(|start| start.parse().ok()).unwrap_or(1);
                self.lists.push((name == "ol").then_some(start));
            }
            "/ul" | "/ol" => {
                self.lists.pop();
                self.block(if self.lists.is_empty() { 2 } else { 1 });
            }
            "li" => {
                self.block(1);
                let mark = match self.lists.last_mut() {
                    Some(Some(number)) => {
                        *number += 1;
                        format!("{}. ", *number - 1)
                    }
                    _ => "- ".to_owned(),
                };
                self.margin.push(Margin::Item { mark, is_written: false });
            }
            "blockquote" => {
                self.block(2);
                self.margin.push(Margin::Quote);
            }
            "/li" => {
                self.block(1);
                self.margin.pop();
            }
            "/blockquote" => {
                self.block(1);
                self.margin.pop();
                self.block(2);
            }
            "pre" | "/pre" => {
                self.block(2);
                self.preformatted =
                    if name == "pre" { self.preformatted + 1 } else { self.preformatted.saturating_sub(1) };
            }
            "td" | "th" if !self.line.is_empty() => self.line.push_str("  "),
            _ => match name.trim_start_matches('/') {
                "p" if !matches!(self.margin.last(), Some(Margin::Item { .. })) => self.block(2),
                "h1" | "h2" | "h3" | "h4" | "h5" | "h6" | "table" | "dl" | "figure" => self.block(2),
                "p" | "address" | "article" | "aside" | "caption" | "center" | "dd" | "details" | "div" | "dt"
                | "figcaption" | "footer" | "header" | "main" | "section" | "summary" | "tbody" | "tfoot" | "thead"
                | "tr" => self.block(1),
                _ => {}
            },
        }
    }

    fn end_link(&mut self) {
        let Some((address, words)) = self.links.pop() else { return };
        let plain = address.trim_start_matches("mailto:").trim_start_matches("tel:");
        let says_it = words.trim().trim_end_matches('/').eq_ignore_ascii_case(plain.trim_end_matches('/'));
        if !words.trim().is_empty() && !plain.is_empty() && !says_it {
            self.line.push_str(&format!(" ({plain})"));
        }
        if let Some((_, outer)) = self.links.last_mut() {
            outer.push_str(&words);
        }
    }

    /// Ends the line being written, if there is anything on it; the next begins `lines` further down.
    fn block(&mut self, lines: usize) {
        if !self.line.trim().is_empty() {
            self.end_line();
        }
        self.line.clear();
        self.space = false;
        if lines == 2 {
            let quotes = self.margin.iter().filter(|place| matches!(place, Margin::Quote)).count();
            self.gap = Some(self.gap.map_or(quotes, |gap| gap.min(quotes)));
        }
    }

    fn end_line(&mut self) {
        if let Some(quotes) = self.gap.take().filter(|_| !self.text.is_empty()) {
            self.text.push_str("> ".repeat(quotes).trim_end());
            self.text.push('\n');
        }
        let mut margin = String::new();
        for place in &mut self.margin {
            match place {
                Margin::Quote => margin.push_str("> "),
                Margin::Item { mark, is_written: true } => margin.push_str(&" ".repeat(mark.len())),
                Margin::Item { mark, is_written } => {
                    margin.push_str(mark);
                    *is_written = true;
                }
            }
        }
        let line = format!("{margin}{}", self.line);
        self.text.push_str(line.trim_end_matches([' ', '\t']));
        self.text.push('\n');
        self.line.clear();
        self.space = false;
    }

    fn finish(mut self) -> String {
        self.block(1);
        let end = self.text.trim_end().len();
        self.text.truncate(end);
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        self.text
    }
}

/// The value of an attribute of a sanitized tag.
fn value_of(attributes: &str, name: &str) -> Option<String> {
    let mut pieces = attributes.split('"');
    while let (Some(key), Some(value)) = (pieces.next(), pieces.next()) {
        if key.trim().trim_end_matches('=') == name {
            return Some(unescape(value));
        }
    }
    None
}

/// What is left of `html` without its tags and comments, in one pass.
fn without_tags(html: &str) -> String {
    let mut page = Page::default();
    let mut rest = html;
    while let Some(start) = rest.find('<') {
        page.text(&unescape(&rest[..start]));
        rest = &rest[start..];
        let lower: String = rest.chars().take(8).collect::<String>().to_ascii_lowercase();
        let end_mark = if lower.starts_with("<!--") {
            "-->"
        } else if lower.starts_with("<style") {
            "</style>"
        } else if lower.starts_with("<script") {
            "</script>"
        } else if lower[1..].starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '!' | '?')) {
            ">"
        } else {
            page.text("<");
            rest = &rest[1..];
            continue;
        };
        if ["<br", "<p", "</p", "<div", "</div", "<tr", "</tr", "<li", "<h"].iter().any(|tag| lower.starts_with(tag)) {
            page.block(1);
        }
        // What is not ended here is not ended later either.
        rest = rest.find(end_mark).map_or("", |end| &rest[end + end_mark.len()..]);
    }
    page.text(&unescape(rest));
    page.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structure_is_kept_as_plain_marks() {
        let html = "<html><head><title>t</title><style>p{}</style></head><body><h1>Hello</h1><p>One<br>two &amp; \
                    three&nbsp;!</p><ul><li>a</li><li>b</li></ul><ol start=3><li>c</li></ol><blockquote><p>quoted</p>\
                    <blockquote>twice</blockquote></blockquote><hr><pre>x\n  y</pre><p><img alt=Logo src=cid:x></p></body>";
        assert_eq!(
            to_text(html),
            "Hello\n\nOne\ntwo & three\u{A0}!\n\n- a\n- b\n\n3. c\n\n> quoted\n>\n> > twice\n\n---\n\nx\n  y\n\n[Logo]\n"
        );
    }

    #[test]
    fn links_show_where_they_lead() {
        assert_eq!(
            to_text("<p>See <a href=\"https://acme.fr/x\">our page</a>.</p>"),
            "See our page (https://acme.fr/x).\n"
        );
        assert_eq!(to_text("<a href=\"javascript:x\">x</a>"), "x\n");
    }

    #[test]
    fn long_lines_are_not_wrapped() {
        let line = "word ".repeat(200);
        assert_eq!(to_text(&format!("<p>{line}</p>")), format!("{}\n", line.trim_end()));
    }

    #[test]
    fn tables_are_read_cell_by_cell() {
        let text =
            to_text("<table><tr><td>a</td><td><table><tr><td>b</td></tr></table></td></tr><tr><td>c</td></tr></table>");
        assert_eq!(text.split_whitespace().collect::<Vec<_>>(), ["a", "b", "c"]);
    }

    #[test]
    fn h_06_html_over_a_limit_gives_its_bare_text() {
        let html = format!("{}<style>x</style><p>deep &amp; <b>dark</b> 1 < 2<!-- c --><br>end", "<div>".repeat(3_000));
        assert_eq!(to_text(&html), "deep & dark 1 < 2\nend\n");
        assert_eq!(to_text(&format!("{}x", "<!--".repeat(400_000))), "");
    }
}
