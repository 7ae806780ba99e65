//! DB-09, B21: a desk with a consent, its captures, a ticket and a file is backed up and restored. The desk is there again;
//! what was captured and what signs somebody in is in no byte of the backup, and what ran then has ended.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use accord::audit::{self, Entry};
use accord::backup::archive::Writing;
use accord::backup::copying::{self, Left, Made};
use accord::backup::sealing::{BackupKey, Opener};
use accord::backup::{BackupError, restoring, rights, verify_invariants};
use accord::config::database::DatabaseUrl;
use accord::config::{self, Config, Overrides};
use accord::consent::life::{EndReason, RequestState};
use accord::db::connection::{Role, open};
use accord::db::types::ConsentRequestId;
use accord::db::{disk, file_copy, migrations};
use accord::diagnostics::trace_store::Destroying;
use accord::mail::address::EmailAddress;
use accord::mail::incoming;
use accord::mail::transport::{FailureKind, SendFailure, Transport};
use accord::outbox::listing::{self, Which};
use accord::outbox::{self, NewLetter, sending};
use accord::people::notices::{self, Notice};
use accord::people::one_time_tokens;
use accord::privacy::data_kinds::{InBackup, REGISTER};
use accord::secret::Token;
use accord::storage::Storage;
use accord::tickets::links::{self, Link};
use accord::tickets::messages::{NewReply, Words};
use accord::tickets::status::Status;
use accord::tickets::{attachments, messages, ticket};
use accord::worker::recurring;
use chrono::TimeDelta;
use flate2::read::GzDecoder;

use super::*;

const CANARY: &str = "canary-that-was-captured";
const LINK: &str = "https://desk.example/l/sign-in/canary-that-signs-in";
const PAPER: &[u8] = b"%PDF-1.7 the file that comes back";

/// A desk in use, and a place for its backup. None on a server, which has its own tools.
struct Drill {
    process: Process,
    place: tempfile::TempDir,
    key: BackupKey,
    running: Grant,
    kept: Grant,
}

impl Drill {
    async fn begin() -> Option<Drill> {
        let mut process = Process::begin();
        if !process.test.app.database.url().is_sqlite() {
            let nowhere = file_copy::write(process.test.app.database.url(), Path::new("/nowhere"));
            assert!(nowhere.is_err());
            return None;
        }
        process.test.signed_in(process.cast.claire).await;
        let running = process.grant();
        let pass = process.open(&running);
        process.capture(&running, pass, &[CANARY]);
        let (kept, _) = process.consented(Subject::Person(process.cast.zoe), process.cast.zoe, "");
        let pass = process.open(&kept);
        process.capture(&kept, pass, &[CANARY]);
        process.withdraw(&kept, Kept::UntilItsDate);
        process.answer_with_a_file(&running);
        process.mail_a_key();
        let key = BackupKey::of("correct horse battery staple").unwrap();
        Some(Drill { process, place: tempfile::tempdir().unwrap(), key, running, kept })
    }

    fn file(&self) -> PathBuf {
        self.place.path().join("desk.accord")
    }

    fn back_up(&self) -> Result<Made, BackupError> {
        let app = &self.process.test.app;
        let url = app.database.url();
        copying::make(&app.config, url, &self.key, &self.file(), self.process.now(), |copy| {
            Ok(file_copy::write(url, copy)?)
        })
    }

    /// A copy of the desk's database that somebody changed since.
    fn copy(&self, name: &str, changes: &str) -> PathBuf {
        let copy = self.place.path().join(name);
        file_copy::write(self.process.test.app.database.url(), &copy).unwrap();
        let mut db = SqliteConnection::establish(&copy.to_string_lossy()).unwrap();
        db.batch_execute(&format!("PRAGMA foreign_keys = OFF; {changes}")).unwrap();
        copy
    }

    /// What comes of restoring a backup that holds this database and one file, as if they had been found sound.
    fn restore_forged(&self, config: &Config, database: &Path, copy: &Path, file: (&str, &[u8])) -> Result<(), String> {
        let backup = self.place.path().join("forged.accord");
        let mut writing = Writing::begin(File::create(&backup).unwrap(), &self.key, 0).unwrap();
        writing.add_database(copy).unwrap();
        writing.add_file(file.0, file.1).unwrap();
        writing.finish("1", "today").unwrap();
        let restored = restoring::restore(config, database, &self.key, &backup, self.process.now());
        restored.map(drop).map_err(|error| error.to_string())
    }

