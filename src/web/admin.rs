//! The administrator's pages: people and organisations, queues, mailboxes and the mail, staff roles, settings, the state of the
//! installation and its ledger.

pub mod development_mail;
pub mod ledger;
pub mod mail_setup;
pub mod mailboxes;
pub mod organisations;
pub mod outgoing_mail;
pub mod people;
pub mod person;
pub mod queues;
pub mod relays;
pub mod roles;
pub mod settings;
pub mod status;
pub mod unprocessed_mail;
