//! `GET /sampling/{key}`: whether a product is to produce traces, in the form of Jaeger's remote sampling, which the
//! samplers of OpenTelemetry ask for. All of them while there is a grant, none otherwise: then nothing is even made
//! without consent, and nothing has to be refused.

use actix_web::HttpResponse;
use actix_web::web::{Data, Path};
use serde_json::json;

use crate::app::App;
use crate::diagnostics::sampling;

/// `GET /sampling/{key}?service=…`, and with another `/sampling` behind it, which the sampler for JavaScript adds. The
/// service is not told apart: the grant covers all of them or none. Whatever cannot be told is answered with none.
pub async fn show(app: Data<App>, key: Path<String>) -> HttpResponse {
    let (key, now) = (key.into_inner(), app.clock.now());
    let wanted = app.database.read(move |db| sampling::is_wanted(db, &key, now)).await.unwrap_or(false);
    HttpResponse::Ok().json(json!({
        "strategyType": "PROBABILISTIC",
        "probabilisticSampling": { "samplingRate": if wanted { 1 } else { 0 } },
    }))
}
