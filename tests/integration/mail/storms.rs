//! A day of machines that answer each other (LP-07, FT-19): two desks that are each other's customers, relays that take
//! the marks of machines away, people who are away and addresses that bounce whatever comes. Each time it has to end by
//! itself, soon.

use accord::db::DbConnection;
use accord::i18n::Locale;
use accord::mail::incoming;
use accord::outbox::listing;
use accord::people::memberships::Rights;
use accord::people::organisations::{self, Contract, Information};
use accord::people::person::{self, NewPerson, Origin};
use accord::queue;
use accord::teams::members;
use accord::teams::queues::{self, QueueKind};
use accord::tickets::events::{self, EventKind};
use accord::tickets::participants;
use accord::tickets::status::Status;
use chrono::TimeDelta;

use crate::support::desk::{AUTHSERV, Desk, Letter, SUPPORT, Sent, address};

/// The other operator's mailbox and reply domain.
const LOIRE: &str = "support@loire.example";
const LOIRE_REPLIES: &str = "reply.loire.example";
const GARONNE_REPLIES: &str = "reply.desk.example";
const CLAIRE: &str = "claire@acme.example";
const BOB: &str = "bob@acme.example";
const ZOE: &str = "zoe@staff.example";
/// What one side may send in a storm.
const MOST_MAILS: usize = 10;
/// What one side may make of a storm.
const MOST_TICKETS: usize = 2;
/// What one person may be mailed of what others write in a ticket, while nothing but mail happens there.
const MOST_NEWS: usize = 10;

/// What the relay between everybody does to a mail.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Relay {
    KeepsHeaders,
    StripsMarks,
    StripsAndRewrites,
}

/// Who answers whatever comes to an address.
#[derive(Clone, Copy, Debug)]
enum Habit {
    /// Away, answering where answers are wanted.
    AwayToReplyTo,
    /// Away, answering the sender and naming no mail but in the subject.
    AwayToFrom,
    /// Away, answering the sender under a subject of its own, with what it answers quoted below.
    AwayQuoting,
    /// Away, answering the sender in the same words each time, with nothing of what it answers.
    AwayInFixedWords,
    /// Away, answering where answers are wanted, in other words each time.
    AwayInOtherWords,
    /// What has a sender comes back to it from a mail system, in a report after RFC 3464.
    BouncesByTheBook,
    /// Everything comes back to whom From names, from a mail system that calls it no report.
    BouncesToFrom,
    /// Everything comes back to whom From names, from the address itself and without a mark.
    BouncesUnmarked,
}

struct Mail {
    from: String,
    to: String,
    bytes: Vec<u8>,
}

impl Mail {
    fn of(letter: &Letter) -> Mail {
        Mail { from: letter.envelope_from.clone(), to: letter.recipient.clone(), bytes: letter.bytes() }
    }
}

/// One desk in it, with all that it sent.
struct Side {
    desk: Desk,
    support: &'static str,
    reply_domain: &'static str,
    sent: Vec<Sent>,
}

struct Storm {
    sides: Vec<Side>,
    relay: Relay,
    /// How long a mail is on its way.
    latency: TimeDelta,
    /// Whether the senders' domains stand by what comes.
    authenticated: bool,
    habits: Vec<(&'static str, Habit)>,
    under_way: Vec<Mail>,
    /// Mails from one desk to another.
    crossing: usize,
    last_sent: TimeDelta,
}

impl Storm {
    /// Two desks, each the other's customer.
    fn between_two_desks(relay: Relay, latency: TimeDelta, authenticated: bool) -> Storm {
        let settings = format!("[mail]\ntrusted_authserv_id = \"{AUTHSERV}\"");
        let garonne = Desk::at(SUPPORT, &settings);
        let loire = Desk::at(LOIRE, &format!("{settings}\nreply_domain = \"{LOIRE_REPLIES}\""));
        has_as_a_customer(&garonne, LOIRE);
        has_as_a_customer(&loire, SUPPORT);
        let sides = vec![
            Side { desk: garonne, support: SUPPORT, reply_domain: GARONNE_REPLIES, sent: Vec::new() },
            Side { desk: loire, support: LOIRE, reply_domain: LOIRE_REPLIES, sent: Vec::new() },
        ];
        Storm { relay, authenticated, ..Storm::over(sides, latency) }
    }

