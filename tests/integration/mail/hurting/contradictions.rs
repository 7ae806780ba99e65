//! B-18: mails that say two things about themselves, so that who filters sees one and who reads the other. Whichever is
//! believed here: nothing of the mail is out of sight, and what a file is called is not what it is served as.

use data_encoding::BASE64;

use super::{arrived, from_somebody};
use crate::support::desk::Desk;

const SCRIPT: &[u8] = b"<script>alert(1)</script>";

#[test]
fn b_18_of_two_fields_about_the_content_the_first_counts_and_all_of_it_is_shown() {
    let desk = Desk::open();
    let html = "<p>Un <b>mot</b></p>";
    let encoded = BASE64.encode("Un mot".as_bytes());
    for (what, fields, body, said) in [
        ("text, then HTML", "Content-Type: text/plain\nContent-Type: text/html\n", html, html),
        ("HTML, then text", "Content-Type: text/html\nContent-Type: text/plain\n", html, "Un mot"),
        (
            "text, then parts",
            "Content-Type: text/plain\nContent-Type: multipart/mixed; boundary=b\n",
            "--b\n\nUn mot\n--b--",
            "--b\n\nUn mot\n--b--",
        ),
        (
            "base64, then none",
            "Content-Transfer-Encoding: base64\nContent-Transfer-Encoding: 8bit\n",
            encoded.as_str(),
            "Un mot",
        ),
        (
            "none, then base64",
            "Content-Transfer-Encoding: 8bit\nContent-Transfer-Encoding: base64\n",
            encoded.as_str(),
            encoded.as_str(),
        ),
        ("MIME of two versions", "MIME-Version: 1.0\nMIME-Version: 2.0\nContent-Type: text/html\n", html, "Un mot"),
        ("MIME of no version", "MIME-Version: x\nContent-Type: text/html\n", html, "Un mot"),
        ("two charsets", "Content-Type: text/plain; charset=utf-8; charset=utf-16\n", "Déjà vu", "Déjà vu"),
    ] {
        let arrived = arrived(&desk, what, &from_somebody(fields, body));
        assert_eq!(arrived.text.trim(), said, "{what}");
        assert!(arrived.files.is_empty(), "{what}");
    }
}

#[test]
fn b_18_parts_that_come_second_are_no_way_past_those_who_look_for_files() {
    let desk = Desk::open();
    let body = format!(
        "--b\n\nVoir.\n--b\nContent-Type: application/octet-stream\nContent-Disposition: attachment; filename=a.js\n\
         Content-Transfer-Encoding: base64\n\n{}\n--b--\n",
        BASE64.encode(SCRIPT)
    );
    for (fields, files) in [
        ("Content-Type: multipart/mixed; boundary=b\nContent-Type: text/plain\n", 1),
        ("Content-Type: text/plain\nContent-Type: multipart/mixed; boundary=b\n", 0),
        ("Content-Type: multipart/mixed; boundary=b\nContent-Type: multipart/mixed; boundary=c\n", 1),
        ("Content-Type: multipart/mixed; boundary=b\nContent-Transfer-Encoding: base64\n", 1),
    ] {
        let arrived = arrived(&desk, fields, &from_somebody(fields, &body));
        assert_eq!(arrived.files.len(), files, "{fields}");
        assert!(files == 1 || arrived.text.contains(&BASE64.encode(SCRIPT)), "{fields}: {}", arrived.text);
        assert!(arrived.text.contains("Voir."), "{fields}");
    }
}

#[actix_web::test]
async fn b_18_a_file_of_two_names_has_one_and_is_handed_out_as_what_it_is() {
    let desk = Desk::open();
    let zoe = desk.test.browser_of(desk.zoe).await;
    for (disposition, kind, name) in [
        ("attachment; filename=a.txt; filename=b.html", "text/plain", "a.txt"),
        ("attachment; filename=a.txt; filename*=utf-8''b.html", "text/plain", "a.txt"),
        ("attachment; filename*=utf-8''b.html; filename=a.txt", "text/plain", "a.txt"),
        ("attachment; filename=a.txt", "text/html; name=b.html", "a.txt"),
        ("attachment", "text/html; name=b.html", "b.html"),
        ("inline; filename=a.png", "image/png; name=b.html", "a.png"),
        ("attachment; filename=\"a.txt\"; filename=\"\"", "text/html", "a.txt"),
        ("attachment; filename=\"../../etc/a.html\"", "text/html", "_.._etc_a.html"),
    ] {
        let body = format!(
            "--b\n\nVoir.\n--b\nContent-Type: {kind}\nContent-Disposition: {disposition}\n\
             Content-Disposition: attachment; filename=second.html\n\
             Content-Transfer-Encoding: base64\n\n{}\n--b--\n",
            BASE64.encode(SCRIPT)
        );
        let what = format!("{disposition} as {kind}");
        let arrived = arrived(&desk, &what, &from_somebody("Content-Type: multipart/mixed; boundary=b\n", body));
        assert_eq!(arrived.text.trim(), "Voir.", "{what}");
        assert_eq!(arrived.files, [(name.to_owned(), SCRIPT.to_vec())], "{what}");
        let page = zoe.get(&format!("/tickets/{}", arrived.ticket.reference)).await.text();
        let at = page.split('"').find(|at| at.starts_with("/attachments/") || at.contains("/files/"));
        let at = at.unwrap_or_else(|| panic!("{what}: no file in {page}")).to_owned();
        let served = zoe.get(&at).await;
        served.assert_status(200);
        let header = |name: &str| served.header(name).unwrap_or_default().to_owned();
        assert!(header("content-disposition").starts_with("attachment"), "{what}: {}", header("content-disposition"));
        assert!(!header("content-type").contains("html"), "{what}: {}", header("content-type"));
        assert_eq!(header("x-content-type-options"), "nosniff", "{what}");
    }
}
