//! What customers and the public see: signing in, registration, one's own account.

pub mod account;
pub mod password;
pub mod registration;
pub mod sign_in;
