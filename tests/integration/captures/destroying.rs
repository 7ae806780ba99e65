//! The end of what was captured: at once, or at its date, certified, and gone from the files too (CN-10).

use accord::consent::receipt::{self, Kind};
use accord::consent::withdrawing::{self, Kept};
use accord::db::schema::{trace_chunks, trace_keys};
use accord::keys::Keys;
use chrono::TimeDelta;
use diesel::prelude::*;

use super::*;
use accord::backup::copying;
use accord::db::connection::{Role, open};
use accord::diagnostics::scrubbing;
use accord::worker::threads::Step;
use accord::worker::{destroying, recurring};

use crate::support::files;

impl Process {
    /// A grant with something captured, and pieces of what stands in the database for it: of its key and of each chunk.
    fn with_captures(&mut self) -> (Grant, Vec<Vec<u8>>) {
        let grant = self.grant();
        let pass = self.open(&grant);
        for number in 0..5 {
            self.capture(&grant, pass, &[&format!("what happened, part {number}")]);
        }
        let pieces = self.test.read(|db| {
            let mut pieces: Vec<Vec<u8>> = trace_chunks::table.select(trace_chunks::sealed).load(db)?;
            pieces.extend(trace_keys::table.select(trace_keys::wrapped_key).load::<Vec<u8>>(db)?);
            Ok(pieces)
        });
        assert_eq!(pieces.len(), 6);
        (grant, pieces.into_iter().map(|piece| piece[..24].to_vec()).collect())
    }

    fn with_one_capture(&mut self) -> Grant {
        let grant = self.grant();
        let pass = self.open(&grant);
        self.capture(&grant, pass, &["what happened"]);
        grant
    }

    /// Whether no key and nothing that was sealed stands in a table.
    fn is_emptied(&self) -> bool {
        self.count("trace_keys") == 0 && self.count("trace_chunks WHERE length(sealed) > 0") == 0
    }

    fn is_gone(&self) -> bool {
        ["trace_keys", "trace_chunks", "trace_counters"].iter().all(|table| self.count(table) == 0)
    }

    /// Whether the customer has it in writing that nothing is left.
    fn is_certified(&self, grant: &Grant) -> bool {
        let certificate = self.test.read(|db| receipt::find(db, grant.id, Kind::Certificate));
        assert_eq!(certificate.is_some(), self.again(grant).destroyed_at.is_some());
        certificate.is_some()
    }

    /// What whoever watches the installation is told.
    async fn metrics(&self) -> String {
        let app = actix_web::web::Data::from(self.test.app.clone());
        let routes = actix_web::App::new().app_data(app).configure(accord::web::health::metrics_routes);
        let service = actix_web::test::init_service(routes).await;
        let request = actix_web::test::TestRequest::get().uri("/metrics").to_request();
        let answer = actix_web::test::call_and_read_body(&service, request).await;
        String::from_utf8(answer.to_vec()).unwrap()
    }

    /// The file that PostgreSQL has the chunks in.
    fn file_of_chunks(&self) -> Option<String> {
        let is_sqlite = self.test.app.database.url().is_sqlite();
        let file = diesel::dsl::sql::<diesel::sql_types::Text>("SELECT pg_relation_filepath('trace_chunks')");
        (!is_sqlite).then(|| self.test.read(|db| Ok(file.get_result(db)?)))
    }

    /// How many of `pieces` stand in the files of the database.
    fn pieces_in_files(&self, pieces: &[Vec<u8>]) -> usize {
        files::found(self.test.app.database.url(), pieces).len()
    }
}

#[test]
fn cn_10_a_withdrawal_destroys_at_once_and_the_certificate_says_what() {
    let mut process = Process::begin();
    let (grant, pieces) = process.with_captures();
    assert_eq!(process.pieces_in_files(&pieces), 6, "or the search below finds nothing because it cannot");
    let head = process.test.read(|db| {
        let last = trace_chunks::table.order(trace_chunks::number.desc()).select(trace_chunks::tag);
        Ok(last.first::<Vec<u8>>(db)?)
    });
    process.withdraw(&grant, Kept::No);
    process.test.run_jobs();
    assert!(process.is_gone());
    assert_eq!(process.pieces_in_files(&pieces), 0, "nothing is left in the files");
    assert_eq!(process.texts(&grant), Vec::<String>::new());
    let after = process.again(&grant);
    assert_eq!(after.destroyed_at, Some(process.now()));
    let certificate = process.test.read(|db| receipt::find(db, grant.id, Kind::Certificate)).expect("a certificate");
    receipt::verify(&certificate.document).unwrap();
    let destroyed = &certificate.document["accord:destroyed"];
    assert_eq!(destroyed["records"], 5);
    assert_eq!(destroyed["chunks"], 5);
    assert_eq!(destroyed["head"], data_encoding::HEXLOWER.encode(&head));
    assert!(destroyed["bytes"].as_i64().unwrap() > 5 * 40, "{destroyed}");
    assert!(destroyed["key"].is_string());
}

