//! `POST /api/v1/inbound`: takes one mail as it stands (`message/rfc822`), for mail servers and providers that hand mail
//! over by HTTP (S-05). 202 means that it is durable. Who hands it over proves to be allowed to by a secret, which may be of
//! one queue and then is for its mailbox and its tickets alone, or by a signature (`webhook_signature`), and then for whom the
//! signed mail names.

use actix_web::http::{StatusCode, header};
use actix_web::web::{Data, Payload, Query};
use actix_web::{HttpRequest, HttpResponse};
use data_encoding::HEXLOWER;
use futures_util::StreamExt;
use serde::Deserialize;

use super::webhook_signature::{self, Claim};
use crate::app::App;
use crate::carry;
use crate::db::types::QueueId;
use crate::error::Error;
use crate::intake::addressing;
use crate::intake::receiving::Held;
use crate::journal::{self, Acceptance, NewMail, Recipient, Way};
use crate::mail::address::EmailAddress;
use crate::mail::incoming::{ParsedMail, parse_within};
use crate::notifications::Letterhead;
use crate::people::api_tokens::{self, Scope};
use crate::teams::mailboxes;
use crate::throttle::{self, Rate};
use crate::web::request::client_ip;
use crate::web::slow_body::{self, Patience};

/// Mails of this size are gone through on a thread that may be busy.
const LARGE: usize = 256 * 1024;
/// In which fields a mail server writes whom it delivers for.
const DELIVERED: &[&str] = &["delivered-to", "x-original-to", "envelope-to"];

/// Whom the mail is for, and who sent it by its envelope.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Envelope {
    recipient: String,
    /// Empty for the null sender; left out when it is not known.
    sender: Option<String>,
}

