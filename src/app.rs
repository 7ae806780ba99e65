//! Everything a request or a job needs, built once at the start and passed down: settings, database, keys, storage,
//! mail transport, clock.

use std::fs::File;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::config::Config;
use crate::config::database::DatabaseUrl;
use crate::consent::unrecorded::Unrecorded;
use crate::db::connection::{Role, open};
use crate::db::{Database, migrations, paging};
use crate::diagnostics::otlp::door::Door;
use crate::diagnostics::seats::Looking;
use crate::intake::ingress::Ingress;
use crate::intake::reading_room::ReadingRoom;
use crate::intake::receiving::Receiving;
use crate::keys::{Keys, Purpose};
use crate::mail::sender_check::SenderCheck;
use crate::mail::transport::Transport;
use crate::outbox::{Courier, Relays};
use crate::storage::Storage;

/// The running program.
pub struct App {
    pub config: Config,
    pub clock: Clock,
    pub database: Database,
    pub keys: Keys,
    pub storage: Storage,
    pub transport: Transport,
    /// What this process remembers of the relay.
    pub courier: Courier,
    /// The relays of single mailboxes, which their mail goes by instead.
    pub relays: Relays,
    /// The memory that mails being read share.
    pub reading_room: ReadingRoom,
    /// How much mail is taken before who hands it over has to wait.
    pub ingress: Ingress,
    /// The memory that mails coming in share.
    pub receiving: Receiving,
    /// Looks up whether a sender's domain stands by a mail.
    pub senders: Arc<SenderCheck>,
    /// What this process remembers of products that send.
    pub products: Door,
    /// Who has how much of looking under way in this process.
    pub looking: Looking,
    /// Ends of grants that the database could not take yet.
    pub unrecorded: Unrecorded,
    /// Keeps other processes away from an embedded database while this one lives (DB-07).
    _lock: Option<DataLock>,
}

