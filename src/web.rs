//! The web: pages, forms and the addresses that answer with them. The only place that knows HTTP.

pub mod assets;
pub mod page;
