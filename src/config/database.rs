//! `[database]`
//!
//! | key | meaning | default |
//! |---|---|---|
//! | `url` | `sqlite:PATH` or `postgres://user:password@host/name` | `sqlite:` and `accord.sqlite` in the data folder |
//! | `connections` | readers (and, on PostgreSQL, as many writers) | four a processor, at most 16 |
//! | `allow_network_folder` | use SQLite on a network or user-space file system all the same (DB-07) | `false` |

use std::path::{Path, PathBuf};

use super::Reader;
/// Where the database is.
#[derive(Clone)]
pub struct DatabaseConfig {
    pub url: DatabaseUrl,
    pub connections: u32,
    pub allow_network_folder: bool,
}

impl std::fmt::Debug for DatabaseConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DatabaseConfig").field("connections", &self.connections).finish_non_exhaustive()
    }
}

impl DatabaseConfig {
    pub(super) fn read(reader: &mut Reader, data: &Path) -> DatabaseConfig {
        let default = DatabaseUrl::Sqlite(data.join("accord.sqlite"));
        let url = match reader.text("database.url") {
            None => default,
            Some(text) => DatabaseUrl::parse(&text).unwrap_or_else(|| {
                reader.problem("database.url", "must be sqlite:PATH or postgres://user:password@host/name");
                default
            }),
        };
        let processors = std::thread::available_parallelism().map_or(2, std::num::NonZero::get) as u64;
        let connections = reader.number("database.connections", 1, 200, (processors * 4).min(16)) as u32;
        let allow_network_folder = reader.flag("database.allow_network_folder", false);
        DatabaseConfig { url, connections, allow_network_folder }
    }
}

/// Where the database is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// A file of our own.
    Sqlite(PathBuf),
    /// A server, as a libpq URL.
    Postgres(String),
}

impl DatabaseUrl {
    /// Reads `sqlite:PATH`, `postgres://…` or `postgresql://…`.
    pub fn parse(url: &str) -> Option<DatabaseUrl> {
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return Some(DatabaseUrl::Postgres(url.to_owned()));
        }
        let path = url.strip_prefix("sqlite:")?;
        let path = path.strip_prefix("//").unwrap_or(path);
        (!path.is_empty()).then(|| DatabaseUrl::Sqlite(PathBuf::from(path)))
    }

    /// Whether the database is the embedded one.
    pub fn is_sqlite(&self) -> bool {
        matches!(self, DatabaseUrl::Sqlite(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_told_apart_by_their_scheme() {
        assert_eq!(DatabaseUrl::parse("sqlite:data/a.db"), Some(DatabaseUrl::Sqlite("data/a.db".into())));
        assert_eq!(DatabaseUrl::parse("sqlite:///var/a.db"), Some(DatabaseUrl::Sqlite("/var/a.db".into())));
        assert!(matches!(DatabaseUrl::parse("postgres://x/y"), Some(DatabaseUrl::Postgres(_))));
        assert_eq!(DatabaseUrl::parse("mysql://x/y"), None);
        assert_eq!(DatabaseUrl::parse("sqlite:"), None);
    }
}
