//! A canary of every kind that must stay where it is: of two companies at a running program, one of which granted
//! everything that can be granted. None is in what was stored for that grant, nor on the console, nor, sealed as records
//! are, to be read in the files of the database; what was captured is found, so the search can find. After the withdrawal
//! neither the sealed records nor their key are in the files (CN-09, CN-10, CN-12).

use std::time::Duration;

use accord::clock::Clock;
use accord::consent::{Component, Grant, Level, Scope, asking, grants};
use accord::db::Database;
use accord::db::schema::{trace_chunks, trace_keys};
use accord::diagnostics::trace_store;
use accord::keys::Keys;
use accord::people::person;
use accord::teams::queues;
use accord::web::otlp::grant_tokens::GrantTokens;
use diesel::prelude::*;

use super::customer::Customer;
use super::http;
use super::mail_wire::deliver_by_lmtp;
use super::process::{Installation, Kind, Server, free_address, wait_until};
use crate::support::files;
use crate::support::granted::{self, Granted};

/// How long the program may take to do what it was told, mail and jobs included.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
#[ignore = "needs processes of its own"]
fn real_cn_09_cn_10_no_canary_is_captured_printed_or_left_behind() {
    let_them_fly(Kind::Sqlite);
}

#[test]
#[ignore = "needs PostgreSQL and processes of its own"]
fn real_cn_09_cn_10_no_canary_is_captured_printed_or_left_behind_on_postgresql() {
    let_them_fly(Kind::Postgres);
}

/// Somebody's canaries, each of which can be told from the other company's.
struct Canaries {
    password: String,
    token: String,
    card: &'static str,
    /// What a mail says.
    body: String,
    /// What is bound to statements: the subject and the text of a request.
    bound: String,
    /// Stands where a stranger's words are recorded with a grant: the name of a field that a form does not have.
    control: String,
    /// The same for a product: the value of an attribute that was agreed to.
    product: String,
}

impl Canaries {
    fn of(company: &str, card: &'static str) -> Canaries {
        Canaries {
            password: format!("CanariSecret-{company}-7Qx"),
            token: format!("canarijeton{company}0123456789abcdefghijklmnop"),
            card,
            body: format!("canari-corps-{company}"),
            bound: format!("canari-lien-{company}"),
            control: format!("canari_temoin_{company}"),
            product: format!("canari-produit-{company}"),
        }
    }

    /// What must not be recorded, granted or not.
    fn secrets(&self) -> [&str; 5] {
        [&self.password, &self.token, self.card, &self.body, &self.bound]
    }

    fn all(&self) -> [&str; 7] {
        [&self.password, &self.token, self.card, &self.body, &self.bound, &self.control, &self.product]
    }
}

/// One company, with whoever acts for it.
struct Company {
    granted: Granted,
    customer: Customer,
    address: String,
    canaries: Canaries,
}

