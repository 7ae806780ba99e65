//! What a mail does, in one transaction with the outcome that the journal keeps. Running it again does nothing, for the
//! journal row is then no longer waiting.

mod copied;
mod describing;
mod duplicate;
mod imported;

use std::cell::OnceCell;

use self::describing::flags_of;
use crate::access::Actor;
use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::types::{MessageId, OrganisationId};
use crate::error::{Error, Result};
use crate::gate;
use crate::i18n::Texts;
use crate::intake::bounces::{self, Heard};
use crate::intake::evidence::{self, Gathered};
use crate::intake::floods::Flood;
use crate::intake::round_trip::Reported;
use crate::intake::{House, Reading, complaints, floods, round_trip, storms, unsubscribing};
use crate::journal::{self, Delivery, Outcome, Record, State};
use crate::mail::address::EmailAddress;
use crate::mail::authentication::Authentication;
use crate::mail::automatic::Class;
use crate::mail::incoming::Level;
use crate::mail::reply_text;
use crate::mail::threading::{self, Decision, Destination, Sender, decide};
use crate::people::person::{self, Origin, Person};
use crate::people::{mail_habits, organisations, suppression};
use crate::stumbling::{self, Stage};
use crate::teams::mailboxes::{self, Mailbox};
use crate::tickets::events::{self, Details, EventKind, Maker, NewEvent};
use crate::tickets::following_up;
use crate::tickets::mail_ids::{self, Direction};
use crate::tickets::messages::{self, CustomerMessage, NewNote, Remark, Visibility, Words};
use crate::tickets::opening::{self, NewTicket};
use crate::tickets::participants;
use crate::tickets::status::Status;
use crate::tickets::ticket::Ticket;

/// Where a mail went.
#[derive(Clone, Debug)]
pub struct Applied {
    pub state: State,
    pub record: Record,
    pub ticket: Option<Ticket>,
}

/// Everything about one mail that the steps below look at.
struct Mail<'a> {
    house: &'a House,
    mailbox: Mailbox,
    delivery: &'a Delivery,
    reading: &'a Reading,
    now: UtcTime,
    /// Our mailboxes, once they are asked for.
    mailboxes: OnceCell<Vec<String>>,
}

/// Decides where the mail belongs, carries that out and records it.
pub fn apply(
    db: &mut DbConnection,
    house: &House,
    delivery: &Delivery,
    reading: &Reading,
    worker: &str,
    now: UtcTime,
) -> Result<Applied> {
    stumbling::step(Stage::Applying, &delivery.handle);
    let mailbox = mailboxes::by_id(db, delivery.mailbox)?;
    let mail = Mail { house, mailbox, delivery, reading, now, mailboxes: OnceCell::new() };
    if delivery.imported.is_none() && unsubscribing::carry_out(db, house, delivery, now)? {
        let applied = Applied { state: State::Applied, record: mail.record("unsubscribed"), ticket: None };
        mail.finish(db, &applied, worker)?;
        return Ok(applied);
    }
    if round_trip::has_come_back(db, house, &mail.mailbox, delivery, reading, now)? {
        let applied = Applied { state: State::Applied, record: mail.record("round_trip"), ticket: None };
        mail.finish(db, &applied, worker)?;
        return Ok(applied);
    }
    if let Some(reported) = round_trip::was_reported(db, &mail.mailbox, delivery, reading, now)? {
        let decision = match reported {
            Reported::Refused => "round_trip_refused",
            Reported::UnderWay => "round_trip_delayed",
        };
        let applied = Applied { state: State::Applied, record: mail.record(decision), ticket: None };
        mail.finish(db, &applied, worker)?;
        return Ok(applied);
    }
    let applied = match mail.find_before(db)? {
        Some(before) if !before.is_weaker => mail.duplicate(before.ticket),
        before => {
            let gathered = evidence::gather(db, house, &mail.mailbox, delivery, reading, now)?;
            let decision = decide(&gathered.evidence);
            match before {
                Some(before) if !mail.says_more(db, &before, &gathered, &decision)? => mail.duplicate(before.ticket),
                _ => mail.carry_out_in_scope(db, &gathered, &decision)?,
            }
        }
    };
    mail.finish(db, &applied, worker)?;
    Ok(applied)
}

