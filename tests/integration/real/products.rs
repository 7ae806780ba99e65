//! Unmodified OpenTelemetry SDKs, as anybody installs them, under `tests/sdks`: they send through a grant, are refused
//! without one, and what they send after a withdrawal is not kept.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use accord::clock::Clock;
use accord::consent::withdrawing::{self, Kept};
use accord::consent::{Grant, asking};
use accord::db::Database;
use accord::diagnostics::record::{Record, Value};
use accord::diagnostics::{sampling, trace_store};
use accord::keys::Keys;
use accord::web::otlp::grant_tokens::GrantTokens;

use super::process::{Installation, Kind, PATIENCE, Server, wait_until};
use crate::support::granted::{self, Granted};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sdks")
}

#[test]
#[ignore = "needs Python with the OpenTelemetry SDK"]
fn real_products_in_python_send_through_a_grant_and_not_without() {
    let python = std::env::var("ACCORD_TEST_PYTHON");
    let python = python.unwrap_or_else(|_| folder().join("python/.venv/bin/python").display().to_string());
    tell_the_story(Kind::Sqlite, || {
        let mut command = Command::new(&python);
        command.arg(folder().join("python/send.py"));
        command
    });
}

#[test]
#[ignore = "needs Node.js with the OpenTelemetry SDK"]
fn real_products_in_javascript_send_through_a_grant_and_not_without() {
    tell_the_story(Kind::Sqlite, node);
}

#[test]
#[ignore = "needs a Rust program with the OpenTelemetry SDK"]
fn real_products_in_rust_send_through_a_grant_and_not_without() {
    tell_the_story(Kind::Sqlite, rust);
}

#[test]
#[ignore = "needs PostgreSQL and Node.js with the OpenTelemetry SDK"]
fn real_products_in_javascript_send_through_a_grant_on_postgresql() {
    tell_the_story(Kind::Postgres, node);
}

/// The Jaeger sampler of the JavaScript SDK makes nothing until there is a grant, and nothing after it.
#[test]
#[ignore = "needs Node.js with the OpenTelemetry SDK"]
fn real_products_with_remote_sampling_make_nothing_before_and_after_a_grant() {
    let desk = Desk::begin(Kind::Sqlite);
    let (organisation, customer, now) = (desk.people.organisation, desk.people.customer, Clock::system().now());
    let key = desk.database.write_now(move |db| sampling::create(db, organisation, customer, now)).unwrap();
    let mut command = node();
    command.env("SAMPLING", format!("{}/sampling/{}", desk.base_url, key.expose()));
    let mut product = desk.start(command, "no token");
    assert_eq!(product.say("before"), "not made");
    let grant = desk.grant();
    wait_until("the sampler hears of the grant", PATIENCE, || product.say("while") == "sent");
    desk.withdraw(&grant, Kept::No);
    wait_until("the sampler hears of its end", PATIENCE, || product.say("after") == "not made");
}

fn node() -> Command {
    assert!(folder().join("node/node_modules").exists(), "first: npm ci --ignore-scripts --prefix tests/sdks/node");
    let mut command = Command::new("node");
    command.arg(folder().join("node/send.mjs"));
    command
}

fn rust() -> Command {
    let target = std::env::var("ACCORD_TEST_SDK_TARGET").map(PathBuf::from);
    let target = target.unwrap_or_else(|_| folder().join("rust/target"));
    let program = target.join("debug/accord-sdk-tests");
    assert!(program.exists(), "first: cargo build --locked --manifest-path tests/sdks/rust/Cargo.toml");
    Command::new(program)
}

/// A desk that serves, and a second way into its database.
struct Desk {
    database: Database,
    keys: Keys,
    people: Granted,
    base_url: String,
    // The order of these two matters: the server ends before its folder goes.
    _server: Server,
    installation: Installation,
}

/// A product that runs, and makes a span of each name it is told.
struct Product {
    child: Child,
    orders: ChildStdin,
    said: Receiver<String>,
}

impl Desk {
    fn begin(kind: Kind) -> Desk {
        let installation = Installation::empty(kind);
        let people = granted::set_up(&mut installation.database(), Clock::system().now()).unwrap();
        let server = installation.serve();
        let path = installation.data().join("keys.json");
        let keys = Keys::load_or_create(&path, Clock::system().now()).unwrap();
        let base_url = format!("http://{}", server.address);
        let database = Database::open(&installation.database_url(), 2).unwrap();
        Desk { database, keys, people, base_url, _server: server, installation }
    }

    fn grant(&self) -> Grant {
        let (people, keys, now) = (self.people.clone(), self.keys.clone(), Clock::system().now());
        self.database.write_now(move |db| people.grant(db, &keys, now)).unwrap()
    }

    fn token(&self, grant: &Grant) -> String {
        let tokens = GrantTokens::new(&self.keys, &self.base_url);
        tokens.sign(grant, &self.people.handle, Clock::system().now()).unwrap()
    }

