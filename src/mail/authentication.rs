//! Whether the sender's domain stands by a mail ("authentication result A"), read from the `Authentication-Results`
//! fields of the one host that is trusted (AU-01). Nothing is checked here against DNS (`sender_check` does), and whatever is odd counts as
//! no result (AU-02): such a field is written by a program, so there is no reason to be generous.

mod provider;

pub use provider::read_topmost;

use super::organisation::is_shared_suffix;

/// What is known of the sender's domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Authentication {
    /// The domain in From stands by the mail.
    Pass,
    /// Nothing is known, as for many small senders.
    None,
    /// The domain in From says that such mail is to be refused.
    Fail,
}

impl Authentication {
    /// The result of that [`Authentication::name`].
    pub fn from_name(name: &str) -> Option<Authentication> {
        [Authentication::Pass, Authentication::None, Authentication::Fail].into_iter().find(|one| one.name() == name)
    }

    /// The word under which it is recorded.
    pub fn name(self) -> &'static str {
        match self {
            Authentication::Pass => "pass",
            Authentication::None => "none",
            Authentication::Fail => "fail",
        }
    }
}

/// A field longer than this is no longer read.
const LONGEST_FIELD: usize = 8 * 1024;
/// More results in one field than any mail server writes.
const MOST_RESULTS: usize = 50;

/// Reads the result for a mail whose From has `from_domain`.
///
/// `headers` are names in lower case with unfolded values, top of the mail first. `trusted_authserv_id` is the name under
/// which our own mail server writes its results, given only when the mail came through that server. It writes them
/// above its own `Received` field; whatever stands below the first `Received` was already there when the mail arrived,
/// and is not looked at.
/// `None` when that server says nothing at all of the mail.
pub fn read(
    headers: &[(String, String)],
    trusted_authserv_id: Option<&str>,
    from_domain: &str,
) -> Option<Authentication> {
    let trusted = trusted_authserv_id?;
    let mut results = Vec::new();
    let mut is_told = false;
    for (name, value) in headers.iter().take_while(|(name, _)| name != "received") {
        if name != "authentication-results" {
            continue;
        }
        match parse_field(value, trusted) {
            Field::Ours(found) => {
                is_told = true;
                results.extend(found);
            }
            Field::Foreign => {}
            Field::Odd => return Some(Authentication::None),
        }
    }
    is_told.then(|| judge(&results, from_domain))
}

/// pass: DMARC passed, or DKIM or SPF passed for a domain aligned with From's. fail: DMARC failed and the domain asks for
/// quarantine or refusal. Everything else is none (AU-03).
fn judge(results: &[MethodResult], from_domain: &str) -> Authentication {
    let mut dmarc = results.iter().filter(|result| result.method == "dmarc");
    if let Some(dmarc_result) = dmarc.next() {
        let is_about_from =
            dmarc_result.property("header.from").is_some_and(|domain| domain.eq_ignore_ascii_case(from_domain));
        if dmarc.next().is_some() || !is_about_from {
            return Authentication::None;
        }
        match dmarc_result.result.as_str() {
            "pass" => return Authentication::Pass,
            "fail" if dmarc_result.asks_for_refusal => return Authentication::Fail,
            // The domain publishes a policy, and neither signature nor path agree with From.
            "fail" => return Authentication::None,
            // No policy, or no answer: the single methods speak.
            "none" | "temperror" | "permerror" => {}
            _ => return Authentication::None,
        }
    }
    let passes = |method: &str, properties: [&str; 2]| {
        results.iter().filter(|result| result.method == method && result.result == "pass").any(|result| {
            let value = properties.iter().find_map(|property| result.property(property));
            value.and_then(domain_of).is_some_and(|domain| are_aligned(domain, from_domain))
        })
    };
    if passes("dkim", ["header.d", "header.i"]) || passes("spf", ["smtp.mailfrom", "smtp.mail"]) {
        Authentication::Pass
    } else {
        Authentication::None
    }
}

