//! Whether the domain of a sender stands by a mail, found out here, where no trusted mail server in front of us says so
//! (AU-03, AU-04): by the mail's own signatures (DKIM), by whether the machine that delivered may send for the domain of the
//! envelope's sender (SPF), where the way in tells which machine that was, and by what the domain asks for (DMARC).
//!
//! Whoever writes a mail chooses what is looked up for it, and how slowly that answers. So only signatures and envelopes that
//! can count are looked at, for five seconds in all, and for so long in a minute, whoever writes; what is not known then counts
//! as nothing. Of a mail that can be read in more than one way no signature counts.
//!
//! What a forwarder says it found (ARC, RFC 8617) counts as nothing: who says so must be trusted by name, and a mail that was
//! forwarded unchanged passes by its author's own signature.

mod name_servers;
mod patience;
mod records;
#[cfg(test)]
pub(super) mod tests;
mod verdict;

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use mail_auth::common::crypto::Algorithm;
use mail_auth::dmarc::verify::DmarcParameters;
use mail_auth::hickory_resolver::TokioResolver;
use mail_auth::hickory_resolver::config::{ResolverConfig, ResolverOpts};
use mail_auth::hickory_resolver::net::runtime::TokioRuntimeProvider;
use mail_auth::spf::verify::SpfParameters;
use mail_auth::{AuthenticatedMessage, MessageAuthenticator, Parameters, SpfOutput};
use tokio::runtime::Runtime;
use tokio::time::Instant;

use super::address::EmailAddress;
use super::authentication::Authentication;
use super::client::Client;
use super::limits::{HEADER_BLOCK_BYTES, HEADER_FIELDS};
use super::organisation::{may_speak_for, organisation_of};
use crate::clock::UtcTime;
use crate::config::sender_checks::SenderChecks;
use name_servers::NameServers;
pub(super) use name_servers::of_this_machine as name_servers;
use patience::Patience;
use records::Records;
use verdict::{Found, Path, verdict};

/// One question of a look-up; a second name server is asked after it.
const QUESTION: Duration = Duration::from_secs(2);
/// More signatures than mail collects on an honest way. Each costs a look-up.
const MOST_SIGNATURES: usize = 8;
/// More names of signed fields (`h=`) than anybody signs: who seals every field of a list twice has a hundred. Each is searched
/// for among all the fields of the mail, and among the names before it.
const MOST_SIGNED_NAMES: usize = 200;
/// Fields of which a mail has one (RFC 5322, 3.6; RFC 2045). A signature is about the last; a client may show the first.
const SINGLE: [&str; 12] = [
    "from",
    "sender",
    "reply-to",
    "to",
    "cc",
    "subject",
    "date",
    "message-id",
    "mime-version",
    "content-type",
    "content-transfer-encoding",
    "content-disposition",
];

/// Looks records up, and remembers what it found.
pub struct SenderCheck {
    source: Source,
    records: Records,
    patience: Patience,
}

enum Source {
    Off,
    Dns(NameServers),
    /// What is not in the records does not exist.
    Nowhere,
}

/// A mail as it came.
pub struct Arrived<'a> {
    pub raw: &'a [u8],
    /// Names in lower case; all fields of the mail.
    pub headers: &'a [(String, String)],
    pub from: &'a EmailAddress,
    /// Empty where the way in does not tell, `<>` for the null sender.
    pub envelope_from: &'a str,
    /// Which machine delivered it, where the way in tells.
    pub client: Option<&'a Client>,
}

/// What is known of the domain in From, and by what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    pub authentication: Authentication,
    pub checks: Checks,
}

/// What the single checks found, by the names of RFC 8601 (`pass`, `fail`, `temperror` …); empty for one that was not made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checks {
    /// Of the signatures of the organisation in From.
    pub dkim: &'static str,
    /// Of the machine that delivered, where the envelope names a sender of the organisation in From.
    pub spf: &'static str,
    pub dmarc: &'static str,
}

impl Judgement {
    /// That nothing is known, for nothing was looked at.
    pub const NOTHING: Judgement =
        Judgement { authentication: Authentication::None, checks: Checks { dkim: "", spf: "", dmarc: "" } };
}

impl std::fmt::Debug for SenderCheck {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.source {
            Source::Off => "SenderCheck(off)",
            Source::Dns(..) => "SenderCheck(DNS)",
            Source::Nowhere => "SenderCheck(records)",
        })
    }
}

impl SenderCheck {
    /// Whether nothing is ever looked up.
    pub fn is_off(&self) -> bool {
        matches!(self.source, Source::Off)
    }

