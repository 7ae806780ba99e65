//! B-10: HTML that is meant to cost time, or to hide words from whom they are for.

use accord::mail::incoming;

use super::{arrived, from_somebody};
use crate::support::desk::Desk;
use crate::support::times;

/// What people write before the attack, and after it.
const BEFORE: &str = "Mon écran reste noir.";
const AFTER: &str = "Que faire ?";

fn page(attack: &str) -> Vec<u8> {
    let body = format!("<p>{BEFORE}</p>\n{attack}\n<p>{AFTER}</p>\n");
    from_somebody("MIME-Version: 1.0\nContent-Type: text/html; charset=utf-8\n", body)
}

/// Each attack by its name, and the limit at which the HTML is given up for its text.
fn attacks(full: bool) -> Vec<(&'static str, String, Option<&'static str>)> {
    let many = |few: usize, as_the_row_says: usize| if full { as_the_row_says } else { few };
    let word = "<p class=MsoNormal style='mso-margin-top-alt:auto'><o:p>&nbsp;</o:p><span lang=FR>ligne</span></p>\n";
    vec![
        ("nesting", "<div>".repeat(many(10_000, 100_000)), Some("L-09")),
        ("attributes", format!("<p {}>", "a ".repeat(many(10_000, 100_000))), Some("L-10")),
        ("links", "<a href=https://x.example>y</a> ".repeat(many(6_000, 500_000)), Some("L-08 L-11")),
        ("mis-nested formatting", "<b><i>x</b></i>".repeat(many(20_000, 20_000)), Some("L-09")),
        ("foster parenting", "<table><tr><td><table><a href=x>".repeat(many(2_000, 10_000)), Some("L-09")),
        ("words between the cells", format!("<table>{}", "<tr>x<td>y".repeat(many(2_000, 10_000))), None),
        ("Word", word.repeat(many(12_000, (5 << 20) / word.len())), Some("L-08")),
    ]
}

#[actix_web::test]
async fn b_10_what_is_said_around_an_attack_in_html_is_read_by_people() {
    let desk = Desk::open();
    let zoe = desk.test.browser_of(desk.zoe).await;
    for (what, attack, limit) in attacks(false) {
        let arrived = arrived(&desk, what, &page(&attack));
        assert!(arrived.text.contains(BEFORE) && arrived.text.contains(AFTER), "{what}");
        let is_cut = arrived.record.cut.iter().any(|cut| limit.is_some_and(|limit| limit.contains(cut)));
        assert_eq!(is_cut, limit.is_some(), "{what}: {:?}", arrived.record.cut);
        let page = zoe.get(&format!("/tickets/{}", arrived.ticket.reference)).await;
        page.assert_status(200).assert_says(BEFORE).assert_says(AFTER);
    }
    // What stands in a comment that never ends, no reader of mail shows.
    let arrived = arrived(&desk, "an unclosed comment", &page(&"<!--".repeat(200_000)));
    assert_eq!((arrived.text.trim(), arrived.record.cut.as_slice()), (BEFORE, &[][..]));
    let page = zoe.get(&format!("/tickets/{}", arrived.ticket.reference)).await;
    page.assert_status(200).assert_says(BEFORE).assert_silent_about("<!--");
}

#[test]
fn b_10_each_attack_in_its_full_size_is_given_up_for_its_text_or_within_the_limits() {
    let full = times(0, 1) == 1;
    for (what, attack, limit) in attacks(full) {
        let mail = incoming::parse(&page(&attack));
        let ids = mail.cuts.ids();
        let is_cut = ids.iter().any(|id| limit.is_some_and(|limit| limit.contains(id)));
        assert_eq!((is_cut, mail.html.is_none()), (limit.is_some(), limit.is_some()), "{what}: {ids:?}");
        assert!(mail.text.contains(BEFORE), "{what}");
    }
    // No more than what a page may have is made safe: a million comments end as one.
    let comments = incoming::parse(&page(&"<!--".repeat(times(200_000, 1_000_000))));
    assert_eq!(comments.text.trim(), BEFORE);
}