    fn new_folder(&self, name: &str) -> (Config, PathBuf) {
        let overrides = Overrides { data: Some(self.place.path().join(name)), ..Overrides::default() };
        let config = config::parse("", BTreeMap::new(), &overrides).unwrap();
        std::fs::create_dir(&config.data).unwrap();
        let database = config.data.join("accord.sqlite");
        (config, database)
    }
}

impl Process {
    fn answer_with_a_file(&self, grant: &Grant) {
        let paper = attachments::store(&self.test.app.storage, "facture.pdf", PAPER, None).unwrap();
        let (id, by, now) = (grant.ticket_id, self.test.actor(self.cast.lea), self.test.now());
        self.test.write(move |db| {
            let ticket = ticket::by_id(db, id)?;
            let reply = NewReply {
                words: Words::on_page("Voici la facture."),
                attachments: vec![paper.clone()],
                seen: ticket.message_count,
                status: Status::WaitingForCustomer,
                mail_id: None,
                ingest: None,
            };
            messages::add_reply(db, &ticket, reply, &by, now)
        });
    }

    fn mail_a_key(&self) {
        let (now, claire) = (self.test.now(), self.cast.claire);
        let address = EmailAddress::parse("claire@arnaud.example").unwrap();
        self.test.write(move |db| {
            one_time_tokens::issue(db, one_time_tokens::Purpose::SignIn, Some(claire), &LINK, now)?;
            let letter = NewLetter {
                kind: outbox::Kind::SignIn,
                organisation: None,
                ticket: None,
                message: None,
                person: Some(claire),
                mailbox: None,
                recipient: "claire@arnaud.example".to_owned(),
                envelope_from: String::new(),
                mail_id: format!("<{}@desk.example>", Token::random("").expose()),
                subject: "Connexion".to_owned(),
                mime: LINK.as_bytes().to_vec(),
                expires_at: now,
            };
            outbox::enqueue(db, &letter, now)?;
            let detail = serde_json::json!({ "ip_address": "canary-of-an-address" });
            audit::record(db, &Entry { kind: "sign_in", actor: Some(claire), detail, ..Entry::default() }, now)?;
            notices::send(db, &Notice::ConfirmAddress { person: claire, address: address.clone() }, now)
        });
    }

    /// Léa asks once more what was asked for `grant`, in another ticket; nobody answers.
    fn ask_as_in(&self, grant: &Grant) -> ConsentRequestId {
        let claire = self.test.read(|db| person::by_id(db, self.cast.claire));
        let ticket = self.test.given().ticket(&claire, "Encore", "Rien ne s'affiche.");
        let (by, now, id) = (self.test.actor(self.cast.lea), self.test.now(), grant.request_id);
        self.test.write(move |db| {
            let terms = asking::by_id(db, id)?.terms;
            Ok(asking::ask(db, &ticket, &terms, &by, now)?.id)
        })
    }

    fn secrets(&self) -> Vec<Vec<u8>> {
        use accord::db::schema::{sessions, trace_chunks, trace_keys};
        self.test.read(|db| {
            let mut secrets: Vec<Vec<u8>> = trace_chunks::table.select(trace_chunks::sealed).load(db)?;
            secrets.extend(trace_keys::table.select(trace_keys::wrapped_key).load::<Vec<u8>>(db)?);
            secrets.extend(sessions::table.select(sessions::token_hash).load::<Vec<u8>>(db)?);
            Ok(secrets)
        })
    }
}

/// A new database as the program before the last migration made it.
fn make_older_database(path: &Path) {
    let mut db = open(&DatabaseUrl::Sqlite(path.to_owned()), Role::Migrator).unwrap();
    let folder = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/sqlite")).unwrap();
    let mut migrations: Vec<PathBuf> = folder.map(|entry| entry.unwrap().path()).collect();
    migrations.sort();
    migrations.pop();
    db.batch_execute(
        "CREATE TABLE __diesel_schema_migrations (version VARCHAR(50) PRIMARY KEY NOT NULL,
         run_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP)",
    )
    .unwrap();
    for migration in migrations {
        db.batch_execute(&std::fs::read_to_string(migration.join("up.sql")).unwrap()).unwrap();
        let name = migration.file_name().unwrap().to_string_lossy().into_owned();
        let version = name.split('_').next().unwrap().replace('-', "");
        db.batch_execute(&format!("INSERT INTO __diesel_schema_migrations (version) VALUES ('{version}')")).unwrap();
    }
}

