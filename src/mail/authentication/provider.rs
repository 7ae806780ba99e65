//! The result for mail fetched from an account of a provider (AU-05). What a provider writes stands among fields of its own
//! machines, and what came with the mail below it, so the topmost field alone is looked at; one that another wrote says
//! nothing. Nor does one that the mail brought along: so every server that the mail passed since must be the provider's.

use std::net::Ipv6Addr;

use super::{Authentication, Field, LONGEST_FIELD, Token, judge, parse_field, parse_results, tokenize};
use crate::config::imap::ResultsBy;

/// Reads the result for a mail whose From has `from_domain`, fetched from an account where `results` are believed. `headers` are
/// as for [`super::read`].
pub fn read_topmost(headers: &[(String, String)], results: &ResultsBy, from_domain: &str) -> Option<Authentication> {
    let at = headers.iter().position(|(name, _)| name == "authentication-results")?;
    let (_, value) = &headers[at];
    let (above, below) = headers.split_at(at);
    let servers = |fields: &[(String, String)]| {
        let values = fields.iter().filter(|(name, _)| name == "received").map(|(_, value)| received_by(value));
        values.map(|host| host.is_some_and(|host| is_of(&host, results))).collect::<Vec<bool>>()
    };
    let since = servers(above);
    // Where none stands above, who received the mail last wrote the field.
    let is_theirs = if since.is_empty() { servers(below).first().copied()? } else { !since.contains(&false) };
    if !is_theirs {
        return None;
    }
    let field = match results {
        ResultsBy::Nobody => return None,
        ResultsBy::Named(names) => {
            let fields = names.iter().map(|name| parse_field(value, name));
            fields.reduce(|one, other| if one == Field::Foreign { other } else { one })?
        }
        ResultsBy::Microsoft => parse_nameless(value),
    };
    match field {
        Field::Ours(found) => Some(judge(&found, from_domain)),
        Field::Odd => Some(Authentication::None),
        Field::Foreign => None,
    }
}

/// By whom a `Received` field says that the mail was received (RFC 5321, 4.4), in lower case. The sender chooses the name after
/// "from", so it is read strictly: one "by", where it belongs, and all comments closed.
fn received_by(value: &str) -> Option<String> {
    let (mut bare, mut depth) = (String::new(), 0_usize);
    for c in value.chars() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.checked_sub(1)?,
            '"' | '\\' if depth == 0 => return None,
            c if depth == 0 => bare.push(c),
            _ => {}
        }
    }
    let bare = bare.to_ascii_lowercase();
    let words: Vec<&str> = bare.split(';').next()?.split_whitespace().collect();
    let is_one = depth == 0 && words.iter().filter(|word| **word == "by").count() == 1;
    match words.as_slice() {
        ["by", host, ..] | ["from", _, "by", host, ..] if is_one => Some((*host).to_owned()),
        _ => None,
    }
}

/// Whether that host is of those whose results are believed.
fn is_of(host: &str, results: &ResultsBy) -> bool {
    let is_below = |domain: &str| host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'));
    match results {
        ResultsBy::Nobody => false,
        ResultsBy::Microsoft => is_below("outlook.com") || is_below("outlook.office365.com"),
        ResultsBy::Named(names) => names.iter().any(|name| {
            let name = name.to_ascii_lowercase();
            if name == GOOGLE {
                return host == GOOGLE || is_google_s_own(host);
            }
            host == name || is_below(&name) || parent(&name).is_some_and(|parent| host == parent || is_below(parent))
        }),
    }
}

const GOOGLE: &str = "mx.google.com";

/// Google writes its inner machines as addresses of the network 10 in the form of 6to4 (RFC 3056).
fn is_google_s_own(host: &str) -> bool {
    host.parse::<Ipv6Addr>().is_ok_and(|address| address.segments()[0] == 0x2002 && address.segments()[1] >> 8 == 10)
}

