//! `POST /v1/traces`, and `/otlp/v1/traces` for who set the base of the address: traces under a grant. Whether a request
//! is let in is decided on its headers, before its body is read: on its form, on its token, on what this process
//! remembers of both, and on how its grant stands in the database at that moment. A body that comes slowly keeps nobody
//! else's waiting. No refusal writes a line: exporters go on for ever, so they are counted (see `metrics`).

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::{self, HeaderMap};
use actix_web::web::{Bytes, Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use flate2::read::MultiGzDecoder;
use futures_util::StreamExt;
use tokio::time::timeout;

use crate::app::App;
use crate::consent::grants::{self, Grant};
use crate::consent::life::EndReason;
use crate::consent::stopping;
use crate::consent::unrecorded::End;
use crate::diagnostics::otlp::door::{Full, Inside, NoRoom, Refused};
use crate::diagnostics::otlp::{self, Admission, Encoding, GRANT_BYTES, NotTaken, REQUEST_BYTES, Stored, Taken};
use crate::diagnostics::sealing::GrantKey;
use crate::diagnostics::{capture, trace_store};
use crate::error::{Error, Result};
use crate::gate::GATE;
use crate::web::jwt::LONGEST_TOKEN;
use crate::web::otlp::answers::{self, Refusal};
use crate::web::otlp::grant_tokens::{Claimed, GrantTokens};
use crate::{carry, web::metrics};

/// How long a request that is here whole waits for its turn, before it is told to come again.
const PATIENCE: Duration = Duration::from_secs(2);

/// `POST /v1/traces`
pub async fn take(app: Data<App>, tokens: Data<GrantTokens>, request: HttpRequest, body: Payload) -> HttpResponse {
    let Some(encoding) = answers::encoding_of(&request) else {
        return Refusal::Unsupported.answer(Encoding::Json);
    };
    match receive(app.into_inner(), &tokens, &request, body, encoding).await {
        Ok(not_taken) => answers::taken(encoding, &not_taken),
        Err(refusal) => refusal.answer(encoding),
    }
}

async fn receive(
    app: Arc<App>,
    tokens: &GrantTokens,
    request: &HttpRequest,
    body: Payload,
    encoding: Encoding,
) -> Result<NotTaken, Refusal> {
    let compressed = is_compressed(request.headers())?;
    let token = bearer(request.headers()).ok_or(Refusal::Unauthorized)?;
    let claimed = claimed(&app, tokens, token)?;
    let announced = request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    if announced.is_some_and(|bytes: usize| bytes > REQUEST_BYTES) {
        return Err(Refusal::TooLarge);
    }
    let mut inside = app
        .products
        .enter(&claimed.grant, app.clock.monotonic_nanos())
        .map_err(|Full { retry_after_secs }| Refusal::TooMuch { retry_after_secs })?;
    let grant = match find(&app, claimed).await? {
        Standing::Live(grant) => *grant,
        Standing::Over => {
            app.products.refuse(token, Refused::Over, app.clock.monotonic_nanos());
            return Err(Refusal::Over);
        }
        Standing::Closed => return Err(Refusal::Over),
        Standing::InDoubt => return Err(Refusal::Unavailable),
    };
    let sent = Sent { body: read(body, &mut inside).await?, compressed, encoding };
    // Only now, when the body is here however slowly it came, does the request take a turn that others wait for.
    let Ok(Ok(turn)) = timeout(PATIENCE, app.products.turn()).await else { return Err(Refusal::Unavailable) };
    let work = move || {
        let outcome = keep(&app, inside, grant, sent);
        drop(turn);
        outcome
    };
    carry::blocking(work).await.unwrap_or(Err(Refusal::Unavailable))
}

/// What was sent, as it came.
struct Sent {
    body: Vec<u8>,
    compressed: bool,
    encoding: Encoding,
}

/// How the grant of a token stands.
enum Standing {
    Live(Box<Opened>),
    /// For good: its token will never be taken again.
    Over,
    /// It takes no more, or nothing of products.
    Closed,
    /// It may be live, and this process cannot tell.
    InDoubt,
}

/// A grant, with the public name of its organisation.
struct Opened {
    grant: Grant,
    organisation: String,
}

fn is_compressed(headers: &HeaderMap) -> Result<bool, Refusal> {
    let Some(value) = headers.get(header::CONTENT_ENCODING) else { return Ok(false) };
    match value.to_str().map(str::trim) {
        Ok(name) if name.eq_ignore_ascii_case("gzip") => Ok(true),
        Ok(name) if name.is_empty() || name.eq_ignore_ascii_case("identity") => Ok(false),
        _ => Err(Refusal::Unsupported),
    }
}

/// The token. Some exporters send the space of their settings as it stands there, `Bearer%20`.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(header::AUTHORIZATION);
    let (value, None) = (values.next()?.to_str().ok()?, values.next()) else { return None };
    let (scheme, token) = value.split_once(' ').or_else(|| value.split_once("%20"))?;
    (scheme.eq_ignore_ascii_case("bearer") && token.len() <= LONGEST_TOKEN).then_some(token)
}

/// What a token is for, if it is genuine; one that was refused before is not looked at again.
fn claimed(app: &App, tokens: &GrantTokens, token: &str) -> Result<Claimed, Refusal> {
    let now_nanos = app.clock.monotonic_nanos();
    match app.products.find_refused(token, now_nanos) {
        Some(Refused::NotGenuine) => return Err(Refusal::Unauthorized),
        Some(Refused::Over) => return Err(Refusal::Over),
        None => {}
    }
    tokens.verify(token, app.clock.now()).ok_or_else(|| {
        app.products.refuse(token, Refused::NotGenuine, now_nanos);
        Refusal::Unauthorized
    })
}

