//! FT-24: a backup while a hundred tickets a second are created by the API, and how soon the desk is there again.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::{HTTP, Program, at, report, waiting};

/// Between two tickets.
const PACE: Duration = Duration::from_millis(10);
const MIB: f64 = 1024.0 * 1024.0;

/// Measures with the desk in `folder`, which `program` serves, and beside it.
pub fn measure(home: &Path, folder: &Path, program: Program, token: &str) {
    let (key, file) = (home.join("backup.key"), home.join("desk.accord"));
    succeeds(accord(&["backup", "--make-key"], &key).output());
    let database_mib = size(&folder.join("accord.sqlite"));
    let before = waiting(&at(folder), "tickets");
    let is_over = AtomicBool::new(false);
    let (took, mut times) = std::thread::scope(|scope| {
        let writes = scope.spawn(|| write_steadily(token, &is_over));
        std::thread::sleep(Duration::from_secs(1));
        let started = Instant::now();
        let made = accord(&["backup", "--data"], folder).arg("--key-file").arg(&key).arg(&file).output();
        let took = started.elapsed();
        is_over.store(true, Ordering::Relaxed);
        succeeds(made);
        (took, writes.join().expect("every ticket is created"))
    });
    drop(program);
    times.sort_unstable();
    let written = times.len();
    let rate = written as f64 / (took + Duration::from_secs(1)).as_secs_f64();
    let last = times[written * 99 / 100].as_secs_f64() * 1e3;
    report("backup, seconds", took.as_secs_f64(), "s", "-");
    report("      of a database of", database_mib, "MiB", "-");
    report("      is a file of", size(&file), "MiB", "-");
    report("tickets created meanwhile", rate, "1/s", "about 100");
    report("      99th percentile of their answers", last, "ms", "-");

    let elsewhere = home.join("restored");
    let started = Instant::now();
    succeeds(accord(&["restore", "--data"], &elsewhere).arg("--key-file").arg(&key).arg(&file).output());
    let restored = started.elapsed();
    std::fs::copy(folder.join("keys.json"), elsewhere.join("keys.json")).expect("the keys, which are kept apart");
    let (program, first_page) = Program::start(&elsewhere);
    drop(program);
    let per_gib = (restored + first_page).as_secs_f64() / size(&elsewhere.join("accord.sqlite")) * 1024.0;
    report("restore", restored.as_secs_f64(), "s", "-");
    report("      and until the first page", first_page.as_secs_f64(), "s", "-");
    report("restored and served, for each GiB", per_gib, "s", "at most 60");
    let after = waiting(&at(&elsewhere), "tickets");
    assert!((before..=before + written as i64).contains(&after), "{after} tickets of {before}, and {written} since");
    succeeds(accord(&["check", "--data"], &elsewhere).output());
}

fn accord(arguments: &[&str], path: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_accord"));
    command.args(arguments).arg(path).env("ACCORD_LOG_LEVEL", "warn").stdin(Stdio::null());
    command
}

fn succeeds(output: std::io::Result<Output>) {
    let output = output.expect("the program");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn size(file: &Path) -> f64 {
    std::fs::metadata(file).expect("a file").len() as f64 / MIB
}

/// Creates a ticket every [`PACE`], over one connection, until it is over; gives how long each answer took. One that is late
/// is made up for.
fn write_steadily(token: &str, is_over: &AtomicBool) -> Vec<Duration> {
    let mut stream = TcpStream::connect(HTTP).expect("a connection");
    stream.set_nodelay(true).expect("a socket");
    let mut lines = BufReader::new(stream.try_clone().expect("a socket"));
    let began = Instant::now();
    let mut times = Vec::new();
    while !is_over.load(Ordering::Relaxed) {
        let number = times.len();
        std::thread::sleep((began + PACE * number as u32).saturating_duration_since(Instant::now()));
        let body = format!(
            r#"{{"requester":{{"address":"personne{}@client.example"}},"subject":"Ticket {number}","text":"Rien ne s’affiche."}}"#,
            number % 200
        );
        let head = format!(
            "POST /api/v1/tickets HTTP/1.1\r\nHost: {HTTP}\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let started = Instant::now();
        stream.write_all((head + &body).as_bytes()).expect("a request");
        read_answer(&mut lines);
        times.push(started.elapsed());
    }
    times
}

fn read_answer(lines: &mut BufReader<TcpStream>) {
    let (mut length, mut line) = (0, String::new());
    lines.read_line(&mut line).expect("an answer");
    assert!(line.starts_with("HTTP/1.1 201"), "{line}");
    while line != "\r\n" {
        line.clear();
        lines.read_line(&mut line).expect("a header");
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().expect("a length");
        }
    }
    let mut body = vec![0; length];
    lines.read_exact(&mut body).expect("a body");
}
