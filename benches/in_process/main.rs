//! What single pieces of the program cost, measured in process: `cargo bench --bench in_process`, with a part of a name
//! after `--` to choose.

mod cpu;
mod desk;
mod ingest;
mod mail;
mod mails;
mod pages;
mod sign_in;

use criterion::{criterion_group, criterion_main};

criterion_group!(in_time, pages::pages, mail::mail, sign_in::wrong_password, ingest::bare_commit);
criterion_group! {
    name = in_cpu_time;
    config = ingest::cpu_time();
    targets = ingest::ingest
}
criterion_main!(in_time, in_cpu_time);
