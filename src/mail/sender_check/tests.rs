mod paths;

use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;

use chrono::TimeDelta;
use mail_auth::common::crypto::{DkimKey, HashOutput, Sha256, SigningKey};
use mail_auth::common::headers::{HeaderWriter, Writable};
use mail_auth::dkim::DkimSigner;
use mail_auth::hickory_resolver::config::NameServerConfig;

use super::*;
use crate::config::dkim::{self, Selector};
use crate::mail::dkim::sign;
use crate::mail::incoming;

const RSA: &str = include_str!("../../../tests/fixtures/dkim/rsa.pem");
const ED25519: &str = include_str!("../../../tests/fixtures/dkim/ed25519.pem");
const NOW: i64 = 1_800_000_000;
const REJECT: (&str, &str) = ("_dmarc.acme.example", "v=DMARC1; p=reject");
const MAIL: &str = "From: Claire <claire@acme.example>\r\nTo: support@garonne.example\r\nSubject: Panne\r\n\
                    Date: Mon, 23 Nov 2026 08:00:00 +0000\r\nMessage-ID: <1@acme.example>\r\n\
                    Content-Type: text/plain\r\n\r\nBonjour,\r\n\r\nmon écran  reste noir.\r\n";

fn now() -> UtcTime {
    UtcTime::from_seconds(NOW)
}

fn selector(domain: &str, pem: &str) -> Selector {
    let key = Arc::new(dkim::parse(pem.as_bytes()).unwrap());
    Selector { name: "s1".to_owned(), domain: domain.to_owned(), file: "s1.pem".into(), key }
}

/// The mail, signed by that domain, whosever it is.
fn signed_by(domain: &str, mail: &str) -> String {
    let signer = EmailAddress::parse(&format!("x@{domain}")).unwrap();
    String::from_utf8(sign(&[selector(domain, RSA)], &signer, mail.as_bytes().to_vec()).unwrap()).unwrap()
}

/// The record of that domain's key.
fn key_of(domain: &str) -> (String, String) {
    let selector = selector(domain, RSA);
    (selector.record_name(), selector.record())
}

fn published(records: &[(&str, &str)], keys: &[&str]) -> SenderCheck {
    let mut texts = std::collections::BTreeMap::new();
    for (name, text) in records {
        texts.entry((*name).to_owned()).or_insert_with(Vec::new).push((*text).to_owned());
    }
    for (name, text) in keys.iter().map(|domain| key_of(domain)) {
        texts.entry(name).or_insert_with(Vec::new).push(text);
    }
    SenderCheck::new(&SenderChecks::Records(Arc::new(texts)))
}

fn judge_on(check: &SenderCheck, runtime: &Runtime, raw: &str, envelope_from: &str, now: UtcTime) -> Authentication {
    judge_delivered(check, runtime, raw, envelope_from, None, now).authentication
}

fn judge_delivered(
    check: &SenderCheck,
    runtime: &Runtime,
    raw: &str,
    envelope_from: &str,
    client: Option<&Client>,
    now: UtcTime,
) -> Judgement {
    let mail = incoming::parse(raw.as_bytes());
    let from = mail.from.identity.as_ref().expect("one sender");
    let arrived = Arrived { raw: raw.as_bytes(), headers: &mail.headers, from, envelope_from, client };
    check.judge_on(runtime, &arrived, now)
}

