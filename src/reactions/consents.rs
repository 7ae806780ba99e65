//! Who is told of a step in the life of a consent: whoever is asked, whoever granted, and the agents in charge. Both sides
//! hear of every end.

use crate::clock::UtcTime;
use crate::consent::asking::{self, ConsentRequest};
use crate::consent::granting;
use crate::consent::grants::{self, Grant};
use crate::consent::life::{EndReason, RequestState};
use crate::consent::links::{self, Opens};
use crate::consent::receipt::{self, Kind};
use crate::db::DbConnection;
use crate::db::types::PersonId;
use crate::error::Result;
use crate::i18n::Message;
use crate::notifications::consent::{News, draft, to_agents};
use crate::notifications::messages::Document;
use crate::notifications::{Draft, Letterhead};
use crate::people::person;
use crate::settings;
use crate::tickets::events::{Event, EventKind};
use crate::tickets::ticket::Ticket;

/// The mails that follow from the event.
pub fn follow(
    db: &mut DbConnection,
    letterhead: &Letterhead,
    ticket: &Ticket,
    event: &Event,
    now: UtcTime,
) -> Result<Vec<Draft>> {
    let Some(handle) = event.details.0.consent.as_deref() else { return Ok(Vec::new()) };
    let Some(request) = asking::find_by_handle(db, handle)? else { return Ok(Vec::new()) };
    let news = Following { ticket, request: &request, operator: settings::operator_name(db)?, now };
    let mut all = match event.kind {
        EventKind::ConsentRequested => news.asked(db)?,
        EventKind::ConsentApproved => news.approved(db)?,
        EventKind::ConsentGranted => news.granted(db)?,
        EventKind::ConsentWithdrawn | EventKind::ConsentExpired | EventKind::ConsentStopped => news.ended(db)?,
        EventKind::ConsentLapsed | EventKind::ConsentCancelled => news.closed(db, event.kind)?,
        EventKind::TracesDestroyed => news.destroyed(db)?,
        _ => Vec::new(),
    };
    let mut drafts = Vec::new();
    for one in all.drain(..) {
        drafts.extend(draft(db, letterhead, ticket, one, now)?);
    }
    if let Some(key) = for_agents(event.kind) {
        let who = match event.actor_id {
            Some(id) => person::by_id(db, id)?.display_name(),
            None => news.operator.clone(),
        };
        let lead = Message::new(key).with("who", who).with("reference", &ticket.reference);
        drafts.extend(to_agents(db, letterhead, ticket, &lead, now)?);
    }
    Ok(drafts)
}

fn for_agents(kind: EventKind) -> Option<&'static str> {
    Some(match kind {
        EventKind::ConsentGranted => "mail-agent-consent-granted",
        EventKind::ConsentRefused => "mail-agent-consent-refused",
        EventKind::ConsentLapsed => "mail-agent-consent-lapsed",
        EventKind::ConsentWithdrawn => "mail-agent-consent-withdrawn",
        EventKind::ConsentExpired => "mail-agent-consent-expired",
        EventKind::ConsentStopped => "mail-agent-consent-stopped",
        _ => return None,
    })
}

struct Following<'a> {
    ticket: &'a Ticket,
    request: &'a ConsentRequest,
    operator: String,
    now: UtcTime,
}

