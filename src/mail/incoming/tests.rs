//! Mails of every kind, ordinary, odd and hostile, and what is read of them.

use proptest::prelude::*;

use super::*;
use crate::html;
use crate::mail::limits::TEXT_PER_RAW_BYTE;

macro_rules! fixture {
    ($name:literal) => {
        &include_bytes!(concat!("../../../tests/fixtures/mail/", $name, ".eml"))[..]
    };
}

/// How large a mail is that is told by its number: as large as its row says where `ACCORD_TEST_FULL` is set, as CI does, and
/// smaller where somebody waits. Either is over the limit that bounds the work.
#[expect(clippy::disallowed_methods, reason = "this asks how large a test shall be, which is no setting")]
fn size(smaller: usize, as_the_row_says: usize) -> usize {
    if std::env::var_os("ACCORD_TEST_FULL").is_some() { as_the_row_says } else { smaller }
}

fn names(mail: &ParsedMail) -> Vec<&str> {
    mail.attachments.iter().map(|attachment| attachment.file_name.as_str()).collect()
}

fn cuts(mail: &ParsedMail) -> Vec<Cut> {
    mail.cuts.as_slice().to_vec()
}

fn identity(mail: &ParsedMail) -> Option<&str> {
    mail.from.identity.as_ref().map(EmailAddress::as_str)
}

fn header<'a>(mail: &'a ParsedMail, name: &str) -> Option<&'a str> {
    mail.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
}

/// A mail with this From field and nothing special besides.
fn from(value: &str) -> ParsedMail {
    parse(format!("From: {value}\nTo: support@desk.example\nSubject: x\n\nwords\n").as_bytes())
}

#[test]
fn an_ordinary_mail_is_read_whole() {
    let mail = parse(fixture!("rfc/plain"));
    assert_eq!(mail.level, Level::Full);
    assert_eq!(identity(&mail), Some("jean.dupont@acme.example"));
    assert_eq!(mail.from.display_name, "Jean Dupont (Acmé)");
    assert_eq!(mail.subject, "Le téléchargement échoue");
    assert_eq!(mail.date.map(UtcTime::rfc3339).as_deref(), Some("2026-03-02T08:15:00Z"));
    assert_eq!(mail.message_id.as_deref(), Some("<one@acme.example>"));
    assert_eq!(mail.in_reply_to, ["<zero@desk.example>"]);
    assert_eq!(mail.references, ["<first@desk.example>", "<zero@desk.example>"]);
    let cc: Vec<_> = mail.cc.iter().map(|cc| (cc.display_name.as_str(), cc.shown_address.as_str())).collect();
    assert_eq!(cc, [("Martin, Marie", "marie.martin@acme.example"), ("", "paul@acme.example")]);
    assert_eq!(
        mail.text,
        "Bonjour,\n\nle téléchargement échoue depuis hier. Une ligne bien longue que le client a coupée.\n\nJean\n"
    );
    assert_eq!(mail.html, None);
    assert_eq!(mail.return_path.as_deref(), Some("jean.dupont@acme.example"));
    assert!(mail.cuts.is_empty() && !mail.is_charset_doubtful && mail.attachments.is_empty());
}

#[test]
fn header_fields_are_kept_in_order_unfolded_and_undecoded() {
    let mail = parse(fixture!("rfc/plain"));
    assert_eq!(mail.headers[0], ("return-path".to_owned(), "<jean.dupont@acme.example>".to_owned()));
    assert_eq!(mail.headers[1].0, "received");
    assert!(mail.headers[1].1.ends_with("id 1\tfor <support@desk.example>; Mon, 2 Mar 2026 09:15:02 +0100"));
    assert_eq!(header(&mail, "from"), Some("=?utf-8?Q?Jean_Dupont_=28Acm=C3=A9=29?= <jean.dupont@acme.example>"));
}

#[test]
fn nested_parts_are_told_apart() {
    let mail = parse(fixture!("rfc/nested"));
    assert_eq!(mail.text, "Plain words with a picture.");
    assert!(mail.html.as_deref().unwrap().contains("cid:picture@acme"));
    assert_eq!(names(&mail), ["picture.png", "Résumé.pdf", "L'original.eml"]);
    assert!(mail.attachments[0].is_inline, "the HTML shows it");
    assert!(!mail.attachments[1].is_inline);
    assert_eq!(mail.attachments[1].bytes, b"%PDF-1.4\n");
    let inner = parse(&mail.attachments[2].bytes);
    assert_eq!((inner.subject.as_str(), inner.text.as_str()), ("L'original", "inner text"));
    assert_eq!(header(&mail, "subject"), Some("Nested"), "nothing of the inner mail is taken for the outer");
}

