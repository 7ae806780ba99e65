//! The interface for programs, `/api/v1`: JSON in and out, bearer tokens, the same rules as the pages. Handlers here are
//! as thin as those of pages: one read or one write, and no decision of their own about tickets or people.

pub mod answers;
pub mod authenticated;
pub mod errors;
pub mod input;

pub mod token;

pub mod environments;
pub mod grants;
pub mod inbound;
pub mod messages;
pub mod organisations;
pub mod people;
pub mod tickets;
mod webhook_signature;

pub mod openapi;
pub mod reference;
