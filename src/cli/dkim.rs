//! `accord dkim`: makes the keys by which a domain signs its mail, and says what is to be published of them (OUT-07). The
//! settings and the DNS are changed by who may, not by this.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;

use clap::{Args, Subcommand};
use data_encoding::BASE64;
use zeroize::Zeroizing;

use crate::cli::{Common, fail, load_config, say};
use crate::clock::Clock;
use crate::config::Overrides;
use crate::config::dkim::{self, Selector};
use crate::secret::random_bytes;

const EXAMPLES: &str = "\
Once for each domain that your mailboxes are in:

  accord dkim make example.com --folder /etc/accord

It makes two keys, prints the lines for the settings and the records for the DNS of the domain. Publish the records first, then
set the keys and start Accord anew. Records of keys that are set already are printed by

  accord dkim records --config /etc/accord/accord.toml

A key is replaced by making another: publish its record, set it, and leave the old record for a week, since mail under way is
signed with the old key.";

/// The file of an Ed25519 key up to the key itself (RFC 8410, section 7).
const ED25519_FILE: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
/// What makes an RSA key. No library here does, but one whose arithmetic is not to be trusted with keys.
const OPENSSL: [&str; 5] = ["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"];

/// Arguments of `accord dkim`.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Dkim {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Make two keys for a domain, one RSA and one Ed25519, each in a file of its own that only this user can read.
    Make(Make),
    /// Print the records of the keys that are set, as they stand in a zone file.
    Records,
}

#[derive(Args)]
struct Make {
    /// The domain of the addresses that mail is written from
    domain: String,
    /// Where the files go
    #[arg(long, value_name = "DIR", default_value = ".")]
    folder: PathBuf,
    /// The beginning of the keys' names [default: accord and the month]
    #[arg(long, value_name = "NAME")]
    selector: Option<String>,
}

impl Dkim {
    /// Runs the command.
    pub fn run(&self, common: &Common) -> ExitCode {
        match &self.what {
            What::Make(make) => match make.carry_out() {
                Ok(selectors) => {
                    tell(&selectors);
                    ExitCode::SUCCESS
                }
                Err(reason) => fail(reason),
            },
            What::Records => {
                let config = match load_config(common, Overrides::default()) {
                    Ok(config) => config,
                    Err(code) => return code,
                };
                if config.mail.dkim.is_empty() {
                    return fail("no key is set in mail.dkim; make one with accord dkim make");
                }
                config.mail.dkim.iter().for_each(|selector| println!("{}", selector.zone_line()));
                ExitCode::SUCCESS
            }
        }
    }
}

impl Make {
    fn carry_out(&self) -> Result<Vec<Selector>, String> {
        let domain = idna::domain_to_ascii_strict(&self.domain)
            .ok()
            .filter(|domain| domain.contains('.'))
            .ok_or_else(|| format!("«{}» is not a domain, such as example.com", self.domain))?;
        let month = Clock::system().now().date().format("%Y%m");
        let beginning = self.selector.clone().unwrap_or_else(|| format!("accord{month}")).to_ascii_lowercase();
        if !dkim::is_name(&beginning) {
            return Err(format!("«{beginning}» is not a name: letters, digits and hyphens"));
        }
        let mut selectors = Vec::new();
        for (kind, make) in [("rsa", rsa as fn() -> Result<_, String>), ("ed25519", || Ok(ed25519()))] {
            let name = format!("{beginning}-{kind}");
            let file = self.folder.join(format!("{name}.{domain}.pem"));
            write_new(&file, &make()?)?;
            let key = dkim::load(&file)?;
            selectors.push(Selector { name, domain: domain.clone(), file, key: Arc::new(key) });
        }
        Ok(selectors)
    }
}

fn rsa() -> Result<Zeroizing<Vec<u8>>, String> {
    let by_hand = format!("openssl {}", OPENSSL.join(" "));
    let made = Command::new("openssl").args(OPENSSL).stdin(Stdio::null()).output().map_err(|error| {
        format!("an RSA key is made by the program openssl, which does not run here ({error}); install it, or run «{by_hand}» elsewhere")
    })?;
    let pem = Zeroizing::new(made.stdout);
    if !made.status.success() || dkim::parse(&pem).is_none() {
        return Err(format!("«{by_hand}» made no key: {}", String::from_utf8_lossy(&made.stderr).trim()));
    }
    Ok(pem)
}

fn ed25519() -> Zeroizing<Vec<u8>> {
    let seed = Zeroizing::new(random_bytes::<32>());
    let der = Zeroizing::new([&ED25519_FILE[..], seed.as_slice()].concat());
    let text = Zeroizing::new(BASE64.encode(&der));
    Zeroizing::new(format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", *text).into_bytes())
}

fn write_new(path: &Path, pem: &[u8]) -> Result<(), String> {
    let written = std::fs::File::options().write(true).create_new(true).mode(0o600).open(path).and_then(|mut file| {
        file.write_all(pem)?;
        file.sync_all()
    });
    written
        .map_err(|error| format!("the key file {} cannot be written ({error}); nothing was replaced", path.display()))
}

/// What goes into the DNS goes to standard output, so that it can be taken from there.
fn tell(selectors: &[Selector]) {
    say("Publish these records in the DNS of the domain:\n");
    selectors.iter().for_each(|selector| println!("{}", selector.zone_line()));
    say("\nOnce they can be looked up, add to the settings and start Accord anew:\n\n[mail]\ndkim = [");
    for selector in selectors {
        say(format_args!("    \"{} = {}\",", selector.record_name(), selector.file.display()));
    }
    say("]");
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::config::dkim::Algorithm;

    #[test]
    fn out_07_an_ed25519_key_that_is_made_can_be_used_and_is_for_nobody_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.pem");
        write_new(&path, &ed25519()).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let key = Arc::new(dkim::load(&path).unwrap());
        let selector = Selector { name: "s".to_owned(), domain: "garonne.example".to_owned(), file: path.clone(), key };
        assert_eq!(selector.algorithm(), Algorithm::Ed25519);
        assert!(write_new(&path, &ed25519()).unwrap_err().contains("nothing was replaced"));
        assert_eq!(
            selector.record(),
            Selector { key: Arc::new(dkim::load(&path).unwrap()), ..selector.clone() }.record()
        );
    }
}
