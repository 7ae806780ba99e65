//! `[mail.relays.NAME]`: relays of single mailboxes or domains, beside the one of the installation (`mail.smtp`). NAME is the
//! operator's word for the relay, of small letters and digits, so that a variable such as
//! `ACCORD_MAIL_RELAYS_ACME_PASSWORD` names it too.
//!
//! | key | meaning | default |
//! |---|---|---|
//! | `host`, `port`, `tls`, `user`, `password` (or `password_file`) | as of `mail.smtp` | as there |
//! | `mailboxes` | whose mail it carries: addresses of mailboxes (Administration, Mailboxes), or a domain for all of its mailboxes | |
//!
//! Domains may be written in their own letters. Settings know no mailboxes, which are made later and elsewhere: a name that none
//! bears is no mistake that keeps the program from starting, and is told in its log, on the page of its state, and by
//! `accord check`.
//!
//! Mail of every other mailbox, and of none, goes by `mail.smtp`. Nothing ever goes by another relay than its own: where the
//! mail of a domain may leave is its owner's to say (SPF), so a relay that is down is waited for.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Reader;
use super::imap::is_name;
use super::mail::{SmtpConfig, read_smtp};

/// The table of which each relay is one.
const TABLE: &str = "mail.relays";

/// A relay of some mailboxes.
#[derive(Clone, Debug)]
pub struct MailRelay {
    pub name: String,
    pub smtp: SmtpConfig,
    /// Whose mail it carries: canonical addresses, and domains.
    pub mailboxes: Vec<String>,
}

