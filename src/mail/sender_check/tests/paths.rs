//! SPF: whether the machine that delivered may send for the domain in the envelope, and what follows from that.

use super::*;

const SPF: (&str, &str) = ("acme.example", "v=spf1 ip4:192.0.2.0/28 ip6:2001:db8:25::/48 -all");
const OURS: &str = "192.0.2.1";
const STRANGER: &str = "198.51.100.1";

fn client(address: &str, name: &str) -> Client {
    Client::from_kept(address, name).unwrap()
}

fn came(check: &SenderCheck, raw: &str, envelope_from: &str, client: &Client) -> Judgement {
    judge_delivered(check, &runtime(), raw, envelope_from, Some(client), now())
}

#[test]
fn au_03_spf_of_the_domain_in_from_passes_where_its_policy_is_met_or_there_is_none() {
    let below = ("news.acme.example", "v=spf1 ip4:192.0.2.1 -all");
    for (records, envelope_from, address) in [
        (vec![SPF, REJECT], "claire@acme.example", OURS),
        (vec![SPF, REJECT], "Claire@ACME.example", OURS),
        (vec![SPF, REJECT], "claire@acme.example", "2001:db8:25::7"),
        (vec![SPF, REJECT], "claire@acme.example", "::ffff:192.0.2.1"),
        (vec![SPF], "claire@acme.example", OURS),
        (vec![below, REJECT], "bounce@news.acme.example", OURS),
        (vec![below], "bounce@news.acme.example", OURS),
        (
            vec![("acme.example", "v=spf1 include:_spf.host.test -all"), ("_spf.host.test", SPF.1), REJECT],
            "c@acme.example",
            OURS,
        ),
        // The null sender stands for the name of the machine.
        (vec![("mail.acme.example", SPF.1), REJECT], "<>", OURS),
    ] {
        let judged = came(&published(&records, &[]), MAIL, envelope_from, &client(address, "mail.acme.example"));
        let dmarc = if records.contains(&REJECT) { "pass" } else { "none" };
        assert_eq!(judged.checks, Checks { dkim: "none", spf: "pass", dmarc }, "{records:?} {envelope_from} {address}");
        assert_eq!(judged.authentication, Authentication::Pass, "{records:?} {envelope_from} {address}");
    }
}

#[test]
fn au_03_spf_that_passes_for_another_domain_is_none() {
    let records = [SPF, ("evil.test", "v=spf1 +all"), ("other.acme.example.evil.test", "v=spf1 +all")];
    for envelope_from in ["x@evil.test", "x@other.acme.example.evil.test"] {
        let judged = came(&published(&records, &[]), MAIL, envelope_from, &client(OURS, "mx.evil.test"));
        // What whoever forges chose is not even looked at.
        assert_eq!((judged.authentication, judged.checks.spf), (Authentication::None, ""), "{envelope_from}");
    }
    let judged = came(&published(&records, &[]), MAIL, "<>", &client(OURS, "mx.evil.test"));
    assert_eq!((judged.authentication, judged.checks.spf), (Authentication::None, ""));
    // Of the same two labels, but not as strictly as the policy wants it.
    let strict = [("_dmarc.acme.example", "v=DMARC1; p=reject; aspf=s"), ("news.acme.example", SPF.1)];
    let judged = came(&published(&strict, &[]), MAIL, "x@news.acme.example", &client(OURS, ""));
    assert_eq!((judged.authentication, judged.checks.spf), (Authentication::None, "pass"));
    // A neighbour under a suffix that many share, and under one that a host lets out, is anybody else, and hides no forgery.
    for suffix in ["co.uk", "github.io"] {
        let (acme, evil) = (format!("acme.{suffix}"), format!("evil.{suffix}"));
        let mail = MAIL.replace("acme.example", &acme);
        let policy = format!("_dmarc.{acme}");
        for (policy, wanted) in
            [(None, Authentication::None), (Some((policy.as_str(), "v=DMARC1; p=reject")), Authentication::Fail)]
        {
            let records: Vec<_> = std::iter::once((evil.as_str(), "v=spf1 +all")).chain(policy).collect();
            let check = published(&records, &[&evil]);
            let judged = came(&check, &signed_by(&evil, &mail), &format!("x@{evil}"), &client(OURS, ""));
            assert_eq!((judged.authentication, judged.checks.spf, judged.checks.dkim), (wanted, "", "none"), "{evil}");
        }
    }
    // Nor does who has a name below a suffix speak for who lets it out.
    let mail = MAIL.replace("acme.example", "uk.com");
    let check = published(&[("_dmarc.uk.com", "v=DMARC1; p=none"), ("evil.uk.com", "v=spf1 +all")], &["evil.uk.com"]);
    let judged = came(&check, &signed_by("evil.uk.com", &mail), "x@evil.uk.com", &client(OURS, ""));
    assert_eq!(judged.authentication, Authentication::None);
}