/// Looks the grant up, as it stands now.
async fn find(app: &App, claimed: Claimed) -> Result<Standing, Refusal> {
    let (now, unrecorded) = (app.clock.now(), app.unrecorded.clone());
    let found = app
        .database
        .read(move |db| {
            let Some((grant, organisation)) = grants::find_with_organisation(db, &claimed.grant)? else {
                return Ok(Standing::Over);
            };
            let is_meant = organisation == claimed.organisation && grant.version == claimed.version;
            let has_ended = !grant.is_live(now) || GATE.has_ended(grant.id.0) || unrecorded.has(&grant.handle);
            if !is_meant || has_ended {
                return Ok(Standing::Over);
            }
            // By day or by year, nobody knows whether it is still granted.
            if GATE.is_in_doubt() {
                return Ok(Standing::InDoubt);
            }
            if grant.scope.products().is_none() || trace_store::sealed_bytes(db, grant.id)? >= GRANT_BYTES {
                return Ok(Standing::Closed);
            }
            Ok(Standing::Live(Box::new(Opened { grant, organisation })))
        })
        .await;
    found.map_err(|error| unavailable(&error))
}

async fn read(mut body: Payload, inside: &mut Inside) -> Result<Vec<u8>, Refusal> {
    let mut read = Vec::new();
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(|_| Refusal::Malformed)?;
        if read.len() + chunk.len() > REQUEST_BYTES {
            return Err(Refusal::TooLarge);
        }
        inside.hold(chunk.len()).map_err(|NoRoom| Refusal::Unavailable)?;
        read.extend_from_slice(&chunk);
    }
    Ok(read)
}

/// Everything that takes time, on a thread that may block: decompressing, reading, redacting, sealing, keeping.
fn keep(app: &App, mut inside: Inside, opened: Opened, sent: Sent) -> Result<NotTaken, Refusal> {
    let Opened { grant, organisation } = opened;
    let body = if sent.compressed { decompressed(&sent.body)? } else { sent.body };
    inside.count(body.len());
    let request = Bytes::from(body);
    let (admission, key) = admission(app, &grant, &organisation).map_err(|error| refused(&error))?;
    let taken = admission.take(&request, sent.encoding, app.clock.now()).map_err(|_| Refusal::Malformed)?;
    drop(request);
    let (not_taken, spans) = (taken.not_taken, taken.spans);
    if !taken.records.is_empty() || not_taken.count() > 0 {
        let stored = store(app, &grant, key, taken).map_err(|error| refused(&error))?;
        if stored == Stored::Reproduced {
            end_reproduced(app, &grant);
        }
    }
    metrics::count_product_spans(spans as u64, not_taken.count().unsigned_abs());
    Ok(not_taken)
}

fn decompressed(body: &[u8]) -> Result<Vec<u8>, Refusal> {
    let mut plain = Vec::new();
    let most = u64::try_from(REQUEST_BYTES).unwrap_or(u64::MAX) + 1;
    MultiGzDecoder::new(body).take(most).read_to_end(&mut plain).map_err(|_| Refusal::Malformed)?;
    if plain.len() > REQUEST_BYTES { Err(Refusal::TooLarge) } else { Ok(plain) }
}

/// What is let in, and the key to seal it with; the key is made when the grant is sent to for the first time, and held for
/// this one request.
fn admission(app: &App, grant: &Grant, organisation: &str) -> Result<(Admission, GrantKey)> {
    let (id, keys, clock) = (grant.id, app.keys.clone(), app.clock.clone());
    let key = match app.database.read_now(|db| trace_store::find_key(db, &keys, id))? {
        Some(key) => key,
        None => {
            let made = app.database.write_now(move |db| trace_store::key(db, &keys, id, &clock))?;
            made.ok_or(Error::Forbidden)?
        }
    };
    let admission = app.database.read_now(|db| {
        let live = grants::with_manifest(db, grant.clone())?;
        Admission::of(db, &live, organisation, &app.config.diagnostics.user_attributes, &key)
    })?;
    Ok((admission.ok_or(Error::Forbidden)?, key))
}

fn store(app: &App, grant: &Grant, key: GrantKey, taken: Taken) -> Result<Stored> {
    let (grant, clock) = (grant.clone(), app.clock.clone());
    app.database.write_now(move |db| {
        // The body took its time; a withdrawal that is not recorded yet counts as well.
        if GATE.has_ended(grant.id.0) {
            return Err(Error::Forbidden);
        }
        if GATE.is_in_doubt() {
            return Err(Error::Busy);
        }
        otlp::store(db, &grant, &key, &taken, &clock)
    })
}

/// Ends a grant for which what was looked for was seen. What showed it is kept already; that it ended is noted where it
/// cannot be recorded.
fn end_reproduced(app: &App, grant: &Grant) {
    capture::close(grant.id);
    let (id, now) = (grant.id, app.clock.now());
    if let Err(error) = app.database.write_now(move |db| stopping::reproduced(db, id, now)) {
        app.unrecorded.note_instead(End::by_itself(grant, EndReason::Reproduced, now), &error);
    }
}

/// The grant ended meanwhile, or it cannot be told.
fn refused(error: &Error) -> Refusal {
    if let Error::Forbidden = error { Refusal::Over } else { unavailable(error) }
}

/// That the database is away or full is said where everybody hears of it; what else fails is a fault of ours.
fn unavailable(error: &Error) -> Refusal {
    if !matches!(error, Error::Busy | Error::StorageFull) {
        tracing::error!(target: "accord::web", ?error, "What a product sent could not be kept");
    }
    Refusal::Unavailable
}
