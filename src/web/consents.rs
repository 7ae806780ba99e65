//! What pages say of a consent, to agents and to customers alike: the question as it was read, where it stands, what
//! happened to it.

use std::sync::Arc;

use actix_web::web::Data;
use serde_json::Value;

use crate::access::CustomerActor;
use crate::app::App;
use crate::carry;
use crate::clock::UtcTime;
use crate::consent::asking::{ConsentRequest, Terms};
use crate::consent::grants::Grant;
use crate::consent::life::{EndReason, GrantState, RequestState};
use crate::consent::manifest::Manifest;
use crate::consent::receipt::{self, Kind, Signed};
use crate::consent::register::{self, Event, EventKind};
use crate::consent::unrecorded::End;
use crate::consent::wording::{component_key, level_key};
use crate::consent::{grants, wording};
use crate::db::DbConnection;
use crate::db::types::GrantId;
use crate::diagnostics::capture::{self, Capture};
use crate::error::{Error, Result};
use crate::i18n::Texts;
use crate::mail::address::visible;
use crate::web::page::Tone;
use crate::web::page_error::PageError;

/// Ends the grant that `find` finds for whoever may end it: first in this process, at once, then with `end` in the
/// database, and once more here for one that was granted in between. When this returns the gate is closed, also if the
/// database could not record it: whoever asked is told so, and it is noted, to be recorded as soon as it can be, whatever
/// becomes of this process.
pub async fn end_at_once<F, E>(app: &Data<App>, find: F, end: E) -> Result<(), PageError>
where
    F: Fn(&mut DbConnection) -> Result<Option<(GrantId, End)>> + Clone + Send + 'static,
    E: Fn(&mut DbConnection) -> Result<()> + Send + 'static,
{
    let running = app.database.read(find.clone()).await?;
    if let Some((running, _)) = &running {
        capture::close(*running);
    }
    // A task of its own: who asked may have gone before the answer.
    let recording = carry::task(record_or_note(app.clone().into_inner(), running.map(|(_, noted)| noted), find, end));
    match recording
        .await
        .map_err(|error| PageError::fault(&format!("the end of a grant was not recorded: {error}")))??
    {
        Recorded::Now => Ok(()),
        Recorded::Later => Err(PageError::stopped_not_recorded()),
    }
}

/// Whether the end of a grant is recorded.
enum Recorded {
    Now,
    Later,
}

async fn record_or_note<F, E>(app: Arc<App>, running: Option<End>, find: F, end: E) -> Result<Recorded>
where
    F: Fn(&mut DbConnection) -> Result<Option<(GrantId, End)>> + Send + 'static,
    E: Fn(&mut DbConnection) -> Result<()> + Send + 'static,
{
    match (app.database.write(move |db| end(db).and_then(|()| find(db))).await, running) {
        (Ok(ended), _) => {
            if let Some((ended, _)) = ended {
                capture::close(ended);
            }
            Ok(Recorded::Now)
        }
        (Err(error), Some(running)) if may_pass(&error) => {
            // This waits for the disk where nothing should: it is one short file, when something is wrong already.
            app.unrecorded.note_instead(running, &error);
            Ok(Recorded::Later)
        }
        (Err(error), _) => Err(error),
    }
}

/// Whether the database may do later what it could not do now.
fn may_pass(error: &Error) -> bool {
    matches!(error, Error::Busy | Error::StorageFull | Error::Internal(_))
}

/// A consent with everything that its page shows.
pub struct Loaded {
    pub request: ConsentRequest,
    pub grant: Option<Grant>,
    /// What was asked, or what was granted of it.
    pub terms: Terms,
    pub events: Vec<Event>,
    pub receipt: Option<Signed>,
    pub certificate: Option<Signed>,
    pub recipients: String,
}

/// Loads what goes with a question.
pub fn load(db: &mut DbConnection, request: ConsentRequest, texts: &Texts) -> Result<Loaded> {
    let grant = grants::of_request(db, request.id)?;
    let terms = match &grant {
        Some(grant) => crate::consent::withdrawing::terms_of(&request, grant),
        None => crate::consent::granting::terms_offered(&request)?,
    };
    let (receipt, certificate) = match &grant {
        Some(grant) => (receipt::find(db, grant.id, Kind::Receipt)?, receipt::find(db, grant.id, Kind::Certificate)?),
        None => (None, None),
    };
    Ok(Loaded {
        events: register::of_request(db, request.id)?,
        recipients: wording::recipients(db, &terms, texts)?,
        request,
        grant,
        terms,
        receipt,
        certificate,
    })
}

