//! Somebody with the database in their hands: what they change, take out or exchange is noticed.

use super::*;

fn captured() -> (Process, Grant, Grant) {
    let mut process = Process::begin();
    let (one, other) = (process.grant(), process.grant_of(process.cast.zoe, ""));
    let passes = [process.open(&one), process.open(&other)];
    for text in ["first", "second", "third"] {
        process.capture(&one, passes[0], &[text]);
        process.capture(&other, passes[1], &[text]);
    }
    assert_eq!(process.texts(&one), ["first", "second", "third"]);
    (process, one, other)
}

#[test]
fn a_chunk_cannot_be_taken_out_changed_exchanged_or_moved() {
    let one = "(SELECT min(id) FROM consent_grants)";
    let other = "(SELECT max(id) FROM consent_grants)";
    // Whether it shows without the key, too.
    let (seen_by_all, seen_with_key) = (true, false);
    let tampering = [
        (seen_by_all, format!("DELETE FROM trace_chunks WHERE grant_id = {one} AND number = 1")),
        (seen_by_all, format!("DELETE FROM trace_chunks WHERE grant_id = {one} AND number = 2")),
        (seen_by_all, format!("DELETE FROM trace_chunks WHERE grant_id = {one} AND number = 3")),
        (seen_by_all, format!("DELETE FROM trace_chunks WHERE grant_id = {one}")),
        (seen_by_all, format!("DELETE FROM trace_counters WHERE grant_id = {one}")),
        (seen_by_all, format!("UPDATE trace_chunks SET records = 2 WHERE grant_id = {one} AND number = 2")),
        (seen_with_key, format!("UPDATE trace_chunks SET channel = 'otlp' WHERE grant_id = {one} AND number = 2")),
        (
            seen_with_key,
            format!(
                "UPDATE trace_chunks SET last_at = created_at, first_at = '2026-01-01 00:00:00' WHERE grant_id = {one} AND number = 2"
            ),
        ),
        (seen_with_key, format!("UPDATE trace_chunks SET tag = previous_tag WHERE grant_id = {one} AND number = 3")),
        // The second and the third change places.
        (
            seen_by_all,
            format!(
                "UPDATE trace_chunks SET number = 9 WHERE grant_id = {one} AND number = 2;
             UPDATE trace_chunks SET number = 2 WHERE grant_id = {one} AND number = 3;
             UPDATE trace_chunks SET number = 3 WHERE grant_id = {one} AND number = 9"
            ),
        ),
        // A chunk of another grant takes the place of one's own, with all that belongs to it.
        (
            seen_by_all,
            format!(
                "UPDATE trace_chunks SET
                 sealed = (SELECT sealed FROM trace_chunks WHERE grant_id = {other} AND number = 1),
                 tag = (SELECT tag FROM trace_chunks WHERE grant_id = {other} AND number = 1)
             WHERE grant_id = {one} AND number = 1"
            ),
        ),
        // And with its key.
        (
            seen_with_key,
            format!(
                "UPDATE trace_keys SET wrapped_key = (SELECT wrapped_key FROM trace_keys WHERE grant_id = {other})
             WHERE grant_id = {one}"
            ),
        ),
    ];
    for (shows, sql) in tampering {
        let (process, one, other) = captured();
        assert_eq!(process.test.read(trace_store::verify_all), 2);
        process.sql(&sql);
        let checked = process.test.app.database.read_now(trace_store::verify_all);
        assert_eq!(checked.is_err(), shows, "{sql}");
        assert!(process.read(&one).is_err(), "{sql}");
        assert_eq!(process.texts(&other).len(), 3, "{sql}");
    }
}
