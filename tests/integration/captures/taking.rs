//! What was captured, taken away as files: only if the consent allows it, on record before the first byte, whole, and with
//! the grant's name in it.

use accord::consent::granting::Choice;
use accord::consent::withdrawing::Kept;
use accord::diagnostics::reading_record::Action;
use serde_json::Value as Json;

use super::seeing::Seen;
use super::*;

const FORMS: [&str; 4] = ["otlp", "chrome", "folded", "csv"];

#[actix_web::test]
async fn each_file_names_its_grant_and_taking_it_is_on_record() {
    let seen = Seen::begin().await;
    for form in FORMS {
        let file = seen.lea_posts("exports", &[("form", form), ("reason", "pour le développeur")]).await;
        let handle = &seen.grant.handle;
        file.assert_status(200).assert_says(handle).assert_silent_about("jean@client.example");
        let disposition = file.header("content-disposition").unwrap();
        assert!(disposition.starts_with(&format!("attachment; filename=\"accord-grant-{handle}.")), "{disposition}");
        let look = seen.looks().remove(0);
        assert_eq!((look.action, look.records, look.detail.form.as_str()), (Action::Export, 5, form));
        assert_eq!((look.reader, look.reason.as_str()), (seen.process.cast.lea, "pour le développeur"));
        // To the customer it is the same file, but for the time it was made at.
        let own = seen.claire_posts("exports", &[("form", form)]).await;
        assert_eq!(own.assert_status(200).bytes, file.bytes);
    }
    seen.lea_posts("exports", &[("form", "flame")]).await.assert_status(404);
    seen.lea_posts("exports", &[("form", "xlsx")]).await.assert_status(404);
    seen.claire.get(&format!("{}/exports", seen.customer_base)).await.assert_status(405);
}

#[actix_web::test]
async fn what_the_consent_does_not_let_out_stays_in_for_both_sides() {
    let seen = Seen::begin().await;
    let lea = seen.process.test.actor(seen.process.cast.lea);
    let claire = seen.process.test.actor(seen.process.cast.claire);
    let ended = seen.grant.clone();
    seen.process.withdraw(&ended, Kept::UntilItsDate);
    let (app, now, id) = (seen.process.test.app.clone(), seen.process.now(), seen.grant.ticket_id);
    let request = seen.process.test.write(move |db| {
        let ticket = accord::tickets::ticket::by_id(db, id)?;
        let terms = asking::by_id(db, ended.request_id)?.terms;
        let request = asking::ask(db, &ticket, &terms, &lea, now)?;
        let shown = granting::notice_for(db, &request, Locale::Fr)?.sha256;
        let choice = Choice { exports_allowed: false, ..Choice::as_asked(&request.terms) };
        granting::grant(db, &app.keys, &request, Some(&choice), &shown, Locale::Fr, &claire, now)?;
        Ok(request)
    });
    let bases = [
        (&seen.claire, format!("/consents/{}", request.handle)),
        (&seen.lea, seen.agent_base.rsplit_once('/').unwrap().0.to_owned() + "/" + &request.handle),
    ];
    for (browser, base) in bases {
        browser
            .get(&format!("{base}/records"))
            .await
            .assert_status(200)
            .assert_silent_about(&format!("{base}/exports"));
        for form in FORMS {
            browser.post(&format!("{base}/exports"), &[("form", form)]).await.assert_status(403);
        }
    }
    assert_eq!(seen.process.count("reading_records"), 0);
}

#[actix_web::test]
async fn otlp_lines_are_traces_with_events_in_their_spans() {
    let seen = Seen::begin().await;
    let file = seen.lea_posts("exports", &[("form", "otlp")]).await.text();
    let lines: Vec<Json> = file.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2, "a trace and a gap");
    let spans = |line: &Json| -> Vec<Json> {
        let scopes = line["resourceSpans"][0]["scopeSpans"].as_array().unwrap();
        scopes.iter().flat_map(|scope| scope["spans"].as_array().unwrap().clone()).collect()
    };
    let trace = lines.iter().find(|line| spans(line).len() == 2).expect("the trace");
    let spans_of_trace = spans(trace);
    let request = spans_of_trace.iter().find(|span| span["name"] == "request").unwrap();
    let read = spans_of_trace.iter().find(|span| span["name"] == "read").unwrap();
    assert_eq!(read["parentSpanId"], request["spanId"]);
    assert_eq!((read["traceId"].as_str().unwrap().len(), read["spanId"].as_str().unwrap().len()), (32, 16));
    assert_eq!(read["events"][0]["name"], "SELECT 1");
    assert!(request["events"][0]["name"].as_str().unwrap().starts_with("It failed for [email:"), "{request}");
    let lasted = |span: &Json| -> i64 {
        let at = |name: &str| span[name].as_str().unwrap().parse::<i64>().unwrap();
        at("endTimeUnixNano") - at("startTimeUnixNano")
    };
    assert_eq!((lasted(request), lasted(read)), (2_000_000, 500_000));
    let status = request["attributes"].as_array().unwrap().iter().find(|one| one["key"] == "http.status").unwrap();
    assert_eq!(status["value"]["intValue"], "500", "64-bit numbers are texts");
    let gap = lines.iter().flat_map(spans).find(|span| span["name"] == "records missing").unwrap();
    assert_eq!(gap["attributes"][0]["value"]["intValue"], "1204");
}