    /// One desk whose people have habits.
    fn at_one_desk(desk: Desk, latency: TimeDelta) -> Storm {
        Storm::over(vec![Side { desk, support: SUPPORT, reply_domain: GARONNE_REPLIES, sent: Vec::new() }], latency)
    }

    fn over(sides: Vec<Side>, latency: TimeDelta) -> Storm {
        Storm {
            sides,
            relay: Relay::StripsMarks,
            latency,
            authenticated: false,
            habits: Vec::new(),
            under_way: Vec::new(),
            crossing: 0,
            last_sent: TimeDelta::zero(),
        }
    }

    fn with(mut self, address: &'static str, habit: Habit) -> Storm {
        self.habits.push((address, habit));
        self
    }

    fn desk(&self) -> &Desk {
        &self.sides[0].desk
    }

    /// The letter is on its way.
    fn send(&mut self, letter: &Letter) {
        self.under_way.push(Mail::of(letter));
    }

    /// 24 hours pass.
    fn rage(&mut self) {
        let mut passed = TimeDelta::zero();
        self.collect(passed);
        while passed < TimeDelta::hours(24) {
            let step = if self.under_way.is_empty() { TimeDelta::hours(1) } else { self.latency };
            passed += step;
            for side in &self.sides {
                side.desk.test.clock.advance(step);
            }
            for mail in std::mem::take(&mut self.under_way) {
                self.deliver(mail);
            }
            self.collect(passed);
            for side in &self.sides {
                assert!(side.sent.len() <= 60, "{} does not stop", side.support);
            }
        }
    }

    /// All work is done, and what was sent is on its way.
    fn collect(&mut self, passed: TimeDelta) {
        let mut under_way = Vec::new();
        for side in &mut self.sides {
            side.desk.test.run_jobs();
            for sent in side.desk.sent() {
                self.last_sent = passed;
                let (from, to) = (sent.envelope_from.clone(), sent.recipient.clone());
                under_way.push(Mail { from, to, bytes: sent.bytes.clone() });
                side.sent.push(sent);
            }
        }
        self.crossing += under_way.iter().filter(|mail| self.side_at(&mail.to).is_some()).count();
        self.under_way.extend(under_way);
    }

    fn side_at(&self, recipient: &str) -> Option<usize> {
        let domain = recipient.rsplit_once('@').map(|(_, domain)| domain);
        self.sides.iter().position(|side| side.support == recipient || Some(side.reply_domain) == domain)
    }

    /// To a desk through the relay; to somebody with a habit; or to somebody who reads it, and that is all.
    fn deliver(&mut self, mail: Mail) {
        if let Some(side) = self.side_at(&mail.to) {
            let mail = self.relayed(mail);
            self.sides[side].desk.accept_bytes(&mail.to, &mail.from, mail.bytes);
            return;
        }
        let habit = self.habits.iter().find(|(address, _)| *address == mail.to).map(|(_, habit)| *habit);
        self.under_way.extend(habit.and_then(|habit| answer(habit, mail)));
    }