/// RFC 7208, 2.4 and 4.3: the null sender stands for the greeting, and where that is no name nothing is found, so that a policy
/// is not met by it. Whoever forges chooses both.
#[test]
fn au_03_a_null_sender_and_a_greeting_that_is_no_name_do_not_leave_a_forgery_in_doubt() {
    for (envelope_from, greeting) in [
        ("<>", "[192.0.2.1]"),
        ("<>", "localhost"),
        ("<>", "a b"),
        ("<>", "\u{fffd}"),
        ("MAILER-DAEMON", "[]"),
        ("<>", "mail.evil.test"),
        // A sender without a domain.
        ("claire", "mail.acme.example"),
        ("<claire>", ""),
    ] {
        for (records, wanted) in [(vec![SPF, REJECT], Authentication::Fail), (vec![SPF], Authentication::None)] {
            let judged = came(&published(&records, &[]), MAIL, envelope_from, &client(OURS, greeting));
            assert_eq!((judged.authentication, judged.checks.spf), (wanted, ""), "{envelope_from} {greeting}");
        }
        // A signature that holds is as good as ever.
        let check = published(&[SPF, REJECT], &["acme.example"]);
        let judged = came(&check, &signed_by("acme.example", MAIL), envelope_from, &client(STRANGER, greeting));
        assert_eq!(judged.authentication, Authentication::Pass, "{envelope_from} {greeting}");
    }
    // The name itself may pass, and may not.
    let helo = [("mail.acme.example", SPF.1), REJECT];
    for (address, wanted) in [(OURS, Authentication::Pass), (STRANGER, Authentication::Fail)] {
        let judged = came(&published(&helo, &[]), MAIL, "MAILER-DAEMON", &client(address, "mail.acme.example"));
        assert_eq!(judged.authentication, wanted, "{address}");
    }
}

#[test]
fn au_03_spf_that_does_not_pass_makes_a_fail_only_where_the_domain_asks_for_refusal() {
    let stranger = client(STRANGER, "mail.acme.example");
    for (text, spf) in [
        (SPF.1, "fail"),
        ("v=spf1 ~all", "softfail"),
        ("v=spf1 ?all", "neutral"),
        ("no such record", "none"),
        ("v=spf1 include:nothing.test -all", "permerror"),
    ] {
        let path = ("acme.example", text);
        for (policy, wanted) in [
            (Some(REJECT), Authentication::Fail),
            (Some(("_dmarc.acme.example", "v=DMARC1; p=none")), Authentication::None),
            (None, Authentication::None),
        ] {
            let records: Vec<_> = std::iter::once(path).chain(policy).collect();
            let judged = came(&published(&records, &[]), MAIL, "claire@acme.example", &stranger);
            assert_eq!((judged.checks.spf, judged.authentication), (spf, wanted), "{records:?}");
        }
    }
    // A signature that holds is enough.
    let check = published(&[SPF, REJECT], &["acme.example"]);
    let judged = came(&check, &signed_by("acme.example", MAIL), "claire@acme.example", &stranger);
    assert_eq!(judged.authentication, Authentication::Pass);
    assert_eq!(judged.checks, Checks { dkim: "pass", spf: "fail", dmarc: "pass" });
    // Without DNS nobody knows the addresses of a name.
    let records = [("acme.example", "v=spf1 a mx -all"), REJECT];
    let judged = came(&published(&records, &[]), MAIL, "claire@acme.example", &stranger);
    assert_eq!((judged.checks.spf, judged.authentication), ("temperror", Authentication::None));
}