fn judge(check: &SenderCheck, raw: &str, envelope_from: &str) -> Authentication {
    judge_on(check, &runtime(), raw, envelope_from, now())
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

#[test]
fn au_03_pass_is_a_signature_that_meets_the_policy_or_without_one_a_signature_of_the_domain() {
    let ours = signed_by("acme.example", MAIL);
    let below = signed_by("mail.acme.example", MAIL);
    let relaxed = ("_dmarc.acme.example", "v=DMARC1; p=quarantine; rua=mailto:x@acme.example");
    for (records, keys, raw) in [
        (vec![REJECT], vec!["acme.example"], &ours),
        (vec![relaxed], vec!["acme.example"], &ours),
        (vec![("_dmarc.acme.example", "v=DMARC1; p=none")], vec!["acme.example"], &ours),
        (vec![REJECT], vec!["mail.acme.example"], &below),
        (vec![], vec!["acme.example"], &ours),
        (vec![], vec!["mail.acme.example"], &below),
        (vec![REJECT], vec!["acme.example"], &ours.replace("\r\n", "\n")),
        (vec![REJECT], vec!["acme.example", "list.example"], &signed_by("list.example", &ours)),
        (vec![REJECT], vec!["acme.example"], &signed_by("list.example", &ours)),
        (vec![REJECT], vec!["acme.example"], &format!("Received: from a by b\r\nX-Spam: no\r\n{ours}")),
    ] {
        // Whoever stands in the envelope.
        for envelope_from in ["claire@acme.example", "bounce@elsewhere.test", "<>", ""] {
            let check = published(&records, &keys);
            assert_eq!(judge(&check, raw, envelope_from), Authentication::Pass, "{records:?} {keys:?} {raw}");
        }
    }
    let ed25519 = selector("acme.example", ED25519);
    let from = EmailAddress::parse("x@acme.example").unwrap();
    let raw = String::from_utf8(sign(std::slice::from_ref(&ed25519), &from, MAIL.into()).unwrap()).unwrap();
    let check = published(&[REJECT, (&ed25519.record_name(), &ed25519.record())], &[]);
    assert_eq!(judge(&check, &raw, ""), Authentication::Pass);
}

#[test]
fn au_03_fail_is_where_the_domain_asks_for_refusal_and_nothing_can_have_met_its_policy() {
    let changed = signed_by("acme.example", MAIL).replace("noir", "bleu");
    let stranger = signed_by("evil.test", MAIL);
    let below = MAIL.replace("claire@acme", "claire@it.acme");
    for (records, keys, raw) in [
        (vec![REJECT], vec![], MAIL),
        (vec![("_dmarc.acme.example", "v=DMARC1; p=quarantine")], vec![], MAIL),
        (vec![REJECT], vec!["acme.example"], &changed),
        (vec![REJECT], vec!["evil.test"], &stranger),
        (vec![REJECT], vec![], &below),
        (vec![("_dmarc.acme.example", "v=DMARC1; p=none; sp=reject")], vec![], &below),
        // The key is not published.
        (vec![REJECT], vec![], &signed_by("acme.example", MAIL)),
    ] {
        let check = published(&records, &keys);
        assert_eq!(judge(&check, raw, "bounce@evil.test"), Authentication::Fail, "{records:?} {keys:?} {raw}");
        // SPF could have passed here, and it is not known whether it did.
        for envelope_from in ["claire@acme.example", "x@news.acme.example", "<>", ""] {
            assert_eq!(judge(&check, raw, envelope_from), Authentication::None, "{envelope_from} {raw}");
        }
    }
}

#[test]
fn au_03_everything_else_is_none() {
    let ours = signed_by("acme.example", MAIL);
    let monitored = ("_dmarc.acme.example", "v=DMARC1; p=none");
    for (records, keys, raw) in [
        (vec![], vec![], MAIL),
        (vec![monitored], vec![], MAIL),
        (vec![], vec![], &ours),
        (vec![], vec!["acme.example"], &ours.replace("noir", "bleu")),
        (vec![monitored], vec!["acme.example"], &ours.replace("Panne", "Autre")),
        (vec![], vec!["evil.test"], &signed_by("evil.test", MAIL)),
        (vec![], vec!["example"], &ours),
        // Not met, and signed by one of the family.
        (
            vec![("_dmarc.acme.example", "v=DMARC1; p=reject; adkim=s")],
            vec!["mail.acme.example"],
            &signed_by("mail.acme.example", MAIL),
        ),
        // In test mode a policy asks for less.
        (vec![("_dmarc.acme.example", "v=DMARC1; p=quarantine; t=y")], vec![], MAIL),
        // No policy at all.
        (vec![("_dmarc.acme.example", "v=DMARC1")], vec![], MAIL),
        (vec![("_dmarc.acme.example", "huge and nothing")], vec![], MAIL),
    ] {
        let check = published(&records, &keys);
        assert_eq!(judge(&check, raw, "bounce@evil.test"), Authentication::None, "{records:?} {keys:?} {raw}");
    }
    let of_a_test = key_of("acme.example").1.replacen("v=DKIM1;", "v=DKIM1; t=y;", 1);
    assert!(of_a_test.contains("t=y"), "{of_a_test}");
    for key in ["v=DKIM1; p=", "v=DKIM1; k=rsa; p=AAAA", "v=spf1 -all", &"x".repeat(60_000), &of_a_test] {
        let check = published(&[("s1._domainkey.acme.example", key)], &[]);
        assert_eq!(judge(&check, &ours, ""), Authentication::None, "{}", &key[..key.len().min(30)]);
    }
}

/// Signs as nobody should.
fn signed_oddly(fields: &[&str], length: bool) -> String {
    let key = dkim::parse(RSA.as_bytes()).unwrap();
    let signer = DkimSigner::from_key(key).domain("acme.example").selector("s1").headers(fields.iter().copied());
    let signature = signer.body_length(length).sign(MAIL.as_bytes()).unwrap();
    format!("{}{MAIL}", signature.to_header())
}

/// RSA with SHA-1, which RFC 8301 forbids: what it says of itself is enough, for it is not even looked at.
struct WithSha1(DkimKey);

impl SigningKey for WithSha1 {
    type Hasher = Sha256;

    fn sign(&self, input: impl Writable) -> mail_auth::Result<Vec<u8>> {
        self.0.sign(input)
    }

    fn hash(&self, data: impl Writable) -> HashOutput {
        self.0.hash(data)
    }

    fn algorithm(&self) -> Algorithm {
        Algorithm::RsaSha1
    }
}

#[test]
fn au_03_a_signature_counts_only_for_a_mail_that_can_be_read_in_one_way() {
    let check = published(&[], &["acme.example"]);
    let ours = signed_by("acme.example", MAIL);
    assert_eq!(judge(&check, &signed_oddly(&["From", "To"], false), ""), Authentication::Pass);
    for raw in [
        signed_oddly(&["To", "Subject", "Date"], false),
        signed_oddly(&["From", "To"], true),
        format!("{}more\r\n", signed_oddly(&["From", "To"], true)),
        format!("Subject: Payez ici\r\n{}", signed_oddly(&["From", "To", "Subject"], false)),
        format!("Content-Type: text/html\r\n{}", signed_oddly(&["From", "To"], false)),
        ours.replacen("\r\n\r\n", "\n\n", 1),
        ours.replacen("Bonjour,\r\n", "Bonjour,\n", 1),
        ours.replacen("Bonjour,\r\n", "Bonjour,\r", 1),
        format!("{ours}\r"),
        (0..9).fold(MAIL.to_owned(), |mail, _| signed_by("acme.example", &mail)),
    ] {
        assert_eq!(judge(&check, &raw, ""), Authentication::None, "{raw}");
    }
    let eight = (0..8).fold(MAIL.to_owned(), |mail, _| signed_by("acme.example", &mail));
    assert_eq!(judge(&check, &eight, ""), Authentication::Pass);
    let sha1 = DkimSigner::from_key(WithSha1(dkim::parse(RSA.as_bytes()).unwrap()));
    let sha1 = sha1.domain("acme.example").selector("s1").headers(["From"]).sign(MAIL.as_bytes()).unwrap();
    let message = format!("{}{MAIL}", sha1.to_header());
    let from = EmailAddress::parse("claire@acme.example").unwrap();
    let mail = Arrived { raw: message.as_bytes(), headers: &[], from: &from, envelope_from: "", client: None };
    assert!(message_with_signatures(message.as_bytes(), &mail).unwrap().dkim_headers.is_empty());
    // The library reads another sender.
    let from = EmailAddress::parse("bob@acme.example").unwrap();
    assert!(message_with_signatures(ours.as_bytes(), &Arrived { from: &from, ..mail }).is_none());
}

/// The library looks for each name among all fields and among the names before it, so 1 MB of them took minutes.
#[test]
fn b_03_au_04_a_signature_that_names_more_fields_than_anybody_signs_is_not_looked_at() {
    let naming = |count: usize| {
        let names: Vec<String> = (1..count).map(|number| format!("x{number}")).collect();
        let names: Vec<&str> = std::iter::once("From").chain(names.iter().map(String::as_str)).collect();
        signed_oddly(&names, false)
    };
    let check = published(&[REJECT], &["acme.example"]);
    // Behind the fields that are read in any case.
    let last = |fields: &str, mail: &str| mail.replacen("Content-Type:", &format!("{fields}Content-Type:"), 1);
    let named_last = |count: usize| last(naming(count).strip_suffix(MAIL).unwrap(), MAIL);
    for (raw, wanted) in [
        (naming(MOST_SIGNED_NAMES), Authentication::Pass),
        (named_last(MOST_SIGNED_NAMES), Authentication::Pass),
        (named_last(MOST_SIGNED_NAMES + 1), Authentication::None),
    ] {
        assert_eq!(judge(&check, &raw, ""), wanted, "{}", &raw[..60]);
    }
    // Of a header of which only a part is read nobody is the sender, either.
    let from = EmailAddress::parse("claire@acme.example").unwrap();
    for (raw, counted) in [
        (naming(2), 1),
        (named_last(150_000), 0),
        (last(&"X-A: b\r\n".repeat(HEADER_FIELDS), &naming(2)), 0),
        (last(&format!("X-A: {}\r\n", "b\r\n ".repeat(HEADER_BLOCK_BYTES / 4)), &naming(2)), 0),
    ] {
        let arrived = Arrived { raw: raw.as_bytes(), headers: &[], from: &from, envelope_from: "", client: None };
        let message = message_with_signatures(raw.as_bytes(), &arrived).unwrap();
        assert_eq!(message.dkim_headers.len(), counted, "{}", &raw[..60]);
    }
}

/// What one stranger's names cost is not their neighbours' under a suffix (FT-31).
#[test]
fn ft_31_neighbours_under_a_shared_suffix_do_not_share_patience() {
    for suffix in ["co.uk", "github.io"] {
        let check = published(&[], &[]);
        let slow = organisation_of(&format!("mail.slow.{suffix}")).into_owned();
        let neighbour = organisation_of(&format!("acme.{suffix}")).into_owned();
        check.patience.end(&slow, Duration::from_secs(60), now(), Instant::now().into_std());
        let left = |of: &str| check.patience.begin(of, now(), Instant::now().into_std());
        assert!(left(&slow) < Duration::from_secs(1), "{slow}");
        assert_eq!(left(&neighbour), Duration::from_secs(5), "{neighbour}");
    }
}

#[test]
fn au_04_where_nothing_is_to_be_looked_up_nothing_is_known() {
    let check = SenderCheck::new(&SenderChecks::Off);
    let raw = signed_by("acme.example", MAIL);
    let mail = incoming::parse(raw.as_bytes());
    let from = mail.from.identity.as_ref().unwrap();
    let arrived = Arrived { raw: raw.as_bytes(), headers: &mail.headers, from, envelope_from: "", client: None };
    assert_eq!(check.judge(&arrived, now()), Judgement::NOTHING);
    assert_eq!(format!("{check:?}"), "SenderCheck(off)");
}

/// A name server on loopback that says what a test wants.
pub(in crate::mail) struct Server {
    pub(in crate::mail) address: std::net::SocketAddr,
    asked: Arc<AtomicUsize>,
    thread: JoinHandle<()>,
}

/// What it answers a question with: a type and data, or that there is no such name.
pub(in crate::mail) type Answers = Vec<(u16, Vec<u8>)>;

const TXT: u16 = 16;
const CNAME: u16 = 5;

pub(in crate::mail) fn text(text: &str) -> (u16, Vec<u8>) {
    let pieces = text.as_bytes().chunks(255).flat_map(|piece| [&[piece.len() as u8], piece].concat()).collect();
    (TXT, pieces)
}

pub(in crate::mail) fn wire_name(name: &str) -> Vec<u8> {
    let mut wire: Vec<u8> =
        name.split('.').flat_map(|label| [&[label.len() as u8], label.as_bytes()].concat()).collect();
    wire.push(0);
    wire
}

impl Server {
    /// Answers until it is asked for `the.end`.
    pub(in crate::mail) fn answering(answer: impl Fn(&str) -> Answers + Send + 'static) -> Server {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        let thread = crate::carry::thread("name server".to_owned(), move || {
            let mut query = [0; 4_096];
            loop {
                let (_, from) = socket.recv_from(&mut query).unwrap();
                let mut labels = Vec::new();
                let mut at = 12;
                while query[at] != 0 {
                    let length = usize::from(query[at]);
                    labels.push(String::from_utf8(query[at + 1..=at + length].to_vec()).unwrap());
                    at += length + 1;
                }
                let name = labels.join(".").to_ascii_lowercase();
                if name == "the.end" {
                    return;
                }
                count.fetch_add(1, Ordering::Relaxed);
                let answers = answer(&name);
                let code = if answers.is_empty() { 0x83 } else { 0x80 };
                let number = answers.len() as u8;
                let mut response =
                    [&query[..2], &[0x81, code, 0, 1, 0, number, 0, 0, 0, 0], &query[12..at + 5]].concat();
                for (kind, data) in answers {
                    // The name of the question, for an hour.
                    response.extend_from_slice(&[0xC0, 12, 0, kind as u8, 0, 1, 0, 0, 0x0E, 0x10]);
                    response.extend_from_slice(&(data.len() as u16).to_be_bytes());
                    response.extend_from_slice(&data);
                }
                socket.send_to(&response, from).unwrap();
            }
        })
        .unwrap();
        Server { address, asked, thread }
    }

    pub(in crate::mail) fn end(self) {
        let question = [&[0; 12][..], &wire_name("the.end"), &[0, 16, 0, 1]].concat();
        UdpSocket::bind("127.0.0.1:0").unwrap().send_to(&question, self.address).unwrap();
        self.thread.join().unwrap();
    }
}