fn count_in(db: &mut DbConnection, table: &str) -> i64 {
    let query = diesel::sql_query(format!("SELECT count(*) AS count FROM {table}"));
    let DbConnection::Sqlite(db) = db else { panic!("a backup is of an embedded database") };
    query.get_result::<Count>(db).unwrap().count
}

fn holds(bytes: &[u8], what: &[u8]) -> bool {
    bytes.windows(what.len()).any(|window| window == what)
}

#[actix_web::test]
async fn db_09_a_desk_comes_back_from_its_backup_and_what_was_captured_does_not() {
    let Some(drill) = Drill::begin().await else { return };
    let process = &drill.process;
    let made = drill.back_up().unwrap();
    assert_eq!((made.manifest.files, made.damaged.len()), (1, 0));
    assert!(!copying::workplace(&process.test.app.config).exists(), "no copy is left in the data folder");

    let sealed = std::fs::read(drill.file()).unwrap();
    assert!(!holds(&sealed, b"SQLite format 3") && !holds(&sealed, PAPER));
    let mut opened = Vec::new();
    let opener = Opener::new(BufReader::new(File::open(drill.file()).unwrap()), &drill.key).unwrap();
    GzDecoder::new(opener).read_to_end(&mut opened).unwrap();
    assert!(holds(&opened, b"SQLite format 3") && holds(&opened, PAPER));
    let secrets = process.secrets();
    assert_eq!(secrets.len(), 5, "two chunks, two keys, a session");
    let others: [&[u8]; 3] = [CANARY.as_bytes(), b"canary-that-signs-in", b"canary-of-an-address"];
    for secret in secrets.iter().map(Vec::as_slice).chain(others) {
        assert!(!holds(&opened, secret), "{}", String::from_utf8_lossy(secret));
    }

    let (config, database) = drill.new_folder("restored");
    restoring::require_empty(&config, &database).unwrap();
    let manifest = restoring::restore(&config, &database, &drill.key, &drill.file(), process.now()).unwrap();
    assert_eq!(manifest, made.manifest);
    let url = DatabaseUrl::Sqlite(database.clone());
    let mut db = open(&url, Role::Writer).unwrap();
    verify_invariants(&mut db).unwrap();
    assert_eq!(audit::list(&mut db, None, 1).unwrap()[0].0.kind, "restored");
    let mut names: Vec<_> = std::fs::read_dir(&config.data).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.retain(|name| name != "accord.sqlite-wal" && name != "accord.sqlite-shm");
    names.sort();
    assert_eq!(names, ["accord.sqlite", "files"]);
    for (table, _, in_backup) in REGISTER {
        let (before, after) = (process.count(table), count_in(&mut db, table));
        match in_backup {
            InBackup::Nothing => assert_eq!(after, 0, "{table}"),
            InBackup::Without(rows) => assert_eq!(count_in(&mut db, &format!("{table} WHERE {rows}")), 0, "{table}"),
            // The end of what ran, and that it was restored, are written down.
            InBackup::Whole => assert!(after >= before, "{table}: {after} of {before}"),
        }
    }
    let before = process.test.read(|db| ticket::by_id(db, drill.running.ticket_id));
    let after = ticket::by_id(&mut db, before.id).unwrap();
    assert_eq!((after.reference, after.subject), (before.reference, before.subject));
    let storage = Storage::open(&config.data.join("files")).unwrap();
    let hashes = attachments::content_hashes(&mut db).unwrap();
    assert_eq!(storage.get(&hashes[0]).unwrap(), PAPER);

    let ended = grants::by_id(&mut db, drill.running.id).unwrap();
    assert_eq!((ended.state, ended.end_reason), (GrantState::Ended, Some(EndReason::StoppedByOperator)));
    assert!(grants::all_active(&mut db).unwrap().is_empty());
    for id in [drill.running.id, drill.kept.id] {
        let grant = grants::by_id(&mut db, id).unwrap();
        assert_eq!(grant.kept_until, Some(process.now()), "there is nothing to keep");
        let destroyed = trace_store::destroy(&mut db, &process.test.app.keys, &grant, process.now()).unwrap();
        assert!(matches!(destroyed, Destroying::Done(_)));
    }
    verify_invariants(&mut db).unwrap();

    // What may have been taken back since is listed.
    let said = rights::in_force(&mut db).unwrap().to_string();
    let line = |address: &str| said.lines().find(|line| line.contains(address)).unwrap_or_else(|| panic!("{said}"));
    assert!(line("lea@").contains("agent; ") && line("lea@").contains("Support"), "{said}");
    assert!(line("marc@").ends_with("agent; no queue"), "{said}");
    assert!(line("claire@").contains("Vignobles Arnaud"), "{said}");
}

