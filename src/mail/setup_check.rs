//! What the world can look up of this desk's mail, for the administrator who asks (OUT-08): whether receivers will believe the
//! mail that goes out (SPF, DKIM, DMARC, the name of the relay's address), and whether answers come back (MX). Whether the
//! relay takes mail is `transport`'s to say.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use mail_auth::hickory_resolver::TokioResolver;
use mail_auth::hickory_resolver::config::{ResolverConfig, ResolverOpts};
use mail_auth::hickory_resolver::lookup::Lookup;
use mail_auth::hickory_resolver::net::runtime::TokioRuntimeProvider;
use mail_auth::hickory_resolver::net::{DnsError, NetError};
use mail_auth::hickory_resolver::proto::rr::RData;
use tokio::runtime::Runtime;
use tokio::time::Instant;

use super::dkim::selectors_for;
use super::sender_check::name_servers;
use crate::config::MailConfig;
use crate::config::dkim::Selector;
use crate::config::mail::Outgoing;
use crate::config::sender_checks::Records;
use crate::i18n::Message;

/// All look-ups of one check together. Somebody waits for the page.
const BUDGET: Duration = Duration::from_secs(10);
/// Domains of mailboxes that are looked at; a desk has one or two.
const MOST_DOMAINS: usize = 10;
/// The longest text of somebody else's that is shown.
const SHOWN_CHARACTERS: usize = 200;

/// One matter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The key of what it is about.
    pub topic: &'static str,
    /// The domain, record or address.
    pub about: String,
    pub verdict: Verdict,
    pub text: Message,
}

/// How it stands: green, yellow or red.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Good,
    /// It may be all right, or wants a look.
    Unclear,
    Bad,
}

/// What is looked at.
pub struct Desk<'a> {
    pub mail: &'a MailConfig,
    /// The domains of the mailboxes, which stand in From.
    pub from_domains: BTreeSet<String>,
}

/// Looks everything up, for ten seconds at most. It blocks.
pub fn look(desk: &Desk<'_>) -> Vec<Finding> {
    match Asker::new(desk.mail.dns_records.as_ref()) {
        Ok(asker) => look_by(desk, &asker),
        Err(error) => {
            let text = Message::new("setup-no-servers").with("error", shown(&error));
            vec![Finding { topic: "setup-dns", about: String::new(), verdict: Verdict::Bad, text }]
        }
    }
}

fn look_by(desk: &Desk<'_>, asker: &Asker) -> Vec<Finding> {
    let mut findings = Vec::new();
    let domains: Vec<&String> = desk.from_domains.iter().take(MOST_DOMAINS).collect();
    let envelope = std::iter::once(&desk.mail.reply_domain).chain(domains.iter().copied());
    findings.extend(envelope.collect::<BTreeSet<_>>().into_iter().map(|domain| spf(asker, domain)));
    for domain in &domains {
        if selectors_for(&desk.mail.dkim, domain).is_empty() {
            // Who signs for one domain and not for another has forgotten it, most likely.
            let (verdict, key) = match desk.mail.dkim.is_empty() {
                true => (Verdict::Unclear, "setup-dkim-elsewhere"),
                false => (Verdict::Bad, "setup-dkim-unsigned"),
            };
            findings.push(finding("setup-dkim", domain, verdict, key));
        }
    }
    findings.extend(desk.mail.dkim.iter().map(|selector| dkim(asker, selector)));
    findings.extend(domains.iter().map(|domain| dmarc(asker, domain)));
    findings.push(answers(asker, &desk.mail.reply_domain));
    let relays = desk.mail.relays.iter().map(|relay| Outgoing::Smtp(relay.smtp.clone()));
    findings.extend(std::iter::once(desk.mail.outgoing.clone()).chain(relays).map(|way| name_of_relay(asker, &way)));
    findings
}

fn finding(topic: &'static str, about: &str, verdict: Verdict, text: impl Into<Message>) -> Finding {
    Finding { topic, about: about.to_owned(), verdict, text: text.into() }
}