#[test]
fn cn_10_what_is_kept_is_kept_until_its_date_and_no_longer() {
    let mut process = Process::begin();
    let (grant, pieces) = process.with_captures();
    process.withdraw(&grant, Kept::UntilItsDate);
    process.test.pass(TimeDelta::days(7) - TimeDelta::seconds(1));
    assert_eq!(process.texts(&grant).len(), 5);
    process.test.pass(TimeDelta::seconds(1));
    assert!(process.is_gone());
    assert_eq!(process.pieces_in_files(&pieces), 0);
    assert!(process.again(&grant).destroyed_at.is_some());
}

#[test]
fn cn_10_delete_now_destroys_what_was_to_be_kept() {
    let mut process = Process::begin();
    let (grant, _) = process.with_captures();
    process.withdraw(&grant, Kept::UntilItsDate);
    let (by, now, id) = (process.test.actor(grant.granted_by), process.now(), grant.request_id);
    process.test.write(move |db| {
        let request = asking::by_id(db, id)?;
        withdrawing::destroy_early(db, &request, &by, now)
    });
    process.test.run_jobs();
    assert!(process.is_gone());
}

#[test]
fn cn_10_one_capture_is_destroyed_and_others_stay() {
    let mut process = Process::begin();
    let (grant, pieces) = process.with_captures();
    let other = process.grant_of(process.cast.zoe, "");
    let pass = process.open(&other);
    process.capture(&other, pass, &["theirs"]);
    process.withdraw(&grant, Kept::No);
    process.test.run_jobs();
    assert_eq!((process.count("trace_keys"), process.count("trace_chunks")), (1, 1));
    assert_eq!(process.texts(&other), ["theirs"]);
    // Beside what stays, too.
    assert_eq!(process.pieces_in_files(&pieces), 0);
}

/// PostgreSQL does not write many chunks anew, for nothing could be captured meanwhile. They are noise without their key.
#[test]
fn of_many_chunks_beside_others_postgresql_keeps_noise_at_most_and_the_key_is_gone() {
    let mut process = Process::begin();
    let (grant, pieces) = process.with_captures();
    let other = process.grant_of(process.cast.zoe, "");
    let pass = process.open(&other);
    process.capture(&other, pass, &["theirs"]);
    // As if there had been many more of the other's, which nothing makes smaller.
    let noise = match process.test.app.database.url().is_sqlite() {
        true => "randomblob(20000)",
        false => {
            "(SELECT string_agg(decode(md5(random()::text || part), 'hex'), '') FROM generate_series(1, 1250) AS part \
                  WHERE more.number > 0)"
        }
    };
    process.sql(&format!(
        "WITH RECURSIVE more (number) AS (SELECT 2 UNION ALL SELECT number + 1 FROM more WHERE number < 500)
        INSERT INTO trace_chunks (organisation_id, grant_id, number, channel, sealed, tag, previous_tag, records,
            first_at, last_at, created_at)
        SELECT one.organisation_id, one.grant_id, more.number, one.channel, {noise}, one.tag, one.previous_tag,
            one.records, one.first_at, one.last_at, one.created_at
        FROM more, trace_chunks AS one WHERE one.number = 1 AND one.grant_id = {}",
        other.id.0
    ));
    let place = process.file_of_chunks();
    process.withdraw(&grant, Kept::No);
    process.test.run_jobs();
    assert_eq!(process.test.read(scrubbing::owed), None);
    assert_eq!(process.count("trace_chunks"), 500);
    let (chunks, key) = pieces.split_at(5);
    assert_eq!(process.pieces_in_files(key), 0);
    assert!(process.pieces_in_files(chunks) == 0 || place.is_some());
    assert_eq!(process.file_of_chunks(), place, "nothing was written anew");
}