    /// As the settings want it. As long as this machine names no name server, nothing is looked up; `accord check` says so.
    pub fn new(wanted: &SenderChecks) -> SenderCheck {
        let (source, records) = match wanted {
            SenderChecks::Off => (Source::Off, Records::default()),
            SenderChecks::Dns => (Source::Dns(NameServers::new(name_servers)), Records::default()),
            SenderChecks::Records(texts) => (Source::Nowhere, Records::only(texts)),
        };
        SenderCheck { source, records, patience: Patience::default() }
    }

    /// The name servers that it would ask, or why there are none.
    pub fn asks(wanted: &SenderChecks) -> Result<String, String> {
        match wanted {
            SenderChecks::Off => Ok("nothing is looked up".to_owned()),
            SenderChecks::Records(texts) => Ok(format!("looked up in a file with {} names, nowhere else", texts.len())),
            SenderChecks::Dns => {
                let (config, _) =
                    name_servers().map_err(|error| format!("this machine names no name server: {error}"))?;
                let servers: Vec<_> = config.name_servers().iter().map(|server| server.ip.to_string()).collect();
                Ok(format!("looked up in DNS, by {}", servers.join(", ")))
            }
        }
    }

    /// What is known of the domain in From. It may take the whole budget, so it is for no transaction, and for no place
    /// before the mail is acknowledged.
    pub fn judge(&self, mail: &Arrived<'_>, now: UtcTime) -> Judgement {
        if matches!(self.source, Source::Off) {
            return Judgement::NOTHING;
        }
        // What a look-up and its timer need, for this mail only: nothing of it lives on.
        match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => self.judge_on(&runtime, mail, now),
            Err(_) => Judgement::NOTHING,
        }
    }

    fn judge_on(&self, runtime: &Runtime, mail: &Arrived<'_>, now: UtcTime) -> Judgement {
        let raw = in_whole_lines(mail.raw);
        // The library unwraps here and there.
        let judged = catch_unwind(AssertUnwindSafe(|| {
            let mut message = message_with_signatures(raw.as_deref().unwrap_or(mail.raw), mail)?;
            if raw.is_none() {
                message.dkim_headers.clear();
            }
            let path = Path::of(mail);
            if message.dkim_headers.is_empty() && path == Path::Unknown {
                // Whatever the domain publishes, nothing follows from it.
                return None;
            }
            let from = mail.from.domain();
            let found = self.find(runtime, &message, &path, from, now)?;
            Some(Judgement { authentication: verdict(&found, from, &path), checks: found.checks })
        }));
        judged.ok().flatten().unwrap_or(Judgement::NOTHING)
    }

    /// `None` when it is not known in time.
    fn find(
        &self,
        runtime: &Runtime,
        message: &AuthenticatedMessage<'_>,
        path: &Path<'_>,
        from: &str,
        now: UtcTime,
    ) -> Option<Found> {
        let organisation = organisation_of(from);
        runtime.block_on(async {
            let authenticator = self.authenticator(now)?;
            let began = Instant::now();
            let patience = self.patience.begin(&organisation, now, began.into_std());
            let look_up = async {
                let records = self.records.at(now);
                let dkim = authenticator.verify_dkim(Parameters::new(message).with_txt_cache(&records));
                // Whether the machine may send for the domain, where that is to be asked.
                let spf = async {
                    let Path::Known { client, sender, .. } = path else { return None };
                    let (paths, exchanges) = (self.records.of_paths_at(now), self.records.exchanges_at(now));
                    let (addresses, addresses6) = (self.records.addresses_at(now), self.records.addresses6_at(now));
                    let asked = SpfParameters::verify_mail_from(client.address(), client.name(), "", sender);
                    let asked = Parameters::new(asked).with_txt_cache(&paths).with_mx_cache(&exchanges);
                    let asked = asked.with_ipv4_cache(&addresses).with_ipv6_cache(&addresses6);
                    Some(authenticator.verify_spf(asked).await)
                };
                let (dkim, spf) = tokio::join!(dkim, spf);
                let not_asked = SpfOutput::default();
                let parameters = DmarcParameters {
                    message,
                    dkim_output: &dkim,
                    dkim2_output: None,
                    rfc5321_mail_from_domain: path.domain(),
                    spf_output: spf.as_ref().unwrap_or(&not_asked),
                };
                let dmarc = authenticator.verify_dmarc(Parameters::new(parameters).with_txt_cache(&records)).await;
                Found::new(&dkim, spf.as_ref(), &dmarc)
            };
            let found = tokio::time::timeout(patience, look_up).await.ok();
            self.patience.end(&organisation, began.elapsed(), now, Instant::now().into_std());
            found
        })
    }

    fn authenticator(&self, now: UtcTime) -> Option<MessageAuthenticator> {
        let (config, options) = match &self.source {
            Source::Dns(servers) => servers.at(now)?,
            Source::Off | Source::Nowhere => {
                (ResolverConfig::from_parts(None, Vec::new(), Vec::new()), ResolverOpts::default())
            }
        };
        // Name servers of a machine are asked in the clear. Without roots of its own the resolver would read the machine's
        // for each mail, and give up where there are none.
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().ok()?;
        let tls = tls.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth();
        let resolver = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        Some(MessageAuthenticator(resolver.with_options(options).with_tls_config(tls).build().ok()?))
    }
}

