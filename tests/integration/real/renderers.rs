//! OUT-12: the mails of a conversation in three renderers: Chromium on white and on black, and w3m, which knows no styles;
//! and their plain text alone.

use std::io::Write;
use std::process::{Command, Stdio};

use accord::mail::reply_text::has_marker;
use accord::tickets::participants;
use accord::tickets::status::Status;
use serde_json::json;

use super::browser::run_beside;
use crate::support::desk::{Desk, Letter, Sent};

/// Each kind of mail that a conversation brings, with words that it has to show.
fn mails() -> Vec<(&'static str, Sent, &'static str)> {
    let desk = Desk::open();
    desk.receive(&Letter::from("Odette <odette@unknown.example>"));
    let first_request = desk.sent_to("odette@unknown.example").remove(0);
    desk.receive(&Letter::from("Claire Lefèvre <claire@acme.example>").header("Cc", "bob@acme.example"));
    let mut sent = desk.sent();
    let (acknowledgement, to_agent) = (take(&mut sent, "claire@acme.example"), take(&mut sent, "zoe@staff.example"));
    let ticket = desk.tickets().into_iter().find(|ticket| ticket.requester_id == desk.claire).unwrap();
    let (bob, by, now, of) = (desk.bob, desk.actor(desk.zoe), desk.test.now(), ticket.clone());
    desk.test.write(move |db| participants::approve(db, &of, bob, &by, now));
    desk.answer(&ticket, "Redémarrez-le, puis dites-moi si l’écran s’allume.", Status::WaitingForCustomer);
    let mut sent = desk.sent();
    let (reply, to_bob) = (take(&mut sent, "claire@acme.example"), take(&mut sent, "bob@acme.example"));
    desk.receive(&Letter::answering("claire@acme.example", &reply));
    let participant = take(&mut desk.sent(), "bob@acme.example");
    vec![
        ("a first request", first_request, "Bonjour"),
        ("an acknowledgement", acknowledgement, "Bonjour"),
        ("news for an agent", to_agent, "mon écran reste noir"),
        ("a reply", reply, "Redémarrez-le"),
        ("a reply to another", to_bob, "Redémarrez-le"),
        ("news for a participant", participant, "Merci, cela fonctionne."),
    ]
}

/// The first mail to that recipient.
fn take(sent: &mut Vec<Sent>, recipient: &str) -> Sent {
    let at = sent.iter().position(|sent| sent.recipient == recipient);
    sent.remove(at.unwrap_or_else(|| panic!("nothing for {recipient} in {sent:?}")))
}

/// What a reader without styles shows.
fn in_w3m(html: &str) -> String {
    let mut w3m = Command::new("w3m")
        .args(["-dump", "-T", "text/html", "-I", "UTF-8", "-O", "UTF-8", "-cols", "80"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    w3m.stdin.take().unwrap().write_all(html.as_bytes()).unwrap();
    String::from_utf8(w3m.wait_with_output().unwrap().stdout).unwrap()
}

#[actix_web::test]
#[ignore = "needs Chromium, Node.js and w3m"]
async fn real_out_12_mails_are_read_on_white_on_black_on_a_telephone_and_without_styles() {
    let mut looks = Vec::new();
    for (name, sent, words) in mails() {
        let (text, html) = (&sent.mail.text, sent.mail.html.as_deref().unwrap());
        let link = html.split("href=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
        for (shown, where_) in [(text, "plain text"), (&in_w3m(html), "w3m")] {
            let whole: String = shown.split_whitespace().collect();
            assert!(shown.contains(words), "{name} in {where_}: {shown}");
            assert!(whole.contains(link), "{name} in {where_}: the link is lost: {shown}");
            assert!(!shown.contains("</") && !shown.contains("&#") && !shown.contains("style="), "{name}: {shown}");
        }
        let preheader = html.split("display:none").nth(1).and_then(|rest| rest.split(['>', '<']).nth(1)).unwrap_or("");
        assert_eq!(has_marker(text), !preheader.is_empty(), "{name} does not show its marker in lists");
        looks.push(json!({ "name": name, "html": html, "words": words, "preheader": preheader }));
    }
    run_beside("mails.mjs", json!({ "mails": looks })).await;
}
