//! What runs without anybody waiting for it: jobs, outgoing mail, journalled mail, what may be captured and what was,
//! and work that recurs.

pub mod clock_watch;
pub mod destroying;
pub mod drain;
pub mod handlers;
pub mod imap;
pub mod importing;
pub mod incoming_mail;
pub mod lmtp;
pub mod local_socket;
pub mod mail_jobs;
pub mod outgoing_mail;
pub mod planned_answers;
pub mod publishing;
pub mod recurring;
pub mod secret_requests;
pub mod serving;
pub mod threads;
