//! What the stories are told with.

pub mod app;
pub mod browser;
pub mod cast;
pub mod database;
pub mod desk;
pub mod dump;
pub mod files;
pub mod given;
pub mod granted;

pub use app::TestApp;
pub use cast::Cast;