/// `POST /api/v1/inbound?recipient=…&sender=…`
pub async fn take(
    app: Data<App>,
    request: HttpRequest,
    envelope: Result<Query<Envelope>, actix_web::Error>,
    body: Payload,
) -> HttpResponse {
    if !app.config.mail.http_inbound {
        return refused(StatusCode::NOT_FOUND, "not_found");
    }
    let now = app.clock.now();
    let signed = match (&app.config.mail.http_inbound_key, request.headers().contains_key(header::AUTHORIZATION)) {
        (Some(key), false) => Claim::read(request.headers(), now).map(|claim| (claim, key.clone())),
        _ => None,
    };
    let only_queue = match &signed {
        // What it is worth shows when the body is there.
        Some(_) => None,
        None => match authorize(&app, &request).await {
            Ok(queue) => queue,
            Err(refusal) => return refusal,
        },
    };
    if request.headers().contains_key(header::CONTENT_ENCODING) || !is_mail(&request) {
        return refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type");
    }
    let Ok(Query(envelope)) = envelope else { return refused(StatusCode::BAD_REQUEST, "bad_request") };
    let held = if signed.is_some() {
        slow_body::ask_of(&request, Patience::WITH_STRANGERS);
        let ip_address = client_ip(&request, &app.config.http.trusted_proxies).map(|ip| ip.to_string());
        app.receiving.begin_unproven(&ip_address.unwrap_or_default())
    } else {
        app.receiving.begin()
    };
    let (raw, _held) = match read(body, announced(&request), app.config.limits.mail_bytes, held).await {
        Ok(read) => read,
        Err(refusal) => return refusal,
    };
    // Going through all of a large mail takes so long that whoever waits for a page would notice.
    let size = raw.len();
    let looked_at = aside_if_large(size, move || {
        let holds = signed.as_ref().is_none_or(|(claim, key)| claim.holds(key, &raw));
        let header = holds.then(|| parse_within(&raw, 0));
        (header, signed.map(|(claim, _)| claim.id), raw)
    });
    let (header, signed_as, raw) = match looked_at.await {
        Ok((Some(header), signed_as, raw)) => (header, signed_as, raw),
        Ok((None, ..)) => return unauthorized(),
        Err(refusal) => return refusal,
    };
    if signed_as.is_some() && !names(&header, &envelope.recipient) {
        return refused(StatusCode::FORBIDDEN, "recipient_not_signed");
    }
    let sender = sender(&envelope, signed_as.is_some().then_some(&header));
    let letterhead = Letterhead::new(&app.keys, &app.config);
    let address = envelope.recipient.clone();
    let found = app.database.read(move |db| {
        let Some(mailbox) = addressing::mailbox_for(db, &letterhead, &address)? else { return Ok(None) };
        let may = match only_queue {
            Some(queue) => mailboxes::by_id(db, mailbox)?.queue_id == queue,
            None => true,
        };
        Ok(Some((mailbox, may)))
    });
    let mailbox = match found.await {
        Ok(Some((mailbox, true))) => mailbox,
        Ok(Some((_, false))) => return refused(StatusCode::FORBIDDEN, "forbidden"),
        Ok(None) => return refused(StatusCode::UNPROCESSABLE_ENTITY, "unknown_recipient"),
        Err(error) => return trouble(&error),
    };
    if let Err(wait) = app.ingress.take_from(&sender).and_then(|()| app.ingress.take_for(mailbox)) {
        let mut response = refused(StatusCode::TOO_MANY_REQUESTS, "too_many");
        response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from(wait.as_secs() + 1));
        return response;
    }
    let recipients = vec![Recipient { mailbox, address: envelope.recipient }];
    // Of what it says for tickets of other queues, nothing counts (`intake::evidence`), wherever they stand by then.
    let mail = aside_if_large(size, move || NewMail::new(recipients, sender, Way::Http, raw).within(only_queue));
    let mail = match mail.await {
        Ok(mail) => mail,
        Err(refusal) => return refusal,
    };
    // A mail may name several mailboxes: a signature that was heard is good for no other one of them. Of another mail under the
    // same number nobody but who has the key can have made one.
    let used_once =
        signed_as.map(|id| throttle::name("inbound_signature", &format!("{id}.{}", HEXLOWER.encode(&mail.raw_sha256))));
    let accepted = app.database.write(move |db| {
        if let Some(used_once) = &used_once {
            match throttle::take_strictly(db, used_once, ONCE, now) {
                Ok(()) => {}
                Err(Error::TooMany { .. }) if !journal::knows(db, mailbox, &mail.raw_sha256)? => return Ok(None),
                // A repetition, by the sender who missed our answer or by somebody who overheard: it does nothing.
                Err(Error::TooMany { .. }) => return Ok(Some(Acceptance::AlreadyKnown)),
                Err(error) => return Err(error),
            }
        }
        Ok(journal::accept(db, &mail, now)?.first().copied())
    });
    match accepted.await {
        Ok(Some(acceptance)) => {
            let known = acceptance == Acceptance::AlreadyKnown;
            let state = if known { "already_known" } else { "accepted" };
            HttpResponse::Accepted().json(serde_json::json!({ "state": state }))
        }
        Ok(None) => refused(StatusCode::CONFLICT, "signature_used"),
        Err(error) => trouble(&error),
    }
}

/// Does the work at once, or on a thread that may be busy where the mail is large.
async fn aside_if_large<T: Send + 'static>(
    size: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, HttpResponse> {
    if size <= LARGE {
        return Ok(work());
    }
    carry::blocking(work).await.map_err(|error| trouble(&Error::Internal(error.into())))
}

/// A signed request is taken once for as long as its signature could be good.
const ONCE: Rate = Rate { times: 1, within: webhook_signature::GOOD_FOR };

fn unauthorized() -> HttpResponse {
    let mut response = refused(StatusCode::UNAUTHORIZED, "unauthorized");
    response.headers_mut().insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Bearer"));
    response
}

/// A secret of scope `inbound`, as `Authorization: Bearer acc_…`; gives the one queue it is for, if it is for one.
async fn authorize(app: &App, request: &HttpRequest) -> Result<Option<QueueId>, HttpResponse> {
    let secret = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "))
        .map(str::to_owned)
        .ok_or_else(unauthorized)?;
    let now = app.clock.now();
    let found = app
        .database
        .read(move |db| {
            let Some(token) = api_tokens::find_by_secret(db, &secret, now)? else { return Ok(None) };
            // As it stands now: whoever no longer operates the installation speaks for no mail server.
            // Mail is from anybody, so no secret of one organisation is for it.
            let is_for_all = token.organisation_id.is_none();
            let allowed =
                token.allows(Scope::Inbound) && is_for_all && api_tokens::may_hand_over_mail(db, token.person_id)?;
            Ok(Some((token, allowed)))
        })
        .await;
    match found {
        Ok(Some((token, true))) => {
            if api_tokens::is_worth_noting(&token, now) {
                let noted = app.database.write(move |db| api_tokens::note_use(db, token.id, now)).await;
                if let Err(error) = noted {
                    tracing::warn!(target: "accord::web", ?error, "The use of a secret could not be noted");
                }
            }
            Ok(token.queue_id)
        }
        Ok(Some(_)) => Err(refused(StatusCode::FORBIDDEN, "forbidden")),
        Ok(None) => Err(unauthorized()),
        Err(error) => Err(trouble(&error)),
    }
}

