//! Bringing mail from another desk or mailbox: files (mbox) and folders (Maildir) are read through once to know what lies
//! where and when it was written, then the mails go through the journal in the order of their dates, so that answers come
//! after what they answer, whichever folder they lie in. Of each mail only its place is held in memory, and a few at a time
//! with their bytes. Begun again after an end of any kind, it goes on: what the journal knows is not taken twice (J-05).

pub mod kept;
mod unfinished;

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use rustix::fs::OFlags;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::carry;
use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::error::{Error, Result};
use crate::intake::reading::{self, Surroundings};
use crate::intake::{House, Reading, from_email};
use crate::journal::claiming::{self, Claimed, Delivery};
use crate::journal::{self, Acceptance, Imported, NewMail, Recipient, Way};
use crate::mail::address::EmailAddress;
use crate::mail::limits::PIPE_BYTES;
use crate::mail::mbox::{self, About};
use crate::secret::random_handle;
use crate::teams::mailboxes::{self, Mailbox};
use crate::worker::incoming_mail;
use crate::worker::threads::Step;

/// Mails that are written down in one commit.
const BATCH_MAILS: usize = 32;
/// Bytes of them, if they are large.
const BATCH_BYTES: u64 = 8 << 20;
/// Threads that read them; mostly they wait for the disk.
const READERS: usize = 4;
/// The header of a mail in a file of its own is looked at so far.
const HEADER_BYTES: u64 = 64 << 10;

pub use unfinished::changed_since_interrupted;

/// What is brought, and what it was where it lay.
#[derive(Clone, Debug)]
pub struct Source {
    /// A file with many mails (mbox), or a folder with a file for each (Maildir).
    pub path: PathBuf,
    pub imported: Imported,
}

/// Where all the mails lie, in the order of their dates.
#[derive(Debug, Default)]
pub struct Plan {
    places: Vec<Place>,
    files: Vec<PlannedFile>,
    /// Thrown away where they lay, or begun and never sent; they are not brought.
    pub deleted: usize,
    /// Larger than any mail that a pipe hands over; they are not brought.
    pub too_large: usize,
    /// Among the mails of a folder, and no file: a link that may lead anywhere, a pipe that ends never. They are not brought.
    pub no_files: usize,
    /// The first of them.
    pub first_no_file: Option<PathBuf>,
}

/// A file with one mail or many, as it was when it was looked through.
#[derive(Debug)]
struct PlannedFile {
    path: PathBuf,
    imported: Imported,
    stamp: Stamp,
}

/// By which it shows that a file was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    length: u64,
    /// Seconds and nanoseconds of its last change.
    changed_at: (i64, i64),
}

impl Stamp {
    fn of(file: &Metadata) -> Stamp {
        Stamp { length: file.len(), changed_at: (file.mtime(), file.mtime_nsec()) }
    }
}

/// A mail in a file: all of it, unless it is one of many.
#[derive(Clone, Copy, Debug)]
struct Place {
    written_at: i64,
    file: u32,
    is_in_mbox: bool,
    start: u64,
    length: u64,
}

/// How far it is, and what came of it so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Of how many.
    pub mails: usize,
    pub done: usize,
    /// They were here already.
    pub known: usize,
}

impl Plan {
    /// Reads what there is. Nothing is changed.
    pub fn read(sources: &[Source]) -> anyhow::Result<Plan> {
        let mut plan = Plan::default();
        for source in sources {
            let path = source.path.as_path();
            let read = match std::fs::metadata(path) {
                Ok(there) if there.is_dir() => plan.read_maildir(path, source.imported),
                Ok(there) if there.is_file() => plan.read_mbox(source),
                Ok(_) => Err(anyhow!("it is neither a file nor a folder")),
                Err(error) => Err(error.into()),
            };
            read.with_context(|| format!("{} cannot be read", path.display()))?;
        }
        // In one file mails lie in the order in which they came; the sort keeps it among those of one date.
        // Of what we sent with ourselves in copy, the one that we sent comes first, and the copy is known then.
        let files = &plan.files;
        let is_a_copy = |file: u32| files.get(file as usize).is_some_and(|file| file.imported != Imported::Sent);
        plan.places.sort_by_key(|place| (place.written_at, is_a_copy(place.file)));
        Ok(plan)
    }

