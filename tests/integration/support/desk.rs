//! A desk in use: an operator with two agents, a customer company with two people, and mail that comes and goes.

use accord::access::{self, Actor};
use accord::db::types::{OrganisationId, PersonId, TicketId};
use accord::error::FieldErrors;
use accord::i18n::Locale;
use accord::intake::addressing;
use accord::journal::{self, Acceptance, NewMail, Recipient, Way};
use accord::mail::address::EmailAddress;
use accord::mail::incoming::{self, ParsedMail};
use accord::mail::transport::{MailMemory, SentMail, Transport};
use accord::notifications::Letterhead;
use accord::people::memberships::Rights;
use accord::people::organisations::{self, Contract, Information};
use accord::people::person::{self, NewPerson, Origin};
use accord::people::roles::{self, BuiltinRole};
use accord::people::setup::{self, SetupForm};
use accord::people::staff;
use accord::teams::queues::QueueKind;
use accord::teams::{defaults, members, queues};
use accord::tickets::messages::{self, Message, NewReply, Reading, ReplyOutcome, Words};
use accord::tickets::status::Status;
use accord::tickets::ticket::{self, Ticket};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;

use super::TestApp;

/// Where customers write to.
pub const SUPPORT: &str = "support@garonne.example";
/// The name under which the mail server in front writes its results.
pub const AUTHSERV: &str = "mx.garonne.example";

/// An installation at work.
pub struct Desk {
    pub test: TestApp,
    pub administrator: PersonId,
    /// Zoé, an agent of the support queue.
    pub zoe: PersonId,
    /// Yves, an agent of the sales queue only.
    pub yves: PersonId,
    /// A customer company.
    pub acme: OrganisationId,
    /// Claire of ACME, who proved to read mail at claire@acme.example.
    pub claire: PersonId,
    /// Bob of ACME, likewise.
    pub bob: PersonId,
}

impl Desk {
    pub fn open() -> Desk {
        Desk::with_settings(&format!("[mail]\ntrusted_authserv_id = \"{AUTHSERV}\""))
    }

    pub fn with_settings(settings: &str) -> Desk {
        Desk::at(SUPPORT, settings)
    }

    /// The desk of another operator, to which customers write at `support`.
    pub fn at(support: &str, settings: &str) -> Desk {
        Desk::on(TestApp::with_settings(settings), support)
    }

    /// The same on an installation that is there.
    pub fn on(test: TestApp, support: &str) -> Desk {
        let (now, support) = (test.now(), support.to_owned());
        let (administrator, zoe, yves, acme, claire, bob) = test.write(move |db| {
            let mut errors = FieldErrors::default();
            let form = SetupForm {
                operator_name: "Logiciels Garonne".to_owned(),
                first_name: "Anne".to_owned(),
                last_name: "Martin".to_owned(),
                email: "anne@staff.example".to_owned(),
                support_address: support.clone(),
                time_zone: String::new(),
            };
            let first = form.check(&mut errors, Locale::Fr, now).expect("a form without faults");
            let administrator = setup::create_first(db, &first, now)?;
            defaults::create_defaults(db, &first.support_address, Locale::Fr, now)?;
            let operator = organisations::find_operator(db)?.expect("set up");
            let agent = |db: &mut accord::db::DbConnection, name: (&str, &str), at: &str, kind| {
                let new = NewPerson {
                    first_name: name.0.to_owned(),
                    last_name: name.1.to_owned(),
                    address_confirmed_at: Some(now),
                    ..NewPerson::at(address(at), Locale::Fr, Origin::Staff)
                };
                let agent = person::create(db, &new, Some((operator, Rights::default())), None, now)?;
                let role = roles::builtin(db, BuiltinRole::Agent)?;
                staff::set_roles(db, agent.id, &[role], None, now)?;
                staff::accept_undertaking(db, agent.id, now)?;
                let queue = queues::find_by_kind(db, kind)?.expect("every kind has a queue");
                members::add(db, &queue, agent.id, None, now)?;
                Ok::<_, accord::error::Error>(agent.id)
            };
            let zoe = agent(db, ("Zoé", "Petit"), "zoe@staff.example", QueueKind::Support)?;
            let yves = agent(db, ("Yves", "Grand"), "yves@staff.example", QueueKind::Sales)?;
            let information = Information::named("ACME", Locale::Fr);
            let acme = organisations::create(db, &information, Contract::NONE, None, now)?.id;
            let customer = |db: &mut accord::db::DbConnection, name: (&str, &str), at: &str| {
                let new = NewPerson {
                    first_name: name.0.to_owned(),
                    last_name: name.1.to_owned(),
                    address_confirmed_at: Some(now),
                    ..NewPerson::at(address(at), Locale::Fr, Origin::Staff)
                };
                person::create(db, &new, Some((acme, Rights::default())), None, now).map(|person| person.id)
            };
            let claire = customer(db, ("Claire", "Lefèvre"), "claire@acme.example")?;
            let bob = customer(db, ("Bob", "Durand"), "bob@acme.example")?;
            Ok((administrator, zoe, yves, acme, claire, bob))
        });
        Desk { test, administrator, zoe, yves, acme, claire, bob }
    }