#[test]
fn a_digest_is_kept_as_mails() {
    let mail = parse(fixture!("rfc/digest"));
    assert_eq!(names(&mail), ["One.eml", "Two.eml"]);
    assert_eq!(mail.text, "");
}

#[test]
fn mail_of_the_usual_clients_is_read() {
    let outlook = parse(fixture!("clients/outlook_reply"));
    assert!(outlook.text.starts_with("Ça marche, merci “beaucoup” – 10 €.\n"), "{}", outlook.text);
    assert_eq!(outlook.from.display_name, "Dupont, Jean");
    assert_eq!(names(&outlook), ["image001.png"]);
    assert!(outlook.attachments[0].is_inline);
    let html = html::sanitize_mail(outlook.html.as_deref().unwrap(), &|id| Some(format!("/a/{id}"))).unwrap().html;
    assert!(html.contains("<img src=\"/a/image001.png@01DA\" width=\"1\" alt=\"\">"), "{html}");

    let gmail = parse(fixture!("clients/gmail_reply"));
    assert!(gmail.text.starts_with("Parfait 👍\n\nLe lun. 2 mars 2026 à 17:00"));
    assert!(gmail.html.is_some() && gmail.attachments.is_empty());

    let apple = parse(fixture!("clients/apple_mail"));
    assert_eq!(apple.text, "Before the picture.\n\n\nAfter the picture.\n");
    assert_eq!(names(&apple), ["Capture d’écran.png", "errors.log"]);
    assert!(apple.attachments[0].is_inline && !apple.attachments[1].is_inline);

    let html_only = parse(fixture!("clients/html_only"));
    assert_eq!(html_only.text, "Commande\n\nDeux lignes\nici, voir (https://shop.example/o/1).\n\n- un\n");
}

#[test]
fn h_04_a_newsletter_shows_no_remote_image() {
    let mail = parse(fixture!("automatic/newsletter"));
    let safe = html::sanitize_mail(mail.html.as_deref().unwrap(), &|_| None).unwrap();
    assert_eq!((safe.html.trim(), safe.remote_images), ("<p>News </p>", 1));
}

#[test]
fn b_20_what_is_no_text_is_kept_as_a_file() {
    assert_eq!(names(&parse(fixture!("clients/winmail"))), ["winmail.dat"]);
    let meeting = parse(fixture!("clients/meeting"));
    assert_eq!((meeting.text.as_str(), names(&meeting)), ("Shall we meet?", vec!["calendar.ics"]));
    assert_eq!(meeting.attachments[0].media_type, "text/calendar");
    let signed = parse(fixture!("clients/signed"));
    assert_eq!((signed.text.as_str(), names(&signed)), ("Signed words.", vec!["signature.asc"]));
    let bounce = parse(fixture!("automatic/bounce"));
    assert_eq!(names(&bounce), ["delivery-status.txt", "Your request.eml"]);
    assert_eq!(bounce.text, "I could not deliver the message.");
    assert_eq!((bounce.return_path.as_deref(), identity(&bounce)), (Some(""), None));
    assert_eq!(bounce.from.shown_address, "MAILER-DAEMON");
    assert!(bounce.attachments[0].bytes.starts_with(b"Reporting-MTA:"));
}

#[test]
fn adv_08_fields_that_would_steer_accord_are_not_handed_on() {
    let mail = parse(fixture!("automatic/out_of_office"));
    assert!(mail.headers.iter().all(|(name, _)| !name.starts_with("x-accord-")));
    assert_eq!(mail.loop_marks, ["desk;1;forged"]);
    assert_eq!(header(&mail, "auto-submitted"), Some("auto-replied (vacation)"));
    let spaced = parse(b"From: a@b.example\nX-Accord-Priority : high\nx-accord-queue: x\n\n");
    assert_eq!(spaced.headers.len(), 1);
}

#[test]
fn i_01_mail_from_hostile_senders_is_stored_without_identity() {
    for value in [
        "\"victim\"@acme.example",
        "victim@acme.example evil@x.example",
        "<victim@[127.0.0.1]>",
        "victim＠acme.example",
        "victim@ａcme.example",
        "",
    ] {
        let mail = from(value);
        assert_eq!((mail.level, identity(&mail), mail.text.as_str()), (Level::Full, None, "words\n"), "{value}");
    }
}