    fn relayed(&self, mail: Mail) -> Mail {
        let text = String::from_utf8(mail.bytes).expect("the test's mails are text");
        let (head, body) = text.split_once("\r\n\r\n").expect("a header and a body");
        let parsed = incoming::parse(text.as_bytes());
        let mut fields: Vec<String> = Vec::new();
        for line in head.split("\r\n") {
            match fields.last_mut() {
                Some(field) if line.starts_with([' ', '\t']) => {
                    field.push_str("\r\n");
                    field.push_str(line);
                }
                _ => fields.push(line.to_owned()),
            }
        }
        let name = |field: &str| field.split(':').next().unwrap_or_default().to_ascii_lowercase();
        if self.relay != Relay::KeepsHeaders {
            fields.retain(|field| {
                let name = name(field);
                let is_mark = name.starts_with("x-") || name.starts_with("list-");
                !is_mark && !["auto-submitted", "precedence"].contains(&name.as_str())
            });
        }
        let mut from = mail.from;
        if self.relay == Relay::StripsAndRewrites {
            fields.retain(|field| {
                !["message-id", "references", "in-reply-to", "subject", "return-path"].contains(&name(field).as_str())
            });
            fields.push(format!("Message-ID: <{}@relay.example>", accord::secret::random_handle()));
            let subject = parsed.subject.rsplit("] ").next().unwrap_or_default();
            fields.push(format!("Subject: [EXT] {subject}"));
            from = "srs0@relay.example".to_owned();
        }
        if self.authenticated
            && let Some(identity) = &parsed.from.identity
        {
            let domain = identity.domain();
            fields.insert(0, format!("Authentication-Results: {AUTHSERV}; dmarc=pass header.from={domain}"));
        }
        Mail { from, to: mail.to, bytes: format!("{}\r\n\r\n{body}", fields.join("\r\n")).into_bytes() }
    }

    /// It is over: little came of it, and nothing is left to do.
    fn is_over(&self, most_tickets: usize, what: &str) {
        self.is_small(most_tickets, what);
        self.is_silent(what);
    }

    /// Little was sent, and little was made of it.
    fn is_small(&self, most_tickets: usize, what: &str) {
        for side in &self.sides {
            let told: Vec<&str> = side.sent.iter().map(|sent| sent.recipient.as_str()).collect();
            assert!(told.len() <= MOST_MAILS, "{what}: {} sent {told:?}", side.support);
            let tickets = side.desk.tickets();
            let subjects: Vec<&str> = tickets.iter().map(|ticket| ticket.subject.as_str()).collect();
            assert!(subjects.len() <= most_tickets, "{what}: {} has {subjects:?}", side.support);
        }
    }