/// Which machines may send for the domain of the envelope's sender.
fn spf(asker: &Asker, domain: &str) -> Finding {
    let (verdict, text) = match asker.texts(domain) {
        Looked::Unanswered => (Verdict::Unclear, Message::new("setup-unanswered")),
        Looked::Nothing => (Verdict::Bad, Message::new("setup-spf-missing")),
        Looked::Found(texts) => {
            let records: Vec<&String> = texts.iter().filter(|text| is_record(text, "v=spf1")).collect();
            let [record] = records.as_slice() else {
                let key = if records.is_empty() { "setup-spf-missing" } else { "setup-spf-twice" };
                return finding("setup-spf", domain, Verdict::Bad, key);
            };
            let lets_all_in =
                record.split_whitespace().any(|term| ["all", "+all"].iter().any(|all| term.eq_ignore_ascii_case(all)));
            let (verdict, key) =
                if lets_all_in { (Verdict::Bad, "setup-spf-everybody") } else { (Verdict::Good, "setup-spf-found") };
            (verdict, Message::new(key).with("record", shown(record)))
        }
    };
    finding("setup-spf", domain, verdict, text)
}

/// Whether the public half of a key is published as it is.
fn dkim(asker: &Asker, selector: &Selector) -> Finding {
    let name = selector.record_name();
    let (verdict, key) = match asker.texts(&name) {
        Looked::Unanswered => (Verdict::Unclear, "setup-unanswered"),
        Looked::Nothing => (Verdict::Bad, "setup-dkim-missing"),
        Looked::Found(texts) => {
            let wanted = tag(&selector.record(), "p");
            if texts.iter().any(|text| tag(text, "p") == wanted) {
                (Verdict::Good, "setup-dkim-found")
            } else {
                (Verdict::Bad, "setup-dkim-other")
            }
        }
    };
    finding("setup-dkim", &name, verdict, key)
}

/// What receivers are asked to do with mail that is not the domain's: its own policy, or that of the nearest domain above.
fn dmarc(asker: &Asker, domain: &str) -> Finding {
    let mut above = domain;
    while above.contains('.') {
        match asker.texts(&format!("_dmarc.{above}")) {
            Looked::Unanswered => return finding("setup-dmarc", domain, Verdict::Unclear, "setup-unanswered"),
            Looked::Found(texts) => {
                if let Some(record) = texts.iter().find(|text| is_record(text, "v=DMARC1")) {
                    let own = if above == domain { None } else { tag(record, "sp") };
                    let policy = own.or_else(|| tag(record, "p")).unwrap_or_default().to_ascii_lowercase();
                    let (verdict, key) = match policy.as_str() {
                        "quarantine" | "reject" => (Verdict::Good, "setup-dmarc-found"),
                        _ => (Verdict::Unclear, "setup-dmarc-watching"),
                    };
                    let text = Message::new(key).with("record", shown(record));
                    return finding("setup-dmarc", domain, verdict, text);
                }
            }
            Looked::Nothing => {}
        }
        above = above.split_once('.').map_or("", |(_, rest)| rest);
    }
    finding("setup-dmarc", domain, Verdict::Bad, "setup-dmarc-missing")
}

/// Where answers and bounces are delivered to.
fn answers(asker: &Asker, reply_domain: &str) -> Finding {
    let (verdict, text) = match asker.exchanges(reply_domain) {
        Looked::Found(names) => (Verdict::Good, Message::new("setup-mx-found").with("names", shown(&names.join(", ")))),
        Looked::Nothing => (Verdict::Bad, Message::new("setup-mx-missing")),
        Looked::Unanswered => (Verdict::Unclear, Message::new("setup-unanswered")),
    };
    finding("setup-mx", reply_domain, verdict, text)
}

/// Whether the address of the relay has a name, and the name that address: receivers mistrust machines without one.
fn name_of_relay(asker: &Asker, outgoing: &Outgoing) -> Finding {
    let Outgoing::Smtp(relay) = outgoing else {
        return finding("setup-ptr", "", Verdict::Unclear, "setup-ptr-files");
    };
    let addresses = match relay.host.parse::<IpAddr>() {
        Ok(address) => Looked::Found(vec![address]),
        Err(_) => asker.addresses(&relay.host),
    };
    let addresses = match addresses {
        Looked::Found(addresses) => addresses,
        Looked::Nothing => return finding("setup-ptr", &relay.host, Verdict::Bad, "setup-ptr-no-address"),
        Looked::Unanswered => return finding("setup-ptr", &relay.host, Verdict::Unclear, "setup-unanswered"),
    };
    let Some(address) = addresses.iter().find(|address| !is_inside(address)) else {
        return finding("setup-ptr", &relay.host, Verdict::Unclear, "setup-ptr-inside");
    };
    let text = |key| Message::new(key).with("address", address);
    let (verdict, text) = match asker.names_of(*address) {
        Looked::Unanswered => (Verdict::Unclear, Message::new("setup-unanswered")),
        Looked::Found(names) => {
            let mut names = names.into_iter().take(5);
            let leads_back =
                |name: &String| matches!(asker.addresses(name), Looked::Found(found) if found.contains(address));
            match names.find(leads_back) {
                Some(name) => (Verdict::Good, text("setup-ptr-found").with("name", shown(&name))),
                None => (Verdict::Unclear, text("setup-ptr-missing")),
            }
        }
        Looked::Nothing => (Verdict::Unclear, text("setup-ptr-missing")),
    };
    finding("setup-ptr", &relay.host, verdict, text)
}

