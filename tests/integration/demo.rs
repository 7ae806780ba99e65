//! The demonstration's desk, as somebody finds it who has just started it.

use accord::access::{self, Actor};
use accord::people::person;
use accord::tickets::status::Status;
use diesel::prelude::*;

use crate::support::TestApp;

#[test]
fn the_demo_has_two_hundred_tickets_in_all_states_and_fills_once() {
    let app = TestApp::empty();
    assert!(accord::demo::fill(&app.app).unwrap());
    let count = |status: Option<Status>| -> i64 {
        app.read(|db| {
            let mut query = access::visible_to(&Actor::System).count();
            if let Some(status) = status {
                query = query.filter(accord::db::schema::tickets::status.eq(status));
            }
            Ok(query.get_result(db)?)
        })
    };
    assert_eq!(count(None), 200);
    for status in Status::ALL {
        assert!(count(Some(*status)) >= 5, "{status}: {}", count(Some(*status)));
    }
    let camille = accord::mail::address::EmailAddress::parse("camille.renaud@lumenor.example").unwrap();
    assert!(app.read(|db| person::find_by_address(db, &camille)).is_some());
    assert!(!accord::demo::fill(&app.app).unwrap());
}
