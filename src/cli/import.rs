//! `accord import`: brings the mail of another desk or mailbox, as old news (`worker::importing`).

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use indicatif::{HumanDuration, ProgressBar, ProgressStyle};

use crate::app::App;
use crate::cli::{Common, asking, fail, load_config, refuse, say};
use crate::clock::Clock;
use crate::config::database::DatabaseUrl;
use crate::config::{Config, Overrides};
use crate::journal::Imported;
use crate::worker::importing::kept::{self, Kept};
use crate::worker::importing::{self, Plan, Progress, Source, changed_since_interrupted};

const EXAMPLES: &str = "\
Files with many mails (mbox) and folders with a file for each (Maildir), in any number, into a mailbox of this desk:

  accord import --mailbox support@example.com --sent Sent.mbox Inbox.mbox old/2024/

Requests become tickets with the dates that they had, and answers come to what they answer. What was sent from the mailbox is
your answer, and the customer to whom it was written can read it; nobody else's mail that bears your address is. Where nobody
wrote for 30 days the ticket is closed, and your retention rules hold for it as for any other.

No mail goes out. Deleted mails and drafts are left out, and so are links. Nobody may write to the files meanwhile: import
copies of those in use. Ended at any time, the same command goes on where it was; what is here
already is not taken twice. An embedded database has one process: stop `accord serve` meanwhile.

After a backup was restored, mail that came since lies among the stored files still, if those are at hand:

  cp -rn /var/lib/accord/files/. /var/lib/accord-restored/files/
  accord import --mailbox support@example.com --kept --dry-run --data /var/lib/accord-restored

says how much the database does not know; without --dry-run it is taken, and nobody is told. Start `accord serve` before, and let
it fetch what your mail server has still. Of a file nobody can tell for certain that it came as a mail: answers are for staff
until one of them accepts them.";

/// How often it says how far it is where nobody sees a bar.
const LINES_APART: Duration = Duration::from_secs(10);

/// Arguments of `accord import`.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Import {
    /// The mailbox of this desk that the mail is for
    #[arg(long, value_name = "ADDRESS")]
    mailbox: String,
    /// A file or folder with what was sent from that mailbox; may be given several times
    #[arg(long, value_name = "PATH")]
    sent: Vec<PathBuf>,
    /// Files and folders with what had come there
    #[arg(value_name = "PATH", required_unless_present_any = ["sent", "kept"])]
    received: Vec<PathBuf>,
    /// Take mail that lies among the stored files and that the database, restored from a backup, does not know
    #[arg(long, conflicts_with_all = ["sent", "received"])]
    kept: bool,
    /// With --kept: also what names no mailbox of this desk, as mail in blind copy does and files of somebody may
    #[arg(long, requires = "kept")]
    unaddressed: bool,
    /// With --kept: say how much there is, and change nothing
    #[arg(long, requires = "kept")]
    dry_run: bool,
}

impl Import {
    /// Runs the command.
    pub fn run(&self, common: &Common) -> ExitCode {
        let config = match load_config(common, Overrides::default()) {
            Ok(config) => config,
            Err(code) => return code,
        };
        // A folder that is mistyped is no place to begin another desk.
        if let DatabaseUrl::Sqlite(file) = &config.database.url
            && !file.exists()
        {
            return fail(format_args!("there is no desk in {}; name its folder with --data", config.data.display()));
        }
        if asking::find_server(&config).is_some() {
            return fail("the desk is being served; stop `accord serve`, import, and start it again");
        }
        if self.kept {
            return self.take_kept(config);
        }
        let source = |imported| move |path: &PathBuf| Source { path: path.clone(), imported };
        let received = self.received.iter().map(source(Imported::Received));
        let sources: Vec<Source> = received.chain(self.sent.iter().map(source(Imported::Sent))).collect();
        say("Looking what there is");
        let plan = match Plan::read(&sources) {
            Ok(plan) => plan,
            Err(error) => return fail(format_args!("{error:#}")),
        };
        let app = match App::open(config, Clock::system()) {
            Ok(app) => app,
            Err(error) => return refuse(&anyhow::Error::new(error)),
        };
        match changed_since_interrupted(&app.config.data, &self.mailbox, &plan) {
            Ok(changed) => changed.iter().for_each(|path| say_changed(path)),
            Err(error) => return fail(format_args!("{error:#}")),
        }
        let mut shown = Shown::new(plan.mails());
        match importing::run(&app, &self.mailbox, &plan, |progress| shown.tell(&progress)) {
            Ok(progress) => {
                shown.end();
                say_report(&plan, &progress);
                ExitCode::SUCCESS
            }
            Err(error) => {
                shown.end();
                fail(format_args!("{error:#}; the same command goes on from here"))
            }
        }
    }
}

