//! What is captured, as it is captured: server-sent events, for as long as somebody looks at the page. The connection is
//! asked for anew every half minute, so that whoever lost the right to look loses sight soon; what is sent was put on
//! record before. The code here serves nobody while it waits, so that watching captures nothing of itself.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix_web::http::header;
use actix_web::web::{Bytes, Data};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use futures_util::stream;
use serde::Deserialize;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep};

use crate::access::Actor;
use crate::app::App;
use crate::consent::Grant;
use crate::diagnostics::{trace_store, viewing};
use crate::error::{Error, Result};
use crate::web::diagnostics::Find;
use crate::web::diagnostics::records::{self, RecordView};
use crate::web::page::Page;
use crate::web::page_error::PageResult;

/// How long a connection lasts; the page then asks for another.
const LASTING: Duration = Duration::from_secs(30);
/// How often there is a look for something new: what somebody sees is to be a second old at most.
const EVERY: Duration = Duration::from_millis(400);
/// After so many times without anything new, something is sent all the same, so that a dead connection is found.
const SILENT: u32 = 25;
/// Connections of this process at a time; each asks the database now and then.
static SEATS: Semaphore = Semaphore::const_new(200);
/// Set when the program is to stop, so that nobody waits for connections that only wait.
static STOPPING: AtomicBool = AtomicBool::new(false);

/// Ends all connections of this kind soon, for good.
pub fn end_all() {
    STOPPING.store(true, Ordering::Relaxed);
}

/// For how long somebody wants to be told.
#[derive(Clone, Copy, Debug)]
pub struct Stay(Duration);

impl Stay {
    /// So many seconds, or as long as a connection lasts.
    pub fn of(seconds: Option<u64>) -> Stay {
        Stay(seconds.map_or(LASTING, |seconds| Duration::from_secs(seconds).min(LASTING)))
    }
}

/// Which looks the page has, and for how long it wants to hear of more.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub struct FollowQuery {
    #[serde(default)]
    pub after: i64,
    pub seconds: Option<u64>,
}

impl FollowQuery {
    /// What a browser that asks again has seen meanwhile counts.
    pub fn seen(&self, request: &HttpRequest) -> i64 {
        let last = request.headers().get("last-event-id").and_then(|value| value.to_str().ok());
        last.and_then(|text| text.parse().ok()).unwrap_or(self.after)
    }
}

/// What to watch.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LiveForm {
    /// The last chunk that the page has.
    after: i64,
    reason: String,
    seconds: Option<u64>,
}

/// What there is to say.
pub enum Beat {
    Nothing,
    /// What the page is to take over; `id` is what it will ask from when it asks again.
    Send {
        id: i64,
        html: String,
    },
    /// There will be nothing more.
    Over,
}

/// Where what is sent comes from.
pub trait Source {
    /// Looks for something new.
    fn beat(&mut self) -> impl Future<Output = Result<Beat>>;
}

/// Sends what `source` has, until its time is over.
pub fn stream(stay: Stay, source: impl Source + 'static) -> PageResult {
    let seat = SEATS.try_acquire().map_err(|_| Error::TooMany { retry_after_secs: 10 })?;
    let sending = Sending { source, until: Instant::now() + stay.0, silent: 0, state: State::Fresh, _seat: seat };
    let body = stream::unfold(sending, |mut sending| async move {
        let bytes = sending.next().await?;
        Some((Ok::<_, actix_web::Error>(bytes), sending))
    });
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header((header::CACHE_CONTROL, "no-store"))
        // nginx keeps answers back until they are whole, unless told not to.
        .insert_header(("x-accel-buffering", "no"))
        .streaming(body))
}

struct Sending<S> {
    source: S,
    until: Instant,
    silent: u32,
    state: State,
    _seat: SemaphorePermit<'static>,
}

#[derive(PartialEq)]
enum State {
    Fresh,
    Waiting,
    Over,
}

impl<S: Source> Sending<S> {
    async fn next(&mut self) -> Option<Bytes> {
        match self.state {
            // The browser waits no longer than this before it asks again.
            State::Fresh => {
                self.state = State::Waiting;
                return Some(Bytes::from_static(b"retry: 250\n\n"));
            }
            State::Over => return None,
            State::Waiting => {}
        }
        loop {
            match self.source.beat().await {
                Ok(Beat::Send { id, html }) => {
                    self.silent = 0;
                    return Some(event(id, &html));
                }
                Ok(Beat::Nothing) => {}
                Ok(Beat::Over) | Err(Error::Conflict(_) | Error::Forbidden | Error::NotFound) => {
                    self.state = State::Over;
                    return Some(Bytes::from_static(b"event: over\ndata:\n\n"));
                }
                // The page asks again, and is told then.
                Err(_) => return None,
            }
            if Instant::now() >= self.until || STOPPING.load(Ordering::Relaxed) {
                return None;
            }
            sleep(EVERY).await;
            self.silent += 1;
            if self.silent >= SILENT {
                self.silent = 0;
                return Some(Bytes::from_static(b":\n\n"));
            }
        }
    }
}

