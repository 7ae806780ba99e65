//! Mails by the thousand: well-formed, broken and hostile, made from a seed, each with what its author meant.

/// What a mail is meant to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// As a mail program writes it.
    WellFormed,
    /// As programs with faults, or the way, leave it.
    Broken,
    /// As somebody writes it who wants harm.
    Hostile,
}

/// One of them.
#[derive(Clone, Debug)]
pub struct Specimen {
    pub number: usize,
    pub kind: Kind,
    /// What is odd about it, in a word.
    pub oddity: &'static str,
    pub bytes: Vec<u8>,
    /// What is to be found in its text.
    pub text: String,
    /// The names and the bytes of its files.
    pub files: Vec<(String, Vec<u8>)>,
}

/// A generator of numbers that gives the same ones for the same seed, anywhere (xorshift64*).
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Dice {
        Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        usize::try_from(self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33).unwrap() % sides
    }

    fn one_of<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.roll(from.len())]
    }
}

/// `count` mails made from `seed`; six in ten well-formed, three broken, one hostile.
pub fn specimens(seed: u64, count: usize) -> Vec<Specimen> {
    (0..count)
        .map(|number| specimen(&mut Dice::new(seed.wrapping_mul(1_000_003).wrapping_add(number as u64)), number))
        .collect()
}

const TEXTS: [&str; 6] = [
    "The printer on the second floor says it has no paper, and it has.",
    "L’imprimante du deuxième étage dit qu’elle n’a plus de papier : c’est faux, déjà vérifié.",
    "Der Drucker im zweiten Stock meldet kein Papier, obwohl genügend da ist. Größe: A4.",
    "プリンターに紙がありません。",
    "Принтер пишет, что нет бумаги.",
    "A line that is long enough to be folded by any program that folds lines, = signs and all = and then some more of it.",
];
const NAMES: [&str; 6] = ["a.txt", "report 2026.pdf", "facture n° 7.pdf", "écran.png", "データ.csv", "no-extension"];

struct Part {
    header: String,
    body: Vec<u8>,
}

fn specimen(dice: &mut Dice, number: usize) -> Specimen {
    let marker = format!("mail-{number:05}");
    let text = format!("{} ({marker})", dice.one_of(&TEXTS));
    let body = message_body(dice, &text);
    let mut files = Vec::new();
    for index in 0..[0, 0, 0, 1, 1, 2, 4][dice.roll(7)] {
        let name = dice.one_of(&NAMES);
        let mut bytes = format!("file {index} of {marker}\n").into_bytes();
        let (length, first) = (dice.roll(3_000), dice.roll(256));
        bytes.extend((0..length).map(|at| u8::try_from((at * 7 + first) % 256).unwrap()));
        files.push((name.to_owned(), bytes));
    }
    let root = if files.is_empty() {
        body
    } else {
        let mut parts = vec![body];
        parts.extend(files.iter().map(|(name, bytes)| file_part(dice, name, bytes)));
        multipart(dice, "mixed", &marker, parts)
    };
    let mut fields = vec![
        format!(
            "From: {}",
            dice.one_of(&[
                "claire@acme.example",
                "\"Lefèvre, Claire\" <claire@acme.example>",
                "=?utf-8?q?Cl=C3=A9a?= <clea@other.example>"
            ])
        ),
        "To: support@garonne.example".to_owned(),
        format!(
            "Subject: {} {marker}",
            dice.one_of(&["Printer", "=?utf-8?B?w6ljcmFu?=", "Re: =?iso-8859-1?Q?=E9cran?="])
        ),
        format!("Date: Thu, {} Jan 2026 10:{:02}:00 +0100", 1 + dice.roll(28), dice.roll(60)),
        format!("Message-ID: <{marker}@acme.example>"),
        "MIME-Version: 1.0".to_owned(),
    ];
    let kind = [
        Kind::WellFormed,
        Kind::WellFormed,
        Kind::Broken,
        Kind::WellFormed,
        Kind::Broken,
        Kind::WellFormed,
        Kind::Hostile,
        Kind::WellFormed,
        Kind::Broken,
        Kind::WellFormed,
    ][number % 10];
    let mut whole = Whole { root, text, files };
    let oddity = match kind {
        Kind::WellFormed => "",
        Kind::Broken => break_it(dice, &mut fields, &mut whole),
        Kind::Hostile => poison_it(dice, &mut fields, &mut whole),
    };
    let Whole { root, text, files } = whole;
    let mut bytes = fields.join("\n").into_bytes();
    bytes.extend_from_slice(format!("\n{}\n\n", root.header).as_bytes());
    bytes.extend_from_slice(&root.body);
    let bytes = match oddity {
        // As it travels.
        "" => with_crlf(&bytes),
        "lone line feeds" => bytes,
        "carriage returns only" => bytes.iter().map(|byte| if *byte == b'\n' { b'\r' } else { *byte }).collect(),
        _ if dice.roll(2) == 0 => with_crlf(&bytes),
        _ => bytes,
    };
    Specimen { number, kind, oddity, bytes, text, files }
}

