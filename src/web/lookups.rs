//! How often an address may ask for what is not there, so that references and links cannot be guessed (T-04).

use std::net::IpAddr;

use chrono::TimeDelta;

use crate::app::App;
use crate::db::DbConnection;
use crate::error::{Error, Result};
use crate::throttle::{self, Rate};

/// Misses from one address before it has to wait.
const MISSES: Rate = Rate { times: 30, within: TimeDelta::minutes(1) };

/// Runs a query of somebody who is not staff. What is not found counts against their address; once there were too many
/// misses, nothing is looked up at all, so that what exists cannot be told from what does not.
pub async fn limited<T, F>(app: &App, ip: Option<IpAddr>, query: F) -> Result<T>
where
    T: Send + 'static,
    F: FnOnce(&mut DbConnection) -> Result<T> + Send + 'static,
{
    let name = throttle::name("lookup", &throttle::neighbourhood(&ip.map_or_else(String::new, |ip| ip.to_string())));
    let now = app.clock.now();
    let asked = name.clone();
    let outcome = app
        .database
        .read(move |db| {
            if !throttle::allows(db, &asked, MISSES, now)? {
                return Err(Error::TooMany { retry_after_secs: 60 });
            }
            query(db)
        })
        .await;
    if matches!(outcome, Err(Error::NotFound)) {
        app.database.write(move |db| throttle::take(db, &name, MISSES, now)).await?;
    }
    outcome
}