/// One event, whose text may have many lines.
fn event(id: i64, text: &str) -> Bytes {
    let mut event = format!("id: {id}\n");
    for line in text.lines() {
        event.push_str("data: ");
        event.push_str(line);
        event.push('\n');
    }
    event.push('\n');
    Bytes::from(event)
}

#[derive(Template)]
#[template(path = "layout/diagnostics_records.html")]
struct Fragment<'a> {
    p: &'a Page,
    records: Vec<RecordView>,
}

/// Shows `reader` records as they come, each batch on record before it leaves.
pub async fn watch(app: Data<App>, reader: Actor, p: Page, find: Find, form: LiveForm) -> PageResult {
    let (asked, by, reason, now) = (find.clone(), reader.clone(), form.reason.clone(), app.clock.now());
    let grant = app
        .database
        .write(move |db| {
            let grant = asked(db)?;
            viewing::begin_watching(db, grant.id, &by, &reason, now)?;
            Ok(grant)
        })
        .await?;
    let stay = Stay::of(form.seconds);
    stream(stay, Watched { app, reader, p, find, grant, after: form.after.max(0), reason: form.reason })
}

struct Watched {
    app: Data<App>,
    reader: Actor,
    p: Page,
    find: Find,
    grant: Grant,
    after: i64,
    reason: String,
}

impl Source for Watched {
    async fn beat(&mut self) -> Result<Beat> {
        let now = self.app.clock.now();
        let (find, after) = (self.find.clone(), self.after);
        let (is_live, last) = self
            .app
            .database
            .read(move |db| {
                let grant = find(db)?;
                Ok((grant.is_live(now), trace_store::last(db, grant.id)?))
            })
            .await?;
        if last <= after {
            return Ok(if is_live { Beat::Nothing } else { Beat::Over });
        }
        let (keys, grant, reader, reason) =
            (self.app.keys.clone(), self.grant.id, self.reader.clone(), self.reason.clone());
        let (lines, last) =
            self.app.database.write(move |db| viewing::watch(db, &keys, grant, &reader, after, &reason, now)).await?;
        self.after = last;
        // The newest stands on top, as the page adds at its top.
        let records = lines.iter().rev().map(|line| records::view(&self.p.t, &self.grant, line)).collect();
        let html = Fragment { p: &self.p, records }.render().map_err(anyhow::Error::new)?;
        Ok(Beat::Send { id: last, html })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Once(u32);

    impl Source for Once {
        async fn beat(&mut self) -> Result<Beat> {
            self.0 += 1;
            match self.0 {
                1 => Ok(Beat::Send { id: 7, html: "<p>a\nb</p>".to_owned() }),
                2 => Ok(Beat::Nothing),
                _ => Err(Error::Forbidden),
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_sent_is_events_that_end_with_the_right_to_look() {
        let seat = SEATS.try_acquire().unwrap();
        let until = Instant::now() + LASTING;
        let mut sending = Sending { source: Once(0), until, silent: 0, state: State::Fresh, _seat: seat };
        let mut sent = Vec::new();
        while let Some(bytes) = sending.next().await {
            sent.push(String::from_utf8(bytes.to_vec()).unwrap());
        }
        assert_eq!(sent, ["retry: 250\n\n", "id: 7\ndata: <p>a\ndata: b</p>\n\n", "event: over\ndata:\n\n"]);
    }

    struct Quiet;

    impl Source for Quiet {
        async fn beat(&mut self) -> Result<Beat> {
            Ok(Beat::Nothing)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_quiet_connection_shows_that_it_lives_and_ends_in_time() {
        let began = Instant::now();
        let seat = SEATS.try_acquire().unwrap();
        let mut sending =
            Sending { source: Quiet, until: began + LASTING, silent: 0, state: State::Fresh, _seat: seat };
        let mut signs = 0;
        while sending.next().await.is_some() {
            signs += 1;
        }
        assert!((3..6).contains(&signs), "{signs}");
        assert!(began.elapsed() >= LASTING && began.elapsed() < LASTING + 2 * EVERY, "{:?}", began.elapsed());
    }
}
