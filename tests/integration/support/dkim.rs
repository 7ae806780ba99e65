//! Signatures of mail that went out, checked as whoever gets it checks them, with the records that its domain publishes.
//! No name is looked up anywhere: there is no server to ask.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::path::Path;
use std::time::Instant;

use accord::config::dkim::Selector;
use mail_auth::common::parse::TxtRecordParser;
use mail_auth::common::verify::DomainKey;
use mail_auth::hickory_resolver::config::{ResolverConfig, ResolverOpts};
use mail_auth::{AuthenticatedMessage, DkimResult, MessageAuthenticator, Parameters, ResolverCache, Txt};

/// The keys of these tests, which sign nothing else.
pub const KEYS: [(&str, &str); 2] = [
    ("rsa", include_str!("../../fixtures/dkim/rsa.pem")),
    ("ed25519", include_str!("../../fixtures/dkim/ed25519.pem")),
];

/// Settings by which mail from that domain is signed, with key files in `folder`: `dkim = […]` of `[mail]`.
pub fn settings(folder: &Path, domain: &str) -> String {
    let entries = KEYS.map(|(name, pem)| {
        let file = folder.join(format!("{name}.pem"));
        std::fs::write(&file, pem).unwrap();
        std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        format!("{name}._domainkey.{domain} = {}", file.display())
    });
    format!("dkim = {entries:?}")
}

/// What is published, as far as a test published it.
#[derive(Default)]
pub struct Published(HashMap<Box<str>, Txt>);

impl Published {
    pub fn keys(selectors: &[Selector]) -> Published {
        let record = |selector: &Selector| {
            let key = DomainKey::parse(selector.record().as_bytes()).unwrap();
            (format!("{}.", selector.record_name()).into_boxed_str(), key.into())
        };
        Published(selectors.iter().map(record).collect())
    }
}

impl ResolverCache<Box<str>, Txt> for Published {
    fn get<Q>(&self, name: &Q) -> Option<Txt>
    where
        Box<str>: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.0.get(name).cloned()
    }

    fn remove<Q>(&self, _: &Q) -> Option<Txt>
    where
        Box<str>: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        None
    }

    fn insert(&self, _: Box<str>, _: Txt, _: Instant) {}
}

/// Each signature on the mail: by which key, and whether it holds.
pub fn check(bytes: &[u8], published: &Published) -> Vec<(String, bool)> {
    let nobody = ResolverConfig::from_parts(None, Vec::new(), Vec::new());
    let authenticator = MessageAuthenticator::new(nobody, ResolverOpts::default()).unwrap();
    let message = AuthenticatedMessage::parse(bytes).expect("a mail");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let outputs = runtime.block_on(authenticator.verify_dkim(Parameters::new(&message).with_txt_cache(published)));
    let name = |output: &mail_auth::DkimOutput<'_>| {
        let signature = output.signature().expect("a signature that can be read");
        format!("{}._domainkey.{}", signature.s, signature.d)
    };
    outputs.iter().map(|output| (name(output), *output.result() == DkimResult::Pass)).collect()
}
