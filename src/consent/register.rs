//! The record of a consent: append-only events, each hashed with the one before it, each with every field that ISO/IEC TS
//! 27560 and the GDPR ask for. Where a consent stands is kept beside it for speed; what can be shown to an authority, or
//! checked by the customer without us, is this.

use diesel::prelude::*;
use serde_json::{Value, json};

use crate::access::Actor;
use crate::audit;
use crate::clock::UtcTime;
use crate::consent::asking::{ConsentRequest, Terms};
use crate::consent::grants::Grant;
use crate::consent::manifest::{Manifest, sha256_hex};
use crate::consent::scope::Subject;
use crate::consent::signing::{self, canonical};
use crate::consent::wording::{self, Party};
use crate::db::DbConnection;
use crate::db::schema::{audit_details, audit_ledger, consent_events, consent_receipts, consent_requests};
use crate::db::types::{ConsentRequestId, PersonId, text_enum};
use crate::error::{Error, Result};
use crate::i18n::{Locale, Texts};
use crate::people::organisations;
use crate::people::person;
use crate::tickets::events::{self, Details, EventKind as TicketEvent, Maker};
use crate::tickets::ticket;

/// The form of a record, which says how to read it.
pub const SCHEMA: &str = "https://w3id.org/dpv/schema/dpv-27560#record-eu-gdpr";
/// Links of chains looked at in one go while verifying.
const CHUNK: i64 = 500;

text_enum! {
    /// What can happen to a consent.
    pub enum EventKind {
        Requested = "requested",
        /// The first of two approved.
        Approved = "approved",
        Granted = "granted",
        GrantedNarrower = "granted_narrower",
        Refused = "refused",
        Lapsed = "lapsed",
        Cancelled = "cancelled",
        Withdrawn = "withdrawn",
        Expired = "expired",
        /// It ended otherwise; the body says why.
        Stopped = "stopped",
        /// The key and what it sealed are gone.
        Destroyed = "destroyed",
    }
}

impl EventKind {
    fn in_ledger(self) -> &'static str {
        match self {
            EventKind::Requested => "consent_requested",
            EventKind::Approved => "consent_approved",
            EventKind::Granted => "consent_granted",
            EventKind::GrantedNarrower => "consent_granted_narrower",
            EventKind::Refused => "consent_refused",
            EventKind::Lapsed => "consent_lapsed",
            EventKind::Cancelled => "consent_cancelled",
            EventKind::Withdrawn => "consent_withdrawn",
            EventKind::Expired => "consent_expired",
            EventKind::Stopped => "consent_stopped",
            EventKind::Destroyed => "consent_destroyed",
        }
    }

    fn in_ticket(self) -> TicketEvent {
        match self {
            EventKind::Requested => TicketEvent::ConsentRequested,
            EventKind::Approved => TicketEvent::ConsentApproved,
            EventKind::Granted | EventKind::GrantedNarrower => TicketEvent::ConsentGranted,
            EventKind::Refused => TicketEvent::ConsentRefused,
            EventKind::Lapsed => TicketEvent::ConsentLapsed,
            EventKind::Cancelled => TicketEvent::ConsentCancelled,
            EventKind::Withdrawn => TicketEvent::ConsentWithdrawn,
            EventKind::Expired => TicketEvent::ConsentExpired,
            EventKind::Stopped => TicketEvent::ConsentStopped,
            EventKind::Destroyed => TicketEvent::TracesDestroyed,
        }
    }
}

/// Who did it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    Customer(PersonId),
    Staff(PersonId),
    System,
}

impl By {
    /// Who acts, as records name them. Somebody with a link acts as the customer they are.
    pub fn of(actor: &Actor) -> By {
        match actor {
            Actor::Staff(staff) => By::Staff(staff.person),
            Actor::Customer(customer) => By::Customer(customer.person),
            Actor::LinkHolder { person, .. } => By::Customer(*person),
            Actor::System => By::System,
        }
    }

    pub fn person(self) -> Option<PersonId> {
        match self {
            By::Customer(person) | By::Staff(person) => Some(person),
            By::System => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            By::Customer(_) => "customer",
            By::Staff(_) => "staff",
            By::System => "system",
        }
    }

