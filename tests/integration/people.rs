//! Stories about people and signing in, against a real database.

use chrono::TimeDelta;

use accord::clock::UtcTime;
use accord::db::DbConnection;
use accord::db::types::PersonId;
use accord::error::{Error, Result};
use accord::i18n::Locale;
use accord::mail::address::EmailAddress;
use accord::people::notices::{self, Letter, LetterKind, Notice};
use accord::people::one_time_tokens::{self, Purpose};
use accord::people::passwords::{self, Against};
use accord::people::person::{self, NewPerson, Origin, Profile};
use accord::people::sessions::{self, Limits, Place};
use accord::people::setup::SetupForm;
use accord::people::sign_in::{self, Outcome, Start};
use accord::people::{
    addresses, api_tokens, invitations, memberships, organisations, registration, roles, setup, staff,
};
use accord::queue;
use accord::secret::{Secret, hash_token};

use crate::support::TestApp;

/// An installation, and what the stories here do with it.
struct Given {
    test: TestApp,
}

const LIMITS: Limits = Limits { idle: TimeDelta::hours(12), absolute: TimeDelta::days(7) };
const PASSWORD: &str = "le chat dort sur le toit";

impl Given {
    fn empty() -> Given {
        Given { test: TestApp::empty() }
    }

    /// An installation with its administrator.
    fn set_up() -> (Given, PersonId) {
        let given = Given::empty();
        let now = given.now();
        let administrator = given.write(move |db| {
            let mut errors = accord::error::FieldErrors::default();
            let form = SetupForm {
                operator_name: "Logiciels Garonne".to_owned(),
                first_name: "Anne".to_owned(),
                last_name: "Martin".to_owned(),
                email: "anne@garonne.example".to_owned(),
                support_address: "support@garonne.example".to_owned(),
                time_zone: String::new(),
            };
            let setup = form.check(&mut errors, Locale::Fr, now).expect("a form without faults");
            setup::create_first(db, &setup, now)
        });
        (given, administrator)
    }

    fn write<T: Send + 'static>(&self, change: impl Fn(&mut DbConnection) -> Result<T> + Send + 'static) -> T {
        self.test.write(change)
    }

    fn try_write<T: Send + 'static>(
        &self,
        change: impl Fn(&mut DbConnection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.test.app.database.write_now(change)
    }

    fn read<T>(&self, query: impl FnOnce(&mut DbConnection) -> Result<T>) -> T {
        self.test.read(query)
    }

    fn now(&self) -> UtcTime {
        self.test.now()
    }

    fn pass(&self, time: TimeDelta) {
        self.test.clock.advance(time);
    }

    fn customer(&self, text: &str) -> PersonId {
        let (now, address) = (self.now(), address(text));
        let hash = passwords::hash(&Secret::new(PASSWORD.to_owned())).unwrap();
        self.write(move |db| {
            let new = NewPerson {
                first_name: "Claire".to_owned(),
                last_name: "Lefèvre".to_owned(),
                ..NewPerson::at(address.clone(), Locale::Fr, Origin::Form)
            };
            let person = person::create(db, &new, None, None, now)?;
            passwords::set(db, person.id, &hash, now)?;
            Ok(person.id)
        })
    }

    /// Tries to sign in with a password, as the page does.
    fn sign_in(&self, typed: &str, password: &str, ip: &str) -> Tried {
        let (now, place) = (self.now(), at(ip));
        let started = {
            let (typed, place) = (typed.to_owned(), place.clone());
            self.write(move |db| sign_in::start(db, &typed, &place, 100, now))
        };
        let (person, stored) = match started {
            Start::MustWait { retry_after_secs } => return Tried::MustWait(retry_after_secs),
            Start::Check { person, stored } => (person, stored),
        };
        let checked = passwords::check(stored.as_ref(), &Secret::new(password.to_owned()));
        let typed = typed.to_owned();
        self.write(move |db| {
            Ok(match sign_in::finish(db, &typed, person, checked, false, &place, &LIMITS, now)? {
                Outcome::SignedIn(signed_in) => Tried::SignedIn(signed_in.token.expose().to_owned()),
                Outcome::Wrong => Tried::Wrong(checked.against),
            })
        })
    }

    fn has_session(&self, token: &str) -> bool {
        let (hash, now) = (hash_token(token), self.now());
        self.read(|db| Ok(sessions::find(db, &hash, &LIMITS, now)?.is_some()))
    }

    /// Writes the letters that are asked for, as the worker does.
    fn letters(&self) -> Vec<Letter> {
        let now = self.now();
        self.write(move |db| {
            let mut letters = Vec::new();
            while let Some(id) = queue::due(db, now)?.first().copied() {
                let job = queue::claim(db, id, "test", now)?.expect("nobody else works here");
                assert_eq!(job.name, notices::JOB);
                let notice: Notice = serde_json::from_str(&job.payload).unwrap();
                letters.extend(notices::prepare(db, &notice, now)?);
                queue::finish(db, &job)?;
            }
            Ok(letters)
        })
    }
}

