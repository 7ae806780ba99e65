//! A mail from a mailbox to itself, by which an administrator sees that mail goes out and comes back (OUT-08). It goes by the
//! queue of outgoing mail like any other. When it comes in, by whatever way, it is known by its mark and does nothing but end
//! the test: once, for a day. What bears a mark that was forged, used or is too old is mail like any other.

use chrono::TimeDelta;
use diesel::prelude::*;
use serde_json::json;

use crate::audit;
use crate::cards::mask_numbers;
use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::schema::round_trips;
use crate::db::types::{JournalId, MailboxId, PersonId};
use crate::error::{Error, Result};
use crate::html::from_text;
use crate::i18n::Texts;
use crate::intake::{House, Reading};
use crate::journal::Delivery;
use crate::mail::address::EmailAddress;
use crate::mail::delivery_report::Fate;
use crate::mail::outgoing::{Automatic, OutgoingMail, freeze};
use crate::mail::{dkim, message_id, test_mark};
use crate::notifications::{Letterhead, delivery};
use crate::outbox::{self, Kind, NewLetter, State};
use crate::outbox::{bouncing, listing};
use crate::secret::random_handle;
use crate::teams::mailboxes::Mailbox;

/// How long a test is waited for before the page says where to look.
pub const PATIENCE: TimeDelta = TimeDelta::minutes(10);
/// How long its mail is known: as long as mail servers are patient that ask for it again.
const KNOWN_FOR: TimeDelta = TimeDelta::hours(24);

/// How its mail stands that did not arrive, and will not.
pub const OVER: [State; 2] = [State::Dead, State::Suppressed];

/// A test that is written and not yet sent.
#[derive(Clone, Debug)]
pub struct NewRoundTrip {
    handle: String,
    letter: NewLetter,
    mailbox: Mailbox,
}

/// A test as it stands.
#[derive(Clone, Debug, Queryable)]
pub struct RoundTrip {
    pub mailbox: MailboxId,
    /// The Message-ID of its mail, by which it stands among outgoing mail.
    pub mail_id: String,
    pub sent_at: UtcTime,
    /// The mail that came back.
    pub journal: Option<JournalId>,
}

impl NewRoundTrip {
    /// Writes the mail, outside of any transaction (DB-05).
    pub fn write(letterhead: &Letterhead, mailbox: Mailbox, instance: &str, now: UtcTime) -> Result<NewRoundTrip> {
        let handle = random_handle();
        let address = EmailAddress::parse(&mailbox.address)
            .ok_or_else(|| Error::internal("a mailbox has an address that is none"))?;
        let t = Texts::in_language(mailbox.language.0);
        let text = t.say("round-trip-mail");
        let mark = test_mark::mint(&letterhead.keys, &handle, &mailbox.canonical);
        let loop_mark = message_id::mint_loop_mark(&letterhead.keys, instance, 1);
        let frozen = freeze(&OutgoingMail {
            from_name: &mailbox.display_name,
            from: &address,
            to: &address,
            subject: &t.say("round-trip-subject"),
            text: &text,
            html: &from_text(&text),
            reply_to: None,
            bounce_to: &address,
            message_id: &message_id::mint_unbound(&letterhead.reply_domain),
            in_reply_to: None,
            references: &[],
            thread: None,
            language: mailbox.language.0,
            date: now,
            automatic: Automatic::Notification { loop_mark: &loop_mark },
            unsubscribe: None,
            attachments: &[],
        })?;
        let marked = [format!("{}: {mark}\r\n", test_mark::HEADER).into_bytes(), frozen.bytes].concat();
        let letter = NewLetter {
            kind: Kind::Notification,
            organisation: None,
            ticket: None,
            message: None,
            person: None,
            mailbox: Some(mailbox.id),
            recipient: frozen.recipient,
            envelope_from: frozen.envelope_from,
            mail_id: frozen.message_id,
            subject: frozen.subject,
            mime: dkim::sign(&letterhead.dkim, &address, marked)?,
            expires_at: now.plus(KNOWN_FOR),
        };
        Ok(NewRoundTrip { handle, letter, mailbox })
    }
}

