//! People, the organisations they belong to, and how they sign in: everything about who somebody is. What they may see
//! and do is decided in `access`.

pub mod fields;

pub mod addresses;
pub mod copied_domain;
pub mod countries;
pub mod environments;
pub mod mail_habits;
pub mod mail_wishes;
pub mod memberships;
pub mod operator;
pub mod organisations;
pub mod person;
pub mod roles;
pub mod sessions;
pub mod sites;

pub mod directory;
pub mod staff;
pub mod suppression;

pub mod api_tokens;
pub mod one_time_tokens;
pub mod passwords;
pub mod sign_in;

pub mod invitations;
pub mod notices;
pub mod registration;
pub mod setup;

pub use person::Person;