    /// How many mails there are to bring.
    pub fn mails(&self) -> usize {
        self.places.len()
    }

    fn add_file(&mut self, path: PathBuf, imported: Imported, about: &Metadata) -> anyhow::Result<u32> {
        self.files.push(PlannedFile { path, imported, stamp: Stamp::of(about) });
        Ok(u32::try_from(self.files.len() - 1)?)
    }

    fn add(&mut self, place: Place, about: About) {
        if about.is_deleted {
            self.deleted += 1;
        } else if place.length > PIPE_BYTES as u64 {
            self.too_large += 1;
        } else {
            self.places.push(place);
        }
    }

    fn read_mbox(&mut self, source: &Source) -> anyhow::Result<()> {
        let opened = open_named(&source.path)?;
        let file = self.add_file(source.path.clone(), source.imported, &opened.metadata()?)?;
        let opened = BufReader::with_capacity(256 << 10, opened);
        let mut last = 0;
        let is_mbox = mbox::scan(opened, |entry| {
            // A mail without a date lies beside the one before it.
            last = entry.about.date.map_or(last, UtcTime::seconds);
            let length = entry.end - entry.start;
            self.add(Place { written_at: last, file, is_in_mbox: true, start: entry.start, length }, entry.about);
        })?;
        if !is_mbox {
            bail!("it is no mailbox: such a file begins with a line `From somebody Thu Jan  1 10:00:00 2026`");
        }
        Ok(())
    }

    fn read_maildir(&mut self, path: &Path, imported: Imported) -> anyhow::Result<()> {
        let mut is_maildir = false;
        for folder in ["cur", "new"] {
            if std::fs::symlink_metadata(path.join(folder)).is_ok_and(|there| there.is_symlink()) {
                bail!("its folder `{folder}` is a link; name the Maildir that it belongs to");
            }
            let entries = match std::fs::read_dir(path.join(folder)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                entries => entries?,
            };
            is_maildir = true;
            let mut names = Vec::new();
            for entry in entries {
                names.push(entry?.path());
            }
            names.sort();
            for path in names {
                self.read_maildir_mail(path, imported)?;
            }
        }
        if !is_maildir {
            bail!("it is no Maildir: it has no folder `cur` or `new`");
        }
        Ok(())
    }

    fn read_maildir_mail(&mut self, path: PathBuf, imported: Imported) -> anyhow::Result<()> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with('.') {
            return Ok(());
        }
        let Some(opened) = open_entry(&path)? else {
            self.no_files += 1;
            self.first_no_file.get_or_insert(path);
            return Ok(());
        };
        let about_file = opened.metadata()?;
        let mut header = Vec::new();
        (&opened).take(HEADER_BYTES).read_to_end(&mut header)?;
        let mut about = About::of(&header);
        let flags = name.rsplit_once(":2,").map(|(_, flags)| flags).unwrap_or_default();
        about.is_deleted |= flags.contains(['T', 'D']);
        let file = self.add_file(path, imported, &about_file)?;
        let written_at = about.date.map_or(0, UtcTime::seconds);
        self.add(Place { written_at, file, is_in_mbox: false, start: 0, length: about_file.len() }, about);
        Ok(())
    }

    fn bytes(&self, place: &Place, open: &mut Option<(u32, File)>) -> anyhow::Result<Vec<u8>> {
        let PlannedFile { path, stamp, .. } = &self.files[place.file as usize];
        let file = match open {
            Some((number, file)) if *number == place.file => file,
            open => {
                let opened = if place.is_in_mbox { open_named(path).map(Some) } else { open_entry(path) };
                let opened = opened.with_context(|| format!("{} cannot be read", path.display()))?;
                let opened = opened.with_context(|| format!("{} is no file any more", path.display()))?;
                &mut open.insert((place.file, opened)).1
            }
        };
        file.seek(SeekFrom::Start(place.start))?;
        let mut bytes = Vec::with_capacity(usize::try_from(place.length)?);
        file.take(place.length).read_to_end(&mut bytes)?;
        // Looked at after reading: mails that lie elsewhere now would be taken in pieces.
        if Stamp::of(&file.metadata()?) != *stamp {
            bail!("{} was changed meanwhile; import a copy to which nobody writes", path.display());
        }
        Ok(if place.is_in_mbox { mbox::restored(&bytes) } else { bytes })
    }

    /// The files with many mails, by their paths.
    fn mboxes(&self) -> impl Iterator<Item = (String, Stamp)> {
        let mut files: Vec<u32> = self.places.iter().filter(|place| place.is_in_mbox).map(|place| place.file).collect();
        files.sort_unstable();
        files.dedup();
        files.into_iter().map(|file| {
            let PlannedFile { path, stamp, .. } = &self.files[file as usize];
            (std::path::absolute(path).unwrap_or_else(|_| path.clone()).to_string_lossy().into_owned(), *stamp)
        })
    }
}