fn let_them_fly(kind: Kind) {
    let lmtp = free_address();
    let installation = Installation::empty(kind).taking_mail(lmtp);
    let now = Clock::system().now();
    let (arnaud, brun) = {
        let mut db = installation.database();
        let arnaud = granted::set_up(&mut db, now).unwrap();
        let brun = granted::company(&mut db, arnaud.agent, "Ateliers Brun", "zoe@brun.example", now).unwrap();
        (arnaud, brun)
    };
    let server = installation.serve();
    let keys = Keys::load_or_create(&installation.data().join("keys.json"), now).unwrap();
    let company = |granted: Granted, canaries: Canaries| {
        let mut db = installation.database();
        let customer = Customer::sign_in(&mut db, &keys, granted.customer, now).unwrap();
        let address = person::by_id(&mut db, granted.customer).unwrap().address;
        Company { granted, customer, address, canaries }
    };
    // Numbers that the check of card numbers takes for some.
    let arnaud = company(arnaud, Canaries::of("arnaud", "4539578763621486"));
    let brun = company(brun, Canaries::of("brun", "4556737586899855"));
    let database = Database::open(&installation.database_url(), 2).unwrap();
    let everything: Vec<Component> = Component::ALL.to_vec();
    let (granting, with) = (arnaud.granted.clone(), keys.clone());
    let grant = database
        .write_now(move |db| {
            let scope = Scope::of(&everything, Level::Debug, vec!["invoice.id".to_owned(), "note".to_owned()]);
            granting.grant_of(db, &with, scope, Clock::system().now())
        })
        .unwrap();
    wait_until("the grant is known", PATIENCE, || server.counter("accord_grants_live") == 1);
    let tokens = GrantTokens::new(&keys, &format!("http://{}", server.address));
    let token = tokens.sign(&grant, &arnaud.granted.handle, Clock::system().now()).unwrap();
    for (company, token) in [(&arnaud, token.as_str()), (&brun, brun.canaries.token.as_str())] {
        let queue = database.read_now(|db| Ok(queues::on_form(db)?[0].handle.clone())).unwrap();
        fly(company, &server, &queue, token);
        let (own, from) = (&company.canaries, &company.address);
        let mail = format!(
            "From: {from}\r\nTo: aide@vendor.example\r\nSubject: {body}\r\nMessage-ID: <canari@{of}>\r\n\r\n{body} {card}\r\n",
            body = own.body,
            of = company.granted.handle,
            card = own.card,
        );
        deliver_by_lmtp(lmtp, &company.address, "aide@vendor.example", &mail).unwrap();
    }

    let claire = Customer::sign_in(&mut installation.database(), &keys, arnaud.granted.customer, now).unwrap();

    let is_captured = |text: &str| stored(&database, &keys, &grant).contains(text);
    wait_until("what was granted is captured", PATIENCE, || {
        is_captured(&arnaud.canaries.control) && is_captured(&arnaud.canaries.product) && is_captured("carry_out")
    });
    let stored = stored(&database, &keys, &grant);
    let exported = export(&claire, &server, &grant, &database);
    assert!(exported.contains(&arnaud.canaries.control) && exported.contains(&arnaud.canaries.product), "{exported}");
    for place in [&stored, &exported] {
        for canary in arnaud.canaries.secrets().into_iter().chain(brun.canaries.all()) {
            assert!(!place.contains(canary), "{canary} was captured");
        }
        assert!(!place.contains(&brun.granted.handle), "the other company is named");
    }
    // Nothing of either, captured or not, is on the console.
    let said = installation.said();
    assert!(said.contains("Accord is at"), "{said}");
    for canary in arnaud.canaries.all().into_iter().chain(brun.canaries.all()) {
        assert!(!said.contains(canary), "{canary} is on the console");
    }
    // Nor is what was captured, or what is no content of the desk, to be read in the files of the database.
    let readable: Vec<Vec<u8>> = [&arnaud.canaries, &brun.canaries]
        .into_iter()
        .flat_map(|own| [&own.password, &own.token, &own.control, &own.product])
        .map(|canary| canary.clone().into_bytes())
        .collect();
    assert_eq!(names(files::found(&installation.database_url(), &readable)), [] as [String; 0]);

    let sealed = sealed(&database);
    assert_eq!(
        files::found(&installation.database_url(), &sealed).len(),
        sealed.len(),
        "the search finds what is there"
    );
    let request = database.read_now(|db| asking::by_id(db, grant.request_id)).unwrap();
    let withdrawal = format!("/consents/{}/withdrawal", request.handle);
    assert_eq!(claire.post(server.address, &withdrawal, &[]).unwrap().status, 303);
    wait_until("it is destroyed", PATIENCE, || {
        database.read_now(|db| grants::by_id(db, grant.id)).unwrap().destroyed_at.is_some()
    });
    wait_until("and gone from the files", PATIENCE, || files::found(&installation.database_url(), &sealed).is_empty());
    assert_eq!(names(files::found(&installation.database_url(), &readable)), [] as [String; 0]);
    let said = installation.said();
    assert!(arnaud.canaries.all().iter().all(|canary| !said.contains(canary)), "{said}");
}

