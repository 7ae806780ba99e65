//! Whether the program lives (`/healthz`), whether it can work (`/readyz`), and its counters (`/metrics`). Metrics are
//! only on the address of their own.

use actix_web::HttpResponse;
use actix_web::web::{Data, ServiceConfig, get};

use crate::app::App;
use crate::diagnostics::capture::Capture;
use crate::diagnostics::scrubbing;
use crate::gate::GATE;
use crate::web::metrics;
use crate::{journal, outbox, queue};

/// What the metrics address serves.
pub fn metrics_routes(config: &mut ServiceConfig) {
    config
        .route("/healthz", get().to(alive))
        .route("/readyz", get().to(ready))
        .route("/metrics", get().to(show_metrics));
}

/// The process answers.
pub async fn alive() -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; charset=utf-8").body("ok\n")
}

/// Ready means that the database answers.
pub async fn ready(app: Data<App>) -> HttpResponse {
    match app.database.read(queue::counts).await {
        Ok(_) => HttpResponse::Ok().content_type("text/plain; charset=utf-8").body("ready\n"),
        Err(error) => {
            tracing::warn!(target: "accord::web", %error, "Not ready");
            HttpResponse::ServiceUnavailable().content_type("text/plain; charset=utf-8").body("database\n")
        }
    }
}

async fn show_metrics(app: Data<App>) -> HttpResponse {
    let database_log_bytes = app.database.log_bytes().and_then(|bytes| i64::try_from(bytes).ok()).unwrap_or_default();
    let ballast_bytes = i64::try_from(app.storage.ballast().held_bytes()).unwrap_or_default();
    let grants_live = i64::try_from(GATE.live()).unwrap_or_default();
    let waiting = Capture::find().map_or(0, Capture::waiting);
    let grants_waiting = i64::try_from(waiting).unwrap_or_default();
    let now = app.clock.now();
    let levels = app.database.read(move |db| {
        let (jobs_waiting, jobs_failed) = queue::counts(db)?;
        let mail_in = journal::unprocessed::counts(db)?;
        let mail_dead = outbox::listing::counts(db)?.dead;
        let scrub_owed_seconds = scrubbing::owed(db)?.map_or(0, |owed| now.since(owed.since).num_seconds().max(1));
        let mail_unprocessed = mail_in.held + mail_in.failed;
        Ok(metrics::Levels {
            jobs_waiting,
            jobs_failed,
            mail_unprocessed,
            mail_dead,
            database_log_bytes,
            ballast_bytes,
            grants_live,
            grants_waiting,
            scrub_owed_seconds,
        })
    });
    match levels.await {
        Ok(levels) => HttpResponse::Ok()
            .content_type("application/openmetrics-text; version=1.0.0; charset=utf-8")
            .body(metrics::render(levels)),
        Err(_) => HttpResponse::ServiceUnavailable().finish(),
    }
}
