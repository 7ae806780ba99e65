use std::sync::Mutex;

use super::*;
use crate::carry;
use crate::db::Database;
use crate::db::database::Writer;
use crate::db::database::tests::{count, count_in, fresh, fresh_with};

/// Keeps the writer at one change, so that others wait together.
struct Hold {
    go: SyncSender<()>,
    held: Receiver<Result<()>>,
}

impl Hold {
    fn on(writer: &SqliteWriter) -> Hold {
        let (go, may_go) = sync_channel::<()>(0);
        let may_go = Mutex::new(may_go);
        let (told, begun) = sync_channel::<()>(1);
        let (answer, held) = sync_channel(1);
        let wait = move |_: &mut DbConnection| -> Result<()> {
            told.send(()).unwrap();
            may_go.lock().unwrap().recv().unwrap();
            Ok(())
        };
        writer.submit(Box::new(wait), Answer::Thread(answer)).unwrap();
        begun.recv().unwrap();
        Hold { go, held }
    }

    fn release(self) {
        self.go.send(()).unwrap();
        self.held.recv().unwrap().unwrap();
    }
}

fn writer(database: &Database) -> &SqliteWriter {
    let Writer::Sqlite(writer) = &database.writer else { panic!("these tests are about SQLite") };
    writer
}

/// Puts a change in the queue as a thread in the background does, without waiting for it.
fn submit(
    writer: &SqliteWriter,
    change: impl Fn(&mut DbConnection) -> Result<()> + Send + 'static,
) -> Receiver<Result<()>> {
    let (answer, receiver) = sync_channel(1);
    writer.submit(Box::new(change), Answer::Thread(answer)).unwrap();
    receiver
}

fn insert(number: i64) -> impl Fn(&mut DbConnection) -> Result<()> + Send + 'static {
    move |db| Ok(db.batch_execute(&format!("INSERT INTO t VALUES ({number})"))?)
}

/// More than fits into what is free in a page.
fn insert_large(db: &mut DbConnection) -> Result<()> {
    Ok(db.batch_execute("INSERT INTO large VALUES (zeroblob(100000)), (zeroblob(100000))")?)
}

/// A row more each time, so that doing it twice shows.
fn insert_next(db: &mut DbConnection) -> Result<()> {
    Ok(db.batch_execute("INSERT INTO t SELECT coalesce(max(id), 0) + 1 FROM t")?)
}

#[test]
fn writes_from_many_threads_are_all_kept_and_failures_fail_alone() {
    let (_folder, database) = fresh();
    std::thread::scope(|scope| {
        for thread in 0..8_i64 {
            let database = database.clone();
            scope.spawn(move || {
                for number in 0..50_i64 {
                    let id = thread * 50 + number;
                    let outcome = database.write_now(move |db| {
                        db.batch_execute(&format!("INSERT INTO t VALUES ({id})"))?;
                        if id % 10 == 0 { Err(Error::NotFound) } else { Ok(()) }
                    });
                    assert_eq!(outcome.is_err(), id % 10 == 0);
                }
            });
        }
    });
    assert_eq!(count(&database), 360);
}

#[test]
fn a_panicking_change_fails_and_the_next_one_works() {
    let (_folder, database) = fresh();
    assert!(database.write_now(|_| -> Result<()> { panic!("a fault of ours") }).is_err());
    database.write_now(|db| Ok(db.batch_execute("INSERT INTO t VALUES (1)")?)).unwrap();
    assert_eq!(count(&database), 1);
}

#[test]
fn a_panicking_change_fails_none_of_those_it_shares_a_commit_with() {
    let (_folder, database) = fresh();
    let hold = Hold::on(writer(&database));
    let first = submit(writer(&database), insert(1));
    let panics = submit(writer(&database), Box::new(|_: &mut DbConnection| panic!("a fault of ours")));
    let last = submit(writer(&database), insert(2));
    hold.release();
    assert!(first.recv().unwrap().is_ok());
    assert!(panics.recv().unwrap().is_err());
    assert!(last.recv().unwrap().is_ok());
    assert_eq!(count(&database), 2);
}

