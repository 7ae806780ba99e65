//! `[http]`
//!
//! | key | meaning | default |
//! |---|---|---|
//! | `listen` | address and port to serve on; plain HTTP only on loopback or behind a trusted proxy | `127.0.0.1:8080` |
//! | `base_url` | how people reach this installation; every link in a mail begins with it | `http://` and `listen` |
//! | `tls.certificate`, `tls.key` | PEM files; with them Accord speaks HTTPS itself | none |
//! | `trusted_proxies` | addresses of proxies whose `Forwarded` and `X-Forwarded-For` are believed | none |
//! | `metrics_listen` | loopback address for `/metrics` and health, apart from people's traffic | none |
//! | `workers` | threads that serve requests | number of processors |

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use super::{Overrides, Reader};

/// How Accord is reached.
#[derive(Clone, Debug)]
pub struct HttpConfig {
    pub listen: SocketAddr,
    /// Without a slash at its end.
    pub base_url: String,
    pub tls: Option<TlsConfig>,
    pub trusted_proxies: Vec<IpAddr>,
    pub metrics_listen: Option<SocketAddr>,
    pub workers: usize,
}

/// The certificate chain and its key, both PEM.
#[derive(Clone, Debug)]
pub struct TlsConfig {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl HttpConfig {
    /// Whether people reach Accord over HTTPS, by itself or through a proxy.
    pub fn is_https(&self) -> bool {
        self.base_url.starts_with("https://")
    }

    pub(super) fn read(reader: &mut Reader, overrides: &Overrides) -> HttpConfig {
        let wanted = "an address and a port, such as 127.0.0.1:8080";
        let default: SocketAddr = ([127, 0, 0, 1], 8080).into();
        let mut listen = reader.value("http.listen", wanted, default);
        if let Some(text) = &overrides.listen {
            match text.parse() {
                Ok(address) => listen = address,
                Err(_) => reader.problem("--listen", &format!("must be {wanted}; «{text}» is not")),
            }
        }
        let certificate = reader.text("http.tls.certificate").map(PathBuf::from);
        let key = reader.text("http.tls.key").map(PathBuf::from);
        let tls = match (certificate, key) {
            (Some(certificate), Some(key)) => Some(TlsConfig { certificate, key }),
            (None, None) => None,
            (Some(_), None) => {
                reader.problem("http.tls.certificate", "set http.tls.key as well");
                None
            }
            (None, Some(_)) => {
                reader.problem("http.tls.key", "set http.tls.certificate as well");
                None
            }
        };
        let trusted_proxies: Vec<IpAddr> = reader
            .list("http.trusted_proxies")
            .iter()
            .filter_map(|text| {
                let address = text.parse().ok();
                if address.is_none() {
                    reader.problem("http.trusted_proxies", &format!("«{text}» is not an IP address"));
                }
                address
            })
            .collect();
        if !listen.ip().is_loopback() && tls.is_none() && trusted_proxies.is_empty() {
            reader.problem(
                "http.listen",
                "plain HTTP is served on loopback only; set http.tls.certificate and http.tls.key, or listen on \
                 127.0.0.1 behind a proxy, or name the proxy in http.trusted_proxies",
            );
        }
        let scheme = if tls.is_some() { "https" } else { "http" };
        let base_url = reader.text("http.base_url").unwrap_or_else(|| format!("{scheme}://{listen}"));
        let base_url = base_url.trim_end_matches('/').to_owned();
        if !is_base_url(&base_url) {
            reader.problem("http.base_url", "must be https:// or http:// and a host, without a path");
        }
        let metrics_listen = reader.text("http.metrics_listen").and_then(|text| match text.parse::<SocketAddr>() {
            Ok(address) => Some(address),
            Err(_) => {
                reader.problem("http.metrics_listen", &format!("must be {wanted}; «{text}» is not"));
                None
            }
        });
        let processors = std::thread::available_parallelism().map_or(2, std::num::NonZero::get) as u64;
        let workers = reader.number("http.workers", 1, 256, processors) as usize;
        HttpConfig { listen, base_url, tls, trusted_proxies, metrics_listen, workers }
    }
}

fn is_base_url(text: &str) -> bool {
    match url::Url::parse(text) {
        Ok(url) => {
            matches!(url.scheme(), "http" | "https")
                && url.host().is_some()
                && url.path() == "/"
                && url.query().is_none()
                && url.username().is_empty()
        }
        Err(_) => false,
    }
}