#[actix_web::test]
async fn db_09_nothing_is_left_of_a_restore_that_failed() {
    let Some(drill) = Drill::begin().await else { return };
    drill.back_up().unwrap();
    let (config, database) = drill.new_folder("failed");
    let restore = |key: &BackupKey, backup: &Path| {
        restoring::restore(&config, &database, key, backup, drill.process.now()).unwrap_err().to_string()
    };
    let wrong = BackupKey::of("another horse battery staple").unwrap();
    assert!(restore(&wrong, &drill.file()).contains("another key"));
    let whole = std::fs::read(drill.file()).unwrap();
    let cut = drill.place.path().join("cut.accord");
    std::fs::write(&cut, &whole[..whole.len() - 100]).unwrap();
    let said = restore(&drill.key, &cut);
    assert!(said.contains("not sound"), "{said}");
    assert_eq!(std::fs::read_dir(&config.data).unwrap().count(), 0);

    restoring::require_empty(&config, &database).unwrap();
    std::fs::write(config.data.join("something"), "of somebody's").unwrap();
    let said = restoring::require_empty(&config, &database).unwrap_err().to_string();
    assert!(said.contains("is not empty"), "{said}");
    // A database may have its place elsewhere.
    let (config, _) = drill.new_folder("empty");
    let elsewhere = drill.place.path().join("elsewhere.sqlite");
    restoring::require_empty(&config, &elsewhere).unwrap();
    std::fs::write(&elsewhere, "somebody's").unwrap();
    assert!(matches!(restoring::require_empty(&config, &elsewhere), Err(BackupError::Exists(_))));
}

#[actix_web::test]
async fn db_09_what_a_backup_holds_is_looked_at_again_before_anybody_is_served_from_it() {
    let Some(drill) = Drill::begin().await else { return };
    let (config, database) = drill.new_folder("restored");
    let hash = drill.process.test.read(attachments::content_hashes).remove(0);
    let restore = |copy: &Path, file| drill.restore_forged(&config, &database, copy, file);
    let paper = (hash.as_str(), PAPER);
    let whole = drill.copy("whole.sqlite", "");
    let ledger = "DROP TRIGGER IF EXISTS audit_ledger_unchanged; UPDATE audit_ledger SET kind = 'x' WHERE sequence = 1";
    for (what, copy, file, says) in [
        ("another file", whole.clone(), (hash.as_str(), b"x".as_slice()), "is not what it was"),
        ("a reference", drill.copy("reference.sqlite", "UPDATE tickets SET queue_id = 999"), paper, "lead nowhere"),
        ("the ledger", drill.copy("ledger.sqlite", ledger), paper, "the ledger is broken at row 1"),
    ] {
        let said = restore(&copy, file).unwrap_err();
        assert!(said.contains(says), "{what}: {said}");
        assert_eq!(std::fs::read_dir(&config.data).unwrap().count(), 0, "{what}");
    }
    restore(&whole, paper).unwrap();
}

