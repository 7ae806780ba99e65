//! How a mail was handled, for agents: by which way it came and through which servers (B1), what was decided and why, how long
//! it took. Whoever may read the message may read this.

use actix_web::web::{Data, Path};
use askama::Template;
use chrono::TimeDelta;

use crate::app::App;
use crate::carry;
use crate::clock::UtcTime;
use crate::db::types::JournalId;
use crate::error::Error;
use crate::i18n::Texts;
use crate::journal::handling::{self, Handling};
use crate::mail::address::visible;
use crate::mail::incoming::{ParsedMail, parse_within};
use crate::tickets::messages;
use crate::web::mail_words;
use crate::web::navigation::Place;
use crate::web::page::Page;
use crate::web::page_error::PageResult;
use crate::web::respond;
use crate::web::signed_in::Agent;

/// Servers shown; a mail that passed more went in circles (LP-06).
const SERVERS: usize = 60;
/// As much as is shown of what one server wrote, in characters.
const SERVER_CHARACTERS: usize = 600;

#[derive(Template)]
#[template(path = "agent/handling.html")]
struct HandlingPage {
    p: Page,
    reference: String,
    handle: String,
    /// What was done, and why.
    decision: Vec<(String, String)>,
    remarks: Vec<String>,
    /// How it came.
    arrival: Vec<(String, String)>,
    /// What each server wrote, the first that had it first.
    servers: Vec<String>,
    /// The servers could not be read, for the original is lost.
    is_original_lost: bool,
}

/// `GET /messages/{handle}/handling`
pub async fn show(app: Data<App>, agent: Agent, handle: Path<String>) -> PageResult {
    let (actor, handle) = (agent.actor().clone(), handle.into_inner());
    let asked = handle.clone();
    let (reference, handling) = app
        .database
        .read(move |db| {
            let (ticket, message) = messages::find_readable(db, &actor, &asked)?.ok_or(Error::NotFound)?;
            let ingest: JournalId = message.ingest_id.ok_or(Error::NotFound)?;
            Ok((ticket.reference, handling::of(db, ingest)?))
        })
        .await?;
    let (storage, original) = (app.storage.clone(), handling.original.clone());
    let read = move || original.read(&storage).map(|bytes| parse_within(&bytes, 0));
    // A lost file takes nothing else away (FT-11).
    let header = carry::blocking(read).await.map_err(|_| Error::Busy)?.ok();
    let servers = header.as_ref().map(servers);
    let mut p = agent.page(&app, "handling-title", Place::Tickets);
    p.title = format!("{} · {reference}", p.title);
    respond::page(&HandlingPage {
        decision: decision(&p.t, &handling),
        remarks: remarks(&p.t, &handling),
        arrival: arrival(&p.t, &handling, header.and_then(|header| header.date)),
        is_original_lost: servers.is_none(),
        servers: servers.unwrap_or_default(),
        p,
        reference,
        handle,
    })
}

/// What each server that the mail passed wrote into it, the first first.
fn servers(mail: &ParsedMail) -> Vec<String> {
    let received = mail.headers.iter().filter(|(name, _)| name == "received");
    let lines = received.take(SERVERS).map(|(_, value)| visible(value).chars().take(SERVER_CHARACTERS).collect());
    let mut servers: Vec<String> = lines.collect();
    servers.reverse();
    servers
}

fn decision(t: &Texts, handling: &Handling) -> Vec<(String, String)> {
    let record = &handling.record;
    let acknowledged = if record.may_acknowledge { "handling-ack-yes" } else { "handling-ack-no" };
    let mut facts = vec![
        (t.say("handling-decision"), mail_words::decision(t, &record.decision)),
        (t.say("handling-rule"), mail_words::rule(t, &record.rule)),
        (t.say("handling-sender"), mail_words::authentication(t, &record.authentication)),
        (t.say("handling-checked"), mail_words::checked(t, &record.checked)),
        (t.say("handling-read"), mail_words::read(t, &record.read, !record.cut.is_empty())),
    ];
    if record.decision == "new_ticket" {
        facts.push((t.say("handling-ack"), t.say(acknowledged)));
    }
    facts.retain(|(_, said)| !said.is_empty());
    facts
}

fn remarks(t: &Texts, handling: &Handling) -> Vec<String> {
    let record = &handling.record;
    let flags = record.flags.iter().map(|flag| mail_words::flag(t, flag));
    let cuts = record.cut.iter().map(|limit| mail_words::cut(t, limit));
    let copies = (handling.copies > 0).then(|| t.count("handling-copies", handling.copies));
    flags.chain(cuts).chain(copies).collect()
}

fn arrival(t: &Texts, handling: &Handling, written_at: Option<UtcTime>) -> Vec<(String, String)> {
    let sender = match handling.envelope_from.as_str() {
        "" | "<>" => t.say("unprocessed-no-sender"),
        sender => visible(sender),
    };
    let way = match handling.imported {
        Some(imported) => mail_words::imported(t, imported),
        None => mail_words::way(t, handling.way),
    };
    let mut facts = vec![
        (t.say("handling-way"), way),
        (t.say("handling-recipient"), visible(&handling.recipient)),
        (t.say("unprocessed-envelope-from"), sender),
        (t.say("handling-client"), handling.client_address.clone().unwrap_or_default()),
        (t.say("unprocessed-at"), t.date_time(&handling.received_at)),
        (t.say("unprocessed-size"), t.size(handling.size)),
        (
            t.say("handling-took"),
            t.with("handling-milliseconds", "count", t.number(clamped(handling.record.duration_ms))),
        ),
    ];
    facts.retain(|(_, said)| !said.is_empty());
    if let (Some(_), Some(written_at)) = (handling.imported, written_at) {
        facts.push((t.say("handling-written"), t.date_time(&written_at)));
    }
    if let Some(finished) = handling.finished_at {
        let waited = finished.since(handling.received_at).max(TimeDelta::zero());
        facts.push((
            t.say("handling-finished"),
            t.with2("handling-finished-after", "at", t.date_time(&finished), "seconds", t.number(waited.num_seconds())),
        ));
    }
    if handling.attempts > 1 {
        facts.push((t.say("handling-attempts"), t.number(i64::from(handling.attempts))));
    }
    facts
}

fn clamped(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
