//! What the relay serves over HTTP: the page, where to bootstrap, health and metrics. Methods other than GET and HEAD
//! are refused; no request body is read.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use axum::{
    Router,
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header},
    middleware,
    response::{IntoResponse, Response},
    routing::get,
};
use libp2p::{Multiaddr, multiaddr::Protocol};
use prometheus_client::metrics::counter::Counter;
use tokio::{net::TcpListener, sync::watch};

pub(crate) use self::page::Page;
use crate::{
    bootstrap::BootstrapDocument,
    config::TransportKind,
    http::limit::BoundedListener,
    metrics::{Metrics, StatusLabel},
};

mod limit;
mod page;

/// How far the relay is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Not all listeners are up.
    Starting,
    /// Serving.
    Ready,
    /// Shutting down.
    Draining,
}

/// What the handlers answer from.
pub(crate) struct Site {
    /// Network name.
    pub(crate) network: String,
    /// The relay's peer id, base58.
    pub(crate) peer_id: String,
    /// Addresses to announce now, each ending in `/p2p/<peer id>`.
    pub(crate) addrs: watch::Receiver<Vec<Multiaddr>>,
    /// How far the relay is.
    pub(crate) phase: watch::Receiver<Phase>,
    /// The page.
    pub(crate) page: Page,
    /// The counters.
    pub(crate) metrics: Metrics,
}

/// The page and everything else but metrics; these too if `with_metrics`.
pub(crate) fn site_router(site: Arc<Site>, with_metrics: bool) -> Router {
    let router = Router::new()
        .route("/bootstrap.json", get(bootstrap))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready));
    let router = if with_metrics {
        router.route("/metrics", get(metrics))
    } else {
        router
    };
    finish(router.fallback(get(page_file)), site)
}

/// `/metrics` alone.
pub(crate) fn metrics_router(site: Arc<Site>) -> Router {
    finish(Router::new().route("/metrics", get(metrics)), site)
}

fn finish(router: Router<Arc<Site>>, site: Arc<Site>) -> Router {
    router
        .layer(middleware::map_response_with_state(site.clone(), seal))
        .with_state(site)
}

/// Serves `router` until the relay drains; requests under way are finished. Connections beyond the share of an address
/// are closed and added to `refused`.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    mut phase: watch::Receiver<Phase>,
    refused: Counter,
) {
    let drained = async move {
        // The sender gone means the same as draining.
        let _ = phase.wait_for(|phase| *phase == Phase::Draining).await;
    };
    let listener = BoundedListener::new(listener, refused);
    let server = axum::serve(listener, router).with_graceful_shutdown(drained);
    if let Err(error) = server.await {
        tracing::error!(%error, "http");
    }
}

/// Whether `/metrics` belongs on the listener of the page: nobody but this host reaches it.
pub(crate) fn metrics_beside_page(page: SocketAddr, own_listener: Option<SocketAddr>) -> bool {
    own_listener.is_none() && page.ip().is_loopback()
}

async fn bootstrap(State(site): State<Arc<Site>>, headers: HeaderMap) -> Response {
    let mut addrs = site.addrs.borrow().clone();
    if let Some(host) = host_ip(&headers) {
        // Of each transport's addresses, the one by which the client came is the one that it reaches.
        addrs.sort_by_key(|addr| (TransportKind::of(addr), !has_ip(addr, host)));
    }
    let document = BootstrapDocument {
        network: site.network.clone(),
        peer_id: site.peer_id.clone(),
        addrs: addrs.iter().map(ToString::to_string).collect(),
    };
    match serde_json::to_string(&document) {
        Ok(json) => (
            [
                (header::CONTENT_TYPE, "application/json"),
                (header::CACHE_CONTROL, "no-store"),
            ],
            CROSS_ORIGIN,
            json,
        )
            .into_response(),
        Err(error) => internal_error(&error),
    }
}

async fn ready(State(site): State<Arc<Site>>) -> Response {
    match *site.phase.borrow() {
        Phase::Ready => "ready\n".into_response(),
        Phase::Starting => (StatusCode::SERVICE_UNAVAILABLE, "starting\n").into_response(),
        Phase::Draining => (StatusCode::SERVICE_UNAVAILABLE, "draining\n").into_response(),
    }
}

