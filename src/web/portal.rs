//! The customer's side: signing in, one's own account, filing a request with or without an account, following it,
//! answering it, and the link in a mail that opens one request and nothing else.

pub mod account;
pub mod captures;
pub mod consent_links;
pub mod consents;
pub mod conversation;
pub mod filing;
pub mod find_request;
pub mod grant_token;
pub mod home;
pub mod new_request;
pub mod password;
pub mod registration;
pub mod request;
pub mod requests;
pub mod sign_in;
pub mod ticket_link;
pub mod unsubscribing;
