//! What stands in the files of a database, whatever its tables say.

use std::path::{Path, PathBuf};

use accord::config::database::DatabaseUrl;
use accord::db::connection::{DbConnection, Role, open};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::Text;
use memchr::memmem;

/// Every file that holds tables, as bytes: the database of SQLite with its write-ahead log; the relations of PostgreSQL,
/// once what is in its memory was written. Its own write-ahead log is not among them: that goes on until its segments are
/// used again, and whoever runs the server says how long that is.
pub fn files(url: &DatabaseUrl) -> Vec<(PathBuf, Vec<u8>)> {
    let paths = match url {
        DatabaseUrl::Sqlite(path) => {
            let log = PathBuf::from(format!("{}-wal", path.display()));
            vec![path.clone(), log]
        }
        DatabaseUrl::Postgres(_) => relations(url),
    };
    paths.into_iter().filter_map(|path| Some((path.clone(), std::fs::read(path).ok()?))).collect()
}

/// Which of `pieces` stand in the files.
pub fn found<'a>(url: &DatabaseUrl, pieces: &'a [Vec<u8>]) -> Vec<(PathBuf, &'a [u8])> {
    let files = files(url);
    let among = |piece: &&Vec<u8>| {
        let in_file = |(_, bytes): &&(PathBuf, Vec<u8>)| memmem::find(bytes, piece).is_some();
        files.iter().find(in_file).map(|(path, _)| path.clone())
    };
    pieces.iter().filter_map(|piece| Some((among(&piece)?, piece.as_slice()))).collect()
}

#[derive(QueryableByName)]
struct Place {
    #[diesel(sql_type = Text)]
    folder: String,
    #[diesel(sql_type = Text)]
    file: String,
}

fn relations(url: &DatabaseUrl) -> Vec<PathBuf> {
    let DbConnection::Postgres(mut server) = open(url, Role::Writer).unwrap() else { panic!("a server") };
    server.batch_execute("CHECKPOINT").unwrap();
    let place: Place = diesel::sql_query(
        "SELECT current_setting('data_directory') AS folder, pg_relation_filepath('trace_keys') AS file",
    )
    .get_result(&mut server)
    .unwrap();
    let relation = Path::new(&place.folder).join(&place.file);
    let folder = relation.parent().expect("a file of a relation stands in a folder");
    let files =
        std::fs::read_dir(folder).expect("the files of the server can be read: it runs on this machine, for tests");
    files.map(|file| file.unwrap().path()).filter(|path| path.is_file()).collect()
}
