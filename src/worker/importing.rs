//! Bringing mail from another desk or mailbox: files (mbox) and folders (Maildir) are read through once to know what lies
//! where and when it was written, then the mails go through the journal in the order of their dates, so that answers come
//! after what they answer, whichever folder they lie in. Of each mail only its place is held in memory, and a few at a time
//! with their bytes. Begun again after an end of any kind, it goes on: what the journal knows is not taken twice (J-05).

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};

use crate::app::App;
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
use crate::teams::mailboxes;
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
    files: Vec<(PathBuf, Imported)>,
    /// Thrown away where they lay, or begun and never sent; they are not brought.
    pub deleted: usize,
    /// Larger than any mail that a pipe hands over; they are not brought.
    pub too_large: usize,
}

/// A mail in a file: all of it, where `is_restored` is not set.
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
            let read = if path.is_dir() { plan.read_maildir(path, source.imported) } else { plan.read_mbox(source) };
            read.with_context(|| format!("{} cannot be read", path.display()))?;
        }
        // In one file mails lie in the order in which they came; the sort keeps it among those of one date.
        // Of what we sent with ourselves in copy, the one that we sent comes first, and the copy is known then.
        let files = &plan.files;
        let is_a_copy = |file: u32| files.get(file as usize).is_some_and(|(_, imported)| *imported != Imported::Sent);
        plan.places.sort_by_key(|place| (place.written_at, is_a_copy(place.file)));
        Ok(plan)
    }

    /// How many mails there are to bring.
    pub fn mails(&self) -> usize {
        self.places.len()
    }

    fn add_file(&mut self, path: PathBuf, imported: Imported) -> anyhow::Result<u32> {
        self.files.push((path, imported));
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
        let file = self.add_file(source.path.clone(), source.imported)?;
        let opened = BufReader::with_capacity(256 << 10, File::open(&source.path)?);
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
        let opened = File::open(&path)?;
        let about_file = opened.metadata()?;
        if name.starts_with('.') || !about_file.is_file() {
            return Ok(());
        }
        let mut header = Vec::new();
        opened.take(HEADER_BYTES).read_to_end(&mut header)?;
        let mut about = About::of(&header);
        let flags = name.rsplit_once(":2,").map(|(_, flags)| flags).unwrap_or_default();
        about.is_deleted |= flags.contains(['T', 'D']);
        let file = self.add_file(path, imported)?;
        let written_at = about.date.map_or(0, UtcTime::seconds);
        self.add(Place { written_at, file, is_in_mbox: false, start: 0, length: about_file.len() }, about);
        Ok(())
    }

    fn bytes(&self, place: &Place, open: &mut Option<(u32, File)>) -> anyhow::Result<Vec<u8>> {
        let (path, _) = &self.files[place.file as usize];
        let file = match open {
            Some((number, file)) if *number == place.file => file,
            open => {
                let file = File::open(path).with_context(|| format!("{} cannot be read", path.display()))?;
                &mut open.insert((place.file, file)).1
            }
        };
        file.seek(SeekFrom::Start(place.start))?;
        let mut bytes = Vec::with_capacity(usize::try_from(place.length)?);
        file.take(place.length).read_to_end(&mut bytes)?;
        Ok(if place.is_in_mbox { mbox::restored(&bytes) } else { bytes })
    }
}

/// Brings the mails of the plan into the mailbox and carries them out, telling after each batch how far it is. When this
/// returns, what was written down is carried out, save what failed and is tried again where the desk is served.
pub fn run(app: &App, mailbox: &str, plan: &Plan, mut tell: impl FnMut(Progress)) -> anyhow::Result<Progress> {
    let address = EmailAddress::parse(mailbox).with_context(|| format!("{mailbox} is no address"))?;
    let found = app.database.read_now(|db| mailboxes::find_by_canonical(db, &address))?;
    let found =
        found.with_context(|| format!("no mailbox has the address {mailbox}; see Mailboxes in the administration"))?;
    let worker = format!("import-{}", random_handle());
    let mut progress = Progress { mails: plan.places.len(), ..Progress::default() };
    let mut open = None;
    let mut places = plan.places.iter().peekable();
    while places.peek().is_some() {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while let Some(place) = places.next_if(|_| batch.len() < BATCH_MAILS && bytes < BATCH_BYTES) {
            let recipient = Recipient { mailbox: found.id, address: found.canonical.clone() };
            let imported = plan.files[place.file as usize].1;
            let raw = plan.bytes(place, &mut open)?;
            batch.push(NewMail::new(vec![recipient], String::new(), Way::Pipe, raw).imported(imported));
            bytes += place.length;
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
    Ok(progress)
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
        let mut claimed = Vec::new();
        while claimed.len() < BATCH_MAILS
            && let Some(next) = claiming::claim_next(db, &worker, now)?
        {
            claimed.push(next);
        }
        Ok((known, claimed))
    })
}

/// Reads mails side by side, for each waits for the disk that keeps its files, and carries them out in their order, in one
/// commit.
fn carry_out_together(app: &App, claimed: Vec<Claimed>, worker: &str) -> Result<()> {
    if claimed.is_empty() {
        return Ok(());
    }
    let (deliveries, surroundings) = app.database.read_now(|db| {
        let deliveries = claimed.iter().map(|claimed| claiming::load(db, claimed.id)).collect::<Result<Vec<_>>>()?;
        Ok((deliveries, Surroundings::load(db)?))
    })?;
    let house = Arc::new(House::new(&app.keys, &app.config, &app.senders));
    let now = app.clock.now();
    let read = |delivery: Delivery| -> Result<(Delivery, Reading)> {
        let _place = app.reading_room.enter(usize::try_from(delivery.size).unwrap_or(usize::MAX));
        let read = || reading::read(&house, &app.storage, &delivery, &surroundings, now);
        let reading =
            catch_unwind(AssertUnwindSafe(read)).map_err(|_| Error::internal("reading a mail panicked"))??;
        Ok((Delivery { raw: None, ..delivery }, reading))
    };
    let mut shares: Vec<Vec<(usize, Delivery)>> = vec![Vec::new(); READERS];
    for (index, delivery) in deliveries.into_iter().enumerate() {
        shares[index % READERS].push((index, delivery));
    }
    let read_share = |share: Vec<(usize, Delivery)>| -> Result<Vec<(usize, (Delivery, Reading))>> {
        share.into_iter().map(|(index, delivery)| Ok((index, read(delivery)?))).collect()
    };
    let read_share = &read_share;
    let mut mails = std::thread::scope(|scope| {
        let readers: Vec<_> = shares.into_iter().map(|share| scope.spawn(move || read_share(share))).collect();
        let mut mails = Vec::new();
        for reader in readers {
            mails.extend(reader.join().map_err(|_| Error::internal("a reader of mails panicked"))??);
        }
        Ok::<_, Error>(mails)
    })?;
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
