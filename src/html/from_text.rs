//! HTML from what our own people write: agents' replies in Markdown, and plain text as it stands. Both go through the same
//! policy as mail from outside (ADV-17), as an agent's words may quote anything.

use pulldown_cmark::{CowStr, Event, LinkType, Options, Parser, Tag, TagEnd, TextMergeStream, html};

use super::sanitizing::{escape, sanitize_once};

/// The HTML of `markdown`: line breaks are kept, addresses become links, HTML in it is shown as text, images are left out.
pub fn from_markdown(markdown: &str) -> String {
    let text = without_underlined_headings(markdown);
    let mut events = Vec::new();
    let mut verbatim = 0_usize;
    let options = Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TABLES;
    for event in TextMergeStream::new(Parser::new_ext(&text, options)) {
        match event {
            Event::SoftBreak => events.push(Event::HardBreak),
            Event::Html(markup) | Event::InlineHtml(markup) => events.push(Event::Text(markup)),
            Event::Text(text) if verbatim == 0 => link_addresses(&text, &mut events),
            Event::Start(Tag::Link { .. } | Tag::CodeBlock(_) | Tag::Image { .. }) => {
                verbatim += 1;
                events.push(event);
            }
            Event::End(TagEnd::Link | TagEnd::CodeBlock | TagEnd::Image) => {
                verbatim = verbatim.saturating_sub(1);
                events.push(event);
            }
            _ => events.push(event),
        }
    }
    let mut written = String::with_capacity(text.len() * 3 / 2);
    html::push_html(&mut written, events.into_iter());
    sanitize_once(&written)
}

/// The HTML of plain text: paragraphs at empty lines, line breaks kept, addresses as links.
pub fn from_text(text: &str) -> String {
    let mut written = String::with_capacity(text.len() * 3 / 2);
    let mut in_paragraph = false;
    for line in text.lines() {
        if line.trim().is_empty() {
            if in_paragraph {
                written.push_str("</p>");
            }
            in_paragraph = false;
            continue;
        }
        written.push_str(if in_paragraph { "<br>" } else { "<p>" });
        in_paragraph = true;
        for (piece, is_address) in pieces(line) {
            let piece = escape(piece);
            if is_address {
                written.push_str(&format!("<a href=\"{piece}\">{piece}</a>"));
            } else {
                written.push_str(&piece);
            }
        }
    }
    if in_paragraph {
        written.push_str("</p>");
    }
    sanitize_once(&written)
}

/// In a letter, a line of dashes under a line of text begins the signature; Markdown would make a heading of it.
fn without_underlined_headings(markdown: &str) -> String {
    let mut text = String::with_capacity(markdown.len());
    let mut in_fence = false;
    let mut after_text = false;
    for line in markdown.lines() {
        let trimmed = line.trim();
        in_fence ^= trimmed.starts_with("```") || trimmed.starts_with("~~~");
        let is_underline =
            !trimmed.is_empty() && (trimmed.bytes().all(|b| b == b'-') || trimmed.bytes().all(|b| b == b'='));
        if is_underline && after_text && !in_fence && !line.starts_with("    ") {
            text.push('\\');
            text.push_str(trimmed);
        } else {
            text.push_str(line);
        }
        text.push('\n');
        after_text = !trimmed.is_empty();
    }
    text
}

fn link_addresses<'a>(text: &CowStr<'a>, events: &mut Vec<Event<'a>>) {
    for (piece, is_address) in pieces(text) {
        if is_address {
            let link = Tag::Link {
                link_type: LinkType::Autolink,
                dest_url: piece.to_owned().into(),
                title: "".into(),
                id: "".into(),
            };
            events.push(Event::Start(link));
            events.push(Event::Text(piece.to_owned().into()));
            events.push(Event::End(TagEnd::Link));
        } else {
            events.push(Event::Text(piece.to_owned().into()));
        }
    }
}