/// How to ask there.
pub(in crate::mail) fn asking_options(address: std::net::SocketAddr) -> (ResolverConfig, ResolverOpts) {
    let mut server = NameServerConfig::udp(address.ip());
    server.connections[0].port = address.port();
    let mut options = ResolverOpts::default();
    (options.timeout, options.attempts) = (QUESTION, 1);
    (ResolverConfig::from_parts(None, Vec::new(), vec![server]), options)
}

/// A check that asks there.
fn asking(address: std::net::SocketAddr) -> SenderCheck {
    asking_for(address, QUESTION)
}

/// The same, which waits so long for an answer.
fn asking_for(address: std::net::SocketAddr, question: Duration) -> SenderCheck {
    let ask = move || {
        let (config, mut options) = asking_options(address);
        options.timeout = question;
        Ok((config, options))
    };
    let source = Source::Dns(NameServers::new(ask));
    SenderCheck { source, records: Records::default(), patience: Patience::default() }
}

fn acme(name: &str) -> Answers {
    let (key_name, key) = key_of("acme.example");
    match name {
        "_dmarc.acme.example" => vec![text("v=DMARC1; p=reject")],
        name if name == key_name => vec![text(&key)],
        _ => Vec::new(),
    }
}

#[test]
fn au_04_what_was_looked_up_is_known_without_dns_until_it_is_over() {
    let server = Server::answering(acme);
    let check = asking(server.address);
    let ours = signed_by("acme.example", MAIL);
    assert_eq!(judge(&check, &ours, ""), Authentication::Pass);
    let asked = server.asked.load(Ordering::Relaxed);
    assert!((2..=6).contains(&asked), "{asked}");
    assert_eq!(judge(&check, &ours.replace("noir", "bleu"), "x@evil.test"), Authentication::Fail);
    assert_eq!(judge(&check, &ours, ""), Authentication::Pass);
    let again = server.asked.load(Ordering::Relaxed) - asked;
    server.end();
    // What does not exist is not remembered: `_dmarc.example`, twice.
    assert!(again <= 2, "{again}");
    let (name, later) = (format!("{}.", key_of("acme.example").0), now().plus(TimeDelta::minutes(59)));
    assert!(mail_auth::ResolverCache::get::<str>(&check.records.at(later), &name).is_some());
    assert_eq!(judge_on(&check, &paused(), &ours, "", now().plus(TimeDelta::hours(2))), Authentication::None);
}