/// A consent in the words of a page.
pub struct ConsentView {
    pub handle: String,
    pub state: String,
    pub tone: &'static str,
    pub icon: &'static str,
    pub is_open: bool,
    pub awaits_second: bool,
    pub is_running: bool,
    /// It runs, and this process has no room to record for it yet.
    pub waits_for_capacity: bool,
    pub has_ended: bool,
    pub is_destroyed: bool,
    /// Whether its time is over, and it is not certified yet that nothing is left.
    pub is_being_destroyed: bool,
    pub expires_at: UtcTime,
    pub running_until: Option<UtcTime>,
    pub left: String,
    pub facts: Vec<(String, String)>,
    pub manifest: Vec<(String, String)>,
    pub manifest_sha256: String,
    pub events: Vec<StepView>,
    pub has_receipt: bool,
    pub has_certificate: bool,
}

/// One thing that happened.
pub struct StepView {
    pub icon: &'static str,
    pub text: String,
    pub at: UtcTime,
    pub hash: String,
}

impl Loaded {
    pub fn in_words(&self, t: &Texts, now: UtcTime) -> ConsentView {
        let running = self.grant.as_ref().filter(|grant| grant.is_live(now));
        let (state, tone, icon) = state_of(t, &self.request, self.grant.as_ref(), now);
        let granted = Manifest::of(&self.terms.scope);
        ConsentView {
            handle: self.request.handle.clone(),
            state,
            tone: tone.as_str(),
            icon,
            is_open: is_open(&self.request, now),
            awaits_second: self.request.state == RequestState::AwaitingSecond,
            is_running: running.is_some(),
            waits_for_capacity: running.is_some_and(waits_for_capacity),
            has_ended: self.grant.is_some() && running.is_none(),
            is_destroyed: self.grant.as_ref().is_some_and(|grant| grant.destroyed_at.is_some()),
            is_being_destroyed: self.grant.as_ref().is_some_and(|grant| is_being_destroyed(grant, now)),
            expires_at: self.request.expires_at,
            running_until: running.map(|grant| grant.expires_at),
            left: running.map(|grant| left(t, grant.expires_at, now)).unwrap_or_default(),
            facts: self.facts(t, now),
            manifest: granted
                .parts()
                .iter()
                .map(|(component, names)| (t.say(component_key(*component)), names.join(", ")))
                .collect(),
            manifest_sha256: granted.sha256(),
            events: self.events.iter().map(|event| step(t, event)).collect(),
            has_receipt: self.receipt.is_some(),
            has_certificate: self.certificate.is_some(),
        }
    }

    fn facts(&self, t: &Texts, now: UtcTime) -> Vec<(String, String)> {
        let terms = &self.terms;
        let mut facts = vec![
            ("consent-fact-purpose", terms.purpose.clone()),
            ("consent-fact-components", wording::components(t, &terms.scope.components())),
            ("consent-fact-level", t.say(level_key(terms.scope.level()))),
            (
                "consent-fact-subject",
                t.say(match terms.subject {
                    crate::consent::Subject::Person(_) => "consent-subject-own",
                    crate::consent::Subject::Organisation => "consent-subject-whole",
                }),
            ),
            ("consent-fact-duration", wording::duration(t, terms.duration_minutes)),
            ("consent-fact-retention", t.count("consent-days", terms.retention_days)),
            ("consent-fact-recipients", self.recipients.clone()),
            (
                "consent-fact-exports",
                t.say(if terms.exports_allowed { "consent-exports-yes" } else { "consent-exports-no" }),
            ),
        ];
        if let Some(grant) = &self.grant {
            facts.push(("consent-fact-granted", t.date_time(&grant.granted_at)));
            match (grant.ended_at, grant.kept_until, grant.destroyed_at) {
                (_, _, Some(at)) => facts.push(("consent-fact-destroyed", t.date_time(&at))),
                _ if is_being_destroyed(grant, now) => {
                    facts.push(("consent-fact-destruction", t.say("consent-destruction-under-way")));
                }
                (Some(_), Some(until), None) => facts.push(("consent-fact-kept-until", t.date_time(&until))),
                _ => facts.push(("consent-fact-until", t.date_time(&grant.expires_at))),
            }
        }
        facts.into_iter().map(|(key, value)| (t.say(key), value)).collect()
    }
}

