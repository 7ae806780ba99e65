//! A form becomes a ticket, or a message in one: who it is from, where it lands, and that a second click does nothing
//! in one transaction. Files are stored before it; whom it is told to is decided in `reactions`.
//!
//! A form sent without signing in proves nothing about the address in it. Its answer is the same whoever has the address,
//! and the ticket is marked *address not confirmed*, so that no mail with words of the form's leaves for that address
//! (ADV-10), even when somebody we know has it.

use chrono::TimeDelta;
use sha2::{Digest, Sha256};

use crate::access::{self, Actor, CustomerActor};
use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::types::{EnvironmentId, OrganisationId, PersonId, QueueId, SiteId};
use crate::error::{Error, FieldErrors, Result};
use crate::html::file_name::is_blank;
use crate::i18n::{Locale, Texts};
use crate::mail::address::EmailAddress;
use crate::people::fields::{self, NAME_LENGTH};
use crate::people::organisations::OrganisationKind;
use crate::people::person::{self, Origin, Person, PersonState};
use crate::people::{addresses, environments, organisations, sites};
use crate::settings;
use crate::teams::mailboxes;
use crate::teams::queues::{self, Queue, QueueKind};
use crate::throttle::{self, Rate};
use crate::tickets::attachments::NewAttachment;
use crate::tickets::connection_context::ConnectionContext;
use crate::tickets::following_up;
use crate::tickets::idempotency::{self, Claim};
use crate::tickets::messages::{self, Channel, NewMessage};
use crate::tickets::opening::{self, NewTicket, Opened};
use crate::tickets::{Ticket, TicketReference, moving, ticket};

/// Requests without signing in from one IP address: an office behind one address files a few, a flood files many.
const FROM_ONE_PLACE: Rate = Rate { times: 30, within: TimeDelta::hours(1) };
/// Requests without signing in that name one address.
const NAMING_ONE_ADDRESS: Rate = Rate { times: 20, within: TimeDelta::hours(1) };
/// Requests and answers of one person who proved who they are.
const BY_ONE_PERSON: Rate = Rate { times: 120, within: TimeDelta::hours(1) };

/// A request as somebody who is not signed in typed it.
#[derive(Clone, Debug)]
pub struct StrangerRequest {
    pub name: String,
    pub email: String,
    /// The public name of the queue.
    pub queue: String,
    /// Where an intervention is wanted, in the person's own words.
    pub site: String,
    pub subject: String,
    pub text: String,
    pub files: Vec<NewAttachment>,
    pub context: ConnectionContext,
    pub locale: Locale,
    /// Made with the form, the same however often it is sent.
    pub key: String,
}

/// A request as somebody signed in typed it; names of organisation, queue, site and environment are the public ones.
#[derive(Clone, Debug)]
pub struct CustomerRequest {
    pub organisation: String,
    pub queue: String,
    pub site: String,
    pub environment: String,
    pub is_private: bool,
    pub subject: String,
    pub text: String,
    pub files: Vec<NewAttachment>,
    pub context: ConnectionContext,
    pub key: String,
}

/// An answer typed on the page of a ticket.
#[derive(Clone, Debug)]
pub struct Answer {
    pub text: String,
    pub files: Vec<NewAttachment>,
    pub context: ConnectionContext,
    pub key: String,
}