#[test]
fn i_02_addresses_are_read_before_anything_is_decoded() {
    for (value, is) in [
        ("=?utf-8?q?victim=40acme.example=3E?= <evil@x.example>", Some("evil@x.example")),
        ("=?utf-8?q?victim=40acme.example?= <evil@x.example>", Some("evil@x.example")),
        ("=?utf-8?b?PHZpY3RpbUBhY21lLmV4YW1wbGU+LCA=?= <evil@x.example>", Some("evil@x.example")),
        ("=?utf-8?q?=3Cvictim=40acme.example=3E?=", None),
        ("=?utf-8?q?victim?=@acme.example", None),
    ] {
        assert_eq!(identity(&from(value)), is, "{value}");
    }
    let mail = from("=?utf-8?q?victim=40acme.example=3E?= <evil@x.example>");
    assert_eq!(mail.from.display_name, "victim@acme.example>");
    assert_eq!(mail.from.shown_address, "evil@x.example");
}

#[test]
fn adv_37_every_reader_sees_the_same_sender_or_none() {
    for value in [
        "=?x?q?victim=40acme.example=3e=00?=foo@x.example",
        "\"victim@acme.example> \"@x.example",
        "victim(@x.example)@acme.example",
        "@acme.example,@x.example:victim@acme.example",
        "<@x.example:victim@acme.example>",
        "victim%acme.example@(\\@x.example)",
        "\"a\\\"b\"@acme.example",
        "=?utf-8?q?=41=42?= victim@acme.example",
        "victim@=?utf-8?q?acme.example?=",
    ] {
        assert_eq!(identity(&from(value)), None, "{value}");
    }
}

#[test]
fn adv_38_composed_senders_are_unknown_senders() {
    let two = parse(fixture!("malformed/two_from"));
    assert_eq!((identity(&two), two.from.shown_address.as_str()), (None, "victim@acme.example"));
    for head in [
        "From : victim@acme.example",
        "From\t: victim@acme.example",
        "From: victim@acme.example\nfrom: evil@x.example",
        "From: victim@acme.example\nFrom : evil@x.example",
        "From: victim@acme.example, evil@x.example",
        "From: victim@acme.example; evil@x.example",
        "From: evil@x.example <victim@acme.example>",
        "From: <evil@x.example> <victim@acme.example>",
        "From: <victim@acme.example> evil@x.example",
        "From: friends: victim@acme.example;",
        "From: victim@acme.example\0",
        "From: victim@acme.example\0@x.example",
        "From: victim@acme.example\rFrom: evil@x.example",
        "From: victim@acme.example\n\t, evil@x.example",
        "From: <>",
        "From: victim@acme.example (",
        "Sender: victim@acme.example",
        "Resent-From: victim@acme.example",
    ] {
        let mail = parse(format!("To: support@desk.example\n{head}\nSubject: x\n\nwords\n").as_bytes());
        assert_eq!(identity(&mail), None, "{head:?}");
        assert!(mail.text.contains("words"), "{head:?} is stored");
    }
    // A From beyond what is read of the header may be a second one.
    let hidden = format!("From: victim@acme.example\n{}From: evil@x.example\n\nwords", "X: y\n".repeat(1_000));
    assert_eq!(identity(&parse(hidden.as_bytes())), None);
}

#[test]
fn i_05_a_reply_address_is_no_identity() {
    let mail = parse(b"From: jean@acme.example\nReply-To: agent@desk.example\n\nx");
    assert_eq!(identity(&mail), Some("jean@acme.example"));
    assert_eq!(mail.reply_to[0].shown_address, "agent@desk.example");
    let mail = parse(b"Reply-To: agent@desk.example\nSubject: x\n\nx");
    assert_eq!(identity(&mail), None);
}

#[test]
fn adv_13_decoded_values_are_one_line() {
    let mail = parse(
        b"From: =?utf-8?q?Jean=0D=0ABcc=3A_evil=40x.y?= <jean@acme.example>\n\
          Subject: =?utf-8?q?Hello=0ABcc:_evil=40x.y=00=0C!?=\n\nx",
    );
    assert_eq!(mail.from.display_name, "Jean Bcc: evil@x.y");
    assert_eq!(mail.subject, "Hello Bcc: evil@x.y !");
}

#[test]
fn adv_21_file_names_are_canonical() {
    let mail = parse(
        "From: jean@acme.example\nContent-Type: application/octet-stream\n\
         Content-Disposition: attachment; filename=\"=?utf-8?q?..=2Fshell=2Eph=E2=80=8Bp=E2=80=AE=2E?=\"\n\nx"
            .as_bytes(),
    );
    assert_eq!(names(&mail), ["_shell.php"]);
    let mail = parse(
        b"From: jean@acme.example\nContent-Type: application/pdf; name=\"=?utf-8?q?a=22=3B_filename=3Db.exe?=\"\n\nx",
    );
    assert_eq!(names(&mail), ["a_; filename=b.exe"], "an encoded-word cannot end the name");
}

