//! `accord serve`: opens everything, serves people and programs, and does the background work, until it is told to
//! stop.

use std::process::ExitCode;
use std::sync::Arc;

use actix_web::web::Data;
use clap::Args;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio_util::sync::CancellationToken;

use crate::app::{self, App};
use crate::backup::copying;
use crate::carry;
use crate::cli::{Common, load_config, logging, refuse};
use crate::clock::Clock;
use crate::config::{Config, Overrides, Problem, Problems};
use crate::demo;
use crate::people::setup;
use crate::teams::mailboxes;
use crate::web::request_log::RequestLog;
use crate::web::server::{Listeners, Site, serve};
use crate::worker::threads::Threads;
use crate::worker::{drain, lmtp, local_socket, publishing};

/// The most files and connections that the process asks to have open.
const OPEN_FILES: u64 = 65_536;

const EXAMPLES: &str = "\
To look around, with a desk that is in use:

  accord serve --demo

To begin a desk of your own; it prints a link by which you make yourself its administrator, once:

  accord serve --data /var/lib/accord --config /etc/accord/accord.toml

Plain HTTP is served on loopback only: put a proxy in front, or set http.tls.certificate and http.tls.key. SIGTERM ends it
after what is under way. It ends with 78 when somebody has to set something right before it is started again.";

/// Arguments of `accord serve`.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Serve {
    /// Where to listen [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Fill the desk with a believable French software vendor's, and keep all mail in files.
    #[arg(long)]
    demo: bool,
    /// Take the clock for right although something was written down at a later time: diagnostics are captured again. Of
    /// several processes each is to be told.
    #[arg(long)]
    believe_clock: bool,
    /// Serve only; other processes do the background work (PostgreSQL).
    #[arg(long)]
    no_worker: bool,
}

impl Serve {
    /// Runs the command until the process is told to stop.
    pub fn run(&self, common: &Common) -> ExitCode {
        let overrides = Overrides { listen: self.listen.clone(), demo: self.demo, ..Overrides::default() };
        let config = match load_config(common, overrides) {
            Ok(config) => config,
            Err(code) => return code,
        };
        logging::start(&config.log);
        raise_open_files();
        match actix_web::rt::System::new().block_on(self.serve(config)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => refuse(&error),
        }
    }

    async fn serve(&self, config: Config) -> anyhow::Result<()> {
        // A socket may be wanted within it.
        app::prepare_folder(&config)?;
        let (listeners, lmtp) = open_addresses(&config)?;
        let app = App::open(config, Clock::system())?;
        copying::remove_unfinished(&app.config)?;
        let log = RequestLog::open(&app.config.log.access_folder)?;
        let stop = CancellationToken::new();
        let site = Site { app: app.clone(), log: Some(Data::new(log)), demo: self.demo };
        if self.demo {
            let filled = app.clone();
            carry::blocking(move || demo::fill(&filled)).await??;
        }
        // Whichever process captures also stores what it captured.
        let drain = drain::start(&app, &stop)?;
        let publishing = publishing::start(&app, &stop, self.believe_clock)?;
        let server = serve(site, listeners, stop.clone().cancelled_owned())?;
        let doors = open_doors(&app, lmtp, &stop)?;
        let threads = if self.no_worker { None } else { Some(Threads::start(&app, &stop)?) };
        self.greet(&app).await?;
        warn_of_relays(&app).await?;
        let stopping = stop.clone();
        carry::task(async move {
            if let Err(error) = told_to_stop().await {
                tracing::error!(target: "accord", %error, "Signals cannot be listened for; stopping");
            }
            stopping.cancel();
        });
        server.await?;
        stop.cancel();
        for door in doors {
            door.await?;
        }
        if let Some(threads) = threads {
            carry::blocking(move || threads.join()).await?;
        }
        let joined = move || publishing.join().and(drain.join());
        if carry::blocking(joined).await?.is_err() {
            tracing::error!(target: "accord::worker", "The drain or the publishing of grants had panicked");
        }
        Ok(())
    }
}

/// Mail of a mailbox that was renamed goes by another relay than the settings mean, which nobody else would notice.
async fn warn_of_relays(app: &App) -> anyhow::Result<()> {
    if app.config.mail.relays.is_empty() {
        return Ok(());
    }
    let addresses = app.database.read(mailboxes::canonical_addresses).await?;
    for relay in app.config.mail.relays.iter() {
        let count = relay.without_mailbox(&addresses).len();
        if count > 0 {
            tracing::warn!(
                target: "accord",
                relay = relay.name.as_str(),
                count,
                "The settings of a relay name mailboxes that do not exist; accord check says which"
            );
        }
    }
    Ok(())
}

/// Lets the process have as many files and connections open as it may, up to what it can use. What systems give at first
/// is often 1 024, which one visitor could use up (FT-16).
fn raise_open_files() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = maximum.unwrap_or(OPEN_FILES).min(OPEN_FILES);
    if current.is_some_and(|current| current < wanted)
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum })
    {
        tracing::warn!(target: "accord", %error, "No more files can be open than {current:?}");
    }
}

/// Opens every address of the settings, before anything of the installation is touched: what is wrong with one is wrong with
/// the settings, and told with all that is.
fn open_addresses(config: &Config) -> Result<(Listeners, Option<lmtp::Door>), Problems> {
    let (listeners, mut problems) = match Listeners::open(&config.http) {
        Ok(listeners) => (Some(listeners), Vec::new()),
        Err(problems) => (None, problems),
    };
    let lmtp = config.mail.lmtp.as_ref().and_then(|listen| match lmtp::Door::open(listen) {
        Ok(door) => Some(door),
        Err(error) => {
            let text =
                format!("{listen} cannot be opened ({error}); stop what listens there, or choose another address");
            problems.push(Problem { key: "mail.lmtp".to_owned(), line: None, text });
            None
        }
    });
    match listeners {
        Some(listeners) if problems.is_empty() => Ok((listeners, lmtp)),
        _ => Err(Problems(problems)),
    }
}

/// Answers at the ways in besides HTTP: the socket for other commands, and LMTP if it is configured.
fn open_doors(
    app: &Arc<App>,
    lmtp: Option<lmtp::Door>,
    stop: &CancellationToken,
) -> anyhow::Result<Vec<tokio::task::JoinHandle<()>>> {
    use anyhow::Context;
    let mut doors = Vec::new();
    // With PostgreSQL several processes may share a folder, and every command reaches the database by itself.
    if app.config.database.url.is_sqlite() {
        let socket = local_socket::open(&app.config).context("the socket in the data folder cannot be made")?;
        doors.push(carry::task(local_socket::serve(app.clone(), socket, stop.clone())));
    }
    if let Some(door) = lmtp {
        doors.push(carry::task(lmtp::serve(app.clone(), door, stop.clone())));
    }
    Ok(doors)
}

impl Serve {
    /// Says where the desk is, and on an empty one how to begin.
    async fn greet(&self, app: &App) -> anyhow::Result<()> {
        let base_url = &app.config.http.base_url;
        println!("Accord is at {base_url}");
        if self.demo {
            println!("Sign in as camille.renaud@lumenor.example with the password {}", demo::PASSWORD);
            return Ok(());
        }
        let now = app.clock.now();
        if let Some(token) = app.database.write(move |db| setup::issue_token(db, now)).await? {
            println!("This desk is empty. Set it up here, once, within a day:");
            println!("{base_url}/setup/{}", token.expose());
        }
        Ok(())
    }
}

/// Waits for SIGTERM or SIGINT.
pub async fn told_to_stop() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
