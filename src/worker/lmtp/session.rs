//! One LMTP conversation. Commands are parsed by `smtp-proto`; limits, the end of a mail and what is answered are ours.

use std::collections::BTreeSet;
use std::io;
use std::time::Duration;

use smtp_proto::Request;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout, timeout_at};

use super::Shared;
use super::data::{DataReader, Refusal};
use super::xforward::{self, Forwarded};
use crate::carry;
use crate::db::types::MailboxId;
use crate::error::Error;
use crate::intake::addressing;
use crate::intake::ingress::Ingress;
use crate::journal::{self, NewMail, Recipient, Way};
use crate::mail::client::Client;
use crate::mail::reply_address;
use crate::notifications::Letterhead;

/// The longest command, with its line end (S-03).
const COMMAND_BYTES: usize = 1_000;
/// Recipients of one mail (S-03).
const RECIPIENTS: usize = 100;
/// Errors after which the connection is closed (S-03).
const ERRORS: u32 = 10;
/// Answers held back at most: looking a recipient up may take its time, and who waits for the first must not wait for all.
const ANSWERS: u32 = 10;
/// How long nothing may come (S-03).
const IDLE: Duration = Duration::from_secs(60);
/// How long one mail may take altogether.
const MAIL_TIME: Duration = Duration::from_secs(600);
/// How much more than twice the limit somebody may send before the connection is closed.
const TOLERANCE: usize = 64 * 1024;
/// Mails of this size are hashed on a thread that may be busy.
const LARGE: usize = 256 * 1024;

/// What a conversation has come to.
#[derive(Default)]
struct Conversation {
    greeted: bool,
    /// The envelope's sender; `<>` is the null sender.
    sender: Option<String>,
    recipients: Vec<Recipient>,
    /// From where the mail server has the mail to come.
    forwarded: Forwarded,
    errors: u32,
}

/// How it goes on after a command.
enum Next {
    Command,
    Data,
    Close,
}

/// Talks until either side has had enough.
pub(super) async fn run<S>(shared: &Shared, stream: &mut S) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let domain = shared.app.config.mail.reply_domain.clone();
    let mut conversation = Conversation::default();
    let mut input = Input { buffer: Vec::with_capacity(8 * 1024) };
    // What was asked in one go is answered in one go (RFC 2920).
    let mut answers = format!("220 {domain} LMTP Accord\r\n");
    let mut held_back = 0;
    loop {
        held_back += 1;
        if held_back >= ANSWERS || !input.has_line() {
            say(stream, &answers).await?;
            answers.clear();
            held_back = 0;
        }
        let line = tokio::select! {
            () = shared.stop.cancelled() => {
                answers.push_str("421 4.3.2 Going down, try again later\r\n");
                return say(stream, &answers).await;
            }
            line = input.next_line(stream) => line?,
        };
        let (answer, next) = match line {
            Line::Command(line) => conversation.answer(shared, &domain, &line).await,
            Line::TooLong => conversation.error("500 5.5.6 Line too long\r\n"),
            Line::Malformed => conversation.error("500 5.5.2 Lines end in CRLF\r\n"),
            Line::Idle => ("421 4.4.2 Idle too long\r\n".to_owned(), Next::Close),
            Line::Closed => return Ok(()),
        };
        answers.push_str(&answer);
        match next {
            Next::Command => {}
            Next::Close => return say(stream, &answers).await,
            Next::Data => {
                say(stream, &answers).await?;
                answers.clear();
                if !take_mail(shared, stream, &mut input, &mut conversation).await? {
                    return Ok(());
                }
            }
        }
        if conversation.errors >= ERRORS {
            answers.push_str("421 4.7.0 Too many errors\r\n");
            return say(stream, &answers).await;
        }
    }
}

