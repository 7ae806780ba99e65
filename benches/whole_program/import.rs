//! How long `accord import` takes for the mail of some years, and whether its memory stays as it is meanwhile.

use std::fmt::Write as _;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::{Program, at, desk, mix, report, waiting};

const MAILS: usize = 100_000;

/// Mails of some three hundred people, every third of which answers the one before.
fn write_mbox(path: &Path) {
    let mut file = BufWriter::new(std::fs::File::create(path).expect("a file"));
    for number in 0..MAILS {
        let sender = format!("personne{}@client.example", number / 3 % 300);
        let mail = if number % 3 == 1 {
            mix::html(number, &sender, "L’export s’arrête")
        } else {
            mix::plain(number, &sender, "L’export s’arrête")
        };
        let mut first = format!("From {sender} Mon Mar  2 09:15:00 2026\r\n");
        if number % 3 == 2 {
            write!(first, "In-Reply-To: <{}.mix@acme.example>\r\n", number - 1).expect("a line");
        }
        file.write_all(first.as_bytes()).expect("a line");
        file.write_all(&mail).expect("a mail");
        file.write_all(b"\r\n").expect("a line");
    }
    file.flush().expect("a file");
}

/// Imports them into a desk of a thousand tickets.
pub fn measure() {
    let home = tempfile::Builder::new().tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let folder = home.path().join("desk");
    std::fs::create_dir(&folder).expect("a folder");
    desk::copy_to(&desk::kept(1_000), &folder);
    let mbox = home.path().join("years.mbox");
    write_mbox(&mbox);
    let before = waiting(&at(&folder), "ticket_messages");
    let began = Instant::now();
    let child = Command::new(env!("CARGO_BIN_EXE_accord"))
        .arg("import")
        .args(["--mailbox", desk::SUPPORT, "--data"])
        .arg(&folder)
        .arg(&mbox)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program");
    let mut program = Program(child);
    let mut memory = Vec::new();
    while program.0.try_wait().expect("a process").is_none() {
        if let Some(used) = program.memory_if_it_runs("VmRSS") {
            memory.push(used);
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    let took = began.elapsed();
    let messages = waiting(&at(&folder), "ticket_messages") - before;
    println!("      {messages} messages of {MAILS} mails");
    report("100 000 mails imported", took.as_secs_f64(), "s", "at most 300");
    let tenth = memory.len() / 10;
    let most = |part: &[f64]| part.iter().copied().fold(0.0, f64::max);
    report("memory, second tenth of the time", most(&memory[tenth..2 * tenth]), "MiB", "flat");
    report("memory, last tenth of the time", most(&memory[memory.len() - tenth..]), "MiB", "flat");
}
