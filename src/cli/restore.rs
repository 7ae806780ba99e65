//! `accord restore`: a desk from its backup, in a new folder.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::app::DataLock;
use crate::backup::restoring;
use crate::backup::rights::{self, Rights};
use crate::backup::sealing::BackupKey;
use crate::cli::{Common, fail, load_config, say};
use crate::clock::Clock;
use crate::config::Overrides;
use crate::config::database::DatabaseUrl;
use crate::db::connection::{Role, open};

const EXAMPLES: &str = "\
Into a new folder, which then gets your copy of the installation's keys:

  accord restore /backup/accord-2026-11-25.accord --key-file backup.key --data /var/lib/accord-restored
  cp keys.json /var/lib/accord-restored/
  accord check --data /var/lib/accord-restored

Everybody signs in by a link that is mailed to them, and then chooses a password; programs and products get new secrets.
Every consent to diagnostics has ended, for it may have been withdrawn since the backup was made. Rights are as they were
then: it lists who has which, so that you can take back what was taken back since, before you serve. Mail that came since the
backup may lie among the old stored files: `accord import --help` tells how to take it up. Try it now and then: a backup that was
never restored is a hope.";

/// Arguments of `accord restore`.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Restore {
    /// A backup that `accord backup` made
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The file with the key that it was sealed with
    #[arg(long, value_name = "KEY")]
    key_file: PathBuf,
}

impl Restore {
    /// Runs the command.
    pub fn run(&self, common: &Common) -> ExitCode {
        let config = match load_config(common, Overrides::default()) {
            Ok(config) => config,
            Err(code) => return code,
        };
        let DatabaseUrl::Sqlite(database) = &config.database.url else {
            return fail("database.url names a PostgreSQL server, and a backup of Accord is restored into a folder");
        };
        let key = match BackupKey::read(&self.key_file) {
            Ok(key) => key,
            Err(error) => return fail(error),
        };
        if let Err(error) = restoring::require_empty(&config, database) {
            return fail(error);
        }
        let _lock = match DataLock::take(&config) {
            Ok(lock) => lock,
            Err(error) => return fail(error),
        };
        match restoring::restore(&config, database, &key, &self.file, Clock::system().now()) {
            Ok(manifest) => {
                println!(
                    "Restored into {}: the desk as it was at {}, with {} stored files",
                    config.data.display(),
                    manifest.made_at,
                    manifest.files
                );
                if !config.security.keys_file.exists() {
                    say(format_args!(
                        "Put your copy of the installation's keys into {} before you start it; with new keys, answers to \
                         mails that were sent before find their tickets no more.",
                        config.security.keys_file.display()
                    ));
                }
                match rights_in(&config.database.url) {
                    Ok(rights) => print!("{rights}"),
                    Err(error) => return fail(format_args!("Who has which rights there cannot be read: {error:#}")),
                }
                ExitCode::SUCCESS
            }
            Err(error) => fail(error),
        }
    }
}

/// Who may do what in the desk that was restored.
fn rights_in(database: &DatabaseUrl) -> anyhow::Result<Rights> {
    let mut db = open(database, Role::Reader)?;
    Ok(rights::in_force(&mut db)?)
}
