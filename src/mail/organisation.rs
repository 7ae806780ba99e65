//! Which organisation a domain is of, by the list of public suffixes (<https://publicsuffix.org>) that is compiled in: the name
//! below a suffix under which strangers have theirs, be it `co.uk` or one that a host lets out, such as `github.io`. What the
//! list does not know counts by its last two labels. It is as old as the program, so nothing is believed because of it alone.

use std::borrow::Cow;

/// The domain of the organisation, in lower case; of a suffix, and of a name without a dot, that itself.
pub fn organisation_of(domain: &str) -> Cow<'_, str> {
    let domain = canonical(domain);
    match registered(&domain).map(str::len) {
        Some(length) if length < domain.len() => Cow::Owned(domain[domain.len() - length..].to_owned()),
        _ => domain,
    }
}

/// Whether strangers have their domains below this one, which makes it nobody's: a suffix, or a name without a dot.
pub fn is_shared_suffix(domain: &str) -> bool {
    registered(&canonical(domain)).is_none()
}

/// Whether who signs or sends for `domain` may speak for `from`: both are of one organisation, or `from` lies below it.
pub fn may_speak_for(domain: &str, from: &str) -> bool {
    let (domain, from) = (canonical(domain), canonical(from));
    organisation_of(&domain) == organisation_of(&from)
        || from.strip_suffix(&*domain).is_some_and(|rest| rest.ends_with('.'))
}

fn canonical(domain: &str) -> Cow<'_, str> {
    let domain = domain.trim_end_matches('.');
    match domain.bytes().any(|byte| byte.is_ascii_uppercase()) {
        true => Cow::Owned(domain.to_ascii_lowercase()),
        false => Cow::Borrowed(domain),
    }
}

fn registered(domain: &str) -> Option<&str> {
    psl::domain_str(domain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn au_03_neighbours_under_a_suffix_are_not_of_one_organisation() {
        for (domain, organisation) in [
            ("acme.example", "acme.example"),
            ("Mail.EU.Acme.example.", "acme.example"),
            ("news.acme.co.uk", "acme.co.uk"),
            ("a.b.acme.github.io", "acme.github.io"),
            ("acme.uk.com", "acme.uk.com"),
            ("xn--bcher-kva.xn--p1ai", "xn--bcher-kva.xn--p1ai"),
            ("co.uk", "co.uk"),
            ("github.io", "github.io"),
            ("localhost", "localhost"),
            ("", ""),
        ] {
            assert_eq!(organisation_of(domain), organisation, "{domain}");
            let is_suffix = matches!(domain, "co.uk" | "github.io" | "localhost" | "");
            assert_eq!(is_shared_suffix(domain), is_suffix, "{domain}");
        }
        assert!(may_speak_for("acme.co.uk", "mail.ACME.co.uk"));
        assert!(may_speak_for("news.acme.co.uk", "mail.acme.co.uk"));
        // A host for what it lets out, for its name servers are asked for that.
        assert!(may_speak_for("github.io", "acme.github.io"));
        for (domain, from) in [
            ("evil.co.uk", "acme.co.uk"),
            ("evil.github.io", "acme.github.io"),
            ("evil.uk.com", "uk.com"),
            ("", "acme.example"),
        ] {
            assert!(!may_speak_for(domain, from), "{domain} {from}");
        }
    }
}