    fn maker(self) -> Maker {
        match self {
            By::Customer(_) => Maker::Customer,
            By::Staff(_) => Maker::Staff,
            By::System => Maker::System,
        }
    }
}

/// A step to be recorded.
pub struct NewEvent<'a> {
    pub kind: EventKind,
    pub by: By,
    pub request: &'a ConsentRequest,
    pub grant: Option<&'a Grant>,
    /// What holds from this step on: what was asked, or what was granted.
    pub terms: &'a Terms,
    /// The text that the person read, by its SHA-256, and its language.
    pub notice: Option<(&'a str, Locale)>,
    /// What else this step has to say.
    pub detail: Value,
}

/// One link of a chain, as it is stored and as bundles carry it.
#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
pub struct Event {
    pub number: i32,
    pub kind: EventKind,
    pub actor: String,
    pub actor_id: Option<PersonId>,
    /// JSON, exactly as it was hashed.
    pub body: String,
    pub previous_hash: String,
    pub hash: String,
    pub created_at: UtcTime,
}

impl Event {
    /// As a bundle carries it, with nothing that only the database knows.
    pub fn to_json(&self) -> Value {
        json!({
            "number": self.number,
            "kind": self.kind,
            "actor": self.actor,
            "at": self.created_at.rfc3339(),
            "body": self.body,
            "previous": self.previous_hash,
            "hash": self.hash,
        })
    }
}

/// Before the first event of a chain.
pub fn beginning() -> String {
    "0".repeat(64)
}

/// Records the step: in the chain, in the ledger, and in the ticket. The caller holds the request's row.
pub fn append(db: &mut DbConnection, event: &NewEvent<'_>, now: UtcTime) -> Result<()> {
    let request = event.request;
    let last: Option<(i32, String)> = consent_events::table
        .filter(consent_events::request_id.eq(request.id))
        .order(consent_events::number.desc())
        .select((consent_events::number, consent_events::hash))
        .first(db)
        .optional()?;
    let (number, previous) = last.map_or((1, beginning()), |(number, hash)| (number + 1, hash));
    let body = canonical(&body(db, event, now)?);
    let hash = hash_of(&request.handle, number, event.kind.as_str(), event.by.name(), now, &body, &previous);
    diesel::insert_into(consent_events::table)
        .values((
            consent_events::organisation_id.eq(request.organisation_id),
            consent_events::request_id.eq(request.id),
            consent_events::grant_id.eq(event.grant.map(|grant| grant.id)),
            consent_events::number.eq(number),
            consent_events::kind.eq(event.kind),
            consent_events::actor.eq(event.by.name()),
            consent_events::actor_id.eq(event.by.person()),
            consent_events::body.eq(body),
            consent_events::previous_hash.eq(previous),
            consent_events::hash.eq(&hash),
            consent_events::created_at.eq(now),
        ))
        .execute(db)?;
    let entry = audit::Entry {
        kind: event.kind.in_ledger(),
        actor: event.by.person(),
        subject: event.terms.subject.person(),
        organisation: Some(request.organisation_id),
        detail: json!({ "consent": request.handle, "number": number, "hash": hash }),
    };
    audit::record(db, &entry, now)?;
    let ticket = ticket::by_id(db, request.ticket_id)?;
    let in_ticket = events::NewEvent {
        kind: event.kind.in_ticket(),
        maker: event.by.maker(),
        person: event.by.person(),
        message: None,
        details: Details {
            consent: Some(request.handle.clone()),
            to: event.grant.and_then(|grant| grant.end_reason).map(|reason| reason.as_str().to_owned()),
            ..Details::default()
        },
    };
    events::record(db, &ticket, in_ticket, now)?;
    Ok(())
}

