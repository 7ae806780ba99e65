//! Hearing of what another process committed. On PostgreSQL a connection of its own listens (`LISTEN`, `NOTIFY`); an
//! embedded database has no other process that writes, and nothing to hear.

use diesel::connection::SimpleConnection;

use crate::config::database::DatabaseUrl;
use crate::db::connection::{Role, open};
use crate::db::{DbConnection, dialect};
use crate::error::Result;

/// A connection that listens.
pub struct Listening {
    db: DbConnection,
}

impl Listening {
    /// Begins to listen for changes of grants; nothing where there is nobody to be heard.
    pub fn for_grants(url: &DatabaseUrl) -> Result<Option<Listening>> {
        if url.is_sqlite() {
            return Ok(None);
        }
        let mut db = open(url, Role::Reader).map_err(anyhow::Error::new)?;
        db.batch_execute(&format!("LISTEN {}", dialect::GRANTS_CHANGED))?;
        Ok(Some(Listening { db }))
    }

    /// Whether anything was heard since this was last asked. Does not wait.
    pub fn has_news(&mut self) -> Result<bool> {
        Ok(dialect::heard(&mut self.db)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_embedded_database_has_nobody_to_listen_to() {
        let folder = tempfile::tempdir().unwrap();
        let url = DatabaseUrl::Sqlite(folder.path().join("accord.sqlite"));
        assert!(Listening::for_grants(&url).unwrap().is_none());
    }
}
