//! The messages made to hurt (B-01 to B-20), from the journal to the ticket (ADV-32): each is read within its limits, and
//! kept byte for byte. What is read of each is shown beside the reader, in `mail::incoming`; of those that are meant to
//! have a person see something else than was written, here, by a file for each kind.

mod bodies;
mod boundaries;
mod charsets;
mod contradictions;
mod encodings;
mod html;

use accord::db::schema::journal;
use accord::db::types::{Json, TicketId};
use accord::journal::{NewMail, Recipient, Record, State, Way, accept};
use accord::teams::mailboxes;
use accord::tickets::attachments;
use accord::tickets::ticket::Ticket;
use diesel::prelude::*;

use crate::support::desk::{Desk, Letter, SUPPORT};

/// With the fields that every mail has, and these besides.
fn mail(number: usize, fields: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("From: hurt@sender-{number}.example\nTo: {SUPPORT}\n{fields}\n");
    [head.as_bytes(), body].concat()
}

/// By the name of each, a header and a body.
fn messages() -> Vec<(&'static str, String, Vec<u8>)> {
    let nested = |depth: usize| {
        let levels: String = (0..depth)
            .map(|level| format!("\n--b{level}\nContent-Type: multipart/mixed; boundary=b{}\n", level + 1))
            .collect();
        format!("{levels}\n--b{depth}\n\nbottom\n").into_bytes()
    };
    let html = |body: String| ("Content-Type: text/html; charset=utf-8\n".to_owned(), body.into_bytes());
    let coded = |charset: &str, encoding: &str, body: Vec<u8>| {
        (format!("Content-Type: text/plain; charset=\"{charset}\"\nContent-Transfer-Encoding: {encoding}\n"), body)
    };
    let only = |body: Vec<u8>| (String::new(), body);
    let plain = |fields: String| (fields, b"words\n".to_vec());
    let noise: Vec<u8> = (0..200_000_u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let base64 = data_encoding::BASE64.encode(&noise).into_bytes();
    let mixed = "Content-Type: multipart/mixed; boundary=b0\n".to_owned();
    let file = |kind: &str| {
        let body = format!("--b0\n\nwords\n--b0\nContent-Type: {kind}\nContent-Transfer-Encoding: base64\n\n");
        (mixed.clone(), [body.into_bytes(), base64.clone(), b"\n--b0--\n".to_vec()].concat())
    };
    let words = "=?utf-8?q?a?= ".repeat(10_000);
    let pieces: String = (0..10_000).map(|piece| format!("; filename*{piece}*=utf-8''a")).collect();
    let part = b"--b0\nContent-Type: application/pdf\n\nx\n";
    let bottom = "Content-Type: message/rfc822\n\n".repeat(50);
    let word_html = "<p class=MsoNormal style='mso-margin-top-alt:auto'><o:p>&nbsp;</o:p><span lang=FR>a</span></p>";
    let table = "<table><tr><td><a href=x>".repeat(3_000);
    let two_types = "Content-Type: text/plain\nContent-Type: text/html\nContent-Transfer-Encoding: base64\n\
        Content-Transfer-Encoding: 8bit\nMIME-Version: 1.0\nMIME-Version: 2.0\n\
        Content-Disposition: attachment; filename=a.txt; filename=b.exe\n";
    vec![
        ("B-01 25 deep", (mixed.clone(), nested(25))),
        ("B-01 10 000 deep", (mixed.clone(), nested(10_000))),
        ("B-02 parts", (mixed.clone(), part.repeat(20_000))),
        ("B-03 headers", plain("X: y\n".repeat(100_000))),
        ("B-04 a long header", plain(format!("X: {}\n", "z".repeat(2 << 20)))),
        ("B-04 folds", plain(format!("X: {}\n", "\n y".repeat(300_000)))),
        ("B-05 words in the subject", plain(format!("Subject: {words}\n"))),
        ("B-05 words in To", plain(format!("Cc: {words} <a@b.example>\n"))),
        ("B-06 recipients", plain(format!("Cc: {}\n", "a@b.example, ".repeat(100_000)))),
        ("B-07 brackets", plain(format!("Reply-To: {}\n", "(".repeat(1_000_000)))),
        ("B-08 pieces of a name", plain(format!("Content-Disposition: attachment{pieces}\n"))),
        ("B-09 utf-16", coded("utf-16", "base64", base64.clone())),
        ("B-09 iso-2022-jp", coded("iso-2022-jp", "base64", base64.clone())),
        ("B-09 utf-7", coded("utf-7", "8bit", noise.clone())),
        ("B-09 no charset", coded("", "8bit", noise.clone())),
        ("B-09 a long charset", coded(&"c".repeat(1 << 20), "base64", base64.clone())),
        ("B-10 nesting", html("<div>".repeat(100_000))),
        ("B-10 attributes", html(format!("<p {}>", "a ".repeat(100_000)))),
        ("B-10 links", html("<a href=x>y</a>".repeat(50_000))),
        ("B-10 comments", html("<!--".repeat(200_000))),
        ("B-10 mis-nested", html("<b><i></b></i>".repeat(20_000))),
        ("B-10 tables", html(table)),
        ("B-10 Word", html(word_html.repeat(9_000))),
        ("B-11 mails in mails", ("Content-Type: message/rfc822\n".to_owned(), bottom.into_bytes())),
        ("B-12 no boundary", ("Content-Type: multipart/mixed\n".to_owned(), part.repeat(3))),
        ("B-12 a boundary of signs", ("Content-Type: multipart/mixed; boundary=\".*+?(\"\n".to_owned(), part.to_vec())),
        (
            "B-12 prefixes",
            ("Content-Type: multipart/mixed; boundary=a\n".to_owned(), b"--ab\n\nx\n--a\n\ny\n".to_vec()),
        ),
        (
            "B-13 uuencode",
            coded("utf-8", "x-uuencode", b"begin 644 a\n".iter().copied().chain(noise.clone()).collect()),
        ),
        ("B-13 soft breaks", coded("utf-8", "quoted-printable", b"=\n".repeat(300_000))),
        ("B-14 a zip", file("application/zip; name=\"42.zip\"")),
        ("B-15 a picture", file("image/png; name=\"huge.png\"")),
        ("B-16 one line", only(vec![b'x'; 2 << 20])),
        ("B-16 NULs", only(vec![0; 100_000])),
        ("B-17 dates and ids", plain(format!("Date: 31 Dec 99999\nMessage-ID: {}\n", "<a b".repeat(3_000)))),
        ("B-18 contradictions", plain(two_types.to_owned())),
        ("B-19 quotes", only(vec![b'>'; 1 << 20])),
        ("B-19 half lines", only(b"On Monday somebody\n".repeat(50_000))),
        ("B-20 winmail.dat", file("application/ms-tnef; name=\"winmail.dat\"")),
    ]
    .into_iter()
    .map(|(name, (fields, body))| (name, fields, body))
    .collect()
}

#[test]
fn adv_32_ft_18_each_message_made_to_hurt_becomes_a_ticket_within_its_limits_and_is_kept_byte_for_byte() {
    let desk = Desk::open();
    let mailbox = desk.test.read(|db| Ok(mailboxes::default(db)?.id));
    let mut raws: Vec<(&str, Vec<u8>)> = messages()
        .into_iter()
        .enumerate()
        .map(|(number, (name, fields, body))| (name, mail(number, &fields, &body)))
        .collect();
    for (name, raw) in [
        ("B-16 nothing", &b""[..]),
        ("B-16 one byte", b"x"),
        ("B-16 carriage returns", b"From: a@b.example\rSubject: x\r\rwords\r"),
        ("B-16 UTF-16", b"\xFF\xFEF\0r\0o\0m\0"),
        ("B-16 a line of an mbox", b"From a@b Mon Nov 23 08:00:00 2026\nFrom: a@b.example\n\nwords"),
        ("B-16 a mark of the order of bytes", b"\xEF\xBB\xBFFrom: a@b.example\n\nwords"),
        ("B-16 a folded body", b" a body that begins with a space\n"),
    ] {
        raws.push((name, raw.to_vec()));
    }
    for (name, raw) in raws {
        let recipients = vec![Recipient { mailbox, address: SUPPORT.to_owned() }];
        let new = NewMail::new(recipients, "x@y.example".to_owned(), Way::Lmtp, raw.clone());
        let now = desk.test.now();
        desk.test.write(move |db| accept(db, &new, now));
        desk.test.run_jobs();
        let (state, strikes, attempts, hash): (State, i32, i32, Option<String>) = desk.test.read(|db| {
            Ok(journal::table
                .order(journal::id.desc())
                .select((journal::state, journal::strikes, journal::attempts, journal::original_hash))
                .first(db)?)
        });
        assert_eq!((state, strikes, attempts), (State::Applied, 0, 1), "{name}");
        let kept = desk.test.app.storage.get(&hash.unwrap()).unwrap();
        assert!(kept == raw, "{name} is kept otherwise than it came");
    }
    assert!(!desk.tickets().is_empty());
}

/// With the fields that every mail has and these besides, from somebody who has not written before.
fn from_somebody(fields: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let somebody = accord::secret::random_handle();
    let head = format!("From: hurt@{somebody}.example\nTo: {SUPPORT}\nSubject: Une panne\n{fields}\n");
    [head.as_bytes(), body.as_ref()].concat()
}

/// What a mail became.
struct Arrived {
    record: Record,
    ticket: Ticket,
    /// All that it says, what it quotes included.
    text: String,
    /// The names and the bytes of its files.
    files: Vec<(String, Vec<u8>)>,
}

/// The mail arrives; it was read at the first try, is a ticket of its own, and is kept byte for byte.
fn arrived(desk: &Desk, what: &str, raw: &[u8]) -> Arrived {
    let tickets = desk.tickets().len();
    desk.accept_bytes(SUPPORT, "x@y.example", raw.to_vec());
    desk.test.run_jobs();
    type Row = (State, i32, i32, Option<String>, Option<TicketId>, Json<Record>);
    let (state, strikes, attempts, hash, ticket, record): Row = desk.test.read(|db| {
        let of_last = (
            journal::state,
            journal::strikes,
            journal::attempts,
            journal::original_hash,
            journal::ticket_id,
            journal::record,
        );
        Ok(journal::table.order(journal::id.desc()).select(of_last).first(db)?)
    });
    assert_eq!((state, strikes, attempts), (State::Applied, 0, 1), "{what}: {record:?}");
    let kept = desk.test.app.storage.get(&hash.expect("the original")).unwrap();
    assert!(kept == raw, "{what} is kept otherwise than it came");
    assert_eq!(desk.tickets().len(), tickets + 1, "{what} opens a ticket");
    let ticket = desk.ticket_again(ticket.expect("a ticket"));
    let message = desk.messages(&ticket).remove(0);
    let files = desk.test.read(|db| attachments::of_ticket(db, &ticket));
    let content = |file: &attachments::Attachment| desk.test.app.storage.get(&file.content_hash).unwrap();
    Arrived {
        record: record.0,
        text: format!("{}{}", message.body_text, message.quoted_text),
        files: files.iter().map(|file| (file.file_name.clone(), content(file))).collect(),
        ticket,
    }
}

/// A mail with one file, which arrives; the file as it is kept.
fn kept_file(media_type: &str, name: &str, bytes: &[u8]) -> (Desk, Vec<u8>) {
    let desk = Desk::open();
    let body = format!(
        "--b\r\n\r\nVoir le fichier.\r\n--b\r\nContent-Type: {media_type}; name={name}\r\n\
         Content-Disposition: attachment; filename={name}\r\nContent-Transfer-Encoding: base64\r\n\r\n{}\r\n--b--\r\n",
        data_encoding::BASE64.encode(bytes)
    );
    desk.receive(
        &Letter::from("claire@acme.example").header("Content-Type", "multipart/mixed; boundary=b").text(&body),
    );
    let files = desk.test.read(|db| attachments::of_ticket(db, &desk.ticket()));
    assert_eq!(files.iter().map(|file| file.file_name.as_str()).collect::<Vec<_>>(), [name]);
    let kept = desk.test.app.storage.get(&files[0].content_hash).unwrap();
    (desk, kept)
}

#[test]
fn b_14_an_archive_is_a_file_like_any_other_and_is_never_unpacked() {
    // The local header of an entry that says it becomes four gigabytes, with an archive in it.
    let mut bomb = b"PK\x03\x04\x14\0\0\0\x08\0".to_vec();
    bomb.extend_from_slice(&[0, 0, 0, 0, 1, 2, 3, 4, 0, 1, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 5, 0, 0, 0]);
    bomb.extend_from_slice(b"1.zipPK\x03\x04");
    bomb.extend(std::iter::repeat_n(0xAA, 256));
    for (media_type, name) in [
        ("application/zip", "42.zip"),
        ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", "letter.docx"),
    ] {
        let (desk, kept) = kept_file(media_type, name, &bomb);
        assert!(kept == bomb, "{name} is kept as it came");
        assert_eq!(desk.messages(&desk.ticket())[0].body_text.trim(), "Voir le fichier.");
    }
}

#[test]
fn b_15_a_picture_of_two_and_a_half_gigapixels_is_kept_and_never_decoded() {
    let mut picture = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
    picture.extend_from_slice(&50_000_u32.to_be_bytes());
    picture.extend_from_slice(&50_000_u32.to_be_bytes());
    picture.extend_from_slice(&[8, 6, 0, 0, 0, 0, 0, 0, 0]);
    let (_, kept) = kept_file("image/png", "huge.png", &picture);
    assert!(kept == picture);
    // Nothing in the program could: no crate that it is built of decodes pictures.
    let lock = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.lock")).unwrap();
    for decoder in ["image", "png", "zune-png", "zune-jpeg", "jpeg-decoder", "gif", "image-webp", "resvg"] {
        assert!(!lock.contains(&format!("name = \"{decoder}\"\n")), "{decoder} decodes pictures");
    }
}
