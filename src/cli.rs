//! The command line: one program, a few commands, each with help that teaches.

pub mod asking;
pub mod backup;
pub mod check;
pub mod dkim;
pub mod import;
pub mod logging;
pub mod mail;
pub mod migrate;
pub mod restore;
pub mod serve;
pub mod token;
pub mod verify;
pub mod worker;

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use rustix::fs::Mode;
use rustix::process::{Resource, Rlimit};

use crate::app::StartError;
use crate::config::{self, Config, Overrides, Problem, Problems};
use crate::db::migrations::MigrationError;

/// `EX_CONFIG` of sysexits.h: the settings are wrong.
pub const EXIT_CONFIG: u8 = 78;
/// `EX_TEMPFAIL` of sysexits.h: try again later.
pub const EXIT_TRY_LATER: u8 = 75;

/// A support desk in one program.
///
/// Customers file tickets on the web or by mail, agents answer, and nobody looks inside a customer's use of the
/// product before the customer has agreed.
#[derive(Parser)]
#[command(name = "accord", version, after_help = "Begin with `accord serve --demo` and open http://127.0.0.1:8080")]
struct Arguments {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

/// What every command understands.
#[derive(Args, Clone)]
pub struct Common {
    /// A settings file (TOML). Variables `ACCORD_<SECTION>_<KEY>` win over it.
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The folder for the database, files, keys and logs [default: ./data]
    #[arg(long, global = true, value_name = "DIR")]
    pub data: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the desk. On an empty folder it makes the database and prints a link to set up the first administrator.
    Serve(serve::Serve),
    /// Take one mail from standard input: a pipe for the alias of any mail server. Exits 0 when it is safe, else 75.
    Mail(mail::Mail),
    /// Bring the mail of another desk or mailbox (mbox, Maildir), as old news: nobody is told of it.
    Import(import::Import),
    /// Do background work only: for PostgreSQL, beside other processes that serve.
    Worker(worker::Worker),
    /// Bring the database up to date and stop. `serve` does this by itself.
    #[command(after_help = migrate::EXAMPLES)]
    Migrate,
    /// Make, list and revoke API secrets, by which programs use the desk.
    Token(token::Token),
    /// Make the keys by which a domain signs its mail (DKIM), and print the records to publish.
    Dkim(dkim::Dkim),
    /// Make a backup: one sealed file, while the desk is served.
    Backup(backup::Backup),
    /// Restore a backup into an empty folder.
    Restore(restore::Restore),
    /// Look at the settings, the database, the ledger and the mail relay, and say what is wrong.
    #[command(after_help = check::EXAMPLES)]
    Check,
    /// Check a receipt, a certificate or a bundle of evidence, without a server.
    Verify(verify::Verify),
}

/// Runs the program with the arguments of the process.
pub fn run() -> ExitCode {
    keep_files_from_others();
    keep_memory_from_others();
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        // A mail server takes the usual status for a refusal, and returns the mail to its sender.
        Err(error) if error.use_stderr() && is_mail(std::env::args_os()) => {
            say(error);
            return ExitCode::from(EXIT_TRY_LATER);
        }
        Err(error) => error.exit(),
    };
    let common = arguments.common.clone();
    match arguments.command {
        Command::Serve(serve) => serve.run(&common),
        Command::Mail(mail) => mail.run(&common),
        Command::Import(import) => import.run(&common),
        Command::Worker(worker) => worker.run(&common),
        Command::Migrate => migrate::run(&common),
        Command::Token(token) => token.run(&common),
        Command::Dkim(dkim) => dkim.run(&common),
        Command::Backup(backup) => backup.run(&common),
        Command::Restore(restore) => restore.run(&common),
        Command::Check => check::run(&common),
        Command::Verify(verify) => verify.run(),
    }
}