#[derive(Debug, PartialEq)]
enum Tried {
    SignedIn(String),
    Wrong(Against),
    MustWait(u64),
}

impl Tried {
    fn token(self) -> String {
        match self {
            Tried::SignedIn(token) => token,
            other => panic!("not signed in: {other:?}"),
        }
    }
}

fn address(text: &str) -> EmailAddress {
    EmailAddress::parse(text).unwrap()
}

fn at(ip: &str) -> Place {
    Place { ip_address: ip.to_owned(), user_agent: "Firefox".to_owned() }
}

fn token_of(letter: &Letter) -> String {
    letter.path.as_ref().unwrap().rsplit('/').next().unwrap().to_owned()
}

#[test]
fn everybody_belongs_to_an_organisation() {
    let given = Given::empty();
    let now = given.now();
    let person = given.write(move |db| {
        let claire = address("claire@exemple.fr");
        person::find_or_create_by_address(db, &claire, "Claire Lefèvre", Origin::Mail, Locale::Fr, now)
    });
    assert_eq!((person.first_name.as_str(), person.last_name.as_str()), ("Claire", "Lefèvre"));
    let belongings = given.read(|db| memberships::belongings(db, person.id));
    assert_eq!(belongings.len(), 1);
    assert_eq!(belongings[0].kind, organisations::OrganisationKind::Individual);
    // A later mail under another name changes nothing.
    let again = given.write(move |db| {
        let claire = address("Claire@Exemple.fr");
        person::find_or_create_by_address(db, &claire, "Somebody Else", Origin::Form, Locale::En, now)
    });
    assert_eq!((again.id, again.last_name.as_str()), (person.id, "Lefèvre"));
    assert_eq!(again.origin, Origin::Mail);
}

#[test]
fn people_are_found_by_the_beginning_of_their_name_or_address() {
    let given = Given::empty();
    given.customer("claire@exemple.fr");
    for text in ["lef", "LEFE", "lefèvre", "cla", "Claire@ex"] {
        assert_eq!(given.read(|db| person::find_by_prefix(db, text, 5)).len(), 1, "{text}");
    }
    for text in ["", " ", "x", "%", "laire"] {
        assert_eq!(given.read(|db| person::find_by_prefix(db, text, 5)).len(), 0, "{text}");
    }
}

#[test]
fn a_profile_changed_meanwhile_is_not_overwritten() {
    let given = Given::empty();
    let (now, id) = (given.now(), given.customer("claire@exemple.fr"));
    let person = given.read(|db| person::by_id(db, id));
    let profile = Profile {
        first_name: "Claire".to_owned(),
        last_name: "Martin".to_owned(),
        job_title: String::new(),
        telephone: String::new(),
        language: Locale::En,
        time_zone: "Europe/Madrid".to_owned(),
        theme: person::Theme::Dark,
        mailed_about_tickets: false,
    };
    let (first, second) = (profile.clone(), profile.clone());
    given.write(move |db| person::update(db, id, person.version, &first, now));
    let again = given.try_write(move |db| person::update(db, id, person.version, &second, now));
    assert!(matches!(again, Err(Error::Conflict(_))));
    let wrong = Profile { time_zone: "Mars/Olympus".to_owned(), last_name: " ".to_owned(), ..profile };
    let Err(Error::Invalid(errors)) = given.try_write(move |db| person::update(db, id, 2, &wrong, now)) else {
        panic!("accepted");
    };
    assert!(errors.of("time_zone").is_some() && errors.of("last_name").is_some());
}

#[test]
fn u_01_unknown_disabled_and_passwordless_people_cost_a_dummy_hash() {
    let (given, administrator) = Given::set_up();
    let disabled = given.customer("disabled@exemple.fr");
    let now = given.now();
    given.write(move |db| {
        person::find_or_create_by_address(db, &address("mail@exemple.fr"), "", Origin::Mail, Locale::Fr, now)?;
        person::disable(db, disabled, administrator, now)
    });
    given.customer("claire@exemple.fr");
    for typed in ["nobody@exemple.fr", "disabled@exemple.fr", "mail@exemple.fr", "not an address", ""] {
        assert_eq!(given.sign_in(typed, PASSWORD, "192.0.2.1"), Tried::Wrong(Against::Dummy), "{typed}");
    }
    assert_eq!(given.sign_in("claire@exemple.fr", "wrong", "192.0.2.1"), Tried::Wrong(Against::Own));
    given.sign_in("CLAIRE@exemple.fr ", PASSWORD, "192.0.2.1").token();
}