/// Whoever reads an old state of the database keeps what was destroyed in its files, and no longer than that.
#[actix_web::test]
async fn cn_10_what_could_not_leave_the_files_at_once_is_owed_until_it_is_gone() {
    let mut process = Process::begin();
    let (grant, pieces) = process.with_captures();
    let key = &pieces[5..];
    let anne = process.test.signed_in(process.cast.anne).await;
    anne.get("/admin/status").await.assert_says("Il n’en reste rien de lisible");
    let mut reader = open(process.test.app.database.url(), Role::Reader).unwrap();
    reader.batch_execute("BEGIN; SELECT count(*) FROM trace_keys").unwrap();

    process.withdraw(&grant, Kept::No);
    process.test.run_jobs();
    assert!(process.is_emptied(), "key and content are gone from the tables");
    assert_eq!(process.pieces_in_files(key), 1, "somebody is in the way");
    assert!(!process.is_certified(&grant));
    let claire = process.test.signed_in(process.cast.claire).await;
    let handle = process.test.read(|db| asking::by_id(db, grant.request_id)).handle;
    let page = claire.get(&format!("/consents/{handle}")).await;
    page.assert_says("En cours. L’attestation sera donnée").assert_silent_about("Détruire les données");
    // Until the next attempt nothing is written, by which everybody else would be woken.
    let changes = process.test.app.database.changes().count();
    assert_eq!(destroying::destroy_next(&process.test.app, "test").unwrap(), Step::Idle);
    assert_eq!(process.test.app.database.changes().count(), changes);
    let begun = process.now();
    let owed = |process: &Process| process.test.read(scrubbing::owed).map(|owed| (owed.since, owed.attempts));
    assert_eq!(owed(&process), Some((begun, 1)));
    // It is tried again, and said.
    for attempts in 2..4 {
        process.test.clock.advance(TimeDelta::minutes(1));
        recurring::run_due(&process.test.app, process.now()).unwrap();
        assert_eq!(owed(&process), Some((begun, attempts)));
    }
    process.test.run_jobs();
    assert_eq!(process.pieces_in_files(key), 1);
    assert!(!process.is_certified(&grant), "nothing is certified that is not so");
    anne.get("/admin/status").await.assert_says("peut encore se trouver dans les fichiers").assert_says("tone-act");
    assert!(process.metrics().await.contains("\naccord_scrub_owed_seconds 120\n"));
    process.test.clock.advance(TimeDelta::hours(1));
    anne.get("/admin/status").await.assert_says("tone-late");

    reader.batch_execute("COMMIT").unwrap();
    recurring::run_due(&process.test.app, process.now()).unwrap();
    assert_eq!(owed(&process), None);
    assert_eq!(process.pieces_in_files(&pieces), 0, "before it is certified");
    process.test.run_jobs();
    assert!(process.is_gone() && process.is_certified(&grant));
    assert_eq!(process.again(&grant).destroyed_at, Some(process.now()), "when it was so");
    assert_eq!(process.pieces_in_files(&pieces), 0);
    anne.get("/admin/status").await.assert_says("Il n’en reste rien de lisible");
    assert!(process.metrics().await.contains("\naccord_scrub_owed_seconds 0\n"));
}

/// However many wait for the files, whoever withdraws has their key destroyed at once.
#[test]
fn cn_10_captures_that_wait_for_the_files_keep_no_other_waiting() {
    let mut process = Process::begin();
    let mut reader = open(process.test.app.database.url(), Role::Reader).unwrap();
    reader.batch_execute("BEGIN; SELECT count(*) FROM trace_keys").unwrap();
    let mut grants = Vec::new();
    for number in 0..22 {
        let grant = process.with_one_capture();
        process.withdraw(&grant, Kept::No);
        process.test.run_jobs();
        assert!(process.is_emptied(), "grant {number}");
        grants.push(grant);
    }
    reader.batch_execute("COMMIT").unwrap();
    process.test.clock.advance(TimeDelta::minutes(1));
    recurring::run_due(&process.test.app, process.now()).unwrap();
    process.test.run_jobs();
    assert!(process.is_gone() && grants.iter().all(|grant| process.is_certified(grant)));
}

/// An attempt pays for what was destroyed before it began.
#[test]
fn what_is_destroyed_while_the_files_are_rid_of_others_is_owed_still() {
    let process = Process::begin();
    let now = process.now();
    process.test.write(move |db| scrubbing::owe(db, now));
    let owed = process.test.read(scrubbing::owed).expect("owed");
    process.test.write(move |db| scrubbing::owe(db, now.plus(TimeDelta::seconds(1))));
    let began = now.plus(TimeDelta::milliseconds(500));
    assert!(!process.test.write(move |db| scrubbing::paid(db, &owed, began)));
    let still = process.test.read(scrubbing::owed).expect("owed still");
    assert_eq!((still.destructions, still.since, still.attempts), (2, began, 0), "what was owed before is gone");
    assert!(process.test.write(move |db| scrubbing::paid(db, &still, began)));
    assert_eq!(process.test.read(scrubbing::owed), None);
}

/// Two processes rid the files of the same; the slower one strikes out nothing that was destroyed after it began.
#[test]
fn a_debt_that_came_after_an_attempt_is_not_struck_out_by_it() {
    let process = Process::begin();
    let now = process.now();
    process.test.write(move |db| scrubbing::owe(db, now));
    let seen_by_both = process.test.read(scrubbing::owed).expect("owed");
    assert!(process.test.write(move |db| scrubbing::paid(db, &seen_by_both, now)));
    let later = now.plus(TimeDelta::seconds(3));
    process.test.write(move |db| scrubbing::owe(db, later));
    assert!(!process.test.write(move |db| scrubbing::paid(db, &seen_by_both, now)));
    let still = process.test.read(scrubbing::owed).expect("owed still");
    assert_eq!((still.destructions, still.since), (1, later));
}