/// Whether only machines nearby reach it; some other address is then the one that the world sees.
fn is_inside(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_loopback() || address.is_private() || address.is_link_local(),
        IpAddr::V6(address) => address.is_loopback() || address.is_unique_local() || address.is_unicast_link_local(),
    }
}

/// Whether a text is a record of that version, and not one that begins alike.
fn is_record(text: &str, version: &str) -> bool {
    let rest =
        text.get(..version.len()).filter(|start| start.eq_ignore_ascii_case(version)).map(|_| &text[version.len()..]);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', ';']))
}

/// The value of a tag, without spaces.
fn tag(record: &str, wanted: &str) -> Option<String> {
    let mut tags = record.split(';').filter_map(|tag| tag.split_once('='));
    let (_, value) = tags.find(|(name, _)| name.trim().eq_ignore_ascii_case(wanted))?;
    Some(value.chars().filter(|c| !c.is_whitespace()).collect())
}

/// Others' words, fit to be shown.
fn shown(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(SHOWN_CHARACTERS).collect()
}

/// What a question came to.
enum Looked<T> {
    Found(T),
    Nothing,
    Unanswered,
}

/// Who is asked: the name servers of the machine, or the file with records where there are none.
struct Asker {
    source: Source,
}

enum Source {
    Records(Records),
    Dns { runtime: Runtime, resolver: TokioResolver, until: Instant },
}

impl Asker {
    fn new(records: Option<&Records>) -> Result<Asker, String> {
        if let Some(records) = records {
            return Ok(Asker { source: Source::Records(records.clone()) });
        }
        let (config, options) = name_servers()?;
        Asker::of(config, options)
    }

    fn of(config: ResolverConfig, options: ResolverOpts) -> Result<Asker, String> {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
        let builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        let resolver = builder.with_options(options).build().map_err(|error| error.to_string())?;
        let until = runtime.block_on(async { Instant::now() }) + BUDGET;
        Ok(Asker { source: Source::Dns { runtime, resolver, until } })
    }

    fn texts(&self, name: &str) -> Looked<Vec<String>> {
        if let Source::Records(records) = &self.source {
            return records.get(name).map_or(Looked::Nothing, |texts| Looked::Found(texts.clone()));
        }
        self.ask(
            async |resolver| resolver.txt_lookup(whole(name)).await,
            |data| match data {
                RData::TXT(text) => Some(String::from_utf8_lossy(&text.txt_data.concat()).into_owned()),
                _ => None,
            },
        )
    }

    fn exchanges(&self, domain: &str) -> Looked<Vec<String>> {
        self.ask(
            async |resolver| resolver.mx_lookup(whole(domain)).await,
            |data| match data {
                // A dot alone says that there is none (RFC 7505).
                RData::MX(exchange) if !exchange.exchange.is_root() => Some(plain(&exchange.exchange.to_string())),
                _ => None,
            },
        )
    }

    fn addresses(&self, host: &str) -> Looked<Vec<IpAddr>> {
        let four = self.ask(async |resolver| resolver.ipv4_lookup(whole(host)).await, RData::ip_addr);
        match four {
            Looked::Nothing => self.ask(async |resolver| resolver.ipv6_lookup(whole(host)).await, RData::ip_addr),
            found => found,
        }
    }

    fn names_of(&self, address: IpAddr) -> Looked<Vec<String>> {
        self.ask(
            async |resolver| resolver.reverse_lookup(address).await,
            |data| match data {
                RData::PTR(name) => Some(plain(&name.0.to_string())),
                _ => None,
            },
        )
    }

