//! `accord mail`: takes one mail from standard input, for the alias of any mail server (S-07). It exits 0 only when the
//! mail is durable, and 75 otherwise, whatever the cause: then the mail server keeps it and tries again.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use crate::app::App;
use crate::cli::{Common, EXIT_TRY_LATER, load_config};
use crate::clock::Clock;
use crate::config::mail_environment::MailEnvironment;
use crate::config::{Config, Overrides};
use crate::mail::address::EmailAddress;
use crate::worker::local_socket::{self, Answer, Ask};

/// How long the running server may take to answer.
const PATIENCE: Duration = Duration::from_secs(100);

/// Arguments of `accord mail`.
#[derive(Args)]
#[command(after_help = "In /etc/aliases:\n  support: \"|/usr/local/bin/accord mail --recipient support@example.com\"")]
pub struct Mail {
    /// The address the mail is for [default: the variable RECIPIENT, as Postfix and OpenSMTPD set it]
    #[arg(long, value_name = "ADDRESS")]
    recipient: Option<String>,
    /// The envelope's sender [default: the variable SENDER]
    #[arg(long, value_name = "ADDRESS")]
    sender: Option<String>,
}

impl Mail {
    /// Runs the command.
    pub fn run(&self, common: &Common) -> ExitCode {
        match self.take(common) {
            Ok(()) => ExitCode::SUCCESS,
            Err(reason) => {
                eprintln!("accord mail: {reason}; the mail was not taken");
                ExitCode::from(EXIT_TRY_LATER)
            }
        }
    }

    fn take(&self, common: &Common) -> Result<(), String> {
        let config = load_config(common, Overrides::default()).map_err(|_| "the settings are wrong".to_owned())?;
        let environment = MailEnvironment::read()?;
        let recipient = self.recipient(&environment)?;
        let sender = match &self.sender {
            Some(sender) if sender.is_empty() => "<>".to_owned(),
            Some(sender) => sender.clone(),
            None => environment.sender.clone().unwrap_or_default(),
        };
        let mut raw = Vec::new();
        let limit = config.limits.mail_bytes as u64 + 1;
        std::io::stdin()
            .lock()
            .take(limit)
            .read_to_end(&mut raw)
            .map_err(|error| format!("standard input cannot be read: {error}"))?;
        match UnixStream::connect(local_socket::path(&config)) {
            Ok(stream) => ask(stream, recipient, sender, &raw),
            // No server runs here: the mail is written down by this process, if it may.
            Err(_) => write_down(config, recipient, sender, raw),
        }
    }

    fn recipient(&self, environment: &MailEnvironment) -> Result<String, String> {
        let named = self.recipient.clone().or_else(|| environment.recipient.clone());
        let named = named.ok_or("name the mailbox with --recipient, or set RECIPIENT")?;
        let address = EmailAddress::parse(&named).ok_or("the recipient is not an address")?;
        // A mail server that takes `name+extension` apart hands the extension over beside the name.
        match &environment.extension {
            Some(extension) if !address.local_part().contains('+') => {
                Ok(format!("{}+{extension}@{}", address.local_part(), address.domain()))
            }
            _ => Ok(named),
        }
    }
}

fn ask(mut stream: UnixStream, recipient: String, sender: String, raw: &[u8]) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("the server does not answer: {error}");
    stream.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
    stream.set_write_timeout(Some(PATIENCE)).map_err(failed)?;
    let ask = Ask::TakeMail { recipient, sender, size: raw.len() };
    let mut line = serde_json::to_string(&ask).map_err(|error| error.to_string())?;
    line.push('\n');
    stream.write_all(line.as_bytes()).map_err(failed)?;
    stream.write_all(raw).map_err(failed)?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).map_err(failed)?;
    match serde_json::from_str(&answer) {
        Ok(Answer::Taken) => Ok(()),
        Ok(Answer::NotTaken { reason }) => Err(reason),
        Err(_) => Err("the server ended before it answered".to_owned()),
    }
}

fn write_down(config: Config, recipient: String, sender: String, raw: Vec<u8>) -> Result<(), String> {
    let app = App::open(config, Clock::system()).map_err(|error| format!("{error:#}"))?;
    let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(|error| error.to_string())?;
    runtime
        .block_on(local_socket::take_mail(&app, recipient, sender, raw))
        .map_err(|error| local_socket::reason(&error))
}
