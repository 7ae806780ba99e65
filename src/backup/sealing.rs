//! A stream of bytes sealed under a key: `accord backup 1` and a line end, 16 random bytes of salt, 19 of a nonce, then
//! pieces of 64 KiB, each XChaCha20-Poly1305 with its number and whether it is the last one in the nonce (STREAM, with a
//! 32-bit counter), and everything before the first piece as associated data. So nothing can be changed, left out, put
//! elsewhere or cut off. The key is Argon2id (64 MiB, 3 passes, 1 lane) of the text in the key file, under that salt.

use std::io::{self, BufRead, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use aead_stream::{DecryptorBE32, EncryptorBE32};
use argon2::{Algorithm, Argon2, Params, Version};
use chacha20poly1305::XChaCha20Poly1305;
use zeroize::Zeroizing;

use super::BackupError;
use crate::secret::{Secret, Token, random_bytes};

const MAGIC: &[u8; 16] = b"accord backup 1\n";
const SALT: usize = 16;
const NONCE: usize = 19;
const HEADER: usize = MAGIC.len() + SALT + NONCE;
/// What is sealed at once.
const PIECE: usize = 64 * 1024;
/// What sealing adds to it.
const TAG: usize = 16;
/// A text that is shorter could be guessed.
const SHORTEST_KEY: usize = 20;

/// The text of a key file.
pub struct BackupKey(Secret<String>);

impl BackupKey {
    /// Reads a key file: one that [`BackupKey::make`] made, or any long phrase.
    pub fn read(path: &Path) -> Result<BackupKey, BackupError> {
        let failed = |text: String| BackupError::Key(path.to_owned(), text);
        let mut file =
            std::fs::File::open(path).map_err(|error| failed(format!("{error}; make one with --make-key")))?;
        let mode = file.metadata().map_err(|error| failed(error.to_string()))?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(failed("it can be read by others; run chmod 600 on it".to_owned()));
        }
        let mut text = Zeroizing::new(String::new());
        file.read_to_string(&mut text).map_err(|error| failed(error.to_string()))?;
        BackupKey::of(text.trim()).ok_or_else(|| failed(format!("it must hold at least {SHORTEST_KEY} characters")))
    }

    /// A text as a key, if it is long enough for one.
    pub fn of(text: &str) -> Option<BackupKey> {
        (text.chars().count() >= SHORTEST_KEY).then(|| BackupKey(Secret::new(text.to_owned())))
    }

    /// Makes a key file with 256 random bits, which only its owner may read.
    pub fn make(path: &Path) -> Result<(), BackupError> {
        let key = Token::random("accord-backup-key-");
        let written =
            std::fs::File::options().write(true).create_new(true).mode(0o600).open(path).and_then(|mut file| {
                writeln!(file, "{}", key.expose())?;
                file.sync_all()
            });
        written.map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => BackupError::Exists(path.to_owned()),
            _ => BackupError::File(path.to_owned(), error),
        })
    }

    fn derive(&self, salt: &[u8]) -> io::Result<Zeroizing<[u8; 32]>> {
        let in_vain = |error: argon2::Error| io::Error::other(error.to_string());
        let params = Params::new(64 * 1024, 3, 1, Some(32)).map_err(in_vain)?;
        let mut key = Zeroizing::new([0; 32]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(self.0.expose().as_bytes(), salt, key.as_mut_slice())
            .map_err(in_vain)?;
        Ok(key)
    }
}

/// Seals what is written to it.
pub struct Sealer<W: Write> {
    inner: W,
    header: [u8; HEADER],
    encryptor: EncryptorBE32<XChaCha20Poly1305>,
    piece: Vec<u8>,
}

impl<W: Write> Sealer<W> {
    /// Begins a sealed stream in `inner`.
    pub fn new(mut inner: W, key: &BackupKey) -> io::Result<Sealer<W>> {
        let mut header = [0; HEADER];
        header[..MAGIC.len()].copy_from_slice(MAGIC);
        header[MAGIC.len()..].copy_from_slice(&random_bytes::<{ SALT + NONCE }>());
        inner.write_all(&header)?;
        let (key, nonce) = key_and_nonce(key, &header)?;
        let encryptor = EncryptorBE32::new(&(*key).into(), &nonce.into());
        Ok(Sealer { inner, header, encryptor, piece: Vec::with_capacity(PIECE + TAG) })
    }

    /// Seals the last piece and gives back what was written to. Without this the stream counts as cut off.
    pub fn finish(mut self) -> io::Result<W> {
        self.encryptor.encrypt_last_in_place(&self.header, &mut self.piece).map_err(io::Error::other)?;
        self.inner.write_all(&self.piece)?;
        Ok(self.inner)
    }
}

impl<W: Write> Write for Sealer<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A full piece waits for what follows it, since the last one is sealed as such.
        if self.piece.len() == PIECE && !bytes.is_empty() {
            self.encryptor.encrypt_next_in_place(&self.header, &mut self.piece).map_err(io::Error::other)?;
            self.inner.write_all(&self.piece)?;
            self.piece.clear();
        }
        let taken = bytes.len().min(PIECE - self.piece.len());
        self.piece.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Reads what was sealed. An error is told in words for whoever restores.
pub struct Opener<R: BufRead> {
    inner: R,
    header: [u8; HEADER],
    /// None once the last piece was read.
    decryptor: Option<DecryptorBE32<XChaCha20Poly1305>>,
    piece: Vec<u8>,
    read: usize,
    is_first: bool,
}

