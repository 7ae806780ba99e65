//! Keeping the index: what happens in a ticket is followed by a job, and doing that again changes nothing. What a
//! message is found by is read from the tables each time, so the index can always be made anew.

use diesel::prelude::*;

use crate::db::DbConnection;
use crate::db::one_text::one_text;
use crate::db::schema::{organisations, search_documents, ticket_attachments, ticket_messages, ticket_tags, tickets};
use crate::db::types::{MessageId, OrganisationId, TicketId};
use crate::error::Result;
use crate::search::stemming::{self, Piece};
use crate::tickets::events::{Event, EventKind};
use crate::tickets::messages::Visibility;

/// Brings the index up to what an event changed.
pub fn follow_event(db: &mut DbConnection, event: &Event) -> Result<()> {
    match event.kind {
        EventKind::Opened
        | EventKind::CustomerWrote
        | EventKind::Replied
        | EventKind::Noted
        | EventKind::MessageAccepted => match event.message_id {
            Some(message) => index_message(db, message),
            None => Ok(()),
        },
        // The organisation and the tags stand with every message.
        EventKind::RequesterChanged | EventKind::TagAdded | EventKind::TagRemoved => index_ticket(db, event.ticket_id),
        _ => Ok(()),
    }
}

/// Puts the message into the index, or puts it there anew.
pub fn index_message(db: &mut DbConnection, message: MessageId) -> Result<()> {
    type Row = (TicketId, Visibility, String, String, String, (OrganisationId, String, String));
    let row: Option<Row> = one_text!(
        ticket_messages::table
            .inner_join(tickets::table.on(tickets::id.eq(ticket_messages::ticket_id)))
            .inner_join(organisations::table.on(organisations::id.eq(tickets::organisation_id)))
            .filter(ticket_messages::id.eq(message))
            .select((
                ticket_messages::ticket_id,
                ticket_messages::visibility,
                ticket_messages::from_name,
                ticket_messages::from_address,
                ticket_messages::body_text,
                (tickets::organisation_id, tickets::subject, organisations::handle),
            ))
    )
    .first(db)
    .optional()?;
    // A message that is gone took its documents with it.
    let Some((ticket, visibility, from_name, from_address, text, (organisation, subject, handle))) = row else {
        return Ok(());
    };
    let tags: Vec<String> =
        one_text!(ticket_tags::table.filter(ticket_tags::ticket_id.eq(ticket)).select(ticket_tags::tag)).load(db)?;
    let files: Vec<String> = one_text!(
        ticket_attachments::table
            .filter(ticket_attachments::ticket_id.eq(ticket))
            .filter(ticket_attachments::message_id.eq(message))
            .order(ticket_attachments::id)
            .select(ticket_attachments::file_name)
    )
    .load(db)?;
    let mut head = vec![stemming::exact(Piece::Organisation, &handle)];
    head.extend(tags.iter().map(|tag| stemming::exact(Piece::Tag, tag)));
    for name in [&from_name, &from_address] {
        head.extend(stemming::plain(Piece::Author, &stemming::words(name)));
        head.push(stemming::EVERYWHERE.to_owned());
    }
    let mut texts = vec![subject.as_str(), from_name.as_str(), from_address.as_str()];
    texts.extend(files.iter().map(String::as_str));
    texts.push(&text);
    // Rows keep their ids, for they are listed by them, the latest first.
    let known: Vec<i64> = one_text!(
        search_documents::table
            .filter(search_documents::message_id.eq(message))
            .order(search_documents::id)
            .select(search_documents::id)
    )
    .load(db)?;
    let document = stemming::document(&head, &texts);
    let staff_only = visibility == Visibility::Staff;
    for (place, words) in document.iter().enumerate() {
        match known.get(place) {
            Some(id) => one_text!(promised diesel::update(search_documents::table.find(id))
                    .set((search_documents::staff_only.eq(staff_only), search_documents::words.eq(words)))
            )
            .run(db)?,
            None => one_text!(diesel::insert_into(search_documents::table).values((
                search_documents::organisation_id.eq(organisation),
                search_documents::ticket_id.eq(ticket),
                search_documents::message_id.eq(message),
                search_documents::staff_only.eq(staff_only),
                search_documents::words.eq(words),
            )))
            .run(db)?,
        };
    }
    if let Some(surplus) = known.get(document.len()..).filter(|surplus| !surplus.is_empty()) {
        diesel::delete(search_documents::table.filter(search_documents::id.eq_any(surplus))).execute(db)?;
    }
    Ok(())
}

fn index_ticket(db: &mut DbConnection, ticket: TicketId) -> Result<()> {
    let messages: Vec<MessageId> = ticket_messages::table
        .filter(ticket_messages::ticket_id.eq(ticket))
        .order(ticket_messages::id)
        .select(ticket_messages::id)
        .load(db)?;
    messages.into_iter().try_for_each(|message| index_message(db, message))
}
