//! The machine that handed a mail to the mail server in front of us, as that server tells it: what SPF is about (RFC 7208). The
//! address is a fact that the server saw; the name is what the machine said of itself.

use std::net::{IpAddr, Ipv4Addr};

/// The longest name that a machine may say (RFC 5321, 4.5.3.1.2).
const LONGEST_NAME: usize = 255;
/// How a greeting is kept that is no name of a machine. It is none itself, having no dot, and an address is not in it.
const USELESS: &str = "[]";

/// A machine of the internet at large. One of our own network stands behind a server of ours, and says nothing of a sender.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    address: IpAddr,
    greeting: Greeting,
}

/// What a machine said of itself (HELO, EHLO).
#[derive(Clone, Debug, PartialEq, Eq)]
enum Greeting {
    /// The server that heard it does not tell.
    Unknown,
    /// It was no name of a machine, so SPF finds nothing for it, whatever it was (RFC 7208, 2.3 and 4.3).
    Useless,
    /// In lower case.
    Name(String),
}

impl Client {
    /// The machine with that address, which greeted with that name, or of whose greeting nothing is known where that is empty;
    /// nothing for one of a network of ours.
    pub fn new(address: IpAddr, greeting: &str) -> Option<Client> {
        let address = address.to_canonical();
        is_public(address).then(|| Client { address, greeting: Greeting::read(greeting) })
    }

    /// What [`Client::new`] was told and the journal kept.
    pub fn from_kept(address: &str, name: &str) -> Option<Client> {
        Client::new(address.parse().ok()?, name)
    }

    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// The name that it greeted with, or nothing.
    pub fn name(&self) -> &str {
        match &self.greeting {
            Greeting::Name(name) => name,
            Greeting::Unknown | Greeting::Useless => "",
        }
    }

    /// Whether it greeted with what is no name of a machine, so that nothing can be found for it.
    pub fn greeted_uselessly(&self) -> bool {
        self.greeting == Greeting::Useless
    }

    /// What is kept of its greeting, for [`Client::from_kept`] and [`Client::new`]: no more than what follows from it.
    pub fn kept_name(&self) -> &str {
        match &self.greeting {
            Greeting::Name(name) => name,
            Greeting::Useless => USELESS,
            Greeting::Unknown => "",
        }
    }
}

impl Greeting {
    fn read(greeting: &str) -> Greeting {
        match name_in(greeting) {
            Some(name) => Greeting::Name(name),
            None if greeting.is_empty() => Greeting::Unknown,
            None => Greeting::Useless,
        }
    }
}

/// An address as mail servers write it: alone, or with `IPv6:` before it. `None` for what is none, `Some(None)` where the
/// server says that it does not know.
pub fn parse_address(text: &str) -> Option<Option<IpAddr>> {
    const UNKNOWN: [&str; 3] = ["", "unknown", "[UNAVAILABLE]"];
    if UNKNOWN.iter().any(|unknown| text.eq_ignore_ascii_case(unknown)) {
        return Some(None);
    }
    let marked = text.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("ipv6:"));
    let address: IpAddr = text[if marked { 5 } else { 0 }..].parse().ok()?;
    (!marked || address.is_ipv6()).then_some(Some(address))
}

/// The name of a machine in what it greeted with, which is whatever it likes: `[192.0.2.1]` and the like are none.
fn name_in(greeting: &str) -> Option<String> {
    let name = greeting.trim_end_matches('.').to_ascii_lowercase();
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    let is_name = name.len() <= LONGEST_NAME
        && name.contains('.')
        && name.split('.').all(is_label)
        && name.parse::<IpAddr>().is_err();
    is_name.then_some(name)
}

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let [first, second, ..] = address.octets();
            // What providers use inside their networks (RFC 6598).
            let is_shared = first == 100 && (64..128).contains(&second);
            !(address.is_private()
                || address.is_loopback()
                || address.is_link_local()
                || address.is_multicast()
                || address == Ipv4Addr::BROADCAST
                || first == 0
                || is_shared)
        }
        IpAddr::V6(address) => {
            !(address.is_unspecified()
                || address.is_loopback()
                || address.is_multicast()
                || address.is_unique_local()
                || address.is_unicast_link_local())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn au_03_an_address_is_read_as_mail_servers_write_it() {
        for (text, wanted) in [
            ("192.0.2.1", Some(Some("192.0.2.1"))),
            ("2001:db8::1", Some(Some("2001:db8::1"))),
            ("IPV6:2001:db8::1", Some(Some("2001:db8::1"))),
            ("ipv6:2001:db8::1", Some(Some("2001:db8::1"))),
            ("[UNAVAILABLE]", Some(None)),
            ("unknown", Some(None)),
            ("", Some(None)),
            ("IPV6:192.0.2.1", None),
            ("IPV6:", None),
            ("192.0.2.1:25", None),
            ("[192.0.2.1]", None),
            ("192.0.2", None),
            ("192.0.2.1 ", None),
            ("localhost", None),
            ("ipv6é", None),
        ] {
            let wanted = wanted.map(|address| address.map(|address| address.parse::<IpAddr>().unwrap()));
            assert_eq!(parse_address(text), wanted, "{text}");
        }
    }

    #[test]
    fn au_03_a_machine_of_our_own_network_says_nothing_of_a_sender() {
        for ours in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.1.1",
            "100.64.0.1",
            "0.0.0.0",
            "255.255.255.255",
            "::1",
            "::",
            "fe80::1",
            "fd00::1",
            "::ffff:10.0.0.1",
        ] {
            assert_eq!(Client::from_kept(ours, "mail.acme.example"), None, "{ours}");
        }
        let mapped = Client::from_kept("::ffff:192.0.2.1", "Mail.Acme.example.").unwrap();
        assert_eq!((mapped.address(), mapped.name()), ("192.0.2.1".parse().unwrap(), "mail.acme.example"));
        for greeting in ["[192.0.2.1]", "192.0.2.1", "localhost", "", "a b.example", "x..example", "é.example"] {
            let client = Client::from_kept("192.0.2.1", greeting).unwrap();
            assert_eq!((client.name(), client.greeted_uselessly()), ("", !greeting.is_empty()), "{greeting}");
            assert_eq!(Client::from_kept("192.0.2.1", client.kept_name()), Some(client), "{greeting}");
        }
    }
}
