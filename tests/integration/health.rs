//! What whoever watches the installation is told, and when (FT-30).

use accord::backup::last;
use accord::config::database::DatabaseUrl;
use accord::db::connection::{Role, open};
use accord::db::disk;
use accord::journal::claiming;
use accord::mail::transport::{FailureKind, SendFailure};
use accord::queue;
use accord::tickets::status::Status;
use actix_web::test::{TestRequest, call_and_read_body, init_service};
use chrono::TimeDelta;

use crate::support::desk::{Desk, Letter};

/// What the metrics address says at a path.
async fn said(desk: &Desk, path: &str) -> String {
    let app = actix_web::web::Data::from(desk.test.app.clone());
    let service =
        init_service(actix_web::App::new().app_data(app).configure(accord::web::health::metrics_routes)).await;
    let answer = call_and_read_body(&service, TestRequest::get().uri(path).to_request()).await;
    String::from_utf8(answer.to_vec()).unwrap()
}

/// Whether the condition is as it should be; detail and metrics say the same.
async fn is_well(desk: &Desk, condition: &str) -> bool {
    let (health, metrics) = (said(desk, "/healthz").await, said(desk, "/metrics").await);
    let line = health.lines().find(|line| line.starts_with(condition)).unwrap_or_else(|| panic!("{health}"));
    let is_well = line.starts_with(&format!("{condition}: ok"));
    let level = format!("\naccord_well{{condition=\"{condition}\"}} {}\n", i32::from(is_well));
    assert!(metrics.contains(&level), "{metrics}");
    assert!(is_well || health.starts_with("attention\n"), "{health}");
    is_well
}

#[actix_web::test]
async fn ft_30_work_that_waits_for_more_than_ten_minutes_is_told() {
    let desk = Desk::open();
    let now = desk.test.now();
    desk.test.write(move |db| {
        queue::enqueue(db, "digest", &serde_json::json!({ "person": 1 }), now.plus(TimeDelta::hours(1)), now)
    });
    assert!(is_well(&desk, "queue").await, "what is not due does not wait");
    desk.test.clock.advance(TimeDelta::minutes(69));
    assert!(is_well(&desk, "queue").await);
    desk.test.clock.advance(TimeDelta::minutes(2));
    assert!(!is_well(&desk, "queue").await, "the jobs stand still");
    assert!(said(&desk, "/metrics").await.contains("\naccord_queue_age_seconds 660\n"));
}

#[actix_web::test]
async fn ft_30_mail_that_waits_to_be_read_or_sent_for_more_than_ten_minutes_is_told() {
    let desk = Desk::open();
    desk.accept(&Letter::from("claire@acme.example"));
    desk.test.clock.advance(TimeDelta::minutes(11));
    assert!(!is_well(&desk, "queue").await, "nobody reads what came");
    desk.test.run_jobs();
    desk.sent();
    assert!(is_well(&desk, "queue").await);
    desk.memory().fail_always(Some(SendFailure { kind: FailureKind::Relay, code: Some(421), text: "no".to_owned() }));
    desk.answer(&desk.ticket(), "Redémarrez-le.", Status::WaitingForCustomer);
    for _ in 0..4 {
        desk.test.pass(TimeDelta::minutes(3));
    }
    assert!(!is_well(&desk, "queue").await, "the relay is down, however often it is tried");
    desk.memory().fail_always(Some(SendFailure {
        kind: FailureKind::Transient,
        code: Some(451),
        text: "later".to_owned(),
    }));
    desk.test.pass(TimeDelta::minutes(3));
    assert!(is_well(&desk, "queue").await, "its recipient's server wants it later");
    desk.answer(&desk.ticket(), "Et rebranchez-le.", Status::WaitingForCustomer);
    for _ in 0..4 {
        desk.test.pass(TimeDelta::minutes(3));
    }
    assert!(is_well(&desk, "queue").await, "what waits for that one waits for its server, too (O-09)");
}

#[actix_web::test]
async fn ft_30_mail_that_did_not_arrive_or_could_not_be_read_is_told() {
    let desk = Desk::open();
    desk.receive(&Letter::from("claire@acme.example"));
    assert!(is_well(&desk, "mail").await);
    desk.memory().fail_next(SendFailure { kind: FailureKind::Permanent, code: Some(550), text: "no".to_owned() });
    desk.answer(&desk.ticket(), "Redémarrez-le.", Status::WaitingForCustomer);
    assert!(!is_well(&desk, "mail").await);

    let desk = Desk::open();
    desk.accept(&Letter::from("claire@acme.example"));
    for _ in 0..6 {
        let now = desk.test.now();
        desk.test.write(move |db| claiming::claim_next(db, "dying", now));
        desk.test.clock.advance(TimeDelta::minutes(3));
    }
    assert!(!is_well(&desk, "mail").await);
}

#[actix_web::test]
async fn ft_30_a_backup_that_is_older_than_a_day_and_a_bit_is_told() {
    let desk = Desk::open();
    let app = &desk.test.app;
    let is_embedded = app.database.url().is_sqlite();
    // Of a server's backups nothing is known, and nothing is claimed, until its tools tell.
    assert_eq!(is_well(&desk, "backup").await, !is_embedded);
    assert!(!said(&desk, "/metrics").await.contains("\naccord_backup_age_seconds{"), "unknown is not zero");
    last::note(&app.config, desk.test.now()).unwrap();
    desk.test.clock.advance(TimeDelta::hours(26));
    assert!(is_well(&desk, "backup").await);
    assert!(said(&desk, "/metrics").await.contains("\naccord_backup_age_seconds{} 93600\n"));
    desk.test.clock.advance(TimeDelta::minutes(1));
    assert!(!is_well(&desk, "backup").await);
}

#[actix_web::test]
async fn ft_30_a_write_ahead_log_that_fills_the_disk_is_told() {
    let desk = Desk::open();
    let DatabaseUrl::Sqlite(path) = desk.test.app.database.url().clone() else {
        assert!(is_well(&desk, "log").await, "a server has its own");
        return;
    };
    // Open, so that the log is there.
    let _reader = open(desk.test.app.database.url(), Role::Reader).unwrap();
    assert!(is_well(&desk, "log").await);
    let mut log = path.into_os_string();
    log.push("-wal");
    // Zeros after the last frame are no frames, and a hole takes no room.
    std::fs::File::options().append(true).open(log).unwrap().set_len((256 << 20) + 1).unwrap();
    assert!(!is_well(&desk, "log").await);
}

#[actix_web::test]
async fn ft_30_a_disk_with_less_than_a_tenth_left_is_told() {
    let desk = Desk::open();
    // The machine's disk is what it is: the same is said of it as its room says.
    let room = disk::room(&desk.test.app.config.data).unwrap();
    assert!(room.free <= room.whole && room.whole > 0, "{room:?}");
    assert_eq!(is_well(&desk, "disk").await, !room.is_low());
    assert!(said(&desk, "/metrics").await.contains(&format!("\naccord_disk_bytes{{}} {}\n", room.whole)));
}

#[actix_web::test]
async fn ft_30_only_the_address_for_metrics_says_more_than_that_it_lives() {
    let desk = Desk::open();
    let answer = desk.test.browser().await.get("/healthz").await;
    assert_eq!(answer.text(), "ok\n");
}
