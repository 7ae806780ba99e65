//! The mail that a mailbox sends to itself, and what the page says of it: on its way, come back after so long and by which way,
//! or not back, and where to look.

use actix_web::web::Data;
use serde::Deserialize;

use crate::app::App;
use crate::carry;
use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::error::{Error, Result};
use crate::i18n::Texts;
use crate::intake::round_trip::{self, NewRoundTrip, OVER, PATIENCE, RoundTrip};
use crate::journal::handling::{self, Handling};
use crate::mail::transport::Transport;
use crate::notifications::{Letterhead, delivery};
use crate::outbox;
use crate::outbox::listing::{self, Stand};
use crate::people::roles::Permission;
use crate::teams::mailboxes::{self, Mailbox};
use crate::web::forms::Form;
use crate::web::mail_words;
use crate::web::page::Tone;
use crate::web::page_error::PageResult;
use crate::web::respond::redirect_saying;
use crate::web::signed_in::Staff;

/// The mailbox that is to write to itself.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MailboxForm {
    mailbox: String,
}

/// `POST /admin/status/mail/round-trips`: one mail, from the mailbox to itself.
pub async fn send(app: Data<App>, staff: Staff, Form(form): Form<MailboxForm>) -> PageResult {
    staff.require(Permission::OperateInstallation)?;
    if stays_here(&app) {
        return Ok(redirect_saying(PAGE, "said-round-trip-stays-here"));
    }
    let (by, now) = (staff.staff.person, app.clock.now());
    let (mailbox, instance) = app
        .database
        .write(move |db| {
            let mailbox = mailboxes::find_by_handle(db, &form.mailbox)?.ok_or(Error::NotFound)?;
            Ok((mailbox, delivery::instance(db, now)?))
        })
        .await?;
    let letterhead = Letterhead::new(&app.keys, &app.config);
    let written = carry::blocking(move || NewRoundTrip::write(&letterhead, mailbox, &instance, now)).await;
    let new = written.map_err(|_| Error::Busy)??;
    let has_begun = app.database.write(move |db| round_trip::begin(db, &new, by, now)).await?;
    Ok(redirect_saying(PAGE, if has_begun { "said-round-trip-sent" } else { "said-round-trip-under-way" }))
}

const PAGE: &str = "/admin/status/mail#round-trips";

/// Whether mail goes to files and not out.
pub(super) fn stays_here(app: &App) -> bool {
    matches!(app.transport, Transport::Files(_))
}

/// A mailbox, with its newest test and how far that has come.
pub(super) struct Test {
    mailbox: Mailbox,
    newest: Option<(RoundTrip, Came)>,
}

enum Came {
    Back(Handling),
    /// Not yet: how far it has come on its way out.
    NotBack(Option<Stand>),
}

/// Every mailbox with its newest test.
pub(super) fn load(db: &mut DbConnection) -> Result<Vec<Test>> {
    let mut newest = round_trip::newest(db)?;
    let mut tests = Vec::new();
    for mailbox in mailboxes::all(db)? {
        let found = newest.iter().position(|test| test.mailbox == mailbox.id).map(|at| newest.swap_remove(at));
        let newest = match found {
            None => None,
            Some(test) => {
                let came = match test.journal {
                    Some(mail) => Came::Back(handling::of(db, mail)?),
                    None => Came::NotBack(listing::stand_of(db, &test.mail_id)?),
                };
                Some((test, came))
            }
        };
        tests.push(Test { mailbox, newest });
    }
    Ok(tests)
}

/// What the page says of a mailbox.
pub(super) struct RoundTripCard {
    pub(super) address: String,
    pub(super) handle: String,
    /// How its test stands, in a word; nothing before the first.
    pub(super) state: Option<(Tone, String)>,
    pub(super) texts: Vec<String>,
    /// Name and value.
    pub(super) facts: Vec<(String, String)>,
    /// It is waited for, so there is no other.
    pub(super) is_under_way: bool,
}

impl RoundTripCard {
    pub(super) fn new(t: &Texts, test: &Test, now: UtcTime) -> RoundTripCard {
        let (address, handle) = (test.mailbox.address.clone(), test.mailbox.handle.clone());
        let mut card =
            RoundTripCard { address, handle, state: None, texts: Vec::new(), facts: Vec::new(), is_under_way: false };
        let Some((round_trip, came)) = &test.newest else {
            card.texts.push(t.say("round-trip-never"));
            return card;
        };
        card.facts.push((t.say("round-trip-sent-at"), t.date_time(&round_trip.sent_at)));
        match came {
            Came::Back(handling) => card.is_back(t, round_trip, handling),
            Came::NotBack(on_its_way) => card.is_not_back(t, round_trip, on_its_way.as_ref(), now),
        }
        card
    }

    fn is_back(&mut self, t: &Texts, round_trip: &RoundTrip, handling: &Handling) {
        let record = &handling.record;
        let tone = match record.authentication.as_str() {
            "pass" => Tone::Done,
            "fail" => Tone::Late,
            _ => Tone::Act,
        };
        self.state = Some((tone, word(t, tone)));
        let seconds = handling.received_at.since(round_trip.sent_at).num_seconds().max(0);
        self.texts.push(t.count("round-trip-back", seconds));
        if record.authentication == "none" {
            self.texts.push(t.say("round-trip-unproven"));
        }
        self.facts.push((t.say("handling-way"), mail_words::way(t, handling.way)));
        self.facts.push((t.say("handling-sender"), mail_words::authentication(t, &record.authentication)));
        if !record.checked.is_empty() {
            self.facts.push((t.say("handling-checked"), mail_words::checked(t, &record.checked)));
        }
    }

    fn is_not_back(&mut self, t: &Texts, round_trip: &RoundTrip, on_its_way: Option<&Stand>, now: UtcTime) {
        let state = on_its_way.map(|mail| mail.state);
        let is_over = state.is_none_or(|state| OVER.contains(&state));
        let is_in_time = now.since(round_trip.sent_at) < PATIENCE;
        self.is_under_way = is_in_time && !is_over;
        let tone = if self.is_under_way { Tone::Plain } else { Tone::Late };
        self.state = Some((tone, word(t, tone)));
        let has_left = on_its_way.is_some_and(|mail| mail.left_at.is_some());
        // Of what will not come nobody needs to read that it is waited for.
        if self.is_under_way {
            self.texts.push(t.say("round-trip-waiting"));
        } else if !is_over {
            self.texts.push(t.say("round-trip-not-back"));
        }
        let where_to_look = match state {
            Some(outbox::State::Queued | outbox::State::Leased | outbox::State::Deferred) => "round-trip-still-here",
            Some(outbox::State::Sent) => "round-trip-taken",
            Some(outbox::State::Dead) if has_left => "round-trip-came-back-refused",
            Some(outbox::State::Dead | outbox::State::Suppressed) | None => "round-trip-refused",
        };
        if !self.is_under_way || state != Some(outbox::State::Sent) {
            self.texts.push(t.say(where_to_look));
        }
        if let Some(said) = on_its_way.and_then(|mail| mail.said.as_deref()) {
            let who = if has_left { "round-trip-report-said" } else { "round-trip-relay-said" };
            self.facts.push((t.say(who), said.to_owned()));
        }
    }
}

fn word(t: &Texts, tone: Tone) -> String {
    t.say(&format!("status-tone-{}", tone.as_str()))
}
