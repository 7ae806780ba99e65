//! Which HTML is shown (H-01): text, lists, tables, links and images that came with the mail. The policy allows; it has no
//! list of what is bad. `ammonia` parses and filters, and a second pass over its well-formed output decides on images.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fmt::Write;
use std::sync::LazyLock;

use ammonia::{Builder, UrlRelative};

use super::guard;

/// HTML that has passed the policy, to be put into a page as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SafeHtml {
    pub html: String,
    /// Images on other servers which the HTML asked for, whether they were left in or not.
    pub remote_images: usize,
}

impl SafeHtml {
    /// Whether there is anything to offer "load images" for.
    pub fn has_remote_images(&self) -> bool {
        self.remote_images > 0
    }
}

/// The safe part of `html`. An image that came with the mail (`cid:`) gets the address `cid` gives for its Content-ID;
/// all others are removed (H-04). `None` if the HTML is over a limit (H-06) or senseless: show the plain text then.
pub fn sanitize_mail(html: &str, cid: &dyn Fn(&str) -> Option<String>) -> Option<SafeHtml> {
    sanitize(html, cid, RemoteImages::Remove)
}

/// As [`sanitize_mail`], but with images from other servers over `https`, asked for without a referrer. Only for a reader
/// who chose to load the images of this message.
pub fn sanitize_mail_with_remote_images(html: &str, cid: &dyn Fn(&str) -> Option<String>) -> Option<SafeHtml> {
    sanitize(html, cid, RemoteImages::Load)
}

/// The safe part of HTML that is within the limits, parsed once, without any images.
pub(super) fn sanitize_once(html: &str) -> String {
    place_images(&POLICY.clean(html).to_string(), &|_| None, RemoteImages::Remove).html
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum RemoteImages {
    Remove,
    Load,
}

fn sanitize(html: &str, cid: &dyn Fn(&str) -> Option<String>, remote: RemoteImages) -> Option<SafeHtml> {
    if guard::exceeded(html).is_some() {
        return None;
    }
    Some(place_images(&settled(html)?, cid, remote))
}

/// Sanitizes until nothing changes: what the parser moves out of a table, it may move again. Browsers parse the result once
/// more, so it has to mean the same then.
fn settled(html: &str) -> Option<String> {
    let mut clean = POLICY.clean(html).to_string();
    for _ in 0..ROUNDS {
        let again = POLICY.clean(&clean).to_string();
        if again == clean {
            return Some(clean);
        }
        clean = again;
    }
    None
}

/// Ordinary HTML settles at once; what has not by then was made to confuse and is shown as plain text.
const ROUNDS: usize = 4;

const TAGS: &[&str] = &[
    "a",
    "abbr",
    "address",
    "article",
    "aside",
    "b",
    "bdi",
    "bdo",
    "blockquote",
    "br",
    "caption",
    "center",
    "cite",
    "code",
    "dd",
    "del",
    "details",
    "dfn",
    "div",
    "dl",
    "dt",
    "em",
    "figcaption",
    "figure",
    "footer",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "header",
    "hr",
    "i",
    "img",
    "ins",
    "kbd",
    "li",
    "main",
    "mark",
    "ol",
    "p",
    "pre",
    "q",
    "s",
    "samp",
    "section",
    "small",
    "strike",
    "strong",
    "sub",
    "summary",
    "sup",
    "table",
    "tbody",
    "td",
    "tfoot",
    "th",
    "thead",
    "tr",
    "tt",
    "u",
    "ul",
    "var",
    "wbr",
];

/// Elements whose content is no text for a reader.
const DROPPED_WITH_CONTENT: &[&str] = &[
    "script",
    "style",
    "title",
    "head",
    "svg",
    "math",
    "template",
    "noscript",
    "iframe",
    "object",
    "embed",
    "applet",
    "audio",
    "video",
    "canvas",
    "select",
    "textarea",
    "xmp",
    "noembed",
    "noframes",
    "plaintext",
    "frameset",
];

static POLICY: LazyLock<Builder<'static>> = LazyLock::new(|| {
    let attributes: HashMap<&str, HashSet<&str>> = [
        ("a", vec!["href"]),
        ("img", vec!["src", "alt", "width", "height"]),
        ("ol", vec!["start", "reversed"]),
        ("td", vec!["colspan", "rowspan", "align", "valign"]),
        ("th", vec!["colspan", "rowspan", "align", "valign"]),
    ]
    .into_iter()
    .map(|(tag, attributes)| (tag, attributes.into_iter().collect()))
    .collect();
    let mut builder = Builder::empty();
    builder
        .tags(TAGS.iter().copied().collect())
        .clean_content_tags(DROPPED_WITH_CONTENT.iter().copied().collect())
        .tag_attributes(attributes)
        .generic_attributes(HashSet::from(["dir"]))
        .url_schemes(HashSet::from(["http", "https", "mailto", "tel", "cid"]))
        .url_relative(UrlRelative::Deny)
        .strip_comments(true)
        .link_rel(Some("noopener noreferrer nofollow ugc"))
        .attribute_filter(filter_attribute);
    builder
});