/// Whether two domains belong to one organisation: they are the same, or one is below the other and the upper one is no suffix
/// under which strangers have their domains. Relaxed alignment proper would also join two sub-domains of one domain; this is
/// stricter, for a domain whose sub-domains are given to others publishes a DMARC policy if it cares.
pub fn are_aligned(one: &str, other: &str) -> bool {
    let (one, other) = (one.to_ascii_lowercase(), other.to_ascii_lowercase());
    let is_below = |lower: &str, upper: &str| {
        lower.strip_suffix(upper).is_some_and(|rest| rest.ends_with('.')) && !is_shared_suffix(upper)
    };
    !one.is_empty() && (one == other || is_below(&one, &other) || is_below(&other, &one))
}

/// The domain of `user@domain`, `@domain` or `domain`.
fn domain_of(value: &str) -> Option<&str> {
    let domain = value.rsplit_once('@').map_or(value, |(_, domain)| domain);
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    (!domain.is_empty() && domain.chars().all(is_name)).then_some(domain)
}

/// One `method=result` with its properties.
#[derive(Debug, Default, PartialEq)]
struct MethodResult {
    method: String,
    result: String,
    properties: Vec<(String, String)>,
    /// Whether a comment or a policy property gives the domain's policy as quarantine or reject.
    asks_for_refusal: bool,
}

impl MethodResult {
    /// The value of a property that is given exactly once.
    fn property(&self, name: &str) -> Option<&str> {
        let mut values =
            self.properties.iter().filter(|(property, _)| property == name).map(|(_, value)| value.as_str());
        let value = values.next()?;
        values.next().is_none().then_some(value)
    }
}

#[derive(Debug, PartialEq)]
enum Field {
    /// Written by the trusted host.
    Ours(Vec<MethodResult>),
    /// Written under another name.
    Foreign,
    /// Not as RFC 8601 has it, or nearly: whoever wrote it, it is not to be relied on.
    Odd,
}

fn parse_field(value: &str, trusted: &str) -> Field {
    if value.len() > LONGEST_FIELD {
        return Field::Odd;
    }
    let Some(tokens) = tokenize(value) else {
        // Damage in a field that another host wrote is that host's affair.
        return if value.to_ascii_lowercase().contains(&trusted.to_ascii_lowercase()) {
            Field::Odd
        } else {
            Field::Foreign
        };
    };
    let mut sections = tokens.split(|token| *token == Token::Semicolon);
    let names: Vec<&str> = sections.next().unwrap_or_default().iter().filter_map(Token::word).collect();
    match names.as_slice() {
        [name] if name.eq_ignore_ascii_case(trusted) => {}
        [name, "1"] if name.eq_ignore_ascii_case(trusted) => {}
        names if names.iter().any(|name| name.eq_ignore_ascii_case(trusted)) => return Field::Odd,
        _ => return Field::Foreign,
    }
    parse_results(sections)
}

fn parse_results<'a>(sections: impl Iterator<Item = &'a [Token]>) -> Field {
    let mut results = Vec::new();
    for section in sections {
        let words: Vec<&str> = section.iter().filter_map(Token::word).collect();
        match words.as_slice() {
            [] => continue,
            ["none"] => continue,
            _ => {}
        }
        match parse_result(section) {
            Some(result) if results.len() < MOST_RESULTS => results.push(result),
            _ => return Field::Odd,
        }
    }
    Field::Ours(results)
}

/// `method[/version]=result` and then `ptype.property=value`, `reason=…` and comments.
fn parse_result(section: &[Token]) -> Option<MethodResult> {
    let mut parsed = MethodResult::default();
    for token in section {
        match token {
            Token::Comment(text) => parsed.asks_for_refusal |= policy_in_comment(text),
            Token::Word(word) => {
                let (name, value) = word.split_once('=')?;
                let (name, value) = (name.to_ascii_lowercase(), value.to_owned());
                if value.is_empty() {
                    return None;
                }
                if parsed.method.is_empty() {
                    let method = name.split_once('/').map_or(name.as_str(), |(method, _)| method);
                    let is_keyword = |text: &str| {
                        !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
                    };
                    if !is_keyword(method) || !is_keyword(&value) {
                        return None;
                    }
                    parsed.method = method.to_owned();
                    parsed.result = value.to_ascii_lowercase();
                } else if name == "reason" {
                    continue;
                } else {
                    let (ptype, property) =
                        name.split_once('.').or((name == "action").then_some(("policy", "action")))?;
                    if ptype.is_empty() || property.is_empty() {
                        return None;
                    }
                    parsed.asks_for_refusal |= ptype == "policy" && is_refusal(&value);
                    parsed.properties.push((name, value));
                }
            }
            Token::Quoted => continue,
            Token::Semicolon => return None,
        }
    }
    (!parsed.method.is_empty()).then_some(parsed)
}