/// Every field of the table in the standard, under names that say what they are.
fn body(db: &mut DbConnection, event: &NewEvent<'_>, now: UtcTime) -> Result<Value> {
    let NewEvent { request, grant, terms, .. } = event;
    let ticket = ticket::by_id(db, request.ticket_id)?;
    let organisation = organisations::by_id(db, request.organisation_id)?;
    let (operator, customer) = (wording::operator(db)?, wording::customer(db, request.organisation_id)?);
    let principal = match terms.subject {
        Subject::Person(id) => {
            let person = person::by_id(db, id)?;
            json!({ "kind": "person", "id": person.handle, "name": person.display_name() })
        }
        Subject::Organisation => {
            json!({ "kind": "organisation", "id": organisation.handle, "name": organisation.name })
        }
    };
    let entity = match event.by.person() {
        Some(id) => {
            let person = person::by_id(db, id)?;
            json!({ "type": event.by.name(), "id": person.handle, "name": person.display_name() })
        }
        None => json!({ "type": "system" }),
    };
    let texts = Texts::in_language(request.language);
    let recipients = wording::recipients(db, terms, &texts)?;
    let (notice, language) = event.notice.unwrap_or((&request.wording_sha256, request.language));
    let version = wording::kept(db, notice)?.version;
    Ok(json!({
        "schema": SCHEMA,
        "record_id": request.handle,
        "grant_id": grant.map(|grant| grant.handle.clone()),
        "receipt_id": grant.map(|grant| format!("receipt-{}", grant.handle)),
        "ticket": ticket.reference,
        "principal": principal,
        "notice": { "version": version, "sha256": notice, "language": language.code() },
        "purpose": { "text": terms.purpose, "code": terms.purpose_code },
        "lawful_basis": terms.subject.basis(),
        "information": {
            "scope": terms.scope,
            "level": terms.scope.level(),
            "manifest_sha256": Manifest::of(&terms.scope).sha256(),
            "may_be_sensitive": true,
            "special_categories_sought": false,
        },
        "controller": party(&operator, "controller"),
        "customer": party(&customer, "customer"),
        "recipients": [recipients],
        "third_parties": [],
        "collection_methods": terms.scope.channels(),
        "storage": { "location": operator.country, "retention_days": terms.retention_days },
        "retained_until": grant.and_then(|grant| grant.kept_until).map(|until| until.rfc3339()),
        "exports_allowed": terms.exports_allowed,
        "jurisdiction": operator.country,
        "withdrawal_method": format!("/consents/{}", request.handle),
        "event": {
            "type": event.kind,
            "time": now.rfc3339(),
            "entity": entity,
            "validity_minutes": terms.duration_minutes,
            "valid_until": grant.map(|grant| grant.expires_at.rfc3339()),
            "state": grant.map_or(request.state.as_str(), |grant| grant.state.as_str()),
        },
        "detail": event.detail,
    }))
}

fn party(party: &Party, kind: &str) -> Value {
    json!({ "type": kind, "name": party.name, "address": party.address, "country": party.country,
        "contact": party.contact })
}

/// What each link of a chain is hashed from: everything in it and the hash of the one before.
fn hash_of(record: &str, number: i32, kind: &str, actor: &str, at: UtcTime, body: &str, previous: &str) -> String {
    sha256_hex(&canonical(&json!({
        "record": record,
        "number": number,
        "kind": kind,
        "actor": actor,
        "at": at.rfc3339(),
        "body": body,
        "previous": previous,
    })))
}

macro_rules! event_columns {
    () => {
        (
            consent_events::number,
            consent_events::kind,
            consent_events::actor,
            consent_events::actor_id,
            consent_events::body,
            consent_events::previous_hash,
            consent_events::hash,
            consent_events::created_at,
        )
    };
}

/// The chain of one consent, from the beginning.
pub fn of_request(db: &mut DbConnection, request: ConsentRequestId) -> Result<Vec<Event>> {
    Ok(consent_events::table
        .filter(consent_events::request_id.eq(request))
        .order(consent_events::number)
        .select(event_columns!())
        .load(db)?)
}

/// What is wrong with a chain, and at which link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    pub number: i64,
    pub why: &'static str,
}