#[test]
fn m_03_an_unknown_charset_is_read_and_flagged() {
    let mail = parse(fixture!("malformed/unknown_charset"));
    assert_eq!((mail.subject.as_str(), mail.text.as_str()), ("café", "café €  end\n"));
    assert!(mail.is_charset_doubtful && mail.level == Level::Full);
}

#[test]
fn l_01_of_a_mail_over_the_size_the_header_is_read() {
    let mut raw = b"From: jean@acme.example\nSubject: Big\n\n".to_vec();
    raw.resize(10_000, b'x');
    let mail = parse_within(&raw, 9_999);
    assert_eq!((mail.level, cuts(&mail)), (Level::HeadersOnly, vec![Cut::RawSize]));
    assert_eq!((mail.subject.as_str(), identity(&mail), mail.text.as_str()), ("Big", Some("jean@acme.example"), ""));
    assert_eq!(parse_within(&raw, 10_000).level, Level::Full);
}

#[test]
fn l_02_long_headers_are_cut() {
    let mail = parse(format!("From: jean@acme.example\nSubject: {}\n\nwords", "s".repeat(1 << 20)).as_bytes());
    assert_eq!((cuts(&mail), mail.text.as_str()), (vec![Cut::HeaderBlock, Cut::HeaderValue], "words"));
    assert_eq!(mail.subject.len(), SUBJECT_CHARACTERS);
    let mail = parse(format!("From: jean@acme.example\nSubject: {}\n\nwords", "s".repeat(40_000)).as_bytes());
    assert_eq!((cuts(&mail), mail.subject.len()), (vec![Cut::HeaderValue], SUBJECT_CHARACTERS));
    let mail = parse(format!("From: jean@acme.example\n{}\nwords", "X: y\n".repeat(100_000)).as_bytes());
    assert_eq!((cuts(&mail), mail.text.as_str()), (vec![Cut::HeaderBlock, Cut::HeaderFields], "words"));
}

#[test]
fn b_03_a_million_headers_are_cut() {
    let fields = "X: y\n".repeat(size(100_000, 1_000_000));
    let mail = parse(format!("From: jean@acme.example\n{fields}\nwords").as_bytes());
    assert_eq!((cuts(&mail), mail.text.as_str()), (vec![Cut::HeaderBlock, Cut::HeaderFields], "words"));
    assert!(mail.headers.len() <= 1_000, "{}", mail.headers.len());
}

#[test]
fn b_04_a_header_of_ten_megabytes_is_cut() {
    let value = "s".repeat(size(1 << 20, 10 << 20));
    let mail = parse(format!("From: jean@acme.example\nSubject: {value}\n\nwords").as_bytes());
    assert_eq!((cuts(&mail), mail.text.as_str()), (vec![Cut::HeaderBlock, Cut::HeaderValue], "words"));
    assert_eq!(mail.subject.len(), SUBJECT_CHARACTERS);
}

#[test]
fn b_04_a_million_folds_are_cut() {
    let mail = parse(format!("From: jean@acme.example\nX: {}\n\nwords", "\n y".repeat(1_000_000)).as_bytes());
    assert_eq!((cuts(&mail), mail.text.as_str()), (vec![Cut::HeaderBlock, Cut::HeaderValue], "words"));
}

#[test]
fn b_05_many_encoded_words_are_cut() {
    let words = "=?utf-8?q?a?= ".repeat(1_000);
    for head in [
        format!("From: jean@acme.example\nSubject: {words}"),
        format!("From: {words} <jean@acme.example>"),
        format!("From: jean@acme.example\nTo: {words} <x@y.example>"),
        format!("From: jean@acme.example\nContent-Disposition: attachment; filename=\"{words}\""),
    ] {
        let mail = parse(format!("{head}\n\nwords").as_bytes());
        assert_eq!(cuts(&mail), [Cut::EncodedWords]);
        assert_eq!(identity(&mail), Some("jean@acme.example"));
    }
    let mail = parse(format!("From: jean@acme.example\nSubject: {}\n\nwords", words.repeat(10)).as_bytes());
    assert_eq!(cuts(&mail), [Cut::HeaderValue, Cut::EncodedWords]);
    let many = "=?utf-8?q?a?= ".repeat(size(100_000, 1_000_000));
    for head in [format!("Subject: {many}"), format!("To: {many} <x@y.example>")] {
        let mail = parse(format!("From: jean@acme.example\n{head}\n\nwords").as_bytes());
        assert!(cuts(&mail).contains(&Cut::HeaderValue), "{:?}", cuts(&mail));
        // In what was not read of the header, there may be a second From (I-03).
        assert_eq!((identity(&mail), mail.text.as_str()), (None, "words"));
    }
}