/// Has the mail sent; `false` while the mailbox's test before is still waited for.
pub fn begin(db: &mut DbConnection, new: &NewRoundTrip, by: PersonId, now: UtcTime) -> Result<bool> {
    let mailbox = new.mailbox.id;
    let waited_for: Vec<String> = round_trips::table
        .filter(round_trips::mailbox_id.eq(mailbox))
        .filter(round_trips::journal_id.is_null())
        .filter(round_trips::sent_at.gt(now.minus(PATIENCE)))
        .filter(round_trips::sent_at.le(now))
        .select(round_trips::mail_id)
        .load(db)?;
    for mail_id in waited_for {
        // One that was refused does not come any more.
        if listing::stand_of(db, &mail_id)?.is_some_and(|mail| !OVER.contains(&mail.state)) {
            return Ok(false);
        }
    }
    diesel::delete(round_trips::table.filter(round_trips::sent_at.le(now.minus(KNOWN_FOR)))).execute(db)?;
    diesel::insert_into(round_trips::table)
        .values((
            round_trips::handle.eq(&new.handle),
            round_trips::mailbox_id.eq(mailbox),
            round_trips::mail_id.eq(&new.letter.mail_id),
            round_trips::sent_at.eq(now),
        ))
        .execute(db)?;
    outbox::enqueue(db, &new.letter, now)?;
    let detail = json!({ "mailbox": new.mailbox.handle });
    let entry = audit::Entry { kind: "round_trip_begun", actor: Some(by), detail, ..audit::Entry::default() };
    audit::record(db, &entry, now)?;
    Ok(true)
}

/// Ends the test whose mail this is; `false` when it is the mail of none that is waited for.
pub(super) fn has_come_back(
    db: &mut DbConnection,
    house: &House,
    mailbox: &Mailbox,
    delivery: &Delivery,
    reading: &Reading,
    now: UtcTime,
) -> Result<bool> {
    let is_from_itself =
        reading.mail.from.identity.as_ref().is_some_and(|identity| identity.canonical() == mailbox.canonical);
    if !is_from_itself || delivery.imported.is_some() {
        return Ok(false);
    }
    let [mark] = reading.mail.test_marks.as_slice() else { return Ok(false) };
    let Some(handle) = test_mark::read(&house.letterhead.keys, mark, &mailbox.canonical) else { return Ok(false) };
    let ended = diesel::update(
        round_trips::table
            .filter(round_trips::handle.eq(handle))
            .filter(round_trips::mailbox_id.eq(mailbox.id))
            .filter(round_trips::journal_id.is_null())
            .filter(round_trips::sent_at.gt(now.minus(KNOWN_FOR))),
    )
    .set(round_trips::journal_id.eq(delivery.id))
    .execute(db)?;
    Ok(ended > 0)
}

/// What a report says of the mail of a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reported {
    /// It was refused somewhere.
    Refused,
    /// It is only late, or somewhere on its way.
    UnderWay,
}

/// Notes what a report says of the mail of a test; nothing for a report of anything else. Its Message-ID, of which nobody knows
/// but who had that mail, proves it.
pub(super) fn was_reported(
    db: &mut DbConnection,
    mailbox: &Mailbox,
    delivery: &Delivery,
    reading: &Reading,
    now: UtcTime,
) -> Result<Option<Reported>> {
    let Some(report) = reading.report.as_ref().filter(|report| report.claims_anything()) else { return Ok(None) };
    if delivery.imported.is_some() {
        return Ok(None);
    }
    let of_test: Option<String> = round_trips::table
        .filter(round_trips::mailbox_id.eq(mailbox.id))
        .filter(round_trips::mail_id.eq_any(report.mail_ids.clone()))
        .filter(round_trips::sent_at.gt(now.minus(KNOWN_FOR)))
        .select(round_trips::mail_id)
        .first(db)
        .optional()?;
    let Some(mail_id) = of_test else { return Ok(None) };
    // One that is only late is still waited for.
    let failed = report.recipients.iter().find(|told| matches!(told.fate, Fate::Failed { .. }));
    let Some(failed) = failed else { return Ok(Some(Reported::UnderWay)) };
    for mail in bouncing::by_mail_id(db, &mail_id)? {
        delivery::bounced(db, &mail, &mask_numbers(&failed.reason), now)?;
    }
    Ok(Some(Reported::Refused))
}

/// The newest test of each mailbox, the newest first.
pub fn newest(db: &mut DbConnection) -> Result<Vec<RoundTrip>> {
    let all: Vec<RoundTrip> = round_trips::table
        .order(round_trips::id.desc())
        .select((round_trips::mailbox_id, round_trips::mail_id, round_trips::sent_at, round_trips::journal_id))
        .load(db)?;
    let mut newest: Vec<RoundTrip> = Vec::new();
    for test in all {
        if newest.iter().all(|other| other.mailbox != test.mailbox) {
            newest.push(test);
        }
    }
    Ok(newest)
}