/// Opens what somebody named, without waiting for the other end of a pipe.
fn open_named(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed()).open(path)
}

/// Opens a file that lies among mails, and nothing else that may lie there.
fn open_entry(path: &Path) -> io::Result<Option<File>> {
    if !std::fs::symlink_metadata(path)?.is_file() {
        return Ok(None);
    }
    let flags = OFlags::NONBLOCK | OFlags::NOFOLLOW;
    let opened = match OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path) {
        Err(error) if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => return Ok(None),
        opened => opened?,
    };
    // It may have been replaced in between.
    Ok(opened.metadata()?.is_file().then_some(opened))
}

/// Brings the mails of the plan into the mailbox and carries them out, telling after each batch how far it is. When this
/// returns, what was written down is carried out, save what failed and is tried again where the desk is served.
pub fn run(app: &App, mailbox: &str, plan: &Plan, mut tell: impl FnMut(Progress)) -> anyhow::Result<Progress> {
    let found = mailbox_named(app, mailbox)?;
    let mut open = None;
    let mails = plan.places.iter().map(|place| {
        let recipient = Recipient { mailbox: found.id, address: found.canonical.clone() };
        let imported = plan.files[place.file as usize].imported;
        let raw = plan.bytes(place, &mut open)?;
        Ok(NewMail::new(vec![recipient], String::new(), Way::Pipe, raw).imported(imported))
    });
    unfinished::begin(&app.config.data, mailbox, plan)?;
    let progress = bring(app, &found, plan.places.len(), mails, &mut tell)?;
    unfinished::end(&app.config.data, mailbox, plan)?;
    Ok(progress)
}

fn mailbox_named(app: &App, mailbox: &str) -> anyhow::Result<Mailbox> {
    let address = EmailAddress::parse(mailbox).with_context(|| format!("{mailbox} is no address"))?;
    let found = app.database.read_now(|db| mailboxes::find_by_canonical(db, &address))?;
    found.with_context(|| format!("no mailbox has the address {mailbox}; see Mailboxes in the administration"))
}

/// Brings that many mails into the mailbox, a few at a time, each read when its turn comes.
fn bring(
    app: &App,
    mailbox: &Mailbox,
    count: usize,
    mut mails: impl Iterator<Item = anyhow::Result<NewMail>>,
    tell: &mut impl FnMut(Progress),
) -> anyhow::Result<Progress> {
    let name = format!("import-{}-", mailbox.id.0);
    let worker = format!("{name}{}", random_handle());
    take_up_what_was_interrupted(app, &name)?;
    let mut progress = Progress { mails: count, ..Progress::default() };
    loop {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while batch.len() < BATCH_MAILS && bytes < BATCH_BYTES {
            let Some(mail) = mails.next() else { break };
            let mail = mail?;
            bytes += mail.size() as u64;
            batch.push(mail);
        }
        if batch.is_empty() {
            return Ok(progress);
        }
        progress.done += batch.len();
        let (known, claimed) = write_down(app, batch, &worker)?;
        progress.known += known;
        if let Err(error) = carry_out_together(app, claimed, &worker) {
            // Of one of them, or of the database: each alone then, with all that is done about a mail that fails.
            tracing::warn!(target: "accord::mail", ?error, "Mails could not be carried out together; each goes alone");
            let name = worker.clone();
            app.database.write_now(move |db| claiming::free_leases(db, &name))?;
        }
        // What other processes left, or what failed.
        while let Step::Worked(_) = incoming_mail::process_row(app, &worker, || Duration::ZERO)? {}
        tell(progress);
    }
}