/// The domain in which a host is, where it is sure to be somebody's: "example.com" of "mx.example.com", but nothing of
/// "example.co.uk".
fn parent(name: &str) -> Option<&str> {
    let (_, parent) = name.split_once('.')?;
    let (label, rest) = parent.split_once('.')?;
    let may_be_public = !rest.contains('.') && rest.len() == 2 && label.len() <= 4;
    (!may_be_public).then_some(parent)
}

/// The field as Microsoft 365 writes it: results from the first word on, under no name.
fn parse_nameless(value: &str) -> Field {
    let tokens = if value.len() > LONGEST_FIELD { None } else { tokenize(value) };
    let Some(tokens) = tokens else { return Field::Odd };
    if !tokens.first().and_then(Token::word).is_some_and(|word| word.contains('=')) {
        return Field::Foreign;
    }
    parse_results(tokens.split(|token| *token == Token::Semicolon))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOGLE_SAYS: &str = "mx.google.com; dkim=pass header.i=@acme.example header.s=s1 header.b=AbC; spf=pass (google.com: domain \
                          of anne@acme.example designates 192.0.2.1 as permitted sender) smtp.mailfrom=anne@acme.example; \
                          dmarc=pass (p=REJECT sp=REJECT dis=NONE) header.from=acme.example";
    const MICROSOFT: &str = "spf=pass (sender IP is 192.0.2.1) smtp.mailfrom=acme.example; dkim=pass (signature was verified) \
                             header.d=acme.example;dmarc=pass action=none header.from=acme.example;compauth=pass reason=100";

    fn topmost(fields: &[&str], results: &ResultsBy) -> Option<Authentication> {
        let by = match results {
            ResultsBy::Microsoft => {
                "from x.eur03.prod.protection.outlook.com (2603:10a6::1) by y.eurprd10.prod.outlook.com (2603:10a6::2) \
                 with Microsoft SMTP Server (version=TLS1_2, cipher=X) id 15.20; Mon, 23 Nov 2026 08:00:00 +0000"
            }
            _ => "by 2002:a05:6000:1::1 with SMTP id x; Mon, 23 Nov 2026 00:00:00 -0800 (PST)",
        };
        let mut all = vec![("received", by)];
        all.extend(fields.iter().map(|value| ("authentication-results", *value)));
        all.push(("from", "anne@acme.example"));
        let all: Vec<_> = all.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        read_topmost(&all, results, "acme.example")
    }

    #[test]
    fn au_05_a_provider_s_own_word_counts_and_only_the_topmost() {
        let google = ResultsBy::Named(vec!["mx.google.com".to_owned()]);
        assert_eq!(topmost(&[GOOGLE_SAYS], &google), Some(Authentication::Pass));
        assert_eq!(topmost(&[GOOGLE_SAYS, "mx.evil.test; none"], &google), Some(Authentication::Pass));
        // Google writes on top; below stands what the sender wrote.
        assert_eq!(
            topmost(&["mx.google.com; dmarc=none header.from=acme.example", GOOGLE_SAYS], &google),
            Some(Authentication::None)
        );
        assert_eq!(topmost(&["mx.evil.test; dmarc=pass header.from=acme.example", GOOGLE_SAYS], &google), None);
        assert_eq!(topmost(&[MICROSOFT], &google), None);
        assert_eq!(topmost(&[GOOGLE_SAYS], &ResultsBy::Nobody), None);
        assert_eq!(topmost(&[], &google), None);
        let both = ResultsBy::Named(vec!["mx.one.example".to_owned(), "mx.google.com".to_owned()]);
        assert_eq!(topmost(&[GOOGLE_SAYS], &both), Some(Authentication::Pass));
        assert_eq!(
            topmost(&["mx.google.com \"x\"; dmarc=pass header.from=acme.example"], &google),
            Some(Authentication::None)
        );
    }

    #[test]
    fn au_05_a_mail_that_passed_others_since_brings_no_word_of_the_provider_s() {
        let google = ResultsBy::Named(vec!["mx.google.com".to_owned()]);
        let read = |fields: &[(&str, &str)], results: &ResultsBy| {
            let all: Vec<_> = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            read_topmost(&all, results, "acme.example")
        };
        let told = ("authentication-results", GOOGLE_SAYS);
        let by_google =
            ("received", "from mail.acme.example (acme.example [192.0.2.1]) by mx.google.com with ESMTPS id x");
        let by_gateway =
            ("received", "from mx.google.com (mx.google.com [192.0.2.2]) by gateway.corp.example with ESMTP");
        assert_eq!(read(&[told, by_google], &google), Some(Authentication::Pass));
        assert_eq!(read(&[told, by_google, by_gateway], &google), Some(Authentication::Pass));
        // Put there by somebody, as a file.
        assert_eq!(read(&[told], &google), None);
        assert_eq!(read(&[told, by_gateway], &google), None);
        assert_eq!(read(&[by_gateway, told, by_google], &google), None);
        assert_eq!(read(&[by_google, by_gateway, told, by_google], &google), None);
        // What a sender calls itself is not who received.
        for feigned in [
            "from x (by mx.google.com) by gateway.corp.example with ESMTP",
            "from x by mx.google.com (unknown [192.0.2.1]) by gateway.corp.example with ESMTP",
            "from x by mx.google.com ( (unknown [192.0.2.1]) by gateway.corp.example with ESMTP",
            "from by mx.google.com by gateway.corp.example",
            "from x) by mx.google.com (by gateway.corp.example",
            "from x by mx.google.com.evil.test",
            "from x by 2001:db8::1",
            "",
        ] {
            assert_eq!(read(&[("received", feigned), told], &google), None, "{feigned}");
        }
        let microsoft = ("authentication-results", MICROSOFT);
        assert_eq!(read(&[by_gateway, microsoft], &ResultsBy::Microsoft), None);
        assert_eq!(read(&[microsoft], &ResultsBy::Microsoft), None);
        let named = |name: &str, host: &str| is_of(host, &ResultsBy::Named(vec![name.to_owned()]));
        assert!(named("mx.acme.example", "mx.acme.example") && named("MX.acme.example", "imap.acme.example"));
        assert!(!named("mx.acme.example", "acme.example.evil.test") && !named("acme.co.uk", "evil.co.uk"));
        assert!(!named("acme.example", "evil.example") && named("mx.acme.co.uk", "imap.acme.co.uk"));
    }

    #[test]
    fn au_05_microsoft_writes_under_no_name() {
        let microsoft = ResultsBy::Microsoft;
        assert_eq!(topmost(&[MICROSOFT], &microsoft), Some(Authentication::Pass));
        assert_eq!(topmost(&[GOOGLE_SAYS], &microsoft), None);
        assert_eq!(topmost(&[GOOGLE_SAYS, MICROSOFT], &microsoft), None);
        for action in ["oreject", "quarantine", "reject"] {
            let failed = format!(
                "spf=fail (sender IP is 192.0.2.1) smtp.mailfrom=evil.test; dkim=none (message not signed) header.d=none;\
                 dmarc=fail action={action} header.from=acme.example;compauth=fail reason=000"
            );
            assert_eq!(topmost(&[&failed], &microsoft), Some(Authentication::Fail), "{action}");
        }
        let unknown = "spf=none (sender IP is 192.0.2.1) smtp.mailfrom=acme.example; dkim=none (message not signed) \
                       header.d=none;dmarc=none action=none header.from=acme.example;compauth=softpass reason=202";
        assert_eq!(topmost(&[unknown], &microsoft), Some(Authentication::None));
        assert_eq!(topmost(&["spf=pass (a \"b)"], &microsoft), Some(Authentication::None));
    }
}