#[test]
fn u_03_adv_28_a_token_works_once_for_its_purpose_and_only_in_its_very_letters() {
    let given = Given::empty();
    let (now, id) = (given.now(), given.customer("claire@exemple.fr"));
    let token = given.write(move |db| {
        let proof = notices::MailboxProof { address: address("claire@exemple.fr"), next: String::new() };
        Ok(one_time_tokens::issue(db, Purpose::SignIn, Some(id), &proof, now)?.expose().to_owned())
    });
    let case_flipped = token.to_uppercase();
    let wrong = [
        "",
        " ",
        "%20",
        "\0",
        &case_flipped,
        &token[..51],
        &format!("{token} "),
        &format!(" {token}"),
        &format!("{token}\0"),
        &format!("{token}a"),
    ];
    for text in wrong {
        let text = text.to_owned();
        let shown = text.clone();
        let used =
            given.write(move |db| sign_in::by_link(db, &text, &at("192.0.2.1"), &LIMITS, now).map(|u| u.is_some()));
        assert!(!used, "{shown:?}");
    }
    let (hash, other) = (passwords::hash(&Secret::new(PASSWORD.to_owned())).unwrap(), token.clone());
    let for_another_purpose = given.write(move |db| {
        sign_in::by_new_password(db, &other, &hash, &at("192.0.2.1"), &LIMITS, now).map(|u| u.is_some())
    });
    assert!(!for_another_purpose);
    let successes: usize = std::thread::scope(|scope| {
        let tries: Vec<_> = (0..50)
            .map(|_| {
                let (database, token) = (given.test.app.database.clone(), token.clone());
                scope.spawn(move || {
                    let used = database.write_now(move |db| {
                        sign_in::by_link(db, &token, &at("192.0.2.1"), &LIMITS, now).map(|used| used.is_some())
                    });
                    usize::from(used.unwrap())
                })
            })
            .collect();
        tries.into_iter().map(|tried| tried.join().unwrap()).sum()
    });
    assert_eq!(successes, 1);
    given.pass(TimeDelta::days(3));
    let now = given.now();
    assert_eq!(given.write(move |db| one_time_tokens::forget_dead(db, now)), 1);
}

#[test]
fn u_03_tokens_end_with_their_time() {
    let given = Given::empty();
    let (now, id) = (given.now(), given.customer("claire@exemple.fr"));
    let tokens = given.write(move |db| {
        let mut tokens = Vec::new();
        for &purpose in Purpose::ALL {
            tokens.push((purpose, one_time_tokens::issue(db, purpose, Some(id), &(), now)?.expose().to_owned()));
        }
        Ok(tokens)
    });
    let alive = |given: &Given| -> Vec<Purpose> {
        let now = given.now();
        let lives = |(purpose, token): &(Purpose, String)| {
            given.read(|db| Ok(one_time_tokens::find::<()>(db, *purpose, token, now)?.is_some())).then_some(*purpose)
        };
        tokens.iter().filter_map(lives).collect()
    };
    assert_eq!(alive(&given).len(), Purpose::ALL.len());
    given.pass(TimeDelta::minutes(10));
    assert!(!alive(&given).contains(&Purpose::SignIn) && alive(&given).contains(&Purpose::Password));
    given.pass(TimeDelta::minutes(20));
    assert!(!alive(&given).contains(&Purpose::Password));
    given.pass(TimeDelta::hours(71));
    assert_eq!(alive(&given), [Purpose::Invitation]);
    given.pass(TimeDelta::minutes(30));
    assert_eq!(alive(&given), []);
}

#[test]
fn u_04_a_session_ends_when_idle_when_old_and_when_its_person_is_disabled() {
    let (given, administrator) = Given::set_up();
    let id = given.customer("claire@exemple.fr");
    let token = given.sign_in("claire@exemple.fr", PASSWORD, "192.0.2.1").token();
    let use_it = |given: &Given, token: &str| {
        let (hash, now) = (hash_token(token), given.now());
        given.write(move |db| {
            let Some(session) = sessions::find(db, &hash, &LIMITS, now)? else { return Ok(false) };
            sessions::touch(db, session.id, now)?;
            Ok(true)
        })
    };
    for _ in 0..16 {
        assert!(use_it(&given, &token));
        given.pass(TimeDelta::hours(11));
    }
    assert!(!given.has_session(&token), "older than seven days");
    let token = given.sign_in("claire@exemple.fr", PASSWORD, "192.0.2.1").token();
    given.pass(TimeDelta::hours(12));
    assert!(!given.has_session(&token), "idle for twelve hours");
    let token = given.sign_in("claire@exemple.fr", PASSWORD, "192.0.2.1").token();
    let now = given.now();
    given.write(move |db| person::disable(db, id, administrator, now));
    assert!(!given.has_session(&token), "disabled");
    given.write(move |db| person::enable(db, id, administrator, now));
    assert!(!given.has_session(&token), "enabling somebody does not sign them in");
    assert!(!given.has_session("") && !given.has_session(&token.to_uppercase()));
}

#[test]
fn u_04_being_remembered_lasts_thirty_days_and_only_if_asked_for() {
    let given = Given::empty();
    let (now, id) = (given.now(), given.customer("claire@exemple.fr"));
    let token =
        given.write(move |db| Ok(sessions::begin(db, id, true, &at("192.0.2.1"), &LIMITS, now)?.expose().to_owned()));
    given.pass(TimeDelta::days(29));
    assert!(given.has_session(&token));
    given.pass(TimeDelta::days(1));
    assert!(!given.has_session(&token));
}

