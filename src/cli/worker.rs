//! `accord worker`: background work only, beside processes that serve. It shares a PostgreSQL database with them.

use std::process::ExitCode;

use clap::Args;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::cli::{Common, fail, load_config, logging, refuse, serve};
use crate::clock::Clock;
use crate::config::Overrides;
use crate::worker::threads::Threads;
use crate::worker::{drain, publishing};

const EXAMPLES: &str = "\
On a second machine, for a desk that is served elsewhere with --no-worker; both share the keys and the stored files:

  ACCORD_DATABASE_URL=postgres://accord:secret@db.example.com/accord accord worker --config /etc/accord/accord.toml

SIGTERM ends it after what it is doing; work that a machine left undone is taken up by another within two minutes.";

/// Arguments of `accord worker`.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Worker {
    /// Take the clock for right although something was written down at a later time: diagnostics are captured again. Of
    /// several processes each is to be told.
    #[arg(long)]
    believe_clock: bool,
}

impl Worker {
    /// Runs the command until the process is told to stop.
    pub fn run(&self, common: &Common) -> ExitCode {
        let config = match load_config(common, Overrides::default()) {
            Ok(config) => config,
            Err(code) => return code,
        };
        if config.database.url.is_sqlite() {
            return fail(
                "an embedded database has one process; `accord serve` does its background work. \
                 Set database.url to a PostgreSQL server to run workers apart",
            );
        }
        logging::start(&config.log);
        let app = match App::open(config, Clock::system()) {
            Ok(app) => app,
            Err(error) => return refuse(&anyhow::Error::new(error)),
        };
        let stop = CancellationToken::new();
        let threads = match Threads::start(&app, &stop) {
            Ok(threads) => threads,
            Err(error) => return fail(error),
        };
        let drain = match drain::start(&app, &stop) {
            Ok(drain) => drain,
            Err(error) => return fail(error),
        };
        let publishing = match publishing::start(&app, &stop, self.believe_clock) {
            Ok(publishing) => publishing,
            Err(error) => return fail(error),
        };
        tracing::info!(target: "accord::worker", "Working");
        let waited = actix_web::rt::System::new().block_on(serve::told_to_stop());
        stop.cancel();
        threads.join();
        if publishing.join().and(drain.join()).is_err() {
            tracing::error!(target: "accord::worker", "The drain or the publishing of grants had panicked");
        }
        match waited {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(error),
        }
    }
}