impl Conversation {
    async fn answer(&mut self, shared: &Shared, domain: &str, line: &[u8]) -> (String, Next) {
        let ok = |text: &str| (format!("{text}\r\n"), Next::Command);
        if shared.app.config.mail.lmtp_xforward && xforward::is_command(line) {
            return match &self.sender {
                _ if !self.greeted => self.error("503 5.5.1 Say LHLO first\r\n"),
                Some(_) => self.error("503 5.5.1 There is a sender already\r\n"),
                None if self.forwarded.add(line) => ok("250 2.0.0 Noted"),
                None => self.error("501 5.5.4 Not understood, and what was told before is forgotten\r\n"),
            };
        }
        let request = match Request::parse(&mut line.iter()) {
            Ok(request) => request,
            Err(_) => return self.error("500 5.5.2 Not understood\r\n"),
        };
        match request {
            Request::Lhlo { .. } => {
                self.greeted = true;
                self.forget();
                let size = shared.app.config.limits.mail_bytes;
                let xforward =
                    shared.app.config.mail.lmtp_xforward.then(|| format!("XFORWARD {}", xforward::ATTRIBUTES));
                let extensions = ["PIPELINING", "ENHANCEDSTATUSCODES", "8BITMIME", "SMTPUTF8"];
                let extensions = extensions.into_iter().chain(xforward.as_deref());
                let listed: String = extensions.map(|extension| format!("250-{extension}\r\n")).collect();
                (format!("250-{domain}\r\n{listed}250 SIZE {size}\r\n"), Next::Command)
            }
            Request::Ehlo { .. } | Request::Helo { .. } => self.error("500 5.5.1 This is LMTP, say LHLO\r\n"),
            Request::Mail { .. } if !self.greeted => self.error("503 5.5.1 Say LHLO first\r\n"),
            Request::Mail { .. } if self.sender.is_some() => self.error("503 5.5.1 There is a sender already\r\n"),
            Request::Mail { from } => {
                if from.size > shared.app.config.limits.mail_bytes {
                    return self.error("552 5.3.4 Too large\r\n");
                }
                let sender = if from.address.is_empty() { "<>".to_owned() } else { from.address.into_owned() };
                if sender.len() > 512 || sender.chars().any(char::is_control) {
                    return self.error("501 5.1.7 Not an address\r\n");
                }
                self.sender = Some(sender);
                ok("250 2.1.0 Sender noted")
            }
            Request::Rcpt { .. } if self.sender.is_none() => self.error("503 5.5.1 Name the sender first\r\n"),
            Request::Rcpt { .. } if self.recipients.len() >= RECIPIENTS => {
                self.error("452 4.5.3 Too many recipients\r\n")
            }
            Request::Rcpt { to } => self.recipient(shared, to.address.into_owned()).await,
            Request::Data if self.recipients.is_empty() => self.error("503 5.5.1 No valid recipient\r\n"),
            Request::Data if !self.is_welcome(&shared.app.ingress) => {
                tracing::warn!(target: "accord::mail", "There is more mail from a sender or for a mailbox than may be; it has to wait");
                self.forget();
                ok("451 4.7.1 Too much mail from this sender or for this mailbox, try again later")
            }
            Request::Data => ("354 Go on, end with <CRLF>.<CRLF>\r\n".to_owned(), Next::Data),
            Request::Rset => {
                self.forget();
                ok("250 2.0.0 Forgotten")
            }
            Request::Noop { .. } => ok("250 2.0.0 Nothing done"),
            Request::Vrfy { .. } => ok("252 2.5.0 Try and see"),
            Request::Quit => ("221 2.0.0 Goodbye\r\n".to_owned(), Next::Close),
            _ => self.error("502 5.5.1 Not done here\r\n"),
        }
    }

    /// Counts the mail to come, for its sender first: what of theirs has to wait takes no room of a mailbox (S-08).
    fn is_welcome(&self, ingress: &Ingress) -> bool {
        let mailboxes: BTreeSet<i64> = self.recipients.iter().map(|recipient| recipient.mailbox.0).collect();
        ingress.take_from(self.sender.as_deref().unwrap_or_default()).is_ok()
            && mailboxes.into_iter().all(|mailbox| ingress.take_for(MailboxId(mailbox)).is_ok())
    }