/// The mail as the library reads it, with the signatures that may count; `None` where it reads another sender than we do.
/// Where a field is twice that a mail has once, what was signed need not be what is shown, and none counts.
fn message_with_signatures<'a>(raw: &'a [u8], mail: &Arrived<'_>) -> Option<AuthenticatedMessage<'a>> {
    let mut message = AuthenticatedMessage::parse(raw)?;
    if message.from != [mail.from.canonical()] {
        return None;
    }
    let ours = mail.headers.iter().map(|(name, _)| Cow::from(name.as_str()));
    let theirs = message.headers.iter().map(|(name, _)| String::from_utf8_lossy(name));
    // Of a header past these limits we read a part (L-02), and a signature, which costs as much as it names, is of all of it.
    let is_within_limits = message.headers.len() <= HEADER_FIELDS && message.raw_headers().len() <= HEADER_BLOCK_BYTES;
    if !is_within_limits || !is_unambiguous(ours) || !is_unambiguous(theirs) {
        message.dkim_headers.clear();
    }
    message.dkim_headers.retain(|field| {
        let signature = &field.header;
        // RFC 8301 and RFC 6376, 5.4: such a signature says nothing, and the library takes both. One of another organisation
        // says nothing of the sender, and whoever forges would choose what it costs to find that out, as by how many names it has.
        signature.a != Algorithm::RsaSha1
            && signature.h.len() <= MOST_SIGNED_NAMES
            && signature.h.iter().any(|name| name.eq_ignore_ascii_case("from"))
            && may_speak_for(&signature.d, mail.from.domain())
    });
    for field in &mut message.dkim_headers {
        // Nobody is sent reports, and nobody else signs for a domain.
        (field.header.r, field.header.atps) = (false, None);
    }
    Some(message)
}

/// Whether no field that a mail has once is there twice, and signatures are few.
fn is_unambiguous<'a>(names: impl Iterator<Item = Cow<'a, str>>) -> bool {
    let mut singles = [0; SINGLE.len()];
    let mut signatures = 0;
    for name in names {
        let name = name.trim().to_ascii_lowercase();
        if let Some(place) = SINGLE.iter().position(|single| *single == name) {
            singles[place] += 1;
        } else if name == "dkim-signature" {
            signatures += 1;
        }
    }
    singles.iter().all(|count| *count <= 1) && signatures <= MOST_SIGNATURES
}

/// The bytes with CRLF between lines. A mail that came with LF alone, as pipes hand it over, had CRLF when it was signed; one
/// that mixes them, or has a lone CR, is read in several ways, and a signature speaks for one.
fn in_whole_lines(raw: &[u8]) -> Option<Cow<'_, [u8]>> {
    let (mut alone, mut pairs) = (0_usize, 0_usize);
    let mut before = 0;
    for byte in raw {
        match (before, *byte) {
            (b'\r', b'\n') => pairs += 1,
            (b'\r', _) => return None,
            (_, b'\n') => alone += 1,
            _ => {}
        }
        before = *byte;
    }
    match (alone, pairs) {
        _ if before == b'\r' => None,
        (0, _) => Some(Cow::Borrowed(raw)),
        (_, 0) => {
            let mut whole = Vec::with_capacity(raw.len() + alone);
            for line in raw.split_inclusive(|byte| *byte == b'\n') {
                match line.strip_suffix(b"\n") {
                    Some(line) => whole.extend_from_slice(&[line, b"\r\n"].concat()),
                    None => whole.extend_from_slice(line),
                }
            }
            Some(Cow::Owned(whole))
        }
        _ => None,
    }
}