/// Files a request for somebody of whom nothing is proven, and gives the reference of the ticket. When the address is of
/// somebody who was blocked (B15), no ticket is made, and the reference is one that nobody has.
pub fn file_as_stranger(
    db: &mut DbConnection,
    request: &StrangerRequest,
    ip_address: &str,
    now: UtcTime,
) -> Result<String> {
    let mut errors = FieldErrors::default();
    let name = fields::mandatory_line(&mut errors, "name", &request.name, NAME_LENGTH);
    let address = address(db, &mut errors, "email", &request.email)?;
    let queue = queue(db, &mut errors, &request.queue)?;
    let site = fields::optional_line(&mut errors, "site", &request.site, NAME_LENGTH);
    if site.is_empty() && queue.as_ref().is_some_and(|queue| queue.kind == QueueKind::Intervention) {
        errors.add("site", "site-required");
    }
    check_words(&mut errors, &request.subject, &request.text);
    errors.into_result()?;
    let (Some(address), Some(queue)) = (address, queue) else { return Err(Error::internal("a checked form is wrong")) };

    let person = person::find_or_create_by_address(db, &address, &name, Origin::Form, request.locale, now)?;
    let what = [&name, address.as_str(), &request.queue, &site, &request.subject, &request.text];
    once(db, person.id, "request", &request.key, &digest(&what, &request.files), now, |db| {
        throttle::take(db, &place_name(ip_address), FROM_ONE_PLACE, now)?;
        throttle::take(db, &throttle::name("form-to", address.canonical()), NAMING_ONE_ADDRESS, now)?;
        if person.state != PersonState::Active {
            tracing::info!(target: "accord::intake", "A form named somebody who is blocked; no ticket was opened");
            let prefix = settings::reference_prefix(db)?;
            return Ok(TicketReference::random(&prefix).as_str().to_owned());
        }
        let organisation = home(db, &person, now)?;
        let is_intervention = queue.kind == QueueKind::Intervention;
        let known_site = if is_intervention { site_in_words(db, organisation, &site)? } else { None };
        // Words that are no site of the organisation's stand at the head of the text; an agent makes of them what they mean.
        let text = if known_site.is_none() && !site.is_empty() {
            let line = Texts::in_language(request.locale).with("request-site-in-words", "site", &site);
            format!("{line}\n\n{}", request.text)
        } else {
            request.text.clone()
        };
        let request = Request {
            filer: Filer::Stranger { address: address.clone(), name: name.clone(), language: request.locale },
            queue: queue.id,
            subject: request.subject.clone(),
            text,
            files: request.files.clone(),
            site: known_site,
            environment: None,
            is_private: false,
            context: request.context.clone(),
        };
        Ok(file(db, request, now)?.ticket.reference)
    })
}

/// Whether one more request from that IP address would be taken; asked before files are stored.
pub fn takes_from(db: &mut DbConnection, ip_address: &str, now: UtcTime) -> Result<bool> {
    throttle::allows(db, &place_name(ip_address), FROM_ONE_PLACE, now)
}

/// Files a request for somebody signed in, and gives the reference of the ticket.
pub fn file_as_customer(
    db: &mut DbConnection,
    request: &CustomerRequest,
    person: &Person,
    customer: &CustomerActor,
    now: UtcTime,
) -> Result<String> {
    let mut errors = FieldErrors::default();
    let queue = queue(db, &mut errors, &request.queue)?;
    let organisation = own_organisation(db, &mut errors, customer, person, &request.organisation, now)?;
    let site = site(db, &mut errors, organisation, &request.site)?;
    if site.is_none()
        && request.site.is_empty()
        && queue.as_ref().is_some_and(|queue| queue.kind == QueueKind::Intervention)
    {
        errors.add("site", "site-required");
    }
    let environment = environment(db, &mut errors, organisation, &request.environment)?;
    check_words(&mut errors, &request.subject, &request.text);
    errors.into_result()?;
    let (Some(queue), Some(organisation)) = (queue, organisation) else {
        return Err(Error::internal("a checked form is wrong"));
    };

    let is_private = request.is_private.to_string();
    let what = [
        request.organisation.as_str(),
        &request.queue,
        &request.site,
        &request.environment,
        &is_private,
        &request.subject,
        &request.text,
    ];
    once(db, person.id, "request", &request.key, &digest(&what, &request.files), now, |db| {
        throttle::take(db, &person_name(person), BY_ONE_PERSON, now)?;
        let request = Request {
            filer: Filer::SignedIn { person: person.id, organisation: Some(organisation) },
            queue: queue.id,
            subject: request.subject.clone(),
            text: request.text.clone(),
            files: request.files.clone(),
            site,
            environment,
            is_private: request.is_private,
            context: request.context.clone(),
        };
        Ok(file(db, request, now)?.ticket.reference)
    })
}

/// Adds what somebody who may see the ticket answered on its page, and gives the reference of the ticket that it stands in:
/// one that stays closed goes on in another, as it does for mail. Who is in it by a link from our mail, or signed in, has
/// proven the address with it.
pub fn answer(
    db: &mut DbConnection,
    ticket: &Ticket,
    answer: &Answer,
    person: &Person,
    by: &Actor,
    now: UtcTime,
) -> Result<String> {
    let kind = format!("answer {}", ticket.reference);
    once(db, person.id, &kind, &answer.key, &digest(&[&answer.text], &answer.files), now, |db| {
        throttle::take(db, &person_name(person), BY_ONE_PERSON, now)?;
        let message = NewMessage {
            attachments: answer.files.clone(),
            context: Some(answer.context.clone()),
            ..NewMessage::text(Channel::Web, person.id, &person.display_name(), &person.address, &answer.text)
        };
        let mut ticket = ticket.clone();
        if person.id == ticket.requester_id {
            confirm_address(db, &ticket, person, by, now)?;
            ticket = ticket::by_id(db, ticket.id)?;
        }
        Ok(following_up::add(db, &ticket, message, person.id, by, now)?.ticket.reference)
    })
}