    /// The disk is full, as far as SQLite is concerned: its file may not grow. `false` on a server, whose disk is not ours.
    pub fn fill_disk(&self) -> bool {
        self.limit_pages(1)
    }

    /// There is room again.
    pub fn make_room(&self) {
        self.limit_pages(1 << 30);
    }

    fn limit_pages(&self, pages: u32) -> bool {
        let is_sqlite = self.test.app.database.url().is_sqlite();
        if is_sqlite {
            self.test.write(move |db| Ok(db.batch_execute(&format!("PRAGMA max_page_count = {pages}"))?));
        }
        is_sqlite
    }

    /// A mail is handed over and everything that follows from it is done.
    pub fn receive(&self, letter: &Letter) -> Acceptance {
        let acceptance = self.accept(letter);
        self.test.run_jobs();
        acceptance
    }

    /// A mail is handed over; nothing follows yet.
    pub fn accept(&self, letter: &Letter) -> Acceptance {
        self.accept_bytes(&letter.recipient, &letter.envelope_from, letter.bytes())
    }

    /// A mail of these bytes is handed over; nothing follows yet.
    pub fn accept_bytes(&self, recipient: &str, envelope_from: &str, bytes: Vec<u8>) -> Acceptance {
        let letterhead = self.letterhead();
        let mailbox = self
            .test
            .read(|db| addressing::mailbox_for(db, &letterhead, recipient))
            .unwrap_or_else(|| panic!("nobody takes mail for {recipient}"));
        let recipients = vec![Recipient { mailbox, address: recipient.to_owned() }];
        let mail = NewMail::new(recipients, envelope_from.to_owned(), Way::Lmtp, bytes);
        let now = self.test.now();
        self.test.write(move |db| journal::accept(db, &mail, now))[0]
    }

    pub fn letterhead(&self) -> Letterhead {
        Letterhead::new(&self.test.app.keys, &self.test.app.config)
    }

    pub fn memory(&self) -> &MailMemory {
        match &self.test.app.transport {
            Transport::Memory(memory) => memory,
            _ => panic!("tests send into memory"),
        }
    }

    /// The mails sent since the last look.
    pub fn sent(&self) -> Vec<Sent> {
        self.memory().take().into_iter().map(Sent::read).collect()
    }

    /// The mails sent since the last look to one address.
    pub fn sent_to(&self, recipient: &str) -> Vec<Sent> {
        self.sent().into_iter().filter(|sent| sent.recipient == recipient).collect()
    }

    /// All tickets, the oldest first.
    pub fn tickets(&self) -> Vec<Ticket> {
        self.test.read(|db| {
            Ok(access::visible_to(&Actor::System).order(accord::db::schema::tickets::id).load::<Ticket>(db)?)
        })
    }

    /// The only ticket there is.
    pub fn ticket(&self) -> Ticket {
        let mut tickets = self.tickets();
        assert_eq!(tickets.len(), 1, "{tickets:?}");
        tickets.remove(0)
    }

    pub fn ticket_again(&self, id: TicketId) -> Ticket {
        self.test.read(|db| ticket::by_id(db, id))
    }

    /// Everything said in the ticket.
    pub fn messages(&self, ticket: &Ticket) -> Vec<Message> {
        self.test.read(|db| messages::of_ticket(db, ticket, Reading::Everything, 1_000))
    }

    /// What its customers read of it.
    pub fn public_messages(&self, ticket: &Ticket) -> Vec<Message> {
        self.test.read(|db| messages::of_ticket(db, ticket, Reading::Public, 1_000))
    }

    pub fn actor(&self, person: PersonId) -> Actor {
        self.test.read(|db| access::actor_of(db, person))
    }

    /// Zoé answers the ticket; everything that follows is done.
    pub fn answer(&self, ticket: &Ticket, text: &str, status: Status) {
        self.answer_quietly(ticket, text, status);
        self.test.run_jobs();
    }

    /// Zoé answers the ticket; nothing follows yet.
    pub fn answer_quietly(&self, ticket: &Ticket, text: &str, status: Status) {
        let (ticket, by, now) = (self.ticket_again(ticket.id), self.actor(self.zoe), self.test.now());
        let reply = NewReply {
            words: Words::on_page(text),
            attachments: Vec::new(),
            seen: ticket.message_count,
            status,
            mail_id: None,
            ingest: None,
        };
        let outcome = self.test.write(move |db| messages::add_reply(db, &ticket, reply.clone(), &by, now));
        assert!(matches!(outcome, ReplyOutcome::Sent(_)), "{outcome:?}");
    }
}