#[test]
fn however_many_changes_of_a_commit_panic_the_others_of_it_are_made() {
    let (_folder, database) = fresh();
    let hold = Hold::on(writer(&database));
    let panics = || submit(writer(&database), Box::new(|_: &mut DbConnection| panic!("a fault of ours")));
    let mut outcomes = Vec::new();
    for number in 0..3 {
        outcomes.push((submit(writer(&database), insert(number)), true));
        outcomes.push((panics(), false));
        outcomes.push((panics(), false));
    }
    outcomes.push((submit(writer(&database), insert(3)), true));
    hold.release();
    for (outcome, is_well) in outcomes {
        assert_eq!(outcome.recv().unwrap().is_ok(), is_well);
    }
    assert_eq!(count(&database), 4);
}

#[test]
fn db_03_the_queue_of_the_writer_is_bounded_and_says_busy() {
    let (_folder, database) = fresh();
    let hold = Hold::on(writer(&database));
    let answers: Vec<_> = (0..WRITE_QUEUE).map(|number| submit(writer(&database), insert(number as i64))).collect();
    assert!(matches!(database.write_now(|_| Ok(())), Err(Error::Busy)));
    hold.release();
    answers.into_iter().for_each(|answer| answer.recv().unwrap().unwrap());
    assert_eq!(count(&database), WRITE_QUEUE as i64);
}

#[test]
fn db_03_whoever_waits_goes_before_the_work_in_the_background_which_goes_on_meanwhile() {
    let (_folder, database) = fresh();
    let hold = Hold::on(writer(&database));
    let order = Arc::new(Mutex::new(Vec::new()));
    let note = |name: &'static str| {
        let order = order.clone();
        move |_: &mut DbConnection| {
            order.lock().unwrap().push(name);
            Ok(())
        }
    };
    let works: Vec<_> = (0..3).map(|_| submit(writer(&database), note("work"))).collect();
    let waits: Vec<_> = (0..2).map(|_| writer(&database).write(Box::new(note("wait"))).unwrap()).collect();
    hold.release();
    works.into_iter().for_each(|answer| answer.recv().unwrap().unwrap());
    waits.into_iter().for_each(|answer| answer.blocking_recv().unwrap().unwrap());
    assert_eq!(*order.lock().unwrap(), ["wait", "wait", "work", "work", "work"]);
}

#[test]
fn while_people_wait_one_after_another_the_background_has_its_share_of_the_time_and_no_more() {
    let (queue, receiver) = sync_channel(1_000);
    let put = |answer| {
        let task = WriteTask { change: Box::new(|_| Ok(())), answer, outcome: None, here: Here::now() };
        assert!(queue.try_send(task).is_ok());
    };
    let mut waiting = Waiting::default();
    (0..50).for_each(|_| put(Answer::Thread(sync_channel(1).0)));
    let mut commits_of_the_background = 0;
    for _ in 0..100 {
        put(Answer::Task(oneshot::channel().0));
        let group = waiting.next_group(&receiver, IDLE).unwrap();
        let is_for_somebody = group.iter().any(WriteTask::is_for_somebody);
        assert!(is_for_somebody || group.len() == 1, "one at a time");
        commits_of_the_background += u32::from(!is_for_somebody);
        waiting.note(is_for_somebody, Duration::from_millis(1));
    }
    assert_eq!(commits_of_the_background, 100 / BACKGROUND_SHARE);
}

#[test]
fn db_04_a_change_has_the_write_lock_from_its_beginning() {
    let (_folder, database) = fresh();
    let url = database.url().clone();
    let refused = database.write_now(move |_| {
        let mut other = open(&url, Role::Writer).unwrap();
        other.batch_execute("PRAGMA busy_timeout = 0")?;
        Ok(dialect::begin_writing(&mut other).is_err())
    });
    assert!(refused.unwrap(), "somebody else could begin to write");
    // A read that turns into a write meets no lock of its own making: it waits its turn from the start.
    let mut other = open(database.url(), Role::Writer).unwrap();
    dialect::begin_writing(&mut other).unwrap();
    other.batch_execute("INSERT INTO t VALUES (1)").unwrap();
    let (waiting, waits) = sync_channel::<()>(1);
    let writing = database.clone();
    let writer = carry::thread("another".to_owned(), move || {
        waiting.send(()).unwrap();
        writing.write_now(|db| {
            let seen = count_in(db)?;
            db.batch_execute("INSERT INTO t VALUES (2)")?;
            Ok(seen)
        })
    });
    let writer = writer.unwrap();
    waits.recv().unwrap();
    dialect::commit(&mut other).unwrap();
    assert_eq!(writer.join().unwrap().unwrap(), 1);
}

