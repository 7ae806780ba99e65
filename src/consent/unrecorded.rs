//! Ends of grants that the database could not take when they came about: each stands in a file of its own in the data
//! folder until it is recorded, so that a restart forgets none of them. A grant with such a file is over, whatever the
//! database says of it. The file calls the grant, and whoever ended it, by their public names, and says nothing else of
//! anybody. Trying again is the worker's.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use crate::clock::UtcTime;
use crate::consent::grants::Grant;
use crate::consent::life::EndReason;
use crate::consent::register::By;
use crate::consent::withdrawing::{Kept, Way};
use crate::db::DbConnection;
use crate::error::{Error, Result};
use crate::people::person;
use crate::secret::random_handle;

/// The end of a grant, as it was decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct End {
    /// The grant's public name.
    pub grant: String,
    pub reason: EndReason,
    pub by: Ender,
    pub kept: Kept,
    /// How it was withdrawn, if it was.
    pub way: Option<Way>,
    /// When it was decided, and the capture stopped.
    pub at: UtcTime,
}

/// Who ended a grant, by their public name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ender {
    System,
    Customer(String),
    Staff(String),
}

impl End {
    /// The end that `by` wants at `at`; without a `way` it is no withdrawal, and what was captured keeps its date.
    pub fn of(
        db: &mut DbConnection,
        grant: &Grant,
        reason: EndReason,
        by: By,
        withdrawn: Option<(Way, Kept)>,
        at: UtcTime,
    ) -> Result<End> {
        let by = match by {
            By::System => Ender::System,
            By::Customer(person) => Ender::Customer(person::by_id(db, person)?.handle),
            By::Staff(person) => Ender::Staff(person::by_id(db, person)?.handle),
        };
        let (way, kept) = withdrawn.map_or((None, Kept::UntilItsDate), |(way, kept)| (Some(way), kept));
        Ok(End { grant: grant.handle.clone(), reason, by, kept, way, at })
    }

    /// An end that nobody decided but Accord itself.
    pub fn by_itself(grant: &Grant, reason: EndReason, at: UtcTime) -> End {
        End { grant: grant.handle.clone(), reason, by: Ender::System, kept: Kept::UntilItsDate, way: None, at }
    }

    /// Whether this says more than `noted`, which was noted before: that what was captured is to go at once.
    fn outdoes(&self, noted: &End) -> bool {
        self.kept == Kept::No && noted.kept == Kept::UntilItsDate
    }
}

/// The ends of this installation, or of this process, that wait to be recorded.
#[derive(Clone)]
pub struct Unrecorded(Arc<Place>);

struct Place {
    folder: PathBuf,
    /// What was noted by this process, also where the disk would not take it.
    noted: Mutex<BTreeMap<String, End>>,
}

/// What is noted of one grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Noted {
    /// The grant's public name.
    pub grant: String,
    /// Nothing when the file cannot be read: the grant is over all the same.
    pub end: Option<End>,
}

impl Unrecorded {
    /// Those that are noted in a folder below `data`, which is made when the first one is.
    pub fn below(data: &Path) -> Unrecorded {
        Unrecorded(Arc::new(Place { folder: data.join("unrecorded-ends"), noted: Mutex::default() }))
    }

    /// Notes an end, safely on the disk when this returns. Where the disk does not take it either, it is remembered for as
    /// long as this process lives.
    pub fn note(&self, end: End) -> io::Result<()> {
        let mut noted = self.noted();
        let before = noted.get(&end.grant).cloned().or_else(|| self.read(&end.grant).ok().flatten());
        let end = before.filter(|before| !end.outdoes(before)).unwrap_or(end);
        noted.insert(end.grant.clone(), end.clone());
        self.write(&end)
    }

    /// Notes an end that could not be recorded for `error`, and says both in the log.
    pub fn note_instead(&self, end: End, error: &Error) {
        match self.note(end) {
            Ok(()) => {
                tracing::error!(target: "accord::consent", ?error, "A grant is ended and that is not recorded yet")
            }
            Err(noting) => tracing::error!(
                target: "accord::consent",
                ?error,
                ?noting,
                "A grant is ended, and that is neither recorded nor noted on the disk yet"
            ),
        }
    }

    /// Whether an end of that grant waits; if that cannot be told, it does.
    pub fn has(&self, grant: &str) -> bool {
        self.noted().contains_key(grant) || self.path(grant).try_exists().unwrap_or(true)
    }

    /// Everything that waits. What only this process remembers is tried to be noted once more.
    pub fn all(&self) -> io::Result<Vec<Noted>> {
        let mut waiting = BTreeMap::new();
        let entries = match fs::read_dir(&self.0.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            entries => Some(entries?),
        };
        for entry in entries.into_iter().flatten() {
            let path = entry?.path();
            let grant = path.file_stem().and_then(|name| name.to_str());
            if let Some(grant) = grant
                && path.extension().is_some_and(|extension| extension == EXTENSION)
            {
                waiting.insert(grant.to_owned(), self.read(grant)?);
            }
        }
        for (grant, end) in self.noted().iter() {
            if !waiting.contains_key(grant) {
                // It waits in memory as well as it can, if the disk still does not take it.
                drop(self.write(end));
                waiting.insert(grant.clone(), Some(end.clone()));
            }
        }
        Ok(waiting.into_iter().map(|(grant, end)| Noted { grant, end }).collect())
    }