/// Which organisation the mail is for: its ticket's, or its sender's.
fn organisation_of(db: &mut DbConnection, gathered: &Gathered) -> Result<Option<OrganisationId>> {
    match (&gathered.ticket, &gathered.person) {
        (Some(ticket), _) => Ok(Some(ticket.organisation_id)),
        (None, Some(person)) => organisations::home_of(db, person.id),
        (None, None) => Ok(None),
    }
}

/// What an agent decides about a mail that was held.
#[derive(Clone, Debug)]
pub enum ByHand {
    /// A ticket of its own.
    OpenAsNew,
    /// A message of this ticket, said by who stands in From; everybody in the ticket reads it.
    AddTo(Box<Ticket>),
}

/// Carries out an agent's decision about a mail that `worker` took from the list by hand.
pub(super) fn apply_by_hand(
    db: &mut DbConnection,
    house: &House,
    delivery: &Delivery,
    reading: &Reading,
    by_hand: ByHand,
    worker: &str,
    now: UtcTime,
) -> Result<Applied> {
    let mailbox = mailboxes::by_id(db, delivery.mailbox)?;
    let mail = Mail { house, mailbox, delivery, reading, now, mailboxes: OnceCell::new() };
    let mut record = Record { rule: "by_hand".to_owned(), ..mail.record("") };
    if mail.is_answer_address_of_staff(db)? {
        record.flags.push("reply_to_staff".to_owned());
    }
    if let Some(imported) = delivery.imported {
        let applied = mail.import_by_hand(db, imported, by_hand, record)?;
        mail.finish(db, &applied, worker)?;
        return Ok(applied);
    }
    let person = mail.sender_person(db)?;
    let applied = match by_hand {
        ByHand::OpenAsNew => {
            let ticket = mail.open_ticket(db, person, None, None)?;
            Applied {
                state: State::Applied,
                record: Record { decision: "new_ticket".to_owned(), ..record },
                ticket: Some(ticket),
            }
        }
        ByHand::AddTo(ticket) => {
            mail.append(db, &ticket, person, Visibility::Everyone, Some(Remark::Accepted), true)?;
            Applied {
                state: State::Applied,
                record: Record { decision: "append".to_owned(), ..record },
                ticket: Some(*ticket),
            }
        }
    };
    mail.finish(db, &applied, worker)?;
    Ok(applied)
}