struct Whole {
    root: Part,
    text: String,
    files: Vec<(String, Vec<u8>)>,
}

fn with_crlf(bytes: &[u8]) -> Vec<u8> {
    let mut travelled = Vec::with_capacity(bytes.len() + bytes.len() / 40);
    let mut before = 0;
    for byte in bytes {
        if *byte == b'\n' && before != b'\r' {
            travelled.push(b'\r');
        }
        travelled.push(*byte);
        before = *byte;
    }
    travelled
}

/// The text, plain or as HTML or both, in some charset and encoding that can hold it.
fn message_body(dice: &mut Dice, text: &str) -> Part {
    match dice.roll(5) {
        0..=2 => text_part(dice, "plain", text),
        3 => text_part(dice, "html", &format!("<html><body><p>{text}</p></body></html>")),
        _ => {
            let parts = vec![text_part(dice, "plain", text), text_part(dice, "html", &format!("<p>{text}</p>"))];
            let marker = format!("alt{}", dice.roll(10_000));
            multipart(dice, "alternative", &marker, parts)
        }
    }
}

fn text_part(dice: &mut Dice, subtype: &str, text: &str) -> Part {
    let charsets = ["utf-8", "utf-8", "iso-8859-1", "windows-1252", "koi8-r", "shift_jis", "iso-2022-jp"];
    let start = dice.roll(charsets.len());
    let mut charset = "utf-8";
    let mut bytes = text.as_bytes().to_vec();
    for candidate in charsets[start..].iter().chain(&charsets[..start]) {
        let encoding = encoding_rs::Encoding::for_label(candidate.as_bytes()).unwrap();
        let (encoded, _, has_gaps) = encoding.encode(text);
        if !has_gaps {
            (charset, bytes) = (candidate, encoded.into_owned());
            break;
        }
    }
    // Of these two what others call so is narrower than what browsers do.
    let is_narrow = charset == "iso-8859-1" && bytes.iter().any(|byte| (0x80..0xA0).contains(byte));
    if is_narrow {
        charset = "windows-1252";
    }
    let (encoding, body) = encoded(dice, &bytes);
    Part {
        header: format!("Content-Type: text/{subtype}; charset={charset}\nContent-Transfer-Encoding: {encoding}"),
        body,
    }
}

fn encoded(dice: &mut Dice, bytes: &[u8]) -> (&'static str, Vec<u8>) {
    match dice.roll(3) {
        0 => ("base64", base64(bytes)),
        1 => ("quoted-printable", quoted_printable(bytes)),
        _ => ("8bit", [bytes, b"\n"].concat()),
    }
}

fn base64(bytes: &[u8]) -> Vec<u8> {
    let text = data_encoding::BASE64.encode(bytes);
    let lines: Vec<&str> = text.as_bytes().chunks(76).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("{}\n", lines.join("\n")).into_bytes()
}

fn quoted_printable(bytes: &[u8]) -> Vec<u8> {
    let mut text = String::new();
    let mut column = 0;
    for byte in bytes {
        let piece = match byte {
            b'\n' => "\n".to_owned(),
            b'!'..=b'<' | b'>'..=b'~' => char::from(*byte).to_string(),
            b' ' if column < 70 => " ".to_owned(),
            byte => format!("={byte:02X}"),
        };
        column = if piece == "\n" { 0 } else { column + piece.len() };
        text += &piece;
        if column > 71 {
            text += "=\n";
            column = 0;
        }
    }
    text.push('\n');
    text.into_bytes()
}