async fn metrics(State(site): State<Arc<Site>>) -> Response {
    match site.metrics.encode() {
        Ok(text) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(error) => internal_error(&error),
    }
}

async fn page_file(State(site): State<Arc<Site>>, uri: Uri, headers: HeaderMap) -> Response {
    let file = match site.page.file(uri.path(), accepts_brotli(&headers)).await {
        Ok(Some(file)) => file,
        Ok(None) if uri.path() == "/" => {
            return (
                StatusCode::NOT_FOUND,
                "The page is not built: run `cargo xtask run`.\n",
            )
                .into_response();
        }
        Ok(None) => return (StatusCode::NOT_FOUND, "not found\n").into_response(),
        Err(error) => return internal_error(&error),
    };
    let cache = if file.is_immutable {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    let mut response = if is_fresh(&headers, &file.etag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        Body::from(file.bytes).into_response()
    };
    let out = response.headers_mut();
    out.insert(header::CONTENT_TYPE, HeaderValue::from_static(file.mime));
    out.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    out.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if let Ok(etag) = HeaderValue::from_str(&file.etag) {
        out.insert(header::ETAG, etag);
    }
    if file.is_brotli {
        out.insert(header::CONTENT_ENCODING, HeaderValue::from_static("br"));
    }
    if file.mime.starts_with("text/html") {
        out.insert(
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static(CONTENT_SECURITY_POLICY),
        );
    } else {
        // Other sites embed the module, the widget and what these load.
        for (name, value) in CROSS_ORIGIN {
            out.insert(name, HeaderValue::from_static(value));
        }
    }
    response
}

/// Counts every answer and gives it the headers that all of them have.
async fn seal(State(site): State<Arc<Site>>, mut response: Response) -> Response {
    let class = response.status().as_u16() / 100 * 100;
    site.metrics
        .http_responses
        .get_or_create(&StatusLabel { class })
        .inc();
    let headers = response.headers_mut();
    for (name, value) in ALWAYS {
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    response
}

fn internal_error(error: &dyn std::fmt::Display) -> Response {
    tracing::error!(%error, "http");
    (StatusCode::INTERNAL_SERVER_ERROR, "internal error\n").into_response()
}

/// The address that the client used for this host, if it used one and not a name.
fn host_ip(headers: &HeaderMap) -> Option<IpAddr> {
    let host = headers.get(header::HOST)?.to_str().ok()?;
    let as_socket = host.parse::<SocketAddr>().map(|addr| addr.ip());
    as_socket
        .or_else(|_| host.trim_matches(['[', ']']).parse())
        .ok()
}

fn has_ip(addr: &Multiaddr, ip: IpAddr) -> bool {
    addr.iter().any(|protocol| match protocol {
        Protocol::Ip4(other) => IpAddr::V4(other) == ip,
        Protocol::Ip6(other) => IpAddr::V6(other) == ip,
        _ => false,
    })
}

/// Whether `Accept-Encoding` names brotli with a weight above 0.
fn accepts_brotli(headers: &HeaderMap) -> bool {
    let values = headers
        .get_all(header::ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let is_brotli = parts
            .next()
            .is_some_and(|name| name.eq_ignore_ascii_case("br"));
        let weight = parts
            .find_map(|part| part.strip_prefix("q="))
            .and_then(|q| q.parse::<f32>().ok());
        is_brotli && weight.is_none_or(|q| q > 0.0)
    })
}

/// Whether `If-None-Match` names this version.
fn is_fresh(headers: &HeaderMap, etag: &str) -> bool {
    let values = headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|tag| {
        let tag = tag.trim();
        tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag
    })
}

/// What the page may do: run its own scripts and wasm, show its own styles and images, connect to relays anywhere
/// (`ws:` for relays on this host, `wss:` for others). No inline script or style, no frames, no third party.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; \
    img-src 'self' data: blob:; font-src 'self'; connect-src 'self' ws: wss:; manifest-src 'self'; worker-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// What lets other origins use an answer.
const CROSS_ORIGIN: [(HeaderName, &str); 2] = [
    (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "cross-origin",
    ),
];
/// What every answer carries unless its handler says otherwise.
const ALWAYS: [(HeaderName, &str); 4] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
];
/// Source: OpenMetrics 1.0, "Overall Structure".
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[cfg(test)]
mod tests;