    /// The end of that grant is recorded.
    pub fn forget(&self, grant: &str) -> io::Result<()> {
        let mut noted = self.noted();
        match fs::remove_file(self.path(grant)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Err(_) => {}
            Ok(()) => File::open(&self.0.folder)?.sync_all()?,
        }
        noted.remove(grant);
        Ok(())
    }

    fn noted(&self) -> MutexGuard<'_, BTreeMap<String, End>> {
        self.0.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, grant: &str) -> PathBuf {
        self.0.folder.join(grant).with_extension(EXTENSION)
    }

    /// What the file of that grant says; nothing when there is none, or it cannot be understood.
    fn read(&self, grant: &str) -> io::Result<Option<End>> {
        match fs::read(self.path(grant)) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn write(&self, end: &End) -> io::Result<()> {
        let folder = &self.0.folder;
        if !folder.try_exists()? {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
            if let Some(above) = folder.parent() {
                File::open(above)?.sync_all()?;
            }
        }
        let bytes = serde_json::to_vec(end).map_err(io::Error::other)?;
        let beside = folder.join(format!("{}.{}", end.grant, random_handle()));
        let written = write_new(&beside, &bytes).and_then(|()| fs::rename(&beside, self.path(&end.grant)));
        if written.is_err() {
            drop(fs::remove_file(&beside));
        }
        written?;
        File::open(folder)?.sync_all()
    }
}

/// Tells a file that is whole from one that is being written.
const EXTENSION: &str = "json";

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn end(grant: &str) -> End {
        End {
            grant: grant.to_owned(),
            reason: EndReason::Withdrawn,
            by: Ender::Customer("claire".to_owned()),
            kept: Kept::UntilItsDate,
            way: Some(Way::Page),
            at: UtcTime::from_seconds(0),
        }
    }

    fn waiting(ends: &Unrecorded) -> Vec<(String, Option<End>)> {
        ends.all().unwrap().into_iter().map(|noted| (noted.grant, noted.end)).collect()
    }

    #[test]
    fn an_end_stands_until_it_is_forgotten_whatever_becomes_of_the_process() {
        let folder = tempfile::tempdir().unwrap();
        let ends = Unrecorded::below(folder.path());
        assert_eq!(waiting(&ends), []);
        assert!(!ends.has("a"));
        ends.note(end("a")).unwrap();
        drop(ends);
        let again = Unrecorded::below(folder.path());
        assert_eq!(waiting(&again), [("a".to_owned(), Some(end("a")))]);
        assert!(again.has("a") && !again.has("b"));
        again.forget("a").unwrap();
        again.forget("a").unwrap();
        assert_eq!(waiting(&Unrecorded::below(folder.path())), []);
    }

    #[test]
    fn what_is_noted_is_whole_for_its_owner_only_and_names_nobody_but_by_public_names() {
        let folder = tempfile::tempdir().unwrap();
        let ends = Unrecorded::below(folder.path());
        ends.note(end("a")).unwrap();
        let files: Vec<PathBuf> =
            fs::read_dir(folder.path().join("unrecorded-ends")).unwrap().map(|entry| entry.unwrap().path()).collect();
        let [file] = files.as_slice() else { panic!("{files:?}") };
        assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
        let said: serde_json::Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
        let expected = serde_json::json!({
            "grant": "a",
            "reason": "withdrawn",
            "by": { "customer": "claire" },
            "kept": "until_its_date",
            "way": "page",
            "at": said["at"],
        });
        assert_eq!(said, expected);
    }

    #[test]
    fn the_first_end_counts_unless_a_later_one_destroys_what_it_would_keep() {
        let folder = tempfile::tempdir().unwrap();
        let ends = Unrecorded::below(folder.path());
        ends.note(end("a")).unwrap();
        let stop =
            End { reason: EndReason::StoppedByOperator, by: Ender::Staff("lea".to_owned()), way: None, ..end("a") };
        Unrecorded::below(folder.path()).note(stop.clone()).unwrap();
        assert_eq!(waiting(&ends), [("a".to_owned(), Some(end("a")))]);
        let destroying = End { kept: Kept::No, ..end("a") };
        Unrecorded::below(folder.path()).note(destroying.clone()).unwrap();
        Unrecorded::below(folder.path()).note(stop).unwrap();
        assert_eq!(waiting(&Unrecorded::below(folder.path())), [("a".to_owned(), Some(destroying))]);
    }

    #[test]
    fn cn_03_a_file_that_cannot_be_read_still_says_that_its_grant_is_over() {
        let folder = tempfile::tempdir().unwrap();
        let ends = Unrecorded::below(folder.path());
        ends.note(end("a")).unwrap();
        fs::write(folder.path().join("unrecorded-ends/b.json"), "{").unwrap();
        fs::write(folder.path().join("unrecorded-ends/c.halfway"), "{").unwrap();
        assert_eq!(waiting(&ends), [("a".to_owned(), Some(end("a"))), ("b".to_owned(), None)]);
        assert!(ends.has("b"));
    }

    #[test]
    fn what_the_disk_does_not_take_is_remembered_and_noted_once_it_can_be() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        // A file stands where the folder should be.
        fs::write(&data, "").unwrap();
        let ends = Unrecorded::below(&data);
        ends.note(end("a")).unwrap_err();
        assert!(ends.has("a"));
        fs::remove_file(&data).unwrap();
        assert_eq!(waiting(&ends), [("a".to_owned(), Some(end("a")))]);
        assert_eq!(waiting(&Unrecorded::below(&data)), [("a".to_owned(), Some(end("a")))]);
    }
}
