//! Consent to diagnostics: an agent asks in a ticket, the customer grants (perhaps less), refuses or withdraws, and what
//! was granted ends by itself. Who may look at what a grant opened, and the capture itself, are `diagnostics`, above;
//! whoever publishes the live grants follows the commits of the database.
//!
//! Invariants, held by the schema too: a grant never opens more, or for longer, than was asked; it is granted by members
//! of the organisation and never by staff; one of an organisation and one of a person are active at a time; what was
//! asked and granted does not change afterwards; each step is added to a chain of events and never taken from it.
//!
//! # The order of locks
//!
//! On PostgreSQL whoever writes takes locks in this order, and of several of one kind the lower id first:
//!
//! 1. the ticket, where it changes;
//! 2. the question (`asking::hold`);
//! 3. the text that was read (`wording::keep`);
//! 4. the grant ([`grants::hold`], which takes its question first; `dialect::hold_active_grant`);
//! 5. what hangs on the grant: key, counters, chunks, the links of its chains;
//! 6. the ledger (`dialect::lock_ledger`), which a transaction holds until it ends: who writes about consents waits for no
//!    row with it in hand.
//!
//! So one transaction ends one grant, or closes one question: the second would be asked for with the ledger in hand. Whoever
//! keeps records holds grants and no question, and leaves an end that follows from them to the next transaction. A test
//! races all of them and counts what PostgreSQL refused (`Database::repeats`).

pub mod scope;

pub mod manifest;

pub mod life;

pub mod wording;

pub mod register;

pub mod asking;
pub mod estimating;
pub mod granting;
pub mod grants;
pub mod withdrawing;

pub mod expiring;
pub mod stopping;
pub mod unrecorded;

pub mod looks;
pub mod receipt;
pub mod signing;

pub mod links;

pub use asking::ConsentRequest;
pub use grants::Grant;
pub use scope::{Basis, Component, ComponentScope, Level, Scope, Subject};