#[actix_web::test]
async fn db_09_a_backup_of_the_program_before_is_brought_up_to_date_and_none_is_made_of_its_desk() {
    let Some(drill) = Drill::begin().await else { return };
    let older = drill.place.path().join("older.sqlite");
    make_older_database(&older);
    let (config, database) = drill.new_folder("restored");
    let hash = drill.process.test.read(attachments::content_hashes).remove(0);
    drill.restore_forged(&config, &database, &older, (&hash, PAPER)).unwrap();
    let mut db = open(&DatabaseUrl::Sqlite(database), Role::Writer).unwrap();
    assert_eq!(migrations::pending(&mut db).unwrap(), Vec::<String>::new());

    let app = &drill.process.test.app;
    let made = copying::make(&app.config, app.database.url(), &drill.key, &drill.file(), drill.process.now(), |copy| {
        make_older_database(copy);
        Ok::<(), BackupError>(())
    });
    assert!(matches!(made, Err(BackupError::Older)));
    assert!(!drill.file().exists());
}

#[actix_web::test]
async fn db_09_a_backup_waits_for_no_other_and_leaves_room_for_mail() {
    let Some(drill) = Drill::begin().await else { return };
    let config = &drill.process.test.app.config;
    let other = File::options().create(true).truncate(false).write(true).open(config.data.join("backup.lock")).unwrap();
    other.lock().unwrap();
    let said = drill.back_up().unwrap_err().to_string();
    assert!(said.contains("another backup is being made"), "{said}");
    drop(other);

    // As large as all the room there is, though it takes none.
    let large = drill.place.path().join("large.sqlite");
    File::create(&large).unwrap().set_len(disk::free_bytes(&config.data).unwrap()).unwrap();
    let url = DatabaseUrl::Sqlite(large);
    let made = copying::make(config, &url, &drill.key, &drill.file(), drill.process.now(), |_| {
        Err(BackupError::Unsound("it is not even begun".to_owned()))
    });
    assert!(matches!(made, Err(BackupError::NoRoom { .. })));
    drill.back_up().unwrap();
}

#[actix_web::test]
async fn db_09_a_copy_that_does_not_hold_together_is_no_backup_and_one_backup_is_not_written_over() {
    let Some(drill) = Drill::begin().await else { return };
    std::fs::write(drill.file(), "yesterday's").unwrap();
    assert!(matches!(drill.back_up(), Err(BackupError::Exists(_))));
    assert_eq!(std::fs::read(drill.file()).unwrap(), b"yesterday's");
    std::fs::remove_file(drill.file()).unwrap();

    // Somebody changed the ledger behind the program's back: references are whole, its chain is not.
    drill
        .process
        .sql("DROP TRIGGER IF EXISTS audit_ledger_unchanged; UPDATE audit_ledger SET kind = 'x' WHERE sequence = 1");
    let said = drill.back_up().unwrap_err().to_string();
    assert!(said.contains("the ledger is broken at row 1"), "{said}");
    assert_eq!(std::fs::read_dir(drill.place.path()).unwrap().count(), 0, "not even a part of it");
}

#[actix_web::test]
async fn db_09_a_copy_with_a_broken_reference_is_no_backup_and_of_one_that_fails_no_part_is_left() {
    let Some(drill) = Drill::begin().await else { return };
    let app = &drill.process.test.app;
    let broken = drill.copy("broken.sqlite", "UPDATE tickets SET queue_id = 999");
    let made = copying::make(&app.config, app.database.url(), &drill.key, &drill.file(), drill.process.now(), |copy| {
        std::fs::copy(&broken, copy).map(drop).map_err(|error| BackupError::File(copy.to_owned(), error))
    });
    let said = made.unwrap_err().to_string();
    assert!(said.contains("lead nowhere"), "{said}");
    std::fs::remove_file(broken).unwrap();

    // The stored files cannot be listed, which is known only once the database was written.
    let files = app.config.data.join("files");
    std::fs::rename(&files, app.config.data.join("elsewhere")).unwrap();
    std::fs::write(&files, "no folder").unwrap();
    let failed = drill.back_up().unwrap_err();
    assert!(matches!(failed, BackupError::File(..)), "{failed}");
    assert_eq!(std::fs::read_dir(drill.place.path()).unwrap().count(), 0);
}

