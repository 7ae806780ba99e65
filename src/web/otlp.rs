//! What the operator's products ask and send: tokens of a grant, the keys to check them with, the traces themselves in
//! the OpenTelemetry protocol (OTLP over HTTP), and whether there is a grant at all. Answers are those of that protocol;
//! what becomes of the spans is `diagnostics`' matter.

pub mod answers;
pub mod grant_tokens;
pub mod jwks;
pub mod ready_lines;
pub mod sampling;
pub mod traces;

/// Whether the path is one that products send to, and not one of pages.
pub fn is_for_products(path: &str) -> bool {
    matches!(path, "/v1/traces" | "/otlp/v1/traces")
}
