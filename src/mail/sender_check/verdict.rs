//! What follows from what was found.

use mail_auth::dmarc::Policy;
use mail_auth::{DkimOutput, DkimResult, DmarcOutput, DmarcResult, SpfOutput, SpfResult};

use super::{Arrived, Checks};
use crate::mail::authentication::{Authentication, are_aligned};
use crate::mail::client::Client;
use crate::mail::organisation::may_speak_for;

/// The way that a mail came, as far as SPF can speak for the domain in From.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Path<'a> {
    /// It cannot: the envelope names a sender elsewhere, or nobody for whom anything can be found.
    Elsewhere,
    /// It may, and it is not known which machine delivered, or whom the envelope names.
    Unknown,
    /// It is to be asked.
    Known {
        client: &'a Client,
        /// As SPF takes it: nothing for the null sender, which stands for the name of the machine.
        sender: String,
        domain: String,
    },
}

impl<'a> Path<'a> {
    pub(super) fn of(mail: &Arrived<'a>) -> Path<'a> {
        let is_of_from = |domain: &str| may_speak_for(domain, mail.from.domain());
        match (mail.envelope_from.rsplit_once('@'), mail.client) {
            (Some((local_part, domain)), client) => {
                let domain = idna::domain_to_ascii(domain.trim_end_matches(['>', '.'])).unwrap_or_default();
                match client {
                    _ if !is_of_from(&domain) => Path::Elsewhere,
                    Some(client) => Path::Known { client, sender: format!("{local_part}@{domain}"), domain },
                    None => Path::Unknown,
                }
            }
            // The null sender stands for the name of the machine (RFC 7208, 2.4). Where that is no name, nothing can be found
            // for it (4.3), so nothing passes; where the server does not tell what it was, that is not known.
            (None, Some(client)) if is_null(mail.envelope_from) => match client.name() {
                "" if client.greeted_uselessly() => Path::Elsewhere,
                "" => Path::Unknown,
                name if is_of_from(name) => Path::Known { client, sender: String::new(), domain: name.to_owned() },
                _ => Path::Elsewhere,
            },
            // A sender without a domain: nothing can be found for it either.
            (None, Some(_)) if !mail.envelope_from.trim().is_empty() => Path::Elsewhere,
            (None, _) => Path::Unknown,
        }
    }

    /// Whose machines SPF is asked for; nothing where it is not asked.
    pub(super) fn domain(&self) -> &str {
        match self {
            Path::Known { domain, .. } => domain,
            Path::Elsewhere | Path::Unknown => "",
        }
    }
}

/// The null sender, as envelopes have it and as Postfix hands it to programs (pipe(8), `null_sender`).
fn is_null(envelope_from: &str) -> bool {
    let bare = envelope_from.trim();
    bare == "<>" || bare.trim_matches(['<', '>']).eq_ignore_ascii_case("mailer-daemon")
}

/// What was found, as far as the verdict needs it.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Found {
    /// Domains whose signature holds.
    signed_by: Vec<String>,
    /// Some signature could not be looked up.
    signature_in_doubt: bool,
    /// `None` where it was not asked.
    path: Option<SpfResult>,
    policy: FoundPolicy,
    pub(super) checks: Checks,
}

#[derive(Debug, Default, PartialEq)]
enum FoundPolicy {
    /// The domain publishes none.
    #[default]
    None,
    /// It could not be looked up.
    InDoubt,
    Published {
        /// A signature that holds, or the path, is of the same organisation as From, as the policy wants it.
        is_met: bool,
        asks_for_refusal: bool,
    },
}

impl Found {
    pub(super) fn new(dkim: &[DkimOutput<'_>], spf: Option<&SpfOutput>, dmarc: &DmarcOutput) -> Found {
        let passed = dkim.iter().filter(|output| *output.result() == DkimResult::Pass);
        let policy = match (dmarc.dkim_result(), dmarc.spf_result()) {
            (DmarcResult::TempError(_), _) | (_, DmarcResult::TempError(_)) => FoundPolicy::InDoubt,
            (by_signature, by_path) if dmarc.dmarc_record().is_some() => FoundPolicy::Published {
                is_met: *by_signature == DmarcResult::Pass || *by_path == DmarcResult::Pass,
                asks_for_refusal: matches!(dmarc.policy(), Policy::Quarantine | Policy::Reject),
            },
            _ => FoundPolicy::None,
        };
        let signed_by: Vec<String> =
            passed.filter_map(|output| output.signature()).map(|signature| signature.d.clone()).collect();
        let signature_in_doubt = dkim.iter().any(|output| matches!(output.result(), DkimResult::TempError(_)));
        let path = spf.map(SpfOutput::result);
        let checks = Checks {
            dkim: match dkim {
                [] => "none",
                _ if !signed_by.is_empty() => "pass",
                _ if signature_in_doubt => "temperror",
                _ => "fail",
            },
            spf: path.as_ref().map_or("", name_of_path),
            dmarc: match policy {
                FoundPolicy::None => "none",
                FoundPolicy::InDoubt => "temperror",
                FoundPolicy::Published { is_met: true, .. } => "pass",
                FoundPolicy::Published { is_met: false, .. } => "fail",
            },
        };
        Found { signed_by, signature_in_doubt, path, policy, checks }
    }
}

fn name_of_path(result: &SpfResult) -> &'static str {
    match result {
        SpfResult::Pass => "pass",
        SpfResult::Fail => "fail",
        SpfResult::SoftFail => "softfail",
        SpfResult::Neutral => "neutral",
        SpfResult::TempError => "temperror",
        SpfResult::PermError => "permerror",
        SpfResult::None => "none",
    }
}

/// pass: the policy of the domain is met by a signature or the path, or it has none and one of them is its own. fail: it asks
/// for quarantine or refusal, no signature meets it, and the way that the mail came did not and cannot have met it either.
/// Everything else is none (AU-03), also where a signature or path of the same organisation holds: the library takes it for
/// another's when it cannot look up which it is.
pub(super) fn verdict(found: &Found, from: &str, path: &Path<'_>) -> Authentication {
    let path_passed = found.path == Some(SpfResult::Pass);
    let path_in_doubt = *path == Path::Unknown || path_passed || found.path == Some(SpfResult::TempError);
    match found.policy {
        FoundPolicy::Published { is_met: true, .. } => Authentication::Pass,
        FoundPolicy::Published { asks_for_refusal: true, .. }
            if !found.signature_in_doubt && found.signed_by.is_empty() && !path_in_doubt =>
        {
            Authentication::Fail
        }
        FoundPolicy::None
            if found.signed_by.iter().any(|domain| are_aligned(domain, from))
                || path_passed && are_aligned(path.domain(), from) =>
        {
            Authentication::Pass
        }
        FoundPolicy::None | FoundPolicy::InDoubt | FoundPolicy::Published { .. } => Authentication::None,
    }
}
