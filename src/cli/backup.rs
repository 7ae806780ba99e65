//! `accord backup`: one sealed file from which a desk can be restored, made while the desk is served. The process that
//! owns the database copies it (DB-07); everything that follows is done here and touches only the copy.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use crate::app::{DataLock, StartError};
use crate::backup::BackupError;
use crate::backup::copying::{self, Made};
use crate::backup::last;
use crate::backup::sealing::BackupKey;
use crate::cli::{Common, asking, fail, load_config, say};
use crate::clock::Clock;
use crate::config::{Config, Overrides};
use crate::db::file_copy;
use crate::privacy::data_kinds;
use crate::worker::local_socket::{Answer, Ask};

/// How long the server may take to copy the database; a gigabyte takes some seconds.
const PATIENCE: Duration = Duration::from_secs(2 * 60 * 60);

const EXAMPLES: &str = "\
Once, make a key, and keep a copy of it where neither this machine nor the backups are:

  accord backup --make-key /etc/accord/backup.key

Then, every night, while the desk is served (in a crontab, % is written \\%):

  accord backup --data /var/lib/accord --key-file /etc/accord/backup.key /backup/accord-$(date +%F).accord

It ends with 0 only when the copy was looked at whole. Passwords, sessions, links that sign in, API secrets and captured
traces are in no backup; nor is keys.json, of which you keep a copy apart. To get the desk back: accord restore --help

Health and metrics tell how old the last backup is. Where other tools make it, let them say so each time:

  accord backup --made --data /var/lib/accord";

/// Arguments of `accord backup`.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Backup {
    /// The backup to make; a file that is not there yet
    #[arg(value_name = "FILE", required_unless_present_any = ["make_key", "made"])]
    file: Option<PathBuf>,
    /// The file with the key that it is sealed with: made by --make-key, or a phrase of 20 characters or more
    #[arg(long, value_name = "KEY", required_unless_present_any = ["make_key", "made"])]
    key_file: Option<PathBuf>,
    /// Make a key in this file, and nothing else
    #[arg(long, value_name = "KEY", conflicts_with_all = ["file", "key_file"])]
    make_key: Option<PathBuf>,
    /// Note that other tools made a backup just now, and nothing else
    #[arg(long, conflicts_with_all = ["file", "key_file", "make_key"])]
    made: bool,
}

/// Why there is no backup.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Backup(#[from] BackupError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("the server could not copy its database: {0}")]
    Server(String),
}

impl Backup {
    /// Runs the command.
    pub fn run(&self, common: &Common) -> ExitCode {
        if let Some(path) = &self.make_key {
            return match BackupKey::make(path) {
                Ok(()) => {
                    say(format_args!(
                        "Made {}. Keep a copy of it elsewhere: without it no backup opens.",
                        path.display()
                    ));
                    ExitCode::SUCCESS
                }
                Err(error) => fail(error),
            };
        }
        let config = match load_config(common, Overrides::default()) {
            Ok(config) => config,
            Err(code) => return code,
        };
        if self.made {
            return match last::note(&config, Clock::system().now()) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => fail(format_args!("that a backup was made could not be noted: {error}")),
            };
        }
        let (Some(file), Some(key_file)) = (&self.file, &self.key_file) else {
            return fail("name the backup and --key-file");
        };
        if !config.database.url.is_sqlite() {
            return fail(ask_the_server_s_own_tools());
        }
        match make(&config, file, key_file) {
            Ok(made) => told(&config, file, &made),
            Err(error) => fail(error),
        }
    }
}

fn make(config: &Config, file: &Path, key_file: &Path) -> Result<Made, Failure> {
    let key = BackupKey::read(key_file)?;
    let now = Clock::system().now();
    copying::make(config, &config.database.url, &key, file, now, |copy| {
        let Some(server) = asking::find_server(config) else {
            // Nobody has the database, and nobody gets it while it is copied.
            let _lock = DataLock::take(config)?;
            return Ok(file_copy::write(&config.database.url, copy).map_err(BackupError::from)?);
        };
        match asking::ask_patiently(server, &Ask::CopyDatabase, &[], PATIENCE).map_err(Failure::Server)? {
            Answer::Copied => Ok(()),
            Answer::Refused { reason } | Answer::NotTaken { reason } => Err(Failure::Server(reason)),
            Answer::Taken | Answer::Secrets { .. } => {
                Err(Failure::Server("the server answered another question".to_owned()))
            }
        }
    })
}

fn told(config: &Config, file: &Path, made: &Made) -> ExitCode {
    println!("{}: {} KiB, with {} stored files", file.display(), made.bytes.div_ceil(1024), made.manifest.files);
    for damage in &made.damaged {
        say(format_args!("accord: {damage}; an earlier backup may have it"));
    }
    if !made.damaged.is_empty() {
        return ExitCode::FAILURE;
    }
    // The backup is good whether or not somebody hears of it.
    if let Err(error) = last::note(config, Clock::system().now()) {
        say(format_args!("accord: health will not know of it: {error}"));
    }
    ExitCode::SUCCESS
}

/// What to do where the database is a server's.
fn ask_the_server_s_own_tools() -> String {
    let mut command = "pg_dump --format=custom --file=accord.dump".to_owned();
    let mut partly = Vec::new();
    for omitted in data_kinds::omitted_from_backups() {
        match omitted.rows {
            None => command.push_str(&format!(" \\\n    --exclude-table-data={}", omitted.table)),
            Some(rows) => partly.push(format!("  DELETE FROM {} WHERE {rows};", omitted.table)),
        }
    }
    format!(
        "a PostgreSQL server has tools of its own for backups, which know more of it than Accord does. Without what is to \
         be in no backup:\n\n  {command} \"$ACCORD_DATABASE_URL\"\n\nthen a copy of the folder `files`, and the dump \
         encrypted, and `accord backup --made`, by which health and metrics know of it. Where it is restored, before anybody is served:\n\n{}\n\nand every consent to diagnostics is stopped by \
         hand, for it may have been withdrawn since",
        partly.join("\n")
    )
}
