//! Mail as it goes over the wire: a mail server's side of LMTP, and a relay that notes down what it is given.

use std::io::{BufRead, BufReader, Error, Result, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Hands one mail over by LMTP. `Ok` only when the mail was acknowledged; else it is the sender's still.
pub fn deliver_by_lmtp(to: SocketAddr, sender: &str, recipient: &str, mail: &str) -> Result<()> {
    deliver(to, &[("LHLO mx.example".to_owned(), "250")], sender, recipient, mail)
}

/// The same by SMTP, as somebody's mail server does.
pub fn deliver_by_smtp(to: SocketAddr, sender: &str, recipient: &str, mail: &str) -> Result<()> {
    deliver(to, &[("EHLO mx.example".to_owned(), "250")], sender, recipient, mail)
}

/// The same as if it came from the machine at that address: the mail server believes us (Postfix's XCLIENT).
pub fn deliver_by_smtp_as(to: SocketAddr, client: &str, sender: &str, recipient: &str, mail: &str) -> Result<()> {
    let greeting = ("EHLO mail.example".to_owned(), "250");
    let client = (format!("XCLIENT NAME=mail.example ADDR={client}"), "220");
    deliver(to, &[greeting.clone(), client, greeting], sender, recipient, mail)
}

fn deliver(
    to: SocketAddr,
    greetings: &[(String, &'static str)],
    sender: &str,
    recipient: &str,
    mail: &str,
) -> Result<()> {
    let stream = TcpStream::connect_timeout(&to, Duration::from_secs(2))?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut writer = stream;
    expect(&mut reader, "220")?;
    let hand_over = [
        (format!("MAIL FROM:<{sender}>"), "250"),
        (format!("RCPT TO:<{recipient}>"), "250"),
        ("DATA".to_owned(), "354"),
    ];
    for (command, code) in greetings.iter().chain(&hand_over) {
        writer.write_all(format!("{command}\r\n").as_bytes())?;
        expect(&mut reader, code)?;
    }
    writer.write_all(dot_stuffed(mail).as_bytes())?;
    expect(&mut reader, "250")?;
    // The mail is taken; how the conversation ends is of no consequence.
    drop(writer.write_all(b"QUIT\r\n"));
    Ok(())
}

fn dot_stuffed(mail: &str) -> String {
    let mut data = String::new();
    for line in mail.lines() {
        if line.starts_with('.') {
            data.push('.');
        }
        data.push_str(line);
        data.push_str("\r\n");
    }
    data + ".\r\n"
}

/// Reads one answer, which may have several lines.
fn expect(reader: &mut impl BufRead, code: &str) -> Result<()> {
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Err(Error::other("the connection ended"));
        }
        if !line.starts_with(code) {
            return Err(Error::other(line.trim().to_owned()));
        }
        if line.as_bytes().get(3) != Some(&b'-') {
            return Ok(());
        }
    }
}

/// A relay that takes every mail and notes it down before it says so.
pub struct Sink {
    pub address: SocketAddr,
    taken: Arc<Mutex<Vec<Taken>>>,
    stop: Arc<AtomicBool>,
}

/// One mail as the relay took it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    pub recipient: String,
    pub bytes: Vec<u8>,
}

impl Sink {
    /// Listens on a free port. Before each acknowledgement it waits for what `hesitation` gives.
    pub fn open(hesitation: impl Fn() -> Duration + Send + Sync + 'static) -> Sink {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (taken, stop) = (Arc::<Mutex<Vec<Taken>>>::default(), Arc::<AtomicBool>::default());
        let (notes, stopped, hesitation) = (taken.clone(), stop.clone(), Arc::new(hesitation));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                let (notes, hesitation) = (notes.clone(), hesitation.clone());
                // A client that is killed ends its conversation in the middle.
                std::thread::spawn(move || stream.and_then(|stream| converse(stream, &notes, &*hesitation)));
            }
        });
        Sink { address, taken, stop }
    }

    pub fn taken(&self) -> Vec<Taken> {
        self.taken.lock().unwrap().clone()
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // One more connection, so that the listener looks up.
        drop(TcpStream::connect(self.address));
    }
}

fn converse(stream: TcpStream, notes: &Mutex<Vec<Taken>>, hesitation: &dyn Fn() -> Duration) -> Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    let mut recipient = String::new();
    writer.write_all(b"220 sink.example ESMTP\r\n")?;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let command = line.trim().to_ascii_uppercase();
        if command.starts_with("EHLO") {
            writer.write_all(b"250-sink.example\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n")?;
        } else if command.starts_with("RCPT") {
            let inner = line.split_once('<').and_then(|(_, rest)| rest.split_once('>'));
            recipient = inner.map(|(address, _)| address.to_owned()).unwrap_or_default();
            writer.write_all(b"250 ok\r\n")?;
        } else if command == "DATA" {
            writer.write_all(b"354 go on\r\n")?;
            let bytes = read_data(&mut reader)?;
            notes.lock().unwrap().push(Taken { recipient: recipient.clone(), bytes });
            std::thread::sleep(hesitation());
            writer.write_all(b"250 taken\r\n")?;
        } else if command == "QUIT" {
            writer.write_all(b"221 bye\r\n")?;
            return Ok(());
        } else {
            writer.write_all(b"250 ok\r\n")?;
        }
    }
}

fn read_data(reader: &mut impl BufRead) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    loop {
        let mut line = Vec::new();
        if reader.read_until(b'\n', &mut line)? == 0 {
            return Err(Error::other("the connection ended within a mail"));
        }
        if line == b".\r\n" {
            return Ok(bytes);
        }
        bytes.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
    }
}
