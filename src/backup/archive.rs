//! What stands in a backup, and in which order: the database, the stored files by their content's hash, and at the end a
//! few lines about it. Anything else in it is refused.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::Path;

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};

use super::sealing::{BackupKey, Opener, Sealer};

const DATABASE: &str = "accord.sqlite";
const FILES: &str = "files/";
const MANIFEST: &str = "backup.json";
/// The largest stored file and manifest that is read into memory.
const LARGEST: u64 = 256 * 1024 * 1024;

/// What a backup says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The program that made it.
    pub program: String,
    /// When the database stood as it stands in there.
    pub made_at: String,
    /// How many stored files there are.
    pub files: u64,
}

/// A backup being written.
pub struct Writing {
    tar: tar::Builder<GzEncoder<Sealer<BufWriter<File>>>>,
    seconds: u64,
    files: u64,
}

impl Writing {
    /// Begins a backup in `file`; `seconds` since 1970 is the time that its parts bear.
    pub fn begin(file: File, key: &BackupKey, seconds: i64) -> io::Result<Writing> {
        let sealer = Sealer::new(BufWriter::new(file), key)?;
        let tar = tar::Builder::new(GzEncoder::new(sealer, Compression::fast()));
        Ok(Writing { tar, seconds: seconds.max(0).unsigned_abs(), files: 0 })
    }

    /// The database comes first.
    pub fn add_database(&mut self, copy: &Path) -> io::Result<()> {
        let file = File::open(copy)?;
        let size = file.metadata()?.len();
        self.add(DATABASE, size, file)
    }

    /// A stored file.
    pub fn add_file(&mut self, hash: &str, content: &[u8]) -> io::Result<()> {
        self.files += 1;
        self.add(&format!("{FILES}{hash}"), content.len() as u64, content)
    }

    /// Ends the backup, which is on the disk then.
    pub fn finish(mut self, program: &str, made_at: &str) -> io::Result<Manifest> {
        let manifest = Manifest { program: program.to_owned(), made_at: made_at.to_owned(), files: self.files };
        let text = serde_json::to_vec_pretty(&manifest)?;
        self.add(MANIFEST, text.len() as u64, text.as_slice())?;
        let mut buffered = self.tar.into_inner()?.finish()?.finish()?;
        buffered.flush()?;
        buffered.get_ref().sync_all()?;
        Ok(manifest)
    }

    fn add(&mut self, name: &str, size: u64, content: impl Read) -> io::Result<()> {
        let mut header = tar::Header::new_gnu();
        header.set_size(size);
        header.set_mode(0o600);
        header.set_mtime(self.seconds);
        self.tar.append_data(&mut header, name, content)
    }
}

/// One part of a backup.
pub enum Part<'a> {
    /// The database, as a file.
    Tables(&'a mut dyn Read),
    File {
        hash: String,
        content: Vec<u8>,
    },
}

/// Reads a backup to its end and hands over each part; gives what the backup says of itself. What is not as [`Writing`]
/// makes it is an error, and so is what `take` says.
pub fn read<E: From<io::Error>>(
    file: File,
    key: &BackupKey,
    mut take: impl FnMut(Part<'_>) -> Result<(), E>,
) -> Result<Manifest, E> {
    let mut unpacked = GzDecoder::new(Opener::new(BufReader::new(file), key)?);
    let mut archive = tar::Archive::new(&mut unpacked);
    let (mut has_database, mut files, mut manifest) = (false, 0, None::<Manifest>);
    for entry in archive.entries()? {
        let mut entry = entry?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        if !entry.header().entry_type().is_file() || manifest.is_some() {
            return Err(foreign(&name).into());
        }
        if name == DATABASE && !has_database {
            has_database = true;
            take(Part::Tables(&mut entry))?;
        } else if let Some(hash) = name.strip_prefix(FILES).filter(|_| has_database) {
            files += 1;
            let content = whole(&mut entry)?;
            take(Part::File { hash: hash.to_owned(), content })?;
        } else if name == MANIFEST && has_database {
            manifest = Some(serde_json::from_slice(&whole(&mut entry)?).map_err(io::Error::from)?);
        } else {
            return Err(foreign(&name).into());
        }
    }
    // What follows the archive is nothing, and was sealed as the end.
    io::copy(&mut unpacked, &mut io::sink())?;
    manifest
        .filter(|manifest| manifest.files == files)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "parts of it are missing").into())
}

fn whole(entry: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    entry.take(LARGEST).read_to_end(&mut content)?;
    Ok(content)
}

fn foreign(name: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("«{name}» does not belong into a backup at that place"))
}

#[cfg(test)]
mod tests {
    use std::io::Seek;

    use super::*;

    fn key() -> BackupKey {
        BackupKey::of("correct horse battery staple").unwrap()
    }

    fn names(file: File) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        read(file, &key(), |part| {
            names.push(match part {
                Part::Tables(reader) => io::read_to_string(reader)?,
                Part::File { hash, content } => format!("{hash}: {}", String::from_utf8_lossy(&content)),
            });
            Ok::<_, io::Error>(())
        })?;
        Ok(names)
    }

    /// A backup with these parts and no order to them.
    fn forged(parts: &[(&str, &[u8])]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        let mut writing = Writing::begin(file.try_clone().unwrap(), &key(), 0).unwrap();
        for (name, content) in parts {
            writing.add(name, content.len() as u64, *content).unwrap();
        }
        writing.tar.into_inner().unwrap().finish().unwrap().finish().unwrap().flush().unwrap();
        file.rewind().unwrap();
        file
    }

    #[test]
    fn db_09_what_was_put_in_comes_out_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let (copy, backup) = (folder.path().join("copy"), folder.path().join("backup"));
        std::fs::write(&copy, "tables").unwrap();
        let mut writing = Writing::begin(File::create(&backup).unwrap(), &key(), 1_800_000_000).unwrap();
        writing.add_database(&copy).unwrap();
        writing.add_file("aa", b"Bonjour").unwrap();
        assert_eq!(writing.finish("1", "today").unwrap().files, 1);
        assert_eq!(names(File::open(&backup).unwrap()).unwrap(), ["tables", "aa: Bonjour"]);
    }

    #[test]
    fn db_09_what_lacks_a_part_or_holds_something_else_is_refused() {
        let manifest = br#"{"program": "1", "made_at": "today", "files": 0}"#;
        assert!(names(forged(&[(DATABASE, b"x"), (MANIFEST, manifest)])).is_ok());
        let of_one = br#"{"program": "1", "made_at": "today", "files": 1}"#;
        let wrong: [&[(&str, &[u8])]; 7] = [
            &[(DATABASE, b"x")],
            &[(MANIFEST, manifest)],
            &[(DATABASE, b"x"), ("files/aa", b"x"), (MANIFEST, manifest)],
            &[(DATABASE, b"x"), ("keys.json", b"x"), (MANIFEST, manifest)],
            &[(DATABASE, b"x"), (DATABASE, b"y"), (MANIFEST, manifest)],
            &[(DATABASE, b"x"), (MANIFEST, manifest), ("files/aa", b"x")],
            &[(DATABASE, b"x"), (MANIFEST, of_one), ("files/aa", b"x")],
        ];
        for parts in wrong {
            assert!(names(forged(parts)).is_err(), "{:?}", parts.iter().map(|(name, _)| name).collect::<Vec<_>>());
        }
    }
}