#[test]
fn ft_09_while_somebody_else_has_the_lock_changes_are_busy_and_afterwards_all_is_well() {
    let (_folder, database) = fresh();
    database.write_now(|db| Ok(db.batch_execute("PRAGMA busy_timeout = 20")?)).unwrap();
    let mut other = open(database.url(), Role::Writer).unwrap();
    dialect::begin_writing(&mut other).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..20 {
            let database = &database;
            scope.spawn(move || assert!(matches!(database.write_now(insert_next), Err(Error::Busy))));
        }
    });
    assert_eq!(count(&database), 0, "reads go on");
    dialect::roll_back(&mut other).unwrap();
    database.write_now(insert_next).unwrap();
    assert_eq!(count(&database), 1);
}

#[test]
fn db_06_the_log_is_given_back_once_nobody_writes() {
    let (_folder, database) = fresh_with(Duration::from_millis(30));
    for number in 0..20 {
        database.write_now(insert(number)).unwrap();
    }
    let mut seen = 0;
    for _ in 0..100 {
        if database.log_bytes() == Some(0) {
            break;
        }
        seen = database.changes().wait(seen, Duration::from_secs(5));
    }
    assert_eq!(database.log_bytes(), Some(0));
    assert_eq!(count(&database), 20);
}

#[test]
fn ft_04_a_change_for_which_there_is_no_room_fails_alone_and_nothing_is_done_twice() {
    let (_folder, database) = fresh();
    database
        .write_now(|db| {
            db.batch_execute("CREATE TABLE large (content BLOB)")?;
            Ok(db.batch_execute("PRAGMA max_page_count = 1")?)
        })
        .unwrap();
    // All of them wait for the same commit, those that need room and those that need none.
    let hold = Hold::on(writer(&database));
    let answers: Vec<_> = (0..40)
        .map(|number| {
            let change = if number % 4 == 1 { insert_large } else { insert_next };
            (number, submit(writer(&database), change))
        })
        .collect();
    hold.release();
    for (number, answer) in answers {
        let outcome = answer.recv().unwrap();
        if number % 4 == 1 {
            assert!(matches!(outcome, Err(Error::StorageFull)), "{number}: {outcome:?}");
        } else {
            outcome.unwrap();
        }
    }
    assert_eq!(count(&database), 30);
    database.write_now(|db| Ok(db.batch_execute("PRAGMA max_page_count = 1000000")?)).unwrap();
    database.write_now(insert_large).unwrap();
}

/// Writes a row, once the ballast is given up; before, there is no room.
fn insert_next_once_there_is_room(database: &Database) -> impl Fn(&mut DbConnection) -> Result<()> + Send + 'static {
    let ballast = writer(database).ballast().clone();
    move |db| if ballast.is_held() { Err(Error::StorageFull) } else { insert_next(db) }
}

#[test]
fn ft_04_a_full_disk_costs_the_ballast_first_and_no_change() {
    let (_folder, database) = fresh();
    let ballast = database.ballast().unwrap().clone();
    assert!(ballast.take().unwrap(), "these tests need a quarter of a gibibyte of room");
    database.write_now(insert_next_once_there_is_room(&database)).unwrap();
    assert!(!ballast.is_held());

    assert!(ballast.take().unwrap());
    let hold = Hold::on(writer(&database));
    let answers: Vec<_> =
        (0..10).map(|_| submit(writer(&database), insert_next_once_there_is_room(&database))).collect();
    hold.release();
    answers.into_iter().for_each(|answer| answer.recv().unwrap().unwrap());
    assert!(!ballast.is_held());
    assert_eq!(count(&database), 11);
}
