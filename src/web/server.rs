//! The HTTP servers: people's traffic with TLS if configured, and metrics on an address of their own.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::middleware::from_fn;
use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{HttpServer, rt};
use rustix::process::{Resource, getrlimit};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpSocket;

use crate::app::App;
use crate::config::Problem;
use crate::config::http::{HttpConfig, TlsConfig};
use crate::web::api::token::TokenKeys;
use crate::web::diagnostics::live;
use crate::web::otlp::grant_tokens::GrantTokens;
use crate::web::page_error::{PageError, PageResult};
use crate::web::request_log::RequestLog;
use crate::web::signed_in::DemoBanner;
use crate::web::{guard, health, router};

/// Connections a worker thread takes at once; beyond, the operating system lets them wait (FT-16).
const CONNECTIONS: usize = 2_000;
/// Connections that wait to be taken, as actix has it.
const BACKLOG: u32 = 1_024;
/// Files that are left for the database, mail and whatever else the process has open.
const OTHER_FILES: u64 = 256;
/// Seconds for requests under way when the program is told to stop (FT-22).
const DRAIN_SECS: u64 = 8;

/// What one server instance is made of.
#[derive(Clone)]
pub struct Site {
    pub app: Arc<App>,
    pub log: Option<Data<RequestLog>>,
    pub demo: bool,
}

impl Site {
    /// Routes and data, for the servers and for tests alike. The caller wraps it in [`guard::guard`].
    pub fn configure(&self, config: &mut ServiceConfig) {
        config.app_data(Data::from(self.app.clone()));
        if let Some(log) = &self.log {
            config.app_data(log.clone());
        }
        if self.demo {
            config.app_data(Data::new(DemoBanner));
        }
        config.app_data(Data::new(TokenKeys::new(&self.app.keys, &self.app.config.http.base_url)));
        config.app_data(Data::new(GrantTokens::new(&self.app.keys, &self.app.config.http.base_url)));
        router::routes(config);
        config.default_service(web::to(nothing_here));
    }
}

async fn nothing_here() -> PageResult {
    Err(PageError::Domain(crate::error::Error::NotFound))
}

/// The addresses that are served on, and the certificate; open before anything of the installation is touched.
pub struct Listeners {
    people: TcpListener,
    tls: Option<ServerConfig>,
    metrics: Option<TcpListener>,
}

impl Listeners {
    /// Opens them, or tells everything that is wrong, each with what to do. Within a runtime.
    pub fn open(http: &HttpConfig) -> Result<Listeners, Vec<Problem>> {
        let mut problems = Vec::new();
        let mut or_problem =
            |outcome: Result<TcpListener, Problem>| outcome.map_err(|problem| problems.push(problem)).ok();
        let people = or_problem(listen("http.listen", http.listen));
        let metrics = http.metrics_listen.and_then(|address| or_problem(listen("http.metrics_listen", address)));
        let tls =
            http.tls.as_ref().map(tls_config).transpose().map_err(|problem| problems.push(problem)).ok().flatten();
        match people {
            Some(people) if problems.is_empty() => Ok(Listeners { people, tls, metrics }),
            _ => Err(problems),
        }
    }
}

fn listen(key: &str, address: SocketAddr) -> Result<TcpListener, Problem> {
    let opened = || -> io::Result<TcpListener> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        // Else a server that is started again would have to wait for what its connections left behind.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)?.into_std()
    };
    opened().map_err(|error| {
        let remedy = match error.kind() {
            io::ErrorKind::AddrInUse => "stop what listens there, or choose another port",
            io::ErrorKind::PermissionDenied => {
                "choose a port from 1024 on, or give the program the right to lower ones"
            }
            _ => "use an address of this machine",
        };
        problem(key, format!("{address} cannot be listened on ({error}); {remedy}"))
    })
}

fn problem(key: &str, text: String) -> Problem {
    Problem { key: key.to_owned(), line: None, text }
}

/// Starts serving. The future ends when the server has drained.
pub fn serve(
    site: Site,
    listeners: Listeners,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<Server> {
    let http = site.app.config.http.clone();
    let serving = site.clone();
    let server = HttpServer::new(move || {
        let site = serving.clone();
        actix_web::App::new().configure(move |config| site.configure(config)).wrap(from_fn(guard::guard))
    })
    .workers(http.workers)
    .max_connections(connections(getrlimit(Resource::Nofile).current, http.workers))
    .client_request_timeout(Duration::from_secs(5))
    .keep_alive(Duration::from_secs(75))
    .shutdown_timeout(DRAIN_SECS)
    .disable_signals()
    .shutdown_signal(async {
        shutdown.await;
        live::end_all();
    });
    let server = match listeners.tls {
        Some(tls) => server.listen_rustls_0_23(listeners.people, tls)?,
        None => server.listen(listeners.people)?,
    };
    if let Some(listener) = listeners.metrics {
        let app = site.app.clone();
        let metrics = HttpServer::new(move || {
            actix_web::App::new().app_data(Data::from(app.clone())).configure(health::metrics_routes)
        })
        .workers(1)
        .disable_signals()
        .listen(listener)?;
        #[expect(
            clippy::disallowed_methods,
            reason = "the figures are nobody's, and their server stays on its thread"
        )]
        rt::spawn(metrics.run());
    }
    Ok(server.run())
}

/// How many connections each of `workers` threads takes, where the process may have `open_files` open; nothing is no limit.
fn connections(open_files: Option<u64>, workers: usize) -> usize {
    let Some(open_files) = open_files else { return CONNECTIONS };
    let room = open_files.saturating_sub(OTHER_FILES).max(open_files / 2);
    usize::try_from(room).unwrap_or(CONNECTIONS).checked_div(workers).unwrap_or(CONNECTIONS).clamp(1, CONNECTIONS)
}

/// The certificate and its key, as they are to be presented; or what is wrong with them.
pub fn tls_config(tls: &TlsConfig) -> Result<ServerConfig, Problem> {
    let (certificate, key) = ("http.tls.certificate", "http.tls.key");
    let path = tls.certificate.display();
    let unreadable = |error| problem(certificate, format!("{path} cannot be read ({error}); name a PEM file"));
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(&tls.certificate)
        .and_then(|certificates| certificates.collect())
        .map_err(unreadable)?;
    if chain.is_empty() {
        let text = format!("{path} holds no certificate; name a PEM file with it and, below, those that vouch for it");
        return Err(problem(certificate, text));
    }
    let secret = PrivateKeyDer::from_pem_file(&tls.key).map_err(|error| {
        let text =
            format!("{} cannot be read ({error}); name a PEM file with the certificate's key", tls.key.display());
        problem(key, text)
    })?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let refused = |error| {
        let key_path = tls.key.display();
        problem(key, format!("{key_path} and {path} are not used together ({error}); name the key of this certificate"))
    };
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(refused)?
        .with_no_client_auth()
        .with_single_cert(chain, secret)
        .map_err(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ft_16_connections_leave_files_for_everything_else() {
        assert_eq!(connections(None, 4), CONNECTIONS);
        assert_eq!(connections(Some(65_536), 8), CONNECTIONS);
        assert_eq!(connections(Some(1_024), 2), 384);
        assert_eq!(connections(Some(256), 2), 64);
        assert_eq!(connections(Some(1), 256), 1);
        for (open_files, workers) in [(1_024, 1), (1_024, 16), (4_096, 8), (20_000, 2)] {
            assert!(connections(Some(open_files), workers) as u64 * workers as u64 + OTHER_FILES <= open_files);
        }
    }
}