/// Everything that somebody of the company can send, each with canaries where they belong and where they do not.
fn fly(company: &Company, server: &Server, queue: &str, token: &str) {
    let (canaries, customer, address) = (&company.canaries, &company.customer, server.address);
    let text = format!("{} carte {}", canaries.bound, canaries.card);
    let filed = customer.upload(
        address,
        "/requests",
        &[("queue", queue), ("subject", &canaries.bound), ("text", &text), ("key", &canaries.bound)],
    );
    assert_eq!(filed.unwrap().status, 303);
    customer.get(address, &format!("/requests?whose=all&after={}", canaries.bound)).unwrap();
    customer.get(address, &format!("/requests/{}?token={}", canaries.token, canaries.token)).unwrap();
    customer.get(address, &format!("/l/stop/{}", canaries.token)).unwrap();
    let bearer = format!("Bearer {}", canaries.token);
    http::send(address, "GET", "/api/v1/tickets", &[("Authorization", &bearer)], b"").unwrap();
    // A form with a field that it does not have, and with values that it must not tell of.
    let control = [(canaries.control.as_str(), canaries.password.as_str()), ("organisation", &canaries.token)];
    assert_eq!(customer.post(address, "/account/organisation", &control).unwrap().status, 400);
    let note = format!("Bearer {} {} {}", canaries.token, canaries.card, company.address);
    let attributes = [
        ("invoice.id", canaries.product.as_str()),
        ("note", &note),
        ("password", &canaries.password),
        ("mail.body", &canaries.body),
        ("db.query.parameter.0", &canaries.bound),
        ("http.request.header.authorization", &bearer),
    ];
    let bearer = format!("Bearer {token}");
    let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
    http::send(address, "POST", "/v1/traces", &headers, span(&attributes).as_bytes()).unwrap();
    // Last, since it ends the session.
    let password = [("current_password", canaries.password.as_str()), ("password", &canaries.password)];
    customer.post(address, "/account/password", &password).unwrap();
    let signing_in = [("address", company.address.as_str()), ("password", &canaries.password), ("next", "")];
    customer.post(address, "/fr/sign-in", &signing_in).unwrap();
}

/// What a product sends: one span, now.
fn span(attributes: &[(&str, &str)]) -> String {
    let now = Clock::system().now().micros();
    let attributes: Vec<serde_json::Value> = attributes
        .iter()
        .map(|(key, value)| serde_json::json!({ "key": key, "value": { "stringValue": value } }))
        .collect();
    let time = |micros: i64| format!("{micros}000");
    serde_json::json!({ "resourceSpans": [{ "scopeSpans": [{ "spans": [{
        "traceId": "0102030405060708090a0b0c0d0e0f10",
        "spanId": "0102030405060708",
        "name": "facture",
        "startTimeUnixNano": time(now - 1),
        "endTimeUnixNano": time(now),
        "attributes": attributes,
    }] }] }] })
    .to_string()
}

/// All records of the grant, decrypted.
fn stored(database: &Database, keys: &Keys, grant: &Grant) -> String {
    let chunks = database.read_now(|db| trace_store::read(db, keys, grant, 0, 100_000)).unwrap();
    format!("{:?}", chunks.into_iter().flat_map(|chunk| chunk.records).collect::<Vec<_>>())
}

/// The same as the customer downloads them, in every form.
fn export(customer: &Customer, server: &Server, grant: &Grant, database: &Database) -> String {
    let request = database.read_now(|db| asking::by_id(db, grant.request_id)).unwrap();
    let path = format!("/consents/{}/exports", request.handle);
    let forms = ["otlp", "chrome", "folded", "csv"].map(|form| {
        let answer = customer.post(server.address, &path, &[("form", form), ("reason", "")]).unwrap();
        assert_eq!(answer.status, 200, "{form}: {}", answer.text);
        answer.text
    });
    forms.concat()
}

/// Pieces of what stands for the grant in the database: of each sealed chunk, and of the wrapped key.
fn sealed(database: &Database) -> Vec<Vec<u8>> {
    let pieces = database.read_now(|db| {
        let mut pieces: Vec<Vec<u8>> = trace_chunks::table.select(trace_chunks::sealed).load(db)?;
        pieces.extend(trace_keys::table.select(trace_keys::wrapped_key).load::<Vec<u8>>(db)?);
        Ok(pieces)
    });
    let pieces: Vec<Vec<u8>> = pieces.unwrap().into_iter().map(|piece| piece[..24].to_vec()).collect();
    assert!(pieces.len() > 1);
    pieces
}

fn names(found: Vec<(std::path::PathBuf, &[u8])>) -> Vec<String> {
    found.into_iter().map(|(path, piece)| format!("{} in {}", String::from_utf8_lossy(piece), path.display())).collect()
}
