//! `accord mail`: takes one mail from standard input, for the alias of any mail server (S-07). It exits 0 only when the
//! mail is durable, whole, and 75 otherwise, whatever the cause: then the mail server keeps it and tries again. A mail over
//! the limit of the installation is taken too, and becomes a ticket that says so (L-01).

use std::ffi::OsString;
use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use clap::Args;

use crate::app::App;
use crate::cli::{Common, EXIT_TRY_LATER, asking, load_config, say};
use crate::clock::Clock;
use crate::config::database::DatabaseUrl;
use crate::config::mail_environment::MailEnvironment;
use crate::config::{Config, Overrides};
use crate::db::disk;
use crate::mail::address::EmailAddress;
use crate::mail::client::{self, Client};
use crate::mail::limits::PIPE_BYTES;
use crate::worker::local_socket::{self, Answer, Ask};

/// Arguments of `accord mail`.
#[derive(Args)]
#[command(after_help = "In /etc/aliases:\n  support: \"|/usr/local/bin/accord mail --recipient support@example.com\"")]
pub struct Mail {
    /// The address the mail is for [default: the variable RECIPIENT, as Postfix and OpenSMTPD set it]
    #[arg(long, value_name = "ADDRESS", allow_hyphen_values = true)]
    recipient: Option<String>,
    /// The envelope's sender [default: the variable SENDER]
    // Whoever sends the mail chose it, so it may begin with a hyphen and be no text.
    #[arg(long, value_name = "ADDRESS", allow_hyphen_values = true)]
    sender: Option<OsString>,
    /// The address of the machine that delivered the mail, for SPF; of Postfix's pipe(8): ${client_address}
    #[arg(long, value_name = "IP", allow_hyphen_values = true)]
    client_address: Option<String>,
    /// The name that it greeted with; of Postfix's pipe(8): ${client_helo}
    // It says what it likes.
    #[arg(long, value_name = "NAME", allow_hyphen_values = true, requires = "client_address")]
    client_helo: Option<OsString>,
}

impl Mail {
    /// Runs the command.
    pub fn run(&self, common: &Common) -> ExitCode {
        // A mail server gives a mail back to its sender for a 74, which is no more than a disk that fails here and now.
        disk::end_with_if_it_fails(EXIT_TRY_LATER);
        // A mail server takes the status of a panic for a refusal as well; what was wrong stands on standard error.
        let taken = catch_unwind(AssertUnwindSafe(|| self.take(common)))
            .unwrap_or_else(|_| Err("there is a fault in this program".to_owned()));
        match taken {
            Ok(()) => ExitCode::SUCCESS,
            Err(reason) => {
                say(format_args!("accord mail: {reason}; the mail was not taken"));
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
            Some(sender) => MailEnvironment::sender_of(&sender.to_string_lossy()).unwrap_or_default(),
            None => environment.sender.clone().unwrap_or_default(),
        };
        let client = self.client()?;
        let mut raw = Vec::new();
        std::io::stdin()
            .lock()
            .take(PIPE_BYTES as u64 + 1)
            .read_to_end(&mut raw)
            .map_err(|error| format!("standard input cannot be read: {error}"))?;
        if raw.len() > PIPE_BYTES {
            // Part of a mail is none.
            return Err(format!("it is larger than {} MiB", PIPE_BYTES >> 20));
        }
        let Some(server) = asking::find_server(&config) else {
            // No server runs here: the mail is written down by this process, if it may.
            return write_down(config, recipient, sender, client, raw);
        };
        let client = client.map(|client| (client.address(), client.kept_name().to_owned()));
        let ask = Ask::TakeMail { recipient, sender, client, size: raw.len() };
        match asking::ask(server, &ask, &raw)? {
            Answer::Taken => Ok(()),
            Answer::NotTaken { reason } | Answer::Refused { reason } => Err(reason),
            Answer::Secrets { .. } | Answer::Copied => Err("the server answered another question".to_owned()),
        }
    }

    /// The mail server says which machine it was, so what is no address is a mistake in its settings.
    fn client(&self) -> Result<Option<Client>, String> {
        let Some(said) = &self.client_address else { return Ok(None) };
        let address = client::parse_address(said).ok_or("what --client-address says is not an IP address")?;
        let greeting = self.client_helo.as_ref().map(|said| said.to_string_lossy().into_owned()).unwrap_or_default();
        Ok(address.and_then(|address| Client::new(address, &greeting)))
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

fn write_down(
    config: Config,
    recipient: String,
    sender: String,
    client: Option<Client>,
    raw: Vec<u8>,
) -> Result<(), String> {
    // A folder that is mistyped in an alias is no place to begin another desk.
    if let DatabaseUrl::Sqlite(file) = &config.database.url
        && !file.exists()
    {
        return Err(format!("there is no desk in {}; name its folder with --data", config.data.display()));
    }
    let app = App::open(config, Clock::system()).map_err(|error| format!("{error:#}"))?;
    // Who waits for the database waits with a timer.
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(|error| error.to_string())?;
    runtime
        .block_on(local_socket::take_mail(&app, recipient, sender, client, raw))
        .map_err(|error| local_socket::reason(&error))
}
