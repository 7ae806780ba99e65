//! Publishing: one thread of each process that tells the gate which grants the database holds for active, after every
//! commit of this process and twice a second for those of others. Each list that was read renews the gate's lease; while
//! none can be read the lease runs out, and nothing is captured (CN-03).

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::clock::UtcTime;
use crate::consent::grants::{self, Live};
use crate::consent::scope::Channel;
use crate::db::Database;
use crate::diagnostics::buffers::Budget;
use crate::diagnostics::capture::{ActiveGrant, Capture, Changed, Terms};
use crate::diagnostics::catalogue::{Catalogue, Level, Manifest};
use crate::diagnostics::scope::Component;
use crate::error::{Error, Result};
use crate::gate;

/// How long a change that another process made may go unseen.
const EVERY: Duration = Duration::from_millis(500);
/// What one grant may record, so that it leaves room for the work it looks at.
const BUDGET: Budget = Budget { bytes_per_second: 512 * 1024, records_per_second: 2_000 };

/// Starts the thread. It ends, with the gate closed, when `stop` is cancelled.
pub fn start(app: &Arc<App>, stop: &CancellationToken) -> std::io::Result<JoinHandle<()>> {
    let (app, stop) = (app.clone(), stop.clone());
    std::thread::Builder::new().name("publishing".to_owned()).spawn(move || run(&app, &stop))
}

fn run(app: &App, stop: &CancellationToken) {
    let mut seen = app.database.changes().count();
    let mut reads = true;
    while !stop.is_cancelled() {
        if let Some(capture) = Capture::find() {
            let read = catch_unwind(AssertUnwindSafe(|| publish(&app.database, capture)));
            let read = read.unwrap_or_else(|_| Err(Error::internal("publishing the grants panicked")));
            if let Err(error) = &read
                && reads
            {
                tracing::error!(target: "accord::worker", ?error, "The grants cannot be read; captures will stop");
            }
            reads = read.is_ok();
            capture.tick();
        }
        seen = app.database.changes().wait(seen, EVERY);
    }
    if let Some(capture) = Capture::find() {
        capture.stop_all();
    }
}

/// Makes live in this process what the database holds for active. When it cannot be read nothing changes, and the lease
/// is not renewed.
pub fn publish(database: &Database, capture: &Capture) -> Result<Changed> {
    let read_at = capture.moment();
    let now = UtcTime::from_micros(read_at.wall_micros);
    let live = database.read_now(|db| grants::live(db, now))?;
    let active: Vec<ActiveGrant> = live.iter().map(|live| active(live, &capture.catalogue())).collect();
    Ok(capture.publish(&active, read_at))
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
