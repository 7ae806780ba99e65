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
use tokio::time::{Instant, sleep_until};

use crate::access::Actor;
use crate::app::App;
use crate::db::DbConnection;
use crate::diagnostics::seats::Seat;
use crate::diagnostics::viewing::{self, Ahead, Leave, WATCHED_EVERY};
use crate::error::{Error, Result};
use crate::web::diagnostics::records::{self, RecordView};
use crate::web::diagnostics::{Find, seat};
use crate::web::page::Page;
use crate::web::page_error::PageResult;

/// How long a connection lasts; the page then asks for another.
const LASTING: Duration = Duration::from_secs(30);
/// How often there is a look for something new.
const EVERY: Duration = Duration::from_millis(400);
/// After so many times without anything new, something is sent all the same, so that a dead connection is found before
/// its seat is missed.
const SILENT: u32 = 5;
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

    /// When something that is there already is to be sent, if it has to wait and not for long.
    fn due(&self) -> Option<Instant>;
}

/// Sends what `source` has, until its time is over.
pub fn stream(stay: Stay, seat: Seat, source: impl Source + 'static) -> PageResult {
    let sending = Sending::new(source, stay, Some(seat));
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
    _seat: Option<Seat>,
}

#[derive(PartialEq)]
enum State {
    Fresh,
    Waiting,
    Over,
}

impl<S: Source> Sending<S> {
    fn new(source: S, stay: Stay, seat: Option<Seat>) -> Sending<S> {
        Sending { source, until: Instant::now() + stay.0, silent: 0, state: State::Fresh, _seat: seat }
    }

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
            let next = Instant::now() + EVERY;
            sleep_until(self.source.due().map_or(next, |due| due.min(next))).await;
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

/// Shows `reader` records as they come. Each look is on record before anything of it leaves, and opens what came since the
/// one before; there is one a second at most.
pub async fn watch(app: Data<App>, reader: Actor, p: Page, find: Find, form: LiveForm) -> PageResult {
    let seat = seat(&app.looking.watching, &reader, "diagnostics-watching-enough")?;
    let (asked, after) = (find.clone(), form.after.max(0));
    let ahead = app
        .database
        .read(move |db| {
            let grant = asked(db)?;
            Ahead::of(db, &grant, after)
        })
        .await?;
    let (by, reason, clock) = (reader.clone(), form.reason.clone(), app.clock.clone());
    let leave = app.database.write(move |db| ahead.begin(db, &by, &reason, &clock)).await?;
    let mut watched = Watched { app, reader, p, find, after, reason: form.reason, leave: None, rests_until: rested() };
    if let Some(leave) = leave {
        watched.begin(leave);
    }
    stream(Stay::of(form.seconds), seat, watched)
}

/// When the look after one of now may be.
fn rested() -> Instant {
    Instant::now() + WATCHED_EVERY.to_std().unwrap_or_default()
}

struct Watched {
    app: Data<App>,
    reader: Actor,
    p: Page,
    find: Find,
    /// The last chunk that was sent.
    after: i64,
    reason: String,
    /// What is on record and not sent yet.
    leave: Option<Leave>,
    /// Until then there is no other look.
    rests_until: Instant,
}

impl Watched {
    fn begin(&mut self, leave: Leave) {
        self.after = leave.after;
        self.leave = (leave.last > leave.after).then_some(leave);
        self.rests_until = rested();
    }

    /// Puts on record that what came since is looked at, or says why there is nothing to look at.
    async fn look(&mut self) -> Result<Option<Beat>> {
        let now = self.app.clock.now();
        let (find, after) = (self.find.clone(), self.after);
        let (is_live, ahead) = self
            .app
            .database
            .read(move |db| {
                let grant = find(db)?;
                Ok((grant.is_live(now), Ahead::of(db, &grant, after)?))
            })
            .await?;
        if ahead.is_empty() {
            return Ok(Some(if is_live { Beat::Nothing } else { Beat::Over }));
        }
        if Instant::now() < self.rests_until {
            return Ok(Some(Beat::Nothing));
        }
        let (reader, reason, clock) = (self.reader.clone(), self.reason.clone(), self.app.clock.clone());
        let leave = self.app.database.write(move |db| ahead.watch(db, &reader, &reason, &clock)).await?;
        self.begin(leave);
        Ok(None)
    }
}

impl Source for Watched {
    async fn beat(&mut self) -> Result<Beat> {
        if self.leave.is_none()
            && let Some(beat) = self.look().await?
        {
            return Ok(beat);
        }
        let Some(leave) = self.leave.clone() else { return Ok(Beat::Nothing) };
        let (keys, after, now) = (self.app.keys.clone(), self.after, self.app.clock.now());
        let read = move |db: &mut DbConnection| Ok((viewing::read_on(db, &keys, &leave, after, now)?, leave));
        let (next, leave) = self.app.database.read(read).await?;
        let Some((lines, last)) = next else { return Ok(Beat::Nothing) };
        // The newest stands on top, as the page adds at its top.
        let records = lines.iter().rev().map(|line| records::view(&self.p.t, &leave.grant, line)).collect();
        self.after = last;
        self.leave = (last < leave.last).then_some(leave);
        let html = Fragment { p: &self.p, records }.render().map_err(anyhow::Error::new)?;
        Ok(Beat::Send { id: last, html })
    }

    fn due(&self) -> Option<Instant> {
        Some(self.rests_until).filter(|until| *until > Instant::now())
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

        fn due(&self) -> Option<Instant> {
            None
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_sent_is_events_that_end_with_the_right_to_look() {
        let mut sending = Sending::new(Once(0), Stay::of(None), None);
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

        fn due(&self) -> Option<Instant> {
            None
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_quiet_connection_shows_that_it_lives_and_ends_in_time() {
        let began = Instant::now();
        let mut sending = Sending::new(Quiet, Stay::of(None), None);
        let mut signs = 0;
        while sending.next().await.is_some() {
            signs += 1;
        }
        assert!((13..18).contains(&signs), "{signs}");
        assert!(began.elapsed() >= LASTING && began.elapsed() < LASTING + 2 * EVERY, "{:?}", began.elapsed());
    }
}
