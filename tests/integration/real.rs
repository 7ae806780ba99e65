//! Tests with real components: the program as processes of its own, on both databases, among real mail servers, real
//! clients and a real browser. Plain `cargo test` leaves them out; `.ci/run` starts what they need and fails if one of
//! them did not run. Each is called `real_*` and says what it needs in its `#[ignore]`.

mod attachments;
mod axe;
mod backup;
mod browser;
mod canaries;
mod chance;
mod command_line;
mod customer;
mod desk;
mod differential;
mod disk;
mod dovecot;
mod dumping;
mod elsewhere;
mod failing;
mod http;
mod kill;
mod mail;
mod mail_wire;
mod oversize;
mod postfix;
mod power;
mod process;
mod products;
mod relay;
mod renderers;
mod secrets;
mod sharing;
mod signatures;
mod starting;
mod stopping;
mod unsaid;
mod withdrawing;