#[actix_web::test]
async fn db_09_a_damaged_file_is_told_of_and_keeps_nothing_else_out() {
    let Some(drill) = Drill::begin().await else { return };
    let hash = drill.process.test.read(attachments::content_hashes).remove(0);
    let path = drill.process.test.app.config.data.join("files").join(&hash[..2]).join(&hash);
    std::fs::write(&path, "rotten").unwrap();
    let made = drill.back_up().unwrap();
    assert_eq!((made.manifest.files, made.damaged.len()), (0, 1), "{:?}", made.damaged);
    let (config, database) = drill.new_folder("restored");
    restoring::restore(&config, &database, &drill.key, &drill.file(), drill.process.now()).unwrap();

    // So are an attachment and the original of a mail that are not there at all.
    std::fs::remove_file(path).unwrap();
    drill.process.sql(
        "INSERT INTO journal (handle, mailbox_id, recipient, envelope_from, way, raw_sha256, size, state, attempts,
         strikes, next_at, original_hash, record, received_at) SELECT 'a-mail', id, address, '', 'pipe', x'00', 1,
         'applied', 1, 0, created_at, 'the-original', '', created_at FROM mailboxes LIMIT 1",
    );
    std::fs::remove_file(drill.file()).unwrap();
    let damaged = drill.back_up().unwrap().damaged;
    let mut missing = [hash.as_str(), "the-original"].map(|hash| format!("the stored file {hash} is missing"));
    missing.sort();
    assert_eq!(damaged, missing);
}

#[actix_web::test]
async fn db_09_what_was_over_before_the_restore_ended_by_itself_and_open_questions_are_taken_back() {
    let Some(drill) = Drill::begin().await else { return };
    let process = &drill.process;
    let asked = process.ask_as_in(&drill.running);
    drill.back_up().unwrap();
    let (config, database) = drill.new_folder("late");
    let later = process.now().plus(TimeDelta::days(2));
    restoring::restore(&config, &database, &drill.key, &drill.file(), later).unwrap();
    let mut db = open(&DatabaseUrl::Sqlite(database), Role::Reader).unwrap();
    let over = grants::by_id(&mut db, drill.running.id).unwrap();
    assert_eq!((over.end_reason, over.ended_at), (Some(EndReason::Expired), Some(over.expires_at)));
    assert_eq!(asking::by_id(&mut db, asked).unwrap().state, RequestState::Cancelled);
    verify_invariants(&mut db).unwrap();
}

#[actix_web::test]
async fn db_09_a_link_where_the_unfinished_backup_goes_is_removed_and_not_written_through() {
    let Some(drill) = Drill::begin().await else { return };
    let unfinished = drill.place.path().join("desk.accord.part");
    for (name, content) in [("somebody-s", Some("somebody's")), ("not-there", None)] {
        let target = drill.place.path().join(name);
        if let Some(content) = content {
            std::fs::write(&target, content).unwrap();
        }
        std::os::unix::fs::symlink(&target, &unfinished).unwrap();
        drill.back_up().unwrap();
        assert_eq!(std::fs::read_to_string(&target).ok().as_deref(), content, "{name}");
        assert!(std::fs::symlink_metadata(drill.file()).unwrap().is_file(), "{name}");
        assert!(std::fs::symlink_metadata(&unfinished).is_err(), "{name}");
        std::fs::remove_file(drill.file()).unwrap();
    }
}

#[actix_web::test]
async fn db_09_what_an_interrupted_backup_left_is_removed() {
    let Some(drill) = Drill::begin().await else { return };
    let config = &drill.process.test.app.config;
    std::fs::create_dir(copying::workplace(config)).unwrap();
    std::fs::write(copying::first_copy(config), CANARY).unwrap();
    assert_eq!(copying::remove_unfinished(config).unwrap(), Left::Removed);
    assert!(!copying::workplace(config).exists());
    assert_eq!(copying::remove_unfinished(config).unwrap(), Left::Nothing);
}

