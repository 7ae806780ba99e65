//! A wrong password takes as long for somebody as for nobody (U-01): from the count of the attempt to the refusal.
//! `cargo bench --bench in_process`; the medians lie within 5 % of each other.

use crate::desk::{self, Desk};
use accord::clock::UtcTime;
use accord::mail::address::EmailAddress;
use accord::people::passwords::{self, Password};
use accord::people::person;
use accord::people::sessions::{Limits, Place};
use accord::people::sign_in::{self, Outcome, Start};
use chrono::TimeDelta;
use criterion::Criterion;

const KNOWN: &str = "personne1@client.example";
const WITHOUT_PASSWORD: &str = "personne2@client.example";
const UNKNOWN: &str = "nobody@client.example";

/// One attempt, as the page makes it; every one an hour after the other, so that no brake sets in.
fn attempt(desk: &Desk, typed: &'static str, now: UtcTime) {
    let place = Place { ip_address: "192.0.2.1".to_owned(), user_agent: "bench".to_owned() };
    let limits = Limits { idle: TimeDelta::hours(12), absolute: TimeDelta::days(7) };
    let at = place.clone();
    let started = desk.database.write_now(move |db| sign_in::start(db, typed, &at, 100, now)).expect("a start");
    let Start::Check { person, stored } = started else { unreachable!("an hour has passed") };
    let checked = passwords::check(stored.as_ref(), &Password::new("not the password".to_owned()));
    let ended = desk
        .database
        .write_now(move |db| sign_in::finish(db, typed, person, checked, false, &place, &limits, now))
        .expect("an end");
    assert!(matches!(ended, Outcome::Wrong));
}

pub fn wrong_password(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a folder");
    desk::copy_to(&desk::kept(1_000), folder.path());
    let desk = desk::at(folder.path().to_owned());
    let now = desk.now;
    desk.database
        .write_now(move |db| {
            let hash = passwords::hash(&Password::new("the right password".to_owned()))?;
            let address = EmailAddress::parse(KNOWN).expect("an address");
            let person = person::find_by_address(db, &address)?.expect("a customer");
            passwords::change(db, &person, &hash, now)
        })
        .expect("a password");
    let mut now = now;
    let mut group = criterion.benchmark_group("wrong password");
    group.sample_size(100);
    for (whose, typed) in [("somebody", KNOWN), ("somebody without password", WITHOUT_PASSWORD), ("nobody", UNKNOWN)] {
        group.bench_function(whose, |bencher| {
            bencher.iter(|| {
                now = now.plus(TimeDelta::hours(2));
                attempt(&desk, typed, now);
            });
        });
    }
    group.finish();
}