/// What an import that was killed held comes first, as it would have come: else answers would be read before what they
/// answer. An embedded database has no other process than this one; elsewhere only what an import into that mailbox held is
/// free, and an import that runs beside this one gives way where both have the same mail.
fn take_up_what_was_interrupted(app: &App, name: &str) -> Result<()> {
    let held_by = if app.config.database.url.is_sqlite() { String::new() } else { name.to_owned() };
    app.database.write_now(move |db| claiming::free_leases(db, &held_by))?;
    Ok(())
}

/// Writes mails down and claims what waits, in one commit. Gives how many were known.
fn write_down(app: &App, batch: Vec<NewMail>, worker: &str) -> Result<(usize, Vec<Claimed>)> {
    let (worker, now) = (worker.to_owned(), app.clock.now());
    app.database.write_now(move |db| {
        let mut known = 0;
        for mail in &batch {
            let accepted = journal::accept(db, mail, now)?;
            known += accepted.iter().filter(|what| **what == Acceptance::AlreadyKnown).count();
        }
        // Mail that waited before may be larger than what was just written down, and may have ended an import (J-07).
        let bytes = usize::try_from(BATCH_BYTES).unwrap_or(usize::MAX);
        Ok((known, claiming::claim_together(db, &worker, BATCH_MAILS, bytes, now)?))
    })
}

/// Reads mails side by side, for each waits for the disk that keeps its files, and carries them out in their order, in one
/// commit. Each is held with its bytes only while it is read.
fn carry_out_together(app: &App, claimed: Vec<Claimed>, worker: &str) -> Result<()> {
    if claimed.is_empty() {
        return Ok(());
    }
    let surroundings = app.database.read_now(Surroundings::load)?;
    let house = Arc::new(House::new(&app.keys, &app.config, &app.senders));
    let now = app.clock.now();
    let read = |claimed: Claimed| -> Result<(Delivery, Reading)> {
        let _place = app.reading_room.enter(claimed.bytes);
        let delivery = app.database.read_now(|db| claiming::load(db, claimed.id))?;
        let read = || reading::read(&house, &app.storage, &delivery, &surroundings, now);
        let reading =
            catch_unwind(AssertUnwindSafe(read)).map_err(|_| Error::internal("reading a mail panicked"))??;
        Ok((Delivery { raw: None, ..delivery }, reading))
    };
    let mut shares: Vec<Vec<(usize, Claimed)>> = vec![Vec::new(); READERS];
    for (index, claimed) in claimed.into_iter().enumerate() {
        shares[index % READERS].push((index, claimed));
    }
    let read_share = |share: Vec<(usize, Claimed)>| -> Result<Vec<(usize, (Delivery, Reading))>> {
        share.into_iter().map(|(index, claimed)| Ok((index, read(claimed)?))).collect()
    };
    let mut mails = Vec::new();
    for read in carry::side_by_side(shares, read_share) {
        mails.extend(read.map_err(|_| Error::internal("a reader of mails panicked"))??);
    }
    mails.sort_by_key(|(index, _)| *index);
    let worker = worker.to_owned();
    let apply = move |db: &mut DbConnection| {
        for (_, (delivery, reading)) in &mails {
            from_email::apply(db, &house, delivery, reading, &worker, now)?;
        }
        Ok(())
    };
    catch_unwind(AssertUnwindSafe(|| app.database.write_now(apply)))
        .map_err(|_| Error::internal("carrying mails out panicked"))?
}