/// Splits `text` into words of a web address and the rest.
fn pieces(text: &str) -> Vec<(&str, bool)> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(start) = [rest.find("https://"), rest.find("http://")].into_iter().flatten().min() {
        let address_on = &rest[start..];
        let end = address_on
            .find(|c: char| c.is_whitespace() || c.is_control() || matches!(c, '<' | '>' | '"' | '«' | '»' | '`'))
            .unwrap_or(address_on.len());
        let mut address = &address_on[..end];
        // What ends a sentence or closes a bracket opened before it is no part of the address.
        loop {
            let without = address.trim_end_matches(['.', ',', ';', ':', '!', '?', '\'', '’', '*', '_', '…']);
            let opened = without.matches('(').count();
            let shorter = if without.ends_with(')') && without.matches(')').count() > opened {
                &without[..without.len() - 1]
            } else {
                without
            };
            if shorter == address {
                break;
            }
            address = shorter;
        }
        let has_host =
            address.split_once("://").is_some_and(|(_, host)| host.starts_with(|c: char| c.is_alphanumeric()));
        let taken = if has_host { start + address.len() } else { start + 4 };
        if has_host {
            if start > 0 {
                pieces.push((&rest[..start], false));
            }
            pieces.push((address, true));
        } else {
            pieces.push((&rest[..taken], false));
        }
        rest = &rest[taken..];
    }
    if !rest.is_empty() {
        pieces.push((rest, false));
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    const REL: &str = "rel=\"noopener noreferrer nofollow ugc\"";

    #[test]
    fn markdown_keeps_line_breaks_and_marks() {
        assert_eq!(
            from_markdown("Bonjour,\nvoici **tout**.\n\n- un\n- deux\n"),
            "<p>Bonjour,<br>\nvoici <strong>tout</strong>.</p>\n<ul>\n<li>un</li>\n<li>deux</li>\n</ul>\n"
        );
    }

    #[test]
    fn a_signature_makes_no_heading_of_the_line_before() {
        assert_eq!(from_markdown("Merci\n--\nJean"), "<p>Merci<br>\n--<br>\nJean</p>\n");
        assert_eq!(from_markdown("```\na\n---\n```"), "<pre><code>a\n---\n</code></pre>\n");
        assert_eq!(from_markdown("a\n\n---\n\nb"), "<p>a</p>\n<hr>\n<p>b</p>\n");
    }

    #[test]
    fn adv_17_html_in_markdown_is_shown_as_text() {
        assert_eq!(
            from_markdown("a <b>x</b> <scr<script>ipt>"),
            "<p>a &lt;b&gt;x&lt;/b&gt; &lt;scr&lt;script&gt;ipt&gt;</p>\n"
        );
        assert_eq!(from_markdown("<script>\nalert(1)\n</script>"), "&lt;script&gt;\nalert(1)\n&lt;/script&gt;\n");
        assert_eq!(
            from_markdown("[x](javascript:alert(1)) ![y](https://evil/p.gif)"),
            format!("<p><a {REL}>x</a> <img alt=\"y\"></p>\n")
        );
    }

    #[test]
    fn addresses_become_links() {
        let link = |url: &str| format!("<a href=\"{url}\" {REL}>{url}</a>");
        assert_eq!(
            from_markdown("Voir https://acme.fr/a_(b)?x=1 (ou http://acme.fr/c)."),
            format!("<p>Voir {} (ou {}).</p>\n", link("https://acme.fr/a_(b)?x=1"), link("http://acme.fr/c"))
        );
        assert_eq!(from_markdown("`https://acme.fr`"), "<p><code>https://acme.fr</code></p>\n");
        assert_eq!(
            from_text("a <b>\nhttps://acme.fr, https://\n\nc"),
            format!("<p>a &lt;b&gt;<br>{}, https://</p><p>c</p>", link("https://acme.fr"))
        );
    }
}