fn is_being_destroyed(grant: &Grant, now: UtcTime) -> bool {
    grant.ended_at.is_some() && grant.destroyed_at.is_none() && grant.kept_until.is_some_and(|until| until <= now)
}

/// Whether the question can still be answered.
pub fn is_open(request: &ConsentRequest, now: UtcTime) -> bool {
    matches!(request.state, RequestState::Requested | RequestState::AwaitingSecond) && now < request.expires_at
}

/// Whether nothing is recorded yet under a grant that runs, since as many as can be are recorded for. The oldest have
/// their places first in every process, so that what this one says holds for all of them.
pub fn waits_for_capacity(grant: &Grant) -> bool {
    Capture::find().is_some_and(|capture| capture.waits_for_capacity(grant.id.0))
}

/// How long is left, in words.
pub fn left(t: &Texts, until: UtcTime, now: UtcTime) -> String {
    t.lasting(&now, &until)
}

/// Where a consent stands, in words, with its colour and icon.
pub fn state_of(
    t: &Texts,
    request: &ConsentRequest,
    grant: Option<&Grant>,
    now: UtcTime,
) -> (String, Tone, &'static str) {
    let (key, tone, icon) = match (request.state, grant) {
        (_, Some(grant)) if grant.destroyed_at.is_some() => ("consent-state-destroyed", Tone::Done, "shield"),
        (_, Some(grant)) if grant.is_live(now) && waits_for_capacity(grant) => {
            ("consent-state-waits", Tone::Paused, "clock")
        }
        (_, Some(grant)) if grant.is_live(now) => ("consent-state-active", Tone::Act, "pulse"),
        (_, Some(grant)) => match (grant.state, grant.end_reason) {
            (GrantState::Ended, Some(EndReason::Withdrawn)) => ("consent-state-withdrawn", Tone::Done, "stop"),
            (GrantState::Ended, Some(reason)) if reason != EndReason::Expired => {
                ("consent-state-stopped", Tone::Done, "stop")
            }
            _ => ("consent-state-expired", Tone::Done, "clock"),
        },
        (RequestState::Requested | RequestState::AwaitingSecond, None) if now >= request.expires_at => {
            ("consent-state-lapsed", Tone::Plain, "clock")
        }
        (RequestState::Requested, None) => ("consent-state-requested", Tone::Paused, "help"),
        (RequestState::AwaitingSecond, None) => ("consent-state-awaiting-second", Tone::Paused, "users"),
        (RequestState::Refused, None) => ("consent-state-refused", Tone::Plain, "close"),
        (RequestState::Lapsed, None) => ("consent-state-lapsed", Tone::Plain, "clock"),
        (RequestState::Cancelled, None) => ("consent-state-cancelled", Tone::Plain, "undo"),
        (RequestState::Granted, None) => ("consent-state-expired", Tone::Plain, "clock"),
    };
    (t.say(key), tone, icon)
}

fn step(t: &Texts, event: &Event) -> StepView {
    let body: Value = serde_json::from_str(&event.body).unwrap_or_default();
    let who = match body["event"]["entity"]["name"].as_str() {
        Some(name) => visible(name),
        None => t.say("event-by-system"),
    };
    let reason = body["detail"]["reason"].as_str().and_then(EndReason::parse);
    let (icon, key) = match event.kind {
        EventKind::Requested => ("help", "event-consent-requested"),
        EventKind::Approved => ("users", "event-consent-approved"),
        EventKind::Granted => ("shield", "event-consent-granted"),
        EventKind::GrantedNarrower => ("shield", "event-consent-granted-less"),
        EventKind::Refused => ("close", "event-consent-refused"),
        EventKind::Lapsed => ("clock", "event-consent-lapsed"),
        EventKind::Cancelled => ("undo", "event-consent-cancelled"),
        EventKind::Withdrawn => ("stop", "event-consent-withdrawn"),
        EventKind::Expired => ("clock", "event-consent-expired"),
        EventKind::Stopped => ("stop", end_key(reason)),
        EventKind::Destroyed => ("trash", "event-traces-destroyed"),
    };
    StepView { icon, text: t.with(key, "who", who), at: event.created_at, hash: event.hash.clone() }
}

