//! The mail with a fresh link to one ticket (U-03b, T-03). It goes only to the mailbox of somebody who takes part, and holds
//! no word of the ticket, nor a name that a stranger chose (ADV-10).

use chrono::TimeDelta;

use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::error::{Error, Result};
use crate::i18n::Texts;
use crate::mail::address::EmailAddress;
use crate::notifications::Letterhead;
use crate::notifications::acknowledging;
use crate::notifications::delivery::{Content, Draft, instance};
use crate::notifications::messages::Account;
use crate::notifications::recipients::mailbox_of;
use crate::outbox::Kind;
use crate::people::person;
use crate::settings;
use crate::teams::mailboxes;
use crate::throttle::{self, Rate};
use crate::tickets::links::{self, LinkWanted};

/// Links to one person for one ticket.
const A_DAY: Rate = Rate { times: 5, within: TimeDelta::days(1) };

/// The mail for `wanted`, if somebody is to get one.
pub fn draft(
    db: &mut DbConnection,
    letterhead: &Letterhead,
    wanted: &LinkWanted,
    now: UtcTime,
) -> Result<Option<Draft>> {
    let Some((ticket, reader)) = links::for_whom(db, wanted)? else { return Ok(None) };
    let Some(to) = EmailAddress::parse(&reader.address) else { return Ok(None) };
    if letterhead.is_ours(&to, &mailboxes::canonical_addresses(db)?) {
        return Ok(None);
    }
    // Somebody else may have filed it and may ask for links to it: one mail a day, the first one counted with it.
    let is_stranger = reader.id == ticket.requester_id && !ticket.address_confirmed;
    let counted = if is_stranger {
        acknowledging::count_unconfirmed(db, &to, now)
    } else {
        throttle::take(
            db,
            &throttle::name("ticket-link", &format!("{} {}", reader.handle, ticket.reference)),
            A_DAY,
            now,
        )
    };
    match counted {
        Ok(()) => {}
        Err(Error::TooMany { .. }) => return Ok(None),
        Err(error) => return Err(error),
    }
    let t = Texts::new(reader.language.0, reader.zone());
    let operator = settings::operator_name(db)?;
    let mailbox = mailbox_of(db, &ticket)?;
    let token = links::create(db, &ticket, reader.id, now)?;
    let until = now.plus(links::VALID);
    let words = Account {
        subject: t.with2("mail-link-subject", "reference", &ticket.reference, "operator", &operator),
        name: if is_stranger { String::new() } else { person::full_name(&reader.first_name, &reader.last_name) },
        lead: t.with("mail-link-lead", "reference", &ticket.reference),
        link: Some(letterhead.link(&format!("/l/ticket/{}", token.expose()))),
        until: Some(t.with("mail-account-until", "time", t.date_time(&until))),
        caution: t.say("mail-link-caution"),
        operator: operator.clone(),
        t,
    };
    Ok(Some(Draft {
        kind: Kind::Confirmation,
        content: Content::Account(Box::new(words)),
        is_unanswerable: true,
        to,
        person: Some(reader.id),
        from_name: operator,
        mailbox,
        instance: instance(db, now)?,
        conversation: None,
        organisation: Some(ticket.organisation_id),
        language: reader.language.0,
        expires_at: until,
        now,
    }))
}