    /// Nothing is left to do, and nothing was sent for hours.
    fn is_silent(&self, what: &str) {
        for side in &self.sides {
            let now = side.desk.test.now();
            let work = |db: &mut DbConnection| {
                Ok((queue::oldest_due(db, now)?, queue::counts(db)?.1, listing::counts(db)?.waiting))
            };
            assert_eq!(side.desk.test.read(work), (None, 0, 0), "{what}: {} is still at work", side.support);
        }
        assert!(self.under_way.is_empty(), "{what}: mail is still under way");
        assert!(self.last_sent < TimeDelta::hours(20), "{what}: it went on until {}", self.last_sent);
    }
}

/// `address` belongs to somebody who proved to read mail there.
fn has_as_a_customer(desk: &Desk, at: &'static str) {
    let now = desk.test.now();
    desk.test.write(move |db| {
        let company = organisations::create(db, &Information::named("Autre", Locale::Fr), Contract::NONE, None, now)?;
        let new = NewPerson {
            first_name: "Autre".to_owned(),
            last_name: "Support".to_owned(),
            address_confirmed_at: Some(now),
            ..NewPerson::at(address(at), Locale::Fr, Origin::Staff)
        };
        person::create(db, &new, Some((company.id, Rights::default())), None, now).map(drop)
    });
}

/// What comes of a mail that arrives where somebody has this habit.
fn answer(habit: Habit, mail: Mail) -> Option<Mail> {
    let read = incoming::parse(&mail.bytes);
    let from = read.from.identity.as_ref()?.as_str().to_owned();
    let reply_to = read.reply_to.first().and_then(|to| to.identity.as_ref()).map_or(&*from, |to| to.as_str());
    let quoted: String = read.text.lines().map(|line| format!("> {line}\r\n")).collect();
    let away = Letter::from(&mail.to)
        .subject(&format!("Absence : {}", read.subject))
        .text(&format!("Je suis absent jusqu'à lundi.\r\n\r\nLe lundi, support a écrit :\r\n{quoted}"));
    let id = read.message_id.clone().unwrap_or_default();
    let letter = match habit {
        Habit::AwayQuoting => away.to(&from).subject("Absence du bureau"),
        Habit::AwayInFixedWords => {
            away.to(&from).subject("Absence du bureau").text("Je suis absent jusqu'à lundi.\r\n")
        }
        Habit::AwayToReplyTo => away.to(reply_to).header("In-Reply-To", &id).header("References", &id),
        Habit::AwayToFrom => away.to(&from),
        Habit::AwayInOtherWords => {
            let once = accord::secret::random_handle();
            away.text(&format!("Je suis absent, {}.", &once[..8]))
                .to(reply_to)
                .header("In-Reply-To", &id)
                .header("References", &id)
        }
        // What has no sender has nobody to report to (RFC 5321, 4.5.5).
        Habit::BouncesByTheBook if mail.from.is_empty() => return None,
        Habit::BouncesByTheBook => report(&mail),
        Habit::BouncesToFrom => Letter::from("MAILER-DAEMON@mx.acme.example")
            .to(&from)
            .subject("Undelivered Mail Returned to Sender")
            .text(&format!("{}: no such user\r\n\r\n{quoted}", mail.to)),
        Habit::BouncesUnmarked => away
            .to(&from)
            .subject("Message refusé")
            .text(&format!("Votre message n'a pas pu être remis.\r\n\r\n{}", read.text.replace('\n', "\r\n"))),
    };
    Some(Mail::of(&letter))
}

/// A report after RFC 3462 and RFC 3464, to where bounces of the mail go.
fn report(mail: &Mail) -> Letter {
    let to = &mail.to;
    let text = String::from_utf8_lossy(&mail.bytes);
    let header = text.split_once("\r\n\r\n").map_or(&*text, |(header, _)| header);
    Letter::from("MAILER-DAEMON@mx.acme.example")
        .to(&mail.from)
        .envelope("<>")
        .subject("Undelivered Mail Returned to Sender")
        .header("Auto-Submitted", "auto-replied")
        .header("Content-Type", "multipart/report; report-type=delivery-status; boundary=\"=_b/1\"")
        .text(&format!(
            "This is a MIME-encapsulated message.\r\n\r\n\
             --=_b/1\r\nContent-Description: Notification\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n\
             <{to}>: host mx.acme.example said: 550 5.1.1 no such user\r\n\r\n\
             --=_b/1\r\nContent-Description: Delivery report\r\nContent-Type: message/delivery-status\r\n\r\n\
             Reporting-MTA: dns; mx.relay.example\r\nArrival-Date: Mon, 23 Nov 2026 08:00:00 +0000\r\n\r\n\
             Final-Recipient: rfc822; {to}\r\nAction: failed\r\nStatus: 5.1.1\r\n\
             Remote-MTA: dns; mx.acme.example\r\nDiagnostic-Code: smtp; 550 5.1.1 no such user\r\n\r\n\
             --=_b/1\r\nContent-Description: Undelivered Message Headers\r\nContent-Type: text/rfc822-headers\r\n\r\n\
             {header}\r\n\r\n--=_b/1--\r\n"
        ))
}

const RELAYS: [Relay; 3] = [Relay::KeepsHeaders, Relay::StripsMarks, Relay::StripsAndRewrites];

fn latencies() -> [TimeDelta; 3] {
    [TimeDelta::seconds(10), TimeDelta::minutes(7), TimeDelta::minutes(50)]
}

#[test]
fn lp_07_ft_19_two_desks_that_are_each_others_customers_fall_silent() {
    for relay in RELAYS {
        for latency in latencies() {
            for authenticated in [false, true] {
                let what = format!("{relay:?}, {latency}, authenticated {authenticated}");
                let mut storm = Storm::between_two_desks(relay, latency, authenticated);
                storm.send(&Letter::from(LOIRE).to(SUPPORT));
                storm.send(&Letter::from(SUPPORT).to(LOIRE));
                storm.rage();
                storm.is_over(MOST_TICKETS, &what);
                if relay == Relay::KeepsHeaders {
                    assert!(storm.crossing <= 2, "{what}: {} mails went between them", storm.crossing);
                }
                for side in &storm.sides {
                    assert!(!side.desk.tickets().is_empty(), "{what}: what people wrote is there");
                }
            }
        }
    }
}

#[test]
fn lp_07_an_answer_of_an_agent_to_another_desk_starts_no_storm_and_is_told_there() {
    for relay in RELAYS {
        let mut storm = Storm::between_two_desks(relay, TimeDelta::minutes(7), true);
        storm.desk().receive(&Letter::from(LOIRE).authenticated("pass"));
        storm.desk().sent();
        storm.desk().answer(&storm.desk().ticket(), "Redémarrez-le.", Status::WaitingForCustomer);
        storm.rage();
        storm.is_over(MOST_TICKETS, &format!("{relay:?}"));
        let told: Vec<&Sent> = storm.sides[1].sent.iter().filter(|sent| sent.recipient == ZOE).collect();
        assert_eq!(told.len(), 1, "{relay:?}: a person wrote it, whatever desk it came from");
        assert!(told[0].mail.text.contains("Redémarrez-le."));
    }
}

#[test]
fn lp_07_somebody_who_is_away_and_answers_everything_without_a_mark_ends_no_day() {
    use Habit::{AwayInFixedWords, AwayQuoting, AwayToFrom, AwayToReplyTo};
    for habit in [AwayToReplyTo, AwayToFrom, AwayQuoting, AwayInFixedWords] {
        for (relay, latency) in RELAYS.into_iter().flat_map(|relay| latencies().map(|latency| (relay, latency))) {
            for is_answered in [false, true] {
                let what = format!("{habit:?}, {relay:?}, {latency}, answered {is_answered}");
                let mut storm = Storm::at_one_desk(Desk::open(), latency).with(CLAIRE, habit);
                storm.relay = relay;
                storm.desk().receive(&Letter::from(CLAIRE));
                if is_answered {
                    storm.desk().answer(&storm.desk().ticket(), "Redémarrez-le.", Status::WaitingForCustomer);
                }
                storm.rage();
                // What an agent sends is answered too, and what names nothing is a request like any other until its third
                // time: two tickets, then, beside the one that a person made.
                let most_tickets = MOST_TICKETS + usize::from(is_answered || matches!(habit, AwayInFixedWords));
                storm.is_over(most_tickets, &what);
            }
        }
    }
}

/// Claire and Bob both take part in the only ticket.
fn with_two_participants() -> Desk {
    let desk = Desk::open();
    desk.receive(&Letter::from(CLAIRE));
    let (ticket, bob, by, now) = (desk.ticket(), desk.bob, desk.actor(desk.zoe), desk.test.now());
    desk.test.write(move |db| participants::approve(db, &ticket, bob, &by, now));
    desk.test.run_jobs();
    desk.sent();
    desk
}

#[test]
fn lp_07_two_people_of_one_ticket_who_are_both_away_get_ten_mails_a_day_while_nobody_does_anything_there() {
    for (habit, latency) in [Habit::AwayToReplyTo, Habit::AwayInOtherWords]
        .into_iter()
        .flat_map(|habit| latencies().map(|latency| (habit, latency)))
    {
        let mut storm = Storm::at_one_desk(with_two_participants(), latency).with(CLAIRE, habit).with(BOB, habit);
        storm.desk().answer(&storm.desk().ticket(), "Redémarrez-le.", Status::WaitingForCustomer);
        storm.rage();
        let what = format!("{habit:?}, {latency}");
        for (to, replies) in [(CLAIRE, 1), (BOB, 1), (ZOE, 0)] {
            let told = storm.sides[0].sent.iter().filter(|sent| sent.recipient == to).count();
            assert!((3..=MOST_NEWS + replies).contains(&told), "{what}: {to} was mailed {told} times");
        }
        assert_eq!(storm.desk().tickets().len(), 1, "{what}");
        storm.is_silent(&what);
    }
}

#[test]
fn lp_07_an_agent_who_is_away_is_not_told_of_their_own_absence_all_day() {
    use Habit::{AwayInFixedWords, AwayQuoting, AwayToFrom, AwayToReplyTo};
    for habit in [AwayToReplyTo, AwayToFrom, AwayQuoting, AwayInFixedWords] {
        for (latency, authenticated) in latencies().into_iter().flat_map(|latency| [(latency, false), (latency, true)])
        {
            let mut storm = Storm::at_one_desk(Desk::open(), latency).with(ZOE, habit);
            storm.authenticated = authenticated;
            storm.send(&Letter::from(CLAIRE));
            storm.rage();
            let what = format!("{habit:?}, {latency}, authenticated {authenticated}");
            // What is held is told in the end, after pauses that grow: the one thing that is never quite over.
            storm.is_small(MOST_TICKETS, &what);
            let told = storm.sides[0].sent.iter().filter(|sent| sent.recipient == ZOE).count();
            assert!((1..=7).contains(&told), "{what}: told {told} times");
        }
    }
}

/// Each absence is a ticket, of which the other is told, who is away as well.
#[test]
fn lp_07_two_agents_of_one_queue_who_are_both_away_hear_of_ten_such_tickets_a_day_each() {
    for latency in latencies() {
        let desk = Desk::open();
        let (yves, now) = (desk.yves, desk.test.now());
        desk.test.write(move |db| {
            let queue = queues::find_by_kind(db, QueueKind::Support)?.expect("a queue");
            members::add(db, &queue, yves, None, now)
        });
        let mut storm = Storm::at_one_desk(desk, latency)
            .with(ZOE, Habit::AwayQuoting)
            .with("yves@staff.example", Habit::AwayQuoting);
        storm.send(&Letter::from(CLAIRE));
        storm.rage();
        for to in [ZOE, "yves@staff.example"] {
            let told = storm.sides[0].sent.iter().filter(|sent| sent.recipient == to).count();
            assert!((2..=MOST_NEWS + 1).contains(&told), "{latency}: {to} was mailed {told} times");
        }
        storm.is_silent(&latency.to_string());
    }
}

#[test]
fn lp_07_addresses_that_bounce_everything_are_not_written_to_all_day() {
    for habit in [Habit::BouncesByTheBook, Habit::BouncesToFrom, Habit::BouncesUnmarked] {
        for (address, latency) in [CLAIRE, ZOE].into_iter().flat_map(|at| latencies().map(|latency| (at, latency))) {
            let what = format!("{habit:?}, {address}, {latency}");
            let mut storm = Storm::at_one_desk(Desk::open(), latency).with(address, habit);
            storm.desk().receive(&Letter::from(CLAIRE));
            storm.desk().answer(&storm.desk().ticket(), "Redémarrez-le.", Status::WaitingForCustomer);
            storm.rage();
            storm.is_over(MOST_TICKETS + 1, &what);
            if matches!(habit, Habit::BouncesByTheBook) && address == CLAIRE {
                let ticket = storm.desk().ticket();
                let events = storm.desk().test.read(|db| events::of_ticket(db, &ticket, 100));
                assert!(
                    events.iter().any(|event| event.kind == EventKind::MailFailed),
                    "{what}: the report was believed"
                );
            }
        }
    }
}