#[test]
fn b_06_many_recipients_are_cut() {
    let mail = parse(format!("From: jean@acme.example\nTo: {}\n\nwords", "a@b.example, ".repeat(2_000)).as_bytes());
    assert_eq!((cuts(&mail), mail.to.len()), (vec![Cut::Addresses], ADDRESSES));
    let everybody = "a@b.example, ".repeat(size(100_000, 1_000_000));
    let mail = parse(format!("From: jean@acme.example\nTo: {everybody}\n\nwords").as_bytes());
    assert!(mail.to.len() <= ADDRESSES && cuts(&mail).contains(&Cut::HeaderValue), "{:?}", cuts(&mail));
    assert_eq!((identity(&mail), mail.text.as_str()), (None, "words"));
}

#[test]
fn b_07_a_million_brackets_are_no_sender() {
    let mail = from(&"(".repeat(1_000_000));
    assert_eq!((identity(&mail), mail.text.as_str()), (None, "words\n"));
}

#[test]
fn b_01_deep_multiparts_are_kept_as_a_file() {
    for depth in [25, 101, 1_000, 10_000] {
        let mut raw = "From: jean@acme.example\nContent-Type: multipart/mixed; boundary=b0\n".to_owned();
        for level in 0..depth {
            raw.push_str(&format!("\n--b{level}\nContent-Type: multipart/mixed; boundary=b{}\n", level + 1));
        }
        raw.push_str(&format!("\n--b{depth}\n\nbottom\n"));
        let mail = parse(raw.as_bytes());
        assert_eq!((mail.level, cuts(&mail)), (Level::Full, vec![Cut::MimeDepth]), "{depth}");
        assert!(mail.attachments[0].bytes.ends_with(b"bottom\n"), "nothing is lost");
    }
}

#[test]
fn b_02_many_parts_are_cut() {
    let raw = format!(
        "From: jean@acme.example\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\nfirst\n{}",
        "--b\nContent-Type:a/b\n\nx\n".repeat(size(100_000, 1_000_000))
    );
    let mail = parse(raw.as_bytes());
    assert_eq!((cuts(&mail), mail.text.as_str()), (vec![Cut::Parts], "first"));
    assert_eq!(mail.attachments.len(), 498);
}

#[test]
fn b_08_many_pieces_of_a_file_name_are_cut() {
    let disposition = |pieces: &str| {
        let raw = format!("From: jean@acme.example\nContent-Disposition: attachment{pieces}\n\nx");
        let mail = parse(raw.as_bytes());
        (names(&mail).join("|"), cuts(&mail))
    };
    let many: String = (0..size(2_000, 100_000)).map(|n| format!("; filename*{n}*=utf-8''a")).collect();
    let (_, cut) = disposition(&many);
    assert!(cut.ends_with(&[Cut::HeaderValue, Cut::Parameters]), "{cut:?}");
    assert_eq!(disposition("; filename*1=b; filename*0=a"), ("ab".into(), vec![]), "out of order");
    assert_eq!(disposition("; filename*0=a; filename*2=c"), ("a".into(), vec![]), "with a gap");
    assert_eq!(disposition("; filename*0*+=x; filename**=y; *=z; =").1, []);
}

#[test]
fn b_09_odd_charsets_are_read_somehow() {
    for charset in ["utf-16", "utf-32LE", "utf-7", "iso-2022-jp", "", "x-unknown", &"c".repeat(30_000)] {
        let raw = format!(
            "From: jean@acme.example\nContent-Type: text/plain; charset=\"{charset}\"\n\
             Content-Transfer-Encoding: base64\n\n/+4bJEL/3g=="
        );
        let mail = parse(raw.as_bytes());
        assert!(mail.level == Level::Full && !mail.text.contains('\0'), "{charset}");
    }
}

#[test]
fn b_10_html_over_a_limit_becomes_text() {
    let html = |body: &str| parse(format!("From: jean@acme.example\nContent-Type: text/html\n\n{body}").as_bytes());
    for (body, cut) in [
        (format!("{}words", "<div>".repeat(10_000)), Cut::HtmlNesting),
        (format!("<p {}>words", "a ".repeat(1_000)), Cut::HtmlAttributes),
        (format!("{}words", "<a href=x></a>".repeat(6_000)), Cut::HtmlLinks),
        (format!("{}words", "<p></p>".repeat(200_000)), Cut::HtmlSize),
    ] {
        let mail = html(&body);
        assert_eq!((cuts(&mail), mail.html.is_none(), mail.text.trim()), (vec![cut], true, "words"));
    }
    assert_eq!(html(&"<!--".repeat(10_000)).text, "");
}