#[test]
fn sessions_are_listed_and_ended_by_their_owner_alone() {
    let given = Given::empty();
    let (claire, other) = (given.customer("claire@exemple.fr"), given.customer("marc@exemple.fr"));
    let here = given.sign_in("claire@exemple.fr", PASSWORD, "192.0.2.1").token();
    let there = given.sign_in("claire@exemple.fr", PASSWORD, "198.51.100.2").token();
    let now = given.now();
    let listed = given.read(|db| sessions::of_person(db, claire, &LIMITS, now));
    assert_eq!(
        listed.iter().map(|session| session.ip_address.as_str()).collect::<Vec<_>>(),
        ["198.51.100.2", "192.0.2.1"]
    );
    let handle = listed[0].handle.clone();
    let stolen = handle.clone();
    assert!(!given.write(move |db| sessions::end(db, other, &stolen)));
    assert!(given.write(move |db| sessions::end(db, claire, &handle)));
    assert!(given.has_session(&here) && !given.has_session(&there));
    let there = given.sign_in("claire@exemple.fr", PASSWORD, "198.51.100.2").token();
    let kept = listed[1].id;
    assert_eq!(given.write(move |db| sessions::end_others(db, claire, kept)), 1);
    assert!(given.has_session(&here) && !given.has_session(&there));
}

#[test]
fn u_05_a_new_password_ends_sessions_and_links_and_is_told() {
    let given = Given::empty();
    let (now, id) = (given.now(), given.customer("claire@exemple.fr"));
    let token = given.sign_in("claire@exemple.fr", PASSWORD, "192.0.2.1").token();
    given.write(move |db| sign_in::request_link(db, &address("claire@exemple.fr"), "", &at("192.0.2.1"), now));
    let link = token_of(&given.letters()[0]);
    let hash = passwords::hash(&Secret::new("un autre mot, plus long".to_owned())).unwrap();
    given.write(move |db| {
        let person = person::by_id(db, id)?;
        passwords::change(db, &person, &hash, now)
    });
    assert!(!given.has_session(&token));
    let used = given.write(move |db| sign_in::by_link(db, &link, &at("192.0.2.1"), &LIMITS, now).map(|u| u.is_some()));
    assert!(!used);
    let letters = given.letters();
    assert_eq!(letters.len(), 1);
    assert_eq!((letters[0].kind, letters[0].to.as_str()), (LetterKind::PasswordChanged, "claire@exemple.fr"));
    assert!(letters[0].path.is_none());
    assert_eq!(given.sign_in("claire@exemple.fr", PASSWORD, "192.0.2.1"), Tried::Wrong(Against::Own));
}

#[test]
fn u_05_the_mail_about_a_new_password_leads_to_the_secrets_that_go_on_working() {
    let given = Given::empty();
    let (now, id) = (given.now(), given.customer("claire@exemple.fr"));
    let secret = given.write(move |db| {
        let new = api_tokens::NewApiToken {
            name: "Supervision".to_owned(),
            scopes: vec![api_tokens::Scope::TicketsRead],
            organisation: None,
            queue: None,
            days: api_tokens::DEFAULT_DAYS,
        };
        api_tokens::create(db, id, &new, now).map(|(_, secret)| secret.expose().to_owned())
    });
    let hash = passwords::hash(&Secret::new("un autre mot, plus long".to_owned())).unwrap();
    given.write(move |db| {
        let person = person::by_id(db, id)?;
        passwords::change(db, &person, &hash, now)
    });
    assert_eq!(given.letters()[0].path.as_deref(), Some("/account/security"));
    assert!(given.read(|db| api_tokens::find_by_secret(db, &secret, now)).is_some());
}

#[test]
fn u_05_a_new_address_is_proven_first_and_the_old_one_is_told() {
    let given = Given::empty();
    let (now, id) = (given.now(), given.customer("claire@exemple.fr"));
    given.customer("marc@exemple.fr");
    given.write(move |db| {
        let notice = Notice::ConfirmAddress { person: id, address: address("claire@neuf.example") };
        notices::send(db, &notice, now)
    });
    let letters = given.letters();
    assert_eq!((letters[0].kind, letters[0].to.as_str()), (LetterKind::ConfirmAddress, "claire@neuf.example"));
    assert_eq!(given.read(|db| person::by_id(db, id)).address, "claire@exemple.fr");
    let person = given.read(|db| person::by_id(db, id));
    let taken = given.try_write({
        let person = person.clone();
        move |db| addresses::change(db, &person, &address("marc@exemple.fr"), now)
    });
    assert!(matches!(taken, Err(Error::Conflict(_))));
    given.write(move |db| addresses::change(db, &person, &address("claire@neuf.example"), now));
    let letters = given.letters();
    assert_eq!((letters[0].kind, letters[0].to.as_str()), (LetterKind::AddressChanged, "claire@exemple.fr"));
    assert_eq!(given.read(|db| person::by_id(db, id)).address, "claire@neuf.example");
    let addresses = given.read(|db| addresses::of_person(db, id));
    assert_eq!(addresses.iter().map(|a| a.is_primary).collect::<Vec<_>>(), [true, false]);
    assert!(!given.write(move |db| addresses::remove(db, id, &address("claire@neuf.example"), now)));
    assert!(given.write(move |db| addresses::remove(db, id, &address("claire@exemple.fr"), now)));
}

