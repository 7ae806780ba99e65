//! Accord: a support desk in one program, which asks before it looks.
//!
//! Customers file tickets on the web or by mail, agents answer, and people, roles, organisations and configuration
//! data live in an embedded database (SQLite), or in PostgreSQL when one machine is outgrown. This page is the map of
//! the code; every module says at its head what it is for and what it deliberately leaves to others.
//!
//! # Reading order
//!
//! Modules stand in ranks. A module names only modules of lower ranks; `tests/integration/architecture.rs` reads the
//! source and holds this and the other rules.
//!
//! | rank | modules | what they are |
//! |---|---|---|
//! | 0 | [`cards`], [`clock`], [`gate`], [`html`], [`secret`], [`stumbling`] | values and pure functions that know nothing of a desk; where tests let it stumble |
//! | 1, 2 | [`carry`], [`i18n`], [`error`] | hops between threads; languages; the kinds of failure a caller tells apart |
//! | 3 | [`config`] | settings, every problem reported at once |
//! | 4 | [`db`], [`mail`] | two databases behind one connection type; mail as bytes and rules |
//! | 5 | [`audit`], [`keys`], [`queue`], [`schedule`], [`settings`], [`storage`], [`throttle`] | the ground capabilities stand on |
//! | 6 | [`journal`], [`outbox`], [`people`] | mail that is not lost, mail to be sent, who somebody is |
//! | 7 | [`access`], [`teams`] | who may see and do what; queues, their members, mailboxes |
//! | 8 | [`tickets`] | what the desk is about |
//! | 9, 10 | [`consent`], [`notifications`], [`search`], [`diagnostics`], [`intake`] | asking before looking, telling people, finding things, looking inside by agreement, a mail or a form becoming a ticket |
//! | 11, 12 | [`privacy`], [`backup`], [`reactions`] | kinds of data; an installation copied and restored; who follows each ticket event, and whether mail that waited still may |
//! | 13 | [`app`] | everything a request or job needs, built once |
//! | 14 | [`demo`], [`web`], [`worker`] | the demonstration; pages and API; background work |
//! | 15 | [`cli`] | the commands |
//!
//! # What always holds
//!
//! - One use case is one transaction ([`db::Database::write`]); what follows from it is a job written in that same
//!   transaction, never a call to the outside.
//! - A mail is acknowledged only after the commit that holds its bytes ([`journal`]); it is sent from bytes frozen
//!   before the first attempt ([`outbox`]).
//! - Every query for tickets begins at [`access::visible_to`].
//! - Nothing is granted but by a customer who is signed in, on a page of ours ([`consent`]): not by a link, a mail, an
//!   agent or silence; and what was granted only ends.
//! - Who writes about consents takes locks in the one order that [`consent`] names, and an end that the database cannot
//!   take waits on the disk for it ([`consent::unrecorded`]).
//! - No internal id leaves the process; URLs, mails and JSON carry references and random handles.
//! - Time comes from [`clock::Clock`] and is passed down; nothing else asks the machine.
//!   When that clock was set, nothing goes for its age and nothing waits for a time that will not come ([`worker::clock_watch`]).
//! - Texts for people are keys of the catalogue ([`i18n`]), in French and English.
//!
//! # From end to end
//!
//! *A request*: `web::router` → a handler whose extractors made sure of the reader → one `write` that calls a verb of a
//! capability → an event and its job in the same transaction → a redirect. A worker then takes the job and decides who
//! is to be told.
//!
//! *A mail*: LMTP, pipe, HTTP or IMAP ([`worker::imap`]), or an import of old mail ([`worker::importing`]) → [`journal`]
//! (committed, then acknowledged) → a worker waits for room in memory ([`intake::reading_room`]), parses it
//! ([`mail::incoming`]), finds out whether its sender's domain stands by it ([`mail::authentication`],
//! [`mail::sender_check`]), decides where it belongs ([`mail::threading`], one pure table) → a ticket
//! or a message in one transaction ([`intake::from_email`]), which in an embedded database it may share with the mails beside
//! it; an answer to what stays closed goes on in another ticket ([`tickets::following_up`]). A report that a mail of ours did
//! not arrive ([`mail::delivery_report`]) is believed or held ([`intake`]), and marks that mail in the [`outbox`]. A mail by which
//! a mailbox tries itself out ends here ([`intake::round_trip`]).
//!
//! *An answer*: what an agent sends on a page waits, as no message yet ([`tickets::planned`]), for the seconds in which it can
//! be taken back or until the time that was chosen → a message, by a job ([`worker::planned_answers`]) → mails in the
//! [`outbox`], each by the relay of its mailbox ([`config::relays`]).
//!
//! *A trace of a product*: [`web::otlp`] decides on the headers of a request, by a token of its grant and by how that grant
//! stands in the database → [`diagnostics::otlp`] takes the spans that lie inside the grant, redacts them like all that is
//! captured, and keeps them in one transaction that asks for the grant once more.
//!
//! *A page*: a handler's template is the middle; `web::shell` puts head, navigation and foot around it, compiled once.
//! [`web::guard`] stands around every request, and [`web::slow_body`] waits for no body that trickles in.
//!
//! # Beside the code
//!
//! - `migrations/`: one folder a database, the same names in both, forward only.
//! - `templates/`: pages by audience, mails by event, the catalogue in `locales/`, styles and scripts in `assets/`.
//! - `tests/captured`: what needs the one gate of a process to itself, by the machine's clock.
//! - `tests/integration`: the suite, in process. `tests/browser` holds the scripts that drive Chromium, `tests/faults`
//!   libraries that make a disk fail or lose power, `tests/sdks` products with unmodified SDKs; tests called `real_*` use them, and
//!   `.ci/run` starts what they need.
//! - `tests/fuzz`: a crate of its own that gives random bytes to whatever reads mail; `.ci/run fuzz` builds and runs it.
//! - `benches/`: what is measured, and how (`benches/README.md`).
//! - `.cargo/config.toml`: how the bundled SQLite is compiled, and why.

pub mod cards;
pub mod clock;
pub mod gate;
pub mod html;
pub mod secret;
pub mod stumbling;

pub mod carry;
pub mod i18n;

pub mod error;

pub mod config;

pub mod db;
pub mod mail;

pub mod audit;
pub mod keys;
pub mod queue;
pub mod schedule;
pub mod settings;
pub mod storage;
pub mod throttle;

pub mod journal;
pub mod outbox;
pub mod people;

pub mod access;
pub mod teams;

pub mod tickets;

pub mod consent;
pub mod notifications;

pub mod diagnostics;
pub mod intake;
pub mod search;

pub mod privacy;

pub mod backup;
pub mod reactions;

pub mod app;

pub mod demo;
pub mod web;
pub mod worker;

pub mod cli;