/// The copy from which a backup is made holds what was destroyed since, keys among it.
#[test]
fn what_is_destroyed_while_a_backup_is_made_is_owed_until_its_copy_is_gone() {
    let process = Process::begin();
    let now = process.now();
    let data = process.test.app.config.data.clone();
    let copy = copying::first_copy(&process.test.app.config);
    std::fs::create_dir_all(copy.parent().unwrap()).unwrap();
    std::fs::write(&copy, "all of it").unwrap();
    let lock = std::fs::File::create(data.join("backup.lock")).unwrap();
    lock.lock().unwrap();
    process.test.write(move |db| scrubbing::owe(db, now));
    destroying::scrub_owed(&process.test.app, now).unwrap();
    assert_eq!(process.test.read(scrubbing::owed).map(|owed| owed.attempts), Some(1));
    assert!(copy.exists(), "what somebody is making is left alone");
    drop(lock);
    destroying::scrub_owed(&process.test.app, now).unwrap();
    assert_eq!(process.test.read(scrubbing::owed), None);
    assert!(!copy.exists(), "an interrupted one goes first");
}

#[test]
fn a_large_capture_is_destroyed_in_steps_its_key_first() {
    let mut process = Process::begin();
    let (grant, _) = process.with_captures();
    // As if there had been many more.
    let rows = "WITH RECURSIVE more (number) AS (SELECT 6 UNION ALL SELECT number + 1 FROM more WHERE number < 600)
        INSERT INTO trace_chunks (organisation_id, grant_id, number, channel, sealed, tag, previous_tag, records,
            first_at, last_at, created_at)
        SELECT one.organisation_id, one.grant_id, more.number, one.channel, one.sealed, one.tag, one.previous_tag,
            one.records, one.first_at, one.last_at, one.created_at
        FROM more, trace_chunks AS one WHERE one.number = 5";
    process.sql(rows);
    process.withdraw(&grant, Kept::No);
    let (app, ended, now) = (process.test.app.clone(), process.again(&grant), process.now());
    let step = process.test.write(move |db| trace_store::destroy(db, &app.keys, &ended, now));
    assert_eq!(step, trace_store::Destroying::Rows);
    assert_eq!((process.count("trace_keys"), process.count("trace_chunks")), (0, 600 - 256));
    assert_eq!(process.texts(&grant), Vec::<String>::new(), "without its key nothing can be read");
    assert_eq!(process.again(&grant).destroyed_at, None);
    process.test.run_jobs();
    assert!(process.is_gone());
    let certificate = process.test.read(|db| receipt::find(db, grant.id, Kind::Certificate)).expect("a certificate");
    assert_eq!(certificate.document["accord:destroyed"]["chunks"], 600);
}

#[test]
fn what_an_active_grant_captures_cannot_be_destroyed() {
    let mut process = Process::begin();
    let (grant, _) = process.with_captures();
    let (app, active, now) = (process.test.app.clone(), grant.clone(), process.now());
    let outcome = app.database.write_now({
        let app = app.clone();
        move |db| trace_store::destroy(db, &app.keys, &active, now)
    });
    assert!(outcome.is_err());
    assert_eq!(process.texts(&grant).len(), 5);
}

#[test]
fn keys_are_wrapped_anew_after_the_installation_s_were_rotated() {
    let mut process = Process::begin();
    let (grant, _) = process.with_captures();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    let now = process.now();
    let (old, clock) = (Keys::load_or_create(&path, now).unwrap(), process.test.clock.clone());
    let other = process.grant_of(process.cast.zoe, "");
    let (keys, id) = (old.clone(), other.id);
    process.test.write(move |db| trace_store::key(db, &keys, id, &clock).map(drop));
    // The first grant's key is wrapped under keys that are not these.
    let keys = old.clone();
    assert!(process.test.app.database.read_now(|db| trace_store::find_key(db, &keys, grant.id)).is_err());
    process.sql("DELETE FROM trace_keys WHERE grant_id = (SELECT min(id) FROM consent_grants)");
    for _ in 0..2 {
        Keys::rotate(&path, now).unwrap();
        let keys = Keys::load_or_create(&path, now).unwrap();
        let rotated = keys.clone();
        assert_eq!(process.test.write(move |db| trace_store::rewrap(db, &rotated)), 1);
        let rotated = keys.clone();
        assert_eq!(process.test.write(move |db| trace_store::rewrap(db, &rotated)), 0);
        assert!(process.test.read(|db| trace_store::find_key(db, &keys, other.id)).is_some());
    }
}