fn filter_attribute<'a>(element: &str, attribute: &str, value: &'a str) -> Option<Cow<'a, str>> {
    let is_allowed = match (element, attribute) {
        ("a", "href") => matches!(scheme(value), "http" | "https" | "mailto" | "tel"),
        ("img", "src") => matches!(scheme(value), "http" | "https" | "cid"),
        (_, "dir") => matches!(value, "ltr" | "rtl" | "auto"),
        (_, "align") => matches!(value, "left" | "right" | "center"),
        (_, "valign") => matches!(value, "top" | "middle" | "bottom"),
        (_, "width" | "height" | "colspan" | "rowspan" | "start") => {
            value.len() <= 4 && !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit())
        }
        _ => true,
    };
    is_allowed.then_some(Cow::Borrowed(value))
}

/// The scheme as plainly written, in lower case as far as it is a known one. What browsers would have to repair first
/// (spaces, tabs inside) has none.
fn scheme(url: &str) -> &'static str {
    let written = url.split_once(':').map(|(scheme, _)| scheme).unwrap_or_default();
    ["http", "https", "mailto", "tel", "cid"]
        .into_iter()
        .find(|known| written.eq_ignore_ascii_case(known))
        .unwrap_or("")
}

/// Rewrites the images of sanitized HTML. In it every `<` begins a tag and every value stands in double quotes without
/// one inside, so the tags can be told apart by reading on.
fn place_images(clean: &str, cid: &dyn Fn(&str) -> Option<String>, remote: RemoteImages) -> SafeHtml {
    let mut safe = SafeHtml { html: String::with_capacity(clean.len()), remote_images: 0 };
    let mut rest = clean;
    while let Some(start) = rest.find('<') {
        let (before, tag_on) = rest.split_at(start);
        safe.html.push_str(before);
        let end = tag_end(tag_on);
        let (tag, after) = tag_on.split_at(end);
        match tag.strip_prefix("<img").filter(|attributes| attributes.starts_with([' ', '>'])) {
            Some(attributes) => place_image(&mut safe, attributes, cid, remote),
            None => safe.html.push_str(tag),
        }
        rest = after;
    }
    safe.html.push_str(rest);
    safe
}

/// Where the tag at the beginning of `text` ends, behind its `>`.
pub(super) fn tag_end(text: &str) -> usize {
    let mut in_quotes = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'"' => in_quotes = !in_quotes,
            b'>' if !in_quotes => return at + 1,
            _ => {}
        }
    }
    text.len()
}

fn place_image(safe: &mut SafeHtml, attributes: &str, cid: &dyn Fn(&str) -> Option<String>, remote: RemoteImages) {
    let mut source = None;
    let mut others = String::new();
    let (mut has_text, mut has_alternative) = (false, false);
    // name="value" name="value"
    let mut pieces = attributes.trim_end_matches('>').split('"');
    while let (Some(name), Some(value)) = (pieces.next(), pieces.next()) {
        match name.trim() {
            "src=" => source = Some(value),
            name => {
                has_alternative |= name == "alt=";
                has_text |= name == "alt=" && !value.trim().is_empty();
                let _ = write!(others, " {name}\"{value}\"");
            }
        }
    }
    let mut place = None;
    if let Some(source) = source {
        let source = unescape(source);
        if let Some(("cid", id)) = Some(scheme(&source)).zip(source.split_once(':').map(|(_, id)| id)) {
            place = cid(&percent_decode(id)).map(|url| format!(" src=\"{}\"", escape(&url)));
        } else {
            safe.remote_images += 1;
            if remote == RemoteImages::Load && scheme(&source) == "https" {
                place = Some(format!(" src=\"{}\" referrerpolicy=\"no-referrer\" loading=\"lazy\"", escape(&source)));
            }
        }
    }
    match place {
        Some(place) => {
            // Of a picture without words a screen reader would read the address aloud.
            let silence = if has_alternative { "" } else { " alt=\"\"" };
            let _ = write!(safe.html, "<img{place}{others}{silence}>");
        }
        // The words that stand for the picture are worth keeping; a frame around nothing is not.
        None if has_text => {
            let _ = write!(safe.html, "<img{others}>");
        }
        None => {}
    }
}

