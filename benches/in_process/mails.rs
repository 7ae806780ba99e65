//! Mails as clients write them, of about 20 KiB: text and HTML with the conversation so far, and an inline picture.

/// The `number`th mail, from a sender of its own to the support's mailbox.
pub fn mail(number: usize) -> Vec<u8> {
    let mut text = String::from("Bonjour,\r\n\r\n=C3=A7a ne marche toujours pas.\r\n\r\nJean\r\n\r\n");
    let mut html = String::from("<html><head><style>p {margin: 0}</style></head><body><p>Bonjour,</p>\r\n");
    for line in 0..45 {
        text.push_str(&format!(
            "> Voici la ligne num=C3=A9ro {line} de ce qui fut dit avant, et qui est cit=C3=A9.\r\n"
        ));
        html.push_str(&format!(
            "<p class=3D\"MsoNormal\"><span style=3D\"font-size:11.0pt;color:#1F497D\">Voici la ligne num=C3=A9ro =\r\n\
             <b>{line}</b> de ce qui fut dit avant, et qui est <a href=3D\"https://acme.example/{line}\">cit=C3=A9</a>.\
             <o:p></o:p></span></p>\r\n"
        ));
    }
    html.push_str("<img src=3D\"cid:logo@acme\"></body></html>\r\n");
    let picture = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6\r\n".repeat(40);
    format!(
        "Return-Path: <jean.dupont.{number}@acme.example>\r\n\
         Received: from mx.acme.example by mail.desk.example with ESMTP id 1; Mon, 2 Mar 2026 09:15:02 +0100\r\n\
         From: =?utf-8?Q?Jean_Dupont_=28Acm=C3=A9=29?= <jean.dupont.{number}@acme.example>\r\n\
         To: Support <support@vendor.example>\r\n\
         Subject: =?utf-8?Q?Le_t=C3=A9l=C3=A9chargement_=C3=A9choue?=\r\n\
         Date: Mon, 2 Mar 2026 09:15:00 +0100\r\n\
         Message-ID: <{number}@acme.example>\r\n\
         MIME-Version: 1.0\r\n\
         Content-Type: multipart/related; boundary=\"r\"\r\n\r\n\
         --r\r\nContent-Type: multipart/alternative; boundary=\"a\"\r\n\r\n\
         --a\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n{text}\r\n\
         --a\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n{html}\r\n\
         --a--\r\n\
         --r\r\nContent-Type: image/png; name=\"logo.png\"\r\nContent-ID: <logo@acme>\r\n\
         Content-Transfer-Encoding: base64\r\n\r\n{picture}--r--\r\n"
    )
    .into_bytes()
}