#[test]
fn b_11_mails_within_mails_are_not_opened() {
    let raw = format!("From: jean@acme.example\n{}\nbottom", "Content-Type: message/rfc822\n\n".repeat(50));
    let mail = parse(raw.as_bytes());
    assert_eq!((mail.attachments.len(), cuts(&mail)), (1, vec![]));
}

#[test]
fn b_12_odd_boundaries_hide_nothing() {
    let mail = parse(fixture!("malformed/prefix_boundaries"));
    assert_eq!((mail.text.as_str(), mail.html.as_deref(), names(&mail)), ("plain", Some("<p>html</p>"), vec!["x.bin"]));
    for boundary in ["", "\"\"", "missing", "\".*+?(\"", &"b".repeat(1_000)] {
        let raw = format!(
            "From: jean@acme.example\nContent-Type: multipart/mixed; boundary={boundary}\n\n--other\n\nwords\n--other--\n"
        );
        assert!(parse(raw.as_bytes()).text.contains("words"), "{boundary}");
    }
    let cut_off = parse(fixture!("malformed/no_closing_boundary"));
    assert_eq!((cut_off.text.as_str(), names(&cut_off)), ("words", vec!["a.pdf"]));
    assert_eq!(cut_off.attachments[0].bytes, b"%PDF-1.");
    let folded = parse(fixture!("malformed/folded_body"));
    assert_eq!(folded.text, " indented words\n\nmore");
}

#[test]
fn l_12_decoded_text_is_cut_by_part_and_by_the_whole() {
    // Each byte of it is three in UTF-8.
    let euros = |count: usize| vec![0x80_u8; count];
    let one = |body: Vec<u8>| {
        parse(&[b"From: a@b.example\nContent-Type: text/plain; charset=windows-1252\n\n".to_vec(), body].concat())
    };
    let small = one(euros(20_000));
    assert_eq!((small.text.len(), cuts(&small)), (60_000, vec![]), "what every mail may have");
    let large = one(euros(2 << 20));
    assert!(large.text.len() <= PART_TEXT_BYTES && large.text.len() > PART_TEXT_BYTES - 3, "{}", large.text.len());
    assert_eq!(cuts(&large), [Cut::Text]);
    let mut raw = b"From: a@b.example\nContent-Type: multipart/mixed; boundary=b\n".to_vec();
    for _ in 0..5 {
        raw.extend_from_slice(b"\n--b\nContent-Type: text/plain; charset=windows-1252\n\n");
        raw.extend(euros(100_000));
    }
    raw.extend_from_slice(b"\n--b--\n");
    let several = parse(&raw);
    assert_eq!(cuts(&several), [Cut::Text]);
    assert!(several.text.len() < raw.len() * TEXT_PER_RAW_BYTE + 100, "{} of {}", several.text.len(), raw.len());
    assert!(several.text.len() > raw.len(), "what lies within the limit is read");
}

#[test]
fn b_16_odd_bytes_are_stored() {
    for (raw, level, text) in [
        (&b""[..], Level::Stub, ""),
        (b"x", Level::Stub, "x"),
        (b"\n\n\n", Level::Stub, ""),
        (b"\0\0\0", Level::Stub, ""),
        (b"\xFF\xFEF\0r\0o\0m\0", Level::Stub, "From"),
        (b"\xEF\xBB\xBFFrom: a@b.example\n\nwords", Level::Full, "words"),
        (b"From: a@b.example\n\n words", Level::Full, " words"),
        (b"From: a@b.example\r\nSubject: x\n\r\nwords\n", Level::Full, "words\n"),
        (b"Note: this is\nno mail", Level::Stub, "Note: this is\nno mail"),
    ] {
        let mail = parse(raw);
        assert_eq!((mail.level, mail.text.as_str()), (level, text), "{raw:?}");
        assert_eq!(mail.has_words_without_form(), level == Level::Stub && !text.is_empty(), "{raw:?}");
    }
    for not_words in
        [&b"\x89PNG\r\n\x1A\n\0\0\0\rIHDR\0\0\x01\0"[..], b"\xFF\xD8\xFF\xE0\0\x10JFIF\0\x01\x01\x01", b"-- ..."]
    {
        assert!(!parse(not_words).has_words_without_form(), "{not_words:?}");
    }
    let cut = parse(&"é".repeat(PART_TEXT_BYTES / 2 + 2).into_bytes()[1..]);
    assert!(cut.has_words_without_form() && cuts(&cut) == [Cut::Text]);
    let cr_only = parse(fixture!("malformed/cr_only"));
    assert_eq!((cr_only.subject.as_str(), cr_only.text.as_str()), ("CR only", "words\nmore\n"));
    let no_header = parse(fixture!("malformed/no_header"));
    assert_eq!((no_header.level, no_header.text.as_str()), (Level::Stub, "Hello,\n\nthis has no header.\n"));
    let mbox = parse(fixture!("malformed/mbox"));
    assert_eq!((identity(&mbox), mbox.subject.as_str()), (Some("jean.dupont@acme.example"), "From a mailbox file"));
    let long_line = parse(&[b"From: a@b.example\n\n".to_vec(), vec![b'x'; 5 << 20]].concat());
    assert_eq!((long_line.text.len(), cuts(&long_line)), (PART_TEXT_BYTES, vec![Cut::Text]));
}

