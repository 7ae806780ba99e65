//! What happens when the clock of the machine is set (FT-06). Forward by more than a day since recurring work last ran: what
//! removes things by their age stops until an administrator says that the time is right. Back: what was to be done at a time
//! that is far away now is done as soon as it would have been, and sessions last no longer than they would have.

use crate::app::App;
use crate::clock::UtcTime;
use crate::error::Result;
use crate::journal::{claiming, imap};
use crate::outbox::sending;
use crate::people::sessions;
use crate::schedule::{self, Course};
use crate::{queue, throttle};

/// Looks at the clock, and puts right what goes wrong when it was set back. Gives whether things may be removed by their age.
pub fn look(app: &App, now: UtcTime) -> Result<bool> {
    match app.database.read_now(|db| schedule::course(db, now))? {
        Course::Steady => Ok(true),
        Course::Ahead { .. } => app.database.write_now(move |db| schedule::note_ahead(db, now)).map(|()| false),
        Course::Moved | Course::Unknown => {
            app.database.write_now(move |db| schedule::note_time(db, now)).map(|()| true)
        }
        Course::Back { .. } | Course::PutRight { .. } => {
            tracing::warn!(target: "accord::worker", "The clock was set back; what waits for a time is looked at again");
            app.database.write_now(move |db| {
                // Another process may have been faster.
                let is_in_order = match schedule::course(db, now)? {
                    Course::Back { since } => {
                        sessions::follow_clock_back(db, since.since(now), None)?;
                        true
                    }
                    Course::PutRight { from, is_in_order } => {
                        sessions::follow_clock_back(db, from.since(now), Some(now))?;
                        is_in_order
                    }
                    course => return Ok(!matches!(course, Course::Ahead { .. })),
                };
                sending::follow_clock_back(db, now)?;
                claiming::follow_clock_back(db, now)?;
                imap::follow_clock_back(db, now)?;
                queue::follow_clock_back(db, now)?;
                throttle::follow_clock_back(db, now)?;
                if is_in_order {
                    schedule::note_time(db, now)?;
                } else {
                    schedule::note_ahead(db, now)?;
                }
                Ok(is_in_order)
            })
        }
    }
}

/// Says once in a while that nothing is removed.
pub fn tell(app: &App, now: UtcTime) -> Result<()> {
    if let Course::Ahead { .. } = app.database.read_now(|db| schedule::course(db, now))? {
        tracing::error!(
            target: "accord::worker",
            "The clock is more than a day ahead of when work last ran: nothing is removed until an administrator confirms it"
        );
    }
    Ok(())
}
