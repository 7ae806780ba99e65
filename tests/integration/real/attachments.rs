//! Hostile files of a mail in Chromium (H-09, ADV-18), opened every way that somebody at the desk, the customer and a
//! page elsewhere could: nothing runs, and nothing is shown from the desk's address.

use data_encoding::BASE64;
use serde_json::{Value, json};

use super::browser::run_beside;
use crate::support::app::BASE_URL;
use crate::support::desk::{Desk, Letter};

/// What runs in each file, where a browser lets it: it says so aloud, and tells its sender.
const SCRIPT: &str = "alert('ran');new Image().src='http://evil.example/ran'";

/// A file as its sender names it, and calls it.
struct Hostile {
    name: &'static str,
    called: &'static str,
    bytes: Vec<u8>,
    /// Whether a browser that is handed it as it is called runs what is in it. Of the others it shows them, or makes
    /// scripts and styles of them.
    runs: bool,
}

/// The set of ADV-18, and files that are two things at once.
fn hostile() -> Vec<Hostile> {
    let svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\"><rect width=\"9\" height=\"9\"/><script>{SCRIPT}</script></svg>"
    );
    let html = format!("<!doctype html><title>x</title><p>Facture</p><script>{SCRIPT}</script>");
    let xhtml = format!("<html xmlns=\"http://www.w3.org/1999/xhtml\"><body><script>{SCRIPT}</script></body></html>");
    let xml =
        format!("<?xml version=\"1.0\"?><x xmlns:h=\"http://www.w3.org/1999/xhtml\"><h:script>{SCRIPT}</h:script></x>");
    let pdf = format!(
        "%PDF-1.7\n1 0 obj<</Type/Catalog/Pages 2 0 R/OpenAction<</S/JavaScript/JS({SCRIPT})>>>>endobj\n\
         2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>endobj\n\
         trailer<</Root 1 0 R>>\n%%EOF\n"
    );
    let after = |head: &[u8], tail: &str| [head, tail.as_bytes()].concat();
    // A picture to who looks at its first bytes, a comment and then a statement to who reads it as a script.
    let gif = after(b"GIF89a/*\0\0\0\0\0;", &format!("*/=1;{SCRIPT}"));
    let png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0";
    let file = |name, called, bytes: Vec<u8>, runs| Hostile { name, called, bytes, runs };
    vec![
        file("plan.svg", "image/svg+xml", svg.clone().into(), true),
        file("page.html", "text/html", html.clone().into(), true),
        file("page.xhtml", "application/xhtml+xml", xhtml.clone().into(), true),
        file("donnees.xml", "text/xml", xml.clone().into(), true),
        file("flux.xml", "application/xml", xml.into(), true),
        file("facture.pdf", "application/pdf", pdf.clone().into(), false),
        file("notes.txt", "text/plain", html.clone().into(), false),
        file("inconnu", "application/x-unknown", html.clone().into(), false),
        file("sans-type.html", "", html.clone().into(), false),
        file("script.js", "text/javascript", SCRIPT.into(), false),
        file("style.css", "text/css", "*{background:url(http://evil.example/ran)}".into(), false),
        // Polyglots, each called what harms most.
        file("image.gif", "image/gif", gif.clone(), false),
        file("gif.html", "text/html", after(b"GIF89a", &html), true),
        file("gif.js", "text/javascript", gif, false),
        file("png.html", "text/html", after(png, &html), true),
        file("jpeg.html", "text/html", after(b"\xff\xd8\xff\xe0\0\x10JFIF\0", &html), true),
        file("pdf.html", "text/html", after(pdf.as_bytes(), &html), true),
        file("zip.html", "text/html", after(b"PK\x03\x04", &html), true),
        file("utf7.html", "text/html; charset=utf-7", "+ADw-script+AD4-alert(1)+ADw-/script+AD4-".into(), false),
        file("svg.png", "image/png", svg.clone().into(), false),
        // Names that say one thing and end in another.
        file("photo.png\u{202e}lmth.html", "text/html", html.into(), true),
        file("archive.svg ", "image/svg+xml", svg.into(), true),
    ]
}

/// The mail that brings them; the pictures among them stand in its text, too.
fn letter(files: &[Hostile]) -> Letter {
    let mut body = String::from("--b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>Voir.</p>");
    for number in 0..files.len() {
        body.push_str(&format!("<img src=\"cid:f{number}@x\">"));
    }
    body.push_str("\r\n");
    for (number, file) in files.iter().enumerate() {
        let called = if file.called.is_empty() { String::new() } else { format!("Content-Type: {}\r\n", file.called) };
        let lines: Vec<String> = BASE64
            .encode(&file.bytes)
            .as_bytes()
            .chunks(76)
            .map(|line| String::from_utf8_lossy(line).into_owned())
            .collect();
        body.push_str(&format!(
            "--b\r\n{called}Content-ID: <f{number}@x>\r\nContent-Disposition: inline; filename*=utf-8''{}\r\n\
             Content-Transfer-Encoding: base64\r\n\r\n{}\r\n",
            percent_encoded(file.name),
            lines.join("\r\n")
        ));
    }
    body.push_str("--b--\r\n");
    Letter::from("Claire Lefèvre <claire@acme.example>")
        .authenticated("pass")
        .header("Content-Type", "multipart/related; boundary=b")
        .text(&body)
}

fn percent_encoded(name: &str) -> String {
    name.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[actix_web::test]
#[ignore = "needs Chromium and Node.js"]
async fn real_h_09_adv_18_hostile_files_neither_run_nor_show_in_chromium() {
    let files = hostile();
    let desk = Desk::open();
    desk.receive(&letter(&files));
    let ticket = desk.ticket();
    let kept = desk.test.read(|db| accord::tickets::attachments::of_ticket(db, &ticket));
    assert_eq!(kept.len(), files.len());
    let files: Vec<Value> = files
        .iter()
        .zip(kept)
        .map(|(file, kept)| {
            let bytes = BASE64.encode(&file.bytes);
            json!({ "name": file.name, "called": file.called, "bytes": bytes, "runs": file.runs, "handle": kept.handle })
        })
        .collect();
    let (zoe, claire) = (desk.test.browser_of(desk.zoe).await, desk.test.browser_of(desk.claire).await);
    let readers = [
        json!({ "who": "the agent", "session": zoe.session(), "page": format!("/tickets/{}", ticket.reference) }),
        json!({ "who": "the customer", "session": claire.session(), "page": format!("/requests/{}", ticket.reference) }),
    ];
    let address = desk.test.serve();
    let orders = json!({ "base": BASE_URL, "desk": address.to_string(), "readers": readers, "files": files });
    run_beside("attachments.mjs", orders).await;
}
