//! A folder instead of a relay, for developing and for the demonstration; the page of development mail reads it.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::{SendFailure, relay_failure};
use crate::error::Result;
use crate::secret::random_handle;

/// A folder in which each mail becomes a file `….eml`, for developing and for demonstrations.
#[derive(Clone, Debug)]
pub struct MailFolder {
    folder: PathBuf,
}

impl MailFolder {
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// The names of the mails, the newest first, `limit` at most.
    pub fn list(&self, limit: usize) -> std::io::Result<Vec<String>> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            // Nothing was sent yet.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut found = Vec::new();
        for entry in entries {
            let entry = entry?;
            if let Some(name) = entry.file_name().to_str().and_then(|name| name.strip_suffix(".eml")) {
                found.push((entry.metadata()?.modified()?, name.to_owned()));
            }
        }
        found.sort_unstable_by(|one, other| other.cmp(one));
        Ok(found.into_iter().take(limit).map(|(_, name)| name).collect())
    }

    /// The mail of that name, if there is one.
    pub fn find(&self, name: &str) -> std::io::Result<Option<Vec<u8>>> {
        // A name of ours has no signs that mean something in a path (ADV-22).
        if name.is_empty() || name.len() > 64 || !name.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Ok(None);
        }
        match fs::read(self.folder.join(format!("{name}.eml"))) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The file appears whole or not at all. What fails is the machine's fault, never the mail's.
    pub(super) fn send(&self, bytes: &[u8]) -> Result<(), SendFailure> {
        let name = random_handle();
        let unfinished = self.folder.join(format!(".{name}.part"));
        let written = self.open(&unfinished).and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&unfinished, self.folder.join(format!("{name}.eml")))
        });
        written.map_err(|error| {
            // Whether or not it is there, what remains is of no use.
            let _ = fs::remove_file(&unfinished);
            relay_failure(&error.to_string())
        })
    }

    pub(super) fn check(&self) -> Result<(), SendFailure> {
        let probe = self.folder.join(format!(".{}.part", random_handle()));
        self.open(&probe).and_then(|_| fs::remove_file(&probe)).map_err(|error| relay_failure(&error.to_string()))
    }

    /// Mails hold links that sign in: only their owner reads them.
    fn open(&self, path: &Path) -> std::io::Result<fs::File> {
        fs::create_dir_all(&self.folder)?;
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options.open(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::mail::Outgoing;
    use crate::mail::transport::{FailureKind, Transport};

    const MAIL: &[u8] = b"From: a@b.example\r\nTo: c@d.example\r\n\r\nwords\r\n";

    #[test]
    fn files_appear_whole_and_readable_by_their_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let transport = Transport::new(&Outgoing::Files(folder.path().join("mail"))).unwrap();
        transport.check().unwrap();
        transport.send("b@reply.example", "anne@acme.example", MAIL).unwrap();
        transport.send("b@reply.example", "anne@acme.example", MAIL).unwrap();
        let files: Vec<PathBuf> =
            fs::read_dir(folder.path().join("mail")).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(files.len(), 2);
        for file in files {
            assert_eq!(file.extension().unwrap(), "eml");
            assert_eq!(fs::read(&file).unwrap(), MAIL);
            #[cfg(unix)]
            {
                let permissions = fs::metadata(&file).unwrap().permissions();
                assert_eq!(std::os::unix::fs::PermissionsExt::mode(&permissions) & 0o777, 0o600);
            }
        }
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_no_attempt_of_the_mail() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let transport = Transport::Files(MailFolder::new(&file.path().join("below a file")));
        assert_eq!(transport.send("", "anne@acme.example", MAIL).unwrap_err().kind, FailureKind::Relay);
    }
}
