//! Publishing: one thread of each process that tells the gate which grants the database holds for active: soon after a
//! commit of this process, as soon as another process tells of a grant that began or ended, and twice a second whatever
//! happens. Each list that was read renews the gate's lease; while none can be read the lease runs out, and nothing is
//! captured (CN-03). A withdrawal made in this process does not wait for it: that closes the gate itself.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::audit;
use crate::carry;
use crate::clock::UtcTime;
use crate::config::database::DatabaseUrl;
use crate::consent::grants::{self, Live};
use crate::consent::life::EndReason;
use crate::consent::scope::Channel;
use crate::consent::unrecorded::{End, Noted};
use crate::consent::{stopping, withdrawing};
use crate::db::Database;
use crate::db::listening::Listening;
use crate::diagnostics::buffers::Budget;
use crate::diagnostics::capture::{ActiveGrant, Capture, Changed, Terms};
use crate::diagnostics::catalogue::{Catalogue, Level, Manifest};
use crate::diagnostics::scope::Component;
use crate::error::{Error, Result};
use crate::gate::{self, GATE};

/// How long a change may go unseen that nobody told of.
const EVERY: Duration = Duration::from_millis(500);
/// How soon after a commit of this process the grants are read; a busy process commits a thousand times a second.
const SOON: Duration = Duration::from_millis(50);
/// How often the thread looks whether there is anything to do.
const ROUND: Duration = Duration::from_millis(20);
/// What one grant may record, so that it leaves room for the work it looks at.
const BUDGET: Budget = Budget { bytes_per_second: 512 * 1024, records_per_second: 2_000 };

/// Starts the thread. It ends, with the gate closed, when `stop` is cancelled.
///
/// A clock that stands before what the ledger holds is not believed, and nothing is captured (CN-04), unless whoever
/// started the process said that it is right (`believes_clock`).
pub fn start(app: &Arc<App>, stop: &CancellationToken, believes_clock: bool) -> std::io::Result<JoinHandle<()>> {
    let knows_the_time = learn_the_time(app, believes_clock);
    let (app, stop) = (app.clone(), stop.clone());
    carry::thread("publishing".to_owned(), move || run(&app, &stop, knows_the_time))
}

/// Before anything is served, since what products send is taken or not by whether the clock is in doubt. Gives whether that
/// is known; if not, the thread goes on asking.
fn learn_the_time(app: &App, believes_clock: bool) -> bool {
    let Some(capture) = Capture::find() else { return believes_clock };
    if believes_clock {
        believe_the_time(capture);
        return true;
    }
    let is_known = remember_the_time(&app.database).is_ok();
    capture.tick();
    is_known
}

fn run(app: &App, stop: &CancellationToken, mut knows_the_time: bool) {
    let mut listening = None;
    let mut published: Option<(Instant, u64)> = None;
    let mut reads = true;
    while !stop.is_cancelled() {
        let has_news = has_news(&mut listening);
        let commits = app.database.changes().count();
        let is_due = published
            .is_none_or(|(at, seen)| has_news || at.elapsed() >= EVERY || (seen != commits && at.elapsed() >= SOON));
        if is_due && let Some(capture) = Capture::find() {
            if listening.is_none() {
                listening = listen(app.database.url());
            }
            let read = catch_unwind(AssertUnwindSafe(|| {
                if !knows_the_time {
                    remember_the_time(&app.database)?;
                    knows_the_time = true;
                }
                publish(app, capture)
            }));
            let read = read.unwrap_or_else(|_| Err(Error::internal("publishing the grants panicked")));
            if let Err(error) = &read
                && reads
            {
                tracing::error!(target: "accord::worker", ?error, "The grants cannot be read; captures will stop");
            }
            reads = read.is_ok();
            published = Some((Instant::now(), commits));
        }
        if let Some(capture) = Capture::find() {
            capture.tick();
        }
        std::thread::sleep(ROUND);
    }
    if let Some(capture) = Capture::find() {
        capture.stop_all();
    }
}

/// Begins to listen to the other processes. Until that works their grants are seen twice a second all the same.
fn listen(url: &DatabaseUrl) -> Option<Listening> {
    Listening::for_grants(url).unwrap_or_else(|error| {
        tracing::debug!(target: "accord::worker", ?error, "Other processes cannot be listened to now");
        None
    })
}