#[test]
fn ft_31_a_name_server_that_is_down_or_refuses_is_no_reason_to_trust_or_to_refuse() {
    let nobody = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let check = asking(nobody);
    for raw in [MAIL, &signed_by("acme.example", MAIL)] {
        assert_eq!(judge_on(&check, &paused(), raw, "x@evil.test", now()), Authentication::None);
    }
}

/// Its time goes on by itself, to the next moment that somebody waits for.
fn paused() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap()
}

#[test]
fn ft_31_a_name_server_that_never_answers_costs_five_seconds_and_soon_next_to_nothing() {
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let check = asking(silent.local_addr().unwrap());
    let raw = signed_by("acme.example", MAIL);
    let mut took = Vec::new();
    for _ in 0..5 {
        let runtime = paused();
        let began = runtime.block_on(async { tokio::time::Instant::now() });
        assert_eq!(judge_on(&check, &runtime, &raw, "x@evil.test", now()), Authentication::None);
        took.push(runtime.block_on(async move { began.elapsed() }));
    }
    let five = Duration::from_secs(5);
    assert!((QUESTION..=five + Duration::from_millis(1)).contains(&took[0]), "{took:?}");
    assert!(took[3..].iter().all(|took| *took <= Duration::from_millis(60)), "{took:?}");
    // A minute later there is patience again.
    let (runtime, later) = (paused(), now().plus(TimeDelta::minutes(1)));
    let began = runtime.block_on(async { tokio::time::Instant::now() });
    judge_on(&check, &runtime, &raw, "x@evil.test", later);
    assert!(runtime.block_on(async move { began.elapsed() }) >= QUESTION);
}

