//! Consent to diagnostics: an agent asks in a ticket, the customer grants (perhaps less), refuses or withdraws, and what
//! was granted ends by itself. Who may look at what a grant opened, and the capture itself, are `diagnostics`, above;
//! whoever publishes the live grants follows the commits of the database.
//!
//! Invariants, held by the schema too: a grant never opens more, or for longer, than was asked; it is granted by members
//! of the organisation and never by staff; one of an organisation and one of a person are active at a time; what was
//! asked and granted does not change afterwards; each step is added to a chain of events and never taken from it.

pub mod scope;

pub mod manifest;

pub mod life;

pub mod wording;

pub mod register;

pub mod asking;
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