#[test]
fn u_02_adv_29_asking_for_a_link_does_the_same_for_strangers_but_mails_nobody() {
    let given = Given::empty();
    given.customer("claire@exemple.fr");
    let now = given.now();
    for text in ["claire@exemple.fr", "nobody@exemple.fr"] {
        given.write(move |db| {
            sign_in::request_link(db, &address(text), "/requests", &at("192.0.2.1"), now)?;
            sign_in::request_password(db, &address(text), &at("192.0.2.1"), now)
        });
        assert_eq!(given.read(|db| Ok(queue::due(db, now)?.len())), 2, "{text}");
        assert_eq!(given.letters().len(), if text.starts_with("claire") { 2 } else { 0 });
    }
}

#[test]
fn u_02_mails_that_anybody_may_cause_are_few() {
    let given = Given::empty();
    given.customer("claire@exemple.fr");
    let now = given.now();
    let mut asked = 0;
    for number in 0..30 {
        let request = given
            .try_write(move |db| sign_in::request_link(db, &address("claire@exemple.fr"), "", &at("192.0.2.1"), now));
        match request {
            Ok(()) => asked += 1,
            Err(Error::TooMany { .. }) => assert!(number >= 20),
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(asked, 20);
    assert_eq!(given.letters().len(), 5);
    for hour in 1..10_u8 {
        given.pass(TimeDelta::hours(1));
        let now = given.now();
        for _ in 0..10 {
            given.write(move |db| {
                let place = at(&format!("198.51.100.{hour}"));
                sign_in::request_link(db, &address("claire@exemple.fr"), "", &place, now)
            });
        }
    }
    assert!(given.letters().len() <= 5);
}

#[test]
fn u_06_ten_thousand_guesses_in_ten_minutes_are_mostly_not_looked_at() {
    let given = Given::empty();
    given.customer("claire@exemple.fr");
    let mut evaluated = 0;
    for _ in 0..10_000 {
        given.pass(TimeDelta::milliseconds(60));
        match given.sign_in("claire@exemple.fr", "guess", "203.0.113.66") {
            Tried::Wrong(_) => evaluated += 1,
            Tried::MustWait(secs) => assert!(secs <= 3_600),
            Tried::SignedIn(_) => panic!("guessed"),
        }
    }
    assert!(evaluated <= 100, "{evaluated} guesses were evaluated");
    // Somewhere else, the person notices nothing.
    given.sign_in("claire@exemple.fr", PASSWORD, "192.0.2.1").token();
    // At the same place (an office behind one address) they wait half a minute at most.
    given.pass(TimeDelta::seconds(36));
    given.sign_in("claire@exemple.fr", PASSWORD, "203.0.113.66").token();
}

#[test]
fn u_06_a_crowd_of_strangers_cannot_keep_somebody_out_of_where_they_were_before() {
    let given = Given::empty();
    given.customer("claire@exemple.fr");
    given.sign_in("claire@exemple.fr", PASSWORD, "192.0.2.1").token();
    let mut evaluated = 0;
    for number in 0..300 {
        let ip = format!("203.0.{}.{}", number / 250, number % 250);
        evaluated += usize::from(matches!(given.sign_in("claire@exemple.fr", "guess", &ip), Tried::Wrong(_)));
    }
    assert!(evaluated <= 60, "{evaluated} guesses were evaluated");
    given.sign_in("claire@exemple.fr", PASSWORD, "192.0.2.1").token();
}

#[test]
fn a_right_password_forgives_the_wrong_ones_before() {
    let given = Given::empty();
    given.customer("claire@exemple.fr");
    for _ in 0..20 {
        assert_eq!(given.sign_in("claire@exemple.fr", "typo", "192.0.2.1"), Tried::Wrong(Against::Own));
        given.sign_in("claire@exemple.fr", PASSWORD, "192.0.2.1").token();
    }
}

#[test]
fn u_08_an_api_secret_is_shown_once_kept_hashed_and_ends() {
    let (given, administrator) = Given::set_up();
    let (now, claire) = (given.now(), given.customer("claire@exemple.fr"));
    let new = api_tokens::NewApiToken {
        name: "Supervision".to_owned(),
        scopes: vec![api_tokens::Scope::TicketsRead],
        organisation: None,
        queue: None,
        days: api_tokens::DEFAULT_DAYS,
    };
    let (token, secret) = given.write({
        let new = new.clone();
        move |db| api_tokens::create(db, claire, &new, now).map(|(token, secret)| (token, secret.expose().to_owned()))
    });
    assert!(secret.starts_with("acc_"));
    let found = given.read(|db| api_tokens::find_by_secret(db, &secret, now)).unwrap();
    assert_eq!(found.id, token.id);
    assert!(found.allows(api_tokens::Scope::TicketsRead) && !found.allows(api_tokens::Scope::TicketsWrite));
    for wrong in ["", "acc_", &secret[4..], &secret.to_uppercase(), &format!("{secret} ")] {
        assert!(given.read(|db| api_tokens::find_by_secret(db, wrong, now)).is_none(), "{wrong:?}");
    }
    // Handing over mail is not for customers, and neither is another organisation.
    let wrong = api_tokens::NewApiToken { scopes: vec![api_tokens::Scope::Inbound], days: 4_000, ..new.clone() };
    let Err(Error::Invalid(errors)) = given.try_write(move |db| api_tokens::create(db, claire, &wrong, now).map(drop))
    else {
        panic!("accepted")
    };
    assert!(errors.of("scopes").is_some() && errors.of("days").is_some());
    let operator = given.read(organisations::find_operator).unwrap();
    let foreign = api_tokens::NewApiToken { organisation: Some(operator), ..new };
    let Err(Error::Invalid(errors)) =
        given.try_write(move |db| api_tokens::create(db, claire, &foreign, now).map(drop))
    else {
        panic!("accepted")
    };
    assert!(errors.of("organisation").is_some());
    // Disabled, enabled, expired, revoked.
    given.write(move |db| person::disable(db, claire, administrator, now));
    assert!(given.read(|db| api_tokens::find_by_secret(db, &secret, now)).is_none());
    given.write(move |db| person::enable(db, claire, administrator, now));
    assert!(given.read(|db| api_tokens::find_in_force(db, &token.handle, now)).is_some());
    let handle = token.handle.clone();
    assert!(!given.write(move |db| api_tokens::revoke(db, administrator, &handle, now)));
    given.pass(TimeDelta::days(90));
    let later = given.now();
    assert!(given.read(|db| api_tokens::find_by_secret(db, &secret, later)).is_none());
    let handle = token.handle.clone();
    assert!(given.write(move |db| api_tokens::revoke(db, claire, &handle, now)));
    assert!(given.read(|db| api_tokens::find_by_secret(db, &secret, now)).is_none());
    assert!(given.read(|db| api_tokens::find_in_force(db, &token.handle, now)).is_none());
}

#[test]
fn u_10_adv_27_set_up_needs_its_token_and_happens_once() {
    let given = Given::empty();
    let now = given.now();
    let issue =
        |given: &Given| given.write(move |db| Ok(setup::issue_token(db, now)?.map(|token| token.expose().to_owned())));
    let first = issue(&given).unwrap();
    let second = issue(&given).unwrap();
    assert!(!given.read(|db| setup::opens(db, &first, now)), "a restart makes the earlier link worthless");
    assert!(given.read(|db| setup::opens(db, &second, now)));
    assert!(!given.read(|db| setup::opens(db, "", now)));
    let hash = passwords::hash(&Secret::new(PASSWORD.to_owned())).unwrap();
    let form = SetupForm {
        operator_name: "Logiciels Garonne".to_owned(),
        first_name: "Anne".to_owned(),
        last_name: "Martin".to_owned(),
        email: "anne@garonne.example".to_owned(),
        support_address: "support@garonne.example".to_owned(),
        time_zone: "Europe/Paris".to_owned(),
    };
    let setup = form.check(&mut accord::error::FieldErrors::default(), Locale::Fr, now).unwrap();
    let complete = |token: &str| {
        let (token, setup, hash) = (token.to_owned(), setup.clone(), hash.clone());
        given.try_write(move |db| {
            setup::complete(db, &token, &setup, &hash, &at("127.0.0.1"), &LIMITS, now).map(|entered| entered.person)
        })
    };
    assert!(matches!(complete(&first), Err(Error::NotFound)));
    let anne = complete(&second).unwrap();
    assert!(matches!(complete(&second), Err(Error::NotFound)));
    assert!(issue(&given).is_none());
    assert!(given.read(|db| roles::permissions_of(db, anne.id)).contains(&roles::Permission::ManageStaff));
    given.sign_in("anne@garonne.example", PASSWORD, "192.0.2.1").token();
}

#[test]
fn the_last_administrator_stays() {
    let (given, administrator) = Given::set_up();
    let now = given.now();
    let alone = given.try_write(move |db| person::disable(db, administrator, administrator, now));
    assert!(matches!(alone, Err(Error::Conflict(_))));
    let alone = given.try_write(move |db| staff::set_roles(db, administrator, &[], Some(administrator), now));
    assert!(matches!(alone, Err(Error::Conflict(_))));
    let second = given.customer("luc@garonne.example");
    given.write(move |db| {
        let role = roles::builtin(db, roles::BuiltinRole::Administrator)?;
        staff::set_roles(db, second, &[role, role], Some(administrator), now)
    });
    given.write(move |db| staff::set_roles(db, administrator, &[], Some(second), now));
    assert_eq!(given.read(staff::all).len(), 1);
}

#[test]
fn a4_the_acceptance_of_the_undertaking_is_recorded() {
    let (given, administrator) = Given::set_up();
    let now = given.now();
    assert_eq!(given.read(staff::all)[0].undertaking_version, None);
    given.write(move |db| staff::accept_undertaking(db, administrator, now));
    let member = given.read(staff::all).remove(0);
    assert_eq!(member.undertaking_version, Some(staff::UNDERTAKING_VERSION));
    assert_eq!(member.undertaking_accepted_at, Some(now));
    let ledger = given.read(|db| accord::audit::list(db, None, 1));
    assert_eq!(ledger[0].0.kind, "undertaking_accepted");
    let customer = given.customer("claire@exemple.fr");
    let refused = given.try_write(move |db| staff::accept_undertaking(db, customer, now));
    assert!(matches!(refused, Err(Error::Forbidden)));
}

fn registration_form() -> registration::RegistrationForm {
    registration::RegistrationForm {
        legal_name: "Ateliers du Rhône".to_owned(),
        first_name: "Claire".to_owned(),
        last_name: "Lefèvre".to_owned(),
        email: "claire@ateliers.example".to_owned(),
        telephone: "+33 4 72 00 00 00".to_owned(),
        ..registration::RegistrationForm::default()
    }
}

#[test]
fn e1_a_registration_makes_a_prospect_with_one_contact_after_its_mailbox_is_proven() {
    let given = Given::empty();
    let now = given.now();
    given.write(move |db| {
        let registration = registration_form().check(Locale::Fr)?;
        registration::request(db, &registration, &at("192.0.2.1"), now)
    });
    assert!(given.read(|db| person::find_by_address(db, &address("claire@ateliers.example"))).is_none());
    let letter = given.letters().remove(0);
    assert_eq!((letter.kind, letter.name.as_str()), (LetterKind::ConfirmRegistration, ""));
    let token = token_of(&letter);
    assert!(given.read(|db| registration::find(db, &token, now)).unwrap().needs_password);
    let hash = passwords::hash(&Secret::new(PASSWORD.to_owned())).unwrap();
    let without = token.clone();
    let refused =
        given.try_write(move |db| registration::complete(db, &without, None, &at("192.0.2.1"), &LIMITS, now).map(drop));
    assert!(matches!(refused, Err(Error::Invalid(_))));
    given.write(move |db| {
        let done = registration::complete(db, &token, Some(&hash), &at("192.0.2.1"), &LIMITS, now)?;
        assert!(matches!(done, Some(registration::Completed::SignedIn(_))));
        let again = registration::complete(db, &token, Some(&hash), &at("192.0.2.1"), &LIMITS, now)?;
        assert!(again.is_none());
        Ok(())
    });
    let person = given.read(|db| person::find_by_address(db, &address("claire@ateliers.example"))).unwrap();
    assert_eq!(person.address_confirmed_at, Some(now));
    assert_eq!(person.origin, Origin::Registration);
    let belonging = given.read(|db| memberships::belongings(db, person.id)).remove(0);
    assert!(belonging.is_contact && belonging.manages_organisation);
    let organisation = given.read(|db| organisations::find_by_handle(db, &belonging.organisation_handle)).unwrap();
    assert_eq!(organisation.status, organisations::OrganisationStatus::Prospect);
    assert_eq!(organisation.name, "Ateliers du Rhône");
}

#[test]
fn u_02_registering_a_known_address_tells_its_owner_and_nobody_else() {
    let given = Given::empty();
    let now = given.now();
    for _ in 0..2 {
        given.write(move |db| {
            let registration = registration_form().check(Locale::Fr)?;
            registration::request(db, &registration, &at("192.0.2.1"), now)
        });
    }
    let letters = given.letters();
    assert_eq!(letters.len(), 2);
    let hash = passwords::hash(&Secret::new(PASSWORD.to_owned())).unwrap();
    let token = token_of(&letters[0]);
    given.write(move |db| registration::complete(db, &token, Some(&hash), &at("192.0.2.1"), &LIMITS, now).map(drop));
    given.write(move |db| {
        let registration = registration_form().check(Locale::Fr)?;
        registration::request(db, &registration, &at("192.0.2.1"), now)
    });
    let letter = given.letters().remove(0);
    assert_eq!((letter.kind, letter.path.as_deref()), (LetterKind::AlreadyRegistered, Some("/fr/sign-in")));
}

#[test]
fn somebody_who_wrote_before_registers_and_keeps_what_was_known() {
    let given = Given::empty();
    let now = given.now();
    let known = given.write(move |db| {
        let claire = address("claire@ateliers.example");
        person::find_or_create_by_address(db, &claire, "C. Lefèvre", Origin::Mail, Locale::Fr, now)
    });
    given.write(move |db| {
        let registration = registration_form().check(Locale::Fr)?;
        registration::request(db, &registration, &at("192.0.2.1"), now)
    });
    let letter = given.letters().remove(0);
    assert_eq!(letter.kind, LetterKind::ConfirmRegistration);
    let (token, hash) = (token_of(&letter), passwords::hash(&Secret::new(PASSWORD.to_owned())).unwrap());
    given.write(move |db| registration::complete(db, &token, Some(&hash), &at("192.0.2.1"), &LIMITS, now).map(drop));
    let person = given.read(|db| person::by_id(db, known.id));
    assert_eq!((person.first_name.as_str(), person.telephone.as_str()), ("C.", "+33 4 72 00 00 00"));
    assert_eq!(given.read(|db| memberships::belongings(db, known.id)).len(), 2);
}

#[test]
fn an_invited_colleague_joins_when_they_accept_and_the_inviter_learns_nothing() {
    let given = Given::empty();
    let (now, claire, marc) = (given.now(), given.customer("claire@exemple.fr"), given.customer("marc@exemple.fr"));
    let organisation = given.write(move |db| {
        let information = organisations::Information::named("Ateliers du Rhône", Locale::Fr);
        let organisation = organisations::create(db, &information, organisations::Contract::NONE, None, now)?;
        memberships::add(db, claire, organisation.id, memberships::Rights::ALL, None, now)?;
        Ok(organisation.id)
    });
    for text in ["marc@exemple.fr", "neuf@exemple.fr"] {
        given.write(move |db| {
            let new = invitations::NewMember {
                last_name: "Durand".to_owned(),
                address: text.to_owned(),
                ..invitations::NewMember::default()
            };
            invitations::invite_member(db, organisation, &new, claire, now)
        });
        let members = given.read(|db| memberships::members(db, organisation, None, 10));
        assert_eq!(members.rows.iter().filter(|member| member.address == text).count(), 0);
        let letter = given.letters().remove(0);
        assert_eq!(letter.kind, LetterKind::MemberInvitation);
        assert_eq!(letter.organisation.as_deref(), Some("Ateliers du Rhône"));
        assert_eq!(letter.by.as_deref(), Some("Claire Lefèvre"));
        let token = token_of(&letter);
        let pending = given.read(|db| invitations::find(db, &token, now)).unwrap();
        assert_eq!(pending.needs_password, text.starts_with("neuf"));
        let hash = passwords::hash(&Secret::new("un autre mot, plus long".to_owned())).unwrap();
        given.write(move |db| {
            let accepted = invitations::accept(db, &token, Some(&hash), &at("192.0.2.9"), &LIMITS, Locale::Fr, now)?;
            let signed_in = matches!(accepted, Some(invitations::Accepted::SignedIn(_)));
            assert_eq!(
                signed_in,
                text.starts_with("neuf"),
                "an invitation never signs in to an account that was there"
            );
            Ok(())
        });
        let members = given.read(|db| memberships::members(db, organisation, None, 10));
        assert_eq!(members.rows.iter().filter(|member| member.address == text).count(), 1);
    }
    // The password that Marc had is still his.
    given.sign_in("marc@exemple.fr", PASSWORD, "192.0.2.9").token();
    assert_eq!(given.read(|db| memberships::belongings(db, marc)).len(), 2);
}

#[test]
fn an_invitation_from_staff_is_to_the_person_alone() {
    let (given, administrator) = Given::set_up();
    let now = given.now();
    let luc = given.write(move |db| {
        let new = NewPerson {
            last_name: "Petit".to_owned(),
            ..NewPerson::at(address("luc@garonne.example"), Locale::Fr, Origin::Staff)
        };
        let luc = person::create(db, &new, None, Some(administrator), now)?;
        invitations::invite(db, luc.id, administrator, now)?;
        Ok(luc.id)
    });
    let letter = given.letters().remove(0);
    assert_eq!((letter.kind, letter.by.as_deref()), (LetterKind::Invitation, Some("Anne Martin")));
    let token = token_of(&letter);
    given.pass(TimeDelta::hours(71));
    let now = given.now();
    let hash = passwords::hash(&Secret::new(PASSWORD.to_owned())).unwrap();
    given.write(move |db| {
        let accepted = invitations::accept(db, &token, Some(&hash), &at("192.0.2.9"), &LIMITS, Locale::Fr, now)?;
        let Some(invitations::Accepted::SignedIn(signed_in)) = accepted else { panic!("not signed in") };
        assert_eq!(signed_in.person.id, luc);
        Ok(())
    });
}

#[test]
fn adv_09_a_sign_in_link_dies_with_the_address_it_was_sent_to() {
    let given = Given::empty();
    let (now, id) = (given.now(), given.customer("claire@exemple.fr"));
    given.write(move |db| sign_in::request_link(db, &address("claire@exemple.fr"), "/x", &at("192.0.2.1"), now));
    let token = token_of(&given.letters()[0]);
    given.write(move |db| {
        let person = person::by_id(db, id)?;
        addresses::change(db, &person, &address("claire@neuf.example"), now)?;
        addresses::remove(db, id, &address("claire@exemple.fr"), now)
    });
    let used = given.write(move |db| sign_in::by_link(db, &token, &at("192.0.2.1"), &LIMITS, now).map(|u| u.is_some()));
    assert!(!used);
}