#[test]
fn ft_31_where_it_cannot_be_found_out_whose_a_signature_is_no_mail_is_refused_for_it() {
    // The policy of the name that signs cannot be looked up, so it counts as an organisation of its own.
    let (key_name, key) = key_of("mail.acme.example");
    let server = Server::answering(move |name| match name {
        "_dmarc.acme.example" => vec![text("v=DMARC1; p=reject")],
        "_dmarc.mail.acme.example" => vec![(TXT, vec![255, b'x'])],
        name if name == key_name => vec![text(&key)],
        _ => Vec::new(),
    });
    let check = asking_for(server.address, Duration::from_millis(100));
    assert_ne!(judge(&check, &signed_by("mail.acme.example", MAIL), "bounce@list.test"), Authentication::Fail);
    assert_eq!(judge(&check, MAIL, "bounce@list.test"), Authentication::Fail, "the policy itself is known");
    server.end();
}

#[test]
fn au_03_a_policy_that_cannot_be_read_is_none_and_takes_nothing_from_a_signature_of_the_domain() {
    let (key_name, key) = key_of("acme.example");
    let server = Server::answering(move |name| match name {
        "_dmarc.acme.example" => vec![text("v=DMARC1; p=reject; adkim=x")],
        name if name == key_name => vec![text(&key)],
        _ => Vec::new(),
    });
    let check = asking(server.address);
    assert_eq!(judge(&check, &signed_by("acme.example", MAIL), "bounce@list.test"), Authentication::Pass);
    assert_eq!(judge(&check, MAIL, "bounce@list.test"), Authentication::None);
    server.end();
}