/// Why the program cannot start. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("the folder {0} cannot be made or used: {1}")]
    Folder(String, std::io::Error),
    #[error("another Accord uses the data in {0}; stop it first, or give this one its own --data folder")]
    InUse(String),
    #[error(
        "the folder {0} is on a network or user-space file system, where locks and fsync cannot be relied upon; \
         use a disk of this machine, or a PostgreSQL server, or set database.allow_network_folder = true"
    )]
    Network(String),
    #[error(transparent)]
    Open(#[from] crate::db::OpenError),
    #[error(transparent)]
    Migration(#[from] migrations::MigrationError),
    #[error(transparent)]
    Keys(#[from] crate::keys::KeyError),
    #[error("outgoing mail cannot be set up: {0}")]
    Mail(String),
}

impl StartError {
    /// Whether somebody has to set something right first, so that starting again does not help.
    pub fn is_lasting(&self) -> bool {
        match self {
            StartError::Folder(_, error) => matches!(
                error.kind(),
                ErrorKind::PermissionDenied | ErrorKind::NotADirectory | ErrorKind::ReadOnlyFilesystem
            ),
            StartError::Network(_) | StartError::Keys(_) | StartError::Mail(_) => true,
            StartError::Migration(error) => error.is_lasting(),
            StartError::InUse(_) | StartError::Open(_) => false,
        }
    }
}

/// How often the lock of a folder is tried before it counts as taken. A pipe that writes one mail down has it for a
/// moment, and the server that starts just then is to wait for that, yet be refused within a second where another
/// server is (FT-25).
const LOCK_TRIES: u32 = 25;
/// The time between two of them.
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// Sole use of a data folder, given up when dropped or when the process ends however it ends.
pub struct DataLock(#[expect(dead_code, reason = "held, not used: the lock lives as long as the file is open")] File);

impl DataLock {
    /// Takes the lock of the folder, or says that somebody else has it and keeps it.
    pub fn take(config: &Config) -> Result<DataLock, StartError> {
        prepare_folder(config)?;
        let path = config.data.join("accord.lock");
        let shown = config.data.display().to_string();
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|error| StartError::Folder(shown.clone(), error))?;
        if !config.database.allow_network_folder
            && file_system(&file).map_err(|error| StartError::Folder(shown.clone(), error))?.is_some_and(is_unreliable)
        {
            return Err(StartError::Network(shown));
        }
        for _ in 0..LOCK_TRIES {
            match file.try_lock() {
                Ok(()) => return Ok(DataLock(file)),
                Err(std::fs::TryLockError::WouldBlock) => std::thread::sleep(LOCK_PAUSE),
                Err(std::fs::TryLockError::Error(error)) => return Err(StartError::Folder(shown, error)),
            }
        }
        Err(StartError::InUse(shown))
    }
}

impl App {
    /// Opens everything, bringing the database up to date first.
    pub fn open(config: Config, clock: Clock) -> Result<Arc<App>, StartError> {
        let lock = match &config.database.url {
            DatabaseUrl::Sqlite(_) => Some(DataLock::take(&config)?),
            DatabaseUrl::Postgres(_) => None,
        };
        prepare_folder(&config)?;
        // What somebody has to set right is found before the database is changed.
        let keys = Keys::load_or_create(&config.security.keys_file, clock.now())?;
        let transport = Transport::new(&config.mail.outgoing).map_err(|error| StartError::Mail(error.to_string()))?;
        migrations::run(&mut open(&config.database.url, Role::Migrator)?)?;
        let database = Database::open(&config.database.url, config.database.connections)?;
        App::assemble(config, clock, database, keys, transport, lock)
    }

    /// Puts together parts that were opened elsewhere: by [`App::open`], and by tests with parts of their own.
    pub fn assemble(
        config: Config,
        clock: Clock,
        database: Database,
        keys: Keys,
        transport: Transport,
        lock: Option<DataLock>,
    ) -> Result<Arc<App>, StartError> {
        let folder = config.data.join("files");
        let storage =
            Storage::open(&folder).map_err(|error| StartError::Folder(folder.display().to_string(), error))?;
        let mask = keys.mac(Purpose::Cursor, &[b"mask"]);
        paging::set_mask(u64::from_be_bytes(std::array::from_fn(|index| mask[index])));
        let relays = Relays::new(&config.mail.relays).map_err(|error| StartError::Mail(error.to_string()))?;
        let unrecorded = Unrecorded::below(&config.data);
        let senders = Arc::new(SenderCheck::new(&config.mail.sender_checks));
        let ingress = Ingress::new(&config.limits, &clock);
        let receiving = Receiving::new(config.limits.mail_bytes);
        Ok(Arc::new(App {
            config,
            clock,
            database,
            keys,
            storage,
            transport,
            courier: Courier::default(),
            relays,
            reading_room: ReadingRoom::default(),
            ingress,
            receiving,
            senders,
            products: Door::default(),
            looking: Looking::default(),
            unrecorded,
            _lock: lock,
        }))
    }
}

/// The number by which Linux knows the kind of file system that a file is on.
#[cfg(target_os = "linux")]
fn file_system(file: &File) -> std::io::Result<Option<u32>> {
    // The number is 32 bits wide whatever the width of the field, and some are negative as they stand there.
    Ok(Some(rustix::fs::fstatfs(file)?.f_type as u32))
}

#[cfg(not(target_os = "linux"))]
fn file_system(_: &File) -> std::io::Result<Option<u32>> {
    Ok(None)
}

/// NFS, SMB in its three ages, 9P, FUSE: `linux/magic.h` and statfs(2).
fn is_unreliable(file_system: u32) -> bool {
    matches!(file_system, 0x6969 | 0x517B | 0xFF53_4D42 | 0xFE53_4D42 | 0x0102_1997 | 0x6573_5546)
}

/// Makes the data folder, if it is not there, for nobody but this user.
pub fn prepare_folder(config: &Config) -> Result<(), StartError> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&config.data)
        .map_err(|error| StartError::Folder(config.data.display().to_string(), error))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::config::{self, Overrides};

    #[test]
    fn db_07_a_folder_is_one_process_s_until_it_ends() {
        let folder = tempfile::tempdir().unwrap();
        let overrides = Overrides { data: Some(folder.path().to_owned()), ..Overrides::default() };
        let config = config::parse("", BTreeMap::new(), &overrides).unwrap();
        let first = DataLock::take(&config).unwrap();
        let refused = DataLock::take(&config).map(drop).unwrap_err().to_string();
        assert!(refused.contains("another Accord uses the data in"), "{refused}");
        drop(first);
        DataLock::take(&config).unwrap();
    }

    #[test]
    fn db_07_a_file_system_that_cannot_be_relied_upon_is_known_by_its_number() {
        // NFS, CIFS, SMB 2, 9P, FUSE; then ext4, XFS, Btrfs, tmpfs, overlayfs, ZFS.
        assert!([0x6969, 0xFF53_4D42, 0xFE53_4D42, 0x0102_1997, 0x6573_5546].into_iter().all(is_unreliable));
        assert!(
            ![0xEF53, 0x5846_5342, 0x9123_683E, 0x0102_1994, 0x794C_7630, 0x2FC1_2FC1].into_iter().any(is_unreliable)
        );
        let here = file_system(&tempfile::tempfile().unwrap()).unwrap();
        assert!(here.is_none_or(|here| here != 0));
    }
}
