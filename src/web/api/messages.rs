//! The messages of a ticket for programs: what their person may read of it, and saying something in it.

use actix_web::web::Path;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::access::Actor;
use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::paging::{Cursor, Page};
use crate::db::types::MessageId;
use crate::error::{Error, Result};
use crate::i18n::Message as Notice;
use crate::people::api_tokens::Scope;
use crate::people::person;
use crate::tickets::Ticket;
use crate::tickets::attachments::{self, Attachment};
use crate::tickets::following_up::{self, Placed};
use crate::tickets::messages::{
    self, Channel, Message, MessageKind, NewMessage, NewNote, NewReply, Remark, ReplyOutcome, Visibility, Words,
};
use crate::tickets::status::Status;
use crate::web::api::answers::{created, ok, once_only};
use crate::web::api::authenticated::{Acting, Caller};
use crate::web::api::errors::{ApiResult, Failure};
use crate::web::api::input::{Body, Parameters, Text, cursor, page_size};

/// A message. Fields for staff are left out for customers.
#[derive(Debug, Serialize, ToSchema)]
pub struct MessageJson {
    handle: String,
    /// `customer`, `agent` or `note` (among staff).
    #[schema(value_type = String)]
    kind: MessageKind,
    /// How it came: `web`, `email`, `telephone`, `fax`, `letter` or `api`.
    #[schema(value_type = String)]
    channel: Channel,
    /// The author's name when it was said.
    author: String,
    /// The author's address when it was said; of agents for staff only.
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    text: String,
    /// What a mail quoted from earlier messages.
    quoted: String,
    /// For staff: whether customers cannot read it.
    #[serde(skip_serializing_if = "Option::is_none")]
    staff_only: Option<bool>,
    /// For staff: `different_sender`, `not_authenticated`, `automatic`, `accepted` or `rejected`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    remark: Option<Remark>,
    attachments: Vec<AttachmentJson>,
    #[schema(value_type = String, format = DateTime)]
    created_at: UtcTime,
}

/// A file of a message.
#[derive(Debug, Serialize, ToSchema)]
pub struct AttachmentJson {
    handle: String,
    file_name: String,
    media_type: String,
    /// Bytes.
    size: i64,
}

/// A page of messages, the oldest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct MessageList {
    items: Vec<MessageJson>,
    /// The `cursor` of the next page, if there is one.
    next: Option<String>,
}

/// Where a page of messages begins.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct MessageQuery {
    /// Where the page begins: `next` of the page before.
    cursor: Option<String>,
    /// 1 to 100; 25 by default.
    limit: Option<i64>,
}

/// Something to be said.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewMessageJson {
    /// Markdown when staff says it, plain text when a customer does.
    #[serde(default)]
    #[schema(value_type = String)]
    text: Text,
    /// For staff: `reply` (by default) or `note`.
    kind: Option<NewKind>,
    /// For a reply of staff: `message_count` of the ticket when it was last read. A reply over news is refused.
    seen: Option<i32>,
    /// For a reply of staff: what the ticket becomes, `waiting_for_customer` by default.
    #[schema(value_type = Option<String>)]
    status: Option<Status>,
}

/// What staff says, and to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum NewKind {
    Reply,
    Note,
}

/// Lists what the token's person may read of a ticket, the oldest first.
#[utoipa::path(
    get, path = "/api/v1/tickets/{reference}/messages", tag = "messages", operation_id = "list-messages",
    params(("reference" = String, Path, description = "As in ACC-7Q4KD2WM9K"), MessageQuery),
    security(("token" = ["tickets:read"])),
    responses(
        (status = 200, body = MessageList), (status = 400, body = Failure), (status = 401, body = Failure),
        (status = 403, body = Failure), (status = 404, body = Failure),
    ),
)]
pub async fn list(caller: Caller, reference: Path<String>, query: Parameters<MessageQuery>) -> ApiResult {
    let (size, after) = (page_size(query.0.limit)?, cursor(query.0.cursor.as_deref())?);
    let reference = reference.into_inner();
    let list = caller
        .read(Scope::TicketsRead, move |db, acting| {
            let ticket = acting.ticket(db, &reference)?;
            let reading = messages::reading(db, &ticket, &acting.actor)?;
            let after = after.map(|after| MessageId(after.id));
            let found = messages::from_the_first(db, &ticket, reading, after, size + 1)?;
            let page = Page::cut(found, size, |message| Cursor { time: message.created_at, id: message.id.0 });
            let files = attachments::of_ticket(db, &ticket)?;
            let next = page.next.map(Cursor::to_text);
            let items = page.rows.into_iter().map(|message| message_json(message, &files, &acting.actor)).collect();
            Ok(MessageList { items, next })
        })
        .await?;
    ok(&list)
}