#[actix_web::test]
async fn chrome_events_come_in_pairs_and_the_file_is_json() {
    let seen = Seen::begin().await;
    let file: Json = serde_json::from_slice(&seen.lea_posts("exports", &[("form", "chrome")]).await.bytes).unwrap();
    assert_eq!(file["otherData"]["accord.grant"], seen.grant.handle);
    let events = file["traceEvents"].as_array().unwrap();
    let of = |phase: &str| events.iter().filter(|event| event["ph"] == phase).collect::<Vec<_>>();
    assert_eq!((of("b").len(), of("e").len(), of("n").len(), of("M").len()), (3, 3, 2, 1), "{events:#?}");
    for begin in of("b") {
        let end = of("e").into_iter().find(|end| end["id"] == begin["id"] && end["cat"] == begin["cat"]).unwrap();
        assert!(end["ts"].as_f64() >= begin["ts"].as_f64());
    }
    let read = of("b").into_iter().find(|event| event["name"] == "read").unwrap();
    let message = of("n").into_iter().find(|event| event["name"] == "SELECT 1").unwrap();
    assert_eq!((&message["id"], &message["args"]["accord.admitted_by"]), (&read["id"], &Json::from("database")));
}

#[actix_web::test]
async fn folded_stacks_are_lines_with_their_own_time() {
    let seen = Seen::begin().await;
    let file = seen.lea_posts("exports", &[("form", "folded")]).await.text();
    let root = format!("grant {}", seen.grant.handle);
    assert_eq!(file, format!("{root};request 1500\n{root};request;read 500\n"));
}

#[actix_web::test]
async fn a_table_has_a_row_for_each_record_and_no_cell_is_a_formula() {
    let mut seen = Seen::begin().await;
    seen.process.capture(&seen.grant, seen.pass, &["=1+1", "two, \"quoted\"\nlines"]);
    let file = seen.lea_posts("exports", &[("form", "csv")]).await.text();
    assert_eq!(file.lines().next().unwrap().split(',').count(), 17);
    assert!(file.contains(",'=1+1,"), "{file}");
    assert!(file.contains(",\"two, \"\"quoted\"\"\nlines\","), "{file}");
    assert_eq!(file.matches("\r\n").count(), 1 + 5 + 2);
    let handle = seen.grant.handle.clone();
    assert_eq!(file.split("\r\n").skip(1).filter(|row| row.starts_with(&handle)).count(), 7);
}

#[actix_web::test]
async fn a_large_capture_leaves_piece_by_piece_and_whole() {
    let mut seen = Seen::begin().await;
    let chunks = 50;
    for activity in 2..=chunks {
        seen.process.request(&seen.grant, seen.pass, activity);
    }
    for (form, expected) in [("csv", 1 + 5 * 50), ("otlp", 2 * 50), ("folded", 2)] {
        let file = seen.lea_posts("exports", &[("form", form)]).await;
        assert_eq!(file.assert_status(200).text().lines().count(), expected, "{form}");
    }
    let file: Json = serde_json::from_slice(&seen.lea_posts("exports", &[("form", "chrome")]).await.bytes).unwrap();
    assert_eq!(file["traceEvents"].as_array().unwrap().len(), 1 + 50 * (2 * 3 + 2));
}

#[actix_web::test]
async fn what_is_to_be_destroyed_is_not_taken_any_more() {
    let seen = Seen::begin().await;
    seen.process.withdraw(&seen.grant, Kept::No);
    for form in FORMS {
        seen.claire_posts("exports", &[("form", form)]).await.assert_status(409);
        seen.lea_posts("exports", &[("form", form)]).await.assert_status(409);
    }
    assert_eq!(seen.looks(), []);
}

/// A withdrawal in the middle of a download breaks it off: a file that ends early is not a file.
#[test]
fn a_withdrawal_breaks_a_download_off() {
    use accord::diagnostics::viewing::{self, Form};
    let mut process = Process::begin();
    let grant = process.grant();
    let pass = process.open(&grant);
    for activity in 1..=40 {
        process.request(&grant, pass, activity);
    }
    let (lea, now, id) = (process.test.actor(process.cast.lea), process.now(), grant.id);
    let app = process.test.app.clone();
    let clock = app.clock.clone();
    let leave = process.test.write(move |db| viewing::open_whole(db, id, &lea, Form::Csv, "", &clock));
    let read = |after| app.database.read_now(|db| viewing::read_on(db, &app.keys, &leave, after, now));
    let (lines, last) = read(0).unwrap().expect("the first pieces");
    assert_eq!((lines.len(), last), (16 * 5, 16));
    // What came after it was opened is not part of it.
    process.request(&grant, pass, 41);
    let (_, last) = read(last).unwrap().expect("more");
    let (lines, last) = read(last).unwrap().expect("the last pieces");
    assert_eq!((lines.len(), last), (8 * 5, 40));
    assert!(read(last).unwrap().is_none());
    process.withdraw(&grant, Kept::No);
    assert!(matches!(read(16), Err(accord::error::Error::Conflict(_))));
}