    /// One RCPT: a mailbox of ours, or nothing (S-02).
    async fn recipient(&mut self, shared: &Shared, address: String) -> (String, Next) {
        let letterhead = Letterhead::new(&shared.app.keys, &shared.app.config);
        let looked_up = address.clone();
        let found = shared.app.database.read(move |db| addressing::mailbox_for(db, &letterhead, &looked_up)).await;
        match found {
            Ok(Some(mailbox)) => {
                self.recipients.push(Recipient { mailbox, address });
                ("250 2.1.5 Recipient noted\r\n".to_owned(), Next::Command)
            }
            Ok(None) => {
                let domain = address.rsplit_once('@').map(|(_, domain)| domain.to_owned());
                match domain {
                    Some(domain) if takes_mail_for(shared, domain.clone()).await => {
                        self.error("550 5.1.1 No such mailbox\r\n")
                    }
                    _ => self.error("550 5.7.1 No relaying\r\n"),
                }
            }
            Err(error) => (format!("{}\r\n", trouble(&error)), Next::Command),
        }
    }

    fn error(&mut self, answer: &str) -> (String, Next) {
        self.errors += 1;
        (answer.to_owned(), Next::Command)
    }

    fn forget(&mut self) {
        self.sender = None;
        self.recipients.clear();
        self.forwarded = Forwarded::default();
    }
}

async fn takes_mail_for(shared: &Shared, domain: String) -> bool {
    if domain.eq_ignore_ascii_case(&shared.app.config.mail.reply_domain) {
        return true;
    }
    let mailboxes = shared.app.database.read(crate::teams::mailboxes::canonical_addresses).await.unwrap_or_default();
    mailboxes.iter().any(|mailbox| mailbox.rsplit_once('@').is_some_and(|(_, of)| of.eq_ignore_ascii_case(&domain)))
}

/// Reads one mail, has it written down, and answers for each recipient. `false` when the connection is over.
async fn take_mail<S>(
    shared: &Shared,
    stream: &mut S,
    input: &mut Input,
    conversation: &mut Conversation,
) -> io::Result<bool>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let limit = shared.app.config.limits.mail_bytes;
    let mut reader = DataReader::new(limit);
    // What the mail holds in memory is counted while it is there.
    let mut held = shared.app.receiving.begin();
    let deadline = Instant::now() + MAIL_TIME;
    let mut pending = std::mem::take(&mut input.buffer);
    loop {
        if let Some(used) = reader.feed(&pending) {
            input.buffer = pending.split_off(used);
            break;
        }
        if !held.grow_to(reader.held()) {
            reader.refuse(Refusal::NoRoom);
        }
        if reader.is_refused() {
            // Its sender may take ten minutes for the rest, for which others have no need to wait.
            held.let_go();
        }
        // Somebody who goes on for ever is not waited for.
        if reader.seen() > limit.saturating_mul(2) + TOLERANCE {
            say(stream, "521 5.3.4 Far too large\r\n").await?;
            return Ok(false);
        }
        pending.clear();
        pending.reserve(16 * 1024);
        let read = timeout_at(deadline, timeout(IDLE, stream.read_buf(&mut pending))).await;
        match read {
            Ok(Ok(Ok(0))) => return Ok(false),
            Ok(Ok(Ok(_))) => {}
            Ok(Ok(Err(error))) => return Err(error),
            Ok(Err(_)) | Err(_) => {
                say(stream, "421 4.4.2 The mail takes too long\r\n").await?;
                return Ok(false);
            }
        }
    }
    let sender = conversation.sender.take().unwrap_or_default();
    let recipients = std::mem::take(&mut conversation.recipients);
    // The next mail may come from elsewhere.
    let client = std::mem::take(&mut conversation.forwarded).client();
    let answer = match reader.finish() {
        Ok(content) => write_down(shared, sender, client, recipients.clone(), content).await,
        Err(Refusal::TooLarge) => "552 5.3.4 Too large".to_owned(),
        Err(Refusal::LineTooLong) => "500 5.5.2 A line is too long".to_owned(),
        Err(Refusal::NoRoom) => "451 4.3.2 Too much mail at once, try again later".to_owned(),
    };
    let answers: String = recipients.iter().map(|_| format!("{answer}\r\n")).collect();
    say(stream, &answers).await?;
    Ok(true)
}