/// Says something in a ticket: a customer's message, a reply of staff that goes out, or a note among staff.
///
/// With an `Idempotency-Key` it is said once, however often the request is sent. A ticket that stays closed goes on in
/// another when a customer writes: `Location` names the ticket that the message stands in.
#[utoipa::path(
    post, path = "/api/v1/tickets/{reference}/messages", tag = "messages", operation_id = "add-message",
    params(
        ("reference" = String, Path, description = "As in ACC-7Q4KD2WM9K"),
        ("Idempotency-Key" = Option<String>, Header, description = "Recognises the request for two days"),
    ),
    request_body = NewMessageJson,
    security(("token" = ["tickets:write"])),
    responses(
        (status = 201, body = MessageJson), (status = 400, body = Failure), (status = 401, body = Failure),
        (status = 403, body = Failure), (status = 404, body = Failure),
        (status = 409, body = Failure, description = "There are messages that were not seen"),
        (status = 415, body = Failure), (status = 422, body = Failure),
    ),
)]
pub async fn create(caller: Caller, reference: Path<String>, body: Body<NewMessageJson>) -> ApiResult {
    let Body { value: new, once } = body;
    let reference = reference.into_inner();
    let made = caller
        .write(Scope::TicketsWrite, move |db, acting| {
            let ticket = acting.ticket(db, &reference)?;
            once_only(db, acting, once.as_ref(), |db| {
                let placed = say(db, acting, ticket, &new)?;
                let said = messages::find_by_id(db, placed.message)?.ok_or(Error::NotFound)?;
                let location = format!("/api/v1/tickets/{}/messages", placed.ticket.reference);
                Ok((location, message_json(said, &[], &acting.actor)))
            })
        })
        .await?;
    created(made)
}

fn say(db: &mut DbConnection, acting: &Acting, ticket: Ticket, new: &NewMessageJson) -> Result<Placed> {
    let (by, now) = (&acting.actor, acting.now);
    if !by.is_staff() {
        for (field, is_given) in
            [("kind", new.kind.is_some()), ("seen", new.seen.is_some()), ("status", new.status.is_some())]
        {
            if is_given {
                return Err(Error::invalid(field, "api-for-staff"));
            }
        }
        let author = person::by_id(db, acting.person)?;
        let message =
            NewMessage::text(Channel::Api, author.id, &author.display_name(), &author.address, new.text.as_str());
        return following_up::add(db, &ticket, message, author.id, by, now);
    }
    let words = Words::by_api(new.text.as_str());
    if new.kind == Some(NewKind::Note) {
        let note = NewNote { words, attachments: Vec::new(), mail_id: None, ingest: None };
        let message = messages::add_note(db, &ticket, note, by, now)?;
        return Ok(Placed { ticket, message });
    }
    let seen = new.seen.ok_or_else(|| Error::invalid("seen", "api-seen-required"))?;
    let reply = NewReply {
        words,
        attachments: Vec::new(),
        seen,
        status: new.status.unwrap_or(Status::WaitingForCustomer),
        mail_id: None,
        ingest: None,
    };
    match messages::add_reply(db, &ticket, reply, by, now)? {
        ReplyOutcome::Sent(message) => Ok(Placed { ticket, message }),
        ReplyOutcome::Stale(_) => Err(Error::Conflict(Notice::new("ticket-changed-meanwhile"))),
    }
}

fn message_json(message: Message, files: &[Attachment], actor: &Actor) -> MessageJson {
    let for_staff = actor.is_staff();
    let attachments = files.iter().filter(|file| file.message_id == message.id).map(|file| AttachmentJson {
        handle: file.handle.clone(),
        file_name: file.file_name.clone(),
        media_type: file.media_type.clone(),
        size: file.size,
    });
    MessageJson {
        attachments: attachments.collect(),
        address: (for_staff || message.kind == MessageKind::Customer).then_some(message.from_address),
        handle: message.handle,
        kind: message.kind,
        channel: message.channel,
        author: message.from_name,
        text: message.body_text,
        quoted: message.quoted_text,
        staff_only: for_staff.then_some(message.visibility == Visibility::Staff),
        remark: message.remark.filter(|_| for_staff),
        created_at: message.created_at,
    }
}