fn file_part(dice: &mut Dice, name: &str, bytes: &[u8]) -> Part {
    let hex: String = name.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let word = format!("=?utf-8?B?{}?=", data_encoding::BASE64.encode(name.as_bytes()));
    let named = match dice.roll(3) {
        0 => format!("Content-Type: application/octet-stream\nContent-Disposition: attachment; filename*=utf-8''{hex}"),
        1 => format!(
            "Content-Type: application/pdf; name=\"{word}\"\nContent-Disposition: attachment; filename=\"{word}\""
        ),
        _ => {
            let (first, second) = hex.split_at(hex.len() / 6 * 3);
            format!(
                "Content-Type: image/png\nContent-Disposition: attachment;\n filename*0*=utf-8''{first};\n filename*1*={second}"
            )
        }
    };
    Part { header: format!("{named}\nContent-Transfer-Encoding: base64"), body: base64(bytes) }
}

fn multipart(dice: &mut Dice, subtype: &str, marker: &str, parts: Vec<Part>) -> Part {
    let boundary = format!("=_{marker}{}", dice.roll(1_000));
    let mut body = b"This is a message with several parts.\n\n".to_vec();
    for part in parts {
        body.extend_from_slice(format!("--{boundary}\n{}\n\n", part.header).as_bytes());
        body.extend_from_slice(&part.body);
        if !body.ends_with(b"\n") {
            body.push(b'\n');
        }
    }
    body.extend_from_slice(format!("--{boundary}--\n").as_bytes());
    Part { header: format!("Content-Type: multipart/{subtype}; boundary=\"{boundary}\""), body }
}

/// Files may suffer from what is broken; what the text says has to be found all the same.
fn break_it(dice: &mut Dice, fields: &mut Vec<String>, whole: &mut Whole) -> &'static str {
    let root = &mut whole.root;
    match dice.roll(14) {
        0 => "lone line feeds",
        1 => {
            whole.files.clear();
            whole.root = text_part(dice, "plain", "Only returns");
            whole.text = "Only returns".to_owned();
            "carriage returns only"
        }
        2 => {
            // The last boundary never comes.
            if let Some(at) = root.body.windows(3).rposition(|three| three == b"--\n") {
                root.body.truncate(at);
                root.body.push(b'\n');
            }
            "no end"
        }
        3 => {
            fields.retain(|field| !field.starts_with("MIME-Version"));
            "no MIME-Version"
        }
        4 => {
            fields.push(fields[2].clone());
            fields.push("To: somebody@else.example".to_owned());
            "fields twice"
        }
        5 => {
            root.header = root
                .header
                .replace("charset=", "charset=x-unheard-of-")
                .replace("charset=x-unheard-of-utf-8", "charset=utf8");
            whole.text = "mail-".to_owned();
            "unknown charset"
        }
        6 => {
            fields[2] = "Subject: caf\u{e9} \u{202e}gnp.exe".to_owned();
            "eight bits in the header"
        }
        7 => {
            fields[3] = "Date: yesterday, about noon".to_owned();
            "no date"
        }
        8 => {
            fields.retain(|field| !field.starts_with("Message-ID"));
            "no Message-ID"
        }
        9 => {
            fields.insert(0, "From claire@acme.example Thu Jan  1 10:00:00 2026".to_owned());
            "the line of an mbox file"
        }
        10 => {
            root.header =
                root.header.replace("Content-Transfer-Encoding: base64", "Content-Transfer-Encoding: base64 ");
            fields.push("Content-Language : fr".to_owned());
            "space where none belongs"
        }
        11 => {
            root.body.extend_from_slice(b"\n-- \nAn advertisement that a list put below everything.\n");
            "text after the end"
        }
        12 => {
            // The header ends there (RFC 5322, 2.2): the rest is text, undecoded. Some readers go on behind it.
            fields.insert(2, "a line that is no field".to_owned());
            whole.text = "a line that is no field".to_owned();
            whole.files.clear();
            "a line that is no field"
        }
        _ => {
            fields.retain(|field| !field.starts_with("To:"));
            "no To"
        }
    }
}

