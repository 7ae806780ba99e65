//! The mails of a day, each of its kind, and mails as large as are taken.

use data_encoding::BASE64;

/// What stands above every mail of the mix.
fn head(number: usize, sender: &str, subject: &str) -> String {
    format!(
        "Return-Path: <{sender}>\r\n\
         Received: from mx.acme.example by mx.vendor.example with ESMTPS id 1; Mon, 2 Mar 2026 09:15:02 +0100\r\n\
         Authentication-Results: mx.vendor.example; dmarc=pass header.from={}\r\n\
         From: Jean Dupont <{sender}>\r\n\
         To: Support <support@vendor.example>\r\n\
         Subject: =?utf-8?B?{}?=\r\n\
         Date: Mon, 2 Mar 2026 09:15:00 +0100\r\n\
         Message-ID: <{number}.mix@acme.example>\r\n\
         MIME-Version: 1.0\r\n",
        sender.rsplit('@').next().unwrap_or_default(),
        BASE64.encode(subject.as_bytes()),
    )
}

/// A few lines, no two mails the same.
fn words(number: usize) -> String {
    format!(
        "Bonjour,\r\n\r\nDepuis la mise =C3=A0 jour num=C3=A9ro {number}, l=E2=80=99export des factures s=E2=80=99arr=\r\n\
         =C3=AAte apr=C3=A8s la page {}. Le journal dit =C2=AB d=C3=A9lai d=C3=A9pass=C3=A9 =C2=BB. Que faire ?\r\n\r\n\
         Cordialement,\r\nJean Dupont\r\n",
        number % 97,
    )
}

/// Some lines of text.
pub fn plain(number: usize, sender: &str, subject: &str) -> Vec<u8> {
    let head = head(number, sender, subject);
    let kind = "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n";
    format!("{head}{kind}\r\n{}", words(number)).into_bytes()
}

fn alternative(number: usize) -> String {
    let text = words(number);
    let paragraphs = text.replace("\r\n\r\n", "</p>\r\n<p class=3D\"MsoNormal\">");
    format!(
        "Content-Type: multipart/alternative; boundary=\"a\"\r\n\r\n\
         --a\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n{text}\r\n\
         --a\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n\
         <html><head><style>p.MsoNormal {{margin: 0}}</style></head><body lang=3D\"FR\">\r\n\
         <p class=3D\"MsoNormal\">{paragraphs}</p>\r\n\
         <p style=3D\"color:#1F497D\"><b>Acm=C3=A9</b>, <a href=3D\"https://acme.example/\">acme.example</a></p>\r\n\
         </body></html>\r\n--a--\r\n"
    )
}

/// The same with HTML beside it.
pub fn html(number: usize, sender: &str, subject: &str) -> Vec<u8> {
    format!("{}{}", head(number, sender, subject), alternative(number)).into_bytes()
}

/// The same with a file of `bytes`.
pub fn with_file(number: usize, sender: &str, subject: &str, bytes: usize) -> Vec<u8> {
    let head = head(number, sender, subject);
    let mut mail = format!("{head}Content-Type: multipart/mixed; boundary=\"m\"\r\n\r\n--m\r\n{}", alternative(number));
    mail.push_str(&file("journal.bin", number, bytes));
    mail.push_str("--m--\r\n");
    mail.into_bytes()
}

/// A part with a file of `bytes` that do not repeat.
fn file(name: &str, seed: usize, bytes: usize) -> String {
    let mut state = seed as u64 | 1;
    let content: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    })
    .take(bytes)
    .collect();
    let mut part = format!(
        "--m\r\nContent-Type: application/octet-stream\r\nContent-Disposition: attachment; filename=\"{name}\"\r\n\
         Content-Transfer-Encoding: base64\r\n\r\n"
    );
    for line in content.chunks(57) {
        BASE64.encode_append(line, &mut part);
        part.push_str("\r\n");
    }
    part
}

/// Another field below Content-Type.
const BASE64_TOO: &str = "\r\nContent-Transfer-Encoding: base64";

/// Mails of nearly `bytes`, each of a kind that is hard in another way, with what it is.
pub fn large(bytes: usize) -> Vec<(&'static str, Vec<u8>)> {
    let bytes = bytes - (64 << 10);
    let (sender, subject) = ("jean@acme.example", "Un gros courrier");
    let filled = |kind: &str, line: &str| {
        let mut mail = format!("{}Content-Type: {kind}\r\n\r\n", head(1, sender, subject));
        mail.push_str(&line.repeat((bytes - mail.len()) / line.len()));
        mail.into_bytes()
    };
    let mut files = format!("{}Content-Type: multipart/mixed; boundary=\"m\"\r\n\r\n", head(2, sender, subject));
    for number in 0..450 {
        files.push_str(&file(&format!("{number}.bin"), number, bytes / 450 * 57 / 80));
    }
    files.push_str("--m--\r\n");
    let line = |bytes: &[u8]| format!("{}\r\n", BASE64.encode(bytes));
    let utf_16 = line(&"La même chose, encore.  \r\n ".encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>());
    let garbage = line(&(0..57_u8).map(|number| number.wrapping_mul(151)).collect::<Vec<u8>>());
    let mut uuencoded = format!("{}Content-Type: text/plain\r\n\r\nbegin 644 a.bin\r\n", head(1, sender, subject));
    uuencoded.push_str(&format!("M{}\r\n", "!".repeat(60)).repeat(bytes / 63 - 20));
    uuencoded.push_str("`\r\nend\r\n");
    vec![
        ("one file", with_file(3, sender, subject, bytes / 80 * 57)),
        ("450 files", files.into_bytes()),
        (
            "lines of text",
            filled("text/plain; charset=utf-8", "Voici la ligne de ce qui fut dit avant, mot pour mot.\r\n"),
        ),
        (
            "quoted lines",
            filled("text/plain; charset=utf-8", "> > Voici la ligne de ce qui fut dit avant, mot pour mot.\r\n"),
        ),
        (
            "paragraphs of HTML",
            filled("text/html; charset=utf-8", "<p style=\"color:red\">Voici <b>la</b> ligne.</p>\r\n"),
        ),
        ("HTML that opens and never closes", filled("text/html; charset=utf-8", "<div><font><table><tr><td>\r\n")),
        // B-09 and B-13 in their full size.
        ("UTF-16 in base64", filled(&format!("text/plain; charset=utf-16{BASE64_TOO}"), &utf_16)),
        ("garbage as ISO-2022-JP", filled(&format!("text/plain; charset=iso-2022-jp{BASE64_TOO}"), &garbage)),
        ("soft line breaks", filled("text/plain\r\nContent-Transfer-Encoding: quoted-printable", "=\r\n")),
        ("uuencode", uuencoded.into_bytes()),
    ]
}