impl MailRelay {
    /// Whose mail it is to carry, and of whom there is no mailbox among these canonical addresses.
    pub fn without_mailbox<'a>(&'a self, addresses: &[String]) -> Vec<&'a str> {
        let is_known = |named: &str| {
            let is_domain_of = |address: &String| address.rsplit_once('@').is_some_and(|(_, domain)| domain == named);
            addresses.iter().any(|address| address == named || is_domain_of(address))
        };
        self.mailboxes.iter().map(String::as_str).filter(|named| !is_known(named)).collect()
    }

    /// Whether mail from the mailbox of this canonical address is its to carry, and whether it is named for that itself.
    fn carries(&self, address: &str) -> Option<Exactly> {
        let domain = address.rsplit_once('@').map_or("", |(_, domain)| domain);
        let exactly = self.mailboxes.iter().any(|named| named == address).then_some(Exactly::Address);
        exactly.or_else(|| self.mailboxes.iter().any(|named| named == domain).then_some(Exactly::Domain))
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Exactly {
    Address,
    Domain,
}

/// Which of `relays` carries the mail of the mailbox with this canonical address; an address counts before its domain.
pub fn relay_of(relays: &[MailRelay], address: &str) -> Option<usize> {
    let found = |wanted| relays.iter().position(|relay| relay.carries(address) == Some(wanted));
    found(Exactly::Address).or_else(|| found(Exactly::Domain))
}

/// Reads every relay. Where mail goes to files (`is_used` is false) there are none.
pub(super) fn read(reader: &mut Reader, is_used: bool) -> Arc<[MailRelay]> {
    let relays: Vec<_> = reader.names(TABLE).into_iter().filter_map(|name| read_relay(reader, &name)).collect();
    let mut seen = BTreeSet::new();
    for relay in &relays {
        for mailbox in &relay.mailboxes {
            if !seen.insert(mailbox) {
                let text = format!("{mailbox} has another relay already");
                reader.problem(&format!("{TABLE}.{}.mailboxes", relay.name), &text);
            }
        }
    }
    if is_used { relays.into() } else { Arc::new([]) }
}

fn read_relay(reader: &mut Reader, name: &str) -> Option<MailRelay> {
    let table = format!("{TABLE}.{name}");
    let smtp = read_smtp(reader, &table);
    let key = format!("{table}.mailboxes");
    let mailboxes: Vec<String> =
        reader.list(&key).iter().map(|named| canonical(named.trim_start_matches('@'))).collect();
    let host = format!("{table}.host");
    if !is_name(name) {
        reader.problem(&host, "the name of a relay has up to 32 small letters and digits, as in [mail.relays.acme]");
        return None;
    }
    let Some(smtp) = smtp else {
        reader.problem(&host, "set host");
        return None;
    };
    if mailboxes.is_empty() {
        reader.problem(&host, "set mailboxes, as in [\"support@acme.example\"]: without any it carries no mail");
    }
    Some(MailRelay { name: name.to_owned(), smtp, mailboxes })
}

/// An address or a domain as mailboxes are compared: in small letters, the domain as it stands in the DNS.
fn canonical(named: &str) -> String {
    let named = named.trim().to_lowercase();
    let (local, domain) = named.rsplit_once('@').map_or((None, named.as_str()), |(local, of)| (Some(local), of));
    let domain = idna::domain_to_ascii_strict(domain).unwrap_or_else(|_| domain.to_owned());
    local.map_or_else(|| domain.clone(), |local| format!("{local}@{domain}"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::config::{Config, Overrides, Problem, parse};

    const HOUSE: &str = "[mail.smtp]\nhost = \"smtp.garonne.example\"\n";

    fn settings(text: &str) -> Result<Config, Vec<Problem>> {
        parse(&format!("{HOUSE}{text}"), BTreeMap::new(), &Overrides::default())
    }

    fn problem(text: &str) -> String {
        let problems = settings(text).unwrap_err();
        assert_eq!(problems.len(), 1, "{problems:?}");
        problems[0].to_string()
    }

    #[test]
    fn each_mailbox_has_the_relay_that_names_it_before_that_of_its_domain_else_the_installation_s() {
        let text = "[mail.relays.acme]\nhost = \"smtp.acme.example\"\nuser = \"a\"\npassword = \"secret\"\n\
                    mailboxes = [\"acme.example\"]\n\
                    [mail.relays.sales]\nhost = \"smtp.sales.example\"\nmailboxes = [\"Sales@ACME.example\"]\n";
        let relays = settings(text).unwrap().mail.relays;
        let of = |address: &str| relay_of(&relays, address).map(|index| relays[index].name.as_str());
        assert_eq!(of("support@acme.example"), Some("acme"));
        assert_eq!(of("sales@acme.example"), Some("sales"));
        assert_eq!(of("support@garonne.example"), None);
        assert_eq!(of("support@not-acme.example"), None);
        assert!(!format!("{relays:?}").contains("secret"));
        assert_eq!(relays[0].smtp.port, 587);
    }

    #[test]
    fn a_domain_may_be_written_as_it_is_read_and_who_has_no_mailbox_is_named() {
        let text =
            "[mail.relays.acme]\nhost = \"a.example\"\nmailboxes = [\"Aide@Bücher.example\", \"@société.example\"]\n";
        let relays = settings(text).unwrap().mail.relays;
        assert_eq!(relays[0].mailboxes, ["aide@xn--bcher-kva.example", "xn--socit-esab.example"]);
        assert_eq!(relay_of(&relays, "x@xn--socit-esab.example"), Some(0));
        assert_eq!(relays[0].without_mailbox(&["x@xn--socit-esab.example".to_owned()]), ["aide@xn--bcher-kva.example"]);
    }

    #[test]
    fn a_relay_may_stand_in_variables_alone() {
        let variables = [
            ("MAIL_SMTP_HOST", "a.example"),
            ("MAIL_RELAYS_ACME_HOST", "b.example"),
            ("MAIL_RELAYS_ACME_MAILBOXES", "x@acme.example"),
        ];
        let variables = variables.map(|(key, value)| (format!("ACCORD_{key}"), value.to_owned())).into();
        let config = parse("", variables, &Overrides::default()).unwrap();
        assert_eq!(config.mail.relays[0].mailboxes, ["x@acme.example"]);
    }

    #[test]
    fn what_carries_nothing_or_is_carried_twice_is_refused() {
        let relay = |name: &str, rest: &str| format!("[mail.relays.{name}]\nhost = \"smtp.acme.example\"\n{rest}\n");
        let acme = "mailboxes = [\"support@acme.example\"]";
        assert!(problem(&relay("acme", "")).contains("set mailboxes"));
        assert!(problem(&relay("Acme", acme)).contains("small letters"));
        assert!(problem(&format!("{}{}", relay("a", acme), relay("b", acme))).contains("another relay already"));
        assert!(problem(&relay("a", &format!("{acme}\ntls = \"none\""))).contains("mail.relays.a.tls"));
        assert!(problem(&format!("[mail.relays.a]\n{acme}")).contains("set host"));
        let alone = parse(&relay("a", acme), BTreeMap::new(), &Overrides::default()).unwrap_err();
        assert!(alone[0].to_string().contains("mail.smtp.host"), "{alone:?}");
    }

    #[test]
    fn while_mail_goes_to_files_none_goes_by_a_relay() {
        let text =
            "[mail]\noutgoing = \"files\"\n[mail.relays.a]\nhost = \"a.example\"\nmailboxes = [\"acme.example\"]\n";
        assert!(parse(text, BTreeMap::new(), &Overrides::default()).unwrap().mail.relays.is_empty());
    }
}