#[test]
fn au_03_a_mail_that_can_be_read_in_two_ways_is_refused_as_one_without_a_signature() {
    let check = published(&[REJECT], &["acme.example"]);
    let ours = signed_by("acme.example", MAIL);
    for raw in [format!("Subject: Payez ici\r\n{ours}"), ours.replacen("Bonjour,\r\n", "Bonjour,\n", 1)] {
        assert_eq!(judge(&check, &raw, "bounce@evil.test"), Authentication::Fail, "{raw}");
        assert_eq!(judge(&check, &raw, "claire@acme.example"), Authentication::None, "{raw}");
    }
}

#[test]
fn ft_31_poisonous_answers_end_in_none() {
    let loops = |name: &str| -> Answers {
        let next = if name.starts_with("a.") { name.replacen("a.", "b.", 1) } else { format!("a.{name}") };
        vec![(CNAME, wire_name(&next))]
    };
    let itself = |name: &str| -> Answers { vec![(CNAME, wire_name(name))] };
    let huge = |_: &str| -> Answers { vec![text(&"v=DMARC1; p=reject; ".repeat(2_500))] };
    let many = |_: &str| -> Answers { (0..200).map(|_| text("v=DKIM1; p=AAAA")).collect() };
    let broken = |_: &str| -> Answers { vec![(TXT, vec![255, b'x'])] };
    let raw = signed_by("acme.example", MAIL);
    let poisons: [fn(&str) -> Answers; 5] = [loops, itself, huge, many, broken];
    for poison in poisons {
        let server = Server::answering(poison);
        // What cannot be read at all is no answer, and is waited for.
        let check = asking_for(server.address, Duration::from_millis(100));
        assert_ne!(judge(&check, &raw, "claire@acme.example"), Authentication::Pass);
        let asked = server.asked.load(Ordering::Relaxed);
        assert!(asked < 100, "{asked}");
        server.end();
    }
}

#[test]
fn au_04_dnssec_stays_off_whatever_the_machine_says() {
    if let Ok((_, options)) = name_servers() {
        assert!(!options.validate && options.trust_anchor.is_none());
    }
    assert!(!ResolverOpts::default().validate);
}