impl<R: BufRead> Opener<R> {
    /// Begins to read a sealed stream.
    pub fn new(mut inner: R, key: &BackupKey) -> io::Result<Opener<R>> {
        let mut header = [0; HEADER];
        inner
            .read_exact(&mut header)
            .ok()
            .filter(|()| header.starts_with(MAGIC))
            .ok_or_else(|| damaged("this is not a backup of Accord, or of a newer one"))?;
        let (key, nonce) = key_and_nonce(key, &header)?;
        let decryptor = Some(DecryptorBE32::new(&(*key).into(), &nonce.into()));
        Ok(Opener { inner, header, decryptor, piece: Vec::new(), read: 0, is_first: true })
    }

    fn next_piece(&mut self) -> io::Result<()> {
        let Some(mut decryptor) = self.decryptor.take() else { return Ok(()) };
        self.piece.clear();
        self.read = 0;
        (&mut self.inner).take((PIECE + TAG) as u64).read_to_end(&mut self.piece)?;
        let is_last = self.inner.fill_buf()?.is_empty();
        let opened = if is_last {
            decryptor.decrypt_last_in_place(&self.header, &mut self.piece)
        } else {
            let opened = decryptor.decrypt_next_in_place(&self.header, &mut self.piece);
            self.decryptor = Some(decryptor);
            opened
        };
        if opened.is_err() {
            // Nothing that was not sealed is ever handed on.
            (self.decryptor, self.piece) = (None, Vec::new());
            return Err(damaged(if self.is_first {
                "it was sealed with another key, or is damaged at its beginning"
            } else {
                "it is damaged or cut off"
            }));
        }
        self.is_first = false;
        Ok(())
    }
}

impl<R: BufRead> Read for Opener<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        while self.read == self.piece.len() && self.decryptor.is_some() {
            self.next_piece()?;
        }
        let given = bytes.len().min(self.piece.len() - self.read);
        bytes[..given].copy_from_slice(&self.piece[self.read..self.read + given]);
        self.read += given;
        Ok(given)
    }
}

type KeyAndNonce = (Zeroizing<[u8; 32]>, [u8; NONCE]);

fn key_and_nonce(key: &BackupKey, header: &[u8; HEADER]) -> io::Result<KeyAndNonce> {
    let (salt, nonce) = header[MAGIC.len()..].split_at(SALT);
    Ok((key.derive(salt)?, std::array::from_fn(|index| nonce[index])))
}

fn damaged(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> BackupKey {
        BackupKey::of(text).unwrap()
    }

    fn sealed(content: &[u8], key: &BackupKey) -> Vec<u8> {
        let mut sealer = Sealer::new(Vec::new(), key).unwrap();
        sealer.write_all(content).unwrap();
        sealer.finish().unwrap()
    }

    fn opened(sealed: &[u8], key: &BackupKey) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        Opener::new(sealed, key)?.read_to_end(&mut content)?;
        Ok(content)
    }

    #[test]
    fn db_09_what_is_sealed_opens_again_whatever_its_length() {
        let key = key("correct horse battery staple");
        for length in [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE, 3 * PIECE + 7] {
            let content: Vec<u8> = (0..length).map(|index| (index % 251) as u8).collect();
            let sealed = sealed(&content, &key);
            assert_eq!(opened(&sealed, &key).unwrap(), content, "{length}");
            assert!(length < 20 || !sealed.windows(20).any(|window| window == &content[..20]));
        }
    }

    #[test]
    fn db_09_nothing_opens_with_another_key_nor_changed_nor_cut_off_nor_reordered() {
        let own = key("correct horse battery staple");
        let content = vec![7; 3 * PIECE + 7];
        let whole = sealed(&content, &own);
        let said = |bytes: &[u8], key: &BackupKey| opened(bytes, key).unwrap_err().to_string();
        assert!(said(&whole, &key("another horse battery staple")).contains("another key"));
        assert!(said(b"PK\x03\x04 is something else altogether, long enough", &own).contains("not a backup"));
        let (one, piece) = (HEADER, PIECE + TAG);
        for end in [HEADER, one + piece, one + 2 * piece, whole.len() - 1] {
            assert!(opened(&whole[..end], &own).is_err(), "cut off at {end}");
        }
        for place in [0, 20, HEADER - 1, HEADER, one + piece + 5, whole.len() - 1] {
            let mut changed = whole.clone();
            changed[place] ^= 1;
            assert!(opened(&changed, &own).is_err(), "changed at {place}");
        }
        let mut reordered = whole.clone();
        reordered[one..one + 2 * piece].rotate_left(piece);
        assert!(said(&reordered, &own).contains("damaged"));
        let longer = [whole.as_slice(), b"x"].concat();
        assert!(opened(&longer, &own).is_err());
    }

    #[test]
    fn a_key_file_is_its_owner_s_is_long_and_is_not_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("backup.key");
        BackupKey::make(&path).unwrap();
        BackupKey::read(&path).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert!(matches!(BackupKey::make(&path), Err(BackupError::Exists(_))));
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
        let refused = BackupKey::read(&path).map(drop).unwrap_err().to_string();
        assert!(refused.contains("chmod 600"), "{refused}");
        std::fs::write(&path, "short").unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        let refused = BackupKey::read(&path).map(drop).unwrap_err().to_string();
        assert!(refused.contains("20 characters"), "{refused}");
        let missing = BackupKey::read(&folder.path().join("none")).map(drop).unwrap_err().to_string();
        assert!(missing.contains("--make-key"), "{missing}");
    }
}