fn poison_it(dice: &mut Dice, fields: &mut Vec<String>, whole: &mut Whole) -> &'static str {
    let file = (String::from("evil.exe"), b"MZ evil evil evil".to_vec());
    let hidden = |header: &str| Part { header: header.to_owned(), body: base64(b"MZ evil evil evil") };
    let said = || Part { header: "Content-Type: text/plain".to_owned(), body: b"Look at this.\n".to_vec() };
    let carry = |whole: &mut Whole, dice: &mut Dice, header: &str| {
        whole.root = multipart(dice, "mixed", "h", vec![said(), hidden(header)]);
        whole.text = "Look at this.".to_owned();
        whole.files = vec![file.clone()];
    };
    match dice.roll(12) {
        0 => {
            carry(
                whole,
                dice,
                "Content-Type: text/plain\nContent-Type: application/octet-stream\nContent-Transfer-Encoding: base64",
            );
            // The first says text, and it is shown as such.
            whole.text = "MZ evil evil evil".to_owned();
            whole.files.clear();
            "two kinds at once"
        }
        1 => {
            carry(
                whole,
                dice,
                "Content-Type: image/png; name=a.png\nContent-Disposition: inline; filename=evil.exe\nContent-Transfer-Encoding: base64",
            );
            "two names"
        }
        2 => {
            carry(
                whole,
                dice,
                "Content-Type: application/octet-stream\nContent-Transfer-Encoding: 7bit\nContent-Transfer-Encoding: base64",
            );
            whole.files.clear();
            "two encodings"
        }
        3 => {
            carry(whole, dice, "Content-Type: multipart/mixed; boundary=\nContent-Transfer-Encoding: base64");
            whole.files.clear();
            "an empty boundary"
        }
        4 => {
            let mut part = said();
            for depth in 0..60 {
                part = multipart(dice, "mixed", &format!("d{depth}"), vec![part]);
            }
            whole.root = part;
            whole.text.clear();
            whole.files.clear();
            "sixty parts deep"
        }
        5 => {
            let parts = (0..700).map(|_| said()).collect();
            whole.root = multipart(dice, "mixed", "many", parts);
            whole.text = "Look at this.".to_owned();
            whole.files.clear();
            "seven hundred parts"
        }
        6 => {
            fields[2] = format!("Subject: {}", "=?utf-8?Q?a?= ".repeat(3_000));
            "three thousand encoded words"
        }
        7 => {
            fields[1] = format!("To: {}", "a:;".repeat(9_000));
            fields.push(fields[1].clone());
            "nine thousand groups of nobody"
        }
        8 => {
            let html = format!("<p>Look at this.</p>{}", "<div><table>".repeat(9_000));
            whole.root = Part { header: "Content-Type: text/html; charset=utf-8".to_owned(), body: html.into_bytes() };
            whole.text = "Look at this.".to_owned();
            whole.files.clear();
            "nine thousand tables in each other"
        }
        9 => {
            whole.root.body = [b"Look\0 at \x1b[2J this.\n".as_slice(), &[0xff; 2_000]].concat();
            whole.root.header = "Content-Type: text/plain; charset=utf-8".to_owned();
            whole.text = "Look".to_owned();
            whole.files.clear();
            "bytes that are no text"
        }
        10 => {
            // The boundary of the inner begins with that of the outer.
            let body = "--ab\nContent-Type: multipart/mixed; boundary=abc\n\n--abc\n\nLook at this.\n--abc\n\
                        Content-Disposition: attachment; filename=evil.exe\nContent-Transfer-Encoding: base64\n\n\
                        TVogZXZpbCBldmlsIGV2aWw=\n--abc--\n--ab--\n";
            whole.root = Part { header: "Content-Type: multipart/mixed; boundary=ab".to_owned(), body: body.into() };
            whole.text = "Look at this.".to_owned();
            whole.files = vec![file.clone()];
            "a boundary in a boundary"
        }
        _ => {
            fields.push("From: victim@acme.example".to_owned());
            "two senders"
        }
    }
}