    /// Whoever keeps a file of records keeps only texts in it.
    fn ask<T>(
        &self,
        question: impl AsyncFnOnce(&TokioResolver) -> Result<Lookup, NetError>,
        read: impl Fn(&RData) -> Option<T>,
    ) -> Looked<Vec<T>> {
        let Source::Dns { runtime, resolver, until } = &self.source else { return Looked::Unanswered };
        let asked = runtime.block_on(async { tokio::time::timeout_at(*until, question(resolver)).await });
        match asked {
            Ok(Ok(lookup)) => {
                let found: Vec<T> = lookup.answers().iter().filter_map(|record| read(&record.data)).collect();
                if found.is_empty() { Looked::Nothing } else { Looked::Found(found) }
            }
            Ok(Err(NetError::Dns(DnsError::NoRecordsFound(_)))) => Looked::Nothing,
            Ok(Err(_)) | Err(_) => Looked::Unanswered,
        }
    }
}

/// With the dot at the end, so that no search list is tried.
fn whole(name: &str) -> String {
    format!("{}.", name.trim_end_matches('.'))
}

fn plain(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use super::*;
    use crate::config::{Overrides, parse};
    use crate::mail::sender_check::tests::{Server, asking_options, text, wire_name};

    const RSA: &str = include_str!("../../tests/fixtures/dkim/rsa.pem");
    const A: u16 = 1;
    const PTR: u16 = 12;
    const MX: u16 = 15;

    /// A desk whose mail is signed, and what the world can look up of it.
    fn findings(settings: &str, records: &[(&str, &str)]) -> Vec<(&'static str, String, Verdict, &'static str)> {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("key.pem");
        std::fs::write(&key, RSA).unwrap();
        std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        let settings = settings.replace("KEY", &key.display().to_string());
        let mut mail = parse(&settings, BTreeMap::new(), &Overrides::default()).unwrap().mail;
        let mut zone: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, text) in records {
            let own = mail.dkim.first().map(Selector::record).unwrap_or_default();
            zone.entry((*name).to_owned()).or_default().push(text.replace("OWN", &own));
        }
        mail.dns_records = Some(Arc::new(zone));
        let from_domains = BTreeSet::from(["garonne.example".to_owned()]);
        let found = look(&Desk { mail: &mail, from_domains });
        found.into_iter().map(|one| (one.topic, one.about, one.verdict, one.text.key)).collect()
    }

    fn of(topic: &str, settings: &str, records: &[(&str, &str)]) -> Vec<(Verdict, &'static str)> {
        let all = findings(settings, records);
        all.into_iter().filter(|(found, ..)| *found == topic).map(|(_, _, verdict, key)| (verdict, key)).collect()
    }

    const SIGNED: &str = "[mail]\nreply_domain = \"garonne.example\"\ndkim = [\"s1._domainkey.garonne.example = KEY\"]";

    #[test]
    fn out_08_spf_is_one_record_that_does_not_let_everybody_in() {
        for (records, wanted) in [
            (vec!["v=spf1 mx -all"], (Verdict::Good, "setup-spf-found")),
            (vec!["v=spf1 mx -all", "google-site-verification=x"], (Verdict::Good, "setup-spf-found")),
            (vec!["v=spf1 +all"], (Verdict::Bad, "setup-spf-everybody")),
            (vec!["V=SPF1 mx ALL"], (Verdict::Bad, "setup-spf-everybody")),
            (vec!["v=spf1 mx -all", "v=spf1 a -all"], (Verdict::Bad, "setup-spf-twice")),
            (vec!["v=spf10 mx -all"], (Verdict::Bad, "setup-spf-missing")),
            (vec![], (Verdict::Bad, "setup-spf-missing")),
        ] {
            let records: Vec<_> = records.into_iter().map(|text| ("garonne.example", text)).collect();
            assert_eq!(of("setup-spf", SIGNED, &records), [wanted], "{records:?}");
        }
        let two = "[mail]\nreply_domain = \"reply.garonne.example\"";
        assert_eq!(of("setup-spf", two, &[]).len(), 2, "the reply domain and the one in From");
    }

    #[test]
    fn out_08_the_key_that_is_published_is_the_one_that_signs() {
        let name = "s1._domainkey.garonne.example";
        for (record, wanted) in [
            ("OWN", (Verdict::Good, "setup-dkim-found")),
            ("v=DKIM1; k=rsa; p=AAAA", (Verdict::Bad, "setup-dkim-other")),
            ("v=DKIM1; p=", (Verdict::Bad, "setup-dkim-other")),
        ] {
            assert_eq!(of("setup-dkim", SIGNED, &[(name, record)]), [wanted], "{record}");
        }
        assert_eq!(of("setup-dkim", SIGNED, &[]), [(Verdict::Bad, "setup-dkim-missing")]);
        assert_eq!(of("setup-dkim", "", &[]), [(Verdict::Unclear, "setup-dkim-elsewhere")]);
        // Where others are signed, one that is not was forgotten.
        let of_another = SIGNED.replace("_domainkey.garonne", "_domainkey.acme");
        let forgotten = (Verdict::Bad, "setup-dkim-unsigned");
        let found = of("setup-dkim", &of_another, &[("s1._domainkey.acme.example", "OWN")]);
        assert_eq!(found, [forgotten, (Verdict::Good, "setup-dkim-found")]);
    }

    #[test]
    fn out_08_a_policy_is_good_where_it_asks_for_something() {
        let own = "_dmarc.garonne.example";
        for (records, wanted) in [
            (vec![(own, "v=DMARC1; p=reject")], (Verdict::Good, "setup-dmarc-found")),
            (vec![(own, "v=DMARC1;p=Quarantine; rua=mailto:x@y.example")], (Verdict::Good, "setup-dmarc-found")),
            (vec![(own, "v=DMARC1; p=none")], (Verdict::Unclear, "setup-dmarc-watching")),
            (vec![(own, "v=DMARC1; p=none; sp=reject")], (Verdict::Unclear, "setup-dmarc-watching")),
            (vec![(own, "something")], (Verdict::Bad, "setup-dmarc-missing")),
            (vec![], (Verdict::Bad, "setup-dmarc-missing")),
        ] {
            assert_eq!(of("setup-dmarc", SIGNED, &records), [wanted], "{records:?}");
        }
    }

    #[test]
    fn out_08_what_no_file_holds_is_left_open() {
        assert_eq!(of("setup-mx", SIGNED, &[]), [(Verdict::Unclear, "setup-unanswered")]);
        assert_eq!(of("setup-ptr", SIGNED, &[]), [(Verdict::Unclear, "setup-ptr-files")]);
        let local = format!("{SIGNED}\nsmtp.host = \"127.0.0.1\"\nsmtp.tls = \"none\"");
        assert_eq!(of("setup-ptr", &local, &[]), [(Verdict::Unclear, "setup-ptr-inside")]);
    }

    #[test]
    fn out_08_the_world_is_asked_for_exchanges_and_for_the_name_of_the_relay() {
        let server = Server::answering(|name| match name {
            "garonne.example" => vec![(MX, [&[0, 10], wire_name("mx.garonne.example").as_slice()].concat())],
            "smtp.garonne.example" | "mx.garonne.example" => vec![(A, vec![203, 0, 113, 7])],
            "7.113.0.203.in-addr.arpa" => vec![(PTR, wire_name("mx.garonne.example"))],
            "_dmarc.garonne.example" => vec![text("v=DMARC1; p=reject")],
            _ => Vec::new(),
        });
        let (config, options) = asking_options(server.address);
        let asker = Asker::of(config, options).unwrap();
        let settings = "[mail]\nreply_domain = \"garonne.example\"\nsmtp.host = \"smtp.garonne.example\"";
        let mail = parse(settings, BTreeMap::new(), &Overrides::default()).unwrap().mail;
        let from_domains = BTreeSet::from(["garonne.example".to_owned()]);
        let found = look_by(&Desk { mail: &mail, from_domains: from_domains.clone() }, &asker);
        server.end();
        let seen: Vec<_> = found.iter().map(|one| (one.topic, one.verdict)).collect();
        let wanted = [
            ("setup-spf", Verdict::Bad),
            ("setup-dkim", Verdict::Unclear),
            ("setup-dmarc", Verdict::Good),
            ("setup-mx", Verdict::Good),
            ("setup-ptr", Verdict::Good),
        ];
        assert_eq!(seen, wanted, "{found:?}");
        assert!(found[4].text.args.contains(&("name", "mx.garonne.example".to_owned())), "{found:?}");
        // Nobody answers any more.
        let nobody = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let (config, mut options) = asking_options(nobody);
        options.timeout = Duration::from_millis(50);
        let found = look_by(&Desk { mail: &mail, from_domains }, &Asker::of(config, options).unwrap());
        assert!(found.iter().all(|one| one.verdict == Verdict::Unclear), "{found:?}");
    }
}
