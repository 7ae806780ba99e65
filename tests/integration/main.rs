//! The suite, one target so that it links once. It runs on SQLite, and on PostgreSQL when `ACCORD_TEST_DATABASE_URL`
//! names a server on which databases may be made.
//!
//! - `support`: the application in process, a clock moved by hand, people with browsers, mail in memory
//! - `access`: every route and every role
//! - `administration`: the administrator's pages, and an organisation's own
//! - `agent_desk`: the desk in the browser
//! - `api`: the interface for programs
//! - `architecture`: the order of the modules, who writes which table, the catalogue
//! - `captures`: what grants opened, stored, read and destroyed
//! - `consent`: asking, granting, refusing, withdrawing, and the record of it
//! - `demo`: the desk of the demonstration
//! - `mail`: mail in, matched, out
//! - `migrations`: both databases have the same schema
//! - `organisations`: organisations and what belongs to them, queues and mailboxes
//! - `people`: who somebody is, and how they sign in
//! - `planned`: answers that can be taken back, and those that go out later
//! - `portal`: the customer's side: filing, following, answering
//! - `products`: what the operator's products ask and send under a grant
//! - `real`: the program as processes of its own, among real components; left out unless asked for
//! - `search`: what is found, by whom
//! - `security`: what a walk through the whole program may never show, its log never hold, many hands never break
//! - `signing_in`: the same at a browser: sign-in, registration, set-up, one's account
//! - `tickets`: what is said in tickets, who sees what of them, how lists find them
//! - `web`: what surrounds every page
//! - `without_address`: who has no e-mail address

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]
#![expect(clippy::disallowed_methods, reason = "which server the suite runs on is said by the environment")]

mod support;

mod access;
mod administration;
mod agent_desk;
mod api;
mod architecture;
mod captures;
mod catalogue;
mod clock;
mod consent;
mod demo;
mod health;
mod mail;
mod migrations;
mod organisations;
mod people;
mod planned;
mod portal;
mod products;
mod real;
mod search;
mod security;
mod signing_in;
mod tickets;
mod web;
mod without_address;
