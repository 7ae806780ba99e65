//! The real gate of the process with the machine's clock: what races a withdrawal or an expiry, and what Accord's own
//! work for an organisation leaves in a capture. A process has one gate, so these tests take turns, and live apart from
//! the other stories.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]
#![expect(clippy::disallowed_methods, reason = "what a run is given is said by the environment")]

#[path = "../integration"]
#[expect(dead_code, unused_imports, reason = "shared with the other stories, which use the rest of it")]
mod shared {
    pub mod support;
}

mod allocations;
mod mixed;
mod own_work;
mod races;
mod reading;

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use accord::clock::{Clock, UtcTime};
use accord::db::types::{OrganisationId, PersonId};
use accord::diagnostics::buffers::Budget;
use accord::diagnostics::capture::{ActiveGrant, Capture, Terms};
use accord::diagnostics::catalogue::{Catalogue, Level, Manifest};
use accord::diagnostics::record::{Record, decode};
use accord::diagnostics::scope::Component;
use accord::gate;
use chrono::TimeDelta;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use shared::support;

/// A test's turn at the gate, without any grant.
struct Turn {
    capture: &'static Capture,
    _guard: MutexGuard<'static, ()>,
}

static TURN: Mutex<()> = Mutex::new(());
/// Each grant of the process has a number of its own, also those that stand in a database: the gate takes none twice.
static LAST_GRANT: AtomicI64 = AtomicI64::new(0);

fn next_grant() -> i64 {
    LAST_GRANT.fetch_add(1, Ordering::Relaxed) + 1
}

fn turn() -> Turn {
    let guard = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let capture = Capture::start(Catalogue::own(), LevelFilter::OFF, Clock::system());
    let _ = tracing_subscriber::registry().with(capture.layer()).try_init();
    capture.publish(&[], capture.moment());
    capture.drain();
    Turn { capture, _guard: guard }
}

impl Turn {
    /// A grant over everything that Accord can record at debug level.
    fn grant(&self, organisation: OrganisationId, person: Option<PersonId>, lasts: TimeDelta) -> ActiveGrant {
        let components = vec![Component { target: "accord".to_owned(), level: Level::Debug }];
        let manifest = Manifest::of(&Catalogue::own(), &components);
        let budget = Budget { bytes_per_second: 1 << 40, records_per_second: 1 << 40 };
        let now = UtcTime::from_micros(self.capture.moment().wall_micros);
        ActiveGrant {
            grant: next_grant(),
            organisation,
            person,
            channels: gate::SERVER,
            expires_at: now.plus(lasts),
            terms: Arc::new(Terms { components, manifest, budget }),
        }
    }

    fn publish(&self, grants: &[ActiveGrant]) {
        self.capture.publish(grants, self.capture.moment());
    }

    /// Everything captured so far, with the grant it belongs to.
    fn captured(&self) -> Vec<(i64, Record)> {
        let mut records = Vec::new();
        for chunk in self.capture.drain() {
            let decoded = decode(&chunk.bytes, &Catalogue::own()).unwrap();
            records.extend(decoded.into_iter().map(|record| (chunk.grant, record)));
        }
        records
    }
}
