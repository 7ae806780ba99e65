//! Rows of the security requirements that belong to no one capability: what a walk through the whole program may never
//! show, what its log may never hold, and what many hands at once may never break.

mod crawl;
mod lints;
mod log;
mod many_hands;
mod tricks;
