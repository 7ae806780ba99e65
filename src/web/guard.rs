//! Around every request: our host only, our pages only for what changes something (C-01), a span and a line in
//! the access log, the headers that keep browsers strict (H-03), and the page for a failure.

use std::time::Instant;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use tracing::Instrument;

use crate::app::App;
use crate::gate;
use crate::i18n::Texts;
use crate::secret::random_handle;
use crate::web::api::errors::is_for_programs;
use crate::web::page_error::PageError;
use crate::web::portal::unsubscribing;
use crate::web::request_log::RequestLog;
use crate::web::signed_in::find_visitor;
use crate::web::{api, csrf, error_page, metrics, otlp, serving, slow_body};

/// What pages may load: from here only, nothing inline.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; \
    connect-src 'self'; manifest-src 'self'; frame-src 'self'; form-action 'self'; frame-ancestors 'none'; \
    base-uri 'none'; object-src 'none'";

/// The middleware; see the module's doc.
pub async fn guard<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let started = Instant::now();
    let Some(app) = request.app_data::<Data<App>>().cloned() else {
        return Ok(request.into_response(HttpResponse::InternalServerError().finish()));
    };
    let refused = refusal(request.request(), &app);
    let whom = if refused.is_none() { serving::whom(request.request()).await } else { None };
    match whom {
        Some((organisation, person)) => {
            gate::scoped(organisation.0, Some(person.0), answer(request, next, app, refused, started)).await
        }
        None => answer(request, next, app, refused, started).await,
    }
}

async fn answer<B: MessageBody + 'static>(
    mut request: ServiceRequest,
    next: Next<B>,
    app: Data<App>,
    refused: Option<PageError>,
    started: Instant,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let span = tracing::info_span!(
        target: "accord::web",
        "request",
        http.method = %request.method(),
        http.route = tracing::field::Empty,
        http.status = tracing::field::Empty,
    );
    let pace = slow_body::watch(&mut request);
    let response = match refused {
        Some(error) => request.into_response(actix_web::Error::from(error).error_response()).map_into_boxed_body(),
        None => next.call(request).instrument(span.clone()).await?.map_into_boxed_body(),
    };
    let response = pace.answer(response);
    // Only now, for routing needs the request to itself.
    let http_request = response.request().clone();
    let mut response = if otlp::is_for_products(http_request.path()) {
        otlp::answers::with_body(&http_request, response)
    } else if is_for_programs(&http_request) {
        span.in_scope(|| api::errors::with_body(&http_request, response))
    } else {
        with_error_page(&http_request, &app, response).instrument(span.clone()).await
    };
    span.record("http.status", response.status().as_u16());
    // Which route it was is known only after routing.
    let route = (response.status() != 421).then(|| response.request().match_pattern()).flatten();
    span.record("http.route", route.as_deref().unwrap_or("-"));
    add_headers(&mut response, &app);
    metrics::count_request(response.status().as_u16(), started.elapsed());
    // What products are refused is counted: they send it again for as long as they run.
    let is_refused_product = otlp::is_for_products(http_request.path()) && response.status().is_client_error();
    if let Some(log) = http_request.app_data::<Data<RequestLog>>().filter(|_| !is_refused_product) {
        log.write(&http_request, &response, &app);
    }
    Ok(response)
}

/// Why the request goes no further, if so.
fn refusal(request: &HttpRequest, app: &App) -> Option<PageError> {
    if !is_our_host(request, &app.config.http.base_url) {
        return Some(PageError::misdirected());
    }
    // No name, reference or search of ours has a NUL, and PostgreSQL would not take it.
    let asked = request.uri().path_and_query().map_or("", |asked| asked.as_str());
    if asked.contains("%00") {
        let for_programs = request.path().starts_with("/api/");
        return Some(if for_programs { PageError::bad_request() } else { crate::error::Error::NotFound.into() });
    }
    // Programs have no page to come from; neither the API nor the door of products takes a cookie, and
    // a link to unsubscribe speaks for itself, so nothing can be forged in anybody's name.
    let for_programs = is_for_programs(request)
        || otlp::is_for_products(request.path())
        || unsubscribing::is_one_click(request.path());
    if csrf::is_unsafe(request.method()) && !for_programs && !csrf::is_same_origin(request, &app.config.http.base_url) {
        return Some(PageError::forged());
    }
    None
}

/// Whether the request names the host that `base_url` names, and only that. Without a `Host` (HTTP/1.0, some health
/// checkers) nothing is named, and no link is ever built from it.
fn is_our_host(request: &HttpRequest, base_url: &str) -> bool {
    let ours = base_url.split_once("://").map_or(base_url, |(_, host)| host);
    let named: Vec<_> = request.headers().get_all(header::HOST).collect();
    let in_line = request.uri().authority().map(|authority| authority.as_str());
    let header_fits = match named.as_slice() {
        [] => true,
        [one] => one.to_str().is_ok_and(|host| host.eq_ignore_ascii_case(ours)),
        _ => false,
    };
    header_fits && in_line.is_none_or(|host| host.eq_ignore_ascii_case(ours))
}

/// Puts the page of the failure where the response has only its status.
async fn with_error_page(
    request: &HttpRequest,
    app: &Data<App>,
    response: ServiceResponse<BoxBody>,
) -> ServiceResponse<BoxBody> {
    let Some(failure) = response.response().error() else { return response };
    let Some(failure) = failure.as_error::<PageError>() else { return response };
    if matches!(failure, PageError::Elsewhere(_)) {
        return response;
    }
    let reference = matches!(failure, PageError::Domain(crate::error::Error::Internal(_))).then(random_handle);
    if let (Some(reference), PageError::Domain(error)) = (&reference, failure) {
        tracing::error!(target: "accord::web", reference, error = format!("{error:#}"), cause = ?error, "A request failed");
    }
    let message = failure.message();
    let page = match find_visitor(request).await {
        Ok(visitor) => error_page::render(app, &visitor, &message, reference.as_deref()),
        // The database itself is out of reach: the bare text is better than nothing.
        Err(_) => {
            let texts = Texts::in_language(super::request::locale(request, None));
            texts.message(&message)
        }
    };
    let (request, mut response) = response.into_parts();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    ServiceResponse::new(request, response.set_body(BoxBody::new(page)))
}

fn add_headers(response: &mut ServiceResponse<BoxBody>, app: &App) {
    let headers = response.headers_mut();
    let fixed: [(HeaderName, &'static str); 6] = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    for (name, value) in fixed {
        if !headers.contains_key(&name) {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
    if app.config.http.is_https() {
        headers
            .insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=63072000; includeSubDomains"));
    }
}
