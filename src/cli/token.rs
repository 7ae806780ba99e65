//! `accord token`: API secrets for programs. Whoever may read the data folder may make one in anybody's name; each making
//! and each revoking stands in the ledger.

use std::process::ExitCode;

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};

use crate::app::App;
use crate::cli::{Common, asking, fail, load_config};
use crate::clock::Clock;
use crate::config::{Config, Overrides};
use crate::people::api_tokens::{DEFAULT_DAYS, Scope};
use crate::worker::local_socket::{Answer, Ask};
use crate::worker::secret_requests::{self, Listed, Outcome, Request};

const EXAMPLES: &str = "\
A secret acts in the name of one person, and allows what that person may do, as far as its scopes go; less if it is
limited to an organisation or to the tickets of a queue. A program exchanges it for a token of some minutes:

  SECRET=$(accord token create --person zoe@example.com --name \"nightly report\" --scope tickets:read)
  curl --json \"{\\\"secret\\\": \\\"$SECRET\\\"}\" https://desk.example.com/api/v1/token

People also make and revoke their own secrets in their account, under Security.";

/// Arguments of `accord token`.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Token {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Make a secret. It is written to standard output, this once; only its hash is kept.
    Create(Create),
    /// List secrets: what each is for, what it allows and of what, until when, and when it was last used.
    List {
        /// Only those of the person at this address
        #[arg(long, value_name = "ADDRESS")]
        person: Option<String>,
    },
    /// Let a secret open nothing any more, at once.
    Revoke {
        /// The secret's handle, as `accord token list` shows it
        handle: String,
    },
}

#[derive(Args)]
struct Create {
    /// In whose name it acts
    #[arg(long, value_name = "ADDRESS")]
    person: String,
    /// What it is for, so that somebody knows later what revoking it would stop
    #[arg(long)]
    name: String,
    /// What it may be used for; may be given several times
    #[arg(long = "scope", value_name = "SCOPE", required = true, value_parser = scope_names())]
    scopes: Vec<String>,
    /// Limit it to one organisation, by its handle
    #[arg(long, value_name = "HANDLE")]
    organisation: Option<String>,
    /// Limit it to the tickets of one queue, by its kind (such as support) or its handle
    #[arg(long, value_name = "QUEUE")]
    queue: Option<String>,
    /// After how many days it ends
    #[arg(long, value_name = "N", default_value_t = DEFAULT_DAYS)]
    expires_days: i64,
}

fn scope_names() -> PossibleValuesParser {
    PossibleValuesParser::new(Scope::ALL.iter().map(|scope| scope.as_str()))
}

impl Token {
    /// Runs the command.
    pub fn run(&self, common: &Common) -> ExitCode {
        let config = match load_config(common, Overrides::default()) {
            Ok(config) => config,
            Err(code) => return code,
        };
        match carry_out(config, self.request()) {
            Ok(outcome) => {
                show(&outcome);
                ExitCode::SUCCESS
            }
            Err(reason) => fail(reason),
        }
    }

    fn request(&self) -> Request {
        match &self.what {
            What::Create(create) => Request::Create {
                person: create.person.clone(),
                name: create.name.clone(),
                scopes: create.scopes.iter().filter_map(|name| Scope::parse(name)).collect(),
                organisation: create.organisation.clone(),
                queue: create.queue.clone(),
                days: create.expires_days,
            },
            What::List { person } => Request::List { person: person.clone() },
            What::Revoke { handle } => Request::Revoke { handle: handle.clone() },
        }
    }
}

/// By the server that owns the database, or by this process where there is none.
fn carry_out(config: Config, request: Request) -> Result<Outcome, String> {
    if let Some(server) = asking::find_server(&config) {
        return match asking::ask(server, &Ask::Secrets { request }, &[])? {
            Answer::Secrets { outcome } => Ok(outcome),
            Answer::Refused { reason } | Answer::NotTaken { reason } => Err(reason),
            Answer::Taken | Answer::Copied => Err("the server answered another question".to_owned()),
        };
    }
    let app = App::open(config, Clock::system()).map_err(|error| format!("{error:#}"))?;
    let now = app.clock.now();
    app.database
        .write_now(move |db| secret_requests::carry_out(db, &request, now))
        .map_err(|error| secret_requests::reason(&error))
}

/// The secret alone goes to standard output, so that a script can take it; what else there is to say does not.
fn show(outcome: &Outcome) {
    match outcome {
        Outcome::Created { secret, handle, expires_at } => {
            println!("{}", secret.0);
            eprintln!("This secret is shown this once. It ends on {expires_at}.");
            eprintln!("To revoke it: accord token revoke {handle}");
        }
        Outcome::Listed { secrets } => secrets.iter().for_each(|listed| println!("{}", line(listed))),
        Outcome::Revoked => eprintln!("The secret opens nothing any more."),
    }
}

fn line(listed: &Listed) -> String {
    let scopes = listed.scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(",");
    let last_used = listed.last_used_at.as_deref().unwrap_or("never used");
    let reach = [listed.organisation.as_deref(), listed.queue.as_deref()];
    let reach = reach.into_iter().flatten().collect::<Vec<_>>().join(",");
    let reach = if reach.is_empty() { "everything" } else { &reach };
    let Listed { handle, person, name, state, expires_at, .. } = listed;
    [handle, state, expires_at, last_used, person, &scopes, reach, name].join("\t")
}
