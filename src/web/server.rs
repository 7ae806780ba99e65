//! The HTTP servers: people's traffic with TLS if configured, and metrics on an address of their own.

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

use crate::app::App;
use crate::config::http::TlsConfig;
use crate::web::api::token::TokenKeys;
use crate::web::diagnostics::live;
use crate::web::otlp::grant_tokens::GrantTokens;
use crate::web::page_error::{PageError, PageResult};
use crate::web::request_log::RequestLog;
use crate::web::signed_in::DemoBanner;
use crate::web::{guard, health, router};

/// Connections a worker thread takes at once; beyond, the operating system lets them wait (FT-16).
const CONNECTIONS: usize = 2_000;
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

/// Starts serving. The future ends when the server has drained.
pub fn serve(site: Site, shutdown: impl Future<Output = ()> + Send + 'static) -> anyhow::Result<Server> {
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
    let server = match &http.tls {
        Some(tls) => server.bind_rustls_0_23(http.listen, tls_config(tls)?)?,
        None => server.bind(http.listen)?,
    };
    if let Some(address) = http.metrics_listen {
        let app = site.app.clone();
        let metrics = HttpServer::new(move || {
            actix_web::App::new().app_data(Data::from(app.clone())).configure(health::metrics_routes)
        })
        .workers(1)
        .disable_signals()
        .bind(address)?;
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

fn tls_config(tls: &TlsConfig) -> anyhow::Result<ServerConfig> {
    use anyhow::Context;
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(&tls.certificate)
        .with_context(|| format!("http.tls.certificate: {}", tls.certificate.display()))?
        .collect::<Result<_, _>>()
        .with_context(|| format!("http.tls.certificate: {}", tls.certificate.display()))?;
    let key = PrivateKeyDer::from_pem_file(&tls.key).with_context(|| format!("http.tls.key: {}", tls.key.display()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?)
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
