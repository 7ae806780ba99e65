//! Everything a request or a job needs, built once at the start and passed down: settings, database, keys, storage,
//! mail transport, clock.

use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::config::Config;
use crate::config::database::DatabaseUrl;
use crate::db::connection::{Role, open};
use crate::db::{Database, migrations, paging};
use crate::keys::{Keys, Purpose};
use crate::mail::transport::Transport;
use crate::outbox::Courier;
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
    #[error(transparent)]
    Open(#[from] crate::db::OpenError),
    #[error(transparent)]
    Migration(#[from] migrations::MigrationError),
    #[error(transparent)]
    Keys(#[from] crate::keys::KeyError),
    #[error("outgoing mail cannot be set up: {0}")]
    Mail(String),
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
        migrations::run(&mut open(&config.database.url, Role::Migrator)?)?;
        let database = Database::open(&config.database.url, config.database.connections)?;
        let keys = Keys::load_or_create(&config.security.keys_file, clock.now())?;
        let transport = Transport::new(&config.mail.outgoing).map_err(|error| StartError::Mail(error.to_string()))?;
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
        Ok(Arc::new(App {
            config,
            clock,
            database,
            keys,
            storage,
            transport,
            courier: Courier::default(),
            _lock: lock,
        }))
    }
}

fn prepare_folder(config: &Config) -> Result<(), StartError> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&config.data)
        .map_err(|error| StartError::Folder(config.data.display().to_string(), error))
}