/// A mail from outside.
#[derive(Clone, Debug)]
pub struct Letter {
    pub recipient: String,
    pub envelope_from: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Letter {
    /// From this address to support, as a person would write it.
    pub fn from(from: &str) -> Letter {
        let bare = from.rsplit_once('<').map_or(from, |(_, address)| address.trim_end_matches('>'));
        Letter {
            recipient: SUPPORT.to_owned(),
            envelope_from: bare.to_owned(),
            headers: vec![
                ("From".to_owned(), from.to_owned()),
                ("To".to_owned(), SUPPORT.to_owned()),
                ("Subject".to_owned(), "Écran noir".to_owned()),
                ("Date".to_owned(), "Mon, 23 Nov 2026 08:00:00 +0000".to_owned()),
                ("Message-ID".to_owned(), format!("<{}@client.example>", accord::secret::random_handle())),
                ("MIME-Version".to_owned(), "1.0".to_owned()),
                ("Content-Type".to_owned(), "text/plain; charset=utf-8".to_owned()),
            ],
            body: "Bonjour,\r\n\r\nmon écran reste noir.\r\n".to_owned(),
        }
    }

    /// Sets a header, or takes it away with nothing.
    pub fn header(mut self, name: &str, value: &str) -> Letter {
        self.headers.retain(|(existing, _)| !existing.eq_ignore_ascii_case(name));
        if !value.is_empty() {
            self.headers.push((name.to_owned(), value.to_owned()));
        }
        self
    }

    /// Adds a header beside those of the same name, at the top, as a mail server on the way does.
    pub fn on_top(mut self, name: &str, value: &str) -> Letter {
        self.headers.insert(0, (name.to_owned(), value.to_owned()));
        self
    }

    pub fn subject(self, subject: &str) -> Letter {
        self.header("Subject", subject)
    }

    pub fn id(&self) -> &str {
        &self.headers.iter().find(|(name, _)| name == "Message-ID").expect("a letter has an id").1
    }

    pub fn text(mut self, text: &str) -> Letter {
        self.body = text.to_owned();
        self
    }

    /// The envelope's recipient and the header's.
    pub fn to(self, recipient: &str) -> Letter {
        Letter { recipient: recipient.to_owned(), ..self.header("To", recipient) }
    }

    /// The envelope's sender; `<>` is the null sender.
    pub fn envelope(mut self, from: &str) -> Letter {
        self.envelope_from = from.to_owned();
        self
    }

    /// The mail server in front found that the sender's domain stands by it, or that it does not.
    pub fn authenticated(self, result: &str) -> Letter {
        let from = &self.headers.iter().find(|(name, _)| name == "From").expect("a sender").1;
        let domain = from.rsplit_once('@').expect("an address").1.trim_end_matches('>').to_owned();
        let policy = if result == "fail" { " (p=reject)" } else { "" };
        let value = match result {
            "fail" => format!("{AUTHSERV}; dmarc=fail{policy} policy.dmarc=reject header.from={domain}"),
            result => format!("{AUTHSERV}; dmarc={result} header.from={domain}"),
        };
        self.on_top("Authentication-Results", &value)
    }

    /// An answer to a mail of ours, as a client writes it: to its Reply-To, with its id, quoting it.
    pub fn answering(from: &str, sent: &Sent) -> Letter {
        let to = sent.reply_to();
        let subject = format!("Re: {}", sent.mail.subject);
        let quoted: String = sent.mail.text.lines().map(|line| format!("> {line}\r\n")).collect();
        let id = sent.mail.message_id.clone().expect("our mails have ids");
        Letter::from(from)
            .to(&to)
            .subject(&subject)
            .header("In-Reply-To", &id)
            .header("References", &id)
            .text(&format!("Merci, cela fonctionne.\r\n\r\nLe lundi 23 novembre 2026, support a écrit :\r\n{quoted}"))
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut text = String::new();
        for (name, value) in &self.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        text.push_str(&self.body);
        text.into_bytes()
    }
}

/// A mail that left.
#[derive(Clone, Debug)]
pub struct Sent {
    pub recipient: String,
    pub envelope_from: String,
    pub raw: String,
    pub bytes: Vec<u8>,
    pub mail: ParsedMail,
}

impl Sent {
    fn read(sent: SentMail) -> Sent {
        Sent {
            recipient: sent.recipient,
            envelope_from: sent.envelope_from,
            raw: String::from_utf8_lossy(&sent.bytes).into_owned(),
            mail: incoming::parse(&sent.bytes),
            bytes: sent.bytes,
        }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let name = name.to_ascii_lowercase();
        self.mail.headers.iter().find(|(found, _)| *found == name).map(|(_, value)| value.as_str())
    }

    /// The signed address that answers go to.
    pub fn reply_to(&self) -> String {
        let reply_to = self.mail.reply_to.first().expect("a mail of a ticket has a Reply-To");
        reply_to.identity.as_ref().expect("a plain address").as_str().to_owned()
    }
}

pub fn address(text: &str) -> EmailAddress {
    EmailAddress::parse(text).unwrap()
}
