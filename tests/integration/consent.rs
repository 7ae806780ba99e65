//! The life of a consent: an agent asks, the customer answers on a page, what was granted ends, and all of it is on record.

mod asked;
mod choices;
mod ends;
mod laws;
mod line;
mod record;
mod states;

use accord::access::Actor;
use accord::consent::asking::{self, Terms};
use accord::consent::granting::{self, Choice, Outcome};
use accord::consent::scope::{PurposeCode, Recipients};
use accord::consent::{Component, ConsentRequest, Grant, Level, Scope, Subject, grants};
use accord::db::DbConnection;
use accord::db::types::PersonId;
use accord::error::{Error, Result};
use accord::i18n::Locale;
use accord::mail::incoming::{self, ParsedMail};
use accord::mail::transport::Transport;
use accord::people::person;
use accord::tickets::ticket::{self, Ticket};
use accord::worker::recurring;
use chrono::TimeDelta;
use diesel::connection::SimpleConnection;

use crate::support::TestApp;
use crate::support::cast::Cast;

/// An installation in which Léa takes care of a ticket of Paul's.
struct Story {
    test: TestApp,
    cast: Cast,
    ticket: Ticket,
}

/// A mail that left.
struct Sent {
    to: String,
    mail: ParsedMail,
    raw: String,
}

impl Sent {
    /// The path of ours below `start` that the mail leads to.
    fn path(&self, start: &str) -> String {
        let at = self.mail.text.find(start).unwrap_or_else(|| panic!("no {start} in\n{}", self.mail.text));
        let rest = &self.mail.text[at..];
        rest.split_whitespace().next().unwrap().to_owned()
    }
}

impl Story {
    fn begin() -> Story {
        let (test, cast) = TestApp::with_cast();
        let paul = test.read(|db| person::by_id(db, cast.paul));
        let ticket = test.given().ticket(&paul, "Écran noir", "Rien ne s'affiche.");
        let lea = test.actor(cast.lea);
        let (now, asked) = (test.now(), ticket.clone());
        let agent = cast.lea;
        test.write(move |db| accord::tickets::assignment::assign(db, &asked, Some(agent), &lea, now));
        test.run_jobs();
        let story = Story { ticket: test.read(|db| ticket::by_id(db, ticket.id)), test, cast };
        story.sent();
        story
    }

    fn ticket(&self) -> Ticket {
        self.test.read(|db| ticket::by_id(db, self.ticket.id))
    }

    /// The usual question about `subject`.
    fn terms(&self, subject: Subject) -> Terms {
        Terms {
            subject,
            purpose: "Comprendre pourquoi l'écran reste noir".to_owned(),
            purpose_code: PurposeCode::Fault,
            scope: Scope::of(&[Component::Pages, Component::Sql], Level::Debug, Vec::new()),
            duration_minutes: 60,
            retention_days: 7,
            recipients: Recipients::Queue(self.ticket.queue_id),
            exports_allowed: true,
            stop_condition: String::new(),
            idle_minutes: None,
        }
    }

    fn ask(&self, terms: Terms) -> ConsentRequest {
        let (lea, ticket, now) = (self.test.actor(self.cast.lea), self.ticket(), self.test.now());
        self.test.write(move |db| asking::ask(db, &ticket, &terms, &lea, now))
    }

    /// Asks about the whole organisation.
    fn ask_all(&self) -> ConsentRequest {
        self.ask(self.terms(Subject::Organisation))
    }

    /// `person` grants, having read the text as it stands.
    fn grant(&self, request: &ConsentRequest, choice: Option<Choice>, person: PersonId) -> Result<Outcome> {
        let by = self.test.actor(person);
        self.grant_as(request, choice, by)
    }

    fn grant_as(&self, request: &ConsentRequest, choice: Option<Choice>, by: Actor) -> Result<Outcome> {
        let request = self.again(request);
        let seen = self.test.read(|db| granting::notice_for(db, &request, Locale::Fr)).sha256;
        let (app, now) = (self.test.app.clone(), self.test.now());
        self.test
            .app
            .database
            .write_now(move |db| granting::grant(db, &app.keys, &request, choice.as_ref(), &seen, Locale::Fr, &by, now))
    }

    /// Claire grants all that was asked.
    fn granted(&self, request: &ConsentRequest) -> Grant {
        match self.grant(request, None, self.cast.claire) {
            Ok(Outcome::Granted(grant)) => *grant,
            other => panic!("{other:?}"),
        }
    }

    fn again(&self, request: &ConsentRequest) -> ConsentRequest {
        self.test.read(|db| asking::by_id(db, request.id))
    }

    fn grant_of(&self, request: &ConsentRequest) -> Option<Grant> {
        self.test.read(|db| grants::of_request(db, request.id))
    }

    /// Time passes; what recurs is done, and what follows from it.
    fn pass(&self, time: TimeDelta) {
        self.test.clock.advance(time);
        recurring::run_due(&self.test.app, self.test.now()).unwrap();
        self.test.run_jobs();
    }

    /// The mails sent since the last look.
    fn sent(&self) -> Vec<Sent> {
        self.test.run_jobs();
        let Transport::Memory(memory) = &self.test.app.transport else { panic!("tests send into memory") };
        let sent = memory.take().into_iter();
        sent.map(|sent| Sent {
            to: sent.recipient.clone(),
            mail: incoming::parse(&sent.bytes),
            raw: String::from_utf8_lossy(&sent.bytes).into_owned(),
        })
        .collect()
    }

    fn sent_to(&self, address: &str) -> Vec<Sent> {
        self.sent().into_iter().filter(|sent| sent.to == address).collect()
    }

    /// Runs SQL that no code of ours would; says what the database thought of it.
    fn try_sql(&self, sql: String) -> Result<()> {
        self.test.app.database.write_now(move |db| Ok(db.batch_execute(&sql)?))
    }

    /// The SQL must be refused by a rule of the schema.
    fn refused(&self, sql: &str) {
        assert!(self.try_sql(sql.to_owned()).is_err(), "the database takes {sql}");
    }

    /// The same by the rule whose refusal has this word in it.
    fn refused_by(&self, sql: &str, word: &str) {
        match self.try_sql(sql.to_owned()) {
            Ok(()) => panic!("the database takes {sql}"),
            Err(error) => assert!(format!("{error:?}").contains(word), "{sql} is refused by another rule: {error:?}"),
        }
    }

    fn taken(&self, sql: &str) {
        if let Err(error) = self.try_sql(sql.to_owned()) {
            panic!("the database refuses {sql}: {error:?}");
        }
    }
}

/// Takes a rule of the schema away, as somebody with the database in their hands could.
fn without_rule(db: &mut DbConnection, rule: &str, table: &str) -> Result<()> {
    let sql = match db {
        DbConnection::Sqlite(_) => format!("DROP TRIGGER {rule}"),
        DbConnection::Postgres(_) => format!("DROP TRIGGER {rule} ON {table}"),
    };
    Ok(db.batch_execute(&sql)?)
}

fn is_conflict<T: std::fmt::Debug>(outcome: &Result<T>, key: &str) -> bool {
    matches!(outcome, Err(Error::Conflict(message)) if message.key == key)
}