/// Only a positive answer after the commit; whatever goes wrong is the sender's to repeat (J-01).
async fn write_down(
    shared: &Shared,
    sender: String,
    client: Option<Client>,
    recipients: Vec<Recipient>,
    content: Vec<u8>,
) -> String {
    let recipients = one_for_each_mailbox(recipients);
    let mail = if content.len() > LARGE {
        match carry::blocking(move || NewMail::new(recipients, sender, Way::Lmtp, content)).await {
            Ok(mail) => mail,
            Err(_) => return "451 4.3.0 Try again later".to_owned(),
        }
    } else {
        NewMail::new(recipients, sender, Way::Lmtp, content)
    };
    let mail = mail.delivered_by(client);
    let now = shared.app.clock.now();
    match shared.app.database.write(move |db| journal::accept(db, &mail, now)).await {
        Ok(_) => "250 2.6.0 Taken".to_owned(),
        Err(error) => {
            tracing::warn!(target: "accord::mail", ?error, "A mail could not be taken; its sender will try again");
            trouble(&error)
        }
    }
}

/// A mailbox gets a mail once. Of several addresses that lead to it, a signed one says most.
fn one_for_each_mailbox(recipients: Vec<Recipient>) -> Vec<Recipient> {
    let is_signed = |recipient: &Recipient| reply_address::resembles(&recipient.address);
    let mut kept: Vec<Recipient> = Vec::new();
    for recipient in recipients {
        match kept.iter().position(|other| other.mailbox == recipient.mailbox) {
            None => kept.push(recipient),
            Some(index) if is_signed(&recipient) && !is_signed(&kept[index]) => kept[index] = recipient,
            Some(_) => {}
        }
    }
    kept
}

fn trouble(error: &Error) -> String {
    match error {
        Error::StorageFull => "452 4.3.1 No room on the disk, try again later",
        Error::Busy => "451 4.3.2 Busy, try again later",
        _ => "451 4.3.0 Trouble here, try again later",
    }
    .to_owned()
}

/// Bytes read and not yet used.
struct Input {
    buffer: Vec<u8>,
}

enum Line {
    /// With its line end.
    Command(Vec<u8>),
    TooLong,
    Malformed,
    Idle,
    Closed,
}

impl Input {
    /// Whether a whole line is there already.
    fn has_line(&self) -> bool {
        memchr::memchr(b'\n', &self.buffer).is_some()
    }

    async fn next_line<S: AsyncRead + Unpin>(&mut self, stream: &mut S) -> io::Result<Line> {
        let mut is_too_long = false;
        loop {
            if let Some(end) = memchr::memchr(b'\n', &self.buffer) {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                if is_too_long || line.len() > COMMAND_BYTES {
                    return Ok(Line::TooLong);
                }
                let is_sound = line.ends_with(b"\r\n") && !line[..line.len() - 2].iter().any(u8::is_ascii_control);
                return Ok(if is_sound { Line::Command(line) } else { Line::Malformed });
            }
            if self.buffer.len() > COMMAND_BYTES {
                // The rest of it is of no interest, and there may be a lot.
                is_too_long = true;
                self.buffer.clear();
            }
            match timeout(IDLE, stream.read_buf(&mut self.buffer)).await {
                Err(_) => return Ok(Line::Idle),
                Ok(Ok(0)) => return Ok(Line::Closed),
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return Err(error),
            }
        }
    }
}

async fn say<S: AsyncWrite + Unpin>(stream: &mut S, text: &str) -> io::Result<()> {
    let written = async {
        stream.write_all(text.as_bytes()).await?;
        stream.flush().await
    };
    timeout(IDLE, written).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}