/// Whether another process told of a grant. A connection that fails is let go, and another is made at the next reading.
fn has_news(listening: &mut Option<Listening>) -> bool {
    let Some(open) = listening else { return false };
    match open.has_news() {
        Ok(has_news) => has_news,
        Err(error) => {
            tracing::debug!(target: "accord::worker", ?error, "The connection that listens was lost");
            *listening = None;
            false
        }
    }
}

/// Records the ends that wait for it, then makes live in this process what the database holds for active and for which no
/// end waits. When it cannot be read nothing changes, and the lease is not renewed.
pub fn publish(app: &App, capture: &Capture) -> Result<Changed> {
    let waiting = record_ends(app)?;
    let read_at = capture.moment();
    let now = UtcTime::from_micros(read_at.wall_micros);
    let mut live = app.database.read_now(|db| grants::live(db, now))?;
    for over in live.extract_if(.., |live| waiting.contains(&live.grant.handle)) {
        capture.withdraw(over.grant.id.0);
    }
    let active: Vec<ActiveGrant> = live.iter().map(|live| active(live, &capture.catalogue())).collect();
    let changed = capture.publish(&active, read_at);
    if GATE.is_in_doubt() && !live.is_empty() {
        tracing::error!(
            target: "accord::worker",
            "The clock went back: every grant ends. Set it right and start again, or, if it is right, say so with \
             --believe-clock"
        );
        for Live { grant, .. } in &live {
            let id = grant.id;
            if let Err(error) = app.database.write_now(move |db| stopping::doubt_the_clock(db, id, now)) {
                app.unrecorded.note_instead(End::by_itself(grant, EndReason::ClockDoubt, now), &error);
            }
        }
    }
    Ok(changed)
}

/// Tries to record every end that waits for it; gives the public names of the grants whose ends still wait. If it cannot be
/// told which do, nothing may be published.
pub fn record_ends(app: &App) -> Result<BTreeSet<String>> {
    let mut waiting = BTreeSet::new();
    for Noted { grant, end } in app.unrecorded.all().map_err(anyhow::Error::new)? {
        let now = app.clock.now();
        let recorded = match end {
            Some(end) => app.database.write_now(move |db| withdrawing::record(db, &end, now)),
            None => Err(Error::internal("the file of an end cannot be read")),
        };
        match recorded {
            Ok(()) => {
                app.unrecorded.forget(&grant).map_err(anyhow::Error::new)?;
                tracing::info!(target: "accord::worker", grant, "Recorded the end of grant {grant}, which had to wait");
            }
            Err(error) => {
                tracing::debug!(target: "accord::worker", ?error, "The end of a grant still waits to be recorded");
                waiting.insert(grant);
            }
        }
    }
    Ok(waiting)
}

/// Tells the gate how late it was when this installation last wrote something down.
pub fn remember_the_time(database: &Database) -> Result<()> {
    if let Some(newest) = database.read_now(audit::newest)? {
        GATE.remember_wall(newest.micros());
    }
    Ok(())
}

/// An administrator says that it is as late as the clock shows, whatever was written down before.
pub fn believe_the_time(capture: &Capture) {
    GATE.believe_wall(capture.moment());
}

/// A grant as the gate and the layer take it.
fn active(live: &Live, catalogue: &Catalogue) -> ActiveGrant {
    let grant = &live.grant;
    let targets = grant.scope.targets().into_iter();
    let components: Vec<Component> =
        targets.map(|(target, level)| Component { target: target.to_owned(), level: Level::from(level) }).collect();
    let manifest = Manifest::of(catalogue, &components).keeping(|target, field| {
        let of = grant.scope.components.iter().find(|part| part.component.covers(target));
        of.is_some_and(|part| live.manifest.allows(part.component, field))
    });
    let channels = grant.scope.channels().into_iter().map(|channel| match channel {
        Channel::Server => gate::SERVER,
        Channel::Otlp => gate::OTLP,
    });
    ActiveGrant {
        grant: grant.id.0,
        organisation: grant.organisation_id,
        person: grant.subject.person(),
        channels: channels.fold(0, |all, channel| all | channel),
        expires_at: grant.expires_at,
        terms: Arc::new(Terms { components, manifest, budget: BUDGET }),
    }
}
