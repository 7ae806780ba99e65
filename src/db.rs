//! The database: one connection type for SQLite and PostgreSQL, transactions, the schema and its migrations, keyset
//! pages. It knows no ticket and no person; capabilities own their tables.

pub mod ballast;
pub mod connection;
pub mod database;
pub mod dialect;
pub mod disk;
pub mod file_copy;
mod instrumentation;
pub mod listening;
pub mod migrations;
pub mod one_of;
pub mod one_text;
pub mod paging;
pub mod prepared_once;
#[rustfmt::skip]
pub mod schema;
pub mod types;

pub use ballast::Ballast;
pub use connection::{DbConnection, OpenError};
pub use database::{Database, LOG_ALARM_BYTES, LOG_CRITICAL_BYTES};