fn is_mail(request: &HttpRequest) -> bool {
    let value = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = value.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("message/rfc822") || kind.eq_ignore_ascii_case("application/octet-stream")
}

/// How long the body is to be, if the request says so.
fn announced(request: &HttpRequest) -> usize {
    let length = request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    length.and_then(|length| length.parse().ok()).unwrap_or_default()
}

/// Reads the mail, while there is room for it; the room is held until the mail is written down.
async fn read(
    mut body: Payload,
    announced: usize,
    limit: usize,
    mut held: Held<'_>,
) -> Result<(Vec<u8>, Held<'_>), HttpResponse> {
    if announced > limit {
        return Err(refused(StatusCode::PAYLOAD_TOO_LARGE, "too_large"));
    }
    let mut raw = Vec::new();
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(|_| refused(StatusCode::BAD_REQUEST, "bad_request"))?;
        if raw.len() + chunk.len() > limit {
            return Err(refused(StatusCode::PAYLOAD_TOO_LARGE, "too_large"));
        }
        if !held.grow_to(raw.len() + chunk.len()) {
            return Err(trouble(&Error::Busy));
        }
        raw.extend_from_slice(&chunk);
    }
    if raw.is_empty() { Err(refused(StatusCode::BAD_REQUEST, "bad_request")) } else { Ok((raw, held)) }
}

/// Whether the mail names the recipient: in a field in which a mail server writes whom it delivers for, or in To or Cc. What a
/// request says beside a signed mail is not signed.
fn names(header: &ParsedMail, recipient: &str) -> bool {
    let Some(recipient) = EmailAddress::parse(recipient) else { return false };
    let delivered = header.headers.iter().filter(|(name, _)| DELIVERED.contains(&name.as_str()));
    let mut delivered = delivered.filter_map(|(_, value)| bare(value));
    let mut named = header.to.iter().chain(&header.cc).filter_map(|to| to.identity.as_ref());
    delivered.any(|address| address.canonical() == recipient.canonical())
        || named.any(|address| address.canonical() == recipient.canonical())
}

fn bare(value: &str) -> Option<EmailAddress> {
    EmailAddress::parse(value.trim().trim_start_matches('<').trim_end_matches('>'))
}

/// The envelope's sender, or nothing where that is not known. Beside a signed mail it is known where the mail says the same.
fn sender(envelope: &Envelope, signed: Option<&ParsedMail>) -> String {
    let sender = match envelope.sender.as_deref() {
        Some("") => "<>",
        Some(sender) if sender.len() <= 320 && !sender.chars().any(char::is_control) => sender,
        _ => return String::new(),
    };
    let is_known = signed.is_none_or(|mail| {
        let path = mail.return_path.as_deref();
        match bare(sender) {
            None => sender == "<>" && path == Some(""),
            Some(sender) => {
                let said = path.and_then(bare).into_iter().chain(mail.from.identity.clone());
                said.into_iter().any(|said| said.canonical() == sender.canonical())
            }
        }
    });
    if is_known { sender.to_owned() } else { String::new() }
}

fn refused(status: StatusCode, code: &'static str) -> HttpResponse {
    HttpResponse::build(status).json(serde_json::json!({ "code": code }))
}

fn trouble(error: &Error) -> HttpResponse {
    let (status, code) = match error {
        Error::StorageFull => (StatusCode::INSUFFICIENT_STORAGE, "storage_full"),
        Error::Busy => (StatusCode::SERVICE_UNAVAILABLE, "busy"),
        other => {
            tracing::error!(target: "accord::web", error = ?other, "A mail could not be taken");
            (StatusCode::INTERNAL_SERVER_ERROR, "internal")
        }
    };
    let mut response = refused(status, code);
    if status != StatusCode::INTERNAL_SERVER_ERROR {
        response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("30"));
    }
    response
}