impl Mail<'_> {
    /// Carries the decision out for the organisation that the mail is for.
    fn carry_out_in_scope(&self, db: &mut DbConnection, gathered: &Gathered, decision: &Decision) -> Result<Applied> {
        let person = gathered.person.as_ref().map(|person| person.id.0);
        let organisation = organisation_of(db, gathered)?;
        let carry_out = || {
            let span = tracing::debug_span!(target: "accord::mail", "carry_out", rule = %decision.rule.name());
            span.in_scope(|| match self.delivery.imported {
                Some(imported) => self.import(db, imported, gathered),
                None => self.carry_out(db, gathered, decision),
            })
        };
        let applied = match organisation {
            Some(organisation) => gate::scope(organisation.0, person, carry_out)?,
            None => gate::outside(carry_out)?,
        };
        if let Some(address) = self.proven_person(decision) {
            mail_habits::note_pass_of_domain(db, address, self.now)?;
        }
        Ok(applied)
    }

    fn duplicate(&self, ticket: Ticket) -> Applied {
        Applied { state: State::Applied, record: self.record("duplicate"), ticket: Some(ticket) }
    }

    fn carry_out(&self, db: &mut DbConnection, gathered: &Gathered, decision: &Decision) -> Result<Applied> {
        storms::note_loop_of_staff(db, &self.house.letterhead, self.reading, self.now)?;
        let mut record = Record { rule: decision.rule.name().to_owned(), ..self.record("") };
        record.flags.extend(flags_of(decision));
        if self.is_answer_address_of_staff(db)? {
            record.flags.push("reply_to_staff".to_owned());
        }
        if gathered.out_of_reach.is_some() {
            record.flags.push("out_of_reach".to_owned());
        }
        if let Some(id) = &self.reading.mail.message_id
            && journal::outcome::knows_mail_id(
                db,
                self.delivery.mailbox,
                id,
                &self.reading.mail.digest,
                self.delivery.id,
            )?
        {
            record.flags.push("same_id_other_content".to_owned());
        }
        let applied = |state, decision: &str, record: Record, ticket| Applied {
            state,
            record: Record { decision: decision.to_owned(), ..record },
            ticket,
        };
        let (heard, believed, doubted) = match complaints::hear(db, self.house, self.delivery, self.reading, self.now)?
        {
            Heard::Nothing => {
                let heard = bounces::hear(db, self.house, self.delivery, self.reading, gathered, self.now)?;
                (heard, "BN-03", "BN-02")
            }
            heard => (heard, "BN-04", "BN-04"),
        };
        match heard {
            Heard::Nothing => {}
            Heard::Suspicious => {
                let record = Record { rule: doubted.to_owned(), ..record };
                return Ok(applied(State::Held, "hold", record, None));
            }
            Heard::Proven { ticket, decision } => {
                let record = Record { rule: believed.to_owned(), ..record };
                let person = self.sender_person(db)?;
                self.append(db, &ticket, person, Visibility::Staff, Some(Remark::Automatic), false)?;
                return Ok(applied(State::Applied, decision, record, Some(*ticket)));
            }
        }
        if let Some(address) = self.proven_sender(gathered, decision) {
            suppression::end(db, address, self.now)?;
        }
        if let Some(address) = self.proven_person(decision) {
            mail_habits::note_pass_of_address(db, address, self.now)?;
        }
        match (decision.outcome, &gathered.ticket) {
            (threading::Outcome::NewTicket, _) if self.reading.is_looping => {
                // Going in circles: kept for an administrator, and that is all (LP-06).
                Ok(applied(State::Held, "loop", record, None))
            }
            (threading::Outcome::Hold, ticket) => {
                if let Some(ticket) = ticket {
                    self.tell_of_held(db, ticket, decision.alert)?;
                }
                Ok(applied(State::Held, "hold", record, ticket.clone()))
            }
            (threading::Outcome::Append, Some(ticket)) if decision.destination == Destination::FollowUp => {
                record.may_acknowledge = self.may_acknowledge(decision);
                let person = gathered.person.clone().map_or_else(|| self.sender_person(db), Ok)?;
                let (place, decision) = self.follow_up(db, ticket, person)?;
                Ok(applied(State::Applied, decision, record, Some(place)))
            }
            (threading::Outcome::Append, Some(ticket)) => {
                let person = gathered.person.clone().map_or_else(|| self.sender_person(db), Ok)?;
                self.append(db, ticket, person, Visibility::Everyone, None, true)?;
                Ok(applied(State::Applied, "append", record, Some(ticket.clone())))
            }
            (threading::Outcome::AppendAsAgent, Some(ticket)) => {
                self.append_note(db, gathered, ticket)?;
                Ok(applied(State::Applied, "note", record, Some(ticket.clone())))
            }
            (threading::Outcome::AppendRestricted, Some(ticket)) => {
                let remark = match gathered.evidence.sender {
                    Sender::Participant => Remark::NotAuthenticated,
                    _ => Remark::DifferentSender,
                };
                if decision.destination == Destination::FollowUp {
                    let person = self.sender_person(db)?;
                    let hint = Some((EventKind::MayBelongTo, ticket));
                    let new = self.open_ticket(db, person, hint, Some(remark))?;
                    return Ok(applied(State::Applied, "new_ticket", record, Some(new)));
                }
                let person = self.sender_person(db)?;
                self.append(db, ticket, person, Visibility::Staff, Some(remark), true)?;
                Ok(applied(State::Applied, "append_restricted", record, Some(ticket.clone())))
            }
            (threading::Outcome::AttachAutomatic, Some(ticket)) => {
                if self.reading.passes_on {
                    // Agents are mailed of it, and an agent's address may lead to that very program (LP-05).
                    floods::count_for_ticket(db, ticket, self.now)?;
                }
                let person = gathered.person.clone().map_or_else(|| self.sender_person(db), Ok)?;
                self.append(db, ticket, person, Visibility::Staff, Some(Remark::Automatic), false)?;
                Ok(applied(State::Applied, "automatic", record, Some(ticket.clone())))
            }
            // Without a ticket to go to, what is left is a ticket of its own.
            (_, ticket) => {
                let person = self.sender_person(db)?;
                let flood = floods::count_for_sender(db, &self.sender_for_counting(), self.now)?;
                let is_flood = flood != Flood::None;
                if is_flood
                    && let Some(collecting) = floods::collecting_ticket(db, person.id, self.mailbox.id, self.now)?
                    && self.delivery.reaches(collecting.queue_id)
                {
                    self.append(db, &collecting, person, Visibility::Staff, Some(Remark::Automatic), false)?;
                    if flood == Flood::Begins {
                        floods::tell_of_sender(db, &collecting, self.sender_address(), self.now)?;
                    }
                    // Of a flood agents are told once, whoever wrote what is in it.
                    record.flags.retain(|flag| flag != journal::outcome::PASSED_ON);
                    return Ok(applied(State::Applied, "collected", record, Some(collecting)));
                }
                record.may_acknowledge = !is_flood && self.may_acknowledge(decision);
                if record.may_acknowledge
                    && storms::is_an_answer(db, &self.house.letterhead, self.reading, person.id, self.now)?
                {
                    record.may_acknowledge = false;
                    record.flags.push("answers_a_mail".to_owned());
                }
                if record.may_acknowledge
                    && ticket.is_none()
                    && gathered.out_of_reach.is_none()
                    && let Some(same) =
                        storms::repeated_request(db, self.reading, person.id, self.mailbox.id, self.now)?
                    && self.delivery.reaches(same.queue_id)
                {
                    record.may_acknowledge = false;
                    record.flags.push("repeated_request".to_owned());
                    self.append(db, &same, person, Visibility::Everyone, None, true)?;
                    return Ok(applied(State::Applied, "append", record, Some(same)));
                }
                let named = ticket.as_ref().filter(|_| decision.hint).or(gathered.out_of_reach.as_ref());
                let hint = named.map(|ticket| (EventKind::MayBelongTo, ticket));
                let remark = decision.automatic.then_some(Remark::Automatic);
                let new = self.open_ticket(db, person, hint, remark)?;
                if flood == Flood::Begins {
                    floods::tell_of_sender(db, &new, self.sender_address(), self.now)?;
                }
                Ok(applied(State::Applied, "new_ticket", record, Some(new)))
            }
        }
    }

    /// Whether what opens a ticket may be acknowledged at all (LP-02).
    fn may_acknowledge(&self, decision: &Decision) -> bool {
        !decision.automatic
            && self.delivery.is_from_before != Some(true)
            && self.reading.class.may_acknowledge()
            && self.reading.mail.from.identity.is_some()
            && self.reading.mail.level == Level::Full
            && self.reading.authentication != Authentication::Fail
    }

    /// Opens the ticket that goes on from `old`, which stays closed (D13), unless another mail did at this moment, or too many
    /// did (LP-05). Gives where the mail stands in the end, and how that is called.
    fn follow_up(&self, db: &mut DbConnection, old: &Ticket, person: Person) -> Result<(Ticket, &'static str)> {
        let last = following_up::locked_latest(db, old)?;
        if last.id != old.id
            && !following_up::stays_closed(db, &last, self.now)?
            && participants::find(db, last.id, person.id)?.is_some_and(|found| found.takes_part())
        {
            self.append(db, &last, person, Visibility::Everyone, None, true)?;
            return Ok((last, "append"));
        }
        let first = following_up::first(db, old)?;
        if !floods::may_go_on(db, &first, self.now)? {
            floods::count_for_ticket(db, old, self.now)?;
            self.append(db, old, person, Visibility::Everyone, None, false)?;
            return Ok((old.clone(), "append"));
        }
        let (text, folded) = self.text(reply_text::split);
        let message = self.message(&person, text, folded);
        let subject = describing::subject_that_goes_on(&old.subject, &self.subject());
        let opened = following_up::open(db, old, message, &subject, &Actor::System, self.now)?;
        self.remember_id(db, &opened.ticket, opened.message)?;
        self.take_in_copied(db, &opened.ticket, &person)?;
        Ok((opened.ticket, "follow_up"))
    }

    /// Opens a ticket; `link` is the event that names another one.
    fn open_ticket(
        &self,
        db: &mut DbConnection,
        person: Person,
        link: Option<(EventKind, &Ticket)>,
        remark: Option<Remark>,
    ) -> Result<Ticket> {
        let organisation = self.organisation_for(db, &person)?;
        let (text, folded) = self.text(reply_text::split_signature);
        let message = self.message(&person, text, folded);
        let new = NewTicket {
            mailbox: Some(self.mailbox.id),
            language: person.language.0,
            address_confirmed: person.address_confirmed_at.is_some(),
            remark,
            ..NewTicket::new(organisation, person.id, self.mailbox.queue_id, &self.subject(), message)
        };
        let opened = opening::open(db, new, &Actor::System, self.now)?;
        if remark != Some(Remark::Automatic) {
            self.remember_id(db, &opened.ticket, opened.message)?;
        }
        if let Some((kind, other)) = link {
            let details = Details { ticket: Some(other.reference.clone()), ..Details::default() };
            let event = NewEvent { kind, maker: Maker::Mail, person: None, message: Some(opened.message), details };
            events::record(db, &opened.ticket, event, self.now)?;
        }
        self.take_in_copied(db, &opened.ticket, &person)?;
        Ok(opened.ticket)
    }

    fn append(
        &self,
        db: &mut DbConnection,
        ticket: &Ticket,
        person: Person,
        visibility: Visibility,
        remark: Option<Remark>,
        moves_status: bool,
    ) -> Result<()> {
        let is_public = visibility == Visibility::Everyone;
        if moves_status {
            floods::count_for_ticket(db, ticket, self.now)?;
        }
        let reopens = ticket.status == Status::Closed && moves_status;
        let moves_status = moves_status && (!reopens || floods::may_reopen(db, ticket, self.now)?);
        let (text, folded) = self.text(reply_text::split);
        let message = self.message(&person, text, folded);
        let new = CustomerMessage { message, visibility, remark, moves_status };
        // Whoever is not in the ticket yet does not come in by writing to it.
        let id = messages::add_customer_message(db, ticket, new, &Actor::System, self.now)?;
        if is_public {
            self.remember_id(db, ticket, id)?;
            self.take_in_copied(db, ticket, &person)?;
        }
        Ok(())
    }

    /// An agent answered a notification: a note among staff.
    fn append_note(&self, db: &mut DbConnection, gathered: &Gathered, ticket: &Ticket) -> Result<()> {
        let Some(agent) = &gathered.agent else { return Err(Error::internal("an agent's mail without the agent")) };
        let note = NewNote {
            words: Words::by_mail(&self.text_of_note(), None),
            attachments: self.reading.files.clone(),
            mail_id: self.reading.mail.message_id.clone(),
            ingest: Some(self.delivery.id),
        };
        messages::add_note(db, ticket, note, &Actor::Staff(agent.clone()), self.now)?;
        Ok(())
    }

    fn tell_of_held(&self, db: &mut DbConnection, ticket: &Ticket, alert: bool) -> Result<()> {
        let details = Details {
            address: Some(self.sender_address()),
            to: alert.then(|| "alert".to_owned()),
            ..Details::default()
        };
        let event = NewEvent { kind: EventKind::MailHeld, maker: Maker::Mail, person: None, message: None, details };
        events::record(db, ticket, event, self.now)?;
        Ok(())
    }

    /// Who sent it: the person with that address, made known if need be. Mail whose From names nobody comes from one
    /// placeholder, which no mail can be sent to.
    fn sender_person(&self, db: &mut DbConnection) -> Result<Person> {
        let language = self.mailbox.language.0;
        let from = &self.reading.mail.from;
        match &from.identity {
            Some(identity) if !self.is_ours(db, identity)? => {
                person::find_or_create_by_address(db, identity, &from.display_name, Origin::Mail, language, self.now)
            }
            _ => {
                let nobody = format!("unknown-sender@{}", self.house.letterhead.reply_domain);
                let nobody =
                    EmailAddress::parse(&nobody).ok_or_else(|| Error::internal("the reply domain makes no address"))?;
                let name = Texts::in_language(language).say("mail-unknown-sender");
                person::find_or_create_by_address(db, &nobody, &name, Origin::Mail, language, self.now)
            }
        }
    }

    fn is_ours(&self, db: &mut DbConnection, address: &EmailAddress) -> Result<bool> {
        let mailboxes = match self.mailboxes.get() {
            Some(mailboxes) => mailboxes,
            None => {
                let read = mailboxes::canonical_addresses(db)?;
                self.mailboxes.get_or_init(|| read)
            }
        };
        Ok(self.house.letterhead.is_ours(address, mailboxes))
    }

    fn organisation_for(&self, db: &mut DbConnection, person: &Person) -> Result<OrganisationId> {
        match organisations::home_of(db, person.id)? {
            Some(home) => Ok(home),
            None => {
                organisations::create_individual(db, person.id, &person.display_name(), person.language.0, self.now)
            }
        }
    }

    fn remember_id(&self, db: &mut DbConnection, ticket: &Ticket, message: MessageId) -> Result<()> {
        let Some(id) = &self.reading.mail.message_id else { return Ok(()) };
        mail_ids::record(db, ticket, Some(message), self.mailbox.id, Direction::In, id, self.now)
    }

    /// The address in From, where it is sure enough that somebody wrote from there: its domain stands by the mail, or the mail
    /// answers one that was sent there.
    fn proven_sender(&self, gathered: &Gathered, decision: &Decision) -> Option<&EmailAddress> {
        let answers = gathered.evidence.sender == Sender::Participant && decision.outcome == threading::Outcome::Append;
        let is_proven = self.reading.authentication == Authentication::Pass || answers;
        let is_human = self.reading.class.may_reopen() && decision.outcome != threading::Outcome::Hold;
        self.reading.mail.from.identity.as_ref().filter(|_| is_proven && is_human)
    }

    /// The address in From, where its domain stands by a mail that a person wrote (TH-10).
    fn proven_person(&self, decision: &Decision) -> Option<&EmailAddress> {
        let is_proven = self.reading.authentication == Authentication::Pass;
        let is_human = self.reading.class == Class::Human && decision.outcome != threading::Outcome::Hold;
        self.reading.mail.from.identity.as_ref().filter(|_| is_proven && is_human)
    }

    fn finish(&self, db: &mut DbConnection, applied: &Applied, worker: &str) -> Result<()> {
        let outcome = Outcome {
            state: applied.state,
            record: applied.record.clone(),
            organisation: applied.ticket.as_ref().map(|ticket| ticket.organisation_id),
            ticket: applied.ticket.as_ref().map(|ticket| ticket.id),
            content_sha256: Some(self.reading.mail.digest.to_vec()),
            mail_id: self.reading.mail.message_id.clone(),
            original_hash: Some(self.reading.original_hash.clone()),
        };
        journal::outcome::finish(db, self.delivery, worker, &outcome, self.now)
    }
}