/// Notes that the requester, who came by a link from our mail or is signed in, reads mail at their address: from now on the
/// ticket's words may be mailed there.
pub fn confirm_address(
    db: &mut DbConnection,
    ticket: &Ticket,
    person: &Person,
    by: &Actor,
    now: UtcTime,
) -> Result<()> {
    if ticket.address_confirmed || person.id != ticket.requester_id {
        return Ok(());
    }
    if let Some(address) = EmailAddress::parse(&person.address) {
        addresses::confirm(db, person.id, &address, now)?;
    }
    moving::confirm_address(db, ticket, by, now)
}

/// Who files.
#[derive(Clone, Debug)]
pub enum Filer {
    /// Somebody signed in, in one of their organisations or the one they are at home in.
    SignedIn { person: PersonId, organisation: Option<OrganisationId> },
    /// Somebody who typed a name and an address.
    Stranger { address: EmailAddress, name: String, language: Locale },
}

/// A form filled in.
#[derive(Clone, Debug)]
pub struct Request {
    pub filer: Filer,
    pub queue: QueueId,
    pub subject: String,
    pub text: String,
    pub files: Vec<NewAttachment>,
    pub site: Option<SiteId>,
    pub environment: Option<EnvironmentId>,
    /// Hidden from colleagues.
    pub is_private: bool,
    pub context: ConnectionContext,
}

/// Opens the ticket. What is wrong with the form comes back by field.
pub fn file(db: &mut DbConnection, request: Request, now: UtcTime) -> Result<Opened> {
    let (person, organisation, actor, is_confirmed) = match &request.filer {
        Filer::SignedIn { person, organisation } => {
            let actor = access::actor_of(db, *person)?;
            let person = person::by_id(db, *person)?;
            let organisation = match organisation {
                Some(organisation) => *organisation,
                None => home(db, &person, now)?,
            };
            // Staff who ask for themselves do so as anybody; that they work in the queue does not matter.
            let actor = if actor.is_staff() { Actor::System } else { actor };
            (person, organisation, actor, true)
        }
        Filer::Stranger { address, name, language } => {
            let mailboxes = mailboxes::canonical_addresses(db)?;
            if mailboxes.iter().any(|mailbox| mailbox == address.canonical()) {
                return Err(Error::invalid("address", "error-address-of-mailbox"));
            }
            let person = person::find_or_create_by_address(db, address, name, Origin::Form, *language, now)?;
            let organisation = home(db, &person, now)?;
            (person, organisation, Actor::System, false)
        }
    };
    let from_name = match &request.filer {
        Filer::Stranger { name, .. } => name.clone(),
        Filer::SignedIn { .. } => person.display_name(),
    };
    let message = NewMessage {
        attachments: request.files,
        context: Some(request.context),
        ..NewMessage::text(Channel::Web, person.id, &from_name, &person.address, &request.text)
    };
    let new = NewTicket {
        mailbox: mailboxes::find_for_queue(db, request.queue)?.map(|mailbox| mailbox.id),
        language: person.language.0,
        // Colleagues see nothing that anybody may have filed in a member's name.
        is_private: request.is_private || !is_confirmed,
        site: request.site,
        // A stranger is shown no list of sites; what they call theirs stands in the text.
        site_in_words: !is_confirmed && request.site.is_none(),
        environment: request.environment,
        address_confirmed: is_confirmed,
        ..NewTicket::new(organisation, person.id, request.queue, &request.subject, message)
    };
    opening::open(db, new, &actor, now)
}

/// Does `work` the first time a form with this key is sent, and gives its outcome every time. The same key with other words
/// is a form that was sent, changed and sent again: it says so.
fn once(
    db: &mut DbConnection,
    person: PersonId,
    kind: &str,
    key: &str,
    digest: &[u8],
    now: UtcTime,
    work: impl FnOnce(&mut DbConnection) -> Result<String>,
) -> Result<String> {
    if key.is_empty() || key.len() > LONGEST_KEY {
        return Err(Error::invalid("", "form-key-missing"));
    }
    let key = format!("form {kind} {key}");
    match idempotency::claim(db, person, &key, digest, now)? {
        Claim::Done { body, .. } => Ok(body),
        Claim::OtherRequest => Err(Error::invalid("", "form-sent-already")),
        Claim::New => {
            let outcome = work(db)?;
            idempotency::complete(db, person, &key, 303, &outcome)?;
            Ok(outcome)
        }
    }
}

/// The longest key of a form: ours are shorter.
const LONGEST_KEY: usize = 80;

