//! Whether the program lives (`/healthz`), whether it can work (`/readyz`), and its counters (`/metrics`). Metrics are
//! only on the address of their own, and so is what `/healthz` says in detail (FT-30): there it tells on which condition
//! somebody should look, and answers 200 all the same, for starting the process again mends none of them.

mod conditions;

use std::collections::HashMap;

use actix_web::HttpResponse;
use actix_web::web::{Data, ServiceConfig, get};
use chrono::TimeDelta;

use crate::app::App;
use crate::backup::last;
use crate::clock::UtcTime;
use crate::db::{DbConnection, disk};
use crate::diagnostics::capture::Capture;
use crate::diagnostics::scrubbing;
use crate::error::Result;
use crate::gate::GATE;
use crate::journal::imap::standing::{self, Standing};
use crate::schedule::{self, Course};
use crate::web::metrics;
use crate::{journal, outbox, queue};
use conditions::{Backup, Found, conditions};

/// What the metrics address serves.
pub fn metrics_routes(config: &mut ServiceConfig) {
    config
        .route("/healthz", get().to(show_conditions))
        .route("/readyz", get().to(ready))
        .route("/metrics", get().to(show_metrics));
}

/// The process answers.
pub async fn alive() -> HttpResponse {
    text("ok\n".to_owned())
}

/// Ready means that the database answers.
pub async fn ready(app: Data<App>) -> HttpResponse {
    match app.database.read(queue::counts).await {
        Ok(_) => text("ready\n".to_owned()),
        Err(error) => {
            tracing::warn!(target: "accord::web", %error, "Not ready");
            HttpResponse::ServiceUnavailable().content_type(PLAIN).body("database\n")
        }
    }
}

const PLAIN: &str = "text/plain; charset=utf-8";

fn text(body: String) -> HttpResponse {
    HttpResponse::Ok().content_type(PLAIN).body(body)
}

/// In the first line whether all is well; then each condition.
async fn show_conditions(app: Data<App>) -> HttpResponse {
    let now = app.clock.now();
    let Ok(levels) = app.database.read(move |db| Levels::load(db, now)).await else {
        return text("attention\ndatabase: does not answer\n".to_owned());
    };
    let conditions = conditions(&found(&app, &levels, now));
    let is_well = conditions.iter().all(|condition| condition.is_well);
    let lines = conditions.iter().map(|condition| {
        let word = if condition.is_well { "ok" } else { "attention" };
        format!("{}: {word}, {}\n", condition.name, condition.detail)
    });
    let first = if is_well { "ok\n" } else { "attention\n" };
    text(std::iter::once(first.to_owned()).chain(lines).collect())
}

async fn show_metrics(app: Data<App>) -> HttpResponse {
    let now = app.clock.now();
    let Ok(levels) = app.database.read(move |db| Levels::load(db, now)).await else {
        return HttpResponse::ServiceUnavailable().finish();
    };
    let found = found(&app, &levels, now);
    let as_number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let waiting = Capture::find().map_or(0, Capture::waiting);
    let levels = metrics::Levels {
        jobs_waiting: levels.jobs_waiting,
        jobs_failed: levels.jobs_failed,
        mail_unprocessed: levels.mail_held + levels.mail_failed,
        mail_dead: levels.mail_dead,
        queue_age_secs: found.queue_age.num_seconds(),
        database_log_bytes: as_number(found.log_bytes.unwrap_or_default()),
        disk_free_bytes: found.room.map(|room| as_number(room.free)),
        disk_bytes: found.room.map(|room| as_number(room.whole)),
        ballast_bytes: as_number(app.storage.ballast().held_bytes()),
        backup_age_secs: found.backup.age().map(|age| age.num_seconds()),
        grants_live: as_number(GATE.live() as u64),
        grants_waiting: as_number(waiting as u64),
        scrub_owed_seconds: found.owed.map_or(0, |since| since.num_seconds().max(1)),
    };
    let conditions = conditions(&found).map(|condition| (condition.name, condition.is_well));
    HttpResponse::Ok()
        .content_type("application/openmetrics-text; version=1.0.0; charset=utf-8")
        .body(metrics::render(levels, &conditions))
}

/// What the database knows of work and mail.
struct Levels {
    jobs_waiting: i64,
    jobs_failed: i64,
    mail_held: i64,
    mail_failed: i64,
    mail_dead: i64,
    owed: Option<TimeDelta>,
    clock_ahead: Option<TimeDelta>,
    oldest: Option<UtcTime>,
    accounts: HashMap<String, Standing>,
}

impl Levels {
    fn load(db: &mut DbConnection, now: UtcTime) -> Result<Levels> {
        let (jobs_waiting, jobs_failed) = queue::counts(db)?;
        let mail_in = journal::unprocessed::counts(db)?;
        let mail_out = outbox::listing::counts(db)?;
        let waiting = [queue::oldest_due(db, now)?, mail_in.oldest_waiting, mail_out.oldest_waiting];
        Ok(Levels {
            jobs_waiting,
            jobs_failed,
            mail_held: mail_in.held,
            mail_failed: mail_in.failed,
            mail_dead: mail_out.dead,
            owed: scrubbing::owed(db)?.map(|owed| now.since(owed.since)),
            clock_ahead: match schedule::course(db, now)? {
                Course::Ahead { since } => Some(now.since(since)),
                _ => None,
            },
            oldest: waiting.into_iter().flatten().min(),
            accounts: standing::all(db)?,
        })
    }
}

fn found(app: &App, levels: &Levels, now: UtcTime) -> Found {
    let is_embedded = app.config.database.url.is_sqlite();
    let accounts: Vec<&Standing> =
        app.config.mail.imap.iter().filter_map(|account| levels.accounts.get(&account.name)).collect();
    Found {
        accounts_in_trouble: accounts.iter().filter(|account| account.is_in_lasting_trouble(now)).count() as i64,
        mail_not_fetched: accounts.iter().map(|account| account.stuck).sum(),
        queue_age: levels.oldest.map(|oldest| now.since(oldest)).unwrap_or_default(),
        failed_mail: levels.mail_failed + levels.mail_dead,
        room: disk::room(&app.config.data).ok(),
        log_bytes: app.database.log_bytes(),
        owed: levels.owed,
        clock_ahead: levels.clock_ahead,
        damaged_files: app.storage.damaged(),
        backup: match last::find(&app.config, now) {
            Ok(Some(made)) => Backup::Made(now.since(made)),
            Ok(None) if is_embedded => Backup::Never,
            Ok(None) => Backup::LeftToTheServer,
            Err(_) => Backup::Unclear,
        },
    }
}