#[test]
fn b_17_odd_dates_and_ids_are_no_dates_and_ids() {
    for date in ["Mon, 1 Jan 99999 00:00:00 +0000", "yesterday", "", "1 Jan 4294967295"] {
        assert_eq!(parse(format!("From: a@b.example\nDate: {date}\n\n").as_bytes()).date, None, "{date}");
    }
    for date in ["Mon, 1 Jan 0000 00:00:00 +0000", "Sat, 1 Jan 0 00:00:00 +0000"] {
        let read = parse(format!("From: a@b.example\nDate: {date}\n\nwords").as_bytes());
        assert_eq!(read.text, "words", "{date}");
        assert!(read.date.is_none_or(|date| date.rfc3339().len() < 30), "{date}: {:?}", read.date);
    }
    let year_9999 = parse(b"From: a@b.example\nDate: Fri, 31 Dec 9999 23:59:59 +0000\n\n").date;
    assert_eq!(year_9999.map(UtcTime::rfc3339).as_deref(), Some("9999-12-31T23:59:59Z"));
    for (value, id) in [
        ("<a@b>", Some("<a@b>")),
        ("a@b", Some("<a@b>")),
        ("<a b@c>", None),
        ("", None),
        ("<>", None),
        (&format!("<{}@b>", "a".repeat(10_000)), None),
        ("<a@b> <c@d>", Some("<a@b>")),
    ] {
        let mail = parse(format!("From: a@b.example\nMessage-ID: {value}\n\n").as_bytes());
        assert_eq!(mail.message_id.as_deref(), id, "{value}");
    }
    let ids: String = (0..500).map(|n| format!("<{n}@b> ")).collect();
    let references = parse(format!("From: a@b.example\nReferences: {ids}\n\n").as_bytes()).references;
    assert_eq!((references.len(), references[0].as_str(), references[99].as_str()), (100, "<0@b>", "<499@b>"));
}

#[test]
fn b_18_of_contradictory_fields_the_first_counts() {
    let mail = parse(fixture!("malformed/duplicate_fields"));
    assert_eq!(mail.subject, "First");
    assert_eq!(mail.message_id.as_deref(), Some("<one@acme.example>"));
    assert!(mail.text.contains("--x\n\nwords"), "all of it is shown");
}

#[test]
fn j_05_the_digest_is_that_of_the_content() {
    let plain = fixture!("rfc/plain");
    let other_path = [b"Received: from elsewhere by here; Mon, 2 Mar 2026 09:15:09 +0100\r\n", plain].concat();
    assert_eq!(parse(plain).digest, parse(&other_path).digest);
    for (what, by) in [
        ("Jean\r\n", "Jan\r\n"),
        ("09:15:00", "09:15:01"),
        ("=C3=A9choue", "marche"),
        ("jean.dupont@acme.example>\r\nTo", "x@y.example>\r\nTo"),
    ] {
        let changed = String::from_utf8(plain.to_vec()).unwrap().replace(what, by);
        assert_ne!(parse(plain).digest, parse(changed.as_bytes()).digest, "{what}");
    }
    let with_file =
        |bytes: &str| parse(format!("From: a@b.example\nContent-Type: application/pdf\n\n{bytes}").as_bytes());
    assert_ne!(with_file("a").digest, with_file("b").digest);
}

#[test]
fn j_03_each_fixture_with_a_byte_missing_is_still_read() {
    for raw in [fixture!("rfc/nested"), fixture!("clients/apple_mail"), fixture!("automatic/bounce")] {
        for at in (0..raw.len()).step_by(7) {
            let mail = parse(&raw[..at]);
            assert!(mail.level == Level::Full || at < 16, "{at}");
            parse(&raw[at..]);
        }
    }
}