/// Checks links as a bundle carries them: each follows the one before and is hashed from what it says. Gives the hash of
/// the last.
pub fn verify_links(record: &str, links: &[Value]) -> Result<String, Broken> {
    let mut previous = beginning();
    for (index, link) in links.iter().enumerate() {
        let number = i64::try_from(index).unwrap_or(i64::MAX).saturating_add(1);
        let broken = |why| Broken { number, why };
        let text = |name: &str| link.get(name).and_then(Value::as_str).ok_or(broken("a part of it is missing"));
        if link.get("number").and_then(Value::as_i64) != Some(number) {
            return Err(broken("another link stands in its place"));
        }
        if text("previous")? != previous {
            return Err(broken("it does not follow the one before"));
        }
        let at = UtcTime::parse_rfc3339(text("at")?).ok_or(broken("its time cannot be read"))?;
        let number = i32::try_from(number).map_err(|_| broken("there are too many"))?;
        let hash = hash_of(record, number, text("kind")?, text("actor")?, at, text("body")?, &previous);
        if text("hash")? != hash {
            return Err(broken("it does not say what was hashed"));
        }
        previous = hash;
    }
    Ok(previous)
}

/// How much was found whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    pub consents: usize,
    pub events: usize,
    pub receipts: usize,
}

/// Checks every chain in the database, that the ledger knows as many links as there are and the same ones, and every
/// receipt and certificate. An error names the first consent at fault.
pub fn verify_all(db: &mut DbConnection) -> Result<Verified> {
    let mut verified = Verified::default();
    let mut after = ConsentRequestId(0);
    let mut links = std::collections::BTreeMap::new();
    loop {
        let requests: Vec<(ConsentRequestId, String)> = consent_requests::table
            .filter(consent_requests::id.gt(after))
            .order(consent_requests::id)
            .limit(CHUNK)
            .select((consent_requests::id, consent_requests::handle))
            .load(db)?;
        let Some((last, _)) = requests.last() else { break };
        after = *last;
        for (id, handle) in requests {
            let events = of_request(db, id)?;
            let chain: Vec<Value> = events.iter().map(Event::to_json).collect();
            if chain.is_empty() {
                return Err(Error::internal(format!("consent {handle} has lost its record")));
            }
            verify_links(&handle, &chain).map_err(|broken| {
                Error::internal(format!(
                    "the record of consent {handle} is broken at {}: {}",
                    broken.number, broken.why
                ))
            })?;
            verified.consents += 1;
            verified.events += events.len();
            links.extend(events.into_iter().map(|event| ((handle.clone(), i64::from(event.number)), event.hash)));
        }
    }
    verify_against_ledger(db, links)?;
    let receipts: Vec<(String, String)> =
        consent_receipts::table.select((consent_receipts::handle, consent_receipts::document)).load(db)?;
    for (handle, document) in receipts {
        let sound = serde_json::from_str::<Value>(&document).ok().is_some_and(|value| signing::verify(&value).is_ok());
        if !sound {
            return Err(Error::internal(format!("receipt {handle} is not as it was signed")));
        }
        verified.receipts += 1;
    }
    Ok(verified)
}

/// The ledger saw each link when it was added, so that links missing at the end of a chain are missed too.
fn verify_against_ledger(
    db: &mut DbConnection,
    mut links: std::collections::BTreeMap<(String, i64), String>,
) -> Result<()> {
    let kinds: Vec<&str> = EventKind::ALL.iter().map(|kind| kind.in_ledger()).collect();
    let told: Vec<String> = audit_ledger::table
        .inner_join(audit_details::table.on(audit_details::sequence.eq(audit_ledger::sequence)))
        .filter(audit_ledger::kind.eq_any(kinds))
        .order(audit_ledger::sequence)
        .select(audit_details::detail)
        .load(db)?;
    for detail in told {
        let detail: Value = serde_json::from_str(&detail).unwrap_or_default();
        let handle = detail.get("consent").and_then(Value::as_str).unwrap_or_default().to_owned();
        let number = detail.get("number").and_then(Value::as_i64).unwrap_or_default();
        let hash = detail.get("hash").and_then(Value::as_str).unwrap_or_default();
        if links.remove(&(handle.clone(), number)).as_deref() != Some(hash) {
            return Err(Error::internal(format!("event {number} of consent {handle} is not the one the ledger saw")));
        }
    }
    match links.into_keys().next() {
        Some((handle, number)) => {
            Err(Error::internal(format!("the ledger never saw event {number} of consent {handle}")))
        }
        None => Ok(()),
    }
}