    fn withdraw(&self, grant: &Grant, kept: Kept) {
        let (customer, request, now) = (self.people.customer, grant.request_id, Clock::system().now());
        let withdrawn = self.database.write_now(move |db| {
            let by = accord::access::actor_of(db, customer)?;
            let request = asking::by_id(db, request)?;
            withdrawing::withdraw(db, &request, kept, &by, now)
        });
        withdrawn.unwrap();
    }

    /// How often SDKs said that they were refused for want of a token.
    fn refusals(&self) -> usize {
        self.installation.said().lines().filter(|line| line.contains("401") || line.contains("Unauthorized")).count()
    }

    /// The names of the spans that are kept, each as it must be.
    fn kept(&self, grant: &Grant) -> Vec<String> {
        let chunks = self.database.read_now(|db| trace_store::read(db, &self.keys, grant, 0, 1_000)).unwrap();
        let records: Vec<Record> =
            chunks.into_iter().flat_map(|chunk| chunk.records).map(|redacted| redacted.record).collect();
        let has = |fields: &[accord::diagnostics::record::Field], name: &str, text: &str| {
            fields.iter().any(|field| field.name == name && field.value == Value::Text(text.to_owned()))
        };
        let mut names = Vec::new();
        for record in &records {
            match record {
                Record::Span(span) => {
                    assert_eq!(span.body.target, "a-product");
                    assert!(has(&span.body.fields, "invoice.id", "F-1"), "{span:?}");
                    assert!(span.body.fields.iter().all(|field| field.name != "user.name"), "{span:?}");
                    names.push(span.body.name.clone());
                }
                Record::Event(event) => assert!(has(&event.body.fields, "message", "half way"), "{event:?}"),
                Record::Gap(_) => panic!("{record:?}"),
            }
        }
        assert_eq!(records.len(), 2 * names.len());
        names
    }

    /// Starts a product with the variables that the page of a grant shows.
    fn start(&self, mut command: Command, token: &str) -> Product {
        command
            .env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", format!("{}/v1/traces", self.base_url))
            .env("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf")
            .env("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "gzip")
            .env("OTEL_EXPORTER_OTLP_TRACES_HEADERS", format!("Authorization=Bearer%20{token}"))
            .env("OTEL_SERVICE_NAME", "a-product");
        // What SDKs complain of stands with what the server says, and not among the results of the tests.
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(self.installation.log());
        let mut child = command.spawn().unwrap();
        let orders = child.stdin.take().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (says, said) = channel();
        std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| says.send(line)));
        Product { child, orders, said }
    }
}

impl Product {
    /// Has it make a span of that name; gives what it says of it.
    fn say(&mut self, name: &str) -> String {
        writeln!(self.orders, "{name}").unwrap();
        self.said.recv_timeout(PATIENCE).expect("the product answers")
    }
}

impl Drop for Product {
    fn drop(&mut self) {
        // Fails when it is gone already, which is as good.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn tell_the_story(kind: Kind, sdk: impl Fn() -> Command) {
    let desk = Desk::begin(kind);
    let grant = desk.grant();
    let token = desk.token(&grant);
    let mut product = desk.start(sdk(), &token);
    assert_eq!(product.say("one"), "sent");
    assert_eq!(desk.kept(&grant), ["one"]);
    assert_eq!(product.say("two"), "sent");
    assert_eq!(desk.kept(&grant), ["one", "two"]);
    // Another installation's token, and none.
    let elsewhere = GrantTokens::new(&Keys::ephemeral(), &desk.base_url);
    let foreign = elsewhere.sign(&grant, &desk.people.handle, Clock::system().now()).unwrap();
    for token in [foreign.as_str(), "none"] {
        let before = desk.refusals();
        let mut without = desk.start(sdk(), token);
        assert_eq!(without.say("without"), "sent");
        wait_until("the SDK is refused, and says so", PATIENCE, || desk.refusals() > before);
    }
    assert_eq!(desk.kept(&grant), ["one", "two"]);
    desk.withdraw(&grant, Kept::UntilItsDate);
    assert_eq!(product.say("after"), "sent");
    assert_eq!(desk.kept(&grant), ["one", "two"], "nothing follows the withdrawal");
    // A new grant has a new token; the product that still has the old one is refused.
    let next = desk.grant();
    assert_eq!(product.say("with the old token"), "sent");
    assert_eq!(desk.kept(&next), Vec::<String>::new());
    let mut again = desk.start(sdk(), &desk.token(&next));
    assert_eq!(again.say("three"), "sent");
    assert_eq!(desk.kept(&next), ["three"]);
    desk.withdraw(&next, Kept::No);
    assert_eq!(again.say("late"), "sent");
    assert_eq!(desk.kept(&next).iter().filter(|name| *name == "late").count(), 0);
}