fn digest(words: &[&str], files: &[NewAttachment]) -> Vec<u8> {
    let mut digest = Sha256::new();
    for word in words.iter().copied().chain(files.iter().flat_map(|file| [&*file.file_name, &*file.content_hash])) {
        digest.update((word.len() as u64).to_be_bytes());
        digest.update(word.as_bytes());
    }
    digest.finalize().to_vec()
}

fn place_name(ip_address: &str) -> String {
    throttle::name("form-from", &throttle::neighbourhood(ip_address))
}

fn person_name(person: &Person) -> String {
    throttle::name("form-by", &person.handle)
}

fn address(
    db: &mut DbConnection,
    errors: &mut FieldErrors,
    field: &'static str,
    typed: &str,
) -> Result<Option<EmailAddress>> {
    let typed = typed.trim();
    if typed.is_empty() {
        errors.add(field, "error-mandatory");
        return Ok(None);
    }
    let Some(address) = EmailAddress::of_somebody(typed) else {
        errors.add(field, "error-address");
        return Ok(None);
    };
    // Mail from us to us goes round in circles (LP-08).
    if mailboxes::find_by_canonical(db, &address)?.is_some() {
        errors.add(field, "error-address-of-mailbox");
        return Ok(None);
    }
    Ok(Some(address))
}

fn queue(db: &mut DbConnection, errors: &mut FieldErrors, handle: &str) -> Result<Option<Queue>> {
    let queue = queues::find_by_handle(db, handle)?.filter(|queue| queue.on_form);
    if queue.is_none() {
        errors.add("queue", if handle.is_empty() { "error-mandatory" } else { "error-queue-unknown" });
    }
    Ok(queue)
}

fn check_words(errors: &mut FieldErrors, subject: &str, text: &str) {
    if is_blank(subject) {
        errors.add("subject", "error-mandatory");
    } else if subject.trim().chars().count() > opening::LONGEST_SUBJECT {
        errors.add("subject", "subject-too-long");
    }
    if is_blank(text) {
        errors.add("text", "error-mandatory");
    } else if text.chars().count() > messages::LONGEST_TEXT {
        errors.add("text", "text-too-long");
    }
}

fn home(db: &mut DbConnection, person: &Person, now: UtcTime) -> Result<OrganisationId> {
    match organisations::home_of(db, person.id)? {
        Some(home) => Ok(home),
        None => organisations::create_individual(db, person.id, &person.display_name(), person.language.0, now),
    }
}

/// The organisation chosen, or the person's own when there was nothing to choose.
fn own_organisation(
    db: &mut DbConnection,
    errors: &mut FieldErrors,
    customer: &CustomerActor,
    person: &Person,
    handle: &str,
    now: UtcTime,
) -> Result<Option<OrganisationId>> {
    if handle.is_empty() {
        return home(db, person, now).map(Some);
    }
    let chosen = organisations::find_by_handle(db, handle)?.filter(|organisation| {
        organisation.kind != OrganisationKind::Operator && customer.is_member_of(organisation.id)
    });
    if chosen.is_none() {
        errors.add("organisation", "error-organisation-unknown");
    }
    Ok(chosen.map(|organisation| organisation.id))
}

fn site(
    db: &mut DbConnection,
    errors: &mut FieldErrors,
    organisation: Option<OrganisationId>,
    handle: &str,
) -> Result<Option<SiteId>> {
    let (Some(organisation), false) = (organisation, handle.is_empty()) else { return Ok(None) };
    let site = sites::find(db, organisation, handle)?;
    if site.is_none() {
        errors.add("site", "site-unknown");
    }
    Ok(site.map(|site| site.id))
}

fn environment(
    db: &mut DbConnection,
    errors: &mut FieldErrors,
    organisation: Option<OrganisationId>,
    handle: &str,
) -> Result<Option<EnvironmentId>> {
    let (Some(organisation), false) = (organisation, handle.is_empty()) else { return Ok(None) };
    let environment = environments::find(db, organisation, handle)?;
    if environment.is_none() {
        errors.add("environment", "environment-unknown");
    }
    Ok(environment.map(|environment| environment.id))
}

/// The one site of the organisation that is called so. The form is not told whether there is one.
fn site_in_words(db: &mut DbConnection, organisation: OrganisationId, words: &str) -> Result<Option<SiteId>> {
    let wanted = fields::sort_name([words]);
    let mut found =
        sites::of_organisation(db, organisation)?.into_iter().filter(|site| fields::sort_name([&*site.name]) == wanted);
    Ok(match (found.next(), found.next()) {
        (Some(site), None) => Some(site.id),
        _ => None,
    })
}