/// Why a grant ended, as ticket and record say it; every such text names who did it, or takes no notice of it.
pub fn end_key(reason: Option<EndReason>) -> &'static str {
    match reason {
        Some(EndReason::StoppedByOperator) => "event-consent-stopped",
        Some(EndReason::TicketClosed) => "event-consent-stopped-closed",
        Some(EndReason::Unassigned) => "event-consent-stopped-unassigned",
        Some(EndReason::Reproduced) => "event-consent-stopped-reproduced",
        Some(EndReason::Unread) => "event-consent-stopped-unread",
        Some(EndReason::MembershipEnded) => "event-consent-stopped-membership",
        Some(EndReason::ClockDoubt) => "event-consent-stopped-clock",
        Some(EndReason::Withdrawn) => "event-consent-withdrawn",
        Some(EndReason::Expired) | None => "event-consent-expired",
    }
}

/// A step as the ticket tells it: icon and the key of a text that takes `who`.
pub fn in_ticket(
    kind: crate::tickets::events::EventKind,
    reason: Option<&str>,
) -> Option<(&'static str, &'static str)> {
    use crate::tickets::events::EventKind as In;
    Some(match kind {
        In::ConsentRequested => ("help", "event-consent-requested"),
        In::ConsentApproved => ("users", "event-consent-approved"),
        In::ConsentGranted => ("shield", "event-consent-granted"),
        In::ConsentRefused => ("close", "event-consent-refused"),
        In::ConsentLapsed => ("clock", "event-consent-lapsed"),
        In::ConsentCancelled => ("undo", "event-consent-cancelled"),
        In::ConsentWithdrawn => ("stop", "event-consent-withdrawn"),
        In::ConsentExpired => ("clock", "event-consent-expired"),
        In::ConsentStopped => ("stop", end_key(reason.and_then(EndReason::parse))),
        In::TracesDestroyed => ("trash", "event-traces-destroyed"),
        _ => return None,
    })
}

/// A consent as a line of a panel or a list.
pub struct ConsentLine {
    pub href: String,
    pub state: String,
    pub tone: &'static str,
    pub icon: &'static str,
    pub purpose: String,
    pub at: UtcTime,
    pub reference: String,
    pub is_open: bool,
    pub running: Option<String>,
    pub has_receipt: bool,
    /// Where it is stopped at once, for whoever may.
    pub stop_action: Option<String>,
}

impl ConsentLine {
    /// The same line where it can be stopped, if it runs and `customer` may.
    pub fn to_stop(mut self, request: &ConsentRequest, grant: Option<&Grant>, customer: &CustomerActor) -> ConsentLine {
        let may_stop = self.running.is_some() && grant.is_some_and(|grant| grant.may_be_withdrawn_by(customer));
        self.stop_action = may_stop.then(|| format!("/consents/{}/withdrawal", request.handle));
        self
    }
}

/// The line of one consent; its page is at `href`.
pub fn line(
    t: &Texts,
    request: &ConsentRequest,
    grant: Option<&Grant>,
    reference: &str,
    href: String,
    now: UtcTime,
) -> ConsentLine {
    let (state, tone, icon) = state_of(t, request, grant, now);
    ConsentLine {
        href,
        state,
        tone: tone.as_str(),
        icon,
        purpose: request.terms.purpose.clone(),
        at: request.created_at,
        reference: reference.to_owned(),
        is_open: is_open(request, now),
        running: grant.filter(|grant| grant.is_live(now)).map(|grant| left(t, grant.expires_at, now)),
        has_receipt: grant.is_some(),
        stop_action: None,
    }
}

/// The paragraphs of a text that somebody reads before deciding.
pub fn paragraphs(text: &str) -> Vec<String> {
    text.split("\n\n").map(str::to_owned).collect()
}