/// The process that was served all the while does it, and waits neither for its next start nor for the next backup.
#[actix_web::test]
async fn db_09_recurring_work_removes_what_an_interrupted_backup_left_but_nothing_of_one_being_made() {
    let Some(drill) = Drill::begin().await else { return };
    let process = &drill.process;
    let config = &process.test.app.config;
    let quarter = || {
        process.test.clock.advance(TimeDelta::minutes(15));
        recurring::run_due(&process.test.app, process.now()).unwrap();
    };
    let first = copying::first_copy(config);
    let made =
        copying::make(config, process.test.app.database.url(), &drill.key, &drill.file(), process.now(), |copy| {
            std::fs::write(copy, CANARY).unwrap();
            assert_eq!(copy, first);
            quarter();
            assert!(first.exists(), "it belongs to the backup that is being made");
            // What that is not is no database, and the backup fails; nothing of it is left.
            Ok::<(), BackupError>(())
        });
    assert!(made.is_err() && !copying::workplace(config).exists());
    // Of one that was killed, nothing ran that removes anything.
    std::fs::create_dir(copying::workplace(config)).unwrap();
    std::fs::write(&first, CANARY).unwrap();
    quarter();
    assert!(!copying::workplace(config).exists());
}

#[actix_web::test]
async fn db_09_a_backup_that_has_no_room_beside_the_stored_files_is_not_begun() {
    let Some(drill) = Drill::begin().await else { return };
    let name = "a".repeat(64);
    let folder = drill.process.test.app.config.data.join("files").join("aa");
    std::fs::create_dir_all(&folder).unwrap();
    // Eight tebibytes that take no room themselves.
    File::create(folder.join(name)).unwrap().set_len(8 << 40).unwrap();
    let refused = drill.back_up().unwrap_err();
    assert!(matches!(&refused, BackupError::NoRoom { needed, .. } if *needed >= 8 << 20), "{refused}");
    assert_eq!(std::fs::read_dir(drill.place.path()).unwrap().count(), 0);
}

#[actix_web::test]
async fn db_09_what_cannot_be_written_while_unpacking_is_named_and_not_the_backup() {
    let Some(drill) = Drill::begin().await else { return };
    drill.back_up().unwrap();
    let (config, _) = drill.new_folder("unpacked");
    let restore = |database: &Path| {
        restoring::restore(&config, database, &drill.key, &drill.file(), drill.process.now()).unwrap_err()
    };
    let nowhere = config.data.join("nowhere").join("accord.sqlite");
    let said = restore(&nowhere);
    assert!(matches!(&said, BackupError::File(path, _) if path.starts_with(config.data.join("nowhere"))), "{said}");

    // Where the folder of a stored file should be is a file.
    let hash = drill.process.test.read(attachments::content_hashes).remove(0);
    let files = config.data.join("files");
    std::fs::create_dir_all(&files).unwrap();
    std::fs::write(files.join(&hash[..2]), "in the way").unwrap();
    let said = restore(&config.data.join("accord.sqlite"));
    assert!(matches!(&said, BackupError::File(path, _) if *path == files), "{said}");
    assert!(said.to_string().contains(&hash), "{said}");
}

#[actix_web::test]
async fn db_09_a_mail_that_waited_to_be_sent_leads_to_its_ticket_after_a_restore() {
    let Some(drill) = Drill::begin().await else { return };
    let test = &drill.process.test;
    let Transport::Memory(relay) = &test.app.transport else { panic!("tests send into memory") };
    relay.fail_always(Some(SendFailure { kind: FailureKind::Transient, code: Some(451), text: "later".to_owned() }));
    test.run_jobs();
    drill.back_up().unwrap();
    let (config, database) = drill.new_folder("restored");
    let later = test.now().plus(TimeDelta::days(2));
    restoring::restore(&config, &database, &drill.key, &drill.file(), later).unwrap();
    let mut db = open(&DatabaseUrl::Sqlite(database), Role::Writer).unwrap();
    let waiting = listing::list(&mut db, Which::Open, None, 100).unwrap().rows;
    let answer = waiting.iter().find(|mail| mail.kind == outbox::Kind::Reply).expect("the answer still waits");
    let bytes = sending::load(&mut db, answer.id).unwrap().mime.unwrap();
    let text = incoming::parse(&bytes).text;
    let token = text.split("/l/ticket/").nth(1).and_then(|rest| rest.split_whitespace().next()).expect("a link");
    let ticket = drill.running.ticket_id;
    let found = links::find(&mut db, token, later).unwrap();
    assert!(matches!(&found, Some(Link::Expired { ticket: of, .. }) if *of == ticket), "{found:?}");
    let unknown = links::find(&mut db, &format!("{token}x"), later).unwrap();
    assert!(unknown.is_none());
}