/// Text for an attribute value or an element.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            _ => escaped.push(character),
        }
    }
    escaped
}

/// Undoes what the serializer of sanitized HTML escapes in a value.
pub(super) fn unescape(value: &str) -> String {
    value
        .replace("&quot;", "\"")
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&nbsp;", "\u{A0}")
        .replace("&amp;", "&")
}

/// A Content-ID in a `cid:` URL may be percent-encoded (RFC 2392).
fn percent_decode(text: &str) -> String {
    if !text.contains('%') {
        return text.to_owned();
    }
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let code = (bytes[at] == b'%').then(|| bytes.get(at + 1..at + 3)).flatten();
        match code.and_then(|hex| std::str::from_utf8(hex).ok()).and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                decoded.push(byte);
                at += 3;
            }
            None => {
                decoded.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn safe(html: &str) -> String {
        sanitize_mail(html, &|_| None).expect("within the limits").html
    }

    #[test]
    fn h_01_text_lists_tables_and_links_remain() {
        let html = "<p dir=\"rtl\">One <b>two</b><br>three</p><ul><li>x</li></ul>\
                    <table><tbody><tr><td colspan=\"2\" align=\"right\">y</td></tr></tbody></table>";
        assert_eq!(safe(html), html);
        assert_eq!(
            safe("<a href=\"https://acme.fr/?a=1&amp;b=2\" onclick=\"x()\" target=\"_top\">x</a>"),
            "<a href=\"https://acme.fr/?a=1&amp;b=2\" rel=\"noopener noreferrer nofollow ugc\">x</a>"
        );
        assert_eq!(safe("<div><font color=red>x</font><o:p>y</o:p></div>"), "<div>xy</div>");
    }

    #[test]
    fn h_01_links_lead_only_to_web_mail_and_telephone() {
        for url in [
            "javascript:alert(1)",
            "JaVaScRiPt:alert(1)",
            " javascript:alert(1)",
            "java\tscript:alert(1)",
            "&#106;avascript:alert(1)",
            "data:text/html,x",
            "vbscript:x",
            "file:///etc/passwd",
            "cid:x",
            "ssh://x",
            "magnet:?x",
            "//evil.com",
            "/relative",
            "relative",
            "#x",
            "\\\\evil.com",
            "\u{1}https://x",
            "blob:https://x",
        ] {
            let html = safe(&format!("<a href=\"{url}\">x</a>"));
            assert_eq!(html, "<a rel=\"noopener noreferrer nofollow ugc\">x</a>", "{url}");
        }
        for url in ["https://acme.fr", "HTTP://acme.fr", "mailto:x@acme.fr", "tel:+33123456789"] {
            assert!(safe(&format!("<a href=\"{url}\">x</a>")).contains(url), "{url}");
        }
    }

    #[test]
    fn h_01_nothing_but_the_policy_remains() {
        for (html, remains) in [
            ("<svg><script>alert(1)</script><a xlink:href=javascript:x>y</a></svg>z", "z"),
            ("<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>", ""),
            ("<form action=https://evil><input name=p><button>x</button></form>", "x"),
            ("<iframe src=https://evil>x</iframe>y", "y"),
            ("<base href=https://evil><meta http-equiv=refresh content=0><link rel=x href=y>z", "z"),
            ("<p id=x class=y name=z style=\"color:red\" onload=x data-x=1>t</p>", "<p>t</p>"),
            ("<!-- c --><!--[if mso]>x<![endif]-->y", "y"),
            ("<object data=x></object><embed src=x><video poster=x></video>y", "y"),
            ("<noscript><p title=\"</noscript><img src=x onerror=alert(1)>\">", "\"&gt;"),
        ] {
            assert_eq!(safe(html), remains, "{html}");
        }
    }

    #[test]
    fn adv_16_no_style_sheet_survives() {
        for html in [
            "<style>input[name=csrf][value^=a]{background:url(https://evil/a)}</style>x",
            "<STYLE\n>*{}</STYLE >x",
            "<link rel=stylesheet href=https://evil/x.css>x",
            "<svg><style>*{}</style></svg>x",
            "<style/>*{}</style>x",
        ] {
            assert_eq!(safe(html), "x", "{html}");
        }
        assert_eq!(safe("<p style='background:url(https://evil)'>x</p>"), "<p>x</p>");
        assert_eq!(safe("<td background=https://evil bgcolor=red>x"), "x");
    }

    #[test]
    fn adv_17_nested_tags_do_not_survive_being_taken_apart() {
        for html in [
            "<scr<script>ipt>alert(1)</scr</script>ipt>",
            "<<script>script>alert(1)</script>",
            "<scr<!-- -->ipt>alert(1)</script>",
            "<img<img src=x onerror=alert(1)>",
            "<iframe<iframe>src=javascript:alert(1)>",
            "<a href=\"jav<x>ascript:alert(1)\">x</a>",
            "<sc\0ript>alert(1)</sc\0ript>",
            "<style><style/><img src=x onerror=alert(1)>",
        ] {
            let once = safe(html);
            let parsed = once.to_lowercase();
            for bad in ["<script", "<iframe", "onerror=", "<style", "href="] {
                assert!(!parsed.contains(bad) || !parsed.contains('<'), "{html} -> {once}");
            }
            assert_eq!(safe(&once), once, "{html}");
        }
    }

    #[test]
    fn adv_15_a_subject_that_passes_as_text_stays_text() {
        assert_eq!(escape("<img src=x onerror='a'>\"&"), "&lt;img src=x onerror=&#39;a&#39;&gt;&quot;&amp;");
    }

    #[test]
    fn h_04_remote_images_are_counted_and_not_loaded() {
        let html = "<p>x<img src=\"https://evil/pixel.gif\" width=1 height=1><img src=http://evil/b.png alt=\"Our logo\">\
                    <img srcset=\"https://evil/c 2x\"><img src=//evil/d><img src=\"data:image/png;base64,AAAA\"></p>";
        let seen = sanitize_mail(html, &|_| None).unwrap();
        assert_eq!(seen.html, "<p>x<img alt=\"Our logo\"></p>");
        assert_eq!(seen.remote_images, 2);
        let loaded = sanitize_mail_with_remote_images(html, &|_| None).unwrap();
        assert_eq!(
            loaded.html,
            "<p>x<img src=\"https://evil/pixel.gif\" referrerpolicy=\"no-referrer\" loading=\"lazy\" width=\"1\" \
             height=\"1\" alt=\"\"><img alt=\"Our logo\"></p>"
        );
        assert!(!sanitize_mail("<p>x</p>", &|_| None).unwrap().has_remote_images());
    }

    #[test]
    fn h_04_images_of_the_mail_get_the_address_given_for_them() {
        let cid = |id: &str| (id == "logo@acme>x").then(|| "/a/\"x\"?b&c".to_owned());
        let html = "<img alt=\"> <img src=\" src=\"CID:logo%40acme&gt;x\" width=20><img src=cid:other alt=Photo><img src=cid:z>";
        let seen = sanitize_mail(html, &cid).unwrap();
        let expected =
            "<img src=\"/a/&quot;x&quot;?b&amp;c\" alt=\"&gt; &lt;img src=\" width=\"20\"><img alt=\"Photo\">";
        assert_eq!(seen.html.replace("> <img src=\"", "&gt; &lt;img src=\""), expected);
        assert_eq!(seen.remote_images, 0);
    }

    #[test]
    fn h_06_html_over_a_limit_is_not_shown() {
        assert_eq!(sanitize_mail(&"<div>".repeat(300), &|_| None), None);
        assert_eq!(sanitize_mail(&"x".repeat(2 << 20), &|_| None), None);
    }

    const PIECES: [&str; 44] = [
        "<p>",
        "</p>",
        "<div>",
        "</div>",
        "<b>",
        "</b>",
        "<a href=\"https://x.y\">",
        "</a>",
        "<table>",
        "<tr>",
        "<td>",
        "</td>",
        "</table>",
        "<svg>",
        "</svg>",
        "<math>",
        "<mtext>",
        "<mglyph>",
        "<style>",
        "</style>",
        "<title>",
        "</title>",
        "<script>",
        "</script>",
        "<!--",
        "-->",
        "<noscript>",
        "</noscript>",
        "<textarea>",
        "</textarea>",
        "<img src=x onerror=y>",
        "<img alt=\"",
        "\"",
        "'",
        ">",
        "<",
        "&lt;",
        "&amp;lt;",
        "text",
        " ",
        "<form>",
        "<select>",
        "<template>",
        "<li>",
    ];

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]
        #[test]
        fn h_01_sanitizing_twice_changes_nothing(pieces in prop::collection::vec(0..PIECES.len(), 0..30)) {
            let html: String = pieces.into_iter().map(|piece| PIECES[piece]).collect();
            let Some(once) = sanitize_mail(&html, &|_| None) else { return Ok(()) };
            prop_assert_eq!(safe(&once.html), once.html);
        }

        #[test]
        fn h_01_any_text_is_sanitized_without_a_panic(html in ".{0,300}") {
            let once = safe(&html);
            prop_assert_eq!(safe(&once), once);
        }
    }
}