/// `p=reject`, `policy=quarantine` and the like, as the usual programs write a domain's policy beside a DMARC result.
fn policy_in_comment(comment: &str) -> bool {
    comment.split(|c: char| c.is_whitespace() || c == ',' || c == ';').any(|word| {
        word.split_once('=').is_some_and(|(name, value)| {
            matches!(name.to_ascii_lowercase().as_str(), "p" | "policy") && is_refusal(value)
        })
    })
}

/// `oreject`: the domain asks for refusal, and Microsoft 365 lets the mail through all the same.
fn is_refusal(value: &str) -> bool {
    ["reject", "quarantine", "oreject"].iter().any(|word| value.eq_ignore_ascii_case(word))
}

#[derive(Debug, PartialEq)]
enum Token {
    Word(String),
    Comment(String),
    /// A quoted `reason`, whose text is of no use.
    Quoted,
    Semicolon,
}

impl Token {
    fn word(&self) -> Option<&str> {
        match self {
            Token::Word(word) => Some(word),
            _ => None,
        }
    }
}

/// Words, comments and semicolons. A sender chooses local parts, which servers copy into comments and values: a quote or
/// a backslash there, a comment within a comment, control characters or anything outside ASCII means that somebody may
/// be trying to break out, and the whole field is given up.
fn tokenize(value: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut word = String::new();
    let mut chars = value.chars().peekable();
    let finish = |word: &mut String, tokens: &mut Vec<Token>| {
        if !word.is_empty() {
            tokens.push(Token::Word(std::mem::take(word)));
        }
    };
    while let Some(c) = chars.next() {
        match c {
            ' ' | '\t' => {
                // Spaces around "=" are allowed and mean nothing.
                while chars.next_if(|next| matches!(next, ' ' | '\t')).is_some() {}
                if chars.peek() != Some(&'=') && !word.ends_with('=') {
                    finish(&mut word, &mut tokens);
                }
            }
            ';' => {
                finish(&mut word, &mut tokens);
                tokens.push(Token::Semicolon);
            }
            '(' => {
                finish(&mut word, &mut tokens);
                let mut comment = String::new();
                loop {
                    match chars.next()? {
                        ')' => break,
                        '(' | '"' | '\\' => return None,
                        c if c.is_ascii() && !c.is_ascii_control() || c == '\t' => comment.push(c),
                        _ => return None,
                    }
                }
                tokens.push(Token::Comment(comment));
            }
            '"' if word.eq_ignore_ascii_case("reason=") => {
                word.clear();
                loop {
                    match chars.next()? {
                        '"' => break,
                        '\\' => return None,
                        c if c.is_ascii() && !c.is_ascii_control() => {}
                        _ => return None,
                    }
                }
                tokens.push(Token::Quoted);
            }
            ')' | '"' | '\\' | '<' | '>' | ',' => return None,
            c if c.is_ascii_graphic() => word.push(c),
            _ => return None,
        }
    }
    finish(&mut word, &mut tokens);
    Some(tokens)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: &str = "mx.vendor.example";

    fn headers(fields: &[(&str, &str)]) -> Vec<(String, String)> {
        fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    /// The result for one field that stands where our server puts it.
    fn result(value: &str) -> Authentication {
        let headers = headers(&[
            ("return-path", "<anne@acme.example>"),
            ("authentication-results", value),
            ("received", "from mail.acme.example by mx.vendor.example"),
            ("from", "anne@acme.example"),
        ]);
        read(&headers, Some(OURS), "acme.example").unwrap_or(Authentication::None)
    }

    #[test]
    fn au_03_pass_is_dmarc_or_an_aligned_signature_or_path() {
        for value in [
            "mx.vendor.example; dmarc=pass header.from=acme.example",
            "mx.vendor.example 1; dmarc=pass header.from=ACME.example",
            "MX.Vendor.Example; dmarc=pass (p=reject dis=none) header.from=acme.example",
            "mx.vendor.example; dkim=pass header.d=acme.example header.s=s1 header.b=AbC/1+",
            "mx.vendor.example; dkim=pass (2048-bit key) header.i=@acme.example header.s=s1",
            "mx.vendor.example; dkim=fail reason=\"signature; verification failed\" header.d=other.example; \
             dkim=pass header.d=mail.acme.example",
            "mx.vendor.example; dmarc=none header.from=acme.example; spf=pass smtp.mailfrom=bounce@news.acme.example",
            "mx.vendor.example; spf=pass (mx.vendor.example: domain of anne@acme.example designates 192.0.2.1 as \
             permitted sender) smtp.mailfrom=anne@acme.example smtp.helo=mail.acme.example",
            "mx.vendor.example ; dkim = pass header.d = acme.example",
        ] {
            assert_eq!(result(value), Authentication::Pass, "{value}");
        }
    }

    #[test]
    fn au_03_fail_is_a_dmarc_failure_where_the_domain_asks_for_refusal() {
        for value in [
            "mx.vendor.example; dmarc=fail (p=reject dis=none) header.from=acme.example",
            "mx.vendor.example; dmarc=fail (p=QUARANTINE sp=NONE dis=NONE) header.from=acme.example",
            "mx.vendor.example; dmarc=fail action=quarantine header.from=acme.example",
            "mx.vendor.example; dmarc=fail reason=\"SPF not aligned, No valid DKIM\" header.from=acme.example (policy=reject)",
            "mx.vendor.example; dmarc=fail policy.published-domain-policy=reject header.from=acme.example",
            "mx.vendor.example; dkim=pass header.d=evil.example; dmarc=fail (p=reject) header.from=acme.example",
        ] {
            assert_eq!(result(value), Authentication::Fail, "{value}");
        }
    }

    #[test]
    fn au_03_everything_else_is_none() {
        for value in [
            "mx.vendor.example; none",
            "mx.vendor.example",
            "mx.vendor.example; dkim=none; spf=softfail smtp.mailfrom=anne@acme.example",
            "mx.vendor.example; dmarc=fail (p=none dis=none) header.from=acme.example",
            "mx.vendor.example; dmarc=bestguesspass header.from=acme.example",
            "mx.vendor.example; dkim=pass header.d=evil.example",
            "mx.vendor.example; dkim=pass header.d=notacme.example",
            "mx.vendor.example; dkim=pass header.d=example",
            "mx.vendor.example; spf=pass smtp.helo=acme.example",
            "mx.vendor.example; dkim=pass",
        ] {
            assert_eq!(result(value), Authentication::None, "{value}");
        }
    }

    #[test]
    fn au_02_a_dmarc_result_about_another_domain_or_given_twice_says_nothing() {
        for value in [
            "mx.vendor.example; dmarc=pass header.from=evil.example",
            "mx.vendor.example; dmarc=pass",
            "mx.vendor.example; dmarc=pass header.from=acme.example header.from=evil.example",
            "mx.vendor.example; dmarc=pass header.from=acme.example; dmarc=fail (p=reject) header.from=acme.example",
            "mx.vendor.example; dmarc=fail header.from=evil.example; dmarc=pass header.from=acme.example",
            "mx.vendor.example; dmarc=fail (p=none) header.from=acme.example; dkim=pass header.d=acme.example",
        ] {
            assert_eq!(result(value), Authentication::None, "{value}");
        }
    }

    #[test]
    fn au_02_adv_38_forged_and_injected_fields_say_nothing() {
        for value in [
            // Another host's, and names that only look like ours.
            "mx.evil.example; dmarc=pass header.from=acme.example",
            "mx.vendor.example.evil.example; dmarc=pass header.from=acme.example",
            "mx.vendor.exampl\u{435}; dmarc=pass header.from=acme.example",
            "m\u{2060}x.vendor.example; dmarc=pass header.from=acme.example",
            "(mx.vendor.example) evil.example; dmarc=pass header.from=acme.example",
            // Two ids, another version.
            "mx.vendor.example mx.evil.example; dmarc=pass header.from=acme.example",
            "evil.example mx.vendor.example; dmarc=pass header.from=acme.example",
            "mx.vendor.example 2; dmarc=pass header.from=acme.example",
            // A local part that tries to break out of a comment or a value.
            "mx.vendor.example; spf=none (domain of \"a) ; dmarc=pass header.from=acme.example; x=(b\"@evil.example)",
            "mx.vendor.example; spf=pass smtp.mailfrom=\"x; dmarc=pass header.from=acme.example; y\"@evil.example",
            "mx.vendor.example; spf=none (a (nested) comment); dmarc=pass header.from=acme.example",
            "mx.vendor.example; spf=none (unclosed; dmarc=pass header.from=acme.example",
            "mx.vendor.example; spf=none unopened); dmarc=pass header.from=acme.example",
            "mx.vendor.example; spf=none reason=\"a\\\"b\"; dmarc=pass header.from=acme.example",
            // No method=result.
            "mx.vendor.example; dmarc pass header.from=acme.example",
            "mx.vendor.example; dmarc=; dkim=pass header.d=acme.example",
            "mx.vendor.example; dmarc=pass from=acme.example",
            "mx.vendor.example; dmarc=pass header.from=<acme.example>",
            "mx.vendor.example; dmarc=pass\u{0} header.from=acme.example",
            "mx.vendor.example; dmarc=pass header.from=acme.example; dkim=pass header.d=acm\u{e9}.example",
            "",
            ";",
        ] {
            assert_eq!(result(value), Authentication::None, "{value}");
        }
        let long = format!("mx.vendor.example; dmarc=pass header.from=acme.example; x=y {}", "(a)".repeat(4000));
        assert_eq!(result(&long), Authentication::None);
        let many = format!("mx.vendor.example; dmarc=pass header.from=acme.example{}", "; x=y".repeat(60));
        assert_eq!(result(&many), Authentication::None);
    }

    #[test]
    fn au_01_only_fields_above_our_received_and_only_from_a_trusted_hop_count() {
        const PASS: (&str, &str) = ("authentication-results", "mx.vendor.example; dmarc=pass header.from=acme.example");
        let received = ("received", "from mail.acme.example by mx.vendor.example");
        let below = headers(&[received, PASS]);
        assert_eq!(read(&below, Some(OURS), "acme.example"), None);
        let above = headers(&[PASS, received]);
        assert_eq!(read(&above, Some(OURS), "acme.example"), Some(Authentication::Pass));
        assert_eq!(read(&above, None, "acme.example"), None);
        assert_eq!(read(&above, Some("mx.other.example"), "acme.example"), None);
        assert_eq!(read(&[], Some(OURS), "acme.example"), None);
    }

    #[test]
    fn au_01_what_the_trusted_server_says_counts_even_if_it_is_that_it_knows_nothing() {
        for value in ["mx.vendor.example; none", "mx.vendor.example", "mx.vendor.example; dmarc pass"] {
            let told = headers(&[("authentication-results", value), ("received", "by mx.vendor.example")]);
            assert_eq!(read(&told, Some(OURS), "acme.example"), Some(Authentication::None), "{value}");
        }
    }

    #[test]
    fn au_01_results_of_several_fields_are_read_together() {
        let both = headers(&[
            ("authentication-results", "mx.vendor.example; dmarc=none header.from=acme.example"),
            ("authentication-results", "other.example; dmarc=fail (p=reject) header.from=acme.example"),
            ("authentication-results", "mx.vendor.example; dkim=pass header.d=acme.example"),
            ("received", "by mx.vendor.example"),
        ]);
        assert_eq!(read(&both, Some(OURS), "acme.example"), Some(Authentication::Pass));
    }

    #[test]
    fn au_03_alignment_is_the_same_domain_or_one_below_the_other() {
        assert!(are_aligned("acme.example", "ACME.example"));
        assert!(are_aligned("mail.acme.example", "acme.example"));
        assert!(are_aligned("acme.example", "mail.acme.example"));
        assert!(!are_aligned("a.acme.example", "b.acme.example"));
        assert!(!are_aligned("xacme.example", "acme.example"));
        assert!(!are_aligned("example", "acme.example"));
        assert!(!are_aligned("", "acme.example"));
        // Who has a name below a suffix has none of the suffix's own.
        for suffix in ["co.uk", "uk.com", "github.io"] {
            assert!(!are_aligned(&format!("evil.{suffix}"), suffix), "{suffix}");
            assert!(!are_aligned(suffix, &format!("acme.{suffix}")), "{suffix}");
        }
        assert!(are_aligned("mail.acme.co.uk", "acme.co.uk"));
    }
}