const PIECES: [&str; 32] = [
    "From: a@b.example\n",
    "Content-Type: multipart/mixed; boundary=b\n",
    "Content-Type: text/html\n",
    "\n",
    "--b\n",
    "--b--\n",
    "Content-Transfer-Encoding: base64\n",
    "Content-Transfer-Encoding: quoted-printable\n",
    "=?utf-8?q?",
    "?=",
    "<p>",
    "</div>",
    " folded\n",
    "Subject: ",
    "To: \"",
    "<",
    ">",
    "(",
    "\\",
    "\0",
    "\r",
    "=",
    "Content-Disposition: attachment; filename*0*=",
    "utf-8''%C3",
    "; filename*1*=%A9",
    "\u{202E}",
    "Content-Type: message/rfc822\n",
    "é",
    ";",
    ",",
    "\t",
    "x",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]
    #[test]
    fn j_03_any_bytes_are_read_without_a_panic(raw in prop::collection::vec(any::<u8>(), 0..600)) {
        let mail = catch_unwind(|| read_all(&raw));
        prop_assert!(mail.is_ok());
        prop_assert!(!mail.unwrap().0.text.contains('\0'));
    }

    #[test]
    fn j_03_any_mix_of_mail_is_read_without_a_panic(pieces in prop::collection::vec(0..PIECES.len(), 0..60)) {
        let raw: String = pieces.into_iter().map(|piece| PIECES[piece]).collect();
        prop_assert!(catch_unwind(|| read_all(raw.as_bytes())).is_ok());
        prop_assert!(catch_unwind(|| read_headers(raw.as_bytes())).is_ok());
    }
}

/// What a mail with these words and files was known by before anything in mails was opened.
fn digest_of(raw: &str, text: &str, files: &[&[u8]]) -> [u8; 32] {
    let files = files.iter().map(|bytes| Sha256::digest(bytes).into()).collect();
    digest(&parse(raw.as_bytes()), &AsItCame { text: text.to_owned(), html: String::new(), files })
}

#[test]
fn j_05_a_mail_is_known_by_what_it_brought_and_not_by_what_was_opened_in_it() {
    let packed = String::from_utf8(fixture!("clients/winmail_files").to_vec()).unwrap();
    let (start, encoded) = packed.split_once("winmail.dat\"\n\n").unwrap();
    let encoded = encoded.split("--").next().unwrap().replace('\n', "");
    let bytes = data_encoding::BASE64.decode(encoded.as_bytes()).unwrap();
    // The same file under a name and a type that nobody opens.
    let unopened = packed.replace("application/ms-tnef", "application/octet-stream").replace("winmail.dat", "x.bin");
    assert!(start.contains("ms-tnef") && names(&parse(unopened.as_bytes())) == ["x.bin"]);
    let read = parse(packed.as_bytes());
    assert_eq!(read.digest, parse(unopened.as_bytes()).digest);
    assert_eq!(read.digest, digest_of(&packed, &parse(unopened.as_bytes()).text, &[&bytes]));

    let written_into_it = String::from_utf8(fixture!("clients/uuencoded").to_vec()).unwrap();
    let (_, body) = written_into_it.split_once("\n\n").unwrap();
    let read = parse(written_into_it.as_bytes());
    assert_eq!(names(&read), ["errors.log"]);
    assert_eq!(read.digest, digest_of(&written_into_it, body, &[]));
}

#[test]
fn every_alternative_is_there_that_says_something_of_its_own() {
    let mail = |last: &str| {
        parse(
            format!(
                "From: a@b.example\nContent-Type: multipart/alternative; boundary=b\n\n--b\nContent-Type: text/plain\n\nOne, in \
                 words.\n--b\nContent-Type: text/html\n\n<p>One, in <b>words</b>.</p>\n--b\nContent-Type: {last}\n--b--\n"
            )
            .as_bytes(),
        )
    };
    let other = mail("text/plain\n\nThe code is 4711.");
    assert_eq!((other.text.trim(), other.html.as_deref()), ("One, in words.", Some("<p>One, in <b>words</b>.</p>")));
    assert_eq!(names(&other), ["text.txt"]);
    assert_eq!(other.attachments[0].bytes, b"The code is 4711.");
    let richer = mail("text/html\n\n<p>One, in <i>words</i>.</p>");
    assert_eq!((names(&richer).len(), richer.html.as_deref()), (0, Some("<p>One, in <i>words</i>.</p>")));
    // The last is shown, and what the one before it says stands in the text.
    let last = mail("text/html\n\n<p>Quite another thing.</p>");
    assert_eq!((names(&last).len(), last.html.as_deref()), (0, Some("<p>Quite another thing.</p>")));
    assert_eq!(names(&mail("text/calendar\n\nBEGIN:VCALENDAR\nEND:VCALENDAR")), ["calendar.ics"]);
    // By its standard it says what the HTML says.
    assert_eq!(names(&mail("text/x-amp-html\n\n<html amp4email>One</html>")).len(), 0);
}