impl Import {
    fn take_kept(&self, config: Config) -> ExitCode {
        let app = match App::open(config, Clock::system()) {
            Ok(app) => app,
            Err(error) => return refuse(&anyhow::Error::new(error)),
        };
        say("Looking what there is");
        let kept = match Kept::find(&app, &self.mailbox, self.unaddressed) {
            Ok(kept) => kept,
            Err(error) => return fail(format_args!("{error:#}")),
        };
        say_kept(&kept, &self.mailbox);
        if self.dry_run || kept.mails() == 0 {
            return ExitCode::SUCCESS;
        }
        let mut shown = Shown::new(kept.mails());
        let adopted = kept::adopt(&app, &self.mailbox, &kept, |progress| shown.tell(&progress));
        shown.end();
        match adopted {
            Ok(progress) => {
                say(format_args!("{} mails taken", progress.done - progress.known));
                ExitCode::SUCCESS
            }
            Err(error) => fail(format_args!("{error:#}; the same command goes on from here")),
        }
    }
}

fn say_kept(kept: &Kept, mailbox: &str) {
    let count = kept.mails();
    match kept.written() {
        Some((first, last)) => say(format_args!(
            "{count} mails to {mailbox} that this desk does not know, written from {} to {}",
            first.rfc3339(),
            last.rfc3339()
        )),
        None => say(format_args!("{count} mails to {mailbox} that this desk does not know")),
    }
    if kept.of_others > 0 {
        say(format_args!("{} name other mailboxes of this desk: name those with --mailbox", kept.of_others));
    }
    if kept.unaddressed > 0 {
        say(format_args!(
            "{} name no mailbox of this desk and are left where they are: mail in blind copy, or files of somebody that are \
             mails; --unaddressed takes them",
            kept.unaddressed
        ));
    }
    if kept.damaged > 0 {
        say(format_args!("{} stored files that nobody knows are damaged, and are left where they are", kept.damaged));
    }
}

fn say_changed(path: &str) {
    say(format_args!(
        "{path} was changed since the import of it that was interrupted. What is in it and not here yet is taken now; a mail \
         that was taken and then altered comes once more, unless it bears the same Message-ID and says the same"
    ));
}

fn say_report(plan: &Plan, progress: &Progress) {
    say(format_args!("{} mails taken, {} were here already", progress.done - progress.known, progress.known));
    if plan.deleted > 0 {
        say(format_args!("{} deleted mails and drafts were left out", plan.deleted));
    }
    if plan.too_large > 0 {
        say(format_args!("{} were left out that are larger than a mail may be", plan.too_large));
    }
    if let Some(first) = &plan.first_no_file {
        let (count, first) = (plan.no_files, first.display());
        say(format_args!(
            "{count} were left out that are no files, but links, pipes or the like: {first} is the first"
        ));
    }
    say("What could not be told whose matter it is stands under Unprocessed mail, in the administration");
}

/// How far it is, on a terminal as a bar, elsewhere as a line now and then.
struct Shown {
    bar: ProgressBar,
    is_terminal: bool,
    told: Option<Instant>,
}

impl Shown {
    fn new(mails: usize) -> Shown {
        // Where standard error is no terminal the bar counts, and is not drawn.
        let bar = ProgressBar::new(mails as u64);
        if let Ok(style) = ProgressStyle::with_template("[{bar:30}] {msg}") {
            bar.set_style(style.progress_chars("=> "));
        }
        Shown { bar, is_terminal: std::io::stderr().is_terminal(), told: None }
    }

    fn tell(&mut self, progress: &Progress) {
        self.bar.set_position(progress.done as u64);
        let line = line(progress, self.bar.eta());
        if self.is_terminal {
            self.bar.set_message(line);
            return;
        }
        let is_last = progress.done == progress.mails;
        if is_last || self.told.is_none_or(|told| told.elapsed() >= LINES_APART) {
            self.told = Some(Instant::now());
            say(line);
        }
    }

    fn end(&self) {
        self.bar.abandon();
    }
}

fn line(progress: &Progress, left: Duration) -> String {
    let Progress { mails, done, .. } = progress;
    let percent = 100 * done / (*mails).max(1);
    format!("{done} of {mails} mails ({percent} %), {} left", HumanDuration(left))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_tells_how_far_it_is_and_how_long_it_takes() {
        let progress = Progress { mails: 100_000, done: 25_000, known: 0 };
        let said = line(&progress, Duration::from_secs(120));
        assert_eq!(said, "25000 of 100000 mails (25 %), 2 minutes left");
        assert_eq!(line(&Progress::default(), Duration::ZERO), "0 of 0 mails (0 %), 0 seconds left");
    }
}
