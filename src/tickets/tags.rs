//! Tags: short words by which staff find tickets of a kind again. Customers do not see them.

use diesel::prelude::*;
use unicode_normalization::UnicodeNormalization;

use crate::access::{self, Actor};
use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::one_text::one_text;
use crate::db::schema::ticket_tags;
use crate::error::{Error, Result};
use crate::tickets::events::{self, Details, EventKind, NewEvent};
use crate::tickets::ticket::Ticket;

/// Tags of one ticket at most; more would not be read.
const AT_MOST: usize = 20;
const LONGEST: usize = 40;

/// A tag as it is kept: lower case, words joined by hyphens. Nothing when no letter or digit remains.
pub fn normalize(text: &str) -> Option<String> {
    let text: String = text.nfc().flat_map(char::to_lowercase).collect();
    let words: Vec<&str> = text.split(|c: char| !c.is_alphanumeric() && c != '.').filter(|w| !w.is_empty()).collect();
    let tag: String = words.join("-").chars().take(LONGEST).collect();
    let tag = tag.trim_matches(['-', '.']).to_owned();
    (!tag.is_empty()).then_some(tag)
}

/// The ticket's tags, in alphabetical order.
pub fn of_ticket(db: &mut DbConnection, ticket: &Ticket) -> Result<Vec<String>> {
    let mut tags: Vec<String> =
        one_text!(ticket_tags::table.filter(ticket_tags::ticket_id.eq(ticket.id)).select(ticket_tags::tag)).load(db)?;
    tags.sort_unstable();
    Ok(tags)
}

/// Adds a tag; one that is there already stays.
pub fn add(db: &mut DbConnection, ticket: &Ticket, text: &str, by: &Actor, now: UtcTime) -> Result<()> {
    if !access::can_work_on(by, &ticket.facts()) {
        return Err(Error::Forbidden);
    }
    let tag = normalize(text).ok_or_else(|| Error::invalid("tag", "tag-invalid"))?;
    let tags = of_ticket(db, ticket)?;
    if tags.contains(&tag) {
        return Ok(());
    }
    if tags.len() >= AT_MOST {
        return Err(Error::invalid("tag", "tags-too-many"));
    }
    insert(db, ticket, &tag)?;
    let details = Details { to: Some(tag), ..Details::default() };
    events::record(db, ticket, NewEvent::by(by, EventKind::TagAdded).with(details), now)?;
    Ok(())
}

/// Takes a tag away; one that is not there is no fault.
pub fn remove(db: &mut DbConnection, ticket: &Ticket, tag: &str, by: &Actor, now: UtcTime) -> Result<()> {
    if !access::can_work_on(by, &ticket.facts()) {
        return Err(Error::Forbidden);
    }
    let removed = diesel::delete(ticket_tags::table.find((ticket.id, tag))).execute(db)?;
    if removed > 0 {
        let details = Details { from: Some(tag.to_owned()), ..Details::default() };
        events::record(db, ticket, NewEvent::by(by, EventKind::TagRemoved).with(details), now)?;
    }
    Ok(())
}

pub(super) fn insert(db: &mut DbConnection, ticket: &Ticket, tag: &str) -> Result<()> {
    one_text!(diesel::insert_into(ticket_tags::table).values((
        ticket_tags::organisation_id.eq(ticket.organisation_id),
        ticket_tags::ticket_id.eq(ticket.id),
        ticket_tags::tag.eq(tag),
    )))
    .run(db)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_kept_in_one_form() {
        assert_eq!(normalize("  Crash au  Démarrage! ").as_deref(), Some("crash-au-démarrage"));
        assert_eq!(normalize("v4.2").as_deref(), Some("v4.2"));
        assert_eq!(normalize(" - "), None);
        assert_eq!(normalize(&"x".repeat(100)).map(|tag| tag.len()), Some(LONGEST));
    }
}
