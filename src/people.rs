//! People, the organisations they belong to, and how they sign in: everything about who somebody is. What they may see
//! and do is decided in `access`.

pub mod countries;
pub mod directory;
pub mod environments;
pub mod fields;
pub mod memberships;
pub mod operator;
pub mod organisations;
pub mod person;
pub mod roles;
pub mod sessions;
pub mod sites;

pub use person::Person;
