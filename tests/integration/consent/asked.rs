//! Whom a question is put to, and who finds it in their account, in organisations larger than any list.

use std::collections::BTreeSet;

use accord::db::types::PersonId;
use accord::mail::address::EmailAddress;
use accord::mail::transport::{FailureKind, SendFailure};
use accord::outbox::listing::{self, Which};
use accord::people::addresses;
use accord::people::memberships::{self, Rights};
use accord::people::person::{NewPerson, Origin};
use accord::people::roles::{self, BuiltinRole};
use accord::people::staff;

use super::*;

impl Story {
    /// Members of Claire's company whose names come before any other.
    fn colleagues(&self, count: usize) {
        let (arnaud, now) = (self.cast.arnaud, self.test.now());
        self.test.write(move |db| {
            for number in 0..count {
                let address = EmailAddress::parse(&format!("aa{number}@arnaud.example")).expect("an address");
                let new = NewPerson {
                    first_name: "Aa".to_owned(),
                    last_name: format!("Aa {number:03}"),
                    address_confirmed_at: Some(now),
                    ..NewPerson::at(address, Locale::Fr, Origin::Staff)
                };
                person::create(db, &new, Some((arnaud, Rights::default())), None, now)?;
            }
            Ok(())
        });
    }

    fn rights(&self, person: PersonId, rights: Rights) {
        let (arnaud, now) = (self.cast.arnaud, self.test.now());
        self.test.write(move |db| memberships::change_rights(db, arnaud, person, rights, None, now));
    }

    fn grantors(&self) -> Vec<PersonId> {
        self.test.read(|db| asking::grantors(db, self.cast.arnaud))
    }
}

#[test]
fn whoever_may_grant_is_asked_however_many_colleagues_come_before_them_by_name() {
    let story = Story::begin();
    story.colleagues(101);
    assert_eq!(story.grantors(), [story.cast.claire]);
    let request = story.ask_all();
    let asked = story.test.read(|db| asking::people_asked(db, &request));
    assert_eq!(asked, [story.cast.claire, story.cast.paul], "and Paul, whose ticket it is, for his own use");
    assert!(story.sent().iter().any(|mail| mail.to == "claire@arnaud.example"));
}

/// The relay is down, or answers again.
fn relay(story: &Story, is_up: bool) {
    let Transport::Memory(memory) = &story.test.app.transport else { panic!("tests send into memory") };
    let failure = SendFailure { kind: FailureKind::Relay, code: None, text: "no answer".to_owned() };
    memory.fail_always((!is_up).then_some(failure));
}

/// Mails that are on their way, to whom.
fn waiting(story: &Story) -> BTreeSet<String> {
    let open = story.test.read(|db| listing::list(db, Which::Open, None, 100)).rows;
    open.into_iter().map(|mail| mail.recipient).collect()
}

fn after_an_hour(story: &Story) -> BTreeSet<String> {
    relay(story, true);
    for _ in 0..6 {
        story.pass(TimeDelta::minutes(10));
    }
    story.sent().into_iter().map(|sent| sent.to).collect()
}

#[test]
fn a_question_that_waited_is_not_mailed_to_who_may_no_longer_grant() {
    let story = Story::begin();
    let (arnaud, now) = (story.cast.arnaud, story.test.now());
    let nora = story.test.write(move |db| {
        let address = EmailAddress::parse("nora@arnaud.example").expect("an address");
        let new = NewPerson { address_confirmed_at: Some(now), ..NewPerson::at(address, Locale::Fr, Origin::Staff) };
        Ok(person::create(db, &new, Some((arnaud, Rights::ALL)), None, now)?.id)
    });
    let all =
        BTreeSet::from(["claire@arnaud.example", "nora@arnaud.example", "paul@arnaud.example"].map(str::to_owned));
    relay(&story, false);
    story.ask_all();
    story.test.run_jobs();
    assert_eq!(waiting(&story), all);
    story.rights(nora, Rights::default());
    let sent = after_an_hour(&story);
    assert_eq!(sent, BTreeSet::from(["claire@arnaud.example", "paul@arnaud.example"].map(str::to_owned)));
}

#[test]
fn who_granted_hears_of_the_end_also_if_they_may_grant_no_longer() {
    let story = Story::begin();
    story.rights(story.cast.paul, Rights::ALL);
    let request = story.ask_all();
    let outcome = story.grant(&request, None, story.cast.claire);
    assert!(matches!(outcome, Ok(Outcome::Granted(_))), "{outcome:?}");
    story.sent();
    relay(&story, false);
    story.pass(TimeDelta::hours(2));
    assert!(waiting(&story).contains("claire@arnaud.example"), "that it ended");
    story.rights(story.cast.claire, Rights::default());
    assert!(after_an_hour(&story).contains("claire@arnaud.example"));
}