/// Whether the command is `mail`, even where its arguments cannot be read.
fn is_mail(arguments: impl Iterator<Item = OsString>) -> bool {
    let mut arguments = arguments.skip(1);
    while let Some(argument) = arguments.next() {
        if argument == "--config" || argument == "--data" {
            arguments.next();
        } else if !argument.as_encoded_bytes().starts_with(b"-") {
            return argument == "mail";
        }
    }
    false
}

/// What the program writes is not for every user of the machine, even in a folder that everybody may enter; whether the
/// group may read it stays as it was.
fn keep_files_from_others() {
    let before = rustix::process::umask(Mode::RWXO);
    rustix::process::umask(before | Mode::RWXO);
}

/// What the process holds, keys and what they open among it, is in no core dump, and no other process of this user reads
/// it. A machine that refuses this is told of it, and the work is done all the same.
fn keep_memory_from_others() {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    // One does not stand for the other: a core pattern that is a pipe heeds no limit.
    let (limited, forbidden) = (rustix::process::setrlimit(Resource::Core, none), forbid_dumps());
    if let Err(error) = limited.and(forbidden) {
        say(format_args!("accord: this process may leave its memory in a core dump: {error}"));
    }
}

#[cfg(target_os = "linux")]
fn forbid_dumps() -> rustix::io::Result<()> {
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)
}

#[cfg(not(target_os = "linux"))]
fn forbid_dumps() -> rustix::io::Result<()> {
    Ok(())
}

/// The settings, or every problem with them on standard error.
pub fn load_config(common: &Common, overrides: Overrides) -> Result<Config, ExitCode> {
    let overrides = Overrides { data: common.data.clone().or(overrides.data), ..overrides };
    config::load(common.config.as_deref(), &overrides).map_err(|problems| attention(&problems))
}

/// Says what is wrong with the settings, all of it.
fn attention(problems: &[Problem]) -> ExitCode {
    say("accord: the settings need attention:");
    for problem in problems {
        say(format_args!("  {problem}"));
    }
    ExitCode::from(EXIT_CONFIG)
}

/// Says why the program does not start. By its status whoever started it knows whether trying again helps.
pub fn refuse(error: &anyhow::Error) -> ExitCode {
    if let Some(Problems(problems)) = error.downcast_ref() {
        return attention(problems);
    }
    let is_lasting = error.downcast_ref::<StartError>().is_some_and(StartError::is_lasting)
        || error.downcast_ref::<MigrationError>().is_some_and(MigrationError::is_lasting);
    let code = fail(format_args!("{error:#}"));
    if is_lasting { ExitCode::from(EXIT_CONFIG) } else { code }
}

/// Says why the program stops.
pub fn fail(error: impl std::fmt::Display) -> ExitCode {
    say(format_args!("accord: {error}"));
    ExitCode::FAILURE
}

/// Says it on standard error. Where that has no room for it, the command ends as it would have: a mail server has to see
/// its status, not that of a panic (FT-04).
pub fn say(text: impl std::fmt::Display) {
    drop(writeln!(std::io::stderr(), "{text}"));
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn cn_04_each_process_that_captures_can_be_told_that_the_clock_is_right() {
        for command in ["serve", "worker"] {
            assert!(Arguments::try_parse_from(["accord", command, "--believe-clock"]).is_ok(), "{command}");
        }
    }

    #[test]
    fn the_help_of_each_command_teaches_by_an_example() {
        for command in Arguments::command().get_subcommands() {
            let name = command.get_name();
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains(&format!("accord {name}")), "`accord {name} --help` shows no example");
        }
    }

    #[test]
    fn s_07_the_command_is_known_whatever_its_arguments() {
        let is_mail = |arguments: &[&str]| is_mail(["accord"].iter().chain(arguments).map(OsString::from));
        assert!(is_mail(&["mail", "--bogus"]));
        assert!(is_mail(&["--data", "serve", "mail"]));
        assert!(is_mail(&["--config=x", "--data", "mail", "mail"]));
        assert!(!is_mail(&["serve", "mail"]));
        assert!(!is_mail(&["--data", "mail"]));
        assert!(!is_mail(&[]));
    }
}
