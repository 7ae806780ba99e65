//! The result for mail fetched from an account of a provider (AU-05). What a provider writes stands among fields of its own
//! machines, and what came with the mail below it, so the topmost field alone is looked at; one that another wrote says
//! nothing.

use super::{Authentication, Field, LONGEST_FIELD, Token, judge, parse_field, parse_results, tokenize};
use crate::config::imap::ResultsBy;

/// Reads the result for a mail whose From has `from_domain`, fetched from an account where `results` are believed. `headers` are
/// as for [`super::read`].
pub fn read_topmost(headers: &[(String, String)], results: &ResultsBy, from_domain: &str) -> Option<Authentication> {
    let (_, value) = headers.iter().find(|(name, _)| name == "authentication-results")?;
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

    const GOOGLE: &str = "mx.google.com; dkim=pass header.i=@acme.example header.s=s1 header.b=AbC; spf=pass (google.com: domain \
                          of anne@acme.example designates 192.0.2.1 as permitted sender) smtp.mailfrom=anne@acme.example; \
                          dmarc=pass (p=REJECT sp=REJECT dis=NONE) header.from=acme.example";
    const MICROSOFT: &str = "spf=pass (sender IP is 192.0.2.1) smtp.mailfrom=acme.example; dkim=pass (signature was verified) \
                             header.d=acme.example;dmarc=pass action=none header.from=acme.example;compauth=pass reason=100";

    fn topmost(fields: &[&str], results: &ResultsBy) -> Option<Authentication> {
        let mut all = vec![("received", "by 2002:a05:6000:1 with SMTP id x")];
        all.extend(fields.iter().map(|value| ("authentication-results", *value)));
        all.push(("from", "anne@acme.example"));
        let all: Vec<_> = all.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        read_topmost(&all, results, "acme.example")
    }

    #[test]
    fn au_05_a_provider_s_own_word_counts_and_only_the_topmost() {
        let google = ResultsBy::Named(vec!["mx.google.com".to_owned()]);
        assert_eq!(topmost(&[GOOGLE], &google), Some(Authentication::Pass));
        assert_eq!(topmost(&[GOOGLE, "mx.evil.test; none"], &google), Some(Authentication::Pass));
        // Google writes on top; below stands what the sender wrote.
        assert_eq!(
            topmost(&["mx.google.com; dmarc=none header.from=acme.example", GOOGLE], &google),
            Some(Authentication::None)
        );
        assert_eq!(topmost(&["mx.evil.test; dmarc=pass header.from=acme.example", GOOGLE], &google), None);
        assert_eq!(topmost(&[MICROSOFT], &google), None);
        assert_eq!(topmost(&[GOOGLE], &ResultsBy::Nobody), None);
        assert_eq!(topmost(&[], &google), None);
        let both = ResultsBy::Named(vec!["mx.one.example".to_owned(), "mx.google.com".to_owned()]);
        assert_eq!(topmost(&[GOOGLE], &both), Some(Authentication::Pass));
        assert_eq!(
            topmost(&["mx.google.com \"x\"; dmarc=pass header.from=acme.example"], &google),
            Some(Authentication::None)
        );
    }

    #[test]
    fn au_05_microsoft_writes_under_no_name() {
        let microsoft = ResultsBy::Microsoft;
        assert_eq!(topmost(&[MICROSOFT], &microsoft), Some(Authentication::Pass));
        assert_eq!(topmost(&[GOOGLE], &microsoft), None);
        assert_eq!(topmost(&[GOOGLE, MICROSOFT], &microsoft), None);
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