#[test]
fn au_03_without_a_machine_or_a_sender_in_the_envelope_spf_is_not_asked() {
    let check = published(&[SPF, REJECT], &[]);
    for (envelope_from, client) in [
        ("claire@acme.example", None),
        ("<>", None),
        ("", Some(client(OURS, "mail.acme.example"))),
        // The server does not tell how it greeted.
        ("<>", Some(client(OURS, ""))),
    ] {
        let judged = judge_delivered(&check, &runtime(), MAIL, envelope_from, client.as_ref(), now());
        assert_eq!(judged, Judgement::NOTHING, "{envelope_from} {client:?}");
    }
}

#[test]
fn au_04_spf_asks_dns_and_remembers_and_takes_nothing_from_others() {
    const A: u16 = 1;
    const MX: u16 = 15;
    let server = Server::answering(|name| match name {
        "acme.example" => vec![
            text("v=spf1 mx a:web.acme.example -all"),
            (MX, [&[0, 10], &wire_name("mx.acme.example")[..]].concat()),
        ],
        "mx.acme.example" => vec![(A, vec![192, 0, 2, 1])],
        "web.acme.example" => vec![(A, vec![192, 0, 2, 2])],
        "_dmarc.acme.example" => vec![text("v=DMARC1; p=reject")],
        // Whoever publishes these has names of ACME's looked up as what they are not.
        "evil.test" => vec![text("v=spf1 -all exp=acme.example")],
        "evil2.test" => vec![text("v=spf1 include:_dmarc.acme.example -all")],
        _ => Vec::new(),
    });
    let check = asking(server.address);
    for evil in ["evil.test", "evil2.test"] {
        let mail = MAIL.replace("acme.example", evil);
        let judged = came(&check, &mail, &format!("x@{evil}"), &client(STRANGER, ""));
        assert_eq!(judged.authentication, Authentication::None, "{evil}");
    }
    let before = server.asked.load(Ordering::Relaxed);
    for (address, wanted) in
        [("192.0.2.1", Authentication::Pass), ("192.0.2.2", Authentication::Pass), (STRANGER, Authentication::Fail)]
    {
        let judged = came(&check, MAIL, "claire@acme.example", &client(address, ""));
        assert_eq!(judged.authentication, wanted, "{address} {:?}", judged.checks);
    }
    let asked = server.asked.load(Ordering::Relaxed);
    assert!(asked - before <= 12, "{}", asked - before);
    assert_eq!(came(&check, MAIL, "claire@acme.example", &client(OURS, "")).authentication, Authentication::Pass);
    let again = server.asked.load(Ordering::Relaxed) - asked;
    server.end();
    assert!(again <= 1, "{again}");
}

#[test]
fn ft_31_spf_that_never_ends_or_is_poison_costs_no_more_than_the_budget_and_is_no_pass() {
    let itself = |_: &str| -> Answers { vec![text("v=spf1 include:acme.example include:x.acme.example -all")] };
    let chain = |name: &str| -> Answers { vec![text(&format!("v=spf1 include:a.{name} -all"))] };
    let redirect = |name: &str| -> Answers { vec![text(&format!("v=spf1 redirect={name}"))] };
    let pointers =
        |_: &str| -> Answers { vec![text("v=spf1 ptr exists:%{i}.%{l1r+-}.%{d2} a mx -all exp=%{s}.acme.example")] };
    let huge = |_: &str| -> Answers { vec![text(&format!("v=spf1 {}-all", "a:acme.example ".repeat(3_500)))] };
    let broken = |_: &str| -> Answers { vec![text("v=spf1 ip4:999.1.1.1/99 a:%{zz} -all")] };
    let poisons: [fn(&str) -> Answers; 6] = [itself, chain, redirect, pointers, huge, broken];
    for (number, poison) in poisons.into_iter().enumerate() {
        let server = Server::answering(poison);
        let check = asking_for(server.address, Duration::from_millis(100));
        let sender = "+-._=%{i}\"'\\é@acme.example";
        for envelope_from in ["claire@acme.example", sender] {
            let judged = came(&check, MAIL, envelope_from, &client(STRANGER, "mail.acme.example"));
            assert_ne!(judged.authentication, Authentication::Pass, "{number}");
        }
        let asked = server.asked.load(Ordering::Relaxed);
        assert!(asked < 150, "{number}: {asked}");
        server.end();
    }
}