#[test]
fn a_question_to_an_address_that_was_given_up_is_a_failure_that_is_seen() {
    let story = Story::begin();
    relay(&story, false);
    story.ask_all();
    story.test.run_jobs();
    let (claire, now) = (story.cast.claire, story.test.now());
    story.test.write(move |db| {
        let new = EmailAddress::parse("claire.lefevre@arnaud.example").expect("an address");
        let old = EmailAddress::parse("claire@arnaud.example").expect("an address");
        let before = person::by_id(db, claire)?;
        addresses::change(db, &before, &new, now)?;
        addresses::remove(db, claire, &old, now)
    });
    let sent = after_an_hour(&story);
    assert!(sent.contains("paul@arnaud.example"), "{sent:?}");
    let dead = story.test.read(|db| listing::list(db, Which::Dead, None, 100)).rows;
    assert_eq!(dead.iter().map(|mail| mail.recipient.as_str()).collect::<Vec<_>>(), ["claire@arnaud.example"]);
}

#[test]
fn nobody_is_asked_who_is_disabled_and_cannot_answer() {
    let story = Story::begin();
    let (paul, anne, now) = (story.cast.paul, story.cast.anne, story.test.now());
    story.test.write(move |db| person::disable(db, paul, anne, now));
    let (lea, ticket, terms) = (story.test.actor(story.cast.lea), story.ticket(), story.terms(Subject::Person(paul)));
    let refused = story.test.app.database.write_now(move |db| asking::ask(db, &ticket, &terms, &lea, now));
    let Err(Error::Invalid(errors)) = refused else { panic!("{refused:?}") };
    assert!(errors.of("subject").is_some());
}

#[test]
fn who_cannot_sign_in_or_is_staff_is_not_asked_and_is_no_second_approver() {
    let story = Story::begin();
    story.rights(story.cast.paul, Rights::ALL);
    let both = BTreeSet::from([story.cast.claire, story.cast.paul]);
    assert_eq!(BTreeSet::from_iter(story.grantors()), both);
    let (paul, anne, now) = (story.cast.paul, story.cast.anne, story.test.now());
    story.test.write(move |db| person::disable(db, paul, anne, now));
    assert_eq!(story.grantors(), [story.cast.claire]);
    let mut terms = story.terms(Subject::Organisation);
    terms.scope = Scope::of(&[Component::Pages], Level::Trace, Vec::new());
    let request = story.ask(terms);
    let alone = story.grant(&request, None, story.cast.claire);
    assert!(is_conflict(&alone, "conflict-consent-no-second"), "{alone:?}");

    story.test.write(move |db| person::enable(db, paul, anne, now));
    assert_eq!(BTreeSet::from_iter(story.grantors()), both);
    story.test.write(move |db| {
        let agent = roles::builtin(db, BuiltinRole::Agent)?;
        staff::set_roles(db, paul, &[agent], None, now)
    });
    assert_eq!(story.grantors(), [story.cast.claire]);
}

#[test]
fn what_concerns_somebody_is_on_their_list_however_many_newer_questions_do_not() {
    let story = Story::begin();
    let own = story.ask(story.terms(Subject::Person(story.cast.paul)));
    for _ in 0..3 {
        story.test.clock.advance(TimeDelta::seconds(1));
        let mut terms = story.terms(Subject::Person(story.cast.claire));
        terms.purpose = format!("Comprendre, {}", story.test.now().rfc3339());
        story.ask(terms);
    }
    let of = |person: PersonId, limit: i64| -> Vec<String> {
        let Actor::Customer(customer) = story.test.actor(person) else { panic!("a customer") };
        let seen = story.test.read(|db| asking::of_customer(db, &customer, limit));
        seen.into_iter().map(|(request, _)| request.handle).collect()
    };
    assert_eq!(of(story.cast.paul, 2), std::slice::from_ref(&own.handle));
    assert_eq!(of(story.cast.claire, 9).len(), 4);
    assert_eq!(of(story.cast.zoe, 9), [] as [String; 0]);

    // Each list is what the page of each question would say.
    let whole = story.ask_all();
    for person in [story.cast.paul, story.cast.claire, story.cast.zoe, story.cast.ivan] {
        let Actor::Customer(customer) = story.test.actor(person) else { panic!("a customer") };
        let listed = of(person, 9);
        for request in [&own, &whole] {
            let may_open = story.test.read(|db| asking::answering(db, &customer, request)).is_some();
            assert_eq!(listed.contains(&request.handle), may_open, "{person:?} {}", request.handle);
        }
    }
}