impl Following<'_> {
    fn text(&self, key: &'static str) -> Message {
        Message::new(key).with("reference", &self.ticket.reference).with("operator", &self.operator)
    }

    fn page(&self) -> String {
        format!("/consents/{}", self.request.handle)
    }

    fn to(&self, person: PersonId, subject: &'static str, lead: &'static str) -> News {
        News {
            to: person,
            subject: self.text(subject),
            lead: self.text(lead),
            links: Vec::new(),
            paragraphs: Vec::new(),
            caution: "mail-consent-caution",
            documents: Vec::new(),
            until: None,
        }
    }

    /// The question, to everybody whom it is put to, in their language.
    fn asked(&self, db: &mut DbConnection) -> Result<Vec<News>> {
        if self.request.state != RequestState::Requested || self.now >= self.request.expires_at {
            return Ok(Vec::new());
        }
        let mut news = Vec::new();
        for person in asking::people_asked(db, self.request)? {
            news.push(self.question(db, person, "mail-consent-asked-subject", "mail-consent-asked")?);
        }
        Ok(news)
    }

    /// What the first of two approved, to those who may second it.
    fn approved(&self, db: &mut DbConnection) -> Result<Vec<News>> {
        let first = self.request.pending.as_ref().map(|pending| pending.by);
        if self.request.state != RequestState::AwaitingSecond || self.now >= self.request.expires_at {
            return Ok(Vec::new());
        }
        let mut news = Vec::new();
        for person in asking::grantors(db, self.request.organisation_id)? {
            if Some(person) != first {
                news.push(self.question(db, person, "mail-consent-second-subject", "mail-consent-second")?);
            }
        }
        Ok(news)
    }

    fn question(&self, db: &mut DbConnection, to: PersonId, subject: &'static str, lead: &'static str) -> Result<News> {
        let locale = person::by_id(db, to)?.language.0;
        let notice = granting::notice_for(db, self.request, locale)?;
        let token = links::create(db, Opens::Question, self.request, to, self.request.expires_at, self.now)?;
        Ok(News {
            links: vec![("mail-consent-link-question", format!("/l/consent/{}", token.expose()))],
            paragraphs: notice.text.split("\n\n").map(str::to_owned).collect(),
            caution: "mail-consent-question-caution",
            until: Some(self.request.expires_at),
            ..self.to(to, subject, lead)
        })
    }

    /// The receipt and the way to stop, to whoever granted.
    fn granted(&self, db: &mut DbConnection) -> Result<Vec<News>> {
        let Some(grant) = grants::of_request(db, self.request.id)? else { return Ok(Vec::new()) };
        let documents = self.document(db, &grant, Kind::Receipt)?;
        let mut news = Vec::new();
        for person in grantors_of(&grant) {
            let token = links::create(db, Opens::Stop, self.request, person, grant.expires_at, self.now)?;
            news.push(News {
                links: vec![
                    ("mail-consent-link-stop", format!("/l/stop/{}", token.expose())),
                    ("mail-consent-link-receipt", format!("{}/receipt", self.page())),
                ],
                documents: documents.clone(),
                ..self.to(person, "mail-consent-granted-subject", "mail-consent-granted")
            });
        }
        Ok(news)
    }

    fn ended(&self, db: &mut DbConnection) -> Result<Vec<News>> {
        let Some(grant) = grants::of_request(db, self.request.id)? else { return Ok(Vec::new()) };
        let lead = match grant.end_reason {
            Some(EndReason::Withdrawn) => "mail-consent-withdrawn",
            Some(EndReason::Expired) => "mail-consent-expired",
            _ => "mail-consent-stopped",
        };
        let people = grantors_of(&grant).into_iter();
        let news = people.map(|person| News {
            links: vec![("mail-consent-link-page", self.page())],
            ..self.to(person, "mail-consent-ended-subject", lead)
        });
        Ok(news.collect())
    }

    /// Nobody answered, or the question was taken back: whoever was asked need do nothing more.
    fn closed(&self, db: &mut DbConnection, kind: EventKind) -> Result<Vec<News>> {
        let lead = if kind == EventKind::ConsentLapsed { "mail-consent-lapsed" } else { "mail-consent-cancelled" };
        let people = asking::people_asked(db, self.request)?.into_iter();
        Ok(people.map(|person| self.to(person, "mail-consent-closed-subject", lead)).collect())
    }

    fn destroyed(&self, db: &mut DbConnection) -> Result<Vec<News>> {
        let Some(grant) = grants::of_request(db, self.request.id)? else { return Ok(Vec::new()) };
        let documents = self.document(db, &grant, Kind::Certificate)?;
        let people = grantors_of(&grant).into_iter();
        let news = people.map(|person| News {
            links: vec![("mail-consent-link-page", self.page())],
            documents: documents.clone(),
            ..self.to(person, "mail-consent-destroyed-subject", "mail-consent-destroyed")
        });
        Ok(news.collect())
    }

    fn document(&self, db: &mut DbConnection, grant: &Grant, kind: Kind) -> Result<Vec<Document>> {
        let signed = receipt::find(db, grant.id, kind)?;
        let document = signed.map(|signed| Document {
            file_name: format!("{kind}-{}.jsonld", self.request.handle),
            media_type: "application/ld+json",
            text: serde_json::to_string_pretty(&signed.document).unwrap_or_default(),
        });
        Ok(document.into_iter().collect())
    }
}

fn grantors_of(grant: &Grant) -> Vec<PersonId> {
    [Some(grant.granted_by), grant.seconded_by].into_iter().flatten().collect()
}
